/* agent/base/seal.h - bytes kept secret and whole on a disk: XChaCha20-Poly1305 with a key of our own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

enum { SEAL_OVERHEAD = 24 + 16 };

/* `about` is not in the result but must be the same when it is opened. Free with g_free. */
uint8_t *seal(const struct wg_key *key, const void *about, size_t about_len, const void *plain,
	size_t len, size_t *ret_len);
/* 0, or -EBADMSG: another key, another `about`, or not what was sealed. Free with seal_wipe. */
int seal_open(const struct wg_key *key, const void *about, size_t about_len, const void *sealed,
	size_t len, uint8_t **ret, size_t *ret_len);
void seal_wipe(uint8_t *plain, size_t len); /* wipes and frees; NULL is fine */
