/* agent/base/key.c - WireGuard keys: text form, generation, wiping. */
#include "agent/base/key.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>

#include "agent/base/file.h"

/* Eight characters at once, one in each byte of a word, without a branch or a table: how long a key
 * takes to decode says nothing about it. */
#define LANES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 1 in each lane that is at least `limit`. Lanes and limit are below 0x80. */
static inline uint64_t lanes_from(uint64_t lanes, unsigned limit)
{
	return (lanes + LANES(0x80 - limit)) >> 7 & LANES(1);
}

/* Eight characters, the first in the highest lane, to 48 bits. Sets bits in *bad if one of them is
 * outside the alphabet. */
static inline uint64_t decode(uint64_t text, uint64_t *bad)
{
	uint64_t c = text & LANES(0x7f), digit0 = lanes_from(c, '0');
	uint64_t plus = lanes_from(c, '+') ^ lanes_from(c, '+' + 1);
	uint64_t slash = lanes_from(c, '/') ^ digit0;
	uint64_t digit = digit0 ^ lanes_from(c, '9' + 1);
	uint64_t upper = lanes_from(c, 'A') ^ lanes_from(c, 'Z' + 1);
	uint64_t lower = lanes_from(c, 'a') ^ lanes_from(c, 'z' + 1);

	*bad |= (text & LANES(0x80)) | ((plus | slash | digit | upper | lower) ^ LANES(1));
	/* From character to value modulo 128: the sum never carries into the next lane. */
	c += plus * (62 - '+') + slash * (63 - '/') + digit * (52 - '0') + upper * (128 - 'A') +
		lower * (128 + 26 - 'a');
	c &= LANES(0x3f);
	c = (c & UINT64_C(0x003f003f003f003f)) | (c & UINT64_C(0x3f003f003f003f00)) >> 2;
	c = (c & UINT64_C(0x00000fff00000fff)) | (c & UINT64_C(0x0fff00000fff0000)) >> 4;
	return (c & 0xffffff) | c >> 32 << 24;
}

int key_parse(const char *text, size_t len, struct wg_key *ret)
{
	uint64_t bad = 0, word = 0;
	char last[8] = "AAAAAAAA";
	struct wg_key key;

	if (len != KEY_TEXT_LEN)
		return -EINVAL;
	for (int i = 0; i < 5; i++) {
		memcpy(&word, text + 8 * i, 8);
		word = htobe64(decode(be64toh(word), &bad) << 16);
		memcpy(key.b + 6 * i, &word, 6);
	}
	/* Three characters remain, for two bytes and two bits that are zero. */
	memcpy(last, text + 40, 3);
	memcpy(&word, last, 8);
	word = decode(be64toh(word), &bad) << 16;
	bad |= (word & UINT64_C(0xffffffffffff)) | (uint8_t)(text[43] ^ '=');
	word = htobe64(word);
	memcpy(key.b + 30, &word, 2);
	if (!bad)
		*ret = key;
	sodium_memzero(last, sizeof(last));
	sodium_memzero(&word, sizeof(word));
	key_wipe(&key);
	return bad ? -EINVAL : 0;
}

const char *key_format(const struct wg_key *key, char buf[static KEY_STRLEN])
{
	return sodium_bin2base64(
		buf, KEY_STRLEN, key->b, sizeof(key->b), sodium_base64_VARIANT_ORIGINAL);
}

void key_generate_private(struct wg_key *ret)
{
	randombytes_buf(ret->b, sizeof(ret->b));
	ret->b[0] &= 248;
	ret->b[31] = (ret->b[31] & 127) | 64;
}

void key_public_from_private(const struct wg_key *private_key, struct wg_key *ret)
{
	crypto_scalarmult_base(ret->b, private_key->b);
}

bool key_is_zero(const struct wg_key *key)
{
	uint64_t word[4];

	memcpy(word, key->b, sizeof(word));
	return (word[0] | word[1] | word[2] | word[3]) == 0;
}

bool key_is_same(const struct wg_key *a, const struct wg_key *b)
{
	uint64_t x[4], y[4];

	memcpy(x, a->b, sizeof(x));
	memcpy(y, b->b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

void key_wipe(struct wg_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int key_read_file(const char *path, struct wg_key *ret)
{
	enum { LIMIT = 4096 };
	char *text, *from, *to;
	size_t len;
	int r = file_read_secret(path, LIMIT, &text, &len);

	if (r < 0)
		return r == -EFBIG ? -EINVAL : r;
	for (from = text, to = text + len; from < to && is_space(*from); from++)
		;
	while (to > from && is_space(to[-1]))
		to--;
	r = key_parse(from, (size_t)(to - from), ret);
	sodium_memzero(text, len);
	g_free(text);
	return r;
}
