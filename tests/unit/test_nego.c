/* tests/unit/test_nego.c - two hosts agree on a path: which event leads to which actions, and when. */
#include <glib.h>
#include <string.h>

#include "agent/nego/nego.h"

enum { START_MS = 1000 };

struct setup {
	struct nego *nego;
	struct wg_key peer;
	uint32_t seed;
	int64_t now_ms;
};

static uint32_t next_random(void *user)
{
	struct setup *s = user;

	s->seed = s->seed * 1664525 + 1013904223;
	return s->seed >> 8;
}

static void begin(struct setup *s)
{
	struct wg_key own = { { 1 } };

	memset(s, 0, sizeof(*s));
	s->peer.b[0] = 2;
	s->now_ms = START_MS;
	s->nego = nego_new(&own, next_random, s);
	nego_set_signal(s->nego, true, s->now_ms);
}

static char *actions(struct setup *s)
{
	static const char *const names[] = {
		[NEGO_ACT_OFFER] = "offer",
		[NEGO_ACT_ANSWER] = "answer",
		[NEGO_ACT_CANDIDATE] = "candidate",
		[NEGO_ACT_GO_IDLE] = "go-idle",
		[NEGO_ACT_ICE_START] = "start",
		[NEGO_ACT_ICE_CANDIDATE] = "remote",
		[NEGO_ACT_ICE_STOP] = "stop",
		[NEGO_ACT_ICE_RELEASE] = "release",
		[NEGO_ACT_ICE_RESUME] = "resume",
		[NEGO_ACT_ENDPOINTS] = "endpoints",
		[NEGO_ACT_WAKE] = "wake",
	};
	GString *out = g_string_new(NULL);
	struct nego_action action;

	nego_tick(s->nego, s->now_ms);
	while (nego_next(s->nego, &action)) {
		const char *line = action.act == NEGO_ACT_ICE_STOP ? NULL : action.line;

		g_string_append_printf(out, "%s%s%s%s", out->len ? " " : "", names[action.act],
			line ? ":" : "", line ? line : "");
	}
	return g_string_free(out, FALSE);
}

#define FOLLOWS(s, expected) \
	do { \
		g_autofree char *text_ = actions(s); \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

static struct nego_words words(uint8_t session)
{
	struct nego_words w = { .ufrag = "theirs", .pwd = "secret", .has_session = true };

	w.session[0] = session;
	return w;
}

static struct nego_candidate candidate(const char *line, uint8_t last)
{
	struct nego_candidate c = { .at = { .family = AF_INET, .port = 51820 } };

	g_strlcpy(c.line, line, sizeof(c.line));
	c.at.addr[0] = 192;
	c.at.addr[3] = last;
	return c;
}

static const uint8_t *session(struct setup *s)
{
	static struct nego_words own;

	g_assert_true(nego_words(s->nego, &s->peer, &own));
	return own.session;
}

static void test_asks(void)
{
	struct nego_action action;
	struct nego_words heard = words(1), again;
	struct nego_candidate c = candidate("one", 1);
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct endpoint at[NEGO_ENDPOINTS_MAX + 1];
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	FOLLOWS(&s, "offer");
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	FOLLOWS(&s, "");
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start");
	/* No lapwing: a handshake from before it has a path itself does not count for it. */
	nego_hear_candidate(s.nego, &s.peer, &c, s.now_ms);
	FOLLOWS(&s, "remote:one");
	nego_local_candidate(s.nego, &s.peer, session(&s), "mine");
	FOLLOWS(&s, "candidate:mine");
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "");
	g_assert_cmpuint(nego_endpoints(s.nego, &s.peer, at), ==, 0);
	s.now_ms += NEGO_SETTLE_MS;
	FOLLOWS(&s, "endpoints");
	g_assert_cmpuint(nego_endpoints(s.nego, &s.peer, at), ==, 1);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "release"); /* the other side is no lapwing: its checks go on */
	s.now_ms += 3600 * 1000;
	FOLLOWS(&s, "");
	nego_words(s.nego, &s.peer, &again);
	nego_idle(s.nego, &s.peer, true);
	g_assert_true(nego_next(s.nego, &action) && action.act == NEGO_ACT_GO_IDLE);
	g_assert_true(nego_next(s.nego, &action) && action.act == NEGO_ACT_ICE_STOP);
	g_assert_cmpstr(action.line, ==, again.ufrag); /* nobody is left who knows it */
	FOLLOWS(&s, "");
	g_assert_cmpuint(nego_count(s.nego), ==, 0);
	nego_free(s.nego);
}

/* A path to somebody who goes on checking it, in use. */
static void connect_other(struct setup *s, uint8_t peer)
{
	struct nego_words heard = words(1);
	struct nego_path path = { { .family = AF_INET, .port = 9 }, CANDIDATE_SRFLX,
		CANDIDATE_PRFLX };

	begin(s);
	s->peer.b[0] = peer;
	nego_want(s->nego, &s->peer, NEGO_PACKET_WAITS, s->now_ms);
	nego_hear_answer(s->nego, &s->peer, &heard, s->now_ms);
	nego_selected(s->nego, &s->peer, session(s), &path, s->now_ms);
	g_assert_cmpuint(nego_sessions(s->nego, NULL, 0), ==, 0); /* not in use yet */
	nego_up(s->nego, &s->peer, s->now_ms);
	g_free(actions(s));
}

/* Who is no lapwing and asks for another path under a tunnel that is up has no session any more, and leaves it to the
 * controlling side to begin one: once. */
static void test_renew(void)
{
	const struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_words heard = words(2);
	struct setup s;

	connect_other(&s, 0);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "stop start answer");
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "release");
	s.now_ms += NEGO_SETTLE_MS;
	FOLLOWS(&s, "endpoints wake");
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "endpoints");
	nego_free(s.nego);

	connect_other(&s, 2); /* it controls, and begins itself */
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	g_free(actions(&s));
	s.now_ms += NEGO_SETTLE_MS;
	FOLLOWS(&s, "endpoints");
	nego_free(s.nego);
}

/* We are started again: whoever was connected is answered as before, shown as before, and can ask for another path. */
static void test_resume(void)
{
	struct nego_words heard = words(1), before, after;
	struct nego_session kept;
	struct nego_action action;
	struct nego_view view;
	struct setup s;

	connect_other(&s, 2);
	nego_words(s.nego, &s.peer, &before);
	g_assert_cmpuint(nego_sessions(s.nego, &kept, 1), ==, 1);
	nego_free(s.nego);
	begin(&s);
	next_random(&s); /* else the same words would come of the same seed */
	nego_resume(s.nego, &kept, s.now_ms);
	FOLLOWS(&s, "resume endpoints");
	nego_words(s.nego, &s.peer, &after);
	g_assert_cmpstr(after.ufrag, ==, before.ufrag);
	g_assert_cmpstr(after.pwd, ==, before.pwd);
	nego_view(s.nego, &s.peer, &view);
	g_assert_cmpint(view.phase, ==, NEGO_UP);
	g_assert_cmpuint(view.path.at.port, ==, 9);
	g_assert_cmpint(view.path.local, ==, CANDIDATE_SRFLX);
	g_assert_cmpint(view.path.remote, ==, CANDIDATE_PRFLX);
	g_assert_false(view.lapwing);
	nego_resume(s.nego, &kept, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	s.now_ms += 3600 * 1000;
	FOLLOWS(&s, "");
	g_assert_cmpuint(nego_sessions(s.nego, &kept, 1), ==, 1);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	g_assert_true(nego_next(s.nego, &action) && action.act == NEGO_ACT_ICE_STOP);
	g_assert_cmpstr(action.line, ==, before.ufrag);
	FOLLOWS(&s, "start answer");
	g_assert_cmpuint(nego_sessions(s.nego, NULL, 0), ==, 0);
	nego_free(s.nego);
}

/* What was kept gives way to what there is, and goes when the peer sleeps. */
static void test_resume_too_late(void)
{
	struct nego_session kept = { .key = { { 2 } }, .ufrag = "aaaabbbb" };
	struct nego_words words;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	FOLLOWS(&s, "offer");
	nego_resume(s.nego, &kept, s.now_ms);
	FOLLOWS(&s, "");
	nego_words(s.nego, &s.peer, &words);
	g_assert_cmpstr(words.ufrag, !=, kept.ufrag);
	nego_idle(s.nego, &s.peer, false);
	nego_set_signal(s.nego, false, s.now_ms);
	nego_want(s.nego, &s.peer, NEGO_PERMANENT, s.now_ms); /* its tunnel is not looked at yet */
	FOLLOWS(&s, "");
	nego_resume(s.nego, &kept, s.now_ms);
	FOLLOWS(&s, "resume endpoints");
	nego_set_signal(s.nego, true, s.now_ms);
	s.now_ms += 60 * 1000;
	FOLLOWS(&s, ""); /* nothing is looked for */
	nego_idle(s.nego, &s.peer, true);
	FOLLOWS(&s, "go-idle stop");
	g_assert_cmpuint(nego_count(s.nego), ==, 0);
	nego_free(s.nego);
}

/* Who is no lapwing and has lost its path asks anew, under the session that it had. */
static void test_asked_again(void)
{
	struct nego_words heard = words(1);
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	uint8_t before[NEGO_SESSION_LEN];
	struct setup s;

	begin(&s);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start answer");
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "answer"); /* still at work */
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "release");
	s.now_ms += 30 * 1000;
	FOLLOWS(&s, "endpoints");
	memcpy(before, session(&s), sizeof(before));
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms); /* late */
	FOLLOWS(&s, "");
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "stop start answer");
	g_assert_true(memcmp(before, session(&s), sizeof(before)) != 0);
	nego_free(s.nego);
}

/* The first word since the tunnel was up last, whichever side asked. */
static void test_first_word(void)
{
	struct nego_words heard = words(1);
	struct nego_view v;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.heard_ms, ==, 0);
	s.now_ms += 70;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms + 5);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.heard_ms, ==, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.heard_ms, ==, 0);
	nego_free(s.nego);
}

static void test_is_asked(void)
{
	struct nego_candidate early = candidate("early", 1), other = candidate("other", 2);
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	g_strlcpy(early.ufrag, "theirs", sizeof(early.ufrag));
	g_strlcpy(other.ufrag, "before", sizeof(other.ufrag));
	heard.lapwing = true;
	nego_hear_candidate(s.nego, &s.peer, &early, s.now_ms);
	nego_hear_candidate(s.nego, &s.peer, &other, s.now_ms);
	FOLLOWS(&s, "");
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start remote:early endpoints answer");
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms); /* the same again */
	FOLLOWS(&s, "answer");
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "stop");
	heard.session[0]++; /* it has restarted */
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start answer");
	nego_forget(s.nego, &s.peer);
	FOLLOWS(&s, "stop");
	nego_free(s.nego);
}

/* Its candidates come behind its words. When the tunnel is up by then, nothing waits for them. */
static void test_too_late(void)
{
	struct nego_candidate late = candidate("late", 1), early = candidate("early", 2);
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start answer stop");
	nego_hear_candidate(s.nego, &s.peer, &late, s.now_ms);
	s.now_ms += NEGO_EARLY_MS;
	FOLLOWS(&s, "");
	nego_hear_candidate(s.nego, &s.peer, &early, s.now_ms);
	s.now_ms += NEGO_EARLY_MS - 1;
	FOLLOWS(&s, "");
	heard.session[0]++;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start remote:early endpoints answer");
	nego_free(s.nego);
}

static void test_nobody_answers(void)
{
	unsigned offers = 0;
	struct nego_view v;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	for (; s.now_ms < START_MS + 3600 * 1000; s.now_ms += 100) {
		g_autofree char *text = actions(&s);

		offers += !strcmp(text, "offer");
	}
	/* 3, 6, 12, 24 s, then 26.5 to 49.5 s apart. */
	g_assert_cmpuint(offers, >=, 3600 / 50);
	g_assert_cmpuint(offers, <=, 3600 / 27 + 5);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpstr(nego_phase_name(v.phase), ==, "offered");
	nego_free(s.nego);
}

static void test_no_signal(void)
{
	struct nego_view v;
	struct setup s;

	begin(&s);
	nego_set_signal(s.nego, false, s.now_ms);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	FOLLOWS(&s, "");
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.phase, ==, NEGO_NO_SIGNAL);
	g_assert_cmpint(nego_tick(s.nego, s.now_ms), ==, NEGO_NEVER);
	s.now_ms += 60000;
	nego_set_signal(s.nego, true, s.now_ms);
	FOLLOWS(&s, "offer");
	nego_free(s.nego);
}

static void test_fails(void)
{
	struct nego_words heard = words(1);
	uint8_t old[NEGO_SESSION_LEN];
	struct nego_view v;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start");
	memcpy(old, session(&s), sizeof(old));
	s.now_ms += NEGO_CHECK_MS;
	FOLLOWS(&s, "stop");
	g_assert_cmpint(memcmp(old, session(&s), sizeof(old)), !=, 0);
	nego_failed(s.nego, &s.peer, old, "late", s.now_ms); /* of the session before */
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpstr(v.why, ==, "no candidate answered in time");
	FOLLOWS(&s, "");
	s.now_ms += NEGO_AFRESH_MS;
	FOLLOWS(&s, "offer");
	nego_free(s.nego);
}

static void test_floods(void)
{
	struct nego_words heard = words(1);
	unsigned answers = 0;
	struct nego_view v;
	struct setup s;

	begin(&s);
	for (unsigned i = 0; i < 1000; i++, s.now_ms += 10) { /* ten seconds */
		g_autofree char *text = NULL;

		heard.session[0] = (uint8_t)i;
		heard.session[1] = (uint8_t)(i >> 8);
		nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
		text = actions(&s);
		answers += strstr(text, "answer") != NULL;
	}
	g_assert_cmpuint(answers, <=, 10 + NEGO_ANSWER_BURST);
	for (unsigned i = 0; i < 10000; i++) {
		struct nego_candidate c = candidate("x", (uint8_t)i);

		nego_hear_candidate(s.nego, &s.peer, &c, s.now_ms);
	}
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpuint(v.candidates, ==, NEGO_CANDIDATES_MAX);
	g_assert_cmpuint(v.limited, >, 9000);
	nego_free(s.nego);
}

/* One of many others. */
static struct wg_key other(uint8_t kind, unsigned i)
{
	return (struct wg_key){ { kind, (uint8_t)i, (uint8_t)(i >> 8) } };
}

static void want_many(struct setup *s, uint8_t kind, unsigned n, enum nego_urgency urgency)
{
	for (unsigned i = 0; i < n; i++) {
		struct wg_key wanted = other(kind, i);

		nego_want(s->nego, &wanted, urgency, s->now_ms);
	}
}

static void offers_of_many(struct setup *s, unsigned n, const struct nego_words *heard)
{
	for (unsigned i = 0; i < n; i++) {
		struct wg_key asks = other(9, i);

		nego_hear_offer(s->nego, &asks, heard, s->now_ms);
	}
}

/* Many at once: a few now, the rest at a pace, who has a packet waiting before the others. */
static void test_many(void)
{
	unsigned offers = 0, permanent_first = 0;
	const struct wg_key last = other(9, 38);
	struct nego_action action;
	struct nego_load load;
	struct nego_view v;
	struct setup s;

	begin(&s);
	for (unsigned i = 0; i < 40; i++) {
		struct wg_key key = other(9, i);

		nego_want(s.nego, &key, i % 2 ? NEGO_PACKET_WAITS : NEGO_PERMANENT, s.now_ms);
	}
	nego_view(s.nego, &last, &v);
	g_assert_cmpint(v.phase, ==, NEGO_WAITS);
	g_assert_cmpint(v.due_ms, ==, START_MS);
	for (; offers < 40; s.now_ms += 20) {
		nego_tick(s.nego, s.now_ms);
		while (nego_next(s.nego, &action)) {
			permanent_first += offers < 20 && !(action.key.b[1] % 2);
			offers++;
		}
		g_assert_cmpint(offers, <=, NEGO_BURST + (s.now_ms - START_MS) * NEGO_PER_S / 1000);
	}
	g_assert_cmpuint(permanent_first, ==, 0);
	nego_view(s.nego, &last, &v);
	g_assert_cmpint(v.phase, ==, NEGO_OFFERED);
	g_assert_cmpint(s.now_ms, <=, START_MS + 1000);
	want_many(&s, 8, 100, NEGO_PACKET_WAITS); /* more than may be at work */
	for (int64_t end = s.now_ms + 1000; s.now_ms < end; s.now_ms += 20)
		nego_tick(s.nego, s.now_ms);
	want_many(&s, 7, 5000, NEGO_PERMANENT); /* and more than are kept */
	g_assert_cmpuint(nego_count(s.nego), ==, NEGO_KNOWN_MAX);
	nego_get_load(s.nego, &load, s.now_ms);
	g_assert_cmpuint(load.busy, <=, NEGO_BUSY_MAX);
	g_assert_cmpuint(load.waiting, >, 50);
	g_assert_cmpint(load.longest_ms, >=, 900);
	nego_free(s.nego);
}

/* Those that never are there are asked on and on, several at each waking up. */
static void test_many_absent(void)
{
	enum { PEERS = 100, MINUTES = 10, MINUTE_MS = 60 * 1000 };
	struct nego_action action;
	unsigned offers = 0, woken = 0;
	struct setup s;

	begin(&s);
	want_many(&s, 8, PEERS, NEGO_PERMANENT);
	for (int64_t end = s.now_ms + 2 * MINUTES * MINUTE_MS; s.now_ms < end;) {
		bool later = s.now_ms >= end - MINUTES * MINUTE_MS;

		s.now_ms = MAX(nego_tick(s.nego, s.now_ms), s.now_ms + 1);
		woken += later;
		while (nego_next(s.nego, &action))
			offers += later;
	}
	g_assert_cmpuint(offers, >=, PEERS * MINUTES * MINUTE_MS / NEGO_CAP_MAX_MS);
	g_assert_cmpuint(offers, <=, PEERS * MINUTES * MINUTE_MS / 30000);
	g_assert_cmpuint(woken, <=, 30 * MINUTES);
	nego_free(s.nego);
}

struct begun {
	unsigned starts, answers, offers;
	int64_t start_ms[512], offer_ms[512];
};

/* For so long; paths are found at once, when `found`. */
static void go_on(struct setup *s, int64_t ms, bool found, struct begun *b)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_action action;
	struct nego_words own;

	for (int64_t end = s->now_ms + ms; s->now_ms < end; s->now_ms += 10) {
		nego_tick(s->nego, s->now_ms);
		while (nego_next(s->nego, &action)) {
			if (action.act == NEGO_ACT_OFFER)
				b->offer_ms[b->offers++] = s->now_ms;
			b->answers += action.act == NEGO_ACT_ANSWER;
			if (action.act != NEGO_ACT_ICE_START)
				continue;
			b->start_ms[b->starts++] = s->now_ms;
			if (!found)
				continue;
			nego_words(s->nego, &action.key, &own);
			nego_selected(s->nego, &action.key, own.session, &path, s->now_ms);
			nego_up(s->nego, &action.key, s->now_ms);
		}
	}
}

static unsigned most_in_a_second(const int64_t *at_ms, unsigned n)
{
	unsigned most = 0;

	for (unsigned i = 0, from = 0; i < n; i++) {
		while (at_ms[i] - at_ms[from] >= 1000)
			from++;
		most = MAX(most, i - from + 1);
	}
	return most;
}

/* Many ask us at once: a few begin now, the rest at a pace, and who we have asked for a packet before them. */
static void test_many_ask(void)
{
	struct nego_words heard = words(1), theirs;
	struct begun b = { 0 };
	struct nego_load load;
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	offers_of_many(&s, 200, &heard);
	go_on(&s, 10, true, &b);
	g_assert_cmpuint(b.answers, ==, NEGO_BURST);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	go_on(&s, 10, true, &b);
	g_assert_cmpuint(b.offers, ==, 1);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	go_on(&s, 50, false, &b);
	g_assert_true(nego_take_words(s.nego, &s.peer, &theirs));
	go_on(&s, 930, true, &b);
	nego_get_load(s.nego, &load, s.now_ms);
	g_assert_cmpuint(load.waiting, ==, 201 - b.starts);
	g_assert_cmpint(load.longest_ms, ==, 1000);
	go_on(&s, 4000, true, &b);
	g_assert_cmpuint(b.answers, ==, 200);
	g_assert_cmpuint(b.starts, ==, 201);
	g_assert_cmpuint(most_in_a_second(b.start_ms, b.starts), <=, 50);
	nego_free(s.nego);
}

/* Who asks and does nothing does not take all the places. */
static void test_many_ask_for_nothing(void)
{
	struct nego_words heard = words(1);
	struct begun b = { 0 };
	struct nego_load load;
	struct setup s;

	begin(&s);
	offers_of_many(&s, 200, &heard);
	go_on(&s, 5000, false, &b);
	g_assert_cmpuint(b.starts, ==, NEGO_ASKED_MAX);
	nego_get_load(s.nego, &load, s.now_ms);
	g_assert_cmpuint(load.busy, ==, NEGO_ASKED_MAX);
	g_assert_cmpuint(load.waiting, ==, 200 - NEGO_ASKED_MAX);
	nego_want(s.nego, &s.peer, NEGO_PERMANENT, s.now_ms);
	FOLLOWS(&s, "offer");
	nego_free(s.nego);
}

/* Who has to wait and asks again meanwhile is answered once, and what it said last counts. */
static void test_asks_while_it_waits(void)
{
	struct nego_words heard = words(1), theirs;
	struct nego_candidate c = candidate("new", 1);
	struct begun b = { 0 };
	struct nego_view v;
	struct setup s;

	begin(&s);
	offers_of_many(&s, 20, &heard);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	heard.session[0]++;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_hear_candidate(s.nego, &s.peer, &c, s.now_ms);
	g_assert_false(nego_take_words(s.nego, &s.peer, &theirs));
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.phase, ==, NEGO_WAITS);
	g_assert_cmpint(v.due_ms, ==, START_MS);
	go_on(&s, 1000, false, &b);
	g_assert_cmpuint(b.answers, ==, 21);
	g_assert_true(nego_take_words(s.nego, &s.peer, &theirs));
	g_assert_false(nego_take_words(s.nego, &s.peer, &(struct nego_words){ 0 }));
	g_assert_cmpuint(theirs.session[0], ==, 2);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpuint(v.offers_heard, ==, 2);
	g_assert_cmpuint(v.candidates, ==, 1);
	nego_free(s.nego);
}

/* Hundreds have a session, and all begin another one at the same moment. */
static void test_many_begin_anew(void)
{
	struct nego_words heard = words(1);
	struct begun b = { 0 };
	struct setup s;

	begin(&s);
	for (unsigned round = 0; round < 2; round++) {
		want_many(&s, 9, 100, NEGO_PERMANENT);
		go_on(&s, 10000, false, &b);
		for (unsigned i = 0; i < 100; i++) {
			struct wg_key asks = other(9, i);

			heard.session[0] = (uint8_t)(round + 1);
			nego_hear_answer(s.nego, &asks, &heard, s.now_ms);
		}
		go_on(&s, 5000, true, &b);
	}
	g_assert_cmpuint(b.starts, >=, 200);
	g_assert_cmpuint(most_in_a_second(b.offer_ms, b.offers), <=, 50);
	g_assert_cmpuint(most_in_a_second(b.start_ms, b.starts), <=, 50);
	nego_free(s.nego);
}

/* All of a big mesh that is always up get their turn. */
static void test_big(void)
{
	enum { PEERS = 2 * NEGO_KNOWN_MAX };
	struct setup s;

	begin(&s);
	for (int round = 0; round < 3; round++)
		for (unsigned i = 0; i < PEERS; i++) {
			struct wg_key key = other(7, i);

			nego_want(s.nego, &key, NEGO_PERMANENT, s.now_ms);
			if (i < NEGO_KNOWN_MAX && round == 1)
				nego_up(s.nego, &key, s.now_ms);
		}
	g_assert_cmpuint(nego_count(s.nego), ==, PEERS);
	nego_free(s.nego);
}

/* Who only asked and went away leaves nothing behind. */
static void test_is_forgotten(void)
{
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	for (unsigned i = 0; i < 200; i++, s.now_ms += 1000)
		g_free(actions(&s));
	g_assert_cmpuint(nego_count(s.nego), ==, 0);
	g_assert_cmpint(nego_tick(s.nego, s.now_ms), ==, NEGO_NEVER);
	nego_free(s.nego);
}

/* What comes after the other side has said that it sleeps is not talk. */
static void test_late_candidates(void)
{
	struct nego_candidate c = candidate("late", 1);
	struct setup s;

	begin(&s);
	nego_hear_candidate(s.nego, &s.peer, &c, s.now_ms);
	g_assert_cmpuint(nego_count(s.nego), ==, 1);
	s.now_ms += NEGO_EARLY_MS;
	FOLLOWS(&s, "");
	g_assert_cmpuint(nego_count(s.nego), ==, 0);
	nego_free(s.nego);
}

static bool is_other(const struct wg_key *key, void *user)
{
	return key->b[0] != 2;
}

static void test_prune(void)
{
	struct wg_key other = { { 3 } };
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	nego_want(s.nego, &other, NEGO_PACKET_WAITS, s.now_ms);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "offer start answer");
	nego_prune(s.nego, is_other, NULL);
	FOLLOWS(&s, "stop");
	g_assert_cmpuint(nego_count(s.nego), ==, 1);
	nego_free(s.nego);
}

static void test_no_ice(void)
{
	struct nego_words heard = { .has_session = false };
	struct nego_view v;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "answer offer");
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpstr(v.why, ==, "the other side offers no ICE");
	nego_free(s.nego);
}

/* It asked, a path was found, and then it fell asleep. */
static void test_not_used(void)
{
	struct nego_words heard = words(1);
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "start answer endpoints");
	s.now_ms += NEGO_LINGER_MS - 1;
	FOLLOWS(&s, "");
	s.now_ms += 1001;
	FOLLOWS(&s, "stop");
	g_assert_cmpuint(nego_count(s.nego), ==, 0);
	nego_free(s.nego);
}

static unsigned tries_within(struct setup *s, int64_t ms, uint8_t *heard)
{
	unsigned tries = 0;

	for (int64_t end = s->now_ms + ms; s->now_ms < end; s->now_ms += 100) {
		g_autofree char *text = actions(s);
		struct nego_words answer;

		if (!strstr(text, "offer"))
			continue;
		answer = words(++*heard);
		nego_hear_answer(s->nego, &s->peer, &answer, s->now_ms);
		tries++;
	}
	return tries;
}

/* The other side answers, and yet there is no path: the next tries are less and less often. */
static void test_in_vain(void)
{
	uint8_t heard = 0;
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PERMANENT, s.now_ms);
	g_assert_cmpuint(tries_within(&s, 60 * 1000, &heard), >=, 3);
	tries_within(&s, 120 * 1000, &heard);
	g_assert_cmpuint(tries_within(&s, 600 * 1000, &heard), <=, 14);
	/* What changes the odds is tried at once. */
	nego_network_changed(s.nego, s.now_ms);
	g_assert_cmpuint(tries_within(&s, 20 * 1000, &heard), >=, 2);
	nego_free(s.nego);
}

/* The path of a tunnel that is up breaks: another one is looked for, whatever WireGuard thinks. */
static void test_path_lost(void)
{
	struct nego_words heard = words(1);
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct setup s;

	begin(&s);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	FOLLOWS(&s, "offer");
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start release");
	nego_failed(s.nego, &s.peer, session(&s), "silence", s.now_ms);
	FOLLOWS(&s, "stop");
	s.now_ms += NEGO_AFRESH_MS;
	FOLLOWS(&s, "offer");
	nego_free(s.nego);
}

/* WireGuard's handshake does not come over the path that was found. */
static void test_no_handshake(void)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_words heard = words(1);
	struct nego_view v;
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	FOLLOWS(&s, "start");
	s.now_ms += 5000;
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "endpoints");
	s.now_ms += NEGO_HANDSHAKE_MS / 2;
	path.at.port++; /* a better one: that is no reason to wait longer */
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	FOLLOWS(&s, "endpoints");
	s.now_ms += NEGO_HANDSHAKE_MS / 2 - 1;
	FOLLOWS(&s, "");
	s.now_ms++;
	FOLLOWS(&s, "stop");
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpstr(v.why, ==, "the path answers, but WireGuard does not");
	g_assert_cmpint(v.path.at.family, ==, 0);
	s.now_ms += NEGO_AFRESH_MS;
	FOLLOWS(&s, "offer");
	heard.session[0]++;
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start endpoints stop");
	s.now_ms += 2 * NEGO_HANDSHAKE_MS;
	FOLLOWS(&s, "");
	nego_free(s.nego);
}

/* Only the other side wants it: whether there is a handshake is its business for a while, until we want it, too. */
static void test_no_handshake_of_theirs(void)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	g_free(actions(&s));
	s.now_ms += NEGO_LINGER_MS - 1;
	FOLLOWS(&s, "");
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	s.now_ms += NEGO_HANDSHAKE_MS - 1;
	FOLLOWS(&s, "");
	s.now_ms++;
	FOLLOWS(&s, "stop");
	nego_free(s.nego);
}

/* This host is elsewhere now: who is up is asked anew, without a tunnel being given up for it. */
static void test_network_changed(void)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_words heard = words(1);
	struct nego_view v;
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_view(s.nego, &s.peer, &v);
	g_assert_false(v.replaces);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start endpoints stop");
	nego_network_changed(s.nego, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms); /* that the tunnel is up is known, and no news */
	FOLLOWS(&s, "");
	s.now_ms += NEGO_AFRESH_MS * 11 / 10;
	FOLLOWS(&s, "offer");
	heard.session[0]++;
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start");
	path.at.port++;
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_view(s.nego, &s.peer, &v);
	g_assert_cmpint(v.phase, ==, NEGO_UP);
	g_assert_true(v.replaces);
	FOLLOWS(&s, "endpoints stop");
	s.now_ms += 3600 * 1000;
	FOLLOWS(&s, "");
	nego_free(s.nego);
}

/* The same at the other side: who is up and asks in a new session is somewhere else. */
static void test_remote_moved(void)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 } };
	struct nego_words heard = words(1);
	struct nego_view v;
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	FOLLOWS(&s, "start answer endpoints stop");
	heard.session[0]++;
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_view(s.nego, &s.peer, &v);
	g_assert_true(v.replaces);
	FOLLOWS(&s, "start answer endpoints stop");
	nego_free(s.nego);
}

/* A change of addresses with many tunnels up: they are asked at the pace of all others. */
static void test_many_move(void)
{
	struct nego_words heard = words(1);
	struct nego_action action;
	struct nego_load load;
	unsigned offers = 0;
	struct setup s;

	begin(&s);
	heard.lapwing = true;
	for (unsigned i = 0; i < 200; i++) {
		struct wg_key key = other(6, i);

		nego_want(s.nego, &key, NEGO_PACKET_WAITS, s.now_ms);
		nego_up(s.nego, &key, s.now_ms);
	}
	while (nego_next(s.nego, &action))
		;
	nego_network_changed(s.nego, s.now_ms);
	for (int64_t end = s.now_ms + 2500; s.now_ms < end; s.now_ms += 20) {
		nego_tick(s.nego, s.now_ms);
		for (; nego_next(s.nego, &action); offers++)
			nego_hear_answer(s.nego, &action.key, &heard, s.now_ms);
	}
	nego_get_load(s.nego, &load, s.now_ms);
	g_assert_cmpuint(load.busy, ==, NEGO_BUSY_MAX);
	g_assert_cmpuint(load.waiting, ==, 200 - NEGO_BUSY_MAX);
	nego_free(s.nego);
}

static void note_step(
	const struct wg_key *key, enum nego_step step, const struct nego_view *v, void *user)
{
	GString *out = user;

	g_assert_cmpint(key->b[0], ==, 2);
	g_string_append_printf(out, "%s%s", out->len ? ", " : "", nego_step_name(step));
	if (step == NEGO_STEP_PATH)
		g_string_append_printf(out, " %s", candidate_type_name(v->path.remote));
	if (step == NEGO_STEP_FAILED)
		g_string_append_printf(out, " port %u: %s", v->path.at.port, v->why);
}

static void test_steps(void)
{
	struct nego_path path = { .at = { .family = AF_INET, .port = 9 },
		.remote = CANDIDATE_SRFLX };
	g_autoptr(GString) steps = g_string_new(NULL);
	struct nego_words heard = words(1);
	struct setup s;

	begin(&s);
	nego_watch(s.nego, note_step, steps);
	nego_want(s.nego, &s.peer, NEGO_PACKET_WAITS, s.now_ms);
	g_free(actions(&s));
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_hear_answer(s.nego, &s.peer, &heard, s.now_ms);
	nego_selected(s.nego, &s.peer, session(&s), &path, s.now_ms);
	nego_failed(s.nego, &s.peer, session(&s), "silence", s.now_ms);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	nego_up(s.nego, &s.peer, s.now_ms);
	nego_idle(s.nego, &s.peer, true);
	g_assert_cmpstr(steps->str, ==,
		"offered, answered, checking, answered, path found srflx, failed port 9: silence, "
		"asked, checking, up, forgotten");
	g_string_truncate(steps, 0);
	nego_hear_offer(s.nego, &s.peer, &heard, s.now_ms);
	s.now_ms += NEGO_CHECK_MS;
	g_free(actions(&s));
	s.now_ms += NEGO_LINGER_MS + 1000;
	g_free(actions(&s));
	g_assert_cmpstr(steps->str, ==,
		"asked, checking, failed port 0: no candidate answered in time, forgotten");
	nego_free(s.nego);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nego/asks", test_asks);
	g_test_add_func("/nego/first_word", test_first_word);
	g_test_add_func("/nego/is_asked", test_is_asked);
	g_test_add_func("/nego/asked_again", test_asked_again);
	g_test_add_func("/nego/too_late", test_too_late);
	g_test_add_func("/nego/renew", test_renew);
	g_test_add_func("/nego/resume", test_resume);
	g_test_add_func("/nego/resume_too_late", test_resume_too_late);
	g_test_add_func("/nego/nobody_answers", test_nobody_answers);
	g_test_add_func("/nego/no_signal", test_no_signal);
	g_test_add_func("/nego/fails", test_fails);
	g_test_add_func("/nego/floods", test_floods);
	g_test_add_func("/nego/many_absent", test_many_absent);
	g_test_add_func("/nego/many", test_many);
	g_test_add_func("/nego/many_ask", test_many_ask);
	g_test_add_func("/nego/many_ask_for_nothing", test_many_ask_for_nothing);
	g_test_add_func("/nego/asks_while_it_waits", test_asks_while_it_waits);
	g_test_add_func("/nego/many_begin_anew", test_many_begin_anew);
	g_test_add_func("/nego/big", test_big);
	g_test_add_func("/nego/is_forgotten", test_is_forgotten);
	g_test_add_func("/nego/late_candidates", test_late_candidates);
	g_test_add_func("/nego/prune", test_prune);
	g_test_add_func("/nego/no_ice", test_no_ice);
	g_test_add_func("/nego/not_used", test_not_used);
	g_test_add_func("/nego/in_vain", test_in_vain);
	g_test_add_func("/nego/path_lost", test_path_lost);
	g_test_add_func("/nego/no_handshake", test_no_handshake);
	g_test_add_func("/nego/no_handshake_of_theirs", test_no_handshake_of_theirs);
	g_test_add_func("/nego/network_changed", test_network_changed);
	g_test_add_func("/nego/remote_moved", test_remote_moved);
	g_test_add_func("/nego/many_move", test_many_move);
	g_test_add_func("/nego/steps", test_steps);
	return g_test_run();
}
