/* mgmt/client.h - follows a management server: logs in, keeps the Sync stream, answers what it asks.
 *
 * What to do when is decided in mgmt/session.h (pure); this does it, on agent/rpc/grpc.h. Nothing that the
 * server does or fails to do ends the client: it retries, and says how it is. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/key.h"
#include "agent/rpc/stream.h"
#include "mgmt/meta.h"

struct mgmt_client;
struct netmap;
struct update;

enum { MGMT_SETUP_KEY_MAX = 128, MGMT_ERROR_MAX = 512, MGMT_LABELS_MAX = 32 };

/* Copied, the key too. */
struct mgmt_options {
	const char *url; /* checked by mgmt_url_parse */
	const char *address; /* where it was last: tried when its name is not found; NULL: unknown */
	const char *ca_file, *ca_dir, *client_cert, *client_key; /* NULL: none */
	uint32_t mark; /* of its socket */
	const struct wg_key *private_key;
	size_t max_peers;
	const char *hostname; /* NULL: that of the host */
	const char *const *dns_labels; /* NULL-terminated; NULL: none */
	/* Path prefixes that a server may ask about; NULL: none. Not on network file systems: a look there
	 * may hang. */
	const char *const *file_checks;
	const char *interface; /* its addresses are not told */
	struct meta_switches switches;
	bool jobs; /* jobs are taken: still answered with "not implemented", else refused */
};

enum mgmt_state {
	MGMT_STOPPED,
	MGMT_CONNECTING, /* to the server, or logging in */
	MGMT_CONNECTED, /* the Sync stream gave a message */
	MGMT_WAITING, /* something failed, the next try is at `next_ms` */
	MGMT_LOGIN_NEEDED, /* the server does not know us (any more): no further tries */
};

/* Why an attempt failed; also the outcome of an enrolment. */
enum mgmt_failure {
	MGMT_OK,
	MGMT_UNREACHABLE, /* name, connection, timeout, unavailable */
	MGMT_TLS,
	MGMT_KEY_REFUSED, /* the setup key is unknown, expired, used up */
	MGMT_KEY_NEEDED, /* not known there, and no setup key was given */
	MGMT_DENIED, /* blocked, pending, expired login, ... */
	MGMT_PROTOCOL, /* what came makes no sense */
	MGMT_SERVER_KEY_CHANGED, /* over cleartext, see mgmt_trust_key */
	MGMT_REFUSED, /* any other answer of the server */
};

struct mgmt_status {
	enum mgmt_state state;
	enum mgmt_failure failure; /* of the last attempt */
	char error[MGMT_ERROR_MAX]; /* one line; "" when it is well */
	int64_t since_ms; /* it is so (monotonic); connecting and waiting are one: not connected */
	int64_t next_ms; /* MGMT_WAITING */
	int64_t message_ms; /* the last message of the stream; 0: none */
	uint64_t connects, failures; /* how attempts ended */
	uint64_t serial, attempts, messages, dropped; /* dropped: messages that could not be used */
	char address[64]; /* of the server; "" unknown */
	uint64_t logins; /* that have ended; of the last one: */
	int64_t login_ms; /* it took */
	bool login_worked;
	bool cleartext; /* http:// outside loopback */
	bool job_unsupported;
	size_t files_refused; /* paths that policy.file_checks does not allow */
	size_t jobs_refused; /* since the beginning, as jobs are not allowed */
};

struct mgmt_callbacks {
	/* Takes the update; `message` are the plain bytes of the stream that it was made from, wiped with the
	 * last reference. The first of each login comes from its answer (from_login, without bytes), which has a
	 * map with us alone and is not to replace one that is in force. */
	void (*update)(struct update *update, GBytes *message, bool from_login, void *user);
	/* A message of the stream is there, of so many bytes, and will be opened: time to let go of what the one
	 * before has left. May be NULL. */
	void (*arriving)(size_t len, void *user);
	/* The map in force, or NULL: what has not changed since is copied from it. May be NULL. */
	const struct netmap *(*last_map)(void *user);
	/* mgmt_client_get_status says something new. */
	void (*changed)(void *user);
	/* A registration (mgmt_client_start with a setup key) has ended; once. */
	void (*enrolled)(enum mgmt_failure failure, const char *error, void *user);
};

struct mgmt_client *mgmt_client_new(
	const struct mgmt_options *options, const struct mgmt_callbacks *callbacks, void *user);
/* Ends the stream; says nothing to the server. NULL is fine. */
void mgmt_client_free(struct mgmt_client *client);

/* Logs in and follows, from the beginning if it does already. With a setup key (may be NULL; shorter than
 * MGMT_SETUP_KEY_MAX; wiped after use) it registers if the server asks for it, calls enrolled() and gives
 * up on errors that do not go away by waiting, and after 2 minutes: then it is MGMT_LOGIN_NEEDED if the
 * server refused, else MGMT_STOPPED. Callbacks never run inside of these calls; from a callback all of
 * them may be called, mgmt_client_free too. */
void mgmt_client_start(struct mgmt_client *client, const char *setup_key);
void mgmt_client_stop(struct mgmt_client *client);
/* Deletes this peer at the server, in one try; `done` is called once, except after mgmt_client_free.
 * Stops following. */
void mgmt_client_logout(struct mgmt_client *client,
	void (*done)(enum mgmt_failure failure, const char *error, void *user), void *user);
/* Something has changed that may help: try now, also after MGMT_LOGIN_NEEDED, but not within 5 seconds
 * of the last try. */
void mgmt_client_retry(struct mgmt_client *client);
void mgmt_client_get_status(const struct mgmt_client *client, struct mgmt_status *ret);
/* The paths that the server asks about now, allowed or not; NULL-terminated, valid till the loop runs. */
const char *const *mgmt_client_files(const struct mgmt_client *client);

/* A server makes itself a new key at each of its starts, so over TLS and on loopback any key is taken: the
 * connection vouches for it. Over http:// elsewhere nothing does. There the first key that opened a message
 * is kept to, and another one is MGMT_SERVER_KEY_CHANGED: it gets no setup key, and its maps are not
 * taken, till it is trusted. So each restart of such a server wants a word of the operator; https:// does
 * not. `key`: one remembered, or told by the server's operator; NULL: take the next one. Tries again. */
void mgmt_client_trust_key(struct mgmt_client *client, const struct wg_key *key);
/* The key that it used last; false: none yet. */
bool mgmt_client_server_key(const struct mgmt_client *client, struct wg_key *ret);

/* "HTTPS://Host/" to "https://host:443", always with the port; 0, or -EINVAL with one line. *ret is
 * g_malloc'ed. A path, query or user in it is an error that says so. */
int mgmt_url_parse(const char *text, char **ret, char error[static MGMT_ERROR_MAX]);
/* http:// to another host: everything but the sealed bodies can be read on the way. */
bool mgmt_url_is_cleartext(const char *url);
const char *mgmt_state_name(enum mgmt_state state);
const char *mgmt_failure_name(enum mgmt_failure failure);
