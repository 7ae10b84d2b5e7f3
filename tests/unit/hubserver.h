/* tests/unit/hubserver.h - the test hub and its proxy as processes, and a client whose callbacks are noted. */
#pragma once

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "mgmt/client.h"
#include "mgmt/detail.h"
#include "mgmt/netmap.h"
#include "mgmt/update.h"

struct hub {
	GSubprocess *process;
	char *directory, *control;
	int port, tls_port, signal_port;
};

/* A test that fails leaves nothing behind. */
static inline void hub_dies_with_us(gpointer user)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* A program of tests/hub; `arguments` is NULL-terminated; more than that for the control socket. */
static inline void hub_spawn(struct hub *h, const char *program, const char *const arguments[])
{
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GSubprocessLauncher) launcher = NULL;
	g_autoptr(GDataInputStream) out = NULL;
	g_autofree char *line = NULL;
	json_t *ready;

	if (!h->directory)
		h->directory = g_dir_make_tmp("hub.XXXXXX", NULL);
	g_free(h->control);
	h->control = g_build_filename(h->directory, "control", NULL);
	g_ptr_array_add(argv, g_strdup("/usr/bin/python3"));
	g_ptr_array_add(argv, g_strdup(program));
	g_ptr_array_add(argv, g_strdup("--control"));
	g_ptr_array_add(argv, g_strdup(h->control));
	for (; *arguments; arguments++)
		g_ptr_array_add(argv, g_strdup(*arguments));
	g_ptr_array_add(argv, NULL);
	launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE);
	g_subprocess_launcher_set_child_setup(launcher, hub_dies_with_us, NULL, NULL);
	h->process = g_subprocess_launcher_spawnv(launcher, (const char *const *)argv->pdata, NULL);
	g_assert_nonnull(h->process);
	out = g_data_input_stream_new(g_subprocess_get_stdout_pipe(h->process));
	line = g_data_input_stream_read_line(out, NULL, NULL, NULL);
	g_assert_nonnull(line);
	ready = json_loads(line, 0, NULL);
	h->port = (int)json_integer_value(json_object_get(ready, "port"));
	h->tls_port = (int)json_integer_value(json_object_get(ready, "tls_port"));
	h->signal_port = (int)json_integer_value(json_object_get(ready, "signal_port"));
	json_decref(ready);
}

/* More arguments than those for listening. */
static inline void hub_start(struct hub *h, int port, const char *const arguments[])
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	g_autofree char *listen = g_strdup_printf("127.0.0.1:%d", port);

	g_ptr_array_add(all, (gpointer)(uintptr_t) "--listen");
	g_ptr_array_add(all, listen);
	for (; *arguments; arguments++)
		g_ptr_array_add(all, (gpointer)(uintptr_t)*arguments);
	g_ptr_array_add(all, NULL);
	hub_spawn(h, "tests/hub/hub.py", (const char *const *)all->pdata);
}

/* An authority ca.pem, another ca2.pem, and cert.pem with key.pem of the first one for localhost. */
static inline void hub_make_certificates(const char *directory)
{
	g_autofree char *script = g_strdup_printf(
		"cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem && "
		"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca2 -keyout ca2.key -out ca2.pem && "
		"openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out req.pem && "
		"printf 'subjectAltName=DNS:localhost\\n' >ext && "
		"openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
		directory);
	g_autoptr(GSubprocess) sh = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDERR_SILENCE | G_SUBPROCESS_FLAGS_STDOUT_SILENCE, NULL, "sh",
		"-c", script, NULL);

	g_assert_true(g_subprocess_wait_check(sh, NULL, NULL));
}

static inline void hub_kill(struct hub *h)
{
	g_subprocess_force_exit(h->process);
	g_subprocess_wait(h->process, NULL, NULL);
	g_clear_object(&h->process);
}

static inline void hub_stop(struct hub *h)
{
	g_autoptr(GSubprocess) rm = NULL;

	if (h->process)
		hub_kill(h);
	rm = g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, "rm", "-rf", h->directory, NULL);
	g_subprocess_wait(rm, NULL, NULL);
	g_free(h->directory);
	g_free(h->control);
}

/* The result of a command; json_decref it. The request is JSON with ' for ". */
__attribute__((format(printf, 2, 3))) static inline json_t *hub_tell(
	const struct hub *h, const char *format, ...)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(h->control);
	g_autoptr(GSocketConnection) connection = g_socket_client_connect(
		client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
	GIOStream *stream = G_IO_STREAM(connection);
	g_autoptr(GDataInputStream) in = NULL;
	g_autofree char *request = NULL, *line = NULL;
	json_t *reply, *result;
	va_list args;

	g_assert_nonnull(connection);
	va_start(args, format);
	request = g_strdup_vprintf(format, args);
	va_end(args);
	g_strdelimit(request, "'", '"');
	g_output_stream_write_all(
		g_io_stream_get_output_stream(stream), request, strlen(request), NULL, NULL, NULL);
	g_output_stream_write_all(g_io_stream_get_output_stream(stream), "\n", 1, NULL, NULL, NULL);
	in = g_data_input_stream_new(g_io_stream_get_input_stream(stream));
	line = g_data_input_stream_read_line(in, NULL, NULL, NULL);
	g_assert_nonnull(line);
	reply = json_loads(line, JSON_DECODE_ANY, NULL);
	if (!json_is_true(json_object_get(reply, "ok")))
		g_error("%s: %s", request, line);
	result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return result;
}

#define hub_do(...) json_decref(hub_tell(__VA_ARGS__))

static inline char *hub_text(const struct hub *h, const char *request)
{
	json_t *result = hub_tell(h, "%s", request);
	char *text = g_strdup(json_string_value(result));

	json_decref(result);
	return text;
}

/* How often this peer (key; "": anybody) called a method. The hub itself only counts peers that it has. */
static inline int hub_count(const struct hub *h, const char *method, const char *peer)
{
	json_t *requests = hub_tell(h, "{'do': 'requests', 'method': '%s'}", method), *request;
	size_t i;
	int n = 0;

	json_array_foreach(requests, i, request) n += !*peer ||
		!g_strcmp0(json_string_value(json_object_get(request, "peer")), peer);
	json_decref(requests);
	return n;
}

/* Is that peer's Job stream open? */
static inline bool hub_has_job(const struct hub *h, const char *peer)
{
	json_t *known = hub_tell(h, "{'do': 'peer', 'peer': '%s'}", peer);
	bool has = json_is_true(json_object_get(known, "job"));

	json_decref(known);
	return has;
}

/* -- a client ------------------------------------------------------------------------------- */

struct follower {
	struct mgmt_client *client;
	struct wg_key private_key;
	char key[KEY_STRLEN]; /* public */
	int updates, logins, maps, enrolled, changes, logged_out;
	uint64_t serial; /* of the last map */
	size_t hosts; /* in it */
	enum mgmt_failure outcome;
	char error[MGMT_ERROR_MAX];
	int64_t first_map_us;
	bool free_in_update;
};

static inline void follower_update(
	struct update *update, GBytes *message, bool from_login, void *user)
{
	struct follower *f = user;

	g_assert_true(from_login || message);

	f->updates++;
	f->logins += from_login;
	if (!from_login && update->map) {
		if (!f->maps++)
			f->first_map_us = g_get_monotonic_time();
		f->serial = update->serial;
		f->hosts = update->map->n_hosts;
	}
	update_free(update);
	if (f->free_in_update)
		g_clear_pointer(&f->client, mgmt_client_free);
}

static inline void follower_changed(void *user)
{
	((struct follower *)user)->changes++;
}

static inline void follower_enrolled(enum mgmt_failure failure, const char *error, void *user)
{
	struct follower *f = user;

	f->enrolled++;
	f->outcome = failure;
	g_strlcpy(f->error, error, sizeof(f->error));
}

static inline void follower_logged_out(enum mgmt_failure failure, const char *error, void *user)
{
	struct follower *f = user;

	f->logged_out++;
	f->outcome = failure;
	g_strlcpy(f->error, error, sizeof(f->error));
}

static inline void follower_new(
	struct follower *f, const char *url, const struct mgmt_options *more)
{
	static const struct mgmt_callbacks callbacks = { .update = follower_update,
		.changed = follower_changed,
		.enrolled = follower_enrolled };
	struct mgmt_options options = more ? *more : (struct mgmt_options){ 0 };
	struct wg_key public_key;

	if (key_is_zero(&f->private_key))
		key_generate_private(&f->private_key);
	key_public_from_private(&f->private_key, &public_key);
	key_format(&public_key, f->key);
	options.url = url;
	options.private_key = &f->private_key;
	options.max_peers = options.max_peers ? options.max_peers : 100000;
	f->client = mgmt_client_new(&options, &callbacks, f);
}

static inline void follower_free(struct follower *f)
{
	mgmt_client_free(f->client);
	key_wipe(&f->private_key);
}

static inline struct mgmt_status follower_status(const struct follower *f)
{
	struct mgmt_status status;

	mgmt_client_get_status(f->client, &status);
	return status;
}

static inline gboolean follower_tick(gpointer user)
{
	return G_SOURCE_CONTINUE;
}

/* Runs the loop until the condition holds; fails after four times so many milliseconds, for machines with
 * much else to do. */
#define AWAIT(ms, condition) \
	do { \
		guint tick_ = g_timeout_add(10, follower_tick, NULL); \
		int64_t until_ = g_get_monotonic_time() + (ms) * (int64_t)4000; \
		while (!(condition)) { \
			if (g_get_monotonic_time() > until_) \
				g_error("%s:%d: not within 4 x %d ms: %s", __FILE__, __LINE__, \
					(int)(ms), #condition); \
			g_main_context_iteration(NULL, TRUE); \
		} \
		g_source_remove(tick_); \
	} while (0)

#define IS(f, which) (follower_status(f).state == (which))
