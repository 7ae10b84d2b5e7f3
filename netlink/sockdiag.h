/* netlink/sockdiag.h - UDP sockets of this network namespace, and what each has dropped. */
#pragma once

#include <stdint.h>

struct sockdiag_socket {
	uint16_t port; /* its own */
	uint32_t inode; /* 0: of no process */
	uint32_t drops; /* since it was opened; goes round */
};

typedef int (*sockdiag_fn)(const struct sockdiag_socket *socket, void *user);

/* IPv4, then IPv6. Not 0 from `fn` ends the walk with that result. 0 or -errno; -ENOENT: this kernel has
 * no udp_diag. */
int sockdiag_udp(sockdiag_fn fn, void *user);
