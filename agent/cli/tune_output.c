/* agent/cli/tune_output.c - what became of settings. */
#include "agent/cli/tune_output.h"

#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/tune_rows.h"

static GArray *rows_of(const struct outcomes *outcomes)
{
	GArray *rows = g_array_new(FALSE, FALSE, sizeof(struct tune_row));

	for (guint i = 0; i < outcomes->list->len; i++) {
		const struct outcome *o = g_ptr_array_index(outcomes->list, i);
		struct tune_row row = {
			.knob = o->knob,
			.object = o->object,
			.device = o->device,
			.before = o->before,
			.after = o->after,
			.reason = o->reason,
			.word = outcome_name(o->result),
			.error = o->error,
		};

		if (o->result != OUTCOME_ALREADY)
			g_array_append_val(rows, row);
	}
	return rows;
}

static void print_end(FILE *out, const struct tune_row *row)
{
	g_autofree char *reason = row->reason ? text_safe(row->reason) : NULL;

	if (row->error)
		fprintf(out, ": %s", g_strerror(-row->error));
	if (reason)
		fprintf(out, ": %s", reason);
	fputc('\n', out);
}

/* "changed  rps  eth0 rx-0: none → CPUs 0-3" */
static void print_row(FILE *out, const GArray *rows, guint i, guint n, const char *between)
{
	const struct tune_row *row = &g_array_index(rows, struct tune_row, i);
	g_autofree char *object = tune_rows_object(rows, i, n), *safe = text_safe(object);
	g_autofree char *before = tune_value_text(row->knob, row->before);
	g_autofree char *after = tune_value_text(row->knob, row->after);

	fprintf(out, "%-8s %-12s %s", row->word, knob_name(row->knob), safe);
	if (row->before || row->after)
		fprintf(out, ": %s %s %s", before, between, after);
	print_end(out, row);
}

static void print_rows(FILE *out, const struct outcomes *outcomes, const char *between)
{
	g_autoptr(GArray) rows = rows_of(outcomes);

	for (guint i = 0, n; i < rows->len; i += n) {
		n = tune_rows_alike(rows, i);
		print_row(out, rows, i, n, between);
	}
}

static void print_counts(FILE *out, const struct outcomes *outcomes)
{
	fprintf(out, "%u changed", outcomes->changed);
	if (outcomes->skipped)
		fprintf(out, ", %u skipped", outcomes->skipped);
	if (outcomes->drifted)
		fprintf(out, ", %u left as somebody else has set them", outcomes->drifted);
	if (outcomes->failed)
		fprintf(out, ", %u failed", outcomes->failed);
	fputc('\n', out);
}

void tune_print_outcomes(FILE *out, const struct outcomes *outcomes)
{
	print_rows(out, outcomes, "→");
	if (outcomes->changed || outcomes->failed || outcomes->drifted)
		print_counts(out, outcomes);
}

void tune_print_verified(FILE *out, const struct outcomes *outcomes)
{
	print_rows(out, outcomes, "expected, but it is");
	if (!outcomes->list->len)
		fputs("nothing was applied\n", out);
	else
		fprintf(out, "%u of %u are as they were applied\n",
			outcomes->list->len - outcomes->drifted - outcomes->failed - outcomes->gone,
			outcomes->list->len);
}

/* -- JSON ------------------------------------------------------------------------------------- */

void tune_write_outcomes(
	GString *out, const struct outcomes *outcomes, const char *before, const char *after)
{
	jwrite_open(out, "items", '[');
	for (guint i = 0; i < outcomes->list->len; i++) {
		const struct outcome *o = g_ptr_array_index(outcomes->list, i);
		g_autofree char *id = tune_item_id(o->knob, o->object);

		jwrite_open(out, NULL, '{');
		jwrite_string(out, "id", id);
		jwrite_string(out, "knob", knob_name(o->knob));
		jwrite_string(out, "object", o->object);
		jwrite_string(out, "device", o->device);
		jwrite_string(out, before, o->before);
		jwrite_string(out, after, o->after);
		jwrite_string(out, "result", outcome_name(o->result));
		jwrite_string(out, "reason", o->reason);
		jwrite_string(out, "error", o->error ? g_strerror(-o->error) : NULL);
		jwrite_string(out, "managed_by", o->managed_by);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}
