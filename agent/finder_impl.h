/* agent/finder_impl.h - the inside of the finder, for its files only. */
#pragma once

#include "agent/finder.h"
#include "agent/nego/nego.h"

struct finder {
	struct engine *engine;
	const char *version;
	struct finder_ops ops;
	void *user;
	struct nego *nego;
	GSource *work;
	bool hushed; /* the other side has said that it sleeps: it need not be told */
	uint64_t refused; /* candidates that nothing may be sent to */
};

/* finder_ice.c */
void finder_ice_start(struct finder *f, const struct wg_key *key);
void finder_ice_stop(struct finder *f, const struct wg_key *key);
void finder_ice_candidate(struct finder *f, const struct wg_key *key, const char *line);
/* May WireGuard's packets be sent there? */
bool finder_may_send_to(const struct finder *f, const struct endpoint *at);
