/* netlink/expr.h - expressions of nftables rules; inside of nft_rules.c. */
#pragma once

#include <stdint.h>

struct nftnl_expr;
struct nftnl_rule;

/* Each is added at the end of the rule. They load into register 1, or compare what is there. */
struct nftnl_expr *expr_add(struct nftnl_rule *rule, const char *name);
void expr_load_meta(struct nftnl_rule *rule, uint32_t key);
void expr_load_payload(struct nftnl_rule *rule, uint32_t base, uint32_t offset, uint32_t len);
void expr_load_payload_to(
	struct nftnl_rule *rule, uint32_t reg, uint32_t base, uint32_t offset, uint32_t len);
void expr_load_fib_type(struct nftnl_rule *rule, uint32_t flags); /* RTN_LOCAL, ... */
void expr_set(struct nftnl_rule *rule, const void *data, uint32_t len);
void expr_set_u32(struct nftnl_rule *rule, uint32_t value);
/* What is in register 1, with only the bits of the mask. */
void expr_mask(struct nftnl_rule *rule, const void *mask, uint32_t len);
void expr_store_meta(struct nftnl_rule *rule, uint32_t key);
/* Into the UDP header; its checksum is mended. */
void expr_store_udp(struct nftnl_rule *rule, uint32_t offset, uint32_t len);

void expr_compare(struct nftnl_rule *rule, uint32_t op, const void *data, uint32_t len);
void expr_is_byte(struct nftnl_rule *rule, uint8_t value);
void expr_is_u32(struct nftnl_rule *rule, uint32_t value);
/* By name, padded to the whole field: the rule holds when the interface is made again. */
void expr_match_name(struct nftnl_rule *rule, uint32_t key, uint32_t op, const char *ifname);
void expr_match_protocol(struct nftnl_rule *rule, uint8_t protocol);
/* What is in the registers from 1 on is in the set. */
void expr_lookup(struct nftnl_rule *rule, const char *set);
/* The same, and register 1 is what the map has for it. */
void expr_lookup_map(struct nftnl_rule *rule, const char *map);
/* It is now: NFT_DYNSET_OP_ADD or _UPDATE. The rule ends where the set is full. */
void expr_put(struct nftnl_rule *rule, uint32_t op, const char *set);
/* In a map, with what is in register `data`. */
void expr_put_mapped(struct nftnl_rule *rule, uint32_t op, const char *map, uint32_t data);

/* NF_ACCEPT, NF_DROP; NFT_JUMP, NFT_GOTO to a chain. */
void expr_verdict(struct nftnl_rule *rule, int verdict, const char *chain);
/* To an nfqueue, and past it when nobody listens. */
void expr_queue(struct nftnl_rule *rule, uint16_t queue);
/* The first bytes of the packet to an nflog group, at once. */
void expr_log(struct nftnl_rule *rule, uint16_t group, const char *prefix);
