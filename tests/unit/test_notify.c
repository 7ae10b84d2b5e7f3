/* tests/unit/test_notify.c - what the service manager hears, the file watch, and what is
 * left of root. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/notify.h"
#include "agent/privs.h"
#include "agent/watch.h"

/* A service manager's end, at a path or an abstract name; sets the environment. */
static int manager_open(const char *address)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t len = strlen(address);

	memcpy(sa.sun_path, address, len);
	if (address[0] == '@')
		sa.sun_path[0] = '\0';
	g_assert_cmpint(bind(fd, (struct sockaddr *)&sa,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
		==, 0);
	g_setenv("NOTIFY_SOCKET", address, TRUE);
	return fd;
}

static void expect(int fd, const char *pattern)
{
	char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	g_assert_cmpint(n, >, 0);
	text[n] = '\0';
	g_test_message("%s", text);
	g_assert_true(g_pattern_match_simple(pattern, text));
}

static void tell_everything(int fd)
{
	notify_init();
	g_assert_null(g_getenv("NOTIFY_SOCKET"));
	notify_ready();
	expect(fd, "READY=1");
	notify_status("%d peers\nREADY=0", 3);
	expect(fd, "STATUS=3 peers READY=0");
	notify_reloading();
	expect(fd, "RELOADING=1\nMONOTONIC_USEC=?*");
	notify_stopping();
	expect(fd, "STOPPING=1");
	/* Nobody reads: nothing waits. */
	for (int i = 0; i < 10000; i++)
		notify_status("%0500d", i);
	close(fd);
	notify_ready();
}

static void test_path(void)
{
	g_autofree char *dir = g_dir_make_tmp("lapwing-notify-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "notify", NULL);

	tell_everything(manager_open(path));
	g_unlink(path);
	g_rmdir(dir);
}

static void test_abstract(void)
{
	g_autofree char *name = g_strdup_printf("@lapwing-test-%d", (int)getpid());

	tell_everything(manager_open(name));
}

static void test_nobody(void)
{
	static const char *const bad[] = { "", "/", "@", "relative", "vsock:2:1" };
	g_autofree char *longer = g_strnfill(200, '/');

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_setenv("NOTIFY_SOCKET", bad[i], TRUE);
		notify_init();
		notify_ready();
	}
	g_setenv("NOTIFY_SOCKET", longer, TRUE);
	notify_init();
	notify_ready();
	g_unsetenv("NOTIFY_SOCKET");
	notify_init();
	notify_ready();
	notify_watchdog();
}

static void test_watchdog(void)
{
	g_autofree char *own = g_strdup_printf("%d", (int)getpid());
	const struct {
		const char *usec, *pid;
		int64_t expected;
	} table[] = {
		{ NULL, NULL, 0 },
		{ "120000000", NULL, 60000000 },
		{ "120000000", own, 60000000 },
		{ "120000000", "1", 0 },
		{ "120000000", "x", 0 },
		{ "0", own, 0 },
		{ "-5", own, 0 },
		{ "ten", own, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		if (table[i].usec)
			g_setenv("WATCHDOG_USEC", table[i].usec, TRUE);
		if (table[i].pid)
			g_setenv("WATCHDOG_PID", table[i].pid, TRUE);
		notify_init();
		g_assert_cmpint(notify_watchdog_us(), ==, table[i].expected);
		g_assert_null(g_getenv("WATCHDOG_USEC"));
	}
}

/* -- watch ------------------------------------------------------------------------------------ */

static void on_changed(void *user)
{
	++*(unsigned *)user;
}

/* Whether it was told within a while; forgets what was told. */
static bool was_told(unsigned *n, int ms)
{
	int64_t end = g_get_monotonic_time() + ms * 1000;
	bool told;

	while (!*n && g_get_monotonic_time() < end) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(1000);
	}
	while (g_main_context_iteration(NULL, FALSE))
		;
	told = *n > 0;
	*n = 0;
	return told;
}

static void test_watch(void)
{
	g_autofree char *parent = g_dir_make_tmp("lapwing-watch-XXXXXX", NULL);
	g_autofree char *dir = g_build_filename(parent, "etc", NULL);
	g_autofree char *moved = g_build_filename(parent, "old", NULL);
	g_autofree char *file = g_build_filename(dir, "mesh.json", NULL);
	g_autofree char *other = g_build_filename(dir, "mesh.json.new", NULL);
	struct watch *watch;
	unsigned n = 0;

	g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
	g_assert_cmpint(watch_open(file, on_changed, &n, &watch), ==, 0);
	g_assert_false(was_told(&n, 20));
	g_assert_true(
		g_file_set_contents_full(other, "a", 1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_false(was_told(&n, 20));
	g_assert_cmpint(g_rename(other, file), ==, 0);
	g_assert_true(was_told(&n, 1000));
	g_assert_true(g_file_set_contents_full(file, "b", 1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_true(was_told(&n, 1000));
	g_assert_cmpint(g_unlink(file), ==, 0);
	g_assert_true(was_told(&n, 1000));
	/* The directory is put aside: told once, and again when there is a new one. */
	g_assert_cmpint(g_rename(dir, moved), ==, 0);
	g_assert_true(was_told(&n, 1000));
	g_assert_cmpint(g_mkdir(dir, 0700), ==, 0);
	g_assert_true(was_told(&n, 5000));
	g_assert_true(g_file_set_contents(file, "c", 1, NULL));
	g_assert_true(was_told(&n, 1000));
	g_unlink(file);
	g_assert_true(was_told(&n, 1000));
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_assert_true(was_told(&n, 1000));
	watch_close(watch); /* while it waits for another try */
	g_rmdir(moved);
	g_assert_cmpint(g_rmdir(parent), ==, 0);
}

/* -- privileges ------------------------------------------------------------------------------- */

/* The value of a line of /proc/self/status, which the kernel writes and not we. */
static char *proc_status(const char *key)
{
	g_autofree char *text = NULL;
	const char *at;

	g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
	at = strstr(text, key);
	g_assert_nonnull(at);
	at += strlen(key) + 1;
	return g_strstrip(g_strndup(at, strcspn(at, "\n")));
}

static void expect_status(const char *key, const char *value)
{
	g_autofree char *text = proc_status(key);

	if (strcmp(text, value))
		g_error("%s is %s and not %s", key, text, value);
}

/* Runs in a child, which never comes back from it. */
static void drop_and_look(const char *user, const char *dir)
{
	const char *const dirs[] = { dir, NULL };
	struct rlimit core;
	char text[128];

	g_assert_cmpint(privs_drop(user, dirs), ==, 0);
	expect_status("\nCapPrm:", "0000000000003000");
	expect_status("\nCapEff:", "0000000000003000");
	expect_status("\nCapInh:", "0000000000000000");
	expect_status("\nCapAmb:", "0000000000000000");
	expect_status("\nCapBnd:", "0000000000003000");
	expect_status("\nNoNewPrivs:", "1");
	g_assert_cmpint(prctl(PR_GET_DUMPABLE), ==, 0);
	g_assert_cmpint(getrlimit(RLIMIT_CORE, &core), ==, 0);
	g_assert_cmpuint(core.rlim_max, ==, 0);
	g_assert_true(privs_has_net_admin() && privs_has_net_raw());
	privs_describe(text, sizeof(text));
	g_assert_true(g_str_has_suffix(text, " CAP_NET_ADMIN CAP_NET_RAW"));
	/* No way back, and once more is nothing new. */
	if (!strcmp(user, "nobody")) {
		g_assert_cmpint(setuid(0), ==, -1);
		g_assert_true(g_str_has_prefix(text, "user nobody,"));
		expect_status("\nUid:", "65534\t65534\t65534\t65534");
		expect_status("\nGroups:", "65534");
	} else {
		g_assert_cmpint((int)geteuid(), ==, 0);
	}
	g_assert_cmpint(privs_drop(user, NULL), ==, 0);
	_exit(0);
}

static void check_drop(const char *user)
{
	g_autofree char *dir = g_dir_make_tmp("lapwing-privs-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(dir, "private.key", NULL);
	g_autofree char *link = g_build_filename(dir, "link", NULL);
	uid_t expected = strcmp(user, "nobody") ? 0 : 65534;
	struct stat st;
	int status;
	pid_t child;

	g_assert_true(g_file_set_contents(file, "k", 1, NULL));
	g_assert_cmpint(symlink("/etc/passwd", link), ==, 0);
	child = fork();
	if (child == 0)
		drop_and_look(user, dir);
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(stat(dir, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, expected);
	g_assert_cmpint(stat(file, &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, expected);
	g_assert_cmpint(stat("/etc/passwd", &st), ==, 0);
	g_assert_cmpuint(st.st_uid, ==, 0);
	g_unlink(file);
	g_unlink(link);
	g_rmdir(dir);
}

static void test_privs(void)
{
	g_autofree char *caps = proc_status("\nCapEff:");
	guint64 effective = g_ascii_strtoull(caps, NULL, 16);

	/* CHOWN, SETGID, SETUID, SETPCAP, NET_ADMIN, NET_RAW */
	if (geteuid() != 0 || (effective & 0x31c1) != 0x31c1) {
		g_test_skip("needs root with all capabilities");
		return;
	}
	check_drop("nobody");
	check_drop("no-such-user");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/notify/path", test_path);
	g_test_add_func("/notify/abstract", test_abstract);
	g_test_add_func("/notify/nobody", test_nobody);
	g_test_add_func("/notify/watchdog", test_watchdog);
	g_test_add_func("/watch/changes", test_watch);
	g_test_add_func("/privs/drop", test_privs);
	return g_test_run();
}
