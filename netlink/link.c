/* netlink/link.c - network interfaces through rtnetlink. */
#include "netlink/link.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

static int parse_kind(const struct nlattr *nest, struct link_info *link)
{
	const struct nlattr *table[IFLA_INFO_KIND + 1];

	if (!nest)
		return 0;
	if (attr_sort(attr_walk_nested(nest), table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	attr_text(table[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	return 0;
}

static int parse_link(const struct nlmsghdr *nlh, struct link_info *ret)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(nlh);
	const struct nlattr *table[IFLA_IFALIAS + 1];

	if (nlh->nlmsg_type != RTM_NEWLINK || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)))
		return -EPROTO;
	if (attr_sort(attr_walk_message(nlh, sizeof(*ifi)), table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	memset(ret, 0, sizeof(*ret));
	ret->index = (unsigned)ifi->ifi_index;
	ret->up = ifi->ifi_flags & IFF_UP;
	attr_text(table[IFLA_IFNAME], ret->name, sizeof(ret->name));
	attr_text(table[IFLA_IFALIAS], ret->alias, sizeof(ret->alias));
	attr_copy(table[IFLA_MTU], &ret->mtu, sizeof(ret->mtu));
	return parse_kind(table[IFLA_LINKINFO], ret);
}

/* -- reading -------------------------------------------------------------------------------- */

static int take_link(const struct nlmsghdr *nlh, void *user)
{
	return parse_link(nlh, user);
}

/* By index, or by name when that is 0. */
static int get(struct nl *nl, unsigned index, const char *name, struct link_info *ret)
{
	struct nl_request q;
	struct ifinfomsg *ifi = nl_begin(&q, RTM_GETLINK, 0, sizeof(*ifi));
	struct link_info link = { 0 };
	int r;

	ifi->ifi_index = (int)index;
	if (name)
		mnl_attr_put_strz(&q.nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(&q.nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = nl_call(nl, &q.nlh, take_link, &link);
	if (r < 0)
		return r;
	if (!link.index)
		return -EPROTO;
	*ret = link;
	return 0;
}

int link_get(struct nl *nl, unsigned index, struct link_info *ret)
{
	return index ? get(nl, index, NULL, ret) : -ENODEV;
}

int link_get_by_name(struct nl *nl, const char *name, struct link_info *ret)
{
	return name[0] && strlen(name) < IFNAMSIZ ? get(nl, 0, name, ret) : -ENODEV;
}

struct walk {
	const char *kind;
	link_fn fn;
	void *user;
};

/* The kernel lists all links when it does not know the kind. */
static int take_link_of_kind(const struct nlmsghdr *nlh, void *user)
{
	const struct walk *walk = user;
	struct link_info link;
	int r = parse_link(nlh, &link);

	if (r < 0 || strcmp(link.kind, walk->kind) != 0)
		return r;
	return walk->fn(&link, walk->user);
}

static void put_kind(struct nl_request *q, const char *kind)
{
	struct nlattr *nest = mnl_attr_nest_start(&q->nlh, IFLA_LINKINFO);

	mnl_attr_put_strz(&q->nlh, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(&q->nlh, nest);
}

int link_foreach(struct nl *nl, const char *kind, link_fn fn, void *user)
{
	struct walk walk = { kind, fn, user };
	struct nl_request q;

	nl_begin(&q, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	put_kind(&q, kind);
	mnl_attr_put_u32(&q.nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nl_dump(nl, &q.nlh, take_link_of_kind, &walk);
}

/* -- changing ------------------------------------------------------------------------------- */

int link_create(struct nl *nl, const char *name, const char *kind, unsigned *ret_index)
{
	struct link_info link;
	struct nl_request q;
	int r;

	if (!name[0] || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	nl_begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(&q.nlh, IFLA_IFNAME, name);
	put_kind(&q, kind);
	r = nl_call(nl, &q.nlh, NULL, NULL);
	if (r < 0)
		return r;
	r = link_get_by_name(nl, name, &link);
	if (r < 0)
		return r;
	*ret_index = link.index;
	return 0;
}

int link_delete(struct nl *nl, unsigned index)
{
	struct nl_request q;
	struct ifinfomsg *ifi = nl_begin(&q, RTM_DELLINK, 0, sizeof(*ifi));

	if (!index)
		return -ENODEV;
	ifi->ifi_index = (int)index;
	return nl_call(nl, &q.nlh, NULL, NULL);
}

int link_set(struct nl *nl, unsigned index, const struct link_change *change)
{
	struct nl_request q;
	struct ifinfomsg *ifi = nl_begin(&q, RTM_NEWLINK, 0, sizeof(*ifi));

	if (!index)
		return -ENODEV;
	if ((change->name && strlen(change->name) >= IFNAMSIZ) ||
		(change->alias && strlen(change->alias) >= LINK_ALIAS_MAX))
		return -EINVAL;
	ifi->ifi_index = (int)index;
	if (change->up >= 0) {
		ifi->ifi_change = IFF_UP;
		ifi->ifi_flags = change->up ? IFF_UP : 0;
	}
	if (change->name)
		mnl_attr_put_strz(&q.nlh, IFLA_IFNAME, change->name);
	if (change->alias)
		mnl_attr_put_str(&q.nlh, IFLA_IFALIAS, change->alias);
	if (change->mtu)
		mnl_attr_put_u32(&q.nlh, IFLA_MTU, change->mtu);
	return nl_call(nl, &q.nlh, NULL, NULL);
}
