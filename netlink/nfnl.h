/* netlink/nfnl.h - a socket on which netfilter hands out packets; inside of nflog.c and nfqueue.c. */
#pragma once

#include <linux/netlink.h>
#include <stdint.h>

struct mnl_socket;

enum { NFNL_BUFFER_BYTES = 8192 };

struct nfnl {
	struct mnl_socket *socket; /* non-blocking */
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[NFNL_BUFFER_BYTES];
};

typedef void (*nfnl_fn)(const struct nlmsghdr *nlh, void *user);

/* Each returns 0 or a negative errno. Losses on the way to us are not told. */
int nfnl_open(struct nfnl *s);
void nfnl_close(struct nfnl *s); /* also one that could not be opened */
/* A message in this buffer. `type` with its subsystem, `number` of the group or queue. */
struct nlmsghdr *nfnl_begin(uint8_t *buf, uint16_t type, uint16_t flags, uint16_t number);
/* Sends it, and waits for the kernel's answer when it has NLM_F_ACK. */
int nfnl_send(struct nfnl *s, const struct nlmsghdr *nlh);
/* Hands over what is there. */
int nfnl_read(struct nfnl *s, nfnl_fn fn, void *user);
