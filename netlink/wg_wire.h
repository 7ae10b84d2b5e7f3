/* netlink/wg_wire.h - WireGuard's messages as bytes; pure, inside of wg.c, tests and fuzzers. */
#pragma once

#include <assert.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "netlink/nl.h"
#include "netlink/wg.h"

enum {
	WG_PREFIXES_PER_MSG = 128,
	/* Header, key, flags, preshared key, IPv6 endpoint, keepalive, and the nest of prefixes. */
	WG_SETTINGS_MAX = 72 + 8 + 36 + 32 + 8 + 4,
	WG_PREFIX_MAX = 40,
	WG_MSG_MAX = WG_SETTINGS_MAX + WG_PREFIXES_PER_MSG * WG_PREFIX_MAX,
	WG_ALLOWED_MAX = 1 << 20, /* of one peer that we read */
};
static_assert((int)WG_MSG_MAX <= (int)NL_MSG_MAX, "peer message too big");

/* What is the same in all peer messages about one device, up to the peer's key. */
struct wg_head {
	struct nlmsghdr nlh;
	struct genlmsghdr genl;
	struct nlattr ifindex_attr;
	uint32_t ifindex;
	struct nlattr peers_attr, peer_attr, key_attr;
	struct wg_key key;
};
static_assert(sizeof(struct wg_head) == 72, "a gap in the peer message");

/* Without sequence number and flags, which are the socket's business. */
void wg_head_init(struct wg_head *head, uint16_t family, unsigned ifindex);

/* All of these write one message to `buf`, which is aligned and has room for WG_MSG_MAX bytes, and
 * return its length, a multiple of four. */
size_t wg_build_device(
	const struct wg_head *head, const struct wg_device_config *config, void *buf);
size_t wg_build_get(const struct wg_head *head, void *buf);
/* `from` is a multiple of WG_PREFIXES_PER_MSG: the prefix to begin with. Settings are in the
 * message with from 0 only. */
size_t wg_build_peer(
	const struct wg_head *head, const struct wg_peer_config *peer, size_t from, void *buf);

/* A read device. A peer is handed out when the next one begins, since its prefixes may go on in
 * another message. */
struct wg_parse {
	wg_device_fn device_fn; /* may be NULL */
	wg_peer_fn peer_fn; /* may be NULL */
	void *user;

	bool has_device, has_peer;
	struct wg_peer_status peer;
	struct prefix *allowed;
	size_t capacity;
};

/* 0, what a callback returned, -EPROTO, or -E2BIG (a peer with too many prefixes). */
int wg_parse_message(struct wg_parse *parse, const struct nlmsghdr *nlh);
int wg_parse_end(struct wg_parse *parse); /* hands out the last peer */
void wg_parse_clear(struct wg_parse *parse);
