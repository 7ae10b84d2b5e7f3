/* mgmt/netmap.h - who is in the network: a plain value, whatever source it came from.
 *
 * Flat arrays, offsets instead of pointers: a map of 100,000 hosts is a handful of allocations, and
 * a host without extras costs some 150 bytes. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/filter.h"
#include "agent/base/key.h"

enum {
	NETMAP_NONE = -1,
	NETMAP_NAME_MAX = 63, /* in a mesh file */
	NETMAP_FQDN_MAX = 253, /* from a server */
	NETMAP_PREFIXES_MAX = 4096, /* addresses and routes of one host */
	NETMAP_ENDPOINTS_MAX = 8, /* of one host */
	NETMAP_IDLE_MINUTES_MAX = 7 * 24 * 60,
};

/* Where a host may be reached: an address, or a name to look up. */
struct netmap_endpoint {
	struct endpoint address; /* family 0: look up `name`; the port holds */
	uint32_t name; /* text offset; 0: none */
};

struct netmap_host {
	struct wg_key key;
	uint32_t name; /* text offset */
	uint32_t psk_file; /* text offset; 0: none */
	uint32_t prefix; /* first of its prefixes: n_addresses, then n_routes */
	uint32_t endpoint; /* first of its endpoints */
	uint16_t n_addresses, n_routes;
	uint16_t keepalive; /* seconds between keepalives that this host sends; 0: none */
	uint16_t idle_minutes; /* without inner packets, till it is parked; 0: as for the whole mesh */
	uint8_t n_endpoints;
	bool lazy;
};

/* Which piece of the source a host came from: from its beginning to that of the next. Lets a source
 * that hardly changed be read quickly. */
struct netmap_source {
	uint32_t len;
	uint32_t hash[2];
};
struct netmap_source netmap_source_of(const char *text, size_t len);
/* Does the text begin with that piece? */
bool netmap_source_is(const struct netmap_source *source, const char *text, size_t len);

struct netmap {
	char mesh[NETMAP_FQDN_MAX + 1];
	struct {
		char name[IFNAMSIZ];
		uint16_t listen_port;
		uint16_t mtu; /* 0: auto */
	} interface;
	struct {
		bool enabled;
		uint32_t idle_minutes;
	} lazy;
	int64_t self; /* which host we are; NETMAP_NONE: not decided */
	struct netmap_host *hosts;
	size_t n_hosts;
	struct prefix *prefixes;
	size_t n_prefixes;
	uint16_t *metrics; /* one per prefix: of those who share a routed one the lowest is taken first; NULL:
			    * the order of the hosts decides */
	struct netmap_endpoint *endpoints;
	size_t n_endpoints;
	/* Only what these accept comes in over the tunnel; without them (false) everything does. */
	bool has_rules;
	struct filter_rule *rules;
	size_t n_rules;
	struct prefix networks
		[2]; /* the overlay's own, routed to the interface as a whole; family 0: none */
	char *text; /* names; offset 0 is "" */
	size_t text_len;
	struct netmap_source *sources; /* one per host, or NULL */
	struct netmap_source head; /* what stands before the first */
	struct netmap_source rules_source; /* what the rules came from; length 0: not known */
	uint32_t *by_key; /* open hash of host numbers, NETMAP_EMPTY where free */
	size_t by_key_size;
};

#define NETMAP_EMPTY UINT32_MAX

void netmap_free(struct netmap *map); /* NULL is fine */

/* Do both say the same? Where a source keeps its pieces apart (`sources`) is not looked at. */
bool netmap_is_same(const struct netmap *a, const struct netmap *b);
/* The same endpoints in the same order, of a host x of a and a host y of b. */
bool netmap_same_endpoints(const struct netmap *a, const struct netmap_host *x,
	const struct netmap *b, const struct netmap_host *y);

/* One host's addresses changed, nothing else of it: as many endpoints as before, none of them a name. */
struct netmap_patch {
	uint32_t host;
	struct netmap_endpoint endpoints[NETMAP_ENDPOINTS_MAX];
	struct netmap_source source;
};
void netmap_apply(struct netmap *map, const struct netmap_patch *patch);

static inline const char *netmap_text(const struct netmap *map, uint32_t offset)
{
	return map->text + offset;
}
static inline const struct prefix *netmap_prefixes(
	const struct netmap *map, const struct netmap_host *host)
{
	return map->prefixes + host->prefix;
}

/* The number of the host with this key, or NETMAP_NONE. */
int64_t netmap_find_key(const struct netmap *map, const struct wg_key *key);
int64_t netmap_find_name(const struct netmap *map, const char *name); /* linear */
/* Is the host called so, or do no others have this first label of its name ("db1" of "db1.example.net")? */
bool netmap_name_matches(const struct netmap *map, uint32_t host, const char *name);

/* Room for that many hosts in by_key; before any is in it. */
void netmap_reserve_keys(struct netmap *map, size_t n);
/* Adds host number `host` to by_key, growing it. False: its key is there already. */
bool netmap_index_key(struct netmap *map, uint32_t host);

/* One pre-shared key, in this file, for all hosts but ourselves. */
void netmap_set_psk_file(struct netmap *map, const char *path);
/* Where this host may be reached: an address, or (family 0) the name to look up. All of one host are
 * added in a row; only for a map whose hosts have none of their own. */
void netmap_add_endpoint(
	struct netmap *map, uint32_t host, const struct endpoint *address, const char *name);
