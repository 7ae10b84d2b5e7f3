/* tests/unit/test_tree.c - files under a root, and attributes of devices that are files. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tune/nic.h"
#include "agent/tune/tree.h"
#include "tests/unit/fake_host.h"

struct fixture {
	char *root;
	struct tree *tree;
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->root = g_dir_make_tmp("test_tree.XXXXXX", NULL);
	g_assert_cmpint(tree_open(f->root, &f->tree), ==, 0);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	tree_close(f->tree);
	fake_host_remove(f->root);
}

static void test_root(struct fixture *f, gconstpointer data)
{
	g_autofree char *file = g_build_filename(f->root, "file", NULL);
	struct tree *t = NULL;

	g_assert_false(tree_is_real(f->tree));
	g_assert_cmpstr(tree_root(f->tree), ==, f->root);
	fake_host_put(f->root, "file", "x");
	g_assert_cmpint(tree_open(file, &t), ==, -ENOTDIR);
	g_assert_cmpint(tree_open("/nowhere/at/all", &t), ==, -ENOENT);
	g_assert_null(t);
	g_assert_cmpint(tree_open("/../", &t), ==, 0);
	g_assert_true(tree_is_real(t));
	tree_close(t);
}

static void test_read(struct fixture *f, gconstpointer data)
{
	g_autofree char *text = NULL, *same = NULL, *inner = NULL, *none = NULL;

	fake_host_put(f->root, "proc/sys/x", "4096\t131072 \n\n");
	g_assert_cmpint(tree_read(f->tree, "proc/sys/x", &text), ==, 0);
	g_assert_cmpstr(text, ==, "4096\t131072");
	g_assert_cmpint(tree_read(f->tree, "//proc/sys/x", &same), ==, 0);
	g_assert_cmpstr(same, ==, text);
	fake_host_link(f->root, "sys/class/net/eth0", "../../../proc");
	g_assert_cmpint(tree_read(f->tree, "/sys/class/net/eth0/sys/x", &inner), ==, 0);
	g_assert_cmpint(tree_read(f->tree, "/proc/none", &none), ==, -ENOENT);
	g_assert_cmpint(tree_read(f->tree, "/proc", &none), ==, -EISDIR);
	g_assert_null(none);
	g_assert_true(tree_exists(f->tree, "/proc/sys/x"));
	g_assert_true(tree_exists(f->tree, "/"));
	g_assert_false(tree_exists(f->tree, "/proc/sys/y"));
}

static void test_limits(struct fixture *f, gconstpointer data)
{
	g_autofree char *huge = g_strnfill(TREE_FILE_MAX, 'x');
	g_autofree char *path = g_build_filename(f->root, "f", NULL), *text = NULL;
	g_autofree char *deep = g_strnfill(TREE_PATH_MAX, 'x');

	fake_host_put(f->root, "f", huge);
	g_assert_cmpint(tree_read(f->tree, "f", &text), ==, -EFBIG);
	huge[TREE_FILE_MAX - 1] = '\0';
	fake_host_put(f->root, "f", huge);
	g_assert_cmpint(tree_read(f->tree, "f", &text), ==, 0);
	g_assert_cmpuint(strlen(text), ==, TREE_FILE_MAX - 1);
	huge[TREE_VALUE_MAX] = '\0';
	g_assert_cmpint(tree_write(f->tree, "f", huge), ==, -EFBIG);
	g_clear_pointer(&text, g_free);
	g_assert_cmpint(tree_read(f->tree, deep, &text), ==, -ENAMETOOLONG);
	g_assert_true(g_file_set_contents(path, "a\0b", 3, NULL));
	g_assert_cmpint(tree_read(f->tree, "f", &text), ==, -EINVAL);
	g_assert_null(text);
}

static void test_int(struct fixture *f, gconstpointer data)
{
	static const struct {
		const char *text;
		int r;
		int64_t value;
	} cases[] = { { "0", 0, 0 }, { "-1", 0, -1 }, { "262144", 0, 262144 }, { "", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 }, { "1 2", -EINVAL, 0 },
		{ "9223372036854775808", -EINVAL, 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int64_t value = 0;

		fake_host_put(f->root, "n", cases[i].text);
		g_assert_cmpint(tree_read_int(f->tree, "n", &value), ==, cases[i].r);
		g_assert_cmpint(value, ==, cases[i].value);
	}
}

static void test_write(struct fixture *f, gconstpointer data)
{
	g_autofree char *text = NULL, *kept = NULL;

	fake_host_put(f->root, "proc/knob", "something long");
	fake_host_settle(f->root);
	g_assert_cmpuint(fake_host_written(f->root), ==, 0);
	g_assert_cmpint(tree_write(f->tree, "/proc/knob", "7"), ==, 0);
	text = fake_host_get(f->root, "proc/knob");
	g_assert_cmpstr(text, ==, "7");
	g_assert_cmpuint(tree_writes(f->tree), ==, 1);
	g_assert_cmpuint(fake_host_written(f->root), ==, 1);
	g_assert_cmpint(tree_write(f->tree, "proc/none", "7"), ==, -ENOENT);
	g_assert_cmpint(tree_write(f->tree, "proc/../proc/knob", "7"), ==, -EINVAL);
	g_assert_cmpint(tree_write(f->tree, "proc", "7"), ==, -EISDIR);
	fake_host_refuse(f->root, "proc/knob", EIO);
	g_assert_cmpint(tree_write(f->tree, "proc/knob", "8"), ==, -EIO);
	kept = fake_host_get(f->root, "proc/knob");
	g_assert_cmpstr(kept, ==, "7");
	g_assert_cmpuint(tree_writes(f->tree), ==, 1);
}

static void test_list(struct fixture *f, gconstpointer data)
{
	static const char *const want[] = { "rx-0", "rx-2", "rx-10", "tx-0" };
	g_autoptr(GPtrArray) names = NULL, none = NULL;

	fake_host_put(f->root, "queues/rx-10/rps_cpus", "0");
	fake_host_put(f->root, "queues/tx-0/xps_cpus", "0");
	fake_host_put(f->root, "queues/rx-2/rps_cpus", "0");
	fake_host_put(f->root, "queues/rx-0/rps_cpus", "0");
	g_assert_cmpint(tree_list(f->tree, "/queues", &names), ==, 0);
	g_assert_cmpuint(names->len, ==, G_N_ELEMENTS(want));
	for (guint i = 0; i < names->len; i++)
		g_assert_cmpstr(names->pdata[i], ==, want[i]);
	g_assert_cmpint(tree_list(f->tree, "/queues/rx-0/rps_cpus", &none), ==, -ENOTDIR);
	g_assert_cmpint(tree_list(f->tree, "/nothing", &none), ==, -ENOENT);
}

static void test_link(struct fixture *f, gconstpointer data)
{
	char name[16];

	fake_host_link(f->root, "driver", "../../bus/pci/drivers/mlx5_core");
	fake_host_link(f->root, "plain", "x");
	g_assert_cmpint(tree_link(f->tree, "driver", name, sizeof(name)), ==, 0);
	g_assert_cmpstr(name, ==, "mlx5_core");
	g_assert_cmpint(tree_link(f->tree, "plain", name, sizeof(name)), ==, 0);
	g_assert_cmpstr(name, ==, "x");
	g_assert_cmpint(tree_link(f->tree, "driver", name, 4), ==, -ENAMETOOLONG);
	fake_host_put(f->root, "file", "x");
	g_assert_cmpint(tree_link(f->tree, "file", name, sizeof(name)), ==, -EINVAL);
}

/* A mount of a read-only /sys needs a namespace of its own: what can be seen here is that a plain folder
 * is none. */
static void test_read_only(struct fixture *f, gconstpointer data)
{
	g_assert_false(tree_is_read_only(f->tree, "/"));
	g_assert_false(tree_is_read_only(f->tree, "/nothing"));
}

/* -- attributes ----------------------------------------------------------------------------- */

static void test_attributes(void)
{
	struct fake_host want = { .cpus = 2, .nics = { { FAKE_MLX5 }, { FAKE_VETH } } };
	char *root = fake_host_make(&want);
	g_autofree char *text = NULL;
	struct nics *n = NULL;
	char value[64], small[4];

	g_assert_cmpint(nics_open_files(root, &n), ==, 0);
	g_assert_cmpint(nics_read(n, "eth0", NIC_CHANNELS, value, sizeof(value)), ==, 0);
	g_assert_cmpstr(value, ==, "rx 0 tx 0 combined 2");
	g_assert_cmpint(nics_read(n, "eth0", NIC_CHANNELS, small, sizeof(small)), ==, -EMSGSIZE);
	g_assert_cmpint(nics_read(n, "eth1", NIC_CHANNELS, value, sizeof(value)), ==, -EOPNOTSUPP);
	g_assert_cmpint(nics_read(n, "eth9", NIC_CHANNELS, value, sizeof(value)), ==, -ENODEV);
	g_assert_cmpint(nics_write(n, "eth0", NIC_UDP4_HASH, "sdfn"), ==, 0);
	text = fake_host_get(root, "ethtool/eth0/udp4-hash");
	g_assert_cmpstr(text, ==, "sdfn");
	g_assert_cmpuint(nics_writes(n), ==, 1);
	g_assert_cmpint(nics_write(n, "eth0", NIC_CHANNELS_MAX, "x"), ==, -EOPNOTSUPP);
	g_assert_cmpint(nics_write(n, "eth0", NIC_DRIVER, "x"), ==, -EOPNOTSUPP);
	g_assert_cmpint(nics_write(n, "eth1", NIC_CHANNELS, "x"), ==, -EOPNOTSUPP);
	g_assert_cmpint(nics_write(n, "eth9", NIC_CHANNELS, "x"), ==, -ENODEV);
	fake_host_refuse(root, "ethtool/eth0/rings", EBUSY);
	g_assert_cmpint(nics_write(n, "eth0", NIC_RINGS, "rx 1 tx 1"), ==, -EBUSY);
	nics_close(n);
	fake_host_remove(root);
}

static void test_statistics(void)
{
	struct fake_host want = { .nics = { { FAKE_MLX5 } } };
	char *root = fake_host_make(&want);
	struct nic_statistic *all = NULL;
	struct nics *n = NULL;
	size_t n_all = 0;

	fake_host_put(root, "ethtool/eth0/statistics",
		"rx_out_of_buffer 12\nrx_discards_phy 18446744073709551615\nnonsense");
	g_assert_cmpint(nics_open_files(root, &n), ==, 0);
	g_assert_cmpint(nics_statistics(n, "eth0", &all, &n_all), ==, 0);
	g_assert_cmpuint(n_all, ==, 2);
	g_assert_cmpstr(all[0].name, ==, "rx_out_of_buffer");
	g_assert_cmpuint(all[0].value, ==, 12);
	g_assert_cmpuint(all[1].value, ==, UINT64_MAX);
	g_free(all);
	g_assert_cmpint(nics_statistics(n, "eth9", &all, &n_all), ==, -ENODEV);
	nics_close(n);
	fake_host_remove(root);
}

static void test_names(void)
{
	for (int i = 0; i < NIC_ATTRS; i++)
		for (int k = 0; k < i; k++)
			g_assert_cmpstr(nic_attr_name(i), !=, nic_attr_name(k));
}

#define ADD(name, test) g_test_add(name, struct fixture, NULL, setup, test, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/tree/root", test_root);
	ADD("/tree/read", test_read);
	ADD("/tree/limits", test_limits);
	ADD("/tree/int", test_int);
	ADD("/tree/write", test_write);
	ADD("/tree/list", test_list);
	ADD("/tree/link", test_link);
	ADD("/tree/read-only", test_read_only);
	g_test_add_func("/nic/attributes", test_attributes);
	g_test_add_func("/nic/statistics", test_statistics);
	g_test_add_func("/nic/names", test_names);
	return g_test_run();
}
