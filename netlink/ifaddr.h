/* netlink/ifaddr.h - addresses of interfaces. */
#pragma once

#include "agent/base/addr.h"

struct nl;

/* `bits` is the length that the interface address carries; bits behind it are kept here. Link-local
 * IPv6 addresses that the kernel made itself are not reported (since 5.18 it tells which are). */
typedef int (*ifaddr_fn)(const struct prefix *address, void *user);

/* -ENODEV: no such interface; adding: -EEXIST; removing: -EADDRNOTAVAIL. */
int ifaddr_foreach(struct nl *nl, unsigned ifindex, ifaddr_fn fn, void *user);
int ifaddr_add(struct nl *nl, unsigned ifindex, const struct prefix *address); /* no DAD */
int ifaddr_remove(struct nl *nl, unsigned ifindex, const struct prefix *address);
