/* tests/unit/planned.h - asks a plan for a made-up host. */
#pragma once

#include <errno.h>
#include <string.h>

#include "agent/tune/plan.h"
#include "tests/unit/scanned.h"

static const struct plan_options usual = { .only = KNOB_ALL };

static inline const struct item *find(const struct plan *plan, enum knob knob, const char *object)
{
	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		if (item->knob == knob && !strcmp(item->object, object))
			return item;
	}
	g_error("%s has no '%s'", knob_name(knob), object);
}

/* One item of a new plan for this host. */
static inline void check(const struct host *host, const struct plan_options *options,
	enum knob knob, const char *object, enum item_state state, const char *wanted)
{
	struct plan *plan = plan_make(host, options);
	const struct item *item = find(plan, knob, object);

	g_test_message("%s %s: %s -> %s, %s: %s", knob_name(knob), object, item->current,
		item->wanted, item_state_name(item->state), item->reason);
	g_assert_cmpstr(item_state_name(item->state), ==, item_state_name(state));
	g_assert_cmpstr(item->wanted, ==, wanted);
	g_assert_true(item->reason || state == ITEM_UNREADABLE);
	plan_free(plan);
}

static inline void set(struct host_value *v, const char *text)
{
	g_free(v->text);
	v->text = g_strdup(text);
	v->error = text ? 0 : -EOPNOTSUPP;
}

static inline void set_error(struct host_value *v, int error)
{
	set(v, NULL);
	v->error = error;
}

static inline struct host_nic *mutable_nic(struct scanned *s, unsigned i)
{
	return s->host->nics->pdata[i];
}
