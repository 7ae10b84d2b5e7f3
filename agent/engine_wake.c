/* agent/engine_wake.c - lazy peers: takes captured packets in, does what the core wants done. */
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum {
	TYPE_INITIATION = 1,
	INITIATION_BYTES = 148,
	READS_MAX = 16, /* then others have their turn */
	PROGRAM_AT_ONCE_MAX = 256, /* more are left to the stage, which gives others their turn */
	CANDIDATES_MAX = NETMAP_ENDPOINTS_MAX + 1,
	FIRST_LOOK_MS = 1000, /* at who may have answered already */
};

/* -- packets in ----------------------------------------------------------------------------- */

struct intake {
	struct engine *e;
	int64_t now_ms;
};

static void take_capture(struct engine *e, const struct packet *packet)
{
	struct capture c = { .received_ns = packet->received_ns, .len = (uint32_t)packet->len };

	if (packet->slot >= e->slots->len || !packet->len)
		return;
	c.host = g_array_index(e->slots, uint32_t, packet->slot);
	if (c.host >= e->map->n_hosts)
		return;
	if (packet->from_port != engine_listen_port(e))
		e->stray_port = packet->from_port;
	c.session = packet->data[0] != TYPE_INITIATION;
	c.offset = e->captured->len;
	g_byte_array_append(e->captured, packet->data, (guint)packet->len);
	g_array_append_val(e->captures, c);
	if (!c.session) /* an older one would be refused: the kernel knows only its newest */
		g_hash_table_insert(
			e->held, GUINT_TO_POINTER(c.host), g_bytes_new(packet->data, packet->len));
}

static void take_inner(struct engine *e, const struct endpoint *from, int64_t now_ms)
{
	struct prefix address = { .family = from->family,
		.bits = from->family == AF_INET ? 32 : 128 };
	int64_t host;

	memcpy(address.addr, from->addr, address.bits / 8);
	host = owners_find(e->owners, &address);
	if (host >= 0)
		lazy_remote(e->lazy, (uint32_t)host, now_ms);
}

/* A link-local address comes without its interface. */
static bool is_at(struct endpoint known, const struct endpoint *from)
{
	known.scope = 0;
	return endpoint_is_same(&known, from);
}

/* Who is being tried there; most are at the first of their endpoints. */
static int64_t find_waking(struct engine *e, const struct endpoint *from, bool thoroughly)
{
	struct endpoint known[CANDIDATES_MAX];

	for (size_t i = lazy_n_awake(e->lazy); i-- > 0;) {
		uint32_t host = lazy_awake(e->lazy, i);
		size_t n = 0;

		if (lazy_state(e->lazy, host) != LAZY_WAKING)
			continue;
		if (is_at(e->peers[host].endpoint, from))
			return host;
		if (thoroughly)
			n = engine_lazy_candidates(e, host, known, CANDIDATES_MAX);
		for (size_t j = 0; j < n; j++)
			if (is_at(known[j], from)) {
				e->peers[host].endpoint = known[j];
				return host;
			}
	}
	return NETMAP_NONE;
}

/* A handshake response: a hint, which the next dump confirms. It says which endpoint works. */
static void take_answer(struct engine *e, const struct endpoint *from, int64_t now_ms)
{
	int64_t host = find_waking(e, from, false);

	if (host < 0)
		host = find_waking(e, from, true);
	if (host >= 0)
		lazy_answered(e->lazy, (uint32_t)host, now_ms);
}

static void take_packet(const struct packet *packet, void *user)
{
	struct intake *in = user;

	switch (packet->kind) {
	case PACKET_SENTINEL:
		take_capture(in->e, packet);
		break;
	case PACKET_INNER:
		take_inner(in->e, &packet->from, in->now_ms);
		break;
	case PACKET_ANSWER:
		take_answer(in->e, &packet->from, in->now_ms);
		break;
	}
}

/* It goes to where the peers were, and once more to where they are found to be. */
static void keep_data(struct engine *e, int64_t now_ms)
{
	for (guint i = 0; e->finder && i < e->captures->len; i++) {
		const struct capture *c = &g_array_index(e->captures, struct capture, i);

		if (c->session &&
			(engine_is_asleep(e, c->host) || engine_is_unanswered(e, c->host)))
			engine_keep(e, c->host, e->captured->data + c->offset, c->len, now_ms);
	}
}

/* All that came in one reading is one piece of work: the kernel is told once about all of them. */
void engine_packets(struct engine *e, int64_t now_ms)
{
	struct intake in = { e, now_ms };

	for (unsigned i = 0; e->lazy && i < READS_MAX; i++) {
		size_t n = KERNEL(e, packets_read, take_packet, &in);

		if (e->stray_port)
			engine_port_strays(e, now_ms);
		for (guint j = 0; j < e->captures->len; j++) {
			const struct capture *c = &g_array_index(e->captures, struct capture, j);

			lazy_captured(e->lazy, c->host, c->session, now_ms);
		}
		engine_lazy_run(e, now_ms);
		keep_data(e, now_ms);
		g_array_set_size(e->captures, 0);
		g_byte_array_set_size(e->captured, 0);
		if (!n)
			return;
	}
}

/* -- actions out ---------------------------------------------------------------------------- */

struct work {
	GArray *program, *poke, *tell, *drop; /* uint32_t */
	GArray *forward; /* struct lazy_action */
	GHashTable *asked; /* actions that there were */
	struct engine_counting counting;
};

static void begin_work(struct work *w)
{
	GArray **const hosts[] = { &w->program, &w->poke, &w->tell, &w->drop, &w->counting.count,
		&w->counting.uncount };

	for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
		*hosts[i] = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	w->asked = g_hash_table_new(NULL, NULL);
	w->forward = g_array_new(FALSE, FALSE, sizeof(struct lazy_action));
	w->counting.watch = g_array_new(FALSE, FALSE, sizeof(struct endpoint));
	w->counting.refuse = g_array_new(FALSE, FALSE, sizeof(struct endpoint));
}

static void end_work(struct work *w)
{
	GArray *const all[] = { w->program, w->poke, w->tell, w->drop, w->forward,
		w->counting.count, w->counting.uncount, w->counting.watch, w->counting.refuse };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		g_array_unref(all[i]);
	g_hash_table_unref(w->asked);
}

static void sort_out(struct work *w, const struct lazy_action *action)
{
	GArray *const lists[] = {
		[LAZY_ACT_PROGRAM] = w->program,
		[LAZY_ACT_COUNT] = w->counting.count,
		[LAZY_ACT_UNCOUNT] = w->counting.uncount,
		[LAZY_ACT_POKE] = w->poke,
		[LAZY_ACT_TELL] = w->tell,
		[LAZY_ACT_DROP] = w->drop,
		[LAZY_ACT_FORWARD] = NULL,
	};
	gsize key = (gsize)action->host << 16 | (gsize)action->act << 8 | action->arg;

	/* A burst asks for the same thing once per packet. */
	if (!g_hash_table_add(w->asked, GSIZE_TO_POINTER(key)))
		return;
	if (action->act == LAZY_ACT_FORWARD)
		g_array_append_vals(w->forward, action, 1);
	else
		g_array_append_vals(lists[action->act], &action->host, 1);
}

/* -- programming ---------------------------------------------------------------------------- */

/* From the kernel's receiving the first captured packet to its taking the endpoint. */
static void note_latency(struct engine *e, const uint32_t *hosts, size_t n)
{
	int64_t now_ns = e->captures->len ? KERNEL(e, wall_ns) : 0;
	g_autoptr(GHashTable) programmed = g_hash_table_new(NULL, NULL);

	for (size_t i = 0; e->captures->len && i < n; i++)
		g_hash_table_add(programmed, GUINT_TO_POINTER(hosts[i]));
	for (guint i = e->captures->len; i-- > 0;) {
		const struct capture *c = &g_array_index(e->captures, struct capture, i);

		if (g_hash_table_contains(programmed, GUINT_TO_POINTER(c->host)))
			e->peers[c->host].endpoint_us = (uint32_t)CLAMP(
				(now_ns - c->received_ns) / 1000, 1, UINT32_MAX);
	}
}

static void program(struct engine *e, const GArray *hosts, int64_t now_ms)
{
	const uint32_t *first = (const uint32_t *)(void *)hosts->data;
	guint at_once = MIN(hosts->len, PROGRAM_AT_ONCE_MAX);

	if (!hosts->len)
		return;
	engine_program_now(e, first, at_once, now_ms);
	for (guint i = at_once; i < hosts->len; i++)
		engine_mark_peer(e, g_array_index(hosts, uint32_t, i), PEER_NEW_ENDPOINT);
	note_latency(e, first, at_once);
}

/* -- forwarding ----------------------------------------------------------------------------- */

/* Of two initiations that cross one has to be dropped by who gets it, or both sessions fail. Both sides
 * know the map: the one of the host without endpoints stands, because the other would not reach it;
 * else that of the lower key. Who is none of us drops nothing, so there ours has to stand. */
static bool stands_against(const struct engine *e, uint32_t host)
{
	const struct netmap_host *self = &e->map->hosts[e->map->self], *h = &e->map->hosts[host];

	if (engine_never_yields(e, host))
		return true;
	if (!self->n_endpoints != !h->n_endpoints)
		return !self->n_endpoints;
	return memcmp(&self->key, &h->key, sizeof(self->key)) < 0;
}

static void watch(struct engine *e, struct work *w)
{
	struct endpoint known[CANDIDATES_MAX];

	for (guint i = 0; i < w->forward->len; i++) {
		const struct lazy_action *action = &g_array_index(
			w->forward, struct lazy_action, i);
		guint n;

		if (action->arg || !g_hash_table_contains(e->held, GUINT_TO_POINTER(action->host)))
			continue;
		n = (guint)engine_lazy_candidates(e, action->host, known, CANDIDATES_MAX);
		g_array_append_vals(w->counting.watch, known, n);
		if (stands_against(e, action->host))
			g_array_append_vals(w->counting.refuse, known, n);
	}
}

void engine_resend(
	struct engine *e, uint32_t host, const struct endpoint *to, const void *data, size_t len)
{
	int r = KERNEL(e, resend, e->device.listen_port, engine_mark(e), to, data, len);
	char text[ENDPOINT_STRLEN];

	if (r >= 0)
		return;
	e->peers[host].dropped += e->peers[host].dropped < UINT16_MAX;
	log_debug("cannot send on to %s: %s", endpoint_format(to, text), strerror(-r));
}

/* The other side's initiation was let through before we began to drop it: it stands, and ours would
 * spoil its session. */
static bool has_lost(struct engine *e, uint32_t host, const struct endpoint *to)
{
	bool lost = stands_against(e, host) && e->nft_table[0] && e->nft_lazy.refuses &&
		KERNEL(e, nft_heard, e->nft_table, to) > 0;

	if (lost)
		log_debug("peer %s: its initiation came before ours left",
			netmap_text(e->map, e->map->hosts[host].name));
	return lost;
}

/* To all at once: the session takes it once, and the answer tells which endpoint is right. */
static void forward_data(struct engine *e, uint32_t host, const struct endpoint *known, size_t n)
{
	for (guint i = 0; i < e->captures->len; i++) {
		const struct capture *c = &g_array_index(e->captures, struct capture, i);

		for (size_t j = 0; j < n && c->host == host && c->session; j++)
			engine_resend(e, host, &known[j], e->captured->data + c->offset, c->len);
	}
}

static void forward(struct engine *e, const struct lazy_action *action, int64_t now_ms)
{
	GBytes *held = g_hash_table_lookup(e->held, GUINT_TO_POINTER(action->host));
	struct endpoint known[CANDIDATES_MAX];
	size_t n = engine_lazy_candidates(e, action->host, known, CANDIDATES_MAX);

	if (action->arg >= n)
		return;
	if (!action->arg) {
		forward_data(e, action->host, known, n);
		engine_names_wanted(e, action->host, now_ms);
	}
	if (held && !has_lost(e, action->host, &known[action->arg]))
		engine_resend(e, action->host, &known[action->arg], g_bytes_get_data(held, NULL),
			g_bytes_get_size(held));
}

/* -- telling -------------------------------------------------------------------------------- */

static enum peer_state shown_state(const struct peer *peer, const struct lazy_view *view)
{
	if (peer->state == PEER_BLOCKED)
		return PEER_BLOCKED;
	switch (view->state) {
	case LAZY_PARKED:
		return PEER_PARKED;
	case LAZY_WAKING:
		return view->unreachable ? PEER_UNREACHABLE : PEER_WAKING;
	case LAZY_ACTIVE:
		return peer->state >= PEER_UNREACHABLE ? PEER_UP : peer->state;
	case LAZY_PERMANENT:
		return peer->state >= PEER_PARKED ? PEER_IDLE : peer->state;
	}
	return PEER_IDLE;
}

static void tell(struct engine *e, uint32_t host, int64_t now_ms)
{
	const char *name = netmap_text(e->map, e->map->hosts[host].name);
	struct peer *peer = &e->peers[host];
	bool was_up = peer->state == PEER_UP;
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	peer->state = (uint8_t)shown_state(peer, &view);
	peer->flags &= (uint8_t)~PEER_HEARD;
	/* Under ours the kernel would send to it for another three minutes. */
	if (view.state == LAZY_PARKED && was_up && engine_may_end_session(e, host))
		engine_end_session(e, host, now_ms);
	engine_tell_path(e, host, was_up);
	engine_follow_keepalive(e, host);
	if (e->finder && engine_is_unanswered(e, host))
		engine_read_within(e, FIRST_LOOK_MS, now_ms);
	log_debug("peer %s: %s", name, lazy_state_name(view.state));
	engine_tell_lazy(e, name, view.unreachable ? "unreachable" : lazy_state_name(view.state),
		view.state == LAZY_WAKING || view.state == LAZY_ACTIVE ? lazy_cause_name(view.cause)
								       : NULL);
	e->memory_due = true;
}

/* -- all of it ------------------------------------------------------------------------------ */

/* An initiation beside a session from before may have gone to where nobody is, and the path is still looked for. */
static void drop(struct engine *e, const GArray *hosts)
{
	for (guint i = 0; i < hosts->len; i++) {
		uint32_t host = g_array_index(hosts, uint32_t, i);

		if (!e->finder || !engine_is_unanswered(e, host))
			g_hash_table_remove(e->held, GUINT_TO_POINTER(host));
	}
}

static void finish(struct engine *e, struct work *w, int64_t now_ms)
{
	size_t routers = 0;

	for (guint i = 0; i < w->forward->len; i++)
		forward(e, &g_array_index(w->forward, struct lazy_action, i), now_ms);
	for (guint i = 0; i < w->poke->len; i++)
		engine_mark_peer(e, g_array_index(w->poke, uint32_t, i), PEER_POKE);
	for (guint i = 0; i < w->tell->len; i++) {
		uint32_t host = g_array_index(w->tell, uint32_t, i);

		tell(e, host, now_ms);
		routers += e->map->hosts[host].n_routes > 0;
	}
	drop(e, w->drop);
	if (routers)
		engine_elect(e, now_ms);
}

void engine_lazy_run(struct engine *e, int64_t now_ms)
{
	struct engine_counting before = { .count = NULL };
	struct lazy_action action;
	struct work w;

	if (!lazy_next(e->lazy, &action))
		return;
	begin_work(&w);
	do
		sort_out(&w, &action);
	while (lazy_next(e->lazy, &action));
	/* Who is parked is not counted before: its next packet is told. */
	before.uncount = w.counting.uncount;
	engine_change_counting(e, &before, now_ms);
	program(e, w.program, now_ms);
	watch(e, &w);
	w.counting.uncount = NULL;
	engine_change_counting(e, &w.counting, now_ms);
	w.counting.uncount = before.uncount;
	finish(e, &w, now_ms);
	end_work(&w);
}
