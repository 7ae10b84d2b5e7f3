/* tests/sim/model_kernel.h - a kernel: what lapwing may see and change, with failures on demand. */
#pragma once

#include <glib.h>

#include "agent/kernel.h"
#include "tests/sim/model_nft.h"
#include "tests/sim/model_time.h"
#include "tests/sim/model_wg.h"

struct model_peer {
	struct wg_key key, psk;
	struct endpoint endpoint;
	uint16_t keepalive;
	GArray *allowed; /* struct prefix */
	struct tunnel tunnel;
};

struct model_link {
	struct model *model;
	struct link_info info;
	struct wg_key private_key, public_key;
	uint16_t port;
	uint32_t mark;
	GPtrArray *peers; /* struct model_peer */
	GHashTable *by_key;
	GHashTable *by_index; /* of handshakes and sessions, to their tunnels */
	GHashTable *graves; /* indices that are gone, to when that was */
	GArray *addresses; /* struct prefix */
};

struct model_hooks {
	/* What must hold when a peer is made. */
	void (*peer_made)(const struct wg_key *key, void *user);
	/* The interface vanished in the middle of a call. */
	void (*vanished)(void *user);

	const char *(*name_peer)(const struct wg_key *key, void *user); /* for the log */

	/* The rest only where there is a network. Each call takes some time, in which others go on. */
	void (*passed)(void *user);
	/* Something is there for packets_read. */
	void (*readable)(void *user);
	/* Puts a packet on the network. 0 or -errno. */
	int (*transmit)(
		uint16_t port, const struct endpoint *to, const void *data, size_t len, void *user);
	void (*arrived)(const struct inner *packet, void *user);
	void (*fate)(uint32_t id, enum fate fate, bool excused, void *user);
	/* A packet from this peer was genuine. */
	void (*heard)(const struct wg_key *key, const struct endpoint *from, void *user);
	void (*session)(const struct wg_key *key, void *user);
	/* It was asked for a session, at its sentinel or not. */
	void (*asked)(const struct wg_key *key, bool sentinel, void *user);
	/* An inner packet of this peer's passes the interface. */
	void (*inner)(const struct wg_key *key, bool in, void *user);
	/* Two initiations cross; `captured`: both were sent to sentinels. */
	void (*glare)(const struct wg_key *key, bool captured, void *user);
	/* The daemon gives a peer another endpoint; the peer has the old one still. */
	void (*moves)(const struct model_peer *peer, const struct endpoint *to, void *user);
	/* The daemon sends on what it has captured. */
	void (*resent)(const struct endpoint *to, const void *data, size_t len, void *user);
	/* nftables refuses a change of what is there. */
	void (*refused)(void *user);
};

struct model {
	struct kernel kernel;
	const struct model_hooks *hooks;
	void *user;
	const char *name; /* in the log */
	GRand *random;
	struct clock *clock;
	int64_t wall_us; /* the wall clock minus the virtual one */
	GPtrArray *links; /* struct model_link */
	GArray *routes; /* struct route */
	GArray *rules; /* struct rule */
	struct model_nft nft;
	unsigned next_index;
	uint32_t *next_session; /* of all kernels in the simulation */
	unsigned writes; /* calls that changed something, or tried to */
	bool listing_rules; /* the routing socket is taken meanwhile */
	double failure_rate, vanish_rate;
	unsigned crash_in; /* calls; 0: not planned */
	bool crashed; /* the daemon: no call does anything any more */

	/* what the daemon has open */
	GArray *slots; /* struct model_slot */
	uint16_t wireguard_port, shared_port, next_port;
	uint32_t wireguard_mark;
	uint64_t drops; /* what sentinels did not let through */
	bool sentinel_refused; /* a new one; whoever cares resets it */
	bool nflog;
	uint16_t nflog_group;
	GQueue *packets; /* to be read */
	bool conntrack;
};

struct model_slot {
	bool taken, shared;
	uint16_t port; /* an own one's */
	unsigned queued;
};

struct model *model_new(
	guint32 seed, struct clock *clock, const struct model_hooks *hooks, void *user);
void model_free(struct model *m);
int64_t model_wall_ns(const struct model *m);
void model_trace(const struct model *m, const struct model_peer *peer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct model_link *model_find(struct model *m, const char *name);
struct model_link *model_by_index(struct model *m, unsigned index);
struct model_link *model_add_link(struct model *m, const char *name, const char *kind);
void model_delete_link(struct model *m, struct model_link *link);
struct model_peer *model_find_peer(struct model_link *link, const struct wg_key *key);
struct model_peer *model_add_peer(struct model_link *link, const struct wg_key *key);
void model_remove_peer(struct model_link *link, const struct wg_key *key);
/* The daemon is gone: what it had open is closed. */
void model_close(struct model *m);
unsigned model_slots_taken(const struct model *m);
bool model_has_slot(struct model *m, const struct endpoint *sentinel);

/* -- packets -------------------------------------------------------------------------------- */

/* A program sends. */
void model_send(struct model *m, const struct inner *packet);
/* The network brings something. */
void model_receive(
	struct model *m, const struct endpoint *from, uint16_t port, const void *data, size_t len);
/* To whom does WireGuard send what goes there? */
struct model_peer *model_route(struct model_link *link, const struct prefix *to);
int model_transmit(
	struct model *m, uint16_t port, const struct endpoint *to, const void *data, size_t len);
void model_inner_arrived(struct model *m, struct model_peer *peer, const struct inner *packet);
