/* ice/crc32.h - the checksum of Ethernet and zip, which STUN and foundations use. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_of(const void *data, size_t len);
