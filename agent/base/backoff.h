/* agent/base/backoff.h - how long to wait before the next try. */
#pragma once

#include <stdint.h>

struct backoff {
	uint32_t first_ms, max_ms; /* set by the owner */
	uint32_t tries; /* failures so far; 0 after success */
};

/* Counts a failure; the delay doubles up to the maximum and has full jitter in its upper half:
 * between half and the whole. `random` is any 32 random bits, so that tests are repeatable. */
uint32_t backoff_next_ms(struct backoff *b, uint32_t random);
void backoff_reset(struct backoff *b);
