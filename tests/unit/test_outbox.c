/* tests/unit/test_outbox.c - order, limits, tries and age of what is to be sent; and random lives. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "signal/outbox.h"

static struct wg_key peer(unsigned i)
{
	return (struct wg_key){ { (uint8_t)i, (uint8_t)(i >> 8) } };
}

static int add(struct outbox *out, unsigned to, bool ordered, const char *text, int64_t now_ms)
{
	struct wg_key key = peer(to);

	return outbox_add(out, &key, ordered, (uint8_t *)g_strdup(text), strlen(text) + 1, now_ms);
}

/* The texts that may go now, one behind the other; *ret_ids theirs. */
static char *go(struct outbox *out, uint32_t *ret_ids)
{
	GString *all = g_string_new(NULL);
	struct outbox_message m;

	while (outbox_next(out, &m)) {
		g_string_append(all, (const char *)m.data);
		*ret_ids++ = m.id;
	}
	return g_string_free(all, FALSE);
}

#define GO(out, ids, text) \
	do { \
		g_autofree char *went_ = go(out, ids); \
		g_assert_cmpstr(went_, ==, text); \
	} while (0)

static void test_order(void)
{
	struct outbox *out = outbox_new();
	uint32_t a[OUTBOX_FLYING], b[OUTBOX_FLYING];

	/* An offer first and alone; then its candidates side by side; then what is in order again. */
	add(out, 1, true, "O", 0);
	add(out, 1, false, "a", 0);
	add(out, 1, false, "b", 0);
	add(out, 1, true, "P", 0);
	add(out, 1, false, "c", 0);
	add(out, 2, true, "Q", 0);
	GO(out, a, "OQ");
	GO(out, b, "");
	outbox_ended(out, a[0], true);
	GO(out, b, "ab");
	outbox_ended(out, b[1], true);
	GO(out, a, "");
	outbox_ended(out, b[0], true);
	GO(out, a, "P");
	outbox_ended(out, a[0], true);
	GO(out, a, "c");
	outbox_free(out);
	outbox_free(NULL);
}

static void test_tries(void)
{
	struct outbox *out = outbox_new();
	struct outbox_counts counts;
	struct outbox_message m;
	uint32_t ids[OUTBOX_FLYING];

	add(out, 1, true, "O", 0);
	add(out, 1, false, "a", 0);
	for (unsigned i = 1; i <= OUTBOX_TRIES; i++) {
		g_assert_true(outbox_next(out, &m));
		g_assert_cmpuint(m.tries, ==, i);
		g_assert_cmpstr((const char *)m.data, ==, "O");
		outbox_ended(out, m.id, false);
		outbox_ended(out, m.id, false); /* is not under way any more */
	}
	GO(out, ids, "a");
	/* The connection is gone. */
	outbox_recall(out);
	GO(out, ids, "a");
	outbox_ended(out, ids[0], true);
	outbox_ended(out, ids[0], true);
	outbox_get_counts(out, &counts);
	g_assert_cmpuint(counts.failed, ==, 1);
	g_assert_cmpuint(counts.sent, ==, 1);
	g_assert_cmpuint(counts.tried_again, ==, OUTBOX_TRIES);
	g_assert_cmpuint(counts.waiting, ==, 0);
	outbox_free(out);
}

static void test_age(void)
{
	struct outbox *out = outbox_new();
	struct outbox_counts counts;
	uint32_t ids[OUTBOX_FLYING];

	g_assert_cmpint(outbox_tick(out, 0), ==, OUTBOX_NEVER);
	add(out, 1, true, "O", 1000);
	add(out, 1, false, "a", 2000);
	GO(out, ids, "O");
	g_assert_cmpint(outbox_tick(out, 1000 + OUTBOX_AGE_MS - 1), ==, 1000 + OUTBOX_AGE_MS);
	g_assert_cmpint(outbox_tick(out, 1000 + OUTBOX_AGE_MS), ==, 2000 + OUTBOX_AGE_MS);
	/* What was under way is too old as well, and no one's hindrance. */
	outbox_ended(out, ids[0], true);
	GO(out, ids, "a");
	outbox_clear(out);
	outbox_get_counts(out, &counts);
	g_assert_cmpuint(counts.expired, ==, 1);
	g_assert_cmpuint(counts.sent, ==, 0);
	g_assert_cmpuint(counts.waiting, ==, 0);
	outbox_free(out);
}

static void test_limits(void)
{
	struct outbox *out = outbox_new();
	struct outbox_counts counts;
	uint32_t ids[OUTBOX_FLYING];
	g_autofree char *first = NULL;

	for (int i = 0; i < OUTBOX_PEER_MAX; i++)
		g_assert_cmpint(add(out, 0, false, "x", 0), ==, 0);
	g_assert_cmpint(add(out, 0, false, "x", 0), ==, -ENOBUFS);
	for (unsigned i = OUTBOX_PEER_MAX; i < OUTBOX_MAX; i++)
		g_assert_cmpint(add(out, i, true, "y", 0), ==, 0);
	g_assert_cmpint(add(out, OUTBOX_MAX, true, "z", 0), ==, -ENOBUFS);
	/* So many at a time; and they take turns, so one peer with much does not stop others. */
	first = go(out, ids);
	g_assert_cmpuint(strlen(first), ==, OUTBOX_FLYING);
	g_assert_nonnull(strchr(first, 'y'));
	g_assert_nonnull(strchr(first, 'x'));
	outbox_ended(out, ids[0], true);
	g_free(first);
	first = go(out, ids);
	g_assert_cmpuint(strlen(first), ==, 1);
	outbox_get_counts(out, &counts);
	g_assert_cmpuint(counts.refused, ==, 2);
	g_assert_cmpuint(counts.waiting, ==, OUTBOX_MAX - 1);
	outbox_free(out);
}

/* -- lives at random ------------------------------------------------------------------------ */

struct life {
	struct outbox *out;
	GHashTable *flying; /* id: text, as "PEER ORDERED NUMBER" */
	unsigned added, number;
	unsigned last[4]; /* the ordered message that went to a peer last */
	int64_t now_ms;
};

/* Nothing is beside an ordered message, and they go in their order. */
static void check_flight(struct life *l, const char *text)
{
	unsigned to, ordered, number, other, other_ordered, other_number;
	GHashTableIter iter;
	gpointer flying;

	g_assert_cmpint(sscanf(text, "%u %u %u", &to, &ordered, &number), ==, 3);
	g_hash_table_iter_init(&iter, l->flying);
	while (g_hash_table_iter_next(&iter, NULL, &flying)) {
		sscanf(flying, "%u %u %u", &other, &other_ordered, &other_number);
		g_assert_false(other == to && (ordered || other_ordered));
	}
	g_assert_true(!ordered || number >= l->last[to]);
	if (ordered)
		l->last[to] = number;
}

static void fly(struct life *l)
{
	struct outbox_message m;

	while (outbox_next(l->out, &m)) {
		check_flight(l, (const char *)m.data);
		g_hash_table_insert(
			l->flying, GUINT_TO_POINTER(m.id), g_strdup((const char *)m.data));
	}
	g_assert_cmpuint(g_hash_table_size(l->flying), <=, OUTBOX_FLYING);
}

static gboolean end_one(gpointer id, gpointer text, gpointer user)
{
	struct life *l = user;
	bool ok = g_test_rand_bit();

	if (g_test_rand_int_range(0, 3))
		return FALSE;
	outbox_ended(l->out, GPOINTER_TO_UINT(id), ok);
	return TRUE;
}

static void live_a_moment(struct life *l)
{
	unsigned to = (unsigned)g_test_rand_int_range(0, 4);
	bool ordered = g_test_rand_bit();
	g_autofree char *text = g_strdup_printf("%u %u %u", to, ordered, ++l->number);

	switch (g_test_rand_int_range(0, 8)) {
	case 0:
		outbox_recall(l->out);
		g_hash_table_remove_all(l->flying);
		break;
	case 1:
		l->now_ms += g_test_rand_int_range(0, 20000);
		outbox_tick(l->out, l->now_ms);
		/* What expired under way: nobody speaks of it any more. */
		outbox_recall(l->out);
		g_hash_table_remove_all(l->flying);
		break;
	case 2:
		g_hash_table_foreach_remove(l->flying, end_one, l);
		break;
	default:
		l->added += add(l->out, to, ordered, text, l->now_ms) == 0;
	}
	fly(l);
}

static void test_random(void)
{
	struct life l = { .out = outbox_new(),
		.flying = g_hash_table_new_full(NULL, NULL, NULL, g_free) };
	struct outbox_counts counts;

	for (int i = 0; i < 20000; i++)
		live_a_moment(&l);
	outbox_get_counts(l.out, &counts);
	g_assert_cmpuint(
		l.added, ==, counts.sent + counts.failed + counts.expired + counts.waiting);
	outbox_tick(l.out, l.now_ms + OUTBOX_AGE_MS);
	outbox_get_counts(l.out, &counts);
	g_assert_cmpuint(counts.waiting, ==, 0);
	g_hash_table_unref(l.flying);
	outbox_free(l.out);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/outbox/order", test_order);
	g_test_add_func("/outbox/tries", test_tries);
	g_test_add_func("/outbox/age", test_age);
	g_test_add_func("/outbox/limits", test_limits);
	g_test_add_func("/outbox/random", test_random);
	return g_test_run();
}
