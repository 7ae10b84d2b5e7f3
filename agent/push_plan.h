/* agent/push_plan.h - when samples are pushed, and when the server is asked whether they are wanted. Pure.
 *
 * The first cycle is at once, and then one each interval. A cycle needs the server's configuration, which is good
 * for 30 minutes; a newer one that cannot be had leaves the last in force, is asked for again after 5 minutes, and
 * without any the cycle is skipped till then. What could not be pushed waits for the next cycle. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/push_config.h"

enum {
	PUSH_INTERVAL_MS = 5 * 60 * 1000,
	PUSH_CONFIG_GOOD_MS = 30 * 60 * 1000,
	PUSH_CONFIG_RETRY_MS = 5 * 60 * 1000,
};

extern const char push_default_url[];

enum push_state {
	PUSH_WAITING, /* for the next cycle */
	PUSH_ASKING, /* for the configuration */
	PUSH_SENDING,
	PUSH_UNCONFIGURED, /* waits: no configuration of the server yet */
	PUSH_EXCLUDED, /* waits: the server does not want this version */
	PUSH_NAMELESS, /* never: our own version is none, so that nobody can want it */
};
const char *push_state_name(enum push_state state);

struct push_plan {
	/* set by the owner */
	const char *server_url; /* in place of the server's; NULL: as it says */
	int64_t interval_ms; /* the same; 0 */
	bool forced; /* whatever the server says: it is not asked */

	struct version own;
	bool own_is_good;
	struct push_config config;
	bool has_config;
	int64_t ask_ms, cycle_ms; /* not before */
	enum push_state state;
};

void push_plan_init(struct push_plan *p, const char *own_version);
/* What there is to do now, with so many samples: ask, send, or wait till cycle_ms in any other state. */
enum push_state push_plan_next(struct push_plan *p, int64_t now_ms, size_t samples);
/* The answer; NULL: there was none that could be used. */
void push_plan_asked(struct push_plan *p, int64_t now_ms, const struct push_config *config);
/* They were sent, or could not be; `more`: the rest follows at once. */
void push_plan_sent(struct push_plan *p, int64_t now_ms, bool more);
/* Whereto; NULL: not known yet. */
const char *push_plan_url(const struct push_plan *p);
