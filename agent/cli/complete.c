/* agent/cli/complete.c - what a shell may offer next, from the tables of commands and options. */
#include "agent/cli/complete.h"

#include <glib.h>
#include <string.h>

#include "agent/cli/args.h"
#include "agent/cli/client.h"
#include "agent/cli/command.h"
#include "agent/cli/tune_options.h"

#define LEVELS "error|warn|info|debug"

/* Somebody waits with a finger on the key. */
enum { ASK_MS = 300 };

struct line {
	FILE *out;
	const char *run_dir;
	const char *word; /* the beginning that was written of it */
	const char *prefix; /* and what stands before that in the same word: "--only=" */
};

static void offer(const struct line *l, const char *text, const char *help)
{
	if (g_str_has_prefix(text, l->word))
		fprintf(l->out, "%s%s%s%s\n", l->prefix, text, help ? "\t" : "", help ? help : "");
}

/* -- values ----------------------------------------------------------------------------------- */

static void offer_choices(const struct line *l, const char *choices)
{
	g_auto(GStrv) words = g_strsplit(choices, "|", -1);

	for (char **word = words; *word; word++)
		offer(l, *word, NULL);
}

static void offer_peers(const struct line *l)
{
	struct options o = { .run_dir = l->run_dir, .timeout_ms = ASK_MS };
	struct failure f;
	json_t *root = client_ask_parsed(&o, client_request("peers"), &f), *peer;
	size_t i;

	json_array_foreach(json_object_get(root, "peers"), i, peer)
	{
		g_autofree char *name = text_safe(get_text(peer, "name"));

		if (*name)
			offer(l, name, get_text(peer, "state"));
	}
	json_decref(root);
}

static void offer_devices(const struct line *l)
{
	g_autoptr(GDir) dir = g_dir_open("/sys/class/net", 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		offer(l, name, NULL);
}

/* Names with commas between them: those that were written are not said again. */
static void offer_knobs(const struct line *l)
{
	const char *comma = strrchr(l->word, ',');
	g_autofree char *before = g_strndup(l->word, comma ? (size_t)(comma + 1 - l->word) : 0);
	g_autofree char *prefix = g_strconcat(l->prefix, before, NULL);
	g_auto(GStrv) written = g_strsplit(before, ",", -1);
	struct line last = *l;

	last.word += strlen(before);
	last.prefix = prefix;
	for (int knob = 0; knob < KNOBS; knob++)
		if (!g_strv_contains((const char *const *)written, knob_name((enum knob)knob)))
			offer(&last, knob_name((enum knob)knob), knob_help((enum knob)knob));
}

/* `kind` as the help writes it. */
static void offer_value(const struct line *l, const char *kind)
{
	if (strchr(kind, '|') || g_ascii_islower(kind[0])) /* words that are meant as they are */
		offer_choices(l, kind);
	else if (!strcmp(kind, "FILE"))
		fputs(":file\n", l->out);
	else if (!strcmp(kind, "DIR"))
		fputs(":dir\n", l->out);
	else if (!strcmp(kind, "PEER") || !strcmp(kind, "ADDR"))
		offer_peers(l);
	else if (!strcmp(kind, "DEV") || !strcmp(kind, "IF"))
		offer_devices(l);
	else if (!strcmp(kind, "LIST"))
		offer_knobs(l);
	else if (!strcmp(kind, "LEVEL"))
		offer_choices(l, LEVELS);
	else if (!strcmp(kind, "MODE"))
		for (int i = 0; irqbalance_mode_names[i]; i++)
			offer(l, irqbalance_mode_names[i], NULL);
}

/* The n-th word of "set|clear PEER" or "[FILE]", without brackets. */
static void offer_operand(const struct line *l, const char *argument, unsigned n)
{
	g_auto(GStrv) kinds = g_strsplit(argument ? argument : "", " ", -1);

	if (n >= g_strv_length(kinds))
		return;
	g_strdelimit(kinds[n], "[]", ' ');
	offer_value(l, g_strstrip(kinds[n]));
}

/* -- options ---------------------------------------------------------------------------------- */

static void offer_options(const struct line *l, const struct args_option *table, unsigned bits)
{
	for (const struct args_option *o = table; o->name; o++) {
		bool optional = o->value && o->value[0] == '[';
		g_autofree char *text = g_strconcat(
			"--", o->name, o->value && !optional ? "=" : "", NULL);

		if (o->bit & bits)
			offer(l, text, o->help);
	}
}

/* "--wait=re": of the options with that name the one of this command, if it takes a value. */
static void offer_attached(const struct line *l, const struct args_option *table, unsigned bits)
{
	const char *equals = strchr(l->word, '=');
	g_autofree char *prefix = g_strndup(l->word, (size_t)(equals + 1 - l->word));
	struct line value = { l->out, l->run_dir, equals + 1, prefix };

	for (const struct args_option *o = table; o->name; o++) {
		g_autofree char *text = g_strconcat("--", o->name, "=", NULL);
		g_autofree char *kind = g_strdup(o->value);

		if (!kind || !(o->bit & bits) || strcmp(text, prefix))
			continue;
		g_strdelimit(kind, "[=]", ' ');
		offer_value(&value, g_strstrip(kind));
	}
}

/* -- the line --------------------------------------------------------------------------------- */

struct words {
	const struct command *command;
	const struct tune_command *tune; /* of the command tune */
	unsigned n; /* operands of the command */
	bool lost; /* it is not known what the command is */
};

static void take_word(struct words *w, const char *word)
{
	if (w->command && w->command->run) {
		w->n++;
	} else if (w->command && !w->tune) {
		for (const struct tune_command *c = tune_commands; c->name; c++)
			if (!strcmp(c->name, word))
				w->tune = c;
		w->lost = !w->tune;
	} else if (!w->command) {
		for (const struct command *c = commands; c->name; c++)
			if (!strcmp(c->name, word))
				w->command = c;
		w->lost = !w->command;
	}
}

static void offer_word(const struct line *l, const struct words *w)
{
	if (!w->command)
		for (const struct command *c = commands; c->name; c++)
			offer(l, c->name, c->help);
	else if (w->command->run)
		offer_operand(l, w->command->argument, w->n);
	else if (!w->tune)
		for (const struct tune_command *c = tune_commands; c->name; c++)
			offer(l, c->name, c->help);
}

static const struct args_option *options_of(const struct words *w, unsigned *ret_bits)
{
	return w->command && !w->command->run ? tune_options_table(w->tune, ret_bits)
					      : command_options(w->command, ret_bits);
}

void complete(FILE *out, int argc, char **argv)
{
	struct line l = { out, RUN_DIR_DEFAULT, argc > 0 ? argv[argc - 1] : "", "" };
	struct args args = { .argc = argc - 1, .argv = argv };
	const struct args_option *option = NULL;
	char error[ARGS_ERROR_MAX];
	struct words w = { 0 };
	const char *text;
	enum args_kind kind;
	unsigned bits;

	args.table = options_of(&w, &bits);
	while ((kind = args_next(&args, &option, &text, error)) != ARGS_END) {
		if (kind == ARGS_WORD)
			take_word(&w, text);
		else if (kind == ARGS_OPTION && !strcmp(option->name, "run"))
			l.run_dir = text;
		else if (kind == ARGS_ERROR && option && args.next == args.argc &&
			!strchr(argv[args.argc - 1], '='))
			return offer_value(&l, option->value); /* which comes next */
		args.table = options_of(&w, &bits);
		option = NULL;
	}
	if (w.lost)
		return;
	if (args.words_only || l.word[0] != '-')
		offer_word(&l, &w);
	else if (strchr(l.word, '='))
		offer_attached(&l, args.table, bits);
	else
		offer_options(&l, args.table, bits);
}
