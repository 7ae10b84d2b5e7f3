/* mgmt/meshupdate.c - a mesh file that hardly changed. */
#include "mgmt/meshupdate.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/jread.h"
#include "mgmt/meshhost.h"
#include "mgmt/uniq.h"

static bool same_items(const void *a, size_t n, const void *b, size_t m, size_t item)
{
	return n == m && (!n || !memcmp(a, b, n * item));
}

/* Only endpoints may differ, and only ones that are addresses. */
static bool is_patch(
	const struct netmap *old, const struct netmap_host *was, const struct netmap *piece)
{
	const struct netmap_host *is = &piece->hosts[0];

	if (!key_is_same(&was->key, &is->key) || was->psk_file || is->psk_file ||
		strcmp(netmap_text(old, was->name), netmap_text(piece, is->name)) ||
		was->n_addresses != is->n_addresses || was->lazy != is->lazy ||
		was->idle_minutes != is->idle_minutes || was->keepalive != is->keepalive ||
		was->n_endpoints != is->n_endpoints ||
		!same_items(netmap_prefixes(old, was), (size_t)was->n_addresses + was->n_routes,
			netmap_prefixes(piece, is), piece->n_prefixes, sizeof(struct prefix)))
		return false;
	for (size_t i = 0; i < is->n_endpoints; i++)
		if (piece->endpoints[i].name || old->endpoints[was->endpoint + i].name)
			return false;
	return true;
}

static const char *skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
		at++;
	return at;
}

/* Behind one host's end: where the next one begins. NULL: something else stands there. */
static const char *next_host(const char *at, const char *end)
{
	at = skip_space(at, end);
	if (at == end || *at != ',')
		return NULL;
	at = skip_space(at + 1, end);
	return at < end && *at == '{' ? at : NULL;
}

/* Reads the one host at `text`, which was number `host`. Returns the length of its piece; 0: it is not
 * just a patch. The last host's end is the document's, not ours. */
static size_t read_patch(const struct netmap *old, uint32_t host, const char *text, size_t len,
	struct netmap_patch *ret)
{
	struct mesh_builder b = { .map = g_new0(struct netmap, 1),
		.names = uniq_new(),
		.addresses = uniq_new(),
		.max_hosts = 1 };
	const char *next = NULL;
	struct jread r;

	mesh_add_text(&b, (struct slice){ "", 0 });
	jread_init(&r, text, len);
	mesh_read_host(&r, &b);
	if (!r.error && text[0] == '{' && host + 1 < old->n_hosts &&
		is_patch(old, &old->hosts[host], b.map))
		next = next_host(r.at, text + len);
	if (next) {
		*ret = (struct netmap_patch){ .host = host };
		for (size_t i = 0; i < b.map->n_endpoints; i++)
			ret->endpoints[i] = b.map->endpoints[i];
		ret->source = netmap_source_of(text, (size_t)(next - text));
	}
	netmap_free(b.map);
	uniq_free(b.names);
	uniq_free(b.addresses);
	return next ? (size_t)(next - text) : 0;
}

int meshupdate_read(const char *text, size_t len, const struct netmap *old,
	struct netmap_patch ret[static MESHUPDATE_PATCHES_MAX], size_t *ret_n)
{
	size_t at = old->head.len, n = 0;

	if (!old->sources || !netmap_source_is(&old->head, text, len))
		return -EAGAIN;
	for (uint32_t i = 0; i < old->n_hosts; i++) {
		size_t piece = old->sources[i].len;

		if (!netmap_source_is(&old->sources[i], text + at, len - at)) {
			piece = n == MESHUPDATE_PATCHES_MAX
				? 0
				: read_patch(old, i, text + at, len - at, &ret[n++]);
			if (!piece)
				return -EAGAIN;
		}
		at += piece;
	}
	*ret_n = n;
	return at == len ? 0 : -EAGAIN;
}
