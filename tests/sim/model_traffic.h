/* tests/sim/model_traffic.h - programs that send through the tunnels, and the book of every packet. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/model_wg.h"

struct world;
struct traffic;

/* A number of packets at intervals. */
struct traffic_plan {
	unsigned from, to;
	unsigned n;
	int64_t interval_us, jitter_us;
	bool reply; /* each is answered */
	bool grouped; /* to the prefix that several hosts route */
	bool routed; /* to an address behind the host */
	bool v6;
};

struct traffic *traffic_new(struct world *w);
void traffic_free(struct traffic *t);
void traffic_start(struct traffic *t, const struct traffic_plan *plan);
void traffic_stop(struct traffic *t); /* what was sent goes on */
uint64_t traffic_n_arrived(const struct traffic *t);
/* Every packet must have arrived by now, or have a good reason. */
void traffic_settle(struct traffic *t);

/* The kernels' news. */
void traffic_fate(struct traffic *t, uint32_t id, enum fate fate, bool excused);
void traffic_arrived(struct traffic *t, unsigned at, const struct inner *packet);
