/* agent/cli/tune_rows.h - lines about settings; neighbours that say the same become one. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/knob.h"

/* Borrows its texts; what is NULL is not there. */
struct tune_row {
	enum knob knob;
	const char *object, *device, *before, *after, *reason;
	const char *word; /* state or result */
	int error;
	bool disruptive;
};

/* How many rows from `from` on say the same of one device's queues. */
guint tune_rows_alike(const GArray *rows, guint from);
/* "eth0 rx-0", "eth0 rx-0 ... rx-63 (64)". Fresh text. */
char *tune_rows_object(const GArray *rows, guint from, guint n);
