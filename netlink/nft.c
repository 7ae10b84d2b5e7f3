/* netlink/nft.c - our nftables table: sent in one transaction, recognized by its handles. */
#include "netlink/nft.h"

#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nft_batch.h"
#include "netlink/nft_lazy.h"
#include "netlink/nft_rules.h"
#include "netlink/nl.h"

enum { PRIORITY_RAW = -300, PRIORITY_MANGLE = -150, REREADS_MAX = 5 };

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

/* -- the table ------------------------------------------------------------------------------ */

/* All that comes in passes one chain: another one costs each packet more than some rules do. */
static void put_incoming(struct nft_batch *b, const struct nft_config *config)
{
	const struct nft_lazy *lazy = &config->lazy;
	const char *table = config->table, *chain = "incoming";

	nft_batch_chain(b, table, chain, NF_INET_PRE_ROUTING, PRIORITY_RAW);
	nft_batch_rule(b, table, chain,
		nft_rule_from_tunnel(config->ifindex, lazy->counts ? NFT_CHAIN_INNER : NULL));
	for (size_t i = 0; i < config->n_addresses; i++)
		nft_batch_rule(b, table, chain, nft_rule_guard(&config->addresses[i]));
	if (lazy->refuses)
		nft_batch_rule(
			b, table, chain, nft_rule_contact(lazy->listen_port, NFT_CHAIN_CONTACT));
}

static void put_clamp(struct nft_batch *b, const struct nft_config *config)
{
	nft_batch_chain(b, config->table, "clamp", NF_INET_FORWARD, PRIORITY_MANGLE);
	nft_batch_rule(b, config->table, "clamp", nft_rule_clamp(NFT_META_OIFNAME, config->ifname));
	nft_batch_rule(b, config->table, "clamp", nft_rule_clamp(NFT_META_IIFNAME, config->ifname));
}

static void put_marks(struct nft_batch *b, const struct nft_config *config)
{
	nft_batch_chain(b, config->table, "mark_out", NF_INET_POST_ROUTING, PRIORITY_MANGLE);
	nft_batch_rule(b, config->table, "mark_out", nft_rule_mark_out(config->fwmark));
	nft_batch_chain(b, config->table, "mark_in", NF_INET_PRE_ROUTING, PRIORITY_MANGLE);
	nft_batch_rule(b, config->table, "mark_in", nft_rule_mark_in(config->fwmark));
}

int nft_apply(struct nft *nft, const struct nft_config *config)
{
	struct nft_batch b;

	nft_batch_begin(&b);
	/* Made first, so that deleting it cannot fail. */
	nft_batch_table(&b, NFT_MSG_NEWTABLE, config->table);
	nft_batch_table(&b, NFT_MSG_DELTABLE, config->table);
	nft_batch_table(&b, NFT_MSG_NEWTABLE, config->table);
	nft_lazy_put(&b, config);
	put_incoming(&b, config);
	put_clamp(&b, config);
	if (config->fwmark)
		put_marks(&b, config);
	return nft_batch_commit(&b, nft);
}

int nft_remove(struct nft *nft, const char *table)
{
	struct nft_batch b;
	int r;

	nft_batch_begin(&b);
	nft_batch_table(&b, NFT_MSG_DELTABLE, table);
	r = nft_batch_commit(&b, nft);
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
 * sets, chains and rules have their table's name in attribute 1. */
static int hash_message(const struct nlmsghdr *nlh, struct hashing *h, uint32_t types)
{
	struct attr_walk w = attr_walk_message(nlh, sizeof(struct nfgenmsg));
	const struct nfgenmsg *nfg = NLMSG_DATA(nlh);
	const struct nlattr *table[NFTA_RULE_HANDLE + 1], *a;
	char name[NFT_TABLE_NAME_MAX + 1];

	G_STATIC_ASSERT((int)NFTA_TABLE_NAME == 1 && (int)NFTA_CHAIN_TABLE == 1 &&
		(int)NFTA_SET_TABLE == 1 && (int)NFTA_RULE_TABLE == 1);
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

static int take_set(const struct nlmsghdr *nlh, void *user)
{
	return hash_message(nlh, user, 1u << NFTA_SET_HANDLE | 1u << NFTA_SET_NAME);
}

static int take_rule(const struct nlmsghdr *nlh, void *user)
{
	return hash_message(nlh, user, 1u << NFTA_RULE_HANDLE | 1u << NFTA_RULE_CHAIN);
}

/* The kernel lists only this table's sets and rules. Chains it lists all; there are few. */
static int read_table(struct nft *nft, struct hashing *h)
{
	static const struct {
		uint16_t type;
		nl_msg_fn fn;
	} dumps[] = { { NFT_MSG_GETSET, take_set }, { NFT_MSG_GETCHAIN, take_chain },
		{ NFT_MSG_GETRULE, take_rule } };
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
