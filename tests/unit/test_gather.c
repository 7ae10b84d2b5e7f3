/* tests/unit/test_gather.c - which addresses become candidates, and what is announced for them. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "ice/gather.h"

static struct prefix host(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static struct gather_address on(const char *ifname, const char *address)
{
	struct gather_address a = { .is_up = true, .address = host(address) };

	g_strlcpy(a.ifname, ifname, sizeof(a.ifname));
	return a;
}

static size_t choose(const struct gather_policy *policy, struct gather_address a)
{
	struct ice_local ret[GATHER_MAX];

	return gather_locals(policy, &a, 1, ret);
}

static void test_interfaces(void)
{
	static const char *const bad[] = { "lo", "lo1", "wt0", "wt1", "wg-mesh", "utun3", "tun0",
		"zt7", "tailscale0", "docker0", "docker_gwbridge", "veth12ab", "br-0123", "cni0",
		"flannel.1", "cali7", "podman0", "lxcbr0", "virbr0" };
	static const char *const good[] = { "eth0", "enp3s0", "br0", "bond0", "tun1", "vlan7" };
	static const char *const only[] = { "enp", NULL };
	const struct gather_policy policy = { 0 }, own = { .blacklist = only };
	struct gather_address a;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpuint(choose(&policy, on(bad[i], "192.0.2.1")), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_cmpuint(choose(&policy, on(good[i], "192.0.2.1")), ==, 1);
	g_assert_cmpuint(choose(&own, on("enp3s0", "192.0.2.1")), ==, 0);
	g_assert_cmpuint(choose(&own, on("docker0", "192.0.2.1")), ==, 1);
	g_assert_cmpuint(choose(&own, on("lo", "192.0.2.1")), ==, 0);
	a = on("eth0", "192.0.2.1");
	a.is_up = false;
	g_assert_cmpuint(choose(&policy, a), ==, 0);
	a = on("eth0", "192.0.2.1");
	a.is_wireguard = true;
	g_assert_cmpuint(choose(&policy, a), ==, 0);
}

static void test_addresses(void)
{
	static const char *const bad[] = { "127.0.0.1", "169.254.1.1", "0.0.0.1", "224.0.0.1",
		"::1", "::192.0.2.1", "fe80::1", "fec0::1", "ff02::1", "100.64.3.1", "fd00:6c::1" };
	static const char *const good[] = { "10.0.0.1", "192.0.2.1", "2001:db8::1", "fd00:1::1" };
	const struct prefix overlay[] = { { AF_INET, 16, { 100, 64 } },
		{ AF_INET6, 32, { 0xfd, 0, 0, 0x6c } } };
	const struct gather_policy policy = { .overlay = overlay, .n_overlay = 2 };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpuint(choose(&policy, on("eth0", bad[i])), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_cmpuint(choose(&policy, on("eth0", good[i])), ==, 1);
}

static void test_limit(void)
{
	const struct gather_policy policy = { 0 };
	struct gather_address many[GATHER_MAX + 4];
	struct ice_local ret[GATHER_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(many); i++) {
		many[i] = on("eth0", "192.0.2.0");
		many[i].address.addr[3] = (uint8_t)i;
	}
	g_assert_cmpuint(gather_locals(&policy, many, G_N_ELEMENTS(many), ret), ==, GATHER_MAX);
	g_assert_cmpuint(ret[GATHER_MAX - 1].address.addr[3], ==, GATHER_MAX - 1);
}

/* What is announced for each of these, by maps apart by spaces. */
static void check_maps(const char *maps, const char *wanted)
{
	const struct gather_address addresses[] = { on("eth0", "2001:db8::1"),
		on("eth0", "10.0.0.1"), on("eth0", "10.0.0.2"), on("eth1", "10.1.0.1") };
	g_auto(GStrv) words = g_strsplit(maps, " ", 0);
	g_autoptr(GString) result = g_string_new(NULL);
	struct gather_map map[8];
	struct gather_policy policy = { .maps = map };
	struct ice_local ret[GATHER_MAX];
	char text[PREFIX_STRLEN];

	for (size_t i = 0; words[i] && words[i][0]; i++, policy.n_maps++)
		g_assert_cmpint(gather_map_parse(words[i], strlen(words[i]), &map[i]), ==, 0);
	g_assert_true(gather_maps_are_good(map, policy.n_maps));
	g_assert_cmpuint(gather_locals(&policy, addresses, 4, ret), ==, 4);
	for (size_t i = 0; i < 4; i++)
		g_string_append_printf(result, "%s%s", i ? " " : "",
			ret[i].announced.family ? prefix_format(&ret[i].announced, text) : "-");
	g_assert_cmpstr(result->str, ==, wanted);
}

static void test_maps(void)
{
	check_maps("", "2001:db8::1/128 10.0.0.1/32 10.0.0.2/32 10.1.0.1/32");
	check_maps("192.0.2.9", "- 192.0.2.9/32 192.0.2.9/32 192.0.2.9/32");
	check_maps("2001:db8::9", "2001:db8::9/128 - - -");
	check_maps("192.0.2.9/10.0.0.2", "- - 192.0.2.9/32 -");
	check_maps("192.0.2.9/eth0", "- 192.0.2.9/32 - -");
	check_maps("192.0.2.1 192.0.2.2/10.0.0.2 192.0.2.3/eth1 2001:db8::9/2001:db8::1",
		"2001:db8::9/128 192.0.2.1/32 192.0.2.2/32 192.0.2.3/32");
}

static void test_bad_maps(void)
{
	static const char *const bad[] = { "", "/", "eth0", "192.0.2.1/", "192.0.2.1/10.0.0.0/8",
		"192.0.2.1/2001:db8::1", "2001:db8::1/10.0.0.1", "2001:db8::1/eth0",
		"192.0.2.1/0123456789abcdef", "192.0.2.1/10.0.0.1/eth0", "192.0.2.0/24",
		"192.0.2.1/a b" };
	struct gather_map map[2];

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(gather_map_parse(bad[i], strlen(bad[i]), map), ==, -EINVAL);
	g_assert_cmpint(gather_map_parse("192.0.2.1", 9, &map[0]), ==, 0);
	g_assert_cmpint(gather_map_parse("192.0.2.2", 9, &map[1]), ==, 0);
	g_assert_false(gather_maps_are_good(map, 2));
	g_assert_cmpint(gather_map_parse("2001:db8::1", 11, &map[1]), ==, 0);
	g_assert_true(gather_maps_are_good(map, 2));
}

static void test_names(void)
{
	static const char *const good[] = { "e", "eth0", "br-", "0123456789abcde", "a:1" };
	static const char *const bad[] = { "", "a b", "a/b", "0123456789abcdef", "a\n", "\x80" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(gather_name_is_good(good[i], strlen(good[i])));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(gather_name_is_good(bad[i], strlen(bad[i])));
	g_assert_false(gather_name_is_good("a\0b", 3));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/gather/interfaces", test_interfaces);
	g_test_add_func("/gather/addresses", test_addresses);
	g_test_add_func("/gather/limit", test_limit);
	g_test_add_func("/gather/maps", test_maps);
	g_test_add_func("/gather/names", test_names);
	g_test_add_func("/gather/bad maps", test_bad_maps);
	return g_test_run();
}
