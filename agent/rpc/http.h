/* agent/rpc/http.h - one request of HTTP/1.1, in the default GMainContext. Redirects are answers like any other,
 * nothing is kept between requests, and nothing is said of us but what the caller says. SIGPIPE is to be ignored. */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

struct http;

/* Everything but the body is used up by http_start. */
struct http_options {
	const char *url; /* absolute; http or https */
	const char *const *headers; /* "Name: value", NULL-terminated; NULL: none */
	GBytes *body; /* a POST of it; NULL: a GET */
	size_t answer_max; /* 0: the status is all that is waited for */
	const char *ca_file, *ca_dir; /* instead of those of the system; NULL: none */
	uint32_t mark; /* SO_MARK; 0: none */
	unsigned timeout_ms; /* for all of it */
};

struct http_result {
	int status; /* 0: there was no whole answer, and `error` is why */
	const char *error; /* one printable line */
	const char *answer; /* not terminated */
	size_t len;
};

/* `done` runs once, from the loop, and may free the request. */
struct http *http_start(const struct http_options *options,
	void (*done)(const struct http_result *result, void *user), void *user);
/* Ends it; `done` does not run any more. NULL is fine. */
void http_free(struct http *h);
