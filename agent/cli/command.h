/* agent/cli/command.h - the commands, their options, and the command line that chooses among them. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "agent/base/exitcode.h"

#define RUN_DIR_DEFAULT "/run/lapwing"

struct args_option;

enum { COMMAND_ERROR_MAX = 256, COMMAND_TIMEOUT_MAX_S = 24 * 60 * 60 };

/* What the command line says. Points into argv. */
struct options {
	const char *run_dir;
	const char *check; /* NULL: not given */
	const char *argument; /* the operand; NULL: none */
	const char *object; /* a second one; NULL: none */
	const char *file; /* NULL: not given */
	const char *config; /* NULL: not given */
	const char *textfile; /* NULL: not given */
	const char *output, *anonymize; /* NULL: not given */
	const char *until; /* of --wait; NULL: the command's own notion of done */
	const char *management_url, *setup_key_file, *hostname; /* NULL: not given */
	int timeout_ms;
	bool json, detail, force, wait, purge, setup_key_stdin, help, version;
	bool dry_run, diff, exit_diff, per_peer, samples;
};

struct command {
	const char *name;
	const char *
		argument; /* "[FILE]", or "PEER" or "set|clear PEER", which are required; NULL: takes none */
	const char *help;
	unsigned options; /* its own, beside the global ones */
	int timeout_s; /* unless --timeout says */
	enum exit_code (*run)(const struct options *o);
};

/* The table, in the order of the help; ends with a command without name. */
extern const struct command commands[];

/* EXIT_OK, or EXIT_USAGE with a line for people. *ret_command is NULL where there is none, which is
 * fine only with --help and --version. */
enum exit_code command_parse(int argc, char **argv, const struct command **ret_command,
	struct options *ret, char error[static COMMAND_ERROR_MAX]);
/* Seconds as --timeout takes them; false: they are none. */
bool command_timeout(const char *text, int *ret_ms);
/* The table of options, and the bits of those that `command` takes; NULL: that every one takes. */
const struct args_option *command_options(const struct command *command, unsigned *ret_bits);
void command_help(FILE *out, const struct command *command); /* NULL: of all */
/* The whole program. */
int command_main(int argc, char **argv);
