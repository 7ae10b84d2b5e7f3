/* mgmt/uniq.c - have these bytes been seen before? */
#include "mgmt/uniq.h"

#include <glib.h>
#include <stdint.h>
#include <string.h>

enum { TAG_MASK = 3 };

struct uniq {
	uint64_t *slots; /* hash with the tag in its low bits; 0: free */
	size_t size, used;
	uint64_t secret[2];
};

static uint64_t random64(void)
{
	return (uint64_t)g_random_int() << 32 | g_random_int();
}

struct uniq *uniq_new(void)
{
	struct uniq *u = g_new0(struct uniq, 1);

	u->size = 256;
	u->slots = g_new0(uint64_t, u->size);
	u->secret[0] = random64();
	u->secret[1] = random64();
	return u;
}

void uniq_free(struct uniq *u)
{
	if (!u)
		return;
	g_free(u->slots);
	g_free(u);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold, eight bytes at a time, with a secret so that nobody can aim at collisions. */
static uint64_t hash(const struct uniq *u, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = u->secret[0] ^ len, word;

	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&word, p, 8);
		h = fold(h ^ word, u->secret[1] | 1);
	}
	word = 0;
	memcpy(&word, p, len);
	h = fold(h ^ word, u->secret[1] | 1);
	h = fold(h, u->secret[0] | 1) & ~(uint64_t)TAG_MASK;
	return h ? h : TAG_MASK + 1;
}

static uint64_t *find(const struct uniq *u, uint64_t h)
{
	size_t at = (h >> 2) & (u->size - 1);

	while (u->slots[at] && (u->slots[at] & ~(uint64_t)TAG_MASK) != h)
		at = (at + 1) & (u->size - 1);
	return &u->slots[at];
}

static void grow(struct uniq *u)
{
	uint64_t *old = u->slots;
	size_t old_size = u->size;

	u->size *= 2;
	u->slots = g_new0(uint64_t, u->size);
	for (size_t i = 0; i < old_size; i++)
		if (old[i])
			*find(u, old[i] & ~(uint64_t)TAG_MASK) = old[i];
	g_free(old);
}

bool uniq_add(struct uniq *u, const void *data, size_t len, unsigned tag)
{
	uint64_t h = hash(u, data, len), *slot = find(u, h);

	if (*slot)
		return false;
	*slot = h | (tag & TAG_MASK);
	if (2 * ++u->used > u->size)
		grow(u);
	return true;
}

unsigned uniq_tag(const struct uniq *u, const void *data, size_t len)
{
	return *find(u, hash(u, data, len)) & TAG_MASK;
}
