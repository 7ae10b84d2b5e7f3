/* agent/tune/pathmtu.h - the largest packet that gets through to an address, by sending some. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"

enum {
	PATHMTU_MIN4 = 576, /* smaller ones are not looked for */
	PATHMTU_MIN6 = 1280,
	PATHMTU_MAX = 9216, /* nor larger ones */
	PATHMTU_OVERHEAD4 = 60, /* what WireGuard adds to a packet, outer headers included */
	PATHMTU_OVERHEAD6 = 80,
	PATHMTU_TRIES = 3, /* unanswered probes of one size: it does not get through */
};

/* -- the search; pure ------------------------------------------------------------------------ */

/* Between the largest size that was answered and the smallest that was not. */
struct pathmtu_search {
	uint32_t min;
	uint32_t low; /* 0: nothing was answered yet */
	uint32_t high;
};

void pathmtu_search_begin(struct pathmtu_search *s, bool ipv6);
/* The size to be tried next; 0: the search is over. The smallest comes first: without an answer to that
 * nothing is known. */
uint32_t pathmtu_search_next(const struct pathmtu_search *s);
void pathmtu_search_tell(struct pathmtu_search *s, uint32_t size, bool answered);

/* -- packets; pure --------------------------------------------------------------------------- */

/* All of a probe behind the IP header. `tag` comes back in the answer. */
void pathmtu_echo(uint8_t *ret, size_t len, bool ipv6, uint64_t tag);
bool pathmtu_is_echo_reply(const uint8_t *data, size_t len, bool ipv6, uint64_t *ret_tag);
/* A STUN binding request of exactly this length behind the UDP header, a multiple of four and at least
 * 28. */
void pathmtu_stun(uint8_t *ret, size_t len, uint64_t tag);
/* Whatever a STUN server answers, errors too: the request got through. */
bool pathmtu_is_stun_answer(const uint8_t *data, size_t len, uint64_t *ret_tag);

/* -- the run --------------------------------------------------------------------------------- */

enum pathmtu_method { PATHMTU_ECHO, PATHMTU_STUN, PATHMTU_METHODS };

struct pathmtu_target {
	struct endpoint to;
	uint32_t mtu; /* found; 0: unknown */
	enum pathmtu_method method; /* that answered */
};

/* Finds all of them, some dozens at the same time. Probes carry `mark`. Needs CAP_NET_RAW. 0 or -errno. */
int pathmtu_run(struct pathmtu_target *targets, size_t n, uint32_t mark);
/* The largest MTU inside of WireGuard; 0: unknown. */
uint32_t pathmtu_inner(const struct pathmtu_target *target);
const char *pathmtu_method_name(enum pathmtu_method method);
