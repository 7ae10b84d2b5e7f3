/* ice/agent.c - one libnice agent for one session: its options, and its candidates to text and back. */
#include "ice/agent.h"

#include <errno.h>
#include <glib.h>
#include <nice/nice.h>
#include <string.h>

#include "ice/crc32.h"

enum { COMPONENT = 1, OURS_MAX = 64 };
/* So often a check is sent, 0.5 s apart; the other side's checks begin ours anew. As long as one may be answered libnice
 * nominates no other, and a host with two networks has a pair that leads nowhere: with its own three that takes 2 s. */
enum { PATIENCE = 2 };

/* libnice has it since 0.1.19, and this macro since 0.1.20. Without it nobody tells of a path that ends before WireGuard
 * uses it. */
#ifdef NICE_CHECK_VERSION
enum { CONSENT = NICE_AGENT_OPTION_CONSENT_FRESHNESS };
#else
enum { CONSENT = 0 };
#endif

/* A candidate of the other side, as little of it as is needed until checks begin. */
struct remote {
	enum candidate_type type;
	uint32_t priority, ufrag; /* the ufrag's checksum; 0: it came without one */
	struct endpoint at;
	char foundation[CANDIDATE_FOUNDATION_MAX + 1];
};

struct ice {
	const struct ice_ops *ops;
	void *user;
	NiceAgent *agent;
	guint stream, limit;
	uint16_t announced_port;
	char ufrag[ICE_UFRAG_LEN + 1];
	struct ice_local *locals;
	struct prefix *overlay;
	size_t n_locals, n_overlay;
	GPtrArray *lines; /* of our candidates, not told yet */
	GArray *ours; /* struct endpoint: all that are or were in there */
	guint telling; /* source */
	bool announces, started, selected;
	uint32_t remote_ufrag;
	GArray *remotes; /* struct remote */
};

/* -- addresses ------------------------------------------------------------------------------ */

static void address_to_nice(const struct endpoint *e, NiceAddress *ret)
{
	struct sockaddr_storage sa;

	endpoint_to_sockaddr(e, &sa);
	nice_address_init(ret);
	nice_address_set_from_sockaddr(ret, (const struct sockaddr *)&sa);
}

static struct endpoint address_from_nice(const NiceAddress *address)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	struct endpoint e = { 0 };

	nice_address_copy_to_sockaddr(address, (struct sockaddr *)&sa);
	endpoint_from_sockaddr((const struct sockaddr *)&sa, sizeof(sa), &e);
	return e;
}

static struct endpoint host_endpoint(const struct prefix *host, uint16_t port)
{
	struct endpoint e = { .family = host->family, .port = port };

	memcpy(e.addr, host->addr, sizeof(e.addr));
	return e;
}

static enum candidate_type type_from_nice(NiceCandidateType type)
{
	switch (type) {
	case NICE_CANDIDATE_TYPE_HOST:
		return CANDIDATE_HOST;
	case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
		return CANDIDATE_SRFLX;
	case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
		return CANDIDATE_PRFLX;
	case NICE_CANDIDATE_TYPE_RELAYED:
		break;
	}
	return CANDIDATE_RELAY;
}

static NiceCandidateType type_to_nice(enum candidate_type type)
{
	static const NiceCandidateType types[] = {
		[CANDIDATE_HOST] = NICE_CANDIDATE_TYPE_HOST,
		[CANDIDATE_SRFLX] = NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE,
		[CANDIDATE_PRFLX] = NICE_CANDIDATE_TYPE_PEER_REFLEXIVE,
		[CANDIDATE_RELAY] = NICE_CANDIDATE_TYPE_RELAYED,
	};

	return types[type];
}

/* -- our candidates ------------------------------------------------------------------------- */

/* One at a time: with any of them the owner may have had enough. */
static gboolean tell_next(gpointer user)
{
	struct ice *ice = user;
	g_autofree char *line = g_ptr_array_steal_index(ice->lines, 0);
	bool last = ice->lines->len == 0;

	if (last)
		ice->telling = 0;
	ice->ops->candidate(line, ice->user);
	return last ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static void tell(struct ice *ice)
{
	if (ice->announces && ice->lines->len && !ice->telling)
		ice->telling = g_idle_add_full(G_PRIORITY_DEFAULT, tell_next, ice, NULL);
}

static bool is_in(const GArray *endpoints, const struct endpoint *e)
{
	for (guint i = 0; i < endpoints->len; i++)
		if (endpoint_is_same(&g_array_index(endpoints, struct endpoint, i), e))
			return true;
	return false;
}

static void add_ours(struct ice *ice, struct candidate *c)
{
	char line[CANDIDATE_LINE_MAX];

	if (is_in(ice->ours, &c->address) || ice->ours->len == OURS_MAX)
		return;
	g_array_append_val(ice->ours, c->address);
	candidate_complete(c);
	g_strlcpy(c->ufrag, ice->ufrag, sizeof(c->ufrag));
	g_ptr_array_add(ice->lines, g_strdup(candidate_format(c, line)));
	tell(ice);
}

static const struct ice_local *find_local(const struct ice *ice, const struct endpoint *at)
{
	struct endpoint e;

	for (size_t i = 0; i < ice->n_locals; i++) {
		e = host_endpoint(&ice->locals[i].address, at->port);
		if (e.family == at->family && !memcmp(e.addr, at->addr, sizeof(e.addr)))
			return &ice->locals[i];
	}
	return NULL;
}

/* A socket was made. Its port is nobody's business. */
static void on_new_candidate(NiceAgent *agent, NiceCandidate *found, gpointer user)
{
	struct ice *ice = user;
	struct endpoint at = address_from_nice(&found->addr);
	const struct ice_local *local = find_local(ice, &at);
	struct candidate c = { .type = CANDIDATE_HOST };

	if (found->type != NICE_CANDIDATE_TYPE_HOST || !local || !local->announced.family)
		return;
	c.address = host_endpoint(&local->announced, ice->announced_port);
	add_ours(ice, &c);
}

/* The reference has no more to say of the address behind it. */
void ice_reflexive(struct ice *ice, const struct endpoint *mapped)
{
	struct candidate c = {
		.type = CANDIDATE_SRFLX,
		.address = *mapped,
		.related = { .family = AF_INET, .port = ice->announced_port },
	};

	add_ours(ice, &c);
}

void ice_announce(struct ice *ice)
{
	ice->announces = true;
	tell(ice);
}

/* -- theirs --------------------------------------------------------------------------------- */

static void give_remote(struct ice *ice, const struct remote *remote)
{
	NiceCandidate *c = nice_candidate_new(type_to_nice(remote->type));
	GSList one = { .data = c };

	c->transport = NICE_CANDIDATE_TRANSPORT_UDP;
	c->stream_id = ice->stream;
	c->component_id = COMPONENT;
	c->priority = remote->priority;
	address_to_nice(&remote->at, &c->addr);
	c->base_addr = c->addr;
	g_strlcpy(c->foundation, remote->foundation, sizeof(c->foundation));
	nice_agent_set_remote_candidates(ice->agent, ice->stream, COMPONENT, &one);
	nice_candidate_free(c);
}

static bool is_stale(const struct ice *ice, uint32_t ufrag)
{
	return ice->started && ufrag && ufrag != ice->remote_ufrag;
}

static int add_remote(struct ice *ice, const struct candidate *c)
{
	struct remote remote = {
		.type = c->type,
		.priority = c->priority,
		.ufrag = c->ufrag[0] ? crc32_of(c->ufrag, strlen(c->ufrag)) : 0,
		.at = c->address,
	};
	guint same_address = 0;

	g_strlcpy(remote.foundation, c->foundation, sizeof(remote.foundation));
	if (is_stale(ice, remote.ufrag))
		return -ESTALE;
	for (guint i = 0; i < ice->remotes->len; i++) {
		const struct endpoint *e = &g_array_index(ice->remotes, struct remote, i).at;

		if (endpoint_is_same(e, &remote.at))
			return 0;
		same_address += !memcmp(e->addr, remote.at.addr, sizeof(e->addr));
	}
	if (ice->remotes->len == ICE_REMOTE_MAX || same_address == ICE_ADDRESS_MAX)
		return -ENOBUFS;
	g_array_append_val(ice->remotes, remote);
	if (ice->started)
		give_remote(ice, &remote);
	return 0;
}

int ice_candidate(struct ice *ice, const char *line, size_t len)
{
	struct candidate c, extra;
	int r = candidate_parse(line, len, &c);

	if (r < 0)
		return r;
	if (candidate_refusal(&c, ice->overlay, ice->n_overlay))
		return -EPERM;
	r = add_remote(ice, &c);
	return r == 0 && candidate_make_extra(&c, &extra) ? add_remote(ice, &extra) : r;
}

/* -- what becomes of it --------------------------------------------------------------------- */

static void fail(struct ice *ice, int error)
{
	g_signal_handlers_disconnect_by_data(ice->agent, ice);
	ice->ops->failed(error, ice->user);
}

static gboolean limit_reached(gpointer user)
{
	struct ice *ice = user;

	ice->limit = 0;
	fail(ice, -ETIMEDOUT);
	return G_SOURCE_REMOVE;
}

int ice_remote(struct ice *ice, const struct ice_credentials *remote)
{
	if (ice->started)
		return -EALREADY;
	if (!remote->ufrag[0] || !remote->password[0] ||
		!nice_agent_set_remote_credentials(
			ice->agent, ice->stream, remote->ufrag, remote->password))
		return -EINVAL;
	ice->started = true;
	ice->remote_ufrag = crc32_of(remote->ufrag, strlen(remote->ufrag));
	ice->limit = g_timeout_add(ICE_LIMIT_MS, limit_reached, ice);
	for (guint i = 0; i < ice->remotes->len; i++) {
		const struct remote *early = &g_array_index(ice->remotes, struct remote, i);

		if (!is_stale(ice, early->ufrag))
			give_remote(ice, early);
	}
	return 0;
}

/* The other side's address may be one that it never told, and may not. */
static void on_selected(NiceAgent *agent, guint stream, guint component, NiceCandidate *local,
	NiceCandidate *remote, gpointer user)
{
	struct ice *ice = user;
	struct candidate c = { .address = address_from_nice(&remote->addr) };
	const struct ice_path path = {
		.local = type_from_nice(local->type),
		.remote = type_from_nice(remote->type),
		.endpoint = c.address,
	};

	if (candidate_refusal(&c, ice->overlay, ice->n_overlay))
		return;
	g_clear_handle_id(&ice->limit, g_source_remove);
	ice->selected = true;
	ice->ops->selected(&path, ice->user);
}

/* Before there is a path it means only that none of the candidates so far has one. */
static void on_state(NiceAgent *agent, guint stream, guint component, guint state, gpointer user)
{
	struct ice *ice = user;

	if (state == NICE_COMPONENT_STATE_FAILED && ice->selected)
		fail(ice, -ECONNRESET);
}

/* -- life ----------------------------------------------------------------------------------- */

/* Nothing is sent to it: what arrives is the remote's try to send data on the path. */
static void drop_data(
	NiceAgent *agent, guint stream, guint component, guint len, gchar *data, gpointer user)
{
}

/* No SOFTWARE and no renomination: they would move USERNAME to where steering does not look. */
static NiceAgent *make_agent(const struct ice_config *config)
{
	NiceAgentOption options = NICE_AGENT_OPTION_ICE_TRICKLE | CONSENT |
		(config->aggressive ? 0 : NICE_AGENT_OPTION_REGULAR_NOMINATION);
	NiceAgent *agent = nice_agent_new_full(
		g_main_context_default(), NICE_COMPATIBILITY_RFC5245, options);
	NiceAddress address;

	g_object_set(agent, "ice-tcp", FALSE, "upnp", FALSE, "controlling-mode",
		(gboolean)config->controlling, NULL);
	if (config->controlling && !config->aggressive)
		g_object_set(agent, "stun-max-retransmissions", (guint)PATIENCE, NULL);
	for (size_t i = 0; i < config->n_locals; i++) {
		const struct endpoint e = host_endpoint(&config->locals[i].address, 0);

		address_to_nice(&e, &address);
		nice_agent_add_local_address(agent, &address);
	}
	return agent;
}

static bool gather(struct ice *ice, const struct ice_config *config)
{
	ice->stream = nice_agent_add_stream(ice->agent, COMPONENT);
	nice_agent_set_port_range(ice->agent, ice->stream, COMPONENT, config->port, config->port);
	nice_agent_set_local_credentials(ice->agent, ice->stream, config->ufrag, config->password);
	nice_agent_attach_recv(
		ice->agent, ice->stream, COMPONENT, g_main_context_default(), drop_data, NULL);
	return nice_agent_gather_candidates(ice->agent, ice->stream);
}

int ice_new(
	const struct ice_config *config, const struct ice_ops *ops, void *user, struct ice **ret)
{
	struct ice *ice;

	if (!config->n_locals) /* libnice would take all there are */
		return -EADDRNOTAVAIL;
	ice = g_new0(struct ice, 1);
	ice->ops = ops;
	ice->user = user;
	ice->announced_port = config->announced_port;
	g_strlcpy(ice->ufrag, config->ufrag, sizeof(ice->ufrag));
	ice->locals = g_memdup2(config->locals, config->n_locals * sizeof(*ice->locals));
	ice->n_locals = config->n_locals;
	ice->overlay = g_memdup2(config->overlay, config->n_overlay * sizeof(*ice->overlay));
	ice->n_overlay = config->n_overlay;
	ice->lines = g_ptr_array_new_with_free_func(g_free);
	ice->ours = g_array_new(FALSE, FALSE, sizeof(struct endpoint));
	ice->remotes = g_array_new(FALSE, FALSE, sizeof(struct remote));
	ice->agent = make_agent(config);
	g_signal_connect(ice->agent, "new-candidate-full", G_CALLBACK(on_new_candidate), ice);
	g_signal_connect(ice->agent, "new-selected-pair-full", G_CALLBACK(on_selected), ice);
	g_signal_connect(ice->agent, "component-state-changed", G_CALLBACK(on_state), ice);
	if (!gather(ice, config)) {
		ice_free(ice);
		return -EADDRINUSE;
	}
	*ret = ice;
	return 0;
}

void ice_free(struct ice *ice)
{
	if (!ice)
		return;
	g_clear_handle_id(&ice->limit, g_source_remove);
	g_clear_handle_id(&ice->telling, g_source_remove);
	g_signal_handlers_disconnect_by_data(ice->agent, ice);
	g_object_unref(ice->agent);
	g_ptr_array_unref(ice->lines);
	g_array_unref(ice->ours);
	g_array_unref(ice->remotes);
	g_free(ice->locals);
	g_free(ice->overlay);
	g_free(ice);
}
