/* netlink/wg.h - settings and peers of kernel WireGuard devices, by interface index. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/key.h"

struct wg;

struct wg_device_config {
	const struct wg_key *private_key; /* NULL: leave as it is */
	int listen_port; /* -1: leave as it is */
	int64_t fwmark; /* -1: leave as it is; 0: none */
	bool replace_peers; /* removes all peers, cheaply */
};

struct wg_peer_config {
	struct wg_key public_key;
	const struct wg_key *preshared_key; /* NULL: leave as it is; all zero: none */
	const struct endpoint *endpoint; /* NULL: leave as it is */
	int keepalive; /* seconds; 0 off; -1 leave as it is */
	const struct prefix *allowed;
	size_t n_allowed;
	bool replace_allowed; /* `allowed` is the whole set, not an addition */
	bool update_only; /* never creates the peer */
	bool remove; /* everything else but the key is ignored */
};

struct wg_device_status {
	unsigned ifindex;
	struct wg_key public_key; /* all zero: none */
	struct wg_key private_key; /* wiped by wg_read when it returns */
	uint16_t listen_port;
	uint32_t fwmark;
};

struct wg_peer_status {
	struct wg_key public_key;
	struct wg_key preshared_key; /* all zero: none; wiped after the callback */
	struct endpoint endpoint; /* family 0: none yet */
	uint16_t keepalive;
	int64_t last_handshake_s; /* wall clock; 0: never */
	int64_t last_handshake_nsec; /* and part of a second */
	uint64_t rx_bytes, tx_bytes;
	const struct prefix *allowed; /* valid during the callback */
	size_t n_allowed;
};

typedef int (*wg_device_fn)(const struct wg_device_status *device, void *user);
typedef int (*wg_peer_fn)(const struct wg_peer_status *peer, void *user);

/* 0 or a negative errno. -ENOENT from wg_open: this kernel has no WireGuard (module missing). */
int wg_open(struct wg **ret);
void wg_close(struct wg *wg);

int wg_set_device(struct wg *wg, unsigned ifindex, const struct wg_device_config *config);

/* One request per peer (more only for peers with very many prefixes), 64 requests per send.
 * results[i] tells of peer i; the others are applied all the same. The return value is negative
 * only when the transport failed. */
int wg_set_peers(struct wg *wg, unsigned ifindex, const struct wg_peer_config *peers, size_t n,
	int *results);

/* `device_fn` once (may be NULL), then `peer_fn` for each peer, each complete and once. -EINTR: the
 * device changed meanwhile, start again. Buffers that held keys are wiped. */
int wg_read(
	struct wg *wg, unsigned ifindex, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user);
const char *wg_error_text(const struct wg *wg);
