/* agent/resolve.h - names to addresses, without blocking the loop (GLib's resolver). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct resolve;

/* n = 0: failed, `error` says why. Ports are 0. At most 32 addresses, the ones of a family that this
 * host can use first. */
typedef void (*resolve_fn)(
	uint32_t id, const struct endpoint *addresses, size_t n, const char *error, void *user);

struct resolve *resolve_new(resolve_fn fn, void *user);
/* No answer comes any more after it. */
void resolve_free(struct resolve *resolve);
void resolve_start(struct resolve *resolve, uint32_t id, const char *name);
