/* agent/tune/item.c - reads and writes one setting, whatever it is. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/tune/irqbalance.h"
#include "agent/tune/setting.h"

enum { START_LOOKS = 50, START_LOOK_US = 100 * 1000 };

int tuner_open(const char *root, struct tuner *ret)
{
	struct tuner t = { 0 };
	int r = tree_open(root, &t.tree);

	if (r < 0)
		return r;
	r = tree_is_real(t.tree) ? nics_open_kernel(&t.nics) : nics_open_files(root, &t.nics);
	if (r < 0) {
		tree_close(t.tree);
		return r;
	}
	*ret = t;
	return 0;
}

void tuner_close(struct tuner *t)
{
	g_clear_pointer(&t->nics, nics_close);
	g_clear_pointer(&t->tree, tree_close);
}

int tuner_check(const struct tuner *t, char error[static 256])
{
	static const char *const folders[] = { "/proc/sys", "/proc/irq", "/sys" };

	for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++)
		if (tree_is_read_only(t->tree, folders[i])) {
			g_snprintf(error, 256,
				"%s is mounted read-only, as in containers: the settings belong to the host",
				folders[i]);
			return -EROFS;
		}
	if (tree_is_real(t->tree) && geteuid() != 0) {
		g_strlcpy(error, "only root may change the settings of this host", 256);
		return -EPERM;
	}
	return 0;
}

bool setting_is_gone(int r)
{
	return r == -ENOENT || r == -ENODEV || r == -ENXIO || r == -EOPNOTSUPP;
}

/* -- irqbalance ------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
	unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;

	return left < right ? -1 : left > right;
}

static char *read_irqbalance(const struct tree *tree)
{
	g_autoptr(GArray) banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	GString *text;

	if (irqbalance_look(tree, banned) == IRQBALANCE_NONE)
		return g_strdup("stopped");
	g_array_sort(banned, compare_numbers);
	text = g_string_new("running");
	for (unsigned i = 0; i < banned->len; i++)
		g_string_append_printf(text, " %u", g_array_index(banned, unsigned, i));
	return g_string_free(text, FALSE);
}

/* Its unit is started before it is a process of that name. */
static int start_irqbalance(struct tree *tree, GArray *banned)
{
	int r = irqbalance_start(tree);

	for (int i = 0; r == 0 && i < START_LOOKS; i++) {
		if (irqbalance_look(tree, banned) != IRQBALANCE_NONE)
			return 0;
		g_usleep(START_LOOK_US);
	}
	return r;
}

/* It is told the whole list, so what it leaves alone besides has to be in the value. */
static int write_irqbalance(struct tree *tree, const char *value)
{
	g_autoptr(GArray) irqs = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autoptr(GArray) banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_auto(GStrv) words = g_strsplit(value, " ", HOST_IRQS_MAX);
	enum host_irqbalance now = irqbalance_look(tree, banned);
	int r = 0;

	if (!strcmp(value, "stopped"))
		return now == IRQBALANCE_NONE ? 0 : irqbalance_stop(tree);
	if (!words[0] || strcmp(words[0], "running") != 0)
		return -EINVAL;
	for (char **word = words + 1; *word; word++) {
		unsigned irq = (unsigned)g_ascii_strtoull(*word, NULL, 10);

		g_array_append_val(irqs, irq);
	}
	if (now == IRQBALANCE_NONE)
		r = start_irqbalance(tree, banned);
	return r == 0 && (irqs->len || banned->len) ? irqbalance_ban(tree, irqs) : r;
}

/* -- any setting ------------------------------------------------------------------------------ */

static int read_nic(struct nics *nics, const struct item *item, char **ret)
{
	char text[NIC_VALUE_MAX];
	int r = nics_read(nics, item->device, item->attr, text, sizeof(text));

	if (r == 0)
		*ret = g_strdup(text);
	return r;
}

int item_read(struct tuner *t, const struct item *item, char **ret)
{
	switch (item->where) {
	case ITEM_FILE:
		return tree_read(t->tree, item->path, ret);
	case ITEM_NIC:
		return read_nic(t->nics, item, ret);
	case ITEM_IRQBALANCE:
		*ret = read_irqbalance(t->tree);
		return 0;
	}
	return -EINVAL;
}

int item_write(struct tuner *t, const struct item *item, const char *value)
{
	switch (item->where) {
	case ITEM_FILE:
		return tree_write(t->tree, item->path, value);
	case ITEM_NIC:
		return nics_write(t->nics, item->device, item->attr, value);
	case ITEM_IRQBALANCE:
		return write_irqbalance(t->tree, value);
	}
	return -EINVAL;
}

int item_set(struct tuner *t, const struct item *item, const char *value, char **ret_actual)
{
	int r = item_write(t, item, value);

	return r < 0 ? r : item_read(t, item, ret_actual);
}
