/* tests/unit/test_resend.c - resent packets: as they are on the wire, and as a socket gets them. */
#include "agent/lazy/resend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/ifaddr.h"
#include "netlink/route.h"
#include "tests/unit/live.h"

enum { WIREGUARD = 51820, LO = 1, MTU = 1380, MARK = 0xca6c };

/* In a network namespace of its own: wt0 and wt1 with a network each; what goes to our own addresses
 * is seen on lo. */
struct fixture {
	struct resend *r; /* NULL: skipped */
	struct nl *nl;
	unsigned wt0;
	int lo, receiver;
	uint8_t wire[UINT16_MAX];
	size_t wire_len;
};

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
	return e;
}

static void add_address(struct fixture *f, unsigned index, const char *text, uint8_t bits)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	p.bits = bits;
	g_assert_cmpint(ifaddr_add(f->nl, index, &p), ==, 0);
}

static void open_sockets(struct fixture *f)
{
	const struct sockaddr_ll on_lo = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = LO
	};
	const struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(7) };

	f->lo = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL));
	g_assert_cmpint(bind(f->lo, (const struct sockaddr *)&on_lo, sizeof(on_lo)), ==, 0);
	f->receiver = socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(f->receiver, (const struct sockaddr *)&any, sizeof(any)), ==, 0);
	g_assert_cmpint(resend_open(&f->r), ==, 0);
}

/* The kernel puts an IPv6 address of ours in force behind our back, a moment after it took it. */
static void wait_until_local(struct fixture *f, const char *text)
{
	struct endpoint to = endpoint(text);
	unsigned device = 0;
	uint32_t mtu;

	for (int i = 0; i < 10000 && device != LO; i++) {
		g_assert_cmpint(route_path(f->nl, &to, 0, &mtu, &device), ==, 0);
		if (device != LO)
			g_usleep(1000);
	}
	g_assert_cmpuint(device, ==, LO);
}

static void set_up(struct fixture *f, gconstpointer user)
{
	const struct link_change lo_up = { .up = 1 }, wt1_up = { .mtu = MTU, .up = 1 };
	unsigned wt1;

	f->wt0 = live_link(&f->nl);
	if (!f->wt0)
		return;
	g_assert_cmpint(link_set(f->nl, LO, &lo_up), ==, 0);
	g_assert_cmpint(link_create(f->nl, "wt1", "veth", &wt1), ==, 0);
	g_assert_cmpint(link_set(f->nl, wt1, &wt1_up), ==, 0);
	add_address(f, f->wt0, "10.1.0.1", 24);
	add_address(f, f->wt0, "fd00:1::1", 64);
	add_address(f, f->wt0, "fe80::1", 64);
	add_address(f, wt1, "10.2.0.1", 24);
	add_address(f, wt1, "fd00:2::1", 64);
	wait_until_local(f, "[fd00:1::1]:9");
	wait_until_local(f, "[fe80::1%wt0]:9");
	wait_until_local(f, "[fd00:2::1]:9");
	open_sockets(f);
}

static void tear_down(struct fixture *f, gconstpointer user)
{
	if (!f->r)
		return;
	resend_close(f->r);
	close(f->lo);
	close(f->receiver);
	nl_close(f->nl);
}

/* The next UDP packet that left, if there is one. */
static bool look(struct fixture *f)
{
	struct sockaddr_ll from;
	bool udp;
	ssize_t n;

	do {
		socklen_t len = sizeof(from);

		n = recvfrom(f->lo, f->wire, sizeof(f->wire), 0, (struct sockaddr *)&from, &len);
		udp = n >= 28 &&
			f->wire[from.sll_protocol == htons(ETH_P_IP) ? 9 : 6] == IPPROTO_UDP;
	} while (n >= 0 && (from.sll_pkttype != PACKET_OUTGOING || !udp));
	f->wire_len = n < 0 ? 0 : (size_t)n;
	return n >= 0;
}

/* The plain way, word by word of the wire. */
static uint16_t checksum(const uint8_t *data, size_t len, uint64_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? data[i] : (uint64_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sends it, and looks at everything but the source address, which is returned as text. */
static const char *check(struct fixture *f, const char *to_text, const uint8_t *data, size_t len)
{
	static char source[INET6_ADDRSTRLEN];
	const struct endpoint to = endpoint(to_text);
	const uint8_t tos = len && data[0] == 1 ? 0x88 : 0;
	bool v4 = to.family == AF_INET;
	size_t addr = v4 ? 4 : 16, head = v4 ? 20 : 40;
	struct iphdr ip;
	struct ip6_hdr ip6;
	struct udphdr udp;

	g_assert_cmpint(resend_packet(f->r, WIREGUARD, 0, &to, data, len), ==, 0);
	g_assert_true(look(f));
	g_assert_cmpuint(f->wire_len, ==, head + 8 + len);
	memcpy(&ip, f->wire, sizeof(ip));
	memcpy(&ip6, f->wire, sizeof(ip6));
	memcpy(&udp, f->wire + head, sizeof(udp));
	if (v4) {
		g_assert_cmpuint(ip.version, ==, 4);
		g_assert_cmpuint(ip.ihl, ==, 5);
		g_assert_cmpuint(ip.tos, ==, tos);
		g_assert_cmpuint(ntohs(ip.tot_len), ==, f->wire_len);
		g_assert_cmpuint(ip.frag_off, ==, 0);
		g_assert_cmpuint(ip.ttl, ==, 64);
		g_assert_cmpuint(checksum(f->wire, head, 0), ==, 0);
	} else {
		g_assert_cmphex(ntohl(ip6.ip6_flow), ==, 6U << 28 | (uint32_t)tos << 20);
		g_assert_cmpuint(ntohs(ip6.ip6_plen), ==, 8 + len);
		g_assert_cmpuint(ip6.ip6_hlim, ==, 64);
	}
	g_assert_cmpmem(f->wire + head - addr, addr, to.addr, addr);
	g_assert_cmpuint(ntohs(udp.source), ==, WIREGUARD);
	g_assert_cmpuint(ntohs(udp.dest), ==, to.port);
	g_assert_cmpuint(ntohs(udp.len), ==, 8 + len);
	g_assert_cmpuint(udp.check, !=, 0);
	g_assert_cmpuint(
		checksum(f->wire + head - 2 * addr, 2 * addr + 8 + len, IPPROTO_UDP + 8 + len), ==,
		0);
	g_assert_cmpmem(f->wire + head + 8, len, data, len);
	return inet_ntop(to.family, f->wire + head - 2 * addr, source, sizeof(source));
}

/* The kernel has checked the sum, too. */
static void check_received(struct fixture *f, size_t len)
{
	static uint8_t data[UINT16_MAX];
	struct sockaddr_in6 from;
	socklen_t from_len = sizeof(from);

	g_assert_cmpint(
		recvfrom(f->receiver, data, sizeof(data), 0, (struct sockaddr *)&from, &from_len),
		==, len);
	g_assert_cmpuint(ntohs(from.sin6_port), ==, WIREGUARD);
}

/* -- the tests ------------------------------------------------------------------------------ */

static void test_packets(struct fixture *f, gconstpointer user)
{
	static const size_t sizes[] = { 148, 32, 33, 1, 0, 1421, 9216 };
	uint8_t data[9216];

	if (!f->r)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		for (uint8_t type = 1; type <= 4; type += 3) {
			for (size_t k = 0; k < sizes[i]; k++)
				data[k] = k ? (uint8_t)g_random_int() : type;
			check(f, "127.0.0.1:7", data, sizes[i]);
			check_received(f, sizes[i]);
			check(f, "[::1]:7", data, sizes[i]);
			check_received(f, sizes[i]);
		}
}

/* A sum of zero is sent as all ones: zero would mean that there is none. */
static void test_zero_sum(struct fixture *f, gconstpointer user)
{
	static const char *const targets[] = { "127.0.0.1:7", "[::1]:7" };
	uint8_t data[148] = { 1 };

	if (!f->r)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
		size_t at = i ? 46 : 26;

		memset(data + 146, 0, 2);
		check(f, targets[i], data, sizeof(data));
		check_received(f, sizeof(data));
		memcpy(data + 146, f->wire + at, 2);
		check(f, targets[i], data, sizeof(data));
		g_assert_cmphex(f->wire[at] << 8 | f->wire[at + 1], ==, 0xffff);
		check_received(f, sizeof(data));
	}
}

/* Chosen anew for each, also when addresses have changed. */
static void test_sources(struct fixture *f, gconstpointer user)
{
	static const char *const cases[][2] = {
		{ "127.0.0.1:9", "127.0.0.1" },
		{ "10.1.0.1:9", "10.1.0.1" },
		{ "10.2.0.1:9", "10.2.0.1" },
		{ "[fd00:1::1]:9", "fd00:1::1" },
		{ "127.3.0.9:9", "127.0.0.1" },
		{ "[fe80::1%wt0]:9", "fe80::1" },
		{ "[::1]:9", "::1" },
		{ "[fd00:2::1]:9", "fd00:2::1" },
		{ "10.1.0.1:9", "10.1.0.1" },
	};
	const uint8_t data[148] = { 1 };

	if (!f->r)
		return;
	for (int turn = 0; turn < 2; turn++)
		for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
			g_assert_cmpstr(check(f, cases[i][0], data, sizeof(data)), ==, cases[i][1]);
}

/* With the mark another rule applies. */
static void test_mark(struct fixture *f, gconstpointer user)
{
	static const char *const targets[] = { "10.9.0.1:9", "[fd00:9::1]:9" };
	const struct rule rules[] = {
		{ AF_INET, 100, 1000, true, MARK, -1 },
		{ AF_INET6, 100, 1000, true, MARK, -1 },
	};
	const uint8_t data[148] = { 1 };

	if (!f->r)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
		struct endpoint to = endpoint(targets[i]);
		struct route route = { .table = 1000, .ifindex = f->wt0 };

		route.dst.family = to.family;
		g_assert_cmpint(rule_add(f->nl, &rules[i]), ==, 0);
		g_assert_cmpint(route_add(f->nl, &route), ==, 0);
		for (int turn = 0; turn < 2; turn++) {
			g_assert_cmpint(
				resend_packet(f->r, WIREGUARD, MARK, &to, data, sizeof(data)), ==,
				-ENETUNREACH);
			g_assert_cmpint(
				resend_packet(f->r, WIREGUARD, 0, &to, data, sizeof(data)), ==, 0);
		}
	}
}

static void test_errors(struct fixture *f, gconstpointer user)
{
	static const uint8_t data[UINT16_MAX] = { 4 };
	const struct endpoint far[] = { endpoint("192.0.2.1:9"), endpoint("[2001:db8::1]:9") };
	const struct endpoint near[] = { endpoint("10.1.0.2:9"), endpoint("[fd00:1::2]:9") };

	if (!f->r)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(far); i++) {
		size_t fits = MTU - (i ? 48 : 28);

		g_assert_cmpint(
			resend_packet(f->r, WIREGUARD, 0, &far[i], data, 148), ==, -ENETUNREACH);
		g_assert_cmpint(
			resend_packet(f->r, WIREGUARD, 0, &near[i], data, fits + 1), ==, -EMSGSIZE);
		g_assert_cmpint(resend_packet(f->r, WIREGUARD, 0, &near[i], data, sizeof(data)), ==,
			-EMSGSIZE);
		g_assert_cmpint(resend_packet(f->r, WIREGUARD, 0, &near[i], data, fits), ==, 0);
	}
	check(f, "10.1.0.1:7", data, 148);
	resend_close(NULL);
}

/* The kernel's socket has the port; what comes back goes there. */
static void test_answer(struct fixture *f, gconstpointer user)
{
	struct sockaddr_in wireguard = { .sin_family = AF_INET, .sin_port = htons(WIREGUARD) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t data[148] = { 1 };

	if (f->r) {
		g_assert_cmpint(
			bind(fd, (const struct sockaddr *)&wireguard, sizeof(wireguard)), ==, 0);
		check(f, "10.2.0.1:7", data, sizeof(data));
		g_assert_cmpint(recvfrom(f->receiver, data, sizeof(data), 0,
					(struct sockaddr *)&from, &len),
			==, 148);
		g_assert_cmpint(
			sendto(f->receiver, data, 92, 0, (struct sockaddr *)&from, len), ==, 92);
		g_assert_cmpint(recv(fd, data, sizeof(data), 0), ==, 92);
	}
	close(fd);
}

#define ADD(path, fn) g_test_add("/resend/" path, struct fixture, NULL, set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("packets", test_packets);
	ADD("zero-sum", test_zero_sum);
	ADD("sources", test_sources);
	ADD("mark", test_mark);
	ADD("errors", test_errors);
	ADD("answer", test_answer);
	return g_test_run();
}
