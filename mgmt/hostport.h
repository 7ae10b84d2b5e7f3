/* mgmt/hostport.h - names of hosts, and where one may be reached, as people write it. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/addr.h"

enum { HOSTPORT_NAME_MAX = 253 };

/* 1 to `max` of the characters A-Z a-z 0-9 _ . - */
bool hostport_name_is_good(const char *s, size_t len, size_t max);
/* Digits and dots only: somebody meant an address and mistyped it. */
bool hostport_looks_like_ipv4(const char *s, size_t len);

/* "192.0.2.1:51820", "[2001:db8::1]:51820" to *ret with *ret_name_len 0; "host.example:51820" to one
 * with family 0 and the port, the name is the first *ret_name_len bytes. -ENODEV: the scope names no
 * interface here; -EINVAL: none of these. */
int hostport_parse(const char *s, size_t len, struct endpoint *ret, size_t *ret_name_len);
