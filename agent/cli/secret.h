/* agent/cli/secret.h - secrets that come from a file or from standard input, and go to a file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Reads all of it into fresh memory, with a NUL behind it (not counted); free with secret_free. More than
 * `limit` bytes are -EFBIG. A file may be a pipe or a link: who may read it is for the operator to say,
 * and *ret_exposed tells when that is everybody. */
int secret_read(const char *path, size_t limit, char **ret, size_t *ret_len, bool *ret_exposed);
int secret_read_fd(int fd, size_t limit, char **ret, size_t *ret_len);
void secret_free(char *text, size_t len); /* wipes it; NULL is fine */

/* Whole or not at all, with mode 0600. -EEXIST: something is there and may not be replaced. */
int secret_write(const char *path, const char *text, size_t len, bool replace);
