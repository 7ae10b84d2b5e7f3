/* mgmt/update_same.c - from a message: what is as it was in the last map, found by comparing hashes. */
#include <glib.h>
#include <string.h>

#include "mgmt/update_impl.h"

enum {
	NEW_MAX = 16, /* peers that differ; with more of them everything is read anew */
	SKIPPED_MAX = 16, /* peers that are gone in a row */
};

/* What a peer becomes depends on who we are, too. */
bool update_is_comparable(const struct update_reading *r, const struct netmap *last)
{
	const struct netmap *map = r->map;
	const struct netmap_host *was = &last->hosts[0], *is = &map->hosts[0];

	return last->sources && last->self == 0 && was->n_addresses == is->n_addresses &&
		!memcmp(last->networks, map->networks, sizeof(map->networks)) &&
		!memcmp(last->prefixes, map->prefixes, is->n_addresses * sizeof(*map->prefixes)) &&
		!strcmp(netmap_text(last, was->name), r->names.s + is->name);
}

/* The peer of the last map that came from these bytes, not far behind number `from`; 0: none. */
static uint32_t find_same(const struct netmap *last, uint32_t from, struct netmap_source source)
{
	uint32_t end = (uint32_t)MIN(last->n_hosts, (size_t)from + SKIPPED_MAX);

	for (uint32_t i = from; i < end; i++)
		if (!memcmp(&last->sources[i], &source, sizeof(source)))
			return i;
	return 0;
}

/* Only what the server says: endpoints and the like this host wrote there itself. */
static bool copy_host(struct update_reading *r, uint32_t number)
{
	const struct netmap *last = r->last;
	const struct netmap_host *was = &last->hosts[number];
	const char *name = netmap_text(last, was->name);
	struct netmap *map = r->map;
	struct netmap_host *host = update_begin_host(map, &was->key);

	host->lazy = was->lazy;
	host->name = update_add_text(&r->names, name, strlen(name));
	for (size_t i = 0; i < was->n_addresses; i++)
		update_add_prefix(map, &last->prefixes[was->prefix + i]);
	return update_finish_host(r, last->sources[number]);
}

/* Does nobody else have the name or an address of this host? */
static bool is_alone(const struct update_reading *r, uint32_t number)
{
	const struct netmap *map = r->map;
	const struct netmap_host *host = &map->hosts[number];

	for (size_t i = 0; i < map->n_hosts; i++)
		if (i != number &&
			!strcmp(r->names.s + map->hosts[i].name, r->names.s + host->name))
			return false;
	for (size_t i = 0; i < map->n_prefixes; i++)
		for (size_t j = host->prefix; j < (size_t)host->prefix + host->n_addresses; j++)
			if (i != j && prefix_is_same(&map->prefixes[i], &map->prefixes[j]))
				return false;
	return true;
}

/* Those that are new are read as ever, and nothing about them may be odd. */
static bool take_new(struct update_reading *r, struct wire_bytes peer, uint32_t *ret_number)
{
	size_t notes = r->detail->n_left_out;

	*ret_number = (uint32_t)r->map->n_hosts;
	update_read_peer(r, peer);
	return r->detail->n_left_out == notes;
}

bool update_copy_peers(struct update_reading *r, struct wire_bytes map)
{
	struct wire wire = wire_begin(map);
	struct wire_field field;
	uint32_t from = 1, fresh[NEW_MAX], n_fresh = 0;

	while (wire_next(&wire, &field)) {
		uint32_t same;

		if (field.number != UPDATE_MAP_PEERS || !field.has_bytes)
			continue;
		same = find_same(r->last, from,
			netmap_source_of((const char *)field.bytes.data, field.bytes.len));
		if (same ? !copy_host(r, same)
			 : n_fresh == NEW_MAX || !take_new(r, field.bytes, &fresh[n_fresh++]))
			return false;
		from = same ? same + 1 : from;
	}
	for (uint32_t i = 0; i < n_fresh; i++)
		if (!is_alone(r, fresh[i]))
			return false;
	return true;
}

void update_copy_rules(struct update_reading *r)
{
	const struct netmap *last = r->last;
	struct netmap *map = r->map;

	map->has_rules = true;
	map->rules = g_memdup2(last->rules, last->n_rules * sizeof(*last->rules));
	map->n_rules = last->n_rules;
	map->rules_source = last->rules_source;
}
