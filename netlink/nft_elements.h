/* netlink/nft_elements.h - what the kernel says of elements and counters; pure, inside of those who ask. */
#pragma once

#include <linux/netlink.h>

#include "netlink/nft.h"

/* The packets of this expression, if it is a counter. */
bool nft_elements_packets(const struct nlattr *expr, uint64_t *ret);
/* Calls fn for each element that begins a range and has a counter; keys are addresses of this family.
 * 0 or -EPROTO. */
int nft_elements_parse(const struct nlmsghdr *nlh, uint8_t family, nft_counter_fn fn, void *user);
