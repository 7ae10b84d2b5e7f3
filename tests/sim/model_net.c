/* tests/sim/model_net.c - the network between hosts: latency, losses, interruptions, NAT. */
#include "tests/sim/model_net.h"

#include <errno.h>
#include <string.h>

enum {
	HOLE_US = 120 * 1000 * 1000, /* a NAT remembers */
	LATE_US = 30 * 1000,
};

void net_init(struct net *net, struct clock *clock, GRand *random, unsigned n)
{
	*net = (struct net){ .clock = clock, .random = random, .n = n };
	net->hosts = g_new0(struct net_host, n);
	net->paths = g_new0(struct net_path, (size_t)n * n);
	for (unsigned i = 0; i < n; i++)
		net->hosts[i].holes = g_hash_table_new_full(
			g_int64_hash, g_int64_equal, g_free, g_free);
}

void net_done(struct net *net)
{
	for (unsigned i = 0; i < net->n; i++)
		g_hash_table_unref(net->hosts[i].holes);
	g_free(net->hosts);
	g_free(net->paths);
}

struct net_path *net_path(const struct net *net, unsigned from, unsigned to)
{
	return &net->paths[(size_t)from * net->n + to];
}

/* -- addresses: 192.VERSION.HOST, 2001:db8:VERSION::HOST ------------------------------------ */

void net_address(const struct net *net, unsigned host, uint8_t family, struct endpoint *ret)
{
	uint8_t version = net->hosts[host].version;
	const uint8_t v4[4] = { 192, version, (uint8_t)(host >> 8), (uint8_t)host };
	const uint8_t v6[16] = { 0x20, 1, 0xd, 0xb8, 0,
		version, [14] = (uint8_t)(host >> 8), [15] = (uint8_t)host };

	*ret = (struct endpoint){ .family = family };
	memcpy(ret->addr, family == AF_INET ? v4 : v6, family == AF_INET ? sizeof(v4) : sizeof(v6));
}

int net_find(const struct net *net, const struct endpoint *address)
{
	const uint8_t *low = address->addr + (address->family == AF_INET ? 2 : 14);
	unsigned host = (unsigned)low[0] << 8 | low[1];
	struct endpoint own;

	if (host >= net->n || (address->family == AF_INET6 && !net->hosts[host].v6))
		return -1;
	net_address(net, host, address->family, &own);
	return memcmp(own.addr, address->addr, sizeof(own.addr)) ? -1 : (int)host;
}

/* -- NAT ------------------------------------------------------------------------------------ */

static int64_t hole_key(const struct endpoint *e)
{
	const uint8_t *a = e->addr;

	if (e->family == AF_INET)
		return (int64_t)a[0] << 40 | (int64_t)a[1] << 32 | a[2] << 24 | a[3] << 16 |
			e->port;
	return INT64_C(1) << 56 | (int64_t)a[5] << 32 | a[14] << 24 | a[15] << 16 | e->port;
}

bool net_is_open(const struct net *net, unsigned host, const struct endpoint *from, int64_t at_us)
{
	int64_t key = hole_key(from);
	const int64_t *until_us = g_hash_table_lookup(net->hosts[host].holes, &key);

	return !net->hosts[host].nat || (until_us && at_us < *until_us);
}

static void make_hole(struct net *net, unsigned host, const struct endpoint *to)
{
	int64_t *key = g_new(int64_t, 1), *until_us = g_new(int64_t, 1);

	*key = hole_key(to);
	*until_us = net->clock->now_us + HOLE_US;
	g_hash_table_replace(net->hosts[host].holes, key, until_us);
}

/* -- packets -------------------------------------------------------------------------------- */

struct flight {
	struct timer timer;
	struct net *net;
	unsigned host;
	struct endpoint from, to;
	size_t len;
	_Alignas(8) uint8_t data[];
};

static void lose(struct net *net, unsigned from, int host, const struct endpoint *to,
	const void *data, size_t len, enum fate why)
{
	char text[ENDPOINT_STRLEN];

	model_trace(net->hosts[from].model, NULL, "type %u to %s (h%d) %s", *(const uint8_t *)data,
		endpoint_format(to, text), host, fate_name(why));
	net->lost(from, host, data, len, why, net->user);
}

static void land(void *arg)
{
	struct flight *f = arg;
	struct net *net = f->net;
	int host = net_find(net, &f->to);

	if (host < 0)
		lose(net, f->host, -1, &f->to, f->data, f->len, FATE_NOBODY);
	else if (!net_is_open(net, (unsigned)host, &f->from, net->clock->now_us))
		lose(net, f->host, host, &f->to, f->data, f->len, FATE_REFUSED);
	else if (f->data[0] == NET_CHECK)
		net->check((unsigned)host, &f->from, f->data, f->len, net->user);
	else
		model_receive(net->hosts[host].model, &f->from, f->to.port, f->data, f->len);
	g_free(f);
}

static bool happens(struct net *net, double rate)
{
	return rate > 0 && g_rand_double(net->random) < rate;
}

static void launch(struct net *net, unsigned host, const struct endpoint *from,
	const struct endpoint *to, int64_t at_us, const void *data, size_t len)
{
	struct flight *f = g_malloc0(sizeof(*f) + len);

	f->timer = (struct timer){ .owned = true, .fn = land, .arg = f };
	f->net = net;
	f->host = host;
	f->from = *from;
	f->to = *to;
	f->len = len;
	memcpy(f->data, data, len);
	timer_set(net->clock, &f->timer, at_us);
}

/* Only what was taken once is refused the second time. */
static void record(struct net *net, const struct endpoint *to, const void *data, size_t len)
{
	struct wg_message message;

	memcpy(&message, data, sizeof(message));
	if (message.type == WG_RESPONSE && message.receiver == net->recording.u.message.sender) {
		net->tape = net->recording;
		net->tape.answered = true;
	}
	if (message.type != WG_INITIATION || !happens(net, 0.2))
		return;
	net->recording.to = *to;
	memcpy(net->recording.u.bytes, data, len);
}

void net_replay(struct net *net, unsigned from)
{
	struct tape *tape = &net->tape;
	struct endpoint source;

	net_address(net, from, AF_INET, &source);
	source.port = tape->to.port;
	if (tape->answered && net_find(net, &tape->to) != (int)from)
		launch(net, from, &source, &tape->to, net->clock->now_us, tape->u.bytes,
			sizeof(tape->u.bytes));
}

int net_send(struct net *net, unsigned from, uint16_t port, const struct endpoint *to,
	const void *data, size_t len)
{
	int host = net_find(net, to);
	struct net_path *path = net_path(net, from, host < 0 ? from : (unsigned)host);
	struct endpoint source;
	int64_t at_us;
	bool cut;

	if (to->family == AF_INET6 && !net->hosts[from].v6)
		return -ENETUNREACH;
	record(net, to, data, len);
	net_address(net, from, to->family, &source);
	source.port = port;
	if (net->hosts[from].nat)
		make_hole(net, from, to);
	cut = path->apart || net->clock->now_us < path->cut_until_us;
	if (cut || happens(net, net->loss)) {
		lose(net, from, host, to, data, len, cut ? FATE_CUT : FATE_LOST);
		return 0;
	}
	at_us = MAX(net->clock->now_us + path->latency_us, path->last_us);
	path->last_us = at_us;
	if (happens(net, net->late))
		at_us += g_rand_int_range(net->random, 1, LATE_US);
	launch(net, from, &source, to, at_us, data, len);
	if (happens(net, net->twice))
		launch(net, from, &source, to, at_us + g_rand_int_range(net->random, 0, LATE_US),
			data, len);
	return 0;
}
