/* mgmt/client_impl.h - the inside of the management client, shared by its files only. */
#pragma once

#include <glib.h>

#include "agent/rpc/grpc.h"
#include "mgmt/client.h"
#include "mgmt/session.h"

/* What one line does now: gather what is to be said, ask for the server's key, make the call. */
struct step {
	struct mgmt_client *client;
	enum session_line line;
	uint32_t id; /* of the session; 0: nothing is done */
	enum verdict_call call;
	struct grpc_call *rpc;
	struct meta_gather *gather;
	struct meta *meta;
	struct wg_key server_key;
	struct update *login; /* what came with the answer; NULL: nothing of use */
};

/* A callback that is due: of an enrolment (done NULL) or a logout. */
struct outcome {
	void (*done)(enum mgmt_failure failure, const char *error, void *user);
	void *user;
	enum mgmt_failure failure;
	char error[MGMT_ERROR_MAX];
};

struct mgmt_client {
	struct stream_options server; /* ours; its address is where it was last */
	char *hostname, *interface;
	char **labels, **file_checks;
	struct meta_switches switches;
	bool jobs, cleartext;
	size_t max_peers;
	struct wg_key private_key, public_key;
	const struct mgmt_callbacks *callbacks;
	void *user;

	struct session *session;
	struct grpc_channel *channel; /* NULL: none now */
	unsigned ping_s; /* of the channel before: a server may have found it too often; 0: none yet */
	bool by_address; /* it uses the last known address instead of the name */
	struct step steps[SESSION_LINES];
	char setup_key[MGMT_SETUP_KEY_MAX];
	struct wg_key used_key; /* of the server: it opened something last, or is trusted */
	bool has_used_key, trust_next;
	char last_address[64];
	uint64_t messages, dropped;
	size_t files_refused, jobs_refused;

	GSource *source; /* the next time to look, callbacks, slices of gathering */
	bool settling, tell;
	GArray *outcomes; /* struct outcome */
	void (*done)(enum mgmt_failure failure, const char *error, void *user);
	void *done_user;
	bool *freed; /* set by mgmt_client_free while callbacks run */
};

/* Does what the session wants until it wants nothing more; plans the next look. */
void client_settle(struct mgmt_client *client);
int64_t client_now_ms(void);
/* It answered: remembers where it is. */
void client_note_address(struct mgmt_client *client);
/* A new channel, to the last known address. Calls are gone. */
void client_reopen_at_address(struct mgmt_client *client);
/* That key opened a message. */
void client_used_key(struct mgmt_client *client, const struct wg_key *key);

/* -- steps ---------------------------------------------------------------------------------- */

void step_begin(struct step *step, const struct session_action *action);
/* Goes on gathering; when it is complete, asks for the key. */
void step_gather(struct step *step);
void step_call(struct step *step);
void step_drop(struct step *step);
