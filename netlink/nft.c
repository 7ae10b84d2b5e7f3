/* netlink/nft.c - our nftables table: sent in one transaction, recognized by its handles. */
#include "netlink/nft.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
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
#include "netlink/nft_rules.h"
#include "netlink/nl.h"

enum { PRIORITY_RAW = -300, PRIORITY_MANGLE = -150, REREADS_MAX = 5 };

struct nft {
	struct nl *nl;
	char text[256];
};

int nft_open(struct nft **ret)
{
	struct nl *nl;
	int r = nl_open(NETLINK_NETFILTER, &nl);

	if (r < 0)
		return r == -EPROTONOSUPPORT ? -EOPNOTSUPP : r;
	*ret = g_new0(struct nft, 1);
	(*ret)->nl = nl;
	return 0;
}

void nft_close(struct nft *nft)
{
	if (!nft)
		return;
	nl_close(nft->nl);
	g_free(nft);
}

const char *nft_error_text(const struct nft *nft)
{
	return nft->text;
}

/* -- transactions --------------------------------------------------------------------------- */

enum { MESSAGE_MAX = 1024 };

struct transaction {
	uint8_t *buf, *at;
	size_t n;
};

static void begin(struct transaction *t, size_t n_messages)
{
	t->buf = t->at = g_malloc((n_messages + 2) * MESSAGE_MAX);
	t->n = 1;
	nftnl_batch_begin((char *)t->at, 0);
	t->at += ((struct nlmsghdr *)t->at)->nlmsg_len;
}

static void take_message(struct transaction *t, const struct nlmsghdr *nlh)
{
	assert(nlh->nlmsg_len <= MESSAGE_MAX);
	t->at += nlh->nlmsg_len;
	t->n++;
}

/* The chain of a refused rule, "" when something else was refused. */
static void find_chain(const struct transaction *t, size_t failed, char *ret, size_t size)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)t->buf;
	const struct nlattr *table[NFTA_RULE_CHAIN + 1];

	ret[0] = '\0';
	for (size_t i = 0; i < failed; i++)
		nlh = (const struct nlmsghdr *)((const uint8_t *)nlh + nlh->nlmsg_len);
	if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) &&
		attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
			G_N_ELEMENTS(table)) == 0)
		attr_text(table[NFTA_RULE_CHAIN], ret, size);
}

/* The kernel has words for few reasons. ENOENT is all it says of an expression that it lacks. */
static void explain(struct nft *nft, const struct transaction *t, size_t failed, int error)
{
	const char *words = nl_error_text(nft->nl);
	char chain[16];

	find_chain(t, failed, chain, sizeof(chain));
	if (chain[0] && !words[0] && error == -ENOENT)
		words = "is a module missing, nft_fib_inet or nft_ct?";
	snprintf(nft->text, sizeof(nft->text), "%s%s%s%s", chain[0] ? "a rule of chain " : "",
		chain, chain[0] ? " was refused: " : "", words);
}

static int commit(struct nft *nft, struct transaction *t)
{
	size_t failed = 0;
	int r;

	nftnl_batch_end((char *)t->at, 0);
	t->at += ((struct nlmsghdr *)t->at)->nlmsg_len;
	t->n++;
	nft->text[0] = '\0';
	r = nl_transaction(nft->nl, t->buf, (size_t)(t->at - t->buf), t->n, &failed);
	if (r < 0)
		explain(nft, t, failed, r);
	g_free(t->buf);
	return r;
}

/* -- what is in them ------------------------------------------------------------------------ */

static void put_table(struct transaction *t, uint16_t type, uint16_t flags, const char *name)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr((char *)t->at, type, NFPROTO_INET, flags, 0);

	nftnl_table_set_str(table, NFTNL_TABLE_NAME, name);
	nftnl_table_set_u32(table, NFTNL_TABLE_FAMILY, NFPROTO_INET);
	nftnl_table_nlmsg_build_payload(nlh, table);
	nftnl_table_free(table);
	take_message(t, nlh);
}

static void put_chain(struct transaction *t, const struct nft_config *config, const char *name,
	uint32_t hook, int32_t priority)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		(char *)t->at, NFT_MSG_NEWCHAIN, NFPROTO_INET, NLM_F_CREATE, 0);

	nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, config->table);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, name);
	nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, hook);
	nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(nlh, chain);
	nftnl_chain_free(chain);
	take_message(t, nlh);
}

/* Takes the rule. */
static void put_rule(struct transaction *t, const struct nft_config *config, const char *chain,
	struct nftnl_rule *rule)
{
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
		(char *)t->at, NFT_MSG_NEWRULE, NFPROTO_INET, NLM_F_CREATE | NLM_F_APPEND, 0);

	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, config->table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_nlmsg_build_payload(nlh, rule);
	nftnl_rule_free(rule);
	take_message(t, nlh);
}

static void put_marks(struct transaction *t, const struct nft_config *config)
{
	put_chain(t, config, "mark_out", NF_INET_POST_ROUTING, PRIORITY_MANGLE);
	put_rule(t, config, "mark_out", nft_rule_mark_out(config->fwmark));
	put_chain(t, config, "mark_in", NF_INET_PRE_ROUTING, PRIORITY_MANGLE);
	put_rule(t, config, "mark_in", nft_rule_mark_in(config->fwmark));
}

int nft_apply(struct nft *nft, const struct nft_config *config)
{
	enum { FIXED_MESSAGES = 11 };
	struct transaction t;

	begin(&t, config->n_addresses + FIXED_MESSAGES);
	/* Made first, so that deleting it cannot fail. */
	put_table(&t, NFT_MSG_NEWTABLE, NLM_F_CREATE, config->table);
	put_table(&t, NFT_MSG_DELTABLE, 0, config->table);
	put_table(&t, NFT_MSG_NEWTABLE, NLM_F_CREATE, config->table);
	put_chain(&t, config, "guard", NF_INET_PRE_ROUTING, PRIORITY_RAW);
	for (size_t i = 0; i < config->n_addresses; i++)
		put_rule(
			&t, config, "guard", nft_rule_guard(config->ifname, &config->addresses[i]));
	put_chain(&t, config, "clamp", NF_INET_FORWARD, PRIORITY_MANGLE);
	put_rule(&t, config, "clamp", nft_rule_clamp(NFT_META_OIFNAME, config->ifname));
	put_rule(&t, config, "clamp", nft_rule_clamp(NFT_META_IIFNAME, config->ifname));
	if (config->fwmark)
		put_marks(&t, config);
	return commit(nft, &t);
}

int nft_remove(struct nft *nft, const char *table)
{
	struct transaction t;
	int r;

	begin(&t, 1);
	put_table(&t, NFT_MSG_DELTABLE, 0, table);
	r = commit(nft, &t);
	return r == -ENOENT ? 0 : r;
}

/* -- fingerprint ---------------------------------------------------------------------------- */

struct hashing {
	const char *table;
	uint64_t hash;
};

static void hash_bytes(struct hashing *h, const void *data, size_t len)
{
	const uint8_t *at = data;

	/* FNV-1a */
	for (size_t i = 0; i < len; i++)
		h->hash = (h->hash ^ at[i]) * UINT64_C(0x100000001b3);
}

/* All of the message's attributes of the types in the mask, if it is about our table. Tables,
 * chains and rules have their table's name in attribute 1. */
static int hash_message(const struct nlmsghdr *nlh, struct hashing *h, uint32_t types)
{
	struct attr_walk w = attr_walk_message(nlh, sizeof(struct nfgenmsg));
	const struct nfgenmsg *nfg = NLMSG_DATA(nlh);
	const struct nlattr *table[NFTA_RULE_HANDLE + 1], *a;
	char name[NFT_TABLE_NAME_MAX + 1];

	G_STATIC_ASSERT((int)NFTA_TABLE_NAME == 1 && (int)NFTA_CHAIN_TABLE == 1 &&
		(int)NFTA_RULE_TABLE == 1);
	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*nfg)) ||
		attr_sort(w, table, G_N_ELEMENTS(table)) < 0)
		return -EPROTO;
	attr_text(table[1], name, sizeof(name));
	if (nfg->nfgen_family != NFPROTO_INET || strcmp(name, h->table) != 0)
		return 0;
	while ((a = attr_next(&w)))
		if (attr_type(a) < 32 && types & 1u << attr_type(a))
			hash_bytes(h, a, a->nla_len);
	return 0;
}

static int take_table(const struct nlmsghdr *nlh, void *user)
{
	return hash_message(nlh, user, 1u << NFTA_TABLE_HANDLE | 1u << NFTA_TABLE_FLAGS);
}

static int take_chain(const struct nlmsghdr *nlh, void *user)
{
	return hash_message(nlh, user,
		1u << NFTA_CHAIN_HANDLE | 1u << NFTA_CHAIN_NAME | 1u << NFTA_CHAIN_POLICY);
}

static int take_rule(const struct nlmsghdr *nlh, void *user)
{
	return hash_message(nlh, user, 1u << NFTA_RULE_HANDLE | 1u << NFTA_RULE_CHAIN);
}

/* The kernel lists only this table's rules. Chains it lists all; there are few. */
static int read_table(struct nft *nft, struct hashing *h)
{
	static const struct {
		uint16_t type;
		nl_msg_fn fn;
	} dumps[] = { { NFT_MSG_GETCHAIN, take_chain }, { NFT_MSG_GETRULE, take_rule } };
	const struct nfgenmsg inet = { NFPROTO_INET, NFNETLINK_V0, 0 };
	struct nl_request q;
	int r;

	memcpy(nl_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, sizeof(inet)), &inet,
		sizeof(inet));
	mnl_attr_put_strz(&q.nlh, NFTA_TABLE_NAME, h->table);
	r = nl_call(nft->nl, &q.nlh, take_table, h);
	for (size_t i = 0; i < G_N_ELEMENTS(dumps) && r == 0; i++) {
		memcpy(nl_begin(&q, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | dumps[i].type), 0,
			       sizeof(inet)),
			&inet, sizeof(inet));
		mnl_attr_put_strz(&q.nlh, 1, h->table);
		r = nl_dump(nft->nl, &q.nlh, dumps[i].fn, h);
	}
	return r;
}

int nft_fingerprint(struct nft *nft, const char *table, uint64_t *ret)
{
	struct hashing h;
	int r = -EINTR;

	for (int i = 0; i < REREADS_MAX && r == -EINTR; i++) {
		h = (struct hashing){ table, UINT64_C(0xcbf29ce484222325) };
		r = read_table(nft, &h);
	}
	g_strlcpy(nft->text, nl_error_text(nft->nl), sizeof(nft->text));
	if (r < 0 && r != -ENOENT)
		return r;
	*ret = r == -ENOENT ? 0 : MAX(h.hash, 1);
	return 0;
}
