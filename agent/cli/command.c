/* agent/cli/command.c - the table of commands drives the parser, the help and the errors. */
#include "agent/cli/command.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/key.h"
#include "agent/base/text.h"
#include "agent/base/uuid.h"
#include "agent/cli/args.h"
#include "agent/cli/cmd.h"
#include "agent/cli/complete.h"
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
	OPT_UNTIL = 512, /* --wait with a value; whoever knows it knows --wait */
	OPT_URL = 1024,
	OPT_KEY_FILE = 2048,
	OPT_KEY_STDIN = 4096,
	OPT_HOSTNAME = 8192,
	OPT_PURGE = 16384,
	OPT_FILE = 32768,
	OPT_DRY_RUN = 65536, /* --check without a value */
	OPT_DIFF = 131072,
	OPT_EXIT_DIFF = 262144,
	OPT_CONFIG = 524288,
	OPT_PER_PEER = 1048576,
	OPT_TEXTFILE = 2097152,
	OPT_OUTPUT = 4194304,
	OPT_ANONYMIZE = 8388608,
	OPT_SAMPLES = 16777216,
	OPT_PLAN = OPT_FILE | OPT_CONFIG | OPT_DIFF | OPT_EXIT_DIFF | OPT_FORCE,
	OPT_ENROLL = OPT_URL | OPT_KEY_FILE | OPT_KEY_STDIN | OPT_HOSTNAME | OPT_FORCE | OPT_UNTIL,
};

static const struct args_option option_table[] = {
	{ "run", 0, "DIR", OPT_RUN, "the daemon's socket is there (default /run/lapwing)" },
	{ "json", 0, NULL, OPT_JSON, "answer with JSON" },
	{ "timeout", 0, "SEC", OPT_TIMEOUT, "wait so long for the daemon" },
	{ "help", 0, NULL, OPT_HELP, "this text, also of a command" },
	{ "version", 0, NULL, OPT_VERSION, "the version of this program" },
	{ "management-url", 0, "URL", OPT_URL, "the server of the network" },
	{ "setup-key-file", 0, "FILE", OPT_KEY_FILE, "the setup key is in it" },
	{ "setup-key-stdin", 0, NULL, OPT_KEY_STDIN, "the setup key comes from standard input" },
	{ "hostname", 0, "NAME", OPT_HOSTNAME, "this host's name there (default: its own)" },
	{ "file", 'f', "FILE", OPT_FILE, "read it from there; -: from standard input" },
	{ "config", 0, "FILE", OPT_CONFIG, "the daemon's configuration, if it is not its default" },
	{ "diff", 0, NULL, OPT_DIFF, "with every difference" },
	{ "exit-diff", 0, NULL, OPT_EXIT_DIFF, "exit with 6 if something would be changed" },
	{ "per-peer", 0, NULL, OPT_PER_PEER, "with series of every peer" },
	{ "samples", 0, NULL, OPT_SAMPLES,
		"instead, how long each connection took, as InfluxDB lines" },
	{ "textfile", 0, "FILE", OPT_TEXTFILE, "into this file, which is replaced as a whole" },
	{ "output", 'o', "FILE", OPT_OUTPUT, "write it there; -: to standard output" },
	{ "anonymize", 0, "off|default|strict", OPT_ANONYMIZE,
		"what stands in for names, keys and addresses" },
	{ "purge", 0, NULL, OPT_PURGE, "and delete the private key" },
	{ "force", 0, NULL, OPT_FORCE, "replace, or trust, what is refused otherwise" },
	/* The first of a name is what is parsed; the help of a command shows its own. */
	{ "wait", 0, "[=control|ready]", OPT_UNTIL,
		"until the server is there, or all is in place" },
	{ "wait", 0, NULL, OPT_WAIT, "until it is done, or known not to work" },
	{ "detail", 'd', NULL, OPT_DETAIL, "with every peer" },
	{ "check", 0, "[live|ready]", 0, "" },
	{ "check", 0, "live|ready", OPT_CHECK, "only the exit status: 0 when it is" },
	{ "check", 0, NULL, OPT_DRY_RUN, "only tell what would be changed" },
	{ 0 },
};

enum { ASK_S = 5, CHANGE_S = 60, ENROLL_S = 120 };

const struct command commands[] = {
	{ "genkey", "[FILE]", "make the private key of this host, print the public one", OPT_FORCE,
		ASK_S, cmd_genkey },
	{ "pubkey", "[FILE]", "print the public key that belongs to the private one", 0, ASK_S,
		cmd_pubkey },
	{ "enroll", NULL, "join the network of a management server", OPT_ENROLL, ENROLL_S,
		cmd_enroll },
	{ "deregister", NULL, "leave that network", OPT_PURGE, CHANGE_S, cmd_deregister },
	{ "import-netbird", "[FILE]", "become the peer that the NetBird agent was here", OPT_FORCE,
		CHANGE_S, cmd_import },
	{ "export-netbird", "[FILE]", "write this peer down for the NetBird agent", OPT_FORCE,
		ASK_S, cmd_export },
	{ "up", NULL, "bring the mesh up, also after the next start", OPT_UNTIL, CHANGE_S, cmd_up },
	{ "down", NULL, "remove what we made, also after the next start", 0, CHANGE_S, cmd_down },
	{ "status", NULL, "how the daemon and the mesh are", OPT_DETAIL | OPT_CHECK, ASK_S,
		cmd_status },
	{ "peers", "[PEER]", "a line for each peer, or all about one", 0, ASK_S, cmd_peers },
	{ "wake", "PEER", "bring a parked peer up", OPT_WAIT, CHANGE_S, cmd_wake },
	{ "idle", "PEER", "park a peer now", 0, ASK_S, cmd_idle },
	{ "pin", "PEER", "never park this peer, also after the next start", 0, ASK_S, cmd_pin },
	{ "unpin", "PEER", "park it again when it is idle", 0, ASK_S, cmd_unpin },
	{ "psk", "set|clear PEER", "give a peer a pre-shared key, or take that back", OPT_FILE,
		ASK_S, cmd_psk },
	{ "why", "PEER", "walk the way to a peer: which stage fails", 0, ASK_S, cmd_why },
	{ "doctor", NULL, "what of this host stands in the way, and what to do", OPT_CONFIG, ASK_S,
		cmd_doctor },
	{ "report", NULL, "pack up what helps to find a fault",
		OPT_OUTPUT | OPT_ANONYMIZE | OPT_CONFIG, ASK_S, cmd_report },
	{ "debug", "runtime", "what the daemon itself costs: memory, turns, pools", 0, ASK_S,
		cmd_debug },
	{ "monitor", NULL, "print events until interrupted", 0, ASK_S, cmd_monitor },
	{ "metrics", NULL, "counters and gauges as Prometheus text",
		OPT_PER_PEER | OPT_TEXTFILE | OPT_SAMPLES, ASK_S, cmd_metrics },
	{ "plan", NULL, "tell what apply would change", OPT_PLAN, ASK_S, cmd_plan },
	{ "apply", NULL, "make both files, and the mesh, what a file says", OPT_PLAN | OPT_DRY_RUN,
		CHANGE_S, cmd_apply },
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
	const char *words[3]; /* command and operands */
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

/* It can be read by all in the list of processes, and is in the history of the shell. */
static bool refuse_key(struct parser *p, const char *text)
{
	struct wg_key key;
	bool is_key = key_parse(text, strlen(text), &key) == 0;

	key_wipe(&key);
	return !is_key ||
		usage(p,
			"a key is no argument: everybody on this host can read it there. Give it "
			"by --file, and another one than this");
}

static bool take_file(struct parser *p, const char *value)
{
	p->o->file = value;
	return refuse_key(p, value) && (*value || usage(p, "--file: a file is wanted"));
}

static bool take_check(struct parser *p, const char *value)
{
	p->given |= value ? OPT_CHECK : OPT_DRY_RUN;
	p->o->check = value;
	p->o->dry_run = !value;
	return !value || !strcmp(value, "live") || !strcmp(value, "ready") ||
		usage(p, "--check: live or ready is wanted, not '%s'", value);
}

static bool take_path(struct parser *p, const char **ret, const char *option, const char *value)
{
	*ret = value;
	return *value || usage(p, "--%s: a file is wanted", option);
}

static bool take_level(struct parser *p, const char *value)
{
	static const char *const levels[] = { "off", "default", "strict", NULL };

	p->o->anonymize = value;
	return g_strv_contains(levels, value) ||
		usage(p, "--anonymize: off, default or strict is wanted, not '%s'", value);
}

static bool take_option(struct parser *p, enum option_bit bit, const char *value)
{
	struct options *o = p->o;

	if (!bit)
		return take_check(p, value);
	p->given |= bit;
	switch (bit) {
	case OPT_RUN:
		o->run_dir = value;
		return *value ? true : usage(p, "--run: a directory is wanted");
	case OPT_TIMEOUT:
		return command_timeout(value, &o->timeout_ms) ||
			usage(p, "--timeout: seconds are wanted, not '%s'", value);
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
	case OPT_UNTIL:
		o->wait = true;
		o->until = value ? value : "ready";
		if (!value)
			p->given ^= OPT_UNTIL | OPT_WAIT;
		return !strcmp(o->until, "control") || !strcmp(o->until, "ready") ||
			usage(p, "--wait: control or ready is wanted, not '%s'", value);
	case OPT_URL:
		o->management_url = value;
		return *value ? true : usage(p, "--management-url: an URL is wanted");
	case OPT_KEY_FILE:
		o->setup_key_file = value;
		return *value ? true : usage(p, "--setup-key-file: a file is wanted");
	case OPT_KEY_STDIN:
		o->setup_key_stdin = true;
		return true;
	case OPT_HOSTNAME:
		o->hostname = value;
		return text_is_hostname(value, strlen(value)) ||
			usage(p, "--hostname: a host name is wanted, not '%s'", value);
	case OPT_PURGE:
		o->purge = true;
		return true;
	case OPT_FILE:
		return take_file(p, value);
	case OPT_DETAIL:
		o->detail = true;
		return true;
	case OPT_CONFIG:
		return take_path(p, &o->config, "config", value);
	case OPT_TEXTFILE:
		return take_path(p, &o->textfile, "textfile", value);
	case OPT_OUTPUT:
		return take_path(p, &o->output, "output", value);
	case OPT_ANONYMIZE:
		return take_level(p, value);
	case OPT_DIFF:
		o->diff = true;
		return true;
	case OPT_EXIT_DIFF:
		o->exit_diff = true;
		return true;
	case OPT_SAMPLES:
		o->samples = true;
		return true;
	case OPT_PER_PEER:
		o->per_peer = true;
		return true;
	case OPT_CHECK:
	case OPT_DRY_RUN:
	case OPT_PLAN:
	case OPT_WAIT:
	case OPT_ENROLL:
	case OPT_GLOBAL:
		break;
	}
	return false;
}

static bool take_word(struct parser *p, const char *word)
{
	if (p->n_words == G_N_ELEMENTS(p->words))
		return refuse_key(p, word) && usage(p, "what is '%s'?", word);
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

/* Where a setup key was given as an argument: it can be read by all in the list of processes, and is in
 * the history of the shell. It may stand in the place of a file's name, but be a host's name. */
static bool has_setup_key(int argc, char **argv)
{
	char uuid[UUID_STRLEN];

	for (int i = 1; i < argc; i++) {
		const char *value = strchr(argv[i], '='), *text = value ? value + 1 : argv[i];

		if (!strcmp(argv[i], "--setup-key") || g_str_has_prefix(argv[i], "--setup-key="))
			return true;
		if (uuid_parse(text, strlen(text), uuid) == 0 &&
			strcmp(argv[i - 1], "--hostname") &&
			!g_str_has_prefix(argv[i], "--hostname="))
			return true;
	}
	return false;
}

static bool is_enroll(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "enroll"))
			return true;
	return false;
}

static bool check_secrets(struct parser *p, int argc, char **argv)
{
	return !is_enroll(argc, argv) || !has_setup_key(argc, argv) ||
		usage(p,
			"a setup key is no argument: everybody on this host can read it there. Give "
			"it by --setup-key-file or --setup-key-stdin, and revoke this one");
}

static bool is_required(const char *argument)
{
	return argument && argument[0] != '[';
}

static bool has_object(const struct command *command)
{
	return command->argument && strchr(command->argument, ' ');
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
	if (command->options & OPT_UNTIL)
		strange &= ~(unsigned)OPT_WAIT;
	if (strange & OPT_UNTIL && command->options & OPT_WAIT)
		return usage(p, "%s: --wait takes no value", command->name);
	if (strange & OPT_DRY_RUN && command->options & OPT_CHECK)
		return usage(p, "--check: live|ready is missing");
	if (strange & OPT_CHECK && command->options & OPT_DRY_RUN)
		return usage(p, "%s: --check takes no value", command->name);
	if (strange)
		return usage(p, "%s does not know --%s", command->name,
			args_name(option_table, strange));
	if (p->words[1] && !command->argument)
		return usage(p, "%s takes no argument", command->name);
	if (p->words[2] && !has_object(command))
		return usage(p, "what is '%s'?", p->words[2]);
	if (!p->words[has_object(command) ? 2 : 1] && is_required(command->argument) &&
		!p->o->help && !p->o->version)
		return usage(p, "%s: %s is missing", command->name, command->argument);
	p->o->argument = p->words[1];
	p->o->object = p->words[2];
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
	*ret = (struct options){ .run_dir = RUN_DIR_DEFAULT };
	error[0] = '\0';
	return check_secrets(&p, argc, argv) && parse(&p, argc, argv) &&
			check_command(&p, ret_command)
		? EXIT_OK
		: EXIT_USAGE;
}

/* -- help ------------------------------------------------------------------------------------- */

const struct args_option *command_options(const struct command *command, unsigned *ret_bits)
{
	*ret_bits = (command ? command->options : 0) | OPT_GLOBAL;
	return option_table;
}

/* In the list of all, which fits a screen, some are told of in one line, that of the first. */
static const struct {
	const char *first, *second, *words, *help;
} pairs[] = {
	{ "genkey", "pubkey", "genkey, pubkey [FILE]",
		"make this host's key; print the public one" },
	{ "up", "down", "up, down", "bring the mesh up; remove it; also after the next start" },
	{ "wake", "idle", "wake, idle PEER", "bring a parked peer up; park it now" },
	{ "pin", "unpin", "pin, unpin PEER", "never park this peer; park it again when idle" },
	{ "doctor", "report", "doctor, report", "what is wrong with this host; pack it up" },
	{ "plan", "apply", "plan, apply -f FILE", "compare this host with a file; make it so" },
};

static void list_command(FILE *out, const struct command *c)
{
	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
		if (!strcmp(c->name, pairs[i].second))
			return;
		if (!strcmp(c->name, pairs[i].first)) {
			fprintf(out, "  %-22s %s\n", pairs[i].words, pairs[i].help);
			return;
		}
	}
	fprintf(out, "  %s %-*s %s\n", c->name, (int)(21 - strlen(c->name)),
		c->argument ? c->argument : "", c->help);
}

void command_help(FILE *out, const struct command *command)
{
	if (command) {
		fprintf(out, "Usage: lapwing %s%s%s [OPTION]...\n%s\n\n", command->name,
			command->argument ? " " : "", command->argument ? command->argument : "",
			command->help);
		args_help(out, option_table, command->options | OPT_GLOBAL);
		return;
	}
	fputs("Usage: lapwing COMMAND [OPTION]...   See lapwing(8), lapwing.json(5).\n", out);
	for (const struct command *c = commands; c->name; c++)
		list_command(out, c);
	fputs("Options: --run=DIR --json --timeout=SEC --version; COMMAND --help tells more\n",
		out);
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

	/* Not in the table: it is for the shells' completion alone. */
	if (argc > 1 && !strcmp(argv[1], "__complete")) {
		complete(stdout, argc - 2, argv + 2);
		return EXIT_OK;
	}
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
