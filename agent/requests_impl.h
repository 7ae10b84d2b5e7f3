/* agent/requests_impl.h - the inside of what answers requests, shared by its files only. */
#pragma once

#include <glib.h>

#include "agent/base/key.h"
#include "agent/control.h"
#include "agent/requests.h"

/* Who waits for the end of a change. */
struct waiter {
	uint32_t client;
	enum control_until until;
	bool changed;
	bool up; /* the answer says whether it is */
	enum exit_code code; /* there is nothing to wait for */
	uint64_t failures; /* of the network before */
	const char *schema; /* of the answer */
	char *message; /* NULL: none */
	char *members; /* of the answer, besides; NULL: none */
};

/* Who waits for a peer to wake up. */
struct wake_waiter {
	uint32_t client;
	struct wg_key key;
};

struct requests {
	struct daemon *daemon;
	GArray *waiters; /* struct waiter */
	GArray *wake_waiters; /* struct wake_waiter */
};

void requests_answer_change(
	struct requests *r, uint32_t client, const struct network_outcome *outcome);

/* Takes what belongs to the waiter. */
void requests_wait(struct requests *r, struct waiter *waiter);

/* requests_network.c. False: the command is none of these. */
bool requests_network(struct requests *r, const struct control_request *request);
