/* agent/rpc/pace.h - delays between tries at a server: grow, with jitter, and then few a minute. Pure. */
#pragma once

#include <stdint.h>

enum pace_kind {
	PACE_ENROL, /* somebody waits for it: ends by itself, after minutes */
	PACE_LOGIN,
	PACE_STREAM,
};

enum {
	/* Fully grown, those without an end wait between once and twice this: at most four tries a
	 * minute of each host, whatever the dice say. */
	PACE_GROWN_MS = 15 * 1000,
};

struct pace {
	enum pace_kind kind;
	uint32_t delay_ms; /* 0: the next failure is the first one */
};

/* Counts a failure; `random` is any 32 random bits. */
uint32_t pace_next_ms(struct pace *pace, uint32_t random);
/* No small delays any more. */
void pace_grow(struct pace *pace);
void pace_reset(struct pace *pace);
/* 32 random bits for it, from a state that is seeded once: the same on every machine. */
uint32_t pace_roll(uint64_t *state);
