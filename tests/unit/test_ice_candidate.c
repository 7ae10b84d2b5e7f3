/* tests/unit/test_ice_candidate.c - candidates: priorities, foundations, and what is never used. */
#include <glib.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/crc32.h"

#define ID "0123456789abcdefghijABCDEFGHIJ+/"
#define REFERENCE \
	"3418105078 1 udp 2130706431 192.0.2.10 51820 typ host ufrag AbCdEfGhIjKlMnOp cid " ID

static struct candidate parse(const char *line)
{
	struct candidate c;

	g_assert_cmpint(candidate_parse(line, strlen(line), &c), ==, 0);
	return c;
}

static void assert_at(const struct endpoint *e, const char *text)
{
	char buf[ENDPOINT_STRLEN];

	g_assert_cmpstr(endpoint_format(e, buf), ==, text);
}

static struct candidate of(enum candidate_type type, const char *at)
{
	struct candidate c = { .type = type };

	g_assert_cmpint(endpoint_parse(at, strlen(at), &c.address), ==, 0);
	candidate_complete(&c);
	return c;
}

/* What the reference makes of them. */
static void test_complete(void)
{
	struct candidate c = of(CANDIDATE_HOST, "192.0.2.10:51820"), d;
	char line[CANDIDATE_LINE_MAX];

	g_assert_cmphex(crc32_of("123456789", 9), ==, 0xcbf43926);
	g_assert_cmphex(crc32_more(crc32_of("1234", 4), "56789", 5), ==, 0xcbf43926);
	g_assert_cmpuint(strlen(c.id), ==, CANDIDATE_ID_LEN);
	g_strlcpy(c.ufrag, "AbCdEfGhIjKlMnOp", sizeof(c.ufrag));
	g_strlcpy(c.id, ID, sizeof(c.id));
	g_assert_cmpstr(candidate_format(&c, line), ==, REFERENCE);
	c = of(CANDIDATE_SRFLX, "203.0.113.7:43210");
	c.related = (struct endpoint){ .family = AF_INET, .port = 51820 };
	c.id[0] = '\0';
	g_assert_cmpstr(candidate_format(&c, line), ==,
		"3891555988 1 udp 1694498815 203.0.113.7 43210 typ srflx raddr 0.0.0.0 rport 51820");
	c = of(CANDIDATE_HOST, "[2001:db8::10]:51820");
	c.id[0] = '\0';
	g_assert_cmpstr(candidate_format(&c, line), ==,
		"2972068683 1 udp 2130706431 2001:db8::10 51820 typ host");
	g_assert_cmpuint(of(CANDIDATE_PRFLX, "192.0.2.1:1").priority, ==, 1862270975);
	g_assert_cmpuint(of(CANDIDATE_RELAY, "192.0.2.1:1").priority, ==, 16777215);
	c = of(CANDIDATE_HOST, "192.0.2.1:1");
	d = of(CANDIDATE_HOST, "192.0.2.1:1");
	g_assert_cmpstr(c.id, !=, d.id);
	g_assert_cmpstr(c.foundation, ==, d.foundation);
}

static void test_refusal(void)
{
	static const struct {
		const char *address, *words;
	} addresses[] = {
		{ "192.0.2.1", NULL },
		{ "10.0.0.1", NULL },
		{ "100.127.255.255", NULL },
		{ "169.253.255.255", NULL },
		{ "223.255.255.255", NULL },
		{ "2001:db8::1", NULL },
		{ "fd00:ec1::254", NULL },
		{ "::2", NULL },
		{ "0.0.0.0", "unspecified" },
		{ "0.1.2.3", "unspecified" },
		{ "::", "unspecified" },
		{ "127.0.0.1", "loopback" },
		{ "127.255.255.255", "loopback" },
		{ "::1", "loopback" },
		{ "169.254.169.254", "link-local" },
		{ "fe80::1", "link-local" },
		{ "febf::1", "link-local" },
		{ "fd00:ec2::254", "metadata service" },
		{ "224.0.0.1", "multicast" },
		{ "239.255.255.255", "multicast" },
		{ "ff02::1", "multicast" },
		{ "240.0.0.1", "broadcast or reserved" },
		{ "255.255.255.255", "broadcast or reserved" },
		{ "100.64.0.1", "inside of the overlay network" },
		{ "fd00:6c::1", "inside of the overlay network" },
	};
	const struct prefix overlay[] = { { AF_INET, 16, { 100, 64 } },
		{ AF_INET6, 32, { 0xfd, 0, 0, 0x6c } } };
	struct candidate c;
	char line[CANDIDATE_LINE_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_snprintf(line, sizeof(line), "1 1 udp 1 %s 1 typ host", addresses[i].address);
		c = parse(line);
		g_assert_cmpstr(candidate_refusal(&c, overlay, 2), ==, addresses[i].words);
	}
	g_assert_null(candidate_refusal(&c, NULL, 0));
	c.address.port = 0;
	g_assert_cmpstr(candidate_refusal(&c, NULL, 0), ==, "port 0");
}

static void test_extra(void)
{
	static const char *const none[] = {
		"1 1 udp 1 203.0.113.7 43210 typ host raddr 0.0.0.0 rport 51820 cid x",
		"1 1 udp 1 203.0.113.7 43210 typ srflx raddr 0.0.0.0 rport 51820",
		"1 1 udp 1 203.0.113.7 51820 typ srflx raddr 0.0.0.0 rport 51820 cid x",
		"1 1 udp 1 203.0.113.7 43210 typ srflx raddr 0.0.0.0 rport 0 cid x",
		"1 1 udp 1 203.0.113.7 43210 typ srflx cid x",
	};
	struct candidate extra,
		c = parse("1 1 udp 1 203.0.113.7 43210 typ srflx raddr 0.0.0.0 rport 51820 cid x");

	g_assert_true(candidate_make_extra(&c, &extra));
	assert_at(&extra.address, "203.0.113.7:51820");
	g_assert_cmpint(extra.type, ==, CANDIDATE_SRFLX);
	g_assert_cmpstr(extra.id, ==, "x");
	for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
		c = parse(none[i]);
		g_assert_false(candidate_make_extra(&c, &extra));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ice_candidate/complete", test_complete);
	g_test_add_func("/ice_candidate/refusal", test_refusal);
	g_test_add_func("/ice_candidate/extra", test_extra);
	return g_test_run();
}
