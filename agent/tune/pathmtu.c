/* agent/tune/pathmtu.c - the search for the largest packet, and the packets that it sends. Pure. */
#include "agent/tune/pathmtu.h"

#include <glib.h>
#include <string.h>

enum {
	ICMP4_ECHO = 8,
	ICMP4_REPLY = 0,
	ICMP6_ECHO = 128,
	ICMP6_REPLY = 129,
	ICMP_HEADER = 8,
	IP4_HEADER_MIN = 20,
	TAG_BYTES = 8,
	STUN_HEADER = 20,
	STUN_REQUEST = 0x0001,
	STUN_SUCCESS = 0x0101,
	STUN_ERROR = 0x0111,
	STUN_COOKIE = 0x2112A442,
	STUN_PADDING = 0x0026,
	STUN_TAG_AT = 12, /* the last 8 bytes of the transaction id */
};

/* -- the search ------------------------------------------------------------------------------ */

void pathmtu_search_begin(struct pathmtu_search *s, bool ipv6)
{
	*s = (struct pathmtu_search){ .min = ipv6 ? PATHMTU_MIN6 : PATHMTU_MIN4,
		.high = PATHMTU_MAX + 1 };
}

uint32_t pathmtu_search_next(const struct pathmtu_search *s)
{
	/* What most paths have saves most of the search. */
	static const uint32_t usual[] = { 1500, 9000 };

	if (!s->low)
		return s->high > s->min ? s->min : 0;
	if (s->low + 1 >= s->high)
		return 0;
	for (size_t i = 0; i < G_N_ELEMENTS(usual); i++) {
		if (s->high == PATHMTU_MAX + 1 && s->low < usual[i])
			return usual[i];
		if (s->low == usual[i])
			return usual[i] + 1;
	}
	return s->low + (s->high - s->low) / 2;
}

void pathmtu_search_tell(struct pathmtu_search *s, uint32_t size, bool answered)
{
	if (answered)
		s->low = MAX(s->low, size);
	else
		s->high = MIN(s->high, size);
}

uint32_t pathmtu_inner(const struct pathmtu_target *target)
{
	uint32_t overhead = target->to.family == AF_INET6 ? PATHMTU_OVERHEAD6 : PATHMTU_OVERHEAD4;

	return target->mtu > overhead ? target->mtu - overhead : 0;
}

const char *pathmtu_method_name(enum pathmtu_method method)
{
	static const char *const names[] = { "echo", "stun" };

	return names[method];
}

/* -- packets --------------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	if (len % 2)
		sum += (uint32_t)data[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put_u16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	put_u16(at, value >> 16);
	put_u16(at + 2, value);
}

static uint32_t get_u16(const uint8_t *at)
{
	return (uint32_t)(at[0] << 8 | at[1]);
}

/* The kernel fills in the checksum of ICMPv6. */
void pathmtu_echo(uint8_t *ret, size_t len, bool ipv6, uint64_t tag)
{
	g_assert(len >= ICMP_HEADER + TAG_BYTES);
	memset(ret, 0, len);
	ret[0] = ipv6 ? ICMP6_ECHO : ICMP4_ECHO;
	memcpy(ret + 4, &tag, 4); /* identifier and sequence */
	memcpy(ret + ICMP_HEADER, &tag, TAG_BYTES);
	if (!ipv6)
		put_u16(ret + 2, checksum(ret, len));
}

bool pathmtu_is_echo_reply(const uint8_t *data, size_t len, bool ipv6, uint64_t *ret_tag)
{
	size_t header = 0;

	if (!ipv6) { /* raw sockets of IPv4 get that header too */
		header = len ? (size_t)(data[0] & 15) * 4 : 0;
		if (header < IP4_HEADER_MIN)
			return false;
	}
	if (len < header + ICMP_HEADER + TAG_BYTES ||
		data[header] != (ipv6 ? ICMP6_REPLY : ICMP4_REPLY))
		return false;
	memcpy(ret_tag, data + header + ICMP_HEADER, TAG_BYTES);
	return true;
}

void pathmtu_stun(uint8_t *ret, size_t len, uint64_t tag)
{
	g_assert(len % 4 == 0 && len >= STUN_HEADER + 8);
	memset(ret, 0, len);
	put_u16(ret, STUN_REQUEST);
	put_u16(ret + 2, (uint32_t)len - STUN_HEADER);
	put_u32(ret + 4, STUN_COOKIE);
	memcpy(ret + STUN_TAG_AT, &tag, TAG_BYTES);
	put_u16(ret + STUN_HEADER, STUN_PADDING);
	put_u16(ret + STUN_HEADER + 2, (uint32_t)len - STUN_HEADER - 4);
}

bool pathmtu_is_stun_answer(const uint8_t *data, size_t len, uint64_t *ret_tag)
{
	uint8_t cookie[4];

	put_u32(cookie, STUN_COOKIE);
	if (len < STUN_HEADER || memcmp(data + 4, cookie, sizeof(cookie)) ||
		(get_u16(data) != STUN_SUCCESS && get_u16(data) != STUN_ERROR))
		return false;
	memcpy(ret_tag, data + STUN_TAG_AT, TAG_BYTES);
	return true;
}
