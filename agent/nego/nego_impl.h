/* agent/nego/nego_impl.h - the inside of the negotiation, for its files only. */
#pragma once

#include <glib.h>

#include "agent/nego/nego.h"

/* Of our side. */
struct nego_own {
	char ufrag[NEGO_UFRAG_LEN + 1], pwd[NEGO_PWD_LEN + 1];
	uint8_t session[NEGO_SESSION_LEN];
};

/* Of the other side. */
struct nego_theirs {
	struct nego_words *words; /* until ICE has them */
	uint32_t mark; /* of its ufrag; 0: nothing was heard */
	bool has_session, lapwing;
	uint8_t session[NEGO_SESSION_LEN];
};

/* So many may come now. */
struct nego_pace {
	uint32_t credit;
	int64_t since_ms;
};

/* What the other side wants to begin, and has to wait for. */
struct nego_heard {
	struct nego_words words;
	int64_t since_ms;
	bool is_offer; /* it wants an answer */
};

/* Candidates that came before we knew the session that they belong to. */
struct nego_early {
	int64_t until_ms; /* they are kept */
	size_t n;
	struct nego_candidate at[];
};

/* One peer that we talk to, or want to; there are many that are connected, so it is to be small. */
struct talk {
	struct wg_key key;
	bool wanted, up;
	bool ice; /* runs for our present session */
	bool released; /* as far as it does, it only answers */
	bool lost; /* a path that stood has gone: it is worth another one even under a live session */
	uint8_t urgency;
	uint8_t n_endpoints;
	uint8_t vain; /* tries since there was a path, or hope of one */
	struct nego_own local;
	uint8_t credit; /* how much may still be answered */
	struct nego_theirs remote;
	struct nego_heard *heard; /* NULL: none */
	int64_t settle_ms; /* the path may be used from then on; NEGO_NEVER: it may */
	struct endpoint *endpoints; /* n_endpoints, at most NEGO_ENDPOINTS_MAX */
	struct nego_early *early; /* NULL: none */

	/* offers */
	int64_t offer_ms; /* the next one; NEGO_NEVER: none is due */
	uint32_t interval_ms, cap_ms;
	int64_t credit_ms;
	int64_t check_ms; /* ICE must be done, or WireGuard on its path */
	int64_t linger_ms; /* forgotten, unless something happens */

	struct nego_view shown; /* all but the phase, and what is above */
};

struct nego {
	char own_text[KEY_STRLEN];
	uint32_t (*random)(void *user);
	void *user;
	nego_step_fn watcher; /* NULL: none */
	void *watcher_user;
	bool signal;
	struct nego_pace offers, begins;
	GHashTable *talks; /* struct wg_key -> struct talk */
	GQueue actions; /* struct queued, owned */
	struct queued *taken;
	int64_t next_ms; /* no deadline is earlier */
};

/* nego.c */
void nego_act(struct nego *n, const struct talk *t, enum nego_act act, const char *line);
void nego_plan(struct nego *n, int64_t at_ms);
void nego_tell(const struct nego *n, const struct talk *t, enum nego_step step);
/* It is not talked to any more; the caller frees it. */
void nego_part(struct nego *n, struct talk *t);
struct talk *nego_find(const struct nego *n, const struct wg_key *key);
struct talk *nego_meet(struct nego *n, const struct wg_key *key, int64_t now_ms);
void nego_forget_words(struct talk *t);
bool nego_is_session(const struct talk *t, const uint8_t session[static NEGO_SESSION_LEN]);
/* nego_hear.c */
void nego_settled(struct nego *n, struct talk *t);
/* What it wanted to begin begins. */
void nego_take_turn(struct nego *n, struct talk *t, int64_t now_ms);
void nego_drop_heard(struct talk *t);
/* nego_pace.c */
uint32_t nego_blur(struct nego *n, uint32_t ms); /* give or take a tenth */
/* When it was its turn, or will be; NEGO_NEVER: nothing is due. */
int64_t nego_due_since(const struct talk *t);
/* A path is looked for, by us. */
bool nego_is_needed(const struct talk *t);
size_t nego_count_heard(const struct nego *n);
/* One more, as far as the pace goes. */
bool nego_may_begin(struct nego *n, int64_t now_ms);
/* Those whose turn it is begin, as many as may now. */
void nego_serve(struct nego *n, int64_t now_ms);
/* Another try: what is known of the last one goes. */
void nego_renew(struct nego *n, struct talk *t);
/* There is a path: whoever wants it makes a handshake over it, or it is as good as none. */
void nego_await_handshake(struct nego *n, struct talk *t, int64_t now_ms);
/* The tunnel is up over a path that ICE has found. */
void nego_release(struct nego *n, struct talk *t);
void nego_stop_ice(struct nego *n, struct talk *t);
/* The first of a series of offers, after a while. */
void nego_offer_after(
	struct nego *n, struct talk *t, uint32_t wait_ms, uint32_t next_ms, int64_t now_ms);
