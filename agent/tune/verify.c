/* agent/tune/verify.c - is what was applied still there? */
#include <errno.h>
#include <string.h>

#include "agent/tune/setting.h"

static void verify_entry(struct tuner *t, const struct host *host, const struct journal_entry *e,
	struct outcomes *ret)
{
	struct item item = journal_item(e);
	g_autofree char *live = NULL;
	int r = e->gone ? -ENODEV : item_read(t, &item, &live);
	struct outcome *o = outcomes_add(ret, &item, OUTCOME_ALREADY, e->written, live);

	if (setting_is_gone(r))
		outcome_set(o, OUTCOME_GONE, 0, "is not there now");
	else if (r < 0)
		outcome_set(o, OUTCOME_FAILED, r, NULL);
	if (r < 0 || journal_is_ours(e, live))
		return;
	o->managed_by = managers_of(t->tree, host, &item);
	if (o->managed_by)
		outcome_set(o, OUTCOME_DRIFTED, 0, "also set by %s", o->managed_by);
	else if (strcmp(e->boot_id, host->boot_id) != 0)
		outcome_set(o, OUTCOME_DRIFTED, 0, "this host was restarted since");
	else
		outcome_set(o, OUTCOME_DRIFTED, 0, NULL);
}

int tune_verify(struct tuner *t, struct outcomes *ret, char error[static 256])
{
	const struct host_wish wish = { 0 };
	struct journal *journal;
	struct host *host;
	int r;

	outcomes_init(ret);
	r = host_scan(t->tree, t->nics, &wish, &host, error);
	if (r < 0)
		return r;
	r = journal_open(t, host, &journal, error);
	if (r == 0) {
		for (unsigned i = 0; i < journal->entries->len; i++)
			if (!journal_is_untouched(journal->entries->pdata[i]))
				verify_entry(t, host, journal->entries->pdata[i], ret);
		outcomes_count(ret);
		journal_free(journal);
	}
	host_free(host);
	return r;
}
