/* tests/unit/test_profile.c - the NetBird agent's profile: read, judged, written again. */
#include "mgmt/profile.h"

#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "canary.h"

#define KEY "kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM="
#define PSK "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="

/* As that agent has it on disk, in parts. */
static const char typical[] =
	"{\n"
	"    \"Name\": \"default\",\n"
	"    \"PrivateKey\": \"" KEY "\",\n"
	"    \"PreSharedKey\": \"" PSK "\",\n"
	"    \"ManagementURL\": {\n"
	"        \"Scheme\": \"https\",\n"
	"        \"Opaque\": \"\",\n"
	"        \"User\": null,\n"
	"        \"Host\": \"nb.example.net:33073\",\n"
	"        \"Path\": \"\",\n"
	"        \"OmitHost\": false\n"
	"    },\n"
	"    \"AdminURL\": {\"Scheme\": \"https\", \"Host\": \"app.example.net:443\", \"Path\": \"/x\"},\n"
	"    \"WgIface\": \"wt1\",\n"
	"    \"WgPort\": 51821,\n"
	"    \"NetworkMonitor\": true,\n"
	"    \"IFaceBlackList\": [\n"
	"        \"wt0\",\n"
	"        \"docker\"\n"
	"    ],\n"
	"    \"RosenpassEnabled\": true,\n"
	"    \"ServerSSHAllowed\": false,\n"
	"    \"EnableSSHRoot\": false,\n"
	"    \"SSHJWTCacheTTL\": 7,\n"
	"    \"SSHKey\": \"-----BEGIN PRIVATE KEY-----\\nMC4CAQ\\u003d\\n-----END PRIVATE KEY-----\\n\",\n"
	"    \"DisableClientRoutes\": true,\n"
	"    \"DNSLabels\": [\"web\", \"db.web\"],\n"
	"    \"NATExternalIPs\": null,\n"
	"    \"SyncMessageVersion\": null,\n"
	"    \"DNSRouteInterval\": 60000000001,\n"
	"    \"LazyConnectionEnabled\": {\"some\": [1.5, \"thing\"]},\n"
	"    \"MTU\": 1420\n"
	"}\n";

static int parse(const char *text, struct profile *ret, char error[static PROFILE_ERROR_MAX])
{
	*error = '\0';
	return profile_parse(text, strlen(text), ret, error);
}

static void test_typical(void)
{
	char error[PROFILE_ERROR_MAX], key[KEY_STRLEN];
	struct profile p;

	g_assert_cmpint(parse(typical, &p, error), ==, 0);
	g_assert_cmpstr(key_format(&p.private_key, key), ==, KEY);
	g_assert_cmpstr(key_format(&p.preshared_key, key), ==, PSK);
	g_assert_cmpstr(p.management_url, ==, "https://nb.example.net:33073");
	g_assert_cmpstr(p.admin_url, ==, "https://app.example.net:443");
	g_assert_cmpstr(p.interface, ==, "wt1");
	g_assert_cmpint(p.listen_port, ==, 51821);
	g_assert_cmpint(p.mtu, ==, 1420);
	g_assert_cmpint(p.network_monitor, ==, 1);
	g_assert_cmpint(p.ssh_root, ==, 0);
	g_assert_cmpint(p.ssh_sftp, ==, PROFILE_UNSET);
	g_assert_cmpint(p.ssh_token_ttl, ==, 7);
	g_assert_cmpint(p.dns_route_interval, ==, 60000000001);
	g_assert_cmpint(p.sync_message_version, ==, PROFILE_UNSET);
	g_assert_cmpuint(g_strv_length(p.ignored_interfaces), ==, 2);
	g_assert_cmpstr(p.dns_labels[1], ==, "db.web");
	g_assert_null(p.external_ips[0]);
	g_assert_cmpstr(
		p.ssh_key, ==, "-----BEGIN PRIVATE KEY-----\nMC4CAQ=\n-----END PRIVATE KEY-----\n");
	g_assert_true(p.rosenpass && p.disable_client_routes && p.disable_notifications);
	g_assert_false(p.ssh_server || p.disable_dns || p.block_inbound);
	profile_done(&p);
	g_assert_true(key_is_zero(&p.private_key) && !p.ssh_key);
}

/* Little is needed, and what is missing is as it was before that key came. */
static void test_defaults(void)
{
	char error[PROFILE_ERROR_MAX];
	struct profile p, fresh;

	g_assert_cmpint(parse("{\"PrivateKey\":\"" KEY "\"}", &p, error), ==, 0);
	g_assert_cmpstr(p.management_url, ==, "https://api.netbird.io:443");
	g_assert_cmpstr(p.interface, ==, "wt0");
	g_assert_cmpint(p.listen_port, ==, 51820);
	g_assert_cmpint(p.mtu, ==, 1280);
	g_assert_cmpuint(g_strv_length(p.ignored_interfaces), ==, 14);
	g_assert_cmpstr(p.ignored_interfaces[13], ==, "lo");
	g_assert_true(p.ssh_server);
	g_assert_true(key_is_zero(&p.preshared_key));
	profile_init(&fresh);
	g_assert_false(fresh.ssh_server);
	g_assert_true(key_is_zero(&fresh.private_key));
	profile_done(&p);
	profile_done(&fresh);
}

static void test_urls(void)
{
	static const struct {
		const char *json, *url; /* NULL: refused */
	} table[] = {
		{ "\"https://nb.example\"", "https://nb.example" },
		{ "\"http://[2001:db8::1]:80/\"", "http://[2001:db8::1]:80" },
		{ "{\"Host\":\"h:1\",\"Scheme\":\"http\",\"Port\":[{}]}", "http://h:1" },
		{ "{\"\\u0048ost\":\"h\",\"Scheme\":\"https\"}", "https://h" },
		{ "null", "https://api.netbird.io:443" },
		{ "\"\"", "https://api.netbird.io:443" },
		{ "{}", "https://api.netbird.io:443" },
		{ "{\"Scheme\":\"\",\"Host\":\"\"}", "https://api.netbird.io:443" },
		{ "{\"Host\":\"h\"}", NULL },
		{ "{\"Scheme\":\"https\"}", NULL },
		{ "{\"Scheme\":1}", NULL },
		{ "\"nb.example\"", NULL },
		{ "\"https://\"", NULL },
		{ "\"https:///\"", NULL },
		{ "\"ftp://nb.example\"", NULL },
		{ "\"https://nb.example/path\"", NULL },
		{ "\"https://user@nb.example\"", NULL },
		{ "\"https://nb.example\\u000a\"", NULL },
		{ "7", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = g_strdup_printf(
			"{\"PrivateKey\":\"" KEY "\",\"ManagementURL\":%s}", table[i].json);
		char error[PROFILE_ERROR_MAX];
		struct profile p;
		int r = parse(text, &p, error);

		g_test_message("%s: %s", text, error);
		g_assert_cmpint(r, ==, table[i].url ? 0 : -EINVAL);
		if (r == 0) {
			g_assert_cmpstr(p.management_url, ==, table[i].url);
			profile_done(&p);
		}
	}
}

static void test_refused(void)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{ "", "the text ends here" },
		{ "[]", "an object is wanted" },
		{ "{}", "there is no PrivateKey" },
		{ "{\"PrivateKey\":\"\"}", "there is no PrivateKey" },
		{ "{\"PrivateKey\":null}", "there is no PrivateKey" },
		{ "{\"privatekey\":\"" KEY "\"}", "there is no PrivateKey" },
		{ "{\n\"PrivateKey\":\"kJ5Q\"}", "line 2: PrivateKey: not a WireGuard key" },
		{ "{\"PrivateKey\":\"" KEY "\",\"PrivateKey\":\"" PSK "\"}", "there twice" },
		{ "{\"PrivateKey\":\"" KEY "\",\"PreSharedKey\":\"x\"}", "PreSharedKey: not a" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgPort\":65536}", "WgPort: must be 0 to 65535" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgPort\":1.5}", "WgPort" },
		{ "{\"PrivateKey\":\"" KEY "\",\"MTU\":-1}", "MTU" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"\"}", "WgIface: not an interface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"0123456789abcdef\"}", "WgIface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"wt\\u001b[31m\"}", "WgIface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"a/b\"}", "WgIface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"..\"}", "WgIface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"WgIface\":\"wt%d\"}", "WgIface" },
		{ "{\"PrivateKey\":\"" KEY "\",\"MTU\":575}", "MTU: must be 576 to 65535" },
		{ "{\"PrivateKey\":\"" KEY "\",\"DisableDNS\":1}", "DisableDNS: true or false" },
		{ "{\"PrivateKey\":\"" KEY "\",\"DisableDNS\":fals",
			"is wanted, this is not JSON" },
		{ "{\"PrivateKey\":\"" KEY "\",\"NetworkMonitor\":0}", "NetworkMonitor" },
		{ "{\"PrivateKey\":\"" KEY "\",\"DNSLabels\":\"a\"}", "DNSLabels: a list" },
		{ "{\"PrivateKey\":\"" KEY "\",\"DNSLabels\":[\"a\",1]}",
			"DNSLabels[1]: a string" },
		{ "{\"PrivateKey\":\"" KEY "\",\"New\":[01]}", "New" },
		{ "{\"PrivateKey\":\"" KEY "\"} x", "text behind the end" },
	};
	struct profile p, untouched;

	memset(&p, 0x5a, sizeof(p));
	memset(&untouched, 0x5a, sizeof(p));
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		char error[PROFILE_ERROR_MAX];
		int r = parse(table[i].text, &p, error);

		g_test_message("%s: %s", table[i].text, error);
		g_assert_cmpint(r, ==, -EINVAL);
		g_assert_nonnull(strstr(error, table[i].message));
		g_assert_null(strchr(error, '\n'));
		g_assert_null(strstr(error, "kJ5Q"));
		g_assert_cmpmem(&p, sizeof(p), &untouched, sizeof(p));
	}
}

static void test_limits(void)
{
	g_autoptr(GString) text = g_string_new("{\"PrivateKey\":\"" KEY "\",\"DNSLabels\":[\"a\"");
	char error[PROFILE_ERROR_MAX];
	struct profile p;

	for (int i = 1; i < PROFILE_LIST_MAX; i++)
		g_string_append(text, ",\"a\"");
	g_string_append(text, "]}");
	g_assert_cmpint(parse(text->str, &p, error), ==, 0);
	g_assert_cmpuint(g_strv_length(p.dns_labels), ==, PROFILE_LIST_MAX);
	profile_done(&p);
	g_string_insert(text, (gssize)text->len - 2, ",\"a\"");
	g_assert_cmpint(parse(text->str, &p, error), ==, -EINVAL);
	g_string_assign(text, "{\"PrivateKey\":\"" KEY "\"}");
	while (text->len < PROFILE_SIZE_MAX)
		g_string_append_c(text, '\n');
	g_assert_cmpint(parse(text->str, &p, error), ==, 0);
	profile_done(&p);
	g_string_append_c(text, '\n');
	g_assert_cmpint(parse(text->str, &p, error), ==, -EINVAL);
	g_assert_nonnull(strstr(error, "larger than 64 KiB"));
}

/* -- what it comes to ------------------------------------------------------------------------- */

static void test_judged(void)
{
	static const char *const imported[] = { "PrivateKey", "PreSharedKey", "ManagementURL",
		"WgIface", "WgPort", "MTU", "IFaceBlackList", NULL };
	static const char *const ignored[] = { "RosenpassEnabled: true; ",
		"DisableClientRoutes: true; instead: policy.routes", "DNSLabels: web db.web; ",
		NULL };
	char error[PROFILE_ERROR_MAX];
	g_auto(GStrv) good = NULL, bad = NULL;
	struct profile p;
	size_t i;

	g_assert_cmpint(parse(typical, &p, error), ==, 0);
	good = profile_imported(&p);
	bad = profile_ignored(&p);
	g_assert_true(g_strv_equal((const char *const *)good, imported));
	for (i = 0; ignored[i] && bad[i]; i++)
		g_assert_true(g_str_has_prefix(bad[i], ignored[i]));
	g_assert_true(!ignored[i] && !bad[i]);
	profile_done(&p);
}

/* What is as it would be anyhow is not worth a word. */
static void test_judged_plain(void)
{
	char error[PROFILE_ERROR_MAX];
	g_auto(GStrv) good = NULL, bad = NULL;
	g_autofree char *text = NULL;
	struct profile fresh, p;
	GString *json;

	profile_init(&fresh);
	g_assert_cmpint(key_parse(KEY, KEY_TEXT_LEN, &fresh.private_key), ==, 0);
	json = profile_format(&fresh);
	g_assert_cmpint(profile_parse(json->str, json->len, &p, error), ==, 0);
	good = profile_imported(&p);
	bad = profile_ignored(&p);
	text = g_strjoinv(" ", good);
	g_assert_cmpstr(text, ==, "PrivateKey ManagementURL WgIface WgPort MTU IFaceBlackList");
	g_assert_null(bad[0]);
	profile_text_free(json);
	profile_done(&fresh);
	profile_done(&p);
}

/* -- written ---------------------------------------------------------------------------------- */

static json_t *load(const GString *text)
{
	json_error_t error;
	json_t *root = json_loads(text->str, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		g_error("%s: %s", error.text, text->str);
	return root;
}

/* Written and read again it is the same, and nothing of what was there is lost. */
static void test_round_trip(void)
{
	char error[PROFILE_ERROR_MAX];
	GString *first, *second, *pretty, *same;
	json_t *before = json_loads(typical, 0, NULL), *after;
	const char *key;
	json_t *value;
	struct profile p, q;

	g_assert_cmpint(parse(typical, &p, error), ==, 0);
	first = profile_format(&p);
	g_assert_null(strchr(first->str, '\n'));
	g_assert_cmpint(profile_parse(first->str, first->len, &q, error), ==, 0);
	second = profile_format(&q);
	g_assert_cmpstr(first->str, ==, second->str);
	after = load(first);
	json_object_foreach(before, key, value)
	{
		json_t *now = json_object_get(after, key);

		if (json_is_object(value) || !strcmp(key, "NATExternalIPs"))
			continue; /* complete now */
		g_test_message("%s", key);
		g_assert_true(json_equal(now, value));
	}
	pretty = profile_indent(first->str, first->len);
	json_decref(before);
	before = load(pretty);
	g_assert_true(json_equal(before, after));
	same = profile_indent(pretty->str, pretty->len);
	g_assert_cmpstr(same->str, ==, pretty->str);
	json_decref(before);
	json_decref(after);
	profile_text_free(first);
	profile_text_free(second);
	profile_text_free(pretty);
	profile_text_free(same);
	profile_done(&p);
	profile_done(&q);
}

/* Another peer in a profile: what is set beside that stays. */
static void test_swap_peer(void)
{
	char error[PROFILE_ERROR_MAX], key[KEY_STRLEN];
	struct profile there, ours;

	g_assert_cmpint(parse(typical, &there, error), ==, 0);
	g_assert_cmpint(parse("{\"PrivateKey\":\"" PSK "\",\"ManagementURL\":\"https://h:1\","
			      "\"IFaceBlackList\":[\"eth\"],\"WgPort\":7,\"DNSLabels\":[\"x\"]}",
				&ours, error),
		==, 0);
	profile_swap_peer(&there, &ours);
	g_assert_cmpstr(key_format(&there.private_key, key), ==, PSK);
	g_assert_true(key_is_zero(&there.preshared_key));
	g_assert_cmpstr(there.management_url, ==, "https://h:1");
	g_assert_cmpstr(there.interface, ==, "wt0");
	g_assert_cmpint(there.listen_port, ==, 7);
	g_assert_cmpstr(there.ignored_interfaces[0], ==, "eth");
	g_assert_cmpstr(there.name, ==, "default");
	g_assert_cmpstr(there.admin_url, ==, "https://app.example.net:443");
	g_assert_cmpstr(there.dns_labels[1], ==, "db.web");
	g_assert_true(there.rosenpass && there.disable_client_routes && *there.ssh_key);
	g_assert_cmpstr(key_format(&ours.private_key, key), ==, KEY);
	profile_done(&there);
	profile_done(&ours);
}

/* Every key that the agent's own file has. */
static void test_new(void)
{
	static const char expected[] = "{\n"
				       "    \"Name\": \"\",\n"
				       "    \"PrivateKey\": \"" KEY "\",\n"
				       "    \"PreSharedKey\": \"\",\n"
				       "    \"ManagementURL\": {\n"
				       "        \"Scheme\": \"https\",\n"
				       "        \"Opaque\": \"\",\n"
				       "        \"User\": null,\n"
				       "        \"Host\": \"nb.example:443\",\n"
				       "        \"Path\": \"\",\n"
				       "        \"RawPath\": \"\",\n"
				       "        \"OmitHost\": false,\n"
				       "        \"ForceQuery\": false,\n"
				       "        \"RawQuery\": \"\",\n"
				       "        \"Fragment\": \"\",\n"
				       "        \"RawFragment\": \"\"\n"
				       "    },\n";
	static const char end[] = "    \"SyncMessageVersion\": null,\n"
				  "    \"DNSLabels\": [],\n"
				  "    \"NATExternalIPs\": [],\n"
				  "    \"CustomDNSAddress\": \"\",\n"
				  "    \"DNSRouteInterval\": 60000000000,\n"
				  "    \"DisableAutoConnect\": false,\n"
				  "    \"DisableNotifications\": true,\n"
				  "    \"ClientCertPath\": \"\",\n"
				  "    \"ClientCertKeyPath\": \"\"\n"
				  "}\n";
	GString *compact, *text;
	struct profile p;
	json_t *root;

	profile_init(&p);
	g_assert_cmpint(key_parse(KEY, KEY_TEXT_LEN, &p.private_key), ==, 0);
	g_free(p.management_url);
	p.management_url = g_strdup("https://nb.example:443");
	compact = profile_format(&p);
	text = profile_indent(compact->str, compact->len);
	g_assert_true(g_str_has_prefix(text->str, expected));
	g_assert_true(g_str_has_suffix(text->str, end));
	root = load(text);
	g_assert_cmpuint(json_object_size(root), ==, 37);
	g_assert_true(json_is_false(json_object_get(root, "ServerSSHAllowed")));
	json_decref(root);
	profile_text_free(text);
	profile_text_free(compact);
	profile_text_free(NULL);
	profile_done(&p);
}

static void test_indent(void)
{
	static const struct {
		const char *json, *text;
	} table[] = {
		{ "{}", "{}\n" },
		{ " { } ", "{}\n" },
		{ "[1,[2, [ ]],{\"a\":\"}\\\"{\"}]",
			"[\n    1,\n    [\n        2,\n        []\n    ],\n    {\n"
			"        \"a\": \"}\\\"{\"\n    }\n]\n" },
		/* No JSON, but no harm. */
		{ "", "\n" },
		{ "]", "]\n" },
		{ "\"", "\"\n" },
		{ "\"\\", "\"\\\n" },
		{ "{", "{\n    \n" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		GString *text = profile_indent(table[i].json, strlen(table[i].json));

		g_assert_cmpstr(text->str, ==, table[i].text);
		profile_text_free(text);
	}
}

/* -- secrets ---------------------------------------------------------------------------------- */

/* KEY, hidden. Only this program's own constants, which are not writable, have it. */
static void test_wiped(void)
{
	char hidden[KEY_STRLEN], error[PROFILE_ERROR_MAX];
	g_autofree char *text = g_strdup(typical), *bad = g_strdup(typical);
	size_t len = strlen(text);
	GString *compact, *pretty;
	struct profile p;

	for (size_t i = 0; i < KEY_TEXT_LEN; i++)
		hidden[i] = (char)(KEY[i] + 1);
	hidden[KEY_TEXT_LEN] = '\0';
	g_assert_true(canary_is_in_memory(hidden));
	g_assert_cmpint(profile_parse(text, len, &p, error), ==, 0);
	explicit_bzero(text, len);
	compact = profile_format(&p);
	pretty = profile_indent(compact->str, compact->len);
	g_assert_true(canary_is_in_memory(hidden));
	profile_text_free(compact);
	profile_text_free(pretty);
	profile_done(&p);
	bad[len - 2] = ']';
	g_assert_cmpint(profile_parse(bad, len, &p, error), ==, -EINVAL);
	explicit_bzero(bad, len);
	g_assert_false(canary_is_in_memory(hidden));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/profile/wiped", test_wiped); /* before the others leave it somewhere */
	g_test_add_func("/profile/typical", test_typical);
	g_test_add_func("/profile/defaults", test_defaults);
	g_test_add_func("/profile/urls", test_urls);
	g_test_add_func("/profile/refused", test_refused);
	g_test_add_func("/profile/limits", test_limits);
	g_test_add_func("/profile/judged", test_judged);
	g_test_add_func("/profile/judged_plain", test_judged_plain);
	g_test_add_func("/profile/round_trip", test_round_trip);
	g_test_add_func("/profile/swap_peer", test_swap_peer);
	g_test_add_func("/profile/new", test_new);
	g_test_add_func("/profile/indent", test_indent);
	return g_test_run();
}
