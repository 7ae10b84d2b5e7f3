/* tests/unit/test_owners.c - whose an address is, and which are a host's alone; also against a naive
 * implementation on random meshes. */
#include <glib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/owners.h"
#include "agent/routing.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"
#include "netlink/nft.h"

struct setup {
	struct netmap *map;
	struct config config;
	struct routing *routing;
	struct owners *owners;
};

/* Hosts h0 (we), h1, ... with these members after name and key. */
static void begin(struct setup *s, const char *config, GPtrArray *hosts)
{
	g_autoptr(GString) text = g_string_new("{\"mesh\":\"m\",\"hosts\":[");
	struct wg_key key = { 0 }, own = { { 1 } };
	char error[MESHFILE_ERROR_MAX], buf[KEY_STRLEN];

	memset(s, 0, sizeof(*s));
	for (guint i = 0; i < hosts->len; i++) {
		uint32_t number = i + 1;

		memcpy(key.b, &number, sizeof(number));
		g_string_append_printf(text, "%s{\"name\":\"h%u\",\"public_key\":\"%s\",%s}",
			i ? "," : "", i, key_format(&key, buf), (char *)hosts->pdata[i]);
	}
	g_string_append(text, "]}");
	if (meshfile_parse(text->str, text->len, &own, SIZE_MAX, &s->map, error) < 0)
		g_error("%s", error);
	if (config_parse(config, strlen(config), &s->config, error) < 0)
		g_error("%s", error);
	s->routing = routing_new(s->map, &s->config);
	s->owners = owners_new(s->map, s->routing);
}

static void end(struct setup *s)
{
	owners_free(s->owners);
	routing_free(s->routing);
	netmap_free(s->map);
	config_done(&s->config);
}

#define BEGIN(s, config, ...) \
	do { \
		static const char *const hosts_[] = { __VA_ARGS__ }; \
		GPtrArray *array_ = g_ptr_array_new(); \
		for (size_t i_ = 0; i_ < G_N_ELEMENTS(hosts_); i_++) \
			g_ptr_array_add(array_, (char *)hosts_[i_]); \
		begin(s, config, array_); \
		g_ptr_array_unref(array_); \
	} while (0)

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static int64_t find(const struct setup *s, const char *address)
{
	struct prefix p = prefix(address);

	return owners_find(s->owners, &p);
}

/* "10.0.0.0-10.0.0.255 10.0.1.1-10.0.1.1" */
static char *ranges(const struct setup *s, const char *net)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct nft_range));
	struct prefix p = prefix(net);
	GString *out = g_string_new(NULL);
	char buf[PREFIX_STRLEN];

	owners_ranges(s->owners, &p, list);
	for (guint i = 0; i < list->len; i++) {
		const struct nft_range *range = &g_array_index(list, struct nft_range, i);

		p = (struct prefix){ .family = range->family };
		p.bits = (uint8_t)prefix_width(&p);
		memcpy(p.addr, range->first, sizeof(p.addr));
		prefix_format(&p, buf);
		*strchr(buf, '/') = '\0';
		g_string_append_printf(out, "%s%s-", i ? " " : "", buf);
		memcpy(p.addr, range->last, sizeof(p.addr));
		prefix_format(&p, buf);
		*strchr(buf, '/') = '\0';
		g_string_append(out, buf);
	}
	return g_string_free(out, FALSE);
}

#define CHECK_RANGES(s, net, expected) \
	do { \
		g_autofree char *text_ = ranges(s, net); \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

static void test_nested(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"10.1.0.9\",\"fd00::1\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.0.0.0/8\",\"10.2.0.0/16\"]",
		"\"addresses\":[\"100.64.0.3\",\"10.0.0.0\"],\"routes\":[\"10.1.0.0/16\",\"fd00::/64\"]",
		"\"addresses\":[\"10.255.255.255\",\"10.0.0.1\"],\"routes\":[\"10.1.1.0/24\",\"10.1.0.0/24\"]");
	g_assert_cmpint(find(&s, "10.200.0.1"), ==, 1);
	g_assert_cmpint(find(&s, "10.2.3.4"), ==, 1);
	g_assert_cmpint(find(&s, "10.1.2.3"), ==, 2);
	g_assert_cmpint(find(&s, "10.1.1.3"), ==, 3);
	g_assert_cmpint(find(&s, "10.1.0.8"), ==, 3);
	g_assert_cmpint(find(&s, "10.1.0.9"), ==, NETMAP_NONE); /* our own */
	g_assert_cmpint(find(&s, "10.0.0.0"), ==, 2);
	g_assert_cmpint(find(&s, "11.0.0.0"), ==, NETMAP_NONE);
	g_assert_cmpint(find(&s, "fd00::2"), ==, 2);
	g_assert_cmpint(find(&s, "fd01::2"), ==, NETMAP_NONE);
	g_assert_cmpint(find(&s, "::"), ==, NETMAP_NONE);
	CHECK_RANGES(&s, "10.0.0.0/8",
		"10.0.0.2-10.0.255.255 10.3.0.0-10.255.255.254"); /* 10.1 and 10.2 touch */
	CHECK_RANGES(&s, "10.1.0.0/16", "10.1.2.0-10.1.255.255");
	CHECK_RANGES(&s, "10.1.0.0/24", "10.1.0.0-10.1.0.8 10.1.0.10-10.1.0.255");
	CHECK_RANGES(&s, "10.0.0.0/32", "10.0.0.0-10.0.0.0");
	CHECK_RANGES(&s, "fd00::/64", "fd00::-fd00:: fd00::2-fd00::ffff:ffff:ffff:ffff");
	end(&s);
}

#define DEFAULT_ROUTER \
	"\"addresses\":[\"100.64.0.1\"]", \
		"\"addresses\":[\"255.255.255.255\",\"ffff::1\"],\"routes\":[\"0.0.0.0/0\",\"::/0\"]"

static void test_default_routes(void)
{
	struct setup s;

	BEGIN(&s, "{\"policy\":{\"default_route\":true}}", DEFAULT_ROUTER);
	g_assert_cmpint(find(&s, "8.8.8.8"), ==, 1);
	g_assert_cmpint(find(&s, "2001:db8::1"), ==, 1);
	g_assert_cmpint(find(&s, "100.64.0.1"), ==, NETMAP_NONE);
	CHECK_RANGES(&s, "0.0.0.0/0", "0.0.0.0-100.64.0.0 100.64.0.2-255.255.255.254");
	CHECK_RANGES(&s, "::/0", "::-ffff:: ffff::2-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
	end(&s);
	/* Not accepted: nobody's. */
	BEGIN(&s, "{}", DEFAULT_ROUTER);
	g_assert_cmpint(find(&s, "8.8.8.8"), ==, NETMAP_NONE);
	g_assert_cmpint(find(&s, "255.255.255.255"), ==, 1);
	end(&s);
}

/* What we route ourselves is not in WireGuard: there what contains it counts. */
static void test_own_routes(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"],\"routes\":[\"10.1.0.0/16\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.0.0.0/8\",\"10.1.0.0/16\"]");
	g_assert_cmpint(find(&s, "10.1.0.1"), ==, 1);
	CHECK_RANGES(&s, "10.0.0.0/8", "10.0.0.0-10.255.255.255");
	end(&s);
}

static bool is_third(uint32_t host, void *user)
{
	return host == 3;
}

static void count_move(uint32_t host, void *user)
{
	++*(unsigned *)user;
}

static void note_member(uint32_t other, void *arg)
{
	g_string_append_printf(arg, "%u ", other);
}

static void test_groups(void)
{
	g_autoptr(GString) members = g_string_new(NULL);
	unsigned moved = 0;
	struct setup s;

	BEGIN(&s, "{\"policy\":{\"routes\":[\"10.0.0.0/8\"]}}",
		"\"addresses\":[\"100.64.0.1\"],\"routes\":[\"10.9.0.0/16\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.1.0.0/16\",\"172.16.0.0/12\",\"10.9.0.0/16\"]",
		"\"addresses\":[\"100.64.0.3\"],\"routes\":[\"10.1.0.0/16\",\"10.2.0.0/16\"]",
		"\"addresses\":[\"100.64.0.4\"],\"routes\":[\"172.16.0.0/12\",\"10.2.0.0/16\",\"10.1.0.0/16\"]",
		"\"addresses\":[\"100.64.0.5\"],\"routes\":[\"10.9.0.0/16\",\"10.3.0.0/16\"]");
	g_assert_cmpint(find(&s, "10.1.0.1"), ==, 1);
	g_assert_cmpint(find(&s, "10.2.0.1"), ==, 2);
	routing_elect(s.routing, is_third, count_move, &moved);
	g_assert_cmpuint(moved, ==, 4);
	g_assert_cmpint(find(&s, "10.1.0.1"), ==, 3);
	g_assert_cmpint(find(&s, "10.2.0.1"), ==, 3);
	for (uint32_t host = 0; host < 5; host++) {
		routing_foreach_member(s.routing, host, note_member, members);
		g_string_append_c(members, '|');
	}
	/* Neither what we do not accept nor what we route ourselves makes a group. */
	g_assert_cmpstr(members->str, ==, "|2 3 |1 3 3 |2 1 2 ||");
	end(&s);
}

/* -- against a naive implementation --------------------------------------------------------- */

enum { BLOCK_BITS = 5, BLOCK = 1 << BLOCK_BITS }; /* addresses in each of the blocks under test */

static const struct block {
	const char *first;
	uint8_t family;
} blocks[] = {
	{ "0.0.0.0", AF_INET },
	{ "10.0.0.0", AF_INET },
	{ "255.255.255.224", AF_INET },
	{ "::", AF_INET6 },
	{ "fd00::", AF_INET6 },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffe0", AF_INET6 },
};

static uint32_t draw(uint32_t n)
{
	return (uint32_t)g_test_rand_int_range(0, (gint32)n);
}

static struct prefix address_in(const struct block *block, unsigned i)
{
	struct prefix p = prefix(block->first);

	p.addr[prefix_width(&p) / 8 - 1] += (uint8_t)i;
	return p;
}

static bool take(GArray *taken, const struct prefix *p)
{
	for (guint i = 0; i < taken->len; i++)
		if (prefix_is_same(&g_array_index(taken, struct prefix, i), p))
			return false;
	g_array_append_val(taken, *p);
	return true;
}

static struct prefix random_network(void)
{
	struct prefix p = address_in(&blocks[draw(G_N_ELEMENTS(blocks))], 0);
	unsigned width = prefix_width(&p);

	if (draw(20) == 0) {
		memset(p.addr, 0, sizeof(p.addr));
		p.bits = (uint8_t)draw(2); /* a default route, or the lower half */
		return p;
	}
	p.bits = (uint8_t)(width - draw(BLOCK_BITS + 1));
	p.addr[width / 8 - 1] += (uint8_t)(draw(BLOCK) & (0xffu << (width - p.bits)));
	return p;
}

static void add_text(GString *out, const struct prefix *p)
{
	char buf[PREFIX_STRLEN];

	g_string_append_printf(
		out, "%s\"%s\"", g_str_has_suffix(out->str, "[") ? "" : ",", prefix_format(p, buf));
}

/* Addresses are of one host, a routed network may be of several. */
static char *random_host(GArray *addresses)
{
	GString *out = g_string_new("\"addresses\":[");
	g_autoptr(GArray) own = g_array_new(FALSE, FALSE, sizeof(struct prefix));

	for (unsigned i = 0; i < 20 && (i < 2 || g_str_has_suffix(out->str, "[")); i++) {
		struct prefix p = address_in(&blocks[draw(G_N_ELEMENTS(blocks))], draw(BLOCK));

		if (take(addresses, &p))
			add_text(out, &p);
	}
	if (g_str_has_suffix(out->str, "[")) { /* elsewhere there is room */
		struct prefix p = prefix("100.64.0.0");

		p.addr[3] = (uint8_t)addresses->len;
		g_array_append_val(addresses, p);
		add_text(out, &p);
	}
	g_string_append(out, "],\"routes\":[");
	for (unsigned i = draw(5); i > 0; i--) {
		struct prefix p = random_network();

		if (!prefix_is_host(&p) && take(own, &p))
			add_text(out, &p);
	}
	g_string_append_c(out, ']');
	return g_string_free(out, FALSE);
}

/* The most specific prefix in use that contains the address, and whose it is. */
static const struct prefix *naive_find(
	const struct setup *s, const struct prefix *address, int64_t *ret_host)
{
	const struct prefix *best = NULL, *list;
	struct prefix scratch[64];

	*ret_host = NETMAP_NONE;
	for (uint32_t i = 0; i < s->map->n_hosts; i++) {
		const struct netmap_host *h = &s->map->hosts[i];
		bool own = i == s->map->self;
		size_t n = own ? h->n_addresses : routing_allowed(s->routing, i, scratch, &list);

		if (own)
			list = netmap_prefixes(s->map, h);
		for (size_t j = 0; j < n; j++) {
			if (!prefix_contains(&list[j], address))
				continue;
			if (best && best->bits >= list[j].bits)
				continue;
			for (size_t k = 0; k < s->map->n_prefixes; k++)
				if (prefix_is_same(&s->map->prefixes[k], &list[j]))
					best = &s->map->prefixes[k];
			*ret_host = own ? NETMAP_NONE : (int64_t)i;
		}
	}
	return best;
}

static bool is_in_ranges(GArray *list, const struct prefix *address)
{
	unsigned found = 0;

	for (guint i = 0; i < list->len; i++) {
		const struct nft_range *range = &g_array_index(list, struct nft_range, i);

		g_assert_cmpint(memcmp(range->first, range->last, 16), <=, 0);
		found += range->family == address->family &&
			memcmp(range->first, address->addr, 16) <= 0 &&
			memcmp(range->last, address->addr, 16) >= 0;
	}
	g_assert_cmpuint(found, <=, 1);
	return found;
}

/* Between two ranges there is a gap, else they were one. */
static void check_order(GArray *list)
{
	for (guint i = 1; i < list->len; i++) {
		const struct nft_range *a = &g_array_index(list, struct nft_range, i - 1);
		const struct nft_range *b = &g_array_index(list, struct nft_range, i);
		uint8_t next[16];
		int at = a->family == AF_INET ? 3 : 15;

		memcpy(next, a->last, 16);
		while (at >= 0 && ++next[at] == 0)
			at--;
		g_assert_cmpint(memcmp(next, b->first, 16), <, 0);
	}
}

static void check_address(const struct setup *s, const struct prefix *address)
{
	int64_t host;

	naive_find(s, address, &host);
	g_assert_cmpint(owners_find(s->owners, address), ==, host);
}

static void check_ranges(
	const struct setup *s, const struct prefix *net, const struct prefix *all, size_t n)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct nft_range));

	owners_ranges(s->owners, net, list);
	check_order(list);
	for (size_t i = 0; i < n; i++) {
		int64_t host;
		const struct prefix *best = naive_find(s, &all[i], &host);
		bool alone = prefix_contains(net, &all[i]) && (!best || best->bits <= net->bits);

		g_assert_cmpint(is_in_ranges(list, &all[i]), ==, alone);
	}
}

static void test_random(void)
{
	struct prefix all[G_N_ELEMENTS(blocks) * BLOCK + 4] = { prefix("9.255.255.255"),
		prefix("10.0.0.32"), prefix("fd00::20"), prefix("255.255.255.223") };

	for (size_t i = 4; i < G_N_ELEMENTS(all); i++)
		all[i] = address_in(&blocks[(i - 4) / BLOCK], (unsigned)(i - 4) % BLOCK);
	for (unsigned round = 0; round < 60; round++) {
		g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(struct prefix));
		g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
		struct setup s;

		for (unsigned i = draw(25) + 1; i > 0; i--)
			g_ptr_array_add(hosts, random_host(taken));
		begin(&s, draw(2) ? "{}" : "{\"policy\":{\"default_route\":true}}", hosts);
		for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
			check_address(&s, &all[i]);
		for (size_t i = 0; i < s.map->n_prefixes; i++)
			check_ranges(&s, &s.map->prefixes[i], all, G_N_ELEMENTS(all));
		end(&s);
	}
}

/* -- size ----------------------------------------------------------------------------------- */

static double ms_since(int64_t start_us)
{
	return (double)(g_get_monotonic_time() - start_us) / 1000;
}

/* 100,000 hosts in no order; every tenth has its address in the network of another. */
static void test_many(void)
{
	enum { HOSTS = 100000, STRIDE = 61803 };
	g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct nft_range));
	struct prefix net = prefix("10.64.0.0/10");
	int64_t start;
	struct setup s;

	for (unsigned i = 0; i < HOSTS; i++) {
		unsigned at = (unsigned)((uint64_t)i * STRIDE % HOSTS) * 2;

		g_ptr_array_add(hosts,
			g_strdup_printf("\"addresses\":[\"%s.%u.%u.%u\"]%s", at % 20 ? "100" : "10",
				64 + (at >> 16), at >> 8 & 255, at & 255,
				i == 1 ? ",\"routes\":[\"10.64.0.0/10\"]" : ""));
	}
	begin(&s, "{}", hosts);
	owners_free(s.owners);
	start = g_get_monotonic_time();
	s.owners = owners_new(s.map, s.routing);
	g_test_message("built in %.1f ms", ms_since(start));
	start = g_get_monotonic_time();
	for (uint32_t i = 0; i < HOSTS; i++)
		g_assert_cmpint(owners_find(s.owners, netmap_prefixes(s.map, &s.map->hosts[i])), ==,
			i ? (int64_t)i : NETMAP_NONE);
	g_test_message("found one in %.2f us", ms_since(start) * 1000 / HOSTS);
	start = g_get_monotonic_time();
	owners_ranges(s.owners, &net, list);
	g_test_message("%u ranges in %.2f ms", list->len, ms_since(start));
	g_assert_cmpuint(list->len, ==, HOSTS / 10);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/owners/nested", test_nested);
	g_test_add_func("/owners/default-routes", test_default_routes);
	g_test_add_func("/owners/own-routes", test_own_routes);
	g_test_add_func("/owners/groups", test_groups);
	g_test_add_func("/owners/random", test_random);
	g_test_add_func("/owners/many", test_many);
	return g_test_run();
}
