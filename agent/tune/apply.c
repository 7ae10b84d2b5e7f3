/* agent/tune/apply.c - writes what a plan wants: originals first, then everything that is not as wanted. */
#include "agent/tune/apply.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/tune/setting.h"

/* A setting that was written, or tried. */
struct step {
	struct journal_entry *entry;
	struct outcome *outcome;
	char *actual; /* NULL: it was not taken */
	bool managed; /* by the kernel, which refused it */
};

struct run {
	struct tuner *t;
	const struct apply_options *options;
	struct outcomes *outcomes;
	struct host *host;
	struct plan *plan;
	struct journal *journal;
	GArray *steps; /* struct step */
	bool failed;
};

static void step_clear(gpointer step)
{
	g_free(((struct step *)step)->actual);
}

/* -- what is to be written -------------------------------------------------------------------- */

/* Made before all others: it makes and removes queues and interrupts. */
static bool comes_first(const struct item *item)
{
	return item->knob == KNOB_CHANNELS || item->knob == KNOB_RINGS;
}

/* The kernel was asked for this value before, and made another one of it. */
static bool is_settled(const struct run *run, const struct item *item)
{
	const struct journal_entry *e = journal_find(run->journal, item);

	return e && e->stood && item_is_equal(item->form, e->written, item->wanted) &&
		item_is_equal(item->form, e->stood, item->current) &&
		!strcmp(e->boot_id, run->host->boot_id);
}

static bool is_tried(const struct run *run, const struct item *item)
{
	const struct journal_entry *e = journal_find(run->journal, item);

	for (unsigned i = 0; e && i < run->steps->len; i++)
		if (g_array_index(run->steps, struct step, i).entry == e)
			return true;
	return false;
}

static bool is_pending(const struct run *run, const struct item *item)
{
	return item->state == ITEM_DIFFERS && item->current && item->wanted &&
		(run->options->disruptive || !item->disruptive) && !is_settled(run, item) &&
		!is_tried(run, item);
}

/* With `first`: only of what comes first. */
static bool has_pending(const struct run *run, bool first)
{
	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];

		if ((!first || comes_first(item)) && is_pending(run, item))
			return true;
	}
	return false;
}

/* Of this plan, and noted in the journal. */
static unsigned note_pending(struct run *run)
{
	unsigned n = 0;

	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];

		if (!is_pending(run, item))
			continue;
		journal_note(run->journal, item, run->host);
		n++;
	}
	return n;
}

/* -- writing ---------------------------------------------------------------------------------- */

static void write_item(struct run *run, const struct item *item, struct step *step)
{
	struct outcome *o = step->outcome;
	g_autofree char *actual = NULL;
	int r = item_set(run->t, item, item->wanted, &actual);

	if (setting_is_gone(r))
		outcome_set(o, OUTCOME_SKIPPED, 0, "it is not there any more");
	else if (item->knob == KNOB_IRQ && (r == -EIO || r == -EPERM))
		step->managed = true;
	else if (r < 0)
		outcome_set(o, OUTCOME_FAILED, r, NULL);
	else if (item_is_equal(item->form, actual, item->current))
		outcome_set(o, OUTCOME_FAILED, -EINVAL, "written without an error, but not taken");
	else if (!item_is_equal(item->form, actual, item->wanted))
		outcome_set(o, OUTCOME_CHANGED, 0, "the kernel made %s of it", actual);
	if (step->managed)
		outcome_set(o, OUTCOME_SKIPPED, 0, "managed by the kernel");
	else if (o->result == OUTCOME_CHANGED)
		step->actual = g_steal_pointer(&actual);
	run->failed = run->failed || o->result == OUTCOME_FAILED;
}

static void write_pending(struct run *run, bool first)
{
	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];
		struct step step = { 0 };

		if ((first && !comes_first(item)) || !is_pending(run, item))
			continue;
		step.entry = journal_find(run->journal, item);
		/* Channels may have reset it meanwhile. */
		step.outcome = outcomes_add(
			run->outcomes, item, OUTCOME_CHANGED, step.entry->before, item->wanted);
		if (run->failed && run->options->rollback_on_error) {
			outcome_set(step.outcome, OUTCOME_SKIPPED, 0,
				"not tried, as another one failed");
			continue;
		}
		write_item(run, item, &step);
		g_array_append_val(run->steps, step);
	}
}

/* A device that makes its queues anew may give what belongs to them the very values that are wanted. Their
 * originals are to come back all the same. */
static void adopt_resets(struct run *run)
{
	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];
		struct step step = { .entry = journal_find(run->journal, item) };

		if (!step.entry || !step.entry->open || !item->current || is_pending(run, item) ||
			is_tried(run, item) ||
			item_is_equal(item->form, step.entry->before, item->current))
			continue;
		step.outcome = outcomes_add(
			run->outcomes, item, OUTCOME_CHANGED, step.entry->before, item->current);
		step.actual = g_strdup(item->current);
		g_array_append_val(run->steps, step);
	}
}

/* Everything that this run has written gets the value that it had before. */
static void roll_back(struct run *run)
{
	GArray *restores = g_array_new(FALSE, FALSE, sizeof(struct restore));
	unsigned n = 0;

	for (unsigned i = 0; i < run->steps->len; i++) {
		const struct step *step = &g_array_index(run->steps, struct step, i);
		struct restore restore = { step->entry, step->entry->before, 0 };

		if (step->actual)
			g_array_append_val(restores, restore);
	}
	restore_all(run->t, run->journal, restores);
	for (unsigned i = 0; i < run->steps->len; i++) {
		struct step *step = &g_array_index(run->steps, struct step, i);
		int r = step->actual ? g_array_index(restores, struct restore, n++).error : 0;

		if (!step->actual)
			continue;
		if (r < 0 && !setting_is_gone(r)) {
			outcome_set(step->outcome, OUTCOME_FAILED, r, "could not be put back");
			continue;
		}
		outcome_set(step->outcome, OUTCOME_SKIPPED, 0, "put back, as another one failed");
		g_clear_pointer(&step->actual, g_free);
	}
	g_array_unref(restores);
}

/* -- one run ---------------------------------------------------------------------------------- */

static void forget_plan(struct run *run)
{
	g_clear_pointer(&run->plan, plan_free);
	g_clear_pointer(&run->host, host_free);
}

static int look(struct run *run, const struct host_wish *wish, char error[static 256])
{
	int r;

	forget_plan(run);
	r = host_scan(run->t->tree, run->t->nics, wish, &run->host, error);
	if (r < 0)
		return r;
	if (!host_is_networked(run->host)) {
		g_strlcpy(error, HOST_NOT_NETWORKED, 256);
		return -ENODEV;
	}
	run->plan = plan_make(run->host, &run->options->plan);
	if (run->journal)
		journal_heed(run->journal, run->host, run->plan);
	return 0;
}

/* Once more, at this underlay and the same tunnels. */
static int look_again(struct run *run, const char *underlay, char error[static 256])
{
	g_autofree char *device = g_strdup(underlay);
	g_autofree char *iface = g_strdup(run->host->wireguard ? run->host->wireguard->name : NULL);
	const struct host_wish wish = {
		.underlay = device && device[0] ? device : NULL,
		.iface = iface,
	};
	int r = look(run, &wish, error);

	if (r == 0)
		journal_locate(run->journal, run->t, run->host);
	return r;
}

static int save(struct run *run, char error[static 256])
{
	int r = journal_save(tree_root(run->t->tree), run->journal);

	if (r < 0)
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-r));
	return r;
}

/* Originals are safe before anything is written. */
static int note_and_save(struct run *run, char error[static 256])
{
	return note_pending(run) ? save(run, error) : 0;
}

static int write_all(struct run *run, char error[static 256])
{
	int r = note_and_save(run, error);

	if (r < 0)
		return r;
	if (has_pending(run, true)) {
		write_pending(run, true);
		/* The link, and the route over it, may be away for a moment. */
		r = look_again(run, run->host->underlay, error);
		if (r == 0) {
			adopt_resets(run);
			r = note_and_save(run, error);
		}
	}
	if (r == 0)
		write_pending(run, false);
	if (r < 0 || (run->failed && run->options->rollback_on_error))
		roll_back(run);
	return r;
}

/* The journal keeps what stands now. When it cannot be saved it says more than was written, which revert
 * finds out by itself. */
static void finish(struct run *run)
{
	bool dirty = false;

	for (unsigned i = 0; i < run->steps->len; i++) {
		const struct step *step = &g_array_index(run->steps, struct step, i);

		if (step->actual)
			dirty = journal_wrote(step->entry, step->actual) || dirty;
		else if (step->managed)
			dirty = journal_was_refused(step->entry) || dirty;
	}
	dirty = journal_take_back(run->journal) || dirty;
	if (dirty)
		journal_save(tree_root(run->t->tree), run->journal);
}

/* What was not to be written, and why. */
static void report_rest(struct run *run)
{
	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];
		bool left = item->state == ITEM_DIFFERS && !is_settled(run, item);
		struct outcome *o;

		if (item->state == ITEM_UNSUPPORTED || is_tried(run, item) || is_pending(run, item))
			continue;
		o = outcomes_add(run->outcomes, item, OUTCOME_ALREADY, item->current,
			left ? item->wanted : item->current);
		if (item->state == ITEM_UNREADABLE)
			outcome_set(o, OUTCOME_SKIPPED, item->error, "cannot be read");
		else if (left)
			outcome_set(o, OUTCOME_SKIPPED, 0,
				"would reset a link in use: --allow-disruptive");
		else if (item->state == ITEM_DIFFERS)
			outcome_set(o, OUTCOME_ALREADY, 0, "the nearest that the kernel takes");
	}
}

static int write_locked(struct run *run, char error[static 256])
{
	_auto_close_ int lock = -1;
	int r = journal_lock(tree_root(run->t->tree), &lock);

	if (r < 0) {
		g_snprintf(error, 256, JOURNAL_PATH ": %s", g_strerror(-r));
		return r;
	}
	/* Another run may have written it meanwhile. */
	g_clear_pointer(&run->journal, journal_free);
	r = journal_open(run->t, run->host, &run->journal, error);
	if (r < 0)
		return r;
	r = write_all(run, error);
	finish(run);
	return r;
}

/* What the kernel will say of it only writing tells. */
static void foresee(struct run *run)
{
	for (unsigned i = 0; i < run->plan->items->len; i++) {
		const struct item *item = run->plan->items->pdata[i];

		if (is_pending(run, item))
			outcomes_add(
				run->outcomes, item, OUTCOME_CHANGED, item->current, item->wanted);
	}
}

/* One that has just come back has no route yet. That it is among those to be tuned says the journal. */
static bool is_back(const struct run *run, const char *device)
{
	return device && !run->options->wish.underlay && !host_find_nic(run->host, device) &&
		journal_has_device(run->journal, device);
}

static int apply(struct run *run, char error[static 256])
{
	const char *device = run->options->plan.device;

	int r = tuner_check(run->t, error);

	if (r == 0)
		r = look(run, &run->options->wish, error);
	if (r == 0)
		r = journal_open(run->t, run->host, &run->journal, error);
	if (r == 0)
		journal_heed(run->journal, run->host, run->plan);
	if (r == 0 && is_back(run, device))
		r = look_again(run, device, error);
	if (r == 0 && run->t->check)
		foresee(run);
	else if (r == 0 && has_pending(run, false))
		r = write_locked(run, error);
	if (r == 0)
		report_rest(run);
	return r;
}

int tune_apply(struct tuner *t, const struct apply_options *options, struct outcomes *ret,
	char error[static 256])
{
	struct run run = { .t = t, .options = options, .outcomes = ret };
	int r;

	outcomes_init(ret);
	run.steps = g_array_new(FALSE, FALSE, sizeof(struct step));
	g_array_set_clear_func(run.steps, step_clear);
	r = apply(&run, error);
	outcomes_count(ret);
	g_array_unref(run.steps);
	journal_free(run.journal);
	forget_plan(&run);
	return r;
}
