/* mgmt/meshfile.h - the mesh from one file: JSON text to a netmap. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

struct netmap;

enum { MESHFILE_SIZE_MAX = 64 * 1024 * 1024, MESHFILE_ERROR_MAX = 512 };

/* Reads and validates the whole document; `own` (may be NULL) is our public key, by which we find
 * ourselves. 0, or -EINVAL with one line "line 12: hosts[3].public_key: ..." in `error`. More than
 * `max_hosts` hosts are an error that names policy.max_peers. */
int meshfile_parse(const char *text, size_t len, const struct wg_key *own, size_t max_hosts,
	struct netmap **ret, char error[static MESHFILE_ERROR_MAX]);
