/* agent/network_disk.c - the last map of a server, on the disk: for a start without it. */
#include <errno.h>

#include "agent/base/log.h"
#include "agent/base/seal.h"
#include "agent/config.h"
#include "agent/mapcache.h"
#include "agent/network_impl.h"
#include "mgmt/update.h"

enum {
	SAVE_MS = 1000, /* between two savings of a map that changes often, ... */
	SAVE_BYTES_PER_MS = 512, /* and more for a big one */
	REFRESH_S = 3600, /* a map that does not change is confirmed on the disk so often */
};

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static int64_t wall_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

/* -- saving --------------------------------------------------------------------------------- */

static struct mapcache_owner owner_of(const struct network *n)
{
	return (struct mapcache_owner){ n->membership.url, &n->public_key };
}

static void note_saving(int r)
{
	static struct log_limit limit = { .cause = "map on disk", .burst = 1 };

	if (r < 0 && log_limit_allows(&limit))
		log_warn_errno(r, "cannot save the map, a start without the server would lack it");
}

void network_save_now(struct network *n)
{
	struct mapcache_owner owner = owner_of(n);
	int64_t began_us = g_get_monotonic_time();
	gsize len;
	const void *message;

	g_clear_handle_id(&n->save_timer, g_source_remove);
	if (!n->unsaved)
		return;
	message = g_bytes_get_data(n->unsaved, &len);
	note_saving(mapcache_save(n->state_dir, &owner, message, len, wall_s()));
	g_clear_pointer(&n->unsaved, g_bytes_unref);
	n->saved_ms = now_ms();
	samples_add_phase(n->samples, SAMPLES_SAVING, g_get_monotonic_time() - began_us,
		g_get_real_time() * 1000);
}

static gboolean save_now(gpointer user)
{
	network_save_now(user);
	return G_SOURCE_REMOVE;
}

/* As soon as the message is off our hands, so that its copies are not in memory all at once. */
void network_save_soon(struct network *n, GBytes *message)
{
	size_t len = g_bytes_get_size(message);
	int64_t apart = SAVE_MS + (int64_t)len / SAVE_BYTES_PER_MS;
	int64_t wait = n->saved_ms ? n->saved_ms + apart - now_ms() : 0;

	g_clear_pointer(&n->unsaved, g_bytes_unref);
	n->unsaved = g_bytes_ref(message);
	if (!n->save_timer)
		n->save_timer = g_timeout_add((guint)MAX(wait, 0), save_now, n);
}

void network_confirm_saved(struct network *n)
{
	struct mapcache_owner owner = owner_of(n);
	uint8_t *message;
	int64_t saved;
	size_t len;

	if (n->unsaved || !n->saved_ms || now_ms() - n->saved_ms < REFRESH_S * 1000)
		return;
	n->saved_ms = now_ms();
	if (mapcache_load(n->state_dir, &owner, &message, &len, &saved) < 0)
		return;
	note_saving(mapcache_save(n->state_dir, &owner, message, len, wall_s()));
	seal_wipe(message, len);
}

/* -- reading -------------------------------------------------------------------------------- */

static struct update_limits limits_of(const struct network *n)
{
	return (struct update_limits){
		.own = &n->public_key, .max_peers = n->config->policy.max_peers, .now_s = wall_s()
	};
}

int64_t network_disk_map_age_s(const struct network *n)
{
	return MAX(wall_s() - n->map_saved_s, 0);
}

int network_read_disk(struct network *n, int64_t max_age_s, struct update **ret)
{
	struct mapcache_owner owner = owner_of(n);
	struct update_limits limits = limits_of(n);
	bool was_stale = n->map_is_stale;
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;
	uint8_t *message;
	size_t len;
	int r = mapcache_load(n->state_dir, &owner, &message, &len, &n->map_saved_s);

	if (r < 0)
		return r;
	n->map_is_stale = network_disk_map_age_s(n) > max_age_s;
	if (n->map_is_stale) {
		if (!was_stale)
			log_warn("the map on disk is %" G_GINT64_FORMAT
				 " hours old, too old to be used",
				network_disk_map_age_s(n) / 3600);
		r = -ENOENT;
	} else if (update_from_sync(message, len, &limits, &u, error) < 0 || !u->map) {
		log_warn("the map on disk: %s", u ? "there is none in it" : error);
		r = -ENOENT;
	}
	seal_wipe(message, len);
	if (r < 0)
		update_free(u);
	else
		*ret = u;
	return r;
}
