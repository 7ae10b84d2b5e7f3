/* tests/unit/test_knob.c - names of knobs, lists of them, and the nearest to what is no name. */
#include "agent/tune/knob.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static void test_names(void)
{
	g_assert_cmpstr(knob_name(KNOB_CHANNELS), ==, "channels");
	g_assert_cmpstr(knob_name(KNOB_BUDGET_USECS), ==, "budget-usecs");
	g_assert_cmpstr(knob_name(KNOB_CONGESTION), ==, "bbr");
	g_assert_cmpstr(knob_name(KNOB_QDISC), ==, "fq");
	g_assert_cmpstr(knob_name(KNOB_CONNTRACK), ==, "conntrack");
	g_assert_cmpstr(knob_section(KNOB_RPS), ==, "4.3");
	g_assert_cmpstr(knob_section(KNOB_CONNTRACK), ==, "5.2");
	g_assert_cmpstr(knob_section(KNOB_XPS), ==, "");
	for (int i = 0; i < KNOBS; i++) {
		const char *nearest = NULL;

		g_assert_cmpuint(strlen(knob_help((enum knob)i)), >, 8);
		g_assert_cmpint(knob_find(knob_name((enum knob)i), &nearest), ==, i);
		g_assert_null(nearest);
	}
}

static void test_nearest(void)
{
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{ "rsp", "rps" },
		{ "RPS", "rps" },
		{ "ring", "rings" },
		{ "irq-balance", "irqbalance" },
		{ "tcp_rmem", "tcp-rmem" },
		{ "flowhash", "flow-hash" },
		{ "budget-usec", "budget-usecs" },
		{ "contrack", "conntrack" },
		{ "threadedd", "threaded" },
	};
	static const char *const none[] = { NULL };
	static const char *const two[] = { "eth0", "wt0", NULL };
	g_autofree char *endless = g_strnfill(100000, 'x');

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *nearest = NULL;

		g_assert_cmpint(knob_find(cases[i].word, &nearest), ==, -1);
		g_assert_cmpstr(nearest, ==, cases[i].nearest);
	}
	g_assert_null(nearest_name("x", none));
	g_assert_cmpstr(nearest_name("", two), ==, "wt0");
	g_assert_cmpstr(nearest_name("eth1", two), ==, "eth0");
	g_assert_nonnull(nearest_name(endless, two));
}

#define BIT(knob) (UINT32_C(1) << (knob))

static void test_lists(void)
{
	static const struct {
		const char *text;
		uint32_t set;
		const char *error; /* NULL: none */
	} cases[] = {
		{ "irq", BIT(KNOB_IRQ), NULL },
		{ "irq,rps,irq", BIT(KNOB_IRQ) | BIT(KNOB_RPS), NULL },
		{ "conntrack,channels", BIT(KNOB_CONNTRACK) | BIT(KNOB_CHANNELS), NULL },
		{ "", 7, "missing" },
		{ "irq,", 7, "no knob ''" },
		{ "irq,rsp", 7, "no knob 'rsp'; the nearest is rps" },
		{ "irq, rps", 7, "no knob ' rps'" },
	};
	g_autofree char *endless = g_strnfill(100000, ',');
	char error[128];
	uint32_t set;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		set = 7;
		error[0] = '\0';
		g_assert_cmpint(knob_parse_list(cases[i].text, &set, error), ==,
			cases[i].error ? -EINVAL : 0);
		g_assert_cmphex(set, ==, cases[i].set);
		g_assert_true(!cases[i].error || strstr(error, cases[i].error));
	}
	g_assert_cmpint(knob_parse_list(endless, &set, error), ==, -EINVAL);
}

static void test_every_list(void)
{
	g_autoptr(GString) all = g_string_new(NULL);
	char error[128];
	uint32_t set = 0;

	for (int i = 0; i < KNOBS; i++)
		g_string_append_printf(all, "%s%s", i ? "," : "", knob_name((enum knob)i));
	g_assert_cmpint(knob_parse_list(all->str, &set, error), ==, 0);
	g_assert_cmphex(set, ==, KNOB_ALL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/knob/names", test_names);
	g_test_add_func("/knob/nearest", test_nearest);
	g_test_add_func("/knob/lists", test_lists);
	g_test_add_func("/knob/every-list", test_every_list);
	return g_test_run();
}
