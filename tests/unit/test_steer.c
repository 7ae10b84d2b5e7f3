/* tests/unit/test_steer.c - the table that leads ICE's checks over WireGuard's port, in the kernel at hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/nft.h"
#include "netlink/steer.h"
#include "tests/unit/live.h"

enum { WG_PORT = 51820, OURS = 45000, OTHER = 45001, OUTSIDE = 44999, FAR = 50000, LEN = 76 };

#define TABLE "lapwing-wt0-ice"

static struct nft *nft;
static struct nl *nl;

static struct steer_config config(void)
{
	return (struct steer_config){
		.table = TABLE,
		.ifname = "wt0",
		.listen_port = WG_PORT,
		.first_port = OURS,
		.last_port = 45999,
		.uid = getuid(),
	};
}

/* Around the loopback device both sides are this host. False: skipped. */
static bool begin(const struct steer_config *c)
{
	const struct link_change up = { .up = 1 };
	int r;

	if (!live_namespace())
		return false;
	if (nft_open(&nft) < 0) {
		g_test_skip("no nftables in this kernel");
		return false;
	}
	r = steer_apply(nft, c);
	if (r < 0) {
		g_test_message("%s", nft_error_text(nft));
		g_assert_true(r == -ENOENT || r == -EOPNOTSUPP);
		g_test_skip("this kernel's nftables lack what steering needs");
		nft_close(nft);
		return false;
	}
	g_assert_cmpint(nl_open(NETLINK_ROUTE, &nl), ==, 0);
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0);
	return true;
}

static void end(void)
{
	g_assert_cmpint(nft_remove(nft, TABLE), ==, 0);
	nl_close(nl);
	nft_close(nft);
}

/* -- packets -------------------------------------------------------------------------------- */

static struct sockaddr_storage local(int family, uint16_t port, socklen_t *len)
{
	struct endpoint e = { .family = (uint8_t)family, .port = port, .addr = { 127, 0, 0, 1 } };
	struct sockaddr_storage ret;

	if (family == AF_INET6)
		memcpy(e.addr, &in6addr_loopback, 16);
	*len = endpoint_to_sockaddr(&e, &ret);
	return ret;
}

static int bound(int family, uint16_t port)
{
	socklen_t len;
	struct sockaddr_storage at = local(family, port, &len);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, len), ==, 0);
	return fd;
}

static void send_to(int fd, int family, uint16_t port, const void *data, size_t n)
{
	socklen_t len;
	struct sockaddr_storage to = local(family, port, &len);

	g_assert_cmpint(sendto(fd, data, n, 0, (const struct sockaddr *)&to, len), ==, (gssize)n);
}

/* A busy kernel takes a moment even here. */
static bool comes(int fd, int wait_ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, wait_ms) == 1;
}

static void assert_nothing(int fd)
{
	g_assert_false(comes(fd, 50));
}

/* Returns the port it came from; 0: nothing came. */
static uint16_t received(int fd, const void *data, size_t n)
{
	uint8_t buf[LEN + 1];
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	struct endpoint e;
	ssize_t got;

	if (!comes(fd, 2000))
		return 0;
	got = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
	g_assert_cmpmem(buf, (size_t)got, data, n);
	g_assert_cmpint(endpoint_from_sockaddr((const struct sockaddr *)&from, len, &e), ==, 0);
	return e.port;
}

/* A STUN message; the ufrag is in USERNAME at that offset (0: there is none). */
static void make(
	uint8_t data[static LEN], uint16_t type, uint8_t id, size_t offset, const char *ufrag)
{
	static const uint8_t cookie[] = { 0x21, 0x12, 0xa4, 0x42 };

	memset(data, 0, LEN);
	data[0] = (uint8_t)(type >> 8);
	data[1] = (uint8_t)type;
	data[3] = LEN - 20;
	memcpy(data + 4, cookie, sizeof(cookie));
	memset(data + 8, id, 12);
	if (!offset)
		return;
	data[offset + 1] = 6;
	data[offset + 3] = 9;
	memcpy(data + offset + 4, ufrag, 8);
}

/* -- tests ---------------------------------------------------------------------------------- */

/* A request to a server and its answer; WireGuard's port is nobody's, so nothing but the rules can do it. */
static void check_answers(int family)
{
	int ours = bound(family, OURS), other = bound(family, OTHER), far = bound(family, FAR);
	uint8_t request[LEN], answer[LEN], again[LEN];

	make(request, 0x0001, 1, 0, NULL);
	send_to(ours, family, FAR, request, 20);
	g_assert_cmpuint(received(far, request, 20), ==, WG_PORT);
	make(again, 0x0001, 2, 0, NULL);
	memset(again + 4, 9, 4); /* without a cookie, by the older RFC */
	send_to(other, family, FAR, again, LEN);
	g_assert_cmpuint(received(far, again, LEN), ==, WG_PORT);
	make(answer, 0x0101, 2, 0, NULL);
	send_to(far, family, WG_PORT, answer, LEN);
	assert_nothing(ours);
	g_assert_cmpuint(received(other, answer, LEN), ==, FAR);
	make(answer, 0x0111, 1, 0, NULL); /* an error */
	send_to(far, family, WG_PORT, answer, LEN);
	g_assert_cmpuint(received(ours, answer, LEN), ==, FAR);
	make(answer, 0x0101, 3, 0, NULL);
	send_to(far, family, WG_PORT, answer, LEN);
	assert_nothing(ours);
	close(ours);
	close(other);
	close(far);
}

static void test_answers(void)
{
	struct steer_config c = config();

	if (!begin(&c))
		return;
	check_answers(AF_INET);
	check_answers(AF_INET6);
	end();
}

/* A socket on WireGuard's port sees what is not for us. */
static void check_requests(int family)
{
	static const size_t offsets[] = { 20, 40, 44 };
	int ours = bound(family, OURS), far = bound(family, FAR), wg = bound(family, WG_PORT);
	const uint8_t initiation[LEN] = { 1 };
	uint8_t data[LEN];

	for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
		make(data, 0x0001, 7, offsets[i], "abcdEFGH");
		send_to(far, family, WG_PORT, data, LEN);
		g_assert_cmpuint(received(ours, data, LEN), ==, FAR);
		make(data, 0x0001, 7, offsets[i], "abcdEFGX");
		send_to(far, family, WG_PORT, data, LEN);
		assert_nothing(ours);
	}
	make(data, 0x0011, 7, 20, "abcdEFGH"); /* an indication */
	send_to(far, family, WG_PORT, data, LEN);
	send_to(far, family, WG_PORT, data, 21);
	send_to(far, family, WG_PORT, data, 2);
	assert_nothing(ours);
	assert_nothing(wg);
	send_to(far, family, WG_PORT, data, 1);
	g_assert_cmpuint(received(wg, data, 1), ==, FAR);
	send_to(far, family, WG_PORT, initiation, LEN);
	g_assert_cmpuint(received(wg, initiation, LEN), ==, FAR);
	close(ours);
	close(far);
	close(wg);
}

static void test_requests(void)
{
	const struct steer_ufrag ufrags[] = { { "abcdEFGH", OURS }, { "abcdEFGI", OTHER } };
	struct steer_config c = config();

	c.ufrags = ufrags;
	c.n_ufrags = G_N_ELEMENTS(ufrags);
	if (!begin(&c))
		return;
	check_requests(AF_INET);
	check_requests(AF_INET6);
	end();
}

static bool leads(const char *ufrag, uint16_t port)
{
	int ours = bound(AF_INET, port), far = bound(AF_INET, FAR);
	uint8_t data[LEN];
	bool ret;

	make(data, 0x0001, 7, 20, ufrag);
	send_to(far, AF_INET, WG_PORT, data, LEN);
	ret = received(ours, data, LEN) == FAR;
	close(ours);
	close(far);
	return ret;
}

static void test_elements(void)
{
	const struct steer_ufrag here = { "abcdEFGH", OURS }, there = { "abcdEFGH", OTHER };
	struct steer_config c = config();
	uint64_t before, after;

	if (!begin(&c))
		return;
	g_assert_cmpint(nft_fingerprint(nft, TABLE, &before), ==, 0);
	g_assert_cmpint(steer_set(nft, TABLE, &here), ==, 0);
	g_assert_cmpint(steer_set(nft, TABLE, &here), ==, 0);
	g_assert_true(leads("abcdEFGH", OURS));
	g_assert_cmpint(steer_set(nft, TABLE, &there), ==, 0);
	g_assert_true(leads("abcdEFGH", OTHER));
	g_assert_cmpint(steer_unset(nft, TABLE, "abcdEFGH"), ==, 0);
	g_assert_false(leads("abcdEFGH", OTHER));
	g_assert_cmpint(steer_unset(nft, TABLE, "abcdEFGH"), ==, 0);
	g_assert_cmpint(nft_fingerprint(nft, TABLE, &after), ==, 0);
	g_assert_cmpuint(before, ==, after);
	g_assert_cmpint(steer_apply(nft, &c), ==, 0);
	g_assert_cmpint(nft_fingerprint(nft, TABLE, &after), ==, 0);
	g_assert_cmpuint(before, !=, after);
	g_assert_cmpint(steer_set(nft, "lapwing-none-ice", &here), ==, -ENOENT);
	end();
}

/* Other ports, other users, and what is no Binding message. */
static void test_others(void)
{
	struct steer_config c = config();
	uint8_t data[LEN];
	int ours, outside, far;

	if (!begin(&c))
		return;
	ours = bound(AF_INET, OURS);
	outside = bound(AF_INET, OUTSIDE);
	far = bound(AF_INET, FAR);
	make(data, 0x0001, 1, 0, NULL);
	send_to(outside, AF_INET, FAR, data, LEN);
	g_assert_cmpuint(received(far, data, LEN), ==, OUTSIDE);
	make(data, 0x0003, 1, 0, NULL); /* of a relay */
	send_to(ours, AF_INET, FAR, data, LEN);
	g_assert_cmpuint(received(far, data, LEN), ==, OURS);
	c.uid = getuid() + 1;
	g_assert_cmpint(steer_apply(nft, &c), ==, 0);
	make(data, 0x0001, 1, 0, NULL);
	send_to(ours, AF_INET, FAR, data, LEN);
	g_assert_cmpuint(received(far, data, LEN), ==, OURS);
	close(ours);
	close(outside);
	close(far);
	end();
}

static void test_tunnel(void)
{
	struct steer_config c = config();
	struct sockaddr_storage to;
	uint8_t data[LEN];
	socklen_t len;
	int ours;

	g_strlcpy(c.ifname, "lo", sizeof(c.ifname));
	if (!begin(&c))
		return;
	ours = bound(AF_INET, OURS);
	to = local(AF_INET, FAR, &len);
	make(data, 0x0001, 1, 0, NULL);
	g_assert_cmpint(sendto(ours, data, LEN, 0, (const struct sockaddr *)&to, len), ==, -1);
	g_assert_cmpint(errno, ==, EPERM);
	close(ours);
	end();
}

/* With a mark and with a queue that nobody listens at. */
static void test_parts(void)
{
	const struct steer_ufrag ufrag = { "abcdEFGH", OURS };
	struct steer_config c = config();

	c.fwmark = 0x51;
	c.queue_from_port = OURS;
	c.queue = 77;
	if (!begin(&c))
		return;
	check_answers(AF_INET);
	g_assert_cmpint(steer_set(nft, TABLE, &ufrag), ==, 0);
	g_assert_true(leads("abcdEFGH", OURS));
	end();
}

static void test_bad_ports(void)
{
	static const uint16_t ports[][4] = { { 0, 1, 2, 0 }, { 9, 0, 2, 0 }, { 9, 3, 2, 0 },
		{ 2, 1, 3, 0 }, { 9, 1, 3, 4 }, { 9, 2, 3, 1 } };

	if (!live_namespace() || nft_open(&nft) < 0)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(ports); i++) {
		struct steer_config c = config();

		c.listen_port = ports[i][0];
		c.first_port = ports[i][1];
		c.last_port = ports[i][2];
		c.queue_from_port = ports[i][3];
		g_assert_cmpint(steer_apply(nft, &c), ==, -EINVAL);
	}
	nft_close(nft);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/steer/answers", test_answers);
	g_test_add_func("/steer/requests", test_requests);
	g_test_add_func("/steer/elements", test_elements);
	g_test_add_func("/steer/others", test_others);
	g_test_add_func("/steer/tunnel", test_tunnel);
	g_test_add_func("/steer/parts", test_parts);
	g_test_add_func("/steer/bad ports", test_bad_ports);
	return g_test_run();
}
