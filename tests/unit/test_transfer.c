/* tests/unit/test_transfer.c - inner packets or not, from byte counts alone. */
#include <glib.h>

#include "agent/lazy/transfer.h"

enum { I = 148, R = 92, K = 32, PING = 32 + 96, TINY = 32 + 32, FULL = 32 + 1420 };

static const struct {
	const char *what;
	struct transfer t; /* rx, tx, elapsed, handshake, keepalives of ours and theirs */
	bool inner;
} table[] = {
	{ "nothing", { 0, 0, 60000, false, 0, 0 }, false },
	{ "nothing, at once", { 0, 0, 0, false, 0, 0 }, false },
	{ "a ping and its answer", { PING, PING, 15000, false, 0, 0 }, true },
	{ "sent only", { 0, TINY, 60000, false, 0, 0 }, true },
	{ "received only", { TINY, 0, 60000, false, 0, 0 }, true },
	{ "the smallest that could be", { 0, 48, 60000, false, 0, 0 }, true },
	{ "received, and our keepalive for it", { PING, K, 60000, false, 0, 0 }, true },
	{ "a keepalive for earlier data", { 0, K, 60000, false, 0, 0 }, false },
	{ "theirs for ours", { K, 0, 60000, false, 0, 0 }, false },
	{ "two of them are one tiny packet", { 0, 2 * K, 60000, false, 0, 0 }, true },
	{ "full packets", { 1000 * FULL, 500 * 80, 15000, false, 0, 0 }, true },

	{ "we shake hands, no more", { R, I + K, 15000, true, 0, 0 }, false },
	{ "they do", { I + K, R, 15000, true, 0, 0 }, false },
	{ "they do, not confirmed yet", { I, R, 15000, false, 0, 0 }, false },
	{ "both at once", { I + R + K, I + R, 15000, true, 0, 0 }, false },
	{ "we, and a tiny packet", { R, I + TINY, 15000, true, 0, 0 }, true },
	{ "they, and a tiny packet", { I + TINY, R, 15000, true, 0, 0 }, true },
	{ "we, and a ping", { R + PING, I + PING, 15000, true, 0, 0 }, true },
	{ "an answer without a question", { R, 0, 15000, true, 0, 0 }, true },
	{ "a response without an initiation", { 0, R, 15000, false, 0, 0 }, true },
	{ "somebody asks in vain: he has something to send", { 0, 3 * I, 15000, false, 0, 0 },
		true },
	{ "once in vain, then answered", { R, 2 * I + K, 15000, true, 0, 0 }, true },

	{ "our keepalives", { 0, 3 * K, 60000, false, 25, 0 }, false },
	{ "theirs", { 3 * K, 0, 60000, false, 0, 25 }, false },
	{ "of both", { 61 * K, 61 * K, 60000, false, 1, 1 }, false },
	{ "more than there can be", { 0, 6 * K, 60000, false, 25, 0 }, true },
	{ "theirs are not ours", { 0, 3 * K, 60000, false, 0, 25 }, true },
	{ "keepalives and a rekey", { R, I + 3 * K + K, 60000, true, 25, 0 }, false },
	{ "keepalives and their rekey", { 3 * K + I + K, R, 60000, true, 0, 25 }, false },
	{ "two rekeys in four minutes", { 2 * R + 9 * K, 2 * I + 11 * K, 240000, true, 25, 25 },
		false },
	{ "keepalives that nobody answers", { 0, 12 * I, 60000, false, 25, 0 }, false },
	{ "they ask again and again", { 12 * I, 12 * R, 60000, false, 0, 25 }, false },
	{ "keepalives and a ping", { PING, 2 * K + PING, 60000, false, 25, 0 }, true },
	{ "keepalives, a rekey and a ping", { R + PING, I + 2 * K + PING, 60000, true, 25, 0 },
		true },
};

static void test_table(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_test_message("%s", table[i].what);
		g_assert_cmpint(transfer_has_inner(&table[i].t), ==, table[i].inner);
	}
}

static unsigned draw(uint64_t n)
{
	return (unsigned)g_test_rand_int_range(0, (gint32)n);
}

/* Whatever keepalives and the handshakes that they need can come to. */
static void test_silence(void)
{
	for (unsigned round = 0; round < 100000; round++) {
		struct transfer t = { .elapsed_ms = 1000 + draw(600000),
			.keepalive_s = (uint16_t)(1 + draw(120)),
			.remote_keepalive_s = (uint16_t)draw(3) };
		unsigned seconds = (unsigned)t.elapsed_ms / 1000;
		unsigned rekeys = draw(seconds / 120 + 2), lost = draw(3);

		for (unsigned i = 0; i < rekeys; i++) {
			bool ours = draw(2);

			t.handshake = true;
			t.tx += ours ? I + K : R;
			t.rx += ours ? R : I + K;
		}
		if (seconds / 5 >= rekeys + lost)
			t.tx += lost * I;
		t.tx += draw(seconds / t.keepalive_s + 2) * K;
		if (t.remote_keepalive_s)
			t.rx += draw(seconds / t.remote_keepalive_s + 2) * K;
		g_assert_false(transfer_has_inner(&t));
	}
}

/* Without keepalives no packet of any size is missed, whatever comes back. */
static void test_every_size(void)
{
	static const struct transfer shakes[] = { { 0, 0, 60000, false, 0, 0 },
		{ R, I, 60000, true, 0, 0 }, { I, R, 60000, true, 0, 0 },
		{ I + R, I + R, 60000, true, 0, 0 }, { K, K, 60000, false, 0, 0 } };

	for (size_t i = 0; i < G_N_ELEMENTS(shakes); i++)
		for (unsigned out = TINY; out <= FULL + 16; out += 16)
			for (unsigned in = 0; in <= FULL + 16; in += in ? 16 : K) {
				struct transfer t = shakes[i], back = shakes[i];

				t.tx += out;
				t.rx += in;
				back.tx += in;
				back.rx += out;
				g_assert_true(transfer_has_inner(&t));
				g_assert_true(transfer_has_inner(&back));
			}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/transfer/table", test_table);
	g_test_add_func("/transfer/silence", test_silence);
	g_test_add_func("/transfer/every-size", test_every_size);
	return g_test_run();
}
