/* agent/kernel.h - everything the engine wants from the kernel: one real, one modelled for tests. */
#pragma once

#include "netlink/ifaddr.h"
#include "netlink/link.h"
#include "netlink/nft.h"
#include "netlink/route.h"
#include "netlink/wg.h"

/* Calls are synchronous and short; contracts as in the netlink headers. `k` is the kernel itself. */
struct kernel_ops {
	int (*link_get)(void *k, unsigned index, struct link_info *ret);
	int (*link_get_by_name)(void *k, const char *name, struct link_info *ret);
	int (*link_foreach_wireguard)(void *k, link_fn fn, void *user);
	int (*link_create)(void *k, const char *name, unsigned *ret_index);
	int (*link_delete)(void *k, unsigned index);
	int (*link_set)(void *k, unsigned index, const struct link_change *change);
	int (*addr_foreach)(void *k, unsigned index, ifaddr_fn fn, void *user);
	int (*addr_add)(void *k, unsigned index, const struct prefix *address);
	int (*addr_remove)(void *k, unsigned index, const struct prefix *address);
	int (*route_foreach)(void *k, unsigned index, route_fn fn, void *user);
	int (*route_add)(void *k, const struct route *route);
	int (*route_remove)(void *k, const struct route *route);
	int (*rule_foreach)(void *k, rule_fn fn, void *user);
	int (*rule_add)(void *k, const struct rule *rule);
	int (*rule_remove)(void *k, const struct rule *rule);
	int (*route_path)(void *k, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu,
		unsigned *ret_ifindex);
	int (*wg_set_device)(void *k, unsigned index, const struct wg_device_config *config);
	int (*wg_set_peers)(void *k, unsigned index, const struct wg_peer_config *peers, size_t n,
		int *results);
	int (*wg_read)(
		void *k, unsigned index, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user);
	int (*nft_apply)(void *k, const struct nft_config *config);
	int (*nft_remove)(void *k, const char *table);
	int (*nft_fingerprint)(void *k, const char *table, uint64_t *ret);
	/* Strict reverse path filtering is on and does not look at marks, so that answers to our own
	 * packets would be dropped where a default route of ours leads elsewhere. */
	bool (*filter_ignores_marks)(void *k);
	/* Who holds a UDP port, for people: "wg0 (WireGuard)" or "named (pid 12)"; "" when unknown. */
	void (*port_owner)(void *k, uint16_t port, char *buf, size_t len);
	/* The kernel's words about the last failure; "" when it had none. */
	const char *(*error_text)(void *k);
};

struct kernel {
	const struct kernel_ops *ops;
	void *impl;
};

/* The running kernel. Parts that it lacks answer -EOPNOTSUPP later; only a missing routing socket
 * is fatal. */
int kernel_open(struct kernel **ret);
void kernel_close(struct kernel *kernel);
