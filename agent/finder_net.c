/* agent/finder_net.c - where we are: our own addresses, and how STUN servers see us. */
#include "agent/finder_impl.h"

#include <gio/gio.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "mgmt/netmap.h"

enum {
	STUN_PORT = 3478,
	ASK_MS = 20 * 1000, /* what a server has said is good for so long */
	ADDRESSES_MAX = 256,
};

struct stun_server {
	char *name;
	uint16_t port;
	struct endpoint at; /* family 0: not known yet */
};

/* -- our own addresses ------------------------------------------------------------------------------ */

static bool is_wireguard(const char *ifname)
{
	g_autofree char *path = g_strdup_printf("/sys/class/net/%s/uevent", ifname);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) && strstr(text, "DEVTYPE=wireguard");
}

static bool to_address(const struct sockaddr *sa, struct prefix *ret)
{
	struct endpoint at;
	size_t len;

	if (!sa || (sa->sa_family != AF_INET && sa->sa_family != AF_INET6))
		return false;
	len = sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (endpoint_from_sockaddr(sa, len, &at) < 0)
		return false;
	*ret = (struct prefix){ .family = at.family, .bits = at.family == AF_INET ? 32 : 128 };
	memcpy(ret->addr, at.addr, sizeof(ret->addr));
	return true;
}

size_t finder_locals(const struct finder *f, struct ice_local ret[static GATHER_MAX])
{
	g_autofree struct gather_address *found = g_new0(struct gather_address, ADDRESSES_MAX);
	struct prefix overlay[FINDER_OVERLAYS];
	const struct gather_policy policy = { .blacklist = f->gathering.blacklist,
		.overlay = overlay,
		.n_overlay = finder_overlays(f, overlay),
		.maps = f->gathering.maps,
		.n_maps = f->gathering.n_maps };
	struct ifaddrs *list;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return 0;
	for (const struct ifaddrs *i = list; i && n < ADDRESSES_MAX; i = i->ifa_next) {
		if (!to_address(i->ifa_addr, &found[n].address))
			continue;
		g_strlcpy(found[n].ifname, i->ifa_name, sizeof(found[n].ifname));
		found[n].is_up = i->ifa_flags & IFF_UP;
		found[n].is_wireguard = is_wireguard(i->ifa_name);
		n++;
	}
	freeifaddrs(list);
	return gather_locals(&policy, found, n, ret);
}

void finder_set_gathering(struct finder *f, const struct finder_gathering *how)
{
	f->gathering = *how;
	/* The host is where it was: no reason to negotiate anything anew. */
	if (f->n_locals)
		f->n_locals = finder_locals(f, f->locals);
}

size_t finder_overlays(const struct finder *f, struct prefix ret[static FINDER_OVERLAYS])
{
	const struct netmap *map = engine_map(f->engine);
	size_t n = 0;

	for (size_t i = 0; map && i < G_N_ELEMENTS(map->networks) && n < FINDER_OVERLAYS; i++)
		if (map->networks[i].family)
			ret[n++] = map->networks[i];
	return n;
}

bool finder_may_send_to(const struct finder *f, const struct candidate *c)
{
	struct prefix overlay[FINDER_OVERLAYS];

	return !candidate_refusal(c, overlay, finder_overlays(f, overlay));
}

/* -- STUN servers ------------------------------------------------------------------------------------ */

static void clear_server(gpointer data)
{
	g_free(((struct stun_server *)data)->name);
}

static struct stun_server *server_at(const struct finder *f, guint i)
{
	return &g_array_index(f->servers, struct stun_server, i);
}

static void resolved(
	uint32_t id, const struct endpoint *addresses, size_t n, const char *error, void *user)
{
	struct finder *f = user;

	if (id >= f->servers->len)
		return;
	if (!n)
		return log_debug("STUN server %s: %s", server_at(f, id)->name, error);
	server_at(f, id)->at = addresses[0];
	server_at(f, id)->at.port = server_at(f, id)->port;
	f->asked_ms = 0;
	if (g_hash_table_size(f->agents)) /* somebody waits for it */
		finder_ask_servers(f);
}

/* "stun:HOST[:PORT]"; more may stand behind a question mark. */
static bool parse_uri(const char *uri, struct stun_server *ret)
{
	const char *host = g_str_has_prefix(uri, "stun:") ? uri + 5 : NULL;
	g_autofree char *text = host ? g_strndup(host, strcspn(host, "?")) : NULL;
	g_autoptr(GSocketConnectable) address = NULL;

	if (!text)
		return false;
	address = g_network_address_parse(text, STUN_PORT, NULL);
	if (!address)
		return false;
	ret->name = g_strdup(g_network_address_get_hostname(G_NETWORK_ADDRESS(address)));
	ret->port = g_network_address_get_port(G_NETWORK_ADDRESS(address));
	return true;
}

void finder_set_servers(struct finder *f, const char *const *uris, size_t n)
{
	g_autofree char *said = n ? g_strjoinv(" ", (char **)(uintptr_t)uris) : g_strdup("");

	if (!g_strcmp0(said, f->said_servers))
		return;
	g_free(f->said_servers);
	f->said_servers = g_steal_pointer(&said);
	resolve_free(f->resolve);
	f->resolve = resolve_new(resolved, f);
	g_array_set_size(f->servers, 0);
	f->asked_ms = 0;
	for (size_t i = 0; i < n && f->servers->len < BINDING_SERVERS_MAX; i++) {
		struct stun_server server = { .name = NULL };

		if (!parse_uri(uris[i], &server))
			continue;
		g_array_append_val(f->servers, server);
	}
	for (guint i = 0; i < f->servers->len; i++)
		resolve_start(f->resolve, i, server_at(f, i)->name);
}

void finder_ask_servers(struct finder *f)
{
	int64_t now_ms = finder_now_ms();
	struct endpoint at[BINDING_SERVERS_MAX];
	size_t n = 0;

	if (!f->binding || (f->asked_ms && now_ms - f->asked_ms < ASK_MS))
		return;
	for (guint i = 0; i < f->servers->len; i++)
		if (server_at(f, i)->at.family)
			at[n++] = server_at(f, i)->at;
	if (!n)
		return;
	f->asked_ms = now_ms;
	f->n_mapped = 0;
	binding_ask(f->binding, at, n);
}

/* -- life -------------------------------------------------------------------------------------------- */

void finder_net_open(struct finder *f)
{
	f->servers = g_array_new(FALSE, FALSE, sizeof(struct stun_server));
	g_array_set_clear_func(f->servers, clear_server);
}

void finder_net_close(struct finder *f)
{
	resolve_free(f->resolve);
	g_array_unref(f->servers);
	g_free(f->said_servers);
}
