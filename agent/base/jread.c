/* agent/base/jread.c - strict JSON pull reader that knows line and key of every error (RFC 8259). */
#include "agent/base/jread.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/text.h"

enum {
	SHOWN_MAX = 40 + sizeof("..."), /* of foreign text in a message */
	PATH_MAX_SHOWN = 128,
};

static const struct slice NOTHING = { "", 0 };

/* -- errors --------------------------------------------------------------------------------- */

static size_t line_of(const struct jread *r)
{
	const char *at = r->text;
	size_t line = 1;

	while ((at = memchr(at, '\n', (size_t)(r->value - at)))) {
		line++;
		at++;
	}
	return line;
}

/* "hosts[3].public_key: ", or nothing at the top. */
static void format_path(const struct jread *r, char buf[static PATH_MAX_SHOWN])
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < r->depth && at < PATH_MAX_SHOWN; i++) {
		size_t left = PATH_MAX_SHOWN - at;
		const char *key = r->path[i].key;
		char foreign[SHOWN_MAX];

		if (key && r->path[i].key_len) {
			text_escape(foreign, sizeof(foreign), key, r->path[i].key_len);
			key = foreign;
		}
		if (key)
			at += (size_t)snprintf(buf + at, left, "%s%s", i ? "." : "", key);
		else
			at += (size_t)snprintf(buf + at, left, "[%zu]", r->path[i].index);
	}
	if (at && at < PATH_MAX_SHOWN)
		snprintf(buf + at, PATH_MAX_SHOWN - at, ": ");
}

void jread_fail(struct jread *r, const char *format, ...)
{
	char path[PATH_MAX_SHOWN], text[JREAD_ERROR_MAX];
	va_list args;
	size_t n;

	if (r->error)
		return;
	r->error = -EINVAL;
	format_path(r, path);
	n = (size_t)snprintf(r->message, sizeof(r->message), "line %zu: %s", line_of(r), path);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(r->message + n, sizeof(r->message) - n, text, strlen(text));
	r->at = r->end; /* so that nobody has to ask for errors to stop */
}

static void fail_at(struct jread *r, const char *at, const char *message)
{
	r->value = at;
	jread_fail(r, "%s", message);
}

/* -- tokens --------------------------------------------------------------------------------- */

/* Skips white space. Returns what comes next, 0 at the end. */
static G_GNUC_NO_INLINE char skip_space(struct jread *r)
{
	while (r->at < r->end && memchr(" \n\t\r", *r->at, 4))
		r->at++;
	return r->at < r->end ? *r->at : '\0';
}

/* The same. Compact text has no white space, so one comparison does. */
static inline char next(struct jread *r)
{
	return r->at < r->end && (uint8_t)*r->at > ' ' ? *r->at : skip_space(r);
}

/* A value begins here. Returns its first character, 0 at the end or after an error. */
static inline char begin(struct jread *r)
{
	char c = next(r);

	r->value = r->at;
	return c;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *name_of(char c)
{
	switch (c) {
	case '{':
		return "an object";
	case '[':
		return "a list";
	case '"':
		return "a string";
	case 't':
	case 'f':
		return "true or false";
	case 'n':
		return "null";
	case '}':
	case ']':
		return "a closing bracket";
	default:
		return c == '-' || is_digit(c) ? "a number" : NULL;
	}
}

/* Something else stands where a value of the kind should. */
static void fail_kind(struct jread *r, const char *wanted)
{
	const char *got;

	if (r->error)
		return;
	got = name_of(next(r));
	if (got)
		jread_fail(r, "%s is wanted, not %s", wanted, got);
	else
		jread_fail(r, "%s is wanted, %s", wanted,
			r->at < r->end ? "this is not JSON" : "the text ends here");
}

void jread_init(struct jread *r, const char *text, size_t len)
{
	r->text = r->at = r->value = text;
	r->end = text + len;
	r->depth = 0;
	r->error = 0;
	r->message[0] = '\0';
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		jread_fail(r, "the text begins with a byte order mark (save it as UTF-8 without)");
}

int jread_finish(struct jread *r)
{
	if (!r->error && (next(r) || r->at < r->end))
		fail_at(r, r->at, "text behind the end");
	return r->error;
}

char jread_peek(struct jread *r)
{
	char c = begin(r);

	if (!name_of(c) || c == '}' || c == ']') {
		fail_kind(r, "a value");
		return '\0';
	}
	if (c == 'f')
		return 't';
	return c == '-' || is_digit(c) ? '0' : c;
}

/* -- strings -------------------------------------------------------------------------------- */

#define LANES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Skips printable ASCII but quote and backslash. Eight bytes at a time: whole networks come through
 * here. A lane that stops us gets its high bit set; it may borrow from the lanes above it, never
 * from those below, so the lowest bit is right. */
static inline const char *skip_plain(const char *at, const char *end)
{
	uint64_t word, stop;

	for (; end - at >= 8; at += 8) {
		memcpy(&word, at, 8);
		word = le64toh(word);
		stop = word | (word - LANES(0x20)) | ((word ^ LANES('"')) - LANES(1)) |
			((word ^ LANES('\\')) - LANES(1));
		stop &= LANES(0x80);
		if (stop)
			return at + (unsigned)__builtin_ctzll(stop) / 8;
	}
	while (at < end && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

/* Skips text up to a quote, a backslash or a byte that may not stand in a string. */
static const char *skip_text(const char *at, const char *end)
{
	for (;;) {
		at = skip_plain(at, end);
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

/* Whatever is not only printable ASCII. */
static G_GNUC_NO_INLINE struct slice scan_hard_string(struct jread *r)
{
	const char *from = r->at + 1, *at = skip_text(from, r->end);
	struct slice s = { from, (size_t)(at - from) };

	if (at < r->end && *at == '\\') {
		s.s = r->scratch;
		at = unescape(r, from, at, &s.len);
		if (!at)
			return NOTHING;
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
		return NOTHING;
	r->at = at + 1;
	return s;
}

/* At the opening quote. */
static inline struct slice scan_string(struct jread *r)
{
	const char *from = r->at + 1, *at = skip_plain(from, r->end);
	struct slice s = { from, (size_t)(at - from) };

	if (at == r->end || *at != '"' || s.len > JREAD_STRING_MAX)
		return scan_hard_string(r);
	r->at = at + 1;
	return s;
}

struct slice jread_string(struct jread *r)
{
	if (begin(r) == '"')
		return scan_string(r);
	fail_kind(r, "a string");
	return NOTHING;
}

/* -- containers ----------------------------------------------------------------------------- */

static inline bool open_container(struct jread *r, char bracket, const char *wanted)
{
	if (begin(r) != bracket) {
		fail_kind(r, wanted);
		return false;
	}
	if (r->depth == JREAD_DEPTH_MAX) {
		jread_fail(r, "nested deeper than %d", JREAD_DEPTH_MAX);
		return false;
	}
	r->at++;
	return true;
}

static inline bool is_empty(struct jread *r, char bracket)
{
	if (next(r) != bracket)
		return false;
	r->at++;
	return true;
}

static G_GNUC_NO_INLINE void fail_comma(struct jread *r)
{
	fail_at(r, r->at, r->at < r->end ? "a comma is missing" : "the text ends here");
}

/* After an element: whether another one follows. */
static inline bool has_more(struct jread *r, char bracket)
{
	char c = next(r);

	if (c != ',' && c != bracket) {
		fail_comma(r);
		return false;
	}
	r->at++;
	return c == ',';
}

static inline bool is_key(const char *key, struct slice s)
{
	return strncmp(key, s.s, s.len) == 0 && key[s.len] == '\0';
}

static G_GNUC_NO_INLINE size_t search_field(
	const struct jread_field *fields, size_t n_fields, size_t from, struct slice key)
{
	for (size_t i = from; i < n_fields; i++)
		if (is_key(fields[i].key, key))
			return i;
	for (size_t i = 0; i < from; i++)
		if (is_key(fields[i].key, key))
			return i;
	return n_fields;
}

/* Keys mostly come in the order of the table, so the search begins where it ended. */
static inline size_t find_field(
	const struct jread_field *fields, size_t n_fields, size_t from, struct slice key)
{
	if (from < n_fields && is_key(fields[from].key, key))
		return from;
	return search_field(fields, n_fields, from, key);
}

/* The key cannot be taken. */
static G_GNUC_NO_INLINE void fail_key(struct jread *r, struct slice key, const char *why)
{
	char shown[SHOWN_MAX];

	text_escape(shown, sizeof(shown), key.s, key.len);
	jread_fail(r, "key \"%s\" %s", shown, why);
}

static inline void read_colon(struct jread *r)
{
	if (next(r) != ':')
		fail_at(r, r->at, r->at < r->end ? "a colon is missing" : "the text ends here");
	else
		r->at++;
}

/* Reads a key and its colon. Returns the index of the field, of no use after an error. */
static inline size_t read_key(struct jread *r, const struct jread_field *fields, size_t n_fields,
	size_t from, uint64_t seen)
{
	struct slice key;
	size_t i;

	if (begin(r) != '"') {
		fail_kind(r, "a key in quotes");
		return n_fields;
	}
	key = scan_string(r);
	if (r->error)
		return n_fields;
	i = find_field(fields, n_fields, from, key);
	if (i == n_fields)
		fail_key(r, key, "is unknown");
	else if (seen >> i & 1)
		fail_key(r, key, "is repeated");
	else
		read_colon(r);
	return i;
}

static void check_required(
	struct jread *r, const struct jread_field *fields, size_t n_fields, uint64_t seen)
{
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].required && !(seen >> i & 1))
			jread_fail(r, "\"%s\" is missing", fields[i].key);
}

/* The depth counts what the path holds: errors between the elements are those of the container. */
void jread_object(struct jread *r, const struct jread_field *fields, size_t n_fields, void *into)
{
	uint64_t seen = 0;
	size_t field = 0;
	const char *start;

	if (!open_container(r, '{', "an object"))
		return;
	start = r->value;
	if (!is_empty(r, '}')) {
		do {
			field = read_key(r, fields, n_fields, field, seen);
			if (r->error)
				return;
			seen |= UINT64_C(1) << field;
			r->path[r->depth].key_len = 0;
			r->path[r->depth++].key = fields[field].key;
			fields[field++].read(r, into);
			r->depth--;
		} while (has_more(r, '}'));
	}
	r->value = start;
	check_required(r, fields, n_fields, seen);
}

/* Errors in the value show the key as it stands in the text: what its escapes mean may be gone by then. */
static void read_member(
	struct jread *r, void (*member)(struct jread *r, struct slice key, void *into), void *into)
{
	struct slice key;
	const char *raw;

	if (begin(r) != '"')
		return fail_kind(r, "a key in quotes");
	raw = r->at + 1;
	key = scan_string(r);
	if (r->error)
		return;
	r->path[r->depth].key_len = (size_t)(r->at - raw - 1);
	r->path[r->depth].key = r->path[r->depth].key_len ? raw : "";
	read_colon(r);
	if (r->error)
		return;
	r->depth++;
	member(r, key, into);
	r->depth--;
}

void jread_members(struct jread *r, size_t max,
	void (*member)(struct jread *r, struct slice key, void *into), void *into)
{
	const char *start;
	size_t n = 0;

	if (!open_container(r, '{', "an object"))
		return;
	start = r->value;
	if (!is_empty(r, '}')) {
		do {
			if (n++ == max) {
				begin(r);
				return jread_fail(r, "more than %zu in the object", max);
			}
			read_member(r, member, into);
		} while (has_more(r, '}'));
	}
	r->value = start;
}

void jread_array(
	struct jread *r, size_t max, void (*element)(struct jread *r, void *into), void *into)
{
	const char *start;
	size_t n = 0;

	if (!open_container(r, '[', "a list"))
		return;
	start = r->value;
	if (!is_empty(r, ']')) {
		do {
			if (n == max) {
				begin(r);
				return jread_fail(r, "more than %zu in the list", max);
			}
			r->path[r->depth].key = NULL;
			r->path[r->depth++].index = n++;
			element(r, into);
			r->depth--;
		} while (has_more(r, ']'));
	}
	r->value = start;
}

/* -- other scalars -------------------------------------------------------------------------- */

static bool take_word(struct jread *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

bool jread_bool(struct jread *r)
{
	char c = begin(r);

	if (c == 't' && take_word(r, "true"))
		return true;
	if (c != 'f' || !take_word(r, "false"))
		fail_kind(r, "true or false");
	return false;
}

/* Skips digits. A value that does not fit comes out as UINT64_MAX. */
static uint64_t take_digits(struct jread *r)
{
	uint64_t value = 0;

	bool fits = true;

	for (; r->at < r->end && is_digit(*r->at); r->at++)
		fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
			!__builtin_add_overflow(value, (uint64_t)(*r->at - '0'), &value);
	return fits ? value : UINT64_MAX;
}

int64_t jread_int(struct jread *r, int64_t min, int64_t max)
{
	char c = begin(r);
	bool negative = c == '-';
	const char *first;
	uint64_t value;

	if (!negative && !is_digit(c)) {
		fail_kind(r, "a number");
		return min;
	}
	r->at += negative;
	first = r->at;
	value = take_digits(r);
	if (r->at == first || (*first == '0' && r->at - first > 1))
		jread_fail(r, "not a number as JSON has them");
	else if (r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E'))
		jread_fail(r, "a whole number is wanted");
	else if (value <= (uint64_t)INT64_MAX + negative) {
		int64_t result = (int64_t)(negative ? 0 - value : value);

		if (result >= min && result <= max)
			return result;
	}
	jread_fail(r, "must be %" PRId64 " to %" PRId64, min, max);
	return min;
}
