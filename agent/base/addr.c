/* agent/base/addr.c - network prefixes and UDP endpoints as plain values. */
#include "agent/base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t V4_MAPPED[12] = { [10] = 0xff, [11] = 0xff };

/* -- text to numbers ------------------------------------------------------------------------ */

static inline bool take_digit(const char *at, const char *end, unsigned *value)
{
	unsigned digit = at < end ? (unsigned)*at - '0' : 10;

	if (digit > 9)
		return false;
	*value = *value * 10 + digit;
	return true;
}

/* A decimal number of at most five digits, without sign or leading zeros. Returns what follows,
 * NULL: none, or above max. */
static const char *parse_number(const char *from, const char *end, unsigned max, unsigned *ret)
{
	const char *at = from;
	unsigned value = 0;

	while (at - from < 5 && take_digit(at, end, &value))
		at++;
	if (at == from || value > max || (*from == '0' && at - from > 1))
		return NULL;
	*ret = value;
	return at;
}

/* The same for a number up to 255; written out because networks have very many of them. */
static inline const char *parse_byte(const char *at, const char *end, uint8_t *ret)
{
	unsigned value = 0;

	if (!take_digit(at++, end, &value))
		return NULL;
	if (take_digit(at, end, &value)) {
		if (value < 10)
			return NULL;
		at++;
		at += take_digit(at, end, &value);
		if (value > 255)
			return NULL;
	}
	*ret = (uint8_t)value;
	return at;
}

/* Returns what follows the address, NULL when there is none. */
static const char *parse_ipv4(const char *at, const char *end, uint8_t addr[static 4])
{
	at = parse_byte(at, end, &addr[0]);
	for (int i = 1; at && i < 4; i++)
		at = at < end && *at == '.' ? parse_byte(at + 1, end, &addr[i]) : NULL;
	return at;
}

static bool parse_ipv6(const char *text, size_t len, uint8_t addr[static 16])
{
	char copy[INET6_ADDRSTRLEN];

	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(AF_INET6, copy, addr) == 1;
}

static bool is_v4_mapped(const uint8_t addr[static 16])
{
	return memcmp(addr, V4_MAPPED, sizeof(V4_MAPPED)) == 0;
}

static bool is_link_local(const uint8_t addr[static 16])
{
	return addr[0] == 0xfe && (addr[1] & 0xc0) == 0x80;
}

/* -- prefixes ------------------------------------------------------------------------------- */

static bool is_zero_behind(const uint8_t *addr, unsigned bits, unsigned width)
{
	if (bits % 8 && addr[bits / 8] & 0xff >> bits % 8)
		return false;
	for (unsigned i = (bits + 7) / 8; i < width / 8; i++)
		if (addr[i])
			return false;
	return true;
}

/* The address part. Returns what follows it, NULL when there is none. */
static const char *parse_address(const char *text, const char *end, struct prefix *p)
{
	const char *slash, *at = parse_ipv4(text, end, p->addr);

	p->family = AF_INET;
	if (at)
		return at;
	slash = memchr(text, '/', (size_t)(end - text));
	at = slash ? slash : end;
	p->family = AF_INET6;
	if (!parse_ipv6(text, (size_t)(at - text), p->addr) || is_v4_mapped(p->addr))
		return NULL;
	return at;
}

int prefix_parse(const char *text, size_t len, struct prefix *ret)
{
	const char *end = text + len, *at;
	struct prefix p = { 0 };
	unsigned width, bits;

	at = parse_address(text, end, &p);
	if (!at)
		return -EINVAL;
	width = bits = prefix_width(&p);
	if (at < end) {
		if (*at != '/' || parse_number(at + 1, end, width, &bits) != end)
			return -EINVAL;
		if (!is_zero_behind(p.addr, bits, width))
			return -EINVAL;
	}
	p.bits = (uint8_t)bits;
	*ret = p;
	return 0;
}

/* At most three digits. Returns the end. */
static char *put_number(char *at, unsigned value)
{
	if (value >= 100)
		*at++ = (char)('0' + value / 100);
	if (value >= 10)
		*at++ = (char)('0' + value / 10 % 10);
	*at++ = (char)('0' + value % 10);
	return at;
}

static char *put_address(char *at, uint8_t family, const uint8_t *addr)
{
	if (family == AF_INET6)
		return at + strlen(inet_ntop(AF_INET6, addr, at, INET6_ADDRSTRLEN));
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*at++ = '.';
		at = put_number(at, addr[i]);
	}
	return at;
}

const char *prefix_format(const struct prefix *p, char buf[static PREFIX_STRLEN])
{
	char *at = buf;

	if (p->family) {
		at = put_address(at, p->family, p->addr);
		*at++ = '/';
		at = put_number(at, p->bits);
	}
	*at = '\0';
	return buf;
}

unsigned prefix_width(const struct prefix *p)
{
	return p->family == AF_INET ? 32 : 128;
}

bool prefix_is_host(const struct prefix *p)
{
	return p->family && p->bits == prefix_width(p);
}

bool prefix_is_same(const struct prefix *a, const struct prefix *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	unsigned whole = outer->bits / 8, rest = outer->bits % 8;

	if (!outer->family || outer->family != inner->family || outer->bits > inner->bits)
		return false;
	if (memcmp(outer->addr, inner->addr, whole) != 0)
		return false;
	return !rest || (outer->addr[whole] ^ inner->addr[whole]) >> (8 - rest) == 0;
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int r;

	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	r = memcmp(a->addr, b->addr, sizeof(a->addr));
	return r ? r : (int)a->bits - (int)b->bits;
}

/* Two halves of one network, the lower first. */
static bool are_siblings(const struct prefix *low, const struct prefix *high)
{
	unsigned at, bit;

	if (low->family != high->family || low->bits != high->bits || !low->bits)
		return false;
	at = (low->bits - 1u) / 8;
	bit = 0x80u >> (low->bits - 1u) % 8;
	return memcmp(low->addr, high->addr, at) == 0 && (low->addr[at] ^ high->addr[at]) == bit;
}

static bool is_sorted(const struct prefix *set, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (prefix_compare(&set[i - 1], &set[i]) > 0)
			return false;
	return true;
}

static int compare_for_qsort(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

/* In sorted order whatever covers or completes a prefix is the last one kept, so what is kept works
 * as a stack: a merged pair begins where its lower half began and may complete its neighbour. */
size_t prefix_aggregate(struct prefix *set, size_t n)
{
	size_t kept = 0;

	if (!is_sorted(set, n))
		qsort(set, n, sizeof(*set), compare_for_qsort);
	for (size_t i = 0; i < n; i++) {
		if (kept && prefix_contains(&set[kept - 1], &set[i]))
			continue;
		set[kept++] = set[i];
		while (kept > 1 && are_siblings(&set[kept - 2], &set[kept - 1])) {
			kept--;
			set[kept - 1].bits--;
		}
	}
	return kept;
}

/* -- endpoints ------------------------------------------------------------------------------ */

static void unmap_v4(struct endpoint *e)
{
	if (e->family != AF_INET6 || !is_v4_mapped(e->addr))
		return;
	e->family = AF_INET;
	memmove(e->addr, e->addr + sizeof(V4_MAPPED), 4);
	memset(e->addr + 4, 0, sizeof(e->addr) - 4);
}

static int parse_scope(const char *name, size_t len, struct endpoint *e)
{
	char copy[IF_NAMESIZE];

	if (!is_link_local(e->addr) || !len || memchr(name, '\0', len))
		return -EINVAL;
	if (len >= sizeof(copy))
		return -ENODEV;
	memcpy(copy, name, len);
	copy[len] = '\0';
	e->scope = if_nametoindex(copy);
	return e->scope ? 0 : -ENODEV;
}

/* "[address]" or "[address%interface]"; sets what follows only on success. */
static int parse_bracketed(const char *text, const char *end, struct endpoint *e, const char **next)
{
	const char *close = memchr(text, ']', (size_t)(end - text)), *scope, *address = text + 1;
	int r;

	if (!close)
		return -EINVAL;
	scope = memchr(address, '%', (size_t)(close - address));
	if (!parse_ipv6(address, (size_t)((scope ? scope : close) - address), e->addr))
		return -EINVAL;
	e->family = AF_INET6;
	if (scope) {
		r = parse_scope(scope + 1, (size_t)(close - scope - 1), e);
		if (r < 0)
			return r;
	}
	unmap_v4(e);
	*next = close + 1;
	return 0;
}

int endpoint_parse(const char *text, size_t len, struct endpoint *ret)
{
	const char *end = text + len, *at = NULL;
	struct endpoint e = { .family = AF_INET };
	unsigned port = 0;
	int r = 0;

	if (len && *text == '[')
		r = parse_bracketed(text, end, &e, &at);
	else
		at = parse_ipv4(text, end, e.addr);
	if (!at)
		return r < 0 ? r : -EINVAL;
	if (at == end || *at != ':' || parse_number(at + 1, end, 65535, &port) != end || !port)
		return -EINVAL;
	e.port = (uint16_t)port;
	*ret = e;
	return 0;
}

/* An interface that is gone has a number only. */
static char *put_scope(char *at, uint32_t scope)
{
	char name[IF_NAMESIZE];

	if (!scope)
		return at;
	if (if_indextoname(scope, name))
		return at + sprintf(at, "%%%s", name);
	return at + sprintf(at, "%%%u", scope);
}

const char *endpoint_format(const struct endpoint *e, char buf[static ENDPOINT_STRLEN])
{
	char *at = buf;

	*at = '\0';
	if (!e->family)
		return buf;
	if (e->family == AF_INET6)
		*at++ = '[';
	at = put_address(at, e->family, e->addr);
	if (e->family == AF_INET6) {
		at = put_scope(at, e->scope);
		*at++ = ']';
	}
	sprintf(at, ":%u", e->port);
	return buf;
}

bool endpoint_is_same(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port && a->scope == b->scope &&
		memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	if (e->family == AF_INET) {
		*v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(e->port) };
		memcpy(&v4->sin_addr, e->addr, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	if (e->family == AF_INET6) {
		*v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons(e->port),
			.sin6_scope_id = e->scope };
		memcpy(&v6->sin6_addr, e->addr, sizeof(v6->sin6_addr));
		return sizeof(*v6);
	}
	return 0;
}

int endpoint_from_sockaddr(const struct sockaddr *sa, size_t len, struct endpoint *ret)
{
	struct endpoint e = { 0 };
	struct sockaddr_in6 v6; /* a copy: what netlink hands out need not be aligned */
	struct sockaddr_in v4;

	if (len < sizeof(sa->sa_family))
		return -EINVAL;
	memcpy(&v4.sin_family, sa, sizeof(v4.sin_family));
	e.family = (uint8_t)v4.sin_family;
	if (v4.sin_family == AF_INET && len >= sizeof(v4)) {
		memcpy(&v4, sa, sizeof(v4));
		e.port = ntohs(v4.sin_port);
		memcpy(e.addr, &v4.sin_addr, sizeof(v4.sin_addr));
	} else if (v4.sin_family == AF_INET6 && len >= sizeof(v6)) {
		memcpy(&v6, sa, sizeof(v6));
		e.port = ntohs(v6.sin6_port);
		memcpy(e.addr, &v6.sin6_addr, sizeof(e.addr));
		e.scope = is_link_local(e.addr) ? v6.sin6_scope_id : 0;
		unmap_v4(&e);
	} else {
		return -EINVAL;
	}
	*ret = e;
	return 0;
}
