/* mgmt/netmap_local.c - what a host decides for itself, written into a server's map. */
#include <glib.h>
#include <string.h>

#include "mgmt/netmap.h"

static uint32_t add_text(struct netmap *map, const char *text, size_t len)
{
	size_t at = map->text_len;

	map->text = g_realloc(map->text, at + len + 1);
	memcpy(map->text + at, text, len);
	map->text[at + len] = '\0';
	map->text_len += len + 1;
	return (uint32_t)at;
}

void netmap_set_psk_file(struct netmap *map, const char *path)
{
	uint32_t at = add_text(map, path, strlen(path));

	for (size_t i = 0; i < map->n_hosts; i++)
		if ((int64_t)i != map->self)
			map->hosts[i].psk_file = at;
}

void netmap_add_endpoint(
	struct netmap *map, uint32_t host, const struct endpoint *address, const char *name)
{
	struct netmap_host *h = &map->hosts[host];
	struct netmap_endpoint e = { .address = *address };

	if (h->n_endpoints == NETMAP_ENDPOINTS_MAX)
		return;
	if (name)
		e.name = add_text(map, name, strlen(name));
	if (!h->n_endpoints)
		h->endpoint = (uint32_t)map->n_endpoints;
	map->endpoints = g_renew(struct netmap_endpoint, map->endpoints, map->n_endpoints + 1);
	map->endpoints[map->n_endpoints++] = e;
	h->n_endpoints++;
}
