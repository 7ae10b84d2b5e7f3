/* agent/tune/host_wireguard.c - the WireGuard interface, and how many peers it has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/tune/host_impl.h"
#include "agent/tune/knob.h"
#include "netlink/wg.h"

#define CLASS "/sys/class/net"

enum {
	UP_S = 180, /* WireGuard drops a session that is older */
	TRIES = 3, /* at a device that changes while it is read */
};

/* -- which one ------------------------------------------------------------------------------ */

bool host_is_wireguard(const struct tree *tree, const char *name)
{
	g_autofree char *path = g_strconcat(CLASS "/", name, "/uevent", NULL), *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (tree_read(tree, path, &text) < 0)
		return false;
	lines = g_strsplit(text, "\n", 16);
	return g_strv_contains((const char *const *)lines, "DEVTYPE=wireguard");
}

static bool is_tun(const struct tree *tree, const char *name)
{
	g_autofree char *path = g_strconcat(CLASS "/", name, "/tun_flags", NULL);

	return tree_exists(tree, path);
}

/* The only one, or that of the usual name. */
static bool find_kernel(const struct tree *tree, char *ret)
{
	g_autoptr(GPtrArray) names = host_devices(tree);
	unsigned n = 0;

	for (guint i = 0; names && i < names->len; i++) {
		if (!host_is_wireguard(tree, names->pdata[i]))
			continue;
		n++;
		g_strlcpy(ret, names->pdata[i], IFNAMSIZ);
		if (strcmp(ret, "wt0") == 0)
			return true;
	}
	return n == 1;
}

static bool find_userspace(const struct tree *tree, char *ret)
{
	static const char *const usual[] = { "wt0", "wg0" };

	for (size_t i = 0; i < G_N_ELEMENTS(usual); i++)
		if (is_tun(tree, usual[i])) {
			g_strlcpy(ret, usual[i], IFNAMSIZ);
			return true;
		}
	return false;
}

/* -- its peers ------------------------------------------------------------------------------ */

static int note_device(const struct wg_device_status *device, void *user)
{
	struct scan *s = user;

	s->fwmark = device->fwmark;
	return 0;
}

static int note_peer(const struct wg_peer_status *peer, void *user)
{
	struct scan *s = user;
	struct host *h = s->host;

	h->n_peers++;
	h->n_peers_up += peer->last_handshake_s && time(NULL) - peer->last_handshake_s <= UP_S;
	h->outer_ipv6 |= peer->endpoint.family == AF_INET6;
	if (peer->endpoint.family && s->n_endpoints < SCAN_ENDPOINTS_MAX)
		s->endpoints[s->n_endpoints++] = peer->endpoint;
	return 0;
}

static void read_peers(struct scan *s, const char *name)
{
	unsigned ifindex = if_nametoindex(name);
	int r = -EINTR;
	struct wg *wg;

	if (ifindex == 0 || wg_open(&wg) < 0)
		return;
	for (int i = 0; r == -EINTR && i < TRIES; i++) {
		s->host->n_peers = s->host->n_peers_up = s->n_endpoints = 0;
		s->host->outer_ipv6 = false;
		r = wg_read(wg, ifindex, note_device, note_peer, s);
	}
	wg_close(wg);
}

/* Of a made-up host: "PEERS UP ipv4". */
static void read_peers_file(struct scan *s, const char *name)
{
	g_autofree char *path = g_strdup_printf("wireguard/%s/peers", name), *text = NULL;
	struct host *h = s->host;
	char family[8];

	if (tree_read(s->tree, path, &text) == 0 &&
		sscanf(text, "%u %u %7s", &h->n_peers, &h->n_peers_up, family) == 3)
		h->outer_ipv6 = strcmp(family, "ipv6") == 0;
}

static bool may_be(const struct tree *tree, const char *name)
{
	return host_is_wireguard(tree, name) || is_tun(tree, name);
}

static int check_wish(struct scan *s, const char *wish)
{
	g_autoptr(GPtrArray) names = host_devices(s->tree);
	int n;

	for (guint i = names ? names->len : 0; i-- > 0;)
		if (!may_be(s->tree, names->pdata[i]))
			g_ptr_array_remove_index(names, i);
	for (guint i = 0; names && i < names->len; i++)
		if (!strcmp(names->pdata[i], wish))
			return 0;
	n = g_snprintf(s->error, HOST_TEXT_MAX, "there is no WireGuard interface '%.32s'", wish);
	if (names && names->len) {
		g_ptr_array_add(names, NULL);
		g_snprintf(s->error + n, (gulong)(HOST_TEXT_MAX - n), "; did you mean '%s'?",
			nearest_name(wish, (const char *const *)names->pdata));
	}
	return -ENODEV;
}

int host_scan_wireguard(struct scan *s, const char *wish)
{
	struct host *h = s->host;
	char name[IFNAMSIZ];

	if (wish) {
		if (check_wish(s, wish) < 0)
			return -ENODEV;
		g_strlcpy(name, wish, sizeof(name));
		h->userspace = is_tun(s->tree, wish);
	} else if (!find_kernel(s->tree, name)) {
		h->userspace = find_userspace(s->tree, name);
		if (!h->userspace)
			return 0;
	}
	h->wireguard = host_nic_read(s, name);
	if (h->userspace)
		return 0;
	if (tree_is_real(s->tree))
		read_peers(s, name);
	else
		read_peers_file(s, name);
	return 0;
}
