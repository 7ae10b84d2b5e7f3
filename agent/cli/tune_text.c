/* agent/cli/tune_text.c - values and objects of tune as people can read them. */
#include <string.h>

#include "agent/cli/output.h"
#include "agent/cli/tune_output.h"

enum { VALUE_MAX = 40, RSS_QUEUES_MAX = 4096 };

static char *mask_text(const char *value)
{
	g_autofree char *list = NULL;
	struct cpuset set;

	if (cpuset_parse_mask(value, &set) < 0)
		return NULL;
	if (cpuset_is_empty(&set))
		return g_strdup("none");
	list = cpuset_format_list(&set);
	return g_strdup_printf("%s %s", cpuset_count(&set) > 1 ? "CPUs" : "CPU", list);
}

/* Even: no queue has more than one entry more than another. */
static char *rss_text(const char *value)
{
	g_auto(GStrv) words = g_strsplit(value, " ", -1);
	guint shares[RSS_QUEUES_MAX] = { 0 }, queues = 0, least = G_MAXUINT, most = 0;
	guint64 queue;

	for (char **word = words; *word; word++) {
		if (!g_ascii_string_to_unsigned(*word, 10, 0, RSS_QUEUES_MAX - 1, &queue, NULL))
			return NULL;
		shares[queue]++;
	}
	for (size_t i = 0; i < RSS_QUEUES_MAX; i++) {
		if (!shares[i])
			continue;
		queues++;
		least = MIN(least, shares[i]);
		most = MAX(most, shares[i]);
	}
	return g_strdup_printf("%s over %u queue%s", most - least <= 1 ? "even" : "uneven", queues,
		queues == 1 ? "" : "s");
}

/* "mq fq fq fq" is "mq 3 fq". */
static char *qdisc_text(const char *value)
{
	g_auto(GStrv) words = g_strsplit(value, " ", -1);
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0, n; words[i]; i += n) {
		for (n = 1; words[i + n] && !strcmp(words[i], words[i + n]);)
			n++;
		if (n > 1)
			g_string_append_printf(text, "%u ", n);
		g_string_append_printf(text, "%s%s", words[i], words[i + n] ? " " : "");
	}
	return text_safe(text->str);
}

/* "rx 0 tx 0 combined 4" is "combined 4". */
static char *channels_text(const char *value)
{
	g_auto(GStrv) words = g_strsplit(value, " ", -1);
	g_autoptr(GString) text = g_string_new(NULL);

	for (guint i = 0; words[i] && words[i + 1]; i += 2)
		if (strcmp(words[i + 1], "0"))
			g_string_append_printf(
				text, "%s%s %s", text->len ? " " : "", words[i], words[i + 1]);
	return text_safe(text->str);
}

/* Not longer than VALUE_MAX characters. */
static char *plain_text(const char *value)
{
	g_autofree char *spaced = g_strdelimit(g_strdup(value), "\t", ' ');
	g_autofree char *safe = text_safe(spaced), *head = NULL;

	if (!*safe)
		return g_strdup("none");
	if (g_utf8_strlen(safe, -1) <= VALUE_MAX)
		return g_steal_pointer(&safe);
	head = g_utf8_substring(safe, 0, VALUE_MAX - 3);
	return g_strconcat(head, "...", NULL);
}

char *tune_value_text(enum knob knob, const char *value)
{
	char *text = NULL;

	if (!value)
		return g_strdup("-");
	if (knob == KNOB_RPS || knob == KNOB_XPS || knob == KNOB_IRQ)
		text = mask_text(value);
	else if (knob == KNOB_RSS)
		text = rss_text(value);
	else if (knob == KNOB_QDISC)
		text = qdisc_text(value);
	else if (knob == KNOB_CHANNELS)
		text = channels_text(value);
	if (text && *text)
		return text;
	g_free(text);
	return plain_text(value);
}

char *tune_item_id(enum knob knob, const char *object)
{
	GString *id = g_string_new(knob_name(knob));
	bool named = g_str_has_prefix(object, id->str) && object[id->len] == ' '; /* "irq 35" */

	object += named ? id->len : 0;
	for (const char *c = object; *c; c++) {
		bool plain = g_ascii_isalnum(*c) || strchr("._-:", *c);
		bool begins = c == object || !(g_ascii_isalnum(c[-1]) || strchr("._-:", c[-1]));

		if (plain && begins)
			g_string_append_c(id, '.');
		if (plain)
			g_string_append_c(id, *c);
	}
	return g_string_free(id, FALSE);
}
