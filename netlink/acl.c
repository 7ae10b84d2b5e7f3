/* netlink/acl.c - the table that says what may come in over the tunnel, in one transaction. */
#include "netlink/acl.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "netlink/acl_rules.h"
#include "netlink/acl_sets.h"
#include "netlink/nft_batch.h"

enum { PRIORITY_FILTER = 0 };

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

int acl_apply(struct nft *nft, const struct acl_config *config)
{
	g_autoptr(GArray) sets = acl_sets_new(config->rules, config->n_rules);
	struct nft_batch b;

	nft->text[0] = '\0';
	if (!sets)
		return -EINVAL;
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
