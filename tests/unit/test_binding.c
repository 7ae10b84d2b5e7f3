/* tests/unit/test_binding.c - asking STUN servers, and answering the checks of connected peers, over the loopback. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ice/binding.h"
#include "ice/stun.h"
#include "tests/unit/hex.h"
#include "tests/unit/live.h"

enum { PORT = 45000, SERVER = 3478 };

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"
/* RFC 5769: of user evtj:h6vY */
#define REQUEST \
	"000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74" \
	"002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020" \
	"000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"

static struct binding *binding;
static guint n_mapped, n_checked;
static char text[2 * ENDPOINT_STRLEN];
static bool closes;

static void on_mapped(const struct endpoint *server, const struct endpoint *mapped, void *user)
{
	char a[ENDPOINT_STRLEN], b[ENDPOINT_STRLEN];

	g_snprintf(text, sizeof(text), "%s %s", endpoint_format(server, a),
		endpoint_format(mapped, b));
	n_mapped++;
	if (closes)
		g_clear_pointer(&binding, binding_close);
}

static void on_checked(const char *ufrag, const struct endpoint *from, void *user)
{
	char a[ENDPOINT_STRLEN];

	g_snprintf(text, sizeof(text), "%s %s", ufrag, endpoint_format(from, a));
	n_checked++;
}

static const struct binding_ops ops = { on_mapped, on_checked };

static bool begin(void)
{
	const struct link_change up = { .up = 1 };
	struct nl *nl;

	if (!live_namespace())
		return false;
	g_assert_cmpint(nl_open(NETLINK_ROUTE, &nl), ==, 0);
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0);
	nl_close(nl);
	g_assert_cmpint(binding_open(PORT, &ops, NULL, &binding), ==, 0);
	n_mapped = n_checked = 0;
	closes = false;
	return true;
}

static struct endpoint endpoint(const char *s)
{
	struct endpoint e;

	g_assert_cmpint(endpoint_parse(s, strlen(s), &e), ==, 0);
	return e;
}

static const struct integrity_key *key_of(const char *password)
{
	static struct integrity_key key;

	integrity_key_make(password, &key);
	return &key;
}

static int bound(const char *address)
{
	struct endpoint e = endpoint(address);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&e, &sa);
	int fd = socket(e.family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_assert_cmpint(bind(fd, (const struct sockaddr *)&sa, len), ==, 0);
	return fd;
}

static void send_to(int fd, const struct endpoint *to, const void *data, size_t len)
{
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, &sa);

	g_assert_cmpint(
		sendto(fd, data, len, 0, (const struct sockaddr *)&sa, sa_len), ==, (gssize)len);
}

static size_t receive(int fd, uint8_t *data, size_t size, struct endpoint *ret_from)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	ssize_t n = recvfrom(fd, data, size, 0, (struct sockaddr *)&sa, &len);

	if (n < 0)
		return 0;
	g_assert_cmpint(endpoint_from_sockaddr((const struct sockaddr *)&sa, len, ret_from), ==, 0);
	return (size_t)n;
}

static gboolean wake(gpointer user)
{
	return G_SOURCE_CONTINUE;
}

static size_t wait_for(int fd, uint8_t *data, size_t size, struct endpoint *ret_from)
{
	guint ticks = g_timeout_add(10, wake, NULL);
	size_t n = 0;

	for (int i = 0; i < 300 && !n; i++) {
		g_main_context_iteration(NULL, TRUE);
		n = receive(fd, data, size, ret_from);
	}
	g_source_remove(ticks);
	return n;
}

/* A busy kernel takes a moment even here. */
static void turn(void)
{
	for (int i = 0; i < 10; i++) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(5000);
	}
}

/* The first request is lost; foreign and repeated answers are nothing. */
static void check_ask(const char *address, const char *seen, const char *wanted)
{
	const struct endpoint server = endpoint(address), mapped = endpoint(seen);
	uint8_t data[1500], answer[STUN_ANSWER_MAX];
	struct stun_message m;
	struct endpoint from;
	int fd = bound(address), other;
	size_t len;

	n_mapped = 0;
	binding_ask(binding, &server, 1);
	g_assert_cmpuint(wait_for(fd, data, sizeof(data), &from), ==, STUN_HEADER_LEN);
	g_assert_cmpuint(wait_for(fd, data, sizeof(data), &from), ==, STUN_HEADER_LEN);
	g_assert_cmpuint(from.port, ==, PORT);
	g_assert_cmpint(stun_parse(data, STUN_HEADER_LEN, &m), ==, 0);
	len = stun_write_success(&m, &mapped, key_of(""), answer);
	other = bound(server.family == AF_INET ? "127.0.0.1:9" : "[::1]:9");
	send_to(other, &from, answer, len);
	turn();
	g_assert_cmpuint(n_mapped, ==, 0);
	send_to(fd, &from, answer, len);
	send_to(fd, &from, answer, len);
	turn();
	g_assert_cmpuint(n_mapped, ==, 1);
	g_assert_cmpstr(text, ==, wanted);
	close(other);
	close(fd);
}

static void test_ask(void)
{
	if (!begin())
		return;
	check_ask("127.0.0.1:3478", "203.0.113.7:43210", "127.0.0.1:3478 203.0.113.7:43210");
	check_ask("[::1]:3478", "[2001:db8::9]:51820", "[::1]:3478 [2001:db8::9]:51820");
	closes = true;
	check_ask("127.0.0.1:3478", "203.0.113.7:43210", "127.0.0.1:3478 203.0.113.7:43210");
	g_assert_null(binding);
}

static size_t check(int fd, const char *to, const uint8_t *request, size_t len)
{
	const struct endpoint at = endpoint(to);
	uint8_t data[1500];
	struct stun_message m;
	struct endpoint from;
	char buf[ENDPOINT_STRLEN];
	size_t n;

	send_to(fd, &at, request, len);
	turn();
	n = receive(fd, data, sizeof(data), &from);
	if (!n)
		return 0;
	g_assert_cmpstr(endpoint_format(&from, buf), ==, to);
	g_assert_cmpint(stun_parse(data, n, &m), ==, 0);
	g_assert_true(stun_is_authentic(&m, key_of(PASSWORD)) && stun_has_good_fingerprint(&m));
	g_assert_cmpint(m.class, ==, STUN_SUCCESS);
	g_assert_cmpuint(m.mapped.port, ==, 9);
	return n;
}

static void test_answer(void)
{
	size_t len;
	g_autofree uint8_t *request = hex_to_bytes(REQUEST, &len);
	int fd, fd6;

	if (!begin())
		return;
	fd = bound("127.0.0.1:9");
	fd6 = bound("[::1]:9");
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), ==, 0);
	binding_answer(binding, "evtj", "another");
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), ==, 0);
	g_assert_cmpuint(n_checked, ==, 0);
	binding_answer(binding, "evtj", PASSWORD);
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), >, 0);
	g_assert_cmpstr(text, ==, "evtj 127.0.0.1:9");
	/* From the address that was asked. */
	g_assert_cmpuint(check(fd, "127.0.0.2:45000", request, len), >, 0);
	g_assert_cmpuint(check(fd6, "[::1]:45000", request, len), >, 0);
	g_assert_cmpuint(n_checked, ==, 3);
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len - 4), ==, 0);
	request[1] = 0x11; /* an indication */
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), ==, 0);
	request[1] = 3; /* another method */
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), ==, 0);
	request[1] = 1;
	binding_forget(binding, "evtj");
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), ==, 0);
	g_assert_cmpuint(n_checked, ==, 3);
	close(fd);
	close(fd6);
	binding_close(binding);
}

/* What comes in bunches, or faster than the port is looked at, is answered as well, and what comes alone behind that. */
static void test_bunches(void)
{
	enum { BUNCH = 150, STREAM = 30 };
	const struct endpoint at = endpoint("127.0.0.1:45000");
	struct endpoint from;
	uint8_t data[1500];
	guint answered = 0;
	size_t len;
	g_autofree uint8_t *request = hex_to_bytes(REQUEST, &len);
	int fd;

	if (!begin())
		return;
	fd = bound("127.0.0.1:9");
	binding_answer(binding, "evtj", PASSWORD);
	for (int i = 0; i < BUNCH; i++)
		send_to(fd, &at, request, len);
	turn();
	for (int i = 0; i < STREAM; i++) {
		send_to(fd, &at, request, len);
		g_usleep(2000);
		g_main_context_iteration(NULL, FALSE);
	}
	turn();
	while (receive(fd, data, sizeof(data), &from))
		answered++;
	g_assert_cmpuint(answered, ==, BUNCH + STREAM);
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), >, 0);
	close(fd);
	binding_close(binding);
}

/* Who does not want to know of checks need not: they are answered all the same. */
static void test_answer_untold(void)
{
	static const struct binding_ops silent = { .mapped = on_mapped };
	size_t len;
	g_autofree uint8_t *request = hex_to_bytes(REQUEST, &len);
	int fd;

	if (!begin())
		return;
	binding_close(binding);
	g_assert_cmpint(binding_open(PORT, &silent, NULL, &binding), ==, 0);
	fd = bound("127.0.0.1:9");
	binding_answer(binding, "evtj", PASSWORD);
	g_assert_cmpuint(check(fd, "127.0.0.1:45000", request, len), >, 0);
	close(fd);
	binding_close(binding);
}

static void test_taken(void)
{
	struct binding *second;

	if (!begin())
		return;
	g_assert_cmpint(binding_open(PORT, &ops, NULL, &second), ==, -EADDRINUSE);
	binding_close(binding);
	binding_close(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/binding/ask", test_ask);
	g_test_add_func("/binding/answer", test_answer);
	g_test_add_func("/binding/bunches", test_bunches);
	g_test_add_func("/binding/answer untold", test_answer_untold);
	g_test_add_func("/binding/taken", test_taken);
	return g_test_run();
}
