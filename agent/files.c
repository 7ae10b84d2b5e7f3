/* agent/files.c - reads what the operator wrote: configuration, private key, mesh file. */
#include "agent/files.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>

#include "agent/base/auto.h"
#include "agent/base/exitcode.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/privs.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

static_assert((int)FILES_ERROR_MAX >= (int)CONFIG_ERROR_MAX, "room for config_load's words");

void files_config_free(struct config *config)
{
	if (!config)
		return;
	config_done(config);
	g_free(config);
}

struct config *files_config(const char *path, char error[static FILES_ERROR_MAX])
{
	struct config *config = g_new0(struct config, 1);

	if (config_load(path, config, error) < 0)
		g_clear_pointer(&config, g_free);
	return config;
}

int files_mesh_text(const struct config *config, char **ret, size_t *ret_len,
	char error[static FILES_ERROR_MAX])
{
	int r = file_read(config->mesh_file, MESHFILE_SIZE_MAX, ret, ret_len);

	if (r < 0)
		file_explain(r, config->mesh_file, MESHFILE_SIZE_MAX, error, FILES_ERROR_MAX);
	return r;
}

/* `own` may be NULL: not to look for ourselves. One line in `error` on failure. */
struct netmap *files_mesh(
	const struct config *config, const struct wg_key *own, char error[static FILES_ERROR_MAX])
{
	g_autofree char *text = NULL;
	char why[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;
	size_t len;

	if (files_mesh_text(config, &text, &len, error) == 0 &&
		meshfile_parse(text, len, own, config->policy.max_peers, &map, why) < 0)
		g_snprintf(error, FILES_ERROR_MAX, "%s: %s", config->mesh_file, why);
	return map;
}

int files_key(const struct config *config, const char *state_dir, struct wg_key *ret,
	char error[static FILES_ERROR_MAX])
{
	g_autofree char *path = config->private_key_file
		? g_strdup(config->private_key_file)
		: g_build_filename(state_dir, "private.key", NULL);
	int r = key_read_file(path, ret);

	if (r == -ENOENT)
		g_snprintf(error, FILES_ERROR_MAX,
			"%s: there is no private key: lapwing genkey makes one", path);
	else if (r < 0)
		g_snprintf(error, FILES_ERROR_MAX, "%s: %s", path,
			r == -EINVAL ? "there is no key in it" : file_strerror(r));
	return r;
}

/* Also before there is a key, and by somebody who may not read it. */
static struct netmap *check_mesh(
	const struct config *config, const char *state_dir, char error[static FILES_ERROR_MAX])
{
	_auto_wipe_ struct wg_key key = { 0 };
	struct wg_key own;
	int r = files_key(config, state_dir, &key, error);

	if (r < 0 && r != -ENOENT && r != -EACCES)
		return NULL;
	if (r == 0)
		key_public_from_private(&key, &own);
	return files_mesh(config, r == 0 ? &own : NULL, error);
}

int files_check(const char *config_path, const char *state_dir)
{
	char error[FILES_ERROR_MAX];
	struct config *config = files_config(config_path, error);
	struct netmap *map = NULL;
	bool good = config != NULL;

	log_set_level(LOG_LEVEL_ERROR);
	if (good && config->mesh_file) {
		int r = privs_drop("lapwing", NULL);

		if (r < 0) {
			files_config_free(config);
			log_error_errno(r, "cannot drop privileges");
			return EXIT_PERMISSION;
		}
		map = check_mesh(config, state_dir, error);
		good = map != NULL;
	}
	if (!good)
		log_error("%s", error);
	netmap_free(map);
	files_config_free(config);
	return good ? EXIT_OK : EXIT_CONFIG;
}
