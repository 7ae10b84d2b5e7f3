/* tests/unit/test_candidate.c - lines about candidates: those of the protocol's description, and bad ones. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/candidate.h"

#define ID "0123456789abcdefghijABCDEFGHIJ+/"

static const char *const lines[] = {
	("3418105078 1 udp 2130706431 192.0.2.10 51820 typ host ufrag AbCdEfGhIjKlMnOp cid " ID),
	"3891555988 1 udp 1694498815 203.0.113.7 43210 typ srflx raddr 0.0.0.0 rport 51820 ufrag AbCdEfGhIjKlMnOp cid 9f3",
	"2972068683 1 udp 2130706431 2001:db8::10 51820 typ host ufrag AbCdEfGhIjKlMnOp cid Q7x",
	"1 1 udp 16777215 192.0.2.1 3478 typ relay raddr 2001:db8::1 rport 7",
	"a+/Z 1 udp 4294967295 192.0.2.1 65535 typ prflx",
	" 1 udp 0 192.0.2.1 1 typ host",
};

static struct candidate parse(const char *line)
{
	struct candidate c;

	g_assert_cmpint(candidate_parse(line, strlen(line), &c), ==, 0);
	return c;
}

static void test_round_trip(void)
{
	char text[CANDIDATE_LINE_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
		struct candidate c = parse(lines[i]);

		g_assert_cmpstr(candidate_format(&c, text), ==, lines[i]);
	}
}

static void test_values(void)
{
	struct candidate c = parse(lines[1]);
	char text[ENDPOINT_STRLEN];

	g_assert_cmpint(c.type, ==, CANDIDATE_SRFLX);
	g_assert_cmpuint(c.priority, ==, 1694498815);
	g_assert_cmpstr(endpoint_format(&c.address, text), ==, "203.0.113.7:43210");
	g_assert_cmpint(c.related.family, ==, AF_INET);
	g_assert_cmpuint(c.related.port, ==, 51820);
	g_assert_cmpstr(c.foundation, ==, "3891555988");
	g_assert_cmpstr(c.ufrag, ==, "AbCdEfGhIjKlMnOp");
	g_assert_cmpstr(c.id, ==, "9f3");
	c = parse(lines[0]);
	g_assert_cmpint(c.related.family, ==, 0);
	g_assert_cmpuint(strlen(c.id), ==, 32);
}

/* What the other side's parser takes, ours does too. */
static void test_lenient(void)
{
	struct candidate c = parse("candidate:1 1 UDP4 5 fd00::1%eth0 9 typ host generation 0 x y");
	char text[ENDPOINT_STRLEN];

	g_assert_cmpstr(endpoint_format(&c.address, text), ==, "[fd00::1]:9");
	c = parse("1 1 udp 5 192.0.2.1 9 typ srflx raddr host.example rport 77 cid a");
	g_assert_cmpuint(c.related.port, ==, 77);
	g_assert_cmpstr(c.id, ==, "a");
	/* Behind another extension these two are one like others. */
	c = parse("1 1 udp 5 192.0.2.1 9 typ srflx x y raddr 192.0.2.2 rport 77");
	g_assert_cmpint(c.related.family, ==, 0);
}

static const struct {
	const char *line;
	int r;
} bad[] = {
	{ "", -EINVAL },
	{ " ", -EINVAL },
	{ "1", -EINVAL },
	{ "a=candidate:1 1 udp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "1  1 udp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ host ", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 host", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ best", -EINVAL },
	{ "1 1 udp 4294967296 192.0.2.1 9 typ host", -EINVAL },
	{ "1 1 udp -5 192.0.2.1 9 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 0 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 65536 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.256 9 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.0/24 9 typ host", -EINVAL },
	{ "1 1 udp 5 host.example 9 typ host", -EINVAL },
	{ "1 1 udp 5 ::ffff:192.0.2.1 9 typ host", -EINVAL },
	{ "1 1 sctp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "1 100000 udp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "1_ 1 udp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "123456789012345678901234567890123 1 udp 5 192.0.2.1 9 typ host", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ srflx raddr 192.0.2.2", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ srflx raddr 192.0.2.2 rport x", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ srflx raddr", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ host ufrag", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ host ufrag a\nb", -EINVAL },
	{ "1 1 udp 5 192.0.2.1 9 typ host cid " ID ID "1", -EINVAL },
	{ "1 1 tcp 5 192.0.2.1 0 typ host tcptype active", -ENOTSUP },
	{ "1 2 udp 5 192.0.2.1 9 typ host", -ENOTSUP },
	{ "1 1 udp 5 4b7c2a.local 9 typ host", -ENOTSUP },
};

static void test_bad(void)
{
	g_autofree char *longest = g_strdup_printf("%s x %0*d", lines[0], CANDIDATE_LINE_MAX, 0);
	struct candidate c;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_test_message("%s", bad[i].line);
		g_assert_cmpint(
			candidate_parse(bad[i].line, strlen(bad[i].line), &c), ==, bad[i].r);
	}
	g_assert_cmpint(candidate_parse(longest, strlen(longest), &c), ==, -EINVAL);
	/* Cut anywhere before its type ends it is none. */
	for (size_t i = 0; i < strlen("3418105078 1 udp 2130706431 192.0.2.10 51820 typ hos"); i++)
		g_assert_cmpint(candidate_parse(lines[0], i, &c), ==, -EINVAL);
}

/* The longest of everything fits into the line. */
static void test_longest(void)
{
	struct candidate c = parse("1 1 udp 4294967295 1:2:3:4:5:6:7:8 65535 typ srflx raddr "
				   "2001:2001:2001:2001:2001:2001:2001:2001 rport 65535"),
			 again;
	char text[CANDIDATE_LINE_MAX];

	memset(c.foundation, 'f', CANDIDATE_FOUNDATION_MAX);
	memset(c.ufrag, 'u', CANDIDATE_UFRAG_MAX);
	memset(c.id, 'i', CANDIDATE_ID_MAX);
	candidate_format(&c, text);
	g_assert_true(g_str_has_suffix(text, "iii"));
	again = parse(text);
	g_assert_cmpstr(again.id, ==, c.id);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/candidate/round trip", test_round_trip);
	g_test_add_func("/candidate/values", test_values);
	g_test_add_func("/candidate/lenient", test_lenient);
	g_test_add_func("/candidate/bad", test_bad);
	g_test_add_func("/candidate/longest", test_longest);
	return g_test_run();
}
