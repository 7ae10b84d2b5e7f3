/* agent/base/addr.h - network prefixes and UDP endpoints as plain values. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 or IPv6 network. Bits behind the prefix length are always zero. */
struct prefix {
	uint8_t family; /* AF_INET or AF_INET6; 0: none */
	uint8_t bits;
	uint8_t addr[16]; /* network order; IPv4 uses the first four */
};

/* A UDP address. */
struct endpoint {
	uint8_t family; /* AF_INET or AF_INET6; 0: none */
	uint16_t port; /* host order */
	uint32_t scope; /* interface index of an IPv6 link-local address */
	uint8_t addr[16];
};

enum { PREFIX_STRLEN = 48, ENDPOINT_STRLEN = 64 };

/* "10.0.0.0/8", "fd00::/8"; without a length it is a single address. Bits behind the length must
 * be zero. 0 or -EINVAL, also for IPv4-mapped IPv6. Text need not be terminated. */
int prefix_parse(const char *text, size_t len, struct prefix *ret);
const char *prefix_format(const struct prefix *p, char buf[static PREFIX_STRLEN]);

/* The number of bits in an address of this family: 32 or 128. */
unsigned prefix_width(const struct prefix *p);
bool prefix_is_host(const struct prefix *p); /* a single address */
bool prefix_is_same(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
/* By family, then address, then length (shorter first): nets sort before what they contain. */
int prefix_compare(const struct prefix *a, const struct prefix *b);

/* Replaces the set by the smallest set that covers exactly the same addresses; sorts. Returns the
 * new length. */
size_t prefix_aggregate(struct prefix *set, size_t n);

/* "192.0.2.1:51820" or "[2001:db8::1]:51820"; link-local ones also with %eth0. IPv4-mapped IPv6
 * becomes IPv4. -EINVAL: not an address, perhaps a name, or port 0; -ENODEV: the scope names no
 * interface. */
int endpoint_parse(const char *text, size_t len, struct endpoint *ret);
const char *endpoint_format(const struct endpoint *e, char buf[static ENDPOINT_STRLEN]);
bool endpoint_is_same(const struct endpoint *a, const struct endpoint *b);
/* Returns the length of the socket address, 0 for no endpoint. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *ret);
/* 0 or -EINVAL (family unknown or too short). IPv4-mapped IPv6 becomes IPv4. */
int endpoint_from_sockaddr(const struct sockaddr *sa, size_t len, struct endpoint *ret);
