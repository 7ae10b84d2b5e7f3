/* tests/unit/test_lazy.c - the core of lazy peers: which event leads to which actions, and when. */
#include <glib.h>
#include <string.h>

#include "agent/lazy/lazy.h"

enum { A, B, C, HOSTS, IDLE_S = 60 };

struct setup {
	struct lazy *lazy;
	size_t endpoints[HOSTS];
	bool grouped; /* A and B */
	bool astray; /* everybody may be elsewhere */
	int64_t now_ms;
};

static size_t candidates(uint32_t host, void *user)
{
	return ((struct setup *)user)->endpoints[host];
}

static bool is_in_place(uint32_t host, int64_t now_ms, void *user)
{
	return !((struct setup *)user)->astray;
}

static void members(uint32_t host, void (*fn)(uint32_t host, void *arg), void *arg, void *user)
{
	if (((struct setup *)user)->grouped && host != C)
		fn(host == A ? B : A, arg);
}

static const struct lazy_ops ops = { candidates, is_in_place, members };

static char *actions(struct setup *s)
{
	static const char *const names[] = { [LAZY_ACT_UNCOUNT] = "uncount",
		[LAZY_ACT_PROGRAM] = "program",
		[LAZY_ACT_FORWARD] = "forward",
		[LAZY_ACT_DROP] = "drop",
		[LAZY_ACT_COUNT] = "count",
		[LAZY_ACT_POKE] = "poke",
		[LAZY_ACT_TELL] = "tell" };
	GString *out = g_string_new(NULL);
	struct lazy_action action;

	while (lazy_next(s->lazy, &action)) {
		g_string_append_printf(out, "%s%c:%s", out->len ? " " : "", 'A' + (int)action.host,
			names[action.act]);
		if (action.act == LAZY_ACT_FORWARD)
			g_string_append_printf(out, "%u", action.arg);
	}
	return g_string_free(out, FALSE);
}

#define FOLLOWS(s, expected) \
	do { \
		g_autofree char *text_ = actions(s); \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

#define STATE(s, host, expected) \
	g_assert_cmpstr(lazy_state_name(lazy_state((s)->lazy, host)), ==, expected)

static void begin(struct setup *s)
{
	*s = (struct setup){ .endpoints = { 1, 3, 0 }, .now_ms = 1000 * 1000 };
	s->lazy = lazy_new(HOSTS, &ops, s);
	for (uint32_t i = 0; i < HOSTS; i++)
		lazy_set(s->lazy, i, true, IDLE_S, s->now_ms);
	FOLLOWS(s, "");
	STATE(s, A, "parked");
}

static void end(struct setup *s)
{
	lazy_free(s->lazy);
}

static void pass(struct setup *s, int64_t ms)
{
	s->now_ms += ms;
	lazy_tick(s->lazy, s->now_ms);
}

static void read_counter(struct setup *s, uint32_t host, uint64_t packets)
{
	lazy_counters_begin(s->lazy);
	lazy_counter(s->lazy, host, packets);
	lazy_counters_end(s->lazy, s->now_ms);
	lazy_park_idle(s->lazy, s->now_ms);
}

static void test_wake(void)
{
	struct lazy_view view;
	struct setup s;

	begin(&s);
	g_assert_true(lazy_wants_sentinel(s.lazy, A));
	lazy_captured(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:tell A:program A:forward0");
	STATE(&s, A, "waking");
	g_assert_false(lazy_wants_sentinel(s.lazy, A));
	g_assert_false(lazy_wants_counting(s.lazy, A));
	pass(&s, 40);
	lazy_answered(s.lazy, A, s.now_ms);
	FOLLOWS(&s, "A:tell A:count A:drop");
	STATE(&s, A, "active");
	lazy_view(s.lazy, A, &view);
	g_assert_cmpint(view.answer_ms, ==, 40);
	g_assert_cmpint(view.wakes, ==, 1);
	g_assert_cmpint(view.cause, ==, LAZY_BY_TRAFFIC);
	pass(&s, 30 * 1000);
	FOLLOWS(&s, "");
	end(&s);
}

static void test_counts(void)
{
	int64_t before[HOSTS] = { B, A, C };
	struct lazy_counts counts;
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, A, false, s.now_ms);
	pass(&s, 40);
	lazy_answered(s.lazy, A, s.now_ms);
	lazy_answered(s.lazy, A, s.now_ms); /* of this nobody was waiting */
	lazy_captured(s.lazy, B, true, s.now_ms);
	lazy_remap(s.lazy, HOSTS, before);
	lazy_remote(s.lazy, C, s.now_ms);
	lazy_sleep(s.lazy, C, s.now_ms);
	lazy_wake(s.lazy, C, LAZY_BY_USER, s.now_ms);
	pass(&s, LAZY_POKED_MS);
	lazy_get_counts(s.lazy, &counts);
	g_assert_cmpuint(counts.wakes[LAZY_BY_TRAFFIC], ==, 2);
	g_assert_cmpuint(counts.wakes[LAZY_BY_REMOTE], ==, 1);
	g_assert_cmpuint(counts.wakes[LAZY_BY_USER], ==, 1);
	g_assert_cmpuint(counts.answered, ==, 1);
	g_assert_cmpuint(counts.in_session, ==, 2);
	g_assert_cmpuint(counts.unanswered, ==, 1);
	g_assert_cmpuint(counts.answers.sum_ms, ==, 40);
	end(&s);
}

static void test_endpoints_in_turn(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, B, false, s.now_ms);
	FOLLOWS(&s, "B:tell B:program B:forward0");
	pass(&s, LAZY_TRY_MS - 1);
	FOLLOWS(&s, "");
	pass(&s, 1);
	FOLLOWS(&s, "B:forward1");
	pass(&s, LAZY_TRY_MS);
	FOLLOWS(&s, "B:forward2");
	pass(&s, LAZY_TRY_MS);
	FOLLOWS(&s, "");
	/* Before the kernel tries again, after 5 s, the sentinel is back; then all of them once more. */
	pass(&s, LAZY_REARM_MS - 3 * LAZY_TRY_MS);
	FOLLOWS(&s, "B:program");
	g_assert_true(lazy_wants_sentinel(s.lazy, B));
	STATE(&s, B, "waking");
	pass(&s, 1000);
	lazy_captured(s.lazy, B, false, s.now_ms);
	FOLLOWS(&s, "B:forward0");
	g_assert_true(lazy_wants_sentinel(s.lazy, B));
	pass(&s, 2 * LAZY_TRY_MS);
	pass(&s, LAZY_TRY_MS);
	FOLLOWS(&s, "B:forward1 B:forward2");
	lazy_answered(s.lazy, B, s.now_ms);
	FOLLOWS(&s, "B:tell B:count B:drop");
	end(&s);
}

static void test_unreachable(void)
{
	struct lazy_view view;
	struct setup s;

	begin(&s);
	for (int i = 0; i < 18; i++) {
		g_autofree char *ignored = NULL;

		lazy_captured(s.lazy, A, false, s.now_ms);
		pass(&s, 4500);
		pass(&s, 500);
		ignored = actions(&s);
		lazy_view(s.lazy, A, &view);
		g_assert_cmpint(view.unreachable, ==, i >= 3);
	}
	STATE(&s, A, "waking");
	pass(&s, LAZY_GIVE_UP_MS - 5000 - 1);
	STATE(&s, A, "waking");
	pass(&s, 1);
	STATE(&s, A, "parked");
	FOLLOWS(&s, "A:tell A:drop");
	lazy_view(s.lazy, A, &view);
	g_assert_true(view.unreachable);
	g_assert_cmpint(lazy_tick(s.lazy, s.now_ms), ==, LAZY_NEVER);
	lazy_captured(s.lazy, A, false, s.now_ms);
	lazy_view(s.lazy, A, &view);
	g_assert_false(view.unreachable);
	g_assert_cmpint(view.wakes, ==, 2);
	end(&s);
}

static void test_live_session(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, A, true, s.now_ms);
	FOLLOWS(&s, "A:program A:forward0 A:tell A:count A:drop");
	STATE(&s, A, "active");
	/* What was still on its way to the sentinel follows. */
	lazy_captured(s.lazy, A, true, s.now_ms);
	FOLLOWS(&s, "A:program A:forward0");
	/* Beside it, as the session is old. */
	lazy_captured(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:program A:forward0 A:drop");
	/* An initiation later: the endpoint was lost, and the session too. */
	pass(&s, 1);
	lazy_captured(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:uncount A:tell A:program A:forward0");
	STATE(&s, A, "waking");
	end(&s);
}

static void test_no_endpoint(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, C, false, s.now_ms);
	FOLLOWS(&s, "C:tell");
	g_assert_true(lazy_wants_sentinel(s.lazy, C));
	s.endpoints[C] = 1;
	lazy_new_endpoints(s.lazy, C, s.now_ms);
	FOLLOWS(&s, "C:program C:forward0");
	end(&s);
}

static void test_asked_for(void)
{
	struct setup s;

	begin(&s);
	g_assert_true(lazy_wake(s.lazy, A, LAZY_BY_USER, s.now_ms));
	FOLLOWS(&s, "A:tell A:program A:poke");
	g_assert_true(lazy_wants_sentinel(s.lazy, A));
	g_assert_false(lazy_wake(s.lazy, A, LAZY_BY_USER, s.now_ms));
	/* New endpoints alone are nothing to send. */
	lazy_new_endpoints(s.lazy, A, s.now_ms);
	FOLLOWS(&s, "");
	pass(&s, LAZY_POKED_MS);
	FOLLOWS(&s, "A:tell A:drop");
	STATE(&s, A, "parked");
	g_assert_true(lazy_wake(s.lazy, A, LAZY_BY_USER, s.now_ms));
	lazy_captured(s.lazy, A, false, s.now_ms);
	lazy_answered(s.lazy, A, s.now_ms);
	STATE(&s, A, "active");
	g_assert_true(lazy_sleep(s.lazy, A, s.now_ms));
	STATE(&s, A, "parked");
	g_assert_false(lazy_sleep(s.lazy, A, s.now_ms));
	end(&s);
}

static void test_remote(void)
{
	struct setup s;

	begin(&s);
	lazy_remote(s.lazy, A, s.now_ms);
	FOLLOWS(&s, "A:tell A:count A:drop"); /* the kernel has moved the endpoint by itself */
	STATE(&s, A, "active");
	g_assert_cmpint(lazy_next_reading(s.lazy), ==, s.now_ms + 15 * 1000);
	/* Its counters were gone, and it was told of again: it is in use. */
	pass(&s, IDLE_S * 1000 - 1000);
	lazy_remote(s.lazy, A, s.now_ms);
	FOLLOWS(&s, "A:count");
	pass(&s, IDLE_S * 1000 - 1000);
	read_counter(&s, A, 0);
	FOLLOWS(&s, "");
	STATE(&s, A, "active");
	pass(&s, 1000);
	read_counter(&s, A, 0);
	FOLLOWS(&s, "A:uncount A:tell A:program A:drop");
	STATE(&s, A, "parked");
	g_assert_cmpint(lazy_next_reading(s.lazy), ==, LAZY_NEVER);
	lazy_captured(s.lazy, B, false, s.now_ms);
	lazy_remote(s.lazy, B, s.now_ms);
	STATE(&s, B, "active");
	end(&s);
}

static void test_idle(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, A, true, s.now_ms);
	for (uint64_t packets = 1; packets < 10; packets++) {
		pass(&s, 30 * 1000);
		read_counter(&s, A, packets);
		STATE(&s, A, "active");
	}
	pass(&s, 30 * 1000);
	read_counter(&s, A, 9);
	g_assert_false(lazy_has_idle(s.lazy, s.now_ms));
	pass(&s, 30 * 1000 - 1);
	read_counter(&s, A, 9);
	STATE(&s, A, "active");
	pass(&s, 1);
	g_assert_true(lazy_has_idle(s.lazy, s.now_ms));
	read_counter(&s, A, 9);
	STATE(&s, A, "parked");
	end(&s);
}

/* Counting backwards, being absent, or a flushed table: nobody knows, so nobody is parked. */
static void test_unknown(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, A, true, s.now_ms);
	pass(&s, 30 * 1000);
	read_counter(&s, A, 100);
	g_free(actions(&s));
	pass(&s, 59 * 1000);
	read_counter(&s, A, 99);
	pass(&s, 59 * 1000);
	read_counter(&s, B, 1);
	FOLLOWS(&s, "A:count");
	pass(&s, 59 * 1000);
	lazy_counters_lost(s.lazy, s.now_ms);
	pass(&s, 59 * 1000);
	read_counter(&s, A, 0);
	STATE(&s, A, "active");
	pass(&s, 1000);
	read_counter(&s, A, 0);
	STATE(&s, A, "parked");
	end(&s);
}

static void test_group(void)
{
	struct setup s;

	begin(&s);
	s.grouped = true;
	lazy_captured(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:tell B:tell B:program B:poke A:program A:forward0");
	lazy_captured(s.lazy, B, false, s.now_ms);
	lazy_answered(s.lazy, A, s.now_ms);
	lazy_answered(s.lazy, B, s.now_ms);
	/* The spare one stays up with the one in use, and no longer. */
	for (uint64_t packets = 1; packets < 5; packets++) {
		pass(&s, 45 * 1000);
		read_counter(&s, A, packets);
		lazy_counters_begin(s.lazy);
		lazy_counter(s.lazy, A, packets);
		lazy_counter(s.lazy, B, 0);
		lazy_counters_end(s.lazy, s.now_ms);
		lazy_park_idle(s.lazy, s.now_ms);
		STATE(&s, B, "active");
	}
	pass(&s, 61 * 1000);
	lazy_counters_begin(s.lazy);
	lazy_counter(s.lazy, A, 4);
	lazy_counter(s.lazy, B, 0);
	lazy_counters_end(s.lazy, s.now_ms);
	lazy_park_idle(s.lazy, s.now_ms);
	STATE(&s, A, "parked");
	STATE(&s, B, "parked");
	end(&s);
}

/* One that does not answer holds nobody up. */
static void test_group_with_a_dead_member(void)
{
	struct setup s;

	begin(&s);
	s.grouped = true;
	lazy_captured(s.lazy, A, true, s.now_ms);
	for (int i = 0; i < 30; i++) {
		lazy_captured(s.lazy, B, false, s.now_ms);
		pass(&s, 5000);
		if (i % 3 == 0)
			read_counter(&s, A, 0);
	}
	STATE(&s, A, "parked");
	end(&s);
}

static void test_permanent(void)
{
	struct setup s;

	begin(&s);
	lazy_pin(s.lazy, A, true, s.now_ms);
	FOLLOWS(&s, "A:tell A:program A:drop A:count A:poke");
	STATE(&s, A, "permanent");
	lazy_set(s.lazy, A, false, IDLE_S, s.now_ms);
	lazy_pin(s.lazy, A, false, s.now_ms);
	STATE(&s, A, "permanent");
	g_assert_false(lazy_wake(s.lazy, A, LAZY_BY_USER, s.now_ms));
	g_assert_false(lazy_sleep(s.lazy, A, s.now_ms));
	FOLLOWS(&s, "");
	/* What was on its way to the sentinel still goes on. */
	lazy_captured(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:program A:forward0 A:drop");
	/* May sleep now: with a full idle time. */
	lazy_set(s.lazy, A, true, IDLE_S, s.now_ms);
	FOLLOWS(&s, "A:tell A:count A:drop");
	STATE(&s, A, "active");
	/* What asks where it may not be finds the sentinel. */
	lazy_pin(s.lazy, A, true, s.now_ms);
	g_free(actions(&s));
	s.astray = true;
	lazy_pin(s.lazy, A, false, s.now_ms);
	FOLLOWS(&s, "A:uncount A:tell A:program A:drop");
	STATE(&s, A, "parked");
	end(&s);
}

static void test_permanent_in_the_middle(void)
{
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, B, false, s.now_ms);
	g_free(actions(&s));
	lazy_set(s.lazy, B, false, IDLE_S, s.now_ms);
	FOLLOWS(&s, "B:tell B:program B:drop B:count B:poke");
	pass(&s, 100 * 1000);
	FOLLOWS(&s, "");
	g_assert_cmpint(lazy_n_awake(s.lazy), ==, 0);
	end(&s);
}

static void test_adopt(void)
{
	struct setup s;

	begin(&s);
	lazy_adopt(s.lazy, A, false, s.now_ms);
	lazy_adopt(s.lazy, B, true, s.now_ms);
	FOLLOWS(&s, "B:tell B:count B:drop");
	STATE(&s, A, "parked");
	STATE(&s, B, "active");
	end(&s);
}

static void test_silent(void)
{
	struct lazy_view view;
	struct setup s;

	begin(&s);
	lazy_silent(s.lazy, A, s.now_ms, s.now_ms);
	FOLLOWS(&s, "");
	lazy_captured(s.lazy, A, true, s.now_ms);
	g_free(actions(&s));
	pass(&s, 10 * 1000);
	lazy_silent(s.lazy, A, s.now_ms - 5000, s.now_ms);
	FOLLOWS(&s, "A:uncount A:tell A:program");
	g_assert_true(lazy_wants_sentinel(s.lazy, A));
	pass(&s, LAZY_UNREACHABLE_MS - 5000);
	lazy_view(s.lazy, A, &view);
	g_assert_true(view.unreachable);
	end(&s);
}

static void test_remap(void)
{
	const int64_t before[] = { 1, -1, 0, -1 };
	struct lazy_view view;
	struct setup s;

	begin(&s);
	lazy_captured(s.lazy, A, true, s.now_ms);
	lazy_captured(s.lazy, B, false, s.now_ms);
	lazy_captured(s.lazy, C, false, s.now_ms);
	lazy_pin(s.lazy, C, true, s.now_ms);
	lazy_remap(s.lazy, G_N_ELEMENTS(before), before);
	FOLLOWS(&s, "");
	STATE(&s, 0, "waking"); /* was B */
	STATE(&s, 2, "active"); /* was A */
	g_assert_cmpint(lazy_n_awake(s.lazy), ==, 2);
	lazy_set(s.lazy, 1, true, IDLE_S, s.now_ms);
	STATE(&s, 1, "parked");
	lazy_view(s.lazy, 2, &view);
	g_assert_cmpint(view.wakes, ==, 1);
	lazy_view(s.lazy, 1, &view);
	g_assert_cmpint(view.wakes, ==, 0);
	g_assert_false(view.pinned);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lazy/wake", test_wake);
	g_test_add_func("/lazy/endpoints", test_endpoints_in_turn);
	g_test_add_func("/lazy/unreachable", test_unreachable);
	g_test_add_func("/lazy/session", test_live_session);
	g_test_add_func("/lazy/no-endpoint", test_no_endpoint);
	g_test_add_func("/lazy/asked-for", test_asked_for);
	g_test_add_func("/lazy/remote", test_remote);
	g_test_add_func("/lazy/idle", test_idle);
	g_test_add_func("/lazy/unknown", test_unknown);
	g_test_add_func("/lazy/group", test_group);
	g_test_add_func("/lazy/group-dead", test_group_with_a_dead_member);
	g_test_add_func("/lazy/permanent", test_permanent);
	g_test_add_func("/lazy/permanent-waking", test_permanent_in_the_middle);
	g_test_add_func("/lazy/counts", test_counts);
	g_test_add_func("/lazy/adopt", test_adopt);
	g_test_add_func("/lazy/silent", test_silent);
	g_test_add_func("/lazy/remap", test_remap);
	return g_test_run();
}
