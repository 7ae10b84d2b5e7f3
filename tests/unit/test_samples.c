/* tests/unit/test_samples.c - the lines byte for byte, and what is dropped. */
#include <glib.h>
#include <string.h>

#include "agent/samples.h"

#define SECOND_NS G_GINT64_CONSTANT(1000000000)
#define NOW (G_GINT64_CONSTANT(1800000000) * SECOND_NS)

static const struct wg_key own = { { 1 } }, remote = { { 2 } };

static char *written(struct samples *s, int64_t now_ns)
{
	GString *out = g_string_new(NULL);

	samples_write(s, out, SAMPLES_MAX, now_ns);
	return g_string_free(out, FALSE);
}

static void test_ids(void)
{
	char a[SAMPLES_ID_STRLEN], b[SAMPLES_ID_STRLEN];

	samples_pair_id("f54df4da811845e6", "87fd6ef30d64210a", a);
	g_assert_cmpstr(a, ==, "8c1c266a5ea0f07f");
	samples_pair_id("87fd6ef30d64210a", "f54df4da811845e6", b);
	g_assert_cmpstr(a, ==, b);
}

static void test_lines(void)
{
	const struct samples_stages stages = { 1000, 1250, 1300 }, unseen = { 0, 2000, 2001 };
	char id[SAMPLES_ID_STRLEN], other[SAMPLES_ID_STRLEN], pair[SAMPLES_ID_STRLEN];
	struct samples *s = samples_new();
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	g_autofree char *first = NULL;

	samples_peer_id(&own, id);
	samples_peer_id(&remote, other);
	samples_pair_id(id, other, pair);
	samples_set_network(s, "https://API.netbird.io:443", &own);
	samples_add_login(s, 123456, true, NOW);
	samples_add_sync(s, 7, NOW + 1);
	samples_add_connection(s, &remote, &stages, NOW + 2);
	samples_add_connection(s, &remote, &unseen, NOW + 3);
	samples_add_login(s, 100000, false, NOW + 4);
	text = written(s, NOW);
	lines = g_strsplit(text, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), ==, 6);
	first = g_strdup_printf(
		"netbird_login,deployment_type=cloud,result=success,version=" LAPWING_VERSION
		",os=linux,arch=amd64,peer_id=%s duration_seconds=0.123456 "
		"1800000000000000000",
		id);
#ifdef __x86_64__
	g_assert_cmpstr(lines[0], ==, first);
#endif
	g_assert_true(g_str_has_suffix(lines[1], " duration_seconds=7e-06 1800000000000000001"));
	g_assert_nonnull(
		strstr(lines[2], ",connection_type=ice_p2p,attempt_type=initial,version="));
	g_assert_nonnull(strstr(lines[2], pair));
	g_assert_true(g_str_has_suffix(lines[2],
		" connection_to_wg_handshake_seconds=0.05,signaling_to_connection_seconds=0.25,"
		"total_seconds=0.3 1800000000000000002"));
	g_assert_true(g_str_has_suffix(lines[3],
		" connection_to_wg_handshake_seconds=0.001,signaling_to_connection_seconds=0,"
		"total_seconds=0 1800000000000000003"));
	g_assert_nonnull(strstr(lines[3], ",attempt_type=reconnection,"));
	g_assert_nonnull(strstr(lines[4], ",result=failure,"));
	/* No key, and nobody who is not hashed. */
	samples_free(s);
}

static void test_networks(void)
{
	static const struct {
		const char *url, *deployment;
	} table[] = {
		{ "https://api.netbird.io:443", "=cloud," },
		{ "https://api.netbird.io.example.net", "=selfhosted," },
		{ "http://[::1]:33073", "=selfhosted," },
		{ "", "=unknown," },
	};
	struct samples *s = samples_new();

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = NULL;

		samples_set_network(s, table[i].url, i % 2 ? &own : &remote);
		g_assert_cmpuint(samples_count(s), ==, 0); /* another key: another network */
		samples_add_sync(s, 1, NOW);
		text = written(s, NOW);
		g_assert_nonnull(strstr(text, table[i].deployment));
	}
	samples_set_network(s, "https://moved.example.net", &own);
	samples_free(s);
}

static void test_bounds(void)
{
	const int64_t day_ns = 86400 * SECOND_NS;
	struct samples *s = samples_new();
	g_autofree char *text = NULL;

	samples_set_network(s, "https://x", &own);
	for (int i = 0; i < SAMPLES_MAX + 5; i++)
		samples_add_sync(s, i, NOW);
	g_assert_cmpuint(samples_count(s), ==, SAMPLES_MAX);
	samples_add_sync(s, 1, NOW + day_ns);
	g_free(written(s, NOW + SAMPLES_DAYS * day_ns));
	g_assert_cmpuint(samples_count(s), ==, SAMPLES_MAX);
	text = written(s, NOW + SAMPLES_DAYS * day_ns + 1);
	g_assert_cmpuint(samples_count(s), ==, 1);
	samples_free(s);
}

static void test_phases(void)
{
	struct samples *s = samples_new();
	g_autofree char *text = NULL, *first = NULL;
	char id[SAMPLES_ID_STRLEN];

	samples_peer_id(&own, id);
	samples_set_network(s, "https://x", &own);
	g_assert_cmpstr(samples_own_id(s), ==, id);
	samples_add_phase(s, SAMPLES_SERVERS, 250, NOW);
	samples_add_phase(s, SAMPLES_SAVING, 1000000, NOW + 1);
	text = written(s, NOW);
	first = g_strdup_printf(
		"netbird_sync_phase,deployment_type=selfhosted,version=" LAPWING_VERSION
		",os=linux,arch=amd64,peer_id=%s,phase=netbird_config "
		"duration_seconds=0.00025 1800000000000000000\n",
		id);
#ifdef __x86_64__
	g_assert_true(g_str_has_prefix(text, first));
#endif
	g_assert_true(
		g_str_has_suffix(text, ",phase=persist duration_seconds=1 1800000000000000001\n"));
	samples_free(s);
}

/* What was written is dropped, and nothing else: not what came since, nor twice. */
static void test_dropping(void)
{
	struct samples *s = samples_new();
	g_autoptr(GString) out = g_string_new(NULL);
	uint64_t mark;

	g_assert_cmpstr(samples_own_id(s), ==, "");
	samples_set_network(s, "https://x", &own);
	g_assert_cmpuint(samples_write(s, out, 10, NOW), ==, 0);
	g_assert_cmpuint(out->len, ==, 0);
	for (int i = 0; i < 3; i++)
		samples_add_sync(s, i, NOW + i);
	mark = samples_write(s, out, 2, NOW);
	g_assert_true(g_str_has_suffix(out->str, "1800000000000000001\n"));
	samples_add_sync(s, 3, NOW + 3);
	samples_drop(s, mark);
	g_assert_cmpuint(samples_count(s), ==, 2);
	samples_drop(s, mark);
	samples_drop(s, 0);
	g_assert_cmpuint(samples_count(s), ==, 2);

	/* Those that are dropped for want of room meanwhile count. */
	mark = samples_write(s, out, 10, NOW);
	for (int i = 0; i < SAMPLES_MAX - 1; i++)
		samples_add_sync(s, i, NOW + 4);
	g_assert_cmpuint(samples_count(s), ==, SAMPLES_MAX);
	samples_drop(s, mark);
	g_assert_cmpuint(samples_count(s), ==, SAMPLES_MAX - 1);

	/* So do those of another network. */
	mark = samples_write(s, out, 10, NOW);
	samples_set_network(s, "https://x", &remote);
	samples_add_sync(s, 1, NOW);
	samples_drop(s, mark);
	g_assert_cmpuint(samples_count(s), ==, 1);
	samples_drop(s, UINT64_MAX);
	g_assert_cmpuint(samples_count(s), ==, 0);
	samples_add_sync(s, 1, NOW);
	g_assert_cmpuint(samples_count(s), ==, 1);
	samples_free(s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/samples/ids", test_ids);
	g_test_add_func("/samples/lines", test_lines);
	g_test_add_func("/samples/phases", test_phases);
	g_test_add_func("/samples/dropping", test_dropping);
	g_test_add_func("/samples/networks", test_networks);
	g_test_add_func("/samples/bounds", test_bounds);
	return g_test_run();
}
