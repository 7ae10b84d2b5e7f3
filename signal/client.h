/* signal/client.h - speaks with peers through a signal server: what they send us, and what we send them.
 *
 * When to connect is decided in signal/life.h, what of the received is good in signal/inbox.h, what is
 * sent next in signal/outbox.h (all pure); this does it, on agent/rpc/grpc.h. Nothing that the server
 * or anybody who writes to us does ends the client. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/key.h"
#include "signal/inbox.h"
#include "signal/life.h"
#include "signal/outbox.h"

struct signal_client;

/* Copied, the key too. */
struct signal_options {
	const char *url; /* "https://HOST:PORT" or "http://HOST:PORT" */
	const char *ca_file, *ca_dir, *client_cert, *client_key; /* NULL: none */
	uint32_t mark; /* of its socket */
	const struct wg_key *private_key;
};

struct signal_callbacks {
	/* Is it the key of a peer that we know now? What others send is dropped and counted. */
	bool (*is_peer)(const struct wg_key *key, void *user);
	/* One message of a peer, opened and read; in the order in which they came, which is not always that of
	 * sending: a candidate may come before its offer. The same message does not come twice soon, but
	 * the server may bring an old one again later: session ids tell. May be NULL. */
	void (*received)(const struct wg_key *remote, const struct signal_body *body, void *user);
	/* signal_client_get_status says something new: another state or reason. When it became connected,
	 * others may have missed what was sent to them. */
	void (*changed)(void *user);
};

struct signal_status {
	struct life_view life;
	struct outbox_counts out;
	uint64_t fates[SIGNAL_FATES]; /* what became of received messages */
	uint64_t taken[SIGNAL_TYPES]; /* SIGNAL_TAKEN, by type */
	char address[64]; /* of the server; "" unknown */
};

/* Callbacks never run inside of these calls (but is_peer); from a callback all of them may be called,
 * signal_client_free too. */
struct signal_client *signal_client_new(
	const struct signal_options *options, const struct signal_callbacks *callbacks, void *user);
void signal_client_free(struct signal_client *client); /* NULL is fine */
void signal_client_start(struct signal_client *client);
void signal_client_stop(struct signal_client *client); /* what waits to be sent is dropped */
/* Something has changed that may help: try now, but not within 5 seconds of the last try. */
void signal_client_retry(struct signal_client *client);
/* The same; and the connection that stands has to prove within seconds that it still does. */
void signal_client_doubt(struct signal_client *client);

/* To one peer, sealed now. While there is no connection it waits, for at most 45 seconds. Offers, answers
 * and GO_IDLE go in their order, and candidates behind the offer or answer that was given before them; each
 * is tried up to four times. Nobody learns whether it arrived: the peer's answer does. 0; -ENOTCONN: it is
 * stopped; -ENOBUFS: too much waits already (counted); -EINVAL: that is nobody's key. */
int signal_client_send(
	struct signal_client *client, const struct wg_key *remote, const struct signal_body *body);

void signal_client_get_status(const struct signal_client *client, struct signal_status *ret);
