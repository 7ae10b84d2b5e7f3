/* agent/cli/tune_cmd.h - one function per subcommand of lapwing tune. */
#pragma once

#include "agent/cli/output.h"
#include "agent/cli/tune_options.h"

/* The whole of `lapwing tune ...`; argv[0] is "tune". */
enum exit_code cmd_tune(int argc, char **argv);

enum exit_code cmd_tune_show(const struct tune_options *o);
enum exit_code cmd_tune_plan(const struct tune_options *o);
enum exit_code cmd_tune_apply(const struct tune_options *o);
enum exit_code cmd_tune_verify(const struct tune_options *o);
enum exit_code cmd_tune_revert(const struct tune_options *o);
/* tune_diagnose.c, tune_mtu.c, tune_measure.c */
enum exit_code tune_diagnose(const struct tune_options *o);
enum exit_code tune_mtu(const struct tune_options *o);
enum exit_code tune_measure(const struct tune_options *o);
/* Tells the daemon what was measured; 0: forget it. */
enum exit_code tune_tell_mtu(
	const struct options *o, uint32_t mtu, bool *ret_changed, struct failure *f);
