/* netlink/nft_sets.c - elements of our table's sets: added, taken away, read. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "netlink/nft.h"
#include "netlink/nft_batch.h"
#include "netlink/nft_elements.h"
#include "netlink/nft_put.h"
#include "netlink/nl.h"

enum {
	MESSAGE_BYTES = 32768, /* then the next one begins: a nested attribute ends at 64 KiB */
	BATCH_BYTES = 131072, /* then it is sent: fits the default send buffer */
	ELEMENT_MAX = 128, /* with its end, if it has one */
	HEADER_MAX = 128,
	REREADS_MAX = 5,
};

static uint8_t key_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static const char *of_family(uint8_t family, const char *name4, const char *name6)
{
	return family == AF_INET ? name4 : name6;
}

/* -- lists of elements ---------------------------------------------------------------------- */

struct key {
	uint8_t bytes[16 + 4], len;
};

static struct key address_key(uint8_t family, const uint8_t *address)
{
	struct key key = { .len = key_len(family) };

	memcpy(key.bytes, address, key.len);
	return key;
}

/* Fields of a key are padded to four bytes. */
static struct key endpoint_key(const struct endpoint *e)
{
	struct key key = address_key(e->family, e->addr);
	uint16_t port = htons(e->port);

	memcpy(key.bytes + key.len, &port, sizeof(port));
	key.len = (uint8_t)(key.len + 4);
	return key;
}

/* -- changing ------------------------------------------------------------------------------- */

/* Elements go into one message as long as they are for the same set. */
struct writer {
	struct nft *nft;
	const char *table;
	struct nft_batch batch;
	struct nlmsghdr *nlh; /* NULL: none is begun */
	struct nlattr *list;
	const char *set;
	uint16_t type;
	int result;
};

static void end_message(struct writer *w)
{
	if (!w->nlh)
		return;
	mnl_attr_nest_end(w->nlh, w->list);
	nft_batch_take(&w->batch, w->nlh);
	w->nlh = NULL;
}

static void send_batch(struct writer *w)
{
	end_message(w);
	w->result = nft_batch_commit(&w->batch, w->nft);
	nft_batch_begin(&w->batch);
}

static void want_message(struct writer *w, uint16_t type, const char *set)
{
	if (w->nlh && w->type == type && w->set == set && w->nlh->nlmsg_len < MESSAGE_BYTES)
		return;
	end_message(w);
	if (w->batch.len > BATCH_BYTES)
		send_batch(w);
	w->type = type;
	w->set = set;
	w->nlh = nft_batch_message(&w->batch, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0,
		MESSAGE_BYTES + HEADER_MAX + ELEMENT_MAX);
	w->list = nft_put_elements(w->nlh, w->table, set);
}

/* The first address behind a range. False: the range ends where the addresses end. */
static bool next_address(const struct nft_range *range, struct key *ret)
{
	*ret = address_key(range->family, range->last);
	for (size_t i = ret->len; i--;)
		if (++ret->bytes[i])
			return true;
	return false;
}

static void put_ranges(
	struct writer *w, uint16_t type, uint8_t family, const struct nft_range *ranges, size_t n)
{
	const char *hosts = of_family(family, "hosts4", "hosts6");
	const char *nets = of_family(family, "nets4", "nets6");

	for (size_t i = 0; i < n && w->result == 0; i++) {
		const struct nft_range *range = &ranges[i];
		bool is_host = !memcmp(range->first, range->last, key_len(family));
		struct key first = address_key(family, range->first), end;

		if (range->family != family)
			continue;
		want_message(w, type, is_host ? hosts : nets);
		nft_put_element(w->nlh, first.bytes, NULL, first.len, 0);
		if (!is_host && next_address(range, &end))
			nft_put_element(
				w->nlh, end.bytes, NULL, end.len, NFT_SET_ELEM_INTERVAL_END);
	}
}

/* What is there already would keep its time: it is taken away in between, which it can be only when it
 * is there. */
static void put_endpoints(struct writer *w, const char *set4, const char *set6,
	const struct endpoint *endpoints, size_t n)
{
	static const uint16_t types[] = { NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM,
		NFT_MSG_NEWSETELEM };

	for (size_t i = 0; i < n && w->result == 0; i++) {
		struct key key = endpoint_key(&endpoints[i]);

		for (size_t j = 0; j < G_N_ELEMENTS(types) && w->result == 0; j++) {
			want_message(w, types[j], of_family(endpoints[i].family, set4, set6));
			nft_put_element(w->nlh, key.bytes, NULL, key.len, 0);
		}
	}
}

static int change_once(struct nft *nft, const char *table, const struct nft_change *c)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct writer w = { .nft = nft, .table = table };

	nft_batch_begin(&w.batch);
	put_endpoints(&w, "watching4", "watching6", c->watch, c->n_watch);
	put_endpoints(&w, "refused4", "refused6", c->refuse, c->n_refuse);
	for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
		put_ranges(&w, NFT_MSG_DELSETELEM, families[i], c->uncount, c->n_uncount);
	for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
		put_ranges(&w, NFT_MSG_NEWSETELEM, families[i], c->count, c->n_count);
	if (w.result == 0 && w.nlh)
		send_batch(&w);
	g_free(w.batch.buf);
	return w.result;
}

int nft_change(struct nft *nft, const char *table, const struct nft_change *change)
{
	int r = change_once(nft, table, change);

	/* An endpoint's time may have run out just when it was to be taken away. */
	if (r == -ENOENT && change->n_watch + change->n_refuse)
		r = change_once(nft, table, change);
	return r;
}

/* -- reading -------------------------------------------------------------------------------- */

struct counter {
	struct prefix first;
	uint64_t packets;
};

struct reading {
	uint8_t family;
	GArray *counters;
};

static void take_counter(const struct prefix *first, uint64_t packets, void *user)
{
	const struct counter counter = { *first, packets };

	g_array_append_val((GArray *)user, counter);
}

static int take_elements(const struct nlmsghdr *nlh, void *user)
{
	const struct reading *reading = user;

	return nft_elements_parse(nlh, reading->family, take_counter, reading->counters);
}

static void begin_request(struct nl_request *q)
{
	const struct nfgenmsg inet = { NFPROTO_INET, NFNETLINK_V0, 0 };

	memcpy(nl_begin(q, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM, 0, sizeof(inet)), &inet,
		sizeof(inet));
}

/* Others' changes of other tables interrupt it too. */
static int read_set(
	struct nft *nft, const char *table, const char *set, uint8_t family, GArray *counters)
{
	struct reading reading = { family, counters };
	struct nl_request q;
	guint before = counters->len;
	int r = -EINTR;

	for (int i = 0; i < REREADS_MAX && r == -EINTR; i++) {
		g_array_set_size(counters, before);
		begin_request(&q);
		mnl_attr_put_strz(&q.nlh, NFTA_SET_ELEM_LIST_TABLE, table);
		mnl_attr_put_strz(&q.nlh, NFTA_SET_ELEM_LIST_SET, set);
		r = nl_dump(nft->nl, &q.nlh, take_elements, &reading);
	}
	g_strlcpy(nft->text, nl_error_text(nft->nl), sizeof(nft->text));
	return r;
}

int nft_counters(struct nft *nft, const char *table, nft_counter_fn fn, void *user)
{
	static const struct {
		const char *set;
		uint8_t family;
	} sets[] = { { "hosts4", AF_INET }, { "hosts6", AF_INET6 }, { "nets4", AF_INET },
		{ "nets6", AF_INET6 } };
	g_autoptr(GArray) counters = g_array_new(FALSE, FALSE, sizeof(struct counter));
	int r = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(sets) && r == 0; i++)
		r = read_set(nft, table, sets[i].set, sets[i].family, counters);
	if (r < 0)
		return r;
	for (guint i = 0; i < counters->len; i++) {
		const struct counter *c = &g_array_index(counters, struct counter, i);

		fn(&c->first, c->packets, user);
	}
	return 0;
}

int nft_heard(struct nft *nft, const char *table, const struct endpoint *from)
{
	struct key key = endpoint_key(from);
	struct nl_request q;
	struct nlattr *list;
	int r;

	begin_request(&q);
	list = nft_put_elements(&q.nlh, table, of_family(from->family, "heard4", "heard6"));
	nft_put_element(&q.nlh, key.bytes, NULL, key.len, 0);
	mnl_attr_nest_end(&q.nlh, list);
	r = nl_call(nft->nl, &q.nlh, NULL, NULL);
	g_strlcpy(nft->text, nl_error_text(nft->nl), sizeof(nft->text));
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}
