/* tests/unit/test_control.c - the control server, with real callers on a real socket. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/control.h"
#include "canary.h"

#define PSK_TEXT "4oJGc8XDzPvj0Lz1PnJZ3y1S2vYSqFBJQ0W3Y0m1yHY="

enum { WAIT_MS = 5000, SHORT_MS = 50 };

struct fixture {
	char *dir, *path;
	struct control *control;
	struct control_request last; /* what control_fn got */
	unsigned n_requests, n_served;
	bool hold; /* control_fn does not answer */
	size_t reply_size;
};

static GString *big_result(size_t size)
{
	GString *result = g_string_new("{\"fill\":\"");

	while (result->len < size)
		g_string_append_c(result, 'x');
	return g_string_append(result, "\"}");
}

static void on_request(const struct control_request *request, void *user)
{
	struct fixture *f = user;

	f->last = *request;
	f->n_requests++;
	if (f->hold)
		return;
	if (!strcmp(request->command, "fail"))
		control_error(f->control, request->client, EXIT_REFUSED, "try \"again\"", "no %s\n",
			"luck");
	else
		control_reply(f->control, request->client, big_result(f->reply_size));
}

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-control-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "control.sock", NULL);
	g_assert_cmpint(control_open(f->path, "no-such-group", on_request, f, &f->control), ==, 0);
}

static void tear_down(struct fixture *f, const void *data)
{
	control_close(f->control);
	g_assert_cmpint(access(f->path, F_OK), ==, -1);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->path);
	g_free(f->dir);
}

static void turn(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static int call(const struct fixture *f)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_strlcpy(sa.sun_path, f->path, sizeof(sa.sun_path));
	g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
	turn();
	return fd;
}

/* All of it, however the server lags. */
static void say_len(int fd, const char *text, size_t len)
{
	int64_t end = g_get_monotonic_time() + WAIT_MS * 1000;

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return;
		text += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
		turn();
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	}
}

static void say(int fd, const char *text)
{
	say_len(fd, text, strlen(text));
}

/* The next line without its end; NULL: closed. Peeks, as no buffer outlives a call. */
static char *hear(int fd)
{
	GString *line = g_string_new(NULL);
	int64_t end = g_get_monotonic_time() + WAIT_MS * 1000;
	char chunk[65536];

	for (;;) {
		ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_PEEK);
		const char *stop = n > 0 ? memchr(chunk, '\n', (size_t)n) : NULL;

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return g_string_free(line, TRUE);
		if (n > 0) {
			n = recv(fd, chunk, stop ? (size_t)(stop - chunk) + 1 : (size_t)n, 0);
			g_string_append_len(line, chunk, stop ? n - 1 : n);
		}
		if (stop)
			return g_string_free(line, FALSE);
		turn();
		g_assert_cmpint(g_get_monotonic_time(), <, end);
	}
}

static void expect(int fd, const char *pattern)
{
	g_autofree char *line = hear(fd);

	g_assert_nonnull(line);
	if (!g_pattern_match_simple(pattern, line))
		g_error("%s is not like %s", line, pattern);
}

static void expect_closed(int fd)
{
	g_autofree char *line = hear(fd);

	g_assert_null(line);
	close(fd);
	turn();
}

static void run_for(int ms)
{
	int64_t end = g_get_monotonic_time() + ms * 1000;

	while (g_get_monotonic_time() < end) {
		turn();
		g_usleep(1000);
	}
}

/* The timers of the default context that are running: none when the server is idle. */
static int next_wakeup_ms(void)
{
	GMainContext *context = g_main_context_default();
	int timeout = 0, priority;
	GPollFD fds[256];

	turn();
	g_assert_true(g_main_context_acquire(context));
	g_main_context_prepare(context, &priority);
	g_main_context_query(context, G_MAXINT, &timeout, fds, G_N_ELEMENTS(fds));
	g_main_context_release(context);
	return timeout;
}

/* -- pure ------------------------------------------------------------------------------------- */

#define KEY_TEXT "A2C8E62B-38F5-4553-B31E-DD66C696CEBB"
/* As long as the name of a host may be. */
static void test_parse_long_name(void)
{
	for (size_t len = 253; len < 255; len++) {
		g_autofree char *name = g_strnfill(len, 'x');
		g_autofree char *line = g_strdup_printf(
			"{\"v\":1,\"command\":\"peers\",\"peer\":\"%s\"}", name);
		struct control_request request;
		char error[128];
		int r = control_parse(line, strlen(line), &request, error, sizeof(error));

		g_assert_cmpint(r, ==, len == 253 ? 0 : -EINVAL);
		if (r == 0)
			g_assert_cmpstr(request.peer, ==, name);
	}
}

static void test_parse(void)
{
	static const struct {
		const char *line;
		bool good;
	} table[] = {
		{ "{\"v\":1,\"command\":\"status\"}", true },
		{ " {\"command\":\"up\",\"wait\":true,\"v\":1}\r", true },
		{ "{\"v\":1,\"command\":\"log-level\",\"level\":\"debug\"}", true },
		{ "{\"v\":1,\"command\":\"peers\",\"peer\":\"\\u00e4\"}", true },
		{ "", false },
		{ "status", false },
		{ "[]", false },
		{ "{}", false },
		{ "{\"v\":1}", false },
		{ "{\"command\":\"status\"}", false },
		{ "{\"v\":2,\"command\":\"status\"}", false },
		{ "{\"v\":\"1\",\"command\":\"status\"}", false },
		{ "{\"v\":1,\"command\":\"\"}", false },
		{ "{\"v\":1,\"command\":7}", false },
		{ "{\"v\":1,\"command\":\"status\",\"command\":\"down\"}", false },
		{ "{\"v\":1,\"command\":\"status\",\"colour\":\"red\"}", false },
		{ "{\"v\":1,\"command\":\"status\"}}", false },
		{ "{\"v\":1,\"command\":\"status\"", false },
		{ "{\"v\":1,\"command\":\"a\\nb\"}", false },
		{ "{\"v\":1,\"command\":\"up\",\"wait\":true,\"until\":\"control\"}", true },
		{ "{\"v\":1,\"command\":\"up\",\"until\":\"\"}", false },
		{ "{\"v\":1,\"command\":\"up\",\"until\":\"readyx\"}", false },
		{ "{\"v\":1,\"command\":\"set-psk\",\"psk\":\"" PSK_TEXT "\"}", true },
		{ "{\"v\":1,\"command\":\"set-psk\",\"psk\":\"" PSK_TEXT "=\"}", false },
		{ "{\"v\":1,\"command\":\"set-psk\",\"psk\":\"\"}", false },
		{ "{\"v\":1,\"command\":\"set-psk\",\"psk\":7}", false },
		{ "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"" KEY_TEXT "\"}", true },
		{ "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"" KEY_TEXT "0\"}", false },
		{ "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"\"}", false },
		{ "{\"v\":1,\"command\":\"enroll\",\"hostname\":\"db1.example\"}", true },
		{ "{\"v\":1,\"command\":\"enroll\",\"hostname\":\"a b\"}", false },
		{ "{\"v\":1,\"command\":\"enroll\",\"url\":\"\"}", false },
		{ "{\"v\":1,\"command\":\"deregister\",\"purge\":1}", false },
		{ "{\"v\":1,\"command\":\"import\",\"profile\":\"{}\"}", false },
		{ "{\"v\":1,\"command\":\"import\",\"profile\":{\"a\":}}", false },
		{ "{\"v\":1,\"command\":\"import\",\"profile\":{}}", true },
		{ "{\"v\":1,\"command\":\"0123456789012345678901234567890\"}", true },
		{ "{\"v\":1,\"command\":\"01234567890123456789012345678901\"}", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		const char *line = table[i].line;
		struct control_request request;
		char error[256] = "";
		int r = control_parse(line, strlen(line), &request, error, sizeof(error));

		g_test_message("%s: %s", line, error);
		g_assert_cmpint(r, ==, table[i].good ? 0 : -EINVAL);
		g_assert_true(table[i].good == !*error);
	}
}

static void test_parse_network(void)
{
	static const char enroll[] =
		"{\"v\":1,\"command\":\"enroll\",\"url\":\"https://nb.example:443\",\"setup_key\":\"" KEY_TEXT
		"\",\"hostname\":\"db1\",\"force\":true,\"wait\":true,\"until\":\"ready\"}";
	static const char import[] =
		"{\"v\":1,\"command\":\"import\",\"profile\": {\"a\": [1, null]} }";
	static const char *const secret[] = { "enroll", "deregister", "import", "export", "set-psk",
		"clear-psk" };
	struct control_request r;
	char error[256];

	g_assert_cmpint(control_parse(enroll, strlen(enroll), &r, error, sizeof(error)), ==, 0);
	g_assert_cmpstr(r.url, ==, "https://nb.example:443");
	g_assert_cmpstr(r.setup_key, ==, "a2c8e62b-38f5-4553-b31e-dd66c696cebb");
	g_assert_cmpstr(r.hostname, ==, "db1");
	g_assert_true(r.force && r.wait && r.until == CONTROL_UNTIL_READY && !r.purge);
	g_assert_null(r.profile);
	g_assert_cmpint(control_parse(import, strlen(import), &r, error, sizeof(error)), ==, 0);
	g_assert_cmpmem(r.profile, r.profile_len, "{\"a\": [1, null]}", 16);
	g_assert_cmpint(r.until, ==, CONTROL_UNTIL_DONE);
	for (size_t i = 0; i < G_N_ELEMENTS(secret); i++) {
		g_strlcpy(r.command, secret[i], sizeof(r.command));
		g_assert_false(control_is_reading(&r));
		g_assert_true(control_is_secret(&r) == !strcmp(secret[i], "export"));
	}
}

static void test_access(void)
{
	static const gid_t groups[] = { 7, 42, 9 };
	static const struct {
		uid_t uid;
		gid_t gid;
		size_t n_groups;
		uid_t own;
		gid_t group;
		enum control_access expected;
	} table[] = {
		{ 0, 0, 0, 100, 42, CONTROL_ACCESS_CHANGE },
		{ 100, 42, 0, 100, 42, CONTROL_ACCESS_CHANGE },
		{ 1000, 42, 0, 100, 42, CONTROL_ACCESS_READ },
		{ 1000, 1000, 3, 100, 42, CONTROL_ACCESS_READ },
		{ 1000, 1000, 1, 100, 42, CONTROL_ACCESS_NONE },
		{ 1000, 0, 0, 100, 42, CONTROL_ACCESS_NONE },
		{ 1000, (gid_t)-1, 0, 100, (gid_t)-1, CONTROL_ACCESS_NONE },
		{ 0, 0, 0, 100, (gid_t)-1, CONTROL_ACCESS_CHANGE },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct control_caller caller = { table[i].uid, table[i].gid, groups,
			table[i].n_groups };

		g_assert_cmpint(control_access(&caller, table[i].own, table[i].group), ==,
			table[i].expected);
	}
}

static void test_reading(void)
{
	static const struct {
		const char *command, *level;
		bool reading;
	} table[] = {
		{ "status", "", true },
		{ "runtime", "", true },
		{ "recent", "", true },
		{ "samples", "", true },
		{ "peers", "", true },
		{ "monitor", "", true },
		{ "ping", "", true },
		{ "version", "", true },
		{ "log-level", "", true },
		{ "log-level", "debug", false },
		{ "up", "", false },
		{ "down", "", false },
		{ "wake", "", false },
		{ "idle", "", false },
		{ "pin", "", false },
		{ "unpin", "", false },
		{ "what", "", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct control_request request = { 0 };

		g_strlcpy(request.command, table[i].command, sizeof(request.command));
		g_strlcpy(request.level, table[i].level, sizeof(request.level));
		g_assert_true(control_is_reading(&request) == table[i].reading);
	}
}

/* -- requests --------------------------------------------------------------------------------- */

static void test_round_trip(struct fixture *f, const void *data)
{
	int fd = call(f);

	say(fd, "{\"v\":1,\"command\":\"status\",\"detail\":true,\"check\":\"ready\"}\n");
	expect(fd, "{\"v\":1,\"ok\":true,\"result\":{\"fill\":\"\"}}");
	g_assert_cmpstr(f->last.command, ==, "status");
	g_assert_cmpstr(f->last.check, ==, "ready");
	g_assert_true(f->last.detail && f->last.may_change);
	say(fd, "{\"v\":1,\"command\":\"fail\"}\n");
	expect(fd,
		"{\"v\":1,\"ok\":false,\"error\":{\"code\":12,\"class\":\"refused\","
		"\"message\":\"no luck\\n\",\"hint\":\"try \\\"again\\\"\"}}");
	say(fd, "{\"v\":1,\"command\":\"ping\"}\n");
	expect(fd, "{\"v\":1,\"ok\":true,\"result\":{}}");
	g_assert_cmpuint(f->n_requests, ==, 2);
	close(fd);
	turn();
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
}

static void test_socket_file(struct fixture *f, const void *data)
{
	struct control *second = NULL;
	g_autofree char *file = g_build_filename(f->dir, "file", NULL);
	char longer[200];
	struct stat st;

	g_assert_cmpint(stat(f->path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0660);
	g_assert_cmpint(control_open(f->path, NULL, on_request, f, &second), ==, -EADDRINUSE);
	g_assert_cmpint(access(f->path, F_OK), ==, 0);
	/* What is no socket is not removed. */
	g_assert_true(g_file_set_contents(file, "x", 1, NULL));
	g_assert_cmpint(control_open(file, NULL, on_request, f, &second), ==, -EEXIST);
	g_assert_cmpint(unlink(file), ==, 0);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	g_assert_cmpint(control_open(longer, NULL, on_request, f, &second), ==, -ENAMETOOLONG);
	g_assert_null(second);
}

static void test_dead_socket(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "dead", NULL);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct control *control;

	g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
	g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
	close(fd);
	g_assert_cmpint(control_open(path, NULL, on_request, f, &control), ==, 0);
	control_close(control);
	g_assert_cmpint(access(path, F_OK), ==, -1);
}

/* Several at once: one after the other, in order. */
static void test_pipeline(struct fixture *f, const void *data)
{
	int fd = call(f);

	say(fd, "{\"v\":1,\"command\":\"status\"}\nnonsense\n{\"v\":1,\"command\":\"ping\"}\n");
	expect(fd, "*\"result\":{\"fill\"*");
	expect(fd, "*\"ok\":false,*\"class\":\"usage\"*");
	expect(fd, "*\"result\":{}}");
	close(fd);
}

static void test_one_at_a_time(struct fixture *f, const void *data)
{
	int fd = call(f);

	f->hold = true;
	say(fd, "{\"v\":1,\"command\":\"up\"}\n{\"v\":1,\"command\":\"down\"}\n");
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_requests, ==, 1);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	control_reply(f->control, f->last.client, big_result(0));
	expect(fd, "*\"ok\":true*");
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_requests, ==, 2);
	g_assert_cmpstr(f->last.command, ==, "down");
	/* Twice is once; and who left gets nothing. */
	control_reply(f->control, f->last.client, big_result(0));
	control_reply(f->control, f->last.client, big_result(0));
	expect(fd, "*\"ok\":true*");
	say(fd, "{\"v\":1,\"command\":\"up\"}\n");
	run_for(SHORT_MS);
	close(fd);
	run_for(SHORT_MS);
	control_reply(f->control, f->last.client, big_result(0));
	control_error(f->control, 12345, EXIT_FAILED, NULL, "nobody");
	turn();
}

/* `echo ... | nc -U` ends its side before the answer is there. */
static void test_half_close(struct fixture *f, const void *data)
{
	int fd = call(f);

	f->hold = true;
	say(fd, "{\"v\":1,\"command\":\"up\"}\n");
	shutdown(fd, SHUT_WR);
	run_for(SHORT_MS);
	control_reply(f->control, f->last.client, big_result(0));
	expect(fd, "*\"ok\":true*");
	expect_closed(fd);
}

static void test_big_reply(struct fixture *f, const void *data)
{
	g_autofree char *line = NULL;
	int fd = call(f);

	f->reply_size = 3 * 1000 * 1000;
	say(fd, "{\"v\":1,\"command\":\"peers\"}\n{\"v\":1,\"command\":\"peers\"}\n");
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_requests, ==, 1);
	line = hear(fd);
	g_assert_cmpuint(strlen(line), >, f->reply_size);
	expect(fd, "*\"ok\":true*");
	g_assert_cmpuint(f->n_requests, ==, 2);
	close(fd);
}

static void test_big_reply_unread(struct fixture *f, const void *data)
{
	int fd = call(f);

	control_set_limits(f->control, SHORT_MS, SHORT_MS);
	f->reply_size = 3 * 1000 * 1000;
	say(fd, "{\"v\":1,\"command\":\"peers\"}\n");
	run_for(3 * SHORT_MS);
	expect_closed(fd);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
}

/* -- bad callers ------------------------------------------------------------------------------ */

static void test_garbage(struct fixture *f, const void *data)
{
	int fd = call(f);
	char garbage[4096];

	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(garbage); i++)
			garbage[i] = (char)g_test_rand_int();
		garbage[sizeof(garbage) - 1] = '\n';
		say_len(fd, garbage, sizeof(garbage));
		while (recv(fd, garbage, sizeof(garbage), 0) > 0)
			turn();
	}
	close(fd);
	turn();
	fd = call(f);
	say(fd, "{\"v\":1,\"command\":\"ping\"}\n");
	expect(fd, "*\"ok\":true*");
	close(fd);
	g_assert_cmpuint(f->n_requests, ==, 0);
}

static void test_too_long(struct fixture *f, const void *data)
{
	g_autofree char *text = g_strnfill(CONTROL_REQUEST_MAX + 2, ' ');
	int fd = call(f);

	/* The longest that is allowed, and a byte more. */
	text[CONTROL_REQUEST_MAX] = '\n';
	memcpy(text, "{\"v\":1,\"command\":\"ping\"}", 24);
	say_len(fd, text, CONTROL_REQUEST_MAX + 1);
	expect(fd, "*\"ok\":true*");
	text[CONTROL_REQUEST_MAX] = ' ';
	text[CONTROL_REQUEST_MAX + 1] = '\n';
	say_len(fd, text, CONTROL_REQUEST_MAX + 2);
	expect(fd, "*\"code\":2*too long*");
	expect_closed(fd);
}

static void test_half_request(struct fixture *f, const void *data)
{
	int fd = call(f), other = call(f);

	control_set_limits(f->control, 2 * SHORT_MS, 10 * SHORT_MS);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	say(fd, "{\"v\":1,");
	g_assert_cmpint(next_wakeup_ms(), >, 0);
	run_for(SHORT_MS);
	say(fd, "\"comm"); /* dripping does not help */
	run_for(2 * SHORT_MS);
	expect(fd, "*\"class\":\"timeout\"*");
	expect_closed(fd);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	/* Who asks nothing may stay. */
	say(other, "{\"v\":1,\"command\":\"ping\"}\n");
	expect(other, "*\"ok\":true*");
	/* A begun request that ends in time has no timer left. */
	control_set_limits(f->control, CONTROL_REQUEST_MS, CONTROL_STALL_MS);
	say(other, "{\"v\":1,");
	say(other, "\"command\":\"ping\"}\n");
	expect(other, "*\"ok\":true*");
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	close(other);
}

static void test_too_many(struct fixture *f, const void *data)
{
	int fds[CONTROL_CLIENTS_MAX], extra;

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = call(f);
	extra = call(f);
	expect(extra, "*\"ok\":false*too many clients*");
	expect_closed(extra);
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		say(fds[i], "{\"v\":1,\"command\":\"ping\"}\n");
		expect(fds[i], "*\"ok\":true*");
	}
	close(fds[0]);
	turn();
	extra = call(f);
	say(extra, "{\"v\":1,\"command\":\"ping\"}\n");
	expect(extra, "*\"ok\":true*");
	close(extra);
	for (size_t i = 1; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
}

static void test_no_descriptors(struct fixture *f, const void *data)
{
	struct rlimit old, tight;
	int used[256], fd, probe;
	size_t n = 0;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	probe = dup(fd);
	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
	tight = (struct rlimit){ (rlim_t)probe + 8, old.rlim_max };
	close(probe);
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &tight), ==, 0);
	while ((used[n] = dup(fd)) >= 0)
		g_assert_cmpuint(++n, <, G_N_ELEMENTS(used));
	{
		struct sockaddr_un sa = { .sun_family = AF_UNIX };

		g_strlcpy(sa.sun_path, f->path, sizeof(sa.sun_path));
		g_assert_cmpint(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), ==, 0);
	}
	expect(fd, "*no descriptor left*");
	while (n)
		close(used[--n]);
	expect_closed(fd);
	setrlimit(RLIMIT_NOFILE, &old);
	fd = call(f);
	say(fd, "{\"v\":1,\"command\":\"ping\"}\n");
	expect(fd, "*\"ok\":true*");
	close(fd);
}

/* -- monitors --------------------------------------------------------------------------------- */

static int monitor(const struct fixture *f)
{
	int fd = call(f);

	say(fd, "{\"v\":1,\"command\":\"monitor\"}\n");
	expect(fd, "*\"ok\":true*");
	g_assert_true(control_has_monitors(f->control));
	return fd;
}

static void test_monitor(struct fixture *f, const void *data)
{
	int one, two, other = call(f);

	g_assert_false(control_has_monitors(f->control));
	control_publish(f->control, "{\"event\":\"unheard\"}");
	one = monitor(f);
	two = monitor(f);
	shutdown(two, SHUT_WR);
	turn();
	control_publish(f->control, "{\"event\":\"peer\",\"peer\":\"a\"}");
	expect(one, "{\"v\":1,\"event\":\"peer\",\"peer\":\"a\"}");
	expect(two, "{\"v\":1,\"event\":\"peer\",\"peer\":\"a\"}");
	g_assert_cmpint(recv(other, &(char){ 0 }, 1, 0), ==, -1);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	say(one, "x");
	expect(one, "*only listens*");
	expect_closed(one);
	close(two);
	run_for(SHORT_MS);
	g_assert_false(control_has_monitors(f->control));
	close(other);
}

static unsigned publish_until_full(struct fixture *f)
{
	g_autofree char *fill = g_strnfill(1000, 'f'), *text = NULL;
	unsigned n;

	for (n = 0; n < 2000; n++) {
		text = g_strdup_printf("{\"event\":\"%s\",\"n\":%u}", fill, n);
		control_publish(f->control, text);
		g_clear_pointer(&text, g_free);
	}
	return n;
}

/* Every event is either delivered, in order, or counted by a gap. */
static void test_slow_monitor(struct fixture *f, const void *data)
{
	unsigned n = publish_until_full(f), seen = 0, lost = 0, gaps = 0, at;
	int fd = monitor(f);

	n = publish_until_full(f);
	g_assert_cmpint(next_wakeup_ms(), >, 1000);
	control_publish(f->control, "{\"event\":\"dropped as well\"}");
	while (seen + lost < n + 1) {
		g_autofree char *line = hear(fd);
		const char *tail = strstr(line, "\"n\":");

		g_assert_nonnull(line);
		if (strstr(line, "\"event\":\"gap\"")) {
			g_assert_cmpint(
				sscanf(strstr(line, "\"lost\":"), "\"lost\":%u}", &at), ==, 1);
			lost += at;
			gaps++;
			continue;
		}
		g_assert_true(tail && sscanf(tail, "\"n\":%u", &at) == 1);
		g_assert_cmpuint(at, ==, seen + lost);
		seen++;
	}
	g_assert_cmpuint(gaps, ==, 1);
	g_assert_cmpuint(seen * 1000, >=, CONTROL_EVENTS_MAX);
	g_assert_cmpuint(seen * 1000, <, 4 * CONTROL_EVENTS_MAX);
	control_publish(f->control, "{\"event\":\"after\"}");
	expect(fd, "*after*");
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	close(fd);
}

static void test_stuck_monitor(struct fixture *f, const void *data)
{
	int fd = monitor(f), quick = monitor(f);

	control_set_limits(f->control, SHORT_MS, 10 * SHORT_MS);
	publish_until_full(f);
	for (int i = 0; i < 30; i++) {
		char sink[65536];

		while (recv(quick, sink, sizeof(sink), 0) > 0)
			turn();
		run_for(SHORT_MS / 2);
	}
	g_assert_true(control_has_monitors(f->control));
	control_publish(f->control, "{\"event\":\"after\"}");
	expect(quick, "*after*");
	for (char sink[65536]; recv(fd, sink, sizeof(sink), 0) > 0;)
		;
	expect_closed(fd);
	close(quick);
}

/* -- asking itself ---------------------------------------------------------------------------- */

static void on_served(void *user)
{
	((struct fixture *)user)->n_served++;
}

static void test_probe(struct fixture *f, const void *data)
{
	control_probe(f->control, on_served, f);
	g_assert_cmpuint(f->n_served, ==, 0);
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_served, ==, 1);
	/* A new question drops the old one. */
	control_probe(f->control, on_served, f);
	control_probe(f->control, on_served, f);
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_served, ==, 2);
	g_assert_cmpint(next_wakeup_ms(), ==, -1);
	control_probe(f->control, on_served, f); /* and one that is under way at the end */
}

static void test_probe_crowded(struct fixture *f, const void *data)
{
	int fds[CONTROL_CLIENTS_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		fds[i] = call(f);
	control_probe(f->control, on_served, f);
	run_for(SHORT_MS);
	g_assert_cmpuint(f->n_served, ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
		close(fds[i]);
}

/* -- secrets ---------------------------------------------------------------------------------- */

/* A setup key, hidden. */
static const char hidden[] = "6db2bc2f.1111.5111.9111.6fd5f8cffg12";

struct secret {
	struct control *control;
	unsigned n; /* requests that came in with it, or asked for it */
	uint32_t late; /* is to be answered when it is gone; 0: at once */
};

static GString *secret_result(void)
{
	GString *result = g_string_sized_new(256);

	g_string_append(result, "{\"key\":\"");
	for (const char *at = hidden; *at; at++)
		g_string_append_c(result, (char)(*at - 1));
	return g_string_append(result, "\"}");
}

static void on_secret(const struct control_request *request, void *user)
{
	struct secret *s = user;
	bool has = canary_is_at(hidden, request->setup_key) ||
		(request->profile && canary_is_at(hidden, request->profile + 6));

	if (!strcmp(request->peer, "late")) {
		s->late = request->client;
		return;
	}
	s->n += has || control_is_secret(request);
	control_reply(s->control, request->client,
		control_is_secret(request) ? secret_result() : g_string_new("{}"));
}

/* A caller in a process of its own says these lines, with the key for $, and waits for as many answers. */
static void call_with_secret(const char *path, const char *const *parts, bool answered)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
	char key[sizeof(hidden)], c;
	pid_t child = fork();

	if (child == 0) {
		canary_reveal(hidden, key);
		g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path));
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			_exit(1);
		for (; *parts; parts++) {
			GString *text = g_string_new(*parts);

			g_string_replace(text, "$", key, 0);
			if (send(fd, text->str, text->len, 0) < 0)
				_exit(2);
			g_usleep(20000);
		}
		while (answered && recv(fd, &c, 1, 0) == 1 && c != '\n')
			;
		_exit(0);
	}
	close(fd);
	while (waitpid(child, &status, WNOHANG) == 0)
		turn();
	g_assert_cmpint(status, ==, 0);
	run_for(SHORT_MS);
}

static void test_secrets(void)
{
	static const struct {
		const char *parts[4];
		bool answered;
		unsigned n;
	} table[] = {
		{ { "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"$\"}\n" }, true, 1 },
		{ { "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"$\"", "}\n" }, true, 1 },
		/* Not understood, cut off, and with another one behind. */
		{ { "{\"v\":1,\"command\":\"enroll\",\"setup\":\"$\"}\n" }, true, 0 },
		{ { "{\"v\":1,\"command\":\"enroll\",\"setup_key\":\"$\\u0030\"}\n" }, true, 0 },
		{ { "{\"v\":1,\"setup_key\":\"$\"" }, false, 0 },
		{ { "{\"v\":1,\"command\":\"ping\"}\n{\"v\":1,\"setup_key\":\"$\"" }, true, 0 },
		{ { "{\"v\":1,\"command\":\"import\",\"profile\":{\"a\":\"$\"}}\n" }, true, 1 },
		{ { "{\"v\":1,\"command\":\"export\"}\n" }, true, 1 },
		{ { "{\"v\":1,\"command\":\"export\"}\n{\"v\":1,\"command\":\"ping\"}\n" }, true,
			1 },
		{ { "{\"v\":1,\"command\":\"export\"}\n" }, false, 1 },
		{ { "{\"v\":1,\"command\":\"export\",\"peer\":\"late\"}\n" }, false, 0 },
	};
	g_autofree char *dir = g_dir_make_tmp("lapwing-control-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "control.sock", NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct secret s = { 0 };

		g_test_message("%s", table[i].parts[0]);
		g_assert_cmpint(control_open(path, NULL, on_secret, &s, &s.control), ==, 0);
		call_with_secret(path, table[i].parts, table[i].answered);
		if (s.late)
			control_reply(s.control, s.late, secret_result());
		g_assert_cmpuint(s.n, ==, table[i].n);
		control_close(s.control);
		g_assert_false(canary_is_in_memory(hidden));
	}
	g_rmdir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/control/parse", test_parse);
	g_test_add_func("/control/parse_network", test_parse_network);
	g_test_add_func("/control/parse-long-name", test_parse_long_name);
	g_test_add_func("/control/access", test_access);
	g_test_add_func("/control/reading", test_reading);
#define ADD(name) \
	g_test_add("/control/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(round_trip);
	ADD(socket_file);
	ADD(dead_socket);
	ADD(pipeline);
	ADD(one_at_a_time);
	ADD(half_close);
	ADD(big_reply);
	ADD(big_reply_unread);
	ADD(garbage);
	ADD(too_long);
	ADD(half_request);
	ADD(too_many);
	ADD(no_descriptors);
	ADD(monitor);
	ADD(slow_monitor);
	ADD(stuck_monitor);
	ADD(probe);
	ADD(probe_crowded);
	g_test_add_func("/control/secrets", test_secrets);
	return g_test_run();
}
