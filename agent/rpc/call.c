/* agent/rpc/call.c - one call: what it sends, what it receives, how it ends. */
#include <errno.h>
#include <string.h>

#include "agent/rpc/grpc_impl.h"

enum {
	TIMEOUT_DIGITS = 100000000, /* grpc-timeout has at most 8 */
	FLOOD_CALL = 16, /* frames without content that a call may bring about, */
	FLOOD_DATA = 4, /* and each frame of data that we send */
	NO_RESET = -1, /* the stream is no more */
};

/* -- sending -------------------------------------------------------------------------------- */

static size_t queued(const struct grpc_call *call)
{
	return call->queue ? call->queue->len - call->queue_at : 0;
}

static bool has_room(const struct grpc_call *call, size_t len)
{
	return queued(call) == 0 || queued(call) + len <= GRPC_QUEUE_MAX;
}

static void drop_queue(struct grpc_call *call)
{
	g_clear_pointer(&call->queue, g_byte_array_unref);
	call->queue_at = 0;
}

static ssize_t read_queue(nghttp2_session *h2, int32_t id, uint8_t *buf, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct connection *c = user;
	struct grpc_call *call = connection_find(c, id);
	size_t n;

	if (!call)
		return NGHTTP2_ERR_DEFERRED;
	n = MIN(len, queued(call));
	if (n > 0)
		memcpy(buf, call->queue->data + call->queue_at, n);
	call->queue_at += n;
	c->flood_max += FLOOD_DATA;
	if (queued(call) == 0) {
		drop_queue(call);
		if (call->half_closed)
			*flags |= NGHTTP2_DATA_FLAG_EOF;
		else if (n == 0)
			return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)n;
}

static void resume(struct grpc_call *call)
{
	call->channel->work = true;
	if (call->id) /* else, or when it was not deferred, there is nothing to do */
		nghttp2_session_resume_data(call->connection->h2, call->id);
}

int grpc_send(struct grpc_call *call, const void *message, size_t len)
{
	uint8_t head[FRAME_HEAD];

	if (!call->connection || call->half_closed)
		return -EPIPE;
	if (!has_room(call, sizeof(head) + len)) {
		call->wants_room = sizeof(head) + len;
		return -ENOBUFS;
	}
	if (!call->queue)
		call->queue = g_byte_array_new();
	if (call->queue_at > call->queue->len / 2) {
		g_byte_array_remove_range(call->queue, 0, (guint)call->queue_at);
		call->queue_at = 0;
	}
	frame_put_head(head, len);
	g_byte_array_append(call->queue, head, sizeof(head));
	g_byte_array_append(call->queue, message, (guint)len);
	resume(call);
	return 0;
}

void grpc_half_close(struct grpc_call *call)
{
	if (!call->connection || call->half_closed)
		return;
	call->half_closed = true;
	resume(call);
}

bool call_has_room(const struct grpc_call *call)
{
	return call->wants_room > 0 && has_room(call, call->wants_room);
}

void call_tell_room(struct grpc_call *call)
{
	call->wants_room = 0;
	if (call->callbacks->writable)
		call->callbacks->writable(call, call->user);
}

/* -- headers of the request ----------------------------------------------------------------- */

static void add(GArray *list, const char *name, const char *value)
{
	nghttp2_nv nv = { (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
		NGHTTP2_NV_FLAG_NONE };

	g_array_append_val(list, nv);
}

static void format_timeout(const struct grpc_call *call, char *ret, size_t size)
{
	int64_t left_ms = (call->deadline_us - g_get_monotonic_time()) / 1000;

	if (left_ms < TIMEOUT_DIGITS)
		g_snprintf(ret, (gulong)size, "%dm", (int)MAX(left_ms, 1));
	else
		g_snprintf(ret, (gulong)size, "%dS", (int)(left_ms / 1000));
}

void call_submit(struct grpc_call *call)
{
	struct connection *c = call->connection;
	const nghttp2_data_provider body = { .read_callback = read_queue };
	g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(nghttp2_nv));
	char timeout[16];

	add(list, ":method", "POST");
	add(list, ":scheme", stream_is_secure(c->stream) ? "https" : "http");
	add(list, ":path", g_ptr_array_index(call->headers, 0));
	add(list, ":authority", stream_authority(c->stream));
	add(list, "te", "trailers");
	add(list, "content-type", "application/grpc");
	add(list, "user-agent", call->channel->user_agent);
	add(list, "grpc-accept-encoding", "identity,gzip");
	if (call->deadline_us != NEVER) {
		format_timeout(call, timeout, sizeof(timeout));
		add(list, "grpc-timeout", timeout);
	}
	for (guint i = 1; i + 1 < call->headers->len; i += 2)
		add(list, g_ptr_array_index(call->headers, i),
			g_ptr_array_index(call->headers, i + 1));
	call->id = nghttp2_submit_request(
		c->h2, NULL, (const nghttp2_nv *)(void *)list->data, list->len, &body, NULL);
	g_clear_pointer(&call->headers, g_ptr_array_unref);
	c->flood_max += FLOOD_CALL;
	if (call->id > 0) {
		g_hash_table_insert(c->by_id, GINT_TO_POINTER(call->id), call);
		return;
	}
	call->id = 0;
	connection_drain(c); /* its numbers for streams are used up */
	call_lose(call, STREAM_LOST, "the connection takes no more calls");
}

/* -- the end -------------------------------------------------------------------------------- */

/* From now on what nghttp2 reports of its stream finds nobody. */
static void detach(struct grpc_call *call, int reset)
{
	struct connection *c = call->connection;

	call->connection = NULL;
	g_queue_unlink(&c->calls, &call->link);
	call->channel->work = true;
	drop_queue(call);
	if (!call->id)
		return;
	g_hash_table_remove(c->by_id, GINT_TO_POINTER(call->id));
	/* When the server is done nothing needs a reset but what we still send. */
	if (reset == NGHTTP2_NO_ERROR && nghttp2_session_get_stream_local_close(c->h2, call->id))
		return;
	if (reset != NO_RESET)
		nghttp2_submit_rst_stream(c->h2, NGHTTP2_FLAG_NONE, call->id, (uint32_t)reset);
}

static void end(struct grpc_call *call, int reset)
{
	detach(call, reset);
	g_queue_push_tail_link(&call->channel->ended, &call->link);
}

static void set_result(struct grpc_call *call, enum grpc_status status, enum stream_failure failure,
	const char *text)
{
	call->result.status = status;
	call->result.failure = failure;
	g_strlcpy(call->result.text, text, sizeof(call->result.text));
}

void call_fail(struct grpc_call *call, enum grpc_status status, const char *text)
{
	set_result(call, status, STREAM_OK, text);
	end(call, NGHTTP2_CANCEL);
}

void call_lose(struct grpc_call *call, enum stream_failure failure, const char *text)
{
	set_result(call, GRPC_UNAVAILABLE, failure, text);
	end(call, NO_RESET);
}

void call_drop(struct grpc_call *call)
{
	if (call->connection)
		detach(call, NGHTTP2_CANCEL);
	else
		g_queue_unlink(&call->channel->ended, &call->link);
	g_ptr_array_add(call->channel->dead_calls, call);
}

void call_free(struct grpc_call *call)
{
	frame_clear(&call->reader);
	drop_queue(call);
	g_clear_pointer(&call->headers, g_ptr_array_unref);
	g_free(call);
}

void grpc_cancel(struct grpc_call *call)
{
	struct grpc_channel *channel = call->channel;

	if (call->told)
		return; /* from its own done() */
	call_drop(call);
	channel_bury(channel);
}

/* What the trailers said holds, unless they praise what did not come. */
static void judge(struct grpc_call *call)
{
	struct grpc_result *result = &call->result;
	const char *lack = NULL;

	reply_result(&call->reply, result);
	if (result->status == GRPC_OK && frame_is_partial(&call->reader))
		lack = "a message was cut short";
	else if (result->status == GRPC_OK && call->unary && call->messages == 0)
		lack = "the answer has no message";
	if (!lack)
		return;
	result->status = GRPC_INTERNAL;
	g_strlcpy(result->text, lack, sizeof(result->text));
}

void call_got_end(struct grpc_call *call)
{
	judge(call);
	end(call, NGHTTP2_NO_ERROR);
}

void call_was_reset(struct grpc_call *call, uint32_t code)
{
	bool going = call->connection->draining && code == NGHTTP2_REFUSED_STREAM;
	const char *words = going ? call->connection->words : "";
	char text[GRPC_TEXT_MAX];

	g_snprintf(text, sizeof(text),
		*words ? "the server reset the stream: %s (%s)" : "the server reset the stream: %s",
		nghttp2_http2_strerror(code), words);
	set_result(call, reply_status_of_reset(code), going ? STREAM_LOST : STREAM_OK, text);
	end(call, NO_RESET);
}

/* -- receiving ------------------------------------------------------------------------------ */

void call_got_header(struct grpc_call *call, const char *name, const char *value, bool trailer)
{
	if (reply_header(&call->reply, name, strlen(name), value, strlen(value)) < 0) {
		call_fail(call, GRPC_RESOURCE_EXHAUSTED, "the headers of the answer are too large");
		return;
	}
	if (name[0] != ':' && call->reply.final && call->callbacks->metadata)
		call->callbacks->metadata(call, name, value, trailer, call->user);
}

void call_got_headers(struct grpc_call *call)
{
	call->reader.gzip = call->reply.gzip;
	if (!call->reply.final)
		return;
	if (!reply_is_foreign(&call->reply)) {
		if (call->callbacks->headers)
			call->callbacks->headers(call, call->user);
		return;
	}
	reply_result(&call->reply, &call->result);
	end(call, NGHTTP2_CANCEL);
}

static void refuse(struct grpc_call *call, int r, size_t len)
{
	char text[GRPC_TEXT_MAX];

	switch (r) {
	case -EMSGSIZE:
		g_snprintf(text, sizeof(text),
			len ? "a message of %zu bytes; %zu are allowed"
			    : "a compressed message is too large",
			len, call->reader.max);
		call_fail(call, GRPC_RESOURCE_EXHAUSTED, text);
		break;
	case -EBADMSG:
		call_fail(call, GRPC_INTERNAL, "a compressed message is broken");
		break;
	default:
		call_fail(call, GRPC_INTERNAL,
			"a message is compressed in an unknown way, or broken");
	}
}

void grpc_drop_message(struct grpc_call *call)
{
	frame_release(&call->reader);
}

void call_got_data(struct grpc_call *call, const uint8_t *data, size_t len)
{
	const uint8_t *message;
	size_t message_len;
	int r;

	while ((r = frame_next(&call->reader, &data, &len, &message, &message_len)) > 0) {
		call->messages++;
		if (call->unary && call->messages > 1) {
			call_fail(call, GRPC_INTERNAL, "the answer has more than one message");
			return;
		}
		call->callbacks->message(call, message, message_len, call->user);
		if (!call->connection)
			return; /* cancelled; the memory is there till we are back in the loop */
		frame_release(&call->reader);
	}
	if (r < 0)
		refuse(call, r, message_len);
}
