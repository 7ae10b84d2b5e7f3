/* ice/agent.h - the negotiation of a direct path with one peer, from candidates to the path that works (libnice).
 *
 * One object for one session with one peer; another session is another object. It opens a UDP socket with one port,
 * `port`, on each of this host's addresses that it is given, and never speaks of that port: what it announces is
 * WireGuard's port, so that the path that is found is WireGuard's. Somebody else (netlink/steer.h) makes packets go
 * that way, and leads requests with this session's ufrag to `port` before the other side knows the ufrag.
 *
 *   ice_new         makes sockets; nothing is sent yet
 *   ...             the other side is told the credentials, by an OFFER or ANSWER
 *   ice_announce    then our candidates, by ops->candidate; later ones follow by themselves
 *   ice_remote      the other side's credentials: checks begin. Its candidates may come before, and after.
 *   ops->selected   the path; perhaps again, a better one
 *   ice_free        when WireGuard has its handshake, or the session ends
 *
 * Everything happens on the default main context. Callbacks never come inside of ice_new, ice_remote,
 * ice_candidate or ice_free, and none after ice_free, which may be called inside of a callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "ice/candidate.h"
#include "ice/gather.h"

struct ice;

enum {
	ICE_UFRAG_LEN = 8, /* that of STEER_UFRAG_LEN */
	ICE_PASSWORD_LEN = 32,
	ICE_REMOTE_TEXT_MAX = 256, /* of what the other side may have for these */
	ICE_REMOTE_MAX = 64, /* candidates of the other side, extra ones included */
	ICE_ADDRESS_MAX = 8, /* of these for one address, which may be that of somebody else */
	ICE_LIMIT_MS = 12 * 1000, /* from ice_remote until there is a path */
};

struct ice_credentials {
	char ufrag[ICE_REMOTE_TEXT_MAX + 1], password[ICE_REMOTE_TEXT_MAX + 1];
};

struct ice_config {
	bool controlling;
	/* Every path that works is taken at once and a better one later: only with agents that follow, and only
	 * of interest to the controlling side. */
	bool aggressive;
	uint16_t port, announced_port;
	/* Letters and digits that nobody can guess, of just these lengths. */
	char ufrag[ICE_UFRAG_LEN + 1], password[ICE_PASSWORD_LEN + 1];
	const struct ice_local *locals;
	size_t n_locals;
	const struct prefix *overlay; /* networks that no candidate may be in */
	size_t n_overlay;
};

struct ice_path {
	enum candidate_type local, remote;
	struct endpoint endpoint; /* WireGuard's for this peer */
};

struct ice_ops {
	/* A line for the other side, without line end. */
	void (*candidate)(const char *line, void *user);
	void (*selected)(const struct ice_path *path, void *user);
	/* -ETIMEDOUT: no path within ICE_LIMIT_MS; -ECONNRESET: it does not work any more. Comes once; free it. */
	void (*failed)(int error, void *user);
};

/* `config` is not needed afterwards. 0; -EADDRINUSE: take another port; -EADDRNOTAVAIL: no local addresses. */
int ice_new(
	const struct ice_config *config, const struct ice_ops *ops, void *user, struct ice **ret);
void ice_free(struct ice *ice);

void ice_announce(struct ice *ice);
/* Where a STUN server sees our WireGuard port. */
void ice_reflexive(struct ice *ice, const struct endpoint *mapped);

/* 0; -EINVAL: they are none; -EALREADY: there are some. */
int ice_remote(struct ice *ice, const struct ice_credentials *remote);
/* A line from the other side. 0 (also when it is known); -EINVAL or -EADDRNOTAVAIL as from candidate_parse; -EPERM: one
 * that is never used; -ESTALE: of another session; -ENOBUFS: too many. */
int ice_candidate(struct ice *ice, const char *line, size_t len);
