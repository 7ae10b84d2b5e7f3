/* agent/daemon.h - the loop: binds engine, kernel events, files, names and the control socket. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { DAEMON_ERROR_MAX = 1024 };

struct config;
struct control;
struct daemon;
struct engine;
struct recent;
struct kernel;
struct network;

struct daemon_options {
	const char *config_path, *state_dir, *run_dir;
	int log_level; /* -1: as the configuration says */
	bool take_down; /* remove what we made and end; the next start makes it again */
};

/* Start in order; on failure one line was logged and the result is an exit code. Reads the
 * configuration, becomes unprivileged, takes the state directory, opens socket and kernel, loads
 * the mesh. */
int daemon_start(const struct daemon_options *options, struct daemon **ret);
/* Until a signal; returns the exit code. */
int daemon_run(struct daemon *d);
/* Leaves the tunnels as they are. NULL is fine. */
void daemon_free(struct daemon *d);

/* For requests.c. */
struct engine *daemon_engine(struct daemon *d);
struct control *daemon_control(struct daemon *d);
struct network *daemon_network(struct daemon *d);
/* Both files again. 0; or -EINVAL: one is bad, `error` says how in one line, and nothing was changed. What the new
 * mesh has that the one in force had not is written to `difference` (NULL: not wanted), as a member. */
int daemon_reload(struct daemon *d, GString *difference, char error[static DAEMON_ERROR_MAX]);
/* The configuration in force, and the file that it is from. */
const struct config *daemon_config(const struct daemon *d, const char **ret_path);
/* 0, or -errno when the state directory would not take it: it holds until a restart then. */
int daemon_set_down(struct daemon *d, bool down);
bool daemon_is_down(const struct daemon *d);
/* The engine has something to do. */
void daemon_kick(struct daemon *d);
int64_t daemon_now_ms(void);
int64_t daemon_uptime_s(const struct daemon *d);
const struct kernel *daemon_kernel(const struct daemon *d);
const struct recent *daemon_recent(const struct daemon *d);
void daemon_event_counts(const struct daemon *d, uint64_t *ret_seen, uint64_t *ret_passed);
