/* agent/engine_count.c - inner packets of lazy peers: whose are counted, who is idle. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

/* -- ranges --------------------------------------------------------------------------------- */

static void add_ranges(const struct engine *e, uint32_t host, GArray *out)
{
	size_t most = engine_n_prefixes(&e->map->hosts[host]);
	g_autofree struct prefix *room = g_new(struct prefix, most);
	const struct prefix *allowed;
	size_t n = routing_allowed(e->routing, host, room, &allowed);

	for (size_t i = 0; i < n; i++)
		owners_ranges(e->owners, &allowed[i], out);
}

GArray *engine_counted(const struct engine *e)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct nft_range));

	if (!e->map || !e->lazy || !e->nft_lazy.counts)
		return out;
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i) && lazy_wants_counting(e->lazy, i))
			add_ranges(e, i, out);
	return out;
}

/* -- changing ------------------------------------------------------------------------------- */

static int apply(struct engine *e, const struct nft_change *change)
{
	if (!e->nft_table[0] ||
		!(change->n_count + change->n_uncount + change->n_watch + change->n_refuse))
		return 0;
	return KERNEL(e, nft_change, e->nft_table, change);
}

/* Somebody has changed our table: it is made anew, and everything is counted again. */
static void make_anew(struct engine *e, int64_t now_ms)
{
	e->nft_hash = 0;
	engine_due(e, STAGE_NFT, now_ms);
}

static void note_counted(struct engine *e, uint32_t host, bool counted)
{
	e->peers[host].flags &= (uint8_t)~PEER_COUNTED;
	e->peers[host].flags |= counted ? PEER_COUNTED : 0;
}

static void note_all_counted(struct engine *e)
{
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		note_counted(e, i,
			e->nft_lazy.counts && !engine_holds_self(e, i) &&
				lazy_wants_counting(e->lazy, i));
}

static GArray *ranges_of(struct engine *e, const GArray *hosts, bool counted)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct nft_range));

	for (guint i = 0; hosts && e->nft_lazy.counts && i < hosts->len; i++) {
		uint32_t host = g_array_index(hosts, uint32_t, i);

		if (lazy_wants_counting(e->lazy, host) != counted)
			continue; /* undone meanwhile */
		/* In one batch it may have begun and ended: then the kernel knows nothing of it. */
		if (counted || e->peers[host].flags & PEER_COUNTED)
			add_ranges(e, host, out);
		note_counted(e, host, counted);
	}
	return out;
}

void engine_change_counting(struct engine *e, const struct engine_counting *c, int64_t now_ms)
{
	g_autoptr(GArray) count = ranges_of(e, c->count, true);
	g_autoptr(GArray) uncount = ranges_of(e, c->uncount, false);
	struct nft_change changed = {
		.count = (const struct nft_range *)(void *)count->data,
		.n_count = count->len,
		.uncount = (const struct nft_range *)(void *)uncount->data,
		.n_uncount = uncount->len,
	};

	if (c->watch && e->nft_lazy.refuses) {
		changed.watch = (const struct endpoint *)(void *)c->watch->data;
		changed.n_watch = c->watch->len;
		changed.refuse = (const struct endpoint *)(void *)c->refuse->data;
		changed.n_refuse = c->refuse->len;
	}
	if (apply(e, &changed) < 0)
		make_anew(e, now_ms);
}

static int range_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct nft_range));
}

/* Moves what is in `a` and not in `b` to the result; both are sorted. */
static GArray *difference(const GArray *a, const GArray *b)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct nft_range));

	for (guint i = 0, j = 0; i < a->len;) {
		const struct nft_range *x = &g_array_index(a, struct nft_range, i);
		int order = j < b->len ? range_order(x, &g_array_index(b, struct nft_range, j))
				       : -1;

		if (order < 0)
			g_array_append_vals(out, x, 1);
		i += order <= 0;
		j += order >= 0;
	}
	return out;
}

void engine_recount(struct engine *e, GArray *before, int64_t now_ms)
{
	g_autoptr(GArray) old = before, new = engine_counted(e);
	g_autoptr(GArray) count = NULL, uncount = NULL;
	struct nft_change changed;

	g_array_sort(old, range_order);
	g_array_sort(new, range_order);
	count = difference(new, old);
	uncount = difference(old, new);
	changed = (struct nft_change){
		.count = (const struct nft_range *)(void *)count->data,
		.n_count = count->len,
		.uncount = (const struct nft_range *)(void *)uncount->data,
		.n_uncount = uncount->len,
	};
	note_all_counted(e);
	if (apply(e, &changed) < 0)
		make_anew(e, now_ms);
}

int engine_count_all(struct engine *e, int64_t now_ms)
{
	g_autoptr(GArray) all = engine_counted(e);
	struct nft_change change = {
		.count = (const struct nft_range *)(void *)all->data,
		.n_count = all->len,
	};
	int r;

	lazy_counters_lost(e->lazy, now_ms);
	note_all_counted(e);
	r = apply(e, &change);
	return r < 0 ? engine_fail(e, STAGE_NFT, EXIT_FAILED, r, "cannot count packets") : 0;
}

/* -- reading -------------------------------------------------------------------------------- */

static void on_counter(const struct prefix *first, uint64_t packets, void *user)
{
	struct engine *e = user;
	int64_t host = owners_find(e->owners, first);

	if (host >= 0)
		lazy_counter(e->lazy, (uint32_t)host, packets);
}

/* Before somebody is parked it is noted where it is now: that is where it will be woken. */
void engine_look_for_idle(struct engine *e, int64_t now_ms)
{
	if (lazy_has_idle(e->lazy, now_ms))
		engine_note_endpoints(e);
	lazy_park_idle(e->lazy, now_ms);
	engine_lazy_run(e, now_ms);
}

void engine_read_counters(struct engine *e, int64_t now_ms)
{
	int r;

	if (!e->nft_lazy.counts) { /* what was transferred has to do */
		e->next_read_ms = now_ms;
		lazy_read_later(e->lazy, now_ms);
		return;
	}
	lazy_counters_begin(e->lazy);
	r = KERNEL(e, nft_counters, e->nft_table, on_counter, e);
	if (r < 0) {
		lazy_counters_lost(e->lazy, now_ms);
		make_anew(e, now_ms);
		return;
	}
	lazy_counters_end(e->lazy, now_ms);
	engine_look_for_idle(e, now_ms);
}
