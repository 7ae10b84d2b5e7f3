/* agent/cli/cmd_config.c - check-config: the daemon's own parsers, without the daemon. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/cli/cmd.h"
#include "agent/cli/keyfile.h"
#include "agent/cli/output.h"
#include "agent/config.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

#define CONFIG_DEFAULT "/etc/lapwing/lapwing.json"

static enum exit_code unreadable(struct failure *f, int r, const char *error)
{
	bool permission = r == -EACCES;

	return failure_set(f, permission ? EXIT_PERMISSION : EXIT_CONFIG,
		permission ? "be root" : "see lapwing.json(5)", "%s", error);
}

/* Our own public key where we may know it: then the mesh has to have a host with it. */
static enum exit_code own_key(
	const struct config *config, bool *ret_known, struct wg_key *ret, struct failure *f)
{
	const char *path = config->private_key_file ? config->private_key_file : KEYFILE_DEFAULT;
	_auto_wipe_ struct wg_key key = { 0 };
	int r = keyfile_read(path, &key);

	*ret_known = r == 0;
	if (r == 0)
		key_public_from_private(&key, ret);
	/* Who is not root may lack the rights that the daemon has. */
	if (r == 0 || r == -ENOENT || r == -EACCES || geteuid() != 0)
		return EXIT_OK;
	return failure_set(f, EXIT_CONFIG, "see lapwing.json(5)", "%s: %s", path,
		r == -EINVAL ? "there is no key in it" : file_strerror(r));
}

static enum exit_code load_mesh(const struct config *config, struct netmap **ret, struct failure *f)
{
	char error[MESHFILE_ERROR_MAX];
	g_autofree char *text = NULL;
	enum exit_code code;
	struct wg_key own;
	bool known;
	size_t len;
	int r;

	r = file_read(config->mesh_file, MESHFILE_SIZE_MAX, &text, &len);
	if (r < 0) {
		file_explain(r, config->mesh_file, MESHFILE_SIZE_MAX, error, sizeof(error));
		return unreadable(f, r, error);
	}
	code = own_key(config, &known, &own, f);
	if (code)
		return code;
	r = meshfile_parse(text, len, known ? &own : NULL, config->policy.max_peers, ret, error);
	if (r < 0)
		return failure_set(
			f, EXIT_CONFIG, "see lapwing.json(5)", "%s: %s", config->mesh_file, error);
	return EXIT_OK;
}

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
		unreadable(&f, r, error);
		return failure_report(o, &f);
	}
	if (config.mesh_file)
		code = load_mesh(&config, &map, &f);
	if (code)
		failure_report(o, &f);
	else
		print_result(o, path, &config, map);
	netmap_free(map);
	config_done(&config);
	return code;
}
