/* agent/nego/nego.c - how two hosts agree on a path: what our side does, and time. */
#include "agent/nego/nego_impl.h"

#include <string.h>

struct queued {
	struct nego_action action;
	char line[];
};

/* -- small things ------------------------------------------------------------------------------ */

static void queue(struct nego *n, const struct wg_key *key, enum nego_act act, const char *line)
{
	size_t len = line ? strlen(line) + 1 : 0;
	struct queued *q = g_malloc(sizeof(*q) + len);

	q->action = (struct nego_action){ .key = *key, .act = act };
	if (line)
		q->action.line = memcpy(q->line, line, len);
	g_queue_push_tail(&n->actions, q);
}

void nego_act(struct nego *n, const struct talk *t, enum nego_act act, const char *line)
{
	queue(n, &t->key, act, line);
}

bool nego_next(struct nego *n, struct nego_action *ret)
{
	g_free(n->taken);
	n->taken = g_queue_pop_head(&n->actions);
	if (n->taken)
		*ret = n->taken->action;
	return n->taken != NULL;
}

void nego_plan(struct nego *n, int64_t at_ms)
{
	if (at_ms != NEGO_NEVER && (n->next_ms == NEGO_NEVER || at_ms < n->next_ms))
		n->next_ms = at_ms;
}

struct talk *nego_find(const struct nego *n, const struct wg_key *key)
{
	return g_hash_table_lookup(n->talks, key);
}

bool nego_is_session(const struct talk *t, const uint8_t session[static NEGO_SESSION_LEN])
{
	return !memcmp(t->local.session, session, NEGO_SESSION_LEN);
}

bool nego_controls(const struct nego *n, const struct wg_key *key)
{
	char text[KEY_STRLEN];

	return strcmp(n->own_text, key_format(key, text)) > 0;
}

static void random_text(struct nego *n, char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

	for (size_t i = 0; i < len; i++) /* 52 in 2^32: the bias does not matter */
		text[i] = letters[n->random(n->user) % (sizeof(letters) - 1)];
	text[len] = '\0';
}

static void new_session(struct nego *n, struct talk *t)
{
	for (size_t i = 0; i < NEGO_SESSION_LEN; i++)
		t->local.session[i] = (uint8_t)n->random(n->user);
}

/* -- life -------------------------------------------------------------------------------------- */

/* Whose they were is known on. */
static void wipe_words(struct talk *t)
{
	if (t->remote.words)
		explicit_bzero(t->remote.words, sizeof(*t->remote.words));
	g_clear_pointer(&t->remote.words, g_free);
}

void nego_forget_words(struct talk *t)
{
	wipe_words(t);
	t->remote = (struct nego_theirs){ .words = NULL };
}

static void talk_free(gpointer data)
{
	struct talk *t = data;

	nego_forget_words(t);
	nego_drop_heard(t);
	g_free(t->early);
	g_free(t->endpoints);
	explicit_bzero(&t->local, sizeof(t->local));
	g_free(t);
}

struct nego *nego_new(const struct wg_key *own, uint32_t (*random)(void *user), void *user)
{
	struct nego *n = g_new0(struct nego, 1);

	key_format(own, n->own_text);
	n->random = random;
	n->user = user;
	n->talks = g_hash_table_new_full(key_hash, key_equal, NULL, talk_free);
	n->offers.credit = n->begins.credit = NEGO_BURST;
	n->next_ms = NEGO_NEVER;
	return n;
}

void nego_free(struct nego *n)
{
	if (!n)
		return;
	g_hash_table_unref(n->talks);
	g_queue_clear_full(&n->actions, g_free);
	g_free(n->taken);
	g_free(n);
}

void nego_watch(struct nego *n, nego_step_fn fn, void *user)
{
	n->watcher = fn;
	n->watcher_user = user;
}

struct talk *nego_meet(struct nego *n, const struct wg_key *key, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (t)
		return t;
	t = g_new0(struct talk, 1);
	t->key = *key;
	random_text(n, t->local.ufrag, NEGO_UFRAG_LEN);
	random_text(n, t->local.pwd, NEGO_PWD_LEN);
	new_session(n, t);
	t->cap_ms = NEGO_CAP_MIN_MS + n->random(n->user) % (NEGO_CAP_MAX_MS - NEGO_CAP_MIN_MS);
	t->credit = NEGO_ANSWER_BURST;
	t->credit_ms = now_ms;
	t->offer_ms = t->check_ms = t->settle_ms = NEGO_NEVER;
	t->linger_ms = now_ms + NEGO_LINGER_MS;
	nego_plan(n, t->linger_ms);
	g_hash_table_insert(n->talks, &t->key, t);
	return t;
}

void nego_stop_ice(struct nego *n, struct talk *t)
{
	if (t->ice)
		nego_act(n, t, NEGO_ACT_ICE_STOP, t->local.ufrag);
	t->ice = t->released = false;
	wipe_words(t);
	t->check_ms = t->settle_ms = NEGO_NEVER;
}

/* WireGuard itself has proved the path. Who is one of us knows that, too; others want their checks to be
 * answered for ever. */
void nego_release(struct nego *n, struct talk *t)
{
	if (t->remote.lapwing)
		nego_stop_ice(n, t);
	else if (t->ice && t->shown.path.at.family && !t->released) {
		t->released = true;
		wipe_words(t);
		nego_act(n, t, NEGO_ACT_ICE_RELEASE, NULL);
	}
}

void nego_part(struct nego *n, struct talk *t)
{
	nego_tell(n, t, NEGO_STEP_FORGOTTEN);
	nego_stop_ice(n, t);
}

void nego_renew(struct nego *n, struct talk *t)
{
	nego_stop_ice(n, t);
	new_session(n, t);
	nego_forget_words(t);
	memset(&t->shown.path, 0, sizeof(t->shown.path));
	t->n_endpoints = 0;
	t->shown.candidates = 0;
	t->shown.replaces = false;
	t->shown.answered_ms = t->shown.candidate_ms = t->shown.path_ms = 0;
}

/* -- events of our side ---------------------------------------------------------------------- */

void nego_set_signal(struct nego *n, bool ready, int64_t now_ms)
{
	GHashTableIter iter;
	struct talk *t;

	if (n->signal == ready)
		return;
	n->signal = ready;
	g_hash_table_iter_init(&iter, n->talks);
	while (ready && g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		t->vain = 0;
		if (nego_is_needed(t))
			nego_offer_after(n, t, 0, nego_blur(n, NEGO_AFRESH_MS), now_ms);
	}
}

/* Those that are up have had their turn. */
static size_t count_without_tunnel(const struct nego *n)
{
	GHashTableIter iter;
	struct talk *t;
	size_t count = 0;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
		count += !t->up;
	return count;
}

void nego_want(struct nego *n, const struct wg_key *key, enum nego_urgency urgency, int64_t now_ms)
{
	struct talk *t;

	if (urgency == NEGO_PERMANENT && !nego_find(n, key) &&
		count_without_tunnel(n) >= NEGO_KNOWN_MAX)
		return;
	t = nego_meet(n, key, now_ms);
	t->urgency = (uint8_t)urgency;
	if (t->wanted && !t->up)
		return;
	if (t->up) /* what worked till now does not */
		nego_renew(n, t);
	t->wanted = true;
	t->up = t->lost = false;
	t->shown.wanted_ms = now_ms;
	if (t->shown.path.at.family)
		nego_await_handshake(n, t, now_ms);
	if (!t->ice)
		nego_offer_after(n, t, 0, NEGO_FIRST_MS, now_ms);
}

void nego_up(struct nego *n, const struct wg_key *key, int64_t now_ms)
{
	struct talk *t = nego_find(n, key);

	if (!t || t->up)
		return;
	t->up = t->wanted = true;
	t->vain = 0;
	t->shown.why = NULL;
	t->offer_ms = NEGO_NEVER;
	if (t->shown.path.at.family)
		t->check_ms = NEGO_NEVER;
	nego_tell(n, t, NEGO_STEP_UP);
	t->shown.heard_ms = 0;
	nego_release(n, t);
}

void nego_idle(struct nego *n, const struct wg_key *key, bool tell)
{
	if (tell && n->signal) /* also when we did not talk: who was adopted, or began itself */
		queue(n, key, NEGO_ACT_GO_IDLE, NULL);
	nego_forget(n, key);
}

void nego_forget(struct nego *n, const struct wg_key *key)
{
	struct talk *t = nego_find(n, key);

	if (!t)
		return;
	nego_part(n, t);
	g_hash_table_remove(n->talks, key);
}

size_t nego_prune(struct nego *n, bool (*is_peer)(const struct wg_key *key, void *user), void *user)
{
	size_t before = nego_count(n);
	GHashTableIter iter;
	struct talk *t;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		if (is_peer(&t->key, user))
			continue;
		nego_part(n, t);
		g_hash_table_iter_remove(&iter);
	}
	return before - nego_count(n);
}

void nego_network_changed(struct nego *n, int64_t now_ms)
{
	GHashTableIter iter;
	struct talk *t;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		if (!t->wanted)
			continue;
		nego_renew(n, t);
		t->lost = true;
		t->vain = 0;
		t->shown.wanted_ms = now_ms;
		nego_offer_after(n, t, nego_blur(n, NEGO_AFRESH_MS), NEGO_AFRESH_MS * 2, now_ms);
	}
}

/* -- questions --------------------------------------------------------------------------------- */

bool nego_words(const struct nego *n, const struct wg_key *key, struct nego_words *ret)
{
	const struct talk *t = nego_find(n, key);

	if (!t)
		return false;
	*ret = (struct nego_words){ .has_session = true, .lapwing = true };
	g_strlcpy(ret->ufrag, t->local.ufrag, sizeof(ret->ufrag));
	g_strlcpy(ret->pwd, t->local.pwd, sizeof(ret->pwd));
	memcpy(ret->session, t->local.session, sizeof(ret->session));
	return true;
}

bool nego_take_words(struct nego *n, const struct wg_key *key, struct nego_words *ret)
{
	struct talk *t = nego_find(n, key);

	if (!t || !t->remote.words)
		return false;
	*ret = *t->remote.words;
	wipe_words(t);
	return true;
}

size_t nego_endpoints(const struct nego *n, const struct wg_key *key, struct endpoint *ret)
{
	const struct talk *t = nego_find(n, key);
	size_t count = 0;

	if (!t)
		return 0;
	if (t->shown.path.at.family && t->settle_ms == NEGO_NEVER)
		ret[count++] = t->shown.path.at;
	for (size_t i = 0; i < t->n_endpoints; i++)
		if (!t->shown.path.at.family ||
			!endpoint_is_same(&t->endpoints[i], &t->shown.path.at))
			ret[count++] = t->endpoints[i];
	return count;
}

static enum nego_phase phase_of(const struct nego *n, const struct talk *t)
{
	if (t->up)
		return NEGO_UP;
	if (t->shown.path.at.family)
		return NEGO_PATH;
	if (t->heard)
		return NEGO_WAITS;
	if (t->ice)
		return NEGO_CHECKING;
	if (!t->wanted)
		return NEGO_QUIET;
	if (!n->signal)
		return NEGO_NO_SIGNAL;
	return t->shown.offered_ms && t->shown.offered_ms >= t->shown.wanted_ms ? NEGO_OFFERED
										: NEGO_WAITS;
}

static void view(const struct nego *n, const struct talk *t, struct nego_view *ret)
{
	*ret = t->shown;
	ret->phase = phase_of(n, t);
	ret->due_ms = nego_due_since(t);
	ret->lapwing = t->remote.lapwing;
	memcpy(ret->session, t->local.session, NEGO_SESSION_LEN);
}

bool nego_view(const struct nego *n, const struct wg_key *key, struct nego_view *ret)
{
	const struct talk *t = nego_find(n, key);

	if (t)
		view(n, t, ret);
	return t != NULL;
}

void nego_tell(const struct nego *n, const struct talk *t, enum nego_step step)
{
	struct nego_view v;

	if (!n->watcher)
		return;
	view(n, t, &v);
	n->watcher(&t->key, step, &v, n->watcher_user);
}

const char *nego_phase_name(enum nego_phase phase)
{
	static const char *const names[] = {
		[NEGO_QUIET] = "quiet",
		[NEGO_NO_SIGNAL] = "no signal",
		[NEGO_WAITS] = "waiting",
		[NEGO_OFFERED] = "offered",
		[NEGO_CHECKING] = "checking",
		[NEGO_PATH] = "path found",
		[NEGO_UP] = "up",
	};

	return names[phase];
}

const char *nego_step_name(enum nego_step step)
{
	static const char *const names[] = {
		[NEGO_STEP_OFFERED] = "offered",
		[NEGO_STEP_ASKED] = "asked",
		[NEGO_STEP_ANSWERED] = "answered",
		[NEGO_STEP_CHECKING] = "checking",
		[NEGO_STEP_PATH] = "path found",
		[NEGO_STEP_UP] = "up",
		[NEGO_STEP_FAILED] = "failed",
		[NEGO_STEP_FORGOTTEN] = "forgotten",
	};

	return names[step];
}

size_t nego_count(const struct nego *n)
{
	return g_hash_table_size(n->talks);
}
