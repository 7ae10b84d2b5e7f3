/* agent/tune/irqbalance.h - talks to irqbalance, or has systemd stop it. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/host.h"

/* A made-up host says what irqbalance does there in its file ROOT/irqbalance: "socket 35 36", "deaf", or
 * "stopped" before either. Banning, stopping and starting write it; no file: it does not run. */

/* Bytes that a list of interrupts may have, each with a space before it: those before 1.9.5 read no more. */
enum { IRQBALANCE_LIST_MAX = 500 - sizeof("settings ban irqs") + 1 };

/* Does it run, and what does it leave alone? `banned`: unsigned, emptied first. Who may not ask it is told
 * that it can be told, and an empty list. */
enum host_irqbalance irqbalance_look(const struct tree *tree, GArray *banned);
/* Tells it the whole list of interrupts to leave alone, and asks it whether it has got that. 0 or -errno;
 * -E2BIG: the list is too long for it, and it has its old one again; -ENOENT: it does not run. */
int irqbalance_ban(struct tree *tree, const GArray *irqs);
/* Stops or starts its unit through systemd's D-Bus, and waits until it is done; libsystemd is loaded only
 * for that. -EOPNOTSUPP: there is no systemd to ask; -ENOENT: it has no such unit. */
int irqbalance_stop(struct tree *tree);
int irqbalance_start(struct tree *tree);

/* Pure: the interrupts in its answer to "setup". -EBADMSG: it is none. */
int irqbalance_parse(const char *answer, GArray *banned);
