/* mgmt/profile.h - the NetBird agent's profile: what makes a host the peer that it is. Pure.
 *
 * A profile that was read and is written again means the same to that agent, but for keys that are not
 * known here. */
#pragma once

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"

enum {
	PROFILE_SIZE_MAX = 64 * 1024,
	PROFILE_ERROR_MAX = 256,
	PROFILE_LIST_MAX = 256,
	PROFILE_UNSET = -1, /* of members that may be null */
};

struct profile {
	struct wg_key private_key;
	struct wg_key preshared_key; /* with all peers; zero: none */
	char *management_url, *admin_url; /* "https://api.netbird.io:443" */
	char *interface;
	int64_t listen_port, mtu;
	char **dns_labels, **external_ips, **ignored_interfaces; /* NULL-terminated */
	char *ssh_key; /* PEM, as it was; "": none */
	bool disable_ipv6, disable_dns, disable_client_routes, disable_server_routes;
	bool disable_firewall, block_lan, block_inbound, rosenpass, rosenpass_permissive;
	bool disable_ipv6_discovery, ssh_server, disable_auto_connect, disable_notifications;
	/* Only kept, for the way back. */
	char *name, *dns_address, *client_cert, *client_cert_key;
	int64_t dns_route_interval, sync_message_version, ssh_token_ttl;
	int64_t network_monitor, ssh_root, ssh_sftp, ssh_local_forwarding, ssh_remote_forwarding;
	int64_t disable_ssh_auth;
	uint64_t given; /* which members there were, in the order of the table */
};

/* A new one, as that agent would make it, but without a private key. */
void profile_init(struct profile *profile);
/* 0, or -EINVAL with one line "line 3: WgPort: ..." in `error`; *ret is untouched then. Unknown keys are
 * passed over. The private key has to be there. */
int profile_parse(
	const char *text, size_t len, struct profile *ret, char error[static PROFILE_ERROR_MAX]);
void profile_done(struct profile *profile); /* wipes it */

/* All of it as compact JSON on one line, and the form of such a text that the agent has on disk. Both are
 * made with room enough to leave no copies behind; free with profile_text_free. */
GString *profile_format(const struct profile *profile);
GString *profile_indent(const char *json, size_t len);
void profile_text_free(GString *text); /* wipes it; NULL is fine */

/* Puts the members that make the peer in the place of those of another profile; `from` gets what was there. */
void profile_swap_peer(struct profile *into, struct profile *from);

/* The keys of members that become part of this host, and a line for each that was set and has no effect
 * here ("WgPort: 51821, ..."), which says what does it instead. NULL-terminated; free with g_strfreev. */
char **profile_imported(const struct profile *profile);
char **profile_ignored(const struct profile *profile);
