/* agent/tune/host_underlay.c - which device carries WireGuard's packets, and the real ones under it. */
#include <errno.h>
#include <net/route.h>
#include <stdlib.h>
#include <string.h>

#include "agent/tune/host_impl.h"
#include "netlink/nl.h"
#include "netlink/route.h"

#define CLASS "/sys/class/net"

enum { DEPTH_MAX = 8 }; /* of devices over devices */

/* -- finding it ----------------------------------------------------------------------------- */

/* Where /proc tells of routes, and in which column what stands, counted from 0. */
static const struct table {
	const char *path;
	unsigned columns, device, metric, flags, prefix_len;
	int metric_base;
	const char *any; /* of the destination */
	unsigned destination;
	const char *whole; /* in prefix_len's column */
} tables[] = {
	{ "/proc/net/route", 8, 0, 6, 3, 7, 10, "00000000", 1, "00000000" },
	{ "/proc/net/ipv6_route", 10, 9, 5, 8, 1, 16, "00000000000000000000000000000000", 0, "00" },
};

/* Words of a line, without the spaces between them. */
static unsigned split(char *line, char **words, unsigned max)
{
	unsigned n = 0;
	char *word;

	while (n < max && (word = strsep(&line, " \t")))
		if (*word)
			words[n++] = word;
	return n;
}

/* The device of the default route with the lowest metric, past WireGuard's own. */
static bool find_default(const struct tree *tree, const struct table *t, char *ret)
{
	g_autofree char *text = NULL;
	unsigned long best = ULONG_MAX;
	char *rest, *line, *words[10];

	if (tree_read(tree, t->path, &text) < 0)
		return false;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		unsigned long metric, flags;

		if (split(line, words, t->columns) < t->columns ||
			strcmp(words[t->destination], t->any) != 0 ||
			strcmp(words[t->prefix_len], t->whole) != 0)
			continue;
		metric = strtoul(words[t->metric], NULL, t->metric_base);
		flags = strtoul(words[t->flags], NULL, 16);
		if (!(flags & RTF_UP) || flags & RTF_REJECT || metric >= best ||
			strlen(words[t->device]) >= IFNAMSIZ ||
			host_is_wireguard(tree, words[t->device]))
			continue;
		best = metric;
		g_strlcpy(ret, words[t->device], IFNAMSIZ);
	}
	return best < ULONG_MAX;
}

/* Where the kernel would send WireGuard's packets to one of the peers. */
static bool find_by_peers(const struct scan *s, char *ret)
{
	struct nl *nl = NULL;
	bool found = false;

	if (s->n_endpoints == 0 || nl_open(NETLINK_ROUTE, &nl) < 0)
		return false;
	for (unsigned i = 0; !found && i < s->n_endpoints; i++) {
		unsigned ifindex;
		uint32_t mtu;

		found = route_path(nl, &s->endpoints[i], s->fwmark, &mtu, &ifindex) == 0 &&
			if_indextoname(ifindex, ret) && !host_is_wireguard(s->tree, ret);
	}
	nl_close(nl);
	return found;
}

/* -- what is under it ----------------------------------------------------------------------- */

static void add_nic(struct scan *s, const char *name)
{
	GPtrArray *nics = s->host->nics;

	for (guint i = 0; i < nics->len; i++)
		if (strcmp(((struct host_nic *)nics->pdata[i])->name, name) == 0)
			return;
	if (nics->len < HOST_NICS_MAX)
		g_ptr_array_add(nics, host_nic_read(s, name));
}

/* Bonds, VLANs and bridges have no device themselves; a NIC of Hyper-V has both, a device and its virtual
 * function below it. */
static void walk(struct scan *s, const char *name, unsigned depth)
{
	static const char lower[] = "lower_";
	g_autoptr(GPtrArray) names = NULL;
	char path[TREE_PATH_MAX];

	g_snprintf(path, sizeof(path), CLASS "/%s/device", name);
	if (tree_exists(s->tree, path))
		add_nic(s, name);
	g_snprintf(path, sizeof(path), CLASS "/%s", name);
	if (depth == DEPTH_MAX || s->host->nics->len == HOST_NICS_MAX ||
		tree_list(s->tree, path, &names) < 0)
		return;
	for (guint i = 0; i < names->len; i++)
		if (g_str_has_prefix(names->pdata[i], lower))
			walk(s, (char *)names->pdata[i] + strlen(lower), depth + 1);
}

int host_scan_underlay(struct scan *s, const char *wish)
{
	struct host *h = s->host;
	char name[IFNAMSIZ] = "";
	bool found = wish;
	int r;

	if (wish) {
		r = host_device_check(s, wish);
		if (r < 0)
			return r;
		g_strlcpy(name, wish, sizeof(name));
	}
	for (size_t i = 0; !found && i < G_N_ELEMENTS(tables); i++)
		found = find_default(s->tree, &tables[i], name);
	if (!found && !find_by_peers(s, name))
		return 0;
	g_strlcpy(h->underlay, name, sizeof(h->underlay));
	walk(s, name, 0);
	if (h->nics->len == 0)
		add_nic(s, name);
	return 0;
}
