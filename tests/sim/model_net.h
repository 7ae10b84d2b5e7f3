/* tests/sim/model_net.h - the network between hosts: latency, losses, interruptions, NAT. */
#pragma once

#include <glib.h>

#include "tests/sim/model_kernel.h"

struct net_host {
	struct model *model;
	uint8_t version; /* of its addresses */
	bool v6; /* has one, too */
	bool nat; /* only who was asked gets through */
	GHashTable *holes; /* of the NAT: packed endpoint -> until when */
};

struct net_path { /* one way */
	int64_t latency_us;
	int64_t cut_until_us;
	bool apart; /* nothing passes, whatever is tried */
	int64_t last_us; /* when the last packet arrives: they keep their order */
};

struct net {
	struct clock *clock;
	GRand *random;
	unsigned n;
	struct net_host *hosts;
	struct net_path *paths; /* n * n */
	double loss, twice, late; /* how often */
	struct tape { /* an initiation that somebody heard; `answered`: it was taken over there */
		bool answered;
		struct endpoint to;
		union {
			struct wg_message message;
			uint8_t bytes[WG_INITIATION_BYTES];
		} u;
	} recording, tape;
	/* A packet met this; to: -1 when nobody is there. */
	void (*lost)(
		unsigned from, int to, const void *data, size_t len, enum fate why, void *user);
	/* A check of ICE arrives, which begins like a packet of WireGuard's but for its type. */
	void (*check)(
		unsigned at, const struct endpoint *from, const void *data, size_t len, void *user);
	void *user;
};

enum { NET_CHECK = 0xfe }; /* the type */

void net_init(struct net *net, struct clock *clock, GRand *random, unsigned n);
void net_done(struct net *net);
struct net_path *net_path(const struct net *net, unsigned from, unsigned to);
/* Its present address, without a port. */
void net_address(const struct net *net, unsigned host, uint8_t family, struct endpoint *ret);
/* Who has this address now, or -1. */
int net_find(const struct net *net, const struct endpoint *address);
/* Would a packet from there get through its NAT? */
bool net_is_open(const struct net *net, unsigned host, const struct endpoint *from, int64_t at_us);
int net_send(struct net *net, unsigned from, uint16_t port, const struct endpoint *to,
	const void *data, size_t len);
/* What is on the tape comes again, from this host. */
void net_replay(struct net *net, unsigned from);
