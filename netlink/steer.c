/* netlink/steer.c - the table that leads ICE's checks over WireGuard's port. */
#include "netlink/steer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "netlink/nft_batch.h"
#include "netlink/nft_put.h"
#include "netlink/steer_rules.h"

enum {
	PRIORITY_RAW = -300, /* before connection tracking */
	PRIORITY_LAST = 300, /* behind every filter */
	MESSAGE_BYTES = 32768, /* then the next one begins: a nested attribute ends at 64 KiB */
	HEADER_MAX = 128,
	SET_MESSAGE_MAX = 512,
	TYPE_BYTES = 6, /* what nft(8) shows as bytes */
	TYPE_PORT = 13,
	TRANSACTION_LEN = 12,
	SENT_MAX = 65536,
	SENT_MS = 20 * 1000, /* longer than any pause between two tries */
};

/* -- maps ----------------------------------------------------------------------------------- */

static void put_map(struct nft_batch *b, const char *table, const char *name, uint32_t id,
	uint32_t key_len, uint32_t timeout_ms)
{
	struct nftnl_set *s = nftnl_set_alloc();
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE, SET_MESSAGE_MAX);
	uint32_t flags = timeout_ms ? NFT_SET_TIMEOUT | NFT_SET_EVAL : 0;

	nftnl_set_set_str(s, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, name);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_MAP | flags);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, TYPE_BYTES);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, key_len);
	nftnl_set_set_u32(s, NFTNL_SET_DATA_TYPE, TYPE_PORT);
	nftnl_set_set_u32(s, NFTNL_SET_DATA_LEN, sizeof(uint16_t));
	if (timeout_ms) {
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, SENT_MAX);
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, timeout_ms);
	}
	nftnl_set_nlmsg_build_payload(nlh, s);
	nftnl_set_free(s);
	nft_batch_take(b, nlh);
}

static void put_ufrag(struct nlmsghdr *nlh, const struct steer_ufrag *ufrag)
{
	uint16_t wire = htons(ufrag->port);

	nft_put_mapped(nlh, ufrag->text, STEER_UFRAG_LEN, &wire, sizeof(wire));
}

static void put_ufrags(
	struct nft_batch *b, const char *table, const struct steer_ufrag *ufrags, size_t n)
{
	for (size_t i = 0; i < n;) {
		struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE,
			MESSAGE_BYTES + HEADER_MAX + NFT_ELEMENT_MAX);
		struct nlattr *list = nft_put_elements(nlh, table, STEER_UFRAGS);

		for (; i < n && nlh->nlmsg_len < MESSAGE_BYTES; i++)
			put_ufrag(nlh, &ufrags[i]);
		mnl_attr_nest_end(nlh, list);
		nft_batch_take(b, nlh);
	}
}

static void put_unset(struct nft_batch *b, const char *table, const char *ufrag)
{
	struct nlmsghdr *nlh = nft_batch_message(
		b, NFT_MSG_DELSETELEM, 0, HEADER_MAX + NFT_ELEMENT_MAX);
	struct nlattr *list = nft_put_elements(nlh, table, STEER_UFRAGS);

	nft_put_element(nlh, ufrag, NULL, STEER_UFRAG_LEN, 0);
	mnl_attr_nest_end(nlh, list);
	nft_batch_take(b, nlh);
}

int steer_set(struct nft *nft, const char *table, const struct steer_ufrag *ufrag)
{
	struct nft_batch b;
	int r;

	nft_batch_begin(&b);
	put_ufrags(&b, table, ufrag, 1);
	r = nft_batch_commit(&b, nft);
	if (r != -EEXIST)
		return r;
	nft_batch_begin(&b);
	put_unset(&b, table, ufrag->text);
	put_ufrags(&b, table, ufrag, 1);
	return nft_batch_commit(&b, nft);
}

int steer_unset(struct nft *nft, const char *table, const char *ufrag)
{
	struct nft_batch b;
	int r;

	nft_batch_begin(&b);
	put_unset(&b, table, ufrag);
	r = nft_batch_commit(&b, nft);
	return r == -ENOENT ? 0 : r;
}

/* -- chains --------------------------------------------------------------------------------- */

static void put_outgoing(struct nft_batch *b, const struct steer_config *config)
{
	const char *table = config->table, *ours = "ours";

	nft_batch_chain(b, table, ours, NFT_NO_HOOK, 0);
	if (config->fwmark)
		nft_batch_rule(b, table, ours, steer_rule_mark(config->fwmark));
	nft_batch_rule(b, table, ours, steer_rule_remember());
	nft_batch_rule(b, table, ours, steer_rule_leave(config->listen_port));

	if (config->fwmark)
		nft_batch_route_chain(b, table, "out", PRIORITY_RAW);
	else
		nft_batch_chain(b, table, "out", NF_INET_LOCAL_OUT, PRIORITY_RAW);
	nft_batch_rule(b, table, "out", steer_rule_ours(config, ours));

	nft_batch_chain(b, table, "leaving", NF_INET_POST_ROUTING, PRIORITY_LAST);
	nft_batch_rule(b, table, "leaving", steer_rule_keep_out(config));
}

/* Requests of other agents begin with USERNAME; libnice's have PRIORITY, the role, and perhaps USE-CANDIDATE before it.
 * What nobody waits for WireGuard would drop as well. */
static void put_incoming(struct nft_batch *b, const struct steer_config *config)
{
	static const uint32_t usernames[] = { 20, 40, 44 };
	const char *table = config->table, *arrived = "arrived", *led = "led";

	nft_batch_chain(b, table, led, NFT_NO_HOOK, 0);
	if (config->queue_from_port)
		nft_batch_rule(b, table, led, steer_rule_queue(config));

	nft_batch_chain(b, table, arrived, NFT_NO_HOOK, 0);
	nft_batch_rule(b, table, arrived, steer_rule_answer(led));
	nft_batch_rule(b, table, arrived, steer_rule_drop_indication());
	for (size_t i = 0; i < G_N_ELEMENTS(usernames); i++)
		nft_batch_rule(b, table, arrived, steer_rule_request(usernames[i], led));
	nft_batch_rule(b, table, arrived, steer_rule_drop());

	nft_batch_chain(b, table, "in", NF_INET_LOCAL_IN, PRIORITY_LAST);
	nft_batch_rule(b, table, "in", steer_rule_arrive(config, arrived));
}

static bool has_good_ports(const struct steer_config *config)
{
	return config->listen_port && config->first_port &&
		config->first_port <= config->last_port &&
		(config->listen_port < config->first_port ||
			config->listen_port > config->last_port) &&
		(!config->queue_from_port ||
			(config->queue_from_port >= config->first_port &&
				config->queue_from_port <= config->last_port));
}

int steer_apply(struct nft *nft, const struct steer_config *config)
{
	const char *table = config->table;
	struct nft_batch b;

	nft->text[0] = '\0';
	if (!has_good_ports(config))
		return -EINVAL;
	nft_batch_begin(&b);
	/* Made first, so that deleting it cannot fail. */
	nft_batch_table(&b, NFT_MSG_NEWTABLE, table);
	nft_batch_table(&b, NFT_MSG_DELTABLE, table);
	nft_batch_table(&b, NFT_MSG_NEWTABLE, table);
	put_map(&b, table, STEER_SENT, 1, TRANSACTION_LEN, SENT_MS);
	put_map(&b, table, STEER_UFRAGS, 2, STEER_UFRAG_LEN, 0);
	put_ufrags(&b, table, config->ufrags, config->n_ufrags);
	put_outgoing(&b, config);
	put_incoming(&b, config);
	return nft_batch_commit(&b, nft);
}
