/* tests/unit/test_host.c - what a scan finds on made-up hosts. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "tests/unit/scanned.h"

/* -- processors ----------------------------------------------------------------------------- */

static void test_cpus(void)
{
	static const struct {
		struct fake_host want;
		const char *online, *usable;
		unsigned possible;
	} cases[] = {
		{ { .cpus = 1 }, "0", "0", 1 },
		{ { .cpus = 2 }, "0-1", "0-1", 2 },
		{ { .cpus = 8, .online = "0-3,6" }, "0-3,6", "0-3,6", 8 },
		{ { .cpus = 64, .isolated = "2-3", .nohz_full = "3-5,63" }, "0-63", "0-1,6-62",
			64 },
		{ { .cpus = 96, .nodes = 2, .isolated = "0-47" }, "0-95", "48-95", 96 },
		{ { .cpus = 256, .online = "0-127" }, "0-127", "0-127", 256 },
		{ { .cpus = 4, .isolated = "0-3" }, "0-3", "0-3", 4 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct scanned s;

		begin(&s, &cases[i].want);
		assert_list(&s.host->online, cases[i].online);
		assert_list(&s.host->usable, cases[i].usable);
		g_assert_cmpuint(s.host->n_possible, ==, cases[i].possible);
		end(&s);
	}
}

static void test_no_cpus(void)
{
	struct fake_host want = { .cpus = 2 };
	struct scanned s;

	begin(&s, &want);
	fake_host_drop(s.root, "sys/devices/system/cpu/nohz_full");
	fake_host_drop(s.root, "sys/devices/system/cpu/isolated");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	assert_list(&s.host->usable, "0-1");
	fake_host_drop(s.root, "sys/devices/system/cpu/online");
	g_assert_cmpint(look(&s, NULL, NULL), ==, -ENOENT);
	g_assert_nonnull(strstr(s.error, "cpu/online"));
	end(&s);
}

/* -- NICs ----------------------------------------------------------------------------------- */

static void test_nic(void)
{
	struct fake_host want = {
		.cpus = 96, .nodes = 2, .nics = { { FAKE_MLX5, .queues = 12, .node = 1 } }
	};
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpstr(s.host->underlay, ==, "eth0");
	g_assert_cmpstr(nic(&s, 0)->name, ==, "eth0");
	g_assert_cmpstr(nic(&s, 0)->driver, ==, "mlx5_core");
	g_assert_cmpstr(nic(&s, 0)->bus, ==, "0000:00:04.0");
	g_assert_cmpstr(nic(&s, 0)->address, ==, "52:54:00:12:34:02");
	g_assert_true(nic(&s, 0)->up && nic(&s, 0)->real);
	g_assert_cmpint(nic(&s, 0)->node, ==, 1);
	assert_list(&nic(&s, 0)->local, "48-95");
	g_assert_cmpuint(nic(&s, 0)->rx->len, ==, 12);
	g_assert_cmpuint(nic(&s, 0)->tx->len, ==, 12);
	g_assert_cmpstr(g_array_index(nic(&s, 0)->rx, struct host_queue, 10).name, ==, "rx-10");
	g_assert_cmpstr(g_array_index(nic(&s, 0)->rx, struct host_queue, 10).rps_cpus.text, ==,
		"00000000,00000000,00000000");
	g_assert_cmpstr(
		g_array_index(nic(&s, 0)->rx, struct host_queue, 10).rps_flow_cnt.text, ==, "0");
	g_assert_cmpstr(g_array_index(nic(&s, 0)->tx, struct host_queue, 2).xps_cpus.text, ==,
		"00000000,00000000,00000000");
	g_assert_cmpstr(nic(&s, 0)->attrs[NIC_CHANNELS].text, ==, "rx 0 tx 0 combined 12");
	g_assert_cmpstr(nic(&s, 0)->mtu.text, ==, "1500");
	g_assert_true(host_find_nic(s.host, "eth0") == nic(&s, 0));
	g_assert_null(host_find_nic(s.host, "eth1"));
	fake_host_put(s.root, "sys/class/net/eth0/flags", "0x1002");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_false(nic(&s, 0)->up);
	end(&s);
}

/* One queue, nothing to set: said as such. */
static void test_poor_nic(void)
{
	struct fake_host want = { .cpus = 4, .nodes = 2, .nics = { { FAKE_SINGLE, .node = -1 } } };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpint(nic(&s, 0)->node, ==, -1);
	assert_list(&nic(&s, 0)->local, "0-3");
	g_assert_null(nic(&s, 0)->attrs[NIC_CHANNELS].text);
	g_assert_cmpint(nic(&s, 0)->attrs[NIC_CHANNELS].error, ==, -EOPNOTSUPP);
	g_assert_cmpint(
		g_array_index(nic(&s, 0)->tx, struct host_queue, 0).xps_cpus.error, ==, -ENOENT);
	end(&s);
}

/* The nodes of virtio are of the device around it; CPUs that are off are left out. */
static void test_node(void)
{
	struct fake_host want = {
		.cpus = 8, .nodes = 2, .online = "0-5", .nics = { { FAKE_VIRTIO, .node = 1 } }
	};
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpint(nic(&s, 0)->node, ==, 1);
	assert_list(&nic(&s, 0)->local, "4-5");
	fake_host_drop(s.root, "sys/devices/pci0000:00/0000:00:04.0/local_cpulist");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	assert_list(&nic(&s, 0)->local, "4-5");
	fake_host_drop(s.root, "sys/devices/system/node/node1");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	assert_list(&nic(&s, 0)->local, "0-5");
	end(&s);
}

/* -- underlay ------------------------------------------------------------------------------- */

static void assert_nics(const struct scanned *s, const char *const *names)
{
	g_assert_cmpuint(s->host->nics->len, ==, g_strv_length((char **)names));
	for (guint i = 0; names[i]; i++)
		g_assert_cmpstr(nic(s, i)->name, ==, names[i]);
}

static void test_underlay(void)
{
	static const struct {
		struct fake_host want;
		const char *underlay;
		const char *nics[4];
		bool real;
	} cases[] = {
		{ { .nics = { { FAKE_MLX5 } } }, "eth0", { "eth0" }, true },
		{ { .nics = { { FAKE_MLX5, .name = "enp3s0f0np0" } } }, "enp3s0f0np0",
			{ "enp3s0f0np0" }, true },
		{ { .nics = { { FAKE_MLX5 }, { FAKE_MLX5 } }, .bond = true }, "bond0",
			{ "eth0", "eth1" }, true },
		{ { .nics = { { FAKE_MLX5 }, { FAKE_MLX5 } }, .bond = true, .vlan = true },
			"bond0.7", { "eth0", "eth1" }, true },
		{ { .nics = { { FAKE_MLX5 }, { FAKE_ENA } },
			  .bond = true,
			  .vlan = true,
			  .bridge = true },
			"br0", { "eth0", "eth1" }, true },
		{ { .nics = { { FAKE_VIRTIO } }, .vlan = true }, "eth0.7", { "eth0" }, true },
		{ { .nics = { { FAKE_HV_NETVSC }, { FAKE_MLX5 } }, .failover = true }, "eth0",
			{ "eth0", "eth1" }, true },
		{ { .nics = { { FAKE_VETH } } }, "eth0", { "eth0" }, false },
		{ { .nics = { { FAKE_VETH } }, .bridge = true }, "br0", { "br0" }, false },
		{ { .nics = { { FAKE_MLX5 } }, .no_route = true }, "", { NULL }, false },
		{ { .cpus = 2 }, "", { NULL }, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct scanned s;

		g_test_message("case %zu", i);
		begin(&s, &cases[i].want);
		g_assert_cmpstr(s.host->underlay, ==, cases[i].underlay);
		assert_nics(&s, cases[i].nics);
		if (cases[i].nics[0])
			g_assert_true(nic(&s, 0)->real == cases[i].real);
		end(&s);
	}
}

static void test_routes(void)
{
	static const char head[] =
		"Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";
	struct fake_host want = { .nics = { { FAKE_MLX5 }, { FAKE_MLX5 }, { FAKE_MLX5 } },
		.wireguard = FAKE_WG_KERNEL };
	g_autofree char *text = NULL;
	struct scanned s;

	begin(&s, &want);
	/* wt0: WireGuard's own; eth0: not of everything, down, too high, refused */
	text = g_strconcat(head,
		"wt0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
		"eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
		"eth0\t00000000\t00000000\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
		"*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
		"eth0\t00000000\t00000000\t0003\t0\t0\t300\t00000000\t0\t0\t0\n"
		"eth1\t00000000\t00000000\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
		"eth0\t00000000\t00000000\t0003\t0\t0\t201\t00000000\t0\t0\t0\neth2\t0",
		NULL);
	fake_host_put(s.root, "proc/net/route", text);
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpstr(s.host->underlay, ==, "eth1");
	fake_host_put(s.root, "proc/net/route", head);
	fake_host_put(s.root, "proc/net/ipv6_route",
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth2\n"
		"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpstr(s.host->underlay, ==, "eth2");
	end(&s);
}

static void test_named(void)
{
	struct fake_host want = { .nics = { { FAKE_MLX5 }, { FAKE_MLX5 } },
		.wireguard = FAKE_WG_KERNEL };
	struct fake_host bare = { .nics = { { FAKE_MLX5 } } };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpint(look(&s, "eth1", "wt0"), ==, 0);
	g_assert_cmpstr(nic(&s, 0)->name, ==, "eth1");
	g_assert_cmpint(look(&s, "eht1", NULL), ==, -ENODEV);
	g_assert_cmpstr(s.error, ==, "there is no device 'eht1'; did you mean 'eth1'?");
	g_assert_cmpint(look(&s, "../net/eth1", NULL), ==, -ENODEV);
	g_assert_cmpint(look(&s, "bonding_masters", NULL), ==, -ENODEV);
	g_assert_cmpint(look(&s, "", NULL), ==, -ENODEV);
	g_assert_cmpint(look(&s, NULL, "wt1"), ==, -ENODEV);
	g_assert_cmpstr(s.error, ==, "there is no WireGuard interface 'wt1'; did you mean 'wt0'?");
	g_assert_cmpint(look(&s, NULL, "eth0"), ==, -ENODEV);
	g_assert_cmpstr(s.error, ==, "there is no WireGuard interface 'eth0'; did you mean 'wt0'?");
	end(&s);

	begin(&s, &bare);
	g_assert_cmpint(look(&s, NULL, "eth0"), ==, -ENODEV);
	g_assert_cmpstr(s.error, ==, "there is no WireGuard interface 'eth0'");
	end(&s);
}

/* A device over itself, as a damaged tree may have it. */
static void test_loop(void)
{
	struct fake_host want = { .nics = { { FAKE_VETH }, { FAKE_VETH } } };
	struct scanned s;

	begin(&s, &want);
	fake_host_link(s.root, "sys/class/net/eth0/lower_eth1", "../eth1");
	fake_host_link(s.root, "sys/class/net/eth1/lower_eth0", "../eth0");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpuint(s.host->nics->len, ==, 1);
	end(&s);
}

/* -- WireGuard ------------------------------------------------------------------------------ */

static void test_wireguard(void)
{
	struct fake_host want = { .nics = { { FAKE_MLX5 } },
		.wireguard = FAKE_WG_KERNEL,
		.iface = "mesh",
		.peers = 12,
		.peers_up = 3,
		.peers_ipv6 = true };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpstr(s.host->wireguard->name, ==, "mesh");
	g_assert_false(s.host->userspace);
	g_assert_cmpuint(s.host->n_peers, ==, 12);
	g_assert_cmpuint(s.host->n_peers_up, ==, 3);
	g_assert_true(s.host->outer_ipv6);
	g_assert_cmpstr(s.host->wireguard->mtu.text, ==, "1420");
	g_assert_cmpstr(s.host->wireguard->threaded.text, ==, "0");
	g_assert_cmpuint(s.host->wireguard->rx->len, ==, 1);
	g_assert_false(s.host->wireguard->real);
	g_assert_true(host_find_nic(s.host, "mesh") == s.host->wireguard);
	/* of two it is the one with the usual name, or none */
	fake_host_put(s.root, "sys/class/net/wg9/uevent", "DEVTYPE=wireguard\nINTERFACE=wg9");
	fake_host_put(s.root, "sys/class/net/wg9/mtu", "1420");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_null(s.host->wireguard);
	g_assert_cmpint(look(&s, NULL, "wg9"), ==, 0);
	g_assert_cmpstr(s.host->wireguard->name, ==, "wg9");
	fake_host_put(s.root, "sys/class/net/wt0/uevent", "DEVTYPE=wireguard\nINTERFACE=wt0");
	fake_host_put(s.root, "sys/class/net/wt0/mtu", "1420");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpstr(s.host->wireguard->name, ==, "wt0");
	end(&s);
}

static void test_userspace(void)
{
	struct fake_host want = { .wireguard = FAKE_WG_TUN, .iface = "wg0" };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpstr(s.host->wireguard->name, ==, "wg0");
	g_assert_true(s.host->userspace);
	fake_host_put(s.root, "sys/class/net/tun5/tun_flags", "0x1001");
	fake_host_put(s.root, "sys/class/net/tun5/mtu", "1280");
	g_assert_cmpint(look(&s, NULL, "tun5"), ==, 0);
	g_assert_true(s.host->userspace);
	fake_host_drop(s.root, "sys/class/net/wg0");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_null(s.host->wireguard);
	g_assert_false(s.host->userspace);
	end(&s);
}

/* -- the rest ------------------------------------------------------------------------------- */

static void test_values(void)
{
	struct fake_host want = { .ram_mib = 512, .kernel = "6.1.0-49-amd64" };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpuint(s.host->ram_bytes, ==, UINT64_C(512) << 20);
	g_assert_cmpstr(s.host->kernel, ==, "6.1.0-49-amd64");
	g_assert_cmpuint(strlen(s.host->boot_id), ==, 36);
	for (int i = 0; i < SYSCTLS; i++)
		g_assert_nonnull(s.host->sysctls[i].text);
	g_assert_cmpstr(s.host->sysctls[SYSCTL_TCP_RMEM].text, ==, "4096\t131072\t6291456");
	g_assert_cmpuint(s.host->conntrack_count, ==, 120);
	g_assert_cmpuint(s.host->conntrack_failed, ==, 0);
	g_assert_cmpint(s.host->irqbalance, ==, IRQBALANCE_NONE);
	fake_host_drop(s.root, "proc/sys/net/netfilter");
	fake_host_drop(s.root, "proc/meminfo");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpint(s.host->sysctls[SYSCTL_CONNTRACK_MAX].error, ==, -ENOENT);
	g_assert_cmpuint(s.host->ram_bytes, ==, 0);
	end(&s);
}

/* The name of a setting and its file say the same. */
static void test_sysctls(void)
{
	for (int i = 0; i < SYSCTLS; i++) {
		g_autofree char *path = g_strconcat("/proc/sys/", host_sysctl_name(i), NULL);

		g_strdelimit(path + strlen("/proc/sys/"), ".", '/');
		g_assert_cmpstr(host_sysctl_path(i), ==, path);
	}
}

static void test_conntrack(void)
{
	struct fake_host want = { .cpus = 2 };
	struct scanned s;

	begin(&s, &want);
	/* insert_failed is of what was there already; a line may be short */
	fake_host_put(s.root, "proc/net/stat/nf_conntrack",
		"entries  insert insert_failed drop early_drop icmp_error\n"
		"00000078  00000000 000000ff 00000010 00000001 00000007\n"
		"00000078  00000000 000000ff 00000020 00000002 00000007\n"
		"00000078  00000000");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpuint(s.host->conntrack_failed, ==, 0x33);
	fake_host_put(s.root, "proc/net/stat/nf_conntrack", "");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpuint(s.host->conntrack_failed, ==, 0);
	end(&s);
}

static void test_bbr(void)
{
	struct fake_host want = { .no_bbr = true, .kernel = "6.1.0" };
	struct scanned s;

	begin(&s, &want);
	g_assert_false(s.host->has_bbr);
	fake_host_put(s.root, "proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbrx");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_false(s.host->has_bbr);
	fake_host_put(s.root, "lib/modules/6.1.0/modules.dep",
		"kernel/net/ipv4/tcp_bic.ko:\nkernel/net/ipv4/tcp_bbr.ko.xz:");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_true(s.host->has_bbr);
	end(&s);
}

static void test_irqbalance(void)
{
	struct fake_host want = { .cpus = 2 };
	struct scanned s;

	begin(&s, &want);
	fake_host_put(s.root, "irqbalance", "socket 35 36");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpint(s.host->irqbalance, ==, IRQBALANCE_SOCKET);
	g_assert_cmpuint(s.host->banned->len, ==, 2);
	end(&s);
}

/* A scan only reads. */
static void test_reads_only(void)
{
	struct fake_host want = { .cpus = 64,
		.nics = { { FAKE_MLX5, .vectors = 127 }, { FAKE_MLX5 } },
		.bond = true,
		.wireguard = FAKE_WG_KERNEL };
	struct scanned s;

	begin(&s, &want);
	fake_host_settle(s.root);
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpuint(fake_host_written(s.root), ==, 0);
	g_assert_cmpuint(tree_writes(s.tree) + nics_writes(s.nics), ==, 0);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/host/cpus", test_cpus);
	g_test_add_func("/host/no-cpus", test_no_cpus);
	g_test_add_func("/host/nic", test_nic);
	g_test_add_func("/host/poor-nic", test_poor_nic);
	g_test_add_func("/host/node", test_node);
	g_test_add_func("/host/underlay", test_underlay);
	g_test_add_func("/host/routes", test_routes);
	g_test_add_func("/host/named", test_named);
	g_test_add_func("/host/loop", test_loop);
	g_test_add_func("/host/wireguard", test_wireguard);
	g_test_add_func("/host/userspace", test_userspace);
	g_test_add_func("/host/values", test_values);
	g_test_add_func("/host/sysctls", test_sysctls);
	g_test_add_func("/host/conntrack", test_conntrack);
	g_test_add_func("/host/bbr", test_bbr);
	g_test_add_func("/host/irqbalance", test_irqbalance);
	g_test_add_func("/host/reads-only", test_reads_only);
	return g_test_run();
}
