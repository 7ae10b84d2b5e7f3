/* tests/unit/test_version.c - versions in their order, as semver.org gives it, and what is none. */
#include "agent/base/version.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static struct version parsed(const char *text)
{
	struct version v;

	g_assert_cmpint(version_parse(text, strlen(text), &v), ==, 0);
	return v;
}

static void test_order(void)
{
	static const char *const older_first[] = { "0", "0.0.1-0", "0.0.1-00000000001", "0.0.1-a",
		"0.0.1", "0.1.0-alpha", "v0.1", "0.1.1", "0.9.99", "0.10.0", "1.0.0-alpha",
		"1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
		"1.0.0-rc.1", "1", "1.0.1", "999999999.999999999.999999999" };

	for (size_t i = 0; i < G_N_ELEMENTS(older_first); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(older_first); j++) {
			struct version a = parsed(older_first[i]), b = parsed(older_first[j]);
			int r = version_compare(&a, &b);

			g_assert_cmpint((r > 0) - (r < 0), ==, (i > j) - (i < j));
		}
}

static void test_same(void)
{
	static const char *const pairs[][2] = {
		{ "1", "1.0.0" },
		{ "v1.2", "1.2.0" },
		{ "1.2.3+build.5", "1.2.3" },
		{ "1.2.3-rc.1+a-b", "1.2.3-rc.1" },
		{ "01.002.3", "1.2.3" },
		{ "1.0.0-007", "1.0.0-7" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		struct version a = parsed(pairs[i][0]), b = parsed(pairs[i][1]);

		g_assert_cmpint(version_compare(&a, &b), ==, 0);
	}
}

static void test_none(void)
{
	static const char *const none[] = { "", "v", "development", "1.", "1..2", ".1", "1.2.",
		"1.2.3.4", "1.2.3.", "-1", "1.2.3-", "1.2.3-.a", "1.2.3-a.", "1.2.3-a..b",
		"1.2.3-a b", "1.2.3+", "1.2.3+a.", "1.2.3+a+b", "1.2.3 ", " 1.2.3", "vv1", "V1",
		"1.2.3-a\xc3\xa9", "1234567890",
		"1.2.3-0123456789012345678901234567890123456789abcdefgh" };
	struct version v = { { 7 }, "" };

	for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
		g_test_message("%s", none[i]);
		g_assert_cmpint(version_parse(none[i], strlen(none[i]), &v), ==, -EINVAL);
	}
	/* No further than told, with a NUL in it too. */
	g_assert_cmpint(version_parse("1.2.3", 4, &v), ==, -EINVAL);
	g_assert_cmpint(version_parse("1.2\0", 4, &v), ==, -EINVAL);
	g_assert_cmpuint(v.parts[0], ==, 7);
	g_assert_cmpint(
		version_parse("1.2.3-0123456789012345678901234567890123456789abcdefg", 53, &v), ==,
		0);
	g_assert_cmpuint(strlen(v.pre), ==, VERSION_PRE_MAX - 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/version/order", test_order);
	g_test_add_func("/version/same", test_same);
	g_test_add_func("/version/none", test_none);
	return g_test_run();
}
