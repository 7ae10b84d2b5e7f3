/* agent/base/box.h - NaCl boxes: what one WireGuard key seals for another. A nonce, a tag, the sealed bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

enum { BOX_NONCE = 24, BOX_OVERHEAD = BOX_NONCE + 16 };

/* A nonce for one box. Used twice for the same two keys it gives the plain bytes away. */
void box_nonce(uint8_t ret[static BOX_NONCE]);
/* Writes len + BOX_OVERHEAD bytes. 0; -EINVAL: nothing can be sealed for `remote`, its key is one of the
 * few that give no secret (all zeros, for one). */
int box_seal(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *remote, const void *plain, size_t len, uint8_t *ret);
/* Free *ret with seal_wipe. 0; -EPROTO: too short for a box; -EBADMSG: `remote` did not seal it for us. */
int box_open(const struct wg_key *own_private, const struct wg_key *remote, const uint8_t *box,
	size_t len, uint8_t **ret, size_t *ret_len);
