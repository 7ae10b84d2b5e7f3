/* netlink/nft.h - our own nftables table, replaced as a whole in one transaction. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct nft;

enum { NFT_TABLE_NAME_MAX = 32 };

/* Everything the table is made from. */
struct nft_config {
	char table[NFT_TABLE_NAME_MAX]; /* "lapwing-wt0", family inet */
	char ifname[IFNAMSIZ];
	/* Overlay addresses of this host: packets to them that come in by another interface
	 * (and not from this host itself) are dropped before conntrack. */
	const struct prefix *addresses;
	size_t n_addresses;
	/* Not 0: our own UDP packets carry this mark; replies get it back from conntrack, so that
	 * reverse path filters agree with a default route of ours. */
	uint32_t fwmark;
};

/* 0 or a negative errno. -EOPNOTSUPP: this kernel cannot do it. */
int nft_open(struct nft **ret);
void nft_close(struct nft *nft);

/* Deletes the table if there is one and makes it anew, in one transaction. */
int nft_apply(struct nft *nft, const struct nft_config *config);
int nft_remove(struct nft *nft, const char *table); /* 0 also when there is none */

/* A number that changes when anybody changes chains or rules of the table; 0: it is not there. Read
 * it after nft_apply and compare later. */
int nft_fingerprint(struct nft *nft, const char *table, uint64_t *ret);
const char *nft_error_text(const struct nft *nft);
