/* agent/files.h - reads what the operator wrote: configuration, private key, mesh file. */
#pragma once

#include <stddef.h>

#include "agent/base/key.h"

struct config;
struct netmap;

/* One line about what is wrong, with the path. */
enum { FILES_ERROR_MAX = 1024 };

/* NULL: wrong, `error` says how. Free with files_config_free. */
struct config *files_config(const char *path, char error[static FILES_ERROR_MAX]);
void files_config_free(struct config *config); /* NULL is fine */
/* The key named in the configuration, else STATE_DIR/private.key. 0 or -errno. */
int files_key(const struct config *config, const char *state_dir, struct wg_key *ret,
	char error[static FILES_ERROR_MAX]);
/* The mesh file's text; free with g_free. 0 or -errno. */
int files_mesh_text(const struct config *config, char **ret, size_t *ret_len,
	char error[static FILES_ERROR_MAX]);
/* The map that the mesh file gives; `own` may be NULL: not to look for ourselves. NULL: wrong. */
struct netmap *files_mesh(
	const struct config *config, const struct wg_key *own, char error[static FILES_ERROR_MAX]);

/* Reads everything without touching anything, as user lapwing where it can be that; says what is
 * wrong. Returns an exit code. */
int files_check(const char *config_path, const char *state_dir);
