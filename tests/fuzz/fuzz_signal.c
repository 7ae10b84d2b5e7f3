/* tests/fuzz/fuzz_signal.c - any bytes as a message, as a body and as the line of a candidate; what was
 * understood says the same when it is written and read again. */
/* covers: signal/body.c agent/base/candidate.c */
#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/seal.h"
#include "signal/body.h"
#include "signal/inbox.h"
#include "signal/signalexchange.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(const uint8_t *data, size_t size)
{
	char text[CANDIDATE_LINE_MAX], again[CANDIDATE_LINE_MAX];
	struct candidate c, copy;
	int r = candidate_parse((const char *)data, size, &c);

	assert(r == 0 || r == -EINVAL || r == -ENOTSUP);
	if (r < 0)
		return;
	assert(c.address.family && c.address.port);
	candidate_format(&c, text);
	assert(candidate_parse(text, strlen(text), &copy) == 0);
	assert(!strcmp(text, candidate_format(&copy, again)));
	assert(endpoint_is_same(&c.address, &copy.address) && !strcmp(c.id, copy.id));
}

static void check_same(const struct signal_body *a, const struct signal_body *b)
{
	assert(a->type == b->type);
	if (a->type == SIGNAL_CANDIDATE)
		assert(endpoint_is_same(&a->candidate.address, &b->candidate.address));
	if (a->type > SIGNAL_ANSWER)
		return;
	assert(!strcmp(a->offer.ufrag, b->offer.ufrag) && !strcmp(a->offer.pwd, b->offer.pwd));
	assert(!strcmp(a->offer.version, b->offer.version));
	assert(a->offer.has_session == b->offer.has_session);
	assert(prefix_is_same(&a->offer.relay_address, &b->offer.relay_address));
}

/* Of good bodies another reader says the same type; a number of more than 32 bits it cuts. */
static void check_other_reader(const uint8_t *data, size_t size, const struct signal_body *body)
{
	Signalexchange__Body *other = signalexchange__body__unpack(NULL, size, data);

	if (!other)
		return;
	assert((unsigned)other->type == (unsigned)body->type || body->type == SIGNAL_OFFER);
	signalexchange__body__free_unpacked(other, NULL);
}

static void check_body(const uint8_t *data, size_t size)
{
	struct signal_body body, copy;
	size_t len;
	uint8_t *bytes;
	int r = signal_body_decode(data, size, &body);

	assert(r == 0 || r == -EPROTO || r == -EINVAL || r == -ENOTSUP);
	if (r < 0)
		return;
	check_other_reader(data, size, &body);
	bytes = signal_body_encode(&body, &len);
	assert(signal_body_decode(bytes, len, &copy) == 0);
	check_same(&body, &copy);
	seal_wipe(bytes, len);
}

static bool is_peer(const struct wg_key *key, void *user)
{
	return key_is_same(key, user);
}

/* The bytes as a message, and as what a peer has sealed. */
static void check_message(const uint8_t *data, size_t size)
{
	static const struct wg_key private = { { 8 } }, peer_private = { { 16 } };
	static const uint8_t nonce[BOX_NONCE] = { 1 };
	struct wg_key public, peer, from;
	struct inbox *in;
	struct signal_body body;
	size_t len;
	g_autofree uint8_t *sealed = NULL;
	enum signal_fate fate;

	key_public_from_private(&private, &public);
	key_public_from_private(&peer_private, &peer);
	in = inbox_new(&private, is_peer, &peer);
	fate = inbox_take(in, data, size, 0, &from, &body);
	assert(fate != SIGNAL_TAKEN && fate != SIGNAL_OWN); /* nobody guesses a seal */
	sealed = signal_seal(nonce, &peer_private, &peer, &public, data, size, &len);
	fate = inbox_take(in, sealed, len, 0, &from, &body);
	assert(fate == SIGNAL_TAKEN || fate == SIGNAL_IGNORED || fate == SIGNAL_MALFORMED);
	fate = inbox_take(in, sealed, len, 0, &from, &body);
	assert(fate == SIGNAL_REPLAYED);
	inbox_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_line(data, size);
	check_body(data, size);
	if (size < SIGNAL_MESSAGE_MAX / 2)
		check_message(data, size);
	return 0;
}
