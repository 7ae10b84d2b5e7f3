/* tests/unit/test_update_routes.c - a server's routes: which go to which peer, which do not, and why. */
#include "tests/unit/message.h"

enum { OURS = 99 };

static const uint8_t our_v6[17] = { 0xfd, [15] = 1, [16] = 64 };

static void begin(struct message *m)
{
	message_begin(m);
	m->own = message_key(OURS);
	m->self.address_v6 = (ProtobufCBinaryData){ sizeof(our_v6), (uint8_t *)our_v6 };
	for (unsigned i = 1; i < 4; i++)
		message_peer(m, i);
}

/* "1: 10.1.0.0/16 m100": the networks of each host with their metrics. */
static char *networks_text(const struct netmap *map)
{
	GString *out = g_string_new(NULL);
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < map->n_hosts; i++) {
		const struct netmap_host *host = &map->hosts[i];

		g_assert_cmpuint(host->n_addresses, ==, i ? 1 : 2);
		for (size_t j = 0; j < host->n_routes; j++) {
			size_t at = host->prefix + host->n_addresses + j;

			g_string_append_printf(out, "%s%zu: %s m%u", out->len ? "; " : "", i,
				prefix_format(&map->prefixes[at], text), map->metrics[at]);
		}
	}
	return g_string_free(out, FALSE);
}

static const char *why(const struct update *u, size_t route)
{
	g_assert_cmpuint(route, <, u->detail->n_routes);
	return detail_text(u->detail, u->detail->routes[route].unused);
}

static struct update *check(struct message *m, const char *expected)
{
	struct update *u = message_read(m);
	g_autofree char *text = networks_text(u->map);

	g_assert_cmpstr(text, ==, expected);
	message_end(m);
	return u;
}

static void test_plain(void)
{
	struct message m;
	struct update *u;
	const struct detail_route *route;

	begin(&m);
	message_route(&m, 3, "192.168.7.0/24", 200)->masquerade = true;
	message_route(&m, 1, "10.2.0.0/16", 100);
	message_route(&m, 1, "10.1.0.9/16", 9999)->keeproute = true; /* bits behind the length */
	message_route(&m, 2, "fd01::/48", 1)->netid = (char *)"other";
	message_route(&m, 1, "192.168.7.0/24", 100);
	u = check(&m,
		"1: 10.1.0.0/16 m9999; 1: 10.2.0.0/16 m100; 1: 192.168.7.0/24 m100; "
		"2: fd01::/48 m1; 3: 192.168.7.0/24 m200");
	g_assert_cmpuint(u->detail->n_left_out, ==, 0);
	g_assert_cmpuint(u->detail->n_routes, ==, 5);
	route = &u->detail->routes[0];
	g_assert_true(route->masquerade && !route->keep && !route->skip_auto && !route->ours);
	g_assert_cmpuint(route->metric, ==, 200);
	g_assert_cmpstr(detail_text(u->detail, route->id), ==, "id-0");
	g_assert_cmpstr(detail_text(u->detail, route->net_id), ==, "net");
	g_assert_true(u->detail->routes[2].keep);
	for (size_t i = 0; i < 5; i++)
		g_assert_cmpstr(why(u, i), ==, "");
	update_free(u);
}

static void test_none(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	message_route(&m, 7, "10.1.0.0/16", 1);
	u = check(&m, "");
	g_assert_null(u->map->metrics); /* nobody routes anything */
	g_assert_cmpstr(why(u, 0), ==, "its router is not among the peers");
	update_free(u);
}

static void test_ours(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	message_route(&m, 1, "10.1.0.0/16", 1); /* of the set that we are in */
	message_route(&m, 1, "10.2.0.0/16", 1);
	message_route(&m, OURS, "10.1.0.0/16", 5);
	message_route(&m, 1, "10.1.0.0/16", 7)->netid = (char *)"another set";
	message_route(&m, 2, "10.1.0.0/16", 1);
	u = check(&m, "0: 10.1.0.0/16 m5; 1: 10.1.0.0/16 m7; 1: 10.2.0.0/16 m1");
	g_assert_cmpstr(why(u, 0), ==, "this host is a router of it");
	g_assert_cmpstr(why(u, 4), ==, "this host is a router of it");
	g_assert_true(u->detail->routes[2].ours);
	update_free(u);
}

static void test_forbidden(void)
{
	static const char *const bad[] = { "127.0.0.0/8", "127.1.2.3/32", "169.254.169.254/32",
		"224.0.0.0/4", "239.1.0.0/16", "::1/128", "fe80::/64", "ff02::/16", "100.92.0.1/32",
		"fd00::1/128", "100.92.1.2/32", "100.92.0.0/16", "100.92.128.0/17", "fd00::/64" };
	struct message m;
	struct update *u;

	begin(&m);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		message_route(&m, 1, bad[i], 1);
	message_route(&m, 1, "100.64.0.0/10", 1); /* around the overlay */
	u = check(&m, "1: 100.64.0.0/10 m1");
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpstr(why(u, i), ==, "such a network is never routed");
	update_free(u);
}

static void test_broken(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	message_route(&m, 1, "10.1.0.0/33", 1);
	message_route(&m, 1, "x", 1);
	message_route(&m, 1, "", 1);
	message_route(&m, 1, "10.1.0.0/16", 1)->networktype = 2;
	message_route(&m, 1, "fd01::/48", 1)->networktype = 1;
	message_route(&m, 1, "10.1.0.0/16", 1)->networktype = 0;
	message_route(&m, 1, "10.1.0.0/16", 1)->networktype = -1;
	message_route(&m, 1, "10.1.0.0/16", 1)->peer = (char *)"x";
	message_route(&m, 1, "10.3.0.0/16", -1);
	message_route(&m, 1, "10.4.0.0/16", 10000)->id = (char *)"\x1b[2J";
	message_route(&m, 1, "10.5.0.0/16", INT64_MIN)->netid = (char *)"\xff";
	u = check(&m, "1: 10.3.0.0/16 m9999; 1: 10.4.0.0/16 m9999; 1: 10.5.0.0/16 m9999");
	g_assert_cmpuint(u->detail->n_routes, ==, 3);
	g_assert_cmpuint(u->detail->n_left_out, ==, 8 + 3);
	g_assert_cmpuint(u->detail->routes[1].id, ==, 0);
	g_assert_cmpuint(u->detail->routes[2].net_id, ==, 0);
	update_free(u);
}

static void test_repeated(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	message_route(&m, 1, "10.1.0.0/16", 9);
	message_route(&m, 1, "10.1.0.0/16", 3)->netid = (char *)"b";
	message_route(&m, 1, "10.1.0.0/16", 9)->netid = (char *)"c";
	u = check(&m, "1: 10.1.0.0/16 m3");
	g_assert_cmpstr(why(u, 0), ==, "another one says the same");
	g_assert_cmpstr(why(u, 1), ==, "");
	g_assert_cmpstr(why(u, 2), ==, "another one says the same");
	update_free(u);
}

static void test_domains(void)
{
	struct message m;
	struct update *u;
	Management__Route *route;

	begin(&m);
	route = message_route(&m, 1, "192.0.2.0/32", 1);
	route->networktype = 3;
	route->domains = message_list(&m, "Example.NET.", "*.Example.org");
	route->n_domains = 2;
	route = message_route(&m, 1, "192.0.2.0/32", 1);
	route->networktype = 3;
	route->domains = message_list(&m, "a b", NULL);
	route->n_domains = 1;
	u = check(&m, "");
	g_assert_cmpuint(u->detail->n_routes, ==, 1);
	g_assert_cmpstr(detail_text(u->detail, u->detail->routes[0].domains), ==,
		"example.net, *.example.org");
	g_assert_cmpstr(why(u, 0), ==, "routes to domains are not supported");
	update_free(u);
}

static void add_exit(
	struct message *m, unsigned router, const char *network, const char *net_id, bool skip)
{
	Management__Route *route = message_route(m, router, network, 1);

	route->netid = (char *)net_id;
	route->skipautoapply = skip;
}

static void test_exit(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	add_exit(&m, 1, "0.0.0.0/0", "paris", false);
	add_exit(&m, 1, "::/0", "paris-v6", false);
	add_exit(&m, 2, "0.0.0.0/0", "berlin", false);
	add_exit(&m, 2, "::/0", "berlin-v6", false);
	add_exit(&m, 3, "0.0.0.0/0", "berlin", false); /* the same network: a second router */
	add_exit(&m, 3, "0.0.0.0/0", "athens", true); /* not by itself */
	add_exit(&m, 7, "0.0.0.0/0", "aachen", false); /* nobody there */
	u = check(&m, "2: 0.0.0.0/0 m1; 2: ::/0 m1; 3: 0.0.0.0/0 m1");
	g_assert_cmpstr(why(u, 0), ==, "another exit node is used");
	g_assert_cmpstr(why(u, 1), ==, "another exit node is used");
	g_assert_cmpstr(why(u, 5), ==, "this exit node has to be selected");
	g_assert_true(u->detail->routes[5].skip_auto);
	update_free(u);
	begin(&m);
	add_exit(&m, 3, "0.0.0.0/0", "athens", true);
	message_route(&m, 3, "10.0.0.0/8", 1)->skipautoapply = true; /* only exits care */
	update_free(check(&m, "3: 10.0.0.0/8 m1"));
}

static void test_no_v6(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	m.self.address_v6.len = 0;
	message_route(&m, 1, "fd01::/48", 1);
	u = message_read(&m);
	g_assert_cmpuint(u->map->hosts[1].n_routes, ==, 0);
	g_assert_cmpstr(why(u, 0), ==, "this host has no IPv6 in the overlay");
	update_free(u);
	message_end(&m);
}

static void test_limits(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	for (unsigned i = 0; i < UPDATE_ROUTES_MAX + 1; i++)
		message_route(&m, i < 5000 ? 1 : 9,
			message_text(&m, "10.%u.%u.0/24", i / 256 % 256, i % 256), 1);
	u = message_read(&m);
	g_assert_cmpuint(u->detail->n_routes, ==, UPDATE_ROUTES_MAX);
	g_assert_cmpuint(u->detail->n_left_out, ==, 1);
	g_assert_cmpuint(u->map->hosts[1].n_routes, ==, NETMAP_PREFIXES_MAX - 1);
	g_assert_cmpstr(why(u, 4999), ==, "its router has too many");
	g_assert_cmpuint(u->map->hosts[2].n_routes, ==, 0);
	g_assert_cmpuint(u->map->hosts[2].prefix, ==, 2 + NETMAP_PREFIXES_MAX);
	update_free(u);
	message_end(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/update-routes/plain", test_plain);
	g_test_add_func("/update-routes/none", test_none);
	g_test_add_func("/update-routes/ours", test_ours);
	g_test_add_func("/update-routes/forbidden", test_forbidden);
	g_test_add_func("/update-routes/broken", test_broken);
	g_test_add_func("/update-routes/repeated", test_repeated);
	g_test_add_func("/update-routes/domains", test_domains);
	g_test_add_func("/update-routes/exit", test_exit);
	g_test_add_func("/update-routes/no-v6", test_no_v6);
	g_test_add_func("/update-routes/limits", test_limits);
	return g_test_run();
}
