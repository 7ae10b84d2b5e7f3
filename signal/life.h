/* signal/life.h - when to be connected to a signal server, and whether the connection lives. Pure: events
 * in, actions out, clock given.
 *
 * A stream on which nothing comes says nothing about itself, so after a silence we send a message to
 * ourselves and wait for it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/rpc/grpc.h"

enum {
	LIFE_CONNECT_MS = 30 *
		1000, /* the whole way, to the server's word that we are registered */
	LIFE_SILENCE_MS = 30 * 1000, /* then we ask, */
	LIFE_PROBE_MS = 10 * 1000, /* and give up when nothing came for so long, */
	LIFE_DOUBT_MS = 3 * 1000, /* or for so long, when there is reason to doubt */
	LIFE_STEADY_MS = 15 *
		1000, /* a stream that was well for so long: small delays again. Not after
				     * every one, as two hosts with one key take it from each other. */
	LIFE_SPACING_MS = 5 * 1000, /* between tries, however often somebody asks for one */
	LIFE_ERROR_MAX = 256,
	LIFE_NEVER = -1,
};

enum signal_state {
	SIGNAL_STOPPED,
	SIGNAL_CONNECTING,
	SIGNAL_CONNECTED, /* registered: what others send comes, and what we send goes out */
	SIGNAL_WAITING, /* something failed, the next try is at `next_ms` */
};

/* Why it is not connected. */
enum signal_failure {
	SIGNAL_WELL,
	SIGNAL_UNREACHABLE, /* name, connection, timeout, unavailable */
	SIGNAL_TLS,
	SIGNAL_REFUSED, /* any other answer of the server */
	SIGNAL_PROTOCOL, /* it is no signal server */
	SIGNAL_STALLED, /* the connection stood and brought nothing */
};

/* To be done in this order. */
enum life_act {
	LIFE_CLOSE = 1, /* drop the connection and with it every call */
	LIFE_OPEN = 2, /* a new one, and the stream */
	LIFE_PROBE = 4, /* send ourselves a heartbeat */
	LIFE_REPORT = 8, /* the view says something new */
};

struct life_view {
	enum signal_state state;
	enum signal_failure failure;
	char error[LIFE_ERROR_MAX]; /* one line; "" when it is well */
	int64_t since_ms; /* it is connected; it is not; it is stopped */
	int64_t next_ms; /* SIGNAL_WAITING */
	int64_t message_ms; /* the last one; 0: none */
	uint64_t attempts, connects, failures; /* the last two: how they ended */
};

struct life;

/* `seed` is that of the jitter. */
struct life *life_new(uint64_t seed);
void life_free(struct life *life); /* NULL is fine */

/* -- events --------------------------------------------------------------------------------- */

void life_start(struct life *life, int64_t now_ms);
void life_stop(struct life *life, int64_t now_ms);
/* Try now, if we wait. */
void life_retry(struct life *life, int64_t now_ms);
/* This host may be elsewhere now: is the connection still good? */
void life_doubt(struct life *life, int64_t now_ms);
/* The headers of the stream came; `registered`: the server says that we are. */
void life_headers(struct life *life, bool registered, int64_t now_ms);
/* A message came, whatever it is. */
void life_heard(struct life *life, int64_t now_ms);
void life_ended(struct life *life, const struct grpc_result *result, int64_t now_ms);
/* Time passes. Returns when to be called again, or LIFE_NEVER. */
int64_t life_tick(struct life *life, int64_t now_ms);

/* -- what follows --------------------------------------------------------------------------- */

/* Takes what is to be done: bits of enum life_act. */
unsigned life_take(struct life *life);
void life_get_view(const struct life *life, struct life_view *ret);
const char *signal_state_name(enum signal_state state);
const char *signal_failure_name(enum signal_failure failure);
