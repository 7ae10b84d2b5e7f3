/* agent/rpc/grpc.c - channels: which connection calls go to, and when the user hears of them. */
#include "agent/rpc/grpc.h"

#include <string.h>

#include "agent/rpc/grpc_impl.h"

enum { PING_S = 15, PING_TIMEOUT_MS = 10000 };

/* -- turns of the loop ---------------------------------------------------------------------- */

void channel_plan(struct grpc_channel *channel, int64_t at_us)
{
	if (channel->next_us == NEVER || at_us < channel->next_us)
		channel->next_us = at_us;
}

static void flush(struct grpc_channel *channel)
{
	channel->work = false;
	for (GList *l = channel->connections.head, *next; l; l = next) {
		next = l->next;
		connection_flush(l->data);
	}
}

static struct grpc_call *call_with_room(const struct grpc_channel *channel)
{
	for (GList *l = channel->connections.head; l; l = l->next)
		for (GList *m = ((struct connection *)l->data)->calls.head; m; m = m->next)
			if (call_has_room(m->data))
				return m->data;
	return NULL;
}

/* Callbacks may do anything to calls and the channel: its lists are looked at anew each time. */
static void tell(struct grpc_channel *channel)
{
	struct grpc_call *call;
	GList *link;

	while ((call = call_with_room(channel)))
		call_tell_room(call);
	while ((link = g_queue_pop_head_link(&channel->ended))) {
		call = link->data;
		call->told = true;
		g_ptr_array_add(channel->dead_calls, call);
		call->callbacks->done(call, &call->result, call->user);
	}
}

void channel_enter(struct grpc_channel *channel)
{
	channel->depth++;
}

void channel_leave(struct grpc_channel *channel)
{
	if (channel->depth == 1) {
		flush(channel);
		tell(channel);
		if (channel->work) /* what they began goes out in the same turn */
			flush(channel);
	}
	channel->depth--;
	channel_bury(channel);
}

static bool is_due(const struct grpc_channel *channel)
{
	return channel->next_us != NEVER &&
		g_source_get_time((GSource *)&channel->source) >= channel->next_us;
}

/* The time is asked for here and not set as the source's: that would wake the loop each time. */
static gboolean prepare(GSource *source, int *timeout_ms)
{
	const struct grpc_channel *channel = (const struct grpc_channel *)source;

	*timeout_ms = -1;
	if (channel->work || is_due(channel))
		return TRUE;
	if (channel->next_us != NEVER)
		*timeout_ms = (int)MIN(
			(channel->next_us - g_source_get_time(source)) / 1000 + 1, INT_MAX);
	return FALSE;
}

static gboolean check(GSource *source)
{
	const struct grpc_channel *channel = (const struct grpc_channel *)source;

	return channel->work || is_due(channel);
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_too)
{
	struct grpc_channel *channel = (struct grpc_channel *)source;

	channel_enter(channel);
	if (is_due(channel)) {
		channel->next_us = NEVER;
		for (GList *l = channel->connections.head, *next; l; l = next) {
			next = l->next;
			connection_tick(l->data, g_source_get_time(source));
		}
	}
	channel_leave(channel);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .prepare = prepare, .check = check, .dispatch = dispatch };

/* -- life ----------------------------------------------------------------------------------- */

struct grpc_channel *grpc_channel_new(const struct grpc_channel_options *options)
{
	struct grpc_channel *channel = (struct grpc_channel *)g_source_new(
		&source_funcs, sizeof(struct grpc_channel));
	unsigned ping_s = options->ping_s ? options->ping_s : PING_S;
	unsigned timeout_ms = options->ping_timeout_ms ? options->ping_timeout_ms : PING_TIMEOUT_MS;

	stream_options_copy(&channel->stream, &options->stream);
	channel->stream.alpn = "h2";
	channel->user_agent = g_strdup(options->user_agent ? options->user_agent : "lapwing");
	channel->max_message = options->max_message ? options->max_message : GRPC_MESSAGE_MAX;
	channel->ping_us = (int64_t)ping_s * G_USEC_PER_SEC;
	channel->ping_timeout_us = (int64_t)timeout_ms * 1000;
	channel->dead_calls = g_ptr_array_new_with_free_func((GDestroyNotify)call_free);
	channel->dead_connections = g_ptr_array_new_with_free_func((GDestroyNotify)connection_free);
	channel->next_us = NEVER;
	g_source_set_can_recurse(&channel->source, TRUE);
	g_source_attach(&channel->source, NULL);
	return channel;
}

void channel_bury(struct grpc_channel *channel)
{
	if (channel->depth)
		return;
	g_ptr_array_set_size(channel->dead_calls, 0);
	g_ptr_array_set_size(channel->dead_connections, 0);
	if (!channel->freed)
		return;
	g_ptr_array_unref(channel->dead_calls);
	g_ptr_array_unref(channel->dead_connections);
	stream_options_clear(&channel->stream);
	g_free(channel->user_agent);
	g_source_unref(&channel->source);
}

void grpc_channel_free(struct grpc_channel *channel)
{
	struct connection *c;

	if (!channel || channel->freed)
		return;
	channel->freed = true;
	g_source_destroy(&channel->source);
	while ((c = g_queue_peek_head(&channel->connections))) {
		while (c->calls.head)
			call_drop(c->calls.head->data);
		connection_close(c);
	}
	while (channel->ended.head)
		call_drop(channel->ended.head->data);
	channel_bury(channel);
}

bool grpc_channel_is_connected(const struct grpc_channel *channel)
{
	return channel->active && channel->active->proven;
}

unsigned grpc_channel_ping_s(const struct grpc_channel *channel)
{
	return (unsigned)(channel->ping_us / G_USEC_PER_SEC);
}

const char *grpc_channel_address(const struct grpc_channel *channel)
{
	return channel->address;
}

/* -- calls ---------------------------------------------------------------------------------- */

static GPtrArray *copy_headers(const char *path, const char *const metadata[])
{
	GPtrArray *headers = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(headers, g_strdup(path));
	for (size_t i = 0; metadata && metadata[i]; i++)
		g_ptr_array_add(headers, g_strdup(metadata[i]));
	return headers;
}

static void assign(struct grpc_call *call)
{
	struct grpc_channel *channel = call->channel;
	struct connection *c;

	if (!channel->active)
		channel->active = connection_open(channel);
	c = call->connection = channel->active;
	g_queue_push_tail_link(&c->calls, &call->link);
	channel->work = true;
	if (!c->h2)
		return;
	if (c->calls.length == 1)
		connection_watch(c);
	call_submit(call);
}

struct grpc_call *grpc_stream(struct grpc_channel *channel, const char *path, unsigned deadline_ms,
	const char *const metadata[], const struct grpc_callbacks *callbacks, void *user)
{
	struct grpc_call *call = g_new0(struct grpc_call, 1);

	call->channel = channel;
	call->link.data = call;
	call->callbacks = callbacks;
	call->user = user;
	call->headers = copy_headers(path, metadata);
	call->deadline_us = NEVER;
	call->reader.max = channel->max_message;
	reply_init(&call->reply);
	if (deadline_ms) {
		call->deadline_us = g_get_monotonic_time() + (int64_t)deadline_ms * 1000;
		channel_plan(channel, call->deadline_us);
	}
	assign(call);
	return call;
}

struct grpc_call *grpc_unary(struct grpc_channel *channel, const char *path, const void *message,
	size_t len, unsigned deadline_ms, const char *const metadata[],
	const struct grpc_callbacks *callbacks, void *user)
{
	struct grpc_call *call = grpc_stream(channel, path, deadline_ms, metadata, callbacks, user);

	call->unary = true;
	grpc_send(call, message, len);
	grpc_half_close(call);
	return call;
}
