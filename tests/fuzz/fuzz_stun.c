/* tests/fuzz/fuzz_stun.c - any message and any packet: read, checked, cut, answered. */
/* covers: ice/stun.c ice/packet.c */
#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "ice/packet.h"
#include "ice/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct stun_message *request, const struct endpoint *from)
{
	uint8_t out[STUN_ANSWER_MAX];
	struct integrity_key key;
	struct stun_message m;
	size_t len;

	integrity_key_make("password", &key);
	len = stun_write_success(request, from, &key, out);
	assert(len <= sizeof(out) && stun_parse(out, len, &m) == 0);
	assert(stun_is_authentic(&m, &key) && stun_has_good_fingerprint(&m));
	assert(endpoint_is_same(&m.mapped, from));
	stun_write_request(request->id, out);
	assert(stun_parse(out, STUN_HEADER_LEN, &m) == 0);
}

static void message(uint8_t *data, size_t size)
{
	const struct endpoint here = { AF_INET6, .port = 9, .addr = { 0x20, 1 } };
	struct integrity_key key;
	struct stun_message m;
	size_t len;

	if (stun_parse(data, size, &m) < 0) {
		assert(stun_cut(data, size) == size);
		return;
	}
	assert(!m.username || m.username + m.username_len <= (const char *)data + size);
	integrity_key_make("VOkJxbRl1RmTxUk/WvJxBt", &key);
	(void)stun_is_authentic(&m, &key);
	answer(&m, m.mapped.family ? &m.mapped : &here);
	len = stun_cut(data, size);
	assert(len <= size);
	if (len < size) {
		assert(stun_parse(data, len, &m) == 0 && stun_has_good_fingerprint(&m));
		assert(stun_cut(data, len) == len);
	}
}

static void packet(uint8_t *data, size_t size)
{
	size_t len = packet_cut(data, size);

	assert(len <= size && packet_cut(data, len) == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree uint8_t *copy = g_memdup2(data, size);

	if (size && data[0] >> 4 < 4)
		message(copy, size);
	else if (size)
		packet(copy, size);
	return 0;
}
