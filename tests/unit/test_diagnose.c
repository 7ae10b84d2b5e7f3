/* tests/unit/test_diagnose.c - each verdict, and what just misses it. */
#include "agent/tune/diagnose.h"

#include <string.h>

#include "agent/tune/diagnose_impl.h"
#include "agent/tune/sample_impl.h"

enum { SECONDS = 10 };

/* A host and what it did in ten seconds. */
struct scene {
	struct host host;
	struct host_nic wireguard;
	struct sample *d;
	uint32_t pending;
	GPtrArray *findings;
};

static struct scene *scene_new(void)
{
	struct scene *s = g_new0(struct scene, 1);

	s->d = sample_new();
	s->d->mono_ms = SECONDS * 1000;
	s->d->wall_s = 1000000;
	s->pending = KNOB_ALL;
	g_strlcpy(s->wireguard.name, "wt0", sizeof(s->wireguard.name));
	s->host.wireguard = &s->wireguard;
	s->host.n_peers_up = 1;
	return s;
}

static void scene_free(struct scene *s)
{
	sample_free(s->d);
	if (s->findings)
		g_ptr_array_unref(s->findings);
	if (s->host.banned)
		g_array_unref(s->host.banned);
	g_free(s);
}

static struct sample_cpu *core(
	struct scene *s, unsigned user, unsigned system, unsigned softirq, unsigned other)
{
	struct sample_cpu c = { .cpu = s->d->cpus->len,
		.user = user,
		.system = system,
		.softirq = softirq,
		.other = other,
		.idle = 100 - user - system - softirq - other };

	g_assert_cmpuint(user + system + softirq + other, <=, 100);
	g_array_append_val(s->d->cpus, c);
	return &g_array_index(s->d->cpus, struct sample_cpu, c.cpu);
}

/* The guide's four cores: CPU1 is full of softirq, the others have room. */
static void guide_cores(struct scene *s)
{
	core(s, 1, 47, 7, 0)->processed = 1;
	core(s, 0, 5, 88, 0)->processed = 97;
	core(s, 1, 47, 8, 0)->processed = 1;
	core(s, 2, 46, 6, 0)->processed = 1;
}

static struct sample_link *device(struct scene *s, const char *name, uint64_t packets_per_s)
{
	struct sample_link l = { .rx_packets = packets_per_s * SECONDS };

	g_strlcpy(l.name, name, sizeof(l.name));
	l.nic = sample_array(sizeof(struct nic_statistic), NULL);
	g_array_append_val(s->d->links, l);
	return &g_array_index(s->d->links, struct sample_link, s->d->links->len - 1);
}

/* After all cores: a queue's interrupts per second on one of them, and on the next one. */
static void queue(struct scene *s, int number, unsigned cpu, unsigned per_s, unsigned next_per_s)
{
	struct sample_irq irq = { .number = 30 + (unsigned)number, .queue = number };

	g_strlcpy(irq.device, "eth0", sizeof(irq.device));
	irq.per_cpu = g_new0(uint64_t, s->d->cpus->len);
	irq.per_cpu[cpu] = per_s * SECONDS;
	irq.per_cpu[(cpu + 1) % s->d->cpus->len] += next_per_s * SECONDS;
	g_array_append_val(s->d->irqs, irq);
}

static const struct finding *verdict(struct scene *s)
{
	g_assert_null(s->findings);
	s->findings = diagnose(&s->host, s->d, s->pending);
	g_assert_cmpuint(s->findings->len, >, 0);
	for (guint i = 0; i < s->findings->len; i++)
		g_test_message("%s",
			((const struct finding *)g_ptr_array_index(s->findings, i))->sentence);
	return g_ptr_array_index(s->findings, 0);
}

static const struct finding *find_kind(const struct scene *s, enum finding_kind kind)
{
	for (guint i = 0; i < s->findings->len; i++) {
		const struct finding *f = g_ptr_array_index(s->findings, i);

		if (f->kind == kind)
			return f;
	}
	return NULL;
}

static void expect_kind(const struct finding *f, enum finding_kind kind)
{
	g_assert_cmpstr(finding_name(f->kind), ==, finding_name(kind));
}

static void expect_text(const struct finding *f, const char *part)
{
	if (!strstr(f->sentence, part))
		g_error("\"%s\" is not in \"%s\"", part, f->sentence);
}

#define BITS2(a, b) (knob_bit(a) | knob_bit(b))

/* -- one core --------------------------------------------------------------------------------- */

/* Section 3.2 of the guide, in its own numbers. */
static void test_softirq_core(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	guide_cores(s);
	device(s, "eth0", 50000);
	queue(s, 0, 1, 5000, 0);
	queue(s, 0, 1, 4000, 0);
	queue(s, 1, 2, 100, 0);
	s->pending = BITS2(KNOB_IRQ, KNOB_RPS) | knob_bit(KNOB_RINGS);
	f = verdict(s);
	expect_kind(f, FINDING_SOFTIRQ_CORE);
	g_assert_cmpint(f->cpu, ==, 1);
	g_assert_cmpstr(f->section, ==, "3.2");
	g_assert_cmpuint(f->knobs, ==, BITS2(KNOB_IRQ, KNOB_RPS));
	g_assert_cmpstr(f->sentence, ==,
		"CPU1 is 88 % in softirq while 3 cores are at least 44 % idle: queue rx-0 carries everything; apply irq,rps");
	scene_free(s);
}

/* Nine tenths are not everything; many peers can be told apart by their ports. */
static void test_softirq_share(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	guide_cores(s);
	device(s, "eth0", 50000);
	queue(s, 0, 1, 900, 0);
	queue(s, 1, 2, 100, 0);
	s->host.n_peers_up = 9;
	f = verdict(s);
	expect_text(f, "queue rx-0 carries 90 %; apply ");
	g_assert_cmpuint(f->knobs & BITS2(KNOB_FLOW_HASH, KNOB_RSS), !=, 0);
	g_assert_cmpuint(f->knobs & knob_bit(KNOB_IRQBALANCE), ==, 0);
	scene_free(s);
}

/* No device has interrupts, or they land elsewhere: what is left are the packets themselves. */
static void test_softirq_steered(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	guide_cores(s);
	device(s, "wt0", 50000);
	queue(s, 0, 2, 900, 0);
	f = verdict(s);
	expect_kind(f, FINDING_SOFTIRQ_CORE);
	expect_text(f, "97 % of all packets end up there; apply rps");
	g_assert_cmpuint(f->knobs, ==, knob_bit(KNOB_RPS));
	scene_free(s);
}

/* A core that is full polls: its queues hardly interrupt. They came there, or may go nowhere else. */
static void test_softirq_polled(void)
{
	static const struct {
		unsigned queues, interrupts;
		const char *mask, *text;
	} table[] = {
		{ 4, 0, "2",
			"it polls 4 queues without a pause, as their interrupts come to it; apply irq" },
		{ 4, 1, "f",
			"it polls 4 queues without a pause, as their interrupts come to it; apply irq" },
		{ 1, 1, "f", "it polls queue rx-0 without a pause; apply irq" },
		{ 4, 0, "f", "97 % of all packets end up there; apply would spread it no further" },
		{ 4, 0, "4", "97 % of all packets end up there; apply would spread it no further" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct scene *s = scene_new();
		struct host_nic nic = { .irqs = g_array_new(
						FALSE, FALSE, sizeof(struct host_irq)) };

		guide_cores(s);
		device(s, "eth0", 50000);
		s->host.nics = g_ptr_array_new();
		g_ptr_array_add(s->host.nics, &nic);
		for (unsigned k = 0; k < table[i].queues; k++) {
			struct host_irq irq = { .number = 30 + k,
				.queue = (int)k,
				.affinity.text = (char *)table[i].mask };

			g_array_append_val(nic.irqs, irq);
			queue(s, (int)k, 1, table[i].interrupts, 0);
		}
		s->pending = knob_bit(KNOB_IRQ);
		expect_text(verdict(s), table[i].text);
		g_ptr_array_unref(s->host.nics);
		g_array_unref(nic.irqs);
		scene_free(s);
	}
}

/* Somebody has steered everything to that CPU, or to another one, or to more than that one. */
static void test_softirq_mask(void)
{
	static const struct {
		const char *first, *second;
		bool told;
	} table[] = { { "2", "2", true }, { "2", "4", false }, { "0", "2", false },
		{ "6", "2", false }, { "00000000,00000002", "2", true }, { NULL, "2", false } };

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct scene *s = scene_new();
		struct host_queue queues[2] = {
			{ .rps_cpus.text = (char *)table[i].first },
			{ .rps_cpus.text = (char *)table[i].second },
		};
		const struct finding *f;

		s->wireguard.rx = g_array_new(FALSE, FALSE, sizeof(queues[0]));
		g_array_append_vals(s->wireguard.rx, queues, 2);
		guide_cores(s);
		device(s, "wt0", 50000);
		f = verdict(s);
		expect_text(f,
			table[i].told ? "wt0 steers all of its packets to it; apply rps"
				      : "97 % of all packets end up there; apply rps");
		g_array_unref(s->wireguard.rx);
		scene_free(s);
	}
}

/* Everything is applied: then it is one flow. */
static void test_softirq_flow(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	guide_cores(s);
	device(s, "wt0", 50000);
	s->pending = knob_bit(KNOB_RINGS);
	f = verdict(s);
	expect_kind(f, FINDING_SOFTIRQ_CORE);
	g_assert_cmpstr(f->section, ==, "6.2");
	g_assert_cmpuint(f->knobs, ==, 0);
	expect_text(f, "end up there; apply would spread it no further");
	g_assert_null(strstr(f->sentence, "apply rps"));
	scene_free(s);
}

/* One percent less busy, or nobody who could take over: no single core to name. */
static void test_softirq_misses(void)
{
	struct scene *s = scene_new();

	core(s, 0, 0, DIAGNOSE_FULL - 1, 0);
	core(s, 0, 0, 5, 0);
	device(s, "eth0", 50000);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	s = scene_new();
	core(s, 0, 0, DIAGNOSE_FULL, 0);
	core(s, 0, DIAGNOSE_ROOM, 0, 0);
	device(s, "eth0", 50000);
	expect_kind(verdict(s), FINDING_LIMIT);
	scene_free(s);

	s = scene_new();
	core(s, 0, 0, DIAGNOSE_FULL, 0);
	core(s, 0, DIAGNOSE_ROOM - 1, 0, 0);
	device(s, "eth0", 50000);
	expect_kind(verdict(s), FINDING_SOFTIRQ_CORE);
	scene_free(s);
}

/* The only core with room is isolated: nothing can be steered there. */
static void test_isolated(void)
{
	struct scene *s = scene_new();

	core(s, 0, 0, 95, 0);
	core(s, 0, 70, 0, 0);
	core(s, 0, 0, 0, 0);
	device(s, "eth0", 50000);
	cpuset_add(&s->host.usable, 0);
	cpuset_add(&s->host.usable, 1);
	expect_kind(verdict(s), FINDING_LIMIT);
	expect_text(g_ptr_array_index(s->findings, 0), "all 2 cores are 70 to 95 % busy");
	scene_free(s);
}

static void test_other_cores(void)
{
	static const struct {
		unsigned user, system, softirq, other;
		enum finding_kind kind;
		const char *section, *text;
	} table[] = {
		{ 1, 93, 2, 0, FINDING_SYS_CORE, "6.2", "CPU1 is 93 % in sys while 1 core is" },
		{ 2, 47, 46, 0, FINDING_SYS_CORE, "6.2", "CPU1 is 47 % in sys" },
		{ 2, 46, 47, 0, FINDING_SOFTIRQ_CORE, "3.2", "CPU1 is 47 % in softirq" },
		{ 97, 1, 1, 0, FINDING_USER_CORE, "3.2", "CPU1 is 97 % in user" },
		{ 10, 10, 10, 60, FINDING_STEAL, "10", "takes 60 % of CPU1" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct scene *s = scene_new();
		const struct finding *f;

		core(s, 0, 10, 0, 0);
		core(s, table[i].user, table[i].system, table[i].softirq, table[i].other);
		device(s, "wt0", DIAGNOSE_LOAD_PACKETS);
		f = verdict(s);
		expect_kind(f, table[i].kind);
		g_assert_cmpint(f->cpu, ==, 1);
		g_assert_cmpstr(f->section, ==, table[i].section);
		expect_text(f, table[i].text);
		scene_free(s);
	}
}

/* Of two full cores the fuller is named. */
static void test_fullest(void)
{
	struct scene *s = scene_new();

	core(s, 0, 0, 90, 0);
	core(s, 0, 0, 99, 0);
	core(s, 0, 0, 0, 0);
	device(s, "wt0", 5000);
	g_assert_cmpint(verdict(s)->cpu, ==, 1);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);
}

/* -- all cores -------------------------------------------------------------------------------- */

static void test_limit(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	for (unsigned i = 0; i < 4; i++)
		core(s, 2, 50, 10 + 8 * i, 0);
	device(s, "eth0", 50000)->tx_dropped = DIAGNOSE_DROPS_30S * SECONDS / 30; /* trivial */
	f = verdict(s);
	expect_kind(f, FINDING_LIMIT);
	g_assert_cmpstr(f->section, ==, "10");
	expect_text(f, "all 4 cores are 62 to 86 % busy, mostly in sys");
	expect_text(f, "reached the limit");
	g_assert_cmpuint(f->knobs, ==, 0);
	scene_free(s);
}

/* Work that is put off is not lost. */
static void test_limit_squeezed(void)
{
	struct scene *s = scene_new();

	core(s, 0, 50, 40, 0)->squeezed = 100000;
	device(s, "eth0", 50000);
	expect_kind(verdict(s), FINDING_LIMIT);
	g_assert_nonnull(find_kind(s, FINDING_SQUEEZED));
	scene_free(s);
}

/* One drop more than trivial: that comes first, and it is no limit. */
static void test_limit_misses(void)
{
	struct scene *s = scene_new();

	for (unsigned i = 0; i < 4; i++)
		core(s, 2, 50, 10 + 8 * i, 0);
	device(s, "eth0", 50000)->tx_dropped = DIAGNOSE_DROPS_30S * SECONDS / 30 + 1;
	expect_kind(verdict(s), FINDING_TX_DROPS);
	g_assert_nonnull(find_kind(s, FINDING_ALL_BUSY));
	g_assert_null(find_kind(s, FINDING_LIMIT));
	scene_free(s);

	s = scene_new();
	core(s, 0, 80, 0, 0);
	core(s, 0, DIAGNOSE_ROOM - 1, 0, 0);
	device(s, "eth0", 50000);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	s = scene_new();
	core(s, 0, 0, 95, 0);
	device(s, "eth0", 50000);
	expect_text(verdict(s), "the only core is 95 % busy, mostly in softirq");
	scene_free(s);
}

/* -- interrupts ------------------------------------------------------------------------------- */

static struct scene *piled(unsigned softirq, enum host_irqbalance irqbalance)
{
	struct scene *s = scene_new();

	core(s, 0, 5, softirq, 0);
	for (unsigned i = 0; i < 3; i++)
		core(s, 0, 20, 5, 0);
	device(s, "eth0", 50000);
	for (int i = 0; i < 4; i++)
		queue(s, i, 0, 500, 20);
	s->host.irqbalance = irqbalance;
	return s;
}

static void test_irqbalance(void)
{
	struct scene *s = piled(60, IRQBALANCE_SOCKET);
	const struct finding *f = verdict(s);

	expect_kind(f, FINDING_IRQBALANCE);
	g_assert_cmpstr(f->section, ==, "6.3");
	g_assert_cmpint(f->cpu, ==, 0);
	g_assert_cmpuint(f->knobs, ==, BITS2(KNOB_IRQ, KNOB_IRQBALANCE));
	expect_text(f,
		"interrupts of 4 of 4 busy queues land on CPU0, 60 % in softirq, and irqbalance runs");
	scene_free(s);

	s = piled(60, IRQBALANCE_NONE);
	f = verdict(s);
	expect_kind(f, FINDING_IRQ_PILE);
	g_assert_cmpstr(f->section, ==, "4.2");
	g_assert_cmpuint(f->knobs, ==, knob_bit(KNOB_IRQ));
	scene_free(s);

	s = piled(90, IRQBALANCE_SOCKET);
	f = verdict(s);
	expect_kind(f, FINDING_SOFTIRQ_CORE);
	expect_text(f,
		"interrupts of 4 queues land on it, and irqbalance runs; apply irqbalance,irq,rps");
	scene_free(s);
}

/* It leaves all of them alone: somebody else has put them there. */
static void test_banned(void)
{
	struct scene *s = piled(60, IRQBALANCE_SOCKET);

	s->host.banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	for (unsigned irq = 30; irq < 34; irq++)
		g_array_append_val(s->host.banned, irq);
	expect_kind(verdict(s), FINDING_IRQ_PILE);
	scene_free(s);

	/* One queue has two interrupts, and irqbalance still moves one of them. */
	s = piled(60, IRQBALANCE_SOCKET);
	s->host.banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	for (unsigned irq = 30; irq < 34; irq++)
		g_array_append_val(s->host.banned, irq);
	g_array_index(s->d->irqs, struct sample_irq, 0).number = 99;
	g_array_index(s->d->irqs, struct sample_irq, 1).queue = 0;
	expect_kind(verdict(s), FINDING_IRQBALANCE);
	scene_free(s);

	s = piled(60, IRQBALANCE_SOCKET);
	s->host.banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	for (unsigned irq = 31; irq < 34; irq++)
		g_array_append_val(s->host.banned, irq);
	expect_kind(verdict(s), FINDING_IRQBALANCE);
	scene_free(s);
}

static void test_irqbalance_misses(void)
{
	/* Saving power while there is little to do is what it is for. */
	struct scene *s = piled(DIAGNOSE_NOTABLE - 1, IRQBALANCE_SOCKET);

	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	s = piled(DIAGNOSE_NOTABLE, IRQBALANCE_SOCKET);
	expect_kind(verdict(s), FINDING_IRQBALANCE);
	scene_free(s);

	/* Another CPU has its part. */
	s = piled(60, IRQBALANCE_SOCKET);
	queue(s, 4, 2, 520, 0);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	/* One queue does it all; that the idle ones are there too is no harm. */
	s = piled(60, IRQBALANCE_SOCKET);
	queue(s, 4, 0, 50000, 0);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	/* Both are of one queue, for receiving and for sending; and those of another device are its own. */
	s = scene_new();
	core(s, 0, 5, 60, 0);
	core(s, 0, 5, 5, 0);
	device(s, "eth0", 50000);
	queue(s, 0, 0, 500, 0);
	queue(s, 0, 0, 400, 0);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);
	s = scene_new();
	core(s, 0, 5, 60, 0);
	core(s, 0, 5, 5, 0);
	device(s, "eth0", 50000);
	queue(s, 0, 0, 500, 0);
	queue(s, 0, 0, 400, 0);
	g_array_index(s->d->irqs, struct sample_irq, 1).device[3] = '1';
	expect_kind(verdict(s), FINDING_IRQ_PILE);
	scene_free(s);

	/* Hardly an interrupt. */
	s = scene_new();
	core(s, 0, 5, 60, 0);
	core(s, 0, 5, 5, 0);
	device(s, "eth0", 50000);
	for (int i = 0; i < 4; i++)
		queue(s, i, 0, DIAGNOSE_IRQS - 1, 0);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);
	s = scene_new();
	core(s, 0, 5, 60, 0);
	core(s, 0, 5, 5, 0);
	device(s, "eth0", 50000);
	for (int i = 0; i < 4; i++)
		queue(s, i, 0, DIAGNOSE_IRQS, 0);
	expect_kind(verdict(s), FINDING_IRQ_PILE);
	scene_free(s);

	/* Interrupts of no queue. */
	s = piled(60, IRQBALANCE_SOCKET);
	for (guint i = 1; i < s->d->irqs->len; i++)
		g_array_index(s->d->irqs, struct sample_irq, i).queue = -1;
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);
}

/* -- drops ------------------------------------------------------------------------------------ */

/* A host with some work and room; drops are put into it. */
static struct scene *calm(void)
{
	struct scene *s = scene_new();

	core(s, 5, 20, 20, 0);
	core(s, 5, 20, 20, 0);
	device(s, "eth0", 50000);
	device(s, "wt0", 50000);
	return s;
}

static struct sample_link *link_of(struct scene *s, guint i)
{
	return &g_array_index(s->d->links, struct sample_link, i);
}

static void expect_drops(struct scene *s, enum finding_kind kind, uint32_t knobs, const char *text)
{
	const struct finding *f = verdict(s);

	expect_kind(f, kind);
	g_assert_cmphex(f->knobs, ==, knobs);
	expect_text(f, text);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);
}

static void test_nic_drops(void)
{
	struct scene *s = calm();

	link_of(s, 0)->nic_drops = 12340;
	g_strlcpy(link_of(s, 0)->nic_worst, "rx_no_buffer", NIC_STATISTIC_MAX);
	expect_drops(s, FINDING_NIC_DROPS, knob_bit(KNOB_RINGS),
		"eth0 loses 1234 packets/s itself (rx_no_buffer): its ring is too small; apply rings");
	s = calm();
	link_of(s, 0)->rx_missed = 12340;
	expect_drops(s, FINDING_NIC_DROPS, knob_bit(KNOB_RINGS), "(rx_missed_errors)");
	s = calm();
	link_of(s, 0)->nic_drops = 500;
	s->pending = 0;
	g_strlcpy(link_of(s, 0)->nic_worst, "rx_no_buffer", NIC_STATISTIC_MAX);
	expect_drops(s, FINDING_NIC_DROPS, 0, "apply would change nothing about it");
	s = calm();
	link_of(s, 0)->nic_drops = 500;
	g_strlcpy(link_of(s, 0)->nic_worst, "pps_allowance_exceeded", NIC_STATISTIC_MAX);
	expect_drops(s, FINDING_NIC_DROPS, 0, "the provider's limit");
}

static void test_backlog_drops(void)
{
	struct scene *s = calm();
	struct sample_cpu *cpus = &g_array_index(s->d->cpus, struct sample_cpu, 0);
	uint32_t budget = BITS2(KNOB_BUDGET, KNOB_BUDGET_USECS);

	cpus[0].dropped = 10;
	cpus[1].dropped = 4990;
	link_of(s, 1)->rx_dropped = 5000; /* the same ones */
	expect_drops(s, FINDING_BACKLOG_DROPS, budget | knob_bit(KNOB_BACKLOG),
		"the backlog of CPU1 overflows: 500 packets/s are dropped there and on other cores; apply backlog,budget,budget-usecs");
	s = calm();
	g_array_index(s->d->cpus, struct sample_cpu, 0).squeezed = DIAGNOSE_SQUEEZES * SECONDS;
	expect_kind(verdict(s), FINDING_NONE);
	g_assert_cmphex(find_kind(s, FINDING_SQUEEZED)->knobs, ==, budget);
	expect_text(find_kind(s, FINDING_SQUEEZED), "softirq runs end 50 times/s");
	scene_free(s);
	s = calm();
	g_array_index(s->d->cpus, struct sample_cpu, 0).squeezed = (DIAGNOSE_SQUEEZES - 1) *
		SECONDS;
	expect_drops(s, FINDING_NONE, 0, "nothing is in the way");
}

static void test_link_drops(void)
{
	struct scene *s = calm();

	link_of(s, 0)->tx_dropped = 500;
	expect_drops(s, FINDING_TX_DROPS, knob_bit(KNOB_QDISC), "eth0 drops 50 packets/s");
	s = calm();
	link_of(s, 1)->tx_dropped = 500;
	expect_drops(s, FINDING_WIREGUARD_DROPS, 0, "there is no session with their peer");
	s = calm();
	link_of(s, 0)->rx_dropped = 500;
	expect_drops(s, FINDING_RX_DROPS, 0, "drops 50 packets/s that eth0 has received");
}

static void test_conntrack(void)
{
	struct scene *s = calm();
	char full[] = "1000";

	s->d->conntrack_failed = 1000;
	s->host.sysctls[SYSCTL_CONNTRACK_MAX].text = full;
	s->host.conntrack_count = 999;
	expect_drops(s, FINDING_CONNTRACK, knob_bit(KNOB_CONNTRACK),
		"conntrack refuses 100 packets/s: its table is full; apply conntrack");
	s = calm();
	s->d->conntrack_failed = 1000;
	s->host.sysctls[SYSCTL_CONNTRACK_MAX].text = full;
	s->host.conntrack_count = 10 * DIAGNOSE_MOST;
	expect_drops(s, FINDING_CONNTRACK, knob_bit(KNOB_CONNTRACK), "its table is full");
	s = calm();
	s->d->conntrack_failed = 1000;
	s->host.sysctls[SYSCTL_CONNTRACK_MAX].text = full;
	s->host.conntrack_count = 10 * DIAGNOSE_MOST - 10;
	expect_drops(s, FINDING_CONNTRACK, 0, "though its table has room (790 of 1000)");
}

static void add_socket(struct scene *s, uint16_t port, uint64_t drops, const char *program)
{
	struct sample_socket socket = { .port = port, .inode = port, .drops = drops };

	g_strlcpy(socket.program, program, sizeof(socket.program));
	g_array_append_val(s->d->sockets, socket);
}

/* In the kernel WireGuard's packets wait in no socket: somebody else's is named, or nobody's. */
static void test_udp(void)
{
	struct scene *s = calm();

	s->d->udp.in_errors = s->d->udp.rcvbuf_errors = 4000;
	add_socket(s, 67, 900, "dhcpd");
	add_socket(s, 5201, 3100, "iperf3");
	expect_drops(s, FINDING_UDP_RECEIVE, knob_bit(KNOB_RMEM),
		"the UDP socket of iperf3 on port 5201 drops 310 packets/s, which is not the tunnel");
	s = calm();
	s->d->udp.in_errors = s->d->udp.rcvbuf_errors = 4000;
	add_socket(s, 67, 9, "dhcpd"); /* too few to be the one */
	expect_drops(s, FINDING_UDP_RECEIVE, knob_bit(KNOB_RMEM),
		"UDP loses 400 packets/s for lack of buffers, of which socket is unknown");
	s = calm();
	s->d->udp.in_errors = 4000; /* bad checksums */
	expect_drops(s, FINDING_UDP_RECEIVE, 0, "UDP loses 400 packets/s, of which");
	s = calm();
	add_socket(s, 53, 500, "");
	expect_drops(
		s, FINDING_UDP_RECEIVE, knob_bit(KNOB_RMEM), "of an unknown program on port 53");
	s = calm();
	s->d->udp.sndbuf_errors = 500;
	expect_drops(s, FINDING_UDP_SEND, knob_bit(KNOB_WMEM), "50 UDP packets/s");
}

/* A few are normal: fewer than ten in all, or than a hundred in half a minute. */
static void test_few_drops(void)
{
	struct scene *s = calm();

	link_of(s, 0)->tx_dropped = DIAGNOSE_DROPS_30S * SECONDS / 30;
	expect_drops(s, FINDING_NONE, 0, "drops are trivial");
	s = calm();
	s->d->mono_ms = 1000;
	link_of(s, 0)->tx_dropped = DIAGNOSE_DROPS - 1;
	expect_drops(s, FINDING_NONE, 0, "drops are trivial");
	s = calm();
	s->d->mono_ms = 1000;
	link_of(s, 0)->tx_dropped = DIAGNOSE_DROPS;
	expect_drops(s, FINDING_TX_DROPS, knob_bit(KNOB_QDISC), "10 packets/s");
}

/* -- the rest --------------------------------------------------------------------------------- */

static void test_userspace(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	guide_cores(s);
	device(s, "wt0", 50000);
	s->host.userspace = true;
	f = verdict(s);
	expect_kind(f, FINDING_USERSPACE);
	g_assert_cmpstr(f->section, ==, "3.4");
	expect_text(f, "3 to 5 times slower");
	g_assert_nonnull(find_kind(s, FINDING_SOFTIRQ_CORE));
	scene_free(s);

	/* There its socket is the tunnel. */
	s = calm();
	s->host.userspace = true;
	add_socket(s, 51820, 500, "wireguard-go");
	verdict(s);
	f = find_kind(s, FINDING_UDP_RECEIVE);
	g_assert_nonnull(f);
	g_assert_null(strstr(f->sentence, "not the tunnel"));
	g_assert_null(find_kind(s, FINDING_LIMIT));
	scene_free(s);

	/* Nothing else is wrong: it is in the way all the same. Without load there is more to say. */
	s = calm();
	s->host.userspace = true;
	expect_kind(verdict(s), FINDING_USERSPACE);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);
	s = scene_new();
	core(s, 1, 1, 1, 0);
	s->host.userspace = true;
	expect_kind(verdict(s), FINDING_USERSPACE);
	g_assert_nonnull(find_kind(s, FINDING_IDLE));
	scene_free(s);

	/* All cores busy: being a program is no loss of packets. */
	s = scene_new();
	core(s, 70, 10, 5, 0);
	device(s, "wt0", 50000);
	s->host.userspace = true;
	expect_kind(verdict(s), FINDING_USERSPACE);
	g_assert_nonnull(find_kind(s, FINDING_LIMIT));
	scene_free(s);
}

static void test_idle(void)
{
	struct scene *s = scene_new();
	const struct finding *f;

	core(s, 1, 1, 0, 0);
	core(s, 1, 1, 0, 0);
	device(s, "eth0", DIAGNOSE_LOAD_PACKETS - 1);
	f = verdict(s);
	expect_kind(f, FINDING_IDLE);
	g_assert_cmpstr(f->sentence, ==, "no load (499 packets/s): run traffic while diagnosing");
	scene_free(s);

	s = scene_new();
	core(s, 1, 1, 0, 0);
	core(s, 1, 1, 0, 0);
	device(s, "eth0", DIAGNOSE_LOAD_PACKETS);
	expect_kind(verdict(s), FINDING_NONE);
	scene_free(s);

	/* Few packets, as one core has its hands full with each. */
	s = scene_new();
	core(s, 0, 0, 99, 0);
	core(s, 1, 1, 0, 0);
	device(s, "wt0", 10);
	expect_kind(verdict(s), FINDING_SOFTIRQ_CORE);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);

	/* Somebody compiles something. */
	s = scene_new();
	core(s, 99, 1, 0, 0);
	core(s, 10, 10, 0, 0);
	device(s, "eth0", 10);
	expect_kind(verdict(s), FINDING_IDLE);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);

	/* Nothing at all could be read, and no time has passed. */
	s = scene_new();
	s->d->mono_ms = 0;
	s->host.wireguard = NULL;
	expect_kind(verdict(s), FINDING_IDLE);
	scene_free(s);
}

static void add_peer(struct scene *s, const char *key, uint64_t rx, uint64_t tx, int64_t age)
{
	struct sample_peer p = {
		.rx = rx, .tx = tx, .handshake_s = age < 0 ? 0 : s->d->wall_s - age
	};

	g_strlcpy(p.key, key, sizeof(p.key));
	g_array_append_val(s->d->peers, p);
}

static void test_peers(void)
{
	struct scene *s = calm();
	const struct finding *f;

	add_peer(s, "answers", 10, 10, 500);
	add_peer(s, "young", 0, 10, DIAGNOSE_SESSION_S - 1);
	add_peer(s, "quiet", 0, 0, -1);
	expect_kind(verdict(s), FINDING_NONE);
	g_assert_cmpuint(s->findings->len, ==, 1);
	scene_free(s);

	s = calm();
	add_peer(s, "old", 0, 10, DIAGNOSE_SESSION_S);
	add_peer(s, "never", 0, 10, -1);
	expect_kind(verdict(s), FINDING_NONE);
	f = find_kind(s, FINDING_SILENT_PEERS);
	g_assert_nonnull(f);
	expect_text(f, "2 peers are sent to and do not answer: no session with old and others");
	scene_free(s);

	/* It is also why there is no load. */
	s = scene_new();
	core(s, 1, 1, 0, 0);
	device(s, "wt0", 0);
	add_peer(s, "never", 0, 148, -1);
	f = verdict(s);
	expect_kind(f, FINDING_SILENT_PEERS);
	expect_text(f, "1 peer is sent to and does not answer: no session with never");
	scene_free(s);
}

static void test_load(void)
{
	const struct sample_cpu none = { .cpu = 3 },
				some = { .cpu = 4,
					.user = 1,
					.system = 2,
					.softirq = 3,
					.irq = 4,
					.other = 5,
					.idle = 185 };
	struct core_load load = diagnose_core(&none);

	g_assert_cmpuint(load.cpu, ==, 3);
	g_assert_cmpuint(load.idle, ==, 100);
	g_assert_cmpuint(load.busy, ==, 0);
	load = diagnose_core(&some);
	g_assert_cmpuint(load.user, ==, 1);
	g_assert_cmpuint(load.softirq, ==, 2);
	g_assert_cmpuint(load.idle, ==, 93);
	g_assert_cmpuint(load.busy, ==, 7);
}

static void test_names(void)
{
	for (unsigned i = 0; i < FINDINGS; i++)
		for (unsigned k = 0; k < i; k++)
			g_assert_cmpstr(finding_name(i), !=, finding_name(k));
	g_assert_cmpstr(finding_name(FINDING_IDLE), ==, "idle");
	g_assert_cmpstr(finding_name(FINDING_LIMIT), ==, "limit");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/diagnose/softirq-core", test_softirq_core);
	g_test_add_func("/diagnose/softirq-share", test_softirq_share);
	g_test_add_func("/diagnose/softirq-steered", test_softirq_steered);
	g_test_add_func("/diagnose/softirq-polled", test_softirq_polled);
	g_test_add_func("/diagnose/softirq-mask", test_softirq_mask);
	g_test_add_func("/diagnose/softirq-flow", test_softirq_flow);
	g_test_add_func("/diagnose/softirq-misses", test_softirq_misses);
	g_test_add_func("/diagnose/isolated", test_isolated);
	g_test_add_func("/diagnose/other-cores", test_other_cores);
	g_test_add_func("/diagnose/fullest", test_fullest);
	g_test_add_func("/diagnose/limit", test_limit);
	g_test_add_func("/diagnose/limit-squeezed", test_limit_squeezed);
	g_test_add_func("/diagnose/limit-misses", test_limit_misses);
	g_test_add_func("/diagnose/irqbalance", test_irqbalance);
	g_test_add_func("/diagnose/banned", test_banned);
	g_test_add_func("/diagnose/irqbalance-misses", test_irqbalance_misses);
	g_test_add_func("/diagnose/nic-drops", test_nic_drops);
	g_test_add_func("/diagnose/backlog-drops", test_backlog_drops);
	g_test_add_func("/diagnose/link-drops", test_link_drops);
	g_test_add_func("/diagnose/conntrack", test_conntrack);
	g_test_add_func("/diagnose/udp", test_udp);
	g_test_add_func("/diagnose/few-drops", test_few_drops);
	g_test_add_func("/diagnose/userspace", test_userspace);
	g_test_add_func("/diagnose/idle", test_idle);
	g_test_add_func("/diagnose/peers", test_peers);
	g_test_add_func("/diagnose/load", test_load);
	g_test_add_func("/diagnose/names", test_names);
	return g_test_run();
}
