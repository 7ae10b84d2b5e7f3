/* netlink/nft_rules.c - the rules of our table, expression by expression as nft(8) does it. */
#include "netlink/nft_rules.h"

#include <arpa/inet.h>
#include <stdio.h> /* for libnftnl/expr.h */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <netinet/tcp.h>

#include "netlink/expr.h"

enum {
	TCP_FLAGS_OFFSET = 13,
	UDP_SPORT_OFFSET = 0,
	UDP_DPORT_OFFSET = 2,
	WG_TYPE_OFFSET = 8, /* behind the UDP header */
	WG_INITIATION = 1,
	WG_RESPONSE = 2,
	WG_COOKIE = 3,
	LOOPBACK_INDEX = 1, /* in every namespace */
	LOOPBACK_NET = 127,
};

/* Where addresses are, and the register behind one in register 1. */
struct layout {
	uint8_t nfproto, source, destination, len, port_reg;
};

static const struct layout *layout_of(int family)
{
	static const struct layout v4 = { NFPROTO_IPV4, 12, 16, 4, NFT_REG32_01 },
				   v6 = { NFPROTO_IPV6, 8, 24, 16, NFT_REG_2 };

	return family == AF_INET ? &v4 : &v6;
}

static void load_address(struct nftnl_rule *rule, int family, bool source)
{
	const struct layout *l = layout_of(family);

	expr_load_meta(rule, NFT_META_NFPROTO);
	expr_is_byte(rule, l->nfproto);
	expr_load_payload(
		rule, NFT_PAYLOAD_NETWORK_HEADER, source ? l->source : l->destination, l->len);
}

static void match_udp(struct nftnl_rule *rule, uint32_t port_offset, uint16_t port)
{
	uint16_t wire = htons(port);

	expr_match_protocol(rule, IPPROTO_UDP);
	expr_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, port_offset, sizeof(wire));
	expr_compare(rule, NFT_CMP_EQ, &wire, sizeof(wire));
}

/* -- what comes in ----------------------------------------------------------------------------- */

struct nftnl_rule *nft_rule_from_tunnel(unsigned ifindex, const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_load_meta(rule, NFT_META_IIF);
	expr_is_u32(rule, ifindex);
	expr_verdict(rule, chain ? NFT_GOTO : NF_ACCEPT, chain);
	return rule;
}

struct nftnl_rule *nft_rule_guard(const struct prefix *address)
{
	const uint32_t local = RTN_LOCAL;
	struct nftnl_rule *rule = nftnl_rule_alloc();

	load_address(rule, address->family, false);
	expr_compare(rule, NFT_CMP_EQ, address->addr, layout_of(address->family)->len);
	expr_load_fib_type(rule, NFTA_FIB_F_SADDR);
	expr_compare(rule, NFT_CMP_NEQ, &local, sizeof(local));
	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}

/* -- the largest TCP segment ---------------------------------------------------------------- */

static void match_syn(struct nftnl_rule *rule)
{
	const uint8_t mask = TH_SYN | TH_RST;

	expr_match_protocol(rule, IPPROTO_TCP);
	expr_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS_OFFSET, sizeof(mask));
	expr_mask(rule, &mask, sizeof(mask));
	expr_is_byte(rule, TH_SYN);
}

static void load_route_mss(struct nftnl_rule *rule)
{
	struct nftnl_expr *e = expr_add(rule, "rt");

	nftnl_expr_set_u32(e, NFTNL_EXPR_RT_KEY, NFT_RT_TCPMSS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RT_DREG, NFT_REG_1);
	e = expr_add(rule, "byteorder");
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, sizeof(uint16_t));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, sizeof(uint16_t));
}

struct nftnl_rule *nft_rule_clamp(uint32_t name_key, const char *ifname)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	expr_match_name(rule, name_key, NFT_CMP_EQ, ifname);
	match_syn(rule);
	load_route_mss(rule);
	/* The value of the option lies behind its kind and length. */
	e = expr_add(rule, "exthdr");
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_SREG, NFT_REG_1);
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

	expr_match_protocol(rule, IPPROTO_UDP);
	expr_load_meta(rule, NFT_META_MARK);
	expr_is_u32(rule, mark);
	expr_set_u32(rule, mark);
	e = expr_add(rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, NFT_REG_1);
	return rule;
}

struct nftnl_rule *nft_rule_mark_in(uint32_t mark)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e;

	expr_match_protocol(rule, IPPROTO_UDP);
	e = expr_add(rule, "ct");
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	expr_is_u32(rule, mark);
	expr_set_u32(rule, mark);
	expr_store_meta(rule, NFT_META_MARK);
	return rule;
}

/* -- inner packets of lazy peers ------------------------------------------------------------ */

struct nftnl_rule *nft_rule_elsewhere(unsigned ifindex)
{
	const uint32_t index = ifindex;
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_load_meta(rule, NFT_META_OIF);
	expr_compare(rule, NFT_CMP_NEQ, &index, sizeof(index));
	expr_verdict(rule, NF_ACCEPT, NULL);
	return rule;
}

struct nftnl_rule *nft_rule_known(int family, bool source, const char *set)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	load_address(rule, family, source);
	expr_lookup(rule, set);
	expr_verdict(rule, NF_ACCEPT, NULL);
	return rule;
}

struct nftnl_rule *nft_rule_tell(int family, const char *set, uint16_t group)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	load_address(rule, family, true);
	expr_put(rule, NFT_DYNSET_OP_ADD, set);
	expr_log(rule, group, "inner");
	return rule;
}

/* -- WireGuard's own packets ---------------------------------------------------------------- */

/* With the three zeros behind it: the first byte alone may be that of a STUN message. */
static void compare_type(struct nftnl_rule *rule, uint32_t op, uint8_t type)
{
	const uint8_t wire[4] = { type };

	expr_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, WG_TYPE_OFFSET, sizeof(wire));
	expr_compare(rule, op, wire, sizeof(wire));
}

/* Of this type, and with address and port of the sender in the registers. */
static struct nftnl_rule *new_from(int family, uint8_t type)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	compare_type(rule, NFT_CMP_EQ, type);
	load_address(rule, family, true);
	expr_load_payload_to(rule, layout_of(family)->port_reg, NFT_PAYLOAD_TRANSPORT_HEADER,
		UDP_SPORT_OFFSET, sizeof(uint16_t));
	return rule;
}

struct nftnl_rule *nft_rule_contact(uint16_t port, const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_udp(rule, UDP_DPORT_OFFSET, port);
	compare_type(rule, NFT_CMP_LT, WG_COOKIE);
	/* Not what is forwarded to somebody else's WireGuard. */
	expr_load_fib_type(rule, NFTA_FIB_F_DADDR);
	expr_is_u32(rule, RTN_LOCAL);
	expr_verdict(rule, NFT_JUMP, chain);
	return rule;
}

struct nftnl_rule *nft_rule_refuse(int family, const char *set)
{
	struct nftnl_rule *rule = new_from(family, WG_INITIATION);

	expr_lookup(rule, set);
	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}

struct nftnl_rule *nft_rule_hear(int family, const char *set)
{
	struct nftnl_rule *rule = new_from(family, WG_INITIATION);

	expr_put(rule, NFT_DYNSET_OP_UPDATE, set);
	return rule;
}

struct nftnl_rule *nft_rule_answer(int family, const char *set, uint16_t group)
{
	struct nftnl_rule *rule = new_from(family, WG_RESPONSE);

	expr_lookup(rule, set);
	expr_log(rule, group, "answer");
	return rule;
}

struct nftnl_rule *nft_rule_untrack(uint16_t port)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_load_meta(rule, NFT_META_OIF);
	expr_is_u32(rule, LOOPBACK_INDEX);
	expr_load_meta(rule, NFT_META_NFPROTO);
	expr_is_byte(rule, NFPROTO_IPV4);
	expr_load_payload(rule, NFT_PAYLOAD_NETWORK_HEADER, layout_of(AF_INET)->destination, 1);
	expr_is_byte(rule, LOOPBACK_NET);
	match_udp(rule, UDP_SPORT_OFFSET, port);
	expr_add(rule, "notrack");
	return rule;
}
