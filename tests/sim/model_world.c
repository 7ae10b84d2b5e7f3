/* tests/sim/model_world.c - many hosts, each with a kernel, a daemon and its files, in one virtual time. */
#include "tests/sim/model_world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/key.h"
#include "agent/base/log.h"
#include "mgmt/meshfile.h"
#include "mgmt/meshupdate.h"
#include "mgmt/netmap.h"
#include "netlink/monitor.h"
#include "tests/sim/model_finder.h"
#include "tests/sim/model_judge.h"
#include "tests/sim/model_traffic.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	STEP_US = 40, /* between two steps of a daemon */
	CALL_US_MAX = 60, /* a system call takes up to so long */
	DEPTH_MAX = 16, /* daemons in the middle of a call at the same time */
	FAILURES_MAX = 4,
	LOOK_UP_US_MAX = 2 * 1000 * 1000,
	AGAIN_S = 6, /* the kernel begins a handshake anew */
	MEMORIZED_US = 6 * 1000 * 1000, /* the daemon writes down what it knows */
};

void world_fail(struct world *w, const char *format, ...)
{
	va_list args;

	if (w->failures++ >= FAILURES_MAX)
		return;
	printf("# FAIL seed %u at %.3f s, %s: ", w->seed, (double)w->clock.now_us / 1e6, w->doing);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

unsigned world_draw(struct world *w, unsigned n)
{
	return (unsigned)g_rand_int_range(w->random, 0, (gint32)n);
}

void world_run(struct world *w, int64_t us)
{
	clock_run(&w->clock, w->clock.now_us + us);
}

/* -- questions ------------------------------------------------------------------------------ */

int world_number(const struct world *w, const struct wg_key *key)
{
	return GPOINTER_TO_INT(g_hash_table_lookup(w->by_key, key)) - 1;
}

const struct netmap_host *world_listed(const struct world *w, unsigned a, unsigned b)
{
	const struct mesh *mesh = w->hosts[a].mesh;

	return mesh->index[b] < 0 ? NULL : &mesh->map->hosts[mesh->index[b]];
}

static bool keeps_alive(const struct netmap_host *from, const struct netmap_host *to)
{
	return from->keepalive && to->n_endpoints;
}

bool world_may_park(const struct world *w, unsigned a, unsigned b)
{
	const struct netmap_host *self = world_listed(w, a, a), *other = world_listed(w, a, b);

	return self && other && w->hosts[a].mesh->map->lazy.enabled && self->lazy && other->lazy &&
		!keeps_alive(self, other) && !keeps_alive(other, self) &&
		!w->hosts[a].others[b].pinned;
}

unsigned world_idle_s(const struct world *w, unsigned a, unsigned b)
{
	const struct netmap_host *other = world_listed(w, a, b);
	unsigned minutes = other ? other->idle_minutes : 0;

	return 60 * (minutes ? minutes : w->hosts[a].mesh->map->lazy.idle_minutes);
}

struct model_link *world_link(const struct node *h)
{
	return model_find(h->model, "wt0");
}

struct model_peer *world_peer(const struct world *w, unsigned a, unsigned b)
{
	struct model_link *link = world_link(&w->hosts[a]);

	return link ? model_find_peer(link, &w->hosts[b].public_key) : NULL;
}

bool world_lists_present_address(const struct world *w, unsigned a, unsigned b)
{
	const struct netmap_host *h = world_listed(w, a, b);
	const struct mesh *mesh = w->hosts[a].mesh;

	for (unsigned i = 0; h && i < h->n_endpoints; i++) {
		const struct netmap_endpoint *e = &mesh->map->endpoints[h->endpoint + i];

		if (!e->name && net_find(&w->net, &e->address) == (int)b)
			return true;
	}
	return false;
}

/* -- the judge's view of what is bad -------------------------------------------------------- */

void world_disturb(struct world *w, unsigned from, unsigned to, int64_t until_us)
{
	int64_t *bad_until_us = &w->hosts[from].others[to].bad_until_us;

	*bad_until_us = MAX(*bad_until_us, until_us);
}

/* Hosts negotiate while both their daemons live; whoever has moved is found that way. */
static bool cannot_meet(const struct world *w, unsigned a, unsigned b)
{
	return !w->hosts[a].engine || !w->hosts[b].engine || net_path(&w->net, a, b)->apart ||
		net_path(&w->net, b, a)->apart;
}

/* A NAT is between them, and its host has not spoken first. */
static bool is_shut(const struct world *w, unsigned from, unsigned to)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	struct endpoint address;

	for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
		net_address(&w->net, from, families[i], &address);
		address.port = (uint16_t)w->listen_port;
		if (net_is_open(&w->net, to, &address, w->clock.now_us))
			return false;
	}
	return true;
}

/* Where a peer that does not sleep has roamed to is forgotten when its session ends; and nobody tries
 * another endpoint than the present one when the daemon is away. */
static bool is_forgetful(const struct world *w, unsigned from, unsigned to)
{
	const struct model_peer *peer = w->hosts[from].engine ? NULL : world_peer(w, from, to);

	if (peer && net_find(&w->net, &peer->endpoint) != (int)to)
		return true;
	return !world_may_park(w, from, to) && !world_lists_present_address(w, from, to);
}

/* It came into the file while the daemon was away. */
static bool is_unmade(const struct world *w, unsigned a, unsigned b)
{
	return !w->hosts[a].engine && !world_peer(w, a, b);
}

static bool is_broken(const struct node *h)
{
	return h->model->failure_rate > 0 || !world_link(h);
}

int64_t world_bad_until(const struct world *w, unsigned from, unsigned to)
{
	const struct relation *r = &w->hosts[from].others[to];

	if (w->exchange ? cannot_meet(w, from, to)
			: r->unknown || is_forgetful(w, from, to) || is_shut(w, from, to))
		return INT64_MAX;
	if (r->stuck || is_unmade(w, from, to) || is_unmade(w, to, from) ||
		is_broken(&w->hosts[from]) || is_broken(&w->hosts[to]) ||
		!world_listed(w, from, to) || !world_listed(w, to, from))
		return INT64_MAX;
	return MAX(MAX(w->hosts[from].bad_until_us, w->hosts[to].bad_until_us),
		MAX(r->bad_until_us, r->astray_us));
}

bool world_is_bad(const struct world *w, unsigned from, unsigned to, int64_t at_us)
{
	return at_us <= world_bad_until(w, from, to);
}

/* Who still has a session learns only from silence that it is worth nothing. */
void world_lost_link(struct world *w, struct node *h)
{
	h->bad_until_us = MAX(h->bad_until_us, w->clock.now_us + 30 * S);
	for (unsigned i = 0; i < w->n; i++)
		world_disturb(w, i, h->number, w->clock.now_us + 185 * S);
}

static void both_ways(struct world *w, unsigned a, unsigned b, int64_t until_us)
{
	world_disturb(w, a, b, until_us);
	world_disturb(w, b, a, until_us);
}

/* It is known again where `b` is. */
static void found(struct world *w, unsigned a, unsigned b, int64_t after_us)
{
	struct relation *r = &w->hosts[a].others[b];

	if (!r->unknown)
		return;
	r->unknown = false;
	world_disturb(w, a, b, w->clock.now_us + after_us);
}

/* -- the network's and the kernels' news ---------------------------------------------------- */

/* A handshake that was lost is begun anew after 5 s, and then the other side may have to wait, too. When
 * what confirms it was lost, whoever sends in vain begins anew after 15 s. */
static void on_lost(unsigned from, int to, const void *data, size_t len, enum fate why, void *user)
{
	struct world *w = user;
	uint32_t id = wg_inner_id(data, len);
	bool network = why == FATE_LOST || why == FATE_CUT;

	if (*(const uint8_t *)data == NET_CHECK)
		return;
	if (to >= 0 && network)
		both_ways(w, from, (unsigned)to, w->clock.now_us + 17 * S);
	if (to >= 0 && why == FATE_REFUSED)
		w->hosts[from].others[to].refused_us = w->clock.now_us;
	if (id)
		traffic_fate(w->traffic, id, why, network || why == FATE_REFUSED);
}

/* It goes to the finder, if there is one. */
static void on_check_of_ice(
	unsigned at, const struct endpoint *from, const void *data, size_t len, void *user)
{
	struct world *w = user;

	ice_model_check(&w->hosts[at], from, data);
}

static int on_transmit(
	uint16_t port, const struct endpoint *to, const void *data, size_t len, void *user)
{
	struct node *h = user;
	int other = net_find(&h->w->net, to);

	/* Whoever wanted to speak to it may have tried just now. */
	if (other >= 0 && is_shut(h->w, (unsigned)other, h->number))
		world_disturb(h->w, (unsigned)other, h->number, h->w->clock.now_us + 6 * S);
	return net_send(&h->w->net, h->number, port, to, data, len);
}

static void on_arrived(const struct inner *packet, void *user)
{
	struct node *h = user;

	traffic_arrived(h->w->traffic, h->number, packet);
}

static void on_fate(uint32_t id, enum fate fate, bool excused, void *user)
{
	struct node *h = user;

	traffic_fate(h->w->traffic, id, fate, excused);
}

static void on_heard(const struct wg_key *key, const struct endpoint *from, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	int at = net_find(&h->w->net, from);

	if (other >= 0) {
		if (h->others[other].heard_us <= h->others[other].seen_us)
			h->others[other].first_us = h->w->clock.now_us;
		h->others[other].heard_us = h->w->clock.now_us;
	}
	if (other >= 0 && at >= 0 && at != other)
		world_fail(h->w, "%s takes h%d for h%d", h->name, at, other);
	if (other >= 0 && at == other)
		found(h->w, h->number, (unsigned)other, S);
}

static void on_asked(const struct wg_key *key, bool sentinel, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	if (other >= 0 && sentinel) {
		h->others[other].asked_us = h->w->clock.now_us;
	} else if (other >= 0) {
		h->others[other].direct_before_us = h->others[other].direct_us;
		h->others[other].direct_us = h->w->clock.now_us;
	}
}

static void on_inner(const struct wg_key *key, bool in, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	if (other < 0)
		return;
	h->others[other].inner_us = h->w->clock.now_us;
	if (in)
		judge_remote(h, (unsigned)other);
}

static void on_moves(const struct model_peer *peer, const struct endpoint *to, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, &peer->key);

	if (other < 0)
		return;
	judge_move(h, (unsigned)other, peer, to);
	h->others[other].astray_us = MIN(
		h->others[other].astray_us, h->w->clock.now_us + AGAIN_S * S);
}

static void on_resent(const struct endpoint *to, const void *data, size_t len, void *user)
{
	judge_resent(user, to, data, len);
}

static void on_refused(void *user)
{
	judge_refused(user);
}

/* Two handshakes at once, without any lazy peer: that is WireGuard's own weakness, and may last until
 * somebody sends something again. */
static void on_glare(const struct wg_key *key, bool captured, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	h->w->crossings++;
	if (other >= 0 && !captured)
		h->others[other].stuck = h->w->hosts[other].others[h->number].stuck = true;
}

static void on_session(const struct wg_key *key, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	if (other < 0 || !h->others[other].stuck)
		return;
	h->others[other].stuck = h->w->hosts[other].others[h->number].stuck = false;
	both_ways(h->w, h->number, (unsigned)other, h->w->clock.now_us + S);
}

static void on_peer_made(const struct wg_key *key, void *user)
{
	struct node *h = user;

	for (guint i = 0; i < h->recorded->len; i++)
		if (key_is_same(&g_array_index(h->recorded, struct wg_key, i), key))
			return;
	world_fail(h->w, "%s makes a peer before it is recorded", h->name);
}

static void on_vanished(void *user)
{
	struct node *h = user;

	world_lost_link(h->w, h);
	host_event(h, MONITOR_LINK);
}

static void on_readable(void *user)
{
	host_kick(user);
}

/* While a call is made, others go on. */
static void on_passed(void *user)
{
	struct node *h = user;
	struct world *w = h->w;

	if (!h->busy || w->depth >= DEPTH_MAX)
		return;
	w->depth++;
	world_run(w, world_draw(w, CALL_US_MAX));
	w->depth--;
}

static const char *name_peer(const struct wg_key *key, void *user)
{
	struct node *h = user;
	int other = world_number(h->w, key);

	return other < 0 ? "?" : h->w->hosts[other].name;
}

static const struct model_hooks hooks = {
	.name_peer = name_peer,
	.peer_made = on_peer_made,
	.vanished = on_vanished,
	.passed = on_passed,
	.readable = on_readable,
	.transmit = on_transmit,
	.arrived = on_arrived,
	.fate = on_fate,
	.heard = on_heard,
	.asked = on_asked,
	.inner = on_inner,
	.moves = on_moves,
	.resent = on_resent,
	.refused = on_refused,
	.glare = on_glare,
	.session = on_session,
};

/* -- what the engine asks for --------------------------------------------------------------- */

struct answer {
	struct timer timer;
	struct node *host;
	unsigned generation;
	uint32_t id;
	unsigned about;
};

/* Names are always right, and sometimes silent. */
static void on_answer(void *arg)
{
	struct answer *a = arg;
	struct node *h = a->host;
	struct world *w = h->w;
	struct endpoint address;

	if (h->busy) {
		timer_set(&w->clock, &a->timer, w->clock.now_us + STEP_US);
		return;
	}
	net_address(&w->net, a->about, AF_INET, &address);
	if (h->engine && h->generation == a->generation) {
		bool good = world_draw(w, 8);

		h->busy = true;
		engine_looked_up(h->engine, a->id, &address, good, "no answer", host_now_ms(h));
		h->busy = false;
		if (good)
			found(w, h->number, a->about, S);
		host_kick(h);
	}
	g_free(a);
}

static void look_up(uint32_t id, const char *name, void *user)
{
	struct node *h = user;
	struct answer *a = g_new0(struct answer, 1);

	*a = (struct answer){ .timer = { .owned = true, .fn = on_answer, .arg = a },
		.host = h,
		.generation = h->generation,
		.id = id,
		.about = (unsigned)atoi(name + 1) };
	timer_set(&h->w->clock, &a->timer, h->w->clock.now_us + world_draw(h->w, LOOK_UP_US_MAX));
}

static int record_peers(const struct wg_key *keys, size_t n, void *user)
{
	struct node *h = user;

	if (h->model->crashed)
		return -EIO;
	g_array_set_size(h->recorded, 0);
	g_array_append_vals(h->recorded, keys, (guint)n);
	return 0;
}

static int record_interface(const char *name, uint32_t table, void *user)
{
	struct node *h = user;

	if (h->model->crashed)
		return -EIO;
	h->recorded_table = table;
	g_strlcpy(h->recorded_interface, name, IFNAMSIZ);
	return 0;
}

static int record_memory(const struct engine_memory *memory, size_t n, void *user)
{
	struct node *h = user;

	if (h->model->crashed)
		return -EIO;
	g_array_set_size(h->memory, 0);
	if (n)
		g_array_append_vals(h->memory, memory, (guint)n);
	return 0;
}

static int record_psks(const struct engine_psk_memory *psks, size_t n, void *user)
{
	return 0;
}

static int read_psk(const char *path, struct wg_key *ret, void *user)
{
	return -ENOENT;
}

static void path(const struct wg_key *key, enum engine_need need, void *user)
{
	finding_need(user, key, need);
}

static void write_path(const struct wg_key *key, GString *out, void *user)
{
	finding_write(user, out, key);
}

static void event(const char *json, void *user)
{
	struct node *h = user;

	if (h->w->heard)
		puts(json);
	judge_told(json, user);
}

static uint32_t random32(void *user)
{
	return g_rand_int(((struct node *)user)->w->random);
}

static int64_t wall_s(void *user)
{
	return model_wall_ns(((struct node *)user)->model) / 1000000000;
}

static int record_mtu(uint32_t mtu, void *user)
{
	return 0;
}

static const struct engine_ops engine_ops = {
	.look_up = look_up,
	.event = event,
	.record_peers = record_peers,
	.record_interface = record_interface,
	.record_memory = record_memory,
	.record_mtu = record_mtu,
	.record_psks = record_psks,
	.read_psk = read_psk,
	.path = path,
	.write_path = write_path,
	.random = random32,
	.wall_s = wall_s,
};

/* -- a daemon's turns ----------------------------------------------------------------------- */

int64_t host_now_ms(const struct node *h)
{
	return h->w->clock.now_us / 1000 + h->mono_ms;
}

/* The scheduler lets it wait, rarely for long. */
static int64_t lag(struct node *h)
{
	return world_draw(h->w, 200) ? 20 + world_draw(h->w, 300) : world_draw(h->w, 20000);
}

void host_kick(struct node *h)
{
	int64_t at_us = h->w->clock.now_us + lag(h);

	h->again = true;
	if (h->engine && !h->busy && (!timer_is_set(&h->turn) || h->turn.at_us > at_us))
		timer_set(&h->w->clock, &h->turn, at_us);
}

void host_event(struct node *h, unsigned events)
{
	/* Sometimes events are lost, and that is told. */
	h->events |= world_draw(h->w, 8) ? events : MONITOR_LOST;
	host_kick(h);
}

static int64_t one_turn(struct node *h)
{
	unsigned events = h->events;

	h->events = 0;
	if (events)
		engine_kernel_event(h->engine, events, 0, host_now_ms(h));
	if (h->model->packets->length)
		engine_packets(h->engine, host_now_ms(h));
	return engine_step(h->engine, host_now_ms(h));
}

/* Killed in the middle of something. */
static void survive(struct node *h)
{
	if (!h->model->crashed)
		return;
	host_stop(h, true);
	timer_set(&h->w->clock, &h->start, h->w->clock.now_us + world_draw(h->w, 5) * S);
	h->bad_until_us = MAX(h->bad_until_us, h->start.at_us + 8 * S);
}

bool host_begin(struct node *h)
{
	if (!h->engine || h->busy)
		return false;
	return h->busy = true;
}

void host_end(struct node *h)
{
	h->busy = false;
	survive(h);
	host_kick(h);
}

static void on_turn(void *arg)
{
	struct node *h = arg;
	struct clock *clock = &h->w->clock;
	int64_t next;

	if (!h->engine || h->busy)
		return;
	h->busy = true;
	h->again = false;
	g_hash_table_remove_all(h->resent);
	next = one_turn(h);
	judge_turn(h);
	h->busy = false;
	if (h->model->crashed)
		survive(h);
	else if (h->again || next == 0)
		timer_set(clock, &h->turn, clock->now_us + STEP_US);
	else if (next != ENGINE_NEVER)
		timer_set(clock, &h->turn,
			MAX((next - h->mono_ms) * 1000, clock->now_us + STEP_US) + lag(h));
}

static void on_check(void *arg)
{
	struct node *h = arg;
	struct clock *clock = &h->w->clock;

	if (h->busy) {
		timer_set(clock, &h->check, clock->now_us + STEP_US);
		return;
	}
	timer_set(clock, &h->check, clock->now_us + ENGINE_CHECK_S * S);
	h->busy = true;
	engine_check(h->engine, host_now_ms(h));
	finding_check(h);
	h->busy = false;
	survive(h);
	host_kick(h);
}

/* -- the mesh file -------------------------------------------------------------------------- */

static void mesh_unref(struct mesh *mesh)
{
	if (!mesh || --mesh->refs)
		return;
	g_bytes_unref(mesh->text);
	netmap_free(mesh->map);
	g_free(mesh->index);
	g_free(mesh);
}

static struct mesh *mesh_ref(struct mesh *mesh)
{
	mesh->refs++;
	return mesh;
}

static void write_endpoints(const struct world *w, unsigned i, GString *out)
{
	const struct spec *spec = &w->specs[i];
	char text[ENDPOINT_STRLEN];

	g_string_append(out, ",\"endpoints\":[");
	for (unsigned j = 0; j < spec->n_endpoints; j++)
		g_string_append_printf(
			out, "%s\"%s\"", j ? "," : "", endpoint_format(&spec->endpoints[j], text));
	if (spec->by_name)
		g_string_append_printf(out, "%s\"h%u.example:%u\"", spec->n_endpoints ? "," : "", i,
			w->listen_port);
	g_string_append_c(out, ']');
}

static void write_host(const struct world *w, unsigned i, GString *out)
{
	const struct spec *spec = &w->specs[i];
	char key[KEY_STRLEN];

	g_string_append_printf(out,
		"{\"name\":\"h%u\",\"public_key\":\"%s\","
		"\"addresses\":[\"100.64.%u.%u\",\"fd00::%x\"]",
		i, key_format(&w->hosts[i].public_key, key), (i + 1) >> 8, (i + 1) & 255, i + 1);
	if (spec->n_endpoints || spec->by_name)
		write_endpoints(w, i, out);
	g_string_append_printf(out, ",\"lazy\":%s,\"keepalive\":%u", spec->lazy ? "true" : "false",
		spec->keepalive);
	if (spec->idle_minutes)
		g_string_append_printf(out, ",\"idle_minutes\":%u", spec->idle_minutes);
	g_string_append_printf(out, ",\"routes\":[\"10.%u.%u.0/24\"%s]}", i >> 8, i & 255,
		spec->grouped ? ",\"10.200.0.0/16\"" : "");
}

static struct mesh *write_mesh(const struct world *w)
{
	struct mesh *mesh = g_new0(struct mesh, 1);
	GString *out = g_string_new(NULL);
	char error[MESHFILE_ERROR_MAX];
	unsigned n = 0;

	g_string_printf(out,
		"{\"mesh\":\"sim\",\"interface\":{\"name\":\"wt0\",\"listen_port\":%u},"
		"\"lazy\":{\"enabled\":%s,\"idle_minutes\":%u},\"hosts\":[",
		w->listen_port, w->lazy_enabled ? "true" : "false", w->idle_minutes);
	mesh->index = g_new(int64_t, w->n);
	for (unsigned i = 0; i < w->n; i++) {
		mesh->index[i] = NETMAP_NONE;
		if (!w->specs[i].present)
			continue;
		if (n)
			g_string_append_c(out, ',');
		write_host(w, i, out);
		mesh->index[i] = n++;
	}
	g_string_append(out, "]}");
	mesh->text = g_string_free_to_bytes(out);
	if (meshfile_parse(g_bytes_get_data(mesh->text, NULL), g_bytes_get_size(mesh->text), NULL,
		    1000, &mesh->map, error) < 0)
		g_error("mesh file: %s", error);
	return mesh_ref(mesh);
}

static struct netmap *parse(const struct node *h)
{
	char error[MESHFILE_ERROR_MAX];
	struct netmap *map = NULL;

	/* A host that is not in the file keeps the file of before. */
	if (meshfile_parse(g_bytes_get_data(h->mesh->text, NULL), g_bytes_get_size(h->mesh->text),
		    &h->public_key, 1000, &map, error) < 0)
		return NULL;
	return map;
}

static bool same_endpoints(const struct mesh *a, const struct mesh *b, unsigned host)
{
	const struct netmap_host *x, *y;

	if (a->index[host] < 0 || b->index[host] < 0)
		return a->index[host] == b->index[host];
	x = &a->map->hosts[a->index[host]];
	y = &b->map->hosts[b->index[host]];
	if (x->n_endpoints != y->n_endpoints)
		return false;
	for (unsigned i = 0; i < x->n_endpoints; i++)
		if (!endpoint_is_same(&a->map->endpoints[x->endpoint + i].address,
			    &b->map->endpoints[y->endpoint + i].address))
			return false;
	return true;
}

static bool is_first(const struct world *w, unsigned a, unsigned b)
{
	const struct netmap_host *h = world_listed(w, a, b);

	return h && h->n_endpoints &&
		net_find(&w->net, &w->hosts[a].mesh->map->endpoints[h->endpoint].address) == (int)b;
}

/* What the new file says of endpoints counts, and what was known counts no more: with a wrong first one
 * it takes a check, or a word from over there, to find that out. */
static void judge_endpoints(struct node *h, unsigned other, const struct mesh *old)
{
	struct world *w = h->w;
	struct relation *r = &h->others[other];

	if (same_endpoints(old, h->mesh, other))
		return;
	if (old->index[other] < 0)
		r->seen = SEEN_PARKED; /* as all who are new, and that is not told */
	r->unknown = true;
	if (is_first(w, h->number, other))
		found(w, h->number, other, 0);
	both_ways(w, h->number, other, w->clock.now_us + 75 * S);
}

static bool is_astray(const struct world *w, unsigned a, unsigned b)
{
	const struct model_peer *peer = world_peer(w, a, b);

	return peer && peer->endpoint.family && !sentinel_is_one(&peer->endpoint) &&
		net_find(&w->net, &peer->endpoint) != (int)b;
}

/* It does not sleep: where it is was forgotten with its session, and is not known because it may sleep from now on. */
static bool is_lost(const struct world *w, unsigned a, unsigned b)
{
	return !world_may_park(w, a, b) && is_astray(w, a, b) &&
		!world_lists_present_address(w, a, b);
}

struct before {
	bool bad, may_park, lost;
};

/* What was bad is not mended by a new file, and a new habit may begin with a wrong endpoint. */
static void judge_mesh(struct node *h, const struct mesh *old, const struct before *before)
{
	struct world *w = h->w;

	for (unsigned i = 0; i < w->n; i++) {
		bool habit = before[i].may_park != world_may_park(w, h->number, i);

		if (i == h->number)
			continue;
		both_ways(w, h->number, i, w->clock.now_us + (before[i].bad || habit ? 75 : 2) * S);
		judge_endpoints(h, i, old);
		h->others[i].unknown |= habit && before[i].lost;
	}
}

static void take_mesh(struct node *h)
{
	struct netmap_patch patches[MESHUPDATE_PATCHES_MAX];
	const struct netmap *map = engine_map(h->engine);
	struct netmap *fresh;
	size_t n;

	h->model->sentinel_refused = false;
	if (map &&
		meshupdate_read(g_bytes_get_data(h->mesh->text, NULL),
			g_bytes_get_size(h->mesh->text), map, patches, &n) == 0)
		engine_patch_map(h->engine, patches, n, host_now_ms(h));
	else if ((fresh = parse(h)))
		engine_set_map(h->engine, fresh, host_now_ms(h));
	finding_map(h);
}

static void switch_mesh(struct node *h)
{
	struct world *w = h->w;
	struct mesh *old = h->mesh;
	g_autofree struct before *before = g_new(struct before, w->n);

	for (unsigned i = 0; i < w->n; i++)
		before[i] = (struct before){ world_is_bad(w, h->number, i, w->clock.now_us),
			world_may_park(w, h->number, i), is_lost(w, h->number, i) };
	h->mesh = mesh_ref(h->coming);
	judge_mesh(h, old, before);
	mesh_unref(old);
}

static void on_take(void *arg)
{
	struct node *h = arg;
	struct world *w = h->w;

	if (h->busy) {
		timer_set(&w->clock, &h->take, w->clock.now_us + STEP_US);
		return;
	}
	if (h->coming->index[h->number] < 0)
		return; /* it left */
	switch_mesh(h);
	if (!h->engine)
		return;
	h->busy = true;
	take_mesh(h);
	h->busy = false;
	survive(h);
	host_kick(h);
}

void world_publish(struct world *w, int64_t within_us)
{
	mesh_unref(w->mesh);
	w->mesh = write_mesh(w);
	for (unsigned i = 0; i < w->n; i++) {
		struct node *h = &w->hosts[i];

		if (!h->mesh)
			h->mesh = mesh_ref(w->mesh);
		mesh_unref(h->coming);
		h->coming = mesh_ref(w->mesh);
		timer_set(&w->clock, &h->take,
			w->clock.now_us + (int64_t)(g_rand_double(w->random) * (double)within_us));
	}
}

static bool shakes_hands(const struct world *w, unsigned a, unsigned b)
{
	const struct model_peer *peer = world_peer(w, a, b);

	return peer && timer_is_set(&peer->tunnel.retransmit);
}

/* What is under way to or from the old address is lost, or leads back there: a handshake is begun anew after 5 s. */
void world_move(struct world *w, unsigned host)
{
	w->net.hosts[host].version++;
	for (unsigned i = 0; i < w->n; i++) {
		bool again = shakes_hands(w, i, host) || shakes_hands(w, host, i);

		if (i == host)
			continue;
		w->hosts[i].others[host].unknown = true;
		both_ways(w, i, host, w->clock.now_us + (again ? AGAIN_S : 2) * S);
	}
}

/* -- the life of a daemon ------------------------------------------------------------------- */

/* A session that still lives says that it is where the kernel has it; what says otherwise is silence. */
static void judge_start(struct node *h, unsigned other)
{
	const struct model_peer *peer = world_peer(h->w, h->number, other);

	if (is_astray(h->w, h->number, other) && peer->tunnel.handshake_ns)
		h->others[other].astray_us = h->w->clock.now_us + (180 + 75) * S -
			(model_wall_ns(h->model) - peer->tunnel.handshake_ns) / 1000;
}

void host_start(struct node *h)
{
	struct engine_identity identity = { .instance = "sim",
		.recorded_interface = h->recorded_interface,
		.recorded_table = h->recorded_table,
		.recorded_peers = (const struct wg_key *)(void *)h->recorded->data,
		.n_recorded = h->recorded->len,
		.memory = (const struct engine_memory *)(void *)h->memory->data,
		.n_memory = h->memory->len };
	struct world *w = h->w;

	if (h->engine)
		return;
	timer_stop(&w->clock, &h->start);
	if (!world_link(h))
		world_lost_link(w, h);
	for (unsigned i = 0; i < w->n; i++)
		h->others[i].seen = world_may_park(w, h->number, i) ? SEEN_PARKED : SEEN_PERMANENT;
	for (unsigned i = 0; i < w->n; i++)
		judge_start(h, i);
	h->engine = engine_new(&h->model->kernel, &engine_ops, h, &identity);
	h->busy = true;
	engine_set_private_key(h->engine, &h->private_key);
	engine_set_config(h->engine, &h->config);
	take_mesh(h);
	finding_start(h);
	h->busy = false;
	timer_set(&w->clock, &h->check, w->clock.now_us + ENGINE_CHECK_S * S);
	host_event(h, MONITOR_LOST);
}

static const struct engine_memory *remembered(const struct node *h, unsigned other)
{
	for (guint i = 0; i < h->memory->len; i++) {
		const struct engine_memory *m = &g_array_index(h->memory, struct engine_memory, i);

		if (key_is_same(&m->key, &h->w->hosts[other].public_key))
			return m;
	}
	return NULL;
}

/* What it knew and had not written down is unknown again. */
static void forget(struct node *h)
{
	struct world *w = h->w;

	for (unsigned i = 0; i < w->n; i++) {
		struct model_peer *peer = world_peer(w, h->number, i);
		bool known = world_lists_present_address(w, h->number, i) ||
			(peer && net_find(&w->net, &peer->endpoint) == (int)i);

		const struct engine_memory *m = remembered(h, i);

		known = known || (m && net_find(&w->net, &m->endpoint) == (int)i);
		h->others[i].unknown |= !known;
		if (w->clock.now_us - h->others[i].pinned_us < MEMORIZED_US)
			h->others[i].pinned = m && m->pinned;
	}
}

void host_stop(struct node *h, bool crash)
{
	struct clock *clock = &h->w->clock;

	if (!h->engine)
		return;
	h->busy = true;
	if (!crash) {
		engine_leave(h->engine, host_now_ms(h));
		judge_leave(h);
	}
	h->model->crashed |= crash;
	finding_stop(h);
	engine_free(h->engine);
	h->busy = false;
	h->engine = NULL;
	h->generation++;
	h->events = 0;
	timer_stop(clock, &h->turn);
	timer_stop(clock, &h->check);
	model_close(h->model);
	if (crash)
		forget(h);
}

static void on_start(void *arg)
{
	struct node *h = arg;

	host_start(h);
	/* What asked in vain asks again after 5 s. */
	for (unsigned i = 0; i < h->w->n; i++)
		both_ways(h->w, h->number, i, h->w->clock.now_us + 8 * S);
}

int host_command(struct node *h, enum engine_command command, unsigned other)
{
	struct wg_key key;
	const char *why;
	bool lost = is_lost(h->w, h->number, other);
	int r;

	if (!h->engine)
		return -ENOTCONN;
	h->busy = true;
	h->told_to_sleep = command == ENGINE_IDLE;
	r = engine_command(h->engine, command, h->w->hosts[other].name, host_now_ms(h), &key, &why);
	h->told_to_sleep = false;
	h->busy = false;
	if (r > 0 && (command == ENGINE_PIN || command == ENGINE_UNPIN)) {
		h->others[other].pinned = command == ENGINE_PIN;
		h->others[other].pinned_us = h->w->clock.now_us;
		h->others[other].unknown |= lost;
	}
	model_trace(h->model, NULL, "command %u for h%u: %d %s", command, other, r, why);
	survive(h);
	host_kick(h);
	return r;
}

/* -- all of it ------------------------------------------------------------------------------ */

static void init_host(struct world *w, unsigned i)
{
	struct node *h = &w->hosts[i];
	char error[CONFIG_ERROR_MAX];

	h->w = w;
	h->number = i;
	snprintf(h->name, sizeof(h->name), "h%u", i);
	memset(&h->private_key, (int)(i & 255) + 1, sizeof(h->private_key));
	h->private_key.b[1] = (uint8_t)(i >> 8);
	h->private_key.b[2] = (uint8_t)w->seed; /* or the same would win each time */
	key_public_from_private(&h->private_key, &h->public_key);
	g_hash_table_insert(w->by_key, &h->public_key, GINT_TO_POINTER((int)i + 1));
	config_parse("{}", 2, &h->config, error);
	h->model = model_new(w->seed * 1000 + i, &w->clock, &hooks, h);
	h->model->name = h->name;
	h->model->next_session = &w->next_session;
	h->model->wall_us += (int64_t)world_draw(w, 20) * S;
	h->mono_ms = world_draw(w, 1000000);
	h->others = g_new0(struct relation, w->n);
	h->resent = g_hash_table_new_full(
		g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
	h->turn = (struct timer){ .fn = on_turn, .arg = h };
	h->check = (struct timer){ .fn = on_check, .arg = h };
	h->take = (struct timer){ .fn = on_take, .arg = h };
	h->start = (struct timer){ .fn = on_start, .arg = h };
	h->recorded = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	h->memory = g_array_new(FALSE, FALSE, sizeof(struct engine_memory));
	w->net.hosts[i].model = h->model;
}

void world_init(struct world *w, guint32 seed, unsigned n)
{
	*w = (struct world){ .seed = seed, .n = n, .doing = "at the start" };
	w->random = g_rand_new_with_seed(seed);
	clock_init(&w->clock);
	w->clock.now_us = 1000 * S;
	net_init(&w->net, &w->clock, w->random, n);
	w->net.lost = on_lost;
	w->net.check = on_check_of_ice;
	w->net.user = w;
	w->by_key = g_hash_table_new(key_hash, key_equal);
	w->listen_port = NAMES_PORT;
	w->hosts = g_new0(struct node, n);
	w->specs = g_new0(struct spec, n);
	for (unsigned i = 0; i < n; i++)
		init_host(w, i);
	w->traffic = traffic_new(w);
}

void world_done(struct world *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct node *h = &w->hosts[i];

		finding_stop(h);
		engine_free(h->engine);
		model_free(h->model);
		config_done(&h->config);
		mesh_unref(h->mesh);
		mesh_unref(h->coming);
		g_free(h->others);
		g_hash_table_unref(h->resent);
		g_array_unref(h->recorded);
		g_array_unref(h->memory);
	}
	traffic_free(w->traffic);
	exchange_close(w);
	mesh_unref(w->mesh);
	net_done(&w->net);
	clock_done(&w->clock);
	g_hash_table_unref(w->by_key);
	g_free(w->hosts);
	g_free(w->specs);
	g_rand_free(w->random);
}
