/* agent/tune/sample.c - all counters of a host at one moment. */
#include "agent/tune/sample.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/base/key.h"
#include "agent/tune/sample_impl.h"
#include "agent/tune/sample_parse.h"
#include "netlink/sockdiag.h"
#include "netlink/wg.h"

/* How many descriptors of processes are looked at to find who a socket belongs to. */
enum { DESCRIPTORS_MAX = 200000 };

static void clear_irq(gpointer data)
{
	g_free(((struct sample_irq *)data)->per_cpu);
}

static void clear_link(gpointer data)
{
	g_array_unref(((struct sample_link *)data)->nic);
}

GArray *sample_array(size_t size, GDestroyNotify clear)
{
	GArray *array = g_array_new(FALSE, TRUE, (guint)size);

	g_array_set_clear_func(array, clear);
	return array;
}

struct sample *sample_new(void)
{
	struct sample *s = g_new0(struct sample, 1);

	s->cpus = sample_array(sizeof(struct sample_cpu), NULL);
	s->irqs = sample_array(sizeof(struct sample_irq), clear_irq);
	s->links = sample_array(sizeof(struct sample_link), clear_link);
	s->sockets = sample_array(sizeof(struct sample_socket), NULL);
	s->peers = sample_array(sizeof(struct sample_peer), NULL);
	return s;
}

void sample_free(struct sample *s)
{
	if (!s)
		return;
	g_array_unref(s->cpus);
	g_array_unref(s->irqs);
	g_array_unref(s->links);
	g_array_unref(s->sockets);
	g_array_unref(s->peers);
	g_free(s);
}

/* -- links ------------------------------------------------------------------------------------ */

static uint64_t read_statistic(const struct tree *tree, const char *device, const char *name)
{
	char path[TREE_PATH_MAX];
	int64_t value;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s", device, name);
	return tree_read_int(tree, path, &value) == 0 && value > 0 ? (uint64_t)value : 0;
}

static void read_driver(struct nics *nics, struct sample_link *link)
{
	g_autofree struct nic_statistic *all = NULL;
	size_t n = 0;

	if (nics_statistics(nics, link->name, &all, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (sample_is_drop(all[i].name))
			g_array_append_val(link->nic, all[i]);
}

void sample_weigh(struct sample_link *link)
{
	uint64_t queues = 0, total = 0, worst = 0;

	link->nic_worst[0] = '\0';
	for (guint i = 0; i < link->nic->len; i++) {
		const struct nic_statistic *s = &g_array_index(link->nic, struct nic_statistic, i);

		*(strpbrk(s->name, "0123456789") ? &queues : &total) += s->value;
		if (s->value > worst) {
			worst = s->value;
			g_strlcpy(link->nic_worst, s->name, sizeof(link->nic_worst));
		}
	}
	link->nic_drops = MAX(queues, total);
}

static void add_link(const struct tree *tree, struct nics *nics, const char *name, struct sample *s)
{
	struct sample_link link = { .nic = sample_array(sizeof(struct nic_statistic), NULL) };

	g_strlcpy(link.name, name, sizeof(link.name));
	link.rx_packets = read_statistic(tree, name, "rx_packets");
	link.tx_packets = read_statistic(tree, name, "tx_packets");
	link.rx_bytes = read_statistic(tree, name, "rx_bytes");
	link.tx_bytes = read_statistic(tree, name, "tx_bytes");
	link.rx_dropped = read_statistic(tree, name, "rx_dropped");
	link.tx_dropped = read_statistic(tree, name, "tx_dropped");
	link.rx_errors = read_statistic(tree, name, "rx_errors");
	link.tx_errors = read_statistic(tree, name, "tx_errors");
	link.rx_missed = read_statistic(tree, name, "rx_missed_errors");
	read_driver(nics, &link);
	sample_weigh(&link);
	g_array_append_val(s->links, link);
}

/* An underlay that is a bond, a VLAN or a bridge has counters of its own. */
static void read_links(
	const struct tree *tree, struct nics *nics, const struct host *host, struct sample *s)
{
	for (guint i = 0; i < host->nics->len; i++) {
		const struct host_nic *nic = g_ptr_array_index(host->nics, i);

		add_link(tree, nics, nic->name, s);
	}
	if (host->underlay[0] && !host_find_nic(host, host->underlay))
		add_link(tree, nics, host->underlay, s);
	if (host->wireguard)
		add_link(tree, nics, host->wireguard->name, s);
}

/* -- interrupts ------------------------------------------------------------------------------- */

static void add_irqs(const struct host_nic *nic, struct sample *s)
{
	for (guint i = 0; i < nic->irqs->len; i++) {
		const struct host_irq *from = &g_array_index(nic->irqs, struct host_irq, i);
		struct sample_irq irq = { .number = from->number, .queue = from->queue };

		g_strlcpy(irq.name, from->name, sizeof(irq.name));
		g_strlcpy(irq.device, nic->name, sizeof(irq.device));
		irq.per_cpu = g_new0(uint64_t, s->cpus->len);
		g_array_append_val(s->irqs, irq);
	}
}

/* -- sockets and peers ------------------------------------------------------------------------ */

static int take_socket(const struct sockdiag_socket *from, void *user)
{
	struct sample *s = user;
	struct sample_socket socket = { from->port, from->inode, from->drops, "" };

	if (from->drops && s->sockets->len < SAMPLE_SOCKETS_MAX)
		g_array_append_val(s->sockets, socket);
	return 0;
}

static int take_peer(const struct wg_peer_status *from, void *user)
{
	struct sample *s = user;
	struct sample_peer peer = {
		.rx = from->rx_bytes, .tx = from->tx_bytes, .handshake_s = from->last_handshake_s
	};

	key_format(&from->public_key, peer.key);
	if (s->peers->len < SAMPLE_PEERS_MAX)
		g_array_append_val(s->peers, peer);
	return 0;
}

/* A device that changes meanwhile is asked again. */
static void read_peers(const char *device, struct sample *s)
{
	unsigned index = if_nametoindex(device);
	struct wg *wg;
	int r = index ? wg_open(&wg) : -ENODEV;

	if (r < 0)
		return;
	for (int i = 0; i < 3; i++) {
		r = wg_read(wg, index, NULL, take_peer, s);
		if (r != -EINTR)
			break;
		g_array_set_size(s->peers, 0);
	}
	wg_close(wg);
}

/* -- all of it -------------------------------------------------------------------------------- */

static char *read_text(const struct tree *tree, const char *path)
{
	char *text = NULL;

	return tree_read(tree, path, &text) == 0 ? text : g_strdup("");
}

static void read_proc(const struct tree *tree, struct sample *s)
{
	g_autofree char *softirqs = read_text(tree, "/proc/softirqs");
	g_autofree char *softnet = read_text(tree, "/proc/net/softnet_stat");
	g_autofree char *interrupts = read_text(tree, "/proc/interrupts");
	g_autofree char *snmp = read_text(tree, "/proc/net/snmp");
	g_autofree char *snmp6 = read_text(tree, "/proc/net/snmp6");
	g_autofree char *conntrack = read_text(tree, "/proc/net/stat/nf_conntrack");

	sample_parse_softirqs(softirqs, s->cpus);
	sample_parse_softnet(softnet, s->cpus);
	sample_parse_interrupts(interrupts, s->cpus, s->irqs);
	sample_parse_snmp(snmp, &s->udp);
	sample_parse_snmp6(snmp6, &s->udp);
	s->conntrack_failed = sample_parse_conntrack(conntrack);
}

int sample_take(
	const struct tree *tree, struct nics *nics, const struct host *host, struct sample **ret)
{
	g_autofree char *stat = NULL;
	struct sample *s;
	int r = tree_read(tree, "/proc/stat", &stat);

	if (r < 0)
		return r;
	s = sample_new();
	s->mono_ms = g_get_monotonic_time() / 1000;
	s->wall_s = time(NULL);
	sample_parse_stat(stat, s->cpus);
	for (guint i = 0; i < host->nics->len; i++)
		add_irqs(g_ptr_array_index(host->nics, i), s);
	read_proc(tree, s);
	read_links(tree, nics, host, s);
	if (tree_is_real(tree)) {
		sockdiag_udp(take_socket, s);
		if (host->wireguard && !host->userspace)
			read_peers(host->wireguard->name, s);
	}
	*ret = s;
	return 0;
}

/* -- owners ----------------------------------------------------------------------------------- */

static struct sample_socket *find_socket(struct sample *s, uint64_t inode)
{
	for (guint i = 0; i < s->sockets->len; i++) {
		struct sample_socket *socket = &g_array_index(s->sockets, struct sample_socket, i);

		if (socket->inode == inode)
			return socket;
	}
	return NULL;
}

/* "socket:[1234]"; 0: it is none. */
static uint64_t socket_inode(const char *target)
{
	const char *number = target + strlen("socket:[");

	return g_str_has_prefix(target, "socket:[") ? g_ascii_strtoull(number, NULL, 10) : 0;
}

static void name_of_process(
	const struct tree *tree, const char *pid, struct sample *s, unsigned *looked)
{
	char path[TREE_PATH_MAX], target[64];
	GPtrArray *fds;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	if (tree_list(tree, path, &fds) < 0)
		return;
	for (guint i = 0; i < fds->len && *looked < DESCRIPTORS_MAX; i++, ++*looked) {
		g_autofree char *program = NULL;
		struct sample_socket *socket;
		uint64_t inode = 0;

		snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid,
			(const char *)g_ptr_array_index(fds, i));
		if (tree_link(tree, path, target, sizeof(target)) == 0)
			inode = socket_inode(target);
		socket = inode ? find_socket(s, inode) : NULL;
		if (!socket)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", pid);
		if (tree_read(tree, path, &program) == 0)
			g_strlcpy(socket->program, program, sizeof(socket->program));
	}
	g_ptr_array_unref(fds);
}

void sample_name_sockets(const struct tree *tree, struct sample *s)
{
	GPtrArray *processes;
	unsigned looked = 0;

	if (!s->sockets->len || tree_list(tree, "/proc", &processes) < 0)
		return;
	for (guint i = 0; i < processes->len && looked < DESCRIPTORS_MAX; i++) {
		const char *name = g_ptr_array_index(processes, i);

		if (g_ascii_isdigit(*name))
			name_of_process(tree, name, s, &looked);
	}
	g_ptr_array_unref(processes);
}
