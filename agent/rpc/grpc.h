/* agent/rpc/grpc.h - a gRPC client: unary calls and streams on one HTTP/2 connection, in the loop.
 *
 * HTTP/2 is nghttp2's, the bytes below it come from agent/rpc/stream.h. A channel connects when there
 * is a call to make, and again for the next call after it was lost; it never retries a call. A server
 * that hangs or is cut off is noticed while a call is open, within ping_s + ping_timeout_ms. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/rpc/stream.h"

struct grpc_channel;
struct grpc_call;

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

enum {
	GRPC_MESSAGE_MAX = 16 * 1024 * 1024,
	GRPC_TEXT_MAX = 256, /* of a server's words */
	GRPC_QUEUE_MAX = 1024 * 1024, /* bytes of a call that wait to be sent */
};

/* How a call ended. `text` is the server's or ours: printable ASCII and UTF-8, no control characters. */
struct grpc_result {
	enum grpc_status status;
	enum stream_failure failure; /* not STREAM_OK: it is the connection that failed */
	char text[GRPC_TEXT_MAX];
};

/* Copied. Zero numbers mean the defaults. */
struct grpc_channel_options {
	struct stream_options stream; /* alpn is set here */
	const char *user_agent;
	size_t max_message; /* default GRPC_MESSAGE_MAX; also after inflating */
	/* Silence after which we ask, while a call is open; default 15, and servers take more often for an
	 * attack. Doubled each time that one says so. */
	unsigned ping_s;
	unsigned ping_timeout_ms; /* default 10000 */
};

struct grpc_callbacks {
	/* The response's headers and trailers, names in lower case. May be NULL. */
	void (*metadata)(struct grpc_call *call, const char *name, const char *value, bool trailer,
		void *user);
	/* All headers of the response came, trailers or a message are still to come. May be NULL. */
	void (*headers)(struct grpc_call *call, void *user);
	/* Borrowed until it returns, or until grpc_drop_message. The call may be cancelled from here. */
	void (*message)(struct grpc_call *call, const uint8_t *data, size_t len, void *user);
	/* The queue has room again after grpc_send said -ENOBUFS. May be NULL. */
	void (*writable)(struct grpc_call *call, void *user);
	/* Exactly once, last, never from inside of a call of ours; the call is freed after it. Not after
	 * grpc_cancel or grpc_channel_free. */
	void (*done)(struct grpc_call *call, const struct grpc_result *result, void *user);
};

struct grpc_channel *grpc_channel_new(const struct grpc_channel_options *options);
/* Drops every call without another word. NULL is fine. Also from a callback. */
void grpc_channel_free(struct grpc_channel *channel);
/* Is there a connection now, with a server that speaks HTTP/2? */
bool grpc_channel_is_connected(const struct grpc_channel *channel);
/* Where it is, or was last, connected to; "" never. */
const char *grpc_channel_address(const struct grpc_channel *channel);

/* Silence after which it asks now: for the next channel to a server that was asked too often. */
unsigned grpc_channel_ping_s(const struct grpc_channel *channel);

/* `path` is "/package.Service/Method"; `metadata` is a NULL-terminated list of name, value, ..., or NULL;
 * names in lower case, values of names in "-bin" are base64 already. deadline_ms 0: none. Bytes are
 * copied. A call that ends well has got exactly one message. */
struct grpc_call *grpc_unary(struct grpc_channel *channel, const char *path, const void *message,
	size_t len, unsigned deadline_ms, const char *const metadata[],
	const struct grpc_callbacks *callbacks, void *user);
/* A stream that is open towards the server until grpc_half_close; a server stream is one grpc_send and
 * a grpc_half_close. */
struct grpc_call *grpc_stream(struct grpc_channel *channel, const char *path, unsigned deadline_ms,
	const char *const metadata[], const struct grpc_callbacks *callbacks, void *user);
/* From message(), when its bytes are not needed any more but there is much to do: a large one is freed. */
void grpc_drop_message(struct grpc_call *call);
/* 0; -ENOBUFS: the queue is full (an empty one takes a message of any size); -EPIPE: half-closed or
 * ended. */
int grpc_send(struct grpc_call *call, const void *message, size_t len);
void grpc_half_close(struct grpc_call *call);
/* Ends it without done(); the server hears of it in this turn of the loop. The pointer is dead. */
void grpc_cancel(struct grpc_call *call);
