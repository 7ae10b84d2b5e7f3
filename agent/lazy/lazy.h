/* agent/lazy/lazy.h - which peers sleep, wake and stay up. Pure: events in, actions out, clock given.
 *
 * A parked peer's endpoint in the kernel is a sentinel of ours. What the kernel sends there wakes the
 * peer: the captured packet goes on to the peer's real endpoints, one after the other, and an answer
 * ends the waking. Nothing is ever removed from the kernel for it. Peers are numbers (hosts of the
 * map); what an endpoint is, the caller knows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/histogram.h"

enum {
	LAZY_TRY_MS = 250, /* between endpoints */
	LAZY_REARM_MS =
		4000, /* unanswered: the kernel's next attempt (after 5 s) is to be captured */
	LAZY_UNREACHABLE_MS = 20 * 1000, /* unanswered since it was asked for */
	LAZY_GIVE_UP_MS = 30 * 1000, /* the kernel has stopped asking: park */
	LAZY_POKED_MS = 10 * 1000, /* nothing was captured after a poke: park */
	LAZY_READING_MIN_S = 15, /* counters are read each quarter of the idle time, but ... */
	LAZY_READING_MAX_S = 60,
	LAZY_NEVER = -1,
};

enum lazy_state {
	LAZY_PERMANENT, /* not ours: always up */
	LAZY_PARKED,
	LAZY_WAKING,
	LAZY_ACTIVE,
};

/* Who wanted it awake. */
enum lazy_cause {
	LAZY_BY_NOBODY,
	LAZY_BY_TRAFFIC,
	LAZY_BY_REMOTE,
	LAZY_BY_USER,
	LAZY_BY_GROUP,
	LAZY_BY_RESTART, /* found so at a start */
	LAZY_CAUSES
};

/* What is to be done in the kernel; for one peer in the order in which it is asked for. */
enum lazy_act {
	LAZY_ACT_UNCOUNT, /* count its inner packets no more; the next one is told */
	LAZY_ACT_PROGRAM, /* give it the endpoint that it should have: see lazy_wants_sentinel */
	LAZY_ACT_FORWARD, /* send the held packets to endpoint number `arg`, from WireGuard's port */
	LAZY_ACT_DROP, /* forget the held packets */
	LAZY_ACT_COUNT, /* count its inner packets */
	LAZY_ACT_POKE, /* make the kernel begin a handshake */
	LAZY_ACT_TELL, /* its state has changed */
};

struct lazy_action {
	uint32_t host;
	uint8_t act; /* enum lazy_act */
	uint8_t arg;
};

struct lazy;

struct lazy_ops {
	/* How many endpoints it could be tried at now. */
	size_t (*candidates)(uint32_t host, void *user);
	/* Is its endpoint the right one, as far as is known: it has a session, or could be nowhere else? */
	bool (*is_in_place)(uint32_t host, int64_t now_ms, void *user);
	/* Calls fn for each other member of the groups that this host belongs to. */
	void (*members)(uint32_t host, void (*fn)(uint32_t host, void *arg), void *arg, void *user);
};

/* Of all peers, since the beginning. */
struct lazy_counts {
	uint64_t wakes[LAZY_CAUSES];
	uint64_t answered, unanswered; /* wakings that ended so */
	uint64_t in_session; /* no answer was waited for: data woke it, its own or under a session that lives */
	struct histogram answers; /* from being asked for to the answer */
};

/* What is shown of one peer. */
struct lazy_view {
	enum lazy_state state;
	enum lazy_cause cause; /* of the last wake */
	bool unreachable; /* waking for long, or the last wake ended so */
	bool pinned;
	uint32_t wakes;
	uint32_t answer_ms; /* of the last wake: from being asked for to the answer; 0: none */
	uint32_t idle_s; /* it is parked after so long without inner packets */
	int64_t inner_ms; /* when the last inner packet was noticed, in whole seconds; 0: never */
	int64_t since_ms; /* of the state, in whole seconds */
	int64_t asked_ms; /* waking: since when */
};

struct lazy *lazy_new(size_t n_hosts, const struct lazy_ops *ops, void *user);
void lazy_free(struct lazy *l);
/* A new map: `before[i]` says which host of the old map host i was, or -1. What was known moves over;
 * hosts that are gone leave no trace. Comes before the lazy_set calls for the new map. */
void lazy_remap(struct lazy *l, size_t n_hosts, const int64_t *before);

/* May this peer sleep, and after how long without inner packets? Changing it parks the peer or brings
 * it up. */
void lazy_set(struct lazy *l, uint32_t host, bool sleeps, uint32_t idle_s, int64_t now_ms);
/* Permanent until unpinned, whatever lazy_set says. */
void lazy_pin(struct lazy *l, uint32_t host, bool pinned, int64_t now_ms);
/* Found like this in the kernel, at a start: with a live session away from its sentinel it is active
 * and gets a full idle time; else it is parked. */
void lazy_adopt(struct lazy *l, uint32_t host, bool active, int64_t now_ms);

/* -- events --------------------------------------------------------------------------------- */

/* The kernel sent this to the peer's sentinel; `session`: data, not an initiation. */
void lazy_captured(struct lazy *l, uint32_t host, bool session, int64_t now_ms);
/* An inner packet of a peer that is not counted came in. */
void lazy_remote(struct lazy *l, uint32_t host, int64_t now_ms);
/* It answered: a handshake is complete, or its response was seen. */
void lazy_answered(struct lazy *l, uint32_t host, int64_t now_ms);
/* Somebody wants it awake. False: it is awake or permanent already. */
bool lazy_wake(struct lazy *l, uint32_t host, enum lazy_cause cause, int64_t now_ms);
/* Somebody wants it to sleep. False: it sleeps already, or may not. */
bool lazy_sleep(struct lazy *l, uint32_t host, int64_t now_ms);
/* An active peer asks and gets no answer since then: its endpoints are tried again. */
void lazy_silent(struct lazy *l, uint32_t host, int64_t since_ms, int64_t now_ms);
/* Its endpoints or names have changed. */
void lazy_new_endpoints(struct lazy *l, uint32_t host, int64_t now_ms);

/* A reading of the counters: begin, one call per counted range found, end. A peer of which nothing was
 * found, or that has counted backwards, is unknown, never idle; what was not found is counted anew. */
void lazy_counters_begin(struct lazy *l);
void lazy_counter(struct lazy *l, uint32_t host, uint64_t packets);
void lazy_counters_end(struct lazy *l, int64_t now_ms);
/* Everything counted is gone, or could not be read: nobody was idle till now. */
void lazy_counters_lost(struct lazy *l, int64_t now_ms);
/* The coarser way: inner packets have passed since the last look; and the next look is planned. */
void lazy_used(struct lazy *l, uint32_t host, int64_t now_ms);
void lazy_read_later(struct lazy *l, int64_t now_ms);
/* Somebody was idle for long enough; lazy_park_idle parks all of those. */
bool lazy_has_idle(const struct lazy *l, int64_t now_ms);
void lazy_park_idle(struct lazy *l, int64_t now_ms);

/* Time passes. Returns when to be called again, or LAZY_NEVER. */
int64_t lazy_tick(struct lazy *l, int64_t now_ms);
/* When the counters should be read next, or LAZY_NEVER: nobody is awake. */
int64_t lazy_next_reading(const struct lazy *l);

/* -- what follows --------------------------------------------------------------------------- */

/* Takes the next action off the queue. */
bool lazy_next(struct lazy *l, struct lazy_action *ret);

/* -- questions ------------------------------------------------------------------------------ */

enum lazy_state lazy_state(const struct lazy *l, uint32_t host);
/* Its endpoint in the kernel should be its sentinel now: it is parked, or waking and waits for the
 * kernel's next attempt. */
bool lazy_wants_sentinel(const struct lazy *l, uint32_t host);
/* Its inner packets should be counted: it is not parked, and not waking. */
bool lazy_wants_counting(const struct lazy *l, uint32_t host);
void lazy_view(const struct lazy *l, uint32_t host, struct lazy_view *ret);
void lazy_get_counts(const struct lazy *l, struct lazy_counts *ret);
const char *lazy_state_name(enum lazy_state state);
const char *lazy_cause_name(enum lazy_cause cause);
/* Those that are waking or active. */
size_t lazy_n_awake(const struct lazy *l);
uint32_t lazy_awake(const struct lazy *l, size_t i);
