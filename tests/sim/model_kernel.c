/* tests/sim/model_kernel.c - a kernel of a few hundred lines, with failures on demand. */
#include "tests/sim/model_kernel.h"

#include <errno.h>
#include <string.h>

#include "agent/base/key.h"
#include "agent/routing.h"

static struct model_link *by_index(struct model *m, unsigned index)
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
	struct model_link *link = index ? by_index(m, index) : NULL;

	if (link && m->vanish_rate > 0 && g_rand_double(m->random) < m->vanish_rate) {
		model_delete_link(m, link);
		m->vanished(m->user);
	}
	if (m->failure_rate > 0 && g_rand_double(m->random) < m->failure_rate)
		return errors[g_rand_int_range(m->random, 0, G_N_ELEMENTS(errors))];
	return 0;
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

	link->info.index = m->next_index++;
	link->info.mtu = 1420;
	g_strlcpy(link->info.name, name, sizeof(link->info.name));
	g_strlcpy(link->info.kind, kind, sizeof(link->info.kind));
	link->peers = g_array_new(FALSE, TRUE, sizeof(struct model_peer));
	link->addresses = g_array_new(FALSE, TRUE, sizeof(struct prefix));
	g_ptr_array_add(m->links, link);
	return link;
}

static void clear_peers(struct model_link *link)
{
	for (guint i = 0; i < link->peers->len; i++)
		g_array_unref(g_array_index(link->peers, struct model_peer, i).allowed);
	g_array_set_size(link->peers, 0);
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
	g_array_unref(link->peers);
	g_array_unref(link->addresses);
	g_ptr_array_remove(m->links, link);
	g_free(link);
}

static int m_link_get(void *k, unsigned index, struct link_info *ret)
{
	struct model *m = k;

	FAULT(index);
	if (!by_index(m, index))
		return -ENODEV;
	*ret = by_index(m, index)->info;
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

	m->writes++;
	FAULT(0);
	if (model_find(m, name))
		return -EEXIST;
	*ret_index = model_add_link(m, name, "wireguard")->info.index;
	return 0;
}

static int m_link_delete(void *k, unsigned index)
{
	struct model *m = k;

	m->writes++;
	FAULT(index);
	if (!by_index(m, index))
		return -ENODEV;
	model_delete_link(m, by_index(m, index));
	return 0;
}

static int m_link_set(void *k, unsigned index, const struct link_change *change)
{
	struct model *m = k;
	struct model_link *link;

	m->writes++;
	FAULT(index);
	link = by_index(m, index);
	if (!link)
		return -ENODEV;
	/* The name comes before the flags of the same request. */
	if (change->name && link->info.up)
		return -EBUSY;
	if (change->up == 0)
		drop_routes(m, index);
	if (change->up >= 0)
		link->info.up = change->up;
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
	link = by_index(m, index);
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

	m->writes++;
	FAULT(index);
	link = by_index(m, index);
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

	m->writes++;
	FAULT(index);
	link = by_index(m, index);
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

	m->writes++;
	FAULT(route->ifindex);
	link = by_index(m, route->ifindex);
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

	m->writes++;
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

	m->writes++;
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
	m->writes++;
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

static int find_peer_index(struct model_link *link, const struct wg_key *key)
{
	for (guint i = 0; i < link->peers->len; i++)
		if (!memcmp(&g_array_index(link->peers, struct model_peer, i).key, key,
			    sizeof(*key)))
			return (int)i;
	return -1;
}

struct model_peer *model_find_peer(struct model_link *link, const struct wg_key *key)
{
	int i = find_peer_index(link, key);

	return i < 0 ? NULL : &g_array_index(link->peers, struct model_peer, i);
}

struct model_peer *model_add_peer(struct model_link *link, const struct wg_key *key)
{
	struct model_peer peer = { .key = *key };

	peer.allowed = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	g_array_append_val(link->peers, peer);
	return model_find_peer(link, key);
}

void model_remove_peer(struct model_link *link, const struct wg_key *key)
{
	int i = find_peer_index(link, key);

	if (i < 0)
		return;
	g_array_unref(g_array_index(link->peers, struct model_peer, i).allowed);
	g_array_remove_index_fast(link->peers, (guint)i);
}

static int m_wg_set_device(void *k, unsigned index, const struct wg_device_config *config)
{
	struct model *m = k;
	struct model_link *link;

	m->writes++;
	FAULT(index);
	link = by_index(m, index);
	if (!link)
		return -ENODEV;
	if (config->private_key) {
		link->private_key = *config->private_key;
		key_public_from_private(config->private_key, &link->public_key);
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
		GArray *allowed = g_array_index(link->peers, struct model_peer, i).allowed;

		for (guint j = allowed->len; j-- > 0;)
			if (prefix_is_same(&g_array_index(allowed, struct prefix, j), p))
				g_array_remove_index_fast(allowed, j);
	}
	g_array_append_vals(to->allowed, p, 1);
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
		m->peer_made(&config->public_key, m->user);
		peer = model_add_peer(link, &config->public_key);
	}
	if (config->preshared_key)
		peer->psk = *config->preshared_key;
	if (config->endpoint)
		peer->endpoint = *config->endpoint;
	if (config->keepalive >= 0)
		peer->keepalive = (uint16_t)config->keepalive;
	if (config->replace_allowed)
		g_array_set_size(peer->allowed, 0);
	for (size_t i = 0; i < config->n_allowed; i++)
		allow(link, peer, &config->allowed[i]);
}

static int m_wg_set_peers(
	void *k, unsigned index, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct model *m = k;

	for (size_t i = 0; i < n; i++) {
		struct model_link *link;
		int r;

		m->writes++;
		r = fault(m, index);
		if (r == -ENOBUFS) /* the transport: nobody knows how far it got */
			return r;
		link = by_index(m, index);
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
	link = by_index(m, index);
	if (!link)
		return -ENODEV;
	device.ifindex = index;
	device.public_key = link->public_key;
	device.listen_port = link->port;
	device.fwmark = link->mark;
	r = device_fn ? device_fn(&device, user) : 0;
	for (guint i = 0; r == 0 && i < link->peers->len; i++) {
		struct model_peer *p = &g_array_index(link->peers, struct model_peer, i);
		struct wg_peer_status status = { .public_key = p->key,
			.preshared_key = p->psk,
			.endpoint = p->endpoint,
			.keepalive = p->keepalive,
			.last_handshake_s = p->handshake_s,
			.rx_bytes = p->rx,
			.tx_bytes = p->tx,
			.allowed = (const struct prefix *)(void *)p->allowed->data,
			.n_allowed = p->allowed->len };

		r = peer_fn(&status, user);
	}
	if (r == 0 && m->failure_rate > 0 && g_rand_double(m->random) < m->failure_rate)
		return -EINTR; /* it changed meanwhile */
	return r;
}

/* -- nftables and the rest ------------------------------------------------------------------ */

static int m_nft_apply(void *k, const struct nft_config *config)
{
	struct model *m = k;

	m->writes++;
	FAULT(0);
	g_strlcpy(m->nft_table, config->table, sizeof(m->nft_table));
	m->nft_fingerprint++;
	return 0;
}

static int m_nft_remove(void *k, const char *table)
{
	struct model *m = k;

	m->writes++;
	FAULT(0);
	if (!strcmp(m->nft_table, table))
		m->nft_table[0] = '\0';
	return 0;
}

static int m_nft_fingerprint(void *k, const char *table, uint64_t *ret)
{
	struct model *m = k;

	FAULT(0);
	*ret = strcmp(m->nft_table, table) ? 0 : m->nft_fingerprint;
	return 0;
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
	.nft_remove = m_nft_remove,
	.nft_fingerprint = m_nft_fingerprint,
	.filter_ignores_marks = m_filter_ignores_marks,
	.port_owner = m_port_owner,
	.error_text = m_error_text,
};

struct model *model_new(guint32 seed)
{
	struct model *m = g_new0(struct model, 1);

	m->kernel = (struct kernel){ &ops, m };
	m->random = g_rand_new_with_seed(seed);
	m->links = g_ptr_array_new();
	m->routes = g_array_new(FALSE, FALSE, sizeof(struct route));
	m->rules = g_array_new(FALSE, FALSE, sizeof(struct rule));
	m->next_index = 2;
	m->nft_fingerprint = 1;
	return m;
}

void model_free(struct model *m)
{
	while (m->links->len)
		model_delete_link(m, m->links->pdata[0]);
	g_ptr_array_unref(m->links);
	g_array_unref(m->routes);
	g_array_unref(m->rules);
	g_rand_free(m->random);
	g_free(m);
}
