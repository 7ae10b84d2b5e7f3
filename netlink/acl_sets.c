/* netlink/acl_sets.c - sorts rules into sets, and puts those into a transaction. */
#include "netlink/acl_sets.h"

#include <libmnl/libmnl.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "netlink/nft_batch.h"
#include "netlink/nft_put.h"

enum {
	MESSAGE_BYTES = 32768, /* then the next one begins: a nested attribute ends at 64 KiB */
	HEADER_MAX = 128,
	SET_MESSAGE_MAX = 512,
	FIELD = 4, /* fields of a key are padded to so many bytes */
	PORT_MAX = 65535,
	FIELDS_MAX = 3,
	/* Of so many elements what nft(8) uses for intervals of concatenations is as fast as a tree. */
	CONCATENATED_MAX = 256,
};

/* What nft(8) calls ipv4_addr, ipv6_addr, inet_proto and inet_service; concatenated types are shifted. It
 * cannot write a tree of concatenations, and shows bytes. */
enum {
	TYPE_BYTES = 6,
	TYPE_IPV4 = 7,
	TYPE_IPV6 = 8,
	TYPE_PROTOCOL = 12,
	TYPE_PORT = 13,
	TYPE_BITS = 6
};

static uint8_t address_len(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

/* -- keys ----------------------------------------------------------------------------------- */

struct key {
	uint8_t bytes[ACL_KEY_MAX], len;
};

static void add_field(struct key *key, const void *data, uint8_t len)
{
	memcpy(key->bytes + key->len, data, len);
	key->len = (uint8_t)(key->len + (len + FIELD - 1) / FIELD * FIELD);
}

static void add_port(struct key *key, uint16_t port)
{
	const uint8_t wire[] = { (uint8_t)(port >> 8), (uint8_t)port };

	add_field(key, wire, sizeof(wire));
}

/* The last address of a network is the first with all the bits behind the length set. */
static void add_source(struct key *key, const struct prefix *source, bool last)
{
	uint8_t addr[16], len = address_len(source->family);

	memcpy(addr, source->addr, len);
	for (unsigned bit = source->bits; last && bit < len * 8u; bit++)
		addr[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	add_field(key, addr, len);
}

/* The first key behind these. False: there is none. */
static bool next_key(const uint8_t *last, uint8_t len, uint8_t ret[static ACL_KEY_MAX])
{
	memcpy(ret, last, len);
	while (len--)
		if (++ret[len])
			return true;
	return false;
}

static int compare_elements(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct acl_element));
}

/* -- from rules to elements ----------------------------------------------------------------- */

struct sorting {
	GArray *elements[2][2][N_ACL_KINDS]; /* by drop, by IPv6; NULL: none */
};

static bool is_good(const struct filter_rule *rule)
{
	bool has_ports = rule->first_port || rule->last_port;

	if ((rule->source.family != AF_INET && rule->source.family != AF_INET6) ||
		rule->source.bits > prefix_width(&rule->source))
		return false;
	return rule->first_port <= rule->last_port &&
		(!has_ports || rule->protocol == IPPROTO_TCP || rule->protocol == IPPROTO_UDP);
}

static bool is_of_nets(enum acl_kind kind)
{
	return kind >= ACL_NETS;
}

static bool has_protocol(enum acl_kind kind)
{
	return kind != ACL_HOSTS && kind != ACL_NETS;
}

static bool has_port(enum acl_kind kind)
{
	return kind == ACL_PORTS || kind == ACL_RANGES || kind >= ACL_NETS_PORTS;
}

static bool has_intervals(enum acl_kind kind)
{
	return kind >= ACL_RANGES;
}

static struct key make_key(
	const struct filter_rule *rule, enum acl_kind kind, uint16_t port, bool last)
{
	struct key key = { .len = 0 };

	if (!is_of_nets(kind))
		add_source(&key, &rule->source, last);
	if (has_protocol(kind))
		add_field(&key, &rule->protocol, sizeof(rule->protocol));
	if (has_port(kind))
		add_port(&key, port);
	if (is_of_nets(kind))
		add_source(&key, &rule->source, last);
	return key;
}

static void add(struct sorting *s, const struct filter_rule *rule, enum acl_kind kind,
	uint16_t first, uint16_t last)
{
	GArray **into = &s->elements[rule->drop][rule->source.family == AF_INET6][kind];
	struct acl_element element = { .first = { 0 } };
	struct key a = make_key(rule, kind, first, false), b = make_key(rule, kind, last, true);

	memcpy(element.first, a.bytes, a.len);
	memcpy(element.last, b.bytes, b.len);
	if (!*into)
		*into = g_array_new(FALSE, FALSE, sizeof(element));
	g_array_append_val(*into, element);
}

/* As few aligned blocks of ports as make up the range. */
static void add_blocks(struct sorting *s, const struct filter_rule *rule)
{
	uint32_t port = rule->first_port, behind = rule->last_port + 1u;
	unsigned bits;

	while (port < behind) {
		for (bits = 0; port % (2u << bits) == 0 && port + (2u << bits) <= behind; bits++)
			;
		add(s, rule, ACL_NETS_PORTS + bits, (uint16_t)port, (uint16_t)port);
		port += 1u << bits;
	}
}

static void sort_rule(struct sorting *s, const struct filter_rule *rule)
{
	bool is_host = prefix_is_host(&rule->source);
	bool all_ports = !rule->last_port || (!rule->first_port && rule->last_port == PORT_MAX);

	if (!rule->protocol)
		add(s, rule, is_host ? ACL_HOSTS : ACL_NETS, 0, 0);
	else if (all_ports)
		add(s, rule, is_host ? ACL_PROTOCOLS : ACL_NETS_PROTOCOLS, 0, 0);
	else if (!is_host)
		add_blocks(s, rule);
	else
		add(s, rule, rule->first_port == rule->last_port ? ACL_PORTS : ACL_RANGES,
			rule->first_port, rule->last_port);
}

/* Sorts, and makes one of what overlaps or follows at once: trees take no overlaps. */
static void merge(GArray *elements, uint8_t key_len)
{
	struct acl_element *at = (struct acl_element *)(void *)elements->data, *last = at;
	uint8_t next[ACL_KEY_MAX];

	g_array_sort(elements, compare_elements);
	for (guint i = 1; i < elements->len; i++) {
		if (next_key(last->last, key_len, next) && memcmp(at[i].first, next, key_len) > 0)
			*++last = at[i];
		else if (memcmp(at[i].last, last->last, key_len) > 0)
			memcpy(last->last, at[i].last, key_len);
	}
	g_array_set_size(elements, (guint)(last - at) + 1);
}

static void drop_doubles(GArray *elements)
{
	struct acl_element *at = (struct acl_element *)(void *)elements->data, *last = at;

	g_array_sort(elements, compare_elements);
	for (guint i = 1; i < elements->len; i++)
		if (compare_elements(&at[i], last))
			*++last = at[i];
	g_array_set_size(elements, (guint)(last - at) + 1);
}

/* -- sets ----------------------------------------------------------------------------------- */

static void name_set(struct acl_set *set)
{
	static const char *const kinds[] = { "hosts", "protocols", "ports", "ranges", "nets",
		"nets_protocols", "nets_ports" };
	int n = snprintf(set->name, sizeof(set->name), "%s%d_%s", set->drop ? "drop" : "accept",
		set->family == AF_INET ? 4 : 6, kinds[MIN(set->kind, ACL_NETS_PORTS)]);

	if (set->kind > ACL_NETS_PORTS)
		snprintf(set->name + n, sizeof(set->name) - (size_t)n, "%u",
			1u << (set->kind - ACL_NETS_PORTS));
}

/* Takes the elements. */
static void add_set(GArray *sets, bool drop, uint8_t family, enum acl_kind kind, GArray *elements)
{
	struct acl_set set = {
		.kind = kind,
		.drop = drop,
		.family = family,
		.key_len = (uint8_t)(address_len(family) + FIELD * has_protocol(kind) +
			FIELD * has_port(kind)),
		.elements = elements,
	};

	name_set(&set);
	if (has_intervals(kind))
		merge(elements, set.key_len);
	else
		drop_doubles(elements);
	g_array_append_val(sets, set);
}

static void clear_set(void *set)
{
	g_array_unref(((struct acl_set *)set)->elements);
}

static GArray *take_sets(struct sorting *s)
{
	GArray *sets = g_array_new(FALSE, FALSE, sizeof(struct acl_set));

	g_array_set_clear_func(sets, clear_set);
	for (int accept = 0; accept <= 1; accept++)
		for (int v6 = 0; v6 <= 1; v6++)
			for (enum acl_kind kind = 0; kind < N_ACL_KINDS; kind++)
				if (s->elements[!accept][v6][kind])
					add_set(sets, !accept, v6 ? AF_INET6 : AF_INET, kind,
						s->elements[!accept][v6][kind]);
	return sets;
}

GArray *acl_sets_new(const struct filter_rule *rules, size_t n)
{
	struct sorting s;

	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < n; i++)
		if (!is_good(&rules[i]))
			return NULL;
	for (size_t i = 0; i < n; i++)
		sort_rule(&s, &rules[i]);
	return take_sets(&s);
}

/* -- into the transaction ------------------------------------------------------------------- */

enum shape { SHAPE_HASH, SHAPE_CONCATENATION, SHAPE_TREE };

static enum shape shape_of(const struct acl_set *set)
{
	if (!has_intervals(set->kind))
		return SHAPE_HASH;
	return has_protocol(set->kind) && set->elements->len <= CONCATENATED_MAX
		? SHAPE_CONCATENATION
		: SHAPE_TREE;
}

size_t acl_set_size(const struct acl_set *set)
{
	return (size_t)set->elements->len * (shape_of(set) == SHAPE_TREE ? 2 : 1);
}

/* Types and lengths of the fields in their order. Returns their number. */
static size_t list_fields(const struct acl_set *set, uint32_t *types, uint8_t *lens)
{
	uint32_t source = set->family == AF_INET ? TYPE_IPV4 : TYPE_IPV6;
	size_t n = 0;

	if (!is_of_nets(set->kind))
		types[n++] = source;
	if (has_protocol(set->kind))
		types[n++] = TYPE_PROTOCOL;
	if (has_port(set->kind))
		types[n++] = TYPE_PORT;
	if (is_of_nets(set->kind))
		types[n++] = source;
	for (size_t i = 0; i < n; i++)
		lens[i] = types[i] == TYPE_PROTOCOL ? 1
			: types[i] == TYPE_PORT     ? 2
						    : address_len(set->family);
	return n;
}

static void put_set(struct nft_batch *b, const char *table, const struct acl_set *set, uint32_t id)
{
	static const uint32_t flags[] = {
		[SHAPE_HASH] = NFT_SET_CONSTANT,
		[SHAPE_CONCATENATION] = NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_CONCAT,
		[SHAPE_TREE] = NFT_SET_CONSTANT | NFT_SET_INTERVAL,
	};
	struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWSET, NLM_F_CREATE, SET_MESSAGE_MAX);
	enum shape shape = shape_of(set);
	struct nftnl_set *s = nftnl_set_alloc();
	uint32_t types[FIELDS_MAX], type = 0;
	uint8_t lens[FIELDS_MAX];
	size_t n = list_fields(set, types, lens);

	for (size_t i = 0; i < n; i++)
		type = type << TYPE_BITS | types[i];
	if (shape == SHAPE_TREE && n > 1)
		type = TYPE_BYTES;
	nftnl_set_set_str(s, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, set->name);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags[shape]);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, set->key_len);
	if (shape == SHAPE_CONCATENATION)
		nftnl_set_set_data(s, NFTNL_SET_DESC_CONCAT, lens, (uint32_t)n);
	/* A hash of known size is made as large as it needs to be at once. */
	if (shape == SHAPE_HASH)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, set->elements->len);
	nftnl_set_nlmsg_build_payload(nlh, s);
	nftnl_set_free(s);
	nft_batch_take(b, nlh);
}

static void put_element(struct nlmsghdr *nlh, const struct acl_set *set, enum shape shape,
	const struct acl_element *element)
{
	uint8_t end[ACL_KEY_MAX];

	nft_put_element(nlh, element->first, shape == SHAPE_CONCATENATION ? element->last : NULL,
		set->key_len, 0);
	if (shape == SHAPE_TREE && next_key(element->last, set->key_len, end))
		nft_put_element(nlh, end, NULL, set->key_len, NFT_SET_ELEM_INTERVAL_END);
}

void acl_set_put(struct nft_batch *b, const char *table, const struct acl_set *set, uint32_t id)
{
	enum shape shape = shape_of(set);

	put_set(b, table, set, id);
	for (guint i = 0; i < set->elements->len;) {
		struct nlmsghdr *nlh = nft_batch_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE,
			MESSAGE_BYTES + HEADER_MAX + 2 * NFT_ELEMENT_MAX);
		struct nlattr *list = nft_put_elements(nlh, table, set->name);

		for (; i < set->elements->len && nlh->nlmsg_len < MESSAGE_BYTES; i++)
			put_element(nlh, set, shape,
				&g_array_index(set->elements, struct acl_element, i));
		mnl_attr_nest_end(nlh, list);
		nft_batch_take(b, nlh);
	}
}
