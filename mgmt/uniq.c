/* mgmt/uniq.c - have these bytes been seen before? */
#include "mgmt/uniq.h"

#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "mgmt/hash.h"

enum { TAG_MASK = 3 };

struct uniq {
	uint64_t *slots; /* hash with the tag in its low bits; 0: free */
	size_t size, used;
};

struct uniq *uniq_new(void)
{
	struct uniq *u = g_new0(struct uniq, 1);

	u->size = 256;
	u->slots = g_new0(uint64_t, u->size);
	return u;
}

void uniq_free(struct uniq *u)
{
	if (!u)
		return;
	g_free(u->slots);
	g_free(u);
}

static uint64_t hash(const void *data, size_t len)
{
	uint64_t h = hash_bytes(data, len) & ~(uint64_t)TAG_MASK;

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
	uint64_t h = hash(data, len), *slot = find(u, h);

	if (*slot)
		return false;
	*slot = h | (tag & TAG_MASK);
	if (2 * ++u->used > u->size)
		grow(u);
	return true;
}

unsigned uniq_tag(const struct uniq *u, const void *data, size_t len)
{
	return *find(u, hash(data, len)) & TAG_MASK;
}
