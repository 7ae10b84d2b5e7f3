/* ice/stun.c - reads, checks, mends and answers STUN messages. */
#include "ice/stun.h"

#include <errno.h>
#include <string.h>

#include "ice/crc32.h"

enum {
	COOKIE = 0x2112a442,
	FINGERPRINT_XOR = 0x5354554e,
	ATTR_USERNAME = 0x0006,
	ATTR_INTEGRITY = 0x0008,
	ATTR_XOR_MAPPED = 0x0020,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_HEAD = 4,
	HEAD_LEN = 4, /* type and length */
	FINGERPRINT_LEN = 4,
	FAMILY_IPV4 = 1,
	FAMILY_IPV6 = 2,
	TYPE_SUCCESS = 0x0101,
};

/* -- numbers -------------------------------------------------------------------------------- */

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

/* An address as it stands in the message: hidden by what both sides know, cookie and transaction. */
static void mask_address(uint8_t *addr, size_t len, const uint8_t *cookie)
{
	for (size_t i = 0; i < len; i++)
		addr[i] ^= cookie[i];
}

/* -- reading -------------------------------------------------------------------------------- */

static void take_mapped(struct stun_message *m, const uint8_t *value, size_t len)
{
	size_t addr_len = len == 8 ? 4 : 16;
	struct endpoint e = { .family = len == 8 ? AF_INET : AF_INET6 };

	if ((len != 8 && len != 20) || value[1] != (len == 8 ? FAMILY_IPV4 : FAMILY_IPV6))
		return;
	e.port = get16(value + 2) ^ COOKIE >> 16;
	memcpy(e.addr, value + 4, addr_len);
	mask_address(e.addr, addr_len, m->data + 4);
	m->mapped = e;
}

static int take_attribute(struct stun_message *m, size_t at, uint16_t type, size_t len)
{
	const uint8_t *value = m->data + at + ATTR_HEAD;

	if (m->fingerprint)
		return 0;
	if (type == ATTR_FINGERPRINT) {
		m->fingerprint = at;
		return len == FINGERPRINT_LEN ? 0 : -EBADMSG;
	}
	if (m->integrity)
		return 0;
	if (type == ATTR_INTEGRITY) {
		m->integrity = at;
		return len == INTEGRITY_LEN ? 0 : -EBADMSG;
	}
	if (type == ATTR_USERNAME && !m->username) {
		m->username = (const char *)value;
		m->username_len = len;
	}
	if (type == ATTR_XOR_MAPPED)
		take_mapped(m, value, len);
	return 0;
}

int stun_parse(const uint8_t *data, size_t len, struct stun_message *ret)
{
	struct stun_message m = { .data = data, .id = data + 8 };
	uint16_t type;

	if (len < STUN_HEADER_LEN || len % 4 || get16(data) >> 14 || get32(data + 4) != COOKIE ||
		get16(data + 2) != len - STUN_HEADER_LEN)
		return -EBADMSG;
	type = get16(data);
	m.class = (enum stun_class)((type >> 7 & 2) | (type >> 4 & 1));
	m.method = (uint16_t)((type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80));
	for (size_t at = STUN_HEADER_LEN; at < len;) {
		size_t value_len = get16(data + at + 2);

		if (value_len > len - at - ATTR_HEAD ||
			take_attribute(&m, at, get16(data + at), value_len) < 0)
			return -EBADMSG;
		at += ATTR_HEAD + (value_len + 3) / 4 * 4;
	}
	*ret = m;
	return 0;
}

/* -- checksums: over what stands before the attribute, in a message that ends with it --------- */

/* What the message begins with when it ends behind an attribute with so long a value. */
static void put_head(
	const uint8_t *data, size_t end, size_t value_len, uint8_t ret[static HEAD_LEN])
{
	memcpy(ret, data, 2);
	put16(ret + 2, (uint16_t)(end + ATTR_HEAD + value_len - STUN_HEADER_LEN));
}

static void integrity_until(const uint8_t *data, size_t end, const struct integrity_key *key,
	uint8_t ret[static INTEGRITY_LEN])
{
	uint8_t head[HEAD_LEN];

	put_head(data, end, INTEGRITY_LEN, head);
	integrity_of(key, head, HEAD_LEN, data + HEAD_LEN, end - HEAD_LEN, ret);
}

static uint32_t fingerprint_until(const uint8_t *data, size_t end)
{
	uint8_t head[HEAD_LEN];

	put_head(data, end, FINGERPRINT_LEN, head);
	return crc32_more(crc32_of(head, HEAD_LEN), data + HEAD_LEN, end - HEAD_LEN) ^
		FINGERPRINT_XOR;
}

bool stun_is_authentic(const struct stun_message *m, const struct integrity_key *key)
{
	uint8_t wanted[INTEGRITY_LEN], differs = 0;

	if (!m->integrity)
		return false;
	integrity_until(m->data, m->integrity, key, wanted);
	for (size_t i = 0; i < INTEGRITY_LEN; i++)
		differs |= wanted[i] ^ m->data[m->integrity + ATTR_HEAD + i];
	return !differs;
}

bool stun_has_good_fingerprint(const struct stun_message *m)
{
	return m->fingerprint &&
		get32(m->data + m->fingerprint + ATTR_HEAD) ==
		fingerprint_until(m->data, m->fingerprint);
}

size_t stun_cut(uint8_t *data, size_t len)
{
	struct stun_message m;
	size_t end;

	if (stun_parse(data, len, &m) < 0 || !stun_has_good_fingerprint(&m))
		return len;
	end = m.fingerprint + ATTR_HEAD + FINGERPRINT_LEN;
	put16(data + 2, (uint16_t)(end - STUN_HEADER_LEN));
	return end;
}

/* -- writing -------------------------------------------------------------------------------- */

static void write_header(uint8_t *ret, uint16_t type, size_t len, const uint8_t *id)
{
	put16(ret, type);
	put16(ret + 2, (uint16_t)(len - STUN_HEADER_LEN));
	put32(ret + 4, COOKIE);
	memcpy(ret + 8, id, STUN_ID_LEN);
}

void stun_write_request(const uint8_t id[static STUN_ID_LEN], uint8_t ret[static STUN_HEADER_LEN])
{
	write_header(ret, STUN_BINDING, STUN_HEADER_LEN, id);
}

static uint8_t *write_head(uint8_t *at, uint16_t type, size_t len)
{
	put16(at, type);
	put16(at + 2, (uint16_t)len);
	return at + ATTR_HEAD;
}

static uint8_t *write_mapped(uint8_t *at, const struct endpoint *from, const uint8_t *cookie)
{
	size_t len = from->family == AF_INET ? 4 : 16;

	at = write_head(at, ATTR_XOR_MAPPED, 4 + len);
	put16(at, from->family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6);
	put16(at + 2, from->port ^ COOKIE >> 16);
	memcpy(at + 4, from->addr, len);
	mask_address(at + 4, len, cookie);
	return at + 4 + len;
}

size_t stun_write_success(const struct stun_message *request, const struct endpoint *from,
	const struct integrity_key *key, uint8_t ret[static STUN_ANSWER_MAX])
{
	uint8_t *at = ret + STUN_HEADER_LEN, *value;
	size_t len;

	write_header(ret, TYPE_SUCCESS, STUN_HEADER_LEN, request->id);
	at = write_mapped(at, from, ret + 4);
	value = write_head(at, ATTR_INTEGRITY, INTEGRITY_LEN);
	integrity_until(ret, (size_t)(at - ret), key, value);
	at = value + INTEGRITY_LEN;
	value = write_head(at, ATTR_FINGERPRINT, FINGERPRINT_LEN);
	put32(value, fingerprint_until(ret, (size_t)(at - ret)));
	len = (size_t)(value + FINGERPRINT_LEN - ret);
	put16(ret + 2, (uint16_t)(len - STUN_HEADER_LEN));
	return len;
}
