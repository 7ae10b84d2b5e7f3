/* tests/unit/bytes.h - netlink messages written by hand, without any of the code under test. */
#pragma once

#include <glib.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	_Alignas(8) uint8_t b[16384];
	size_t len;
};

static inline void bytes_put(struct bytes *out, const void *data, size_t len)
{
	g_assert_cmpuint(out->len + len, <=, sizeof(out->b));
	if (len)
		memcpy(out->b + out->len, data, len);
	out->len += len;
}

static inline void bytes_u8(struct bytes *out, uint8_t value)
{
	bytes_put(out, &value, 1);
}

static inline void bytes_u16(struct bytes *out, uint16_t value)
{
	bytes_put(out, &value, 2);
}

static inline void bytes_u32(struct bytes *out, uint32_t value)
{
	bytes_put(out, &value, 4);
}

static inline void bytes_align(struct bytes *out)
{
	while (out->len % 4)
		bytes_u8(out, 0);
}

static inline void bytes_attr(struct bytes *out, uint16_t type, const void *data, size_t len)
{
	bytes_u16(out, (uint16_t)(4 + len));
	bytes_u16(out, type);
	bytes_put(out, data, len);
	bytes_align(out);
}

static inline void bytes_attr_u8(struct bytes *out, uint16_t type, uint8_t value)
{
	bytes_attr(out, type, &value, 1);
}

static inline void bytes_attr_u16(struct bytes *out, uint16_t type, uint16_t value)
{
	bytes_attr(out, type, &value, 2);
}

static inline void bytes_attr_u32(struct bytes *out, uint16_t type, uint32_t value)
{
	bytes_attr(out, type, &value, 4);
}

static inline void bytes_attr_u64(struct bytes *out, uint16_t type, uint64_t value)
{
	bytes_attr(out, type, &value, 8);
}

static inline void bytes_attr_text(struct bytes *out, uint16_t type, const char *text)
{
	bytes_attr(out, type, text, strlen(text) + 1);
}

/* Returns where it begins, for bytes_close. */
static inline size_t bytes_nest(struct bytes *out, uint16_t type)
{
	bytes_u16(out, 0);
	bytes_u16(out, type | 0x8000);
	return out->len - 4;
}

static inline void bytes_close(struct bytes *out, size_t nest)
{
	uint16_t len = (uint16_t)(out->len - nest);

	memcpy(out->b + nest, &len, 2);
}

static inline size_t bytes_message(struct bytes *out, uint16_t type, uint16_t flags, uint32_t seq)
{
	bytes_u32(out, 0);
	bytes_u16(out, type);
	bytes_u16(out, flags);
	bytes_u32(out, seq);
	bytes_u32(out, 0);
	return out->len - 16;
}

static inline void bytes_end(struct bytes *out, size_t message)
{
	uint32_t len = (uint32_t)(out->len - message);

	memcpy(out->b + message, &len, 4);
	bytes_align(out);
}

static inline const struct nlmsghdr *bytes_header(const struct bytes *in)
{
	return (const struct nlmsghdr *)in->b;
}

/* The first message alone, `len` bytes long, in memory that ends right behind it. Free it. */
static inline struct nlmsghdr *bytes_cut(const struct bytes *in, size_t len)
{
	struct nlmsghdr *nlh = g_malloc(MAX(len, sizeof(*nlh)));

	memcpy(nlh, in->b, MAX(len, sizeof(*nlh)));
	nlh->nlmsg_len = (uint32_t)len;
	return nlh;
}
