/* tests/unit/test_grpc_faults.c - servers that end calls early, break off, break the protocol, or hang. */
#include <malloc.h>
#include <sys/resource.h>

#include "agent/rpc/grpc.h"
#include "tests/unit/rpcserver.h"

static struct rpc_server server;
static char directory[] = "/tmp/lapwing-test-faults-XXXXXX";

static struct grpc_channel *channel_to(const char *name, unsigned ping_s, unsigned ping_timeout_ms)
{
	g_autofree char *ca = g_strdup_printf("%s/ca.pem", directory);
	g_autofree char *url = g_strdup_printf("%s://localhost:%d",
		g_str_has_suffix(name, "-tls") ? "https" : "http", rpc_server_port(&server, name));
	const struct grpc_channel_options options = {
		.stream = { .url = url, .ca_file = ca },
		.ping_s = ping_s,
		.ping_timeout_ms = ping_timeout_ms,
	};

	return grpc_channel_new(&options);
}

/* -- how calls end -------------------------------------------------------------------------- */

static const struct fault {
	const char *name;
	enum grpc_status status;
	enum stream_failure failure;
	const char *messages; /* that were received before */
	const char *text; /* part of the result's; NULL: any */
} table[] = {
	{ "fine", GRPC_OK, STREAM_OK, "fine|", "" },
	{ "burst", GRPC_OK, STREAM_OK, "burst0|burst1|burst2|", "" },
	{ "trailers", GRPC_OK, STREAM_OK, "one|", "" },
	{ "only", GRPC_UNAUTHENTICATED, STREAM_OK, "", "no entry" },
	{ "only-reset", GRPC_UNAUTHENTICATED, STREAM_OK, "", "no entry" },
	{ "goaway", GRPC_OK, STREAM_OK, "last|", "" },
	{ "refused", GRPC_UNAVAILABLE, STREAM_LOST, "", "REFUSED_STREAM" },
	{ "calm", GRPC_UNAVAILABLE, STREAM_LOST, "", "ENHANCE_YOUR_CALM: too_many_pings" },
	{ "rst-0", GRPC_INTERNAL, STREAM_OK, "", "NO_ERROR" },
	{ "rst-2", GRPC_INTERNAL, STREAM_OK, "", "INTERNAL_ERROR" },
	{ "rst-7", GRPC_UNAVAILABLE, STREAM_OK, "", "REFUSED_STREAM" },
	{ "rst-8", GRPC_CANCELLED, STREAM_OK, "", "CANCEL" },
	{ "rst-11", GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "", "ENHANCE_YOUR_CALM" },
	{ "rst-12", GRPC_PERMISSION_DENIED, STREAM_OK, "", "INADEQUATE_SECURITY" },
	{ "http-400", GRPC_INTERNAL, STREAM_OK, "", "HTTP 400, text/html" },
	{ "http-401", GRPC_UNAUTHENTICATED, STREAM_OK, "", "HTTP 401" },
	{ "http-403", GRPC_PERMISSION_DENIED, STREAM_OK, "", "HTTP 403" },
	{ "http-404", GRPC_UNIMPLEMENTED, STREAM_OK, "", "HTTP 404" },
	{ "http-503", GRPC_UNAVAILABLE, STREAM_OK, "", "HTTP 503" },
	{ "http-200", GRPC_UNKNOWN, STREAM_OK, "", "HTTP 200, text/html" },
	{ "interim", GRPC_OK, STREAM_OK, "after|", "" },
	{ "cut", GRPC_INTERNAL, STREAM_OK, "", "cut short" },
	{ "short", GRPC_INTERNAL, STREAM_OK, "one|", "without a status" },
	{ "slow", GRPC_OK, STREAM_OK, "slowly|", "" },
	{ "ping", GRPC_OK, STREAM_OK, NULL, "" },
	{ "leave", GRPC_OK, STREAM_OK, "bye|", "" },
	{ "vanish", GRPC_UNAVAILABLE, STREAM_LOST, "", NULL },
	{ "status-99", GRPC_UNKNOWN, STREAM_OK, "", "a\\x0ab\\x1b[31mcä\\xff%zz%xxx" },
	{ "status-", GRPC_UNKNOWN, STREAM_OK, "", NULL },
	{ "status--1", GRPC_UNKNOWN, STREAM_OK, "", NULL },
	{ "status-5", GRPC_NOT_FOUND, STREAM_OK, "", "..." },
	{ "size-16777217", GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "", "16777217 bytes" },
	{ "size-4294967295", GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "", "4294967295 bytes" },
	{ "bomb", GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "", "too large" },
	{ "packed-right", GRPC_OK, STREAM_OK, "packed|", "" },
	{ "packed-broken", GRPC_INTERNAL, STREAM_OK, "", "broken" },
	{ "packed-tail", GRPC_INTERNAL, STREAM_OK, "", "broken" },
	{ "packed-plain", GRPC_INTERNAL, STREAM_OK, "", "unknown way" },
	{ "packed-odd", GRPC_INTERNAL, STREAM_OK, "", "unknown way" },
	{ "list", GRPC_RESOURCE_EXHAUSTED, STREAM_OK, "", "headers" },
	{ "block", GRPC_UNAVAILABLE, STREAM_LOST, "", "headers is too large" },
	{ "empty", GRPC_UNAVAILABLE, STREAM_LOST, "", NULL },
	{ "pings", GRPC_UNAVAILABLE, STREAM_LOST, "", NULL },
	{ "settings", GRPC_UNAVAILABLE, STREAM_LOST, "", NULL },
	{ "nothing", GRPC_UNAVAILABLE, STREAM_LOST, "", "carry nothing" },
	{ "lie", GRPC_UNAVAILABLE, STREAM_LOST, "", NULL },
};

static void expect(const struct fault *fault, const struct rpc_record *r)
{
	const char *messages = fault->messages;

	g_test_message("%s: status %d, failure %d, %s", fault->name, (int)r->result.status,
		(int)r->result.failure, r->result.text);
	g_assert_cmpint(r->result.status, ==, fault->status);
	g_assert_cmpint(r->result.failure, ==, fault->failure);
	if (messages)
		g_assert_cmpstr(r->text->str, ==, messages);
	if (fault->text && fault->text[0])
		g_assert_nonnull(strstr(r->result.text, fault->text));
	else if (fault->text)
		g_assert_cmpstr(r->result.text, ==, "");
}

/* With the request still open, and after it was ended; over TLS and without. */
static void ends(const struct fault *fault, const char *name, bool closed)
{
	struct grpc_channel *channel = channel_to(name, 0, 0);
	g_autofree char *path = g_strdup_printf("/%s/%s", closed ? "closed" : "open", fault->name);
	g_autofree char *after = NULL;
	bool leaves = !strcmp(fault->name, "leave"); /* a moment after the call */
	struct rpc_record r;

	rpc_record_init(&r);
	r.call = grpc_stream(channel, path, 0, NULL, &rpc_recording, &r);
	g_assert_cmpint(grpc_send(r.call, "hello", 5), ==, 0);
	if (closed)
		grpc_half_close(r.call);
	rpc_await(&r.done, 5000);
	expect(fault, &r);
	rpc_record_clear(&r);
	for (unsigned i = 0; i < 200 && leaves && grpc_channel_is_connected(channel); i++)
		rpc_run(10);
	/* The channel works on, on the same connection or on a new one. */
	after = rpc_ask(channel, "/closed/fine", "", GRPC_OK);
	g_assert_cmpstr(after, ==, "fine|");
	grpc_channel_free(channel);
}

static void fault(gconstpointer data)
{
	ends(data, "fault", false);
	ends(data, "fault", true);
	ends(data, "fault-tls", false);
	ends(data, "fault-tls", true);
}

/* Unary calls get exactly one message, whatever the server says. */
static void cardinality(void)
{
	struct grpc_channel *channel = channel_to("fault", 0, 0);
	g_autofree char *none = rpc_ask(channel, "/closed/silent", "", GRPC_INTERNAL);
	g_autofree char *two = rpc_ask(channel, "/closed/twice", "", GRPC_INTERNAL);

	g_assert_cmpstr(none, ==, "the answer has no message");
	g_assert_cmpstr(two, ==, "the answer has more than one message");
	grpc_channel_free(channel);
}

/* -- servers that are none ------------------------------------------------------------------ */

static void strange(const char *name, const char *text)
{
	struct grpc_channel *channel = channel_to(name, 0, 0);
	struct rpc_record r;

	rpc_call(channel, "/any", "", &r);
	g_test_message("%s: %s", name, r.result.text);
	g_assert_cmpint(r.result.status, ==, GRPC_UNAVAILABLE);
	g_assert_cmpint(r.result.failure, ==, STREAM_LOST);
	g_assert_nonnull(strstr(r.result.text, text));
	g_assert_false(grpc_channel_is_connected(channel));
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

static void not_http2(void)
{
	strange("old-http", "does not speak HTTP/2");
	strange("closing", "");
}

/* -- time ----------------------------------------------------------------------------------- */

/* Hangs with its TCP alive: only the PING tells. Both calls hear of it, and the next one has a new
 * connection. */
static void hung(void)
{
	struct grpc_channel *channel = channel_to("fault-tls", 1, 500);
	int64_t begin_ms = rpc_now_ms();
	g_autofree char *after = NULL;
	struct rpc_record a, b;

	rpc_record_init(&a);
	rpc_record_init(&b);
	b.call = grpc_stream(channel, "/open/window", 0, NULL, &rpc_recording, &b);
	a.call = grpc_stream(channel, "/open/hang", 0, NULL, &rpc_recording, &a);
	rpc_await(&a.done, 5000);
	rpc_await(&b.done, 10);
	g_assert_cmpint(a.result.status, ==, GRPC_UNAVAILABLE);
	g_assert_cmpint(a.result.failure, ==, STREAM_LOST);
	g_assert_cmpint(a.done_ms - begin_ms, >=, 1400);
	g_assert_cmpint(a.done_ms - begin_ms, <=, 2500);
	after = rpc_ask(channel, "/closed/fine", "", GRPC_OK);
	rpc_record_clear(&a);
	rpc_record_clear(&b);
	grpc_channel_free(channel);
}

/* Answers PINGs: lives, however long it says nothing else. */
static void quiet(void)
{
	struct grpc_channel *channel = channel_to("fault", 1, 300);
	struct rpc_record r;

	rpc_record_init(&r);
	r.call = grpc_stream(channel, "/open/window", 0, NULL, &rpc_recording, &r);
	rpc_run(2700);
	g_assert_false(r.done);
	grpc_channel_free(channel);
	rpc_record_clear(&r);
}

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* The server makes no room for what we send: that costs nothing, and the queue is bounded. */
static void no_window(void)
{
	struct grpc_channel *channel = channel_to("fault", 0, 0);
	g_autofree char *message = g_strnfill(100000, 'w');
	unsigned sent = 0;
	struct rpc_record r;
	double begin;

	rpc_record_init(&r);
	r.call = grpc_stream(channel, "/open/window", 0, NULL, &rpc_recording, &r);
	rpc_run(100);
	while (grpc_send(r.call, message, 100000) == 0)
		sent++;
	g_assert_cmpuint(sent, ==, 10);
	rpc_run(100);
	begin = cpu_ms();
	rpc_run(500);
	g_assert_cmpfloat(cpu_ms() - begin, <, 25);
	grpc_cancel(r.call);
	grpc_channel_free(channel);
	rpc_record_clear(&r);
}

/* A server that takes nothing but the connection: the deadline holds while connecting too. */
static void mute(void)
{
	struct grpc_channel *channel = channel_to("mute", 0, 0);
	struct rpc_record r;

	rpc_record_init(&r);
	r.call = grpc_unary(channel, "/any", "", 0, 300, NULL, &rpc_recording, &r);
	rpc_await(&r.done, 2000);
	g_assert_cmpint(r.result.status, ==, GRPC_DEADLINE_EXCEEDED);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* PINGs come less often once a server has complained. */
static void too_many_pings(void)
{
	struct grpc_channel *channel = channel_to("fault", 1, 500);
	struct rpc_record r;
	int64_t begin_ms;

	rpc_call(channel, "/open/calm", "", &r);
	g_assert_cmpint(r.result.status, ==, GRPC_UNAVAILABLE);
	rpc_record_clear(&r);
	rpc_record_init(&r);
	begin_ms = rpc_now_ms();
	r.call = grpc_stream(channel, "/open/hang", 0, NULL, &rpc_recording, &r);
	rpc_await(&r.done, 5000);
	g_assert_cmpint(r.done_ms - begin_ms, >=, 2400);
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* After GOAWAY the old call goes on where it is, a new one gets its own connection. */
static void draining(void)
{
	struct grpc_channel *channel = channel_to("fault", 0, 0);
	g_autofree char *other = NULL;
	struct rpc_record r;

	rpc_record_init(&r);
	r.call = grpc_stream(channel, "/open/goaway", 0, NULL, &rpc_recording, &r);
	rpc_run(50);
	g_assert_false(r.done);
	g_assert_false(grpc_channel_is_connected(channel));
	other = rpc_ask(channel, "/closed/fine", "", GRPC_OK);
	g_assert_false(r.done);
	rpc_await(&r.done, 1000);
	g_assert_cmpint(r.result.status, ==, GRPC_OK);
	g_assert_cmpstr(r.text->str, ==, "last|");
	rpc_record_clear(&r);
	grpc_channel_free(channel);
}

/* Also while no call is open. */
static void answers_pings(void)
{
	struct grpc_channel *channel = channel_to("fault-tls", 0, 0);
	g_autofree char *at_once = rpc_ask(channel, "/closed/ping", "", GRPC_OK);
	g_autofree char *one = rpc_ask(channel, "/closed/later", "", GRPC_OK);
	g_autofree char *later = NULL;

	rpc_run(300);
	later = rpc_ask(channel, "/closed/acked", "", GRPC_OK);
	g_test_message("%s and %s us", at_once, later);
	g_assert_cmpint(atoi(at_once), <, 100 * 1000);
	g_assert_cmpint(atoi(later), <, 100 * 1000);
	grpc_channel_free(channel);
}

/* Calls that wait for their turn when the server stops taking any; one of them given up before. */
static void waiting(void)
{
	struct grpc_channel *channel = channel_to("fault", 0, 0);
	struct rpc_record first, second, third;

	rpc_record_init(&first);
	rpc_record_init(&second);
	rpc_record_init(&third);
	first.call = grpc_stream(channel, "/open/limit", 0, NULL, &rpc_recording, &first);
	rpc_run(100);
	second.call = grpc_unary(channel, "/closed/fine", "", 0, 0, NULL, &rpc_recording, &second);
	third.call = grpc_unary(channel, "/closed/fine", "", 0, 0, NULL, &rpc_recording, &third);
	rpc_run(50);
	grpc_cancel(second.call);
	rpc_await(&first.done, 2000);
	rpc_await(&third.done, 100);
	g_test_message("%s", third.result.text);
	g_assert_cmpint(first.result.status, ==, GRPC_OK);
	g_assert_cmpint(third.result.status, ==, GRPC_UNAVAILABLE);
	g_assert_cmpint(third.result.failure, ==, STREAM_LOST);
	g_assert_false(second.done);
	grpc_channel_free(channel);
	rpc_record_clear(&first);
	rpc_record_clear(&second);
	rpc_record_clear(&third);
}

/* What is only promised takes no memory. */
static void promise(void)
{
	struct grpc_channel *channel = channel_to("fault", 0, 0);
	struct rpc_record r[16];
	size_t before;

	rpc_record_init(&r[0]);
	rpc_call(channel, "/closed/fine", "", &r[0]);
	rpc_record_clear(&r[0]);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (size_t i = 0; i < G_N_ELEMENTS(r); i++) {
		rpc_record_init(&r[i]);
		r[i].call = grpc_stream(
			channel, "/open/size-16000000", 0, NULL, &rpc_recording, &r[i]);
	}
	rpc_run(200);
	g_assert_cmpuint(mallinfo2().uordblks + mallinfo2().hblkhd, <, before + 1024 * 1024);
	grpc_channel_free(channel);
	for (size_t i = 0; i < G_N_ELEMENTS(r); i++)
		rpc_record_clear(&r[i]);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	g_assert_nonnull(g_mkdtemp(directory));
	rpc_server_start(&server, directory, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *path = g_strdup_printf("/grpc/fault/%s", table[i].name);

		g_test_add_data_func(path, &table[i], fault);
	}
	g_test_add_func("/grpc/fault/cardinality", cardinality);
	g_test_add_func("/grpc/fault/not_http2", not_http2);
	g_test_add_func("/grpc/fault/hung", hung);
	g_test_add_func("/grpc/fault/quiet", quiet);
	g_test_add_func("/grpc/fault/no_window", no_window);
	g_test_add_func("/grpc/fault/mute", mute);
	g_test_add_func("/grpc/fault/too_many_pings", too_many_pings);
	g_test_add_func("/grpc/fault/draining", draining);
	g_test_add_func("/grpc/fault/answers_pings", answers_pings);
	g_test_add_func("/grpc/fault/waiting", waiting);
	g_test_add_func("/grpc/fault/promise", promise);
	r = g_test_run();
	rpc_server_stop(&server);
	rpc_remove(directory);
	return r;
}
