/* mgmt/client_step.c - one step of the management client: what is said, the server's key, the call. */
#include <errno.h>
#include <string.h>

#include "mgmt/client_impl.h"
#include "mgmt/detail.h"
#include "mgmt/envelope.h"
#include "mgmt/meta.h"
#include "mgmt/netmap.h"
#include "mgmt/request.h"
#include "mgmt/update.h"

#define METHOD(name) "/management.ManagementService/" name

enum {
	KEY_MS = 5 * 1000,
	KEY_CONNECTING_MS = 15 * 1000, /* with the way there */
	LOGIN_MS = 10 * 1000,
	META_MS = 10 * 1000,
	LOGOUT_MS = 15 * 1000,
};

void step_drop(struct step *s)
{
	if (s->rpc)
		grpc_cancel(s->rpc);
	s->rpc = NULL;
	g_clear_pointer(&s->gather, meta_gather_free);
	g_clear_pointer(&s->meta, meta_free);
	g_clear_pointer(&s->login, update_free);
	s->id = 0;
}

static void broken(struct step *s, enum mgmt_failure failure, const char *why)
{
	struct mgmt_client *c = s->client;
	uint32_t id = s->id;

	step_drop(s);
	session_broken(c->session, id, failure, why, client_now_ms());
	client_settle(c);
}

/* The same for a message: counted. */
static void unusable(struct step *s, const char *why)
{
	s->client->dropped++;
	s->client->tell = true;
	broken(s, MGMT_PROTOCOL, why);
}

static void ended(struct step *s, const struct grpc_result *result)
{
	struct mgmt_client *c = s->client;
	uint32_t id = s->id;

	step_drop(s);
	session_ended(c->session, id, result, client_now_ms());
	client_settle(c);
}

/* -- the server's key ----------------------------------------------------------------------- */

static void fetch_key(struct step *s);

/* The name is not known, but where it was last is. Calls of other lines go down with the channel. */
static bool try_address(struct step *s, const struct grpc_result *result)
{
	struct mgmt_client *c = s->client;

	if (s->line != SESSION_MAIN || result->failure != STREAM_NAME || !c->server.address ||
		c->by_address)
		return false;
	for (enum session_line n = SESSION_MAIN + 1; n < SESSION_LINES; n++)
		if (c->steps[n].rpc)
			ended(&c->steps[n], result);
	client_reopen_at_address(c);
	fetch_key(s);
	return true;
}

static bool is_trusted(const struct mgmt_client *c, const struct wg_key *key)
{
	return !c->cleartext || !c->has_used_key || c->trust_next || key_is_same(key, &c->used_key);
}

static void key_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct step *s = user;

	if (request_read_key(data, len, &s->server_key) < 0)
		unusable(s, "the server's answer holds no key");
}

static void key_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct step *s = user;
	struct mgmt_client *c = s->client;
	bool fresh;

	s->rpc = NULL;
	if (result->status != GRPC_OK) {
		if (!try_address(s, result))
			ended(s, result);
		return;
	}
	if (!is_trusted(c, &s->server_key))
		return broken(s, MGMT_SERVER_KEY_CHANGED,
			"the server's key has changed, and nothing but http:// vouches for it");
	fresh = !c->has_used_key || !key_is_same(&s->server_key, &c->used_key);
	client_note_address(c);
	session_key(c->session, s->id, fresh, client_now_ms());
	client_settle(c);
}

static void fetch_key(struct step *s)
{
	static const struct grpc_callbacks callbacks = { .message = key_message, .done = key_done };
	struct grpc_channel *channel = s->client->channel;

	s->rpc = grpc_unary(channel, METHOD("GetServerKey"), "", 0,
		grpc_channel_is_connected(channel) ? KEY_MS : KEY_CONNECTING_MS, NULL, &callbacks,
		s);
}

/* -- what is said --------------------------------------------------------------------------- */

void step_begin(struct step *s, const struct session_action *action)
{
	struct mgmt_client *c = s->client;
	struct meta_options options = { .root = "",
		.hostname = c->hostname,
		.interface = c->interface,
		.allowed = (const char *const *)c->file_checks,
		.files = session_wanted_files(c->session),
		.switches = c->switches };

	step_drop(s);
	s->id = action->id;
	s->call = action->call;
	if (s->call == VERDICT_JOB || s->call == VERDICT_LOGOUT)
		return fetch_key(s);
	s->gather = meta_gather_new(&options);
	step_gather(s);
}

void step_gather(struct step *s)
{
	if (meta_gather_step(s->gather))
		return;
	s->meta = meta_gather_finish(g_steal_pointer(&s->gather));
	s->client->files_refused = s->meta->n_refused;
	fetch_key(s);
}

/* Free it with envelope_wipe. */
static uint8_t *make_request(struct step *s, size_t *ret_len)
{
	struct mgmt_client *c = s->client;

	switch (s->call) {
	case VERDICT_PROBE:
	case VERDICT_REGISTER:
		return request_login(s->meta, &c->public_key,
			s->call == VERDICT_REGISTER ? c->setup_key : NULL,
			(const char *const *)c->labels, ret_len);
	case VERDICT_SYNC:
	case VERDICT_META:
		return request_sync(s->meta, ret_len);
	case VERDICT_JOB:
		return request_job_hello(ret_len);
	case VERDICT_LOGOUT:
		break;
	}
	*ret_len = 0;
	return g_malloc0(1);
}

static uint8_t *seal(const struct step *s, const uint8_t *plain, size_t len, size_t *ret_len)
{
	const struct mgmt_client *c = s->client;

	return envelope_seal(&c->private_key, &c->public_key, &s->server_key, plain, len, ret_len);
}

/* -- answers -------------------------------------------------------------------------------- */

/* Opens a message; false: the step has ended over it. */
static bool open_message(
	struct step *s, const uint8_t *data, size_t len, uint8_t **ret, size_t *ret_len)
{
	struct mgmt_client *c = s->client;
	int r = envelope_open(&c->private_key, &s->server_key, data, len, ret, ret_len);

	if (r < 0) {
		unusable(s,
			r == -EBADMSG ? "a message was not sealed by the server for us"
				      : "a message is no envelope");
		return false;
	}
	client_used_key(c, &s->server_key);
	return true;
}

static struct update_limits limits_of(const struct mgmt_client *c)
{
	return (struct update_limits){ .own = &c->public_key,
		.last = c->callbacks->last_map ? c->callbacks->last_map(c->user) : NULL,
		.max_peers = c->max_peers,
		.now_s = g_get_real_time() / G_USEC_PER_SEC };
}

/* A login is good also when nothing can be made of what comes with it: Sync will say it again. */
static void login_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct step *s = user;
	struct update_limits limits = limits_of(s->client);
	char error[UPDATE_ERROR_MAX];
	uint8_t *plain;
	size_t plain_len;
	int r;

	if (!open_message(s, data, len, &plain, &plain_len))
		return;
	r = update_from_login(plain, plain_len, &limits, &s->login, error);
	envelope_wipe(plain, plain_len);
	if (r == -EPROTO)
		return unusable(s, error);
	if (r < 0)
		s->client->dropped++;
}

static void login_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct step *s = user;
	struct mgmt_client *c = s->client;
	struct update *update = g_steal_pointer(&s->login);

	s->rpc = NULL;
	if (result->status != GRPC_OK) {
		update_free(update);
		return ended(s, result);
	}
	if (update && update->has_checks)
		session_files(
			c->session, (const char *const *)update->files, true, client_now_ms());
	ended(s, result);
	if (update)
		c->callbacks->update(update, NULL, true, c->user);
}

/* An old map is left out; the rest of the message holds. */
static void leave_out_old_map(struct mgmt_client *c, struct update *update)
{
	if (!update->map || session_takes_map(c->session, update->serial))
		return;
	g_clear_pointer(&update->map, netmap_free);
	g_clear_pointer(&update->detail, detail_free);
}

static void take_sync(struct step *s, GBytes *message)
{
	gsize len;
	const uint8_t *plain = g_bytes_get_data(message, &len);
	struct mgmt_client *c = s->client;
	struct update_limits limits = limits_of(c);
	char error[UPDATE_ERROR_MAX];
	struct update *update;
	int r = update_from_sync(plain, len, &limits, &update, error);

	if (r == -EPROTO)
		return unusable(s, error);
	c->messages++;
	if (r < 0) {
		c->dropped++;
		c->tell = true;
		session_message(c->session, s->id, error, client_now_ms());
		return client_settle(c);
	}
	session_message(c->session, s->id, NULL, client_now_ms());
	leave_out_old_map(c, update);
	if (update->has_checks)
		session_files(
			c->session, (const char *const *)update->files, false, client_now_ms());
	client_settle(c);
	c->callbacks->update(update, message, false, c->user);
}

struct opened {
	uint8_t *plain;
	size_t len;
};

static void wipe_opened(void *p)
{
	struct opened *o = p;

	envelope_wipe(o->plain, o->len);
	g_free(o);
}

static void sync_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct opened *o = g_new0(struct opened, 1);
	const struct mgmt_client *c = ((struct step *)user)->client;
	g_autoptr(GBytes) message = NULL;

	if (c->callbacks->arriving)
		c->callbacks->arriving(len, c->user);
	if (!open_message(user, data, len, &o->plain, &o->len)) {
		g_free(o);
		return;
	}
	/* A map of many peers, sealed, open, decoded, and the one in force: all four at once are too much. */
	grpc_drop_message(call);
	message = g_bytes_new_with_free_func(o->plain, o->len, wipe_opened, o);
	take_sync(user, message);
}

static void job_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct step *s = user;
	struct mgmt_client *c = s->client;
	uint8_t id[REQUEST_JOB_ID_MAX], *plain, *answer;
	g_autofree uint8_t *sealed = NULL;
	size_t plain_len, id_len;
	int r;

	if (!open_message(s, data, len, &plain, &plain_len))
		return;
	r = request_read_job(plain, plain_len, id, &id_len);
	envelope_wipe(plain, plain_len);
	if (r == -ENOENT)
		return;
	if (r < 0)
		return unusable(s, "a job makes no sense");
	c->jobs_refused += !c->jobs;
	answer = request_job_failed(id, id_len,
		c->jobs ? "job not implemented"
			: "jobs are not allowed by this host's configuration",
		&plain_len);
	sealed = seal(s, answer, plain_len, &len);
	envelope_wipe(answer, plain_len);
	/* A server that does not read its answers can do without them. */
	if (grpc_send(s->rpc, sealed, len) < 0)
		c->dropped++;
}

static void nothing_message(struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
}

static void call_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct step *s = user;

	s->rpc = NULL;
	ended(s, result);
}

/* -- the call ------------------------------------------------------------------------------- */

static const struct {
	const char *path;
	unsigned deadline_ms; /* 0: a stream */
	bool ours_stays_open;
	struct grpc_callbacks callbacks;
} calls[] = {
	[VERDICT_PROBE] = { METHOD("Login"), LOGIN_MS, false,
		{ .message = login_message, .done = login_done } },
	[VERDICT_REGISTER] = { METHOD("Login"), LOGIN_MS, false,
		{ .message = login_message, .done = login_done } },
	[VERDICT_SYNC] = { METHOD("Sync"), 0, false,
		{ .message = sync_message, .done = call_done } },
	[VERDICT_JOB] = { METHOD("Job"), 0, true, { .message = job_message, .done = call_done } },
	[VERDICT_META] = { METHOD("SyncMeta"), META_MS, false,
		{ .message = nothing_message, .done = call_done } },
	[VERDICT_LOGOUT] = { METHOD("Logout"), LOGOUT_MS, false,
		{ .message = nothing_message, .done = call_done } },
};

void step_call(struct step *s)
{
	struct grpc_channel *channel = s->client->channel;
	size_t plain_len, len;
	uint8_t *plain = make_request(s, &plain_len);
	g_autofree uint8_t *sealed = seal(s, plain, plain_len, &len);

	envelope_wipe(plain, plain_len);
	g_clear_pointer(&s->meta, meta_free);
	if (!sealed)
		return unusable(s, "the server's key is not usable");
	if (calls[s->call].deadline_ms) {
		s->rpc = grpc_unary(channel, calls[s->call].path, sealed, len,
			calls[s->call].deadline_ms, NULL, &calls[s->call].callbacks, s);
		return;
	}
	s->rpc = grpc_stream(channel, calls[s->call].path, 0, NULL, &calls[s->call].callbacks, s);
	(void)grpc_send(s->rpc, sealed, len); /* it is empty and takes anything */
	if (!calls[s->call].ours_stays_open)
		grpc_half_close(s->rpc);
}
