/* tests/unit/test_backoff.c - delays between tries. */
#include <glib.h>

#include "agent/base/backoff.h"

static void test_doubles(void)
{
	static const uint32_t wholes[] = { 1000, 2000, 4000, 8000, 10000, 10000 };
	struct backoff low = { .first_ms = 1000, .max_ms = 10000 }, high = low;

	for (size_t i = 0; i < G_N_ELEMENTS(wholes); i++) {
		g_assert_cmpuint(low.tries, ==, i);
		g_assert_cmpuint(backoff_next_ms(&low, 0), ==, wholes[i] / 2);
		g_assert_cmpuint(backoff_next_ms(&high, UINT32_MAX), ==, wholes[i]);
	}
	backoff_reset(&low);
	g_assert_cmpuint(low.tries, ==, 0);
	g_assert_cmpuint(backoff_next_ms(&low, UINT32_MAX), ==, 1000);
}

static void test_extremes(void)
{
	static const struct {
		uint32_t first_ms, max_ms, tries, low, high;
	} cases[] = {
		{ 0, 0, 0, 0, 0 },
		{ 0, 1000, 5, 0, 0 },
		{ 1, 1, 0, 0, 1 },
		{ 5, 3, 0, 1, 3 },
		{ UINT32_MAX, UINT32_MAX, 0, UINT32_MAX / 2, UINT32_MAX },
		{ UINT32_MAX, UINT32_MAX, 100, UINT32_MAX / 2, UINT32_MAX },
		{ 1, UINT32_MAX, 31, 1u << 30, 1u << 31 },
		{ 1000, 60000, UINT32_MAX, 30000, 60000 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct backoff b = { cases[i].first_ms, cases[i].max_ms, cases[i].tries };
		struct backoff c = b;

		g_assert_cmpuint(backoff_next_ms(&b, 0), ==, cases[i].low);
		g_assert_cmpuint(backoff_next_ms(&c, UINT32_MAX), ==, cases[i].high);
		g_assert_cmpuint(b.tries, >=, cases[i].tries);
	}
}

static void test_spread(void)
{
	unsigned buckets[10] = { 0 };

	for (int i = 0; i < 10000; i++) {
		struct backoff b = { .first_ms = 2000, .max_ms = 2000 };
		uint32_t ms = backoff_next_ms(&b, (uint32_t)g_test_rand_int());

		g_assert_cmpuint(ms, >=, 1000);
		g_assert_cmpuint(ms, <=, 2000);
		buckets[MIN((ms - 1000) / 100, 9)]++;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(buckets); i++)
		g_assert_cmpuint(buckets[i], >, 700); /* a tenth is 1000, the deviation 30 */
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/backoff/doubles", test_doubles);
	g_test_add_func("/backoff/extremes", test_extremes);
	g_test_add_func("/backoff/spread", test_spread);
	return g_test_run();
}
