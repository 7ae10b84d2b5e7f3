/* netlink/ifaddr.c - addresses of interfaces through rtnetlink. */
#include "netlink/ifaddr.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

struct walk {
	unsigned ifindex;
	uint8_t family;
	ifaddr_fn fn;
	void *user;
};

/* IFA_ADDRESS is the other end where IFA_LOCAL is given too. */
static bool parse_address(const struct nlattr **table, struct prefix *p)
{
	const struct nlattr *a = table[IFA_LOCAL] ? table[IFA_LOCAL] : table[IFA_ADDRESS];

	return p->bits <= prefix_width(p) && attr_copy(a, p->addr, prefix_width(p) / 8);
}

static int take_address(const struct nlmsghdr *nlh, void *user)
{
	const struct walk *walk = user;
	const struct ifaddrmsg *ifa = NLMSG_DATA(nlh);
	const struct nlattr *table[IFA_PROTO + 1];
	struct prefix address = { 0 };
	uint8_t maker = 0;

	if (nlh->nlmsg_type != RTM_NEWADDR || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*ifa)) ||
		attr_sort(attr_walk_message(nlh, sizeof(*ifa)), table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	/* A kernel without IPv6 answers with what it has; one without strict checks with all. */
	if (ifa->ifa_family != walk->family || ifa->ifa_index != walk->ifindex)
		return 0;
	attr_copy(table[IFA_PROTO], &maker, sizeof(maker));
	if (maker == IFAPROT_KERNEL_LL)
		return 0;
	address.family = ifa->ifa_family;
	address.bits = ifa->ifa_prefixlen;
	if (!parse_address(table, &address))
		return -EPROTO;
	return walk->fn(&address, walk->user);
}

int ifaddr_foreach(struct nl *nl, unsigned ifindex, ifaddr_fn fn, void *user)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct walk walk = { .ifindex = ifindex, .fn = fn, .user = user };
	struct ifaddrmsg *ifa;
	struct nl_request q;
	int r = 0;

	for (size_t i = 0; i < MNL_ARRAY_SIZE(families) && r == 0; i++) {
		ifa = nl_begin(&q, RTM_GETADDR, 0, sizeof(*ifa));
		ifa->ifa_family = walk.family = families[i];
		ifa->ifa_index = ifindex;
		r = nl_dump(nl, &q.nlh, take_address, &walk);
	}
	return r;
}

static int change(struct nl *nl, uint16_t type, uint16_t flags, unsigned ifindex,
	const struct prefix *address)
{
	struct nl_request q;
	struct ifaddrmsg *ifa = nl_begin(&q, type, flags, sizeof(*ifa));
	size_t len = prefix_width(address) / 8;

	ifa->ifa_family = address->family;
	ifa->ifa_prefixlen = address->bits;
	ifa->ifa_index = ifindex;
	mnl_attr_put(&q.nlh, IFA_LOCAL, len, address->addr);
	mnl_attr_put(&q.nlh, IFA_ADDRESS, len, address->addr);
	if (type == RTM_NEWADDR && address->family == AF_INET6)
		mnl_attr_put_u32(&q.nlh, IFA_FLAGS, IFA_F_NODAD);
	return nl_call(nl, &q.nlh, NULL, NULL);
}

int ifaddr_add(struct nl *nl, unsigned ifindex, const struct prefix *address)
{
	return change(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, address);
}

int ifaddr_remove(struct nl *nl, unsigned ifindex, const struct prefix *address)
{
	return change(nl, RTM_DELADDR, 0, ifindex, address);
}
