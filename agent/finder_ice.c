/* agent/finder_ice.c - one ICE agent for each peer under negotiation, on ports that are led over WireGuard's. */
#include "agent/finder_impl.h"

#include <errno.h>
#include <glib-unix.h>
#include <string.h>

#include "agent/base/log.h"
#include "ice/packet.h"
#include "netlink/nfqueue.h"

/* The first port of the range is that of the answers. */
enum { PORT_ANSWERS = 0, PORT_FIRST = 1 };

struct agent {
	struct wg_key key;
	struct finder *finder;
	struct ice *ice;
	char ufrag[NEGO_UFRAG_LEN + 1], pwd[NEGO_PWD_LEN + 1];
	uint8_t session[NEGO_SESSION_LEN];
};

/* -- what ICE says ------------------------------------------------------------------------------- */

static void on_candidate(const char *line, void *user)
{
	struct agent *a = user;

	nego_local_candidate(a->finder->nego, &a->key, a->session, line);
	finder_kick(a->finder);
}

static void on_selected(const struct ice_path *path, void *user)
{
	struct agent *a = user;
	char key[KEY_STRLEN], text[ENDPOINT_STRLEN];

	log_debug("peer %s: %s answers", key_format(&a->key, key),
		endpoint_format(&path->endpoint, text));
	nego_selected(a->finder->nego, &a->key, a->session,
		&(struct nego_path){ path->endpoint, path->local, path->remote }, finder_now_ms());
	finder_kick(a->finder);
}

static void on_failed(int error, void *user)
{
	struct agent *a = user;

	nego_failed(a->finder->nego, &a->key, a->session,
		error == -ETIMEDOUT ? "no candidate answered in time"
				    : "the path does not answer any more",
		finder_now_ms());
	finder_kick(a->finder);
}

static const struct ice_ops ice_ops = { on_candidate, on_selected, on_failed };

/* -- packets of agents that append something ------------------------------------------------------- */

static size_t cut(uint8_t *packet, size_t len, void *user)
{
	return packet_cut(packet, len);
}

static gboolean read_queue(gint fd, GIOCondition condition, gpointer user)
{
	struct finder *f = user;

	if (nfqueue_read(f->queue, cut, NULL) == 0)
		return G_SOURCE_CONTINUE;
	f->queue_source = 0;
	g_clear_pointer(&f->queue, nfqueue_close);
	return G_SOURCE_REMOVE;
}

/* Not before the first peer that needs it. */
static void open_queue(struct finder *f)
{
	static struct log_limit limit = { .cause = "nfqueue", .burst = 1 };
	int r;

	if (f->queue)
		return;
	r = nfqueue_open(engine_port(f->engine), &f->queue);
	if (r == 0)
		f->queue_source = g_unix_fd_add(nfqueue_fd(f->queue), G_IO_IN, read_queue, f);
	else if (log_limit_allows(&limit))
		log_warn_errno(r, "no nfqueue: agents of NetBird are not understood");
}

/* -- life ---------------------------------------------------------------------------------------- */

static void on_mapped(const struct endpoint *server, const struct endpoint *mapped, void *user)
{
	finder_ice_mapped(user, mapped);
}

static void open_binding(struct finder *f)
{
	static const struct binding_ops ops = { .mapped = on_mapped };
	uint16_t port = (uint16_t)(engine_first_steered(f->engine) + PORT_ANSWERS);
	int r;

	if (f->binding)
		return;
	r = binding_open(port, &ops, f, &f->binding);
	if (r < 0)
		log_warn_errno(r, "cannot use port %u: no STUN server is asked", port);
}

static void agent_free(gpointer data)
{
	struct agent *a = data;

	ice_free(a->ice);
	engine_steer_no_more(a->finder->engine, a->ufrag);
	explicit_bzero(a->pwd, sizeof(a->pwd));
	g_free(a);
}

void finder_ice_open(struct finder *f)
{
	f->agents = g_hash_table_new_full(key_hash, key_equal, NULL, agent_free);
}

void finder_ice_close(struct finder *f)
{
	g_hash_table_unref(f->agents);
	engine_steer_nobody(f->engine);
	g_clear_handle_id(&f->queue_source, g_source_remove);
	nfqueue_close(f->queue);
	g_clear_pointer(&f->binding, binding_close);
}

/* -- one session ---------------------------------------------------------------------------------- */

/* The next port of this kind of peer. */
static uint16_t next_port(struct finder *f, bool alike)
{
	uint16_t *next = alike ? &f->next_alike : &f->next_other;
	unsigned begin = alike ? PORT_FIRST : ENGINE_STEERED_ALIKE;
	unsigned end = alike ? ENGINE_STEERED_ALIKE : ENGINE_STEERED_ALL;

	*next = *next < begin || *next + 1u >= end ? (uint16_t)begin : (uint16_t)(*next + 1);
	return (uint16_t)(engine_first_steered(f->engine) + *next);
}

/* Some ports may be somebody else's. */
static int open_ice(struct finder *f, struct agent *a, struct ice_config *config, bool alike)
{
	int r = -EADDRINUSE;

	for (unsigned tries = 0; r == -EADDRINUSE && tries < ENGINE_STEERED_ALIKE; tries++) {
		config->port = next_port(f, alike);
		r = ice_new(config, &ice_ops, a, &a->ice);
	}
	return r < 0 ? r : engine_steer(f->engine, a->ufrag, config->port);
}

static int begin(struct finder *f, struct agent *a, bool alike)
{
	struct ice_local locals[GATHER_MAX];
	struct prefix overlay[FINDER_OVERLAYS];
	struct ice_config config = {
		.controlling = nego_controls(f->nego, &a->key),
		.aggressive = alike,
		.announced_port = engine_port(f->engine),
		.locals = locals,
		.n_locals = finder_locals(f, locals),
		.overlay = overlay,
		.n_overlay = finder_overlays(f, overlay),
	};
	int r;

	g_strlcpy(config.ufrag, a->ufrag, sizeof(config.ufrag));
	g_strlcpy(config.password, a->pwd, sizeof(config.password));
	r = open_ice(f, a, &config, alike);
	explicit_bzero(config.password, sizeof(config.password));
	return r;
}

static int give_remote(struct agent *a, const struct nego_words *remote)
{
	struct ice_credentials c;
	int r;

	g_strlcpy(c.ufrag, remote->ufrag, sizeof(c.ufrag));
	g_strlcpy(c.password, remote->pwd, sizeof(c.password));
	r = ice_remote(a->ice, &c);
	explicit_bzero(&c, sizeof(c));
	return r;
}

static void announce(struct finder *f, struct agent *a)
{
	ice_announce(a->ice);
	for (size_t i = 0; i < f->n_mapped; i++)
		ice_reflexive(a->ice, &f->mapped[i]);
}

static struct agent *agent_new(
	struct finder *f, const struct wg_key *key, const struct nego_words *local)
{
	struct agent *a = g_new0(struct agent, 1);

	a->key = *key;
	a->finder = f;
	g_strlcpy(a->ufrag, local->ufrag, sizeof(a->ufrag));
	g_strlcpy(a->pwd, local->pwd, sizeof(a->pwd));
	memcpy(a->session, local->session, sizeof(a->session));
	g_hash_table_replace(f->agents, &a->key, a);
	return a;
}

void finder_ice_start(struct finder *f, const struct wg_key *key)
{
	struct nego_words local, remote;
	struct agent *a;
	int r;

	if (!nego_words(f->nego, key, &local) || !nego_take_words(f->nego, key, &remote))
		return;
	finder_ice_forget(f, local.ufrag);
	open_binding(f);
	if (!remote.lapwing)
		open_queue(f);
	a = agent_new(f, key, &local);
	r = begin(f, a, remote.lapwing);
	if (r == 0)
		announce(f, a); /* behind the answer, which waits to be sent already */
	if (r == 0)
		r = give_remote(a, &remote);
	if (r < 0) {
		nego_failed(f->nego, key, local.session, g_strerror(-r), finder_now_ms());
		finder_kick(f);
	} else {
		finder_ask_servers(f);
	}
	explicit_bzero(&local, sizeof(local));
	explicit_bzero(&remote, sizeof(remote));
}

void finder_ice_stop(struct finder *f, const struct wg_key *key)
{
	g_hash_table_remove(f->agents, key);
}

void finder_ice_candidate(struct finder *f, const struct wg_key *key, const char *line)
{
	const struct agent *a = g_hash_table_lookup(f->agents, key);

	if (a && a->ice && ice_candidate(a->ice, line, strlen(line)) < 0)
		f->refused++;
}

void finder_ice_mapped(struct finder *f, const struct endpoint *mapped)
{
	GHashTableIter iter;
	struct agent *a;

	for (size_t i = 0; i < f->n_mapped; i++)
		if (endpoint_is_same(&f->mapped[i], mapped))
			return;
	if (f->n_mapped < BINDING_SERVERS_MAX)
		f->mapped[f->n_mapped++] = *mapped;
	g_hash_table_iter_init(&iter, f->agents);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&a))
		if (a->ice)
			ice_reflexive(a->ice, mapped);
}

/* -- after that ------------------------------------------------------------------------------------ */

/* Its checks come to the one port of the answers. */
static void answer(struct finder *f, const char *ufrag, const char *pwd)
{
	uint16_t port = (uint16_t)(engine_first_steered(f->engine) + PORT_ANSWERS);

	binding_answer(f->binding, ufrag, pwd);
	engine_steer(f->engine, ufrag, port);
}

void finder_ice_release(struct finder *f, const struct wg_key *key)
{
	struct nego_words local;

	if (!f->binding || !g_hash_table_remove(f->agents, key))
		return;
	if (nego_words(f->nego, key, &local))
		answer(f, local.ufrag, local.pwd);
	explicit_bzero(&local, sizeof(local));
}

void finder_ice_resume(struct finder *f, const struct wg_key *key)
{
	struct nego_words local;

	open_binding(f);
	if (f->binding && nego_words(f->nego, key, &local))
		answer(f, local.ufrag, local.pwd);
	explicit_bzero(&local, sizeof(local));
}

void finder_ice_forget(struct finder *f, const char *ufrag)
{
	if (!f->binding || !binding_forget(f->binding, ufrag))
		return;
	engine_steer_no_more(f->engine, ufrag);
	finder_sessions_changed(f);
}
