/* agent/membership.h - which network this host has joined: the file "network.json" of the state directory. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

enum {
	MEMBERSHIP_SIZE_MAX = 32 * 1024,
	MEMBERSHIP_TEXT_MAX = 1024,
	MEMBERSHIP_STUNS_MAX = 8,
	MEMBERSHIP_STUN_MAX = 256
};

struct membership {
	char *url; /* of the management server, as mgmt_url_parse makes it; NULL: none joined */
	char *address; /* where that server was last; NULL: unknown */
	char *signal; /* the signal server that it has named last, as a URL; NULL: none yet */
	char **stuns; /* URIs of STUN servers that it has named last; NULL: none yet */
	char *hostname; /* under which we registered; NULL: the host's own */
	bool has_server_key; /* over cleartext only: the key that is trusted */
	struct wg_key server_key;
	/* What another agent's profile said about this host; unset: as always. */
	char interface[IFNAMSIZ];
	uint16_t listen_port, mtu;
	char **external_ips, **interfaces_exclude; /* as in lapwing.json, which goes before */
	bool has_psk; /* one pre-shared key for all peers, in the file "network.psk" */
};

/* 0, -ENOENT: no network joined. A damaged file is moved aside and reads as none. */
int membership_load(const char *state_dir, struct membership *ret);
int membership_save(const char *state_dir, const struct membership *m);
int membership_remove(const char *state_dir);
void membership_done(struct membership *m);
