/* agent/privs.h - the two capabilities, and nothing more. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Becomes user and group `user` (when started as root and the user exists), keeps CAP_NET_ADMIN and
 * CAP_NET_RAW (effective, permitted, ambient cleared, bounding set reduced as far as allowed), sets
 * no_new_privs, not dumpable, no core files. Every step is read back. `chown_dirs` (NULL-terminated)
 * are handed to that user before, when they are owned by root. 0 or -errno. */
int privs_drop(const char *user, const char *const *chown_dirs);
bool privs_has_net_admin(void);
bool privs_has_net_raw(void);
/* "user lapwing, CAP_NET_ADMIN CAP_NET_RAW" for the log and status. */
const char *privs_describe(char *buf, size_t len);
