/* mgmt/profile.c - the table of a profile's members, a new profile, and what of one has an effect here. */
#include "mgmt/profile.h"

#include <string.h>

#include "agent/base/auto.h"
#include "mgmt/profile_impl.h"

#define AT(name) offsetof(struct profile, name)
#define KEPT(member, kind_, name) \
	{ \
		.key = member, .kind = kind_, .offset = AT(name) \
	}
#define FLAG(member, name, why) \
	{ \
		.key = member, .kind = PROFILE_BOOL, .offset = AT(name), .instead = why \
	}
#define SWITCH(member, name) \
	{ \
		.key = member, .kind = PROFILE_SWITCH, .offset = AT(name), .number = PROFILE_UNSET \
	}

#define INTERFACES "wt0 wt utun tun0 zt ZeroTier wg ts Tailscale tailscale docker veth br- lo"

/* In the order in which they are written. */
const struct profile_member profile_members[PROFILE_MEMBERS] = {
	KEPT("Name", PROFILE_STRING, name),
	{ .key = "PrivateKey", .kind = PROFILE_KEY, .offset = AT(private_key), .imported = true },
	{ .key = "PreSharedKey",
		.kind = PROFILE_KEY,
		.offset = AT(preshared_key),
		.imported = true },
	{ .key = "ManagementURL",
		.kind = PROFILE_URL,
		.offset = AT(management_url),
		.text = "https://api.netbird.io:443",
		.imported = true },
	{ .key = "AdminURL",
		.kind = PROFILE_URL,
		.offset = AT(admin_url),
		.text = "https://app.netbird.io:443" },
	{ .key = "WgIface",
		.kind = PROFILE_STRING,
		.offset = AT(interface),
		.text = "wt0",
		.imported = true },
	{ .key = "WgPort",
		.kind = PROFILE_INT,
		.offset = AT(listen_port),
		.number = 51820,
		.max = UINT16_MAX,
		.imported = true },
	{ .key = "MTU",
		.kind = PROFILE_INT,
		.offset = AT(mtu),
		.number = 1280,
		.max = UINT16_MAX,
		.imported = true },
	SWITCH("NetworkMonitor", network_monitor),
	{ .key = "IFaceBlackList",
		.kind = PROFILE_LIST,
		.offset = AT(ignored_interfaces),
		.text = INTERFACES,
		.imported = true },
	FLAG("DisableIPv6Discovery", disable_ipv6_discovery,
		"nothing: IPv6 is tried where the host has it"),
	FLAG("DisableIPv6", disable_ipv6, "nothing: the server says which addresses there are"),
	FLAG("RosenpassEnabled", rosenpass, "nothing: peers that insist on it are not reached"),
	FLAG("RosenpassPermissive", rosenpass_permissive, NULL),
	FLAG("ServerSSHAllowed", ssh_server, "the host's own sshd"),
	SWITCH("EnableSSHRoot", ssh_root),
	SWITCH("EnableSSHSFTP", ssh_sftp),
	SWITCH("EnableSSHLocalPortForwarding", ssh_local_forwarding),
	SWITCH("EnableSSHRemotePortForwarding", ssh_remote_forwarding),
	SWITCH("DisableSSHAuth", disable_ssh_auth),
	{ .key = "SSHJWTCacheTTL",
		.kind = PROFILE_INT_OR_NULL,
		.offset = AT(ssh_token_ttl),
		.number = PROFILE_UNSET,
		.max = INT32_MAX },
	{ .key = "SSHKey", .kind = PROFILE_STRING, .offset = AT(ssh_key) },
	FLAG("DisableClientRoutes", disable_client_routes, "policy.routes in lapwing.json, as []"),
	FLAG("DisableServerRoutes", disable_server_routes, NULL),
	FLAG("DisableDNS", disable_dns, NULL),
	FLAG("DisableFirewall", disable_firewall, "policy.firewall in lapwing.json, as off"),
	FLAG("BlockLANAccess", block_lan, "the rules of the network"),
	FLAG("BlockInbound", block_inbound, "the rules of the network, or of the host's firewall"),
	{ .key = "SyncMessageVersion",
		.kind = PROFILE_INT_OR_NULL,
		.offset = AT(sync_message_version),
		.number = PROFILE_UNSET,
		.max = INT32_MAX },
	{ .key = "DNSLabels",
		.kind = PROFILE_LIST,
		.offset = AT(dns_labels),
		.instead = "management.dns_labels in lapwing.json" },
	{ .key = "NATExternalIPs",
		.kind = PROFILE_LIST,
		.offset = AT(external_ips),
		.imported = true },
	{ .key = "CustomDNSAddress",
		.kind = PROFILE_STRING,
		.offset = AT(dns_address),
		.instead = "nothing: no name server is run" },
	{ .key = "DNSRouteInterval",
		.kind = PROFILE_INT,
		.offset = AT(dns_route_interval),
		.number = INT64_C(60000000000),
		.max = INT64_MAX },
	FLAG("DisableAutoConnect", disable_auto_connect, "lapwing down"),
	{ .key = "DisableNotifications",
		.kind = PROFILE_BOOL,
		.offset = AT(disable_notifications),
		.number = true },
	KEPT("ClientCertPath", PROFILE_STRING, client_cert),
	KEPT("ClientCertKeyPath", PROFILE_STRING, client_cert_key),
};

void profile_init(struct profile *profile)
{
	*profile = (struct profile){ 0 };
	for (size_t i = 0; i < PROFILE_MEMBERS; i++) {
		const struct profile_member *m = &profile_members[i];
		void *at = profile_at(profile, m);

		switch (m->kind) {
		case PROFILE_BOOL:
			*(bool *)at = m->number != 0;
			break;
		case PROFILE_SWITCH:
		case PROFILE_INT:
		case PROFILE_INT_OR_NULL:
			*(int64_t *)at = m->number;
			break;
		case PROFILE_STRING:
		case PROFILE_URL:
			*(char **)at = g_strdup(m->text ? m->text : "");
			break;
		case PROFILE_LIST:
			*(char ***)at = g_strsplit(m->text ? m->text : "", " ", -1);
			break;
		case PROFILE_KEY:
			break;
		}
	}
}

static void free_wiped(char *text)
{
	explicit_bzero(text, strlen(text));
	g_free(text);
}

void profile_done(struct profile *profile)
{
	for (size_t i = 0; i < PROFILE_MEMBERS; i++) {
		const struct profile_member *m = &profile_members[i];
		void *at = profile_at(profile, m);

		if (m->kind == PROFILE_LIST)
			g_strfreev(*(char ***)at);
		else if (m->kind == PROFILE_STRING || m->kind == PROFILE_URL)
			free_wiped(*(char **)at);
	}
	explicit_bzero(profile, sizeof(*profile));
}

static size_t size_of(enum profile_kind kind)
{
	switch (kind) {
	case PROFILE_BOOL:
		return sizeof(bool);
	case PROFILE_SWITCH:
	case PROFILE_INT:
	case PROFILE_INT_OR_NULL:
		return sizeof(int64_t);
	case PROFILE_STRING:
	case PROFILE_URL:
	case PROFILE_LIST:
		return sizeof(void *);
	case PROFILE_KEY:
		return sizeof(struct wg_key);
	}
	return 0;
}

void profile_swap_peer(struct profile *into, struct profile *from)
{
	_auto_wipe_ struct wg_key held; /* the largest */

	for (size_t i = 0; i < PROFILE_MEMBERS; i++) {
		const struct profile_member *m = &profile_members[i];
		void *a = profile_at(into, m), *b = profile_at(from, m);
		size_t size = size_of(m->kind);

		if (!m->imported)
			continue;
		memcpy(&held, a, size);
		memcpy(a, b, size);
		memcpy(b, &held, size);
	}
}

/* -- what it comes to ------------------------------------------------------------------------- */

static bool was_given(const struct profile *profile, size_t i)
{
	return profile->given >> i & 1;
}

static bool is_none(const struct profile_member *m, const void *at)
{
	if (m->kind == PROFILE_LIST)
		return !**(char **const *)at;
	return m->kind == PROFILE_KEY && key_is_zero(at);
}

char **profile_imported(const struct profile *profile)
{
	g_autoptr(GPtrArray) keys = g_ptr_array_new();

	for (size_t i = 0; i < PROFILE_MEMBERS; i++) {
		const struct profile_member *m = &profile_members[i];

		if (m->imported && was_given(profile, i) && !is_none(m, profile_at(profile, m)))
			g_ptr_array_add(keys, g_strdup(m->key));
	}
	g_ptr_array_add(keys, NULL);
	return (char **)g_ptr_array_steal(keys, NULL);
}

/* A member that could have an effect is one of these kinds. */
static char *value_text(const struct profile_member *m, const void *at)
{
	if (m->kind == PROFILE_BOOL)
		return g_strdup(*(const bool *)at ? "true" : "");
	if (m->kind == PROFILE_INT)
		return g_strdup_printf("%" G_GINT64_FORMAT, *(const int64_t *)at);
	if (m->kind == PROFILE_LIST)
		return g_strjoinv(" ", *(char **const *)at);
	return g_strdup(*(char *const *)at);
}

/* What it says, where that is not what it would be anyhow; NULL: it is. */
static char *unusual(const struct profile_member *m, const void *at, const void *usual_at)
{
	g_autofree char *value = value_text(m, at), *usual = value_text(m, usual_at);

	return strcmp(value, usual) ? g_steal_pointer(&value) : NULL;
}

char **profile_ignored(const struct profile *profile)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new();
	struct profile usual;

	profile_init(&usual);
	for (size_t i = 0; i < PROFILE_MEMBERS; i++) {
		const struct profile_member *m = &profile_members[i];
		g_autofree char *value = NULL;

		if (m->instead && was_given(profile, i))
			value = unusual(m, profile_at(profile, m), profile_at(&usual, m));
		if (value)
			g_ptr_array_add(lines,
				g_strdup_printf("%s: %s; instead: %s", m->key, value, m->instead));
	}
	profile_done(&usual);
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_steal(lines, NULL);
}
