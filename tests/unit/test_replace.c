/* tests/unit/test_replace.c - several files that are replaced together, or none of them. */
#include "agent/base/replace.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char *dir, *a, *b;
};

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-replace-XXXXXX", NULL);
	f->a = g_build_filename(f->dir, "a", NULL);
	f->b = g_build_filename(f->dir, "b", NULL);
}

static void tear_down(struct fixture *f, const void *data)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

	g_assert_cmpint(system(command), ==, 0);
	g_free(f->dir);
	g_free(f->a);
	g_free(f->b);
}

static void put(const char *path, const char *text, int mode)
{
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpint(g_chmod(path, (mode_t)mode), ==, 0);
}

static void check(const char *path, const char *wanted, int mode)
{
	g_autofree char *text = NULL;
	struct stat st;

	if (!wanted) {
		g_assert_cmpint(lstat(path, &st), ==, -1);
		return;
	}
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, wanted);
	g_assert_cmpint(lstat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, mode);
}

/* Nothing but these is left behind. */
static void check_count(const struct fixture *f, unsigned wanted)
{
	GDir *dir = g_dir_open(f->dir, 0, NULL);
	unsigned n = 0;

	while (g_dir_read_name(dir))
		n++;
	g_dir_close(dir);
	g_assert_cmpuint(n, ==, wanted);
}

static void test_commit(struct fixture *f, const void *data)
{
	struct replace *r = replace_new();

	put(f->a, "old", 0640);
	g_assert_cmpint(replace_prepare(r, f->a, "new", 3), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->b, "two", 3), ==, 0);
	check(f->a, "old", 0640);
	check(f->b, NULL, 0);
	g_assert_cmpint(replace_commit(r), ==, 0);
	replace_free(r);
	check(f->a, "new", 0640);
	check(f->b, "two", 0644);
	check_count(f, 2);
}

static void test_undo(struct fixture *f, const void *data)
{
	struct replace *r = replace_new();
	struct stat before, after;

	put(f->a, "old", 0600);
	g_assert_cmpint(lstat(f->a, &before), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->a, "new", 3), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->b, "two", 3), ==, 0);
	g_assert_cmpint(replace_commit(r), ==, 0);
	g_assert_cmpint(replace_undo(r), ==, 0);
	check(f->a, "old", 0600);
	check(f->b, NULL, 0);
	replace_free(r);
	check_count(f, 1);
	g_assert_cmpint(lstat(f->a, &after), ==, 0);
	g_assert_cmpint(before.st_ino, ==, after.st_ino);
}

/* The second one cannot be prepared: the first stays as it is. */
static void test_refused(struct fixture *f, const void *data)
{
	g_autofree char *far = g_build_filename(f->dir, "none", "c", NULL);
	struct replace *r = replace_new();

	put(f->a, "old", 0600);
	g_assert_cmpint(symlink("a", f->b), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->a, "new", 3), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->b, "two", 3), ==, -ELOOP);
	g_assert_cmpint(replace_prepare(r, far, "two", 3), ==, -ENOENT);
	g_assert_cmpint(replace_prepare(r, f->dir, "two", 3), ==, -EINVAL);
	replace_free(r);
	check(f->a, "old", 0600);
	check_count(f, 2);
}

/* The second one cannot be put in place: the first goes back. */
static void test_half(struct fixture *f, const void *data)
{
	struct replace *r = replace_new();

	put(f->a, "old", 0600);
	g_assert_cmpint(replace_prepare(r, f->a, "new", 3), ==, 0);
	g_assert_cmpint(replace_prepare(r, f->b, "two", 3), ==, 0);
	g_assert_cmpint(g_mkdir(f->b, 0755), ==, 0);
	g_assert_cmpint(replace_commit(r), ==, -EISDIR);
	replace_free(r);
	check(f->a, "old", 0600);
	check_count(f, 2);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) \
	g_test_add("/replace/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(commit);
	ADD(undo);
	ADD(refused);
	ADD(half);
	return g_test_run();
}
