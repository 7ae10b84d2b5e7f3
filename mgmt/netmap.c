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

static bool same_items(const void *a, size_t n, const void *b, size_t m, size_t item)
{
	return n == m && (!n || !memcmp(a, b, n * item));
}

static bool same_host(const struct netmap_host *a, const struct netmap_host *b)
{
	return !memcmp(&a->key, &b->key, sizeof(a->key)) && a->name == b->name &&
		a->psk_file == b->psk_file && a->prefix == b->prefix &&
		a->endpoint == b->endpoint && a->n_addresses == b->n_addresses &&
		a->n_routes == b->n_routes && a->keepalive == b->keepalive &&
		a->idle_minutes == b->idle_minutes && a->n_endpoints == b->n_endpoints &&
		a->lazy == b->lazy;
}

static bool same_endpoint(const struct netmap_endpoint *a, const struct netmap_endpoint *b)
{
	return endpoint_is_same(&a->address, &b->address) && a->name == b->name;
}

static bool same_head(const struct netmap *a, const struct netmap *b)
{
	return !strcmp(a->mesh, b->mesh) && !strcmp(a->interface.name, b->interface.name) &&
		a->interface.listen_port == b->interface.listen_port &&
		a->interface.mtu == b->interface.mtu && a->lazy.enabled == b->lazy.enabled &&
		a->lazy.idle_minutes == b->lazy.idle_minutes && a->self == b->self &&
		a->has_rules == b->has_rules &&
		!memcmp(a->networks, b->networks, sizeof(a->networks));
}

bool netmap_same_endpoints(const struct netmap *a, const struct netmap_host *x,
	const struct netmap *b, const struct netmap_host *y)
{
	if (x->n_endpoints != y->n_endpoints)
		return false;
	for (size_t i = 0; i < x->n_endpoints; i++) {
		const struct netmap_endpoint *p = &a->endpoints[x->endpoint + i];
		const struct netmap_endpoint *q = &b->endpoints[y->endpoint + i];

		if (!endpoint_is_same(&p->address, &q->address) ||
			strcmp(netmap_text(a, p->name), netmap_text(b, q->name)))
			return false;
	}
	return true;
}

/* Texts are the same and in the same places, or one of them is new. */
bool netmap_is_same(const struct netmap *a, const struct netmap *b)
{
	if (!same_head(a, b) || a->n_hosts != b->n_hosts || a->n_endpoints != b->n_endpoints ||
		!a->metrics != !b->metrics)
		return false;
	if (!same_items(
		    a->prefixes, a->n_prefixes, b->prefixes, b->n_prefixes, sizeof(*a->prefixes)) ||
		!same_items(a->metrics, a->metrics ? a->n_prefixes : 0, b->metrics,
			b->metrics ? b->n_prefixes : 0, sizeof(*a->metrics)) ||
		!same_items(a->rules, a->n_rules, b->rules, b->n_rules, sizeof(*a->rules)) ||
		!same_items(a->text, a->text_len, b->text, b->text_len, 1))
		return false;
	for (size_t i = 0; i < a->n_hosts; i++)
		if (!same_host(&a->hosts[i], &b->hosts[i]))
			return false;
	for (size_t i = 0; i < a->n_endpoints; i++)
		if (!same_endpoint(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
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
static void key_index_grow(struct netmap *map, uint32_t used, size_t wanted)
{
	g_free(map->by_key);
	map->by_key_size = MAX(map->by_key_size, 64);
	while (map->by_key_size < 2 * wanted)
		map->by_key_size *= 2;
	map->by_key = g_new(uint32_t, map->by_key_size);
	memset(map->by_key, 0xff, map->by_key_size * sizeof(*map->by_key));
	for (uint32_t i = 0; i < used; i++)
		*key_find(map, &map->hosts[i].key) = i;
}

void netmap_reserve_keys(struct netmap *map, size_t n)
{
	key_index_grow(map, 0, n);
}

bool netmap_index_key(struct netmap *map, uint32_t host)
{
	uint32_t *slot;

	if (2 * ((size_t)host + 1) > map->by_key_size)
		key_index_grow(map, host, (size_t)host + 1);
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

static bool has_first_label(const struct netmap *map, size_t host, const char *label, size_t len)
{
	const char *name = netmap_text(map, map->hosts[host].name);

	return !strncmp(name, label, len) && (name[len] == '.' || !name[len]);
}

bool netmap_name_matches(const struct netmap *map, uint32_t host, const char *name)
{
	size_t len = strlen(name);

	if (!strcmp(netmap_text(map, map->hosts[host].name), name))
		return true;
	if (!len || strchr(name, '.') || !has_first_label(map, host, name, len))
		return false;
	for (size_t i = 0; i < map->n_hosts; i++)
		if (i != host && has_first_label(map, i, name, len))
			return false;
	return true;
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
