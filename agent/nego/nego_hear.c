/* agent/nego/nego_hear.c - how two hosts agree on a path: what the other side and ICE say. */
#include "agent/nego/nego_impl.h"

#include <string.h>

/* -- limits ------------------------------------------------------------------------------------ */

/* A remote may say so much at once, and then so much a second; the rest is counted. */
static bool may_speak(struct talk *t, int64_t now_ms)
{
	int64_t earned = (now_ms - t->credit_ms) / NEGO_ANSWER_MS;

	if (earned > 0) {
		t->credit = (uint8_t)MIN(t->credit + earned, NEGO_ANSWER_BURST);
		t->credit_ms += earned * NEGO_ANSWER_MS;
	}
	if (!t->credit) {
		t->shown.limited++;
		return false;
	}
	t->credit--;
	return true;
}

/* -- candidates -------------------------------------------------------------------------------- */

static bool is_known(const struct talk *t, const struct endpoint *at)
{
	for (size_t i = 0; i < t->n_endpoints; i++)
		if (endpoint_is_same(&t->endpoints[i], at))
			return true;
	return false;
}

static void take_candidate(
	struct nego *n, struct talk *t, const struct nego_candidate *c, int64_t now_ms)
{
	if (t->shown.candidates >= NEGO_CANDIDATES_MAX) {
		t->shown.limited++;
		return;
	}
	t->shown.candidates++;
	if (!t->shown.candidate_ms)
		t->shown.candidate_ms = now_ms;
	nego_act(n, t, NEGO_ACT_ICE_CANDIDATE, c->line);
	/* Others count handshakes only once they have a path themselves: one from before would cost it. */
	if (!t->remote.lapwing || !c->at.family || t->n_endpoints == NEGO_ENDPOINTS_MAX ||
		is_known(t, &c->at))
		return;
	t->endpoints = g_renew(struct endpoint, t->endpoints, t->n_endpoints + 1u);
	t->endpoints[t->n_endpoints++] = c->at;
	nego_act(n, t, NEGO_ACT_ENDPOINTS, NULL);
}

/* All that is kept of a ufrag: who could make two that are taken for one is the remote, which has no use for it. */
static uint32_t mark_of(const char *ufrag)
{
	return g_str_hash(ufrag) | 1;
}

static bool belongs(const struct talk *t, const struct nego_candidate *c)
{
	return !c->ufrag[0] || mark_of(c->ufrag) == t->remote.mark;
}

static void keep_early(struct talk *t, const struct nego_candidate *c)
{
	size_t n = t->early ? t->early->n : 0;

	if (n == NEGO_CANDIDATES_MAX) {
		t->shown.limited++;
		return;
	}
	t->early = g_realloc(t->early, sizeof(*t->early) + (n + 1) * sizeof(*c));
	t->early->at[n] = *c;
	t->early->n = n + 1;
}

void nego_hear_candidate(struct nego *n, const struct wg_key *key,
	const struct nego_candidate *candidate, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (!t) { /* it is on its way to say more, or has just said that it sleeps */
		t = nego_meet(n, key, now_ms);
		t->linger_ms = now_ms + NEGO_EARLY_MS;
		nego_plan(n, t->linger_ms);
	}
	if (t->ice && !t->heard && belongs(t, candidate)) {
		take_candidate(n, t, candidate, now_ms);
		return;
	}
	keep_early(t, candidate);
	t->early->until_ms = now_ms + NEGO_EARLY_MS;
	nego_plan(n, t->early->until_ms);
}

static void take_early(struct nego *n, struct talk *t, int64_t now_ms)
{
	g_autofree struct nego_early *early = g_steal_pointer(&t->early);

	for (size_t i = 0; early && i < early->n; i++)
		if (belongs(t, &early->at[i]))
			take_candidate(n, t, &early->at[i], now_ms);
}

/* -- offers and answers ------------------------------------------------------------------------ */

static bool is_same_session(const struct talk *t, const struct nego_words *words)
{
	return !words->has_session ||
		(t->remote.has_session &&
			!memcmp(words->session, t->remote.session, NEGO_SESSION_LEN));
}

static void take_words(struct talk *t, const struct nego_words *words)
{
	nego_forget_words(t);
	t->remote.words = g_memdup2(words, sizeof(*words));
	t->remote.mark = mark_of(words->ufrag);
	t->remote.has_session = words->has_session;
	t->remote.lapwing = words->lapwing;
	memcpy(t->remote.session, words->session, NEGO_SESSION_LEN);
}

void nego_drop_heard(struct talk *t)
{
	if (t->heard)
		explicit_bzero(t->heard, sizeof(*t->heard));
	g_clear_pointer(&t->heard, g_free);
}

static void begin_session(
	struct nego *n, struct talk *t, const struct nego_words *words, int64_t now_ms)
{
	if (t->remote.mark && (t->ice || t->up))
		nego_renew(n, t);
	take_words(t, words);
	t->ice = true;
	t->lost = false;
	t->shown.replaces = t->up;
	t->offer_ms = NEGO_NEVER;
	t->check_ms = now_ms + NEGO_CHECK_MS;
	nego_plan(n, t->check_ms);
	nego_act(n, t, NEGO_ACT_ICE_START, NULL);
	nego_tell(n, t, NEGO_STEP_CHECKING);
	take_early(n, t, now_ms);
}

/* It carries our session, so it is made after ICE began; candidates follow it. */
static void answer(struct nego *n, struct talk *t)
{
	t->shown.answers_sent++;
	nego_act(n, t, NEGO_ACT_ANSWER, NULL);
}

void nego_take_turn(struct nego *n, struct talk *t, int64_t now_ms)
{
	struct nego_heard *heard = g_steal_pointer(&t->heard);

	begin_session(n, t, &heard->words, now_ms);
	if (heard->is_offer)
		answer(n, t);
	t->heard = heard;
	nego_drop_heard(t);
}

/* The newest words are what counts, the first are how long they wait. */
static void wait_for_turn(struct nego *n, struct talk *t, const struct nego_words *words,
	bool is_offer, int64_t now_ms)
{
	if (!t->heard && nego_count_heard(n) >= NEGO_KNOWN_MAX) { /* it will ask again */
		t->shown.limited++;
		return;
	}
	if (!t->heard) {
		t->heard = g_new0(struct nego_heard, 1);
		t->heard->since_ms = t->offer_ms == NEGO_NEVER ? now_ms : MIN(now_ms, t->offer_ms);
	}
	t->heard->words = *words;
	t->heard->is_offer |= is_offer;
	t->offer_ms = NEGO_NEVER;
	if (nego_may_begin(n, now_ms))
		nego_serve(n, now_ms);
	else
		nego_plan(n, now_ms);
}

/* Others than us that have given up a path which we still have ask under the session that led to it. */
static bool goes_on(const struct talk *t, const struct nego_words *words, bool is_offer)
{
	if (!t->remote.mark || (!t->ice && !t->up) || !is_same_session(t, words))
		return false;
	return !is_offer || !t->released || words->lapwing;
}

/* The other side's session begins, or goes on, or it has no ICE to offer. */
static void hear(struct nego *n, struct talk *t, const struct nego_words *words, bool is_offer,
	int64_t now_ms)
{
	if (!words->ufrag[0]) {
		nego_drop_heard(t);
		nego_renew(n, t);
		t->shown.why = "the other side offers no ICE";
	} else if (!goes_on(t, words, is_offer)) {
		wait_for_turn(n, t, words, is_offer, now_ms);
		return;
	}
	if (is_offer)
		answer(n, t);
}

/* It may be forgotten by now. */
static void note_heard(struct nego *n, const struct wg_key *key, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (t && !t->shown.heard_ms)
		t->shown.heard_ms = now_ms;
}

void nego_hear_offer(
	struct nego *n, const struct wg_key *key, const struct nego_words *words, int64_t now_ms)
{
	struct talk *t = nego_meet(n, key, now_ms);

	t->shown.offers_heard++;
	if (!may_speak(t, now_ms))
		return;
	if (!t->wanted) {
		t->shown.asked_by_remote = true;
		t->linger_ms = now_ms + NEGO_LINGER_MS;
		nego_plan(n, t->linger_ms);
	}
	nego_tell(n, t, NEGO_STEP_ASKED);
	hear(n, t, words, true, now_ms);
	note_heard(n, key, now_ms);
}

void nego_hear_answer(
	struct nego *n, const struct wg_key *key, const struct nego_words *words, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (!t) /* we did not ask, or do not care any more */
		return;
	t->shown.answers_heard++;
	if (!may_speak(t, now_ms))
		return;
	if (!t->shown.answered_ms)
		t->shown.answered_ms = now_ms;
	nego_tell(n, t, NEGO_STEP_ANSWERED);
	hear(n, t, words, false, now_ms);
	note_heard(n, key, now_ms);
}

/* -- ICE --------------------------------------------------------------------------------------- */

void nego_local_candidate(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const char *line)
{
	const struct talk *t = nego_find(n, key);

	if (t && t->ice && nego_is_session(t, session))
		nego_act(n, t, NEGO_ACT_CANDIDATE, line);
}

void nego_selected(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const struct nego_path *path,
	int64_t now_ms)
{
	struct talk *t = nego_find(n, key);
	bool first;

	if (!t || !t->ice || !nego_is_session(t, session))
		return;
	first = !t->shown.path.at.family;
	t->shown.path = *path;
	t->shown.path_ms = now_ms;
	if (first)
		nego_await_handshake(n, t, now_ms);
	nego_tell(n, t, NEGO_STEP_PATH);
	if (first && !t->remote.lapwing) {
		t->settle_ms = now_ms + NEGO_SETTLE_MS;
		nego_plan(n, t->settle_ms);
	} else if (t->settle_ms == NEGO_NEVER) {
		nego_act(n, t, NEGO_ACT_ENDPOINTS, NULL);
	}
	if (t->up)
		nego_release(n, t);
}

void nego_settled(struct nego *n, struct talk *t)
{
	t->settle_ms = NEGO_NEVER;
	nego_act(n, t, NEGO_ACT_ENDPOINTS, NULL);
	/* Two that begin at once spoil each other's handshake. Between us whoever has something to send
	 * begins; others leave it to the controlling side, and throw their session away with its path. */
	if (nego_controls(n, &t->key) && (!t->up || t->shown.replaces))
		nego_act(n, t, NEGO_ACT_WAKE, NULL);
}

/* How long until the next try: what fails again and again is tried less and less often. */
static uint32_t after_failure(struct talk *t)
{
	enum { DOUBLINGS_MAX = 6 };
	uint32_t wait_ms;

	if (t->lost)
		t->vain = 0;
	wait_ms = MIN((uint32_t)NEGO_AFRESH_MS << t->vain, t->cap_ms);
	t->vain = MIN(t->vain + 1, DOUBLINGS_MAX);
	return wait_ms;
}

void nego_failed(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const char *why, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (!t || !t->ice || !nego_is_session(t, session))
		return;
	t->lost = t->shown.path.at.family != 0;
	t->shown.why = why;
	nego_tell(n, t, NEGO_STEP_FAILED);
	nego_renew(n, t);
	if (t->wanted && (!t->up || t->lost))
		nego_offer_after(n, t, after_failure(t), NEGO_FIRST_MS, now_ms);
	t->linger_ms = now_ms + NEGO_LINGER_MS;
	nego_plan(n, t->linger_ms);
}
