/* tests/unit/test_addr.c - prefixes and endpoints: text, order, aggregation. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/addr.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

/* -- prefixes ------------------------------------------------------------------------------- */

static void test_prefix_good(void)
{
	static const struct {
		const char *text, *formatted;
		int bits;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", 8 },
		{ "0.0.0.0/0", "0.0.0.0/0", 0 },
		{ "0.0.0.0", "0.0.0.0/32", 32 },
		{ "255.255.255.255", "255.255.255.255/32", 32 },
		{ "192.0.2.1/32", "192.0.2.1/32", 32 },
		{ "192.0.2.2/31", "192.0.2.2/31", 31 },
		{ "100.64.0.0/10", "100.64.0.0/10", 10 },
		{ "128.0.0.0/1", "128.0.0.0/1", 1 },
		{ "::/0", "::/0", 0 },
		{ "::", "::/128", 128 },
		{ "fd00::/8", "fd00::/8", 8 },
		{ "FD00:0:0::1", "fd00::1/128", 128 },
		{ "2001:db8:0:0:8000::/65", "2001:db8:0:0:8000::/65", 65 },
		{ "::1.2.3.4/128", "::1.2.3.4/128", 128 },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128 },
	};
	char buf[PREFIX_STRLEN];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct prefix p = prefix(cases[i].text), again;

		g_assert_cmpint(p.bits, ==, cases[i].bits);
		g_assert_cmpstr(prefix_format(&p, buf), ==, cases[i].formatted);
		again = prefix(buf);
		g_assert_true(prefix_is_same(&p, &again));
		g_assert_cmpmem(&p, sizeof(p), &again, sizeof(again));
	}
}

static void test_prefix_bad(void)
{
	static const char *const cases[] = { "", " ", "/", "/8", "1", "1.2.3", "1.2.3.", ".1.2.3",
		"1..2.3", "1.2.3.4.", "1.2.3.4.5", "256.0.0.0", "1.2.3.256", "01.2.3.4", "1.2.3.00",
		"1.2.3.1000", "1.2.3.4294967296", "-1.2.3.4", "+1.2.3.4", " 1.2.3.4", "1.2.3.4 ",
		"1.2.3.4\n", "1 .2.3.4", "0x1.2.3.4", "1.2.3.4/", "1.2.3.4/33", "1.2.3.4/032",
		"1.2.3.4/32 ", "1.2.3.4/ 32", "1.2.3.4/-1", "1.2.3.4/+8", "1.2.3.4/32/32",
		"1.2.3.4/4294967328", "1.2.3.4/24", "10.0.0.1/8", "0.0.0.1/0", "128.0.0.0/0",
		"1.2.3.3/31", ":", ":::", "::/", "::/129", "::/00", "::/008", "::1/127", "8000::/0",
		"fd00::1/8", "fe80::1%lo", "fe80::1%lo/64", "[::1]", "::1/128 ", "1::2::3",
		"12345::", "::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "::ffff:0:0/96",
		"0:0:0:0:0:ffff:c000:201", "a.b.c.d", "example.org", "1.2.3.4:51820",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000" };
	const struct prefix untouched = { .family = 77, .bits = 7 };
	struct prefix p = untouched;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("'%s'", cases[i]);
		g_assert_cmpint(prefix_parse(cases[i], strlen(cases[i]), &p), ==, -EINVAL);
		g_assert_true(prefix_is_same(&p, &untouched));
	}
	g_assert_cmpint(prefix_parse("1.2.3.4\0", 8, &p), ==, -EINVAL);
	g_assert_cmpint(prefix_parse("::1\0", 4, &p), ==, -EINVAL);
	g_assert_cmpint(prefix_parse("1.2.3.4/3\0", 10, &p), ==, -EINVAL);
}

/* Text that ends where it ends: what is behind it does not count. */
static void test_prefix_unterminated(void)
{
	static const char text[] = "10.1.2.34/321";
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, 8, &p), ==, 0);
	g_assert_cmpint(p.addr[3], ==, 3);
	g_assert_cmpint(prefix_parse(text, 9, &p), ==, 0);
	g_assert_cmpint(p.addr[3], ==, 34);
	g_assert_cmpint(p.bits, ==, 32);
	g_assert_cmpint(prefix_parse(text, 12, &p), ==, 0);
	g_assert_cmpint(prefix_parse(text, 10, &p), ==, -EINVAL);
	for (size_t len = 0; len < sizeof(text); len++) {
		g_autofree char *exact = g_memdup2(text, len); /* for the sanitizers */

		prefix_parse(exact ? exact : "", len, &p);
	}
}

/* All four bytes with all values, and our parser against that of libc. */
static void test_prefix_like_libc(void)
{
	static const char alphabet[] = "0123456789...";

	for (int i = 0; i < 200000; i++) {
		char text[17];
		size_t len = (size_t)g_test_rand_int_range(7, 16);
		struct in_addr theirs;
		struct prefix p;
		int ours;

		for (size_t j = 0; j < len; j++)
			text[j] = alphabet[g_test_rand_int_range(0, sizeof(alphabet) - 1)];
		text[len] = '\0';
		ours = prefix_parse(text, len, &p);
		g_assert_cmpint(ours == 0, ==, inet_pton(AF_INET, text, &theirs) == 1);
		if (ours == 0)
			g_assert_cmpmem(p.addr, 4, &theirs, 4);
	}
	for (unsigned i = 0; i < 256; i++) {
		g_autofree char *text = g_strdup_printf("%u.%u.%u.%u", i, 255 - i, i ^ 85, i / 2);
		struct prefix p = prefix(text);
		const uint8_t want[] = { (uint8_t)i, (uint8_t)(255 - i), (uint8_t)(i ^ 85),
			(uint8_t)(i / 2) };

		g_assert_cmpmem(p.addr, 4, want, 4);
	}
}

static void test_prefix_random_round_trip(void)
{
	char buf[PREFIX_STRLEN];

	for (int i = 0; i < 20000; i++) {
		struct prefix p = { .family = i % 2 ? AF_INET : AF_INET6 };
		struct prefix again;

		p.bits = (uint8_t)g_test_rand_int_range(0, (int)prefix_width(&p) + 1);
		for (unsigned bit = 0; bit < p.bits; bit++)
			if (g_test_rand_bit())
				p.addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (p.family == AF_INET6 && memcmp(p.addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
			continue;
		again = prefix(prefix_format(&p, buf));
		g_assert_true(prefix_is_same(&p, &again));
	}
}

static void test_prefix_none(void)
{
	const struct prefix none = { 0 };
	struct prefix all = prefix("0.0.0.0/0");
	char buf[PREFIX_STRLEN];

	g_assert_cmpstr(prefix_format(&none, buf), ==, "");
	g_assert_false(prefix_is_host(&none));
	g_assert_false(prefix_contains(&none, &none));
	g_assert_false(prefix_contains(&none, &all));
	g_assert_false(prefix_contains(&all, &none));
}

static void test_prefix_contains(void)
{
	static const struct {
		const char *outer, *inner;
		bool contains;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8", true },
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.1.0.0/16", "10.0.0.0/8", false },
		{ "10.0.0.0/16", "10.0.0.0/8", false },
		{ "10.1.0.0/17", "10.1.127.255", true },
		{ "10.1.0.0/17", "10.1.128.0", false },
		{ "0.0.0.0/0", "255.255.255.255", true },
		{ "0.0.0.0/0", "::", false },
		{ "::/0", "0.0.0.0", false },
		{ "::/0", "ffff::", true },
		{ "fd00::/63", "fd00:0:0:1::1", true },
		{ "fd00::/63", "fd00:0:0:2::", false },
		{ "fd00::1", "fd00::1", true },
		{ "fd00::1", "fd00::2", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct prefix outer = prefix(cases[i].outer), inner = prefix(cases[i].inner);

		g_test_message("%s in %s", cases[i].inner, cases[i].outer);
		g_assert_cmpint(prefix_contains(&outer, &inner), ==, cases[i].contains);
	}
}

static void test_prefix_order(void)
{
	static const char *const sorted[] = { "0.0.0.0/0", "0.0.0.0", "10.0.0.0/8", "10.0.0.0/16",
		"10.0.0.0", "10.0.0.1", "10.1.0.0/16", "11.0.0.0/8", "::/0", "::", "fd00::/8",
		"fd00::/64", "fd00::1" };

	for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(sorted); j++) {
			struct prefix a = prefix(sorted[i]), b = prefix(sorted[j]);
			int r = prefix_compare(&a, &b);

			g_assert_cmpint((r > 0) - (r < 0), ==, (i > j) - (i < j));
			g_assert_cmpint(prefix_is_same(&a, &b), ==, i == j);
		}
	}
}

static void test_prefix_width(void)
{
	struct prefix v4 = prefix("10.0.0.0/8"), v6 = prefix("fd00::1"), host = prefix("10.0.0.1");

	g_assert_cmpuint(prefix_width(&v4), ==, 32);
	g_assert_cmpuint(prefix_width(&v6), ==, 128);
	g_assert_false(prefix_is_host(&v4));
	g_assert_true(prefix_is_host(&v6));
	g_assert_true(prefix_is_host(&host));
}

/* -- aggregation ---------------------------------------------------------------------------- */

static void test_aggregate(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.0.0.1 10.0.0.1 10.0.0.1", "10.0.0.1/32" },
		{ "10.0.0.0/9 10.128.0.0/9", "10.0.0.0/8" },
		{ "10.128.0.0/9 10.0.0.0/9", "10.0.0.0/8" },
		{ "10.128.0.0/9 11.0.0.0/9", "10.128.0.0/9 11.0.0.0/9" },
		{ "10.0.0.0/8 10.1.0.0/16 10.2.3.4", "10.0.0.0/8" },
		{ "10.2.3.4 10.1.0.0/16 10.0.0.0/8", "10.0.0.0/8" },
		{ "10.0.0.0 10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.0/30" },
		{ "10.0.0.1 10.0.0.2", "10.0.0.1/32 10.0.0.2/32" },
		{ "10.0.0.0/25 10.0.0.128/26 10.0.0.192/26", "10.0.0.0/24" },
		{ "0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0" },
		{ "0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1", "0.0.0.0/0 ::/0" },
		{ "::/1 0.0.0.0/1", "0.0.0.0/1 ::/1" },
		{ "fd00::/64 fd00:0:0:1::/64 fd00:0:0:2::/64", "fd00::/63 fd00:0:0:2::/64" },
		{ "fd00:: fd00::1", "fd00::/127" },
		{ "255.255.255.254 255.255.255.255", "255.255.255.254/31" },
		{ "0.0.0.0/0 0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0" },
	};

	struct prefix none[2] = { 0 };

	g_assert_cmpuint(prefix_aggregate(NULL, 0), ==, 0);
	g_assert_cmpuint(prefix_aggregate(none, 2), ==, 2);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_auto(GStrv) words = g_strsplit(cases[i].in, " ", -1);
		g_autoptr(GString) out = g_string_new(NULL);
		struct prefix set[8];
		char buf[PREFIX_STRLEN];
		size_t n;

		for (n = 0; words[n]; n++)
			set[n] = prefix(words[n]);
		n = prefix_aggregate(set, n);
		for (size_t j = 0; j < n; j++)
			g_string_append_printf(
				out, "%s%s", j ? " " : "", prefix_format(&set[j], buf));
		g_assert_cmpstr(out->str, ==, cases[i].out);
	}
}

/* A bit for each address of a small network somewhere in the bits of an address. */
struct field {
	uint8_t family;
	unsigned first, width; /* of the bits that vary; those before are ones */
};

static struct prefix random_prefix(const struct field *f)
{
	struct prefix p = { .family = f->family };
	unsigned vary = (unsigned)g_test_rand_int_range(0, (int)f->width + 1);

	p.bits = (uint8_t)(f->first + vary);
	for (unsigned bit = 0; bit < p.bits; bit++)
		if (bit < f->first || g_test_rand_bit())
			p.addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return p;
}

static unsigned position(const struct field *f, const struct prefix *p)
{
	unsigned at = 0;

	for (unsigned bit = f->first; bit < f->first + f->width; bit++)
		at = at << 1 | (p->addr[bit / 8] >> (7 - bit % 8) & 1u);
	return at;
}

static void mark(const struct field *f, const struct prefix *p, bool *map)
{
	unsigned free_bits = f->first + f->width - p->bits;

	memset(map + position(f, p), true, (size_t)1 << free_bits);
}

/* The number of aligned blocks that are needed, by brute force. */
static unsigned blocks_needed(const bool *map, unsigned n)
{
	if (!memchr(map, false, n))
		return 1;
	return n == 1 ? 0 : blocks_needed(map, n / 2) + blocks_needed(map + n / 2, n / 2);
}

static void check_random_set(const struct field *f)
{
	enum { N_MAX = 64 };
	struct prefix set[N_MAX];
	bool want[1024] = { false }, got[1024] = { false };
	unsigned size = 1u << f->width;
	size_t n = (size_t)g_test_rand_int_range(0, N_MAX + 1), left;

	for (size_t i = 0; i < n; i++) {
		/* Mostly small ones: few sets would survive a large one. */
		do
			set[i] = random_prefix(f);
		while (set[i].bits < f->first + f->width - 1 && g_test_rand_int_range(0, 4));
		mark(f, &set[i], want);
	}
	left = prefix_aggregate(set, n);
	for (size_t i = 0; i < left; i++) {
		mark(f, &set[i], got);
		g_assert_true(i == 0 || prefix_compare(&set[i - 1], &set[i]) < 0);
	}
	g_assert_cmpmem(want, size, got, size);
	g_assert_cmpuint(left, ==, n ? blocks_needed(want, size) : 0);
}

static void test_aggregate_random(void)
{
	static const struct field fields[] = { { AF_INET, 24, 8 }, { AF_INET, 0, 8 },
		{ AF_INET, 11, 5 }, { AF_INET, 29, 3 }, { AF_INET6, 60, 10 }, { AF_INET6, 120, 8 },
		{ AF_INET6, 0, 6 } };

	for (int round = 0; round < 3000; round++)
		check_random_set(&fields[round % G_N_ELEMENTS(fields)]);
}

/* A hundred thousand neighbours become few, in time that does not grow with the square. */
static void test_aggregate_many(void)
{
	enum { N = 100000 };
	g_autofree struct prefix *set = g_new0(struct prefix, N);
	gint64 start;

	for (uint32_t i = 0; i < N; i++) {
		uint32_t addr = htonl(
			0x64400000 + (i * 7919u) % N); /* a permutation: 7919 is prime */

		set[i].family = AF_INET;
		set[i].bits = 32;
		memcpy(set[i].addr, &addr, sizeof(addr));
	}
	start = g_get_monotonic_time();
	/* 100000 = 2^16 + 2^15 + 2^10 + 2^9 + 2^7 + 2^5 */
	g_assert_cmpuint(prefix_aggregate(set, N), ==, 6);
	g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
}

/* -- endpoints ------------------------------------------------------------------------------ */

static void test_endpoint_good(void)
{
	static const struct {
		const char *text, *formatted;
	} cases[] = {
		{ "192.0.2.1:51820", NULL },
		{ "0.0.0.0:1", NULL },
		{ "255.255.255.255:65535", NULL },
		{ "[2001:db8::1]:51820", NULL },
		{ "[::]:1", NULL },
		{ "[FD00:0::1]:80", "[fd00::1]:80" },
		{ "[::ffff:192.0.2.1]:80", "192.0.2.1:80" },
		{ "[fe80::1]:80", NULL },
		{ "[fe80::1%lo]:80", NULL },
		{ "[febf::1%lo]:80", NULL },
		{ "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", NULL },
	};
	char buf[ENDPOINT_STRLEN];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *text = cases[i].text;
		struct endpoint e, again;

		g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
		g_assert_cmpstr(endpoint_format(&e, buf), ==,
			cases[i].formatted ? cases[i].formatted : text);
		g_assert_cmpint(endpoint_parse(buf, strlen(buf), &again), ==, 0);
		g_assert_true(endpoint_is_same(&e, &again));
	}
}

static void test_endpoint_bad(void)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EINVAL },
		{ ":", -EINVAL },
		{ ":80", -EINVAL },
		{ "192.0.2.1", -EINVAL },
		{ "192.0.2.1:", -EINVAL },
		{ "192.0.2.1:0", -EINVAL },
		{ "192.0.2.1:080", -EINVAL },
		{ "192.0.2.1:65536", -EINVAL },
		{ "192.0.2.1:4295018116", -EINVAL },
		{ "192.0.2.1:-1", -EINVAL },
		{ "192.0.2.1:80 ", -EINVAL },
		{ "192.0.2.1/32:80", -EINVAL },
		{ "192.0.02.1:80", -EINVAL },
		{ "example.org:51820", -EINVAL },
		{ "2001:db8::1:80", -EINVAL },
		{ "[2001:db8::1]", -EINVAL },
		{ "[2001:db8::1]80", -EINVAL },
		{ "[2001:db8::1]:", -EINVAL },
		{ "[2001:db8::1:80", -EINVAL },
		{ "[192.0.2.1]:80", -EINVAL },
		{ "[]:80", -EINVAL },
		{ "[", -EINVAL },
		{ "[]", -EINVAL },
		{ "[%lo]:80", -EINVAL },
		{ "[fe80::1%]:80", -EINVAL },
		{ "[2001:db8::1%lo]:80", -EINVAL },
		{ "[fe80::1%lo", -EINVAL },
		{ "[fe80::1%lo]", -EINVAL },
		{ "[fe80::1%nonesuch]:80", -ENODEV },
		{ "[fe80::1%nameofmorethan15]:80", -ENODEV },
		{ "[fe80::1%1]:80", -ENODEV },
	};
	const struct endpoint untouched = { .family = 77 };
	struct endpoint e = untouched;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("'%s'", cases[i].text);
		g_assert_cmpint(
			endpoint_parse(cases[i].text, strlen(cases[i].text), &e), ==, cases[i].r);
		g_assert_true(endpoint_is_same(&e, &untouched));
	}
	g_assert_cmpint(endpoint_parse("[fe80::1%l\0]:80", 15, &e), ==, -EINVAL);
}

static void test_endpoint_sockaddr(void)
{
	static const char *const cases[] = { "192.0.2.1:51820", "[2001:db8::1]:65535",
		"[fe80::1%lo]:1" };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct sockaddr_storage ss;
		struct endpoint e, again;
		socklen_t len;

		g_assert_cmpint(endpoint_parse(cases[i], strlen(cases[i]), &e), ==, 0);
		len = endpoint_to_sockaddr(&e, &ss);
		g_assert_cmpint(ss.ss_family, ==, e.family);
		g_assert_cmpint(endpoint_from_sockaddr((struct sockaddr *)&ss, len, &again), ==, 0);
		g_assert_true(endpoint_is_same(&e, &again));
		g_assert_cmpint(endpoint_from_sockaddr((struct sockaddr *)&ss, len - 1, &again), ==,
			-EINVAL);
	}
}

static void test_endpoint_sockaddr_odd(void)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	struct sockaddr *sa = (struct sockaddr *)&v6;
	struct sockaddr_storage ss;
	struct endpoint e, none = { 0 };
	char buf[ENDPOINT_STRLEN];

	g_assert_cmpint(endpoint_to_sockaddr(&none, &ss), ==, 0);
	g_assert_cmpstr(endpoint_format(&none, buf), ==, "");

	inet_pton(AF_INET6, "::ffff:192.0.2.1", &v6.sin6_addr);
	g_assert_cmpint(endpoint_from_sockaddr(sa, sizeof(v6), &e), ==, 0);
	g_assert_cmpstr(endpoint_format(&e, buf), ==, "192.0.2.1:80");

	/* A scope means nothing where the address is not link-local. */
	inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	v6.sin6_scope_id = 1;
	g_assert_cmpint(endpoint_from_sockaddr(sa, sizeof(v6), &e), ==, 0);
	g_assert_cmpint(e.scope, ==, 0);

	/* An interface that has gone. */
	inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr);
	v6.sin6_scope_id = UINT32_MAX;
	g_assert_cmpint(endpoint_from_sockaddr(sa, sizeof(v6), &e), ==, 0);
	g_assert_cmpstr(endpoint_format(&e, buf), ==, "[fe80::1%4294967295]:80");

	v6.sin6_family = AF_UNIX;
	g_assert_cmpint(endpoint_from_sockaddr(sa, sizeof(v6), &e), ==, -EINVAL);
	g_assert_cmpint(endpoint_from_sockaddr(sa, 1, &e), ==, -EINVAL);
	g_assert_cmpint(endpoint_from_sockaddr(sa, 0, &e), ==, -EINVAL);
}

static void test_endpoint_longest(void)
{
	struct endpoint e = { .family = AF_INET6, .port = 65535, .scope = UINT32_MAX };
	char buf[ENDPOINT_STRLEN];

	memset(e.addr, 0xff, sizeof(e.addr));
	g_assert_cmpstr(endpoint_format(&e, buf), ==,
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
	/* An interface's name may be longer than its number. */
	g_assert_cmpuint(strlen(buf) - 10 + IF_NAMESIZE - 1, <, ENDPOINT_STRLEN);
}

static void test_endpoint_is_same(void)
{
	struct endpoint a = { AF_INET6, 80, 1, { 0xfe, 0x80 } }, b = a;

	g_assert_true(endpoint_is_same(&a, &b));
	b.port++;
	g_assert_false(endpoint_is_same(&a, &b));
	b = a;
	b.scope++;
	g_assert_false(endpoint_is_same(&a, &b));
	b = a;
	b.addr[15]++;
	g_assert_false(endpoint_is_same(&a, &b));
	b = a;
	b.family = AF_INET;
	g_assert_false(endpoint_is_same(&a, &b));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/addr/prefix/good", test_prefix_good);
	g_test_add_func("/addr/prefix/bad", test_prefix_bad);
	g_test_add_func("/addr/prefix/unterminated", test_prefix_unterminated);
	g_test_add_func("/addr/prefix/like-libc", test_prefix_like_libc);
	g_test_add_func("/addr/prefix/random-round-trip", test_prefix_random_round_trip);
	g_test_add_func("/addr/prefix/none", test_prefix_none);
	g_test_add_func("/addr/prefix/contains", test_prefix_contains);
	g_test_add_func("/addr/prefix/order", test_prefix_order);
	g_test_add_func("/addr/prefix/width", test_prefix_width);
	g_test_add_func("/addr/aggregate/table", test_aggregate);
	g_test_add_func("/addr/aggregate/random", test_aggregate_random);
	g_test_add_func("/addr/aggregate/many", test_aggregate_many);
	g_test_add_func("/addr/endpoint/good", test_endpoint_good);
	g_test_add_func("/addr/endpoint/bad", test_endpoint_bad);
	g_test_add_func("/addr/endpoint/sockaddr", test_endpoint_sockaddr);
	g_test_add_func("/addr/endpoint/sockaddr-odd", test_endpoint_sockaddr_odd);
	g_test_add_func("/addr/endpoint/longest", test_endpoint_longest);
	g_test_add_func("/addr/endpoint/is-same", test_endpoint_is_same);
	return g_test_run();
}
