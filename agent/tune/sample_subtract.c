/* agent/tune/sample_subtract.c - what happened between two samples. */
#include <string.h>

#include "agent/tune/sample_impl.h"

typedef bool (*same_fn)(const void *a, const void *b);

/* The element that is about the same as `wanted`, most likely the one behind the last that was found. */
static const void *find(const GArray *array, const void *wanted, same_fn same, guint *next)
{
	guint size = g_array_get_element_size((GArray *)array);

	for (guint i = 0; i < array->len; i++) {
		guint at = (*next + i) % array->len;

		if (same(array->data + (size_t)at * size, wanted)) {
			*next = at + 1;
			return array->data + (size_t)at * size;
		}
	}
	return NULL;
}

static uint64_t minus(uint64_t after, uint64_t before)
{
	return after > before ? after - before : 0;
}

/* Of counters that the kernel keeps in 32 bits: a small step back was a way round, a large one a new
 * beginning. */
static uint64_t minus32(uint64_t after, uint64_t before)
{
	uint32_t step = (uint32_t)(after - before);

	if (after >= before)
		return after - before;
	return step < UINT32_C(1) << 30 ? step : 0;
}

static bool same_cpu(const void *a, const void *b)
{
	return ((const struct sample_cpu *)a)->cpu == ((const struct sample_cpu *)b)->cpu;
}

static void subtract_cpus(const struct sample *before, const struct sample *after, GArray *ret)
{
	guint next = 0;

	for (guint i = 0; i < after->cpus->len; i++) {
		struct sample_cpu c = g_array_index(after->cpus, struct sample_cpu, i);
		const struct sample_cpu *old = find(before->cpus, &c, same_cpu, &next);

		if (!old)
			continue;
		c.user = minus(c.user, old->user);
		c.system = minus(c.system, old->system);
		c.softirq = minus(c.softirq, old->softirq);
		c.irq = minus(c.irq, old->irq);
		c.idle = minus(c.idle, old->idle);
		c.other = minus(c.other, old->other);
		c.net_rx = minus32(c.net_rx, old->net_rx);
		c.net_tx = minus32(c.net_tx, old->net_tx);
		c.processed = minus32(c.processed, old->processed);
		c.dropped = minus32(c.dropped, old->dropped);
		c.squeezed = minus32(c.squeezed, old->squeezed);
		g_array_append_val(ret, c);
	}
}

static bool same_irq(const void *a, const void *b)
{
	const struct sample_irq *x = a, *y = b;

	return x->number == y->number && !strcmp(x->name, y->name) && !strcmp(x->device, y->device);
}

/* The count of one CPU; samples may have been taken with others online. */
static uint64_t count_of(const struct sample *s, const struct sample_irq *irq,
	const struct sample_cpu *cpu, guint *next)
{
	const struct sample_cpu *found = find(s->cpus, cpu, same_cpu, next);

	return irq->per_cpu[found - (const struct sample_cpu *)(const void *)s->cpus->data];
}

/* Every CPU of the difference is in both. */
static void subtract_irqs(
	const struct sample *before, const struct sample *after, const GArray *cpus, GArray *ret)
{
	guint next = 0;

	for (guint i = 0; i < after->irqs->len; i++) {
		const struct sample_irq *new = &g_array_index(after->irqs, struct sample_irq, i);
		const struct sample_irq *old = find(before->irqs, new, same_irq, &next);
		struct sample_irq irq = *new;
		guint next_old = 0, next_new = 0;

		if (!old)
			continue;
		irq.per_cpu = g_new0(uint64_t, cpus->len);
		for (guint k = 0; k < cpus->len; k++) {
			const struct sample_cpu *cpu = &g_array_index(cpus, struct sample_cpu, k);

			irq.per_cpu[k] = minus32(count_of(after, new, cpu, &next_new),
				count_of(before, old, cpu, &next_old));
		}
		g_array_append_val(ret, irq);
	}
}

static bool same_link(const void *a, const void *b)
{
	return !strcmp(
		((const struct sample_link *)a)->name, ((const struct sample_link *)b)->name);
}

static bool same_statistic(const void *a, const void *b)
{
	return !strcmp(
		((const struct nic_statistic *)a)->name, ((const struct nic_statistic *)b)->name);
}

static GArray *subtract_driver(const GArray *before, const GArray *after)
{
	GArray *ret = sample_array(sizeof(struct nic_statistic), NULL);
	guint next = 0;

	for (guint i = 0; i < after->len; i++) {
		struct nic_statistic s = g_array_index(after, struct nic_statistic, i);
		const struct nic_statistic *old = find(before, &s, same_statistic, &next);

		s.value = old ? minus(s.value, old->value) : 0;
		if (s.value)
			g_array_append_val(ret, s);
	}
	return ret;
}

static void subtract_links(const struct sample *before, const struct sample *after, GArray *ret)
{
	guint next = 0;

	for (guint i = 0; i < after->links->len; i++) {
		struct sample_link l = g_array_index(after->links, struct sample_link, i);
		const struct sample_link *old = find(before->links, &l, same_link, &next);

		if (!old)
			continue;
		l.rx_packets = minus(l.rx_packets, old->rx_packets);
		l.tx_packets = minus(l.tx_packets, old->tx_packets);
		l.rx_bytes = minus(l.rx_bytes, old->rx_bytes);
		l.tx_bytes = minus(l.tx_bytes, old->tx_bytes);
		l.rx_dropped = minus(l.rx_dropped, old->rx_dropped);
		l.tx_dropped = minus(l.tx_dropped, old->tx_dropped);
		l.rx_errors = minus(l.rx_errors, old->rx_errors);
		l.tx_errors = minus(l.tx_errors, old->tx_errors);
		l.rx_missed = minus(l.rx_missed, old->rx_missed);
		l.nic = subtract_driver(old->nic, l.nic);
		sample_weigh(&l);
		g_array_append_val(ret, l);
	}
}

static bool same_socket(const void *a, const void *b)
{
	const struct sample_socket *x = a, *y = b;

	return x->inode == y->inode && x->port == y->port;
}

/* One that is not in `before` had not dropped anything then. */
static void subtract_sockets(const struct sample *before, const struct sample *after, GArray *ret)
{
	guint next = 0;

	for (guint i = 0; i < after->sockets->len; i++) {
		struct sample_socket s = g_array_index(after->sockets, struct sample_socket, i);
		const struct sample_socket *old = find(before->sockets, &s, same_socket, &next);

		if (old)
			s.drops = minus32(s.drops, old->drops);
		if (s.drops)
			g_array_append_val(ret, s);
	}
}

static bool same_peer(const void *a, const void *b)
{
	return !strcmp(((const struct sample_peer *)a)->key, ((const struct sample_peer *)b)->key);
}

static void subtract_peers(const struct sample *before, const struct sample *after, GArray *ret)
{
	guint next = 0;

	for (guint i = 0; i < after->peers->len; i++) {
		struct sample_peer p = g_array_index(after->peers, struct sample_peer, i);
		const struct sample_peer *old = find(before->peers, &p, same_peer, &next);

		if (!old)
			continue;
		p.rx = minus(p.rx, old->rx);
		p.tx = minus(p.tx, old->tx);
		g_array_append_val(ret, p);
	}
}

struct sample *sample_subtract(const struct sample *before, const struct sample *after)
{
	struct sample *d = sample_new();

	d->mono_ms = after->mono_ms - before->mono_ms;
	d->wall_s = after->wall_s;
	subtract_cpus(before, after, d->cpus);
	subtract_irqs(before, after, d->cpus, d->irqs);
	subtract_links(before, after, d->links);
	subtract_sockets(before, after, d->sockets);
	subtract_peers(before, after, d->peers);
	d->udp.in_errors = minus(after->udp.in_errors, before->udp.in_errors);
	d->udp.rcvbuf_errors = minus(after->udp.rcvbuf_errors, before->udp.rcvbuf_errors);
	d->udp.sndbuf_errors = minus(after->udp.sndbuf_errors, before->udp.sndbuf_errors);
	d->udp.no_ports = minus(after->udp.no_ports, before->udp.no_ports);
	d->conntrack_failed = minus(after->conntrack_failed, before->conntrack_failed);
	return d;
}
