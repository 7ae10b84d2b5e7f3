/* agent/cli/cmd_config.c - check-config: the daemon's own parsers, without the daemon. */
#include <stdio.h>

#include "agent/base/jwrite.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/wanted.h"
#include "mgmt/netmap.h"

static void print_result(const struct options *o, const char *path, const struct config *config,
	const struct netmap *map)
{
	const char *host = NULL;
	GString *out;

	if (map && map->self != NETMAP_NONE)
		host = netmap_text(map, map->hosts[map->self].name);
	if (o->json) {
		out = document_new("lapwing.check-config/1", "valid");
		jwrite_string(out, "config", path);
		jwrite_string(out, "mesh_file", config->mesh_file);
		jwrite_string(out, "mesh", map ? map->mesh : NULL);
		if (map)
			jwrite_int(out, "hosts", (int64_t)map->n_hosts);
		else
			jwrite_null(out, "hosts");
		jwrite_string(out, "host", host);
		return document_print(out);
	}
	printf("%s is valid\n", path);
	if (!map)
		puts("no mesh file");
	else
		printf("mesh %s in %s is valid: %zu hosts, %s%s\n", map->mesh, config->mesh_file,
			map->n_hosts, host ? "this one is " : "the key of this one was not read",
			host ? host : "");
}

enum exit_code cmd_check_config(const struct options *o)
{
	const char *path = o->argument ? o->argument : CONFIG_DEFAULT;
	char error[CONFIG_ERROR_MAX];
	struct netmap *map = NULL;
	struct config config;
	struct failure f;
	enum exit_code code = EXIT_OK;
	int r;

	r = config_load(path, &config, error);
	if (r < 0) {
		wanted_unreadable(&f, r, error);
		return failure_report(o, &f);
	}
	if (config.mesh_file)
		code = wanted_mesh(&config, &map, &f);
	if (code)
		failure_report(o, &f);
	else
		print_result(o, path, &config, map);
	netmap_free(map);
	config_done(&config);
	return code;
}
