/* agent/base/due.c - a GSource whose ready time is all that there is to it. */
#include "agent/base/due.h"

static gboolean dispatch(GSource *source, GSourceFunc fn, gpointer user)
{
	return fn(user);
}

static GSourceFuncs functions = { .dispatch = dispatch };

GSource *due_new(GSourceFunc fn, void *user, GDestroyNotify freed)
{
	GSource *due = g_source_new(&functions, sizeof(GSource));

	g_source_set_callback(due, fn, user, freed);
	g_source_attach(due, NULL);
	return due;
}

void due_free(GSource *due)
{
	if (!due)
		return;
	g_source_destroy(due);
	g_source_unref(due);
}
