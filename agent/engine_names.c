/* agent/engine_names.c - endpoints that are DNS names: when to ask, what was answered. */
#include <string.h>

#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum { ASKED_AT_ONCE_MAX = 8, AGAIN_MS = 30 * 1000 };

static struct name *name_at(const struct engine *e, guint i)
{
	return &g_array_index(e->names, struct name, i);
}

static int name_order(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return (x->endpoint > y->endpoint) - (x->endpoint < y->endpoint);
}

static struct name *find_name(const GArray *names, uint32_t endpoint)
{
	struct name key = { .endpoint = endpoint };

	if (!names->len)
		return NULL;
	return bsearch(&key, names->data, names->len, sizeof(key), name_order);
}

/* The answers that the same name of the same host had in the old map. */
static const struct name *find_old(const GArray *old_names, const struct netmap *old,
	const struct wg_key *key, const char *text)
{
	int64_t i = old ? netmap_find_key(old, key) : NETMAP_NONE;
	const struct netmap_host *host = i >= 0 ? &old->hosts[i] : NULL;

	for (uint32_t j = 0; host && j < host->n_endpoints; j++)
		if (!strcmp(netmap_text(old, old->endpoints[host->endpoint + j].name), text))
			return find_name(old_names, host->endpoint + j);
	return NULL;
}

void engine_names_replace(struct engine *e, const struct netmap *old, int64_t now_ms)
{
	g_autoptr(GArray) old_names = e->names;
	const struct netmap *map = e->map;

	e->names = g_array_new(FALSE, FALSE, sizeof(struct name));
	e->names_ms = now_ms;
	for (uint32_t i = 0; i < map->n_hosts; i++) {
		const struct netmap_host *host = &map->hosts[i];

		for (uint32_t j = 0; i != map->self && j < host->n_endpoints; j++) {
			const struct netmap_endpoint *endpoint =
				&map->endpoints[host->endpoint + j];
			struct name name = { .wanted = true, .next_ms = now_ms };
			const struct name *before;

			if (!endpoint->name)
				continue;
			before = find_old(
				old_names, old, &host->key, netmap_text(map, endpoint->name));
			if (before)
				name = *before;
			else
				name.id = ++e->next_name_id;
			name.host = i;
			name.endpoint = host->endpoint + j;
			name.backoff.first_ms = 1000;
			name.backoff.max_ms = 5 * 60 * 1000;
			g_array_append_val(e->names, name);
		}
	}
}

static void ask(struct engine *e, struct name *name)
{
	name->asked = true;
	name->wanted = false;
	e->ops->look_up(
		name->id, netmap_text(e->map, e->map->endpoints[name->endpoint].name), e->user);
}

/* A few at a time; `names_ms` says when it is worth looking through the list again. */
void engine_names_step(struct engine *e, int64_t now_ms)
{
	unsigned asked = 0;

	if (e->names_ms == ENGINE_NEVER || now_ms < e->names_ms)
		return;
	e->names_ms = ENGINE_NEVER;
	for (guint i = 0; i < e->names->len; i++)
		asked += name_at(e, i)->asked;
	for (guint i = 0; i < e->names->len && asked < ASKED_AT_ONCE_MAX; i++) {
		struct name *name = name_at(e, i);

		if (name->asked || !name->wanted)
			continue;
		if (now_ms >= name->next_ms) {
			asked++;
			ask(e, name);
		} else if (e->names_ms == ENGINE_NEVER || name->next_ms < e->names_ms) {
			e->names_ms = name->next_ms;
		}
	}
}

static void look_again(struct engine *e, int64_t at_ms)
{
	if (e->names_ms == ENGINE_NEVER || at_ms < e->names_ms)
		e->names_ms = at_ms;
}

void engine_names_wanted(struct engine *e, uint32_t host, int64_t now_ms)
{
	const struct netmap_host *h = &e->map->hosts[host];

	for (uint32_t j = 0; j < h->n_endpoints; j++) {
		struct name *name = find_name(e->names, h->endpoint + j);

		if (!name || name->asked || name->wanted)
			continue;
		name->wanted = true;
		name->next_ms = MAX(now_ms, name->next_ms);
		look_again(e, name->next_ms);
	}
}

/* The last good addresses stay when an answer is bad. */
static void bad_answer(struct engine *e, struct name *name, const char *error, int64_t now_ms)
{
	const struct netmap *map = e->map;

	if (strncmp(name->error, error, sizeof(name->error) - 1))
		log_warn("cannot look up %s of %s: %s",
			netmap_text(map, map->endpoints[name->endpoint].name),
			netmap_text(map, map->hosts[name->host].name), error);
	g_strlcpy(name->error, error, sizeof(name->error));
	name->wanted = true;
	name->next_ms = now_ms + backoff_next_ms(&name->backoff, e->ops->random(e->user));
}

void engine_looked_up(struct engine *e, uint32_t id, const struct endpoint *addresses, size_t n,
	const char *error, int64_t now_ms)
{
	struct name *name = NULL;
	bool first;

	for (guint i = 0; i < e->names->len && !name; i++)
		if (name_at(e, i)->id == id)
			name = name_at(e, i);
	if (!name) /* its host has left the map meanwhile */
		return;
	name->asked = false;
	look_again(e, now_ms);
	if (!n) {
		bad_answer(e, name, error, now_ms);
		return;
	}
	name->error[0] = '\0';
	backoff_reset(&name->backoff);
	name->next_ms = now_ms + AGAIN_MS; /* not sooner, however unreachable it is */
	first = name->n == 0;
	name->n = (uint8_t)MIN(n, G_N_ELEMENTS(name->addresses));
	for (size_t i = 0; i < name->n; i++) {
		name->addresses[i] = addresses[i];
		name->addresses[i].port = e->map->endpoints[name->endpoint].address.port;
	}
	if (engine_is_asleep(e, name->host))
		lazy_new_endpoints(e->lazy, name->host, now_ms);
	/* An active peer is where it answers; when it does not any more it is woken, and all are tried. */
	else if (lazy_state(e->lazy, name->host) == LAZY_PERMANENT &&
		!engine_endpoint_is_good(e, name->host, &e->peers[name->host].endpoint, now_ms))
		engine_mark_peer(e, name->host, PEER_NEW_ENDPOINT);
	engine_lazy_run(e, now_ms);
	if (first) {
		e->mtu_stale = true;
		engine_due(e, STAGE_UP, now_ms);
		engine_due(e, STAGE_ROUTES, now_ms);
	}
}

/* A name may lead to what is listed, too. */
static size_t add_candidate(struct endpoint *known, size_t n, const struct endpoint *fresh)
{
	for (size_t i = 0; i < n; i++)
		if (endpoint_is_same(&known[i], fresh))
			return n;
	known[n] = *fresh;
	return n + 1;
}

size_t engine_candidates(const struct engine *e, uint32_t host, struct endpoint *ret, size_t max)
{
	const struct netmap_host *h = &e->map->hosts[host];
	size_t n = engine_add_paths(e, host, ret, max);

	for (uint32_t j = h->endpoint; j < h->endpoint + h->n_endpoints && n < max; j++) {
		const struct netmap_endpoint *endpoint = &e->map->endpoints[j];
		const struct name *name = endpoint->name ? find_name(e->names, j) : NULL;

		if (!endpoint->name)
			n = add_candidate(ret, n, &endpoint->address);
		for (size_t k = 0; name && k < name->n && n < max; k++)
			n = add_candidate(ret, n, &name->addresses[k]);
	}
	return n;
}

bool engine_endpoint_is_good(
	const struct engine *e, uint32_t host, const struct endpoint *endpoint, int64_t now_ms)
{
	struct endpoint known[NETMAP_ENDPOINTS_MAX];
	size_t n;

	if (peer_has_session(&e->peers[host], now_ms) && !peer_is_silent(&e->peers[host], now_ms))
		return true;
	n = engine_candidates(e, host, known, G_N_ELEMENTS(known));
	for (size_t i = 0; i < n; i++)
		if (endpoint_is_same(&known[i], endpoint))
			return true;
	return n == 0;
}

const char *engine_names_error(const struct engine *e, uint32_t host)
{
	const struct netmap_host *h = &e->map->hosts[host];

	for (uint32_t j = h->endpoint; j < h->endpoint + h->n_endpoints; j++) {
		const struct name *name = find_name(e->names, j);

		if (name && name->error[0])
			return name->error;
	}
	return "";
}
