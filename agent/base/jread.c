/* agent/base/jread.c - strict JSON pull reader that knows line and key of every error (RFC 8259). */
#include "agent/base/jread.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/jread_impl.h"
#include "agent/base/text.h"

static const struct slice NOTHING = { "", 0 };

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
	if (got && strcmp(got, wanted)) /* "tru" begins like a word and is none */
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

/* At the opening quote. */
static inline struct slice scan_string(struct jread *r)
{
	const char *from = r->at + 1, *at = jread_skip_plain(from, r->end);
	struct slice s = { from, (size_t)(at - from) };

	if (at == r->end || *at != '"' || s.len > JREAD_STRING_MAX)
		return jread_hard_string(r);
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
	char shown[JREAD_SHOWN_MAX];

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
