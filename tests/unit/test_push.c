/* tests/unit/test_push.c - samples on their way to a real server (tests/hub/ingest.py) that behaves, or does not. */
#include "agent/push.h"

#include <gio/gio.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/samples.h"
#include "tests/unit/rpcserver.h"

enum { TIMEOUT_MS = 5000, SHORT_MS = 150, INTERVAL_MS = 60 };

static const struct wg_key own = { { 1 } }, remote = { { 2 } };
static char directory[] = "/tmp/lapwing-test-push-XXXXXX";

/* -- the server ------------------------------------------------------------------------------- */

struct server {
	GSubprocess *process;
	int port;
	char url[64], config_url[64];
};
static struct server plain, secure;

static char *in_directory(const char *name)
{
	return g_build_filename(directory, name, NULL);
}

static void start_server(struct server *s, const char *certificate, const char *key)
{
	g_autoptr(GDataInputStream) lines = NULL;
	g_autofree char *line = NULL;

	s->process = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL,
		"/usr/bin/python3", "tests/hub/ingest.py", directory, "0", certificate, key, NULL);
	g_assert_nonnull(s->process);
	lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(s->process));
	line = g_data_input_stream_read_line(lines, NULL, NULL, NULL);
	g_assert_nonnull(line);
	s->port = atoi(line);
	g_snprintf(s->url, sizeof(s->url), "http%s://localhost:%d/write", key ? "s" : "", s->port);
	g_snprintf(s->config_url, sizeof(s->config_url), "http%s://127.0.0.1:%d/config",
		key ? "s" : "", s->port);
}

static void stop_server(struct server *s)
{
	g_subprocess_force_exit(s->process);
	g_subprocess_wait(s->process, NULL, NULL);
	g_object_unref(s->process);
}

/* How it behaves from now on; nothing has been asked yet. */
static void behave(const char *config, const char *push)
{
	g_autofree char *mode = in_directory("mode"), *log = in_directory("log");
	g_autofree char *text = g_strdup_printf("{\"config\": %s, \"push\": %s}", config, push);

	g_assert_true(g_file_set_contents(mode, text, -1, NULL));
	remove(log);
}

static unsigned asked_with(const char *method, char **ret_last)
{
	g_autofree char *log = in_directory("log"), *text = NULL;
	g_auto(GStrv) lines = NULL;
	unsigned n = 0;

	if (!g_file_get_contents(log, &text, NULL, NULL))
		return 0;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		json_t *entry = json_loads(*line, 0, NULL);

		if (entry && !strcmp(json_string_value(json_object_get(entry, "method")), method)) {
			n++;
			if (ret_last) {
				g_free(*ret_last);
				*ret_last = g_strdup(*line);
			}
		}
		json_decref(entry);
	}
	return n;
}

/* -- one life --------------------------------------------------------------------------------- */

static struct samples *some_samples(int n)
{
	struct samples *s = samples_new();
	const struct samples_stages stages = { 1000, 1250, 1300 };
	int64_t now_ns = g_get_real_time() * 1000;

	samples_set_network(s, "https://netbird.example.net", &own);
	if (n-- > 0)
		samples_add_connection(s, &remote, &stages, now_ns);
	if (n-- > 0)
		samples_add_login(s, 123456, false, now_ns);
	if (n-- > 0)
		samples_add_phase(s, SAMPLES_SAVING, 77, now_ns);
	for (; n > 0; n--)
		samples_add_sync(s, n, now_ns);
	return s;
}

static struct push_settings asking(void)
{
	return (struct push_settings){ .config_url = plain.config_url, .timeout_ms = TIMEOUT_MS };
}

/* Without a configuration. */
static struct push_settings forcing(void)
{
	return (struct push_settings){ .server_url = plain.url,
		.forced = true,
		.interval_ms = INTERVAL_MS,
		.timeout_ms = TIMEOUT_MS };
}

/* Till so many requests of both kinds have ended. */
static struct push_status await(struct push *p, uint64_t requests)
{
	int64_t end_ms = rpc_now_ms() + 10000;
	struct push_status s;

	do {
		rpc_run(5);
		push_get_status(p, &s);
		g_assert_cmpint(rpc_now_ms(), <, end_ms);
	} while (s.asked + s.pushes + s.failures < requests || s.state == PUSH_ASKING ||
		s.state == PUSH_SENDING);
	g_assert_true(g_utf8_validate(s.error, -1, NULL));
	for (const char *c = s.error; *c; c++)
		g_assert_false(g_ascii_iscntrl(*c));
	return s;
}

static void test_good(void)
{
	struct push_settings settings = asking();
	struct samples *samples = some_samples(4);
	g_autofree char *last = NULL, *get = NULL;
	char id[SAMPLES_ID_STRLEN], text[KEY_STRLEN];
	struct push_status s;
	struct push *p;
	json_t *entry;

	behave("\"full\"", "\"good\"");
	p = push_new(&settings, samples);
	s = await(p, 2);
	g_assert_cmpstr(s.error, ==, "");
	g_assert_cmpuint(s.asked, ==, 1);
	g_assert_cmpuint(s.pushes, ==, 1);
	g_assert_cmpuint(s.samples, ==, 4);
	g_assert_cmpuint(s.not_answered + s.failures, ==, 0);
	g_assert_true(g_str_has_suffix(s.url, "/write"));
	g_assert_cmpint(s.next_ms - rpc_now_ms(), >, PUSH_INTERVAL_MS - 10000);
	g_assert_cmpint(s.next_ms - rpc_now_ms(), <=, PUSH_INTERVAL_MS);
	g_assert_cmpuint(samples_count(samples), ==, 0);

	g_assert_cmpuint(asked_with("GET", &get), ==, 1);
	g_assert_cmpuint(asked_with("POST", &last), ==, 1);
	entry = json_loads(last, 0, NULL);
	g_assert_cmpstr(json_string_value(json_object_get(entry, "verdict")), ==, "good");
	g_assert_cmpstr(json_string_value(json_object_get(entry, "path")), ==, "/write");
	samples_peer_id(&own, id);
	g_assert_cmpstr(
		json_string_value(json_object_get(json_object_get(entry, "headers"), "X-Peer-ID")),
		==, id);
	/* Neither who we are, nor anybody else, nor with what program it was sent. */
	g_assert_null(strstr(last, key_format(&own, text)));
	g_assert_null(strstr(last, key_format(&remote, text)));
	g_assert_null(strstr(last, "example.net"));
	g_assert_null(strstr(last, "User-Agent"));
	g_assert_null(strstr(get, "X-Peer-ID"));
	g_assert_null(strstr(get, "User-Agent"));
	json_decref(entry);
	push_free(p);
	samples_free(samples);
}

static void test_nothing_to_say(void)
{
	struct push_settings settings = asking();
	struct samples *samples = some_samples(0);
	struct push_status s;
	struct push *p;

	settings.interval_ms = 20;
	behave("\"good\"", "\"good\"");
	p = push_new(&settings, samples);
	await(p, 1);
	rpc_run(80);
	push_get_status(p, &s);
	g_assert_cmpuint(s.asked, ==, 1);
	g_assert_cmpuint(asked_with("POST", NULL), ==, 0);
	samples_add_sync(samples, 5, g_get_real_time() * 1000);
	s = await(p, 2);
	g_assert_cmpuint(s.samples, ==, 1);
	g_assert_cmpuint(asked_with("POST", NULL), ==, 1);
	/* Those that are too old by now are no reason either. */
	samples_add_sync(
		samples, 5, (g_get_real_time() - 6 * 86400 * (int64_t)G_USEC_PER_SEC) * 1000);
	rpc_run(80);
	g_assert_cmpuint(asked_with("POST", NULL), ==, 1);
	push_free(p);
	samples_free(samples);
}

static void test_many(void)
{
	struct push_settings settings = forcing();
	struct samples *samples = some_samples(5000);
	struct push_status s;
	struct push *p;

	settings.interval_ms = 3600 * 1000;
	behave("\"good\"", "\"good\"");
	p = push_new(&settings, samples);
	/* One comes while the first are on their way. */
	rpc_run(1);
	samples_add_sync(samples, 1, g_get_real_time() * 1000);
	s = await(p, 3);
	g_assert_cmpuint(s.pushes, ==, 3);
	g_assert_cmpuint(s.samples, ==, 5001);
	g_assert_cmpuint(samples_count(samples), ==, 0);
	g_assert_cmpuint(asked_with("GET", NULL), ==, 0);
	push_free(p);
	samples_free(samples);
}

/* A configuration that is no good does nothing but this. */
static void test_bad_config(void)
{
	static const struct {
		const char *how, *words;
	} table[] = {
		{ "404", "HTTP status 404" },
		{ "500", "HTTP status 500" },
		{ "301", "HTTP status 301" },
		{ "\"redirect\"", "HTTP status 307" },
		{ "\"garbage\"", "" },
		{ "\"page\"", "line 1" },
		{ "\"huge\"", "larger than 4096 bytes" },
		{ "\"over\"", "larger than 4096 bytes" },
		{ "\"slow\"", "no answer in time" },
		{ "\"never\"", "no answer in time" },
		{ "\"close\"", "" },
		{ "\"head\"", "too large" },
		{ "{\"period_minutes\": 0}", "period_minutes" },
		{ "{\"server_url\": \"gopher://x\"}", "server_url" },
		{ "{\"version-since\": \"\\u001b[31m\"}", "version-since" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct push_settings settings = asking();
		struct samples *samples = some_samples(2);
		int64_t begin_ms = rpc_now_ms();
		struct push_status s;
		struct push *p;

		behave(table[i].how, "\"good\"");
		settings.interval_ms = 10;
		if (!strcmp(table[i].words, "no answer in time"))
			settings.timeout_ms = SHORT_MS;
		p = push_new(&settings, samples);
		s = await(p, 1);
		g_test_message("%s: %s", table[i].how, s.error);
		g_assert_nonnull(strstr(s.error, table[i].words));
		g_assert_true(*s.error);
		g_assert_cmpint(s.state, ==, PUSH_UNCONFIGURED);
		g_assert_null(s.url);
		g_assert_cmpint(s.next_ms - begin_ms, >=, PUSH_CONFIG_RETRY_MS);
		rpc_run(30);
		push_get_status(p, &s);
		g_assert_cmpuint(s.asked, ==, 1);
		g_assert_cmpuint(s.not_answered, ==, 1);
		/* A server under load may hear of it when nobody waits any more. */
		while (!asked_with("GET", NULL))
			rpc_run(5);
		g_assert_cmpuint(asked_with("GET", NULL), ==, 1);
		g_assert_cmpuint(asked_with("POST", NULL), ==, 0);
		g_assert_cmpuint(samples_count(samples), ==, 2);
		push_free(p);
		samples_free(samples);
	}
}

static void test_excluded(void)
{
	struct push_settings settings = asking();
	struct samples *samples = some_samples(2);
	struct push_status s;
	struct push *p;

	behave("{\"version-since\": \"98.0\"}", "\"good\"");
	settings.interval_ms = 10;
	p = push_new(&settings, samples);
	s = await(p, 1);
	rpc_run(30);
	push_get_status(p, &s);
	g_assert_cmpint(s.state, ==, PUSH_EXCLUDED);
	g_assert_cmpstr(s.error, ==, "");
	g_assert_cmpuint(s.asked, ==, 1);
	g_assert_cmpuint(asked_with("POST", NULL), ==, 0);
	push_free(p);
	samples_free(samples);
}

/* What does not arrive is sent again, and not sooner than the next time. */
static void test_bad_push(void)
{
	static const struct {
		const char *how, *words;
	} table[] = {
		{ "400", "HTTP status 400" },
		{ "404", "HTTP status 404" },
		{ "429", "HTTP status 429" },
		{ "500", "HTTP status 500" },
		{ "503", "HTTP status 503" },
		{ "\"redirect\"", "HTTP status 307" },
		{ "\"never\"", "no answer in time" },
		{ "\"close\"", "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct push_settings settings = forcing();
		struct samples *samples = some_samples(2);
		int64_t begin_ms = rpc_now_ms();
		struct push_status s;
		struct push *p;

		behave("\"good\"", table[i].how);
		if (!strcmp(table[i].words, "no answer in time"))
			settings.timeout_ms = SHORT_MS;
		p = push_new(&settings, samples);
		s = await(p, 1);
		g_test_message("%s: %s", table[i].how, s.error);
		g_assert_true(*s.error && strstr(s.error, table[i].words));
		g_assert_cmpint(s.next_ms - begin_ms, >=, INTERVAL_MS);
		g_assert_cmpuint(samples_count(samples), ==, 2);
		s = await(p, 2);
		g_assert_cmpint(rpc_now_ms() - begin_ms, >=, INTERVAL_MS);
		g_assert_cmpuint(s.failures, >=, 2);
		g_assert_cmpuint(s.pushes + s.samples, ==, 0);
		g_assert_cmpuint(samples_count(samples), ==, 2);
		behave("\"good\"", "\"good\"");
		s = await(p, s.failures + 1);
		while (!s.pushes)
			s = await(p, s.failures + 1);
		g_assert_cmpstr(s.error, ==, "");
		g_assert_cmpuint(s.samples, ==, 2);
		g_assert_cmpuint(samples_count(samples), ==, 0);
		push_free(p);
		samples_free(samples);
	}
}

/* The status is all that matters: a body that takes a minute is not waited for, nor is a head without end. */
static void test_slow_answer(void)
{
	struct push_settings settings = forcing();
	struct samples *samples = some_samples(3);
	struct push_status s;
	struct push *p;

	behave("\"good\"", "\"slow\"");
	p = push_new(&settings, samples);
	s = await(p, 1);
	g_assert_cmpuint(s.pushes, ==, 1);
	g_assert_cmpuint(samples_count(samples), ==, 0);
	samples_add_sync(samples, 1, g_get_real_time() * 1000);
	behave("\"good\"", "\"head\"");
	s = await(p, 2);
	g_assert_cmpuint(s.failures, >=, 1);
	g_assert_nonnull(strstr(s.error, "too large"));
	push_free(p);
	samples_free(samples);
}

static void unreachable(const struct push_settings *settings, const char *words)
{
	struct samples *samples = some_samples(1);
	struct push *p = push_new(settings, samples);
	struct push_status s = await(p, 1);

	g_test_message("%s: %s", settings->server_url, s.error);
	g_assert_true(*s.error && strstr(s.error, words));
	g_assert_cmpuint(s.failures, >=, 1);
	g_assert_cmpuint(samples_count(samples), ==, 1);
	push_free(p);
	samples_free(samples);
}

static void test_unreachable(void)
{
	struct push_settings settings = forcing();

	settings.interval_ms = 60000;
	settings.server_url = "http://127.0.0.1:1";
	unreachable(&settings, "");
	settings.server_url = "http://[::1]:1/x";
	unreachable(&settings, "");
	settings.server_url = "http://no-such-name.invalid/";
	unreachable(&settings, "no-such-name.invalid");
}

static void test_tls(void)
{
	g_autofree char *ca = in_directory("server.pem"), *other = in_directory("other.pem");
	struct push_settings settings = forcing();
	struct samples *samples = some_samples(1);
	struct push_status s;
	struct push *p;

	settings.interval_ms = 60000;
	settings.server_url = secure.url;
	behave("\"good\"", "\"good\"");
	unreachable(&settings, "certificate"); /* nobody vouches for it */
	settings.ca_file = other;
	unreachable(&settings, "certificate");
	settings.ca_file = "/none";
	unreachable(&settings, "/none: No such file or directory");
	settings.ca_file = NULL;
	settings.ca_dir = "/";
	unreachable(&settings, "no certificate by the name of its hash");
	settings.ca_dir = NULL;
	g_assert_cmpuint(asked_with("POST", NULL), ==, 0);
	settings.ca_file = ca;
	p = push_new(&settings, samples);
	s = await(p, 1);
	g_assert_cmpstr(s.error, ==, "");
	g_assert_cmpuint(s.pushes, ==, 1);
	push_free(p);
	samples_free(samples);
}

static void test_ended(void)
{
	static const char *const urls[] = { "http://no-such-name.invalid", "http://localhost:1",
		"http://127.0.0.1:1" };

	behave("\"never\"", "\"never\"");
	for (size_t i = 0; i <= G_N_ELEMENTS(urls); i++)
		for (int turns = 0; turns < 12; turns++) {
			struct push_settings settings = forcing();
			struct samples *samples = some_samples(1);
			struct push *p;

			if (i < G_N_ELEMENTS(urls))
				settings.server_url = urls[i];
			p = push_new(&settings, samples);
			for (int j = 0; j < turns; j++)
				g_main_context_iteration(NULL, FALSE);
			push_free(p);
			samples_free(samples);
		}
	rpc_run(50);
	push_free(NULL);
}

static void make_certificate(const char *name)
{
	g_autofree char *command = g_strdup_printf(
		"cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
		"-days 2 -subj /CN=%s -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
		"-keyout %s.key -out %s.pem 2>/dev/null",
		directory, name, name, name);

	g_assert_cmpint(system(command), ==, 0);
}

int main(int argc, char **argv)
{
	g_autofree char *cert = NULL, *key = NULL;
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	g_assert_nonnull(g_mkdtemp(directory));
	make_certificate("server");
	make_certificate("other");
	cert = in_directory("server.pem");
	key = in_directory("server.key");
	start_server(&plain, NULL, NULL);
	start_server(&secure, cert, key);
	g_test_add_func("/push/good", test_good);
	g_test_add_func("/push/nothing_to_say", test_nothing_to_say);
	g_test_add_func("/push/many", test_many);
	g_test_add_func("/push/bad_config", test_bad_config);
	g_test_add_func("/push/excluded", test_excluded);
	g_test_add_func("/push/bad_push", test_bad_push);
	g_test_add_func("/push/slow_answer", test_slow_answer);
	g_test_add_func("/push/unreachable", test_unreachable);
	g_test_add_func("/push/tls", test_tls);
	g_test_add_func("/push/ended", test_ended);
	r = g_test_run();
	stop_server(&plain);
	stop_server(&secure);
	rpc_remove(directory);
	return r;
}
