/* agent/tune/restore.c - puts values back. */
#include <errno.h>

#include "agent/tune/setting.h"

static int put_back(struct tuner *t, const struct journal_entry *e, const char *value)
{
	g_autofree char *actual = NULL;
	struct item item = journal_item(e);
	int r = item_set(t, &item, value, &actual);

	if (r < 0)
		return r;
	return item_is_equal(e->form, value, actual) ? 0 : -EINVAL;
}

static bool is_at(struct tuner *t, const struct journal_entry *e, const char *value)
{
	g_autofree char *live = NULL;
	struct item item = journal_item(e);

	return item_read(t, &item, &live) == 0 && item_is_equal(e->form, value, live);
}

/* A new number of queues gives interrupts and queues other values, and maybe other numbers; and what did
 * not fit to the old one may fit now. */
static void restore_again(struct tuner *t, struct journal *journal, GArray *restores)
{
	const struct host_wish wish = { 0 };
	char error[HOST_TEXT_MAX];
	struct host *host;

	if (host_scan(t->tree, t->nics, &wish, &host, error) < 0)
		return;
	journal_locate(journal, t, host);
	host_free(host);
	for (unsigned i = restores->len; i-- > 0;) {
		struct restore *one = &g_array_index(restores, struct restore, i);

		if (one->entry->gone)
			one->error = -ENODEV;
		else if (is_at(t, one->entry, one->value))
			one->error = 0;
		else
			one->error = put_back(t, one->entry, one->value);
	}
}

void restore_all(struct tuner *t, struct journal *journal, GArray *restores)
{
	bool again = false;

	for (unsigned i = restores->len; i-- > 0;) {
		struct restore *one = &g_array_index(restores, struct restore, i);

		one->error = put_back(t, one->entry, one->value);
		if (!one->error && one->entry->knob == KNOB_CHANNELS)
			again = true;
	}
	if (again)
		restore_again(t, journal, restores);
}
