/* agent/engine_read.c - reads what the kernel has: adopts it, judges each peer, finds differences. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "agent/lazy/transfer.h"
#include "mgmt/netmap.h"

enum { RETRIES_MAX = 5 };

struct reading {
	struct engine *e;
	int64_t now_ms, wall_s;
	unsigned differences;
};

static int on_device(const struct wg_device_status *device, void *user)
{
	struct engine *e = ((struct reading *)user)->e;
	bool differs;

	e->device.public_key = device->public_key;
	e->device.listen_port = device->listen_port;
	e->device.fwmark = device->fwmark;
	differs = !key_is_same(&device->public_key, &e->public_key) ||
		device->listen_port != engine_listen_port(e) || device->fwmark != engine_mark(e);
	if (differs)
		e->stages[STAGE_DEVICE].due = true;
	return 0;
}

/* -- comparing ------------------------------------------------------------------------------ */

static int prefix_order(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* The kernel lists allowed IPs in an order of its own. */
static bool same_prefixes(
	const struct prefix *want, size_t n_want, const struct prefix *have, size_t n)
{
	g_autofree struct prefix *a = NULL, *b = NULL;

	if (n_want != n)
		return false;
	if (n == 1)
		return prefix_is_same(want, have);
	a = g_memdup2(want, n * sizeof(*want));
	b = g_memdup2(have, n * sizeof(*have));
	qsort(a, n, sizeof(*a), prefix_order);
	qsort(b, n, sizeof(*b), prefix_order);
	for (size_t i = 0; i < n; i++)
		if (!prefix_is_same(&a[i], &b[i]))
			return false;
	return true;
}

static bool has_what_it_should(struct engine *e, uint32_t host, const struct wg_peer_status *status)
{
	const struct prefix *want;
	size_t n = routing_allowed(e->routing, host,
		engine_scratch(e, engine_n_prefixes(&e->map->hosts[host])), &want);

	return status->keepalive == engine_wanted_keepalive(e, host) &&
		same_prefixes(want, n, status->allowed, status->n_allowed);
}

/* -- one peer of ours ----------------------------------------------------------------------- */

static void follow_up(struct engine *e, uint32_t host, unsigned actions, int64_t now_ms)
{
	struct peer *peer = &e->peers[host];
	const struct netmap_host *h = &e->map->hosts[host];
	struct endpoint known[NETMAP_ENDPOINTS_MAX];
	size_t n;

	if (actions & PEER_ACT_CHANGED) {
		engine_tell(e, "peer", "name", netmap_text(e->map, h->name),
			peer_state_name(peer->state));
		if (lazy_state(e->lazy, host) == LAZY_PERMANENT)
			engine_tell_path(e, host, false);
	}
	if (actions & PEER_ACT_WATCH)
		engine_read_within(e, peer_look_in_ms(peer, now_ms), now_ms);
	if (actions & PEER_ACT_LOOK_UP)
		engine_names_wanted(e, host, now_ms);
	if (!(actions & PEER_ACT_NEXT_ENDPOINT))
		return;
	lazy_silent(e->lazy, host, peer->asking_ms, now_ms);
	if (lazy_state(e->lazy, host) != LAZY_PERMANENT)
		return;
	n = engine_candidates(e, host, known, G_N_ELEMENTS(known));
	if (n < 2)
		return;
	peer->chosen = (uint8_t)((peer->chosen + 1u) % n);
	engine_mark_peer(e, host, PEER_NEW_ENDPOINT);
}

/* Where inner packets are not told of or not counted, what was transferred says who is in use. */
static void note_use(struct reading *reading, uint32_t host, const struct wg_peer_status *status)
{
	struct engine *e = reading->e;
	const struct peer *peer = &e->peers[host];
	struct transfer t = {
		.rx = status->rx_bytes - peer->rx,
		.tx = status->tx_bytes - peer->tx,
		.handshake = (uint32_t)status->last_handshake_s != peer->handshake_s,
		.keepalive_s = status->keepalive,
		.remote_keepalive_s = e->map->hosts[host].keepalive,
		.elapsed_ms = reading->now_ms - e->read_ms,
	};
	bool parked = lazy_state(e->lazy, host) == LAZY_PARKED;

	if ((parked ? e->nft_lazy.logs : e->nft_lazy.counts) || !(peer->flags & PEER_INSTALLED) ||
		!transfer_has_inner(&t))
		return;
	if (!parked)
		lazy_used(e->lazy, host, reading->now_ms);
	else if (!sentinel_is_one(&status->endpoint)) /* the kernel moved it to who sent them */
		lazy_remote(e->lazy, host, reading->now_ms);
}

/* To where it was not known to be. */
static bool has_moved(const struct peer *peer, const struct endpoint *to)
{
	return to->family && !endpoint_is_same(to, &peer->endpoint);
}

/* A pre-shared key is new, and no repair, unless somebody has taken it away. */
static void compare(struct reading *reading, uint32_t host, const struct wg_peer_status *status)
{
	struct engine *e = reading->e;
	struct peer *peer = &e->peers[host];
	bool good = has_what_it_should(e, host, status);
	bool psk_stays = engine_psk_stays(e, host, &status->preshared_key);
	/* Our own changes may be on their way. */
	bool ours = peer->flags & PEER_DIRTY || !(peer->flags & PEER_INSTALLED);

	peer->flags &= (uint8_t) ~(PEER_DIRTY | PEER_PSK);
	if (good && psk_stays) {
		peer->installed = engine_wanted_hash(e, host);
		return;
	}
	if (!good || key_is_zero(&status->preshared_key))
		reading->differences += !ours;
	engine_mark_peer(e, host, PEER_DIRTY | (psk_stays ? 0 : PEER_PSK));
}

static void read_own_peer(
	struct reading *reading, uint32_t host, const struct wg_peer_status *status)
{
	struct engine *e = reading->e;
	struct peer *peer = &e->peers[host];
	struct peer_observation o = {
		.now_ms = reading->now_ms,
		.wall_s = reading->wall_s,
		.handshake_s = status->last_handshake_s,
		.rx = status->rx_bytes,
		.tx = status->tx_bytes,
		.keepalive = status->keepalive,
		.asleep = engine_is_asleep(e, host),
	};
	unsigned actions;
	bool heard;

	if (!sentinel_is_one(&status->endpoint))
		o.endpoint = status->endpoint;
	e->memory_due |= has_moved(peer, &o.endpoint);
	note_use(reading, host, status);
	heard = status->rx_bytes > peer->rx && !(peer->flags & PEER_HEARD);
	actions = peer_observe(peer, &o);
	peer->flags |= PEER_SEEN;
	if (peer->state == PEER_BLOCKED) {
		engine_remove_peer(e, &status->public_key, reading->now_ms);
		peer->flags &= (uint8_t)~PEER_INSTALLED;
		return;
	}
	compare(reading, host, status);
	engine_lazy_seen(e, host, status, reading->now_ms);
	peer->flags |= PEER_INSTALLED;
	if (heard) {
		peer->flags |= PEER_HEARD;
		if (lazy_state(e->lazy, host) != LAZY_WAKING)
			g_hash_table_remove(e->held, GUINT_TO_POINTER(host));
		if (lazy_state(e->lazy, host) == LAZY_ACTIVE)
			engine_tell_path(e, host, true);
	}
	follow_up(e, host, actions, reading->now_ms);
	if (engine_is_stalled(e, host))
		engine_mark_peer(e, host, PEER_POKE);
}

/* -- one that the map does not know --------------------------------------------------------- */

static int key_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct wg_key));
}

static bool was_recorded(const struct engine *e, const struct wg_key *key)
{
	return e->n_recorded &&
		bsearch(key, e->recorded_peers, e->n_recorded, sizeof(*key), key_order);
}

static bool is_being_removed(const struct engine *e, const struct wg_key *key)
{
	for (guint i = 0; i < e->removals->len; i++)
		if (key_is_same(&g_array_index(e->removals, struct wg_key, i), key))
			return true;
	return false;
}

static void read_other_peer(struct reading *reading, const struct wg_key *key)
{
	struct engine *e = reading->e;

	if (is_being_removed(e, key))
		return;
	if (was_recorded(e, key)) {
		engine_remove_peer(e, key, reading->now_ms);
		e->record_due = true;
		return;
	}
	if (!e->n_foreign++)
		log_debug("the interface has peers that are not ours; they are left alone");
	if (e->foreign->len < FOREIGN_NAMED_MAX)
		g_array_append_vals(e->foreign, key, 1);
}

static int on_peer(const struct wg_peer_status *status, void *user)
{
	struct reading *reading = user;
	int64_t host = netmap_find_key(reading->e->map, &status->public_key);

	if (host < 0 || engine_holds_self(reading->e, (uint32_t)host))
		read_other_peer(reading, &status->public_key);
	else
		read_own_peer(reading, (uint32_t)host, status);
	return 0;
}

/* -- the whole ------------------------------------------------------------------------------ */

static void begin(struct engine *e)
{
	for (size_t i = 0; i < e->map->n_hosts; i++)
		e->peers[i].flags &= (uint8_t)~PEER_SEEN;
	e->n_foreign = 0;
	g_array_set_size(e->foreign, 0);
	e->watch = false;
}

/* Peers that the kernel should have and has not. */
static void find_missing(struct reading *reading)
{
	struct engine *e = reading->e;

	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		struct peer *peer = &e->peers[i];

		if (engine_holds_self(e, i) || peer->flags & PEER_SEEN)
			continue;
		if (peer->flags & PEER_INSTALLED) {
			reading->differences++;
			peer_session_lost(peer);
			engine_mark_peer(e, i, PEER_POKE);
		}
		peer->flags &= (uint8_t)~PEER_INSTALLED;
		if (peer->state != PEER_BLOCKED || peer->block == PEER_BLOCK_KERNEL)
			engine_mark_peer(e, i, PEER_DIRTY | PEER_NEW_ENDPOINT);
		if (peer->block == PEER_BLOCK_KERNEL)
			engine_unblock(e, i); /* what the kernel refused is tried again */
	}
}

static int note_endpoint(const struct wg_peer_status *status, void *user)
{
	struct engine *e = user;
	int64_t host = netmap_find_key(e->map, &status->public_key);

	if (host < 0 || engine_holds_self(e, (uint32_t)host) || !status->last_handshake_s ||
		sentinel_is_one(&status->endpoint) ||
		!has_moved(&e->peers[host], &status->endpoint))
		return 0;
	e->peers[host].endpoint = status->endpoint;
	e->memory_due = true;
	return 0;
}

static int ignore_device(const struct wg_device_status *device, void *user)
{
	return 0;
}

void engine_note_endpoints(struct engine *e)
{
	KERNEL(e, wg_read, e->index, ignore_device, note_endpoint, e);
}

int engine_stage_read(struct engine *e, int64_t now_ms)
{
	struct reading reading = { e, now_ms, e->ops->wall_s(e->user), 0 };
	int r;

	begin(e);
	r = KERNEL(e, wg_read, e->index, on_device, on_peer, &reading);
	if (r == -EINTR && e->read_retries++ < RETRIES_MAX)
		return 1;
	e->read_retries = 0;
	if (r < 0)
		return engine_fail(e, STAGE_READ, EXIT_FAILED, r, "cannot read WireGuard's peers");
	find_missing(&reading);
	e->was_read = true;
	engine_psk_prune(e);
	engine_acl_count(e);
	g_clear_pointer(&e->recorded_peers, g_free);
	e->n_recorded = 0;
	e->read_ms = now_ms;
	if (!e->nft_lazy.counts)
		engine_look_for_idle(e, now_ms);
	engine_lazy_run(e, now_ms);
	e->watch |= !e->nft_lazy.logs && engine_anybody_wakes(e);
	e->watch |= e->finder && engine_anybody_unanswered(e);
	engine_elect(e, now_ms);
	if (!reading.differences)
		return 0;
	if (!engine_may_repair(e, STAGE_PEERS, now_ms, "peers were changed"))
		e->stages[STAGE_PEERS].not_before = now_ms + YIELD_MS;
	return 0;
}
