/* tests/unit/test_meta.c - what a server is told about a host, from a made-up file tree. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "mgmt/meta.h"

struct tree {
	char *root;
};

static void put(const struct tree *t, const char *path, const char *text)
{
	g_autofree char *whole = g_strconcat(t->root, path, NULL), *dir = g_path_get_dirname(whole);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	g_assert_true(g_file_set_contents(whole, text, -1, NULL));
}

static void put_process(const struct tree *t, const char *pid, const char *exe)
{
	g_autofree char *dir = g_strconcat(t->root, "/proc/", pid, NULL),
			*link = g_strconcat(dir, "/exe", NULL);

	g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
	g_assert_cmpint(symlink(exe, link), ==, 0);
}

static void begin(struct tree *t)
{
	t->root = g_dir_make_tmp("meta.XXXXXX", NULL);
	put(t, "/etc/os-release",
		"PRETTY_NAME=\"Debian\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='13'\n"
		"VERSION_ID_X=9\n");
	put(t, "/sys/class/dmi/id/chassis_serial", "Default string\n");
	put(t, "/sys/class/dmi/id/product_serial", " S/N 42 \n");
	put(t, "/sys/class/dmi/id/board_serial", "43\n");
	put(t, "/sys/class/dmi/id/board_name", "X11\n");
	put(t, "/sys/class/dmi/id/sys_vendor", "Acme \xc3\xbc\n");
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL
									: g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	g_remove(path);
}

static void end(struct tree *t)
{
	remove_tree(t->root);
	g_free(t->root);
}

static struct meta *gather(const struct meta_options *options)
{
	struct meta_gather *g = meta_gather_new(options);

	while (meta_gather_step(g))
		;
	return meta_gather_finish(g);
}

static void test_system(void)
{
	struct utsname name;
	struct meta *m;
	struct tree t;

	begin(&t);
	uname(&name);
	m = gather(&(struct meta_options){ .root = t.root });
	g_assert_cmpstr(m->hostname, ==, name.nodename);
	g_assert_cmpstr(m->kernel, ==, "Linux");
	g_assert_cmpstr(m->kernel_release, ==, name.release);
	g_assert_cmpstr(m->machine, ==, name.machine);
	g_assert_cmpstr(m->os, ==, "Debian GNU/Linux");
	g_assert_cmpstr(m->os_version, ==, "13");
	g_assert_cmpstr(m->serial, ==, "S/N 42");
	g_assert_cmpstr(m->product, ==, "X11");
	g_assert_cmpstr(m->vendor, ==, "Acme ??");
	g_assert_cmpstr(m->container, ==, "");
	g_assert_false(m->ipv6);
	g_assert_cmpuint(m->n_files, ==, 0);
	meta_free(m);

	put(&t, "/.dockerenv", "");
	put(&t, "/proc/net/if_inet6", "");
	put(&t, "/etc/os-release", "NAME=\"not closed\nVERSION_ID=\n");
	m = gather(&(struct meta_options){ .root = t.root, .hostname = "other" });
	g_assert_cmpstr(m->hostname, ==, "other");
	g_assert_cmpstr(m->container, ==, "Docker");
	g_assert_cmpstr(m->os, ==, "Linux");
	g_assert_cmpstr(m->os_version, ==, "");
	g_assert_true(m->ipv6);
	meta_free(m);
	end(&t);
}

/* An empty tree, files that are long, binary, or no files. */
static void test_odd_files(void)
{
	g_autofree char *many = g_strnfill(100000, 'x'), *vendor = NULL;
	struct meta *m;
	struct tree t;

	begin(&t);
	vendor = g_strconcat(t.root, "/sys/class/dmi/id/sys_vendor", NULL);
	put(&t, "/etc/os-release", many);
	put(&t, "/sys/class/dmi/id/product_name", many);
	g_remove(vendor);
	put(&t, "/sys/class/dmi/id/sys_vendor/x", "");
	m = gather(&(struct meta_options){ .root = t.root });
	g_assert_cmpuint(strlen(m->product), ==, META_TEXT_MAX - 1);
	meta_free(m);
	end(&t);

	m = gather(&(struct meta_options){ .root = "/nonexistent" });
	g_assert_cmpstr(m->serial, ==, "");
	g_assert_cmpstr(m->os, ==, "Linux");
	meta_free(m);
}

static void test_may_tell(void)
{
	static const char *const allowed[] = { "/usr/bin", "/opt/app/", "/etc/one", NULL };
	static const char *const all[] = { "/", NULL };
	static const char *const yes[] = { "/usr/bin/a", "/usr/bin", "/usr/bin/a/b", "/opt/app/x",
		"/etc/one" };
	static const char *const no[] = { "/usr/binary", "/usr", "/etc/one.d",
		"/usr/bin/../../etc/shadow", "/usr/bin/./a", "/usr/bin//a", "usr/bin/a", "", "/",
		"/usr/bin/.." };

	for (size_t i = 0; i < G_N_ELEMENTS(yes); i++)
		g_assert_true(meta_may_tell(yes[i], allowed));
	for (size_t i = 0; i < G_N_ELEMENTS(no); i++)
		g_assert_false(meta_may_tell(no[i], allowed));
	g_assert_true(meta_may_tell("/etc/shadow", all));
	g_assert_false(meta_may_tell("/usr/bin/a", NULL));
}

static void test_files(void)
{
	static const char *const files[] = { "/usr/bin/a", "/usr/bin/b", "/usr/bin/c",
		"/etc/shadow", NULL };
	static const char *const allowed[] = { "/usr/bin", NULL };
	struct meta_options options = { .allowed = allowed, .files = files };
	struct meta *m;
	struct tree t;

	begin(&t);
	options.root = t.root;
	put(&t, "/usr/bin/a", "");
	put(&t, "/usr/bin/b", "");
	put(&t, "/etc/shadow", "");
	put(&t, "/proc/version", "");
	put(&t, "/proc/13/status", ""); /* a process that hides its executable */
	put_process(&t, "1", "/usr/bin/a");
	put_process(&t, "20", "/usr/bin/c (deleted)");
	put_process(&t, "30", "/etc/shadow");
	m = gather(&options);
	g_assert_cmpuint(m->n_files, ==, 4);
	g_assert_cmpuint(m->n_refused, ==, 1);
	for (size_t i = 0; i < 4; i++)
		g_assert_cmpstr(m->files[i].path, ==, files[i]);
	g_assert_true(m->files[0].exists && m->files[0].runs);
	g_assert_true(m->files[1].exists && !m->files[1].runs);
	g_assert_true(!m->files[2].exists && !m->files[2].runs);
	g_assert_true(!m->files[3].exists && !m->files[3].runs);
	meta_free(m);
	options.allowed = NULL;
	m = gather(&options);
	g_assert_cmpuint(m->n_refused, ==, 4);
	g_assert_false(m->files[0].exists);
	meta_free(m);
	end(&t);
}

/* Of the processor: how long a slice takes by the clock is also a matter of what else runs on the machine. */
static int64_t used_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * G_USEC_PER_SEC + t.tv_nsec / 1000;
}

/* 20,000 processes: in slices, none of which is long. */
static void test_many_processes(void)
{
	static const char *const files[] = { "/usr/bin/a", NULL },
				 *const allowed[] = { "/usr", NULL };
	struct meta_gather *g;
	struct meta *m;
	struct tree t;
	int64_t longest = 0, begun;

	begin(&t);
	for (int i = 0; i < 20000; i++) {
		g_autofree char *pid = g_strdup_printf("%d", i + 1);

		put_process(&t, pid, i == 19999 ? "/usr/bin/a" : "/usr/bin/b");
	}
	g = meta_gather_new(
		&(struct meta_options){ .root = t.root, .files = files, .allowed = allowed });
	for (bool more = true; more;) {
		begun = used_us();
		more = meta_gather_step(g);
		longest = MAX(longest, used_us() - begun);
	}
	m = meta_gather_finish(g);
	g_assert_true(m->files[0].runs);
	g_test_message("longest slice: %d us", (int)longest);
	g_assert_cmpint(longest, <, 50 * 1000);
	meta_free(m);
	g = meta_gather_new(
		&(struct meta_options){ .root = t.root, .files = files, .allowed = allowed });
	meta_gather_step(g);
	meta_gather_free(g);
	end(&t);
}

/* The host's own: only what nobody can dispute. */
static void test_addresses(void)
{
	struct meta *m = gather(&(struct meta_options){ .root = "" });

	g_assert_cmpstr(m->os, !=, "");
	for (size_t i = 0; i < m->n_addresses; i++) {
		const struct meta_address *a = &m->addresses[i];

		g_test_message("%s %s", a->address, a->mac);
		g_assert_nonnull(strchr(a->address, '/'));
		g_assert_cmpuint(strlen(a->mac), ==, 17);
		g_assert_false(g_str_has_prefix(a->address, "127."));
		g_assert_false(g_str_has_prefix(a->address, "fe80"));
		for (size_t j = 0; j < i; j++)
			g_assert_true(strcmp(m->addresses[j].address, a->address) ||
				strcmp(m->addresses[j].mac, a->mac));
	}
	meta_free(m);
	meta_free(NULL);
	meta_gather_free(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_unsetenv("KUBERNETES_SERVICE_HOST");
	g_test_add_func("/meta/system", test_system);
	g_test_add_func("/meta/odd files", test_odd_files);
	g_test_add_func("/meta/may tell", test_may_tell);
	g_test_add_func("/meta/files", test_files);
	g_test_add_func("/meta/many processes", test_many_processes);
	g_test_add_func("/meta/addresses", test_addresses);
	return g_test_run();
}
