/* agent/control_client.c - one caller of the control socket: its requests, its queue, its limits.
 *
 * A client is freed only by its own descriptor's dispatch, by the timer and by control_close. All
 * else that finds it dead shuts its socket down, which makes the descriptor ready: so no caller of
 * control_reply or control_publish has the ground taken from under it. */
#include "agent/control_impl.h"

#include <errno.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/jwrite.h"

enum { READ_CHUNK = 16 * 1024, ERROR_TEXT_MAX = 512 };

static gboolean on_client(int fd, GIOCondition condition, void *data);
static gboolean on_timer(void *data);
static void read_input(struct client *c);

/* -- what was said, without a trace of secrets ------------------------------------------------ */

static void wipe_string(GString *s)
{
	explicit_bzero(s->str, s->allocated_len);
	g_string_free(s, TRUE);
}

/* Any request may hold a secret, also one that is not understood. */
static void drop_in(struct client *c)
{
	if (c->in)
		wipe_string(g_steal_pointer(&c->in));
}

static void drop_line(struct client *c, GString *line)
{
	if (c->secret)
		wipe_string(line);
	else
		g_string_free(line, TRUE);
	c->secret = false;
}

static void drop_out(struct client *c)
{
	if (c->out)
		drop_line(c, g_steal_pointer(&c->out));
}

/* By copy and not by realloc: no half of a secret stays behind. */
static void append_in(struct client *c, const char *text, size_t len)
{
	size_t old = c->in ? c->in->len : 0;
	GString *bigger;

	if (!c->in || c->in->allocated_len <= old + len) {
		bigger = g_string_sized_new(2 * old + len);
		if (c->in)
			g_string_append_len(bigger, c->in->str, (gssize)old);
		drop_in(c);
		c->in = bigger;
	}
	g_string_append_len(c->in, text, (gssize)len);
}

/* The first `len` bytes of what came in: what follows moves to the front, and the rest is wiped. */
static void consume_in(struct client *c, size_t len)
{
	if (len == c->in->len)
		return drop_in(c);
	g_string_erase(c->in, 0, (gssize)len);
	explicit_bzero(c->in->str + c->in->len, len);
}

/* -- one client: life and limits ------------------------------------------------------------- */

static bool has_line(const struct client *c)
{
	return c->in && memchr(c->in->str, '\n', c->in->len);
}

/* What the client's state calls for. A request that is in already makes itself felt by the socket's
 * being writable: one request per turn of the loop, however many a caller sends. */
static GIOCondition wanted(const struct client *c)
{
	bool idle = !c->asking && !c->out;
	GIOCondition want = G_IO_HUP | G_IO_ERR;

	if (c->doomed)
		return want;
	if (c->out || (idle && has_line(c)))
		want |= G_IO_OUT;
	if (!c->eof && !c->closing && (c->monitor || (idle && !has_line(c))))
		want |= G_IO_IN;
	return want;
}

static void watch(struct client *c)
{
	GIOCondition want = wanted(c);

	if (c->source && want == c->watched)
		return;
	if (c->source)
		g_source_remove(c->source);
	c->source = g_unix_fd_add(c->fd, want, on_client, c);
	c->watched = want;
}

void client_new(struct control *control, int fd, enum control_access access)
{
	struct client *c = g_new0(struct client, 1);

	c->control = control;
	c->fd = fd;
	c->access = access;
	do
		c->id = ++control->next_id;
	while (!c->id || client_find(control, c->id));
	control->clients[control->n_clients++] = c;
	/* What it asks is mostly there already, and the next turn of the loop may be long in coming. */
	read_input(c);
	watch(c);
	client_arm_timer(control);
}

void client_free(struct client *c)
{
	struct control *control = c->control;

	for (size_t i = 0; i < control->n_clients; i++)
		if (control->clients[i] == c) {
			control->clients[i] = control->clients[--control->n_clients];
			break;
		}
	control->n_monitors -= c->monitor;
	g_source_remove(c->source);
	close(c->fd);
	drop_in(c);
	drop_out(c);
	g_free(c);
}

struct client *client_find(const struct control *control, uint32_t id)
{
	for (size_t i = 0; i < control->n_clients; i++)
		if (control->clients[i]->id == id)
			return control->clients[i];
	return NULL;
}

/* To be closed by its own dispatch, which the shutdown brings about. */
static void doom(struct client *c)
{
	c->doomed = true;
	c->lost = 0;
	c->partial_since_us = 0;
	drop_out(c);
	shutdown(c->fd, SHUT_RDWR);
	watch(c);
}

/* When this client's patience ends; 0: never. */
static int64_t deadline_us(const struct client *c)
{
	if (c->partial_since_us)
		return c->partial_since_us + c->control->request_us;
	if (c->out && (!c->monitor || c->lost || c->closing))
		return c->progress_us + c->control->stall_us;
	return 0;
}

/* One timer, and only while some client has a deadline: an idle daemon never wakes up. */
void client_arm_timer(struct control *control)
{
	int64_t first = 0, now = g_get_monotonic_time();

	for (size_t i = 0; i < control->n_clients; i++) {
		int64_t deadline = deadline_us(control->clients[i]);

		if (deadline && (!first || deadline < first))
			first = deadline;
	}
	if (control->timer)
		g_source_remove(control->timer);
	control->timer = 0;
	if (first)
		control->timer = g_timeout_add(
			(guint)(MAX(first - now, 0) / 1000 + 1), on_timer, control);
}

/* -- out -------------------------------------------------------------------------------------- */

/* Takes the line. */
static void queue(struct client *c, GString *line)
{
	if (!c->out) {
		c->out = line;
		c->sent = 0;
		c->progress_us = g_get_monotonic_time();
		return;
	}
	/* Only a monitor's queue grows: what was sent must not grow with it. */
	g_string_erase(c->out, 0, (gssize)c->sent);
	c->sent = 0;
	g_string_append_len(c->out, line->str, (gssize)line->len);
	g_string_free(line, TRUE);
}

static void queue_gap(struct client *c)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
	GString *line = g_string_new(NULL);

	g_string_printf(line,
		"{\"v\":%d,\"schema\":\"lapwing.event/1\",\"event\":\"gap\",\"time\":\"%s\","
		"\"lost\":%" PRIu64 "}\n",
		CONTROL_VERSION, time, c->lost);
	c->lost = 0;
	queue(c, line);
}

/* Sends as much as the socket takes. */
static void flush(struct client *c)
{
	while (c->out) {
		ssize_t n = send(c->fd, c->out->str + c->sent, c->out->len - c->sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			return doom(c);
		c->sent += (size_t)n;
		c->progress_us = g_get_monotonic_time();
		if (c->sent < c->out->len)
			continue;
		drop_out(c);
		if (c->lost)
			queue_gap(c);
	}
	if (c->closing || (c->eof && !c->asking && !c->monitor))
		doom(c);
}

GString *control_error_line(enum exit_code code, const char *hint, const char *message)
{
	GString *line = g_string_new(NULL);

	jwrite_open(line, NULL, '{');
	jwrite_int(line, "v", CONTROL_VERSION);
	jwrite_bool(line, "ok", false);
	jwrite_open(line, "error", '{');
	jwrite_int(line, "code", code);
	jwrite_string(line, "class", exit_code_class(code));
	jwrite_string(line, "message", message);
	jwrite_string(line, "hint", hint);
	jwrite_close(line, '}');
	jwrite_close(line, '}');
	return g_string_append_c(line, '\n');
}

/* Takes `result`, whose text can be long: it is wrapped in place. */
GString *control_result_line(GString *result)
{
	char head[64];

	snprintf(head, sizeof(head), "{\"v\":%d,\"ok\":true,\"result\":", CONTROL_VERSION);
	g_string_prepend(result, head);
	return g_string_append(result, "}\n");
}

/* -- in --------------------------------------------------------------------------------------- */

static void refuse(struct client *c, enum exit_code code, const char *message)
{
	queue(c, control_error_line(code, NULL, message));
}

static void refuse_and_close(struct client *c, enum exit_code code, const char *message)
{
	refuse(c, code, message);
	c->closing = true;
	c->partial_since_us = 0;
	flush(c);
}

static void start_monitor(struct client *c)
{
	GString *out = jwrite_document("lapwing.events/1");

	jwrite_close(out, '}');
	c->monitor = true;
	c->control->n_monitors++;
	queue(c, control_result_line(out));
}

static void handle_request(struct client *c, const struct control_request *request)
{
	if (!request->may_change && !control_is_reading(request))
		return refuse(c, EXIT_PERMISSION, "only root may change anything");
	if (!strcmp(request->command, "ping"))
		return queue(c, control_result_line(g_string_new("{}")));
	if (!strcmp(request->command, "monitor"))
		return start_monitor(c);
	c->asking = true;
	c->secret = control_is_secret(request);
	c->in_handler = true;
	c->control->fn(request, c->control->user);
	c->in_handler = false;
}

static void handle_line(struct client *c, const char *line, size_t len)
{
	struct control_request request;
	char error[ERROR_TEXT_MAX];

	if (control_parse(line, len, &request, error, sizeof(error)) < 0)
		return refuse(c, EXIT_USAGE, error);
	request.client = c->id;
	request.may_change = c->access == CONTROL_ACCESS_CHANGE;
	handle_request(c, &request);
	explicit_bzero(&request, sizeof(request));
}

/* The time of a request that has begun runs from its first byte to its last. */
static void note_partial(struct client *c)
{
	bool partial = c->in && !c->asking && !c->closing && !c->doomed && !has_line(c);

	if (!partial)
		c->partial_since_us = 0;
	else if (!c->partial_since_us)
		c->partial_since_us = g_get_monotonic_time();
}

/* Handles one request that is in, unless an answer is still under way. */
static void handle_input(struct client *c)
{
	const char *end;
	size_t len;

	if (!c->in || c->asking || c->closing || c->doomed)
		return;
	if (c->monitor)
		return refuse_and_close(c, EXIT_USAGE, "a monitor only listens");
	if (c->out)
		return;
	end = memchr(c->in->str, '\n', c->in->len);
	len = end ? (size_t)(end - c->in->str) : c->in->len;
	if (len > CONTROL_REQUEST_MAX)
		return refuse_and_close(c, EXIT_USAGE, "the request is too long");
	if (end) {
		handle_line(c, c->in->str, len);
		consume_in(c, len + 1);
		flush(c);
	}
	note_partial(c);
}

static void read_input(struct client *c)
{
	char chunk[READ_CHUNK];
	ssize_t n = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		return doom(c);
	if (n == 0) {
		c->eof = true;
		if (!c->asking && !c->out && !c->monitor)
			doom(c);
		return;
	}
	append_in(c, chunk, (size_t)n);
	explicit_bzero(chunk, (size_t)n);
	handle_input(c);
}

static gboolean on_client(int fd, GIOCondition condition, void *data)
{
	struct client *c = data;
	struct control *control = c->control;
	bool gone = (condition & G_IO_ERR) || ((condition & G_IO_HUP) && !(condition & G_IO_IN));

	if (c->doomed || gone) {
		client_free(c);
		client_arm_timer(control);
		return G_SOURCE_REMOVE;
	}
	if (condition & G_IO_OUT) {
		flush(c);
		handle_input(c);
	}
	if ((condition & G_IO_IN) && !c->doomed)
		read_input(c);
	watch(c);
	client_arm_timer(control);
	return G_SOURCE_CONTINUE;
}

static gboolean on_timer(void *data)
{
	struct control *control = data;
	int64_t now = g_get_monotonic_time();

	control->timer = 0;
	for (size_t i = control->n_clients; i-- > 0;) {
		struct client *c = control->clients[i];
		int64_t deadline = deadline_us(c);

		if (!deadline || deadline > now)
			continue;
		if (c->partial_since_us) {
			refuse_and_close(c, EXIT_TIMEOUT, "the request did not come in time");
			watch(c);
		} else {
			client_free(c);
		}
	}
	client_arm_timer(control);
	return G_SOURCE_REMOVE;
}

/* -- from the outside ------------------------------------------------------------------------- */

void client_answer(struct client *c, GString *line)
{
	if (!c->asking || c->doomed) {
		drop_line(c, line);
		return;
	}
	c->asking = false;
	queue(c, line);
	if (c->in_handler) /* handle_input goes on from there */
		return;
	flush(c);
	note_partial(c);
	watch(c);
	client_arm_timer(c->control);
}

void client_event(struct client *c, const GString *line)
{
	if (!c->monitor || c->doomed || c->closing)
		return;
	/* Once something is lost, the rest waits for an empty queue: one gap, then events again. */
	if (c->lost || (c->out && c->out->len - c->sent + line->len > CONTROL_EVENTS_MAX)) {
		if (!c->lost++)
			c->progress_us = g_get_monotonic_time();
		return;
	}
	queue(c, g_string_new_len(line->str, (gssize)line->len));
	flush(c);
	watch(c);
}
