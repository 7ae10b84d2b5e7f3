/* agent/tune/outcome.c - what became of settings. */
#include <stdarg.h>

#include "agent/tune/setting.h"

static void outcome_free(gpointer data)
{
	struct outcome *o = data;

	g_free(o->object);
	g_free(o->device);
	g_free(o->before);
	g_free(o->after);
	g_free(o->reason);
	g_free(o->managed_by);
	g_free(o);
}

void outcomes_init(struct outcomes *o)
{
	*o = (struct outcomes){ .list = g_ptr_array_new_with_free_func(outcome_free) };
}

void outcomes_clear(struct outcomes *o)
{
	g_clear_pointer(&o->list, g_ptr_array_unref);
	*o = (struct outcomes){ 0 };
}

const char *outcome_name(enum outcome_result result)
{
	switch (result) {
	case OUTCOME_ALREADY:
		return "ok";
	case OUTCOME_CHANGED:
		return "changed";
	case OUTCOME_SKIPPED:
		return "skipped";
	case OUTCOME_FAILED:
		return "failed";
	case OUTCOME_DRIFTED:
		return "drifted";
	case OUTCOME_GONE:
		return "gone";
	}
	return "";
}

struct outcome *outcomes_add(struct outcomes *o, const struct item *item,
	enum outcome_result result, const char *before, const char *after)
{
	struct outcome *outcome = g_new0(struct outcome, 1);

	outcome->knob = item->knob;
	outcome->result = result;
	outcome->object = g_strdup(item->object);
	outcome->device = g_strdup(item->device);
	outcome->before = g_strdup(before);
	outcome->after = g_strdup(after);
	g_ptr_array_add(o->list, outcome);
	return outcome;
}

void outcome_set(struct outcome *o, enum outcome_result result, int error, const char *format, ...)
{
	va_list args;

	o->result = result;
	o->error = error;
	g_clear_pointer(&o->reason, g_free);
	if (!format)
		return;
	va_start(args, format);
	o->reason = g_strdup_vprintf(format, args);
	va_end(args);
}

void outcomes_count(struct outcomes *o)
{
	unsigned by_result[OUTCOME_GONE + 1] = { 0 };

	for (unsigned i = 0; i < o->list->len; i++)
		by_result[((const struct outcome *)o->list->pdata[i])->result]++;
	o->changed = by_result[OUTCOME_CHANGED];
	o->skipped = by_result[OUTCOME_SKIPPED];
	o->failed = by_result[OUTCOME_FAILED];
	o->drifted = by_result[OUTCOME_DRIFTED];
	o->gone = by_result[OUTCOME_GONE];
}
