/* netlink/steer.h - the table that leads ICE's checks over WireGuard's port; replaced in one transaction.
 *
 * Sockets of ours on the ports first..last send STUN Binding messages; the table makes WireGuard's port their
 * source before connection tracking sees them, and leads Binding messages that come in at WireGuard's port, behind
 * all filters, back to those sockets: answers by the transaction of the request, requests by the local ufrag that
 * USERNAME begins with. Firewalls and NATs see WireGuard's port only. WireGuard's own packets are never touched
 * (their first bytes differ). A table of its own, family inet; those of several instances in one network namespace
 * need ports apart from each other's. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "netlink/nft.h"

enum { STEER_UFRAG_LEN = 8 };

/* Requests with this ufrag go to the socket on this port. */
struct steer_ufrag {
	char text[STEER_UFRAG_LEN]; /* not terminated */
	uint16_t port;
};

struct steer_config {
	char table[NFT_TABLE_NAME_MAX]; /* "lapwing-wt0-ice" */
	char ifname[IFNAMSIZ]; /* of the tunnel: no check leaves or comes through it */
	uint16_t listen_port; /* WireGuard's */
	uint16_t first_port, last_port; /* those of our sockets, both included */
	uid_t uid; /* whose sockets on these ports are ours */
	/* Not 0: our packets from these ports carry this mark, unless a rule of somebody else has given them one.
	 * Replies get it back by the table of nft.h with the same mark. */
	uint32_t fwmark;
	/* Not 0: what was led to ports from this one on passes the nfqueue on its way. */
	uint16_t queue_from_port;
	uint16_t queue;
	const struct steer_ufrag *ufrags;
	size_t n_ufrags;
};

/* Deletes the table if there is one and makes it anew, in one transaction. nft_remove and nft_fingerprint serve
 * for this table too. -EINVAL: ports make no sense. */
int steer_apply(struct nft *nft, const struct steer_config *config);
/* Also when it went to another port before. -ENOENT: no such table. */
int steer_set(struct nft *nft, const char *table, const struct steer_ufrag *ufrag);
int steer_unset(
	struct nft *nft, const char *table, const char *ufrag); /* 0 also when it is not there */
