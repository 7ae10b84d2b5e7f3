/* tests/unit/test_stun.c - STUN messages by RFC 5769's vectors, and those with something behind FINGERPRINT. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "ice/packet.h"
#include "ice/stun.h"
#include "tests/unit/hex.h"

#define PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"
#define ID "2112a442b7e7a701bc34d686fa87dfae"
#define REQUEST \
	"00010058" ID "802200105354554e207465737420636c69656e74" \
	"002400046e0001ff80290008932ff9b151263b36" \
	"0006000965" \
	"76746a3a68367659202020" \
	"000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
#define AA "\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa"
#define EIGHTY_AA AA AA AA AA AA AA AA AA
#define ANSWER4 \
	"0101003c" ID "8022000b7465737420766563746f7220002000080001a147e112a643" \
	"000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
#define ANSWER6 \
	"01010048" ID "8022000b7465737420766563746f722000200014" \
	"0002a1470113a9faa5d3f179bc25f4b5bed2b9d9" \
	"00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"

static uint8_t *bytes;
static size_t len;

static struct stun_message parse(const char *hex)
{
	struct stun_message m;

	g_free(bytes);
	bytes = hex_to_bytes(hex, &len);
	g_assert_cmpint(stun_parse(bytes, len, &m), ==, 0);
	return m;
}

static bool is_authentic(const struct stun_message *m, const char *password)
{
	struct integrity_key key;

	integrity_key_make(password, &key);
	return stun_is_authentic(m, &key);
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
	return e;
}

static void assert_mapped(const struct stun_message *m, const char *text)
{
	char buf[ENDPOINT_STRLEN];

	g_assert_cmpstr(endpoint_format(&m->mapped, buf), ==, text);
}

static void test_vectors(void)
{
	struct stun_message m = parse(REQUEST);

	g_assert_cmpint(m.class, ==, STUN_REQUEST);
	g_assert_cmpint(m.method, ==, STUN_BINDING);
	g_assert_cmpmem(m.username, m.username_len, "evtj:h6vY", 9);
	g_assert_true(is_authentic(&m, PASSWORD));
	g_assert_false(is_authentic(&m, "another"));
	g_assert_true(stun_has_good_fingerprint(&m));
	m = parse(ANSWER4);
	g_assert_cmpint(m.class, ==, STUN_SUCCESS);
	assert_mapped(&m, "192.0.2.1:32853");
	g_assert_true(is_authentic(&m, PASSWORD));
	g_assert_true(stun_has_good_fingerprint(&m));
	m = parse(ANSWER6);
	assert_mapped(&m, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
	g_assert_true(is_authentic(&m, PASSWORD));
	g_assert_true(stun_has_good_fingerprint(&m));
	m = parse("01110000" ID);
	g_assert_cmpint(m.class, ==, STUN_ERROR);
	g_assert_false(is_authentic(&m, PASSWORD));
	g_assert_false(stun_has_good_fingerprint(&m));
	m = parse("00110000" ID);
	g_assert_cmpint(m.class, ==, STUN_INDICATION);
	m = parse("3eef0000" ID);
	g_assert_cmpint(m.class, ==, STUN_REQUEST);
	g_assert_cmpint(m.method, ==, 0xfff);
}

/* RFC 2202: keys that are shorter and longer than a block, texts that end before a block does, behind it and at it. */
static void test_integrity(void)
{
	static const struct {
		const char *password, *text, *wanted;
	} cases[] = {
		{ "Jefe", "what do ya want for nothing?",
			"effcdf6ae5eb2fa2d27416d5f184df9c259a7c79" },
		{ EIGHTY_AA, "Test Using Larger Than Block-Size Key - Hash Key First",
			"aa4ae5e15272d00e95705637ce8a3b55ed402112" },
		{ EIGHTY_AA,
			"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
			"e8e99d0f45237d786d6bbaa7965c7808bbff1a91" },
		{ "", "", "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d" },
	};
	uint8_t digest[INTEGRITY_LEN];
	struct integrity_key key;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const char *text = cases[i].text;
		size_t wanted_len;
		g_autofree uint8_t *wanted = hex_to_bytes(cases[i].wanted, &wanted_len);

		integrity_key_make(cases[i].password, &key);
		for (size_t head = 0; head <= strlen(text); head++) {
			integrity_of(&key, text, head, text + head, strlen(text) - head, digest);
			g_assert_cmpmem(digest, sizeof(digest), wanted, wanted_len);
		}
	}
}

/* One wrong bit anywhere is seen by one of the two, but for what both leave out. */
static void test_damage(void)
{
	struct stun_message m = parse(REQUEST);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (stun_parse(bytes, len, &m) == 0)
			g_assert_false(is_authentic(&m, PASSWORD) && stun_has_good_fingerprint(&m));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_bad(void)
{
	static const char *const bad[] = {
		"",
		"000100002112a442b7e7a701bc34d686fa87df",
		"00010000"
		"2112a443b7e7a701bc34d686fa87dfae",
		"40010000" ID,
		"00010004" ID,
		"00010000" ID "00060000",
		"00010003" ID "000600",
		"00010004" ID "00060001",
		"00010008" ID "0006000500000000",
		"00010008" ID "8028000300000000",
		"00010008" ID "0008000400000000",
	};
	struct stun_message m;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_free(bytes);
		bytes = hex_to_bytes(bad[i], &len);
		g_assert_cmpint(stun_parse(bytes, len, &m), ==, -EBADMSG);
	}
	/* What counts is before the checksums, and an address of unknown form is none. */
	m = parse("00010010" ID "8028000400000000"
		  "0006000461626364");
	g_assert_null(m.username);
	m = parse("00010020" ID "000800140000000000000000000000000000000000000000"
		  "0006000461626364");
	g_assert_null(m.username);
	m = parse("0101000c" ID "002000080002a147e112a643");
	g_assert_cmpint(m.mapped.family, ==, 0);
	m = parse("01010008" ID "002000040001a147");
	g_assert_cmpint(m.mapped.family, ==, 0);
	m = parse("00010010" ID "0006000461626364"
		  "0006000465666768");
	g_assert_cmpmem(m.username, m.username_len, "abcd", 4);
}

static void test_answer(void)
{
	static const char *const from[] = { "192.0.2.1:32853", "[2001:db8::1]:1" };
	struct stun_message request = parse(REQUEST), m;
	uint8_t answer[STUN_ANSWER_MAX];
	struct integrity_key key;

	integrity_key_make(PASSWORD, &key);
	for (size_t i = 0; i < G_N_ELEMENTS(from); i++) {
		struct endpoint e = endpoint(from[i]);
		size_t answer_len = stun_write_success(&request, &e, &key, answer);

		g_assert_cmpint(stun_parse(answer, answer_len, &m), ==, 0);
		g_assert_cmpint(m.class, ==, STUN_SUCCESS);
		g_assert_cmpint(m.method, ==, STUN_BINDING);
		g_assert_cmpmem(m.id, STUN_ID_LEN, request.id, STUN_ID_LEN);
		assert_mapped(&m, from[i]);
		g_assert_true(is_authentic(&m, PASSWORD));
		g_assert_true(stun_has_good_fingerprint(&m));
	}
	stun_write_request(request.id, answer);
	g_assert_cmpint(stun_parse(answer, STUN_HEADER_LEN, &m), ==, 0);
	g_assert_cmpint(m.class, ==, STUN_REQUEST);
}

/* REQUEST with attribute 0x8100 behind, as the reference appends it. */
#define TAIL \
	"8100000b6162633a646566676869" \
	"6a00"
static const char tailed[] =
	"00010068" ID "802200105354554e207465737420636c69656e74"
	"002400046e0001ff80290008932ff9b151263b36"
	"000600096576746a3a68367659202020"
	"000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf" TAIL;

static void test_cut(void)
{
	struct stun_message m = parse(tailed);
	size_t plain_len;
	g_autofree uint8_t *plain = hex_to_bytes(REQUEST, &plain_len);

	g_assert_true(is_authentic(&m, PASSWORD));
	g_assert_true(stun_has_good_fingerprint(&m));
	g_assert_cmpuint(stun_cut(bytes, len), ==, plain_len);
	g_assert_cmpmem(bytes, plain_len, plain, plain_len);
	g_assert_cmpuint(stun_cut(bytes, plain_len), ==, plain_len);
	/* A bad fingerprint, or none: as it was. */
	parse(tailed);
	bytes[plain_len - 1] ^= 1;
	g_assert_cmpuint(stun_cut(bytes, len), ==, len);
	parse("00010008" ID "0006000461626364");
	g_assert_cmpuint(stun_cut(bytes, len), ==, len);
	g_assert_cmpuint(stun_cut(bytes, len - 1), ==, len - 1);
}

/* -- packets -------------------------------------------------------------------------------- */

static const char ip4[] = "4500009800000000401100000a0000010a000002";
static const char ip6[] = "60000000008411"
			  "4020010db800000000000000000000000120010db8000000000000000000000002";
static const char udp[] = "ca6cca6c00840000";

static uint32_t sum(const uint8_t *at, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i += 2)
		s += (uint32_t)at[i] << 8 | (i + 1 < n ? at[i + 1] : 0u);
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static uint8_t *packet(const char *ip)
{
	g_autofree char *hex = g_strconcat(ip, udp, tailed, NULL);

	return hex_to_bytes(hex, &len);
}

static void check_packet(const char *ip, size_t head, size_t addresses_len)
{
	g_autofree uint8_t *p = packet(ip);
	size_t cut = packet_cut(p, len), udp_len = cut - head;
	uint32_t s;

	g_assert_cmpuint(cut, ==, len - strlen(TAIL) / 2);
	g_assert_cmpuint(p[head + 4] << 8 | p[head + 5], ==, udp_len);
	s = sum(p + head - addresses_len, addresses_len) + sum(p + head, udp_len) + 17 +
		(uint32_t)udp_len;
	g_assert_cmphex((s & 0xffff) + (s >> 16), ==, 0xffff);
	if (head == 20) {
		g_assert_cmpuint(p[2] << 8 | p[3], ==, cut);
		g_assert_cmphex(sum(p, head), ==, 0xffff);
	} else {
		g_assert_cmpuint(p[4] << 8 | p[5], ==, udp_len);
	}
	g_assert_cmpuint(packet_cut(p, cut), ==, cut);
}

/* Byte `at` of a packet, changed so, and nothing may be cut any more. */
static void check_left(const char *ip, size_t at, uint8_t value)
{
	g_autofree uint8_t *p = packet(ip), *before = NULL;

	p[at] = value;
	before = g_memdup2(p, len);
	g_assert_cmpuint(packet_cut(p, len), ==, len);
	g_assert_cmpmem(p, len, before, len);
}

static void test_packet(void)
{
	check_packet(ip4, 20, 8);
	check_packet(ip6, 40, 32);
	check_left(ip4, 0, 0x55);
	check_left(ip4, 0, 0x44);
	check_left(ip4, 3, 0x99); /* length */
	check_left(ip4, 6, 0x20); /* a fragment */
	check_left(ip4, 7, 1);
	check_left(ip4, 9, 6);
	check_left(ip4, 25, 0x83);
	check_left(ip4, 0, 0x4f); /* other bytes where UDP would be */
	check_left(ip6, 5, 0x85);
	check_left(ip6, 6, 6);
	for (size_t n = 0; n < 20; n++) {
		g_autofree uint8_t *p = packet(ip4);

		g_assert_cmpuint(packet_cut(p, n), ==, n);
	}
}

static void free_bytes(void)
{
	g_clear_pointer(&bytes, g_free);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/stun/vectors", test_vectors);
	g_test_add_func("/stun/integrity", test_integrity);
	g_test_add_func("/stun/damage", test_damage);
	g_test_add_func("/stun/bad", test_bad);
	g_test_add_func("/stun/answer", test_answer);
	g_test_add_func("/stun/cut", test_cut);
	g_test_add_func("/stun/packet", test_packet);
	r = g_test_run();
	free_bytes();
	return r;
}
