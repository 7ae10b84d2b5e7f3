/* netlink/expr.c - expressions of nftables rules, each as nft(8) makes it. */
#include "netlink/expr.h"

#include <glib.h>
#include <stddef.h>
#include <stdio.h> /* for libnftnl/expr.h */

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>
#include <netinet/udp.h>

enum {
	REG = NFT_REG_1,
	/* An IPv4 header with all options and a UDP header's ports, or those of IPv6. */
	LOGGED_BYTES = 64,
};

struct nftnl_expr *expr_add(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *e = nftnl_expr_alloc(name);

	g_assert(e);
	nftnl_rule_add_expr(rule, e);
	return e;
}

/* -- loading -------------------------------------------------------------------------------- */

void expr_load_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *e = expr_add(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, REG);
}

void expr_load_payload(struct nftnl_rule *rule, uint32_t base, uint32_t offset, uint32_t len)
{
	expr_load_payload_to(rule, REG, base, offset, len);
}

void expr_load_payload_to(
	struct nftnl_rule *rule, uint32_t reg, uint32_t base, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = expr_add(rule, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void expr_load_fib_type(struct nftnl_rule *rule, uint32_t flags)
{
	struct nftnl_expr *e = expr_add(rule, "fib");

	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, flags);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, REG);
}

void expr_set(struct nftnl_rule *rule, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr_add(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, REG);
	nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, data, len);
}

void expr_set_u32(struct nftnl_rule *rule, uint32_t value)
{
	expr_set(rule, &value, sizeof(value));
}

void expr_mask(struct nftnl_rule *rule, const void *mask, uint32_t len)
{
	static const uint8_t none[16];
	struct nftnl_expr *e = expr_add(rule, "bitwise");

	g_assert(len <= sizeof(none));
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, mask, len);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, none, len);
}

/* -- storing -------------------------------------------------------------------------------- */

void expr_store_meta(struct nftnl_rule *rule, uint32_t key)
{
	struct nftnl_expr *e = expr_add(rule, "meta");

	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, REG);
}

void expr_store_udp(struct nftnl_rule *rule, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = expr_add(rule, "payload");

	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, offsetof(struct udphdr, check));
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_FLAGS, 0);
}

/* -- comparing ------------------------------------------------------------------------------ */

void expr_compare(struct nftnl_rule *rule, uint32_t op, const void *data, uint32_t len)
{
	struct nftnl_expr *e = expr_add(rule, "cmp");

	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len);
}

void expr_is_byte(struct nftnl_rule *rule, uint8_t value)
{
	expr_compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

void expr_is_u32(struct nftnl_rule *rule, uint32_t value)
{
	expr_compare(rule, NFT_CMP_EQ, &value, sizeof(value));
}

void expr_match_name(struct nftnl_rule *rule, uint32_t key, uint32_t op, const char *ifname)
{
	char padded[IFNAMSIZ] = "";

	g_strlcpy(padded, ifname, sizeof(padded));
	expr_load_meta(rule, key);
	expr_compare(rule, op, padded, sizeof(padded));
}

void expr_match_protocol(struct nftnl_rule *rule, uint8_t protocol)
{
	expr_load_meta(rule, NFT_META_L4PROTO);
	expr_is_byte(rule, protocol);
}

/* -- sets ----------------------------------------------------------------------------------- */

void expr_lookup(struct nftnl_rule *rule, const char *set)
{
	struct nftnl_expr *e = expr_add(rule, "lookup");

	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, REG);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
}

void expr_lookup_map(struct nftnl_rule *rule, const char *map)
{
	struct nftnl_expr *e = expr_add(rule, "lookup");

	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, REG);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, map);
}

static struct nftnl_expr *put(struct nftnl_rule *rule, uint32_t op, const char *set)
{
	struct nftnl_expr *e = expr_add(rule, "dynset");

	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, op);
	nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set);
	return e;
}

void expr_put(struct nftnl_rule *rule, uint32_t op, const char *set)
{
	put(rule, op, set);
}

void expr_put_mapped(struct nftnl_rule *rule, uint32_t op, const char *map, uint32_t data)
{
	nftnl_expr_set_u32(put(rule, op, map), NFTNL_EXPR_DYNSET_SREG_DATA, data);
}

/* -- what follows --------------------------------------------------------------------------- */

void expr_verdict(struct nftnl_rule *rule, int verdict, const char *chain)
{
	struct nftnl_expr *e = expr_add(rule, "immediate");

	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)verdict);
	if (chain)
		nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain);
}

void expr_queue(struct nftnl_rule *rule, uint16_t queue)
{
	struct nftnl_expr *e = expr_add(rule, "queue");

	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_NUM, queue);
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_TOTAL, 1);
	nftnl_expr_set_u16(e, NFTNL_EXPR_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
}

void expr_log(struct nftnl_rule *rule, uint16_t group, const char *prefix)
{
	struct nftnl_expr *e = expr_add(rule, "log");

	nftnl_expr_set_str(e, NFTNL_EXPR_LOG_PREFIX, prefix);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_GROUP, group);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOG_SNAPLEN, LOGGED_BYTES);
	nftnl_expr_set_u16(e, NFTNL_EXPR_LOG_QTHRESHOLD, 1);
}
