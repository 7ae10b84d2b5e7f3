/* agent/peer.h - one remote host: what is known of its tunnel, and what to do about it. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum peer_state {
	PEER_IDLE, /* installed; nobody asked for anything yet */
	PEER_CONNECTING, /* we ask, no answer yet */
	PEER_UP, /* a session lives */
	PEER_UNREACHABLE, /* we ask and ask */
	PEER_PARKED, /* its endpoint is a sentinel: it sleeps */
	PEER_WAKING, /* somebody wants it, no answer yet */
	PEER_BLOCKED, /* not in the kernel: `block` says why */
};

enum peer_block { PEER_BLOCK_NONE, PEER_BLOCK_PSK, PEER_BLOCK_KERNEL };

/* What the kernel still has to be told. */
enum peer_flag {
	PEER_INSTALLED = 1,
	PEER_DIRTY = 2, /* settings or allowed IPs */
	PEER_NEW_ENDPOINT = 4, /* also sets the endpoint */
	PEER_POKE = 8, /* starts a handshake: its session is gone */
	PEER_PSK = 16, /* with PEER_DIRTY: the pre-shared key too */
	PEER_SEEN = 32, /* met in the dump under work */
	PEER_COUNTED = 64, /* the kernel counts its inner packets */
	PEER_HEARD = 128, /* something came from it since it was woken */
};

struct peer {
	uint8_t state; /* enum peer_state */
	uint8_t block; /* enum peer_block */
	uint8_t flags; /* enum peer_flag */
	uint8_t chosen; /* which of its endpoints is in use */
	int16_t error; /* of the kernel, when blocked by it */
	uint16_t dropped; /* captured packets that could not be sent on */
	uint32_t sentinel; /* its slot, from 1; 0: none */
	uint32_t endpoint_us; /* last wake: from the captured packet to the acknowledged endpoint */
	uint32_t installed; /* hash of what the kernel has */
	uint32_t handshake_s; /* wall clock, as the kernel says; 0: never */
	int64_t handshake_ms; /* the same on our clock */
	int64_t asking_ms; /* unanswered since; 0: not asking */
	uint64_t rx, tx;
	uint32_t unanswered; /* bytes sent since rx last grew */
	uint32_t sent_s; /* when tx last grew, as far as was seen */
	int64_t answered_ms; /* when rx did */
	struct endpoint endpoint; /* the kernel's, as last seen or set; never a sentinel */
};

enum {
	PEER_SESSION_MS = 180 * 1000, /* WireGuard discards a session at this age */
	PEER_GIVE_UP_MS = 20 * 1000, /* asking this long: unreachable */
	PEER_NEXT_ENDPOINT_MS = 5 * 1000, /* asking this long: try another endpoint */
	PEER_ROTATE_MS = 90 * 1000, /* asking this long: try another only now and then, ... */
	PEER_ROTATE_AGAIN_MS = 240 * 1000, /* as each write makes the kernel ask for 90 s more */
	PEER_NEXT_ENDPOINT_SESSION_MS = 16 *
		1000, /* under a session: what only listens says so after 10 s */
	PEER_LOOK_MS = 5 * 1000, /* who asks is looked at so often */
	PEER_INITIATION_BYTES = 148,
	PEER_KEEPALIVE_BYTES = 32,
};

/* What a dump said of it. */
struct peer_observation {
	int64_t now_ms; /* monotonic */
	int64_t wall_s; /* wall clock now */
	int64_t handshake_s; /* wall clock; 0: never */
	uint64_t rx, tx;
	struct endpoint endpoint;
	uint16_t keepalive;
	bool asleep; /* parked or waking: somebody else judges it */
};

/* What should follow; a set of bits. */
enum peer_action {
	PEER_ACT_CHANGED = 1, /* state changed: tell */
	PEER_ACT_NEXT_ENDPOINT = 2, /* the present one does not answer */
	PEER_ACT_LOOK_UP = 4, /* ask for its names again */
	PEER_ACT_WATCH = 8, /* look again, in peer_look_in_ms */
};

unsigned peer_observe(struct peer *peer, const struct peer_observation *o);
/* Its session went away with the interface. */
void peer_session_lost(struct peer *peer);
bool peer_has_session(const struct peer *peer, int64_t now_ms);
/* Asks and gets nothing, for long enough to try another endpoint. */
bool peer_is_silent(const struct peer *peer, int64_t now_ms);
/* When who asks is to be looked at again: not later than when it will be silent, should it get nothing. */
int64_t peer_look_in_ms(const struct peer *peer, int64_t now_ms);
/* Asks and gets nothing, for long enough to move its shared prefixes elsewhere. */
bool peer_is_failing(const struct peer *peer, int64_t now_ms);
const char *peer_state_name(enum peer_state state);
