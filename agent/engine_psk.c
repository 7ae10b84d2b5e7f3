/* agent/engine_psk.c - pre-shared keys: of the map, of this host, and of somebody else.
 *
 * What the first two say is set when a peer is made, and when they say something else than before, also over a
 * restart. Any other key in the kernel is of somebody who changes it as he likes, Rosenpass for example every two
 * minutes: it stays. Only that there is none at all is mended. */
#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

struct psk {
	struct wg_key peer;
	struct wg_key key; /* the one that it should have; zero: none */
	struct wg_key set; /* the mark of the one that we set last; zero: none */
	struct wg_key tried; /* the mark of one that may have been set since; zero: none */
	bool given; /* the key is this host's; else the map's */
	bool is_set; /* `set` is the mark of `key` */
	bool outside; /* the kernel has another one */
};

/* -- the table: each has its place, so that none leaves copies behind -------------------------- */

static const struct wg_key none;

static void psk_free(gpointer data)
{
	explicit_bzero(data, sizeof(struct psk));
	g_free(data);
}

static const struct wg_key *peer_key(const struct engine *e, uint32_t host)
{
	return &e->map->hosts[host].key;
}

static struct psk *find(const struct engine *e, const struct wg_key *peer)
{
	return g_hash_table_lookup(e->psks, peer);
}

static struct psk *find_or_add(struct engine *e, const struct wg_key *peer)
{
	struct psk *psk = find(e, peer);

	if (psk)
		return psk;
	psk = g_new0(struct psk, 1);
	psk->peer = *peer;
	psk->is_set = true; /* none is wanted, none was set */
	g_hash_table_insert(e->psks, &psk->peer, psk);
	return psk;
}

/* Tells keys of one peer apart without telling them. */
static struct wg_key mark_of(const struct psk *psk, const struct wg_key *key)
{
	struct wg_key mark = { 0 };

	if (!key_is_zero(key))
		key_mac(key, "pre-shared key", &psk->peer, sizeof(psk->peer), &mark);
	return mark;
}

static void set_key(struct psk *psk, const struct wg_key *key)
{
	struct wg_key mark = mark_of(psk, key);

	psk->key = *key;
	psk->is_set = key_is_same(&mark, &psk->set);
	if (!psk->is_set && !key_is_zero(key))
		psk->tried = mark;
}

static void note_set(struct engine *e, struct psk *psk)
{
	if (psk->is_set)
		return;
	psk->set = mark_of(psk, &psk->key);
	psk->tried = none;
	psk->is_set = true;
	e->psks_due = true;
}

void engine_psk_init(struct engine *e, const struct engine_identity *identity)
{
	e->psks = g_hash_table_new_full(key_hash, key_equal, NULL, psk_free);
	for (size_t i = 0; i < identity->n_psks; i++) {
		const struct engine_psk_memory *m = &identity->psks[i];
		struct psk *psk = find_or_add(e, &m->peer);

		psk->given = !key_is_zero(&m->given);
		psk->set = m->set;
		psk->tried = m->tried;
		set_key(psk, &m->given);
	}
}

void engine_psk_free(struct engine *e)
{
	g_hash_table_unref(e->psks);
}

static bool is_worth_keeping(const struct psk *psk)
{
	return psk->given || !key_is_zero(&psk->set) || !key_is_zero(&psk->tried);
}

static int record(struct engine *e)
{
	size_t size = g_hash_table_size(e->psks) * sizeof(struct engine_psk_memory), n = 0;
	g_autofree struct engine_psk_memory *memory = g_malloc0(size);
	GHashTableIter iter;
	struct psk *psk;
	int r;

	e->psks_due = false;
	g_hash_table_iter_init(&iter, e->psks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&psk)) {
		if (!is_worth_keeping(psk))
			continue;
		memory[n].peer = psk->peer;
		memory[n].set = psk->set;
		memory[n].tried = psk->tried;
		if (psk->given)
			memory[n].given = psk->key;
		n++;
	}
	r = e->ops->record_psks(memory, n, e->user);
	if (memory)
		explicit_bzero(memory, size);
	return r;
}

/* Before the kernel is told, and after it. A full disk is told by its owner. */
void engine_psk_record(struct engine *e)
{
	if (e->psks_due)
		record(e);
}

/* -- what the map says ---------------------------------------------------------------------- */

/* Who lacks its key stays out of the kernel. */
static void load(struct engine *e, uint32_t host, int64_t now_ms)
{
	struct psk *psk;
	struct wg_key key = { 0 };
	int r = e->ops->read_psk(netmap_text(e->map, e->map->hosts[host].psk_file), &key, e->user);

	if (r < 0) {
		engine_block(e, host, PEER_BLOCK_PSK, r);
		if (e->peers[host].flags & PEER_INSTALLED)
			engine_remove_peer(e, peer_key(e, host), now_ms);
		e->peers[host].flags &= (uint8_t)~PEER_INSTALLED;
		e->peers[host].installed = 0;
		return;
	}
	psk = find_or_add(e, peer_key(e, host));
	set_key(psk, &key);
	key_wipe(&key);
	e->psks_due |= !psk->is_set;
	engine_unblock(e, host);
}

static bool is_loaded(const struct engine *e, uint32_t host)
{
	return engine_psk(e, host) != NULL;
}

static bool is_gone(const struct engine *e, const struct psk *psk)
{
	return netmap_find_key(e->map, &psk->peer) < 0;
}

static gboolean is_useless(gpointer key, gpointer value, gpointer user)
{
	struct engine *e = user;
	struct psk *psk = value;
	bool useless = !psk->given && is_gone(e, psk);

	e->psks_due |= useless && is_worth_keeping(psk);
	return useless;
}

/* What was given to a peer that has left holds when it comes back. Others are needed till the kernel has no such
 * peer. */
void engine_psk_prune(struct engine *e)
{
	if (!e->psks_gone || e->removals->len)
		return;
	e->psks_gone = false;
	g_hash_table_foreach_remove(e->psks, is_useless, e);
}

static bool blocks(const struct engine *e, uint32_t host)
{
	return e->peers[host].state == PEER_BLOCKED && e->peers[host].block == PEER_BLOCK_PSK;
}

/* What has changed is for the next reading to find: only the kernel knows whose key is there. */
void engine_psk_replace(struct engine *e, int64_t now_ms)
{
	GHashTableIter iter;
	struct psk *psk;

	g_hash_table_iter_init(&iter, e->psks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&psk)) {
		if (!psk->given) /* the map's keys go with it */
			set_key(psk, &none);
		e->psks_gone |= is_gone(e, psk);
	}
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		if (engine_holds_self(e, i))
			continue;
		if (is_loaded(e, i) && blocks(e, i))
			engine_unblock(e, i);
		if (e->map->hosts[i].psk_file && !is_loaded(e, i))
			load(e, i, now_ms);
	}
	g_hash_table_iter_init(&iter, e->psks);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&psk))
		if (!psk->is_set)
			engine_due(e, STAGE_READ, now_ms);
	engine_psk_record(e);
}

void engine_psk_retry(struct engine *e, int64_t now_ms)
{
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		if (!blocks(e, i))
			continue;
		load(e, i, now_ms);
		if (!blocks(e, i))
			engine_mark_peer(e, i, PEER_DIRTY | PEER_NEW_ENDPOINT);
	}
	engine_psk_record(e);
}

void engine_psk_drop(struct engine *e)
{
	if (!g_hash_table_size(e->psks))
		return;
	g_hash_table_remove_all(e->psks);
	record(e);
}

/* -- what the kernel has -------------------------------------------------------------------- */

const struct wg_key *engine_psk(const struct engine *e, uint32_t host)
{
	const struct psk *psk = find(e, peer_key(e, host));

	return psk && !key_is_zero(&psk->key) ? &psk->key : NULL;
}

/* Of two that differ, and one is in the kernel. */
static bool is_due(struct engine *e, struct psk *psk, const struct wg_key *has)
{
	struct wg_key mark;

	if (!key_is_zero(&psk->key))
		return !psk->is_set;
	mark = mark_of(psk, has);
	if (key_is_same(&mark, &psk->set) || key_is_same(&mark, &psk->tried))
		return true; /* ours, and it is wanted no more */
	note_set(e, psk);
	return false;
}

bool engine_psk_stays(struct engine *e, uint32_t host, const struct wg_key *has)
{
	struct psk *psk = find(e, peer_key(e, host));
	bool was_outside;

	if (!psk && key_is_zero(has))
		return true;
	psk = find_or_add(e, peer_key(e, host));
	was_outside = psk->outside;
	psk->outside = false;
	if (key_is_same(has, &psk->key)) {
		note_set(e, psk);
		return true;
	}
	if (key_is_zero(has) || is_due(e, psk, has))
		return false;
	psk->outside = true;
	if (!was_outside)
		log_debug("peer %s: somebody else has set its pre-shared key, which stays",
			netmap_text(e->map, e->map->hosts[host].name));
	return true;
}

void engine_psk_was_set(struct engine *e, uint32_t host)
{
	struct psk *psk = find(e, peer_key(e, host));

	if (!psk)
		return;
	psk->outside = false;
	note_set(e, psk);
}

const char *engine_psk_state(const struct engine *e, uint32_t host)
{
	const struct psk *psk = find(e, peer_key(e, host));

	if (!psk || (!psk->outside && key_is_zero(&psk->key)))
		return "none";
	return psk->outside ? "outside" : psk->given ? "set" : "mesh";
}

/* -- what is said on this host -------------------------------------------------------------- */

static bool is_given(const struct psk *psk, const struct wg_key *key)
{
	return key ? psk->given && key_is_same(&psk->key, key) : !psk->given;
}

/* Written down before it counts. */
static int give(struct engine *e, struct psk *psk, const struct wg_key *key)
{
	struct psk before = *psk;
	int r;

	psk->given = key != NULL;
	set_key(psk, key ? key : &none);
	if (key)
		psk->is_set = false; /* also in place of somebody else's */
	r = record(e);
	if (r < 0)
		*psk = before;
	explicit_bzero(&before, sizeof(before));
	return r;
}

/* After a change of what is given: the file of the map counts, or not. */
static void look_again(struct engine *e, uint32_t host, int64_t now_ms)
{
	bool blocked = blocks(e, host);

	if (!is_loaded(e, host) && e->map->hosts[host].psk_file)
		load(e, host, now_ms);
	else if (blocked)
		engine_unblock(e, host);
	if (blocked && !blocks(e, host))
		engine_mark_peer(e, host, PEER_DIRTY | PEER_NEW_ENDPOINT);
	engine_due(e, STAGE_READ, now_ms);
	engine_due(e, STAGE_PEERS, now_ms);
}

int engine_set_psk(struct engine *e, const char *peer, const struct wg_key *key, int64_t now_ms,
	struct wg_key *ret_key)
{
	int64_t host = engine_find_host(e, peer);
	bool changed;
	struct psk *psk;
	int r;

	if (host < 0)
		return -ENOENT;
	*ret_key = *peer_key(e, (uint32_t)host);
	psk = find_or_add(e, ret_key);
	changed = !is_given(psk, key) || (key && psk->outside);
	if (!key && !changed)
		return 0;
	r = give(e, psk, key);
	if (r < 0)
		return r;
	look_again(e, (uint32_t)host, now_ms);
	if (changed)
		log_info("peer %s: its pre-shared key %s",
			netmap_text(e->map, e->map->hosts[host].name),
			key ? "was given" : "is no longer one that was given");
	return changed;
}
