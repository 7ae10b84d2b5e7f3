/* agent/tune/plan_nic.c - how the real NICs should be set up: queues, hashes, queueing disciplines. */
#include <stdio.h>
#include <string.h>

#include "agent/tune/plan_impl.h"

enum {
	RING_PACKETS = 4096,
	/* Some NICs can spread over this many of their queues only, and refuse more. */
	RSS_QUEUES_ENOUGH = 16,
};

/* -- channels and rings ----------------------------------------------------------------------- */

struct channels {
	unsigned rx, tx, combined;
};

static bool parse_channels(const struct host_value *value, struct channels *ret)
{
	return value->text &&
		sscanf(value->text, "rx %u tx %u combined %u", &ret->rx, &ret->tx,
			&ret->combined) == 3;
}

/* Never fewer than there are. */
static unsigned more_of(unsigned now, unsigned max, unsigned wanted)
{
	return MAX(now, MIN(max, wanted));
}

static void plan_channels_of(struct planner *p, const struct host_nic *nic)
{
	struct item *item = plan_attr(p, nic, NIC_CHANNELS, NULL);
	struct channels now, max;
	g_autofree char *wanted = NULL;

	item->disruptive = nic->up;
	if (!parse_channels(&nic->attrs[NIC_CHANNELS], &now) ||
		!parse_channels(&nic->attrs[NIC_CHANNELS_MAX], &max))
		return item_refuse(item, "%s does not say how many queues it can have", nic->name);
	if (max.combined > 0) {
		now.combined = more_of(now.combined, max.combined, p->n_usable);
	} else {
		now.rx = more_of(now.rx, max.rx, p->n_usable);
		now.tx = more_of(now.tx, max.tx, p->n_usable);
	}
	wanted = g_strdup_printf("rx %u tx %u combined %u", now.rx, now.tx, now.combined);
	item_want(item, wanted,
		"a queue for each of %u usable CPUs, or as many as the device has; never fewer than now",
		p->n_usable);
}

void plan_channels(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_channels_of(p, nic_at(p->host, i));
}

static bool parse_rings(const struct host_value *value, unsigned *ret_rx, unsigned *ret_tx)
{
	return value->text && sscanf(value->text, "rx %u tx %u", ret_rx, ret_tx) == 2;
}

static void plan_rings_of(struct planner *p, const struct host_nic *nic)
{
	struct item *item = plan_attr(p, nic, NIC_RINGS, NULL);
	unsigned rx, tx, max_rx, max_tx;
	g_autofree char *wanted = NULL;

	item->disruptive = nic->up;
	if (!parse_rings(&nic->attrs[NIC_RINGS], &rx, &tx) ||
		!parse_rings(&nic->attrs[NIC_RINGS_MAX], &max_rx, &max_tx))
		return item_refuse(item, "%s does not say how long its rings can be", nic->name);
	rx = more_of(rx, max_rx, RING_PACKETS);
	tx = more_of(tx, max_tx, RING_PACKETS);
	wanted = g_strdup_printf("rx %u tx %u", rx, tx);
	p->plan->worst_case_bytes += (uint64_t)rx * nic->rx->len * PACKET_BYTES;
	item_want(item, wanted,
		"%d packets, or as many as the device has; what overflows there no CPU has seen; never "
		"fewer than now",
		RING_PACKETS);
}

void plan_rings(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_rings_of(p, nic_at(p->host, i));
}

/* -- spreading over queues -------------------------------------------------------------------- */

static bool has_ports(const char *letters)
{
	return strchr(letters, 's') && strchr(letters, 'd') && strchr(letters, 'f') &&
		strchr(letters, 'n');
}

static void plan_hash_of(
	struct planner *p, const struct host_nic *nic, enum nic_attr attr, const char *flows)
{
	struct item *item = plan_attr(p, nic, attr, flows);

	if (nic->rx->len < 2)
		item_refuse(item, "%s has one receive queue", nic->name);
	else if (item->current && has_ports(item->current))
		item_leave(item,
			"ports are hashed too, so peers behind one address are several flows");
	else
		item_want(item, "sdfn",
			"with ports in the hash, peers behind one address are several flows");
}

void plan_flow_hash(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++) {
		plan_hash_of(p, nic_at(p->host, i), NIC_UDP4_HASH, "udp4");
		plan_hash_of(p, nic_at(p->host, i), NIC_UDP6_HASH, "udp6");
	}
}

/* How many queues the table spreads evenly over, from the first on; 0: it does not. */
static unsigned even_over(char *const *entries, unsigned n_queues)
{
	g_autofree unsigned *shares = g_new0(unsigned, n_queues);
	unsigned most = 0, least = G_MAXUINT, used = 0;

	for (; *entries; entries++) {
		uint64_t queue;

		if (!number_parse(*entries, &queue) || queue >= n_queues)
			return 0;
		shares[queue]++;
		used = MAX(used, (unsigned)queue + 1);
	}
	for (unsigned i = 0; i < used; i++) {
		most = MAX(most, shares[i]);
		least = MIN(least, shares[i]);
	}
	return used && most - least <= 1 ? used : 0;
}

static char *even_table(unsigned n_entries, unsigned n_queues)
{
	GString *out = g_string_new(NULL);

	for (unsigned i = 0; i < n_entries; i++)
		g_string_append_printf(out, "%s%u", i ? " " : "", i % n_queues);
	return g_string_free(out, FALSE);
}

static void plan_rss_of(struct planner *p, const struct host_nic *nic)
{
	struct item *item = plan_attr(p, nic, NIC_RSS, NULL);
	unsigned n = nic->rx->len, n_entries, even;
	g_auto(GStrv) entries = NULL;
	g_autofree char *wanted = NULL;

	if (!item->current)
		return;
	entries = g_strsplit(item->current, " ", -1);
	n_entries = g_strv_length(entries);
	if (n < 2 || n_entries == 0)
		return item_refuse(item, "%s has one receive queue", nic->name);
	even = even_over(entries, n);
	if (even >= MIN(n, n_entries))
		return item_leave(item, "each of %u queues gets as many flows as the others", n);
	if (even >= RSS_QUEUES_ENOUGH)
		return item_leave(item,
			"the table is even over %u of %u queues; some devices cannot more", even,
			n);
	wanted = even_table(n_entries, n);
	item_want(item, wanted, "each of %u queues gets as many flows as the others", n);
}

void plan_rss(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_rss_of(p, nic_at(p->host, i));
}

/* -- forwarding ------------------------------------------------------------------------------- */

static bool is_on(const struct host_value *value)
{
	return value->text && strcmp(value->text, "0") != 0;
}

void plan_gro(struct planner *p)
{
	const struct host *h = p->host;
	bool routes = is_on(&h->sysctls[SYSCTL_FORWARD4]) || is_on(&h->sysctls[SYSCTL_FORWARD6]);

	for (unsigned i = 0; i < h->nics->len; i++) {
		struct item *item = plan_attr(
			p, nic_at(h, i), NIC_GRO_FORWARDING, "rx-udp-gro-forwarding");

		if (routes)
			item_want(item, "on",
				"this host routes: UDP packets of one flow go through it together");
		else
			item_refuse(item, "only for hosts that route, and this one does not");
	}
}

/* -- queueing disciplines --------------------------------------------------------------------- */

/* Those that kernels and distributions come with; any other was somebody's choice. */
static bool is_default(const char *kind, size_t len)
{
	static const char *const kinds[] = { "pfifo_fast", "pfifo", "fq_codel", "fq" };

	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (strlen(kinds[i]) == len && !memcmp(kinds[i], kind, len))
			return true;
	return false;
}

/* "mq fq_codel fq_codel" to "mq fq fq"; NULL: one of its children is no default. */
static char *all_fq(const char *current)
{
	GString *out = g_string_new("mq");
	bool good = true;

	for (const char *at = strchr(current, ' '); at && good; at = strchr(at, ' ')) {
		at++;
		good = is_default(at, strcspn(at, " "));
		g_string_append(out, " fq");
	}
	return g_string_free(out, !good);
}

static void plan_qdisc_of(struct planner *p, const struct host_nic *nic)
{
	struct item *item = plan_attr(p, nic, NIC_QDISC, NULL);
	const char *now = item->current;
	g_autofree char *wanted = NULL;

	if (!now)
		return;
	if (!strcmp(now, "noqueue") || !strcmp(now, "noop"))
		return item_refuse(item, "nothing waits at %s now", nic->name);
	if (!strcmp(now, "mq") || g_str_has_prefix(now, "mq "))
		wanted = all_fq(now);
	else if (is_default(now, strlen(now)))
		wanted = g_strdup("fq");
	if (!wanted && !strcmp(now, "!fq"))
		item_leave(item, "somebody has configured fq here");
	else if (!wanted)
		item_refuse(item, "somebody has configured %s here, so it is left",
			now + strspn(now, "!"));
	else
		item_want(item, wanted, "fq sends what BBR paces, and no flow waits for another");
}

static void plan_default_qdisc(struct planner *p)
{
	struct item *item = plan_sysctl(p, FORM_TEXT, SYSCTL_QDISC);
	const char *now = item->current;

	if (now && !p->options->force && !is_default(now, strlen(now)))
		item_leave(item, "somebody has chosen %s, so it is left", now);
	else
		item_want(item, "fq", "devices that come later get what BBR wants too");
}

void plan_qdisc(struct planner *p)
{
	for (unsigned i = 0; i < p->host->nics->len; i++)
		plan_qdisc_of(p, nic_at(p->host, i));
	/* Taken back first: then the kernel's own discipline of a device is the old one. */
	plan_default_qdisc(p);
}
