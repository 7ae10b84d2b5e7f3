/* agent/status.c - what the engine knows, as JSON: from memory, never from the kernel. */
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

static const char *host_name(const struct engine *e, uint32_t host)
{
	return netmap_text(e->map, e->map->hosts[host].name);
}

static void write_prefixes(GString *out, const char *key, const struct prefix *list, size_t n)
{
	char text[PREFIX_STRLEN];

	jwrite_open(out, key, '[');
	for (size_t i = 0; i < n; i++)
		jwrite_string(out, NULL, prefix_format(&list[i], text));
	jwrite_close(out, ']');
}

static void write_time(GString *out, const char *key, int64_t wall_s)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(wall_s);
	g_autofree char *text = time ? g_date_time_format_iso8601(time) : NULL;

	jwrite_string(out, key, text);
}

/* -- one peer ------------------------------------------------------------------------------- */

static bool has_endpoint(const struct engine *e, uint32_t host)
{
	struct endpoint known;

	return engine_lazy_candidates(e, host, &known, 1) > 0;
}

static bool last_wake_failed(const struct engine *e, uint32_t host)
{
	struct lazy_view view;

	lazy_view(e->lazy, host, &view);
	return view.unreachable;
}

static const char *peer_reason(
	const struct engine *e, uint32_t host, int64_t now_ms, char *buf, size_t len)
{
	const struct peer *peer = &e->peers[host];
	const struct netmap_host *h = &e->map->hosts[host];
	char text[ENDPOINT_STRLEN];

	if (peer->block == PEER_BLOCK_PSK)
		snprintf(buf, len, "pre-shared key %s: %s", netmap_text(e->map, h->psk_file),
			strerror(-peer->error));
	else if (peer->block == PEER_BLOCK_KERNEL)
		snprintf(buf, len, "refused by the kernel: %s", strerror(-peer->error));
	else if (!peer->endpoint.family && engine_names_error(e, host)[0])
		snprintf(buf, len, "no address yet: %s", engine_names_error(e, host));
	else if (!has_endpoint(e, host) && peer->state != PEER_UP &&
		(!e->finder || peer->state != PEER_PARKED))
		snprintf(buf, len, "no endpoint known: it %s",
			e->finder ? "is asked for some" : "has to begin");
	else if (peer->state == PEER_PARKED && last_wake_failed(e, host))
		snprintf(buf, len, "did not answer when it was last wanted");
	else if (peer->state == PEER_UNREACHABLE || peer->state == PEER_CONNECTING ||
		peer->state == PEER_WAKING)
		snprintf(buf, len, "%s does not answer%s", endpoint_format(&peer->endpoint, text),
			peer->asking_ms && now_ms - peer->asking_ms >= PEER_GIVE_UP_MS ? " any more"
										       : "");
	else
		return NULL;
	return buf;
}

static void write_held(const struct engine *e, GString *out, uint32_t host)
{
	char text[PREFIX_STRLEN];

	jwrite_open(out, "holds", '[');
	for (size_t i = 0; i < routing_n_groups(e->routing); i++)
		if (routing_group_active(e->routing, i) == host)
			jwrite_string(out, NULL,
				prefix_format(routing_group_prefix(e->routing, i), text));
	jwrite_close(out, ']');
}

static void write_number(GString *out, const char *key, int64_t value, bool known)
{
	if (known)
		jwrite_int(out, key, value);
	else
		jwrite_null(out, key);
}

static void write_lazy_peer(const struct engine *e, GString *out, uint32_t host, int64_t now_ms)
{
	const struct peer *peer = &e->peers[host];
	struct lazy_view view;
	bool permanent;

	lazy_view(e->lazy, host, &view);
	permanent = view.state == LAZY_PERMANENT;
	jwrite_string(out, "lazy", lazy_state_name(view.state));
	jwrite_string(out, "lazy_reason",
		!permanent            ? NULL
			: view.pinned ? "pinned"
				      : engine_why_permanent(e, host));
	jwrite_bool(out, "pinned", view.pinned);
	write_number(out, "last_inner_seconds", (now_ms - view.inner_ms) / 1000, view.inner_ms);
	write_number(out, "idle_after_seconds", view.idle_s, !permanent);
	jwrite_open(out, "wakes", '{');
	jwrite_int(out, "count", view.wakes);
	jwrite_string(out, "cause", lazy_cause_name(view.cause));
	write_number(out, "endpoint_us", peer->endpoint_us, peer->endpoint_us);
	write_number(out, "answer_us", (int64_t)view.answer_ms * 1000, view.answer_ms);
	jwrite_int(out, "dropped", peer->dropped);
	jwrite_close(out, '}');
}

/* Where it may be, the likeliest first. */
static void write_candidates(const struct engine *e, GString *out, uint32_t host)
{
	struct endpoint known[NETMAP_ENDPOINTS_MAX + 1];
	size_t n = engine_lazy_candidates(e, host, known, G_N_ELEMENTS(known));
	char text[ENDPOINT_STRLEN];

	jwrite_open(out, "candidates", '[');
	for (size_t i = 0; i < n; i++)
		jwrite_string(out, NULL, endpoint_format(&known[i], text));
	jwrite_close(out, ']');
}

static void write_peer(const struct engine *e, GString *out, uint32_t host, int64_t now_ms)
{
	const struct netmap_host *h = &e->map->hosts[host];
	const struct prefix *prefixes = netmap_prefixes(e->map, h);
	const struct peer *peer = &e->peers[host];
	char reason[256], key[KEY_STRLEN], text[ENDPOINT_STRLEN];

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "name", host_name(e, host));
	jwrite_string(out, "public_key", key_format(&h->key, key));
	jwrite_string(out, "state", peer_state_name(peer->state));
	jwrite_string(out, "reason", peer_reason(e, host, now_ms, reason, sizeof(reason)));
	write_prefixes(out, "addresses", prefixes, h->n_addresses);
	write_prefixes(out, "routes", prefixes + h->n_addresses, h->n_routes);
	write_held(e, out, host);
	jwrite_string(out, "endpoint",
		peer->endpoint.family ? endpoint_format(&peer->endpoint, text) : NULL);
	write_candidates(e, out, host);
	if (peer->handshake_s)
		jwrite_int(out, "last_handshake_seconds", (now_ms - peer->handshake_ms) / 1000);
	else
		jwrite_null(out, "last_handshake_seconds");
	jwrite_int(out, "rx_bytes", (int64_t)peer->rx);
	jwrite_int(out, "tx_bytes", (int64_t)peer->tx);
	jwrite_int(out, "keepalive_seconds", engine_wanted_keepalive(e, host));
	jwrite_string(out, "psk", engine_psk_state(e, host));
	write_lazy_peer(e, out, host, now_ms);
	if (e->ops->write_path)
		e->ops->write_path(&h->key, out, e->user);
	jwrite_close(out, '}');
}

bool engine_host_matches(const struct engine *e, uint32_t host, const char *only)
{
	const struct netmap_host *h = &e->map->hosts[host];
	char key[KEY_STRLEN];
	struct prefix address;

	if (!only || netmap_name_matches(e->map, host, only) ||
		!strcmp(key_format(&h->key, key), only))
		return true;
	if (prefix_parse(only, strlen(only), &address) < 0)
		return false;
	for (size_t i = 0; i < h->n_addresses; i++)
		if (prefix_is_same(&netmap_prefixes(e->map, h)[i], &address))
			return true;
	return false;
}

bool engine_write_peers(const struct engine *e, GString *out, const char *only, int64_t now_ms)
{
	bool found = !only;

	jwrite_open(out, "peers", '[');
	for (uint32_t i = 0; e->map && i < e->map->n_hosts; i++) {
		if (engine_holds_self(e, i) || !engine_host_matches(e, i, only))
			continue;
		write_peer(e, out, i, now_ms);
		found = true;
	}
	jwrite_close(out, ']');
	return found;
}

/* -- the whole ------------------------------------------------------------------------------ */

static bool has_conflict(const struct engine *e)
{
	for (size_t i = 0; i < N_STAGES; i++)
		if (e->stages[i].yielded)
			return true;
	return e->conflict && e->stages[STAGE_LINK].problem[0];
}

const char *engine_state(const struct engine *e, const char **ret_reason)
{
	*ret_reason = NULL;
	if (e->down)
		return "down";
	if (!e->map) {
		*ret_reason = e->map_problem[0] ? e->map_problem
						: "no mesh file, and no network joined";
		return "waiting";
	}
	engine_problem_code(e, ret_reason);
	if (has_conflict(e))
		return "conflict";
	if (!*ret_reason && e->map_problem[0])
		*ret_reason = e->map_problem;
	if (!*ret_reason)
		return e->was_ready || engine_is_settled(e) ? "ready" : "starting";
	return "degraded";
}

static void write_mesh(const struct engine *e, GString *out)
{
	if (!e->map) {
		jwrite_null(out, "mesh");
		return;
	}
	jwrite_open(out, "mesh", '{');
	jwrite_string(out, "name", e->map->mesh);
	jwrite_string(out, "file", e->config->mesh_file);
	write_time(out, "loaded_at", e->map_s);
	jwrite_int(out, "hosts", (int64_t)e->map->n_hosts);
	jwrite_string(out, "error", e->map_problem[0] ? e->map_problem : NULL);
	histogram_write(out, "applies", &e->map_applies);
	jwrite_close(out, '}');
}

static void write_host(const struct engine *e, GString *out)
{
	const struct netmap_host *self;
	char key[KEY_STRLEN];

	if (!e->map) {
		jwrite_null(out, "host");
		return;
	}
	self = &e->map->hosts[e->map->self];
	jwrite_open(out, "host", '{');
	jwrite_string(out, "name", netmap_text(e->map, self->name));
	jwrite_string(out, "public_key", key_format(&e->public_key, key));
	write_prefixes(out, "addresses", netmap_prefixes(e->map, self), self->n_addresses);
	jwrite_close(out, '}');
}

static const char *interface_state(const struct engine *e)
{
	if (has_conflict(e))
		return "conflict";
	if (!e->index)
		return "missing";
	return e->was_up ? "up" : "pending";
}

static void write_interface(const struct engine *e, GString *out)
{
	const char *conflict = NULL;

	if (!e->map || e->down) {
		jwrite_null(out, "interface");
		return;
	}
	if (has_conflict(e))
		engine_problem_code(e, &conflict);
	jwrite_open(out, "interface", '{');
	jwrite_string(out, "name", engine_interface_name(e));
	if (e->index)
		jwrite_int(out, "index", e->index);
	else
		jwrite_null(out, "index");
	jwrite_int(out, "listen_port", engine_listen_port(e));
	if (e->mtu)
		jwrite_int(out, "mtu", e->mtu);
	else
		jwrite_null(out, "mtu");
	if (e->measured_mtu)
		jwrite_int(out, "measured_mtu", e->measured_mtu);
	else
		jwrite_null(out, "measured_mtu");
	jwrite_bool(out, "adopted", e->adopted);
	jwrite_string(out, "state", interface_state(e));
	jwrite_int(out, "repairs", e->repairs);
	jwrite_string(out, "conflict", conflict);
	jwrite_close(out, '}');
}

static void write_counts(const struct engine *e, GString *out)
{
	size_t counts[PEER_BLOCKED + 1] = { 0 }, pending = 0;

	for (uint32_t i = 0; e->map && i < e->map->n_hosts; i++) {
		if (engine_holds_self(e, i))
			continue;
		counts[e->peers[i].state]++;
		pending += (e->peers[i].flags & PEER_WORK) != 0;
	}
	jwrite_open(out, "counts", '{');
	jwrite_int(out, "total", (int64_t)engine_count_peers(e));
	for (enum peer_state s = PEER_IDLE; s <= PEER_BLOCKED; s++)
		jwrite_int(out, peer_state_name(s), (int64_t)counts[s]);
	jwrite_int(out, "foreign", (int64_t)e->n_foreign);
	jwrite_close(out, '}');
	jwrite_int(out, "pending", (int64_t)pending);
}

static void write_sentinels(const struct engine *e, GString *out)
{
	struct sentinel_status status = { 0 };

	KERNEL(e, sentinel_get_status, &status);
	jwrite_open(out, "sentinels", '{');
	jwrite_int(out, "own", (int64_t)status.own);
	jwrite_int(out, "shared", (int64_t)status.shared);
	write_number(out, "port", status.shared_port, status.shared_port);
	jwrite_int(out, "dropped", (int64_t)status.drops);
	jwrite_string(out, "problem", status.problem[0] ? status.problem : NULL);
	jwrite_close(out, '}');
}

static void write_wakes(const struct engine *e, GString *out)
{
	struct lazy_counts counts;

	lazy_get_counts(e->lazy, &counts);
	jwrite_open(out, "wakes", '{');
	for (enum lazy_cause c = LAZY_BY_TRAFFIC; c < LAZY_BY_RESTART; c++)
		jwrite_int(out, lazy_cause_name(c), (int64_t)counts.wakes[c]);
	jwrite_int(out, "answered", (int64_t)counts.answered);
	jwrite_int(out, "unanswered", (int64_t)counts.unanswered);
	jwrite_int(out, "in_session", (int64_t)counts.in_session);
	histogram_write(out, "answers", &counts.answers);
	jwrite_close(out, '}');
}

static void write_lazy(const struct engine *e, GString *out)
{
	size_t counts[LAZY_ACTIVE + 1] = { 0 };
	bool on;

	if (!e->map) {
		jwrite_null(out, "lazy");
		return;
	}
	on = e->map->lazy.enabled && !e->no_lazy && !e->no_sentinel;
	for (uint32_t i = 0; i < e->map->n_hosts; i++)
		if (!engine_holds_self(e, i))
			counts[lazy_state(e->lazy, i)]++;
	jwrite_open(out, "lazy", '{');
	jwrite_bool(out, "enabled", on);
	for (enum lazy_state s = LAZY_PERMANENT; s <= LAZY_ACTIVE; s++)
		jwrite_int(out, lazy_state_name(s), (int64_t)counts[s]);
	write_sentinels(e, out);
	write_wakes(e, out);
	jwrite_string(out, "idle_detection",
		!on                          ? "off"
			: e->nft_lazy.counts ? "counters"
					     : "transfer");
	jwrite_string(out, "remote_wake", !on ? "off" : e->nft_lazy.logs ? "events" : "check");
	jwrite_close(out, '}');
}

GString *engine_open_event(const struct engine *e, const char *event)
{
	g_autoptr(GDateTime) now = g_date_time_new_from_unix_utc(e->ops->wall_s(e->user));
	g_autofree char *time = g_date_time_format_iso8601(now);
	GString *out = g_string_new(NULL);

	jwrite_open(out, NULL, '{');
	jwrite_string(out, "schema", "lapwing.event/1");
	jwrite_string(out, "event", event);
	jwrite_string(out, "time", time);
	return out;
}

void engine_tell(struct engine *e, const char *event, const char *key, const char *value,
	const char *message)
{
	g_autoptr(GString) out = engine_open_event(e, event);

	if (key)
		jwrite_string(out, key, value);
	jwrite_string(out, "message", message);
	jwrite_close(out, '}');
	e->ops->event(out->str, e->user);
}

void engine_tell_lazy(struct engine *e, const char *name, const char *state, const char *cause)
{
	g_autoptr(GString) out = engine_open_event(e, "lazy");
	g_autofree char *message = NULL;

	message = cause ? g_strdup_printf("%s is %s (%s)", name, state, cause)
			: g_strdup_printf("%s is %s", name, state);
	jwrite_string(out, "name", name);
	jwrite_string(out, "state", state);
	jwrite_string(out, "cause", cause);
	jwrite_string(out, "message", message);
	jwrite_close(out, '}');
	e->ops->event(out->str, e->user);
}

/* Who has just left the map goes by its key. */
static const char *name_of(
	const struct engine *e, const struct wg_key *peer, char text[static KEY_STRLEN])
{
	int64_t host = e->map ? netmap_find_key(e->map, peer) : NETMAP_NONE;

	return host < 0 ? key_format(peer, text) : netmap_text(e->map, e->map->hosts[host].name);
}

GString *engine_begin_event(const struct engine *e, const char *event, const struct wg_key *peer)
{
	GString *out = engine_open_event(e, event);
	char text[KEY_STRLEN];

	jwrite_string(out, "name", name_of(e, peer, text));
	return out;
}

void engine_publish(struct engine *e, GString *event, const struct wg_key *peer, const char *words)
{
	char text[KEY_STRLEN];
	g_autofree char *message = g_strdup_printf("%s: %s", name_of(e, peer, text), words);

	jwrite_string(event, "message", message);
	jwrite_close(event, '}');
	e->ops->event(event->str, e->user);
	g_string_free(event, TRUE);
}

static void write_foreign(const struct engine *e, GString *out)
{
	char key[KEY_STRLEN];

	jwrite_open(out, "foreign_peers", '[');
	for (guint i = 0; i < e->foreign->len; i++)
		jwrite_string(
			out, NULL, key_format(&g_array_index(e->foreign, struct wg_key, i), key));
	jwrite_close(out, ']');
}

static void write_problems(const struct engine *e, GString *out)
{
	jwrite_open(out, "problems", '[');
	for (size_t i = 0; i < N_STAGES; i++) {
		if (!e->stages[i].problem[0])
			continue;
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "class", engine_stage_name(i));
		jwrite_string(out, "message", e->stages[i].problem);
		write_time(out, "since", e->stages[i].problem_s);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}

void engine_write_status(const struct engine *e, GString *out, bool detail, int64_t now_ms)
{
	const char *reason, *state = engine_state(e, &reason);

	jwrite_string(out, "state", state);
	jwrite_string(out, "reason", reason);
	jwrite_string(out, "instance", e->instance);
	write_mesh(e, out);
	write_host(e, out);
	write_interface(e, out);
	engine_acl_write(e, out, now_ms);
	write_counts(e, out);
	write_lazy(e, out);
	write_foreign(e, out);
	if (e->read_ms)
		jwrite_int(out, "observed_seconds_ago", (now_ms - e->read_ms) / 1000);
	else
		jwrite_null(out, "observed_seconds_ago");
	write_problems(e, out);
	jwrite_open(out, "routes", '{');
	jwrite_int(out, "installed", e->index ? (int64_t)e->n_routes : 0);
	jwrite_close(out, '}');
	jwrite_int(out, "resyncs", (int64_t)e->resyncs);
	if (detail)
		engine_write_peers(e, out, NULL, now_ms);
}
