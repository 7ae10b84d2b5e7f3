/* tests/unit/test_peer.c - what a peer is said to be, from what dumps show of it. */
#include <glib.h>

#include "agent/peer.h"

enum { WALL = 1700000000 };

/* One dump: at this second, with a handshake that old (-1: none), these counters. */
struct step {
	int at_s, age_s;
	uint64_t rx, tx;
	enum peer_state state;
	unsigned actions; /* those that must be among the answer */
};

static void run(const struct step *steps, size_t n, uint16_t keepalive)
{
	struct peer peer = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct step *s = &steps[i];
		struct peer_observation o = { .now_ms = (100 + s->at_s) * 1000,
			.wall_s = WALL + s->at_s,
			.handshake_s = s->age_s < 0 ? 0 : WALL + s->at_s - s->age_s,
			.rx = s->rx,
			.tx = s->tx,
			.keepalive = keepalive };
		unsigned actions = peer_observe(&peer, &o);

		if (peer.state != s->state || (actions & s->actions) != s->actions)
			g_test_message("step %zu: %s, actions %x", i, peer_state_name(peer.state),
				actions);
		g_assert_cmpint(peer.state, ==, s->state);
		g_assert_cmphex(actions & s->actions, ==, s->actions);
	}
}

#define RUN(keepalive, ...) \
	do { \
		static const struct step steps[] = { __VA_ARGS__ }; \
		run(steps, G_N_ELEMENTS(steps), keepalive); \
	} while (0)

static void test_silent(void)
{
	RUN(0, { 0, -1, 0, 0, PEER_IDLE, 0 }, { 60, -1, 0, 0, PEER_IDLE, 0 });
}

static void test_comes_up(void)
{
	RUN(0, { 0, -1, 0, 0, PEER_IDLE, 0 }, { 2, 1, 92, 148, PEER_UP, PEER_ACT_CHANGED },
		{ 100, 99, 92, 148, PEER_UP, 0 },
		/* nothing said for three minutes: the session is over, nobody minds */
		{ 200, 199, 92, 148, PEER_IDLE, PEER_ACT_CHANGED });
}

static void test_never_answers(void)
{
	RUN(0, { 0, -1, 0, 0, PEER_IDLE, 0 },
		{ 2, -1, 0, 148, PEER_CONNECTING, PEER_ACT_CHANGED | PEER_ACT_WATCH },
		{ 7, -1, 0, 296, PEER_CONNECTING, PEER_ACT_NEXT_ENDPOINT | PEER_ACT_LOOK_UP },
		{ 22, -1, 0, 740, PEER_UNREACHABLE, PEER_ACT_CHANGED },
		/* the kernel gave up asking; it stays unreachable in our eyes */
		{ 200, -1, 0, 740, PEER_UNREACHABLE, 0 }, { 260, -1, 0, 740, PEER_UNREACHABLE, 0 },
		{ 270, 1, 92, 888, PEER_UP, PEER_ACT_CHANGED });
}

/* Two dumps between two attempts of the kernel see nothing new, and yet it asks on: its endpoints are
 * not gone through once more from the beginning, as each write would make it ask for longer. */
static void test_asks_on(void)
{
	struct peer peer = { 0 };
	struct peer_observation o = { .now_ms = 100000, .wall_s = WALL };
	unsigned tried = 0;

	peer_observe(&peer, &o);
	for (int s = 1; s <= 200; s++) {
		o.now_ms += 1000;
		o.wall_s++;
		o.tx += s % 6 ? 0 : PEER_INITIATION_BYTES;
		if (s % 5 == 0)
			tried += !!(peer_observe(&peer, &o) & PEER_ACT_NEXT_ENDPOINT);
	}
	g_assert_cmpuint(tried, >=, PEER_ROTATE_MS / 5000 - 3);
	g_assert_cmpuint(tried, <=, PEER_ROTATE_MS / 5000);
	for (int s = 1; s <= 25; s++) {
		o.now_ms += 1000;
		peer_observe(&peer, &o);
	}
	g_assert_cmpint(peer.asking_ms, ==, 0);
}

static void test_dies(void)
{
	RUN(0, { 0, 10, 1000, 1000, PEER_UP, PEER_ACT_CHANGED }, { 5, 15, 2000, 2000, PEER_UP, 0 },
		{ 10, 20, 2000, 3000, PEER_UP, PEER_ACT_WATCH },
		{ 26, 36, 2000, 3000, PEER_UP, PEER_ACT_NEXT_ENDPOINT },
		{ 35, 45, 2000, 4000, PEER_UNREACHABLE, PEER_ACT_CHANGED },
		{ 40, 1, 2092, 4148, PEER_UP, PEER_ACT_CHANGED });
}

/* It is heard again under the same session. */
static void test_dies_for_a_while(void)
{
	RUN(0, { 0, 10, 1000, 1000, PEER_UP, PEER_ACT_CHANGED },
		{ 10, 20, 1000, 3000, PEER_UP, PEER_ACT_WATCH },
		{ 31, 41, 1000, 4000, PEER_UNREACHABLE, PEER_ACT_CHANGED },
		{ 36, 46, 1064, 4500, PEER_UP, PEER_ACT_CHANGED });
}

/* Who only listens says so after ten seconds: that is no silence under a session that lives. */
static void test_one_way(void)
{
	struct peer peer = { 0 };
	struct peer_observation o = { .now_ms = 100000, .wall_s = WALL, .handshake_s = WALL - 5 };

	peer_observe(&peer, &o);
	for (int s = 1; s <= 15; s++) {
		o.now_ms += 1000;
		o.wall_s++;
		o.tx += 1000;
		g_assert_false(peer_observe(&peer, &o) & PEER_ACT_NEXT_ENDPOINT);
	}
	o.now_ms += 2000;
	g_assert_true(peer_observe(&peer, &o) & PEER_ACT_NEXT_ENDPOINT);
}

/* What comes in are handshakes that the other side begins: ours do not reach it. */
static void test_not_reached(void)
{
	RUN(25, { 0, 1, 92, 148, PEER_UP, 0 }, { 120, 121, 5000, 6000, PEER_UP, 0 },
		/* data came until it went away */
		{ 185, 186, 6000, 7000, PEER_IDLE, PEER_ACT_CHANGED },
		{ 245, 246, 6000 + 12 * 148, 7000 + 12 * (148 + 92), PEER_CONNECTING,
			PEER_ACT_CHANGED | PEER_ACT_WATCH },
		{ 250, 251, 6000 + 13 * 148, 7000 + 13 * (148 + 92), PEER_CONNECTING,
			PEER_ACT_NEXT_ENDPOINT },
		{ 266, 267, 6000 + 16 * 148, 7000 + 16 * (148 + 92), PEER_UNREACHABLE,
			PEER_ACT_CHANGED },
		{ 270, 1, 6000 + 17 * 148, 7000 + 17 * (148 + 92), PEER_UP, PEER_ACT_CHANGED });
}

/* Who was idle and is begun with by the other side again, is not lost. */
static void test_begins_again(void)
{
	RUN(0, { 0, 1, 92, 148, PEER_UP, 0 }, { 170, 171, 5000, 6000, PEER_UP, 0 },
		{ 230, 231, 6000, 7000, PEER_IDLE, PEER_ACT_CHANGED },
		{ 290, 291, 6000, 7000, PEER_IDLE, 0 },
		{ 350, 3, 6000 + 148 + 32, 7000 + 92, PEER_UP, PEER_ACT_CHANGED });
}

/* Keepalives get no answer, and that is no sign of anything. */
static void test_keepalives(void)
{
	RUN(1, { 0, 10, 100, 100, PEER_UP, 0 }, { 60, 70, 100, 100 + 60 * 32, PEER_UP, 0 },
		{ 110, 120, 100, 100 + 110 * 32, PEER_UP, 0 });
	RUN(25, { 0, 10, 100, 100, PEER_UP, 0 }, { 60, 70, 100, 164, PEER_UP, 0 },
		{ 120, 130, 100, 228, PEER_UP, 0 },
		{ 180, 190, 100, 228 + 5 * 148, PEER_CONNECTING, PEER_ACT_WATCH });
}

/* The wall clock jumps by years: ages stay sane, sessions stay alive. */
static void test_clock(void)
{
	struct peer peer = { 0 };
	struct peer_observation o = { .now_ms = 100000, .wall_s = WALL, .handshake_s = WALL - 5 };

	peer_observe(&peer, &o);
	g_assert_cmpint(peer.state, ==, PEER_UP);
	o.now_ms += 60000;
	o.wall_s -= 10 * 365 * 86400;
	peer_observe(&peer, &o);
	g_assert_cmpint(peer.state, ==, PEER_UP);
	o.handshake_s = o.wall_s + 1000; /* in the future: just now, then */
	o.rx++;
	peer_observe(&peer, &o);
	g_assert_cmpint(peer.handshake_ms, ==, o.now_ms);
}

static void test_lost_and_failing(void)
{
	struct peer peer = {
		.state = PEER_UP, .handshake_s = 1, .handshake_ms = 1000, .rx = 5, .tx = 5
	};

	g_assert_true(peer_has_session(&peer, 2000));
	g_assert_false(peer_has_session(&peer, 1000 + PEER_SESSION_MS));
	g_assert_false(peer_is_failing(&peer, 2000));
	peer.asking_ms = 5000;
	g_assert_false(peer_is_failing(&peer, 6000));
	g_assert_true(peer_is_failing(&peer, 5000 + PEER_GIVE_UP_MS));
	peer_session_lost(&peer);
	g_assert_false(peer_has_session(&peer, 2000));
	g_assert_cmpint(peer.state, ==, PEER_IDLE);
	peer.state = PEER_BLOCKED;
	g_assert_true(peer_is_failing(&peer, 0));
	peer_session_lost(&peer);
	g_assert_cmpint(peer.state, ==, PEER_BLOCKED);
}

/* It is one of 100,000. */
static void test_size(void)
{
	g_assert_cmpuint(sizeof(struct peer), <=, 96);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/peer/silent", test_silent);
	g_test_add_func("/peer/comes-up", test_comes_up);
	g_test_add_func("/peer/never-answers", test_never_answers);
	g_test_add_func("/peer/not-reached", test_not_reached);
	g_test_add_func("/peer/begins-again", test_begins_again);
	g_test_add_func("/peer/asks-on", test_asks_on);
	g_test_add_func("/peer/dies", test_dies);
	g_test_add_func("/peer/dies-for-a-while", test_dies_for_a_while);
	g_test_add_func("/peer/one-way", test_one_way);
	g_test_add_func("/peer/keepalives", test_keepalives);
	g_test_add_func("/peer/clock", test_clock);
	g_test_add_func("/peer/lost-and-failing", test_lost_and_failing);
	g_test_add_func("/peer/size", test_size);
	return g_test_run();
}
