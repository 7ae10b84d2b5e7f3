/* mgmt/envelope.c - boxes in messages of the management protocol. */
#include "mgmt/envelope.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/seal.h"
#include "agent/base/wire.h"

enum { FIELD_KEY = 1, FIELD_BODY = 2 };

uint8_t *envelope_seal_with(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *own_public, const struct wg_key *server, const void *plain, size_t len,
	size_t *ret_len)
{
	size_t body_len = len + BOX_OVERHEAD;
	size_t total = 2 + KEY_TEXT_LEN + 1 + wire_varint_len(body_len) + body_len;
	uint8_t *message = g_malloc(total), *at = wire_put_head(message, FIELD_KEY, KEY_TEXT_LEN);
	char key[KEY_STRLEN];

	memcpy(at, key_format(own_public, key), KEY_TEXT_LEN);
	at = wire_put_head(at + KEY_TEXT_LEN, FIELD_BODY, body_len);
	if (box_seal(nonce, own_private, server, plain, len, at) < 0) {
		g_free(message);
		return NULL;
	}
	*ret_len = total;
	return message;
}

uint8_t *envelope_seal(const struct wg_key *own_private, const struct wg_key *own_public,
	const struct wg_key *server, const void *plain, size_t len, size_t *ret_len)
{
	uint8_t nonce[BOX_NONCE];

	box_nonce(nonce);
	return envelope_seal_with(nonce, own_private, own_public, server, plain, len, ret_len);
}

/* Whose key the message names does not matter: it opens with the server's or not at all. */
int envelope_open(const struct wg_key *own_private, const struct wg_key *server,
	const uint8_t *message, size_t len, uint8_t **ret, size_t *ret_len)
{
	struct wire wire = wire_begin((struct wire_bytes){ message, len });
	struct wire_bytes body = { 0 };
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number == FIELD_BODY && field.has_bytes)
			body = field.bytes;
	if (wire.bad)
		return -EPROTO;
	return box_open(own_private, server, body.data, body.len, ret, ret_len);
}

void envelope_wipe(uint8_t *plain, size_t len)
{
	seal_wipe(plain, len);
}
