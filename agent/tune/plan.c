/* agent/tune/plan.c - all knobs of a host, one after the other. */
#include "agent/tune/plan.h"

#include <string.h>

#include "agent/tune/plan_impl.h"

static void (*const planners[KNOBS])(struct planner *p) = {
	[KNOB_CHANNELS] = plan_channels,
	[KNOB_RINGS] = plan_rings,
	[KNOB_IRQBALANCE] = plan_irqbalance,
	[KNOB_IRQ] = plan_irq,
	[KNOB_BACKLOG] = plan_queueing,
	[KNOB_BUDGET] = plan_queueing,
	[KNOB_BUDGET_USECS] = plan_queueing,
	[KNOB_RPS] = plan_rps,
	[KNOB_RFS] = plan_rfs,
	[KNOB_XPS] = plan_xps,
	[KNOB_FLOW_HASH] = plan_flow_hash,
	[KNOB_RSS] = plan_rss,
	[KNOB_RMEM] = plan_buffers,
	[KNOB_WMEM] = plan_buffers,
	[KNOB_TCP_RMEM] = plan_buffers,
	[KNOB_TCP_WMEM] = plan_buffers,
	[KNOB_CONGESTION] = plan_congestion,
	[KNOB_QDISC] = plan_qdisc,
	[KNOB_MTU] = plan_mtu,
	[KNOB_GRO] = plan_gro,
	[KNOB_THREADED] = plan_threaded,
	[KNOB_CONNTRACK] = plan_conntrack,
};

static void item_free(gpointer data)
{
	struct item *item = data;

	g_free(item->object);
	g_free(item->device);
	g_free(item->path);
	g_free(item->current);
	g_free(item->wanted);
	g_free(item->reason);
	g_free(item);
}

/* Its interrupts have to be left alone, so irqbalance goes with a device. */
static bool is_of(const struct planner *p, const struct item *item, const char *device)
{
	if (item->where == ITEM_IRQBALANCE)
		for (unsigned i = 0; i < p->host->nics->len; i++)
			if (!strcmp(nic_at(p->host, i)->name, device))
				return true;
	return item->device && !strcmp(item->device, device);
}

static void keep_only_of(struct planner *p, const char *device)
{
	for (unsigned i = p->plan->items->len; i-- > 0;)
		if (!is_of(p, p->plan->items->pdata[i], device))
			g_ptr_array_remove_index(p->plan->items, i);
}

struct plan *plan_make(const struct host *host, const struct plan_options *options)
{
	struct plan *plan = g_new0(struct plan, 1);
	struct planner p = { .host = host, .options = options, .plan = plan };

	plan->items = g_ptr_array_new_with_free_func(item_free);
	plan->warnings = g_ptr_array_new_with_free_func(g_free);
	p.n_usable = cpuset_count(&host->usable);
	plan_role(&p);
	for (unsigned i = 0; i < KNOBS; i++) {
		p.knob = (enum knob)i;
		if (options->only & ~options->skip & UINT32_C(1) << i)
			planners[i](&p);
	}
	if (options->device)
		keep_only_of(&p, options->device);
	return plan;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	g_ptr_array_unref(plan->items);
	g_ptr_array_unref(plan->warnings);
	g_free(plan->role_reason);
	g_free(plan);
}

unsigned plan_pending(const struct plan *plan, bool disruptive)
{
	unsigned n = 0;

	for (unsigned i = 0; i < plan->items->len; i++) {
		const struct item *item = plan->items->pdata[i];

		n += item->state == ITEM_DIFFERS && (disruptive || !item->disruptive);
	}
	return n;
}

const char *plan_role_name(enum plan_role role)
{
	static const char *const names[] = {
		[ROLE_NONE] = "none",
		[ROLE_FEW_PEERS] = "few_peers",
		[ROLE_MANY_PEERS] = "many_peers",
	};

	return names[role];
}

const char *item_state_name(enum item_state state)
{
	static const char *const names[] = {
		[ITEM_OK] = "ok",
		[ITEM_DIFFERS] = "differs",
		[ITEM_UNSUPPORTED] = "unsupported",
		[ITEM_UNREADABLE] = "unreadable",
	};

	return names[state];
}
