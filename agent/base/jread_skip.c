/* agent/base/jread_skip.c - values that nobody asks for: checked, and passed over. */
#include <glib.h>
#include <string.h>

#include "agent/base/jread.h"

static void skip_member(struct jread *r, struct slice key, void *into)
{
	jread_skip(r);
}

static void skip_element(struct jread *r, void *into)
{
	jread_skip(r);
}

static bool take_one_of(struct jread *r, const char *set)
{
	if (r->at == r->end || !memchr(set, *r->at, strlen(set)))
		return false;
	r->at++;
	return true;
}

static bool skip_digits(struct jread *r)
{
	const char *from = r->at;

	while (take_one_of(r, "0123456789"))
		;
	return r->at > from;
}

/* Numbers of any size and form that JSON has. */
static void skip_number(struct jread *r)
{
	bool good;

	take_one_of(r, "-");
	good = take_one_of(r, "0") || skip_digits(r);
	if (take_one_of(r, "."))
		good = skip_digits(r) && good;
	if (take_one_of(r, "eE")) {
		take_one_of(r, "+-");
		good = skip_digits(r) && good;
	}
	if (!good || skip_digits(r))
		jread_fail(r, "not a number as JSON has them");
}

static void skip_null(struct jread *r)
{
	if (r->end - r->at < 4 || memcmp(r->at, "null", 4))
		jread_fail(r, "this is not JSON");
	else
		r->at += 4;
}

struct slice jread_skip(struct jread *r)
{
	char kind = jread_peek(r);
	const char *start = r->at;

	if (kind == '{')
		jread_members(r, SIZE_MAX, skip_member, NULL);
	else if (kind == '[')
		jread_array(r, SIZE_MAX, skip_element, NULL);
	else if (kind == '"')
		jread_string(r);
	else if (kind == '0')
		skip_number(r);
	else if (kind == 't')
		jread_bool(r);
	else if (kind == 'n')
		skip_null(r);
	return r->error ? (struct slice){ "", 0 }
			: (struct slice){ start, (size_t)(r->at - start) };
}
