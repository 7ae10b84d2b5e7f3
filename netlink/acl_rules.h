/* netlink/acl_rules.h - the rules of the table that says what may come in; inside of acl.c and its tests. */
#pragma once

struct acl_set;
struct nftnl_rule;

/* Each makes a new rule without table and chain, freed by nftnl_rule_free. */

/* iifname != IFNAME accept */
struct nftnl_rule *acl_rule_elsewhere(const char *ifname);
/* ct state established,related accept */
struct nftnl_rule *acl_rule_replies(void);
/* ip saddr . meta l4proto . th dport @SET accept, and as the kind of set and its verdict want it */
struct nftnl_rule *acl_rule_lookup(const struct acl_set *set);
/* counter drop */
struct nftnl_rule *acl_rule_refuse(void);
