/* mgmt/verdict.c - what the end of a call means and what is to follow. */
#include "mgmt/verdict.h"

#include <string.h>

static bool says(const struct grpc_result *result, const char *words)
{
	return strstr(result->text, words);
}

static bool is_login(enum verdict_call call)
{
	return call == VERDICT_PROBE || call == VERDICT_REGISTER;
}

/* The connection failed, or nothing of the server's own came back. */
static enum mgmt_failure failure_of_connection(const struct grpc_result *result)
{
	switch (result->failure) {
	case STREAM_TLS:
	case STREAM_USAGE:
		return MGMT_TLS;
	case STREAM_NAME:
	case STREAM_UNREACHABLE:
	case STREAM_LOST:
		return MGMT_UNREACHABLE;
	case STREAM_OK:
		break;
	}
	if (result->status == GRPC_UNAVAILABLE || result->status == GRPC_DEADLINE_EXCEEDED ||
		result->status == GRPC_CANCELLED || result->status == GRPC_OK)
		return MGMT_UNREACHABLE;
	return MGMT_REFUSED;
}

static struct verdict of_denied_login(
	enum verdict_call call, bool has_key, const struct grpc_result *result)
{
	/* The server's filter against two hosts with one key bans for minutes. */
	if (says(result, "already logged in"))
		return (struct verdict){ VERDICT_RETRY_SLOWLY, MGMT_DENIED, NULL };
	if (says(result, "login has expired") && has_key)
		return (struct verdict){
			VERDICT_STOP, MGMT_DENIED,
			"this peer was enrolled by a person whose login has expired; a setup key cannot renew it"
		};
	if (call == VERDICT_PROBE && has_key)
		return (struct verdict){ VERDICT_USE_KEY, MGMT_OK, NULL };
	if (says(result, "no peer auth method") || says(result, "not registered"))
		return (struct verdict){ VERDICT_STOP, MGMT_KEY_NEEDED, NULL };
	return (struct verdict){ VERDICT_STOP, MGMT_DENIED, NULL };
}

static struct verdict of_login(
	enum verdict_call call, bool enrolling, bool has_key, const struct grpc_result *result)
{
	enum verdict_next final = enrolling ? VERDICT_STOP : VERDICT_RETRY;
	enum mgmt_failure failure = failure_of_connection(result);

	if (failure == MGMT_TLS)
		return (struct verdict){ final, failure, NULL };
	if (result->status == GRPC_OK && result->failure == STREAM_OK)
		return (struct verdict){ VERDICT_DONE, MGMT_OK, NULL };
	if (result->status == GRPC_PERMISSION_DENIED)
		return of_denied_login(call, has_key, result);
	if (says(result, "already logged in"))
		return (struct verdict){ VERDICT_RETRY_SLOWLY, MGMT_DENIED, NULL };
	if (call == VERDICT_REGISTER &&
		(result->status == GRPC_NOT_FOUND || says(result, "setup key is invalid")))
		return (struct verdict){ final, MGMT_KEY_REFUSED, NULL };
	/* Somebody else was quicker with our key, or the server has started anew since it told its key:
	 * the next probe tells. */
	if (says(result, "already registered") || says(result, "invalid request message"))
		return (struct verdict){ VERDICT_RETRY, failure, NULL };
	if (result->status == GRPC_INVALID_ARGUMENT || result->status == GRPC_NOT_FOUND ||
		result->status == GRPC_FAILED_PRECONDITION)
		return (struct verdict){ final, failure, NULL };
	return (struct verdict){ VERDICT_RETRY, failure, NULL };
}

static struct verdict of_other(enum verdict_call call, const struct grpc_result *result)
{
	enum mgmt_failure failure = failure_of_connection(result);
	bool unary = call == VERDICT_META || call == VERDICT_LOGOUT;

	if (unary && result->status == GRPC_OK && result->failure == STREAM_OK)
		return (struct verdict){ VERDICT_DONE, MGMT_OK, NULL };
	if (call == VERDICT_LOGOUT && result->status == GRPC_NOT_FOUND)
		return (struct verdict){ VERDICT_DONE, MGMT_OK, NULL };
	if (result->status == GRPC_PERMISSION_DENIED)
		return (struct verdict){ unary ? VERDICT_RETRY : VERDICT_LOGIN, MGMT_DENIED, NULL };
	if (result->status == GRPC_UNIMPLEMENTED && call != VERDICT_SYNC)
		return (struct verdict){ VERDICT_NEVER, failure, NULL };
	return (struct verdict){ VERDICT_RETRY, failure, NULL };
}

struct verdict verdict_of(enum verdict_call call, bool keyless, bool enrolling, bool has_key,
	const struct grpc_result *result)
{
	struct verdict v;

	if (!keyless && is_login(call))
		return of_login(call, enrolling, has_key, result);
	if (!keyless)
		return of_other(call, result);
	/* Of a key's words nothing is known about us: a proxy may have said anything. */
	v = (struct verdict){ VERDICT_RETRY, failure_of_connection(result), NULL };
	if (v.failure == MGMT_TLS && enrolling)
		v.next = VERDICT_STOP;
	return v;
}
