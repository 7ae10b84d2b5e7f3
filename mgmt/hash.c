/* mgmt/hash.c - multiply and fold, eight bytes at a time. */
#include "mgmt/hash.h"

#include <glib.h>
#include <string.h>

static uint64_t random_odd(void)
{
	return ((uint64_t)g_random_int() << 32 | g_random_int()) | 1;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *data, size_t len)
{
	static uint64_t secret[2];
	const uint8_t *p = data;
	uint64_t h, word = 0;

	if (!secret[0]) {
		secret[1] = random_odd();
		secret[0] = random_odd();
	}
	h = secret[0] ^ len;
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = fold(h ^ word, secret[1]);
	}
	word = 0;
	memcpy(&word, p, len);
	return fold(fold(h ^ word, secret[1]), secret[0]);
}
