/* agent/base/jread_impl.h - what the reader's files share. */
#pragma once

#include <endian.h>
#include <string.h>

#include "agent/base/jread.h"

enum { JREAD_SHOWN_MAX = 40 + sizeof("...") }; /* of foreign text in a message */

/* At the opening quote of a string that is not only printable ASCII, or is too long, or does not end. */
struct slice jread_hard_string(struct jread *r);

#define LANES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Skips printable ASCII but quote and backslash. Eight bytes at a time: whole networks come through
 * here. A lane that stops us gets its high bit set; it may borrow from the lanes above it, never
 * from those below, so the lowest bit is right. */
static inline const char *jread_skip_plain(const char *at, const char *end)
{
	uint64_t word, stop;

	for (; end - at >= 8; at += 8) {
		memcpy(&word, at, 8);
		word = le64toh(word);
		stop = word | (word - LANES(0x20)) | ((word ^ LANES('"')) - LANES(1)) |
			((word ^ LANES('\\')) - LANES(1));
		stop &= LANES(0x80);
		if (stop)
			return at + (unsigned)__builtin_ctzll(stop) / 8;
	}
	while (at < end && (uint8_t)*at >= 0x20 && (uint8_t)*at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

#undef LANES
