/* agent/rpc/pace.c - delays between tries at a server. */
#include "agent/rpc/pace.h"

#include <stdbool.h>

/* Jitter: percent of the delay, up and down. */
static const struct {
	uint32_t first_ms, growth_percent, jitter_percent, max_ms;
	bool endless;
} rules[] = {
	[PACE_ENROL] = { 500, 150, 50, 10 * 1000, false },
	[PACE_LOGIN] = { 1000, 170, 100, 15 * 1000, true },
	[PACE_STREAM] = { 800, 170, 100, 10 * 1000, true },
};

static uint32_t between(uint32_t low, uint32_t high, uint32_t random)
{
	return low + (uint32_t)(((uint64_t)high - low + 1) * random >> 32);
}

uint32_t pace_next_ms(struct pace *pace, uint32_t random)
{
	uint32_t max = rules[pace->kind].max_ms, jitter = rules[pace->kind].jitter_percent;
	uint32_t now = pace->delay_ms ? pace->delay_ms : rules[pace->kind].first_ms;

	pace->delay_ms = now * rules[pace->kind].growth_percent / 100;
	if (pace->delay_ms > max)
		pace->delay_ms = max;
	if (now == max && rules[pace->kind].endless)
		return between(PACE_GROWN_MS, 2 * PACE_GROWN_MS, random);
	return between(now - now * jitter / 100, now + now * jitter / 100, random);
}

void pace_grow(struct pace *pace)
{
	pace->delay_ms = rules[pace->kind].max_ms;
}

void pace_reset(struct pace *pace)
{
	pace->delay_ms = 0;
}

/* splitmix64: good enough for jitter. */
uint32_t pace_roll(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((z ^ z >> 31) >> 32);
}
