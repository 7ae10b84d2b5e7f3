/* agent/mapcache.h - the last map of a server, on disk for a start without that server.
 *
 * Sealed with a key that is beside it, so that a copy of the file alone tells nothing; bound to server and
 * own key; two generations, so that a crash or a bad sector leaves one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

/* Whose map it is. */
struct mapcache_owner {
	const char *url;
	const struct wg_key *public_key;
};

/* `message` are the plain bytes of the server's message. 0 or -errno. */
int mapcache_save(const char *state_dir, const struct mapcache_owner *owner, const void *message,
	size_t len, int64_t wall_s);
/* The newest that can be read: its bytes (free with seal_wipe) and when it was saved. -ENOENT: none.
 * Damaged files are moved aside. */
int mapcache_load(const char *state_dir, const struct mapcache_owner *owner, uint8_t **ret,
	size_t *ret_len, int64_t *ret_saved_s);
/* Both generations and the key. */
void mapcache_remove(const char *state_dir);
