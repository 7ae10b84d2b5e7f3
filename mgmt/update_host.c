/* mgmt/update_host.c - from a message: us, our peers, those that are away, and to whom ports go. */
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mgmt/management.pb-c.h"
#include "mgmt/uniq.h"
#include "mgmt/update.h"
#include "mgmt/update_impl.h"

enum {
	PORT = 51820,
	MTU = 1280,
	MTU_MIN = 576,
	MTU_MAX = 8192,
	KEEPALIVE_S = 25, /* of everybody who speaks this protocol */
	IDLE_MINUTES = 15,
	LAZY_SINCE_MINOR = 45, /* agents of 0.45.0 and later may be woken */
};

/* -- addresses ------------------------------------------------------------------------------ */

void update_mask(struct prefix *p)
{
	size_t whole = p->bits / 8;

	if (p->bits % 8)
		p->addr[whole++] &= (uint8_t)(0xff00 >> p->bits % 8);
	memset(p->addr + whole, 0, sizeof(p->addr) - whole);
}

bool update_split_address(const char *text, struct prefix *ret_host, struct prefix *ret_network)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct prefix host;
	char *end = NULL;
	unsigned long bits;

	if (prefix_parse(text, len, &host) < 0)
		return false;
	bits = host.bits;
	if (slash) {
		bits = g_ascii_isdigit(slash[1]) ? strtoul(slash + 1, &end, 10) : 999;
		if (bits > host.bits || *end || end - slash > 4)
			return false;
	}
	*ret_host = *ret_network = host;
	ret_network->bits = (uint8_t)bits;
	update_mask(ret_network);
	return true;
}

static bool bytes_to_prefix(ProtobufCBinaryData bytes, struct prefix *ret_host)
{
	if (bytes.len != 4 && bytes.len != 16)
		return false;
	*ret_host = (struct prefix){ .family = bytes.len == 4 ? AF_INET : AF_INET6,
		.bits = (uint8_t)(bytes.len * 8) };
	memcpy(ret_host->addr, bytes.data, bytes.len);
	return true;
}

/* A server must not draw the Internet or a router into the tunnel by calling it the overlay. */
static bool is_private(const struct prefix *p)
{
	static const struct prefix ranges[] = {
		{ AF_INET, 8, { 10 } },
		{ AF_INET, 10, { 100, 64 } },
		{ AF_INET, 12, { 172, 16 } },
		{ AF_INET, 16, { 192, 168 } },
		{ AF_INET6, 7, { 0xfc } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
		if (prefix_contains(&ranges[i], p))
			return true;
	return false;
}

/* Where a server tells us no network, it is any private address. */
static bool may_be_address(const struct update_reading *r, const struct prefix *p)
{
	const struct prefix *network = &r->map->networks[p->family == AF_INET ? 0 : 1];

	return network->family ? prefix_contains(network, p) : is_private(p);
}

bool update_is_of_overlay(const struct update_reading *r, const struct prefix *p)
{
	const struct netmap *map = r->map;

	for (size_t i = 0; i < map->hosts[map->self].n_addresses; i++)
		if (prefix_is_same(&netmap_prefixes(map, &map->hosts[map->self])[i], p))
			return true;
	for (size_t i = 0; i < G_N_ELEMENTS(map->networks); i++)
		if (prefix_contains(&map->networks[i], p))
			return true;
	return false;
}

void update_add_prefix(struct netmap *map, const struct prefix *p)
{
	map->prefixes = update_room(map->prefixes, map->n_prefixes, sizeof(*p));
	map->prefixes[map->n_prefixes++] = *p;
}

/* -- ourselves ------------------------------------------------------------------------------ */

struct netmap_host *update_begin_host(struct netmap *map, const struct wg_key *key)
{
	struct netmap_host *host = &map->hosts[map->n_hosts];

	memset(host, 0, sizeof(*host));
	host->key = *key;
	host->prefix = (uint32_t)map->n_prefixes;
	host->keepalive = KEEPALIVE_S;
	return host;
}

bool update_finish_host(struct update_reading *r, struct netmap_source source)
{
	struct netmap *map = r->map;
	struct netmap_host *host = &map->hosts[map->n_hosts];

	host->n_addresses = (uint16_t)(map->n_prefixes - host->prefix);
	map->sources[map->n_hosts] = source;
	if (!netmap_index_key(map, (uint32_t)map->n_hosts))
		return false;
	map->n_hosts++;
	return true;
}

static void add_own_address(
	struct update_reading *r, const struct prefix *host, const struct prefix *network)
{
	if (!prefix_is_host(network))
		r->map->networks[host->family == AF_INET ? 0 : 1] = *network;
	uniq_add(r->taken_addresses, host, sizeof(*host), 0);
	update_add_prefix(r->map, host);
}

static void read_own_v6(struct update_reading *r, ProtobufCBinaryData bytes)
{
	struct prefix host, network;

	if (!bytes.len)
		return;
	host = network = (struct prefix){ .family = AF_INET6, .bits = 128 };
	if (bytes.len == 17 && bytes.data[16] <= 128) {
		memcpy(host.addr, bytes.data, 16);
		memcpy(network.addr, bytes.data, 16);
		network.bits = bytes.data[16];
		update_mask(&network);
		r->has_v6 = is_private(&network);
	}
	if (r->has_v6)
		add_own_address(r, &host, &network);
	else
		update_note(r, "our own IPv6 address makes no sense: IPv6 is left out");
}

static uint32_t name_from_key(struct update_reading *r, const struct wg_key *key)
{
	char text[32];

	snprintf(text, sizeof(text), "peer-%02x%02x%02x%02x%02x%02x%02x%02x", key->b[0], key->b[1],
		key->b[2], key->b[3], key->b[4], key->b[5], key->b[6], key->b[7]);
	uniq_add(r->taken_names, text, strlen(text), 0);
	return update_add_text(&r->names, text, strlen(text));
}

static uint32_t add_name(struct update_reading *r, const char *fqdn, const struct wg_key *key)
{
	char name[UPDATE_NAME_MAX + 1];
	size_t len = update_normal_name(fqdn, strlen(fqdn), name);

	if (len && uniq_add(r->taken_names, name, len, 0))
		return update_add_text(&r->names, name, len);
	update_note(r, len ? "peer %s: another one is called so" : "peer %s: no such name can be",
		fqdn);
	return name_from_key(r, key);
}

static void set_mesh(struct netmap *map, const char *own_name)
{
	const char *dot = strchr(own_name, '.');

	g_strlcpy(map->mesh, dot && dot[1] ? dot + 1 : own_name, sizeof(map->mesh));
}

static void set_interface(struct update_reading *r, int mtu)
{
	struct netmap *map = r->map;

	g_strlcpy(map->interface.name, "wt0", sizeof(map->interface.name));
	map->interface.listen_port = PORT;
	map->interface.mtu = MTU;
	if (mtu >= MTU_MIN && mtu <= MTU_MAX)
		map->interface.mtu = (uint16_t)mtu;
	else if (mtu)
		update_note(r, "an MTU of %d cannot be, %d is taken", mtu, MTU);
}

int update_read_self(struct update_reading *r, struct wire_bytes config, char *error)
{
	const Management__PeerConfig *own = management__peer_config__unpack(
		update_arena(r), config.len, config.data);
	struct prefix host, network;
	struct netmap *map = r->map;

	if (!own || !update_split_address(own->address, &host, &network) ||
		host.family != AF_INET) {
		g_strlcpy(error, "no overlay address of ours in it", UPDATE_ERROR_MAX);
		return -EINVAL;
	}
	if (!is_private(&network)) {
		char text[PREFIX_STRLEN];

		snprintf(error, UPDATE_ERROR_MAX, "an overlay network %s is not private",
			prefix_format(&network, text));
		return -EINVAL;
	}
	update_begin_host(map, r->limits->own)->lazy = true;
	map->self = 0;
	add_own_address(r, &host, &network);
	read_own_v6(r, own->address_v6);
	map->hosts[0].name = add_name(r, own->fqdn, r->limits->own);
	update_finish_host(r, (struct netmap_source){ 0 });
	set_mesh(map, r->names.s + map->hosts[0].name);
	set_interface(r, own->mtu);
	map->lazy.enabled = own->lazyconnectionenabled;
	map->lazy.idle_minutes = IDLE_MINUTES;
	return 0;
}

/* -- peers ---------------------------------------------------------------------------------- */

static bool can_be_lazy(const char *version)
{
	static const char *const newest[] = { "development", "ci-", "dev-" };
	unsigned long major, minor;
	char *at;

	for (size_t i = 0; i < G_N_ELEMENTS(newest); i++)
		if (g_str_has_prefix(version, newest[i]))
			return true;
	if (*version == 'v' || *version == 'a')
		version++;
	if (!g_ascii_isdigit(*version))
		return false;
	major = strtoul(version, &at, 10);
	if (at[0] != '.' || !g_ascii_isdigit(at[1]))
		return false;
	minor = strtoul(at + 1, &at, 10);
	return *at == '.' && (major > 0 || minor >= LAZY_SINCE_MINOR);
}

static void read_address(struct update_reading *r, const char *peer, const char *text)
{
	struct prefix p;

	if (prefix_parse(text, strlen(text), &p) < 0 || !prefix_is_host(&p))
		return update_note(r, "peer %s: %s is no address", peer, text);
	if (p.family == AF_INET6 && !r->has_v6)
		return;
	if (!may_be_address(r, &p))
		return update_note(r, "peer %s: %s is outside the overlay", peer, text);
	if (!uniq_add(r->taken_addresses, &p, sizeof(p), 0))
		return update_note(r, "peer %s: another host has %s", peer, text);
	update_add_prefix(r->map, &p);
}

/* False, with a note: it is no peer of ours. */
static bool read_key(struct update_reading *r, const Management__RemotePeerConfig *peer,
	const char *what, struct wg_key *ret)
{
	const char *who = *peer->fqdn ? peer->fqdn : peer->wgpubkey;
	int64_t known;

	if (key_parse(peer->wgpubkey, strlen(peer->wgpubkey), ret) < 0 || key_is_zero(ret)) {
		update_note(r, "%s %s: bad key", what, who);
		return false;
	}
	known = netmap_find_key(r->map, ret);
	if (known != NETMAP_NONE)
		update_note(r, "%s %s: %s", what, who,
			known == r->map->self ? "that is this host" : "listed before");
	return known == NETMAP_NONE;
}

void update_read_peer(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__RemotePeerConfig *peer = management__remote_peer_config__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct netmap_source source = netmap_source_of((const char *)bytes.data, bytes.len);
	size_t notes = r->detail->n_left_out;
	struct netmap *map = r->map;
	struct netmap_host *host;
	struct wg_key key;

	if (!peer)
		return update_note(r, "a peer that cannot be read");
	if (!read_key(r, peer, "peer", &key))
		return;
	host = update_begin_host(map, &key);
	for (size_t i = 0; i < MIN(peer->n_allowedips, NETMAP_PREFIXES_MAX / 2); i++)
		read_address(r, peer->fqdn, peer->allowedips[i]);
	if (peer->n_allowedips > NETMAP_PREFIXES_MAX / 2)
		update_note(
			r, "peer %s: more than %d addresses", peer->fqdn, NETMAP_PREFIXES_MAX / 2);
	if (map->n_prefixes == host->prefix)
		return update_note(r, "peer %s: no address that can be used", peer->fqdn);
	host->name = add_name(r, peer->fqdn, &key);
	host->lazy = can_be_lazy(peer->agentversion);
	/* What was noted is to be noted again. */
	if (r->detail->n_left_out > notes)
		source.len = 0;
	update_finish_host(r, source);
}

void update_read_offline(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__RemotePeerConfig *peer = management__remote_peer_config__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct update_list addresses = { .texts = &r->texts };
	struct detail *d = r->detail;
	char name[UPDATE_NAME_MAX + 1];
	struct detail_offline offline = { 0 };
	struct prefix p;
	size_t len;

	if (!peer)
		return update_note(r, "an offline peer that cannot be read");
	if (!read_key(r, peer, "offline peer", &offline.key))
		return;
	if (d->n_offline == r->limits->max_peers)
		return update_note(r, "offline peer %s: too many", peer->fqdn);
	len = update_normal_name(peer->fqdn, strlen(peer->fqdn), name);
	offline.name = update_add_text(&r->texts, name, len);
	for (size_t i = 0; i < peer->n_allowedips; i++)
		if (!prefix_parse(peer->allowedips[i], strlen(peer->allowedips[i]), &p))
			update_list_add(
				&addresses, peer->allowedips[i], strlen(peer->allowedips[i]));
	offline.addresses = addresses.begin;
	d->offline = update_room(d->offline, d->n_offline, sizeof(offline));
	d->offline[d->n_offline++] = offline;
}

/* -- to whom ports are forwarded ------------------------------------------------------------ */

static int prefix_order(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

void update_read_forward(struct update_reading *r, struct wire_bytes bytes)
{
	const Management__ForwardingRule *forward = management__forwarding_rule__unpack(
		update_arena(r), bytes.len, bytes.data);
	struct prefix target;

	r->detail->n_forwards++;
	if (!forward || !bytes_to_prefix(forward->translatedaddress, &target))
		return update_note(r, "a forwarding rule that cannot be read");
	if (r->n_forwards == UPDATE_ROUTES_MAX)
		return;
	r->forwards = update_room(r->forwards, r->n_forwards, sizeof(target));
	r->forwards[r->n_forwards++] = target;
}

/* What comes in from outside for them must not wait for a wake. */
void update_wake_forwards(struct update_reading *r)
{
	struct netmap *map = r->map;

	if (!r->n_forwards)
		return;
	qsort(r->forwards, r->n_forwards, sizeof(*r->forwards), prefix_order);
	for (struct netmap_host *host = map->hosts; host < map->hosts + map->n_hosts; host++)
		for (size_t i = 0; i < host->n_addresses; i++)
			if (bsearch(&map->prefixes[host->prefix + i], r->forwards, r->n_forwards,
				    sizeof(*r->forwards), prefix_order)) {
				host->lazy = false;
				map->sources[host - map->hosts].len = 0;
			}
}
