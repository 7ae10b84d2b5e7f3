/* agent/rpc/grpc_impl.h - channel, connections and calls; for grpc.c, call.c and http2*.c only.
 *
 * Callbacks of the user run between channel_enter and channel_leave. What is freed meanwhile is only
 * marked and taken off its lists; channel_leave frees it when nothing on the stack knows it any more. */
#pragma once

#include <glib.h>
#include <nghttp2/nghttp2.h>

#include "agent/rpc/frame.h"
#include "agent/rpc/grpc.h"
#include "agent/rpc/reply.h"

enum { NEVER = -1 };

struct connection {
	struct grpc_channel *channel;
	struct stream *stream;
	nghttp2_session *h2; /* NULL: still connecting */
	GQueue calls; /* on it, by their `link` */
	GHashTable *by_id; /* those that were submitted, by the number of their stream */
	bool proven; /* the server's SETTINGS came */
	bool draining; /* takes no new calls */
	bool mute; /* writing failed: what the server said before is still read */
	bool closed; /* nothing is left of it but the memory */
	GByteArray *out; /* bytes of HTTP/2 that wait for the socket; NULL: none */
	size_t out_at;
	int64_t heard_us; /* the last byte, or the first call after a rest */
	int64_t ping_us; /* 0: no PING is out */
	size_t block_bytes; /* of the block of headers that comes in */
	unsigned block_frames;
	int64_t flood_us; /* when the counting began */
	uint64_t flood, flood_max; /* frames that carry nothing; what our own calls may explain */
	char words[STREAM_ERROR_MAX]; /* of GOAWAY, or of nghttp2 about a broken protocol */
};

struct grpc_call {
	struct grpc_channel *channel;
	struct connection *connection; /* NULL: it is over */
	GList link; /* in the connection's calls, then in the channel's ended ones */
	const struct grpc_callbacks *callbacks;
	void *user;
	GPtrArray *headers; /* names and values, till they are sent */
	int32_t id; /* of the HTTP/2 stream; 0: none yet */
	int64_t deadline_us; /* NEVER: none */
	GByteArray *queue; /* messages that wait to be sent */
	size_t queue_at;
	size_t wants_room; /* for a message that did not fit; 0: none waits */
	bool unary, half_closed, told;
	unsigned messages;
	struct frame_reader reader;
	struct reply reply;
	struct grpc_result result;
};

struct grpc_channel {
	GSource source; /* GLib owns the memory */
	struct stream_options stream; /* its texts are ours */
	char *user_agent;
	size_t max_message;
	int64_t ping_us, ping_timeout_us; /* intervals */
	struct connection *active; /* NULL: none */
	GQueue connections; /* all of them, the active one too */
	GQueue ended; /* calls that owe done() */
	GPtrArray *dead_calls, *dead_connections; /* freed when the depth is 0 */
	int64_t next_us; /* something is due then, or later; NEVER: nothing */
	bool work; /* output or done() for the next turn */
	unsigned depth;
	bool freed;
	char address[64];
};

/* -- grpc.c --------------------------------------------------------------------------------- */

void channel_enter(struct grpc_channel *channel);
/* Runs what is due: output, then done(). */
void channel_leave(struct grpc_channel *channel);
/* There is something to do at that time. */
void channel_plan(struct grpc_channel *channel, int64_t at_us);
/* Frees what was marked, if nobody on the stack may know it. */
void channel_bury(struct grpc_channel *channel);

/* -- call.c --------------------------------------------------------------------------------- */

/* The connection is there: hands its headers to nghttp2. */
void call_submit(struct grpc_call *call);
/* Both end it: done() will follow. The server hears of it, or is lost (UNAVAILABLE). */
void call_fail(struct grpc_call *call, enum grpc_status status, const char *text);
void call_lose(struct grpc_call *call, enum stream_failure failure, const char *text);
void call_drop(struct grpc_call *call); /* without done() */
void call_free(struct grpc_call *call);
/* What nghttp2 reports of its stream; of the first three the user may hear. */
void call_got_header(struct grpc_call *call, const char *name, const char *value, bool trailer);
void call_got_data(struct grpc_call *call, const uint8_t *data, size_t len);
void call_got_headers(struct grpc_call *call); /* a block is complete */
void call_got_end(struct grpc_call *call);
void call_was_reset(struct grpc_call *call, uint32_t code);
/* There is room again that the user waits for. */
bool call_has_room(const struct grpc_call *call);
void call_tell_room(struct grpc_call *call);

/* -- http2.c -------------------------------------------------------------------------------- */

struct connection *connection_open(struct grpc_channel *channel);
/* The call of a stream; NULL: it has ended for us. */
struct grpc_call *connection_find(const struct connection *c, int32_t id);
/* Takes no new calls from now on. */
void connection_drain(struct connection *c);
/* Ends its calls: it was lost. */
void connection_fail(struct connection *c, enum stream_failure failure, const char *why);
/* Closes it, without a word to anybody. */
void connection_close(struct connection *c);
void connection_free(struct connection *c);
/* Sends what can be sent; it may fail, or be closed because it is not needed any more. */
void connection_flush(struct connection *c);
/* Silence begins to count, and PING to be planned, with the first call. */
void connection_watch(struct connection *c);
/* PING and its timeout, deadlines of calls. */
void connection_tick(struct connection *c, int64_t now_us);

/* -- http2_frames.c ------------------------------------------------------------------------- */

/* With our SETTINGS and windows submitted. */
nghttp2_session *http2_session_new(struct connection *c);
