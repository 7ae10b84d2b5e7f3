/* agent/cli/tune_measure_report.c - what was measured, for people and for programs. */
#include <inttypes.h>

#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/tune_measure.h"

enum { MEGA = 1000 * 1000 };
#define NOISE_MUCH 0.2

/* -- for people ------------------------------------------------------------------------------ */

static void add_row(
	struct table *table, const char *name, const struct measurement *m, const char *verdict)
{
	table_add(table, name);
	table_take(table, g_strdup_printf("%.1f", m->traffic.bits_per_s / MEGA));
	table_take(table, g_strdup_printf("%.0f %% (CPU%u)", m->top_softirq, m->top_cpu));
	table_take(table, g_strdup_printf("%.0f %%", m->busy));
	table_take(table, g_strdup_printf("%" PRIu64, m->softnet_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->nic_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->link_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->udp_errors));
	table_add(table, verdict);
}

static const char *verdict_text(enum verdict verdict)
{
	static const char *const texts[] = { "kept", "slower: taken back",
		"more drops: taken back" };

	return texts[verdict];
}

static void add_trial(struct table *table, const struct tune_trial *t)
{
	g_autofree char *with = g_strconcat("+ ", knob_name(t->knob), NULL);

	add_row(table, "before", &t->before, "");
	add_row(table, with, &t->with, verdict_text(t->verdict));
	add_row(table, "after", &t->after, "");
}

void tune_measured_print(const struct tune_measured *all)
{
	static const char *const headers[] = { "CONFIGURATION", ">MBIT/S", ">TOP CORE SOFTIRQ",
		">BUSY", ">SOFTNET DROPS", ">NIC DROPS", ">LINK DROPS", ">UDP ERRORS", "VERDICT",
		NULL };
	struct table *table = table_new(headers);

	for (guint i = 0; i < all->runs->len; i++) {
		const struct measurement *m = &g_array_index(all->runs, struct measurement, i);

		add_row(table, all->o->each_knob ? "as it was" : iperf_name(m->scenario), m, "");
	}
	for (guint i = 0; i < all->trials->len; i++)
		add_trial(table, &g_array_index(all->trials, struct tune_trial, i));
	table_print(table, stdout);
	table_free(table);
	if (all->o->each_knob)
		printf("noise %.1f %%, %d s each%s\n", all->noise * 100, all->o->seconds,
			all->noise > NOISE_MUCH ? ": too much to see small effects; --seconds N "
						  "makes runs longer"
						: "");
	if (all->o->each_knob && !all->trials->len)
		puts("no knob to be tried: everything is as recommended, or needs --allow-disruptive");
}

/* -- for programs --------------------------------------------------------------------------- */

static void write_tenths(GString *out, const char *key, double value)
{
	char text[32];

	jwrite_raw(out, key, g_ascii_formatd(text, sizeof(text), "%.1f", value));
}

static void write_core(GString *out, const struct measurement_core *c)
{
	jwrite_open(out, NULL, '{');
	jwrite_int(out, "cpu", c->cpu);
	write_tenths(out, "user_percent", c->user);
	write_tenths(out, "system_percent", c->system);
	write_tenths(out, "softirq_percent", c->softirq);
	write_tenths(out, "idle_percent", c->idle);
	jwrite_close(out, '}');
}

static void write_measurement(GString *out, const char *key, const struct measurement *m)
{
	jwrite_open(out, key, '{');
	jwrite_string(out, "scenario", iperf_name(m->scenario));
	jwrite_int(out, "bits_per_second", (int64_t)m->traffic.bits_per_s);
	jwrite_int(out, "packets_per_second", (int64_t)m->traffic.packets_per_s);
	jwrite_int(out, "retransmits", (int64_t)m->traffic.retransmits);
	jwrite_int(out, "lost_packets", (int64_t)m->traffic.lost);
	write_tenths(out, "seconds", m->seconds);
	write_tenths(out, "top_softirq_percent", m->top_softirq);
	jwrite_int(out, "top_cpu", m->top_cpu);
	write_tenths(out, "busy_percent", m->busy);
	jwrite_int(out, "softnet_drops", (int64_t)m->softnet_drops);
	jwrite_int(out, "nic_drops", (int64_t)m->nic_drops);
	jwrite_int(out, "link_drops", (int64_t)m->link_drops);
	jwrite_int(out, "udp_errors", (int64_t)m->udp_errors);
	jwrite_open(out, "cores", '[');
	for (guint i = 0; i < m->cores->len; i++)
		write_core(out, &g_array_index(m->cores, struct measurement_core, i));
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

static void write_trial(GString *out, const struct tune_trial *t)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "knob", knob_name(t->knob));
	jwrite_int(out, "settings", t->changed);
	jwrite_string(out, "verdict", measure_verdict_name(t->verdict));
	write_measurement(out, "before", &t->before);
	write_measurement(out, "with", &t->with);
	write_measurement(out, "after", &t->after);
	jwrite_close(out, '}');
}

void tune_measured_write(const struct tune_measured *all)
{
	GString *out = document_new("lapwing.tune.measure/1", "measured");
	bool changed = false;

	jwrite_string(out, "peer", all->o->peer);
	jwrite_int(out, "seconds", all->o->seconds);
	jwrite_open(out, "runs", '[');
	for (guint i = 0; i < all->runs->len; i++)
		write_measurement(out, NULL, &g_array_index(all->runs, struct measurement, i));
	jwrite_close(out, ']');
	if (all->o->each_knob)
		write_tenths(out, "noise_percent", all->noise * 100);
	else
		jwrite_null(out, "noise_percent");
	jwrite_open(out, "knobs", '[');
	for (guint i = 0; i < all->trials->len; i++) {
		const struct tune_trial *t = &g_array_index(all->trials, struct tune_trial, i);

		write_trial(out, t);
		changed |= t->verdict == VERDICT_KEPT;
	}
	jwrite_close(out, ']');
	jwrite_bool(out, "changed", changed);
	document_print(out);
}
