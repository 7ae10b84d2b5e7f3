/* mgmt/meshfile.c - the mesh from one file: JSON text to a netmap. */
#include "mgmt/meshfile.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jread.h"
#include "mgmt/netmap.h"
#include "mgmt/uniq.h"

enum {
	DEFAULT_PORT = 51820,
	KEEPALIVE_UNSET = UINT16_MAX, /* until the host's endpoints are known */
	KEEPALIVE_NAT = 25,
	PSK_PATH_MAX = 255,
};

struct builder {
	struct netmap *map;
	struct netmap_host *host; /* the one being read */
	struct uniq *names, *addresses;
	size_t max_hosts, hosts_cap, prefixes_cap, endpoints_cap, text_cap;
};

static void *grown(void *array, size_t used, size_t *cap, size_t item)
{
	if (used < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 64;
	return g_realloc_n(array, *cap, item);
}

static uint32_t add_text(struct builder *b, struct slice s)
{
	struct netmap *map = b->map;
	size_t at = map->text_len;

	if (map->text_len + s.len + 1 > b->text_cap) {
		b->text_cap = MAX(2 * b->text_cap, s.len + 4096);
		map->text = g_realloc(map->text, b->text_cap);
	}
	memcpy(map->text + at, s.s, s.len);
	map->text[at + s.len] = '\0';
	map->text_len += s.len + 1;
	return (uint32_t)at;
}

static bool name_is_good(struct slice s, size_t max)
{
	if (s.len < 1 || s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!g_ascii_isalnum(s.s[i]) && !memchr("_.-", s.s[i], 3))
			return false;
	return true;
}

/* -- one host ------------------------------------------------------------------------------- */

static void read_host_name(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!name_is_good(s, NETMAP_NAME_MAX))
		return jread_fail(r, "a name has 1 to %d of the characters A-Z a-z 0-9 _ . -",
			NETMAP_NAME_MAX);
	b->host->name = add_text(b, s);
	if (!uniq_add(b->names, s.s, s.len, 0))
		jread_fail(r, "another host is called %.*s", (int)s.len, s.s);
}

static void read_public_key(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (key_parse(s.s, s.len, &b->host->key) < 0)
		return jread_fail(r, "not a WireGuard key (44 characters of base64)");
	if (key_is_zero(&b->host->key))
		return jread_fail(r, "the key is all zeros");
	if (!netmap_index_key(b->map, (uint32_t)b->map->n_hosts))
		jread_fail(r, "another host has this key");
}

static struct prefix *add_prefix(struct jread *r, struct builder *b)
{
	struct netmap *map = b->map;
	struct slice s = jread_string(r);
	struct prefix *p;

	if (r->error)
		return NULL;
	map->prefixes = grown(map->prefixes, map->n_prefixes, &b->prefixes_cap, sizeof(*p));
	p = &map->prefixes[map->n_prefixes];
	if (prefix_parse(s.s, s.len, p) < 0) {
		jread_fail(r, "not an address or network (bits behind the prefix length are zero)");
		return NULL;
	}
	map->n_prefixes++;
	return p;
}

/* What was claimed: a host address belongs to one host, a routed single address may be shared. */
enum { CLAIM_ADDRESS = 1, CLAIM_ROUTE = 2 };

static void read_address(struct jread *r, void *into)
{
	struct builder *b = into;
	struct prefix *p = add_prefix(r, b);

	if (!p)
		return;
	b->host->n_addresses++;
	if (!prefix_is_host(p))
		return jread_fail(r,
			"a host address is a single one (/%u); networks go to \"routes\"",
			prefix_width(p));
	if (!uniq_add(b->addresses, p, sizeof(*p), CLAIM_ADDRESS))
		jread_fail(r, "this address is taken by another entry");
}

static void read_route(struct jread *r, void *into)
{
	struct builder *b = into;
	struct prefix *p = add_prefix(r, b);
	const struct prefix *first = p ? p - b->host->n_routes : NULL;

	if (!p)
		return;
	b->host->n_routes++;
	for (; first < p; first++)
		if (prefix_is_same(first, p))
			return jread_fail(r, "listed twice");
	if (prefix_is_host(p) && !uniq_add(b->addresses, p, sizeof(*p), CLAIM_ROUTE) &&
		uniq_tag(b->addresses, p, sizeof(*p)) == CLAIM_ADDRESS)
		jread_fail(r, "this is the address of a host");
}

/* "name:port", as far as it can be told without asking anybody. */
static bool host_port_parse(struct slice s, struct slice *ret_name, uint16_t *ret_port)
{
	const char *colon = memchr(s.s, ':', s.len);
	unsigned port = 0;

	if (!colon || s.len - (size_t)(colon - s.s) > 6)
		return false;
	for (const char *p = colon + 1; p < s.s + s.len; p++) {
		if (!g_ascii_isdigit(*p))
			return false;
		port = port * 10 + (unsigned)(*p - '0');
	}
	*ret_name = (struct slice){ s.s, (size_t)(colon - s.s) };
	*ret_port = (uint16_t)port;
	return port >= 1 && port <= 65535 && name_is_good(*ret_name, 253);
}

/* Digits and dots only: somebody meant an address and mistyped it. */
static bool looks_like_ipv4(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!g_ascii_isdigit(s.s[i]) && s.s[i] != '.')
			return false;
	return true;
}

static void read_endpoint(struct jread *r, void *into)
{
	struct builder *b = into;
	struct netmap *map = b->map;
	struct slice s = jread_string(r), name;
	struct netmap_endpoint *e;
	int rc;

	if (r->error)
		return;
	map->endpoints = grown(map->endpoints, map->n_endpoints, &b->endpoints_cap, sizeof(*e));
	e = &map->endpoints[map->n_endpoints++];
	*e = (struct netmap_endpoint){ 0 };
	b->host->n_endpoints++;
	rc = endpoint_parse(s.s, s.len, &e->address);
	if (rc == 0)
		return;
	if (rc == -ENODEV)
		return jread_fail(r, "no such interface on this host");
	if (!host_port_parse(s, &name, &e->address.port) || looks_like_ipv4(name))
		return jread_fail(r, "not address:port, [IPv6 address]:port or name:port");
	e->address.family = 0;
	e->name = add_text(b, name);
}

/* "routes" stood before "addresses" in the text. */
static void addresses_to_front(struct builder *b)
{
	struct prefix *block = &b->map->prefixes[b->host->prefix];
	size_t n = b->host->n_routes, item = sizeof(*block);
	g_autofree struct prefix *routes = g_memdup2(block, n * item);

	memmove(block, block + n, b->host->n_addresses * item);
	memcpy(block + b->host->n_addresses, routes, n * item);
}

static void read_addresses(struct jread *r, void *into)
{
	struct builder *b = into;

	jread_array(r, NETMAP_PREFIXES_MAX / 2, read_address, into);
	if (b->host->n_routes)
		addresses_to_front(b);
}

static void read_routes(struct jread *r, void *into)
{
	jread_array(r, NETMAP_PREFIXES_MAX / 2, read_route, into);
}

static void read_endpoints(struct jread *r, void *into)
{
	jread_array(r, NETMAP_ENDPOINTS_MAX, read_endpoint, into);
}

static void read_host_lazy(struct jread *r, void *into)
{
	((struct builder *)into)->host->lazy = jread_bool(r);
}

static void read_keepalive(struct jread *r, void *into)
{
	((struct builder *)into)->host->keepalive = (uint16_t)jread_int(r, 0, UINT16_MAX - 1);
}

static void read_psk_file(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (s.len < 2 || s.s[0] != '/' || s.len > PSK_PATH_MAX)
		return jread_fail(r, "not an absolute path of at most %d bytes", PSK_PATH_MAX);
	b->host->psk_file = add_text(b, s);
}

static const struct jread_field host_fields[] = {
	{ "name", read_host_name, true },
	{ "public_key", read_public_key, true },
	{ "addresses", read_addresses, true },
	{ "endpoints", read_endpoints, false },
	{ "routes", read_routes, false },
	{ "lazy", read_host_lazy, false },
	{ "keepalive", read_keepalive, false },
	{ "psk_file", read_psk_file, false },
};

static void read_host(struct jread *r, void *into)
{
	struct builder *b = into;
	struct netmap *map = b->map;

	if (map->n_hosts == b->max_hosts)
		return jread_fail(r, "more than %zu hosts (policy.max_peers)", b->max_hosts);
	map->hosts = grown(map->hosts, map->n_hosts, &b->hosts_cap, sizeof(*map->hosts));
	b->host = &map->hosts[map->n_hosts];
	*b->host = (struct netmap_host){
		.prefix = (uint32_t)map->n_prefixes,
		.endpoint = (uint32_t)map->n_endpoints,
		.keepalive = KEEPALIVE_UNSET,
		.lazy = true,
	};
	jread_object(r, host_fields, G_N_ELEMENTS(host_fields), b);
	if (r->error)
		return;
	if (!b->host->n_addresses)
		return jread_fail(r, "a host has at least one address");
	/* Who cannot be reached is behind a NAT whose mapping has to be kept. */
	if (b->host->keepalive == KEEPALIVE_UNSET)
		b->host->keepalive = b->host->n_endpoints ? 0 : KEEPALIVE_NAT;
	map->n_hosts++;
}

/* -- the document --------------------------------------------------------------------------- */

static void read_hosts(struct jread *r, void *into)
{
	jread_array(r, SIZE_MAX, read_host, into);
}

static void read_mesh(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!name_is_good(s, NETMAP_NAME_MAX))
		return jread_fail(r, "a name has 1 to %d of the characters A-Z a-z 0-9 _ . -",
			NETMAP_NAME_MAX);
	memcpy(b->map->mesh, s.s, s.len);
}

static void read_interface_name(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!name_is_good(s, IFNAMSIZ - 1) || s.s[0] == '.' || looks_like_ipv4(s))
		return jread_fail(r, "not an interface name");
	memset(b->map->interface.name, 0, IFNAMSIZ);
	memcpy(b->map->interface.name, s.s, s.len);
}

static void read_listen_port(struct jread *r, void *into)
{
	((struct builder *)into)->map->interface.listen_port = (uint16_t)jread_int(r, 1, 65535);
}

static void read_mtu(struct jread *r, void *into)
{
	struct builder *b = into;
	struct slice s;

	if (jread_peek(r) == '0') {
		b->map->interface.mtu = (uint16_t)jread_int(r, 576, 65535);
		return;
	}
	s = jread_string(r);
	if (!r->error && (s.len != 4 || memcmp(s.s, "auto", 4)))
		jread_fail(r, "\"auto\" or a number");
}

static const struct jread_field interface_fields[] = {
	{ "name", read_interface_name, false },
	{ "listen_port", read_listen_port, false },
	{ "mtu", read_mtu, false },
};

static void read_interface(struct jread *r, void *into)
{
	jread_object(r, interface_fields, G_N_ELEMENTS(interface_fields), into);
}

static void read_lazy_enabled(struct jread *r, void *into)
{
	((struct builder *)into)->map->lazy.enabled = jread_bool(r);
}

static void read_idle_minutes(struct jread *r, void *into)
{
	((struct builder *)into)->map->lazy.idle_minutes = (uint32_t)jread_int(r, 1, 7 * 24 * 60);
}

static const struct jread_field lazy_fields[] = {
	{ "enabled", read_lazy_enabled, false },
	{ "idle_minutes", read_idle_minutes, false },
};

static void read_lazy(struct jread *r, void *into)
{
	jread_object(r, lazy_fields, G_N_ELEMENTS(lazy_fields), into);
}

static const struct jread_field document_fields[] = {
	{ "mesh", read_mesh, true },
	{ "interface", read_interface, false },
	{ "lazy", read_lazy, false },
	{ "hosts", read_hosts, true },
};

static void shrink(struct netmap *map)
{
	map->hosts = g_realloc_n(map->hosts, map->n_hosts, sizeof(*map->hosts));
	map->prefixes = g_realloc_n(map->prefixes, map->n_prefixes, sizeof(*map->prefixes));
	map->endpoints = g_realloc_n(map->endpoints, map->n_endpoints, sizeof(*map->endpoints));
	map->text = g_realloc(map->text, map->text_len);
}

static void find_self(struct netmap *map, const struct wg_key *own, struct jread *r)
{
	char text[KEY_STRLEN];

	map->self = own ? netmap_find_key(map, own) : NETMAP_NONE;
	if (!own || map->self >= 0)
		return;
	r->error = -EINVAL;
	snprintf(r->message, sizeof(r->message), "no host has this host's public key %s",
		key_format(own, text));
}

static void read_document(struct jread *r, struct builder *b)
{
	struct netmap *map = b->map;

	add_text(b, (struct slice){ "", 0 });
	strcpy(map->interface.name, "wt0");
	map->interface.listen_port = DEFAULT_PORT;
	map->lazy.enabled = true;
	map->lazy.idle_minutes = 15;
	jread_object(r, document_fields, G_N_ELEMENTS(document_fields), b);
	jread_finish(r);
}

int meshfile_parse(const char *text, size_t len, const struct wg_key *own, size_t max_hosts,
	struct netmap **ret, char error[static MESHFILE_ERROR_MAX])
{
	struct builder b = {
		.map = g_new0(struct netmap, 1),
		.names = uniq_new(),
		.addresses = uniq_new(),
		.max_hosts = max_hosts,
	};
	struct jread r;

	jread_init(&r, text, len);
	read_document(&r, &b);
	uniq_free(b.names);
	uniq_free(b.addresses);
	if (!r.error) {
		shrink(b.map);
		find_self(b.map, own, &r);
	}
	if (r.error) {
		netmap_free(b.map);
		g_strlcpy(error, r.message, MESHFILE_ERROR_MAX);
		return -EINVAL;
	}
	*ret = b.map;
	return 0;
}
