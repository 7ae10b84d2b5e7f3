/* agent/cli/tune_report_json.c - a diagnosis and the numbers behind it, for programs. */
#include "agent/base/jwrite.h"
#include "agent/cli/tune_report.h"

static void write_count(GString *out, const char *key, uint64_t n)
{
	jwrite_int(out, key, (int64_t)MIN(n, (uint64_t)INT64_MAX));
}

static void write_finding(GString *out, const struct finding *f)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "kind", finding_name(f->kind));
	if (f->cpu < 0)
		jwrite_null(out, "cpu");
	else
		jwrite_int(out, "cpu", f->cpu);
	jwrite_string(out, "section", f->section);
	jwrite_string(out, "sentence", f->sentence);
	jwrite_open(out, "knobs", '[');
	for (unsigned k = 0; k < KNOBS; k++)
		if (f->knobs & UINT32_C(1) << k)
			jwrite_string(out, NULL, knob_name(k));
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

static void write_cpu(GString *out, const struct sample_cpu *c)
{
	struct core_load load = diagnose_core(c);

	jwrite_open(out, NULL, '{');
	jwrite_int(out, "cpu", c->cpu);
	jwrite_int(out, "user_percent", load.user);
	jwrite_int(out, "system_percent", load.system);
	jwrite_int(out, "softirq_percent", load.softirq);
	jwrite_int(out, "irq_percent", load.irq);
	jwrite_int(out, "other_percent", load.other);
	jwrite_int(out, "idle_percent", load.idle);
	write_count(out, "net_rx", c->net_rx);
	write_count(out, "net_tx", c->net_tx);
	write_count(out, "packets", c->processed);
	write_count(out, "dropped", c->dropped);
	write_count(out, "squeezed", c->squeezed);
	jwrite_close(out, '}');
}

/* CPUs on which it did not interrupt are left out. */
static void write_irq(GString *out, const struct sample_irq *irq, const GArray *cpus)
{
	uint64_t total = 0;

	jwrite_open(out, NULL, '{');
	jwrite_int(out, "irq", irq->number);
	jwrite_string(out, "name", irq->name);
	jwrite_string(out, "device", irq->device);
	if (irq->queue < 0)
		jwrite_null(out, "queue");
	else
		jwrite_int(out, "queue", irq->queue);
	jwrite_open(out, "cpus", '[');
	for (guint i = 0; i < cpus->len; i++) {
		total += irq->per_cpu[i];
		if (!irq->per_cpu[i])
			continue;
		jwrite_open(out, NULL, '{');
		jwrite_int(out, "cpu", g_array_index(cpus, struct sample_cpu, i).cpu);
		write_count(out, "count", irq->per_cpu[i]);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	write_count(out, "count", total);
	jwrite_close(out, '}');
}

static void write_link(GString *out, const struct sample_link *l)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", l->name);
	write_count(out, "rx_packets", l->rx_packets);
	write_count(out, "tx_packets", l->tx_packets);
	write_count(out, "rx_bytes", l->rx_bytes);
	write_count(out, "tx_bytes", l->tx_bytes);
	write_count(out, "rx_dropped", l->rx_dropped);
	write_count(out, "tx_dropped", l->tx_dropped);
	write_count(out, "rx_errors", l->rx_errors);
	write_count(out, "tx_errors", l->tx_errors);
	write_count(out, "rx_missed", l->rx_missed);
	write_count(out, "nic_drops", l->nic_drops);
	jwrite_open(out, "nic_counters", '{');
	for (guint i = 0; i < l->nic->len; i++) {
		const struct nic_statistic *s = &g_array_index(l->nic, struct nic_statistic, i);

		write_count(out, s->name, s->value);
	}
	jwrite_close(out, '}');
	jwrite_close(out, '}');
}

static void write_udp(GString *out, const struct sample *d)
{
	jwrite_open(out, "udp", '{');
	write_count(out, "receive_errors", d->udp.in_errors);
	write_count(out, "receive_buffer_errors", d->udp.rcvbuf_errors);
	write_count(out, "send_buffer_errors", d->udp.sndbuf_errors);
	write_count(out, "no_socket", d->udp.no_ports);
	jwrite_open(out, "sockets", '[');
	for (guint i = 0; i < d->sockets->len; i++) {
		const struct sample_socket *s = &g_array_index(d->sockets, struct sample_socket, i);

		jwrite_open(out, NULL, '{');
		jwrite_int(out, "port", s->port);
		jwrite_string(out, "program", s->program[0] ? s->program : NULL);
		write_count(out, "drops", s->drops);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

static void write_wireguard(GString *out, const struct tune_report *report)
{
	const struct host *host = report->host;
	const struct sample *d = report->difference;

	if (!host->wireguard)
		return jwrite_null(out, "wireguard");
	jwrite_open(out, "wireguard", '{');
	jwrite_string(out, "name", host->wireguard->name);
	jwrite_bool(out, "userspace", host->userspace);
	jwrite_open(out, "peers", '[');
	for (guint i = 0; i < d->peers->len; i++) {
		const struct sample_peer *p = &g_array_index(d->peers, struct sample_peer, i);

		jwrite_open(out, NULL, '{');
		jwrite_string(out, "public_key", p->key);
		write_count(out, "rx_bytes", p->rx);
		write_count(out, "tx_bytes", p->tx);
		if (p->handshake_s)
			jwrite_int(out, "last_handshake_seconds", d->wall_s - p->handshake_s);
		else
			jwrite_null(out, "last_handshake_seconds");
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

void tune_report_write(GString *out, const struct tune_report *report)
{
	const struct sample *d = report->difference;
	const struct finding *verdict = g_ptr_array_index(report->findings, 0);

	jwrite_string(out, "verdict", verdict->sentence);
	jwrite_int(out, "duration_ms", d->mono_ms);
	jwrite_open(out, "findings", '[');
	for (guint i = 0; i < report->findings->len; i++)
		write_finding(out, g_ptr_array_index(report->findings, i));
	jwrite_close(out, ']');
	jwrite_open(out, "cpus", '[');
	for (guint i = 0; i < d->cpus->len; i++)
		write_cpu(out, &g_array_index(d->cpus, struct sample_cpu, i));
	jwrite_close(out, ']');
	jwrite_open(out, "irqs", '[');
	for (guint i = 0; i < d->irqs->len; i++)
		write_irq(out, &g_array_index(d->irqs, struct sample_irq, i), d->cpus);
	jwrite_close(out, ']');
	jwrite_open(out, "devices", '[');
	for (guint i = 0; i < d->links->len; i++)
		write_link(out, &g_array_index(d->links, struct sample_link, i));
	jwrite_close(out, ']');
	write_udp(out, d);
	write_count(out, "conntrack_refused", d->conntrack_failed);
	write_wireguard(out, report);
}
