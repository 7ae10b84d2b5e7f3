/* tests/unit/test_plan_values.c - which value each knob should have, and when it is better left alone. */
#include "tests/unit/planned.h"

static const struct plan_options forced = { .only = KNOB_ALL, .force = true };

static void begin_with(struct scanned *s, enum fake_nic_kind kind, unsigned queues)
{
	struct fake_host want = { .cpus = 8,
		.nics = { { kind, .queues = queues } },
		.wireguard = FAKE_WG_KERNEL,
		.peers = 2 };

	begin(s, &want);
}

/* An attribute of the NIC, and what should become of it. */
struct attr_case {
	const char *now, *max;
	enum item_state state;
	const char *wanted;
};

static void check_attrs(enum nic_attr attr, enum nic_attr max, enum knob knob,
	const struct attr_case *cases, size_t n)
{
	struct scanned s;

	begin_with(&s, FAKE_MLX5, 4);
	for (size_t i = 0; i < n; i++) {
		set(&mutable_nic(&s, 0)->attrs[attr], cases[i].now);
		if (max != attr)
			set(&mutable_nic(&s, 0)->attrs[max], cases[i].max);
		check(s.host, &usual, knob, "eth0", cases[i].state, cases[i].wanted);
		if (knob == KNOB_CHANNELS || knob == KNOB_RINGS)
			check(s.host, &forced, knob, "eth0", cases[i].state, cases[i].wanted);
	}
	end(&s);
}

static void test_channels(void)
{
	static const struct attr_case cases[] = {
		{ "rx 0 tx 0 combined 1", "rx 0 tx 0 combined 63", ITEM_DIFFERS,
			"rx 0 tx 0 combined 8" },
		{ "rx 0 tx 0 combined 1", "rx 0 tx 0 combined 4", ITEM_DIFFERS,
			"rx 0 tx 0 combined 4" },
		{ "rx 0 tx 0 combined 8", "rx 0 tx 0 combined 8", ITEM_OK, "rx 0 tx 0 combined 8" },
		{ "rx 0 tx 0 combined 12", "rx 0 tx 0 combined 16", ITEM_OK,
			"rx 0 tx 0 combined 12" },
		{ "rx 1 tx 2 combined 0", "rx 8 tx 4 combined 0", ITEM_DIFFERS,
			"rx 8 tx 4 combined 0" },
		{ "rx 1 tx 0 combined 2", "rx 8 tx 8 combined 8", ITEM_DIFFERS,
			"rx 1 tx 0 combined 8" },
		{ "rx 0 tx 0 combined 1", NULL, ITEM_UNSUPPORTED, NULL },
		{ "nonsense", "rx 0 tx 0 combined 8", ITEM_UNSUPPORTED, NULL },
		{ NULL, NULL, ITEM_UNSUPPORTED, NULL },
	};

	check_attrs(NIC_CHANNELS, NIC_CHANNELS_MAX, KNOB_CHANNELS, cases, G_N_ELEMENTS(cases));
}

static void test_rings(void)
{
	static const struct attr_case cases[] = {
		{ "rx 512 tx 512", "rx 8192 tx 8192", ITEM_DIFFERS, "rx 4096 tx 4096" },
		{ "rx 512 tx 512", "rx 2048 tx 1024", ITEM_DIFFERS, "rx 2048 tx 1024" },
		{ "rx 8192 tx 512", "rx 8192 tx 8192", ITEM_DIFFERS, "rx 8192 tx 4096" },
		{ "rx 256 tx 256", "rx 256 tx 256", ITEM_OK, "rx 256 tx 256" },
		{ "rx 256 tx 256", NULL, ITEM_UNSUPPORTED, NULL },
		{ NULL, NULL, ITEM_UNSUPPORTED, NULL },
	};

	check_attrs(NIC_RINGS, NIC_RINGS_MAX, KNOB_RINGS, cases, G_N_ELEMENTS(cases));
}

/* What resets a link in use waits to be allowed. */
static void test_disruptive(void)
{
	struct plan_options options = usual;
	struct plan *plan;
	struct scanned s;

	begin_with(&s, FAKE_MLX5, 4);
	set(&mutable_nic(&s, 0)->attrs[NIC_CHANNELS], "rx 0 tx 0 combined 1");
	options.only = UINT32_C(1) << KNOB_CHANNELS | UINT32_C(1) << KNOB_RINGS |
		UINT32_C(1) << KNOB_BACKLOG;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan_pending(plan, true), ==, 3);
	g_assert_cmpuint(plan_pending(plan, false), ==, 1);
	plan_free(plan);
	mutable_nic(&s, 0)->up = false;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan_pending(plan, false), ==, 3);
	plan_free(plan);
	end(&s);
}

static void test_flow_hash(void)
{
	struct scanned s;

	begin_with(&s, FAKE_MLX5, 4);
	check(s.host, &usual, KNOB_FLOW_HASH, "eth0 udp4", ITEM_DIFFERS, "sdfn");
	set(&mutable_nic(&s, 0)->attrs[NIC_UDP6_HASH], "vsdfn");
	check(s.host, &usual, KNOB_FLOW_HASH, "eth0 udp6", ITEM_OK, "vsdfn");
	set(&mutable_nic(&s, 0)->attrs[NIC_UDP6_HASH], NULL);
	check(s.host, &usual, KNOB_FLOW_HASH, "eth0 udp6", ITEM_UNSUPPORTED, NULL);
	set_error(&mutable_nic(&s, 0)->attrs[NIC_UDP6_HASH], -EIO);
	check(s.host, &usual, KNOB_FLOW_HASH, "eth0 udp6", ITEM_UNREADABLE, NULL);
	end(&s);
	begin_with(&s, FAKE_MLX5, 1);
	check(s.host, &usual, KNOB_FLOW_HASH, "eth0 udp4", ITEM_UNSUPPORTED, NULL);
	check(s.host, &usual, KNOB_RSS, "eth0", ITEM_UNSUPPORTED, NULL);
	end(&s);
}

static void test_rss(void)
{
	static const struct attr_case cases[] = {
		{ "0 1 2 3 0 1 2 3", NULL, ITEM_OK, "0 1 2 3 0 1 2 3" },
		{ "0 0 1 1 2 2 3 3", NULL, ITEM_OK, "0 0 1 1 2 2 3 3" },
		{ "0 1 2 3 0 1", NULL, ITEM_OK, "0 1 2 3 0 1" },
		{ "2 1", NULL, ITEM_OK, "2 1" },
		{ "1 0", NULL, ITEM_OK, "1 0" },
		{ "0 0 0 1 2 3", NULL, ITEM_DIFFERS, "0 1 2 3 0 1" },
		{ "0 1 0 1 0 1 0 1", NULL, ITEM_DIFFERS, "0 1 2 3 0 1 2 3" },
		{ "0 1 2 9", NULL, ITEM_DIFFERS, "0 1 2 3" },
		{ "0 0 0 0", NULL, ITEM_DIFFERS, "0 1 2 3" },
		{ "", NULL, ITEM_UNSUPPORTED, NULL },
		{ NULL, NULL, ITEM_UNSUPPORTED, NULL },
	};
	g_autoptr(GString) half = g_string_new("0");
	struct scanned s;

	check_attrs(NIC_RSS, NIC_RSS, KNOB_RSS, cases, G_N_ELEMENTS(cases));
	for (unsigned i = 1; i < 128; i++)
		g_string_append_printf(half, " %u", i % 16);
	begin_with(&s, FAKE_IXGBE, 32);
	set(&mutable_nic(&s, 0)->attrs[NIC_RSS], half->str);
	check(s.host, &usual, KNOB_RSS, "eth0", ITEM_OK, half->str);
	end(&s);
}

/* -- sysctls ---------------------------------------------------------------------------------- */

struct sysctl_case {
	enum knob knob;
	enum host_sysctl sysctl;
	const char *now;
	enum item_state state;
	const char *wanted, *forced;
};

static const struct sysctl_case sysctl_cases[] = {
	{ KNOB_BACKLOG, SYSCTL_BACKLOG, "1000", ITEM_DIFFERS, "10000", "10000" },
	{ KNOB_BACKLOG, SYSCTL_BACKLOG, "10000", ITEM_OK, "10000", "10000" },
	{ KNOB_BACKLOG, SYSCTL_BACKLOG, "250000", ITEM_OK, "250000", "10000" },
	{ KNOB_BUDGET, SYSCTL_BUDGET, "300", ITEM_DIFFERS, "600", "600" },
	{ KNOB_BUDGET_USECS, SYSCTL_BUDGET_USECS, "2000", ITEM_DIFFERS, "8000", "8000" },
	{ KNOB_BUDGET_USECS, SYSCTL_BUDGET_USECS, "20000", ITEM_OK, "20000", "8000" },
	{ KNOB_RMEM, SYSCTL_RMEM_MAX, "212992", ITEM_DIFFERS, "16777216", "16777216" },
	{ KNOB_WMEM, SYSCTL_WMEM_MAX, "33554432", ITEM_OK, "33554432", "16777216" },
	{ KNOB_TCP_RMEM, SYSCTL_TCP_RMEM, "4096\t131072\t6291456", ITEM_DIFFERS,
		"4096 131072 16777216", "4096 131072 16777216" },
	{ KNOB_TCP_RMEM, SYSCTL_TCP_RMEM, "8192\t87380\t6291456", ITEM_DIFFERS,
		"8192 131072 16777216", "4096 131072 16777216" },
	{ KNOB_TCP_WMEM, SYSCTL_TCP_WMEM, "4096 16384 33554432", ITEM_OK, "4096 16384 33554432",
		"4096 16384 16777216" },
	{ KNOB_TCP_WMEM, SYSCTL_TCP_WMEM, "4096 16384", ITEM_UNREADABLE, "4096 16384",
		"4096 16384" },
	{ KNOB_BACKLOG, SYSCTL_BACKLOG, "many", ITEM_UNREADABLE, "many", "many" },
	{ KNOB_BACKLOG, SYSCTL_BACKLOG, NULL, ITEM_UNSUPPORTED, NULL, NULL },
	{ KNOB_CONGESTION, SYSCTL_CONGESTION, "cubic", ITEM_DIFFERS, "bbr", "bbr" },
	{ KNOB_CONGESTION, SYSCTL_CONGESTION, "bbr", ITEM_OK, "bbr", "bbr" },
	{ KNOB_CONGESTION, SYSCTL_CONGESTION, "dctcp", ITEM_OK, "dctcp", "bbr" },
	{ KNOB_QDISC, SYSCTL_QDISC, "pfifo_fast", ITEM_DIFFERS, "fq", "fq" },
	{ KNOB_QDISC, SYSCTL_QDISC, "fq", ITEM_OK, "fq", "fq" },
	{ KNOB_QDISC, SYSCTL_QDISC, "cake", ITEM_OK, "cake", "fq" },
};

static void test_sysctls(void)
{
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	for (size_t i = 0; i < G_N_ELEMENTS(sysctl_cases); i++) {
		const struct sysctl_case *c = &sysctl_cases[i];
		const char *object = host_sysctl_name(c->sysctl);
		enum item_state state = c->state;

		set(&s.host->sysctls[c->sysctl], c->now);
		check(s.host, &usual, c->knob, object, state, c->wanted);
		if (g_strcmp0(c->wanted, c->forced) != 0)
			state = ITEM_DIFFERS;
		check(s.host, &forced, c->knob, object, state, c->forced);
	}
	end(&s);
}

static void test_small_memory(void)
{
	static const struct {
		uint64_t mib;
		const char *rmem, *tcp;
	} cases[] = {
		{ 1024, "16777216", "4096 131072 16777216" },
		{ 1023, "8388608", "4096 131072 8388608" },
		{ 512, "8388608", "4096 131072 8388608" },
		{ 100, "1048576", "4096 131072 1048576" },
	};
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	set(&s.host->sysctls[SYSCTL_TCP_RMEM], "4096 131072 200000");
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		s.host->ram_bytes = cases[i].mib << 20;
		check(s.host, &usual, KNOB_RMEM, "net.core.rmem_max", ITEM_DIFFERS, cases[i].rmem);
		check(s.host, &usual, KNOB_TCP_RMEM, "net.ipv4.tcp_rmem", ITEM_DIFFERS,
			cases[i].tcp);
	}
	/* What there is on such a host already is more than its share. */
	s.host->ram_bytes = 8 << 20;
	check(s.host, &usual, KNOB_RMEM, "net.core.rmem_max", ITEM_OK, "212992");
	end(&s);
}

static void test_worst_case(void)
{
	struct plan_options options = usual;
	uint64_t tcp = 16 << 20, backlog = UINT64_C(10000) * 8 * 2304;
	struct plan *plan;
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	options.only = UINT32_C(1) << KNOB_BACKLOG | UINT32_C(1) << KNOB_TCP_RMEM;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan->worst_case_bytes, ==, backlog + tcp);
	plan_free(plan);
	options.only = UINT32_C(1) << KNOB_IRQ;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan->worst_case_bytes, ==, 0);
	plan_free(plan);
	end(&s);
}

static void test_conntrack(void)
{
	static const struct {
		const char *max;
		uint64_t count, failed, mib;
		enum item_state state;
		const char *wanted;
		bool warned;
	} cases[] = {
		{ "262144", 100, 0, 16384, ITEM_OK, "262144", false },
		{ "262144", 235000, 0, 16384, ITEM_OK, "262144", false },
		{ "262144", 236000, 0, 16384, ITEM_DIFFERS, "524288", false },
		{ "262144", 100, 3, 16384, ITEM_DIFFERS, "524288", false },
		{ "524288", 100, 3, 16384, ITEM_OK, "524288", false },
		{ "65536", 100, 3, 1024, ITEM_DIFFERS, "131072", false },
		{ "131072", 131072, 3, 1024, ITEM_OK, "131072", true },
		{ "1000", 3000, 0, 16384, ITEM_DIFFERS, "4000", false },
		{ "0", 3000, 0, 16384, ITEM_OK, "0", false },
		{ NULL, 0, 9, 16384, ITEM_UNSUPPORTED, NULL, false },
	};
	struct plan *plan;
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		set(&s.host->sysctls[SYSCTL_CONNTRACK_MAX], cases[i].max);
		s.host->conntrack_count = cases[i].count;
		s.host->conntrack_failed = cases[i].failed;
		s.host->ram_bytes = cases[i].mib << 20;
		check(s.host, &usual, KNOB_CONNTRACK, "net.netfilter.nf_conntrack_max",
			cases[i].state, cases[i].wanted);
		plan = plan_make(s.host, &usual);
		g_assert_cmpuint(plan->warnings->len, ==, cases[i].warned);
		plan_free(plan);
	}
	end(&s);
}

/* -- TCP, and what waits at a device ---------------------------------------------------------- */

static void test_qdisc(void)
{
	static const struct attr_case cases[] = {
		{ "fq_codel", NULL, ITEM_DIFFERS, "fq" },
		{ "pfifo_fast", NULL, ITEM_DIFFERS, "fq" },
		{ "fq", NULL, ITEM_OK, "fq" },
		{ "!fq", NULL, ITEM_OK, "!fq" },
		{ "!htb", NULL, ITEM_UNSUPPORTED, NULL },
		{ "cake", NULL, ITEM_UNSUPPORTED, NULL },
		{ "noqueue", NULL, ITEM_UNSUPPORTED, NULL },
		{ "noop", NULL, ITEM_UNSUPPORTED, NULL },
		{ "mq fq_codel fq_codel", NULL, ITEM_DIFFERS, "mq fq fq" },
		{ "mq fq fq_codel pfifo_fast", NULL, ITEM_DIFFERS, "mq fq fq fq" },
		{ "mq fq fq", NULL, ITEM_OK, "mq fq fq" },
		{ "mq fq htb", NULL, ITEM_UNSUPPORTED, NULL },
		{ "mq", NULL, ITEM_OK, "mq" },
		{ "!mq fq_codel", NULL, ITEM_UNSUPPORTED, NULL },
		{ NULL, NULL, ITEM_UNSUPPORTED, NULL },
	};

	check_attrs(NIC_QDISC, NIC_QDISC, KNOB_QDISC, cases, G_N_ELEMENTS(cases));
}

static void test_gro(void)
{
	struct scanned s;
	const char *object = "eth0 rx-udp-gro-forwarding";

	begin_with(&s, FAKE_VIRTIO, 4);
	check(s.host, &usual, KNOB_GRO, object, ITEM_UNSUPPORTED, NULL);
	set(&s.host->sysctls[SYSCTL_FORWARD6], "1");
	check(s.host, &usual, KNOB_GRO, object, ITEM_DIFFERS, "on");
	set(&s.host->sysctls[SYSCTL_FORWARD6], "0");
	set(&s.host->sysctls[SYSCTL_FORWARD4], "1");
	check(s.host, &usual, KNOB_GRO, object, ITEM_DIFFERS, "on");
	set(&mutable_nic(&s, 0)->attrs[NIC_GRO_FORWARDING], "on");
	check(s.host, &usual, KNOB_GRO, object, ITEM_OK, "on");
	end(&s);
}

/* -- WireGuard -------------------------------------------------------------------------------- */

static void check_warnings(const struct host *host, const struct plan_options *options, unsigned n)
{
	struct plan *plan = plan_make(host, options);

	g_assert_cmpuint(plan->warnings->len, ==, n);
	plan_free(plan);
}

static void test_mtu(void)
{
	static const struct {
		const char *outer, *now;
		unsigned peers;
		bool ipv6;
		enum item_state state;
		const char *wanted, *forced;
	} cases[] = {
		{ "1500", "1280", 1, false, ITEM_DIFFERS, "1420", "1420" },
		{ "1500", "1420", 1, true, ITEM_OK, "1420", "1420" },
		{ "1500", "1440", 1, false, ITEM_OK, "1440", "1420" },
		{ "1500", "1440", 1, true, ITEM_OK, "1440", "1420" },
		{ "1500", "1440", 0, false, ITEM_OK, "1440", "1420" },
		{ "1500", "1500", 1, false, ITEM_OK, "1500", "1420" },
		{ "1460", "1420", 1, false, ITEM_DIFFERS, "1400", "1400" },
		{ "1460", "1420", 1, true, ITEM_DIFFERS, "1380", "1380" },
		{ "9000", "1420", 1, false, ITEM_OK, "1420", "1420" },
		{ "9000", "8920", 1, true, ITEM_OK, "8920", "1420" },
		{ "9000", "8921", 1, true, ITEM_OK, "8921", "1420" },
		{ "1460", "1410", 1, false, ITEM_OK, "1410", "1400" },
		{ "1340", "1420", 1, false, ITEM_DIFFERS, "1280", "1280" },
		{ "1300", "1420", 1, false, ITEM_DIFFERS, "1280", "1280" },
		{ "1300", "1280", 1, false, ITEM_OK, "1280", "1280" },
		{ "1300", "1250", 1, false, ITEM_OK, "1250", "1250" },
		{ "1300", "1240", 1, false, ITEM_OK, "1240", "1240" },
		{ NULL, "1280", 1, false, ITEM_UNSUPPORTED, NULL, NULL },
	};
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		enum item_state state = cases[i].state;

		set(&mutable_nic(&s, 0)->mtu, cases[i].outer);
		set(&s.host->wireguard->mtu, cases[i].now);
		s.host->n_peers = cases[i].peers;
		s.host->outer_ipv6 = cases[i].ipv6;
		check(s.host, &usual, KNOB_MTU, "wt0", state, cases[i].wanted);
		if (g_strcmp0(cases[i].wanted, cases[i].forced) != 0)
			state = ITEM_DIFFERS;
		check(s.host, &forced, KNOB_MTU, "wt0", state, cases[i].forced);
	}
	set(&mutable_nic(&s, 0)->mtu, "1500");
	set(&s.host->wireguard->mtu, "1500");
	check_warnings(s.host, &usual, 1);
	check_warnings(s.host, &forced, 0);
	set(&s.host->wireguard->mtu, "1420");
	check_warnings(s.host, &usual, 0);
	end(&s);
}

static void test_kernels(void)
{
	static const struct {
		const char *release;
		bool stalls;
	} cases[] = {
		{ "5.10.240", false },
		{ "5.15.185", false },
		{ "5.15.186", true },
		{ "5.15.200-generic", true },
		{ "5.15.201", false },
		{ "6.1.0-25-amd64", false },
		{ "6.1.141", false },
		{ "6.1.142", true },
		{ "6.1.163", true },
		{ "6.1.164", false },
		{ "6.6.93", false },
		{ "6.6.94", true },
		{ "6.6.126", true },
		{ "6.6.127", false },
		{ "6.12.33", false },
		{ "6.12.34", true },
		{ "6.12.48+deb13-amd64", true },
		{ "6.12.73", true },
		{ "6.12.74", false },
		{ "6.15.2", false },
		{ "6.16-rc1", true },
		{ "6.18.46", true },
		{ "7.0.3-arch1-1", true },
		{ "nonsense", false },
		{ "", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("%s", cases[i].release);
		g_assert_cmpint(plan_kernel_stalls(cases[i].release), ==, cases[i].stalls);
	}
}

/* Never switched on, whatever the kernel; where it is on there is a warning, and only force ends it. */
static void test_threaded(void)
{
	static const char *const kernels[] = { "5.10.1", "6.1.150", "6.1.200", "6.17.0" };
	struct scanned s;

	begin_with(&s, FAKE_VIRTIO, 4);
	for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++) {
		struct plan *plan;

		g_strlcpy(s.host->kernel, kernels[i], sizeof(s.host->kernel));
		set(&s.host->wireguard->threaded, "0");
		check(s.host, &usual, KNOB_THREADED, "wt0", ITEM_UNSUPPORTED, NULL);
		check(s.host, &forced, KNOB_THREADED, "wt0", ITEM_UNSUPPORTED, NULL);
		set(&s.host->wireguard->threaded, "1");
		check(s.host, &usual, KNOB_THREADED, "wt0", ITEM_UNSUPPORTED, NULL);
		check(s.host, &forced, KNOB_THREADED, "wt0", ITEM_DIFFERS, "0");
		plan = plan_make(s.host, &usual);
		g_assert_cmpuint(plan->warnings->len, ==, 1);
		g_assert_nonnull(strstr(plan->warnings->pdata[0], "CVE-2026-52945"));
		g_assert_cmpint(strstr(plan->warnings->pdata[0], "is known to") != NULL, ==,
			plan_kernel_stalls(kernels[i]));
		plan_free(plan);
	}
	set(&s.host->wireguard->threaded, NULL);
	check(s.host, &usual, KNOB_THREADED, "wt0", ITEM_UNSUPPORTED, NULL);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan/channels", test_channels);
	g_test_add_func("/plan/rings", test_rings);
	g_test_add_func("/plan/disruptive", test_disruptive);
	g_test_add_func("/plan/flow-hash", test_flow_hash);
	g_test_add_func("/plan/rss", test_rss);
	g_test_add_func("/plan/sysctls", test_sysctls);
	g_test_add_func("/plan/small-memory", test_small_memory);
	g_test_add_func("/plan/worst-case", test_worst_case);
	g_test_add_func("/plan/conntrack", test_conntrack);
	g_test_add_func("/plan/qdisc", test_qdisc);
	g_test_add_func("/plan/gro", test_gro);
	g_test_add_func("/plan/mtu", test_mtu);
	g_test_add_func("/plan/kernels", test_kernels);
	g_test_add_func("/plan/threaded", test_threaded);
	return g_test_run();
}
