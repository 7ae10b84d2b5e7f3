/* tests/unit/test_ethtool.c - ethtool's netlink messages, byte for byte, both ways. */
#include "netlink/ethtool.h"

#include "tests/unit/fake_nl.h"

enum { FAMILY = 0x1234, REPLY = 40 };

static struct ethtool *open_fake(void)
{
	struct ethtool *e;

	fake_reset();
	g_assert_cmpint(ethtool_open(&e), ==, 0);
	return e;
}

static size_t put_head(struct bytes *out, uint8_t cmd)
{
	size_t message = bytes_message(out, FAMILY, 0, 0);

	bytes_u8(out, cmd);
	bytes_u8(out, 1);
	bytes_u16(out, 0);
	return message;
}

/* As a request begins. */
static size_t put_request(struct bytes *out, uint8_t cmd)
{
	size_t message = put_head(out, cmd), nest = bytes_nest(out, 1);

	bytes_attr_text(out, 2, "eth0");
	bytes_close(out, nest);
	return message;
}

static void assert_sent(struct bytes *want, size_t message)
{
	bytes_end(want, message);
	g_assert_cmpmem(fake.sent, fake.len, want->b, want->len);
	fake_reset();
	want->len = 0;
}

/* -- requests ------------------------------------------------------------------------------- */

static void put_bit(struct bytes *out, bool on)
{
	size_t wanted = bytes_nest(out, 3), bits = bytes_nest(out, 3), bit = bytes_nest(out, 1);

	bytes_attr_text(out, 2, "rx-gro-list");
	if (on)
		bytes_attr(out, 3, NULL, 0);
	bytes_close(out, bit);
	bytes_close(out, bits);
	bytes_close(out, wanted);
}

static void test_sends(void)
{
	const struct eth_channels channels = { 1, 2, 3 };
	const struct eth_rings rings = { 512, 1024 };
	struct ethtool *e = open_fake();
	struct eth_channels now, max;
	struct bytes want = { 0 };
	size_t message;

	ethtool_get_channels(e, "eth0", &now, &max);
	assert_sent(&want, put_request(&want, 17));
	g_assert_cmpint(ethtool_set_channels(e, "eth0", &channels), ==, 0);
	message = put_request(&want, 18);
	bytes_attr_u32(&want, 6, 1);
	bytes_attr_u32(&want, 7, 2);
	bytes_attr_u32(&want, 9, 3);
	assert_sent(&want, message);
	g_assert_cmpint(ethtool_set_rings(e, "eth0", &rings), ==, 0);
	message = put_request(&want, 16);
	bytes_attr_u32(&want, 6, 512);
	bytes_attr_u32(&want, 9, 1024);
	assert_sent(&want, message);
	for (int on = 0; on < 2; on++) {
		g_assert_cmpint(ethtool_set_feature(e, "eth0", "rx-gro-list", on), ==, 0);
		message = put_request(&want, 12);
		put_bit(&want, on);
		assert_sent(&want, message);
	}
	ethtool_close(e);
}

static void test_names(void)
{
	static const char *const bad[] = { "", "sixteen_letters_", "far_longer_than_any_device" };
	const struct eth_channels channels = { 0 };
	struct ethtool *e = open_fake();

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(ethtool_set_channels(e, bad[i], &channels), ==, -ENODEV);
	g_assert_cmpuint(fake.n, ==, 0);
	g_assert_cmpint(ethtool_set_channels(e, "fifteen_letters", &channels), ==, 0);
	ethtool_close(e);
}

/* -- answers: numbers ----------------------------------------------------------------------- */

static void test_channels(void)
{
	struct eth_channels now = { 9, 9, 9 }, max = { 9, 9, 9 };
	struct ethtool *e = open_fake();
	struct bytes reply = { 0 };
	size_t message = put_request(&reply, REPLY);

	bytes_attr_u32(&reply, 5, 64);
	bytes_attr_u32(&reply, 4, 1);
	bytes_attr_u32(&reply, 9, 16);
	bytes_attr_u32(&reply, 99, 7);
	bytes_end(&reply, message);
	fake.reply = &reply;
	g_assert_cmpint(ethtool_get_channels(e, "eth0", &now, &max), ==, 0);
	g_assert_cmpuint(now.combined, ==, 16);
	g_assert_cmpuint(max.combined, ==, 64);
	g_assert_cmpuint(now.rx + now.tx + max.rx + max.tx, ==, 0);
	ethtool_close(e);
}

static void test_rings(void)
{
	struct ethtool *e = open_fake();
	struct eth_rings now, max;
	struct bytes reply = { 0 };
	size_t message = put_request(&reply, REPLY);

	for (uint16_t i = 2; i <= 9; i++)
		bytes_attr_u32(&reply, i, i * 100);
	bytes_end(&reply, message);
	fake.reply = &reply;
	g_assert_cmpint(ethtool_get_rings(e, "eth0", &now, &max), ==, 0);
	g_assert_cmpuint(max.rx, ==, 200);
	g_assert_cmpuint(max.tx, ==, 500);
	g_assert_cmpuint(now.rx, ==, 600);
	g_assert_cmpuint(now.tx, ==, 900);
	ethtool_close(e);
}

static void test_refused(void)
{
	struct eth_channels now = { 1, 2, 3 }, max = { 4, 5, 6 };
	struct ethtool *e = open_fake();

	fake.result = -EOPNOTSUPP;
	g_assert_cmpint(ethtool_get_channels(e, "eth0", &now, &max), ==, -EOPNOTSUPP);
	g_assert_cmpuint(now.combined, ==, 3);
	g_assert_cmpuint(max.rx, ==, 4);
	ethtool_close(e);
}

/* One attribute of any length, where a number of four bytes is wanted. */
static void test_wrong_lengths(void)
{
	static const uint8_t zeros[16];
	struct ethtool *e = open_fake();
	struct eth_channels now, max;

	for (size_t len = 0; len <= sizeof(zeros); len++) {
		struct bytes reply = { 0 };
		size_t message = put_request(&reply, REPLY);

		bytes_attr(&reply, 9, zeros, len);
		bytes_end(&reply, message);
		fake.reply = &reply;
		g_assert_cmpint(
			ethtool_get_channels(e, "eth0", &now, &max), ==, len == 4 ? 0 : -EPROTO);
	}
	ethtool_close(e);
}

/* -- answers: features ---------------------------------------------------------------------- */

/* Bits by name; "+name" has a value. */
static void put_set(struct bytes *out, uint16_t type, const char *const *names)
{
	size_t set = bytes_nest(out, type), bits;

	bytes_attr_u32(out, 2, 64);
	bits = bytes_nest(out, 3);
	for (; *names; names++) {
		size_t bit = bytes_nest(out, 1);

		bytes_attr_u32(out, 1, 5);
		bytes_attr_text(out, 2, *names + (**names == '+'));
		if (**names == '+')
			bytes_attr(out, 3, NULL, 0);
		bytes_close(out, bit);
	}
	bytes_close(out, bits);
	bytes_close(out, set);
}

static void put_features(struct bytes *out)
{
	static const char *const hw[] = { "+free", "+on", "stuck", "stuck-on", "+never", NULL };
	static const char *const active[] = { "on", "stuck-on", "never", NULL };
	static const char *const never[] = { "never", NULL };
	size_t message = put_request(out, REPLY);

	put_set(out, 2, hw);
	put_set(out, 4, active);
	put_set(out, 5, never);
	bytes_end(out, message);
}

static void test_features(void)
{
	static const struct {
		const char *name;
		int result;
		struct eth_feature want;
	} cases[] = {
		{ "free", 0, { false, false } },
		{ "on", 0, { true, false } },
		{ "stuck", 0, { false, true } },
		{ "stuck-on", 0, { true, true } },
		{ "never", 0, { true, true } },
		{ "stuck-", -EOPNOTSUPP, { 0 } },
		{ "", -EOPNOTSUPP, { 0 } },
	};
	struct ethtool *e = open_fake();
	struct bytes reply = { 0 };

	put_features(&reply);
	fake.reply = &reply;
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct eth_feature feature = { 0 };

		g_assert_cmpint(ethtool_get_feature(e, "eth0", cases[i].name, &feature), ==,
			cases[i].result);
		g_assert_cmpint(feature.on, ==, cases[i].want.on);
		g_assert_cmpint(feature.fixed, ==, cases[i].want.fixed);
	}
	ethtool_close(e);
}

/* A message that ends anywhere is an error, or lacks something. */
static void test_features_cut(void)
{
	struct bytes whole = { 0 }, reply;
	struct ethtool *e = open_fake();
	struct eth_feature feature;

	put_features(&whole);
	for (size_t len = NLMSG_HDRLEN; len < whole.len; len++) {
		uint32_t cut = (uint32_t)len;
		int r;

		reply = whole;
		reply.len = len;
		memcpy(reply.b, &cut, sizeof(cut));
		fake.reply = &reply;
		r = ethtool_get_feature(e, "eth0", "never", &feature);
		g_assert_true(r == -EPROTO || r == -EOPNOTSUPP || r == 0);
		g_assert_true(r || len > whole.len / 2);
	}
	ethtool_close(e);
}

/* Every byte of the answer, turned into others. */
static void test_features_mad(void)
{
	static const uint8_t values[] = { 0, 1, 3, 4, 0x7f, 0xff };
	struct bytes whole = { 0 }, reply;
	struct ethtool *e = open_fake();
	struct eth_feature feature;

	put_features(&whole);
	for (size_t at = NLMSG_HDRLEN; at < whole.len; at++)
		for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
			int r;

			reply = whole;
			reply.b[at] = values[i];
			fake.reply = &reply;
			r = ethtool_get_feature(e, "eth0", "never", &feature);
			g_assert_true(r == -EPROTO || r == -EOPNOTSUPP || r == 0);
		}
	ethtool_close(e);
}

/* -- answers: the table --------------------------------------------------------------------- */

static int get_table(const struct bytes *reply, size_t *ret_n)
{
	g_autofree uint32_t *entries = NULL;
	struct ethtool *e = open_fake();
	int r;

	fake.reply = reply;
	r = ethtool_get_table(e, "eth0", &entries, ret_n);
	for (size_t i = 0; r == 0 && i < *ret_n; i++)
		g_assert_cmpuint(entries[i], ==, i);
	ethtool_close(e);
	return r;
}

static void test_table(void)
{
	uint32_t entries[2048];
	size_t n;

	for (uint32_t i = 0; i < G_N_ELEMENTS(entries); i++)
		entries[i] = i;
	for (size_t len = 0; len <= sizeof(entries); len += len < 16 ? 1 : 509) {
		struct bytes reply = { 0 };
		size_t message = put_request(&reply, REPLY);
		int r;

		bytes_attr(&reply, 4, entries, len);
		bytes_end(&reply, message);
		r = get_table(&reply, &n);
		g_assert_cmpint(r, ==, len && len % 4 == 0 ? 0 : -EPROTO);
		if (r == 0)
			g_assert_cmpuint(n, ==, len / 4);
	}
}

static void test_no_table(void)
{
	struct bytes reply = { 0 };
	size_t n;

	bytes_end(&reply, put_request(&reply, REPLY));
	g_assert_cmpint(get_table(&reply, &n), ==, -EOPNOTSUPP);
	g_assert_cmpint(get_table(NULL, &n), ==, -EOPNOTSUPP);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ethtool/sends", test_sends);
	g_test_add_func("/ethtool/names", test_names);
	g_test_add_func("/ethtool/channels", test_channels);
	g_test_add_func("/ethtool/rings", test_rings);
	g_test_add_func("/ethtool/refused", test_refused);
	g_test_add_func("/ethtool/wrong-lengths", test_wrong_lengths);
	g_test_add_func("/ethtool/features", test_features);
	g_test_add_func("/ethtool/features-cut", test_features_cut);
	g_test_add_func("/ethtool/features-mad", test_features_mad);
	g_test_add_func("/ethtool/table", test_table);
	g_test_add_func("/ethtool/no-table", test_no_table);
	return g_test_run();
}
