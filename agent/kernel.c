/* agent/kernel.c - the running kernel behind the engine's calls. */
#include "agent/kernel.h"

#include <errno.h>
#include <glib.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "netlink/nl.h"

struct running {
	struct kernel kernel;
	struct nl *route;
	struct wg *wg; /* NULL: not there yet; tried again at each call */
	struct nft *nft;
	enum { SAID_ROUTE, SAID_WG, SAID_NFT } said; /* whose words the last failure has */
};

/* Each call goes to the routing socket, whose words count if it fails. */
#define ON_ROUTE(fn, parameters, ...) \
	static int fn##_ parameters \
	{ \
		struct running *s = k; \
\
		s->said = SAID_ROUTE; \
		return fn(s->route, __VA_ARGS__); \
	}

ON_ROUTE(link_get, (void *k, unsigned index, struct link_info *ret), index, ret)
ON_ROUTE(link_get_by_name, (void *k, const char *name, struct link_info *ret), name, ret)
ON_ROUTE(link_foreach, (void *k, link_fn fn, void *user), "wireguard", fn, user)
ON_ROUTE(link_create, (void *k, const char *name, unsigned *ret), name, "wireguard", ret)
ON_ROUTE(link_delete, (void *k, unsigned index), index)
ON_ROUTE(link_set, (void *k, unsigned index, const struct link_change *change), index, change)
ON_ROUTE(ifaddr_foreach, (void *k, unsigned index, ifaddr_fn fn, void *user), index, fn, user)
ON_ROUTE(ifaddr_add, (void *k, unsigned index, const struct prefix *a), index, a)
ON_ROUTE(ifaddr_remove, (void *k, unsigned index, const struct prefix *a), index, a)
ON_ROUTE(route_foreach, (void *k, unsigned index, route_fn fn, void *user), index, fn, user)
ON_ROUTE(route_add, (void *k, const struct route *route), route)
ON_ROUTE(route_remove, (void *k, const struct route *route), route)
ON_ROUTE(rule_foreach, (void *k, rule_fn fn, void *user), fn, user)
ON_ROUTE(rule_add, (void *k, const struct rule *rule), rule)
ON_ROUTE(rule_remove, (void *k, const struct rule *rule), rule)
ON_ROUTE(route_path,
	(void *k, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu, unsigned *ret_index),
	to, mark, ret_mtu, ret_index)

/* The module may be loaded only by the first interface: then its family appears. */
static int need_wg(struct running *s)
{
	s->said = SAID_WG;
	return s->wg ? 0 : wg_open(&s->wg);
}

static int wg_set_device_(void *k, unsigned index, const struct wg_device_config *config)
{
	struct running *s = k;
	int r = need_wg(s);

	return r < 0 ? r : wg_set_device(s->wg, index, config);
}

static int wg_set_peers_(
	void *k, unsigned index, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct running *s = k;
	int r = need_wg(s);

	return r < 0 ? r : wg_set_peers(s->wg, index, peers, n, results);
}

static int wg_read_(void *k, unsigned index, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user)
{
	struct running *s = k;
	int r = need_wg(s);

	return r < 0 ? r : wg_read(s->wg, index, device_fn, peer_fn, user);
}

static int need_nft(struct running *s)
{
	s->said = SAID_NFT;
	return s->nft ? 0 : nft_open(&s->nft);
}

static int nft_apply_(void *k, const struct nft_config *config)
{
	struct running *s = k;
	int r = need_nft(s);

	return r < 0 ? r : nft_apply(s->nft, config);
}

static int nft_remove_(void *k, const char *table)
{
	struct running *s = k;
	int r = need_nft(s);

	return r < 0 ? r : nft_remove(s->nft, table);
}

static int nft_fingerprint_(void *k, const char *table, uint64_t *ret)
{
	struct running *s = k;
	int r = need_nft(s);

	return r < 0 ? r : nft_fingerprint(s->nft, table, ret);
}

static const char *error_text_(void *k)
{
	struct running *s = k;

	switch (s->said) {
	case SAID_ROUTE:
		return nl_error_text(s->route);
	case SAID_WG:
		return s->wg ? wg_error_text(s->wg) : "";
	case SAID_NFT:
		return s->nft ? nft_error_text(s->nft) : "";
	}
	return "";
}

/* -- who holds the port --------------------------------------------------------------------- */

struct port_search {
	struct running *s;
	uint16_t port;
	char *buf;
	size_t len;
	const struct link_info *link;
};

static int check_port(const struct wg_device_status *device, void *user)
{
	struct port_search *search = user;

	if (device->listen_port == search->port)
		snprintf(search->buf, search->len, "WireGuard interface %s", search->link->name);
	return 0;
}

static int stop(const struct wg_peer_status *peer, void *user)
{
	return 1;
}

static int check_link(const struct link_info *link, void *user)
{
	struct port_search *search = user;

	search->link = link;
	if (link->up)
		wg_read_(search->s, link->index, check_port, stop, search);
	return search->buf[0] != '\0';
}

/* A socket of a program: its inode is in /proc/net/udp, whose it is only its owner's /proc says. */
static bool find_socket(const char *table, uint16_t port, unsigned *ret_uid)
{
	FILE *f = fopen(table, "re");
	char line[256];
	bool found = false;
	unsigned local;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line,
				" %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %*x %*x:%*x %*x:%*x %*x %u",
				&local, ret_uid) == 2 &&
			local == port;
	if (f)
		fclose(f);
	return found;
}

static void port_owner_(void *k, uint16_t port, char *buf, size_t len)
{
	struct port_search search = { k, port, buf, len, NULL };
	unsigned uid;

	buf[0] = '\0';
	link_foreach(search.s->route, "wireguard", check_link, &search);
	if (buf[0])
		return;
	if (find_socket("/proc/net/udp", port, &uid) || find_socket("/proc/net/udp6", port, &uid))
		snprintf(buf, len, "a program of user id %u (see ss -ulpn)", uid);
}

/* -- reverse path filters ------------------------------------------------------------------- */

static int read_switch(const char *interface, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/net/ipv4/conf/%s/%s", interface, name);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

/* The larger of "all" and the interface's own counts: 1 is strict, 2 loose. */
static bool filter_ignores_marks_(void *k)
{
	int all = read_switch("all", "rp_filter");
	const char *name;
	bool strict = false;
	GDir *dir;

	if (read_switch("all", "src_valid_mark"))
		return false;
	dir = g_dir_open("/proc/sys/net/ipv4/conf", 0, NULL);
	while (dir && !strict && (name = g_dir_read_name(dir)))
		strict = strcmp(name, "all") && strcmp(name, "default") && strcmp(name, "lo") &&
			MAX(all, read_switch(name, "rp_filter")) == 1 &&
			!read_switch(name, "src_valid_mark");
	if (dir)
		g_dir_close(dir);
	return strict;
}

static const struct kernel_ops running_ops = {
	.link_get = link_get_,
	.link_get_by_name = link_get_by_name_,
	.link_foreach_wireguard = link_foreach_,
	.link_create = link_create_,
	.link_delete = link_delete_,
	.link_set = link_set_,
	.addr_foreach = ifaddr_foreach_,
	.addr_add = ifaddr_add_,
	.addr_remove = ifaddr_remove_,
	.route_foreach = route_foreach_,
	.route_add = route_add_,
	.route_remove = route_remove_,
	.rule_foreach = rule_foreach_,
	.rule_add = rule_add_,
	.rule_remove = rule_remove_,
	.route_path = route_path_,
	.wg_set_device = wg_set_device_,
	.wg_set_peers = wg_set_peers_,
	.wg_read = wg_read_,
	.nft_apply = nft_apply_,
	.nft_remove = nft_remove_,
	.nft_fingerprint = nft_fingerprint_,
	.filter_ignores_marks = filter_ignores_marks_,
	.port_owner = port_owner_,
	.error_text = error_text_,
};

int kernel_open(struct kernel **ret)
{
	struct running *s = g_new0(struct running, 1);
	int r = nl_open(NETLINK_ROUTE, &s->route);

	if (r < 0) {
		g_free(s);
		return r;
	}
	s->kernel.ops = &running_ops;
	s->kernel.impl = s;
	*ret = &s->kernel;
	return 0;
}

void kernel_close(struct kernel *kernel)
{
	struct running *s = kernel ? kernel->impl : NULL;

	if (!s)
		return;
	nl_close(s->route);
	wg_close(s->wg);
	nft_close(s->nft);
	g_free(s);
}
