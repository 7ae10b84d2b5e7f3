/* netlink/acl.c - the table that says what may come in over the tunnel, in one transaction. */
#include "netlink/acl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "netlink/acl_rules.h"
#include "netlink/acl_sets.h"
#include "netlink/attr.h"
#include "netlink/nft_batch.h"
#include "netlink/nft_elements.h"
#include "netlink/nl.h"

enum {
	PRIORITY_FILTER = 0,
	REREADS_MAX = 5,
	/* Where anybody hears nftables' events, as we do, each takes the kernel a page till the transaction is
	 * done. Twice what ranges for 65,536 hosts need. */
	ELEMENTS_MAX = 1 << 18,
};

static void put_lookups(
	struct nft_batch *b, const char *table, const char *chain, const GArray *sets, bool drop)
{
	for (guint i = 0; i < sets->len; i++) {
		const struct acl_set *set = &g_array_index(sets, struct acl_set, i);

		if (set->drop == drop)
			nft_batch_rule(b, table, chain, acl_rule_lookup(set));
	}
}

static void put_input(struct nft_batch *b, const struct acl_config *config, const GArray *sets)
{
	const char *table = config->table, *chain = "input";

	nft_batch_chain(b, table, chain, NF_INET_LOCAL_IN, PRIORITY_FILTER);
	nft_batch_rule(b, table, chain, acl_rule_elsewhere(config->ifname));
	put_lookups(b, table, chain, sets, true);
	nft_batch_rule(b, table, chain, acl_rule_replies());
	put_lookups(b, table, chain, sets, false);
	nft_batch_rule(b, table, chain, acl_rule_refuse());
}

static void put_forward(struct nft_batch *b, const struct acl_config *config)
{
	const char *table = config->table, *chain = "forward";

	nft_batch_chain(b, table, chain, NF_INET_FORWARD, PRIORITY_FILTER);
	nft_batch_rule(b, table, chain, acl_rule_elsewhere(config->ifname));
	nft_batch_rule(b, table, chain, acl_rule_replies());
	nft_batch_rule(b, table, chain, acl_rule_refuse());
}

static size_t count_elements(const GArray *sets)
{
	size_t n = 0;

	for (guint i = 0; i < sets->len; i++)
		n += acl_set_size(&g_array_index(sets, struct acl_set, i));
	return n;
}

int acl_apply(struct nft *nft, const struct acl_config *config)
{
	g_autoptr(GArray) sets = acl_sets_new(config->rules, config->n_rules);
	struct nft_batch b;

	nft->text[0] = '\0';
	if (!sets)
		return -EINVAL;
	if (count_elements(sets) > ELEMENTS_MAX) {
		g_snprintf(nft->text, sizeof(nft->text),
			"%zu elements of sets, at most %d are taken", count_elements(sets),
			ELEMENTS_MAX);
		return -E2BIG;
	}
	nft_batch_begin(&b);
	/* Made first, so that deleting it cannot fail. */
	nft_batch_table(&b, NFT_MSG_NEWTABLE, config->table);
	nft_batch_table(&b, NFT_MSG_DELTABLE, config->table);
	nft_batch_table(&b, NFT_MSG_NEWTABLE, config->table);
	for (guint i = 0; i < sets->len; i++)
		acl_set_put(&b, config->table, &g_array_index(sets, struct acl_set, i), i + 1);
	put_input(&b, config, sets);
	put_forward(&b, config);
	return nft_batch_commit(&b, nft);
}

/* -- counting ------------------------------------------------------------------------------- */

struct counting {
	const char *table;
	uint64_t packets;
};

/* Only the rules at the end of both chains have counters. */
static int count_rule(const struct nlmsghdr *nlh, void *user)
{
	struct counting *c = user;
	const struct nlattr *table[NFTA_RULE_EXPRESSIONS + 1], *a;
	char name[NFT_TABLE_NAME_MAX + 1];
	struct attr_walk w;
	uint64_t packets;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) ||
		attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
			G_N_ELEMENTS(table)) < 0)
		return -EPROTO;
	attr_text(table[NFTA_RULE_TABLE], name, sizeof(name));
	if (strcmp(name, c->table) != 0 || !table[NFTA_RULE_EXPRESSIONS])
		return 0;
	w = attr_walk_nested(table[NFTA_RULE_EXPRESSIONS]);
	while ((a = attr_next(&w)))
		if (nft_elements_packets(a, &packets))
			c->packets += packets;
	return 0;
}

int acl_count_refused(struct nft *nft, const char *table, uint64_t *ret)
{
	const struct nfgenmsg inet = { NFPROTO_INET, NFNETLINK_V0, 0 };
	struct counting c = { .table = table };
	struct nl_request q;
	int r = -EINTR;

	for (int i = 0; i < REREADS_MAX && r == -EINTR; i++) {
		c.packets = 0;
		memcpy(nl_begin(&q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, 0, sizeof(inet)),
			&inet, sizeof(inet));
		mnl_attr_put_strz(&q.nlh, NFTA_RULE_TABLE, table);
		r = nl_dump(nft->nl, &q.nlh, count_rule, &c);
	}
	g_strlcpy(nft->text, nl_error_text(nft->nl), sizeof(nft->text));
	if (r == 0)
		*ret = c.packets;
	return r;
}
