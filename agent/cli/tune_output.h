/* agent/cli/tune_output.h - settings in words for people and documents for programs. */
#pragma once

#include <stdio.h>

#include "agent/tune/apply.h"

/* A value as people can read it: CPUs instead of a mask, "even over 8 queues" instead of a table.
 * NULL is "-". Fresh text. */
char *tune_value_text(enum knob knob, const char *value);
/* "rps.eth0.rx-3": stays the same from run to run. Fresh text. */
char *tune_item_id(enum knob knob, const char *object);

/* Every setting with its state. */
void tune_print_show(FILE *out, const struct host *host, const struct plan *plan);
/* What would change. */
void tune_print_plan(FILE *out, const struct host *host, const struct plan *plan);
/* "host", "role", "items" and the like. */
void tune_write_plan(GString *out, const struct host *host, const struct plan *plan);

/* What became of each setting; what was already as wanted is left out. */
void tune_print_outcomes(FILE *out, const struct outcomes *outcomes);
/* What verify found: also what is as it should be, but only counted. */
void tune_print_verified(FILE *out, const struct outcomes *outcomes);
/* "items"; `before` and `after` are the names of these two. */
void tune_write_outcomes(
	GString *out, const struct outcomes *outcomes, const char *before, const char *after);
