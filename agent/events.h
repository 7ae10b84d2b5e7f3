/* agent/events.h - brings the kernel's events to the engine, and never falls silent. */
#pragma once

#include <stdint.h>

struct engine;
struct events;

/* Subscribes, then tells the engine to look at everything. When that fails, or the socket dies later,
 * it is tried again, with growing delays. Packets for lazy peers come by packet_fd. */
struct events_ops {
	void (*happened)(void *user); /* the engine was told something */
	void (*moved)(void *user); /* this host may have other addresses now */
};
struct events *events_new(
	struct engine *engine, int packet_fd, const struct events_ops *ops, void *user);
void events_free(struct events *events); /* NULL is fine */
/* The engine may be interested in other things now. */
void events_refilter(struct events *events);
void events_counts(const struct events *events, uint64_t *ret_seen, uint64_t *ret_passed);
