/* tests/sim/sim_lazy.c - many daemons, each on a model kernel that speaks WireGuard, in a network of many
 * faults: peers sleep and wake, and nobody notices but the judge.
 *
 * Usage: sim_lazy [SEEDS [FIRST [POWERS]]]. Each seed is one life of a mesh, some virtual hours long; with
 * POWERS (a number: enum power) fewer things go wrong than the seed would have it. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "mgmt/netmap.h"
#include "netlink/monitor.h"
#include "tests/sim/model_traffic.h"
#include "tests/sim/model_world.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum { ROUNDS = 40, QUIET_MORE_S = 300, MANY = 20 };

/* What may happen in a life; each has some of it. */
enum power {
	LOSSES = 1,
	CUTS = 2,
	CRASHES = 4,
	STOPS = 8,
	FAILURES = 16,
	FLUSHES = 32,
	DELETIONS = 64,
	EDITS = 128,
	MOVES = 256,
	COMMANDS = 512,
	SWITCHES = 1024, /* lazy on and off */
	REPLAYS = 2048,
	NATS = 4096, /* hosts that only speak first */
	GROUPS = 8192, /* a prefix that several hosts route */
	CHOICES = 16384, /* hosts with several endpoints */
};

static unsigned allowed = UINT_MAX;

struct life {
	struct world w;
	unsigned powers;
	int64_t latency_us; /* the longest */
};

static unsigned draw(struct life *l, unsigned n)
{
	return world_draw(&l->w, n);
}

static int64_t now(const struct life *l)
{
	return l->w.clock.now_us;
}

static struct node *any(struct life *l)
{
	return &l->w.hosts[draw(l, l->w.n)];
}

/* Another one than that. */
static struct node *other(struct life *l, const struct node *than)
{
	return &l->w.hosts[(than->number + 1 + draw(l, l->w.n - 1)) % l->w.n];
}

static void bad_until(struct node *h, int64_t until_us)
{
	h->bad_until_us = MAX(h->bad_until_us, until_us);
}

/* -- traffic -------------------------------------------------------------------------------- */

static struct traffic_plan plan(struct life *l)
{
	struct node *from = any(l);

	return (struct traffic_plan){ .from = from->number,
		.to = other(l, from)->number,
		.n = 1,
		.reply = draw(l, 2),
		.routed = !draw(l, 4),
		.v6 = !draw(l, 4) };
}

static void start(struct life *l, const struct traffic_plan *p)
{
	if (world_listed(&l->w, p->from, p->to) && world_listed(&l->w, p->to, p->from))
		traffic_start(l->w.traffic, p);
}

static void burst(struct life *l)
{
	struct traffic_plan p = plan(l);

	p.n = 1 + draw(l, 100);
	p.interval_us = draw(l, 3) * 100;
	start(l, &p);
}

static void ping(struct life *l)
{
	struct traffic_plan p = plan(l);

	p.n = 1 + draw(l, 30);
	p.interval_us = 1000 * (1 + draw(l, 2000));
	p.reply = true;
	start(l, &p);
}

static void stream(struct life *l)
{
	struct traffic_plan p = plan(l);

	p.n = 10 + draw(l, 200);
	p.interval_us = 10000 * (1 + draw(l, 100));
	p.reply = false;
	start(l, &p);
}

/* Just often enough to be kept, or just not. */
static void edge(struct life *l)
{
	struct traffic_plan p = plan(l);
	int64_t idle_us = world_idle_s(&l->w, p.from, p.to) * S;

	p.n = 2 + draw(l, 10);
	p.interval_us = idle_us / 2 + draw(l, 100) * idle_us / 100;
	p.jitter_us = draw(l, 2) ? 0 : 5 * S;
	start(l, &p);
}

/* Both at once, within the time that a packet takes. */
static void crossing(struct life *l)
{
	struct traffic_plan p = plan(l), q;
	int64_t latency_us = net_path(&l->w.net, p.from, p.to)->latency_us;

	q = p;
	q.from = p.to;
	q.to = p.from;
	p.n = 1 + draw(l, 5);
	q.n = 1 + draw(l, 5);
	p.interval_us = q.interval_us = 1000 * draw(l, 500);
	start(l, &p);
	world_run(&l->w, draw(l, (unsigned)latency_us * 5 / 4 + 1000));
	start(l, &q);
}

static void group(struct life *l)
{
	struct traffic_plan p = plan(l);

	for (unsigned i = 0; i < l->w.n; i++)
		if (l->w.specs[i].grouped && i != p.from) {
			p.to = i;
			p.grouped = true;
			p.n = 1 + draw(l, 60);
			p.interval_us = 10000 * (1 + draw(l, 300));
		}
	if (p.grouped && !l->w.specs[p.from].grouped)
		start(l, &p);
}

static void many(struct life *l)
{
	unsigned n = 1 + draw(l, MIN(l->w.n * 2, MANY));

	while (n--)
		(draw(l, 2) ? burst : ping)(l);
}

/* -- faults --------------------------------------------------------------------------------- */

static void lossy(struct life *l)
{
	struct net *net = &l->w.net;

	net->loss = draw(l, 3) ? 0 : 0.001 * draw(l, 100);
	net->twice = draw(l, 2) ? 0 : 0.05;
	net->late = draw(l, 2) ? 0 : 0.05;
}

static void cut(struct life *l)
{
	struct node *a = any(l), *b = other(l, a);
	int64_t until_us = now(l) + (1 + draw(l, draw(l, 3) ? 20 : 200)) * S;

	net_path(&l->w.net, a->number, b->number)->cut_until_us = until_us;
	if (draw(l, 2))
		net_path(&l->w.net, b->number, a->number)->cut_until_us = until_us;
	world_disturb(&l->w, a->number, b->number, until_us + 16 * S);
	world_disturb(&l->w, b->number, a->number, until_us + 16 * S);
}

static void away(struct life *l)
{
	struct node *h = any(l);
	int64_t until_us = now(l) + (1 + draw(l, 200)) * S;

	for (unsigned i = 0; i < l->w.n; i++) {
		net_path(&l->w.net, h->number, i)->cut_until_us = until_us;
		net_path(&l->w.net, i, h->number)->cut_until_us = until_us;
	}
	bad_until(h, until_us + 16 * S);
}

static void crash(struct life *l)
{
	struct node *h = any(l);

	if (draw(l, 2)) { /* in the middle of something */
		h->model->crash_in = 1 + draw(l, 30);
		return;
	}
	host_stop(h, true);
	timer_set(&l->w.clock, &h->start, now(l) + draw(l, 40) * S);
	bad_until(h, h->start.at_us + 8 * S);
}

static void stop(struct life *l)
{
	struct node *h = any(l);

	host_stop(h, false);
	timer_set(&l->w.clock, &h->start, now(l) + draw(l, 300) * S);
	bad_until(h, now(l) + S);
}

static void failures(struct life *l)
{
	struct node *h = any(l);

	h->model->failure_rate = draw(l, 2) ? 0 : 0.1;
	bad_until(h, now(l) + 60 * S);
}

static void flush(struct life *l)
{
	struct node *h = any(l);

	model_nft_flush(&h->model->nft);
	bad_until(h, now(l) + 7 * S); /* handshakes may cross now */
	host_event(h, MONITOR_NFT);
}

/* Somebody resets the counters; nobody is told. */
static void reset(struct life *l)
{
	model_nft_reset(&any(l)->model->nft);
}

static void delete_link(struct life *l)
{
	struct node *h = any(l);

	if (!world_link(h))
		return;
	world_lost_link(&l->w, h);
	model_delete_link(h->model, world_link(h));
	host_event(h, MONITOR_LINK);
}

/* -- maps ----------------------------------------------------------------------------------- */

static void dead_endpoint(struct life *l, struct endpoint *ret)
{
	*ret = (struct endpoint){ .family = AF_INET,
		.port = (uint16_t)l->w.listen_port,
		.addr = { 203, 0, 113, (uint8_t)draw(l, 250) } };
}

static void add_endpoint(struct life *l, struct spec *spec, unsigned host, uint8_t family)
{
	struct endpoint *e = &spec->endpoints[spec->n_endpoints++];

	net_address(&l->w.net, host, family, e);
	e->port = (uint16_t)l->w.listen_port;
}

static void set_endpoints(struct life *l, unsigned host)
{
	struct spec *spec = &l->w.specs[host];

	spec->n_endpoints = 0;
	spec->by_name = false;
	if (l->w.net.hosts[host].nat)
		return;
	if (l->powers & CHOICES && !draw(l, 4))
		dead_endpoint(l, &spec->endpoints[spec->n_endpoints++]);
	if (l->powers & CHOICES && l->w.net.hosts[host].v6)
		add_endpoint(l, spec, host, AF_INET6);
	add_endpoint(l, spec, host, AF_INET);
	if (l->powers & CHOICES && !draw(l, 4))
		dead_endpoint(l, &spec->endpoints[spec->n_endpoints++]);
	spec->by_name = l->powers & CHOICES && !draw(l, 10);
}

static void set_habits(struct life *l, unsigned host)
{
	struct spec *spec = &l->w.specs[host];

	spec->lazy = draw(l, 10);
	spec->idle_minutes = draw(l, 4) ? 0 : 1 + draw(l, 3);
	spec->keepalive = draw(l, 12) ? 0 : 25;
}

static bool is_pinned(struct life *l, unsigned host)
{
	for (unsigned i = 0; i < l->w.n; i++)
		if (l->w.hosts[i].others[host].pinned)
			return true;
	return false;
}

static void edit(struct life *l)
{
	struct node *h = any(l);
	struct spec *spec = &l->w.specs[h->number];

	switch (draw(l, 4)) {
	case 0:
		set_habits(l, h->number);
		break;
	case 1:
		set_endpoints(l, h->number);
		break;
	case 2:
		if (is_pinned(l, h->number)) /* who comes back may be pinned or not */
			break;
		spec->present = !spec->present;
		bad_until(h, now(l) + 60 * S);
		break;
	default:
		break; /* the same once more */
	}
	world_publish(&l->w, draw(l, 2) ? 0 : 10 * S);
}

static void move(struct life *l)
{
	struct node *h = any(l);

	world_move(&l->w, h->number);
	if (draw(l, 2))
		return;
	set_endpoints(l, h->number);
	world_publish(&l->w, 20 * S);
}

/* Who is asleep and has moved since the file was written is found again after a crash. */
static void comeback(struct life *l)
{
	struct traffic_plan p = plan(l);
	struct node *h = &l->w.hosts[p.to];

	world_move(&l->w, p.from);
	world_run(&l->w, 3 * S);
	start(l, &p);
	world_run(&l->w, 6 * 60 * S);
	host_stop(h, true);
	host_start(h);
	bad_until(h, now(l) + 8 * S);
	world_run(&l->w, 10 * S);
	p.to = p.from;
	p.from = h->number;
	start(l, &p);
}

static void switch_lazy(struct life *l)
{
	l->w.lazy_enabled = !l->w.lazy_enabled;
	world_publish(&l->w, 5 * S);
}

static void command(struct life *l)
{
	static const enum engine_command commands[] = { ENGINE_WAKE, ENGINE_IDLE, ENGINE_IDLE,
		ENGINE_IDLE, ENGINE_PIN, ENGINE_UNPIN };
	struct node *h = any(l);

	host_command(h, commands[draw(l, G_N_ELEMENTS(commands))], other(l, h)->number);
}

/* Somebody sends again what he heard earlier, from elsewhere. */
static void replay(struct life *l)
{
	struct node *from = any(l);

	net_replay(&l->w.net, from->number);
}

static const struct {
	const char *name;
	unsigned power; /* 0: traffic */
	void (*act)(struct life *l);
} acts[] = {
	{ "burst", 0, burst },
	{ "burst", 0, burst },
	{ "ping", 0, ping },
	{ "ping", 0, ping },
	{ "stream", 0, stream },
	{ "edge", 0, edge },
	{ "edge", 0, edge },
	{ "crossing", 0, crossing },
	{ "crossing", 0, crossing },
	{ "crossing", 0, crossing },
	{ "group", 0, group },
	{ "many", 0, many },
	{ "losses", LOSSES, lossy },
	{ "a cut", CUTS, cut },
	{ "a host away", CUTS, away },
	{ "a crash", CRASHES, crash },
	{ "a crash", CRASHES, crash },
	{ "a stop", STOPS, stop },
	{ "failures", FAILURES, failures },
	{ "a flush", FLUSHES, flush },
	{ "a reset", FLUSHES, reset },
	{ "a deletion", DELETIONS, delete_link },
	{ "an edit", EDITS, edit },
	{ "an edit", EDITS, edit },
	{ "a move", MOVES, move },
	{ "a comeback", MOVES | CRASHES, comeback },
	{ "a command", COMMANDS, command },
	{ "a command", COMMANDS, command },
	{ "a command", COMMANDS, command },
	{ "lazy on or off", SWITCHES, switch_lazy },
	{ "a replay", REPLAYS, replay },
};

/* -- what should be ------------------------------------------------------------------------- */

static void check_parked(struct life *l, struct node *h, struct node *o, struct model_peer *peer)
{
	const struct netmap_host *listed = world_listed(&l->w, h->number, o->number);

	if (!sentinel_is_one(&peer->endpoint) || !model_has_slot(h->model, &peer->endpoint))
		world_fail(&l->w, "%s has not parked %s: it is %s", h->name, o->name,
			sentinel_is_one(&peer->endpoint) ? "at a deaf sentinel"
							 : "at a real endpoint");
	if (peer->keepalive)
		world_fail(&l->w, "%s sends keepalives to %s, which is parked", h->name, o->name);
	if (model_nft_counts(&h->model->nft, netmap_prefixes(h->mesh->map, listed)))
		world_fail(&l->w, "%s counts packets of %s, which is parked", h->name, o->name);
	/* Where handshakes are lost, the kernel may forget to ask till there is more to send. */
	if (peer->tunnel.staged->len && !(l->powers & (LOSSES | CUTS)))
		world_fail(&l->w, "%s has %u packets for %s, which is parked", h->name,
			peer->tunnel.staged->len, o->name);
}

static bool is_in_map(struct life *l, struct node *h, struct node *o, const struct endpoint *e)
{
	const struct netmap_host *listed = world_listed(&l->w, h->number, o->number);

	for (unsigned i = 0; i < listed->n_endpoints; i++)
		if (endpoint_is_same(e, &h->mesh->map->endpoints[listed->endpoint + i].address))
			return true;
	return false;
}

static void check_permanent(struct life *l, struct node *h, struct node *o, struct model_peer *peer)
{
	const struct netmap_host *listed = world_listed(&l->w, h->number, o->number);
	char text[ENDPOINT_STRLEN];

	if (!listed->n_endpoints || l->w.specs[o->number].by_name)
		return;
	if (net_find(&l->w.net, &peer->endpoint) != (int)o->number &&
		!is_in_map(l, h, o, &peer->endpoint))
		world_fail(&l->w, "%s has %s at %s, which is not its endpoint", h->name, o->name,
			peer->endpoint.family ? endpoint_format(&peer->endpoint, text) : "none");
}

/* Returns whether it may sleep. */
static bool check_pair(struct life *l, struct node *h, struct node *o)
{
	struct model_peer *peer = world_peer(&l->w, h->number, o->number);
	const struct netmap_host *listed = world_listed(&l->w, h->number, o->number);
	bool sleeps = world_may_park(&l->w, h->number, o->number);

	if (!listed) {
		if (peer)
			world_fail(&l->w, "%s still has %s", h->name, o->name);
		return true;
	}
	if (!peer) {
		world_fail(&l->w, "%s has no peer %s", h->name, o->name);
		return false;
	}
	if (model_route(peer->tunnel.link, netmap_prefixes(h->mesh->map, listed)) != peer)
		world_fail(&l->w, "%s does not send to %s what is its", h->name, o->name);
	if (sleeps)
		check_parked(l, h, o, peer);
	else
		check_permanent(l, h, o, peer);
	return sleeps;
}

/* Of initiations that were captured. */
static bool has_held(const struct node *h)
{
	g_autoptr(GString) pools = g_string_new(NULL);

	engine_write_pools(h->engine, pools);
	return !strstr(pools->str, "\"name\":\"initiations held\",\"count\":0,");
}

static void check_host(struct life *l, struct node *h)
{
	struct model_link *link = world_link(h);
	unsigned asleep = 0, slots = model_slots_taken(h->model), homeless = 0;
	bool all = true;

	if (!link || !link->info.up) {
		world_fail(&l->w, "%s has no interface that is up", h->name);
		return;
	}
	for (unsigned i = 0; i < l->w.n; i++) {
		struct node *o = &l->w.hosts[i];
		const struct netmap_host *listed = world_listed(&l->w, h->number, i);
		bool sleeps;

		if (o == h)
			continue;
		sleeps = check_pair(l, h, o);
		all &= sleeps;
		asleep += sleeps && listed;
		homeless += !sleeps && listed && !listed->n_endpoints;
	}
	if (slots < asleep || slots > asleep + homeless)
		world_fail(&l->w, "%s has %u sentinels for %u peers that sleep", h->name, slots,
			asleep);
	if (all && has_held(h))
		world_fail(&l->w, "%s holds initiations for peers that sleep", h->name);
	if (all && timer_is_set(&h->turn) && h->turn.at_us < h->check.at_us - S &&
		h->check.at_us - now(l) < 59 * S)
		world_fail(&l->w, "%s has nothing to do, and yet wants to do it in %.3f s", h->name,
			(double)(h->turn.at_us - now(l)) / 1e6);
}

static void make_quiet(struct life *l)
{
	struct world *w = &l->w;

	traffic_stop(w->traffic);
	w->net.loss = w->net.twice = w->net.late = 0;
	for (size_t i = 0; i < (size_t)w->n * w->n; i++)
		w->net.paths[i].cut_until_us = 0;
	for (unsigned i = 0; i < w->n; i++) {
		if (w->hosts[i].model->failure_rate > 0)
			bad_until(&w->hosts[i], now(l) + 60 * S);
		w->hosts[i].model->failure_rate = 0;
		w->hosts[i].model->crash_in = 0;
		host_start(&w->hosts[i]);
	}
	world_publish(w, 0); /* sentinels are tried again */
}

/* Whoever has keepalives to send asks for as long as nobody answers, and tries all endpoints. */
static bool asks_for_ever(struct life *l, const struct node *h)
{
	for (unsigned i = 0; i < l->w.n; i++) {
		const struct model_peer *peer = world_peer(&l->w, h->number, i);

		if (peer && peer->keepalive && !peer->tunnel.current)
			return true;
	}
	return false;
}

static void check_quiet(struct life *l)
{
	struct world *w = &l->w;
	g_autofree unsigned *writes = g_new(unsigned, w->n);

	make_quiet(l);
	world_run(w, (4 * 60 + QUIET_MORE_S) * S);
	traffic_settle(w->traffic);
	for (unsigned i = 0; i < w->n; i++) {
		check_host(l, &w->hosts[i]);
		writes[i] = w->hosts[i].model->writes;
	}
	world_run(w, 180 * S);
	for (unsigned i = 0; i < w->n; i++) {
		writes[i] = w->hosts[i].model->writes - writes[i];
		if (writes[i] && !asks_for_ever(l, &w->hosts[i]))
			world_fail(w, "%u writes of %s with nothing to do", writes[i],
				w->hosts[i].name);
	}
}

/* -- one life ------------------------------------------------------------------------------- */

static unsigned how_many(guint32 seed)
{
	if (seed % 500 == 250)
		return 200 + seed % 100;
	if (seed % 40 == 20)
		return 20 + seed % 31;
	return 2 + seed % 5;
}

static void make_network(struct life *l)
{
	static const int64_t longest_us[] = { 1000, 20000, 100000, 200000 };
	struct net *net = &l->w.net;

	bool v6 = !draw(l, 3);

	l->latency_us = longest_us[draw(l, G_N_ELEMENTS(longest_us))];
	for (unsigned i = 0; i < net->n; i++) {
		net->hosts[i].v6 = v6;
		net->hosts[i].nat = l->powers & NATS && !draw(l, 4);
		for (unsigned j = 0; j < i; j++) {
			int64_t latency_us = draw(l, (unsigned)l->latency_us);

			net_path(net, i, j)->latency_us = latency_us;
			net_path(net, j, i)->latency_us = latency_us + draw(l, 500);
		}
	}
}

static unsigned some_powers(struct life *l)
{
	unsigned powers = 0;

	if (draw(l, 3)) /* a third of the lives is happy */
		powers = (unsigned)g_rand_int(l->w.random) & (unsigned)g_rand_int(l->w.random);
	if (powers & (DELETIONS | EDITS | MOVES)) /* forget, or look like it */
		powers &= ~(unsigned)REPLAYS;
	return (powers | COMMANDS) & allowed;
}

static void begin(struct life *l, guint32 seed)
{
	unsigned n = how_many(seed);
	memset(l, 0, sizeof(*l));
	world_init(&l->w, seed, n);
	l->powers = some_powers(l);
	l->w.lazy_enabled = true;
	l->w.idle_minutes = draw(l, 3) ? 1 : 2;
	make_network(l);
	for (unsigned i = 0; i < n; i++) {
		l->w.specs[i].present = true;
		l->w.specs[i].grouped = l->powers & GROUPS && draw(l, 2);
		set_habits(l, i);
		set_endpoints(l, i);
	}
	world_publish(&l->w, 0);
	for (unsigned i = 0; i < n; i++)
		host_start(&l->w.hosts[i]);
	world_run(&l->w, 12 * S);
}

static void one_round(struct life *l)
{
	unsigned act = draw(l, G_N_ELEMENTS(acts));

	if (acts[act].power & ~l->powers)
		act = draw(l, 12);
	l->w.doing = acts[act].name;
	log_debug("%.6f %s", (double)now(l) / 1e6, l->w.doing);
	acts[act].act(l);
	world_run(&l->w, draw(l, draw(l, 3) ? 10 : 120) * S);
}

static unsigned live(guint32 seed)
{
	static struct life l;
	unsigned failed, rounds = how_many(seed) > MANY ? ROUNDS / 4 : ROUNDS;

	begin(&l, seed);
	for (unsigned i = 0; i < rounds && !l.w.failures; i++) {
		one_round(&l);
		if (!draw(&l, 15))
			check_quiet(&l);
	}
	if (!l.w.failures)
		check_quiet(&l);
	failed = l.w.failures;
	world_done(&l.w);
	return failed;
}

int main(int argc, char **argv)
{
	unsigned seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
	guint32 first = argc > 2 ? (guint32)atoi(argv[2]) : 1;
	unsigned bad = 0;

	if (argc > 3)
		allowed = (unsigned)strtoul(argv[3], NULL, 0);
	log_set_level(
		seeds == 1 ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR); /* one life is told in full */
	setlinebuf(stdout); /* whoever dies is known by its seed */
	printf("1..%u\n# seeds %u to %u\n", seeds, first, first + seeds - 1);
	for (unsigned i = 0; i < seeds; i++) {
		unsigned failed = live(first + i);

		bad += failed > 0;
		printf("%s %u - a life with seed %u\n", failed ? "not ok" : "ok", i + 1, first + i);
	}
	return bad > 0;
}
