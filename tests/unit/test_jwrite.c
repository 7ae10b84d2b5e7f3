/* tests/unit/test_jwrite.c - what is written is JSON, and reads as what was meant. */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/jread.h"
#include "agent/base/jwrite.h"

static void test_document(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", "a");
	jwrite_string(out, "nothing", NULL);
	jwrite_null(out, "null");
	jwrite_int(out, "min", INT64_MIN);
	jwrite_int(out, "max", INT64_MAX);
	jwrite_bool(out, "yes", true);
	jwrite_bool(out, "no", false);
	jwrite_open(out, "list", '[');
	jwrite_close(out, ']');
	jwrite_open(out, "lists", '[');
	jwrite_open(out, NULL, '[');
	jwrite_int(out, NULL, 1);
	jwrite_int(out, NULL, 2);
	jwrite_close(out, ']');
	jwrite_open(out, NULL, '{');
	jwrite_close(out, '}');
	jwrite_string(out, NULL, "{");
	jwrite_string(out, NULL, "[");
	jwrite_string(out, NULL, "");
	jwrite_null(out, NULL);
	jwrite_close(out, ']');
	jwrite_raw(out, "raw", "{\"x\":[]}");
	jwrite_string(out, "a\"b\n", "");
	jwrite_close(out, '}');
	g_assert_cmpstr(out->str, ==,
		"{\"name\":\"a\",\"nothing\":null,\"null\":null,\"min\":-9223372036854775808,"
		"\"max\":9223372036854775807,\"yes\":true,\"no\":false,\"list\":[],"
		"\"lists\":[[1,2],{},\"{\",\"[\",\"\",null],\"raw\":{\"x\":[]},\"a\\\"b\\n\":\"\"}");
}

/* One text per line: no comma between them. */
static void test_lines(void)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (int i = 0; i < 2; i++) {
		jwrite_open(out, NULL, '{');
		jwrite_int(out, "i", i);
		jwrite_close(out, '}');
		g_string_append_c(out, '\n');
	}
	g_assert_cmpstr(out->str, ==, "{\"i\":0}\n{\"i\":1}\n");
}

static void test_escapes(void)
{
	static const struct {
		const char *value, *json;
	} cases[] = {
		{ "", "\"\"" },
		{ "plain /~", "\"plain /~\"" },
		{ "\"\\", "\"\\\"\\\\\"" },
		{ "\b\t\n\f\r", "\"\\b\\t\\n\\f\\r\"" },
		{ "\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"" },
		{ "bfnrt", "\"bfnrt\"" },
		{ "\xc3\xbc\xf0\x9f\x98\x80", "\"\xc3\xbc\xf0\x9f\x98\x80\"" },
		{ "a\xff"
		  "b",
			"\"a\xef\xbf\xbd"
			"b\"" },
		{ "\xc3", "\"\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) out = g_string_new(NULL);

		jwrite_string(out, NULL, cases[i].value);
		g_assert_cmpstr(out->str, ==, cases[i].json);
	}
}

/* Any text without NUL; half of the time it is UTF-8. */
static char *random_text(void)
{
	g_autoptr(GString) text = g_string_new(NULL);
	bool is_utf8 = g_test_rand_bit();

	for (int n = g_test_rand_int_range(0, 40); n > 0; n--) {
		gunichar c = (gunichar)(1 << g_test_rand_int_range(0, 21));

		c += (gunichar)g_test_rand_int_range(0, (gint32)c);
		if (!is_utf8)
			g_string_append_c(text, (char)g_test_rand_int_range(1, 256));
		else if (g_unichar_validate(c))
			g_string_append_unichar(text, c);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void test_random_strings(void)
{
	for (int i = 0; i < 20000; i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		g_autofree char *text = random_text(), *ours = NULL;
		json_t *json;
		struct slice s;
		struct jread r;

		jwrite_string(out, NULL, text);
		jread_init(&r, out->str, out->len);
		s = jread_string(&r);
		ours = g_strndup(s.s, s.len);
		g_assert_cmpint(jread_finish(&r), ==, 0);
		json = json_loads(out->str, JSON_DECODE_ANY, NULL);
		g_assert_nonnull(json);
		g_assert_cmpstr(json_string_value(json), ==, ours);
		json_decref(json);
		if (g_utf8_validate(text, -1, NULL))
			g_assert_cmpstr(ours, ==, text);
		else
			g_assert_nonnull(strstr(ours, "\xef\xbf\xbd"));
	}
}

/* -- random documents, written twice -------------------------------------------------------- */

static json_t *write_random(GString *out, const char *key, int depth)
{
	int kind = g_test_rand_int_range(0, depth > 0 ? 7 : 5);
	g_autofree char *text = NULL;
	int64_t number;
	json_t *json;

	switch (kind) {
	case 0:
		jwrite_null(out, key);
		return json_null();
	case 1:
	case 2:
		jwrite_bool(out, key, kind == 1);
		return json_boolean(kind == 1);
	case 3:
		number = (int64_t)((uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int());
		jwrite_int(out, key, number);
		return json_integer(number);
	case 4:
		text = random_text();
		if (!g_utf8_validate(text, -1, NULL)) {
			g_free(text);
			text = g_strdup("?");
		}
		jwrite_string(out, key, text);
		return json_string(text);
	case 5:
		json = json_array();
		jwrite_open(out, key, '[');
		for (int n = g_test_rand_int_range(0, 4); n > 0; n--)
			json_array_append_new(json, write_random(out, NULL, depth - 1));
		jwrite_close(out, ']');
		return json;
	default:
		json = json_object();
		jwrite_open(out, key, '{');
		for (int n = g_test_rand_int_range(0, 4); n > 0; n--) {
			char name[] = { (char)g_test_rand_int_range(1, 128), (char)('0' + n),
				'\0' };

			json_object_set_new(json, name, write_random(out, name, depth - 1));
		}
		jwrite_close(out, '}');
		return json;
	}
}

static void test_random_documents(void)
{
	for (int i = 0; i < 5000; i++) {
		g_autoptr(GString) out = g_string_new(NULL);
		json_t *want = write_random(out, NULL, 5);
		json_t *got = json_loadb(
			out->str, out->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

		g_assert_nonnull(got);
		g_assert_true(json_equal(want, got));
		json_decref(want);
		json_decref(got);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/jwrite/document", test_document);
	g_test_add_func("/jwrite/lines", test_lines);
	g_test_add_func("/jwrite/escapes", test_escapes);
	g_test_add_func("/jwrite/random-strings", test_random_strings);
	g_test_add_func("/jwrite/random-documents", test_random_documents);
	return g_test_run();
}
