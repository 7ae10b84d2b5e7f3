/* tests/unit/test_log.c - where lines go, how they look, and that logging never hurts. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/log.h"

/* Runs in a child whose stderr is `fd`, so that the real one stays. Asserts that it ends well. */
static void with_stderr(int fd, void (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		dup2(fd, STDERR_FILENO);
		run();
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
}

static char *drain(int fd)
{
	char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	buf[MAX(n, 0)] = '\0';
	return g_strdup(buf);
}

static char *logged_to_pipe(void (*run)(void))
{
	char *text;
	int fds[2];

	g_assert_no_errno(pipe(fds));
	with_stderr(fds[1], run);
	close(fds[1]);
	text = drain(fds[0]);
	close(fds[0]);
	return text;
}

static void assert_matches(const char *text, const char *pattern)
{
	if (!g_regex_match_simple(pattern, text, G_REGEX_DOLLAR_ENDONLY, 0))
		g_error("'%s' does not match '%s'", text, pattern);
}

/* -- forms ---------------------------------------------------------------------------------- */

static void log_each_level(void)
{
	log_open(LOG_TARGET_AUTO, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	log_error("one");
	log_warn("two");
	log_info("three");
	log_debug("four");
}

static void test_pipe(void)
{
	g_autofree char *text = logged_to_pipe(log_each_level);

	g_assert_cmpstr(text, ==,
		"lapwingd: error: one\nlapwingd: warn: two\n"
		"lapwingd: info: three\nlapwingd: debug: four\n");
}

static void log_levels(void)
{
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_set_level((enum log_level)level);
		g_assert_cmpint(log_get_level(), ==, level);
		log_error("%d", level);
		log_warn("%d", level);
		log_info("%d", level);
		log_debug("%d", level);
	}
}

static void test_levels(void)
{
	g_autofree char *text = logged_to_pipe(log_levels);

	g_assert_cmpstr(text, ==,
		"lapwingd: error: 0\n"
		"lapwingd: error: 1\nlapwingd: warn: 1\n"
		"lapwingd: error: 2\nlapwingd: warn: 2\nlapwingd: info: 2\n"
		"lapwingd: error: 3\nlapwingd: warn: 3\nlapwingd: info: 3\n"
		"lapwingd: debug: 3\n");
}

static void test_level_names(void)
{
	static const char *const bad[] = { "", "warning", "ERROR", "inf", "infos", "3" };
	enum log_level parsed;

	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		g_assert_cmpint(
			log_level_parse(log_level_name((enum log_level)level), &parsed), ==, 0);
		g_assert_cmpint(parsed, ==, level);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(log_level_parse(bad[i], &parsed), ==, -EINVAL);
}

static void log_foreign(void)
{
	g_autofree char *line = g_strnfill(5000, 'x');
	g_autofree char *wide = g_strdup(line);

	for (int i = 0; i + 1 < 5000; i += 2)
		memcpy(wide + i, "\xc3\xbc", 2);
	log_info("%s", "a\nlapwingd: error: forged\r\x1b[2J\x7f");
	log_info("%s", "\xff gr\xc3\xbc\xc3\x9f \xc2\x9b");
	log_info("%s", line);
	log_info("a%s", wide);
	log_info("%s", "");
}

static void test_foreign(void)
{
	g_autofree char *text = logged_to_pipe(log_foreign);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	g_assert_cmpuint(g_strv_length(lines), ==, 6);
	g_assert_cmpstr(
		lines[0], ==, "lapwingd: info: a\\x0alapwingd: error: forged\\x0d\\x1b[2J\\x7f");
	g_assert_cmpstr(lines[1], ==, "lapwingd: info: \\xff gr\xc3\xbc\xc3\x9f \\xc2\\x9b");
	for (int i = 2; i <= 3; i++) {
		g_assert_cmpuint(strlen(lines[i]), <=, 1024 + 16);
		g_assert_cmpuint(strlen(lines[i]), >=, 1000);
		g_assert_true(g_str_has_suffix(lines[i], "..."));
		g_assert_true(g_utf8_validate(lines[i], -1, NULL));
	}
	g_assert_cmpstr(lines[4], ==, "lapwingd: info: ");
}

static void log_with_errno(void)
{
	errno = EEXIST;
	g_assert_cmpint(log_error_errno(-ENOENT, "cannot open %s", "x"), ==, -ENOENT);
	g_assert_cmpint(errno, ==, EEXIST);
	g_assert_cmpint(log_warn_errno(-EPERM, "100%%"), ==, -EPERM);
	g_assert_cmpint(log_write_errno(LOG_LEVEL_DEBUG, -EIO, "quiet"), ==, -EIO);
	log_info("%m");
	close(STDERR_FILENO);
	log_info("fails");
	g_assert_cmpint(errno, ==, EEXIST);
}

static void test_errno(void)
{
	g_autofree char *text = logged_to_pipe(log_with_errno);
	g_autofree char *want = g_strdup_printf("lapwingd: error: cannot open x: %s\n"
						"lapwingd: warn: 100%%: %s\n"
						"lapwingd: info: %s\n",
		g_strerror(ENOENT), g_strerror(EPERM), g_strerror(EEXIST));

	g_assert_cmpstr(text, ==, want);
}

/* -- files ---------------------------------------------------------------------------------- */

static void test_file(void)
{
	g_autofree char *dir = g_dir_make_tmp("test_log.XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "log", NULL);
	g_autofree char *moved = g_build_filename(dir, "log.1", NULL);
	g_autofree char *old = NULL, *new = NULL;
	mode_t before = umask(0);
	struct stat st;
	int fd;

	g_assert_cmpint(log_open(LOG_TARGET_FILE, path), ==, 0);
	umask(before);
	log_info("first");
	g_assert_no_errno(stat(path, &st));
	g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
	/* Rotated: the open file has moved, the next opening makes a new one. */
	g_assert_no_errno(rename(path, moved));
	log_info("second");
	g_assert_cmpint(log_open(LOG_TARGET_FILE, path), ==, 0);
	log_warn("third");
	/* What cannot be opened changes nothing. */
	g_assert_cmpint(log_open(LOG_TARGET_FILE, "/nonexistent/log"), ==, -ENOENT);
	g_assert_cmpint(log_open(LOG_TARGET_FILE, dir), ==, -EISDIR);
	log_info("fourth");
	/* Appended to, not emptied. */
	g_assert_cmpint(log_open(LOG_TARGET_FILE, path), ==, 0);
	log_info("fifth");
	log_close();
	/* Descriptors are given back. */
	g_assert_no_errno(fd = dup(STDERR_FILENO));
	for (int i = 0; i < 5; i++)
		g_assert_cmpint(log_open(LOG_TARGET_FILE, path), ==, 0);
	log_close();
	g_assert_cmpint(dup(fd), ==, fd + 1);
	close(fd);
	close(fd + 1);

	g_assert_true(g_file_get_contents(moved, &old, NULL, NULL));
	g_assert_true(g_file_get_contents(path, &new, NULL, NULL));
#define TIME "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d "
	assert_matches(old, "^" TIME "info: first\\n" TIME "info: second\\n$");
	assert_matches(
		new, "^" TIME "warn: third\\n" TIME "info: fourth\\n" TIME "info: fifth\\n$");
	g_unlink(path);
	g_unlink(moved);
	g_rmdir(dir);
}

/* A full disk loses lines and says so when there is room again; here a pipe is the disk. */
static void log_until_full(void)
{
	fcntl(STDERR_FILENO, F_SETPIPE_SZ, 16384);
	log_open(LOG_TARGET_STDERR, NULL);
	for (int i = 0; i < 500; i++)
		log_info("%0100d", i);
}

static void log_after_room(void)
{
	char buf[4096];
	int fd = open("/proc/self/fd/2", O_RDONLY | O_NONBLOCK);

	log_until_full();
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	log_info("room");
	log_info("again");
	close(fd);
}

static void test_full_pipe(void)
{
	g_autofree char *text = logged_to_pipe(log_after_room);

	assert_matches(text,
		"^lapwingd: info: room\\nlapwingd: warn: \\d+ earlier messages are lost\\n"
		"lapwingd: info: again\\n$");
}

static void log_two_lines(void)
{
	log_info("one");
	log_open(LOG_TARGET_AUTO, NULL);
	log_info("two");
}

/* Nobody reads any more; or stderr is not even open. The child would die of SIGPIPE. */
static void test_broken(void)
{
	int fds[2], sockets[2];

	g_assert_no_errno(pipe(fds));
	close(fds[0]);
	with_stderr(fds[1], log_two_lines);
	close(fds[1]);
	g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	close(sockets[0]);
	with_stderr(sockets[1], log_two_lines);
	close(sockets[1]);
}

static void log_without_stderr(void)
{
	close(STDERR_FILENO);
	log_two_lines();
}

static void test_no_stderr(void)
{
	g_autofree char *text = logged_to_pipe(log_without_stderr);

	g_assert_cmpstr(text, ==, "");
}

/* A socket whose reader sleeps does not hold us up. */
static void log_much(void)
{
	alarm(20);
	log_open(LOG_TARGET_AUTO, NULL);
	for (int i = 0; i < 20000; i++)
		log_info("%0500d", i);
}

static void test_full_socket(void)
{
	int sockets[2];

	g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	with_stderr(sockets[1], log_much);
	close(sockets[0]);
	close(sockets[1]);
}

/* -- the journal ---------------------------------------------------------------------------- */

static void log_as_service(void)
{
	struct stat st;
	g_autofree char *stream = NULL, *wrong = NULL;

	fstat(STDERR_FILENO, &st);
	stream = g_strdup_printf(
		"%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	wrong = g_strdup_printf(
		"%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino + 1);
	g_setenv("JOURNAL_STREAM", stream, TRUE);
	log_each_level();
	log_open(LOG_TARGET_STDERR, NULL);
	log_info("plain");
	g_setenv("JOURNAL_STREAM", wrong, TRUE);
	log_open(LOG_TARGET_AUTO, NULL);
	log_info("elsewhere");
	g_setenv("JOURNAL_STREAM", "nonsense", TRUE);
	log_open(LOG_TARGET_AUTO, NULL);
	log_info("nonsense");
}

static void test_journal_stream(void)
{
	g_autofree char *text = logged_to_pipe(log_as_service);

	g_assert_cmpstr(text, ==,
		"<3>one\n<4>two\n<6>three\n<7>four\nlapwingd: info: plain\n"
		"lapwingd: info: elsewhere\nlapwingd: info: nonsense\n");
}

/* A /run of our own. */
static bool enter_empty_run(void)
{
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", "/run", "tmpfs", 0, NULL) == 0;
}

static int bind_journal(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX,
		.sun_path = "/run/systemd/journal/socket" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	g_assert_no_errno(g_mkdir_with_parents("/run/systemd/journal", 0755));
	g_assert_no_errno(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	return fd;
}

static void check_journal(void)
{
	g_autofree char *got = NULL, *lost = NULL;
	char buf[2048];
	int fd;

	g_assert_cmpint(log_open(LOG_TARGET_JOURNAL, NULL), ==, -ENOENT);
	fd = bind_journal();
	g_assert_cmpint(log_open(LOG_TARGET_JOURNAL, NULL), ==, 0);
	log_warn("a\nMESSAGE=forged");
	got = drain(fd);
	g_assert_cmpstr(
		got, ==, "PRIORITY=4\nSYSLOG_IDENTIFIER=lapwingd\nMESSAGE=a\\x0aMESSAGE=forged\n");

	/* Its queue is full: we go on, and tell later. */
	for (int i = 0; i < 5000; i++)
		log_info("%d", i);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	log_info("room");
	g_clear_pointer(&got, g_free);
	got = drain(fd);
	g_assert_nonnull(strstr(got, "MESSAGE=room\n"));
	lost = drain(fd);
	assert_matches(lost, "MESSAGE=\\d+ earlier messages are lost\\n$");

	/* The journal restarts: a new socket by the old name. */
	close(fd);
	log_info("into the void");
	g_unlink("/run/systemd/journal/socket");
	fd = bind_journal();
	log_info("back");
	g_clear_pointer(&got, g_free);
	got = drain(fd);
	g_assert_nonnull(strstr(got, "MESSAGE=back\n"));
}

static void test_journal_socket(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (!enter_empty_run())
			_exit(77);
		alarm(20);
		check_journal();
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		g_test_skip("no mount namespace here");
	else
		g_assert_cmpint(status, ==, 0);
}

/* -- GLib and limits ------------------------------------------------------------------------ */

static void log_through_glib(void)
{
	log_set_level(LOG_LEVEL_DEBUG);
	log_take_glib();
	g_warning("a\n%d", 1);
	g_log("GLib-GIO", G_LOG_LEVEL_CRITICAL, "b");
	g_log("GLib-GIO", G_LOG_LEVEL_INFO, "c");
	g_log(NULL, G_LOG_LEVEL_MESSAGE, "d");
	g_log_structured("X", G_LOG_LEVEL_DEBUG, "MESSAGE", "e");
}

static void test_glib(void)
{
	g_autofree char *text = NULL;

	g_log_set_always_fatal(G_LOG_FATAL_MASK); /* the harness makes warnings fatal */
	text = logged_to_pipe(log_through_glib);
	g_assert_cmpstr(text, ==,
		"lapwingd: warn: GLib: a\\x0a1\nlapwingd: error: GLib-GIO: b\n"
		"lapwingd: debug: GLib-GIO: c\nlapwingd: info: GLib: d\nlapwingd: debug: X: e\n");
}

static void log_limited(void)
{
	struct log_limit limit = { .cause = "bad packet", .burst = 3 };

	for (int i = 0; i < 10; i++)
		if (log_limit_allows(&limit))
			log_info("%d", i);
	limit.window_us -= 59 * G_USEC_PER_SEC;
	g_assert_false(log_limit_allows(&limit));
	limit.window_us -= G_USEC_PER_SEC;
	for (int i = 10; i < 20; i++)
		if (log_limit_allows(&limit))
			log_info("%d", i);
	for (int i = 0; i < 2; i++) {
		limit.window_us -= 60 * G_USEC_PER_SEC;
		if (log_limit_allows(&limit))
			log_info("quiet");
	}
}

static void test_limit(void)
{
	g_autofree char *text = logged_to_pipe(log_limited);

	g_assert_cmpstr(text, ==,
		"lapwingd: info: 0\nlapwingd: info: 1\nlapwingd: info: 2\n"
		"lapwingd: warn: bad packet: 8 more such messages were suppressed\n"
		"lapwingd: info: 10\nlapwingd: info: 11\nlapwingd: info: 12\n"
		"lapwingd: warn: bad packet: 7 more such messages were suppressed\n"
		"lapwingd: info: quiet\nlapwingd: info: quiet\n");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/log/pipe", test_pipe);
	g_test_add_func("/log/levels", test_levels);
	g_test_add_func("/log/level-names", test_level_names);
	g_test_add_func("/log/foreign", test_foreign);
	g_test_add_func("/log/errno", test_errno);
	g_test_add_func("/log/file", test_file);
	g_test_add_func("/log/full-pipe", test_full_pipe);
	g_test_add_func("/log/broken", test_broken);
	g_test_add_func("/log/no-stderr", test_no_stderr);
	g_test_add_func("/log/full-socket", test_full_socket);
	g_test_add_func("/log/journal-stream", test_journal_stream);
	g_test_add_func("/log/journal-socket", test_journal_socket);
	g_test_add_func("/log/glib", test_glib);
	g_test_add_func("/log/limit", test_limit);
	return g_test_run();
}
