/* agent/network_signal.c - the signal server of a network: which one it is, and being connected to it.
 *
 * Peers find each other through it; tunnels that are up do not need it. */
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/network_impl.h"
#include "agent/nego/nego.h"
#include "agent/sessions.h"
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
	char *const *uris = n->membership.stuns;

	finder_set_servers(
		n->finder, (const char *const *)uris, uris ? g_strv_length((char **)uris) : 0);
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

/* WireGuard's own handshake may have found the way, before ICE did: then both stages are one. */
static void connected(const struct wg_key *remote, const struct nego_view *view, void *user)
{
	struct network *n = user;
	int64_t now = g_get_monotonic_time() / 1000;
	const struct samples_stages stages = {
		.signaling_ms = view->heard_ms,
		.connection_ms = view->path_ms ? view->path_ms : now,
		.handshake_ms = now,
	};

	samples_add_connection(n->samples, remote, &stages, g_get_real_time() * 1000);
}

static void record_sessions(const struct nego_session *sessions, size_t count, void *user)
{
	static struct log_limit limit = { .cause = "sessions on disk", .burst = 1 };
	const struct network *n = user;
	int r = sessions_save(n->state_dir, sessions, count);

	if (r < 0 && log_limit_allows(&limit))
		log_warn_errno(
			r, "cannot write down sessions: agents of NetBird will notice a restart");
}

static void resume(const struct network *n)
{
	struct nego_session *sessions;
	size_t count;
	int r = sessions_load(n->state_dir, &sessions, &count);

	if (r < 0)
		log_warn_errno(r, "cannot read sessions: agents of NetBird notice this start");
	finder_expect(n->finder, sessions, count);
	sessions_wipe(sessions, count);
}

static const struct finder_ops finder_ops = {
	.send = send_body,
	.changed = engine_changed,
	.connected = connected,
	.moved = moved,
	.record_sessions = record_sessions,
};

static void begin(struct network *n)
{
	n->finder = finder_new(n->engine, &n->public_key, request_version, &finder_ops, n);
	network_renew_gathering(n);
	set_stun_servers(n);
	resume(n);
	finder_set_signal(n->finder, false); /* those that are connected do not wait for it */
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

/* It goes into a file, which has to be read again. */
static bool is_worth_keeping(const char *uri)
{
	size_t len = strlen(uri);

	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isgraph(uri[i]))
			return false;
	return len < MEMBERSHIP_STUN_MAX && g_str_has_prefix(uri, "stun:");
}

/* Those that it names last serve till it names others, also after a restart without it. False: they are the same. */
static bool learn_stuns(struct network *n)
{
	const struct update_servers *said = n->servers;
	char **uris;
	size_t at = 0;

	if (!said->n_stuns)
		return false;
	uris = g_new0(char *, MEMBERSHIP_STUNS_MAX + 1);
	for (size_t i = 0; i < said->n_stuns && at < MEMBERSHIP_STUNS_MAX; i++)
		if (is_worth_keeping(said->stuns[i].uri))
			uris[at++] = g_strdup(said->stuns[i].uri);
	if (n->membership.stuns &&
		g_strv_equal((const char *const *)uris, (const char *const *)n->membership.stuns)) {
		g_strfreev(uris);
		return false;
	}
	g_strfreev(n->membership.stuns);
	n->membership.stuns = uris;
	if (n->finder)
		set_stun_servers(n);
	return true;
}

/* The same for the signal server. */
static bool learn_signal(struct network *n)
{
	static struct log_limit limit = { .cause = "signal server", .burst = 1 };
	struct membership *m = &n->membership;
	char error[MGMT_ERROR_MAX];
	g_autofree char *text = NULL, *url = NULL;

	if (!n->servers->signal.host)
		return false;
	text = g_strdup_printf(
		"%s://%s", n->servers->signal.tls ? "https" : "http", n->servers->signal.host);
	if (mgmt_url_parse(text, &url, error) < 0) {
		if (log_limit_allows(&limit))
			log_warn("signal %s: %s", text, error);
		return false;
	}
	if (!g_strcmp0(url, m->signal))
		return false;
	g_free(m->signal);
	m->signal = g_steal_pointer(&url);
	return true;
}

void network_learn_signal(struct network *n)
{
	bool stuns = learn_stuns(n), signal = learn_signal(n);

	if ((stuns || signal) && membership_save(n->state_dir, &n->membership) < 0)
		log_warn("cannot write down which servers the network has");
	if (signal)
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
	if (!n->finder || !finder_write_peer(n->finder, out, key))
		jwrite_null(out, "negotiation");
}
