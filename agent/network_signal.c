/* agent/network_signal.c - the signal server of a network: which one it is, and being connected to it.
 *
 * Peers find each other through it; tunnels that are up do not need it. */
#include <string.h>

#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/network_impl.h"
#include "mgmt/netmap.h"
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
	if (s.life.state == n->told_signal_state && !strcmp(s.life.error, n->told_signal_error))
		return;
	if (s.life.state == SIGNAL_CONNECTED)
		log_info("signal %s: connected", n->membership.signal);
	else if (s.life.error[0] && strcmp(s.life.error, n->told_signal_error))
		log_warn("signal %s: %s, trying again", n->membership.signal, s.life.error);
	n->told_signal_state = s.life.state;
	g_strlcpy(n->told_signal_error, s.life.error, sizeof(n->told_signal_error));
}

static const struct signal_callbacks callbacks = { .is_peer = is_peer, .changed = signal_changed };

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
		signal_client_start(n->signal);
}

void network_forget_signal(struct network *n)
{
	g_clear_pointer(&n->signal, signal_client_free);
	n->told_signal_state = SIGNAL_STOPPED;
	n->told_signal_error[0] = '\0';
}

void network_learn_signal(struct network *n)
{
	static struct log_limit limit = { .cause = "signal server", .burst = 1 };
	struct membership *m = &n->membership;
	char error[MGMT_ERROR_MAX];
	g_autofree char *text = NULL, *url = NULL;

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
	if (down)
		signal_client_stop(n->signal);
	else
		signal_client_start(n->signal);
}
