/* tests/unit/test_jread.c - what is JSON, what the table says of it, and what errors say. */
#include <errno.h>
#include <glib.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jread.h"

/* -- a small document ----------------------------------------------------------------------- */

struct host {
	char name[64];
	int64_t port;
	bool relay;
	unsigned n_tags;
	char tags[4][64];
};

static void copy(struct slice s, char buf[static 64])
{
	snprintf(buf, 64, "%.*s", (int)s.len, s.s);
}

static void read_name(struct jread *r, void *into)
{
	struct host *h = into;
	struct slice s = jread_string(r);

	copy(s, h->name);
	if (!r->error && s.len == 0)
		jread_fail(r, "a name is not empty");
}

static void read_port(struct jread *r, void *into)
{
	struct host *h = into;

	h->port = jread_int(r, 1, 65535);
}

static void read_relay(struct jread *r, void *into)
{
	struct host *h = into;

	h->relay = jread_bool(r);
}

static void read_tag(struct jread *r, void *into)
{
	struct host *h = into;

	copy(jread_string(r), h->tags[h->n_tags++]);
}

static void read_tags(struct jread *r, void *into)
{
	jread_array(r, 4, read_tag, into);
}

static const struct jread_field HOST_FIELDS[] = {
	{ "name", read_name, true },
	{ "port", read_port, false },
	{ "relay", read_relay, false },
	{ "tags", read_tags, false },
};

static void read_host(struct jread *r, void *into)
{
	struct host *h = into;

	*h = (struct host){ .port = -1 };
	jread_object(r, HOST_FIELDS, G_N_ELEMENTS(HOST_FIELDS), h);
	if (!r->error && h->relay && h->port < 0)
		jread_fail(r, "a relay has a port");
}

static void read_hosts(struct jread *r, void *into)
{
	jread_array(r, 3, read_host, into);
}

static const struct jread_field FIELDS[] = { { "hosts", read_hosts, true } };

/* The text in memory of its own size, so that a step too far is seen. */
static int read_document(const char *text, size_t len, struct host *h, struct jread *r)
{
	g_autofree char *exact = g_memdup2(text, len);

	jread_init(r, exact ? exact : "", len);
	jread_object(r, FIELDS, G_N_ELEMENTS(FIELDS), h);
	return jread_finish(r);
}

static void test_document(void)
{
	static const char *const texts[] = {
		"{\"hosts\":[{\"name\":\"a\",\"port\":80,\"relay\":true,\"tags\":[\"x\",\"y\"]}]}",
		"{\"hosts\":[{\"tags\":[\"x\",\"y\"],\"relay\":true,\"port\":80,\"name\":\"a\"}]}",
		" {\r\n\t\"hosts\" : [ { \"relay\" : true , \"name\" : \"a\" , \"tags\" : [ \"x\" ,"
		"\"y\" ] ,\t\"port\" : 80 } ] }\n ",
		"{\"\\u0068osts\":[{\"n\\u0061me\":\"\\u0061\",\"port\":80,\"relay\":true,"
		"\"tags\":[\"\\u0078\",\"y\"]}]}",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct host h = { 0 };
		struct jread r;

		g_assert_cmpint(read_document(texts[i], strlen(texts[i]), &h, &r), ==, 0);
		g_assert_cmpstr(r.message, ==, "");
		g_assert_cmpstr(h.name, ==, "a");
		g_assert_cmpint(h.port, ==, 80);
		g_assert_true(h.relay);
		g_assert_cmpuint(h.n_tags, ==, 2);
		g_assert_cmpstr(h.tags[0], ==, "x");
		g_assert_cmpstr(h.tags[1], ==, "y");
	}
}

static void test_messages(void)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "line 1: an object is wanted, the text ends here" },
		{ " \n\n", "line 3: an object is wanted, the text ends here" },
		{ "[]", "line 1: an object is wanted, not a list" },
		{ "nul", "line 1: an object is wanted, not null" },
		{ "?", "line 1: an object is wanted, this is not JSON" },
		{ "{}", "line 1: \"hosts\" is missing" },
		{ "{\"hosts\":[]}\n\n}", "line 3: text behind the end" },
		{ "{\"hosts\":[]} // x", "line 1: text behind the end" },
		{ "/**/{\"hosts\":[]}", "line 1: an object is wanted, this is not JSON" },
		{ "{\"hosts\":[]", "line 1: the text ends here" },
		{ "{\"hosts\":[\n", "line 2: hosts[0]: an object is wanted, the text ends here" },
		{ "{\"hosts\"\n", "line 2: the text ends here" },
		{ "{\"hosts\"\n\"", "line 2: a colon is missing" },
		{ "{\"ho", "line 1: the text ends in a string" },
		{ "{\"hosts\":[],}", "line 1: a key in quotes is wanted, not a closing bracket" },
		{ "{,\"hosts\":[]}", "line 1: a key in quotes is wanted, this is not JSON" },
		{ "{hosts:[]}", "line 1: a key in quotes is wanted, this is not JSON" },
		{ "{'hosts':[]}", "line 1: a key in quotes is wanted, this is not JSON" },
		{ "{1:[]}", "line 1: a key in quotes is wanted, not a number" },
		{ "{\"hosts\":[],\n\"hosts\":[]}", "line 2: key \"hosts\" is repeated" },
		{ "{\"hosts\":[],\n\"host\":[]}", "line 2: key \"host\" is unknown" },
		{ "{\"hostss\":[]}", "line 1: key \"hostss\" is unknown" },
		{ "{\"\":[]}", "line 1: key \"\" is unknown" },
		{ "{\"hosts\\u001b[2J\":[]}", "line 1: key \"hosts\\x1b[2J\" is unknown" },
		{ "{\"hosts\":\nnull}", "line 2: hosts: a list is wanted, not null" },
		{ "{\"hosts\":\n{}}", "line 2: hosts: a list is wanted, not an object" },
		{ "{\"hosts\":[\n3]}", "line 2: hosts[0]: an object is wanted, not a number" },
		{ "{\"hosts\":[\n\n{}]}", "line 3: hosts[0]: \"name\" is missing" },
		{ "{\"hosts\":[{\"name\":\"a\"},\n{\"port\":1,\n\"tags\":[\"\n\"]}]}",
			"line 3: hosts[1].tags[0]: a string has a control character" },
		{ "{\"hosts\":[{\"name\":\"a\"}\n,{\"port\":1,\n\"tags\":[\"\"]\n}]}",
			"line 2: hosts[1]: \"name\" is missing" },
		{ "{\"hosts\":[{\"name\":\"a\"},{\"name\":\"a\"},{\"name\":\"a\"},\n\n{]}",
			"line 3: hosts: more than 3 in the list" },
		{ "{\"hosts\":[{\"name\":\n\"\"}]}", "line 2: hosts[0].name: a name is not empty" },
		{ "{\"hosts\":[{\"name\":7}]}",
			"line 1: hosts[0].name: a string is wanted, not a number" },
		{ "{\"hosts\":[{\"name\":\"a\",\n\"relay\":true,\n\"tags\":[\n]}]}",
			"line 1: hosts[0]: a relay has a port" },
		{ "{\"hosts\":[\n{\"name\":\"a\",\n\"relay\":true,\n\"tags\":[\n]}]}",
			"line 2: hosts[0]: a relay has a port" },
		{ "{\"hosts\":[{\"name\":\"a\",\"port\":0}]}",
			"line 1: hosts[0].port: must be 1 to 65535" },
		{ "{\"hosts\":[{\"name\":\"a\",\"port\":80.0}]}",
			"line 1: hosts[0].port: a whole number is wanted" },
		{ "{\"hosts\":[{\"name\":\"a\",\"relay\":1}]}",
			"line 1: hosts[0].relay: true or false is wanted, not a number" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[\"\",\"\",\"\"\n,\"\",\"\"]}]}",
			"line 2: hosts[0].tags: more than 4 in the list" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[\"\"\"\"]}]}",
			"line 1: hosts[0].tags: a comma is missing" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[\"\",]}]}",
			"line 1: hosts[0].tags[1]: a string is wanted, not a closing bracket" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[,]}]}",
			"line 1: hosts[0].tags[0]: a string is wanted, this is not JSON" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[}]}",
			"line 1: hosts[0].tags[0]: a string is wanted, not a closing bracket" },
		{ "{\"hosts\":[{\"name\":\"a\",\"tags\":[\"\"}]}",
			"line 1: hosts[0].tags: a comma is missing" },
		{ "{\"hosts\":[{\"name\":\"\xff\"}]}",
			"line 1: hosts[0].name: a string is not UTF-8" },
		{ "\xef\xbb\xbf{\"hosts\":[]}",
			"line 1: the text begins with a byte order mark (save it as UTF-8 without)" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct host h = { 0 };
		struct jread r;

		g_assert_cmpint(
			read_document(cases[i].text, strlen(cases[i].text), &h, &r), ==, -EINVAL);
		g_assert_cmpstr(r.message, ==, cases[i].message);
	}
}

/* Every beginning of a good text is an error, never more than that. */
static void test_cut_off(void)
{
	static const char text[] = "{\"hosts\":[{\"name\":\"\\ud83d\\ude00\xc3\xbc\",\"port\":80,"
				   "\"relay\":false,\"tags\":[\"x\",\"y\"]},{\"name\":\"b\"}]}";
	struct host h[3];
	struct jread r;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		g_assert_cmpint(read_document(text, len, h, &r), ==, -EINVAL);
		g_assert_cmpuint(strlen(r.message), >, 8);
	}
	g_assert_cmpint(read_document(text, sizeof(text) - 1, h, &r), ==, 0);
	/* A NUL is not an end. */
	g_assert_cmpint(read_document(text, sizeof(text), h, &r), ==, -EINVAL);
	g_assert_cmpstr(r.message, ==, "line 1: text behind the end");
}

static void test_line_behind_long_text(void)
{
	g_autoptr(GString) text = g_string_new("{\"hosts\":[{\"name\":\"");
	struct host h = { 0 };
	struct jread r;

	for (int i = 0; i < 1000; i++)
		g_string_append(text, "x");
	g_string_append(text, "\",");
	for (int i = 0; i < 100000; i++)
		g_string_append(text, i % 3 ? "\r\n" : " ");
	g_string_append(text, "\"port\":x");
	g_assert_cmpint(read_document(text->str, text->len, &h, &r), ==, -EINVAL);
	g_assert_cmpstr(
		r.message, ==, "line 66667: hosts[0].port: a number is wanted, this is not JSON");
}

/* -- single values -------------------------------------------------------------------------- */

static void init(struct jread *r, char **exact, const char *text, size_t len)
{
	*exact = g_memdup2(text, len);
	jread_init(r, *exact ? *exact : "", len);
}

static void test_strings(void)
{
	static const struct {
		const char *json, *value; /* NULL: refused */
	} cases[] = {
		{ "\"\"", "" },
		{ "\"a\"", "a" },
		{ "\"1234567\"", "1234567" },
		{ "\"12345678\"", "12345678" },
		{ "\"123456789abcdef0123\"", "123456789abcdef0123" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"12345678\\n12345678\\n\"", "12345678\n12345678\n" },
		{ "\"\\u0041\\u00e4\\u20AC\\uFFFF\"", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf" },
		{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
		{ "\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\"\\ud7ff\\ue000\"", "\xed\x9f\xbf\xee\x80\x80" },
		{ "\"gr\xc3\xbc\xc3\x9f\"", "gr\xc3\xbc\xc3\x9f" },
		{ "\"\xf0\x9f\x98\x80 \xe2\x82\xac\"", "\xf0\x9f\x98\x80 \xe2\x82\xac" },
		{ "\"\x7f\"", "\x7f" },
		{ "\" !#[]~/'\"", " !#[]~/'" },
		{ "\"\\u0001\"", "\x01" },
		{ "\"", NULL },
		{ "\"abc", NULL },
		{ "\"abcdefghijk", NULL },
		{ "\"\\", NULL },
		{ "\"\\\"", NULL },
		{ "\"\\x41\"", NULL },
		{ "\"\\'\"", NULL },
		{ "\"\\U0041\"", NULL },
		{ "\"\\u\"", NULL },
		{ "\"\\u004", NULL },
		{ "\"\\u004g\"", NULL },
		{ "\"\\u 041\"", NULL },
		{ "\"\\u+041\"", NULL },
		{ "\"\\u0000\"", NULL },
		{ "\"\\ud800\"", NULL },
		{ "\"\\udc00\"", NULL },
		{ "\"\\ud800x\"", NULL },
		{ "\"\\ud800\\n\"", NULL },
		{ "\"\\ud800\\u0041\"", NULL },
		{ "\"\\ud800\\ud800\"", NULL },
		{ "\"\\udc00\\ud800\"", NULL },
		{ "\"\\ud800\\udc0", NULL },
		{ "\"\t\"", NULL },
		{ "\"abcdefgh\n\"", NULL },
		{ "\"\x01\"", NULL },
		{ "\"\x1f\"", NULL },
		{ "\"\x80\"", NULL },
		{ "\"abcdefgh\xc3\"", NULL },
		{ "\"\xc0\xaf\"", NULL },
		{ "\"\xed\xa0\x80\"", NULL },
		{ "\"\xf4\x90\x80\x80\"", NULL },
		{ "\"\xe2\x82\"", NULL },
		{ "'a'", NULL },
		{ "a", NULL },
		{ "1", NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *exact = NULL, *got = NULL;
		struct slice s;
		struct jread r;

		init(&r, &exact, cases[i].json, strlen(cases[i].json));
		s = jread_string(&r);
		got = g_strndup(s.s, s.len);
		g_assert_cmpint(jread_finish(&r), ==, cases[i].value ? 0 : -EINVAL);
		g_assert_cmpstr(got, ==, cases[i].value ? cases[i].value : "");
	}
}

/* Each byte that needs attention in each place of a word, before and behind the end of words. */
static void test_string_places(void)
{
	static const char specials[] = "\"\\\n\x1f\x80\xff\x00";

	for (size_t len = 1; len < 28; len++) {
		for (size_t at = 0; at < len; at++) {
			for (size_t k = 0; k < sizeof(specials) - 1; k++) {
				g_autofree char *text = g_malloc(len + 2);
				struct slice s;
				struct jread r;

				text[0] = '"';
				for (size_t i = 0; i < len; i++)
					text[i + 1] = (char)(0x30 + i % 0x10);
				text[len + 1] = '"';
				text[at + 1] = specials[k];
				jread_init(&r, text, len + 2);
				s = jread_string(&r);
				if (specials[k] == '"') {
					g_assert_cmpuint(s.len, ==, at);
					g_assert_true(r.at == text + at + 2);
				} else {
					g_assert_cmpint(r.error, ==, -EINVAL);
				}
			}
		}
	}
}

static void test_string_limit(void)
{
	static const char *const pieces[] = { "x", "\\n", "\xc3\xbc", "\\u00fc", "\\ud83d\\ude00" };
	static const size_t sizes[] = { 1, 1, 2, 2, 4 };

	for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
		size_t n = JREAD_STRING_MAX / sizes[i];

		for (int more = 0; more <= 1; more++) {
			g_autoptr(GString) text = g_string_new("\"");
			struct slice s;
			struct jread r;

			for (size_t j = 0; j < n; j++)
				g_string_append(text, pieces[i]);
			g_string_append(text, more ? "x\"" : "\"");
			jread_init(&r, text->str, text->len);
			s = jread_string(&r);
			g_assert_cmpint(jread_finish(&r), ==, more ? -EINVAL : 0);
			g_assert_cmpuint(s.len, ==, more ? 0 : JREAD_STRING_MAX);
			g_assert_cmpstr(r.message, ==,
				more ? "line 1: a string is longer than 1024 bytes" : "");
		}
	}
}

static void test_ints(void)
{
	static const struct {
		const char *json;
		int64_t value;
		bool good;
	} cases[] = {
		{ "0", 0, true },
		{ "-0", 0, true },
		{ "7", 7, true },
		{ "-7", -7, true },
		{ "1234567890", 1234567890, true },
		{ "9223372036854775807", INT64_MAX, true },
		{ "-9223372036854775808", INT64_MIN, true },
		{ "9223372036854775808", 0, false },
		{ "-9223372036854775809", 0, false },
		{ "18446744073709551615", 0, false },
		{ "18446744073709551616", 0, false },
		{ "-18446744073709551616", 0, false },
		{ "18446744073709551617", 0, false },
		{ "184467440737095516160000000000000000000001", 0, false },
		{ "00", 0, false },
		{ "01", 0, false },
		{ "-01", 0, false },
		{ "-", 0, false },
		{ "--1", 0, false },
		{ "+1", 0, false },
		{ ".5", 0, false },
		{ "1.", 0, false },
		{ "1.0", 0, false },
		{ "1e1", 0, false },
		{ "1E1", 0, false },
		{ "0x10", 0, false },
		{ "1 2", 0, false },
		{ "1a", 0, false },
		{ "NaN", 0, false },
		{ "Infinity", 0, false },
		{ "-Infinity", 0, false },
		{ "\"1\"", 0, false },
		{ "true", 0, false },
		{ "", 0, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *exact = NULL;
		struct jread r;
		int64_t value;

		init(&r, &exact, cases[i].json, strlen(cases[i].json));
		value = jread_int(&r, INT64_MIN, INT64_MAX);
		g_test_message("%s: %s", cases[i].json, r.message);
		g_assert_cmpint(jread_finish(&r), ==, cases[i].good ? 0 : -EINVAL);
		if (cases[i].good)
			g_assert_cmpint(value, ==, cases[i].value);
	}
}

static void test_int_range(void)
{
	static const struct {
		const char *json;
		bool good;
	} cases[] = { { "-6", false }, { "-5", true }, { "0", true }, { "9", true },
		{ "10", false } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct jread r;
		int64_t value;

		jread_init(&r, cases[i].json, strlen(cases[i].json));
		value = jread_int(&r, -5, 9);
		g_assert_cmpint(jread_finish(&r), ==, cases[i].good ? 0 : -EINVAL);
		g_assert_cmpint(value, ==, cases[i].good ? atoi(cases[i].json) : -5);
		g_assert_cmpstr(r.message, ==, cases[i].good ? "" : "line 1: must be -5 to 9");
	}
}

static void test_bools(void)
{
	static const char *const bad[] = { "", "t", "tru", "truE", "True", "trues", "f", "fals",
		"falsee", "null", "0", "1", "\"true\"", "{}", "true false" };
	struct jread r;

	jread_init(&r, " true ", 6);
	g_assert_true(jread_bool(&r));
	g_assert_cmpint(jread_finish(&r), ==, 0);
	jread_init(&r, "false", 5);
	g_assert_false(jread_bool(&r));
	g_assert_cmpint(jread_finish(&r), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *exact = NULL;

		init(&r, &exact, bad[i], strlen(bad[i]));
		jread_bool(&r);
		g_assert_cmpint(jread_finish(&r), ==, -EINVAL);
	}
}

static void test_peek(void)
{
	static const struct {
		const char *json;
		char kind;
	} cases[] = { { " {", '{' }, { "\n[", '[' }, { "\"", '"' }, { "-", '0' }, { "0", '0' },
		{ "9", '0' }, { "t", 't' }, { "f", 't' }, { "n", 'n' }, { "", 0 }, { "]", 0 },
		{ "}", 0 }, { "+", 0 }, { ",", 0 }, { "\x0b", 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct jread r;

		jread_init(&r, cases[i].json, strlen(cases[i].json));
		g_assert_cmpint(jread_peek(&r), ==, cases[i].kind);
		g_assert_cmpint(r.error, ==, cases[i].kind ? 0 : -EINVAL);
		g_assert_cmpint(jread_peek(&r), ==, cases[i].kind);
	}
}

/* -- limits and errors ---------------------------------------------------------------------- */

static void read_nested(struct jread *r, void *into)
{
	++*(unsigned *)into;
	jread_array(r, 2, read_nested, into);
}

static void test_depth(void)
{
	unsigned n = 0;
	struct jread r;

	jread_init(&r, "[[[[[[[[]]]]]]]]", 16);
	read_nested(&r, &n);
	g_assert_cmpint(jread_finish(&r), ==, 0);
	g_assert_cmpuint(n, ==, JREAD_DEPTH_MAX);
	n = 0;
	jread_init(&r, "[[[[[[[[[]]]]]]]]]", 18);
	read_nested(&r, &n);
	g_assert_cmpint(jread_finish(&r), ==, -EINVAL);
	g_assert_cmpstr(r.message, ==, "line 1: [0][0][0][0][0][0][0][0]: nested deeper than 8");
}

static void read_anything(struct jread *r, void *into)
{
	jread_string(r);
}

/* A table as long as it may be, and keys that begin alike. */
static void test_many_fields(void)
{
	static char names[64][8];
	struct jread_field fields[64];
	g_autoptr(GString) text = g_string_new("{");
	struct jread r;

	for (unsigned i = 0; i < 64; i++) {
		snprintf(names[i], sizeof(names[i]), "k%u", i);
		fields[i] = (struct jread_field){ names[i], read_anything, true };
	}
	for (unsigned i = 0; i < 64; i++)
		g_string_append_printf(text, "%s\"k%u\":\"\"", i ? "," : "", (63 - i) * 5 % 64);
	g_string_append_c(text, '}');
	jread_init(&r, text->str, text->len);
	jread_object(&r, fields, 64, NULL);
	g_assert_cmpint(jread_finish(&r), ==, 0);

	jread_init(&r, "{\"k63\":\"\",\"k63\":\"\"}", 19);
	jread_object(&r, fields, 64, NULL);
	g_assert_cmpstr(r.message, ==, "line 1: key \"k63\" is repeated");
	jread_init(&r, "{}", 2);
	jread_object(&r, fields, 0, NULL);
	g_assert_cmpint(jread_finish(&r), ==, 0);
	jread_init(&r, "{\"a\":1}", 7);
	jread_object(&r, fields, 0, NULL);
	g_assert_cmpstr(r.message, ==, "line 1: key \"a\" is unknown");
}

/* The first error stays; nothing moves after it. */
static void test_sticky(void)
{
	struct jread r;

	jread_init(&r, "\"a\" \"b\" 5 true", 14);
	jread_string(&r);
	jread_fail(&r, "%s", "first");
	jread_fail(&r, "%s", "second");
	g_assert_cmpint(r.error, ==, -EINVAL);
	g_assert_cmpuint(jread_string(&r).len, ==, 0);
	g_assert_cmpint(jread_int(&r, 3, 9), ==, 3);
	g_assert_false(jread_bool(&r));
	g_assert_cmpint(jread_peek(&r), ==, 0);
	jread_array(&r, 9, read_anything, NULL);
	jread_object(&r, FIELDS, G_N_ELEMENTS(FIELDS), NULL);
	g_assert_cmpint(jread_finish(&r), ==, -EINVAL);
	g_assert_cmpstr(r.message, ==, "line 1: first");
}

/* Foreign text in messages is cut and escaped, and the message always fits. */
static void test_foreign_text(void)
{
	g_autofree char *name = g_strnfill(500, 'y');
	g_autofree char *text = g_strdup_printf("{\"%s\":1}", name);
	struct jread r;
	struct host h;

	g_assert_cmpint(read_document(text, strlen(text), &h, &r), ==, -EINVAL);
	g_assert_cmpstr(r.message, ==,
		"line 1: key \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...\" is unknown");
	jread_init(&r, "1", 1);
	jread_fail(&r, "%s\x1b[2J\n", name);
	g_assert_cmpuint(strlen(r.message), <, JREAD_ERROR_MAX);
	g_assert_true(g_str_has_suffix(r.message, "..."));
	jread_init(&r, "1", 1);
	jread_fail(&r, "\x1b[2J\n%s", "\xff");
	g_assert_cmpstr(r.message, ==, "line 1: \\x1b[2J\\x0a\\xff");
}

static void read_deep_key(struct jread *r, void *into)
{
	static const struct jread_field fields[] = { { "a-key-that-is-rather-long-and-longer",
		read_deep_key, false } };

	jread_object(r, fields, 1, into);
}

static void test_long_path(void)
{
	static const char piece[] = "{\"a-key-that-is-rather-long-and-longer\":";
	g_autoptr(GString) text = g_string_new(NULL);
	struct jread r;

	for (int i = 0; i < 8; i++)
		g_string_append(text, piece);
	jread_init(&r, text->str, text->len);
	read_deep_key(&r, NULL);
	g_assert_cmpint(jread_finish(&r), ==, -EINVAL);
	g_assert_cmpuint(strlen(r.message), <, JREAD_ERROR_MAX);
	g_assert_true(g_str_has_suffix(r.message, "the text ends here"));
}

/* -- against jansson ------------------------------------------------------------------------ */

static void walk(struct jread *r, void *into);

static void walk_field(struct jread *r, void *into)
{
	walk(r, into);
}

static const struct jread_field WALK_FIELDS[] = { { "a", walk_field, false },
	{ "b", walk_field, false }, { "", walk_field, false } };

/* Writes what it reads in a form that jansson's values are brought to as well. */
static void walk(struct jread *r, void *into)
{
	GString *out = into;
	struct slice s;
	int64_t value;

	switch (jread_peek(r)) {
	case '{':
		g_string_append_c(out, '{');
		jread_object(r, WALK_FIELDS, G_N_ELEMENTS(WALK_FIELDS), out);
		g_string_append_c(out, '}');
		break;
	case '[':
		g_string_append_c(out, '[');
		jread_array(r, 1000, walk, out);
		g_string_append_c(out, ']');
		break;
	case '"':
		s = jread_string(r);
		g_string_append_printf(out, "%zu:", s.len);
		g_string_append_len(out, s.s, (gssize)s.len);
		break;
	case '0':
		value = jread_int(r, INT64_MIN, INT64_MAX);
		g_string_append_printf(out, "%" G_GINT64_FORMAT, value);
		break;
	case 't':
		g_string_append_c(out, jread_bool(r) ? 't' : 'f');
		break;
	default:
		jread_fail(r, "null");
	}
}

static void walk_jansson(const json_t *json, GString *out)
{
	const char *key;
	json_t *value;
	size_t i;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		g_string_append_c(out, '{');
		/* jansson keeps the order of the text. */
		json_object_foreach((json_t *)json, key, value) walk_jansson(value, out);
		g_string_append_c(out, '}');
		break;
	case JSON_ARRAY:
		g_string_append_c(out, '[');
		json_array_foreach(json, i, value) walk_jansson(value, out);
		g_string_append_c(out, ']');
		break;
	case JSON_STRING:
		g_string_append_printf(out, "%zu:", json_string_length(json));
		g_string_append(out, json_string_value(json));
		break;
	case JSON_INTEGER:
		g_string_append_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
		break;
	case JSON_REAL:
	case JSON_NULL:
	case JSON_TRUE:
	case JSON_FALSE:
		g_string_append_c(out, json_is_true(json) ? 't' : 'f');
		break;
	}
}

/* Texts that are nearly JSON. Whatever we take, jansson takes, too, and sees the same in it. */
static void test_like_jansson(void)
{
	static const char *const pieces[] = { "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"",
		"\"\"", "\"\\u0061\"", "\"\\ud83d\\ude00\"", "\"\xc3\xbc\"", "0", "-1", "123", "-0",
		"01", "true", "false", " ", "\n", "\"a\":", "\"b\":", "[]", "{}", "[1,", "\"a\":1",
		"\"b\":[", "\"x" };
	unsigned taken = 0;

	for (int i = 0; i < 400000; i++) {
		g_autoptr(GString) text = g_string_new(NULL), ours = g_string_new(NULL);
		int n = g_test_rand_int_range(1, 10);
		bool wrapped = g_test_rand_bit();
		json_error_t error;
		struct jread r;

		if (wrapped)
			g_string_append_c(text, '[');
		while (n-- > 0)
			g_string_append(
				text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
		if (wrapped)
			g_string_append_c(text, ']');
		jread_init(&r, text->str, text->len);
		walk(&r, ours);
		if (jread_finish(&r) == 0) {
			g_autoptr(GString) theirs = g_string_new(NULL);
			json_t *json = json_loadb(text->str, text->len,
				JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

			g_test_message("%s", text->str);
			g_assert_nonnull(json);
			walk_jansson(json, theirs);
			g_assert_cmpstr(ours->str, ==, theirs->str);
			json_decref(json);
			taken++;
		}
	}
	g_assert_cmpuint(taken, >, 10000);
}

/* -- any keys, any values ------------------------------------------------------------------- */

static void take_number(struct jread *r, struct slice key, void *into)
{
	GString *out = into;
	g_autofree char *name = g_strndup(key.s, key.len);

	g_string_append_printf(out, "%s=%d;", name, (int)jread_int(r, 0, 9));
}

static void test_members(void)
{
	static const struct {
		const char *text, *seen, *error;
	} table[] = {
		{ "{}", "", NULL },
		{ "{\"a\":1,\"\\u0062\":2}", "a=1;b=2;", NULL },
		{ "{\"a\":1,\"a\":2}", "a=1;a=2;", NULL },
		{ "{\"\":10}", "=0;", "line 1: must be 0 to 9" },
		{ "{\"a\":1,\n\"b\\u0021\":true}", "a=1;b!=0;",
			"line 2: b\\u0021: a number is wanted, not true or false" },
		{ "{\"\x7f\":true}", "\x7f=0;", "line 1: \\x7f: a number is wanted" },
		{ "{\"a\":1,\"b\":1,\"c\":1,\"d\":1}", "a=1;b=1;c=1;",
			"more than 3 in the object" },
		{ "[]", "", "an object is wanted, not a list" },
		{ "{1:2}", "", "a key in quotes is wanted" },
		{ "{\"a\" 2}", "", "a colon is missing" },
		{ "{\"a", "", "the text ends in a string" },
		{ "{\"a\":1", "a=1;", "the text ends here" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autoptr(GString) seen = g_string_new(NULL);
		struct jread r;

		jread_init(&r, table[i].text, strlen(table[i].text));
		jread_members(&r, 3, take_number, seen);
		g_test_message("%s: %s", table[i].text, r.message);
		g_assert_cmpint(jread_finish(&r), ==, table[i].error ? -EINVAL : 0);
		g_assert_cmpstr(seen->str, ==, table[i].seen);
		if (table[i].error)
			g_assert_nonnull(strstr(r.message, table[i].error));
	}
}

static void test_skip(void)
{
	static const struct {
		const char *text;
		bool good;
	} table[] = {
		{ "null", true },
		{ "true", true },
		{ "-0", true },
		{ "0.5e+10", true },
		{ "1E-3", true },
		{ "12345678901234567890123", true },
		{ "\"\\ud83d\\ude00\"", true },
		{ "{\"a\":{\"a\":[1,null,\"\"],\"a\":2.5}}", true },
		{ "[[[[[[[[]]]]]]]]", true },
		{ "[[[[[[[[[]]]]]]]]]", false },
		{ "nul", false },
		{ "nulL", false },
		{ "-", false },
		{ "00", false },
		{ "01", false },
		{ "1.", false },
		{ ".5", false },
		{ "1e", false },
		{ "1e+", false },
		{ "-.5", false },
		{ "\"\n\"", false },
		{ "\"\\x\"", false },
		{ "[1,]", false },
		{ "{\"a\":}", false },
		{ "", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = g_strconcat(" ", table[i].text, "\t", NULL);
		struct slice value;
		struct jread r;

		jread_init(&r, text, strlen(text));
		value = jread_skip(&r);
		g_test_message("%s: %s", text, r.message);
		g_assert_cmpint(jread_finish(&r), ==, table[i].good ? 0 : -EINVAL);
		if (table[i].good)
			g_assert_cmpmem(value.s, value.len, table[i].text, strlen(table[i].text));
	}
}

/* Whatever jansson takes is passed over, whatever it refuses is refused. Where a number is too large for it, it says no
 * more. */
static void test_skip_like_jansson(void)
{
	static const char *const pieces[] = { "{", "}", "[", "]", ",", ":", "\"a\"", "0", "-", "1",
		".", "e", "E", "+", "null", "true", "false", " ", "\"a\":", "[]", "{}", "1.5" };
	unsigned taken = 0;

	for (int i = 0; i < 400000; i++) {
		g_autoptr(GString) text = g_string_new("[");
		int n = g_test_rand_int_range(1, 7);
		json_error_t error = { .line = 0 };
		json_t *json;
		struct jread r;

		while (n-- > 0)
			g_string_append(
				text, pieces[g_test_rand_int_range(0, G_N_ELEMENTS(pieces))]);
		g_string_append_c(text, ']');
		jread_init(&r, text->str, text->len);
		jread_skip(&r);
		json = json_loadb(text->str, text->len, 0, &error);
		if (!json && json_error_code(&error) == json_error_numeric_overflow)
			continue;
		if ((jread_finish(&r) == 0) != (json != NULL))
			g_error("%s: %s", text->str, r.message);
		taken += json != NULL;
		json_decref(json);
	}
	g_assert_cmpuint(taken, >, 10000);
}

static void descend(struct jread *r, struct slice key, void *into)
{
	if (jread_peek(r) == '{')
		jread_members(r, 9, descend, into);
	else
		jread_fail(r, "wrong");
}

/* Where foreign keys are too long to be shown, no character is cut in two. */
static void test_foreign_path(void)
{
	for (int pad = 0; pad < 4; pad++) {
		g_autoptr(GString) text = g_string_new("{\"");
		struct jread r;

		g_string_append_len(text, "xxxx", pad);
		for (int depth = 1; depth < JREAD_DEPTH_MAX; depth++)
			g_string_append(text,
				"\u2665\u2665\u2665\u2665\u2665\u2665\u2665\u2665\u2665\": {\"");
		g_string_append(text, "\": 1");
		for (int depth = 0; depth < JREAD_DEPTH_MAX; depth++)
			g_string_append_c(text, '}');
		jread_init(&r, text->str, text->len);
		jread_members(&r, 9, descend, NULL);
		g_assert_cmpint(jread_finish(&r), ==, -EINVAL);
		g_test_message("%s", r.message);
		g_assert_true(g_utf8_validate(r.message, -1, NULL));
		g_assert_nonnull(strstr(r.message, "wrong"));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/jread/document", test_document);
	g_test_add_func("/jread/messages", test_messages);
	g_test_add_func("/jread/cut-off", test_cut_off);
	g_test_add_func("/jread/line-behind-long-text", test_line_behind_long_text);
	g_test_add_func("/jread/strings", test_strings);
	g_test_add_func("/jread/string-places", test_string_places);
	g_test_add_func("/jread/string-limit", test_string_limit);
	g_test_add_func("/jread/ints", test_ints);
	g_test_add_func("/jread/int-range", test_int_range);
	g_test_add_func("/jread/bools", test_bools);
	g_test_add_func("/jread/peek", test_peek);
	g_test_add_func("/jread/depth", test_depth);
	g_test_add_func("/jread/many-fields", test_many_fields);
	g_test_add_func("/jread/sticky", test_sticky);
	g_test_add_func("/jread/foreign-text", test_foreign_text);
	g_test_add_func("/jread/long-path", test_long_path);
	g_test_add_func("/jread/like-jansson", test_like_jansson);
	g_test_add_func("/jread/members", test_members);
	g_test_add_func("/jread/skip", test_skip);
	g_test_add_func("/jread/skip-like-jansson", test_skip_like_jansson);
	g_test_add_func("/jread/foreign_path", test_foreign_path);
	return g_test_run();
}
