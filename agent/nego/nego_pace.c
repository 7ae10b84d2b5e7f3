/* agent/nego/nego_pace.c - how two hosts agree on a path: whom to ask when. */
#include "agent/nego/nego_impl.h"

/* Give or take a tenth. */
uint32_t nego_blur(struct nego *n, uint32_t ms)
{
	return ms - ms / 10 + n->random(n->user) % (ms / 5 + 1);
}

/* -- offers ------------------------------------------------------------------------------------ */

/* A path is looked for, by us. */
bool nego_is_needed(const struct talk *t)
{
	return t->wanted && !t->ice && (!t->up || t->lost);
}

void nego_offer_after(
	struct nego *n, struct talk *t, uint32_t wait_ms, uint32_t next_ms, int64_t now_ms)
{
	t->interval_ms = next_ms;
	t->offer_ms = now_ms + wait_ms;
	nego_plan(n, t->offer_ms);
}

static void offer(struct nego *n, struct talk *t, int64_t now_ms)
{
	nego_act(n, t, NEGO_ACT_OFFER, NULL);
	t->shown.offers_sent++;
	t->shown.offered_ms = now_ms;
	nego_tell(n, t, NEGO_STEP_OFFERED);
	t->offer_ms = now_ms + nego_blur(n, t->interval_ms);
	if (t->interval_ms == t->cap_ms)
		t->offer_ms -= t->offer_ms % NEGO_TOGETHER_MS;
	t->interval_ms = MIN(t->interval_ms * 2, t->cap_ms);
	nego_plan(n, t->offer_ms);
}

/* -- time -------------------------------------------------------------------------------------- */

/* A remote asked and then did nothing. Others than us may have a tunnel that nothing passes, and want their checks
 * answered. */
static bool is_over(const struct talk *t, int64_t now_ms)
{
	bool unused = t->shown.path.at.family && t->remote.lapwing;

	return !t->wanted && (!t->ice || unused) && now_ms >= t->linger_ms;
}

void nego_await_handshake(struct nego *n, struct talk *t, int64_t now_ms)
{
	t->check_ms = t->wanted && !t->up ? now_ms + NEGO_HANDSHAKE_MS : NEGO_NEVER;
	nego_plan(n, t->check_ms);
}

/* Returns false: nobody talks any more. */
static bool pass_time(struct nego *n, struct talk *t, int64_t now_ms)
{
	if (t->check_ms != NEGO_NEVER && now_ms >= t->check_ms) {
		t->check_ms = NEGO_NEVER;
		nego_failed(n, &t->key, t->local.session,
			t->shown.path.at.family ? "the path answers, but WireGuard does not"
						: "no candidate answered in time",
			now_ms);
	}
	if (t->settle_ms != NEGO_NEVER && now_ms >= t->settle_ms)
		nego_settled(n, t);
	if (t->early && now_ms >= t->early->until_ms)
		g_clear_pointer(&t->early, g_free);
	if (is_over(t, now_ms)) {
		nego_stop_ice(n, t);
		return false;
	}
	if (t->offer_ms != NEGO_NEVER && now_ms >= t->offer_ms &&
		(!nego_is_needed(t) || !n->signal))
		t->offer_ms = NEGO_NEVER; /* nego_set_signal begins again */
	nego_plan(n, t->check_ms);
	nego_plan(n, t->settle_ms);
	if (t->early)
		nego_plan(n, t->early->until_ms);
	if (!t->wanted)
		nego_plan(n, MAX(t->linger_ms, now_ms + 1000));
	return true;
}

/* -- turns ------------------------------------------------------------------------------------- */

static bool is_busy(const struct talk *t, int64_t now_ms)
{
	bool asked = nego_is_needed(t) && t->shown.offered_ms &&
		now_ms - t->shown.offered_ms < NEGO_FIRST_MS;

	return !t->shown.path.at.family && (t->ice || asked);
}

struct load {
	size_t busy;
	size_t for_others; /* of these: only the other side wants them */
};

static void add_load(struct load *l, const struct talk *t, int64_t now_ms)
{
	if (!is_busy(t, now_ms))
		return;
	l->busy++;
	l->for_others += !t->wanted;
}

static bool has_room(const struct load *l, const struct talk *t, int64_t now_ms)
{
	return is_busy(t, now_ms) ||
		(l->busy < NEGO_BUSY_MAX && (t->wanted || l->for_others < NEGO_ASKED_MAX));
}

size_t nego_count_heard(const struct nego *n)
{
	GHashTableIter iter;
	struct talk *t;
	size_t count = 0;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
		count += t->heard != NULL;
	return count;
}

static bool is_due(const struct nego *n, const struct talk *t, int64_t now_ms)
{
	return t->heard ||
		(t->offer_ms != NEGO_NEVER && now_ms >= t->offer_ms && n->signal &&
			nego_is_needed(t));
}

int64_t nego_due_since(const struct talk *t)
{
	return t->heard ? t->heard->since_ms : t->offer_ms;
}

/* Who asks us may have a packet that waits, or may not. */
static int urgency_of(const struct talk *t)
{
	return t->wanted ? t->urgency : NEGO_ROUTER;
}

static int by_urgency(const void *a, const void *b)
{
	const struct talk *x = *(struct talk *const *)a, *y = *(struct talk *const *)b;

	if (urgency_of(x) != urgency_of(y))
		return urgency_of(x) - urgency_of(y);
	return (nego_due_since(x) > nego_due_since(y)) - (nego_due_since(x) < nego_due_since(y));
}

static void earn(struct nego_pace *p, int64_t now_ms)
{
	int64_t earned = (now_ms - p->since_ms) * NEGO_PER_S / 1000;

	if (earned <= 0)
		return;
	p->credit = (uint32_t)MIN(p->credit + earned, NEGO_BURST);
	p->since_ms = p->credit == NEGO_BURST
		? now_ms
		: p->since_ms + (earned * 1000 + NEGO_PER_S - 1) / NEGO_PER_S;
}

bool nego_may_begin(struct nego *n, int64_t now_ms)
{
	earn(&n->begins, now_ms);
	return n->begins.credit > 0;
}

/* False: it has to wait. */
static bool begin(struct nego *n, struct talk *t, struct load *load, int64_t now_ms)
{
	struct nego_pace *pace = t->heard ? &n->begins : &n->offers;
	bool was_busy = is_busy(t, now_ms);

	if (!pace->credit || !has_room(load, t, now_ms))
		return false;
	pace->credit--;
	if (t->heard)
		nego_take_turn(n, t, now_ms);
	else
		offer(n, t, now_ms);
	if (!was_busy)
		add_load(load, t, now_ms);
	return true;
}

/* Until there is one more; who has no hurry waits for as many as may come at once. */
static int64_t wait_of(const struct talk *t)
{
	return (urgency_of(t) == NEGO_PERMANENT ? NEGO_BURST : 1) * 1000 / NEGO_PER_S;
}

void nego_serve(struct nego *n, int64_t now_ms)
{
	g_autoptr(GPtrArray) due = g_ptr_array_new();
	struct load load = { .busy = 0 };
	GHashTableIter iter;
	struct talk *t;

	earn(&n->offers, now_ms);
	earn(&n->begins, now_ms);
	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		add_load(&load, t, now_ms);
		if (is_due(n, t, now_ms))
			g_ptr_array_add(due, t);
		else
			nego_plan(n, t->offer_ms);
	}
	g_ptr_array_sort(due, by_urgency);
	for (guint i = 0; i < due->len; i++)
		if (!begin(n, due->pdata[i], &load, now_ms))
			nego_plan(n, now_ms + wait_of(due->pdata[i]));
}

int64_t nego_tick(struct nego *n, int64_t now_ms)
{
	GHashTableIter iter;
	struct talk *t;

	if (n->next_ms == NEGO_NEVER || now_ms < n->next_ms)
		return n->next_ms;
	n->next_ms = NEGO_NEVER;
	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
		if (!pass_time(n, t, now_ms)) {
			nego_part(n, t);
			g_hash_table_iter_remove(&iter);
		}
	nego_serve(n, now_ms);
	return n->next_ms;
}

void nego_get_load(const struct nego *n, struct nego_load *ret, int64_t now_ms)
{
	struct load load = { .busy = 0 };
	GHashTableIter iter;
	struct talk *t;

	*ret = (struct nego_load){ .waiting = 0 };
	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		add_load(&load, t, now_ms);
		if (!is_due(n, t, now_ms) || nego_due_since(t) == now_ms)
			continue;
		ret->waiting++;
		ret->longest_ms = MAX(ret->longest_ms, now_ms - nego_due_since(t));
	}
	ret->busy = load.busy;
}
