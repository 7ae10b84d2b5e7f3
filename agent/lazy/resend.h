/* agent/lazy/resend.h - sends a captured WireGuard packet on, as if WireGuard had sent it there. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct resend;

/* -EPERM: CAP_NET_RAW is missing. A family that this host lacks fails later, packet by packet. */
int resend_open(struct resend **ret);
void resend_close(struct resend *r); /* NULL is fine */
/* From `port` (WireGuard's, which the kernel holds) and with WireGuard's firewall mark, so that it takes
 * the same way and the same source address as the real ones; checksums are right. 0 or -errno. */
int resend_packet(struct resend *r, uint16_t port, uint32_t mark, const struct endpoint *to,
	const void *data, size_t len);
