/* tests/sim/model_time.h - virtual time: timers that go off in order. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Part of what it belongs to; all zero: not set. What is `owned` goes with the clock if it never goes
 * off, and must begin with its timer. */
struct timer {
	int64_t at_us;
	uint64_t seq; /* first come, first served */
	guint place; /* in the heap, from 1; 0: not set */
	bool owned;
	void (*fn)(void *arg);
	void *arg;
};

struct clock {
	int64_t now_us;
	uint64_t seq;
	GPtrArray *timers; /* a heap */
};

void clock_init(struct clock *c);
void clock_done(struct clock *c);
void timer_set(struct clock *c, struct timer *t, int64_t at_us);
void timer_stop(struct clock *c, struct timer *t);
/* Also from within a timer: then what is due until that time goes off first. */
void clock_run(struct clock *c, int64_t until_us);

static inline bool timer_is_set(const struct timer *t)
{
	return t->place;
}
