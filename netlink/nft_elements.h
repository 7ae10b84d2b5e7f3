/* netlink/nft_elements.h - elements of sets in messages, both ways; pure, inside of those who use sets. */
#pragma once

#include <linux/netlink.h>

#include "netlink/nft.h"

enum { NFT_ELEMENT_MAX = 96 }; /* of two keys of 24 bytes, with everything around them */

/* A list of elements of this set; ended by mnl_attr_nest_end. */
struct nlattr *nft_elements_begin(struct nlmsghdr *nlh, const char *table, const char *set);
/* One more; `last` is NULL unless it is an interval by itself; flags: NFT_SET_ELEM_INTERVAL_END or 0. */
void nft_elements_put(
	struct nlmsghdr *nlh, const void *key, const void *last, uint8_t len, uint32_t flags);

/* The packets of this expression, if it is a counter. */
bool nft_elements_packets(const struct nlattr *expr, uint64_t *ret);
/* Calls fn for each element that begins a range and has a counter; keys are addresses of this family.
 * 0 or -EPROTO. */
int nft_elements_parse(const struct nlmsghdr *nlh, uint8_t family, nft_counter_fn fn, void *user);
