/* tests/unit/test_mgmt_client.c - the management client against a server of another make (grpcio). */
#include <glib.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/hubserver.h"

static struct hub hub;
static char *url, *setup_key;

static char *url_of(const char *scheme, const char *host, int port)
{
	return g_strdup_printf("%s://%s:%d", scheme, host, port);
}

/* -- the straight way ----------------------------------------------------------------------- */

static void join_with(struct follower *f, const char *key, const struct mgmt_options *options)
{
	follower_new(f, url, options);
	mgmt_client_start(f->client, key);
	AWAIT(5000, f->maps && IS(f, MGMT_CONNECTED));
	g_assert_cmpint(f->enrolled, ==, 1);
	g_assert_cmpint(f->outcome, ==, MGMT_OK);
}

static void join(struct follower *f, const struct mgmt_options *options)
{
	join_with(f, setup_key, options);
}

static void test_follows(void)
{
	struct follower f = { 0 }, other = { 0 };
	struct mgmt_status status;
	int64_t begun = g_get_monotonic_time();
	struct wg_key key;
	size_t hosts;

	join(&f, NULL);
	g_test_message("start to first map, with registration: %d ms",
		(int)(f.first_map_us - begun) / 1000);
	status = follower_status(&f);
	g_assert_cmpint(status.failure, ==, MGMT_OK);
	g_assert_cmpstr(status.error, ==, "");
	g_assert_cmpstr(status.address, ==, "127.0.0.1");
	g_assert_cmpuint(status.messages, ==, 1);
	g_assert_cmpuint(status.dropped, ==, 0);
	g_assert_cmpuint(status.attempts, ==, 3);
	g_assert_false(status.cleartext);
	g_assert_cmpint(f.logins, ==, 1);
	g_assert_true(mgmt_client_server_key(f.client, &key));
	g_assert_cmpuint(f.serial, ==, status.serial);
	hosts = f.hosts;
	join(&other, NULL);
	AWAIT(5000, f.hosts == hosts + 1);
	/* The second time without a key, and as the same peer. */
	mgmt_client_start(f.client, NULL);
	begun = g_get_monotonic_time();
	f.maps = 0;
	AWAIT(5000, f.maps);
	g_test_message("start to first map: %d ms", (int)(f.first_map_us - begun) / 1000);
	g_assert_cmpint(f.enrolled, ==, 1);
	mgmt_client_stop(f.client);
	g_assert_true(IS(&f, MGMT_STOPPED));
	follower_free(&f);
	follower_free(&other);
}

/* Said as the server's messages have it, decoded by another protobuf. */
static void test_says(void)
{
	static const char *const labels[] = { "extra", NULL };
	struct mgmt_options options = { .hostname = "srv9",
		.dns_labels = labels,
		.switches = { .no_client_routes = true, .no_firewall = true } };
	g_autofree char *key = hub_text(&hub, "{'do': 'add-key', 'extra_labels': true}");
	struct follower f = { 0 };
	json_t *requests, *message, *meta, *flags;

	follower_new(&f, url, &options);
	mgmt_client_start(f.client, key);
	AWAIT(5000, f.maps);
	requests = hub_tell(&hub, "{'do': 'requests', 'method': 'Login', 'peer': '%s'}", f.key);
	g_assert_cmpuint(json_array_size(requests), ==, 2);
	message = json_object_get(json_array_get(requests, 0), "message");
	g_assert_null(json_object_get(message, "setupKey"));
	message = json_object_get(json_array_get(requests, 1), "message");
	g_assert_cmpstr(json_string_value(json_object_get(message, "setupKey")), ==, key);
	meta = json_object_get(message, "meta");
	g_assert_cmpstr(json_string_value(json_object_get(meta, "hostname")), ==, "srv9");
	g_assert_cmpstr(json_string_value(json_object_get(meta, "goOS")), ==, "linux");
	flags = json_object_get(meta, "flags");
	g_assert_true(json_is_true(json_object_get(flags, "disableClientRoutes")));
	g_assert_true(json_is_true(json_object_get(flags, "disableFirewall")));
	g_assert_cmpuint(json_array_size(json_object_get(message, "dnsLabels")), ==, 1);
	json_decref(requests);
	requests = hub_tell(&hub, "{'do': 'requests', 'method': 'Sync', 'peer': '%s'}", f.key);
	message = json_array_get(requests, 0);
	g_assert_true(json_is_null(json_object_get(message, "timeout_s")));
	json_decref(requests);
	follower_free(&f);
}

static void test_refused(void)
{
	g_autofree char *once = hub_text(&hub, "{'do': 'add-key', 'reusable': false}");
	struct follower f = { 0 }, other = { 0 };
	int logins;

	follower_new(&f, url, NULL);
	mgmt_client_start(f.client, "11111111-2222-3333-4444-555555555555");
	AWAIT(5000, f.enrolled);
	g_assert_cmpint(f.outcome, ==, MGMT_KEY_REFUSED);
	g_assert_cmpstr(f.error, ==, "couldn't add peer: setup key is invalid");
	g_assert_true(IS(&f, MGMT_LOGIN_NEEDED));
	/* No key at all. */
	mgmt_client_start(f.client, NULL);
	AWAIT(5000, IS(&f, MGMT_LOGIN_NEEDED));
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_KEY_NEEDED);
	logins = hub_count(&hub, "Login", f.key);
	/* The good one, once; in capitals, as people paste it. */
	for (char *c = once; *c; c++)
		*c = g_ascii_toupper(*c);
	mgmt_client_start(f.client, once);
	AWAIT(5000, f.enrolled == 2);
	g_assert_cmpint(f.outcome, ==, MGMT_OK);
	g_assert_cmpint(hub_count(&hub, "Login", f.key), ==, logins + 2);
	follower_new(&other, url, NULL);
	mgmt_client_start(other.client, once);
	AWAIT(5000, other.enrolled);
	g_assert_cmpint(other.outcome, ==, MGMT_KEY_REFUSED);
	g_assert_cmpint(other.maps, ==, 0);
	follower_free(&f);
	follower_free(&other);
}

/* -- faults: each strikes a client of its own, all at the same time --------------------------- */

/* Errors with a status of their own are in test_mgmt_errors.c. */
static const struct {
	const char *method, *fault;
	int dropped; /* at least */
} faults[] = {
	{ "Sync", "'kind': 'delay', 'ms': 1500", 0 },
	{ "Sync", "'kind': 'end'", 0 },
	{ "Sync", "'kind': 'end', 'at': 2", 0 },
	{ "Sync", "'kind': 'twice'", 0 },
	{ "Sync", "'kind': 'oversize'", 0 },
	{ "Sync", "'kind': 'truncate'", 1 },
	{ "Sync", "'kind': 'cut'", 1 },
	{ "Sync", "'kind': 'garbage'", 1 },
	{ "Sync", "'kind': 'garbage', 'bytes': 40", 1 },
	{ "Sync", "'kind': 'not-proto'", 1 },
	{ "Sync", "'kind': 'short'", 1 },
	{ "Sync", "'kind': 'short', 'bytes': 0", 1 },
	{ "Sync", "'kind': 'wrong-key'", 1 },
	{ "Sync", "'kind': 'raw', 'hex': 'ffff'", 1 },
	{ "Sync", "'kind': 'raw-envelope', 'hex': ''", 1 },
	{ "Login", "'kind': 'fail', 'code': 'UNAVAILABLE', 'late': true, 'skip': 1", 0 },
	{ "Login", "'kind': 'end', 'skip': 1", 0 },
	{ "Login", "'kind': 'oversize', 'skip': 1", 0 },
	{ "Login", "'kind': 'garbage', 'skip': 1", 1 },
	{ "Login", "'kind': 'cut', 'skip': 1", 1 },
	{ "Login", "'kind': 'short', 'skip': 1", 1 },
	{ "Login", "'kind': 'wrong-key', 'skip': 1", 1 },
	{ "Login", "'kind': 'not-proto', 'skip': 1", 1 },
	{ "Login", "'kind': 'raw', 'hex': 'ffff', 'skip': 1", 1 },
	{ "Login", "'kind': 'raw', 'hex': '', 'skip': 1", 1 },
};

static bool all_connected(struct follower *f, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!f[i].maps || !IS(&f[i], MGMT_CONNECTED))
			return false;
	return true;
}

static void test_faults(void)
{
	struct follower f[G_N_ELEMENTS(faults)] = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
		follower_new(&f[i], url, NULL);
		hub_do(&hub, "{'do': 'fault', 'method': '%s', 'peer': '%s', %s}", faults[i].method,
			f[i].key, faults[i].fault);
		mgmt_client_start(f[i].client, setup_key);
	}
	AWAIT(30000, all_connected(f, G_N_ELEMENTS(faults)));
	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
		struct mgmt_status status = follower_status(&f[i]);

		g_test_message("%s %s: dropped %d, attempts %d", faults[i].method, faults[i].fault,
			(int)status.dropped, (int)status.attempts);
		g_assert_cmpint(f[i].enrolled, ==, 1);
		g_assert_cmpint(f[i].outcome, ==, MGMT_OK);
		g_assert_cmpuint(status.dropped, >=, (guint)faults[i].dropped);
		g_assert_cmpint(status.failure, ==, MGMT_OK);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		follower_free(&f[i]);
	hub_do(&hub, "{'do': 'unfault'}");
}

static const char *const key_faults[] = {
	"'kind': 'fail', 'code': 'UNAVAILABLE'", "'kind': 'fail', 'code': 'PERMISSION_DENIED'",
	"'kind': 'fail', 'code': 'UNIMPLEMENTED'", "'kind': 'end'", "'kind': 'key', 'text': ''",
	"'kind': 'key', 'text': 'other'",
	"'kind': 'key', 'text': 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='",
	"'kind': 'key', 'text': 'not base64'", "'kind': 'not-proto'", "'kind': 'oversize'",
	"'kind': 'stall', 'skip': 1", /* connected: 5 s are enough */
};

static void test_key_faults(void)
{
	/* Of whom it is nobody knows: one after the other. */
	for (size_t i = 0; i < G_N_ELEMENTS(key_faults); i++) {
		struct follower f = { 0 };

		follower_new(&f, url, NULL);
		hub_do(&hub, "{'do': 'fault', 'method': 'GetServerKey', %s}", key_faults[i]);
		mgmt_client_start(f.client, setup_key);
		/* A stall lasts as long as the key's deadline. */
		AWAIT(30000, f.maps);
		g_assert_cmpint(f.outcome, ==, MGMT_OK);
		g_assert_cmpuint(follower_status(&f).attempts, >, 3);
		AWAIT(3000, hub_has_job(&hub, f.key)); /* it asks for no further key */
		follower_free(&f);
	}
}

/* -- what a stream brings ------------------------------------------------------------------- */

static void test_messages(void)
{
	struct mgmt_options options = { .max_peers = 50 };
	struct follower f = { 0 };
	g_autofree char *key = NULL;
	int updates;

	hub_do(&hub, "{'do': 'add-account', 'name': 'small'}");
	key = hub_text(&hub, "{'do': 'add-key', 'account': 'small'}");
	join_with(&f, key, &options);
	/* Configuration alone; nothing at all. */
	updates = f.updates;
	hub_do(&hub, "{'do': 'refresh'}");
	AWAIT(3000, f.updates > updates);
	g_assert_cmpint(f.maps, ==, 1);
	hub_do(&hub, "{'do': 'push-raw', 'peer': '%s', 'hex': ''}", f.key);
	AWAIT(3000, f.updates > updates + 1);
	/* An older map is not taken, what else it says is. */
	hub_do(&hub,
		"{'do': 'push-raw', 'peer': '%s', 'json': {'netbirdConfig': {}, 'NetworkMap': "
		"{'Serial': 0, 'peerConfig': {'address': '100.64.0.1/16'}}}}",
		f.key);
	AWAIT(3000, f.updates > updates + 2);
	g_assert_cmpint(f.maps, ==, 1);
	/* Without an address of ours: said, and the stream goes on. */
	hub_do(&hub, "{'do': 'push-raw', 'peer': '%s', 'json': {'NetworkMap': {'Serial': 99}}}",
		f.key);
	AWAIT(3000, follower_status(&f).dropped == 1);
	g_assert_true(IS(&f, MGMT_CONNECTED));
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_PROTOCOL);
	hub_do(&hub, "{'do': 'push', 'peer': '%s'}", f.key);
	AWAIT(3000, f.maps == 2);
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_OK);
	/* More peers than allowed. */
	hub_do(&hub, "{'do': 'fake', 'account': 'small', 'peers': 100}");
	AWAIT(5000, follower_status(&f).dropped == 2);
	g_assert_true(IS(&f, MGMT_CONNECTED));
	hub_do(&hub, "{'do': 'fake', 'account': 'small', 'peers': 0}");
	AWAIT(5000, follower_status(&f).failure == MGMT_OK);
	follower_free(&f);
}

static void test_endless(void)
{
	struct follower f = { 0 };

	follower_new(&f, url, NULL);
	hub_do(&hub, "{'do': 'fault', 'method': 'Sync', 'kind': 'endless', 'peer': '%s'}", f.key);
	mgmt_client_start(f.client, setup_key);
	/* Timers and others still have their turn. */
	AWAIT(10000, f.maps > 500);
	mgmt_client_stop(f.client);
	follower_free(&f);
}

static void test_checks(void)
{
	static const char *const allowed[] = { "/bin", NULL };
	struct mgmt_options options = { .file_checks = allowed };
	struct follower f = { 0 };
	json_t *requests, *files;
	int maps;

	join(&f, &options);
	maps = f.maps;
	hub_do(&hub,
		"{'do': 'fault', 'method': 'SyncMeta', 'kind': 'fail', 'code': 'INTERNAL', 'peer': '%s'}",
		f.key);
	hub_do(&hub, "{'do': 'set', 'checks': [['/bin/sh', '/etc/shadow']]}");
	AWAIT(3000, f.maps > maps);
	/* The one that failed has no name in the hub's records. */
	AWAIT(5000,
		hub_count(&hub, "SyncMeta", f.key) == 1 && hub_count(&hub, "SyncMeta", "") == 2);
	requests = hub_tell(
		&hub, "{'do': 'requests', 'method': 'SyncMeta', 'peer': '%s', 'last': 1}", f.key);
	files = json_object_get(
		json_object_get(json_object_get(json_array_get(requests, 0), "message"), "meta"),
		"files");
	g_assert_cmpuint(json_array_size(files), ==, 2);
	g_assert_cmpstr(json_string_value(json_object_get(json_array_get(files, 0), "path")), ==,
		"/bin/sh");
	g_assert_true(json_is_true(json_object_get(json_array_get(files, 0), "exist")));
	g_assert_null(json_object_get(json_array_get(files, 1), "exist"));
	json_decref(requests);
	g_assert_cmpuint(follower_status(&f).files_refused, ==, 1);
	g_assert_cmpstr(mgmt_client_files(f.client)[0], ==, "/bin/sh");
	g_assert_cmpstr(mgmt_client_files(f.client)[1], ==, "/etc/shadow");
	g_assert_null(mgmt_client_files(f.client)[2]);
	g_assert_true(IS(&f, MGMT_CONNECTED));
	/* A new stream says it at once. */
	hub_do(&hub, "{'do': 'end', 'peer': '%s'}", f.key);
	AWAIT(5000, hub_count(&hub, "Sync", f.key) == 2 && IS(&f, MGMT_CONNECTED));
	requests = hub_tell(
		&hub, "{'do': 'requests', 'method': 'Sync', 'peer': '%s', 'last': 1}", f.key);
	files = json_object_get(
		json_object_get(json_object_get(json_array_get(requests, 0), "message"), "meta"),
		"files");
	g_assert_cmpuint(json_array_size(files), ==, 2);
	json_decref(requests);
	hub_do(&hub, "{'do': 'set', 'checks': []}");
	AWAIT(8000, hub_count(&hub, "SyncMeta", f.key) == 2);
	follower_free(&f);
}

static size_t count_answers(void)
{
	json_t *answers = hub_tell(&hub, "{'do': 'job-answers'}");
	size_t n = json_array_size(answers);

	json_decref(answers);
	return n;
}

static void test_jobs(void)
{
	struct mgmt_options options = { .jobs = true };
	struct follower f = { 0 }, refusing = { 0 };
	json_t *answers;

	join(&f, &options);
	join(&refusing, NULL);
	AWAIT(3000, hub_has_job(&hub, f.key) && hub_has_job(&hub, refusing.key));
	hub_do(&hub, "{'do': 'forget'}");
	hub_do(&hub, "{'do': 'job', 'peer': '%s', 'json': {}}", f.key);
	hub_do(&hub, "{'do': 'job', 'peer': '%s', 'json': {'ID': 'am9iMQ==', 'bundle': {}}}",
		f.key);
	hub_do(&hub, "{'do': 'job', 'peer': '%s', 'json': {'ID': 'am9iMg==', 'bundle': {}}}",
		refusing.key);
	AWAIT(3000, count_answers() == 2);
	answers = hub_tell(&hub, "{'do': 'job-answers'}");
	for (size_t i = 0; i < 2; i++) {
		json_t *answer = json_array_get(answers, i);

		g_assert_cmpstr(json_string_value(json_object_get(answer, "status")), ==, "failed");
		/* base64 of "job not implemented" or "jobs are not ..." */
		g_assert_true(g_str_has_prefix(
			json_string_value(json_object_get(answer, "Reason")), "am9i"));
	}
	json_decref(answers);
	g_assert_cmpuint(follower_status(&f).jobs_refused, ==, 0);
	g_assert_cmpuint(follower_status(&refusing).jobs_refused, ==, 1);
	/* One that makes no sense, and one after it. */
	hub_do(&hub, "{'do': 'job', 'peer': '%s', 'hex': 'ffff'}", f.key);
	AWAIT(3000, follower_status(&f).dropped == 1);
	g_assert_true(IS(&f, MGMT_CONNECTED));
	AWAIT(5000, hub_count(&hub, "Job", f.key) == 1);
	follower_free(&f);
	follower_free(&refusing);
}

/* -- ends ----------------------------------------------------------------------------------- */

static void test_removed(void)
{
	struct follower f = { 0 };
	int logins;

	join(&f, NULL);
	hub_do(&hub, "{'do': 'remove', 'peer': '%s'}", f.key);
	AWAIT(8000, IS(&f, MGMT_LOGIN_NEEDED));
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_KEY_NEEDED);
	logins = hub_count(&hub, "Login", f.key);
	mgmt_client_start(f.client, setup_key);
	AWAIT(5000, f.enrolled == 2 && IS(&f, MGMT_CONNECTED));
	g_assert_cmpint(hub_count(&hub, "Login", f.key), ==, logins + 2);
	/* Blocked: refused, but it stays the network's. */
	hub_do(&hub, "{'do': 'mark', 'peer': '%s', 'blocked': true}", f.key);
	AWAIT(8000, IS(&f, MGMT_LOGIN_NEEDED));
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_DENIED);
	hub_do(&hub, "{'do': 'mark', 'peer': '%s', 'blocked': false}", f.key);
	mgmt_client_retry(f.client);
	AWAIT(8000, IS(&f, MGMT_CONNECTED));
	follower_free(&f);
}

static void test_logout(void)
{
	struct follower f = { 0 };

	join(&f, NULL);
	mgmt_client_logout(f.client, follower_logged_out, &f);
	g_assert_cmpint(f.logged_out, ==, 0);
	AWAIT(5000, f.logged_out);
	g_assert_cmpint(f.outcome, ==, MGMT_OK);
	g_assert_true(IS(&f, MGMT_STOPPED));
	/* Again: it is gone already. */
	mgmt_client_logout(f.client, follower_logged_out, &f);
	AWAIT(5000, f.logged_out == 2);
	g_assert_cmpint(f.outcome, ==, MGMT_OK);
	/* Interrupted: said once, and not from inside. */
	mgmt_client_logout(f.client, follower_logged_out, &f);
	mgmt_client_stop(f.client);
	g_assert_cmpint(f.logged_out, ==, 2);
	AWAIT(5000, f.logged_out == 3);
	g_assert_cmpint(f.outcome, ==, MGMT_UNREACHABLE);
	follower_free(&f);
}

/* Freed at any moment, also from inside of its callbacks. */
static void test_freed(void)
{
	for (int steps = 0; steps < 60; steps++) {
		struct follower f = { 0 };

		follower_new(&f, url, NULL);
		mgmt_client_start(f.client, setup_key);
		for (int i = 0; i < steps; i++)
			g_main_context_iteration(NULL, FALSE), g_usleep(200);
		follower_free(&f);
	}
	for (int i = 0; i < 2; i++) {
		struct follower f = { .free_in_update = true };

		follower_new(&f, url, NULL);
		mgmt_client_start(f.client, setup_key);
		AWAIT(5000, !f.client);
		follower_free(&f);
	}
	while (g_main_context_iteration(NULL, FALSE))
		;
}

/* -- the server goes away ------------------------------------------------------------------- */

static void test_new_key(void)
{
	struct follower f = { 0 };
	uint64_t serial;
	int maps;

	join(&f, NULL);
	serial = f.serial;
	hub_do(&hub, "{'do': 'new-key'}");
	hub_do(&hub, "{'do': 'push', 'peer': '%s'}", f.key);
	AWAIT(5000, follower_status(&f).dropped == 1);
	maps = f.maps;
	AWAIT(5000, IS(&f, MGMT_CONNECTED) && f.maps > maps);
	/* Restarted, and it counts from the beginning. */
	hub_do(&hub, "{'do': 'serial', 'serial': 1}");
	maps = f.maps;
	hub_do(&hub, "{'do': 'restart', 'down': 0.5}");
	AWAIT(10000, IS(&f, MGMT_CONNECTED) && f.maps > maps);
	g_assert_cmpuint(serial, >, f.serial);
	follower_free(&f);
}

static void test_killed(void)
{
	struct follower f = { 0 };
	struct hub other = { 0 };
	g_autofree char *state = NULL, *other_url = NULL, *key = NULL;
	int port;

	other.directory = g_dir_make_tmp("hub.XXXXXX", NULL);
	state = g_build_filename(other.directory, "state", NULL);
	hub_start(&other, 0, (const char *[]){ "--state", state, NULL });
	port = other.port;
	other_url = url_of("http", "127.0.0.1", port);
	key = hub_text(&other, "{'do': 'add-key'}");
	follower_new(&f, other_url, NULL);
	mgmt_client_start(f.client, key);
	AWAIT(5000, f.maps);
	hub_kill(&other);
	AWAIT(2000, IS(&f, MGMT_WAITING));
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_UNREACHABLE);
	g_assert_cmpint(follower_status(&f).next_ms, >, 0);
	hub_start(&other, port, (const char *[]){ "--state", state, NULL });
	f.maps = 0;
	AWAIT(20000, IS(&f, MGMT_CONNECTED) && f.maps);
	g_assert_cmpint(hub_count(&other, "Login", ""), ==, 0);
	follower_free(&f);
	hub_stop(&other);
}

/* -- TLS, names, cleartext ------------------------------------------------------------------ */

static void test_tls(void)
{
	struct hub tls = { .directory = g_dir_make_tmp("hub.XXXXXX", NULL) };
	g_autofree char *cert = g_build_filename(tls.directory, "cert.pem", NULL);
	g_autofree char *key = g_build_filename(tls.directory, "key.pem", NULL);
	g_autofree char *ca = g_build_filename(tls.directory, "ca.pem", NULL);
	g_autofree char *ca2 = g_build_filename(tls.directory, "ca2.pem", NULL);
	g_autofree char *good = NULL, *wrong_name = NULL, *setup = NULL;
	struct mgmt_options options = { .ca_file = ca };
	struct follower f = { 0 }, wrong = { 0 }, name = { 0 };

	hub_make_certificates(tls.directory);
	hub_start(&tls, 0,
		(const char *[]){ "--tls", "127.0.0.1:0", "--cert", cert, "--key", key, NULL });
	good = url_of("https", "localhost", tls.tls_port);
	wrong_name = url_of("https", "127.0.0.1", tls.tls_port);
	setup = hub_text(&tls, "{'do': 'add-key'}");
	follower_new(&f, good, &options);
	mgmt_client_start(f.client, setup);
	AWAIT(5000, f.maps);
	g_assert_cmpint(f.outcome, ==, MGMT_OK);
	follower_new(&name, wrong_name, &options);
	mgmt_client_start(name.client, setup);
	AWAIT(5000, name.enrolled);
	g_assert_cmpint(name.outcome, ==, MGMT_TLS);
	g_test_message("%s", name.error);
	options.ca_file = ca2;
	follower_new(&wrong, good, &options);
	mgmt_client_start(wrong.client, setup);
	AWAIT(5000, wrong.enrolled);
	g_assert_cmpint(wrong.outcome, ==, MGMT_TLS);
	g_test_message("%s", wrong.error);
	/* Without anybody waiting it goes on trying. */
	mgmt_client_start(wrong.client, NULL);
	AWAIT(5000, IS(&wrong, MGMT_WAITING));
	g_assert_cmpint(follower_status(&wrong).failure, ==, MGMT_TLS);
	/* Its key may change as it likes. */
	hub_do(&tls, "{'do': 'restart'}");
	f.maps = 0;
	AWAIT(10000, f.maps);
	follower_free(&f);
	follower_free(&wrong);
	follower_free(&name);
	hub_stop(&tls);
}

/* A server that takes none without a certificate: it is shown one, or the enrolment ends and says why. */
static void test_client_certificate(void)
{
	struct hub strict = { .directory = g_dir_make_tmp("hub.XXXXXX", NULL) };
	g_autofree char *cert = g_build_filename(strict.directory, "cert.pem", NULL);
	g_autofree char *key = g_build_filename(strict.directory, "key.pem", NULL);
	g_autofree char *ca = g_build_filename(strict.directory, "ca.pem", NULL);
	g_autofree char *strict_url = NULL, *setup = NULL;
	struct mgmt_options options = { .ca_file = ca, .client_cert = cert, .client_key = key };
	struct follower f = { 0 }, bare = { 0 };

	hub_make_certificates(strict.directory);
	hub_start(&strict, 0,
		(const char *[]){ "--tls", "127.0.0.1:0", "--cert", cert, "--key", key,
			"--client-ca", ca, NULL });
	strict_url = url_of("https", "localhost", strict.tls_port);
	setup = hub_text(&strict, "{'do': 'add-key'}");
	follower_new(&f, strict_url, &options);
	mgmt_client_start(f.client, setup);
	AWAIT(5000, f.maps && hub_has_job(&strict, f.key));
	options.client_cert = options.client_key = NULL;
	follower_new(&bare, strict_url, &options);
	mgmt_client_start(bare.client, setup);
	AWAIT(5000, bare.enrolled);
	g_assert_cmpint(bare.outcome, ==, MGMT_TLS);
	g_assert_nonnull(strstr(bare.error, "wants a certificate"));
	follower_free(&f);
	follower_free(&bare);
	hub_stop(&strict);
}

/* A name that is not known, and an address of old; over http:// to what is not loopback by its name. */
static void test_cleartext(void)
{
	g_autofree char *far = url_of("http", "hub.invalid", hub.port);
	struct mgmt_options options = { .address = "127.0.0.1" };
	struct follower f = { 0 };
	struct wg_key before, after;
	int syncs;

	follower_new(&f, far, &options);
	g_assert_true(follower_status(&f).cleartext);
	mgmt_client_start(f.client, setup_key);
	AWAIT(15000, f.maps);
	g_assert_true(mgmt_client_server_key(f.client, &before));
	hub_do(&hub, "{'do': 'restart'}");
	syncs = hub_count(&hub, "Sync", f.key);
	AWAIT(20000, follower_status(&f).failure == MGMT_SERVER_KEY_CHANGED);
	g_assert_true(IS(&f, MGMT_WAITING));
	/* A setup key is not given to it either. */
	mgmt_client_start(f.client, setup_key);
	AWAIT(20000, f.enrolled == 2);
	g_assert_cmpint(f.outcome, ==, MGMT_SERVER_KEY_CHANGED);
	g_assert_cmpint(hub_count(&hub, "Sync", f.key), ==, syncs);
	mgmt_client_server_key(f.client, &after);
	g_assert_true(key_is_same(&before, &after));
	/* Somebody says that it is well. */
	mgmt_client_trust_key(f.client, NULL);
	mgmt_client_start(f.client, NULL);
	AWAIT(20000, IS(&f, MGMT_CONNECTED));
	mgmt_client_server_key(f.client, &after);
	g_assert_false(key_is_same(&before, &after));
	/* Or which one it is; and not the next one after it. */
	mgmt_client_trust_key(f.client, &before);
	mgmt_client_start(f.client, NULL);
	AWAIT(20000, follower_status(&f).failure == MGMT_SERVER_KEY_CHANGED);
	mgmt_client_trust_key(f.client, &after);
	AWAIT(20000, IS(&f, MGMT_CONNECTED));
	follower_free(&f);
}

static void test_absent(void)
{
	struct follower f = { 0 };

	follower_new(&f, "http://127.0.0.1:9", NULL);
	mgmt_client_start(f.client, NULL);
	AWAIT(10000, follower_status(&f).attempts >= 3);
	g_assert_cmpint(follower_status(&f).failure, ==, MGMT_UNREACHABLE);
	g_assert_cmpint(f.updates, ==, 0);
	mgmt_client_stop(f.client);
	follower_free(&f);
	mgmt_client_free(NULL);
}

static size_t resident_kib(void)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	return (size_t)g_ascii_strtoull(strchr(text, ' '), NULL, 10) *
		(size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static int64_t used_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
		usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void fail_often(struct follower *f, int tries)
{
	for (int i = 0; i < tries; i++) {
		mgmt_client_start(f->client, NULL);
		AWAIT(5000, IS(f, MGMT_WAITING));
	}
}

/* As many tries as there are in more than an hour without a server. */
static void test_absent_for_an_hour(void)
{
	enum { TRIES = 240 };
	struct follower f = { 0 };
	int64_t cpu;
	size_t rss;

	follower_new(&f, "http://127.0.0.1:9", NULL);
	fail_often(&f, 50);
	rss = resident_kib();
	cpu = used_us();
	fail_often(&f, TRIES);
	cpu = used_us() - cpu;
	rss = resident_kib() - rss;
	g_test_message("%d tries: %d ms of CPU, %d KiB more", TRIES, (int)cpu / 1000, (int)rss);
#ifndef __SANITIZE_ADDRESS__
	g_assert_cmpint((int)rss, <, 512);
	g_assert_cmpint(cpu, <, 2 * G_USEC_PER_SEC);
#endif
	follower_free(&f);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	hub_start(&hub, 0, (const char *[]){ "--group-ms", "50", NULL });
	url = url_of("http", "127.0.0.1", hub.port);
	setup_key = hub_text(&hub, "{\"do\": \"add-key\"}");
	g_test_add_func("/mgmt client/follows", test_follows);
	g_test_add_func("/mgmt client/says", test_says);
	g_test_add_func("/mgmt client/refused", test_refused);
	g_test_add_func("/mgmt client/faults", test_faults);
	g_test_add_func("/mgmt client/key faults", test_key_faults);
	g_test_add_func("/mgmt client/messages", test_messages);
	g_test_add_func("/mgmt client/endless", test_endless);
	g_test_add_func("/mgmt client/checks", test_checks);
	g_test_add_func("/mgmt client/jobs", test_jobs);
	g_test_add_func("/mgmt client/removed", test_removed);
	g_test_add_func("/mgmt client/logout", test_logout);
	g_test_add_func("/mgmt client/freed", test_freed);
	g_test_add_func("/mgmt client/new key", test_new_key);
	g_test_add_func("/mgmt client/killed", test_killed);
	g_test_add_func("/mgmt client/tls", test_tls);
	g_test_add_func("/mgmt client/client certificate", test_client_certificate);
	g_test_add_func("/mgmt client/cleartext", test_cleartext);
	g_test_add_func("/mgmt client/absent", test_absent);
	g_test_add_func("/mgmt client/absent for an hour", test_absent_for_an_hour);
	r = g_test_run();
	hub_stop(&hub);
	g_free(url);
	g_free(setup_key);
	return r;
}
