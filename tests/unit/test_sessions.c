/* tests/unit/test_sessions.c - ICE sessions on disk: there and back, and what damage does to them. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/nego/nego.h"
#include "agent/sessions.h"
#include "agent/state_records.h"

struct fixture {
	char *dir, *path, *aside;
};

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-sessions-XXXXXX", NULL);
	f->path = g_build_filename(f->dir, "sessions", NULL);
	f->aside = g_build_filename(f->dir, "sessions.corrupt", NULL);
}

static void tear_down(struct fixture *f, const void *data)
{
	sessions_remove(f->dir);
	g_unlink(f->aside);
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	g_free(f->dir);
	g_free(f->path);
	g_free(f->aside);
}

static struct nego_session session(uint8_t i, uint8_t family)
{
	struct nego_session s = { .key = { { i } },
		.ufrag = "AbCdEfGh",
		.pwd = "abcdefghijklmnopqrstuvwxyzABCDEF",
		.path = { { .family = family, .port = 51820 }, CANDIDATE_HOST, CANDIDATE_RELAY } };

	memset(s.path.at.addr, i, family == AF_INET ? 4 : 16);
	s.path.at.scope = family == AF_INET6 ? 2 : 0;
	return s;
}

static void check_none(const struct fixture *f)
{
	struct nego_session *read;
	size_t n = 7;

	g_assert_cmpint(sessions_load(f->dir, &read, &n), ==, 0);
	g_assert_cmpuint(n, ==, 0);
	sessions_wipe(read, n);
}

static void test_there_and_back(struct fixture *f, const void *data)
{
	const struct nego_session kept[] = { session(1, AF_INET), session(2, AF_INET6) };
	struct nego_session *read;
	struct stat st;
	size_t n;

	check_none(f);
	g_assert_cmpint(sessions_save(f->dir, kept, G_N_ELEMENTS(kept)), ==, 0);
	g_assert_cmpint(stat(f->path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600); /* there are secrets in it */
	g_assert_cmpint(sessions_load(f->dir, &read, &n), ==, 0);
	g_assert_cmpuint(n, ==, G_N_ELEMENTS(kept));
	for (size_t i = 0; i < n; i++) {
		g_assert_true(key_is_same(&read[i].key, &kept[i].key));
		g_assert_cmpstr(read[i].ufrag, ==, kept[i].ufrag);
		g_assert_cmpstr(read[i].pwd, ==, kept[i].pwd);
		g_assert_cmpint(read[i].path.at.family, ==, kept[i].path.at.family);
		g_assert_true(endpoint_is_same(&read[i].path.at, &kept[i].path.at));
		g_assert_cmpint(read[i].path.local, ==, CANDIDATE_HOST);
		g_assert_cmpint(read[i].path.remote, ==, CANDIDATE_RELAY);
	}
	sessions_wipe(read, n);
	g_assert_cmpint(sessions_save(f->dir, NULL, 0), ==, 0);
	check_none(f);
}

/* Each byte in turn. */
static void test_damage(struct fixture *f, const void *data)
{
	const struct nego_session one = session(1, AF_INET);
	g_autofree char *bytes = NULL;
	gsize len;

	g_assert_cmpint(sessions_save(f->dir, &one, 1), ==, 0);
	g_assert_true(g_file_get_contents(f->path, &bytes, &len, NULL));
	for (gsize i = 0; i < len; i++) {
		bytes[i] ^= 1;
		g_assert_true(g_file_set_contents(f->path, bytes, (gssize)len, NULL));
		bytes[i] ^= 1;
		check_none(f);
		g_assert_cmpint(g_unlink(f->aside), ==, 0);
	}
}

/* Sound, but nothing that we write: no address family 5, no fifth type of candidate, no colon in a ufrag. */
static void test_nonsense(struct fixture *f, const void *data)
{
	static const struct {
		uint8_t at, value;
	} changes[] = { { 72, 5 }, { 73, 4 }, { 73, 0x40 }, { 32, ':' }, { 40, 0 } };
	const struct state_records kind = { "lwsess", 1, 96 };
	const struct nego_session one = session(1, AF_INET);
	g_autofree uint8_t *record = NULL;
	size_t n;

	g_assert_cmpint(sessions_save(f->dir, &one, 1), ==, 0);
	g_assert_cmpint(state_records_load(f->path, &kind, &record, &n), ==, 0);
	g_assert_cmpuint(n, ==, 1);
	for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
		uint8_t before = record[changes[i].at];

		record[changes[i].at] = changes[i].value;
		g_assert_cmpint(state_records_save(f->path, &kind, record, 1), ==, 0);
		record[changes[i].at] = before;
		check_none(f);
		g_assert_cmpint(g_unlink(f->aside), ==, 0);
	}
}

static void test_no_room(struct fixture *f, const void *data)
{
	const struct nego_session one = session(1, AF_INET);

	g_assert_cmpint(sessions_save("/dev/full/nowhere", &one, 1), <, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name) \
	g_test_add("/sessions/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(there_and_back);
	ADD(damage);
	ADD(nonsense);
	ADD(no_room);
	return g_test_run();
}
