/* agent/cli/output.h - words for people, documents for programs, and errors for both. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdint.h>

#include "agent/base/exitcode.h"
#include "agent/cli/command.h"

/* Why something did not work. */
struct failure {
	enum exit_code code;
	char message[512], hint[256];
};

/* Fills it in; `hint` may be NULL. Returns the code. */
enum exit_code failure_set(struct failure *f, enum exit_code code, const char *hint,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
/* One line and a hint on stderr, with --json also a document on stdout. Returns the code. */
enum exit_code failure_report(const struct options *o, const struct failure *f);
enum exit_code fail(const struct options *o, enum exit_code code, const char *hint,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* '{', schema, time and state of a document that the CLI makes itself. */
GString *document_new(const char *schema, const char *state);
/* Closes and prints it. Takes the document. */
void document_print(GString *document);

/* Members of a document from the daemon; what is missing or of another type is "", 0, false. */
const char *get_text(const json_t *object, const char *key);
int64_t get_int(const json_t *object, const char *key);
bool get_bool(const json_t *object, const char *key);
bool get_is_null(const json_t *object, const char *key);
/* What waiting for a change has come to: "code" of its document. */
enum exit_code get_code(const json_t *change);

/* Texts for people; free with g_free. Foreign text comes out without control characters. */
char *text_safe(const char *s);
char *text_bytes(int64_t bytes);
char *text_duration(int64_t seconds);
char *text_list(const json_t *array); /* "a, b" */
