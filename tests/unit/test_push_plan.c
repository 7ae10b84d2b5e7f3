/* tests/unit/test_push_plan.c - who pushes, whereto and when; what a server's configuration may be. */
#include "agent/push_plan.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define GOOD \
	"{\"server_url\": \"https://ingest.example.net/write\", \"version-since\": \"0.1.0\",\n" \
	" \"version-until\": \"0.2.0\", \"period_minutes\": 7}"

enum { MINUTE = 60 * 1000 };

static struct push_config config_of(const char *text)
{
	char error[PUSH_ERROR_MAX] = "";
	struct push_config c;

	if (push_config_parse(text, strlen(text), &c, error) < 0)
		g_error("%s: %s", text, error);
	return c;
}

/* -- configuration ---------------------------------------------------------------------------- */

static void test_config(void)
{
	struct push_config c = config_of(GOOD);

	g_assert_cmpstr(c.server_url, ==, "https://ingest.example.net/write");
	g_assert_cmpuint(c.since.parts[1], ==, 1);
	g_assert_cmpuint(c.until.parts[1], ==, 2);
	g_assert_cmpuint(c.period_min, ==, 7);
	c = config_of(
		"{\"x\": [{\"y\": null}], \"period_minutes\": 10080, \"version-until\": \"v2\","
		" \"version-since\": \"1.0-rc.1\", \"server_url\": \"HTTP://[::1]:8080\"}");
	g_assert_cmpuint(c.period_min, ==, PUSH_PERIOD_MAX_MIN);
	g_assert_cmpstr(c.server_url, ==, "HTTP://[::1]:8080");
	config_of("{\"server_url\": \"http://\\u0061\", \"version-since\": \"1\","
		  " \"version-until\": \"1\", \"period_minutes\": 1}");
}

static char *with(const char *key, const char *value)
{
	static const char *const keys[] = { "server_url", "version-since", "version-until",
		"period_minutes" };
	static const char *const values[] = { "\"https://x\"", "\"1\"", "\"2\"", "5" };
	GString *text = g_string_new("{");

	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (strcmp(key, keys[i]))
			g_string_append_printf(text, "\"%s\": %s,", keys[i], values[i]);
	if (value)
		g_string_append_printf(text, "\"%s\": %s,", key, value);
	text->str[text->len - 1] = '}';
	return g_string_free(text, FALSE);
}

static void refuse(const char *text, size_t len, const char *words)
{
	struct push_config c = { .period_min = 77 };
	char error[PUSH_ERROR_MAX] = "";

	g_assert_cmpint(push_config_parse(text, len, &c, error), ==, -EINVAL);
	if (!strstr(error, words))
		g_error("%s: %s", text, error);
	g_assert_cmpuint(c.period_min, ==, 77);
}

static void test_garbage(void)
{
	static const char *const texts[] = { "", "null", "[]", "\"x\"", "{", GOOD "x", GOOD GOOD,
		"\xff", "<html>", "{\"server_url\"}", "{\"a\": [[[[[[[[[[[[1]]]]]]]]]]]]}" };
	static const struct {
		const char *key, *value, *words;
	} table[] = {
		{ "server_url", NULL, "\"server_url\" is missing" },
		{ "version-since", NULL, "\"version-since\" is missing" },
		{ "version-until", NULL, "\"version-until\" is missing" },
		{ "period_minutes", NULL, "\"period_minutes\" is missing" },
		{ "server_url", "null", "server_url" },
		{ "server_url", "\"\"", "server_url: not an absolute" },
		{ "server_url", "\"/write\"", "server_url: not an absolute" },
		{ "server_url", "\"ftp://x\"", "server_url: not an absolute" },
		{ "server_url", "\"file:///etc/passwd\"", "server_url: not an absolute" },
		{ "server_url", "\"https://\"", "server_url: not an absolute" },
		{ "server_url", "\"https://user:word@x\"", "server_url: not an absolute" },
		{ "server_url", "\"https://x#y\"", "server_url: not an absolute" },
		{ "server_url", "\"https://x:0\"", "server_url: not an absolute" },
		{ "server_url", "\"https://x:65536\"", "server_url: not an absolute" },
		{ "server_url", "\"https://x/\\r\\nHost: y\"", "server_url: not an absolute" },
		{ "server_url", "\"https://x y\"", "server_url: not an absolute" },
		{ "version-since", "\"development\"", "version-since: not a version" },
		{ "version-until", "\"\"", "version-until: not a version" },
		{ "version-until", "1.0", "version-until" },
		{ "period_minutes", "0", "period_minutes" },
		{ "period_minutes", "-5", "period_minutes" },
		{ "period_minutes", "10081", "period_minutes" },
		{ "period_minutes", "99999999999999999999", "period_minutes" },
		{ "period_minutes", "5.5", "period_minutes" },
		{ "period_minutes", "\"5\"", "period_minutes" },
		{ "period_minutes", "5, \"period_minutes\": 6",
			"period_minutes: it is there twice" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		refuse(texts[i], strlen(texts[i]), "");
	refuse(GOOD, sizeof(GOOD), ""); /* with its NUL */
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = with(table[i].key, table[i].value);

		refuse(text, strlen(text), table[i].words);
	}
}

/* The longest URL, and one byte more. */
static void test_long_url(void)
{
	for (int extra = 0; extra < 2; extra++) {
		g_autofree char *path = g_strnfill(
			TEXT_URL_MAX - strlen("https://x/") + (gsize)extra, 'a');
		g_autofree char *value = g_strdup_printf("\"https://x/%s\"", path);
		g_autofree char *text = with("server_url", value);

		if (extra)
			refuse(text, strlen(text), "server_url");
		else
			g_assert_cmpuint(strlen(config_of(text).server_url), ==, TEXT_URL_MAX);
	}
}

static void test_versions(void)
{
	static const struct {
		const char *own;
		bool allowed;
	} table[] = {
		{ "0.0.9", false },
		{ "0.1.0-rc.1", false },
		{ "0.1.0", true },
		{ "0.1.1", true },
		{ "0.1.99", true },
		{ "0.2.0-rc.1", true },
		{ "0.2.0", false },
		{ "1.0.0", false },
	};
	struct push_config c = config_of(GOOD);

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct version own;

		g_assert_cmpint(version_parse(table[i].own, strlen(table[i].own), &own), ==, 0);
		g_assert_cmpint(push_config_allows(&c, &own), ==, table[i].allowed);
	}
	c.until = c.since; /* nobody */
	g_assert_false(push_config_allows(&c, &c.since));
}

/* -- cycles ----------------------------------------------------------------------------------- */

/* At this time, what is to be done, and if nothing, till when. */
static void expect(
	struct push_plan *p, int64_t now, size_t samples, enum push_state state, int64_t until)
{
	g_assert_cmpstr(
		push_state_name(push_plan_next(p, now, samples)), ==, push_state_name(state));
	if (until)
		g_assert_cmpint(p->cycle_ms, ==, until);
}

static void test_cycles(void)
{
	const int64_t t = 1000, period = 7 * MINUTE;
	struct push_config c = config_of(GOOD);
	struct push_plan p;

	push_plan_init(&p, "0.1.0");
	g_assert_null(push_plan_url(&p));
	expect(&p, t, 3, PUSH_ASKING, 0); /* at once */
	push_plan_asked(&p, t, &c);
	g_assert_cmpstr(push_plan_url(&p), ==, c.server_url);
	expect(&p, t, 3, PUSH_SENDING, 0);
	push_plan_sent(&p, t, true); /* there are more */
	expect(&p, t, 1, PUSH_SENDING, 0);
	push_plan_sent(&p, t, false);
	expect(&p, t, 9, PUSH_WAITING, t + period);
	expect(&p, t + period - 1, 9, PUSH_WAITING, t + period);
	/* Nothing to send: no request. */
	expect(&p, t + period, 0, PUSH_WAITING, t + 2 * period);
	expect(&p, t + 2 * period, 1, PUSH_SENDING, 0);
	push_plan_sent(&p, t + 2 * period, false);

	/* The configuration is good for 30 minutes: 28 are fewer, 35 are not. */
	expect(&p, t + 3 * period, 0, PUSH_WAITING, 0);
	expect(&p, t + 4 * period, 0, PUSH_WAITING, 0);
	expect(&p, t + 5 * period, 0, PUSH_ASKING, 0);
}

static void test_config_age(void)
{
	struct push_config c = config_of(GOOD);
	struct push_plan p;

	push_plan_init(&p, "0.1.0");
	push_plan_asked(&p, 0, &c);
	expect(&p, PUSH_CONFIG_GOOD_MS - 1, 1, PUSH_SENDING, 0);
	expect(&p, PUSH_CONFIG_GOOD_MS, 1, PUSH_ASKING, 0);
	/* Not to be had: the last one serves on, and is asked for again after 5 minutes. */
	push_plan_asked(&p, PUSH_CONFIG_GOOD_MS, NULL);
	expect(&p, PUSH_CONFIG_GOOD_MS, 1, PUSH_SENDING, 0);
	expect(&p, PUSH_CONFIG_GOOD_MS + PUSH_CONFIG_RETRY_MS - 1, 1, PUSH_SENDING, 0);
	expect(&p, PUSH_CONFIG_GOOD_MS + PUSH_CONFIG_RETRY_MS, 1, PUSH_ASKING, 0);
}

static void test_no_config(void)
{
	struct push_config c = config_of(GOOD);
	struct push_plan p;

	push_plan_init(&p, "0.1.0");
	p.interval_ms = 1000; /* does not ask more often */
	expect(&p, 0, 1, PUSH_ASKING, 0);
	push_plan_asked(&p, 10, NULL);
	expect(&p, 10, 1, PUSH_UNCONFIGURED, 10 + 5 * MINUTE);
	expect(&p, 10 + 5 * MINUTE - 1, 1, PUSH_UNCONFIGURED, 10 + 5 * MINUTE);
	expect(&p, 10 + 5 * MINUTE, 1, PUSH_ASKING, 0);
	push_plan_asked(&p, 10 + 5 * MINUTE, &c);
	expect(&p, 10 + 5 * MINUTE, 1, PUSH_SENDING, 0);
	push_plan_sent(&p, 10 + 5 * MINUTE, false);
	expect(&p, 10 + 5 * MINUTE, 1, PUSH_WAITING, 1010 + 5 * MINUTE);
}

static void test_excluded(void)
{
	struct push_config c = config_of(GOOD);
	struct push_plan p;

	push_plan_init(&p, "0.2.0");
	expect(&p, 0, 1, PUSH_ASKING, 0);
	push_plan_asked(&p, 0, &c);
	expect(&p, 0, 1, PUSH_EXCLUDED, 7 * MINUTE);
	/* Till a newer configuration wants it. */
	expect(&p, 7 * MINUTE, 1, PUSH_EXCLUDED, 14 * MINUTE);
	expect(&p, 35 * MINUTE, 1, PUSH_ASKING, 0);
	c.until.parts[1] = 3;
	push_plan_asked(&p, 35 * MINUTE, &c);
	expect(&p, 35 * MINUTE, 1, PUSH_SENDING, 0);

	push_plan_init(&p, "development");
	expect(&p, 0, 1, PUSH_NAMELESS, INT64_MAX);
	expect(&p, INT64_MAX - 1, 1, PUSH_NAMELESS, INT64_MAX);
}

static void test_forced(void)
{
	struct push_plan p;

	push_plan_init(&p, "development");
	p.forced = true;
	g_assert_cmpstr(push_plan_url(&p), ==, "https://ingest.netbird.io");
	expect(&p, 0, 1, PUSH_SENDING, 0);
	push_plan_sent(&p, 100, false); /* also when it failed */
	expect(&p, 100, 1, PUSH_WAITING, 100 + 5 * MINUTE);
	p.server_url = "http://x";
	g_assert_cmpstr(push_plan_url(&p), ==, "http://x");
	p.interval_ms = 250;
	expect(&p, 100 + 5 * MINUTE, 0, PUSH_WAITING, 350 + 5 * MINUTE);
}

static void test_overrides(void)
{
	struct push_config c = config_of(GOOD);
	struct push_plan p;

	push_plan_init(&p, "0.1.0");
	p.server_url = "http://x";
	p.interval_ms = 2 * MINUTE;
	expect(&p, 0, 1, PUSH_ASKING, 0); /* whether is still the server's to say */
	push_plan_asked(&p, 0, &c);
	g_assert_cmpstr(push_plan_url(&p), ==, "http://x");
	expect(&p, 0, 0, PUSH_WAITING, 2 * MINUTE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/push_plan/config", test_config);
	g_test_add_func("/push_plan/garbage", test_garbage);
	g_test_add_func("/push_plan/long_url", test_long_url);
	g_test_add_func("/push_plan/versions", test_versions);
	g_test_add_func("/push_plan/cycles", test_cycles);
	g_test_add_func("/push_plan/config_age", test_config_age);
	g_test_add_func("/push_plan/no_config", test_no_config);
	g_test_add_func("/push_plan/excluded", test_excluded);
	g_test_add_func("/push_plan/forced", test_forced);
	g_test_add_func("/push_plan/overrides", test_overrides);
	return g_test_run();
}
