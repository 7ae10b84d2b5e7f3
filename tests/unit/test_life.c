/* tests/unit/test_life.c - a connection to a signal server without the network: every end, silence, and
 * hours of absence. */
#include <glib.h>
#include <string.h>

#include "signal/life.h"

enum { MINUTE_MS = 60 * 1000 };

struct setup {
	struct life *life;
	int64_t now_ms, next_ms;
};

static void begin(struct setup *s)
{
	*s = (struct setup){ .life = life_new(7), .now_ms = 1000 };
	life_start(s->life, s->now_ms);
}

static struct life_view view(const struct setup *s)
{
	struct life_view v;

	life_get_view(s->life, &v);
	return v;
}

static unsigned tick(struct setup *s, int64_t ms)
{
	s->now_ms += ms;
	s->next_ms = life_tick(s->life, s->now_ms);
	return life_take(s->life);
}

static void connect_well(struct setup *s)
{
	begin(s);
	g_assert_cmpuint(tick(s, 0), ==, LIFE_OPEN | LIFE_REPORT);
	g_assert_cmpint(view(s).state, ==, SIGNAL_CONNECTING);
	s->now_ms += 20;
	life_headers(s->life, true, s->now_ms);
	g_assert_cmpuint(tick(s, 0), ==, LIFE_REPORT);
	g_assert_cmpint(view(s).state, ==, SIGNAL_CONNECTED);
	g_assert_cmpint(view(s).since_ms, ==, s->now_ms);
}

static void end(struct setup *s, enum grpc_status status, enum stream_failure failure)
{
	struct grpc_result result = { .status = status, .failure = failure };

	life_ended(s->life, &result, s->now_ms);
}

static void test_silence(void)
{
	struct setup s;

	connect_well(&s);
	g_assert_cmpint(s.next_ms, ==, s.now_ms + LIFE_SILENCE_MS);
	g_assert_cmpuint(tick(&s, LIFE_SILENCE_MS - 1), ==, 0);
	g_assert_cmpuint(tick(&s, 1), ==, LIFE_PROBE);
	g_assert_cmpint(s.next_ms, ==, s.now_ms + LIFE_PROBE_MS);
	/* Its answer, or anything else. */
	s.now_ms += LIFE_PROBE_MS - 1;
	life_heard(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, 0), ==, 0);
	g_assert_cmpint(s.next_ms, ==, s.now_ms + LIFE_SILENCE_MS);
	g_assert_cmpint(view(&s).message_ms, ==, s.now_ms);
	/* Nothing. */
	g_assert_cmpuint(tick(&s, LIFE_SILENCE_MS), ==, LIFE_PROBE);
	g_assert_cmpuint(tick(&s, LIFE_PROBE_MS), ==, LIFE_CLOSE | LIFE_REPORT);
	g_assert_cmpint(view(&s).state, ==, SIGNAL_WAITING);
	g_assert_cmpint(view(&s).failure, ==, SIGNAL_STALLED);
	g_assert_cmpint(view(&s).since_ms, ==, s.now_ms);
	g_assert_cmpint(view(&s).next_ms, <=, s.now_ms + 1600);
	life_free(s.life);
	life_free(NULL);
}

static const struct {
	enum grpc_status status;
	enum stream_failure failure;
	enum signal_failure expected;
} ends[] = {
	{ GRPC_OK, STREAM_OK, SIGNAL_UNREACHABLE },
	{ GRPC_UNAVAILABLE, STREAM_NAME, SIGNAL_UNREACHABLE },
	{ GRPC_UNAVAILABLE, STREAM_LOST, SIGNAL_UNREACHABLE },
	{ GRPC_UNAVAILABLE, STREAM_OK, SIGNAL_UNREACHABLE },
	{ GRPC_UNAVAILABLE, STREAM_TLS, SIGNAL_TLS },
	{ GRPC_UNAVAILABLE, STREAM_USAGE, SIGNAL_TLS },
	{ GRPC_UNIMPLEMENTED, STREAM_OK, SIGNAL_PROTOCOL },
	{ GRPC_ABORTED, STREAM_OK, SIGNAL_REFUSED },
	{ GRPC_FAILED_PRECONDITION, STREAM_OK, SIGNAL_REFUSED },
};

static void test_ends(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
		struct setup s;

		connect_well(&s);
		end(&s, ends[i].status, ends[i].failure);
		end(&s, ends[i].status, ends[i].failure); /* it is over already */
		g_assert_cmpuint(tick(&s, 0), ==, LIFE_CLOSE | LIFE_REPORT);
		g_assert_cmpint(view(&s).failure, ==, ends[i].expected);
		g_assert_cmpuint(view(&s).connects, ==, 1);
		g_assert_cmpuint(view(&s).failures, ==, 1);
		g_assert_cmpstr(view(&s).error, !=, "");
		s.now_ms = view(&s).next_ms;
		g_assert_cmpuint(tick(&s, 0), ==, LIFE_OPEN | LIFE_REPORT);
		/* Till it is well the reason is still to be seen. */
		g_assert_cmpint(view(&s).failure, ==, ends[i].expected);
		life_headers(s.life, true, s.now_ms);
		g_assert_cmpint(view(&s).failure, ==, SIGNAL_WELL);
		life_free(s.life);
	}
}

static void test_not_registered(void)
{
	struct setup s;

	begin(&s);
	tick(&s, 0);
	life_headers(s.life, false, s.now_ms);
	g_assert_cmpuint(tick(&s, 0), ==, LIFE_CLOSE | LIFE_REPORT);
	g_assert_cmpint(view(&s).failure, ==, SIGNAL_PROTOCOL);
	life_free(s.life);
	/* No word at all. */
	begin(&s);
	g_assert_cmpuint(tick(&s, LIFE_CONNECT_MS - 1), ==, LIFE_OPEN | LIFE_REPORT);
	g_assert_cmpuint(tick(&s, 1), ==, LIFE_CLOSE | LIFE_REPORT);
	g_assert_cmpint(view(&s).failure, ==, SIGNAL_UNREACHABLE);
	life_free(s.life);
}

static void test_stop(void)
{
	struct setup s;

	connect_well(&s);
	life_stop(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, 0), ==, LIFE_CLOSE | LIFE_REPORT);
	g_assert_cmpint(s.next_ms, ==, LIFE_NEVER);
	life_stop(s.life, s.now_ms);
	life_retry(s.life, s.now_ms);
	end(&s, GRPC_OK, STREAM_OK);
	g_assert_cmpuint(tick(&s, MINUTE_MS), ==, 0);
	/* Stopped before it was begun: nothing is opened. */
	life_start(s.life, s.now_ms);
	life_stop(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, 0), ==, LIFE_CLOSE | LIFE_REPORT);
	life_start(s.life, s.now_ms);
	life_start(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, 0), ==, LIFE_CLOSE | LIFE_OPEN | LIFE_REPORT);
	life_free(s.life);
}

/* Fails at once, again and again, for so long; the number of attempts. */
static uint64_t fail_for(struct setup *s, int64_t ms)
{
	int64_t until_ms = s->now_ms + ms;
	uint64_t before = view(s).attempts;

	while (s->now_ms < until_ms) {
		if (tick(s, 0) & LIFE_OPEN)
			end(s, GRPC_UNAVAILABLE, STREAM_UNREACHABLE);
		s->now_ms = view(s).next_ms;
	}
	return view(s).attempts - before;
}

static void test_pace(void)
{
	struct setup s;

	begin(&s);
	g_assert_cmpuint(fail_for(&s, MINUTE_MS), >=, 5);
	g_assert_cmpuint(fail_for(&s, 60 * MINUTE_MS), <=, 4 * 60);
	g_assert_cmpint(view(&s).since_ms, ==, 1000); /* it is away since then */
	/* Well for a moment only: not faster for it. */
	tick(&s, 0);
	life_headers(s.life, true, s.now_ms);
	tick(&s, 1000);
	end(&s, GRPC_ABORTED, STREAM_OK);
	g_assert_cmpint(view(&s).next_ms - s.now_ms, >=, 15 * 1000);
	s.now_ms = view(&s).next_ms;
	tick(&s, 0);
	life_headers(s.life, true, s.now_ms);
	tick(&s, LIFE_STEADY_MS);
	end(&s, GRPC_ABORTED, STREAM_OK);
	g_assert_cmpint(view(&s).next_ms - s.now_ms, <=, 1600);
	life_free(s.life);
}

static void test_retry(void)
{
	struct setup s;

	begin(&s);
	fail_for(&s, 10 * MINUTE_MS);
	tick(&s, 0);
	end(&s, GRPC_UNAVAILABLE, STREAM_UNREACHABLE);
	life_take(s.life);
	life_retry(s.life, s.now_ms);
	g_assert_cmpint(view(&s).next_ms, ==, s.now_ms + LIFE_SPACING_MS);
	s.now_ms += 2 * LIFE_SPACING_MS;
	life_retry(s.life, s.now_ms); /* it is due */
	g_assert_cmpuint(tick(&s, 0) & LIFE_OPEN, ==, LIFE_OPEN);
	life_free(s.life);
}

/* This host may have moved: the connection proves itself at once, or is made anew. */
static void test_doubt(void)
{
	struct setup s;

	connect_well(&s);
	life_doubt(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, LIFE_DOUBT_MS - 1), ==, LIFE_PROBE);
	life_heard(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, LIFE_SILENCE_MS - 1), ==, 0);
	life_doubt(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, 1000), ==, LIFE_PROBE);
	life_doubt(s.life, s.now_ms); /* which gives it no more time */
	g_assert_cmpuint(tick(&s, LIFE_DOUBT_MS - 1000), ==, LIFE_CLOSE | LIFE_REPORT);
	g_assert_cmpint(view(&s).failure, ==, SIGNAL_STALLED);
	life_free(s.life);
	/* A usual probe is out: it has less time now. */
	connect_well(&s);
	g_assert_cmpuint(tick(&s, LIFE_SILENCE_MS), ==, LIFE_PROBE);
	life_doubt(s.life, s.now_ms);
	g_assert_cmpuint(tick(&s, LIFE_DOUBT_MS) & LIFE_CLOSE, ==, LIFE_CLOSE);
	life_doubt(s.life, s.now_ms); /* nothing to doubt */
	g_assert_cmpint(view(&s).state, ==, SIGNAL_WAITING);
	life_free(s.life);
}

static void test_names(void)
{
	for (enum signal_state i = SIGNAL_STOPPED; i <= SIGNAL_WAITING; i++)
		g_assert_nonnull(signal_state_name(i));
	for (enum signal_failure i = SIGNAL_WELL; i <= SIGNAL_STALLED; i++)
		g_assert_nonnull(signal_failure_name(i));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/life/silence", test_silence);
	g_test_add_func("/life/ends", test_ends);
	g_test_add_func("/life/not registered", test_not_registered);
	g_test_add_func("/life/stop", test_stop);
	g_test_add_func("/life/pace", test_pace);
	g_test_add_func("/life/retry", test_retry);
	g_test_add_func("/life/doubt", test_doubt);
	g_test_add_func("/life/names", test_names);
	return g_test_run();
}
