/* agent/cli/tune_measure.c - lapwing tune measure: the five scenarios, and each knob on its own. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_session.h"
#include "agent/tune/measure.h"

enum { NOISE_RUNS = 3, MEGA = 1000 * 1000 };
#define NOISE_MUCH 0.2

/* One knob: without, with, without. */
struct trial {
	enum knob knob;
	unsigned changed; /* settings */
	enum verdict verdict;
	struct measurement before, with, after;
};

struct bench {
	const struct tune_options *o;
	struct tune_session session;
	GArray *runs; /* struct measurement */
	GArray *trials; /* struct trial */
	double noise;
};

/* The measurement ends, but not before the knob under test is back where it was. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	interrupted = 1;
}

static void progress(const struct bench *b, const char *what, const char *more)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s%s%s: %d s", what, *more ? ", " : "", more,
			b->o->seconds);
}

static void progress_done(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* Putting a knob back is not disturbed. A lost terminal ends a measurement too, unless it runs under nohup(1). */
static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = interrupt, .sa_flags = SA_RESTART };
	struct sigaction hangup;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
		sigaction(SIGHUP, &action, NULL);
}

/* -- measuring ------------------------------------------------------------------------------- */

static enum exit_code explain_iperf(struct bench *b, int r, const char *error)
{
	if (interrupted)
		return failure_set(&b->session.failure, EXIT_FAILED, NULL, "interrupted");
	if (r == -ENOENT)
		return failure_set(&b->session.failure, EXIT_NOT_APPLICABLE,
			"install iperf3 on both hosts", "there is no iperf3 here");
	return failure_set(&b->session.failure, r == -EREMOTEIO ? EXIT_UNREACHABLE : EXIT_FAILED,
		"run iperf3 -s on the peer", "%s: %s", b->o->peer, error);
}

static enum exit_code run(struct bench *b, enum iperf_scenario scenario, struct measurement *ret)
{
	struct sample *before = NULL, *after = NULL, *delta;
	char error[256];
	int r = sample_take(b->session.tuner.tree, b->session.tuner.nics, b->session.host, &before);

	ret->scenario = scenario;
	if (r == 0 && interrupted)
		r = -EINTR;
	else if (r == 0)
		r = iperf_run(scenario, b->o->peer, b->o->seconds, &ret->traffic, error);
	else
		g_strlcpy(error, "counters cannot be read", sizeof(error));
	if (r == 0 && interrupted)
		r = -EINTR;
	if (r == 0)
		r = sample_take(
			b->session.tuner.tree, b->session.tuner.nics, b->session.host, &after);
	if (r == 0) {
		delta = sample_subtract(before, after);
		measurement_note(ret, delta);
		sample_free(delta);
	}
	sample_free(before);
	sample_free(after);
	return r < 0 ? explain_iperf(b, r, error) : EXIT_OK;
}

static enum exit_code run_all(struct bench *b)
{
	enum exit_code code = EXIT_OK;

	for (enum iperf_scenario s = 0; s < IPERF_SCENARIOS && code == EXIT_OK; s++) {
		struct measurement m = { 0 };

		progress(b, iperf_name(s), "");
		code = run(b, s, &m);
		if (code == EXIT_OK)
			g_array_append_val(b->runs, m);
		else
			measurement_clear(&m);
	}
	return code;
}

/* -- knobs ----------------------------------------------------------------------------------- */

static struct apply_options only(const struct bench *b, enum knob knob)
{
	struct apply_options options = {
		.disruptive = b->o->disruptive,
		.rollback_on_error = true,
	};

	tune_session_wish(&b->session, &options.plan, &options.wish);
	options.plan.only = UINT32_C(1) << knob;
	return options;
}

/* The number of settings that it has changed, or -errno. */
static int switch_on(struct bench *b, enum knob knob, struct outcomes *ret)
{
	struct apply_options options = only(b, knob);
	char error[256] = "";
	int r = tune_apply(&b->session.tuner, &options, ret, error);

	if (r < 0)
		failure_set(&b->session.failure, r == -EPERM ? EXIT_PERMISSION : EXIT_FAILED, NULL,
			"%s: %s", knob_name(knob), error);
	else
		r = (int)ret->changed;
	return r;
}

/* To what was there before it, and not to the originals. */
static int switch_off(
	struct bench *b, enum knob knob, struct journal *earlier, const struct outcomes *applied)
{
	char error[256] = "";
	int r = tune_undo(&b->session.tuner, earlier, applied, error);

	if (r < 0)
		failure_set(&b->session.failure, EXIT_FAILED, "lapwing tune revert", "%s: %s",
			knob_name(knob), error);
	return r;
}

static enum exit_code run_with(struct bench *b, struct trial *t)
{
	struct outcomes applied = { 0 };
	struct journal *earlier = NULL;
	enum exit_code code = EXIT_OK;
	char error[256];
	int r = journal_load(tree_root(b->session.tuner.tree), &earlier, error);

	if (r < 0)
		return tune_session_fail(&b->session, r, error);
	r = switch_on(b, t->knob, &applied);
	if (r > 0) {
		t->changed = (unsigned)r;
		progress(b, knob_name(t->knob), "with it");
		code = run(b, IPERF_TCP_FORWARD, &t->with);
		r = switch_off(b, t->knob, earlier, &applied);
	}
	outcomes_clear(&applied);
	journal_free(earlier);
	return code == EXIT_OK && r < 0 ? b->session.failure.code : code;
}

static enum exit_code keep(struct bench *b, enum knob knob)
{
	struct outcomes applied = { 0 };
	int r = switch_on(b, knob, &applied);

	outcomes_clear(&applied);
	return r < 0 ? b->session.failure.code : EXIT_OK;
}

static enum exit_code try_knob(struct bench *b, struct trial *t)
{
	enum exit_code code;

	progress(b, knob_name(t->knob), "without it");
	code = run(b, IPERF_TCP_FORWARD, &t->before);
	if (code == EXIT_OK)
		code = run_with(b, t);
	if (code != EXIT_OK || !t->changed)
		return code;
	progress(b, knob_name(t->knob), "without it again");
	code = run(b, IPERF_TCP_FORWARD, &t->after);
	if (code != EXIT_OK)
		return code;
	t->verdict = measure_judge(&t->before, &t->with, &t->after, b->noise);
	return t->verdict == VERDICT_KEPT ? keep(b, t->knob) : EXIT_OK;
}

static uint32_t pending_knobs(const struct bench *b)
{
	const struct plan *plan = b->session.plan;
	uint32_t knobs = 0;

	for (guint i = 0; i < plan->items->len; i++) {
		const struct item *item = g_ptr_array_index(plan->items, i);

		if (item->state == ITEM_DIFFERS && (b->o->disruptive || !item->disruptive))
			knobs |= UINT32_C(1) << item->knob;
	}
	return knobs;
}

static void trial_clear(gpointer data)
{
	struct trial *t = data;

	measurement_clear(&t->before);
	measurement_clear(&t->with);
	measurement_clear(&t->after);
}

static enum exit_code try_all(struct bench *b)
{
	uint32_t knobs = pending_knobs(b);
	enum exit_code code = EXIT_OK;

	for (unsigned i = 0; i < NOISE_RUNS && code == EXIT_OK; i++) {
		struct measurement m = { 0 };

		progress(b, "noise", "");
		code = run(b, IPERF_TCP_FORWARD, &m);
		g_array_append_val(b->runs, m);
	}
	if (code == EXIT_OK)
		b->noise = measure_noise((struct measurement *)(void *)b->runs->data, NOISE_RUNS);
	for (enum knob knob = 0; knob < KNOBS && code == EXIT_OK; knob++) {
		struct trial t = { .knob = knob };

		if (!(knobs & UINT32_C(1) << knob))
			continue;
		code = try_knob(b, &t);
		if (t.changed)
			g_array_append_val(b->trials, t);
		else
			trial_clear(&t);
	}
	return code;
}

/* -- telling --------------------------------------------------------------------------------- */

static void add_row(struct table *table, const char *name, const struct measurement *m)
{
	table_add(table, name);
	table_take(table, g_strdup_printf("%.1f", m->traffic.bits_per_s / MEGA));
	table_take(table, g_strdup_printf("%.0f %% (CPU%u)", m->top_softirq, m->top_cpu));
	table_take(table, g_strdup_printf("%.0f %%", m->busy));
	table_take(table, g_strdup_printf("%" PRIu64, m->softnet_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->nic_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->link_drops));
	table_take(table, g_strdup_printf("%" PRIu64, m->udp_errors));
}

static const char *verdict_text(enum verdict verdict)
{
	static const char *const texts[] = { "kept", "slower: taken back",
		"more drops: taken back" };

	return texts[verdict];
}

static void print_text(const struct bench *b)
{
	static const char *const headers[] = { "CONFIGURATION", ">MBIT/S", ">TOP CORE SOFTIRQ",
		">BUSY", ">SOFTNET DROPS", ">NIC DROPS", ">LINK DROPS", ">UDP ERRORS", "VERDICT",
		NULL };
	struct table *table = table_new(headers);

	for (guint i = 0; i < b->runs->len; i++) {
		const struct measurement *m = &g_array_index(b->runs, struct measurement, i);

		add_row(table, b->o->each_knob ? "as it was" : iperf_name(m->scenario), m);
		table_add(table, "");
	}
	for (guint i = 0; i < b->trials->len; i++) {
		const struct trial *t = &g_array_index(b->trials, struct trial, i);
		g_autofree char *with = g_strconcat("+ ", knob_name(t->knob), NULL);

		add_row(table, "before", &t->before);
		table_add(table, "");
		add_row(table, with, &t->with);
		table_add(table, verdict_text(t->verdict));
		add_row(table, "after", &t->after);
		table_add(table, "");
	}
	table_print(table, stdout);
	table_free(table);
	if (b->o->each_knob)
		printf("noise %.1f %%, %d s each%s\n", b->noise * 100, b->o->seconds,
			b->noise > NOISE_MUCH ? ": too much to see small effects; --seconds N "
						"makes runs longer"
					      : "");
	if (b->o->each_knob && !b->trials->len)
		puts("no knob to be tried: everything is as recommended, or needs --allow-disruptive");
}

static void write_tenths(GString *out, const char *key, double value)
{
	char text[32];

	jwrite_raw(out, key, g_ascii_formatd(text, sizeof(text), "%.1f", value));
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
	for (guint i = 0; i < m->cores->len; i++) {
		const struct measurement_core *c = &g_array_index(
			m->cores, struct measurement_core, i);

		jwrite_open(out, NULL, '{');
		jwrite_int(out, "cpu", c->cpu);
		write_tenths(out, "user_percent", c->user);
		write_tenths(out, "system_percent", c->system);
		write_tenths(out, "softirq_percent", c->softirq);
		write_tenths(out, "idle_percent", c->idle);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

static void write_trial(GString *out, const struct trial *t)
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

static void print_json(const struct bench *b)
{
	GString *out = document_new("lapwing.tune.measure/1", "measured");
	bool changed = false;

	jwrite_string(out, "peer", b->o->peer);
	jwrite_int(out, "seconds", b->o->seconds);
	jwrite_open(out, "runs", '[');
	for (guint i = 0; i < b->runs->len; i++)
		write_measurement(out, NULL, &g_array_index(b->runs, struct measurement, i));
	jwrite_close(out, ']');
	if (b->o->each_knob)
		write_tenths(out, "noise_percent", b->noise * 100);
	jwrite_open(out, "knobs", '[');
	for (guint i = 0; i < b->trials->len; i++) {
		const struct trial *t = &g_array_index(b->trials, struct trial, i);

		write_trial(out, t);
		changed |= t->verdict == VERDICT_KEPT;
	}
	jwrite_close(out, ']');
	jwrite_bool(out, "changed", changed);
	document_print(out);
}

/* -- the command ----------------------------------------------------------------------------- */

static enum exit_code bench(struct bench *b)
{
	enum exit_code code = tune_session_open(b->o, &b->session);

	if (code == EXIT_OK && b->o->each_knob)
		code = tune_session_need_root(&b->session);
	if (code == EXIT_OK)
		code = tune_session_plan(&b->session);
	catch_signals();
	if (code == EXIT_OK)
		code = b->o->each_knob ? try_all(b) : run_all(b);
	progress_done();
	if (code != EXIT_OK)
		return failure_report(&b->o->common, &b->session.failure);
	if (b->o->common.json)
		print_json(b);
	else
		print_text(b);
	return EXIT_OK;
}

enum exit_code tune_measure(const struct tune_options *o)
{
	struct bench b = { .o = o,
		.runs = g_array_new(FALSE, FALSE, sizeof(struct measurement)),
		.trials = g_array_new(FALSE, FALSE, sizeof(struct trial)) };
	enum exit_code code;

	g_array_set_clear_func(b.runs, (GDestroyNotify)measurement_clear);
	g_array_set_clear_func(b.trials, trial_clear);
	if (strcmp(o->root, "/"))
		code = fail(&o->common, EXIT_USAGE, NULL, "measure needs a real host, not --root");
	else
		code = bench(&b);
	tune_session_close(&b.session);
	g_array_unref(b.runs);
	g_array_unref(b.trials);
	return code;
}
