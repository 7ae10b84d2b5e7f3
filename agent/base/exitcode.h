/* agent/base/exitcode.h - how both programs end, and "code" and "class" of errors in JSON. */
#pragma once

/* Part of the interface: the numbers never change. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_NOT_ENROLLED = 4,
	EXIT_PERMISSION = 5,
	EXIT_CHANGES_PENDING = 6,
	EXIT_PARTIAL = 7,
	EXIT_DRIFT = 8,
	EXIT_NOT_APPLICABLE = 9,
	EXIT_TIMEOUT = 10,
	EXIT_UNREACHABLE = 11,
	EXIT_REFUSED = 12,
	EXIT_CONFIG = 13,
	EXIT_IN_USE = 14,
	EXIT_SETUP_KEY = 15, /* unknown, expired or used up */
	EXIT_TLS = 16,
	EXIT_PROTOCOL = 17, /* what a server says makes no sense */
	EXIT_LAST = EXIT_PROTOCOL,
};

/* "not_running"; "failed" for what is none of them. */
const char *exit_code_class(enum exit_code code);
