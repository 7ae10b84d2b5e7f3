/* agent/cli/tune_options.h - the command line of lapwing tune, see lapwing-tune(8). */
#pragma once

#include <stdint.h>

#include "agent/cli/command.h"
#include "agent/tune/plan.h"

struct args_option;

enum { TUNE_SECONDS_MAX = 24 * 60 * 60 };

/* What the command line says. Texts point into argv. */
struct tune_options {
	struct options common; /* for fail(), and run_dir and timeout_ms for client_ask() */
	const char *root; /* "/", or the folder of a made-up host */
	const char *underlay, *iface; /* NULL: find it */
	const char *device; /* NULL: the settings of every one */
	const char *peer; /* NULL: not given; required by measure */
	uint32_t only, skip; /* bits of knobs; KNOB_ALL and 0 unless given */
	enum irqbalance_mode irqbalance;
	int seconds; /* diagnose --duration, measure --seconds (of each scenario) */
	bool only_given, irqbalance_given;
	bool exit_diff, persist, disruptive, rollback, force, on_start,
		check; /* plan, apply, revert */
	bool watch; /* diagnose */
	bool apply; /* mtu */
	bool each_knob; /* measure */
};

struct tune_command {
	const char *name, *help;
	unsigned options; /* its own, beside the common ones */
	unsigned required;
	int seconds; /* unless an option says */
	enum exit_code (*run)(const struct tune_options *o);
};

/* The table, in the order of the help; ends with a command without name. */
extern const struct tune_command tune_commands[];

/* argv[0] is "tune". EXIT_OK, or EXIT_USAGE with a line for people that tells the nearest valid name.
 * *ret_command is NULL where there is none, which is fine only with --help. */
enum exit_code tune_options_parse(int argc, char **argv, const struct tune_command **ret_command,
	struct tune_options *ret, char error[static COMMAND_ERROR_MAX]);
/* The table of options, and the bits of those that `command` takes; NULL: that every one takes. */
const struct args_option *tune_options_table(
	const struct tune_command *command, unsigned *ret_bits);
void tune_options_help(FILE *out, const struct tune_command *command); /* NULL: of all */
