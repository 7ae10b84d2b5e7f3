/* agent/cli/args.h - a command line, argument by argument, by a table of options. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

enum { ARGS_ERROR_MAX = 256, ARGS_OPTIONS_MAX = 64 };

struct args_option {
	const char *name;
	char letter; /* 0: none */
	const char *value; /* NULL: takes none; "[=A|B]": may have one, after "=" only;
			    * "[A|B]": may have one, as next word only one of these */
	unsigned bit;
	const char *help;
};

struct args {
	const struct args_option *table; /* ends with an option without name */
	int argc, next; /* next: begins at 1 */
	char **argv;
	bool words_only; /* after -- */
};

enum args_kind { ARGS_END, ARGS_WORD, ARGS_OPTION, ARGS_ERROR };

/* What comes next; *ret_text is the word, or the value of the option, NULL
 * where it has none. An error is a line for people. */
enum args_kind args_next(struct args *args, const struct args_option **ret_option,
	const char **ret_text, char error[static ARGS_ERROR_MAX]);
/* The name of the first option of `bits`. */
const char *args_name(const struct args_option *table, unsigned bits);
/* A line for each option of `bits`. */
void args_help(FILE *out, const struct args_option *table, unsigned bits);
