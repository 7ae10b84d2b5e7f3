/* agent/cli/tune_options.c - one table drives the parser, the help and the errors of lapwing tune. */
#include "agent/cli/tune_options.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/cli/args.h"
#include "agent/cli/tune_cmd.h"

enum tune_bit {
	TUNE_RUN = 1 << 0,
	TUNE_JSON = 1 << 1,
	TUNE_TIMEOUT = 1 << 2,
	TUNE_HELP = 1 << 3,
	TUNE_VERSION = 1 << 4,
	TUNE_ROOT = 1 << 5,
	TUNE_COMMON = (1 << 6) - 1,
	TUNE_ONLY = 1 << 6,
	TUNE_SKIP = 1 << 7,
	TUNE_UNDERLAY = 1 << 8,
	TUNE_IFACE = 1 << 9,
	TUNE_DEVICE = 1 << 10,
	TUNE_IRQBALANCE = 1 << 11,
	TUNE_FORCE = 1 << 12,
	TUNE_EXIT_DIFF = 1 << 13,
	TUNE_DISRUPTIVE = 1 << 14,
	TUNE_ROLLBACK = 1 << 15,
	TUNE_PERSIST = 1 << 16,
	TUNE_ON_START = 1 << 17,
	TUNE_DURATION = 1 << 18,
	TUNE_WATCH = 1 << 19,
	TUNE_PEER = 1 << 20,
	TUNE_APPLY = 1 << 21,
	TUNE_EACH_KNOB = 1 << 22,
	TUNE_SECONDS = 1 << 23,
	TUNE_CHECK = 1 << 24,
	/* Which host, and what is wanted of it. */
	TUNE_WHERE = TUNE_UNDERLAY | TUNE_IFACE,
	TUNE_WISH = TUNE_WHERE | TUNE_ONLY | TUNE_SKIP | TUNE_DEVICE | TUNE_IRQBALANCE | TUNE_FORCE,
};

static const struct args_option option_table[] = {
	{ "only", 0, "LIST", TUNE_ONLY, "only these knobs, as irq,rps" },
	{ "skip", 0, "LIST", TUNE_SKIP, "all but these knobs" },
	{ "underlay", 0, "DEV", TUNE_UNDERLAY, "the device that carries the tunnels" },
	{ "iface", 0, "IF", TUNE_IFACE, "the WireGuard interface" },
	{ "device", 0, "DEV", TUNE_DEVICE, "only settings of this device" },
	{ "irqbalance", 0, "MODE", TUNE_IRQBALANCE, "what becomes of it: ban, stop or keep" },
	{ "force", 0, NULL, TUNE_FORCE, "also what somebody else has set" },
	{ "exit-diff", 0, NULL, TUNE_EXIT_DIFF, "exit status 6 when something would change" },
	{ "allow-disruptive", 0, NULL, TUNE_DISRUPTIVE, "also what resets a link in use" },
	{ "rollback-on-error", 0, NULL, TUNE_ROLLBACK, "take all back when one is refused" },
	{ "persist", 0, NULL, TUNE_PERSIST, "also after the next start of the host" },
	{ "check", 0, NULL, TUNE_CHECK, "only tell what would be changed" },
	{ "on-start", 0, NULL, TUNE_ON_START, "as --persist or lapwing.json say, or nothing" },
	{ "duration", 0, "N", TUNE_DURATION, "seconds to look at (default 10, with --watch 1)" },
	{ "watch", 0, NULL, TUNE_WATCH, "again and again until interrupted" },
	{ "peer", 0, "ADDR", TUNE_PEER, "this one" },
	{ "apply", 0, NULL, TUNE_APPLY, "set it" },
	{ "each-knob", 0, NULL, TUNE_EACH_KNOB, "one by one, kept only where it helps" },
	{ "seconds", 0, "N", TUNE_SECONDS, "of each scenario (default 60)" },
	{ "root", 0, "DIR", TUNE_ROOT, "the files of another host are there" },
	{ "run", 0, "DIR", TUNE_RUN, "the daemon's socket is there (default /run/lapwing)" },
	{ "json", 0, NULL, TUNE_JSON, "answer with JSON" },
	{ "timeout", 0, "SEC", TUNE_TIMEOUT, "wait so long for the daemon" },
	{ "help", 0, NULL, TUNE_HELP, "this text, also of a subcommand" },
	{ "version", 0, NULL, TUNE_VERSION, "the version of this program" },
	{ 0 },
};

enum { DAEMON_MS = 5000, DIAGNOSE_S = 10, MEASURE_S = 60 };

const struct tune_command tune_commands[] = {
	{ "show", "every setting: how it is, how it should be, and why", TUNE_WISH, 0, 0,
		cmd_tune_show },
	{ "plan", "what apply would change", TUNE_WISH | TUNE_EXIT_DIFF, 0, 0, cmd_tune_plan },
	{ "apply", "set what is not as it should be; the originals are saved",
		TUNE_WISH | TUNE_DISRUPTIVE | TUNE_ROLLBACK | TUNE_PERSIST | TUNE_ON_START |
			TUNE_CHECK,
		0, 0, cmd_tune_apply },
	{ "verify", "is what was applied still so?", 0, 0, 0, cmd_tune_verify },
	{ "revert", "put the originals back", TUNE_ONLY | TUNE_SKIP | TUNE_FORCE | TUNE_CHECK, 0, 0,
		cmd_tune_revert },
	{ "diagnose", "the bottleneck of the traffic that runs now",
		TUNE_WHERE | TUNE_DURATION | TUNE_WATCH, 0, DIAGNOSE_S, tune_diagnose },
	{ "mtu", "the largest MTU that fits on the way to the peers",
		TUNE_IFACE | TUNE_PEER | TUNE_APPLY, 0, 0, tune_mtu },
	{ "measure", "five kinds of traffic to a peer, with iperf3",
		TUNE_WISH | TUNE_PEER | TUNE_EACH_KNOB | TUNE_SECONDS | TUNE_DISRUPTIVE, TUNE_PEER,
		MEASURE_S, tune_measure },
	{ 0 },
};

/* -- values ----------------------------------------------------------------------------------- */

struct parser {
	struct tune_options *o;
	unsigned given; /* bits of options */
	const char *command;
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

static bool take_text(struct parser *p, const char *name, const char *value, const char **ret)
{
	*ret = value;
	return *value ? true : usage(p, "--%s: it is empty", name);
}

static bool take_device(struct parser *p, const char *name, const char *value, const char **ret)
{
	if (strlen(value) >= IFNAMSIZ || strchr(value, '/') || !strcmp(value, ".."))
		return usage(p, "--%s: '%s' is no name of a device", name, value);
	return take_text(p, name, value, ret);
}

static bool take_knobs(struct parser *p, const char *name, const char *value, uint32_t *ret)
{
	char error[128];

	return knob_parse_list(value, ret, error) == 0 || usage(p, "--%s: %s", name, error);
}

static bool take_seconds(struct parser *p, const char *name, const char *value)
{
	guint64 seconds;

	if (!g_ascii_string_to_unsigned(value, 10, 1, TUNE_SECONDS_MAX, &seconds, NULL))
		return usage(p, "--%s: 1 to %d seconds are wanted, not '%s'", name,
			TUNE_SECONDS_MAX, value);
	p->o->seconds = (int)seconds;
	return true;
}

static bool take_irqbalance(struct parser *p, const char *value)
{
	for (int i = 0; irqbalance_mode_names[i]; i++) {
		if (!strcmp(irqbalance_mode_names[i], value)) {
			p->o->irqbalance = (enum irqbalance_mode)i;
			return p->o->irqbalance_given = true;
		}
	}
	return usage(p, "--irqbalance: ban, stop or keep is wanted, not '%s'; the nearest is %s",
		value, nearest_name(value, irqbalance_mode_names));
}

static bool take_valued(struct parser *p, enum tune_bit bit, const char *value)
{
	struct tune_options *o = p->o;

	switch ((unsigned)bit) {
	case TUNE_ONLY:
		o->only_given = true;
		return take_knobs(p, "only", value, &o->only);
	case TUNE_SKIP:
		return take_knobs(p, "skip", value, &o->skip);
	case TUNE_UNDERLAY:
		return take_device(p, "underlay", value, &o->underlay);
	case TUNE_IFACE:
		return take_device(p, "iface", value, &o->iface);
	case TUNE_DEVICE:
		return take_device(p, "device", value, &o->device);
	case TUNE_IRQBALANCE:
		return take_irqbalance(p, value);
	case TUNE_DURATION:
		return take_seconds(p, "duration", value);
	case TUNE_SECONDS:
		return take_seconds(p, "seconds", value);
	case TUNE_PEER:
		return take_text(p, "peer", value, &o->peer);
	case TUNE_ROOT:
		return take_text(p, "root", value, &o->root);
	case TUNE_RUN:
		return take_text(p, "run", value, &o->common.run_dir);
	default:
		return command_timeout(value, &o->common.timeout_ms) ||
			usage(p, "--timeout: seconds are wanted, not '%s'", value);
	}
}

static bool take_flag(struct tune_options *o, enum tune_bit bit)
{
	switch ((unsigned)bit) {
	case TUNE_JSON:
		return o->common.json = true;
	case TUNE_HELP:
		return o->common.help = true;
	case TUNE_VERSION:
		return o->common.version = true;
	case TUNE_FORCE:
		return o->force = true;
	case TUNE_EXIT_DIFF:
		return o->exit_diff = true;
	case TUNE_DISRUPTIVE:
		return o->disruptive = true;
	case TUNE_ROLLBACK:
		return o->rollback = true;
	case TUNE_PERSIST:
		return o->persist = true;
	case TUNE_CHECK:
		return o->check = true;
	case TUNE_ON_START:
		return o->on_start = true;
	case TUNE_WATCH:
		return o->watch = true;
	case TUNE_APPLY:
		return o->apply = true;
	default:
		return o->each_knob = true;
	}
}

/* -- the line --------------------------------------------------------------------------------- */

static bool take_word(struct parser *p, const char *word)
{
	if (p->command)
		return usage(p, "%s takes no argument: what is '%s'?", p->command, word);
	p->command = word;
	return true;
}

static bool parse(struct parser *p, int argc, char **argv)
{
	struct args args = { .table = option_table, .argc = argc, .argv = argv, .next = 1 };
	const struct args_option *option;
	const char *text;
	bool ok = true;

	while (ok) {
		switch (args_next(&args, &option, &text, p->error)) {
		case ARGS_END:
			return true;
		case ARGS_ERROR:
			return false;
		case ARGS_WORD:
			ok = take_word(p, text);
			break;
		case ARGS_OPTION:
			p->given |= option->bit;
			ok = option->value ? take_valued(p, option->bit, text)
					   : take_flag(p->o, option->bit);
			break;
		}
	}
	return false;
}

static bool find_command(struct parser *p, const struct tune_command **ret)
{
	const char *names[G_N_ELEMENTS(tune_commands)];
	size_t n = 0;

	for (const struct tune_command *c = tune_commands; c->name; c++) {
		names[n++] = c->name;
		if (!strcmp(c->name, p->command)) {
			*ret = c;
			return true;
		}
	}
	names[n] = NULL;
	return usage(p, "unknown subcommand '%s'; the nearest is %s", p->command,
		nearest_name(p->command, names));
}

/* An option of other subcommands: the nearest thing that is valid is one of those. */
static bool strange_option(struct parser *p, const struct tune_command *command, unsigned strange)
{
	g_autoptr(GString) others = g_string_new(NULL);

	strange &= -strange; /* the first */
	for (const struct tune_command *c = tune_commands; c->name; c++)
		if (c->options & strange)
			g_string_append_printf(others, "%s%s", others->len ? ", " : "", c->name);
	return usage(p, "%s does not know --%s, known to: %s", command->name,
		args_name(option_table, strange), others->str);
}

static bool check(struct parser *p, const struct tune_command **ret)
{
	struct tune_options *o = p->o;
	bool info = o->common.help || o->common.version;
	const struct tune_command *command;
	unsigned strange, missing;

	if (!p->command)
		return info || usage(p, "a subcommand is missing: show, plan, apply ...");
	if (!find_command(p, &command))
		return false;
	strange = p->given & ~(command->options | TUNE_COMMON);
	missing = command->required & ~p->given;
	if (strange)
		return strange_option(p, command, strange);
	if (missing && !info)
		return usage(
			p, "%s: --%s is missing", command->name, args_name(option_table, missing));
	if (o->on_start && (p->given & ~(TUNE_COMMON | TUNE_ON_START | TUNE_DEVICE)))
		return usage(p, "--on-start: everything else but --device is read from files");
	if (!o->seconds)
		o->seconds = o->watch ? 1 : command->seconds;
	*ret = command;
	return true;
}

enum exit_code tune_options_parse(int argc, char **argv, const struct tune_command **ret_command,
	struct tune_options *ret, char error[static COMMAND_ERROR_MAX])
{
	struct parser p = { .o = ret, .error = error };

	*ret_command = NULL;
	*ret = (struct tune_options){
		.common = { .run_dir = RUN_DIR_DEFAULT, .timeout_ms = DAEMON_MS },
		.root = "/",
		.only = KNOB_ALL,
		.irqbalance = IRQBALANCE_BAN,
	};
	error[0] = '\0';
	return parse(&p, argc, argv) && check(&p, ret_command) ? EXIT_OK : EXIT_USAGE;
}

/* -- help ------------------------------------------------------------------------------------- */

const struct args_option *tune_options_table(const struct tune_command *command, unsigned *ret_bits)
{
	*ret_bits = (command ? command->options : 0) | TUNE_COMMON;
	return option_table;
}

void tune_options_help(FILE *out, const struct tune_command *command)
{
	if (command) {
		fprintf(out, "Usage: lapwing tune %s [OPTION]...\n%s\n\n", command->name,
			command->help);
		args_help(out, option_table, command->options | TUNE_COMMON);
		return;
	}
	fputs("Usage: lapwing tune SUBCOMMAND [OPTION]...   See lapwing-tune(8).\n\n", out);
	for (const struct tune_command *c = tune_commands; c->name; c++)
		fprintf(out, "  %-12s %s\n", c->name, c->help);
	fputs("\nKnobs:\n", out);
	for (int knob = 0; knob < KNOBS; knob++)
		fprintf(out, "  %-12s %s\n", knob_name((enum knob)knob),
			knob_help((enum knob)knob));
	fputs("\n", out);
	args_help(out, option_table, TUNE_COMMON);
}
