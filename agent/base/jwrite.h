/* agent/base/jwrite.h - compact JSON text, written front to back into a GString. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Commas and escapes are taken care of; nesting is the caller's. `key` is NULL inside arrays and at
 * top level. Strings that are not UTF-8 have the bad bytes replaced by U+FFFD. */
void jwrite_open(GString *out, const char *key, char bracket); /* '{' or '[' */
void jwrite_close(GString *out, char bracket); /* '}' or ']' */
void jwrite_string(GString *out, const char *key, const char *value); /* NULL: null */
void jwrite_int(GString *out, const char *key, int64_t value);
void jwrite_bool(GString *out, const char *key, bool value);
void jwrite_null(GString *out, const char *key);
/* A document for programs as it begins: what it is, and when it was made. It is open. */
GString *jwrite_document(const char *schema);
/* Ready JSON text, as it is. */
void jwrite_raw(GString *out, const char *key, const char *json);
