/* agent/tune/undo.c - takes one run of apply back: to what was there before it, not to the originals. */
#include <errno.h>

#include "agent/base/auto.h"
#include "agent/tune/setting.h"

struct undo {
	struct tuner *t;
	struct journal *journal, *earlier;
	GArray *restores; /* struct restore */
};

static struct journal_entry *find_entry(const struct journal *journal, const struct outcome *o)
{
	for (unsigned i = 0; i < journal->entries->len; i++) {
		struct journal_entry *e = journal->entries->pdata[i];

		if (!e->gone && e->knob == o->knob && !g_strcmp0(e->object, o->object))
			return e;
	}
	return NULL;
}

/* What is still as it was applied; all are looked at before the first is written. */
static void collect(struct undo *u, const struct outcomes *applied)
{
	for (unsigned i = 0; i < applied->list->len; i++) {
		const struct outcome *o = applied->list->pdata[i];
		struct restore restore = { .value = o->before };
		g_autofree char *live = NULL;
		struct item item;

		if (o->result != OUTCOME_CHANGED)
			continue;
		restore.entry = find_entry(u->journal, o);
		if (!restore.entry)
			continue;
		item = journal_item(restore.entry);
		if (item_read(u->t, &item, &live) == 0 && journal_is_ours(restore.entry, live))
			g_array_append_val(u->restores, restore);
	}
}

/* 0, or the first error. */
static int put_back(struct undo *u, char error[static 256])
{
	int r = 0;

	restore_all(u->t, u->journal, u->restores);
	for (unsigned i = 0; i < u->restores->len; i++) {
		const struct restore *one = &g_array_index(u->restores, struct restore, i);

		if (!one->error || setting_is_gone(one->error)) {
			journal_undo(u->journal, one->entry, u->earlier);
			continue;
		}
		if (r == 0)
			g_snprintf(error, 256, "%s: could not be put back: %s", one->entry->object,
				g_strerror(-one->error));
		r = r == 0 ? one->error : r;
	}
	return r;
}

static int undo_locked(struct undo *u, const struct host *host, const struct outcomes *applied,
	char error[static 256])
{
	int saved, r = journal_open(u->t, host, &u->journal, error);

	if (r < 0)
		return r;
	journal_locate(u->earlier, u->t, host);
	collect(u, applied);
	r = put_back(u, error);
	saved = journal_save(tree_root(u->t->tree), u->journal);
	if (r == 0 && saved < 0) {
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-saved));
		r = saved;
	}
	return r;
}

int tune_undo(struct tuner *t, struct journal *earlier, const struct outcomes *applied,
	char error[static 256])
{
	const struct host_wish wish = { 0 };
	struct undo u = { .t = t, .earlier = earlier };
	_auto_close_ int lock = -1;
	struct host *host;
	int r = journal_lock(tree_root(t->tree), &lock);

	if (r < 0) {
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-r));
		return r;
	}
	r = host_scan(t->tree, t->nics, &wish, &host, error);
	if (r < 0)
		return r;
	u.restores = g_array_new(FALSE, FALSE, sizeof(struct restore));
	r = undo_locked(&u, host, applied, error);
	g_array_unref(u.restores);
	journal_free(u.journal);
	host_free(host);
	return r;
}
