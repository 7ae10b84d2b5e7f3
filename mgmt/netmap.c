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
	g_free(map->metrics);
	g_free(map->rules);
	g_free(map->endpoints);
	g_free(map->text);
	g_free(map->by_key);
	g_free(map->sources);
	g_free(map);
}

void netmap_apply(struct netmap *map, const struct netmap_patch *patch)
{
	const struct netmap_host *host = &map->hosts[patch->host];

	for (size_t i = 0; i < host->n_endpoints; i++)
		map->endpoints[host->endpoint + i] = patch->endpoints[i];
	map->sources[patch->host] = patch->source;
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

struct netmap_source netmap_source_of(const char *text, size_t len)
{
	uint64_t hash = hash_bytes(text, len);

	return (struct netmap_source){ (uint32_t)len, { (uint32_t)hash, (uint32_t)(hash >> 32) } };
}

bool netmap_source_is(const struct netmap_source *source, const char *text, size_t len)
{
	struct netmap_source now;

	if (source->len > len)
		return false;
	now = netmap_source_of(text, source->len);
	return !memcmp(&now, source, sizeof(now));
}
