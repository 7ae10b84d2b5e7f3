/* tests/unit/test_mgmt_errors.c - each error that the protocol's description knows of a server, and what the management
 * client does about it. That the hub's bytes are these is asserted by tests/hub/test_errors.py. */
#include <glib.h>
#include <signal.h>

#include "tests/unit/hubserver.h"

static struct hub hub;
static char *url, *setup_key;

enum then { STOPS, WAITS_LONG, GOES_ON };

static const struct row {
	const char *method;
	int skip; /* calls that are well: 1 is the login without the setup key */
	const char *code, *text;
	enum then then;
	enum mgmt_failure outcome; /* where it stops or waits */
	int logins; /* that the server has seen when all is well: 2 are the usual ones */
} rows[] = {
	/* Login, first without and then with the setup key */
	{ "Login", 0, "INVALID_ARGUMENT", "provided wgPubKey x is invalid", STOPS, MGMT_REFUSED,
		0 },
	{ "Login", 0, "INVALID_ARGUMENT", "invalid request message", GOES_ON, MGMT_OK, 2 },
	{ "Login", 0, "FAILED_PRECONDITION", "peer system meta has to be provided to log in", STOPS,
		MGMT_REFUSED, 0 },
	{ "Login", 0, "PERMISSION_DENIED", "no peer auth method provided, please use a setup key",
		GOES_ON, MGMT_OK, 1 },
	{ "Login", 0, "PERMISSION_DENIED", "peer login has expired, please log in once more", STOPS,
		MGMT_DENIED, 0 },
	{ "Login", 0, "UNKNOWN", "peer with the same public key is already logged in", WAITS_LONG,
		MGMT_DENIED, 0 },
	{ "Login", 0, "PERMISSION_DENIED", "peer with the same public key is already logged in",
		WAITS_LONG, MGMT_DENIED, 0 },
	{ "Login", 0, "UNIMPLEMENTED", "unknown method", GOES_ON, MGMT_OK, 2 },
	{ "Login", 0, "UNAVAILABLE", "", GOES_ON, MGMT_OK, 2 },
	{ "Login", 1, "NOT_FOUND", "couldn't add peer: setup key is invalid", STOPS,
		MGMT_KEY_REFUSED, 0 },
	{ "Login", 1, "INTERNAL", "couldn't add peer: setup key is invalid", STOPS,
		MGMT_KEY_REFUSED, 0 },
	{ "Login", 1, "FAILED_PRECONDITION", "couldn't add peer: setup key is invalid", STOPS,
		MGMT_KEY_REFUSED, 0 },
	{ "Login", 1, "INTERNAL", "failed handling request", GOES_ON, MGMT_OK, 3 },
	{ "Login", 1, "FAILED_PRECONDITION",
		"couldn't add peer: setup key doesn't allow extra DNS labels", STOPS, MGMT_REFUSED,
		0 },
	{ "Login", 1, "FAILED_PRECONDITION", "peer has been already registered", GOES_ON, MGMT_OK,
		3 },
	{ "Login", 1, "PERMISSION_DENIED",
		"peer is already registered by a different User or a Setup Key", STOPS, MGMT_DENIED,
		0 },
	{ "Login", 1, "PERMISSION_DENIED", "user is blocked", STOPS, MGMT_DENIED, 0 },
	{ "Login", 1, "PERMISSION_DENIED", "user pending approval cannot add peers", STOPS,
		MGMT_DENIED, 0 },
	{ "Login", 1, "INVALID_ARGUMENT", "invalid jwt token, err: x", STOPS, MGMT_REFUSED, 0 },
	{ "Login", 1, "UNAUTHENTICATED", "token was used", GOES_ON, MGMT_OK, 3 },
	/* Streams: who is refused logs in again, and for anything else they are opened again. */
	{ "Sync", 0, "PERMISSION_DENIED", "peer is not registered", GOES_ON, MGMT_OK, 3 },
	{ "Sync", 0, "PERMISSION_DENIED", "peer login has expired, please log in once more",
		GOES_ON, MGMT_OK, 3 },
	{ "Sync", 0, "PERMISSION_DENIED", "user is blocked", GOES_ON, MGMT_OK, 3 },
	{ "Sync", 0, "RESOURCE_EXHAUSTED", "too many concurrent sync requests", GOES_ON, MGMT_OK,
		2 },
	{ "Sync", 0, "UNKNOWN", "peer with the same public key is already logged in", GOES_ON,
		MGMT_OK, 2 },
	{ "Sync", 0, "INVALID_ARGUMENT", "invalid request message", GOES_ON, MGMT_OK, 2 },
	{ "Sync", 0, "UNIMPLEMENTED", "unknown method", GOES_ON, MGMT_OK, 2 },
	{ "Sync", 0, "INTERNAL", "failed handling request", GOES_ON, MGMT_OK, 2 },
	{ "Sync", 0, "UNAVAILABLE", "", GOES_ON, MGMT_OK, 2 },
	{ "Job", 0, "PERMISSION_DENIED", "peer is not registered", GOES_ON, MGMT_OK, 3 },
	{ "Job", 0, "INTERNAL", "failed handling request", GOES_ON, MGMT_OK, 2 },
};

static bool is_settled(const struct follower *f, const struct row *row)
{
	if (row->then == GOES_ON)
		return IS(f, MGMT_CONNECTED) && f->maps &&
			hub_count(&hub, "Login", f->key) == row->logins &&
			hub_has_job(&hub, f->key);
	return row->then == STOPS ? f->enrolled : IS(f, MGMT_WAITING);
}

static void check(const struct follower *f, const struct row *row)
{
	struct mgmt_status status = follower_status(f);

	g_test_message("%s %s %s: %s", row->method, row->code, row->text,
		f->error[0] ? f->error : status.error);
	if (row->then == STOPS) {
		g_assert_true(IS(f, MGMT_LOGIN_NEEDED));
		g_assert_cmpint(f->outcome, ==, row->outcome);
		g_assert_cmpstr(f->error, !=, "");
	} else if (row->then == WAITS_LONG) {
		g_assert_cmpint(f->enrolled, ==, 0);
		g_assert_cmpint(status.failure, ==, row->outcome);
		g_assert_cmpstr(status.error, ==, row->text);
		g_assert_cmpint(
			status.next_ms - status.since_ms, >, 4000); /* others begin with 0.5 s */
	} else {
		g_assert_cmpint(f->outcome, ==, MGMT_OK);
		g_assert_cmpint(status.failure, ==, MGMT_OK);
		g_assert_cmpuint(status.dropped, ==, 0);
	}
}

/* The hub is told with ' for ". So many calls; -1: all. */
static void fail_next(const struct follower *f, const char *method, const char *code,
	const char *text, int skip, int count)
{
	g_auto(GStrv) parts = g_strsplit(text, "'", -1);
	g_autofree char *escaped = g_strjoinv("\\u0027", parts);

	hub_do(&hub,
		"{'do': 'fault', 'method': '%s', 'kind': 'fail', 'code': '%s', 'text': '%s', "
		"'skip': %d, 'count': %d, 'peer': '%s'}",
		method, code, escaped, skip, count, f->key);
}

/* All at once: some take their time. */
static void test_rows(void)
{
	struct follower f[G_N_ELEMENTS(rows)] = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];

		follower_new(&f[i], url, NULL);
		fail_next(&f[i], row->method, row->code, row->text, row->skip,
			row->then == WAITS_LONG ? -1 : 1);
		mgmt_client_start(f[i].client, setup_key);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		AWAIT(15000, is_settled(&f[i], &rows[i]));
		check(&f[i], &rows[i]);
		follower_free(&f[i]);
	}
}

/* -- what is asked for beside the stream ---------------------------------------------------- */

static void join(struct follower *f)
{
	follower_new(f, url, NULL);
	mgmt_client_start(f->client, setup_key);
	AWAIT(5000, f->maps && hub_has_job(&hub, f->key));
}

/* A map is taken whatever becomes of what it asks; that is told again, unless the server does not know how. */
static void test_meta(void)
{
	static const char *const codes[] = { "FAILED_PRECONDITION", "PERMISSION_DENIED", "INTERNAL",
		"UNIMPLEMENTED" };
	struct follower f[G_N_ELEMENTS(codes)] = { 0 };
	int maps[G_N_ELEMENTS(codes)];

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
		join(&f[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		fail_next(&f[i], "SyncMeta", codes[i], "x", 0, 1);
		maps[i] = f[i].maps;
	}
	hub_do(&hub, "{'do': 'set', 'checks': [['/bin/sh']]}");
	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		bool again = i < 3;

		AWAIT(10000, hub_count(&hub, "SyncMeta", f[i].key) == again && f[i].maps > maps[i]);
		g_assert_true(IS(&f[i], MGMT_CONNECTED));
		g_assert_cmpint(hub_count(&hub, "Login", f[i].key), ==, 2);
		follower_free(&f[i]);
	}
	hub_do(&hub, "{'do': 'set', 'checks': []}");
}

/* A server without jobs is not asked again. */
static void test_no_jobs(void)
{
	struct follower f = { 0 };

	follower_new(&f, url, NULL);
	fail_next(&f, "Job", "UNIMPLEMENTED", "x", 0, 1);
	mgmt_client_start(f.client, setup_key);
	AWAIT(5000, follower_status(&f).job_unsupported);
	hub_do(&hub, "{'do': 'push', 'peer': '%s'}", f.key);
	AWAIT(5000, f.maps > 1);
	g_assert_cmpint(hub_count(&hub, "Job", f.key), ==, 0);
	g_assert_true(IS(&f, MGMT_CONNECTED));
	follower_free(&f);
}

static void test_logout(void)
{
	static const struct {
		const char *code;
		enum mgmt_failure outcome;
	} table[] = { { "NOT_FOUND", MGMT_OK }, { "INTERNAL", MGMT_REFUSED },
		{ "PERMISSION_DENIED", MGMT_DENIED }, { "UNAVAILABLE", MGMT_UNREACHABLE } };

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct follower f = { 0 };

		join(&f);
		fail_next(&f, "Logout", table[i].code, "x", 0, 1);
		mgmt_client_logout(f.client, follower_logged_out, &f);
		AWAIT(5000, f.logged_out);
		g_assert_cmpint(f.outcome, ==, table[i].outcome);
		follower_free(&f);
	}
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	hub_start(&hub, 0, (const char *[]){ "--group-ms", "50", NULL });
	url = g_strdup_printf("http://127.0.0.1:%d", hub.port);
	setup_key = hub_text(&hub, "{'do': 'add-key'}");
	g_test_add_func("/mgmt errors/rows", test_rows);
	g_test_add_func("/mgmt errors/meta", test_meta);
	g_test_add_func("/mgmt errors/no jobs", test_no_jobs);
	g_test_add_func("/mgmt errors/logout", test_logout);
	r = g_test_run();
	hub_stop(&hub);
	g_free(url);
	g_free(setup_key);
	return r;
}
