/* agent/rpc/http2.c - a connection: bytes between nghttp2 and the stream, silence, the end. */
#include <errno.h>

#include "agent/rpc/grpc_impl.h"

enum {
	READ_MAX = 32 * 1024, /* from 64 kB on malloc maps pages, and unmaps them */
	READ_ROUNDS = 64, /* then others have their turn */
	WRITE_MIN = 32 * 1024, /* gathered for one record and one system call */
};

/* -- the end -------------------------------------------------------------------------------- */

void connection_drain(struct connection *c)
{
	c->draining = true;
	if (c->channel->active == c)
		c->channel->active = NULL;
}

void connection_close(struct connection *c)
{
	struct grpc_channel *channel = c->channel;

	connection_drain(c);
	g_queue_remove(&channel->connections, c);
	g_clear_pointer(&c->stream, stream_close);
	c->closed = true;
	g_ptr_array_add(channel->dead_connections, c);
}

void connection_fail(struct connection *c, enum stream_failure failure, const char *why)
{
	struct grpc_call *call;
	g_autofree char *text = g_strdup_printf(c->words[0] ? "%s (%s)" : "%s", why, c->words);

	while ((call = g_queue_peek_head(&c->calls)))
		call_lose(call, failure, text);
	connection_close(c);
}

void connection_free(struct connection *c)
{
	nghttp2_session_del(c->h2);
	g_hash_table_unref(c->by_id);
	if (c->out)
		g_byte_array_unref(c->out);
	g_free(c);
}

struct grpc_call *connection_find(const struct connection *c, int32_t id)
{
	return g_hash_table_lookup(c->by_id, GINT_TO_POINTER(id));
}

/* -- reading -------------------------------------------------------------------------------- */

static void accuse(struct connection *c)
{
	connection_fail(c, STREAM_LOST,
		c->proven ? "the server breaks the protocol" : "the server does not speak HTTP/2");
}

static void lose(struct connection *c)
{
	const char *why;
	enum stream_failure failure = stream_loss(c->stream, &why);

	if (c->words[0] && !c->proven) /* nghttp2 did not like what came */
		accuse(c);
	else
		connection_fail(c, failure, why);
}

static void receive(struct connection *c)
{
	g_autofree uint8_t *buf = g_malloc(READ_MAX);

	for (unsigned i = 0; i < READ_ROUNDS; i++) {
		ssize_t n = stream_read(c->stream, buf, READ_MAX);

		if (n == STREAM_AGAIN && !c->mute)
			return;
		if (n <= 0) {
			lose(c);
			return;
		}
		c->heard_us = g_get_monotonic_time();
		n = nghttp2_session_mem_recv(c->h2, buf, (size_t)n);
		if (c->closed)
			return;
		if (n < 0) {
			accuse(c);
			return;
		}
	}
	stream_read_again(c->stream);
}

/* -- writing -------------------------------------------------------------------------------- */

/* True: there are bytes to be written. */
static bool gather(struct connection *c)
{
	const uint8_t *data;
	ssize_t n = 1;

	while (n > 0 && (!c->out || c->out->len - c->out_at < WRITE_MIN)) {
		n = nghttp2_session_mem_send(c->h2, &data);
		if (n <= 0)
			break;
		if (!c->out)
			c->out = g_byte_array_sized_new((guint)n);
		g_byte_array_append(c->out, data, (guint)n);
	}
	return c->out;
}

static void write_out(struct connection *c)
{
	while (gather(c)) {
		ssize_t n = stream_write(
			c->stream, c->out->data + c->out_at, c->out->len - c->out_at);

		if (n == STREAM_AGAIN) {
			stream_want_write(c->stream);
			return;
		}
		if (n < 0) {
			/* It may have said why before it went. */
			c->mute = true;
			stream_read_again(c->stream);
			return;
		}
		c->out_at += (size_t)n;
		if (c->out_at < c->out->len)
			continue;
		g_clear_pointer(&c->out, g_byte_array_unref);
		c->out_at = 0;
	}
}

void connection_flush(struct connection *c)
{
	if (!c->h2 || c->closed)
		return;
	if (!c->mute)
		write_out(c);
	if (c->draining && !c->calls.length)
		connection_close(c);
	else if (!nghttp2_session_want_read(c->h2) && !nghttp2_session_want_write(c->h2) && !c->out)
		accuse(c);
}

/* -- events --------------------------------------------------------------------------------- */

static void connected(void *user)
{
	struct connection *c = user;

	channel_enter(c->channel);
	g_strlcpy(c->channel->address, stream_address(c->stream), sizeof(c->channel->address));
	c->h2 = http2_session_new(c);
	connection_watch(c);
	for (GList *l = c->calls.head, *next; l; l = next) {
		next = l->next;
		call_submit(l->data);
	}
	channel_leave(c->channel);
}

static void readable(void *user)
{
	struct connection *c = user;
	struct grpc_channel *channel = c->channel;

	channel_enter(channel);
	receive(c);
	channel_leave(channel);
}

static void writable(void *user)
{
	struct connection *c = user;

	channel_enter(c->channel);
	channel_leave(c->channel);
}

static void failed(enum stream_failure failure, const char *why, void *user)
{
	struct connection *c = user;
	struct grpc_channel *channel = c->channel;

	channel_enter(channel);
	connection_fail(c, failure, why);
	channel_leave(channel);
}

static const struct stream_callbacks callbacks = { connected, readable, writable, failed };

struct connection *connection_open(struct grpc_channel *channel)
{
	struct connection *c = g_new0(struct connection, 1);

	c->channel = channel;
	c->by_id = g_hash_table_new(NULL, NULL);
	g_queue_push_tail(&channel->connections, c);
	c->stream = stream_open(&channel->stream, &callbacks, c);
	return c;
}

/* -- silence -------------------------------------------------------------------------------- */

void connection_watch(struct connection *c)
{
	c->heard_us = g_get_monotonic_time();
	channel_plan(c->channel, c->heard_us + c->channel->ping_us);
}

/* Whatever comes is a sign of life: behind a large message the answer may take long. */
static void tick_ping(struct connection *c, int64_t now_us)
{
	struct grpc_channel *channel = c->channel;
	int64_t due_us = c->ping_us ? MAX(c->ping_us, c->heard_us) + channel->ping_timeout_us
				    : c->heard_us + channel->ping_us;

	if (!c->ping_us && !c->calls.length)
		return;
	if (now_us < due_us) {
		channel_plan(channel, due_us);
	} else if (c->ping_us) {
		connection_fail(c, STREAM_LOST, "the server does not answer any more");
	} else {
		c->ping_us = now_us;
		nghttp2_submit_ping(c->h2, NGHTTP2_FLAG_NONE, NULL);
		channel_plan(channel, now_us + channel->ping_timeout_us);
	}
}

void connection_tick(struct connection *c, int64_t now_us)
{
	for (GList *l = c->calls.head, *next; l; l = next) {
		struct grpc_call *call = l->data;

		next = l->next;
		if (call->deadline_us == NEVER)
			continue;
		if (now_us >= call->deadline_us)
			call_fail(call, GRPC_DEADLINE_EXCEEDED,
				c->proven ? "the deadline has passed"
					  : "the deadline has passed while connecting");
		else
			channel_plan(c->channel, call->deadline_us);
	}
	if (c->h2)
		tick_ping(c, now_us);
}
