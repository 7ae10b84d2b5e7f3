/* agent/kernel.h - everything the engine wants from the kernel: one real, one modelled for tests. */
#pragma once

#include "agent/lazy/sentinel.h"
#include "netlink/acl.h"
#include "netlink/ifaddr.h"
#include "netlink/link.h"
#include "netlink/nft.h"
#include "netlink/route.h"
#include "netlink/steer.h"
#include "netlink/wg.h"

/* What the kernel, or somebody through it, says about lazy peers. */
enum packet_kind {
	PACKET_SENTINEL, /* WireGuard sent it to a sentinel */
	PACKET_INNER, /* an inner packet from an address that is not counted came in */
	PACKET_ANSWER, /* a handshake response came from a watched endpoint */
};

struct packet {
	enum packet_kind kind;
	uint32_t slot; /* which sentinel */
	const uint8_t *data; /* sentinel: what WireGuard sent; valid during the call */
	size_t len;
	int64_t received_ns; /* sentinel: by the kernel, wall clock */
	uint16_t from_port; /* sentinel: the port that WireGuard has */
	struct endpoint from; /* the others; port 0 for an inner one */
};

typedef void (*packet_fn)(const struct packet *packet, void *user);

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
	int (*acl_apply)(void *k, const struct acl_config *config);
	int (*acl_count_refused)(void *k, const char *table, uint64_t *ret);
	int (*steer_apply)(void *k, const struct steer_config *config);
	int (*steer_set)(void *k, const char *table, const struct steer_ufrag *ufrag);
	int (*steer_unset)(void *k, const char *table, const char *ufrag);
	/* The next two are for all three tables. */
	int (*nft_remove)(void *k, const char *table);
	int (*nft_fingerprint)(void *k, const char *table, uint64_t *ret);
	int (*nft_change)(void *k, const char *table, const struct nft_change *change);
	int (*nft_counters)(void *k, const char *table, nft_counter_fn fn, void *user);
	int (*nft_heard)(void *k, const char *table, const struct endpoint *from);
	/* Hear the packets that rules log to this group; before nft_apply. */
	int (*nflog_listen)(void *k, uint16_t group);
	/* Connection tracking is loaded: packets to sentinels should be kept away from it. */
	bool (*tracks_connections)(void *k);
	int (*sentinel_set_sender)(void *k, uint16_t wireguard_port, uint32_t mark);
	int (*sentinel_take)(
		void *k, bool shared, const struct endpoint *wanted, uint32_t *ret_slot);
	void (*sentinel_release)(void *k, uint32_t slot);
	void (*sentinel_endpoint)(void *k, uint32_t slot, struct endpoint *ret);
	void (*sentinel_get_status)(void *k, struct sentinel_status *ret);
	/* What came in for sentinels and from logging rules. Returns the number of packets; to be called
	 * again until it is 0. */
	size_t (*packets_read)(void *k, packet_fn fn, void *user);
	int (*resend)(void *k, uint16_t port, uint32_t mark, const struct endpoint *to,
		const void *data, size_t len);
	int64_t (*wall_ns)(void *k); /* the clock of packet.received_ns */
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
/* How often calls have failed, by errno; what is not there is an answer, and no failure. The first few kinds. */
enum { KERNEL_ERRORS_MAX = 16 };
struct kernel_error {
	int error;
	uint64_t count;
};
size_t kernel_errors(const struct kernel *kernel, const struct kernel_error **ret);
/* Readable when packets_read has something: for poll. */
int kernel_packet_fd(const struct kernel *kernel);
