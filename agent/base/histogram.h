/* agent/base/histogram.h - how long things took, in buckets from 5 ms to 30 s, as Prometheus wants them. */
#pragma once

#include <glib.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 12 };

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS +
		1]; /* not cumulated; the last one: longer than every bound */
	uint64_t sum_ms;
};

void histogram_add(struct histogram *h, int64_t ms);
/* {"le_ms":[5,...],"counts":[...],"sum_ms":...}; counts as above. */
void histogram_write(GString *out, const char *key, const struct histogram *h);
