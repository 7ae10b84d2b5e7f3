/* mgmt/mapdiff.h - what differs between two maps, host by host. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netmap;

enum { MAPDIFF_NAMED_MAX = 1000 };

enum mapdiff_part {
	MAPDIFF_NAME = 1,
	MAPDIFF_ADDRESSES = 2,
	MAPDIFF_ROUTES = 4,
	MAPDIFF_ENDPOINTS = 8,
	MAPDIFF_LAZY = 16,
	MAPDIFF_KEEPALIVE = 32,
	MAPDIFF_PSK_FILE = 64,
};

/* A host is its public key: another key under the old name is one host less and one more. */
struct mapdiff_host {
	int64_t before, after; /* its number in both maps; NETMAP_NONE: it is not there */
	unsigned parts; /* bits of mapdiff_part, when it is in both */
};

struct mapdiff {
	const struct netmap *before, *after; /* borrowed */
	bool name, interface, lazy; /* of the mesh as a whole */
	size_t added, removed, changed;
	GArray *hosts; /* struct mapdiff_host: those that differ, in the order of the new map, then those that are gone */
};

/* Of what a mesh file says. `before` may be NULL: then everything is new. */
void mapdiff_make(struct mapdiff *ret, const struct netmap *before, const struct netmap *after);
void mapdiff_done(struct mapdiff *diff);
/* The member "mesh_difference" of a document, with at most `max` hosts by name: MAPDIFF_NAMED_MAX, but in tests. */
void mapdiff_write(const struct mapdiff *diff, GString *out, size_t max);
