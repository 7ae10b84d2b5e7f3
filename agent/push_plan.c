/* agent/push_plan.c - decides about pushing samples. */
#include "agent/push_plan.h"

#include <string.h>

const char push_default_url[] = "https://ingest.netbird.io";

const char *push_state_name(enum push_state state)
{
	static const char *const names[] = {
		[PUSH_WAITING] = "waiting",
		[PUSH_ASKING] = "asking",
		[PUSH_SENDING] = "sending",
		[PUSH_UNCONFIGURED] = "unconfigured",
		[PUSH_EXCLUDED] = "excluded",
		[PUSH_NAMELESS] = "nameless",
	};

	return names[state];
}

void push_plan_init(struct push_plan *p, const char *own_version)
{
	*p = (struct push_plan){ 0 };
	p->own_is_good = version_parse(own_version, strlen(own_version), &p->own) == 0;
}

static int64_t interval_of(const struct push_plan *p)
{
	if (p->interval_ms)
		return p->interval_ms;
	return !p->forced && p->has_config ? (int64_t)p->config.period_min * 60 * 1000
					   : PUSH_INTERVAL_MS;
}

static enum push_state wait_until(struct push_plan *p, enum push_state state, int64_t ms)
{
	p->cycle_ms = ms;
	return p->state = state;
}

enum push_state push_plan_next(struct push_plan *p, int64_t now_ms, size_t samples)
{
	if (now_ms < p->cycle_ms)
		return p->state;
	if (!p->forced) {
		if (!p->own_is_good)
			return wait_until(p, PUSH_NAMELESS, INT64_MAX);
		if (now_ms >= p->ask_ms)
			return p->state = PUSH_ASKING;
		if (!p->has_config)
			return wait_until(p, PUSH_UNCONFIGURED, p->ask_ms);
		if (!push_config_allows(&p->config, &p->own))
			return wait_until(p, PUSH_EXCLUDED, now_ms + interval_of(p));
	}
	if (!samples)
		return wait_until(p, PUSH_WAITING, now_ms + interval_of(p));
	return p->state = PUSH_SENDING;
}

void push_plan_asked(struct push_plan *p, int64_t now_ms, const struct push_config *config)
{
	p->ask_ms = now_ms + (config ? PUSH_CONFIG_GOOD_MS : PUSH_CONFIG_RETRY_MS);
	if (!config)
		return;
	p->config = *config;
	p->has_config = true;
}

void push_plan_sent(struct push_plan *p, int64_t now_ms, bool more)
{
	wait_until(p, PUSH_WAITING, more ? now_ms : now_ms + interval_of(p));
}

const char *push_plan_url(const struct push_plan *p)
{
	if (p->server_url)
		return p->server_url;
	if (p->forced)
		return push_default_url;
	return p->has_config ? p->config.server_url : NULL;
}
