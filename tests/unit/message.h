/* tests/unit/message.h - a server's messages, put together by the packer that protobuf-c generates. */
#pragma once

#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/key.h"
#include "mgmt/detail.h"
#include "mgmt/management.pb-c.h"
#include "mgmt/netmap.h"
#include "mgmt/update.h"

/* Lists are filled by message_peer and the like; all the rest is set by hand. */
struct message {
	Management__SyncResponse sync;
	Management__NetworkMap map;
	Management__PeerConfig self;
	GPtrArray *peers, *offline, *routes, *rules, *forwards;
	GPtrArray *owned;
	struct wg_key own;
	const struct netmap *last;
	size_t max_peers;
	int64_t now_s;
};

static inline void message_begin(struct message *m)
{
	*m = (struct message){
		.sync = MANAGEMENT__SYNC_RESPONSE__INIT,
		.map = MANAGEMENT__NETWORK_MAP__INIT,
		.self = MANAGEMENT__PEER_CONFIG__INIT,
		.peers = g_ptr_array_new(),
		.offline = g_ptr_array_new(),
		.routes = g_ptr_array_new(),
		.rules = g_ptr_array_new(),
		.forwards = g_ptr_array_new(),
		.owned = g_ptr_array_new_with_free_func(g_free),
		.own = { { 0xff } },
		.max_peers = 100000,
		.now_s = 1800000000,
	};
	m->self.address = (char *)"100.92.0.1/16";
	m->self.fqdn = (char *)"us.example.net";
	m->map.serial = 7;
	m->map.firewallrulesisempty = true;
	m->map.peerconfig = &m->self;
	m->sync.networkmap = &m->map;
}

static inline void message_end(struct message *m)
{
	GPtrArray *const lists[] = { m->peers, m->offline, m->routes, m->rules, m->forwards,
		m->owned };

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		g_ptr_array_unref(lists[i]);
}

static inline void *message_own(struct message *m, void *memory)
{
	g_ptr_array_add(m->owned, memory);
	return memory;
}

static inline struct wg_key message_key(unsigned i)
{
	return (struct wg_key){ { (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1 } };
}

static inline char *message_key_text(struct message *m, unsigned i)
{
	char *text = message_own(m, g_malloc(KEY_STRLEN));
	struct wg_key key = message_key(i);

	key_format(&key, text);
	return text;
}

static inline char *message_text(struct message *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline char *message_text(struct message *m, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	return message_own(m, text);
}

/* A list of one or two texts. */
static inline char **message_list(struct message *m, const char *first, const char *second)
{
	char **list = message_own(m, g_new0(char *, 2));

	list[0] = (char *)first;
	list[1] = (char *)second;
	return list;
}

static inline Management__RemotePeerConfig *message_peer_in(
	struct message *m, GPtrArray *list, unsigned i)
{
	Management__RemotePeerConfig *peer = message_own(m, g_new(Management__RemotePeerConfig, 1));

	management__remote_peer_config__init(peer);
	peer->wgpubkey = message_key_text(m, i);
	peer->n_allowedips = 1;
	peer->allowedips = message_list(
		m, message_text(m, "100.92.%u.%u/32", (i + 256) / 256, i % 256), NULL);
	peer->fqdn = message_text(m, "host-%u.example.net", i);
	peer->agentversion = (char *)"0.60.0";
	g_ptr_array_add(list, peer);
	return peer;
}

static inline Management__RemotePeerConfig *message_peer(struct message *m, unsigned i)
{
	return message_peer_in(m, m->peers, i);
}

static inline Management__FirewallRule *message_rule(
	struct message *m, const char *source, Management__RuleProtocol protocol, const char *port)
{
	Management__FirewallRule *rule = message_own(m, g_new(Management__FirewallRule, 1));

	management__firewall_rule__init(rule);
	rule->peerip = (char *)source;
	rule->protocol = protocol;
	rule->port = (char *)port;
	g_ptr_array_add(m->rules, rule);
	return rule;
}

static inline void message_prefix(
	struct message *m, Management__FirewallRule *rule, const void *bytes, size_t len)
{
	rule->sourceprefixes = g_renew(
		ProtobufCBinaryData, rule->sourceprefixes, rule->n_sourceprefixes + 1);
	if (rule->n_sourceprefixes)
		g_ptr_array_steal_index(m->owned, m->owned->len - 1);
	message_own(m, rule->sourceprefixes);
	rule->sourceprefixes[rule->n_sourceprefixes++] = (ProtobufCBinaryData){ len,
		(uint8_t *)bytes };
}

static inline Management__Route *message_route(
	struct message *m, unsigned router, const char *network, int64_t metric)
{
	Management__Route *route = message_own(m, g_new(Management__Route, 1));

	management__route__init(route);
	route->id = message_text(m, "id-%u", m->routes->len);
	route->peer = message_key_text(m, router);
	route->network = (char *)network;
	route->networktype = strchr(network, ':') ? 2 : 1;
	route->metric = metric;
	route->netid = (char *)"net";
	g_ptr_array_add(m->routes, route);
	return route;
}

static inline uint8_t *message_pack(struct message *m, size_t *ret_len)
{
	uint8_t *bytes;

	m->map.n_remotepeers = m->peers->len;
	m->map.remotepeers = (Management__RemotePeerConfig **)m->peers->pdata;
	m->map.n_offlinepeers = m->offline->len;
	m->map.offlinepeers = (Management__RemotePeerConfig **)m->offline->pdata;
	m->map.n_routes = m->routes->len;
	m->map.routes = (Management__Route **)m->routes->pdata;
	m->map.n_firewallrules = m->rules->len;
	m->map.firewallrules = (Management__FirewallRule **)m->rules->pdata;
	m->map.n_forwardingrules = m->forwards->len;
	m->map.forwardingrules = (Management__ForwardingRule **)m->forwards->pdata;
	*ret_len = management__sync_response__get_packed_size(&m->sync);
	bytes = g_malloc(*ret_len + 1);
	management__sync_response__pack(&m->sync, bytes);
	return bytes;
}

static inline int message_try(struct message *m, struct update **ret, char *error)
{
	struct update_limits limits = { &m->own, m->max_peers, m->now_s, m->last };
	size_t len;
	g_autofree uint8_t *bytes = message_pack(m, &len);
	g_autofree uint8_t *exact = g_memdup2(bytes, len); /* no byte more, for the sanitizers */

	error[0] = '\0';
	return update_from_sync(exact, len, &limits, ret, error);
}

static inline struct update *message_read(struct message *m)
{
	char error[UPDATE_ERROR_MAX];
	struct update *update = NULL;

	if (message_try(m, &update, error) < 0)
		g_error("%s", error);
	return update;
}

static inline bool message_is_noted(const struct update *update, const char *words)
{
	const struct detail *d = update->detail;

	for (size_t i = 0; i < d->n_notes; i++)
		if (strstr(detail_text(d, d->notes[i]), words))
			return true;
	return false;
}
