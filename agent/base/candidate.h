/* agent/base/candidate.h - where a peer may be reached, as ICE agents tell each other. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum {
	CANDIDATE_FOUNDATION_MAX = 32,
	CANDIDATE_UFRAG_MAX = 256,
	CANDIDATE_ID_MAX = 64,
	CANDIDATE_LINE_MAX = 1024, /* with its end */
};

enum candidate_type { CANDIDATE_HOST, CANDIDATE_SRFLX, CANDIDATE_PRFLX, CANDIDATE_RELAY };

/* Component 1 of UDP. */
struct candidate {
	char foundation[CANDIDATE_FOUNDATION_MAX + 1];
	enum candidate_type type;
	uint32_t priority;
	struct endpoint address;
	struct endpoint
		related; /* family 0: none; its address may be all zeros or of the other family */
	char ufrag[CANDIDATE_UFRAG_MAX + 1]; /* of the sender; "" not said */
	char id[CANDIDATE_ID_MAX + 1]; /* the extension "cid"; "" not said */
};

const char *candidate_type_name(enum candidate_type type); /* "host", "srflx", "prflx", "relay" */

/* "FOUNDATION 1 udp PRIORITY ADDRESS PORT typ TYPE [raddr ADDRESS rport PORT] [KEY VALUE]...", with or
 * without "candidate:" in front. Whether anything should be sent to that address is not looked at. 0;
 * -EINVAL: no such line; -ENOTSUP: a good one of no use: TCP, another component, a name of mDNS. */
int candidate_parse(const char *line, size_t len, struct candidate *ret);
/* As the other side's parser wants it, without "candidate:". */
const char *candidate_format(const struct candidate *c, char buf[static CANDIDATE_LINE_MAX]);
