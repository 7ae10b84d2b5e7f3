/* tests/unit/test_pathmtu.c - the search for the largest packet, and the probes byte by byte. */
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/tune/pathmtu.h"

/* What the search finds on a path that lets packets up to `mtu` through; counts what it sends. */
static uint32_t search(uint32_t mtu, bool ipv6, unsigned *ret_sent)
{
	struct pathmtu_search s;
	uint32_t size;

	*ret_sent = 0;
	pathmtu_search_begin(&s, ipv6);
	while ((size = pathmtu_search_next(&s))) {
		g_assert_cmpuint(size, <=, PATHMTU_MAX);
		g_assert_cmpuint(size, >=, ipv6 ? PATHMTU_MIN6 : PATHMTU_MIN4);
		g_assert_cmpuint(++*ret_sent, <, 20);
		pathmtu_search_tell(&s, size, size <= mtu);
	}
	return s.low;
}

static void test_search(void)
{
	unsigned sent;

	for (uint32_t mtu = PATHMTU_MIN4; mtu <= PATHMTU_MAX; mtu++)
		g_assert_cmpuint(search(mtu, false, &sent), ==, mtu);
	for (uint32_t mtu = PATHMTU_MIN6; mtu <= PATHMTU_MAX; mtu++)
		g_assert_cmpuint(search(mtu, true, &sent), ==, mtu);
	g_assert_cmpuint(search(1500, false, &sent), ==, 1500);
	g_assert_cmpuint(sent, <=, 3);
	g_assert_cmpuint(search(PATHMTU_MIN4 - 1, false, &sent), ==, 0);
	g_assert_cmpuint(sent, ==, 1);
}

static void test_echo(void)
{
	uint8_t data[64], reply[84] = { 0x45 };
	uint64_t tag = 0x1122334455667788, got = 0;
	uint32_t sum = 0;

	pathmtu_echo(data, sizeof(data), false, tag);
	for (size_t i = 0; i < sizeof(data); i += 2)
		sum += (uint32_t)(data[i] << 8 | data[i + 1]);
	g_assert_cmphex((sum & 0xffff) + (sum >> 16), ==, 0xffff);
	g_assert_cmpuint(data[0], ==, 8);
	memcpy(reply + 20, data, sizeof(data));
	g_assert_false(pathmtu_is_echo_reply(reply, sizeof(reply), false, &got)); /* our own */
	reply[20] = 0;
	g_assert_true(pathmtu_is_echo_reply(reply, sizeof(reply), false, &got));
	g_assert_cmphex(got, ==, tag);
	for (size_t len = 0; len < 36; len++)
		g_assert_false(pathmtu_is_echo_reply(reply, len, false, &got));
	reply[0] = 0x4f; /* a header longer than the packet */
	g_assert_false(pathmtu_is_echo_reply(reply, 60, false, &got));

	pathmtu_echo(data, sizeof(data), true, tag);
	g_assert_cmpuint(data[0], ==, 128);
	data[0] = 129;
	got = 0;
	g_assert_true(pathmtu_is_echo_reply(data, sizeof(data), true, &got));
	g_assert_cmphex(got, ==, tag);
	g_assert_false(pathmtu_is_echo_reply(data, 15, true, &got));
}

static void test_stun(void)
{
	static const uint8_t head[] = { 0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42 };
	static const uint8_t padding[] = { 0, 0x26, 0, 8 };
	uint64_t tag = 0x1122334455667788, got = 0;
	uint8_t data[32];

	pathmtu_stun(data, sizeof(data), tag);
	g_assert_cmpmem(data, 8, head, 8);
	g_assert_cmpmem(data + 12, 8, &tag, 8);
	g_assert_cmpmem(data + 20, 4, padding, 4);
	g_assert_false(pathmtu_is_stun_answer(data, sizeof(data), &got)); /* our own */
	data[0] = 1;
	data[1] = 0x11;
	g_assert_true(pathmtu_is_stun_answer(data, sizeof(data), &got));
	g_assert_cmphex(got, ==, tag);
	for (size_t len = 0; len < 20; len++)
		g_assert_false(pathmtu_is_stun_answer(data, len, &got));
	data[5] ^= 1;
	g_assert_false(pathmtu_is_stun_answer(data, sizeof(data), &got));
}

static void test_inner(void)
{
	struct pathmtu_target t = { .to = { .family = AF_INET }, .mtu = 1500 };

	g_assert_cmpuint(pathmtu_inner(&t), ==, 1440);
	t.to.family = AF_INET6;
	g_assert_cmpuint(pathmtu_inner(&t), ==, 1420);
	t.mtu = 0;
	g_assert_cmpuint(pathmtu_inner(&t), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pathmtu/search", test_search);
	g_test_add_func("/pathmtu/echo", test_echo);
	g_test_add_func("/pathmtu/stun", test_stun);
	g_test_add_func("/pathmtu/inner", test_inner);
	return g_test_run();
}
