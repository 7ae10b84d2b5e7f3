/* agent/lazy/lazy_impl.h - the inside of the core, for its two files. */
#pragma once

#include <glib.h>

#include "agent/lazy/lazy.h"

enum lazy_flag {
	KNOWN = 1, /* lazy_set was called for it */
	SLEEPS = 2, /* it may */
	PINNED = 4,
	ARMED = 8, /* waking, and its endpoint is the sentinel */
	UNREACHABLE = 16,
};

/* All that a parked peer costs. */
struct sleeper {
	uint8_t state, cause, flags;
	uint32_t awake; /* its place among the awake, from 1; 0: none */
	uint32_t idle_s, wakes, answer_ms;
	uint32_t since_s, inner_s;
};

struct awake {
	uint32_t host;
	uint8_t next; /* endpoint to be tried next */
	bool poked; /* waking, and nothing was captured yet */
	bool tried; /* waking: what comes again finds the sentinel in place, and no write is needed */
	bool found; /* by the reading under way */
	int64_t asked_ms; /* waking since */
	int64_t captured_ms; /* last sign that somebody wants it */
	int64_t try_ms, rearm_ms; /* LAZY_NEVER: not planned */
	int64_t quiet_ms; /* no inner packets since, as far as is known */
	uint64_t packets, sum; /* at the last reading; of the one under way */
};

struct lazy {
	const struct lazy_ops *ops;
	void *user;
	struct sleeper *peers;
	size_t n;
	GArray *awake; /* struct awake */
	GArray *actions; /* struct lazy_action */
	guint taken; /* actions that were handed out */
	int64_t next_ms; /* the earliest of all deadlines */
	int64_t read_ms; /* last reading of the counters */
	uint32_t interval_s; /* between readings; 0: nobody is active */
	struct lazy_counts counts;
};

static inline struct awake *awake_at(const struct lazy *l, size_t i)
{
	return &g_array_index(l->awake, struct awake, i);
}

static inline struct awake *awake_of(const struct lazy *l, uint32_t host)
{
	uint32_t at = l->peers[host].awake;

	return at ? awake_at(l, at - 1) : NULL;
}

static inline void lazy_act(struct lazy *l, uint32_t host, enum lazy_act what, unsigned arg)
{
	struct lazy_action action = { host, (uint8_t)what, (uint8_t)arg };

	g_array_append_val(l->actions, action);
}

static inline uint32_t lazy_interval(const struct sleeper *p)
{
	return CLAMP(p->idle_s / 4, (uint32_t)LAZY_READING_MIN_S, (uint32_t)LAZY_READING_MAX_S);
}

/* lazy.c */
void lazy_park(struct lazy *l, uint32_t host, int64_t now_ms);
