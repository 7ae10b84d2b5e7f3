/* agent/cli/secret.h - secrets that come from a file or from standard input, and go to a file. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/exitcode.h"

struct failure;

/* Reads all of it into fresh memory, with a NUL behind it (not counted); free with secret_free. More than
 * `limit` bytes are -EFBIG. A file may be a pipe or a link: who may read it is for the operator to say,
 * and *ret_exposed tells when that is everybody. */
int secret_read(const char *path, size_t limit, char **ret, size_t *ret_len, bool *ret_exposed);
int secret_read_fd(int fd, size_t limit, char **ret, size_t *ret_len);
/* For a command: of `path` or, where that is NULL, of standard input; *ret_from names it. Warns on stderr where
 * everybody can read it. */
enum exit_code secret_take(const char *path, size_t limit, char **ret, size_t *ret_len,
	const char **ret_from, struct failure *f);
/* Leaves away the white space around it. */
void secret_trim(const char **text, size_t *len);
void secret_free(char *text, size_t len); /* wipes it; NULL is fine */

/* Whole or not at all, with mode 0600. -EEXIST: something is there and may not be replaced. */
int secret_write(const char *path, const char *text, size_t len, bool replace);
