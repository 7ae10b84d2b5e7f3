/* tests/unit/test_acl.c - what may come in over the tunnel: rules as sets, and what is sent for them. */
#include "netlink/acl.h"

#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/acl_rules.h"
#include "netlink/acl_sets.h"
#include "netlink/attr.h"
#include "netlink/nft_batch.h"
#include "tests/unit/fake_nl.h"

static struct nft nft;

static struct filter_rule rule(const char *source, uint8_t protocol, uint16_t first, uint16_t last)
{
	struct filter_rule r;

	memset(&r, 0, sizeof(r));
	g_assert_cmpint(prefix_parse(source, strlen(source), &r.source), ==, 0);
	r.protocol = protocol;
	r.first_port = first;
	r.last_port = last;
	return r;
}

static struct filter_rule drop(struct filter_rule r)
{
	r.drop = true;
	return r;
}

/* -- sets ----------------------------------------------------------------------------------- */

static void describe_key(GString *out, const uint8_t *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		g_string_append_printf(out, "%s%02x", i && i % 4 == 0 ? "." : "", key[i]);
}

/* "accept4_ports 64400002.06000000.00500000\n", and with "-last" where there are intervals. */
static char *describe_sets(const struct filter_rule *rules, size_t n)
{
	g_autoptr(GArray) sets = acl_sets_new(rules, n);
	GString *out = g_string_new(NULL);

	g_assert_nonnull(sets);
	for (guint i = 0; i < sets->len; i++) {
		const struct acl_set *set = &g_array_index(sets, struct acl_set, i);

		g_string_append(out, set->name);
		for (guint j = 0; j < set->elements->len; j++) {
			const struct acl_element *e = &g_array_index(
				set->elements, struct acl_element, j);

			g_string_append_c(out, ' ');
			describe_key(out, e->first, set->key_len);
			if (memcmp(e->first, e->last, set->key_len) == 0)
				continue;
			g_string_append_c(out, '-');
			describe_key(out, e->last, set->key_len);
		}
		g_string_append_c(out, '\n');
	}
	return g_string_free(out, FALSE);
}

#define assert_sets(want, ...) \
	do { \
		const struct filter_rule rules_[] = { __VA_ARGS__ }; \
		g_autofree char *have_ = describe_sets(rules_, G_N_ELEMENTS(rules_)); \
		g_assert_cmpstr(have_, ==, want); \
	} while (0)

static void test_hosts(void)
{
	g_autofree char *none = describe_sets(NULL, 0);

	g_assert_cmpstr(none, ==, "");
	assert_sets("accept4_hosts 64400002 64400003\n", rule("100.64.0.3", 0, 0, 0),
		rule("100.64.0.2", 0, 0, 0), rule("100.64.0.3", 0, 0, 0));
	assert_sets("accept4_protocols 64400002.01000000 64400002.06000000\n",
		rule("100.64.0.2", IPPROTO_TCP, 0, 0), rule("100.64.0.2", IPPROTO_ICMP, 0, 0));
	assert_sets("drop6_ports fd000000.00000000.00000000.00000001.11000000.00350000\n",
		drop(rule("fd00::1", IPPROTO_UDP, 53, 53)));
	assert_sets("drop4_hosts 01020304\naccept4_hosts 01020304\n", rule("1.2.3.4", 0, 0, 0),
		drop(rule("1.2.3.4", 0, 0, 0)));
	/* All ports are no condition. */
	assert_sets(
		"accept4_protocols 01020304.06000000\n", rule("1.2.3.4", IPPROTO_TCP, 0, 65535));
}

static void test_ranges(void)
{
	assert_sets("accept4_ranges 64400002.06000000.00500000-64400002.06000000.005a0000\n",
		rule("100.64.0.2", IPPROTO_TCP, 80, 90));
	/* What overlaps becomes one; other hosts and protocols stay apart. */
	assert_sets("accept4_ranges 64400002.06000000.000a0000-64400002.06000000.001e0000"
		    " 64400002.11000000.000a0000-64400002.11000000.00140000"
		    " 64400003.06000000.000a0000-64400003.06000000.00140000\n",
		rule("100.64.0.2", IPPROTO_TCP, 15, 30), rule("100.64.0.3", IPPROTO_TCP, 10, 20),
		rule("100.64.0.2", IPPROTO_TCP, 10, 20), rule("100.64.0.2", IPPROTO_UDP, 10, 20),
		rule("100.64.0.2", IPPROTO_TCP, 12, 13));
}

static void test_nets(void)
{
	assert_sets("accept4_nets 0a000000-0a00ffff\n", rule("10.0.1.0/24", 0, 0, 0),
		rule("10.0.0.0/16", 0, 0, 0), rule("10.0.0.0/24", 0, 0, 0));
	/* What follows at once, too. */
	assert_sets("accept4_nets 0a000000-0a0001ff\n", rule("10.0.1.0/24", 0, 0, 0),
		rule("10.0.0.0/24", 0, 0, 0));
	assert_sets("accept4_nets 00000000-ffffffff\n", rule("255.0.0.0/8", 0, 0, 0),
		rule("0.0.0.0/0", 0, 0, 0));
	assert_sets("accept6_nets_protocols 3a000000.00000000.00000000.00000000.00000000-"
		    "3a000000.ffffffff.ffffffff.ffffffff.ffffffff\n",
		rule("::/0", IPPROTO_ICMPV6, 0, 0));
	assert_sets("accept4_nets_ports 06000000.00160000.0a000000-06000000.00160000.0affffff\n",
		rule("10.0.0.0/8", IPPROTO_TCP, 22, 22));
	/* Blocks: 5, 6-7, 8-11, 12. */
	assert_sets("accept4_nets_ports 06000000.00050000.0a000000-06000000.00050000.0affffff"
		    " 06000000.000c0000.0a000000-06000000.000c0000.0affffff\n"
		    "accept4_nets_ports2 06000000.00060000.0a000000-06000000.00060000.0affffff\n"
		    "accept4_nets_ports4 06000000.00080000.0a000000-06000000.00080000.0affffff\n",
		rule("10.0.0.0/8", IPPROTO_TCP, 5, 12));
}

static void test_no_rules(void)
{
	static const struct {
		uint8_t family, bits, protocol;
		uint16_t first, last;
	} bad[] = {
		{ 0, 0, 0, 0, 0 },
		{ AF_INET, 33, 0, 0, 0 },
		{ AF_INET6, 129, 0, 0, 0 },
		{ AF_INET, 32, 0, 80, 80 },
		{ AF_INET, 32, IPPROTO_ICMP, 80, 80 },
		{ AF_INET, 32, IPPROTO_TCP, 80, 0 },
		{ AF_INET, 32, IPPROTO_TCP, 80, 79 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		struct filter_rule r = { { bad[i].family, bad[i].bits, { 0 } }, bad[i].protocol,
			false, bad[i].first, bad[i].last };
		const struct acl_config config = { "t", "wt0", &r, 1 };

		g_assert_null(acl_sets_new(&r, 1));
		fake_reset();
		g_assert_cmpint(acl_apply(&nft, &config), ==, -EINVAL);
		g_assert_cmpuint(fake.n_sends, ==, 0);
	}
}

/* -- what the sets say of a packet is what the rules say ------------------------------------ */

struct packet {
	struct prefix source;
	uint8_t protocol;
	uint16_t port;
};

static bool rule_takes(const struct filter_rule *r, const struct packet *p)
{
	bool ports = r->first_port || r->last_port;

	return prefix_contains(&r->source, &p->source) &&
		(!r->protocol || r->protocol == p->protocol) &&
		(!ports || (p->port >= r->first_port && p->port <= r->last_port));
}

static void put(uint8_t *key, size_t *len, const void *data, size_t n)
{
	memcpy(key + *len, data, n);
	*len += (n + 3) / 4 * 4;
}

/* As the rule of acl_rule_lookup loads it. */
static void packet_key(const struct acl_set *set, const struct packet *p, uint8_t *key)
{
	size_t n = set->family == AF_INET ? 4 : 16, len = 0;
	bool nets = set->kind >= ACL_NETS, ports = set->kind >= ACL_NETS_PORTS;
	uint16_t port = p->port;

	memset(key, 0, ACL_KEY_MAX);
	if (ports)
		port = (uint16_t)(port >> (set->kind - ACL_NETS_PORTS)
				<< (set->kind - ACL_NETS_PORTS));
	if (!nets)
		put(key, &len, p->source.addr, n);
	if (set->kind != ACL_HOSTS && set->kind != ACL_NETS)
		put(key, &len, &p->protocol, 1);
	if (ports || set->kind == ACL_PORTS || set->kind == ACL_RANGES)
		put(key, &len, (uint8_t[]){ (uint8_t)(port >> 8), (uint8_t)port }, 2);
	if (nets)
		put(key, &len, p->source.addr, n);
	g_assert_cmpuint(len, ==, set->key_len);
}

static bool set_has(const struct acl_set *set, const struct packet *p)
{
	uint8_t key[ACL_KEY_MAX];

	if (set->family != p->source.family)
		return false;
	packet_key(set, p, key);
	for (guint i = 0; i < set->elements->len; i++) {
		const struct acl_element *e = &g_array_index(set->elements, struct acl_element, i);

		/* In the order of the tree, and apart from each other. */
		g_assert_true(i == 0 || memcmp(e[-1].last, e->first, set->key_len) < 0);
		if (memcmp(e->first, key, set->key_len) <= 0 &&
			memcmp(key, e->last, set->key_len) <= 0)
			return true;
	}
	return false;
}

static struct prefix random_source(unsigned bits4, unsigned bits6)
{
	struct prefix p = { .family = g_random_int_range(0, 2) ? AF_INET : AF_INET6 };
	unsigned width;

	p.bits = (uint8_t)(p.family == AF_INET ? bits4 : bits6);
	width = prefix_width(&p) / 8;
	for (unsigned i = 0; i < width; i++)
		p.addr[i] = (uint8_t)(g_random_int_range(0, 2) ? 0xff : 0);
	for (unsigned i = p.bits; i < width * 8; i++)
		p.addr[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
	return p;
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = { 0, 1, 2, 7, 8, 22, 80, 443, 8000, 32768, 65534, 65535 };

	return ports[g_random_int_range(0, G_N_ELEMENTS(ports))];
}

static struct filter_rule random_rule(void)
{
	static const uint8_t protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	static const uint8_t bits[][2] = { { 32, 128 }, { 32, 128 }, { 24, 64 }, { 9, 17 },
		{ 0, 0 } };
	int b = g_random_int_range(0, G_N_ELEMENTS(bits));
	struct filter_rule r;

	memset(&r, 0, sizeof(r));
	r.source = random_source(bits[b][0], bits[b][1]);
	r.protocol = protocols[g_random_int_range(0, G_N_ELEMENTS(protocols))];
	r.drop = !g_random_int_range(0, 4);
	if (r.protocol == IPPROTO_TCP || r.protocol == IPPROTO_UDP) {
		uint16_t x = random_port(), y = random_port();

		r.first_port = MIN(x, y);
		r.last_port = MAX(x, y);
	}
	return r;
}

static void test_same_as_rules(void)
{
	for (int round = 0; round < 300; round++) {
		struct filter_rule rules[24];
		size_t n = (size_t)g_random_int_range(0, G_N_ELEMENTS(rules) + 1);
		g_autoptr(GArray) sets = NULL;

		for (size_t i = 0; i < n; i++)
			rules[i] = random_rule();
		sets = acl_sets_new(rules, n);
		for (int i = 0; i < 200; i++) {
			const struct packet p = { random_source(32, 128),
				g_random_int_range(0, 2) ? IPPROTO_TCP : IPPROTO_UDP,
				random_port() };
			bool want[2] = { false, false }, have[2] = { false, false };

			for (size_t j = 0; j < n; j++)
				want[rules[j].drop] |= rule_takes(&rules[j], &p);
			for (guint j = 0; j < sets->len; j++) {
				const struct acl_set *set = &g_array_index(sets, struct acl_set, j);

				have[set->drop] |= set_has(set, &p);
			}
			g_assert_cmpint(have[0], ==, want[0]);
			g_assert_cmpint(have[1], ==, want[1]);
		}
	}
}

/* -- what is sent --------------------------------------------------------------------------- */

static const struct nlattr *attr_of(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *table[16];

	g_assert_cmpint(attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
				G_N_ELEMENTS(table)),
		==, 0);
	return table[type];
}

static uint32_t u32_of(const struct nlmsghdr *nlh, uint16_t type)
{
	uint32_t value = 0;

	attr_copy(attr_of(nlh, type), &value, sizeof(value));
	return g_ntohl(value);
}

static unsigned count_elements(const struct nlmsghdr *nlh)
{
	struct attr_walk w = attr_walk_nested(attr_of(nlh, NFTA_SET_ELEM_LIST_ELEMENTS));
	unsigned n = 0;

	while (attr_next(&w))
		n++;
	g_assert_cmpuint(w.left, ==, 0);
	return n;
}

/* Message by message: what it makes. */
static char *describe_sent(void)
{
	GString *out = g_string_new(NULL);
	char name[32];

	for (size_t at = 0; at < fake.len;) {
		const struct nlmsghdr *nlh = (const void *)(fake.sent + at);

		at += NLMSG_ALIGN(nlh->nlmsg_len);
		if (nlh->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES)
			continue;
		switch (nlh->nlmsg_type & 0xff) {
		case NFT_MSG_NEWTABLE:
			g_string_append(out, "+table ");
			break;
		case NFT_MSG_DELTABLE:
			g_string_append(out, "-table ");
			break;
		case NFT_MSG_NEWSET:
			attr_text(attr_of(nlh, NFTA_SET_NAME), name, sizeof(name));
			g_string_append_printf(out, "%s:%x ", name, u32_of(nlh, NFTA_SET_FLAGS));
			break;
		case NFT_MSG_NEWSETELEM:
			g_string_append_printf(out, "elements:%u ", count_elements(nlh));
			break;
		case NFT_MSG_NEWCHAIN:
			attr_text(attr_of(nlh, NFTA_CHAIN_NAME), name, sizeof(name));
			g_string_append_printf(out, "%s ", name);
			break;
		case NFT_MSG_NEWRULE:
			g_string_append(out, "rule ");
			break;
		default:
			g_assert_not_reached();
		}
	}
	return g_string_free(out, FALSE);
}

static void test_transaction(void)
{
	const struct filter_rule rules[] = { rule("100.64.0.2", 0, 0, 0),
		rule("100.64.0.2", IPPROTO_TCP, 80, 90), rule("10.0.0.0/8", IPPROTO_UDP, 53, 53),
		rule("10.0.0.0/8", 0, 0, 0), drop(rule("fd00::1", IPPROTO_TCP, 22, 22)) };
	const struct acl_config config = { "lapwing-wt0-acl", "wt0", rules, G_N_ELEMENTS(rules) };
	const struct acl_config none = { "lapwing-wt0-acl", "wt0", NULL, 0 };
	g_autofree char *sent = NULL, *empty = NULL;

	fake_reset();
	g_assert_cmpint(acl_apply(&nft, &config), ==, 0);
	g_assert_cmpuint(fake.n_sends, ==, 1);
	sent = describe_sent();
	/* 2: constant, 4: interval, 80: concatenation. A network is one interval: begin and end. */
	g_assert_cmpstr(sent, ==,
		"+table -table +table drop6_ports:2 elements:1 accept4_hosts:2 elements:1 "
		"accept4_ranges:86 elements:1 accept4_nets:6 elements:2 accept4_nets_ports:86 elements:1 "
		"input rule rule rule rule rule rule rule rule "
		"forward rule rule rule ");
	fake_reset();
	g_assert_cmpint(acl_apply(&nft, &none), ==, 0);
	empty = describe_sent();
	g_assert_cmpstr(
		empty, ==, "+table -table +table input rule rule rule forward rule rule rule ");
}

/* Beyond a number of elements intervals are trees; beyond a size there are several messages. */
static void test_many(void)
{
	enum { N = 3000 };
	g_autofree struct filter_rule *rules = g_new0(struct filter_rule, N);
	const struct acl_config config = { "t", "wt0", rules, N };
	g_autofree char *sent = NULL;
	unsigned elements = 0;

	for (unsigned i = 0; i < N; i++) {
		rules[i] = rule("fd00::", IPPROTO_TCP, 80, 90);
		rules[i].source.bits = 128;
		rules[i].source.addr[14] = (uint8_t)(i >> 8);
		rules[i].source.addr[15] = (uint8_t)i;
	}
	fake_reset();
	g_assert_cmpint(acl_apply(&nft, &config), ==, 0);
	g_assert_cmpuint(fake.n_sends, ==, 1);
	sent = describe_sent();
	g_assert_nonnull(strstr(sent, "accept6_ranges:6 "));
	for (const char *at = sent; (at = strstr(at, "elements:")); at++) {
		g_assert_cmpint(atoi(at + 9), <, 1000);
		elements += (unsigned)atoi(at + 9);
	}
	g_assert_cmpuint(elements, ==, 2 * N);
}

static void test_too_many(void)
{
	enum { N = 4400 }; /* 30 blocks each */
	g_autofree struct filter_rule *rules = g_new0(struct filter_rule, N);
	const struct acl_config config = { "t", "wt0", rules, N };

	for (unsigned i = 0; i < N; i++) {
		rules[i] = rule("10.0.0.0/25", IPPROTO_TCP, 1, 65534);
		rules[i].source.addr[1] = (uint8_t)(i >> 8);
		rules[i].source.addr[2] = (uint8_t)i;
	}
	fake_reset();
	g_assert_cmpint(acl_apply(&nft, &config), ==, -E2BIG);
	g_assert_cmpstr(nft.text, ==, "264000 elements of sets, at most 262144 are taken");
	g_assert_cmpuint(fake.n_sends, ==, 0);
}

/* -- counting ------------------------------------------------------------------------------- */

static void put_counter(struct bytes *out, const char *table, uint64_t packets)
{
	const struct nfgenmsg nfg = { NFPROTO_INET, NFNETLINK_V0, 0 };
	size_t message = bytes_message(out, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, 0);
	size_t list, element, data;

	bytes_put(out, &nfg, sizeof(nfg));
	bytes_attr_text(out, NFTA_RULE_TABLE, table);
	list = bytes_nest(out, NFTA_RULE_EXPRESSIONS);
	element = bytes_nest(out, NFTA_LIST_ELEM);
	bytes_attr_text(out, NFTA_EXPR_NAME, "counter");
	data = bytes_nest(out, NFTA_EXPR_DATA);
	bytes_attr_u64(out, NFTA_COUNTER_PACKETS, GUINT64_TO_BE(packets));
	bytes_close(out, data);
	bytes_close(out, element);
	element = bytes_nest(out, NFTA_LIST_ELEM);
	bytes_attr_text(out, NFTA_EXPR_NAME, "immediate");
	bytes_close(out, element);
	bytes_close(out, list);
	bytes_end(out, message);
}

static void test_count(void)
{
	struct bytes reply = { .len = 0 };
	uint64_t refused = 1;

	fake_reset();
	g_assert_cmpint(acl_count_refused(&nft, "lapwing-wt0-acl", &refused), ==, 0);
	g_assert_cmpuint(refused, ==, 0);
	put_counter(&reply, "lapwing-wt0-acl", 7);
	put_counter(&reply, "lapwing-wt0-ac", 100); /* somebody else's */
	put_counter(&reply, "lapwing-wt0-acl", UINT64_C(1) << 40);
	fake.reply = &reply;
	g_assert_cmpint(acl_count_refused(&nft, "lapwing-wt0-acl", &refused), ==, 0);
	g_assert_cmpuint(refused, ==, (UINT64_C(1) << 40) + 7);
	fake.result = -ENOENT;
	refused = 3;
	g_assert_cmpint(acl_count_refused(&nft, "lapwing-wt0-acl", &refused), ==, -ENOENT);
	g_assert_cmpuint(refused, ==, 3);
}

/* -- rules ---------------------------------------------------------------------------------- */

/* Frees the rule. */
static void assert_rule(struct nftnl_rule *r, const char *want)
{
	char text[2048];

	nftnl_rule_snprintf(text, sizeof(text), r, NFTNL_OUTPUT_DEFAULT, 0);
	g_assert_cmpstr(g_strstrip(text), ==, want);
	nftnl_rule_free(r);
}

/* What `nft --debug=netlink` prints for the rules in acl_rules.h. */
static void test_rules(void)
{
	struct acl_set set = { "s", ACL_PORTS, false, AF_INET, 12, NULL };

	if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
		g_test_skip("libnftnl prints words as little endian hosts have them");
		return;
	}
	assert_rule(acl_rule_elsewhere("wt0"),
		"[ meta load iifname => reg 1 ]\n"
		"  [ cmp neq reg 1 0x00307477 0x00000000 0x00000000 0x00000000 ]\n"
		"  [ immediate reg 0 accept ]");
	assert_rule(acl_rule_replies(),
		"[ ct load state => reg 1 ]\n"
		"  [ bitwise reg 1 = ( reg 1 & 0x00000006 ) ^ 0x00000000 ]\n"
		"  [ cmp neq reg 1 0x00000000 ]\n"
		"  [ immediate reg 0 accept ]");
	assert_rule(acl_rule_lookup(&set),
		"[ meta load nfproto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x00000002 ]\n"
		"  [ payload load 4b @ network header + 12 => reg 8 ]\n"
		"  [ meta load l4proto => reg 9 ]\n"
		"  [ payload load 2b @ transport header + 2 => reg 10 ]\n"
		"  [ lookup reg 1 set s ]\n"
		"  [ immediate reg 0 accept ]");
	set = (struct acl_set){ "s", ACL_NETS_PORTS + 4, true, AF_INET6, 24, NULL };
	assert_rule(acl_rule_lookup(&set),
		"[ meta load nfproto => reg 1 ]\n"
		"  [ cmp eq reg 1 0x0000000a ]\n"
		"  [ meta load l4proto => reg 8 ]\n"
		"  [ payload load 2b @ transport header + 2 => reg 9 ]\n"
		"  [ bitwise reg 9 = ( reg 9 & 0x0000f0ff ) ^ 0x00000000 ]\n"
		"  [ payload load 16b @ network header + 8 => reg 10 ]\n"
		"  [ lookup reg 1 set s ]\n"
		"  [ immediate reg 0 drop ]");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/acl/sets/hosts", test_hosts);
	g_test_add_func("/acl/sets/ranges", test_ranges);
	g_test_add_func("/acl/sets/nets", test_nets);
	g_test_add_func("/acl/sets/no-rules", test_no_rules);
	g_test_add_func("/acl/sets/same-as-rules", test_same_as_rules);
	g_test_add_func("/acl/transaction", test_transaction);
	g_test_add_func("/acl/many", test_many);
	g_test_add_func("/acl/too-many", test_too_many);
	g_test_add_func("/acl/count", test_count);
	g_test_add_func("/acl/rules", test_rules);
	return g_test_run();
}
