/* agent/base/file.h - careful reading and atomic writing of small files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a whole regular file into fresh memory, with a NUL behind it (not counted); free with
 * g_free. Refused: symbolic links (-ELOOP), other than regular files (-EINVAL), more than `limit`
 * bytes (-EFBIG), owner neither root nor we, or writable by group or others, or in a directory that
 * others may write without sticky bit (-EPERM). The errors of open and read as they are. */
int file_read(const char *path, size_t limit, char **ret, size_t *ret_len);

/* The same for a secret: also refused (-EPERM) when others may read it. */
int file_read_secret(const char *path, size_t limit, char **ret, size_t *ret_len);

/* Says in words what file_read's result means for this path, for one line in a log. */
const char *file_strerror(int r);

/* The whole line: path, reason, and which limit it was. */
void file_explain(int r, const char *path, size_t limit, char *ret, size_t ret_len);

/* New content or old content, never half of it, also over a crash: temporary name in the same
 * directory, sync, rename, sync of the directory. */
int file_write(const char *path, const void *data, size_t len, mode_t mode);

/* What was renamed or removed in the directory in which this path lies is so after a crash, too. */
int file_sync_parent(const char *path);

/* Makes the directory in which this path lies, and with 0755 all above it; what is there stays as it is. */
int file_make_parent(const char *path, mode_t mode);
