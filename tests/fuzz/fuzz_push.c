/* tests/fuzz/fuzz_push.c - any bytes as the configuration of a server of metrics: a message, or something that can be used. */
/* covers: agent/push_config.c agent/base/version.c */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "agent/push_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A version is itself, and one of two is older, whichever is asked about first. */
static void check_order(const struct version *a, const struct version *b)
{
	int one = version_compare(a, b), two = version_compare(b, a);

	g_assert_cmpint(version_compare(a, a), ==, 0);
	g_assert_true((one < 0) == (two > 0) && (one > 0) == (two < 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[PUSH_ERROR_MAX] = "";
	struct push_config c;
	json_t *json;

	if (size > PUSH_CONFIG_SIZE_MAX)
		return 0;
	if (push_config_parse((const char *)data, size, &c, error) < 0) {
		g_assert_true(*error && g_utf8_validate(error, -1, NULL) && !strchr(error, '\n'));
		return 0;
	}
	json = json_loadb((const char *)data, size, 0, NULL);
	if (json) { /* it minds large numbers that we skip */
		g_assert_cmpint(json_integer_value(json_object_get(json, "period_minutes")), ==,
			c.period_min);
		g_assert_cmpstr(
			json_string_value(json_object_get(json, "server_url")), ==, c.server_url);
	}
	json_decref(json);
	g_assert_true(c.period_min >= 1 && c.period_min <= PUSH_PERIOD_MAX_MIN);
	check_order(&c.since, &c.until);
	g_assert_cmpint(
		push_config_allows(&c, &c.since), ==, version_compare(&c.since, &c.until) < 0);
	g_assert_false(push_config_allows(&c, &c.until));
	return 0;
}
