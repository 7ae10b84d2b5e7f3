/* agent/lazy/lazy_idle.c - who is in use, by what the counters say; who goes to sleep. */
#include "agent/lazy/lazy_impl.h"

void lazy_counters_begin(struct lazy *l)
{
	for (guint i = 0; i < l->awake->len; i++) {
		awake_at(l, i)->found = false;
		awake_at(l, i)->sum = 0;
	}
}

void lazy_counter(struct lazy *l, uint32_t host, uint64_t packets)
{
	struct awake *a = awake_of(l, host);

	if (!a)
		return;
	a->found = true;
	a->sum += packets;
}

void lazy_used(struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct awake *a = awake_of(l, host);

	if (a)
		a->quiet_ms = now_ms;
	l->peers[host].inner_s = (uint32_t)(now_ms / 1000);
}

void lazy_read_later(struct lazy *l, int64_t now_ms)
{
	l->read_ms = now_ms;
}

static void judge_counter(struct lazy *l, struct awake *a, int64_t now_ms)
{
	if (!a->found)
		lazy_act(l, a->host, LAZY_ACT_COUNT, 0);
	if (!a->found || a->sum < a->packets)
		a->quiet_ms = now_ms;
	else if (a->sum > a->packets)
		lazy_used(l, a->host, now_ms);
	a->packets = a->sum;
}

void lazy_counters_end(struct lazy *l, int64_t now_ms)
{
	l->read_ms = now_ms;
	for (guint i = 0; i < l->awake->len; i++)
		if (l->peers[awake_at(l, i)->host].state == LAZY_ACTIVE)
			judge_counter(l, awake_at(l, i), now_ms);
}

void lazy_counters_lost(struct lazy *l, int64_t now_ms)
{
	l->read_ms = now_ms;
	for (guint i = 0; i < l->awake->len; i++) {
		awake_at(l, i)->quiet_ms = now_ms;
		awake_at(l, i)->packets = 0;
	}
}

static bool is_idle(const struct lazy *l, uint32_t host, int64_t now_ms)
{
	const struct sleeper *p = &l->peers[host];

	return p->state == LAZY_ACTIVE &&
		now_ms - awake_of(l, host)->quiet_ms >= (int64_t)p->idle_s * 1000;
}

struct search {
	const struct lazy *l;
	int64_t now_ms;
	bool found;
};

/* A member that is up only because of the others holds nobody up: each is judged by its own packets. */
static void is_busy(uint32_t host, void *arg)
{
	struct search *s = arg;
	const struct sleeper *p = &s->l->peers[host];

	if (p->state == LAZY_ACTIVE)
		s->found |= !is_idle(s->l, host, s->now_ms);
	else if (p->state == LAZY_WAKING)
		s->found |= !(p->flags & UNREACHABLE);
}

static bool may_park(const struct lazy *l, uint32_t host, int64_t now_ms)
{
	struct search busy = { l, now_ms, false };

	if (!is_idle(l, host, now_ms))
		return false;
	l->ops->members(host, is_busy, &busy, l->user);
	return !busy.found;
}

bool lazy_has_idle(const struct lazy *l, int64_t now_ms)
{
	for (guint i = 0; i < l->awake->len; i++)
		if (may_park(l, awake_at(l, i)->host, now_ms))
			return true;
	return false;
}

void lazy_park_idle(struct lazy *l, int64_t now_ms)
{
	for (guint i = l->awake->len; i-- > 0;) {
		uint32_t host = awake_at(l, i)->host;

		if (may_park(l, host, now_ms))
			lazy_park(l, host, now_ms);
	}
	l->interval_s = 0;
	for (guint i = 0; i < l->awake->len; i++) {
		const struct sleeper *p = &l->peers[awake_at(l, i)->host];

		if (p->state == LAZY_ACTIVE && (!l->interval_s || lazy_interval(p) < l->interval_s))
			l->interval_s = lazy_interval(p);
	}
}

int64_t lazy_next_reading(const struct lazy *l)
{
	return l->interval_s ? l->read_ms + (int64_t)l->interval_s * 1000 : LAZY_NEVER;
}
