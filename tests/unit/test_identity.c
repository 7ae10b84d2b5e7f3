/* tests/unit/test_identity.c - the private key of this host, and the machine that it is bound to. */
#include "agent/identity.h"

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"

#define ID_ONE "0123456789abcdef0123456789abcdef"
#define ID_TWO "fedcba9876543210fedcba9876543210"

struct fixture {
	char *dir, *machine, *key, *note;
};

static void put(const char *path, const char *text)
{
	g_assert_cmpint(file_write(path, text, strlen(text), 0600), ==, 0);
}

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-identity-XXXXXX", NULL);
	f->machine = g_build_filename(f->dir, "machine-id", NULL);
	f->key = g_build_filename(f->dir, "private.key", NULL);
	f->note = g_build_filename(f->dir, "identity", NULL);
	put(f->machine, ID_ONE "\n");
}

static void tear_down(struct fixture *f, const void *data)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

	g_assert_cmpint(system(command), ==, 0);
	g_free(f->dir);
	g_free(f->machine);
	g_free(f->key);
	g_free(f->note);
}

static int load(const struct fixture *f, struct wg_key *ret, enum identity_binding *ret_binding)
{
	return identity_load(f->dir, f->machine, ret, ret_binding);
}

static void test_create(struct fixture *f, const void *data)
{
	struct wg_key made, loaded, other = { { 7 } };
	enum identity_binding binding = IDENTITY_UNKNOWN;
	g_autofree char *note = NULL;
	struct stat st;

	g_assert_cmpint(load(f, &loaded, &binding), ==, -ENOENT);
	g_assert_cmpint(identity_create(f->dir, f->machine, &made, &binding), ==, 0);
	g_assert_cmpint(binding, ==, IDENTITY_BOUND);
	g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
	g_assert_cmpint(binding, ==, IDENTITY_BOUND);
	g_assert_true(key_is_same(&made, &loaded));
	g_assert_cmpint(load(f, &loaded, NULL), ==, 0);
	g_assert_cmpint(stat(f->key, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpint(stat(f->note, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	/* The id itself is not written down. */
	g_assert_true(g_file_get_contents(f->note, &note, NULL, NULL));
	g_assert_null(strstr(note, ID_ONE));
	/* The same file as everybody else reads. */
	g_assert_cmpint(key_read_file(f->key, &loaded), ==, 0);
	g_assert_cmpint(identity_create(f->dir, f->machine, &other, &binding), ==, -EEXIST);
	g_assert_cmpint(other.b[0], ==, 7);
}

static void test_cloned(struct fixture *f, const void *data)
{
	struct wg_key made, loaded = { { 7 } };
	enum identity_binding binding = IDENTITY_UNBOUND;
	const char *hint;

	g_assert_cmpint(identity_create(f->dir, f->machine, &made, NULL), ==, 0);
	put(f->machine, ID_TWO "\n");
	g_assert_cmpint(load(f, &loaded, &binding), ==, -EXDEV);
	g_assert_cmpint(loaded.b[0], ==, 7);
	g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
	g_assert_nonnull(strstr(identity_strerror(-EXDEV, &hint), "another machine"));
	g_assert_nonnull(strstr(hint, "--purge"));
	/* A key of its own makes it a host of its own. */
	g_assert_cmpint(identity_purge(f->dir), ==, 0);
	g_assert_cmpint(load(f, &loaded, NULL), ==, -ENOENT);
	g_assert_cmpint(identity_create(f->dir, f->machine, &loaded, NULL), ==, 0);
	g_assert_false(key_is_same(&made, &loaded));
	g_assert_cmpint(load(f, &loaded, NULL), ==, 0);
}

/* Containers and images: nothing to bind to. What was bound is still taken there. */
static void test_no_machine(struct fixture *f, const void *data)
{
	static const char *const ids[] = { NULL, "", "uninitialized\n", "0123456789abcdef\n",
		"00000000000000000000000000000000\n", "0123456789abcdef0123456789abcdeg\n" };
	struct wg_key made, loaded;
	enum identity_binding binding;

	for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
		g_assert_cmpint(identity_purge(f->dir), ==, 0);
		put(f->machine, ID_ONE "\n");
		g_assert_cmpint(identity_create(f->dir, f->machine, &made, &binding), ==, 0);
		g_assert_cmpint(g_unlink(f->machine), ==, 0);
		if (ids[i])
			put(f->machine, ids[i]);
		g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
		g_assert_cmpint(binding, ==, IDENTITY_UNKNOWN);
		g_assert_cmpint(identity_purge(f->dir), ==, 0);
		g_assert_cmpint(identity_create(f->dir, f->machine, &made, &binding), ==, 0);
		g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
		g_assert_nonnull(identity_binding_note(binding));
		put(f->machine, ID_TWO "\n");
		g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
		g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
	}
}

/* As `lapwing genkey` makes them, before and after there was a note. */
static void test_old_key(struct fixture *f, const void *data)
{
	struct wg_key made, loaded;
	enum identity_binding binding = IDENTITY_BOUND;

	put(f->key, "kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\n");
	g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
	g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
	g_assert_cmpint(access(f->note, F_OK), ==, -1);
	g_assert_cmpint(identity_purge(f->dir), ==, 0);
	g_assert_cmpint(identity_create(f->dir, f->machine, &made, NULL), ==, 0);
	put(f->key, "kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\n");
	put(f->machine, ID_TWO "\n");
	g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
	g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
}

static void test_adopt(struct fixture *f, const void *data)
{
	struct wg_key first, other, loaded;
	enum identity_binding binding = IDENTITY_UNBOUND;

	g_assert_cmpint(identity_create(f->dir, f->machine, &first, NULL), ==, 0);
	key_generate_private(&other);
	g_assert_cmpint(identity_adopt(f->dir, f->machine, &other, &binding), ==, 0);
	g_assert_cmpint(binding, ==, IDENTITY_BOUND);
	g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
	g_assert_true(key_is_same(&other, &loaded));
	g_assert_cmpint(binding, ==, IDENTITY_BOUND);
	/* A crash between the two files leaves the old key, unbound. */
	g_assert_cmpint(identity_purge(f->dir), ==, 0);
	g_assert_cmpint(identity_create(f->dir, f->machine, &first, NULL), ==, 0);
	{
		g_autofree char *key = NULL;

		g_assert_true(g_file_get_contents(f->key, &key, NULL, NULL));
		g_assert_cmpint(identity_adopt(f->dir, f->machine, &other, NULL), ==, 0);
		put(f->key, key);
	}
	g_assert_cmpint(load(f, &loaded, &binding), ==, 0);
	g_assert_true(key_is_same(&first, &loaded));
	g_assert_cmpint(binding, ==, IDENTITY_UNBOUND);
}

static void test_damaged(struct fixture *f, const void *data)
{
	static const char *const notes[] = { "", "{}", "x", "{\"version\":2}",
		"{\"version\":1,\"public_key\":\"x\",\"machine\":null}",
		"{\"version\":1,\"public_key\":\"kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\"}",
		"{\"version\":1,\"public_key\":\"kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\","
		"\"machine\":\"" ID_ONE "\"}" };
	struct wg_key key;
	const char *hint;

	put(f->key, "no key\n");
	g_assert_cmpint(load(f, &key, NULL), ==, -EINVAL);
	put(f->key, "kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\n");
	for (size_t i = 0; i < G_N_ELEMENTS(notes); i++) {
		put(f->note, notes[i]);
		g_assert_cmpint(load(f, &key, NULL), ==, -EINVAL);
	}
	g_assert_nonnull(strstr(identity_strerror(-EINVAL, &hint), "damaged"));
	g_unlink(f->note);
	g_assert_cmpint(chmod(f->key, 0644), ==, 0);
	g_assert_cmpint(load(f, &key, NULL), ==, -EPERM);
}

static void test_purge(struct fixture *f, const void *data)
{
	g_autofree char *none = g_build_filename(f->dir, "none", NULL);
	struct wg_key key;

	g_assert_cmpint(identity_purge(f->dir), ==, 0);
	g_assert_cmpint(identity_purge(none), ==, 0);
	g_assert_cmpint(identity_create(f->dir, f->machine, &key, NULL), ==, 0);
	g_assert_cmpint(identity_purge(f->dir), ==, 0);
	g_assert_cmpint(access(f->key, F_OK), ==, -1);
	g_assert_cmpint(access(f->note, F_OK), ==, -1);
	g_assert_cmpint(identity_create(none, f->machine, &key, NULL), ==, -ENOENT);
	g_assert_cmpint(identity_adopt(none, f->machine, &key, NULL), ==, -ENOENT);
}

static void test_words(void)
{
	static const int codes[] = { -ENOENT, -EXDEV, -EINVAL, -EEXIST, -EPERM, -EIO };
	const char *hint;

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
		g_assert_nonnull(identity_strerror(codes[i], &hint));
	g_assert_null(identity_binding_note(IDENTITY_BOUND));
	g_assert_nonnull(identity_binding_note(IDENTITY_UNKNOWN));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) \
	g_test_add("/identity/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(create);
	ADD(cloned);
	ADD(no_machine);
	ADD(old_key);
	ADD(adopt);
	ADD(damaged);
	ADD(purge);
	g_test_add_func("/identity/words", test_words);
	return g_test_run();
}
