/* agent/cli/tune_report.c - a diagnosis and the numbers behind it, for people. */
#include "agent/cli/tune_report.h"

#include <inttypes.h>

#include "agent/cli/output.h"
#include "agent/cli/table.h"

/* Beyond as many, those that do nothing are not shown. */
enum { CORES_SHOWN = 16, PEERS_SHOWN = 10 };

static void take_number(struct table *table, uint64_t n)
{
	table_take(table, g_strdup_printf("%" PRIu64, n));
}

static uint64_t rate(const struct tune_report *report, uint64_t n)
{
	int64_t ms = MAX(report->difference->mono_ms, 1);

	return n * 1000 / (uint64_t)ms;
}

static void take_bytes_rate(struct table *table, const struct tune_report *report, uint64_t bytes)
{
	table_take(table, text_bytes((int64_t)rate(report, bytes)));
}

static void end_table(struct table *table, FILE *out)
{
	table_print(table, out);
	table_free(table);
}

static void print_findings(FILE *out, const GPtrArray *findings)
{
	for (guint i = 0; i < findings->len; i++) {
		const struct finding *f = g_ptr_array_index(findings, i);
		g_autofree char *sentence = text_safe(f->sentence);

		fprintf(out, "%s%s (guide %s)\n", i ? "also: " : "", sentence, f->section);
	}
}

static void print_cores(FILE *out, const struct tune_report *report)
{
	static const char *const headers[] = { ">CPU", ">%USER", ">%SYS", ">%SOFTIRQ", ">%IRQ",
		">%OTHER", ">%IDLE", ">NET_RX/s", ">PACKETS/s", ">DROPPED", ">SQUEEZED", NULL };
	const GArray *cpus = report->difference->cpus;
	struct table *table = table_new(headers);
	unsigned hidden = 0;

	for (guint i = 0; i < cpus->len; i++) {
		const struct sample_cpu *c = &g_array_index(cpus, struct sample_cpu, i);
		struct core_load load = diagnose_core(c);
		const unsigned columns[] = { load.cpu, load.user, load.system, load.softirq,
			load.irq, load.other, load.idle };

		if (cpus->len > CORES_SHOWN && load.busy < 5 && !c->dropped) {
			hidden++;
			continue;
		}
		for (size_t k = 0; k < G_N_ELEMENTS(columns); k++)
			take_number(table, columns[k]);
		take_number(table, rate(report, c->net_rx));
		take_number(table, rate(report, c->processed));
		take_number(table, c->dropped);
		take_number(table, c->squeezed);
	}
	end_table(table, out);
	if (hidden)
		fprintf(out, "and %u idle cores\n", hidden);
}

/* "1, 3 (20 %)": where the interrupts land, the first with most of them. */
static char *irq_cpus(
	const struct tune_report *report, const struct sample_irq *irq, uint64_t total)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < report->difference->cpus->len; i++) {
		unsigned cpu = g_array_index(report->difference->cpus, struct sample_cpu, i).cpu;

		if (!irq->per_cpu[i])
			continue;
		g_string_append_printf(out, "%s%u", out->len ? ", " : "", cpu);
		if (irq->per_cpu[i] < total)
			g_string_append_printf(
				out, " (%" PRIu64 " %%)", 100 * irq->per_cpu[i] / total);
	}
	return g_string_free(out, FALSE);
}

static void print_irqs(FILE *out, const struct tune_report *report)
{
	static const char *const headers[] = { ">IRQ", "NAME", "DEVICE", "QUEUE", ">PER SECOND",
		"ON CPU", NULL };
	const GArray *irqs = report->difference->irqs;
	struct table *table = table_new(headers);
	bool any = false;

	for (guint i = 0; i < irqs->len; i++) {
		const struct sample_irq *irq = &g_array_index(irqs, struct sample_irq, i);
		uint64_t total = 0;

		for (guint k = 0; k < report->difference->cpus->len; k++)
			total += irq->per_cpu[k];
		if (!total)
			continue;
		any = true;
		take_number(table, irq->number);
		table_add(table, irq->name);
		table_add(table, irq->device);
		table_take(
			table, irq->queue < 0 ? g_strdup("-") : g_strdup_printf("%d", irq->queue));
		take_number(table, rate(report, total));
		table_take(table, irq_cpus(report, irq, total));
	}
	if (any) {
		fputc('\n', out);
		table_print(table, out);
	}
	table_free(table);
}

static void print_links(FILE *out, const struct tune_report *report)
{
	static const char *const headers[] = { "DEVICE", ">RX/s", ">TX/s", ">RX PACKETS/s",
		">TX PACKETS/s", ">RX DROPPED", ">TX DROPPED", ">ERRORS", ">BY THE NIC", "WORST",
		NULL };
	const GArray *links = report->difference->links;
	struct table *table = table_new(headers);

	for (guint i = 0; i < links->len; i++) {
		const struct sample_link *l = &g_array_index(links, struct sample_link, i);

		table_add(table, l->name);
		take_bytes_rate(table, report, l->rx_bytes);
		take_bytes_rate(table, report, l->tx_bytes);
		take_number(table, rate(report, l->rx_packets));
		take_number(table, rate(report, l->tx_packets));
		take_number(table, l->rx_dropped);
		take_number(table, l->tx_dropped);
		take_number(table, l->rx_errors + l->tx_errors);
		take_number(table, MAX(l->nic_drops, l->rx_missed));
		table_add(table, l->nic_worst);
	}
	fputc('\n', out);
	end_table(table, out);
}

static void print_sockets(FILE *out, const struct sample *d)
{
	const struct sample_udp *u = &d->udp;

	fprintf(out,
		"\nUDP: %" PRIu64 " receive errors, %" PRIu64
		" of them for lack of buffers; %" PRIu64 " send errors; %" PRIu64
		" to ports without a socket\n",
		u->in_errors, u->rcvbuf_errors, u->sndbuf_errors, u->no_ports);
	for (guint i = 0; i < d->sockets->len; i++) {
		const struct sample_socket *s = &g_array_index(d->sockets, struct sample_socket, i);
		g_autofree char *program = text_safe(s->program);

		fprintf(out, "     port %u of %s dropped %" PRIu64 "\n", s->port,
			*program ? program : "an unknown program", s->drops);
	}
	fprintf(out, "conntrack: %" PRIu64 " refused\n", d->conntrack_failed);
}

static gint by_bytes(gconstpointer a, gconstpointer b)
{
	const struct sample_peer *x = *(struct sample_peer *const *)a;
	const struct sample_peer *y = *(struct sample_peer *const *)b;
	uint64_t first = x->rx + x->tx, second = y->rx + y->tx;

	return (first < second) - (first > second);
}

static void print_peers(FILE *out, const struct tune_report *report)
{
	static const char *const headers[] = { "PEER", ">RX/s", ">TX/s", ">HANDSHAKE", NULL };
	const GArray *peers = report->difference->peers;
	struct table *table = table_new(headers);
	g_autoptr(GPtrArray) sorted = g_ptr_array_new();

	for (guint i = 0; i < peers->len; i++)
		g_ptr_array_add(sorted, &g_array_index(peers, struct sample_peer, i));
	g_ptr_array_sort(sorted, by_bytes);
	for (guint i = 0; i < sorted->len && i < PEERS_SHOWN; i++) {
		const struct sample_peer *p = g_ptr_array_index(sorted, i);

		table_add(table, p->key);
		take_bytes_rate(table, report, p->rx);
		take_bytes_rate(table, report, p->tx);
		table_take(table,
			p->handshake_s ? text_duration(report->difference->wall_s - p->handshake_s)
				       : g_strdup("never"));
	}
	end_table(table, out);
	if (peers->len > PEERS_SHOWN)
		fprintf(out, "and %u more peers\n", peers->len - PEERS_SHOWN);
}

static void print_wireguard(FILE *out, const struct tune_report *report)
{
	const struct host *host = report->host;

	if (!host->wireguard)
		return;
	fprintf(out, "WireGuard: %s, %s\n", host->wireguard->name,
		host->userspace ? "a program" : "in the kernel");
	if (report->difference->peers->len) {
		fputc('\n', out);
		print_peers(out, report);
	}
}

void tune_report_print(FILE *out, const struct tune_report *report)
{
	print_findings(out, report->findings);
	fprintf(out, "\nwithin %.1f s:\n", (double)report->difference->mono_ms / 1000);
	print_cores(out, report);
	print_irqs(out, report);
	if (report->difference->links->len)
		print_links(out, report);
	print_sockets(out, report->difference);
	print_wireguard(out, report);
}
