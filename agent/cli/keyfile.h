/* agent/cli/keyfile.h - the private key of this host and who owns it. */
#pragma once

#include <stdbool.h>

#include "agent/base/key.h"

#define KEYFILE_DEFAULT "/var/lib/lapwing/private.key"

/* Like key_read_file; root reads as the daemon's user what belongs to that. */
int keyfile_read(const char *path, struct wg_key *ret);
/* Whole or not at all, 0600, of the daemon's user when we are root and that exists; so is the
 * directory when it has to be made. -EEXIST: something is there and may not be replaced. */
int keyfile_write(const char *path, const struct wg_key *key, bool replace);
