/* agent/base/due.h - a piece of work in the default GMainContext that runs when it is due. */
#pragma once

#include <glib.h>

/* `fn` is called when the ready time that g_source_set_ready_time sets has come; never, until one is set. `freed`
 * gets `user` when the source is gone, which is not while `fn` runs; NULL: nobody. */
GSource *due_new(GSourceFunc fn, void *user, GDestroyNotify freed);
/* It does not run any more. Also from inside of `fn`; NULL is fine. */
void due_free(GSource *due);
