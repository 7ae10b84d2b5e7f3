/* agent/engine_memory.c - what is remembered of peers over restarts: pins, and where they roamed to. */
#include <stdlib.h>
#include <string.h>

#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum { MEMORIZE_MS = 5 * 1000 };

static int memory_order(const void *a, const void *b)
{
	const struct engine_memory *x = a, *y = b;

	return memcmp(&x->key, &y->key, sizeof(x->key));
}

void engine_memory_init(struct engine *e, const struct engine_identity *identity)
{
	e->memory = g_array_new(FALSE, FALSE, sizeof(struct engine_memory));
	if (identity->n_memory)
		g_array_append_vals(e->memory, identity->memory, (guint)identity->n_memory);
	g_array_sort(e->memory, memory_order);
}

static const struct engine_memory *find(const struct engine *e, const struct wg_key *key)
{
	struct engine_memory wanted = { .key = *key };

	if (!e->memory->len)
		return NULL;
	return bsearch(&wanted, e->memory->data, e->memory->len, sizeof(wanted), memory_order);
}

void engine_recall(struct engine *e, uint32_t host)
{
	const struct engine_memory *m = find(e, &e->map->hosts[host].key);

	if (!m)
		return;
	if (!e->peers[host].endpoint.family)
		e->peers[host].endpoint = m->endpoint;
	lazy_pin(e->lazy, host, m->pinned, 0);
}

/* What would be tried first anyway need not be remembered. */
static bool is_first(const struct engine *e, uint32_t host, const struct endpoint *endpoint)
{
	struct endpoint first;

	/* What was found is known to this run only. */
	return !engine_add_paths(e, host, &first, 1) && engine_candidates(e, host, &first, 1) &&
		endpoint_is_same(&first, endpoint);
}

static GArray *collect(const struct engine *e)
{
	GArray *out = g_array_new(FALSE, TRUE, sizeof(struct engine_memory));

	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		const struct endpoint *endpoint = &e->peers[i].endpoint;
		struct engine_memory m;
		struct lazy_view view;

		if (engine_holds_self(e, i))
			continue;
		lazy_view(e->lazy, i, &view);
		memset(&m, 0, sizeof(m)); /* compared as bytes */
		m.key = e->map->hosts[i].key;
		m.pinned = view.pinned;
		if (endpoint->family && !is_first(e, i, endpoint))
			m.endpoint = *endpoint;
		if (m.pinned || m.endpoint.family)
			g_array_append_val(out, m);
	}
	g_array_sort(out, memory_order);
	return out;
}

static bool is_same(const GArray *a, const GArray *b)
{
	return a->len == b->len &&
		(!a->len || !memcmp(a->data, b->data, a->len * sizeof(struct engine_memory)));
}

int64_t engine_memorize(struct engine *e, int64_t now_ms)
{
	GArray *now;

	if (!e->memory_due || !e->map)
		return ENGINE_NEVER;
	if (now_ms < e->memory_ms)
		return e->memory_ms;
	e->memory_due = false;
	now = collect(e);
	if (is_same(now, e->memory)) {
		g_array_unref(now);
		return ENGINE_NEVER;
	}
	g_array_unref(e->memory);
	e->memory = now;
	e->memory_ms = now_ms + MEMORIZE_MS;
	/* A full disk is told by its owner. */
	e->ops->record_memory((const struct engine_memory *)(void *)now->data, now->len, e->user);
	return ENGINE_NEVER;
}
