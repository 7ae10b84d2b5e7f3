/* tests/unit/test_nflog.c - packets that rules log: who sent them; the kernel at hand. */
#include "netlink/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "netlink/nflog_parse.h"
#include "tests/unit/bytes.h"
#include "tests/unit/live.h"

enum { PACKET = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET };

static const uint8_t v4[] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, IPPROTO_UDP, 0, 0, /* */
	192, 0, 2, 1, 10, 0, 0, 1, 0xca, 0x6c, 0x1f, 0x90 };
static const uint8_t v4_options[] = { 0x46, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_UDP, 0, 0, /* */
	192, 0, 2, 1, 10, 0, 0, 1, 1, 1, 1, 1, 0xca, 0x6c };
static const uint8_t v4_tcp[] = { 0x45, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_TCP, 0, 0, /* */
	192, 0, 2, 1, 10, 0, 0, 1, 0xca, 0x6c };
static const uint8_t v4_short_header[] = { 0x44, 0, 0, 40, 0, 0, 0, 0, 64, IPPROTO_UDP, 0, 0, /* */
	192, 0, 2, 1, 10, 0, 0, 1, 0xca, 0x6c };
static const uint8_t v6[] = { 0x60, 0, 0, 0, 0, 20, IPPROTO_UDP, 64, /* */
	0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xca, 0x6c };
static const uint8_t v6_link_local[] = { 0x60, 0, 0, 0, 0, 20, IPPROTO_UDP, 64, /* */
	0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xca, 0x6c };
static const uint8_t v5[sizeof(v6)] = { 0x50 };

static const struct {
	const char *prefix; /* NULL: none */
	const uint8_t *payload; /* NULL: none */
	size_t len;
	const char *want; /* "" : refused */
} cases[] = {
	{ "inner", v4, sizeof(v4), "192.0.2.1:0" },
	{ "inner", v4, 20, "192.0.2.1:0" },
	{ "inner", v4, 19, "" },
	{ "inner", v4, 1, "" },
	{ "inner", v4, 0, "" },
	{ "inner", v4_tcp, sizeof(v4_tcp), "192.0.2.1:0" },
	{ "inner", v4_short_header, sizeof(v4_short_header), "" },
	{ "inner", v6, sizeof(v6), "[2001:db8::1]:0" },
	{ "inner", v6, 40, "[2001:db8::1]:0" },
	{ "inner", v6, 39, "" },
	{ "inner", v5, sizeof(v5), "" },
	{ "inner", NULL, 0, "" },
	{ "answer", v4, sizeof(v4), "192.0.2.1:51820" },
	{ "answer", v4, 22, "192.0.2.1:51820" },
	{ "answer", v4, 21, "" },
	{ "answer", v4_options, sizeof(v4_options), "192.0.2.1:51820" },
	{ "answer", v4_options, 24, "" },
	{ "answer", v4_tcp, sizeof(v4_tcp), "" },
	{ "answer", v6, sizeof(v6), "[2001:db8::1]:51820" },
	{ "answer", v6, 41, "" },
	{ "answer", v6_link_local, sizeof(v6_link_local), "[fe80::1%lo]:51820" },
	{ "other", v4, sizeof(v4), "" },
	{ "answers", v4, sizeof(v4), "" },
	{ NULL, v4, sizeof(v4), "" },
};

static void make_packet(struct bytes *out, uint16_t type, size_t i)
{
	const struct nfgenmsg nfg = { .nfgen_family = AF_INET };
	size_t message;

	memset(out, 0, sizeof(*out));
	message = bytes_message(out, type, 0, 0);
	bytes_put(out, &nfg, sizeof(nfg));
	bytes_attr_u32(out, NFULA_MARK, 1);
	bytes_attr_u32(out, NFULA_IFINDEX_INDEV, htonl(1));
	if (cases[i].prefix)
		bytes_attr_text(out, NFULA_PREFIX, cases[i].prefix);
	if (cases[i].payload)
		bytes_attr(out, NFULA_PAYLOAD, cases[i].payload, cases[i].len);
	bytes_end(out, message);
}

static void test_packets(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct nflog_packet packet = { .kind = 77 };
		char text[ENDPOINT_STRLEN] = "";
		struct bytes b;
		int r;

		make_packet(&b, PACKET, i);
		r = nflog_parse(bytes_header(&b), &packet);
		g_assert_cmpint(r, ==, cases[i].want[0] ? 0 : -EPROTO);
		if (r == 0)
			endpoint_format(&packet.from, text);
		else
			g_assert_cmpint(packet.kind, ==, 77);
		g_assert_cmpstr(text, ==, cases[i].want);
		if (r == 0)
			g_assert_cmpint(packet.kind == NFLOG_ANSWER, ==,
				!strcmp(cases[i].prefix, "answer"));
		make_packet(&b, NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, i);
		g_assert_cmpint(nflog_parse(bytes_header(&b), &packet), ==, -EPROTO);
	}
}

static void test_cut(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes b;

		make_packet(&b, PACKET, i);
		for (size_t len = NLMSG_HDRLEN; len < b.len; len++) {
			g_autofree struct nlmsghdr *nlh = bytes_cut(&b, len);
			struct nflog_packet packet;

			nflog_parse(nlh, &packet);
		}
	}
}

static void count(const struct nflog_packet *packet, void *user)
{
	++*(int *)user;
}

static void test_groups(void)
{
	struct nflog *log, *other, *second;
	int r, n = 0;

	if (!live_namespace())
		return;
	r = nflog_open(7, &log);
	if (r < 0) {
		g_assert_cmpint(r, ==, -EOPNOTSUPP);
		g_test_skip("no nfnetlink_log in this kernel");
		return;
	}
	g_assert_cmpint(nflog_open(7, &other), ==, -EBUSY);
	g_assert_cmpint(nflog_open(8, &second), ==, 0);
	g_assert_cmpint(nflog_fd(log), !=, nflog_fd(second));
	g_assert_cmpint(nflog_read(log, count, &n), ==, 0);
	g_assert_cmpint(n, ==, 0);
	nflog_close(log);
	g_assert_cmpint(nflog_open(7, &other), ==, 0);
	nflog_close(other);
	nflog_close(second);
	nflog_close(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nflog/packets", test_packets);
	g_test_add_func("/nflog/cut", test_cut);
	g_test_add_func("/nflog/live/groups", test_groups);
	return g_test_run();
}
