/* tests/unit/rpcserver.h - the servers of tests/rpc, and a call whose outcome is written down. */
#pragma once

#include <gio/gio.h>
#include <signal.h>
#include <string.h>

#include "agent/rpc/grpc.h"

struct rpc_server {
	GSubprocess *process;
	GDataInputStream *lines;
	GHashTable *ports;
};

/* `mode` NULL: all of them; "echo": only the gRPC server of another make. */
static inline void rpc_server_start(struct rpc_server *s, const char *directory, const char *mode)
{
	s->process = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL,
		"/usr/bin/python3", "tests/rpc/server.py", directory, mode, NULL);
	g_assert_nonnull(s->process);
	s->lines = g_data_input_stream_new(g_subprocess_get_stdout_pipe(s->process));
	s->ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (;;) {
		g_autofree char *line = g_data_input_stream_read_line(s->lines, NULL, NULL, NULL);
		char *space;

		g_assert_nonnull(line);
		if (!strcmp(line, "ready"))
			return;
		space = strchr(line, ' ');
		g_assert_nonnull(space);
		*space = '\0';
		g_hash_table_insert(s->ports, g_strdup(line), GINT_TO_POINTER(atoi(space + 1)));
	}
}

static inline void rpc_server_stop(struct rpc_server *s)
{
	g_subprocess_force_exit(s->process);
	g_subprocess_wait(s->process, NULL, NULL);
	g_object_unref(s->lines);
	g_object_unref(s->process);
	g_hash_table_unref(s->ports);
}

static inline void rpc_server_signal(const struct rpc_server *s, int number)
{
	g_subprocess_send_signal(s->process, number);
}

static inline int rpc_server_port(const struct rpc_server *s, const char *name)
{
	int port = GPOINTER_TO_INT(g_hash_table_lookup(s->ports, name));

	g_assert_cmpint(port, >, 0);
	return port;
}

static inline void rpc_remove(const char *directory)
{
	g_autoptr(GSubprocess)
		rm = g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, "rm", "-rf", directory, NULL);

	g_subprocess_wait(rm, NULL, NULL);
}

/* -- time ----------------------------------------------------------------------------------- */

static inline int64_t rpc_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static inline gboolean rpc_wake(gpointer user)
{
	*(bool *)user = true;
	return G_SOURCE_CONTINUE;
}

/* Runs the loop till *what, which has to come within the time. */
static inline void rpc_await(const bool *what, unsigned ms)
{
	bool late = false;
	guint timer = g_timeout_add(ms, rpc_wake, &late);

	while (!*what && !late)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(timer);
	g_assert_true(*what);
}

static inline void rpc_run(unsigned ms)
{
	bool over = false;
	guint timer = g_timeout_add(ms, rpc_wake, &over);

	while (!over)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(timer);
}

/* -- calls ---------------------------------------------------------------------------------- */

struct rpc_record {
	struct grpc_call *call; /* NULL: it is done */
	GString *text; /* messages up to 64 bytes, "|" behind each */
	GString *metadata; /* "name=value," and for trailers "name:=value," */
	unsigned messages, rooms;
	size_t bytes, largest;
	bool done;
	int64_t done_ms;
	struct grpc_result result;
	void (*on_message)(struct rpc_record *r);
	void (*on_done)(struct rpc_record *r);
	void *user;
};

static inline void rpc_on_metadata(
	struct grpc_call *call, const char *name, const char *value, bool trailer, void *user)
{
	struct rpc_record *r = user;

	g_string_append_printf(r->metadata, "%s%s=%s,", name, trailer ? ":" : "", value);
}

static inline void rpc_on_message(
	struct grpc_call *call, const uint8_t *data, size_t len, void *user)
{
	struct rpc_record *r = user;

	g_assert_true(call == r->call && !r->done);
	r->messages++;
	r->bytes += len;
	r->largest = MAX(r->largest, len);
	g_string_append_len(r->text, (const char *)data, (gssize)MIN(len, 64));
	g_string_append_c(r->text, '|');
	if (r->on_message)
		r->on_message(r);
}

static inline void rpc_on_writable(struct grpc_call *call, void *user)
{
	((struct rpc_record *)user)->rooms++;
}

static inline void rpc_on_done(struct grpc_call *call, const struct grpc_result *result, void *user)
{
	struct rpc_record *r = user;

	g_assert_true(call == r->call && !r->done);
	r->done = true;
	r->done_ms = rpc_now_ms();
	r->result = *result;
	r->call = NULL;
	g_assert_true(g_utf8_validate(result->text, -1, NULL));
	for (const char *c = result->text; *c; c++)
		g_assert_false(g_ascii_iscntrl(*c));
	if (r->on_done)
		r->on_done(r);
}

static const struct grpc_callbacks rpc_recording = {
	.metadata = rpc_on_metadata,
	.message = rpc_on_message,
	.writable = rpc_on_writable,
	.done = rpc_on_done,
};

static inline void rpc_record_init(struct rpc_record *r)
{
	*r = (struct rpc_record){ .text = g_string_new(NULL), .metadata = g_string_new(NULL) };
}

static inline void rpc_record_clear(struct rpc_record *r)
{
	g_string_free(r->text, TRUE);
	g_string_free(r->metadata, TRUE);
}

/* A unary call to its end. */
static inline void rpc_call(
	struct grpc_channel *channel, const char *path, const char *message, struct rpc_record *r)
{
	rpc_record_init(r);
	r->call = grpc_unary(channel, path, message, strlen(message), 0, NULL, &rpc_recording, r);
	rpc_await(&r->done, 20000);
}

/* A unary call that has to end like this; its first message (up to 64 bytes), or what went wrong. */
static inline char *rpc_ask(struct grpc_channel *channel, const char *path, const char *message,
	enum grpc_status status)
{
	struct rpc_record r;
	char *answer;

	rpc_call(channel, path, message, &r);
	if (r.result.status != status)
		g_test_message("%s: status %d, %s", path, (int)r.result.status, r.result.text);
	g_assert_cmpint(r.result.status, ==, status);
	answer = g_strdup(status == GRPC_OK ? r.text->str : r.result.text);
	rpc_record_clear(&r);
	return answer;
}
