/* agent/owners.c - whose an inner address is, and which addresses are a host's alone. */
#include "agent/owners.h"

#include <stdlib.h>
#include <string.h>

#include "agent/routing.h"
#include "mgmt/netmap.h"
#include "netlink/nft.h"

struct owners {
	const struct netmap *map;
	const struct routing *routing;
	uint32_t *sorted; /* numbers of prefixes; of equal ones only the first */
	size_t n;
};

static const struct prefix *prefix_at(const struct owners *o, size_t i)
{
	return &o->map->prefixes[o->sorted[i]];
}

/* -- the index ------------------------------------------------------------------------------ */

static int number_compare(const void *a, const void *b, void *prefixes)
{
	const struct prefix *all = prefixes;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int r = prefix_compare(&all[x], &all[y]);

	return r ? r : (x > y) - (x < y);
}

static bool may_be_used(const struct owners *o, uint32_t host, uint32_t number)
{
	const struct netmap_host *h = &o->map->hosts[host];

	if (number < h->prefix + h->n_addresses)
		return true;
	return host != o->map->self && routing_accepts(o->routing, &o->map->prefixes[number]);
}

static void collect(struct owners *o)
{
	for (uint32_t i = 0; i < o->map->n_hosts; i++) {
		const struct netmap_host *h = &o->map->hosts[i];
		uint32_t end = h->prefix + h->n_addresses + h->n_routes;

		for (uint32_t number = h->prefix; number < end; number++)
			if (may_be_used(o, i, number))
				o->sorted[o->n++] = number;
	}
}

static void drop_repeated(struct owners *o)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->n; i++)
		if (!kept || !prefix_is_same(prefix_at(o, kept - 1), prefix_at(o, i)))
			o->sorted[kept++] = o->sorted[i];
	o->n = kept;
}

struct owners *owners_new(const struct netmap *map, const struct routing *routing)
{
	struct owners *o = g_new0(struct owners, 1);

	o->map = map;
	o->routing = routing;
	o->sorted = g_new(uint32_t, map->n_prefixes);
	collect(o);
	if (o->n)
		qsort_r(o->sorted, o->n, sizeof(*o->sorted), number_compare, map->prefixes);
	drop_repeated(o);
	return o;
}

void owners_free(struct owners *o)
{
	if (!o)
		return;
	g_free(o->sorted);
	g_free(o);
}

/* The first place whose prefix sorts behind this one. */
static size_t place_behind(const struct owners *o, const struct prefix *p)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (prefix_compare(prefix_at(o, mid), p) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* -- whose ---------------------------------------------------------------------------------- */

/* The hosts' prefixes lie in the order of the hosts. */
static uint32_t host_of(const struct netmap *map, uint32_t number)
{
	size_t low = 0, high = map->n_hosts;

	while (high - low > 1) {
		size_t mid = (low + high) / 2;

		if (map->hosts[mid].prefix <= number)
			low = mid;
		else
			high = mid;
	}
	return (uint32_t)low;
}

static int64_t owner_of(const struct owners *o, uint32_t number)
{
	uint32_t host = host_of(o->map, number);
	const struct netmap_host *h = &o->map->hosts[host];

	if (host == o->map->self)
		return NETMAP_NONE;
	if (number < h->prefix + h->n_addresses)
		return host;
	return routing_holder(o->routing, host, &o->map->prefixes[number]);
}

static void shorten(struct prefix *p, unsigned bits)
{
	p->bits = (uint8_t)bits;
	for (size_t i = (bits + 7) / 8; i < sizeof(p->addr); i++)
		p->addr[i] = 0;
	if (bits % 8)
		p->addr[bits / 8] &= (uint8_t)(0xff00 >> bits % 8);
}

static unsigned bits_in_common(const struct prefix *a, const struct prefix *b)
{
	unsigned i = 0;

	while (i < sizeof(a->addr) && a->addr[i] == b->addr[i])
		i++;
	if (i == sizeof(a->addr))
		return 8 * i;
	return 8 * i + (unsigned)__builtin_clz((unsigned)(a->addr[i] ^ b->addr[i])) - 24;
}

/* What contains the address sorts before it, and also contains whatever lies between: it is what
 * comes just before, or no longer than what that has in common with the address. */
int64_t owners_find(const struct owners *o, const struct prefix *address)
{
	struct prefix key = *address;

	for (;;) {
		size_t i = place_behind(o, &key);
		const struct prefix *before = i ? prefix_at(o, i - 1) : NULL;

		if (!before || before->family != key.family)
			return NETMAP_NONE;
		if (prefix_contains(before, &key))
			return owner_of(o, o->sorted[i - 1]);
		shorten(&key, bits_in_common(before, &key));
	}
}

/* -- whose alone ---------------------------------------------------------------------------- */

static void last_address(const struct prefix *p, uint8_t ret[static 16])
{
	memcpy(ret, p->addr, sizeof(p->addr));
	for (unsigned bit = p->bits; bit < prefix_width(p); bit++)
		ret[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

static void step_forward(uint8_t *address, size_t len)
{
	while (len-- > 0 && ++address[len] == 0)
		;
}

static void step_back(uint8_t *address, size_t len)
{
	while (len-- > 0 && address[len]-- == 0)
		;
}

void owners_ranges(const struct owners *o, const struct prefix *p, GArray *ranges)
{
	struct nft_range range = { .family = p->family };
	size_t len = prefix_width(p) / 8;
	uint8_t end[16];

	memcpy(range.first, p->addr, len);
	last_address(p, end);
	for (size_t i = place_behind(o, p); i < o->n; i++) {
		const struct prefix *inner = prefix_at(o, i);

		if (!prefix_contains(p, inner))
			break;
		if (memcmp(inner->addr, range.first, len) < 0) /* inside the one before */
			continue;
		if (memcmp(inner->addr, range.first, len) > 0) {
			memcpy(range.last, inner->addr, len);
			step_back(range.last, len);
			g_array_append_val(ranges, range);
		}
		last_address(inner, range.first);
		if (!memcmp(range.first, end, len))
			return;
		step_forward(range.first, len);
	}
	memcpy(range.last, end, len);
	g_array_append_val(ranges, range);
}
