/* agent/base/jread.h - strict JSON pull reader that knows line and key of every error.
 *
 * Errors are sticky: the first one is kept, every later call does nothing and iteration ends, so
 * that callers check once, at the end. No allocation; values are slices of the text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JREAD_DEPTH_MAX = 8, JREAD_ERROR_MAX = 256, JREAD_STRING_MAX = 1024 };

struct jread {
	const char *text, *end, *at;
	const char *value; /* where the value under work begins, for the line of errors */
	unsigned depth;
	struct {
		const char *key; /* NULL: array element */
		size_t key_len; /* of a foreign key, which is not terminated; 0: it is one of a table */
		size_t index;
	} path[JREAD_DEPTH_MAX];
	int error; /* 0, or -EINVAL once something was wrong */
	char message[JREAD_ERROR_MAX]; /* "line 12: hosts[3].public_key: not a key" */
	char scratch[JREAD_STRING_MAX]; /* the last string that had escapes */
};

struct slice {
	const char *s; /* not terminated */
	size_t len;
};

struct jread_field {
	const char *key;
	void (*read)(struct jread *r, void *into);
	bool required;
};

void jread_init(struct jread *r, const char *text, size_t len);
/* Nothing but white space may follow. Returns r->error. */
int jread_finish(struct jread *r);

/* Reads an object whose keys are exactly those of the table (at most 64), each at most once.
 * Unknown, repeated and missing required keys are errors. */
void jread_object(struct jread *r, const struct jread_field *fields, size_t n_fields, void *into);
/* An object with any keys, at most `max`: calls `member` for each, which reads or skips its value. What
 * is repeated, or missing, is the caller's to find. */
void jread_members(struct jread *r, size_t max,
	void (*member)(struct jread *r, struct slice key, void *into), void *into);
/* Calls `element` for each element; more than `max` are an error that names the limit. */
void jread_array(
	struct jread *r, size_t max, void (*element)(struct jread *r, void *into), void *into);

/* Scalars. On error they return an empty slice, false or `min`. A slice is valid until the next
 * call. Strings hold valid UTF-8 without NUL, at most JREAD_STRING_MAX bytes. */
struct slice jread_string(struct jread *r);
bool jread_bool(struct jread *r);
int64_t jread_int(struct jread *r, int64_t min, int64_t max);
/* Any value, null too, and its text as it stands there. */
struct slice jread_skip(struct jread *r);
/* What comes next: '{' '[' '"' '0' (number) 't' (true or false) 'n' (null), 0 at error or end. */
char jread_peek(struct jread *r);

/* For a value that is well-formed but wrong: prefixes line and path of the value last begun. */
void jread_fail(struct jread *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
