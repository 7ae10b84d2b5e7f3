/* mgmt/netmap_local.c - what a host decides for itself, written into a server's map. */
#include <glib.h>
#include <string.h>

#include "mgmt/hostport.h"
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

static int64_t find_host(const struct netmap *map, const char *peer)
{
	struct wg_key key;

	if (key_parse(peer, strlen(peer), &key) == 0)
		return netmap_find_key(map, &key);
	return netmap_find_name(map, peer);
}

size_t netmap_set_endpoints(struct netmap *map, const char *peer, const char *const *at)
{
	int64_t host = find_host(map, peer);
	struct netmap_host *h = host >= 0 ? &map->hosts[host] : NULL;

	if (!h || host == map->self)
		return 0;
	h->endpoint = (uint32_t)map->n_endpoints;
	h->n_endpoints = 0;
	for (; *at && h->n_endpoints < NETMAP_ENDPOINTS_MAX; at++) {
		struct netmap_endpoint e = { 0 };
		size_t name_len;

		if (hostport_parse(*at, strlen(*at), &e.address, &name_len) < 0)
			continue;
		if (name_len)
			e.name = add_text(map, *at, name_len);
		map->endpoints = g_renew(
			struct netmap_endpoint, map->endpoints, map->n_endpoints + 1);
		map->endpoints[map->n_endpoints++] = e;
		h->n_endpoints++;
	}
	return h->n_endpoints;
}
