/* agent/engine_peers.c - the table of peers: a new map, what each should have, programming it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

/* -- questions ------------------------------------------------------------------------------ */

bool engine_holds_self(const struct engine *e, uint32_t host)
{
	return e->map->self == host;
}

/* Who cannot be asked has nothing to keep alive, and who sleeps is not to be woken by it. */
int engine_wanted_keepalive(const struct engine *e, uint32_t host)
{
	struct endpoint found;

	if ((!e->map->hosts[host].n_endpoints && !engine_add_paths(e, host, &found, 1)) ||
		lazy_wants_sentinel(e->lazy, host))
		return 0;
	return e->map->hosts[e->map->self].keepalive;
}

/* FNV-1a, a word at a time: only compared with itself within one run. */
uint32_t engine_hash(const void *data, size_t len, uint32_t seed)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325u ^ seed, word;

	for (; len; p += 8, len -= MIN(len, 8)) {
		word = 0;
		memcpy(&word, p, MIN(len, 8));
		h = (h ^ word) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	return (uint32_t)(h >> 32) | 1;
}

struct prefix *engine_scratch(struct engine *e, size_t n)
{
	if (e->scratch->len < n)
		g_array_set_size(e->scratch, (guint)n);
	return (struct prefix *)(void *)e->scratch->data;
}

size_t engine_n_prefixes(const struct netmap_host *host)
{
	return (size_t)host->n_addresses + host->n_routes;
}

/* Everything that the kernel should have of a peer except its endpoint and its pre-shared key, as one number. */
uint32_t engine_wanted_hash(struct engine *e, uint32_t host)
{
	const struct prefix *allowed;
	size_t n = routing_allowed(e->routing, host,
		engine_scratch(e, engine_n_prefixes(&e->map->hosts[host])), &allowed);

	return engine_hash(
		allowed, n * sizeof(*allowed), (uint32_t)engine_wanted_keepalive(e, host) + 1);
}

/* -- marking -------------------------------------------------------------------------------- */

void engine_mark_peer(struct engine *e, uint32_t host, unsigned flags)
{
	struct peer *peer = &e->peers[host];

	if (engine_holds_self(e, host))
		return;
	if (lazy_state(e->lazy, host) == LAZY_PARKED) /* it is to sleep on */
		flags &= ~(unsigned)PEER_POKE;
	peer->flags |= (uint8_t)flags;
	e->cursor = MIN(e->cursor, host);
	e->stages[STAGE_PEERS].due = true;
}

/* The kernel's timer begins with a packet. Where keepalives were switched on just after a handshake message, with which
 * the kernel had to wait, there was none; and when that handshake fails nothing is ever sent again. */
bool engine_is_stalled(const struct engine *e, uint32_t host)
{
	const struct peer *peer = &e->peers[host];
	int keepalive_s = engine_wanted_keepalive(e, host);

	return e->finder && keepalive_s && lazy_state(e->lazy, host) == LAZY_PERMANENT &&
		peer->state == PEER_IDLE && peer->endpoint.family &&
		e->read_ms / 1000 - peer->sent_s > 2 * keepalive_s;
}

/* Keepalives begin and end with what is known of its paths, and with its sleep. */
void engine_follow_keepalive(struct engine *e, uint32_t host)
{
	const struct peer *peer = &e->peers[host];

	if (e->map->hosts[e->map->self].keepalive && peer->state != PEER_BLOCKED &&
		(peer->flags & (PEER_INSTALLED | PEER_DIRTY)) == PEER_INSTALLED &&
		peer->installed != engine_wanted_hash(e, host))
		engine_mark_peer(e, host, PEER_DIRTY);
}

void engine_all_peers_gone(struct engine *e, int64_t now_ms)
{
	bool few = e->map->n_hosts <= POKE_ALL_MAX;

	g_array_set_size(e->removals, 0);
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		struct peer *peer = &e->peers[i];
		bool had = peer->flags & PEER_INSTALLED;
		bool session = peer_has_session(peer, now_ms);
		bool poke = peer->flags & PEER_POKE || (had && (session || few));

		peer->flags &= (uint8_t) ~(PEER_INSTALLED | PEER_WORK);
		peer->installed = 0;
		peer_session_lost(peer);
		/* A session may have begun since we last looked; with few peers all are asked. What was
		 * to be asked still is: this comes when the device is gone and when it is made again. */
		engine_mark_peer(e, i, PEER_DIRTY | (poke ? PEER_POKE : 0));
	}
	e->n_foreign = 0;
	g_array_set_size(e->foreign, 0);
}

void engine_all_sessions_lost(struct engine *e, int64_t now_ms)
{
	bool few = e->map->n_hosts <= POKE_ALL_MAX;

	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		bool session = peer_has_session(&e->peers[i], now_ms);

		if (!(e->peers[i].flags & PEER_INSTALLED))
			continue;
		peer_session_lost(&e->peers[i]);
		if (session || few)
			engine_mark_peer(e, i, PEER_POKE);
	}
	engine_due(e, STAGE_PEERS, now_ms);
}

bool engine_may_end_session(const struct engine *e, uint32_t host)
{
	return engine_never_yields(e, host) && strcmp(engine_psk_state(e, host), "outside") != 0;
}

/* Made anew, as the kernel has no other way to end a single session. */
void engine_end_session(struct engine *e, uint32_t host, int64_t now_ms)
{
	struct peer *peer = &e->peers[host];

	engine_remove_peer(e, &e->map->hosts[host].key, now_ms);
	peer->flags &= (uint8_t)~PEER_INSTALLED;
	peer->installed = 0;
	peer_session_lost(peer);
	engine_mark_peer(e, host, PEER_DIRTY | PEER_NEW_ENDPOINT);
}

/* -- blocked ones --------------------------------------------------------------------------- */

void engine_block(struct engine *e, uint32_t host, enum peer_block why, int error)
{
	struct peer *peer = &e->peers[host];

	if (peer->state == PEER_BLOCKED && peer->block == why && peer->error == error)
		return;
	peer->state = PEER_BLOCKED;
	peer->block = (uint8_t)why;
	peer->error = (int16_t)error;
	log_warn("peer %s is blocked: %s: %s", netmap_text(e->map, e->map->hosts[host].name),
		why == PEER_BLOCK_PSK ? "its pre-shared key" : "refused by the kernel",
		strerror(-error));
}

void engine_unblock(struct engine *e, uint32_t host)
{
	struct peer *peer = &e->peers[host];

	if (peer->state != PEER_BLOCKED)
		return;
	peer->state = PEER_IDLE;
	peer->block = PEER_BLOCK_NONE;
	peer->error = 0;
}

/* -- shared prefixes ------------------------------------------------------------------------ */

struct election {
	struct engine *e;
	int64_t now_ms;
};

static bool is_healthy(uint32_t host, void *user)
{
	struct election *election = user;
	struct engine *e = election->e;
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	return !view.unreachable && !peer_is_failing(&e->peers[host], election->now_ms);
}

static void prefix_moved_quietly(uint32_t host, void *user)
{
}

static void prefix_moved(uint32_t host, void *user)
{
	struct engine *e = ((struct election *)user)->e;

	engine_mark_peer(e, host, PEER_DIRTY);
	engine_tell(e, "peer", "name", netmap_text(e->map, e->map->hosts[host].name),
		"shared prefixes moved");
}

void engine_elect(struct engine *e, int64_t now_ms)
{
	struct election election = { e, now_ms };
	GArray *counted;

	if (!routing_n_groups(e->routing))
		return;
	counted = engine_counted(e);
	routing_elect(e->routing, is_healthy, prefix_moved, &election);
	engine_recount(e, counted, now_ms);
}

/* For a new map: what the outcome changes is found by comparing, as everything else. */
static void elect_quietly(struct engine *e, int64_t now_ms)
{
	struct election election = { e, now_ms };

	routing_elect(e->routing, is_healthy, prefix_moved_quietly, &election);
}

/* -- a new map ------------------------------------------------------------------------------ */

void engine_remove_peer(struct engine *e, const struct wg_key *key, int64_t now_ms)
{
	g_array_append_vals(e->removals, key, 1);
	engine_due(e, STAGE_PEERS, now_ms);
}

/* What is known of a host moves over with its key. */
static int64_t carry_over(struct engine *e, uint32_t i, struct netmap *old, struct peer *old_peers)
{
	const struct netmap_host *host = &e->map->hosts[i];
	struct peer *peer = &e->peers[i];
	int64_t j = NETMAP_NONE;

	if (old && i < old->n_hosts && key_is_same(&old->hosts[i].key, &host->key))
		j = i; /* most stay where they were */
	else if (old)
		j = netmap_find_key(old, &host->key);
	if (j < 0)
		return j;
	*peer = old_peers[j];
	peer->flags &= (uint8_t) ~(PEER_SEEN | PEER_PSK);
	old_peers[j].flags = 0; /* not to be removed */
	if (peer->block == PEER_BLOCK_KERNEL || (!host->psk_file && peer->block))
		engine_unblock(e, i);
	return j;
}

/* What it roamed to under its old endpoints counts no more. */
void engine_new_endpoints(struct engine *e, uint32_t host, int64_t now_ms)
{
	e->peers[host].chosen = 0;
	e->peers[host].endpoint.family = 0;
	lazy_new_endpoints(e->lazy, host, now_ms);
	if (!engine_is_asleep(e, host))
		engine_mark_peer(e, host, PEER_NEW_ENDPOINT);
}

/* `old` and `old_peers` are still there; their owner frees them afterwards. */
void engine_peers_replace(
	struct engine *e, struct netmap *old, struct peer *old_peers, int64_t now_ms)
{
	/* What the old map said of each host of the new one. */
	g_autofree int64_t *before = g_new(int64_t, e->map->n_hosts);

	e->peers = g_new0(struct peer, e->map->n_hosts);
	e->cursor = 0;
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		before[i] = carry_over(e, i, old, old_peers);
	engine_lazy_replace(e, before);
	for (size_t j = 0; old && j < old->n_hosts; j++)
		if (old_peers[j].flags & PEER_INSTALLED)
			engine_remove_peer(e, &old->hosts[j].key, now_ms);
	engine_psk_replace(e, now_ms);
	elect_quietly(e, now_ms);
	engine_lazy_policy(e, now_ms);
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		struct peer *peer = &e->peers[i];

		if (engine_holds_self(e, i) || peer->state == PEER_BLOCKED)
			continue;
		if (before[i] >= 0 &&
			!netmap_same_endpoints(
				e->map, &e->map->hosts[i], old, &old->hosts[before[i]]))
			engine_new_endpoints(e, i, now_ms);
		if (!(peer->flags & PEER_INSTALLED)) {
			engine_mark_peer(e, i, PEER_DIRTY | PEER_NEW_ENDPOINT);
			e->record_due = true;
		} else if (peer->installed != engine_wanted_hash(e, i)) {
			engine_mark_peer(e, i, PEER_DIRTY);
		}
	}
	if (e->removals->len)
		e->record_due = true;
}
