/* netlink/nft_elements.c - reads counted elements out of what the kernel lists of a set. */
#include "netlink/nft_elements.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <glib.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/attr.h"

/* Finds attribute `type` inside of `outer`, which may be missing. NULL: there is none. */
static const struct nlattr *inside(const struct nlattr *outer, uint16_t type)
{
	const struct nlattr *a;
	struct attr_walk w;

	if (!outer)
		return NULL;
	w = attr_walk_nested(outer);
	do
		a = attr_next(&w);
	while (a && attr_type(a) != type);
	return a;
}

bool nft_elements_packets(const struct nlattr *expr, uint64_t *ret)
{
	const struct nlattr *data = inside(expr, NFTA_EXPR_DATA);
	char name[8];

	attr_text(inside(expr, NFTA_EXPR_NAME), name, sizeof(name));
	if (strcmp(name, "counter") != 0 || !attr_copy(inside(data, NFTA_COUNTER_PACKETS), ret, 8))
		return false;
	*ret = be64toh(*ret);
	return true;
}

static int take_element(const struct nlattr *element, uint8_t family, nft_counter_fn fn, void *user)
{
	struct prefix p = { .family = family, .bits = family == AF_INET ? 32 : 128 };
	const struct nlattr *table[NFTA_SET_ELEM_EXPR + 1];
	uint64_t packets;
	uint32_t flags = 0;

	if (attr_sort(attr_walk_nested(element), table, G_N_ELEMENTS(table)) < 0)
		return -EPROTO;
	attr_copy(table[NFTA_SET_ELEM_FLAGS], &flags, sizeof(flags));
	if (ntohl(flags) & NFT_SET_ELEM_INTERVAL_END)
		return 0;
	if (!attr_copy(inside(table[NFTA_SET_ELEM_KEY], NFTA_DATA_VALUE), p.addr, p.bits / 8u))
		return -EPROTO;
	/* Only one expression is ever attached to our elements. */
	if (nft_elements_packets(table[NFTA_SET_ELEM_EXPR], &packets))
		fn(&p, packets, user);
	return 0;
}

int nft_elements_parse(const struct nlmsghdr *nlh, uint8_t family, nft_counter_fn fn, void *user)
{
	const struct nlattr *table[NFTA_SET_ELEM_LIST_ELEMENTS + 1], *a;
	struct attr_walk w = attr_walk_message(nlh, sizeof(struct nfgenmsg));
	int r = 0;

	if (attr_sort(w, table, G_N_ELEMENTS(table)) < 0)
		return -EPROTO;
	if (!table[NFTA_SET_ELEM_LIST_ELEMENTS]) /* of an empty set */
		return 0;
	w = attr_walk_nested(table[NFTA_SET_ELEM_LIST_ELEMENTS]);
	while (r == 0 && (a = attr_next(&w)))
		r = take_element(a, family, fn, user);
	return r < 0 || w.left ? -EPROTO : 0;
}
