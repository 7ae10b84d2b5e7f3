/* agent/requests.c - what the control socket is asked, and the answers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/daemon.h"
#include "agent/engine.h"
#include "agent/kernel.h"
#include "agent/network.h"
#include "agent/privs.h"
#include "agent/recent.h"
#include "agent/requests_impl.h"
#include "agent/runtime.h"

struct requests *requests_new(struct daemon *d)
{
	struct requests *r = g_new0(struct requests, 1);

	r->daemon = d;
	r->waiters = g_array_new(FALSE, FALSE, sizeof(struct waiter));
	r->wake_waiters = g_array_new(FALSE, FALSE, sizeof(struct wake_waiter));
	return r;
}

void requests_free(struct requests *r)
{
	if (!r)
		return;
	for (guint i = 0; i < r->waiters->len; i++) {
		g_free(g_array_index(r->waiters, struct waiter, i).message);
		g_free(g_array_index(r->waiters, struct waiter, i).members);
	}
	g_array_unref(r->waiters);
	g_array_unref(r->wake_waiters);
	g_free(r);
}

/* -- status --------------------------------------------------------------------------------- */

static int64_t rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = 0;

	if (f && fscanf(f, "%*s %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static void write_missing(GString *out)
{
	jwrite_open(out, "missing", '[');
	if (!privs_has_net_admin())
		jwrite_string(out, NULL, "CAP_NET_ADMIN");
	if (!privs_has_net_raw())
		jwrite_string(out, NULL, "CAP_NET_RAW");
	jwrite_close(out, ']');
}

static void write_config(const struct daemon *d, GString *out)
{
	const char *path, *digest = daemon_config(d, &path)->digest;

	jwrite_open(out, "config", '{');
	jwrite_string(out, "file", path);
	jwrite_string(out, "digest", digest);
	jwrite_close(out, '}');
}

static void write_netlink(const struct daemon *d, GString *out)
{
	const struct kernel_error *errors;
	size_t n = kernel_errors(daemon_kernel(d), &errors);

	jwrite_open(out, "netlink_errors", '[');
	for (size_t i = 0; i < n; i++) {
		const char *name = strerrorname_np(errors[i].error);

		jwrite_open(out, NULL, '{');
		jwrite_string(out, "errno", name ? name : "unknown");
		jwrite_int(out, "count", (int64_t)errors[i].count);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}

static void write_process(struct daemon *d, GString *out)
{
	char privileges[128];
	uint64_t seen, passed;

	daemon_event_counts(d, &seen, &passed);
	jwrite_string(out, "version", LAPWING_VERSION);
	jwrite_int(out, "uptime_seconds", daemon_uptime_s(d));
	write_config(d, out);
	jwrite_string(out, "privileges", privs_describe(privileges, sizeof(privileges)));
	write_missing(out);
	jwrite_string(out, "log_level", log_level_name(log_get_level()));
	jwrite_open(out, "events", '{');
	jwrite_int(out, "seen", (int64_t)seen);
	jwrite_int(out, "passed", (int64_t)passed);
	jwrite_close(out, '}');
	write_netlink(d, out);
	jwrite_open(out, "memory", '{');
	jwrite_int(out, "rss_bytes", rss_bytes());
	jwrite_close(out, '}');
}

static void handle_status(struct requests *r, const struct control_request *request)
{
	GString *out = jwrite_document("lapwing.status/1");
	struct engine *e = daemon_engine(r->daemon);

	engine_write_status(e, out, request->detail, daemon_now_ms());
	network_write_status(daemon_network(r->daemon), out, request->detail);
	write_process(r->daemon, out);
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
	/* What was shown may be a minute old; who asks again gets fresh figures. */
	engine_refresh(e, daemon_now_ms());
	daemon_kick(r->daemon);
}

static void handle_peers(struct requests *r, const struct control_request *request)
{
	const char *only = request->peer[0] ? request->peer : NULL;
	GString *out = jwrite_document("lapwing.peers/1");
	struct engine *e = daemon_engine(r->daemon);

	if (!engine_write_peers(e, out, only, daemon_now_ms())) {
		g_string_free(out, TRUE);
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE,
			"lapwing peers lists them", "no peer %s", only);
		return;
	}
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
	engine_refresh(e, daemon_now_ms());
	daemon_kick(r->daemon);
}

/* -- up and down ---------------------------------------------------------------------------- */

void requests_answer_change(
	struct requests *r, uint32_t client, const struct network_outcome *outcome)
{
	GString *out = jwrite_document(outcome->schema ? outcome->schema : "lapwing.change/1");

	engine_write_status(daemon_engine(r->daemon), out, false, daemon_now_ms());
	network_write_status(daemon_network(r->daemon), out, false);
	jwrite_bool(out, "changed", outcome->changed);
	jwrite_int(out, "code", outcome->code);
	jwrite_string(out, "message", outcome->message);
	if (outcome->members)
		g_string_append_printf(out, ",%s", outcome->members);
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), client, out);
}

static void answer_changed(struct requests *r, uint32_t client, bool changed)
{
	requests_answer_change(r, client, &(struct network_outcome){ .changed = changed });
}

/* Who waits for a server, or for a server too; without one there is only the engine. */
static bool waits_for_server(const struct requests *r, const struct waiter *w)
{
	return w->until != CONTROL_UNTIL_DONE && network_is_joined(daemon_network(r->daemon));
}

static bool is_over(const struct requests *r, const struct waiter *w, bool settled)
{
	const struct network *n = daemon_network(r->daemon);
	bool stuck = engine_is_stuck(daemon_engine(r->daemon));
	char error[NETWORK_ERROR_MAX];

	if (w->code)
		return true;
	if (!waits_for_server(r, w))
		return settled || stuck;
	if (network_refused(n, w->failures, error))
		return true;
	if (w->until == CONTROL_UNTIL_CONTROL)
		return network_is_connected(n);
	return stuck || (settled && network_is_connected(n));
}

/* What it has come to, as an exit status; for what the document does not say there is the message. */
static enum exit_code judge(const struct requests *r, struct waiter *w)
{
	const struct engine *e = daemon_engine(r->daemon);
	char error[NETWORK_ERROR_MAX];
	enum exit_code code = EXIT_OK;
	const char *why;

	if (w->code)
		return w->code;
	if (waits_for_server(r, w))
		code = network_refused(daemon_network(r->daemon), w->failures, error);
	if (code) {
		g_free(w->message);
		w->message = g_strdup(error);
		return code;
	}
	if (waits_for_server(r, w) && w->until == CONTROL_UNTIL_CONTROL)
		return EXIT_OK;
	code = (enum exit_code)engine_problem_code(e, &why);
	if (code || !w->up || !strcmp(engine_state(e, &why), "ready"))
		return code;
	return engine_map(e) || network_is_joined(daemon_network(r->daemon)) ? EXIT_FAILED
									     : EXIT_NOT_ENROLLED;
}

static void answer_waiters(struct requests *r, bool settled)
{
	for (guint i = 0; i < r->waiters->len;) {
		struct waiter w = g_array_index(r->waiters, struct waiter, i);
		g_autofree char *message = NULL, *members = NULL;
		enum exit_code code;

		if (!is_over(r, &w, settled)) {
			i++;
			continue;
		}
		/* Answering may bring in the next request of the same client. */
		g_array_remove_index(r->waiters, i);
		code = judge(r, &w);
		message = w.message;
		members = w.members;
		requests_answer_change(r, w.client,
			&(struct network_outcome){ .schema = w.schema,
				.code = code,
				.changed = w.changed,
				.message = message,
				.members = members });
	}
}

void requests_settled(struct requests *r)
{
	answer_waiters(r, true);
}

void requests_wait(struct requests *r, struct waiter *waiter)
{
	waiter->failures = network_failures(daemon_network(r->daemon));
	g_array_append_val(r->waiters, *waiter);
	daemon_kick(r->daemon);
}

static void handle_up_down(struct requests *r, const struct control_request *request, bool down)
{
	bool changed = daemon_is_down(r->daemon) != down;
	struct waiter waiter = { .client = request->client,
		.until = down ? CONTROL_UNTIL_DONE : request->until,
		.changed = changed,
		.up = !down };
	int rc = daemon_set_down(r->daemon, down);
	char error[DAEMON_ERROR_MAX];

	if (rc < 0)
		log_warn_errno(rc,
			"cannot write down that we are %s, it will not outlast a restart",
			down ? "down" : "up");
	engine_retry(daemon_engine(r->daemon), daemon_now_ms());
	if (!down && daemon_reload(r->daemon, NULL, error) < 0) {
		waiter.code = EXIT_CONFIG;
		waiter.message = g_strdup(error);
	}
	if (request->wait || down)
		return requests_wait(r, &waiter);
	daemon_kick(r->daemon);
	requests_answer_change(r, request->client,
		&(struct network_outcome){ .changed = changed, .message = waiter.message });
	g_free(waiter.message);
}

/* Answers at once where the files are bad, else when what follows in the kernel is done. */
static void handle_reload(struct requests *r, const struct control_request *request)
{
	g_autoptr(GString) difference = g_string_new(NULL);
	struct waiter waiter = {
		.client = request->client,
		.changed = true,
		.schema = "lapwing.reload/1",
	};
	char error[DAEMON_ERROR_MAX];

	if (daemon_reload(r->daemon, difference, error) < 0) {
		control_error(
			daemon_control(r->daemon), request->client, EXIT_CONFIG, NULL, "%s", error);
		return;
	}
	engine_retry(daemon_engine(r->daemon), daemon_now_ms());
	waiter.members = g_strdup(difference->len ? difference->str : "\"mesh_difference\":null");
	requests_wait(r, &waiter);
}

/* -- one peer -------------------------------------------------------------------------------- */

static const struct {
	const char *word;
	enum engine_command command;
} peer_commands[] = {
	{ "wake", ENGINE_WAKE },
	{ "idle", ENGINE_IDLE },
	{ "pin", ENGINE_PIN },
	{ "unpin", ENGINE_UNPIN },
};

static void answer_peer(struct requests *r, uint32_t client, const struct wg_key *key, bool changed,
	const char *message)
{
	GString *out = jwrite_document("lapwing.peer-change/1");
	char name[KEY_STRLEN];

	jwrite_bool(out, "changed", changed);
	jwrite_string(out, "message", message[0] ? message : NULL);
	engine_write_peers(daemon_engine(r->daemon), out, key_format(key, name), daemon_now_ms());
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), client, out);
}

static void refuse_peer(
	struct requests *r, const struct control_request *request, int error, const char *why)
{
	struct control *control = daemon_control(r->daemon);

	if (error == -ENOENT)
		control_error(control, request->client, EXIT_USAGE, "lapwing peers lists them",
			"no peer %s", request->peer);
	else if (error == -EHOSTUNREACH)
		control_error(control, request->client, EXIT_UNREACHABLE, NULL, "%s: %s",
			request->peer, why);
	else
		control_error(control, request->client, EXIT_NOT_APPLICABLE, NULL, "%s stays: %s",
			request->peer, why);
}

static void handle_peer(
	struct requests *r, const struct control_request *request, enum engine_command command)
{
	struct engine *e = daemon_engine(r->daemon);
	struct wake_waiter waiter = { .client = request->client };
	const char *why;
	int rc;

	if (!request->peer[0]) {
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE,
			"lapwing peers lists them", "which peer?");
		return;
	}
	rc = engine_command(e, command, request->peer, daemon_now_ms(), &waiter.key, &why);
	daemon_kick(r->daemon);
	if (rc < 0)
		refuse_peer(r, request, rc, why);
	else if (command == ENGINE_WAKE && request->wait && !engine_wake_result(e, &waiter.key))
		g_array_append_val(r->wake_waiters, waiter);
	else
		answer_peer(r, request->client, &waiter.key, rc > 0, why);
}

static void answer_wake(struct requests *r, const struct wake_waiter *w, int result)
{
	if (result > 0)
		answer_peer(r, w->client, &w->key, true, "");
	else
		control_error(daemon_control(r->daemon), w->client, EXIT_UNREACHABLE,
			"lapwing peers PEER says more",
			result == -ENOENT ? "the peer has left the mesh" : "no answer");
}

void requests_look(struct requests *r)
{
	answer_waiters(r, false);
	for (guint i = 0; i < r->wake_waiters->len;) {
		struct wake_waiter w = g_array_index(r->wake_waiters, struct wake_waiter, i);
		int result = engine_wake_result(daemon_engine(r->daemon), &w.key);

		if (!result) {
			i++;
			continue;
		}
		/* Answering may bring in the next request of the same client. */
		g_array_remove_index_fast(r->wake_waiters, i);
		answer_wake(r, &w, result);
	}
}

static void handle_psk(struct requests *r, const struct control_request *request, bool set)
{
	struct control *control = daemon_control(r->daemon);
	struct wg_key key;
	int rc;

	if (!request->peer[0] || (set && key_is_zero(&request->psk))) {
		control_error(control, request->client, EXIT_USAGE, NULL,
			request->peer[0] ? "the pre-shared key is missing" : "which peer?");
		return;
	}
	rc = engine_set_psk(daemon_engine(r->daemon), request->peer, set ? &request->psk : NULL,
		daemon_now_ms(), &key);
	daemon_kick(r->daemon);
	if (rc >= 0)
		answer_peer(r, request->client, &key, rc > 0, "");
	else if (rc == -ENOENT)
		refuse_peer(r, request, rc, "");
	else
		control_error(control, request->client, EXIT_FAILED, NULL,
			"cannot write it down, everything stays as it is: %s", strerror(-rc));
}

/* -- the MTU -------------------------------------------------------------------------------- */

static void handle_mtu(struct requests *r, const struct control_request *request)
{
	struct control *control = daemon_control(r->daemon);
	struct engine *e = daemon_engine(r->daemon);
	const char *why;
	int rc = engine_set_mtu(e, (uint32_t)request->mtu, daemon_now_ms(), &why);

	daemon_kick(r->daemon);
	if (rc == -EOPNOTSUPP)
		control_error(control, request->client, EXIT_REFUSED, "change it there", "%s", why);
	else if (rc < 0)
		control_error(control, request->client, EXIT_USAGE, NULL, "no MTU is %d",
			(int)request->mtu);
	else
		answer_changed(r, request->client, rc > 0);
}

/* -- the rest ------------------------------------------------------------------------------- */

static void handle_log_level(struct requests *r, const struct control_request *request)
{
	enum log_level level = log_get_level();
	GString *out;

	if (request->level[0] && log_level_parse(request->level, &level) < 0) {
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE,
			"error, warn, info or debug", "no log level %s", request->level);
		return;
	}
	out = jwrite_document("lapwing.log-level/1");
	jwrite_string(out, "level", log_level_name(level));
	jwrite_bool(out, "changed", level != log_get_level());
	jwrite_close(out, '}');
	log_set_level(level);
	control_reply(daemon_control(r->daemon), request->client, out);
}

static void handle_runtime(struct requests *r, const struct control_request *request)
{
	const struct control *control = daemon_control(r->daemon);
	GString *out = jwrite_document("lapwing.runtime/1");

	jwrite_string(out, "version", LAPWING_VERSION);
	jwrite_int(out, "uptime_seconds", daemon_uptime_s(r->daemon));
	runtime_write(out);
	jwrite_open(out, "pools", '[');
	engine_write_pools(daemon_engine(r->daemon), out);
	network_write_pools(daemon_network(r->daemon), out);
	runtime_write_pool(
		out, "control clients", control_count_clients(control), CONTROL_CLIENTS_MAX);
	jwrite_close(out, ']');
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
}

static void handle_recent(struct requests *r, const struct control_request *request)
{
	GString *out = jwrite_document("lapwing.recent/1");

	recent_write(daemon_recent(r->daemon), out);
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
}

static void handle_samples(struct requests *r, const struct control_request *request)
{
	GString *out = jwrite_document("lapwing.samples/1");

	network_write_samples(daemon_network(r->daemon), out);
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
}

static void handle_version(struct requests *r, const struct control_request *request)
{
	GString *out = jwrite_document("lapwing.version/1");

	jwrite_string(out, "state", "running");
	jwrite_string(out, "version", LAPWING_VERSION);
	jwrite_string(out, "daemon_version", LAPWING_VERSION);
	jwrite_close(out, '}');
	control_reply(daemon_control(r->daemon), request->client, out);
}

void requests_handle(const struct control_request *request, void *user)
{
	struct requests *r = user;

	for (size_t i = 0; i < G_N_ELEMENTS(peer_commands); i++)
		if (!strcmp(request->command, peer_commands[i].word))
			return handle_peer(r, request, peer_commands[i].command);

	if (requests_network(r, request))
		return;
	if (!strcmp(request->command, "status"))
		handle_status(r, request);
	else if (!strcmp(request->command, "peers"))
		handle_peers(r, request);
	else if (!strcmp(request->command, "up"))
		handle_up_down(r, request, false);
	else if (!strcmp(request->command, "down"))
		handle_up_down(r, request, true);
	else if (!strcmp(request->command, "reload"))
		handle_reload(r, request);
	else if (!strcmp(request->command, "set-psk"))
		handle_psk(r, request, true);
	else if (!strcmp(request->command, "clear-psk"))
		handle_psk(r, request, false);
	else if (!strcmp(request->command, "mtu"))
		handle_mtu(r, request);
	else if (!strcmp(request->command, "log-level"))
		handle_log_level(r, request);
	else if (!strcmp(request->command, "runtime"))
		handle_runtime(r, request);
	else if (!strcmp(request->command, "recent"))
		handle_recent(r, request);
	else if (!strcmp(request->command, "samples"))
		handle_samples(r, request);
	else if (!strcmp(request->command, "version"))
		handle_version(r, request);
	else
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE, NULL,
			"no command %s", request->command);
}
