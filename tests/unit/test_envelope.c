/* tests/unit/test_envelope.c - sealed messages: vectors made elsewhere, both ways; what is not for us. */
#include <errno.h>
#include <glib.h>
#include <sodium.h>
#include <string.h>

#include "mgmt/envelope.h"
#include "agent/base/wire.h"
#include "tests/unit/hex.h"

#define CLIENT_PRIVATE "AAIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH2A="
#define CLIENT_PUBLIC "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="
#define SERVER_PRIVATE "ICIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A="
#define SERVER_PUBLIC "WGmv9FBUlzLLqu1eXfmzCm2jHLDldCutWtShp2jxpns="
#define SHARED "ec88f6e13b22bf9f04d480e0d8525c08ac7e2f48e212742bcbcafa104a74b08d"
#define NONCE "000102030405060708090a0b0c0d0e0f1011121314151617"
#define PLAIN \
	"0a2431313131313131312d323232322d333333332d343434342d35353535353535353535353512190a047372763112056c696e75783a06302e36302e3092010101"
#define BODY \
	NONCE "7bc67b30380afd599037138e91b1935418d1ea686b0c4ce3c8c36c31cd702390463927354e879b01dab77ead976138761c790206115a5648f4910dae316123be2516072e46824aa0b65e745d97f0e64fc8"
#define EMPTY_BODY NONCE "bdc4c48134fd88418f8116ec3e760fc1"

static struct wg_key key(const char *text)
{
	struct wg_key k;

	g_assert_cmpint(key_parse(text, strlen(text), &k), ==, 0);
	return k;
}

static void check_pair(const char *private, const char *public, const char *remote)
{
	struct wg_key own = key(private), other = key(remote), derived;
	uint8_t shared[crypto_box_BEFORENMBYTES];
	char text[KEY_STRLEN];
	size_t len;
	g_autofree uint8_t *expected = hex_to_bytes(SHARED, &len);

	key_public_from_private(&own, &derived);
	g_assert_cmpstr(key_format(&derived, text), ==, public);
	g_assert_cmpint(crypto_box_beforenm(shared, other.b, own.b), ==, 0);
	g_assert_cmpmem(shared, sizeof(shared), expected, len);
}

static void test_keys_vector(void)
{
	check_pair(CLIENT_PRIVATE, CLIENT_PUBLIC, SERVER_PUBLIC);
	check_pair(SERVER_PRIVATE, SERVER_PUBLIC, CLIENT_PUBLIC);
}

/* What the server gets: our key as text, and the body. */
static void check_message(const uint8_t *message, size_t len, const char *body)
{
	struct wire wire = wire_begin((struct wire_bytes){ message, len });
	struct wire_field field;
	size_t body_len;
	g_autofree uint8_t *expected = hex_to_bytes(body, &body_len);

	g_assert_true(wire_next(&wire, &field));
	g_assert_cmpuint(field.number, ==, 1);
	g_assert_cmpmem(field.bytes.data, field.bytes.len, CLIENT_PUBLIC, KEY_TEXT_LEN);
	g_assert_true(wire_next(&wire, &field));
	g_assert_cmpuint(field.number, ==, 2);
	g_assert_cmpmem(field.bytes.data, field.bytes.len, expected, body_len);
	g_assert_false(wire_next(&wire, &field) || wire.bad);
}

static void test_seal_vector(void)
{
	struct wg_key private = key(CLIENT_PRIVATE), public = key(CLIENT_PUBLIC);
	struct wg_key server = key(SERVER_PUBLIC);
	size_t len, plain_len;
	g_autofree uint8_t *nonce = hex_to_bytes(NONCE, &len);
	g_autofree uint8_t *plain = hex_to_bytes(PLAIN, &plain_len);
	g_autofree uint8_t *message = envelope_seal_with(
		nonce, &private, &public, &server, plain, plain_len, &len);
	g_autofree uint8_t *empty = NULL;

	check_message(message, len, BODY);
	empty = envelope_seal_with(nonce, &private, &public, &server, NULL, 0, &len);
	check_message(empty, len, EMPTY_BODY);
}

static uint8_t *envelope_of(const char *body, size_t *ret_len)
{
	size_t len;
	g_autofree uint8_t *bytes = hex_to_bytes(body, &len);
	uint8_t *message = g_malloc(len + 8);

	g_assert_cmpuint(len, <, 128);
	message[0] = 2 << 3 | 2;
	message[1] = (uint8_t)len;
	memcpy(message + 2, bytes, len);
	*ret_len = len + 2;
	return message;
}

static void test_open_vector(void)
{
	struct wg_key server = key(SERVER_PRIVATE), client = key(CLIENT_PUBLIC);
	size_t len, expected_len, plain_len;
	g_autofree uint8_t *message = envelope_of(BODY, &len);
	g_autofree uint8_t *expected = hex_to_bytes(PLAIN, &expected_len);
	uint8_t *plain = NULL;

	g_assert_cmpint(envelope_open(&server, &client, message, len, &plain, &plain_len), ==, 0);
	g_assert_cmpmem(plain, plain_len, expected, expected_len);
	envelope_wipe(plain, plain_len);
	g_free(message);
	message = envelope_of(EMPTY_BODY, &len);
	g_assert_cmpint(envelope_open(&server, &client, message, len, &plain, &plain_len), ==, 0);
	g_assert_cmpuint(plain_len, ==, 0);
	envelope_wipe(plain, plain_len);
	envelope_wipe(NULL, 0);
}

static void test_round_trip(void)
{
	struct wg_key private = key(CLIENT_PRIVATE), public = key(CLIENT_PUBLIC);
	struct wg_key server_private = key(SERVER_PRIVATE), server = key(SERVER_PUBLIC);
	static const size_t lengths[] = { 0, 1, 87, 88, 127, 128, 16343, 16344, 100000 };

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autofree uint8_t *plain = g_malloc(lengths[i] + 1), *a = NULL, *b = NULL;
		size_t a_len, b_len, opened_len;
		uint8_t *opened = NULL;

		memset(plain, (int)i, lengths[i]);
		a = envelope_seal(&private, &public, &server, plain, lengths[i], &a_len);
		b = envelope_seal(&private, &public, &server, plain, lengths[i], &b_len);
		g_assert_cmpuint(a_len, ==, b_len);
		g_assert_true(memcmp(a, b, a_len)); /* a new nonce each time */
		g_assert_cmpint(
			envelope_open(&server_private, &public, a, a_len, &opened, &opened_len), ==,
			0);
		g_assert_cmpmem(opened, opened_len, plain, lengths[i]);
		envelope_wipe(opened, opened_len);
	}
}

static int try_open(const uint8_t *message, size_t len, const char *sender)
{
	struct wg_key private = key(SERVER_PRIVATE), from = key(sender);
	uint8_t *plain = NULL;
	size_t plain_len = 7;
	int r = envelope_open(&private, &from, message, len, &plain, &plain_len);

	if (r < 0) {
		g_assert_null(plain);
		g_assert_cmpuint(plain_len, ==, 7);
	}
	envelope_wipe(plain, r < 0 ? 0 : plain_len);
	return r;
}

static void test_bad(void)
{
	size_t len;
	g_autofree uint8_t *message = envelope_of(BODY, &len);

	g_assert_cmpint(try_open(message, len, CLIENT_PUBLIC), ==, 0);
	g_assert_cmpint(try_open(message, len, SERVER_PUBLIC), ==, -EBADMSG);
	g_assert_cmpint(try_open(message, 0, CLIENT_PUBLIC), ==, -EPROTO);
	for (size_t i = 1; i < len; i++)
		g_assert_cmpint(try_open(message, i, CLIENT_PUBLIC), ==, -EPROTO);
	for (size_t i = 2; i < len; i++) {
		message[i] ^= 0x40;
		g_assert_cmpint(try_open(message, len, CLIENT_PUBLIC), ==, -EBADMSG);
		message[i] ^= 0x40;
	}
	message[1] = BOX_OVERHEAD - 1;
	g_assert_cmpint(try_open(message, 2 + BOX_OVERHEAD - 1, CLIENT_PUBLIC), ==, -EPROTO);
	message[0] = 2 << 3; /* a number where the body should be */
	g_assert_cmpint(try_open(message, 2, CLIENT_PUBLIC), ==, -EPROTO);
}

/* A key that makes every secret known is no key. */
static void test_weak_server(void)
{
	struct wg_key private = key(CLIENT_PRIVATE), public = key(CLIENT_PUBLIC);
	struct wg_key zero = { { 0 } };
	size_t len;

	g_assert_null(envelope_seal(&private, &public, &zero, "x", 1, &len));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/envelope/keys-vector", test_keys_vector);
	g_test_add_func("/envelope/seal-vector", test_seal_vector);
	g_test_add_func("/envelope/open-vector", test_open_vector);
	g_test_add_func("/envelope/round-trip", test_round_trip);
	g_test_add_func("/envelope/bad", test_bad);
	g_test_add_func("/envelope/weak-server", test_weak_server);
	return g_test_run();
}
