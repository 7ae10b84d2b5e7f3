/* agent/cli/args.c - a command line, argument by argument, by a table of options. */
#include "agent/cli/args.h"

#include <glib.h>
#include <string.h>

#include "agent/tune/knob.h"

/* By "name", "name=value" or a single letter. */
static const struct args_option *find_option(const struct args_option *table, const char *text)
{
	size_t len = strcspn(text, "=");

	if (text[0] != '-') {
		for (const struct args_option *o = table; o->name; o++)
			if (o->letter && text[0] == o->letter && !text[1])
				return o;
		return NULL;
	}
	text++;
	len--;
	for (const struct args_option *o = table; o->name; o++)
		if (strlen(o->name) == len && !memcmp(o->name, text, len))
			return o;
	return NULL;
}

static enum args_kind unknown_option(const struct args *args, const char *arg, char *error)
{
	g_autofree char *word = g_strndup(arg, strcspn(arg, "="));
	const char *names[ARGS_OPTIONS_MAX + 1];
	size_t n = 0;

	for (const struct args_option *o = args->table; o->name && n < ARGS_OPTIONS_MAX; o++)
		names[n++] = o->name;
	names[n] = NULL;
	if (g_str_has_prefix(word, "--") && word[2])
		g_snprintf(error, ARGS_ERROR_MAX, "unknown option '%s'; the nearest is --%s", word,
			nearest_name(word + 2, names));
	else
		g_snprintf(error, ARGS_ERROR_MAX, "unknown option '%s'", arg);
	return ARGS_ERROR;
}

/* Is it one of "[A|B]"? */
static bool is_listed(const char *list, const char *word)
{
	g_auto(GStrv) words = g_strsplit_set(list, "[|]", -1);

	return *word && g_strv_contains((const char *const *)words, word);
}

/* Takes with the option the next argument where it is its value. */
static enum args_kind take_option(struct args *args, const char *arg,
	const struct args_option *option, const char **ret_value, char *error)
{
	const char *equals = strchr(arg, '=');

	*ret_value = equals ? equals + 1 : NULL;
	if (equals && !option->value) {
		g_snprintf(error, ARGS_ERROR_MAX, "--%s takes no value", option->name);
		return ARGS_ERROR;
	}
	if (option->value && option->value[0] == '[' && option->value[1] != '=' && !equals &&
		args->next < args->argc && is_listed(option->value, args->argv[args->next]))
		*ret_value = args->argv[args->next++];
	if (equals || !option->value || option->value[0] == '[')
		return ARGS_OPTION;
	if (args->next == args->argc) {
		g_snprintf(
			error, ARGS_ERROR_MAX, "--%s: %s is missing", option->name, option->value);
		return ARGS_ERROR;
	}
	*ret_value = args->argv[args->next++];
	return ARGS_OPTION;
}

enum args_kind args_next(struct args *args, const struct args_option **ret_option,
	const char **ret_text, char error[static ARGS_ERROR_MAX])
{
	const char *arg;

	if (!args->words_only && args->next < args->argc && !strcmp(args->argv[args->next], "--")) {
		args->words_only = true;
		args->next++;
	}
	if (args->next >= args->argc)
		return ARGS_END;
	arg = *ret_text = args->argv[args->next++];
	if (args->words_only || arg[0] != '-' || !arg[1])
		return ARGS_WORD;
	*ret_option = find_option(args->table, arg + 1);
	if (!*ret_option)
		return unknown_option(args, arg, error);
	return take_option(args, arg, *ret_option, ret_text, error);
}

const char *args_name(const struct args_option *table, unsigned bits)
{
	for (const struct args_option *o = table; o->name; o++)
		if (o->bit & bits)
			return o->name;
	return "";
}

void args_help(FILE *out, const struct args_option *table, unsigned bits)
{
	for (const struct args_option *o = table; o->name; o++) {
		g_autofree char *letter = o->letter ? g_strdup_printf("-%c, ", o->letter) : NULL;
		g_autofree char *text = g_strdup_printf("%s--%s%s%s", letter ? letter : "", o->name,
			o->value && o->value[0] != '[' ? "=" : "", o->value ? o->value : "");

		if (o->bit & bits)
			fprintf(out, "  %-22s %s\n", text, o->help);
	}
}
