/* tests/sim/sim_engine.c - the engine against a model kernel, an adversary and failing calls.
 *
 * Usage: sim_engine [SEEDS [FIRST]]. Each seed is one life of some virtual hours. After every quiet
 * period the model must hold exactly what the map says, and nothing may be written any more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "mgmt/meshfile.h"
#include "mgmt/meshupdate.h"
#include "mgmt/netmap.h"
#include "netlink/monitor.h"
#include "tests/sim/model_kernel.h"

enum {
	HOSTS_MAX = 40,
	ROUNDS = 60,
	QUIET_MS = 11 * 60 * 1000, /* two yields and then some */
	STEPS_PER_TURN_MAX = 5000,
	POOL = 64, /* keys to draw hosts from; 0 is us */
};

struct sim {
	guint32 seed;
	struct clock clock;
	struct model *model;
	struct engine *engine;
	struct config config;
	int64_t now_ms;
	struct wg_key private_key, keys[POOL];
	char text[64 * 1024]; /* the mesh file in force */
	struct netmap *wanted;
	bool down;
	bool has_rules; /* the map */
	unsigned n_rules;
	uint8_t rule; /* what they are made from */
	int64_t exposed_ms; /* since when anything can come in that may not; 0: it cannot */
	char recorded_interface[IFNAMSIZ];
	uint32_t recorded_table;
	GArray *recorded; /* struct wg_key */
	GArray *memory; /* struct engine_memory */
	bool psk_missing;
	uint8_t psk_byte; /* the file is full of it */
	GArray *psks; /* struct engine_psk_memory */
	struct {
		uint8_t given; /* on this host; a key of this byte, 0: none */
		uint8_t outside; /* what somebody else has set in the kernel; 0: nothing that would still be there */
		bool changed; /* what our sources say, since all was quiet: that may be there instead */
	} psk[POOL];
	GArray *foreign; /* keys of peers that somebody else put there */
	unsigned failures;
	const char *doing;
};

static void fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct sim *s, const char *format, ...)
{
	va_list args;

	if (s->failures++ > 3)
		return;
	printf("# FAIL seed %u at %" G_GINT64_FORMAT " ms, after %s: ", s->seed, s->now_ms,
		s->doing);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static unsigned draw(struct sim *s, unsigned n)
{
	return (unsigned)g_rand_int_range(s->model->random, 0, (gint32)n);
}

/* -- what the engine asks for --------------------------------------------------------------- */

static int record_peers(const struct wg_key *keys, size_t n, void *user)
{
	struct sim *s = user;

	g_array_set_size(s->recorded, 0);
	g_array_append_vals(s->recorded, keys, (guint)n);
	return 0;
}

static int record_interface(const char *name, uint32_t table, void *user)
{
	((struct sim *)user)->recorded_table = table;
	g_strlcpy(((struct sim *)user)->recorded_interface, name, IFNAMSIZ);
	return 0;
}

static bool has_key(const GArray *keys, const struct wg_key *key)
{
	for (guint i = 0; i < keys->len; i++)
		if (!memcmp(&g_array_index(keys, struct wg_key, i), key, sizeof(*key)))
			return true;
	return false;
}

static unsigned number_of(const struct sim *s, const struct wg_key *key)
{
	unsigned i = 0;

	while (i < POOL - 1 && !key_is_same(&s->keys[i], key))
		i++;
	return i;
}

static void peer_made(const struct wg_key *key, void *user)
{
	struct sim *s = user;

	s->psk[number_of(s, key)].outside = 0;
	if (!has_key(s->recorded, key))
		fail(s, "a peer was made before it was recorded");
}

static void vanished(void *user)
{
	struct sim *s = user;

	g_array_set_size(s->foreign, 0);
	engine_kernel_event(s->engine, MONITOR_LINK, 0, s->now_ms);
}

static const struct model_hooks hooks = { .peer_made = peer_made, .vanished = vanished };

static void look_up(uint32_t id, const char *name, void *user)
{
	struct sim *s = user;
	struct endpoint answer = { .family = AF_INET, .addr = { 198, 51, 100, (uint8_t)id } };

	if (draw(s, 3))
		engine_looked_up(s->engine, id, &answer, 1, NULL, s->now_ms);
	else
		engine_looked_up(s->engine, id, NULL, 0, "no such name", s->now_ms);
}

static void event(const char *json, void *user)
{
}

static int record_memory(const struct engine_memory *memory, size_t n, void *user)
{
	struct sim *s = user;

	g_array_set_size(s->memory, 0);
	if (n)
		g_array_append_vals(s->memory, memory, (guint)n);
	return 0;
}

static int record_psks(const struct engine_psk_memory *psks, size_t n, void *user)
{
	struct sim *s = user;

	g_array_set_size(s->psks, 0);
	if (n)
		g_array_append_vals(s->psks, psks, (guint)n);
	return 0;
}

static int read_psk(const char *path, struct wg_key *ret, void *user)
{
	struct sim *s = user;

	if (s->psk_missing)
		return -ENOENT;
	memset(ret, s->psk_byte, sizeof(*ret));
	return 0;
}

static uint32_t random32(void *user)
{
	return g_rand_int(((struct sim *)user)->model->random);
}

static int64_t wall_s(void *user)
{
	return 1700000000 + ((struct sim *)user)->now_ms / 1000;
}

static int record_mtu(uint32_t mtu, void *user)
{
	return 0;
}

static const struct engine_ops ops = {
	.look_up = look_up,
	.event = event,
	.record_peers = record_peers,
	.record_interface = record_interface,
	.record_memory = record_memory,
	.record_mtu = record_mtu,
	.record_psks = record_psks,
	.read_psk = read_psk,
	.random = random32,
	.wall_s = wall_s,
};

/* -- what may come in ----------------------------------------------------------------------- */

static bool is_closed(const struct sim *s)
{
	return s->config.policy.firewall == FIREWALL_ON ||
		(s->config.policy.firewall == FIREWALL_AUTO && s->has_rules);
}

/* Ours is up under a name of ours, and nothing keeps anybody out. */
static bool is_exposed(struct sim *s)
{
	static const char *const names[] = { "wt0", "wt9" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const struct model_link *link = model_find(s->model, names[i]);

		if (link && link->info.up && !strcmp(link->info.alias, "lapwing:sim") &&
			!model_acl_of(&s->model->nft, names[i]))
			return !s->down && is_closed(s);
	}
	return false;
}

/* Others may expose it; the engine never does, and ends it at once unless its calls fail. */
static void check_exposure(struct sim *s, bool by_engine)
{
	int64_t limit = s->model->failure_rate > 0 ? 60 * 1000 : 1000;

	if (!is_exposed(s)) {
		s->exposed_ms = 0;
		return;
	}
	if (by_engine && !s->exposed_ms)
		fail(s, "the engine opened the firewall");
	if (!s->exposed_ms)
		s->exposed_ms = s->now_ms;
	if (s->now_ms - s->exposed_ms > limit)
		fail(s, "the firewall has been open for a time");
}

/* -- time ----------------------------------------------------------------------------------- */

/* Steps until the engine wants to wait; how long, it says. */
static int64_t turn(struct sim *s)
{
	int64_t next = 0;

	s->clock.now_us = s->now_ms * 1000;
	for (unsigned i = 0; i < STEPS_PER_TURN_MAX && next == 0; i++) {
		next = engine_step(s->engine, s->now_ms);
		check_exposure(s, true);
	}
	if (next == 0)
		fail(s, "the engine is busy without end");
	return next;
}

static void run_until(struct sim *s, int64_t until_ms)
{
	while (s->now_ms < until_ms && s->failures < 5) {
		int64_t next = turn(s), check = (s->now_ms / 60000 + 1) * 60000;

		if (next == ENGINE_NEVER || next > until_ms)
			next = until_ms;
		if (next <= s->now_ms && next != 0)
			next = s->now_ms + 1;
		if (next >= check && check <= until_ms) {
			s->now_ms = check;
			engine_check(s->engine, s->now_ms);
		} else {
			s->now_ms = MAX(next, s->now_ms);
		}
	}
}

/* -- maps ----------------------------------------------------------------------------------- */

static void write_mesh(struct sim *s)
{
	GString *out = g_string_new(NULL);
	unsigned n = 0;

	g_string_printf(out,
		"{\"mesh\":\"sim\",\"interface\":{\"name\":\"%s\",\"listen_port\":%u},"
		"\"lazy\":{\"enabled\":%s,\"idle_minutes\":1},\"hosts\":[",
		draw(s, 8) ? "wt0" : "wt9", 51820 + (draw(s, 6) ? 0 : 1),
		draw(s, 4) ? "true" : "false");
	for (unsigned i = 0; i < HOSTS_MAX; i++) {
		char key[KEY_STRLEN];

		if (i && !draw(s, 2))
			continue;
		g_string_append_printf(out,
			"%s{\"name\":\"h%u\",\"public_key\":\"%s\",\"addresses\":[\"100.64.0.%u\"",
			n++ ? "," : "", i, key_format(&s->keys[i], key), i + 1);
		if (draw(s, 2))
			g_string_append_printf(out, ",\"fd00::%x\"", i + 1);
		g_string_append(out, "]");
		if (draw(s, 4))
			g_string_append_printf(out, ",\"endpoints\":[\"192.0.2.%u:51820\"%s]",
				i + 1, draw(s, 4) ? "" : ",\"name.example:51820\"");
		if (!draw(s, 4))
			g_string_append_printf(
				out, ",\"routes\":[\"10.%u.0.0/16\",\"10.200.0.0/16\"]", i);
		else if (!draw(s, 8)) /* shared by all who have it, accepted by half of the lives */
			g_string_append(out, ",\"routes\":[\"0.0.0.0/0\"]");
		if (!draw(s, 6))
			g_string_append(out, ",\"psk_file\":\"/psk\"");
		if (!draw(s, 5))
			g_string_append_printf(out, ",\"keepalive\":%u", draw(s, 60));
		if (!draw(s, 8))
			g_string_append(out, ",\"lazy\":false");
		g_string_append(out, "}");
	}
	g_string_append(out, "]}");
	g_strlcpy(s->text, out->str, sizeof(s->text));
	g_string_free(out, TRUE);
}

static void add_rules(struct sim *s, struct netmap *map)
{
	map->has_rules = s->has_rules;
	map->n_rules = s->n_rules;
	map->rules = g_new0(struct filter_rule, s->n_rules);
	for (uint8_t i = 0; i < s->n_rules; i++) {
		map->rules[i].source = (struct prefix){ AF_INET, 32,
			{ 100, 64, s->rule, (uint8_t)(i + 1) } };
		map->rules[i].protocol = IPPROTO_TCP;
	}
}

static struct netmap *parse(struct sim *s)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;

	if (meshfile_parse(s->text, strlen(s->text), &s->keys[0], 1000, &map, error) < 0)
		fail(s, "mesh file: %s", error);
	else
		add_rules(s, map);
	return map;
}

static void draw_rules(struct sim *s)
{
	s->has_rules = draw(s, 4);
	s->n_rules = s->has_rules ? draw(s, 4) : 0;
	s->rule = (uint8_t)draw(s, 256);
}

/* What the adversary left lying about under a name that we may want: the operator tidies up. */
static void sweep(struct sim *s)
{
	static const char *const names[] = { "wt0", "wt9" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		struct model_link *link = model_find(s->model, names[i]);

		if (link && !link->info.alias[0])
			model_delete_link(s->model, link);
	}
}

static void same_map(struct sim *s)
{
	engine_set_map(s->engine, parse(s), s->now_ms);
}

static void source_changed(struct sim *s, unsigned i)
{
	s->psk[i].changed = true;
}

static void new_map(struct sim *s)
{
	sweep(s);
	for (unsigned i = 0; i < POOL; i++)
		source_changed(s, i);
	write_mesh(s);
	if (draw(s, 2))
		draw_rules(s);
	netmap_free(s->wanted);
	s->wanted = parse(s);
	check_exposure(s, false);
	same_map(s);
}

/* Somebody edits one address: the quick way, where it leads there. */
static void edit_address(struct sim *s)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	char *at = strstr(s->text + draw(s, (unsigned)strlen(s->text)), ":5182");
	size_t n;

	if (!at || strstr(s->text, "listen_port") > at)
		return;
	at[5] = at[5] == '0' ? '1' : '0';
	netmap_free(s->wanted);
	s->wanted = parse(s);
	if (meshupdate_read(s->text, strlen(s->text), engine_map(s->engine), patches, &n) == 0)
		engine_patch_map(s->engine, patches, n, s->now_ms);
	else
		same_map(s);
}

/* -- what should be ------------------------------------------------------------------------- */

static struct model_link *ours(struct sim *s)
{
	return model_find(s->model, s->wanted->interface.name);
}

static bool is_blocked(struct sim *s, const struct netmap_host *host)
{
	return host->psk_file && s->psk_missing && !s->psk[number_of(s, &host->key)].given;
}

static bool self_routes(struct sim *s, const struct prefix *p)
{
	const struct netmap_host *self = &s->wanted->hosts[s->wanted->self];

	for (size_t i = 0; i < self->n_routes; i++)
		if (prefix_is_same(netmap_prefixes(s->wanted, self) + self->n_addresses + i, p))
			return true;
	return false;
}

static bool allows(const struct model_peer *peer, const struct prefix *p)
{
	for (guint i = 0; i < peer->allowed->len; i++)
		if (prefix_is_same(&g_array_index(peer->allowed, struct prefix, i), p))
			return true;
	return false;
}

/* What we route ourselves, and default routes in half of the lives. */
static bool is_refused(struct sim *s, const struct prefix *p)
{
	return self_routes(s, p) || (!p->bits && !s->config.policy.default_route);
}

static bool keeps_alive(const struct netmap_host *from, const struct netmap_host *to)
{
	return from->keepalive && to->n_endpoints;
}

static bool sleeps(struct sim *s, const struct netmap_host *host)
{
	const struct netmap_host *self = &s->wanted->hosts[s->wanted->self];

	return s->wanted->lazy.enabled && host->lazy && self->lazy && !keeps_alive(self, host) &&
		!keeps_alive(host, self);
}

static void check_endpoint(
	struct sim *s, const struct netmap_host *host, const struct model_peer *peer)
{
	const char *name = netmap_text(s->wanted, host->name);
	bool known = false, sentinel = sentinel_is_one(&peer->endpoint);

	if (sleeps(s, host) && !sentinel)
		fail(s, "%s is not parked", name);
	/* The kernel never forgets an endpoint: without another one the sentinel stays. */
	if (!sleeps(s, host) && sentinel && host->n_endpoints)
		fail(s, "%s is at a sentinel", name);
	for (size_t i = 0; i < host->n_endpoints; i++) {
		const struct netmap_endpoint *e = &s->wanted->endpoints[host->endpoint + i];

		known |= e->name || endpoint_is_same(&e->address, &peer->endpoint);
	}
	if (!sleeps(s, host) && host->n_endpoints && !(known && peer->endpoint.family))
		fail(s, "%s has no endpoint, or another one", name);
}

/* Somebody else's stays, unless ours has changed. */
static void check_psk(struct sim *s, const struct netmap_host *host, const struct model_peer *peer)
{
	unsigned i = number_of(s, &host->key);
	const char *name = netmap_text(s->wanted, host->name);
	uint8_t own = s->psk[i].given ? s->psk[i].given : host->psk_file ? s->psk_byte : 0;
	uint8_t has = peer->psk.b[0], outside = s->psk[i].outside;

	if (outside && !s->psk[i].changed && has != outside)
		fail(s, "%s: somebody's pre-shared key %02x has become %02x", name, outside, has);
	if (has != own && (!outside || has != outside))
		fail(s, "%s: pre-shared key %02x, not %02x or %02x", name, has, own, outside);
	if (has == own)
		s->psk[i].outside = 0;
	s->psk[i].changed = false;
}

static void check_peer(struct sim *s, struct model_link *link, const struct netmap_host *host)
{
	const struct prefix *p = netmap_prefixes(s->wanted, host);
	const char *name = netmap_text(s->wanted, host->name);
	struct model_peer *peer = model_find_peer(link, &host->key);
	const struct netmap_host *self = &s->wanted->hosts[s->wanted->self];
	size_t n = host->n_addresses;

	if (is_blocked(s, host)) {
		if (peer)
			fail(s, "%s is there without its pre-shared key", name);
		return;
	}
	if (!peer) {
		fail(s, "%s is missing", name);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (!allows(peer, &p[i]))
			fail(s, "%s lacks an address", name);
	for (size_t i = n; i < (size_t)host->n_addresses + host->n_routes; i++) {
		bool shared = p[i].addr[1] == 200 || !p[i].bits;

		if (is_refused(s, &p[i]) ? allows(peer, &p[i]) : !shared && !allows(peer, &p[i]))
			fail(s, "%s: route to 10.%u wrong", name, p[i].addr[1]);
		n += allows(peer, &p[i]);
	}
	if (peer->allowed->len != n)
		fail(s, "%s has %u prefixes, not %zu", name, peer->allowed->len, n);
	if (peer->keepalive != (host->n_endpoints && !sleeps(s, host) ? self->keepalive : 0))
		fail(s, "%s: keepalive %u", name, peer->keepalive);
	check_psk(s, host, peer);
	check_endpoint(s, host, peer);
}

/* Who sleeps has a sentinel of its own; beyond that, only those may have one that have left the kernel
 * for want of their key, or have no other endpoint. */
static void check_sentinels(struct sim *s, struct model_link *link)
{
	GHashTable *ports = g_hash_table_new(NULL, NULL);
	unsigned asleep = 0, others = 0;

	for (guint i = 0; i < link->peers->len; i++) {
		const struct model_peer *peer = link->peers->pdata[i];

		if (sentinel_is_one(&peer->endpoint) &&
			!g_hash_table_add(ports, GUINT_TO_POINTER(peer->endpoint.port)))
			fail(s, "two peers have the same sentinel");
	}
	g_hash_table_unref(ports);
	for (size_t i = 0; i < s->wanted->n_hosts; i++) {
		const struct netmap_host *host = &s->wanted->hosts[i];

		if (is_blocked(s, host) || !sleeps(s, host))
			others += is_blocked(s, host) || !host->n_endpoints;
		else
			asleep += (int64_t)i != s->wanted->self;
	}
	if (model_slots_taken(s->model) < asleep || model_slots_taken(s->model) > asleep + others)
		fail(s, "%u sentinels are open, %u sleep", model_slots_taken(s->model), asleep);
}

static bool lists(struct sim *s, const struct netmap_host *host, const struct prefix *p)
{
	for (size_t i = 0; i < host->n_routes; i++)
		if (prefix_is_same(netmap_prefixes(s->wanted, host) + host->n_addresses + i, p))
			return true;
	return false;
}

/* A shared prefix has one holder, if anybody there can hold it. Returns how many have it listed. */
static unsigned check_shared(struct sim *s, struct model_link *link, struct prefix shared)
{
	unsigned could = 0, holders = 0, listed = 0;

	for (size_t i = 0; i < s->wanted->n_hosts; i++) {
		const struct netmap_host *host = &s->wanted->hosts[i];

		if ((int64_t)i == s->wanted->self || !lists(s, host, &shared))
			continue;
		listed++;
		could += !is_blocked(s, host);
	}
	for (guint i = 0; i < link->peers->len; i++)
		holders += allows(link->peers->pdata[i], &shared);
	if (is_refused(s, &shared))
		could = listed = 0;
	if (holders != (could > 0))
		fail(s, "a shared prefix has %u holders, %u could", holders, could);
	return listed;
}

static bool is_wanted_key(struct sim *s, const struct wg_key *key)
{
	int64_t i = netmap_find_key(s->wanted, key);

	return i >= 0 && i != s->wanted->self;
}

/* The rules of the map, and no table that is not wanted. */
static void check_firewall(struct sim *s)
{
	const struct model_acl *acl = model_acl_of(&s->model->nft, s->wanted->interface.name);

	if (s->model->nft.acls->len != is_closed(s))
		fail(s, "there are %u firewalls", s->model->nft.acls->len);
	else if (is_closed(s) && !acl)
		fail(s, "there is no firewall");
	else if (acl &&
		(acl->rules->len != s->n_rules ||
			(s->n_rules &&
				memcmp(acl->rules->data, s->wanted->rules,
					s->n_rules * sizeof(*s->wanted->rules)))))
		fail(s, "the firewall has other rules");
}

static void check_up(struct sim *s)
{
	struct model_link *link = ours(s);
	const struct netmap_host *self = &s->wanted->hosts[s->wanted->self];
	unsigned routed = 0;

	if (!link || strcmp(link->info.kind, "wireguard")) {
		fail(s, "there is no interface %s", s->wanted->interface.name);
		return;
	}
	if (strcmp(link->info.alias, "lapwing:sim") || !link->info.up || link->info.mtu != 1420 ||
		link->port != s->wanted->interface.listen_port || link->mark != link->port ||
		memcmp(&link->private_key, &s->private_key, sizeof(s->private_key)))
		fail(s, "the interface is not as it should be");
	for (size_t i = 0; i < s->wanted->n_hosts; i++)
		if ((int64_t)i != s->wanted->self)
			check_peer(s, link, &s->wanted->hosts[i]);
	check_sentinels(s, link);
	check_shared(
		s, link, (struct prefix){ .family = AF_INET, .bits = 16, .addr = { 10, 200 } });
	/* A default route needs rules that keep our own packets out of it. */
	if (s->model->rules->len !=
		2 * (check_shared(s, link, (struct prefix){ .family = AF_INET }) > 0))
		fail(s, "%u routing rules", s->model->rules->len);
	for (guint i = 0; i < link->peers->len; i++) {
		struct model_peer *p = link->peers->pdata[i];

		if (!is_wanted_key(s, &p->key) && !has_key(s->foreign, &p->key))
			fail(s, "a peer of ours is left over");
	}
	for (guint i = 0; i < s->foreign->len; i++)
		if (!model_find_peer(link, &g_array_index(s->foreign, struct wg_key, i)))
			fail(s, "somebody else's peer was removed");
	for (size_t i = 0; i < self->n_addresses; i++) {
		bool found = false;

		for (guint j = 0; j < link->addresses->len; j++)
			found |= prefix_is_same(&g_array_index(link->addresses, struct prefix, j),
				netmap_prefixes(s->wanted, self) + i);
		if (!found)
			fail(s, "an address is missing");
	}
	for (size_t i = 0; i < s->wanted->n_hosts; i++)
		for (guint j = 0; j < s->model->routes->len; j++)
			if (prefix_contains(&g_array_index(s->model->routes, struct route, j).dst,
				    netmap_prefixes(s->wanted, &s->wanted->hosts[i]))) {
				routed++;
				break;
			}
	if (routed + 1 < s->wanted->n_hosts)
		fail(s, "%u of %zu hosts have a route", routed, s->wanted->n_hosts);
	if (!s->model->nft.table[0])
		fail(s, "there is no nftables table");
	check_firewall(s);
}

static void check_down(struct sim *s)
{
	struct model_link *link = ours(s);

	if (link && !strcmp(link->info.alias, "lapwing:sim"))
		fail(s, "down, but the interface is there");
	if (s->model->rules->len)
		fail(s, "down, but there are %u rules", s->model->rules->len);
	if (s->model->nft.table[0])
		fail(s, "down, but the nftables table is there");
	if (s->model->nft.acls->len)
		fail(s, "down, but the firewall is there");
}

static void check_quiet(struct sim *s)
{
	struct model_link *other = model_find(s->model, "wg-other");
	unsigned writes;

	s->model->failure_rate = s->model->vanish_rate = 0;
	s->model->nft.lacks.acl = false;
	run_until(s, s->now_ms + QUIET_MS);
	if (s->down)
		check_down(s);
	else
		check_up(s);
	if (!other || other->peers->len != 1 || other->port != 1)
		fail(s, "somebody else's interface was touched");
	writes = s->model->writes;
	run_until(s, s->now_ms + 3 * 60 * 1000);
	/* Sessions do not exist here, so nothing is there to be poked or tried. */
	if (s->model->writes != writes)
		fail(s, "%u writes with nothing to do", s->model->writes - writes);
	same_map(s);
	run_until(s, s->now_ms + 1000);
	if (s->model->writes != writes)
		fail(s, "%u writes for the same map", s->model->writes - writes);
}

/* -- the adversary -------------------------------------------------------------------------- */

static void tell(struct sim *s, unsigned events)
{
	/* Sometimes the events are lost, and that is told. */
	engine_kernel_event(s->engine, draw(s, 8) ? events : MONITOR_LOST, 0, s->now_ms);
}

static void delete_ours(struct sim *s)
{
	if (!ours(s))
		return;
	model_delete_link(s->model, ours(s));
	g_array_set_size(s->foreign, 0);
	tell(s, MONITOR_LINK);
}

static void rename_ours(struct sim *s)
{
	struct model_link *link = ours(s);

	if (!link || model_find(s->model, "elsewhere"))
		return;
	link->info.up = draw(s, 2);
	g_strlcpy(link->info.name, "elsewhere", IFNAMSIZ);
	tell(s, MONITOR_LINK);
}

static void down_ours(struct sim *s)
{
	struct link_change change = { .up = 0, .mtu = draw(s, 2) ? 0 : 9000 };

	if (ours(s))
		s->model->kernel.ops->link_set(s->model, ours(s)->info.index, &change);
	tell(s, MONITOR_LINK);
}

static void alias_ours(struct sim *s)
{
	if (ours(s) && ours(s)->info.alias[0])
		g_strlcpy(ours(s)->info.alias, "mine", LINK_ALIAS_MAX);
	tell(s, MONITOR_LINK);
}

static void take_addresses(struct sim *s)
{
	if (ours(s))
		g_array_set_size(ours(s)->addresses, 0);
	tell(s, MONITOR_ADDR);
}

static void take_routes(struct sim *s)
{
	g_array_set_size(s->model->routes, 0);
	tell(s, MONITOR_ROUTE);
}

static void take_nft(struct sim *s)
{
	if (draw(s, 2))
		s->model->nft.fingerprint += 100;
	else
		s->model->nft.table[0] = '\0';
	if (draw(s, 2))
		g_ptr_array_set_size(s->model->nft.acls, 0);
	check_exposure(s, false);
	tell(s, MONITOR_NFT);
}

/* Somebody changes our rules, and some kernels have no such rules for a while. */
static void change_acl(struct sim *s)
{
	for (guint i = 0; i < s->model->nft.acls->len; i++)
		((struct model_acl *)s->model->nft.acls->pdata[i])->fingerprint += UINT32_MAX;
	s->model->nft.lacks.acl = !draw(s, 4);
	tell(s, MONITOR_NFT);
}

/* Somebody takes it away whenever it is there. */
static void fight_acl(struct sim *s)
{
	for (unsigned i = 0; i < 12; i++) {
		g_ptr_array_set_size(s->model->nft.acls, 0);
		check_exposure(s, false);
		engine_kernel_event(s->engine, MONITOR_NFT, 0, s->now_ms);
		run_until(s, s->now_ms + 250);
	}
}

static void new_policy(struct sim *s)
{
	s->config.policy.firewall = draw(s, 3);
	check_exposure(s, false);
	same_map(s);
}

/* What wg(8) does, for which there are no events. */
static void wg_set(struct sim *s)
{
	struct model_link *link = ours(s);
	struct model_peer *peer;
	struct wg_key key;

	/* Not while the interface is about to go, or is a blank one that is about to be taken. */
	if (!link || s->down || strcmp(link->info.alias, "lapwing:sim"))
		return;
	switch (draw(s, 5)) {
	case 0:
		link->port = 7;
		break;
	case 1:
		link->mark = 0;
		break;
	case 2:
		memset(&key, (int)draw(s, 200) + 1, sizeof(key));
		if (model_find_peer(link, &key) || has_key(s->foreign, &key))
			break;
		model_add_peer(link, &key);
		g_array_append_val(s->foreign, key);
		break;
	default:
		if (!link->peers->len)
			break;
		peer = link->peers->pdata[draw(s, link->peers->len)];
		if (has_key(s->foreign, &peer->key))
			break;
		if (draw(s, 2))
			model_remove_peer(link, &peer->key);
		else
			g_array_set_size(peer->allowed, 0);
	}
}

/* Somebody changes the port; whoever wants a peer that sleeps is not heard, and that is noticed. */
static void deafen(struct sim *s)
{
	const char *why;
	struct model_link *link;

	s->model->failure_rate = s->model->vanish_rate = 0;
	s->model->nft.lacks.acl = false;
	run_until(s, s->now_ms + 6000);
	link = ours(s);
	if (!link || s->down || strcmp(link->info.alias, "lapwing:sim") ||
		!engine_is_settled(s->engine) || engine_problem_code(s->engine, &why))
		return;
	link->port = 7;
	s->model->drops += 8;
	run_until(s, s->now_ms + 6000); /* it does not look all the time */
	turn(s);
	if (link->port == 7 && !engine_problem_code(s->engine, &why))
		fail(s, "drops at the sentinels do not tell of a changed port");
}

static void remake_ours(struct sim *s)
{
	const char *name = s->wanted->interface.name;

	/* Another name than the one we made would be a conflict, and rightly so. */
	if (model_find(s->model, "elsewhere") || strcmp(name, s->recorded_interface))
		return;
	delete_ours(s);
	if (!s->down && !model_find(s->model, name))
		model_add_link(s->model, name, "wireguard"); /* blank */
	tell(s, MONITOR_LINK);
}

/* kill -9 and start: the kernel keeps everything, the engine begins anew from what was recorded. */
static void restart(struct sim *s)
{
	struct engine_identity identity = { .instance = "sim",
		.recorded_interface = s->recorded_interface,
		.recorded_table = s->recorded_table,
		.recorded_peers = (const struct wg_key *)(void *)s->recorded->data,
		.n_recorded = s->recorded->len,
		.memory = (const struct engine_memory *)(void *)s->memory->data,
		.n_memory = s->memory->len,
		.psks = (const struct engine_psk_memory *)(void *)s->psks->data,
		.n_psks = s->psks->len };

	engine_free(s->engine);
	model_close(s->model);
	if (!draw(s, 4)) /* edited meanwhile */
		s->config.policy.firewall = draw(s, 3);
	check_exposure(s, false);
	s->engine = engine_new(&s->model->kernel, &ops, s, &identity);
	engine_set_private_key(s->engine, &s->private_key);
	engine_set_config(s->engine, &s->config);
	engine_set_map(s->engine, parse(s), s->now_ms);
	engine_set_down(s->engine, s->down, s->now_ms);
}

static void up_down(struct sim *s)
{
	sweep(s);
	s->down = !s->down;
	if (s->down)
		g_array_set_size(s->foreign, 0);
	engine_set_down(s->engine, s->down, s->now_ms);
}

/* Killed in the middle of `down`, or of `up`. */
static void restart_down(struct sim *s)
{
	s->down = !s->down;
	if (s->down)
		g_array_set_size(s->foreign, 0);
	restart(s);
}

static void psk_comes_and_goes(struct sim *s)
{
	s->psk_missing = !s->psk_missing;
	same_map(s);
}

static void psk_rotates(struct sim *s)
{
	s->psk_byte = (uint8_t)(0x50 + (s->psk_byte + 1) % 16);
	for (unsigned i = 0; i < POOL; i++)
		source_changed(s, i);
	if (draw(s, 2))
		restart(s);
	else
		same_map(s);
}

/* Rosenpass: it knows only peers that are there. */
static void psk_from_outside(struct sim *s)
{
	struct model_link *link = ours(s);
	struct model_peer *peer;
	unsigned i;

	if (!link || !link->peers->len)
		return;
	peer = link->peers->pdata[draw(s, link->peers->len)];
	i = number_of(s, &peer->key);
	s->psk[i].outside = (uint8_t)(draw(s, 5) ? 0xa0 + draw(s, 32) : 0);
	memset(&peer->psk, s->psk[i].outside, sizeof(peer->psk));
}

/* A daemon that starts has to read before it knows of it, and the kernel may not let it. */
static void psk_from_outside_unseen(struct sim *s)
{
	psk_from_outside(s);
	s->model->failure_rate = 0.2;
	restart(s);
}

static void psk_given(struct sim *s)
{
	unsigned i = 1 + draw(s, HOSTS_MAX - 1);
	uint8_t byte = (uint8_t)(draw(s, 3) ? 0x80 + draw(s, 4) : 0);
	struct wg_key psk, key;
	char peer[KEY_STRLEN];

	memset(&psk, byte, sizeof(psk));
	if (engine_set_psk(s->engine, key_format(&s->keys[i], peer), byte ? &psk : NULL, s->now_ms,
		    &key) < 0)
		return;
	source_changed(s, i);
	s->psk[i].given = byte;
}

static const struct {
	const char *name;
	void (*act)(struct sim *s);
} acts[] = {
	{ "deletion", delete_ours },
	{ "renaming", rename_ours },
	{ "down", down_ours },
	{ "alias", alias_ours },
	{ "addresses", take_addresses },
	{ "routes", take_routes },
	{ "nftables", take_nft },
	{ "firewall", change_acl },
	{ "fight", fight_acl },
	{ "policy", new_policy },
	{ "wg set", wg_set },
	{ "wg set", wg_set },
	{ "another port", deafen },
	{ "re-creation", remake_ours },
	{ "restart", restart },
	{ "up or down", up_down },
	{ "restart up or down", restart_down },
	{ "psk", psk_comes_and_goes },
	{ "psk rotation", psk_rotates },
	{ "psk from outside", psk_from_outside },
	{ "psk from outside, unseen", psk_from_outside_unseen },
	{ "psk given", psk_given },
	{ "new map", new_map },
	{ "new map", new_map },
	{ "same map", same_map },
	{ "edit", edit_address },
	{ "edit", edit_address },
};

/* -- one life ------------------------------------------------------------------------------- */

static void begin(struct sim *s, guint32 seed)
{
	struct wg_key other = { .b = { 1 } };
	char error[CONFIG_ERROR_MAX];

	memset(s, 0, sizeof(*s));
	s->seed = seed;
	s->doing = "the start";
	s->now_ms = 1000;
	clock_init(&s->clock);
	s->model = model_new(seed, &s->clock, &hooks, s);
	s->recorded = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	s->memory = g_array_new(FALSE, FALSE, sizeof(struct engine_memory));
	s->foreign = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	s->psks = g_array_new(FALSE, FALSE, sizeof(struct engine_psk_memory));
	s->psk_byte = 0x55;
	for (unsigned i = 0; i < POOL; i++) {
		struct wg_key private_key;

		memset(&private_key, (int)i + 1, sizeof(private_key));
		key_public_from_private(&private_key, &s->keys[i]);
		if (i == 0)
			s->private_key = private_key;
	}
	config_parse("{}", 2, &s->config, error);
	s->config.policy.default_route = seed % 2;
	model_add_link(s->model, "wg-other", "wireguard")->port = 1;
	model_add_peer(model_find(s->model, "wg-other"), &other);
	write_mesh(s);
	draw_rules(s);
	s->wanted = parse(s);
	restart(s);
}

static void end(struct sim *s)
{
	engine_free(s->engine);
	netmap_free(s->wanted);
	config_done(&s->config);
	model_free(s->model);
	clock_done(&s->clock);
	g_array_unref(s->recorded);
	g_array_unref(s->memory);
	g_array_unref(s->foreign);
	g_array_unref(s->psks);
}

static unsigned live(guint32 seed)
{
	static struct sim s;
	unsigned failures;

	begin(&s, seed);
	run_until(&s, 2000);
	for (unsigned i = 0; i < ROUNDS && !s.failures; i++) {
		unsigned act = draw(&s, G_N_ELEMENTS(acts));

		if (!draw(&s, 4)) {
			s.model->failure_rate = 0.1;
			s.model->vanish_rate = draw(&s, 3) ? 0 : 0.01;
		}
		s.doing = acts[act].name;
		log_debug("%" G_GINT64_FORMAT " ms: %s", s.now_ms, s.doing);
		acts[act].act(&s);
		run_until(&s, s.now_ms + draw(&s, 20000));
		if (!draw(&s, 5))
			check_quiet(&s);
	}
	if (!s.failures)
		check_quiet(&s);
	failures = s.failures;
	end(&s);
	return failures;
}

int main(int argc, char **argv)
{
	unsigned seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
	guint32 first = argc > 2 ? (guint32)atoi(argv[2]) : 1;
	unsigned bad = 0;

	log_set_level(
		seeds == 1 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR); /* one life is told in full */
	setlinebuf(stdout); /* whoever dies is known by its seed */
	printf("1..%u\n# seeds %u to %u\n", seeds, first, first + seeds - 1);
	for (unsigned i = 0; i < seeds; i++) {
		unsigned failures = live(first + i);

		bad += failures > 0;
		printf("%s %u - a life with seed %u\n", failures ? "not ok" : "ok", i + 1,
			first + i);
	}
	return bad > 0;
}
