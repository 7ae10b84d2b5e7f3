/* agent/tune/plan_impl.h - inside of plan*.c. */
#pragma once

#include "agent/tune/plan.h"

enum { PACKET_BYTES = 2304 }; /* a full packet in memory, with what the kernel keeps of it */

struct planner {
	const struct host *host;
	const struct plan_options *options;
	struct plan *plan;
	enum knob knob; /* whose turn it is */
	unsigned n_usable; /* CPUs */
};

/* A new item of the plan, of this device (NULL: of the host), as it is now: nothing to do, or no such
 * thing, or not readable. Object and path are taken over. */
struct item *plan_file(struct planner *p, enum item_form form, const char *device,
	const struct host_value *now, char *take_object, char *take_path);
struct item *plan_sysctl(struct planner *p, enum item_form form, enum host_sysctl sysctl);
/* `suffix` of the object: "udp4"; NULL: it is just the device. */
struct item *plan_attr(
	struct planner *p, const struct host_nic *nic, enum nic_attr attr, const char *suffix);

/* What becomes of it, and why. An item without a current value stays as it is. */
void item_want(struct item *item, const char *wanted, const char *reason, ...) G_GNUC_PRINTF(3, 4);
void item_leave(struct item *item, const char *reason, ...) G_GNUC_PRINTF(2, 3);
/* There is nothing to recommend. */
void item_refuse(struct item *item, const char *reason, ...) G_GNUC_PRINTF(2, 3);
/* Numbers, separated by spaces: each of them at least as in `target`; with `force` exactly. */
void item_raise(struct planner *p, struct item *item, const char *target, const char *reason, ...)
	G_GNUC_PRINTF(4, 5);
/* The current value as a number. Where there is none there is nothing to decide. */
bool item_number(struct item *item, uint64_t *ret);
void plan_warn(struct planner *p, const char *warning, ...) G_GNUC_PRINTF(2, 3);

/* The only number in the text. */
bool number_parse(const char *text, uint64_t *ret);
/* The largest power of two that is not larger; 0 of 0. */
uint64_t power_of_two_in(uint64_t n);
static inline const struct host_nic *nic_at(const struct host *host, unsigned i)
{
	return host->nics->pdata[i];
}

/* One for each knob; those of the same shape share one. */
void plan_channels(struct planner *p);
void plan_rings(struct planner *p);
void plan_flow_hash(struct planner *p);
void plan_rss(struct planner *p);
void plan_gro(struct planner *p);
void plan_qdisc(struct planner *p);
void plan_irqbalance(struct planner *p);
void plan_irq(struct planner *p);
void plan_rps(struct planner *p);
void plan_rfs(struct planner *p);
void plan_xps(struct planner *p);
void plan_queueing(struct planner *p); /* backlog and budget */
void plan_buffers(struct planner *p);
void plan_congestion(struct planner *p);
void plan_conntrack(struct planner *p);
void plan_mtu(struct planner *p);
void plan_threaded(struct planner *p);
/* Where packets are steered. */
void plan_role(struct planner *p);
