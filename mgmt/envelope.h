/* mgmt/envelope.h - messages sealed between us and a server (NaCl box) inside of EncryptedMessage. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/box.h"
#include "agent/base/key.h"

/* Plain bytes to a packed EncryptedMessage: free with g_free. The nonce is random. NULL: nothing can be
 * sealed for this server, its key is one of the few that give no secret (all zeros, for one). */
uint8_t *envelope_seal(const struct wg_key *own_private, const struct wg_key *own_public,
	const struct wg_key *server, const void *plain, size_t len, size_t *ret_len);
/* The same with this nonce, for tests: one that was used before gives the plain bytes away. */
uint8_t *envelope_seal_with(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *own_public, const struct wg_key *server, const void *plain, size_t len,
	size_t *ret_len);
/* A packed EncryptedMessage to plain bytes (free with envelope_wipe). 0; -EPROTO: no such message;
 * -EBADMSG: it was not sealed for us by `server`. */
int envelope_open(const struct wg_key *own_private, const struct wg_key *server,
	const uint8_t *message, size_t len, uint8_t **ret, size_t *ret_len);
void envelope_wipe(uint8_t *plain, size_t len); /* wipes and frees; NULL is fine */
