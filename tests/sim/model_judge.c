/* tests/sim/model_judge.c - what a daemon says of its peers and does to them: is it right? */
#include "tests/sim/model_judge.h"

#include <stdlib.h>
#include <string.h>

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	ROUNDING_US = 50000,
	LOOK_US = 6 * 1000 *
		1000, /* within it the peers are looked at, when somebody has not answered */
	TURN_US = 500 * 1000, /* with much to send on; the clock is read before */
	HELD_US = 31 * 1000 * 1000, /* and then it is parked */
	NOTICE_US = 2 * 1000 * 1000, /* a packet of a parked peer is told */
	SESSION_S = 180,
	AT_ONCE_MAX = 256, /* of more some are programmed later */
};

/* -- questions ------------------------------------------------------------------------------ */

static int64_t now(const struct node *h)
{
	return h->w->clock.now_us;
}

/* Nothing was in the way of either since then. */
static bool is_free_since(const struct node *h, unsigned other, int64_t since_us)
{
	return world_bad_until(h->w, h->number, other) < since_us &&
		world_bad_until(h->w, other, h->number) < since_us;
}

/* Inner packets have passed within its idle time; what came after the counters were read does not count. */
static bool is_in_use(const struct node *h, unsigned other, int64_t inner_us)
{
	int64_t age_us = now(h) - inner_us;

	return inner_us && age_us > TURN_US &&
		age_us < world_idle_s(h->w, h->number, other) * S - TURN_US;
}

static bool has_session(const struct node *h, const struct model_peer *peer)
{
	return peer && peer->tunnel.handshake_ns &&
		model_wall_ns(h->model) - peer->tunnel.handshake_ns < SESSION_S * S * 1000;
}

/* One of the group, as this host sees it: to its members it is none. */
static bool is_member(const struct node *h, unsigned other)
{
	const struct spec *specs = h->w->specs;

	return specs[other].grouped && !specs[h->number].grouped &&
		world_may_park(h->w, h->number, other);
}

/* -- states as they are told ---------------------------------------------------------------- */

static void check_group(struct node *h, unsigned other)
{
	for (unsigned i = 0; i < h->w->n; i++)
		if (is_member(h, other) && i != other && is_member(h, i) &&
			h->others[i].seen == SEEN_ACTIVE && is_in_use(h, i, h->others[i].inner_us))
			world_fail(h->w, "%s parks h%u, though h%u of its group is in use", h->name,
				other, i);
}

/* It is programmed before that is told; what it says in between moves it again. */
static void check_sentinel(struct node *h, unsigned other)
{
	const struct model_peer *peer = world_peer(h->w, h->number, other);

	/* With a signal server settings that follow its paths may come first. */
	if (!h->w->exchange && peer && !sentinel_is_one(&peer->endpoint) && !h->model->crashed &&
		h->w->n <= AT_ONCE_MAX && now(h) - h->others[other].heard_us > TURN_US &&
		is_free_since(h, other, now(h)))
		world_fail(
			h->w, "%s calls h%u parked, which is at a real endpoint", h->name, other);
}

static void check_parking(struct node *h, unsigned other)
{
	const struct relation *r = &h->others[other];

	check_sentinel(h, other);
	if (h->told_to_sleep || !h->engine)
		return;
	if (r->seen == SEEN_ACTIVE && is_in_use(h, other, r->inner_us))
		world_fail(h->w, "%s parks h%u %.3f s after an inner packet", h->name, other,
			(double)(now(h) - r->inner_us) / 1e6);
	if (r->seen == SEEN_ACTIVE)
		check_group(h, other);
	/* What it asked for before it was parked and woken again is another matter. */
	if (r->seen == SEEN_WAKING && r->asked_us > r->seen_us - S && now(h) - r->asked_us < 29 * S)
		world_fail(h->w, "%s parks h%u %.3f s after the kernel asked for it", h->name,
			other, (double)(now(h) - r->asked_us) / 1e6);
	if (r->seen == SEEN_WAKING && is_free_since(h, other, r->seen_us) &&
		!has_session(h, world_peer(h->w, h->number, other)))
		world_fail(h->w, "%s gives h%u up, which nothing keeps from answering", h->name,
			other);
}

/* Its NAT does not let us in. */
static bool is_refused(const struct relation *r, int64_t now_us)
{
	return r->refused_us && now_us - r->refused_us < 20 * S;
}

/* What was captured together may be data of its session and a wish for a new one. */
static void check_waking(struct node *h, unsigned other)
{
	const struct relation *r = &h->others[other];
	const struct model_peer *peer = world_peer(h->w, h->number, other);
	bool asks = peer && peer->tunnel.attempts; /* and has got no answer */

	if (r->seen == SEEN_ACTIVE && now(h) - r->seen_us > ROUNDING_US && !asks &&
		!is_refused(r, now(h)) && is_free_since(h, other, now(h)))
		world_fail(h->w, "%s wakes h%u, which was active and undisturbed", h->name, other);
}

static void check_active(struct node *h, unsigned other, bool restart)
{
	if (restart && h->others[other].seen == SEEN_PARKED &&
		!has_session(h, world_peer(h->w, h->number, other)))
		world_fail(h->w, "%s finds h%u active, without a session", h->name, other);
}

/* A session that the other side began is noticed at the next check. */
static void check_unreachable(struct node *h, unsigned other)
{
	if (is_free_since(h, other, now(h) - 20 * S) &&
		!has_session(h, world_peer(h->w, h->number, other)))
		world_fail(h->w, "%s calls h%u unreachable, which nothing keeps from answering",
			h->name, other);
}

static enum seen_state state_in(const char *json)
{
	static const char *const names[] = { "parked", "waking", "active", "permanent",
		"unreachable" };
	enum seen_state state = SEEN_PARKED;

	while (state < SEEN_UNREACHABLE && !strstr(strstr(json, "\"state\":\""), names[state]))
		state++;
	return state;
}

void judge_told(const char *json, void *user)
{
	struct node *h = user;
	const char *name = strstr(json, "\"name\":\"h");
	enum seen_state state;
	struct relation *r;
	unsigned other;

	if (h->w->exchange && !h->model->crashed && strstr(json, "\"event\":\"repair\""))
		world_fail(h->w, "%s repairs what nobody has touched: %s", h->name, json);
	if (!name || !strstr(json, "\"event\":\"lazy\""))
		return;
	state = state_in(json);
	other = (unsigned)atoi(name + strlen("\"name\":\"h"));
	r = &h->others[other];
	model_trace(h->model, NULL, "%s", strstr(json, "\"message\""));
	if (state == SEEN_PARKED)
		check_parking(h, other);
	else if (state == SEEN_WAKING)
		check_waking(h, other);
	else if (state == SEEN_ACTIVE)
		check_active(h, other, strstr(json, "\"restart\""));
	else if (state == SEEN_UNREACHABLE)
		check_unreachable(h, other);
	h->group_wakes |= is_member(h, other) && r->seen == SEEN_PARKED &&
		(state == SEEN_WAKING || state == SEEN_ACTIVE) && !strstr(json, "\"restart\"");
	r->adopted = state == SEEN_ACTIVE && strstr(json, "\"restart\"");
	r->seen = (uint8_t)state;
	r->seen_us = now(h);
	r->remote_us = 0;
}

/* -- deeds ---------------------------------------------------------------------------------- */

void judge_remote(struct node *h, unsigned other)
{
	struct relation *r = &h->others[other];

	r->came_us = now(h);
	if (r->seen != SEEN_PARKED || !h->engine || !world_may_park(h->w, h->number, other))
		return;
	if (!r->remote_us || !is_free_since(h, other, r->remote_us))
		r->remote_us = now(h);
	else if (now(h) - r->remote_us > NOTICE_US)
		world_fail(h->w, "%s has not noticed what h%u sends since %.3f s", h->name, other,
			(double)(now(h) - r->remote_us) / 1e6);
}

static bool is_at(const struct node *h, unsigned other, const struct endpoint *endpoint)
{
	return net_find(&h->w->net, endpoint) == (int)other;
}

/* Who is where it answers stays there, unless it is to sleep; but of those who never sleep it is forgotten
 * when their session ends. */
void judge_move(
	struct node *h, unsigned other, const struct model_peer *peer, const struct endpoint *to)
{
	struct relation *r = &h->others[other];

	if (!is_at(h, other, &peer->endpoint) || is_at(h, other, to))
		return;
	if (!sentinel_is_one(to) && !has_session(h, peer))
		r->unknown |= !world_lists_present_address(h->w, h->number, other);
	if (!has_session(h, peer) || h->told_to_sleep || !is_free_since(h, other, now(h)))
		return;
	if (!sentinel_is_one(to) && now(h) - r->heard_us > TURN_US && !is_refused(r, now(h)))
		world_fail(h->w, "%s moves h%u from where it answers", h->name, other);
	/* What goes out is noticed at the sentinel only, and what comes in is told once a second. */
	if (sentinel_is_one(to) && r->seen == SEEN_PARKED &&
		r->came_us > MAX(r->seen_us + S, h->bad_until_us) &&
		is_in_use(h, other, r->came_us))
		world_fail(h->w, "%s puts h%u to its sentinel %.3f s after a packet of its",
			h->name, other, (double)(now(h) - r->came_us) / 1e6);
}

/* Whoever asked has asked again meanwhile, or has given up. */
static void check_age(const struct node *h, const void *data)
{
	struct wg_message message;

	memcpy(&message, data, sizeof(message));
	if (message.type == WG_INITIATION && !h->w->exchange && now(h) - message.sent_us > HELD_US)
		world_fail(h->w, "%s sends an initiation on after %.3f s", h->name,
			(double)(now(h) - message.sent_us) / 1e6);
}

/* Its session takes it once. What is kept for a path that is found later goes there, too. */
void judge_resent(struct node *h, const struct endpoint *to, const void *data, size_t len)
{
	GByteArray *both;

	check_age(h, data);
	if (!wg_inner_id(data, len))
		return;
	both = g_byte_array_new();
	g_byte_array_append(both, (const uint8_t *)to, sizeof(*to));
	g_byte_array_append(both, data, (guint)len);
	if (!g_hash_table_add(h->resent, g_byte_array_free_to_bytes(both)) && !h->w->exchange)
		world_fail(h->w, "%s sends a packet on twice, to the same place", h->name);
}

void judge_refused(struct node *h)
{
	if (h->bad_until_us < now(h))
		world_fail(h->w, "nftables refuses what %s wants", h->name);
}

/* Whoever can be reached is where that is without a daemon. */
void judge_leave(struct node *h)
{
	for (unsigned i = 0; !h->model->crashed && i < h->w->n; i++) {
		const struct model_peer *peer = world_peer(h->w, h->number, i);

		if (peer && sentinel_is_one(&peer->endpoint) && !h->model->failure_rate &&
			world_lists_present_address(h->w, h->number, i))
			world_fail(h->w, "%s leaves h%u at its sentinel", h->name, i);
	}
}

/* Who has answered since it is awake needs no other path. */
void judge_offer(struct node *h, unsigned other)
{
	const struct relation *r = &h->others[other];

	if (r->seen == SEEN_ACTIVE && r->first_us > r->seen_us && now(h) - r->first_us > LOOK_US &&
		!r->adopted && r->heard_us > MAX(r->refused_us, r->bad_until_us) &&
		is_free_since(h, other, r->seen_us) &&
		has_session(h, world_peer(h->w, h->number, other)))
		world_fail(h->w, "%s offers h%u another path, though it answers", h->name, other);
}

/* Whose packet was told within the last second is told of again only after it. */
void judge_word(struct node *h, unsigned other)
{
	if (h->others[other].seen == SEEN_ACTIVE && now(h) - h->others[other].seen_us < S)
		world_disturb(h->w, h->number, other, now(h) + S);
}

/* When one of a group wakes, all do. */
void judge_turn(struct node *h)
{
	for (unsigned i = 0; h->group_wakes && i < h->w->n; i++)
		if (is_member(h, i) && h->others[i].seen == SEEN_PARKED)
			world_fail(h->w, "%s lets h%u sleep, whose group it wakes", h->name, i);
	h->group_wakes = false;
}
