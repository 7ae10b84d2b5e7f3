/* mgmt/meshhost.h - one host of a mesh file; for meshfile.c only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/jread.h"

struct netmap;
struct netmap_host;
struct uniq;

struct mesh_builder {
	struct netmap *map;
	struct netmap_host *host; /* the one being read */
	const char *begin; /* where it stands in the text */
	struct uniq *names, *addresses;
	size_t max_hosts, hosts_cap, prefixes_cap, endpoints_cap, text_cap;
};

/* An element reader for jread_array: appends a host to the map; `into` is the builder. */
void mesh_read_host(struct jread *r, void *into);
uint32_t mesh_add_text(struct mesh_builder *b, struct slice s);
/* The name of a host or a mesh; check r->error. */
struct slice mesh_read_name(struct jread *r);
