/* tests/unit/test_mapcache.c - the last map on disk: sealed, bound, in two generations. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/seal.h"
#include "agent/mapcache.h"

struct fixture {
	char *dir;
	struct wg_key key;
	struct mapcache_owner owner;
};

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-map-XXXXXX", NULL);
	key_generate_private(&f->key);
	f->owner = (struct mapcache_owner){ "https://one.example:443", &f->key };
}

static void tear_down(struct fixture *f, const void *data)
{
	mapcache_remove(f->dir);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
}

static char *path_of(const struct fixture *f, const char *name)
{
	return g_build_filename(f->dir, name, NULL);
}

static void save(struct fixture *f, const char *text, int64_t when)
{
	g_assert_cmpint(mapcache_save(f->dir, &f->owner, text, strlen(text), when), ==, 0);
}

/* NULL: nothing is to be had. */
static void assert_loads(
	struct fixture *f, const struct mapcache_owner *owner, const char *text, int64_t when)
{
	uint8_t *got = NULL;
	int64_t saved = 0;
	size_t len = 0;
	int r = mapcache_load(f->dir, owner, &got, &len, &saved);

	g_assert_cmpint(r, ==, text ? 0 : -ENOENT);
	if (text) {
		g_assert_cmpmem(got, len, text, strlen(text));
		g_assert_cmpint(saved, ==, when);
	}
	seal_wipe(got, len);
}

static char *read_raw(const struct fixture *f, const char *name, gsize *len)
{
	g_autofree char *path = path_of(f, name);
	char *data;

	g_assert_true(g_file_get_contents(path, &data, len, NULL));
	return data;
}

static void write_raw(const struct fixture *f, const char *name, const char *data, gsize len)
{
	g_autofree char *path = path_of(f, name);

	g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
}

static void test_round_trip(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "map"), *raw = NULL;
	struct stat st;
	gsize len;

	assert_loads(f, &f->owner, NULL, 0);
	save(f, "the first map", 1000);
	assert_loads(f, &f->owner, "the first map", 1000);
	save(f, "", 2000);
	assert_loads(f, &f->owner, "", 2000);
	save(f, "the third map", 3000);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	raw = read_raw(f, "map", &len);
	g_assert_null(memmem(raw, len, "third", 5));
}

static void test_binding(struct fixture *f, const void *data)
{
	struct wg_key other;
	struct mapcache_owner elsewhere = { "https://two.example:443", &f->key };
	struct mapcache_owner somebody = { f->owner.url, &other };

	key_generate_private(&other);
	save(f, "ours", 1);
	assert_loads(f, &elsewhere, NULL, 0);
	save(f, "ours", 1);
	assert_loads(f, &somebody, NULL, 0);
	save(f, "ours", 1);
	assert_loads(f, &f->owner, "ours", 1);
}

/* Whatever byte is damaged: the older one is taken, and the bad one is kept aside. */
static void test_damage(struct fixture *f, const void *data)
{
	g_autofree char *raw = NULL, *aside = path_of(f, "map.corrupt");
	gsize len;

	save(f, "older", 10);
	save(f, "newer", 20);
	raw = read_raw(f, "map", &len);
	for (gsize i = 0; i < len; i++) {
		raw[i] ^= 1;
		write_raw(f, "map", raw, len);
		raw[i] ^= 1;
		assert_loads(f, &f->owner, "older", 10);
		g_assert_cmpint(g_unlink(aside), ==, 0);
	}
	for (gsize cut = 0; cut < len; cut++) {
		write_raw(f, "map", raw, cut);
		assert_loads(f, &f->owner, "older", 10);
	}
	write_raw(f, "map", raw, len);
	assert_loads(f, &f->owner, "newer", 20);
}

static void test_lost_key(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "map.key");

	save(f, "sealed", 1);
	g_assert_cmpint(g_unlink(path), ==, 0);
	assert_loads(f, &f->owner, NULL, 0);
	save(f, "anew", 2);
	assert_loads(f, &f->owner, "anew", 2);
}

/* A directory that takes nothing leaves what is there. */
static void test_failing_disk(struct fixture *f, const void *data)
{
	struct mapcache_owner owner = f->owner;

	g_assert_cmpint(mapcache_save("/proc/nowhere", &owner, "x", 1, 1), <, 0);
}

static void add(const char *path, void (*test)(struct fixture *, const void *))
{
	g_test_add(path, struct fixture, NULL, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/mapcache/round-trip", test_round_trip);
	add("/mapcache/binding", test_binding);
	add("/mapcache/damage", test_damage);
	add("/mapcache/lost-key", test_lost_key);
	add("/mapcache/failing-disk", test_failing_disk);
	return g_test_run();
}
