/* tests/unit/test_nft_sets.c - elements of our sets: what is sent for them, what is read of them. */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/attr.h"
#include "netlink/nft.h"
#include "netlink/nft_batch.h"
#include "netlink/nft_elements.h"
#include "tests/unit/fake_nl.h"

static struct nft nft;

static struct nft_range range(const char *first, const char *last)
{
	struct prefix a, b;
	struct nft_range r;

	g_assert_cmpint(prefix_parse(first, strlen(first), &a), ==, 0);
	g_assert_cmpint(prefix_parse(last, strlen(last), &b), ==, 0);
	memset(&r, 0, sizeof(r));
	r.family = a.family;
	memcpy(r.first, a.addr, sizeof(r.first));
	memcpy(r.last, b.addr, sizeof(r.last));
	return r;
}

/* -- what is sent --------------------------------------------------------------------------- */

static const struct nlattr *nested(const struct nlattr *a, uint16_t type)
{
	const struct nlattr *table[16];

	g_assert_nonnull(a);
	g_assert_cmpint(attr_sort(attr_walk_nested(a), table, G_N_ELEMENTS(table)), ==, 0);
	return table[type];
}

/* " 10.0.0.1", " 10.0.0.1:80" with a port, and " -10.0.1.0" for the end of a range. */
static void describe_element(const struct nlattr *element, GString *out)
{
	const struct nlattr *key = nested(nested(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
	const struct nlattr *flags = nested(element, NFTA_SET_ELEM_FLAGS);
	const uint8_t *port = (const uint8_t *)attr_data(key) + attr_len(key) - 4;
	bool v4 = attr_len(key) <= 8;
	char text[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, attr_data(key), text, sizeof(text));
	g_string_append_printf(out, " %s%s", flags ? "-" : "", text);
	if (attr_len(key) % 16 && attr_len(key) != 4) {
		g_string_append_printf(out, ":%d", port[0] << 8 | port[1]);
		g_assert_cmpint(port[2] | port[3], ==, 0);
	}
	if (flags)
		g_assert_cmpint(
			*(const uint8_t *)attr_data(flags) + ((const uint8_t *)attr_data(flags))[3],
			==, NFT_SET_ELEM_INTERVAL_END);
}

/* "+set elements", or "-set elements"; nothing for what begins and ends. */
static void describe_message(const struct nlmsghdr *nlh, GString *out)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1], *a;
	struct attr_walk w;
	char set[32];

	if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
		return;
	g_assert_cmpint(attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
				G_N_ELEMENTS(table)),
		==, 0);
	attr_text(table[NFTA_SET_ELEM_LIST_SET], set, sizeof(set));
	g_string_append_printf(
		out, "%c%s", (nlh->nlmsg_type & 0xff) == NFT_MSG_NEWSETELEM ? '+' : '-', set);
	w = attr_walk_nested(table[NFTA_SET_ELEM_LIST_ELEMENTS]);
	while ((a = attr_next(&w)))
		describe_element(a, out);
	g_assert_cmpuint(w.left, ==, 0);
	g_string_append(out, "\n");
}

static char *describe_sent(void)
{
	GString *out = g_string_new(NULL);

	for (size_t at = 0; at < fake.len;) {
		const struct nlmsghdr *nlh = (const void *)(fake.sent + at);

		describe_message(nlh, out);
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return g_string_free(out, FALSE);
}

static void assert_sent(const struct nft_change *change, const char *want)
{
	g_autofree char *sent = NULL;

	fake_reset();
	g_assert_cmpint(nft_change(&nft, "t", change), ==, 0);
	sent = describe_sent();
	g_assert_cmpstr(sent, ==, want);
}

static void test_ranges(void)
{
	const struct nft_range count[] = { range("10.0.0.1", "10.0.0.1"),
		range("fd00::1", "fd00::1"), range("10.0.0.2", "10.0.0.2"),
		range("10.1.0.0", "10.1.255.255"), range("255.0.0.0", "255.255.255.255"),
		range("fd00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
		range("fc00::", "fc00::ffff") };
	const struct nft_range uncount[] = { range("10.2.0.0", "10.2.0.255"),
		range("0.0.0.0", "255.255.255.255"), range("fd00::1", "fd00::1") };

	assert_sent(&(struct nft_change){ 0 }, "");
	g_assert_cmpuint(fake.n_sends, ==, 0);
	assert_sent(&(struct nft_change){ .count = count, .n_count = G_N_ELEMENTS(count) },
		"+hosts4 10.0.0.1 10.0.0.2\n"
		"+nets4 10.1.0.0 -10.2.0.0 255.0.0.0\n"
		"+hosts6 fd00::1\n"
		"+nets6 fd00:: fc00:: -fc00::1:0\n");
	assert_sent(&(struct nft_change){ .count = count,
			    .n_count = 1,
			    .uncount = uncount,
			    .n_uncount = G_N_ELEMENTS(uncount) },
		"-nets4 10.2.0.0 -10.2.1.0 0.0.0.0\n"
		"-hosts6 fd00::1\n"
		"+hosts4 10.0.0.1\n");
	g_assert_cmpuint(fake.n_sends, ==, 1);
}

static void test_endpoints(void)
{
	const struct endpoint watch[] = { { AF_INET, .port = 80, .addr = { 10, 0, 0, 1 } },
		{ AF_INET, .port = 51820, .addr = { 10, 0, 0, 2 } },
		{ AF_INET6, .port = 443, .addr = { 0xfd } } };
	const struct nft_range host = range("10.0.0.1", "10.0.0.1");

	assert_sent(&(struct nft_change){ .watch = watch,
			    .n_watch = 3,
			    .refuse = watch,
			    .n_refuse = 1,
			    .uncount = &host,
			    .n_uncount = 1 },
		"+watching4 10.0.0.1:80\n"
		"-watching4 10.0.0.1:80\n"
		"+watching4 10.0.0.1:80 10.0.0.2:51820\n"
		"-watching4 10.0.0.2:51820\n"
		"+watching4 10.0.0.2:51820\n"
		"+watching6 fd00:::443\n"
		"-watching6 fd00:::443\n"
		"+watching6 fd00:::443\n"
		"+refused4 10.0.0.1:80\n"
		"-refused4 10.0.0.1:80\n"
		"+refused4 10.0.0.1:80\n"
		"-hosts4 10.0.0.1\n");
}

/* Every second one a host. */
static struct nft_range *make_many(uint32_t n)
{
	struct nft_range *ranges = g_new0(struct nft_range, n);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t first = htonl(i * 4), last = htonl(i * 4 + (i % 2 ? 0 : 2));

		ranges[i].family = i % 3 ? AF_INET : AF_INET6;
		memcpy(ranges[i].first, &first, 4);
		memcpy(ranges[i].last, &last, 4);
	}
	return ranges;
}

static int second_fails(size_t i)
{
	return i == 1 ? -EBUSY : 0;
}

static void test_many(void)
{
	enum { N = 10000 };
	g_autofree struct nft_range *ranges = make_many(N);
	const struct nft_change change = { .count = ranges, .n_count = N };
	g_autofree char *sent = NULL;
	size_t words = 0;

	fake_reset();
	g_assert_cmpint(nft_change(&nft, "t", &change), ==, 0);
	g_assert_cmpuint(fake.n_sends, >=, 3);
	g_assert_cmpuint(fake.len / fake.n_sends, <, 212992);
	sent = describe_sent();
	for (const char *at = sent; (at = strchr(at, ' ')); at++)
		words++;
	g_assert_cmpuint(words, ==, N + N / 2); /* ranges have ends */
	g_assert_null(strstr(sent, "nets4 -")); /* and both are together */
	g_assert_null(strstr(sent, "nets6 -"));
	fake_reset();
	fake.outcome = second_fails;
	g_assert_cmpint(nft_change(&nft, "t", &change), ==, -EBUSY);
	g_assert_cmpuint(fake.n_sends, ==, 2);
}

static int first_is_missing(size_t i)
{
	return i == 0 ? -ENOENT : 0;
}

/* An element whose time ran out in the middle. */
static void test_run_out(void)
{
	const struct endpoint watch = { AF_INET, .port = 80, .addr = { 10, 0, 0, 1 } };
	const struct nft_range host = range("10.0.0.1", "10.0.0.1");
	struct nft_change change = { .uncount = &host, .n_uncount = 1 };

	fake_reset();
	fake.outcome = first_is_missing;
	g_assert_cmpint(nft_change(&nft, "t", &change), ==, -ENOENT);
	g_assert_cmpuint(fake.n_sends, ==, 1);
	change.watch = &watch;
	change.n_watch = 1;
	fake_reset();
	fake.outcome = first_is_missing;
	g_assert_cmpint(nft_change(&nft, "t", &change), ==, 0);
	g_assert_cmpuint(fake.n_sends, ==, 2);
}

/* -- what is read --------------------------------------------------------------------------- */

struct found {
	size_t n;
	struct prefix first[8];
	uint64_t packets[8];
};

static void take(const struct prefix *first, uint64_t packets, void *user)
{
	struct found *found = user;

	g_assert_cmpuint(found->n, <, G_N_ELEMENTS(found->first));
	found->first[found->n] = *first;
	found->packets[found->n++] = packets;
}

static void put_element(struct bytes *out, const void *key, size_t len, uint32_t flags,
	const char *expr, uint64_t n)
{
	size_t element = bytes_nest(out, NFTA_LIST_ELEM);
	size_t nest = bytes_nest(out, NFTA_SET_ELEM_KEY);

	bytes_attr(out, NFTA_DATA_VALUE, key, len);
	bytes_close(out, nest);
	if (flags)
		bytes_attr_u32(out, NFTA_SET_ELEM_FLAGS, htonl(flags));
	nest = bytes_nest(out, NFTA_SET_ELEM_EXPR);
	bytes_attr_text(out, NFTA_EXPR_NAME, expr);
	if (n) {
		size_t data = bytes_nest(out, NFTA_EXPR_DATA);

		bytes_attr_u64(out, NFTA_COUNTER_BYTES, GUINT64_TO_BE(1000));
		bytes_attr_u64(out, NFTA_COUNTER_PACKETS, GUINT64_TO_BE(n));
		bytes_close(out, data);
	}
	bytes_close(out, nest);
	bytes_close(out, element);
}

static size_t begin_elements(struct bytes *out, size_t *ret_message)
{
	const struct nfgenmsg nfg = { .nfgen_family = NFPROTO_INET };

	memset(out, 0, sizeof(*out));
	*ret_message = bytes_message(
		out, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWSETELEM, NLM_F_MULTI, 1);
	bytes_put(out, &nfg, sizeof(nfg));
	bytes_attr_text(out, NFTA_SET_ELEM_LIST_TABLE, "lapwing-wt0");
	bytes_attr_text(out, NFTA_SET_ELEM_LIST_SET, "hosts4");
	return bytes_nest(out, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void make_elements(struct bytes *out)
{
	size_t message, list = begin_elements(out, &message);

	put_element(out, (uint8_t[4]){ 10, 0, 0, 1 }, 4, 0, "counter", 5);
	put_element(out, (uint8_t[4]){ 10, 0, 0, 2 }, 4, NFT_SET_ELEM_INTERVAL_END, "counter", 6);
	put_element(out, (uint8_t[4]){ 10, 0, 0, 3 }, 4, 0, "counter", 0);
	put_element(out, (uint8_t[4]){ 10, 0, 0, 4 }, 4, 0, "limit", 7);
	put_element(out, (uint8_t[4]){ 10, 0, 0, 5 }, 4, 0, "counter", UINT64_C(1) << 40);
	bytes_close(out, list);
	bytes_end(out, message);
}

static void test_elements(void)
{
	struct bytes b;
	struct found found = { 0 };
	size_t message, list;

	make_elements(&b);
	g_assert_cmpint(nft_elements_parse(bytes_header(&b), AF_INET, take, &found), ==, 0);
	g_assert_cmpuint(found.n, ==, 2);
	g_assert_cmpint(found.first[0].family, ==, AF_INET);
	g_assert_cmpint(found.first[0].bits, ==, 32);
	g_assert_cmpint(found.first[0].addr[3], ==, 1);
	g_assert_cmpuint(found.packets[0], ==, 5);
	g_assert_cmpint(found.first[1].addr[3], ==, 5);
	g_assert_cmpuint(found.packets[1], ==, UINT64_C(1) << 40);
	g_assert_cmpint(nft_elements_parse(bytes_header(&b), AF_INET6, take, &found), ==, -EPROTO);
	for (size_t len = NLMSG_HDRLEN; len < b.len; len++) {
		g_autofree struct nlmsghdr *nlh = bytes_cut(&b, len);

		found.n = 0;
		nft_elements_parse(nlh, AF_INET, take, &found);
		g_assert_cmpuint(found.n, <=, 2);
	}
	list = begin_elements(&b, &message);
	bytes_close(&b, list);
	bytes_end(&b, message);
	found.n = 0;
	g_assert_cmpint(nft_elements_parse(bytes_header(&b), AF_INET, take, &found), ==, 0);
	g_assert_cmpuint(found.n, ==, 0);
}

static void test_counters(void)
{
	struct found found = { 0 };
	struct bytes b;

	make_elements(&b);
	fake_reset();
	fake.reply = &b; /* for the sets of IPv6 too, where it makes no sense */
	g_assert_cmpint(nft_counters(&nft, "t", take, &found), ==, -EPROTO);
	g_assert_cmpuint(fake.n, ==, 2);
	g_assert_cmpuint(found.n, ==, 0);
	fake_reset();
	fake.result = -EINTR;
	g_assert_cmpint(nft_counters(&nft, "t", take, &found), ==, -EINTR);
	g_assert_cmpuint(fake.n, ==, 5);
	fake_reset();
	fake.result = -ENOENT;
	g_assert_cmpint(nft_counters(&nft, "t", take, &found), ==, -ENOENT);
	g_assert_cmpuint(found.n, ==, 0);
	fake_reset();
	g_assert_cmpint(nft_counters(&nft, "t", take, &found), ==, 0);
	g_assert_cmpuint(fake.n, ==, 4);
}

static void test_heard(void)
{
	const struct endpoint from = { AF_INET, .port = 80, .addr = { 10, 0, 0, 1 } };

	fake_reset();
	g_assert_cmpint(nft_heard(&nft, "t", &from), ==, 1);
	g_assert_cmpuint(fake.n, ==, 1);
	fake.result = -ENOENT;
	g_assert_cmpint(nft_heard(&nft, "t", &from), ==, 0);
	fake.result = -EPERM;
	g_assert_cmpint(nft_heard(&nft, "t", &from), ==, -EPERM);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nft-sets/ranges", test_ranges);
	g_test_add_func("/nft-sets/endpoints", test_endpoints);
	g_test_add_func("/nft-sets/many", test_many);
	g_test_add_func("/nft-sets/run-out", test_run_out);
	g_test_add_func("/nft-sets/elements", test_elements);
	g_test_add_func("/nft-sets/counters", test_counters);
	g_test_add_func("/nft-sets/heard", test_heard);
	return g_test_run();
}
