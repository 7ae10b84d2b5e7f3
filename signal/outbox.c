/* signal/outbox.c - one lane for each peer that something waits for; lanes take turns. */
#include "signal/outbox.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

struct lane {
	struct wg_key remote;
	GQueue messages; /* struct message, in their order */
	unsigned flying;
	bool closed; /* an ordered message is under way */
	GList link; /* in the outbox's lanes */
};

struct message {
	uint32_t id;
	unsigned tries;
	bool ordered, flying;
	int64_t until_ms;
	uint8_t *data;
	size_t len;
	struct lane *lane;
	GList link; /* in the lane */
	GList age_link; /* in the outbox's ages */
};

struct outbox {
	GQueue lanes; /* whose turn it is first */
	GQueue ages; /* all messages, the oldest first */
	GHashTable *by_id;
	unsigned flying;
	uint32_t last_id;
	struct outbox_counts counts;
};

struct outbox *outbox_new(void)
{
	struct outbox *out = g_new0(struct outbox, 1);

	out->by_id = g_hash_table_new(NULL, NULL);
	return out;
}

void outbox_free(struct outbox *out)
{
	if (!out)
		return;
	outbox_clear(out);
	g_hash_table_unref(out->by_id);
	g_free(out);
}

/* -- lanes ---------------------------------------------------------------------------------- */

/* Few peers are spoken to at a time. */
static struct lane *find_lane(const struct outbox *out, const struct wg_key *remote)
{
	for (GList *l = out->lanes.head; l; l = l->next)
		if (key_is_same(&((struct lane *)l->data)->remote, remote))
			return l->data;
	return NULL;
}

static struct lane *open_lane(struct outbox *out, const struct wg_key *remote)
{
	struct lane *lane = g_new0(struct lane, 1);

	lane->remote = *remote;
	lane->link.data = lane;
	g_queue_push_tail_link(&out->lanes, &lane->link);
	return lane;
}

static void land(struct outbox *out, struct message *m)
{
	if (!m->flying)
		return;
	m->flying = false;
	m->lane->flying--;
	m->lane->closed = false; /* who closed it flew alone */
	out->flying--;
}

static void drop(struct outbox *out, struct message *m)
{
	struct lane *lane = m->lane;

	land(out, m);
	g_queue_unlink(&lane->messages, &m->link);
	g_queue_unlink(&out->ages, &m->age_link);
	g_hash_table_remove(out->by_id, GUINT_TO_POINTER(m->id));
	g_free(m->data);
	g_free(m);
	if (lane->messages.length)
		return;
	g_queue_unlink(&out->lanes, &lane->link);
	g_free(lane);
}

/* -- messages ------------------------------------------------------------------------------- */

static uint32_t new_id(struct outbox *out)
{
	do
		out->last_id++;
	while (!out->last_id || g_hash_table_contains(out->by_id, GUINT_TO_POINTER(out->last_id)));
	return out->last_id;
}

int outbox_add(struct outbox *out, const struct wg_key *remote, bool ordered, uint8_t *data,
	size_t len, int64_t now_ms)
{
	struct lane *lane = find_lane(out, remote);
	struct message *m;

	if (out->ages.length >= OUTBOX_MAX || (lane && lane->messages.length >= OUTBOX_PEER_MAX)) {
		out->counts.refused++;
		g_free(data);
		return -ENOBUFS;
	}
	m = g_new0(struct message, 1);
	m->id = new_id(out);
	m->ordered = ordered;
	m->until_ms = now_ms + OUTBOX_AGE_MS;
	m->data = data;
	m->len = len;
	m->lane = lane ? lane : open_lane(out, remote);
	m->link.data = m->age_link.data = m;
	g_queue_push_tail_link(&m->lane->messages, &m->link);
	g_queue_push_tail_link(&out->ages, &m->age_link);
	g_hash_table_insert(out->by_id, GUINT_TO_POINTER(m->id), m);
	return 0;
}

static struct message *next_of(const struct lane *lane)
{
	struct message *m = NULL;

	if (lane->closed)
		return NULL;
	for (GList *l = lane->messages.head; l; l = l->next) {
		m = l->data;
		if (!m->flying)
			return m->ordered && lane->flying ? NULL : m;
	}
	return NULL;
}

bool outbox_next(struct outbox *out, struct outbox_message *ret)
{
	struct message *m = NULL;

	if (out->flying >= OUTBOX_FLYING)
		return false;
	for (GList *l = out->lanes.head; l && !m; l = l->next)
		m = next_of(l->data);
	if (!m)
		return false;
	m->flying = true;
	m->lane->flying++;
	m->lane->closed = m->ordered;
	out->flying++;
	if (m->tries++)
		out->counts.tried_again++;
	g_queue_unlink(&out->lanes, &m->lane->link);
	g_queue_push_tail_link(&out->lanes, &m->lane->link);
	*ret = (struct outbox_message){ m->id, m->tries, m->data, m->len };
	return true;
}

void outbox_ended(struct outbox *out, uint32_t id, bool ok)
{
	struct message *m = g_hash_table_lookup(out->by_id, GUINT_TO_POINTER(id));

	if (!m || !m->flying)
		return;
	if (ok)
		out->counts.sent++;
	else if (m->tries >= OUTBOX_TRIES)
		out->counts.failed++;
	else
		return land(out, m);
	drop(out, m);
}

void outbox_recall(struct outbox *out)
{
	for (GList *l = out->ages.head; l; l = l->next)
		land(out, l->data);
}

int64_t outbox_tick(struct outbox *out, int64_t now_ms)
{
	struct message *m;

	while ((m = g_queue_peek_head(&out->ages)) && m->until_ms <= now_ms) {
		out->counts.expired++;
		drop(out, m);
	}
	return m ? m->until_ms : OUTBOX_NEVER;
}

void outbox_clear(struct outbox *out)
{
	struct message *m;

	while ((m = g_queue_peek_head(&out->ages)))
		drop(out, m);
}

void outbox_get_counts(const struct outbox *out, struct outbox_counts *ret)
{
	*ret = out->counts;
	ret->waiting = out->ages.length;
}
