/* tests/fuzz/fuzz_jread.c - any bytes as JSON, read by what they are and by a table. */
/* covers: agent/base/jread.c agent/base/jread_skip.c */
#include <glib.h>
#include <jansson.h>
#include <string.h>

#include "agent/base/jread.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct jread *r)
{
	g_assert_true(r->at >= r->text && r->at <= r->end);
	g_assert_true(r->value >= r->text && r->value <= r->end);
	g_assert_true(r->depth <= JREAD_DEPTH_MAX);
	g_assert_true(!r->error == !*r->message);
	g_assert_true(g_utf8_validate(r->message, -1, NULL));
	for (const char *p = r->message; *p; p++)
		g_assert_true((unsigned char)*p >= ' ');
}

/* -- whatever comes ------------------------------------------------------------------------- */

static void walk(struct jread *r, void *into);

static const struct jread_field WALK_FIELDS[] = { { "a", walk, false }, { "b", walk, false },
	{ "aa", walk, false }, { "", walk, false } };

static void walk(struct jread *r, void *into)
{
	struct slice s;

	switch (jread_peek(r)) {
	case '{':
		jread_object(r, WALK_FIELDS, G_N_ELEMENTS(WALK_FIELDS), into);
		break;
	case '[':
		jread_array(r, 20, walk, into);
		break;
	case '"':
		s = jread_string(r);
		g_assert_true(s.len <= JREAD_STRING_MAX && !memchr(s.s, '\0', s.len));
		g_assert_true(g_utf8_validate(s.s, (gssize)s.len, NULL));
		break;
	case '0':
		jread_int(r, INT64_MIN, INT64_MAX);
		break;
	case 't':
		jread_bool(r);
		break;
	case 'n':
		jread_fail(r, "null: %.10s", r->at < r->end ? "\x1b" : "");
		break;
	}
	check(r);
}

/* What we take is JSON to others as well. */
static void check_with_jansson(const char *text, size_t size)
{
	json_error_t error;
	json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	g_assert_nonnull(json);
	json_decref(json);
}

/* -- a table -------------------------------------------------------------------------------- */

static void read_name(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	if (s.len > 8)
		jread_fail(r, "too long: %.*s", (int)s.len, s.s);
}

static void read_port(struct jread *r, void *into)
{
	int64_t port = jread_int(r, 1, 65535);

	g_assert_true(port >= 1 && port <= 65535);
}

static void read_flag(struct jread *r, void *into)
{
	jread_bool(r);
}

static void read_names(struct jread *r, void *into)
{
	jread_array(r, 2, read_name, into);
}

static const struct jread_field FIELDS[] = { { "name", read_name, true },
	{ "port", read_port, false }, { "flag", read_flag, false }, { "names", read_names, true } };

static void read_host(struct jread *r, void *into)
{
	jread_object(r, FIELDS, G_N_ELEMENTS(FIELDS), into);
}

/* -- what nobody asks for ------------------------------------------------------------------- */

static void take_member(struct jread *r, struct slice key, void *into)
{
	struct slice value;

	g_assert_true(g_utf8_validate(key.s, (gssize)key.len, NULL));
	value = jread_skip(r);
	check(r);
	g_assert_true(r->error || (value.len && value.s + value.len == r->at));
	if (!r->error && value.len == 3)
		jread_fail(r, "three");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct jread r;

	jread_init(&r, text, size);
	walk(&r, NULL);
	if (jread_finish(&r) == 0)
		check_with_jansson(text, size);
	check(&r);

	jread_init(&r, text, size);
	jread_array(&r, 3, read_host, NULL);
	jread_finish(&r);
	check(&r);

	jread_init(&r, text, size);
	jread_object(&r, FIELDS, G_N_ELEMENTS(FIELDS), NULL);
	jread_finish(&r);
	check(&r);

	jread_init(&r, text, size);
	jread_skip(&r);
	if (jread_finish(&r) == 0)
		g_assert_true(!memchr(text, '\0', size));
	check(&r);

	jread_init(&r, text, size);
	jread_members(&r, 3, take_member, NULL);
	jread_finish(&r);
	check(&r);
	return 0;
}
