/* tests/fuzz/fuzz_update.c - any bytes as what a server says; a map that comes out is consistent, and what
 * the last map was makes no difference. */
/* covers: mgmt/update.c mgmt/update_host.c mgmt/update_rule.c mgmt/update_route.c mgmt/update_dns.c mgmt/update_servers.c mgmt/update_text.c mgmt/update_same.c mgmt/detail_write.c */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/text.h"
#include "mgmt/detail.h"
#include "mgmt/netmap.h"
#include "mgmt/update.h"
#include "agent/base/wire.h"

enum { PEERS_MAX = 50, BEFORE = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_host(const struct netmap *map, size_t i, size_t prefix)
{
	const struct netmap_host *host = &map->hosts[i];
	const char *name = netmap_text(map, host->name);

	assert(host->prefix == prefix && host->n_addresses > 0 && !host->n_endpoints);
	for (size_t j = 0; j < host->n_addresses; j++)
		assert(prefix_is_host(netmap_prefixes(map, host) + j));
	assert((size_t)host->n_addresses + host->n_routes <= NETMAP_PREFIXES_MAX);
	assert(netmap_find_key(map, &host->key) == (int64_t)i);
	assert(*name && strlen(name) <= NETMAP_FQDN_MAX);
	assert(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name));
}

static void check_rules(const struct netmap *map)
{
	for (size_t i = 0; i < map->n_rules; i++) {
		const struct filter_rule *rule = &map->rules[i];

		assert(rule->source.family && rule->source.bits <= prefix_width(&rule->source));
		assert(!rule->first_port == !rule->last_port &&
			rule->first_port <= rule->last_port);
		assert(!rule->first_port || rule->protocol == IPPROTO_TCP ||
			rule->protocol == IPPROTO_UDP);
		assert(!i || memcmp(rule - 1, rule, sizeof(*rule)) < 0);
	}
}

static void check_map(const struct netmap *map)
{
	size_t prefixes = 0;

	assert(map->self == 0 && map->n_hosts <= PEERS_MAX + 1 && map->has_rules);
	for (size_t i = 0; i < map->n_hosts; i++) {
		check_host(map, i, prefixes);
		prefixes += (size_t)map->hosts[i].n_addresses + map->hosts[i].n_routes;
	}
	assert(prefixes == map->n_prefixes && map->mesh[0]);
	check_rules(map);
}

static void check_detail(const struct detail *detail)
{
	g_autoptr(GString) out = g_string_new("{");
	const char *s = detail->text, *end = s + detail->text_len;
	json_t *root;

	/* All of it is text that may be printed. */
	while (s < end) {
		size_t n = text_utf8_len(s, end);

		assert(n && (!*s || (unsigned char)*s >= ' ') && *s != 0x7f);
		s += n;
	}
	assert(!end[-1] && detail->n_notes <= DETAIL_NOTES_MAX);
	detail_write(detail, out);
	g_string_append_c(out, '}');
	root = json_loads(out->str, 0, NULL);
	assert(root);
	json_decref(root);
}

static void check(struct update *u, bool has_map)
{
	assert(u->files && !u->map == !u->detail && (u->map || !has_map));
	if (!u->map)
		return;
	check_map(u->map);
	check_detail(u->detail);
}

typedef int (*read_fn)(const uint8_t *plain, size_t len, const struct update_limits *limits,
	struct update **ret, char error[static UPDATE_ERROR_MAX]);

static struct update *read_checked(
	read_fn read, const uint8_t *data, size_t size, const struct netmap *last)
{
	static const struct wg_key own = { { 1 } };
	struct update_limits limits = { &own, PEERS_MAX, 1800000000, last };
	char error[UPDATE_ERROR_MAX] = "";
	struct update *u = NULL;
	int r = read(data, size, &limits, &u, error);

	assert(r == 0 || r == -EPROTO || r == -E2BIG || r == -EINVAL);
	assert((r == 0) == (u != NULL) && (r == 0) == !error[0]);
	if (u)
		check(u, read == update_from_login);
	return u;
}

static void check_same(const struct update *a, const struct update *b)
{
	assert(!a == !b && (!a || !a->map == !b->map));
	if (!a || !a->map)
		return;
	assert(netmap_is_same(a->map, b->map));
	assert(a->detail->n_left_out == b->detail->n_left_out);
}

/* Inputs may hold what came before them in a field that nobody reads. */
static struct update *read_before(read_fn read, const uint8_t *data, size_t size)
{
	struct wire wire = wire_begin((struct wire_bytes){ data, size });
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number == BEFORE && field.has_bytes)
			return read_checked(read, field.bytes.data, field.bytes.len, NULL);
	return NULL;
}

static void try_after(read_fn read, const uint8_t *data, size_t size)
{
	struct update *before = read_before(read, data, size), *a, *b;

	if (!before)
		return;
	a = read_checked(read, data, size, NULL);
	b = read_checked(read, data, size, before->map);
	check_same(a, b);
	update_free(before);
	update_free(a);
	update_free(b);
}

/* The same again, and with a byte that is another one. */
static void try(read_fn read, const uint8_t *data, size_t size)
{
	struct update *u = read_checked(read, data, size, NULL);
	const struct netmap *last = u ? u->map : NULL;
	g_autofree uint8_t *other = g_memdup2(data, size);
	struct update *again = read_checked(read, data, size, last), *a, *b;

	check_same(u, again);
	if (size >= 4)
		other[(data[size - 1] << 8 | data[size - 3]) % size] ^= 1;
	a = read_checked(read, other, size, NULL);
	b = read_checked(read, other, size, last);
	check_same(a, b);
	update_free(again);
	update_free(a);
	update_free(b);
	update_free(u);
	try_after(read, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(update_from_sync, data, size);
	try(update_from_login, data, size);
	return 0;
}
