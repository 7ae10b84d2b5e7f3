/* tests/unit/test_irqbalance.c - irqbalance's answers, and irqbalance of a made-up host. */
#include "agent/tune/irqbalance.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/fake_host.h"

struct fixture {
	char *root;
	struct tree *tree;
	GArray *banned;
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->root = g_dir_make_tmp("test_irqbalance.XXXXXX", NULL);
	g_assert_cmpint(tree_open(f->root, &f->tree), ==, 0);
	f->banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
}

static void teardown(struct fixture *f, gconstpointer data)
{
	g_array_unref(f->banned);
	tree_close(f->tree);
	fake_host_remove(f->root);
}

static void assert_banned(const struct fixture *f, const char *want)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < f->banned->len; i++)
		g_string_append_printf(
			text, i ? " %u" : "%u", g_array_index(f->banned, unsigned, i));
	g_assert_cmpstr(text->str, ==, want);
}

static void assert_file(const struct fixture *f, const char *want)
{
	g_autofree char *text = fake_host_get(f->root, "irqbalance");

	g_assert_cmpstr(text, ==, want);
}

static void assert_look(struct fixture *f, enum host_irqbalance want, const char *banned)
{
	g_assert_cmpint(irqbalance_look(f->tree, f->banned), ==, want);
	assert_banned(f, banned);
}

/* -- answers -------------------------------------------------------------------------------- */

static void test_parse(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *answer;
		int result;
		const char *banned;
	} cases[] = {
		{ "SLEEP 10 BANNED 00000000,00000000", 0, "" },
		{ "SLEEP 10 IRQ 35 LOAD 0 DIFF 0 CLASS 0 IRQ 1036 LOAD 7 DIFF 8 CLASS 5 BANNED 0",
			0, "35 1036" },
		{ "SLEEP 10", 0, "" },
		{ "", -EBADMSG, "" },
		{ "SLEEP", -EBADMSG, "" },
		{ "TYPE 3 NUMBER -1 LOAD 0 SAVE_MODE 0 ", -EBADMSG, "" },
		{ "SLEEP 10 IRQ x LOAD", -EBADMSG, "" },
		{ "SLEEP 10 IRQ -1 LOAD", -EBADMSG, "" },
		{ "SLEEP 10 IRQ 4294967296 LOAD", -EBADMSG, "" },
		{ "SLEEP 10 IRQ 35 IRQ", 0, "35" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_array_set_size(f->banned, 0);
		g_assert_cmpint(irqbalance_parse(cases[i].answer, f->banned), ==, cases[i].result);
		assert_banned(f, cases[i].banned);
	}
}

static void test_parse_many(struct fixture *f, gconstpointer data)
{
	g_autoptr(GString) answer = g_string_new("SLEEP 10 ");

	for (unsigned i = 0; i < HOST_IRQS_MAX; i++)
		g_string_append(answer, "IRQ 7 LOAD 0 DIFF 0 CLASS 0 ");
	g_assert_cmpint(irqbalance_parse(answer->str, f->banned), ==, 0);
	g_assert_cmpuint(f->banned->len, ==, HOST_IRQS_MAX);
	g_string_append(answer, "IRQ 7 LOAD 0 DIFF 0 CLASS 0 ");
	g_array_set_size(f->banned, 0);
	g_assert_cmpint(irqbalance_parse(answer->str, f->banned), ==, -EBADMSG);
}

/* -- made-up hosts -------------------------------------------------------------------------- */

static void test_none(struct fixture *f, gconstpointer data)
{
	assert_look(f, IRQBALANCE_NONE, "");
	g_assert_cmpint(irqbalance_ban(f->tree, f->banned), ==, -ENOENT);
	g_assert_cmpint(irqbalance_stop(f->tree), ==, -ENOENT);
	g_assert_cmpint(irqbalance_start(f->tree), ==, -ENOENT);
}

static void test_ban(struct fixture *f, gconstpointer data)
{
	unsigned irqs[] = { 35, 36, 40 };

	fake_host_put(f->root, "irqbalance", "socket 9 10");
	assert_look(f, IRQBALANCE_SOCKET, "9 10");
	g_array_set_size(f->banned, 0);
	g_array_append_vals(f->banned, irqs, G_N_ELEMENTS(irqs));
	g_assert_cmpint(irqbalance_ban(f->tree, f->banned), ==, 0);
	assert_file(f, "socket 35 36 40");
	assert_look(f, IRQBALANCE_SOCKET, "35 36 40");
	g_array_set_size(f->banned, 0);
	g_assert_cmpint(irqbalance_ban(f->tree, f->banned), ==, 0);
	assert_file(f, "socket");
	assert_look(f, IRQBALANCE_SOCKET, "");
}

static void test_stop(struct fixture *f, gconstpointer data)
{
	static const char *const states[] = { "socket 9", "deaf" };

	for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
		g_autofree char *stopped = g_strconcat("stopped ", states[i], NULL);

		fake_host_put(f->root, "irqbalance", states[i]);
		for (int again = 0; again < 2; again++) {
			g_assert_cmpint(irqbalance_stop(f->tree), ==, 0);
			assert_file(f, stopped);
			assert_look(f, IRQBALANCE_NONE, "");
		}
		g_assert_cmpint(irqbalance_ban(f->tree, f->banned), ==, -ENOENT);
		for (int again = 0; again < 2; again++) {
			g_assert_cmpint(irqbalance_start(f->tree), ==, 0);
			assert_file(f, states[i]);
		}
	}
	assert_look(f, IRQBALANCE_DEAF, "");
	g_assert_cmpint(irqbalance_ban(f->tree, f->banned), ==, -ENOENT);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/irqbalance/" name, struct fixture, NULL, setup, fn, teardown)
	ADD("parse", test_parse);
	ADD("parse-many", test_parse_many);
	ADD("none", test_none);
	ADD("ban", test_ban);
	ADD("stop", test_stop);
#undef ADD
	return g_test_run();
}
