/* netlink/qdisc.h - the queueing discipline at the root of a device, and those of its queues. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct nl;

enum {
	QDISC_KIND_MAX = 16,
	QDISC_QUEUES_MAX = 4096,
	QDISC_OURS = 0x1a700000, /* handle of a root that we make: "1a70:" */
};

struct qdisc {
	char kind[QDISC_KIND_MAX];
};

struct qdisc_root {
	struct qdisc qdisc;
	uint32_t handle; /* 0: the kernel made it */
	struct qdisc *queues; /* of a root "mq", in the order of its queues */
	size_t n_queues;
};

/* `nl` is a NETLINK_ROUTE socket. 0 or a negative errno. -EOPNOTSUPP: the device has none, as one that was
 * never up; *ret is freed with qdisc_root_clear. */
int qdisc_read(struct nl *nl, unsigned ifindex, struct qdisc_root *ret);
void qdisc_root_clear(struct qdisc_root *root);

/* Makes this the root, with our handle, whatever was there. */
int qdisc_set_root(struct nl *nl, unsigned ifindex, const char *kind);
/* Makes this the discipline of one queue, from 0 on, of a root "mq" of ours. */
int qdisc_set_queue(struct nl *nl, unsigned ifindex, size_t queue, const char *kind);
/* Takes away our root: the kernel makes its own again. -ENOENT, -EINVAL: the root is not ours. */
int qdisc_delete_root(struct nl *nl, unsigned ifindex);
