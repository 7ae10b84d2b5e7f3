/* tests/sim/model_wg.h - WireGuard's protocol as the kernel speaks it: handshakes, sessions, timers and
 * what it keeps in its queues. Cryptography is replaced by everybody telling the truth. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "tests/sim/model_time.h"

struct model;
struct model_link;
struct model_peer;

enum {
	WG_INITIATION = 1,
	WG_RESPONSE = 2,
	WG_DATA = 4,
	WG_INITIATION_BYTES = 148,
	WG_RESPONSE_BYTES = 92,
	WG_KEEPALIVE_BYTES = 32,
	WG_DATA_BYTES = 128, /* all with something inside */
	WG_STAGED_MAX = 128,
};

/* What happened to an inner packet, or to one encrypted copy of it. */
enum fate {
	FATE_SENT, /* somebody wants to send it; nothing is known yet */
	FATE_STAGED, /* waits for a session */
	FATE_FLYING, /* is on its way */
	FATE_CAPTURED, /* waits in a sentinel, or was taken from it */
	FATE_ARRIVED,
	FATE_LOST, /* by the network */
	FATE_CUT, /* the network is interrupted */
	FATE_NOBODY, /* no host has that address now */
	FATE_REFUSED, /* by the NAT over there */
	FATE_DOUBLE, /* a copy came before */
	FATE_NO_SOCKET, /* nobody listens at that port */
	FATE_NO_SESSION, /* the receiver does not know its key */
	FATE_DEAF, /* sent to a sentinel that is not there */
	FATE_TOO_MANY, /* the sentinel's queue or the staged ones were too many */
	FATE_GIVEN_UP, /* after 90 s of asking */
	FATE_FLUSHED, /* the interface or the peer has gone */
	FATE_SOURCE, /* not this peer's address */
	FATE_NO_ROUTE,
	FATE_NO_ENDPOINT,
	FATE_FAILED, /* a system call */
	N_FATES,
};

const char *fate_name(enum fate fate);

/* An inner packet; id 0: a keepalive. Both addresses have full length. */
struct inner {
	uint32_t id;
	struct prefix from, to;
};

/* What is on the wire, in front of enough padding. */
struct wg_message {
	uint8_t type, reserved[3];
	uint32_t sender, receiver; /* indices */
	/* For the judge only: the sender's endpoint was a sentinel; when it was sent. */
	bool to_sentinel;
	int64_t sent_us;
};

struct wg_initiation {
	struct wg_message m;
	uint64_t timestamp_ns;
	uint8_t from[32], to[32]; /* public keys */
};

struct wg_response {
	struct wg_message m;
	uint8_t psk[32];
};

struct wg_data {
	struct wg_message m;
	uint32_t counter;
};

struct wg_full_data {
	struct wg_data data;
	struct inner inner;
};

enum handshake_state {
	HANDSHAKE_NONE,
	HANDSHAKE_CREATED_INITIATION,
	HANDSHAKE_CONSUMED_INITIATION,
	HANDSHAKE_CREATED_RESPONSE,
	HANDSHAKE_CONSUMED_RESPONSE,
};

struct keypair;

/* The moving part of a peer. */
struct tunnel {
	struct model_link *link;
	enum handshake_state state;
	uint32_t local, remote; /* indices of the handshake under way */
	bool to_sentinel; /* where our last initiation went */
	uint64_t timestamp_ns; /* the newest that the other side has shown */
	int64_t consumed_us, sent_us; /* initiation in; handshake message out */
	unsigned attempts;
	bool another_keepalive, last_minute;
	struct keypair *current, *previous, *next;
	GArray *staged; /* struct inner */
	struct timer initiate, retransmit, keepalive, new_handshake, zero, persistent;
	int64_t handshake_ns; /* wall clock; 0: never */
	uint64_t rx, tx;
};

void tunnel_init(struct model_link *link, struct model_peer *peer);
void tunnel_done(struct model_peer *peer);

/* What others do to it. */
void tunnel_xmit(struct model_peer *peer, const struct inner *packet);
void tunnel_send_keepalive(struct model_peer *peer);
void tunnel_send_staged(struct model_peer *peer);
void tunnels_receive(
	struct model_link *link, const struct endpoint *from, const void *data, size_t len);
void tunnels_up(struct model_link *link);
void tunnels_down(struct model_link *link);
void tunnels_rekeyed(struct model_link *link); /* it has another private key */

/* The inner packet in these bytes; 0: none. */
uint32_t wg_inner_id(const void *data, size_t len);
