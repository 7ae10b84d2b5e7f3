/* agent/tune/journal.c - what a host's settings were before we touched them. */
#include "agent/tune/journal.h"

#include <stdio.h>
#include <string.h>

static void entry_free(gpointer data)
{
	struct journal_entry *e = data;

	g_free(e->object);
	g_free(e->device);
	g_free(e->path);
	g_free(e->original);
	g_free(e->written);
	g_free(e->stood);
	g_free(e->refused);
	g_free(e->before);
	g_free(e);
}

struct journal *journal_new(void)
{
	struct journal *j = g_new0(struct journal, 1);

	j->entries = g_ptr_array_new_with_free_func(entry_free);
	return j;
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	g_ptr_array_unref(journal->entries);
	g_free(journal);
}

static bool is_same(const struct journal_entry *e, const struct item *item)
{
	if (e->gone || e->where != item->where)
		return false;
	switch (item->where) {
	case ITEM_FILE:
		return !strcmp(e->path, item->path);
	case ITEM_NIC:
		return e->attr == item->attr && !strcmp(e->device, item->device);
	case ITEM_IRQBALANCE:
		return true;
	}
	return false;
}

struct journal_entry *journal_find(const struct journal *journal, const struct item *item)
{
	for (unsigned i = 0; i < journal->entries->len; i++)
		if (is_same(journal->entries->pdata[i], item))
			return journal->entries->pdata[i];
	return NULL;
}

bool journal_has_device(const struct journal *journal, const char *device)
{
	for (unsigned i = 0; i < journal->entries->len; i++) {
		const struct journal_entry *e = journal->entries->pdata[i];

		if (!e->gone && e->device && !strcmp(e->device, device))
			return true;
	}
	return false;
}

/* Interrupt numbers change; a queue and its order among those of the queue do not. */
static int order_of_irq(const struct host_nic *nic, const struct item *item)
{
	unsigned number;
	int nth = 0;

	if (item->queue < 0 || !item->path || sscanf(item->path, "/proc/irq/%u/", &number) != 1)
		return 0;
	for (unsigned i = 0; i < nic->irqs->len; i++) {
		const struct host_irq *irq = &g_array_index(nic->irqs, struct host_irq, i);

		if (irq->queue == item->queue && irq->number < number)
			nth++;
	}
	return nth;
}

static void note_device(struct journal_entry *e, const struct item *item, const struct host *host)
{
	const struct host_nic *nic = host_find_nic(host, item->device);

	e->device = g_strdup(item->device);
	if (!nic)
		return;
	g_strlcpy(e->identity.driver, nic->driver, sizeof(e->identity.driver));
	g_strlcpy(e->identity.bus, nic->bus, sizeof(e->identity.bus));
	g_strlcpy(e->identity.address, nic->address, sizeof(e->identity.address));
	e->nth = order_of_irq(nic, item);
}

static struct journal_entry *entry_new(const struct item *item, const struct host *host)
{
	struct journal_entry *e = g_new0(struct journal_entry, 1);

	e->knob = item->knob;
	e->where = item->where;
	e->form = item->form;
	e->attr = item->attr;
	e->queue = item->queue;
	e->sysctl = item->sysctl;
	e->disruptive = item->disruptive;
	e->object = g_strdup(item->object);
	e->path = g_strdup(item->path);
	if (item->device)
		note_device(e, item, host);
	g_strlcpy(e->boot_id, host->boot_id, sizeof(e->boot_id));
	e->original = g_strdup(item->current);
	e->before = g_strdup(item->current);
	e->open = true;
	return e;
}

static void take_text(char **to, char *text)
{
	g_free(*to);
	*to = text;
}

struct journal_entry *journal_note(
	struct journal *journal, const struct item *item, const struct host *host)
{
	struct journal_entry *e = journal_find(journal, item);
	guint at = journal->entries->len;

	/* What is no sysctl did not survive a restart: what is there now is this start's original. It keeps
	 * its place, as the order is that of putting back. */
	if (e && !e->sysctl && strcmp(e->boot_id, host->boot_id) != 0) {
		g_ptr_array_find(journal->entries, e, &at);
		g_ptr_array_remove_index(journal->entries, at);
		e = NULL;
	}
	if (!e) {
		e = entry_new(item, host);
		g_ptr_array_insert(journal->entries, (int)at, e);
	} else if (!e->open) {
		if (!e->stood)
			e->stood = g_steal_pointer(&e->written);
		take_text(&e->before, g_strdup(item->current));
		e->open = true;
	}
	take_text(&e->written, g_strdup(item->wanted));
	return e;
}

bool journal_wrote(struct journal_entry *entry, const char *actual)
{
	bool exact = item_is_equal(entry->form, entry->written, actual);
	bool is_new = !exact || entry->stood || entry->refused;

	take_text(&entry->stood, exact ? NULL : g_strdup(actual));
	take_text(&entry->refused, NULL);
	entry->open = false;
	return is_new;
}

bool journal_was_refused(struct journal_entry *entry)
{
	take_text(&entry->refused, g_steal_pointer(&entry->written));
	entry->written = entry->stood ? g_steal_pointer(&entry->stood) : g_strdup(entry->original);
	entry->open = false;
	return true;
}

bool journal_is_untouched(const struct journal_entry *entry)
{
	return entry->refused && !entry->stood &&
		item_is_equal(entry->form, entry->written, entry->original);
}

bool journal_take_back(struct journal *journal)
{
	bool any = false;

	for (unsigned i = journal->entries->len; i-- > 0;) {
		struct journal_entry *e = journal->entries->pdata[i];

		if (!e->open)
			continue;
		any = true;
		e->open = false;
		if (e->stood)
			take_text(&e->written, g_steal_pointer(&e->stood));
		else
			g_ptr_array_remove_index(journal->entries, i);
	}
	return any;
}

struct item journal_item(const struct journal_entry *entry)
{
	return (struct item){
		.knob = entry->knob,
		.where = entry->where,
		.form = entry->form,
		.attr = entry->attr,
		.queue = entry->queue,
		.sysctl = entry->sysctl,
		.disruptive = entry->disruptive,
		.object = entry->object,
		.device = entry->device,
		.path = entry->path,
	};
}

bool journal_is_ours(const struct journal_entry *entry, const char *value)
{
	return item_is_equal(entry->form, entry->written, value) ||
		(entry->stood && item_is_equal(entry->form, entry->stood, value));
}

static bool is_measured(const struct journal *journal, const struct item *item)
{
	const struct journal_entry *e = journal_find(journal, item);

	return e && item->current && item->wanted && journal_is_ours(e, item->current) &&
		g_ascii_strtoull(item->wanted, NULL, 10) >
		g_ascii_strtoull(item->current, NULL, 10);
}

static bool is_refused(
	const struct journal *journal, const struct host *host, const struct item *item)
{
	const struct journal_entry *e = journal_find(journal, item);

	return e && e->refused && item_is_equal(item->form, e->refused, item->wanted) &&
		!strcmp(e->boot_id, host->boot_id);
}

static void settle(struct item *item, enum item_state state, const char *wanted, const char *reason)
{
	item->state = state;
	take_text(&item->wanted, g_strdup(wanted));
	take_text(&item->reason, g_strdup(reason));
}

void journal_heed(const struct journal *journal, const struct host *host, struct plan *plan)
{
	for (guint i = 0; i < plan->items->len; i++) {
		struct item *item = g_ptr_array_index(plan->items, i);

		if (item->state != ITEM_DIFFERS)
			continue;
		if (item->knob == KNOB_MTU && is_measured(journal, item))
			settle(item, ITEM_OK, item->current,
				"tune has set it, as it was measured or planned before");
		else if (is_refused(journal, host, item))
			settle(item, ITEM_UNSUPPORTED, NULL, "managed by the kernel");
	}
}

void journal_undo(struct journal *journal, struct journal_entry *entry, struct journal *earlier)
{
	struct item item = journal_item(entry);
	struct journal_entry *old = journal_find(earlier, &item);
	guint at, from;

	g_ptr_array_find(journal->entries, entry, &at);
	if (old && g_ptr_array_find(earlier->entries, old, &from))
		g_ptr_array_insert(journal->entries, (int)at + 1,
			g_ptr_array_steal_index(earlier->entries, from));
	g_ptr_array_remove_index(journal->entries, at);
}
