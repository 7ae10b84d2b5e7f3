/* agent/network_signal.c - the signal server of a network: which one it is, and being connected to it.
 *
 * Peers find each other through it; tunnels that are up do not need it. */
#include <string.h>

#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/network_impl.h"
#include "ice/gather.h"
#include "mgmt/netmap.h"
#include "mgmt/request.h"
#include "mgmt/update.h"

static bool is_peer(const struct wg_key *key, void *user)
{
	const struct netmap *map = engine_map(((struct network *)user)->engine);
	int64_t host = map ? netmap_find_key(map, key) : NETMAP_NONE;

	return host != NETMAP_NONE && host != map->self;
}

static void signal_changed(void *user)
{
	struct network *n = user;
	struct signal_status s;

	signal_client_get_status(n->signal, &s);
	if (n->finder)
		finder_set_signal(n->finder, s.life.state == SIGNAL_CONNECTED);
	if (s.life.state == n->told_signal_state && !strcmp(s.life.error, n->told_signal_error))
		return;
	if (s.life.state == SIGNAL_CONNECTED)
		log_info("signal %s: connected", n->membership.signal);
	else if (s.life.error[0] && strcmp(s.life.error, n->told_signal_error))
		log_warn("signal %s: %s, trying again", n->membership.signal, s.life.error);
	n->told_signal_state = s.life.state;
	g_strlcpy(n->told_signal_error, s.life.error, sizeof(n->told_signal_error));
}

static void received(const struct wg_key *from, const struct signal_body *body, void *user)
{
	finder_hear(((struct network *)user)->finder, from, body);
}

static const struct signal_callbacks callbacks = {
	.is_peer = is_peer,
	.received = received,
	.changed = signal_changed,
};

static int send_body(const struct wg_key *remote, const struct signal_body *body, void *user)
{
	return signal_client_send(((struct network *)user)->signal, remote, body);
}

static void engine_changed(void *user)
{
	struct network *n = user;

	n->ops.changed(n->user);
}

static void moved(void *user)
{
	struct network *n = user;

	log_info("this host's addresses have changed: paths are looked for anew");
	signal_client_doubt(n->signal);
}

static void set_stun_servers(struct network *n)
{
	size_t n_stuns = n->servers ? n->servers->n_stuns : 0;
	g_autofree const char **uris = g_new(const char *, n_stuns + 1);

	for (size_t i = 0; i < n_stuns; i++)
		uris[i] = n->servers->stuns[i].uri;
	uris[n_stuns] = NULL;
	finder_set_servers(n->finder, uris, n_stuns);
}

char *const *network_external_ips(const struct network *n)
{
	return n->config->ice.external_ips ? n->config->ice.external_ips
					   : n->membership.external_ips;
}

char *const *network_interfaces_exclude(const struct network *n)
{
	return n->config->ice.interfaces_exclude ? n->config->ice.interfaces_exclude
						 : n->membership.interfaces_exclude;
}

void network_renew_gathering(struct network *n)
{
	char *const *texts = network_external_ips(n);
	struct finder_gathering how = {
		.blacklist = (const char *const *)network_interfaces_exclude(n),
	};
	size_t room = texts ? g_strv_length((char **)texts) : 0;

	if (!n->finder)
		return;
	g_free(n->maps);
	n->maps = g_new(struct gather_map, room);
	for (size_t i = 0; i < room; i++) /* all are good, unless somebody else wrote the file */
		if (gather_map_parse(texts[i], strlen(texts[i]), &n->maps[how.n_maps]) == 0)
			how.n_maps++;
	how.maps = n->maps;
	finder_set_gathering(n->finder, &how);
}

static const struct finder_ops finder_ops = {
	.send = send_body,
	.changed = engine_changed,
	.moved = moved,
};

static void begin(struct network *n)
{
	n->finder = finder_new(n->engine, &n->public_key, request_version, &finder_ops, n);
	network_renew_gathering(n);
	set_stun_servers(n);
	signal_client_start(n->signal);
}

void network_renew_signal(struct network *n)
{
	const struct config *c = n->config;
	struct signal_options options = {
		.url = n->membership.signal,
		.ca_file = c->management.ca_file,
		.ca_dir = c->management.ca_dir,
		.client_cert = c->management.client_cert,
		.client_key = c->management.client_key,
		.mark = network_mark(n, &n->membership),
		.private_key = &n->private_key,
	};

	network_forget_signal(n);
	if (!n->membership.signal)
		return;
	n->signal = signal_client_new(&options, &callbacks, n);
	if (!n->down)
		begin(n);
}

void network_forget_signal(struct network *n)
{
	g_clear_pointer(&n->finder, finder_free);
	g_clear_pointer(&n->signal, signal_client_free);
	g_clear_pointer(&n->maps, g_free);
	n->told_signal_state = SIGNAL_STOPPED;
	n->told_signal_error[0] = '\0';
}

void network_learn_signal(struct network *n)
{
	static struct log_limit limit = { .cause = "signal server", .burst = 1 };
	struct membership *m = &n->membership;
	char error[MGMT_ERROR_MAX];
	g_autofree char *text = NULL, *url = NULL;

	if (n->finder)
		set_stun_servers(n);
	if (!n->servers->signal.host)
		return;
	text = g_strdup_printf(
		"%s://%s", n->servers->signal.tls ? "https" : "http", n->servers->signal.host);
	if (mgmt_url_parse(text, &url, error) < 0) {
		if (log_limit_allows(&limit))
			log_warn("signal %s: %s", text, error);
		return;
	}
	if (!g_strcmp0(url, m->signal))
		return;
	g_free(m->signal);
	m->signal = g_steal_pointer(&url);
	if (membership_save(n->state_dir, m) < 0)
		log_warn("cannot write down which signal server the network has");
	network_renew_signal(n);
}

void network_set_signal_down(struct network *n, bool down)
{
	if (!n->signal)
		return;
	if (!down)
		return begin(n);
	g_clear_pointer(&n->finder, finder_free);
	signal_client_stop(n->signal);
}

void network_path(struct network *n, const struct wg_key *key, enum engine_need need)
{
	if (n->finder)
		finder_need(n->finder, key, need);
}

void network_moved(struct network *n)
{
	if (n->finder)
		finder_look_soon(n->finder);
}

void network_write_path(const struct network *n, GString *out, const struct wg_key *key)
{
	if (n->finder)
		finder_write_peer(n->finder, out, key);
}
