/* netlink/nft_elements.h - what the kernel says of a set's elements; pure, inside of nft_sets.c. */
#pragma once

#include <linux/netlink.h>

#include "netlink/nft.h"

/* Calls fn for each element that begins a range and has a counter; keys are addresses of this family.
 * 0 or -EPROTO. */
int nft_elements_parse(const struct nlmsghdr *nlh, uint8_t family, nft_counter_fn fn, void *user);
