/* agent/engine_paths.c - endpoints that somebody finds while peers are wanted, and who says when they are. */
#include <string.h>

#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

struct paths {
	struct wg_key key;
	bool yields;
	uint8_t n;
	struct endpoint at[]; /* n of them */
};

static int64_t find_host(const struct engine *e, const struct wg_key *key)
{
	int64_t host = e->map ? netmap_find_key(e->map, key) : NETMAP_NONE;

	return host < 0 || engine_holds_self(e, (uint32_t)host) ? NETMAP_NONE : host;
}

void engine_paths_init(struct engine *e)
{
	e->paths = g_hash_table_new_full(key_hash, key_equal, NULL, g_free);
	engine_kept_init(e);
	e->steer.ufrags = g_array_new(FALSE, FALSE, sizeof(struct steer_ufrag));
}

uint16_t engine_port(const struct engine *e)
{
	return engine_listen_port(e);
}

bool engine_knows_peer(const struct engine *e, const struct wg_key *key)
{
	return find_host(e, key) >= 0;
}

size_t engine_add_paths(const struct engine *e, uint32_t host, struct endpoint *ret, size_t max)
{
	const struct paths *p = g_hash_table_lookup(e->paths, &e->map->hosts[host].key);
	size_t n = p ? MIN(p->n, max) : 0;

	for (size_t i = 0; i < n; i++)
		ret[i] = p->at[i];
	return n;
}

bool engine_never_yields(const struct engine *e, uint32_t host)
{
	const struct paths *p = g_hash_table_lookup(e->paths, &e->map->hosts[host].key);

	return p && !p->yields;
}

static gboolean is_gone(gpointer key, gpointer value, gpointer user)
{
	return find_host(user, key) < 0;
}

void engine_prune_paths(struct engine *e)
{
	g_hash_table_foreach_remove(e->paths, is_gone, e);
	g_hash_table_foreach_remove(e->kept, is_gone, e);
}

bool engine_is_unanswered(const struct engine *e, uint32_t host)
{
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	return view.state == LAZY_ACTIVE && view.cause == LAZY_BY_TRAFFIC && !view.answer_ms &&
		!(e->peers[host].flags & PEER_HEARD);
}

bool engine_anybody_unanswered(const struct engine *e)
{
	for (size_t i = 0; i < lazy_n_awake(e->lazy); i++)
		if (engine_is_unanswered(e, lazy_awake(e->lazy, i)))
			return true;
	return false;
}

/* What its tunnel says counts more than what others find, as long as it says something. */
static bool is_where_it_is_heard(const struct engine *e, uint32_t host)
{
	if (lazy_state(e->lazy, host) == LAZY_PERMANENT)
		return e->peers[host].state == PEER_UP;
	return !engine_is_asleep(e, host) && !engine_is_unanswered(e, host);
}

/* The path that answers is where it is. */
static void use_proven(struct engine *e, uint32_t host, const struct engine_paths *found)
{
	bool permanent = lazy_state(e->lazy, host) == LAZY_PERMANENT;
	struct peer *peer = &e->peers[host];

	if (endpoint_is_same(&peer->endpoint, found->at) ||
		(is_where_it_is_heard(e, host) && !found->replaces))
		return;
	peer->endpoint = *found->at;
	peer->chosen = 0;
	if (!engine_is_asleep(e, host))
		engine_mark_peer(e, host, PEER_NEW_ENDPOINT | (permanent ? PEER_POKE : 0));
}

void engine_set_paths(struct engine *e, const struct wg_key *key, const struct engine_paths *found,
	int64_t now_ms)
{
	int64_t host = find_host(e, key);
	size_t n = MIN(found->n, ENGINE_PATHS_MAX);
	struct paths *p;

	if (host < 0 || !found->n) {
		g_hash_table_remove(e->paths, key);
		if (host >= 0)
			engine_follow_keepalive(e, (uint32_t)host);
		return;
	}
	p = g_malloc(sizeof(*p) + n * sizeof(*p->at));
	p->key = *key;
	p->yields = found->yields;
	p->n = (uint8_t)n;
	memcpy(p->at, found->at, n * sizeof(*p->at));
	g_hash_table_replace(e->paths, &p->key, p);
	engine_follow_keepalive(e, (uint32_t)host);
	if (found->proven) {
		use_proven(e, (uint32_t)host, found);
		engine_send_kept(e, (uint32_t)host, found->at, now_ms);
	}
	if (engine_is_asleep(e, (uint32_t)host) ||
		(found->proven && engine_is_unanswered(e, (uint32_t)host))) {
		lazy_new_endpoints(e->lazy, (uint32_t)host, now_ms);
		engine_lazy_run(e, now_ms);
	} else if (lazy_state(e->lazy, (uint32_t)host) == LAZY_PERMANENT &&
		!engine_endpoint_is_good(e, (uint32_t)host, &e->peers[host].endpoint, now_ms)) {
		e->peers[host].chosen = 0;
		engine_mark_peer(e, (uint32_t)host, PEER_NEW_ENDPOINT | PEER_POKE);
	}
}

void engine_set_finder(struct engine *e, bool present, int64_t now_ms)
{
	if (e->finder != present)
		engine_due(e, STAGE_STEER, now_ms);
	e->finder = present;
	if (!present) {
		g_hash_table_remove_all(e->paths);
		g_hash_table_remove_all(e->kept);
	}
	for (uint32_t i = 0; !present && e->map && i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i))
			engine_follow_keepalive(e, i);
	for (uint32_t i = 0; present && e->map && i < e->map->n_hosts; i++)
		/* Who sleeps may just be asked by the other side: that is not to be disturbed. */
		if (!engine_holds_self(e, i) && lazy_state(e->lazy, i) != LAZY_PARKED)
			engine_tell_path(e, i, false);
}

bool engine_remote_sleeps(struct engine *e, const struct wg_key *key, int64_t now_ms)
{
	int64_t host = find_host(e, key);
	bool changed = false;

	if (host < 0)
		return false;
	if (lazy_state(e->lazy, (uint32_t)host) == LAZY_ACTIVE) {
		engine_note_endpoints(e);
		changed = lazy_sleep(e->lazy, (uint32_t)host, now_ms);
	}
	engine_lazy_run(e, now_ms);
	return changed;
}

/* What somebody who finds paths wants to know of this peer. */
static enum engine_need need_of(const struct engine *e, uint32_t host, bool was_up)
{
	struct lazy_view view;

	switch (lazy_state(e->lazy, host)) {
	case LAZY_WAKING:
		lazy_view(e->lazy, host, &view);
		return view.cause == LAZY_BY_GROUP ? ENGINE_ROUTER_WANTED : ENGINE_PACKET_WAITS;
	case LAZY_ACTIVE:
		return engine_is_unanswered(e, host) ? ENGINE_PACKET_WAITS : ENGINE_ANSWERS;
	case LAZY_PERMANENT:
		if (e->peers[host].state == PEER_UP)
			return ENGINE_ANSWERS;
		return e->map->hosts[host].n_routes ? ENGINE_ROUTER_WANTED : ENGINE_WANTED;
	case LAZY_PARKED:
		break;
	}
	return was_up ? ENGINE_SLEEPS : ENGINE_GIVEN_UP;
}

/* It is awake here, and has no session any more: under ours the kernel would ask for a new one only after 15 s without an answer. */
static bool begin_anew(struct engine *e, uint32_t host, int64_t now_ms)
{
	enum { FRESH_MS = 5 * 1000 };
	const struct peer *peer = &e->peers[host];

	if (need_of(e, host, false) != ENGINE_ANSWERS || !engine_may_end_session(e, host) ||
		(peer->handshake_s && now_ms - peer->handshake_ms < FRESH_MS))
		return false;
	engine_end_session(e, host, now_ms);
	engine_mark_peer(e, host, PEER_POKE);
	return true;
}

bool engine_remote_wants(struct engine *e, const struct wg_key *key, int64_t now_ms)
{
	int64_t host = find_host(e, key);
	bool changed = host >= 0 &&
		(lazy_wake(e->lazy, (uint32_t)host, LAZY_BY_REMOTE, now_ms) ||
			begin_anew(e, (uint32_t)host, now_ms));

	engine_lazy_run(e, now_ms);
	return changed;
}

void engine_tell_path(struct engine *e, uint32_t host, bool was_up)
{
	enum engine_need need = need_of(e, host, was_up);

	const struct wg_key *key = &e->map->hosts[host].key;

	if (need == ENGINE_GIVEN_UP || need == ENGINE_SLEEPS)
		g_hash_table_remove(e->paths, key);
	if (need != ENGINE_PACKET_WAITS)
		engine_forget_kept(e, key);
	if (e->finder && e->ops->path)
		e->ops->path(key, need, e->user);
}
