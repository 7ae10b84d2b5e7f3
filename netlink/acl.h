/* netlink/acl.h - the table that says what may come in over the tunnel; replaced in one transaction.
 *
 * A table of its own (family inet) that knows the interface by name: it can be there before the interface
 * is, and stays when the daemon ends. On input from the interface: what a rule drops; established and
 * related; what a rule accepts; else drop. Through the host: replies only. Rules become elements of sets,
 * so that a packet costs the same for one rule and for ten thousand. */
#pragma once

#include <net/if.h>
#include <stddef.h>

#include "agent/base/filter.h"
#include "netlink/nft.h"

struct acl_config {
	char table[NFT_TABLE_NAME_MAX]; /* "lapwing-wt0-acl" */
	char ifname[IFNAMSIZ];
	const struct filter_rule *rules;
	size_t n_rules;
};

/* Deletes the table if there is one and makes it anew, in one transaction. nft_remove and nft_fingerprint
 * serve for this table too. -EINVAL: a rule is none; -E2BIG: they come to too many elements. */
int acl_apply(struct nft *nft, const struct acl_config *config);
/* How many packets no rule has accepted since the table was made. -ENOENT: there is none. */
int acl_count_refused(struct nft *nft, const char *table, uint64_t *ret);
