/* agent/samples.h - how long the stages of a network took, point by point, in the lines that its servers collect
 * (InfluxDB line protocol). Only hashes of keys are kept. Bounded in number and age. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/key.h"

enum { SAMPLES_MAX = 20480, SAMPLES_DAYS = 5, SAMPLES_ID_LEN = 8, SAMPLES_ID_STRLEN = 17 };

struct samples;

struct samples *samples_new(void);
void samples_free(struct samples *s); /* NULL is fine */
/* From now on this is the network: the address of its server, and our own key. What there was of another is gone. */
void samples_set_network(struct samples *s, const char *url, const struct wg_key *own);

/* A tunnel to this peer is up. Times are milliseconds of one clock; 0: that stage was not seen. */
struct samples_stages {
	int64_t signaling_ms, connection_ms, handshake_ms;
};
void samples_add_connection(struct samples *s, const struct wg_key *remote,
	const struct samples_stages *stages, int64_t wall_ns);
void samples_add_sync(struct samples *s, int64_t took_us, int64_t wall_ns);
void samples_add_login(struct samples *s, int64_t took_us, bool success, int64_t wall_ns);
/* A part of taking a map that is a step of its own here. */
enum samples_phase { SAMPLES_SERVERS, SAMPLES_SAVING };
void samples_add_phase(
	struct samples *s, enum samples_phase phase, int64_t took_us, int64_t wall_ns);

/* A line for each, oldest first, at most `max`; those that are too old by now are dropped. Returns the mark behind
 * the last one: samples_drop with it takes them out, and nothing that came since. */
uint64_t samples_write(struct samples *s, GString *out, size_t max, int64_t wall_ns);
void samples_drop(struct samples *s, uint64_t mark);
size_t samples_count(const struct samples *s);
const char *samples_own_id(const struct samples *s); /* "": no network yet */

/* The hash that stands for a key, and for a pair of them whichever is first. */
void samples_peer_id(const struct wg_key *key, char ret[static SAMPLES_ID_STRLEN]);
void samples_pair_id(const char *a, const char *b, char ret[static SAMPLES_ID_STRLEN]);
