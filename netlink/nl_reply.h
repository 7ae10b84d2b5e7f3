/* netlink/nl_reply.h - what the kernel answers to requests; pure, inside of nl.c and its tests. */
#pragma once

#include <stdbool.h>

#include "netlink/nl.h"

enum { NL_TEXT_MAX = 256 };

struct nl_reply {
	/* The requests sent, by sequence number, and the one whose answer is the last to come. */
	uint32_t first_seq;
	size_t n, last;
	bool dump;
	bool transaction; /* a refused first request is not followed by other answers */
	nl_msg_fn fn; /* may be NULL */
	void *user;
	int *results; /* one per request; NULL: only the first failure matters */

	int result; /* the first failure, or what made `fn` stop */
	size_t failed; /* the request that `result` is about */
	bool interrupted;
	char text[NL_TEXT_MAX];
};

/* Takes what one receive brought. 1: the last answer was in it; 0: more will come; -EPROTO. */
int nl_reply_take(struct nl_reply *reply, const void *buf, size_t len);
