/* agent/tune/journal_file.c - the file of the journal. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"
#include "agent/tune/journal.h"

#define SCHEMA "lapwing.tune.originals/1"

/* A longer value is a list of pieces: the reader's strings are limited. */
enum { PIECE_MAX = JREAD_STRING_MAX / 4, PIECES_MAX = NIC_VALUE_MAX / PIECE_MAX + 1 };

static const char *const where_names[] = { "file", "nic", "irqbalance", NULL };
static const char *const form_names[] = { "text", "numbers", "mask", NULL };

/* -- reading ---------------------------------------------------------------------------------- */

static void read_text(struct jread *r, char **ret)
{
	struct slice s = jread_string(r);

	*ret = g_strndup(s.s, s.len);
}

static void read_fixed(struct jread *r, char *ret, size_t size)
{
	struct slice s = jread_string(r);

	if (s.len >= size)
		return jread_fail(r, "longer than %zu bytes", size - 1);
	memcpy(ret, s.s, s.len);
}

/* The index of the name in a list. */
static unsigned read_name(struct jread *r, const char *const *names)
{
	struct slice s = jread_string(r);

	for (unsigned i = 0; names[i]; i++)
		if (strlen(names[i]) == s.len && !memcmp(names[i], s.s, s.len))
			return i;
	jread_fail(r, "an unknown name");
	return 0;
}

static void read_piece(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	g_string_append_len(into, s.s, (gssize)s.len);
}

static void read_value(struct jread *r, char **ret)
{
	GString *text;

	if (jread_peek(r) != '[')
		return read_text(r, ret);
	text = g_string_new(NULL);
	jread_array(r, PIECES_MAX, read_piece, text);
	*ret = g_string_free(text, FALSE);
}

static void read_knob(struct jread *r, void *into)
{
	struct slice s = jread_string(r);
	g_autofree char *name = g_strndup(s.s, s.len);
	const char *nearest;
	int knob = knob_find(name, &nearest);

	if (knob < 0)
		return jread_fail(r, "an unknown knob");
	((struct journal_entry *)into)->knob = (enum knob)knob;
}

static void read_where(struct jread *r, void *into)
{
	((struct journal_entry *)into)->where = (enum item_where)read_name(r, where_names);
}

static void read_form(struct jread *r, void *into)
{
	((struct journal_entry *)into)->form = (enum item_form)read_name(r, form_names);
}

static void read_attr(struct jread *r, void *into)
{
	const char *names[NIC_ATTRS + 1] = { NULL };

	for (unsigned i = 0; i < NIC_ATTRS; i++)
		names[i] = nic_attr_name((enum nic_attr)i);
	((struct journal_entry *)into)->attr = (enum nic_attr)read_name(r, names);
}

static void read_queue(struct jread *r, void *into)
{
	((struct journal_entry *)into)->queue = (int)jread_int(r, 0, HOST_QUEUES_MAX);
}

static void read_nth(struct jread *r, void *into)
{
	((struct journal_entry *)into)->nth = (int)jread_int(r, 0, HOST_IRQS_MAX);
}

static void read_sysctl(struct jread *r, void *into)
{
	((struct journal_entry *)into)->sysctl = jread_bool(r);
}

static void read_disruptive(struct jread *r, void *into)
{
	((struct journal_entry *)into)->disruptive = jread_bool(r);
}

static void read_object(struct jread *r, void *into)
{
	read_text(r, &((struct journal_entry *)into)->object);
}

static void read_device(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_text(r, &e->device);
	if (!e->device[0] || strlen(e->device) >= IFNAMSIZ || strchr(e->device, '/'))
		jread_fail(r, "not the name of an interface");
}

/* Root writes there: nothing but what is the kernel's. */
static void read_path(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_text(r, &e->path);
	if (strlen(e->path) >= TREE_PATH_MAX ||
		(!g_str_has_prefix(e->path, "/proc/") && !g_str_has_prefix(e->path, "/sys/")))
		jread_fail(r, "not a file of a setting");
}

static void read_driver(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_fixed(r, e->identity.driver, sizeof(e->identity.driver));
}

static void read_bus(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_fixed(r, e->identity.bus, sizeof(e->identity.bus));
}

static void read_address(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_fixed(r, e->identity.address, sizeof(e->identity.address));
}

static void read_boot_id(struct jread *r, void *into)
{
	struct journal_entry *e = into;

	read_fixed(r, e->boot_id, sizeof(e->boot_id));
}

static void read_original(struct jread *r, void *into)
{
	read_value(r, &((struct journal_entry *)into)->original);
}

static void read_written(struct jread *r, void *into)
{
	read_value(r, &((struct journal_entry *)into)->written);
}

static void read_stood(struct jread *r, void *into)
{
	read_value(r, &((struct journal_entry *)into)->stood);
}

static void read_refused(struct jread *r, void *into)
{
	read_value(r, &((struct journal_entry *)into)->refused);
}

static const struct jread_field entry_fields[] = {
	{ "knob", read_knob, true },
	{ "where", read_where, true },
	{ "form", read_form, true },
	{ "attribute", read_attr, false },
	{ "queue", read_queue, false },
	{ "nth", read_nth, false },
	{ "sysctl", read_sysctl, false },
	{ "disruptive", read_disruptive, false },
	{ "object", read_object, true },
	{ "device", read_device, false },
	{ "path", read_path, false },
	{ "driver", read_driver, false },
	{ "bus", read_bus, false },
	{ "address", read_address, false },
	{ "boot_id", read_boot_id, true },
	{ "original", read_original, true },
	{ "written", read_written, true },
	{ "stood", read_stood, false },
	{ "refused", read_refused, false },
};

static void read_entry(struct jread *r, void *into)
{
	struct journal *j = into;
	struct journal_entry *e = g_new0(struct journal_entry, 1);

	e->queue = -1;
	e->attr = NIC_ATTRS;
	g_ptr_array_add(j->entries, e);
	jread_object(r, entry_fields, G_N_ELEMENTS(entry_fields), e);
	if (e->where == ITEM_FILE && !e->path)
		jread_fail(r, "\"path\" is missing");
	if (e->where == ITEM_NIC && (!e->device || e->attr == NIC_ATTRS))
		jread_fail(r, "\"device\" or \"attribute\" is missing");
}

static void read_schema(struct jread *r, void *into)
{
	static const char *const names[] = { SCHEMA, NULL };

	read_name(r, names);
}

static void read_entries(struct jread *r, void *into)
{
	jread_array(r, JOURNAL_ENTRIES_MAX, read_entry, into);
}

static const struct jread_field document_fields[] = {
	{ "schema", read_schema, true },
	{ "entries", read_entries, true },
};

int journal_load(const char *root, struct journal **ret, char error[static 256])
{
	g_autofree char *path = g_build_filename(root, JOURNAL_PATH, NULL), *text = NULL;
	struct journal *j;
	struct jread reader;
	size_t len;
	int r = file_read(path, JOURNAL_BYTES_MAX, &text, &len);

	if (r == -ENOENT) {
		*ret = journal_new();
		return 0;
	}
	if (r < 0) {
		file_explain(r, path, JOURNAL_BYTES_MAX, error, 256);
		return r;
	}
	j = journal_new();
	jread_init(&reader, text, len);
	jread_object(&reader, document_fields, G_N_ELEMENTS(document_fields), j);
	if (jread_finish(&reader)) {
		g_snprintf(error, 256, "%s: %s", path, reader.message);
		journal_free(j);
		return -EBADMSG;
	}
	*ret = j;
	return 0;
}

/* -- writing ---------------------------------------------------------------------------------- */

static void write_text(GString *out, const char *key, const char *text)
{
	if (text && text[0])
		jwrite_string(out, key, text);
}

static void write_value(GString *out, const char *key, const char *value)
{
	size_t len = strlen(value);

	if (len <= PIECE_MAX)
		return jwrite_string(out, key, value);
	jwrite_open(out, key, '[');
	for (size_t at = 0; at < len; at += PIECE_MAX) {
		g_autofree char *piece = g_strndup(value + at, PIECE_MAX);

		jwrite_string(out, NULL, piece);
	}
	jwrite_close(out, ']');
}

static void write_entry(GString *out, const struct journal_entry *e)
{
	jwrite_open(out, NULL, '{');
	jwrite_string(out, "knob", knob_name(e->knob));
	jwrite_string(out, "where", where_names[e->where]);
	jwrite_string(out, "form", form_names[e->form]);
	if (e->where == ITEM_NIC)
		jwrite_string(out, "attribute", nic_attr_name(e->attr));
	if (e->queue >= 0) {
		jwrite_int(out, "queue", e->queue);
		jwrite_int(out, "nth", e->nth);
	}
	if (e->sysctl)
		jwrite_bool(out, "sysctl", true);
	if (e->disruptive)
		jwrite_bool(out, "disruptive", true);
	jwrite_string(out, "object", e->object);
	write_text(out, "device", e->device);
	write_text(out, "path", e->path);
	write_text(out, "driver", e->identity.driver);
	write_text(out, "bus", e->identity.bus);
	write_text(out, "address", e->identity.address);
	jwrite_string(out, "boot_id", e->boot_id);
	write_value(out, "original", e->original);
	write_value(out, "written", e->written);
	if (e->stood)
		write_value(out, "stood", e->stood);
	if (e->refused)
		write_value(out, "refused", e->refused);
	jwrite_close(out, '}');
}

/* Each on its own line, so that errors name one. */
static GString *format_journal(const struct journal *journal)
{
	GString *out = g_string_new(NULL);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "schema", SCHEMA);
	jwrite_open(out, "entries", '[');
	for (unsigned i = 0; i < journal->entries->len; i++) {
		g_string_append(out, i ? ",\n" : "\n");
		write_entry(out, journal->entries->pdata[i]);
	}
	jwrite_close(out, ']');
	jwrite_close(out, '}');
	g_string_append_c(out, '\n');
	return out;
}

int journal_save(const char *root, const struct journal *journal)
{
	g_autofree char *path = g_build_filename(root, JOURNAL_PATH, NULL);
	GString *text;
	int r;

	if (!journal->entries->len)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	r = file_make_parent(path, JOURNAL_FOLDER_MODE);
	if (r < 0)
		return r;
	text = format_journal(journal);
	r = text->len > JOURNAL_BYTES_MAX ? -EFBIG
					  : file_write(path, text->str, text->len, JOURNAL_MODE);
	g_string_free(text, TRUE);
	return r;
}

int journal_lock(const char *root, int *ret_fd)
{
	g_autofree char *path = g_build_filename(root, JOURNAL_PATH, NULL);
	g_autofree char *folder = g_path_get_dirname(path);
	_auto_close_ int fd = -1;
	int r = file_make_parent(path, JOURNAL_FOLDER_MODE);

	if (r < 0)
		return r;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return -errno;
	*ret_fd = fd;
	fd = -1;
	return 0;
}
