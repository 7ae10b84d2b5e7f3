/* agent/routing.c - who carries which prefix, and what goes into the routing tables. */
#include "agent/routing.h"

#include <glib.h>
#include <string.h>

#include "agent/config.h"
#include "mgmt/netmap.h"
#include "netlink/route.h"

struct claim {
	struct prefix prefix;
	uint16_t metric;
	uint32_t host;
};

struct group {
	struct prefix prefix;
	uint32_t first, n; /* in members, the best first */
	uint32_t active; /* a host */
};

struct routing {
	const struct netmap *map;
	const struct config *config;
	struct group *groups; /* sorted by prefix */
	size_t n_groups;
	uint32_t *members;
	size_t n_routes; /* accepted claims of peers */
};

/* Of those who have the same prefix the one with the lowest metric comes first, then the first host. */
static int claim_compare(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int r = prefix_compare(&x->prefix, &y->prefix);

	if (!r)
		r = (x->metric > y->metric) - (x->metric < y->metric);
	return r ? r : (x->host > y->host) - (x->host < y->host);
}

/* What we route ourselves never goes through the tunnel. */
static bool is_own_route(const struct netmap *map, const struct prefix *p)
{
	const struct netmap_host *self = map->self >= 0 ? &map->hosts[map->self] : NULL;
	const struct prefix *own = self ? netmap_prefixes(map, self) + self->n_addresses : NULL;

	for (size_t i = 0; self && i < self->n_routes; i++)
		if (prefix_is_same(&own[i], p))
			return true;
	return false;
}

bool routing_accepts(const struct routing *r, const struct prefix *p)
{
	return config_allows_route(r->config, p) && !is_own_route(r->map, p);
}

static struct claim *collect_claims(const struct routing *r, size_t *ret_n)
{
	const struct netmap *map = r->map;
	struct claim *claims;
	size_t n = 0, total = 0;

	for (size_t i = 0; i < map->n_hosts; i++)
		total += map->hosts[i].n_routes;
	claims = g_new(struct claim, total);
	for (uint32_t i = 0; total && i < map->n_hosts; i++) {
		const struct netmap_host *host = &map->hosts[i];
		size_t first = host->prefix + host->n_addresses;

		for (size_t j = first; (int64_t)i != map->self && j < first + host->n_routes; j++)
			if (routing_accepts(r, &map->prefixes[j]))
				claims[n++] = (struct claim){ map->prefixes[j],
					map->metrics ? map->metrics[j] : 0, i };
	}
	if (n)
		qsort(claims, n, sizeof(*claims), claim_compare);
	*ret_n = n;
	return claims;
}

static void make_groups(struct routing *r, const struct claim *claims, size_t n)
{
	size_t members = 0;

	r->groups = g_new(struct group, n / 2);
	r->members = g_new(uint32_t, n);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (!prefix_is_same(&claims[i].prefix, &claims[end].prefix))
				break;
		if (end - i < 2)
			continue;
		r->groups[r->n_groups++] = (struct group){ .prefix = claims[i].prefix,
			.first = (uint32_t)members,
			.n = (uint32_t)(end - i),
			.active = claims[i].host };
		for (size_t j = i; j < end; j++)
			r->members[members++] = claims[j].host;
	}
}

struct routing *routing_new(const struct netmap *map, const struct config *config)
{
	struct routing *r = g_new0(struct routing, 1);
	g_autofree struct claim *claims = NULL;

	r->map = map;
	r->config = config;
	claims = collect_claims(r, &r->n_routes);
	make_groups(r, claims, r->n_routes);
	return r;
}

void routing_free(struct routing *r)
{
	if (!r)
		return;
	g_free(r->groups);
	g_free(r->members);
	g_free(r);
}

static int group_compare(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return prefix_compare(&x->prefix, &y->prefix);
}

/* NULL: only one host has it, or none. */
static const struct group *group_of(const struct routing *r, const struct prefix *p)
{
	struct group key = { .prefix = *p };

	if (!r->n_groups)
		return NULL;
	return bsearch(&key, r->groups, r->n_groups, sizeof(key), group_compare);
}

uint32_t routing_holder(const struct routing *r, uint32_t host, const struct prefix *p)
{
	const struct group *group = group_of(r, p);

	return group ? group->active : host;
}

size_t routing_allowed(
	const struct routing *r, uint32_t host, struct prefix *scratch, const struct prefix **ret)
{
	const struct netmap_host *h = &r->map->hosts[host];
	const struct prefix *own = netmap_prefixes(r->map, h);
	size_t n = h->n_addresses;

	*ret = own;
	if (!h->n_routes)
		return n;
	memcpy(scratch, own, n * sizeof(*own));
	for (size_t i = h->n_addresses; i < (size_t)h->n_addresses + h->n_routes; i++)
		if (routing_accepts(r, &own[i]) && routing_holder(r, host, &own[i]) == host)
			scratch[n++] = own[i];
	*ret = scratch;
	return n;
}

bool routing_has_networks(const struct routing *r)
{
	return r->n_routes > 0 || r->map->networks[0].family || r->map->networks[1].family;
}

size_t routing_n_groups(const struct routing *r)
{
	return r->n_groups;
}

const struct prefix *routing_group_prefix(const struct routing *r, size_t group)
{
	return &r->groups[group].prefix;
}

uint32_t routing_group_active(const struct routing *r, size_t group)
{
	return r->groups[group].active;
}

void routing_foreach_member(
	const struct routing *r, uint32_t host, void (*fn)(uint32_t other, void *arg), void *arg)
{
	const struct netmap_host *h = &r->map->hosts[host];
	const struct prefix *routes = netmap_prefixes(r->map, h) + h->n_addresses;

	if (host == r->map->self)
		return;
	for (size_t i = 0; i < h->n_routes; i++) {
		const struct group *group = group_of(r, &routes[i]);

		for (size_t j = 0; group && j < group->n; j++)
			if (r->members[group->first + j] != host)
				fn(r->members[group->first + j], arg);
	}
}

void routing_elect(struct routing *r, bool (*healthy)(uint32_t host, void *user),
	void (*moved)(uint32_t host, void *user), void *user)
{
	for (struct group *g = r->groups; g < r->groups + r->n_groups; g++) {
		uint32_t before = g->active;

		for (size_t i = 0; i < g->n; i++)
			if (healthy(r->members[g->first + i], user)) {
				g->active = r->members[g->first + i];
				break;
			}
		if (g->active == before)
			continue;
		moved(before, user);
		moved(g->active, user);
	}
}

/* -- routing tables ------------------------------------------------------------------------- */

int route_compare(const struct route *a, const struct route *b)
{
	int r = prefix_compare(&a->dst, &b->dst);

	return r ? r : (a->table > b->table) - (a->table < b->table);
}

static int route_compare_v(const void *a, const void *b)
{
	return route_compare(a, b);
}

static int prefix_compare_v(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* `sorted` holds single addresses: those inside a network lie together, from its own place on. */
static bool any_inside(const struct prefix *sorted, size_t n, const struct prefix *net)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (prefix_compare(&sorted[mid], net) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && prefix_contains(net, &sorted[low]);
}

static size_t without_own(const struct netmap *map, struct prefix *list, size_t n)
{
	const struct netmap_host *self = map->self >= 0 ? &map->hosts[map->self] : NULL;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool own = false;

		for (size_t j = 0; self && j < self->n_addresses && prefix_is_host(&list[i]); j++)
			own |= prefix_is_same(&list[i], &netmap_prefixes(map, self)[j]);
		if (!own)
			list[kept++] = list[i];
	}
	return kept;
}

static bool is_in_networks(const struct netmap *map, const struct prefix *address)
{
	return prefix_contains(&map->networks[0], address) ||
		prefix_contains(&map->networks[1], address);
}

/* What is inside the overlay's networks needs no route of its own. */
static size_t merged_addresses(const struct netmap *map, struct prefix **ret)
{
	struct prefix *all;
	size_t n = 0;

	for (size_t i = 0; i < map->n_hosts; i++)
		n += map->hosts[i].n_addresses;
	all = g_new(struct prefix, n);
	n = 0;
	/* With our own among them the union has no hole; the local table comes first anyway. Where it
	 * merges with nothing it is not needed. */
	for (size_t i = 0; i < map->n_hosts; i++) {
		const struct prefix *own = netmap_prefixes(map, &map->hosts[i]);

		for (size_t j = 0; j < map->hosts[i].n_addresses; j++)
			if (!is_in_networks(map, &own[j]))
				all[n++] = own[j];
	}
	*ret = all;
	return without_own(map, all, prefix_aggregate(all, n));
}

static bool is_nearly_default(const struct prefix *p)
{
	return p->bits < 8;
}

/* The overlay's networks, then what peers route; of the same prefix there may be several. */
static size_t collect_networks(const struct routing *r, struct prefix **ret)
{
	size_t n_claims = 0, n = 0;
	g_autofree struct claim *claims = r->n_routes ? collect_claims(r, &n_claims) : NULL;
	struct prefix *all = g_new(struct prefix, G_N_ELEMENTS(r->map->networks) + n_claims);

	for (size_t i = 0; i < G_N_ELEMENTS(r->map->networks); i++)
		if (r->map->networks[i].family)
			all[n++] = r->map->networks[i];
	for (size_t i = 0; i < n_claims; i++)
		all[n++] = claims[i].prefix;
	*ret = all;
	return n;
}

static size_t sort_routes(struct route *routes, size_t n)
{
	size_t kept = 0;

	qsort(routes, n, sizeof(*routes), route_compare_v);
	for (size_t i = 0; i < n; i++)
		if (!kept || route_compare(&routes[kept - 1], &routes[i]))
			routes[kept++] = routes[i];
	return kept;
}

size_t routing_routes(const struct routing *r, unsigned ifindex, uint32_t own_table,
	struct prefix *outer, size_t n_outer, struct route **ret)
{
	g_autofree struct prefix *addresses = NULL, *networks = NULL;
	size_t n_addresses = merged_addresses(r->map, &addresses), n = 0;
	size_t n_networks = collect_networks(r, &networks);
	struct route *routes = g_new(struct route, n_addresses + n_networks);

	for (size_t i = 0; i < n_addresses; i++)
		routes[n++] = (struct route){ addresses[i], ROUTE_TABLE_MAIN, ifindex };
	if (n_networks && n_outer)
		qsort(outer, n_outer, sizeof(*outer), prefix_compare_v);
	for (size_t i = 0; i < n_networks; i++) {
		const struct prefix *p = &networks[i];
		bool captured = is_nearly_default(p) || any_inside(outer, n_outer, p);

		routes[n++] = (struct route){ *p, captured ? own_table : ROUTE_TABLE_MAIN,
			ifindex };
	}
	*ret = routes;
	return n_networks ? sort_routes(routes, n) : n;
}

uint32_t routing_rule_priority(uint32_t own_table)
{
	return 20000 + own_table % 5000 * 2;
}

size_t routing_rules(const struct route *routes, size_t n, uint32_t own_table, uint32_t mark,
	struct rule ret[static ROUTING_RULES_MAX])
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	uint32_t priority = routing_rule_priority(own_table);
	size_t n_rules = 0;

	for (size_t f = 0; f < G_N_ELEMENTS(families); f++) {
		bool needed = false;

		for (size_t i = 0; i < n && !needed; i++)
			needed = routes[i].table == own_table &&
				routes[i].dst.family == families[f];
		if (!needed)
			continue;
		ret[n_rules++] = (struct rule){ .family = families[f],
			.priority = priority,
			.table = ROUTE_TABLE_MAIN,
			.suppress_prefixlength = 0 };
		ret[n_rules++] = (struct rule){ .family = families[f],
			.priority = priority + 1,
			.table = own_table,
			.not_mark = true,
			.mark = mark,
			.suppress_prefixlength = -1 };
	}
	return n_rules;
}
