/* agent/base/jread_string.c - strings with escapes or beyond ASCII, and those that are wrong. */
#include <glib.h>
#include <string.h>

#include "agent/base/jread_impl.h"
#include "agent/base/text.h"

static const struct slice nothing = { "", 0 };

/* Skips text up to a quote, a backslash or a byte that may not stand in a string. */
static const char *skip_text(const char *at, const char *end)
{
	for (;;) {
		at = jread_skip_plain(at, end);
		if (at == end || (uint8_t)*at < 0x80)
			return at;
		size_t n = text_utf8_len(at, end);
		if (!n)
			return at;
		at += n;
	}
}

/* Four hexadecimal digits behind "\u"; -1: they are not there. */
static int32_t read_code(const char *at, const char *end)
{
	int32_t code = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int digit = g_ascii_xdigit_value(at[i]);

		if (digit < 0)
			return -1;
		code = code << 4 | digit;
	}
	return code;
}

/* Decodes the escape at `at` into one character. Returns what follows it, NULL after an error. */
static const char *read_escape(struct jread *r, const char *at, gunichar *ret)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *name = r->end - at < 2 ? NULL : memchr(names, at[1], sizeof(names) - 1);
	int32_t code = name ? values[name - names] : read_code(at, r->end), low;

	*ret = (gunichar)code;
	if (name)
		return at + 2;
	if (code > 0 && (code & ~0x7ff) != 0xd800)
		return at + 6;
	low = code >= 0xd800 && code < 0xdc00 ? read_code(at + 6, r->end) : -1;
	if (low >= 0xdc00 && low < 0xe000) {
		*ret = (gunichar)(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
		return at + 12;
	}
	if (code < 0)
		jread_fail(r, "a string has an unknown escape");
	else
		jread_fail(r, code ? "a string has half a surrogate pair" : "a string has a NUL");
	return NULL;
}

/* Appends to the scratch space. */
static bool put(struct jread *r, size_t *len, const char *s, size_t n)
{
	if (n > sizeof(r->scratch) - *len) {
		jread_fail(r, "a string is longer than %d bytes", JREAD_STRING_MAX);
		return false;
	}
	memcpy(r->scratch + *len, s, n);
	*len += n;
	return true;
}

/* Copies a string with escapes to the scratch space. `at` is the first backslash. Returns where it
 * stopped, NULL after an error. */
static const char *unescape(struct jread *r, const char *from, const char *at, size_t *ret_len)
{
	char utf8[6];
	gunichar c;

	*ret_len = 0;
	for (;;) {
		if (!put(r, ret_len, from, (size_t)(at - from)))
			return NULL;
		if (at == r->end || *at != '\\')
			return at;
		from = read_escape(r, at, &c);
		if (!from || !put(r, ret_len, utf8, (size_t)g_unichar_to_utf8(c, utf8)))
			return NULL;
		at = skip_text(from, r->end);
	}
}

struct slice jread_hard_string(struct jread *r)
{
	const char *from = r->at + 1, *at = skip_text(from, r->end);
	struct slice s = { from, (size_t)(at - from) };

	if (at < r->end && *at == '\\') {
		s.s = r->scratch;
		at = unescape(r, from, at, &s.len);
		if (!at)
			return nothing;
	}
	if (at == r->end)
		jread_fail(r, "the text ends in a string");
	else if (*at != '"')
		jread_fail(r,
			(uint8_t)*at < 0x20 ? "a string has a control character"
					    : "a string is not UTF-8");
	else if (s.len > JREAD_STRING_MAX)
		jread_fail(r, "a string is longer than %d bytes", JREAD_STRING_MAX);
	if (r->error)
		return nothing;
	r->at = at + 1;
	return s;
}
