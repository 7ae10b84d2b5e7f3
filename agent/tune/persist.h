/* agent/tune/persist.h - what stays over a restart: a file in sysctl.d, and a unit that applies the rest. */
#pragma once

#include <stdbool.h>

#include "agent/tune/plan.h"

#define PERSIST_SYSCTL_PATH "/etc/sysctl.d/90-lapwing.conf"
#define PERSIST_OPTIONS_PATH "/var/lib/lapwing-tune/options.json"
#define PERSIST_UNIT "lapwing-tune.service"

/* What `tune apply` is to do at a start; texts are owned. */
struct persist_options {
	uint32_t only, skip;
	enum irqbalance_mode irqbalance;
	bool force, disruptive;
	char *underlay, *iface; /* NULL: find it */
};

/* Writes all three (the unit is enabled by its symbolic link); what is there already is left as it is. Of
 * the plan's settings, those that the journal says we wrote go into sysctl.d: what the operator has set
 * stays where he keeps it. *ret_changed: something was, or with `check`, which only looks, would be. 0 or -errno;
 * `error` says it in words. */
int persist_write(const char *root, const struct plan *plan, const struct persist_options *options,
	bool check, bool *ret_changed, char error[static 256]);
/* Removes what persist_write made. */
int persist_remove(const char *root, bool check, bool *ret_changed, char error[static 256]);
/* -ENOENT: nothing persists. -EBADMSG: the file is damaged. */
int persist_load(const char *root, struct persist_options *ret, char error[static 256]);
void persist_options_clear(struct persist_options *options);
