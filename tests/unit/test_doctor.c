/* tests/unit/test_doctor.c - a healthy made-up host, and what is wrong with it when one file says otherwise. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/cli/doctor.h"
#include "tests/unit/fake_host.h"

#define ROUTE_HEAD "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
#define UDP_HEAD \
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
#define MODULES "lib/modules/6.12.48+deb13-amd64/"

struct fixture {
	char *root;
	struct tree *tree;
	struct doctor_facts facts;
	GArray *findings;
};

static void set_up(struct fixture *f, const void *data)
{
	static const struct {
		const char *path, *text;
	} files[] = {
		{ "proc/sys/kernel/osrelease", "6.12.48+deb13-amd64" },
		{ MODULES "modules.dep",
			"kernel/net/netfilter/nfnetlink_log.ko.xz:\n"
			"kernel/net/netfilter/nfnetlink_queue.ko: a\n"
			"kernel/drivers/net/wireguard/wireguard.ko.zst: x\n"
			"kernel/net/netfilter/nft_ct.ko:" },
		{ MODULES "modules.builtin", "kernel/net/netfilter/nf_tables.ko" },
		{ "sys/module/wireguard/version", "1.0.0" },
		{ "boot/config-6.12.48+deb13-amd64",
			"CONFIG_NF_TABLES=m\nCONFIG_NF_TABLES_INET=y" },
		{ "proc/self/status",
			"Name:\tx\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff" },
		{ "proc/77/comm", "lapwingd" },
		{ "proc/77/status",
			"Name:\tx\nCapEff:\t0000000000003000\nCapBnd:\t0000000000003000" },
		{ "proc/78/comm", "chronyd" },
		{ "proc/net/route",
			ROUTE_HEAD "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0" },
		{ "sys/class/net/eth0/mtu", "1500" },
		{ "sys/class/net/wt0/mtu", "1420" },
		{ "proc/sys/net/ipv4/conf/wt0/rp_filter", "0" },
		{ "proc/sys/net/ipv4/conf/all/rp_filter", "2" },
		{ "proc/net/udp",
			UDP_HEAD
			"  1: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        "
			"0 0 2 0000000000000000 0" },
	};

	f->root = fake_host_make(&(const struct fake_host){ .nics = { { FAKE_VIRTIO } } });
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
		fake_host_put(f->root, files[i].path, files[i].text);
	f->facts = (struct doctor_facts){ .iface = "wt0", .listen_port = 51820 };
	f->facts.now_s = G_GINT64_CONSTANT(1800000000);
	f->facts.clock = DOCTOR_CLOCK_SYNCED;
	f->facts.wireguard = f->facts.nft = -ENODATA;
	f->facts.running = true;
	g_strlcpy(f->facts.state, "ready", sizeof(f->facts.state));
	g_assert_cmpint(tree_open(f->root, &f->tree), ==, 0);
}

static void tear_down(struct fixture *f, const void *data)
{
	g_clear_pointer(&f->findings, g_array_unref);
	tree_close(f->tree);
	fake_host_remove(f->root);
}

/* Whoever finds fault says what to do. */
static void examine(struct fixture *f)
{
	g_clear_pointer(&f->findings, g_array_unref);
	f->findings = doctor_examine(f->tree, &f->facts);
	for (guint i = 0; i < f->findings->len; i++) {
		const struct doctor_finding *finding = &g_array_index(
			f->findings, struct doctor_finding, i);

		g_assert_true(finding->result < DOCTOR_WARNING || finding->fix);
	}
}

/* Among the findings of this check one has this result, these words, and these in its fix (NULL: whatever). */
static void expect(struct fixture *f, const char *check, enum doctor_result result,
	const char *message, const char *fix)
{
	examine(f);
	for (guint i = 0; i < f->findings->len; i++) {
		const struct doctor_finding *finding = &g_array_index(
			f->findings, struct doctor_finding, i);

		if (!strcmp(finding->check, check) && finding->result == result &&
			strstr(finding->message, message) &&
			(!fix || (finding->fix && strstr(finding->fix, fix))))
			return;
	}
	g_error("%s: no %s \"%s\" \"%s\"", check, doctor_result_name(result), message, fix);
}

static void put(struct fixture *f, const char *path, const char *text)
{
	fake_host_put(f->root, path, text);
}

static void drop(struct fixture *f, const char *path)
{
	fake_host_drop(f->root, path);
}

static void test_healthy(struct fixture *f, const void *data)
{
	examine(f);
	g_assert_cmpint(doctor_worst(f->findings), ==, DOCTOR_OK);
	g_assert_cmpuint(f->findings->len, ==, 15);
	expect(f, "module", DOCTOR_OK, "loaded", NULL);
	expect(f, "port", DOCTOR_OK, "is WireGuard's", NULL);
	expect(f, "mtu", DOCTOR_OK, "1420", NULL);
}

/* Files may be missing, empty or of no sense: then nothing is known, and nothing worse happens. */
static void test_nothing(struct fixture *f, const void *data)
{
	static const char *const garbage[] = { "proc/net/route", "proc/net/udp",
		"proc/net/ipv6_route", "proc/self/status", "etc/systemd/networkd.conf",
		"etc/systemd/network/a.network", "etc/NetworkManager/NetworkManager.conf",
		"etc/ufw/ufw.conf", "sys/class/net/eth0/mtu", "proc/sys/kernel/osrelease",
		"etc/firewalld/zones/x.xml" };

	put(f, "proc/90/comm", "systemd-network");
	put(f, "proc/91/comm", "NetworkManager");
	put(f, "proc/92/comm", "firewalld");
	for (size_t i = 0; i < G_N_ELEMENTS(garbage); i++)
		put(f, garbage[i], "]=[\n[=\n=\n[Match\n[device\n: :\t\n%s 1: 0:0 0\n[]]\n!");
	examine(f);
	drop(f, "proc");
	drop(f, "sys");
	drop(f, "lib");
	f->facts.clock = DOCTOR_CLOCK_UNKNOWN;
	f->facts.running = false;
	examine(f);
	expect(f, "daemon", DOCTOR_NOTE, "does not answer", "systemctl");
	expect(f, "mtu", DOCTOR_NOTE, "no default route", NULL);
	expect(f, "capabilities", DOCTOR_NOTE, "could not be read", NULL);
	expect(f, "clock", DOCTOR_NOTE, "not known", NULL);
	expect(f, "kernel", DOCTOR_NOTE, "not known", NULL);
}

static void test_daemon(struct fixture *f, const void *data)
{
	g_strlcpy(f->facts.state, "degraded", sizeof(f->facts.state));
	g_strlcpy(f->facts.reason, "no room", sizeof(f->facts.reason));
	expect(f, "daemon", DOCTOR_PROBLEM, "degraded: no room", "lapwing status");
	put(f, "proc/sys/kernel/osrelease", "5.10.0-8-amd64");
	expect(f, "kernel", DOCTOR_WARNING, "5.10.0-8-amd64", "newer");
}

static void test_module(struct fixture *f, const void *data)
{
	drop(f, "sys/module/wireguard");
	expect(f, "module", DOCTOR_WARNING, "not loaded", "modprobe wireguard");
	put(f, MODULES "modules.dep",
		"kernel/drivers/net/wireguard/wireguard2.ko:\nxwireguard.ko:");
	expect(f, "module", DOCTOR_PROBLEM, "this kernel has no wireguard", "linux-image");
	put(f, MODULES "modules.builtin", "kernel/drivers/net/wireguard/wireguard.ko");
	expect(f, "module", DOCTOR_OK, "part of this kernel", NULL);
	drop(f, "lib");
	expect(f, "module", DOCTOR_PROBLEM, "are not there", "reboot");
	f->facts.wireguard = 0;
	expect(f, "module", DOCTOR_OK, "part of this kernel", NULL);
	f->facts.wireguard = -ENOENT;
	put(f, "run/systemd/container", "lxc");
	expect(f, "module", DOCTOR_PROBLEM, "a container cannot load it", "on the host");
}

static void test_nft(struct fixture *f, const void *data)
{
	put(f, MODULES "modules.dep", "kernel/net/netfilter/nft_ct.ko:");
	expect(f, "nftables", DOCTOR_WARNING, "no nfnetlink_log", NULL);
	expect(f, "nftables", DOCTOR_WARNING, "no nfnetlink_queue", NULL);
	put(f, "boot/config-6.12.48+deb13-amd64", "# CONFIG_NF_TABLES_INET is not set");
	expect(f, "nftables", DOCTOR_PROBLEM, "lacks the family inet", "CONFIG_NF_TABLES_INET");
	put(f, MODULES "modules.builtin", "");
	expect(f, "nftables", DOCTOR_PROBLEM, "no nf_tables", NULL);
	drop(f, "lib");
	f->facts.nft = -EPERM;
	expect(f, "nftables", DOCTOR_NOTE, "only root", NULL);
}

static void test_capabilities(struct fixture *f, const void *data)
{
	put(f, "proc/77/status", "Name:\tx\nCapEff:\t0000000000001000");
	expect(f, "capabilities", DOCTOR_PROBLEM, "lapwingd lacks CAP_NET_RAW", "AmbientCap");
	put(f, "proc/77/status", "Name:\tx\nCapEff:\t0000000000000000");
	expect(f, "capabilities", DOCTOR_PROBLEM, "CAP_NET_ADMIN and CAP_NET_RAW", NULL);
	put(f, "proc/self/status", "Name:\tx\nCapBnd:\t00000000a80425fb");
	expect(f, "capabilities", DOCTOR_PROBLEM, "no process here can have CAP_NET_ADMIN",
		"--cap-add");
	drop(f, "proc/77");
	put(f, "proc/self/status", "Name:\tx\nCapBnd:\t0000000000003000");
	expect(f, "capabilities", DOCTOR_OK, "can be had", NULL);
}

static void test_rp_filter(struct fixture *f, const void *data)
{
	put(f, "proc/sys/net/ipv4/conf/all/rp_filter", "0");
	put(f, "proc/sys/net/ipv4/conf/eth0/rp_filter", "1");
	expect(f, "rp_filter", DOCTOR_WARNING, "does not look at marks", "src_valid_mark=1");
	put(f, "proc/sys/net/ipv4/conf/all/src_valid_mark", "1");
	expect(f, "rp_filter", DOCTOR_OK, "in the way", NULL);
	put(f, "proc/net/route",
		ROUTE_HEAD "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n"
			   "wt0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\n"
			   "eth1\t00000000\t0201A8C0\t0003\t0\t0\t9\t00000000");
	expect(f, "rp_filter", DOCTOR_WARNING, "2 devices with a default route",
		"net.ipv4.conf.eth0.rp_filter=2");
	/* The greater of both counts: 2 is loose. */
	put(f, "proc/sys/net/ipv4/conf/all/rp_filter", "2");
	expect(f, "rp_filter", DOCTOR_OK, "in the way", NULL);
	put(f, "proc/sys/net/ipv4/conf/all/rp_filter", "0");
	put(f, "proc/sys/net/ipv4/conf/wt0/rp_filter", "1");
	expect(f, "rp_filter", DOCTOR_NOTE, "wt0 is strict", "conf.wt0.rp_filter=2");
}

static void test_mtu(struct fixture *f, const void *data)
{
	put(f, "sys/class/net/wt0/mtu", "1440");
	expect(f, "mtu", DOCTOR_NOTE, "over IPv6 that does not fit", "tune mtu");
	put(f, "sys/class/net/wt0/mtu", "1441");
	expect(f, "mtu", DOCTOR_PROBLEM, "large packets", "tune mtu --apply");
	put(f, "sys/class/net/wt0/mtu", "1279");
	expect(f, "mtu", DOCTOR_WARNING, "IPv6 wants 1280", NULL);
	drop(f, "sys/class/net/wt0");
	expect(f, "mtu", DOCTOR_OK, "wt0 is not there", NULL);
	put(f, "sys/class/net/eth0/mtu", "1300");
	expect(f, "mtu", DOCTOR_WARNING, "carries only 1300", "ip link set eth0");
	/* The default route is one of IPv6. */
	put(f, "proc/net/route", ROUTE_HEAD "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF");
	put(f, "proc/net/ipv6_route",
		"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth9\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth5\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo");
	put(f, "sys/class/net/eth5/mtu", "9000");
	expect(f, "mtu", DOCTOR_OK, "eth5 carries 9000", NULL);
}

static void test_port(struct fixture *f, const void *data)
{
	static const char *const taken = UDP_HEAD
		"  1: 0100007F:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000   100        0 4242 "
		"2 0 0";

	drop(f, "sys/class/net/wt0");
	expect(f, "port", DOCTOR_PROBLEM, "the kernel, for another tunnel", "listen_port");
	put(f, "proc/net/udp", UDP_HEAD);
	expect(f, "port", DOCTOR_OK, "is free", NULL);
	put(f, "proc/net/udp6", taken);
	expect(f, "port", DOCTOR_PROBLEM, "cannot be seen", "listen_port");
	put(f, "proc/99/comm", "named");
	fake_host_link(f->root, "proc/99/fd/7", "socket:[4242]");
	expect(f, "port", DOCTOR_PROBLEM, "named (process 99)", NULL);
	f->facts.listen_port = 51821;
	expect(f, "port", DOCTOR_OK, "51821 is free", NULL);
}

static void test_clock(struct fixture *f, const void *data)
{
	f->facts.clock = DOCTOR_CLOCK_FREE;
	expect(f, "clock", DOCTOR_WARNING, "not synchronized", "chronyd runs");
	drop(f, "proc/78");
	expect(f, "clock", DOCTOR_WARNING, "not synchronized", "timesyncd");
	f->facts.now_s = 1000000000;
	expect(f, "clock", DOCTOR_PROBLEM, "years behind", "timedatectl");
}

static void test_networkd(struct fixture *f, const void *data)
{
	put(f, "proc/90/comm", "systemd-network");
	put(f, "etc/systemd/networkd.conf", "[Network]\n#ManageForeignRoutes=no");
	expect(f, "networkd", DOCTOR_WARNING, "removes routes", "ManageForeignRoutes=no");
	expect(f, "networkd", DOCTOR_WARNING, "removes rules", "ManageForeignRoutingPolicyRules");
	put(f, "usr/lib/systemd/networkd.conf.d/60-lapwing.conf",
		"# a\n[Network]\nManageForeignRoutes = no\nManageForeignRoutingPolicyRules=false");
	expect(f, "networkd", DOCTOR_OK, "alone", NULL);
	/* In another section it means nothing; a later file has the last word, one in /etc hides that below. */
	put(f, "etc/systemd/networkd.conf.d/70.conf", "[DHCPv4]\nManageForeignRoutes=yes");
	expect(f, "networkd", DOCTOR_OK, "alone", NULL);
	put(f, "etc/systemd/networkd.conf.d/70.conf", "[Network]\nManageForeignRoutes=yes");
	expect(f, "networkd", DOCTOR_WARNING, "removes routes", NULL);
	put(f, "etc/systemd/networkd.conf.d/70.conf", "");
	put(f, "etc/systemd/networkd.conf.d/60-lapwing.conf", "");
	expect(f, "networkd", DOCTOR_WARNING, "removes routes", NULL);
	drop(f, "etc/systemd/networkd.conf.d");

	put(f, "etc/systemd/network/50-all.network", "[Match]\nName=*\n[Network]\nDHCP=yes");
	expect(f, "networkd", DOCTOR_WARNING, "50-all.network makes wt0", "Unmanaged=yes");
	put(f, "usr/lib/systemd/network/10-lapwing.network",
		"[Match]\nName=wt*\nKind=wireguard\n\n[Link]\nUnmanaged=yes");
	expect(f, "networkd", DOCTOR_OK, "alone", NULL);
	put(f, "etc/systemd/network/05-most.network", "[Match]\nName=!eth* lo");
	expect(f, "networkd", DOCTOR_WARNING, "05-most.network", NULL);
	put(f, "etc/systemd/network/05-most.network", "[Match]\nName=!eth* wt0");
	expect(f, "networkd", DOCTOR_OK, "alone", NULL);
	put(f, "etc/systemd/network/05-most.network", "[Match]\nType=ether");
	expect(f, "networkd", DOCTOR_OK, "alone", NULL);
}

static void test_network_manager(struct fixture *f, const void *data)
{
	static const char path[] = "etc/NetworkManager/conf.d/x.conf";
	static const char *const good[] = {
		"[keyfile]\nunmanaged-devices=mac:00:11;interface-name:wt0",
		"[keyfile]\nunmanaged-devices=interface-name:=wt0",
		"[main]\na=b\n[device-lapwing]\nmatch-device=interface-name:wt*\nmanaged=0",
	};
	static const char *const bad[] = {
		"[keyfile]\nunmanaged-devices=interface-name:wg*",
		"[other]\nunmanaged-devices=interface-name:wt0",
		"[device-x]\nmatch-device=interface-name:wt*\nmanaged=1",
		"[device-x]\nmatch-device=interface-name:eth*\nmanaged=0",
	};

	put(f, "proc/91/comm", "NetworkManager");
	expect(f, "NetworkManager", DOCTOR_WARNING, "may take wt0", "unmanaged-devices");
	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		put(f, path, good[i]);
		expect(f, "NetworkManager", DOCTOR_OK, "leaves wt0 alone", NULL);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		put(f, path, bad[i]);
		expect(f, "NetworkManager", DOCTOR_WARNING, "may take wt0", NULL);
	}
}

static void test_firewalls(struct fixture *f, const void *data)
{
	put(f, "proc/92/comm", "firewalld");
	put(f, "etc/firewalld/zones/public.xml",
		"<zone><port port=\"22\" protocol=\"tcp\"/></zone>");
	expect(f, "firewalld", DOCTOR_WARNING, "by wt0", "--zone=trusted --add-interface=wt0");
	expect(f, "firewalld", DOCTOR_WARNING, "port 51820", "--add-port=51820/udp");
	put(f, "etc/firewalld/zones/public.xml", "<port protocol=\"udp\" port=\"51820\"/>");
	put(f, "etc/firewalld/zones/trusted.xml", "<interface name=\"wt0\"/>");
	expect(f, "firewalld", DOCTOR_OK, "knows wt0", NULL);

	put(f, "etc/ufw/ufw.conf", "# x\nENABLED=yes\nLOGLEVEL=low");
	expect(f, "ufw", DOCTOR_NOTE, "root only", NULL);
	put(f, "etc/ufw/user.rules", "### tuple ### allow tcp 51820 0.0.0.0/0 any 0.0.0.0/0 in");
	expect(f, "ufw", DOCTOR_WARNING, "by wt0", "ufw allow in on wt0");
	expect(f, "ufw", DOCTOR_WARNING, "port 51820", "ufw allow 51820/udp");
	put(f, "etc/ufw/user.rules",
		"### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in\n"
		"### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 in_wt0");
	expect(f, "ufw", DOCTOR_OK, "knows wt0", NULL);

	put(f, "proc/93/comm", "dockerd");
	expect(f, "docker", DOCTOR_NOTE, "forwarded", "DOCKER-USER -i wt0");
	put(f, "etc/docker/daemon.json", "{\"iptables\":true,");
	expect(f, "docker", DOCTOR_NOTE, "forwarded", NULL);
	put(f, "etc/docker/daemon.json", "{\"ip-forward-no-drop\":true}");
	expect(f, "docker", DOCTOR_OK, "drops no", NULL);
	put(f, "etc/docker/daemon.json", "{\"iptables\" : false}");
	expect(f, "docker", DOCTOR_OK, "drops no", NULL);
}

static void test_agents(struct fixture *f, const void *data)
{
	put(f, "proc/94/comm", "netbird");
	expect(f, "agents", DOCTOR_WARNING, "NetBird", "disable --now netbird");
	put(f, "etc/systemd/network/wt0.netdev", "[NetDev]");
	expect(f, "agents", DOCTOR_PROBLEM, "wt0.netdev makes wt0", "remove that file");
	put(f, "etc/systemd/system/multi-user.target.wants/wg-quick@wt0.service", "");
	expect(f, "agents", DOCTOR_PROBLEM, "wg-quick makes wt0", "disable --now wg-quick@wt0");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct fixture *f, const void *data);
	} tests[] = {
		{ "/doctor/healthy", test_healthy },
		{ "/doctor/nothing", test_nothing },
		{ "/doctor/daemon", test_daemon },
		{ "/doctor/module", test_module },
		{ "/doctor/nft", test_nft },
		{ "/doctor/capabilities", test_capabilities },
		{ "/doctor/rp-filter", test_rp_filter },
		{ "/doctor/mtu", test_mtu },
		{ "/doctor/port", test_port },
		{ "/doctor/clock", test_clock },
		{ "/doctor/networkd", test_networkd },
		{ "/doctor/network-manager", test_network_manager },
		{ "/doctor/firewalls", test_firewalls },
		{ "/doctor/agents", test_agents },
	};

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].run, tear_down);
	return g_test_run();
}
