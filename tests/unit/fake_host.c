/* tests/unit/fake_host.c - writes made-up hosts. */
#include "tests/unit/fake_host.h"

#include <glib.h>
#include <inttypes.h>
#include <string.h>

static void __attribute__((format(printf, 3, 4)))
put(const char *root, const char *path, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	fake_host_put(root, path, text);
}

/* -- processors ----------------------------------------------------------------------------- */

/* A host at work, with what is counted over all of its devices. */
struct build {
	const char *root;
	const struct fake_host *want;
	unsigned cpus, irq, ifindex;
	GString *interrupts;
};

/* All processors, or none, as the kernel writes masks. */
static char *mask_of(unsigned cpus, bool all)
{
	GString *s = g_string_new(NULL);
	unsigned top = (cpus - 1) % 32 + 1;

	g_string_append_printf(s, "%0*x", (int)(top + 3) / 4, all ? UINT32_MAX >> (32 - top) : 0);
	for (unsigned i = 0; i < (cpus - 1) / 32; i++)
		g_string_append(s, all ? ",ffffffff" : ",00000000");
	return g_string_free(s, FALSE);
}

static void put_list(const char *root, const char *path, unsigned first, unsigned n)
{
	if (n == 1)
		put(root, path, "%u", first);
	else
		put(root, path, "%u-%u", first, first + n - 1);
}

static unsigned node_first(const struct build *b, unsigned node)
{
	return node * b->cpus / b->want->nodes;
}

static void write_cpus(struct build *b)
{
	const struct fake_host *want = b->want;
	const char *dir = "sys/devices/system";
	char path[64];

	g_snprintf(path, sizeof(path), "%s/cpu/possible", dir);
	put_list(b->root, path, 0, b->cpus);
	g_snprintf(path, sizeof(path), "%s/cpu/online", dir);
	put_list(b->root, path, 0, b->cpus);
	if (want->online)
		fake_host_put(b->root, path, want->online);
	g_snprintf(path, sizeof(path), "%s/cpu/isolated", dir);
	fake_host_put(b->root, path, want->isolated ? want->isolated : "");
	g_snprintf(path, sizeof(path), "%s/cpu/nohz_full", dir);
	fake_host_put(b->root, path, want->nohz_full ? want->nohz_full : "(null)");
	for (unsigned i = 0; i < want->nodes; i++) {
		g_snprintf(path, sizeof(path), "%s/node/node%u/cpulist", dir, i);
		put_list(b->root, path, node_first(b, i), node_first(b, i + 1) - node_first(b, i));
	}
}

/* What is counted per CPU: all of it idle. */
static void write_counters(struct build *b)
{
	g_autoptr(GString) stat = g_string_new("cpu  0 0 0 0 0 0 0 0 0 0\n");
	g_autoptr(GString) head = g_string_new("                    ");
	g_autoptr(GString) counts = g_string_new(NULL);
	g_autoptr(GString) softnet = g_string_new(NULL);

	for (unsigned i = 0; i < b->cpus; i++) {
		g_string_append_printf(stat, "cpu%u 10 0 20 100000 0 0 5 0 0 0\n", i);
		g_string_append_printf(head, "CPU%-8u", i);
		g_string_append(counts, "        100");
		g_string_append_printf(softnet,
			"%s0000ffff 00000000 00000000 00000000 00000000 00000000 00000000 "
			"00000000 00000000 00000000 00000000 00000000 %08x 00000000 00000000",
			i ? "\n" : "", i);
	}
	put(b->root, "proc/stat", "%sintr 0", stat->str);
	put(b->root, "proc/softirqs", "%s\n      NET_TX:%s\n      NET_RX:%s", head->str,
		counts->str, counts->str);
	fake_host_put(b->root, "proc/net/softnet_stat", softnet->str);
	fake_host_put(b->root, "proc/net/snmp",
		"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors "
		"InCsumErrors IgnoredMulti MemErrors\nUdp: 1000 0 0 1000 0 0 0 0 0");
	fake_host_put(b->root, "proc/net/snmp6",
		"Udp6InDatagrams 10\nUdp6NoPorts 0\nUdp6InErrors 0\nUdp6OutDatagrams 10\n"
		"Udp6RcvbufErrors 0\nUdp6SndbufErrors 0");
}

/* -- the rest of /proc ---------------------------------------------------------------------- */

static void write_sysctls(const char *root)
{
	static const char *const values[][2] = {
		{ "net/core/netdev_max_backlog", "1000" },
		{ "net/core/netdev_budget", "300" },
		{ "net/core/netdev_budget_usecs", "8000" },
		{ "net/core/rps_sock_flow_entries", "0" },
		{ "net/core/rmem_max", "212992" },
		{ "net/core/wmem_max", "212992" },
		{ "net/core/default_qdisc", "fq_codel" },
		{ "net/ipv4/tcp_rmem", "4096\t131072\t6291456" },
		{ "net/ipv4/tcp_wmem", "4096\t16384\t4194304" },
		{ "net/ipv4/tcp_congestion_control", "cubic" },
		{ "net/ipv4/ip_forward", "0" },
		{ "net/ipv6/conf/all/forwarding", "0" },
		{ "net/netfilter/nf_conntrack_max", "262144" },
		{ "net/netfilter/nf_conntrack_count", "120" },
		{ "kernel/random/boot_id", "0f6b3b1e-8a52-4a9e-9f52-2a4b8d3c7e11" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		g_autofree char *path = g_strconcat("proc/sys/", values[i][0], NULL);

		fake_host_put(root, path, values[i][1]);
	}
}

static void write_proc(struct build *b)
{
	const struct fake_host *want = b->want;
	uint64_t ram_kib = (want->ram_mib ? want->ram_mib : 16384) * 1024;

	write_sysctls(b->root);
	fake_host_put(b->root, "proc/sys/kernel/osrelease",
		want->kernel ? want->kernel : "6.12.48+deb13-amd64");
	fake_host_put(b->root, "proc/sys/net/ipv4/tcp_available_congestion_control",
		want->no_bbr ? "reno cubic" : "reno cubic bbr");
	put(b->root, "proc/meminfo",
		"MemTotal:       %8" PRIu64 " kB\nMemFree:        %8" PRIu64 " kB", ram_kib,
		ram_kib / 2);
	fake_host_put(b->root, "proc/net/stat/nf_conntrack",
		"entries  clashres found new invalid ignore delete chainlength insert "
		"insert_failed drop early_drop icmp_error  expect_new expect_create "
		"expect_delete search_restart\n"
		"00000078  00000000 00000000 00000000 00000002 00000000 00000000 00000001 "
		"00000000 00000000 00000000 00000000 00000000  00000000 00000000 00000000 "
		"00000000");
}

static void write_route(const char *root, const char *device)
{
	put(root, "proc/net/route",
		"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
		"\n%s\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0"
		"\n%s\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0",
		device, device);
}

/* -- network devices ------------------------------------------------------------------------ */

static const struct kind {
	const char *driver, *control; /* control: NULL none, "" as the device */
	unsigned rings, rings_max;
	bool channels, hash;
} kinds[] = {
	[FAKE_MLX5] = { "mlx5_core", "mlx5_async0", 1024, 8192, true, true },
	[FAKE_VIRTIO] = { "virtio_net", "virtio%u-config", 256, 256, true, false },
	[FAKE_IXGBE] = { "ixgbe", "", 512, 4096, true, true },
	[FAKE_IGB] = { "igb", "", 256, 4096, true, true },
	[FAKE_ENA] = { "ena", "ena-mgmnt", 1024, 16384, true, true },
	[FAKE_GVE] = { "gve", "gve-mgmnt", 1024, 1024, true, false },
	[FAKE_HV_NETVSC] = { "hv_netvsc", NULL, 9709, 18811, true, true },
	[FAKE_SINGLE] = { "r8169", NULL, 256, 256, false, false },
	[FAKE_VETH] = { "veth", NULL, 0, 0, false, false },
};

/* A device as it is being written. */
struct device {
	const struct fake_nic *nic;
	const struct kind *kind;
	const char *name;
	char bus[48], parent[160]; /* folder of the bus device; of what is `device` */
	unsigned slot, queues, vectors;
};

static void put_queue(
	struct build *b, const char *dir, const char *kind, unsigned number, bool many)
{
	g_autofree char *none = mask_of(b->cpus, false);
	g_autofree char *base = g_strdup_printf("%s/queues/%s-%u", dir, kind, number);
	g_autofree char *cpus = NULL, *count = NULL;

	if (kind[0] == 'r') {
		cpus = g_strconcat(base, "/rps_cpus", NULL);
		count = g_strconcat(base, "/rps_flow_cnt", NULL);
		fake_host_put(b->root, cpus, none);
		fake_host_put(b->root, count, "0");
		return;
	}
	cpus = g_strconcat(base, "/xps_cpus", NULL);
	count = g_strconcat(base, "/tx_timeout", NULL);
	fake_host_put(b->root, count, "0");
	if (many) /* the kernel has it for all, and answers ENOENT for single queues */
		fake_host_put(b->root, cpus, none);
}

static void put_statistics(struct build *b, const char *dir)
{
	static const char *const names[] = { "rx_packets", "tx_packets", "rx_bytes", "tx_bytes",
		"rx_dropped", "tx_dropped", "rx_errors", "tx_errors", "rx_missed_errors" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_strdup_printf("%s/statistics/%s", dir, names[i]);

		fake_host_put(b->root, path, "0");
	}
}

#define VIRTUAL "sys/devices/virtual/net/"

/* What every interface has. `dir`: its folder under sys/devices. */
static void put_interface(
	struct build *b, const char *dir, const char *name, const char *type, unsigned queues)
{
	const struct {
		const char *file;
		char *text;
	} files[] = {
		{ "mtu", g_strdup(g_strcmp0(type, "wireguard") == 0 ? "1420" : "1500") },
		{ "operstate", g_strdup(type ? "unknown" : "up") },
		{ "flags", g_strdup("0x1043") },
		{ "ifindex", g_strdup_printf("%u", b->ifindex) },
		{ "threaded", g_strdup("0") },
		{ "address", g_strdup_printf("52:54:00:12:34:%02x", b->ifindex) },
		{ "uevent",
			g_strdup_printf("%s%s%sINTERFACE=%s\nIFINDEX=%u", type ? "DEVTYPE=" : "",
				type ? type : "", type ? "\n" : "", name, b->ifindex) },
	};
	g_autofree char *link = g_strdup_printf("sys/class/net/%s", name);
	g_autofree char *target = g_strdup_printf("../../%s", dir + strlen("sys/"));

	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_strdup_printf("%s/%s", dir, files[i].file);

		fake_host_put(b->root, path, files[i].text);
		g_free(files[i].text);
	}
	for (unsigned i = 0; i < queues; i++) {
		put_queue(b, dir, "rx", i, queues > 1);
		put_queue(b, dir, "tx", i, queues > 1);
	}
	put_statistics(b, dir);
	fake_host_link(b->root, link, target);
	b->ifindex++;
}

static void put_virtual(struct build *b, const char *name, const char *type)
{
	g_autofree char *dir = g_strconcat(VIRTUAL, name, NULL);

	put_interface(b, dir, name, type, 1);
}

/* `dir` as for put_interface, of the upper one. */
static void put_lower(struct build *b, const char *dir, const char *lower)
{
	g_autofree char *path = g_strdup_printf("%s/lower_%s", dir, lower);
	g_autoptr(GString) target = g_string_new(NULL);

	for (const char *c = dir; (c = strchr(c, '/')); c++)
		g_string_append(target, "../");
	g_string_append_printf(target, "class/net/%s", lower);
	fake_host_link(b->root, path, target->str);
}

/* -- interrupts ----------------------------------------------------------------------------- */

static void put_vector(struct build *b, const struct device *d, const char *name)
{
	g_autofree char *all = mask_of(b->cpus, true);
	g_autofree char *path = g_strdup_printf("proc/irq/%u/smp_affinity", b->irq);
	g_autofree char *msi = g_strdup_printf(
		"sys/devices/pci0000:00/%s/msi_irqs/%u", d->bus, b->irq);

	fake_host_put(b->root, path, all);
	fake_host_put(b->root, msi, "msix");
	g_string_append_printf(b->interrupts, "%4u:", b->irq);
	for (unsigned i = 0; i < b->cpus; i++)
		g_string_append(b->interrupts, "          0");
	g_string_append_printf(
		b->interrupts, "  PCI-MSIX-%s %4u-edge      %s\n", d->bus, b->irq - 24, name);
	b->irq++;
}

/* The name of a queue's interrupt. */
static char *vector_name(const struct device *d, unsigned number)
{
	unsigned half = number % d->queues;
	bool second = number >= d->queues;

	switch (d->nic->kind) {
	case FAKE_MLX5:
		return g_strdup_printf("mlx5_comp%u@pci:%s", number, d->bus);
	case FAKE_VIRTIO:
		return g_strdup_printf(
			"virtio%u-%s.%u", d->slot, second ? "output" : "input", half);
	case FAKE_IXGBE:
		return g_strdup_printf("%s-TxRx-%u", d->name, number);
	case FAKE_IGB:
		return g_strdup_printf("%s-%s-%u", d->name, second ? "tx" : "rx", half);
	case FAKE_ENA:
		return g_strdup_printf("%s-Tx-Rx-%u", d->name, number);
	case FAKE_GVE:
		return g_strdup_printf("gve-ntfy-blk%u@pci:%s", number, d->bus);
	case FAKE_SINGLE:
	case FAKE_NO_NIC:
	case FAKE_HV_NETVSC:
	case FAKE_VETH:
		break;
	}
	return g_strdup(d->name);
}

static void put_vectors(struct build *b, const struct device *d)
{
	g_autofree char *control = NULL;

	if (d->nic->kind == FAKE_VIRTIO)
		control = g_strdup_printf("virtio%u-config", d->slot);
	else if (d->kind->control && *d->kind->control)
		control = g_strdup_printf("%s@pci:%s", d->kind->control, d->bus);
	else if (d->kind->control)
		control = g_strdup(d->name);
	if (control)
		put_vector(b, d, control);
	for (unsigned i = 0; i < d->vectors; i++) {
		g_autofree char *name = vector_name(d, i);

		put_vector(b, d, name);
	}
}

static void write_interrupts(struct build *b)
{
	g_autoptr(GString) head = g_string_new("     ");
	g_autoptr(GString) zeros = g_string_new(NULL);

	for (unsigned i = 0; i < b->cpus; i++) {
		g_string_append_printf(head, "      CPU%-2u", i);
		g_string_append(zeros, "          0");
	}
	put(b->root, "proc/interrupts",
		"%s\n   0:%s  IO-APIC    2-edge      timer\n%s NMI:%s   Non-maskable interrupts\n"
		" ERR:          0\n MIS:          0",
		head->str, zeros->str, b->interrupts->str, zeros->str);
}

/* -- NICs ----------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 4, 5)))
put_attr(struct build *b, const struct device *d, const char *name, const char *format, ...)
{
	g_autofree char *path = g_strdup_printf("ethtool/%s/%s", d->name, name);
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	fake_host_put(b->root, path, text);
}

static void put_attrs(struct build *b, const struct device *d)
{
	g_autoptr(GString) qdiscs = g_string_new(d->queues > 1 ? "mq" : "fq_codel");
	g_autoptr(GString) rss = g_string_new("0");

	for (unsigned i = 0; d->queues > 1 && i < d->queues; i++)
		g_string_append(qdiscs, " fq_codel");
	for (unsigned i = 1; i < 128; i++)
		g_string_append_printf(rss, " %u", i % d->queues);
	put_attr(b, d, "qdisc", "%s", d->nic->kind == FAKE_VETH ? "noqueue" : qdiscs->str);
	put_attr(b, d, "driver", "%s", d->kind->driver);
	put_attr(b, d, "bus", "%s", d->bus);
	put_attr(b, d, "address", "52:54:00:12:34:%02x", b->ifindex);
	put_attr(b, d, "gro-forwarding", "off");
	put_attr(b, d, "statistics", "rx_dropped 0\ntx_timeout 0");
	if (d->kind->channels) {
		put_attr(b, d, "channels", "rx 0 tx 0 combined %u", d->queues);
		put_attr(b, d, "channels-max", "rx 0 tx 0 combined %u", d->queues);
	}
	if (d->kind->rings) {
		put_attr(b, d, "rings", "rx %u tx %u", d->kind->rings, d->kind->rings);
		put_attr(b, d, "rings-max", "rx %u tx %u", d->kind->rings_max, d->kind->rings_max);
	}
	if (d->kind->hash) {
		put_attr(b, d, "udp4-hash", "sd");
		put_attr(b, d, "udp6-hash", "sd");
		put_attr(b, d, "rss", "%s", rss->str);
	}
}

/* The folder of the bus device, and its place among nodes. */
static void put_bus(struct build *b, struct device *d)
{
	bool vmbus = d->nic->kind == FAKE_HV_NETVSC;
	g_autofree char *base = g_strdup_printf(
		"sys/devices/%s/%s", vmbus ? "LNXSYSTM:00/VMBUS:00" : "pci0000:00", d->bus);
	g_autofree char *node = g_strconcat(base, "/numa_node", NULL);
	g_autofree char *list = g_strconcat(base, "/local_cpulist", NULL);
	bool placed = b->want->nodes && d->nic->node >= 0;
	unsigned first = placed ? node_first(b, (unsigned)d->nic->node) : 0;

	g_strlcpy(d->parent, base, sizeof(d->parent));
	if (!vmbus) {
		put(b->root, node, "%d", placed ? d->nic->node : -1);
		put_list(b->root, list, first,
			placed ? node_first(b, (unsigned)d->nic->node + 1) - first : b->cpus);
	}
	if (d->nic->kind == FAKE_VIRTIO)
		g_snprintf(d->parent, sizeof(d->parent), "%s/virtio%u", base, d->slot);
}

static char *nic_name(const struct build *b, unsigned i)
{
	const char *name = b->want->nics[i].name;

	return name ? g_strdup(name) : g_strdup_printf("eth%u", i);
}

static void put_nic(struct build *b, unsigned slot, const struct fake_nic *nic, const char *name)
{
	const struct kind *kind = &kinds[nic->kind];
	struct device d = { .nic = nic, .kind = kind, .name = name, .slot = slot };
	bool both = nic->kind == FAKE_IGB || nic->kind == FAKE_GVE || nic->split;
	g_autofree char *dir = NULL, *link = NULL, *back = NULL;

	d.queues = nic->kind == FAKE_SINGLE || nic->kind == FAKE_VETH ? 1
		: nic->queues                                         ? nic->queues
								      : MIN(b->cpus, 64);
	d.vectors = nic->vectors ? nic->vectors : both ? 2 * d.queues : d.queues;
	if (nic->kind == FAKE_VETH) {
		put_attrs(b, &d);
		put_virtual(b, name, NULL);
		return;
	}
	g_snprintf(d.bus, sizeof(d.bus),
		nic->kind == FAKE_HV_NETVSC ? "000d3a12-3456-000d-3a12-3456000d3a%02x"
					    : "0000:00:%02x.0",
		slot + 4);
	put_bus(b, &d);
	put_attrs(b, &d);
	dir = g_strdup_printf("%s/net/%s", d.parent, name);
	put_interface(b, dir, name, NULL, d.queues);
	link = g_strconcat(dir, "/device", NULL);
	back = g_strconcat("../../../", strrchr(d.parent, '/') + 1, NULL);
	fake_host_link(b->root, link, back);
	if (slot == 0 && b->want->failover) {
		g_autofree char *function = nic_name(b, 1);

		put_lower(b, dir, function);
	}
	if (nic->kind != FAKE_HV_NETVSC)
		put_vectors(b, &d);
}

/* -- all of it ------------------------------------------------------------------------------ */

/* What lies over the NICs; the name of the uppermost. */
static char *put_uppers(struct build *b, unsigned n_nics)
{
	char *top = nic_name(b, 0);

	if (b->want->bond) {
		put_virtual(b, "bond0", "bond");
		for (unsigned i = 0; i < n_nics; i++) {
			g_autofree char *name = nic_name(b, i);

			put_lower(b, VIRTUAL "bond0", name);
		}
		g_free(top);
		top = g_strdup("bond0");
	}
	if (b->want->vlan) {
		char *lower = top;
		g_autofree char *dir = NULL;

		top = g_strconcat(lower, ".7", NULL);
		put_virtual(b, top, "vlan");
		dir = g_strconcat(VIRTUAL, top, NULL);
		put_lower(b, dir, lower);
		g_free(lower);
	}
	if (b->want->bridge) {
		put_virtual(b, "br0", "bridge");
		put_virtual(b, "veth1", NULL);
		put_lower(b, VIRTUAL "br0", top);
		put_lower(b, VIRTUAL "br0", "veth1");
		g_free(top);
		top = g_strdup("br0");
	}
	return top;
}

static void put_wireguard(struct build *b)
{
	const struct fake_host *want = b->want;
	const char *name = want->iface ? want->iface : "wt0";
	g_autofree char *peers = g_strdup_printf("wireguard/%s/peers", name);
	g_autofree char *flags = g_strdup_printf("sys/class/net/%s/tun_flags", name);
	g_autofree char *qdisc = g_strdup_printf("ethtool/%s/qdisc", name);

	if (want->wireguard == FAKE_WG_NONE)
		return;
	put_virtual(b, name, want->wireguard == FAKE_WG_KERNEL ? "wireguard" : NULL);
	fake_host_put(b->root, qdisc, "noqueue");
	if (want->wireguard == FAKE_WG_TUN)
		fake_host_put(b->root, flags, "0x1001");
	else
		put(b->root, peers, "%u %u %s", want->peers, want->peers_up,
			want->peers_ipv6 ? "ipv6" : "ipv4");
}

void fake_host_write(const char *root, const struct fake_host *want)
{
	struct build b = { .root = root, .want = want, .irq = 24, .ifindex = 2 };
	g_autofree char *top = NULL;
	unsigned n = 0;

	b.cpus = want->cpus ? want->cpus : 4;
	b.interrupts = g_string_new(NULL);
	write_cpus(&b);
	write_counters(&b);
	write_proc(&b);
	fake_host_put(root, "proc/net/route", "Iface\tDestination\tGateway \tFlags");
	fake_host_put(root, "sys/class/net/bonding_masters", want->bond ? "bond0" : "");
	for (; n < FAKE_NICS_MAX && want->nics[n].kind; n++) {
		g_autofree char *name = nic_name(&b, n);

		put_nic(&b, n, &want->nics[n], name);
	}
	write_interrupts(&b);
	g_string_free(b.interrupts, TRUE);
	if (n) {
		top = put_uppers(&b, n);
		if (!want->no_route)
			write_route(root, top);
	}
	put_wireguard(&b);
}

char *fake_host_make(const struct fake_host *want)
{
	char *root = g_dir_make_tmp("fake_host.XXXXXX", NULL);

	if (!root)
		g_error("no temporary folder");
	fake_host_write(root, want);
	return root;
}
