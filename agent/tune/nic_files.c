/* agent/tune/nic_files.c - attributes of network devices of a made-up host, in files. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "agent/tune/nic.h"
#include "agent/tune/tree.h"

enum { STATISTICS_MAX = 4096 };

static char *attr_path(const char *device, const char *name)
{
	return g_strdup_printf("ethtool/%s/%s", device, name);
}

/* What is missing of a device that is there is not supported. */
static int read_file(struct tree *tree, const char *device, const char *name, char **ret)
{
	g_autofree char *path = attr_path(device, name);
	g_autofree char *class = g_strconcat("sys/class/net/", device, NULL);
	int r = tree_read(tree, path, ret);

	if (r != -ENOENT)
		return r;
	return tree_exists(tree, class) ? -EOPNOTSUPP : -ENODEV;
}

static int files_read(void *user, const char *device, enum nic_attr attr, char *ret, size_t size)
{
	g_autofree char *text = NULL;
	int r;

	r = read_file(user, device, nic_attr_name(attr), &text);
	if (r < 0)
		return r;
	return g_strlcpy(ret, text, size) < size ? 0 : -EMSGSIZE;
}

static int files_write(void *user, const char *device, enum nic_attr attr, const char *value)
{
	g_autofree char *path = attr_path(device, nic_attr_name(attr)), *text = NULL;
	int r;

	r = read_file(user, device, nic_attr_name(attr), &text);
	return r < 0 ? r : tree_write(user, path, value);
}

/* Lines "name number". */
static int files_statistics(
	void *user, const char *device, struct nic_statistic **ret, size_t *ret_n)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	GArray *all;
	int r;

	r = read_file(user, device, "statistics", &text);
	if (r < 0)
		return r;
	all = g_array_new(FALSE, FALSE, sizeof(struct nic_statistic));
	lines = g_strsplit(text, "\n", STATISTICS_MAX);
	for (char **line = lines; *line; line++) {
		struct nic_statistic one = { .value = 0 };
		char *space = strrchr(*line, ' ');

		if (!space)
			continue;
		*space = '\0';
		g_strlcpy(one.name, *line, sizeof(one.name));
		one.value = g_ascii_strtoull(space + 1, NULL, 10);
		g_array_append_val(all, one);
	}
	*ret_n = all->len;
	*ret = (struct nic_statistic *)(void *)g_array_free(all, FALSE);
	return 0;
}

static void files_close(void *user)
{
	tree_close(user);
}

int nics_open_files(const char *root, struct nics **ret)
{
	static const struct nics_ops ops = { files_read, files_write, files_statistics,
		files_close };
	struct tree *tree;
	int r;

	r = tree_open(root, &tree);
	if (r < 0)
		return r;
	*ret = g_new0(struct nics, 1);
	(*ret)->ops = &ops;
	(*ret)->user = tree;
	return 0;
}
