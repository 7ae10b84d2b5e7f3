/* agent/engine_kept.c - data that a peer was woken by, kept until it is known where the peer is.
 *
 * Under a session that lives the kernel sends data without a handshake, and never again. What goes to where the peer
 * was is lost when a NAT has forgotten it there. So it goes once more to the path that is found; who has got it
 * already refuses it as a replay. */
#include <string.h>

#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum {
	PACKETS_MAX = 4, /* of one peer, the newest */
	BYTES_MAX = 6 * 1024, /* of one peer */
	KEPT_MS = 10 * 1000, /* later nobody expects them any more */
};

struct kept_packet {
	int64_t at_ms;
	size_t len;
	uint8_t data[];
};

struct kept {
	struct wg_key key;
	struct engine *engine;
	GQueue packets; /* struct kept_packet, owned */
	size_t bytes;
};

static void drop_oldest(struct kept *k)
{
	struct kept_packet *p = g_queue_pop_head(&k->packets);

	k->bytes -= p->len;
	k->engine->kept_bytes -= p->len;
	g_free(p);
}

static void kept_free(gpointer data)
{
	struct kept *k = data;

	while (k->packets.length)
		drop_oldest(k);
	g_free(k);
}

void engine_kept_init(struct engine *e)
{
	e->kept = g_hash_table_new_full(key_hash, key_equal, NULL, kept_free);
}

static struct kept *kept_of(struct engine *e, const struct wg_key *key)
{
	struct kept *k = g_hash_table_lookup(e->kept, key);

	if (k)
		return k;
	k = g_new0(struct kept, 1);
	k->key = *key;
	k->engine = e;
	g_queue_init(&k->packets);
	g_hash_table_insert(e->kept, &k->key, k);
	return k;
}

void engine_keep(struct engine *e, uint32_t host, const uint8_t *data, size_t len, int64_t now_ms)
{
	struct kept_packet *p;
	struct kept *k;

	if (len > BYTES_MAX)
		return;
	k = kept_of(e, &e->map->hosts[host].key);
	while (k->packets.length == PACKETS_MAX || k->bytes + len > BYTES_MAX)
		drop_oldest(k);
	if (e->kept_bytes + len > ENGINE_KEPT_BYTES_MAX)
		return;
	p = g_malloc(sizeof(*p) + len);
	*p = (struct kept_packet){ .at_ms = now_ms, .len = len };
	memcpy(p->data, data, len);
	g_queue_push_tail(&k->packets, p);
	k->bytes += len;
	e->kept_bytes += len;
}

void engine_send_kept(struct engine *e, uint32_t host, const struct endpoint *to, int64_t now_ms)
{
	const struct wg_key *key = &e->map->hosts[host].key;
	struct kept *k = g_hash_table_lookup(e->kept, key);

	for (const GList *i = k ? k->packets.head : NULL; i; i = i->next) {
		const struct kept_packet *p = i->data;

		if (now_ms - p->at_ms < KEPT_MS)
			engine_resend(e, host, to, p->data, p->len);
	}
	g_hash_table_remove(e->kept, key);
}

void engine_forget_kept(struct engine *e, const struct wg_key *key)
{
	g_hash_table_remove(e->kept, key);
}
