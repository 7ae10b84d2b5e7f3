/* netlink/link.h - network interfaces. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

struct nl;

enum { LINK_KIND_MAX = 16, LINK_ALIAS_MAX = 256 };

struct link_info {
	unsigned index;
	char name[IFNAMSIZ];
	char kind[LINK_KIND_MAX]; /* "wireguard"; "" for hardware */
	char alias[LINK_ALIAS_MAX];
	uint32_t mtu;
	bool up; /* administratively */
};

/* What to change; everything else stays. */
struct link_change {
	const char *name; /* NULL: leave */
	const char *alias; /* NULL: leave */
	uint32_t mtu; /* 0: leave */
	int up; /* -1: leave, 0 down, 1 up */
};

typedef int (*link_fn)(const struct link_info *link, void *user);

/* `nl` is a NETLINK_ROUTE socket. 0 or a negative errno; -ENODEV: no such interface. */
int link_get(struct nl *nl, unsigned index, struct link_info *ret);
int link_get_by_name(struct nl *nl, const char *name, struct link_info *ret);
/* -EOPNOTSUPP: the kernel does not know this kind. Reads back the index. */
int link_create(struct nl *nl, const char *name, const char *kind, unsigned *ret_index);
int link_delete(struct nl *nl, unsigned index);
int link_set(struct nl *nl, unsigned index, const struct link_change *change);
/* All links of one kind, filtered by the kernel. */
int link_foreach(struct nl *nl, const char *kind, link_fn fn, void *user);
