/* agent/push.h - samples, on their way to a server that collects them. What is decided is in agent/push_plan.h. */
#pragma once

#include <stdint.h>

#include "agent/push_plan.h"

struct push;
struct samples;

/* Copied. */
struct push_settings {
	const char *server_url, *config_url; /* NULL: as the configuration says; the usual one */
	int64_t interval_ms; /* 0: as the configuration says */
	bool forced; /* no configuration, and no version is asked for */
	const char *ca_file, *ca_dir; /* NULL: the system's */
	uint32_t mark;
	unsigned timeout_ms; /* of a request; 0: 10 seconds */
};

struct push_status {
	enum push_state state;
	const char *url; /* NULL: not known yet */
	const char *
		error; /* of the last request that failed; "": the last ones of both kinds worked */
	int64_t next_ms; /* waiting: till when */
	uint64_t asked, not_answered; /* the configuration */
	uint64_t pushes, failures, samples; /* requests that worked, or not; what they brought */
};

/* Begins at once. The samples are of one network for as long as this lives. */
struct push *push_new(const struct push_settings *settings, struct samples *samples);
void push_free(struct push *p); /* NULL is fine */
void push_get_status(const struct push *p, struct push_status *ret);
