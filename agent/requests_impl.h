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

/* A document with its head; the caller adds members and closes it. */
GString *requests_document(const char *schema);
void requests_answer_change(
	struct requests *r, uint32_t client, const struct network_outcome *outcome);

/* requests_network.c. False: the command is none of these. */
bool requests_network(struct requests *r, const struct control_request *request);
