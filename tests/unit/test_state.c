/* tests/unit/test_state.c - what survives a restart, and what damage does to it. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/engine.h"
#include "agent/state.h"

struct fixture {
	char *parent, *dir;
	struct state *state;
};

static void set_up(struct fixture *f, const void *data)
{
	pid_t holder;

	f->parent = g_dir_make_tmp("lapwing-state-XXXXXX", NULL);
	f->dir = g_build_filename(f->parent, "one", NULL);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void remove_all(const char *dir)
{
	g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);

	for (const char *name; (name = g_dir_read_name(entries));) {
		g_autofree char *path = g_build_filename(dir, name, NULL);

		g_remove(path);
	}
	g_rmdir(dir);
}

static void tear_down(struct fixture *f, const void *data)
{
	state_close(f->state);
	remove_all(f->dir);
	g_assert_cmpint(g_rmdir(f->parent), ==, 0);
	g_free(f->dir);
	g_free(f->parent);
}

static void reopen(struct fixture *f)
{
	pid_t holder;

	state_close(f->state);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static char *path_of(const struct fixture *f, const char *name)
{
	return g_build_filename(f->dir, name, NULL);
}

static void test_fresh(struct fixture *f, const void *data)
{
	struct wg_key *keys = NULL;
	struct stat st;
	size_t n = 7;

	g_assert_cmpint(stat(f->dir, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0700);
	g_assert_cmpstr(state_dir(f->state), ==, f->dir);
	g_assert_cmpstr(state_instance(f->state), ==, "one");
	g_assert_false(state_is_down(f->state));
	g_assert_cmpstr(state_interface(f->state), ==, "");
	g_assert_cmpint(state_load_peers(f->state, &keys, &n), ==, 0);
	g_assert_cmpuint(n, ==, 0);
	g_free(keys);
}

static void test_facts(struct fixture *f, const void *data)
{
	g_assert_cmpint(state_set_down(f->state, true), ==, 0);
	reopen(f);
	g_assert_true(state_is_down(f->state));
	g_assert_cmpint(state_set_interface(f->state, "wt-0.a", 4000000000), ==, 0);
	g_assert_cmpint(state_set_down(f->state, false), ==, 0);
	reopen(f);
	g_assert_false(state_is_down(f->state));
	g_assert_cmpstr(state_interface(f->state), ==, "wt-0.a");
	g_assert_cmpint(state_set_interface(f->state, "", 0), ==, 0);
	reopen(f);
	g_assert_cmpstr(state_interface(f->state), ==, "");
}

static void test_lock(struct fixture *f, const void *data)
{
	struct state *second = NULL;
	pid_t holder = 0;

	g_assert_cmpint(state_open(f->dir, &second, &holder), ==, -EBUSY);
	g_assert_null(second);
	g_assert_cmpint(holder, ==, getpid());
	reopen(f);
}

/* The lock does not outlive its holder, however that ends. */
static void test_lock_of_the_dead(struct fixture *f, const void *data)
{
	pid_t child, holder;
	int status;

	state_close(g_steal_pointer(&f->state));
	child = fork();
	if (child == 0) {
		struct state *state;

		_exit(state_open(f->dir, &state, &holder) == 0 ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void test_unsafe_directory(struct fixture *f, const void *data)
{
	g_autofree char *link = g_build_filename(f->parent, "link", NULL);
	g_autofree char *nowhere = g_build_filename(f->parent, "no", "where", NULL);
	struct state *state = NULL;
	pid_t holder;

	state_close(g_steal_pointer(&f->state));
	g_assert_cmpint(chmod(f->dir, 0770), ==, 0);
	g_assert_cmpint(state_open(f->dir, &state, &holder), ==, -EPERM);
	g_assert_cmpint(chmod(f->dir, 0700), ==, 0);
	g_assert_cmpint(symlink(f->dir, link), ==, 0);
	g_assert_cmpint(state_open(link, &state, &holder), <, 0);
	g_unlink(link);
	g_assert_cmpint(state_open(nowhere, &state, &holder), ==, -ENOENT);
	if (getuid() == 0) {
		g_assert_cmpint(chown(f->dir, 12345, 12345), ==, 0);
		g_assert_cmpint(state_open(f->dir, &state, &holder), ==, -EPERM);
		g_assert_cmpint(chown(f->dir, 0, 0), ==, 0);
	}
	g_assert_null(state);
	g_assert_cmpint(state_open(f->dir, &f->state, &holder), ==, 0);
}

static void test_bad_facts(struct fixture *f, const void *data)
{
	static const char *const table[] = {
		"",
		"{",
		"{\"version\":1,\"down\":true}",
		"{\"version\":2,\"down\":true,\"interface\":\"\"}",
		"{\"version\":1,\"down\":1,\"interface\":\"\"}",
		"{\"version\":1,\"down\":true,\"interface\":\"0123456789abcdef\"}",
		"{\"version\":1,\"down\":true,\"interface\":\"\",\"more\":1}",
	};
	g_autofree char *path = path_of(f, "state.json"), *aside = path_of(f, "state.json.corrupt");

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_true(g_file_set_contents(path, table[i], -1, NULL));
		g_assert_cmpint(chmod(path, 0600), ==, 0);
		reopen(f);
		g_assert_false(state_is_down(f->state));
		g_assert_cmpstr(state_interface(f->state), ==, "");
		g_assert_cmpint(g_access(path, F_OK), ==, -1);
		g_assert_cmpint(g_access(aside, F_OK), ==, 0);
		g_unlink(aside);
	}
}

/* The value holds although it could not be written. */
static void test_read_only(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "state.json");

	/* A directory in its place: rename fails for everybody, root too. */
	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	g_assert_cmpint(state_set_down(f->state, true), <, 0);
	g_assert_true(state_is_down(f->state));
	g_assert_cmpint(state_set_interface(f->state, "wt0", 1), <, 0);
	g_assert_cmpstr(state_interface(f->state), ==, "wt0");
	g_rmdir(path);
	g_assert_cmpint(state_set_down(f->state, true), ==, 0);
	reopen(f);
	g_assert_cmpstr(state_interface(f->state), ==, "wt0");
}

static void test_peers(struct fixture *f, const void *data)
{
	static const size_t sizes[] = { 0, 1, 2, 1000, 100000 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		size_t bytes = sizes[i] * sizeof(struct wg_key), n;
		g_autofree struct wg_key *keys = g_malloc0(bytes), *read = NULL;

		for (size_t k = 0; k < bytes; k++)
			((uint8_t *)keys)[k] = (uint8_t)g_test_rand_int();
		g_assert_cmpint(state_save_peers(f->state, keys, sizes[i]), ==, 0);
		g_assert_cmpint(state_load_peers(f->state, &read, &n), ==, 0);
		g_assert_cmpuint(n, ==, sizes[i]);
		g_assert_cmpmem(read, n * sizeof(*read), keys, bytes);
	}
}

static void expect_damaged(struct fixture *f, const char *path, const char *data, size_t len)
{
	g_autofree char *aside = g_strconcat(path, ".corrupt", NULL);
	g_autofree struct wg_key *keys = NULL;
	size_t n = 1;

	g_assert_true(g_file_set_contents_full(
		path, data, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_cmpint(state_load_peers(f->state, &keys, &n), ==, 0);
	g_assert_cmpuint(n, ==, 0);
	g_assert_cmpint(g_access(path, F_OK), ==, -1);
	g_assert_cmpint(g_access(aside, F_OK), ==, 0);
}

static void test_damaged_peers(struct fixture *f, const void *data)
{
	g_autofree char *path = path_of(f, "peers"), *good = NULL;
	struct wg_key keys[3] = { { { 1 } }, { { 2 } }, { { 3 } } };
	gsize len;

	g_assert_cmpint(state_save_peers(f->state, keys, 3), ==, 0);
	g_assert_true(g_file_get_contents(path, &good, &len, NULL));
	for (size_t bit = 0; bit < len * 8; bit++) {
		good[bit / 8] ^= (char)(1 << bit % 8);
		expect_damaged(f, path, good, len);
		good[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		expect_damaged(f, path, good, cut);
}

/* -- memory --------------------------------------------------------------------------------- */

enum { HEAD = 16, RECORD = 56, SUM = 32 };

static void random_bytes(void *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)at)[i] = (uint8_t)g_test_rand_int();
}

static void random_memory(struct engine_memory *m)
{
	static const uint8_t families[] = { 0, AF_INET, AF_INET6 };
	struct endpoint *e = &m->endpoint;

	random_bytes(&m->key, sizeof(m->key));
	m->pinned = g_test_rand_bit();
	e->family = families[g_test_rand_int_range(0, 3)];
	if (!e->family)
		return;
	e->port = (uint16_t)g_test_rand_int_range(1, 65536);
	random_bytes(e->addr, e->family == AF_INET ? 4 : 16);
	if (e->family == AF_INET6)
		e->scope = (uint32_t)g_test_rand_int();
}

static void test_memory(struct fixture *f, const void *data)
{
	static const size_t sizes[] = { 0, 1, 2, 1000, 100000 };
	struct engine_memory *read;
	size_t n = 1;

	g_assert_cmpint(state_load_memory(f->state, &read, &n), ==, 0);
	g_assert_null(read);
	g_assert_cmpuint(n, ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree struct engine_memory *m = g_new0(struct engine_memory, sizes[i]);

		for (size_t k = 0; k < sizes[i]; k++)
			random_memory(&m[k]);
		g_assert_cmpint(state_save_memory(f->state, m, sizes[i]), ==, 0);
		reopen(f);
		g_assert_cmpint(state_load_memory(f->state, &read, &n), ==, 0);
		g_assert_cmpmem(read, n * sizeof(*read), m, sizes[i] * sizeof(*m));
		g_free(read);
	}
	g_assert_cmpint(state_save_memory(f->state, NULL, 2 * 1024 * 1024 + 1), ==, -EFBIG);
}

/* With this in the file: its number of records, or -1: it was moved aside. */
static int load_memory(struct fixture *f, const void *content, size_t len)
{
	g_autofree char *path = path_of(f, "memory"), *aside = path_of(f, "memory.corrupt");
	g_autofree struct engine_memory *read = NULL;
	size_t n = 7;
	bool there;

	g_assert_true(g_file_set_contents_full(
		path, content, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	g_assert_cmpint(state_load_memory(f->state, &read, &n), ==, 0);
	there = g_access(path, F_OK) == 0;
	g_assert_true(there == (g_unlink(aside) < 0));
	g_assert_true(there || (!n && !read));
	return there ? (int)n : -1;
}

/* The form of the file, byte for byte, with a sum that is right. */
static size_t compose(char *at, uint32_t count, const void *records, size_t len)
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize n = SUM;

	memcpy(at, "lwmemo\0\0\1\0\0\0", 12);
	for (int i = 0; i < 4; i++)
		at[12 + i] = (char)(count >> 8 * i);
	memcpy(at + HEAD, records, len);
	g_checksum_update(checksum, (guchar *)at, (gssize)(HEAD + len));
	g_checksum_get_digest(checksum, (guint8 *)at + HEAD + len, &n);
	return HEAD + len + SUM;
}

static void test_memory_form(struct fixture *f, const void *data)
{
	static const uint8_t records[2 * RECORD] = { 0xaa, [31] = 0xbb, 6, 1, 0x6c, 0xca, 7, 1, 0,
		0, 0xfe, 0x80, [55] = 9, 0xcc, [56 + 32] = 4, 0, 1, 0, [56 + 40] = 192, 0, 2, 1 };
	struct engine_memory m[2] = {
		{ { { 0xaa, [31] = 0xbb } }, { AF_INET6, 51820, 263, { 0xfe, 0x80, [15] = 9 } },
			true },
		{ { { 0xcc } }, { AF_INET, 1, 0, { 192, 0, 2, 1 } }, false },
	};
	g_autofree char *path = path_of(f, "memory"), *written = NULL;
	char expected[HEAD + 2 * RECORD + SUM];
	gsize len;

	g_assert_cmpint(state_save_memory(f->state, m, 2), ==, 0);
	g_assert_true(g_file_get_contents(path, &written, &len, NULL));
	g_assert_cmpuint(
		compose(expected, 2, records, sizeof(records)), ==, HEAD + 2 * RECORD + SUM);
	g_assert_cmpmem(written, len, expected, sizeof(expected));
}

static void test_damaged_memory(struct fixture *f, const void *data)
{
	static const uint32_t counts[] = { 0, 1, 3, 0x20000002, 0x80000002, 0xffffffff };
	struct engine_memory m[2] = { { .pinned = true },
		{ .endpoint = { AF_INET, 1, 0, { 1 } } } };
	g_autofree char *path = path_of(f, "memory"), *good = NULL;
	char whole[HEAD + 2 * RECORD + SUM];
	gsize len;

	g_assert_cmpint(state_save_memory(f->state, m, 2), ==, 0);
	g_assert_true(g_file_get_contents(path, &good, &len, NULL));
	g_assert_cmpint(load_memory(f, good, len), ==, 2);
	for (size_t bit = 0; bit < len * 8; bit++) {
		good[bit / 8] ^= (char)(1 << bit % 8);
		g_assert_cmpint(load_memory(f, good, len), ==, -1);
		good[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		g_assert_cmpint(load_memory(f, good, cut), ==, -1);
	/* A right sum does not help against a count that does not fit. */
	for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
		compose(whole, counts[i], good + HEAD, 2 * RECORD);
		g_assert_cmpint(load_memory(f, whole, sizeof(whole)), ==, -1);
	}
	compose(whole, 2, good + HEAD, 2 * RECORD);
	g_assert_cmpint(load_memory(f, whole, sizeof(whole)), ==, 2);
}

/* Any record under a right sum: taken only when it makes sense. */
static void test_strange_memory(struct fixture *f, const void *data)
{
	unsigned taken = 0;

	for (unsigned round = 0; round < 2000; round++) {
		uint8_t record[RECORD];
		char whole[HEAD + RECORD + SUM];
		unsigned version, port;
		bool good;

		random_bytes(record, sizeof(record));
		if (g_test_rand_bit())
			record[32] %= 8;
		record[33] &= 0x83;
		if (!g_test_rand_int_range(0, 4))
			record[34] = record[35] = 0;
		version = record[32];
		port = (unsigned)record[34] | record[35];
		good = !(record[33] & ~1) &&
			((!version && !port) || ((version == 4 || version == 6) && port));
		compose(whole, 1, record, sizeof(record));
		g_assert_cmpint(load_memory(f, whole, sizeof(whole)), ==, good ? 1 : -1);
		taken += good;
	}
	g_assert_cmpuint(taken, >, 10);
}

static void test_psks(struct fixture *f, const void *data)
{
	struct engine_psk_memory psks[3], *read;
	g_autofree char *path = path_of(f, "psks"), *peers = path_of(f, "peers");
	GStatBuf st;
	size_t n = 7;

	g_assert_cmpint(state_load_psks(f->state, &read, &n), ==, 0);
	g_assert_true(!n && !read);
	random_bytes(psks, sizeof(psks));
	g_assert_cmpint(state_save_psks(f->state, psks, 3), ==, 0);
	g_assert_cmpint(g_stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 0777, ==, 0600);
	reopen(f);
	g_assert_cmpint(state_load_psks(f->state, &read, &n), ==, 0);
	g_assert_cmpmem(read, n * sizeof(*read), psks, sizeof(psks));
	g_free(read);
	g_assert_cmpint(state_save_peers(f->state, &psks[0].peer, 1), ==, 0);
	g_assert_cmpint(g_rename(peers, path), ==, 0);
	g_assert_cmpint(state_load_psks(f->state, &read, &n), ==, 0);
	g_assert_true(!n && !read);
}

/* Neither file is taken for the other. */
static void test_mistaken(struct fixture *f, const void *data)
{
	g_autofree char *peers = path_of(f, "peers"), *memory = path_of(f, "memory");
	struct engine_memory m[4] = { { .pinned = true } }, *read;
	struct wg_key keys[7] = { { { 1 } } };
	size_t n;

	g_assert_cmpint(state_save_peers(f->state, keys, 7), ==, 0);
	g_assert_cmpint(g_rename(peers, memory), ==, 0);
	g_assert_cmpint(state_load_memory(f->state, &read, &n), ==, 0);
	g_assert_cmpint(g_access(memory, F_OK), <, 0);
	g_assert_cmpint(state_save_memory(f->state, m, 4), ==, 0);
	g_assert_true(g_file_test(memory, G_FILE_TEST_EXISTS));
	g_assert_cmpint(g_rename(memory, peers), ==, 0);
	g_assert_cmpint(state_load_peers(f->state, &(struct wg_key *){ NULL }, &n), ==, 0);
	g_assert_cmpint(g_access(peers, F_OK), <, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) g_test_add("/state/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(fresh);
	ADD(facts);
	ADD(lock);
	ADD(lock_of_the_dead);
	ADD(unsafe_directory);
	ADD(bad_facts);
	ADD(read_only);
	ADD(peers);
	ADD(damaged_peers);
	ADD(memory);
	ADD(memory_form);
	ADD(damaged_memory);
	ADD(strange_memory);
	ADD(psks);
	ADD(mistaken);
	return g_test_run();
}
