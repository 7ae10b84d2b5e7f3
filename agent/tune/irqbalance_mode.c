/* agent/tune/irqbalance_mode.c - what may become of irqbalance, by name. */
#include "agent/tune/plan.h"

const char *const irqbalance_mode_names[] = {
	[IRQBALANCE_BAN] = "ban",
	[IRQBALANCE_STOP] = "stop",
	[IRQBALANCE_KEEP] = "keep",
	NULL,
};
