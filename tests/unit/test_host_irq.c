/* tests/unit/test_host_irq.c - whose interrupts are whose, and which queues they serve. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/tune/host_impl.h"
#include "tests/unit/scanned.h"

static void test_irq_names(void)
{
	static const struct {
		const char *name;
		int queue;
		const char *owner;
	} cases[] = {
		{ "eth0-TxRx-0", 0, "eth0" },
		{ "i40e-eth0-TxRx-17", 17, "i40e-eth0" },
		{ "ice-eth0-TxRx-3", 3, "ice-eth0" },
		{ "hns3-0000:7d:00.0-TxRx-5", 5, "hns3-0000:7d:00.0" },
		{ "eth0-Tx-Rx-2", 2, "eth0" },
		{ "eth0-rxtx-7", 7, "eth0" },
		{ "eth0-rx-1", 1, "eth0" },
		{ "eth0-tx-1", 1, "eth0" },
		{ "eth0-txrx-1", 1, "eth0" },
		{ "eth0-Rx12", 12, "eth0" },
		{ "eth0-fp-4", 4, "eth0" },
		{ "eth0-q3-tx", 3, "eth0" },
		{ "eth0-q3-rx", 3, "eth0" },
		{ "eth0-3", 3, "eth0" },
		{ "mlx5_comp0@pci:0000:3b:00.0", 0, "" },
		{ "mlx5_comp63@pci:0000:3b:00.0", 63, "" },
		{ "mlx5_comp5", 5, "" },
		{ "mlx4-9@0000:04:00.0", 9, "" },
		{ "virtio2-input.11", 11, "virtio2" },
		{ "virtio2-output.11", 11, "virtio2" },
		{ "gve-ntfy-blk4@pci:0000:00:04.0", 4, "gve" },
		{ "eth0-ntfy-block.4", 4, "eth0" },
		{ "mana_q6@pci:7870:00:00.0", 6, "" },
		{ "mlx5_async0@pci:0000:3b:00.0", -1, NULL },
		{ "mlx5_async63", -1, NULL },
		{ "mlx5_pages_eq@pci:0000:3b:00.0", -1, NULL },
		{ "mlx4-async@pci:0000:04:00.0", -1, NULL },
		{ "virtio2-config", -1, NULL },
		{ "virtio2-virtqueues", -1, NULL },
		{ "ena-mgmnt@pci:0000:00:05.0", -1, NULL },
		{ "gve-mgmnt@pci:0000:00:04.0", -1, NULL },
		{ "mana_hwc@pci:7870:00:00.0", -1, NULL },
		{ "i40e-0000:02:00.0:misc", -1, NULL },
		{ "iavf-0000:02:00.0:mbx", -1, NULL },
		{ "idpf-eth0-Mailbox-0", -1, NULL },
		{ "eth0-event-2", -1, NULL },
		{ "eth0", -1, NULL },
		{ "eth1-3", -1, NULL },
		{ "-rx-", -1, NULL },
		{ "eth0-rx-4096", -1, NULL },
		{ "eth0-rx-99999999999999999999", -1, NULL },
		{ "7", -1, NULL },
		{ "", -1, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		size_t owner = 0;

		g_test_message("%s", cases[i].name);
		g_assert_cmpint(host_irq_queue(cases[i].name, "eth0", &owner), ==, cases[i].queue);
		if (!cases[i].owner)
			continue;
		g_assert_cmpuint(owner, ==, strlen(cases[i].owner));
		g_assert_true(g_str_has_prefix(cases[i].name, cases[i].owner));
	}
}

/* Of each kind: how many interrupts, how many for queues, and whose queue the last one is. */
static void test_irqs(void)
{
	static const struct {
		struct fake_host want;
		unsigned irqs, of_queues;
		int last;
	} cases[] = {
		{ { .cpus = 8, .nics = { { FAKE_MLX5 } } }, 9, 8, 7 },
		{ { .cpus = 8, .nics = { { FAKE_MLX5, .queues = 4, .vectors = 8 } } }, 9, 8, 7 },
		{ { .cpus = 8, .nics = { { FAKE_VIRTIO } } }, 9, 8, 7 },
		{ { .cpus = 8, .nics = { { FAKE_VIRTIO, .split = true } } }, 17, 16, 7 },
		{ { .cpus = 96, .nics = { { FAKE_IXGBE, .queues = 63 } } }, 64, 63, 62 },
		{ { .cpus = 2, .nics = { { FAKE_IGB } } }, 5, 4, 1 },
		{ { .cpus = 64, .nics = { { FAKE_ENA, .queues = 32 } } }, 33, 32, 31 },
		{ { .cpus = 16, .nics = { { FAKE_GVE } } }, 33, 32, 15 },
		{ { .cpus = 4, .nics = { { FAKE_SINGLE } } }, 1, 1, 0 },
		{ { .cpus = 4, .nics = { { FAKE_HV_NETVSC } } }, 0, 0, -1 },
		{ { .cpus = 4, .nics = { { FAKE_VETH } } }, 0, 0, -1 },
		{ { .cpus = 256, .nics = { { FAKE_MLX5, .queues = 64, .vectors = 127 } } }, 128,
			127, 126 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		unsigned of_queues = 0;
		struct scanned s;

		g_test_message("case %zu", i);
		begin(&s, &cases[i].want);
		g_assert_cmpuint(s.host->nics->len, ==, 1);
		g_assert_cmpuint(nic(&s, 0)->irqs->len, ==, cases[i].irqs);
		for (guint k = 0; k < cases[i].irqs; k++)
			of_queues += irq(nic(&s, 0), k)->queue >= 0;
		g_assert_cmpuint(of_queues, ==, cases[i].of_queues);
		if (cases[i].irqs)
			g_assert_cmpint(
				irq(nic(&s, 0), cases[i].irqs - 1)->queue, ==, cases[i].last);
		end(&s);
	}
}

static void test_irq(void)
{
	struct fake_host want = { .cpus = 40, .nics = { { FAKE_VIRTIO, .queues = 2 } } };
	struct scanned s;

	begin(&s, &want);
	g_assert_cmpuint(irq(nic(&s, 0), 0)->number, ==, 24);
	g_assert_cmpstr(irq(nic(&s, 0), 0)->name, ==, "virtio0-config");
	g_assert_cmpint(irq(nic(&s, 0), 0)->queue, ==, -1);
	g_assert_cmpuint(irq(nic(&s, 0), 2)->number, ==, 26);
	g_assert_cmpstr(irq(nic(&s, 0), 2)->name, ==, "virtio0-input.1");
	g_assert_cmpint(irq(nic(&s, 0), 2)->queue, ==, 1);
	g_assert_cmpstr(irq(nic(&s, 0), 2)->affinity.text, ==, "ff,ffffffff");
	fake_host_drop(s.root, "proc/irq/26");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_null(irq(nic(&s, 0), 2)->affinity.text);
	g_assert_cmpint(irq(nic(&s, 0), 2)->affinity.error, ==, -ENOENT);
	end(&s);
}

/* Each line: what /proc/interrupts says, and of which interrupts eth0 is then said to be. */
static void test_interrupts(void)
{
	static const struct {
		const char *lines, *want;
	} cases[] = {
		/* arm64 says the level in a word of its own; not all lines have both CPUs */
		{ " 25:  1  2   ITS-MSI 524288 Edge      virtio0-input.0\n"
		  " 26:  3  4   ITS-MSI 524289 Edge      virtio0-output.0\nIPI0:  1  2  Rescheduling",
			"25=0 26=0 " },
		/* of something else on the same device */
		{ " 25: 1 2  PCI-MSI 1-edge  virtio1-input.0\n 26: 1 2  PCI-MSI 2-edge  virtio01\n"
		  " 27: 1 2  PCI-MSI 3-edge  virtio0-config",
			"27=-1 " },
		/* too few vectors: one for all queues */
		{ " 25: 1 2  PCI-MSI 1-edge  virtio0-config\n 26: 1 2  PCI-MSI 2-edge  "
		  "virtio0-virtqueues",
			"25=-1 26=0 " },
		/* not of this device, whatever it is called */
		{ " 99: 1 2  PCI-MSI 1-edge  virtio0-input.0", "" },
		{ "", "" },
		{ ":::\n 25\n 25:\n 25: \n\n 26:  \n 4294967296999: 1  virtio0-input.0", "" },
		{ " 25:  virtio0-input.0", "25=0 " },
	};
	struct fake_host want = { .cpus = 2, .nics = { { FAKE_VIRTIO, .queues = 4 } } };
	struct scanned s;

	begin(&s, &want);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GString) got = g_string_new(NULL);
		g_autofree char *text = g_strconcat(
			"           CPU0       CPU1\n", cases[i].lines, NULL);

		fake_host_put(s.root, "proc/interrupts", text);
		g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
		for (guint k = 0; k < nic(&s, 0)->irqs->len; k++)
			g_string_append_printf(got, "%u=%d ", irq(nic(&s, 0), k)->number,
				irq(nic(&s, 0), k)->queue);
		g_assert_cmpstr(got->str, ==, cases[i].want);
	}
	end(&s);
}

/* The only interrupt of a device is of its queue, whatever it is called; the only one in use is not: the
 * link may be down. */
static void test_only_one(void)
{
	struct fake_host want = { .cpus = 2, .nics = { { FAKE_SINGLE }, { FAKE_ENA } } };
	struct scanned s;

	begin(&s, &want);
	fake_host_put(s.root, "proc/interrupts",
		"  CPU0 CPU1\n 24: 0 0  PCI-MSI 1-edge  enp1s0\n 25: 0 0  PCI-MSI 2-edge  "
		"ena-mgmnt@pci:0000:00:05.0");
	g_assert_cmpint(look(&s, "eth0", NULL), ==, 0);
	g_assert_cmpint(irq(nic(&s, 0), 0)->queue, ==, 0);
	g_assert_cmpint(look(&s, "eth1", NULL), ==, 0);
	g_assert_cmpuint(nic(&s, 0)->irqs->len, ==, 1);
	g_assert_cmpint(irq(nic(&s, 0), 0)->queue, ==, -1);
	end(&s);
}

/* Two ports of one device have their names in common only with themselves. */
static void test_two_ports(void)
{
	struct fake_host want = { .cpus = 2,
		.nics = { { FAKE_IXGBE, .queues = 2 }, { FAKE_IXGBE, .queues = 2 } } };
	struct scanned s;

	begin(&s, &want);
	fake_host_put(s.root, "sys/devices/pci0000:00/0000:00:04.0/msi_irqs/28", "msix");
	fake_host_put(s.root, "sys/devices/pci0000:00/0000:00:04.0/msi_irqs/29", "msix");
	g_assert_cmpint(look(&s, "eth0", NULL), ==, 0);
	g_assert_cmpuint(nic(&s, 0)->irqs->len, ==, 3);
	g_assert_cmpstr(irq(nic(&s, 0), 2)->name, ==, "eth0-TxRx-1");
	end(&s);
}

/* Without a list of its interrupts a device is found by name. */
static void test_by_name(void)
{
	struct fake_host want = { .cpus = 2, .nics = { { FAKE_IXGBE, .queues = 2 } } };
	struct scanned s;

	begin(&s, &want);
	fake_host_drop(s.root, "sys/devices/pci0000:00/0000:00:04.0/msi_irqs");
	fake_host_put(s.root, "proc/interrupts",
		"  CPU0 CPU1\n 40: 0 0  xen-dyn  eth0-q0-tx\n 41: 0 0  xen-dyn  eth0-q0-rx\n"
		" 42: 0 0  xen-dyn  eth01-q0-rx\n 43: 0 0  xen-dyn  eth0-q1-tx");
	g_assert_cmpint(look(&s, NULL, NULL), ==, 0);
	g_assert_cmpuint(nic(&s, 0)->irqs->len, ==, 3);
	g_assert_cmpuint(irq(nic(&s, 0), 2)->number, ==, 43);
	g_assert_cmpint(irq(nic(&s, 0), 2)->queue, ==, 1);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/host-irq/names", test_irq_names);
	g_test_add_func("/host-irq/kinds", test_irqs);
	g_test_add_func("/host-irq/one", test_irq);
	g_test_add_func("/host-irq/interrupts", test_interrupts);
	g_test_add_func("/host-irq/only-one", test_only_one);
	g_test_add_func("/host-irq/two-ports", test_two_ports);
	g_test_add_func("/host-irq/by-name", test_by_name);
	return g_test_run();
}
