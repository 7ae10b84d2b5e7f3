/* mgmt/update_route.c - from a message: which networks are behind which peers. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/uniq.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

enum { NETWORK_V4 = 1, NETWORK_V6 = 2, NETWORK_DOMAIN = 3 };
enum { METRIC_MAX = 9999 };

/* -- reading -------------------------------------------------------------------------------- */

static uint32_t add_good_text(struct update_reading *r, const char *s)
{
	return update_text_is_good(s, strlen(s), UPDATE_TEXT_MAX)
		? update_add_text(&r->texts, s, strlen(s))
		: 0;
}

static uint32_t add_domains(struct update_reading *r, char *const *domains, size_t n)
{
	struct update_list list = { .texts = &r->texts };
	char name[UPDATE_NAME_MAX + 3];

	for (size_t i = 0; i < n; i++) {
		size_t len = update_normal_domain(domains[i], strlen(domains[i]), name);

		if (len)
			update_list_add(&list, name, len);
		else
			update_note(r, "a route for %s: that is no domain", domains[i]);
	}
	return list.begin;
}

/* False: the whole route is left out. */
static bool read_network(
	struct update_reading *r, const Management__Route *in, struct detail_route *ret)
{
	struct prefix host;

	if (in->networktype == NETWORK_DOMAIN) {
		ret->domains = add_domains(r, in->domains, in->n_domains);
		return ret->domains;
	}
	return (in->networktype == NETWORK_V4 || in->networktype == NETWORK_V6) &&
		update_split_address(in->network, &host, &ret->network) &&
		(host.family == AF_INET) == (in->networktype == NETWORK_V4);
}

void update_read_route(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__Route *in = management__route__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct detail *d = r->detail;
	struct detail_route route = { 0 };

	if (!in)
		return update_note(r, "a route that cannot be read");
	if (d->n_routes == UPDATE_ROUTES_MAX)
		return update_note(r, "route %s: too many", in->network);
	if (key_parse(in->peer, strlen(in->peer), &route.peer) < 0)
		return update_note(r, "route %s: bad key of its router", in->network);
	if (!read_network(r, in, &route))
		return update_note(r, "route %s: no network that can be routed", in->network);
	route.metric = METRIC_MAX;
	if (in->metric >= 0 && in->metric <= METRIC_MAX)
		route.metric = (uint16_t)in->metric;
	else
		update_note(r, "route %s: a bad metric, %d is taken", in->network, METRIC_MAX);
	route.id = add_good_text(r, in->id);
	route.net_id = add_good_text(r, in->netid);
	route.ours = key_is_same(&route.peer, r->limits->own);
	route.masquerade = in->masquerade;
	route.keep = in->keeproute;
	route.skip_auto = in->skipautoapply;
	d->routes = update_room(d->routes, d->n_routes, sizeof(route));
	d->routes[d->n_routes++] = route;
}

/* -- which of them have an effect ----------------------------------------------------------- */

/* One more prefix of a host. */
struct claim {
	uint32_t host, route;
	uint16_t metric;
	struct prefix network;
};

struct choice {
	struct update_reading *r;
	struct uniq *sets; /* what we are a router of */
	bool has_exit;
	uint32_t exit; /* the network whose default routes are taken */
	size_t exit_len;
	struct claim *claims;
	size_t n;
	const char *why; /* the last reason */
	uint32_t why_text;
};

enum { TAG_OURS = 1, TAG_SEEN = 2 };

static bool is_exit(const struct detail_route *route)
{
	return !route->domains && !route->network.bits;
}

/* An exit node's IPv6 twin is called like it, with "-v6" behind. */
static size_t exit_name_len(const struct update_reading *r, const struct detail_route *route)
{
	const char *name = r->texts.s + route->net_id;
	size_t len = strlen(name);

	return route->network.family == AF_INET6 && g_str_has_suffix(name, "-v6") ? len - 3 : len;
}

/* Like strcmp with the name of the exit that was chosen. */
static int exit_order(const struct choice *c, const struct detail_route *route)
{
	const char *texts = c->r->texts.s;
	size_t len = exit_name_len(c->r, route);
	int r = memcmp(texts + route->net_id, texts + c->exit, MIN(len, c->exit_len));

	return r ? r : (len > c->exit_len) - (len < c->exit_len);
}

static void choose_exit(struct choice *c)
{
	const struct detail *d = c->r->detail;

	for (size_t i = 0; i < d->n_routes; i++) {
		const struct detail_route *route = &d->routes[i];

		if (!is_exit(route) || route->ours || route->skip_auto ||
			netmap_find_key(c->r->map, &route->peer) == NETMAP_NONE)
			continue;
		if (c->has_exit && exit_order(c, route) >= 0)
			continue;
		c->has_exit = true;
		c->exit = route->net_id;
		c->exit_len = exit_name_len(c->r, route);
	}
}

/* True the first time. */
static bool note_set(
	const struct choice *c, const struct detail_route *route, unsigned tag, unsigned *ret_tag)
{
	const char *name = c->r->texts.s + route->net_id;
	size_t len = strlen(name);
	char set[UPDATE_TEXT_MAX + sizeof(route->network)];

	memcpy(set, &route->network, sizeof(route->network));
	memcpy(set + sizeof(route->network), name, len);
	len += sizeof(route->network);
	*ret_tag = tag;
	if (uniq_add(c->sets, set, len, tag))
		return true;
	*ret_tag = uniq_tag(c->sets, set, len);
	return false;
}

static bool is_forbidden(const struct update_reading *r, const struct prefix *p)
{
	static const struct prefix ranges[] = {
		{ AF_INET, 8, { 127 } },
		{ AF_INET, 16, { 169, 254 } },
		{ AF_INET, 4, { 224 } },
		{ AF_INET6, 128, { [15] = 1 } },
		{ AF_INET6, 10, { 0xfe, 0x80 } },
		{ AF_INET6, 8, { 0xff } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
		if (prefix_contains(&ranges[i], p))
			return true;
	return update_is_of_overlay(r, p);
}

/* Why a network is not routed to its peer; NULL: it is. */
static const char *why_not(
	const struct choice *c, const struct detail_route *route, uint32_t *ret_host)
{
	int64_t host = netmap_find_key(c->r->map, &route->peer);
	unsigned tag;

	if (route->domains)
		return "routes to domains are not supported";
	if (is_forbidden(c->r, &route->network))
		return "such a network is never routed";
	if (route->network.family == AF_INET6 && !c->r->has_v6)
		return "this host has no IPv6 in the overlay";
	if (route->ours)
		return NULL;
	if (host == NETMAP_NONE)
		return "its router is not among the peers";
	if (!note_set(c, route, TAG_SEEN, &tag) && tag == TAG_OURS)
		return "this host is a router of it";
	if (is_exit(route) && route->skip_auto)
		return "this exit node has to be selected";
	if (is_exit(route) && exit_order(c, route))
		return "another exit node is used";
	*ret_host = (uint32_t)host;
	return NULL;
}

static void set_unused(struct choice *c, struct detail_route *route, const char *why)
{
	if (why != c->why) /* mostly there are many of a kind */
		c->why_text = update_add_text(&c->r->texts, why, strlen(why));
	c->why = why;
	route->unused = c->why_text;
}

static void collect(struct choice *c)
{
	struct update_reading *r = c->r;
	struct detail *d = r->detail;
	unsigned tag;

	for (size_t i = 0; i < d->n_routes; i++)
		if (d->routes[i].ours)
			note_set(c, &d->routes[i], TAG_OURS, &tag);
	for (size_t i = 0; i < d->n_routes; i++) {
		struct detail_route *route = &d->routes[i];
		uint32_t host = (uint32_t)r->map->self;
		const char *why = why_not(c, route, &host);

		if (why)
			set_unused(c, route, why);
		else
			c->claims[c->n++] = (struct claim){ host, (uint32_t)i, route->metric,
				route->network };
	}
}

static int claim_order(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	int r = (x->host > y->host) - (x->host < y->host);

	if (!r)
		r = prefix_compare(&x->network, &y->network);
	if (!r)
		r = (x->metric > y->metric) - (x->metric < y->metric);
	return r ? r : (x->route > y->route) - (x->route < y->route);
}

/* Of those that say the same the best remains. */
static void drop_repeated(struct choice *c)
{
	const struct netmap *map = c->r->map;
	size_t kept = 0, of_host = 0;

	qsort(c->claims, c->n, sizeof(*c->claims), claim_order);
	for (size_t i = 0; i < c->n; i++) {
		const struct claim *last = kept ? &c->claims[kept - 1] : NULL;
		struct claim *claim = &c->claims[i];

		if (!last || last->host != claim->host)
			of_host = map->hosts[claim->host].n_addresses;
		else if (prefix_is_same(&last->network, &claim->network)) {
			set_unused(c, &c->r->detail->routes[claim->route],
				"another one says the same");
			continue;
		}
		if (of_host++ < NETMAP_PREFIXES_MAX)
			c->claims[kept++] = *claim;
		else
			set_unused(
				c, &c->r->detail->routes[claim->route], "its router has too many");
	}
	c->n = kept;
}

/* Behind the addresses of its host each network has its place. */
static void insert(struct netmap *map, const struct claim *claims, size_t n)
{
	struct prefix *all = g_new(struct prefix, map->n_prefixes + n);
	size_t at = 0, next = 0;

	map->metrics = g_new0(uint16_t, map->n_prefixes + n);
	for (uint32_t i = 0; i < map->n_hosts; i++) {
		struct netmap_host *host = &map->hosts[i];

		memcpy(all + at, map->prefixes + host->prefix, host->n_addresses * sizeof(*all));
		host->prefix = (uint32_t)at;
		at += host->n_addresses;
		for (; next < n && claims[next].host == i; next++, at++) {
			all[at] = claims[next].network;
			map->metrics[at] = claims[next].metric;
			host->n_routes++;
		}
	}
	g_free(map->prefixes);
	map->prefixes = all;
	map->n_prefixes = at;
}

void update_apply_routes(struct update_reading *r)
{
	struct choice c = { .r = r };

	if (!r->detail->n_routes)
		return;
	c.sets = uniq_new();
	c.claims = g_new(struct claim, r->detail->n_routes);
	choose_exit(&c);
	collect(&c);
	drop_repeated(&c);
	if (c.n)
		insert(r->map, c.claims, c.n);
	uniq_free(c.sets);
	g_free(c.claims);
}
