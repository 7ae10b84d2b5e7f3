/* netlink/nfqueue.h - packets that a rule of ours hands to us on their way, to be made shorter. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct nfqueue;

/* From the IP header on; may be changed in place. Returns its new length, and `len` when nothing was changed. */
typedef size_t (*nfqueue_fn)(uint8_t *packet, size_t len, void *user);

/* Takes a queue; packets are let through unseen when it is full, and nobody waits in it for long: read it whenever
 * its descriptor is readable. -EOPNOTSUPP: the kernel has no nfnetlink_queue; -EBUSY: somebody else has the queue. */
int nfqueue_open(uint16_t queue, struct nfqueue **ret);
void nfqueue_close(struct nfqueue *q); /* NULL is fine */
int nfqueue_fd(const struct nfqueue *q);
/* Lets go on what is there, as fn leaves it. 0 or -errno when the socket is dead. */
int nfqueue_read(struct nfqueue *q, nfqueue_fn fn, void *user);
