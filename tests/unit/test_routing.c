/* tests/unit/test_routing.c - who carries which prefix, and which routes and rules follow. */
#include <glib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/routing.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

enum { TABLE = 51820, DEVICE = 7 };

struct setup {
	struct netmap *map;
	struct config config;
	struct routing *routing;
	bool sick[8];
	GString *moved;
};

/* Hosts h0 (we), h1, ... with the given members after name and key. */
static void begin(struct setup *s, const char *config, const char *const *hosts, size_t n)
{
	g_autoptr(GString) text = g_string_new("{\"mesh\":\"m\",\"hosts\":[");
	struct wg_key keys[8] = { 0 };
	char error[MESHFILE_ERROR_MAX], buf[KEY_STRLEN];

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < n; i++) {
		keys[i].b[0] = (uint8_t)(i + 1);
		g_string_append_printf(text, "%s{\"name\":\"h%zu\",\"public_key\":\"%s\",%s}",
			i ? "," : "", i, key_format(&keys[i], buf), hosts[i]);
	}
	g_string_append(text, "]}");
	if (meshfile_parse(text->str, text->len, &keys[0], 100, &s->map, error) < 0)
		g_error("%s", error);
	if (config_parse(config, strlen(config), &s->config, error) < 0)
		g_error("%s", error);
	s->routing = routing_new(s->map, &s->config);
	s->moved = g_string_new(NULL);
}

static void end(struct setup *s)
{
	routing_free(s->routing);
	netmap_free(s->map);
	config_done(&s->config);
	g_string_free(s->moved, TRUE);
}

#define BEGIN(s, config, ...) \
	do { \
		static const char *const hosts[] = { __VA_ARGS__ }; \
		begin(s, config, hosts, G_N_ELEMENTS(hosts)); \
	} while (0)

static char *allowed(struct setup *s, uint32_t host)
{
	struct prefix scratch[64];
	const struct prefix *list;
	size_t n = routing_allowed(s->routing, host, scratch, &list);
	GString *out = g_string_new(NULL);
	char buf[PREFIX_STRLEN];

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(out, "%s%s", i ? " " : "", prefix_format(&list[i], buf));
	return g_string_free(out, FALSE);
}

static char *routes(struct setup *s, const char *outer)
{
	g_autofree struct route *list = NULL;
	struct prefix endpoint;
	size_t n_outer = 0, n;
	GString *out = g_string_new(NULL);
	char buf[PREFIX_STRLEN];
	struct rule rules[ROUTING_RULES_MAX];

	if (outer) {
		g_assert_cmpint(prefix_parse(outer, strlen(outer), &endpoint), ==, 0);
		n_outer = 1;
	}
	n = routing_routes(s->routing, DEVICE, TABLE, &endpoint, n_outer, &list);
	for (size_t i = 0; i < n; i++) {
		g_assert_cmpuint(list[i].ifindex, ==, DEVICE);
		g_string_append_printf(out, "%s%s%s", i ? " " : "",
			prefix_format(&list[i].dst, buf), list[i].table == TABLE ? "!" : "");
	}
	g_string_append_printf(out, " rules %zu", routing_rules(list, n, TABLE, TABLE, rules));
	return g_string_free(out, FALSE);
}

#define CHECK(actual, expected) \
	do { \
		g_autofree char *text_ = actual; \
		g_assert_cmpstr(text_, ==, expected); \
	} while (0)

static bool healthy(uint32_t host, void *user)
{
	return !((struct setup *)user)->sick[host];
}

static void moved(uint32_t host, void *user)
{
	g_string_append_printf(((struct setup *)user)->moved, "%u ", host);
}

static void test_addresses_merge(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\",\"fd00::1\"]",
		"\"addresses\":[\"100.64.0.0\"]", "\"addresses\":[\"100.64.0.2\"]",
		"\"addresses\":[\"100.64.0.3\",\"fd00::9\"]");
	CHECK(allowed(&s, 1), "100.64.0.0/32");
	CHECK(routes(&s, NULL), "100.64.0.0/30 fd00::9/128 rules 0");
	end(&s);
}

static void test_alone(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"]");
	CHECK(routes(&s, NULL), " rules 0");
	end(&s);
}

static void test_policy(void)
{
	struct setup s;

	BEGIN(&s, "{\"policy\":{\"routes\":[\"10.0.0.0/8\"]}}", "\"addresses\":[\"100.64.0.1\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.1.0.0/16\",\"192.168.0.0/24\",\"0.0.0.0/0\"]");
	CHECK(allowed(&s, 1), "100.64.0.2/32 10.1.0.0/16");
	end(&s);
	BEGIN(&s, "{\"policy\":{\"default_route\":true}}", "\"addresses\":[\"100.64.0.1\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"0.0.0.0/0\",\"::/0\"]");
	CHECK(allowed(&s, 1), "100.64.0.2/32 0.0.0.0/0 ::/0");
	CHECK(routes(&s, NULL), "0.0.0.0/0! 100.64.0.2/32 ::/0! rules 4");
	end(&s);
}

/* What we route ourselves stays here; a route around a peer's endpoint may not swallow it. */
static void test_own_and_captured(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"],\"routes\":[\"10.1.0.0/16\"]",
		"\"addresses\":[\"100.64.0.3\"],\"routes\":[\"10.1.0.0/16\",\"192.0.2.0/24\"]");
	CHECK(allowed(&s, 1), "100.64.0.3/32 192.0.2.0/24");
	CHECK(routes(&s, "198.51.100.1"), "100.64.0.3/32 192.0.2.0/24 rules 0");
	CHECK(routes(&s, "192.0.2.9"), "100.64.0.3/32 192.0.2.0/24! rules 2");
	end(&s);
}

static void test_shared(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.1.0.0/16\",\"10.0.0.0/8\"]",
		"\"addresses\":[\"100.64.0.3\"],\"routes\":[\"10.1.0.0/16\"]");
	g_assert_cmpuint(routing_n_groups(s.routing), ==, 1);
	CHECK(allowed(&s, 1), "100.64.0.2/32 10.1.0.0/16 10.0.0.0/8");
	CHECK(allowed(&s, 2), "100.64.0.3/32");
	routing_elect(s.routing, healthy, moved, &s);
	g_assert_cmpstr(s.moved->str, ==, "");
	s.sick[1] = true;
	routing_elect(s.routing, healthy, moved, &s);
	g_assert_cmpstr(s.moved->str, ==, "1 2 ");
	CHECK(allowed(&s, 1), "100.64.0.2/32 10.0.0.0/8"); /* nested, not shared: it stays */
	CHECK(allowed(&s, 2), "100.64.0.3/32 10.1.0.0/16");
	s.sick[2] = true; /* nobody left: it stays where it is */
	routing_elect(s.routing, healthy, moved, &s);
	g_assert_cmpstr(s.moved->str, ==, "1 2 ");
	s.sick[1] = false; /* the first one is back */
	routing_elect(s.routing, healthy, moved, &s);
	g_assert_cmpstr(s.moved->str, ==, "1 2 2 1 ");
	CHECK(routes(&s, NULL), "10.0.0.0/8 10.1.0.0/16 100.64.0.2/31 rules 0");
	end(&s);
}

/* -- maps of a server ----------------------------------------------------------------------- */

static void add_network(struct setup *s, size_t i, const char *network)
{
	g_assert_cmpint(prefix_parse(network, strlen(network), &s->map->networks[i]), ==, 0);
}

/* However many hosts there are, one route of a family is enough. */
static void test_overlay_networks(void)
{
	struct setup s;

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\",\"fd00::1\"]",
		"\"addresses\":[\"100.64.0.7\",\"fd00::7\"]", "\"addresses\":[\"100.64.9.2\"]",
		"\"addresses\":[\"10.9.9.9\"],\"routes\":[\"10.0.0.0/8\",\"100.64.0.0/16\"]");
	add_network(&s, 0, "100.64.0.0/16");
	g_assert_true(routing_has_networks(s.routing));
	CHECK(routes(&s, NULL), "10.0.0.0/8 10.9.9.9/32 100.64.0.0/16 fd00::7/128 rules 0");
	add_network(&s, 1, "fd00::/64");
	CHECK(routes(&s, NULL), "10.0.0.0/8 10.9.9.9/32 100.64.0.0/16 fd00::/64 rules 0");
	CHECK(allowed(&s, 1), "100.64.0.7/32 fd00::7/128");
	/* A peer's endpoint inside: our own packets to it must not go in. */
	CHECK(routes(&s, "100.64.3.3"), "10.0.0.0/8 10.9.9.9/32 100.64.0.0/16! fd00::/64 rules 2");
	end(&s);
	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"]");
	g_assert_false(routing_has_networks(s.routing));
	add_network(&s, 0, "100.64.0.0/16");
	g_assert_true(routing_has_networks(s.routing));
	CHECK(routes(&s, NULL), "100.64.0.0/16 rules 0");
	end(&s);
}

static void test_metrics(void)
{
	struct setup s;
	static const uint16_t metrics[] = { 0, 0, 300, 0, 100, 7, 0, 200, 0, 100 };

	BEGIN(&s, "{}", "\"addresses\":[\"100.64.0.1\"]",
		"\"addresses\":[\"100.64.0.2\"],\"routes\":[\"10.1.0.0/16\"]",
		"\"addresses\":[\"100.64.0.3\"],\"routes\":[\"10.1.0.0/16\",\"10.2.0.0/16\"]",
		"\"addresses\":[\"100.64.0.4\"],\"routes\":[\"10.1.0.0/16\"]",
		"\"addresses\":[\"100.64.0.5\"],\"routes\":[\"10.1.0.0/16\"]");
	g_assert_cmpuint(s.map->n_prefixes, ==, G_N_ELEMENTS(metrics));
	CHECK(allowed(&s, 1), "100.64.0.2/32 10.1.0.0/16"); /* without them the first host */
	routing_free(s.routing);
	s.map->metrics = g_memdup2(metrics, sizeof(metrics));
	s.routing = routing_new(s.map, &s.config);
	CHECK(allowed(&s, 1), "100.64.0.2/32");
	CHECK(allowed(&s, 2), "100.64.0.3/32 10.1.0.0/16 10.2.0.0/16");
	s.sick[2] = true; /* then the other one with 100 */
	routing_elect(s.routing, healthy, moved, &s);
	CHECK(allowed(&s, 4), "100.64.0.5/32 10.1.0.0/16");
	s.sick[4] = true;
	routing_elect(s.routing, healthy, moved, &s);
	CHECK(allowed(&s, 3), "100.64.0.4/32 10.1.0.0/16");
	s.sick[3] = true;
	routing_elect(s.routing, healthy, moved, &s);
	CHECK(allowed(&s, 1), "100.64.0.2/32 10.1.0.0/16");
	s.sick[2] = false;
	routing_elect(s.routing, healthy, moved, &s);
	g_assert_cmpstr(s.moved->str, ==, "2 4 4 3 3 1 1 2 ");
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/routing/addresses-merge", test_addresses_merge);
	g_test_add_func("/routing/alone", test_alone);
	g_test_add_func("/routing/policy", test_policy);
	g_test_add_func("/routing/own-and-captured", test_own_and_captured);
	g_test_add_func("/routing/shared", test_shared);
	g_test_add_func("/routing/overlay-networks", test_overlay_networks);
	g_test_add_func("/routing/metrics", test_metrics);
	return g_test_run();
}
