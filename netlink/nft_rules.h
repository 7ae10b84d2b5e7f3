/* netlink/nft_rules.h - the rules of our table; inside of nft.c and its tests. */
#pragma once

#include <stdint.h>

#include "agent/base/addr.h"

struct nftnl_rule;

/* Each makes a new rule without table and chain, freed by nftnl_rule_free. */

/* iifname != IFNAME ip daddr ADDRESS fib saddr type != local drop */
struct nftnl_rule *nft_rule_guard(const char *ifname, const struct prefix *address);
/* oifname IFNAME tcp flags & (syn|rst) == syn tcp option maxseg size set rt mtu, or with iifname:
 * name_key is NFT_META_OIFNAME or NFT_META_IIFNAME. The kernel looks at the routes both ways. */
struct nftnl_rule *nft_rule_clamp(uint32_t name_key, const char *ifname);
/* meta l4proto udp meta mark MARK ct mark set MARK */
struct nftnl_rule *nft_rule_mark_out(uint32_t mark);
/* meta l4proto udp ct mark MARK meta mark set MARK */
struct nftnl_rule *nft_rule_mark_in(uint32_t mark);
