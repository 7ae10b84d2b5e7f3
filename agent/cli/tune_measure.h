/* agent/cli/tune_measure.h - what lapwing tune measure has found. */
#pragma once

#include <glib.h>

#include "agent/cli/tune_options.h"
#include "agent/tune/measure.h"

/* One knob: without, with, without. */
struct tune_trial {
	enum knob knob;
	unsigned changed; /* settings */
	enum verdict verdict;
	struct measurement before, with, after;
};

struct tune_measured {
	const struct tune_options *o;
	GArray *runs; /* struct measurement */
	GArray *trials; /* struct tune_trial */
	double noise;
};

/* A table for people; a document for programs. */
void tune_measured_print(const struct tune_measured *m);
void tune_measured_write(const struct tune_measured *m);
