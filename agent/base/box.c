/* agent/base/box.c - NaCl boxes, by libsodium; each byte is read and written once. */
#include "agent/base/box.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>

static_assert(BOX_NONCE == crypto_box_NONCEBYTES &&
		BOX_OVERHEAD == crypto_box_NONCEBYTES + crypto_box_MACBYTES,
	"a box is a nonce, a tag and what was sealed");

void box_nonce(uint8_t ret[static BOX_NONCE])
{
	randombytes_buf(ret, BOX_NONCE);
}

int box_seal(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *remote, const void *plain, size_t len, uint8_t *ret)
{
	memcpy(ret, nonce, BOX_NONCE);
	return crypto_box_easy(ret + BOX_NONCE, plain, len, nonce, remote->b, own_private->b)
		? -EINVAL
		: 0;
}

int box_open(const struct wg_key *own_private, const struct wg_key *remote, const uint8_t *box,
	size_t len, uint8_t **ret, size_t *ret_len)
{
	uint8_t *plain;

	if (len < BOX_OVERHEAD)
		return -EPROTO;
	plain = g_malloc(len - BOX_OVERHEAD + 1); /* never NULL */
	if (crypto_box_open_easy(
		    plain, box + BOX_NONCE, len - BOX_NONCE, box, remote->b, own_private->b)) {
		g_free(plain);
		return -EBADMSG;
	}
	*ret = plain;
	*ret_len = len - BOX_OVERHEAD;
	return 0;
}
