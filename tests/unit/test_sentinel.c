/* tests/unit/test_sentinel.c - sentinels on real sockets, with a socket that plays WireGuard. */
#include "agent/lazy/sentinel.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "netlink/ifaddr.h"
#include "netlink/route.h"
#include "tests/unit/live.h"

enum { DATA_MAX = SENTINEL_PACKET_MAX + 1, LO = 1, MARK = 0xca6c };

struct got {
	uint32_t slot;
	size_t len;
	uint8_t type, last;
	uint16_t from_port;
	int64_t received_ns;
};

struct fixture {
	struct sentinel *s;
	int wireguard;
	uint16_t port;
	GArray *got;
};

static struct sockaddr_in loopback(const char *address, uint16_t port)
{
	char text[ENDPOINT_STRLEN];
	struct endpoint e;
	struct sockaddr_storage sa;
	struct sockaddr_in ret;

	g_snprintf(text, sizeof(text), "%s:%u", address, port ? port : 1u);
	g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
	endpoint_to_sockaddr(&e, &sa);
	memcpy(&ret, &sa, sizeof(ret));
	ret.sin_port = htons(port);
	return ret;
}

/* Port 0: any; a negative descriptor: taken. */
static int udp(const char *address, uint16_t port, uint16_t *ret_port)
{
	struct sockaddr_in sa = loopback(address, port);
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(fd, >=, 0);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&sa, &len);
	if (ret_port)
		*ret_port = ntohs(sa.sin_port);
	return fd;
}

static void set_up(struct fixture *f, gconstpointer user)
{
	f->wireguard = udp("0.0.0.0", 0, &f->port);
	f->got = g_array_new(FALSE, FALSE, sizeof(struct got));
	g_assert_cmpint(sentinel_open(&f->s), ==, 0);
	g_assert_cmpint(sentinel_set_sender(f->s, f->port, MARK), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer user)
{
	sentinel_close(f->s);
	g_array_free(f->got, TRUE);
	close(f->wireguard);
}

static uint32_t take(struct fixture *f, bool shared, const struct endpoint *wanted)
{
	uint32_t slot = UINT32_MAX;

	g_assert_cmpint(sentinel_take(f->s, shared, wanted, &slot), ==, 0);
	return slot;
}

static struct endpoint endpoint(struct fixture *f, uint32_t slot)
{
	struct endpoint e;

	sentinel_endpoint(f->s, slot, &e);
	return e;
}

static const char *address(struct fixture *f, uint32_t slot)
{
	static char text[ENDPOINT_STRLEN];
	struct endpoint e = endpoint(f, slot);

	endpoint_format(&e, text);
	*strchr(text, ':') = '\0';
	return text;
}

static void send_from(int fd, const struct endpoint *to, uint32_t type, size_t len)
{
	uint8_t data[DATA_MAX] = { (uint8_t)type, (uint8_t)(type >> 8) };
	struct sockaddr_storage sa;
	socklen_t sa_len = endpoint_to_sockaddr(to, &sa);

	data[len - 1] |= 0x50;
	g_assert_cmpint(sendto(fd, data, len, 0, (struct sockaddr *)&sa, sa_len), ==, len);
}

static void send_to(struct fixture *f, uint32_t slot, uint32_t type, size_t len)
{
	struct endpoint to = endpoint(f, slot);

	send_from(f->wireguard, &to, type, len);
}

static void note(const struct sentinel_packet *packet, void *user)
{
	const struct got got = { packet->slot, packet->len, packet->data[0],
		packet->data[packet->len - 1], packet->from_port, packet->received_ns };
	struct fixture *f = user;

	g_array_append_val(f->got, got);
}

static bool is_readable(struct fixture *f)
{
	struct pollfd p = { .fd = sentinel_fd(f->s), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Reads till nothing is left. Returns the number of packets delivered now. */
static size_t read_all(struct fixture *f)
{
	g_array_set_size(f->got, 0);
	while (sentinel_read(f->s, note, f))
		;
	g_assert_false(is_readable(f));
	return f->got->len;
}

static struct got *got(struct fixture *f, guint i)
{
	g_assert_cmpuint(i, <, f->got->len);
	return &g_array_index(f->got, struct got, i);
}

static struct sentinel_status status(struct fixture *f)
{
	struct sentinel_status status;

	sentinel_get_status(f->s, &status);
	return status;
}

/* -- packets -------------------------------------------------------------------------------- */

static void test_own(struct fixture *f, gconstpointer user)
{
	uint32_t a = take(f, false, NULL), b = take(f, false, NULL);
	int64_t off_us;

	g_assert_cmpuint(a, ==, 0);
	g_assert_cmpuint(b, ==, 1);
	g_assert_cmpstr(address(f, a), ==, "127.0.1.1");
	g_assert_cmpstr(address(f, b), ==, "127.0.1.1");
	g_assert_cmpuint(endpoint(f, a).port, !=, endpoint(f, b).port);
	g_assert_false(is_readable(f));

	send_to(f, b, 1, 148);
	g_assert_true(is_readable(f));
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(got(f, 0)->slot, ==, b);
	g_assert_cmpuint(got(f, 0)->from_port, ==, f->port);
	g_assert_cmpuint(got(f, 0)->len, ==, 148);
	g_assert_cmpuint(got(f, 0)->type, ==, 1);
	g_assert_cmpuint(got(f, 0)->last, ==, 0x50);
	off_us = g_get_real_time() - got(f, 0)->received_ns / 1000;
	g_assert_cmpint(off_us, >=, 0);
	g_assert_cmpint(off_us, <, 5 * G_USEC_PER_SEC);

	send_to(f, a, 4, 1500);
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(got(f, 0)->slot, ==, a);
	g_assert_cmpuint(got(f, 0)->len, ==, 1500);
	g_assert_cmpuint(status(f).own, ==, 2);
	g_assert_cmpuint(status(f).shared_port, ==, 0);
	g_assert_cmpuint(status(f).drops, ==, 0);
	g_assert_cmpstr(status(f).problem, ==, "");
}

static void test_shared(struct fixture *f, gconstpointer user)
{
	uint32_t slots[300];

	for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
		slots[i] = take(f, true, NULL);
		g_assert_cmpuint(slots[i], ==, i);
		g_assert_cmpuint(endpoint(f, slots[i]).port, ==, status(f).shared_port);
	}
	g_assert_cmpstr(address(f, 0), ==, "127.64.0.0");
	g_assert_cmpstr(address(f, 1), ==, "127.64.0.1");
	g_assert_cmpstr(address(f, 256), ==, "127.64.1.0");
	for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
		send_to(f, slots[299 - i], 1, 148);
	g_assert_cmpuint(read_all(f), ==, G_N_ELEMENTS(slots));
	for (guint i = 0; i < G_N_ELEMENTS(slots); i++)
		g_assert_cmpuint(got(f, i)->slot, ==, 299 - i);
	g_assert_cmpuint(status(f).shared, ==, G_N_ELEMENTS(slots));
	g_assert_cmpuint(status(f).own, ==, 0);
	g_assert_cmpuint(status(f).drops, ==, 0);
}

/* One call reads about a hundred, from many sockets as from one. */
static void test_portions(struct fixture *f, gconstpointer user)
{
	bool shared = user;
	size_t n;

	for (uint32_t i = 0; i < 40; i++)
		take(f, shared, NULL);
	for (uint32_t i = 0; i < 200; i++)
		send_to(f, i % 40, 1, 148);
	n = sentinel_read(f->s, note, f);
	g_assert_cmpuint(n, >=, 80);
	g_assert_cmpuint(n, <=, 128);
	g_assert_true(is_readable(f));
	g_assert_cmpuint(read_all(f), ==, 200 - n);
}

/* Numbers are shared by both forms, and the lowest one is given. */
static void test_mixed(struct fixture *f, gconstpointer user)
{
	struct endpoint old;

	g_assert_cmpuint(take(f, true, NULL), ==, 0);
	g_assert_cmpuint(take(f, false, NULL), ==, 1);
	g_assert_cmpuint(take(f, true, NULL), ==, 2);
	g_assert_cmpstr(address(f, 2), ==, "127.64.0.2");
	for (uint32_t i = 0; i < 3; i++)
		send_to(f, i, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 3);

	/* Of the shared form there is no 1, and after the release no 2. */
	old = endpoint(f, 2);
	send_to(f, 2, 1, 148);
	sentinel_release(f->s, 2);
	sentinel_release(f->s, 2);
	sentinel_release(f->s, 77);
	old.addr[3] = 1;
	send_from(f->wireguard, &old, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 0);
	g_assert_cmpuint(status(f).drops, ==, 2);
	g_assert_cmpuint(status(f).shared, ==, 1);

	sentinel_release(f->s, 1);
	g_assert_cmpuint(status(f).own, ==, 0);
	g_assert_cmpuint(take(f, true, NULL), ==, 1);
	g_assert_cmpuint(take(f, false, NULL), ==, 2);
	g_assert_cmpuint(take(f, false, NULL), ==, 3);
}

/* -- what is let through -------------------------------------------------------------------- */

static void test_filter(struct fixture *f, gconstpointer user)
{
	static const struct {
		uint32_t type; /* and its second byte */
		size_t len;
		bool passes;
	} cases[] = {
		{ 1, 148, true },
		{ 1, 147, false },
		{ 1, 149, false },
		{ 1, 1, false },
		{ 0x101, 148, false },
		{ 2, 92, false },
		{ 2, 148, false },
		{ 3, 64, false },
		{ 3, 148, false },
		{ 0, 148, false },
		{ 5, 148, false },
		{ 4, 32, true },
		{ 4, 31, false },
		{ 4, 4, false },
		{ 4, 148, true },
		{ 0x104, 148, false },
		{ 4, 1452, true },
		{ 4, SENTINEL_PACKET_MAX, true },
		{ 4, SENTINEL_PACKET_MAX + 1, false },
	};
	bool shared = user;
	uint32_t slot = take(f, shared, NULL);
	uint64_t drops = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		send_to(f, slot, cases[i].type, cases[i].len);
		g_assert_cmpuint(read_all(f), ==, cases[i].passes);
		if (cases[i].passes)
			g_assert_cmpuint(got(f, 0)->len, ==, cases[i].len);
		drops += !cases[i].passes;
		g_assert_cmpuint(status(f).drops, ==, drops);
	}
}

static void test_senders(struct fixture *f, gconstpointer user)
{
	bool shared = user;
	struct endpoint to = endpoint(f, take(f, shared, NULL));
	struct sockaddr_in sa = loopback("127.0.0.1", to.port);
	_auto_close_ int other = udp("127.0.0.1", 0, NULL), again = -1;
	uint16_t port;

	send_from(other, &to, 1, 148);
	send_from(other, &to, 4, 148);
	g_assert_cmpuint(read_all(f), ==, 0);
	g_assert_cmpuint(status(f).drops, ==, 2);

	/* WireGuard's port, but not its address. */
	close(f->wireguard);
	f->wireguard = udp("127.0.0.2", f->port, NULL);
	send_from(f->wireguard, &to, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 0);
	g_assert_cmpuint(status(f).drops, ==, 3);
	close(f->wireguard);
	f->wireguard = udp("0.0.0.0", f->port, NULL);

	/* No address of a sentinel, if the socket gets it at all. */
	sendto(f->wireguard, (uint8_t[148]){ 1 }, 148, 0, (struct sockaddr *)&sa, sizeof(sa));
	g_assert_cmpuint(read_all(f), ==, 0);
	g_assert_cmpuint(status(f).drops, ==, shared ? 4 : 3);

	again = udp("0.0.0.0", 0, &port);
	g_assert_cmpint(sentinel_set_sender(f->s, port, MARK), ==, 0);
	send_from(f->wireguard, &to, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 0);
	send_from(again, &to, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(status(f).drops, ==, shared ? 5 : 4);

	/* What closed sockets have dropped stays counted. */
	sentinel_release(f->s, 0);
	g_assert_cmpuint(status(f).drops, ==, shared ? 5 : 4);
}

/* WireGuard on another port, which somebody has given to it. */
static void test_mark(struct fixture *f, gconstpointer user)
{
	const uint32_t mark = MARK, another = MARK + 1;
	bool shared = user;
	struct endpoint to = endpoint(f, take(f, shared, NULL));
	uint16_t port;
	_auto_close_ int other = udp("127.0.0.1", 0, &port);

	if (setsockopt(other, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0) {
		g_test_skip("not root: no marks");
		return;
	}
	send_from(other, &to, 4, 148);
	send_from(other, &to, 2, 148);
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(got(f, 0)->from_port, ==, port);
	setsockopt(other, SOL_SOCKET, SO_MARK, &another, sizeof(another));
	send_from(other, &to, 4, 148);
	g_assert_cmpuint(read_all(f), ==, 0);

	/* No mark is everybody's. */
	g_assert_cmpint(sentinel_set_sender(f->s, f->port, 0), ==, 0);
	setsockopt(other, SOL_SOCKET, SO_MARK, &(uint32_t){ 0 }, sizeof(uint32_t));
	send_from(other, &to, 4, 148);
	g_assert_cmpuint(read_all(f), ==, 0);
	send_from(f->wireguard, &to, 4, 148);
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(status(f).drops, ==, 3);
}

/* -- the same place again ------------------------------------------------------------------- */

static void start_again(struct fixture *f)
{
	sentinel_close(f->s);
	g_assert_cmpint(sentinel_open(&f->s), ==, 0);
	g_assert_cmpint(sentinel_set_sender(f->s, f->port, MARK), ==, 0);
}

static void assert_same(struct endpoint a, struct endpoint b, bool same)
{
	char text_a[ENDPOINT_STRLEN], text_b[ENDPOINT_STRLEN];

	if (endpoint_is_same(&a, &b) != same)
		g_error("%s against %s", endpoint_format(&a, text_a), endpoint_format(&b, text_b));
}

static void test_again(struct fixture *f, gconstpointer user)
{
	struct endpoint old[6];
	uint32_t slot;

	for (uint32_t i = 0; i < G_N_ELEMENTS(old); i++)
		old[i] = endpoint(f, take(f, i & 1, NULL));
	start_again(f);
	/* In whatever form is wished now. */
	for (uint32_t k = 0; k < G_N_ELEMENTS(old); k++) {
		uint32_t i = (uint32_t[]){ 5, 1, 3, 4, 2, 0 }[k];

		slot = take(f, k & 2, &old[i]);
		assert_same(endpoint(f, slot), old[i], true);
		g_assert_cmpuint(slot, <, 6);
		send_to(f, slot, 1, 148);
		g_assert_cmpuint(read_all(f), ==, 1);
		g_assert_cmpuint(got(f, 0)->slot, ==, slot);
	}
	g_assert_cmpuint(status(f).own, ==, 3);
	g_assert_cmpuint(status(f).shared, ==, 3);
	/* Not twice, though. */
	for (uint32_t i = 0; i < G_N_ELEMENTS(old); i++) {
		slot = take(f, !(i & 1), &old[i]);
		assert_same(endpoint(f, slot), old[i], false);
		g_assert_cmpstr(address(f, slot)[4] == '0' ? "own" : "shared", ==,
			i & 1 ? "own" : "shared");
	}
	g_assert_cmpuint(status(f).own, ==, 6);
	g_assert_cmpuint(status(f).shared, ==, 6);
	g_assert_cmpstr(status(f).problem, ==, "");
}

static void test_taken(struct fixture *f, gconstpointer user)
{
	bool shared = user;
	struct endpoint old = endpoint(f, take(f, shared, NULL));
	_auto_close_ int foreign = -1;

	sentinel_close(f->s);
	/* Anywhere on loopback. */
	foreign = udp(shared ? "127.0.0.53" : "127.0.1.1", old.port, NULL);
	g_assert_cmpint(foreign, >=, 0);
	g_assert_cmpint(sentinel_open(&f->s), ==, 0);
	g_assert_cmpint(sentinel_set_sender(f->s, f->port, MARK), ==, 0);
	for (uint32_t i = 0; i < 4; i++) {
		g_assert_cmpuint(take(f, i & 1, &old), ==, i);
		assert_same(endpoint(f, i), old, false);
	}
	g_assert_cmpuint(status(f).own, ==, 2);
	g_assert_cmpuint(status(f).shared, ==, 2);
	g_assert_cmpstr(status(f).problem, ==, "");
}

/* A shared socket that has its port cannot have another one. */
static void test_two_ports(struct fixture *f, gconstpointer user)
{
	struct endpoint first, second;

	take(f, true, NULL);
	first = second = endpoint(f, take(f, true, NULL));
	second.port ^= 1;
	second.addr[3] = 9;
	start_again(f);
	assert_same(endpoint(f, take(f, true, &first)), first, true);
	g_assert_cmpuint(take(f, true, &second), ==, 0);
	g_assert_cmpuint(endpoint(f, 0).port, ==, first.port);
}

static void test_odd_wishes(struct fixture *f, gconstpointer user)
{
	static const char *const wishes[] = { "10.0.0.1:4000", "127.0.0.1:4000", "127.128.0.0:4000",
		"127.127.255.255:4000", "[::1]:4000", "[fe80::1]:4000" };
	struct endpoint wanted, wireguards = { .family = AF_INET, .addr = { 127, 0, 1, 1 } };

	for (uint32_t i = 0; i < G_N_ELEMENTS(wishes); i++) {
		g_assert_cmpint(endpoint_parse(wishes[i], strlen(wishes[i]), &wanted), ==, 0);
		g_assert_cmpuint(take(f, i & 1, &wanted), ==, i);
		g_assert_true(g_str_has_prefix(address(f, i), i & 1 ? "127.64.0." : "127.0.1.1"));
	}
	/* Its port stays free for it while it is down. */
	close(f->wireguard);
	wireguards.port = f->port;
	assert_same(endpoint(f, take(f, false, &wireguards)), wireguards, false);
	f->wireguard = udp("0.0.0.0", f->port, NULL);
	g_assert_cmpint(f->wireguard, >=, 0);
}

static void test_is_one(void)
{
	static const struct {
		const char *text;
		bool is;
	} cases[] = {
		{ "127.0.1.1:1", true },
		{ "127.0.1.1:65535", true },
		{ "127.0.1.0:5000", false },
		{ "127.0.1.2:5000", false },
		{ "127.0.0.1:5000", false },
		{ "127.63.255.255:5000", false },
		{ "127.64.0.0:5000", true },
		{ "127.127.255.255:1", true },
		{ "127.128.0.0:5000", false },
		{ "126.64.0.0:5000", false },
		{ "255.255.255.255:5000", false },
		{ "[::1]:5000", false },
		{ "[7f40::1]:5000", false },
	};
	struct endpoint e = { 0 };

	g_assert_false(sentinel_is_one(&e));
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(endpoint_parse(cases[i].text, strlen(cases[i].text), &e), ==, 0);
		g_assert_cmpint(sentinel_is_one(&e), ==, cases[i].is);
	}
}

/* -- many ----------------------------------------------------------------------------------- */

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void test_many(struct fixture *f, gconstpointer user)
{
	enum { N = 100 * 1000 };
	size_t before = heap_bytes();

	for (uint32_t i = 0; i < N; i++)
		g_assert_cmpuint(take(f, true, NULL), ==, i);
	/* Doubled as it grows. */
	g_assert_cmpuint(heap_bytes(), <=, before + 2 * 4 * N);
	g_assert_cmpstr(address(f, N - 1), ==, "127.65.134.159");
	send_to(f, N - 1, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 1);
	g_assert_cmpuint(got(f, 0)->slot, ==, N - 1);
	for (uint32_t i = 0; i < N; i += 2)
		sentinel_release(f->s, i);
	for (uint32_t i = 0; i < N; i += 2)
		g_assert_cmpuint(take(f, true, NULL), ==, i);
	g_assert_cmpuint(status(f).shared, ==, N);
}

/* All parked peers at once, and nobody reads. */
static void test_storm(struct fixture *f, gconstpointer user)
{
	enum { N = 2000 };
	uint8_t seen[N] = { 0 };

	if (geteuid() != 0) {
		g_test_skip("not root: no large receive buffer");
		return;
	}
	for (uint32_t i = 0; i < N; i++)
		take(f, true, NULL);
	for (uint32_t i = 0; i < N; i++)
		send_to(f, i, 1, 148);
	g_assert_cmpuint(read_all(f), ==, N);
	for (guint i = 0; i < N; i++)
		seen[got(f, i)->slot]++;
	for (guint i = 0; i < N; i++)
		g_assert_cmpuint(seen[i], ==, 1);
	g_assert_cmpuint(status(f).drops, ==, 0);
}

/* The daemon keeps descriptors for its other work; peers without a socket of their own share one. */
static void test_few_files(struct fixture *f, gconstpointer user)
{
	enum { LIMIT = 84, OWN = LIMIT - 64 };
	struct rlimit before, few;

	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	few = (struct rlimit){ LIMIT, before.rlim_max };
	g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &few), ==, 0);
	start_again(f);
	for (uint32_t i = 0; i < OWN; i++)
		g_assert_cmpuint(take(f, false, NULL), ==, i);
	g_assert_cmpstr(status(f).problem, ==, "");
	for (uint32_t i = OWN; i < OWN + 10; i++)
		g_assert_cmpuint(take(f, false, NULL), ==, i);
	g_assert_cmpstr(status(f).problem, ==, "no more sentinel sockets: Too many open files");
	g_assert_cmpuint(status(f).own, ==, OWN);
	g_assert_cmpuint(status(f).shared, ==, 10);
	for (uint32_t i = 0; i < OWN + 10; i++)
		send_to(f, i, 1, 148);
	g_assert_cmpuint(read_all(f), ==, OWN + 10);

	sentinel_release(f->s, 0);
	g_assert_cmpuint(take(f, false, NULL), ==, 0);
	g_assert_cmpuint(status(f).own, ==, OWN);
	for (uint32_t i = OWN; i < OWN + 10; i++) {
		g_assert_cmpstr(status(f).problem, !=, "");
		sentinel_release(f->s, i);
	}
	g_assert_cmpstr(status(f).problem, ==, "");
	setrlimit(RLIMIT_NOFILE, &before);
}

/* No descriptor at all: an error, and well again later. */
static void test_no_files(struct fixture *f, gconstpointer user)
{
	struct rlimit before, none;
	uint32_t slot;

	g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
	none = (struct rlimit){ 3, before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	g_assert_cmpint(sentinel_take(f->s, false, NULL, &slot), ==, -EMFILE);
	g_assert_cmpint(sentinel_take(f->s, true, NULL, &slot), ==, -EMFILE);
	setrlimit(RLIMIT_NOFILE, &before);
	g_assert_cmpstr(status(f).problem, ==, "");
	g_assert_cmpuint(take(f, true, NULL), ==, 0);
	g_assert_cmpuint(take(f, false, NULL), ==, 1);
	g_assert_cmpstr(status(f).problem, ==, "");
}

/* -- odd hosts ------------------------------------------------------------------------------ */

/* In a network namespace of its own; all later tests are there, too. Returns false when skipped. */
static bool set_up_odd(struct fixture *f, struct nl **ret_nl)
{
	tear_down(f, NULL);
	if (!live_link(ret_nl)) {
		set_up(f, NULL);
		return false;
	}
	set_up(f, NULL);
	return true;
}

static void set_lo_up(struct nl *nl)
{
	const struct link_change up = { .up = 1 };

	g_assert_cmpint(link_set(nl, LO, &up), ==, 0);
}

static void test_lo_is_down(struct fixture *f, gconstpointer user)
{
	struct nl *nl;

	if (!set_up_odd(f, &nl))
		return;
	g_assert_cmpuint(take(f, true, NULL), ==, 0);
	g_assert_cmpstr(address(f, 0), ==, "127.0.1.1");
	g_assert_cmpstr(status(f).problem, ==, "no shared sentinel socket: Network is unreachable");
	set_lo_up(nl);
	g_assert_cmpuint(take(f, true, NULL), ==, 1);
	g_assert_cmpuint(status(f).shared, ==, 1);
	send_to(f, 0, 1, 148);
	send_to(f, 1, 1, 148);
	g_assert_cmpuint(read_all(f), ==, 2);
	g_assert_cmpstr(status(f).problem, !=, "");
	sentinel_release(f->s, 0);
	g_assert_cmpstr(status(f).problem, ==, "");
	nl_close(nl);
}

/* The addresses of the shared form lead elsewhere: refused at once, or never to arrive. */
static void test_led_astray(struct fixture *f, gconstpointer user)
{
	static const char *const switches[] = { "0", "1" };
	struct route route = { .table = 255 };
	struct nl *nl;

	if (!set_up_odd(f, &nl))
		return;
	set_lo_up(nl);
	g_assert_cmpint(prefix_parse("127.64.0.0/10", 13, &route.dst), ==, 0);
	route.ifindex = if_nametoindex("wt0");
	g_assert_cmpint(route_add(nl, &route), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(switches); i++) {
		_auto_close_ int fd = open("/proc/sys/net/ipv4/conf/all/route_localnet", O_WRONLY);

		if (fd < 0)
			break;
		g_assert_cmpint(write(fd, switches[i], 1), ==, 1);
		start_again(f);
		for (uint32_t k = 0; k < 3; k++)
			g_assert_cmpstr((take(f, true, NULL), address(f, k)), ==, "127.0.1.1");
		g_assert_cmpstr(status(f).problem, ==,
			"no shared sentinel socket: packets to 127.64.0.0/10 do not arrive");
		g_assert_cmpuint(status(f).own, ==, 3);
		g_assert_cmpuint(status(f).shared_port, ==, 0);
		send_to(f, 1, 1, 148);
		g_assert_cmpuint(read_all(f), ==, 1);
	}
	nl_close(nl);
}

#define ADD(path, user, fn) \
	g_test_add("/sentinel/" path, struct fixture, GINT_TO_POINTER(user), set_up, fn, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("own", false, test_own);
	ADD("shared", true, test_shared);
	ADD("portions-own", false, test_portions);
	ADD("portions-shared", true, test_portions);
	ADD("mixed", 0, test_mixed);
	ADD("filter-own", false, test_filter);
	ADD("filter-shared", true, test_filter);
	ADD("senders-own", false, test_senders);
	ADD("senders-shared", true, test_senders);
	ADD("mark-own", false, test_mark);
	ADD("mark-shared", true, test_mark);
	ADD("again", 0, test_again);
	ADD("taken-own", false, test_taken);
	ADD("taken-shared", true, test_taken);
	ADD("two-ports", 0, test_two_ports);
	ADD("odd-wishes", 0, test_odd_wishes);
	g_test_add_func("/sentinel/is-one", test_is_one);
	ADD("many", 0, test_many);
	ADD("storm", 0, test_storm);
	ADD("few-files", 0, test_few_files);
	ADD("no-files", 0, test_no_files);
	ADD("lo-is-down", 0, test_lo_is_down);
	ADD("led-astray", 0, test_led_astray);
	return g_test_run();
}
