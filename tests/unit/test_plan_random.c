/* tests/unit/test_plan_random.c - what holds for the plan of any host at all. */
#include <stdio.h>

#include "tests/unit/planned.h"

enum { HOSTS = 1500 };

/* -- made-up hosts ---------------------------------------------------------------------------- */

static unsigned below(GRand *rand, unsigned n)
{
	return (unsigned)g_rand_int_range(rand, 0, (gint32)n);
}

static bool chance(GRand *rand, unsigned percent)
{
	return below(rand, 100) < percent;
}

/* Sometimes there is no such thing, or it cannot be read. The text is taken over. */
static void fill(GRand *rand, struct host_value *v, char *take_text)
{
	static const int errors[] = { -ENOENT, -EOPNOTSUPP, -EACCES, -EIO };

	v->text = take_text;
	if (!chance(rand, 8))
		return;
	g_clear_pointer(&v->text, g_free);
	if (chance(rand, 20))
		v->text = g_strdup("nonsense");
	else
		v->error = errors[below(rand, G_N_ELEMENTS(errors))];
}

static char *random_mask(GRand *rand, const struct host *h)
{
	struct cpuset set = { 0 };

	for (unsigned n = below(rand, 5); n > 0; n--)
		cpuset_add(&set, below(rand, h->n_possible));
	return chance(rand, 5) ? g_strdup("f") : cpuset_format_mask(&set, h->n_possible);
}

static char *random_number(GRand *rand, const char *const *choices, unsigned n)
{
	return chance(rand, 30) ? g_strdup_printf("%u", below(rand, 50000000))
				: g_strdup(choices[below(rand, n)]);
}
#define NUMBER(rand, ...) \
	random_number(rand, (const char *const[]){ __VA_ARGS__ }, \
		G_N_ELEMENTS(((const char *const[]){ __VA_ARGS__ })))

static void random_cpus(GRand *rand, struct host *h)
{
	h->n_possible = 1 + below(rand, chance(rand, 50) ? 16 : 300);
	cpuset_add(&h->online, below(rand, h->n_possible));
	for (unsigned i = 0; i < h->n_possible; i++)
		if (chance(rand, 90))
			cpuset_add(&h->online, i);
	h->usable = h->online;
	for (unsigned i = 0; i < h->n_possible; i++) {
		struct cpuset one = { 0 };

		cpuset_add(&one, i);
		if (chance(rand, 15) && cpuset_count(&h->usable) > 1)
			cpuset_remove_all(&h->usable, &one);
	}
}

static void random_queues(GRand *rand, const struct host *h, struct host_nic *nic)
{
	unsigned n_rx = below(rand, 20), n_tx = below(rand, 20);

	for (unsigned i = 0; i < n_rx; i++) {
		struct host_queue q = { .name = "" };

		g_snprintf(q.name, sizeof(q.name), "rx-%u", i);
		fill(rand, &q.rps_cpus, random_mask(rand, h));
		fill(rand, &q.rps_flow_cnt, NUMBER(rand, "0", "4096", "8192"));
		g_array_append_val(nic->rx, q);
	}
	for (unsigned i = 0; i < n_tx; i++) {
		struct host_queue q = { .name = "" };

		g_snprintf(q.name, sizeof(q.name), "tx-%u", i);
		fill(rand, &q.xps_cpus, random_mask(rand, h));
		g_array_append_val(nic->tx, q);
	}
}

static void random_irqs(GRand *rand, const struct host *h, struct host_nic *nic, unsigned *next)
{
	for (unsigned n = below(rand, 40); n > 0; n--) {
		struct host_irq irq = { .number = (*next)++, .queue = (int)below(rand, 24) - 2 };

		irq.queue = MAX(irq.queue, -1);
		g_snprintf(irq.name, sizeof(irq.name), "any-%d", irq.queue);
		fill(rand, &irq.affinity, random_mask(rand, h));
		g_array_append_val(nic->irqs, irq);
	}
}

static char *random_table(GRand *rand)
{
	GString *out = g_string_new(NULL);
	unsigned queues = 1 + below(rand, 20), n = below(rand, 64);

	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(
			out, "%s%u", i ? " " : "", chance(rand, 98) ? i % queues : 0);
	return g_string_free(out, FALSE);
}

static void random_attrs(GRand *rand, struct host_nic *nic)
{
	static const char *const hashes[] = { "sd", "sdfn", "", "vsdfn" };
	static const char *const qdiscs[] = { "fq", "fq_codel", "mq fq_codel fq", "!htb", "noqueue",
		"mq", "mq htb fq" };
	unsigned n = below(rand, 64);

	fill(rand, &nic->attrs[NIC_CHANNELS], g_strdup_printf("rx 0 tx %u combined %u", n / 8, n));
	fill(rand, &nic->attrs[NIC_CHANNELS_MAX],
		g_strdup_printf("rx %u tx 8 combined %u", n, chance(rand, 80) ? 64 : 0));
	fill(rand, &nic->attrs[NIC_RINGS], g_strdup_printf("rx %u tx 512", 64 * n));
	fill(rand, &nic->attrs[NIC_RINGS_MAX], g_strdup_printf("rx %u tx 8192", 128 * n));
	fill(rand, &nic->attrs[NIC_UDP4_HASH], g_strdup(hashes[below(rand, 4)]));
	fill(rand, &nic->attrs[NIC_UDP6_HASH], g_strdup(hashes[below(rand, 4)]));
	fill(rand, &nic->attrs[NIC_RSS], random_table(rand));
	fill(rand, &nic->attrs[NIC_GRO_FORWARDING], g_strdup(chance(rand, 50) ? "on" : "off"));
	fill(rand, &nic->attrs[NIC_QDISC], g_strdup(qdiscs[below(rand, G_N_ELEMENTS(qdiscs))]));
}

static struct host_nic *random_nic(GRand *rand, const struct host *h, const char *name)
{
	struct host_nic *nic = g_new0(struct host_nic, 1);

	g_strlcpy(nic->name, name, sizeof(nic->name));
	nic->up = chance(rand, 80);
	nic->rx = g_array_new(FALSE, TRUE, sizeof(struct host_queue));
	nic->tx = g_array_new(FALSE, TRUE, sizeof(struct host_queue));
	nic->irqs = g_array_new(FALSE, TRUE, sizeof(struct host_irq));
	nic->local = h->online;
	for (unsigned i = 0; chance(rand, 30) && i < h->n_possible / 2; i++) {
		struct cpuset one = { 0 };

		cpuset_add(&one, i);
		cpuset_remove_all(&nic->local, &one);
	}
	random_queues(rand, h, nic);
	random_attrs(rand, nic);
	fill(rand, &nic->mtu, NUMBER(rand, "1500", "1420", "1280", "9000", "8920"));
	fill(rand, &nic->threaded, g_strdup(chance(rand, 50) ? "0" : "1"));
	return nic;
}

static void random_sysctls(GRand *rand, struct host *h)
{
	struct host_value *v = h->sysctls;

	fill(rand, &v[SYSCTL_BACKLOG], NUMBER(rand, "1000", "10000", "20000"));
	fill(rand, &v[SYSCTL_BUDGET], NUMBER(rand, "300", "600", "1000"));
	fill(rand, &v[SYSCTL_BUDGET_USECS], NUMBER(rand, "2000", "8000"));
	fill(rand, &v[SYSCTL_FLOW_ENTRIES], NUMBER(rand, "0", "32768", "65536"));
	fill(rand, &v[SYSCTL_RMEM_MAX], NUMBER(rand, "212992", "16777216"));
	fill(rand, &v[SYSCTL_WMEM_MAX], NUMBER(rand, "212992", "16777216"));
	fill(rand, &v[SYSCTL_TCP_RMEM], g_strdup_printf("4096\t131072\t%u", below(rand, 40000000)));
	fill(rand, &v[SYSCTL_TCP_WMEM], g_strdup_printf("%u 16384 4194304", below(rand, 9000)));
	fill(rand, &v[SYSCTL_QDISC], g_strdup(chance(rand, 50) ? "fq_codel" : "cake"));
	fill(rand, &v[SYSCTL_CONGESTION], g_strdup(chance(rand, 50) ? "cubic" : "dctcp"));
	fill(rand, &v[SYSCTL_CONNTRACK_MAX], NUMBER(rand, "262144", "0", "1"));
	fill(rand, &v[SYSCTL_FORWARD4], g_strdup(chance(rand, 50) ? "1" : "0"));
	fill(rand, &v[SYSCTL_FORWARD6], g_strdup("0"));
}

static void random_wireguard(GRand *rand, struct host *h)
{
	if (chance(rand, 20))
		return;
	h->wireguard = random_nic(rand, h, "wt0");
	h->userspace = chance(rand, 10);
	h->n_peers = below(rand, 2) * below(rand, 1000);
	h->n_peers_up = h->n_peers ? below(rand, h->n_peers) : 0;
	h->outer_ipv6 = chance(rand, 30);
}

static struct host *random_host(GRand *rand)
{
	struct host *h = g_new0(struct host, 1);
	unsigned irq = 20;

	random_cpus(rand, h);
	g_snprintf(h->kernel, sizeof(h->kernel), "6.%u.%u", below(rand, 20), below(rand, 200));
	h->ram_bytes = (uint64_t)below(rand, 65536) << (chance(rand, 50) ? 20 : 10);
	h->nics = g_ptr_array_new();
	for (unsigned i = below(rand, 4); i > 0; i--) {
		g_autofree char *name = g_strdup_printf("eth%u", i);
		struct host_nic *one = random_nic(rand, h, name);

		random_irqs(rand, h, one, &irq);
		g_ptr_array_add(h->nics, one);
	}
	random_wireguard(rand, h);
	random_sysctls(rand, h);
	h->conntrack_count = below(rand, 600000);
	h->conntrack_failed = below(rand, 2);
	h->has_bbr = chance(rand, 80);
	h->irqbalance = (enum host_irqbalance)below(rand, 3);
	h->banned = g_array_new(FALSE, FALSE, sizeof(unsigned));
	for (unsigned n = below(rand, 3); h->irqbalance == IRQBALANCE_SOCKET && n > 0; n--)
		g_array_append_vals(h->banned, &(unsigned){ below(rand, 60) }, 1);
	return h;
}

static void nic_free(struct host_nic *nic)
{
	for (unsigned i = 0; i < nic->rx->len; i++) {
		struct host_queue *q = &g_array_index(nic->rx, struct host_queue, i);

		g_free(q->rps_cpus.text);
		g_free(q->rps_flow_cnt.text);
	}
	for (unsigned i = 0; i < nic->tx->len; i++)
		g_free(g_array_index(nic->tx, struct host_queue, i).xps_cpus.text);
	for (unsigned i = 0; i < nic->irqs->len; i++)
		g_free(g_array_index(nic->irqs, struct host_irq, i).affinity.text);
	for (int i = 0; i < NIC_ATTRS; i++)
		g_free(nic->attrs[i].text);
	g_free(nic->mtu.text);
	g_free(nic->threaded.text);
	g_array_unref(nic->rx);
	g_array_unref(nic->tx);
	g_array_unref(nic->irqs);
	g_free(nic);
}

static void random_host_free(struct host *h)
{
	for (unsigned i = 0; i < h->nics->len; i++)
		nic_free(h->nics->pdata[i]);
	if (h->wireguard)
		nic_free(h->wireguard);
	for (int i = 0; i < SYSCTLS; i++)
		g_free(h->sysctls[i].text);
	g_ptr_array_unref(h->nics);
	g_array_unref(h->banned);
	g_free(h);
}

/* -- what holds ------------------------------------------------------------------------------- */

/* Numbers of the one text, and those at the same places of the other: are some of them lower there? */
static bool is_lowered(const char *from, const char *to)
{
	g_auto(GStrv) a = g_strsplit(from, " ", -1), b = g_strsplit(to, " ", -1);
	bool lowered = false;

	g_assert_cmpuint(g_strv_length(a), ==, g_strv_length(b));
	for (unsigned i = 0; a[i]; i++)
		lowered = lowered ||
			g_ascii_strtoll(b[i], NULL, 10) < g_ascii_strtoll(a[i], NULL, 10);
	return lowered;
}

static void check_mask(const struct host *h, const struct item *item)
{
	struct cpuset set;

	g_assert_cmpint(cpuset_parse_mask(item->wanted, &set), ==, 0);
	g_assert_false(cpuset_is_empty(&set));
	cpuset_remove_all(&set, &h->usable);
	g_assert_true(cpuset_is_empty(&set));
	g_assert_cmpuint(strlen(item->wanted), <=, h->n_possible / 32 * 9 + 9);
}

static void check_change(const struct host *h, const struct item *item, bool force)
{
	bool numbers = item->form == FORM_NUMBERS || item->knob == KNOB_CHANNELS ||
		item->knob == KNOB_RINGS;

	g_assert_nonnull(item->current);
	g_assert_nonnull(item->wanted);
	g_assert_false(item_is_equal(item->form, item->current, item->wanted));
	if (item->form == FORM_MASK)
		check_mask(h, item);
	/* But an MTU that does not fit. */
	if (numbers && !force && item->knob != KNOB_MTU)
		g_assert_false(is_lowered(item->current, item->wanted));
	g_assert_true(!item->disruptive || item->knob <= KNOB_RINGS);
}

static void check_item(const struct host *h, const struct item *item, bool force)
{
	g_assert_true(item->reason || item->state == ITEM_UNREADABLE);
	g_assert_true(item->error < 0 || item->state != ITEM_UNREADABLE);
	g_assert_true((item->where == ITEM_FILE) == (item->path != NULL));
	g_assert_true(item->where != ITEM_NIC || (item->device && item->attr < NIC_DRIVER));
	g_assert_true(item->where == ITEM_IRQBALANCE || item->sysctl == !item->device);
	g_assert_true(item->queue < 0 || item->knob == KNOB_IRQ);
	if (item->device && item->knob != KNOB_IRQ)
		g_assert_true(g_str_has_prefix(item->object, item->device));
	if (item->state == ITEM_DIFFERS)
		check_change(h, item, force);
	if (item->state == ITEM_OK)
		g_assert_true(item_is_equal(item->form, item->current, item->wanted));
}

/* Those of queues are there once, others are not. */
static void check_irqs(const struct host *h, const struct plan *plan)
{
	for (unsigned i = 0; i < h->nics->len; i++) {
		const GArray *irqs = ((const struct host_nic *)h->nics->pdata[i])->irqs;

		for (unsigned k = 0; k < irqs->len; k++) {
			const struct host_irq *one = &g_array_index(irqs, struct host_irq, k);
			g_autofree char *path = g_strdup_printf(
				"/proc/irq/%u/smp_affinity", one->number);
			unsigned n = 0;

			for (unsigned m = 0; m < plan->items->len; m++)
				n += !g_strcmp0(((struct item *)plan->items->pdata[m])->path, path);
			g_assert_cmpuint(n, ==, one->queue >= 0);
		}
	}
}

/* No usable CPU has two queues more than another. */
static void check_load(const struct host *h, const struct plan *plan)
{
	g_autofree unsigned *load = g_new0(unsigned, CPUSET_MAX);
	unsigned most = 0, least = G_MAXUINT;
	const struct item *last = NULL;

	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];
		struct cpuset cpus;

		if (item->knob != KNOB_IRQ)
			continue;
		if (!item->wanted || cpuset_parse_mask(item->wanted, &cpus) < 0)
			return;
		if (!last || last->queue != item->queue || strcmp(last->device, item->device) != 0)
			load[cpuset_next(&cpus, 0)]++;
		last = item;
	}
	for (int cpu = cpuset_next(&h->usable, 0); cpu >= 0;
		cpu = cpuset_next(&h->usable, (unsigned)cpu + 1)) {
		most = MAX(most, load[cpu]);
		least = MIN(least, load[cpu]);
	}
	g_assert_cmpuint(most - least, <=, 1);
}

static void check_plan(const struct host *h, const struct plan *plan, bool force)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	enum knob last = 0;

	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];
		char *id = g_strdup_printf("%u %s", item->knob, item->object);

		g_assert_true(item->knob >= last);
		last = item->knob;
		g_assert_true(g_hash_table_add(seen, id));
		check_item(h, item, force);
	}
	g_assert_nonnull(plan->role_reason);
	check_irqs(h, plan);
	check_load(h, plan);
}

/* -- nothing is left to do -------------------------------------------------------------------- */

static struct host_value *queue_value(struct host_nic *nic, const char *queue, const char *file)
{
	GArray *queues = queue[0] == 'r' ? nic->rx : nic->tx;
	struct host_queue *q = &g_array_index(queues, struct host_queue, atoi(queue + 3));

	if (!strcmp(file, "rps_cpus"))
		return &q->rps_cpus;
	return !strcmp(file, "rps_flow_cnt") ? &q->rps_flow_cnt : &q->xps_cpus;
}

static struct host_value *irq_value(struct host *h, unsigned number)
{
	for (unsigned i = 0; i < h->nics->len; i++) {
		GArray *irqs = ((struct host_nic *)h->nics->pdata[i])->irqs;

		for (unsigned k = 0; k < irqs->len; k++)
			if (g_array_index(irqs, struct host_irq, k).number == number)
				return &g_array_index(irqs, struct host_irq, k).affinity;
	}
	g_assert_not_reached();
}

static struct host_value *device_value(struct host *h, const struct item *item)
{
	struct host_nic *nic = (struct host_nic *)host_find_nic(h, item->device);
	char queue[16], file[16];

	g_assert_nonnull(nic);
	if (item->where == ITEM_NIC)
		return &nic->attrs[item->attr];
	if (sscanf(item->path, "/sys/class/net/%*[^/]/queues/%15[^/]/%15s", queue, file) == 2)
		return queue_value(nic, queue, file);
	return g_str_has_suffix(item->path, "/mtu") ? &nic->mtu : &nic->threaded;
}

static struct host_value *value_of(struct host *h, const struct item *item)
{
	unsigned number;

	for (int i = 0; item->sysctl && i < SYSCTLS; i++)
		if (!strcmp(item->path, host_sysctl_path((enum host_sysctl)i)))
			return &h->sysctls[i];
	if (item->path && sscanf(item->path, "/proc/irq/%u/smp_affinity", &number) == 1)
		return irq_value(h, number);
	return device_value(h, item);
}

static void take_irqbalance(struct host *h, const char *wanted)
{
	g_auto(GStrv) words = g_strsplit(wanted, " ", -1);

	if (!strcmp(wanted, "stopped")) {
		h->irqbalance = IRQBALANCE_NONE;
		return;
	}
	g_array_set_size(h->banned, 0);
	for (char **word = words + 1; *word; word++)
		g_array_append_vals(h->banned, &(unsigned){ (unsigned)atoi(*word) }, 1);
}

static void do_as_planned(struct host *h, const struct plan *plan)
{
	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		if (item->state != ITEM_DIFFERS)
			continue;
		if (item->where == ITEM_IRQBALANCE)
			take_irqbalance(h, item->wanted);
		else
			set(value_of(h, item), item->wanted);
	}
}

static void test_any_host(void)
{
	GRand *rand = g_rand_new_with_seed(g_test_rand_int());
	unsigned n_pending = 0;

	for (unsigned i = 0; i < HOSTS; i++) {
		struct host *h = random_host(rand);
		const struct plan_options options = {
			.only = KNOB_ALL,
			.irqbalance = (enum irqbalance_mode)below(rand, 3),
			.force = chance(rand, 30),
		};
		struct plan *plan = plan_make(h, &options);

		check_plan(h, plan, options.force);
		n_pending += plan_pending(plan, true);
		do_as_planned(h, plan);
		plan_free(plan);
		plan = plan_make(h, &options);
		check_plan(h, plan, options.force);
		g_assert_cmpuint(plan_pending(plan, true), ==, 0);
		plan_free(plan);
		random_host_free(h);
	}
	g_test_message("%u changes on %d hosts", n_pending, HOSTS);
	g_assert_cmpuint(n_pending, >, 10 * HOSTS);
	g_rand_free(rand);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/plan/any-host", test_any_host);
	return g_test_run();
}
