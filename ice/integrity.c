/* ice/integrity.c - HMAC-SHA1 (RFC 2104) from the middle on: both blocks of the key are hashed already. */
/* SHA-1's own functions: those that came after them make a message cost as much again. */
#define OPENSSL_API_COMPAT 10101
#include "ice/integrity.h"

#include <openssl/sha.h>
#include <string.h>

enum { INNER_PAD = 0x36, OUTER_PAD = 0x5c };

static void keep(const SHA_CTX *c, uint32_t ret[static INTEGRITY_WORDS])
{
	const uint32_t state[INTEGRITY_WORDS] = { c->h0, c->h1, c->h2, c->h3, c->h4 };

	memcpy(ret, state, sizeof(state));
}

static SHA_CTX go_on(const uint32_t state[static INTEGRITY_WORDS])
{
	return (SHA_CTX){ .h0 = state[0],
		.h1 = state[1],
		.h2 = state[2],
		.h3 = state[3],
		.h4 = state[4],
		.Nl = SHA_CBLOCK * 8 };
}

static void hash_pad(
	const uint8_t key[static SHA_CBLOCK], uint8_t pad, uint32_t ret[static INTEGRITY_WORDS])
{
	uint8_t block[SHA_CBLOCK];
	SHA_CTX c;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	SHA1_Init(&c);
	SHA1_Update(&c, block, sizeof(block));
	keep(&c, ret);
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&c, sizeof(c));
}

void integrity_key_make(const char *password, struct integrity_key *ret)
{
	uint8_t key[SHA_CBLOCK] = { 0 };
	size_t len = strlen(password);

	if (len > sizeof(key))
		SHA1((const uint8_t *)password, len, key);
	else
		memcpy(key, password, len);
	hash_pad(key, INNER_PAD, ret->inner);
	hash_pad(key, OUTER_PAD, ret->outer);
	explicit_bzero(key, sizeof(key));
}

void integrity_of(const struct integrity_key *key, const void *head, size_t head_len,
	const void *rest, size_t rest_len, uint8_t ret[static INTEGRITY_LEN])
{
	SHA_CTX c = go_on(key->inner);

	SHA1_Update(&c, head, head_len);
	SHA1_Update(&c, rest, rest_len);
	SHA1_Final(ret, &c);
	c = go_on(key->outer);
	SHA1_Update(&c, ret, INTEGRITY_LEN);
	SHA1_Final(ret, &c);
	explicit_bzero(&c, sizeof(c));
}
