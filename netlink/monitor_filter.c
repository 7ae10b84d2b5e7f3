/* netlink/monitor_filter.c - which kernel events concern us. Only compares: on a busy host nearly
 * all of them are about others. */
#include "netlink/monitor_filter.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/route.h"

/* Above every process id. Netlink ports are process ids unless a process has several. */
enum { PID_LIMIT = 1 << 22 };

static const struct nlattr *find(const struct nlmsghdr *nlh, size_t header_len, uint16_t type)
{
	struct attr_walk w = attr_walk_message(nlh, header_len);
	const struct nlattr *a;

	while ((a = attr_next(&w)))
		if (attr_type(a) == type)
			return a;
	return NULL;
}

static bool has_u32(const struct nlmsghdr *nlh, size_t header_len, uint16_t type, uint32_t value)
{
	uint32_t found = 0;

	return value && attr_copy(find(nlh, header_len, type), &found, sizeof(found)) &&
		found == value;
}

static bool is_long_enough(const struct nlmsghdr *nlh, size_t header_len)
{
	return nlh->nlmsg_len >= NLMSG_LENGTH(header_len);
}

/* -- routing -------------------------------------------------------------------------------- */

static bool has_name(const struct nlmsghdr *nlh, const char *name)
{
	const struct nlattr *a = find(nlh, sizeof(struct ifinfomsg), IFLA_IFNAME);
	size_t len = strnlen(name, IFNAMSIZ);

	return a && len && strnlen(attr_data(a), attr_len(a)) == len &&
		memcmp(attr_data(a), name, len) == 0;
}

static bool link_concerns(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(nlh);

	if (filter->ifindex && (unsigned)ifi->ifi_index == filter->ifindex)
		return true;
	return has_name(nlh, filter->name);
}

/* The addresses of one that is made or goes come and go by themselves; those of one that is down stay. */
static unsigned link_event(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = NLMSG_DATA(nlh);

	if (!is_long_enough(nlh, sizeof(*ifi)))
		return 0;
	if (link_concerns(filter, nlh))
		return MONITOR_LINK;
	return nlh->nlmsg_type == RTM_NEWLINK && ifi->ifi_change & IFF_UP ? MONITOR_ELSEWHERE : 0;
}

static unsigned addr_event(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = NLMSG_DATA(nlh);

	if (!is_long_enough(nlh, sizeof(*ifa)))
		return 0;
	return filter->ifindex && ifa->ifa_index == filter->ifindex ? MONITOR_ADDR
								    : MONITOR_ELSEWHERE;
}

static bool route_concerns(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	const size_t header_len = sizeof(struct rtmsg);

	return is_long_enough(nlh, header_len) &&
		(has_u32(nlh, header_len, RTA_OIF, filter->ifindex) ||
			has_u32(nlh, header_len, RTA_TABLE, filter->table));
}

static bool rule_concerns(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	const size_t header_len = sizeof(struct fib_rule_hdr);
	uint8_t protocol = 0;

	if (!is_long_enough(nlh, header_len))
		return false;
	return has_u32(nlh, header_len, FRA_TABLE, filter->table) ||
		(attr_copy(find(nlh, header_len, FRA_PROTOCOL), &protocol, sizeof(protocol)) &&
			protocol == ROUTE_PROTO);
}

static bool is_main_default(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = NLMSG_DATA(nlh);

	return is_long_enough(nlh, sizeof(*rtm)) && rtm->rtm_table == RT_TABLE_MAIN &&
		!rtm->rtm_dst_len && rtm->rtm_type == RTN_UNICAST;
}

static unsigned route_event(const struct monitor_filter *filter, const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return link_event(filter, nlh);
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return addr_event(filter, nlh);
	/* New routes and rules of others cannot take ours away. */
	case RTM_NEWROUTE:
		return is_main_default(nlh) ? MONITOR_ELSEWHERE : 0;
	case RTM_DELROUTE:
		if (route_concerns(filter, nlh))
			return MONITOR_ROUTE;
		return is_main_default(nlh) ? MONITOR_ELSEWHERE : 0;
	case RTM_DELRULE:
		return rule_concerns(filter, nlh) ? MONITOR_RULE : 0;
	default:
		return 0;
	}
}

unsigned monitor_filter_route(
	const struct monitor_filter *filter, const struct nlmsghdr *nlh, uint32_t *ret_pid)
{
	unsigned event = route_event(filter, nlh);

	if (event && event != MONITOR_ELSEWHERE)
		*ret_pid = nlh->nlmsg_pid <= PID_LIMIT ? nlh->nlmsg_pid : 0;
	return event;
}

/* -- nftables ------------------------------------------------------------------------------- */

unsigned monitor_filter_nft(uint32_t self, const struct nlmsghdr *nlh, uint32_t *ret_pid)
{
	const size_t header_len = sizeof(struct nfgenmsg);
	uint32_t pid = 0;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) ||
		!is_long_enough(nlh, header_len))
		return 0;
	attr_copy(find(nlh, header_len, NFTA_GEN_PROC_PID), &pid, sizeof(pid));
	pid = ntohl(pid);
	if (pid == self)
		return 0;
	*ret_pid = pid;
	return MONITOR_NFT;
}
