/* ice/packet.h - a whole IP packet with STUN in it. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Does stun_cut to the packet, and mends lengths and checksums around it. Returns the length of what is left: `len`
 * when nothing was cut, and nothing was changed then. */
size_t packet_cut(uint8_t *packet, size_t len);
