/* netlink/nft_lazy.c - the part of our table for lazy peers: what counts, tells, refuses. */
#include "netlink/nft_lazy.h"

#include <glib.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h> /* for libnftnl/expr.h */

#include <libnftnl/expr.h>

#include "netlink/nft_batch.h"
#include "netlink/nft_rules.h"

enum {
	PRIORITY_RAW = -300, /* before connection tracking */
	PRIORITY_FILTER = 0,
	SET_MESSAGE_MAX = 512,
	REMEMBERED_MAX = 16384, /* packets of any sender make these elements */
};

/* What nft(8) calls ipv4_addr, ipv6_addr and inet_service; concatenated types are shifted by 6. */
enum { TYPE_IPV4 = 7, TYPE_IPV6 = 8, TYPE_PORT = 13, TYPE_BITS = 6, PORT_KEY_LEN = 4 };

/* -- sets ----------------------------------------------------------------------------------- */

struct set {
	const char *name4, *name6;
	bool with_port, counts;
	uint32_t flags, size, timeout_ms; /* 0: no limit */
};

static void put_set(
	struct nft_batch *b, const char *table, const struct set *set, bool v4, uint32_t id)
{
	struct nftnl_set *s = nftnl_set_alloc();
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE, SET_MESSAGE_MAX);
	uint32_t type = v4 ? TYPE_IPV4 : TYPE_IPV6, len = v4 ? 4 : 16;

	nftnl_set_set_str(s, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, v4 ? set->name4 : set->name6);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, set->flags);
	nftnl_set_set_u32(
		s, NFTNL_SET_KEY_TYPE, set->with_port ? type << TYPE_BITS | TYPE_PORT : type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, set->with_port ? len + PORT_KEY_LEN : len);
	if (set->size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, set->size);
	if (set->timeout_ms)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, set->timeout_ms);
	if (set->counts)
		nftnl_set_add_expr(s, nftnl_expr_alloc("counter"));
	nftnl_set_nlmsg_build_payload(nlh, s);
	nftnl_set_free(s);
	nft_batch_take(b, nlh);
}

static void put_sets(struct nft_batch *b, const struct nft_config *config)
{
	const struct nft_lazy *lazy = &config->lazy;
	const struct {
		bool wanted;
		struct set set;
	} sets[] = {
		{ lazy->counts, { "hosts4", "hosts6", .counts = true } },
		{ lazy->counts, { "nets4", "nets6", .counts = true, .flags = NFT_SET_INTERVAL } },
		{ lazy->counts && lazy->logs,
			{ "told4", "told6", .flags = NFT_SET_TIMEOUT | NFT_SET_EVAL,
				.size = REMEMBERED_MAX, .timeout_ms = NFT_TOLD_MS } },
		{ lazy->refuses,
			{ "watching4", "watching6", .with_port = true, .flags = NFT_SET_TIMEOUT,
				.timeout_ms = NFT_WATCH_MS } },
		{ lazy->refuses,
			{ "refused4", "refused6", .with_port = true, .flags = NFT_SET_TIMEOUT,
				.timeout_ms = NFT_REFUSE_MS } },
		{ lazy->refuses,
			{ "heard4", "heard6", .with_port = true,
				.flags = NFT_SET_TIMEOUT | NFT_SET_EVAL, .size = REMEMBERED_MAX,
				.timeout_ms = NFT_HEARD_MS } },
	};

	for (uint32_t i = 0; i < G_N_ELEMENTS(sets); i++) {
		if (!sets[i].wanted)
			continue;
		put_set(b, config->table, &sets[i].set, true, 2 * i + 1);
		put_set(b, config->table, &sets[i].set, false, 2 * i + 2);
	}
}

/* -- chains --------------------------------------------------------------------------------- */

/* The cheap sets first. */
static void put_counting(struct nft_batch *b, const char *table, const char *chain, bool source)
{
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET, source, "hosts4"));
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET6, source, "hosts6"));
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET, source, "nets4"));
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET6, source, "nets6"));
}

static void put_inner_in(struct nft_batch *b, const struct nft_config *config)
{
	const char *table = config->table, *chain = NFT_CHAIN_INNER;
	uint16_t group = config->lazy.log_group;

	nft_batch_chain(b, table, chain, NFT_NO_HOOK, 0);
	put_counting(b, table, chain, true);
	if (!config->lazy.logs)
		return;
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET, true, "told4"));
	nft_batch_rule(b, table, chain, nft_rule_known(AF_INET6, true, "told6"));
	nft_batch_rule(b, table, chain, nft_rule_tell(AF_INET, "told4", group));
	nft_batch_rule(b, table, chain, nft_rule_tell(AF_INET6, "told6", group));
}

static void put_inner_out(struct nft_batch *b, const struct nft_config *config)
{
	const char *table = config->table, *chain = "inner_out";

	nft_batch_chain(b, table, chain, NF_INET_POST_ROUTING, PRIORITY_FILTER);
	nft_batch_rule(b, table, chain, nft_rule_elsewhere(config->ifindex));
	put_counting(b, table, chain, false);
}

static void put_contact(struct nft_batch *b, const struct nft_config *config)
{
	const char *table = config->table, *chain = NFT_CHAIN_CONTACT;
	uint16_t group = config->lazy.log_group;

	nft_batch_chain(b, table, chain, NFT_NO_HOOK, 0);
	nft_batch_rule(b, table, chain, nft_rule_refuse(AF_INET, "refused4"));
	nft_batch_rule(b, table, chain, nft_rule_refuse(AF_INET6, "refused6"));
	nft_batch_rule(b, table, chain, nft_rule_hear(AF_INET, "heard4"));
	nft_batch_rule(b, table, chain, nft_rule_hear(AF_INET6, "heard6"));
	if (!config->lazy.logs)
		return;
	nft_batch_rule(b, table, chain, nft_rule_answer(AF_INET, "watching4", group));
	nft_batch_rule(b, table, chain, nft_rule_answer(AF_INET6, "watching6", group));
}

static void put_untracked(struct nft_batch *b, const struct nft_config *config)
{
	const char *table = config->table, *chain = "untracked";

	nft_batch_chain(b, table, chain, NF_INET_LOCAL_OUT, PRIORITY_RAW);
	nft_batch_rule(b, table, chain, nft_rule_untrack(config->lazy.listen_port));
}

void nft_lazy_put(struct nft_batch *b, const struct nft_config *config)
{
	put_sets(b, config);
	if (config->lazy.counts) {
		put_inner_in(b, config);
		put_inner_out(b, config);
	}
	if (config->lazy.refuses)
		put_contact(b, config);
	if (config->lazy.untracked)
		put_untracked(b, config);
}
