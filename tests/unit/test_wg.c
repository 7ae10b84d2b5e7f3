/* tests/unit/test_wg.c - WireGuard's messages, byte for byte, both ways. */
#include <errno.h>
#include <linux/wireguard.h>
#include <netinet/in.h>

#include "netlink/wg_wire.h"
#include "tests/unit/fake_nl.h"

enum { FAMILY = 0x1234, IFINDEX = 7 };

static struct prefix prefix(const char *text)
{
	struct prefix p;

	g_assert_cmpint(prefix_parse(text, strlen(text), &p), ==, 0);
	return p;
}

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	g_assert_cmpint(endpoint_parse(text, strlen(text), &e), ==, 0);
	return e;
}

static struct wg_key key(uint8_t fill)
{
	struct wg_key k;

	memset(k.b, fill, sizeof(k.b));
	return k;
}

static void assert_same(const void *got, size_t len, const struct bytes *want)
{
	g_assert_cmpmem(got, len, want->b, want->len);
}

/* -- written by hand ------------------------------------------------------------------------ */

static size_t put_head(struct bytes *out, uint8_t cmd)
{
	size_t message = bytes_message(out, FAMILY, 0, 0);

	bytes_u8(out, cmd);
	bytes_u8(out, 1);
	bytes_u16(out, 0);
	bytes_attr_u32(out, 1, IFINDEX);
	return message;
}

static void put_prefix(struct bytes *out, const char *text)
{
	struct prefix p = prefix(text);
	size_t nest = bytes_nest(out, 0);

	bytes_attr_u16(out, 1, p.family);
	bytes_attr(out, 2, p.addr, p.family == AF_INET ? 4 : 16);
	bytes_attr_u8(out, 3, p.bits);
	bytes_close(out, nest);
}

/* -- building ------------------------------------------------------------------------------- */

static void test_device(void)
{
	struct wg_key private_key = key(0x11);
	const struct wg_device_config configs[] = {
		{ .listen_port = -1, .fwmark = -1 },
		{ &private_key, 51820, 0x4c500000, true },
		{ .listen_port = 0, .fwmark = 0 },
	};
	_Alignas(8) uint8_t buf[WG_MSG_MAX];
	struct wg_head head;

	wg_head_init(&head, FAMILY, IFINDEX);
	for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
		struct bytes want = { 0 };
		size_t message = put_head(&want, 1);

		if (i == 1) {
			bytes_attr_u32(&want, 5, 1);
			bytes_attr(&want, 3, &private_key, 32);
			bytes_attr_u16(&want, 6, 51820);
			bytes_attr_u32(&want, 7, 0x4c500000);
		} else if (i == 2) {
			bytes_attr_u16(&want, 6, 0);
			bytes_attr_u32(&want, 7, 0);
		}
		bytes_end(&want, message);
		assert_same(buf, wg_build_device(&head, &configs[i], buf), &want);
	}
}

static void test_get(void)
{
	_Alignas(8) uint8_t buf[WG_MSG_MAX];
	struct bytes want = { 0 };
	struct wg_head head;

	bytes_end(&want, put_head(&want, 0));
	wg_head_init(&head, FAMILY, IFINDEX);
	assert_same(buf, wg_build_get(&head, buf), &want);
}

/* No helper here: every byte as the kernel reads it (little endian hosts only). */
static void test_peer_bytes(void)
{
	static const uint8_t want[] = {
		120,
		0,
		0,
		0,
		0x34,
		0x12,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		0, /* netlink header */
		1,
		1,
		0,
		0,
		8,
		0,
		1,
		0,
		7,
		0,
		0,
		0, /* set, interface 7 */
		92,
		0,
		8,
		0x80,
		88,
		0,
		0,
		0x80, /* peers, a peer */
		36,
		0,
		1,
		0,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9, /* key */
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9,
		9, /* key */
		8,
		0,
		3,
		0,
		2,
		0,
		0,
		0, /* replace allowed IPs */
		6,
		0,
		5,
		0,
		25,
		0,
		0,
		0, /* keepalive */
		32,
		0,
		9,
		0x80,
		28,
		0,
		0,
		0x80, /* allowed IPs, one of them */
		6,
		0,
		1,
		0,
		2,
		0,
		0,
		0,
		8,
		0,
		2,
		0,
		10,
		1,
		2,
		0,
		5,
		0,
		3,
		0,
		24,
		0,
		0,
		0,
	};
	struct prefix allowed = prefix("10.1.2.0/24");
	struct wg_peer_config peer = { .public_key = key(9),
		.keepalive = 25,
		.allowed = &allowed,
		.n_allowed = 1,
		.replace_allowed = true };
	_Alignas(8) uint8_t buf[WG_MSG_MAX];
	struct wg_head head;

	if (G_BYTE_ORDER != G_LITTLE_ENDIAN) {
		g_test_skip("written for little endian");
		return;
	}
	wg_head_init(&head, FAMILY, IFINDEX);
	g_assert_cmpmem(buf, wg_build_peer(&head, &peer, 0, buf), want, sizeof(want));
}

static void test_peers(void)
{
	struct wg_key psk = key(0x77);
	struct endpoint v4 = endpoint("192.0.2.1:51820"), v6 = endpoint("[2001:db8::1]:443"),
			local = { AF_INET6, 99, 3, { 0xfe, 0x80, [15] = 1 } }, none = { 0 };
	static const uint8_t sa4[16] = { 2, 0, 0xca, 0x6c, 192, 0, 2, 1 };
	static const uint8_t sa6[28] = { 10, 0, 1, 0xbb, [8] = 0x20, 1, 0x0d, 0xb8, [23] = 1 };
	static const uint8_t sa_local[28] = { 10, 0, 0, 99, [8] = 0xfe, 0x80, [23] = 1, 3 };
	const struct {
		struct wg_peer_config config;
		uint32_t flags;
		const uint8_t *sockaddr;
		size_t sockaddr_len;
	} cases[] = {
		{ { .keepalive = -1 }, 0, NULL, 0 },
		{ { .keepalive = -1, .remove = true, .endpoint = &v4, .preshared_key = &psk }, 1,
			NULL, 0 },
		{ { .keepalive = 0, .replace_allowed = true, .update_only = true }, 6, NULL, 0 },
		{ { .keepalive = 65535, .preshared_key = &psk, .endpoint = &v4 }, 0, sa4,
			sizeof(sa4) },
		{ { .keepalive = -1, .endpoint = &v6, .update_only = true }, 4, sa6, sizeof(sa6) },
		{ { .keepalive = -1, .endpoint = &local }, 0, sa_local, sizeof(sa_local) },
		{ { .keepalive = -1, .endpoint = &none }, 0, NULL, 0 },
	};
	_Alignas(8) uint8_t buf[WG_MSG_MAX];
	struct wg_head head;

	wg_head_init(&head, FAMILY, IFINDEX);
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct wg_peer_config config = cases[i].config;
		struct bytes want = { 0 };
		size_t message = put_head(&want, 1), peers = bytes_nest(&want, 8),
		       peer = bytes_nest(&want, 0);

		config.public_key = key((uint8_t)i);
		bytes_attr(&want, 1, &config.public_key, 32);
		if (cases[i].flags)
			bytes_attr_u32(&want, 3, cases[i].flags);
		if (config.preshared_key && !config.remove)
			bytes_attr(&want, 2, &psk, 32);
		if (cases[i].sockaddr)
			bytes_attr(&want, 4, cases[i].sockaddr, cases[i].sockaddr_len);
		if (config.keepalive >= 0)
			bytes_attr_u16(&want, 5, (uint16_t)config.keepalive);
		bytes_close(&want, peer);
		bytes_close(&want, peers);
		bytes_end(&want, message);
		assert_same(buf, wg_build_peer(&head, &config, 0, buf), &want);
	}
}

/* The largest message that can be: the sizes in the header are those of it. */
static void test_largest(void)
{
	struct prefix *allowed = g_new0(struct prefix, 1000);
	struct endpoint v6 = endpoint("[2001:db8::1]:443");
	struct wg_key psk = key(1);
	struct wg_peer_config peer = { .keepalive = 1,
		.preshared_key = &psk,
		.endpoint = &v6,
		.allowed = allowed,
		.n_allowed = 1000,
		.replace_allowed = true };
	_Alignas(8) uint8_t buf[WG_MSG_MAX];
	struct wg_head head;

	for (int i = 0; i < 1000; i++)
		allowed[i].family = AF_INET6;
	wg_head_init(&head, FAMILY, IFINDEX);
	g_assert_cmpuint(wg_build_peer(&head, &peer, 0, buf), ==, WG_MSG_MAX);
	g_free(allowed);
}

/* -- sending -------------------------------------------------------------------------------- */

static int refuse_third(size_t i)
{
	return i == 2 ? -EINVAL : i == 65 ? -ENODEV : 0;
}

static void test_batches(void)
{
	enum { N = 150 };
	struct wg_peer_config peers[N] = { 0 };
	int results[N];
	struct wg *wg;

	fake_reset();
	fake.outcome = refuse_third;
	g_assert_cmpint(wg_open(&wg), ==, 0);
	for (int i = 0; i < N; i++)
		peers[i] = (struct wg_peer_config){ .public_key = key((uint8_t)i),
			.keepalive = -1 };
	g_assert_cmpint(wg_set_peers(wg, IFINDEX, peers, N, results), ==, 0);
	g_assert_cmpuint(fake.n, ==, N);
	g_assert_cmpuint(fake.n_sends, ==, 3);
	g_assert_cmpuint(fake.len, ==, N * 72);
	for (int i = 0; i < N; i++) {
		g_assert_cmpint(results[i], ==, refuse_third((size_t)i));
		g_assert_cmpmem(fake.sent + i * 72 + 40, 32, &peers[i].public_key, 32);
	}
	wg_close(wg);
}

static void test_transport(void)
{
	struct wg_peer_config peer = { .keepalive = -1 };
	struct wg *wg;
	int result;

	fake_reset();
	fake.result = -ENOBUFS;
	g_assert_cmpint(wg_open(&wg), ==, 0);
	g_assert_cmpint(wg_set_peers(wg, IFINDEX, &peer, 1, &result), ==, -ENOBUFS);
	wg_close(wg);
	wg_close(NULL);
}

/* What a request says about its peer, taken apart by hand. */
struct request {
	uint32_t len, flags, n_prefixes;
	bool has_psk, has_endpoint;
	const uint8_t *prefixes; /* the first one's nest */
};

static struct request take_apart(const uint8_t *at)
{
	struct request r = { 0 };
	uint16_t len, type;
	const uint8_t *end;

	memcpy(&r.len, at, 4);
	end = at + r.len;
	for (at += 36; at < end; at += (len + 3) & ~3) {
		memcpy(&len, at, 2);
		memcpy(&type, at + 2, 2);
		if (type == 3)
			memcpy(&r.flags, at + 4, 4);
		r.has_psk |= type == 2;
		r.has_endpoint |= type == 4;
		if (type == (9 | 0x8000)) {
			r.prefixes = at + 4;
			r.n_prefixes = (len - 4u) / 40;
			g_assert_cmpuint((len - 4u) % 40, ==, 0);
		}
	}
	g_assert_true(at == end);
	return r;
}

static int refuse_fifth(size_t i)
{
	return i == 5 ? -ENOMEM : 0;
}

static void test_split(void)
{
	enum { N = 1000 };
	struct prefix *allowed = g_new0(struct prefix, N);
	struct endpoint v6 = endpoint("[2001:db8::1]:443");
	struct wg_key psk = key(1);
	struct wg_peer_config peers[2] = { { .public_key = key(2),
						   .keepalive = 1,
						   .preshared_key = &psk,
						   .endpoint = &v6,
						   .allowed = allowed,
						   .n_allowed = N,
						   .replace_allowed = true },
		{ .public_key = key(3), .keepalive = -1 } };
	int results[2];
	const uint8_t *at = fake.sent;
	size_t seen = 0;
	struct wg *wg;

	for (uint16_t i = 0; i < N; i++) {
		allowed[i] = prefix("2001:db8::/128");
		memcpy(allowed[i].addr + 14, &i, 2);
	}
	fake_reset();
	fake.outcome = refuse_fifth;
	g_assert_cmpint(wg_open(&wg), ==, 0);
	g_assert_cmpint(wg_set_peers(wg, IFINDEX, peers, 2, results), ==, 0);
	g_assert_cmpint(results[0], ==, -ENOMEM);
	g_assert_cmpint(results[1], ==, 0);
	g_assert_cmpuint(fake.n, ==, 9);
	for (size_t i = 0; i < 8; i++) {
		struct request r = take_apart(at);

		g_assert_cmpuint(r.len, <=, NL_MSG_MAX);
		g_assert_cmpuint(
			r.flags, ==, i ? WGPEER_F_UPDATE_ONLY : WGPEER_F_REPLACE_ALLOWEDIPS);
		g_assert_true(r.has_psk == (i == 0) && r.has_endpoint == (i == 0));
		g_assert_cmpuint(r.n_prefixes, ==, i < 7 ? 128 : N - 7 * 128);
		for (size_t j = 0; j < r.n_prefixes; j++)
			g_assert_cmpmem(r.prefixes + 40 * j + 16, 16, allowed[seen++].addr, 16);
		at += r.len;
	}
	g_assert_cmpuint(seen, ==, N);
	wg_close(wg);
	g_free(allowed);
}

/* Many large peers: no batch is larger than its buffer, and none is lost. */
static void test_large_batches(void)
{
	enum { N = 40, EACH = 100 };
	struct prefix *allowed = g_new0(struct prefix, EACH);
	struct wg_peer_config peers[N];
	int results[N];
	struct wg *wg;

	for (int i = 0; i < EACH; i++)
		allowed[i] = prefix("2001:db8::/128");
	for (int i = 0; i < N; i++)
		peers[i] = (struct wg_peer_config){ .public_key = key((uint8_t)i),
			.keepalive = -1,
			.allowed = allowed,
			.n_allowed = EACH };
	fake_reset();
	g_assert_cmpint(wg_open(&wg), ==, 0);
	g_assert_cmpint(wg_set_peers(wg, IFINDEX, peers, N, results), ==, 0);
	g_assert_cmpuint(fake.n, ==, N);
	g_assert_cmpuint(fake.n_sends, >, 1);
	g_assert_cmpuint(fake.len, ==, N * (72 + 4 + EACH * 40));
	wg_close(wg);
	g_free(allowed);
}

/* -- reading -------------------------------------------------------------------------------- */

/* A device with two peers, the second one's prefixes in two messages, the whole padded with what
 * later kernels may add. */
static void put_dump(struct bytes *first, struct bytes *second)
{
	static const uint8_t sa4[16] = { 2, 0, 0xca, 0x6c, 192, 0, 2, 1 };
	struct wg_key private_key = key(0x11), public_key = key(0x22), psk = key(0x77),
		      one = key(1), two = key(2);
	uint64_t time[2] = { 1700000000, 5 };
	size_t message = put_head(first, 0), peers, peer, allowed;

	bytes_attr_u16(first, 6, 51820);
	bytes_attr_u32(first, 7, 0x1234);
	bytes_attr_text(first, 2, "wt0");
	bytes_attr(first, 3, &private_key, 32);
	bytes_attr(first, 4, &public_key, 32);
	bytes_attr_u32(first, 99, 1);
	peers = bytes_nest(first, 8);
	peer = bytes_nest(first, 0);
	bytes_attr(first, 1, &one, 32);
	bytes_attr(first, 2, &psk, 32);
	bytes_attr(first, 6, time, sizeof(time));
	bytes_attr_u16(first, 5, 25);
	bytes_attr(first, 0, NULL, 0);
	bytes_attr_u64(first, 8, 1ull << 40);
	bytes_attr_u64(first, 7, 77);
	bytes_attr_u32(first, 10, 1);
	bytes_attr(first, 4, sa4, sizeof(sa4));
	bytes_close(first, peer);
	peer = bytes_nest(first, 0);
	bytes_attr(first, 1, &two, 32);
	allowed = bytes_nest(first, 9);
	put_prefix(first, "10.0.0.0/8");
	put_prefix(first, "2001:db8::/32");
	bytes_close(first, allowed);
	bytes_close(first, peer);
	bytes_close(first, peers);
	bytes_end(first, message);

	message = bytes_message(second, FAMILY, 0, 0);
	bytes_u32(second, 0x0100);
	peers = bytes_nest(second, 8);
	peer = bytes_nest(second, 0);
	bytes_attr(second, 1, &two, 32);
	allowed = bytes_nest(second, 9);
	put_prefix(second, "0.0.0.0/0");
	bytes_close(second, allowed);
	bytes_close(second, peer);
	bytes_close(second, peers);
	bytes_end(second, message);
}

struct seen {
	unsigned devices, peers;
	int answer; /* of the peer callback */
};

static int see_device(const struct wg_device_status *device, void *user)
{
	struct seen *seen = user;
	struct wg_key public_key = key(0x22), private_key = key(0x11);

	seen->devices++;
	g_assert_cmpuint(device->ifindex, ==, IFINDEX);
	g_assert_cmpuint(device->listen_port, ==, 51820);
	g_assert_cmphex(device->fwmark, ==, 0x1234);
	g_assert_true(key_is_same(&device->public_key, &public_key));
	g_assert_true(key_is_same(&device->private_key, &private_key));
	return 0;
}

static void check_first(const struct wg_peer_status *peer)
{
	struct endpoint e = endpoint("192.0.2.1:51820");
	struct wg_key one = key(1), psk = key(0x77);

	g_assert_true(key_is_same(&peer->public_key, &one));
	g_assert_true(key_is_same(&peer->preshared_key, &psk));
	g_assert_true(endpoint_is_same(&peer->endpoint, &e));
	g_assert_cmpuint(peer->keepalive, ==, 25);
	g_assert_cmpint(peer->last_handshake_s, ==, 1700000000);
	g_assert_cmpuint(peer->tx_bytes, ==, 1ull << 40);
	g_assert_cmpuint(peer->rx_bytes, ==, 77);
	g_assert_cmpuint(peer->n_allowed, ==, 0);
}

static void check_second(const struct wg_peer_status *peer)
{
	struct prefix want[] = { prefix("10.0.0.0/8"), prefix("2001:db8::/32"),
		prefix("0.0.0.0/0") };
	struct wg_key two = key(2);

	g_assert_true(key_is_same(&peer->public_key, &two));
	g_assert_true(key_is_zero(&peer->preshared_key));
	g_assert_cmpuint(peer->endpoint.family, ==, 0);
	g_assert_cmpint(peer->last_handshake_s, ==, 0);
	g_assert_cmpuint(peer->n_allowed, ==, G_N_ELEMENTS(want));
	for (size_t i = 0; i < G_N_ELEMENTS(want); i++)
		g_assert_true(prefix_is_same(&peer->allowed[i], &want[i]));
}

static int see_peer(const struct wg_peer_status *peer, void *user)
{
	struct seen *seen = user;

	if (seen->peers++ == 0)
		check_first(peer);
	else
		check_second(peer);
	return seen->answer;
}

static void test_read(void)
{
	struct bytes reply = { 0 }, second = { 0 };
	struct seen seen = { 0 };
	struct wg *wg;

	put_dump(&reply, &second);
	bytes_put(&reply, second.b, second.len);
	fake_reset();
	fake.reply = &reply;
	g_assert_cmpint(wg_open(&wg), ==, 0);
	g_assert_cmpint(wg_read(wg, IFINDEX, see_device, see_peer, &seen), ==, 0);
	g_assert_cmpuint(seen.devices, ==, 1);
	g_assert_cmpuint(seen.peers, ==, 2);
	g_assert_cmpint(wg_read(wg, IFINDEX, NULL, NULL, NULL), ==, 0);
	seen = (struct seen){ .answer = 5 };
	g_assert_cmpint(wg_read(wg, IFINDEX, see_device, see_peer, &seen), ==, 5);
	g_assert_cmpuint(seen.peers, ==, 1);
	wg_close(wg);
}

/* Failing or interrupted dumps don't hand out a peer that may be half there. */
static void test_read_fails(void)
{
	static const int errors[] = { -EINTR, -ENODEV };
	struct bytes reply = { 0 }, second = { 0 };
	struct wg *wg;

	put_dump(&reply, &second);
	g_assert_cmpint(wg_open(&wg), ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
		struct seen seen = { 0 };

		fake_reset();
		fake.reply = &reply;
		fake.result = errors[i];
		g_assert_cmpint(wg_read(wg, IFINDEX, see_device, see_peer, &seen), ==, errors[i]);
		g_assert_cmpuint(seen.peers, ==, 1);
	}
	fake_reset();
	g_assert_cmpint(wg_read(wg, IFINDEX, NULL, NULL, NULL), ==, -EPROTO);
	wg_close(wg);
}

static int ignore_peer(const struct wg_peer_status *peer, void *user)
{
	return 0;
}

/* Only where an attribute of the outermost level ends the rest may be missing. */
static void test_truncated(void)
{
	struct bytes first = { 0 }, second = { 0 };
	unsigned good = 0;

	put_dump(&first, &second);
	for (size_t len = 0; len <= first.len; len++) {
		struct wg_parse parse = { .peer_fn = ignore_peer };
		g_autofree struct nlmsghdr *nlh = bytes_cut(&first, len);
		int r = wg_parse_message(&parse, nlh);

		g_assert_true(r == 0 || r == -EPROTO);
		good += r == 0;
		wg_parse_clear(&parse);
	}
	/* Eight attributes, and within the two bytes of padding behind the port. */
	g_assert_cmpuint(good, ==, 8 + 2);
}

/* Any byte set to anything: never more than a wrong value or -EPROTO. */
static void test_garbled(void)
{
	static const uint8_t values[] = { 0, 1, 3, 4, 0x7f, 0x80, 0xff };
	struct bytes first = { 0 }, second = { 0 };

	put_dump(&first, &second);
	for (size_t at = 4; at < first.len; at++) {
		for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
			struct wg_parse parse = { .peer_fn = ignore_peer };
			g_autofree struct nlmsghdr *nlh = bytes_cut(&first, first.len);
			int r;

			((uint8_t *)nlh)[at] = values[i];
			r = wg_parse_message(&parse, nlh);
			g_assert_true(r == 0 || r == -EPROTO);
			if (r == 0)
				wg_parse_end(&parse);
			wg_parse_clear(&parse);
		}
	}
}

/* Attributes of a wrong size, and prefixes that are none. */
static void test_wrong_sizes(void)
{
	static const struct {
		uint16_t type, len;
	} attrs[] = { { 1, 31 }, { 1, 33 }, { 2, 31 }, { 4, 8 }, { 4, 15 }, { 4, 1 }, { 5, 4 },
		{ 6, 8 }, { 7, 4 }, { 8, 7 } };
	static const struct {
		uint16_t family, len;
		uint8_t bits;
	} prefixes[] = { { AF_INET, 4, 33 }, { AF_INET, 16, 8 }, { AF_INET6, 4, 8 },
		{ AF_INET6, 16, 129 }, { 0, 4, 8 }, { 1, 4, 8 }, { AF_INET, 0, 8 } };
	uint8_t junk[64] = { 2 };

	for (size_t i = 0; i < G_N_ELEMENTS(attrs) + G_N_ELEMENTS(prefixes); i++) {
		struct wg_parse parse = { .peer_fn = ignore_peer };
		struct wg_key one = key(1);
		struct bytes in = { 0 };
		size_t message = put_head(&in, 0), peers = bytes_nest(&in, 8),
		       peer = bytes_nest(&in, 0), allowed, p;

		if (i >= G_N_ELEMENTS(attrs) || attrs[i].type != 1)
			bytes_attr(&in, 1, &one, 32);
		if (i < G_N_ELEMENTS(attrs)) {
			bytes_attr(&in, attrs[i].type, junk, attrs[i].len);
		} else {
			allowed = bytes_nest(&in, 9);
			p = bytes_nest(&in, 0);
			bytes_attr_u16(&in, 1, prefixes[i - G_N_ELEMENTS(attrs)].family);
			bytes_attr(&in, 2, junk, prefixes[i - G_N_ELEMENTS(attrs)].len);
			bytes_attr_u8(&in, 3, prefixes[i - G_N_ELEMENTS(attrs)].bits);
			bytes_close(&in, p);
			bytes_close(&in, allowed);
		}
		bytes_close(&in, peer);
		bytes_close(&in, peers);
		bytes_end(&in, message);
		g_assert_cmpint(wg_parse_message(&parse, bytes_header(&in)), ==, -EPROTO);
		wg_parse_clear(&parse);
	}
}

static int count_prefixes(const struct wg_peer_status *peer, void *user)
{
	*(size_t *)user = peer->n_allowed;
	return 0;
}

/* A peer with as many prefixes as we take, and one more. */
static void test_limit(void)
{
	enum { EACH = 256 };
	size_t n = 0;
	struct wg_parse parse = { .peer_fn = count_prefixes, .user = &n };
	struct wg_key one = key(1);
	struct bytes in = { 0 };
	size_t message = put_head(&in, 0), peers = bytes_nest(&in, 8), peer = bytes_nest(&in, 0),
	       allowed;

	bytes_attr(&in, 1, &one, 32);
	allowed = bytes_nest(&in, 9);
	for (int i = 0; i < EACH; i++)
		put_prefix(&in, "10.0.0.0/8");
	bytes_close(&in, allowed);
	bytes_close(&in, peer);
	bytes_close(&in, peers);
	bytes_end(&in, message);
	for (int i = 0; i < WG_ALLOWED_MAX / EACH; i++)
		g_assert_cmpint(wg_parse_message(&parse, bytes_header(&in)), ==, 0);
	g_assert_cmpint(wg_parse_message(&parse, bytes_header(&in)), ==, -E2BIG);
	g_assert_cmpint(wg_parse_end(&parse), ==, 0);
	g_assert_cmpuint(n, ==, WG_ALLOWED_MAX);
	wg_parse_clear(&parse);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wg/build/device", test_device);
	g_test_add_func("/wg/build/get", test_get);
	g_test_add_func("/wg/build/peer-bytes", test_peer_bytes);
	g_test_add_func("/wg/build/peers", test_peers);
	g_test_add_func("/wg/build/largest", test_largest);
	g_test_add_func("/wg/send/batches", test_batches);
	g_test_add_func("/wg/send/transport", test_transport);
	g_test_add_func("/wg/send/split", test_split);
	g_test_add_func("/wg/send/large-batches", test_large_batches);
	g_test_add_func("/wg/read", test_read);
	g_test_add_func("/wg/read/fails", test_read_fails);
	g_test_add_func("/wg/read/truncated", test_truncated);
	g_test_add_func("/wg/read/garbled", test_garbled);
	g_test_add_func("/wg/read/wrong-sizes", test_wrong_sizes);
	g_test_add_func("/wg/read/limit", test_limit);
	return g_test_run();
}
