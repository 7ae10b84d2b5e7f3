/* agent/cli/wanted.h - what the two files of this host are to be: one document, taken apart and checked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/cli/output.h"
#include "agent/config.h"

struct netmap;

#define CONFIG_DEFAULT "/etc/lapwing/lapwing.json"
#define MESH_DEFAULT "/etc/lapwing/mesh.json"

struct wanted {
	struct config config;
	char *config_text,
		*mesh_text; /* as they go into the files; mesh_text NULL: that file stays as it is */
	size_t config_len, mesh_len;
	struct netmap *map; /* NULL: there is no mesh file */
};

/* `text` is lapwing.json with or without an object "mesh", which is the content of the mesh file. EXIT_OK, or what is
 * wrong, with the line in `text`; `from` is its name. */
enum exit_code wanted_read(
	const char *from, const char *text, size_t len, struct wanted *ret, struct failure *f);
void wanted_done(struct wanted *w);

/* The mesh file that is there, checked as the daemon does. Free with netmap_free. */
enum exit_code wanted_mesh(const struct config *config, struct netmap **ret, struct failure *f);
/* A text that is to be one; `from` is its name. */
enum exit_code wanted_mesh_text(const struct config *config, const char *from, const char *text,
	size_t len, struct netmap **ret, struct failure *f);
enum exit_code wanted_unreadable(struct failure *f, int r, const char *error);
