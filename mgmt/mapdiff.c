/* mgmt/mapdiff.c - what differs between two maps, host by host. */
#include "mgmt/mapdiff.h"

#include <string.h>

#include "agent/base/jwrite.h"
#include "mgmt/netmap.h"

static const struct {
	enum mapdiff_part part;
	const char *name;
} parts[] = {
	{ MAPDIFF_NAME, "name" },
	{ MAPDIFF_ADDRESSES, "addresses" },
	{ MAPDIFF_ROUTES, "routes" },
	{ MAPDIFF_ENDPOINTS, "endpoints" },
	{ MAPDIFF_LAZY, "lazy" },
	{ MAPDIFF_KEEPALIVE, "keepalive" },
	{ MAPDIFF_PSK_FILE, "psk_file" },
};

/* -- comparing -------------------------------------------------------------------------------- */

static bool same_prefixes(const struct prefix *a, size_t n, const struct prefix *b, size_t m)
{
	if (n != m)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!prefix_is_same(&a[i], &b[i]))
			return false;
	return true;
}

static bool same_text(const struct netmap *a, uint32_t x, const struct netmap *b, uint32_t y)
{
	return !strcmp(netmap_text(a, x), netmap_text(b, y));
}

static unsigned compare_hosts(const struct netmap *a, const struct netmap_host *x,
	const struct netmap *b, const struct netmap_host *y)
{
	const struct prefix *p = netmap_prefixes(a, x), *q = netmap_prefixes(b, y);
	unsigned differ = 0;

	if (!same_text(a, x->name, b, y->name))
		differ |= MAPDIFF_NAME;
	if (!same_prefixes(p, x->n_addresses, q, y->n_addresses))
		differ |= MAPDIFF_ADDRESSES;
	if (!same_prefixes(p + x->n_addresses, x->n_routes, q + y->n_addresses, y->n_routes))
		differ |= MAPDIFF_ROUTES;
	if (!netmap_same_endpoints(a, x, b, y))
		differ |= MAPDIFF_ENDPOINTS;
	if (x->lazy != y->lazy || x->idle_minutes != y->idle_minutes)
		differ |= MAPDIFF_LAZY;
	if (x->keepalive != y->keepalive)
		differ |= MAPDIFF_KEEPALIVE;
	if (!same_text(a, x->psk_file, b, y->psk_file))
		differ |= MAPDIFF_PSK_FILE;
	return differ;
}

static void compare_meshes(struct mapdiff *d)
{
	const struct netmap *a = d->before, *b = d->after;

	d->name = strcmp(a->mesh, b->mesh) != 0;
	d->interface = strcmp(a->interface.name, b->interface.name) ||
		a->interface.listen_port != b->interface.listen_port ||
		a->interface.mtu != b->interface.mtu;
	d->lazy = a->lazy.enabled != b->lazy.enabled ||
		a->lazy.idle_minutes != b->lazy.idle_minutes;
}

static void compare_host(struct mapdiff *d, size_t number)
{
	const struct netmap_host *host = &d->after->hosts[number];
	struct mapdiff_host h = { .before = NETMAP_NONE, .after = (int64_t)number };

	if (d->before)
		h.before = netmap_find_key(d->before, &host->key);
	if (h.before >= 0)
		h.parts = compare_hosts(d->before, &d->before->hosts[h.before], d->after, host);
	if (h.before >= 0 && !h.parts)
		return;
	d->added += h.before < 0;
	d->changed += h.before >= 0;
	g_array_append_val(d->hosts, h);
}

void mapdiff_make(struct mapdiff *ret, const struct netmap *before, const struct netmap *after)
{
	*ret = (struct mapdiff){
		.before = before,
		.after = after,
		.name = true,
		.interface = true,
		.lazy = true,
		.hosts = g_array_new(FALSE, FALSE, sizeof(struct mapdiff_host)),
	};
	if (before)
		compare_meshes(ret);
	for (size_t i = 0; i < after->n_hosts; i++)
		compare_host(ret, i);
	for (size_t i = 0; before && i < before->n_hosts; i++) {
		struct mapdiff_host gone = { .before = (int64_t)i, .after = NETMAP_NONE };

		if (netmap_find_key(after, &before->hosts[i].key) >= 0)
			continue;
		ret->removed++;
		g_array_append_val(ret->hosts, gone);
	}
}

void mapdiff_done(struct mapdiff *diff)
{
	g_clear_pointer(&diff->hosts, g_array_unref);
}

/* -- writing ---------------------------------------------------------------------------------- */

static void write_host(const struct mapdiff *diff, GString *out, const struct mapdiff_host *h)
{
	const struct netmap *map = h->after < 0 ? diff->before : diff->after;
	const struct netmap_host *host = &map->hosts[h->after < 0 ? h->before : h->after];

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", netmap_text(map, host->name));
	jwrite_string(out, "change",
		h->before < 0          ? "added"
			: h->after < 0 ? "removed"
				       : "changed");
	jwrite_open(out, "parts", '[');
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (h->parts & parts[i].part)
			jwrite_string(out, NULL, parts[i].name);
	jwrite_close(out, ']');
	jwrite_close(out, '}');
}

void mapdiff_write(const struct mapdiff *diff, GString *out, size_t max)
{
	size_t n = MIN(diff->hosts->len, max);

	jwrite_open(out, "mesh_difference", '{');
	jwrite_open(out, "mesh", '[');
	if (diff->name)
		jwrite_string(out, NULL, "name");
	if (diff->interface)
		jwrite_string(out, NULL, "interface");
	if (diff->lazy)
		jwrite_string(out, NULL, "lazy");
	jwrite_close(out, ']');
	jwrite_int(out, "added", (int64_t)diff->added);
	jwrite_int(out, "removed", (int64_t)diff->removed);
	jwrite_int(out, "changed", (int64_t)diff->changed);
	jwrite_open(out, "hosts", '[');
	for (size_t i = 0; i < n; i++)
		write_host(diff, out, &g_array_index(diff->hosts, struct mapdiff_host, i));
	jwrite_close(out, ']');
	jwrite_int(out, "left_out", (int64_t)(diff->hosts->len - n));
	jwrite_close(out, '}');
}
