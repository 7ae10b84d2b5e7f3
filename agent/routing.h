/* agent/routing.h - who carries which prefix, and what goes into the routing tables. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "netlink/route.h"

struct config;
struct netmap;
struct routing;

/* Borrows map and config for its lifetime. Every group starts with its first member. */
struct routing *routing_new(const struct netmap *map, const struct config *config);
void routing_free(struct routing *routing);

/* The prefixes that this peer has in WireGuard now: its addresses, and the routed prefixes that this
 * host accepts and that the peer holds. Points into the map where that will do, else into `scratch`,
 * which has room for all the host's prefixes. Returns their number. */
size_t routing_allowed(const struct routing *routing, uint32_t host, struct prefix *scratch,
	const struct prefix **ret);

/* Does this host route that prefix to peers? */
bool routing_accepts(const struct routing *routing, const struct prefix *p);
/* Who has this routed prefix of this host in WireGuard now: the host, or another of its group. */
uint32_t routing_holder(const struct routing *routing, uint32_t host, const struct prefix *p);

/* Whole networks are routed to the interface, so endpoints inside them matter. */
bool routing_has_networks(const struct routing *routing);

/* Groups: the same prefix behind several hosts. Their order is that of their metrics, then that of the
 * map. */
size_t routing_n_groups(const struct routing *routing);
const struct prefix *routing_group_prefix(const struct routing *routing, size_t group);
uint32_t routing_group_active(const struct routing *routing, size_t group);
/* Calls fn for each other member of each group that the host belongs to; more than once for those that
 * share several. */
void routing_foreach_member(const struct routing *routing, uint32_t host,
	void (*fn)(uint32_t other, void *arg), void *arg);
/* Gives each group to its first healthy member; with none healthy it stays where it
 * is. Calls `moved` for each host that lost or got a prefix. */
void routing_elect(struct routing *routing, bool (*healthy)(uint32_t host, void *user),
	void (*moved)(uint32_t host, void *user), void *user);

/* What the routing tables should hold, sorted. Peers' addresses outside the overlay's networks are merged
 * where their union is a prefix. Networks that (nearly) are default routes or contain one of the `outer` addresses
 * (endpoints) go to table `own_table`, reached by rules that our own packets skip; the rest goes to
 * the main table. Free *ret with g_free. */
size_t routing_routes(const struct routing *routing, unsigned ifindex, uint32_t own_table,
	struct prefix *outer, size_t n_outer, struct route **ret);
/* The rules that go with these routes: none, or two per family. */
enum { ROUTING_RULES_MAX = 4 };
size_t routing_rules(const struct route *routes, size_t n, uint32_t own_table, uint32_t mark,
	struct rule ret[static ROUTING_RULES_MAX]);
/* The first of the two priorities of an instance with this table. */
uint32_t routing_rule_priority(uint32_t own_table);
int route_compare(const struct route *a, const struct route *b);
