/* tests/unit/test_route.c - links, addresses, routes and rules on the kernel at hand. */
#include "netlink/route.h"

#include "netlink/ifaddr.h"
#include "tests/unit/live.h"

enum { TABLE = 51820, MARK = 0x4c50 };

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
	return e;
}

/* -- links ---------------------------------------------------------------------------------- */

static int find_link(const struct link_info *link, void *user)
{
	g_assert_cmpstr(link->kind, ==, "veth");
	return strcmp(link->name, user) == 0;
}

static void test_link(void)
{
	const struct link_change down = { .alias = "lapwing:test", .up = 0 },
				 rename = { .name = "wt9", .alias = "", .up = -1 };
	struct link_info link;
	struct nl *nl;
	unsigned index = live_link(&nl), other = 0;

	if (!index)
		return;
	g_assert_cmpint(link_create(nl, "wt0", "veth", &other), ==, -EEXIST);
	g_assert_cmpint(link_create(nl, "wt1", "lapwing-none", &other), ==, -EOPNOTSUPP);
	g_assert_cmpstr(nl_error_text(nl), !=, "");
	g_assert_cmpint(link_create(nl, "name-far-too-long", "veth", &other), ==, -EINVAL);
	g_assert_cmpuint(other, ==, 0);

	g_assert_cmpint(link_get(nl, index, &link), ==, 0);
	g_assert_cmpuint(link.mtu, ==, 1380);
	g_assert_true(link.up);
	g_assert_cmpint(link_set(nl, index, &down), ==, 0);
	g_assert_cmpint(link_get_by_name(nl, "wt0", &link), ==, 0);
	g_assert_cmpuint(link.index, ==, index);
	g_assert_cmpstr(link.kind, ==, "veth");
	g_assert_cmpstr(link.alias, ==, "lapwing:test");
	g_assert_false(link.up);
	g_assert_cmpint(link_set(nl, index, &rename), ==, 0);
	g_assert_cmpint(link_get(nl, index, &link), ==, 0);
	g_assert_cmpstr(link.name, ==, "wt9");
	g_assert_cmpstr(link.alias, ==, "");

	g_assert_cmpint(link_foreach(nl, "veth", find_link, (void *)"wt9"), ==, 1);
	g_assert_cmpint(link_foreach(nl, "lapwing-none", find_link, (void *)"wt9"), ==, 0);
	g_assert_cmpint(link_delete(nl, index), ==, 0);
	g_assert_cmpint(link_delete(nl, index), ==, -ENODEV);
	g_assert_cmpint(link_delete(nl, 0), ==, -ENODEV);
	g_assert_cmpint(link_get(nl, index, &link), ==, -ENODEV);
	g_assert_cmpint(link_get_by_name(nl, "wt9", &link), ==, -ENODEV);
	g_assert_cmpint(link_set(nl, index, &rename), ==, -ENODEV);
	nl_close(nl);
}

/* -- addresses ------------------------------------------------------------------------------ */

static int collect_prefix(const struct prefix *p, void *user)
{
	g_array_append_vals(user, p, 1);
	return 0;
}

static bool is_listed(const GArray *list, const struct prefix *p)
{
	for (guint i = 0; i < list->len; i++)
		if (prefix_is_same(&g_array_index(list, struct prefix, i), p))
			return true;
	return false;
}

static void test_addresses(void)
{
	struct prefix addresses[] = { prefix("100.64.0.1"), prefix("fd00::1") };
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	struct nl *nl;
	unsigned index = live_link(&nl);

	if (!index)
		return;
	addresses[0].bits = 10;
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_assert_cmpint(ifaddr_add(nl, index, &addresses[i]), ==, 0);
		g_assert_cmpint(ifaddr_add(nl, index, &addresses[i]), ==, -EEXIST);
	}
	g_assert_cmpint(ifaddr_foreach(nl, index, collect_prefix, list), ==, 0);
	g_assert_true(is_listed(list, &addresses[0]) && is_listed(list, &addresses[1]));
	g_assert_cmpint(ifaddr_foreach(nl, index + 1000, collect_prefix, list), ==, -ENODEV);
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_assert_cmpint(ifaddr_remove(nl, index, &addresses[i]), ==, 0);
		g_assert_cmpint(ifaddr_remove(nl, index, &addresses[i]), ==, -EADDRNOTAVAIL);
	}
	g_array_set_size(list, 0);
	g_assert_cmpint(ifaddr_foreach(nl, index, collect_prefix, list), ==, 0);
	g_assert_false(is_listed(list, &addresses[0]) || is_listed(list, &addresses[1]));
	nl_close(nl);
}

/* -- routes --------------------------------------------------------------------------------- */

static int collect_route(const struct route *route, void *user)
{
	g_array_append_vals(user, route, 1);
	return 0;
}

static bool has_route(const GArray *list, const struct route *r)
{
	for (guint i = 0; i < list->len; i++) {
		const struct route *have = &g_array_index(list, struct route, i);

		if (prefix_is_same(&have->dst, &r->dst) && have->table == r->table &&
			have->ifindex == r->ifindex)
			return true;
	}
	return false;
}

static void test_routes(void)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct route));
	struct route routes[] = {
		{ prefix("10.9.0.0/16"), ROUTE_TABLE_MAIN, 0 },
		{ prefix("10.9.1.1/32"), TABLE, 0 },
		{ prefix("0.0.0.0/0"), TABLE, 0 },
		{ prefix("fd09::/32"), ROUTE_TABLE_MAIN, 0 },
		{ prefix("::/0"), TABLE, 0 },
	};
	struct nl *nl;
	unsigned index = live_link(&nl);

	if (!index)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
		routes[i].ifindex = index;
		g_assert_cmpint(route_add(nl, &routes[i]), ==, 0);
		g_assert_cmpint(route_add(nl, &routes[i]), ==, -EEXIST);
	}
	g_assert_cmpint(route_foreach(nl, index, collect_route, list), ==, 0);
	g_assert_cmpuint(list->len, ==, G_N_ELEMENTS(routes));
	for (size_t i = 0; i < G_N_ELEMENTS(routes); i++)
		g_assert_true(has_route(list, &routes[i]));
	/* No others than those over this interface. */
	g_array_set_size(list, 0);
	g_assert_cmpint(route_foreach(nl, 1, collect_route, list), ==, 0);
	g_assert_cmpuint(list->len, ==, 0);
	g_assert_cmpint(route_foreach(nl, index + 1000, collect_route, list), ==, -ENODEV);
	for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
		g_assert_cmpint(route_remove(nl, &routes[i]), ==, 0);
		g_assert_cmpint(route_remove(nl, &routes[i]), ==, -ESRCH);
	}
	nl_close(nl);
}

/* -- rules ---------------------------------------------------------------------------------- */

static int collect_rule(const struct rule *rule, void *user)
{
	g_array_append_vals(user, rule, 1);
	return 0;
}

static bool has_rule(const GArray *list, const struct rule *r)
{
	for (guint i = 0; i < list->len; i++) {
		const struct rule *have = &g_array_index(list, struct rule, i);

		if (have->family == r->family && have->priority == r->priority &&
			have->table == r->table && have->not_mark == r->not_mark &&
			have->mark == r->mark &&
			have->suppress_prefixlength == r->suppress_prefixlength)
			return true;
	}
	return false;
}

static const struct rule rules[] = {
	{ AF_INET, 30000, ROUTE_TABLE_MAIN, false, 0, 0 },
	{ AF_INET, 30001, TABLE, true, MARK, -1 },
	{ AF_INET6, 30000, ROUTE_TABLE_MAIN, false, 0, 0 },
	{ AF_INET6, 30001, TABLE, true, MARK, -1 },
};

static void test_rules(void)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct rule));
	struct nl *nl;

	if (!live_namespace())
		return;
	g_assert_cmpint(nl_open(NETLINK_ROUTE, &nl), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
		g_assert_cmpint(rule_add(nl, &rules[i]), ==, 0);
		g_assert_cmpint(rule_add(nl, &rules[i]), ==, -EEXIST);
	}
	g_assert_cmpint(rule_foreach(nl, collect_rule, list), ==, 0);
	g_assert_cmpuint(list->len, ==, G_N_ELEMENTS(rules));
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		g_assert_true(has_rule(list, &rules[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
		g_assert_cmpint(rule_remove(nl, &rules[i]), ==, 0);
		g_assert_cmpint(rule_remove(nl, &rules[i]), ==, -ENOENT);
	}
	nl_close(nl);
}

/* -- the way of a packet -------------------------------------------------------------------- */

/* With a default route of ours only our own mark stays out of the tunnel. */
static void test_path(void)
{
	static const char *const hosts[] = { "192.0.2.1:1", "[2001:db8::1]:1" };
	struct route routes[] = { { prefix("0.0.0.0/0"), TABLE, 0 }, { prefix("::/0"), TABLE, 0 } };
	struct endpoint e;
	struct nl *nl;
	unsigned index = live_link(&nl), device = 0;
	uint32_t mtu = 0;

	if (!index)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
		e = endpoint(hosts[i]);
		g_assert_cmpint(route_path(nl, &e, MARK, &mtu, &device), ==, -ENETUNREACH);
		routes[i].ifindex = index;
		g_assert_cmpint(route_add(nl, &routes[i]), ==, 0);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(rules); i++)
		g_assert_cmpint(rule_add(nl, &rules[i]), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
		e = endpoint(hosts[i]);
		mtu = 1;
		device = 0;
		g_assert_cmpint(route_path(nl, &e, 0, &mtu, &device), ==, 0);
		g_assert_cmpuint(mtu, ==, 0);
		g_assert_cmpuint(device, ==, index);
		g_assert_cmpint(route_path(nl, &e, MARK, &mtu, &device), ==, -ENETUNREACH);
	}
	nl_close(nl);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/route/live/link", test_link);
	g_test_add_func("/route/live/addresses", test_addresses);
	g_test_add_func("/route/live/routes", test_routes);
	g_test_add_func("/route/live/rules", test_rules);
	g_test_add_func("/route/live/path", test_path);
	return g_test_run();
}
