/* tests/unit/test_state.c - what survives a restart, and what damage does to it. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/state.h"

struct fixture {
	char *parent, *dir;
	struct state *state;
};

static void set_up(struct fixture *f, const void *data)
{
	pid_t holder;

	f->parent = g_dir_make_tmp("lapwing-state-XXXXXX", NULL);
	f->dir = g_build_filename(f->parent, "one", NULL);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void remove_all(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);

	for (const char *name; (name = g_dir_read_name(entries));) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		g_remove(path);
	}
	g_rmdir(dir);
}

static void tear_down(struct fixture *f, const void *data)
{
	state_close(f->state);
	remove_all(f->dir);
	g_assert_cmpint(g_rmdir(f->parent), ==, 0);
	g_free(f->dir);
	g_free(f->parent);
}

static void reopen(struct fixture *f)
{
	pid_t holder;

	state_close(f->state);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static char *path_of(const struct fixture *f, const char *name)
{
	return g_build_filename(f->dir, name, NULL);
}

static void test_fresh(struct fixture *f, const void *data)
{
	struct wg_key *keys = NULL;
	struct stat st;
	size_t n = 7;

	g_assert_cmpint(stat(f->dir, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0700);
	g_assert_cmpstr(state_dir(f->state), ==, f->dir);
	g_assert_cmpstr(state_instance(f->state), ==, "one");
	g_assert_false(state_is_down(f->state));
	g_assert_cmpstr(state_interface(f->state), ==, "");
	g_assert_cmpint(state_load_peers(f->state, &keys, &n), ==, 0);
	g_assert_cmpuint(n, ==, 0);
	g_free(keys);
}

static void test_facts(struct fixture *f, const void *data)
{
	g_assert_cmpint(state_set_down(f->state, true), ==, 0);
	reopen(f);
	g_assert_true(state_is_down(f->state));
	g_assert_cmpint(state_set_interface(f->state, "wt-0.a", 4000000000), ==, 0);
	g_assert_cmpint(state_set_down(f->state, false), ==, 0);
	reopen(f);
	g_assert_false(state_is_down(f->state));
	g_assert_cmpstr(state_interface(f->state), ==, "wt-0.a");
	g_assert_cmpint(state_set_interface(f->state, "", 0), ==, 0);
	reopen(f);
	g_assert_cmpstr(state_interface(f->state), ==, "");
}

static void test_lock(struct fixture *f, const void *data)
{
	struct state *second = NULL;
	pid_t holder = 0;

	g_assert_cmpint(state_open(f->dir, &second, &holder), ==, -EBUSY);
	g_assert_null(second);
	g_assert_cmpint(holder, ==, getpid());
	reopen(f);
}

/* The lock does not outlive its holder, however that ends. */
static void test_lock_of_the_dead(struct fixture *f, const void *data)
{
	pid_t child, holder;
	int status;

	state_close(g_steal_pointer(&f->state));
	child = fork();
	if (child == 0) {
		struct state *state;

		_exit(state_open(f->dir, &state, &holder) == 0 ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void test_unsafe_directory(struct fixture *f, const void *data)
{
	g_autofree char *link = g_build_filename(f->parent, "link", NULL);
	g_autofree char *nowhere = g_build_filename(f->parent, "no", "where", NULL);
	struct state *state = NULL;
	pid_t holder;

	state_close(g_steal_pointer(&f->state));
	g_assert_cmpint(chmod(f->dir, 0770), ==, 0);
	g_assert_cmpint(state_open(f->dir, &state, &holder), ==, -EPERM);
	g_assert_cmpint(chmod(f->dir, 0700), ==, 0);
	g_assert_cmpint(symlink(f->dir, link), ==, 0);
	g_assert_cmpint(state_open(link, &state, &holder), <, 0);
	g_unlink(link);
	g_assert_cmpint(state_open(nowhere, &state, &holder), ==, -ENOENT);
	if (getuid() == 0) {
		g_assert_cmpint(chown(f->dir, 12345, 12345), ==, 0);
		g_assert_cmpint(state_open(f->dir, &state, &holder), ==, -EPERM);
		g_assert_cmpint(chown(f->dir, 0, 0), ==, 0);
	}
	g_assert_null(state);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void test_bad_facts(struct fixture *f, const void *data)
{
	static const char *const table[] = {
		"",
		"{",
		"{\"version\":1,\"down\":true}",
		"{\"version\":2,\"down\":true,\"interface\":\"\"}",
		"{\"version\":1,\"down\":1,\"interface\":\"\"}",
		"{\"version\":1,\"down\":true,\"interface\":\"0123456789abcdef\"}",
		"{\"version\":1,\"down\":true,\"interface\":\"\",\"more\":1}",
	};
	g_autofree char *path = path_of(f, "state.json"), *aside = path_of(f, "state.json.corrupt");

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_true(g_file_set_contents(path, table[i], -1, NULL));
		g_assert_cmpint(chmod(path, 0600), ==, 0);
		reopen(f);
		g_assert_false(state_is_down(f->state));
		g_assert_cmpstr(state_interface(f->state), ==, "");
		g_assert_cmpint(g_access(path, F_OK), ==, -1);
		g_assert_cmpint(g_access(aside, F_OK), ==, 0);
		g_unlink(aside);
	}
}

/* The value holds although it could not be written. */
static void test_read_only(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "state.json");

	/* A directory in its place: rename fails for everybody, root too. */
	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	g_assert_cmpint(state_set_down(f->state, true), <, 0);
	g_assert_true(state_is_down(f->state));
	g_assert_cmpint(state_set_interface(f->state, "wt0", 1), <, 0);
	g_assert_cmpstr(state_interface(f->state), ==, "wt0");
	g_rmdir(path);
	g_assert_cmpint(state_set_down(f->state, true), ==, 0);
	reopen(f);
	g_assert_cmpstr(state_interface(f->state), ==, "wt0");
}

static void test_peers(struct fixture *f, const void *data)
{
	static const size_t sizes[] = { 0, 1, 2, 1000, 100000 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		size_t bytes = sizes[i] * sizeof(struct wg_key), n;
		g_autofree struct wg_key *keys = g_malloc0(bytes), *read = NULL;

		for (size_t k = 0; k < bytes; k++)
			((uint8_t *)keys)[k] = (uint8_t)g_test_rand_int();
		g_assert_cmpint(state_save_peers(f->state, keys, sizes[i]), ==, 0);
		g_assert_cmpint(state_load_peers(f->state, &read, &n), ==, 0);
		g_assert_cmpuint(n, ==, sizes[i]);
		g_assert_cmpmem(read, n * sizeof(*read), keys, bytes);
	}
}

static void expect_damaged(struct fixture *f, const char *path, const char *data, size_t len)
{
	g_autofree char *aside = g_strconcat(path, ".corrupt", NULL);
	g_autofree struct wg_key *keys = NULL;
	size_t n = 1;

	g_assert_true(g_file_set_contents_full(
		path, data, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_cmpint(state_load_peers(f->state, &keys, &n), ==, 0);
	g_assert_cmpuint(n, ==, 0);
	g_assert_cmpint(g_access(path, F_OK), ==, -1);
	g_assert_cmpint(g_access(aside, F_OK), ==, 0);
}

static void test_damaged_peers(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "peers"), *good = NULL;
	struct wg_key keys[3] = { { { 1 } }, { { 2 } }, { { 3 } } };
	gsize len;

	g_assert_cmpint(state_save_peers(f->state, keys, 3), ==, 0);
	g_assert_true(g_file_get_contents(path, &good, &len, NULL));
	for (size_t bit = 0; bit < len * 8; bit++) {
		good[bit / 8] ^= (char)(1 << bit % 8);
		expect_damaged(f, path, good, len);
		good[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		expect_damaged(f, path, good, cut);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/state/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(fresh);
	ADD(facts);
	ADD(lock);
	ADD(lock_of_the_dead);
	ADD(unsafe_directory);
	ADD(bad_facts);
	ADD(read_only);
	ADD(peers);
	ADD(damaged_peers);
	return g_test_run();
}
