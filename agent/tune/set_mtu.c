/* agent/tune/set_mtu.c - gives an interface the MTU that was measured. */
#include "agent/tune/set_mtu.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/tune/setting.h"

static int explain(char error[static 256], const struct item *item, int r)
{
	snprintf(error, 256, "%s: MTU %s: %s", item->device, item->wanted, strerror(-r));
	return r;
}

/* The original is on disk before anything is written. */
static int set(struct tuner *t, const struct host *host, struct item *item, bool *ret_changed,
	char error[static 256])
{
	struct journal_entry *entry;
	struct journal *journal = NULL;
	_auto_close_ int lock = -1;
	int r = journal_lock(tree_root(t->tree), &lock);

	if (r == 0)
		r = item_read(t, item, &item->current);
	if (r < 0)
		return explain(error, item, r);
	*ret_changed = !item_is_equal(item->form, item->current, item->wanted);
	if (!*ret_changed)
		return 0;
	r = journal_load(tree_root(t->tree), &journal, error);
	if (r < 0)
		return r;
	entry = journal_note(journal, item, host);
	r = journal_save(tree_root(t->tree), journal);
	if (r == 0)
		r = item_write(t, item, item->wanted);
	if (r < 0 ? journal_take_back(journal) : journal_wrote(entry, item->wanted))
		journal_save(tree_root(t->tree), journal);
	journal_free(journal);
	return r < 0 ? explain(error, item, r) : 0;
}

int tune_set_mtu(const char *root, const char *iface, const char *value, bool *ret_changed,
	char error[static 256])
{
	g_autofree char *path = g_strdup_printf("/sys/class/net/%s/mtu", iface);
	struct item item = { .knob = KNOB_MTU,
		.where = ITEM_FILE,
		.form = FORM_NUMBERS,
		.queue = -1,
		.object = (char *)iface,
		.device = (char *)iface,
		.path = path,
		.wanted = (char *)value };
	struct host_wish wish = { .iface = iface };
	struct host *host = NULL;
	struct tuner t;
	int r = tuner_open(root, &t);

	if (r < 0)
		return explain(error, &item, r);
	r = tuner_check(&t, error);
	if (r == 0)
		r = host_scan(t.tree, t.nics, &wish, &host, error);
	if (r == 0)
		r = set(&t, host, &item, ret_changed, error);
	g_free(item.current);
	host_free(host);
	tuner_close(&t);
	return r;
}
