/* tests/unit/test_plan.c - what a plan says of made-up hosts. */
#include "tests/unit/planned.h"

static unsigned count(const struct plan *plan, enum knob knob)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->items->len; i++)
		n += ((const struct item *)plan->items->pdata[i])->knob == knob;
	return n;
}

/* CPUs of each queue's interrupts, in the order of the plan, as "eth0 0,1,2 eth1 3,4". */
static char *cpus_of_irqs(const struct plan *plan)
{
	GString *out = g_string_new(NULL);
	const char *device = "";

	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];
		g_autofree char *list = NULL;
		struct cpuset cpus;

		if (item->knob != KNOB_IRQ)
			continue;
		g_assert_cmpint(cpuset_parse_mask(item->wanted, &cpus), ==, 0);
		list = cpuset_format_list(&cpus);
		if (strcmp(item->device, device) != 0)
			g_string_append_printf(out, "%s%s ", out->len ? " " : "", item->device);
		else
			g_string_append_c(out, ',');
		g_string_append(out, list);
		device = item->device;
	}
	return g_string_free(out, FALSE);
}

static void check_irqs(const struct host *host, const char *expected)
{
	struct plan *plan = plan_make(host, &usual);
	g_autofree char *cpus = cpus_of_irqs(plan);

	g_assert_cmpstr(cpus, ==, expected);
	plan_free(plan);
}

/* -- which CPU does what ---------------------------------------------------------------------- */

#define ONES "ffffffff"

static void test_cpu_counts(void)
{
	static const struct {
		unsigned cpus;
		enum item_state steered;
		const char *all, *last; /* masks: of every CPU, of the last one or queue 63's */
	} cases[] = {
		{ 1, ITEM_OK, "0", "1" },
		{ 2, ITEM_DIFFERS, "3", "2" },
		{ 8, ITEM_DIFFERS, "ff", "80" },
		{ 64, ITEM_DIFFERS, ONES "," ONES, "80000000,00000000" },
		{ 96, ITEM_DIFFERS, ONES "," ONES "," ONES, "00000000,80000000,00000000" },
		{ 256, ITEM_DIFFERS,
			ONES "," ONES "," ONES "," ONES "," ONES "," ONES "," ONES "," ONES,
			"00000000,00000000,00000000,00000000,00000000,00000000,80000000,00000000" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct fake_host want = { .cpus = cases[i].cpus,
			.nics = { { FAKE_VIRTIO } },
			.wireguard = FAKE_WG_KERNEL,
			.peers = 1 };
		unsigned queues = MIN(want.cpus, 64);
		g_autofree char *irq_name = g_strdup_printf(
			"irq %u (virtio0-input.%u)", 24 + queues, queues - 1);
		struct scanned s;

		begin(&s, &want);
		check(s.host, &usual, KNOB_RPS, "wt0 rx-0", cases[i].steered, cases[i].all);
		check(s.host, &usual, KNOB_IRQ, irq_name,
			cases[i].cpus == 1 ? ITEM_OK : ITEM_DIFFERS, cases[i].last);
		end(&s);
	}
}

static void test_isolated(void)
{
	struct fake_host want = { .cpus = 8,
		.isolated = "2-3",
		.nohz_full = "5",
		.nics = { { FAKE_MLX5, .queues = 8 } },
		.wireguard = FAKE_WG_KERNEL };
	struct scanned s;

	begin(&s, &want);
	check_irqs(s.host, "eth0 0,1,4,6,7,0,1,4");
	check(s.host, &usual, KNOB_RPS, "wt0 rx-0", ITEM_DIFFERS, "d3");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-0", ITEM_DIFFERS, "01");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-4", ITEM_DIFFERS, "80");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-5", ITEM_DIFFERS, "01");
	end(&s);
}

static void test_offline(void)
{
	struct fake_host want = {
		.cpus = 8, .online = "1,6", .nics = { { FAKE_ENA, .queues = 3 } }
	};
	struct scanned s;

	begin(&s, &want);
	check_irqs(s.host, "eth0 1,6,1");
	check(s.host, &usual, KNOB_CHANNELS, "eth0", ITEM_OK, "rx 0 tx 0 combined 3");
	end(&s);
}

static void test_numa(void)
{
	struct fake_host want = {
		.cpus = 96, .nodes = 2, .nics = { { FAKE_MLX5, .queues = 4, .node = 1 } }
	};
	struct scanned s;

	begin(&s, &want);
	check_irqs(s.host, "eth0 48,49,50,51");
	/* CPUs 48, 52, ... 92 of its node, then 0, 4, ... 44. */
	check(s.host, &usual, KNOB_XPS, "eth0 tx-0", ITEM_DIFFERS, "11111111,11111111,11111111");
	end(&s);
	/* More queues than its node has CPUs: the others come after. */
	want = (struct fake_host){
		.cpus = 4, .nodes = 2, .nics = { { FAKE_MLX5, .queues = 6, .node = 1 } }
	};
	begin(&s, &want);
	check_irqs(s.host, "eth0 2,3,0,1,2,3");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-0", ITEM_DIFFERS, "4");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-2", ITEM_DIFFERS, "1");
	end(&s);
}

static void test_bond(void)
{
	struct fake_host want = { .cpus = 8,
		.nics = { { FAKE_VIRTIO, .queues = 4 }, { FAKE_IXGBE, .queues = 6 } },
		.bond = true,
		.vlan = true };
	struct plan *plan;
	struct scanned s;

	begin(&s, &want);
	check_irqs(s.host, "eth0 0,1,2,3 eth1 4,5,6,7,0,1");
	plan = plan_make(s.host, &usual);
	g_assert_cmpuint(count(plan, KNOB_CHANNELS), ==, 2);
	g_assert_cmpuint(count(plan, KNOB_QDISC), ==, 3);
	g_assert_cmpuint(count(plan, KNOB_RPS), ==, 10);
	for (unsigned i = 0; i < plan->items->len; i++)
		g_assert_cmpstr(((struct item *)plan->items->pdata[i])->device, !=, "bond0");
	plan_free(plan);
	end(&s);
}

/* Interrupts of the control plane are not in the plan; those of one queue go to one CPU. */
static void test_drivers(void)
{
	static const struct {
		struct fake_nic nic;
		const char *irqs;
	} cases[] = {
		{ { FAKE_MLX5, .queues = 3 }, "eth0 0,1,2" },
		{ { FAKE_MLX5, .queues = 2, .vectors = 5 }, "eth0 0,1,2,3,0" },
		{ { FAKE_VIRTIO, .queues = 2 }, "eth0 0,1" },
		{ { FAKE_VIRTIO, .queues = 2, .split = true }, "eth0 0,0,1,1" },
		{ { FAKE_IXGBE, .queues = 2 }, "eth0 0,1" },
		{ { FAKE_IGB, .queues = 2 }, "eth0 0,0,1,1" },
		{ { FAKE_ENA, .queues = 5 }, "eth0 0,1,2,3,0" },
		{ { FAKE_GVE, .queues = 2 }, "eth0 0,0,1,1" },
		{ { FAKE_HV_NETVSC, .queues = 2 }, "" },
		{ { .kind = FAKE_SINGLE }, "eth0 0" },
		{ { .kind = FAKE_VETH }, "" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct fake_host want = { .nics = { cases[i].nic } };
		struct scanned s;

		begin(&s, &want);
		check_irqs(s.host, cases[i].irqs);
		end(&s);
	}
}

/* What a driver keeps for queues that there are not does not push the next device's aside. */
static void test_spare_vectors(void)
{
	struct fake_host want = { .cpus = 8,
		.nics = { { FAKE_MLX5, .queues = 2, .vectors = 4 }, { FAKE_ENA, .queues = 2 } },
		.bond = true };
	struct scanned s;

	begin(&s, &want);
	check_irqs(s.host, "eth0 0,1 eth1 2,3 eth0 4,5");
	end(&s);
}

static void test_irq_states(void)
{
	struct fake_host want = { .nics = { { FAKE_VIRTIO, .queues = 3 } } };
	struct host_irq *irqs;
	struct scanned s;

	begin(&s, &want);
	irqs = &g_array_index(mutable_nic(&s, 0)->irqs, struct host_irq, 0);
	for (unsigned i = 0; i < mutable_nic(&s, 0)->irqs->len; i++) {
		if (irqs[i].queue == 0)
			set(&irqs[i].affinity, "00000001");
		if (irqs[i].queue == 1)
			set_error(&irqs[i].affinity, -EACCES);
		if (irqs[i].queue == 2)
			set_error(&irqs[i].affinity, -ENOENT);
	}
	check(s.host, &usual, KNOB_IRQ, "irq 25 (virtio0-input.0)", ITEM_OK, "1");
	check(s.host, &usual, KNOB_IRQ, "irq 26 (virtio0-input.1)", ITEM_UNREADABLE, NULL);
	check(s.host, &usual, KNOB_IRQ, "irq 27 (virtio0-input.2)", ITEM_UNSUPPORTED, NULL);
	end(&s);
}

/* -- where packets are steered ---------------------------------------------------------------- */

static void check_role(
	struct fake_host *want, enum plan_role role, enum item_state outer, enum item_state inner)
{
	struct plan *plan;
	struct scanned s;

	begin(&s, want);
	plan = plan_make(s.host, &usual);
	g_test_message("%s", plan->role_reason);
	g_assert_cmpstr(plan_role_name(plan->role), ==, plan_role_name(role));
	g_assert_cmpint(find(plan, KNOB_RPS, "eth0 rx-1")->state, ==, outer);
	g_assert_cmpint(find(plan, KNOB_RFS, "eth0 rx-1")->state, ==, outer);
	if (want->wireguard) {
		g_assert_cmpint(find(plan, KNOB_RPS, "wt0 rx-0")->state, ==, inner);
		g_assert_cmpint(find(plan, KNOB_RFS, "wt0 rx-0")->state, ==, inner);
	}
	g_assert_cmpint(find(plan, KNOB_RFS, "net.core.rps_sock_flow_entries")->state, ==,
		outer == ITEM_DIFFERS || inner == ITEM_DIFFERS ? ITEM_DIFFERS : ITEM_OK);
	plan_free(plan);
	end(&s);
}

static void test_roles(void)
{
	struct fake_host want = {
		.cpus = 4, .nics = { { FAKE_VIRTIO, .queues = 2 } }, .wireguard = FAKE_WG_KERNEL
	};

	check_role(&want, ROLE_FEW_PEERS, ITEM_OK, ITEM_DIFFERS);
	want.peers = 7;
	check_role(&want, ROLE_FEW_PEERS, ITEM_OK, ITEM_DIFFERS);
	want.peers = 8;
	check_role(&want, ROLE_MANY_PEERS, ITEM_DIFFERS, ITEM_OK);
	/* Only those that are up carry packets. */
	want.peers_up = 2;
	check_role(&want, ROLE_FEW_PEERS, ITEM_OK, ITEM_DIFFERS);
	want.peers = want.peers_up = 100;
	want.nics[0].queues = 4;
	check_role(&want, ROLE_MANY_PEERS, ITEM_OK, ITEM_OK);
	want.nics[0].queues = 3;
	want.wireguard = FAKE_WG_NONE;
	check_role(&want, ROLE_NONE, ITEM_DIFFERS, ITEM_OK);
}

/* What the operator has set on queues that we would leave. */
static void test_operators_steering(void)
{
	struct fake_host want = {
		.nics = { { FAKE_VIRTIO, .queues = 2 } }, .wireguard = FAKE_WG_KERNEL, .peers = 1
	};
	struct host_queue *outer, *inner;
	struct scanned s;

	begin(&s, &want);
	outer = &g_array_index(mutable_nic(&s, 0)->rx, struct host_queue, 0);
	inner = &g_array_index(s.host->wireguard->rx, struct host_queue, 0);
	set(&outer->rps_cpus, "6");
	set(&inner->rps_cpus, "f");
	set(&inner->rps_flow_cnt, "8192");
	set(&s.host->sysctls[SYSCTL_FLOW_ENTRIES], "65536");
	check(s.host, &usual, KNOB_RPS, "eth0 rx-0", ITEM_OK, "6");
	check(s.host, &usual, KNOB_RPS, "wt0 rx-0", ITEM_OK, "f");
	check(s.host, &usual, KNOB_RFS, "wt0 rx-0", ITEM_OK, "8192");
	check(s.host, &usual, KNOB_RFS, "net.core.rps_sock_flow_entries", ITEM_OK, "65536");
	end(&s);
}

static void test_xps(void)
{
	struct fake_host want = { .cpus = 8, .nics = { { FAKE_VIRTIO, .queues = 3 } } };
	struct scanned s;

	begin(&s, &want);
	check(s.host, &usual, KNOB_XPS, "eth0 tx-0", ITEM_DIFFERS, "49");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-1", ITEM_DIFFERS, "92");
	check(s.host, &usual, KNOB_XPS, "eth0 tx-2", ITEM_DIFFERS, "24");
	end(&s);
	want.nics[0] = (struct fake_nic){ .kind = FAKE_SINGLE };
	begin(&s, &want);
	check(s.host, &usual, KNOB_XPS, "eth0 tx-0", ITEM_UNSUPPORTED, NULL);
	end(&s);
}

static void test_irqbalance(void)
{
	static const struct {
		const char *file;
		enum irqbalance_mode mode;
		enum item_state state;
		const char *wanted;
	} cases[] = {
		{ NULL, IRQBALANCE_BAN, ITEM_OK, "stopped" },
		{ NULL, IRQBALANCE_STOP, ITEM_OK, "stopped" },
		{ "socket", IRQBALANCE_BAN, ITEM_DIFFERS, "running 25 26" },
		{ "socket 99 26 7", IRQBALANCE_BAN, ITEM_DIFFERS, "running 7 25 26 99" },
		{ "socket 26 25", IRQBALANCE_BAN, ITEM_OK, "running 25 26" },
		{ "socket 25 26", IRQBALANCE_STOP, ITEM_DIFFERS, "stopped" },
		{ "socket 7", IRQBALANCE_KEEP, ITEM_OK, "running 7" },
		{ "deaf", IRQBALANCE_BAN, ITEM_DIFFERS, "stopped" },
		{ "deaf", IRQBALANCE_KEEP, ITEM_OK, "running" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct fake_host want = { .nics = { { FAKE_VIRTIO, .queues = 2 } } };
		struct plan_options options = usual;
		struct scanned s;

		begin(&s, &want);
		if (cases[i].file)
			fake_host_put(s.root, "irqbalance", cases[i].file);
		g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
		options.irqbalance = cases[i].mode;
		check(s.host, &options, KNOB_IRQBALANCE, "irqbalance", cases[i].state,
			cases[i].wanted);
		end(&s);
	}
}

/* A list that older ones would read half of. */
static void test_irqbalance_long(void)
{
	enum { FITS = 95 };
	g_autoptr(GString) file = g_string_new("socket"), wanted = g_string_new("running 25 26");
	struct fake_host want = { .nics = { { FAKE_VIRTIO, .queues = 2 } } };
	struct scanned s;

	begin(&s, &want);
	for (unsigned i = 0; i <= FITS; i++) {
		g_string_append_printf(file, " %u", 1000 + i);
		g_string_append_printf(wanted, " %u", 1000 + i);
		if (i < FITS - 1)
			continue;
		fake_host_put(s.root, "irqbalance", file->str);
		g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
		check(s.host, &usual, KNOB_IRQBALANCE, "irqbalance", ITEM_DIFFERS,
			i < FITS ? wanted->str : "stopped");
	}
	end(&s);
}

/* -- which items there are -------------------------------------------------------------------- */

static void test_selection(void)
{
	struct fake_host want = { .nics = { { FAKE_VIRTIO }, { FAKE_MLX5 } },
		.bond = true,
		.wireguard = FAKE_WG_KERNEL };
	struct plan_options options = usual;
	struct plan *plan;
	struct scanned s;

	begin(&s, &want);
	options.only = UINT32_C(1) << KNOB_IRQ | UINT32_C(1) << KNOB_RMEM;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan->items->len, ==, 9);
	plan_free(plan);
	options.skip = UINT32_C(1) << KNOB_IRQ;
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan->items->len, ==, 1);
	g_assert_cmpstr(find(plan, KNOB_RMEM, "net.core.rmem_max")->path, ==,
		"/proc/sys/net/core/rmem_max");
	g_assert_cmpuint(plan_pending(plan, false), ==, 1);
	plan_free(plan);
	options = usual;
	options.device = "eth1";
	plan = plan_make(s.host, &options);
	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		g_assert_cmpstr(item->device, ==, item->knob == KNOB_IRQBALANCE ? NULL : "eth1");
	}
	g_assert_cmpuint(count(plan, KNOB_IRQBALANCE), ==, 1);
	g_assert_cmpuint(count(plan, KNOB_RPS), ==, 4);
	plan_free(plan);
	options.device = "wt0";
	plan = plan_make(s.host, &options);
	g_assert_cmpuint(plan->items->len, ==, 4); /* rps, rfs, mtu, threaded */
	plan_free(plan);
	end(&s);
}

/* Nothing but /proc/sys is left of a host without devices. */
static void test_no_device(void)
{
	struct fake_host want = { .cpus = 2 };
	struct plan *plan;
	struct scanned s;

	begin(&s, &want);
	plan = plan_make(s.host, &usual);
	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		g_assert_true(item->sysctl || item->knob == KNOB_IRQBALANCE);
	}
	g_assert_cmpuint(count(plan, KNOB_CHANNELS), ==, 0);
	g_assert_cmpuint(count(plan, KNOB_MTU), ==, 0);
	plan_free(plan);
	end(&s);
}

static void test_equal(void)
{
	static const struct {
		enum item_form form;
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ FORM_TEXT, "fq", "fq", true },
		{ FORM_TEXT, "mq  fq", "mq fq\n", true },
		{ FORM_TEXT, "fq", "fq_codel", false },
		{ FORM_TEXT, "1", "01", false },
		{ FORM_TEXT, NULL, NULL, true },
		{ FORM_TEXT, "", NULL, false },
		{ FORM_NUMBERS, "4096\t131072\t6291456", "4096 131072 6291456", true },
		{ FORM_NUMBERS, "01", "1", true },
		{ FORM_NUMBERS, "1 2", "1", false },
		{ FORM_NUMBERS, "1", "1 2", false },
		{ FORM_NUMBERS, "-1", "1", false },
		{ FORM_NUMBERS, "x", "x", true },
		{ FORM_MASK, "00000000,0000000f", "f", true },
		{ FORM_MASK, "F", "f", true },
		{ FORM_MASK, "f", "1f", false },
		{ FORM_MASK, "none", "none", true },
		{ FORM_MASK, "none", "0", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(
			item_is_equal(cases[i].form, cases[i].a, cases[i].b), ==, cases[i].equal);
		g_assert_cmpint(
			item_is_equal(cases[i].form, cases[i].b, cases[i].a), ==, cases[i].equal);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan/cpu-counts", test_cpu_counts);
	g_test_add_func("/plan/isolated", test_isolated);
	g_test_add_func("/plan/offline", test_offline);
	g_test_add_func("/plan/numa", test_numa);
	g_test_add_func("/plan/bond", test_bond);
	g_test_add_func("/plan/drivers", test_drivers);
	g_test_add_func("/plan/spare-vectors", test_spare_vectors);
	g_test_add_func("/plan/irq-states", test_irq_states);
	g_test_add_func("/plan/roles", test_roles);
	g_test_add_func("/plan/operators-steering", test_operators_steering);
	g_test_add_func("/plan/xps", test_xps);
	g_test_add_func("/plan/irqbalance", test_irqbalance);
	g_test_add_func("/plan/irqbalance-long", test_irqbalance_long);
	g_test_add_func("/plan/selection", test_selection);
	g_test_add_func("/plan/no-device", test_no_device);
	g_test_add_func("/plan/equal", test_equal);
	return g_test_run();
}
