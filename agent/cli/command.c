/* agent/cli/command.c - the table of commands drives the parser, the help and the errors. */
#include "agent/cli/command.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/cli/args.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/tune_cmd.h"

enum option_bit {
	OPT_RUN = 1,
	OPT_JSON = 2,
	OPT_TIMEOUT = 4,
	OPT_HELP = 8,
	OPT_VERSION = 16,
	OPT_GLOBAL = 31,
	OPT_FORCE = 32,
	OPT_WAIT = 64,
	OPT_DETAIL = 128,
	OPT_CHECK = 256,
};

static const struct args_option option_table[] = {
	{ "run", 0, "DIR", OPT_RUN, "the daemon's socket is there (default /run/lapwing)" },
	{ "json", 0, NULL, OPT_JSON, "answer with JSON" },
	{ "timeout", 0, "SEC", OPT_TIMEOUT, "wait so long for the daemon" },
	{ "help", 0, NULL, OPT_HELP, "this text, also of a command" },
	{ "version", 0, NULL, OPT_VERSION, "the version of this program" },
	{ "force", 0, NULL, OPT_FORCE, "replace a key that is there" },
	{ "wait", 0, NULL, OPT_WAIT, "until it is done, or known not to work" },
	{ "detail", 'd', NULL, OPT_DETAIL, "with every peer" },
	{ "check", 0, "live|ready", OPT_CHECK, "only the exit status: 0 when it is" },
	{ 0 },
};

enum { ASK_S = 5, CHANGE_S = 60 };

const struct command commands[] = {
	{ "genkey", "[FILE]", "make the private key of this host, print the public one", OPT_FORCE,
		ASK_S, cmd_genkey },
	{ "pubkey", "[FILE]", "print the public key that belongs to the private one", 0, ASK_S,
		cmd_pubkey },
	{ "up", NULL, "bring the mesh up, also after the next start", OPT_WAIT, CHANGE_S, cmd_up },
	{ "down", NULL, "remove what we made, also after the next start", 0, CHANGE_S, cmd_down },
	{ "status", NULL, "how the daemon and the mesh are", OPT_DETAIL | OPT_CHECK, ASK_S,
		cmd_status },
	{ "peers", "[PEER]", "a line for each peer, or all about one", 0, ASK_S, cmd_peers },
	{ "wake", "PEER", "bring a parked peer up", OPT_WAIT, CHANGE_S, cmd_wake },
	{ "idle", "PEER", "park a peer now", 0, ASK_S, cmd_idle },
	{ "pin", "PEER", "never park this peer, also after the next start", 0, ASK_S, cmd_pin },
	{ "unpin", "PEER", "park it again when it is idle", 0, ASK_S, cmd_unpin },
	{ "monitor", NULL, "print events until interrupted", 0, ASK_S, cmd_monitor },
	{ "check-config", "[FILE]", "check configuration and mesh file", 0, ASK_S,
		cmd_check_config },
	{ "log-level", "[LEVEL]", "show or set it: error, warn, info, debug", 0, ASK_S,
		cmd_log_level },
	{ "tune", "...", "tune this host's network: see lapwing tune --help", 0, 0, NULL },
	{ "version", NULL, "versions of this program and of the daemon", 0, ASK_S, cmd_version },
	{ 0 },
};

/* -- parsing ---------------------------------------------------------------------------------- */

static const struct command *find_command(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

bool command_timeout(const char *text, int *ret_ms)
{
	char *end;
	double seconds = g_ascii_strtod(text, &end);

	if (end == text || *end || !(seconds > 0) || seconds > COMMAND_TIMEOUT_MAX_S)
		return false;
	*ret_ms = MAX((int)(seconds * 1000), 1);
	return true;
}

struct parser {
	struct options *o;
	unsigned given; /* bits of options */
	const char *words[2]; /* command and operand */
	size_t n_words;
	char *error;
};

static bool usage(struct parser *p, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool usage(struct parser *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	g_vsnprintf(p->error, COMMAND_ERROR_MAX, format, ap);
	va_end(ap);
	return false;
}

static bool take_option(struct parser *p, enum option_bit bit, const char *value)
{
	struct options *o = p->o;

	p->given |= bit;
	switch (bit) {
	case OPT_RUN:
		o->run_dir = value;
		return *value ? true : usage(p, "--run: a directory is wanted");
	case OPT_TIMEOUT:
		return command_timeout(value, &o->timeout_ms) ||
			usage(p, "--timeout: seconds are wanted, not '%s'", value);
	case OPT_CHECK:
		o->check = value;
		return !strcmp(value, "live") || !strcmp(value, "ready") ||
			usage(p, "--check: live or ready is wanted, not '%s'", value);
	case OPT_JSON:
		o->json = true;
		return true;
	case OPT_HELP:
		o->help = true;
		return true;
	case OPT_VERSION:
		o->version = true;
		return true;
	case OPT_FORCE:
		o->force = true;
		return true;
	case OPT_WAIT:
		o->wait = true;
		return true;
	case OPT_DETAIL:
		o->detail = true;
		return true;
	case OPT_GLOBAL:
		break;
	}
	return false;
}

static bool take_word(struct parser *p, const char *word)
{
	if (p->n_words == G_N_ELEMENTS(p->words))
		return usage(p, "what is '%s'?", word);
	p->words[p->n_words++] = word;
	return true;
}

static bool parse(struct parser *p, int argc, char **argv)
{
	struct args args = { .table = option_table, .argc = argc, .argv = argv, .next = 1 };
	const struct args_option *option;
	const char *text;

	for (;;) {
		switch (args_next(&args, &option, &text, p->error)) {
		case ARGS_END:
			return true;
		case ARGS_ERROR:
			return false;
		case ARGS_WORD:
			if (!take_word(p, text))
				return false;
			break;
		case ARGS_OPTION:
			if (!take_option(p, option->bit, text))
				return false;
			break;
		}
	}
}

static bool is_required(const char *argument)
{
	return argument && argument[0] != '[';
}

static bool check_command(struct parser *p, const struct command **ret)
{
	const struct command *command;
	unsigned strange;

	if (p->n_words == 0)
		return p->o->help || p->o->version || usage(p, "a command is missing");
	command = find_command(p->words[0]);
	if (!command)
		return usage(p, "unknown command '%s'", p->words[0]);
	strange = p->given & ~(command->options | OPT_GLOBAL);
	if (strange)
		return usage(p, "%s does not know --%s", command->name,
			args_name(option_table, strange));
	if (p->words[1] && !command->argument)
		return usage(p, "%s takes no argument", command->name);
	if (!p->words[1] && is_required(command->argument) && !p->o->help && !p->o->version)
		return usage(p, "%s: %s is missing", command->name, command->argument);
	p->o->argument = p->words[1];
	if (!p->o->timeout_ms)
		p->o->timeout_ms = command->timeout_s * 1000;
	*ret = command;
	return true;
}

enum exit_code command_parse(int argc, char **argv, const struct command **ret_command,
	struct options *ret, char error[static COMMAND_ERROR_MAX])
{
	struct parser p = { .o = ret, .error = error };

	*ret_command = NULL;
	*ret = (struct options){ .run_dir = "/run/lapwing" };
	error[0] = '\0';
	return parse(&p, argc, argv) && check_command(&p, ret_command) ? EXIT_OK : EXIT_USAGE;
}

/* -- help ------------------------------------------------------------------------------------- */

void command_help(FILE *out, const struct command *command)
{
	if (command) {
		fprintf(out, "Usage: lapwing %s%s%s [OPTION]...\n%s\n\n", command->name,
			command->argument ? " " : "", command->argument ? command->argument : "",
			command->help);
		args_help(out, option_table, command->options | OPT_GLOBAL);
		return;
	}
	fputs("Usage: lapwing COMMAND [OPTION]...   See lapwing(8), lapwing.json(5).\n\n", out);
	for (const struct command *c = commands; c->name; c++)
		fprintf(out, "  %-12s %-8s %s\n", c->name, c->argument ? c->argument : "", c->help);
	fputs("\n", out);
	args_help(out, option_table, OPT_GLOBAL);
}

/* -- the program ------------------------------------------------------------------------------ */

static enum exit_code run(const struct command *command, const struct options *o)
{
	if (o->help) {
		command_help(stdout, command);
		return EXIT_OK;
	}
	if (o->version) {
		puts("lapwing " LAPWING_VERSION);
		return EXIT_OK;
	}
	return command->run(o);
}

/* `tune` has a command line of its own: the word moves to the front, the rest follows. */
static bool take_tune(int argc, char **argv)
{
	struct args args = { .table = option_table, .argc = argc, .argv = argv, .next = 1 };
	char error[COMMAND_ERROR_MAX];
	const struct args_option *option;
	const char *text;
	enum args_kind kind;

	do
		kind = args_next(&args, &option, &text, error);
	while (kind == ARGS_OPTION);
	if (kind != ARGS_WORD || strcmp(text, "tune"))
		return false;
	memmove(argv + 2, argv + 1, (size_t)(args.next - 2) * sizeof(*argv));
	argv[1] = (char *)"tune";
	return true;
}

static enum exit_code run_line(int argc, char **argv)
{
	const struct command *command;
	char error[COMMAND_ERROR_MAX];
	struct options o;
	enum exit_code code;

	if (take_tune(argc, argv))
		return cmd_tune(argc - 1, argv + 1);
	code = command_parse(argc, argv, &command, &o, error);
	return code ? fail(&o, code, "try lapwing --help", "%s", error) : run(command, &o);
}

int command_main(int argc, char **argv)
{
	enum exit_code code = run_line(argc, argv);

	/* A full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "lapwing: cannot write the output: %s\n", g_strerror(errno));
		return EXIT_FAILED;
	}
	return (int)code;
}
