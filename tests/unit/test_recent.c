/* tests/unit/test_recent.c - the last events are kept, and no more than fit. */
#include <glib.h>
#include <string.h>

#include "agent/recent.h"

static char *written(const struct recent *r)
{
	GString *out = g_string_new("{");

	recent_write(r, out);
	return g_string_free(out, FALSE);
}

static void test_bounds(void)
{
	g_autofree char *huge = g_strnfill(RECENT_BYTES_MAX + 1, '1');
	g_autofree char *half = g_strnfill(RECENT_BYTES_MAX / 2, '2');
	g_autofree char *none = NULL, *numbers = NULL, *text = NULL;
	struct recent *r = recent_new();

	none = written(r);
	g_assert_cmpstr(none, ==, "{\"events\":[],\"dropped\":0");
	for (int i = 0; i < RECENT_EVENTS_MAX + 3; i++) {
		g_autofree char *number = g_strdup_printf("%d", i);

		recent_add(r, number);
	}
	numbers = written(r);
	g_assert_true(g_str_has_prefix(numbers, "{\"events\":[3,4,5,"));
	g_assert_true(g_str_has_suffix(numbers, ",258],\"dropped\":3"));
	for (int i = 0; i < 3; i++)
		recent_add(r, half);
	text = written(r);
	g_assert_cmpuint(strlen(text), <, RECENT_BYTES_MAX + 64);
	/* What fits nowhere makes no room. */
	recent_add(r, "7");
	recent_add(r, huge);
	g_free(text);
	text = written(r);
	g_assert_nonnull(strstr(text, ",7],"));
	recent_free(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/recent/bounds", test_bounds);
	return g_test_run();
}
