/* tests/unit/test_psk.c - whose pre-shared key stays in the kernel: the map's, this host's, or somebody else's. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum { PEER = 1 };

struct fixture {
	struct engine e;
	struct netmap map;
	struct netmap_host hosts[2];
	struct peer peers[2];
	struct wg_key file; /* zero: there is none */
	struct engine_psk_memory saved;
	size_t n_saved;
	int disk; /* what saving gives back */
};

static const struct wg_key zero, a = { { 0xa } }, b = { { 0xb } }, x = { { 0xc } };

static int record_psks(const struct engine_psk_memory *psks, size_t n, void *user)
{
	struct fixture *f = user;

	g_assert_cmpuint(n, <=, 1);
	if (f->disk)
		return f->disk;
	f->n_saved = n;
	if (n)
		f->saved = *psks;
	return 0;
}

static int read_psk(const char *path, struct wg_key *ret, void *user)
{
	struct fixture *f = user;

	g_assert_cmpstr(path, ==, "/psk");
	if (key_is_zero(&f->file))
		return -ENOENT;
	*ret = f->file;
	return 0;
}

static const struct engine_ops ops = { .record_psks = record_psks, .read_psk = read_psk };

static void start(struct fixture *f)
{
	const struct engine_identity identity = { .psks = &f->saved, .n_psks = f->n_saved };

	memset(f->peers, 0, sizeof(f->peers));
	engine_psk_init(&f->e, &identity);
	engine_psk_replace(&f->e, 0);
}

static void set_up(struct fixture *f, const void *data)
{
	static char text[] = "\0me\0db1\0/psk";

	f->hosts[0] = (struct netmap_host){ .key = { { 1 } }, .name = 1 };
	f->hosts[PEER] = (struct netmap_host){ .key = { { 2 } }, .name = 4 };
	f->map = (struct netmap){
		.hosts = f->hosts, .n_hosts = 2, .text = text, .text_len = sizeof(text)
	};
	netmap_reserve_keys(&f->map, 2);
	netmap_index_key(&f->map, 0);
	netmap_index_key(&f->map, PEER);
	f->e.map = &f->map;
	f->e.peers = f->peers;
	f->e.ops = &ops;
	f->e.user = f;
	f->e.removals = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	start(f);
}

static void tear_down(struct fixture *f, const void *data)
{
	engine_psk_free(&f->e);
	g_array_unref(f->e.removals);
	g_free(f->map.by_key);
}

/* The daemon dies and comes back: only what was written down is known. */
static void restart(struct fixture *f)
{
	engine_psk_record(&f->e);
	engine_psk_free(&f->e);
	start(f);
}

static void in_map(struct fixture *f, const struct wg_key *file)
{
	f->file = *file;
	f->hosts[PEER].psk_file = key_is_zero(file) ? 0 : 8;
	engine_psk_replace(&f->e, 0);
}

static int give(struct fixture *f, const struct wg_key *key)
{
	struct wg_key peer;

	return engine_set_psk(&f->e, "db1", key, 0, &peer);
}

/* A reading shows this key; what is there afterwards, as the peer is programmed where it must be. */
static struct wg_key read_and_mend(struct fixture *f, const struct wg_key *has)
{
	const struct wg_key *own = engine_psk(&f->e, PEER);

	if (engine_psk_stays(&f->e, PEER, has))
		return *has;
	engine_psk_was_set(&f->e, PEER);
	return own ? *own : zero;
}

static void expect(struct fixture *f, struct wg_key has, struct wg_key then, const char *state)
{
	struct wg_key is = read_and_mend(f, &has);

	g_assert_cmpmem(&is, sizeof(is), &then, sizeof(then));
	g_assert_cmpstr(engine_psk_state(&f->e, PEER), ==, state);
	g_assert_true(engine_psk_stays(&f->e, PEER, &then)); /* once is enough */
}

static void test_outside(struct fixture *f, const void *data)
{
	g_assert_cmpstr(engine_psk_state(&f->e, PEER), ==, "none");
	expect(f, x, x, "outside");
	expect(f, b, b, "outside");
	restart(f);
	expect(f, b, b, "outside");
	expect(f, zero, zero, "none");
	in_map(f, &zero); /* another map of the same kind */
	expect(f, x, x, "outside");
	g_assert_cmpuint(f->n_saved, ==, 0); /* there is nothing to remember */
}

static void test_map(struct fixture *f, const void *data)
{
	in_map(f, &a);
	g_assert_true(f->e.stages[STAGE_READ].due);
	expect(f, zero, a, "mesh");
	expect(f, x, x, "outside");
	in_map(f, &a); /* the same again */
	expect(f, x, x, "outside");
	restart(f);
	expect(f, x, x, "outside");
	in_map(f, &b); /* another one holds, whatever is there */
	expect(f, x, b, "mesh");
	expect(f, zero, b, "mesh"); /* taken away by somebody: mended */
	in_map(f, &zero);
	expect(f, b, zero, "none"); /* ours, and wanted no more */
	in_map(f, &a);
	expect(f, x, a, "mesh");
	in_map(f, &zero);
	expect(f, x, x, "outside"); /* not ours */
}

/* Edited while nobody ran. */
static void test_edited(struct fixture *f, const void *data)
{
	in_map(f, &a);
	expect(f, zero, a, "mesh");
	f->file = b;
	restart(f);
	expect(f, a, b, "mesh");
	f->hosts[PEER].psk_file = 0;
	restart(f);
	expect(f, b, zero, "none");
}

/* The kernel was told, but not whether it heard. */
static void test_unknown_outcome(struct fixture *f, const void *data)
{
	in_map(f, &a);
	g_assert_cmpuint(f->n_saved, ==, 1); /* before the kernel is told */
	in_map(f, &zero);
	expect(f, a, zero, "none");
	in_map(f, &a);
	restart(f);
	in_map(f, &zero);
	expect(f, a, zero, "none");
}

static void test_given(struct fixture *f, const void *data)
{
	in_map(f, &a);
	expect(f, zero, a, "mesh");
	g_assert_cmpint(give(f, &b), ==, 1);
	expect(f, a, b, "set");
	g_assert_cmpint(give(f, &b), ==, 0);
	restart(f);
	expect(f, b, b, "set");
	in_map(f, &x); /* the map does not count */
	expect(f, b, b, "set");
	expect(f, x, x, "outside");
	g_assert_cmpint(give(f, &b), ==, 1); /* said once more: it is meant */
	expect(f, x, b, "set");
	g_assert_cmpint(give(f, NULL), ==, 1);
	expect(f, b, x, "mesh");
	g_assert_cmpint(give(f, NULL), ==, 0);
	in_map(f, &zero);
	expect(f, x, zero, "none");
	g_assert_cmpint(give(f, &b), ==, 1);
	expect(f, zero, b, "set");
	g_assert_cmpint(give(f, NULL), ==, 1);
	expect(f, a, a, "outside"); /* somebody was quicker: not ours to take */
	restart(f);
	expect(f, a, a, "outside");
}

/* It leaves the map and comes back. */
static void test_leaves(struct fixture *f, const void *data)
{
	g_assert_cmpint(give(f, &b), ==, 1);
	expect(f, zero, b, "set");
	f->hosts[PEER].key.b[1] = 9;
	netmap_index_key(&f->map, PEER);
	engine_psk_replace(&f->e, 0);
	g_assert_cmpstr(engine_psk_state(&f->e, PEER), ==, "none");
	engine_psk_prune(&f->e);
	f->hosts[PEER].key.b[1] = 0;
	engine_psk_replace(&f->e, 0);
	expect(f, zero, b, "set");
	engine_psk_drop(&f->e); /* the network is left */
	g_assert_cmpstr(engine_psk_state(&f->e, PEER), ==, "none");
	g_assert_cmpuint(f->n_saved, ==, 0);
}

static void test_missing_file(struct fixture *f, const void *data)
{
	f->hosts[PEER].psk_file = 8;
	engine_psk_replace(&f->e, 0);
	g_assert_cmpint(f->peers[PEER].state, ==, PEER_BLOCKED);
	g_assert_null(engine_psk(&f->e, PEER));
}

static void test_refused(struct fixture *f, const void *data)
{
	struct wg_key peer;

	g_assert_cmpint(engine_set_psk(&f->e, "db2", &a, 0, &peer), ==, -ENOENT);
	g_assert_cmpint(engine_set_psk(&f->e, "me", &a, 0, &peer), ==, -ENOENT);
	g_assert_cmpint(give(f, &b), ==, 1);
	f->disk = -ENOSPC;
	g_assert_cmpint(give(f, &a), ==, -ENOSPC);
	expect(f, zero, b, "set"); /* nothing has changed */
	g_assert_cmpint(give(f, NULL), ==, -ENOSPC);
	expect(f, b, b, "set");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_set_level(LOG_LEVEL_ERROR);
#define ADD(name) g_test_add("/psk/" #name, struct fixture, NULL, set_up, test_##name, tear_down)
	ADD(outside);
	ADD(map);
	ADD(edited);
	ADD(unknown_outcome);
	ADD(given);
	ADD(leaves);
	ADD(missing_file);
	ADD(refused);
	return g_test_run();
}
