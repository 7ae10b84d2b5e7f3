/* agent/finder.h - finds paths to the peers of a network: takes what the negotiation decides to the signal
 * server, to ICE and to the engine, and what these say back to it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/engine.h"

struct finder;
struct nego_session;
struct nego_view;
struct gather_map;
struct signal_body;

/* Which of this host's addresses are told to others, and as what; see ice/gather.h. */
struct finder_gathering {
	const char *const *blacklist; /* ends with NULL; NULL: the usual one */
	const struct gather_map *maps;
	size_t n_maps;
};

struct finder_ops {
	/* To one peer, by the signal server. 0 or -errno. */
	int (*send)(const struct wg_key *remote, const struct signal_body *body, void *user);
	/* The engine has something to do. */
	void (*changed)(void *user);
	/* This host's addresses have changed. */
	void (*moved)(void *user);
	/* The tunnel to a peer is up, after it was spoken with. May be NULL. */
	void (*connected)(const struct wg_key *remote, const struct nego_view *view, void *user);
	/* What finder_expect is to be given after a restart. May be NULL. */
	void (*record_sessions)(const struct nego_session *sessions, size_t n, void *user);
};

/* `version` is what we tell others that we are; copied by reference. */
struct finder *finder_new(struct engine *engine, const struct wg_key *own, const char *version,
	const struct finder_ops *ops, void *user);
void finder_free(struct finder *f); /* NULL is fine */
/* Sessions of a run before: those of peers whose tunnels are found up go on. */
void finder_expect(struct finder *f, const struct nego_session *sessions, size_t n);
/* The signal server can be spoken with, or not any more. */
void finder_set_signal(struct finder *f, bool ready);
/* STUN servers, as the management server writes them; `uris` ends with NULL. */
void finder_set_servers(struct finder *f, const char *const *uris, size_t n);
/* Borrowed until the next one. What is negotiated from now on goes by it. */
void finder_set_gathering(struct finder *f, const struct finder_gathering *how);
/* The engine says; nothing of the engine is called before the loop turns. */
void finder_need(struct finder *f, const struct wg_key *key, enum engine_need need);
/* A peer says. */
void finder_hear(struct finder *f, const struct wg_key *from, const struct signal_body *body);
/* There is a new map. */
void finder_map_changed(struct finder *f);
/* Once a minute. */
void finder_tick(struct finder *f);
/* This host's addresses may have changed. If they have indeed, all paths are negotiated anew: at once, but not again
 * and again when they keep changing. */
void finder_look_soon(struct finder *f);
/* The member of the status document about all of them; `f` may be NULL. */
void finder_write_status(const struct finder *f, GString *out);
/* Items of the list "pools"; `f` may be NULL. */
void finder_write_pools(const struct finder *f, GString *out);
/* The member of a peer's document about how it is reached. False: nobody talks to it, nothing was written. */
bool finder_write_peer(const struct finder *f, GString *out, const struct wg_key *key);
