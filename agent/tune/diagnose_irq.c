/* agent/tune/diagnose_irq.c - where queues interrupt, and why one core has all the softirq work. */
#include <string.h>

#include "agent/tune/diagnose_impl.h"

/* -- queues ----------------------------------------------------------------------------------- */

static void clear_queue(gpointer data)
{
	g_free(((struct queue_load *)data)->per_cpu);
}

static bool is_banned(const struct view *v, unsigned irq)
{
	for (guint i = 0; v->host->banned && i < v->host->banned->len; i++)
		if (g_array_index(v->host->banned, unsigned, i) == irq)
			return true;
	return false;
}

/* The only CPU that an interrupt may go to, or -1. */
static int only_cpu(const struct view *v, unsigned number)
{
	struct cpuset set;

	for (guint i = 0; v->host->nics && i < v->host->nics->len; i++) {
		const GArray *irqs = ((const struct host_nic *)v->host->nics->pdata[i])->irqs;

		for (guint k = 0; k < irqs->len; k++) {
			const struct host_irq *irq = &g_array_index(irqs, struct host_irq, k);

			if (irq->number == number && irq->affinity.text &&
				cpuset_parse_mask(irq->affinity.text, &set) == 0 &&
				cpuset_count(&set) == 1)
				return cpuset_next(&set, 0);
		}
	}
	return -1;
}

static struct queue_load *find_queue(const struct view *v, const struct sample_irq *irq)
{
	struct queue_load new = { .device = irq->device,
		.queue = irq->queue,
		.banned = true,
		.bound = only_cpu(v, irq->number) };
	GArray *queues = v->queues;

	for (guint i = 0; i < queues->len; i++) {
		struct queue_load *q = &g_array_index(queues, struct queue_load, i);

		if (q->queue == irq->queue && !strcmp(q->device, irq->device))
			return q;
	}
	g_array_append_val(queues, new);
	return &g_array_index(queues, struct queue_load, queues->len - 1);
}

static GArray *new_queues(void)
{
	GArray *queues = g_array_new(FALSE, FALSE, sizeof(struct queue_load));

	g_array_set_clear_func(queues, clear_queue);
	return queues;
}

static void part_quiet(struct view *v)
{
	for (guint i = v->queues->len; i-- > 0;) {
		struct queue_load *q = &g_array_index(v->queues, struct queue_load, i);

		if (diagnose_rate(v, q->total) >= DIAGNOSE_IRQS)
			continue;
		g_array_append_val(v->quiet, *q);
		q->per_cpu = NULL;
		g_array_remove_index(v->queues, i);
	}
}

/* Some devices interrupt for receiving and for sending apart. */
void diagnose_queues(struct view *v)
{
	guint n = v->cores->len;

	v->queues = new_queues();
	v->quiet = new_queues();
	for (guint i = 0; i < v->d->irqs->len; i++) {
		const struct sample_irq *irq = &g_array_index(v->d->irqs, struct sample_irq, i);
		struct queue_load *q;

		if (irq->queue < 0)
			continue;
		q = find_queue(v, irq);
		if (!q->per_cpu)
			q->per_cpu = g_new0(uint64_t, n);
		for (guint k = 0; k < n; k++) {
			q->per_cpu[k] += irq->per_cpu[k];
			q->total += irq->per_cpu[k];
		}
		q->banned = q->banned && is_banned(v, irq->number);
		if (only_cpu(v, irq->number) != q->bound)
			q->bound = -1;
	}
	part_quiet(v);
}

/* What the queues' interrupts come to on one CPU. */
struct pile {
	unsigned n; /* queues of which most interrupts land there */
	uint64_t here, total;
	const struct queue_load *largest; /* of all; NULL: no queue is busy */
	bool banned; /* irqbalance leaves each of those that land there alone */
};

static struct pile pile_on(const struct view *v, guint core)
{
	struct pile p = { .banned = true };

	for (guint i = 0; i < v->queues->len; i++) {
		const struct queue_load *q = &g_array_index(v->queues, struct queue_load, i);

		p.total += q->total;
		p.here += q->per_cpu[core];
		if (percent_of(q->per_cpu[core], q->total) >= DIAGNOSE_MOST) {
			p.n++;
			p.banned = p.banned && q->banned;
		}
		if (!p.largest || q->total > p.largest->total)
			p.largest = q;
	}
	return p;
}

/* Queues that could share the work, and interrupt the same CPU. */
static bool is_pile(const struct pile *p)
{
	return p->n >= 2 && percent_of(p->here, p->total) >= DIAGNOSE_MOST &&
		percent_of(p->largest->total, p->total) < DIAGNOSE_MOST;
}

/* Has irqbalance piled them up? */
static bool is_suspect(const struct view *v, const struct pile *p)
{
	return is_pile(p) && v->host->irqbalance != IRQBALANCE_NONE && !p->banned;
}

void diagnose_interrupts(struct view *v)
{
	for (guint i = 0; i < v->cores->len && v->n_room; i++) {
		const struct core_load *c = core_at(v, i);
		struct pile p = pile_on(v, i);
		bool suspect = is_suspect(v, &p);

		if (!is_pile(&p) || c->softirq + c->irq < DIAGNOSE_NOTABLE)
			continue;
		finding_add(v, suspect ? FINDING_IRQBALANCE : FINDING_IRQ_PILE, (int)c->cpu,
			suspect ? "6.3" : "4.2",
			knob_bit(KNOB_IRQ) | (suspect ? knob_bit(KNOB_IRQBALANCE) : 0),
			"interrupts of %u of %u busy queues land on CPU%u, %u %% in softirq%s", p.n,
			v->queues->len, c->cpu, c->softirq + c->irq,
			suspect ? ", and irqbalance runs: suspect it first" : "");
	}
}

/* What spreads the work of one queue. */
static uint32_t knobs_of_one(const struct view *v)
{
	return knob_bit(KNOB_IRQ) | knob_bit(KNOB_RPS) | knob_bit(KNOB_CHANNELS) |
		(v->host->n_peers_up > 1 ? knob_bit(KNOB_FLOW_HASH) | knob_bit(KNOB_RSS) : 0);
}

static uint32_t one_queue(const struct view *v, const struct pile *p, GString *ret)
{
	unsigned share = percent_of(p->largest->total, p->total);

	g_string_append_printf(ret, "queue rx-%d carries ", p->largest->queue);
	if (share >= DIAGNOSE_ALL)
		g_string_append(ret, "everything");
	else
		g_string_append_printf(ret, "%u %%", share);
	return knobs_of_one(v);
}

/* A queue that is polled without a pause does not interrupt, so that a core that is full of them counts few
 * interrupts: those that came, came there, or can come nowhere else. 0: there is none. */
static uint32_t polled_queues(const struct view *v, guint core, GString *ret)
{
	bool banned = true, suspect;
	const struct queue_load *any = NULL;
	unsigned n = 0;

	for (guint i = 0; i < v->quiet->len; i++) {
		const struct queue_load *q = &g_array_index(v->quiet, struct queue_load, i);

		if (q->total ? q->per_cpu[core] < q->total : q->bound != (int)core_at(v, core)->cpu)
			continue;
		any = q;
		n++;
		banned = banned && q->banned;
	}
	if (n == 1)
		g_string_append_printf(ret, "it polls queue rx-%d without a pause", any->queue);
	if (n < 2)
		return n ? knobs_of_one(v) : 0;
	suspect = v->host->irqbalance != IRQBALANCE_NONE && !banned;
	g_string_append_printf(ret,
		"it polls %u queues without a pause, as their interrupts come to it%s", n,
		suspect ? ", and irqbalance runs" : "");
	return knob_bit(KNOB_IRQ) | knob_bit(KNOB_RPS) | (suspect ? knob_bit(KNOB_IRQBALANCE) : 0);
}

/* Do all receive queues hand what they get to this CPU and no other? */
static bool steers_to(const struct host_nic *nic, unsigned cpu)
{
	struct cpuset set;
	guint n = nic->rx ? nic->rx->len : 0;

	for (guint i = 0; i < n; i++) {
		const char *mask = g_array_index(nic->rx, struct host_queue, i).rps_cpus.text;

		if (!mask || cpuset_parse_mask(mask, &set) < 0 || !cpuset_has(&set, cpu) ||
			cpuset_count(&set) > 1)
			return false;
	}
	return n > 0;
}

/* Which device does; NULL: none. What came through the tunnel is most of the work, so WireGuard's first. */
static const char *steered_by(const struct view *v, unsigned cpu)
{
	if (v->host->wireguard && steers_to(v->host->wireguard, cpu))
		return v->host->wireguard->name;
	for (guint i = 0; v->host->nics && i < v->host->nics->len; i++) {
		const struct host_nic *nic = g_ptr_array_index(v->host->nics, i);

		if (steers_to(nic, cpu))
			return nic->name;
	}
	return NULL;
}

uint32_t diagnose_cause(const struct view *v, guint core, GString *ret)
{
	struct pile p = pile_on(v, core);
	bool suspect = is_suspect(v, &p);
	uint64_t packets = 0;
	const char *name;
	unsigned share;
	uint32_t knobs;

	if (is_pile(&p)) {
		g_string_append_printf(ret, "interrupts of %u queues land on it%s", p.n,
			suspect ? ", and irqbalance runs" : "");
		return knob_bit(KNOB_IRQ) | knob_bit(KNOB_RPS) |
			(suspect ? knob_bit(KNOB_IRQBALANCE) : 0);
	}
	if (p.largest && percent_of(p.largest->total, p.total) >= DIAGNOSE_MOST &&
		percent_of(p.largest->per_cpu[core], p.largest->total) >= DIAGNOSE_MOST)
		return one_queue(v, &p, ret);
	name = steered_by(v, core_at(v, core)->cpu);
	if (name) {
		g_string_append_printf(ret, "%s steers all of its packets to it", name);
		return knob_bit(KNOB_RPS);
	}
	for (guint i = 0; i < v->d->cpus->len; i++)
		packets += g_array_index(v->d->cpus, struct sample_cpu, i).processed;
	share = percent_of(g_array_index(v->d->cpus, struct sample_cpu, core).processed, packets);
	knobs = share >= DIAGNOSE_MOST ? polled_queues(v, core, ret) : 0;
	if (knobs)
		return knobs;
	g_string_append_printf(ret, "%u %% of all packets end up there", share);
	return knob_bit(KNOB_RPS);
}
