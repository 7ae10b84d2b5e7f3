/* agent/nego/aim.h - how often packets may be aimed at an address because some peer has named it. Pure.
 *
 * Peers name addresses at will, and what is sent there to try them reaches whoever lives there. So an address, and each
 * port of it, is tried at once only some times, and then at a pace; however many peers name it, in however many sessions. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum {
	AIM_PORT_BURST = 16,
	AIM_PORT_MS = 1000, /* to the next */
	/* A site of hundreds may be behind one address, and all of it may wake at once. */
	AIM_ADDRESS_BURST = 256,
	AIM_ADDRESS_MS = 20,
	AIM_KNOWN_MAX =
		4096, /* addresses and ports that were named just now; beyond so many new ones are refused */
};

struct aim;

struct aim *aim_new(void);
void aim_free(struct aim *a);
/* May it be tried once more? */
bool aim_allows(struct aim *a, const struct endpoint *at, int64_t now_ms);
/* Forgets those that may be tried as if they had never been named. Returns how many are left. */
size_t aim_tidy(struct aim *a, int64_t now_ms);
