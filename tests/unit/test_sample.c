/* tests/unit/test_sample.c - counters out of files, sockets out of netlink, and what happened between. */
#include "agent/tune/sample.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include "agent/tune/sample_impl.h"
#include "agent/tune/sample_parse.h"
#include "netlink/sockdiag.h"
#include "tests/unit/fake_host.h"
#include "tests/unit/fake_nl.h"

/* CPU2 is offline. */
#define STAT \
	"cpu  60 6 9 300 3 3 6 1 5 0\n" \
	"cpu0 10 1 2 100 1 0 2 1 5 0\n" \
	"cpu1 20 2 3 100 1 1 2 0 0 0\n" \
	"cpu3 30 3 4 100 1 2 2 0 0 0\n" \
	"intr 12345 0 0\nctxt 99\nbtime 1\n"

static struct sample_cpu *cpu_at(const struct sample *s, guint i)
{
	g_assert_cmpuint(i, <, s->cpus->len);
	return &g_array_index(s->cpus, struct sample_cpu, i);
}

static struct sample *three_cpus(void)
{
	struct sample *s = sample_new();

	sample_parse_stat(STAT, s->cpus);
	g_assert_cmpuint(s->cpus->len, ==, 3);
	return s;
}

static struct sample_irq *add_irq(
	struct sample *s, unsigned number, const char *name, const char *device)
{
	struct sample_irq irq = { .number = number, .queue = 0 };

	g_strlcpy(irq.name, name, sizeof(irq.name));
	g_strlcpy(irq.device, device, sizeof(irq.device));
	irq.per_cpu = g_new0(uint64_t, s->cpus->len);
	g_array_append_val(s->irqs, irq);
	return &g_array_index(s->irqs, struct sample_irq, s->irqs->len - 1);
}

/* -- files ------------------------------------------------------------------------------------ */

static void test_stat(void)
{
	struct sample *s = three_cpus();
	const struct sample_cpu *c = cpu_at(s, 1);

	g_assert_cmpuint(c->cpu, ==, 1);
	g_assert_cmpuint(c->user, ==, 22);
	g_assert_cmpuint(c->system, ==, 3);
	g_assert_cmpuint(c->idle, ==, 101);
	g_assert_cmpuint(c->irq, ==, 1);
	g_assert_cmpuint(c->softirq, ==, 2);
	g_assert_cmpuint(cpu_at(s, 0)->other, ==, 1);
	g_assert_cmpuint(cpu_at(s, 2)->cpu, ==, 3);
	/* Twice the same, a number that is too large, a line that ends early. */
	sample_parse_stat("cpu3 1 1\ncpu3 2\ncpu1 2\ncpu9999 1\ncpu4 7\ncpu\ncpux 1\n", s->cpus);
	g_assert_cmpuint(s->cpus->len, ==, 5);
	g_assert_cmpuint(cpu_at(s, 4)->cpu, ==, 4);
	g_assert_cmpuint(cpu_at(s, 4)->user, ==, 7);
	sample_free(s);
}

static void test_softirqs(void)
{
	struct sample *s = three_cpus();

	sample_parse_softirqs("                    CPU0       CPU1       CPU2       CPU3\n"
			      "          HI:          1          1          1          1\n"
			      "      NET_TX:          5          6          7          8\n"
			      "      NET_RX:         50         60         70         80\n",
		s->cpus);
	g_assert_cmpuint(cpu_at(s, 0)->net_tx, ==, 5);
	g_assert_cmpuint(cpu_at(s, 1)->net_rx, ==, 60);
	g_assert_cmpuint(cpu_at(s, 2)->net_rx, ==, 80);
	sample_parse_softirqs("CPU0 CPU1\nNET_RX: 1\nNET_TX:\nNET_RX: 2 3 4 5", s->cpus);
	g_assert_cmpuint(cpu_at(s, 0)->net_rx, ==, 2);
	g_assert_cmpuint(cpu_at(s, 1)->net_rx, ==, 3);
	g_assert_cmpuint(cpu_at(s, 2)->net_rx, ==, 80);
	g_assert_cmpuint(cpu_at(s, 0)->net_tx, ==, 5);
	sample_free(s);
}

static void test_softnet(void)
{
	struct sample *s = three_cpus();

	sample_parse_softnet("00000010 00000001 00000002 0 0 0 0 0 0 0 0 0 00000000 0 0\n"
			     "ffffffff 0000000a 00000003 0 0 0 0 0 0 0 0 0 00000003 0 0\n"
			     "00000099 00000099 00000099 0 0 0 0 0 0 0 0 0 00000002 0 0\n"
			     "00000011",
		s->cpus);
	g_assert_cmpuint(cpu_at(s, 0)->processed, ==, 0x10);
	g_assert_cmpuint(cpu_at(s, 0)->dropped, ==, 1);
	g_assert_cmpuint(cpu_at(s, 0)->squeezed, ==, 2);
	g_assert_cmpuint(cpu_at(s, 1)->processed, ==, 0);
	g_assert_cmpuint(cpu_at(s, 2)->processed, ==, UINT32_MAX);
	g_assert_cmpuint(cpu_at(s, 2)->dropped, ==, 10);
	/* An old kernel does not say which CPU it is: the online ones, one after the other. */
	sample_parse_softnet("1 2 3 0 0 0 0 0 0 0 0\n4 5 6 0 0 0 0 0 0 0 0\n"
			     "7 8 9 0 0 0 0 0 0 0 0\na b c 0 0 0 0 0 0 0 0\n",
		s->cpus);
	g_assert_cmpuint(cpu_at(s, 1)->dropped, ==, 5);
	g_assert_cmpuint(cpu_at(s, 2)->squeezed, ==, 9);
	sample_free(s);
}

static void test_interrupts(void)
{
	struct sample *s = three_cpus();
	const struct sample_irq *a, *b;

	add_irq(s, 35, "virtio2-input.0", "eth0");
	add_irq(s, 400, "virtio2-input.1", "eth0");
	sample_parse_interrupts(
		"           CPU0       CPU1       CPU3       \n"
		"  0:         11          0          0   IO-APIC   2-edge      timer\n"
		" 35:          1         22        333  PCI-MSIX-0000:00:04.0   1-edge      virtio2-input.0\n"
		"400:          4\n"
		"4000000000035:          9          9          9\n"
		"NMI:          9          9          9   Non-maskable interrupts\n"
		"ERR:          0\n",
		s->cpus, s->irqs);
	a = &g_array_index(s->irqs, struct sample_irq, 0);
	b = &g_array_index(s->irqs, struct sample_irq, 1);
	g_assert_cmpuint(a->per_cpu[0], ==, 1);
	g_assert_cmpuint(a->per_cpu[1], ==, 22);
	g_assert_cmpuint(a->per_cpu[2], ==, 333);
	g_assert_cmpuint(b->per_cpu[0], ==, 4);
	g_assert_cmpuint(b->per_cpu[1], ==, 0);
	/* More columns than CPUs that we know. */
	sample_parse_interrupts("CPU0 CPU2 CPU3 CPU4\n35: 5 6 7 8 9 10\n", s->cpus, s->irqs);
	g_assert_cmpuint(a->per_cpu[0], ==, 5);
	g_assert_cmpuint(a->per_cpu[1], ==, 22);
	g_assert_cmpuint(a->per_cpu[2], ==, 7);
	sample_free(s);
}

static void test_protocols(void)
{
	struct sample_udp udp = { 0 };

	sample_parse_snmp(
		"Ip: Forwarding DefaultTTL\nIp: 1 64\n"
		"Tcp: MaxConn InErrs\nTcp: -1 7\n"
		"Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors\n"
		"Udp: 100 1 20 3 18 5\n"
		"UdpLite: InDatagrams NoPorts InErrors\nUdpLite: 9 9 9\n",
		&udp);
	sample_parse_snmp6(
		"Ip6InReceives  \t12\nUdp6InDatagrams   5\nUdp6NoPorts      \t10\n"
		"Udp6InErrors                    \t200\nUdp6RcvbufErrors 180\n"
		"Udp6SndbufErrors\t50\nUdpLite6InErrors 9\nUdp6InErrorsX 9\nUdp6InErrors",
		&udp);
	g_assert_cmpuint(udp.no_ports, ==, 11);
	g_assert_cmpuint(udp.in_errors, ==, 220);
	g_assert_cmpuint(udp.rcvbuf_errors, ==, 198);
	g_assert_cmpuint(udp.sndbuf_errors, ==, 55);
	sample_parse_snmp("Udp: InErrors\nIp: 5\n", &udp);
	sample_parse_snmp("Udp: InErrors", &udp);
	sample_parse_snmp("", &udp);
	g_assert_cmpuint(udp.in_errors, ==, 220);
	/* More numbers than names. */
	sample_parse_snmp("Udp: InErrors\nUdp: 1 2 3 4\n", &udp);
	g_assert_cmpuint(udp.in_errors, ==, 221);
}

static void test_conntrack(void)
{
	g_assert_cmpuint(
		sample_parse_conntrack(
			"entries  clashres found insert insert_failed drop early_drop icmp_error\n"
			"00000100 00000009 00000009 00000009 00000010 0000000a 00000001 00000009\n"
			"00000100 00000009 00000009 00000009 00000001 00000000 00000000 00000009\n"),
		==, 0x10 + 10 + 1 + 1);
	g_assert_cmpuint(sample_parse_conntrack("drop\n7\n\n8 9\n"), ==, 15);
	g_assert_cmpuint(sample_parse_conntrack("drop"), ==, 0);
	g_assert_cmpuint(sample_parse_conntrack(""), ==, 0);
}

static void test_driver_names(void)
{
	static const char *const drops[] = { "rx_missed_errors", "rx_no_buffer_count",
		"rx_out_of_buffer", "rx_queue_0_drops", "rx_discards_phy", "tx_dropped",
		"pps_allowance_exceeded", "rx_no_dma_resources" };
	static const char *const others[] = { "rx_packets", "rx_queue_0_xdp_drops", "tx_timeout",
		"rx_bytes", "" };

	for (size_t i = 0; i < G_N_ELEMENTS(drops); i++)
		g_assert_true(sample_is_drop(drops[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		g_assert_false(sample_is_drop(others[i]));
}

/* -- sockets ---------------------------------------------------------------------------------- */

static void put_socket(struct bytes *out, uint16_t port, uint32_t inode, uint32_t drops, size_t n)
{
	struct inet_diag_msg diag = { .idiag_family = AF_INET, .idiag_inode = inode };
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	size_t message = bytes_message(out, SOCK_DIAG_BY_FAMILY, 0, 0);

	diag.id.idiag_sport = htons(port);
	memory[SK_MEMINFO_DROPS] = drops;
	bytes_put(out, &diag, sizeof(diag));
	bytes_attr_u8(out, INET_DIAG_SHUTDOWN, 0);
	if (n)
		bytes_attr(out, INET_DIAG_SKMEMINFO, memory, n * sizeof(memory[0]));
	bytes_end(out, message);
}

static int keep_socket(const struct sockdiag_socket *socket, void *user)
{
	g_array_append_vals(user, socket, 1);
	return 0;
}

static void test_sockets(void)
{
	struct bytes reply = { 0 };
	g_autoptr(GArray) got = g_array_new(FALSE, FALSE, sizeof(struct sockdiag_socket));
	const struct sockdiag_socket *s;
	const struct inet_diag_req_v2 *request;
	const struct nlmsghdr *first = (const void *)fake.sent;

	put_socket(&reply, 5201, 4711, 12, SK_MEMINFO_VARS);
	put_socket(&reply, 53, 1, 99, SK_MEMINFO_DROPS); /* a kernel that does not count them */
	put_socket(&reply, 67, 2, 99, 0);
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(sockdiag_udp(keep_socket, got), ==, 0);
	g_assert_cmpuint(got->len, ==, 6); /* of both families */
	s = &g_array_index(got, struct sockdiag_socket, 0);
	g_assert_cmpuint(s->port, ==, 5201);
	g_assert_cmpuint(s->inode, ==, 4711);
	g_assert_cmpuint(s->drops, ==, 12);
	g_assert_cmpuint(s[1].drops + s[2].drops, ==, 0);

	g_assert_cmpuint(fake.n, ==, 2);
	g_assert_cmpuint(first->nlmsg_type, ==, SOCK_DIAG_BY_FAMILY);
	request = NLMSG_DATA(first);
	g_assert_cmpuint(request->sdiag_family, ==, AF_INET);
	g_assert_cmpuint(request->sdiag_protocol, ==, IPPROTO_UDP);
	g_assert_cmpuint(request->idiag_ext, ==, 1 << (INET_DIAG_SKMEMINFO - 1));
	g_assert_cmphex(request->idiag_states, ==, UINT32_MAX);
	fake_reset();
}

/* Shorter than its header, and of another kind. */
static void test_bad_sockets(void)
{
	struct bytes reply = { 0 };
	g_autoptr(GArray) got = g_array_new(FALSE, FALSE, sizeof(struct sockdiag_socket));
	size_t message = bytes_message(&reply, SOCK_DIAG_BY_FAMILY, 0, 0);

	bytes_u32(&reply, 0);
	bytes_end(&reply, message);
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(sockdiag_udp(keep_socket, got), ==, -EPROTO);
	reply.len = 0;
	put_socket(&reply, 1, 2, 3, SK_MEMINFO_VARS);
	reply.b[4]++;
	g_assert_cmpint(sockdiag_udp(keep_socket, got), ==, -EPROTO);
	reply.len = 0;
	fake.result = -ENOENT;
	g_assert_cmpint(sockdiag_udp(keep_socket, got), ==, -ENOENT);
	g_assert_cmpuint(got->len, ==, 0);
	fake_reset();
}

/* -- subtraction ------------------------------------------------------------------------------ */

static void test_subtract_cpus(void)
{
	struct sample *before = three_cpus(), *after = three_cpus(), *d;

	before->mono_ms = 1000;
	after->mono_ms = 6000;
	after->wall_s = 77;
	cpu_at(after, 0)->user += 50;
	cpu_at(before, 1)->idle += 3; /* the kernel's guess at idle time goes back at times */
	cpu_at(before, 1)->processed = UINT32_MAX - 1;
	cpu_at(after, 1)->processed = 8; /* goes round after 32 bits */
	cpu_at(before, 1)->dropped = 100;
	cpu_at(after, 1)->dropped = 5; /* begins again */
	g_array_remove_index(before->cpus, 2); /* has come online */
	d = sample_subtract(before, after);
	g_assert_cmpint(d->mono_ms, ==, 5000);
	g_assert_cmpint(d->wall_s, ==, 77);
	g_assert_cmpuint(d->cpus->len, ==, 2);
	g_assert_cmpuint(cpu_at(d, 0)->user, ==, 50);
	g_assert_cmpuint(cpu_at(d, 0)->idle, ==, 0);
	g_assert_cmpuint(cpu_at(d, 1)->idle, ==, 0);
	g_assert_cmpuint(cpu_at(d, 1)->processed, ==, 10);
	g_assert_cmpuint(cpu_at(d, 1)->dropped, ==, 0);
	sample_free(d);
	sample_free(before);
	sample_free(after);
}

static void test_subtract_irqs(void)
{
	struct sample *before = three_cpus(), *after = three_cpus(), *d;
	struct sample_irq *irq;

	add_irq(before, 10, "a", "eth0")->per_cpu[2] = 100;
	add_irq(before, 11, "b", "eth0")->per_cpu[0] = 7;
	add_irq(before, 12, "c", "eth0");
	/* CPU0 goes, so that places change; 11 gets another number, 12 becomes another's. */
	g_array_remove_index(after->cpus, 0);
	add_irq(after, 12, "c", "eth1")->per_cpu[0] = 1000;
	add_irq(after, 13, "b", "eth0")->per_cpu[0] = 1000;
	irq = add_irq(after, 10, "a", "eth0");
	irq->per_cpu[0] = 5;
	irq->per_cpu[1] = 160;
	d = sample_subtract(before, after);
	g_assert_cmpuint(d->cpus->len, ==, 2);
	g_assert_cmpuint(d->irqs->len, ==, 1);
	irq = &g_array_index(d->irqs, struct sample_irq, 0);
	g_assert_cmpuint(irq->number, ==, 10);
	g_assert_cmpuint(irq->per_cpu[0], ==, 5);
	g_assert_cmpuint(irq->per_cpu[1], ==, 60);
	sample_free(d);
	sample_free(before);
	sample_free(after);
}

static void add_link(struct sample *s, const char *name, uint64_t bytes, uint64_t total,
	uint64_t queue0, uint64_t queue1)
{
	struct nic_statistic statistics[] = { { "rx_dropped", total }, { "rx0_drops", queue0 },
		{ "rx1_drops", queue1 } };
	struct sample_link l = { .rx_bytes = bytes };

	g_strlcpy(l.name, name, sizeof(l.name));
	l.nic = sample_array(sizeof(struct nic_statistic), NULL);
	g_array_append_vals(l.nic, statistics, G_N_ELEMENTS(statistics));
	sample_weigh(&l);
	g_array_append_val(s->links, l);
}

/* The largest total is not what went up most, and a loss that is counted twice is one loss. */
static void test_subtract_links(void)
{
	struct sample *before = sample_new(), *after = sample_new(), *d;
	const struct sample_link *l;

	add_link(before, "eth0", UINT32_MAX, 100, 90, 10);
	add_link(before, "wt0", 5000, 0, 0, 0);
	add_link(after, "eth0", UINT64_C(1) << 32, 130, 92, 38);
	add_link(after, "wt0", 100, 0, 0, 0);
	add_link(after, "eth1", 100, 0, 0, 0);
	l = &g_array_index(after->links, struct sample_link, 0);
	g_assert_cmpuint(l->nic_drops, ==, 130);
	d = sample_subtract(before, after);
	g_assert_cmpuint(d->links->len, ==, 2);
	l = &g_array_index(d->links, struct sample_link, 0);
	g_assert_cmpuint(l->rx_bytes, ==, 1);
	g_assert_cmpuint(l->nic_drops, ==, 30);
	g_assert_cmpstr(l->nic_worst, ==, "rx_dropped");
	l = &g_array_index(d->links, struct sample_link, 1);
	g_assert_cmpuint(l->rx_bytes, ==, 0); /* made anew, not gone round */
	g_assert_cmpuint(l->nic_drops, ==, 0);
	g_assert_cmpstr(l->nic_worst, ==, "");
	sample_free(d);
	sample_free(before);
	sample_free(after);
}

static void test_subtract_rest(void)
{
	const struct sample_socket old[] = { { 1, 10, 5, "" }, { 2, 11, 5, "" } };
	const struct sample_socket new[] = { { 1, 10, 5, "" }, { 2, 11, 9, "" }, { 3, 12, 2, "" } };
	const struct sample_peer peer = { "k1", 100, 200, 50 },
				 later[] = { { "k2", 1, 1, 0 }, { "k1", 150, 190, 60 } };
	struct sample *before = sample_new(), *after = sample_new(), *d;
	const struct sample_socket *s;
	const struct sample_peer *p;

	g_array_append_vals(before->sockets, old, 2);
	g_array_append_vals(after->sockets, new, 3);
	g_array_append_vals(before->peers, &peer, 1);
	g_array_append_vals(after->peers, later, 2);
	before->udp = (struct sample_udp){ 10, 5, 1, 0 };
	after->udp = (struct sample_udp){ 30, 4, 1, 7 };
	before->conntrack_failed = 3;
	after->conntrack_failed = 5;
	d = sample_subtract(before, after);
	g_assert_cmpuint(d->sockets->len, ==, 2);
	s = &g_array_index(d->sockets, struct sample_socket, 0);
	g_assert_cmpuint(s[0].drops, ==, 4);
	g_assert_cmpuint(s[1].drops, ==, 2);
	g_assert_cmpuint(d->peers->len, ==, 1);
	p = &g_array_index(d->peers, struct sample_peer, 0);
	g_assert_cmpuint(p->rx, ==, 50);
	g_assert_cmpuint(p->tx, ==, 0);
	g_assert_cmpint(p->handshake_s, ==, 60);
	g_assert_cmpuint(d->udp.in_errors, ==, 20);
	g_assert_cmpuint(d->udp.rcvbuf_errors, ==, 0);
	g_assert_cmpuint(d->udp.no_ports, ==, 7);
	g_assert_cmpuint(d->conntrack_failed, ==, 2);
	sample_free(d);
	sample_free(before);
	sample_free(after);
}

/* -- a whole host ----------------------------------------------------------------------------- */

struct made_up {
	char *root;
	struct tree *tree;
	struct nics *nics;
	struct host *host;
};

static struct made_up make_host(const struct fake_host *want)
{
	struct made_up m = { .root = fake_host_make(want) };
	const struct host_wish wish = { 0 };
	char error[HOST_TEXT_MAX];

	g_assert_cmpint(tree_open(m.root, &m.tree), ==, 0);
	g_assert_cmpint(nics_open_files(m.root, &m.nics), ==, 0);
	g_assert_cmpint(host_scan(m.tree, m.nics, &wish, &m.host, error), ==, 0);
	return m;
}

static void remove_host(struct made_up *m)
{
	host_free(m->host);
	nics_close(m->nics);
	tree_close(m->tree);
	fake_host_remove(m->root);
}

static void test_take(void)
{
	const struct fake_host want = {
		.cpus = 4, .nics = { { FAKE_VIRTIO, .queues = 2 } }, .wireguard = FAKE_WG_KERNEL
	};
	struct made_up m = make_host(&want);
	struct sample *before, *after, *d;
	const struct sample_link *l;

	g_assert_cmpint(sample_take(m.tree, m.nics, m.host, &before), ==, 0);
	g_assert_cmpuint(before->cpus->len, ==, 4);
	g_assert_cmpuint(before->irqs->len, ==, 3); /* config, two of input */
	g_assert_cmpuint(before->links->len, ==, 2);
	fake_host_put(m.root, "proc/stat", "cpu1 0 0 0 0 0 0 1000000 0 0 0");
	fake_host_put(m.root, "proc/net/stat/nf_conntrack", "entries drop\n1 10");
	fake_host_put(m.root, "sys/class/net/eth0/statistics/tx_dropped", "1000000");
	g_assert_cmpint(sample_take(m.tree, m.nics, m.host, &after), ==, 0);
	d = sample_subtract(before, after);
	g_assert_cmpuint(d->cpus->len, ==, 1);
	g_assert_cmpuint(cpu_at(d, 0)->cpu, ==, 1);
	g_assert_cmpuint(cpu_at(d, 0)->softirq, >, 0);
	g_assert_cmpuint(d->conntrack_failed, ==, 16);
	l = &g_array_index(d->links, struct sample_link, 0);
	g_assert_cmpstr(l->name, ==, "eth0");
	g_assert_cmpuint(l->tx_dropped, >, 0);
	g_assert_cmpstr(g_array_index(d->links, struct sample_link, 1).name, ==, "wt0");
	sample_free(before);
	sample_free(after);
	sample_free(d);
	fake_host_drop(m.root, "proc/stat");
	g_assert_cmpint(sample_take(m.tree, m.nics, m.host, &after), ==, -ENOENT);
	remove_host(&m);
}

/* Processes that are none, links that are no sockets, and two that match. */
static void test_owners(void)
{
	const struct fake_host want = { .cpus = 1, .nics = { { FAKE_SINGLE } } };
	const struct sample_socket sockets[] = { { 53, 4711, 9, "" }, { 67, 4712, 9, "" } };
	struct made_up m = make_host(&want);
	struct sample *s = sample_new();

	g_array_append_vals(s->sockets, sockets, 2);
	fake_host_put(m.root, "proc/12/comm", "dnsmasq");
	fake_host_link(m.root, "proc/12/fd/0", "/dev/null");
	fake_host_link(m.root, "proc/12/fd/3", "pipe:[4712]");
	fake_host_link(m.root, "proc/12/fd/4", "socket:[4711]");
	fake_host_put(m.root, "proc/13/comm", "other");
	fake_host_link(m.root, "proc/13/fd/4", "socket:[47111]");
	fake_host_link(m.root, "proc/self/fd/4", "socket:[4712]");
	sample_name_sockets(m.tree, s);
	g_assert_cmpstr(g_array_index(s->sockets, struct sample_socket, 0).program, ==, "dnsmasq");
	g_assert_cmpstr(g_array_index(s->sockets, struct sample_socket, 1).program, ==, "");
	sample_free(s);
	remove_host(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sample/stat", test_stat);
	g_test_add_func("/sample/softirqs", test_softirqs);
	g_test_add_func("/sample/softnet", test_softnet);
	g_test_add_func("/sample/interrupts", test_interrupts);
	g_test_add_func("/sample/protocols", test_protocols);
	g_test_add_func("/sample/conntrack", test_conntrack);
	g_test_add_func("/sample/driver-names", test_driver_names);
	g_test_add_func("/sample/sockets", test_sockets);
	g_test_add_func("/sample/bad-sockets", test_bad_sockets);
	g_test_add_func("/sample/subtract-cpus", test_subtract_cpus);
	g_test_add_func("/sample/subtract-irqs", test_subtract_irqs);
	g_test_add_func("/sample/subtract-links", test_subtract_links);
	g_test_add_func("/sample/subtract-rest", test_subtract_rest);
	g_test_add_func("/sample/take", test_take);
	g_test_add_func("/sample/owners", test_owners);
	return g_test_run();
}
