/* netlink/nft_lazy.h - the sets, chains and rules for lazy peers; inside of nft.h. */
#pragma once

#include "netlink/nft.h"

struct nft_batch;

/* Chains for what comes in: out of the tunnel, with lazy.counts; and WireGuard packets that are no data,
 * with lazy.refuses. */
#define NFT_CHAIN_INNER "inner_in"
#define NFT_CHAIN_CONTACT "contact"

/* Everything that config->lazy asks for, into a table that is just being made, but for what leads to
 * these chains. */
void nft_lazy_put(struct nft_batch *b, const struct nft_config *config);
