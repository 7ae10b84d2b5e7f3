/* tests/sim/model_finder.c - what the finders of all hosts live in: a clock, a signal server and addresses. */
#include "tests/sim/model_finder.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/jwrite.h"
#include "agent/finder_impl.h"
#include "mgmt/netmap.h"
#include "signal/body.h"
#include "tests/sim/model_judge.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	KICK_US = 100, /* until the loop turns */
	RECONNECT_US_MAX = 5 * 1000 * 1000,
	BUSY_US = 40,
	/* What a lost or late message costs: the longest pause between offers, and a vain try of ICE. */
	SIGNAL_LOST_S = 50 + 15 + 5,
	MINUTE_US = 60 * 1000 * 1000,
};

struct finding {
	struct finder *finder;
	struct timer work, link;
	bool connected;
	int64_t *minute_us; /* by host: since when its offers are counted */
	unsigned *offers, *offers_before; /* by host: of all, and before that minute */
};

/* -- the world that the finder sees -------------------------------------------------------------- */

static struct world *present;

/* GLib's clock and the kernel's random numbers, for what is linked into this program. */
gint64 g_get_monotonic_time(void)
{
	return present ? present->clock.now_us : 0;
}

int getentropy(void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(present ? world_draw(present, 256) : i);
	return 0;
}

/* Its source is not in a loop: when it would be called, and calling it. */
void finding_plan(struct node *h)
{
	struct finding *f = h->finding;
	struct clock *clock = &h->w->clock;
	int64_t at_us = g_source_get_ready_time(f->finder->work);

	if (at_us < 0)
		timer_stop(clock, &f->work);
	else
		timer_set(clock, &f->work, MAX(at_us, clock->now_us) + KICK_US);
}

struct finder *finding_of(const struct node *h)
{
	return h->finding ? h->finding->finder : NULL;
}

static void call_source(GSource *source)
{
	GSourceFunc fn;
	gpointer data;

	source->callback_funcs->get(source->callback_data, source, &fn, &data);
	source->source_funcs->dispatch(source, fn, data);
}

static bool begin(struct node *h, struct timer *again)
{
	if (host_begin(h))
		return true;
	if (h->engine)
		timer_set(&h->w->clock, again, h->w->clock.now_us + BUSY_US);
	return false;
}

static void end(struct node *h)
{
	host_end(h);
	if (h->finding)
		finding_plan(h);
}

static void on_work(void *arg)
{
	struct node *h = arg;

	if (!begin(h, &h->finding->work))
		return;
	call_source(h->finding->finder->work);
	end(h);
}

/* -- the signal server --------------------------------------------------------------------------- */

struct letter {
	struct timer timer;
	struct world *w;
	unsigned from, to;
	struct signal_body body;
};

static bool chance(struct world *w, double rate)
{
	return rate > 0 && g_rand_double(w->random) < rate;
}

/* That somebody sleeps may be said in vain, or late, and harms nobody for longer than a wake takes. */
static void spoil(struct world *w, unsigned a, unsigned b, const struct signal_body *body)
{
	if (body->type == SIGNAL_GO_IDLE)
		return;
	world_disturb(w, a, b, w->clock.now_us + SIGNAL_LOST_S * S);
	world_disturb(w, b, a, w->clock.now_us + SIGNAL_LOST_S * S);
}

static void on_letter(void *arg)
{
	struct letter *l = arg;
	struct node *h = &l->w->hosts[l->to];

	if (h->engine && h->finding && h->finding->connected) {
		if (!begin(h, &l->timer))
			return;
		h->told_to_sleep = l->body.type == SIGNAL_GO_IDLE;
		if (h->told_to_sleep)
			judge_word(h, l->from);
		if (engine_knows_peer(h->engine, &l->w->hosts[l->from].public_key))
			finder_hear(h->finding->finder, &l->w->hosts[l->from].public_key, &l->body);
		h->told_to_sleep = false;
		end(h);
	} else {
		spoil(l->w, l->from, l->to, &l->body);
	}
	g_free(l);
}

static void post(struct world *w, unsigned from, unsigned to, const struct signal_body *body)
{
	struct exchange *x = w->exchange;
	struct letter *l = g_new0(struct letter, 1);
	int64_t late_us = x->late_us ? world_draw(w, (unsigned)x->late_us) : 0;

	*l = (struct letter){ .timer = { .owned = true, .fn = on_letter, .arg = l },
		.w = w,
		.from = from,
		.to = to,
		.body = *body };
	if (late_us > S / 2)
		spoil(w, from, to, body);
	timer_set(&w->clock, &l->timer, w->clock.now_us + x->latency_us + late_us);
}

static void count_offer(struct node *h, unsigned to)
{
	struct finding *f = h->finding;
	int64_t now_us = h->w->clock.now_us;

	if (now_us - f->minute_us[to] >= MINUTE_US) {
		f->minute_us[to] = now_us;
		f->offers_before[to] = f->offers[to];
	}
	if (++f->offers[to] - f->offers_before[to] == OFFERS_PER_MINUTE_MAX)
		world_fail(h->w, "%s has made %u offers to h%u within a minute", h->name,
			OFFERS_PER_MINUTE_MAX, to);
}

static int send_body(const struct wg_key *remote, const struct signal_body *body, void *user)
{
	struct node *h = user;
	struct world *w = h->w;
	int to = world_number(w, remote);

	model_trace(h->model, NULL, "says %u to h%d%s", body->type, to,
		h->finding->connected ? "" : ", in vain");
	if (to < 0)
		return -EINVAL;
	if (!h->finding->connected) {
		spoil(w, h->number, (unsigned)to, body);
		return -ENOTCONN;
	}
	if (body->type == SIGNAL_OFFER)
		judge_offer(h, (unsigned)to);
	if (body->type == SIGNAL_OFFER)
		count_offer(h, (unsigned)to);
	if (chance(w, w->exchange->twice))
		post(w, h->number, (unsigned)to, body);
	if (chance(w, w->exchange->loss))
		spoil(w, h->number, (unsigned)to, body);
	else
		post(w, h->number, (unsigned)to, body);
	return 0;
}

static void changed(void *user)
{
	host_kick(user);
}

/* Its connection to the signal server goes on. */
static void moved(void *user)
{
}

static const struct finder_ops finder_ops = {
	.send = send_body,
	.changed = changed,
	.moved = moved,
};

/* Its connection comes, or is found to have gone. */
static void on_link(void *arg)
{
	struct node *h = arg;
	struct world *w = h->w;
	bool up = w->clock.now_us >= w->exchange->down_until_us;

	if (!begin(h, &h->finding->link))
		return;
	h->finding->connected = up;
	finder_set_signal(h->finding->finder, up);
	end(h);
	if (!up && h->finding)
		timer_set(&w->clock, &h->finding->link,
			w->exchange->down_until_us + world_draw(w, RECONNECT_US_MAX));
}

static void spoil_all(struct node *h, int64_t until_us)
{
	h->bad_until_us = MAX(h->bad_until_us, until_us + SIGNAL_LOST_S * S);
}

void exchange_away(struct world *w, int64_t us)
{
	w->exchange->down_until_us = w->clock.now_us + us;
	for (unsigned i = 0; i < w->n; i++) {
		struct node *h = &w->hosts[i];

		spoil_all(h, w->exchange->down_until_us + RECONNECT_US_MAX);
		if (h->engine)
			timer_set(&w->clock, &h->finding->link,
				w->clock.now_us + world_draw(w, 5 * S));
	}
}

void exchange_drop(struct node *h)
{
	if (!h->engine || !h->finding->connected || !host_begin(h))
		return;
	h->finding->connected = false;
	finder_set_signal(h->finding->finder, false);
	end(h);
	spoil_all(h, h->w->clock.now_us + RECONNECT_US_MAX);
	if (h->engine)
		timer_set(&h->w->clock, &h->finding->link,
			h->w->clock.now_us + world_draw(h->w, RECONNECT_US_MAX));
}

void exchange_open(struct world *w)
{
	w->exchange = g_new0(struct exchange, 1);
	w->exchange->latency_us = 1000 + world_draw(w, 50000);
	present = w;
	for (unsigned i = 0; i < w->n; i++)
		w->hosts[i].mono_ms =
			0; /* the finder asks GLib, which does not know whose clock it is */
}

void exchange_close(struct world *w)
{
	g_clear_pointer(&w->exchange, g_free);
	present = NULL;
}

/* An offer, an answer, and candidates behind it; a STUN server may be slow, and checks are made at intervals. */
int64_t exchange_limit_us(const struct world *w)
{
	return 6 * w->exchange->latency_us + S;
}

/* -- life ---------------------------------------------------------------------------------------- */

void finding_start(struct node *h)
{
	struct world *w = h->w;
	struct finding *f;

	if (!w->exchange)
		return;
	f = h->finding = g_new0(struct finding, 1);
	f->work = (struct timer){ .fn = on_work, .arg = h };
	f->link = (struct timer){ .fn = on_link, .arg = h };
	f->minute_us = g_new0(int64_t, w->n);
	f->offers = g_new0(unsigned, w->n);
	f->offers_before = g_new0(unsigned, w->n);
	f->finder = finder_new(h->engine, &h->public_key, "1.0", &finder_ops, h);
	timer_set(&w->clock, &f->link,
		MAX(w->clock.now_us, w->exchange->down_until_us) + world_draw(w, S));
	finding_plan(h);
}

void finding_stop(struct node *h)
{
	struct clock *clock = &h->w->clock;
	struct finding *f = h->finding;

	if (!f)
		return;
	finder_free(f->finder);
	timer_stop(clock, &f->work);
	timer_stop(clock, &f->link);
	g_free(f->minute_us);
	g_free(f->offers);
	g_free(f->offers_before);
	g_clear_pointer(&h->finding, g_free);
}

void finding_map(struct node *h)
{
	if (!h->finding)
		return;
	finder_map_changed(h->finding->finder);
	finding_plan(h);
}

void finding_check(struct node *h)
{
	if (!h->finding)
		return;
	finder_tick(h->finding->finder);
	finding_plan(h);
}

void finding_need(struct node *h, const struct wg_key *key, enum engine_need need)
{
	if (!h->finding)
		return;
	finder_need(h->finding->finder, key, need);
	finding_plan(h);
}

void finding_write(const struct node *h, GString *out, const struct wg_key *key)
{
	if (!h->finding || !finder_write_peer(h->finding->finder, out, key))
		jwrite_null(out, "negotiation");
}

/* -- questions ----------------------------------------------------------------------------------- */

const char *finding_rest(const struct node *h, unsigned other)
{
	struct nego_view view;

	if (!h->finding ||
		!nego_view(h->finding->finder->nego, &h->w->hosts[other].public_key, &view))
		return NULL;
	return nego_phase_name(view.phase);
}

unsigned finding_offers(const struct node *h, unsigned other)
{
	return h->finding->offers[other];
}

unsigned finding_agents(const struct node *h)
{
	return g_hash_table_size(h->finding->finder->agents);
}

/* -- what is asked of finder_net.c --------------------------------------------------------------- */

void finder_net_open(struct finder *f)
{
}

void finder_net_close(struct finder *f)
{
}

void finder_set_servers(struct finder *f, const char *const *uris, size_t n)
{
}

void finder_ask_servers(struct finder *f)
{
}

size_t finder_locals(const struct finder *f, struct ice_local ret[static GATHER_MAX])
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	const struct node *h = f->user;
	const struct net *net = &h->w->net;
	size_t n = net->hosts[h->number].v6 ? 2 : 1;

	for (size_t i = 0; i < n; i++) {
		struct endpoint at;

		net_address(net, h->number, families[i], &at);
		ret[i].address = (struct prefix){ .family = at.family, .bits = i ? 128 : 32 };
		memcpy(ret[i].address.addr, at.addr, sizeof(at.addr));
		ret[i].announced = ret[i].address;
	}
	return n;
}

size_t finder_overlays(const struct finder *f, struct prefix ret[static FINDER_OVERLAYS])
{
	return 0;
}

bool finder_may_send_to(const struct finder *f, const struct candidate *c)
{
	return true;
}
