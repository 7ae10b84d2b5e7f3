/* agent/tune/apply.h - writes what a plan wants, checks it later, and takes it back. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "agent/tune/host.h"
#include "agent/tune/journal.h"
#include "agent/tune/plan.h"

/* A host at work: all handles that reading and writing need. With `check` apply and revert change nothing, and tell what they
 * would change. */
struct tuner {
	struct tree *tree;
	struct nics *nics;
	bool check;
};

int tuner_open(const char *root, struct tuner *ret);
void tuner_close(struct tuner *t);

enum outcome_result {
	OUTCOME_ALREADY, /* was as wanted */
	OUTCOME_CHANGED,
	OUTCOME_SKIPPED, /* would be disruptive, is managed, is gone: `reason` */
	OUTCOME_FAILED, /* -errno in `error` */
	OUTCOME_DRIFTED, /* verify: is not what was applied; revert: somebody changed it since, left */
	OUTCOME_GONE, /* the device, or the value went with a restart: nothing to put back */
};

/* What became of one setting. */
struct outcome {
	enum knob knob;
	enum outcome_result result;
	int error;
	char *object, *device;
	char *before, *after; /* `after`: or what was wanted; verify: expected, actual */
	char *reason; /* NULL: nothing to say */
	char *managed_by; /* OUTCOME_DRIFTED: who else is known to set it; NULL: nobody */
};

struct outcomes {
	GPtrArray *list; /* struct outcome */
	unsigned changed, failed, drifted, skipped, gone;
};

void outcomes_clear(struct outcomes *o);
const char *outcome_name(enum outcome_result result);

struct apply_options {
	struct plan_options plan;
	struct host_wish wish;
	bool disruptive, rollback_on_error;
};

/* Reads one setting as it is now. *ret is fresh. */
int item_read(struct tuner *t, const struct item *item, char **ret);
int item_write(struct tuner *t, const struct item *item, const char *value);

/* Scans, plans, saves the originals, writes, reads back. A setting that is refused does not stop the
 * rest. 0, or -errno when nothing was done: -EROFS, -EPERM, -ENODEV, -EBADMSG (a damaged journal); `error`
 * says it in words. */
int tune_apply(struct tuner *t, const struct apply_options *options, struct outcomes *ret,
	char error[static 256]);
/* Takes back what one run of tune_apply has changed, to what was there before that run. `earlier`: the journal
 * before it, whose entries the journal has again. What somebody has changed since is left. */
int tune_undo(struct tuner *t, struct journal *earlier, const struct outcomes *applied,
	char error[static 256]);
/* What the journal says that we wrote against what is there; each drifted one with who else manages it. */
int tune_verify(struct tuner *t, struct outcomes *ret, char error[static 256]);
/* Puts the originals back where our value still stands; with `force` everywhere. Only the knobs of the
 * set. The journal keeps what could not be put back. */
int tune_revert(
	struct tuner *t, uint32_t knobs, bool force, struct outcomes *ret, char error[static 256]);

/* Who else is known to manage this setting: "tuned (profile x)", "/etc/sysctl.d/50-x.conf", ... Fresh text,
 * or NULL. */
char *managers_of(const struct tree *tree, const struct host *host, const struct item *item);
