/* netlink/nft_batch.c - builds a transaction, sends it, and says what of it was refused. */
#include "netlink/nft_batch.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

enum { MESSAGE_MAX = 1024 };

/* -- messages ------------------------------------------------------------------------------- */

static void *make_room(struct nft_batch *b, size_t most)
{
	if (b->room - b->len < most) {
		b->room = 2 * b->room + most;
		b->buf = g_realloc(b->buf, b->room);
	}
	return b->buf + b->len;
}

struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t flags, size_t most)
{
	return nftnl_nlmsg_build_hdr(make_room(b, most), type, NFPROTO_INET, flags, 0);
}

void nft_batch_take(struct nft_batch *b, const struct nlmsghdr *nlh)
{
	b->len += NLMSG_ALIGN(nlh->nlmsg_len);
	b->n++;
	assert(b->len <= b->room);
}

void nft_batch_begin(struct nft_batch *b)
{
	memset(b, 0, sizeof(*b));
	nft_batch_take(b, nftnl_batch_begin(make_room(b, MESSAGE_MAX), 0));
}

/* -- what is in them ------------------------------------------------------------------------ */

void nft_batch_table(struct nft_batch *b, uint16_t type, const char *name)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *nlh = nft_batch_message(
		b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0, MESSAGE_MAX);

	nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
	nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_nlmsg_build_payload(nlh, table);
	nftnl_table_free(table);
	nft_batch_take(b, nlh);
}

static void put_chain(struct nft_batch *b, const char *table, const char *name, const char *type,
	int hook, int32_t priority)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE, MESSAGE_MAX);

	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, table);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	if (hook != NFT_NO_HOOK) {
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, type);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, (uint32_t)hook);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	nftnl_chain_nlmsg_build_payload(nlh, chain);
	nftnl_chain_free(chain);
	nft_batch_take(b, nlh);
}

void nft_batch_chain(
	struct nft_batch *b, const char *table, const char *name, int hook, int32_t priority)
{
	put_chain(b, table, name, "filter", hook, priority);
}

void nft_batch_route_chain(
	struct nft_batch *b, const char *table, const char *name, int32_t priority)
{
	put_chain(b, table, name, "route", NF_INET_LOCAL_OUT, priority);
}

void nft_batch_rule(
	struct nft_batch *b, const char *table, const char *chain, struct nftnl_rule *rule)
{
	struct nlmsghdr *nlh = nft_batch_message(
		b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, MESSAGE_MAX);

	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_nlmsg_build_payload(nlh, rule);
	nftnl_rule_free(rule);
	nft_batch_take(b, nlh);
}

/* -- sending -------------------------------------------------------------------------------- */

/* "a rule of chain guard", "set hosts4"; "" for what has no name. */
static void name_message(const struct nlmsghdr *nlh, char *ret, size_t size)
{
	static const struct {
		int type;
		uint16_t attr;
		const char *words;
	} kinds[] = {
		{ NFT_MSG_NEWCHAIN, NFTA_CHAIN_NAME, "chain" },
		{ NFT_MSG_NEWRULE, NFTA_RULE_CHAIN, "a rule of chain" },
		{ NFT_MSG_NEWSET, NFTA_SET_NAME, "set" },
		{ NFT_MSG_NEWSETELEM, NFTA_SET_ELEM_LIST_SET, "an element of set" },
		{ NFT_MSG_DELSETELEM, NFTA_SET_ELEM_LIST_SET, "an element of set" },
	};
	const struct nlattr *table[4];
	char name[32];

	ret[0] = '\0';
	if (attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table, G_N_ELEMENTS(table)))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | kinds[i].type))
			continue;
		attr_text(table[kinds[i].attr], name, sizeof(name));
		snprintf(ret, size, "%s %s", kinds[i].words, name);
	}
}

/* The kernel has words for few reasons. ENOENT is all it says of an expression that it lacks. */
static void explain(const struct nft_batch *b, struct nft *nft, size_t failed, int error)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)b->buf;
	const char *words = nl_error_text(nft->nl);
	char what[64];

	for (size_t i = 0; i < failed; i++)
		nlh = (const struct nlmsghdr *)((const uint8_t *)nlh + NLMSG_ALIGN(nlh->nlmsg_len));
	name_message(nlh, what, sizeof(what));
	if (g_str_has_prefix(what, "a rule") && !words[0] && error == -ENOENT)
		words = "is a module missing, nft_fib_inet, nft_ct or nft_log?";
	snprintf(nft->text, sizeof(nft->text), "%s%s%s%s", what, what[0] ? " was refused" : "",
		what[0] && words[0] ? ": " : "", words);
}

int nft_batch_commit(struct nft_batch *b, struct nft *nft)
{
	size_t failed = 0;
	int r;

	nft_batch_take(b, nftnl_batch_end(make_room(b, MESSAGE_MAX), 0));
	nft->text[0] = '\0';
	r = nl_transaction(nft->nl, b->buf, b->len, b->n, &failed);
	if (r == -EMSGSIZE)
		g_strlcpy(nft->text, "more than fits into one transaction", sizeof(nft->text));
	else if (r < 0)
		explain(b, nft, failed, r);
	g_free(b->buf);
	return r;
}
