/* agent/base/histogram.c - how long things took, in buckets. */
#include "agent/base/histogram.h"

#include "agent/base/jwrite.h"

static const int64_t bounds_ms[HISTOGRAM_BOUNDS] = { 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
	10000, 30000 };

void histogram_add(struct histogram *h, int64_t ms)
{
	size_t i = 0;

	ms = MAX(ms, 0);
	while (i < HISTOGRAM_BOUNDS && ms > bounds_ms[i])
		i++;
	h->counts[i]++;
	h->sum_ms += (uint64_t)ms;
}

void histogram_write(GString *out, const char *key, const struct histogram *h)
{
	jwrite_open(out, key, '{');
	jwrite_open(out, "le_ms", '[');
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
		jwrite_int(out, NULL, bounds_ms[i]);
	jwrite_close(out, ']');
	jwrite_open(out, "counts", '[');
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		jwrite_int(out, NULL, (int64_t)h->counts[i]);
	jwrite_close(out, ']');
	jwrite_int(out, "sum_ms", (int64_t)h->sum_ms);
	jwrite_close(out, '}');
}
