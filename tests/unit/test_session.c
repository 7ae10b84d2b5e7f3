/* tests/unit/test_session.c - a management server's client without the network: every answer of a
 * server, hours of absence, and lives at random. */
#include <glib.h>
#include <string.h>

#include "agent/rpc/pace.h"
#include "mgmt/session.h"

static const char *const calls[] = { "probe", "register", "sync", "job", "meta", "logout" };
static const char *const acts[] = { "key", "call", "cancel", "close", "report", "enrolled",
	"logout" };

struct setup {
	struct session *s;
	int64_t now_ms;
	uint32_t ids[SESSION_LINES];
	int enrolled, logged_out;
	enum mgmt_failure outcome;
	char error[MGMT_ERROR_MAX];
};

static void note(struct setup *t, const struct session_action *a)
{
	if (a->act == SESSION_FETCH_KEY)
		t->ids[a->line] = a->id;
	if (a->act == SESSION_ENROLLED)
		t->enrolled++;
	if (a->act == SESSION_LOGGED_OUT)
		t->logged_out++;
	if (a->act == SESSION_ENROLLED || a->act == SESSION_LOGGED_OUT) {
		t->outcome = a->failure;
		g_strlcpy(t->error, a->error, sizeof(t->error));
	}
}

/* Takes all actions; reports are left out of the text. */
static char *actions(struct setup *t)
{
	GString *out = g_string_new(NULL);
	struct session_action a;

	while (session_next(t->s, &a)) {
		note(t, &a);
		if (a.act == SESSION_REPORT)
			continue;
		g_string_append_printf(out, "%s%s", out->len ? " " : "", acts[a.act]);
		if (a.act <= SESSION_CANCEL)
			g_string_append_printf(out, ":%s", calls[a.call]);
	}
	return g_string_free(out, FALSE);
}

#define FOLLOWS(t, expected) \
	do { \
		g_autofree char *text_ = actions(t); \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

static struct session_view view_of(const struct setup *t)
{
	struct session_view view;

	session_view(t->s, &view);
	return view;
}

#define STATE(t, expected) g_assert_cmpint(view_of(t).state, ==, expected)
#define FAILURE(t, expected) g_assert_cmpint(view_of(t).failure, ==, expected)

static void begin(struct setup *t, bool has_key)
{
	*t = (struct setup){ .now_ms = 1000 * 1000 };
	t->s = session_new(7);
	session_start(t->s, has_key, t->now_ms);
	FOLLOWS(t, "close key:probe");
	STATE(t, MGMT_CONNECTING);
}

static void end(struct setup *t)
{
	session_free(t->s);
}

static void pass(struct setup *t, int64_t ms)
{
	t->now_ms += ms;
	session_tick(t->s, t->now_ms);
}

static void key(struct setup *t, enum session_line line)
{
	session_key(t->s, t->ids[line], false, t->now_ms);
}

static void ended(
	struct setup *t, enum session_line line, enum grpc_status status, const char *text)
{
	struct grpc_result result = { .status = status };

	g_strlcpy(result.text, text, sizeof(result.text));
	session_ended(t->s, t->ids[line], &result, t->now_ms);
}

static void lost(struct setup *t, enum session_line line, enum stream_failure failure)
{
	struct grpc_result result = {
		.status = GRPC_UNAVAILABLE, .failure = failure, .text = "gone"
	};

	session_ended(t->s, t->ids[line], &result, t->now_ms);
}

static void message(struct setup *t)
{
	session_message(t->s, t->ids[SESSION_MAIN], NULL, t->now_ms);
}

/* Up to the open Sync stream with its first message, Job refused for good. */
static void connect(struct setup *t, bool has_key)
{
	begin(t, has_key);
	key(t, SESSION_MAIN);
	FOLLOWS(t, "call:probe");
	ended(t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(t, has_key ? "enrolled key:sync" : "key:sync");
	key(t, SESSION_MAIN);
	FOLLOWS(t, "call:sync");
	STATE(t, MGMT_CONNECTING);
	message(t);
	STATE(t, MGMT_CONNECTED);
	FOLLOWS(t, "key:job");
	key(t, SESSION_JOB);
	FOLLOWS(t, "call:job");
}

/* -- the straight way ----------------------------------------------------------------------- */

static void test_follows(void)
{
	struct setup t;

	connect(&t, false);
	g_assert_cmpint(session_tick(t.s, t.now_ms), ==, SESSION_NEVER);
	pass(&t, 3600 * 1000);
	message(&t);
	FOLLOWS(&t, "");
	g_assert_cmpint(view_of(&t).message_ms, ==, t.now_ms);
	g_assert_cmpuint(view_of(&t).attempts, ==, 2);
	g_assert_cmpuint(view_of(&t).connects, ==, 1);
	g_assert_cmpuint(view_of(&t).failures, ==, 0);
	g_assert_cmpuint(view_of(&t).logins, ==, 1);
	g_assert_true(view_of(&t).login_worked);
	session_stop(t.s, t.now_ms);
	FOLLOWS(&t, "close");
	STATE(&t, MGMT_STOPPED);
	g_assert_cmpint(session_tick(t.s, t.now_ms), ==, SESSION_NEVER);
	message(&t);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(&t, "");
	STATE(&t, MGMT_STOPPED);
	end(&t);
}

static void test_registers(void)
{
	struct setup t;

	begin(&t, true);
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "no peer auth method provided");
	FOLLOWS(&t, "call:probe key:register");
	key(&t, SESSION_MAIN);
	FOLLOWS(&t, "call:register");
	g_assert_cmpint(t.enrolled, ==, 0);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(&t, "enrolled key:sync");
	g_assert_cmpint(t.outcome, ==, MGMT_OK);
	g_assert_cmpuint(
		view_of(&t).logins, ==, 1); /* the question whether it needs a key is part of it */
	pass(&t, SESSION_ENROL_MS);
	FOLLOWS(&t, "");
	g_assert_cmpint(t.enrolled, ==, 1);
	end(&t);
}

/* -- every answer to a login ---------------------------------------------------------------- */

enum then { AGAIN, STOPS, REGISTERS };

static const struct {
	bool has_key, registering;
	enum grpc_status status;
	const char *text;
	enum then then;
	enum mgmt_failure failure;
} logins[] = {
	/* Section 4.4 and 4.5, with a setup key (somebody waits for the outcome). */
	{ 1, 0, GRPC_PERMISSION_DENIED,
		"no peer auth method provided, please use a setup key or interactive SSO login",
		REGISTERS, MGMT_OK },
	{ 1, 0, GRPC_PERMISSION_DENIED, "user is blocked", REGISTERS, MGMT_OK },
	{ 1, 0, GRPC_PERMISSION_DENIED, "peer login has expired, please log in once more", STOPS,
		MGMT_DENIED },
	{ 1, 0, GRPC_INVALID_ARGUMENT, "provided wgPubKey is odd", STOPS, MGMT_REFUSED },
	{ 1, 0, GRPC_INVALID_ARGUMENT, "invalid request message", AGAIN, MGMT_REFUSED },
	{ 1, 0, GRPC_FAILED_PRECONDITION, "peer system meta has to be provided", STOPS,
		MGMT_REFUSED },
	{ 1, 0, GRPC_UNAVAILABLE, "", AGAIN, MGMT_UNREACHABLE },
	{ 1, 0, GRPC_DEADLINE_EXCEEDED, "", AGAIN, MGMT_UNREACHABLE },
	{ 1, 0, GRPC_CANCELLED, "", AGAIN, MGMT_UNREACHABLE },
	{ 1, 0, GRPC_INTERNAL, "failed handling request", AGAIN, MGMT_REFUSED },
	{ 1, 0, GRPC_UNKNOWN, "peer with the same public key is already logged in", AGAIN,
		MGMT_DENIED },
	{ 1, 0, GRPC_PERMISSION_DENIED, "peer with the same public key is already logged in", AGAIN,
		MGMT_DENIED },
	{ 1, 1, GRPC_PERMISSION_DENIED,
		"peer is already registered by a different User or a Setup Key", STOPS,
		MGMT_DENIED },
	{ 1, 1, GRPC_PERMISSION_DENIED, "user pending approval cannot add peers", STOPS,
		MGMT_DENIED },
	{ 1, 1, GRPC_PERMISSION_DENIED, "peer login has expired, please log in once more", STOPS,
		MGMT_DENIED },
	{ 1, 1, GRPC_NOT_FOUND, "couldn't add peer: setup key is invalid", STOPS,
		MGMT_KEY_REFUSED },
	{ 1, 1, GRPC_NOT_FOUND, "", STOPS, MGMT_KEY_REFUSED },
	{ 1, 1, GRPC_INTERNAL, "couldn't add peer: setup key is invalid", STOPS, MGMT_KEY_REFUSED },
	{ 1, 1, GRPC_FAILED_PRECONDITION, "couldn't add peer: setup key is invalid", STOPS,
		MGMT_KEY_REFUSED },
	{ 1, 1, GRPC_FAILED_PRECONDITION, "setup key doesn't allow extra DNS labels", STOPS,
		MGMT_REFUSED },
	{ 1, 1, GRPC_FAILED_PRECONDITION, "peer has been already registered", AGAIN, MGMT_REFUSED },
	{ 1, 1, GRPC_INVALID_ARGUMENT, "invalid jwt token", STOPS, MGMT_REFUSED },
	{ 1, 1, GRPC_UNAUTHENTICATED, "token", AGAIN, MGMT_REFUSED },
	{ 1, 1, GRPC_UNIMPLEMENTED, "", AGAIN, MGMT_REFUSED },
	{ 1, 1, GRPC_UNAVAILABLE, "", AGAIN, MGMT_UNREACHABLE },
	/* Without: the run loop, which ends on PermissionDenied alone. */
	{ 0, 0, GRPC_PERMISSION_DENIED,
		"no peer auth method provided, please use a setup key or interactive SSO login",
		STOPS, MGMT_KEY_NEEDED },
	{ 0, 0, GRPC_PERMISSION_DENIED, "peer is not registered", STOPS, MGMT_KEY_NEEDED },
	{ 0, 0, GRPC_PERMISSION_DENIED, "peer login has expired, please log in once more", STOPS,
		MGMT_DENIED },
	{ 0, 0, GRPC_PERMISSION_DENIED, "user is blocked", STOPS, MGMT_DENIED },
	{ 0, 0, GRPC_PERMISSION_DENIED, "peer with the same public key is already logged in", AGAIN,
		MGMT_DENIED },
	{ 0, 0, GRPC_NOT_FOUND, "", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_INVALID_ARGUMENT, "invalid request message", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_INVALID_ARGUMENT, "provided wgPubKey", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_FAILED_PRECONDITION, "", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_UNAUTHENTICATED, "", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_UNIMPLEMENTED, "", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_INTERNAL, "", AGAIN, MGMT_REFUSED },
	{ 0, 0, GRPC_UNAVAILABLE, "", AGAIN, MGMT_UNREACHABLE },
	{ 0, 0, GRPC_RESOURCE_EXHAUSTED, "", AGAIN, MGMT_REFUSED },
};

static void check_login(size_t i)
{
	struct setup t;
	g_autofree char *then = NULL;

	g_test_message("login %zu: status %d, %s", i, (int)logins[i].status, logins[i].text);
	begin(&t, logins[i].has_key);
	key(&t, SESSION_MAIN);
	if (logins[i].registering) {
		ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "");
		FOLLOWS(&t, "call:probe key:register");
		key(&t, SESSION_MAIN);
	}
	g_free(actions(&t));
	ended(&t, SESSION_MAIN, logins[i].status, logins[i].text);
	then = actions(&t);
	if (logins[i].then == REGISTERS) {
		g_assert_cmpstr(then, ==, "key:register");
	} else if (logins[i].then == STOPS) {
		g_assert_cmpstr(then, ==, logins[i].has_key ? "close enrolled" : "close");
		STATE(&t, MGMT_LOGIN_NEEDED);
		g_assert_cmpint(session_tick(t.s, t.now_ms + 1000 * 1000), ==, SESSION_NEVER);
		g_assert_cmpint(t.enrolled, ==, logins[i].has_key);
	} else {
		STATE(&t, MGMT_WAITING);
		g_assert_cmpint(view_of(&t).next_ms, ==, session_tick(t.s, t.now_ms));
		g_assert_cmpint(t.enrolled, ==, 0);
		pass(&t, 2 * PACE_GROWN_MS);
		FOLLOWS(&t, "key:probe");
	}
	if (logins[i].then != REGISTERS)
		FAILURE(&t, logins[i].failure);
	if (logins[i].then == STOPS && logins[i].has_key) {
		g_assert_cmpint(t.outcome, ==, logins[i].failure);
		g_assert_cmpstr(t.error, !=, "");
	}
	end(&t);
}

static void test_logins(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(logins); i++)
		check_login(i);
}

/* What comes instead of a server's key says nothing about us. */
static void test_key_fails(void)
{
	struct setup t;

	begin(&t, false);
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "a proxy");
	STATE(&t, MGMT_WAITING);
	pass(&t, 2000);
	FOLLOWS(&t, "key:probe");
	lost(&t, SESSION_MAIN, STREAM_NAME);
	FAILURE(&t, MGMT_UNREACHABLE);
	FOLLOWS(&t, "close");
	pass(&t, 4000);
	FOLLOWS(&t, "key:probe");
	lost(&t, SESSION_MAIN, STREAM_TLS);
	FAILURE(&t, MGMT_TLS);
	STATE(&t, MGMT_WAITING);
	end(&t);

	begin(&t, true);
	lost(&t, SESSION_MAIN, STREAM_TLS);
	FOLLOWS(&t, "close enrolled");
	STATE(&t, MGMT_STOPPED);
	g_assert_cmpint(t.outcome, ==, MGMT_TLS);
	end(&t);
}

static void test_enrolment_times_out(void)
{
	struct setup t;
	int tries = 0;

	begin(&t, true);
	while (!t.enrolled) {
		int64_t next = session_tick(t.s, t.now_ms);

		g_assert_cmpint(next, !=, SESSION_NEVER);
		if (t.ids[SESSION_MAIN]) {
			lost(&t, SESSION_MAIN, STREAM_UNREACHABLE);
			t.ids[SESSION_MAIN] = 0;
			tries++;
			next = session_tick(t.s, t.now_ms);
		}
		pass(&t, next - t.now_ms);
		g_free(actions(&t));
	}
	g_assert_cmpint(t.now_ms, ==, 1000 * 1000 + SESSION_ENROL_MS);
	g_assert_cmpint(t.outcome, ==, MGMT_UNREACHABLE);
	g_assert_cmpstr(t.error, ==, "gone");
	g_assert_cmpint(tries, >, 10);
	g_assert_cmpint(tries, <, 30);
	STATE(&t, MGMT_STOPPED);
	end(&t);

	/* Nothing came at all. */
	begin(&t, true);
	pass(&t, SESSION_ENROL_MS);
	FOLLOWS(&t, "close enrolled");
	g_assert_cmpint(t.outcome, ==, MGMT_UNREACHABLE);
	end(&t);
}

static void test_enrolment_is_stopped(void)
{
	struct setup t;

	begin(&t, true);
	session_stop(t.s, t.now_ms);
	FOLLOWS(&t, "enrolled close");
	g_assert_cmpint(t.outcome, ==, MGMT_UNREACHABLE);
	end(&t);

	begin(&t, true);
	session_start(t.s, false, t.now_ms);
	FOLLOWS(&t, "enrolled close key:probe");
	end(&t);
}

/* -- every end of a stream ------------------------------------------------------------------ */

static const struct {
	enum grpc_status status;
	enum stream_failure failure;
	const char *then;
	enum mgmt_failure says;
	bool closes;
} streams[] = {
	{ GRPC_OK, STREAM_OK, "key:sync", MGMT_UNREACHABLE, false },
	{ GRPC_PERMISSION_DENIED, STREAM_OK, "key:probe", MGMT_DENIED, false },
	{ GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "key:sync", MGMT_REFUSED, false },
	{ GRPC_UNKNOWN, STREAM_OK, "key:sync", MGMT_REFUSED, false },
	{ GRPC_INVALID_ARGUMENT, STREAM_OK, "key:sync", MGMT_REFUSED, false },
	{ GRPC_UNIMPLEMENTED, STREAM_OK, "key:sync", MGMT_REFUSED, false },
	{ GRPC_INTERNAL, STREAM_OK, "key:sync", MGMT_REFUSED, true },
	{ GRPC_UNAVAILABLE, STREAM_OK, "key:sync", MGMT_UNREACHABLE, true },
	{ GRPC_DEADLINE_EXCEEDED, STREAM_OK, "key:sync", MGMT_UNREACHABLE, true },
	{ GRPC_UNAVAILABLE, STREAM_LOST, "key:sync", MGMT_UNREACHABLE, true },
};

static void test_streams_end(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
		struct grpc_result result = { streams[i].status, streams[i].failure, "" };
		struct setup t;

		g_test_message("stream %zu: status %d", i, (int)result.status);
		connect(&t, false);
		session_ended(t.s, t.ids[SESSION_MAIN], &result, t.now_ms);
		FOLLOWS(&t, streams[i].closes ? "close" : "");
		STATE(&t, MGMT_WAITING);
		FAILURE(&t, streams[i].says);
		g_assert_cmpstr(view_of(&t).error, !=, "");
		g_assert_cmpint(view_of(&t).next_ms, <=, t.now_ms + 2000);
		pass(&t, 2000);
		FOLLOWS(&t, streams[i].then);
		end(&t);
	}
}

/* It was removed: an empty map, the end, "not registered", and then the login says so too. */
static void test_peer_is_deleted(void)
{
	struct setup t;
	uint64_t failures;

	connect(&t, false);
	session_message(t.s, t.ids[SESSION_MAIN], "no address", t.now_ms);
	STATE(&t, MGMT_CONNECTED);
	FAILURE(&t, MGMT_PROTOCOL);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	pass(&t, 2000);
	FOLLOWS(&t, "key:sync");
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "peer is not registered");
	pass(&t, 2000);
	FOLLOWS(&t, "call:sync key:probe");
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "no peer auth method provided");
	FOLLOWS(&t, "call:probe close");
	STATE(&t, MGMT_LOGIN_NEEDED);
	pass(&t, 24 * 3600 * 1000);
	FOLLOWS(&t, "");
	/* Told to try: not at once if it tried just now. */
	session_retry(t.s, t.now_ms);
	pass(&t, 0);
	FOLLOWS(&t, "key:probe");
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "user is blocked");
	FOLLOWS(&t, "call:probe close");
	failures = view_of(&t).failures;
	session_retry(t.s, t.now_ms);
	session_retry(t.s, t.now_ms);
	g_assert_cmpuint(view_of(&t).failures, ==, failures); /* nothing has failed anew */
	pass(&t, SESSION_SPACING_MS - 1);
	FOLLOWS(&t, "");
	pass(&t, 1);
	FOLLOWS(&t, "key:probe");
	end(&t);
}

static void test_job(void)
{
	struct setup t;

	/* Not there: never again. */
	connect(&t, false);
	ended(&t, SESSION_JOB, GRPC_UNIMPLEMENTED, "");
	g_assert_true(view_of(&t).job_unsupported);
	STATE(&t, MGMT_CONNECTED);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	pass(&t, 2000);
	FOLLOWS(&t, "key:sync");
	key(&t, SESSION_MAIN);
	message(&t);
	FOLLOWS(&t, "call:sync");
	end(&t);

	/* Ends: opened again, by itself. */
	connect(&t, false);
	ended(&t, SESSION_JOB, GRPC_OK, "");
	STATE(&t, MGMT_CONNECTED);
	FOLLOWS(&t, "");
	pass(&t, 1600);
	FOLLOWS(&t, "key:job");
	/* ... but not while Sync is away. */
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	lost(&t, SESSION_JOB, STREAM_LOST);
	pass(&t, 2000);
	FOLLOWS(&t, "key:sync");
	key(&t, SESSION_MAIN);
	FOLLOWS(&t, "call:sync");
	message(&t);
	FOLLOWS(&t, "key:job");
	end(&t);

	/* Denied: as Sync. */
	connect(&t, false);
	ended(&t, SESSION_JOB, GRPC_PERMISSION_DENIED, "peer is not registered");
	FOLLOWS(&t, "cancel:sync");
	STATE(&t, MGMT_WAITING);
	pass(&t, 2000);
	FOLLOWS(&t, "key:probe");
	end(&t);
}

static void test_checks(void)
{
	static const char *const one[] = { "/usr/bin/a", NULL };
	static const char *const two[] = { "/usr/bin/a", "/usr/bin/b", NULL };
	static const char *const none[] = { NULL };
	struct setup t;

	connect(&t, false);
	session_files(t.s, none, false, t.now_ms);
	FOLLOWS(&t, "");
	session_files(t.s, one, false, t.now_ms);
	FOLLOWS(&t, "key:meta");
	session_files(t.s, one, false, t.now_ms);
	FOLLOWS(&t, "");
	key(&t, SESSION_META);
	FOLLOWS(&t, "call:meta");
	ended(&t, SESSION_META, GRPC_INTERNAL, "");
	STATE(&t, MGMT_CONNECTED);
	FOLLOWS(&t, "");
	pass(&t, 2000);
	FOLLOWS(&t, "key:meta");
	/* A key comes but once. */
	key(&t, SESSION_META);
	key(&t, SESSION_META);
	FOLLOWS(&t, "call:meta");
	/* Another wish while it runs: soon, but not at once. */
	session_files(t.s, two, false, t.now_ms);
	FOLLOWS(&t, "cancel:meta");
	pass(&t, SESSION_SPACING_MS);
	FOLLOWS(&t, "key:meta");
	key(&t, SESSION_META);
	ended(&t, SESSION_META, GRPC_OK, "");
	FOLLOWS(&t, "call:meta");
	g_assert_cmpint(session_tick(t.s, t.now_ms), ==, SESSION_NEVER);
	g_assert_cmpstr(session_wanted_files(t.s)[1], ==, "/usr/bin/b");
	/* After a success failures begin with small delays again. */
	for (int i = 0; i < 20; i++) {
		pass(&t, 2 * PACE_GROWN_MS);
		session_files(t.s, i % 2 ? two : one, false, t.now_ms);
		FOLLOWS(&t, "key:meta");
		ended(&t, SESSION_META, GRPC_INTERNAL, "");
		pass(&t, 2000);
		FOLLOWS(&t, "key:meta");
		key(&t, SESSION_META);
		ended(&t, SESSION_META, GRPC_OK, "");
		FOLLOWS(&t, "call:meta");
	}
	/* None after some is a change too. */
	pass(&t, SESSION_SPACING_MS);
	session_files(t.s, none, false, t.now_ms);
	FOLLOWS(&t, "key:meta");
	/* Sync says it all: what was to be told apart is not any more. */
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(&t, "cancel:meta");
	end(&t);

	/* Those of the login go with the first Sync. */
	begin(&t, false);
	key(&t, SESSION_MAIN);
	session_files(t.s, two, true, t.now_ms);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(&t, "call:probe key:sync");
	key(&t, SESSION_MAIN);
	message(&t);
	session_files(t.s, two, false, t.now_ms);
	FOLLOWS(&t, "call:sync key:job");
	end(&t);

	/* An old server cannot take it. */
	connect(&t, false);
	session_files(t.s, one, false, t.now_ms);
	FOLLOWS(&t, "key:meta");
	key(&t, SESSION_META);
	ended(&t, SESSION_META, GRPC_UNIMPLEMENTED, "");
	FOLLOWS(&t, "call:meta");
	g_assert_cmpint(session_tick(t.s, t.now_ms), ==, SESSION_NEVER);
	end(&t);
}

static void test_serial(void)
{
	struct setup t;

	connect(&t, false);
	g_assert_true(session_takes_map(t.s, 7));
	g_assert_true(session_takes_map(t.s, 7));
	g_assert_false(session_takes_map(t.s, 6));
	g_assert_true(session_takes_map(t.s, 9));
	/* The same life of the server. */
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	pass(&t, 2000);
	FOLLOWS(&t, "key:sync");
	key(&t, SESSION_MAIN);
	message(&t);
	FOLLOWS(&t, "call:sync");
	g_assert_false(session_takes_map(t.s, 8));
	/* Another one. */
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	pass(&t, 4000);
	FOLLOWS(&t, "key:sync");
	session_key(t.s, t.ids[SESSION_MAIN], true, t.now_ms);
	message(&t);
	g_assert_true(session_takes_map(t.s, 2));
	/* A login begins anew. */
	ended(&t, SESSION_MAIN, GRPC_PERMISSION_DENIED, "");
	pass(&t, 2000);
	FOLLOWS(&t, "call:sync key:probe");
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	g_assert_true(session_takes_map(t.s, 1));
	end(&t);
}

static void test_broken(void)
{
	struct setup t;

	connect(&t, false);
	session_broken(t.s, t.ids[SESSION_MAIN], MGMT_PROTOCOL, "not sealed for us", t.now_ms);
	FOLLOWS(&t, "cancel:sync");
	STATE(&t, MGMT_WAITING);
	FAILURE(&t, MGMT_PROTOCOL);
	pass(&t, 2000);
	FOLLOWS(&t, "key:sync");
	session_broken(t.s, t.ids[SESSION_MAIN], MGMT_SERVER_KEY_CHANGED, "another key", t.now_ms);
	STATE(&t, MGMT_WAITING);
	end(&t);

	begin(&t, true);
	session_broken(t.s, t.ids[SESSION_MAIN], MGMT_SERVER_KEY_CHANGED, "another key", t.now_ms);
	FOLLOWS(&t, "cancel:probe close enrolled");
	STATE(&t, MGMT_STOPPED);
	g_assert_cmpint(t.outcome, ==, MGMT_SERVER_KEY_CHANGED);
	end(&t);

	/* Nothing ever comes. */
	begin(&t, false);
	key(&t, SESSION_MAIN);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	FOLLOWS(&t, "call:probe key:sync");
	key(&t, SESSION_MAIN);
	FOLLOWS(&t, "call:sync");
	pass(&t, SESSION_FIRST_MS - 1);
	FOLLOWS(&t, "");
	pass(&t, 1);
	FOLLOWS(&t, "cancel:sync");
	STATE(&t, MGMT_WAITING);
	end(&t);
}

static void test_logout(void)
{
	static const struct {
		enum grpc_status status;
		enum mgmt_failure outcome;
	} cases[] = {
		{ GRPC_OK, MGMT_OK },
		{ GRPC_NOT_FOUND, MGMT_OK },
		{ GRPC_PERMISSION_DENIED, MGMT_DENIED },
		{ GRPC_UNAVAILABLE, MGMT_UNREACHABLE },
		{ GRPC_INTERNAL, MGMT_REFUSED },
		{ GRPC_UNIMPLEMENTED, MGMT_REFUSED },
	};
	struct setup t;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		connect(&t, false);
		session_logout(t.s, t.now_ms);
		FOLLOWS(&t, "close key:logout");
		STATE(&t, MGMT_STOPPED);
		key(&t, SESSION_MAIN);
		FOLLOWS(&t, "call:logout");
		ended(&t, SESSION_MAIN, cases[i].status, "peer not found: x");
		FOLLOWS(&t, "close logout");
		g_assert_cmpint(t.outcome, ==, cases[i].outcome);
		g_assert_cmpint(t.logged_out, ==, 1);
		g_assert_cmpint(session_tick(t.s, t.now_ms), ==, SESSION_NEVER);
		end(&t);
	}
	connect(&t, false);
	session_logout(t.s, t.now_ms);
	session_stop(t.s, t.now_ms);
	FOLLOWS(&t, "close key:logout logout close");
	g_assert_cmpint(t.outcome, ==, MGMT_UNREACHABLE);
	end(&t);
}

/* -- pace ----------------------------------------------------------------------------------- */

static void assert_near(uint32_t a, uint32_t b)
{
	g_assert_cmpint(ABS((int)a - (int)b), <=, 1);
}

static void test_pace(void)
{
	static const struct {
		enum pace_kind kind;
		uint32_t low[4], high[4], grown_low, grown_high;
	} cases[] = {
		{ PACE_ENROL, { 250, 375, 562, 843 }, { 750, 1125, 1687, 2530 }, 5000, 15000 },
		{ PACE_LOGIN, { 0, 0, 0, 0 }, { 2000, 3400, 5780, 9826 }, 15000, 30000 },
		{ PACE_STREAM, { 0, 0, 0, 0 }, { 1600, 2720, 4624, 7860 }, 15000, 30000 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct pace low = { cases[i].kind, 0 }, high = low;

		for (size_t j = 0; j < 4; j++) {
			assert_near(pace_next_ms(&low, 0), cases[i].low[j]);
			assert_near(pace_next_ms(&high, UINT32_MAX), cases[i].high[j]);
		}
		pace_grow(&low);
		g_assert_cmpuint(pace_next_ms(&low, 0), ==, cases[i].grown_low);
		g_assert_cmpuint(pace_next_ms(&low, UINT32_MAX), ==, cases[i].grown_high);
		pace_reset(&low);
		assert_near(pace_next_ms(&low, 0), cases[i].low[0]);
	}
}

/* An hour without a server: at most four tries in any minute once it has grown, no memory for it. */
static void check_absence(uint64_t seed, enum stream_failure failure)
{
	g_autoptr(GArray) tries = g_array_new(FALSE, FALSE, sizeof(int64_t));
	struct setup t;
	int64_t start;

	connect(&t, false);
	session_free(t.s);
	t.s = session_new(seed);
	session_start(t.s, false, t.now_ms);
	start = t.now_ms;
	while (t.now_ms < start + 3600 * 1000) {
		struct session_action a;
		size_t n = 0;
		int64_t next;

		for (; session_next(t.s, &a); n++) {
			note(&t, &a);
			if (a.act != SESSION_FETCH_KEY)
				continue;
			g_array_append_val(tries, t.now_ms);
			lost(&t, SESSION_MAIN, failure);
			g_assert_cmpint(view_of(&t).since_ms, ==, start);
		}
		g_assert_cmpuint(n, <, 16);
		next = session_tick(t.s, t.now_ms);
		g_assert_cmpint(next, !=, SESSION_NEVER);
		pass(&t, MAX(next - t.now_ms, 0));
	}
	for (guint i = 10; i + 4 < tries->len; i++)
		g_assert_cmpint(
			g_array_index(tries, int64_t, i + 4) - g_array_index(tries, int64_t, i), >=,
			60 * 1000);
	g_assert_cmpuint(tries->len, >, 100);
	g_assert_cmpuint(tries->len, <, 250);
	end(&t);
}

static void test_absence(void)
{
	for (uint64_t seed = 0; seed < 50; seed++)
		check_absence(seed, seed % 2 ? STREAM_NAME : STREAM_UNREACHABLE);
}

/* Since when it is away, and since when it is back: not since the last try. */
static void test_since(void)
{
	struct setup t;
	int64_t away;

	connect(&t, false);
	pass(&t, 60 * 1000);
	g_assert_cmpint(view_of(&t).since_ms, ==, t.now_ms - 60 * 1000);
	lost(&t, SESSION_MAIN, STREAM_LOST);
	away = t.now_ms;
	for (int i = 0; i < 5; i++) {
		STATE(&t, MGMT_WAITING);
		pass(&t, view_of(&t).next_ms - t.now_ms);
		g_free(actions(&t));
		STATE(&t, MGMT_CONNECTING);
		g_assert_cmpint(view_of(&t).since_ms, ==, away);
		lost(&t, SESSION_MAIN, STREAM_LOST);
		g_assert_cmpint(view_of(&t).since_ms, ==, away);
	}
	pass(&t, view_of(&t).next_ms - t.now_ms);
	g_free(actions(&t));
	key(&t, SESSION_MAIN);
	message(&t);
	STATE(&t, MGMT_CONNECTED);
	g_assert_cmpint(view_of(&t).since_ms, ==, t.now_ms);
	end(&t);
}

/* A server that gives a map and hangs up, for ever: just as slow. */
static void test_flapping(void)
{
	struct setup t;
	int tries = 0;

	connect(&t, false);
	for (int64_t start = t.now_ms; t.now_ms < start + 3600 * 1000; tries++) {
		ended(&t, SESSION_MAIN, GRPC_OK, "");
		pass(&t, view_of(&t).next_ms - t.now_ms);
		g_free(actions(&t));
		key(&t, SESSION_MAIN);
		message(&t);
		g_free(actions(&t));
	}
	g_assert_cmpint(tries, <, 250);
	/* Well for a while: quick again. */
	pass(&t, SESSION_STEADY_MS);
	ended(&t, SESSION_MAIN, GRPC_OK, "");
	g_assert_cmpint(view_of(&t).next_ms, <=, t.now_ms + 1600);
	end(&t);
}

/* -- lives at random ------------------------------------------------------------------------ */

/* What the outside knows, from actions alone. */
struct outside {
	struct setup t;
	GRand *rand;
	enum { NOTHING, ASKED, HAVE, CALLING } lines[SESSION_LINES];
	enum verdict_call calls[SESSION_LINES];
	int enrolments; /* begun */
	bool running;
};

static void check_action(struct outside *o, const struct session_action *a)
{
	note(&o->t, a);
	switch (a->act) {
	case SESSION_FETCH_KEY:
		g_assert_cmpint(o->lines[a->line], ==, NOTHING);
		o->lines[a->line] = ASKED;
		o->calls[a->line] = a->call;
		break;
	case SESSION_CALL:
		/* No call without a key of its own; never two of a line, so never two Syncs. */
		g_assert_cmpint(o->lines[a->line], ==, HAVE);
		g_assert_cmpint(a->id, ==, o->t.ids[a->line]);
		o->lines[a->line] = CALLING;
		break;
	case SESSION_CANCEL:
		o->lines[a->line] = NOTHING;
		break;
	case SESSION_CLOSE:
		memset(o->lines, 0, sizeof(o->lines));
		break;
	case SESSION_REPORT:
	case SESSION_ENROLLED:
	case SESSION_LOGGED_OUT:
		break;
	}
}

static void drain(struct outside *o)
{
	struct session_action a;
	int n = 0;

	for (; session_next(o->t.s, &a); n++)
		check_action(o, &a);
	g_assert_cmpint(n, <, 32);
}

static const char *const texts[] = { "", "setup key is invalid", "peer login has expired",
	"peer is not registered", "already logged in", "invalid request message" };

static void end_line(struct outside *o, enum session_line n)
{
	struct grpc_result result = { .status = (enum grpc_status)g_rand_int_range(
					      o->rand, 0, 17) };

	if (g_rand_boolean(o->rand))
		result.status = GRPC_OK;
	else if (!g_rand_int_range(o->rand, 0, 3))
		result.failure = (enum stream_failure)g_rand_int_range(
			o->rand, 0, STREAM_USAGE + 1);
	if (o->lines[n] == ASKED && result.status == GRPC_OK)
		result.status = GRPC_UNAVAILABLE;
	g_strlcpy(result.text, texts[g_rand_int_range(o->rand, 0, G_N_ELEMENTS(texts))],
		sizeof(result.text));
	o->lines[n] = NOTHING;
	session_ended(o->t.s, o->t.ids[n], &result, o->t.now_ms);
}

static void push_line(struct outside *o)
{
	enum session_line n = (enum session_line)g_rand_int_range(o->rand, 0, SESSION_LINES);

	if (o->lines[n] == NOTHING || o->lines[n] == HAVE)
		return;
	if (!g_rand_int_range(o->rand, 0, 4))
		return end_line(o, n);
	if (!g_rand_int_range(o->rand, 0, 10))
		return session_broken(o->t.s, o->t.ids[n], MGMT_PROTOCOL, "odd", o->t.now_ms);
	if (o->lines[n] == ASKED) {
		o->lines[n] = HAVE;
		return session_key(o->t.s, o->t.ids[n], g_rand_boolean(o->rand), o->t.now_ms);
	}
	if (o->calls[n] == VERDICT_SYNC)
		return session_message(o->t.s, o->t.ids[n], NULL, o->t.now_ms);
	if (o->calls[n] != VERDICT_JOB)
		end_line(o, n);
}

static void shake(struct outside *o)
{
	const char *const files[] = { g_rand_boolean(o->rand) ? "/a" : "/b", NULL };
	struct setup *t = &o->t;
	struct grpc_result stale = { .status = GRPC_OK };

	switch (g_rand_int_range(o->rand, 0, 40)) {
	case 0:
		session_start(t->s, true, t->now_ms);
		o->enrolments++;
		o->running = true;
		break;
	case 1:
		session_start(t->s, false, t->now_ms);
		o->running = true;
		break;
	case 2:
		session_stop(t->s, t->now_ms);
		o->running = false;
		break;
	case 3:
		session_logout(t->s, t->now_ms);
		o->running = false;
		break;
	case 4:
		session_retry(t->s, t->now_ms);
		break;
	case 5:
		session_files(t->s, files, g_rand_boolean(o->rand), t->now_ms);
		break;
	case 6: /* of a step long past */
		session_ended(t->s, t->ids[0] + 1000000, &stale, t->now_ms);
		session_ended(t->s, 0, &stale, t->now_ms);
		session_key(t->s, 0, true, t->now_ms);
		session_message(t->s, 0, NULL, t->now_ms);
		break;
	default:
		push_line(o);
	}
}

/* Nothing is left hanging: who waits has exactly one time to be called at, who runs a call or a wait. */
static void check_view(struct outside *o)
{
	struct session_view v = view_of(&o->t);
	int64_t next = session_tick(o->t.s, o->t.now_ms);

	drain(o);
	v = view_of(&o->t);
	switch (v.state) {
	case MGMT_WAITING:
		g_assert_cmpint(next, !=, SESSION_NEVER);
		g_assert_cmpint(next, <=, v.next_ms);
		g_assert_cmpint(v.next_ms, <=, o->t.now_ms + 2 * PACE_GROWN_MS);
		g_assert_cmpstr(v.error, !=, "");
		g_assert_cmpint(o->lines[SESSION_MAIN], ==, NOTHING);
		break;
	case MGMT_CONNECTING:
		g_assert_cmpint(o->lines[SESSION_MAIN], !=, NOTHING);
		break;
	case MGMT_CONNECTED:
		g_assert_cmpint(o->lines[SESSION_MAIN], ==, CALLING);
		g_assert_cmpint(o->calls[SESSION_MAIN], ==, VERDICT_SYNC);
		break;
	case MGMT_LOGIN_NEEDED:
		g_assert_cmpint(next, ==, SESSION_NEVER);
		/* fall through */
	case MGMT_STOPPED:
		if (o->lines[SESSION_MAIN] != NOTHING)
			g_assert_cmpint(o->calls[SESSION_MAIN], ==, VERDICT_LOGOUT);
		g_assert_cmpint(o->lines[SESSION_JOB], ==, NOTHING);
		g_assert_cmpint(o->lines[SESSION_META], ==, NOTHING);
		break;
	}
	if (next != SESSION_NEVER)
		g_assert_cmpint(next, >, o->t.now_ms);
}

static void live(uint32_t seed)
{
	struct outside o = { .rand = g_rand_new_with_seed(seed), .t.now_ms = 1000 };

	o.t.s = session_new(seed);
	for (int i = 0; i < 200; i++) {
		shake(&o);
		/* Sometimes several things happen before what follows is done. */
		if (g_rand_int_range(o.rand, 0, 4))
			drain(&o);
		else
			continue;
		if (g_rand_boolean(o.rand))
			o.t.now_ms += g_rand_int_range(o.rand, 0, 20000);
		check_view(&o);
		g_assert_cmpint(o.t.enrolled, <=, o.enrolments);
	}
	session_stop(o.t.s, o.t.now_ms);
	drain(&o);
	/* Each ended exactly once. */
	g_assert_cmpint(o.t.enrolled, ==, o.enrolments);
	g_rand_free(o.rand);
	session_free(o.t.s);
}

static void test_lives(void)
{
	for (uint32_t seed = 0; seed < 10000; seed++)
		live(seed);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/session/follows", test_follows);
	g_test_add_func("/session/registers", test_registers);
	g_test_add_func("/session/logins", test_logins);
	g_test_add_func("/session/key fails", test_key_fails);
	g_test_add_func("/session/enrolment times out", test_enrolment_times_out);
	g_test_add_func("/session/enrolment is stopped", test_enrolment_is_stopped);
	g_test_add_func("/session/streams end", test_streams_end);
	g_test_add_func("/session/peer is deleted", test_peer_is_deleted);
	g_test_add_func("/session/job", test_job);
	g_test_add_func("/session/checks", test_checks);
	g_test_add_func("/session/serial", test_serial);
	g_test_add_func("/session/broken", test_broken);
	g_test_add_func("/session/logout", test_logout);
	g_test_add_func("/session/pace", test_pace);
	g_test_add_func("/session/absence", test_absence);
	g_test_add_func("/session/since", test_since);
	g_test_add_func("/session/flapping", test_flapping);
	g_test_add_func("/session/lives", test_lives);
	return g_test_run();
}
