/* tests/unit/test_ice.c - two sessions that find each other, on this host and without steering. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ice/agent.h"
#include "netlink/ifaddr.h"
#include "tests/unit/live.h"

struct side {
	struct ice_config config;
	struct ice_local locals[2];
	struct ice *ice;
	struct side *other;
	GPtrArray *lines;
	struct ice_path path;
	guint selected, failed;
	int error;
	bool free_when_selected, keeps_lines;
};

static void on_candidate(const char *line, void *user)
{
	struct side *s = user;

	g_ptr_array_add(s->lines, g_strdup(line));
	if (s->other && s->other->ice && !s->keeps_lines)
		g_assert_cmpint(ice_candidate(s->other->ice, line, strlen(line)), ==, 0);
}

static void on_selected(const struct ice_path *path, void *user)
{
	struct side *s = user;

	s->path = *path;
	s->selected++;
	if (s->free_when_selected)
		g_clear_pointer(&s->ice, ice_free);
}

static void on_failed(int error, void *user)
{
	struct side *s = user;

	s->failed++;
	s->error = error;
	g_clear_pointer(&s->ice, ice_free);
}

static const struct ice_ops ops = { on_candidate, on_selected, on_failed };

static struct prefix host(const char *text)
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

static void open_side(struct side *s, uint16_t port, const char *address4, const char *address6)
{
	s->locals[0] = (struct ice_local){ host(address4), host(address4) };
	s->locals[1] = (struct ice_local){ host(address6), host(address6) };
	s->lines = g_ptr_array_new_with_free_func(g_free);
	s->config.port = s->config.announced_port = port;
	s->config.locals = s->locals;
	s->config.n_locals = 2;
	g_snprintf(s->config.ufrag, sizeof(s->config.ufrag), "of%06u", port);
	g_snprintf(s->config.password, sizeof(s->config.password), "secret%026u", port);
	g_assert_cmpint(ice_new(&s->config, &ops, s, &s->ice), ==, 0);
}

static struct ice_credentials credentials_of(const struct side *s)
{
	struct ice_credentials c;

	g_strlcpy(c.ufrag, s->config.ufrag, sizeof(c.ufrag));
	g_strlcpy(c.password, s->config.password, sizeof(c.password));
	return c;
}

static void close_side(struct side *s)
{
	ice_free(s->ice);
	g_ptr_array_unref(s->lines);
}

static gboolean time_is_up(gpointer user)
{
	g_error("it took too long");
	return G_SOURCE_REMOVE;
}

/* Turns the loop until both numbers are there. */
static void turn_until(const guint *a, const guint *b)
{
	guint limit = g_timeout_add_seconds(30, time_is_up, NULL);

	while (!*a || !*b)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(limit);
}

/* Two addresses of one interface for each side. False: skipped. */
static bool begin(void)
{
	static const char *const addresses[] = { "10.9.0.1/24", "10.9.0.2/24", "2001:db8::1/64",
		"2001:db8::2/64" };
	const struct link_change up = { .up = 1 };
	struct nl *nl;
	unsigned index = live_link(&nl);

	for (size_t i = 0; index && i < G_N_ELEMENTS(addresses); i++) {
		struct prefix p = { .family = i < 2 ? AF_INET : AF_INET6, .bits = i < 2 ? 24 : 64 };
		g_autofree char *bare = g_strndup(
			addresses[i], (gsize)(strchr(addresses[i], '/') - addresses[i]));
		struct prefix h = host(bare);

		memcpy(p.addr, h.addr, sizeof(p.addr));
		g_assert_cmpint(ifaddr_add(nl, index, &p), ==, 0);
	}
	if (!index)
		return false;
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0); /* what a host sends to itself */
	nl_close(nl);
	return true;
}

static void start(struct side *a, struct side *b)
{
	const struct ice_credentials of_a = credentials_of(a), of_b = credentials_of(b);

	a->other = b;
	b->other = a;
	ice_announce(a->ice);
	ice_announce(b->ice);
	g_assert_cmpint(ice_remote(a->ice, &of_b), ==, 0);
	g_assert_cmpint(ice_remote(b->ice, &of_a), ==, 0);
}

static void check_pair(bool aggressive)
{
	struct side a = { .config = { .controlling = true, .aggressive = aggressive } };
	struct side b = { .config = { .aggressive = aggressive } };
	struct ice_credentials of_b;

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	open_side(&b, 45002, "10.9.0.2", "2001:db8::2");
	start(&a, &b);
	of_b = credentials_of(&b);
	g_assert_cmpint(ice_remote(a.ice, &of_b), ==, -EALREADY);
	turn_until(&a.selected, &b.selected);
	g_assert_cmpuint(a.path.endpoint.port, ==, 45002);
	g_assert_cmpuint(b.path.endpoint.port, ==, 45001);
	g_assert_cmpuint(a.lines->len, ==, 2);
	close_side(&a);
	close_side(&b);
}

static void test_regular(void)
{
	check_pair(false);
}

static void test_aggressive(void)
{
	check_pair(true);
}

/* Inside of its own callback; the other side then finds nobody there. */
static void test_free_inside(void)
{
	struct side a = { .config = { .controlling = true }, .free_when_selected = true },
		    b = { 0 };

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	open_side(&b, 45002, "10.9.0.2", "2001:db8::2");
	start(&a, &b);
	turn_until(&a.selected, &b.selected);
	g_assert_null(a.ice);
	turn_until(&b.failed, &b.failed);
	g_assert_cmpint(b.error, ==, -ECONNRESET);
	close_side(&a);
	close_side(&b);
}

static void test_nobody(void)
{
	struct side a = { .config = { .controlling = true } };
	static const struct ice_credentials nobody = { "abcdefgh", "0123456789012345678901" };
	static const struct ice_credentials none = { "", "" };
	const char *line = "1 1 udp 2130706431 10.9.0.2 9 typ host";
	gint64 begun;

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	g_assert_cmpint(ice_remote(a.ice, &none), ==, -EINVAL);
	g_assert_cmpint(ice_remote(a.ice, &nobody), ==, 0);
	g_assert_cmpint(ice_candidate(a.ice, line, strlen(line)), ==, 0);
	begun = g_get_monotonic_time();
	turn_until(&a.failed, &a.failed);
	g_assert_cmpint(a.error, ==, -ETIMEDOUT);
	g_assert_cmpint((g_get_monotonic_time() - begun) / 1000, >=, ICE_LIMIT_MS - 100);
	close_side(&a);
}

static void drain(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

/* What is told of us: WireGuard's port, what the map has for our addresses, and each address once. */
static void test_announced(void)
{
	struct side a = { .keeps_lines = true };
	const struct endpoint mapped = endpoint("203.0.113.7:43210"),
			      same = endpoint("192.0.2.9:51820");

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	ice_free(a.ice);
	a.config.announced_port = 51820;
	a.locals[0].announced = host("192.0.2.9");
	a.locals[1].announced.family = 0;
	g_strlcpy(a.config.ufrag, "abcdEFGH", sizeof(a.config.ufrag));
	g_assert_cmpint(ice_new(&a.config, &ops, &a, &a.ice), ==, 0);
	ice_reflexive(a.ice, &mapped);
	drain();
	g_assert_cmpuint(a.lines->len, ==, 0);
	ice_announce(a.ice);
	g_assert_cmpuint(a.lines->len, ==, 0);
	drain();
	g_assert_cmpuint(a.lines->len, ==, 2);
	ice_reflexive(a.ice, &mapped);
	ice_reflexive(a.ice, &same);
	drain();
	g_assert_cmpuint(a.lines->len, ==, 2);
	g_assert_true(g_pattern_match_simple(
		"* 1 udp 2130706431 192.0.2.9 51820 typ host ufrag abcdEFGH cid *",
		a.lines->pdata[0]));
	g_assert_true(g_pattern_match_simple("* 1 udp 1694498815 203.0.113.7 43210 typ srflx raddr "
					     "0.0.0.0 rport 51820 ufrag abcdEFGH cid *",
		a.lines->pdata[1]));
	close_side(&a);
}

static int give(struct ice *ice, const char *line)
{
	return ice_candidate(ice, line, strlen(line));
}

/* A socket of the other side that answers nothing. */
static int open_ear(uint16_t port)
{
	struct endpoint e = endpoint("10.9.0.2:1");
	struct sockaddr_storage sa;
	socklen_t len;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	e.port = port;
	len = endpoint_to_sockaddr(&e, &sa);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&sa, len), ==, 0);
	return fd;
}

static guint requests_at(int fd)
{
	static const uint8_t begin[] = { 0, 1 }; /* a Binding request */
	uint8_t data[1500];
	guint n = 0;

	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		n += !memcmp(data, begin, sizeof(begin));
	return n;
}

/* The remote's router may lead its WireGuard port to it: that port is checked, too, unless the remote names it itself. */
static void test_extra_is_checked(void)
{
	static const struct ice_credentials remote = { "theirufr", "0123456789012345678901" };
	struct side a = { .config = { .controlling = true } };
	gint64 end = g_get_monotonic_time() + 2 * G_USEC_PER_SEC;
	guint named = 0, extra = 0, other = 0;
	int ears[3];

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	ears[0] = open_ear(43210);
	ears[1] = open_ear(51820);
	ears[2] = open_ear(51821);
	g_assert_cmpint(ice_remote(a.ice, &remote), ==, 0);
	g_assert_cmpint(give(a.ice,
				"1 1 udp 1694498815 10.9.0.2 43210 typ srflx raddr 0.0.0.0 rport "
				"51820 ufrag theirufr cid x"),
		==, 0);
	g_assert_cmpint(give(a.ice,
				"2 1 udp 1694498815 10.9.0.2 43210 typ srflx raddr 0.0.0.0 rport "
				"51821 ufrag theirufr"),
		==, 0);
	while ((!named || !extra) && g_get_monotonic_time() < end) {
		g_main_context_iteration(NULL, FALSE);
		named += requests_at(ears[0]);
		extra += requests_at(ears[1]);
		other += requests_at(ears[2]);
		g_usleep(1000);
	}
	g_assert_cmpuint(named, >, 0);
	g_assert_cmpuint(extra, >, 0);
	g_assert_cmpuint(other, ==, 0);
	for (size_t i = 0; i < G_N_ELEMENTS(ears); i++)
		close(ears[i]);
	close_side(&a);
}

static void test_limits(void)
{
	const struct prefix overlay = { AF_INET, 16, { 100, 64 } };
	static const struct ice_credentials remote = { "theirufr", "0123456789012345678901" };
	struct side a = { .config = { .overlay = &overlay, .n_overlay = 1 } };
	char line[CANDIDATE_LINE_MAX];

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	g_assert_cmpint(give(a.ice, "x"), ==, -EINVAL);
	g_assert_cmpint(give(a.ice, "1 1 udp 1 a.local 9 typ host"), ==, -ENOTSUP);
	g_assert_cmpint(give(a.ice, "1 1 udp 1 127.0.0.1 9 typ host"), ==, -EPERM);
	g_assert_cmpint(give(a.ice, "1 1 udp 1 100.64.0.1 9 typ host"), ==, -EPERM);
	/* Known is known, also with its extra one. */
	for (int i = 0; i < 2; i++)
		g_assert_cmpint(give(a.ice,
					"1 1 udp 1 203.0.113.7 43210 typ srflx raddr 0.0.0.0 "
					"rport 51820 cid x"),
			==, 0);
	for (int i = 2; i < ICE_ADDRESS_MAX; i++) {
		g_snprintf(line, sizeof(line), "1 1 udp 1 203.0.113.7 %d typ host", i);
		g_assert_cmpint(give(a.ice, line), ==, 0);
	}
	g_assert_cmpint(give(a.ice, "1 1 udp 1 203.0.113.7 99 typ host"), ==, -ENOBUFS);
	for (int i = ICE_ADDRESS_MAX; i < ICE_REMOTE_MAX; i++) {
		g_snprintf(line, sizeof(line), "1 1 udp 1 192.0.2.%d 9 typ host ufrag older", i);
		g_assert_cmpint(give(a.ice, line), ==, 0);
	}
	g_assert_cmpint(give(a.ice, "1 1 udp 1 192.0.2.1 9 typ host"), ==, -ENOBUFS);
	g_assert_cmpint(ice_remote(a.ice, &remote), ==, 0);
	g_assert_cmpint(give(a.ice, "1 1 udp 1 192.0.2.1 9 typ host ufrag older"), ==, -ESTALE);
	g_assert_cmpint(give(a.ice, "1 1 udp 1 192.0.2.1 9 typ host ufrag theirufr"), ==, -ENOBUFS);
	close_side(&a);
}

static void test_refused(void)
{
	struct side a = { 0 }, b = { 0 };

	if (!begin())
		return;
	open_side(&a, 45001, "10.9.0.1", "2001:db8::1");
	b.config = a.config;
	g_assert_cmpint(ice_new(&b.config, &ops, &b, &b.ice), ==, -EADDRINUSE);
	b.config.n_locals = 0;
	g_assert_cmpint(ice_new(&b.config, &ops, &b, &b.ice), ==, -EADDRNOTAVAIL);
	ice_free(NULL);
	close_side(&a);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ice/regular", test_regular);
	g_test_add_func("/ice/aggressive", test_aggressive);
	g_test_add_func("/ice/free inside", test_free_inside);
	g_test_add_func("/ice/nobody", test_nobody);
	g_test_add_func("/ice/announced", test_announced);
	g_test_add_func("/ice/extra is checked", test_extra_is_checked);
	g_test_add_func("/ice/limits", test_limits);
	g_test_add_func("/ice/refused", test_refused);
	return g_test_run();
}
