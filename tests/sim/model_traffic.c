/* tests/sim/model_traffic.c - programs that send through the tunnels, and the book of every packet. */
#include "tests/sim/model_traffic.h"

#include <string.h>

#include "mgmt/netmap.h"
#include "tests/sim/model_finder.h"
#include "tests/sim/model_world.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	SLACK_US = 200 * 1000, /* what the hosts themselves may take, with much to send on */
	TRY_US = 250 * 1000, /* between two endpoints */
	ROTATE_US = 90 * 1000 * 1000, /* a permanent peer's first endpoint is found to be dead */
	SILENT_US = 30 * 1000 * 1000, /* who was thought to be up is found not to answer */
	UNSEEN_US = 75 * 1000 * 1000,
	AGAIN_US = 6 * 1000 * 1000, /* an initiation is repeated */
	ANSWER_US_MAX = 1000,
};

/* One packet that a program has sent. */
struct record {
	int64_t sent_us;
	uint16_t from, to;
	uint8_t last; /* enum fate */
	bool excused, arrived, settled;
	bool reply, grouped;
	bool old_session; /* there was one: the kernel may send to where its peer was, and wait 5 s */
	bool direct; /* nobody sees it ask there, before the peers are looked at */
};

struct flow {
	struct timer timer;
	struct traffic *traffic;
	struct traffic_plan plan;
	unsigned left;
};

struct answer {
	struct timer timer;
	struct traffic *traffic;
	unsigned from, to;
	struct inner packet;
	bool grouped;
};

struct traffic {
	struct world *w;
	GArray *records; /* by id, from 1 */
	guint settled; /* records before it need no look */
	GPtrArray *flows;
	struct timer sweep;
	uint64_t arrived;
};

static struct record *record_of(const struct traffic *t, uint32_t id)
{
	return &g_array_index(t->records, struct record, id - 1);
}

/* -- judging -------------------------------------------------------------------------------- */

static int64_t rtt(const struct world *w, const struct record *r)
{
	return net_path(&w->net, r->from, r->to)->latency_us +
		net_path(&w->net, r->to, r->from)->latency_us;
}

static unsigned n_endpoints(const struct world *w, unsigned a, unsigned b)
{
	const struct netmap_host *listed = world_listed(w, a, b);
	bool moved = w->net.hosts[b].version; /* the last one is tried first */

	return (listed ? listed->n_endpoints : 1) + moved;
}

static bool is_adopted(const struct world *w, unsigned a, unsigned b)
{
	return w->hosts[a].others[b].adopted || w->hosts[b].others[a].adopted;
}

/* Under an old session the kernel has asked where its peer was, beside the packet: it waits before it asks again. */
static bool asks_astray(const struct world *w, const struct record *r)
{
	const struct relation *o = &w->hosts[r->from].others[r->to];
	const int64_t asked_us[] = { o->direct_us, o->direct_before_us };

	for (size_t i = 0; i < G_N_ELEMENTS(asked_us); i++)
		if (asked_us[i] > r->sent_us - AGAIN_US && asked_us[i] < r->sent_us + S)
			return r->old_session && w->net.hosts[r->to].nat;
	return false;
}

/* How long it may take when nothing is in its way. Of two handshakes that cross, either may be the one
 * that has to find the right endpoint. */
static int64_t limit_us(const struct world *w, const struct record *r)
{
	unsigned n = MAX(n_endpoints(w, r->from, r->to), n_endpoints(w, r->to, r->from));
	bool lazy = world_may_park(w, r->from, r->to) && !w->hosts[r->from].model->sentinel_refused;

	if (w->exchange)
		return 4 * rtt(w, r) + SLACK_US + exchange_limit_us(w) +
			(lazy && !is_adopted(w, r->from, r->to) ? 0 : SILENT_US) +
			(asks_astray(w, r) ? AGAIN_US : 0) +
			(r->direct && w->net.hosts[r->to].nat ? UNSEEN_US : 0);
	return 4 * rtt(w, r) + SLACK_US + (n > 1 ? n * TRY_US : 0) +
		(n > 1 && !lazy ? ROTATE_US : 0);
}

/* From when on nothing was in its way, as far as is known now. */
static int64_t free_us(const struct world *w, const struct record *r)
{
	return MAX(r->sent_us, world_bad_until(w, r->from, r->to));
}

static void judge_delay(struct traffic *t, uint32_t id)
{
	struct record *r = record_of(t, id);
	int64_t now_us = t->w->clock.now_us, since_us = free_us(t->w, r), limit = limit_us(t->w, r);

	if (!r->settled && since_us < now_us && now_us - since_us > limit)
		world_fail(t->w,
			"packet %u from h%u to h%u took %.3f s, %.3f s of it undisturbed; "
			"%.3f s are enough",
			id, r->from, r->to, (double)(now_us - r->sent_us) / 1e6,
			(double)(now_us - since_us) / 1e6, (double)limit / 1e6);
}

/* It has not arrived so far. */
static void judge_absence(struct traffic *t, uint32_t id)
{
	struct record *r = record_of(t, id);
	struct world *w = t->w;
	int64_t now_us = w->clock.now_us, since_us = free_us(w, r);
	bool staged = r->last == FATE_STAGED && since_us > r->sent_us;
	bool captured = r->last == FATE_CAPTURED &&
		(w->hosts[r->from].bad_until_us >= r->sent_us ||
			(w->exchange && since_us > r->sent_us));

	r->settled = r->excused || staged || captured;
	if (r->settled || since_us > now_us - limit_us(w, r) - S)
		return;
	r->settled = true;
	world_fail(w, "packet %u from h%u to h%u, sent at %.3f s, has not arrived: it %s", id,
		r->from, r->to, (double)r->sent_us / 1e6, fate_name(r->last));
}

void traffic_settle(struct traffic *t)
{
	for (guint i = t->settled; i < t->records->len; i++) {
		struct record *r = record_of(t, i + 1);

		if (!r->settled && r->arrived)
			r->settled = true;
		else if (!r->settled)
			judge_absence(t, i + 1);
		if (r->settled && i == t->settled)
			t->settled++;
	}
}

static void on_sweep(void *arg)
{
	struct traffic *t = arg;

	traffic_settle(t);
	timer_set(&t->w->clock, &t->sweep, t->w->clock.now_us + 10 * S);
}

/* Whatever happens to a copy while the way is bad has that reason. */
void traffic_fate(struct traffic *t, uint32_t id, enum fate fate, bool excused)
{
	struct record *r = record_of(t, id);
	struct world *w = t->w;

	if (r->arrived)
		return;
	r->last = (uint8_t)fate;
	if (fate <= FATE_ARRIVED)
		return;
	if (fate == FATE_GIVEN_UP)
		excused |= free_us(w, r) > r->sent_us;
	if (fate == FATE_NO_ENDPOINT)
		excused |= !world_listed(w, r->from, r->to) ||
			!world_listed(w, r->from, r->to)->n_endpoints;
	if (fate == FATE_SOURCE)
		excused |= r->grouped;
	r->excused |= excused || world_is_bad(w, r->from, r->to, w->clock.now_us);
	model_trace(w->hosts[r->from].model, NULL, "packet %u to h%u %s%s", id, r->to,
		fate_name(fate), r->excused ? "" : ", without excuse");
}

/* -- sending -------------------------------------------------------------------------------- */

static struct prefix address_of(unsigned host, bool v6)
{
	host++;
	if (v6)
		return (struct prefix){ .family = AF_INET6,
			.bits = 128,
			.addr = { 0xfd, [14] = (uint8_t)(host >> 8), [15] = (uint8_t)host } };
	return (struct prefix){ .family = AF_INET,
		.bits = 32,
		.addr = { 100, 64, (uint8_t)(host >> 8), (uint8_t)host } };
}

static void send_one(struct traffic *t, unsigned from, unsigned to, struct inner *packet,
	bool reply, bool grouped)
{
	struct record r = { .sent_us = t->w->clock.now_us,
		.from = (uint16_t)from,
		.to = (uint16_t)to,
		.reply = reply,
		.grouped = grouped };
	const struct model_peer *peer = world_peer(t->w, from, to);

	r.old_session = peer && peer->tunnel.current;
	r.direct = peer && !sentinel_is_one(&peer->endpoint);
	g_array_append_val(t->records, r);
	packet->id = t->records->len;
	model_send(t->w->hosts[from].model, packet);
}

static void on_answer(void *arg)
{
	struct answer *a = arg;

	send_one(a->traffic, a->from, a->to, &a->packet, false, a->grouped);
	g_free(a);
}

void traffic_arrived(struct traffic *t, unsigned at, const struct inner *packet)
{
	struct record *r = record_of(t, packet->id);
	struct clock *clock = &t->w->clock;
	struct answer *a;

	if (at != r->to && !r->grouped)
		world_fail(t->w, "packet %u for h%u arrives at h%u", packet->id, r->to, at);
	if (r->arrived)
		world_fail(t->w, "packet %u arrives twice", packet->id);
	judge_delay(t, packet->id);
	r->arrived = true;
	t->arrived++;
	if (!r->reply)
		return;
	a = g_new(struct answer, 1);
	*a = (struct answer){ .timer = { .owned = true, .fn = on_answer, .arg = a },
		.traffic = t,
		.from = at,
		.to = r->from,
		.packet = { .from = packet->to, .to = packet->from },
		.grouped = r->grouped };
	timer_set(clock, &a->timer, clock->now_us + world_draw(t->w, ANSWER_US_MAX));
}

/* Who is sent what goes there, if anybody. */
static unsigned holder(const struct world *w, unsigned from, const struct prefix *to)
{
	struct model_link *link = world_link(&w->hosts[from]);
	const struct model_peer *peer = link ? model_route(link, to) : NULL;

	for (unsigned i = 0; peer && i < w->n; i++)
		if (key_is_same(&w->hosts[i].public_key, &peer->key))
			return i;
	return from;
}

static void on_flow(void *arg)
{
	struct flow *f = arg;
	struct traffic *t = f->traffic;
	const struct traffic_plan *plan = &f->plan;
	struct clock *clock = &t->w->clock;
	struct inner packet = { .from = address_of(plan->from, plan->v6),
		.to = address_of(plan->to, plan->v6) };
	unsigned to = plan->to;

	if (plan->grouped || plan->routed)
		packet.to = (struct prefix){ .family = AF_INET,
			.bits = 32,
			.addr = { 10, plan->grouped ? 200 : (uint8_t)(to >> 8),
				plan->grouped ? 0 : (uint8_t)to, 7 } };
	if (plan->grouped)
		to = holder(t->w, plan->from, &packet.to);
	if (to != plan->from)
		send_one(t, plan->from, to, &packet, plan->reply, plan->grouped);
	if (--f->left)
		timer_set(clock, &f->timer,
			clock->now_us + plan->interval_us +
				(plan->jitter_us ? world_draw(t->w, (unsigned)plan->jitter_us)
						 : 0));
}

void traffic_start(struct traffic *t, const struct traffic_plan *plan)
{
	struct flow *f = g_new0(struct flow, 1);

	f->timer = (struct timer){ .fn = on_flow, .arg = f };
	f->traffic = t;
	f->plan = *plan;
	f->left = plan->n;
	if (plan->routed || plan->grouped)
		f->plan.v6 = false;
	g_ptr_array_add(t->flows, f);
	timer_set(&t->w->clock, &f->timer, t->w->clock.now_us);
	model_trace(t->w->hosts[plan->from].model, NULL, "%u packets to h%u, every %.3f s%s%s",
		plan->n, plan->to, (double)plan->interval_us / 1e6, plan->reply ? ", answered" : "",
		plan->grouped ? ", to the group" : "");
}

void traffic_stop(struct traffic *t)
{
	for (guint i = 0; i < t->flows->len; i++) {
		struct flow *f = t->flows->pdata[i];

		timer_stop(&t->w->clock, &f->timer);
		g_free(f);
	}
	g_ptr_array_set_size(t->flows, 0);
}

/* -- life ----------------------------------------------------------------------------------- */

struct traffic *traffic_new(struct world *w)
{
	struct traffic *t = g_new0(struct traffic, 1);

	t->w = w;
	t->records = g_array_new(FALSE, FALSE, sizeof(struct record));
	t->flows = g_ptr_array_new();
	t->sweep = (struct timer){ .fn = on_sweep, .arg = t };
	timer_set(&w->clock, &t->sweep, w->clock.now_us + 10 * S);
	return t;
}

void traffic_free(struct traffic *t)
{
	traffic_stop(t);
	timer_stop(&t->w->clock, &t->sweep);
	g_array_unref(t->records);
	g_ptr_array_unref(t->flows);
	g_free(t);
}

uint64_t traffic_n_arrived(const struct traffic *t)
{
	return t->arrived;
}
