/* agent/tune/diagnose_impl.h - inside of diagnose*.c. */
#pragma once

#include "agent/tune/diagnose.h"

/* What one queue of a device interrupted, with all of its interrupts. */
struct queue_load {
	const char *device;
	int queue;
	uint64_t *per_cpu, total; /* as many as there are CPUs in the sample */
	bool banned; /* irqbalance leaves all of them alone */
	int bound; /* the only CPU that any of them may go to; -1: there are several */
};

/* Everything that the rules look at. */
struct view {
	const struct host *host;
	const struct sample *d;
	uint32_t pending;
	GArray *cores; /* struct core_load, as many as there are CPUs in the sample */
	GArray *queues, *quiet; /* struct queue_load: the busy ones; those that hardly interrupt */
	unsigned n_usable,
		n_room; /* cores to which work can be steered; those that have room for it */
	unsigned least_busy, most_busy, room_idle; /* of the usable ones; of those with room */
	bool loaded, lossy; /* there is traffic; drops are not trivial */
	GPtrArray *findings;
};

/* `knobs` may help; the sentence ends with those that would change something. */
void finding_add(struct view *v, enum finding_kind kind, int cpu, const char *section,
	uint32_t knobs, const char *format, ...) G_GNUC_PRINTF(6, 7);
uint64_t diagnose_rate(const struct view *v, uint64_t n);
/* More than what is lost on a normal day. */
bool diagnose_is_many(const struct view *v, uint64_t drops);
/* diagnose_drops.c: a finding for each place where packets get lost, and `lossy`. */
void diagnose_drops(struct view *v);
/* diagnose_irq.c: `queues` and `quiet`; a finding when they share a CPU; why the softirq work is all on one core, with
 * the knobs that spread it. */
void diagnose_queues(struct view *v);
void diagnose_interrupts(struct view *v);
uint32_t diagnose_cause(const struct view *v, guint core, GString *ret);

static inline uint32_t knob_bit(enum knob knob)
{
	return UINT32_C(1) << knob;
}

static inline unsigned percent_of(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((100 * part + whole / 2) / whole) : 0;
}

static inline const struct sample_link *link_at(const struct view *v, guint i)
{
	return &g_array_index(v->d->links, struct sample_link, i);
}

static inline const struct core_load *core_at(const struct view *v, guint i)
{
	return &g_array_index(v->cores, struct core_load, i);
}
