/* agent/engine_lazy.c - who may sleep, and what maps, dumps and commands mean for that. */
#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum { DROPS_LOOK_MS = 5 * 1000, DROPS_MANY = 8 };

/* -- what the core asks --------------------------------------------------------------------- */

static size_t n_candidates(const struct engine *e, uint32_t host)
{
	struct endpoint known[NETMAP_ENDPOINTS_MAX + 1];

	return engine_lazy_candidates(e, host, known, G_N_ELEMENTS(known));
}

static size_t candidates(uint32_t host, void *user)
{
	return n_candidates(user, host);
}

static void members(uint32_t host, void (*fn)(uint32_t host, void *arg), void *arg, void *user)
{
	routing_foreach_member(((struct engine *)user)->routing, host, fn, arg);
}

static bool is_in_place(uint32_t host, int64_t now_ms, void *user)
{
	const struct engine *e = user;

	return peer_has_session(&e->peers[host], now_ms) || n_candidates(e, host) < 2;
}

static const struct lazy_ops lazy_ops = {
	.candidates = candidates, .is_in_place = is_in_place, .members = members
};

size_t engine_lazy_candidates(
	const struct engine *e, uint32_t host, struct endpoint *ret, size_t max)
{
	const struct endpoint *last = &e->peers[host].endpoint;
	struct endpoint known[NETMAP_ENDPOINTS_MAX];
	size_t n = 0, n_known = engine_candidates(e, host, known, G_N_ELEMENTS(known));

	if (last->family)
		ret[n++] = *last;
	for (size_t i = 0; i < n_known && n < max; i++)
		if (!last->family || !endpoint_is_same(&known[i], last))
			ret[n++] = known[i];
	return n;
}

/* -- life ----------------------------------------------------------------------------------- */

void engine_lazy_init(struct engine *e, const struct engine_identity *identity)
{
	e->no_lazy = identity->no_lazy;
	e->slots = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	e->held = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
	e->captures = g_array_new(FALSE, FALSE, sizeof(struct capture));
	e->captured = g_byte_array_new();
	engine_paths_init(e);
	engine_memory_init(e, identity);
}

void engine_lazy_free(struct engine *e)
{
	lazy_free(e->lazy);
	owners_free(e->owners);
	g_array_unref(e->slots);
	g_hash_table_unref(e->held);
	g_array_unref(e->captures);
	g_byte_array_unref(e->captured);
	g_array_unref(e->memory);
	g_hash_table_unref(e->paths);
	g_hash_table_unref(e->kept);
	g_array_unref(e->steer.ufrags);
}

/* The map goes: who slept needs no sentinel any more. */
void engine_lazy_drop(struct engine *e)
{
	for (guint i = 0; i < e->slots->len; i++)
		if (g_array_index(e->slots, uint32_t, i) != SLOT_FREE)
			engine_release_sentinel(e, i);
	g_hash_table_remove_all(e->held);
	g_clear_pointer(&e->lazy, lazy_free);
	g_clear_pointer(&e->owners, owners_free);
}

/* -- policy --------------------------------------------------------------------------------- */

/* Whoever sends keepalives wants the tunnel up: its own NAT would forget it otherwise. */
static bool keeps_alive(const struct netmap_host *from, const struct netmap_host *to)
{
	return from->keepalive && to->n_endpoints;
}

const char *engine_why_permanent(const struct engine *e, uint32_t host)
{
	const struct netmap_host *self = &e->map->hosts[e->map->self], *h = &e->map->hosts[host];

	if (!e->map->lazy.enabled)
		return "lazy is off";
	if (e->no_lazy)
		return e->no_lazy;
	if (e->no_sentinel)
		return "no sentinel can be opened";
	if (!h->lazy || !self->lazy)
		return "excluded";
	if (keeps_alive(self, h) || keeps_alive(h, self))
		return "keepalives";
	return NULL;
}

static uint32_t idle_s(const struct engine *e, uint32_t host)
{
	uint32_t minutes = e->map->hosts[host].idle_minutes;

	return (minutes ? minutes : e->map->lazy.idle_minutes) * 60;
}

/* Who sleeps in our books may be up in the kernel, where its packets came from: it stays there. */
static void note_before_permanent(struct engine *e)
{
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i) && engine_is_asleep(e, i) &&
			engine_why_permanent(e, i)) {
			engine_note_endpoints(e);
			return;
		}
}

void engine_lazy_policy(struct engine *e, int64_t now_ms)
{
	e->policy_due = false;
	if (e->index)
		note_before_permanent(e);
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		if (engine_holds_self(e, i))
			continue;
		lazy_set(e->lazy, i, !engine_why_permanent(e, i), idle_s(e, i), now_ms);
		if (engine_is_asleep(e, i) && e->peers[i].state == PEER_IDLE)
			e->peers[i].state = PEER_PARKED; /* new, or the first map */
		else if (lazy_state(e->lazy, i) == LAZY_PERMANENT)
			engine_tell_path(e, i, false);
	}
}

/* Held packets and sentinels follow their hosts; what belonged to one that has left goes. */
static void renumber(struct engine *e, const int64_t *before)
{
	g_autoptr(GHashTable) held = e->held;

	e->held = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
	for (guint i = 0; i < e->slots->len; i++)
		g_array_index(e->slots, uint32_t, i) |= SLOT_GONE;
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		GBytes *bytes;

		if (before[i] < 0)
			continue;
		if (e->peers[i].sentinel)
			g_array_index(e->slots, uint32_t, e->peers[i].sentinel - 1) = i;
		bytes = g_hash_table_lookup(held, GUINT_TO_POINTER(before[i]));
		if (bytes)
			g_hash_table_insert(e->held, GUINT_TO_POINTER(i), g_bytes_ref(bytes));
	}
	for (guint i = 0; i < e->slots->len; i++) {
		uint32_t host = g_array_index(e->slots, uint32_t, i);

		if (host != SLOT_FREE && host & SLOT_GONE)
			engine_release_sentinel(e, i);
	}
}

void engine_lazy_replace(struct engine *e, const int64_t *before)
{
	if (e->lazy)
		lazy_remap(e->lazy, e->map->n_hosts, before);
	else
		e->lazy = lazy_new(e->map->n_hosts, &lazy_ops, e);
	renumber(e, before);
	e->no_sentinel = false;
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (before[i] < 0 && !engine_holds_self(e, i))
			engine_recall(e, i);
}

bool engine_is_asleep(const struct engine *e, uint32_t host)
{
	enum lazy_state state = lazy_state(e->lazy, host);

	return state == LAZY_PARKED || state == LAZY_WAKING;
}

bool engine_anybody_wakes(const struct engine *e)
{
	for (size_t i = 0; i < lazy_n_awake(e->lazy); i++)
		if (lazy_state(e->lazy, lazy_awake(e->lazy, i)) == LAZY_WAKING)
			return true;
	return false;
}

struct probing {
	struct engine *e;
	int64_t now_ms;
};

static void probe(uint32_t host, void *arg)
{
	struct probing *p = arg;
	struct lazy_view view;

	lazy_view(p->e->lazy, host, &view);
	if (view.unreachable)
		lazy_wake(p->e->lazy, host, LAZY_BY_GROUP, p->now_ms);
}

/* Who did not answer when its group was woken is asked again as long as the group is in use. */
void engine_probe_groups(struct engine *e, int64_t now_ms)
{
	struct probing p = { e, now_ms };

	for (size_t i = 0; i < lazy_n_awake(e->lazy); i++)
		if (lazy_state(e->lazy, lazy_awake(e->lazy, i)) == LAZY_ACTIVE)
			routing_foreach_member(e->routing, lazy_awake(e->lazy, i), probe, &p);
	engine_lazy_run(e, now_ms);
}

/* Somebody's tunnel matters now. */
bool engine_anybody_up(const struct engine *e)
{
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i) && lazy_state(e->lazy, i) != LAZY_PARKED)
			return true;
	return false;
}

/* -- sentinels ------------------------------------------------------------------------------ */

int engine_set_sentinel_sender(struct engine *e)
{
	uint16_t port = engine_listen_port(e);
	uint32_t mark = engine_mark(e);
	int r;

	if (port == e->sentinel_port && mark == e->sentinel_mark)
		return 0;
	r = KERNEL(e, sentinel_set_sender, port, mark);
	if (r < 0)
		return r;
	e->sentinel_port = port;
	e->sentinel_mark = mark;
	return 0;
}

static int take(struct engine *e, uint32_t host, const struct endpoint *wanted)
{
	bool shared = e->map->n_hosts > SENTINEL_OWN_MAX;
	uint32_t slot, none = SLOT_FREE;
	int r = engine_set_sentinel_sender(e);

	if (r < 0)
		return r;
	r = KERNEL(e, sentinel_take, shared, wanted, &slot);
	if (r < 0)
		return r;
	while (e->slots->len <= slot)
		g_array_append_val(e->slots, none);
	g_array_index(e->slots, uint32_t, slot) = host;
	e->peers[host].sentinel = slot + 1;
	return 0;
}

void engine_release_sentinel(struct engine *e, uint32_t slot)
{
	uint32_t host = g_array_index(e->slots, uint32_t, slot);

	if (host < e->map->n_hosts && e->peers[host].sentinel == slot + 1)
		e->peers[host].sentinel = 0;
	g_array_index(e->slots, uint32_t, slot) = SLOT_FREE;
	KERNEL(e, sentinel_release, slot);
}

bool engine_sentinel_of(struct engine *e, uint32_t host, struct endpoint *ret)
{
	int r = 0;

	if (e->leaving || !lazy_wants_sentinel(e->lazy, host))
		return false;
	if (!e->peers[host].sentinel)
		r = take(e, host, NULL);
	if (r < 0) { /* then nobody can sleep, for a minute */
		log_warn_errno(r, "cannot open a sentinel; peers are not parked");
		e->no_sentinel = e->policy_due = true;
		return false;
	}
	KERNEL(e, sentinel_endpoint, e->peers[host].sentinel - 1, ret);
	return true;
}

/* Packets that are not WireGuard's by port or mark are dropped: somebody may have changed both, of which
 * the kernel tells nothing. Looking is not worth a timer: the check is near. */
void engine_watch_drops(struct engine *e, int64_t now_ms)
{
	struct sentinel_status status;

	if (now_ms - e->drops_ms < DROPS_LOOK_MS)
		return;
	KERNEL(e, sentinel_get_status, &status);
	e->drops_ms = now_ms;
	if (status.drops >= e->drops + DROPS_MANY && !engine_refresh(e, now_ms))
		return; /* the next look is soon enough */
	e->drops = status.drops;
}

static bool is_at_its_sentinel(
	const struct engine *e, uint32_t host, const struct endpoint *endpoint)
{
	struct endpoint own;

	if (!e->peers[host].sentinel)
		return false;
	KERNEL(e, sentinel_endpoint, e->peers[host].sentinel - 1, &own);
	return endpoint_is_same(&own, endpoint);
}

/* -- dumps ---------------------------------------------------------------------------------- */

/* An earlier run of ours left it so. */
static void adopt(
	struct engine *e, uint32_t host, const struct wg_peer_status *status, int64_t now_ms)
{
	bool sentinel = sentinel_is_one(&status->endpoint);
	bool session = peer_has_session(&e->peers[host], now_ms);

	if (lazy_state(e->lazy, host) == LAZY_PARKED) {
		if (sentinel && !e->peers[host].sentinel)
			take(e, host, &status->endpoint);
		lazy_adopt(e->lazy, host, !sentinel && session, now_ms);
	}
}

/* Since it wakes, a handshake was made: it answered. */
static bool has_answered(
	const struct engine *e, uint32_t host, const struct wg_peer_status *status, int64_t now_ms)
{
	struct lazy_view view;
	int64_t age_ms = KERNEL(e, wall_ns) / 1000000 - status->last_handshake_s * 1000 -
		status->last_handshake_nsec / 1000000;

	lazy_view(e->lazy, host, &view);
	return status->last_handshake_s && age_ms < now_ms - view.asked_ms;
}

static bool is_where_it_should_be(
	const struct engine *e, uint32_t host, const struct endpoint *endpoint, int64_t now_ms)
{
	if (lazy_wants_sentinel(e->lazy, host))
		return is_at_its_sentinel(e, host, endpoint);
	if (sentinel_is_one(endpoint)) /* the kernel cannot forget it for nothing */
		return !n_candidates(e, host);
	return lazy_state(e->lazy, host) != LAZY_PERMANENT ||
		engine_endpoint_is_good(e, host, endpoint, now_ms);
}

/* Its tunnel is kept up over there, though nothing passes it: what the other side was told was lost, or it was woken
 * without having anything to send. Who has just begun may have. */
static bool is_kept_awake(const struct engine *e, uint32_t host, int64_t now_ms)
{
	enum { BEGINNING_MS = 10 * 1000, OFTEN_MS = 5 * 60 * 1000, SELDOM = 10 };
	const struct peer *peer = &e->peers[host];
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	if (view.state != LAZY_PARKED || !peer_has_session(peer, now_ms) ||
		now_ms - peer->handshake_ms < BEGINNING_MS || now_ms - view.since_ms < BEGINNING_MS)
		return false;
	return now_ms - view.since_ms < OFTEN_MS || now_ms / (ENGINE_CHECK_S * 1000) % SELDOM == 0;
}

void engine_lazy_seen(
	struct engine *e, uint32_t host, const struct wg_peer_status *status, int64_t now_ms)
{
	struct peer *peer = &e->peers[host];
	bool sentinel = sentinel_is_one(&status->endpoint);

	if (!(peer->flags & PEER_INSTALLED))
		adopt(e, host, status, now_ms);
	else if (lazy_state(e->lazy, host) == LAZY_WAKING && has_answered(e, host, status, now_ms))
		lazy_answered(e->lazy, host, now_ms);
	if (!is_where_it_should_be(e, host, &status->endpoint, now_ms)) {
		engine_mark_peer(e, host, PEER_NEW_ENDPOINT);
		if (peer->flags & PEER_INSTALLED && !sentinel && is_kept_awake(e, host, now_ms))
			engine_tell_path(e, host, true);
	} else if (!(peer->flags & PEER_INSTALLED)) {
		peer->flags &= (uint8_t)~PEER_NEW_ENDPOINT; /* adopted as it is */
	}
	/* Nothing is on its way to it any more. */
	if (!sentinel && peer->sentinel && !lazy_wants_sentinel(e->lazy, host))
		engine_release_sentinel(e, peer->sentinel - 1);
}

/* -- commands ------------------------------------------------------------------------------- */

int64_t engine_find_host(const struct engine *e, const char *peer)
{
	for (uint32_t i = 0; e->map && i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i) && engine_host_matches(e, i, peer))
			return i;
	return NETMAP_NONE;
}

static int wake(struct engine *e, uint32_t host, int64_t now_ms, const char **ret_why)
{
	if (lazy_state(e->lazy, host) == LAZY_PARKED && !e->finder && !n_candidates(e, host)) {
		*ret_why = "no endpoint is known: it has to begin";
		return -EHOSTUNREACH;
	}
	return lazy_wake(e->lazy, host, LAZY_BY_USER, now_ms);
}

static int put_to_sleep(struct engine *e, uint32_t host, int64_t now_ms, const char **ret_why)
{
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	if (view.state == LAZY_PERMANENT) {
		*ret_why = view.pinned ? "pinned" : engine_why_permanent(e, host);
		return -EOPNOTSUPP;
	}
	engine_note_endpoints(e);
	return lazy_sleep(e->lazy, host, now_ms);
}

static int pin(struct engine *e, uint32_t host, bool pinned, int64_t now_ms)
{
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	if (view.pinned == pinned)
		return 0;
	if (pinned)
		engine_note_endpoints(e);
	lazy_pin(e->lazy, host, pinned, now_ms);
	e->memory_due = true;
	return 1;
}

int engine_command(struct engine *e, enum engine_command command, const char *peer, int64_t now_ms,
	struct wg_key *ret_key, const char **ret_why)
{
	int64_t host = engine_find_host(e, peer);
	int r = 0;

	*ret_why = "";
	if (host < 0)
		return -ENOENT;
	*ret_key = e->map->hosts[host].key;
	if (e->down || !e->index) {
		*ret_why = "the interface is down";
		return -EOPNOTSUPP;
	}
	switch (command) {
	case ENGINE_WAKE:
		r = wake(e, (uint32_t)host, now_ms, ret_why);
		break;
	case ENGINE_IDLE:
		r = put_to_sleep(e, (uint32_t)host, now_ms, ret_why);
		break;
	case ENGINE_PIN:
	case ENGINE_UNPIN:
		r = pin(e, (uint32_t)host, command == ENGINE_PIN, now_ms);
		break;
	}
	engine_lazy_run(e, now_ms);
	return r;
}

int engine_wake_result(const struct engine *e, const struct wg_key *key)
{
	int64_t host = e->map ? netmap_find_key(e->map, key) : NETMAP_NONE;
	struct lazy_view view;

	if (host < 0)
		return -ENOENT;
	lazy_view(e->lazy, (uint32_t)host, &view);
	if (view.unreachable || e->peers[host].state == PEER_BLOCKED)
		return -EHOSTUNREACH;
	if (view.state == LAZY_WAKING)
		return 0;
	if (view.state == LAZY_PARKED)
		return -EHOSTUNREACH;
	return view.state == LAZY_ACTIVE || e->peers[host].state == PEER_UP;
}
