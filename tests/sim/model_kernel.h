/* tests/sim/model_kernel.h - a kernel of a few hundred lines: what lapwing may see and change, with
 * failures on demand. */
#pragma once

#include <glib.h>

#include "agent/kernel.h"

struct model_peer {
	struct wg_key key, psk;
	struct endpoint endpoint;
	uint16_t keepalive;
	int64_t handshake_s;
	uint64_t rx, tx;
	GArray *allowed; /* struct prefix */
};

struct model_link {
	struct link_info info;
	struct wg_key private_key, public_key;
	uint16_t port;
	uint32_t mark;
	GArray *peers; /* struct model_peer */
	GArray *addresses; /* struct prefix */
};

struct model {
	struct kernel kernel;
	GRand *random;
	GPtrArray *links; /* struct model_link */
	GArray *routes; /* struct route */
	GArray *rules; /* struct rule */
	char nft_table[NFT_TABLE_NAME_MAX];
	uint64_t nft_fingerprint;
	unsigned next_index;
	unsigned writes; /* calls that changed something, or tried to */
	bool listing_rules; /* the routing socket is taken meanwhile */
	double failure_rate, vanish_rate;
	/* What must hold when a peer is made; set by the test. */
	void (*peer_made)(const struct wg_key *key, void *user);
	/* The interface vanished in the middle of a call. */
	void (*vanished)(void *user);
	void *user;
};

struct model *model_new(guint32 seed);
void model_free(struct model *m);
struct model_link *model_find(struct model *m, const char *name);
struct model_link *model_add_link(struct model *m, const char *name, const char *kind);
void model_delete_link(struct model *m, struct model_link *link);
struct model_peer *model_find_peer(struct model_link *link, const struct wg_key *key);
struct model_peer *model_add_peer(struct model_link *link, const struct wg_key *key);
void model_remove_peer(struct model_link *link, const struct wg_key *key);
