/* tests/sim/model_nft.h - our nftables table: its sets, and what its rules do with packets. */
#pragma once

#include <glib.h>

#include "netlink/acl.h"
#include "netlink/nft.h"
#include "netlink/steer.h"

/* Per prefix or endpoint, till some time. */
/* What may come in by one interface. */
struct model_acl {
	char table[NFT_TABLE_NAME_MAX];
	char ifname[IFNAMSIZ];
	GArray *rules; /* struct filter_rule */
	uint64_t fingerprint;
};

struct model_nft {
	char table[NFT_TABLE_NAME_MAX]; /* "": there is none */
	unsigned ifindex;
	struct nft_lazy lazy;
	uint64_t fingerprint;
	GArray *counted; /* of ranges, with their packets */
	GPtrArray *acls; /* struct model_acl */
	uint64_t acl_fingerprint; /* of the newest */
	char steer[NFT_TABLE_NAME_MAX]; /* the table that leads ICE's checks; "": there is none */
	uint64_t steer_fingerprint;
	GArray *steered; /* struct steer_ufrag */
	GArray *told, *watching, *refused, *heard; /* endpoints, each till some time */
	struct {
		bool untracked, logs, refuses, counts, acl;
	} lacks; /* this kernel cannot */
};

void model_nft_init(struct model_nft *nft);
void model_nft_done(struct model_nft *nft);
int model_nft_apply(struct model_nft *nft, const struct nft_config *config);
void model_nft_flush(struct model_nft *nft); /* there is no table for lazy peers any more */
void model_acl_apply(struct model_nft *nft, const struct acl_config *config);
struct model_acl *model_acl_find(const struct model_nft *nft, const char *table); /* NULL: none */
struct model_acl *model_acl_of(const struct model_nft *nft, const char *ifname); /* NULL: none */
void model_acl_remove(struct model_nft *nft, struct model_acl *acl); /* NULL is fine */
void model_steer_apply(struct model_nft *nft, const struct steer_config *config);
int model_steer_set(struct model_nft *nft, const char *table, const struct steer_ufrag *ufrag);
int model_steer_unset(struct model_nft *nft, const char *table, const char *ufrag);
void model_steer_remove(struct model_nft *nft, const char *table);
/* Requests to this ufrag come to their socket. */
bool model_steers(const struct model_nft *nft, const char *ufrag);
/* High counters begin anew. */
void model_nft_reset(struct model_nft *nft);
int model_nft_change(
	struct model_nft *nft, const char *table, const struct nft_change *change, int64_t now_us);
int model_nft_counters(struct model_nft *nft, const char *table, nft_counter_fn fn, void *user);
int model_nft_heard(
	struct model_nft *nft, const char *table, const struct endpoint *from, int64_t now_us);

bool model_nft_counts(const struct model_nft *nft, const struct prefix *address);
/* An inner packet of this address passes the interface. True: it is to be logged. */
bool model_nft_inner(struct model_nft *nft, unsigned ifindex, const struct prefix *address, bool in,
	int64_t now_us);
/* A packet of WireGuard's comes in: false if it is dropped. */
bool model_nft_outer(struct model_nft *nft, uint16_t port, const struct endpoint *from,
	uint8_t type, int64_t now_us, bool *ret_log);
