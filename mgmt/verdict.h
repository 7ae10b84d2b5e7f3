/* mgmt/verdict.h - what the end of a call means and what is to follow. Pure. */
#pragma once

#include <stdbool.h>

#include "agent/rpc/grpc.h"
#include "mgmt/client.h"

enum verdict_call {
	VERDICT_PROBE, /* Login without a setup key */
	VERDICT_REGISTER, /* Login with it */
	VERDICT_SYNC,
	VERDICT_JOB,
	VERDICT_META,
	VERDICT_LOGOUT,
};

enum verdict_next {
	VERDICT_DONE,
	VERDICT_USE_KEY, /* register with the setup key */
	VERDICT_RETRY,
	VERDICT_RETRY_SLOWLY, /* asking often makes it worse */
	VERDICT_LOGIN, /* a login will tell more */
	VERDICT_NEVER, /* the server cannot do it */
	VERDICT_STOP, /* waiting does not help */
};

struct verdict {
	enum verdict_next next;
	enum mgmt_failure failure;
	const char *note; /* in place of the server's words; NULL: none */
};

/* How the call ended, or the asking for the server's key before it (`keyless`). A stream's OK is an end
 * like others. `enrolling`: somebody waits for the outcome; `has_key`: there is a setup key to use. */
struct verdict verdict_of(enum verdict_call call, bool keyless, bool enrolling, bool has_key,
	const struct grpc_result *result);
