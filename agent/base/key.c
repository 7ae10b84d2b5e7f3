/* agent/base/key.c - WireGuard keys: text form, generation, wiping. */
#include "agent/base/key.h"

#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>

#include "agent/base/file.h"

/* Sixteen characters at once, without a branch or a table that depends on them: how long a key takes
 * to decode says nothing about it. */
typedef int8_t lanes __attribute__((vector_size(16)));

static inline lanes lanes_between(lanes c, char first, char last)
{
	return (lanes)((c >= (int8_t)first) & (c <= (int8_t)last));
}

/* From characters to their values. Sets bits in *bad for those that are outside the alphabet. */
static inline lanes decode(lanes c, lanes *bad)
{
	lanes upper = lanes_between(c, 'A', 'Z'), lower = lanes_between(c, 'a', 'z');
	lanes digit = lanes_between(c, '0', '9'), plus = (lanes)(c == '+'),
	      slash = (lanes)(c == '/');

	*bad |= ~(upper | lower | digit | plus | slash);
	return c - (upper & 'A') - (lower & ('a' - 26)) + (digit & (52 - '0')) +
		(plus & (62 - '+')) + (slash & (63 - '/'));
}

/* Eight values of six bits to 48 bits. */
static inline uint64_t pack(uint64_t c)
{
	c = (c & UINT64_C(0x003f003f003f003f)) | (c & UINT64_C(0x3f003f003f003f00)) >> 2;
	c = (c & UINT64_C(0x00000fff00000fff)) | (c & UINT64_C(0x0fff00000fff0000)) >> 4;
	return (c & 0xffffff) | c >> 32 << 24;
}

int key_parse(const char *text, size_t len, struct wg_key *ret)
{
	struct {
		lanes c[3];
		uint64_t word[6];
		uint8_t bytes[5 * 6 + 8]; /* six of the eight written at a time count */
	} work;
	lanes bad = { 0 };
	uint64_t bad_word[2];

	if (len != KEY_TEXT_LEN)
		return -EINVAL;
	memset(&work.c[2], 'A', sizeof(work.c[2]));
	memcpy(work.c, text, KEY_TEXT_LEN - 1);
	for (int i = 0; i < 3; i++)
		work.c[i] = decode(work.c[i], &bad);
	memcpy(work.word, work.c, sizeof(work.word));
	for (int i = 0; i < 6; i++) {
		work.word[i] = htobe64(pack(be64toh(work.word[i])) << 16);
		memcpy(work.bytes + 6 * i, &work.word[i], 8);
	}
	/* Behind the key there are two bits, zero, and one character. */
	memcpy(bad_word, &bad, sizeof(bad));
	bad_word[0] |= bad_word[1] | work.bytes[32] | (uint8_t)(text[KEY_TEXT_LEN - 1] ^ '=');
	if (!bad_word[0])
		memcpy(ret->b, work.bytes, sizeof(ret->b));
	sodium_memzero(&work, sizeof(work));
	return bad_word[0] ? -EINVAL : 0;
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

unsigned key_hash(const void *key)
{
	unsigned hash; /* a key's bytes are as good as random */

	memcpy(&hash, key, sizeof(hash));
	return hash;
}

int key_equal(const void *a, const void *b)
{
	return !memcmp(a, b, sizeof(struct wg_key));
}

void key_wipe(struct wg_key *key)
{
	sodium_memzero(key, sizeof(*key));
}

void key_mac(const struct wg_key *key, const char *purpose, const void *data, size_t len,
	struct wg_key *ret)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, key->b, sizeof(key->b), sizeof(ret->b));
	crypto_generichash_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1);
	crypto_generichash_update(&state, data, len);
	crypto_generichash_final(&state, ret->b, sizeof(ret->b));
	sodium_memzero(&state, sizeof(state));
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

int key_write_file(const char *path, const struct wg_key *key)
{
	char text[KEY_STRLEN + 1];
	int r;

	key_format(key, text);
	text[KEY_TEXT_LEN] = '\n';
	r = file_write(path, text, KEY_TEXT_LEN + 1, 0600);
	explicit_bzero(text, sizeof(text));
	return r;
}
