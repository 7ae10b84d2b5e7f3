/* agent/cli/apply.h - what plan and apply know: what is wanted, what is there, and what they make of it. */
#pragma once

#include "agent/cli/output.h"
#include "agent/cli/wanted.h"

/* What a file needs. */
enum apply_action { APPLY_NONE, APPLY_CREATE, APPLY_REPLACE };

struct apply {
	const struct options *o;
	bool dry_run, diff;
	const char *from; /* the name of the document */
	char *config_path;
	struct wanted wanted;
	json_t *status; /* of the daemon; NULL: it does not run */
	json_t *config; /* that is there; NULL: none, or it is no JSON */
	struct netmap *map; /* that is there; NULL: none, or it is not valid */
	enum apply_action config_action, mesh_action;
	bool reload; /* the daemon has to read both again */
	json_t *difference; /* of the meshes; NULL: not known */
	json_t *reply; /* of the daemon that has read them again; NULL: it did not */
};

/* apply_compare.c: looks at what is there. */
enum exit_code apply_compare(struct apply *a, struct failure *f);
/* apply_show.c */
void apply_show(const struct apply *a);
bool apply_changes(const struct apply *a);
/* The state of the daemon, after that where something was done. */
const char *apply_state(const struct apply *a);
