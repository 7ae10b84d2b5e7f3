/* agent/daemon_files.c - the daemon's two files: configuration and mesh, read at first and again. */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/daemon_impl.h"
#include "agent/engine.h"
#include "agent/network.h"
#include "agent/notify.h"
#include "agent/state.h"
#include "agent/watch.h"
#include "mgmt/mapdiff.h"
#include "mgmt/meshupdate.h"
#include "mgmt/netmap.h"

static_assert((int)DAEMON_ERROR_MAX == (int)FILES_ERROR_MAX, "the same lines");

enum { DEBOUNCE_MS = 200 };

static void write_difference(const struct netmap *before, const struct netmap *after, GString *out)
{
	struct mapdiff diff;

	mapdiff_make(&diff, before, after);
	mapdiff_write(&diff, out, MAPDIFF_NAMED_MAX);
	mapdiff_done(&diff);
}

/* Everything is read and checked before anything is replaced. False: nothing was changed. */
bool daemon_take_mesh(struct daemon *d, const struct config *config, GString *difference,
	char error[static FILES_ERROR_MAX])
{
	_auto_wipe_ struct wg_key key = { 0 };
	struct wg_key own;
	struct netmap *map;

	if (files_key(config, state_dir(d->state), &key, error) < 0)
		return false;
	key_public_from_private(&key, &own);
	map = files_mesh(config, &own, error);
	if (!map)
		return false;
	if (difference)
		write_difference(engine_map(d->engine), map, difference);
	engine_set_private_key(d->engine, &key);
	engine_set_config(d->engine, config);
	engine_set_map(d->engine, map, daemon_now_ms());
	malloc_trim(0);
	log_info("mesh %s: %zu peers", map->mesh, engine_count_peers(d->engine));
	return true;
}

/* False: more has changed than can be patched, or it cannot be read. */
static bool patch_mesh(struct daemon *d)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	const struct netmap *map = engine_map(d->engine);
	char error[FILES_ERROR_MAX];
	g_autofree char *text = NULL;
	size_t len, n;

	if (!map || files_mesh_text(d->config, &text, &len, error) < 0 ||
		meshupdate_read(text, len, map, patches, &n) < 0)
		return false;
	engine_patch_map(d->engine, patches, n, daemon_now_ms());
	log_info("mesh %s: %zu endpoints changed", map->mesh, n);
	return true;
}

static gboolean mesh_changed_for_good(gpointer user)
{
	struct daemon *d = user;
	char error[FILES_ERROR_MAX];

	d->mesh_again = 0;
	if (!patch_mesh(d) && !daemon_take_mesh(d, d->config, NULL, error)) {
		log_error("%s; the mesh stays as it is", error);
		engine_set_map_problem(d->engine, error);
	}
	daemon_kick(d);
	return G_SOURCE_REMOVE;
}

/* An editor writes several times: wait until it is quiet. */
static void mesh_changed(void *user)
{
	struct daemon *d = user;

	g_clear_handle_id(&d->mesh_again, g_source_remove);
	d->mesh_again = g_timeout_add(DEBOUNCE_MS, mesh_changed_for_good, d);
}

void daemon_watch_mesh(struct daemon *d)
{
	int r;

	g_clear_pointer(&d->watch, watch_close);
	if (!d->config->mesh_file || network_is_joined(d->network))
		return;
	r = watch_open(d->config->mesh_file, mesh_changed, d, &d->watch);
	if (r < 0)
		log_warn_errno(
			r, "cannot watch %s, tell me of changes by SIGHUP", d->config->mesh_file);
}

void daemon_apply_log(struct daemon *d, const struct config *config)
{
	int r = log_open(config->log.target, config->log.file);

	if (r < 0)
		log_warn_errno(
			r, "cannot log to %s", config->log.file ? config->log.file : "the journal");
	if (!d->fixed_log_level)
		log_set_level(config->log.level);
}

void daemon_explain_mesh_file(const struct daemon *d, char error[static FILES_ERROR_MAX])
{
	g_snprintf(error, FILES_ERROR_MAX,
		"%s: mesh_file has no effect, as this host is enrolled at %s: lapwing deregister, or "
		"take it out",
		d->config_path, network_url(d->network));
}

/* Of a configuration that was read again, all that can fail. False: nothing was changed. */
static bool take_map_anew(struct daemon *d, const struct config *config, GString *difference,
	char error[static FILES_ERROR_MAX])
{
	if (config->mesh_file && network_is_joined(d->network)) {
		daemon_explain_mesh_file(d, error);
		return false;
	}
	if (config->mesh_file)
		return daemon_take_mesh(d, config, difference, error);
	if (!d->config->mesh_file)
		return true;
	if (!daemon_is_down(d)) {
		g_strlcpy(error, "mesh_file is gone from the configuration: lapwing down first",
			FILES_ERROR_MAX);
		return false;
	}
	engine_forget_map(d->engine, daemon_now_ms());
	return true;
}

int daemon_reload(struct daemon *d, GString *difference, char error[static DAEMON_ERROR_MAX])
{
	struct config *config = files_config(d->config_path, error);
	bool good = config && take_map_anew(d, config, difference, error);

	notify_reloading();
	if (good) {
		bool moved = g_strcmp0(config->mesh_file, d->config->mesh_file) != 0;

		engine_set_config(d->engine, config);
		network_set_config(d->network, config);
		files_config_free(d->config);
		d->config = config;
		daemon_apply_log(d, config);
		/* The watch that is there may hold news of the file. */
		if (moved) {
			daemon_watch_mesh(d);
			mesh_changed(d);
		}
		log_info("configuration read again");
	} else {
		files_config_free(config);
		log_error("%s; everything stays as it is", error);
		engine_set_map_problem(d->engine, error);
	}
	if (d->placed)
		notify_ready();
	daemon_kick(d);
	return good ? 0 : -EINVAL;
}
