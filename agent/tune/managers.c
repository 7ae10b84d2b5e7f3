/* agent/tune/managers.c - who else is known to set what we set. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/tune/apply.h"
#include "agent/tune/persist.h"

enum { NAMES_MAX = 6, PROFILES_MAX = 8, SHOWN_MAX = 128 };

/* How others call a setting, in "NAME=VALUE". */
static const struct alias {
	enum knob knob;
	const char *tuned[2], *link[NAMES_MAX];
} aliases[] = {
	{ KNOB_CHANNELS, { "channels" },
		{ "RxChannels", "TxChannels", "OtherChannels", "CombinedChannels" } },
	{ KNOB_RINGS, { "ring" }, { "RxBufferSize", "TxBufferSize" } },
	{ KNOB_MTU, { "mtu" }, { "MTUBytes" } },
	{ KNOB_GRO, { "features" }, { NULL } },
	{ KNOB_RPS, { NULL }, { "ReceivePacketSteeringCPUMask" } },
};

static void add_manager(GString *out, const char *before, const char *name, const char *after)
{
	char shown[SHOWN_MAX];

	text_escape(shown, sizeof(shown), name, strlen(name));
	g_string_append_printf(out, "%s%s%s%s", out->len ? ", " : "", before, shown, after);
}

/* -- files of "NAME=VALUE" -------------------------------------------------------------------- */

/* NULL: the line sets nothing. */
static char *key_of_line(const char *line)
{
	const char *equals = strchr(line, '=');
	char *key;

	line += strspn(line, " \t-");
	if (!equals || strchr("#;=", line[0]))
		return NULL;
	key = g_strstrip(g_strndup(line, (size_t)(equals - line)));
	return g_strdelimit(key, "/", '.');
}

/* Does it set one of these names? A key may have wildcards, as in sysctl.d(5). */
static bool text_sets(const char *text, const char *const *names)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_autofree char *key = key_of_line(*line);

		for (unsigned i = 0; key && names[i]; i++)
			if (fnmatch(key, names[i], 0) == 0)
				return true;
	}
	return false;
}

static bool file_sets(const struct tree *tree, const char *path, const char *const *names)
{
	g_autofree char *text = NULL;

	return tree_read(tree, path, &text) == 0 && text_sets(text, names);
}

/* -- each of them ----------------------------------------------------------------------------- */

/* The last file that sets it decides. */
static void find_sysctl_file(const struct tree *tree, const char *key, GString *out)
{
	static const char *const folders[] = { "/etc/sysctl.d", "/run/sysctl.d",
		"/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(tree, folders, ".conf");
	const char *names[] = { key, NULL }, *last = NULL;

	g_ptr_array_add(paths, g_strdup("/etc/sysctl.conf"));
	for (unsigned i = 0; i < paths->len; i++)
		if (file_sets(tree, paths->pdata[i], names))
			last = paths->pdata[i];
	if (last && strcmp(last, PERSIST_SYSCTL_PATH) != 0)
		add_manager(out, "", last, "");
}

static void find_link_files(const struct tree *tree, const char *const *names, GString *out)
{
	static const char *const folders[] = { "/etc/systemd/network", "/run/systemd/network",
		"/usr/local/lib/systemd/network", "/usr/lib/systemd/network", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(tree, folders, ".link");

	for (unsigned i = 0; i < paths->len; i++)
		if (file_sets(tree, paths->pdata[i], names))
			add_manager(out, "", paths->pdata[i], "");
}

/* Fresh text of a profile of tuned; NULL: there is none. */
static char *read_profile(const struct tree *tree, const char *name)
{
	static const char *const folders[] = { "/etc/tuned/profiles", "/etc/tuned",
		"/usr/lib/tuned/profiles", "/usr/lib/tuned" };
	char *text;

	for (unsigned i = 0; i < G_N_ELEMENTS(folders); i++) {
		g_autofree char *path = g_build_filename(folders[i], name, "tuned.conf", NULL);

		if (tree_read(tree, path, &text) == 0)
			return text;
	}
	return NULL;
}

/* Adds the profiles that this one includes. */
static void add_includes(GPtrArray *profiles, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_autofree char *key = key_of_line(*line);
		g_auto(GStrv) words = NULL;

		if (!key || strcmp(key, "include") != 0)
			continue;
		words = g_strsplit_set(strchr(*line, '=') + 1, " \t,;", -1);
		for (char **word = words; *word; word++)
			if (**word && !strchr(*word, '/') && profiles->len < PROFILES_MAX)
				g_ptr_array_add(profiles, g_strdup(*word));
	}
}

static void find_tuned(const struct tree *tree, const char *const *names, GString *out)
{
	g_autoptr(GPtrArray) profiles = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *active = NULL, *as_include = NULL;

	if (tree_read(tree, "/etc/tuned/active_profile", &active) < 0)
		return;
	as_include = g_strconcat("include=", active, NULL);
	add_includes(profiles, as_include);
	for (unsigned i = 0; i < profiles->len; i++) {
		g_autofree char *text = read_profile(tree, profiles->pdata[i]);

		if (text && text_sets(text, names))
			return add_manager(out, "tuned (profile ", active, ")");
		if (text)
			add_includes(profiles, text);
	}
}

static bool has_process(const struct tree *tree, const char *name)
{
	g_autoptr(GPtrArray) names = NULL;

	if (tree_list(tree, "/proc", &names) < 0)
		return false;
	for (unsigned i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename("/proc", names->pdata[i], "comm", NULL);
		g_autofree char *comm = NULL;

		if (g_ascii_isdigit(((const char *)names->pdata[i])[0]) &&
			tree_read(tree, path, &comm) == 0 && !strcmp(comm, name))
			return true;
	}
	return false;
}

static bool irqbalance_has(const struct host *host, const struct item *item)
{
	unsigned number;

	if (host->irqbalance == IRQBALANCE_NONE ||
		sscanf(item->path, "/proc/irq/%u/", &number) != 1)
		return false;
	for (unsigned i = 0; i < host->banned->len; i++)
		if (g_array_index(host->banned, unsigned, i) == number)
			return false;
	return true;
}

/* -- all of them ------------------------------------------------------------------------------ */

static void find_by_alias(const struct tree *tree, enum knob knob, GString *out)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(aliases); i++) {
		if (aliases[i].knob != knob)
			continue;
		find_tuned(tree, aliases[i].tuned, out);
		find_link_files(tree, aliases[i].link, out);
	}
}

char *managers_of(const struct tree *tree, const struct host *host, const struct item *item)
{
	static const char sysctls[] = "/proc/sys/";
	GString *out = g_string_new(NULL);

	if (item->path && g_str_has_prefix(item->path, sysctls)) {
		g_autofree char *key = g_strdelimit(
			g_strdup(item->path + strlen(sysctls)), "/", '.');
		const char *names[] = { key, NULL };

		find_tuned(tree, names, out);
		if (has_process(tree, "bpftune"))
			add_manager(out, "", "bpftune", "");
		find_sysctl_file(tree, key, out);
	} else if (item->knob == KNOB_IRQ && irqbalance_has(host, item)) {
		add_manager(out, "", "irqbalance", "");
	} else {
		find_by_alias(tree, item->knob, out);
	}
	return g_string_free(out, !out->len);
}
