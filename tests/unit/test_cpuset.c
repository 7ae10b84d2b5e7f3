/* tests/unit/test_cpuset.c - sets of processors: both forms, for any number of them. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/tune/cpuset.h"

static void assert_forms(const struct cpuset *set, unsigned n, const char *list, const char *mask)
{
	g_autofree char *as_list = cpuset_format_list(set);
	g_autofree char *as_mask = cpuset_format_mask(set, n);
	struct cpuset again;

	g_assert_cmpstr(as_list, ==, list);
	g_assert_cmpstr(as_mask, ==, mask);
	g_assert_cmpint(cpuset_parse_list(as_list, &again), ==, 0);
	g_assert_true(cpuset_is_equal(set, &again));
	g_assert_cmpint(cpuset_parse_mask(as_mask, &again), ==, 0);
	g_assert_true(cpuset_is_equal(set, &again));
}

/* The masks are those that kernels print for so many CPUs. */
static void test_forms(void)
{
	static const struct {
		unsigned n;
		const char *list, *mask;
	} cases[] = {
		{ 1, "", "0" },
		{ 1, "0", "1" },
		{ 2, "0-1", "3" },
		{ 4, "1,3", "a" },
		{ 5, "0", "01" },
		{ 8, "", "00" },
		{ 8, "0-3,5", "2f" },
		{ 31, "30", "40000000" },
		{ 32, "0-31", "ffffffff" },
		{ 33, "32", "1,00000000" },
		{ 40, "0-39", "ff,ffffffff" },
		{ 64, "0-3,8,10-11,63", "80000000,00000d0f" },
		{ 64, "0-63", "ffffffff,ffffffff" },
		{ 96, "31-32,95", "80000000,00000001,80000000" },
		{ 256, "0-255",
			"ffffffff,ffffffff,ffffffff,ffffffff,ffffffff,ffffffff,ffffffff,ffffffff" },
		{ 256, "128",
			"00000000,00000000,00000000,00000001,00000000,00000000,00000000,00000000" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct cpuset set;

		g_assert_cmpint(cpuset_parse_list(cases[i].list, &set), ==, 0);
		assert_forms(&set, cases[i].n, cases[i].list, cases[i].mask);
	}
}

static void test_width(void)
{
	struct cpuset set = { 0 };
	g_autofree char *cut = NULL, *widest = NULL;

	cpuset_add(&set, 2);
	cpuset_add(&set, 20);
	cpuset_add(&set, 40);
	cut = cpuset_format_mask(&set, 4);
	g_assert_cmpstr(cut, ==, "4");
	cpuset_add(&set, CPUSET_MAX - 1);
	cpuset_add(&set, CPUSET_MAX);
	g_assert_cmpuint(cpuset_count(&set), ==, 4);
	widest = cpuset_format_mask(&set, CPUSET_MAX + 5);
	g_assert_cmpuint(strlen(widest), ==, CPUSET_MAX / 4 + CPUSET_MAX / 32 - 1);
	g_assert_true(g_str_has_prefix(widest, "80000000,0"));
}

/* Masks that people write. */
static void test_masks(void)
{
	static const struct {
		const char *mask, *list;
	} cases[] = { { "f", "0-3" }, { "F", "0-3" }, { "00000000,0000000f", "0-3" },
		{ "1,0", "32" }, { "0,0", "" }, { "1,00000000,00000000", "64" } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *list = NULL;
		struct cpuset set;

		g_assert_cmpint(cpuset_parse_mask(cases[i].mask, &set), ==, 0);
		list = cpuset_format_list(&set);
		g_assert_cmpstr(list, ==, cases[i].list);
	}
}

static void test_refused(void)
{
	static const struct {
		const char *text;
		int list, mask;
	} cases[] = {
		{ "", 0, -EINVAL },
		{ "1,", -EINVAL, -EINVAL },
		{ ",1", -EINVAL, -EINVAL },
		{ "3-1", -EINVAL, -EINVAL },
		{ "1-", -EINVAL, -EINVAL },
		{ "-1", -EINVAL, -EINVAL },
		{ "1 ", -EINVAL, -EINVAL },
		{ "(null)", -EINVAL, -EINVAL },
		{ "0x3", -EINVAL, -EINVAL },
		{ "1,,2", -EINVAL, -EINVAL },
		{ "4096", -ERANGE, 0 },
		{ "0-4096", -ERANGE, -EINVAL },
		{ "99999999999999999999", -ERANGE, -EINVAL },
		{ "111111111", -ERANGE, -EINVAL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct cpuset set = { .bits = { 42 } }, untouched = set;

		g_assert_cmpint(cpuset_parse_list(cases[i].text, &set), ==, cases[i].list);
		if (cases[i].list < 0)
			g_assert_true(cpuset_is_equal(&set, &untouched));
		set = untouched;
		g_assert_cmpint(cpuset_parse_mask(cases[i].text, &set), ==, cases[i].mask);
		if (cases[i].mask < 0)
			g_assert_true(cpuset_is_equal(&set, &untouched));
	}
}

static void test_too_long(void)
{
	g_autoptr(GString) mask = g_string_new("1");
	struct cpuset set;

	for (unsigned i = 0; i < CPUSET_MAX / 32; i++)
		g_string_append(mask, ",0");
	g_assert_cmpint(cpuset_parse_mask(mask->str, &set), ==, -ERANGE);
	mask->str[0] = '0';
	g_assert_cmpint(cpuset_parse_mask(mask->str, &set), ==, 0);
	g_assert_true(cpuset_is_empty(&set));
}

static void test_algebra(void)
{
	struct cpuset a, b, none = { 0 };
	g_autofree char *rest = NULL, *both = NULL;

	g_assert_cmpint(cpuset_parse_list("0-9,64-70", &a), ==, 0);
	g_assert_cmpint(cpuset_parse_list("2-3,65-200", &b), ==, 0);
	g_assert_cmpuint(cpuset_count(&a), ==, 17);
	g_assert_true(cpuset_has(&a, 64) && !cpuset_has(&a, 63) && !cpuset_has(&a, 100000));
	cpuset_remove_all(&a, &b);
	rest = cpuset_format_list(&a);
	g_assert_cmpstr(rest, ==, "0-1,4-9,64");
	g_assert_cmpint(cpuset_parse_list("0-66", &a), ==, 0);
	cpuset_keep_only(&a, &b);
	both = cpuset_format_list(&a);
	g_assert_cmpstr(both, ==, "2-3,65-66");
	g_assert_cmpint(cpuset_next(&a, 0), ==, 2);
	g_assert_cmpint(cpuset_next(&a, 4), ==, 65);
	g_assert_cmpint(cpuset_next(&a, 67), ==, -1);
	g_assert_cmpint(cpuset_next(&a, CPUSET_MAX), ==, -1);
	g_assert_true(cpuset_is_empty(&none) && !cpuset_is_empty(&a));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cpuset/forms", test_forms);
	g_test_add_func("/cpuset/width", test_width);
	g_test_add_func("/cpuset/masks", test_masks);
	g_test_add_func("/cpuset/refused", test_refused);
	g_test_add_func("/cpuset/too-long", test_too_long);
	g_test_add_func("/cpuset/algebra", test_algebra);
	return g_test_run();
}
