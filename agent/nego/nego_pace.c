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
	if (t->early && now_ms >= t->early_ms)
		g_clear_pointer(&t->early, g_array_unref);
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
		nego_plan(n, t->early_ms);
	if (!t->wanted)
		nego_plan(n, MAX(t->linger_ms, now_ms + 1000));
	return true;
}

static bool is_busy(const struct talk *t, int64_t now_ms)
{
	bool asked = nego_is_needed(t) && t->shown.offered_ms &&
		now_ms - t->shown.offered_ms < NEGO_FIRST_MS;

	return !t->shown.path.at.family && (t->ice || asked);
}

static size_t count_busy(const struct nego *n, int64_t now_ms)
{
	GHashTableIter iter;
	struct talk *t;
	size_t busy = 0;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t))
		busy += is_busy(t, now_ms);
	return busy;
}

bool nego_is_full(const struct nego *n, int64_t now_ms)
{
	return count_busy(n, now_ms) >= NEGO_BUSY_MAX;
}

static int by_urgency(const void *a, const void *b)
{
	const struct talk *x = *(struct talk *const *)a, *y = *(struct talk *const *)b;

	if (x->urgency != y->urgency)
		return x->urgency - y->urgency;
	return (x->offer_ms > y->offer_ms) - (x->offer_ms < y->offer_ms);
}

static void earn(struct nego *n, int64_t now_ms)
{
	int64_t earned = (now_ms - n->credit_ms) * NEGO_PER_S / 1000;

	if (earned <= 0)
		return;
	n->credit = (uint32_t)MIN(n->credit + earned, NEGO_BURST);
	n->credit_ms = n->credit == NEGO_BURST
		? now_ms
		: n->credit_ms + (earned * 1000 + NEGO_PER_S - 1) / NEGO_PER_S;
}

/* Those whose turn it is, as many as may be asked now. */
static void offer_due(struct nego *n, int64_t now_ms)
{
	g_autoptr(GPtrArray) due = g_ptr_array_new();
	GHashTableIter iter;
	struct talk *t;
	size_t busy = 0;
	guint asked = 0;

	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		busy += is_busy(t, now_ms);
		if (t->offer_ms != NEGO_NEVER && now_ms >= t->offer_ms)
			g_ptr_array_add(due, t);
		else
			nego_plan(n, t->offer_ms);
	}
	earn(n, now_ms);
	g_ptr_array_sort(due, by_urgency);
	for (; asked < due->len && n->credit && busy < NEGO_BUSY_MAX; asked++, n->credit--) {
		t = due->pdata[asked];
		busy += !is_busy(t, now_ms);
		offer(n, t, now_ms);
	}
	if (asked < due->len)
		nego_plan(n, now_ms + 1000 / NEGO_PER_S);
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
	offer_due(n, now_ms);
	return n->next_ms;
}

void nego_get_load(const struct nego *n, struct nego_load *ret, int64_t now_ms)
{
	GHashTableIter iter;
	struct talk *t;

	*ret = (struct nego_load){ .busy = count_busy(n, now_ms) };
	g_hash_table_iter_init(&iter, n->talks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&t)) {
		if (t->offer_ms == NEGO_NEVER || now_ms <= t->offer_ms || !n->signal)
			continue;
		ret->waiting++;
		ret->longest_ms = MAX(ret->longest_ms, now_ms - t->offer_ms);
	}
}
