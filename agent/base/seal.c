/* agent/base/seal.c - nonce first, then what libsodium makes of the rest. */
#include "agent/base/seal.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <sodium.h>

enum {
	NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
};
static_assert(SEAL_OVERHEAD == NONCE + TAG, "as documented");
static_assert(sizeof(struct wg_key) == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one size");

uint8_t *seal(const struct wg_key *key, const void *about, size_t about_len, const void *plain,
	size_t len, size_t *ret_len)
{
	uint8_t *sealed = g_malloc(NONCE + len + TAG);

	randombytes_buf(sealed, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		sealed + NONCE, NULL, plain, len, about, about_len, NULL, sealed, key->b);
	*ret_len = NONCE + len + TAG;
	return sealed;
}

int seal_open(const struct wg_key *key, const void *about, size_t about_len, const void *sealed,
	size_t len, uint8_t **ret, size_t *ret_len)
{
	const uint8_t *at = sealed;
	uint8_t *plain;

	if (len < SEAL_OVERHEAD)
		return -EBADMSG;
	plain = g_malloc(len - SEAL_OVERHEAD + 1);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(
		    plain, NULL, NULL, at + NONCE, len - NONCE, about, about_len, at, key->b) < 0) {
		g_free(plain);
		return -EBADMSG;
	}
	*ret = plain;
	*ret_len = len - SEAL_OVERHEAD;
	return 0;
}

void seal_wipe(uint8_t *plain, size_t len)
{
	if (plain)
		sodium_memzero(plain, len);
	g_free(plain);
}
