/* agent/tune/plan_steer.c - which CPU does what: interrupts, receive and transmit steering. */
#include <string.h>

#include "agent/tune/irqbalance.h"
#include "agent/tune/plan_impl.h"

enum { FLOW_ENTRIES = 32768, FLOWS_OF_QUEUE = 4096, FLOW_BYTES = 8 };

/* -- irqbalance ------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
	unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;

	return left < right ? -1 : left > right;
}

/* Sorts them, and leaves out what is there twice. */
static char *running_text(GArray *banned)
{
	GString *out = g_string_new("running");

	g_array_sort(banned, compare_numbers);
	for (unsigned i = 0; i < banned->len; i++) {
		unsigned irq = g_array_index(banned, unsigned, i);

		if (i == 0 || irq != g_array_index(banned, unsigned, i - 1))
			g_string_append_printf(out, " %u", irq);
	}
	return g_string_free(out, FALSE);
}

static void add_queue_irqs(const struct host *host, GArray *list)
{
	for (unsigned i = 0; i < host->nics->len; i++)
		for (unsigned k = 0; k < nic_at(host, i)->irqs->len; k++) {
			const struct host_irq *irq = &g_array_index(
				nic_at(host, i)->irqs, struct host_irq, k);

			if (irq->queue >= 0)
				g_array_append_val(list, irq->number);
		}
}

void plan_irqbalance(struct planner *p)
{
	const struct host *h = p->host;
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autofree char *current = NULL, *wanted = NULL;
	struct host_value now = { 0 };
	struct item *item;

	if (h->banned)
		g_array_append_vals(list, h->banned->data, h->banned->len);
	current = h->irqbalance == IRQBALANCE_NONE ? g_strdup("stopped") : running_text(list);
	now.text = current;
	item = plan_file(p, FORM_TEXT, NULL, &now, g_strdup("irqbalance"), NULL);
	item->where = ITEM_IRQBALANCE;
	add_queue_irqs(h, list);
	wanted = running_text(list);
	if (h->irqbalance == IRQBALANCE_NONE)
		item_leave(item, "it does not run");
	else if (p->options->irqbalance == IRQBALANCE_KEEP)
		item_leave(item, "to be kept as it is; it may move the interrupts together again");
	else if (p->options->irqbalance == IRQBALANCE_STOP)
		item_want(item, "stopped", "it would move the interrupts together again");
	else if (!strcmp(current, wanted))
		item_leave(item, "it leaves the interrupts of the underlay alone");
	else if (h->irqbalance == IRQBALANCE_DEAF)
		item_want(item, "stopped",
			"it would move the interrupts together again, and cannot be told to leave them");
	else if (strlen(wanted) - strlen("running") > IRQBALANCE_LIST_MAX)
		item_want(item, "stopped",
			"it would move the interrupts together again, and they are too many to tell it");
	else
		item_want(item, wanted,
			"it would move the interrupts of the underlay together again");
}

/* -- interrupts ------------------------------------------------------------------------------- */

struct vector {
	const struct host_nic *nic;
	const struct host_irq *irq;
	unsigned nth; /* of the NICs */
	bool spare; /* there are fewer queues: the driver keeps it for more of them */
};

/* Queues of a NIC in their order; what has no queue now comes last of all. */
static int compare_vectors(const void *a, const void *b)
{
	const struct vector *left = a, *right = b;

	if (left->spare != right->spare)
		return left->spare ? 1 : -1;
	if (left->nth != right->nth)
		return left->nth < right->nth ? -1 : 1;
	if (left->irq->queue != right->irq->queue)
		return left->irq->queue - right->irq->queue;
	return left->irq->number < right->irq->number ? -1 : 1;
}

static GArray *vectors_of(const struct host *host)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(struct vector));

	for (unsigned i = 0; i < host->nics->len; i++) {
		const struct host_nic *nic = nic_at(host, i);
		int n_queues = (int)MAX(nic->rx->len, nic->tx->len);

		for (unsigned k = 0; k < nic->irqs->len; k++) {
			const struct host_irq *irq = &g_array_index(nic->irqs, struct host_irq, k);
			struct vector v = { nic, irq, i, irq->queue >= n_queues };

			if (irq->queue >= 0)
				g_array_append_val(all, v);
		}
	}
	g_array_sort(all, compare_vectors);
	return all;
}

/* The CPU with the fewest queues; of these one near the device, of these the first. */
static unsigned pick_cpu(const struct planner *p, const struct host_nic *nic, const unsigned *load)
{
	const struct cpuset *usable = &p->host->usable;
	int best = cpuset_next(usable, 0);

	for (int cpu = best; cpu >= 0; cpu = cpuset_next(usable, (unsigned)cpu + 1)) {
		bool nearer = cpuset_has(&nic->local, (unsigned)cpu) &&
			!cpuset_has(&nic->local, (unsigned)best);

		if (load[cpu] < load[best] || (load[cpu] == load[best] && nearer))
			best = cpu;
	}
	return (unsigned)best;
}

static char *mask_of(const struct planner *p, unsigned cpu)
{
	struct cpuset set = { 0 };

	cpuset_add(&set, cpu);
	return cpuset_format_mask(&set, p->host->n_possible);
}

static void plan_vector(struct planner *p, const struct vector *v, unsigned cpu)
{
	unsigned number = v->irq->number;
	struct item *item = plan_file(p, FORM_MASK, v->nic->name, &v->irq->affinity,
		g_strdup_printf("irq %u (%s)", number, v->irq->name),
		g_strdup_printf("/proc/irq/%u/smp_affinity", number));
	g_autofree char *wanted = mask_of(p, cpu);

	item->queue = v->irq->queue;
	item_want(item, wanted,
		"each queue has a usable CPU of its own, near the device first; more queues than CPUs share them evenly");
}

void plan_irq(struct planner *p)
{
	g_autoptr(GArray) vectors = vectors_of(p->host);
	g_autofree unsigned *load = g_new0(unsigned, CPUSET_MAX);
	unsigned cpu = 0;

	if (!p->n_usable)
		return;
	for (unsigned i = 0; i < vectors->len; i++) {
		const struct vector *v = &g_array_index(vectors, struct vector, i);
		const struct vector *last = i ? v - 1 : NULL;

		/* Receiving and transmitting of one queue may have their own interrupts. */
		if (!last || last->nic != v->nic || last->irq->queue != v->irq->queue) {
			cpu = pick_cpu(p, v->nic, load);
			load[cpu]++;
		}
		plan_vector(p, v, cpu);
	}
}

/* -- receiving -------------------------------------------------------------------------------- */

void plan_role(struct planner *p)
{
	const struct host *h = p->host;
	unsigned peers = h->n_peers_up ? h->n_peers_up : h->n_peers;
	char **reason = &p->plan->role_reason;

	if (!h->wireguard) {
		p->plan->role = ROLE_NONE;
		*reason = g_strdup(
			"there is no WireGuard interface, so packets are steered on the underlay");
	} else if (peers < 2 * p->n_usable) {
		p->plan->role = ROLE_FEW_PEERS;
		*reason = g_strdup_printf(
			"%u peer%s for %u CPU%s: outside they are few flows, so packets are steered on %s, where the inner flows are",
			peers, peers == 1 ? "" : "s", p->n_usable, p->n_usable == 1 ? "" : "s",
			h->wireguard->name);
	} else {
		p->plan->role = ROLE_MANY_PEERS;
		*reason = g_strdup_printf(
			"%u peers for %u CPUs: outside they are flows enough, so packets are steered on the underlay",
			peers, p->n_usable);
	}
}

/* NULL: packets are steered here. Else why not. */
static const char *why_not_here(const struct planner *p, const struct host_nic *nic)
{
	bool inner = nic == p->host->wireguard;

	if (p->n_usable < 2)
		return "there is one usable CPU";
	if (inner && p->plan->role == ROLE_MANY_PEERS)
		return "many peers: packets are steered on the underlay";
	if (!inner && p->plan->role == ROLE_FEW_PEERS)
		return "few peers are few flows outside, which no mask spreads: packets are steered behind WireGuard";
	if (!inner && nic->rx->len >= p->n_usable)
		return "the device has a queue for each CPU and spreads packets by itself";
	return NULL;
}

static struct item *plan_queue(struct planner *p, enum item_form form, const struct host_nic *nic,
	const struct host_queue *queue, const struct host_value *now, const char *file)
{
	return plan_file(p, form, nic->name, now, g_strdup_printf("%s %s", nic->name, queue->name),
		g_strdup_printf("/sys/class/net/%s/queues/%s/%s", nic->name, queue->name, file));
}

static void plan_rps_of(struct planner *p, const struct host_nic *nic)
{
	const char *why_not = why_not_here(p, nic);
	g_autofree char *mask = cpuset_format_mask(&p->host->usable, p->host->n_possible);

	for (unsigned i = 0; i < nic->rx->len; i++) {
		const struct host_queue *q = &g_array_index(nic->rx, struct host_queue, i);
		struct item *item = plan_queue(p, FORM_MASK, nic, q, &q->rps_cpus, "rps_cpus");

		if (why_not)
			item_leave(item, "%s", why_not);
		else
			item_want(item, mask, "%s",
				nic == p->host->wireguard
					? "the inner flows are spread over all usable CPUs"
					: "flows are spread over all usable CPUs");
	}
}

void plan_rps(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_rps_of(p, nic_at(p->host, i));
	if (p->host->wireguard)
		plan_rps_of(p, p->host->wireguard);
}

static void plan_rfs_of(struct planner *p, const struct host_nic *nic)
{
	const char *why_not = why_not_here(p, nic);

	for (unsigned i = 0; i < nic->rx->len; i++) {
		const struct host_queue *q = &g_array_index(nic->rx, struct host_queue, i);
		struct item *item = plan_queue(
			p, FORM_NUMBERS, nic, q, &q->rps_flow_cnt, "rps_flow_cnt");

		if (why_not) {
			item_leave(item, "%s", why_not);
			continue;
		}
		item_raise(p, item, "4096", "a flow goes to the CPU of the program that reads it");
		p->plan->worst_case_bytes += FLOWS_OF_QUEUE * FLOW_BYTES;
	}
}

/* Is there a queue at all on which packets are steered? */
static bool steers(const struct planner *p)
{
	const struct host_nic *inner = p->host->wireguard;
	bool any = inner && inner->rx->len && !why_not_here(p, inner);

	for (unsigned i = 0; i < p->host->nics->len; i++)
		any = any || (nic_at(p->host, i)->rx->len && !why_not_here(p, nic_at(p->host, i)));
	return any;
}

void plan_rfs(struct planner *p)
{
	struct item *item = plan_sysctl(p, FORM_NUMBERS, SYSCTL_FLOW_ENTRIES);

	if (steers(p)) {
		item_raise(p, item, "32768", "all queues together remember as many flows");
		p->plan->worst_case_bytes += FLOW_ENTRIES * FLOW_BYTES;
	} else {
		item_leave(item, "there is no queue on which packets are steered");
	}
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_rfs_of(p, nic_at(p->host, i));
	if (p->host->wireguard)
		plan_rfs_of(p, p->host->wireguard);
}

/* -- transmitting ----------------------------------------------------------------------------- */

/* Usable CPUs, those near the device first, as interrupts go to them. */
static GArray *order_of_cpus(const struct planner *p, const struct host_nic *nic)
{
	GArray *order = g_array_new(FALSE, FALSE, sizeof(unsigned));

	for (unsigned far = 0; far < 2; far++)
		for (int cpu = cpuset_next(&p->host->usable, 0); cpu >= 0;
			cpu = cpuset_next(&p->host->usable, (unsigned)cpu + 1))
			if (cpuset_has(&nic->local, (unsigned)cpu) == !far)
				g_array_append_vals(order, &(unsigned){ (unsigned)cpu }, 1);
	return order;
}

/* Of this queue of n: every n-th CPU, or one that several queues have when there are more of them. */
static char *share_of(const struct planner *p, const GArray *order, unsigned queue, unsigned n)
{
	struct cpuset set = { 0 };

	for (unsigned i = queue % order->len; i < order->len; i += n)
		cpuset_add(&set, g_array_index(order, unsigned, i));
	return cpuset_format_mask(&set, p->host->n_possible);
}

static void plan_xps_of(struct planner *p, const struct host_nic *nic)
{
	g_autoptr(GArray) order = order_of_cpus(p, nic);

	for (unsigned i = 0; i < nic->tx->len && order->len; i++) {
		const struct host_queue *q = &g_array_index(nic->tx, struct host_queue, i);
		struct item *item = plan_queue(p, FORM_MASK, nic, q, &q->xps_cpus, "xps_cpus");
		g_autofree char *share = share_of(p, order, i, nic->tx->len);

		if (nic->tx->len < 2)
			item_refuse(item, "%s has one transmit queue", nic->name);
		else
			item_want(item, share, "CPUs do not wait for each other at a queue");
	}
}

void plan_xps(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_xps_of(p, nic_at(p->host, i));
}
