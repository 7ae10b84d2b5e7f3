/* agent/cli/cmd_netbird.h - where the NetBird agent has its profile. */
#pragma once

#include <stddef.h>

#include "agent/cli/output.h"

/* The first of these files (NULL-terminated) that is there; free *ret with secret_free. */
enum exit_code netbird_find(const char *const *paths, const char **ret_path, char **ret,
	size_t *ret_len, struct failure *f);
