/* tests/unit/test_file.c - whose files are read, and that writing is all or nothing. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/file.h"

struct fixture {
	char *dir, *path;
};

static void setup(struct fixture *f, gconstpointer data)
{
	f->dir = g_dir_make_tmp("test_file.XXXXXX", NULL);
	g_assert_nonnull(f->dir);
	f->path = g_build_filename(f->dir, "file", NULL);
}

/* Nothing but the file itself may be left. */
static void teardown(struct fixture *f, gconstpointer data)
{
	g_unlink(f->path);
	g_assert_no_errno(g_rmdir(f->dir));
	g_free(f->path);
	g_free(f->dir);
}

static void put(struct fixture *f, const char *text, mode_t mode)
{
	g_assert_true(g_file_set_contents(f->path, text, -1, NULL));
	g_assert_no_errno(chmod(f->path, mode));
}

static void assert_content(const char *path, const char *want)
{
	g_autofree char *text = NULL;
	size_t len = 0;

	g_assert_cmpint(file_read(path, 1 << 20, &text, &len), ==, 0);
	g_assert_cmpstr(text, ==, want);
	g_assert_cmpuint(len, ==, strlen(want));
}

/* -- reading -------------------------------------------------------------------------------- */

static void test_read_modes(struct fixture *f, gconstpointer data)
{
	static const struct {
		mode_t mode;
		int plain, secret;
	} cases[] = {
		{ 0600, 0, 0 },
		{ 0400, 0, 0 },
		{ 0640, 0, 0 },
		{ 0440, 0, 0 },
		{ 0644, 0, -EPERM },
		{ 0604, 0, -EPERM },
		{ 0601, 0, -EPERM },
		{ 0755, 0, -EPERM },
		{ 0620, -EPERM, -EPERM },
		{ 0602, -EPERM, -EPERM },
		{ 0666, -EPERM, -EPERM },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		char *text = NULL;
		size_t len = 77;

		put(f, "content", cases[i].mode);
		g_assert_cmpint(file_read(f->path, 7, &text, &len), ==, cases[i].plain);
		g_assert_cmpstr(text, ==, cases[i].plain == 0 ? "content" : NULL);
		g_assert_cmpuint(len, ==, cases[i].plain == 0 ? 7 : 77);
		g_clear_pointer(&text, g_free);
		g_assert_cmpint(file_read_secret(f->path, 7, &text, &len), ==, cases[i].secret);
		g_assert_cmpstr(text, ==, cases[i].secret == 0 ? "content" : NULL);
		g_free(text);
	}
}

static void test_read_sizes(struct fixture *f, gconstpointer data)
{
	static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 100000 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *content = g_malloc(sizes[i] + 1), *text = NULL;
		size_t len;

		for (size_t j = 0; j < sizes[i]; j++)
			content[j] = (char)(j * 31);
		g_assert_true(g_file_set_contents(f->path, content, (gssize)sizes[i], NULL));
		g_assert_no_errno(chmod(f->path, 0600));
		g_assert_cmpint(file_read(f->path, sizes[i], &text, &len), ==, 0);
		g_assert_cmpmem(text, len, content, sizes[i]);
		g_assert_cmpint(text[len], ==, 0);
		if (sizes[i])
			g_assert_cmpint(file_read(f->path, sizes[i] - 1, &text, &len), ==, -EFBIG);
	}
}

static void test_read_refused(struct fixture *f, gconstpointer data)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	g_autofree char *slash = g_strconcat(f->dir, "/", NULL);
	char *text = NULL;
	size_t len;
	int fd;

	g_assert_cmpint(file_read(f->path, 100, &text, &len), ==, -ENOENT);
	g_assert_cmpint(file_read("", 100, &text, &len), ==, -ENOENT);
	g_assert_cmpint(file_read(slash, 100, &text, &len), ==, -ENOENT);
	g_assert_cmpint(file_read("/nonexistent/file", 100, &text, &len), ==, -ENOENT);
	g_assert_cmpint(file_read("/etc/passwd/file", 100, &text, &len), ==, -ENOTDIR);
	g_assert_cmpint(file_read(f->dir, 100, &text, &len), ==, -EINVAL);
	g_assert_cmpint(file_read("/", 100, &text, &len), ==, -ENOENT);
	g_assert_cmpint(file_read("/dev/null", 100, &text, &len), ==, -EINVAL);

	g_assert_no_errno(symlink("/etc/passwd", f->path));
	g_assert_cmpint(file_read(f->path, 1 << 20, &text, &len), ==, -ELOOP);
	g_unlink(f->path);

	/* Neither of these may make us wait. */
	g_assert_no_errno(mkfifo(f->path, 0600));
	g_assert_cmpint(file_read(f->path, 100, &text, &len), ==, -EINVAL);
	g_unlink(f->path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	g_strlcpy(un.sun_path, f->path, sizeof(un.sun_path));
	g_assert_no_errno(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	g_assert_cmpint(file_read(f->path, 100, &text, &len), ==, -EINVAL);
	close(fd);
	g_assert_null(text);
}

static void test_read_directory(struct fixture *f, gconstpointer data)
{
	char *text = NULL;
	size_t len;

	put(f, "x", 0600);
	g_assert_no_errno(chmod(f->dir, 0777));
	g_assert_cmpint(file_read(f->path, 100, &text, &len), ==, -EPERM);
	g_assert_no_errno(chmod(f->dir, 01777));
	assert_content(f->path, "x");
	g_assert_no_errno(chmod(f->dir, 0700));
	assert_content(f->path, "x");
}

/* Links on the way to the directory are normal: /var/run is one. */
static void test_read_linked_parent(struct fixture *f, gconstpointer data)
{
	g_autofree char *link = g_strconcat(f->dir, ".link", NULL);
	g_autofree char *path = g_build_filename(link, "file", NULL);

	put(f, "x", 0600);
	g_assert_no_errno(symlink(f->dir, link));
	assert_content(path, "x");
	g_unlink(link);
}

static void test_read_foreign_owner(struct fixture *f, gconstpointer data)
{
	char *text = NULL;
	size_t len;

	if (geteuid() != 0) {
		g_test_skip("needs root");
		return;
	}
	put(f, "x", 0644);
	g_assert_no_errno(chown(f->path, 12345, 12345));
	g_assert_cmpint(file_read(f->path, 100, &text, &len), ==, -EPERM);
	g_assert_null(text);
}

static void test_read_relative(struct fixture *f, gconstpointer data)
{
	g_autofree char *before = g_get_current_dir();

	put(f, "x", 0600);
	g_assert_no_errno(chdir(f->dir));
	assert_content("file", "x");
	assert_content("./file", "x");
	g_assert_no_errno(chdir(before));
}

/* Files of the kernel say that they are empty. */
static void test_read_unknown_size(struct fixture *f, gconstpointer data)
{
	g_autofree char *text = NULL;
	size_t len = 0;

	if (geteuid() != 0 && access("/proc/self/stat", R_OK) < 0) {
		g_test_skip("needs /proc");
		return;
	}
	g_assert_cmpint(file_read("/proc/self/maps", 1 << 24, &text, &len), ==, 0);
	g_assert_cmpuint(len, >, 100);
	g_assert_cmpuint(strlen(text), ==, len);
	g_assert_cmpint(file_read("/proc/self/maps", 100, &text, &len), ==, -EFBIG);
}

static void test_strerror(void)
{
	static const int all[] = { -ELOOP, -EINVAL, -EFBIG, -EPERM, -ENOENT, -EACCES };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
		g_assert_cmpuint(strlen(file_strerror(all[i])), >, 0);
		for (size_t j = 0; j < i; j++)
			g_assert_cmpstr(file_strerror(all[i]), !=, file_strerror(all[j]));
	}
	g_assert_cmpstr(file_strerror(-ENOENT), ==, g_strerror(ENOENT));
}

static void test_explain(void)
{
	static const struct {
		int r;
		size_t limit;
		const char *text;
	} cases[] = {
		{ -EFBIG, 256 * 1024, "/x: it is larger than 256 KiB" },
		{ -EFBIG, 64 << 20, "/x: it is larger than 64 MiB" },
		{ -ELOOP, 1024, "/x: it is a symbolic link" },
	};
	char text[64];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		file_explain(cases[i].r, "/x", cases[i].limit, text, sizeof(text));
		g_assert_cmpstr(text, ==, cases[i].text);
	}
}

/* -- writing -------------------------------------------------------------------------------- */

static void test_write(struct fixture *f, gconstpointer data)
{
	static const mode_t modes[] = { 0600, 0640, 0644, 0400 };
	mode_t before = umask(077);
	struct stat st;

	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
		g_assert_cmpint(file_write(f->path, "content", 7, modes[i]), ==, 0);
		assert_content(f->path, "content");
		g_assert_no_errno(stat(f->path, &st));
		g_assert_cmpuint(st.st_mode & 07777, ==, modes[i]);
		g_assert_cmpint(file_write(f->path, "", 0, modes[i]), ==, 0);
		assert_content(f->path, "");
	}
	umask(before);
}

static void test_write_over_leftovers(struct fixture *f, gconstpointer data)
{
	g_autofree char *temporary = g_strdup_printf("%s.tmp.%d", f->path, (int)getpid());
	g_autofree char *elsewhere = g_strconcat(f->dir, "/elsewhere", NULL);

	/* A file from a crash, then a trap: nothing is written through it. */
	g_assert_true(g_file_set_contents(temporary, "half", -1, NULL));
	g_assert_cmpint(file_write(f->path, "new", 3, 0600), ==, 0);
	assert_content(f->path, "new");
	g_assert_no_errno(symlink(elsewhere, temporary));
	g_assert_cmpint(file_write(f->path, "newer", 5, 0600), ==, 0);
	assert_content(f->path, "newer");
	g_assert_false(g_file_test(elsewhere, G_FILE_TEST_EXISTS));
	g_assert_false(g_file_test(temporary, G_FILE_TEST_IS_SYMLINK));
}

/* A link is replaced, not followed. */
static void test_write_link(struct fixture *f, gconstpointer data)
{
	g_autofree char *target = g_strconcat(f->dir, "/target", NULL);

	g_assert_true(g_file_set_contents(target, "old", -1, NULL));
	g_assert_no_errno(symlink(target, f->path));
	g_assert_cmpint(file_write(f->path, "new", 3, 0600), ==, 0);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_IS_SYMLINK));
	assert_content(f->path, "new");
	assert_content(target, "old");
	g_unlink(target);
}

static void test_write_errors(struct fixture *f, gconstpointer data)
{
	g_autofree char *missing = g_build_filename(f->dir, "missing", "file", NULL);
	g_autofree char *name = g_strnfill(250, 'n');
	g_autofree char *longer = g_build_filename(f->dir, name, NULL);
	g_autofree char *child = g_build_filename(f->path, "child", NULL);

	g_assert_cmpint(file_write(missing, "x", 1, 0600), ==, -ENOENT);
	g_assert_cmpint(file_write(longer, "x", 1, 0600), ==, -ENAMETOOLONG);
	/* The name is taken by a directory with something in it. */
	g_assert_no_errno(g_mkdir(f->path, 0700));
	g_assert_true(g_file_set_contents(child, "x", -1, NULL));
	g_assert_cmpint(file_write(f->path, "x", 1, 0600), ==, -EISDIR);
	g_unlink(child);
	g_rmdir(f->path);
}

/* No room for all of it: the old file stays, and nothing else. The limit on the size of files fails
 * like a full disk, in the middle of writing. */
static void test_write_no_room(struct fixture *f, gconstpointer data)
{
	struct rlimit small = { 1000, 1000 };
	int status;
	pid_t pid;

	g_assert_cmpint(file_write(f->path, "old", 3, 0600), ==, 0);
	pid = fork();
	if (pid == 0) {
		char large[5000] = "";

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &small) < 0)
			_exit(1);
		_exit(file_write(f->path, large, sizeof(large), 0600) == -EFBIG ? 0 : 2);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	assert_content(f->path, "old");
}

/* Killed at any moment, there is the old content or the new. */
static void test_write_killed(struct fixture *f, gconstpointer data)
{
	g_autofree char *old = g_strnfill(30000, 'o'), *new = g_strnfill(50000, 'n');

	g_assert_cmpint(file_write(f->path, old, strlen(old), 0600), ==, 0);
	for (int i = 0; i < 40; i++) {
		g_autofree char *temporary = NULL, *text = NULL;
		size_t len;
		pid_t pid = fork();

		if (pid == 0) {
			for (;;) {
				file_write(f->path, new, strlen(new), 0600);
				file_write(f->path, old, strlen(old), 0600);
			}
		}
		g_usleep((gulong)g_test_rand_int_range(100, 5000));
		kill(pid, SIGKILL);
		g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
		temporary = g_strdup_printf("%s.tmp.%d", f->path, (int)pid);
		g_unlink(temporary);
		g_assert_cmpint(file_read(f->path, 1 << 20, &text, &len), ==, 0);
		g_assert_true(strcmp(text, old) == 0 || strcmp(text, new) == 0);
	}
}

#define ADD(path, fn) g_test_add(path, struct fixture, NULL, setup, fn, teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("/file/read/modes", test_read_modes);
	ADD("/file/read/sizes", test_read_sizes);
	ADD("/file/read/refused", test_read_refused);
	ADD("/file/read/directory", test_read_directory);
	ADD("/file/read/linked-parent", test_read_linked_parent);
	ADD("/file/read/foreign-owner", test_read_foreign_owner);
	ADD("/file/read/relative", test_read_relative);
	ADD("/file/read/unknown-size", test_read_unknown_size);
	g_test_add_func("/file/strerror", test_strerror);
	g_test_add_func("/file/explain", test_explain);
	ADD("/file/write/modes", test_write);
	ADD("/file/write/over-leftovers", test_write_over_leftovers);
	ADD("/file/write/link", test_write_link);
	ADD("/file/write/errors", test_write_errors);
	ADD("/file/write/no-room", test_write_no_room);
	ADD("/file/write/killed", test_write_killed);
	return g_test_run();
}
