/* tests/fuzz/fuzz_config.c - any bytes as lapwing.json: a message or a sound configuration. */
/* covers: agent/config.c agent/config_network.c */
#include <glib.h>
#include <string.h>

#include "agent/config.h"
#include "ice/gather.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each is found by what it is called, and has places to be at. */
static void check_hosts(const struct config *c)
{
	static const struct wg_key key = { { 1 } };

	for (size_t i = 0; i < c->n_hosts; i++) {
		const struct config_host *host = &c->hosts[i];

		g_assert_true(config_find_host(c, host->host, &key) == host);
		g_assert_cmpuint(host->n_endpoints, <=, CONFIG_ENDPOINTS_MAX);
		for (size_t j = 0; j < host->n_endpoints; j++) {
			const struct config_endpoint *e = &host->endpoints[j];

			g_assert_true(e->address.port && !e->address.family == !!e->name);
		}
	}
	config_find_host(c, "a.b", NULL);
	config_find_host(c, NULL, NULL);
}

/* Every one can be used, and all of them together. */
static void check_ice(const struct config *c)
{
	struct gather_map maps[CONFIG_ICE_MAX];
	size_t n = c->ice.external_ips ? g_strv_length(c->ice.external_ips) : 0;

	g_assert_cmpuint(n, <=, CONFIG_ICE_MAX);
	for (size_t i = 0; i < n; i++)
		g_assert_cmpint(gather_map_parse(c->ice.external_ips[i],
					strlen(c->ice.external_ips[i]), &maps[i]),
			==, 0);
	g_assert_true(gather_maps_are_good(maps, n));
	for (char **name = c->ice.interfaces_exclude; name && *name; name++)
		g_assert_true(gather_name_is_good(*name, strlen(*name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct prefix net = { .family = AF_INET, .bits = 8, .addr = { 10 } };
	static const struct prefix all = { .family = AF_INET };
	char error[CONFIG_ERROR_MAX] = "";
	struct config c;

	if (config_parse((const char *)data, size, &c, error) < 0) {
		g_assert_true(*error && !strchr(error, '\n'));
		return 0;
	}
	g_assert_true(strlen(c.interface.name) < sizeof(c.interface.name));
	g_assert_true(c.interface.listen_port != 0 && c.interface.listen_port <= 65535);
	g_assert_true(c.policy.n_routes <= CONFIG_ROUTES_MAX && c.policy.max_peers > 0);
	g_assert_true((c.log.target == LOG_TARGET_FILE) == (c.log.file != NULL));
	g_assert_true(!c.mesh_file || (!c.management.given && !c.hosts && !c.ice.external_ips));
	check_hosts(&c);
	check_ice(&c);
	config_allows_route(&c, &net);
	g_assert_true(c.policy.default_route || !config_allows_route(&c, &all));
	config_done(&c);
	return 0;
}
