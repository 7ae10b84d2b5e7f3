/* agent/base/jread_fail.c - where in a JSON text something is wrong, in words. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jread_impl.h"
#include "agent/base/text.h"

enum { PATH_MAX_SHOWN = 128 };

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
		char foreign[JREAD_SHOWN_MAX];

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
	n = (size_t)snprintf(r->message, sizeof(r->message), "line %zu: ", line_of(r));
	/* Its end may be a part of a character. */
	n += text_escape(r->message + n, sizeof(r->message) - n, path, strlen(path));
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	text_escape(r->message + n, sizeof(r->message) - n, text, strlen(text));
	r->at = r->end; /* so that nobody has to ask for errors to stop */
}
