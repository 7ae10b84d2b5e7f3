/* agent/runtime.h - what the daemon itself costs: memory, turns of the loop, pools and their limits. */
#pragma once

#include <glib.h>

/* From now on turns of the default main context are counted; before it runs. */
void runtime_watch_loop(void);
/* Members "memory", "process" and "loop". */
void runtime_write(GString *out);
/* One item of the list "pools": how many there are, and may be; `limit` 0: as many as the mesh has. */
void runtime_write_pool(GString *out, const char *name, size_t n, size_t limit);
