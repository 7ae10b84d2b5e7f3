/* tests/unit/test_mapdiff.c - what differs between two maps, host by host. */
#include "mgmt/mapdiff.h"

#include <glib.h>
#include <string.h>

#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"

#define KEY_A "fC5rqxFVyQH7K0gwXXjHBmVr0vFWKDbCIM1YLPc6zxM="
#define KEY_B "lWhqTJfkMzB9nNqwFQYHqKkJdHhIZeRDLpM8wCQwVFQ="
#define KEY_C "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define A \
	"{\"name\":\"a\",\"public_key\":\"" KEY_A \
	"\",\"addresses\":[\"100.64.0.1\"],\"endpoints\":[\"192.0.2.1:1\"]}"
#define B "{\"name\":\"b\",\"public_key\":\"" KEY_B "\",\"addresses\":[\"100.64.0.2\"]"

static struct netmap *parse(const char *text)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;

	if (meshfile_parse(text, strlen(text), NULL, 100, &map, error) < 0)
		g_error("%s", error);
	return map;
}

static char *compare(const char *before, const char *after, size_t max)
{
	struct netmap *a = before ? parse(before) : NULL, *b = parse(after);
	GString *out = g_string_new(NULL);
	struct mapdiff diff;

	mapdiff_make(&diff, a, b);
	mapdiff_write(&diff, out, max);
	g_assert_cmpint(!diff.name && !diff.interface && !diff.lazy && !diff.hosts->len, ==,
		strstr(out->str, "\"mesh\":[],\"added\":0,\"removed\":0,\"changed\":0") != NULL);
	mapdiff_done(&diff);
	netmap_free(a);
	netmap_free(b);
	return g_string_free(out, FALSE);
}

#define MESH(hosts) "{\"mesh\":\"m\",\"hosts\":[" hosts "]}"

static const struct {
	const char *before, *after, *mesh, *counts, *hosts;
} table[] = {
	{ MESH(A), MESH(A), "", "0,0,0", "" },
	/* Written in another way it is the same. */
	{ MESH(A), "{\"hosts\": [" A "],\n \"interface\": {\"name\": \"wt0\"}, \"mesh\":\"m\"}", "",
		"0,0,0", "" },
	{ NULL, MESH(A), "\"name\",\"interface\",\"lazy\"", "1,0,0", "a added " },
	{ MESH(A), MESH(A "," B "}"), "", "1,0,0", "b added " },
	{ MESH(A "," B "}"), MESH(A), "", "0,1,0", "b removed " },
	{ MESH(A), "{\"mesh\":\"n\",\"lazy\":{\"enabled\":false},\"hosts\":[" A "]}",
		"\"name\",\"lazy\"", "0,0,0", "" },
	{ MESH(A), "{\"mesh\":\"m\",\"interface\":{\"mtu\":1300},\"hosts\":[" A "]}",
		"\"interface\"", "0,0,0", "" },
	/* The order decides who of a group is first, and a key that has changed is another host. */
	{ MESH(B "}"),
		MESH("{\"name\":\"b\",\"public_key\":\"" KEY_C
		     "\",\"addresses\":[\"100.64.0.2\"]}"),
		"", "1,1,0", "b added b removed " },
	{ MESH(B "}"), MESH(B ",\"routes\":[\"10.0.0.0/8\"]}"), "", "0,0,1", "b changed routes " },
	{ MESH(B "}"), MESH(B ",\"lazy\":false,\"psk_file\":\"/k\"}"), "", "0,0,1",
		"b changed lazy psk_file " },
	{ MESH(B "}"), MESH(B ",\"idle_minutes\":3,\"keepalive\":7}"), "", "0,0,1",
		"b changed lazy keepalive " },
	{ MESH(B ",\"endpoints\":[\"x.test:1\"]}"), MESH(B ",\"endpoints\":[\"y.test:1\"]}"), "",
		"0,0,1", "b changed endpoints " },
	{ MESH(B "}"),
		MESH("{\"name\":\"c\",\"public_key\":\"" KEY_B
		     "\",\"addresses\":[\"100.64.0.3\"]}"),
		"", "0,0,1", "c changed name addresses " },
};

/* "b added ", as the table has it. */
static char *flatten(const char *hosts)
{
	static const char *const noise[] = { "{\"name\":", "\"change\":", "\"parts\":", "[", "]",
		"{", "}", "\"" };
	GString *s = g_string_new(hosts);

	for (size_t i = 0; i < G_N_ELEMENTS(noise); i++)
		g_string_replace(s, noise[i], "", 0);
	g_string_replace(s, ",", " ", 0);
	while (g_string_replace(s, "  ", " ", 0))
		;
	return g_string_free(s, FALSE);
}

static void test_table(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *out = compare(table[i].before, table[i].after, 10);
		g_auto(GStrv) n = g_strsplit(table[i].counts, ",", 3);
		g_autofree char *head = g_strdup_printf(
			"\"mesh_difference\":{\"mesh\":[%s],\"added\":%s,\"removed\":%s,"
			"\"changed\":%s,\"hosts\":[",
			table[i].mesh, n[0], n[1], n[2]);
		g_autofree char *hosts = NULL, *wanted = g_strchomp(g_strdup(table[i].hosts));

		g_test_message("%zu: %s", i, out);
		g_assert_true(g_str_has_prefix(out, head));
		g_assert_true(g_str_has_suffix(out, "],\"left_out\":0}"));
		*strrchr(out, ']') = '\0';
		hosts = flatten(out + strlen(head));
		g_assert_cmpstr(g_strchomp(hosts), ==, wanted);
	}
}

static void test_limit(void)
{
	g_autofree char *out = compare(NULL, MESH(A "," B "}"), 1);

	g_assert_nonnull(strstr(out, "\"added\":2,"));
	g_assert_nonnull(strstr(out, "\"left_out\":1}"));
	g_assert_null(strstr(out, "\"name\":\"b\""));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/mapdiff/table", test_table);
	g_test_add_func("/mapdiff/limit", test_limit);
	return g_test_run();
}
