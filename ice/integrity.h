/* ice/integrity.h - HMAC-SHA1 of STUN messages. What it makes of a password is made once and kept instead of that. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { INTEGRITY_LEN = 20, INTEGRITY_WORDS = INTEGRITY_LEN / 4 };

/* As good as the password: to be wiped. */
struct integrity_key {
	uint32_t inner[INTEGRITY_WORDS], outer[INTEGRITY_WORDS];
};

void integrity_key_make(const char *password, struct integrity_key *ret);
/* Of `head` and what follows it. */
void integrity_of(const struct integrity_key *key, const void *head, size_t head_len,
	const void *rest, size_t rest_len, uint8_t ret[static INTEGRITY_LEN]);
