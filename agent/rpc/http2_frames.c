/* agent/rpc/http2_frames.c - a session of nghttp2 with our limits, and what it reports. */
#include <string.h>

#include "agent/base/text.h"
#include "agent/rpc/grpc_impl.h"

enum {
	/* Promises, not memory: what comes is consumed at once. */
	STREAM_WINDOW = 8 * 1024 * 1024,
	CONNECTION_WINDOW = 16 * 1024 * 1024,
	BLOCK_FRAMES_MAX = 8, /* HEADERS and its CONTINUATIONs */
	FLOOD_MAX = 1000, /* frames that carry nothing, */
	FLOOD_US = 10 * 1000 * 1000, /* in this time */
	PING_MAX_S = 3600,
};

/* After callbacks of the user nothing may be left. */
static int outcome(const struct connection *c)
{
	return c->closed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int give_up(struct connection *c, const char *why)
{
	g_strlcpy(c->words, why, sizeof(c->words));
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* -- limits --------------------------------------------------------------------------------- */

static bool is_flooded(struct connection *c)
{
	if (c->heard_us - c->flood_us > FLOOD_US) {
		c->flood_us = c->heard_us;
		c->flood = c->flood_max = 0;
	}
	return ++c->flood > FLOOD_MAX + c->flood_max;
}

static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *user)
{
	struct connection *c = user;

	if (hd->type == NGHTTP2_DATA && hd->length > 0)
		return 0;
	if (is_flooded(c))
		return give_up(c, "too many frames that carry nothing");
	if (hd->type == NGHTTP2_HEADERS)
		c->block_bytes = c->block_frames = 0;
	if (hd->type != NGHTTP2_HEADERS && hd->type != NGHTTP2_CONTINUATION)
		return 0;
	c->block_bytes += hd->length;
	c->block_frames++;
	if (c->block_bytes > REPLY_HEADERS_MAX || c->block_frames > BLOCK_FRAMES_MAX)
		return give_up(c, "a block of headers is too large");
	return 0;
}

/* -- frames --------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
	struct grpc_call *call = connection_find(user, frame->hd.stream_id);

	if (call)
		reply_begin(&call->reply);
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct grpc_call *call = connection_find(user, frame->hd.stream_id);

	/* nghttp2 terminates both, and lets no NUL in. */
	if (call)
		call_got_header(call, (const char *)name, (const char *)value,
			frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	return outcome(user);
}

static int on_data(
	nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
	struct grpc_call *call = connection_find(user, id);

	if (call)
		call_got_data(call, data, len);
	return outcome(user);
}

static void on_goaway(struct connection *c, const nghttp2_goaway *frame)
{
	struct grpc_channel *channel = c->channel;
	char text[STREAM_ERROR_MAX];

	connection_drain(c);
	if (frame->error_code == NGHTTP2_ENHANCE_YOUR_CALM)
		channel->ping_us = MIN(channel->ping_us * 2, (int64_t)PING_MAX_S * G_USEC_PER_SEC);
	text_escape(text, sizeof(text), (const char *)frame->opaque_data, frame->opaque_data_len);
	g_snprintf(c->words, sizeof(c->words), "GOAWAY %s%s%s",
		nghttp2_http2_strerror(frame->error_code), text[0] ? ": " : "", text);
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user)
{
	struct connection *c = user;
	struct grpc_call *call = connection_find(user, frame->hd.stream_id);
	bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;

	if (frame->hd.type == NGHTTP2_SETTINGS && !ack)
		c->proven = true;
	else if (frame->hd.type == NGHTTP2_PING && ack)
		c->ping_us = 0;
	else if (frame->hd.type == NGHTTP2_GOAWAY)
		on_goaway(c, &frame->goaway);
	if (!call || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	/* The end of the server's side is the end of the call, whatever is still to be sent. */
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		call_got_end(call);
	else if (frame->hd.type == NGHTTP2_HEADERS)
		call_got_headers(call);
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user)
{
	struct grpc_call *call = connection_find(user, id);

	if (call)
		call_was_reset(call, code);
	return 0;
}

/* A request that waited for its turn (the server limits how many are open) when GOAWAY came. */
static int on_frame_not_send(nghttp2_session *h2, const nghttp2_frame *frame, int error, void *user)
{
	struct grpc_call *call = connection_find(user, frame->hd.stream_id);

	if (call && frame->hd.type == NGHTTP2_HEADERS)
		call_lose(call, STREAM_LOST, "the server takes no more calls");
	return 0;
}

static int on_error(nghttp2_session *h2, int code, const char *text, size_t len, void *user)
{
	struct connection *c = user;

	if (!c->words[0])
		text_escape(c->words, sizeof(c->words), text, len);
	return 0;
}

/* -- the session ---------------------------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks_new(void)
{
	nghttp2_session_callbacks *set;

	nghttp2_session_callbacks_new(&set);
	nghttp2_session_callbacks_set_on_begin_frame_callback(set, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(set, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(set, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(set, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(set, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(set, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(set, on_frame_not_send);
	nghttp2_session_callbacks_set_error_callback2(set, on_error);
	return set;
}

nghttp2_session *http2_session_new(struct connection *c)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, REPLY_HEADERS_MAX },
	};
	nghttp2_session_callbacks *callbacks = callbacks_new();
	nghttp2_session *h2;

	nghttp2_session_client_new(&h2, callbacks, c);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_submit_settings(h2, NGHTTP2_FLAG_NONE, settings, G_N_ELEMENTS(settings));
	nghttp2_session_set_local_window_size(h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
	return h2;
}
