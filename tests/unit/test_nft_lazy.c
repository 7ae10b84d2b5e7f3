/* tests/unit/test_nft_lazy.c - the part of our table for lazy peers, in the kernel at hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/nflog.h"
#include "netlink/nft.h"
#include "tests/unit/live.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

/* With the loopback device as if it were the tunnel, or the way to others if another one is; and a
 * socket as if it were WireGuard's. NULL: skipped. */
static struct nft *open_lazy(const char *ifname, struct nft_config *config, int *ret_socket)
{
	const struct link_change up = { .up = 1 };
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(51820) };
	struct nft *nft;
	struct nl *nl;
	int r;

	if (!live_namespace())
		return NULL;
	if (nft_open(&nft) < 0) {
		g_test_skip("no nftables in this kernel");
		return NULL;
	}
	*config = (struct nft_config){ .table = "lapwing-lo",
		.lazy = { true, true, true, true, 51820, 7 } };
	g_strlcpy(config->ifname, ifname, sizeof(config->ifname));
	config->ifindex = if_nametoindex(ifname); /* 0: none */
	r = nft_apply(nft, config);
	if (r < 0) {
		g_assert_true(r == -ENOENT || r == -EOPNOTSUPP);
		g_test_skip("this kernel's nftables lack what lazy peers need");
		nft_close(nft);
		return NULL;
	}
	g_assert_cmpint(nl_open(NETLINK_ROUTE, &nl), ==, 0);
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0);
	nl_close(nl);
	*ret_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(bind(*ret_socket, (const struct sockaddr *)&any, sizeof(any)), ==, 0);
	return nft;
}

/* To 127.0.0.1 at WireGuard's port, from a port of this test. */
static void send_head(uint16_t from, const uint8_t head[static 4])
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(from),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
	at.sin_port = htons(51820);
	g_assert_cmpint(sendto(fd, head, 4, 0, (const struct sockaddr *)&at, sizeof(at)), ==, 4);
	close(fd);
}

static void send_type(uint16_t from, uint8_t type)
{
	send_head(from, (const uint8_t[4]){ type });
}

static struct endpoint local(uint16_t port)
{
	return (struct endpoint){ AF_INET, .port = port, .addr = { 127, 0, 0, 1 } };
}

static struct nft_range range(const char *first, const char *last)
{
	struct prefix a = prefix(first), b = prefix(last);
	struct nft_range r = { .family = a.family };

	memcpy(r.first, a.addr, sizeof(r.first));
	memcpy(r.last, b.addr, sizeof(r.last));
	return r;
}

static int count(struct nft *nft, const struct nft_range *ranges, size_t n)
{
	const struct nft_change change = { .count = ranges, .n_count = n };

	return nft_change(nft, "lapwing-lo", &change);
}

static int uncount(struct nft *nft, const struct nft_range *ranges, size_t n)
{
	const struct nft_change change = { .uncount = ranges, .n_uncount = n };

	return nft_change(nft, "lapwing-lo", &change);
}

static void add_up(const struct prefix *first, uint64_t packets, void *user)
{
	uint64_t *sums = user;

	sums[0]++;
	sums[1] += packets;
}

static void assert_counters(struct nft *nft, uint64_t n, uint64_t packets)
{
	uint64_t sums[2] = { 0 };

	g_assert_cmpint(nft_counters(nft, "lapwing-lo", add_up, sums), ==, 0);
	g_assert_cmpuint(sums[0], ==, n);
	g_assert_cmpuint(sums[1], ==, packets);
}

static void take_packet(const struct nflog_packet *packet, void *user)
{
	struct nflog_packet *packets = user;

	packets[packet->kind] = *packet;
}

static void test_counting(void)
{
	const struct nft_range ranges[] = { range("127.0.0.0", "127.0.0.0"),
		range("127.0.0.2", "127.255.255.255"), range("::1", "::1"),
		range("fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") };
	const struct nft_range here = range("127.0.0.1", "127.0.0.1");
	const struct nft_range all = range("0.0.0.0", "255.255.255.255");
	struct nft_config config;
	int fd;
	struct nft *nft = open_lazy("lo", &config, &fd);

	if (!nft)
		return;
	g_assert_cmpint(count(nft, ranges, G_N_ELEMENTS(ranges)), ==, 0);
	g_assert_cmpint(count(nft, ranges, G_N_ELEMENTS(ranges)), ==, 0);
	g_assert_cmpint(uncount(nft, &here, 1), ==, -ENOENT);
	g_assert_cmpstr(nft_error_text(nft), ==, "an element of set hosts4 was refused");
	send_type(1000, 4);
	assert_counters(nft, 4, 0);
	g_assert_cmpint(count(nft, &here, 1), ==, 0);
	send_type(1000, 4); /* out, and in */
	assert_counters(nft, 5, 2);
	g_assert_cmpint(count(nft, &here, 1), ==, 0); /* goes on */
	assert_counters(nft, 5, 2);
	g_assert_cmpint(uncount(nft, ranges, G_N_ELEMENTS(ranges)), ==, 0);
	g_assert_cmpint(uncount(nft, &here, 1), ==, 0);
	assert_counters(nft, 0, 0);
	g_assert_cmpint(count(nft, &all, 1), ==, 0);
	send_type(1000, 4);
	assert_counters(nft, 1, 2);
	g_assert_cmpint(uncount(nft, &all, 1), ==, 0);
	g_assert_cmpint(nft_remove(nft, config.table), ==, 0);
	g_assert_cmpint(nft_counters(nft, config.table, add_up, NULL), ==, -ENOENT);
	g_assert_cmpint(count(nft, &here, 1), ==, -ENOENT);
	nft_close(nft);
	close(fd);
}

/* Nets that touch, added and taken away in any order. */
static void test_touching_nets(void)
{
	enum { N = 300, ROUNDS = 20 };
	struct nft_range ranges[N];
	struct nft_config config;
	int fd;
	struct nft *nft = open_lazy("lo", &config, &fd);

	if (!nft)
		return;
	for (uint32_t i = 0; i < N; i++) {
		uint32_t first = htonl(i / 2 * 4), last = htonl(i / 2 * 4 + 3);

		ranges[i] = (struct nft_range){ .family = i % 2 ? AF_INET : AF_INET6 };
		memcpy(ranges[i].first, &first, 4);
		memcpy(ranges[i].last, &last, 4);
		if (ranges[i].family == AF_INET6)
			memset(ranges[i].last + 4, 0xff, 12);
	}
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t some = g_test_rand_int_range(1, N);

		for (uint32_t i = N - 1; i; i--) {
			uint32_t j = (uint32_t)g_test_rand_int_range(0, (int32_t)i + 1);
			struct nft_range other = ranges[i];

			ranges[i] = ranges[j];
			ranges[j] = other;
		}
		g_assert_cmpint(count(nft, ranges, some), ==, 0);
		g_assert_cmpint(count(nft, ranges + some, N - some), ==, 0);
		assert_counters(nft, N, 0);
		g_assert_cmpint(uncount(nft, ranges, some), ==, 0);
		assert_counters(nft, N - some, 0);
		g_assert_cmpint(count(nft, ranges, N), ==, 0);
		g_assert_cmpint(uncount(nft, ranges, N), ==, 0);
		assert_counters(nft, 0, 0);
	}
	nft_close(nft);
	close(fd);
}

static void test_contacts(void)
{
	const struct endpoint from = local(1000), watched = local(1001), yielded = local(1002);
	const struct nft_change change = {
		.watch = &watched, .n_watch = 1, .refuse = &yielded, .n_refuse = 1
	};
	const struct nft_change twice = { .watch = (const struct endpoint[]){ watched, watched },
		.n_watch = 2 };
	const uint8_t stun_answer[4] = { 1, 1, 0, 0x3c }; /* begins as an initiation does */
	struct nft_config config;
	uint8_t type;
	int fd;
	struct nft *nft = open_lazy("wt0", &config, &fd);

	if (!nft)
		return;
	g_assert_cmpint(nft_change(nft, config.table, &change), ==, 0);
	g_assert_cmpint(nft_change(nft, config.table, &change), ==, 0);
	g_assert_cmpint(nft_change(nft, config.table, &twice), ==, 0);
	send_type(from.port, 4);
	send_type(from.port, 2);
	send_head(from.port, stun_answer);
	g_assert_cmpint(nft_heard(nft, config.table, &from), ==, 0);
	send_type(from.port, 1);
	send_type(yielded.port, 1);
	g_assert_cmpint(nft_heard(nft, config.table, &from), ==, 1);
	g_assert_cmpint(nft_heard(nft, config.table, &yielded), ==, 0);
	send_type(yielded.port, 2);
	send_head(yielded.port, stun_answer);
	for (int i = 0; i < 6; i++)
		g_assert_cmpint(recv(fd, &type, 1, 0), ==, 1);
	g_assert_cmpint(recv(fd, &type, 1, 0), ==, -1);
	g_usleep(1000 * (NFT_REFUSE_MS + 200));
	g_assert_cmpint(nft_heard(nft, config.table, &from), ==, 0);
	send_type(yielded.port, 1);
	g_assert_cmpint(recv(fd, &type, 1, 0), ==, 1);
	g_assert_cmpint(nft_heard(nft, config.table, &yielded), ==, 1);
	nft_close(nft);
	close(fd);
}

static void test_told(void)
{
	const struct nft_range here = range("127.0.0.0", "127.0.0.7");
	struct nflog_packet packets[2] = { { 0 } };
	struct nft_config config;
	struct nflog *log;
	int fd;
	struct nft *nft = open_lazy("lo", &config, &fd);

	if (!nft)
		return;
	g_assert_cmpint(nflog_open(config.lazy.log_group, &log), ==, 0);
	send_type(1000, 4);
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, AF_INET);
	g_assert_cmpint(packets[NFLOG_INNER].from.port, ==, 0);
	g_assert_cmpint(packets[NFLOG_ANSWER].from.family, ==, 0);
	memset(packets, 0, sizeof(packets));
	send_type(1001, 4); /* again within the second */
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, 0);
	g_assert_cmpint(count(nft, &here, 1), ==, 0);
	g_usleep(1000 * (NFT_TOLD_MS + 200));
	send_type(1000, 4); /* counted */
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, 0);
	g_assert_cmpint(uncount(nft, &here, 1), ==, 0);
	send_type(1000, 4);
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, AF_INET);
	nflog_close(log);
	nft_close(nft);
	close(fd);
}

static void test_answers(void)
{
	const struct endpoint watched = local(1001);
	const struct nft_change change = { .watch = &watched, .n_watch = 1 };
	struct nflog_packet packets[2] = { { 0 } };
	struct nft_config config;
	struct nflog *log;
	int fd;
	struct nft *nft = open_lazy("wt0", &config, &fd);

	if (!nft)
		return;
	g_assert_cmpint(nflog_open(config.lazy.log_group, &log), ==, 0);
	g_assert_cmpint(nft_change(nft, config.table, &change), ==, 0);
	send_type(1000, 2);
	send_type(watched.port, 1);
	send_type(watched.port, 4);
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, 0);
	g_assert_cmpint(packets[NFLOG_ANSWER].from.family, ==, 0);
	send_type(watched.port, 2);
	g_assert_cmpint(nflog_read(log, take_packet, packets), ==, 0);
	g_assert_cmpint(packets[NFLOG_INNER].from.family, ==, 0);
	g_assert_cmpint(packets[NFLOG_ANSWER].kind, ==, NFLOG_ANSWER);
	g_assert_true(endpoint_is_same(&packets[NFLOG_ANSWER].from, &watched));
	nflog_close(log);
	nft_close(nft);
	close(fd);
}

/* Any part, without any other. */
static void test_parts(void)
{
	struct nft_config config;
	uint64_t before = 0, after;
	int fd, r;
	struct nft *nft = open_lazy("lo", &config, &fd);

	if (!nft)
		return;
	for (unsigned parts = 0; parts < 16; parts++) {
		config.lazy.counts = parts & 1;
		config.lazy.logs = parts & 2;
		config.lazy.refuses = parts & 4;
		config.lazy.untracked = parts & 8;
		g_assert_cmpint(nft_apply(nft, &config), ==, 0);
		g_assert_cmpint(nft_fingerprint(nft, config.table, &after), ==, 0);
		g_assert_cmpuint(after, !=, before);
		before = after;
		send_type(1000, 1);
		r = nft_counters(nft, config.table, add_up, (uint64_t[2]){ 0 });
		g_assert_cmpint(r, ==, config.lazy.counts ? 0 : -ENOENT);
		r = nft_heard(nft, config.table, &(struct endpoint){ AF_INET, .port = 1 });
		g_assert_cmpint(r, ==, 0);
	}
	nft_close(nft);
	close(fd);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nft-lazy/live/parts", test_parts);
	g_test_add_func("/nft-lazy/live/counting", test_counting);
	g_test_add_func("/nft-lazy/live/touching-nets", test_touching_nets);
	g_test_add_func("/nft-lazy/live/contacts", test_contacts);
	g_test_add_func("/nft-lazy/live/told", test_told);
	g_test_add_func("/nft-lazy/live/answers", test_answers);
	return g_test_run();
}
