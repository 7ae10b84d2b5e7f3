/* agent/cli/tune_report.h - a diagnosis and the numbers behind it, for people and programs. */
#pragma once

#include <stdio.h>

#include "agent/tune/diagnose.h"

struct tune_report {
	const struct host *host;
	const struct sample *difference;
	const GPtrArray *findings; /* struct finding; the first is the verdict */
};

void tune_report_print(FILE *out, const struct tune_report *report);
/* Its members, into an open document. */
void tune_report_write(GString *out, const struct tune_report *report);
