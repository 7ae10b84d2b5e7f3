/* agent/base/jwrite.c - compact JSON text, written front to back into a GString. */
#include "agent/base/jwrite.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"

static void put_char(GString *out, const char *at)
{
	static const char letters[] = "\bb\tt\nn\ff\rr";
	const char *letter = memchr(letters, *at, sizeof(letters) - 1);
	char code[8];

	if (*at == '"' || *at == '\\')
		snprintf(code, sizeof(code), "\\%c", *at);
	else if ((unsigned char)*at >= 0x20)
		snprintf(code, sizeof(code), "\xef\xbf\xbd"); /* U+FFFD */
	else if (letter)
		snprintf(code, sizeof(code), "\\%c", letter[1]);
	else
		snprintf(code, sizeof(code), "\\u%04x", (unsigned)*at);
	g_string_append(out, code);
}

static void put_text(GString *out, const char *text)
{
	const char *end = text + strlen(text), *run = text, *at = text;

	g_string_append_c(out, '"');
	while (at < end) {
		bool plain = (unsigned char)*at >= 0x20 && *at != '"' && *at != '\\';
		size_t n = plain ? text_utf8_len(at, end) : 0;

		if (n) {
			at += n;
			continue;
		}
		g_string_append_len(out, run, at - run);
		put_char(out, at);
		run = ++at;
	}
	g_string_append_len(out, run, at - run);
	g_string_append_c(out, '"');
}

/* A comma unless this is the first thing in its container or in the text. */
static void put_key(GString *out, const char *key)
{
	char last = out->len ? out->str[out->len - 1] : '\n';

	if (last != '{' && last != '[' && last != '\n')
		g_string_append_c(out, ',');
	if (key) {
		put_text(out, key);
		g_string_append_c(out, ':');
	}
}

void jwrite_open(GString *out, const char *key, char bracket)
{
	put_key(out, key);
	g_string_append_c(out, bracket);
}

void jwrite_close(GString *out, char bracket)
{
	g_string_append_c(out, bracket);
}

void jwrite_string(GString *out, const char *key, const char *value)
{
	if (!value)
		return jwrite_null(out, key);
	put_key(out, key);
	put_text(out, value);
}

void jwrite_int(GString *out, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	jwrite_raw(out, key, text);
}

void jwrite_bool(GString *out, const char *key, bool value)
{
	jwrite_raw(out, key, value ? "true" : "false");
}

void jwrite_null(GString *out, const char *key)
{
	jwrite_raw(out, key, "null");
}

void jwrite_raw(GString *out, const char *key, const char *json)
{
	put_key(out, key);
	g_string_append(out, json);
}

GString *jwrite_document(const char *schema)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
	GString *out = g_string_new(NULL);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "schema", schema);
	jwrite_string(out, "generated_at", time);
	return out;
}
