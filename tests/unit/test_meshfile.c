/* tests/unit/test_meshfile.c - mesh files, good and bad, and the map that they give. */
#include <glib.h>
#include <string.h>

#include "mgmt/meshfile.h"
#include "mgmt/meshupdate.h"
#include "mgmt/netmap.h"

#define KEY_A "rf4uG7KxS1SGSoJ4tTJnOhpdTcQkLWBIE4YFvFyTlXc="
#define KEY_B "BUPQ/+ESdYkZ5Bbw0jqmOo0jAPpyWcBKgOBcDVcO8w4="
#define HOST_A "{\"name\":\"a\",\"public_key\":\"" KEY_A "\",\"addresses\":[\"100.64.0.1\"]"
#define HOST_B "{\"name\":\"b\",\"public_key\":\"" KEY_B "\",\"addresses\":[\"100.64.0.2/32\"]"
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define HOST_C "{\"name\":\"c\",\"public_key\":\"" KEY_C "\",\"addresses\":[\"100.64.0.3\"]"
#define MESH(hosts) "{\"mesh\":\"m\",\"hosts\":[" hosts "]}"

static struct netmap *parse(
	const char *text, const char *own, char error[static MESHFILE_ERROR_MAX])
{
	struct wg_key key;
	struct netmap *map = NULL;

	if (own)
		g_assert_cmpint(key_parse(own, strlen(own), &key), ==, 0);
	error[0] = '\0';
	if (meshfile_parse(text, strlen(text), own ? &key : NULL, 100, &map, error) < 0)
		g_assert_null(map);
	return map;
}

static void test_defaults(void)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = parse(
		MESH(HOST_A "}," HOST_B ",\"endpoints\":[\"192.0.2.1:1\"]}"), KEY_B, error);

	g_assert_cmpstr(error, ==, "");
	g_assert_cmpstr(map->mesh, ==, "m");
	g_assert_cmpstr(map->interface.name, ==, "wt0");
	g_assert_cmpint(map->interface.listen_port, ==, 51820);
	g_assert_cmpint(map->interface.mtu, ==, 0);
	g_assert_true(map->lazy.enabled);
	g_assert_cmpint(map->lazy.idle_minutes, ==, 15);
	g_assert_cmpint(map->self, ==, 1);
	g_assert_cmpint(map->n_hosts, ==, 2);
	g_assert_cmpstr(netmap_text(map, map->hosts[0].name), ==, "a");
	g_assert_true(map->hosts[0].lazy);
	g_assert_cmpint(
		map->hosts[0].keepalive, ==, 25); /* cannot be reached: keeps its NAT open */
	g_assert_cmpint(map->hosts[1].keepalive, ==, 0);
	netmap_free(map);
}

static void test_everything(void)
{
	static const char text[] =
		"{\"hosts\": [" HOST_A ", \"routes\": [\"10.0.0.0/8\", \"fd01::/64\"],"
		" \"endpoints\": [\"a.example.net:51820\", \"[2001:db8::1]:7\"], \"lazy\": false,"
		" \"keepalive\": 0, \"idle_minutes\": 10080, \"psk_file\": \"/etc/psk\"},"
		" {\"routes\": [\"10.0.0.0/8\"], \"addresses\": [\"fd00::2\", \"100.64.0.2\"],"
		"  \"public_key\": \"" KEY_B "\", \"name\": \"b\"}],\n"
		" \"interface\": {\"name\": \"mesh0\", \"listen_port\": 1, \"mtu\": 1300},\n"
		" \"lazy\": {\"enabled\": false, \"idle_minutes\": 1}, \"mesh\": \"x\"}";
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = parse(text, NULL, error);
	const struct prefix *p;
	char buf[PREFIX_STRLEN];

	g_assert_cmpstr(error, ==, "");
	g_assert_cmpint(map->self, ==, NETMAP_NONE);
	g_assert_cmpstr(map->interface.name, ==, "mesh0");
	g_assert_cmpint(map->interface.mtu, ==, 1300);
	g_assert_false(map->lazy.enabled);
	g_assert_cmpint(map->lazy.idle_minutes, ==, 1);
	g_assert_false(map->hosts[0].lazy);
	g_assert_cmpint(map->hosts[0].idle_minutes, ==, 10080);
	g_assert_cmpint(map->hosts[1].idle_minutes, ==, 0); /* as the mesh says */
	g_assert_cmpstr(netmap_text(map, map->hosts[0].psk_file), ==, "/etc/psk");
	g_assert_cmpint(map->hosts[0].n_endpoints, ==, 2);
	g_assert_cmpstr(netmap_text(map, map->endpoints[0].name), ==, "a.example.net");
	g_assert_cmpint(map->endpoints[0].address.family, ==, 0);
	g_assert_cmpint(map->endpoints[0].address.port, ==, 51820);
	g_assert_cmpint(map->endpoints[1].address.family, ==, AF_INET6);
	/* Addresses stand before routes, whatever their order in the text. */
	p = netmap_prefixes(map, &map->hosts[1]);
	g_assert_cmpint(map->hosts[1].n_addresses, ==, 2);
	g_assert_cmpint(map->hosts[1].n_routes, ==, 1);
	g_assert_cmpstr(prefix_format(&p[0], buf), ==, "fd00::2/128");
	g_assert_cmpstr(prefix_format(&p[2], buf), ==, "10.0.0.0/8");
	netmap_free(map);
}

static const struct {
	const char *text, *own, *error;
} bad[] = {
	{ "", NULL, "line 1" },
	{ "{}", NULL, "mesh" },
	{ "[]", NULL, "line 1" },
	{ MESH(HOST_A "}") "x", NULL, "line 1" },
	{ MESH(HOST_A ",\"colour\":1}"), NULL, "hosts[0]: key \"colour\" is unknown" },
	{ "{\"mesh\":\"m\",\n\"hosts\":[\n" HOST_A "},\n" HOST_A "}]}", NULL,
		"line 4: hosts[1].name: another host is called a" },
	{ MESH(HOST_A "},{\"name\":\"b\",\"public_key\":\"" KEY_A
		      "\",\"addresses\":[\"1.1.1.1\"]}"),
		NULL, "hosts[1].public_key: another host has this key" },
	{ MESH(HOST_A "},{\"name\":\"b\",\"public_key\":\"" KEY_B
		      "\",\"addresses\":[\"100.64.0.1\"]}"),
		NULL, "hosts[1].addresses[0]: this address is taken" },
	{ MESH(HOST_A ",\"routes\":[\"100.64.0.2\"]}," HOST_B "}"), NULL,
		"hosts[1].addresses[0]: this address is taken" },
	{ MESH(HOST_A "}," HOST_B ",\"routes\":[\"100.64.0.1/32\"]}"), NULL,
		"hosts[1].routes[0]: this is the address of a host" },
	{ MESH(HOST_A ",\"routes\":[\"10.0.0.0/8\",\"10.0.0.0/8\"]}"), NULL,
		"routes[1]: listed twice" },
	{ MESH(HOST_A ",\"routes\":[\"10.0.0.1/8\"]}"), NULL, "routes[0]" },
	{ MESH(HOST_A ",\"routes\":[\"10.0.0.0/33\"]}"), NULL, "routes[0]" },
	{ MESH("{\"name\":\"a\",\"public_key\":\"" KEY_A "\",\"addresses\":[\"100.64.0.0/24\"]}"),
		NULL, "a single one (/32)" },
	{ MESH("{\"name\":\"a\",\"public_key\":\"" KEY_A "\",\"addresses\":[]}"), NULL,
		"at least one address" },
	{ MESH("{\"name\":\"a\",\"public_key\":\"" KEY_A "\"}"), NULL, "addresses" },
	{ MESH("{\"name\":\"a b\",\"public_key\":\"" KEY_A "\",\"addresses\":[\"1.1.1.1\"]}"), NULL,
		"hosts[0].name" },
	{ MESH("{\"name\":\"a\",\"public_key\":\"AAAA\",\"addresses\":[\"1.1.1.1\"]}"), NULL,
		"not a WireGuard key" },
	{ MESH("{\"name\":\"a\",\"public_key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"addresses\":[\"1.1.1.1\"]}"),
		NULL, "all zeros" },
	{ MESH(HOST_A ",\"endpoints\":[\"192.0.2.1\"]}"), NULL, "endpoints[0]" },
	{ MESH(HOST_A ",\"endpoints\":[\"192.0.2.300:1\"]}"), NULL, "endpoints[0]" },
	{ MESH(HOST_A ",\"endpoints\":[\"a.example:0\"]}"), NULL, "endpoints[0]" },
	{ MESH(HOST_A ",\"endpoints\":[\"a.example:65536\"]}"), NULL, "endpoints[0]" },
	{ MESH(HOST_A
		  ",\"endpoints\":[\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\",\"a:1\"]}"),
		NULL, "8" },
	{ MESH(HOST_A ",\"psk_file\":\"psk\"}"), NULL, "psk_file" },
	{ MESH(HOST_A ",\"keepalive\":65535}"), NULL, "keepalive" },
	{ MESH(HOST_A ",\"idle_minutes\":0}"), NULL,
		"line 1: hosts[0].idle_minutes: must be 1 to 10080" },
	{ MESH(HOST_A ",\"idle_minutes\":10081}"), NULL,
		"hosts[0].idle_minutes: must be 1 to 10080" },
	{ MESH(HOST_A ",\"idle_minutes\":true}"), NULL, "hosts[0].idle_minutes: a number" },
	{ "{\"mesh\":\"m\",\"lazy\":{\"idle_minutes\":0},\"hosts\":[]}", NULL,
		"lazy.idle_minutes: must be 1 to 10080" },
	{ "{\"mesh\":\"m\",\"interface\":{\"name\":\"a/b\"},\"hosts\":[]}", NULL,
		"interface.name" },
	{ "{\"mesh\":\"m\",\"interface\":{\"mtu\":\"big\"},\"hosts\":[]}", NULL, "interface.mtu" },
	{ "{\"mesh\":\"m\",\"interface\":{\"mtu\":100},\"hosts\":[]}", NULL, "interface.mtu" },
	{ MESH(HOST_A "}"), KEY_B, "no host has this host's public key " KEY_B },
};

static void test_bad(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		char error[MESHFILE_ERROR_MAX];
		struct netmap *map = parse(bad[i].text, bad[i].own, error);

		if (map || !strstr(error, bad[i].error))
			g_test_message("case %zu: \"%s\" lacks \"%s\"", i, error, bad[i].error);
		g_assert_null(map);
		g_assert_nonnull(strstr(error, bad[i].error));
		g_assert_null(strchr(error, '\n'));
	}
}

static void test_limit(void)
{
	static const char text[] = MESH(HOST_A "}," HOST_B "}");
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;

	g_assert_cmpint(meshfile_parse(text, strlen(text), NULL, 1, &map, error), ==, -EINVAL);
	g_assert_nonnull(strstr(error, "more than 1 hosts (policy.max_peers)"));
}

/* Many hosts: every one is found again, by key and by what was said of it. */
static void test_many(void)
{
	enum { N = 20000 };
	g_autoptr(GString) text = g_string_new("{\"mesh\":\"m\",\"hosts\":[");
	struct netmap *map = NULL;
	char error[MESHFILE_ERROR_MAX], buf[KEY_STRLEN];
	struct wg_key key = { 0 };

	for (uint32_t i = 0; i < N; i++) {
		memcpy(key.b, &(uint32_t){ i + 1 }, 4);
		g_string_append_printf(text,
			"%s{\"name\":\"h%u\",\"public_key\":\"%s\",\"addresses\":[\"10.%u.%u.%u\"]}",
			i ? "," : "", i, key_format(&key, buf), i >> 16, (i >> 8) & 255, i & 255);
	}
	g_string_append(text, "]}");
	g_assert_cmpint(meshfile_parse(text->str, text->len, NULL, N, &map, error), ==, 0);
	for (uint32_t i = 0; i < N; i++) {
		memcpy(key.b, &(uint32_t){ i + 1 }, 4);
		g_assert_cmpint(netmap_find_key(map, &key), ==, i);
	}
	memcpy(key.b, &(uint32_t){ N + 1 }, 4);
	g_assert_cmpint(netmap_find_key(map, &key), ==, NETMAP_NONE);
	g_assert_cmpint(netmap_find_name(map, "h19999"), ==, 19999);
	g_assert_cmpint(netmap_find_name(map, "nobody"), ==, NETMAP_NONE);
	netmap_free(map);
}

/* -- the quick way gives what parsing gives, or says that it cannot ------------------------- */

static char *document(const char *second, const char *space)
{
	return g_strdup_printf("{\"mesh\":\"m\",%s\"hosts\":[%s" HOST_A "}%s,%s{%s}%s," HOST_C
			       "}]}",
		space, space, space, space, second, space);
}

static void assert_same_map(const struct netmap *a, const struct netmap *b)
{
	g_assert_cmpmem(
		a->hosts, a->n_hosts * sizeof(*a->hosts), b->hosts, b->n_hosts * sizeof(*b->hosts));
	g_assert_cmpmem(a->prefixes, a->n_prefixes * sizeof(*a->prefixes), b->prefixes,
		b->n_prefixes * sizeof(*b->prefixes));
	g_assert_cmpmem(a->endpoints, a->n_endpoints * sizeof(*a->endpoints), b->endpoints,
		b->n_endpoints * sizeof(*b->endpoints));
	g_assert_cmpmem(a->text, a->text_len, b->text, b->text_len);
	g_assert_cmpmem(a->sources, a->n_hosts * sizeof(*a->sources), b->sources,
		b->n_hosts * sizeof(*b->sources));
	g_assert_cmpint(a->self, ==, b->self);
}

/* The map of the old text, patched; NULL: the quick way does not lead there. */
static struct netmap *update(const char *old_text, const char *text, size_t len)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = parse(old_text, KEY_A, error);
	size_t n = 0;

	if (meshupdate_read(text, len, map, patches, &n) < 0) {
		netmap_free(map);
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		netmap_apply(map, &patches[i]);
	return map;
}

static const struct {
	const char *second; /* members of the second of three hosts */
	bool quick;
} edits[] = {
#define B "\"name\":\"b\",\"public_key\":\"" KEY_B "\",\"addresses\":[\"100.64.0.2\"]"
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"]", true }, /* as it was */
	{ B ",\"endpoints\":[\"192.0.2.9:2\"],\"routes\":[\"10.0.0.0/8\"]", true },
	{ B ",\"endpoints\":[\"[2001:db8::1]:2\"],\"routes\":[\"10.0.0.0/8\"]", true },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"fd00::/8\"]", false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"],\"keepalive\":7,\"lazy\":false",
		false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"],\"lazy\":false", false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"],\"idle_minutes\":15",
		false },
	{ "\"routes\":[\"10.0.0.0/8\"],\"endpoints\":[\"192.0.2.1:1\"]," B, true },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.1\"]", false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[]", false },
	{ B ",\"endpoints\":[\"b.example:1\"],\"routes\":[\"10.0.0.0/8\"]", false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"],\"psk_file\":\"/p\"",
		false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"],\"colour\":1", false },
	{ B ",\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"]},{" B, false },
	{ "\"name\":\"B\",\"public_key\":\"" KEY_B
	  "\",\"addresses\":[\"100.64.0.2\"],\"endpoints\":[\"192.0.2.1:1\"],\"routes\":[\"10.0.0.0/8\"]",
		false },
#undef B
};

static void test_update(void)
{
	g_autofree char *text = document(edits[0].second, ""),
			*spaced = document(edits[0].second, " \n");
	char error[MESHFILE_ERROR_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(edits); i++) {
		g_autofree char *edited = document(edits[i].second, "");
		struct netmap *quick = update(text, edited, strlen(edited));
		struct netmap *slow = parse(edited, KEY_A, error);

		g_test_message("edit %zu", i);
		g_assert_cmpint(quick != NULL, ==, edits[i].quick);
		if (quick)
			assert_same_map(quick, slow);
		netmap_free(quick);
		netmap_free(slow);
	}
	for (size_t len = 0; len < strlen(text); len++) /* cut off anywhere */
		g_assert_null(update(text, text, len));
	g_assert_null(update(text, spaced, strlen(spaced)));
}

/* Any one byte changed: never another result than parsing. */
static void test_update_bytes(void)
{
	static const char bytes[] = "0,}]\" {x";
	g_autofree char *text = document(edits[0].second, " ");
	char error[MESHFILE_ERROR_MAX];

	for (size_t at = 0; text[at]; at++) {
		for (size_t b = 0; bytes[b]; b++) {
			g_autofree char *edited = g_strdup(text);
			struct netmap *quick, *slow;

			edited[at] = bytes[b];
			slow = parse(edited, KEY_A, error);
			quick = update(text, edited, strlen(edited));
			if (quick) {
				g_assert_nonnull(slow);
				assert_same_map(quick, slow);
			}
			netmap_free(quick);
			netmap_free(slow);
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/meshfile/defaults", test_defaults);
	g_test_add_func("/meshfile/everything", test_everything);
	g_test_add_func("/meshfile/bad", test_bad);
	g_test_add_func("/meshfile/limit", test_limit);
	g_test_add_func("/meshfile/many", test_many);
	g_test_add_func("/meshfile/update", test_update);
	g_test_add_func("/meshfile/update-bytes", test_update_bytes);
	return g_test_run();
}
