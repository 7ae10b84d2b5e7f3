/* tests/unit/test_finder.c - what the engine says of peers that need a path, what the finder makes of it, and where
 * packets go when one is found. The kernel is a few lines. */
#include <stdlib.h>
#include <string.h>

#include "agent/config.h"
#include "agent/engine_impl.h"
#include "agent/finder.h"
#include "agent/nego/aim.h"
#include "agent/nego/nego.h"
#include "agent/base/log.h"
#include "mgmt/meshfile.h"
#include "mgmt/netmap.h"
#include "signal/body.h"
#include "tests/unit/live.h"

enum { WE, LAZY, PERMANENT, N_HOSTS, NOW_MS = 1000 * 1000, WALL_S = 1700000000 };

struct setup {
	struct engine *engine;
	struct finder *finder;
	struct config config;
	struct wg_key keys[N_HOSTS];
	/* the kernel */
	struct endpoint endpoint; /* of LAZY or PERMANENT, as set last */
	struct endpoint poked; /* where it was when a handshake was asked for */
	GString *sent; /* "PORT:FIRST ", what was sent on: to which port, and the byte behind the type */
	const struct packet *packet; /* about to be read */
	uint64_t rx, tx; /* of LAZY */
	unsigned removed; /* peers */
	bool made_anew; /* the last one that was told of was not there before */
	/* what was told */
	GString *needs, *events;
	GString *recorded; /* "UFRAG " of each session, as last written down; NULL: not asked for */
};

/* -- the kernel ------------------------------------------------------------------------------------ */

static int take_peers(
	void *k, unsigned index, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct setup *s = k;

	for (size_t i = 0; i < n; i++) {
		results[i] = 0;
		s->removed += peers[i].remove;
		s->made_anew = !peers[i].remove && !peers[i].update_only && peers[i].n_allowed;
		if (peers[i].endpoint)
			s->endpoint = *peers[i].endpoint;
		if (peers[i].keepalive > 0)
			s->poked = s->endpoint;
	}
	return 0;
}

static int tell_peers(
	void *k, unsigned index, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user)
{
	struct setup *s = k;
	const struct netmap *map = engine_map(s->engine);
	const struct wg_device_status device = { .listen_port = 51820 };
	struct wg_peer_status status = { .public_key = s->keys[LAZY],
		.endpoint = s->endpoint,
		.last_handshake_s = WALL_S - 60,
		.rx_bytes = s->rx,
		.tx_bytes = s->tx,
		.allowed = &map->prefixes[map->hosts[LAZY].prefix],
		.n_allowed = 1 };

	device_fn(&device, user);
	return peer_fn(&status, user);
}

static int set_sender(void *k, uint16_t port, uint32_t mark)
{
	return 0;
}

static int take_sentinel(void *k, bool shared, const struct endpoint *wanted, uint32_t *ret_slot)
{
	*ret_slot = 0;
	return 0;
}

static void release_sentinel(void *k, uint32_t slot)
{
}

static void tell_sentinel(void *k, uint32_t slot, struct endpoint *ret)
{
	*ret = (struct endpoint){ .family = AF_INET, .port = 1, .addr = { 127, 0, 1, 1 } };
}

static void tell_sentinels(void *k, struct sentinel_status *ret)
{
	*ret = (struct sentinel_status){ .drops = 0 };
}

static size_t read_packets(void *k, packet_fn fn, void *user)
{
	struct setup *s = k;
	const struct packet *packet = g_steal_pointer(&s->packet);

	if (packet)
		fn(packet, user);
	return packet != NULL;
}

static int resend(void *k, uint16_t port, uint32_t mark, const struct endpoint *to,
	const void *data, size_t len)
{
	struct setup *s = k;

	g_string_append_printf(s->sent, "%u:%u ", to->port, ((const uint8_t *)data)[1]);
	return 0;
}

static int64_t wall_ns(void *k)
{
	return WALL_S * INT64_C(1000000000);
}

static const char *error_text(void *k)
{
	return "";
}

static const struct kernel_ops kernel_ops = {
	.wg_set_peers = take_peers,
	.wg_read = tell_peers,
	.sentinel_set_sender = set_sender,
	.sentinel_take = take_sentinel,
	.sentinel_release = release_sentinel,
	.sentinel_endpoint = tell_sentinel,
	.sentinel_get_status = tell_sentinels,
	.packets_read = read_packets,
	.resend = resend,
	.wall_ns = wall_ns,
	.error_text = error_text,
};

/* -- the rest of the world ------------------------------------------------------------------------- */

static void note_event(const char *json, void *user)
{
	struct setup *s = user;

	if (strstr(json, "negotiation"))
		g_string_append_printf(s->events, "%s\n", json);
}

static void note_need(const struct wg_key *key, enum engine_need need, void *user)
{
	static const char *const names[] = { "waits", "router", "wanted", "answers", "sleeps",
		"given-up" };
	struct setup *s = user;

	g_string_append_printf(s->needs, "%s:%s ",
		key_is_same(key, &s->keys[LAZY]) ? "lazy" : "permanent", names[need]);
	if (s->finder)
		finder_need(s->finder, key, need);
}

static int record_memory(const struct engine_memory *memory, size_t n, void *user)
{
	return 0;
}

static int record_peers(const struct wg_key *keys, size_t n, void *user)
{
	return 0;
}

static uint32_t random32(void *user)
{
	return 4;
}

static int64_t wall_s(void *user)
{
	return WALL_S;
}

static const struct engine_ops engine_ops = {
	.event = note_event,
	.record_memory = record_memory,
	.record_peers = record_peers,
	.path = note_need,
	.random = random32,
	.wall_s = wall_s,
};

static int send_body(const struct wg_key *remote, const struct signal_body *body, void *user)
{
	return 0;
}

static void ignore(void *user)
{
}

static void record_sessions(const struct nego_session *sessions, size_t n, void *user)
{
	struct setup *s = user;

	g_string_truncate(s->recorded, 0);
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(s->recorded, "%s ", sessions[i].ufrag);
}

static const struct finder_ops finder_ops = { send_body, ignore, ignore, NULL, NULL };
static const struct finder_ops recording_ops = { send_body, ignore, ignore, NULL, record_sessions };

/* -- hosts ------------------------------------------------------------------------------------------ */

static struct netmap *make_map(struct setup *s)
{
	g_autoptr(GString) text = g_string_new("{\"mesh\":\"m\",\"hosts\":[");
	char error[MESHFILE_ERROR_MAX], buf[KEY_STRLEN];
	struct netmap *map;

	for (unsigned i = 0; i < N_HOSTS; i++) {
		s->keys[i].b[0] = (uint8_t)(i + 1);
		g_string_append_printf(text,
			"%s{\"name\":\"h%u\",\"public_key\":\"%s\",\"addresses\":[\"10.0.0.%u\"],"
			"\"keepalive\":0,\"lazy\":%s}",
			i ? "," : "", i, key_format(&s->keys[i], buf), i,
			i == PERMANENT ? "false" : "true");
	}
	g_string_append(text, "]}");
	if (meshfile_parse(text->str, text->len, &s->keys[WE], 9, &map, error) < 0)
		g_error("%s", error);
	return map;
}

/* The interface stands, and its peers are installed. */
static void begin(struct setup *s, const struct kernel *kernel)
{
	static const struct engine_identity identity = { .instance = "i",
		.recorded_interface = "" };
	char error[CONFIG_ERROR_MAX];
	struct endpoint sentinel;

	memset(s, 0, sizeof(*s));
	s->sent = g_string_new(NULL);
	s->needs = g_string_new(NULL);
	s->events = g_string_new(NULL);
	g_assert_cmpint(config_parse("{}", 2, &s->config, error), ==, 0);
	s->engine = engine_new(kernel, &engine_ops, s, &identity);
	engine_set_config(s->engine, &s->config);
	engine_set_map(s->engine, make_map(s), NOW_MS);
	s->engine->index = 1;
	for (unsigned i = LAZY; i < N_HOSTS; i++)
		s->engine->peers[i].flags = PEER_INSTALLED;
	g_assert_true(engine_sentinel_of(s->engine, LAZY, &sentinel));
	engine_set_finder(s->engine, true, NOW_MS);
	g_string_truncate(s->needs, 0);
}

static void end(struct setup *s)
{
	finder_free(s->finder);
	engine_free(s->engine);
	config_done(&s->config);
	g_string_free(s->sent, TRUE);
	g_string_free(s->needs, TRUE);
	g_string_free(s->events, TRUE);
	if (s->recorded)
		g_string_free(s->recorded, TRUE);
}

#define BEGIN(s) \
	const struct kernel kernel_ = { &kernel_ops, s }; \
	begin(s, &kernel_)

/* Tells what was said or sent since, and forgets it. */
#define SINCE(text, expected) \
	do { \
		g_assert_cmpstr((text)->str, ==, expected); \
		g_string_truncate(text, 0); \
	} while (0)

static struct endpoint at(uint16_t port)
{
	return (struct endpoint){ .family = AF_INET, .port = port, .addr = { 192, 0, 2, 1 } };
}

/* For LAZY, with a mark of its own. */
static void capture_type(struct setup *s, uint8_t type, uint8_t mark, size_t len, int64_t now_ms)
{
	uint8_t data[8192] = { type, mark };
	const struct packet packet = {
		.kind = PACKET_SENTINEL, .data = data, .len = len, .from_port = 51820
	};

	s->packet = &packet;
	engine_packets(s->engine, now_ms);
}

/* Data under a session that lives. */
static void capture(struct setup *s, uint8_t mark, size_t len, int64_t now_ms)
{
	capture_type(s, 4, mark, len, now_ms);
}

/* What came to the sentinels just before they are given up. */
static void test_leave(void)
{
	struct setup s;
	uint8_t data[32] = { 4, 7 };
	const struct packet packet = {
		.kind = PACKET_SENTINEL, .data = data, .len = sizeof(data), .from_port = 51820
	};

	BEGIN(&s);
	s.engine->peers[LAZY].endpoint = at(5);
	s.packet = &packet;
	engine_leave(s.engine, NOW_MS);
	g_assert_null(s.packet);
	g_assert_cmpstr(s.sent->str, ==, "5:7 ");
	end(&s);
}

static void find_path(struct setup *s, unsigned host, uint16_t port, bool replaces, int64_t now_ms)
{
	const struct endpoint found[] = { at(port), at(1) };
	const struct engine_paths paths = { found, 2, .proven = true, .replaces = replaces };

	engine_set_paths(s->engine, &s->keys[host], &paths, now_ms);
	if (s->engine->peers[host].flags & PEER_NEW_ENDPOINT)
		engine_program_now(s->engine, &(uint32_t){ host }, 1, now_ms);
}

static void tell_kernel(struct setup *s)
{
	while (engine_stage_peers(s->engine, NOW_MS) > 0)
		;
	s->engine->stages[STAGE_PEERS].due = false;
}

static void read_kernel(struct setup *s, int64_t now_ms)
{
	g_assert_cmpint(engine_stage_read(s->engine, now_ms), ==, 0);
}

/* -- who is wanted ---------------------------------------------------------------------------------- */

/* Once a minute all are told again, but for those that sleep. */
static void test_told_again(void)
{
	struct setup s;

	BEGIN(&s);
	engine_set_finder(s.engine, true, NOW_MS);
	SINCE(s.needs, "permanent:wanted ");
	end(&s);
}

/* The other side asks for one that sleeps here: the minute that passes does not make us forget that. */
static void test_asked_while_asleep(void)
{
	struct signal_body body = { .type = SIGNAL_CANDIDATE,
		.candidate = { .foundation = "1", .address = at(51820) } };
	g_autoptr(GString) out = g_string_new(NULL);
	struct setup s;

	BEGIN(&s);
	s.finder = finder_new(s.engine, &s.keys[WE], "test", &finder_ops, &s);
	finder_set_signal(s.finder, true);
	finder_hear(s.finder, &s.keys[LAZY], &body);
	finder_tick(s.finder);
	finder_write_peer(s.finder, out, &s.keys[LAZY]);
	g_assert_nonnull(strstr(out->str, "\"negotiation\":{\"phase\":\"quiet\""));
	end(&s);
}

static void test_events(void)
{
	struct setup s;

	BEGIN(&s);
	s.finder = finder_new(s.engine, &s.keys[WE], "test", &finder_ops, &s);
	finder_set_signal(s.finder, true);
	finder_need(s.finder, &s.keys[LAZY], ENGINE_PACKET_WAITS);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_nonnull(strstr(s.events->str,
		"\"event\":\"negotiation\",\"time\":\"2023-11-14T22:13:20Z\",\"name\":\"h1\","
		"\"state\":\"offered\",\"session\":\""));
	g_assert_nonnull(strstr(s.events->str,
		"\"path\":null,\"local_type\":null,\"remote_type\":null,\"problem\":null,"
		"\"message\":\"h1: offered\"}\n"));
	g_string_truncate(s.events, 0);
	finder_need(s.finder, &s.keys[LAZY], ENGINE_SLEEPS);
	g_assert_nonnull(strstr(s.events->str, "\"message\":\"h1: forgotten\"}\n"));
	end(&s);
}

/* Many are wanted at once: of who has to wait for its turn that is said. */
static void test_turns(void)
{
	g_autoptr(GString) said = g_string_new(NULL);
	struct setup s;

	BEGIN(&s);
	s.finder = finder_new(s.engine, &s.keys[WE], "test", &finder_ops, &s);
	finder_set_signal(s.finder, true);
	for (uint8_t i = 0; i < 2 * NEGO_BURST; i++)
		finder_need(s.finder, &(struct wg_key){ { 9, i } }, ENGINE_PACKET_WAITS);
	finder_need(s.finder, &s.keys[PERMANENT], ENGINE_WANTED);
	while (g_main_context_iteration(NULL, FALSE))
		;
	finder_write_peer(s.finder, said, &s.keys[PERMANENT]);
	g_assert_nonnull(strstr(said->str, "\"phase\":\"waiting\",\"waits_ms\":"));
	g_assert_null(strstr(said->str, "\"waits_ms\":null"));
	g_string_truncate(said, 0);
	finder_write_peer(s.finder, said, &(struct wg_key){ { 9, 0 } });
	g_assert_nonnull(strstr(said->str, "\"phase\":\"offered\",\"waits_ms\":null,"));
	g_assert_nonnull(strstr(said->str, "\"last_answer_ms\":null,"));
	g_assert_null(strstr(said->str, "\"last_offer_ms\":null,"));
	end(&s);
}

/* Many candidates that bring the same other one with them do not make us send to that more often than if they had named
 * it; themselves they are good. */
static void test_extra_candidates(void)
{
	enum { TOO_MANY = 4 };
	g_autoptr(GString) said = g_string_new(NULL);
	struct signal_body body = { .type = SIGNAL_CANDIDATE };
	struct setup s;

	BEGIN(&s);
	s.finder = finder_new(s.engine, &s.keys[WE], "test", &finder_ops, &s);
	finder_set_signal(s.finder, true);
	for (int i = 0; i < AIM_PORT_BURST + TOO_MANY; i++) {
		g_autofree char *line = g_strdup_printf(
			"1 1 udp 1 203.0.113.7 %d typ srflx raddr 0.0.0.0 rport 53 cid x",
			20000 + i);

		g_assert_cmpint(candidate_parse(line, strlen(line), &body.candidate), ==, 0);
		finder_hear(s.finder, &s.keys[PERMANENT], &body);
	}
	finder_write_status(s.finder, said);
	g_assert_nonnull(strstr(said->str, "\"candidates_refused\":4}"));
	end(&s);
}

/* The finder of a run before had two sessions; the tunnel of one is found up. */
static void test_resumes(void)
{
	const struct nego_session kept[] = {
		{ { { 1 + LAZY } }, "aaaaaaaa", "secret", { .at = at(7) } },
		{ { { 1 + PERMANENT } }, "pppppppp", "secret", { .at = at(8) } },
	};
	g_autoptr(GString) said = g_string_new(NULL);
	struct setup s;

	if (!live_namespace())
		return;
	BEGIN(&s);
	s.recorded = g_string_new(NULL);
	s.finder = finder_new(s.engine, &s.keys[WE], "test", &recording_ops, &s);
	finder_expect(s.finder, kept, G_N_ELEMENTS(kept));
	finder_set_signal(s.finder, true);
	finder_need(s.finder, &s.keys[LAZY], ENGINE_ANSWERS);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(s.engine->steer.ufrags->len, ==, 1);
	g_assert_cmpmem(g_array_index(s.engine->steer.ufrags, struct steer_ufrag, 0).text,
		STEER_UFRAG_LEN, "aaaaaaaa", STEER_UFRAG_LEN);
	g_assert_true(finder_write_peer(s.finder, said, &s.keys[LAZY]));
	g_assert_nonnull(strstr(said->str, "\"phase\":\"up\""));
	g_assert_nonnull(strstr(said->str, "\"path\":\"192.0.2.1:7\""));
	g_assert_true(engine_never_yields(s.engine, LAZY)); /* it is no lapwing */
	while (!s.recorded->len)
		g_main_context_iteration(NULL, TRUE);
	SINCE(s.recorded, "aaaaaaaa pppppppp "); /* the other one may still be found */
	finder_need(s.finder, &s.keys[LAZY], ENGINE_SLEEPS);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_assert_cmpuint(s.engine->steer.ufrags->len, ==, 0);
	g_string_assign(s.recorded, "nothing");
	g_clear_pointer(&s.finder, finder_free); /* at the latest */
	SINCE(s.recorded, "pppppppp ");
	end(&s);
}

/* -- where they are --------------------------------------------------------------------------------- */

/* A tunnel that is up stays where it is, unless the path was looked for because that was doubted. */
static void test_replaces(void)
{
	const struct endpoint first = at(1), second = at(2);
	struct setup s;

	BEGIN(&s);
	s.engine->peers[LAZY].endpoint = s.endpoint = first;
	lazy_remote(s.engine->lazy, LAZY, NOW_MS);
	engine_lazy_run(s.engine, NOW_MS);
	SINCE(s.needs, "lazy:answers ");
	find_path(&s, LAZY, 2, false, NOW_MS);
	g_assert_true(endpoint_is_same(&s.endpoint, &first));
	find_path(&s, LAZY, 2, true, NOW_MS);
	g_assert_true(endpoint_is_same(&s.endpoint, &second));
	end(&s);
}

/* Who is always up and does not answer any more is given the path, also when it is one of several that may be. */
static void test_replaces_permanent(void)
{
	struct setup s;

	BEGIN(&s);
	s.engine->peers[PERMANENT].endpoint = at(1);
	s.engine->peers[PERMANENT].state = PEER_UP;
	find_path(&s, PERMANENT, 2, false, NOW_MS);
	g_assert_cmpint(s.engine->peers[PERMANENT].endpoint.port, ==, 1);
	s.engine->peers[PERMANENT].state = PEER_UNREACHABLE;
	find_path(&s, PERMANENT, 2, false, NOW_MS);
	g_assert_cmpint(s.endpoint.port, ==, 2);
	end(&s);
}

/* It is up, over a path to one of us or to somebody else's agent. */
static void connect_to(struct setup *s, bool yields)
{
	const struct endpoint first = at(1);
	const struct engine_paths paths = { &first, 1, .proven = true, .yields = yields };

	lazy_remote(s->engine->lazy, LAZY, NOW_MS);
	engine_lazy_run(s->engine, NOW_MS);
	engine_set_paths(s->engine, &s->keys[LAZY], &paths, NOW_MS);
	s->engine->peers[LAZY].state = PEER_UP;
	tell_kernel(s);
}

static void park(struct setup *s, bool yields)
{
	connect_to(s, yields);
	g_assert_true(engine_remote_sleeps(s->engine, &s->keys[LAZY], NOW_MS));
	tell_kernel(s);
}

static void test_session_of_one_of_us(void)
{
	struct setup s;

	BEGIN(&s);
	park(&s, true);
	g_assert_cmpuint(s.removed, ==, 0);
	g_assert_cmpint(s.endpoint.addr[0], ==, 127);
	end(&s);
}

/* Others throw their session away when they sleep, and under ours packets would be lost. */
static void test_session_of_others(void)
{
	struct setup s;

	BEGIN(&s);
	park(&s, false);
	g_assert_cmpuint(s.removed, ==, 1);
	g_assert_true(s.made_anew);
	g_assert_cmpint(s.endpoint.addr[0], ==, 127);
	end(&s);
}

/* One that has begun anew is asked for a handshake, where it is now, unless there just was one. */
static void test_remote_begins_anew(void)
{
	const struct endpoint second = at(2);
	const struct engine_paths moved = { &second, 1, .proven = true, .replaces = true };
	struct setup s;

	BEGIN(&s);
	connect_to(&s, false);
	engine_set_paths(s.engine, &s.keys[LAZY], &moved, NOW_MS);
	s.engine->peers[LAZY].handshake_s = WALL_S;
	s.engine->peers[LAZY].handshake_ms = NOW_MS - 4 * 1000;
	g_assert_false(engine_remote_wants(s.engine, &s.keys[LAZY], NOW_MS));
	g_assert_true(engine_remote_wants(s.engine, &s.keys[LAZY], NOW_MS + 1000));
	tell_kernel(&s);
	g_assert_cmpuint(s.removed, ==, 1);
	g_assert_cmpuint(s.endpoint.port, ==, 2);
	g_assert_cmpuint(s.poked.port, ==, 2);
	g_assert_cmpint(lazy_state(s.engine->lazy, LAZY), ==, LAZY_ACTIVE);
	end(&s);

	begin(&s, &kernel_);
	connect_to(&s, true); /* one of us keeps its session */
	g_assert_false(engine_remote_wants(s.engine, &s.keys[LAZY], NOW_MS));
	end(&s);
}

/* Who is told of no endpoint has keepalives as long as a path to it is known. */
static void test_keepalive_follows_path(void)
{
	const struct engine_paths none = { .n = 0 };
	struct setup s;

	BEGIN(&s);
	s.engine->map->hosts[WE].keepalive = 25;
	g_assert_cmpint(engine_wanted_keepalive(s.engine, PERMANENT), ==, 0);
	s.engine->peers[PERMANENT].installed = engine_wanted_hash(s.engine, PERMANENT);
	find_path(&s, PERMANENT, 2, false, NOW_MS);
	g_assert_cmpint(engine_wanted_keepalive(s.engine, PERMANENT), ==, 25);
	s.engine->peers[PERMANENT].flags = PEER_INSTALLED;
	s.engine->peers[PERMANENT].installed = engine_wanted_hash(s.engine, PERMANENT);
	engine_set_paths(s.engine, &s.keys[PERMANENT], &none, NOW_MS);
	g_assert_cmpint(engine_wanted_keepalive(s.engine, PERMANENT), ==, 0);
	g_assert_true(s.engine->peers[PERMANENT].flags & PEER_DIRTY);
	end(&s);
}

/* Switched on just after a handshake message they do not begin by themselves. */
static void test_keepalive_stalls(void)
{
	const int64_t later_ms = NOW_MS + 60 * 1000;
	struct setup s;

	BEGIN(&s);
	s.engine->map->hosts[WE].keepalive = 25;
	find_path(&s, PERMANENT, 2, false, NOW_MS);
	s.engine->peers[PERMANENT].endpoint = at(2);
	s.engine->peers[PERMANENT].sent_s = NOW_MS / 1000;
	s.engine->read_ms = NOW_MS + 50 * 1000;
	g_assert_false(engine_is_stalled(s.engine, PERMANENT));
	s.engine->read_ms = later_ms;
	g_assert_true(engine_is_stalled(s.engine, PERMANENT));
	s.engine->peers[PERMANENT].state = PEER_UP;
	g_assert_false(engine_is_stalled(s.engine, PERMANENT));
	end(&s);
}

/* What is about to be told to the kernel is not there yet: nobody has changed it. */
static void test_own_change_is_no_repair(void)
{
	struct setup s;

	BEGIN(&s);
	read_kernel(&s, NOW_MS);
	lazy_remote(s.engine->lazy, LAZY, NOW_MS);
	engine_lazy_run(s.engine, NOW_MS);
	s.endpoint = at(1);
	find_path(&s, LAZY, 1, false, NOW_MS);
	s.engine->map->hosts[WE].keepalive = 25; /* which the kernel does not have */
	engine_follow_keepalive(s.engine, LAZY);
	g_assert_true(s.engine->peers[LAZY].flags & PEER_DIRTY);
	s.engine->stages[STAGE_PEERS].changed = false;
	read_kernel(&s, NOW_MS + 1);
	g_assert_cmpint(s.engine->stages[STAGE_PEERS].repaired_ms, ==, 0);
	s.engine->peers[LAZY].flags &=
		(uint8_t)~PEER_DIRTY; /* it was told, and somebody has undone it */
	read_kernel(&s, NOW_MS + 2);
	g_assert_cmpint(s.engine->stages[STAGE_PEERS].repaired_ms, >, 0);
	end(&s);
}

/* -- data that waits -------------------------------------------------------------------------------- */

/* A session lives, but a NAT has forgotten where the peer was. */
static void wake_by_data(struct setup *s)
{
	s->engine->peers[LAZY].endpoint = at(1);
	capture(s, 1, 100, NOW_MS);
	SINCE(s->needs, "lazy:waits ");
	SINCE(s->sent, "1:1 ");
}

static void test_kept_data(void)
{
	const struct endpoint second = at(2);
	struct setup s;

	BEGIN(&s);
	wake_by_data(&s);
	for (uint8_t i = 2; i < 6; i++)
		capture(&s, i, 100, NOW_MS + i);
	g_string_truncate(s.sent, 0);
	find_path(&s, LAZY, 2, false, NOW_MS + 1000);
	SINCE(s.sent, "2:2 2:3 2:4 2:5 "); /* the newest */
	g_assert_true(endpoint_is_same(&s.endpoint, &second));
	find_path(&s, LAZY, 3, false, NOW_MS + 1000);
	SINCE(s.sent, ""); /* once */
	end(&s);
}

static void test_kept_data_is_old(void)
{
	struct setup s;

	BEGIN(&s);
	wake_by_data(&s);
	find_path(&s, LAZY, 2, false, NOW_MS + 60 * 1000);
	SINCE(s.sent, "");
	end(&s);
}

/* It did arrive: nothing more is to be done. */
static void test_kept_data_is_answered(void)
{
	struct setup s;

	BEGIN(&s);
	read_kernel(&s, NOW_MS);
	wake_by_data(&s);
	s.endpoint = at(1);
	read_kernel(&s, NOW_MS + 1);
	SINCE(s.needs, "");
	s.rx += 96;
	read_kernel(&s, NOW_MS + 2);
	SINCE(s.needs, "lazy:answers ");
	find_path(&s, LAZY, 2, false, NOW_MS + 3);
	SINCE(s.sent, "");
	g_assert_cmpint(s.endpoint.port, ==, 1);
	end(&s);
}

static void test_kept_data_limits(void)
{
	struct setup s;

	BEGIN(&s);
	wake_by_data(&s);
	capture(&s, 2, 5000, NOW_MS);
	capture(&s, 3, 5000, NOW_MS);
	capture(&s, 4, 7000, NOW_MS);
	g_assert_cmpuint(s.engine->kept_bytes, ==, 5000);
	g_string_truncate(s.sent, 0);
	find_path(&s, LAZY, 2, false, NOW_MS);
	SINCE(s.sent, "2:3 ");
	g_assert_cmpuint(s.engine->kept_bytes, ==, 0);
	end(&s);
}

/* An old session sends its data, and a handshake beside it: both went to where the peer was, and the kernel sends the
 * handshake again only after five seconds. */
static void test_held_initiation(void)
{
	struct setup s;

	BEGIN(&s);
	read_kernel(&s, NOW_MS);
	wake_by_data(&s);
	capture_type(&s, 1, 2, PEER_INITIATION_BYTES, NOW_MS);
	SINCE(s.sent, "1:2 ");
	find_path(&s, LAZY, 2, false, NOW_MS + 1000);
	SINCE(s.sent, "2:1 2:2 ");
	s.endpoint = at(2);
	s.rx += 92;
	read_kernel(&s, NOW_MS + 1100); /* it has answered: nothing is held any more */
	find_path(&s, LAZY, 3, false, NOW_MS + 1200);
	SINCE(s.sent, "");
	end(&s);
}

/* While it slept, the kernel moved its endpoint to where it was heard from. A handshake that is asked for there is not
 * captured, and would go to where nobody may be any more. */
static void test_wake_of_who_roamed(void)
{
	struct setup s;

	BEGIN(&s);
	read_kernel(&s, NOW_MS);
	tell_kernel(&s);
	s.endpoint = at(7);
	g_assert_true(engine_remote_wants(s.engine, &s.keys[LAZY], NOW_MS));
	tell_kernel(&s);
	g_assert_cmpint(s.poked.family, ==, AF_INET);
	g_assert_true(sentinel_is_one(&s.poked));
	end(&s);
}

/* An active peer does not answer any more. Its session lives, so that what there is to send wakes it at once: it is as
 * unanswered as before. */
static void test_silent_under_a_session(void)
{
	struct setup s;

	BEGIN(&s);
	s.engine->peers[LAZY].endpoint = s.endpoint = at(1);
	lazy_wake(s.engine->lazy, LAZY, LAZY_BY_USER, NOW_MS);
	lazy_answered(s.engine->lazy, LAZY, NOW_MS + 10);
	engine_lazy_run(s.engine, NOW_MS + 10);
	s.endpoint = at(1);
	read_kernel(&s, NOW_MS + 20);
	g_string_truncate(s.needs, 0);
	s.tx += 1000;
	read_kernel(&s, NOW_MS + 5000);
	SINCE(s.needs, "");
	s.tx += 1000;
	read_kernel(&s, NOW_MS + 5000 + PEER_NEXT_ENDPOINT_SESSION_MS);
	SINCE(s.needs, "lazy:waits ");
	g_assert_true(sentinel_is_one(&s.endpoint)); /* in place */
	capture(&s, 1, 100, NOW_MS + 22000);
	SINCE(s.needs, "lazy:waits ");
	find_path(&s, LAZY, 2, false, NOW_MS + 23000);
	SINCE(s.sent, "1:1 2:1 ");
	g_assert_cmpint(s.endpoint.port, ==, 2);
	end(&s);
}

/* Looks at the kernel when the engine wants to, and only at the kernel. Returns when that was. */
static int64_t look(struct setup *s)
{
	int64_t at_ms = s->engine->next_read_ms;

	for (size_t i = 0; i < G_N_ELEMENTS(s->engine->stages); i++)
		s->engine->stages[i].due = false;
	engine_step(s->engine, at_ms);
	return at_ms;
}

/* Where a peer is has changed, and nobody tells: the time from then on that is in the hands of this host. */
static void test_silence_is_timed(void)
{
	enum { NOTICED_MS = 10 * 1000 + PEER_NEXT_ENDPOINT_SESSION_MS };
	int64_t heard_ms, at_ms;
	struct setup s;

	BEGIN(&s);
	s.engine->peers[LAZY].endpoint = s.endpoint = at(1);
	lazy_wake(s.engine->lazy, LAZY, LAZY_BY_USER, NOW_MS);
	lazy_answered(s.engine->lazy, LAZY, NOW_MS + 10);
	engine_lazy_run(s.engine, NOW_MS + 10);
	s.endpoint = at(1);
	s.engine->next_read_ms = NOW_MS + 1000;
	for (int i = 0; i < 6; i++) {
		s.tx += 1000;
		s.rx += 1000;
		heard_ms = look(&s);
	}
	SINCE(s.needs, "lazy:answers lazy:answers ");
	for (at_ms = heard_ms; !s.needs->len && at_ms < heard_ms + 60 * 1000; at_ms = look(&s))
		s.tx += 1000;
	SINCE(s.needs, "lazy:waits ");
	g_assert_cmpint(at_ms - heard_ms, ==, NOTICED_MS);
	end(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	log_set_level(LOG_LEVEL_ERROR);
	g_test_add_func("/finder/leave", test_leave);
	g_test_add_func("/finder/told-again", test_told_again);
	g_test_add_func("/finder/asked-while-asleep", test_asked_while_asleep);
	g_test_add_func("/finder/events", test_events);
	g_test_add_func("/finder/turns", test_turns);
	g_test_add_func("/finder/extra-candidates", test_extra_candidates);
	g_test_add_func("/finder/resumes", test_resumes);
	g_test_add_func("/finder/replaces", test_replaces);
	g_test_add_func("/finder/replaces-permanent", test_replaces_permanent);
	g_test_add_func("/finder/session-of-one-of-us", test_session_of_one_of_us);
	g_test_add_func("/finder/session-of-others", test_session_of_others);
	g_test_add_func("/finder/remote-begins-anew", test_remote_begins_anew);
	g_test_add_func("/finder/keepalive-follows-path", test_keepalive_follows_path);
	g_test_add_func("/finder/keepalive-stalls", test_keepalive_stalls);
	g_test_add_func("/finder/own-change-is-no-repair", test_own_change_is_no_repair);
	g_test_add_func("/finder/kept-data", test_kept_data);
	g_test_add_func("/finder/kept-data-is-old", test_kept_data_is_old);
	g_test_add_func("/finder/kept-data-is-answered", test_kept_data_is_answered);
	g_test_add_func("/finder/kept-data-limits", test_kept_data_limits);
	g_test_add_func("/finder/held-initiation", test_held_initiation);
	g_test_add_func("/finder/wake-of-who-roamed", test_wake_of_who_roamed);
	g_test_add_func("/finder/silent-under-a-session", test_silent_under_a_session);
	g_test_add_func("/finder/silence-is-timed", test_silence_is_timed);
	return g_test_run();
}
