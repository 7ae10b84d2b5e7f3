/* signal/outbox.h - what waits to be sent, and in which order. Pure, bounded; the clock is given.
 *
 * Each message is one call, and the server keeps no order between calls. A peer of the reference drops
 * candidates that overtake their offer, so an ordered message (all but candidates) has the way to its peer
 * to itself: nothing is sent beside it. Candidates go side by side. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

enum {
	OUTBOX_PEER_MAX = 64, /* messages that wait for one peer, */
	OUTBOX_MAX = 4096, /* and for all */
	OUTBOX_FLYING = 64, /* calls at a time */
	OUTBOX_TRIES = 4,
	OUTBOX_AGE_MS = 45 * 1000, /* what is older is of no use any more */
	OUTBOX_NEVER = -1,
};

struct outbox;

struct outbox_message {
	uint32_t id; /* never 0 */
	unsigned tries; /* this one among them */
	const uint8_t *data;
	size_t len;
};

struct outbox_counts {
	size_t waiting; /* now, those under way among them */
	uint64_t sent, tried_again;
	uint64_t refused; /* there was no room */
	uint64_t expired, failed; /* too old; tried often enough */
};

struct outbox *outbox_new(void);
void outbox_free(struct outbox *out); /* NULL is fine */

/* Takes the bytes. 0; -ENOBUFS: no room, neither now nor for this message. */
int outbox_add(struct outbox *out, const struct wg_key *remote, bool ordered, uint8_t *data,
	size_t len, int64_t now_ms);
/* The next one to be sent now; it counts as under way. False: none may go. Peers take turns. */
bool outbox_next(struct outbox *out, struct outbox_message *ret);
/* Its call has ended; ids of messages that are gone are nothing. */
void outbox_ended(struct outbox *out, uint32_t id, bool ok);
/* The connection is gone: what was under way waits again. */
void outbox_recall(struct outbox *out);
/* Drops what is too old. Returns when to be called again, or OUTBOX_NEVER. */
int64_t outbox_tick(struct outbox *out, int64_t now_ms);
void outbox_clear(struct outbox *out); /* counts stay */
void outbox_get_counts(const struct outbox *out, struct outbox_counts *ret);
