/* agent/cli/tune_show.c - what a host is, and how its settings are and should be. */
#include <inttypes.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/tune_output.h"
#include "agent/cli/tune_rows.h"

/* -- the host --------------------------------------------------------------------------------- */

static void line(FILE *out, const char *label, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void line(FILE *out, const char *label, const char *format, ...)
{
	g_autofree char *text = NULL, *safe = NULL;
	va_list ap;

	va_start(ap, format);
	text = g_strdup_vprintf(format, ap);
	va_end(ap);
	safe = text_safe(text);
	fprintf(out, "%-10s %s\n", label, safe);
}

static void print_cpus(FILE *out, const struct host *host)
{
	g_autofree char *usable = cpuset_format_list(&host->usable);
	g_autofree char *ram = text_bytes((int64_t)host->ram_bytes);

	line(out, "host", "Linux %s, %u CPUs online, %s RAM", host->kernel,
		cpuset_count(&host->online), ram);
	if (!cpuset_is_equal(&host->usable, &host->online))
		line(out, "", "work goes to CPUs %s; the others are isolated", usable);
}

static void print_nic(FILE *out, const char *label, const struct host_nic *nic)
{
	line(out, label, "%s: %s, %u receive and %u transmit queues%s", nic->name,
		nic->driver[0] ? nic->driver : "no driver", nic->rx->len, nic->tx->len,
		nic->up ? "" : ", down");
}

static void print_host(FILE *out, const struct host *host, const struct plan *plan)
{
	const struct host_nic *first = host->nics->len ? g_ptr_array_index(host->nics, 0) : NULL;

	print_cpus(out, host);
	if (!host->underlay[0])
		line(out, "underlay", "none was found");
	else if (!first || strcmp(first->name, host->underlay))
		line(out, "underlay", "%s, over", host->underlay);
	for (guint i = 0; i < host->nics->len; i++) {
		const struct host_nic *nic = g_ptr_array_index(host->nics, i);

		print_nic(out, strcmp(nic->name, host->underlay) ? "" : "underlay", nic);
	}
	if (host->wireguard)
		line(out, "wireguard", "%s: %s, %u peer%s, %u with a session",
			host->wireguard->name,
			host->userspace ? "a program (no setting makes up for that)" : "kernel",
			host->n_peers, host->n_peers == 1 ? "" : "s", host->n_peers_up);
	if (plan->role_reason)
		line(out, "role", "%s", plan->role_reason);
}

static void print_warnings(FILE *out, const struct host *host, const struct plan *plan)
{
	g_autofree char *worst = text_bytes((int64_t)plan->worst_case_bytes);
	g_autofree char *ram = text_bytes((int64_t)host->ram_bytes);

	if (!host->underlay[0])
		fputs("warning: no device was found that carries the tunnels: --underlay names it\n",
			out);
	if (plan->worst_case_bytes)
		fprintf(out,
			"full queues, and the buffers of a socket and a TCP connection, take at most %s of "
			"%s\n",
			worst, ram);
	for (guint i = 0; i < plan->warnings->len; i++) {
		g_autofree char *text = text_safe(g_ptr_array_index(plan->warnings, i));

		fprintf(out, "warning: %s\n", text);
	}
}

/* -- show ------------------------------------------------------------------------------------- */

static GArray *rows_of(const struct plan *plan)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct tune_row));

	for (guint i = 0; i < plan->items->len; i++) {
		const struct item *item = g_ptr_array_index(plan->items, i);
		struct tune_row row = {
			.knob = item->knob,
			.object = item->object,
			.device = item->device,
			.before = item->current,
			.after = item->wanted,
			.reason = item->reason,
			.word = item_state_name(item->state),
			.error = item->error,
			.disruptive = item->disruptive && item->state == ITEM_DIFFERS,
		};

		g_array_append_val(rows, row);
	}
	return rows;
}

static char *why(const struct tune_row *row)
{
	const char *reason = row->reason ? row->reason : "";

	if (row->error)
		return g_strdup_printf(
			"%s%s%s", g_strerror(-row->error), *reason ? "; " : "", reason);
	return g_strdup_printf("%s%s", reason, row->disruptive ? " (disruptive)" : "");
}

/* What is as in the line before is not said again. */
static void add_row(struct table *table, const GArray *rows, guint i, guint n, int before)
{
	const struct tune_row *row = &g_array_index(rows, struct tune_row, i);
	const struct tune_row *last = before < 0 ? NULL
						 : &g_array_index(rows, struct tune_row, before);
	bool first = !last || last->knob != row->knob;
	g_autofree char *object = tune_rows_object(rows, i, n);
	g_autofree char *reason = why(row);

	table_take(table, g_strdup(first ? knob_name(row->knob) : ""));
	table_add(table, object);
	table_take(table, tune_value_text(row->knob, row->before));
	table_take(table, tune_value_text(row->knob, row->after));
	table_add(table, row->word);
	table_take(table, g_strdup(first ? knob_section(row->knob) : ""));
	if (first || row->error || g_strcmp0(row->reason, last->reason))
		table_take(table, text_safe(reason));
	else
		table_take(table, g_strdup("\""));
}

void tune_print_show(FILE *out, const struct host *host, const struct plan *plan)
{
	static const char *const headers[] = { "KNOB", "OBJECT", "CURRENT", "RECOMMENDED", "STATE",
		"GUIDE", "REASON", NULL };
	g_autoptr(GArray) rows = rows_of(plan);
	struct table *table = table_new(headers);
	int before = -1;

	for (guint i = 0, n; i < rows->len; i += n) {
		n = tune_rows_alike(rows, i);
		add_row(table, rows, i, n, before);
		before = (int)i;
	}
	print_host(out, host, plan);
	fputc('\n', out);
	table_print(table, out);
	table_free(table);
	fputc('\n', out);
	print_warnings(out, host, plan);
}

/* -- plan ------------------------------------------------------------------------------------- */

static void print_change(FILE *out, const GArray *rows, guint i, guint n)
{
	const struct tune_row *row = &g_array_index(rows, struct tune_row, i);
	g_autofree char *object = tune_rows_object(rows, i, n), *safe = text_safe(object);
	g_autofree char *before = tune_value_text(row->knob, row->before);
	g_autofree char *after = tune_value_text(row->knob, row->after);

	fprintf(out, "%-12s %s: %s → %s%s\n", knob_name(row->knob), safe, before, after,
		row->disruptive ? " (needs --allow-disruptive)" : "");
}

void tune_print_plan(FILE *out, const struct host *host, const struct plan *plan)
{
	unsigned all = plan_pending(plan, true), quiet = plan_pending(plan, false);
	g_autoptr(GArray) rows = rows_of(plan);

	for (guint i = 0, n; i < rows->len; i += n) {
		n = tune_rows_alike(rows, i);
		if (!strcmp(g_array_index(rows, struct tune_row, i).word,
			    item_state_name(ITEM_DIFFERS)))
			print_change(out, rows, i, n);
	}
	if (plan->role_reason)
		line(out, "role:", "%s", plan->role_reason);
	print_warnings(out, host, plan);
	if (!all)
		fputs("nothing to change\n", out);
	else if (all == quiet)
		fprintf(out, "%u to change\n", all);
	else
		fprintf(out, "%u to change, %u of them only with --allow-disruptive\n", all,
			all - quiet);
}

/* -- JSON ------------------------------------------------------------------------------------- */

static void write_nic(GString *out, const struct host *host, const struct host_nic *nic)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", nic->name);
	jwrite_string(out, "driver", nic->driver[0] ? nic->driver : NULL);
	jwrite_string(out, "bus", nic->bus[0] ? nic->bus : NULL);
	jwrite_string(out, "address", nic->address[0] ? nic->address : NULL);
	jwrite_bool(out, "up", nic->up);
	jwrite_int(out, "rx_queues", nic->rx->len);
	jwrite_int(out, "tx_queues", nic->tx->len);
	jwrite_int(out, "irqs", nic->irqs->len);
	jwrite_int(out, "numa_node", nic->node);
	jwrite_close(out, '}');
}

static void write_wireguard(GString *out, const struct host *host)
{
	if (!host->wireguard)
		return jwrite_null(out, "wireguard");
	jwrite_open(out, "wireguard", '{');
	jwrite_string(out, "name", host->wireguard->name);
	jwrite_bool(out, "userspace", host->userspace);
	jwrite_int(out, "peers", host->n_peers);
	jwrite_int(out, "peers_up", host->n_peers_up);
	jwrite_close(out, '}');
}

static void write_host(GString *out, const struct host *host)
{
	g_autofree char *online = cpuset_format_list(&host->online);
	g_autofree char *usable = cpuset_format_list(&host->usable);

	jwrite_open(out, "host", '{');
	jwrite_string(out, "kernel", host->kernel);
	jwrite_string(out, "cpus_online", online);
	jwrite_string(out, "cpus_usable", usable);
	jwrite_int(out, "ram_bytes", (int64_t)host->ram_bytes);
	jwrite_string(out, "underlay", host->underlay[0] ? host->underlay : NULL);
	jwrite_open(out, "devices", '[');
	for (guint i = 0; i < host->nics->len; i++)
		write_nic(out, host, g_ptr_array_index(host->nics, i));
	jwrite_close(out, ']');
	write_wireguard(out, host);
	jwrite_close(out, '}');
}

static void write_item(GString *out, const struct item *item)
{
	g_autofree char *id = tune_item_id(item->knob, item->object);
	const char *section = knob_section(item->knob);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "id", id);
	jwrite_string(out, "knob", knob_name(item->knob));
	jwrite_string(out, "object", item->object);
	jwrite_string(out, "device", item->device);
	jwrite_string(out, "current", item->current);
	jwrite_string(out, "wanted", item->wanted);
	jwrite_string(out, "state", item_state_name(item->state));
	jwrite_string(out, "section", *section ? section : NULL);
	jwrite_string(out, "reason", item->reason);
	jwrite_string(out, "error", item->error ? g_strerror(-item->error) : NULL);
	jwrite_bool(out, "disruptive", item->disruptive);
	jwrite_close(out, '}');
}

void tune_write_plan(GString *out, const struct host *host, const struct plan *plan)
{
	write_host(out, host);
	jwrite_string(out, "role", plan_role_name(plan->role));
	jwrite_string(out, "role_reason", plan->role_reason);
	jwrite_int(out, "worst_case_bytes", (int64_t)plan->worst_case_bytes);
	jwrite_int(out, "pending", plan_pending(plan, true));
	jwrite_int(out, "pending_disruptive", plan_pending(plan, true) - plan_pending(plan, false));
	jwrite_open(out, "warnings", '[');
	for (guint i = 0; i < plan->warnings->len; i++)
		jwrite_string(out, NULL, g_ptr_array_index(plan->warnings, i));
	jwrite_close(out, ']');
	jwrite_open(out, "items", '[');
	for (guint i = 0; i < plan->items->len; i++)
		write_item(out, g_ptr_array_index(plan->items, i));
	jwrite_close(out, ']');
}
