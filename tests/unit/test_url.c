/* tests/unit/test_url.c - addresses of management servers. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/client.h"

static const struct {
	const char *text, *url;
} good[] = {
	{ "https://h", "https://h:443" },
	{ "http://h", "http://h:80" },
	{ "https://h:443", "https://h:443" },
	{ "https://h:443/", "https://h:443" },
	{ "HTTPS://Net.Example.ORG:33073", "https://net.example.org:33073" },
	{ "http://192.0.2.1:1", "http://192.0.2.1:1" },
	{ "https://[2001:DB8::1]", "https://[2001:db8::1]:443" },
	{ "https://[2001:db8::1]:65535", "https://[2001:db8::1]:65535" },
	{ "https://a_b.c-d", "https://a_b.c-d:443" },
	{ "https://xn--bcher-kva.example.", "https://xn--bcher-kva.example.:443" },
};

static const struct {
	const char *text, *words;
} bad[] = {
	{ "", "https://HOST" },
	{ "h", "https://HOST" },
	{ "h:443", "https://HOST" },
	{ "ftp://h", "https://HOST" },
	{ "https:/h", "https://HOST" },
	{ " https://h", "https://HOST" },
	{ "https://h/x", "path" },
	{ "https://h/ ", "path" },
	{ "https://h?x", "path" },
	{ "https://h#x", "path" },
	{ "https://u:p@h", "user" },
	{ "https://u@h", "user" },
	{ "https://", "host name" },
	{ "https://:443", "host name" },
	{ "https://h h", "host name" },
	{ "https://h\nx", "\\x0a" },
	{ "https://.h", "host name" },
	{ "https://a..b", "host name" },
	{ "https://b\xc3\xbc"
	  "cher",
		"host name" },
	{ "https://1.2.3", "host name" },
	{ "https://1.2.3.256", "host name" },
	{ "https://2001:db8::1", "host name" },
	{ "https://[2001:db8::1", "brackets" },
	{ "https://[2001:db8::1]x", "brackets" },
	{ "https://[]", "host name" },
	{ "https://[h]", "host name" },
	{ "https://[fe80::1%eth0]", "host name" },
	{ "https://h:", "port" },
	{ "https://h:0", "port" },
	{ "https://h:65536", "port" },
	{ "https://h:+1", "port" },
	{ "https://h:1x", "port" },
	{ "https://h:1:2", "port" },
	{ "https://[::1]:", "port" },
};

static void test_good(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		char error[MGMT_ERROR_MAX] = "";
		g_autofree char *url = NULL, *again = NULL;

		g_assert_cmpint(mgmt_url_parse(good[i].text, &url, error), ==, 0);
		g_assert_cmpstr(url, ==, good[i].url);
		g_assert_cmpint(mgmt_url_parse(url, &again, error), ==, 0);
		g_assert_cmpstr(again, ==, url);
	}
}

static void test_bad(void)
{
	g_autofree char *label = g_strnfill(64, 'a'),
			*long_label = g_strconcat("https://", label, NULL);
	g_autofree char *dots = g_strnfill(4000, 'a'), *huge = NULL;
	char error[MGMT_ERROR_MAX];
	char *url = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		error[0] = '\0';
		g_assert_cmpint(mgmt_url_parse(bad[i].text, &url, error), ==, -EINVAL);
		g_assert_null(url);
		if (!strstr(error, bad[i].words))
			g_error("%s: %s", bad[i].text, error);
		g_assert_null(strchr(error, '\n'));
	}
	for (size_t i = 1; i < 4000; i += 2)
		dots[i] = '.';
	huge = g_strconcat("https://", dots, NULL);
	g_assert_cmpint(mgmt_url_parse(long_label, &url, error), ==, -EINVAL);
	g_assert_cmpint(mgmt_url_parse(huge, &url, error), ==, -EINVAL);
	g_assert_null(url);
}

static void test_cleartext(void)
{
	g_assert_false(mgmt_url_is_cleartext("https://h:443"));
	g_assert_false(mgmt_url_is_cleartext("http://127.0.0.1:80"));
	g_assert_false(mgmt_url_is_cleartext("http://127.8.9.1:80"));
	g_assert_false(mgmt_url_is_cleartext("http://[::1]:80"));
	g_assert_false(mgmt_url_is_cleartext("http://localhost:80"));
	g_assert_true(mgmt_url_is_cleartext("http://h:80"));
	g_assert_true(mgmt_url_is_cleartext("http://127.example.org:80"));
	g_assert_true(mgmt_url_is_cleartext("http://localhost.example.org:80"));
	g_assert_true(mgmt_url_is_cleartext("http://[2001:db8::1]:80"));
	g_assert_true(mgmt_url_is_cleartext("http://10.0.0.1:80"));
}

static void test_names(void)
{
	for (int i = MGMT_STOPPED; i <= MGMT_LOGIN_NEEDED; i++)
		g_assert_nonnull(mgmt_state_name((enum mgmt_state)i));
	for (int i = MGMT_OK; i <= MGMT_REFUSED; i++)
		g_assert_nonnull(mgmt_failure_name((enum mgmt_failure)i));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/url/good", test_good);
	g_test_add_func("/url/bad", test_bad);
	g_test_add_func("/url/cleartext", test_cleartext);
	g_test_add_func("/url/names", test_names);
	return g_test_run();
}
