/* ice/crc32.c - CRC-32 bit by bit: what goes through it is short. */
#include "ice/crc32.h"

uint32_t crc32_of(const void *data, size_t len)
{
	const uint8_t *at = data;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}
