/* mgmt/meshfile.c - the mesh from one file: JSON text to a netmap. */
#include "mgmt/meshfile.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jread.h"
#include "mgmt/hostport.h"
#include "mgmt/meshhost.h"
#include "mgmt/netmap.h"
#include "mgmt/uniq.h"

enum { DEFAULT_PORT = 51820 };

/* -- which piece of the text is which host -- */

/* The piece of a host ends where the next one begins. */
static void read_host(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct netmap *map = b->map;
	const char *before = map->n_hosts ? b->begin : r->text;

	mesh_read_host(r, into);
	if (r->error)
		return;
	*(map->n_hosts > 1 ? &map->sources[map->n_hosts - 2] : &map->head) = netmap_source_of(
		before, (size_t)(b->begin - before));
}

static void read_hosts(struct jread *r, void *into)
{
	struct mesh_builder *b = into;

	jread_array(r, SIZE_MAX, read_host, into);
	if (b->map->n_hosts && !r->error)
		b->map->sources[b->map->n_hosts - 1] = netmap_source_of(
			b->begin, (size_t)(r->end - b->begin));
}

static void read_mesh(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct slice s = mesh_read_name(r);

	if (!r->error)
		memcpy(b->map->mesh, s.s, s.len);
}

static void read_interface_name(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!hostport_name_is_good(s.s, s.len, IFNAMSIZ - 1) || s.s[0] == '.' ||
		hostport_looks_like_ipv4(s.s, s.len))
		return jread_fail(r, "not an interface name");
	memset(b->map->interface.name, 0, IFNAMSIZ);
	memcpy(b->map->interface.name, s.s, s.len);
}

static void read_listen_port(struct jread *r, void *into)
{
	((struct mesh_builder *)into)->map->interface.listen_port = (uint16_t)jread_int(
		r, 1, 65535);
}

static void read_mtu(struct jread *r, void *into)
{
	struct mesh_builder *b = into;
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
	((struct mesh_builder *)into)->map->lazy.enabled = jread_bool(r);
}

static void read_idle_minutes(struct jread *r, void *into)
{
	((struct mesh_builder *)into)->map->lazy.idle_minutes = (uint32_t)jread_int(
		r, 1, NETMAP_IDLE_MINUTES_MAX);
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
	map->sources = g_realloc_n(map->sources, map->n_hosts, sizeof(*map->sources));
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

static void read_document(struct jread *r, struct mesh_builder *b)
{
	struct netmap *map = b->map;

	mesh_add_text(b, (struct slice){ "", 0 });
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
	struct mesh_builder b = {
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
