/* agent/lazy/lazy.c - which peers sleep, wake and stay up. */
#include "agent/lazy/lazy_impl.h"

/* -- small things --------------------------------------------------------------------------- */

static void plan(struct lazy *l, int64_t at_ms)
{
	if (l->next_ms == LAZY_NEVER || at_ms < l->next_ms)
		l->next_ms = at_ms;
}

static bool may_sleep(const struct sleeper *p)
{
	return p->flags & SLEEPS && !(p->flags & PINNED);
}

static void enter(struct lazy *l, uint32_t host, enum lazy_state state, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	p->state = (uint8_t)state;
	p->since_s = (uint32_t)(now_ms / 1000);
	lazy_act(l, host, LAZY_ACT_TELL, 0);
}

static struct awake *get_up(struct lazy *l, uint32_t host)
{
	struct awake fresh = { .host = host, .try_ms = LAZY_NEVER, .rearm_ms = LAZY_NEVER };
	struct awake *a = awake_of(l, host);

	if (a)
		return a;
	g_array_append_val(l->awake, fresh);
	l->peers[host].awake = l->awake->len;
	return awake_at(l, l->awake->len - 1);
}

/* The last one moves into the gap. */
static void lie_down(struct lazy *l, uint32_t host)
{
	uint32_t at = l->peers[host].awake;

	if (!at)
		return;
	g_array_remove_index_fast(l->awake, at - 1);
	if (at <= l->awake->len)
		l->peers[awake_at(l, at - 1)->host].awake = at;
	l->peers[host].awake = 0;
}

/* -- states --------------------------------------------------------------------------------- */

bool lazy_wants_counting(const struct lazy *l, uint32_t host)
{
	return l->peers[host].state == LAZY_ACTIVE || l->peers[host].state == LAZY_PERMANENT;
}

bool lazy_wants_sentinel(const struct lazy *l, uint32_t host)
{
	const struct sleeper *p = &l->peers[host];

	return p->state == LAZY_PARKED || (p->state == LAZY_WAKING && p->flags & ARMED);
}

void lazy_park(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];
	bool programmed = lazy_wants_sentinel(l, host);

	if (lazy_wants_counting(l, host))
		lazy_act(l, host, LAZY_ACT_UNCOUNT, 0);
	lie_down(l, host);
	enter(l, host, LAZY_PARKED, now_ms);
	p->flags &= (uint8_t)~ARMED;
	if (!programmed)
		lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
	lazy_act(l, host, LAZY_ACT_DROP, 0);
}

static void read_within(struct lazy *l, uint32_t interval_s, int64_t now_ms)
{
	if (!l->interval_s)
		l->read_ms = now_ms;
	if (!l->interval_s || interval_s < l->interval_s)
		l->interval_s = interval_s;
}

static void activate(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct awake *a = get_up(l, host);
	struct sleeper *p = &l->peers[host];

	a->try_ms = a->rearm_ms = LAZY_NEVER;
	a->quiet_ms = now_ms;
	a->packets = 0;
	p->flags &= (uint8_t) ~(ARMED | UNREACHABLE);
	read_within(l, lazy_interval(p), now_ms);
	enter(l, host, LAZY_ACTIVE, now_ms);
	lazy_act(l, host, LAZY_ACT_COUNT, 0);
	lazy_act(l, host, LAZY_ACT_DROP, 0);
}

struct waking_group {
	struct lazy *l;
	int64_t now_ms;
};

static void wake_member(uint32_t host, void *arg)
{
	struct waking_group *w = arg;

	lazy_wake(w->l, host, LAZY_BY_GROUP, w->now_ms);
}

static void note_wake(struct lazy *l, uint32_t host, enum lazy_cause cause, int64_t now_ms)
{
	struct waking_group w = { l, now_ms };

	l->peers[host].cause = (uint8_t)cause;
	l->peers[host].answer_ms = 0;
	l->peers[host].wakes++;
	l->counts.wakes[cause]++;
	if (cause != LAZY_BY_GROUP)
		l->ops->members(host, wake_member, &w, l->user);
}

/* Its endpoint is the sentinel as before, or is to be. */
static void begin_waking(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct awake *a = get_up(l, host);

	a->asked_ms = a->captured_ms = now_ms;
	a->try_ms = a->rearm_ms = LAZY_NEVER;
	a->poked = true;
	a->tried = false;
	l->peers[host].flags = (uint8_t)((l->peers[host].flags & ~UNREACHABLE) | ARMED);
	enter(l, host, LAZY_WAKING, now_ms);
	plan(l, now_ms + LAZY_POKED_MS);
}

/* Sends what is held to the first endpoint, and plans the others. Without any endpoint it stays held.
 *
 * The kernel gives up after a number of attempts, which any write to the peer sets back. So there are
 * two of them: the real endpoint at first, the sentinel when that did not answer. From then on attempts
 * are captured and sent on, and the answer moves the endpoint by itself. */
static void try_endpoints(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct awake *a = awake_of(l, host);
	size_t n = l->ops->candidates(host, l->user);

	a->try_ms = LAZY_NEVER;
	if (!n)
		return;
	if (!a->tried) {
		l->peers[host].flags &= (uint8_t)~ARMED;
		lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
		a->rearm_ms = now_ms + LAZY_REARM_MS;
		plan(l, a->rearm_ms);
	}
	a->tried = true;
	lazy_act(l, host, LAZY_ACT_FORWARD, 0);
	a->next = 1;
	if (n > 1) {
		a->try_ms = now_ms + LAZY_TRY_MS;
		plan(l, a->try_ms);
	}
}

/* -- life ----------------------------------------------------------------------------------- */

struct lazy *lazy_new(size_t n_hosts, const struct lazy_ops *ops, void *user)
{
	struct lazy *l = g_new0(struct lazy, 1);

	l->ops = ops;
	l->user = user;
	l->n = n_hosts;
	l->peers = g_new0(struct sleeper, n_hosts);
	l->awake = g_array_new(FALSE, FALSE, sizeof(struct awake));
	l->actions = g_array_new(FALSE, FALSE, sizeof(struct lazy_action));
	l->next_ms = LAZY_NEVER;
	return l;
}

void lazy_free(struct lazy *l)
{
	if (!l)
		return;
	g_free(l->peers);
	g_array_unref(l->awake);
	g_array_unref(l->actions);
	g_free(l);
}

void lazy_remap(struct lazy *l, size_t n_hosts, const int64_t *before)
{
	g_autofree struct sleeper *old = l->peers;
	g_autoptr(GArray) old_awake = l->awake;

	l->peers = g_new0(struct sleeper, n_hosts);
	l->n = n_hosts;
	l->awake = g_array_new(FALSE, FALSE, sizeof(struct awake));
	g_array_set_size(l->actions, 0);
	l->taken = 0;
	for (uint32_t i = 0; i < n_hosts; i++) {
		struct awake a;

		if (before[i] < 0)
			continue;
		l->peers[i] = old[before[i]];
		if (!l->peers[i].awake)
			continue;
		a = g_array_index(old_awake, struct awake, l->peers[i].awake - 1);
		a.host = i;
		g_array_append_val(l->awake, a);
		l->peers[i].awake = l->awake->len;
	}
}

static void become_permanent(struct lazy *l, uint32_t host, int64_t now_ms)
{
	bool counted = lazy_wants_counting(l, host);
	bool moved = l->peers[host].state != LAZY_ACTIVE; /* who is up stays where it is */

	lie_down(l, host);
	l->peers[host].flags &= (uint8_t) ~(ARMED | UNREACHABLE);
	enter(l, host, LAZY_PERMANENT, now_ms);
	if (moved)
		lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
	lazy_act(l, host, LAZY_ACT_DROP, 0);
	if (!counted)
		lazy_act(l, host, LAZY_ACT_COUNT, 0);
	lazy_act(l, host, LAZY_ACT_POKE, 0);
}

static void follow(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	if (may_sleep(p) == (p->state != LAZY_PERMANENT))
		return;
	/* Who was up till now is in use, for all we know; who may be elsewhere is looked for
	 * everywhere, when the kernel asks. */
	if (!may_sleep(p))
		become_permanent(l, host, now_ms);
	else if (l->ops->is_in_place(host, now_ms, l->user))
		activate(l, host, now_ms);
	else
		lazy_park(l, host, now_ms);
}

/* Who is new is not in the kernel yet, or is found there and adopted: nothing to be done now. */
void lazy_set(struct lazy *l, uint32_t host, bool sleeps, uint32_t idle_s, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];
	bool known = p->flags & KNOWN;

	p->flags = (uint8_t)((p->flags & ~SLEEPS) | KNOWN | (sleeps ? SLEEPS : 0));
	p->idle_s = idle_s;
	if (known) {
		follow(l, host, now_ms);
		if (p->state == LAZY_ACTIVE)
			read_within(l, lazy_interval(p), now_ms);
		return;
	}
	p->state = may_sleep(p) ? LAZY_PARKED : LAZY_PERMANENT;
	p->since_s = (uint32_t)(now_ms / 1000);
}

void lazy_pin(struct lazy *l, uint32_t host, bool pinned, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	p->flags = (uint8_t)((p->flags & ~PINNED) | (pinned ? PINNED : 0));
	if (p->flags & KNOWN)
		follow(l, host, now_ms);
}

void lazy_adopt(struct lazy *l, uint32_t host, bool active, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	if (!active || p->state != LAZY_PARKED)
		return;
	p->cause = LAZY_BY_RESTART;
	activate(l, host, now_ms);
}

/* -- events --------------------------------------------------------------------------------- */

/* A session that still lives needs no handshake, hence no answer is waited for. */
static void captured_data(struct lazy *l, uint32_t host, int64_t now_ms)
{
	lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
	lazy_act(l, host, LAZY_ACT_FORWARD, 0);
	if (l->peers[host].state == LAZY_PERMANENT || l->peers[host].state == LAZY_ACTIVE)
		return;
	l->peers[host].cause = LAZY_BY_TRAFFIC;
	l->peers[host].answer_ms = 0; /* whatever woke it before was answered */
	l->counts.in_session++;
	activate(l, host, now_ms);
}

/* Data of this very turn woke it: under an old session the kernel begins a new one beside it. */
static bool is_fresh(const struct lazy *l, uint32_t host, int64_t now_ms)
{
	return awake_of(l, host)->quiet_ms == now_ms;
}

void lazy_captured(struct lazy *l, uint32_t host, bool session, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];
	bool parked = p->state == LAZY_PARKED;

	if (session && l->ops->candidates(host, l->user)) {
		if (parked)
			note_wake(l, host, LAZY_BY_TRAFFIC, now_ms);
		captured_data(l, host, now_ms);
		return;
	}
	if (p->state == LAZY_PERMANENT || (p->state == LAZY_ACTIVE && is_fresh(l, host, now_ms))) {
		/* Without any endpoint a write would only make the kernel ask for longer. */
		if (l->ops->candidates(host, l->user))
			lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
		lazy_act(l, host, LAZY_ACT_FORWARD, 0);
		lazy_act(l, host, LAZY_ACT_DROP, 0);
		return;
	}
	if (p->state == LAZY_ACTIVE) /* its endpoint was lost, and its session is over */
		lazy_act(l, host, LAZY_ACT_UNCOUNT, 0);
	if (p->state != LAZY_WAKING)
		begin_waking(l, host, now_ms);
	if (parked)
		note_wake(l, host, LAZY_BY_TRAFFIC, now_ms);
	awake_of(l, host)->captured_ms = now_ms;
	awake_of(l, host)->poked = false;
	plan(l, now_ms + LAZY_GIVE_UP_MS);
	plan(l, awake_of(l, host)->asked_ms + LAZY_UNREACHABLE_MS);
	try_endpoints(l, host, now_ms);
}

void lazy_answered(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	if (p->state != LAZY_WAKING)
		return;
	p->answer_ms = (uint32_t)MAX(now_ms - awake_of(l, host)->asked_ms, 1);
	l->counts.answered++;
	histogram_add(&l->counts.answers, p->answer_ms);
	activate(l, host, now_ms);
}

void lazy_remote(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct sleeper *p = &l->peers[host];

	p->inner_s = (uint32_t)(now_ms / 1000);
	if (p->state == LAZY_PARKED) {
		note_wake(l, host, LAZY_BY_REMOTE, now_ms);
		l->counts.in_session++;
		activate(l, host, now_ms);
	} else if (p->state == LAZY_WAKING) {
		lazy_answered(l, host, now_ms);
	} else { /* its counters are gone */
		if (p->state == LAZY_ACTIVE)
			awake_of(l, host)->quiet_ms = now_ms;
		lazy_act(l, host, LAZY_ACT_COUNT, 0);
	}
}

bool lazy_wake(struct lazy *l, uint32_t host, enum lazy_cause cause, int64_t now_ms)
{
	if (l->peers[host].state != LAZY_PARKED)
		return false;
	begin_waking(l, host, now_ms);
	note_wake(l, host, cause, now_ms);
	/* It may have roamed, where a poke under its session would get no answer. */
	lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
	lazy_act(l, host, LAZY_ACT_POKE, 0);
	return true;
}

bool lazy_sleep(struct lazy *l, uint32_t host, int64_t now_ms)
{
	if (!l->peers[host].awake)
		return false;
	lazy_park(l, host, now_ms);
	return true;
}

void lazy_silent(struct lazy *l, uint32_t host, int64_t since_ms, int64_t now_ms)
{
	if (l->peers[host].state != LAZY_ACTIVE)
		return;
	lazy_act(l, host, LAZY_ACT_UNCOUNT, 0);
	begin_waking(l, host, now_ms);
	awake_of(l, host)->poked = false;
	awake_of(l, host)->tried = true;
	awake_of(l, host)->asked_ms = since_ms;
	plan(l, since_ms + LAZY_UNREACHABLE_MS);
	lazy_act(l, host, LAZY_ACT_PROGRAM, 0);
}

void lazy_new_endpoints(struct lazy *l, uint32_t host, int64_t now_ms)
{
	if (l->peers[host].state == LAZY_WAKING && !awake_of(l, host)->poked)
		try_endpoints(l, host, now_ms);
	else if (l->peers[host].state == LAZY_ACTIVE) /* what is still held, if anything */
		lazy_act(l, host, LAZY_ACT_FORWARD, 0);
}

/* -- time ----------------------------------------------------------------------------------- */

static void try_next(struct lazy *l, struct awake *a, int64_t now_ms)
{
	size_t n = l->ops->candidates(a->host, l->user);

	if (a->next < n)
		lazy_act(l, a->host, LAZY_ACT_FORWARD, a->next++);
	a->try_ms = a->next < n ? now_ms + LAZY_TRY_MS : LAZY_NEVER;
}

static bool is_due(int64_t at_ms, int64_t now_ms)
{
	return at_ms != LAZY_NEVER && now_ms >= at_ms;
}

/* False: it was parked. */
static bool tick_waking(struct lazy *l, struct awake *a, int64_t now_ms)
{
	struct sleeper *p = &l->peers[a->host];

	if (now_ms - a->captured_ms >= (a->poked ? LAZY_POKED_MS : LAZY_GIVE_UP_MS)) {
		l->counts.unanswered++;
		lazy_park(l, a->host, now_ms);
		return false;
	}
	if (is_due(a->try_ms, now_ms))
		try_next(l, a, now_ms);
	if (is_due(a->rearm_ms, now_ms)) {
		a->rearm_ms = LAZY_NEVER;
		p->flags |= ARMED;
		lazy_act(l, a->host, LAZY_ACT_PROGRAM, 0);
	}
	if (!a->poked && !(p->flags & UNREACHABLE) && now_ms - a->asked_ms >= LAZY_UNREACHABLE_MS) {
		p->flags |= UNREACHABLE;
		lazy_act(l, a->host, LAZY_ACT_TELL, 0);
	}
	return true;
}

static void plan_waking(struct lazy *l, const struct awake *a)
{
	plan(l, a->captured_ms + (a->poked ? LAZY_POKED_MS : LAZY_GIVE_UP_MS));
	if (a->try_ms != LAZY_NEVER)
		plan(l, a->try_ms);
	if (a->rearm_ms != LAZY_NEVER)
		plan(l, a->rearm_ms);
	if (!a->poked && !(l->peers[a->host].flags & UNREACHABLE))
		plan(l, a->asked_ms + LAZY_UNREACHABLE_MS);
}

int64_t lazy_tick(struct lazy *l, int64_t now_ms)
{
	if (!is_due(l->next_ms, now_ms))
		return l->next_ms;
	l->next_ms = LAZY_NEVER;
	for (guint i = l->awake->len; i-- > 0;) {
		struct awake *a = awake_at(l, i);

		if (l->peers[a->host].state == LAZY_WAKING && tick_waking(l, a, now_ms))
			plan_waking(l, a);
	}
	return l->next_ms;
}

/* -- what follows, and questions ------------------------------------------------------------ */

bool lazy_next(struct lazy *l, struct lazy_action *ret)
{
	if (l->taken == l->actions->len) {
		g_array_set_size(l->actions, 0);
		l->taken = 0;
		return false;
	}
	*ret = g_array_index(l->actions, struct lazy_action, l->taken++);
	return true;
}

enum lazy_state lazy_state(const struct lazy *l, uint32_t host)
{
	return l->peers[host].state;
}

void lazy_view(const struct lazy *l, uint32_t host, struct lazy_view *ret)
{
	const struct sleeper *p = &l->peers[host];

	*ret = (struct lazy_view){
		.state = p->state,
		.cause = p->cause,
		.unreachable = p->flags & UNREACHABLE,
		.pinned = p->flags & PINNED,
		.wakes = p->wakes,
		.answer_ms = p->answer_ms,
		.idle_s = p->idle_s,
		.inner_ms = (int64_t)p->inner_s * 1000,
		.since_ms = (int64_t)p->since_s * 1000,
		.asked_ms = p->state == LAZY_WAKING ? awake_of(l, host)->asked_ms : 0,
	};
}

void lazy_get_counts(const struct lazy *l, struct lazy_counts *ret)
{
	*ret = l->counts;
}

const char *lazy_state_name(enum lazy_state state)
{
	static const char *const names[] = { "permanent", "parked", "waking", "active" };

	return names[state];
}

const char *lazy_cause_name(enum lazy_cause cause)
{
	static const char *const names[] = { NULL, "traffic", "remote", "user", "group",
		"restart" };

	return names[cause];
}

size_t lazy_n_awake(const struct lazy *l)
{
	return l->awake->len;
}

uint32_t lazy_awake(const struct lazy *l, size_t i)
{
	return awake_at(l, i)->host;
}
