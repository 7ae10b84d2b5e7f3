/* tests/unit/test_nft.c - our nftables table: rules as nft(8) writes them; the kernel at hand. */
#include "netlink/nft.h"

#include <errno.h>
#include <glib.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "netlink/nft_rules.h"
#include "tests/unit/live.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

/* -- rules ---------------------------------------------------------------------------------- */

/* Frees the rule. */
static void assert_rule(struct nftnl_rule *rule, const char *want)
{
	char text[2048];

	nftnl_rule_snprintf(text, sizeof(text), rule, NFTNL_OUTPUT_DEFAULT, 0);
	g_assert_cmpstr(g_strstrip(text), ==, want);
	nftnl_rule_free(rule);
}

/* What `nft --debug=netlink` prints for the rules in nft_rules.h. */
#define NAME_WT0 " reg 1 0x00307477 0x00000000 0x00000000 0x00000000 ]\n"
#define CLAMP_REST \
	"  [ meta load l4proto => reg 1 ]\n" \
	"  [ cmp eq reg 1 0x00000006 ]\n" \
	"  [ payload load 1b @ transport header + 13 => reg 1 ]\n" \
	"  [ bitwise reg 1 = ( reg 1 & 0x00000006 ) ^ 0x00000000 ]\n" \
	"  [ cmp eq reg 1 0x00000002 ]\n" \
	"  [ rt load tcpmss => reg 1 ]\n" \
	"  [ byteorder reg 1 = hton(reg 1, 2, 2) ]\n" \
	"  [ exthdr write tcpopt reg 1 => 2b @ 2 + 2 ]"

static void test_rules(void)
{
	struct prefix v4 = prefix("100.64.0.1"), v6 = prefix("fd00::1");

	if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
		g_test_skip("libnftnl prints words as little endian hosts have them");
		return;
	}
	assert_rule(nft_rule_from_tunnel(7, NULL),
		"[ meta load iif => reg 1 ]\n  [ cmp eq reg 1 0x00000007 ]\n"
		"  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_guard(&v4),
		"[ meta load nfproto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000002 ]\n"
		"  [ payload load 4b @ network header + 16 => reg 1 ]\n"
		"  [ cmp eq reg 1 0x01004064 ]\n"
		"  [ fib saddr type => reg 1 ]\n"
		"  [ cmp neq reg 1 0x00000002 ]\n"
		"  [ immediate reg 0 drop ]");
	assert_rule(nft_rule_guard(&v6),
		"[ meta load nfproto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x0000000a ]\n"
		"  [ payload load 16b @ network header + 24 => reg 1 ]\n"
		"  [ cmp eq reg 1 0x000000fd 0x00000000 0x00000000 0x01000000 ]\n"
		"  [ fib saddr type => reg 1 ]\n"
		"  [ cmp neq reg 1 0x00000002 ]\n"
		"  [ immediate reg 0 drop ]");
	assert_rule(nft_rule_clamp(NFT_META_OIFNAME, "wt0"),
		"[ meta load oifname => reg 1 ]\n  [ cmp eq" NAME_WT0 CLAMP_REST);
	assert_rule(nft_rule_clamp(NFT_META_IIFNAME, "wt0"),
		"[ meta load iifname => reg 1 ]\n  [ cmp eq" NAME_WT0 CLAMP_REST);
	assert_rule(nft_rule_mark_out(0x1234),
		"[ meta load l4proto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000011 ]\n"
		"  [ meta load mark => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00001234 ]\n"
		"  [ immediate reg 1 0x00001234 ]\n"
		"  [ ct set mark with reg 1 ]");
	assert_rule(nft_rule_mark_in(0x1234),
		"[ meta load l4proto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000011 ]\n"
		"  [ ct load mark => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00001234 ]\n"
		"  [ immediate reg 1 0x00001234 ]\n"
		"  [ meta set mark with reg 1 ]");
}

#define V4 "[ meta load nfproto => reg 1 ]\n  [ cmp eq reg 1 0x00000002 ]\n"
#define V6 "[ meta load nfproto => reg 1 ]\n  [ cmp eq reg 1 0x0000000a ]\n"
#define V4_SOURCE V4 "  [ payload load 4b @ network header + 12 => reg 1 ]\n"
#define V6_SOURCE V6 "  [ payload load 16b @ network header + 8 => reg 1 ]\n"
#define V4_SENDER V4_SOURCE "  [ payload load 2b @ transport header + 0 => reg 9 ]\n"
#define V6_SENDER V6_SOURCE "  [ payload load 2b @ transport header + 0 => reg 2 ]\n"
#define TYPE(t) \
	"[ payload load 4b @ transport header + 8 => reg 1 ]\n  [ cmp eq reg 1 0x0000000" t " ]\n"

static void test_inner_rules(void)
{
	if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
		g_test_skip("libnftnl prints words as little endian hosts have them");
		return;
	}
	assert_rule(nft_rule_from_tunnel(7, "inner_in"),
		"[ meta load iif => reg 1 ]\n  [ cmp eq reg 1 0x00000007 ]\n"
		"  [ immediate reg 0 goto -> inner_in ]");
	assert_rule(nft_rule_elsewhere(7),
		"[ meta load oif => reg 1 ]\n  [ cmp neq reg 1 0x00000007 ]\n"
		"  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_known(AF_INET, true, "hosts4"),
		V4_SOURCE "  [ lookup reg 1 set hosts4 ]\n  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_known(AF_INET6, true, "hosts6"),
		V6_SOURCE "  [ lookup reg 1 set hosts6 ]\n  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_known(AF_INET, false, "nets4"),
		V4 "  [ payload load 4b @ network header + 16 => reg 1 ]\n"
		   "  [ lookup reg 1 set nets4 ]\n  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_known(AF_INET6, false, "nets6"),
		V6 "  [ payload load 16b @ network header + 24 => reg 1 ]\n"
		   "  [ lookup reg 1 set nets6 ]\n  [ immediate reg 0 accept ]");
	assert_rule(nft_rule_tell(AF_INET6, "told6", 7),
		V6_SOURCE "  [ dynset add reg_key 1 set told6 ]\n"
			  "  [ log prefix inner group 7 snaplen 64 qthreshold 1 ]");
}

static void test_outer_rules(void)
{
	if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
		g_test_skip("libnftnl prints words as little endian hosts have them");
		return;
	}
	assert_rule(nft_rule_contact(51820, "contact"),
		"[ meta load l4proto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000011 ]\n"
		"  [ payload load 2b @ transport header + 2 => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00006cca ]\n"
		"  [ payload load 4b @ transport header + 8 => reg 1 ]\n"
		"  [ cmp lt reg 1 0x00000003 ]\n"
		"  [ fib daddr type => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000002 ]\n"
		"  [ immediate reg 0 jump -> contact ]");
	assert_rule(nft_rule_refuse(AF_INET, "refused4"),
		TYPE("1") "  " V4_SENDER
			  "  [ lookup reg 1 set refused4 ]\n  [ immediate reg 0 drop ]");
	assert_rule(nft_rule_hear(AF_INET6, "heard6"),
		TYPE("1") "  " V6_SENDER "  [ dynset update reg_key 1 set heard6 ]");
	assert_rule(nft_rule_answer(AF_INET, "watching4", 7),
		TYPE("2") "  " V4_SENDER "  [ lookup reg 1 set watching4 ]\n"
			  "  [ log prefix answer group 7 snaplen 64 qthreshold 1 ]");
	assert_rule(nft_rule_untrack(51820),
		"[ meta load oif => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000001 ]\n"
		"  " V4 "  [ payload load 1b @ network header + 16 => reg 1 ]\n"
		"  [ cmp eq reg 1 0x0000007f ]\n"
		"  [ meta load l4proto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000011 ]\n"
		"  [ payload load 2b @ transport header + 0 => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00006cca ]\n"
		"  [ notrack ]");
}

/* -- the kernel at hand --------------------------------------------------------------------- */

static struct nft_config two_addresses(const struct prefix *addresses)
{
	return (struct nft_config){ .table = "lapwing-wt0",
		.ifname = "wt0",
		.ifindex = 7,
		.addresses = addresses,
		.n_addresses = 2,
		.fwmark = 0x1234 };
}

/* NULL: skipped. */
static struct nft *open_live(void)
{
	struct nft *nft;

	if (!live_namespace())
		return NULL;
	if (nft_open(&nft) < 0) {
		g_test_skip("no nftables in this kernel");
		return NULL;
	}
	return nft;
}

static void test_apply(void)
{
	struct prefix addresses[] = { prefix("100.64.0.1"), prefix("fd00::1") };
	struct nft_config config = two_addresses(addresses);
	struct nft *nft = open_live();
	uint64_t first = 1, second, third;
	int r;

	if (!nft)
		return;
	r = nft_apply(nft, &config);
	if (r == -ENOENT || r == -EOPNOTSUPP) {
		g_assert_true(r == -EOPNOTSUPP || nft_error_text(nft)[0]);
		g_test_skip("this kernel's nftables lack what our table needs");
		nft_close(nft);
		return;
	}
	g_assert_cmpint(r, ==, 0);
	g_assert_cmpstr(nft_error_text(nft), ==, "");
	g_assert_cmpint(nft_fingerprint(nft, config.table, &first), ==, 0);
	g_assert_cmpuint(first, !=, 0);
	g_assert_cmpint(nft_fingerprint(nft, config.table, &second), ==, 0);
	g_assert_cmpuint(first, ==, second);
	/* Made anew: other handles. */
	config.fwmark = 0;
	g_assert_cmpint(nft_apply(nft, &config), ==, 0);
	g_assert_cmpint(nft_fingerprint(nft, config.table, &third), ==, 0);
	g_assert_cmpuint(third, !=, 0);
	g_assert_cmpuint(third, !=, first);
	g_assert_cmpint(nft_remove(nft, config.table), ==, 0);
	g_assert_cmpint(nft_remove(nft, config.table), ==, 0);
	g_assert_cmpint(nft_fingerprint(nft, config.table, &second), ==, 0);
	g_assert_cmpuint(second, ==, 0);
	nft_close(nft);
	nft_close(NULL);
}

static void test_tables_apart(void)
{
	struct prefix addresses[] = { prefix("100.64.0.1"), prefix("fd00::1") };
	struct nft_config config = two_addresses(addresses), other = config;
	struct nft *nft = open_live();
	uint64_t before, after;

	if (!nft)
		return;
	g_strlcpy(other.table, "lapwing-wt", sizeof(other.table));
	if (nft_apply(nft, &config) == 0) {
		g_assert_cmpint(nft_fingerprint(nft, config.table, &before), ==, 0);
		g_assert_cmpint(nft_apply(nft, &other), ==, 0);
		g_assert_cmpint(nft_remove(nft, other.table), ==, 0);
		g_assert_cmpint(nft_fingerprint(nft, config.table, &after), ==, 0);
		g_assert_cmpuint(before, ==, after);
	} else {
		g_test_skip("this kernel's nftables lack what our table needs");
	}
	nft_close(nft);
}

static void test_many_addresses(void)
{
	enum { N = 4000 };
	g_autofree struct prefix *addresses = g_new(struct prefix, N);
	struct nft_config config = two_addresses(addresses);
	struct nft *nft = open_live();

	if (!nft)
		return;
	for (size_t i = 0; i < N; i++) {
		addresses[i] = prefix(i % 2 ? "100.64.0.1" : "fd00::1");
		addresses[i].addr[2] = (uint8_t)(i >> 8);
		addresses[i].addr[3] = (uint8_t)i;
	}
	if (nft_apply(nft, &config) == 0) {
		config.n_addresses = N;
		g_assert_cmpint(nft_apply(nft, &config), ==, 0);
	} else {
		g_test_skip("this kernel's nftables lack what our table needs");
	}
	nft_close(nft);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nft/rules", test_rules);
	g_test_add_func("/nft/rules/inner", test_inner_rules);
	g_test_add_func("/nft/rules/outer", test_outer_rules);
	g_test_add_func("/nft/live/apply", test_apply);
	g_test_add_func("/nft/live/tables-apart", test_tables_apart);
	g_test_add_func("/nft/live/many-addresses", test_many_addresses);
	return g_test_run();
}
