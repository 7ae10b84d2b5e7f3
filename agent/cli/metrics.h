/* agent/cli/metrics.h - the status of the daemon as Prometheus text. */
#pragma once

#include <glib.h>
#include <jansson.h>

/* Pure. Appends all families that the document knows something of; `status` NULL: no daemon answers. A document with
 * "peers" gives series of each of them. */
void metrics_write(GString *out, const json_t *status, const char *kernel);
