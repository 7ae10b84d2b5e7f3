/* agent/control_impl.h - what control.c (the socket) and control_client.c (one caller) share. */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#include "agent/control.h"

struct client {
	struct control *control;
	uint32_t id;
	int fd;
	guint source;
	GIOCondition watched;
	enum control_access access;
	bool monitor;
	bool asking; /* a request is with control_fn, its reply is due */
	bool secret; /* the answer is to be wiped */
	bool in_handler; /* control_fn runs for this client right now */
	bool eof; /* nothing more will come in */
	bool closing; /* to be closed when `out` is flushed */
	bool doomed; /* shut down, waiting for its dispatch */
	GString *in; /* what came in and was not handled yet; NULL: nothing */
	GString *out; /* what goes out; NULL: nothing */
	size_t sent; /* of out */
	uint64_t lost; /* events dropped since the queue was full; 0: it is not */
	int64_t partial_since_us; /* a request began and did not end; 0: none */
	int64_t progress_us; /* the reader last took something of `out` */
};

struct control {
	control_fn fn;
	void *user;
	char *path;
	struct stat made; /* the socket file, to remove only our own */
	uid_t own;
	gid_t group;
	int listen_fd, spare_fd;
	guint listen_source, pause_source, timer;
	int64_t request_us, stall_us;
	uint32_t next_id;
	size_t n_clients, n_monitors;
	struct client *clients[CONTROL_CLIENTS_MAX];
	struct {
		int fd;
		guint source;
		void (*served)(void *user);
		void *user;
	} probe;
};

/* Takes the descriptor; there must be room. */
void client_new(struct control *control, int fd, enum control_access access);
void client_free(struct client *c);
struct client *client_find(const struct control *control, uint32_t id);
/* Takes the line: the answer to the request that is being worked on. */
void client_answer(struct client *c, GString *line);
/* An event, or a count of what was lost when the reader is too slow. */
void client_event(struct client *c, const GString *line);
/* Sets the one timer to the first deadline of any client; none: no timer. */
void client_arm_timer(struct control *control);

/* One line each; control_result_line takes `result`. */
GString *control_error_line(enum exit_code code, const char *hint, const char *message);
GString *control_result_line(GString *result);
