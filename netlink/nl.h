/* netlink/nl.h - one netlink socket: requests, dumps, batches. Synchronous, with a time limit. */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct nl;

enum {
	NL_MSG_MAX = 8192, /* the largest request we build */
	NL_RECV_MAX = 65536, /* receive buffer; dumps want at least 32 KiB */
	NL_BATCH_MAX = 64, /* requests per send */
};

/* Called per reply message (never for control messages). Not 0 ends the walk with that result. */
typedef int (*nl_msg_fn)(const struct nlmsghdr *nlh, void *user);

/* Everything returns 0 or a negative errno. -ETIMEDOUT: the kernel did not answer in 5 s. Messages
 * not from the kernel (port id 0) and of other sequence numbers are dropped. */
int nl_open(int protocol, struct nl **ret);
void nl_close(struct nl *nl);

/* Room for a request about one thing. */
struct nl_request {
	struct nlmsghdr nlh;
	uint8_t rest[512 - sizeof(struct nlmsghdr)];
};

/* Begins a request; returns the header of its family, zeroed, behind which attributes go. */
void *nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, size_t header_len);

/* Sends one request with NLM_F_ACK and waits for the acknowledgement; replies before it go to `fn`
 * (may be NULL). Stamps sequence number and flags. */
int nl_call(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user);

/* Sends one request with NLM_F_DUMP. -EINTR: something changed meanwhile, what `fn` saw may be
 * inconsistent, start again. */
int nl_dump(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user);

/* Sends n <= NL_BATCH_MAX requests that lie one behind the other in one send, acknowledged on the
 * last. results[i] is the outcome of request i. The return value tells of transport only: when it
 * is negative no result is known. */
int nl_batch(struct nl *nl, void *requests, size_t len, size_t n, int *results);

/* Sends a whole nfnetlink transaction: n >= 3 requests, of which the first begins and the last ends
 * it. 0: committed; else nothing was done, and *ret_failed (when set) is the first that failed. */
int nl_transaction(struct nl *nl, void *requests, size_t len, size_t n, size_t *ret_failed);

/* Forgets what was received: call it after messages that held keys. */
void nl_wipe(struct nl *nl);

/* The kernel's own words (extended acknowledgement) for the last failure; "" when it had none. */
const char *nl_error_text(const struct nl *nl);

/* Id of a generic netlink family, loading its module when allowed. -ENOENT: no such family. */
int nl_family(struct nl *nl, const char *name, uint16_t *ret);
