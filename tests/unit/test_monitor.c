/* tests/unit/test_monitor.c - which kernel events pass: by table, junk, the kernel at hand. */
#include "netlink/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netlink/ifaddr.h"
#include "netlink/monitor_filter.h"
#include "netlink/nft.h"
#include "netlink/route.h"
#include "tests/unit/bytes.h"
#include "tests/unit/live.h"

enum { OURS = 7, OTHER = 8, TABLE = 51820, NEWGEN = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN };

static const struct monitor_filter filter = { OURS, "wt0", TABLE };

/* -- links and addresses -------------------------------------------------------------------- */

static void put_changed_link(
	struct bytes *out, uint16_t type, int index, const char *name, unsigned change)
{
	const struct ifinfomsg ifi = { .ifi_index = index, .ifi_change = change };
	size_t message = bytes_message(out, type, 0, 0);

	bytes_put(out, &ifi, sizeof(ifi));
	bytes_attr_u32(out, IFLA_TXQLEN, 1000);
	if (name)
		bytes_attr_text(out, IFLA_IFNAME, name);
	bytes_end(out, message);
}

static void put_link(struct bytes *out, uint16_t type, int index, const char *name)
{
	put_changed_link(out, type, index, name, 0);
}

static void test_links(void)
{
	static const struct {
		uint16_t type;
		int index;
		const char *name;
		unsigned event;
	} cases[] = {
		{ RTM_NEWLINK, OURS, "wt0", MONITOR_LINK },
		{ RTM_NEWLINK, OURS, "renamed", MONITOR_LINK },
		{ RTM_NEWLINK, OURS, NULL, MONITOR_LINK },
		{ RTM_DELLINK, OURS, "wt0", MONITOR_LINK },
		{ RTM_NEWLINK, OTHER, "wt0", MONITOR_LINK },
		{ RTM_DELLINK, OTHER, "wt0", MONITOR_LINK },
		{ RTM_NEWLINK, OTHER, "wt01", 0 },
		{ RTM_NEWLINK, OTHER, "wt", 0 },
		{ RTM_NEWLINK, OTHER, "", 0 },
		{ RTM_NEWLINK, OTHER, NULL, 0 },
		{ RTM_DELLINK, OTHER, "eth0", 0 },
		{ RTM_SETLINK, OURS, "wt0", 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes in = { 0 };
		uint32_t pid;

		put_link(&in, cases[i].type, cases[i].index, cases[i].name);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
	}
}

/* Others only when they go up or down: a new one has changed in every way. */
static void test_other_links(void)
{
	static const struct {
		uint16_t type;
		int index;
		unsigned change, event;
	} cases[] = {
		{ RTM_NEWLINK, OTHER, IFF_UP, MONITOR_ELSEWHERE },
		{ RTM_NEWLINK, OTHER, UINT32_MAX, MONITOR_ELSEWHERE },
		{ RTM_NEWLINK, OTHER, IFF_PROMISC, 0 },
		{ RTM_DELLINK, OTHER, UINT32_MAX, 0 },
		{ RTM_NEWLINK, OURS, IFF_UP, MONITOR_LINK },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes in = { 0 };
		uint32_t pid = 1;

		put_changed_link(&in, cases[i].type, cases[i].index, "eth0", cases[i].change);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
		g_assert_cmpuint(pid, ==, cases[i].event != MONITOR_LINK);
	}
}

/* Before there is an interface only its name counts. */
static void test_no_index(void)
{
	const struct monitor_filter early = { .name = "wt0" }, nothing = { 0 };
	struct bytes ours = { 0 }, nobody = { 0 };
	uint32_t pid;

	put_link(&ours, RTM_NEWLINK, OURS, "wt0");
	put_link(&nobody, RTM_NEWLINK, 0, "");
	g_assert_cmpuint(monitor_filter_route(&early, bytes_header(&ours), &pid), ==, MONITOR_LINK);
	g_assert_cmpuint(monitor_filter_route(&early, bytes_header(&nobody), &pid), ==, 0);
	g_assert_cmpuint(monitor_filter_route(&nothing, bytes_header(&ours), &pid), ==, 0);
	g_assert_cmpuint(monitor_filter_route(&nothing, bytes_header(&nobody), &pid), ==, 0);
}

static void test_addresses(void)
{
	static const struct {
		uint16_t type;
		unsigned index, event;
	} cases[] = { { RTM_NEWADDR, OURS, MONITOR_ADDR }, { RTM_DELADDR, OURS, MONITOR_ADDR },
		{ RTM_NEWADDR, OTHER, MONITOR_ELSEWHERE },
		{ RTM_DELADDR, OTHER, MONITOR_ELSEWHERE } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct ifaddrmsg ifa = { .ifa_index = cases[i].index };
		struct bytes in = { 0 };
		size_t message = bytes_message(&in, cases[i].type, 0, 0);
		uint32_t pid;

		bytes_put(&in, &ifa, sizeof(ifa));
		bytes_end(&in, message);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
	}
}

/* -- routes and rules ----------------------------------------------------------------------- */

static void test_routes(void)
{
	static const struct {
		uint16_t type;
		uint32_t oif, table;
		unsigned event;
	} cases[] = {
		{ RTM_DELROUTE, OURS, 254, MONITOR_ROUTE },
		{ RTM_DELROUTE, OTHER, TABLE, MONITOR_ROUTE },
		{ RTM_DELROUTE, 0, TABLE, MONITOR_ROUTE },
		{ RTM_DELROUTE, OTHER, 254, 0 },
		{ RTM_DELROUTE, 0, 0, 0 },
		{ RTM_NEWROUTE, OURS, TABLE, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct rtmsg rtm = { .rtm_family = AF_INET };
		struct bytes in = { 0 };
		size_t message = bytes_message(&in, cases[i].type, 0, 0);
		uint32_t pid;

		bytes_put(&in, &rtm, sizeof(rtm));
		bytes_attr_u32(&in, RTA_TABLE, cases[i].table);
		bytes_attr_u32(&in, RTA_DST, 5);
		if (cases[i].oif)
			bytes_attr_u32(&in, RTA_OIF, cases[i].oif);
		bytes_end(&in, message);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
	}
}

/* Where packets to strangers go. */
static void test_default_routes(void)
{
	static const struct {
		uint16_t type;
		struct rtmsg rtm;
		unsigned event;
	} cases[] = {
		{ RTM_NEWROUTE, { .rtm_table = 254, .rtm_type = RTN_UNICAST }, MONITOR_ELSEWHERE },
		{ RTM_DELROUTE, { .rtm_table = 254, .rtm_type = RTN_UNICAST }, MONITOR_ELSEWHERE },
		{ RTM_NEWROUTE, { .rtm_table = 254, .rtm_type = RTN_UNREACHABLE }, 0 },
		{ RTM_NEWROUTE, { .rtm_table = 254, .rtm_type = RTN_UNICAST, .rtm_dst_len = 8 },
			0 },
		{ RTM_NEWROUTE, { .rtm_table = 100, .rtm_type = RTN_UNICAST }, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes in = { 0 };
		size_t message = bytes_message(&in, cases[i].type, 0, 0);
		uint32_t pid;

		bytes_put(&in, &cases[i].rtm, sizeof(cases[i].rtm));
		bytes_attr_u32(&in, RTA_OIF, OTHER);
		bytes_end(&in, message);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
	}
}

static void test_rules(void)
{
	static const struct {
		uint16_t type;
		uint32_t table;
		uint8_t protocol;
		unsigned event;
	} cases[] = {
		{ RTM_DELRULE, TABLE, 0, MONITOR_RULE },
		{ RTM_DELRULE, 254, ROUTE_PROTO, MONITOR_RULE },
		{ RTM_DELRULE, 254, 4, 0 },
		{ RTM_NEWRULE, TABLE, ROUTE_PROTO, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct fib_rule_hdr frh = { .family = AF_INET };
		struct bytes in = { 0 };
		size_t message = bytes_message(&in, cases[i].type, 0, 0);
		uint32_t pid;

		bytes_put(&in, &frh, sizeof(frh));
		bytes_attr_u32(&in, FRA_TABLE, cases[i].table);
		bytes_attr_u8(&in, FRA_PROTOCOL, cases[i].protocol);
		bytes_end(&in, message);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, cases[i].event);
	}
}

/* -- who did it ----------------------------------------------------------------------------- */

static void test_pid(void)
{
	static const struct {
		uint32_t port, pid;
	} cases[] = { { 0, 0 }, { 4711, 4711 }, { 1 << 22, 1 << 22 }, { (1 << 22) + 1, 0 },
		{ UINT32_MAX - 4095, 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct bytes in = { 0 };
		uint32_t pid = 99;

		put_link(&in, RTM_DELLINK, OURS, "wt0");
		memcpy(in.b + 12, &cases[i].port, 4);
		g_assert_cmpuint(
			monitor_filter_route(&filter, bytes_header(&in), &pid), ==, MONITOR_LINK);
		g_assert_cmpuint(pid, ==, cases[i].pid);
	}
}

static void test_nft(void)
{
	static const struct {
		uint16_t type;
		uint32_t pid;
		unsigned event;
	} cases[] = {
		{ NEWGEN, 42, 0 },
		{ NEWGEN, 43, MONITOR_NFT },
		{ NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 43, 0 },
		{ NFNL_SUBSYS_IPSET << 8 | NFT_MSG_NEWGEN, 43, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct nfgenmsg nfg = { 0 };
		struct bytes in = { 0 };
		size_t message = bytes_message(&in, cases[i].type, 0, 0);
		uint32_t pid = 0;

		bytes_put(&in, &nfg, sizeof(nfg));
		bytes_attr_u32(&in, NFTA_GEN_ID, htonl(5));
		bytes_attr_u32(&in, NFTA_GEN_PROC_PID, htonl(cases[i].pid));
		bytes_attr_text(&in, NFTA_GEN_PROC_NAME, "nft");
		bytes_end(&in, message);
		g_assert_cmpuint(
			monitor_filter_nft(42, bytes_header(&in), &pid), ==, cases[i].event);
		g_assert_cmpuint(pid, ==, cases[i].event ? cases[i].pid : 0);
	}
}

/* -- junk ----------------------------------------------------------------------------------- */

static void test_truncated(void)
{
	static const uint16_t types[] = { RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR,
		RTM_DELROUTE, RTM_DELRULE, NEWGEN };
	struct bytes whole = { 0 };
	uint32_t pid;

	put_link(&whole, RTM_NEWLINK, OTHER, "eth0");
	for (size_t len = NLMSG_HDRLEN; len <= whole.len; len++) {
		for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
			g_autofree struct nlmsghdr *nlh = bytes_cut(&whole, len);

			nlh->nlmsg_type = types[i];
			monitor_filter_route(&filter, nlh, &pid);
			monitor_filter_nft(1, nlh, &pid);
		}
	}
}

/* -- the kernel at hand --------------------------------------------------------------------- */

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static void test_live_route(void)
{
	const struct rule rule = { AF_INET, 30000, TABLE, true, 1, -1 };
	struct route route = { prefix("10.9.0.0/16"), ROUTE_TABLE_MAIN, 0 };
	struct prefix address = prefix("100.64.0.1");
	struct monitor_filter own = { .name = "wt0", .table = TABLE };
	const struct link_change down = { .up = 0 };
	uint64_t seen, passed;
	struct monitor *m;
	struct nl *nl;
	int fd;

	own.ifindex = route.ifindex = live_link(&nl);
	if (!own.ifindex)
		return;
	g_assert_cmpint(monitor_open(&m), ==, 0);
	fd = monitor_route_fd(m);
	monitor_set_filter(m, &own);
	g_assert_cmpuint(monitor_read(m, fd), ==, 0);
	g_assert_cmpint(ifaddr_add(nl, own.ifindex, &address), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd), ==, MONITOR_ADDR);
	g_assert_cmpint(route_add(nl, &route), ==, 0);
	g_assert_cmpint(rule_add(nl, &rule), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd), ==, 0);
	g_assert_cmpint(route_remove(nl, &route), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd), ==, MONITOR_ROUTE);
	g_assert_cmpint(rule_remove(nl, &rule), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd), ==, MONITOR_RULE);
	g_assert_cmpint(link_set(nl, own.ifindex, &down), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd) & MONITOR_LINK, ==, MONITOR_LINK);
	g_assert_cmpint(link_delete(nl, own.ifindex), ==, 0);
	g_assert_cmpuint(monitor_read(m, fd) & MONITOR_LINK, ==, MONITOR_LINK);
	g_assert_cmpuint(monitor_last_pid(m), ==, 0);
	monitor_counts(m, &seen, &passed);
	g_assert_cmpuint(passed, >=, 5);
	g_assert_cmpuint(seen, >, passed);
	monitor_close(m);
	nl_close(nl);
}

/* More events than the queue holds, and none of them about us. */
static void test_live_lost(void)
{
	enum { ROUNDS = 5000 };
	const struct monitor_filter own = { OURS, "wt0", TABLE };
	struct prefix address = prefix("100.64.0.1");
	unsigned index, events = 0, n = 0;
	struct monitor *m;
	struct nl *nl;

	index = live_link(&nl);
	if (!index)
		return;
	g_assert_cmpint(monitor_open(&m), ==, 0);
	monitor_set_filter(m, &own);
	for (int i = 0; i < ROUNDS; i++) {
		g_assert_cmpint(ifaddr_add(nl, index, &address), ==, 0);
		g_assert_cmpint(ifaddr_remove(nl, index, &address), ==, 0);
	}
	do
		events |= monitor_read(m, monitor_route_fd(m));
	while (!(events & MONITOR_LOST) && ++n < ROUNDS);
	g_assert_cmpuint(events & (MONITOR_LOST | MONITOR_DEAD), ==, MONITOR_LOST);
	monitor_close(m);
	nl_close(nl);
}

static void make_table(void)
{
	const struct nft_config config = { .table = "lapwing-other", .ifname = "wt0" };
	struct nft *nft;

	_exit(nft_open(&nft) == 0 && nft_apply(nft, &config) == 0 ? 0 : 1);
}

static void test_live_nft(void)
{
	const struct nft_config config = { .table = "lapwing-wt0", .ifname = "wt0" };
	struct monitor *m;
	struct nft *nft;
	pid_t child;
	int fd;

	if (!live_namespace())
		return;
	g_assert_cmpint(monitor_open(&m), ==, 0);
	fd = monitor_nft_fd(m);
	if (fd < 0 || nft_open(&nft) < 0) {
		g_test_skip("no nftables in this kernel");
		monitor_close(m);
		return;
	}
	if (nft_apply(nft, &config) < 0) {
		g_test_skip("this kernel's nftables lack what our table needs");
	} else {
		g_assert_cmpuint(monitor_read(m, fd), ==, 0);
		child = fork();
		if (child == 0)
			make_table();
		g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
		g_assert_cmpuint(monitor_read(m, fd), ==, MONITOR_NFT);
		g_assert_cmpint(monitor_last_pid(m), ==, child);
		g_assert_cmpuint(monitor_read(m, fd), ==, 0);
	}
	nft_close(nft);
	monitor_close(m);
	monitor_close(NULL);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/monitor/links", test_links);
	g_test_add_func("/monitor/other_links", test_other_links);
	g_test_add_func("/monitor/no-index", test_no_index);
	g_test_add_func("/monitor/addresses", test_addresses);
	g_test_add_func("/monitor/routes", test_routes);
	g_test_add_func("/monitor/default_routes", test_default_routes);
	g_test_add_func("/monitor/rules", test_rules);
	g_test_add_func("/monitor/pid", test_pid);
	g_test_add_func("/monitor/nft", test_nft);
	g_test_add_func("/monitor/truncated", test_truncated);
	g_test_add_func("/monitor/live/route", test_live_route);
	g_test_add_func("/monitor/live/lost", test_live_lost);
	g_test_add_func("/monitor/live/nft", test_live_nft);
	return g_test_run();
}
