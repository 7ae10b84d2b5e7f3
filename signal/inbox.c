/* signal/inbox.c - judges what came: the cheap checks first, the costly one for peers only. */
#include "signal/inbox.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/seal.h"

enum {
	BUCKETS_MANY = 1024, /* then those that are full again are forgotten */
	COST = 1000 / INBOX_PER_S,
	FULL = INBOX_BURST * COST,
};

/* What a peer may still send: one message for each COST milliseconds that it has less than FULL to wait. */
struct bucket {
	struct wg_key from;
	int64_t full_ms; /* when it is as if nothing had come */
};

struct inbox {
	struct wg_key own_private, own_public;
	bool (*is_peer)(const struct wg_key *key, void *user);
	void *user;
	uint64_t seen[INBOX_REMEMBERED]; /* the first bytes of nonces, which are random */
	size_t n_seen; /* ever */
	GHashTable *buckets; /* struct bucket, by whose it is */
};

/* Keys are as good as random. */
static guint hash_key(gconstpointer key)
{
	guint hash;

	memcpy(&hash, key, sizeof(hash));
	return hash;
}

static gboolean is_same_key(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct wg_key));
}

struct inbox *inbox_new(const struct wg_key *own_private,
	bool (*is_peer)(const struct wg_key *key, void *user), void *user)
{
	struct inbox *in = g_new0(struct inbox, 1);

	in->own_private = *own_private;
	key_public_from_private(own_private, &in->own_public);
	in->is_peer = is_peer;
	in->user = user;
	in->buckets = g_hash_table_new_full(hash_key, is_same_key, g_free, NULL);
	return in;
}

void inbox_free(struct inbox *in)
{
	if (!in)
		return;
	key_wipe(&in->own_private);
	g_hash_table_unref(in->buckets);
	g_free(in);
}

/* -- the same again, and too often ---------------------------------------------------------- */

static uint64_t mark_of(const struct signal_envelope *e)
{
	uint64_t mark;

	memcpy(&mark, e->box, sizeof(mark));
	return mark;
}

static bool was_here(const struct inbox *in, uint64_t mark)
{
	for (size_t i = 0; i < MIN(in->n_seen, INBOX_REMEMBERED); i++)
		if (in->seen[i] == mark)
			return true;
	return false;
}

static gboolean is_full(gpointer key, gpointer value, gpointer now_ms)
{
	return ((struct bucket *)value)->full_ms <= *(int64_t *)now_ms;
}

static struct bucket *bucket_of(struct inbox *in, const struct wg_key *from, int64_t now_ms)
{
	struct bucket *b = g_hash_table_lookup(in->buckets, from);

	if (b)
		return b;
	if (g_hash_table_size(in->buckets) >= BUCKETS_MANY)
		g_hash_table_foreach_remove(in->buckets, is_full, &now_ms);
	b = g_new(struct bucket, 1);
	*b = (struct bucket){ *from, now_ms };
	g_hash_table_add(in->buckets, b);
	return b;
}

static bool may_send(struct inbox *in, const struct wg_key *from, int64_t now_ms)
{
	struct bucket *b = bucket_of(in, from, now_ms);
	int64_t full_ms = MAX(b->full_ms, now_ms);

	if (full_ms - now_ms > FULL - COST)
		return false;
	b->full_ms = full_ms + COST;
	return true;
}

/* -- verdicts ------------------------------------------------------------------------------- */

static enum signal_fate read_body(
	const uint8_t *plain, size_t len, bool own, struct signal_body *ret)
{
	struct signal_body body;
	int r = signal_body_decode(plain, len, &body);

	if (r < 0 && r != -ENOTSUP)
		return SIGNAL_MALFORMED;
	if (own)
		return r == 0 && body.type == SIGNAL_HEARTBEAT ? SIGNAL_OWN : SIGNAL_IGNORED;
	if (r < 0 || body.type == SIGNAL_HEARTBEAT)
		return SIGNAL_IGNORED;
	*ret = body;
	return SIGNAL_TAKEN;
}

/* What is remembered or charged is so only after the seal was found good: others cannot use it up. */
static enum signal_fate judge(
	struct inbox *in, const struct signal_envelope *e, int64_t now_ms, struct signal_body *ret)
{
	bool own = key_is_same(&e->from, &in->own_public);
	enum signal_fate fate;
	uint8_t *plain;
	size_t len;

	if (!own && was_here(in, mark_of(e)))
		return SIGNAL_REPLAYED;
	if (box_open(&in->own_private, &e->from, e->box, e->box_len, &plain, &len) < 0)
		return SIGNAL_FORGED;
	if (!own)
		in->seen[in->n_seen++ % INBOX_REMEMBERED] = mark_of(e);
	if (!own && !may_send(in, &e->from, now_ms))
		fate = SIGNAL_LIMITED;
	else
		fate = read_body(plain, len, own, ret);
	seal_wipe(plain, len);
	return fate;
}

enum signal_fate inbox_take(struct inbox *in, const uint8_t *message, size_t len, int64_t now_ms,
	struct wg_key *ret_from, struct signal_body *ret)
{
	struct signal_envelope e;
	enum signal_fate fate;

	if (len > SIGNAL_MESSAGE_MAX || signal_envelope_read(message, len, &e) < 0)
		return SIGNAL_GARBAGE;
	if (!key_is_same(&e.to, &in->own_public))
		return SIGNAL_MISADDRESSED;
	if (!key_is_same(&e.from, &in->own_public) && !in->is_peer(&e.from, in->user))
		return SIGNAL_STRANGER;
	fate = judge(in, &e, now_ms, ret);
	if (fate == SIGNAL_TAKEN)
		*ret_from = e.from;
	return fate;
}

const char *signal_fate_name(enum signal_fate fate)
{
	static const char *const names[SIGNAL_FATES] = { [SIGNAL_IGNORED] = "ignored",
		[SIGNAL_GARBAGE] = "garbage",
		[SIGNAL_MISADDRESSED] = "misaddressed",
		[SIGNAL_STRANGER] = "unknown_sender",
		[SIGNAL_FORGED] = "forged",
		[SIGNAL_REPLAYED] = "replayed",
		[SIGNAL_LIMITED] = "limited",
		[SIGNAL_MALFORMED] = "malformed" };

	return names[fate];
}
