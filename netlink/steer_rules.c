/* netlink/steer_rules.c - the rules that lead ICE's checks, expression by expression as nft(8) does it. */
#include "netlink/steer_rules.h"

#include <arpa/inet.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/udp.h>
#include <stddef.h>

#include "netlink/expr.h"
#include "netlink/steer.h"

enum {
	SOURCE_PORT = 0, /* in the UDP header */
	DESTINATION_PORT = 2,
	MESSAGE = sizeof(struct udphdr), /* then the message, which begins with its type */
	TRANSACTION = MESSAGE + 8,
	TRANSACTION_LEN = 12,
	ATTR_USERNAME = 6,
	ATTR_HEAD = 4,
};

static void load_udp(struct nftnl_rule *rule, uint32_t offset, uint32_t len)
{
	expr_load_payload(rule, NFT_PAYLOAD_TRANSPORT_HEADER, offset, len);
}

static void is_u16(struct nftnl_rule *rule, uint32_t op, uint16_t value)
{
	uint16_t wire = htons(value);

	expr_compare(rule, op, &wire, sizeof(wire));
}

static void match_ports(struct nftnl_rule *rule, uint32_t offset, uint16_t first, uint16_t last)
{
	expr_match_protocol(rule, IPPROTO_UDP);
	load_udp(rule, offset, sizeof(uint16_t));
	if (first == last) {
		is_u16(rule, NFT_CMP_EQ, first);
		return;
	}
	is_u16(rule, NFT_CMP_GTE, first);
	is_u16(rule, NFT_CMP_LTE, last);
}

/* WireGuard's packets begin with 1 to 4 and three zeros, which is 0 here. No magic cookie is asked for: requests to
 * STUN servers by the older RFC have none. */
static void match_type(struct nftnl_rule *rule, uint16_t mask, uint16_t type)
{
	uint16_t wire = htons(mask);

	load_udp(rule, MESSAGE, sizeof(wire));
	if (mask != UINT16_MAX)
		expr_mask(rule, &wire, sizeof(wire));
	is_u16(rule, NFT_CMP_EQ, type);
}

/* Of any class. */
static void match_binding(struct nftnl_rule *rule)
{
	match_type(rule, 0xfeef, 1);
}

static void match_user(struct nftnl_rule *rule, uid_t uid)
{
	expr_load_meta(rule, NFT_META_SKUID);
	expr_is_u32(rule, uid);
}

/* -- what goes out -------------------------------------------------------------------------- */

struct nftnl_rule *steer_rule_ours(const struct steer_config *config, const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_ports(rule, SOURCE_PORT, config->first_port, config->last_port);
	match_user(rule, config->uid);
	expr_verdict(rule, NFT_GOTO, chain);
	return rule;
}

struct nftnl_rule *steer_rule_mark(uint32_t mark)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_load_meta(rule, NFT_META_MARK);
	expr_is_u32(rule, 0);
	expr_set_u32(rule, mark);
	expr_store_meta(rule, NFT_META_MARK);
	return rule;
}

struct nftnl_rule *steer_rule_remember(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_type(rule, UINT16_MAX, 1);
	load_udp(rule, TRANSACTION, TRANSACTION_LEN);
	expr_load_payload_to(
		rule, NFT_REG_2, NFT_PAYLOAD_TRANSPORT_HEADER, SOURCE_PORT, sizeof(uint16_t));
	expr_put_mapped(rule, NFT_DYNSET_OP_UPDATE, STEER_SENT, NFT_REG_2);
	return rule;
}

struct nftnl_rule *steer_rule_leave(uint16_t port)
{
	uint16_t wire = htons(port);
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_binding(rule);
	expr_set(rule, &wire, sizeof(wire));
	expr_store_udp(rule, SOURCE_PORT, sizeof(wire));
	return rule;
}

struct nftnl_rule *steer_rule_keep_out(const struct steer_config *config)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_match_name(rule, NFT_META_OIFNAME, NFT_CMP_EQ, config->ifname);
	match_ports(rule, SOURCE_PORT, config->listen_port, config->listen_port);
	match_user(rule, config->uid);
	match_binding(rule);
	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}

/* -- what comes in -------------------------------------------------------------------------- */

struct nftnl_rule *steer_rule_arrive(const struct steer_config *config, const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_ports(rule, DESTINATION_PORT, config->listen_port, config->listen_port);
	match_binding(rule);
	expr_match_name(rule, NFT_META_IIFNAME, NFT_CMP_NEQ, config->ifname);
	expr_verdict(rule, NFT_GOTO, chain);
	return rule;
}

/* By what the register holds now. */
static void lead(struct nftnl_rule *rule, const char *map, const char *chain)
{
	expr_lookup_map(rule, map);
	expr_store_udp(rule, DESTINATION_PORT, sizeof(uint16_t));
	expr_verdict(rule, NFT_GOTO, chain);
}

struct nftnl_rule *steer_rule_answer(const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_type(rule, 0x0100, 0x0100);
	load_udp(rule, TRANSACTION, TRANSACTION_LEN);
	lead(rule, STEER_SENT, chain);
	return rule;
}

struct nftnl_rule *steer_rule_request(uint32_t offset, const char *chain)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	load_udp(rule, MESSAGE + offset, sizeof(uint16_t));
	is_u16(rule, NFT_CMP_EQ, ATTR_USERNAME);
	load_udp(rule, MESSAGE + offset + ATTR_HEAD, STEER_UFRAG_LEN);
	lead(rule, STEER_UFRAGS, chain);
	return rule;
}

struct nftnl_rule *steer_rule_drop_indication(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_type(rule, UINT16_MAX, 0x0011);
	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}

struct nftnl_rule *steer_rule_drop(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	expr_verdict(rule, NF_DROP, NULL);
	return rule;
}

struct nftnl_rule *steer_rule_queue(const struct steer_config *config)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	match_ports(rule, DESTINATION_PORT, config->queue_from_port, config->last_port);
	expr_queue(rule, config->queue);
	return rule;
}
