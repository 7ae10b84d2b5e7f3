/* netlink/nft.h - our own nftables table, replaced as a whole in one transaction. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct nft;

enum { NFT_TABLE_NAME_MAX = 32 };

/* The part for lazy peers: sets that are empty at first, and chains that use them.
 *
 * Inner packets, both ways, are counted per element of the sets of counted ranges. What comes out of
 * the tunnel from no counted range is logged (prefix "inner"), at most once a second per address.
 * Outer: handshake responses from watched endpoints are logged (prefix "answer"); initiations from
 * refused endpoints are dropped; all other initiations are remembered for a moment. */
struct nft_lazy {
	bool counts; /* the sets of ranges and their counters */
	bool logs; /* needs `counts`, and the nflog group to be open */
	bool refuses; /* watched, refused and heard endpoints */
	bool untracked; /* keep connection tracking away from packets to sentinels (127.0.0.0/8) */
	uint16_t listen_port; /* WireGuard's */
	uint16_t log_group;
};

/* Inner addresses of one peer, both included. first == last: one address, and a cheaper set. Ranges
 * never overlap. */
struct nft_range {
	uint8_t family;
	uint8_t first[16], last[16];
};

enum { NFT_WATCH_MS = 10 * 1000, NFT_REFUSE_MS = 1000, NFT_HEARD_MS = 500, NFT_TOLD_MS = 1000 };

/* Elements that come and go, in one transaction. */
struct nft_change {
	const struct nft_range *uncount, *count;
	size_t n_uncount, n_count;
	const struct endpoint *watch; /* for NFT_WATCH_MS */
	size_t n_watch;
	const struct endpoint *refuse; /* for NFT_REFUSE_MS */
	size_t n_refuse;
};

/* `first`: the first address of a counted range, with full length. */
typedef void (*nft_counter_fn)(const struct prefix *first, uint64_t packets, void *user);

/* Everything the table is made from. */
struct nft_config {
	char table[NFT_TABLE_NAME_MAX]; /* "lapwing-wt0", family inet */
	char ifname[IFNAMSIZ];
	unsigned ifindex; /* of the same: what each packet is compared with, as that costs less */
	/* Overlay addresses of this host: packets to them that come in by another interface
	 * (and not from this host itself) are dropped before conntrack. */
	const struct prefix *addresses;
	size_t n_addresses;
	/* Not 0: our own UDP packets carry this mark; replies get it back from conntrack, so that
	 * reverse path filters agree with a default route of ours. */
	uint32_t fwmark;
	struct nft_lazy lazy;
};

/* 0 or a negative errno. -EOPNOTSUPP: this kernel cannot do it. */
int nft_open(struct nft **ret);
void nft_close(struct nft *nft);

/* Deletes the table if there is one and makes it anew, in one transaction. */
int nft_apply(struct nft *nft, const struct nft_config *config);
int nft_remove(struct nft *nft, const char *table); /* 0 also when there is none */

/* Counting what is counted already and watching again are fine. -ENOENT: something to be uncounted was
 * not there, or the whole table: nothing was changed. Long lists are split; a failure may leave the
 * earlier parts done. */
int nft_change(struct nft *nft, const char *table, const struct nft_change *change);
/* Calls fn for each counted range. -ENOENT: no such sets. */
int nft_counters(struct nft *nft, const char *table, nft_counter_fn fn, void *user);
/* Did an initiation from there reach WireGuard within the last second? 1, 0 (also when there is no such
 * table) or -errno. */
int nft_heard(struct nft *nft, const char *table, const struct endpoint *from);

/* A number that changes when anybody changes chains, sets or rules of the table (not elements); 0: it is
 * not there. Read it after nft_apply and compare later. */
int nft_fingerprint(struct nft *nft, const char *table, uint64_t *ret);
const char *nft_error_text(const struct nft *nft);
