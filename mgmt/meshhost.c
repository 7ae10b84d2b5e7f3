/* mgmt/meshhost.c - one host of a mesh file. */
#include "mgmt/meshhost.h"

#include <glib.h>
#include <string.h>

#include "agent/base/jread.h"
#include "mgmt/hostport.h"
#include "mgmt/netmap.h"
#include "mgmt/uniq.h"

enum {
	KEEPALIVE_UNSET = UINT16_MAX, /* until the host's endpoints are known */
	KEEPALIVE_NAT = 25,
	PSK_PATH_MAX = 255,
};

static void *grown(void *array, size_t used, size_t *cap, size_t item)
{
	if (used < *cap)
		return array;
	*cap = *cap ? *cap * 2 : 64;
	return g_realloc_n(array, *cap, item);
}

uint32_t mesh_add_text(struct mesh_builder *b, struct slice s)
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

struct slice mesh_read_name(struct jread *r)
{
	struct slice s = jread_string(r);

	if (!r->error && !hostport_name_is_good(s.s, s.len, NETMAP_NAME_MAX))
		jread_fail(r, "a name has 1 to %d of the characters A-Z a-z 0-9 _ . -",
			NETMAP_NAME_MAX);
	return s;
}

static void read_host_name(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct slice s = mesh_read_name(r);

	if (r->error)
		return;
	b->host->name = mesh_add_text(b, s);
	if (!uniq_add(b->names, s.s, s.len, 0))
		jread_fail(r, "another host is called %.*s", (int)s.len, s.s);
}

static void read_public_key(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
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

static struct prefix *add_prefix(struct jread *r, struct mesh_builder *b)
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
	struct mesh_builder *b = into;
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
	struct mesh_builder *b = into;
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

static void read_endpoint(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct netmap *map = b->map;
	struct slice s = jread_string(r);
	struct netmap_endpoint *e;
	size_t name_len;
	int rc;

	if (r->error)
		return;
	map->endpoints = grown(map->endpoints, map->n_endpoints, &b->endpoints_cap, sizeof(*e));
	e = &map->endpoints[map->n_endpoints++];
	*e = (struct netmap_endpoint){ 0 };
	b->host->n_endpoints++;
	rc = hostport_parse(s.s, s.len, &e->address, &name_len);
	if (rc == -ENODEV)
		return jread_fail(r, "no such interface on this host");
	if (rc < 0)
		return jread_fail(r, "not address:port, [IPv6 address]:port or name:port");
	if (name_len)
		e->name = mesh_add_text(b, (struct slice){ s.s, name_len });
}

/* "routes" stood before "addresses" in the text. */
static void addresses_to_front(struct mesh_builder *b)
{
	struct prefix *block = &b->map->prefixes[b->host->prefix];
	size_t n = b->host->n_routes, item = sizeof(*block);
	g_autofree struct prefix *routes = g_memdup2(block, n * item);

	memmove(block, block + n, b->host->n_addresses * item);
	memcpy(block + b->host->n_addresses, routes, n * item);
}

static void read_addresses(struct jread *r, void *into)
{
	struct mesh_builder *b = into;

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
	((struct mesh_builder *)into)->host->lazy = jread_bool(r);
}

static void read_host_idle_minutes(struct jread *r, void *into)
{
	((struct mesh_builder *)into)->host->idle_minutes = (uint16_t)jread_int(
		r, 1, NETMAP_IDLE_MINUTES_MAX);
}

static void read_keepalive(struct jread *r, void *into)
{
	((struct mesh_builder *)into)->host->keepalive = (uint16_t)jread_int(r, 0, UINT16_MAX - 1);
}

static void read_psk_file(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (s.len < 2 || s.s[0] != '/' || s.len > PSK_PATH_MAX)
		return jread_fail(r, "not an absolute path of at most %d bytes", PSK_PATH_MAX);
	b->host->psk_file = mesh_add_text(b, s);
}

static const struct jread_field host_fields[] = {
	{ "name", read_host_name, true },
	{ "public_key", read_public_key, true },
	{ "addresses", read_addresses, true },
	{ "endpoints", read_endpoints, false },
	{ "routes", read_routes, false },
	{ "lazy", read_host_lazy, false },
	{ "idle_minutes", read_host_idle_minutes, false },
	{ "keepalive", read_keepalive, false },
	{ "psk_file", read_psk_file, false },
};

void mesh_read_host(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct netmap *map = b->map;

	if (map->n_hosts == b->max_hosts) {
		if (jread_peek(
			    r)) /* the line is that of the host, not that of the comma before it */
			jread_fail(r, "more than %zu hosts (policy.max_peers)", b->max_hosts);
		return;
	}
	if (map->n_hosts == b->hosts_cap) {
		map->hosts = grown(map->hosts, map->n_hosts, &b->hosts_cap, sizeof(*map->hosts));
		map->sources = g_realloc_n(map->sources, b->hosts_cap, sizeof(*map->sources));
	}
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
	b->begin = r->value;
	map->n_hosts++;
}
