/* agent/engine_program.c - tells the kernel about peers: one request each, 64 per send. */
#include <errno.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum { BATCH = 64 };

/* A batch under construction. Prefixes that had to be picked are at `offset` in the scratch array,
 * which may still move while the batch grows. */
struct batch {
	struct wg_peer_config requests[BATCH];
	uint32_t hosts[BATCH];
	struct endpoint endpoints[BATCH];
	int results[BATCH];
	size_t n;
};

static int record_peers(struct engine *e)
{
	size_t n = 0;
	g_autofree struct wg_key *keys = g_new(struct wg_key, e->map->n_hosts + e->removals->len);

	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i))
			keys[n++] = e->map->hosts[i].key;
	if (e->removals->len)
		memcpy(keys + n, e->removals->data, e->removals->len * sizeof(*keys));
	n += e->removals->len;
	e->record_due = false;
	/* A full disk is told by its owner; the tunnels come first. */
	return e->ops->record_peers(keys, n, e->user);
}

/* -- removals ------------------------------------------------------------------------------- */

static int send_removals(struct engine *e)
{
	struct wg_peer_config requests[BATCH];
	int results[BATCH];
	size_t n = MIN(e->removals->len, BATCH);
	int r;

	memset(requests, 0, sizeof(requests));
	for (size_t i = 0; i < n; i++) {
		requests[i].public_key = g_array_index(e->removals, struct wg_key, i);
		requests[i].keepalive = -1;
		requests[i].remove = true;
	}
	r = KERNEL(e, wg_set_peers, e->index, requests, n, results);
	for (size_t i = 0; i < n && r == 0; i++)
		if (results[i] < 0 && results[i] != -ENOENT)
			r = results[i];
	if (r < 0)
		return engine_fail(e, STAGE_PEERS, EXIT_PARTIAL, r, "cannot remove peers");
	g_array_remove_range(e->removals, 0, (guint)n);
	return 1;
}

/* -- settings ------------------------------------------------------------------------------- */

/* From number `at` on the first that the host can send to at all. Only when both families are there is it
 * asked for: what cannot be sent WireGuard does not count, so that nothing would ever look unanswered. */
static size_t sendable(const struct engine *e, const struct endpoint *known, size_t n, size_t at)
{
	bool mixed = false;
	unsigned index;
	uint32_t mtu;

	for (size_t i = 1; i < n; i++)
		mixed |= known[i].family != known[0].family;
	for (size_t i = at; mixed && i < at + n; i++)
		if (KERNEL(e, route_path, &known[i % n], engine_mark(e), &mtu, &index) >= 0)
			return i % n;
	return at;
}

/* Till now, and where no sentinel can be had in the books only: it is where it was last. */
static bool slept(const struct peer *peer)
{
	return peer->sentinel || peer->state == PEER_PARKED || peer->state == PEER_WAKING;
}

/* The endpoint to give to the kernel now; false: none is known. */
static bool pick_endpoint(struct engine *e, uint32_t host, struct endpoint *ret)
{
	struct endpoint known[NETMAP_ENDPOINTS_MAX + 1];
	size_t n = 0, at = 0;

	if (engine_sentinel_of(e, host, ret))
		return true;
	if (lazy_state(e->lazy, host) == LAZY_PERMANENT && !slept(&e->peers[host]))
		n = engine_candidates(e, host, known, NETMAP_ENDPOINTS_MAX);
	if (!n) /* nothing, or nothing but where it was last */
		n = engine_lazy_candidates(e, host, known, G_N_ELEMENTS(known));
	if (!n)
		return false;
	if (lazy_state(e->lazy, host) == LAZY_PERMANENT)
		at = sendable(e, known, n, slept(&e->peers[host]) ? 0 : e->peers[host].chosen % n);
	*ret = known[at];
	return true;
}

static struct wg_peer_config *next_request(struct engine *e, struct batch *b, uint32_t host)
{
	struct wg_peer_config *request = &b->requests[b->n];

	*request = (struct wg_peer_config){
		.public_key = e->map->hosts[host].key,
		.keepalive = -1,
		/* Never makes a peer that has an endpoint but no allowed IPs. */
		.update_only = (e->peers[host].flags & (PEER_INSTALLED | PEER_DIRTY)) ==
			PEER_INSTALLED,
	};
	b->hosts[b->n++] = host;
	return request;
}

static const struct wg_key no_psk;

static void add_settings(struct engine *e, struct batch *b, uint32_t host, struct prefix **room)
{
	struct peer *peer = &e->peers[host];
	bool fresh = !(peer->flags & PEER_INSTALLED);
	size_t at = b->n;
	struct wg_peer_config *request = next_request(e, b, host);
	const struct wg_key *psk = engine_psk(e, host);

	if (peer->flags & PEER_NEW_ENDPOINT || fresh) {
		if (pick_endpoint(e, host, &b->endpoints[at]))
			request->endpoint = &b->endpoints[at];
	}
	/* Parking and waking switch keepalives off and on. */
	if (e->map->hosts[e->map->self].keepalive)
		request->keepalive = engine_wanted_keepalive(e, host);
	if (!(peer->flags & PEER_DIRTY) && !fresh)
		return;
	request->n_allowed = routing_allowed(e->routing, host, *room, &request->allowed);
	if (request->allowed == *room)
		*room += request->n_allowed;
	request->replace_allowed = !fresh;
	if (fresh || peer->flags & PEER_PSK)
		request->preshared_key = psk ? psk : fresh ? NULL : &no_psk;
	request->keepalive = engine_wanted_keepalive(e, host);
	if (fresh && !request->keepalive)
		request->keepalive = -1;
}

/* The one that the last request gives. */
static void note_endpoint(struct engine *e, const struct batch *b)
{
	const struct endpoint *endpoint = b->requests[b->n - 1].endpoint;

	if (endpoint && !sentinel_is_one(endpoint))
		e->peers[b->hosts[b->n - 1]].endpoint = *endpoint;
}

static bool needs_poke(const struct engine *e, uint32_t host)
{
	const struct peer *peer = &e->peers[host];

	/* With keepalives on the kernel asks by itself, unless that was forgotten. */
	return peer->flags & PEER_POKE &&
		(!engine_wanted_keepalive(e, host) || engine_is_stalled(e, host));
}

/* Switching keepalives on makes the kernel send one at once, and for that it shakes hands. */
static void add_poke(struct engine *e, struct batch *b, uint32_t host)
{
	int wanted = engine_wanted_keepalive(e, host);
	const int keepalives[] = { wanted ? 0 : 1, wanted };
	struct wg_peer_config *request;

	for (size_t i = 0; i < G_N_ELEMENTS(keepalives); i++) {
		request = next_request(e, b, host);
		request->update_only = true;
		request->keepalive = keepalives[i];
	}
}

static void add_peer(struct engine *e, struct batch *b, uint32_t host, struct prefix **room)
{
	struct peer *peer = &e->peers[host];
	size_t at = b->n;

	if (peer->flags & (PEER_DIRTY | PEER_NEW_ENDPOINT) || !(peer->flags & PEER_INSTALLED))
		add_settings(e, b, host, room);
	if (b->n > at)
		note_endpoint(e, b);
	if (needs_poke(e, host) && (peer->endpoint.family || engine_is_asleep(e, host)))
		add_poke(e, b, host);
	if (b->n == at) /* nothing to say: a poke where keepalives do it, or without endpoint */
		peer->flags &= (uint8_t)~PEER_WORK;
}

/* Gathers peers from the cursor on. The scratch room is taken once, for all of them. */
static size_t fill_batch(struct engine *e, struct batch *b)
{
	uint32_t picked[BATCH];
	size_t n = 0, prefixes = 0, requests = 0;
	struct prefix *room;

	b->n = 0;
	for (; e->cursor < e->map->n_hosts; e->cursor++) {
		uint32_t host = e->cursor;
		struct peer *peer = &e->peers[host];

		if (!(peer->flags & PEER_WORK))
			continue;
		if (peer->state == PEER_BLOCKED) {
			peer->flags &= (uint8_t)~PEER_WORK;
			continue;
		}
		requests += needs_poke(e, host) ? 3 : 1;
		if (requests > BATCH)
			break;
		picked[n++] = host;
		if (e->map->hosts[host].n_routes)
			prefixes += engine_n_prefixes(&e->map->hosts[host]);
	}
	room = engine_scratch(e, prefixes);
	for (size_t i = 0; i < n; i++)
		add_peer(e, b, picked[i], &room);
	return n;
}

static void note_result(struct engine *e, uint32_t host, int result)
{
	struct peer *peer = &e->peers[host];

	peer->flags &= (uint8_t)~PEER_WORK;
	peer->flags |= PEER_INSTALLED; /* half of it, perhaps, when it failed */
	if (result < 0)
		engine_block(e, host, PEER_BLOCK_KERNEL, result);
	else
		peer->installed = engine_wanted_hash(e, host);
}

/* The first failing request of a peer is what counts. */
static void note_results(struct engine *e, const struct batch *b)
{
	for (size_t i = 0; i < b->n;) {
		uint32_t host = b->hosts[i];
		int result = 0;

		for (; i < b->n && b->hosts[i] == host; i++) {
			if (b->requests[i].preshared_key && !b->results[i])
				engine_psk_was_set(e, host);
			if (!result)
				result = b->results[i];
		}
		note_result(e, host, result);
	}
}

/* 0: each has its result. */
static int send_requests(struct engine *e, struct batch *b)
{
	int r = KERNEL(e, wg_set_peers, e->index, b->requests, b->n, b->results);

	if (r < 0) {
		/* What has reached the kernel is unknown: read it. Any of them may be there. */
		for (size_t i = 0; i < b->n; i++)
			e->peers[b->hosts[i]].flags |= PEER_INSTALLED;
		e->cursor = 0;
		engine_due(e, STAGE_READ, 0);
		return r;
	}
	for (size_t i = 0; i < b->n; i++)
		if (b->results[i] == -ENODEV)
			return -ENODEV;
	note_results(e, b);
	return 0;
}

static int send_batch(struct engine *e)
{
	struct batch b;
	int r;

	if (!fill_batch(e, &b))
		return 0;
	r = send_requests(e, &b);
	return r < 0 ? engine_fail(e, STAGE_PEERS, EXIT_PARTIAL, r, "cannot program peers") : 1;
}

static bool can_be_told(const struct engine *e, uint32_t host)
{
	const struct peer *peer = &e->peers[host];

	return e->index && !e->down && peer->state != PEER_BLOCKED &&
		(peer->flags & (PEER_INSTALLED | PEER_DIRTY)) == PEER_INSTALLED;
}

static void send_now(struct engine *e, struct batch *b, int64_t now_ms)
{
	if (send_requests(e, b) < 0)
		engine_due(e, STAGE_PEERS, now_ms);
}

void engine_program_now(struct engine *e, const uint32_t *hosts, size_t n, int64_t now_ms)
{
	struct prefix *none = NULL;
	struct batch b = { .n = 0 };

	for (size_t i = 0; i < n; i++) {
		if (!can_be_told(e, hosts[i])) {
			engine_mark_peer(e, hosts[i], PEER_NEW_ENDPOINT);
			continue;
		}
		e->peers[hosts[i]].flags |= PEER_NEW_ENDPOINT;
		add_settings(e, &b, hosts[i], &none);
		note_endpoint(e, &b);
		if (b.n < BATCH)
			continue;
		send_now(e, &b, now_ms);
		b.n = 0;
	}
	if (b.n)
		send_now(e, &b, now_ms);
}

int engine_stage_peers(struct engine *e, int64_t now_ms)
{
	int r = 1;

	if (e->record_due)
		record_peers(e);
	if (e->removals->len)
		r = send_removals(e);
	if (e->removals->len)
		return r;
	/* Some that were removed may be made anew: nothing comes between. */
	for (size_t i = 0; i < BATCHES_PER_STEP && r > 0; i++)
		r = send_batch(e);
	return r;
}

void engine_leave(struct engine *e, int64_t now_ms)
{
	engine_steer_remove(e); /* the sockets that it leads to end */
	engine_psk_record(e);
	if (!e->map || e->down || !e->index || !e->lazy)
		return;
	engine_note_endpoints(e);
	e->leaving = true;
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (e->peers[i].sentinel && e->peers[i].flags & PEER_INSTALLED)
			engine_mark_peer(e, i, PEER_NEW_ENDPOINT);
	while (send_batch(e) > 0)
		;
	engine_packets(e, now_ms); /* what came to the sentinels just before */
	e->memory_due = true;
	e->memory_ms = 0;
	engine_memorize(e, 0);
}
