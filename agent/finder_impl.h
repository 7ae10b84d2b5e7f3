/* agent/finder_impl.h - the inside of the finder, for its files only. */
#pragma once

#include "agent/finder.h"
#include "agent/nego/aim.h"
#include "agent/nego/nego.h"
#include "agent/resolve.h"
#include "agent/base/candidate.h"
#include "ice/agent.h"
#include "ice/binding.h"
#include "ice/candidate.h"
#include "ice/gather.h"

enum { FINDER_OVERLAYS = 2 };

struct finder {
	struct engine *engine;
	const char *version;
	struct finder_ops ops;
	void *user;
	struct nego *nego;
	GSource *work;
	bool hushed; /* the other side has said that it sleeps: it need not be told */
	uint64_t refused; /* candidates that nothing may be sent to, or not so often */
	struct aim *aim;

	/* ICE */
	GHashTable *agents; /* struct wg_key -> struct agent */
	uint16_t next_alike, next_other; /* ports are taken in turns */
	struct nfqueue *queue; /* NULL: none yet, or none to be had */
	guint queue_source;
	struct binding *binding; /* NULL: no port for it */

	/* sessions that outlive us */
	GHashTable *expected; /* struct nego_session by key: of a run before */
	int64_t expected_ms; /* since when */
	guint records; /* source: they are to be written down */

	/* this host */
	struct finder_gathering gathering;
	struct ice_local locals[GATHER_MAX]; /* as last seen */
	size_t n_locals;
	struct prefix ways
		[2]; /* of either family: with which address it sends to strangers; family 0: not at all */
	guint looks; /* source */
	int64_t moved_ms; /* when they changed; 0: never */

	/* STUN servers */
	GArray *servers; /* struct stun_server */
	char *said_servers; /* what they were made from */
	struct resolve *resolve;
	struct endpoint mapped[BINDING_SERVERS_MAX]; /* where they saw us last */
	size_t n_mapped;
	int64_t asked_ms;
};

/* finder.c */
int64_t finder_now_ms(void);
void finder_kick(struct finder *f); /* the negotiation may have something to do */

/* finder_ice.c */
void finder_ice_open(struct finder *f);
void finder_ice_close(struct finder *f);
void finder_ice_start(struct finder *f, const struct wg_key *key);
void finder_ice_stop(struct finder *f, const struct wg_key *key);
void finder_ice_candidate(struct finder *f, const struct wg_key *key, const char *line);
/* Its tunnel is up: what is left to do is to answer its checks, if it makes any. */
void finder_ice_release(struct finder *f, const struct wg_key *key);
void finder_ice_mapped(struct finder *f, const struct endpoint *mapped);
/* They are answered again. */
void finder_ice_resume(struct finder *f, const struct wg_key *key);
/* Checks with this ufrag of ours are answered no more. */
void finder_ice_forget(struct finder *f, const char *ufrag);

/* finder_resume.c */
void finder_resume_open(struct finder *f);
void finder_resume_close(struct finder *f);
/* This tunnel is up: if it was before we began, its session goes on. */
void finder_resume(struct finder *f, const struct wg_key *key);
void finder_resume_tick(struct finder *f);
/* They are written down in a moment. */
void finder_sessions_changed(struct finder *f);

/* finder_show.c */
/* A step of the negotiation, for monitors. */
void finder_tell(
	const struct wg_key *key, enum nego_step step, const struct nego_view *v, void *user);

/* finder_net.c */
void finder_net_open(struct finder *f);
void finder_net_close(struct finder *f);
/* Asks the STUN servers where we are seen, unless they were asked just now. */
void finder_ask_servers(struct finder *f);
/* Our own addresses. Returns how many. */
size_t finder_locals(const struct finder *f, struct ice_local ret[static GATHER_MAX]);
/* The networks inside of the tunnel. Returns how many. */
size_t finder_overlays(const struct finder *f, struct prefix ret[static FINDER_OVERLAYS]);
/* May packets be sent there, whoever asks for it? */
bool finder_may_send_to(const struct finder *f, const struct candidate *c);
