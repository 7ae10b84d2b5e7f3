/* netlink/acl_rules.c - the rules of the table that says what may come in, as nft(8) makes them. */
#include "netlink/acl_rules.h"

#include <arpa/inet.h>
#include <stdio.h> /* for libnftnl/expr.h */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include "netlink/acl_sets.h"
#include "netlink/expr.h"

enum { SADDR4_OFFSET = 12, SADDR6_OFFSET = 8, DPORT_OFFSET = 2, WORD = 4 };

/* -- masks ---------------------------------------------------------------------------------- */

static void mask(
	struct nftnl_rule *rule, uint32_t reg, const void *bits, const void *zero, uint32_t len)
{
	struct nftnl_expr *e = expr_add(rule, "bitwise");

	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, len);
}

struct nftnl_rule *acl_rule_replies(void)
{
	const uint32_t none = 0,
		       replies = NF_CT_STATE_BIT(IP_CT_ESTABLISHED) |
		NF_CT_STATE_BIT(IP_CT_RELATED);
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nftnl_expr *e = expr_add(rule, "ct");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_STATE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, NFT_REG_1);
	mask(rule, NFT_REG_1, &replies, &none, sizeof(none));
	expr_compare(rule, NFT_CMP_NEQ, &none, sizeof(none));
	expr_verdict(rule, NF_ACCEPT, NULL);
	return rule;
}

/* -- what the rules of the map say ---------------------------------------------------------- */

/* Fields follow each other in registers of four bytes. */
static void load_source(struct nftnl_rule *rule, uint32_t *reg, uint8_t family)
{
	bool v4 = family == AF_INET;
	uint32_t len = v4 ? 4 : 16;

	expr_load_payload_to(
		rule, *reg, NFT_PAYLOAD_NETWORK_HEADER, v4 ? SADDR4_OFFSET : SADDR6_OFFSET, len);
	*reg += len / WORD;
}

static void load_protocol(struct nftnl_rule *rule, uint32_t *reg)
{
	struct nftnl_expr *e = expr_add(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, (*reg)++);
}

static void load_port(struct nftnl_rule *rule, uint32_t *reg, unsigned block_bits)
{
	const uint16_t none = 0, bits = htons((uint16_t)(UINT16_MAX << block_bits));

	expr_load_payload_to(
		rule, *reg, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof(uint16_t));
	if (block_bits)
		mask(rule, *reg, &bits, &none, sizeof(bits));
	(*reg)++;
}

struct nftnl_rule *acl_rule_lookup(const struct acl_set *set)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	enum acl_kind kind = set->kind;
	uint32_t reg = NFT_REG32_00;

	expr_load_meta(rule, NFT_META_NFPROTO);
	expr_is_byte(rule, set->family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
	if (kind < ACL_NETS)
		load_source(rule, &reg, set->family);
	if (kind != ACL_HOSTS && kind != ACL_NETS)
		load_protocol(rule, &reg);
	if (kind == ACL_PORTS || kind == ACL_RANGES)
		load_port(rule, &reg, 0);
	else if (kind >= ACL_NETS_PORTS)
		load_port(rule, &reg, kind - ACL_NETS_PORTS);
	if (kind >= ACL_NETS)
		load_source(rule, &reg, set->family);
	expr_lookup(rule, set->name);
	expr_verdict(rule, set->drop ? NF_DROP : NF_ACCEPT, NULL);
	return rule;
}

/* -- all others ----------------------------------------------------------------------------- */

struct nftnl_rule *acl_rule_elsewhere(const char *ifname)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_match_name(rule, NFT_META_IIFNAME, NFT_CMP_NEQ, ifname);
	expr_verdict(rule, NF_ACCEPT, NULL);
	return rule;
}

struct nftnl_rule *acl_rule_refuse(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_add(rule, "counter");
	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}
