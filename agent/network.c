/* agent/network.c - what a management server says, on its way to the engine. */
#include "agent/network.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/identity.h"
#include "agent/network_impl.h"
#include "mgmt/detail.h"
#include "mgmt/netmap.h"
#include "mgmt/update.h"

enum { TRIM_BYTES = 1024 * 1024 }; /* a message of this size leaves holes worth giving back */

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static const char *or_none(const char *text)
{
	return text ? text : "-";
}

static char *join(char *const *list)
{
	return list ? g_strjoinv(",", (char **)list) : g_strdup("-");
}

/* -- the map in force ------------------------------------------------------------------------ */

static void set_endpoints(const struct config *config, struct netmap *map, uint32_t host)
{
	const struct netmap_host *h = &map->hosts[host];
	const struct config_host *given = config_find_host(
		config, netmap_text(map, h->name), &h->key);

	for (size_t i = 0; given && host != map->self && i < given->n_endpoints; i++)
		netmap_add_endpoint(
			map, host, &given->endpoints[i].address, given->endpoints[i].name);
}

/* What this host decides for itself about a map of the server. */
static void localize(const struct network *n, struct netmap *map)
{
	const struct membership *m = &n->membership;

	if (m->interface[0])
		g_strlcpy(map->interface.name, m->interface, sizeof(map->interface.name));
	if (m->listen_port)
		map->interface.listen_port = m->listen_port;
	if (m->mtu)
		map->interface.mtu = m->mtu;
	if (m->has_psk)
		netmap_set_psk_file(map, n->psk_path);
	for (uint32_t i = 0; n->config->n_hosts && i < map->n_hosts; i++)
		set_endpoints(n->config, map, i);
}

/* In the log once, and again when it is not as much as it was; what it is, status says. */
static void note_left_out(const struct network *n, size_t before)
{
	size_t now = n->detail ? n->detail->n_left_out : 0;

	if (now && now != before)
		log_warn("network: %zu things of the map are left out, see lapwing status -d", now);
}

static void put_in_force(struct network *n, struct update *u, bool anew)
{
	const struct netmap *old = engine_map(n->engine);
	size_t left_out = n->detail ? n->detail->n_left_out : 0;

	localize(n, u->map);
	detail_free(n->detail);
	n->detail = g_steal_pointer(&u->detail);
	note_left_out(n, left_out);
	n->serial = u->serial;
	n->map_ms = now_ms();
	if (!anew && old && netmap_is_same(old, u->map)) {
		engine_set_map_problem(n->engine, NULL);
		return;
	}
	engine_set_map(n->engine, g_steal_pointer(&u->map), now_ms());
	if (n->finder)
		finder_map_changed(n->finder);
	log_info("network %s: %zu peers, serial %" G_GUINT64_FORMAT, engine_map(n->engine)->mesh,
		engine_count_peers(n->engine), n->serial);
}

/* Without a map of the server: the last one, as old as the operator allows. */
static void use_disk(struct network *n)
{
	struct update *u;

	if (network_read_disk(n, (int64_t)n->config->management.map_max_age_h * 3600, &u) < 0)
		return;
	put_in_force(n, u, true);
	n->map_from_disk = true;
	update_free(u);
}

/* The map in force once more, under another configuration: wherever it came from. */
static void reread_map(struct network *n)
{
	int64_t map_ms = n->map_ms;
	struct update *u;

	if (network_read_disk(n, G_MAXINT64, &u) < 0)
		return;
	put_in_force(n, u, true);
	n->map_ms = map_ms;
	update_free(u);
}

/* -- what the client says ------------------------------------------------------------------- */

static void take_servers(struct network *n, struct update_servers *said, bool from_login)
{
	int64_t began_us = g_get_monotonic_time();

	n->servers = update_servers_merge(n->servers, said, from_login);
	network_learn_signal(n);
	network_renew_push(n);
	if (!from_login)
		samples_add_phase(n->samples, SAMPLES_SERVERS, g_get_monotonic_time() - began_us,
			g_get_real_time() * 1000);
}

static void take_update(struct update *u, GBytes *message, bool from_login, void *user)
{
	struct network *n = user;

	if (u->session_expires_s >= 0)
		n->expires_s = u->session_expires_s;
	/* The answer to a login has a map with us alone: the stream brings the real one in a moment. */
	if (u->map && !from_login) {
		int64_t began_us = g_get_monotonic_time();

		put_in_force(n, u, false);
		samples_add_sync(
			n->samples, g_get_monotonic_time() - began_us, g_get_real_time() * 1000);
		n->map_from_disk = n->map_is_stale = false;
		network_save_soon(n, message);
		n->ops.changed(n->user);
	}
	if (u->servers)
		take_servers(n, g_steal_pointer(&u->servers), from_login);
	update_free(u);
	if (message && g_bytes_get_size(message) > TRIM_BYTES)
		malloc_trim(0);
}

static void log_state(struct network *n, const struct mgmt_status *s)
{
	if (s->state == n->told_state && !strcmp(s->error, n->told_error))
		return;
	if (s->state == MGMT_CONNECTED && s->error[0])
		log_warn(
			"management %s: a message cannot be used: %s", n->membership.url, s->error);
	else if (s->state == MGMT_CONNECTED && n->told_state != MGMT_CONNECTED)
		log_info("management %s: connected", n->membership.url);
	else if (s->state == MGMT_LOGIN_NEEDED)
		log_error("management %s: %s; lapwing enroll with a setup key joins again",
			n->membership.url, s->error);
	else if (s->error[0] && strcmp(s->error, n->told_error))
		log_warn("management %s: %s, trying again", n->membership.url, s->error);
	n->told_state = s->state;
	g_strlcpy(n->told_error, s->error, sizeof(n->told_error));
}

/* Where the server is now, and over cleartext its key, are kept for the next start. */
static void remember_server(struct network *n, const struct mgmt_status *s)
{
	struct membership *m = &n->membership;
	struct wg_key key;
	bool changed = false;

	if (s->state != MGMT_CONNECTED)
		return;
	if (s->address[0] && g_strcmp0(m->address, s->address)) {
		g_free(m->address);
		m->address = g_strdup(s->address);
		changed = true;
	}
	if (s->cleartext && mgmt_client_server_key(n->client, &key) &&
		!(m->has_server_key && key_is_same(&m->server_key, &key))) {
		m->server_key = key;
		m->has_server_key = changed = true;
	}
	if (changed && membership_save(n->state_dir, m) < 0)
		log_warn("cannot write down where the server is");
}

/* A server that is away is no problem of the mesh, as long as there is a map. */
static void tell_engine(struct network *n, const struct mgmt_status *s)
{
	g_autofree char *problem = NULL;

	if (s->state == MGMT_LOGIN_NEEDED)
		problem = g_strdup_printf("the server does not know this host: %s", s->error);
	else if (!engine_map(n->engine) && n->map_is_stale)
		problem = g_strdup_printf("the last map is %" G_GINT64_FORMAT
					  " hours old, too old to be used%s%s",
			network_disk_map_age_s(n) / 3600, s->error[0] ? ": " : "", s->error);
	else if (!engine_map(n->engine) && s->error[0])
		problem = g_strdup_printf("no map yet: %s", s->error);
	if (problem || n->has_problem)
		engine_set_map_problem(n->engine, problem);
	n->has_problem = problem != NULL;
}

static void note_login(struct network *n, const struct mgmt_status *s)
{
	if (s->logins != n->logins)
		samples_add_login(
			n->samples, s->login_ms * 1000, s->login_worked, g_get_real_time() * 1000);
	n->logins = s->logins;
}

static void client_changed(void *user)
{
	struct network *n = user;
	struct mgmt_status s;

	mgmt_client_get_status(n->client, &s);
	note_login(n, &s);
	log_state(n, &s);
	tell_engine(n, &s);
	remember_server(n, &s);
	network_renew_push(n);
	n->ops.changed(n->user);
}

/* Two big messages that are not saved yet are one too many: the disk is not told of the older one. The timer
 * for it runs, and takes the newer; what is small may hold no map. */
static void arriving(size_t len, void *user)
{
	struct network *n = user;

	if (n->unsaved && MIN(len, g_bytes_get_size(n->unsaved)) > TRIM_BYTES)
		g_clear_pointer(&n->unsaved, g_bytes_unref);
}

static const struct netmap *last_map(void *user)
{
	return engine_map(((struct network *)user)->engine);
}

const struct mgmt_callbacks network_callbacks = {
	.arriving = arriving,
	.last_map = last_map,
	.update = take_update,
	.changed = client_changed,
};

static struct meta_switches switches_of(const struct config *c)
{
	return (struct meta_switches){
		.no_client_routes = c->policy.routes_given && !c->policy.n_routes,
		.no_firewall = c->policy.firewall == FIREWALL_OFF,
	};
}

struct mgmt_client *network_new_client(const struct network *n, const struct membership *m,
	const struct wg_key *private_key, const struct mgmt_callbacks *callbacks, void *user)
{
	const struct config *c = n->config;
	struct mgmt_options o = {
		.url = m->url,
		.address = m->address,
		.ca_file = c->management.ca_file,
		.ca_dir = c->management.ca_dir,
		.client_cert = c->management.client_cert,
		.client_key = c->management.client_key,
		.mark = network_mark(n, m),
		.private_key = private_key,
		.max_peers = c->policy.max_peers,
		.hostname = m->hostname ? m->hostname : c->management.hostname,
		.dns_labels = (const char *const *)c->management.dns_labels,
		.file_checks = (const char *const *)c->policy.file_checks,
		.interface = network_interface(n, m),
		.switches = switches_of(c),
		.jobs = c->policy.jobs,
	};
	struct mgmt_client *client = mgmt_client_new(&o, callbacks, user);

	if (m->has_server_key)
		mgmt_client_trust_key(client, &m->server_key);
	if (mgmt_url_is_cleartext(m->url))
		log_warn(
			"management %s: without TLS its key and its answers are anybody's on the way",
			m->url);
	return client;
}

/* What the interface and the mark of our own packets are, before there is a map as with one. */
const char *network_interface(const struct network *n, const struct membership *m)
{
	if (n->config->interface.name[0])
		return n->config->interface.name;
	return m->interface[0] ? m->interface : "wt0";
}

uint32_t network_mark(const struct network *n, const struct membership *m)
{
	enum { PORT = 51820 };

	if (n->config->interface.fwmark >= 0)
		return (uint32_t)n->config->interface.fwmark;
	if (n->config->interface.listen_port >= 0)
		return (uint32_t)n->config->interface.listen_port;
	return m->listen_port ? m->listen_port : PORT;
}

/* -- life ----------------------------------------------------------------------------------- */

struct network *network_new(const char *state_dir, const struct config *config,
	struct engine *engine, const struct network_ops *ops, void *user)
{
	struct network *n = g_new0(struct network, 1);

	n->state_dir = g_strdup(state_dir);
	n->psk_path = g_build_filename(state_dir, "network.psk", NULL);
	n->config = config;
	n->engine = engine;
	n->ops = *ops;
	n->user = user;
	n->samples = samples_new();
	return n;
}

void network_free(struct network *n)
{
	if (!n)
		return;
	network_save_now(n);
	network_end_trial(n);
	network_forget(n);
	samples_free(n->samples);
	g_free(n->state_dir);
	g_free(n->psk_path);
	g_free(n);
}

/* Of this network, in memory. */
void network_forget(struct network *n)
{
	g_clear_handle_id(&n->save_timer, g_source_remove);
	g_clear_pointer(&n->unsaved, g_bytes_unref);
	g_clear_pointer(&n->client, mgmt_client_free);
	network_forget_signal(n);
	network_forget_push(n);
	g_clear_pointer(&n->detail, detail_free);
	g_clear_pointer(&n->servers, update_servers_free);
	membership_done(&n->membership);
	key_wipe(&n->private_key);
	n->saved_ms = n->map_ms = n->map_saved_s = 0;
	n->map_is_stale = false;
	n->serial = 0;
	n->expires_s = 0;
	n->logins = 0;
	n->told_state = MGMT_STOPPED;
	n->told_error[0] = '\0';
}

/* The key may be bound to another machine: then it is somebody else's. */
int network_load_key(
	const struct network *n, struct wg_key *ret, char error[static NETWORK_ERROR_MAX])
{
	enum identity_binding binding;
	int r = identity_load(n->state_dir, IDENTITY_MACHINE_ID, ret, &binding);
	const char *hint = NULL, *note;

	if (r < 0) {
		const char *why = identity_strerror(r, &hint);

		g_snprintf(error, NETWORK_ERROR_MAX, "%s/private.key: %s%s%s", n->state_dir, why,
			hint ? "; " : "", hint ? hint : "");
		return r;
	}
	note = identity_binding_note(binding);
	if (note)
		log_info("%s/private.key: %s", n->state_dir, note);
	return 0;
}

/* Begins to be a member: key, client. The membership is in place. */
void network_begin(struct network *n, const struct wg_key *private_key)
{
	n->private_key = *private_key;
	key_public_from_private(private_key, &n->public_key);
	engine_set_private_key(n->engine, private_key);
	engine_set_config(n->engine, n->config);
	samples_set_network(n->samples, n->membership.url, &n->public_key);
}

static void renew_client(struct network *n)
{
	mgmt_client_free(n->client);
	n->client = network_new_client(n, &n->membership, &n->private_key, &network_callbacks, n);
	if (!n->down)
		mgmt_client_start(n->client, NULL);
}

int network_open(struct network *n, bool down, char error[static NETWORK_ERROR_MAX])
{
	_auto_wipe_ struct wg_key key = { 0 };
	int r = membership_load(n->state_dir, &n->membership);

	n->down = down;
	if (r == -ENOENT)
		return r;
	if (r < 0) {
		g_snprintf(error, NETWORK_ERROR_MAX, "cannot read which network %s belongs to: %s",
			n->state_dir, g_strerror(-r));
		return r;
	}
	r = network_load_key(n, &key, error);
	if (r < 0) {
		membership_done(&n->membership);
		n->key_is_foreign = r == -EXDEV;
		return r == -ENOENT ? -EINVAL : r;
	}
	network_begin(n, &key);
	use_disk(n);
	renew_client(n);
	network_renew_signal(n);
	return 0;
}

const char *network_url(const struct network *n)
{
	return n->membership.url;
}

bool network_is_joined(const struct network *n)
{
	return n->membership.url != NULL;
}

bool network_is_connected(const struct network *n)
{
	struct mgmt_status s;

	if (!n->client)
		return false;
	mgmt_client_get_status(n->client, &s);
	return s.state == MGMT_CONNECTED && n->map_ms && !n->map_from_disk;
}

void network_set_down(struct network *n, bool down)
{
	if (n->down == down)
		return;
	n->down = down;
	if (!n->client)
		return;
	if (down)
		mgmt_client_stop(n->client);
	else
		mgmt_client_start(n->client, NULL);
	network_set_signal_down(n, down);
	network_renew_push(n);
}

/* What a client is made from, as text: another one is made only where that differs. */
static char *describe_client(const struct network *n)
{
	const struct config *c = n->config;
	g_autofree char *labels = join(c->management.dns_labels);
	g_autofree char *files = join(c->policy.file_checks);
	struct meta_switches off = switches_of(c);

	return g_strdup_printf("%s|%s|%s|%s|%s|%s|%s|%u|%d|%d|%d|%s|%u",
		or_none(c->management.ca_file), or_none(c->management.ca_dir),
		or_none(c->management.client_cert), or_none(c->management.client_key),
		or_none(c->management.hostname), labels, files, c->policy.max_peers, c->policy.jobs,
		off.no_client_routes, off.no_firewall, network_interface(n, &n->membership),
		network_mark(n, &n->membership));
}

void network_set_config(struct network *n, const struct config *config)
{
	g_autofree char *before = network_is_joined(n) ? describe_client(n) : NULL;
	g_autofree char *after = NULL;

	n->config = config;
	if (!before)
		return;
	network_renew_gathering(n);
	network_renew_push(n);
	network_save_now(n);
	if (engine_map(n->engine))
		reread_map(n);
	else
		use_disk(n);
	after = describe_client(n);
	if (strcmp(before, after)) {
		renew_client(n);
		network_renew_signal(n);
	} else if (!n->down) {
		mgmt_client_retry(n->client);
		if (n->signal)
			signal_client_retry(n->signal);
	}
}

void network_tick(struct network *n)
{
	if (network_is_connected(n))
		network_confirm_saved(n);
	if (n->finder)
		finder_tick(n->finder);
	/* The clock may have been set since. */
	if (n->map_is_stale && !engine_map(n->engine)) {
		use_disk(n);
		client_changed(n);
	}
}
