/* agent/lazy/transfer.h - were there inner packets among what WireGuard sent and received? From its
 * byte counts alone, for kernels that cannot count inner packets. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct transfer {
	uint64_t rx, tx; /* bytes since the last look */
	int64_t elapsed_ms; /* how long ago that was */
	bool handshake; /* one was completed since then */
	uint16_t keepalive_s, remote_keepalive_s; /* of either side; 0: sends none */
};

/* False only if handshakes and keepalives alone can have been it. Between sides that send keepalives a
 * few small packets look like those and are missed; without keepalives not one is. */
bool transfer_has_inner(const struct transfer *t);
