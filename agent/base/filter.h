/* agent/base/filter.h - one rule about what may come in over the tunnel. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct filter_rule {
	struct prefix source; /* bits 0: any address of the family */
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _ICMP (for IPv6: _ICMPV6); 0: all */
	bool drop; /* wins over what accepts, and over established connections */
	uint16_t first_port,
		last_port; /* of the destination, both included; TCP and UDP; 0, 0: all */
};
