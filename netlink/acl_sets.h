/* netlink/acl_sets.h - rules as elements of sets; inside of acl.c and its tests.
 *
 * A source that is one address is looked up together with protocol and port, in hashes; only ranges of
 * ports need a tree. Of networks the address comes last in the key, so that each is one interval of a tree,
 * and a range of ports becomes aligned blocks with a set for each size of block: trees compare keys byte
 * by byte, and an interval is one only in the last field that is not fixed. No set costs more than the
 * logarithm of its elements. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/filter.h"

struct nft_batch;

enum { ACL_PORT_BITS = 16, ACL_NAME_MAX = 32, ACL_KEY_MAX = 4 + 4 + 16 };

enum acl_kind {
	ACL_HOSTS, /* source */
	ACL_PROTOCOLS, /* source . protocol */
	ACL_PORTS, /* source . protocol . port */
	ACL_RANGES, /* the same, intervals of ports */
	ACL_NETS, /* source; from here on intervals of addresses */
	ACL_NETS_PROTOCOLS, /* protocol . source */
	ACL_NETS_PORTS, /* protocol . block of 2^0 ports . source, then those of 2^1, ... */
	N_ACL_KINDS = ACL_NETS_PORTS + ACL_PORT_BITS,
};

/* Both ends included; a single value in the kinds that have no intervals. */
struct acl_element {
	uint8_t first[ACL_KEY_MAX], last[ACL_KEY_MAX];
};

struct acl_set {
	char name[ACL_NAME_MAX]; /* "accept4_ports" */
	enum acl_kind kind;
	bool drop;
	uint8_t family, key_len;
	GArray *elements; /* struct acl_element: sorted, apart from each other; never empty */
};

/* The sets that these rules need (struct acl_set): drop before accept, and as the kinds are ordered. NULL: a
 * rule is none. Freed by g_array_unref. */
GArray *acl_sets_new(const struct filter_rule *rules, size_t n);
/* How many elements the kernel is given: begin and end of an interval are two in a tree. */
size_t acl_set_size(const struct acl_set *set);
/* The set with its elements, which nobody can change once a rule uses it. `id` is its own in the batch. */
void acl_set_put(struct nft_batch *b, const char *table, const struct acl_set *set, uint32_t id);
