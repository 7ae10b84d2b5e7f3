/* agent/tune/plan.h - from what a host is to what each of its settings should be. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/host.h"
#include "agent/tune/knob.h"

enum item_state {
	ITEM_OK,
	ITEM_DIFFERS,
	ITEM_UNSUPPORTED, /* no such thing here; or it is better left alone: the reason says so */
	ITEM_UNREADABLE,
};

enum item_where {
	ITEM_FILE,
	ITEM_NIC,
	ITEM_IRQBALANCE, /* "stopped", or "running" and the interrupts that it leaves alone: "running 35 36" */
};

/* How two values are compared. */
enum item_form { FORM_TEXT, FORM_NUMBERS, FORM_MASK };

/* One setting of one thing. */
struct item {
	enum knob knob;
	enum item_state state;
	enum item_where where;
	enum item_form form;
	enum nic_attr attr; /* ITEM_NIC */
	bool disruptive; /* writing it resets a link in use */
	bool sysctl; /* a file in sysctl.d can keep it */
	int error; /* ITEM_UNREADABLE: -errno */
	int queue; /* which queue's interrupt; -1: none */
	char *object; /* "net.core.rmem_max", "eth0 rx-3", "irq 35 (virtio2-input.0)", "eth0" */
	char *device; /* NULL: of the whole host */
	char *path; /* ITEM_FILE */
	/* NULL: none. What is right as it is, is wanted so. Of irqbalance: "stopped", or "running" and the
	 * interrupts that it leaves alone, by rising number. */
	char *current, *wanted;
	char *reason; /* why this value, in one sentence */
};

enum irqbalance_mode { IRQBALANCE_BAN, IRQBALANCE_STOP, IRQBALANCE_KEEP };
/* "ban", "stop", "keep"; ends with NULL. */
extern const char *const irqbalance_mode_names[];

struct plan_options {
	uint32_t only, skip; /* bits of knobs */
	const char *device; /* NULL: items of every device, and of the host */
	enum irqbalance_mode irqbalance;
	bool force; /* also lower what the operator has set higher */
};

enum plan_role { ROLE_NONE, ROLE_FEW_PEERS, ROLE_MANY_PEERS };

struct plan {
	GPtrArray *items; /* struct item, in the order of writing */
	enum plan_role role;
	char *role_reason; /* where steering goes, and why */
	/* What full queues of packets take, and the buffers of one socket and one TCP connection. How much
	 * all of them may take is up to tcp_mem and udp_mem, which stay as they are. */
	uint64_t worst_case_bytes;
	GPtrArray *warnings; /* text */
};

struct plan *plan_make(const struct host *host, const struct plan_options *options);
void plan_free(struct plan *plan);
/* Does this release of Linux switch threaded NAPI on for WireGuard, and stall with it (CVE-2026-52945)? */
bool plan_kernel_stalls(const char *release);
/* How many items differ; disruptive ones only with `disruptive`. */
unsigned plan_pending(const struct plan *plan, bool disruptive);
/* The same value, however it is written. */
bool item_is_equal(enum item_form form, const char *a, const char *b);
/* "few_peers" ... */
const char *plan_role_name(enum plan_role role);
const char *item_state_name(enum item_state state);
