/* mgmt/session.h - what to do at a management server, and when. Pure: events in, actions out, clock given.
 *
 * Three lines run side by side: the main one (login, then the Sync stream), and while the stream is
 * well the Job stream and SyncMeta. Each step of a line asks for the server's key anew and then makes
 * one call; both carry the id of the step, and an event with an old id is nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/grpc.h"
#include "mgmt/client.h"
#include "mgmt/verdict.h"

enum {
	SESSION_ENROL_MS = 2 * 60 * 1000, /* a registration is given up after so long */
	SESSION_FIRST_MS = 60 * 1000, /* a Sync stream without a message is given up */
	SESSION_STEADY_MS = 15 * 1000, /* a stream that was well for so long: small delays again */
	SESSION_SPACING_MS = 5 * 1000, /* between tries, however often somebody asks for one */
	SESSION_NEVER = -1,
};

enum session_line { SESSION_MAIN, SESSION_JOB, SESSION_META, SESSION_LINES };

enum session_act {
	SESSION_FETCH_KEY, /* get ready for the call: the server's key, our meta */
	SESSION_CALL, /* make it */
	SESSION_CANCEL, /* drop the line's call */
	SESSION_CLOSE, /* drop the connection and with it every call */
	SESSION_REPORT, /* the view says something new */
	SESSION_ENROLLED, /* the registration has ended, see `failure`; forget the setup key */
	SESSION_LOGGED_OUT, /* the logout has ended, see `failure` */
};

struct session_action {
	enum session_act act;
	enum session_line line;
	enum verdict_call call;
	uint32_t id; /* of the step */
	enum mgmt_failure failure;
	char error[MGMT_ERROR_MAX];
};

struct session_view {
	enum mgmt_state state;
	enum mgmt_failure failure;
	char error[MGMT_ERROR_MAX];
	int64_t since_ms;
	int64_t next_ms; /* MGMT_WAITING */
	int64_t message_ms; /* 0: none */
	uint64_t serial, attempts, connects, failures;
	uint64_t logins; /* that have ended; of the last one: */
	int64_t login_ms; /* it took */
	bool login_worked;
	bool job_unsupported;
};

struct session;

/* `seed` is that of the jitter. */
struct session *session_new(uint64_t seed);
void session_free(struct session *s); /* NULL is fine */

/* -- events --------------------------------------------------------------------------------- */

void session_start(struct session *s, bool has_key, int64_t now_ms);
void session_stop(struct session *s, int64_t now_ms);
/* Stops following, and says good bye for ever. */
void session_logout(struct session *s, int64_t now_ms);
/* Try now, if we wait or have given up. */
void session_retry(struct session *s, int64_t now_ms);
/* The server's key is here; `fresh`: it is another than last time, the server has started anew. */
void session_key(struct session *s, uint32_t id, bool fresh, int64_t now_ms);
/* The asking for the key or the call has ended. */
void session_ended(
	struct session *s, uint32_t id, const struct grpc_result *result, int64_t now_ms);
/* What came cannot be used; the line's call is dropped. */
void session_broken(
	struct session *s, uint32_t id, enum mgmt_failure failure, const char *why, int64_t now_ms);
/* A message of the Sync stream was opened; `problem`: nothing could be made of it (NULL: all is well),
 * which is shown till the next one. */
void session_message(struct session *s, uint32_t id, const char *problem, int64_t now_ms);
/* Is this map to be applied? Not when it is older than the last one of the same run. */
bool session_takes_map(struct session *s, uint64_t serial);
/* What the server wants to know about, with each login answer and message that says so. */
void session_files(struct session *s, const char *const files[], bool from_login, int64_t now_ms);
/* Time passes. Returns when to be called again, or SESSION_NEVER. */
int64_t session_tick(struct session *s, int64_t now_ms);

/* -- what follows --------------------------------------------------------------------------- */

/* Takes the next action off the queue. */
bool session_next(struct session *s, struct session_action *ret);
bool session_has_actions(const struct session *s);

/* -- questions ------------------------------------------------------------------------------ */

void session_view(const struct session *s, struct session_view *ret);
/* NULL-terminated; what to answer in the next meta. */
const char *const *session_wanted_files(const struct session *s);
