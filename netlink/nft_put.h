/* netlink/nft_put.h - elements of sets for the kernel; pure, inside of those who make sets. */
#pragma once

#include <linux/netlink.h>
#include <stdint.h>

enum { NFT_ELEMENT_MAX = 96 }; /* of two keys of 24 bytes, with everything around them */

/* A list of elements of this set; ended by mnl_attr_nest_end. */
struct nlattr *nft_put_elements(struct nlmsghdr *nlh, const char *table, const char *set);
/* One more; `last` is NULL unless it is an interval by itself; flags: NFT_SET_ELEM_INTERVAL_END or 0. */
void nft_put_element(
	struct nlmsghdr *nlh, const void *key, const void *last, uint8_t len, uint32_t flags);
/* One more of a map. */
void nft_put_mapped(
	struct nlmsghdr *nlh, const void *key, uint8_t len, const void *data, uint8_t data_len);
