/* signal/inbox.h - what becomes of a message that came. Pure: bytes and a clock in, a verdict out.
 *
 * Anybody may send anything to us through a signal server, and the server may repeat it. Only what a peer of
 * the map has sealed for us, once, and not too often, gets further; all else is counted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "signal/body.h"

enum {
	INBOX_REMEMBERED = 1024, /* messages that are known again */
	INBOX_BURST = 64, /* messages that a peer may send at once, ... */
	INBOX_PER_S = 10, /* and then in each second */
};

enum signal_fate {
	SIGNAL_TAKEN, /* to be handed on */
	SIGNAL_OWN, /* our own heartbeat came back */
	SIGNAL_IGNORED, /* sealed well, but nothing is to be done about it */
	SIGNAL_GARBAGE, /* no message of the protocol, or one too large */
	SIGNAL_MISADDRESSED, /* for somebody else */
	SIGNAL_STRANGER, /* not from a peer of the map */
	SIGNAL_FORGED, /* the peer that it names did not seal it for us */
	SIGNAL_REPLAYED, /* it was here before */
	SIGNAL_LIMITED, /* more than its sender may send */
	SIGNAL_MALFORMED, /* sealed well, but it makes no sense */
	SIGNAL_FATES,
};

struct inbox;

/* The keys are copied. */
struct inbox *inbox_new(const struct wg_key *own_private,
	bool (*is_peer)(const struct wg_key *key, void *user), void *user);
void inbox_free(struct inbox *in); /* NULL is fine */

/* *ret_from and *ret are set for SIGNAL_TAKEN only. */
enum signal_fate inbox_take(struct inbox *in, const uint8_t *message, size_t len, int64_t now_ms,
	struct wg_key *ret_from, struct signal_body *ret);
/* As it is called in status; NULL for SIGNAL_TAKEN and SIGNAL_OWN. */
const char *signal_fate_name(enum signal_fate fate);
