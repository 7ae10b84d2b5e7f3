/* netlink/nflog.h - packets that our nftables rules log to us. */
#pragma once

#include <stdint.h>

#include "agent/base/addr.h"

struct nflog;

enum nflog_kind {
	NFLOG_INNER, /* prefix "inner": came out of the tunnel; the port is 0 */
	NFLOG_ANSWER, /* prefix "answer": UDP to WireGuard's port */
};

struct nflog_packet {
	enum nflog_kind kind;
	struct endpoint from;
};

typedef void (*nflog_fn)(const struct nflog_packet *packet, void *user);

/* Listens to a group. -EOPNOTSUPP: the kernel has no nfnetlink_log; -EBUSY: somebody else has the group. */
int nflog_open(uint16_t group, struct nflog **ret);
void nflog_close(struct nflog *log); /* NULL is fine */
int nflog_fd(const struct nflog *log);
/* Reads what is there. Losses are not errors: the next packet is logged again. 0 or -errno when the
 * socket is dead. */
int nflog_read(struct nflog *log, nflog_fn fn, void *user);
