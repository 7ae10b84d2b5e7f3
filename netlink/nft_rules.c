/* netlink/nft_rules.c - the rules of our table, expression by expression as nft(8) does it. */
#include "netlink/nft_rules.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdio.h> /* for libnftnl/expr.h */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <string.h>

enum { REG = NFT_REG_1, TCP_FLAGS_OFFSET = 13 };

static struct nftnl_expr *add(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	g_assert(e);
	nftnl_rule_add_expr(rule, e);
	return e;
}

/* -- expressions ---------------------------------------------------------------------------- */

static void load_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *e = add(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, REG);
}

static void load_payload(struct nftnl_rule *rule, uint32_t base, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = add(rule, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, REG);
}

/* NFT_CMP_EQ or NFT_CMP_NEQ. */
static void compare(struct nftnl_rule *rule, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = add(rule, "cmp");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

static void is_byte(struct nftnl_rule *rule, uint8_t value)
{
	compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

static void is_u32(struct nftnl_rule *rule, uint32_t value)
{
	compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

static void set_u32(struct nftnl_rule *rule, uint32_t value)
{
	struct nftnl_expr *e = add(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, REG);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &value, sizeof(value));
}

/* By name, padded to the whole field: the rule holds when the interface is made again. */
static void match_name(struct nftnl_rule *rule, uint32_t key, uint32_t op, const char *ifname)
{
	char padded[IFNAMSIZ] = "";

	g_strlcpy(padded, ifname, sizeof(padded));
	load_meta(rule, key);
	compare(rule, op, padded, sizeof(padded));
}

static void match_protocol(struct nftnl_rule *rule, uint8_t protocol)
{
	load_meta(rule, NFT_META_L4PROTO);
	is_byte(rule, protocol);
}

/* -- the address guard ---------------------------------------------------------------------- */

static void match_destination(struct nftnl_rule *rule, const struct prefix *address)
{
	bool v4 = address->family == AF_INET;

	load_meta(rule, NFT_META_NFPROTO);
	is_byte(rule, v4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
	load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, v4 ? 16 : 24, v4 ? 4 : 16);
	compare(rule, NFT_CMP_EQ, address->addr, v4 ? 4 : 16);
}

static void match_foreign_source(struct nftnl_rule *rule)
{
	struct nftnl_expr *e = add(rule, "fib");
	uint32_t local = RTN_LOCAL;

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_SADDR);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, REG);
	compare(rule, NFT_CMP_NEQ, &local, sizeof(local));
}

struct nftnl_rule *nft_rule_guard(const char *ifname, const struct prefix *address)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	match_name(rule, NFT_META_IIFNAME, NFT_CMP_NEQ, ifname);
	match_destination(rule, address);
	match_foreign_source(rule);
	e = add(rule, "immediate");
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, NF_DROP);
	return rule;
}

/* -- the largest TCP segment ---------------------------------------------------------------- */

static void match_syn(struct nftnl_rule *rule)
{
	const uint8_t mask = TH_SYN | TH_RST, none = 0;
	struct nftnl_expr *e;

	match_protocol(rule, IPPROTO_TCP);
	load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, sizeof(mask));
	e = add(rule, "bitwise");
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof(mask));
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof(mask));
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &none, sizeof(none));
	is_byte(rule, TH_SYN);
}

static void load_route_mss(struct nftnl_rule *rule)
{
	struct nftnl_expr *e = add(rule, "rt");

	nftnl_expr_set_u32(e, NFTNL_EXPR_RT_KEY, NFT_RT_TCPMSS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RT_DREG, REG);
	e = add(rule, "byteorder");
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, sizeof(uint16_t));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, sizeof(uint16_t));
}

struct nftnl_rule *nft_rule_clamp(uint32_t name_key, const char *ifname)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	match_name(rule, name_key, NFT_CMP_EQ, ifname);
	match_syn(rule);
	load_route_mss(rule);
	/* The value of the option lies behind its kind and length. */
	e = add(rule, "exthdr");
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_SREG, REG);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, TCPOPT_MAXSEG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 2);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, sizeof(uint16_t));
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	return rule;
}

/* -- the mark of our own packets ------------------------------------------------------------ */

struct nftnl_rule *nft_rule_mark_out(uint32_t mark)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	match_protocol(rule, IPPROTO_UDP);
	load_meta(rule, NFT_META_MARK);
	is_u32(rule, mark);
	set_u32(rule, mark);
	e = add(rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, REG);
	return rule;
}

struct nftnl_rule *nft_rule_mark_in(uint32_t mark)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	match_protocol(rule, IPPROTO_UDP);
	e = add(rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, REG);
	is_u32(rule, mark);
	set_u32(rule, mark);
	e = add(rule, "meta");
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, REG);
	return rule;
}
