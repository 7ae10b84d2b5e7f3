/* tests/sim/model_wg.c - WireGuard's protocol: what Linux does, function by function (noise.c, send.c,
 * receive.c, timers.c of drivers/net/wireguard), without the cryptography. */
#include "tests/sim/model_wg.h"

#include <string.h>

#include "tests/sim/model_kernel.h"

#define S (INT64_C(1000000)) /* in microseconds */

enum {
	REKEY_AFTER_S = 120,
	REJECT_AFTER_S = 180,
	REKEY_TIMEOUT_S = 5,
	KEEPALIVE_TIMEOUT_S = 10,
	JITTER_US = 333 * 1000,
	ATTEMPTS_MAX = 90 / REKEY_TIMEOUT_S,
	PER_SECOND = 50, /* initiations that are taken from one peer */
	WORK_MIN_US = 200, /* a handshake message waits and is computed */
	WORK_MAX_US = 2000,
	WINDOW = 8192 - 64,
	UNAWARE_US = 50 * 1000, /* a new key is told by the first packet that comes with it */
};

struct keypair {
	bool initiator, can_send;
	uint32_t local, remote;
	int64_t born_us;
	uint32_t sent; /* the counter of the next */
	uint32_t newest; /* of those received, plus one */
	GHashTable *seen;
};

const char *fate_name(enum fate fate)
{
	static const char *const names[] = { "was wanted", "is staged", "is flying", "was captured",
		"arrived", "was lost", "met an interruption", "went to where nobody is",
		"was refused by a NAT", "came twice", "met no socket", "met no session",
		"went to a deaf sentinel", "was too many", "was given up", "was flushed",
		"came from a wrong source", "had no route", "had no endpoint",
		"met a failing call" };

	return names[fate];
}

static struct model *model_of(const struct tunnel *t)
{
	return t->link->model;
}

static int64_t now(const struct tunnel *t)
{
	return t->link->model->clock->now_us;
}

static struct model_peer *peer_of(struct tunnel *t)
{
	return (struct model_peer *)(void *)((char *)t - offsetof(struct model_peer, tunnel));
}

static bool is_alive(const struct tunnel *t)
{
	return t->link->info.up && model_of(t)->hooks->transmit;
}

static bool has_expired(int64_t born_us, int64_t after_s, int64_t now_us)
{
	return now_us - born_us >= after_s * S;
}

static void set_in(struct tunnel *t, struct timer *timer, int64_t in_us)
{
	timer_set(model_of(t)->clock, timer, now(t) + in_us);
}

static void stop(struct tunnel *t, struct timer *timer)
{
	timer_stop(model_of(t)->clock, timer);
}

static int64_t draw(struct tunnel *t, int64_t from, int64_t to)
{
	return g_rand_int_range(model_of(t)->random, (gint32)from, (gint32)to);
}

#define TRACE(t, ...) model_trace(model_of(t), peer_of(t), __VA_ARGS__)

/* -- indices and keypairs ------------------------------------------------------------------- */

/* Each is used once in a life. */
static uint32_t new_index(struct tunnel *t)
{
	uint32_t index = ++*model_of(t)->next_session;

	g_hash_table_insert(t->link->by_index, GUINT_TO_POINTER(index), t);
	return index;
}

/* The sender may know of it while its packets are under way. */
static void drop_index(struct tunnel *t, uint32_t *index)
{
	int64_t *at_us = g_new(int64_t, 1);

	if (!*index)
		return g_free(at_us);
	*at_us = now(t);
	g_hash_table_remove(t->link->by_index, GUINT_TO_POINTER(*index));
	g_hash_table_insert(t->link->graves, GUINT_TO_POINTER(*index), at_us);
	*index = 0;
}

static void free_keypair(struct tunnel *t, struct keypair **k)
{
	if (!*k)
		return;
	drop_index(t, &(*k)->local);
	if ((*k)->seen)
		g_hash_table_unref((*k)->seen);
	g_clear_pointer(k, g_free);
}

static void clear_keypairs(struct tunnel *t)
{
	free_keypair(t, &t->current);
	free_keypair(t, &t->previous);
	free_keypair(t, &t->next);
}

static void clear_handshake(struct tunnel *t)
{
	drop_index(t, &t->local);
	t->state = HANDSHAKE_NONE;
}

static void add_keypair(struct tunnel *t, struct keypair *new)
{
	if (!new->initiator) { /* to be confirmed by the first packet that comes with it */
		free_keypair(t, &t->next);
		free_keypair(t, &t->previous);
		t->next = new;
		return;
	}
	free_keypair(t, &t->previous);
	if (t->next) {
		t->previous = g_steal_pointer(&t->next);
		free_keypair(t, &t->current);
	} else {
		t->previous = g_steal_pointer(&t->current);
	}
	t->current = new;
}

static bool begin_session(struct tunnel *t)
{
	struct keypair *k;

	if (t->state != HANDSHAKE_CREATED_RESPONSE && t->state != HANDSHAKE_CONSUMED_RESPONSE)
		return false;
	k = g_new0(struct keypair, 1);
	k->initiator = t->state == HANDSHAKE_CONSUMED_RESPONSE;
	k->can_send = true;
	k->local = t->local;
	k->remote = t->remote;
	k->born_us = now(t);
	t->local = 0; /* the index is the keypair's from now on */
	t->state = HANDSHAKE_NONE;
	add_keypair(t, k);
	set_in(t, &t->zero, 3 * REJECT_AFTER_S * S);
	return true;
}

/* -- timers' causes ------------------------------------------------------------------------- */

static void any_sent(struct tunnel *t)
{
	stop(t, &t->keepalive);
}

static void any_received(struct tunnel *t)
{
	stop(t, &t->new_handshake);
}

static void any_passed(struct tunnel *t)
{
	if (peer_of(t)->keepalive)
		set_in(t, &t->persistent, peer_of(t)->keepalive * S);
}

static void data_sent(struct tunnel *t)
{
	if (!timer_is_set(&t->new_handshake))
		set_in(t, &t->new_handshake,
			(KEEPALIVE_TIMEOUT_S + REKEY_TIMEOUT_S) * S + draw(t, 0, JITTER_US));
}

static void data_received(struct tunnel *t)
{
	if (timer_is_set(&t->keepalive))
		t->another_keepalive = true;
	else
		set_in(t, &t->keepalive, KEEPALIVE_TIMEOUT_S * S);
}

static void handshake_complete(struct tunnel *t)
{
	struct model *m = model_of(t);

	stop(t, &t->retransmit);
	t->attempts = 0;
	t->last_minute = false;
	t->handshake_ns = model_wall_ns(m);
	TRACE(t, "session");
	m->hooks->session(&peer_of(t)->key, m->user);
}

/* -- sending -------------------------------------------------------------------------------- */

static void told(struct tunnel *t, uint32_t id, enum fate fate, bool excused)
{
	if (id)
		model_of(t)->hooks->fate(id, fate, excused, model_of(t)->user);
}

static int send_bytes(struct tunnel *t, const void *data, size_t len)
{
	struct model_peer *peer = peer_of(t);
	int r;

	if (!peer->endpoint.family)
		return -EDESTADDRREQ;
	r = model_transmit(model_of(t), t->link->port, &peer->endpoint, data, len);
	if (r == 0)
		t->tx += len;
	return r;
}

static void send_initiation(void *arg)
{
	struct tunnel *t = arg;
	union {
		struct wg_initiation initiation;
		uint8_t bytes[WG_INITIATION_BYTES];
	} u = { .bytes = { 0 } };
	struct wg_initiation *init = &u.initiation;
	struct model_peer *peer = peer_of(t);

	if (!has_expired(t->sent_us, REKEY_TIMEOUT_S, now(t)) || !is_alive(t))
		return;
	t->sent_us = now(t);
	if (key_is_zero(&t->link->private_key))
		return;
	drop_index(t, &t->local);
	t->local = new_index(t);
	t->state = HANDSHAKE_CREATED_INITIATION;
	t->to_sentinel = sentinel_is_one(&peer->endpoint);
	init->m = (struct wg_message){ .type = WG_INITIATION,
		.sender = t->local,
		.to_sentinel = t->to_sentinel,
		.sent_us = now(t) };
	init->timestamp_ns = (uint64_t)model_wall_ns(model_of(t)) >> 24 << 24;
	memcpy(init->from, &t->link->public_key, sizeof(init->from));
	memcpy(init->to, &peer->key, sizeof(init->to));
	any_passed(t);
	any_sent(t);
	TRACE(t, "initiation %u, attempt %u", init->m.sender, t->attempts);
	model_of(t)->hooks->asked(&peer->key, t->to_sentinel, model_of(t)->user);
	send_bytes(t, &u, sizeof(u.bytes));
	set_in(t, &t->retransmit, REKEY_TIMEOUT_S * S + draw(t, 0, JITTER_US));
}

static void queue_initiation(struct tunnel *t, bool is_retry)
{
	if (!is_retry)
		t->attempts = 0;
	if (has_expired(t->sent_us, REKEY_TIMEOUT_S, now(t)) && !timer_is_set(&t->initiate))
		set_in(t, &t->initiate, draw(t, WORK_MIN_US / 4, WORK_MAX_US / 4));
}

static void send_response(struct tunnel *t)
{
	union {
		struct wg_response response;
		uint8_t bytes[WG_RESPONSE_BYTES];
	} u = { .bytes = { 0 } };
	struct wg_response *response = &u.response;

	t->sent_us = now(t);
	if (t->state != HANDSHAKE_CONSUMED_INITIATION)
		return;
	drop_index(t, &t->local);
	t->local = new_index(t);
	t->state = HANDSHAKE_CREATED_RESPONSE;
	response->m = (struct wg_message){
		.type = WG_RESPONSE, .sender = t->local, .receiver = t->remote, .sent_us = now(t)
	};
	memcpy(response->psk, &peer_of(t)->psk, sizeof(response->psk));
	begin_session(t);
	any_passed(t);
	any_sent(t);
	TRACE(t, "response %u to %u", response->m.sender, response->m.receiver);
	send_bytes(t, &u, sizeof(u.bytes));
}

static void keep_key_fresh_sending(struct tunnel *t)
{
	const struct keypair *k = t->current;

	if (k && k->can_send && k->initiator && has_expired(k->born_us, REKEY_AFTER_S, now(t)))
		queue_initiation(t, false);
}

static void send_data(struct tunnel *t, struct keypair *k, const struct inner *packet)
{
	union {
		struct wg_full_data full;
		uint8_t bytes[WG_DATA_BYTES];
	} u = { .bytes = { 0 } };
	struct wg_data *data = &u.full.data;
	int r;

	data->m = (struct wg_message){ .type = WG_DATA, .receiver = k->remote, .sent_us = now(t) };
	data->counter = k->sent++;
	if (packet->id)
		u.full.inner = *packet;
	any_passed(t);
	any_sent(t);
	told(t, packet->id, FATE_FLYING, false);
	r = send_bytes(t, &u, packet->id ? WG_DATA_BYTES : WG_KEEPALIVE_BYTES);
	if (r < 0)
		told(t, packet->id, FATE_NO_ENDPOINT, false);
	else if (packet->id)
		data_sent(t);
	keep_key_fresh_sending(t);
}

void tunnel_send_staged(struct model_peer *peer)
{
	struct tunnel *t = &peer->tunnel;
	GArray *packets = t->staged;
	struct keypair *k = t->current;

	if (!packets->len || !is_alive(t))
		return;
	if (!k || !k->can_send || has_expired(k->born_us, REJECT_AFTER_S, now(t))) {
		if (k)
			k->can_send = false;
		queue_initiation(t, false);
		return;
	}
	t->staged = g_array_new(FALSE, FALSE, sizeof(struct inner));
	for (guint i = 0; i < packets->len; i++)
		send_data(t, k, &g_array_index(packets, struct inner, i));
	g_array_unref(packets);
}

void tunnel_xmit(struct model_peer *peer, const struct inner *packet)
{
	struct tunnel *t = &peer->tunnel;

	if (!peer->endpoint.family) {
		told(t, packet->id, FATE_NO_ENDPOINT, false);
		return;
	}
	while (t->staged->len > WG_STAGED_MAX - 1) {
		told(t, g_array_index(t->staged, struct inner, 0).id, FATE_TOO_MANY, true);
		g_array_remove_index(t->staged, 0);
	}
	told(t, packet->id, FATE_STAGED, false);
	g_array_append_vals(t->staged, packet, 1);
	tunnel_send_staged(peer);
}

void tunnel_send_keepalive(struct model_peer *peer)
{
	const struct inner keepalive = { .id = 0 };

	if (!is_alive(&peer->tunnel))
		return;
	if (!peer->tunnel.staged->len)
		g_array_append_val(peer->tunnel.staged, keepalive);
	tunnel_send_staged(peer);
}

static void purge_staged(struct tunnel *t, enum fate fate)
{
	for (guint i = 0; i < t->staged->len; i++)
		told(t, g_array_index(t->staged, struct inner, i).id, fate, false);
	g_array_set_size(t->staged, 0);
}

/* -- timers --------------------------------------------------------------------------------- */

static void expired_retransmit(void *arg)
{
	struct tunnel *t = arg;

	if (t->attempts > ATTEMPTS_MAX) {
		stop(t, &t->keepalive);
		TRACE(t, "given up");
		purge_staged(t, FATE_GIVEN_UP);
		if (!timer_is_set(&t->zero))
			set_in(t, &t->zero, 3 * REJECT_AFTER_S * S);
		return;
	}
	t->attempts++;
	queue_initiation(t, true);
}

static void expired_keepalive(void *arg)
{
	struct tunnel *t = arg;

	tunnel_send_keepalive(peer_of(t));
	if (t->another_keepalive) {
		t->another_keepalive = false;
		set_in(t, &t->keepalive, KEEPALIVE_TIMEOUT_S * S);
	}
}

static void expired_new_handshake(void *arg)
{
	queue_initiation(arg, false);
}

static void expired_zero(void *arg)
{
	struct tunnel *t = arg;
	struct model *m = model_of(t);

	if (t->state == HANDSHAKE_CREATED_INITIATION && m->hooks->glare)
		m->hooks->glare(&peer_of(t)->key, false, m->user); /* its answer comes in vain */
	clear_handshake(t);
	clear_keypairs(t);
}

static void expired_persistent(void *arg)
{
	struct tunnel *t = arg;

	if (peer_of(t)->keepalive)
		tunnel_send_keepalive(peer_of(t));
}

/* -- receiving ------------------------------------------------------------------------------ */

/* A handshake message waits for its turn. */
struct work {
	struct timer timer;
	struct model *model;
	unsigned index;
	struct endpoint from;
	size_t len;
	_Alignas(8) uint8_t data[];
};

static void roam(struct tunnel *t, const struct endpoint *from)
{
	struct model_peer *peer = peer_of(t);
	char text[ENDPOINT_STRLEN];

	if (endpoint_is_same(&peer->endpoint, from))
		return;
	TRACE(t, "roams to %s", endpoint_format(from, text));
	peer->endpoint = *from;
}

static void heard(struct tunnel *t, const struct endpoint *from)
{
	roam(t, from);
	model_of(t)->hooks->heard(&peer_of(t)->key, from, model_of(t)->user);
}

static void received(struct tunnel *t, size_t len)
{
	t->rx += len;
	any_received(t);
	any_passed(t);
}

/* Ours and theirs cross: neither answer will be understood. */
static void note_glare(struct tunnel *t, const struct wg_initiation *init)
{
	if (t->state != HANDSHAKE_CREATED_INITIATION)
		return;
	TRACE(t, "initiations cross: %u comes, %u is forgotten", init->m.sender, t->local);
	if (model_of(t)->hooks->glare)
		model_of(t)->hooks->glare(
			&peer_of(t)->key, t->to_sentinel && init->m.to_sentinel, model_of(t)->user);
}

static void take_initiation(struct model_link *link, const struct work *w)
{
	const struct wg_initiation *init = (const struct wg_initiation *)w->data;
	struct model_peer *peer = model_find_peer(link, (const struct wg_key *)init->from);
	struct tunnel *t = peer ? &peer->tunnel : NULL;

	if (!peer || memcmp(init->to, &link->public_key, sizeof(init->to))) {
		model_trace(link->model, NULL, "initiation %u from nobody's", init->m.sender);
		return;
	}
	if (init->timestamp_ns <= t->timestamp_ns ||
		(t->consumed_us && now(t) - t->consumed_us < S / PER_SECOND)) {
		TRACE(t, "initiation %u refused", init->m.sender);
		return;
	}
	note_glare(t, init);
	t->timestamp_ns = init->timestamp_ns;
	t->consumed_us = now(t);
	t->remote = init->m.sender;
	t->state = HANDSHAKE_CONSUMED_INITIATION;
	heard(t, &w->from);
	send_response(t);
	received(t, w->len);
}

static void take_response(struct model_link *link, const struct work *w)
{
	const struct wg_response *response = (const struct wg_response *)w->data;
	struct tunnel *t = g_hash_table_lookup(
		link->by_index, GUINT_TO_POINTER(response->m.receiver));

	if (!t || t->local != response->m.receiver || t->state != HANDSHAKE_CREATED_INITIATION ||
		memcmp(response->psk, &peer_of(t)->psk, sizeof(response->psk))) {
		if (t)
			TRACE(t, "response to %u refused", response->m.receiver);
		return;
	}
	t->remote = response->m.sender;
	t->state = HANDSHAKE_CONSUMED_RESPONSE;
	heard(t, &w->from);
	if (begin_session(t)) {
		handshake_complete(t);
		tunnel_send_keepalive(peer_of(t)); /* or what is staged */
	}
	received(t, w->len);
}

static void work(void *arg)
{
	struct work *w = arg;
	const struct wg_message *message = (const struct wg_message *)w->data;
	struct model_link *link = model_by_index(w->model, w->index);

	if (link && link->info.up && message->type == WG_INITIATION)
		take_initiation(link, w);
	else if (link && link->info.up)
		take_response(link, w);
	g_free(w);
}

static struct keypair *keypair_of(struct tunnel *t, uint32_t index)
{
	struct keypair *const all[] = { t->current, t->previous, t->next };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		if (all[i] && all[i]->local == index)
			return all[i];
	return NULL;
}

/* False: it is a copy, or too old. */
static bool is_new(struct keypair *k, uint32_t counter)
{
	if (counter + WINDOW < k->newest)
		return false;
	if (!k->seen)
		k->seen = g_hash_table_new(NULL, NULL);
	k->newest = MAX(k->newest, counter + 1);
	return g_hash_table_add(k->seen, GUINT_TO_POINTER(counter + 1));
}

static bool received_with(struct tunnel *t, struct keypair *k)
{
	if (k != t->next)
		return false;
	free_keypair(t, &t->previous);
	t->previous = g_steal_pointer(&t->current);
	t->current = g_steal_pointer(&t->next);
	return true;
}

static void keep_key_fresh_receiving(struct tunnel *t)
{
	const struct keypair *k = t->current;

	if (t->last_minute || !k || !k->can_send || !k->initiator ||
		!has_expired(
			k->born_us, REJECT_AFTER_S - KEEPALIVE_TIMEOUT_S - REKEY_TIMEOUT_S, now(t)))
		return;
	t->last_minute = true;
	queue_initiation(t, false);
}

/* To whom do we send what goes to this address? */
static bool is_allowed(struct tunnel *t, const struct prefix *from)
{
	return model_route(t->link, from) == peer_of(t);
}

/* The receiver let the key go while this was under way, or the sender could not know yet; or the key grew
 * too old there. */
static bool was_inevitable(
	struct model_link *link, const struct wg_data *data, const struct keypair *k)
{
	const int64_t *dropped_us = g_hash_table_lookup(
		link->graves, GUINT_TO_POINTER(data->m.receiver));

	if (k)
		return data->m.sent_us - k->born_us < (REJECT_AFTER_S + 1) * S;
	return dropped_us && *dropped_us >= data->m.sent_us - UNAWARE_US;
}

static void take_data(
	struct model_link *link, const struct endpoint *from, const void *bytes, size_t len)
{
	const struct wg_full_data *full = bytes;
	const struct wg_data *data = &full->data;
	struct tunnel *t = g_hash_table_lookup(link->by_index, GUINT_TO_POINTER(data->m.receiver));
	struct keypair *k = t ? keypair_of(t, data->m.receiver) : NULL;
	struct model *m = link->model;
	uint32_t id = wg_inner_id(bytes, len);

	if (!k || has_expired(k->born_us, REJECT_AFTER_S, m->clock->now_us)) {
		if (id)
			m->hooks->fate(id, FATE_NO_SESSION, was_inevitable(link, data, k), m->user);
		return;
	}
	if (!is_new(k, data->counter))
		return told(t, id, FATE_DOUBLE, false);
	heard(t, from);
	if (received_with(t, k)) {
		handshake_complete(t);
		tunnel_send_staged(peer_of(t));
	}
	keep_key_fresh_receiving(t);
	received(t, len);
	if (!id)
		return;
	data_received(t);
	if (is_allowed(t, &full->inner.from))
		model_inner_arrived(m, peer_of(t), &full->inner);
	else
		told(t, id, FATE_SOURCE, false);
}

uint32_t wg_inner_id(const void *bytes, size_t len)
{
	struct wg_full_data full;

	if (len != WG_DATA_BYTES)
		return 0;
	memcpy(&full, bytes, sizeof(full)); /* captured ones lie anywhere */
	return full.data.m.type == WG_DATA ? full.inner.id : 0;
}

void tunnels_receive(
	struct model_link *link, const struct endpoint *from, const void *data, size_t len)
{
	const struct wg_message *message = data;
	struct model *m = link->model;
	struct work *w;

	if (message->type == WG_DATA)
		return take_data(link, from, data, len);
	w = g_malloc0(sizeof(*w) + len);
	w->timer = (struct timer){ .owned = true, .fn = work, .arg = w };
	w->model = m;
	w->index = link->info.index;
	w->from = *from;
	w->len = len;
	memcpy(w->data, data, len);
	timer_set(m->clock, &w->timer,
		m->clock->now_us + g_rand_int_range(m->random, WORK_MIN_US, WORK_MAX_US));
}

/* -- life ----------------------------------------------------------------------------------- */

void tunnel_init(struct model_link *link, struct model_peer *peer)
{
	struct tunnel *t = &peer->tunnel;

	*t = (struct tunnel){ .link = link, .sent_us = -REKEY_TIMEOUT_S * S };
	t->staged = g_array_new(FALSE, FALSE, sizeof(struct inner));
	t->initiate = (struct timer){ .fn = send_initiation, .arg = t };
	t->retransmit = (struct timer){ .fn = expired_retransmit, .arg = t };
	t->keepalive = (struct timer){ .fn = expired_keepalive, .arg = t };
	t->new_handshake = (struct timer){ .fn = expired_new_handshake, .arg = t };
	t->zero = (struct timer){ .fn = expired_zero, .arg = t };
	t->persistent = (struct timer){ .fn = expired_persistent, .arg = t };
}

static void calm_down(struct tunnel *t)
{
	struct timer *const all[] = { &t->initiate, &t->retransmit, &t->keepalive,
		&t->new_handshake, &t->zero, &t->persistent };

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		stop(t, all[i]);
	purge_staged(t, FATE_FLUSHED);
	clear_handshake(t);
	clear_keypairs(t);
	t->sent_us = -REKEY_TIMEOUT_S * S;
	t->attempts = 0;
	t->another_keepalive = t->last_minute = false;
}

void tunnel_done(struct model_peer *peer)
{
	calm_down(&peer->tunnel);
	g_array_unref(peer->tunnel.staged);
}

void tunnels_up(struct model_link *link)
{
	for (guint i = 0; i < link->peers->len; i++) {
		struct model_peer *peer = link->peers->pdata[i];

		tunnel_send_staged(peer);
		if (peer->keepalive)
			tunnel_send_keepalive(peer);
	}
}

void tunnels_down(struct model_link *link)
{
	for (guint i = 0; i < link->peers->len; i++)
		calm_down(&((struct model_peer *)link->peers->pdata[i])->tunnel);
}

void tunnels_rekeyed(struct model_link *link)
{
	for (guint i = 0; i < link->peers->len; i++) {
		struct keypair *k = ((struct model_peer *)link->peers->pdata[i])->tunnel.current;

		if (k)
			k->can_send = false;
	}
}
