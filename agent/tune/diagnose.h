/* agent/tune/diagnose.h - what the difference of two samples says about where packets wait or get lost. Pure. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "agent/tune/host.h"
#include "agent/tune/knob.h"
#include "agent/tune/sample.h"

enum {
	/* Percent of a core's time. */
	DIAGNOSE_FULL = 85, /* as busy as this it has nothing left to give */
	DIAGNOSE_ROOM = 60, /* less busy, it could take over work; when no core is, tuning ends */
	DIAGNOSE_NOTABLE = 30, /* of softirq: worth a look at the interrupts */
	/* Percent of all interrupts, packets or entries. */
	DIAGNOSE_MOST = 80,
	DIAGNOSE_ALL = 95,
	/* Per second. */
	DIAGNOSE_LOAD_PACKETS = 500, /* fewer are no load */
	DIAGNOSE_IRQS = 20, /* a queue with fewer interrupts is idle */
	DIAGNOSE_SQUEEZES = 50, /* fewer are normal */
	/* Fewer drops, in all or for each 30 seconds, are normal. */
	DIAGNOSE_DROPS = 10,
	DIAGNOSE_DROPS_30S = 100,
	DIAGNOSE_SESSION_S = 180, /* a WireGuard session ends */
};

/* The strongest first. */
enum finding_kind {
	FINDING_USERSPACE, /* WireGuard is a program */
	FINDING_SOFTIRQ_CORE, /* one core is full of softirq, others have room */
	FINDING_NIC_DROPS,
	FINDING_BACKLOG_DROPS,
	FINDING_CONNTRACK,
	FINDING_TX_DROPS,
	FINDING_WIREGUARD_DROPS,
	FINDING_LIMIT, /* all cores are busy and nothing is lost */
	FINDING_ALL_BUSY, /* and something is */
	FINDING_SYS_CORE,
	FINDING_USER_CORE,
	FINDING_STEAL, /* of one core by the hypervisor */
	FINDING_IRQBALANCE, /* queues share a CPU, and irqbalance runs */
	FINDING_IRQ_PILE, /* queues share a CPU */
	FINDING_UDP_RECEIVE,
	FINDING_UDP_SEND,
	FINDING_RX_DROPS,
	FINDING_NONE, /* load, and nothing in its way */
	FINDING_SQUEEZED, /* softirq work is put off */
	FINDING_SILENT_PEERS,
	FINDING_IDLE, /* no load */
	FINDINGS
};

struct finding {
	enum finding_kind kind;
	int cpu; /* that it is about; -1: none */
	const char *section; /* of the guide */
	char *sentence;
	uint32_t knobs; /* to apply: bits */
};

/* Percent of a core's time. */
struct core_load {
	unsigned cpu;
	unsigned user, system, softirq, irq, other, idle, busy; /* busy: all but idle */
};

/* At least one struct finding, the strongest first: it is the verdict. `pending`: the knobs of which
 * applying would change something; others are not recommended. Free with g_ptr_array_unref. */
GPtrArray *diagnose(const struct host *host, const struct sample *difference, uint32_t pending);
struct core_load diagnose_core(const struct sample_cpu *difference);
/* "softirq_core" */
const char *finding_name(enum finding_kind kind);
