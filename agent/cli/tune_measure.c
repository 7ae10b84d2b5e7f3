/* agent/cli/tune_measure.c - lapwing tune measure: the five scenarios, and each knob on its own. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/cli/output.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_measure.h"
#include "agent/cli/tune_session.h"
#include "agent/tune/setting.h"

enum { NOISE_RUNS = 3 };

struct bench {
	const struct tune_options *o;
	struct tune_session session;
	struct tune_measured m;
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
		r = iperf_run(
			scenario, b->o->peer, b->o->seconds, &interrupted, &ret->traffic, error);
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
			g_array_append_val(b->m.runs, m);
		else
			measurement_clear(&m);
	}
	return code;
}

/* -- knobs ----------------------------------------------------------------------------------- */

/* What apply would refuse is refused before anything is measured. */
static enum exit_code may_try(struct bench *b)
{
	struct journal *journal = NULL;
	char error[256];
	int r = tuner_check(&b->session.tuner, error);

	if (r == 0)
		r = journal_load(tree_root(b->session.tuner.tree), &journal, error);
	journal_free(journal);
	return r < 0 ? tune_session_fail(&b->session, r, error) : EXIT_OK;
}

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
		tune_session_fail(&b->session, r, error);
	return r < 0 ? r : (int)ret->changed;
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

static enum exit_code run_with(struct bench *b, struct tune_trial *t)
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

static enum exit_code try_knob(struct bench *b, struct tune_trial *t)
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
	t->verdict = measure_judge(&t->before, &t->with, &t->after, b->m.noise);
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
	struct tune_trial *t = data;

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
		g_array_append_val(b->m.runs, m);
	}
	if (code == EXIT_OK)
		b->m.noise = measure_noise(
			(struct measurement *)(void *)b->m.runs->data, NOISE_RUNS);
	for (enum knob knob = 0; knob < KNOBS && code == EXIT_OK; knob++) {
		struct tune_trial t = { .knob = knob };

		if (!(knobs & UINT32_C(1) << knob))
			continue;
		code = try_knob(b, &t);
		if (t.changed)
			g_array_append_val(b->m.trials, t);
		else
			trial_clear(&t);
	}
	return code;
}

/* -- the command ----------------------------------------------------------------------------- */

static enum exit_code bench(struct bench *b)
{
	enum exit_code code = tune_session_open(b->o, &b->session);

	if (code == EXIT_OK && b->o->each_knob)
		code = may_try(b);
	if (code == EXIT_OK)
		code = tune_session_plan(&b->session);
	catch_signals();
	if (code == EXIT_OK)
		code = b->o->each_knob ? try_all(b) : run_all(b);
	progress_done();
	if (code != EXIT_OK)
		return failure_report(&b->o->common, &b->session.failure);
	if (b->o->common.json)
		tune_measured_write(&b->m);
	else
		tune_measured_print(&b->m);
	return EXIT_OK;
}

enum exit_code tune_measure(const struct tune_options *o)
{
	struct bench b = { .o = o,
		.m = { .o = o,
			.runs = g_array_new(FALSE, FALSE, sizeof(struct measurement)),
			.trials = g_array_new(FALSE, FALSE, sizeof(struct tune_trial)) } };
	enum exit_code code;

	g_array_set_clear_func(b.m.runs, (GDestroyNotify)measurement_clear);
	g_array_set_clear_func(b.m.trials, trial_clear);
	if (strcmp(o->root, "/"))
		code = fail(&o->common, EXIT_USAGE, NULL, "measure needs a real host, not --root");
	else
		code = bench(&b);
	tune_session_close(&b.session);
	g_array_unref(b.m.runs);
	g_array_unref(b.m.trials);
	return code;
}
