/* agent/owners.h - whose an inner address is, and which addresses are a host's alone. Pure. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct netmap;
struct routing;
struct owners;

/* Over everything that a peer may have in WireGuard: addresses, and routed prefixes that this host
 * accepts. Borrows both for its lifetime. Four bytes per prefix. */
struct owners *owners_new(const struct netmap *map, const struct routing *routing);
void owners_free(struct owners *o); /* NULL is fine */

/* Whose address this is: of the most specific prefix that contains it; of a prefix that several hosts
 * have, whoever holds it now. NETMAP_NONE: nobody's, or our own. */
int64_t owners_find(const struct owners *o, const struct prefix *address);

/* Appends (as struct nft_range) the addresses of this prefix that are in no more specific prefix of
 * anybody, in order, as few as possible: what WireGuard gives to the prefix's holder. */
void owners_ranges(const struct owners *o, const struct prefix *p, GArray *ranges);
