/* agent/cli/tune_drift.h - which settings of tune are not what was applied, as Prometheus text. */
#pragma once

#include <glib.h>

/* Appends a family with one series for each knob that was applied on this host; nothing where none was, or what is there
 * cannot be read. */
void tune_drift_write(GString *out, const char *root);
