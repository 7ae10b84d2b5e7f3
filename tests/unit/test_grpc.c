/* tests/unit/test_grpc.c - our gRPC client against a server of another make (grpcio). */
#include "agent/rpc/grpc.h"

#include <errno.h>
#include <sys/resource.h>
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

int main(int argc, char **argv)
{
	static const char *const names[] = { "echo", "echo-tls" };
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
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
	}
	r = g_test_run();
	rpc_server_stop(&server);
	rpc_remove(directory);
	return r;
}
