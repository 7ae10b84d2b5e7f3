/* tests/unit/test_histogram.c - bounds belong to the bucket below, and nothing is lost at the ends. */
#include <glib.h>

#include "agent/base/histogram.h"

static void test_bounds(void)
{
	static const int64_t times[] = { -7, 0, 5, 6, 30000, 30001, INT64_MAX / 1000000 };
	g_autoptr(GString) out = g_string_new("{");
	struct histogram h = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(times) - 1; i++)
		histogram_add(&h, times[i]);
	histogram_write(out, "x", &h);
	g_assert_cmpstr(out->str, ==,
		"{\"x\":{\"le_ms\":[5,10,25,50,100,250,500,1000,2500,5000,10000,30000],"
		"\"counts\":[3,1,0,0,0,0,0,0,0,0,0,1,1],\"sum_ms\":60012}");
	histogram_add(&h, times[6]);
	g_assert_cmpuint(h.counts[HISTOGRAM_BOUNDS], ==, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/histogram/bounds", test_bounds);
	return g_test_run();
}
