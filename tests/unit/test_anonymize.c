/* tests/unit/test_anonymize.c - what is taken out of texts, and what is left. */
#include <glib.h>
#include <string.h>

#include "agent/cli/anonymize.h"

#define KEY "fC5rqxFVyQH7K0gwXXjHBmVr0vFWKDbCIM1YLPc6zxM="

static void expect(enum anonymize level, const char *text, const char *wanted)
{
	struct anonymizer *a = anonymizer_new(level);
	g_autofree char *got = NULL;

	anonymizer_learn(a, "DB1.example.net");
	anonymizer_learn(a, "db1");
	anonymizer_learn(a, "");
	got = anonymizer_text(a, text);
	g_assert_cmpstr(got, ==, wanted);
	anonymizer_free(a);
}

static void test_texts(void)
{
	static const struct {
		const char *text, *wanted;
	} table[] = {
		{ "", "" },
		{ "nothing to hide: up, 1420 bytes (4.5%) 12:30:59",
			"nothing to hide: up, 1420 bytes (4.5%) 12:30:59" },
		{ "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z" },
		{ "peer db1 and DB1, not db12 or xdb1",
			"peer host-2 and host-2, not db12 or xdb1" },
		{ "db1.example.net:51820", "host-1:51820" },
		{ "db1.example.net.", "host-1." },
		{ KEY, "key-1" },
		{ "\"" KEY "\"," KEY " x" KEY, "\"key-1\",key-1 x" KEY },
		{ "192.0.2.1:51820, 192.0.2.1", "ip4-1:51820, ip4-1" },
		{ "[2001:db8::1]:51820 192.0.2.2", "[ip6-1]:51820 ip4-2" },
		{ "2001:db8::/32 and 2001:DB8::", "ip6-1/32 and ip6-2" },
		{ "::ffff:192.0.2.1", "ip6-1" },
		{ "100.64.0.1/32, fd00:6c::1/128, 10.0.0.1, 192.168.1.1, 172.16.0.1, fe80::1",
			"100.64.0.1/32, fd00:6c::1/128, 10.0.0.1, 192.168.1.1, 172.16.0.1, fe80::1" },
		{ "127.0.0.1, ::1, 0.0.0.0, ::", "127.0.0.1, ::1, 0.0.0.0, ::" },
		{ "https://Vpn.Example.org:443/x, stun:stun.example.org:3478",
			"https://host-3:443/x, stun:host-4:3478" },
		{ "gw.example.org:51820 and gw.example.org", "host-3:51820 and host-3" },
		{ "6.1.0-56-cloud-amd64, 1.2.3, lapwing.json",
			"6.1.0-56-cloud-amd64, 1.2.3, lapwing.json" },
		{ ":: 1:2 a:b", ":: 1:2 a:b" },
		{ "it is 2001:db8::1.", "it is ip6-1." },
		{ "\xff\xfe 192.0.2.1", "\xff\xfe ip4-1" },
		{ "2001:db8::1:51820 2001:db8::1: down", "ip6-1:51820 ip6-1: down" },
		{ "192.0.2.1234 1.2.3.4.5 192.0.2.1x", "192.0.2.1234 1.2.3.4.5 192.0.2.1x" },
		{ "wt0:192.0.2.1", "wt0:ip4-1" },
		{ "192.0.2.1.", "ip4-1." },
		{ "from=192.0.2.1", "from=ip4-1" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		expect(ANONYMIZE_DEFAULT, table[i].text, table[i].wanted);
		expect(ANONYMIZE_OFF, table[i].text, table[i].text);
	}
	expect(ANONYMIZE_STRICT, "100.64.0.1/32, fd00:6c::1, fe80::1%wt0, 127.0.0.1, ::1, 10.0.0.1",
		"ip4-1/32, ip6-2, ip6-3%wt0, 127.0.0.1, ::1, ip4-4");
}

/* The same everywhere, and no other keys than public ones. */
static void test_json(void)
{
	static const char *const text =
		"{\"db1\":[\"db1\",1,null,{\"x\":\"db1: 192.0.2.1\"}],\"y\":\"192.0.2.1\"}";
	struct anonymizer *a = anonymizer_new(ANONYMIZE_DEFAULT);
	json_t *document = json_loads(text, 0, NULL);
	g_autofree char *got = NULL;

	anonymizer_learn(a, "db1");
	anonymizer_json(a, document);
	got = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(
		got, ==, "{\"db1\":[\"host-1\",1,null,{\"x\":\"host-1: ip4-1\"}],\"y\":\"ip4-1\"}");
	json_decref(document);
	anonymizer_free(a);
}

static void test_members(void)
{
	struct anonymizer *a = anonymizer_new(ANONYMIZE_DEFAULT);
	json_t *document = json_loads(
		"{\"db1.example.net\":[\"192.0.2.1:7\"],\"state\":[]}", 0, NULL);
	g_autofree char *got = NULL;

	anonymizer_members(a, document);
	anonymizer_members(a, NULL);
	anonymizer_json(a, document);
	got = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(got, ==, "{\"host-1\":[\"ip4-1:7\"],\"host-2\":[]}");
	json_decref(document);
	anonymizer_free(a);
}

static void test_secrets(void)
{
	json_t *document = json_loads(
		"{\"private_key_file\":\"/k\",\"setup_key\":\"abc\",\"psk\":\"x\",\"public_key\":\"" KEY
		"\",\"other\":\"" KEY "\",\"list\":[\"" KEY "\",\"ok\",{\"api_token\":\"t\"}],"
		"\"psk_file\":\"/p\",\"n\":1}",
		0, NULL);
	g_autofree char *got = NULL;

	anonymize_secrets(document);
	got = json_dumps(document, JSON_COMPACT | JSON_SORT_KEYS);
	g_assert_cmpstr(got, ==,
		"{\"list\":[\"(removed)\",\"ok\",{\"api_token\":\"(removed)\"}],\"n\":1,"
		"\"other\":\"(removed)\",\"private_key_file\":\"/k\",\"psk\":\"(removed)\","
		"\"psk_file\":\"/p\",\"public_key\":\"" KEY "\",\"setup_key\":\"(removed)\"}");
	json_decref(document);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/anonymize/texts", test_texts);
	g_test_add_func("/anonymize/json", test_json);
	g_test_add_func("/anonymize/members", test_members);
	g_test_add_func("/anonymize/secrets", test_secrets);
	return g_test_run();
}
