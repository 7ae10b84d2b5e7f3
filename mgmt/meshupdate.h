/* mgmt/meshupdate.h - the quick way for a mesh file that differs from the last one in the addresses of
 * few hosts: finds those by comparing hashes, reads nothing else. Pure. */
#pragma once

#include <stddef.h>

#include "mgmt/netmap.h"

enum { MESHUPDATE_PATCHES_MAX = 16 };

/* What turns `old` into the map of this text. -EAGAIN: it differs more, or is wrong; parse it. */
int meshupdate_read(const char *text, size_t len, const struct netmap *old,
	struct netmap_patch ret[static MESHUPDATE_PATCHES_MAX], size_t *ret_n);
