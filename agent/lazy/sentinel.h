/* agent/lazy/sentinel.h - the loopback sockets that stand in for parked peers.
 *
 * Two forms behind one interface. Own: a socket on 127.0.1.1 with a port of its own. Shared: one
 * socket on the wildcard address, bound to lo, and 127.64.0.0/10 gives each peer an address of its
 * own, so that a parked peer costs no kernel memory. Both take packets from WireGuard only: from its
 * port, which the kernel holds, or, when somebody has given it another one, with its firewall mark,
 * which takes CAP_NET_ADMIN to set. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct sentinel;

enum {
	SENTINEL_PACKET_MAX = 9216, /* larger ones are cut, counted and dropped */
	SENTINEL_OWN_MAX = 256, /* meshes of more hosts use the shared form */
	SENTINEL_SHARED_MAX = 1 << 22,
};

struct sentinel_status {
	size_t own, shared; /* taken slots of either form */
	/* Packets that did not come from our WireGuard, did not fit, were too many, were for nobody. */
	uint64_t drops;
	uint16_t shared_port; /* 0: not open */
	char problem[96]; /* why the wished form was not to be had; "": it was */
};

struct sentinel_packet {
	uint32_t slot;
	uint16_t from_port;
	const uint8_t *data; /* valid during the call */
	size_t len;
	int64_t received_ns; /* the kernel's time stamp, wall clock */
};

/* Called for each packet; neither takes nor releases. */
typedef void (*sentinel_fn)(const struct sentinel_packet *packet, void *user);

/* Opens nothing but the poll set. */
int sentinel_open(struct sentinel **ret);
void sentinel_close(struct sentinel *s); /* NULL is fine */
/* Readable when there is something to read: for poll. Stays the same for life. */
int sentinel_fd(const struct sentinel *s);
/* Whose packets count from now on; a mark of 0 tells nobody from others. 0 or -errno. */
int sentinel_set_sender(struct sentinel *s, uint16_t wireguard_port, uint32_t mark);

/* A sentinel for one peer. `wanted` (or NULL) is where an earlier run left the peer: it is taken again
 * if that can be had, in whatever form it is; else a new one, in the shared form if `shared`. The shared
 * form is tested once, by a packet sent to it; where it does not work, and where no more sockets can be
 * opened, the other form is used and `problem` says so. 0 or -errno, when neither can be had.
 * Those with a wish should come first: others get the lowest free slot, and with it its address. */
int sentinel_take(
	struct sentinel *s, bool shared, const struct endpoint *wanted, uint32_t *ret_slot);
void sentinel_release(struct sentinel *s, uint32_t slot);
/* The address to give to WireGuard. */
void sentinel_endpoint(const struct sentinel *s, uint32_t slot, struct endpoint *ret);
/* Could this be a sentinel, of whatever run? */
bool sentinel_is_one(const struct endpoint *endpoint);

/* Reads what is there, at most a hundred or so packets. Returns their number. */
size_t sentinel_read(struct sentinel *s, sentinel_fn fn, void *user);
void sentinel_get_status(struct sentinel *s, struct sentinel_status *ret);
