/* signal/body.h - what agents say to each other: bodies, from bytes and to bytes, sealed and in the
 * clear. Pure, limited. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/box.h"
#include "agent/base/candidate.h"
#include "agent/base/key.h"

enum {
	SIGNAL_MESSAGE_MAX = 1024 * 1024, /* a public key of Rosenpass has half of that */
	SIGNAL_ICE_MAX = CANDIDATE_UFRAG_MAX, /* characters of a user name fragment, or password */
	SIGNAL_VERSION_MAX = 64,
	SIGNAL_RELAY_MAX = 255,
	SIGNAL_SESSION_LEN = 5,
};

/* Numbers are the protocol's. */
enum signal_type {
	SIGNAL_OFFER = 0,
	SIGNAL_ANSWER = 1,
	SIGNAL_CANDIDATE = 2,
	SIGNAL_GO_IDLE = 5, /* the sender went idle, the receiver is to park it */
	SIGNAL_HEARTBEAT = 6, /* to oneself only */
	SIGNAL_TYPES,
};

/* Of an offer or answer. */
struct signal_offer {
	char ufrag[SIGNAL_ICE_MAX + 1], pwd[SIGNAL_ICE_MAX + 1]; /* both "": ICE is not offered */
	bool has_session;
	uint8_t session[SIGNAL_SESSION_LEN];
	uint16_t wg_port; /* 0: not said */
	char version[SIGNAL_VERSION_MAX + 1]; /* of the sender's program */
	char relay[SIGNAL_RELAY_MAX + 1]; /* the relay where the sender is at home; "": none */
	struct prefix relay_address; /* family 0: unknown */
	bool rosenpass; /* the sender has it on; never set by us */
	bool lapwing; /* the sender is one of us: shorter ways are open to the two */
};

struct signal_body {
	enum signal_type type;
	union {
		struct signal_offer offer; /* SIGNAL_OFFER, SIGNAL_ANSWER */
		struct candidate candidate; /* SIGNAL_CANDIDATE */
	};
};

/* 0; -EPROTO: no body; -EINVAL: what it carries makes no sense; -ENOTSUP: nothing is to be done about it:
 * a type that nobody sends or knows, a candidate of no use. Foreign text in *ret is visible ASCII. */
int signal_body_decode(const uint8_t *plain, size_t len, struct signal_body *ret);
/* Free with seal_wipe. */
uint8_t *signal_body_encode(const struct signal_body *body, size_t *ret_len);

/* A packed message for the server, from us to `remote`: g_free. NULL: nothing can be sealed for it. */
uint8_t *signal_seal(const uint8_t nonce[static BOX_NONCE], const struct wg_key *own_private,
	const struct wg_key *own_public, const struct wg_key *remote, const uint8_t *plain,
	size_t len, size_t *ret_len);

/* Who says that it is from whom and for whom; the box lies in the message that it was read from. */
struct signal_envelope {
	struct wg_key from, to;
	const uint8_t *box;
	size_t box_len; /* at least BOX_OVERHEAD */
};
/* 0; -EPROTO: none. */
int signal_envelope_read(const uint8_t *message, size_t len, struct signal_envelope *ret);
