/* agent/tune/plan_sysctl.c - what /proc/sys/net says of the whole host: queues, buffers, TCP, connections. */
#include <string.h>

#include "agent/tune/plan_impl.h"

enum {
	BUFFER_SHARE = 64, /* of RAM that one buffer may take at most */
	BUFFER_MAX = 16 * 1024 * 1024,
	CONNTRACK_SHARE = 16, /* of RAM for all connections */
	CONNTRACK_BYTES = 400, /* of one */
	CONNTRACK_ROOM = 2 * 262144, /* twice what larger hosts begin with */
	CONNTRACK_LIMIT = 1 << 30,
};

/* -- packets that wait for a CPU -------------------------------------------------------------- */

void plan_queueing(struct planner *p)
{
	static const struct {
		enum host_sysctl sysctl;
		const char *target, *reason;
	} table[KNOBS] = {
		[KNOB_BACKLOG] = { SYSCTL_BACKLOG, "10000",
			"packets that are handed to another CPU wait here, and what does not fit is lost" },
		[KNOB_BUDGET] = { SYSCTL_BUDGET, "600",
			"a CPU takes more packets at once, so that fewer wait" },
		[KNOB_BUDGET_USECS] = { SYSCTL_BUDGET_USECS, "8000",
			"a CPU has the time to take its budget" },
	};
	struct item *item = plan_sysctl(p, FORM_NUMBERS, table[p->knob].sysctl);
	uint64_t packets;

	item_raise(p, item, table[p->knob].target, "%s", table[p->knob].reason);
	if (p->knob == KNOB_BACKLOG && number_parse(item->wanted, &packets))
		p->plan->worst_case_bytes += packets * cpuset_count(&p->host->online) *
			PACKET_BYTES;
}

/* -- buffers of sockets ----------------------------------------------------------------------- */

static uint64_t buffer_cap(const struct host *host)
{
	uint64_t share = power_of_two_in(host->ram_bytes / BUFFER_SHARE);

	return share ? MIN(share, BUFFER_MAX) : BUFFER_MAX;
}

static void add_worst_case(struct planner *p, const struct item *item)
{
	const char *last = item->wanted ? strrchr(item->wanted, ' ') : NULL;
	uint64_t bytes;

	if (number_parse(last ? last + 1 : item->wanted, &bytes))
		p->plan->worst_case_bytes += bytes;
}

void plan_buffers(struct planner *p)
{
	static const struct {
		enum host_sysctl sysctl;
		const char *before; /* the numbers before the maximum */
		const char *whose;
	} table[KNOBS] = {
		[KNOB_RMEM] = { SYSCTL_RMEM_MAX, "", "a socket of a program, as of a relay," },
		[KNOB_WMEM] = { SYSCTL_WMEM_MAX, "", "a socket of a program, as of a relay," },
		[KNOB_TCP_RMEM] = { SYSCTL_TCP_RMEM, "4096 131072 ", "a TCP connection" },
		[KNOB_TCP_WMEM] = { SYSCTL_TCP_WMEM, "4096 16384 ", "a TCP connection" },
	};
	uint64_t cap = buffer_cap(p->host);
	struct item *item = plan_sysctl(p, FORM_NUMBERS, table[p->knob].sysctl);
	g_autofree char *target = g_strdup_printf(
		"%s%" G_GUINT64_FORMAT, table[p->knob].before, cap);

	item_raise(p, item, target, "%s may have %" G_GUINT64_FORMAT " KiB at once%s",
		table[p->knob].whose, cap / 1024,
		cap < BUFFER_MAX ? ", which is as much of the memory as one may take" : "");
	add_worst_case(p, item);
}

/* -- TCP -------------------------------------------------------------------------------------- */

void plan_congestion(struct planner *p)
{
	struct item *item = plan_sysctl(p, FORM_TEXT, SYSCTL_CONGESTION);
	const char *now = item->current;

	if (!now)
		return;
	if (!p->host->has_bbr && strcmp(now, "bbr") != 0)
		item_refuse(item, "this kernel has no BBR");
	else if (!p->options->force && strcmp(now, "cubic") != 0 && strcmp(now, "reno") != 0 &&
		strcmp(now, "bbr") != 0)
		item_leave(item, "somebody has chosen %s, so it is left", now);
	else
		item_want(item, "bbr", "BBR does not take each lost packet for a full queue");
}

/* -- connections ------------------------------------------------------------------------------ */

/* Without room for this many, some are refused. Doubling ends when there is room, so that a second plan
 * finds nothing to do; that inserts have failed is remembered until the next start. */
static uint64_t conntrack_target(const struct host *h, uint64_t now)
{
	uint64_t limit = h->ram_bytes ? h->ram_bytes / CONNTRACK_SHARE / CONNTRACK_BYTES
				      : CONNTRACK_LIMIT;
	uint64_t target = now;

	limit = MIN(power_of_two_in(limit), CONNTRACK_LIMIT);
	if (h->conntrack_failed)
		target = MAX(target, MIN(limit, CONNTRACK_ROOM));
	while (target && h->conntrack_count > target / 10 * 9 && target <= limit / 2)
		target *= 2;
	return target;
}

void plan_conntrack(struct planner *p)
{
	const struct host *h = p->host;
	struct item *item = plan_sysctl(p, FORM_NUMBERS, SYSCTL_CONNTRACK_MAX);
	g_autofree char *wanted = NULL;
	uint64_t now, target;
	bool full;

	if (!item_number(item, &now))
		return;
	target = conntrack_target(h, now);
	full = now && h->conntrack_count > now / 10 * 9;
	wanted = g_strdup_printf("%" G_GUINT64_FORMAT, target);
	if (target > now)
		item_want(item, wanted,
			full ? "the table of connections is nearly full, and then refuses new ones"
			     : "the table of connections has refused new ones");
	else if (full)
		item_leave(item, "nearly full, and more would take too much of the memory");
	else
		item_leave(item, "there is room for connections");
	if (full && target == now)
		plan_warn(p,
			"the table of connections is nearly full (%" G_GUINT64_FORMAT
			" of %" G_GUINT64_FORMAT "), and this host has no memory for more",
			h->conntrack_count, now);
}
