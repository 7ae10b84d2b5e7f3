/* tests/unit/live_nic.c - attributes of real NICs, and irqbalance, by hand, for scenarios:
 * live_nic read DEVICE ATTRIBUTE | write DEVICE ATTRIBUTE VALUE | statistics DEVICE | look | ban [IRQ...] |
 * stop | start. Failures are printed by name. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tune/irqbalance.h"
#include "agent/tune/nic.h"

static struct nics *nics;
static struct tree *tree;

static enum nic_attr attribute(const char *name)
{
	for (unsigned i = 0; i < NIC_ATTRS; i++)
		if (strcmp(nic_attr_name((enum nic_attr)i), name) == 0)
			return (enum nic_attr)i;
	exit(2);
}

/* -- commands ------------------------------------------------------------------------------- */

static int run_read(char **words)
{
	static char value[NIC_VALUE_MAX];
	int r = nics_read(nics, words[0], attribute(words[1]), value, sizeof(value));

	if (r == 0)
		puts(value);
	return r;
}

static int run_write(char **words)
{
	return nics_write(nics, words[0], attribute(words[1]), words[2]);
}

static int run_statistics(char **words)
{
	g_autofree struct nic_statistic *all = NULL;
	size_t n;
	int r = nics_statistics(nics, words[0], &all, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		printf("%s: %" G_GUINT64_FORMAT "\n", all[i].name, all[i].value);
	return r;
}

static int run_look(char **words)
{
	static const char *const names[] = { "none", "socket", "deaf" };
	g_autoptr(GArray) banned = g_array_new(FALSE, FALSE, sizeof(unsigned));

	printf("%s", names[irqbalance_look(tree, banned)]);
	for (unsigned i = 0; i < banned->len; i++)
		printf(" %u", g_array_index(banned, unsigned, i));
	puts("");
	return 0;
}

static int run_ban(char **words)
{
	g_autoptr(GArray) irqs = g_array_new(FALSE, FALSE, sizeof(unsigned));

	for (; *words; words++)
		g_array_append_vals(irqs, &(unsigned){ (unsigned)atoi(*words) }, 1);
	return irqbalance_ban(tree, irqs);
}

static int run_stop(char **words)
{
	return irqbalance_stop(tree);
}

static int run_start(char **words)
{
	return irqbalance_start(tree);
}

static const struct {
	const char *name;
	int (*run)(char **words);
	int n_words; /* at least */
} commands[] = {
	{ "read", run_read, 2 },
	{ "write", run_write, 3 },
	{ "statistics", run_statistics, 1 },
	{ "look", run_look, 0 },
	{ "ban", run_ban, 0 },
	{ "stop", run_stop, 0 },
	{ "start", run_start, 0 },
};

int main(int argc, char **argv)
{
	int r = 2;

	if (nics_open_kernel(&nics) < 0 || tree_open("/", &tree) < 0)
		return 2;
	for (unsigned i = 0; i < G_N_ELEMENTS(commands) && argc > 1; i++)
		if (strcmp(commands[i].name, argv[1]) == 0 && argc - 2 >= commands[i].n_words)
			r = commands[i].run(argv + 2);
	if (r < 0)
		puts(strerrorname_np(-r));
	nics_close(nics);
	tree_close(tree);
	return r < 0 ? 1 : r;
}
