/* ice/candidate.h - ICE candidates: lines as the signal server carries them, and which of them we use. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum candidate_type { CANDIDATE_HOST, CANDIDATE_SRFLX, CANDIDATE_PRFLX, CANDIDATE_RELAY };

enum {
	CANDIDATE_LINE_MAX = 512,
	CANDIDATE_FOUNDATION_MAX = 32,
	CANDIDATE_UFRAG_MAX = 256,
	CANDIDATE_ID_LEN = 32,
};

struct candidate {
	enum candidate_type type;
	bool tcp;
	uint32_t component, priority;
	struct endpoint at; /* its port may be 0 */
	struct endpoint related; /* family 0: none; a name there is 0.0.0.0 */
	char foundation[CANDIDATE_FOUNDATION_MAX + 1];
	/* Extensions; empty: not there. */
	char ufrag[CANDIDATE_UFRAG_MAX + 1];
	char id[CANDIDATE_ID_LEN + 1]; /* "cid" */
};

const char *candidate_type_name(enum candidate_type type); /* "host", "srflx", "prflx", "relay" */

/* A line without "a=", with or without "candidate:". 0; -EADDRNOTAVAIL: its address is a name; -EINVAL: it is
 * none, or longer than CANDIDATE_LINE_MAX. */
int candidate_parse(const char *line, size_t len, struct candidate *ret);
const char *candidate_format(const struct candidate *c, char buf[static CANDIDATE_LINE_MAX]);

/* Sets component, priority, foundation and a new random id, from type and address. */
void candidate_complete(struct candidate *c);
/* `len` random letters and a terminator: for ufrags, passwords and ids. */
void candidate_random_text(char *ret, size_t len);

/* Why nothing may ever be sent to this candidate of somebody else, in a few words; NULL: it may. What lies in the
 * networks `overlay` is reached through tunnels only. */
const char *candidate_refusal(
	const struct candidate *c, const struct prefix *overlay, size_t n_overlay);
/* The remote's router may lead its WireGuard port to it although its NAT changes ports: a second candidate, which
 * the sender leaves to us to make. False: there is none. */
bool candidate_make_extra(const struct candidate *c, struct candidate *ret);
