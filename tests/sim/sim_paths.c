/* tests/sim/sim_paths.c - many daemons that find paths to each other: engine, finder and negotiation as they are, in a
 * model of kernels, NATs, ICE and a signal server, all of which fail.
 *
 * Usage: sim_paths [--documents] [SEEDS [FIRST [POWERS]]]. Each seed is one life of a network, some virtual hours long;
 * with POWERS (a number: enum power) fewer things go wrong than the seed would have it. With --documents it is also
 * printed what the daemons say of themselves: a line of JSON for each event, and after each act for each document. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "mgmt/netmap.h"
#include "netlink/monitor.h"
#include "tests/sim/model_finder.h"
#include "tests/sim/model_traffic.h"
#include "tests/sim/model_world.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum { ROUNDS = 30, QUIET_S = 9 * 60, STILL_S = 3 * 60, STILL_OFFERS_MAX = 8 };

/* What may happen in a life; each has some of it. */
enum power {
	LOSSES = 1, /* of messages, which may also come twice or late */
	AWAY = 2, /* the signal server, or one host's connection to it */
	CRASHES = 4,
	STOPS = 8,
	APART = 16, /* pairs that cannot meet */
	CUTS = 32,
	EDITS = 64,
	MOVES = 128,
	SWITCHES = 256, /* lazy on and off */
	COMMANDS = 512,
	NATS = 1024, /* hosts that only speak first */
	LISTED = 2048, /* hosts with an endpoint in the map */
	PERMANENT = 4096, /* hosts that are not lazy */
};

static unsigned allowed = UINT_MAX;
static bool documents;

struct life {
	struct world w;
	unsigned powers;
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

static struct node *other(struct life *l, const struct node *than)
{
	return &l->w.hosts[(than->number + 1 + draw(l, l->w.n - 1)) % l->w.n];
}

static void bad_until(struct node *h, int64_t until_us)
{
	h->bad_until_us = MAX(h->bad_until_us, until_us);
}

/* -- traffic ------------------------------------------------------------------------------------- */

static struct traffic_plan plan(struct life *l)
{
	struct node *from = any(l);

	return (struct traffic_plan){
		.from = from->number, .to = other(l, from)->number, .n = 1, .reply = draw(l, 2)
	};
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

/* Both at once, within the time that a message takes. */
static void crossing(struct life *l)
{
	struct traffic_plan p = plan(l), q = p;

	q.from = p.to;
	q.to = p.from;
	p.n = 1 + draw(l, 5);
	q.n = 1 + draw(l, 5);
	p.interval_us = q.interval_us = 1000 * draw(l, 500);
	start(l, &p);
	world_run(&l->w, draw(l, draw(l, 2) ? 20000 : 1000000));
	start(l, &q);
}

/* Just often enough to be kept, or just not: the other side's word that it sleeps meets packets. */
static void edge(struct life *l)
{
	struct traffic_plan p = plan(l);
	int64_t idle_us = world_idle_s(&l->w, p.from, p.to) * S;

	p.n = 2 + draw(l, 6);
	p.interval_us = idle_us / 2 + draw(l, 100) * idle_us / 100;
	p.jitter_us = draw(l, 2) ? 0 : 5 * S;
	start(l, &p);
}

/* Everybody wants everybody. */
static void all(struct life *l)
{
	for (unsigned i = 0; i < l->w.n; i++)
		for (unsigned j = 0; j < l->w.n; j++) {
			struct traffic_plan p = { .from = i, .to = j, .n = 1, .reply = true };

			if (i != j)
				start(l, &p);
		}
}

/* -- faults -------------------------------------------------------------------------------------- */

static void lossy(struct life *l)
{
	struct exchange *x = l->w.exchange;

	x->loss = draw(l, 2) ? 0 : 0.01 * draw(l, 40);
	x->twice = draw(l, 2) ? 0 : 0.2;
	x->late_us = draw(l, 2) ? 0 : draw(l, 4000) * 1000;
}

static void away(struct life *l)
{
	if (draw(l, 3))
		exchange_drop(any(l));
	else
		exchange_away(&l->w, (1 + draw(l, 200)) * S);
}

static void start_later(struct life *l, struct node *h, unsigned within_s)
{
	timer_set(&l->w.clock, &h->start, now(l) + draw(l, within_s) * S);
	bad_until(h, h->start.at_us + 8 * S);
}

static void crash(struct life *l)
{
	struct node *h = any(l);

	if (draw(l, 2)) { /* in the middle of something */
		h->model->crash_in = 1 + draw(l, 30);
		return;
	}
	host_stop(h, true);
	start_later(l, h, 40);
}

static void both_crash(struct life *l)
{
	struct node *h = any(l), *o = other(l, h);

	host_stop(h, true);
	host_stop(o, true);
	start_later(l, h, 4);
	start_later(l, o, 4);
}

static void stop(struct life *l)
{
	struct node *h = any(l);

	if (h->bad_until_us > now(l)) /* it may not have looked at its kernel yet */
		return;
	host_stop(h, false);
	start_later(l, h, 300);
}

/* A restart that takes the interface along. */
static void reboot(struct life *l)
{
	struct node *h = any(l);

	host_stop(h, draw(l, 2));
	if (world_link(h)) {
		world_lost_link(&l->w, h);
		model_delete_link(h->model, world_link(h));
	}
	start_later(l, h, draw(l, 2) ? 3 : 60);
}

static void set_apart(struct life *l, unsigned a, unsigned b, bool apart)
{
	net_path(&l->w.net, a, b)->apart = net_path(&l->w.net, b, a)->apart = apart;
	world_disturb(&l->w, a, b, now(l) + 100 * S);
	world_disturb(&l->w, b, a, now(l) + 100 * S);
}

static void apart(struct life *l)
{
	struct node *a = any(l), *b = other(l, a);

	set_apart(l, a->number, b->number, !net_path(&l->w.net, a->number, b->number)->apart);
}

static void cut(struct life *l)
{
	struct node *a = any(l), *b = other(l, a);
	int64_t until_us = now(l) + (1 + draw(l, draw(l, 3) ? 20 : 200)) * S;

	net_path(&l->w.net, a->number, b->number)->cut_until_us = until_us;
	if (draw(l, 2))
		net_path(&l->w.net, b->number, a->number)->cut_until_us = until_us;
	world_disturb(&l->w, a->number, b->number, until_us + 100 * S);
	world_disturb(&l->w, b->number, a->number, until_us + 100 * S);
}

/* -- maps ---------------------------------------------------------------------------------------- */

static void set_habits(struct life *l, unsigned host)
{
	struct spec *spec = &l->w.specs[host];

	spec->lazy = !(l->powers & PERMANENT) || draw(l, 4);
	spec->idle_minutes = l->powers & LISTED || draw(l, 4) ? 0 : 1 + draw(l, 3);
	spec->n_endpoints = 0;
	spec->keepalive = l->powers & LISTED ? 0
					     : 25; /* with one, who has an endpoint never sleeps */
	if (!(l->powers & LISTED) || l->w.net.hosts[host].nat || draw(l, 2))
		return;
	net_address(&l->w.net, host, AF_INET, &spec->endpoints[0]);
	spec->endpoints[0].port = (uint16_t)l->w.listen_port;
	spec->n_endpoints = 1;
}

static void edit(struct life *l)
{
	struct node *h = any(l);
	struct spec *spec = &l->w.specs[h->number];

	if (draw(l, 2))
		spec->present = !spec->present;
	else
		set_habits(l, h->number);
	/* Who left and is back has no session any more, and others find that out when theirs ends. */
	bad_until(h, now(l) + 190 * S);
	world_publish(&l->w, draw(l, 2) ? 0 : 10 * S);
}

static void move(struct life *l)
{
	struct node *h = any(l);

	world_move(&l->w, h->number);
	bad_until(h,
		now(l) + 200 * S); /* it looks once a minute, and others ask in vain for a time */
	if (l->w.specs[h->number].n_endpoints)
		set_habits(l, h->number);
	world_publish(&l->w, 20 * S);
}

static void switch_lazy(struct life *l)
{
	l->w.lazy_enabled = !l->w.lazy_enabled;
	world_publish(&l->w, 5 * S);
}

static void command(struct life *l)
{
	static const enum engine_command commands[] = { ENGINE_WAKE, ENGINE_IDLE, ENGINE_IDLE };
	struct node *h = any(l);

	/* Who was active for less than a second is told of again later. */
	bad_until(h, now(l) + S);
	host_command(h, commands[draw(l, G_N_ELEMENTS(commands))], other(l, h)->number);
}

static const struct {
	const char *name;
	unsigned power; /* 0: traffic */
	void (*act)(struct life *l);
} acts[] = {
	{ "burst", 0, burst },
	{ "ping", 0, ping },
	{ "ping", 0, ping },
	{ "crossing", 0, crossing },
	{ "crossing", 0, crossing },
	{ "edge", 0, edge },
	{ "edge", 0, edge },
	{ "all", 0, all },
	{ "losses", LOSSES, lossy },
	{ "losses", LOSSES, lossy },
	{ "signal away", AWAY, away },
	{ "a crash", CRASHES, crash },
	{ "two crashes", CRASHES, both_crash },
	{ "a stop", STOPS, stop },
	{ "a reboot", CRASHES, reboot },
	{ "a reboot", CRASHES, reboot },
	{ "apart", APART, apart },
	{ "a cut", CUTS, cut },
	{ "an edit", EDITS, edit },
	{ "a move", MOVES, move },
	{ "lazy on or off", SWITCHES, switch_lazy },
	{ "a command", COMMANDS, command },
	{ "a command", COMMANDS, command },
};

/* -- what should be ------------------------------------------------------------------------------ */

static bool are_apart(struct life *l, unsigned a, unsigned b)
{
	return net_path(&l->w.net, a, b)->apart;
}

static void check_parked(struct life *l, struct node *h, struct node *o, struct model_peer *peer)
{
	const char *rest = finding_rest(h, o->number);

	if (!sentinel_is_one(&peer->endpoint) || !model_has_slot(h->model, &peer->endpoint))
		world_fail(&l->w, "%s has not parked %s", h->name, o->name);
	if (rest)
		world_fail(&l->w, "%s has parked %s and still talks to it: %s", h->name, o->name,
			rest);
	if (h->others[o->number].seen != SEEN_PARKED &&
		h->others[o->number].seen != SEEN_UNREACHABLE)
		world_fail(&l->w, "%s has parked %s and has not told it", h->name, o->name);
}

static void check_permanent(struct life *l, struct node *h, struct node *o, struct model_peer *peer)
{
	bool other_lists = world_listed(&l->w, o->number, h->number);

	if (!other_lists || are_apart(l, h->number, o->number))
		return;
	if (net_find(&l->w.net, &peer->endpoint) != (int)o->number)
		world_fail(&l->w, "%s does not have %s where it is", h->name, o->name);
	else if (!peer->tunnel.current)
		world_fail(&l->w, "%s has no session with %s, which is always up (%u)", h->name,
			o->name, peer->keepalive);
}

static void check_pair(struct life *l, struct node *h, struct node *o)
{
	struct model_peer *peer = world_peer(&l->w, h->number, o->number);

	if (!world_listed(&l->w, h->number, o->number)) {
		if (peer || finding_rest(h, o->number))
			world_fail(&l->w, "%s still has %s", h->name, o->name);
	} else if (!peer) {
		world_fail(&l->w, "%s has no peer %s", h->name, o->name);
	} else if (world_may_park(&l->w, h->number, o->number)) {
		check_parked(l, h, o, peer);
	} else {
		check_permanent(l, h, o, peer);
	}
}

/* An agent that nobody needs, or an address of one. */
static void check_agents(struct life *l, struct node *h)
{
	unsigned apart = 0;

	for (unsigned i = 0; i < l->w.n; i++)
		apart += i != h->number && !world_may_park(&l->w, h->number, i) &&
			(are_apart(l, h->number, i) || !world_listed(&l->w, i, h->number));
	if (finding_agents(h) > apart)
		world_fail(&l->w, "%s has %u agents left", h->name, finding_agents(h));
	if (h->model->nft.steered->len != finding_agents(h))
		world_fail(&l->w, "%s leads checks to %u agents, of which %u live", h->name,
			h->model->nft.steered->len, finding_agents(h));
}

static void make_quiet(struct life *l)
{
	struct world *w = &l->w;

	traffic_stop(w->traffic);
	w->exchange->loss = w->exchange->twice = 0;
	w->exchange->late_us = 0;
	for (unsigned i = 0; i < w->n; i++) {
		w->hosts[i].model->crash_in = 0;
		host_start(&w->hosts[i]);
		for (unsigned j = 0; j < w->n; j++) {
			net_path(&w->net, i, j)->cut_until_us = 0;
			if (are_apart(l, i, j) && draw(l, 2))
				set_apart(l, i, j, false);
		}
	}
	world_publish(w, 0);
}

/* Someone always up that cannot be met is asked for ever, now and then. */
static void check_still(struct life *l)
{
	struct world *w = &l->w;
	g_autofree unsigned *offers = g_new0(unsigned, (size_t)w->n * w->n);

	for (unsigned i = 0; i < w->n; i++)
		for (unsigned j = 0; j < w->n; j++)
			offers[i * w->n + j] = finding_offers(&w->hosts[i], j);
	world_run(w, STILL_S * S);
	for (unsigned i = 0; i < w->n; i++)
		for (unsigned j = 0; j < w->n; j++) {
			unsigned made = finding_offers(&w->hosts[i], j) - offers[i * w->n + j];
			bool vain = i != j && !world_may_park(w, i, j) &&
				(are_apart(l, i, j) || !world_listed(w, j, i));

			if (made > (vain ? STILL_OFFERS_MAX : 0))
				world_fail(w, "%s makes h%u %u offers with nothing to do",
					w->hosts[i].name, j, made);
		}
}

static void check_quiet(struct life *l)
{
	struct world *w = &l->w;

	make_quiet(l);
	world_run(w, QUIET_S * S);
	traffic_settle(w->traffic);
	for (unsigned i = 0; i < w->n; i++) {
		for (unsigned j = 0; j < w->n; j++)
			if (i != j)
				check_pair(l, &w->hosts[i], &w->hosts[j]);
		check_agents(l, &w->hosts[i]);
	}
	check_still(l);
}

/* -- one life ------------------------------------------------------------------------------------ */

static void make_network(struct life *l)
{
	static const int64_t longest_us[] = { 1000, 20000, 100000, 200000 };
	int64_t longest = longest_us[draw(l, G_N_ELEMENTS(longest_us))];
	struct net *net = &l->w.net;

	for (unsigned i = 0; i < net->n; i++) {
		net->hosts[i].nat = l->powers & NATS && draw(l, 3);
		for (unsigned j = 0; j < i; j++) {
			int64_t latency_us = draw(l, (unsigned)longest);

			net_path(net, i, j)->latency_us = latency_us;
			net_path(net, j, i)->latency_us = latency_us + draw(l, 500);
		}
	}
}

static void begin(struct life *l, guint32 seed)
{
	unsigned n = seed % 40 == 20 ? 8 : 2 + seed % 3;

	memset(l, 0, sizeof(*l));
	world_init(&l->w, seed, n);
	l->w.heard = documents;
	l->powers = COMMANDS | NATS * draw(l, 2);
	if (draw(l, 3)) /* a third of the lives is happy */
		l->powers |= (unsigned)g_rand_int(l->w.random) & (unsigned)g_rand_int(l->w.random);
	if (l->powers & LISTED) /* without keepalives nobody is always there behind a NAT */
		l->powers &= ~(unsigned)(PERMANENT | SWITCHES);
	l->powers &= allowed;
	l->w.lazy_enabled = true;
	/* Without keepalives a NAT forgets who is silent for longer. */
	l->w.idle_minutes = l->powers & LISTED || draw(l, 3) ? 1 : 2;
	exchange_open(&l->w);
	make_network(l);
	for (unsigned i = 0; i < n; i++) {
		l->w.specs[i].present = true;
		set_habits(l, i);
	}
	world_publish(&l->w, 0);
	for (unsigned i = 0; i < n; i++)
		host_start(&l->w.hosts[i]);
	world_run(&l->w, 12 * S);
}

static void print_document(GString *out)
{
	jwrite_close(out, '}');
	puts(out->str);
	g_string_free(out, TRUE);
}

/* Of the status only what is the engine's. */
static void print_documents(const struct node *h)
{
	GString *peers = jwrite_document("lapwing.peers/1");
	GString *status = jwrite_document("lapwing.status/1");

	engine_write_peers(h->engine, peers, NULL, host_now_ms(h));
	print_document(peers);
	engine_write_status(h->engine, status, true, host_now_ms(h));
	print_document(status);
}

static void one_round(struct life *l)
{
	unsigned act = draw(l, G_N_ELEMENTS(acts));

	if (acts[act].power & ~l->powers)
		act = draw(l, 8);
	l->w.doing = acts[act].name;
	log_debug("%.6f %s", (double)now(l) / 1e6, l->w.doing);
	acts[act].act(l);
	world_run(&l->w, draw(l, draw(l, 3) ? 10 : 150) * S);
	for (unsigned i = 0; documents && i < l->w.n; i++)
		if (l->w.hosts[i].engine)
			print_documents(&l->w.hosts[i]);
}

static unsigned live(guint32 seed)
{
	static struct life l;
	unsigned failed;

	begin(&l, seed);
	for (unsigned i = 0; i < ROUNDS && !l.w.failures; i++) {
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
	unsigned seeds, bad = 0;
	guint32 first;

	documents = argc > 1 && !strcmp(argv[1], "--documents");
	argc -= documents;
	argv += documents;
	seeds = argc > 1 ? (unsigned)atoi(argv[1]) : 300;
	first = argc > 2 ? (guint32)atoi(argv[2]) : 1;
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
