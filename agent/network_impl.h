/* agent/network_impl.h - the network's inside, shared by its files only. */
#pragma once

#include <glib.h>

#include "agent/base/key.h"
#include "agent/finder.h"
#include "agent/samples.h"
#include "agent/membership.h"
#include "agent/network.h"
#include "mgmt/client.h"
#include "signal/client.h"

struct detail;
struct gather_map;
struct push;
struct update;
struct update_servers;

/* Joining another network, or this one again, while what is there goes on. */
struct trial {
	struct mgmt_client *client;
	struct membership membership;
	struct wg_key private_key;
	uint32_t id; /* who waits */
	int until;
	bool new_key; /* made for it */
};

struct network {
	char *state_dir, *psk_path;
	const struct config *config;
	struct engine *engine;
	struct network_ops ops;
	void *user;
	bool down;

	struct membership membership; /* url NULL: none */
	struct wg_key private_key, public_key;
	struct mgmt_client *client; /* NULL: none */
	struct trial *trial; /* NULL: none under way */
	uint32_t leaving_id; /* who waits for the end of a deregistration */
	bool leaving, purging;
	bool key_is_foreign; /* made on another machine: nothing is done with it */

	/* what the server said last */
	struct detail *detail;
	struct update_servers *servers;
	uint64_t serial;
	int64_t expires_s; /* wall clock: the login of this peer; 0: never, or not said */
	int64_t map_ms; /* when the map came into force; 0: none of this run */
	bool map_from_disk;
	int64_t map_saved_s; /* the one from the disk: when, by the wall clock; else 0 */
	bool map_is_stale; /* that one is too old to be used, by the clock that we have */

	GBytes *unsaved; /* the newest message, to be written to the disk */
	guint save_timer;
	int64_t saved_ms;

	struct samples *samples;
	uint64_t logins; /* of which a sample was taken */
	struct push *push; /* NULL: they stay here */
	char *push_how; /* what it was made from */
	bool has_problem; /* the engine was told of one */
	enum mgmt_state told_state; /* last logged */
	char told_error[MGMT_ERROR_MAX];

	struct signal_client *signal; /* NULL: no such server is known */
	struct finder *finder; /* there is one when there is the other */
	struct gather_map *maps; /* that the finder has */
	enum signal_state told_signal_state; /* last logged */
	char told_signal_error[LIFE_ERROR_MAX];
};

extern const struct mgmt_callbacks network_callbacks;

/* network.c */
struct mgmt_client *network_new_client(const struct network *n, const struct membership *m,
	const struct wg_key *private_key, const struct mgmt_callbacks *callbacks, void *user);
const char *network_interface(const struct network *n, const struct membership *m);
uint32_t network_mark(const struct network *n, const struct membership *m);
int network_load_key(
	const struct network *n, struct wg_key *ret, char error[static NETWORK_ERROR_MAX]);
void network_begin(struct network *n, const struct wg_key *private_key);
void network_forget(struct network *n);

/* network_signal.c */
/* Another client, for the server that the membership names, if it does. */
void network_renew_signal(struct network *n);
void network_forget_signal(struct network *n);
/* The management server has said something of its other servers: follows, and writes it down. */
void network_learn_signal(struct network *n);
void network_set_signal_down(struct network *n, bool down);
/* What this host says of its addresses, NULL: nothing. */
char *const *network_external_ips(const struct network *n);
char *const *network_interfaces_exclude(const struct network *n);
/* That may be something else now. */
void network_renew_gathering(struct network *n);

/* network_push.c */
/* Samples are pushed, or not, as the configuration and the server say now. */
void network_renew_push(struct network *n);
void network_forget_push(struct network *n);
/* The server wants it, and the configuration does not say so. */
bool network_refuses_push(const struct network *n);
void network_write_push(const struct network *n, GString *out); /* the member "metrics" */

/* network_disk.c */

/* Unless one was saved a moment ago: then in a while. */
void network_save_soon(struct network *n, GBytes *message);
void network_save_now(struct network *n); /* if there is one that was not saved yet */
/* The server still says the same: the age of what is on the disk begins anew. */
void network_confirm_saved(struct network *n);
/* The last map, if it is not too old: 0, or -ENOENT. */
int network_read_disk(struct network *n, int64_t max_age_s, struct update **ret);
int64_t network_disk_map_age_s(const struct network *n);

/* network_join.c */
void network_answer(struct network *n, uint32_t id, const struct network_outcome *outcome);
void network_refuse(
	struct network *n, uint32_t id, enum exit_code code, const char *message, const char *hint);
void network_end_trial(struct network *n);
void network_replace_trial(struct network *n); /* and tells whoever waits for it */
/* Why nothing of the kind can begin now; EXIT_OK: it can. */
enum exit_code network_check_free(
	const struct network *n, char error[static NETWORK_ERROR_MAX], const char **ret_hint);
