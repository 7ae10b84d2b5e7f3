/* agent/cli/client.h - asks the daemon through its control socket. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/cli/output.h"

/* What the daemon answered. Zero it before, client_reply_done after. */
struct client_reply {
	GString *line;
	const char *result; /* JSON text in `line` */
	size_t result_len;
};

/* One request (a JSON object), one reply. EXIT_OK, or why not, in `f`: EXIT_NOT_RUNNING (nobody
 * listens, or answers within o->timeout_ms; with o->wait that is EXIT_TIMEOUT), EXIT_PERMISSION, or
 * the daemon's own error. */
enum exit_code client_ask(
	const struct options *o, const char *request, struct client_reply *ret, struct failure *f);
/* The same, and then every further line until the daemon leaves or `line` returns false. */
enum exit_code client_listen(const struct options *o, const char *request,
	bool (*line)(const char *text, size_t len, void *user), void *user, struct failure *f);
void client_reply_done(struct client_reply *reply);
/* NULL, and `f`, when it is no JSON object. Free with json_decref. */
json_t *client_reply_parse(const struct client_reply *reply, struct failure *f);
/* {"v":1,"command":... - to be extended, closed and ended by a line break. */
GString *client_request(const char *command);
/* The same with room for what is to come, so that it leaves no copy of a secret when it grows. */
GString *client_request_sized(const char *command, size_t room);
/* Closes it and ends the line. Returns its text. */
const char *client_request_end(GString *request);
/* Ends and asks `request`, which it takes and wipes. The parsed answer; NULL: why is in `f`. Free with json_decref. */
json_t *client_ask_parsed(const struct options *o, GString *request, struct failure *f);
/* Ends and asks `request`, which it takes and wipes, and parses the answer; with --json the document is
 * printed as it came. NULL: the failure was reported. */
json_t *client_ask_document(const struct options *o, GString *request, enum exit_code *ret_code);
