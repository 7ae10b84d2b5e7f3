/* tests/fuzz/fuzz_meshfile.c - any bytes as a mesh file; a map that comes out is consistent. */
/* covers: mgmt/meshfile.c mgmt/meshhost.c */
#include <assert.h>
#include <string.h>

#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct netmap *map)
{
	size_t prefixes = 0, endpoints = 0;

	for (size_t i = 0; i < map->n_hosts; i++) {
		const struct netmap_host *host = &map->hosts[i];

		assert(host->prefix == prefixes && host->endpoint == endpoints);
		assert(host->n_addresses > 0 && strlen(netmap_text(map, host->name)) > 0);
		for (size_t j = 0; j < host->n_addresses; j++)
			assert(prefix_is_host(netmap_prefixes(map, host) + j));
		assert(netmap_find_key(map, &host->key) == (int64_t)i);
		prefixes += (size_t)host->n_addresses + host->n_routes;
		endpoints += host->n_endpoints;
	}
	assert(prefixes == map->n_prefixes && endpoints == map->n_endpoints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;
	struct wg_key own;

	/* Sometimes with a key to look for. */
	key_parse("rf4uG7KxS1SGSoJ4tTJnOhpdTcQkLWBIE4YFvFyTlXc=", KEY_TEXT_LEN, &own);
	if (meshfile_parse((const char *)data, size, size % 2 ? &own : NULL, 50, &map, error) < 0) {
		assert(!map && error[0] && !strchr(error, '\n'));
		return 0;
	}
	check(map);
	netmap_free(map);
	return 0;
}
