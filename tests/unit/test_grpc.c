/* tests/unit/test_grpc.c - our gRPC client against a server of another make (grpcio). */
#include "agent/rpc/grpc.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "tests/unit/rpcserver.h"

static struct rpc_server server;
static char directory[] = "/tmp/lapwing-test-grpc-XXXXXX";

enum { MIB = 1024 * 1024 };

static struct grpc_channel *channel_to(const char *name, const struct grpc_channel_options *more)
{
	struct grpc_channel_options options = more ? *more : (struct grpc_channel_options){ 0 };
	bool tls = strstr(name, "-tls") || strstr(name, "-mutual");
	g_autofree char *url = g_strdup_printf(
		"%s://localhost:%d", tls ? "https" : "http", rpc_server_port(&server, name));
	g_autofree char *ca = g_strdup_printf("%s/ca.pem", directory);

	options.stream.url = url;
	options.stream.ca_file = ca;
	return grpc_channel_new(&options);
}

/* -- kinds of calls ------------------------------------------------------------------------- */

static void unary(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	const char *const metadata[] = { "x-echo", "hello", NULL };
	struct rpc_record r;

	rpc_record_init(&r);
	g_assert_false(grpc_channel_is_connected(channel));
	r.call = grpc_unary(
		channel, "/test.Echo/Unary", "ping", 4, 5000, metadata, &rpc_recording, &r);
	g_assert_false(r.done);
	rpc_await(&r.done, 5000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpint(r.result.failure, ==, STREAM_OK);
	g_assert_cmpstr(r.text->str, ==, "ping|");
	g_assert_nonnull(strstr(r.metadata->str, "x-echo=hello,"));
	g_assert_nonnull(strstr(r.metadata->str, "x-trailer:=last,"));
	g_assert_nonnull(strstr(r.metadata->str, "x-bytes-bin:=AAE"));
	g_assert_true(grpc_channel_is_connected(channel));
	g_assert_true(!strcmp(grpc_channel_address(channel), "127.0.0.1") ||
		!strcmp(grpc_channel_address(channel), "::1"));
	rpc_record_clear(&r);

	/* The same connection serves the next ones, also an empty message. */
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *answer = rpc_ask(
			channel, "/test.Echo/Unary", i % 2 ? "again" : "", GRPC_OK);

		g_assert_cmpstr(answer, ==, i % 2 ? "again|" : "|");
	}
	grpc_channel_free(channel);
}

static void server_stream(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r;

	rpc_record_init(&r);
	r.call = grpc_stream(channel, "/test.Echo/Many", 0, NULL, &rpc_recording, &r);
	g_assert_cmpint(grpc_send(r.call, "500 4000", 8), ==, 0);
	grpc_half_close(r.call);
	g_assert_cmpint(grpc_send(r.call, "x", 1), ==, -EPIPE);
	rpc_await(&r.done, 10000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpuint(r.messages, ==, 500);
	g_assert_cmpuint(r.bytes, ==, 500 * 4000);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* Sends the next message when the one before came back; of sizes around every limit of a frame. */
static void send_next(struct rpc_record *r)
{
	static const size_t sizes[] = { 0, 1, 5, 16379, 16384, 65531, 65536, 300000, 1048571 };
	g_autofree char *message = NULL;
	size_t size;

	if (r->messages == G_N_ELEMENTS(sizes)) {
		grpc_half_close(r->call);
		return;
	}
	size = sizes[r->messages];
	message = g_strnfill(size, 'c');
	g_assert_cmpint(grpc_send(r->call, message, size), ==, 0);
}

static void bidirectional(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r;

	rpc_record_init(&r);
	r.on_message = send_next;
	r.call = grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &rpc_recording, &r);
	send_next(&r);
	rpc_await(&r.done, 10000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpuint(r.messages, ==, 9);
	g_assert_cmpuint(r.largest, ==, 1048571);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* -- ends ----------------------------------------------------------------------------------- */

static void statuses(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);

	for (unsigned code = 1; code <= 16; code++) {
		g_autofree char *request = g_strdup_printf("%u größer\n%%20\x1b[0m", code);
		g_autofree char *text = rpc_ask(channel, "/test.Echo/Fail", request, code);

		g_assert_cmpstr(text, ==, "größer\\x0a%20\\x1b[0m");
	}
	g_free(rpc_ask(channel, "/test.Echo/None", "", GRPC_UNIMPLEMENTED));
	grpc_channel_free(channel);
}

static void deadline(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r;
	int64_t begin_ms;
	int left;

	g_free(rpc_ask(channel, "/test.Echo/Unary", "", GRPC_OK));
	begin_ms = rpc_now_ms();
	rpc_record_init(&r);
	r.call = grpc_unary(channel, "/test.Echo/Sleep", "5", 1, 200, NULL, &rpc_recording, &r);
	rpc_await(&r.done, 3000);
	g_assert_cmpint(r.result.status, ==, GRPC_DEADLINE_EXCEEDED);
	g_assert_cmpint(r.result.failure, ==, STREAM_OK);
	g_assert_cmpint(r.done_ms - begin_ms, >=, 150);
	g_assert_cmpint(r.done_ms - begin_ms, <, 1000);
	rpc_record_clear(&r);

	/* The server knows it too. */
	rpc_record_init(&r);
	r.call = grpc_unary(
		channel, "/test.Echo/Timeout", "", 0, 200000000, NULL, &rpc_recording, &r);
	rpc_await(&r.done, 3000);
	left = atoi(r.text->str);
	g_assert_cmpint(left, >, 199990000);
	g_assert_cmpint(left, <=, 200000000);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

static unsigned count(struct grpc_channel *channel, const char *method)
{
	g_autofree char *n = rpc_ask(channel, method, "", GRPC_OK);

	return (unsigned)atoi(n);
}

/* The server sees it at once, and nobody else's call suffers. */
static void cancel(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct grpc_channel *observer = channel_to(name, NULL);
	unsigned before = count(observer, "/test.Echo/Cancelled");
	unsigned slept = count(observer, "/test.Echo/Slept");
	struct rpc_record a, b;
	int64_t begin_ms;

	rpc_record_init(&a);
	rpc_record_init(&b);
	a.call = grpc_unary(channel, "/test.Echo/Sleep", "5", 1, 0, NULL, &rpc_recording, &a);
	b.call = grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &rpc_recording, &b);
	grpc_send(b.call, "x", 1);
	while (!b.messages)
		g_main_context_iteration(NULL, TRUE);
	while (count(observer, "/test.Echo/Slept") == slept) /* else nobody would be told */
		g_usleep(1000);
	grpc_cancel(a.call);
	begin_ms = rpc_now_ms();
	while (count(observer, "/test.Echo/Cancelled") == before)
		g_assert_cmpint(rpc_now_ms() - begin_ms, <, 3000);
	g_assert_false(a.done);
	grpc_send(b.call, "y", 1);
	grpc_half_close(b.call);
	rpc_await(&b.done, 2000);
	g_assert_cmpstr(b.text->str, ==, "x|y|");
	rpc_record_clear(&a);
	rpc_record_clear(&b);

	/* Before it was ever sent, on a connection and without one. */
	rpc_record_init(&a);
	a.call = grpc_unary(channel, "/test.Echo/Sleep", "5", 1, 0, NULL, &rpc_recording, &a);
	grpc_cancel(a.call);
	g_free(rpc_ask(channel, "/test.Echo/Unary", "", GRPC_OK));
	grpc_channel_free(channel);
	channel = channel_to(name, NULL);
	a.call = grpc_unary(channel, "/test.Echo/Sleep", "5", 1, 0, NULL, &rpc_recording, &a);
	grpc_cancel(a.call);
	g_free(rpc_ask(channel, "/test.Echo/Unary", "", GRPC_OK));
	g_assert_false(a.done);
	rpc_record_clear(&a);
	grpc_channel_free(channel);
	grpc_channel_free(observer);
}

/* -- sizes ---------------------------------------------------------------------------------- */

#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed */
/* In kB: "VmHWM" is the most since `from_now`. */
static long resident(const char *name, bool from_now)
{
	g_autofree char *text = NULL;

	if (from_now) {
		int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

		g_assert_cmpint(write(fd, "5", 1), ==, 1);
		close(fd);
	}
	g_assert_true(g_file_get_contents("/proc/self/status", &text, NULL, NULL));
	return atol(strchr(strstr(text, name), ':') + 1);
}
#endif

/* 16 MiB come, at the price of about one message; one byte more does not. */
static void large(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r;

	g_free(rpc_ask(channel, "/test.Echo/Make", "1000", GRPC_OK));
	rpc_record_init(&r);
	r.call = grpc_unary(channel, "/test.Echo/Make", "16777216", 8, 0, NULL, &rpc_recording, &r);
#ifndef __SANITIZE_ADDRESS__
	long before = resident("VmRSS", true);
#endif
	rpc_await(&r.done, 10000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpuint(r.bytes, ==, 16 * MIB);
	rpc_record_clear(&r);
#ifndef __SANITIZE_ADDRESS__
	g_test_message("most +%ld kB, after it %+ld kB", resident("VmHWM", false) - before,
		resident("VmRSS", false) - before);
	g_assert_cmpint(resident("VmHWM", false) - before, <, 18 * 1024);
	g_assert_cmpint(resident("VmRSS", false) - before, <, 1024);
#endif
	g_free(rpc_ask(channel, "/test.Echo/Make", "16777217", GRPC_RESOURCE_EXHAUSTED));
	g_free(rpc_ask(channel, "/test.Echo/Make", "20971520", GRPC_RESOURCE_EXHAUSTED));
	g_free(rpc_ask(channel, "/test.Echo/Make", "10", GRPC_OK));
	grpc_channel_free(channel);
}

static void gzipped(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r;

	rpc_call(channel, "/test.Echo/Gzip", "5000000", &r);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpuint(r.bytes, ==, 5000000);
	g_assert_nonnull(strstr(r.metadata->str, "grpc-encoding=gzip,"));
	rpc_record_clear(&r);
	g_free(rpc_ask(channel, "/test.Echo/Gzip", "20000000", GRPC_RESOURCE_EXHAUSTED));
	grpc_channel_free(channel);
}

/* A request that is larger than every window; the queue of a stream. */
static void upload(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	g_autofree char *message = g_strnfill(12 * MIB, 'u');
	struct rpc_record r;
	unsigned sent = 0;

	rpc_record_init(&r);
	r.call = grpc_unary(
		channel, "/test.Echo/Unary", message, 12 * MIB, 0, NULL, &rpc_recording, &r);
	rpc_await(&r.done, 20000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpuint(r.bytes, ==, 12 * MIB);
	rpc_record_clear(&r);

	rpc_record_init(&r);
	r.call = grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &rpc_recording, &r);
	while (sent < 100) {
		unsigned rooms = r.rooms;

		if (grpc_send(r.call, message, 100000) == 0) {
			sent++;
			continue;
		}
		while (r.rooms == rooms)
			g_main_context_iteration(NULL, TRUE);
		g_assert_cmpint(grpc_send(r.call, message, 100000), ==, 0);
		sent++;
	}
	g_assert_cmpuint(r.rooms, >, 0);
	grpc_half_close(r.call);
	rpc_await(&r.done, 20000);
	g_assert_cmpuint(r.bytes, ==, 100 * 100000);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* The tail of a message does not wait for the next one. */
static void note_age(struct rpc_record *r)
{
	int64_t *worst_ms = r->user;
	const char *last = r->text->str + r->text->len - 65;

	*worst_ms = MAX(*worst_ms, rpc_now_ms() - atoll(last) / 1000);
}

static void promptness(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	int64_t worst_ms = 0;
	struct rpc_record r;

	rpc_record_init(&r);
	r.on_message = note_age;
	r.user = &worst_ms;
	r.call = grpc_stream(channel, "/test.Echo/Timed", 0, NULL, &rpc_recording, &r);
	grpc_send(r.call, "6 1000000 500", 13);
	grpc_half_close(r.call);
	rpc_await(&r.done, 10000);
	g_assert_cmpuint(r.messages, ==, 6);
	g_assert_cmpint(worst_ms, <, 400);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* -- many ----------------------------------------------------------------------------------- */

enum { CALLS = 300 };

static void multiplexed(gconstpointer name)
{
	struct grpc_channel *channel = channel_to(name, NULL);
	struct rpc_record r[CALLS];

	for (unsigned i = 0; i < CALLS; i++) {
		g_autofree char *text = g_strdup_printf("%u", i);

		rpc_record_init(&r[i]);
		r[i].call = grpc_unary(channel, "/test.Echo/Unary", text, strlen(text), 0, NULL,
			&rpc_recording, &r[i]);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		g_autofree char *text = g_strdup_printf("%u|", i);

		rpc_await(&r[i].done, 10000);
		g_assert_cmpint(r[i].result.status, ==, GRPC_OK);
		g_assert_cmpstr(r[i].text->str, ==, text);
		rpc_record_clear(&r[i]);
	}
	grpc_channel_free(channel);
}

/* -- freeing from callbacks ----------------------------------------------------------------- */

struct freeing {
	struct grpc_channel *channel;
	struct rpc_record r, other;
	unsigned calls;
	bool over;
};

static void free_channel(struct rpc_record *r)
{
	struct freeing *f = r->user;

	grpc_channel_free(f->channel);
	f->channel = NULL;
	f->over = true;
}

static void cancel_it(struct rpc_record *r)
{
	struct freeing *f = r->user;

	grpc_cancel(r->call);
	f->over = true;
}

static void cancel_other(struct rpc_record *r)
{
	struct freeing *f = r->user;

	if (f->over)
		return;
	/* On a busy machine it may have ended before the first message of this one came. */
	if (f->other.call)
		grpc_cancel(f->other.call);
	f->over = true;
}

static void cancel_both(struct rpc_record *r)
{
	cancel_other(r);
	grpc_cancel(r->call);
}

static void begin_another(struct rpc_record *r)
{
	struct freeing *f = r->user;

	f->calls++;
	f->over = f->calls == 50;
	if (f->over)
		return;
	r->done = false;
	r->call = grpc_unary(f->channel, "/test.Echo/Unary", "next", 4, 0, NULL, &rpc_recording, r);
	g_assert_false(r->done);
}

static void freed_in_metadata(
	struct grpc_call *call, const char *name, const char *value, bool trailer, void *user)
{
	struct rpc_record *r = user;

	if (r->user)
		free_channel(r);
}

static void with(const char *name, void (*on_message)(struct rpc_record *),
	void (*on_done)(struct rpc_record *), const struct grpc_callbacks *callbacks)
{
	struct freeing f = { .channel = channel_to(name, NULL) };

	rpc_record_init(&f.r);
	rpc_record_init(&f.other);
	f.r.user = &f;
	f.r.on_message = on_message;
	f.r.on_done = on_done;
	f.other.call = grpc_stream(f.channel, "/test.Echo/Many", 0, NULL, callbacks, &f.other);
	grpc_send(f.other.call, "300 30000", 9);
	f.r.call = grpc_stream(f.channel, "/test.Echo/Many", 0, NULL, callbacks, &f.r);
	grpc_send(f.r.call, "20 100", 6);
	grpc_half_close(f.r.call);
	rpc_await(&f.over, 5000);
	rpc_run(50);
	grpc_channel_free(f.channel);
	rpc_run(20);
	rpc_record_clear(&f.r);
	rpc_record_clear(&f.other);
}

static void freeing(gconstpointer name)
{
	static const struct grpc_callbacks early = {
		.metadata = freed_in_metadata,
		.message = rpc_on_message,
		.done = rpc_on_done,
	};

	with(name, free_channel, NULL, &rpc_recording);
	with(name, NULL, free_channel, &rpc_recording);
	with(name, NULL, NULL, &early);
	with(name, cancel_it, NULL, &rpc_recording);
	with(name, cancel_other, NULL, &rpc_recording);
	with(name, cancel_both, NULL, &rpc_recording);
	with(name, NULL, cancel_other, &rpc_recording);
	with(name, NULL, begin_another, &rpc_recording);
}

/* From the callbacks of a connection that fails: all its calls end, each once. */
static void freed_by_failure(void)
{
	static void (*const what[])(struct rpc_record *) = { free_channel, cancel_other, NULL };
	const struct grpc_channel_options options = { .stream = { .url = "http://127.0.0.1:1" } };

	for (size_t i = 0; i < G_N_ELEMENTS(what); i++) {
		struct freeing f = { .channel = grpc_channel_new(&options) };

		rpc_record_init(&f.r);
		rpc_record_init(&f.other);
		f.r.user = &f;
		f.r.on_done = what[i];
		f.r.call = grpc_stream(f.channel, "/x", 0, NULL, &rpc_recording, &f.r);
		f.other.call = grpc_stream(f.channel, "/x", 0, NULL, &rpc_recording, &f.other);
		rpc_await(&f.r.done, 2000);
		g_assert_cmpint(f.r.result.status, ==, GRPC_UNAVAILABLE);
		g_assert_cmpint(f.r.result.failure, ==, STREAM_UNREACHABLE);
		rpc_run(20);
		g_assert_true(f.other.done == !what[i]);
		grpc_channel_free(f.channel);
		rpc_record_clear(&f.r);
		rpc_record_clear(&f.other);
	}
}

/* -- a server that goes --------------------------------------------------------------------- */

static void gone(int number, unsigned least_ms, unsigned most_ms)
{
	const struct grpc_channel_options options = { .ping_s = 1, .ping_timeout_ms = 500 };
	struct rpc_server own = server, second;
	struct grpc_channel *channel;
	struct rpc_record a, b;
	int64_t begin_ms;

	rpc_server_start(&second, directory, "echo");
	server = second;
	channel = channel_to("echo-tls", &options);
	server = own;
	rpc_record_init(&a);
	rpc_record_init(&b);
	a.call = grpc_stream(channel, "/test.Echo/Chat", 0, NULL, &rpc_recording, &a);
	b.call = grpc_unary(channel, "/test.Echo/Sleep", "60", 2, 0, NULL, &rpc_recording, &b);
	grpc_send(a.call, "x", 1);
	while (!a.messages)
		g_main_context_iteration(NULL, TRUE);
	rpc_server_signal(&second, number);
	begin_ms = rpc_now_ms();
	rpc_await(&a.done, most_ms);
	rpc_await(&b.done, 100);
	g_test_message("noticed after %d ms: %s", (int)(a.done_ms - begin_ms), a.result.text);
	g_assert_cmpint(a.done_ms - begin_ms, >=, least_ms);
	g_assert_cmpint(a.result.status, ==, GRPC_UNAVAILABLE);
	g_assert_cmpint(a.result.failure, ==, STREAM_LOST);
	g_assert_cmpint(b.result.status, ==, GRPC_UNAVAILABLE);
	g_assert_false(grpc_channel_is_connected(channel));
	rpc_record_clear(&a);
	rpc_record_clear(&b);
	grpc_channel_free(channel);
	rpc_server_stop(&second);
}

static void killed(void)
{
	gone(SIGKILL, 0, 500);
}

static void stopped(void)
{
	gone(SIGSTOP, 1000, 3000);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "echo", "echo-tls" };
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	mallopt(M_MMAP_THRESHOLD, 64 * 1024); /* as the daemon does */
	mallopt(M_TRIM_THRESHOLD, 64 * 1024);
	g_assert_nonnull(g_mkdtemp(directory));
	rpc_server_start(&server, directory, "echo");
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *name = names[i];
#define ADD(function) \
	do { \
		g_autofree char *path = g_strdup_printf("/grpc/%s/" #function, name); \
		g_test_add_data_func(path, name, function); \
	} while (0)
		ADD(unary);
		ADD(server_stream);
		ADD(bidirectional);
		ADD(statuses);
		ADD(deadline);
		ADD(cancel);
		ADD(large);
		ADD(gzipped);
		ADD(upload);
		ADD(promptness);
		ADD(multiplexed);
		ADD(freeing);
	}
	g_test_add_func("/grpc/freed_by_failure", freed_by_failure);
	g_test_add_func("/grpc/killed", killed);
	g_test_add_func("/grpc/stopped", stopped);
	r = g_test_run();
	rpc_server_stop(&server);
	rpc_remove(directory);
	return r;
}
