/* tests/unit/test_membership.c - which network was joined, over restarts and damage. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "agent/membership.h"

static char *new_dir(void)
{
	return g_dir_make_tmp("lapwing-membership-XXXXXX", NULL);
}

static void remove_dir(char *dir)
{
	static const char *const names[] = { "network.json", "network.json.corrupt" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(dir, names[i], NULL);

		g_unlink(path);
	}
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_free(dir);
}

static void test_round_trip(void)
{
	char *dir = new_dir();
	struct membership m = { .url = g_strdup("https://api.example:443"),
		.address = g_strdup("2001:db8::1"),
		.signal = g_strdup("http://signal.example:10000"),
		.hostname = g_strdup("db \"1\""),
		.has_server_key = true,
		.interface = "wt7",
		.listen_port = 51900,
		.mtu = 1280,
		.has_psk = true };
	struct membership got = { 0 };
	char text[] = "192.0.2.1/eth0", *ips[] = { text, NULL }, *none[] = { NULL };
	char one[] = "stun:stun.example:3478", two[] = "stun:[2001:db8::1]";
	char *stuns[] = { one, two, NULL };

	m.external_ips = g_strdupv(ips);
	m.interfaces_exclude = g_strdupv(none);
	m.stuns = g_strdupv(stuns);
	key_generate_private(&m.server_key);
	g_assert_cmpint(membership_load(dir, &got), ==, -ENOENT);
	g_assert_cmpint(membership_save(dir, &m), ==, 0);
	g_assert_cmpint(membership_load(dir, &got), ==, 0);
	g_assert_cmpstr(got.url, ==, m.url);
	g_assert_cmpstr(got.address, ==, m.address);
	g_assert_cmpstr(got.signal, ==, m.signal);
	g_assert_cmpstr(got.hostname, ==, m.hostname);
	g_assert_true(got.has_server_key && key_is_same(&got.server_key, &m.server_key));
	g_assert_cmpstr(got.interface, ==, "wt7");
	g_assert_cmpint(got.listen_port, ==, 51900);
	g_assert_cmpint(got.mtu, ==, 1280);
	g_assert_true(got.has_psk);
	g_assert_true(g_strv_equal(
		(const char *const *)got.external_ips, (const char *const *)m.external_ips));
	g_assert_true(g_strv_equal((const char *const *)got.stuns, (const char *const *)stuns));
	g_assert_nonnull(got.interfaces_exclude); /* an empty list is not none */
	g_assert_null(got.interfaces_exclude[0]);
	membership_done(&got);
	g_assert_cmpint(membership_remove(dir), ==, 0);
	g_assert_cmpint(membership_remove(dir), ==, 0);
	g_assert_cmpint(membership_load(dir, &got), ==, -ENOENT);
	membership_done(&m);
	remove_dir(dir);
}

static void test_damage(void)
{
	static const char *const texts[] = {
		"",
		"{",
		"{}",
		"{\"version\": 2, \"url\": \"https://a:1\"}",
		"{\"version\": 1}",
		"{\"version\": 1, \"url\": \"\"}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"server_key\": \"no\"}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"interface\": \"much-too-long-a-name\"}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"mtu\": 1}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"external_ips\": [\"a\", 1]}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"stun\": [\"\"]}",
		"{\"version\": 1, \"url\": \"https://a:1\", \"interfaces_exclude\": \"a\"}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		char *dir = new_dir();
		g_autofree char *path = g_build_filename(dir, "network.json", NULL);
		g_autofree char *aside = g_build_filename(dir, "network.json.corrupt", NULL);
		struct membership m = { 0 };

		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
		g_assert_cmpint(membership_load(dir, &m), ==, -ENOENT);
		g_assert_null(m.url);
		g_assert_true(g_file_test(aside, G_FILE_TEST_EXISTS));
		remove_dir(dir);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/membership/round-trip", test_round_trip);
	g_test_add_func("/membership/damage", test_damage);
	return g_test_run();
}
