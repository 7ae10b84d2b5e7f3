/* netlink/nft_put.c - puts elements of sets into messages. */
#include "netlink/nft_put.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

struct nlattr *nft_put_elements(struct nlmsghdr *nlh, const char *table, const char *set)
{
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static void put_value(struct nlmsghdr *nlh, uint16_t type, const void *value, uint8_t len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(nlh, nest);
}

void nft_put_element(
	struct nlmsghdr *nlh, const void *key, const void *last, uint8_t len, uint32_t flags)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	if (flags)
		mnl_attr_put_u32(nlh, NFTA_SET_ELEM_FLAGS, htonl(flags));
	put_value(nlh, NFTA_SET_ELEM_KEY, key, len);
	if (last)
		put_value(nlh, NFTA_SET_ELEM_KEY_END, last, len);
	mnl_attr_nest_end(nlh, element);
}

void nft_put_mapped(
	struct nlmsghdr *nlh, const void *key, uint8_t len, const void *data, uint8_t data_len)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	put_value(nlh, NFTA_SET_ELEM_KEY, key, len);
	put_value(nlh, NFTA_SET_ELEM_DATA, data, data_len);
	mnl_attr_nest_end(nlh, element);
}
