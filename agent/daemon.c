/* agent/daemon.c - ordered start and stop; the loop; what the engine needs from outside. */
#include "agent/daemon_impl.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/due.h"
#include "agent/base/exitcode.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/control.h"
#include "agent/engine.h"
#include "agent/events.h"
#include "agent/kernel.h"
#include "agent/network.h"
#include "agent/notify.h"
#include "agent/privs.h"
#include "agent/recent.h"
#include "agent/requests.h"
#include "agent/resolve.h"
#include "agent/runtime.h"
#include "agent/state.h"
#include "agent/watch.h"
#include "mgmt/netmap.h"

int64_t daemon_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

struct engine *daemon_engine(struct daemon *d)
{
	return d->engine;
}

struct control *daemon_control(struct daemon *d)
{
	return d->control;
}

struct network *daemon_network(struct daemon *d)
{
	return d->network;
}

const struct config *daemon_config(const struct daemon *d, const char **ret_path)
{
	*ret_path = d->config_path;
	return d->config;
}

int64_t daemon_uptime_s(const struct daemon *d)
{
	return (daemon_now_ms() - d->start_ms) / 1000;
}

const struct kernel *daemon_kernel(const struct daemon *d)
{
	return d->kernel;
}

const struct recent *daemon_recent(const struct daemon *d)
{
	return d->recent;
}

void daemon_event_counts(const struct daemon *d, uint64_t *ret_seen, uint64_t *ret_passed)
{
	events_counts(d->events, ret_seen, ret_passed);
}

static void quit(struct daemon *d, int code)
{
	d->exit_code = code;
	g_main_loop_quit(d->loop);
}

static int fail(int code, int r, const char *what, const char *name)
{
	log_error_errno(r, "cannot %s %s", what, name);
	return code;
}

/* -- what the engine needs from outside ----------------------------------------------------- */

static void look_up(uint32_t id, const char *name, void *user)
{
	resolve_start(((struct daemon *)user)->resolve, id, name);
}

static void looked_up(
	uint32_t id, const struct endpoint *addresses, size_t n, const char *error, void *user)
{
	struct daemon *d = user;

	engine_looked_up(d->engine, id, addresses, n, error, daemon_now_ms());
	daemon_kick(d);
}

static void publish(const char *json, void *user)
{
	struct daemon *d = user;

	recent_add(d->recent, json);
	if (d->control && control_has_monitors(d->control))
		control_publish(d->control, json);
}

static int record_failed(int r, const char *what)
{
	static struct log_limit limit = { .cause = "state directory", .burst = 1 };

	if (r < 0 && log_limit_allows(&limit))
		log_warn_errno(r, "cannot write down %s, going on without", what);
	return r;
}

static int record_peers(const struct wg_key *keys, size_t n, void *user)
{
	return record_failed(
		state_save_peers(((struct daemon *)user)->state, keys, n), "our peers");
}

static int record_interface(const char *name, uint32_t table, void *user)
{
	return record_failed(
		state_set_interface(((struct daemon *)user)->state, name, table), "our interface");
}

static int record_memory(const struct engine_memory *memory, size_t n, void *user)
{
	return record_failed(
		state_save_memory(((struct daemon *)user)->state, memory, n), "where peers were");
}

static int record_mtu(uint32_t mtu, void *user)
{
	return record_failed(state_set_mtu(((struct daemon *)user)->state, mtu), "the MTU");
}

static int record_psks(const struct engine_psk_memory *psks, size_t n, void *user)
{
	return record_failed(
		state_save_psks(((struct daemon *)user)->state, psks, n), "pre-shared keys");
}

static int read_psk(const char *path, struct wg_key *ret, void *user)
{
	return key_read_file(path, ret);
}

static void path(const struct wg_key *key, enum engine_need need, void *user)
{
	network_path(((struct daemon *)user)->network, key, need);
}

static void write_path(const struct wg_key *key, GString *out, void *user)
{
	network_write_path(((struct daemon *)user)->network, out, key);
}

static uint32_t random32(void *user)
{
	return g_random_int();
}

static int64_t wall_s(void *user)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

static const struct engine_ops engine_ops = {
	.look_up = look_up,
	.event = publish,
	.record_peers = record_peers,
	.record_interface = record_interface,
	.record_memory = record_memory,
	.record_mtu = record_mtu,
	.record_psks = record_psks,
	.read_psk = read_psk,
	.path = path,
	.write_path = write_path,
	.random = random32,
	.wall_s = wall_s,
};

/* -- the engine's turn ---------------------------------------------------------------------- */

void daemon_kick(struct daemon *d)
{
	if (d->work)
		g_source_set_ready_time(d->work, 0);
}

static void something_happened(void *user)
{
	daemon_kick(user);
}

static void moved(void *user)
{
	struct daemon *d = user;

	if (d->network) /* not yet while it starts */
		network_moved(d->network);
}

static const struct events_ops events_ops = { .happened = something_happened, .moved = moved };

static void tell_status(const struct daemon *d)
{
	notify_status("%zu peers%s", engine_count_peers(d->engine),
		engine_is_settled(d->engine) ? "" : ", being set up");
}

/* The service manager waits for the interface, not for its last peer; what makes a start senseless
 * ends it while nothing else has been done. */
static void check_placed(struct daemon *d)
{
	const char *text;
	int code = engine_problem_code(d->engine, &text);

	if (d->placed)
		return;
	if (!engine_is_placed(d->engine)) {
		if (code == EXIT_IN_USE || code == EXIT_REFUSED || code == EXIT_PERMISSION ||
			code == EXIT_NOT_APPLICABLE)
			quit(d, code);
		return;
	}
	d->placed = true;
	tell_status(d); /* before it is ready: whoever waits for that may ask at once */
	notify_ready();
}

/* One step a turn, so that the control socket and timers are served in between. */
static gboolean work(gpointer user)
{
	struct daemon *d = user;
	int64_t next = engine_step(d->engine, daemon_now_ms());

	events_refilter(d->events);
	check_placed(d);
	requests_look(d->requests);
	if (next != 0 && engine_is_settled(d->engine)) {
		requests_settled(d->requests);
		tell_status(d);
		if (d->taking_down)
			quit(d, EXIT_OK);
	}
	g_source_set_ready_time(d->work, next == ENGINE_NEVER ? -1 : next * 1000);
	return G_SOURCE_CONTINUE;
}

static void start_work(struct daemon *d)
{
	d->work = due_new(work, d, NULL);
	g_source_set_ready_time(d->work, 0);
}

/* -- state ---------------------------------------------------------------------------------- */

bool daemon_is_down(const struct daemon *d)
{
	return d->taking_down || state_is_down(d->state);
}

int daemon_set_down(struct daemon *d, bool down)
{
	int r = state_set_down(d->state, down);

	engine_set_down(d->engine, down, daemon_now_ms());
	network_set_down(d->network, down);
	return r;
}

/* -- time and signals ----------------------------------------------------------------------- */

static void served(void *user)
{
	notify_watchdog();
}

/* The one timer: the loop turns, or it would not run; that the socket serves is asked. */
static gboolean tick(gpointer user)
{
	struct daemon *d = user;

	engine_check(d->engine, daemon_now_ms());
	network_tick(d->network);
	control_probe(d->control, served, d);
	daemon_kick(d);
	return G_SOURCE_CONTINUE;
}

static gboolean on_signal(int fd, GIOCondition condition, gpointer user)
{
	struct signalfd_siginfo info;
	struct daemon *d = user;
	char error[DAEMON_ERROR_MAX];

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			daemon_reload(d, NULL, error); /* it has logged what is wrong */
		else
			quit(d, EXIT_OK);
	}
	return G_SOURCE_CONTINUE;
}

/* Blocked before any library makes a thread, so that they come here and nowhere else. */
static int take_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	d->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (d->signal_fd < 0)
		return -errno;
	d->signals = g_unix_fd_add(d->signal_fd, G_IO_IN, on_signal, d);
	return 0;
}

/* -- start and stop ------------------------------------------------------------------------- */

/* Where we are root and no service manager has made the directories. */
static int become_unprivileged(const struct daemon_options *o)
{
	const char *const dirs[] = { o->state_dir, o->run_dir, NULL };
	const int modes[] = { 0700, 0755 };
	int r;

	for (size_t i = 0; getuid() == 0 && dirs[i]; i++)
		if (g_mkdir_with_parents(dirs[i], modes[i]) < 0)
			return fail(EXIT_FAILED, -errno, "make directory", dirs[i]);
	r = privs_drop("lapwing", dirs);
	return r < 0 ? fail(EXIT_PERMISSION, r, "drop", "privileges") : EXIT_OK;
}

static int open_state(struct daemon *d, const char *dir)
{
	pid_t holder = 0;
	int r = state_open(dir, &d->state, &holder);

	if (r == -EBUSY) {
		log_error("%s is in use by another lapwingd, process %d", dir, (int)holder);
		return EXIT_IN_USE;
	}
	return r < 0 ? fail(EXIT_FAILED, r, "open state directory", dir) : EXIT_OK;
}

static int open_control(struct daemon *d, const char *run_dir)
{
	g_autofree char *path = g_build_filename(run_dir, "control.sock", NULL);
	int r;

	d->requests = requests_new(d);
	r = control_open(path, "lapwing", requests_handle, d->requests, &d->control);
	if (r == -EADDRINUSE) {
		log_error("somebody else serves %s", path);
		return EXIT_IN_USE;
	}
	return r < 0 ? fail(EXIT_FAILED, r, "listen on", path) : EXIT_OK;
}

static int open_engine(struct daemon *d)
{
	struct engine_identity identity = {
		.instance = state_instance(d->state),
		.recorded_interface = state_interface(d->state),
		.recorded_table = state_table(d->state),
		.measured_mtu = state_mtu(d->state),
	};
	g_autofree struct wg_key *recorded = NULL;
	g_autofree struct engine_memory *memory = NULL;
	g_autofree struct engine_psk_memory *psks = NULL;
	int r = kernel_open(&d->kernel);

	if (r < 0)
		return fail(EXIT_NOT_APPLICABLE, r, "open", "routing netlink");
	r = state_load_peers(d->state, &recorded, &identity.n_recorded);
	if (r < 0)
		log_warn_errno(r, "cannot read which peers were ours, going on without");
	identity.recorded_peers = recorded;
	r = state_load_memory(d->state, &memory, &identity.n_memory);
	if (r < 0)
		log_warn_errno(r, "cannot read where peers were, going on without");
	identity.memory = memory;
	r = state_load_psks(d->state, &psks, &identity.n_psks);
	if (r < 0)
		log_warn_errno(r, "cannot read which pre-shared keys were given, going on without");
	identity.psks = psks;
	if (!privs_has_net_raw())
		identity.no_lazy = "CAP_NET_RAW is missing";
	d->engine = engine_new(d->kernel, &engine_ops, d, &identity);
	if (psks)
		explicit_bzero(psks, identity.n_psks * sizeof(*psks));
	d->resolve = resolve_new(looked_up, d);
	engine_set_config(d->engine, d->config);
	return EXIT_OK;
}

static void network_changed(void *user)
{
	struct daemon *d = user;

	requests_look(d->requests);
	daemon_kick(d);
}

static void network_done(uint32_t id, const struct network_outcome *outcome, void *user)
{
	requests_network_done(((struct daemon *)user)->requests, id, outcome);
}

static void open_network(struct daemon *d)
{
	static const struct network_ops ops = { .changed = network_changed, .done = network_done };

	d->network = network_new(state_dir(d->state), d->config, d->engine, &ops, d);
}

/* The control socket must serve even when there is nothing else to do. */
static int open_mesh(struct daemon *d)
{
	char error[FILES_ERROR_MAX];
	bool down = daemon_is_down(d);
	int r = network_open(d->network, down, error);

	/* It serves all the same: what is wrong can be told and mended. */
	if (r < 0 && r != -ENOENT) {
		log_error("%s", error);
		engine_set_map_problem(d->engine, error);
		return EXIT_OK;
	}
	if (r < 0 && !d->config->mesh_file) {
		log_info("no mesh file and no network joined, waiting");
		return EXIT_OK;
	}
	if (!privs_has_net_admin()) {
		log_error("CAP_NET_ADMIN is missing: start me as root, by the service manager, or "
			  "with that capability");
		return EXIT_PERMISSION;
	}
	if (r == 0 && d->config->mesh_file) {
		daemon_explain_mesh_file(d, error);
		log_error("%s", error);
		engine_set_map_problem(d->engine, error);
	} else if (r < 0 && !daemon_take_mesh(d, d->config, NULL, error)) {
		log_error("%s", error);
		return EXIT_CONFIG;
	}
	engine_set_down(d->engine, down, daemon_now_ms());
	return EXIT_OK;
}

static int start_all(struct daemon *d, const struct daemon_options *o)
{
	char privileges[128], error[FILES_ERROR_MAX];
	int code, r;

	d->config = files_config(o->config_path, error);
	if (!d->config) {
		log_error("%s", error);
		return EXIT_CONFIG;
	}
	r = take_signals(d);
	if (r < 0)
		return fail(EXIT_FAILED, r, "take", "signals");
	code = become_unprivileged(o);
	if (code)
		return code;
	/* By the user who opens it again later: a file that root made could not be. */
	daemon_apply_log(d, d->config);
	if ((code = open_state(d, o->state_dir)) || (code = open_engine(d)) ||
		(code = open_control(d, o->run_dir)))
		return code;
	log_info("lapwingd %s as %s", LAPWING_VERSION,
		privs_describe(privileges, sizeof(privileges)));
	if (!privs_has_net_raw())
		log_warn("CAP_NET_RAW is missing: peers are not parked");
	d->events = events_new(d->engine, kernel_packet_fd(d->kernel), &events_ops, d);
	open_network(d);
	daemon_watch_mesh(d); /* before the first reading: what is written after that is heard */
	code = open_mesh(d);
	if (code)
		return code;
	start_work(d);
	d->ticks = g_timeout_add_seconds(ENGINE_CHECK_S, tick, d);
	return EXIT_OK;
}

int daemon_start(const struct daemon_options *o, struct daemon **ret)
{
	struct daemon *d = g_new0(struct daemon, 1);
	int code;

	log_take_glib();
	notify_init();
	d->loop = g_main_loop_new(NULL, FALSE);
	runtime_watch_loop();
	d->recent = recent_new();
	d->signal_fd = -1;
	d->start_ms = daemon_now_ms();
	d->config_path = g_strdup(o->config_path);
	d->taking_down = o->take_down;
	if (o->log_level >= 0) {
		d->fixed_log_level = true;
		log_set_level((enum log_level)o->log_level);
	}
	code = start_all(d, o);
	if (code)
		daemon_free(d);
	else
		*ret = d;
	return code;
}

int daemon_run(struct daemon *d)
{
	g_main_loop_run(d->loop);
	notify_stopping();
	engine_leave(d->engine, daemon_now_ms());
	log_info(d->taking_down ? "stopping" : "stopping, the tunnels stay");
	return d->exit_code;
}

/* The mirror of the start. */
void daemon_free(struct daemon *d)
{
	if (!d)
		return;
	g_clear_handle_id(&d->ticks, g_source_remove);
	g_clear_handle_id(&d->mesh_again, g_source_remove);
	g_clear_handle_id(&d->signals, g_source_remove);
	due_free(d->work);
	watch_close(d->watch);
	events_free(d->events);
	resolve_free(d->resolve);
	control_close(d->control);
	network_free(d->network);
	requests_free(d->requests);
	engine_free(d->engine);
	kernel_close(d->kernel);
	recent_free(d->recent);
	state_close(d->state);
	files_config_free(d->config);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	g_main_loop_unref(d->loop);
	g_free(d->config_path);
	g_free(d);
	log_close();
}
