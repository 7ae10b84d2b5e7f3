/* agent/cli/client.c - asks the daemon through its control socket. */
#include "agent/cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/auto.h"
#include "agent/base/jwrite.h"

enum {
	READ_CHUNK = 256 * 1024,
	CONNECT_AGAIN_MS = 50,
	LINE_MAX_BYTES = 1024 * 1024 * 1024, /* a million peers in full detail */
};

/* How a good reply begins: what follows, but for the last brace, is passed on without parsing. */
static const char good_head[] = "{\"v\":1,\"ok\":true,\"result\":";

struct wire {
	const struct options *o;
	int fd;
	int64_t end_us; /* -1: no limit */
	GString *in;
	size_t scanned; /* of in: no line end there */
};

/* -- waiting ---------------------------------------------------------------------------------- */

static int left_ms(const struct wire *w)
{
	int64_t left = w->end_us - g_get_monotonic_time();

	if (w->end_us < 0)
		return -1;
	return left <= 0 ? 0 : (int)(left / 1000 + 1);
}

static enum exit_code too_late(const struct wire *w, struct failure *f)
{
	return failure_set(f, w->o->wait ? EXIT_TIMEOUT : EXIT_NOT_RUNNING,
		"--timeout gives it more time", "no answer from lapwingd within %g s",
		w->o->timeout_ms / 1000.0);
}

static enum exit_code wait_for(const struct wire *w, short events, struct failure *f)
{
	struct pollfd p = { .fd = w->fd, .events = events };

	for (;;) {
		int n = poll(&p, 1, left_ms(w));

		if (n > 0)
			return EXIT_OK;
		if (n == 0)
			return too_late(w, f);
		if (errno != EINTR)
			return failure_set(f, EXIT_FAILED, NULL, "poll: %s", g_strerror(errno));
	}
}

/* -- connecting ------------------------------------------------------------------------------- */

static enum exit_code cannot_connect(const char *path, int error, struct failure *f)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTDIR:
		return failure_set(f, EXIT_NOT_RUNNING, "systemctl start lapwing",
			"lapwingd is not running (%s: %s)", path, g_strerror(error));
	case EACCES:
	case EPERM:
		return failure_set(f, EXIT_PERMISSION, "be root, or in the group lapwing", "%s: %s",
			path, g_strerror(error));
	default:
		return failure_set(f, EXIT_NOT_RUNNING, NULL, "%s: %s", path, g_strerror(error));
	}
}

static enum exit_code wire_open(struct wire *w, struct failure *f)
{
	g_autofree char *path = g_build_filename(w->o->run_dir, "control.sock", NULL);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (g_strlcpy(sa.sun_path, path, sizeof(sa.sun_path)) >= sizeof(sa.sun_path))
		return failure_set(f, EXIT_USAGE, NULL, "--run: the path is too long");
	w->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (w->fd < 0)
		return failure_set(f, EXIT_FAILED, NULL, "socket: %s", g_strerror(errno));
	while (connect(w->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return cannot_connect(path, errno, f);
		/* Its queue of callers is full. */
		if (left_ms(w) == 0)
			return too_late(w, f);
		g_usleep(CONNECT_AGAIN_MS * 1000);
	}
	return EXIT_OK;
}

/* -- talking ---------------------------------------------------------------------------------- */

static enum exit_code wire_send(struct wire *w, const char *text, struct failure *f)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(w->fd, text, len, MSG_NOSIGNAL);
		enum exit_code code = EXIT_OK;

		if (n < 0 && errno == EAGAIN)
			code = wait_for(w, POLLOUT, f);
		else if (n < 0 && errno != EINTR)
			break; /* it may have told us why: read on */
		if (code)
			return code;
		text += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return EXIT_OK;
}

static enum exit_code wire_fill(struct wire *w, struct failure *f)
{
	enum exit_code code = wait_for(w, POLLIN, f);
	size_t len = w->in->len;
	ssize_t n;

	if (code)
		return code;
	if (len > LINE_MAX_BYTES)
		return failure_set(f, EXIT_FAILED, NULL, "the answer is too long");
	g_string_set_size(w->in, len + READ_CHUNK);
	n = recv(w->fd, w->in->str + len, READ_CHUNK, 0);
	g_string_set_size(w->in, len + (size_t)MAX(n, 0));
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		return failure_set(f, EXIT_NOT_RUNNING, "journalctl -u lapwing tells more",
			"lapwingd closed the connection");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return failure_set(f, EXIT_FAILED, NULL, "recv: %s", g_strerror(errno));
	return EXIT_OK;
}

/* The length of the next line, without its end, at the start of w->in. */
static enum exit_code wire_line(struct wire *w, size_t *ret_len, struct failure *f)
{
	for (;;) {
		const char *end = memchr(w->in->str + w->scanned, '\n', w->in->len - w->scanned);
		enum exit_code code;

		if (end) {
			*ret_len = (size_t)(end - w->in->str);
			return EXIT_OK;
		}
		w->scanned = w->in->len;
		code = wire_fill(w, f);
		if (code)
			return code;
	}
}

static void wire_close(struct wire *w)
{
	auto_close(&w->fd);
	if (w->in)
		g_string_free(w->in, TRUE);
}

/* -- replies ---------------------------------------------------------------------------------- */

/* The daemon says no, and why; or says nothing that we understand. */
static enum exit_code bad_reply(const char *line, size_t len, struct failure *f)
{
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *error = json_object_get(root, "error");
	int64_t code = get_int(error, "code");
	const char *hint = get_text(error, "hint");

	if (!json_is_object(error) || code < EXIT_FAILED || code > EXIT_LAST)
		failure_set(f, EXIT_FAILED, "are lapwing and lapwingd of the same version?",
			"lapwingd gave an answer that is not understood");
	else
		failure_set(f, (enum exit_code)code, *hint ? hint : NULL, "%s",
			get_text(error, "message"));
	json_decref(root);
	return f->code;
}

static enum exit_code check_reply(
	GString *line, size_t len, struct client_reply *ret, struct failure *f)
{
	size_t head = sizeof(good_head) - 1;

	if (len < head + 2 || memcmp(line->str, good_head, head) || line->str[len - 1] != '}')
		return bad_reply(line->str, len, f);
	ret->result = line->str + head;
	ret->result_len = len - head - 1;
	return EXIT_OK;
}

static enum exit_code start(
	struct wire *w, const char *request, struct client_reply *ret, struct failure *f)
{
	enum exit_code code;
	size_t len;

	w->end_us = g_get_monotonic_time() + (int64_t)w->o->timeout_ms * 1000;
	code = wire_open(w, f);
	if (!code)
		code = wire_send(w, request, f);
	if (!code)
		code = wire_line(w, &len, f);
	return code ? code : check_reply(w->in, len, ret, f);
}

enum exit_code client_ask(
	const struct options *o, const char *request, struct client_reply *ret, struct failure *f)
{
	struct wire w = { .o = o, .fd = -1, .in = g_string_new(NULL) };
	enum exit_code code = start(&w, request, ret, f);

	if (!code)
		ret->line = g_steal_pointer(&w.in);
	wire_close(&w);
	return code;
}

static enum exit_code listen_on(struct wire *w,
	bool (*line)(const char *text, size_t len, void *user), void *user, struct failure *f)
{
	size_t len = 0;
	enum exit_code code = wire_line(w, &len, f); /* the reply, once more */

	w->end_us = -1;
	while (!code) {
		g_string_erase(w->in, 0, (gssize)len + 1);
		w->scanned = 0;
		code = wire_line(w, &len, f);
		if (!code && !line(w->in->str, len, user))
			break;
	}
	return code;
}

enum exit_code client_listen(const struct options *o, const char *request,
	bool (*line)(const char *text, size_t len, void *user), void *user, struct failure *f)
{
	struct wire w = { .o = o, .fd = -1, .in = g_string_new(NULL) };
	struct client_reply reply = { 0 };
	enum exit_code code = start(&w, request, &reply, f);

	if (!code)
		code = listen_on(&w, line, user, f);
	wire_close(&w);
	return code;
}

/* Setup keys go out, private keys come in with an export. */
static void free_wiped(GString *s)
{
	explicit_bzero(s->str, s->allocated_len);
	g_string_free(s, TRUE);
}

void client_reply_done(struct client_reply *reply)
{
	if (reply->line)
		free_wiped(reply->line);
	*reply = (struct client_reply){ 0 };
}

json_t *client_reply_parse(const struct client_reply *reply, struct failure *f)
{
	json_error_t error;
	json_t *root = json_loadb(reply->result, reply->result_len, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(root))
		return root;
	json_decref(root);
	failure_set(f, EXIT_FAILED, NULL, "lapwingd's answer is no JSON: %s", error.text);
	return NULL;
}

GString *client_request_sized(const char *command, size_t room)
{
	GString *request = g_string_sized_new(room + strlen(command) + 64);

	jwrite_open(request, NULL, '{');
	jwrite_int(request, "v", 1);
	jwrite_string(request, "command", command);
	return request;
}

GString *client_request(const char *command)
{
	return client_request_sized(command, 1024);
}

const char *client_request_end(GString *request)
{
	jwrite_close(request, '}');
	return g_string_append_c(request, '\n')->str;
}

json_t *client_ask_parsed(const struct options *o, GString *request, struct failure *f)
{
	struct client_reply reply = { 0 };
	json_t *root = NULL;

	f->code = client_ask(o, client_request_end(request), &reply, f);
	if (!f->code)
		root = client_reply_parse(&reply, f);
	client_reply_done(&reply);
	free_wiped(request);
	return root;
}

json_t *client_ask_document(const struct options *o, GString *request, enum exit_code *ret_code)
{
	struct client_reply reply = { 0 };
	json_t *root = NULL;
	struct failure f;

	*ret_code = client_ask(o, client_request_end(request), &reply, &f);
	if (!*ret_code) {
		root = client_reply_parse(&reply, &f);
		*ret_code = root ? EXIT_OK : f.code;
	}
	if (!root)
		failure_report(o, &f);
	else if (o->json)
		printf("%.*s\n", (int)reply.result_len, reply.result);
	client_reply_done(&reply);
	free_wiped(request);
	return root;
}
