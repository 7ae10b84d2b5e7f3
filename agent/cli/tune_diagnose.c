/* agent/cli/tune_diagnose.c - lapwing tune diagnose: two samples, and what they say. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_report.h"
#include "agent/cli/tune_session.h"

static enum exit_code take(struct tune_session *s, struct sample **ret)
{
	int r = sample_take(s->tuner.tree, s->tuner.nics, s->host, ret);

	if (r < 0)
		return failure_set(
			&s->failure, EXIT_NOT_APPLICABLE, NULL, "/proc/stat: %s", g_strerror(-r));
	return EXIT_OK;
}

/* Looks at the host anew, as somebody may tune it while we watch. */
static enum exit_code look(struct tune_session *s, struct sample **ret)
{
	enum exit_code code = tune_session_plan(s);

	return code ? code : take(s, ret);
}

/* The knobs of which applying would change something. */
static uint32_t pending(const struct plan *plan)
{
	uint32_t knobs = 0;

	for (guint i = 0; i < plan->items->len; i++) {
		const struct item *item = g_ptr_array_index(plan->items, i);

		if (item->state == ITEM_DIFFERS)
			knobs |= UINT32_C(1) << item->knob;
	}
	return knobs;
}

/* In one write, so that a terminal does not flicker. */
static bool print_text(const struct tune_options *o, const struct tune_report *report, bool first)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (o->watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", out);
	else if (!first)
		fputc('\n', out);
	tune_report_print(out, report);
	fclose(out);
	fwrite(text, 1, len, stdout);
	free(text);
	return fflush(stdout) == 0;
}

static bool print_json(const struct tune_report *report)
{
	const struct finding *verdict = g_ptr_array_index(report->findings, 0);
	GString *out = document_new("lapwing.tune.diagnose/1", finding_name(verdict->kind));

	tune_report_write(out, report);
	document_print(out);
	return fflush(stdout) == 0;
}

/* False: nobody reads it any more. */
static bool print(const struct tune_session *s, const struct sample *before,
	const struct sample *after, bool first)
{
	struct sample *d = sample_subtract(before, after);
	g_autoptr(GPtrArray) findings = NULL;
	struct tune_report report;
	bool ok;

	sample_name_sockets(s->tuner.tree, d);
	findings = diagnose(s->host, d, pending(s->plan));
	report = (struct tune_report){ s->host, d, findings };
	ok = s->o->common.json ? print_json(&report) : print_text(s->o, &report, first);
	sample_free(d);
	return ok;
}

/* True when interrupted; SIGINT is blocked and waits until we are here. */
static bool wait_seconds(int seconds)
{
	const struct timespec timeout = { .tv_sec = seconds };
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	return sigtimedwait(&interrupt, NULL, &timeout) == SIGINT;
}

static enum exit_code run(struct tune_session *s)
{
	struct sample *before = NULL, *after = NULL;
	enum exit_code code = look(s, &before);
	bool go_on = !code;

	for (bool first = true; go_on && !wait_seconds(s->o->seconds); first = false) {
		code = look(s, &after);
		if (code)
			break;
		go_on = print(s, before, after, first) && s->o->watch;
		sample_free(before);
		before = after;
	}
	sample_free(before);
	return code;
}

enum exit_code tune_diagnose(const struct tune_options *o)
{
	struct tune_session s = { .o = o };
	enum exit_code code;
	sigset_t interrupt;

	if (o->watch) {
		sigemptyset(&interrupt);
		sigaddset(&interrupt, SIGINT);
		sigprocmask(SIG_BLOCK, &interrupt, NULL);
	}
	code = tune_session_open(o, &s);
	if (!code)
		code = run(&s);
	if (code)
		failure_report(&o->common, &s.failure);
	tune_session_close(&s);
	return code;
}
