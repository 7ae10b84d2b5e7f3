/* agent/daemon.c - ordered start and stop; the loop; both files and their reloading. */
#include "agent/daemon.h"

#include <errno.h>
#include <glib-unix.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/exitcode.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/control.h"
#include "agent/engine.h"
#include "agent/events.h"
#include "agent/files.h"
#include "agent/kernel.h"
#include "agent/notify.h"
#include "agent/privs.h"
#include "agent/requests.h"
#include "agent/resolve.h"
#include "agent/state.h"
#include "agent/watch.h"
#include "mgmt/meshupdate.h"
#include "mgmt/netmap.h"

enum { DEBOUNCE_MS = 200 };

struct daemon {
	GMainLoop *loop;
	char *config_path;
	struct config *config;
	bool fixed_log_level;
	struct state *state;
	struct control *control;
	struct requests *requests;
	struct kernel *kernel;
	struct engine *engine;
	struct resolve *resolve;
	struct watch *watch;
	struct events *events;
	GSource *work; /* drives the engine */
	guint signals, mesh_again, ticks;
	int signal_fd;
	int64_t start_ms;
	bool placed; /* the interface stands: told to the service manager */
	int exit_code;
};

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

int64_t daemon_uptime_s(const struct daemon *d)
{
	return (daemon_now_ms() - d->start_ms) / 1000;
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

static int read_psk(const char *path, struct wg_key *ret, void *user)
{
	return key_read_file(path, ret);
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
	.read_psk = read_psk,
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
	notify_ready();
}

/* One step a turn, so that the control socket and timers are served in between. */
static gboolean work(gpointer user)
{
	struct daemon *d = user;
	int64_t next = engine_step(d->engine, daemon_now_ms());

	events_refilter(d->events);
	check_placed(d);
	if (next != 0 && engine_is_settled(d->engine)) {
		requests_settled(d->requests);
		notify_status("%zu peers", engine_count_peers(d->engine));
	}
	g_source_set_ready_time(d->work, next == ENGINE_NEVER ? -1 : next * 1000);
	return G_SOURCE_CONTINUE;
}

static gboolean dispatch_work(GSource *source, GSourceFunc callback, gpointer user)
{
	return callback(user);
}

static GSourceFuncs work_funcs = { .dispatch = dispatch_work };

static void start_work(struct daemon *d)
{
	d->work = g_source_new(&work_funcs, sizeof(GSource));
	g_source_set_callback(d->work, work, d, NULL);
	g_source_attach(d->work, NULL);
	g_source_set_ready_time(d->work, 0);
}

/* -- the two files -------------------------------------------------------------------------- */

/* Everything is read and checked before anything is replaced. False: nothing was changed. */
static bool take_mesh(
	struct daemon *d, const struct config *config, char error[static FILES_ERROR_MAX])
{
	_auto_wipe_ struct wg_key key = { 0 };
	struct wg_key own;
	struct netmap *map;

	if (files_key(config, state_dir(d->state), &key, error) < 0)
		return false;
	key_public_from_private(&key, &own);
	map = files_mesh(config, &own, error);
	if (!map)
		return false;
	engine_set_private_key(d->engine, &key);
	engine_set_config(d->engine, config);
	engine_set_map(d->engine, map, daemon_now_ms());
	malloc_trim(0);
	log_info("mesh %s: %zu peers", map->mesh, engine_count_peers(d->engine));
	return true;
}

/* False: more has changed than can be patched, or it cannot be read. */
static bool patch_mesh(struct daemon *d)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	const struct netmap *map = engine_map(d->engine);
	char error[FILES_ERROR_MAX];
	g_autofree char *text = NULL;
	size_t len, n;

	if (!map || files_mesh_text(d->config, &text, &len, error) < 0 ||
		meshupdate_read(text, len, map, patches, &n) < 0)
		return false;
	engine_patch_map(d->engine, patches, n, daemon_now_ms());
	log_info("mesh %s: %zu endpoints changed", map->mesh, n);
	return true;
}

static gboolean mesh_changed_for_good(gpointer user)
{
	struct daemon *d = user;
	char error[FILES_ERROR_MAX];

	d->mesh_again = 0;
	if (!patch_mesh(d) && !take_mesh(d, d->config, error)) {
		log_error("%s; the mesh stays as it is", error);
		engine_set_map_problem(d->engine, error);
	}
	daemon_kick(d);
	return G_SOURCE_REMOVE;
}

/* An editor writes several times: wait until it is quiet. */
static void mesh_changed(void *user)
{
	struct daemon *d = user;

	g_clear_handle_id(&d->mesh_again, g_source_remove);
	d->mesh_again = g_timeout_add(DEBOUNCE_MS, mesh_changed_for_good, d);
}

static void watch_mesh(struct daemon *d)
{
	int r;

	g_clear_pointer(&d->watch, watch_close);
	if (!d->config->mesh_file)
		return;
	r = watch_open(d->config->mesh_file, mesh_changed, d, &d->watch);
	if (r < 0)
		log_warn_errno(
			r, "cannot watch %s, tell me of changes by SIGHUP", d->config->mesh_file);
}

static void apply_log(struct daemon *d, const struct config *config)
{
	int r = log_open(config->log.target, config->log.file);

	if (r < 0)
		log_warn_errno(
			r, "cannot log to %s", config->log.file ? config->log.file : "the journal");
	if (!d->fixed_log_level)
		log_set_level(config->log.level);
}

void daemon_reload(struct daemon *d)
{
	char error[FILES_ERROR_MAX];
	struct config *config = files_config(d->config_path, error);
	bool good = config != NULL;

	notify_reloading();
	if (good && config->mesh_file)
		good = take_mesh(d, config, error);
	else if (good && d->config->mesh_file) {
		g_strlcpy(error, "mesh_file is gone from the configuration: lapwing down first",
			sizeof(error));
		good = false;
	}
	if (good) {
		bool moved = g_strcmp0(config->mesh_file, d->config->mesh_file) != 0;

		engine_set_config(d->engine, config);
		files_config_free(d->config);
		d->config = config;
		apply_log(d, config);
		/* The watch that is there may hold news of the file. */
		if (moved) {
			watch_mesh(d);
			mesh_changed(d);
		}
		log_info("configuration read again");
	} else {
		files_config_free(config);
		log_error("%s; everything stays as it is", error);
		engine_set_map_problem(d->engine, error);
	}
	if (d->placed)
		notify_ready();
	daemon_kick(d);
}

/* -- state ---------------------------------------------------------------------------------- */

bool daemon_is_down(const struct daemon *d)
{
	return state_is_down(d->state);
}

int daemon_set_down(struct daemon *d, bool down)
{
	int r = state_set_down(d->state, down);

	engine_set_down(d->engine, down, daemon_now_ms());
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
	control_probe(d->control, served, d);
	daemon_kick(d);
	return G_SOURCE_CONTINUE;
}

static gboolean on_signal(int fd, GIOCondition condition, gpointer user)
{
	struct signalfd_siginfo info;
	struct daemon *d = user;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			daemon_reload(d);
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
	};
	g_autofree struct wg_key *recorded = NULL;
	int r = kernel_open(&d->kernel);

	if (r < 0)
		return fail(EXIT_NOT_APPLICABLE, r, "open", "routing netlink");
	r = state_load_peers(d->state, &recorded, &identity.n_recorded);
	if (r < 0)
		log_warn_errno(r, "cannot read which peers were ours, going on without");
	identity.recorded_peers = recorded;
	d->engine = engine_new(d->kernel, &engine_ops, d, &identity);
	d->resolve = resolve_new(looked_up, d);
	engine_set_config(d->engine, d->config);
	return EXIT_OK;
}

/* The control socket must serve even when there is nothing else to do. */
static int open_mesh(struct daemon *d)
{
	char error[FILES_ERROR_MAX];

	if (!d->config->mesh_file) {
		log_info("no mesh is configured, waiting");
		return EXIT_OK;
	}
	if (!privs_has_net_admin()) {
		log_error("CAP_NET_ADMIN is missing: start me as root, by the service manager, or "
			  "with that capability");
		return EXIT_PERMISSION;
	}
	if (!take_mesh(d, d->config, error)) {
		log_error("%s", error);
		return EXIT_CONFIG;
	}
	engine_set_down(d->engine, state_is_down(d->state), daemon_now_ms());
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
	apply_log(d, d->config);
	if ((code = open_state(d, o->state_dir)) || (code = open_engine(d)) ||
		(code = open_control(d, o->run_dir)))
		return code;
	log_info("lapwingd %s as %s", LAPWING_VERSION,
		privs_describe(privileges, sizeof(privileges)));
	if (!privs_has_net_raw())
		log_warn("CAP_NET_RAW is missing: waking peers will not work");
	d->events = events_new(d->engine, something_happened, d);
	watch_mesh(d); /* before the first reading: what is written after that is heard */
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
	d->signal_fd = -1;
	d->start_ms = daemon_now_ms();
	d->config_path = g_strdup(o->config_path);
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
	log_info("stopping, the tunnels stay");
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
	if (d->work) {
		g_source_destroy(d->work);
		g_source_unref(d->work);
	}
	watch_close(d->watch);
	events_free(d->events);
	resolve_free(d->resolve);
	control_close(d->control);
	requests_free(d->requests);
	engine_free(d->engine);
	kernel_close(d->kernel);
	state_close(d->state);
	files_config_free(d->config);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	g_main_loop_unref(d->loop);
	g_free(d->config_path);
	g_free(d);
	log_close();
}
