/* tests/unit/test_link.c - requests about links, addresses, routes and rules, and how answers are
 * read, without a kernel. */
#include "netlink/link.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "netlink/ifaddr.h"
#include "netlink/route.h"
#include "tests/unit/fake_nl.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static void assert_sent(struct bytes *want, size_t message)
{
	bytes_end(want, message);
	g_assert_cmpmem(fake.sent, fake.len, want->b, want->len);
	fake_reset();
	want->len = 0;
}

/* -- links ---------------------------------------------------------------------------------- */

static size_t put_link(
	struct bytes *out, uint16_t type, uint16_t flags, int index, unsigned up, unsigned change)
{
	const struct ifinfomsg ifi = { .ifi_index = index, .ifi_flags = up, .ifi_change = change };
	size_t message = bytes_message(out, type, flags, 0);

	bytes_put(out, &ifi, sizeof(ifi));
	return message;
}

static void put_kind(struct bytes *out, const char *kind)
{
	size_t nest = bytes_nest(out, IFLA_LINKINFO);

	bytes_attr_text(out, IFLA_INFO_KIND, kind);
	bytes_close(out, nest);
}

static void test_link_sends(void)
{
	const struct link_change all = { "wt1", "lapwing:x", 1420, 1 }, down = { .up = 0 },
				 none = { .up = -1 };
	struct bytes want = { 0 };
	size_t message;

	fake_reset();
	g_assert_cmpint(link_delete(NULL, 5), ==, 0);
	assert_sent(&want, put_link(&want, RTM_DELLINK, 0, 5, 0, 0));
	g_assert_cmpint(link_set(NULL, 5, &down), ==, 0);
	assert_sent(&want, put_link(&want, RTM_NEWLINK, 0, 5, 0, IFF_UP));
	g_assert_cmpint(link_set(NULL, 5, &none), ==, 0);
	assert_sent(&want, put_link(&want, RTM_NEWLINK, 0, 5, 0, 0));
	g_assert_cmpint(link_set(NULL, 5, &all), ==, 0);
	message = put_link(&want, RTM_NEWLINK, 0, 5, IFF_UP, IFF_UP);
	bytes_attr_text(&want, IFLA_IFNAME, "wt1");
	bytes_attr(&want, IFLA_IFALIAS, "lapwing:x", 9);
	bytes_attr_u32(&want, IFLA_MTU, 1420);
	assert_sent(&want, message);
}

static void test_link_limits(void)
{
	g_autofree char *alias = g_strnfill(LINK_ALIAS_MAX, 'x');
	const struct link_change long_name = { .name = "sixteen_letters_", .up = -1 },
				 long_alias = { .alias = alias, .up = -1 };
	struct link_info link;
	unsigned index;

	fake_reset();
	g_assert_cmpint(link_set(NULL, 5, &long_name), ==, -EINVAL);
	g_assert_cmpint(link_set(NULL, 5, &long_alias), ==, -EINVAL);
	g_assert_cmpint(link_set(NULL, 0, &long_alias), ==, -ENODEV);
	g_assert_cmpint(link_create(NULL, "sixteen_letters_", "veth", &index), ==, -EINVAL);
	g_assert_cmpint(link_create(NULL, "", "veth", &index), ==, -EINVAL);
	g_assert_cmpint(link_get_by_name(NULL, "sixteen_letters_", &link), ==, -ENODEV);
	g_assert_cmpint(link_get(NULL, 0, &link), ==, -ENODEV);
	g_assert_cmpint(link_delete(NULL, 0), ==, -ENODEV);
	g_assert_cmpuint(fake.n, ==, 0);
	alias[LINK_ALIAS_MAX - 1] = '\0';
	g_assert_cmpint(link_set(NULL, 5, &long_alias), ==, 0);
	g_assert_cmpuint(fake.len, ==, 16 + 16 + 4 + 256);
}

static void put_link_reply(struct bytes *out, int index, const char *name, const char *kind)
{
	size_t message = put_link(out, RTM_NEWLINK, 0, index, IFF_UP | IFF_RUNNING, 0);

	bytes_attr_text(out, IFLA_IFNAME, name);
	bytes_attr_u32(out, IFLA_MTU, 1420);
	bytes_attr_u32(out, 200, 1);
	if (kind)
		put_kind(out, kind);
	bytes_attr_text(out, IFLA_IFALIAS, "an alias");
	bytes_end(out, message);
}

static void test_link_create(void)
{
	struct bytes want = { 0 }, reply = { 0 };
	unsigned index = 0;
	size_t message = put_link(&want, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);

	bytes_attr_text(&want, IFLA_IFNAME, "wt0");
	put_kind(&want, "wireguard");
	bytes_end(&want, message);
	put_link_reply(&reply, 12, "wt0", "wireguard");
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(link_create(NULL, "wt0", "wireguard", &index), ==, 0);
	g_assert_cmpuint(index, ==, 12);
	g_assert_cmpuint(fake.n, ==, 2);
	g_assert_cmpmem(fake.sent, want.len, want.b, want.len);
}

static int collect_link(const struct link_info *link, void *user)
{
	g_array_append_vals(user, link, 1);
	return 0;
}

static void test_link_reads(void)
{
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct link_info));
	struct bytes reply = { 0 };
	struct link_info *link;

	put_link_reply(&reply, 1, "eth0", NULL);
	put_link_reply(&reply, 2, "br0", "bridge");
	put_link_reply(&reply, 3, "a_name_far_longer_than_any", "wireguard");
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(link_foreach(NULL, "wireguard", collect_link, list), ==, 0);
	g_assert_cmpuint(list->len, ==, 1);
	link = &g_array_index(list, struct link_info, 0);
	g_assert_cmpuint(link->index, ==, 3);
	g_assert_cmpstr(link->name, ==, "a_name_far_long");
	g_assert_cmpstr(link->kind, ==, "wireguard");
	g_assert_cmpstr(link->alias, ==, "an alias");
	g_assert_cmpuint(link->mtu, ==, 1420);
	g_assert_true(link->up);
}

/* -- addresses ------------------------------------------------------------------------------ */

static size_t put_address(struct bytes *out, uint16_t type, uint16_t flags, uint8_t family,
	uint8_t bits, unsigned index)
{
	const struct ifaddrmsg ifa = {
		.ifa_family = family, .ifa_prefixlen = bits, .ifa_index = index
	};
	size_t message = bytes_message(out, type, flags, 0);

	bytes_put(out, &ifa, sizeof(ifa));
	return message;
}

static void test_address_sends(void)
{
	static const uint8_t v4[4] = { 100, 64, 0, 1 }, v6[16] = { 0xfd, [15] = 1 };
	struct prefix p4 = prefix("100.64.0.1"), p6 = prefix("fd00::1");
	struct bytes want = { 0 };
	size_t message;

	p4.bits = 10;
	fake_reset();
	g_assert_cmpint(ifaddr_add(NULL, 5, &p4), ==, 0);
	message = put_address(&want, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, AF_INET, 10, 5);
	bytes_attr(&want, IFA_LOCAL, v4, 4);
	bytes_attr(&want, IFA_ADDRESS, v4, 4);
	assert_sent(&want, message);
	g_assert_cmpint(ifaddr_add(NULL, 5, &p6), ==, 0);
	message = put_address(&want, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, AF_INET6, 128, 5);
	bytes_attr(&want, IFA_LOCAL, v6, 16);
	bytes_attr(&want, IFA_ADDRESS, v6, 16);
	bytes_attr_u32(&want, IFA_FLAGS, IFA_F_NODAD);
	assert_sent(&want, message);
	g_assert_cmpint(ifaddr_remove(NULL, 5, &p6), ==, 0);
	message = put_address(&want, RTM_DELADDR, 0, AF_INET6, 128, 5);
	bytes_attr(&want, IFA_LOCAL, v6, 16);
	bytes_attr(&want, IFA_ADDRESS, v6, 16);
	assert_sent(&want, message);
}

static int collect_prefix(const struct prefix *p, void *user)
{
	g_array_append_vals(user, p, 1);
	return 0;
}

/* Of another interface, with a peer's address, the kernel's own, and a plain one. */
static void test_address_reads(void)
{
	static const uint8_t v4[4] = { 10, 0, 0, 1 }, other[4] = { 10, 0, 0, 2 };
	static const uint8_t local[16] = { 0xfe, 0x80, [15] = 1 }, v6[16] = { 0xfd, [15] = 1 };
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	struct prefix want4 = prefix("10.0.0.1"), want6 = prefix("fd00::1");
	struct bytes reply = { 0 };
	size_t message = put_address(&reply, RTM_NEWADDR, 0, AF_INET, 32, 6);

	bytes_attr(&reply, IFA_LOCAL, v4, 4);
	bytes_end(&reply, message);
	message = put_address(&reply, RTM_NEWADDR, 0, AF_INET, 32, 5);
	bytes_attr(&reply, IFA_ADDRESS, other, 4);
	bytes_attr(&reply, IFA_LOCAL, v4, 4);
	bytes_end(&reply, message);
	message = put_address(&reply, RTM_NEWADDR, 0, AF_INET6, 64, 5);
	bytes_attr(&reply, IFA_ADDRESS, local, 16);
	bytes_attr_u8(&reply, IFA_PROTO, IFAPROT_KERNEL_LL);
	bytes_end(&reply, message);
	message = put_address(&reply, RTM_NEWADDR, 0, AF_INET6, 128, 5);
	bytes_attr(&reply, IFA_ADDRESS, v6, 16);
	bytes_end(&reply, message);
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(ifaddr_foreach(NULL, 5, collect_prefix, list), ==, 0);
	g_assert_cmpuint(fake.n, ==, 2);
	g_assert_cmpuint(list->len, ==, 2);
	g_assert_true(prefix_is_same(&g_array_index(list, struct prefix, 0), &want4));
	g_assert_true(prefix_is_same(&g_array_index(list, struct prefix, 1), &want6));
}

/* -- routes --------------------------------------------------------------------------------- */

static void test_route_sends(void)
{
	static const uint8_t v4[4] = { 10, 9 }, v6[16] = { 0 };
	const struct {
		struct route route;
		struct rtmsg header;
		const uint8_t *dst;
		size_t len;
	} cases[] = {
		{ { prefix("10.9.0.0/16"), ROUTE_TABLE_MAIN, 5 },
			{ AF_INET, 16, 0, 0, 0, ROUTE_PROTO, RT_SCOPE_LINK, RTN_UNICAST, 0 }, v4,
			4 },
		{ { prefix("::/0"), 51820, 6 },
			{ AF_INET6, 0, 0, 0, 0, ROUTE_PROTO, RT_SCOPE_LINK, RTN_UNICAST, 0 }, v6,
			16 },
	};

	fake_reset();
	for (size_t i = 0; i < G_N_ELEMENTS(cases) * 2; i++) {
		const struct route *route = &cases[i / 2].route;
		bool add = i % 2;
		struct bytes want = { 0 };
		size_t message = bytes_message(&want, add ? RTM_NEWROUTE : RTM_DELROUTE,
			add ? NLM_F_CREATE | NLM_F_EXCL : 0, 0);

		bytes_put(&want, &cases[i / 2].header, sizeof(struct rtmsg));
		bytes_attr(&want, RTA_DST, cases[i / 2].dst, cases[i / 2].len);
		bytes_attr_u32(&want, RTA_OIF, route->ifindex);
		bytes_attr_u32(&want, RTA_PRIORITY, ROUTE_METRIC);
		bytes_attr_u32(&want, RTA_TABLE, route->table);
		g_assert_cmpint(add ? route_add(NULL, route) : route_remove(NULL, route), ==, 0);
		assert_sent(&want, message);
	}
}

static void put_route(struct bytes *out, struct rtmsg header, uint32_t oif, const uint8_t *dst)
{
	size_t message = bytes_message(out, RTM_NEWROUTE, 0, 0);

	bytes_put(out, &header, sizeof(header));
	if (dst)
		bytes_attr(out, RTA_DST, dst, header.rtm_family == AF_INET ? 4 : 16);
	if (oif)
		bytes_attr_u32(out, RTA_OIF, oif);
	bytes_attr_u32(out, RTA_TABLE, 51820);
	bytes_end(out, message);
}

static int collect_route(const struct route *route, void *user)
{
	g_array_append_vals(user, route, 1);
	return 0;
}

/* Kernels that don't filter list everything. */
static void test_route_reads(void)
{
	static const uint8_t v4[16] = { 10, 9 };
	const struct rtmsg ours = {
		.rtm_family = AF_INET,
		.rtm_dst_len = 16,
		.rtm_protocol = ROUTE_PROTO,
		.rtm_type = RTN_UNICAST,
		.rtm_table = 252,
	};
	struct rtmsg others[3] = { ours, ours, ours }, standard = ours, wrong = ours;
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct route));
	struct prefix want = prefix("10.9.0.0/16"), want_default = prefix("0.0.0.0/0");
	struct bytes reply = { 0 };
	struct route *route;

	others[0].rtm_protocol = 4;
	others[1].rtm_type = RTN_UNREACHABLE;
	others[2].rtm_family = AF_BRIDGE;
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		put_route(&reply, others[i], 5, v4);
	put_route(&reply, ours, 6, v4);
	put_route(&reply, ours, 0, v4);
	put_route(&reply, ours, 5, v4);
	standard.rtm_dst_len = 0;
	put_route(&reply, standard, 5, NULL);
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(route_foreach(NULL, 5, collect_route, list), ==, 0);
	g_assert_cmpuint(list->len, ==, 2);
	route = &g_array_index(list, struct route, 0);
	g_assert_true(prefix_is_same(&route->dst, &want));
	g_assert_cmpuint(route->table, ==, 51820);
	g_assert_cmpuint(route->ifindex, ==, 5);
	route = &g_array_index(list, struct route, 1);
	g_assert_true(prefix_is_same(&route->dst, &want_default));

	wrong.rtm_dst_len = 33;
	reply.len = 0;
	put_route(&reply, wrong, 5, v4);
	g_assert_cmpint(route_foreach(NULL, 5, collect_route, list), ==, -EPROTO);
	reply.len = 0;
	put_route(&reply, ours, 5, NULL);
	g_assert_cmpint(route_foreach(NULL, 5, collect_route, list), ==, -EPROTO);
}

static void test_route_request(void)
{
	struct bytes want = { 0 };

	for (int i = 0; i < 2; i++) {
		const struct rtmsg header = { .rtm_family = i ? AF_INET6 : AF_INET,
			.rtm_protocol = ROUTE_PROTO };
		size_t message = bytes_message(&want, RTM_GETROUTE, 0, 0);

		bytes_put(&want, &header, sizeof(header));
		bytes_attr_u32(&want, RTA_OIF, 5);
		bytes_end(&want, message);
	}
	fake_reset();
	g_assert_cmpint(route_foreach(NULL, 5, collect_route, NULL), ==, 0);
	g_assert_cmpmem(fake.sent, fake.len, want.b, want.len);
}

/* -- rules ---------------------------------------------------------------------------------- */

static void test_rule_sends(void)
{
	const struct rule main_rule = { AF_INET, 30000, ROUTE_TABLE_MAIN, false, 0, 0 },
			  own = { AF_INET6, 30001, 51820, true, 0x4c50, -1 };
	struct fib_rule_hdr header = { .family = AF_INET, .action = FR_ACT_TO_TBL };
	struct bytes want = { 0 };
	size_t message = bytes_message(&want, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, 0);

	fake_reset();
	bytes_put(&want, &header, sizeof(header));
	bytes_attr_u32(&want, FRA_PRIORITY, 30000);
	bytes_attr_u32(&want, FRA_TABLE, 254);
	bytes_attr_u8(&want, FRA_PROTOCOL, ROUTE_PROTO);
	bytes_attr_u32(&want, FRA_SUPPRESS_PREFIXLEN, 0);
	g_assert_cmpint(rule_add(NULL, &main_rule), ==, 0);
	assert_sent(&want, message);

	message = bytes_message(&want, RTM_DELRULE, 0, 0);
	header.family = AF_INET6;
	header.flags = FIB_RULE_INVERT;
	bytes_put(&want, &header, sizeof(header));
	bytes_attr_u32(&want, FRA_PRIORITY, 30001);
	bytes_attr_u32(&want, FRA_TABLE, 51820);
	bytes_attr_u8(&want, FRA_PROTOCOL, ROUTE_PROTO);
	bytes_attr_u32(&want, FRA_FWMARK, 0x4c50);
	bytes_attr_u32(&want, FRA_FWMASK, UINT32_MAX);
	g_assert_cmpint(rule_remove(NULL, &own), ==, 0);
	assert_sent(&want, message);
}

/* -- junk ----------------------------------------------------------------------------------- */

static int ignore_rule(const struct rule *rule, void *user)
{
	return 0;
}

/* Every kind of answer, cut at every length and taken for every other kind. */
static void test_truncated(void)
{
	static const uint16_t types[] = { RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWRULE };
	const struct endpoint to = { .family = AF_INET };
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct link_info));
	struct bytes whole = { 0 };
	struct link_info link;
	uint32_t mtu;
	unsigned index;

	put_link_reply(&whole, 3, "wt0", "wireguard");
	for (size_t len = NLMSG_HDRLEN; len <= whole.len; len++) {
		for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
			g_autofree struct nlmsghdr *nlh = bytes_cut(&whole, len);
			struct bytes reply = { .len = len };

			nlh->nlmsg_type = types[i];
			memcpy(reply.b, nlh, len);
			fake_reset();
			fake.reply = &reply;
			link_get(NULL, 3, &link);
			link_foreach(NULL, "wireguard", collect_link, list);
			ifaddr_foreach(NULL, 0, collect_prefix, list);
			route_foreach(NULL, 0, collect_route, list);
			rule_foreach(NULL, ignore_rule, NULL);
			route_path(NULL, &to, 1, &mtu, &index);
			g_array_set_size(list, 0);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/link/sends", test_link_sends);
	g_test_add_func("/link/limits", test_link_limits);
	g_test_add_func("/link/create", test_link_create);
	g_test_add_func("/link/reads", test_link_reads);
	g_test_add_func("/link/address/sends", test_address_sends);
	g_test_add_func("/link/address/reads", test_address_reads);
	g_test_add_func("/link/route/sends", test_route_sends);
	g_test_add_func("/link/route/reads", test_route_reads);
	g_test_add_func("/link/route/request", test_route_request);
	g_test_add_func("/link/rule/sends", test_rule_sends);
	g_test_add_func("/link/truncated", test_truncated);
	return g_test_run();
}
