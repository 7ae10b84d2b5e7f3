/* ice/gather.h - which of this host's addresses become candidates, and as what. Pure. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/addr.h"

enum { GATHER_MAX = 16 }; /* each is a socket for each peer under negotiation */

/* An address of this host. */
struct ice_local {
	struct prefix address; /* of full length */
	struct prefix
		announced; /* the same, or what a router in front has for it; family 0: is not announced */
};

/* An address as the kernel lists it, with what matters of its interface. */
struct gather_address {
	char ifname[IFNAMSIZ];
	bool is_up, is_wireguard; /* the interface; its loopback goes by name */
	struct prefix address; /* of full length */
};

/* A router in front has `external` for `local`; family 0: for the first IPv4 address of `ifname`; and if that is empty,
 * for all addresses of the family that nothing else maps. */
struct gather_map {
	struct prefix external, local;
	char ifname[IFNAMSIZ];
};

struct gather_policy {
	/* Interfaces whose names begin so have no candidates; NULL: gather_default_blacklist. */
	const char *const *blacklist; /* ends with NULL */
	const struct prefix *overlay; /* networks inside of tunnels */
	size_t n_overlay;
	const struct gather_map *
		maps; /* none: addresses are announced as they are; else those without one are not */
	size_t n_maps;
};

/* Tunnels, bridges and other ends of containers. Ends with NULL. */
extern const char *const gather_default_blacklist[];

/* "EXTERNAL", "EXTERNAL/LOCAL" or "EXTERNAL/INTERFACE". 0 or -EINVAL. */
int gather_map_parse(const char *text, size_t len, struct gather_map *ret);
/* May it be what names of interfaces begin with? */
bool gather_name_is_good(const char *text, size_t len);
/* Whether they go together: for a family at most one maps all the others. */
bool gather_maps_are_good(const struct gather_map *maps, size_t n);

/* Chooses in the order given. Returns how many. */
size_t gather_locals(const struct gather_policy *policy, const struct gather_address *addresses,
	size_t n, struct ice_local ret[static GATHER_MAX]);
