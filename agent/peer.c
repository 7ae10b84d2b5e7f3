/* agent/peer.c - one remote host: judges its tunnel from what a dump of the kernel shows. */
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
	case PEER_BLOCKED:
		return "blocked";
	}
	return "?";
}

bool peer_has_session(const struct peer *peer, int64_t now_ms)
{
	return peer->handshake_s && now_ms - peer->handshake_ms < PEER_SESSION_MS;
}

bool peer_is_silent(const struct peer *peer, int64_t now_ms)
{
	return peer->asking_ms && now_ms - peer->asking_ms >= PEER_NEXT_ENDPOINT_MS;
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
	uint64_t sent = o->tx - peer->tx_answered, keepalives = 0;

	if (o->keepalive)
		keepalives = (uint64_t)(o->now_ms - peer->answered_ms) / 1000 / o->keepalive + 1;
	return sent >= PEER_INITIATION_BYTES + keepalives * PEER_KEEPALIVE_BYTES;
}

static void note_traffic(struct peer *peer, const struct peer_observation *o)
{
	bool answered = o->rx != peer->rx || o->tx < peer->tx;

	if (answered || !peer->answered_ms) {
		peer->tx_answered = o->tx;
		peer->answered_ms = o->now_ms;
		peer->asking_ms = 0;
	} else if (o->tx != peer->tx && !peer->asking_ms && is_asking(peer, o)) {
		peer->asking_ms = o->now_ms;
	}
	/* Silence of our own ends the asking: nobody wants anything any more. */
	if (o->tx == peer->tx && peer->asking_ms &&
		o->now_ms - peer->asking_ms > 2 * PEER_GIVE_UP_MS && !answered) {
		peer->asking_ms = 0;
		peer->tx_answered = o->tx;
		peer->answered_ms = o->now_ms;
	}
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

unsigned peer_observe(struct peer *peer, const struct peer_observation *o)
{
	enum peer_state before = peer->state;
	unsigned actions = 0;

	note_traffic(peer, o);
	note_handshake(peer, o);
	peer->endpoint = o->endpoint;
	if (peer->state == PEER_BLOCKED)
		return 0;
	peer->state = judge(peer, o->now_ms);
	if (peer->state != before)
		actions |= PEER_ACT_CHANGED;
	if (peer->asking_ms) {
		actions |= PEER_ACT_WATCH;
		if (peer_is_silent(peer, o->now_ms))
			actions |= PEER_ACT_NEXT_ENDPOINT | PEER_ACT_LOOK_UP;
	}
	return actions;
}

void peer_session_lost(struct peer *peer)
{
	peer->handshake_s = 0;
	peer->asking_ms = 0;
	peer->answered_ms = 0;
	peer->tx_answered = peer->tx = peer->rx = 0;
	if (peer->state != PEER_BLOCKED)
		peer->state = PEER_IDLE;
}

bool peer_is_failing(const struct peer *peer, int64_t now_ms)
{
	if (peer->state == PEER_BLOCKED || peer->state == PEER_UNREACHABLE)
		return true;
	return peer->asking_ms && now_ms - peer->asking_ms >= PEER_GIVE_UP_MS;
}
