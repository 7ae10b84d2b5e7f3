/* mgmt/meshfile.h - the mesh from one file: JSON text to a netmap. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"
#include "mgmt/netmap.h"

enum { MESHFILE_SIZE_MAX = 64 * 1024 * 1024, MESHFILE_ERROR_MAX = 512 };

/* Reads and validates the whole document; `own` (may be NULL) is our public key, by which we find
 * ourselves. 0, or -EINVAL with one line "line 12: hosts[3].public_key: ..." in `error`. More than
 * `max_hosts` hosts are an error that names policy.max_peers. */
int meshfile_parse(const char *text, size_t len, const struct wg_key *own, size_t max_hosts,
	struct netmap **ret, char error[static MESHFILE_ERROR_MAX]);

/* The quick way for a document that differs from the one that gave `old` in the addresses of few hosts:
 * finds those by comparing hashes, reads nothing else. -EAGAIN: it differs more, or is wrong; parse
 * it. */
enum { MESHFILE_PATCHES_MAX = 16 };
int meshfile_update(const char *text, size_t len, const struct netmap *old,
	struct netmap_patch ret[static MESHFILE_PATCHES_MAX], size_t *ret_n);
