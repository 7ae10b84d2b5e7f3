/* ice/stun.h - the part of STUN (RFC 5389) that ICE's checks need. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "ice/integrity.h"

enum stun_class { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

enum { STUN_BINDING = 1, STUN_HEADER_LEN = 20, STUN_ID_LEN = 12, STUN_ANSWER_MAX = 80 };

/* What a message says; it points into the message. */
struct stun_message {
	enum stun_class class;
	uint16_t method;
	const uint8_t *data, *id;
	const char *username; /* not terminated; NULL: none */
	size_t username_len;
	size_t integrity, fingerprint; /* where these attributes begin; 0: none */
	struct endpoint mapped; /* family 0: none */
};

/* 0 or -EBADMSG: no STUN message with a magic cookie that is exactly so long. What stands behind the message's
 * checksums counts for nothing. */
int stun_parse(const uint8_t *data, size_t len, struct stun_message *ret);
bool stun_is_authentic(const struct stun_message *m, const struct integrity_key *key);
bool stun_has_good_fingerprint(const struct stun_message *m);

/* Some agents append an attribute behind FINGERPRINT, which others take for damage. Cuts it from a message whose
 * fingerprint is good. Returns the length of what is left: `len` when there is nothing to cut. */
size_t stun_cut(uint8_t *data, size_t len);

/* A Binding request without attributes, for a STUN server. */
void stun_write_request(const uint8_t id[static STUN_ID_LEN], uint8_t ret[static STUN_HEADER_LEN]);
/* The answer to a Binding request that came from there. Returns its length. */
size_t stun_write_success(const struct stun_message *request, const struct endpoint *from,
	const struct integrity_key *key, uint8_t ret[static STUN_ANSWER_MAX]);
