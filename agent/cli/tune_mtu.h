/* agent/cli/tune_mtu.h - what lapwing tune mtu has found. */
#pragma once

#include <glib.h>

#include "agent/cli/tune_options.h"
#include "agent/cli/tune_peers.h"
#include "agent/tune/pathmtu.h"

struct tune_paths {
	const struct tune_options *o;
	struct tune_peers peers;
	GPtrArray *asked; /* const struct tune_peer */
	struct pathmtu_target *targets; /* of each of those */
	uint32_t best; /* what fits everywhere; 0: unknown */
	bool changed; /* the interface has it now */
	struct failure failure;
};

/* A table for people; a document for programs. */
void tune_paths_print(const struct tune_paths *m);
void tune_paths_write(const struct tune_paths *m);
