/* tests/unit/test_stream.c - connections: names, addresses, certificates, ALPN, marks. */
#include "agent/rpc/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/rpcserver.h"

static struct rpc_server server;
static char directory[] = "/tmp/lapwing-test-stream-XXXXXX";

struct client {
	struct stream *stream;
	bool connected, failed, readable, writable, over;
	enum stream_failure failure;
	char why[STREAM_ERROR_MAX];
	void (*on_connected)(struct client *c);
};

static void connected(void *user)
{
	struct client *c = user;

	g_assert_false(c->over);
	c->connected = c->over = true;
	if (c->on_connected)
		c->on_connected(c);
}

static void readable(void *user)
{
	struct client *c = user;

	g_assert_true(c->connected);
	c->readable = true;
}

static void writable(void *user)
{
	((struct client *)user)->writable = true;
}

static void failed(enum stream_failure failure, const char *why, void *user)
{
	struct client *c = user;

	g_assert_false(c->over);
	c->failed = c->over = true;
	c->failure = failure;
	g_strlcpy(c->why, why, sizeof(c->why));
}

static const struct stream_callbacks callbacks = { connected, readable, writable, failed };

static char *in_directory(const char *name)
{
	return g_build_filename(directory, name, NULL);
}

/* Opens, and waits for the outcome. */
static void connect_to(struct client *c, const struct stream_options *options)
{
	*c = (struct client){ 0 };
	c->stream = stream_open(options, &callbacks, c);
	g_assert_false(c->over);
	rpc_await(&c->over, 5000);
}

static char *url_of(const char *scheme, const char *host, const char *name)
{
	return g_strdup_printf("%s://%s:%d", scheme, host, rpc_server_port(&server, name));
}

/* -- what cannot be connected --------------------------------------------------------------- */

static void refuses(
	const struct stream_options *options, enum stream_failure failure, const char *words)
{
	struct client c;

	connect_to(&c, options);
	g_test_message("%s: failure %d, %s", options->url, (int)c.failure, c.why);
	g_assert_true(c.failed);
	g_assert_cmpint(c.failure, ==, failure);
	g_assert_nonnull(strstr(c.why, words));
	g_assert_cmpstr(stream_address(c.stream), ==, "");
	rpc_run(20); /* failed() comes once */
	stream_close(c.stream);
}

static void usage(void)
{
	static const char *const urls[] = { "", "localhost:80", "ftp://localhost", "http://",
		"http://[::1", "http://host:99999", "http:///x", NULL };

	for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
		const struct stream_options options = { .url = urls[i] };

		refuses(&options, STREAM_USAGE, "URL");
	}
	refuses(&(struct stream_options){ .url = "http://x", .address = "name" }, STREAM_USAGE,
		"numeric");
}

/* Files that cannot do what they are for: which one, and why. */
static void wrong_files(void)
{
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *cert = in_directory("client.pem");
	g_autofree char *key = in_directory("client.key");
	g_autofree char *other = in_directory("good.key");
	g_autofree char *url = url_of("https", "localhost", "echo-tls");
	const struct {
		struct stream_options options;
		const char *words;
	} bad[] = {
		{ { .ca_file = "/none" }, "/none: No such file or directory" },
		{ { .ca_file = "/etc" }, "/etc: Is a directory" },
		{ { .ca_file = key }, "client.key (no certificate in it)" },
		{ { .ca_dir = "/none" }, "/none: No such file or directory" },
		{ { .ca_dir = "/etc/passwd" }, "/etc/passwd: Not a directory" },
		{ { .ca_dir = "/" }, "/: no certificate by the name of its hash (openssl rehash)" },
		{ { .ca_file = ca, .client_cert = "/none", .client_key = key }, "/none: No such" },
		{ { .ca_file = ca, .client_cert = cert, .client_key = "/none" }, "/none: No such" },
		{ { .ca_file = ca, .client_cert = "/", .client_key = key }, "/: Is a directory" },
		{ { .ca_file = ca, .client_cert = key, .client_key = key },
			"(not PEM, or not the certificate's key)" },
		{ { .ca_file = ca, .client_cert = cert, .client_key = cert },
			"(not PEM, or not the certificate's key)" },
		{ { .ca_file = ca, .client_cert = cert, .client_key = other },
			"(not PEM, or not the certificate's key)" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct stream_options options = bad[i].options;

		options.url = url;
		refuses(&options, STREAM_USAGE, bad[i].words);
	}
}

static void unreachable(void)
{
	g_autofree char *mute = url_of("https", "127.0.0.1", "mute");
	g_autofree char *closing = url_of("https", "127.0.0.1", "closing");
	int64_t begin_ms = rpc_now_ms();

	refuses(&(struct stream_options){ .url = "http://127.0.0.1:1" }, STREAM_UNREACHABLE, "");
	refuses(&(struct stream_options){ .url = "http://[::1]:1" }, STREAM_UNREACHABLE, "");
	refuses(&(struct stream_options){ .url = "http://localhost:1" }, STREAM_UNREACHABLE, "");
	refuses(&(struct stream_options){ .url = "http://no-such-name.invalid:80" }, STREAM_NAME,
		"");
	refuses(&(struct stream_options){ .url = mute, .connect_ms = 300 }, STREAM_UNREACHABLE, "");
	g_assert_cmpint(rpc_now_ms() - begin_ms, <, 3000);
	refuses(&(struct stream_options){ .url = closing }, STREAM_TLS, "");
}

/* -- certificates --------------------------------------------------------------------------- */

static void certificates(void)
{
	static const struct {
		const char *name, *words;
	} bad[] = {
		{ "wrong-name", "host name" },
		{ "wrong-ca", "unable to get local issuer" },
		{ "expired", "has expired" },
		{ "no-alpn", "does not offer HTTP/2" },
		{ "other-alpn", "" }, /* OpenSSL's servers end the handshake */
		{ "old-tls", "" },
	};
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *other = in_directory("other.pem");
	g_autofree char *hashed = in_directory("hashed");
	g_autofree char *good = url_of("https", "localhost", "echo-tls");
	g_autofree char *by_address = url_of("https", "127.0.0.1", "echo-tls");
	const struct stream_options ways[] = {
		{ .url = good, .alpn = "h2", .ca_file = ca },
		{ .url = by_address, .alpn = "h2", .ca_file = ca },
		{ .url = good, .alpn = "h2", .ca_dir = hashed },
		{ .url = good, .alpn = NULL, .ca_file = ca },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *url = url_of("https", "localhost", bad[i].name);
		const struct stream_options options = { .url = url, .alpn = "h2", .ca_file = ca };

		refuses(&options, STREAM_TLS, bad[i].words);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(ways); i++) {
		struct client c;

		connect_to(&c, &ways[i]);
		g_test_message("%s", c.why);
		g_assert_true(c.connected);
		g_assert_true(stream_is_secure(c.stream));
		stream_close(c.stream);
	}
	/* Our authority is none of the system's. */
	refuses(&(struct stream_options){ .url = good, .alpn = "h2" }, STREAM_TLS, "issuer");
	/* Nor are those of the system taken beside ours. */
	refuses(&(struct stream_options){ .url = good, .alpn = "h2", .ca_file = other }, STREAM_TLS,
		"issuer");
}

/* The name of the URL is verified, whatever address is connected to. */
static void instead_of_name(void)
{
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *good = url_of("https", "localhost", "echo-tls");
	g_autofree char *other = url_of("https", "other.invalid", "echo-tls");
	g_autofree char *literal = url_of("https", "192.0.2.1", "echo-tls");
	struct stream_options options = {
		.url = good, .alpn = "h2", .ca_file = ca, .address = "127.0.0.1"
	};
	struct client c;

	connect_to(&c, &options);
	g_assert_true(c.connected);
	g_assert_cmpstr(stream_address(c.stream), ==, "127.0.0.1");
	g_assert_true(g_str_has_prefix(stream_authority(c.stream), "localhost:"));
	stream_close(c.stream);
	options.url = other;
	refuses(&options, STREAM_TLS, "host name");
	options.url = literal;
	refuses(&options, STREAM_TLS, "host name");
	options.url = good;
	options.address = "::1"; /* nobody listens there */
	refuses(&options, STREAM_UNREACHABLE, "");
}

/* With TLS 1.3 the server's refusal comes when we think that we are connected. */
static void client_certificate(void)
{
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *cert = in_directory("client.pem");
	g_autofree char *key = in_directory("client.key");
	g_autofree char *foreign = in_directory("wrong-ca.pem");
	g_autofree char *foreign_key = in_directory("wrong-ca.key");
	/* One says what it does not like, the other one just leaves. */
	const struct {
		const char *name, *path, *cert, *key, *words; /* NULL: it likes it */
	} table[] = {
		{ "fault-mutual", "/closed/fine", cert, key, NULL },
		{ "fault-mutual", "/closed/fine", NULL, NULL, "certificate required" },
		{ "fault-mutual", "/closed/fine", foreign, foreign_key, "unknown CA" },
		{ "echo-mutual", "/test.Echo/Unary", cert, key, NULL },
		{ "echo-mutual", "/test.Echo/Unary", NULL, NULL,
			"the server wants a certificate, and there is none to show" },
		{ "echo-mutual", "/test.Echo/Unary", foreign, foreign_key,
			"the server wants a certificate, and left when it had ours" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *url = url_of("https", "localhost", table[i].name);
		const struct grpc_channel_options options = {
			.stream = { .url = url,
				.ca_file = ca,
				.client_cert = table[i].cert,
				.client_key = table[i].key }
		};
		struct grpc_channel *channel = grpc_channel_new(&options);
		struct rpc_record r;

		rpc_call(channel, table[i].path, "", &r);
		g_test_message("%s: %s", table[i].name, r.result.text);
		g_assert_cmpint(r.result.status, ==, table[i].words ? GRPC_UNAVAILABLE : GRPC_OK);
		g_assert_cmpint(r.result.failure, ==, table[i].words ? STREAM_TLS : STREAM_OK);
		g_assert_nonnull(strstr(r.result.text, table[i].words ? table[i].words : ""));
		rpc_record_clear(&r);
		grpc_channel_free(channel);
	}
}

/* -- the socket ----------------------------------------------------------------------------- */

/* The descriptor of ours that is connected to this port. */
static int socket_to(int port)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		struct sockaddr_in to;
		socklen_t len = sizeof(to);
		int fd = atoi(name);

		if (getpeername(fd, (struct sockaddr *)&to, &len) == 0 &&
			to.sin_family == AF_INET && ntohs(to.sin_port) == port)
			return fd;
	}
	return -1;
}

static int option(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	g_assert_cmpint(getsockopt(fd, level, name, &value, &len), ==, 0);
	return value;
}

static void socket_options(void)
{
	g_autofree char *url = url_of("http", "127.0.0.1", "bytes");
	const struct stream_options options = {
		.url = url, .mark = 0xca6c, .user_timeout_ms = 1234, .keepalive_s = 7
	};
	struct client c;
	int fd;

	if (geteuid() != 0) {
		g_test_skip("a mark needs CAP_NET_ADMIN");
		return;
	}
	connect_to(&c, &options);
	g_assert_true(c.connected);
	fd = socket_to(rpc_server_port(&server, "bytes"));
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(option(fd, SOL_SOCKET, SO_MARK), ==, 0xca6c);
	g_assert_cmpint(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), ==, 1234);
	g_assert_cmpint(option(fd, SOL_SOCKET, SO_KEEPALIVE), ==, 1);
	g_assert_cmpint(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), ==, 7);
	g_assert_cmpint(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), ==, 7);
	g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	stream_close(c.stream);
	g_assert_cmpint(socket_to(rpc_server_port(&server, "bytes")), ==, -1);
}

/* Not allowed to set the mark: no connection, rather than one that goes astray. */
static void forbidden_mark(void)
{
	g_autofree char *url = url_of("http", "127.0.0.1", "bytes");
	const struct stream_options options = { .url = url, .mark = 1 };

	if (geteuid() != 0) {
		g_test_skip("already without CAP_NET_ADMIN");
		return;
	}
	g_assert_cmpint(seteuid(65534), ==, 0);
	refuses(&options, STREAM_USAGE, "mark");
	g_assert_cmpint(seteuid(0), ==, 0);
}

/* -- bytes ---------------------------------------------------------------------------------- */

enum { TOTAL = 20 * 1024 * 1024, PIECE = 100000 };

/* An echo server that reads on only when we read: writing gets stuck, and goes on. */
static void bytes(gconstpointer name)
{
	bool tls = g_str_has_suffix(name, "-tls");
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *url = url_of(tls ? "https" : "http", "localhost", name);
	g_autofree uint8_t *out = g_malloc(TOTAL), *in = g_malloc(TOTAL);
	const struct stream_options options = {
		.url = url, .alpn = tls ? "http/1.1" : NULL, .ca_file = ca
	};
	size_t written = 0, got = 0;
	unsigned stuck = 0;
	struct client c;

	for (size_t i = 0; i < TOTAL; i++)
		out[i] = (uint8_t)(i * 2654435761u >> 24);
	connect_to(&c, &options);
	g_assert_true(c.connected);
	c.writable = true;
	while (got < TOTAL) {
		ssize_t n = 1;

		while (c.writable && written < TOTAL && n > 0) {
			n = stream_write(c.stream, out + written, MIN(PIECE, TOTAL - written));
			g_assert_true(n > 0 || n == STREAM_AGAIN);
			written += n > 0 ? (size_t)n : 0;
		}
		if (n == STREAM_AGAIN) {
			c.writable = false;
			stuck++;
			stream_want_write(c.stream);
		}
		do {
			n = stream_read(c.stream, in + got, TOTAL - got);
			g_assert_true(n > 0 || n == STREAM_AGAIN);
			got += n > 0 ? (size_t)n : 0;
		} while (n > 0 && got < TOTAL);
		if (got < TOTAL)
			g_main_context_iteration(NULL, TRUE);
	}
	g_assert_cmpuint(stuck, >, 0);
	g_assert_cmpint(memcmp(in, out, TOTAL), ==, 0);
	stream_close(c.stream);
}

/* Asked for more, though nothing came. */
static void read_again(void)
{
	g_autofree char *url = url_of("http", "127.0.0.1", "bytes");
	struct client c;
	char byte;

	connect_to(&c, &(struct stream_options){ .url = url });
	rpc_await(&c.readable, 1000);
	g_assert_cmpint(stream_read(c.stream, &byte, 1), ==, STREAM_AGAIN);
	c.readable = false;
	rpc_run(50);
	g_assert_false(c.readable);
	stream_read_again(c.stream);
	rpc_await(&c.readable, 1000);
	stream_close(c.stream);
}

/* -- closing -------------------------------------------------------------------------------- */

static void close_it(struct client *c)
{
	stream_close(c->stream);
	c->stream = NULL;
}

/* In every state, also from the callback; nothing is called after it. */
static void closing(void)
{
	g_autofree char *ca = in_directory("ca.pem");
	g_autofree char *named = url_of("https", "localhost", "echo-tls");
	g_autofree char *mute = url_of("https", "127.0.0.1", "mute");
	const char *const urls[] = { named, mute, "http://no-such-name.invalid", "bad" };
	struct client c = { .on_connected = close_it };

	c.stream = stream_open(
		&(struct stream_options){ .url = named, .alpn = "h2", .ca_file = ca }, &callbacks,
		&c);
	rpc_await(&c.over, 5000);
	g_assert_null(c.stream);
	rpc_run(20);
	g_assert_false(c.readable);
	for (size_t i = 0; i < G_N_ELEMENTS(urls); i++)
		for (unsigned ms = 0; ms < 4; ms++) {
			const struct stream_options options = {
				.url = urls[i], .alpn = "h2", .ca_file = ca
			};
			int64_t begin_ms = rpc_now_ms();

			c = (struct client){ 0 };
			c.stream = stream_open(&options, &callbacks, &c);
			for (unsigned turn = 0; turn < ms * 2; turn++)
				g_main_context_iteration(NULL, FALSE);
			begin_ms = rpc_now_ms();
			stream_close(c.stream);
			g_assert_cmpint(rpc_now_ms() - begin_ms, <, 500);
			c.over = true;
			c.connected = false;
		}
	rpc_run(50);
	stream_close(NULL);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	g_assert_nonnull(g_mkdtemp(directory));
	g_assert_cmpint(chmod(directory, 0755), ==, 0);
	rpc_server_start(&server, directory, NULL);
	g_test_add_func("/stream/usage", usage);
	g_test_add_func("/stream/unreachable", unreachable);
	g_test_add_func("/stream/certificates", certificates);
	g_test_add_func("/stream/instead_of_name", instead_of_name);
	g_test_add_func("/stream/wrong_files", wrong_files);
	g_test_add_func("/stream/client_certificate", client_certificate);
	g_test_add_func("/stream/socket_options", socket_options);
	g_test_add_func("/stream/forbidden_mark", forbidden_mark);
	g_test_add_data_func("/stream/bytes", "bytes", bytes);
	g_test_add_data_func("/stream/bytes_tls", "bytes-tls", bytes);
	g_test_add_func("/stream/read_again", read_again);
	g_test_add_func("/stream/closing", closing);
	r = g_test_run();
	rpc_server_stop(&server);
	rpc_remove(directory);
	return r;
}
