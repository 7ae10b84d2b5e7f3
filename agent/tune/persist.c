/* agent/tune/persist.c - what stays over a restart. */
#include "agent/tune/persist.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"
#include "agent/tune/journal.h"

#define SCHEMA "lapwing.tune.options/1"
#define WANTS_PATH "/etc/systemd/system/multi-user.target.wants/" PERSIST_UNIT

enum { FILE_MAX = 64 * 1024 };

/* -- files ------------------------------------------------------------------------------------ */

/* What is done to them. */
struct files {
	const char *root;
	bool check; /* only find out what would be changed */
	bool *ret_changed;
	char *error; /* 256 */
};

static int explain(int r, const char *path, const struct files *f)
{
	g_snprintf(f->error, 256, "%s: %s", path, g_strerror(-r));
	return r;
}

/* Only when it is not there with this text. */
static int put_file(
	const struct files *f, const char *name, const char *text, mode_t mode, mode_t folder_mode)
{
	g_autofree char *path = g_build_filename(f->root, name, NULL), *old = NULL;
	size_t len;
	int r = file_read(path, FILE_MAX, &old, &len);

	if (r == 0 && !strcmp(old, text))
		return 0;
	r = f->check ? 0 : file_make_parent(path, folder_mode);
	if (r == 0 && !f->check)
		r = file_write(path, text, strlen(text), mode);
	if (r < 0)
		return explain(r, path, f);
	*f->ret_changed = true;
	return 0;
}

static int remove_file(const struct files *f, const char *name)
{
	g_autofree char *path = g_build_filename(f->root, name, NULL);
	struct stat st;

	if ((f->check ? lstat(path, &st) : unlink(path)) == 0)
		*f->ret_changed = true;
	else if (errno != ENOENT && errno != ENOTDIR)
		return explain(-errno, path, f);
	return 0;
}

/* -- sysctl.d --------------------------------------------------------------------------------- */

/* "/proc/sys/net/core/rmem_max" to "net.core.rmem_max". */
static char *key_of(const char *path)
{
	return g_strdelimit(g_strdup(path + strlen("/proc/sys/")), "/", '.');
}

static char *format_sysctls(const struct plan *plan, const struct journal *journal)
{
	GString *out = g_string_new(NULL);

	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];
		const struct journal_entry *e = item->sysctl ? journal_find(journal, item) : NULL;
		g_autofree char *key = NULL, *value = NULL;

		if (!e || !g_str_has_prefix(item->path, "/proc/sys/"))
			continue;
		key = key_of(item->path);
		value = g_strdelimit(g_strdup(e->written), "\t\n", ' ');
		/* That module may not be there yet. */
		g_string_append_printf(out, "%s%s = %s\n",
			g_str_has_prefix(key, "net.netfilter.") ? "-" : "", key, value);
	}
	if (out->len)
		g_string_prepend(out,
			"# Written by lapwing tune apply --persist, removed by lapwing "
			"tune revert: see lapwing-tune(8).\n");
	return g_string_free(out, FALSE);
}

static int put_sysctls(const struct files *f, const struct plan *plan)
{
	g_autofree char *text = NULL;
	struct journal *journal;
	int r = journal_load(f->root, &journal, f->error);

	if (r < 0)
		return r;
	text = format_sysctls(plan, journal);
	journal_free(journal);
	if (!text[0])
		return remove_file(f, PERSIST_SYSCTL_PATH);
	return put_file(f, PERSIST_SYSCTL_PATH, text, 0644, 0755);
}

/* -- options ---------------------------------------------------------------------------------- */

static void write_knobs(GString *out, const char *key, uint32_t knobs)
{
	jwrite_open(out, key, '[');
	for (unsigned i = 0; i < KNOBS; i++)
		if (knobs & UINT32_C(1) << i)
			jwrite_string(out, NULL, knob_name((enum knob)i));
	jwrite_close(out, ']');
}

/* All knobs are not written as a list, so that a later version's are among them. */
static char *format_options(const struct persist_options *o)
{
	GString *out = g_string_new(NULL);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "schema", SCHEMA);
	if ((o->only & KNOB_ALL) != KNOB_ALL)
		write_knobs(out, "only", o->only);
	write_knobs(out, "skip", o->skip);
	jwrite_string(out, "irqbalance", irqbalance_mode_names[o->irqbalance]);
	jwrite_bool(out, "force", o->force);
	jwrite_bool(out, "disruptive", o->disruptive);
	if (o->underlay)
		jwrite_string(out, "underlay", o->underlay);
	if (o->iface)
		jwrite_string(out, "iface", o->iface);
	jwrite_close(out, '}');
	g_string_append_c(out, '\n');
	return g_string_free(out, FALSE);
}

static void read_schema(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	if (!r->error && (s.len != strlen(SCHEMA) || memcmp(s.s, SCHEMA, s.len) != 0))
		jread_fail(r, "not " SCHEMA);
}

static void read_knob(struct jread *r, void *into)
{
	struct slice s = jread_string(r);
	g_autofree char *name = g_strndup(s.s, s.len);
	uint32_t *knobs = into;
	const char *nearest;
	int knob = knob_find(name, &nearest);

	if (knob < 0)
		return jread_fail(r, "an unknown knob");
	*knobs |= UINT32_C(1) << knob;
}

static void read_only(struct jread *r, void *into)
{
	struct persist_options *o = into;

	o->only = 0;
	jread_array(r, KNOBS, read_knob, &o->only);
}

static void read_skip(struct jread *r, void *into)
{
	jread_array(r, KNOBS, read_knob, &((struct persist_options *)into)->skip);
}

static void read_irqbalance(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	for (unsigned i = 0; irqbalance_mode_names[i]; i++)
		if (strlen(irqbalance_mode_names[i]) == s.len &&
			!memcmp(irqbalance_mode_names[i], s.s, s.len)) {
			((struct persist_options *)into)->irqbalance = (enum irqbalance_mode)i;
			return;
		}
	jread_fail(r, "\"ban\", \"stop\" or \"keep\" is wanted");
}

static void read_force(struct jread *r, void *into)
{
	((struct persist_options *)into)->force = jread_bool(r);
}

static void read_disruptive(struct jread *r, void *into)
{
	((struct persist_options *)into)->disruptive = jread_bool(r);
}

static void read_device(struct jread *r, char **ret)
{
	struct slice s = jread_string(r);

	if (!s.len || s.len >= IFNAMSIZ)
		return jread_fail(r, "not the name of an interface");
	*ret = g_strndup(s.s, s.len);
}

static void read_underlay(struct jread *r, void *into)
{
	read_device(r, &((struct persist_options *)into)->underlay);
}

static void read_iface(struct jread *r, void *into)
{
	read_device(r, &((struct persist_options *)into)->iface);
}

static const struct jread_field option_fields[] = {
	{ "schema", read_schema, true },
	{ "only", read_only, false },
	{ "skip", read_skip, true },
	{ "irqbalance", read_irqbalance, true },
	{ "force", read_force, true },
	{ "disruptive", read_disruptive, true },
	{ "underlay", read_underlay, false },
	{ "iface", read_iface, false },
};

int persist_load(const char *root, struct persist_options *ret, char error[static 256])
{
	g_autofree char *path = g_build_filename(root, PERSIST_OPTIONS_PATH, NULL), *text = NULL;
	struct persist_options options = { .only = KNOB_ALL };
	struct jread reader;
	size_t len;
	int r = file_read(path, FILE_MAX, &text, &len);

	if (r < 0) {
		file_explain(r, path, FILE_MAX, error, 256);
		return r;
	}
	jread_init(&reader, text, len);
	jread_object(&reader, option_fields, G_N_ELEMENTS(option_fields), &options);
	if (jread_finish(&reader)) {
		g_snprintf(error, 256, "%s: %s", path, reader.message);
		persist_options_clear(&options);
		return -EBADMSG;
	}
	*ret = options;
	return 0;
}

void persist_options_clear(struct persist_options *options)
{
	g_clear_pointer(&options->underlay, g_free);
	g_clear_pointer(&options->iface, g_free);
}

/* -- the unit --------------------------------------------------------------------------------- */

/* NULL: it is not installed. */
static const char *find_unit(const char *root)
{
	static const char *const paths[] = {
		"/etc/systemd/system/" PERSIST_UNIT,
		"/usr/local/lib/systemd/system/" PERSIST_UNIT,
		"/usr/lib/systemd/system/" PERSIST_UNIT,
		"/lib/systemd/system/" PERSIST_UNIT,
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
		g_autofree char *path = g_build_filename(root, paths[i], NULL);

		if (access(path, F_OK) == 0)
			return paths[i];
	}
	return NULL;
}

/* As systemctl enable does it; in effect from the next start on. */
static int enable_unit(const struct files *f, const char *unit)
{
	g_autofree char *path = g_build_filename(f->root, WANTS_PATH, NULL);
	struct stat st;
	int r;

	if (lstat(path, &st) == 0)
		return 0;
	r = f->check ? 0 : file_make_parent(path, 0755);
	if (r == 0 && !f->check && symlink(unit, path) < 0)
		r = -errno;
	if (r < 0)
		return explain(r, path, f);
	*f->ret_changed = true;
	return 0;
}

int persist_write(const char *root, const struct plan *plan, const struct persist_options *options,
	bool check, bool *ret_changed, char error[static 256])
{
	const struct files f = { root, check, ret_changed, error };
	g_autofree char *text = format_options(options);
	const char *unit = find_unit(root);
	int r;

	*ret_changed = false;
	if (!unit) {
		g_strlcpy(error,
			PERSIST_UNIT " is not installed, so nothing can be applied at the next "
				     "start: nothing was written for it",
			256);
		return -ENOENT;
	}
	r = put_sysctls(&f, plan);
	if (r == 0)
		r = put_file(&f, PERSIST_OPTIONS_PATH, text, 0600, JOURNAL_FOLDER_MODE);
	return r == 0 ? enable_unit(&f, unit) : r;
}

int persist_remove(const char *root, bool check, bool *ret_changed, char error[static 256])
{
	static const char *const paths[] = { WANTS_PATH, PERSIST_OPTIONS_PATH,
		PERSIST_SYSCTL_PATH };
	const struct files f = { root, check, ret_changed, error };

	*ret_changed = false;
	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
		int r = remove_file(&f, paths[i]);

		if (r < 0)
			return r;
	}
	return 0;
}
