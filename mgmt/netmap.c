/* mgmt/netmap.c - who is in the network: memory and look-up. */
#include "mgmt/netmap.h"

#include <glib.h>
#include <string.h>

#include "mgmt/hash.h"

void netmap_free(struct netmap *map)
{
	if (!map)
		return;
	g_free(map->hosts);
	g_free(map->prefixes);
	g_free(map->endpoints);
	g_free(map->text);
	g_free(map->by_key);
	g_free(map->sources);
	g_free(map);
}

struct netmap *netmap_clone(const struct netmap *map)
{
	struct netmap *copy = g_memdup2(map, sizeof(*map));

	copy->hosts = g_memdup2(map->hosts, map->n_hosts * sizeof(*map->hosts));
	copy->prefixes = g_memdup2(map->prefixes, map->n_prefixes * sizeof(*map->prefixes));
	copy->endpoints = g_memdup2(map->endpoints, map->n_endpoints * sizeof(*map->endpoints));
	copy->text = g_memdup2(map->text, map->text_len);
	copy->by_key = g_memdup2(map->by_key, map->by_key_size * sizeof(*map->by_key));
	copy->sources = g_memdup2(map->sources, map->n_hosts * sizeof(*map->sources));
	return copy;
}

static size_t key_slot(const struct netmap *map, const struct wg_key *key)
{
	return hash_bytes(key, sizeof(*key)) & (map->by_key_size - 1);
}

static uint32_t *key_find(const struct netmap *map, const struct wg_key *key)
{
	size_t slot = key_slot(map, key);

	while (map->by_key[slot] != NETMAP_EMPTY &&
		memcmp(&map->hosts[map->by_key[slot]].key, key, sizeof(*key)))
		slot = (slot + 1) & (map->by_key_size - 1);
	return &map->by_key[slot];
}

/* At most half full, so that searches stay short. */
static void key_index_grow(struct netmap *map, uint32_t used)
{
	g_free(map->by_key);
	map->by_key_size = map->by_key_size ? map->by_key_size * 2 : 64;
	map->by_key = g_new(uint32_t, map->by_key_size);
	memset(map->by_key, 0xff, map->by_key_size * sizeof(*map->by_key));
	for (uint32_t i = 0; i < used; i++)
		*key_find(map, &map->hosts[i].key) = i;
}

bool netmap_index_key(struct netmap *map, uint32_t host)
{
	uint32_t *slot;

	if (2 * ((size_t)host + 1) > map->by_key_size)
		key_index_grow(map, host);
	slot = key_find(map, &map->hosts[host].key);
	if (*slot != NETMAP_EMPTY)
		return false;
	*slot = host;
	return true;
}

int64_t netmap_find_key(const struct netmap *map, const struct wg_key *key)
{
	uint32_t host;

	if (!map->by_key_size)
		return NETMAP_NONE;
	host = *key_find(map, key);
	return host == NETMAP_EMPTY ? NETMAP_NONE : (int64_t)host;
}

int64_t netmap_find_name(const struct netmap *map, const char *name)
{
	for (size_t i = 0; i < map->n_hosts; i++)
		if (!strcmp(netmap_text(map, map->hosts[i].name), name))
			return (int64_t)i;
	return NETMAP_NONE;
}
