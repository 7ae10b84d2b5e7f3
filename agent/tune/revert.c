/* agent/tune/revert.c - takes back what was applied. */
#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/tune/setting.h"

struct revert {
	struct tuner *t;
	const struct host *host;
	struct outcomes *outcomes;
	bool force;
	GArray *restores; /* struct restore */
	GPtrArray *restored; /* the outcome of each of those */
	GPtrArray *done; /* entries that the journal needs no longer */
};

static void explain_drift(struct revert *v, const struct journal_entry *e, struct outcome *o)
{
	struct item item = journal_item(e);

	o->managed_by = managers_of(v->t->tree, v->host, &item);
	outcome_set(o, OUTCOME_DRIFTED, 0, "changed since, so it is left%s%s",
		o->managed_by ? "; also set by " : "", o->managed_by ? o->managed_by : "");
}

/* What happens to this one, whose value is `live` now. */
static void judge(struct revert *v, struct journal_entry *e, const char *live, struct outcome *o)
{
	bool restarted = strcmp(e->boot_id, v->host->boot_id) != 0;
	struct restore restore = { .entry = e, .value = e->original };

	if (item_is_equal(e->form, e->original, live)) {
		g_ptr_array_add(v->done, e);
	} else if (v->force || journal_is_ours(e, live)) {
		g_array_append_val(v->restores, restore);
		g_ptr_array_add(v->restored, o);
	} else if (restarted) {
		outcome_set(o, OUTCOME_GONE, 0, "went with the restart of this host");
		g_ptr_array_add(v->done, e);
	} else {
		explain_drift(v, e, o);
	}
}

static void look_at(struct revert *v, struct journal_entry *e)
{
	struct item item = journal_item(e);
	g_autofree char *live = NULL;
	int r = e->gone ? -ENODEV : item_read(v->t, &item, &live);
	struct outcome *o = outcomes_add(v->outcomes, &item, OUTCOME_ALREADY, live, e->original);

	if (r == 0)
		return judge(v, e, live, o);
	if (!setting_is_gone(r))
		return outcome_set(o, OUTCOME_FAILED, r, NULL);
	outcome_set(o, OUTCOME_GONE, 0, "is not there now");
	g_ptr_array_add(v->done, e);
}

static void put_back(struct revert *v, struct journal *journal)
{
	if (!v->t->check)
		restore_all(v->t, journal, v->restores);
	for (unsigned i = 0; i < v->restores->len; i++) {
		const struct restore *one = &g_array_index(v->restores, struct restore, i);
		struct outcome *o = v->restored->pdata[i];

		if (one->error && !setting_is_gone(one->error)) {
			outcome_set(o, OUTCOME_FAILED, one->error, NULL);
			continue;
		}
		outcome_set(o, one->error ? OUTCOME_GONE : OUTCOME_CHANGED, 0, NULL);
		g_ptr_array_add(v->done, one->entry);
	}
}

/* All settings are looked at before the first is written: writing one can change others. */
static int revert_journal(struct revert *v, struct journal *journal, uint32_t knobs)
{
	for (unsigned i = 0; i < journal->entries->len; i++) {
		struct journal_entry *e = journal->entries->pdata[i];

		if (!(knobs & UINT32_C(1) << e->knob))
			continue;
		if (journal_is_untouched(e))
			g_ptr_array_add(v->done, e);
		else
			look_at(v, e);
	}
	put_back(v, journal);
	outcomes_count(v->outcomes);
	if (v->t->check)
		return 0;
	for (unsigned i = 0; i < v->done->len; i++)
		g_ptr_array_remove(journal->entries, v->done->pdata[i]);
	return v->done->len ? journal_save(tree_root(v->t->tree), journal) : 0;
}

static int revert_locked(struct tuner *t, const struct host *host, uint32_t knobs, bool force,
	struct outcomes *ret, char error[static 256])
{
	struct revert v = { .t = t, .host = host, .outcomes = ret, .force = force };
	struct journal *journal;
	int r = journal_open(t, host, &journal, error);

	if (r < 0)
		return r;
	v.restores = g_array_new(FALSE, FALSE, sizeof(struct restore));
	v.restored = g_ptr_array_new();
	v.done = g_ptr_array_new();
	r = revert_journal(&v, journal, knobs);
	if (r < 0)
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-r));
	g_array_unref(v.restores);
	g_ptr_array_unref(v.restored);
	g_ptr_array_unref(v.done);
	journal_free(journal);
	return r;
}

/* Nothing is made on a host that has no journal. */
static int has_journal(struct tuner *t, bool *ret, char error[static 256])
{
	struct journal *journal;
	int r = journal_load(tree_root(t->tree), &journal, error);

	if (r < 0)
		return r;
	*ret = journal->entries->len > 0;
	journal_free(journal);
	return 0;
}

int tune_revert(
	struct tuner *t, uint32_t knobs, bool force, struct outcomes *ret, char error[static 256])
{
	const struct host_wish wish = { 0 };
	_auto_close_ int lock = -1;
	struct host *host;
	bool any = false;
	int r;

	outcomes_init(ret);
	/* Where nothing was ever applied, as in a container, there is nothing to refuse. */
	r = has_journal(t, &any, error);
	if (r < 0 || !any)
		return r;
	r = tuner_check(t, error);
	if (r < 0)
		return r;
	r = journal_lock(tree_root(t->tree), &lock);
	if (r < 0) {
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-r));
		return r;
	}
	r = host_scan(t->tree, t->nics, &wish, &host, error);
	if (r < 0)
		return r;
	r = revert_locked(t, host, knobs, force, ret, error);
	host_free(host);
	return r;
}
