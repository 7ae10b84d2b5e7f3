/* agent/engine_map.c - a new key, configuration or map: what of it is new, and which work follows. */
#include <string.h>

#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

/* The operator wants something: old fights are forgotten. */
static void forget_fights(struct engine *e)
{
	for (size_t i = 0; i < N_STAGES; i++) {
		e->stages[i].repairs = 0;
		e->stages[i].repaired_ms = 0;
	}
}

void engine_set_private_key(struct engine *e, const struct wg_key *private_key)
{
	e->private_key = *private_key;
	key_public_from_private(private_key, &e->public_key);
}

void engine_set_config(struct engine *e, const struct config *config)
{
	e->config_changed |= e->config != config;
	e->config = config;
}

const struct netmap *engine_map(const struct engine *e)
{
	return e->map;
}

static bool same_items(const void *a, size_t n, const void *b, size_t m, size_t item)
{
	return n == m && (!n || !memcmp(a, b, n * item));
}

/* Which stages have something new to look at. A stage that failed and waits stays due anyway. */
static void map_changed(struct engine *e, const struct netmap *old, int64_t now_ms)
{
	const struct netmap *map = e->map;
	bool all = !old || e->config_changed || old->self != map->self;
	bool prefixes = all || memcmp(old->networks, map->networks, sizeof(map->networks)) ||
		!same_items(old->prefixes, old->n_prefixes, map->prefixes, map->n_prefixes,
			sizeof(*map->prefixes));
	bool endpoints = all ||
		!same_items(old->endpoints, old->n_endpoints, map->endpoints, map->n_endpoints,
			sizeof(*map->endpoints));

	bool lazy = all || old->lazy.enabled != map->lazy.enabled ||
		old->interface.listen_port != map->interface.listen_port;

	if (all)
		engine_due(e, STAGE_READ, now_ms);
	if (prefixes)
		engine_due(e, STAGE_ADDRESSES, now_ms);
	if (prefixes || lazy)
		engine_due(e, STAGE_NFT, now_ms);
	if (prefixes || (endpoints && routing_has_networks(e->routing)))
		engine_due(e, STAGE_ROUTES, now_ms);
	e->mtu_stale |= endpoints;
	engine_due(e, STAGE_ACL, now_ms);
	engine_due(e, STAGE_LINK, now_ms);
	engine_due(e, STAGE_DEVICE, now_ms);
	engine_due(e, STAGE_UP, now_ms);
	engine_due(e, STAGE_STEER, now_ms);
	engine_due(e, STAGE_PEERS, now_ms);
	e->config_changed = false;
}

void engine_drop_map(struct engine *e)
{
	e->forgetting = false;
	engine_lazy_drop(e);
	engine_psk_drop(e);
	g_array_set_size(e->names, 0);
	e->names_ms = ENGINE_NEVER;
	g_array_set_size(e->removals, 0);
	g_clear_pointer(&e->routing, routing_free);
	g_clear_pointer(&e->peers, g_free);
	g_clear_pointer(&e->map, netmap_free);
	e->map_problem[0] = '\0';
}

/* Another network before the last one was removed: it takes over what is still there. */
static void remember_again(struct engine *e, int64_t now_ms)
{
	if (!e->forgetting)
		return;
	e->forgetting = false;
	e->removing = e->down;
	for (size_t i = 0; i < N_STAGES; i++)
		engine_due(e, i, now_ms);
}

void engine_set_map(struct engine *e, struct netmap *map, int64_t now_ms)
{
	struct netmap *old = e->map;
	struct peer *old_peers = e->peers;
	GArray *counted = engine_counted(e);

	forget_fights(e);
	remember_again(e, now_ms);
	e->map = map;
	e->map_s = e->ops->wall_s(e->user);
	e->map_problem[0] = '\0';
	routing_free(e->routing);
	e->routing = routing_new(map, e->config);
	owners_free(e->owners);
	e->owners = owners_new(map, e->routing);
	engine_prune_paths(e);
	engine_names_replace(e, old, now_ms);
	engine_peers_replace(e, old, old_peers, now_ms);
	engine_recount(e, counted, now_ms);
	engine_lazy_run(e, now_ms);
	map_changed(e, old, now_ms);
	e->map_new_ms = now_ms;
	netmap_free(old);
	g_free(old_peers);
}

void engine_patch_map(
	struct engine *e, const struct netmap_patch *patches, size_t n, int64_t now_ms)
{
	for (const struct netmap_patch *p = patches; p < patches + n; p++) {
		const struct netmap_host *host = &e->map->hosts[p->host];
		bool same = same_items(e->map->endpoints + host->endpoint, host->n_endpoints,
			p->endpoints, host->n_endpoints, sizeof(*p->endpoints));

		netmap_apply(e->map, p);
		if (same)
			continue;
		engine_new_endpoints(e, p->host, now_ms);
		e->mtu_stale = true;
		engine_due(e, STAGE_UP, now_ms);
		if (routing_has_networks(e->routing))
			engine_due(e, STAGE_ROUTES, now_ms);
	}
	engine_lazy_run(e, now_ms);
	e->map_s = e->ops->wall_s(e->user);
	e->map_new_ms = now_ms;
	e->map_problem[0] = '\0';
}

void engine_set_map_problem(struct engine *e, const char *problem)
{
	if (problem && strcmp(e->map_problem, problem))
		engine_tell(e, "mesh", NULL, NULL, problem);
	g_strlcpy(e->map_problem, problem ? problem : "", sizeof(e->map_problem));
}
