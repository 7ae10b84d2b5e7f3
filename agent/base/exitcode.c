/* agent/base/exitcode.c - the names of the exit codes. */
#include "agent/base/exitcode.h"

#include <stddef.h>

static const char *const classes[] = {
	[EXIT_OK] = "ok",
	[EXIT_FAILED] = "failed",
	[EXIT_USAGE] = "usage",
	[EXIT_NOT_RUNNING] = "not_running",
	[EXIT_NOT_ENROLLED] = "not_enrolled",
	[EXIT_PERMISSION] = "permission",
	[EXIT_CHANGES_PENDING] = "changes_pending",
	[EXIT_PARTIAL] = "partial",
	[EXIT_DRIFT] = "drift",
	[EXIT_NOT_APPLICABLE] = "not_applicable",
	[EXIT_TIMEOUT] = "timeout",
	[EXIT_UNREACHABLE] = "unreachable",
	[EXIT_REFUSED] = "refused",
	[EXIT_CONFIG] = "config",
	[EXIT_IN_USE] = "in_use",
	[EXIT_SETUP_KEY] = "setup_key",
	[EXIT_TLS] = "tls",
	[EXIT_PROTOCOL] = "protocol",
};

const char *exit_code_class(enum exit_code code)
{
	size_t i = (size_t)code;

	return i < sizeof(classes) / sizeof(*classes) ? classes[i] : classes[EXIT_FAILED];
}
