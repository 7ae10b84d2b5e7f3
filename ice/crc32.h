/* ice/crc32.h - the checksum of Ethernet and zip, which STUN and foundations use. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *data, size_t len);
/* Of something that has the checksum `crc`, and of what follows it. */
uint32_t crc32_more(uint32_t crc, const void *data, size_t len);
