/* tests/unit/test_aim.c - peers that name addresses of others make us send little there. */
#include <arpa/inet.h>
#include <glib.h>
#include <string.h>

#include "agent/nego/aim.h"

typedef struct aim aim;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(aim, aim_free)

static struct endpoint at(uint32_t host, uint16_t port)
{
	struct endpoint e = { .family = AF_INET, .port = port };

	host = htonl(host);
	memcpy(e.addr, &host, sizeof(host));
	return e;
}

/* How often it is allowed when it is asked each millisecond of a time. */
static unsigned allowed(struct aim *a, struct endpoint e, int64_t from_ms, int64_t to_ms)
{
	unsigned n = 0;

	for (int64_t now = from_ms; now < to_ms; now++)
		n += aim_allows(a, &e, now);

	return n;
}

static void test_port(void)
{
	g_autoptr(aim) a = aim_new();

	g_assert_cmpuint(allowed(a, at(1, 5000), 0, 100), ==, AIM_PORT_BURST);
	g_assert_cmpuint(allowed(a, at(2, 5000), 0, 100), ==, AIM_PORT_BURST); /* not its fault */
	g_assert_cmpuint(allowed(a, at(1, 5000), 100, 10100), ==, 10); /* a second each */
	/* Rested: all of it again. */
	g_assert_cmpuint(allowed(a, at(1, 5000), 100000, 100100), ==, AIM_PORT_BURST);
}

static void test_address(void)
{
	g_autoptr(aim) a = aim_new();
	unsigned n = 0;

	/* A thousand peers that each name a port of their own. */
	for (uint16_t port = 1; port <= 1000; port++) {
		struct endpoint e = at(1, port);

		n += aim_allows(a, &e, 0);
	}
	g_assert_cmpuint(n, ==, AIM_ADDRESS_BURST);
	n = 0;
	for (int64_t now = 1; now <= 10000; now++) {
		struct endpoint e = at(1, (uint16_t)(1000 + now));

		n += aim_allows(a, &e, now);
	}
	g_assert_cmpuint(n, >=, 10000 / AIM_ADDRESS_MS - 1);
	g_assert_cmpuint(n, <=, 10000 / AIM_ADDRESS_MS + 1);
}

/* What is refused because of its port is not sent, and takes nothing from the others behind the address. */
static void test_refused_port(void)
{
	g_autoptr(aim) a = aim_new();
	unsigned n = 0;

	g_assert_cmpuint(allowed(a, at(1, 5000), 0, 100), ==, AIM_PORT_BURST);
	for (uint16_t port = 1; port <= 1000; port++) {
		struct endpoint e = at(1, port);

		n += aim_allows(a, &e, 0);
	}
	g_assert_cmpuint(n, ==, AIM_ADDRESS_BURST - AIM_PORT_BURST);
}

static void test_site_wakes(void)
{
	g_autoptr(aim) a = aim_new();

	/* 200 hosts behind one address, three sessions each within seconds. */
	for (int64_t i = 0; i < 600; i++) {
		struct endpoint e = at(1, (uint16_t)(40000 + i % 200));

		g_assert_true(aim_allows(a, &e, i * AIM_ADDRESS_MS));
	}
}

static void test_bounded(void)
{
	g_autoptr(aim) a = aim_new();
	unsigned n = 0;

	for (uint32_t host = 0; host < 100000; host++) {
		struct endpoint e = at(host, 7);

		n += aim_allows(a, &e, 0);
	}
	g_assert_cmpuint(n, ==, AIM_KNOWN_MAX / 2);
	g_assert_cmpuint(
		allowed(a, at(1 << 30, 7), 10000, 10001), ==, 1); /* room is made in time */
}

static void test_tidy(void)
{
	g_autoptr(aim) a = aim_new();
	struct endpoint e = at(1, 7);

	g_assert_cmpuint(aim_tidy(a, 0), ==, 0);
	aim_allows(a, &e, 0);
	g_assert_cmpuint(aim_tidy(a, AIM_ADDRESS_MS - 1), ==, 2);
	g_assert_cmpuint(aim_tidy(a, AIM_ADDRESS_MS), ==, 1); /* the port */
	g_assert_cmpuint(aim_tidy(a, AIM_PORT_MS), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/aim/port", test_port);
	g_test_add_func("/aim/address", test_address);
	g_test_add_func("/aim/refused-port", test_refused_port);
	g_test_add_func("/aim/site-wakes", test_site_wakes);
	g_test_add_func("/aim/bounded", test_bounded);
	g_test_add_func("/aim/tidy", test_tidy);
	return g_test_run();
}
