/* netlink/ethtool.c - settings of network devices through generic netlink. */
#include "netlink/ethtool.h"

#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool_netlink.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <string.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

/* Newer than the headers of some distributions. */
enum { MSG_RSS_GET = 38, A_RSS_INDIR = 4 };

/* The header is the first attribute of every message. */
enum { A_HEADER = 1 };

struct ethtool {
	struct nl *nl;
	uint16_t family; /* 0: the kernel has none */
};

int ethtool_open(struct ethtool **ret)
{
	g_autofree struct ethtool *e = g_new0(struct ethtool, 1);
	int r = nl_open(NETLINK_GENERIC, &e->nl);

	if (r < 0)
		return r;
	r = nl_family(e->nl, ETHTOOL_GENL_NAME, &e->family);
	if (r < 0 && r != -ENOENT) {
		nl_close(e->nl);
		return r;
	}
	*ret = g_steal_pointer(&e);
	return 0;
}

void ethtool_close(struct ethtool *e)
{
	if (!e)
		return;
	nl_close(e->nl);
	g_free(e);
}

/* -- messages ------------------------------------------------------------------------------- */

static int begin(struct ethtool *e, struct nl_request *q, uint8_t cmd, const char *device)
{
	struct genlmsghdr *genl = nl_begin(q, e->family, 0, sizeof(*genl));
	struct nlattr *header;

	if (!e->family)
		return -EOPNOTSUPP;
	if (!device[0] || strlen(device) >= IFNAMSIZ)
		return -ENODEV;
	genl->cmd = cmd;
	genl->version = ETHTOOL_GENL_VERSION;
	header = mnl_attr_nest_start(&q->nlh, A_HEADER);
	mnl_attr_put_strz(&q->nlh, ETHTOOL_A_HEADER_DEV_NAME, device);
	mnl_attr_nest_end(&q->nlh, header);
	return 0;
}

static int get(struct ethtool *e, uint8_t cmd, const char *device, nl_msg_fn fn, void *user)
{
	struct nl_request q;
	int r = begin(e, &q, cmd, device);

	return r < 0 ? r : nl_call(e->nl, &q.nlh, fn, user);
}

static int sort(const struct nlmsghdr *nlh, const struct nlattr **table, size_t n)
{
	if (nlh->nlmsg_len < NLMSG_LENGTH(GENL_HDRLEN))
		return -EPROTO;
	return attr_sort(attr_walk_message(nlh, GENL_HDRLEN), table, n);
}

/* A number of an answer, and where it goes. */
struct field {
	uint16_t type;
	uint32_t *ret;
};

/* What is missing is 0. */
static int take_fields(const struct nlattr *const *table, const struct field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct nlattr *a = table[fields[i].type];

		*fields[i].ret = 0;
		if (a && !attr_copy(a, fields[i].ret, sizeof(uint32_t)))
			return -EPROTO;
	}
	return 0;
}

/* -- channels and rings --------------------------------------------------------------------- */

struct channels_answer {
	struct eth_channels now, max;
};

static int take_channels(const struct nlmsghdr *nlh, void *user)
{
	struct channels_answer *answer = user;
	const struct field fields[] = {
		{ ETHTOOL_A_CHANNELS_RX_MAX, &answer->max.rx },
		{ ETHTOOL_A_CHANNELS_TX_MAX, &answer->max.tx },
		{ ETHTOOL_A_CHANNELS_COMBINED_MAX, &answer->max.combined },
		{ ETHTOOL_A_CHANNELS_RX_COUNT, &answer->now.rx },
		{ ETHTOOL_A_CHANNELS_TX_COUNT, &answer->now.tx },
		{ ETHTOOL_A_CHANNELS_COMBINED_COUNT, &answer->now.combined },
	};
	const struct nlattr *table[ETHTOOL_A_CHANNELS_COMBINED_COUNT + 1];
	int r = sort(nlh, table, G_N_ELEMENTS(table));

	return r < 0 ? r : take_fields(table, fields, G_N_ELEMENTS(fields));
}

int ethtool_get_channels(struct ethtool *e, const char *device, struct eth_channels *ret,
	struct eth_channels *ret_max)
{
	struct channels_answer answer = { 0 };
	int r = get(e, ETHTOOL_MSG_CHANNELS_GET, device, take_channels, &answer);

	if (r < 0)
		return r;
	*ret = answer.now;
	*ret_max = answer.max;
	return 0;
}

int ethtool_set_channels(struct ethtool *e, const char *device, const struct eth_channels *channels)
{
	struct nl_request q;
	int r = begin(e, &q, ETHTOOL_MSG_CHANNELS_SET, device);

	if (r < 0)
		return r;
	mnl_attr_put_u32(&q.nlh, ETHTOOL_A_CHANNELS_RX_COUNT, channels->rx);
	mnl_attr_put_u32(&q.nlh, ETHTOOL_A_CHANNELS_TX_COUNT, channels->tx);
	mnl_attr_put_u32(&q.nlh, ETHTOOL_A_CHANNELS_COMBINED_COUNT, channels->combined);
	return nl_call(e->nl, &q.nlh, NULL, NULL);
}

struct rings_answer {
	struct eth_rings now, max;
};

static int take_rings(const struct nlmsghdr *nlh, void *user)
{
	struct rings_answer *answer = user;
	const struct field fields[] = {
		{ ETHTOOL_A_RINGS_RX_MAX, &answer->max.rx },
		{ ETHTOOL_A_RINGS_TX_MAX, &answer->max.tx },
		{ ETHTOOL_A_RINGS_RX, &answer->now.rx },
		{ ETHTOOL_A_RINGS_TX, &answer->now.tx },
	};
	const struct nlattr *table[ETHTOOL_A_RINGS_TX + 1];
	int r = sort(nlh, table, G_N_ELEMENTS(table));

	return r < 0 ? r : take_fields(table, fields, G_N_ELEMENTS(fields));
}

int ethtool_get_rings(
	struct ethtool *e, const char *device, struct eth_rings *ret, struct eth_rings *ret_max)
{
	struct rings_answer answer = { 0 };
	int r = get(e, ETHTOOL_MSG_RINGS_GET, device, take_rings, &answer);

	if (r < 0)
		return r;
	*ret = answer.now;
	*ret_max = answer.max;
	return 0;
}

int ethtool_set_rings(struct ethtool *e, const char *device, const struct eth_rings *rings)
{
	struct nl_request q;
	int r = begin(e, &q, ETHTOOL_MSG_RINGS_SET, device);

	if (r < 0)
		return r;
	mnl_attr_put_u32(&q.nlh, ETHTOOL_A_RINGS_RX, rings->rx);
	mnl_attr_put_u32(&q.nlh, ETHTOOL_A_RINGS_TX, rings->tx);
	return nl_call(e->nl, &q.nlh, NULL, NULL);
}

/* -- features ------------------------------------------------------------------------------- */

struct bit {
	bool is_listed, has_value;
};

static int take_bit(const struct nlattr *nest, const char *name, struct bit *bit)
{
	const struct nlattr *table[ETHTOOL_A_BITSET_BIT_VALUE + 1];
	char text[64];
	int r = attr_sort(attr_walk_nested(nest), table, G_N_ELEMENTS(table));

	if (r < 0)
		return r;
	attr_text(table[ETHTOOL_A_BITSET_BIT_NAME], text, sizeof(text));
	if (strcmp(text, name) != 0)
		return 0;
	bit->is_listed = true;
	bit->has_value = table[ETHTOOL_A_BITSET_BIT_VALUE];
	return 0;
}

/* Looks for a bit in a set of names. In a set without mask the listed ones are those that are 1. */
static int find_bit(const struct nlattr *set, const char *name, struct bit *ret)
{
	const struct nlattr *table[ETHTOOL_A_BITSET_BITS + 1], *a;
	struct attr_walk w;
	int r;

	*ret = (struct bit){ 0 };
	if (!set)
		return 0;
	r = attr_sort(attr_walk_nested(set), table, G_N_ELEMENTS(table));
	if (r < 0 || !table[ETHTOOL_A_BITSET_BITS])
		return r;
	w = attr_walk_nested(table[ETHTOOL_A_BITSET_BITS]);
	while (r == 0 && (a = attr_next(&w)))
		r = take_bit(a, name, ret);
	return r < 0 || !w.left ? r : -EPROTO;
}

struct feature_answer {
	const char *name;
	struct eth_feature feature;
	bool is_known;
};

static int take_feature(const struct nlmsghdr *nlh, void *user)
{
	const struct nlattr *table[ETHTOOL_A_FEATURES_NOCHANGE + 1];
	struct feature_answer *answer = user;
	struct bit hardware, active, never;
	int r = sort(nlh, table, G_N_ELEMENTS(table));

	if (r == 0)
		r = find_bit(table[ETHTOOL_A_FEATURES_HW], answer->name, &hardware);
	if (r == 0)
		r = find_bit(table[ETHTOOL_A_FEATURES_ACTIVE], answer->name, &active);
	if (r == 0)
		r = find_bit(table[ETHTOOL_A_FEATURES_NOCHANGE], answer->name, &never);
	answer->is_known = hardware.is_listed;
	answer->feature.on = active.is_listed;
	answer->feature.fixed = !hardware.has_value || never.is_listed;
	return r;
}

int ethtool_get_feature(
	struct ethtool *e, const char *device, const char *name, struct eth_feature *ret)
{
	struct feature_answer answer = { .name = name };
	int r = get(e, ETHTOOL_MSG_FEATURES_GET, device, take_feature, &answer);

	if (r < 0)
		return r;
	if (!answer.is_known)
		return -EOPNOTSUPP;
	*ret = answer.feature;
	return 0;
}

int ethtool_set_feature(struct ethtool *e, const char *device, const char *name, bool on)
{
	struct nlattr *set, *bits, *bit;
	struct nl_request q;
	int r = begin(e, &q, ETHTOOL_MSG_FEATURES_SET, device);

	if (r < 0)
		return r;
	set = mnl_attr_nest_start(&q.nlh, ETHTOOL_A_FEATURES_WANTED);
	bits = mnl_attr_nest_start(&q.nlh, ETHTOOL_A_BITSET_BITS);
	bit = mnl_attr_nest_start(&q.nlh, ETHTOOL_A_BITSET_BITS_BIT);
	mnl_attr_put_strz(&q.nlh, ETHTOOL_A_BITSET_BIT_NAME, name);
	if (on)
		mnl_attr_put(&q.nlh, ETHTOOL_A_BITSET_BIT_VALUE, 0, NULL);
	mnl_attr_nest_end(&q.nlh, bit);
	mnl_attr_nest_end(&q.nlh, bits);
	mnl_attr_nest_end(&q.nlh, set);
	return nl_call(e->nl, &q.nlh, NULL, NULL);
}

/* -- the table of queues -------------------------------------------------------------------- */

struct table_answer {
	uint32_t *entries;
	size_t n;
};

static int take_table(const struct nlmsghdr *nlh, void *user)
{
	const struct nlattr *table[A_RSS_INDIR + 1], *a;
	struct table_answer *answer = user;
	int r = sort(nlh, table, G_N_ELEMENTS(table));

	if (r < 0)
		return r;
	a = table[A_RSS_INDIR];
	if (!a || answer->entries)
		return 0;
	if (!attr_len(a) || attr_len(a) % sizeof(uint32_t))
		return -EPROTO;
	if (attr_len(a) / sizeof(uint32_t) > ETHTOOL_TABLE_MAX)
		return -E2BIG;
	answer->n = attr_len(a) / sizeof(uint32_t);
	answer->entries = g_memdup2(attr_data(a), attr_len(a));
	return 0;
}

int ethtool_get_table(struct ethtool *e, const char *device, uint32_t **ret, size_t *ret_n)
{
	struct table_answer answer = { 0 };
	int r = get(e, MSG_RSS_GET, device, take_table, &answer);

	if (r == 0 && !answer.entries)
		r = -EOPNOTSUPP;
	if (r < 0) {
		g_free(answer.entries);
		return r;
	}
	*ret = answer.entries;
	*ret_n = answer.n;
	return 0;
}
