/* agent/lazy/transfer.c - were there inner packets among what WireGuard sent and received? */
#include "agent/lazy/transfer.h"

#include <glib.h>

/* What WireGuard counts. Cookies are not counted; data has 32 bytes more than the inner packet, which
 * is filled up to a multiple of 16. */
enum { INITIATION_BYTES = 148, RESPONSE_BYTES = 92, KEEPALIVE_BYTES = 32 };

enum {
	REKEY_MS = 120 * 1000, /* between handshakes */
	RETRY_MS = 5 * 1000, /* between initiations without an answer */
};

/* The most that can have passed in one direction without inner packets. */
struct silence {
	uint64_t initiations, responses, keepalives;
};

static bool is_rest_keepalives(uint64_t bytes, uint64_t keepalives)
{
	return bytes % KEEPALIVE_BYTES == 0 && bytes / KEEPALIVE_BYTES <= keepalives;
}

static bool is_silent(uint64_t bytes, const struct silence *most)
{
	for (uint64_t i = 0; i <= most->initiations && i * INITIATION_BYTES <= bytes; i++) {
		uint64_t rest = bytes - i * INITIATION_BYTES;

		for (uint64_t r = 0; r <= most->responses && r * RESPONSE_BYTES <= rest; r++)
			if (is_rest_keepalives(rest - r * RESPONSE_BYTES, most->keepalives))
				return true;
	}
	return false;
}

/* One that is due because of earlier data, one that confirms each handshake, and the persistent ones. */
static uint64_t most_keepalives(const struct transfer *t, uint64_t handshakes, uint16_t every_s)
{
	uint64_t persistent = every_s ? (uint64_t)t->elapsed_ms / 1000 / every_s + 1 : 0;

	return 1 + handshakes + persistent;
}

/* Without persistent keepalives handshakes are there because somebody has something to send: what goes
 * beyond one of them, confirmed, is not put down to lost messages. Theirs may be incomplete yet. */
bool transfer_has_inner(const struct transfer *t)
{
	bool kept = t->keepalive_s || t->remote_keepalive_s;
	uint64_t handshakes = t->handshake ? (uint64_t)t->elapsed_ms / REKEY_MS + 1 : 0;
	uint64_t tries = (uint64_t)t->elapsed_ms / RETRY_MS + 1;
	struct silence out = { .initiations = kept ? tries : handshakes, .keepalives = 1 };
	struct silence in = { .initiations = kept ? tries : MAX(handshakes, 1), .keepalives = 1 };

	if (kept) {
		out.keepalives = most_keepalives(t, handshakes, t->keepalive_s);
		in.keepalives = most_keepalives(t, handshakes, t->remote_keepalive_s);
	}
	/* A response follows an initiation; the one that we get completes a handshake. */
	out.responses = MIN(in.initiations, t->rx / INITIATION_BYTES);
	in.responses = MIN(handshakes, t->tx / INITIATION_BYTES);
	return !is_silent(t->tx, &out) || !is_silent(t->rx, &in);
}
