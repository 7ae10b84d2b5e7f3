/* agent/tune/host.c - looks at a host once. */
#include "agent/tune/host.h"

#include <string.h>

#include "agent/tune/host_impl.h"
#include "agent/tune/irqbalance.h"

static const char *const sysctl_names[SYSCTLS] = {
	[SYSCTL_BACKLOG] = "net.core.netdev_max_backlog",
	[SYSCTL_BUDGET] = "net.core.netdev_budget",
	[SYSCTL_BUDGET_USECS] = "net.core.netdev_budget_usecs",
	[SYSCTL_FLOW_ENTRIES] = "net.core.rps_sock_flow_entries",
	[SYSCTL_RMEM_MAX] = "net.core.rmem_max",
	[SYSCTL_WMEM_MAX] = "net.core.wmem_max",
	[SYSCTL_TCP_RMEM] = "net.ipv4.tcp_rmem",
	[SYSCTL_TCP_WMEM] = "net.ipv4.tcp_wmem",
	[SYSCTL_QDISC] = "net.core.default_qdisc",
	[SYSCTL_CONGESTION] = "net.ipv4.tcp_congestion_control",
	[SYSCTL_CONNTRACK_MAX] = "net.netfilter.nf_conntrack_max",
	[SYSCTL_FORWARD4] = "net.ipv4.ip_forward",
	[SYSCTL_FORWARD6] = "net.ipv6.conf.all.forwarding",
};
static const char *const sysctl_paths[SYSCTLS] = {
	[SYSCTL_BACKLOG] = "/proc/sys/net/core/netdev_max_backlog",
	[SYSCTL_BUDGET] = "/proc/sys/net/core/netdev_budget",
	[SYSCTL_BUDGET_USECS] = "/proc/sys/net/core/netdev_budget_usecs",
	[SYSCTL_FLOW_ENTRIES] = "/proc/sys/net/core/rps_sock_flow_entries",
	[SYSCTL_RMEM_MAX] = "/proc/sys/net/core/rmem_max",
	[SYSCTL_WMEM_MAX] = "/proc/sys/net/core/wmem_max",
	[SYSCTL_TCP_RMEM] = "/proc/sys/net/ipv4/tcp_rmem",
	[SYSCTL_TCP_WMEM] = "/proc/sys/net/ipv4/tcp_wmem",
	[SYSCTL_QDISC] = "/proc/sys/net/core/default_qdisc",
	[SYSCTL_CONGESTION] = "/proc/sys/net/ipv4/tcp_congestion_control",
	[SYSCTL_CONNTRACK_MAX] = "/proc/sys/net/netfilter/nf_conntrack_max",
	[SYSCTL_FORWARD4] = "/proc/sys/net/ipv4/ip_forward",
	[SYSCTL_FORWARD6] = "/proc/sys/net/ipv6/conf/all/forwarding",
};

const char *host_sysctl_name(enum host_sysctl sysctl)
{
	return sysctl_names[sysctl];
}

const char *host_sysctl_path(enum host_sysctl sysctl)
{
	return sysctl_paths[sysctl];
}

/* -- the host as a whole -------------------------------------------------------------------- */

static void read_line(const struct tree *tree, const char *path, char *ret, size_t size)
{
	g_autofree char *text = NULL;

	if (tree_read(tree, path, &text) == 0)
		g_strlcpy(ret, text, size);
}

static uint64_t read_ram(const struct tree *tree)
{
	static const char key[] = "MemTotal:";
	g_autofree char *text = NULL;
	const char *at;

	if (tree_read(tree, "/proc/meminfo", &text) < 0)
		return 0;
	at = strstr(text, key);
	return at ? g_ascii_strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

/* A whole word of a list. */
static bool has_word(const char *text, const char *word)
{
	g_auto(GStrv) words = g_strsplit_set(text, " \t", -1);

	return g_strv_contains((const char *const *)words, word);
}

static bool has_bbr(const struct tree *tree, const char *kernel)
{
	static const char *const lists[] = { "modules.builtin", "modules.dep" };
	g_autofree char *available = NULL;
	bool found;

	found = tree_read(tree, "/proc/sys/net/ipv4/tcp_available_congestion_control",
			&available) == 0 &&
		has_word(available, "bbr");
	for (size_t i = 0; !found && i < G_N_ELEMENTS(lists); i++) {
		g_autofree char *path = g_strdup_printf("/lib/modules/%s/%s", kernel, lists[i]);
		g_autofree char *text = NULL;

		found = tree_read(tree, path, &text) == 0 && strstr(text, "/tcp_bbr.ko");
	}
	return found;
}

/* -- connection tracking -------------------------------------------------------------------- */

/* Sums up columns of hexadecimal numbers, one line per CPU: entries that were refused, and those that made
 * room. (insert_failed is of entries that were there already.) */
static uint64_t sum_columns(char *text, const char *const *wanted)
{
	char *line = strsep(&text, "\n");
	g_auto(GStrv) heads = g_strsplit_set(line, " ", -1);
	uint64_t sum = 0;

	while ((line = strsep(&text, "\n"))) {
		for (char **head = heads, *word; *head; head++) {
			if (!**head)
				continue;
			do
				word = strsep(&line, " ");
			while (word && !*word);
			if (!word)
				break;
			if (g_strv_contains(wanted, *head))
				sum += g_ascii_strtoull(word, NULL, 16);
		}
	}
	return sum;
}

static void read_conntrack(const struct tree *tree, struct host *h)
{
	static const char *const lost[] = { "drop", "early_drop", NULL };
	g_autofree char *text = NULL;
	int64_t count;

	if (tree_read_int(tree, "/proc/sys/net/netfilter/nf_conntrack_count", &count) == 0)
		h->conntrack_count = (uint64_t)MAX(count, 0);
	if (tree_read(tree, "/proc/net/stat/nf_conntrack", &text) == 0)
		h->conntrack_failed = sum_columns(text, lost);
}

/* -- all of it ------------------------------------------------------------------------------ */

static int scan(struct scan *s, const struct host_wish *wish)
{
	struct host *h = s->host;
	int r;

	r = host_scan_cpus(s);
	if (r < 0)
		return r;
	r = host_scan_wireguard(s, wish->iface);
	if (r < 0)
		return r;
	r = host_scan_underlay(s, wish->underlay);
	if (r < 0)
		return r;
	host_scan_irqs(s);
	read_line(s->tree, "/proc/sys/kernel/osrelease", h->kernel, sizeof(h->kernel));
	read_line(s->tree, "/proc/sys/kernel/random/boot_id", h->boot_id, sizeof(h->boot_id));
	h->ram_bytes = read_ram(s->tree);
	for (int i = 0; i < SYSCTLS; i++)
		host_value_read(&h->sysctls[i], s->tree, "%s", sysctl_paths[i]);
	read_conntrack(s->tree, h);
	h->has_bbr = has_bbr(s->tree, h->kernel);
	h->irqbalance = irqbalance_look(s->tree, h->banned);
	return 0;
}

static void nic_free(gpointer nic)
{
	host_nic_free(nic);
}

int host_scan(const struct tree *tree, struct nics *nics, const struct host_wish *wish,
	struct host **ret, char error[static HOST_TEXT_MAX])
{
	struct scan s = { .tree = tree, .nics = nics, .error = error };
	int r;

	error[0] = '\0';
	s.host = g_new0(struct host, 1);
	s.host->nics = g_ptr_array_new_with_free_func(nic_free);
	s.host->banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	r = scan(&s, wish);
	if (r < 0) {
		host_free(s.host);
		return r;
	}
	*ret = s.host;
	return 0;
}

bool host_is_networked(const struct host *host)
{
	return host->underlay[0] || host->wireguard;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	g_ptr_array_unref(host->nics);
	host_nic_free(host->wireguard);
	g_array_unref(host->banned);
	for (int i = 0; i < SYSCTLS; i++)
		host_value_clear(&host->sysctls[i]);
	g_free(host);
}

const struct host_nic *host_find_nic(const struct host *host, const char *name)
{
	for (guint i = 0; i < host->nics->len; i++)
		if (strcmp(((struct host_nic *)host->nics->pdata[i])->name, name) == 0)
			return host->nics->pdata[i];
	if (host->wireguard && strcmp(host->wireguard->name, name) == 0)
		return host->wireguard;
	return NULL;
}
