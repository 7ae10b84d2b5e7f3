/* tests/sim/model_kernel.c - a kernel, with failures on demand. */
#include "tests/sim/model_kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/key.h"
#include "agent/base/log.h"
#include "agent/routing.h"

enum { QUEUE_MAX = 280, READ_MAX = 128 };

int64_t model_wall_ns(const struct model *m)
{
	return (m->clock->now_us + m->wall_us) * 1000;
}

void model_trace(const struct model *m, const struct model_peer *peer, const char *format, ...)
{
	char text[256];
	va_list args;

	if (log_get_level() < LOG_LEVEL_DEBUG)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_debug("%.6f %s%s%s: %s", (double)m->clock->now_us / 1e6, m->name, peer ? "-" : "",
		peer && m->hooks->name_peer ? m->hooks->name_peer(&peer->key, m->user) : "", text);
}

struct model_link *model_by_index(struct model *m, unsigned index)
{
	for (guint i = 0; i < m->links->len; i++) {
		struct model_link *link = m->links->pdata[i];

		if (link->info.index == index)
			return link;
	}
	return NULL;
}

struct model_link *model_find(struct model *m, const char *name)
{
	for (guint i = 0; i < m->links->len; i++) {
		struct model_link *link = m->links->pdata[i];

		if (!strcmp(link->info.name, name))
			return link;
	}
	return NULL;
}

/* Any call may fail; before some, the interface goes away. */
static int fault(struct model *m, unsigned index)
{
	static const int errors[] = { -ENOBUFS, -EBUSY, -ENOMEM };
	struct model_link *link;

	if (m->hooks->passed)
		m->hooks->passed(m->user);
	if (m->crash_in && !--m->crash_in)
		m->crashed = true;
	if (m->crashed)
		return -ENOTCONN;
	link = index ? model_by_index(m, index) : NULL;
	if (link && m->vanish_rate > 0 && g_rand_double(m->random) < m->vanish_rate) {
		model_delete_link(m, link);
		m->hooks->vanished(m->user);
	}
	if (m->failure_rate > 0 && g_rand_double(m->random) < m->failure_rate)
		return errors[g_rand_int_range(m->random, 0, G_N_ELEMENTS(errors))];
	return 0;
}

static void wrote(struct model *m, const char *what)
{
	m->writes++;
	model_trace(m, NULL, "%s", what);
}

#define FAULT(index) \
	do { \
		int fault_ = fault(m, index); \
		if (fault_) \
			return fault_; \
	} while (0)

/* -- links ---------------------------------------------------------------------------------- */

struct model_link *model_add_link(struct model *m, const char *name, const char *kind)
{
	struct model_link *link = g_new0(struct model_link, 1);

	link->model = m;
	link->info.index = m->next_index++;
	link->info.mtu = 1420;
	g_strlcpy(link->info.name, name, sizeof(link->info.name));
	g_strlcpy(link->info.kind, kind, sizeof(link->info.kind));
	link->peers = g_ptr_array_new();
	link->by_key = g_hash_table_new(key_hash, key_equal);
	link->by_index = g_hash_table_new(NULL, NULL);
	link->graves = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	link->addresses = g_array_new(FALSE, TRUE, sizeof(struct prefix));
	g_ptr_array_add(m->links, link);
	return link;
}

static void clear_peers(struct model_link *link)
{
	while (link->peers->len)
		model_remove_peer(link, &((struct model_peer *)link->peers->pdata[0])->key);
}

static void drop_routes(struct model *m, unsigned index)
{
	for (guint i = m->routes->len; i-- > 0;)
		if (g_array_index(m->routes, struct route, i).ifindex == index)
			g_array_remove_index_fast(m->routes, i);
}

void model_delete_link(struct model *m, struct model_link *link)
{
	drop_routes(m, link->info.index);
	clear_peers(link);
	g_ptr_array_unref(link->peers);
	g_hash_table_unref(link->by_key);
	g_hash_table_unref(link->by_index);
	g_hash_table_unref(link->graves);
	g_array_unref(link->addresses);
	g_ptr_array_remove(m->links, link);
	g_free(link);
}

static int m_link_get(void *k, unsigned index, struct link_info *ret)
{
	struct model *m = k;

	FAULT(index);
	if (!model_by_index(m, index))
		return -ENODEV;
	*ret = model_by_index(m, index)->info;
	return 0;
}

static int m_link_get_by_name(void *k, const char *name, struct link_info *ret)
{
	struct model *m = k;

	FAULT(0);
	if (!model_find(m, name))
		return -ENODEV;
	*ret = model_find(m, name)->info;
	return 0;
}

static int m_link_foreach_wireguard(void *k, link_fn fn, void *user)
{
	struct model *m = k;

	FAULT(0);
	for (guint i = 0; i < m->links->len; i++) {
		struct model_link *link = m->links->pdata[i];
		int r = strcmp(link->info.kind, "wireguard") ? 0 : fn(&link->info, user);

		if (r)
			return r;
	}
	return 0;
}

static int m_link_create(void *k, const char *name, unsigned *ret_index)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	if (model_find(m, name))
		return -EEXIST;
	*ret_index = model_add_link(m, name, "wireguard")->info.index;
	return 0;
}

static int m_link_delete(void *k, unsigned index)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(index);
	if (!model_by_index(m, index))
		return -ENODEV;
	model_delete_link(m, model_by_index(m, index));
	return 0;
}

static int m_link_set(void *k, unsigned index, const struct link_change *change)
{
	struct model *m = k;
	struct model_link *link;

	wrote(m, __func__ + 2);
	FAULT(index);
	link = model_by_index(m, index);
	if (!link)
		return -ENODEV;
	/* The name comes before the flags of the same request. */
	if (change->name && link->info.up)
		return -EBUSY;
	if (change->up == 0) {
		drop_routes(m, index);
		tunnels_down(link);
	}
	if (change->up >= 0)
		link->info.up = change->up;
	if (change->up == 1)
		tunnels_up(link);
	if (change->name && model_find(m, change->name))
		return -EEXIST;
	if (change->name)
		g_strlcpy(link->info.name, change->name, sizeof(link->info.name));
	if (change->alias)
		g_strlcpy(link->info.alias, change->alias, sizeof(link->info.alias));
	if (change->mtu)
		link->info.mtu = change->mtu;
	return 0;
}

/* -- addresses, routes, rules --------------------------------------------------------------- */

static int m_addr_foreach(void *k, unsigned index, ifaddr_fn fn, void *user)
{
	struct model *m = k;
	struct model_link *link;

	FAULT(index);
	link = model_by_index(m, index);
	if (!link)
		return -ENODEV;
	for (guint i = 0; i < link->addresses->len; i++)
		fn(&g_array_index(link->addresses, struct prefix, i), user);
	return 0;
}

static int find_address(struct model_link *link, const struct prefix *address)
{
	for (guint i = 0; i < link->addresses->len; i++)
		if (prefix_is_same(&g_array_index(link->addresses, struct prefix, i), address))
			return (int)i;
	return -1;
}

static int m_addr_add(void *k, unsigned index, const struct prefix *address)
{
	struct model *m = k;
	struct model_link *link;

	wrote(m, __func__ + 2);
	FAULT(index);
	link = model_by_index(m, index);
	if (!link)
		return -ENODEV;
	if (find_address(link, address) >= 0)
		return -EEXIST;
	g_array_append_vals(link->addresses, address, 1);
	return 0;
}

static int m_addr_remove(void *k, unsigned index, const struct prefix *address)
{
	struct model *m = k;
	struct model_link *link;
	int i;

	wrote(m, __func__ + 2);
	FAULT(index);
	link = model_by_index(m, index);
	i = link ? find_address(link, address) : -1;
	if (i < 0)
		return -EADDRNOTAVAIL;
	g_array_remove_index_fast(link->addresses, (guint)i);
	return 0;
}

static int m_route_foreach(void *k, unsigned index, route_fn fn, void *user)
{
	struct model *m = k;

	FAULT(index);
	for (guint i = 0; i < m->routes->len; i++)
		if (g_array_index(m->routes, struct route, i).ifindex == index)
			fn(&g_array_index(m->routes, struct route, i), user);
	return 0;
}

static int find_route(struct model *m, const struct route *route)
{
	for (guint i = 0; i < m->routes->len; i++) {
		struct route *r = &g_array_index(m->routes, struct route, i);

		if (!route_compare(r, route) && r->ifindex == route->ifindex)
			return (int)i;
	}
	return -1;
}

static int m_route_add(void *k, const struct route *route)
{
	struct model *m = k;
	struct model_link *link;

	wrote(m, __func__ + 2);
	FAULT(route->ifindex);
	link = model_by_index(m, route->ifindex);
	if (!link)
		return -ENODEV;
	if (!link->info.up)
		return -ENETDOWN;
	if (find_route(m, route) >= 0)
		return -EEXIST;
	g_array_append_vals(m->routes, route, 1);
	return 0;
}

static int m_route_remove(void *k, const struct route *route)
{
	struct model *m = k;
	int i;

	wrote(m, __func__ + 2);
	FAULT(route->ifindex);
	i = find_route(m, route);
	if (i < 0)
		return -ESRCH;
	g_array_remove_index_fast(m->routes, (guint)i);
	return 0;
}

static int m_rule_foreach(void *k, rule_fn fn, void *user)
{
	struct model *m = k;

	FAULT(0);
	m->listing_rules = true;
	for (guint i = 0; i < m->rules->len; i++)
		fn(&g_array_index(m->rules, struct rule, i), user);
	m->listing_rules = false;
	return 0;
}

static int find_rule(struct model *m, const struct rule *rule)
{
	for (guint i = 0; i < m->rules->len; i++)
		if (!memcmp(&g_array_index(m->rules, struct rule, i), rule, sizeof(*rule)))
			return (int)i;
	return -1;
}

static int m_rule_add(void *k, const struct rule *rule)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	if (find_rule(m, rule) >= 0)
		return -EEXIST;
	g_array_append_vals(m->rules, rule, 1);
	return 0;
}

static int m_rule_remove(void *k, const struct rule *rule)
{
	struct model *m = k;
	int i;

	g_assert(!m->listing_rules);
	wrote(m, __func__ + 2);
	FAULT(0);
	i = find_rule(m, rule);
	if (i < 0)
		return -ENOENT;
	g_array_remove_index_fast(m->rules, (guint)i);
	return 0;
}

static int m_route_path(
	void *k, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu, unsigned *ret_ifindex)
{
	*ret_mtu = 1500;
	*ret_ifindex = 1;
	return 0;
}

/* -- WireGuard ------------------------------------------------------------------------------ */

struct model_peer *model_find_peer(struct model_link *link, const struct wg_key *key)
{
	return g_hash_table_lookup(link->by_key, key);
}

struct model_peer *model_add_peer(struct model_link *link, const struct wg_key *key)
{
	struct model_peer *peer = g_new0(struct model_peer, 1);

	peer->key = *key;
	peer->allowed = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	tunnel_init(link, peer);
	g_ptr_array_add(link->peers, peer);
	g_hash_table_insert(link->by_key, &peer->key, peer);
	return peer;
}

void model_remove_peer(struct model_link *link, const struct wg_key *key)
{
	struct model_peer *peer = model_find_peer(link, key);

	if (!peer)
		return;
	tunnel_done(peer);
	g_hash_table_remove(link->by_key, key);
	g_ptr_array_remove_fast(link->peers, peer);
	g_array_unref(peer->allowed);
	g_free(peer);
}

static int m_wg_set_device(void *k, unsigned index, const struct wg_device_config *config)
{
	struct model *m = k;
	struct model_link *link;

	wrote(m, __func__ + 2);
	FAULT(index);
	link = model_by_index(m, index);
	if (!link)
		return -ENODEV;
	if (config->private_key) {
		link->private_key = *config->private_key;
		key_public_from_private(config->private_key, &link->public_key);
		tunnels_rekeyed(link);
	}
	if (config->listen_port >= 0)
		link->port = (uint16_t)config->listen_port;
	if (config->fwmark >= 0)
		link->mark = (uint32_t)config->fwmark;
	if (config->replace_peers)
		clear_peers(link);
	return 0;
}

/* A prefix belongs to one peer: it moves. */
static void allow(struct model_link *link, struct model_peer *to, const struct prefix *p)
{
	for (guint i = 0; i < link->peers->len; i++) {
		GArray *allowed = ((struct model_peer *)link->peers->pdata[i])->allowed;

		for (guint j = allowed->len; j-- > 0;)
			if (prefix_is_same(&g_array_index(allowed, struct prefix, j), p))
				g_array_remove_index_fast(allowed, j);
	}
	g_array_append_vals(to->allowed, p, 1);
}

/* Switching it on sends one at once. */
static void set_keepalive(struct model_link *link, struct model_peer *peer, int keepalive)
{
	bool on = !peer->keepalive && keepalive > 0;

	if (keepalive < 0)
		return;
	peer->keepalive = (uint16_t)keepalive;
	if (on)
		tunnel_send_keepalive(peer);
}

static void set_endpoint(struct model *m, struct model_peer *peer, const struct endpoint *to)
{
	char text[ENDPOINT_STRLEN];

	if (endpoint_is_same(&peer->endpoint, to))
		return;
	model_trace(m, peer, "at %s", endpoint_format(to, text));
	if (m->hooks->moves)
		m->hooks->moves(peer, to, m->user);
	peer->endpoint = *to;
}

static void set_peer(struct model *m, struct model_link *link, const struct wg_peer_config *config)
{
	struct model_peer *peer = model_find_peer(link, &config->public_key);

	if (config->remove) {
		model_remove_peer(link, &config->public_key);
		return;
	}
	if (!peer && config->update_only)
		return;
	if (!peer) {
		m->hooks->peer_made(&config->public_key, m->user);
		peer = model_add_peer(link, &config->public_key);
	}
	if (config->preshared_key)
		peer->psk = *config->preshared_key;
	if (config->endpoint)
		set_endpoint(m, peer, config->endpoint);
	if (config->replace_allowed)
		g_array_set_size(peer->allowed, 0);
	for (size_t i = 0; i < config->n_allowed; i++)
		allow(link, peer, &config->allowed[i]);
	set_keepalive(link, peer, config->keepalive);
	tunnel_send_staged(peer);
}

static int m_wg_set_peers(
	void *k, unsigned index, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct model *m = k;

	for (size_t i = 0; i < n; i++) {
		struct model_link *link;
		int r;

		wrote(m, __func__ + 2);
		r = fault(m, index);
		if (r == -ENOBUFS) /* the transport: nobody knows how far it got */
			return r;
		link = model_by_index(m, index);
		results[i] = link ? r : -ENODEV;
		if (results[i] == 0)
			set_peer(m, link, &peers[i]);
	}
	return 0;
}

static int m_wg_read(
	void *k, unsigned index, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user)
{
	struct model *m = k;
	struct wg_device_status device = { 0 };
	struct model_link *link;
	int r;

	FAULT(index);
	link = model_by_index(m, index);
	if (!link)
		return -ENODEV;
	device.ifindex = index;
	device.public_key = link->public_key;
	device.listen_port = link->port;
	device.fwmark = link->mark;
	r = device_fn ? device_fn(&device, user) : 0;
	for (guint i = 0; r == 0 && i < link->peers->len; i++) {
		struct model_peer *p = link->peers->pdata[i];
		struct wg_peer_status status = { .public_key = p->key,
			.preshared_key = p->psk,
			.endpoint = p->endpoint,
			.keepalive = p->keepalive,
			.last_handshake_s = p->tunnel.handshake_ns / 1000000000,
			.last_handshake_nsec = p->tunnel.handshake_ns % 1000000000,
			.rx_bytes = p->tunnel.rx,
			.tx_bytes = p->tunnel.tx,
			.allowed = (const struct prefix *)(void *)p->allowed->data,
			.n_allowed = p->allowed->len };

		r = peer_fn(&status, user);
	}
	if (r == 0 && m->failure_rate > 0 && g_rand_double(m->random) < m->failure_rate)
		return -EINTR; /* it changed meanwhile */
	return r;
}

/* -- nftables ------------------------------------------------------------------------------- */

static int m_nft_apply(void *k, const struct nft_config *config)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	return model_nft_apply(&m->nft, config);
}

static int m_acl_apply(void *k, const struct acl_config *config)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	if (m->nft.lacks.acl)
		return -EOPNOTSUPP;
	model_acl_apply(&m->nft, config);
	return 0;
}

static int m_acl_count_refused(void *k, const char *table, uint64_t *ret)
{
	struct model *m = k;

	FAULT(0);
	if (!model_acl_find(&m->nft, table))
		return -ENOENT;
	*ret = 0;
	return 0;
}

static int m_steer_apply(void *k, const struct steer_config *config)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	model_steer_apply(&m->nft, config);
	return 0;
}

static int m_steer_set(void *k, const char *table, const struct steer_ufrag *ufrag)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	return model_steer_set(&m->nft, table, ufrag);
}

static int m_steer_unset(void *k, const char *table, const char *ufrag)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	return model_steer_unset(&m->nft, table, ufrag);
}

static int m_nft_remove(void *k, const char *table)
{
	struct model *m = k;

	wrote(m, __func__ + 2);
	FAULT(0);
	if (!strcmp(m->nft.table, table))
		model_nft_flush(&m->nft);
	model_acl_remove(&m->nft, model_acl_find(&m->nft, table));
	model_steer_remove(&m->nft, table);
	return 0;
}

static int m_nft_fingerprint(void *k, const char *table, uint64_t *ret)
{
	struct model *m = k;
	const struct model_acl *acl;

	FAULT(0);
	acl = model_acl_find(&m->nft, table);
	if (!strcmp(m->nft.steer, table)) {
		*ret = m->nft.steer_fingerprint;
		return 0;
	}
	*ret = acl ? acl->fingerprint : strcmp(m->nft.table, table) ? 0 : m->nft.fingerprint;
	return 0;
}

static int m_nft_change(void *k, const char *table, const struct nft_change *change)
{
	struct model *m = k;
	int r;

	wrote(m, __func__ + 2);
	FAULT(0);
	r = model_nft_change(&m->nft, table, change, m->clock->now_us);
	if (r < 0 && m->nft.table[0] && m->hooks->refused)
		m->hooks->refused(m->user);
	return r;
}

static int m_nft_counters(void *k, const char *table, nft_counter_fn fn, void *user)
{
	struct model *m = k;

	FAULT(0);
	return model_nft_counters(&m->nft, table, fn, user);
}

static int m_nft_heard(void *k, const char *table, const struct endpoint *from)
{
	struct model *m = k;

	FAULT(0);
	return model_nft_heard(&m->nft, table, from, m->clock->now_us);
}

static int m_nflog_listen(void *k, uint16_t group)
{
	struct model *m = k;

	FAULT(0);
	m->nflog = true;
	m->nflog_group = group;
	return 0;
}

static bool m_tracks_connections(void *k)
{
	return ((struct model *)k)->conntrack;
}

/* -- what the daemon reads ------------------------------------------------------------------ */

struct queued {
	enum packet_kind kind;
	uint32_t slot;
	int64_t received_ns;
	uint16_t from_port;
	struct endpoint from;
	size_t len;
	uint8_t data[];
};

static void queue(struct model *m, const struct queued *head, const void *data)
{
	struct queued *q = g_malloc(sizeof(*q) + head->len);

	*q = *head;
	if (head->len)
		memcpy(q->data, data, head->len);
	g_queue_push_tail(m->packets, q);
	if (m->hooks->readable)
		m->hooks->readable(m->user);
}

static struct model_slot *slot_at(const struct model *m, uint32_t slot)
{
	return &g_array_index(m->slots, struct model_slot, slot);
}

static size_t m_packets_read(void *k, packet_fn fn, void *user)
{
	struct model *m = k;
	size_t n = 0;

	for (; n < READ_MAX && !m->crashed && m->packets->length; n++) {
		g_autofree struct queued *q = g_queue_pop_head(m->packets);
		const struct packet packet = { .kind = q->kind,
			.slot = q->slot,
			.data = q->data,
			.len = q->len,
			.received_ns = q->received_ns,
			.from_port = q->from_port,
			.from = q->from };

		if (q->kind == PACKET_SENTINEL)
			slot_at(m, q->slot)->queued--;
		fn(&packet, user);
	}
	return n;
}

static void log_packet(struct model *m, enum packet_kind kind, const struct endpoint *from)
{
	struct queued q = { .kind = kind, .from = *from };

	if (m->nflog && m->nflog_group == m->nft.lazy.log_group)
		queue(m, &q, NULL);
}

/* -- sentinels ------------------------------------------------------------------------------ */

static void m_sentinel_endpoint(void *k, uint32_t slot, struct endpoint *ret)
{
	const struct model *m = k;
	const struct model_slot *s = slot_at(m, slot);
	uint32_t address = htonl(s->shared ? 0x7f400000 + slot : 0x7f000101);

	*ret = (struct endpoint){ .family = AF_INET, .port = s->shared ? m->shared_port : s->port };
	memcpy(ret->addr, &address, sizeof(address));
}

/* The slot that has this address, or -1. */
static int find_slot(struct model *m, const struct endpoint *endpoint)
{
	for (uint32_t i = 0; i < m->slots->len; i++) {
		struct endpoint own;

		m_sentinel_endpoint(m, i, &own);
		if (slot_at(m, i)->taken && endpoint_is_same(&own, endpoint))
			return (int)i;
	}
	return -1;
}

static uint32_t lowest_free(struct model *m)
{
	const struct model_slot free_slot = { .taken = false };
	uint32_t i = 0;

	while (i < m->slots->len && slot_at(m, i)->taken)
		i++;
	if (i == m->slots->len)
		g_array_append_val(m->slots, free_slot);
	return i;
}

static bool take_wanted(struct model *m, const struct endpoint *wanted, uint32_t *ret_slot)
{
	const struct model_slot free_slot = { .taken = false };
	uint32_t address, slot;

	memcpy(&address, wanted->addr, sizeof(address));
	slot = ntohl(address) - 0x7f400000;
	if (!sentinel_is_one(wanted) || find_slot(m, wanted) >= 0)
		return false;
	if (ntohl(address) == 0x7f000101) {
		*ret_slot = lowest_free(m);
		*slot_at(m, *ret_slot) = (struct model_slot){ .taken = true, .port = wanted->port };
		return true;
	}
	while (m->slots->len <= slot)
		g_array_append_val(m->slots, free_slot);
	if (slot_at(m, slot)->taken || (m->shared_port && m->shared_port != wanted->port))
		return false;
	m->shared_port = wanted->port;
	*slot_at(m, slot) = (struct model_slot){ .taken = true, .shared = true };
	*ret_slot = slot;
	return true;
}

static int m_sentinel_take(void *k, bool shared, const struct endpoint *wanted, uint32_t *ret_slot)
{
	struct model *m = k;
	int r = fault(m, 0);

	m->sentinel_refused |= r < 0 && !wanted;
	if (r < 0)
		return r;
	if (wanted && take_wanted(m, wanted, ret_slot))
		return 0;
	if (shared && !m->shared_port)
		m->shared_port = m->next_port++;
	*ret_slot = lowest_free(m);
	*slot_at(m, *ret_slot) = (struct model_slot){
		.taken = true, .shared = shared, .port = shared ? 0 : m->next_port++
	};
	return 0;
}

static void tell(struct model *m, const void *data, size_t len, enum fate fate, bool excused)
{
	uint32_t id = wg_inner_id(data, len);

	if (id)
		m->hooks->fate(id, fate, excused, m->user);
}

/* What is queued there goes with it. */
static void m_sentinel_release(void *k, uint32_t slot)
{
	struct model *m = k;
	GList *next;

	if (m->crashed)
		return;
	slot_at(m, slot)->taken = false;
	slot_at(m, slot)->queued = 0;
	for (GList *l = m->packets->head; l; l = next) {
		struct queued *q = l->data;

		next = l->next;
		if (q->kind != PACKET_SENTINEL || q->slot != slot)
			continue;
		tell(m, q->data, q->len, FATE_DEAF, false);
		g_queue_delete_link(m->packets, l);
		g_free(q);
	}
}

static int m_sentinel_set_sender(void *k, uint16_t wireguard_port, uint32_t mark)
{
	struct model *m = k;

	FAULT(0);
	m->wireguard_port = wireguard_port;
	m->wireguard_mark = mark;
	return 0;
}

static void m_sentinel_get_status(void *k, struct sentinel_status *ret)
{
	const struct model *m = k;

	*ret = (struct sentinel_status){ .drops = m->drops };
}

bool model_has_slot(struct model *m, const struct endpoint *sentinel)
{
	return find_slot(m, sentinel) >= 0;
}

unsigned model_slots_taken(const struct model *m)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < m->slots->len; i++)
		n += slot_at(m, i)->taken;
	return n;
}

void model_close(struct model *m)
{
	for (GList *l = m->packets->head; l; l = l->next) {
		const struct queued *q = l->data;

		tell(m, q->data, q->len, FATE_DEAF, true);
	}
	g_queue_clear_full(m->packets, g_free);
	g_array_set_size(m->slots, 0);
	m->shared_port = 0;
	m->nflog = m->crashed = false;
	m->crash_in = 0;
}

/* -- packets -------------------------------------------------------------------------------- */

/* By its port or by its mark. */
static bool is_wireguards(const struct model *m, uint16_t port)
{
	bool is = port == m->wireguard_port;

	for (guint i = 0; i < m->links->len && !is; i++) {
		const struct model_link *link = m->links->pdata[i];

		is = link->port == port && link->mark && link->mark == m->wireguard_mark;
	}
	return is;
}

static void capture(
	struct model *m, uint16_t port, const struct endpoint *to, const void *data, size_t len)
{
	int slot = find_slot(m, to);
	struct queued q = { .kind = PACKET_SENTINEL,
		.slot = (uint32_t)slot,
		.received_ns = model_wall_ns(m),
		.from_port = port,
		.len = len };
	uint8_t type = *(const uint8_t *)data;

	if (slot < 0 || !is_wireguards(m, port) ||
		(type != WG_DATA && (type != WG_INITIATION || len != WG_INITIATION_BYTES))) {
		model_trace(m, NULL, "type %u goes to a deaf sentinel, port %u", type, to->port);
		m->drops += slot >= 0;
		tell(m, data, len, FATE_DEAF, false);
		return;
	}
	if (slot_at(m, (uint32_t)slot)->queued >= QUEUE_MAX) {
		tell(m, data, len, FATE_TOO_MANY, true);
		return;
	}
	slot_at(m, (uint32_t)slot)->queued++;
	model_trace(m, NULL, "sentinel %d captures type %u", slot, type);
	tell(m, data, len, FATE_CAPTURED, false);
	queue(m, &q, data);
}

int model_transmit(
	struct model *m, uint16_t port, const struct endpoint *to, const void *data, size_t len)
{
	if (to->family == AF_INET && to->addr[0] == 127) {
		capture(m, port, to, data, len);
		return 0;
	}
	return m->hooks->transmit(port, to, data, len, m->user);
}

static int m_resend(void *k, uint16_t port, uint32_t mark, const struct endpoint *to,
	const void *data, size_t len)
{
	struct model *m = k;
	int r = fault(m, 0);

	if (r < 0) {
		tell(m, data, len, FATE_FAILED, true);
		return r;
	}
	tell(m, data, len, FATE_FLYING, false);
	if (m->hooks->resent)
		m->hooks->resent(to, data, len, m->user);
	return model_transmit(m, port, to, data, len);
}

void model_receive(
	struct model *m, const struct endpoint *from, uint16_t port, const void *data, size_t len)
{
	uint8_t type = *(const uint8_t *)data;
	bool log;

	if (!model_nft_outer(&m->nft, port, from, type, m->clock->now_us, &log)) {
		model_trace(m, NULL, "refuses");
		return;
	}
	if (log)
		log_packet(m, PACKET_ANSWER, from);
	for (guint i = 0; i < m->links->len; i++) {
		struct model_link *link = m->links->pdata[i];

		if (link->info.up && link->port == port && !strcmp(link->info.kind, "wireguard"))
			return tunnels_receive(link, from, data, len);
	}
	model_trace(m, NULL, "type %u to port %u: no socket", type, port);
	tell(m, data, len, FATE_NO_SOCKET, false);
}

static void pass(struct model *m, struct model_link *link, const struct prefix *address, bool in)
{
	struct endpoint from = { .family = address->family };

	if (!model_nft_inner(&m->nft, link->info.index, address, in, m->clock->now_us))
		return;
	memcpy(from.addr, address->addr, sizeof(from.addr));
	log_packet(m, PACKET_INNER, &from);
}

void model_inner_arrived(struct model *m, struct model_peer *peer, const struct inner *packet)
{
	pass(m, peer->tunnel.link, &packet->from, true);
	m->hooks->inner(&peer->key, true, m->user);
	m->hooks->arrived(packet, m->user);
}

struct model_peer *model_route(struct model_link *link, const struct prefix *to)
{
	struct model_peer *best = NULL;
	int bits = -1;

	for (guint i = 0; i < link->peers->len; i++) {
		struct model_peer *peer = link->peers->pdata[i];

		for (guint j = 0; j < peer->allowed->len; j++) {
			const struct prefix *p = &g_array_index(peer->allowed, struct prefix, j);

			if (p->bits > bits && prefix_contains(p, to)) {
				best = peer;
				bits = p->bits;
			}
		}
	}
	return best;
}

static struct model_link *route(struct model *m, const struct prefix *to)
{
	const struct route *best = NULL;

	for (guint i = 0; i < m->routes->len; i++) {
		const struct route *r = &g_array_index(m->routes, struct route, i);

		if ((!best || r->dst.bits > best->dst.bits) && prefix_contains(&r->dst, to))
			best = r;
	}
	return best ? model_by_index(m, best->ifindex) : NULL;
}

void model_send(struct model *m, const struct inner *packet)
{
	struct model_link *link = route(m, &packet->to);
	struct model_peer *peer;

	if (!link || !link->info.up) {
		m->hooks->fate(packet->id, FATE_NO_ROUTE, false, m->user);
		return;
	}
	pass(m, link, &packet->to, false);
	peer = model_route(link, &packet->to);
	if (peer) {
		m->hooks->inner(&peer->key, false, m->user);
		tunnel_xmit(peer, packet);
	} else {
		m->hooks->fate(packet->id, FATE_NO_ROUTE, false, m->user);
	}
}

/* -- the rest ------------------------------------------------------------------------------- */

static int64_t m_wall_ns(void *k)
{
	return model_wall_ns(k);
}

static bool m_filter_ignores_marks(void *k)
{
	return false;
}

static void m_port_owner(void *k, uint16_t port, char *buf, size_t len)
{
	buf[0] = '\0';
}

static const char *m_error_text(void *k)
{
	return "";
}

static const struct kernel_ops ops = {
	.link_get = m_link_get,
	.link_get_by_name = m_link_get_by_name,
	.link_foreach_wireguard = m_link_foreach_wireguard,
	.link_create = m_link_create,
	.link_delete = m_link_delete,
	.link_set = m_link_set,
	.addr_foreach = m_addr_foreach,
	.addr_add = m_addr_add,
	.addr_remove = m_addr_remove,
	.route_foreach = m_route_foreach,
	.route_add = m_route_add,
	.route_remove = m_route_remove,
	.rule_foreach = m_rule_foreach,
	.rule_add = m_rule_add,
	.rule_remove = m_rule_remove,
	.route_path = m_route_path,
	.wg_set_device = m_wg_set_device,
	.wg_set_peers = m_wg_set_peers,
	.wg_read = m_wg_read,
	.nft_apply = m_nft_apply,
	.acl_apply = m_acl_apply,
	.acl_count_refused = m_acl_count_refused,
	.steer_apply = m_steer_apply,
	.steer_set = m_steer_set,
	.steer_unset = m_steer_unset,
	.nft_remove = m_nft_remove,
	.nft_fingerprint = m_nft_fingerprint,
	.nft_change = m_nft_change,
	.nft_counters = m_nft_counters,
	.nft_heard = m_nft_heard,
	.nflog_listen = m_nflog_listen,
	.tracks_connections = m_tracks_connections,
	.sentinel_set_sender = m_sentinel_set_sender,
	.sentinel_take = m_sentinel_take,
	.sentinel_release = m_sentinel_release,
	.sentinel_endpoint = m_sentinel_endpoint,
	.sentinel_get_status = m_sentinel_get_status,
	.packets_read = m_packets_read,
	.resend = m_resend,
	.wall_ns = m_wall_ns,
	.filter_ignores_marks = m_filter_ignores_marks,
	.port_owner = m_port_owner,
	.error_text = m_error_text,
};

struct model *model_new(
	guint32 seed, struct clock *clock, const struct model_hooks *hooks, void *user)
{
	struct model *m = g_new0(struct model, 1);

	m->kernel = (struct kernel){ &ops, m };
	m->random = g_rand_new_with_seed(seed);
	m->links = g_ptr_array_new();
	m->routes = g_array_new(FALSE, FALSE, sizeof(struct route));
	m->rules = g_array_new(FALSE, FALSE, sizeof(struct rule));
	m->clock = clock;
	m->hooks = hooks;
	m->user = user;
	m->name = "";
	m->wall_us = INT64_C(1700000000) * 1000000;
	m->next_index = 2;
	m->next_port = 32768;
	m->slots = g_array_new(FALSE, TRUE, sizeof(struct model_slot));
	m->packets = g_queue_new();
	model_nft_init(&m->nft);
	return m;
}

void model_free(struct model *m)
{
	while (m->links->len)
		model_delete_link(m, m->links->pdata[0]);
	g_queue_free_full(m->packets, g_free);
	g_array_unref(m->slots);
	model_nft_done(&m->nft);
	g_ptr_array_unref(m->links);
	g_array_unref(m->routes);
	g_array_unref(m->rules);
	g_rand_free(m->random);
	g_free(m);
}
