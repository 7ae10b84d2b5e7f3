/* agent/daemon_impl.h - the daemon's inside, shared by its two files. */
#pragma once

#include <glib.h>

#include "agent/daemon.h"
#include "agent/files.h"

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
	struct network *network;
	struct resolve *resolve;
	struct watch *watch;
	struct events *events;
	struct recent *recent;
	GSource *work; /* drives the engine */
	guint signals, mesh_again, ticks;
	int signal_fd;
	int64_t start_ms;
	bool taking_down; /* that is all that is wanted */
	bool placed; /* the interface stands: told to the service manager */
	int exit_code;
};

/* daemon_files.c */
/* Everything is read and checked before anything is replaced. False: nothing was changed. */
bool daemon_take_mesh(struct daemon *d, const struct config *config, GString *difference,
	char error[static FILES_ERROR_MAX]);
/* Why a mesh file has no effect on a host that has joined a network. */
void daemon_explain_mesh_file(const struct daemon *d, char error[static FILES_ERROR_MAX]);
void daemon_watch_mesh(struct daemon *d);
void daemon_apply_log(struct daemon *d, const struct config *config);
