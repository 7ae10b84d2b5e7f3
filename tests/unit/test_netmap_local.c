/* tests/unit/test_netmap_local.c - what a host writes into a map itself; names and ports. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/hostport.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

static const char mesh[] =
	"{\"mesh\": \"t\", \"hosts\": ["
	"{\"name\": \"a\", \"public_key\": \"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=\", "
	"\"addresses\": [\"100.64.0.1\"]},"
	"{\"name\": \"b.x\", \"public_key\": \"WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns=\", "
	"\"addresses\": [\"100.64.0.2\"], \"endpoints\": [\"192.0.2.9:1\"]}]}";

static struct netmap *new_map(void)
{
	char error[MESHFILE_ERROR_MAX];
	struct wg_key own;
	struct netmap *map;

	g_assert_cmpint(
		key_parse("B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=", KEY_TEXT_LEN, &own), ==,
		0);
	g_assert_cmpint(meshfile_parse(mesh, strlen(mesh), &own, 10, &map, error), ==, 0);
	return map;
}

static void test_endpoints(void)
{
	const char *const at[] = { "198.51.100.7:51820", "nonsense", "[2001:db8::1]:7",
		"b.example:51821", NULL };
	struct netmap *map = new_map();
	const struct netmap_host *b = &map->hosts[1];
	const struct netmap_endpoint *e;
	char text[ENDPOINT_STRLEN];

	g_assert_cmpint(netmap_set_endpoints(map, "nobody", at), ==, 0);
	g_assert_cmpint(netmap_set_endpoints(map, "a", at), ==, 0);
	g_assert_cmpint(netmap_set_endpoints(map, "b.x", at), ==, 3);
	e = &map->endpoints[b->endpoint];
	g_assert_cmpint(b->n_endpoints, ==, 3);
	g_assert_cmpstr(endpoint_format(&e[0].address, text), ==, "198.51.100.7:51820");
	g_assert_cmpstr(endpoint_format(&e[1].address, text), ==, "[2001:db8::1]:7");
	g_assert_cmpint(e[2].address.family, ==, 0);
	g_assert_cmpint(e[2].address.port, ==, 51821);
	g_assert_cmpstr(netmap_text(map, e[2].name), ==, "b.example");
	g_assert_cmpint(
		netmap_set_endpoints(map, "WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns=", at + 3),
		==, 1);
	netmap_free(map);
}

static void test_psk(void)
{
	struct netmap *map = new_map();

	netmap_set_psk_file(map, "/var/lib/lapwing/network.psk");
	g_assert_cmpint(map->hosts[0].psk_file, ==, 0);
	g_assert_cmpstr(
		netmap_text(map, map->hosts[1].psk_file), ==, "/var/lib/lapwing/network.psk");
	netmap_free(map);
}

static void test_hostport(void)
{
	static const struct {
		const char *text;
		int r;
		size_t name_len;
	} rows[] = {
		{ "192.0.2.1:51820", 0, 0 },
		{ "[::1]:1", 0, 0 },
		{ "a:1", 0, 1 },
		{ "host.example:65535", 0, 12 },
		{ "host.example:65536", -EINVAL, 0 },
		{ "host.example:0", -EINVAL, 0 },
		{ "host.example:", -EINVAL, 0 },
		{ "host.example", -EINVAL, 0 },
		{ "host example:1", -EINVAL, 0 },
		{ "192.0.2:1", -EINVAL, 0 },
		{ ":1", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		size_t name_len = 0;
		struct endpoint e;
		int r = hostport_parse(rows[i].text, strlen(rows[i].text), &e, &name_len);

		g_assert_cmpint(r, ==, rows[i].r);
		if (r == 0)
			g_assert_cmpint(name_len, ==, rows[i].name_len);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/netmap/endpoints", test_endpoints);
	g_test_add_func("/netmap/psk", test_psk);
	g_test_add_func("/hostport", test_hostport);
	return g_test_run();
}
