/* netlink/route.c - routes, and where a packet would go, through rtnetlink. */
#include "netlink/route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

static int parse_header(const struct nlmsghdr *nlh, const struct nlattr **table, size_t n)
{
	if (nlh->nlmsg_type != RTM_NEWROUTE || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
		return -EPROTO;
	return attr_sort(attr_walk_message(nlh, sizeof(struct rtmsg)), table, n);
}

/* -- the tables ----------------------------------------------------------------------------- */

struct walk {
	unsigned ifindex;
	uint8_t family;
	route_fn fn;
	void *user;
};

static bool is_ours(const struct rtmsg *rtm, const struct nlattr **table, const struct walk *walk)
{
	uint32_t oif = 0;

	attr_copy(table[RTA_OIF], &oif, sizeof(oif));
	return rtm->rtm_family == walk->family && rtm->rtm_protocol == ROUTE_PROTO &&
		rtm->rtm_type == RTN_UNICAST && oif == walk->ifindex;
}

/* The kernel filters too, as far as it can. */
static int take_route(const struct nlmsghdr *nlh, void *user)
{
	const struct walk *walk = user;
	const struct rtmsg *rtm = NLMSG_DATA(nlh);
	const struct nlattr *table[RTA_TABLE + 1];
	struct route route = { 0 };

	if (parse_header(nlh, table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	if (!is_ours(rtm, table, walk))
		return 0;
	route.ifindex = walk->ifindex;
	route.table = rtm->rtm_table;
	attr_copy(table[RTA_TABLE], &route.table, sizeof(route.table));
	route.dst.family = rtm->rtm_family;
	route.dst.bits = rtm->rtm_dst_len;
	/* A default route has no destination. */
	if (rtm->rtm_dst_len > prefix_width(&route.dst) ||
		(!attr_copy(table[RTA_DST], route.dst.addr, prefix_width(&route.dst) / 8) &&
			rtm->rtm_dst_len))
		return -EPROTO;
	return walk->fn(&route, walk->user);
}

int route_foreach(struct nl *nl, unsigned ifindex, route_fn fn, void *user)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct walk walk = { .ifindex = ifindex, .fn = fn, .user = user };
	struct nl_request q;
	struct rtmsg *rtm;
	int r = 0;

	for (size_t i = 0; i < MNL_ARRAY_SIZE(families) && r == 0; i++) {
		rtm = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*rtm));
		rtm->rtm_family = walk.family = families[i];
		rtm->rtm_protocol = ROUTE_PROTO;
		mnl_attr_put_u32(&q.nlh, RTA_OIF, ifindex);
		r = nl_dump(nl, &q.nlh, take_route, &walk);
	}
	return r;
}

static int change(struct nl *nl, uint16_t type, uint16_t flags, const struct route *route)
{
	struct nl_request q;
	struct rtmsg *rtm = nl_begin(&q, type, flags, sizeof(*rtm));

	rtm->rtm_family = route->dst.family;
	rtm->rtm_dst_len = route->dst.bits;
	rtm->rtm_protocol = ROUTE_PROTO;
	rtm->rtm_scope = RT_SCOPE_LINK;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put(&q.nlh, RTA_DST, prefix_width(&route->dst) / 8, route->dst.addr);
	mnl_attr_put_u32(&q.nlh, RTA_OIF, route->ifindex);
	mnl_attr_put_u32(&q.nlh, RTA_PRIORITY, ROUTE_METRIC);
	mnl_attr_put_u32(&q.nlh, RTA_TABLE, route->table);
	return nl_call(nl, &q.nlh, NULL, NULL);
}

int route_add(struct nl *nl, const struct route *route)
{
	return change(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
}

int route_remove(struct nl *nl, const struct route *route)
{
	return change(nl, RTM_DELROUTE, 0, route);
}

/* -- where a packet would go ---------------------------------------------------------------- */

struct path {
	uint32_t oif, mtu;
};

static int take_path(const struct nlmsghdr *nlh, void *user)
{
	const struct nlattr *table[RTA_METRICS + 1], *metrics[RTAX_MTU + 1];
	struct path *path = user;

	if (parse_header(nlh, table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	attr_copy(table[RTA_OIF], &path->oif, sizeof(path->oif));
	if (!table[RTA_METRICS])
		return 0;
	if (attr_sort(attr_walk_nested(table[RTA_METRICS]), metrics, MNL_ARRAY_SIZE(metrics)) < 0)
		return -EPROTO;
	attr_copy(metrics[RTAX_MTU], &path->mtu, sizeof(path->mtu));
	return 0;
}

int route_path(struct nl *nl, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu,
	unsigned *ret_ifindex)
{
	size_t len = to->family == AF_INET ? 4 : 16;
	struct path path = { 0 };
	struct nl_request q;
	struct rtmsg *rtm = nl_begin(&q, RTM_GETROUTE, 0, sizeof(*rtm));
	int r;

	rtm->rtm_family = to->family;
	rtm->rtm_dst_len = (uint8_t)(len * 8);
	mnl_attr_put(&q.nlh, RTA_DST, len, to->addr);
	if (mark)
		mnl_attr_put_u32(&q.nlh, RTA_MARK, mark);
	if (to->scope)
		mnl_attr_put_u32(&q.nlh, RTA_OIF, to->scope);
	r = nl_call(nl, &q.nlh, take_path, &path);
	if (r < 0)
		return r;
	*ret_mtu = path.mtu;
	*ret_ifindex = path.oif;
	return 0;
}
