/* agent/cli/tar.h - an archive in memory, as POSIX has it (ustar). */
#pragma once

#include <glib.h>
#include <stdint.h>

/* Appends a file; `name` is shorter than 100 bytes. */
void tar_add(GString *archive, const char *name, const char *data, size_t len, int64_t wall_s);
void tar_end(GString *archive);
