/* netlink/nft_batch.h - a transaction under way; inside of nft.h. */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

struct nftnl_rule;
struct nl;

struct nft {
	struct nl *nl;
	char text[256]; /* about the last failure */
};

struct nft_batch {
	uint8_t *buf;
	size_t len, room, n;
};

enum { NFT_NO_HOOK = -1 };

void nft_batch_begin(struct nft_batch *b);
/* A new message of at most `most` bytes; valid until nft_batch_take, which ends it. */
struct nlmsghdr *nft_batch_message(struct nft_batch *b, uint16_t type, uint16_t flags, size_t most);
void nft_batch_take(struct nft_batch *b, const struct nlmsghdr *nlh);

void nft_batch_table(struct nft_batch *b, uint16_t type, const char *table);
void nft_batch_chain(
	struct nft_batch *b, const char *table, const char *name, int hook, int32_t priority);
/* On output, of the type that looks for another route when a rule sets another mark. */
void nft_batch_route_chain(
	struct nft_batch *b, const char *table, const char *name, int32_t priority);
/* Takes the rule. */
void nft_batch_rule(
	struct nft_batch *b, const char *table, const char *chain, struct nftnl_rule *rule);

/* Sends it and frees what it holds; when it was refused nft->text tells of what. 0 or -errno. */
int nft_batch_commit(struct nft_batch *b, struct nft *nft);
