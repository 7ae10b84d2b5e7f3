/* netlink/nft_rules.h - the rules of our table; inside of nft.c and its tests. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct nftnl_rule;

/* Each makes a new rule without table and chain, freed by nftnl_rule_free. */

/* iif INDEX goto CHAIN, or accept without a chain */
struct nftnl_rule *nft_rule_from_tunnel(unsigned ifindex, const char *chain);
/* ip daddr ADDRESS fib saddr type != local drop */
struct nftnl_rule *nft_rule_guard(const struct prefix *address);
/* oifname IFNAME tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu, or with iifname:
 * name_key is NFT_META_OIFNAME or NFT_META_IIFNAME. The kernel looks at the routes both ways. */
struct nftnl_rule *nft_rule_clamp(uint32_t name_key, const char *ifname);
/* meta l4proto udp meta mark MARK ct mark set MARK */
struct nftnl_rule *nft_rule_mark_out(uint32_t mark);
/* meta l4proto udp ct mark MARK meta mark set MARK */
struct nftnl_rule *nft_rule_mark_in(uint32_t mark);

/* -- lazy peers; `set` is of the family AF_INET or AF_INET6 --------------------------------- */

/* oif != INDEX accept */
struct nftnl_rule *nft_rule_elsewhere(unsigned ifindex);
/* ip saddr @SET accept, or with ip daddr */
struct nftnl_rule *nft_rule_known(int family, bool source, const char *set);
/* add @SET { ip saddr } log prefix "inner" group GROUP snaplen 64 queue-threshold 1 */
struct nftnl_rule *nft_rule_tell(int family, const char *set, uint16_t group);
/* udp dport PORT @th,64,32 < 0x03000000 fib daddr type local jump CHAIN: what is no data */
struct nftnl_rule *nft_rule_contact(uint16_t port, const char *chain);
/* @th,64,32 0x01000000 ip saddr . udp sport @SET drop */
struct nftnl_rule *nft_rule_refuse(int family, const char *set);
/* @th,64,32 0x01000000 update @SET { ip saddr . udp sport } */
struct nftnl_rule *nft_rule_hear(int family, const char *set);
/* @th,64,32 0x02000000 ip saddr . udp sport @SET log prefix "answer" group GROUP snaplen 64 queue-threshold 1 */
struct nftnl_rule *nft_rule_answer(int family, const char *set, uint16_t group);
/* oif lo ip daddr 127.0.0.0/8 udp sport PORT notrack */
struct nftnl_rule *nft_rule_untrack(uint16_t port);
