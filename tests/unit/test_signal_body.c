/* tests/unit/test_signal_body.c - bodies and envelopes: the vectors of the protocol's description, what a
 * peer may leave out, and what is none. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/seal.h"
#include "signal/body.h"
#include "signal/signalexchange.pb-c.h"
#include "tests/unit/hex.h"

#define A_PRIVATE "EBEREREREREREREREREREREREREREREREREREREREVE="
#define A_PUBLIC "e06Qm75//kTEZaIgA31gjuNYl9Me+XLwf3SJLLD3PxM="
#define B_PRIVATE "ICIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiImI="
#define B_PUBLIC "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA="
#define NONCE "000102030405060708090a0b0c0d0e0f1011121314151617"
#define GO_IDLE_BOX NONCE "6ed1c971baded612b384c3cb8bd1bcf35389"
#define HEARTBEAT_BOX NONCE "eb95259d8db87106151164f0d2883bf36656"
#define OFFER \
	"12314162436445664768496a4b6c4d6e4f703a6162636465666768696a6b6c6d6e6f70717273747576777879" \
	"7a41424344454618ec94032206302e36302e303a00421c72656c733a2f2f72656c61792e6578616d706c652e" \
	"636f6d3a343433520501020304055a04cb007109"

static struct wg_key key(const char *text)
{
	struct wg_key k;

	g_assert_cmpint(key_parse(text, strlen(text), &k), ==, 0);
	return k;
}

static int decode(const char *hex, struct signal_body *ret)
{
	size_t len;
	g_autofree uint8_t *bytes = hex_to_bytes(hex, &len), *exact = g_memdup2(bytes, len);

	return signal_body_decode(exact, len, ret);
}

/* -- vectors -------------------------------------------------------------------------------- */

static void test_offer(void)
{
	struct signal_body body;
	char text[PREFIX_STRLEN];
	size_t len, expected_len;
	g_autofree uint8_t *expected = hex_to_bytes(OFFER, &expected_len);
	uint8_t *bytes;

	g_assert_cmpint(decode(OFFER, &body), ==, 0);
	g_assert_cmpint(body.type, ==, SIGNAL_OFFER);
	g_assert_cmpstr(body.offer.ufrag, ==, "AbCdEfGhIjKlMnOp");
	g_assert_cmpstr(body.offer.pwd, ==, "abcdefghijklmnopqrstuvwxyzABCDEF");
	g_assert_cmpuint(body.offer.wg_port, ==, 51820);
	g_assert_cmpstr(body.offer.version, ==, "0.60.0");
	g_assert_cmpstr(body.offer.relay, ==, "rels://relay.example.com:443");
	g_assert_cmpstr(prefix_format(&body.offer.relay_address, text), ==, "203.0.113.9/32");
	g_assert_true(body.offer.has_session);
	g_assert_cmpmem(body.offer.session, 5, "\1\2\3\4\5", 5);
	g_assert_false(body.offer.rosenpass);
	bytes = signal_body_encode(&body, &len);
	g_assert_cmpmem(bytes, len, expected, expected_len);
	seal_wipe(bytes, len);
}

static void check_box(enum signal_type type, const char *remote, const char *hex)
{
	struct wg_key private = key(A_PRIVATE), public = key(A_PUBLIC), to = key(remote);
	struct signal_body body = { .type = type };
	struct signal_envelope e;
	size_t plain_len, len, box_len;
	g_autofree uint8_t *nonce = hex_to_bytes(NONCE, &len), *box = hex_to_bytes(hex, &box_len);
	uint8_t *plain = signal_body_encode(&body, &plain_len);
	g_autofree uint8_t *message = signal_seal(
		nonce, &private, &public, &to, plain, plain_len, &len);

	g_assert_cmpuint(plain_len, ==, 2);
	g_assert_cmpint(signal_envelope_read(message, len, &e), ==, 0);
	g_assert_true(key_is_same(&e.from, &public) && key_is_same(&e.to, &to));
	g_assert_cmpmem(e.box, e.box_len, box, box_len);
	seal_wipe(plain, plain_len);
}

static void test_boxes(void)
{
	struct wg_key b = key(B_PRIVATE), a = key(A_PUBLIC);
	size_t len, plain_len;
	g_autofree uint8_t *box = hex_to_bytes(GO_IDLE_BOX, &len);
	struct signal_body body;
	uint8_t *plain;

	check_box(SIGNAL_GO_IDLE, B_PUBLIC, GO_IDLE_BOX);
	check_box(SIGNAL_HEARTBEAT, A_PUBLIC, HEARTBEAT_BOX);
	g_assert_cmpint(box_open(&b, &a, box, len, &plain, &plain_len), ==, 0);
	g_assert_cmpint(signal_body_decode(plain, plain_len, &body), ==, 0);
	g_assert_cmpint(body.type, ==, SIGNAL_GO_IDLE);
	seal_wipe(plain, plain_len);
	box[len - 1] ^= 1;
	g_assert_cmpint(box_open(&b, &a, box, len, &plain, &plain_len), ==, -EBADMSG);
	g_assert_cmpint(box_open(&b, &a, box, BOX_OVERHEAD - 1, &plain, &plain_len), ==, -EPROTO);
}

/* -- what a peer may say -------------------------------------------------------------------- */

/* As another packer writes it; free with g_free. */
static uint8_t *packed(const Signalexchange__Body *body, size_t *ret_len)
{
	uint8_t *bytes;

	*ret_len = signalexchange__body__get_packed_size(body);
	bytes = g_malloc(*ret_len + 1);
	signalexchange__body__pack(body, bytes);
	return bytes;
}

static int read_packed(const Signalexchange__Body *body, struct signal_body *ret)
{
	size_t len;
	g_autofree uint8_t *bytes = packed(body, &len), *exact = g_memdup2(bytes, len);

	return signal_body_decode(exact, len, ret);
}

static void test_credentials(void)
{
	static const struct {
		const char *payload, *ufrag;
		int r;
	} cases[] = {
		{ "u:p", "u", 0 },
		{ ":", "", 0 },
		{ "u:", "", 0 },
		{ ":p", "", 0 },
		{ "", "", -EINVAL },
		{ "u", "", -EINVAL },
		{ "u:p:x", "", -EINVAL },
		{ "u:p\n", "", -EINVAL },
		{ "u u:p", "", -EINVAL },
		{ "u:\xc3\xa4", "", -EINVAL },
	};
	g_autofree char *longest = g_strdup_printf("%0256d:%0256d", 0, 0);
	g_autofree char *longer = g_strdup_printf("%0257d:p", 0);
	Signalexchange__Body in = SIGNALEXCHANGE__BODY__INIT;
	struct signal_body body;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("%s", cases[i].payload);
		in.payload = (char *)cases[i].payload;
		g_assert_cmpint(read_packed(&in, &body), ==, cases[i].r);
		if (cases[i].r == 0)
			g_assert_cmpstr(body.offer.ufrag, ==, cases[i].ufrag);
	}
	in.payload = longest;
	g_assert_cmpint(read_packed(&in, &body), ==, 0);
	in.payload = longer;
	g_assert_cmpint(read_packed(&in, &body), ==, -EINVAL);
}

/* Fields that are wrong count as not said; the offer itself holds. */
static void test_odd_fields(void)
{
	Signalexchange__RosenpassConfig rosenpass = SIGNALEXCHANGE__ROSENPASS_CONFIG__INIT;
	Signalexchange__Body in = SIGNALEXCHANGE__BODY__INIT;
	g_autofree uint8_t *big = g_malloc0(524160);
	struct signal_body body;

	in.has_type = in.has_wglistenport = true;
	in.type = SIGNALEXCHANGE__BODY__TYPE__ANSWER;
	in.payload = (char *)"u:p";
	in.wglistenport = 65536;
	in.netbirdversion = (char *)"1.0\x1b[2J";
	in.relayserveraddress = (char *)"rels://a b";
	in.has_sessionid = in.has_relayserverip = true;
	in.sessionid = (ProtobufCBinaryData){ 4, big };
	in.relayserverip = (ProtobufCBinaryData){ 5, big };
	in.rosenpassconfig = &rosenpass;
	rosenpass.has_rosenpasspubkey = true;
	rosenpass.rosenpasspubkey = (ProtobufCBinaryData){ 524160, big };
	g_assert_cmpint(read_packed(&in, &body), ==, 0);
	g_assert_cmpint(body.type, ==, SIGNAL_ANSWER);
	g_assert_cmpuint(body.offer.wg_port, ==, 0);
	g_assert_cmpstr(body.offer.version, ==, "");
	g_assert_cmpstr(body.offer.relay, ==, "");
	g_assert_false(body.offer.has_session);
	g_assert_cmpint(body.offer.relay_address.family, ==, 0);
	g_assert_true(body.offer.rosenpass);
	in.relayserverip.len = 16;
	in.sessionid.len = 5;
	g_assert_cmpint(read_packed(&in, &body), ==, 0);
	g_assert_cmpint(body.offer.relay_address.family, ==, AF_INET6);
	g_assert_true(body.offer.has_session);
}

static void test_types(void)
{
	Signalexchange__Body in = SIGNALEXCHANGE__BODY__INIT;
	struct signal_body body;

	in.has_type = true;
	in.type = SIGNALEXCHANGE__BODY__TYPE__CANDIDATE;
	in.payload = (char *)"1 1 udp 5 192.0.2.1 9 typ host";
	g_assert_cmpint(read_packed(&in, &body), ==, 0);
	g_assert_cmpuint(body.candidate.address.port, ==, 9);
	in.payload = (char *)"1 1 tcp 5 192.0.2.1 9 typ host";
	g_assert_cmpint(read_packed(&in, &body), ==, -ENOTSUP);
	in.payload = (char *)"nothing";
	g_assert_cmpint(read_packed(&in, &body), ==, -EINVAL);
	g_assert_cmpint(decode("0802", &body), ==, -EINVAL);
	g_assert_cmpint(decode("0804", &body), ==, -ENOTSUP); /* MODE */
	g_assert_cmpint(decode("0803", &body), ==, -ENOTSUP);
	g_assert_cmpint(decode("08ffffffffffffffffff01", &body), ==, -ENOTSUP);
	g_assert_cmpint(decode("0805", &body), ==, 0);
	g_assert_cmpint(decode("", &body), ==, -EINVAL); /* an offer without anything */
	g_assert_cmpint(decode("1001", &body), ==, -EINVAL); /* a number for a payload */
	g_assert_cmpint(decode("08", &body), ==, -EPROTO);
	g_assert_cmpint(decode("1205aabb", &body), ==, -EPROTO);
}

static void test_candidate_is_sent(void)
{
	static const char line[] =
		"3418105078 1 udp 2130706431 192.0.2.10 51820 typ host ufrag u cid c";
	struct signal_body body = { .type = SIGNAL_CANDIDATE };
	Signalexchange__Body *read;
	size_t len;
	uint8_t *bytes;

	g_assert_cmpint(candidate_parse(line, strlen(line), &body.candidate), ==, 0);
	bytes = signal_body_encode(&body, &len);
	read = signalexchange__body__unpack(NULL, len, bytes);
	g_assert_cmpstr(read->payload, ==, line);
	g_assert_cmpint(read->type, ==, SIGNALEXCHANGE__BODY__TYPE__CANDIDATE);
	g_assert_null(read->rosenpassconfig);
	signalexchange__body__free_unpacked(read, NULL);
	seal_wipe(bytes, len);
}

/* -- envelopes ------------------------------------------------------------------------------ */

static void test_envelopes(void)
{
	struct wg_key private = key(A_PRIVATE), public = key(A_PUBLIC), remote = key(B_PUBLIC);
	struct wg_key zero = { { 0 } };
	static const uint8_t nonce[BOX_NONCE] = { 1 };
	struct signal_envelope e;
	size_t len, other;
	g_autofree uint8_t *message = signal_seal(
		nonce, &private, &public, &remote, (const uint8_t *)"xy", 2, &len);

	g_assert_cmpint(signal_envelope_read(message, len, &e), ==, 0);
	for (size_t i = 0; i < len; i++)
		g_assert_cmpint(signal_envelope_read(message, i, &e), ==, -EPROTO);
	message[2] ^= 1; /* of the sender's key: still one, or no base64 any more */
	message[2 + KEY_TEXT_LEN - 1] = 'A';
	g_assert_cmpint(signal_envelope_read(message, len, &e), ==, -EPROTO);
	g_assert_null(signal_seal(nonce, &private, &public, &zero, NULL, 0, &other));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/signal body/offer", test_offer);
	g_test_add_func("/signal body/boxes", test_boxes);
	g_test_add_func("/signal body/credentials", test_credentials);
	g_test_add_func("/signal body/odd fields", test_odd_fields);
	g_test_add_func("/signal body/types", test_types);
	g_test_add_func("/signal body/candidate is sent", test_candidate_is_sent);
	g_test_add_func("/signal body/envelopes", test_envelopes);
	return g_test_run();
}
