/* agent/mapcache.c - the files "map", "map.old" and "map.key" of the state directory. */
#include "agent/mapcache.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/seal.h"
#include "agent/state_records.h"

enum { MAGIC = 8, HEAD = MAGIC + 8, FILE_MAX = HEAD + SEAL_OVERHEAD + 16 * 1024 * 1024 };

static const char magic[MAGIC] = "lwmap1";
static const char *const generations[] = { "map", "map.old" };

/* What is not in the sealed part but has to fit: when it was saved, and whose it is. */
static GByteArray *about(const char head[static HEAD], const struct mapcache_owner *owner)
{
	GByteArray *ret = g_byte_array_new();

	g_byte_array_append(ret, (const guint8 *)head, HEAD);
	g_byte_array_append(ret, owner->public_key->b, sizeof(owner->public_key->b));
	g_byte_array_append(ret, (const guint8 *)owner->url, (guint)strlen(owner->url));
	return ret;
}

static int load_key(const char *state_dir, struct wg_key *ret)
{
	g_autofree char *path = g_build_filename(state_dir, "map.key", NULL);

	return key_read_file(path, ret);
}

static int make_key(const char *state_dir, struct wg_key *ret)
{
	g_autofree char *path = g_build_filename(state_dir, "map.key", NULL);
	char text[KEY_STRLEN];
	int r = load_key(state_dir, ret);

	if (r == 0)
		return 0;
	key_generate_private(ret);
	key_format(ret, text);
	r = file_write(path, text, KEY_TEXT_LEN, 0600);
	explicit_bzero(text, sizeof(text));
	return r;
}

int mapcache_save(const char *state_dir, const struct mapcache_owner *owner, const void *message,
	size_t len, int64_t wall_s)
{
	g_autofree char *path = g_build_filename(state_dir, generations[0], NULL);
	g_autofree char *old = g_build_filename(state_dir, generations[1], NULL);
	g_autoptr(GByteArray) binding = NULL;
	_auto_wipe_ struct wg_key key = { 0 };
	g_autofree uint8_t *sealed = NULL;
	int64_t saved = GINT64_TO_LE(wall_s);
	char head[HEAD];
	size_t sealed_len;
	int r = make_key(state_dir, &key);

	if (r < 0)
		return r;
	memcpy(head, magic, MAGIC);
	memcpy(head + MAGIC, &saved, sizeof(saved));
	binding = about(head, owner);
	sealed = seal(&key, binding->data, binding->len, message, len, &sealed_len);
	/* In its place: a second copy of something this large would count. */
	sealed = g_realloc(sealed, HEAD + sealed_len);
	memmove(sealed + HEAD, sealed, sealed_len);
	memcpy(sealed, head, HEAD);
	if (rename(path, old) < 0 && errno != ENOENT)
		return -errno;
	return file_write(path, sealed, HEAD + sealed_len, 0600);
}

/* 0; -EBADMSG: damaged, or of another server or key; else a negative errno of reading. */
static int load_one(const char *path, const struct wg_key *key, const struct mapcache_owner *owner,
	uint8_t **ret, size_t *ret_len, int64_t *ret_saved_s)
{
	g_autoptr(GByteArray) binding = NULL;
	g_autofree char *data = NULL;
	size_t len = 0;
	int r = file_read(path, FILE_MAX, &data, &len);

	if (r < 0)
		return r;
	if (len < HEAD || memcmp(data, magic, MAGIC))
		return -EBADMSG;
	binding = about(data, owner);
	r = seal_open(key, binding->data, binding->len, data + HEAD, len - HEAD, ret, ret_len);
	if (r < 0)
		return r;
	memcpy(ret_saved_s, data + MAGIC, sizeof(*ret_saved_s));
	*ret_saved_s = GINT64_FROM_LE(*ret_saved_s);
	return 0;
}

int mapcache_load(const char *state_dir, const struct mapcache_owner *owner, uint8_t **ret,
	size_t *ret_len, int64_t *ret_saved_s)
{
	_auto_wipe_ struct wg_key key = { 0 };
	int r = load_key(state_dir, &key);

	for (size_t i = 0; r == 0 && i < G_N_ELEMENTS(generations); i++) {
		g_autofree char *path = g_build_filename(state_dir, generations[i], NULL);
		int loaded = load_one(path, &key, owner, ret, ret_len, ret_saved_s);

		if (loaded == 0)
			return 0;
		if (loaded == -EBADMSG)
			state_move_aside(path, "not a map of this server and this key");
		else if (loaded != -ENOENT)
			log_warn_errno(loaded, "cannot read %s, ignoring it", path);
	}
	return -ENOENT;
}

void mapcache_remove(const char *state_dir)
{
	static const char *const names[] = { "map", "map.old", "map.key", "map.corrupt",
		"map.old.corrupt" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(state_dir, names[i], NULL);

		unlink(path);
	}
}
