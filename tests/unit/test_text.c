/* tests/unit/test_text.c - UTF-8 and escaping. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/base/uuid.h"

/* All sequences of two bytes, and many of three and four, against GLib. */
static void test_utf8(void)
{
	char s[4];

	for (unsigned i = 0; i < 65536; i++) {
		s[0] = (char)(i >> 8);
		s[1] = (char)i;
		for (size_t len = 1; len <= 2; len++) {
			size_t n = text_utf8_len(s, s + len);

			g_assert_cmpuint(n, <=, len);
			g_assert_true(n == 0 || !s[0] || g_utf8_validate(s, (gssize)n, NULL));
		}
	}
	for (int i = 0; i < 500000; i++) {
		guint32 tail = (guint32)g_test_rand_int();
		const char *end;
		size_t n;

		s[0] = (char)g_test_rand_int_range(0xc0, 0x100);
		for (int j = 1; j < 4; j++)
			s[j] = (char)(0x80 | (tail >> 6 * j & 0x3f));
		n = text_utf8_len(s, s + 4);
		g_utf8_validate(s, 4, &end);
		/* GLib goes on to the next character, which begins with a bad byte. */
		g_assert_cmpuint(n, ==, (size_t)(end - s));
	}
}

static void test_utf8_borders(void)
{
	static const struct {
		const char *s;
		size_t n;
	} cases[] = {
		{ "a", 1 },
		{ "\x7f", 1 },
		{ "\x80", 0 },
		{ "\xbf", 0 },
		{ "\xc0\x80", 0 },
		{ "\xc1\xbf", 0 },
		{ "\xc2\x80", 2 },
		{ "\xdf\xbf", 2 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xe0\xa0\x80", 3 },
		{ "\xed\x9f\xbf", 3 },
		{ "\xed\xa0\x80", 0 },
		{ "\xed\xbf\xbf", 0 },
		{ "\xee\x80\x80", 3 },
		{ "\xef\xbf\xbf", 3 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xf0\x90\x80\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
		{ "\xc2", 0 },
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x98", 0 },
		{ "\xe2\x28\xa1", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(
			text_utf8_len(cases[i].s, cases[i].s + strlen(cases[i].s)), ==, cases[i].n);
}

static void test_escape(void)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "plain \"text\" \\", "plain \"text\" \\" },
		{ "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80" },
		{ "\x1b[31mred\n", "\\x1b[31mred\\x0a" },
		{ "\x7f\x01", "\\x7f\\x01" },
		{ "\xc2\x9b", "\\xc2\\x9b" }, /* a control character of terminals, too */
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" }, /* right to left override */
		{ "\xff\xc3", "\\xff\\xc3" },
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	};
	char buf[64];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		size_t n = text_escape(buf, sizeof(buf), cases[i].in, strlen(cases[i].in));

		g_assert_cmpstr(buf, ==, cases[i].out);
		g_assert_cmpuint(n, ==, strlen(buf));
	}
	text_escape(buf, sizeof(buf), "a\0b", 3);
	g_assert_cmpstr(buf, ==, "a\\x00b");
}

/* Each size: what fits is whole, what does not is cut at a character. */
static void test_cut(void)
{
	static const char in[] = "ab\xc3\xbc\x01"
				 "cd\xf0\x9f\x98\x80"
				 "e";
	static const char full[] = "ab\xc3\xbc\\x01"
				   "cd\xf0\x9f\x98\x80"
				   "e";

	for (size_t size = 4; size < 32; size++) {
		g_autofree char *buf = g_malloc(size); /* exact, for the sanitizers */
		size_t n = text_escape(buf, size, in, sizeof(in) - 1);

		g_assert_cmpuint(n, <, size);
		g_assert_cmpuint(n, ==, strlen(buf));
		g_assert_true(g_utf8_validate(buf, -1, NULL));
		if (size >= sizeof(full)) {
			g_assert_cmpstr(buf, ==, full);
		} else {
			g_assert_true(g_str_has_suffix(buf, "..."));
			g_assert_cmpint(strncmp(buf, full, n - 3), ==, 0);
		}
	}
}

static void test_hostname(void)
{
	static const char label[] =
		"0123456789012345678901234567890123456789012345678901234567890ab";
	g_autofree char *longest = g_strdup_printf("%s.%s.%s.%.61s", label, label, label, label);
	static const struct {
		const char *text;
		bool good;
	} table[] = {
		{ "a", true },
		{ "db1.Example-2.net", true },
		{ "0", true },
		{ label, true },
		{ "", false },
		{ ".", false },
		{ "a.", false },
		{ ".a", false },
		{ "a..b", false },
		{ "-a", false },
		{ "a-", false },
		{ "a-.b", false },
		{ "a_b", false },
		{ "a b", false },
		{ "\xc3\xa4", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_test_message("%s", table[i].text);
		g_assert_true(
			text_is_hostname(table[i].text, strlen(table[i].text)) == table[i].good);
	}
	g_assert_cmpuint(strlen(label), ==, 63);
	g_assert_false(text_is_hostname("a\0b", 3));
	g_assert_false(text_is_hostname(longest, 64));
	g_assert_cmpuint(strlen(longest), ==, HOSTNAME_MAX);
	g_assert_true(text_is_hostname(longest, HOSTNAME_MAX));
	longest = g_realloc(longest, HOSTNAME_MAX + 2);
	strcpy(longest + HOSTNAME_MAX, "a");
	g_assert_false(text_is_hostname(longest, HOSTNAME_MAX + 1));
}

static void test_uuid(void)
{
	static const char text[] = "A2C8E62B-38f5-4553-B31E-DD66C696CEBB";
	static const char *const bad[] = { "", "a2c8e62b-38f5-4553-b31e-dd66c696ceb",
		"a2c8e62b-38f5-4553-b31e-dd66c696cebb0", "a2c8e62b38f5-4553-b31e-dd66c696cebb00",
		"a2c8e62b-38f5-4553-b31e-dd66c696cebg", "a2c8e62b-38f5-4553-b31e_dd66c696cebb",
		"{a2c8e62b-38f5-4553-b31e-dd66c696ceb}", "a2c8e62--38f5-4553-b31e-dd66c696cebb" };
	char uuid[UUID_STRLEN] = "?";

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(uuid_parse(bad[i], strlen(bad[i]), uuid), ==, -EINVAL);
	g_assert_cmpstr(uuid, ==, "?");
	g_assert_cmpint(uuid_parse(text, strlen(text), uuid), ==, 0);
	g_assert_cmpstr(uuid, ==, "a2c8e62b-38f5-4553-b31e-dd66c696cebb");
}

static void test_interface_name(void)
{
	static const char *const good[] = { "a", "wt0", "wg-1.2_x", ".a", "0x1",
		"0123456789abcde" };
	static const char *const bad[] = { "", ".", "..", "..a", "a/b", "a b", "wt%d", "7",
		"012345", "a\x1b[31m", "a\n", "\xc3\xa4", "0123456789abcdef" };

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
		g_assert_true(text_is_interface_name(good[i], strlen(good[i])));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(text_is_interface_name(bad[i], strlen(bad[i])));
	g_assert_false(text_is_interface_name("a\0b", 3));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/text/utf8", test_utf8);
	g_test_add_func("/text/utf8-borders", test_utf8_borders);
	g_test_add_func("/text/escape", test_escape);
	g_test_add_func("/text/cut", test_cut);
	g_test_add_func("/text/hostname", test_hostname);
	g_test_add_func("/text/interface_name", test_interface_name);
	g_test_add_func("/text/uuid", test_uuid);
	return g_test_run();
}
