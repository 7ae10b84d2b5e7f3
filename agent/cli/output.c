/* agent/cli/output.c - words for people, documents for programs, and errors for both. */
#include "agent/cli/output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/text.h"

/* -- errors ----------------------------------------------------------------------------------- */

static enum exit_code failure_setv(struct failure *f, enum exit_code code, const char *hint,
	const char *format, va_list ap) G_GNUC_PRINTF(4, 0);
static enum exit_code failure_setv(
	struct failure *f, enum exit_code code, const char *hint, const char *format, va_list ap)
{
	f->code = code;
	vsnprintf(f->message, sizeof(f->message), format, ap);
	g_strlcpy(f->hint, hint ? hint : "", sizeof(f->hint));
	return code;
}

enum exit_code failure_set(
	struct failure *f, enum exit_code code, const char *hint, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	failure_setv(f, code, hint, format, ap);
	va_end(ap);
	return code;
}

static void print_error_document(const struct failure *f)
{
	GString *out = jwrite_document("lapwing.error/1");

	jwrite_open(out, "error", '{');
	jwrite_int(out, "code", f->code);
	jwrite_string(out, "class", exit_code_class(f->code));
	jwrite_string(out, "message", f->message);
	jwrite_string(out, "hint", f->hint[0] ? f->hint : NULL);
	jwrite_close(out, '}');
	document_print(out);
}

enum exit_code failure_report(const struct options *o, const struct failure *f)
{
	g_autofree char *message = text_safe(f->message), *hint = text_safe(f->hint);

	fprintf(stderr, "lapwing: %s\n", message);
	if (*hint)
		fprintf(stderr, "lapwing: hint: %s\n", hint);
	if (o->json)
		print_error_document(f);
	return f->code;
}

enum exit_code fail(
	const struct options *o, enum exit_code code, const char *hint, const char *format, ...)
{
	struct failure f;
	va_list ap;

	va_start(ap, format);
	failure_setv(&f, code, hint, format, ap);
	va_end(ap);
	return failure_report(o, &f);
}

/* -- documents -------------------------------------------------------------------------------- */

GString *document_new(const char *schema, const char *state)
{
	GString *out = jwrite_document(schema);

	jwrite_string(out, "state", state);
	return out;
}

void document_print(GString *document)
{
	jwrite_close(document, '}');
	puts(document->str);
	g_string_free(document, TRUE);
}

const char *get_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int64_t get_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool get_bool(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

bool get_is_null(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return !value || json_is_null(value);
}

enum exit_code get_code(const json_t *change)
{
	int64_t code = get_int(change, "code");

	return code < EXIT_OK || code > EXIT_LAST ? EXIT_FAILED : (enum exit_code)code;
}

/* -- texts ------------------------------------------------------------------------------------ */

char *text_safe(const char *s)
{
	size_t len = strlen(s), size = 4 * len + 4; /* each byte may become \x1b */
	char *buf = g_malloc(size);

	text_escape(buf, size, s, len);
	return buf;
}

char *text_bytes(int64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1023.95 && unit + 1 < G_N_ELEMENTS(units)) {
		value /= 1024;
		unit++;
	}
	return g_strdup_printf(unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

/* The two largest units that count. */
char *text_duration(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		char unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 60)
		return g_strdup_printf("%" PRId64 "s", MAX(seconds, 0));
	while (seconds < units[i].seconds)
		i++;
	return g_strdup_printf("%" PRId64 "%c %" PRId64 "%c", seconds / units[i].seconds,
		units[i].unit, seconds % units[i].seconds / units[i + 1].seconds,
		units[i + 1].unit);
}

char *text_list(const json_t *array)
{
	g_autoptr(GString) out = g_string_new(NULL);

	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *item = json_string_value(json_array_get(array, i));

		g_string_append_printf(out, "%s%s", i ? ", " : "", item ? item : "?");
	}
	return text_safe(out->str);
}
