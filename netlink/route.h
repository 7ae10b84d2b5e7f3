/* netlink/route.h - routes and policy rules. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/addr.h"

struct nl;

enum {
	ROUTE_PROTO = 108, /* marks routes and rules as ours */
	ROUTE_METRIC = 2048, /* behind every other manager's route to the same prefix */
	ROUTE_TABLE_MAIN = 254,
};

struct route {
	struct prefix dst;
	uint32_t table;
	unsigned ifindex;
};

/* Matches packets whose mark differs from `mark` (not_mark) and looks them up in `table`;
 * suppress_prefixlength >= 0 discards results with so short a prefix. Table main with suppress 0 is
 * the companion that keeps local routes ahead of a default route of ours. */
struct rule {
	uint8_t family;
	uint32_t priority;
	uint32_t table;
	bool not_mark;
	uint32_t mark;
	int suppress_prefixlength; /* -1: none */
};

typedef int (*route_fn)(const struct route *route, void *user);
typedef int (*rule_fn)(const struct rule *rule, void *user);

/* Routes with ROUTE_PROTO over this interface, in every table; filtered by the kernel. -ENODEV: no
 * such interface. */
int route_foreach(struct nl *nl, unsigned ifindex, route_fn fn, void *user);
int route_add(struct nl *nl, const struct route *route); /* -EEXIST */
int route_remove(struct nl *nl, const struct route *route); /* -ESRCH */

/* Rules with protocol ROUTE_PROTO. */
int rule_foreach(struct nl *nl, rule_fn fn, void *user);
int rule_add(struct nl *nl, const struct rule *rule); /* -EEXIST */
int rule_remove(struct nl *nl, const struct rule *rule); /* -ENOENT */

/* The path that a packet with `mark` to this address would take now: its device, and the MTU that
 * the route itself sets (0: none, the device's holds). -ENETUNREACH and the like as the kernel
 * says. */
int route_path(struct nl *nl, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu,
	unsigned *ret_ifindex);
