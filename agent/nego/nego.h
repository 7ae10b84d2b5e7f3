/* agent/nego/nego.h - how two hosts agree on a path to each other: offers, answers, candidates, retries.
 * Pure: events in, actions out, clock and random numbers given.
 *
 * Nothing is kept of a peer that nobody talks to. A session is one try of ours to find a path; it has an
 * id that the other side sees, so that what comes late or twice is told from what is new. Candidates of one
 * of us are of use twice: ICE checks them, and WireGuard's held initiation is sent to them at once, as its
 * answer is as good a check as any. Other agents count only handshakes over a path of ICE's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/candidate.h"
#include "agent/base/key.h"

enum {
	NEGO_FIRST_MS = 3000, /* to the second offer; then it doubles, give or take a tenth, ... */
	NEGO_CAP_MIN_MS = 35 * 1000, /* ... up to something between these, another for each peer */
	NEGO_CAP_MAX_MS = 45 * 1000,
	NEGO_TOGETHER_MS = 5 *
		1000, /* from then on at multiples of this, as one wakes up for several */
	NEGO_AFRESH_MS = 800, /* to the first offer after something was lost */
	NEGO_CHECK_MS = 15 * 1000, /* ICE may take so long */
	NEGO_HANDSHAKE_MS = 30 * 1000, /* and WireGuard so long on the path that it has found */
	NEGO_SETTLE_MS =
		300, /* a path is used so long after ICE found it, unless the other side is one of us */
	NEGO_LINGER_MS = 60 * 1000, /* a remote that asked and then did nothing is forgotten */
	NEGO_ANSWER_MS = 1000, /* a remote is answered a few times at once, and then so often */
	NEGO_ANSWER_BURST = 4,
	NEGO_EARLY_MS = 10 * 1000, /* candidates wait so long for the words that they belong to */
	NEGO_CANDIDATES_MAX = 32, /* of one session of a remote */
	NEGO_ENDPOINTS_MAX = 8, /* of those, as many are tried with WireGuard's own packets */
	NEGO_BUSY_MAX = 64, /* peers that ICE works for, or that were asked just now */
	NEGO_ASKED_MAX = 48, /* of those, as many may be there only because they asked us */
	NEGO_BURST = 8, /* so many are asked, and so many sessions begin, at once */
	NEGO_PER_S = 42, /* and then so many a second: at most 50 in any one */
	/* Beyond so many without a tunnel those that nobody waits for are not taken on, and of those that ask no
	 * more wait for their turn. */
	NEGO_KNOWN_MAX = 1024,
	NEGO_SESSION_LEN = 5,
	NEGO_UFRAG_LEN = 8, /* ours: steering knows them by this length */
	NEGO_PWD_LEN = 32, /* ours */
	NEGO_TEXT_MAX = 96, /* theirs */
	NEGO_LINE_MAX = 512,
	NEGO_NEVER = -1,
};

/* What an offer or an answer says. */
struct nego_words {
	char ufrag[NEGO_TEXT_MAX], pwd[NEGO_TEXT_MAX]; /* "": no ICE */
	bool has_session;
	uint8_t session[NEGO_SESSION_LEN];
	bool lapwing; /* the other side is one of us */
};

struct nego_candidate {
	char line[NEGO_LINE_MAX];
	char ufrag[NEGO_TEXT_MAX]; /* "": does not say to which session it belongs */
	struct endpoint at; /* family 0: WireGuard's packets are not to be sent there */
};

/* What ICE has selected. */
struct nego_path {
	struct endpoint at; /* family 0: nothing */
	enum candidate_type local : 8, remote : 8;
};

/* One that has led to a path, whose other side goes on checking it: what has to outlive a restart of ours, as nobody
 * who asks under it would know us without. */
struct nego_session {
	struct wg_key key;
	char ufrag[NEGO_UFRAG_LEN + 1], pwd[NEGO_PWD_LEN + 1]; /* ours */
	struct nego_path path;
};

enum nego_act {
	NEGO_ACT_OFFER, /* send one; nego_words says what is in it */
	NEGO_ACT_ANSWER,
	NEGO_ACT_CANDIDATE, /* send `line` */
	NEGO_ACT_GO_IDLE,
	NEGO_ACT_ICE_START, /* with what nego_take_words gives */
	NEGO_ACT_ICE_CANDIDATE, /* hand `line` over */
	NEGO_ACT_ICE_STOP, /* `line`: our ufrag, whose checks need no answer any more */
	NEGO_ACT_ICE_RELEASE, /* nothing more to be found; the other side's checks are to be answered, though */
	NEGO_ACT_ICE_RESUME, /* they are to be answered again, with what nego_words gives */
	NEGO_ACT_ENDPOINTS, /* nego_endpoints has changed */
	NEGO_ACT_WAKE, /* a path stands, and it is on us to begin the handshake */
};

struct nego_action {
	struct wg_key key;
	enum nego_act act;
	const char *line; /* valid until the next call of nego_next; NULL: none */
};

enum nego_phase {
	NEGO_QUIET, /* nothing to do, or waiting for the other side to ask */
	NEGO_NO_SIGNAL, /* wants to ask and can't */
	NEGO_WAITS, /* wants to ask, or to begin what the other side asked for, and others have their turn */
	NEGO_OFFERED, /* asked, no answer yet */
	NEGO_CHECKING, /* ICE is at work */
	NEGO_PATH, /* it has found a path */
	NEGO_UP, /* the tunnel is up */
};

/* What is shown of one peer. */
struct nego_view {
	enum nego_phase phase;
	bool lapwing, asked_by_remote;
	bool replaces; /* it was looked for while the tunnel was up: it takes the place of the one before */
	uint8_t session[NEGO_SESSION_LEN];
	uint32_t offers_sent, offers_heard, answers_sent, answers_heard;
	uint32_t candidates, limited; /* of this session; messages that came too often */
	struct nego_path path;
	int64_t heard_ms; /* the first offer or answer since the tunnel was up last */
	int64_t wanted_ms, offered_ms, answered_ms, candidate_ms, path_ms; /* 0: not yet */
	int64_t due_ms; /* when it waits: since then */
	const char *why; /* the last failure; NULL: none */
};

/* What somebody who watches is told. */
enum nego_step {
	NEGO_STEP_OFFERED, /* we have asked */
	NEGO_STEP_ASKED, /* the other side has */
	NEGO_STEP_ANSWERED, /* it has answered */
	NEGO_STEP_CHECKING, /* ICE begins */
	NEGO_STEP_PATH,
	NEGO_STEP_UP,
	NEGO_STEP_FAILED, /* view.why, of the session and the path that are shown */
	NEGO_STEP_FORGOTTEN,
};

/* Calls nothing of the negotiation. */
typedef void (*nego_step_fn)(
	const struct wg_key *key, enum nego_step step, const struct nego_view *view, void *user);

/* Who comes first when many are to be asked. Who is wanted only by the other side is as
 * urgent as a router. */
enum nego_urgency { NEGO_PACKET_WAITS, NEGO_ROUTER, NEGO_PERMANENT };

struct nego_load {
	size_t busy, waiting;
	int64_t longest_ms; /* that one of these waits */
};

struct nego;

/* `random` gives 32 random bits at a time. */
struct nego *nego_new(const struct wg_key *own, uint32_t (*random)(void *user), void *user);
void nego_free(struct nego *n);
/* `fn` is told of each step when it is made. What others say counts only as far as the limits above let it in. */
void nego_watch(struct nego *n, nego_step_fn fn, void *user);

/* -- events of our side ---------------------------------------------------------------------- */

void nego_set_signal(struct nego *n, bool ready, int64_t now_ms);
/* Somebody needs a tunnel to this peer and there is none, or it does not answer any more. Who is only to be there
 * always has to be wanted again later when there are too many. */
void nego_want(struct nego *n, const struct wg_key *key, enum nego_urgency urgency, int64_t now_ms);
/* The tunnel answers. */
void nego_up(struct nego *n, const struct wg_key *key, int64_t now_ms);
/* The same of one that was up before we were: the session goes on, unless something has been said since. */
void nego_resume(struct nego *n, const struct nego_session *session, int64_t now_ms);
/* Nobody needs it any more; `tell`: the other side may sleep, too. */
void nego_idle(struct nego *n, const struct wg_key *key, bool tell);
void nego_forget(struct nego *n, const struct wg_key *key);
/* There is a new map: forgets those that are not in it. Returns how many. */
size_t nego_prune(
	struct nego *n, bool (*is_peer)(const struct wg_key *key, void *user), void *user);
/* Our own addresses have changed: whoever is wanted is asked anew. A tunnel that is up stays so meanwhile. */
void nego_network_changed(struct nego *n, int64_t now_ms);

/* ICE of this session says. */
void nego_local_candidate(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const char *line);
void nego_selected(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const struct nego_path *path,
	int64_t now_ms);
void nego_failed(struct nego *n, const struct wg_key *key,
	const uint8_t session[static NEGO_SESSION_LEN], const char *why, int64_t now_ms);

/* -- events of the other side, of which the caller knows that it is in the map ------------------ */

void nego_hear_offer(
	struct nego *n, const struct wg_key *key, const struct nego_words *words, int64_t now_ms);
void nego_hear_answer(
	struct nego *n, const struct wg_key *key, const struct nego_words *words, int64_t now_ms);
void nego_hear_candidate(struct nego *n, const struct wg_key *key,
	const struct nego_candidate *candidate, int64_t now_ms);

/* -- what follows ------------------------------------------------------------------------------ */

/* Time passes. Returns when to be called again, or NEGO_NEVER. */
int64_t nego_tick(struct nego *n, int64_t now_ms);
bool nego_next(struct nego *n, struct nego_action *ret);

/* -- questions --------------------------------------------------------------------------------- */

/* False: nobody talks to this peer. */
bool nego_words(const struct nego *n, const struct wg_key *key, struct nego_words *ret);
/* Those of the other side, once. False also: it has said none since. */
bool nego_take_words(struct nego *n, const struct wg_key *key, struct nego_words *ret);
/* Where it may be, best first. Returns the number, at most NEGO_ENDPOINTS_MAX + 1. */
size_t nego_endpoints(const struct nego *n, const struct wg_key *key, struct endpoint *ret);
bool nego_view(const struct nego *n, const struct wg_key *key, struct nego_view *ret);
const char *nego_phase_name(enum nego_phase phase);
const char *nego_step_name(enum nego_step step);
/* Returns how many there are, no more than nego_count; `ret` gets the first `max` of them. */
size_t nego_sessions(const struct nego *n, struct nego_session *ret, size_t max);
/* Which of the two controls: the greater key, as text. */
bool nego_controls(const struct nego *n, const struct wg_key *key);
size_t nego_count(const struct nego *n);
void nego_get_load(const struct nego *n, struct nego_load *ret, int64_t now_ms);
