/* tests/sim/sim_nego.c - pairs of hosts that negotiate over a signal server that loses, delays, doubles and
 * swaps messages and goes away, that restart, wake and sleep at random moments, beside a model of ICE and
 * of WireGuard. In half of the lives they are not of one kind: then one of them goes on checking its path. What must
 * hold: once faults end, both that want a path have one; a session that is not the present one changes nothing; who is
 * connected and checks is answered over a restart; offers are bounded; who sleeps leaves nothing behind.
 * sim_nego [SEEDS [FIRST]] */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/nego/nego.h"

enum {
	STEP_MS = 20,
	FAULTS_MS = 120 * 1000, /* then all is well */
	QUIET_MS = 100 * 1000, /* the longest pause between offers, twice, and ICE */
	ICE_MS = 600, /* both agents of a pair need so long */
	APART_MS = 8000, /* an agent has no checks left for one that begins so much later */
	SILENCE_MS = 6000, /* then who checks its path gives it up */
	PER_MINUTE_MAX = 30, /* offers of one host, whatever happens */
};

struct message {
	int64_t at_ms;
	unsigned to;
	enum nego_act act;
	struct nego_words words;
	char line[64];
};

struct host {
	struct nego *nego;
	struct world *world;
	bool wants, up, told;
	bool ice; /* an agent runs with these */
	struct nego_words local, remote;
	bool has_candidate; /* of the other side's present agent */
	char line[64]; /* its own candidate */
	int64_t ice_ms; /* the agent's age */
	int64_t both_ms; /* since both agents know each other */
	bool selected;
	int64_t answered_ms; /* when a check of its path was */
	unsigned offers; /* in this minute */
};

struct world {
	struct host hosts[2];
	struct wg_key keys[2];
	GArray *messages; /* struct message */
	GRand *rand;
	int64_t now_ms;
	bool path, signal, faulty;
	bool others; /* neither takes the other for one of its kind; the second one checks its path */
	bool session; /* of WireGuard, since both were born */
	unsigned lines;
	const char *broken;
};

static uint32_t next_random(void *user)
{
	return g_rand_int(((struct world *)user)->rand);
}

static bool chance(struct world *w, double p)
{
	return g_rand_double(w->rand) < p;
}

static void fail(struct world *w, const char *what)
{
	if (!w->broken)
		w->broken = what;
}

static void born(struct world *w, unsigned i)
{
	struct host *h = &w->hosts[i];

	nego_free(h->nego);
	memset(h, 0, sizeof(*h));
	w->session = false;
	h->world = w;
	h->nego = nego_new(&w->keys[i], next_random, w);
	nego_set_signal(h->nego, w->signal, w->now_ms);
}

/* -- the signal server ----------------------------------------------------------------------- */

static void post(struct world *w, unsigned from, const struct nego_action *action)
{
	struct message m = { .to = 1 - from, .act = action->act };
	unsigned copies = w->faulty && chance(w, 0.15) ? 2 : 1;

	nego_words(w->hosts[from].nego, &action->key, &m.words);
	m.words.lapwing = !w->others;
	if (action->line)
		g_strlcpy(m.line, action->line, sizeof(m.line));
	while (copies--) {
		if (!w->signal || (w->faulty && chance(w, 0.2)))
			continue;
		m.at_ms = w->now_ms + (w->faulty ? g_rand_int_range(w->rand, 5, 3000) : 20);
		g_array_append_val(w->messages, m);
	}
}

static void deliver_one(struct world *w, const struct message *m)
{
	struct host *h = &w->hosts[m->to];
	const struct wg_key *from = &w->keys[1 - m->to];
	struct nego_candidate c = { .at = { .family = AF_INET, .port = 1 } };

	switch ((int)m->act) {
	case NEGO_ACT_OFFER:
		nego_hear_offer(h->nego, from, &m->words, w->now_ms);
		break;
	case NEGO_ACT_ANSWER:
		nego_hear_answer(h->nego, from, &m->words, w->now_ms);
		break;
	case NEGO_ACT_CANDIDATE:
		g_strlcpy(c.line, m->line, sizeof(c.line));
		nego_hear_candidate(h->nego, from, &c, w->now_ms);
		break;
	case NEGO_ACT_GO_IDLE:
		if (h->up) {
			h->up = h->wants = h->told = false;
			nego_idle(h->nego, from, false);
		}
		break;
	}
}

static void deliver(struct world *w)
{
	for (guint i = 0; i < w->messages->len;) {
		struct message m = g_array_index(w->messages, struct message, i);

		if (m.at_ms > w->now_ms) {
			i++;
			continue;
		}
		g_array_remove_index(w->messages, i);
		deliver_one(w, &m);
	}
}

/* -- ICE --------------------------------------------------------------------------------------- */

static void start_ice(struct world *w, unsigned i, const struct wg_key *key)
{
	struct host *h = &w->hosts[i];

	if (h->ice)
		fail(w, "a second agent was started");
	nego_words(h->nego, key, &h->local);
	nego_take_words(h->nego, key, &h->remote);
	h->ice = true;
	h->ice_ms = w->now_ms;
	h->selected = h->has_candidate = false;
	h->both_ms = 0;
	g_snprintf(h->line, sizeof(h->line), "%u", ++w->lines);
	nego_local_candidate(h->nego, key, h->local.session, h->line);
}

static bool knows(const struct host *a, const struct host *b)
{
	return a->ice && b->ice && !strcmp(a->remote.ufrag, b->local.ufrag) &&
		!strcmp(a->remote.pwd, b->local.pwd) && a->has_candidate;
}

static bool is_answered(const struct world *w, const struct host *h, const struct host *other)
{
	return w->path && other->ice && !strcmp(h->remote.ufrag, other->local.ufrag) &&
		!strcmp(h->remote.pwd, other->local.pwd);
}

/* Of the one that goes on for ever. */
static void check_path(struct world *w)
{
	struct host *h = &w->hosts[1];

	if (!w->others || !h->ice || !h->selected)
		return;
	if (is_answered(w, h, &w->hosts[0]))
		h->answered_ms = w->now_ms;
	else if (w->now_ms - h->answered_ms > SILENCE_MS)
		nego_failed(h->nego, &w->keys[0], h->local.session, "silence", w->now_ms);
}

/* A check of one side makes the other know its address, so one candidate is enough. */
static void run_ice(struct world *w)
{
	struct host *a = &w->hosts[0], *b = &w->hosts[1];
	bool both = w->path && a->ice && b->ice && (knows(a, b) || knows(b, a)) &&
		!strcmp(a->remote.ufrag, b->local.ufrag) &&
		!strcmp(b->remote.ufrag, a->local.ufrag) && ABS(a->ice_ms - b->ice_ms) < APART_MS;
	struct nego_path path = { .at = { .family = AF_INET, .port = 7 } };

	for (unsigned i = 0; i < 2; i++) {
		struct host *h = &w->hosts[i];

		if (!both) {
			h->both_ms = 0;
			if (h->selected && h->ice && !w->path)
				nego_failed(h->nego, &w->keys[1 - i], h->local.session, "silence",
					w->now_ms);
			continue;
		}
		if (!h->both_ms)
			h->both_ms = w->now_ms;
		if (!h->selected && w->now_ms - h->both_ms >= ICE_MS) {
			h->selected = true;
			h->answered_ms = w->now_ms;
			nego_selected(h->nego, &w->keys[1 - i], h->local.session, &path, w->now_ms);
		}
	}
}

/* -- actions ------------------------------------------------------------------------------------ */

static void run(struct world *w, unsigned i)
{
	struct host *h = &w->hosts[i];
	struct nego_action action;

	nego_tick(h->nego, w->now_ms);
	while (nego_next(h->nego, &action)) {
		switch (action.act) {
		case NEGO_ACT_OFFER:
			h->offers++;
			if (!w->signal)
				fail(w, "an offer without signal");
			G_GNUC_FALLTHROUGH;
		case NEGO_ACT_ANSWER:
		case NEGO_ACT_CANDIDATE:
		case NEGO_ACT_GO_IDLE:
			post(w, i, &action);
			break;
		case NEGO_ACT_ICE_START:
			start_ice(w, i, &action.key);
			break;
		case NEGO_ACT_ICE_CANDIDATE:
			h->has_candidate |= h->ice;
			break;
		case NEGO_ACT_ICE_STOP:
			if (!h->ice)
				fail(w, "no agent to stop");
			h->ice = h->selected = false;
			break;
		case NEGO_ACT_ICE_RESUME:
			nego_words(h->nego, &action.key, &h->local);
			h->ice = true;
			break;
		case NEGO_ACT_ICE_RELEASE:
		case NEGO_ACT_ENDPOINTS:
		case NEGO_ACT_WAKE:
			break;
		}
	}
}

/* WireGuard: when one of both that wants has a path, a handshake is made, and both see it. Under a session
 * packets of one that is up are seen by the other even when it has just gone to sleep. */
static void tunnel(struct world *w)
{
	bool works = false;

	for (unsigned i = 0; i < 2; i++)
		works |= w->path && w->hosts[i].wants &&
			(w->hosts[i].selected || (w->session && w->hosts[i].up));
	w->session |= works;
	for (unsigned i = 0; i < 2 && works; i++)
		if (!w->hosts[i].up) {
			w->hosts[i].up = true;
			w->hosts[i].wants = true;
			nego_up(w->hosts[i].nego, &w->keys[1 - i], w->now_ms);
		}
}

/* The daemon of the first host alone; its kernel keeps what it has. */
static void restart(struct world *w)
{
	struct host *h = &w->hosts[0];
	bool answers = h->up && is_answered(w, &w->hosts[1], h);
	struct nego_session kept;
	size_t n = nego_sessions(h->nego, &kept, 1);

	nego_free(h->nego);
	h->nego = nego_new(&w->keys[0], next_random, w);
	nego_set_signal(h->nego, w->signal, w->now_ms);
	h->ice = h->told = false;
	h->selected = n > 0;
	h->wants = h->up;
	if (!h->up) /* it sleeps now */
		return;
	if (n)
		nego_resume(h->nego, &kept, w->now_ms);
	nego_up(h->nego, &w->keys[1], w->now_ms);
	run(w, 0);
	if (n && answers && !is_answered(w, &w->hosts[1], h))
		fail(w, "who was connected is not answered any more");
}

/* -- faults ------------------------------------------------------------------------------------- */

static void want(struct world *w, unsigned i)
{
	struct host *h = &w->hosts[i];

	h->wants = true;
	if (!h->up)
		nego_want(h->nego, &w->keys[1 - i], NEGO_PACKET_WAITS, w->now_ms);
}

static void mischief(struct world *w)
{
	unsigned i = chance(w, 0.5);
	struct host *h = &w->hosts[i];

	if (chance(w, 0.002))
		born(w, i);
	if (w->others && chance(w, 0.002))
		restart(w);
	if (chance(w, 0.01))
		want(w, i);
	if (chance(w, 0.002) && h->wants) {
		h->wants = h->up = false;
		nego_idle(h->nego, &w->keys[1 - i], true);
	}
	if (chance(w, 0.002))
		w->path = !w->path;
	if (chance(w, 0.002)) {
		w->signal = !w->signal;
		for (unsigned j = 0; j < 2; j++)
			nego_set_signal(w->hosts[j].nego, w->signal, w->now_ms);
	}
	if (!w->path && h->up && chance(w, 0.01)) { /* WireGuard gets no answer */
		h->up = false;
		nego_want(h->nego, &w->keys[1 - i], NEGO_PACKET_WAITS, w->now_ms);
	}
	if (chance(w, 0.002))
		nego_network_changed(h->nego, w->now_ms);
}

static void mend(struct world *w)
{
	w->faulty = false;
	w->path = w->signal = true;
	for (unsigned i = 0; i < 2; i++) {
		nego_set_signal(w->hosts[i].nego, true, w->now_ms);
		/* A host that was born anew has no session: the other side's tunnel does not answer, which
		 * it may or may not notice before it is asked. */
		if (!w->hosts[i].up || w->hosts[1 - i].up)
			continue;
		want(w, 1 - i);
		if (chance(w, 0.5)) {
			w->hosts[i].up = false;
			nego_want(w->hosts[i].nego, &w->keys[1 - i], NEGO_PACKET_WAITS, w->now_ms);
		}
	}
	want(w, chance(w, 0.5));
}

static void step(struct world *w)
{
	if (w->faulty)
		mischief(w);
	deliver(w);
	run_ice(w);
	check_path(w);
	for (unsigned i = 0; i < 2; i++) {
		run(w, i);
		if (w->now_ms % 60000 == 0) {
			if (w->hosts[i].offers > PER_MINUTE_MAX)
				fail(w, "too many offers");
			w->hosts[i].offers = 0;
		}
	}
	tunnel(w);
	w->now_ms += STEP_MS;
}

static void judge(struct world *w)
{
	for (unsigned i = 0; i < 2; i++)
		if (!w->hosts[i].up)
			fail(w, "all is well, but there is no tunnel");
	for (unsigned i = 0; i < 2; i++)
		nego_idle(w->hosts[i].nego, &w->keys[1 - i], false);
	/* One asks and goes away. */
	nego_hear_offer(w->hosts[0].nego, &w->keys[1], &w->hosts[1].local, w->now_ms);
	for (int64_t end = w->now_ms + 3 * NEGO_LINGER_MS; w->now_ms < end; w->now_ms += STEP_MS) {
		deliver(w);
		run(w, 0);
		run(w, 1);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (nego_count(w->hosts[i].nego) || w->hosts[i].ice)
			fail(w, "something is left of who sleeps");
		if (nego_tick(w->hosts[i].nego, w->now_ms) != NEGO_NEVER)
			fail(w, "a timer is left");
	}
}

static const char *live(uint32_t seed)
{
	struct world w = { .faulty = true, .path = true, .signal = true, .now_ms = 1000 };

	w.rand = g_rand_new_with_seed(seed);
	w.others = seed % 2;
	w.messages = g_array_new(FALSE, FALSE, sizeof(struct message));
	for (unsigned i = 0; i < 2; i++) {
		w.keys[i].b[0] = (uint8_t)(1 + i);
		born(&w, i);
	}
	while (w.now_ms < FAULTS_MS)
		step(&w);
	mend(&w);
	while (w.now_ms < FAULTS_MS + QUIET_MS)
		step(&w);
	judge(&w);
	for (unsigned i = 0; i < 2; i++)
		nego_free(w.hosts[i].nego);
	g_array_unref(w.messages);
	g_rand_free(w.rand);
	return w.broken;
}

int main(int argc, char **argv)
{
	uint32_t seeds = argc > 1 ? (uint32_t)atoi(argv[1]) : 300;
	uint32_t first = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
	unsigned bad = 0;

	setlinebuf(stdout);
	printf("1..%u\n", seeds);
	for (uint32_t i = 0; i < seeds; i++) {
		const char *broken = live(first + i);

		bad += broken != NULL;
		if (broken)
			printf("# FAIL seed %u: %s\n", first + i, broken);
		printf("%s %u - a life with seed %u\n", broken ? "not ok" : "ok", i + 1, first + i);
	}
	return bad > 0;
}
