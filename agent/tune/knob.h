/* agent/tune/knob.h - what can be tuned, in the order in which it is written. */
#pragma once

#include <stdint.h>

enum knob {
	KNOB_CHANNELS,
	KNOB_RINGS,
	KNOB_IRQBALANCE,
	KNOB_IRQ,
	KNOB_BACKLOG,
	KNOB_BUDGET,
	KNOB_BUDGET_USECS,
	KNOB_RPS,
	KNOB_RFS,
	KNOB_XPS,
	KNOB_FLOW_HASH,
	KNOB_RSS,
	KNOB_RMEM,
	KNOB_WMEM,
	KNOB_TCP_RMEM,
	KNOB_TCP_WMEM,
	KNOB_CONGESTION, /* BBR */
	KNOB_QDISC, /* fq: the default, and the underlay's */
	KNOB_MTU,
	KNOB_GRO,
	KNOB_THREADED,
	KNOB_CONNTRACK,
	KNOBS
};

#define KNOB_ALL ((UINT32_C(1) << KNOBS) - 1)

/* "channels", "rings", "irqbalance", "irq", "backlog", "budget", "budget-usecs", "rps", "rfs", "xps",
 * "flow-hash", "rss", "rmem", "wmem", "tcp-rmem", "tcp-wmem", "bbr", "fq", "mtu", "gro", "threaded",
 * "conntrack" */
const char *knob_name(enum knob knob);
/* One line: what it does. */
const char *knob_help(enum knob knob);
/* Of the field guide: "4.3"; "" for what it does not have. */
const char *knob_section(enum knob knob);
/* -1: unknown; *ret_nearest is then the nearest name. */
int knob_find(const char *name, const char **ret_nearest);
/* "irq,rps" to a set of bits. -EINVAL: `error` names the unknown one and the nearest. */
int knob_parse_list(const char *text, uint32_t *ret, char error[static 128]);
/* The nearest of `names` (ends with NULL) to `word`; for every kind of name. */
const char *nearest_name(const char *word, const char *const *names);
