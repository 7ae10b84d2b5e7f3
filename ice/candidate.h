/* ice/candidate.h - ICE candidates: ours made complete, and which of those of others we use. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/candidate.h"

enum { CANDIDATE_ID_LEN = 32 };

/* Sets priority, foundation and a new random id, from type and address. */
void candidate_complete(struct candidate *c);

/* Why nothing may ever be sent to this candidate of somebody else, in a few words; NULL: it may. What lies in the
 * networks `overlay` is reached through tunnels only. */
const char *candidate_refusal(
	const struct candidate *c, const struct prefix *overlay, size_t n_overlay);
/* The remote's router may lead its WireGuard port to it although its NAT changes ports: a second candidate, which
 * the sender leaves to us to make. False: there is none. */
bool candidate_make_extra(const struct candidate *c, struct candidate *ret);
