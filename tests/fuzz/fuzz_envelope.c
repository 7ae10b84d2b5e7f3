/* tests/fuzz/fuzz_envelope.c - any bytes as a sealed message, and any message sealed and opened again. */
/* covers: mgmt/envelope.c agent/base/box.c agent/base/wire.c */
#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "mgmt/envelope.h"
#include "agent/base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Fields lie inside of the message, one behind the other. */
static void check_walk(const uint8_t *data, size_t size)
{
	struct wire wire = wire_begin((struct wire_bytes){ data, size });
	const uint8_t *last = data;
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		assert(field.number && wire.at > last && wire.at <= data + size);
		if (field.has_bytes)
			assert(field.bytes.data > last &&
				field.bytes.data + field.bytes.len == wire.at);
		last = wire.at;
	}
	assert(wire.bad || wire.at == data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct wg_key private = { { 1 } }, server_private = { { 2 } };
	struct wg_key public, server = { { 0 } };
	g_autofree uint8_t *sealed = NULL;
	uint8_t *plain = NULL;
	size_t len, plain_len;
	int r;

	key_public_from_private(&private, &public);
	assert(!envelope_seal(&private, &public, &server, data, size, &len));
	key_public_from_private(&server_private, &server);
	check_walk(data, size);
	r = envelope_open(&private, &server, data, size, &plain, &plain_len);
	assert(r == 0 || r == -EPROTO || r == -EBADMSG);
	if (r == 0)
		envelope_wipe(plain, plain_len);
	sealed = envelope_seal(&private, &public, &server, data, size, &len);
	check_walk(sealed, len);
	r = envelope_open(&server_private, &public, sealed, len, &plain, &plain_len);
	assert(r == 0 && plain_len == size && (!size || !memcmp(plain, data, size)));
	envelope_wipe(plain, plain_len);
	return 0;
}
