/* mgmt/envelope.c - sealed messages; each byte is read and written once. */
#include "mgmt/envelope.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>

#include "mgmt/wire.h"

enum { FIELD_KEY = 1, FIELD_BODY = 2 };

static_assert(ENVELOPE_NONCE == crypto_box_NONCEBYTES && ENVELOPE_TAG == crypto_box_MACBYTES,
	"a box is a nonce, a tag and what was sealed");

static uint8_t *put_head(uint8_t *at, unsigned field, size_t len)
{
	*at++ = (uint8_t)(field << 3 | 2);
	return wire_put_varint(at, len);
}

uint8_t *envelope_seal_with(const uint8_t nonce[static ENVELOPE_NONCE],
	const struct wg_key *own_private, const struct wg_key *own_public,
	const struct wg_key *server, const void *plain, size_t len, size_t *ret_len)
{
	size_t body_len = len + ENVELOPE_OVERHEAD;
	size_t total = 2 + KEY_TEXT_LEN + 1 + wire_varint_len(body_len) + body_len;
	uint8_t *message = g_malloc(total), *at = put_head(message, FIELD_KEY, KEY_TEXT_LEN);
	char key[KEY_STRLEN];

	memcpy(at, key_format(own_public, key), KEY_TEXT_LEN);
	at = put_head(at + KEY_TEXT_LEN, FIELD_BODY, body_len);
	memcpy(at, nonce, ENVELOPE_NONCE);
	if (crypto_box_easy(at + ENVELOPE_NONCE, plain, len, nonce, server->b, own_private->b)) {
		g_free(message);
		return NULL;
	}
	*ret_len = total;
	return message;
}

uint8_t *envelope_seal(const struct wg_key *own_private, const struct wg_key *own_public,
	const struct wg_key *server, const void *plain, size_t len, size_t *ret_len)
{
	uint8_t nonce[ENVELOPE_NONCE];

	randombytes_buf(nonce, sizeof(nonce));
	return envelope_seal_with(nonce, own_private, own_public, server, plain, len, ret_len);
}

/* Whose key the message names does not matter: it opens with the server's or not at all. */
static int find_body(struct wire_bytes message, struct wire_bytes *ret)
{
	struct wire wire = wire_begin(message);
	struct wire_bytes body = { 0 };
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number == FIELD_BODY && field.has_bytes)
			body = field.bytes;
	if (wire.bad || body.len < ENVELOPE_OVERHEAD)
		return -EPROTO;
	*ret = body;
	return 0;
}

int envelope_open(const struct wg_key *own_private, const struct wg_key *server,
	const uint8_t *message, size_t len, uint8_t **ret, size_t *ret_len)
{
	struct wire_bytes body;
	size_t plain_len;
	uint8_t *plain;
	int r = find_body((struct wire_bytes){ message, len }, &body);

	if (r < 0)
		return r;
	plain_len = body.len - ENVELOPE_OVERHEAD;
	plain = g_malloc(plain_len + 1); /* never NULL */
	if (crypto_box_open_easy(plain, body.data + ENVELOPE_NONCE, body.len - ENVELOPE_NONCE,
		    body.data, server->b, own_private->b)) {
		g_free(plain);
		return -EBADMSG;
	}
	*ret = plain;
	*ret_len = plain_len;
	return 0;
}

void envelope_wipe(uint8_t *plain, size_t len)
{
	if (plain)
		sodium_memzero(plain, len);
	g_free(plain);
}
