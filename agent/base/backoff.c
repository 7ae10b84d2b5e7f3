/* agent/base/backoff.c - how long to wait before the next try. */
#include "agent/base/backoff.h"

uint32_t backoff_next_ms(struct backoff *b, uint32_t random)
{
	uint64_t whole = (uint64_t)b->first_ms << (b->tries < 31 ? b->tries : 31);
	uint64_t half;

	if (whole > b->max_ms)
		whole = b->max_ms;
	half = whole / 2;
	if (b->tries < UINT32_MAX)
		b->tries++;
	return (uint32_t)(half + ((whole - half + 1) * random >> 32));
}

void backoff_reset(struct backoff *b)
{
	b->tries = 0;
}
