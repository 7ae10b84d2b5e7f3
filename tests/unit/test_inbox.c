/* tests/unit/test_inbox.c - whose messages are taken: peers', once, not too often; and whose are not. */
#include <glib.h>
#include <string.h>

#include "agent/base/seal.h"
#include "signal/inbox.h"

struct setup {
	struct inbox *in;
	struct wg_key private, public;
	struct wg_key peer_private, peer, other_private, other;
	bool known; /* are they peers of the map? */
	int64_t now_ms;
	struct wg_key from;
	struct signal_body body;
};

static bool is_peer(const struct wg_key *key, void *user)
{
	const struct setup *s = user;

	return s->known && (key_is_same(key, &s->peer) || key_is_same(key, &s->other));
}

static void make_key(struct wg_key *private, struct wg_key *public)
{
	key_generate_private(private);
	key_public_from_private(private, public);
}

static void begin(struct setup *s)
{
	*s = (struct setup){ .known = true };
	make_key(&s->private, &s->public);
	make_key(&s->peer_private, &s->peer);
	make_key(&s->other_private, &s->other);
	s->in = inbox_new(&s->private, is_peer, s);
}

static uint8_t *seal_bytes(const struct wg_key *private, const struct wg_key *from,
	const struct wg_key *to, const uint8_t *plain, size_t plain_len, size_t *ret_len)
{
	uint8_t nonce[BOX_NONCE];

	box_nonce(nonce);
	return signal_seal(nonce, private, from, to, plain, plain_len, ret_len);
}

static uint8_t *seal_body(const struct wg_key *private, const struct wg_key *from,
	const struct wg_key *to, enum signal_type type, size_t *ret_len)
{
	struct signal_body body = { .type = type, .offer = { .ufrag = "u", .pwd = "p" } };
	size_t plain_len;
	uint8_t *plain = signal_body_encode(&body, &plain_len), *message;

	message = seal_bytes(private, from, to, plain, plain_len, ret_len);
	seal_wipe(plain, plain_len);
	return message;
}

static enum signal_fate take(struct setup *s, const uint8_t *message, size_t len)
{
	return inbox_take(s->in, message, len, s->now_ms, &s->from, &s->body);
}

static enum signal_fate take_from_peer(struct setup *s, enum signal_type type)
{
	size_t len;
	g_autofree uint8_t *m = seal_body(&s->peer_private, &s->peer, &s->public, type, &len);

	return take(s, m, len);
}

static void test_taken(void)
{
	struct setup s;

	begin(&s);
	g_assert_cmpint(take_from_peer(&s, SIGNAL_OFFER), ==, SIGNAL_TAKEN);
	g_assert_true(key_is_same(&s.from, &s.peer));
	g_assert_cmpint(s.body.type, ==, SIGNAL_OFFER);
	g_assert_cmpstr(s.body.offer.ufrag, ==, "u");
	g_assert_cmpint(take_from_peer(&s, SIGNAL_GO_IDLE), ==, SIGNAL_TAKEN);
	/* Heartbeats are between oneself and oneself. */
	g_assert_cmpint(take_from_peer(&s, SIGNAL_HEARTBEAT), ==, SIGNAL_IGNORED);
	s.known = false;
	g_assert_cmpint(take_from_peer(&s, SIGNAL_OFFER), ==, SIGNAL_STRANGER);
	inbox_free(s.in);
	inbox_free(NULL);
}

static void test_own(void)
{
	struct setup s;
	size_t len;
	g_autofree uint8_t *heartbeat = NULL, *offer = NULL, *forged = NULL;

	begin(&s);
	heartbeat = seal_body(&s.private, &s.public, &s.public, SIGNAL_HEARTBEAT, &len);
	g_assert_cmpint(take(&s, heartbeat, len), ==, SIGNAL_OWN);
	g_assert_cmpint(take(&s, heartbeat, len), ==, SIGNAL_OWN); /* tried again on the way */
	offer = seal_body(&s.private, &s.public, &s.public, SIGNAL_OFFER, &len);
	g_assert_cmpint(take(&s, offer, len), ==, SIGNAL_IGNORED);
	forged = seal_body(&s.peer_private, &s.public, &s.public, SIGNAL_HEARTBEAT, &len);
	g_assert_cmpint(take(&s, forged, len), ==, SIGNAL_FORGED);
	inbox_free(s.in);
}

static void test_bad(void)
{
	struct setup s;
	size_t len;
	g_autofree uint8_t *elsewhere = NULL, *named = NULL, *senseless = NULL, *odd = NULL;
	g_autofree uint8_t *large = g_malloc0(SIGNAL_MESSAGE_MAX + 1);

	begin(&s);
	g_assert_cmpint(take(&s, large, SIGNAL_MESSAGE_MAX + 1), ==, SIGNAL_GARBAGE);
	g_assert_cmpint(take(&s, large, 0), ==, SIGNAL_GARBAGE);
	g_assert_cmpint(take(&s, large, 64), ==, SIGNAL_GARBAGE);
	elsewhere = seal_body(&s.peer_private, &s.peer, &s.other, SIGNAL_OFFER, &len);
	g_assert_cmpint(take(&s, elsewhere, len), ==, SIGNAL_MISADDRESSED);
	/* One peer in the name of another. */
	named = seal_body(&s.other_private, &s.peer, &s.public, SIGNAL_OFFER, &len);
	g_assert_cmpint(take(&s, named, len), ==, SIGNAL_FORGED);
	senseless = seal_bytes(
		&s.peer_private, &s.peer, &s.public, (const uint8_t *)"\xff", 1, &len);
	g_assert_cmpint(take(&s, senseless, len), ==, SIGNAL_MALFORMED);
	odd = seal_bytes(&s.peer_private, &s.peer, &s.public, (const uint8_t *)"\x08\x63", 2, &len);
	g_assert_cmpint(take(&s, odd, len), ==, SIGNAL_IGNORED);
	inbox_free(s.in);
}

static void test_replayed(void)
{
	struct setup s;
	size_t len, other_len;
	g_autofree uint8_t *m = NULL, *damaged = NULL;

	begin(&s);
	m = seal_body(&s.peer_private, &s.peer, &s.public, SIGNAL_OFFER, &len);
	/* A bad copy that comes first does not spoil the good one. */
	damaged = g_memdup2(m, len);
	damaged[len - 1] ^= 1;
	g_assert_cmpint(take(&s, damaged, len), ==, SIGNAL_FORGED);
	g_assert_cmpint(take(&s, m, len), ==, SIGNAL_TAKEN);
	g_assert_cmpint(take(&s, m, len), ==, SIGNAL_REPLAYED);
	for (int i = 0; i < INBOX_REMEMBERED - 1; i++) {
		g_autofree uint8_t *next = seal_body(
			&s.peer_private, &s.peer, &s.public, SIGNAL_GO_IDLE, &other_len);

		s.now_ms += 1000;
		g_assert_cmpint(take(&s, next, other_len), ==, SIGNAL_TAKEN);
	}
	g_assert_cmpint(take(&s, m, len), ==, SIGNAL_REPLAYED);
	inbox_free(s.in);
}

/* One that sends without an end has no effect on another. */
static void test_limited(void)
{
	struct setup s;
	size_t len;
	g_autofree uint8_t *m = NULL;
	int taken = 0;

	begin(&s);
	for (int i = 0; i < 1000; i++, s.now_ms += 10) /* 10 seconds */
		taken += take_from_peer(&s, SIGNAL_OFFER) == SIGNAL_TAKEN;
	g_assert_cmpint(taken, >=, INBOX_BURST + 10 * INBOX_PER_S - 1);
	g_assert_cmpint(taken, <=, INBOX_BURST + 10 * INBOX_PER_S + 1);
	(void)take_from_peer(&s, SIGNAL_OFFER);
	g_assert_cmpint(take_from_peer(&s, SIGNAL_OFFER), ==, SIGNAL_LIMITED);
	m = seal_body(&s.other_private, &s.other, &s.public, SIGNAL_OFFER, &len);
	g_assert_cmpint(take(&s, m, len), ==, SIGNAL_TAKEN);
	s.now_ms += 200;
	g_assert_cmpint(take_from_peer(&s, SIGNAL_OFFER), ==, SIGNAL_TAKEN);
	inbox_free(s.in);
}

static bool is_anybody(const struct wg_key *key, void *user)
{
	return true;
}

/* Thousands of peers, each with a word now and then: what is kept of them does not grow without an end, and
 * nobody is forgotten who has used up what he may. */
static void test_many(void)
{
	struct setup s;

	begin(&s);
	inbox_free(s.in);
	s.in = inbox_new(&s.private, is_anybody, NULL);
	for (int i = 0; i < INBOX_BURST; i++)
		g_assert_cmpint(take_from_peer(&s, SIGNAL_GO_IDLE), ==, SIGNAL_TAKEN);
	for (int i = 0; i < 1500; i++) {
		struct wg_key private, public;
		size_t len;
		g_autofree uint8_t *m = NULL;

		make_key(&private, &public);
		m = seal_body(&private, &public, &s.public, SIGNAL_OFFER, &len);
		g_assert_cmpint(take(&s, m, len), ==, SIGNAL_TAKEN);
		s.now_ms += i == 1200 ? 90 : 0;
	}
	g_assert_cmpint(take_from_peer(&s, SIGNAL_GO_IDLE), ==, SIGNAL_LIMITED);
	inbox_free(s.in);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inbox/taken", test_taken);
	g_test_add_func("/inbox/own", test_own);
	g_test_add_func("/inbox/bad", test_bad);
	g_test_add_func("/inbox/replayed", test_replayed);
	g_test_add_func("/inbox/limited", test_limited);
	g_test_add_func("/inbox/many", test_many);
	return g_test_run();
}
