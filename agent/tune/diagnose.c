/* agent/tune/diagnose.c - what the difference of two samples says about where packets wait or get lost. */
#include "agent/tune/diagnose.h"

#include <inttypes.h>
#include <stdarg.h>

#include "agent/tune/diagnose_impl.h"

static void free_finding(gpointer data)
{
	g_free(((struct finding *)data)->sentence);
	g_free(data);
}

const char *finding_name(enum finding_kind kind)
{
	static const char *const names[FINDINGS] = { "userspace", "softirq_core", "nic_drops",
		"backlog_drops", "conntrack", "tx_drops", "wireguard_drops", "limit", "all_busy",
		"sys_core", "user_core", "steal", "irqbalance", "irq_pile", "udp_receive",
		"udp_send", "rx_drops", "none", "squeezed", "silent_peers", "idle" };

	return names[kind];
}

static void append_knobs(GString *out, uint32_t knobs)
{
	const char *before = "; apply ";

	for (unsigned k = 0; k < KNOBS; k++)
		if (knobs & knob_bit(k)) {
			g_string_append_printf(out, "%s%s", before, knob_name(k));
			before = ",";
		}
}

void finding_add(struct view *v, enum finding_kind kind, int cpu, const char *section,
	uint32_t knobs, const char *format, ...)
{
	struct finding *f = g_new0(struct finding, 1);
	GString *sentence = g_string_new(NULL);
	va_list ap;

	va_start(ap, format);
	g_string_append_vprintf(sentence, format, ap);
	va_end(ap);
	if (knobs && !(knobs & v->pending))
		g_string_append(sentence, "; apply would change nothing about it");
	f->kind = kind;
	f->cpu = cpu;
	f->section = section;
	f->knobs = knobs & v->pending;
	append_knobs(sentence, f->knobs);
	f->sentence = g_string_free(sentence, FALSE);
	g_ptr_array_add(v->findings, f);
}

/* -- numbers ---------------------------------------------------------------------------------- */

uint64_t diagnose_rate(const struct view *v, uint64_t n)
{
	return v->d->mono_ms > 0
		? (n * 1000 + (uint64_t)v->d->mono_ms / 2) / (uint64_t)v->d->mono_ms
		: 0;
}

bool diagnose_is_many(const struct view *v, uint64_t drops)
{
	return drops >= DIAGNOSE_DROPS && v->d->mono_ms > 0 &&
		drops * 30000 > DIAGNOSE_DROPS_30S * (uint64_t)v->d->mono_ms;
}

struct core_load diagnose_core(const struct sample_cpu *c)
{
	uint64_t all = c->user + c->system + c->softirq + c->irq + c->idle + c->other;
	struct core_load load = { .cpu = c->cpu, .idle = 100 };

	if (!all)
		return load;
	load.user = percent_of(c->user, all);
	load.system = percent_of(c->system, all);
	load.softirq = percent_of(c->softirq, all);
	load.irq = percent_of(c->irq, all);
	load.other = percent_of(c->other, all);
	load.idle = percent_of(c->idle, all);
	load.busy = 100 - load.idle;
	return load;
}

static bool is_usable(const struct view *v, unsigned cpu)
{
	return cpuset_is_empty(&v->host->usable) || cpuset_has(&v->host->usable, cpu);
}

static void look_at_cores(struct view *v)
{
	v->least_busy = v->room_idle = 100;
	for (guint i = 0; i < v->d->cpus->len; i++) {
		struct core_load load = diagnose_core(
			&g_array_index(v->d->cpus, struct sample_cpu, i));

		g_array_append_val(v->cores, load);
		if (!is_usable(v, load.cpu))
			continue;
		v->n_usable++;
		if (load.busy < DIAGNOSE_ROOM) {
			v->n_room++;
			v->room_idle = MIN(v->room_idle, load.idle);
		}
		v->least_busy = MIN(v->least_busy, load.busy);
		v->most_busy = MAX(v->most_busy, load.busy);
	}
}

/* -- one core --------------------------------------------------------------------------------- */

static void judge_softirq(struct view *v, guint core, const char *others)
{
	const struct core_load *c = core_at(v, core);
	g_autoptr(GString) cause = g_string_new(NULL);
	uint32_t knobs = diagnose_cause(v, core, cause) & v->pending;

	finding_add(v, FINDING_SOFTIRQ_CORE, (int)c->cpu, knobs ? "3.2" : "6.2", knobs,
		"CPU%u is %u %% in softirq %s: %s%s", c->cpu, c->softirq + c->irq, others,
		cause->str,
		knobs ? ""
		      : "; apply would spread it no further, as one flow stays on one core: more flows, more peers or a larger MTU");
}

/* What fills a core. */
static enum finding_kind kind_of(const struct core_load *c, unsigned *ret_share)
{
	unsigned softirq = c->softirq + c->irq;

	*ret_share = MAX(MAX(softirq, c->other), MAX(c->system, c->user));
	if (softirq == *ret_share)
		return FINDING_SOFTIRQ_CORE;
	if (c->system == *ret_share)
		return FINDING_SYS_CORE;
	return c->user == *ret_share ? FINDING_USER_CORE : FINDING_STEAL;
}

/* The fullest core of those that this fills; -1: there is none. */
static int fullest(const struct view *v, enum finding_kind kind)
{
	unsigned share, most = 0;
	int found = -1;

	for (guint i = 0; i < v->cores->len; i++)
		if (core_at(v, i)->busy >= DIAGNOSE_FULL &&
			kind_of(core_at(v, i), &share) == kind && share > most) {
			most = share;
			found = (int)i;
		}
	return found;
}

static void judge_full_cores(struct view *v)
{
	int softirq = fullest(v, FINDING_SOFTIRQ_CORE), sys = fullest(v, FINDING_SYS_CORE),
	    user = fullest(v, FINDING_USER_CORE), steal = fullest(v, FINDING_STEAL);
	g_autofree char *others = v->n_room == 1
		? g_strdup_printf("while 1 core is %u %% idle", v->room_idle)
		: g_strdup_printf(
			  "while %u cores are at least %u %% idle", v->n_room, v->room_idle);

	if (softirq >= 0)
		judge_softirq(v, (guint)softirq, others);
	if (steal >= 0)
		finding_add(v, FINDING_STEAL, (int)core_at(v, steal)->cpu, "10", 0,
			"the hypervisor takes %u %% of CPU%u: no knob brings that back",
			core_at(v, steal)->other, core_at(v, steal)->cpu);
	if (!v->loaded) /* they work for somebody else */
		return;
	if (sys >= 0)
		finding_add(v, FINDING_SYS_CORE, (int)core_at(v, sys)->cpu, "6.2",
			knob_bit(KNOB_MTU) & v->pending,
			"CPU%u is %u %% in sys %s: one flow is encrypted or copied there, which no knob spreads; more peers or flows, or a larger MTU",
			core_at(v, sys)->cpu, core_at(v, sys)->system, others);
	if (user >= 0)
		finding_add(v, FINDING_USER_CORE, (int)core_at(v, user)->cpu, "3.2", 0,
			"CPU%u is %u %% in user %s: a program is the limit, not the network",
			core_at(v, user)->cpu, core_at(v, user)->user, others);
}

static const char *most_of(const struct view *v)
{
	uint64_t user = 0, system = 0, softirq = 0;

	for (guint i = 0; i < v->cores->len; i++) {
		user += core_at(v, i)->user;
		system += core_at(v, i)->system;
		softirq += core_at(v, i)->softirq + core_at(v, i)->irq;
	}
	if (softirq >= system && softirq >= user)
		return "softirq";
	return system >= user ? "sys" : "user";
}

static void judge_all_cores(struct view *v)
{
	g_autofree char *who = v->n_usable > 1
		? g_strdup_printf("all %u cores are %u to %u %% busy", v->n_usable, v->least_busy,
			  v->most_busy)
		: g_strdup_printf("the only core is %u %% busy", v->most_busy);

	if (v->lossy)
		finding_add(v, FINDING_ALL_BUSY, -1, "3.2", 0,
			"%s, mostly in %s: the processors are the limit", who, most_of(v));
	else
		finding_add(v, FINDING_LIMIT, -1, "10", 0,
			"%s, mostly in %s, and drops are trivial: you have reached the limit of tuning; more peers, a larger MTU below the tunnel, faster hardware or another topology",
			who, most_of(v));
}

static void judge_cores(struct view *v)
{
	if (v->n_room)
		judge_full_cores(v);
	else if (v->loaded && v->n_usable)
		judge_all_cores(v);
}

/* -- traffic ---------------------------------------------------------------------------------- */

static uint64_t busiest_link(const struct view *v)
{
	uint64_t most = 0;

	for (guint i = 0; i < v->d->links->len; i++)
		most = MAX(most, link_at(v, i)->rx_packets + link_at(v, i)->tx_packets);
	return diagnose_rate(v, most);
}

static void judge_peers(struct view *v)
{
	unsigned n = 0;
	const struct sample_peer *first = NULL;

	for (guint i = 0; i < v->d->peers->len; i++) {
		const struct sample_peer *p = &g_array_index(v->d->peers, struct sample_peer, i);

		if (!p->tx || p->rx || v->d->wall_s - p->handshake_s < DIAGNOSE_SESSION_S)
			continue;
		if (!n++)
			first = p;
	}
	if (n)
		finding_add(v, FINDING_SILENT_PEERS, -1, "3.1", 0,
			"%u %s sent to and %s not answer: no session with %s%s", n,
			n == 1 ? "peer is" : "peers are", n == 1 ? "does" : "do", first->key,
			n == 1 ? "" : " and others");
}

/* What to say when there is nothing to say. */
static void judge_rest(struct view *v)
{
	unsigned busiest = 0;

	for (guint i = 0; i < v->cores->len; i++)
		busiest = MAX(busiest, core_at(v, i)->busy);
	if (!v->loaded)
		finding_add(v, FINDING_IDLE, -1, "3", 0,
			"no load (%" PRIu64 " packets/s): run traffic while diagnosing",
			busiest_link(v));
	else if (!v->host->userspace)
		finding_add(v, FINDING_NONE, -1, "6.1", 0,
			"nothing is in the way here: the busiest core is %u %% busy and drops are trivial; what limits is the path, the other host or the sender",
			busiest);
}

/* Work that is put off, not lost: a hint at most. */
static void judge_squeezes(struct view *v)
{
	uint64_t squeezed = 0;

	for (guint i = 0; i < v->d->cpus->len; i++)
		squeezed += g_array_index(v->d->cpus, struct sample_cpu, i).squeezed;
	if (diagnose_rate(v, squeezed) >= DIAGNOSE_SQUEEZES)
		finding_add(v, FINDING_SQUEEZED, -1, "4.5",
			knob_bit(KNOB_BUDGET) | knob_bit(KNOB_BUDGET_USECS),
			"softirq runs end %" PRIu64 " times/s before their work is done",
			diagnose_rate(v, squeezed));
}

static gint by_strength(gconstpointer a, gconstpointer b)
{
	const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;

	return (int)x->kind - (int)y->kind;
}

GPtrArray *diagnose(const struct host *host, const struct sample *difference, uint32_t pending)
{
	struct view v = { .host = host, .d = difference, .pending = pending };

	v.cores = g_array_new(FALSE, FALSE, sizeof(struct core_load));
	v.findings = g_ptr_array_new_with_free_func(free_finding);
	look_at_cores(&v);
	diagnose_queues(&v);
	v.loaded = busiest_link(&v) >= DIAGNOSE_LOAD_PACKETS;
	diagnose_drops(&v);
	judge_cores(&v);
	if (v.loaded)
		diagnose_interrupts(&v);
	if (!v.findings->len)
		judge_rest(&v);
	if (host->userspace)
		finding_add(&v, FINDING_USERSPACE, -1, "3.4", 0,
			"%s is a TUN device of a program: WireGuard in userspace is 3 to 5 times slower than in the kernel, which no tuning recovers: change that first",
			host->wireguard ? host->wireguard->name : "the tunnel");
	judge_squeezes(&v);
	judge_peers(&v);
	g_ptr_array_sort(v.findings, by_strength);
	g_array_unref(v.cores);
	g_array_unref(v.queues);
	g_array_unref(v.quiet);
	return v.findings;
}
