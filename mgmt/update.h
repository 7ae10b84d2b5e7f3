/* mgmt/update.h - what a management server says, from bytes to values. Pure, limited.
 *
 * A part that is broken is left out and noted (see detail.h), the rest is taken; only bytes that are no
 * such message fail. Text that goes into an update is UTF-8 without control characters. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

struct detail;
struct netmap;

enum {
	UPDATE_SIZE_MAX = 64 * 1024 * 1024,
	UPDATE_ERROR_MAX = 256,
	UPDATE_SERVERS_MAX = 32, /* of a kind */
	UPDATE_FILES_MAX = 256, /* paths that a server asks about */
	UPDATE_RULES_MAX = 65536,
	UPDATE_ROUTES_MAX = 65536,
};

struct update_server {
	char *uri; /* as the server wrote it: "stun:host:3478", "rels://host:443" */
	char *user, *password; /* TURN; NULL: none */
};

/* NetbirdConfig. Lists that are empty mean "as before" for STUN and TURN, "none" for relays. */
struct update_servers {
	struct {
		char *host; /* "host:port"; NULL: not said */
		bool tls;
	} signal;
	struct update_server *stuns, *turns, *relays;
	size_t n_stuns, n_turns, n_relays;
	char *relay_payload, *relay_signature;
	bool has_relay;
	/* Whether measurements are to be sent to a server of metrics; has_metrics: it is said. */
	bool has_metrics, metrics;
};

struct update {
	struct update_servers *servers; /* NULL: nothing changes */
	struct netmap
		*map; /* NULL: no map in this message. A LoginResponse gives one with us alone */
	struct detail *detail; /* with the map */
	uint64_t serial;
	bool has_checks; /* `files` is the server's present wish */
	char **files; /* NULL-terminated, sorted, without duplicates */
	int64_t session_expires_s; /* wall clock; 0: no such thing; -1: not said */
};

struct update_limits {
	const struct wg_key *own; /* our public key */
	size_t max_peers;
	int64_t now_s; /* wall clock: which deadlines can be */
	/* The map of an earlier message, or NULL: what did not change since is copied from it. What
	 * mgmt/netmap_local.c wrote there does not matter. */
	const struct netmap *last;
};

/* Plain bytes of a SyncResponse or LoginResponse. 0; -EPROTO: no such message; -E2BIG: more peers than
 * allowed; -EINVAL: our own address is missing or wrong. One line in `error`; *ret is untouched then. */
int update_from_sync(const uint8_t *plain, size_t len, const struct update_limits *limits,
	struct update **ret, char error[static UPDATE_ERROR_MAX]);
int update_from_login(const uint8_t *plain, size_t len, const struct update_limits *limits,
	struct update **ret, char error[static UPDATE_ERROR_MAX]);
void update_free(struct update *update); /* wipes credentials; NULL is fine */

/* What the server says anew takes the place of what it said before; takes both, returns what is known
 * now. `known` NULL: nothing was. Which signal server it is, logins say. */
struct update_servers *update_servers_merge(
	struct update_servers *known, struct update_servers *said, bool from_login);
void update_servers_free(struct update_servers *servers); /* wipes credentials; NULL is fine */
