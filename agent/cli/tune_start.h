/* agent/cli/tune_start.h - what tune is to do at the start of a host. */
#pragma once

#include "agent/cli/output.h"
#include "agent/cli/tune_options.h"
#include "agent/tune/persist.h"

/* What tells it; owns the texts that the options point to. Zero it before. */
struct tune_start {
	struct persist_options options;
};

/* From lapwing.json's "tune" where that says apply_on_start, else from what --persist kept; *ret_wanted
 * is false when neither says anything. */
enum exit_code tune_start_load(
	struct tune_options *o, struct tune_start *ret, bool *ret_wanted, struct failure *f);
void tune_start_clear(struct tune_start *start);
