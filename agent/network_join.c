/* agent/network_join.c - joining a network, and leaving it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/identity.h"
#include "agent/mapcache.h"
#include "agent/network_impl.h"
#include "agent/privs.h"
#include "agent/sessions.h"
#include "mgmt/update.h"

static const char enroll_schema[] = "lapwing.enroll/1", change_schema[] = "lapwing.change/1";

void network_answer(struct network *n, uint32_t id, const struct network_outcome *outcome)
{
	n->ops.done(id, outcome, n->user);
}

void network_refuse(
	struct network *n, uint32_t id, enum exit_code code, const char *message, const char *hint)
{
	network_answer(
		n, id, &(struct network_outcome){ .code = code, .message = message, .hint = hint });
}

static void tell_left(struct network *n, uint32_t id, bool changed, const char *message)
{
	network_answer(n, id,
		&(struct network_outcome){ .schema = change_schema,
			.changed = changed,
			.message = message,
			.settle = changed });
}

static void tell_enrolled(
	struct network *n, uint32_t id, int until, bool changed, const char *message)
{
	network_answer(n, id,
		&(struct network_outcome){ .schema = enroll_schema,
			.changed = changed,
			.message = message,
			.until = until });
}

static enum exit_code code_of(enum mgmt_failure failure)
{
	switch (failure) {
	case MGMT_OK:
		return EXIT_OK;
	case MGMT_UNREACHABLE:
		return EXIT_UNREACHABLE;
	case MGMT_TLS:
		return EXIT_TLS;
	case MGMT_KEY_REFUSED:
		return EXIT_SETUP_KEY;
	case MGMT_KEY_NEEDED:
	case MGMT_DENIED:
		return EXIT_NOT_ENROLLED;
	case MGMT_PROTOCOL:
		return EXIT_PROTOCOL;
	case MGMT_SERVER_KEY_CHANGED:
		return EXIT_REFUSED;
	case MGMT_REFUSED:
		break;
	}
	return EXIT_FAILED;
}

uint64_t network_failures(const struct network *n)
{
	struct mgmt_status s = { 0 };

	if (n->client)
		mgmt_client_get_status(n->client, &s);
	return s.failures;
}

/* Other failures may go away by themselves, as a server that is started does. */
enum exit_code network_refused(
	const struct network *n, uint64_t failures, char error[static NETWORK_ERROR_MAX])
{
	struct mgmt_status s;

	if (!n->client || n->down)
		return EXIT_OK;
	mgmt_client_get_status(n->client, &s);
	if (s.failures == failures ||
		(s.state != MGMT_LOGIN_NEEDED && s.failure != MGMT_TLS &&
			s.failure != MGMT_SERVER_KEY_CHANGED))
		return EXIT_OK;
	g_snprintf(error, NETWORK_ERROR_MAX, "management %s: %s", n->membership.url, s.error);
	return code_of(s.failure);
}

enum exit_code network_check_free(
	const struct network *n, char error[static NETWORK_ERROR_MAX], const char **ret_hint)
{
	*ret_hint = NULL;
	if (n->leaving) {
		g_strlcpy(error, "this host is leaving its network", NETWORK_ERROR_MAX);
		return EXIT_IN_USE;
	}
	if (n->config->mesh_file) {
		g_snprintf(error, NETWORK_ERROR_MAX, "this host has a mesh file: %s",
			n->config->mesh_file);
		*ret_hint = "lapwing down, then take mesh_file out of lapwing.json";
		return EXIT_REFUSED;
	}
	if (!privs_has_net_admin()) {
		g_strlcpy(error, "the daemon lacks CAP_NET_ADMIN", NETWORK_ERROR_MAX);
		return EXIT_PERMISSION;
	}
	return EXIT_OK;
}

/* -- joining -------------------------------------------------------------------------------- */

static void trial_free(struct trial *t)
{
	mgmt_client_free(t->client);
	membership_done(&t->membership);
	key_wipe(&t->private_key);
	g_free(t);
}

/* Whoever waits is told by whoever calls this. */
void network_end_trial(struct network *n)
{
	struct trial *t = g_steal_pointer(&n->trial);

	if (!t)
		return;
	/* A key that nobody knows yet is no identity. */
	if (t->new_key)
		identity_purge(n->state_dir);
	trial_free(t);
}

/* The server took us: from now on this is our network, and its client goes on. */
static void become_member(struct network *n)
{
	struct trial *t = g_steal_pointer(&n->trial);
	g_autofree char *message = NULL;
	int r;

	if (n->membership.url && strcmp(n->membership.url, t->membership.url))
		mapcache_remove(n->state_dir);
	network_forget(n);
	n->membership = t->membership;
	t->membership = (struct membership){ 0 };
	n->client = g_steal_pointer(&t->client);
	n->down = false;
	network_begin(n, &t->private_key);
	r = membership_save(n->state_dir, &n->membership);
	if (r < 0)
		log_warn_errno(r,
			"cannot write down which network was joined, it will not outlast "
			"a restart");
	log_info("joined the network of %s", n->membership.url);
	message = g_strdup_printf("enrolled at %s", n->membership.url);
	tell_enrolled(n, t->id, t->until, true, message);
	trial_free(t);
}

static void trial_ended(enum mgmt_failure failure, const char *error, void *user)
{
	struct network *n = user;
	g_autofree char *message = g_strdup(error);
	uint32_t id = n->trial->id;

	if (failure == MGMT_OK)
		return become_member(n);
	network_end_trial(n);
	network_refuse(n, id, code_of(failure), message,
		failure == MGMT_SERVER_KEY_CHANGED ? "--force trusts the new one" : NULL);
}

/* What a server says before it took us is not for anybody. */
static void trial_update(struct update *u, GBytes *message, bool from_login, void *user)
{
	struct network *n = user;

	if (n->trial)
		update_free(u);
	else
		network_callbacks.update(u, message, from_login, user);
}

static void trial_changed(void *user)
{
	struct network *n = user;

	if (!n->trial)
		network_callbacks.changed(user);
}

static void trial_arriving(size_t len, void *user)
{
	struct network *n = user;

	if (!n->trial)
		network_callbacks.arriving(len, user);
}

/* What was there before is of another network, or not at all. */
static const struct netmap *trial_last_map(void *user)
{
	struct network *n = user;

	return n->trial ? NULL : network_callbacks.last_map(user);
}

static const struct mgmt_callbacks trial_callbacks = {
	.arriving = trial_arriving,
	.last_map = trial_last_map,
	.update = trial_update,
	.changed = trial_changed,
	.enrolled = trial_ended,
};

/* EXIT_OK: the key is there, *ret_new says whether it was made now. */
static enum exit_code find_key(const struct network *n, struct wg_key *ret, bool *ret_new,
	char error[static NETWORK_ERROR_MAX])
{
	enum identity_binding binding;
	int r = network_load_key(n, ret, error);

	*ret_new = r == -ENOENT;
	if (r == -EXDEV)
		return EXIT_REFUSED;
	if (r != -ENOENT)
		return r < 0 ? EXIT_FAILED : EXIT_OK;
	r = identity_create(n->state_dir, IDENTITY_MACHINE_ID, ret, &binding);
	if (r == 0)
		return EXIT_OK;
	g_snprintf(error, NETWORK_ERROR_MAX, "cannot make a private key in %s: %s", n->state_dir,
		g_strerror(-r));
	return EXIT_FAILED;
}

/* Enrolled there, and the server has not said otherwise, even if it is being asked again. */
static bool is_enrolled_at(const struct network *n, const char *url)
{
	struct mgmt_status s;

	if (!n->membership.url || strcmp(n->membership.url, url))
		return false;
	mgmt_client_get_status(n->client, &s);
	return s.state != MGMT_LOGIN_NEEDED && s.failure != MGMT_KEY_NEEDED &&
		s.failure != MGMT_DENIED && s.failure != MGMT_SERVER_KEY_CHANGED;
}

static void begin_trial(struct network *n, struct trial *t, const struct network_enrolment *e)
{
	n->trial = t;
	t->client = network_new_client(n, &t->membership, &t->private_key, &trial_callbacks, n);
	if (e->force)
		mgmt_client_trust_key(t->client, NULL);
	mgmt_client_start(t->client, e->setup_key);
}

/* Whoever asked first may have gone long ago: the last one counts. */
void network_replace_trial(struct network *n)
{
	uint32_t id = n->trial ? n->trial->id : 0;

	if (!n->trial)
		return;
	network_end_trial(n);
	network_refuse(n, id, EXIT_IN_USE, "another enrolment has taken its place", NULL);
}

/* Why this host cannot join there; *ret_url is the server in its one form. */
static enum exit_code check_enrolment(const struct network *n, const struct network_enrolment *e,
	char **ret_url, char error[static NETWORK_ERROR_MAX], const char **ret_hint)
{
	enum exit_code code = network_check_free(n, error, ret_hint);

	if (code)
		return code;
	if (mgmt_url_parse(e->url, ret_url, error) < 0)
		return EXIT_USAGE;
	if (n->membership.url && strcmp(n->membership.url, *ret_url) && !e->force) {
		g_snprintf(
			error, NETWORK_ERROR_MAX, "this host is enrolled at %s", n->membership.url);
		*ret_hint = "lapwing deregister first, or --force";
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

void network_enroll(struct network *n, uint32_t id, const struct network_enrolment *e)
{
	char error[NETWORK_ERROR_MAX];
	g_autofree char *url = NULL;
	const char *hint;
	struct trial *t;
	enum exit_code code = check_enrolment(n, e, &url, error, &hint);

	if (code)
		return network_refuse(n, id, code, error, hint);
	if (is_enrolled_at(n, url)) {
		g_snprintf(error, sizeof(error), "already enrolled at %s", url);
		return tell_enrolled(n, id, e->until, false, error);
	}
	network_replace_trial(n);
	t = g_new0(struct trial, 1);
	t->id = id;
	t->until = e->until;
	code = find_key(n, &t->private_key, &t->new_key, error);
	if (code) {
		trial_free(t);
		return network_refuse(n, id, code, error, NULL);
	}
	t->membership.url = g_steal_pointer(&url);
	t->membership.hostname = g_strdup(e->hostname);
	begin_trial(n, t, e);
}

/* -- leaving -------------------------------------------------------------------------------- */

static void leave(struct network *n)
{
	if (n->purging)
		identity_purge(n->state_dir);
	network_forget(n);
	membership_remove(n->state_dir);
	mapcache_remove(n->state_dir);
	sessions_remove(n->state_dir);
	unlink(n->psk_path);
	n->key_is_foreign = false;
	engine_forget_map(n->engine, g_get_monotonic_time() / 1000);
	n->ops.changed(n->user);
}

static void logged_out(enum mgmt_failure failure, const char *error, void *user)
{
	struct network *n = user;
	g_autofree char *message = NULL;

	n->leaving = false;
	if (failure != MGMT_OK && !n->purging) {
		if (!n->down)
			mgmt_client_start(n->client, NULL);
		return network_refuse(n, n->leaving_id, code_of(failure), error,
			"--purge leaves all the same; the server keeps the peer");
	}
	message = failure == MGMT_OK
		? g_strdup("deregistered")
		: g_strdup_printf("left, but the server still knows this peer: %s", error);
	leave(n);
	tell_left(n, n->leaving_id, true, message);
}

/* No network was joined: there may be a key, which is a mesh file's where there is one. */
static void purge_key(struct network *n, uint32_t id, bool purge)
{
	struct wg_key key;
	bool had = purge && !n->config->mesh_file &&
		identity_load(n->state_dir, IDENTITY_MACHINE_ID, &key, NULL) != -ENOENT;

	key_wipe(&key);
	if (had)
		identity_purge(n->state_dir);
	tell_left(n, id, had, had ? "the key is gone" : "not enrolled");
}

void network_deregister(struct network *n, uint32_t id, bool purge)
{
	if (n->leaving)
		return network_refuse(n, id, EXIT_IN_USE, "this host is leaving already", NULL);
	network_replace_trial(n);
	n->purging = purge;
	/* In the name of another machine's key not a word is said to its server. */
	if (n->key_is_foreign && purge) {
		leave(n);
		return tell_left(
			n, id, true, "another machine's key and network are gone from here");
	}
	if (n->key_is_foreign)
		return network_refuse(n, id, EXIT_REFUSED,
			"the key here was made on another machine",
			"--purge removes it here; the other machine stays a member");
	if (!network_is_joined(n))
		return purge_key(n, id, purge);
	n->leaving = true;
	n->leaving_id = id;
	mgmt_client_logout(n->client, logged_out, n);
}
