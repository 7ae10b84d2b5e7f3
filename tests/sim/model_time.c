/* tests/sim/model_time.c - virtual time: timers that go off in order. */
#include "tests/sim/model_time.h"

static struct timer *at(const struct clock *c, guint place)
{
	return c->timers->pdata[place - 1];
}

static void put(struct clock *c, guint place, struct timer *t)
{
	c->timers->pdata[place - 1] = t;
	t->place = place;
}

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void rise(struct clock *c, struct timer *t)
{
	guint place = t->place;

	for (; place > 1 && is_before(t, at(c, place / 2)); place /= 2)
		put(c, place, at(c, place / 2));
	put(c, place, t);
}

static void sink(struct clock *c, struct timer *t)
{
	guint place = t->place, child;

	while ((child = 2 * place) <= c->timers->len) {
		if (child < c->timers->len && is_before(at(c, child + 1), at(c, child)))
			child++;
		if (!is_before(at(c, child), t))
			break;
		put(c, place, at(c, child));
		place = child;
	}
	put(c, place, t);
}

void clock_init(struct clock *c)
{
	*c = (struct clock){ .timers = g_ptr_array_new() };
}

void clock_done(struct clock *c)
{
	for (guint i = 0; i < c->timers->len; i++)
		if (((struct timer *)c->timers->pdata[i])->owned)
			g_free(c->timers->pdata[i]);
	g_ptr_array_unref(c->timers);
}

void timer_stop(struct clock *c, struct timer *t)
{
	struct timer *last;

	if (!t->place)
		return;
	last = at(c, c->timers->len);
	g_ptr_array_set_size(c->timers, (gint)c->timers->len - 1);
	if (last != t) {
		put(c, t->place, last);
		rise(c, last);
		sink(c, last);
	}
	t->place = 0;
}

void timer_set(struct clock *c, struct timer *t, int64_t at_us)
{
	timer_stop(c, t);
	t->at_us = MAX(at_us, c->now_us);
	t->seq = ++c->seq;
	g_ptr_array_add(c->timers, t);
	t->place = c->timers->len;
	rise(c, t);
}

void clock_run(struct clock *c, int64_t until_us)
{
	while (c->timers->len && at(c, 1)->at_us <= until_us) {
		struct timer *t = at(c, 1);

		timer_stop(c, t);
		c->now_us = MAX(c->now_us, t->at_us);
		t->fn(t->arg);
	}
	c->now_us = MAX(c->now_us, until_us);
}
