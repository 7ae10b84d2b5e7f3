/* agent/tune/measure.c - what a scenario showed, and whether a knob has helped. Pure. */
#include "agent/tune/measure.h"

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void note_cpu(
	struct measurement *m, const struct sample_cpu *c, uint64_t *busy, uint64_t *all)
{
	uint64_t softirq = c->softirq + c->irq;
	uint64_t total = c->user + c->system + softirq + c->idle + c->other;
	struct measurement_core core = { .cpu = c->cpu,
		.user = share(c->user, total),
		.system = share(c->system, total),
		.softirq = share(softirq, total),
		.idle = share(c->idle, total) };

	*all += total;
	*busy += total - c->idle;
	m->softnet_drops += c->dropped;
	if (core.softirq > m->top_softirq) {
		m->top_softirq = core.softirq;
		m->top_cpu = c->cpu;
	}
	g_array_append_val(m->cores, core);
}

void measurement_note(struct measurement *m, const struct sample *delta)
{
	uint64_t busy = 0, all = 0;

	m->seconds = (double)delta->mono_ms / 1000;
	m->cores = g_array_new(FALSE, FALSE, sizeof(struct measurement_core));
	for (guint i = 0; i < delta->cpus->len; i++)
		note_cpu(m, &g_array_index(delta->cpus, struct sample_cpu, i), &busy, &all);
	m->busy = share(busy, all);
	for (guint i = 0; i < delta->links->len; i++) {
		const struct sample_link *l = &g_array_index(delta->links, struct sample_link, i);

		m->nic_drops += l->nic_drops + l->rx_missed;
		m->link_drops += l->rx_dropped + l->tx_dropped;
	}
	m->udp_errors = delta->udp.in_errors;
}

void measurement_clear(struct measurement *m)
{
	g_clear_pointer(&m->cores, g_array_unref);
}

uint64_t measurement_drops(const struct measurement *m)
{
	return m->softnet_drops + m->nic_drops + m->link_drops + m->udp_errors;
}

double measure_noise(const struct measurement *runs, size_t n)
{
	double sum = 0, low = runs[0].traffic.bits_per_s, high = low;

	for (size_t i = 0; i < n; i++) {
		sum += runs[i].traffic.bits_per_s;
		low = MIN(low, runs[i].traffic.bits_per_s);
		high = MAX(high, runs[i].traffic.bits_per_s);
	}
	return sum > 0 ? MAX((high - low) * (double)n / sum, MEASURE_NOISE_MIN) : MEASURE_NOISE_MIN;
}

enum verdict measure_judge(const struct measurement *before, const struct measurement *with,
	const struct measurement *after, double noise)
{
	double mean = (before->traffic.bits_per_s + after->traffic.bits_per_s) / 2;
	uint64_t drops = MAX(measurement_drops(before), measurement_drops(after));

	if (with->traffic.bits_per_s < mean * (1 - noise))
		return VERDICT_SLOWER;
	return measurement_drops(with) > drops + MEASURE_DROPS_TRIVIAL ? VERDICT_DROPS
								       : VERDICT_KEPT;
}

const char *measure_verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "kept", "slower", "more_drops" };

	return names[verdict];
}
