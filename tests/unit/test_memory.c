/* tests/unit/test_memory.c - what a peer costs in memory: while a path to it is looked for, when there is one, and when
 * none is found for an hour. */
#include <glib.h>
#include <malloc.h>
#include <string.h>

#include "agent/nego/nego.h"
#include "ice/agent.h"
#include "ice/binding.h"
#include "netlink/ifaddr.h"
#include "tests/unit/live.h"

enum {
	AGENTS = NEGO_BUSY_MAX,
	PEERS = 1000,
	LOCALS = 2,
	CANDIDATES = 2,
	EARLY = 3,
	AGENT_BYTES = 40 * 1024,
	LEFT_BYTES = 512,
	CONNECTED_BYTES = 448, /* in here, of the 1,024 that one may cost in all */
	FIRST_PORT = 45000,
	PACE_MS = 1000 / NEGO_PER_S + 1, /* not all of them at once */
	HOUR_MS = 3600 * 1000,
};

/* Of the heap, as far as somebody has it; 0 under sanitizers. */
static int64_t used(void)
{
	struct mallinfo2 m = mallinfo2();

	return (int64_t)(m.uordblks + m.hblkhd);
}

/* As far as it was ever written to: libnice has big buffers that it hardly uses. */
static int64_t dirty(void)
{
	g_autofree char *text = NULL;
	const char *at;

	g_assert_true(g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL));
	at = strstr(text, "Private_Dirty:");
	g_assert_nonnull(at);
	return g_ascii_strtoll(at + strlen("Private_Dirty:"), NULL, 10) * 1024;
}

/* -- while a path is looked for ------------------------------------------------------------------- */

static void on_candidate(const char *line, void *user)
{
}

static void on_selected(const struct ice_path *path, void *user)
{
	g_assert_not_reached();
}

static void on_failed(int error, void *user)
{
	g_assert_not_reached();
}

static struct ice *open_agent(const struct ice_local *locals, uint16_t port)
{
	static const struct ice_ops ops = { on_candidate, on_selected, on_failed };
	static const struct ice_credentials remote = { "theirufr", "0123456789012345678901" };
	struct ice_config config = { .controlling = true,
		.port = port,
		.announced_port = 51820,
		.ufrag = "ourufrag",
		.password = "01234567890123456789012345678901",
		.locals = locals,
		.n_locals = LOCALS };
	char line[CANDIDATE_LINE_MAX];
	struct ice *ice;

	g_assert_cmpint(ice_new(&config, &ops, NULL, &ice), ==, 0);
	ice_announce(ice);
	g_assert_cmpint(ice_remote(ice, &remote), ==, 0);
	for (int i = 0; i < CANDIDATES; i++) {
		g_snprintf(
			line, sizeof(line), "%d 1 udp 2130706431 10.9.0.%d 9 typ host", i, 100 + i);
		g_assert_cmpint(ice_candidate(ice, line, strlen(line)), ==, 0);
	}
	return ice;
}

static gboolean time_is_up(gpointer user)
{
	*(bool *)user = true;
	return G_SOURCE_REMOVE;
}

static void pass(guint ms)
{
	bool over = false;

	g_timeout_add(ms, time_is_up, &over);
	while (!over)
		g_main_context_iteration(NULL, TRUE);
}

static bool add_addresses(struct ice_local ret[static LOCALS])
{
	const struct link_change up = { .up = 1 };
	struct nl *nl;
	unsigned index = live_link(&nl);

	if (!index)
		return false;
	for (uint8_t i = 0; i < LOCALS; i++) {
		struct prefix p = { AF_INET, 24, { 10, 9, 0, (uint8_t)(i + 1) } };

		g_assert_cmpint(ifaddr_add(nl, index, &p), ==, 0);
		p.bits = 32;
		ret[i] = (struct ice_local){ p, p };
	}
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0);
	nl_close(nl);
	return true;
}

/* As many as there may be, each at two addresses, each with two candidates that do not answer; another pair of these costs
 * 2 kB. One before them brings what libnice needs once, and the first round what GLib keeps. */
static void test_agents(void)
{
	struct ice_local locals[LOCALS] = { 0 };
	struct ice *first, *ices[AGENTS];
	int64_t heap, memory, each;

	if (!add_addresses(locals))
		return;
	first = open_agent(locals, FIRST_PORT);
	pass(100);
	for (int round = 0; round < 2; round++) {
		heap = used();
		memory = dirty();
		for (uint16_t i = 0; i < AGENTS; i++)
			ices[i] = open_agent(locals, (uint16_t)(FIRST_PORT + 1 + i));
		pass(500);
		each = (dirty() - memory) / AGENTS;
		g_test_message(
			"%" G_GINT64_FORMAT " bytes for each of %d ICE agents", each, AGENTS);
		if (heap)
			g_assert_cmpint(each, <=, AGENT_BYTES);
		for (size_t i = 0; i < AGENTS; i++)
			ice_free(ices[i]);
		pass(10);
	}
	g_assert_cmpint((used() - heap) / AGENTS, <=, LEFT_BYTES);
	ice_free(first);
}

/* -- when there is one ---------------------------------------------------------------------------- */

static uint32_t next_random(void *user)
{
	static uint32_t seed;

	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

static struct nego *begin(void)
{
	const struct wg_key own = { { 1 } };
	struct nego *n = nego_new(&own, next_random, NULL);

	nego_set_signal(n, true, 1);
	return n;
}

static struct wg_key key_of(uint32_t i)
{
	struct wg_key key = { { 2 } };

	memcpy(key.b + 1, &i, sizeof(i));
	return key;
}

static void drain(struct nego *n, int64_t now_ms)
{
	struct nego_action action;

	nego_tick(n, now_ms);
	while (nego_next(n, &action))
		;
}

static void hear_candidates(struct nego *n, const struct wg_key *key, int64_t now_ms)
{
	struct nego_candidate c = { .at = { AF_INET, .port = 51820 } };

	for (int i = 0; i < EARLY; i++) {
		g_snprintf(
			c.line, sizeof(c.line), "%d 1 udp 2130706431 10.9.0.%d 9 typ host", i, i);
		c.at.addr[3] = (uint8_t)i;
		nego_hear_candidate(n, key, &c, now_ms);
	}
}

/* Its candidates overtook the answer. */
static void connect_to(struct nego *n, uint32_t i, bool lapwing)
{
	struct nego_words remote = { .ufrag = "abcdefghijklmnop",
		.pwd = "abcdefghijklmnopabcdefghijklmnop",
		.has_session = true,
		.lapwing = lapwing };
	const struct wg_key key = key_of(i);
	const struct nego_path path = { { AF_INET, .port = 51820 }, CANDIDATE_HOST,
		CANDIDATE_HOST };
	const int64_t now = 2 + i * PACE_MS;
	struct nego_words own;

	nego_want(n, &key, NEGO_PACKET_WAITS, now);
	hear_candidates(n, &key, now);
	nego_hear_answer(n, &key, &remote, now);
	drain(n, now);
	g_assert_true(nego_words(n, &key, &own));
	nego_selected(n, &key, own.session, &path, now);
	nego_up(n, &key, now);
	drain(n, now);
}

static void check_connected(bool lapwing)
{
	struct nego *n = begin();
	int64_t before, each;

	connect_to(n, 0, lapwing);
	before = used();
	for (uint32_t i = 1; i <= PEERS; i++)
		connect_to(n, i, lapwing);
	each = (used() - before) / PEERS;
	g_test_message("%" G_GINT64_FORMAT " bytes for a connected %s", each,
		lapwing ? "lapwing" : "peer of another make");
	g_assert_cmpint(each, <=, CONNECTED_BYTES);
	nego_free(n);
}

static void test_connected(void)
{
	check_connected(true);
	check_connected(false);
}

/* -- when none is found ---------------------------------------------------------------------------- */

/* One never answers; the other does, and ICE fails each time. */
static void try_for(struct nego *n, int64_t from_ms, int64_t to_ms)
{
	const struct wg_key deaf = key_of(1), unreachable = key_of(2);
	struct nego_words remote = { .ufrag = "abcdefgh", .pwd = "secret", .has_session = true },
			  own;

	for (int64_t now = from_ms; now < to_ms; now += 1000) {
		nego_want(n, &deaf, NEGO_PERMANENT, now);
		nego_want(n, &unreachable, NEGO_PERMANENT, now);
		drain(n, now);
		if (now % 20000)
			continue;
		remote.session[0]++;
		hear_candidates(n, &unreachable, now);
		nego_hear_answer(n, &unreachable, &remote, now);
		g_assert_true(nego_words(n, &unreachable, &own));
		nego_failed(n, &unreachable, own.session, "no candidate answered in time", now);
		drain(n, now);
	}
}

static void test_failing(void)
{
	struct nego *n = begin();
	int64_t minute;

	try_for(n, 2000, 60 * 1000);
	minute = used();
	try_for(n, 60 * 1000, HOUR_MS);
	g_assert_cmpint(used(), ==, minute);
	nego_free(n);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory/agents", test_agents);
	g_test_add_func("/memory/connected", test_connected);
	g_test_add_func("/memory/failing", test_failing);
	return g_test_run();
}
