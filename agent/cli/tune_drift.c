/* agent/cli/tune_drift.c - which settings of tune are not what was applied. */
#include "agent/cli/tune_drift.h"

#include <string.h>
#include <unistd.h>

#include "agent/tune/apply.h"

static void write_counts(GString *out, const struct outcomes *outcomes)
{
	unsigned drifted[KNOBS] = { 0 };
	uint32_t seen = 0;

	for (guint i = 0; i < outcomes->list->len; i++) {
		const struct outcome *o = outcomes->list->pdata[i];

		seen |= 1u << o->knob;
		drifted[o->knob] += o->result == OUTCOME_DRIFTED;
	}
	if (seen)
		g_string_append(out,
			"# HELP lapwing_tune_drift Settings that are not what tune has applied.\n"
			"# TYPE lapwing_tune_drift gauge\n");
	for (unsigned knob = 0; knob < KNOBS; knob++)
		if (seen >> knob & 1)
			g_string_append_printf(out, "lapwing_tune_drift{knob=\"%s\"} %u\n",
				knob_name(knob), drifted[knob]);
}

void tune_drift_write(GString *out, const char *root)
{
	g_autofree char *journal = g_build_filename(root, JOURNAL_PATH, NULL);
	struct outcomes outcomes;
	struct tuner tuner;
	char error[256];

	/* Looking at a host costs more than all the rest. */
	if (access(journal, F_OK) < 0 || tuner_open(root, &tuner) < 0)
		return;
	if (tune_verify(&tuner, &outcomes, error) == 0)
		write_counts(out, &outcomes);
	outcomes_clear(&outcomes);
	tuner_close(&tuner);
}
