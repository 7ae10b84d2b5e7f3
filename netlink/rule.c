/* netlink/rule.c - policy rules through rtnetlink. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "netlink/attr.h"
#include "netlink/nl.h"
#include "netlink/route.h"

struct walk {
	uint8_t family;
	rule_fn fn;
	void *user;
};

static int take_rule(const struct nlmsghdr *nlh, void *user)
{
	const struct walk *walk = user;
	const struct fib_rule_hdr *frh = NLMSG_DATA(nlh);
	const struct nlattr *table[FRA_PROTOCOL + 1];
	struct rule rule = { .suppress_prefixlength = -1 };
	uint8_t protocol = 0;

	if (nlh->nlmsg_type != RTM_NEWRULE || nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*frh)) ||
		attr_sort(attr_walk_message(nlh, sizeof(*frh)), table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	attr_copy(table[FRA_PROTOCOL], &protocol, sizeof(protocol));
	if (protocol != ROUTE_PROTO || frh->family != walk->family)
		return 0;
	rule.family = frh->family;
	rule.table = frh->table;
	rule.not_mark = frh->flags & FIB_RULE_INVERT;
	attr_copy(table[FRA_TABLE], &rule.table, sizeof(rule.table));
	attr_copy(table[FRA_PRIORITY], &rule.priority, sizeof(rule.priority));
	attr_copy(table[FRA_FWMARK], &rule.mark, sizeof(rule.mark));
	attr_copy(table[FRA_SUPPRESS_PREFIXLEN], &rule.suppress_prefixlength, sizeof(uint32_t));
	return walk->fn(&rule, walk->user);
}

int rule_foreach(struct nl *nl, rule_fn fn, void *user)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct walk walk = { .fn = fn, .user = user };
	struct fib_rule_hdr *frh;
	struct nl_request q;
	int r = 0;

	for (size_t i = 0; i < MNL_ARRAY_SIZE(families) && r == 0; i++) {
		frh = nl_begin(&q, RTM_GETRULE, 0, sizeof(*frh));
		frh->family = walk.family = families[i];
		r = nl_dump(nl, &q.nlh, take_rule, &walk);
	}
	return r;
}

static int change(struct nl *nl, uint16_t type, uint16_t flags, const struct rule *rule)
{
	struct nl_request q;
	struct fib_rule_hdr *frh = nl_begin(&q, type, flags, sizeof(*frh));

	frh->family = rule->family;
	frh->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(&q.nlh, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(&q.nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u8(&q.nlh, FRA_PROTOCOL, ROUTE_PROTO);
	if (rule->not_mark)
		frh->flags = FIB_RULE_INVERT;
	if (rule->not_mark || rule->mark) {
		mnl_attr_put_u32(&q.nlh, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(&q.nlh, FRA_FWMASK, UINT32_MAX);
	}
	if (rule->suppress_prefixlength >= 0)
		mnl_attr_put_u32(
			&q.nlh, FRA_SUPPRESS_PREFIXLEN, (uint32_t)rule->suppress_prefixlength);
	return nl_call(nl, &q.nlh, NULL, NULL);
}

int rule_add(struct nl *nl, const struct rule *rule)
{
	return change(nl, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int rule_remove(struct nl *nl, const struct rule *rule)
{
	return change(nl, RTM_DELRULE, 0, rule);
}
