/* tests/unit/hex.h - bytes of vectors that are given as hexadecimal text. */
#pragma once

#include <glib.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t *hex_to_bytes(const char *hex, size_t *ret_len)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = g_malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 |
			g_ascii_xdigit_value(hex[2 * i + 1]));
	*ret_len = len;
	return bytes;
}
