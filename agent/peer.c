/* agent/peer.c - one remote host: judges its tunnel from what a dump of the kernel shows. */
#include <glib.h>

#include "agent/peer.h"

const char *peer_state_name(enum peer_state state)
{
	switch (state) {
	case PEER_IDLE:
		return "idle";
	case PEER_CONNECTING:
		return "connecting";
	case PEER_UP:
		return "up";
	case PEER_UNREACHABLE:
		return "unreachable";
	case PEER_PARKED:
		return "parked";
	case PEER_WAKING:
		return "waking";
	case PEER_BLOCKED:
		return "blocked";
	}
	return "?";
}

bool peer_has_session(const struct peer *peer, int64_t now_ms)
{
	return peer->handshake_s && now_ms - peer->handshake_ms < PEER_SESSION_MS;
}

static int64_t silent_from(const struct peer *peer, int64_t now_ms)
{
	return peer->asking_ms +
		(peer_has_session(peer, now_ms) ? PEER_NEXT_ENDPOINT_SESSION_MS
						: PEER_NEXT_ENDPOINT_MS);
}

bool peer_is_silent(const struct peer *peer, int64_t now_ms)
{
	return peer->asking_ms && now_ms >= silent_from(peer, now_ms);
}

int64_t peer_look_in_ms(const struct peer *peer, int64_t now_ms)
{
	int64_t left = silent_from(peer, now_ms) - now_ms;

	return left > 0 ? MIN(left, PEER_LOOK_MS) : PEER_LOOK_MS;
}

/* The kernel's clock is the wall clock, which may jump: only the age at first sight is taken from
 * it, and never a negative one. */
static void note_handshake(struct peer *peer, const struct peer_observation *o)
{
	int64_t age_s = o->wall_s - o->handshake_s;

	if ((uint32_t)o->handshake_s == peer->handshake_s)
		return;
	peer->handshake_s = (uint32_t)o->handshake_s;
	peer->handshake_ms = o->now_ms - (age_s > 0 ? age_s : 0) * 1000;
	peer->asking_ms = 0;
}

/* Bytes that went out unanswered and are not just keepalives: an initiation, or data that WireGuard
 * will follow by one. Keepalives alone get no answer and mean nothing. */
static bool is_asking(const struct peer *peer, const struct peer_observation *o)
{
	uint64_t keepalives = 0;

	if (o->keepalive)
		keepalives = (uint64_t)(o->now_ms - peer->answered_ms) / 1000 / o->keepalive + 1;
	return peer->unanswered >= PEER_INITIATION_BYTES + keepalives * PEER_KEEPALIVE_BYTES;
}

static void nothing_unanswered(struct peer *peer, int64_t now_ms)
{
	peer->unanswered = 0;
	peer->answered_ms = now_ms;
	peer->asking_ms = 0;
}

static void note_sent(struct peer *peer, const struct peer_observation *o)
{
	uint64_t sent = o->tx - peer->tx;

	peer->sent_s = (uint32_t)(o->now_ms / 1000);
	peer->unanswered = (uint32_t)MIN(peer->unanswered + sent, UINT32_MAX);
	if (!peer->asking_ms && is_asking(peer, o))
		peer->asking_ms = o->now_ms;
}

/* When the session was over at the last look, and no other has begun, what came in since are handshakes that the other
 * side begins: our answers do not reach it. */
static bool is_answered(const struct peer *peer, const struct peer_observation *o)
{
	return o->rx != peer->rx &&
		(peer->state == PEER_UP || peer_has_session(peer, o->now_ms) ||
			(uint32_t)o->handshake_s != peer->handshake_s);
}

static void note_traffic(struct peer *peer, const struct peer_observation *o)
{
	if (is_answered(peer, o) || o->rx < peer->rx || o->tx < peer->tx || !peer->answered_ms)
		nothing_unanswered(peer, o->now_ms);
	else if (o->tx != peer->tx)
		note_sent(peer, o);
	/* The kernel, which asks every five seconds, has given up: nobody wants anything any more. */
	else if (peer->asking_ms && o->now_ms / 1000 - peer->sent_s >= PEER_GIVE_UP_MS / 1000)
		nothing_unanswered(peer, o->now_ms);
	peer->rx = o->rx;
	peer->tx = o->tx;
}

static enum peer_state judge(const struct peer *peer, int64_t now_ms)
{
	int64_t asking = peer->asking_ms ? now_ms - peer->asking_ms : 0;

	if (peer->asking_ms && asking >= PEER_GIVE_UP_MS)
		return PEER_UNREACHABLE;
	if (peer_has_session(peer, now_ms))
		return PEER_UP;
	if (peer->asking_ms)
		return PEER_CONNECTING;
	/* Who was unreachable stays so in our eyes until it answers. */
	return peer->state == PEER_UNREACHABLE ? PEER_UNREACHABLE : PEER_IDLE;
}

static bool may_rotate(const struct peer *peer, int64_t now_ms)
{
	int64_t asking = now_ms - peer->asking_ms;

	return asking < PEER_ROTATE_MS || asking % PEER_ROTATE_AGAIN_MS < PEER_NEXT_ENDPOINT_MS;
}

unsigned peer_observe(struct peer *peer, const struct peer_observation *o)
{
	enum peer_state before = peer->state;
	unsigned actions = 0;

	note_traffic(peer, o);
	note_handshake(peer, o);
	if (o->endpoint.family)
		peer->endpoint = o->endpoint;
	if (o->asleep) /* what it asks for goes to its sentinel */
		nothing_unanswered(peer, o->now_ms);
	if (peer->state == PEER_BLOCKED || o->asleep)
		return 0;
	peer->state = judge(peer, o->now_ms);
	if (peer->state != before)
		actions |= PEER_ACT_CHANGED;
	if (peer->asking_ms) {
		actions |= PEER_ACT_WATCH;
		if (peer_is_silent(peer, o->now_ms) && may_rotate(peer, o->now_ms))
			actions |= PEER_ACT_NEXT_ENDPOINT | PEER_ACT_LOOK_UP;
	}
	return actions;
}

void peer_session_lost(struct peer *peer)
{
	peer->handshake_s = 0;
	peer->asking_ms = 0;
	peer->answered_ms = 0;
	peer->tx = peer->rx = 0;
	peer->unanswered = 0;
	if (peer->state < PEER_PARKED)
		peer->state = PEER_IDLE;
}

bool peer_is_failing(const struct peer *peer, int64_t now_ms)
{
	if (peer->state == PEER_BLOCKED || peer->state == PEER_UNREACHABLE)
		return true;
	return peer->asking_ms && now_ms - peer->asking_ms >= PEER_GIVE_UP_MS;
}
