/* agent/network.h - membership in a network that a management server runs: joining, following, leaving.
 *
 * Owns the client of that server. What the server says becomes the engine's map, within the limits of the
 * local policy; the last map is kept on disk for a start without the server. Nothing that the server does
 * or fails to do takes a tunnel down. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/exitcode.h"
#include "agent/engine.h"

struct config;
struct engine;
struct network;

enum { NETWORK_ERROR_MAX = 512 };

/* The outcome of something asked for: *message is one line, the hint may be NULL. */
struct network_outcome {
	enum exit_code code; /* of an error; in the document of a change, what its waiting comes to */
	bool changed;
	const char *message, *hint;
	int until; /* as it was given */
	bool settle; /* what follows in the kernel is to be waited for */
	const char *schema; /* of the answer */
	const char *members; /* more of them, as JSON text; NULL: none */
};
typedef void (*network_done_fn)(uint32_t id, const struct network_outcome *outcome, void *user);

struct network_ops {
	void (*changed)(
		void *user); /* the engine has something to do, or who waits may look again */
	network_done_fn
		done; /* of what was begun with this id; from the loop or from the call itself */
};

struct network *network_new(const char *state_dir, const struct config *config,
	struct engine *engine, const struct network_ops *ops, void *user);
void network_free(struct network *n); /* NULL is fine */
/* The configuration was read again: borrowed until the next one, and applied to the last map. */
void network_set_config(struct network *n, const struct config *config);

/* At the start of the daemon: if a network was joined, its last map comes into force and its server is
 * followed. 0; -ENOENT: none was joined; another negative errno: `error` is one line. */
int network_open(struct network *n, bool down, char error[static NETWORK_ERROR_MAX]);
bool network_is_joined(const struct network *n);
const char *network_url(const struct network *n); /* NULL: none was joined */
/* The server is connected, and its map in force. */
bool network_is_connected(const struct network *n);
/* How often its server could not be joined; a number for network_refused. */
uint64_t network_failures(const struct network *n);
/* Since there were so many failures the server has said no, or is not to be trusted, and waiting does not help: the
 * exit status for that, and one line. EXIT_OK: it may still come. */
enum exit_code network_refused(
	const struct network *n, uint64_t failures, char error[static NETWORK_ERROR_MAX]);
/* `down` and `up`: ends and begins following. */
void network_set_down(struct network *n, bool down);
/* Once a minute. */
void network_tick(struct network *n);
/* This host may have other addresses now. */
void network_moved(struct network *n);

struct network_enrolment {
	const char *url, *setup_key, *hostname; /* hostname: NULL: the host's */
	bool force;
	int until; /* what the caller waits for then: only carried along */
};
void network_enroll(struct network *n, uint32_t id, const struct network_enrolment *e);
void network_deregister(struct network *n, uint32_t id, bool purge);
/* The profile of another agent, as JSON text: takes over who that host is. */
void network_import(struct network *n, uint32_t id, const char *profile, size_t len, bool force);
/* And the way back: the profile as JSON text, to be wiped by profile_text_free; NULL with a line in
 * `error` when no network was joined. */
GString *network_export(const struct network *n, char error[static NETWORK_ERROR_MAX]);

/* The engine says what becomes of a peer, and asks what is known of the way to it. */
void network_path(struct network *n, const struct wg_key *key, enum engine_need need);
void network_write_path(const struct network *n, GString *out, const struct wg_key *key);

/* Members of the status document: "control", and what a map says beyond peers with `detail`. */
/* Members of the samples document: how long the stages of the network took. */
void network_write_samples(struct network *n, GString *out);
/* Items of the list "pools". */
void network_write_pools(const struct network *n, GString *out);
void network_write_status(const struct network *n, GString *out, bool detail);
