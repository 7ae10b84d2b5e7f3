/* mgmt/update.c - what a management server says, from bytes to values. */
#include "mgmt/update.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "mgmt/envelope.h"
#include "mgmt/uniq.h"
#include "mgmt/update_impl.h"

/* Numbers of the fields that are walked over rather than unpacked as a whole. */
enum {
	SYNC_CONFIG = 1,
	SYNC_SELF,
	SYNC_MAP = 5,
	SYNC_CHECKS,
	SYNC_SESSION,
	SYNC_OTHER_MAP,
	SYNC_FORM
};
enum { LOGIN_CONFIG = 1, LOGIN_SELF, LOGIN_CHECKS, LOGIN_SESSION };
enum {
	MAP_SERIAL = 1,
	MAP_SELF,
	MAP_PEERS = UPDATE_MAP_PEERS,
	MAP_ROUTES = 5,
	MAP_DNS,
	MAP_OFFLINE,
	MAP_RULES,
	MAP_NO_RULES,
	MAP_ROUTE_RULES,
	MAP_FORWARDS = 12,
};

/* The parts of a message that come once; of those that come again the last counts. */
struct parts {
	struct wire_bytes config, self, map, session;
	bool has_config, has_self, has_map, has_session, other_form;
};

static bool is_bytes(const struct wire_field *field, uint32_t number)
{
	return field->number == number && field->has_bytes;
}

static void take(const struct wire_field *field, struct wire_bytes *ret, bool *ret_has)
{
	*ret = field->bytes;
	*ret_has = true;
}

static int fail(char *error, int r, const char *text)
{
	g_strlcpy(error, text, UPDATE_ERROR_MAX);
	return r;
}

/* -- the map -------------------------------------------------------------------------------- */

/* What has to be known before anything is read. */
struct outline {
	uint64_t serial;
	size_t n_peers;
	struct wire_bytes rules; /* from the first to the last */
	bool no_rules; /* the server says that there are none */
	struct wire_bytes self;
	bool has_self;
};

static void extend(struct wire_bytes *list, struct wire_bytes element)
{
	if (!list->data)
		list->data = element.data;
	list->len = (size_t)(element.data + element.len - list->data);
}

static int read_outline(struct wire_bytes map, struct outline *ret)
{
	struct wire wire = wire_begin(map);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (field.number == MAP_SERIAL && !field.has_bytes)
			ret->serial = field.value;
		else if (is_bytes(&field, MAP_SELF))
			take(&field, &ret->self, &ret->has_self);
		else if (field.number == MAP_NO_RULES && !field.has_bytes)
			ret->no_rules = field.value;
		else if (is_bytes(&field, MAP_PEERS))
			ret->n_peers++;
		else if (is_bytes(&field, MAP_RULES))
			extend(&ret->rules, field.bytes);
	}
	return wire.bad ? -EPROTO : 0;
}

static void read_rule(struct update_reading *r, struct wire_bytes rule)
{
	size_t notes = r->detail->n_left_out;

	update_read_rule(r, rule);
	r->rules_odd |= r->detail->n_left_out > notes;
}

/* Without peers or rules that are the last map's. */
static void read_lists(
	struct update_reading *r, struct wire_bytes map, bool with_peers, bool with_rules)
{
	struct wire wire = wire_begin(map);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (!field.has_bytes)
			continue;
		switch (field.number) {
		case MAP_PEERS:
			if (with_peers)
				update_read_peer(r, field.bytes);
			break;
		case MAP_ROUTES:
			update_read_route(r, field.bytes);
			break;
		case MAP_DNS:
			update_read_dns(r, field.bytes);
			break;
		case MAP_OFFLINE:
			update_read_offline(r, field.bytes);
			break;
		case MAP_RULES:
			if (with_rules)
				read_rule(r, field.bytes);
			break;
		case MAP_ROUTE_RULES:
			r->detail->n_route_rules++;
			break;
		case MAP_FORWARDS:
			update_read_forward(r, field.bytes);
			break;
		default:
			break;
		}
	}
}

/* -EAGAIN: with so much that is new the last map is no help. */
static int read_contents(
	struct update_reading *r, struct wire_bytes map, const struct outline *outline)
{
	const struct wire_bytes *rules = &outline->rules;
	struct netmap_source source = { 0 };
	bool same_rules;

	if (rules->len)
		source = netmap_source_of((const char *)rules->data, rules->len);
	if (r->last && !update_is_comparable(r, r->last))
		r->last = NULL;
	same_rules = r->last && rules->len &&
		!memcmp(&source, &r->last->rules_source, sizeof(source));
	if (r->last && !update_copy_peers(r, map))
		return -EAGAIN;
	read_lists(r, map, !r->last, !same_rules);
	update_wake_forwards(r);
	update_apply_routes(r);
	if (same_rules) {
		update_copy_rules(r);
		return 0;
	}
	update_finish_rules(r, rules->data, outline->no_rules);
	if (!r->rules_odd)
		r->map->rules_source = source;
	return 0;
}

static int read_map(struct update_reading *r, const struct parts *parts, char *error)
{
	struct outline outline = { .self = parts->self, .has_self = parts->has_self };
	int rc;

	if (read_outline(parts->map, &outline) < 0)
		return fail(error, -EPROTO, "not a network map");
	if (outline.n_peers > r->limits->max_peers) {
		snprintf(error, UPDATE_ERROR_MAX, "%zu peers, more than %zu (policy.max_peers)",
			outline.n_peers, r->limits->max_peers);
		return -E2BIG;
	}
	outline.no_rules |= !parts->has_map; /* a login comes before the rules */
	r->update->serial = outline.serial;
	r->map->hosts = g_new(struct netmap_host, outline.n_peers + 1);
	r->map->sources = g_new(struct netmap_source, outline.n_peers + 1);
	netmap_reserve_keys(r->map, outline.n_peers + 1);
	rc = update_read_self(r, outline.self, error);
	if (rc < 0)
		return rc;
	return read_contents(r, parts->map, &outline);
}

/* -- the whole ------------------------------------------------------------------------------ */

static struct update_reading begin(const struct update_limits *limits, const struct netmap *last)
{
	struct update_reading r = {
		.limits = limits,
		.last = last,
		.update = g_new0(struct update, 1),
		.map = g_new0(struct netmap, 1),
		.detail = g_new0(struct detail, 1),
		.arena = update_arena_new(),
		.taken_names = uniq_new(),
		.taken_addresses = uniq_new(),
	};

	r.update->session_expires_s = -1;
	r.map->self = NETMAP_NONE;
	update_add_text(&r.names, "", 0);
	update_add_text(&r.texts, "", 0);
	return r;
}

static void *shrunk(void *array, size_t n, size_t item)
{
	return array ? g_realloc_n(array, MAX(n, 1), item) : NULL;
}

static void finish_map(struct update_reading *r)
{
	struct netmap *map = r->update->map = g_steal_pointer(&r->map);
	struct detail *detail = r->update->detail = g_steal_pointer(&r->detail);

	map->text = shrunk(g_steal_pointer(&r->names.s), r->names.len, 1);
	map->text_len = r->names.len;
	map->hosts = shrunk(map->hosts, map->n_hosts, sizeof(*map->hosts));
	map->prefixes = shrunk(map->prefixes, map->n_prefixes, sizeof(*map->prefixes));
	map->rules = shrunk(map->rules, map->n_rules, sizeof(*map->rules));
	detail->text = shrunk(g_steal_pointer(&r->texts.s), r->texts.len, 1);
	detail->text_len = r->texts.len;
	detail->dns.records = shrunk(
		detail->dns.records, detail->dns.n_records, sizeof(*detail->dns.records));
}

/* What was made is in the update, or lost. */
static void end(struct update_reading *r)
{
	netmap_free(r->map);
	detail_free(r->detail);
	update_free(r->update);
	g_free(r->names.s);
	g_free(r->texts.s);
	g_free(r->forwards);
	uniq_free(r->taken_names);
	uniq_free(r->taken_addresses);
	update_arena_free(r->arena);
}

static int read_parts(
	struct update_reading *r, const struct parts *parts, bool is_login, char *error)
{
	static const struct wire_bytes no_map;
	int rc = 0;

	if (parts->has_map)
		rc = read_map(r, parts, error);
	else if (is_login)
		rc = read_map(r, &(struct parts){ .self = parts->self, .map = no_map }, error);
	if (rc < 0)
		return rc;
	if (parts->has_config)
		update_read_servers(r, parts->config);
	if (parts->has_session)
		update_read_session(r, parts->session);
	r->update->has_checks = is_login || parts->has_map;
	if (is_login || parts->has_map)
		finish_map(r);
	return 0;
}

static bool walk_sync(struct update_reading *r, struct wire_bytes plain, struct parts *ret)
{
	struct wire wire = wire_begin(plain);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (is_bytes(&field, SYNC_CONFIG))
			take(&field, &ret->config, &ret->has_config);
		else if (is_bytes(&field, SYNC_SELF))
			take(&field, &ret->self, &ret->has_self);
		else if (is_bytes(&field, SYNC_MAP))
			take(&field, &ret->map, &ret->has_map);
		else if (is_bytes(&field, SYNC_SESSION))
			take(&field, &ret->session, &ret->has_session);
		else if (is_bytes(&field, SYNC_CHECKS))
			update_read_checks(r, field.bytes);
		else if (is_bytes(&field, SYNC_OTHER_MAP) ||
			(field.number == SYNC_FORM && field.value))
			ret->other_form = true;
	}
	return !wire.bad;
}

static bool walk_login(struct update_reading *r, struct wire_bytes plain, struct parts *ret)
{
	struct wire wire = wire_begin(plain);
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (is_bytes(&field, LOGIN_CONFIG))
			take(&field, &ret->config, &ret->has_config);
		else if (is_bytes(&field, LOGIN_SELF))
			take(&field, &ret->self, &ret->has_self);
		else if (is_bytes(&field, LOGIN_CHECKS))
			update_read_checks(r, field.bytes);
		else if (is_bytes(&field, LOGIN_SESSION))
			take(&field, &ret->session, &ret->has_session);
	}
	return !wire.bad;
}

static int try_message(struct wire_bytes plain, const struct update_limits *limits,
	const struct netmap *last, bool is_login, struct update **ret, char *error)
{
	struct update_reading r = begin(limits, last);
	struct parts parts = { 0 };
	int rc;

	if (plain.len > UPDATE_SIZE_MAX)
		rc = fail(error, -EPROTO, "a message too long");
	else if (!(is_login ? walk_login : walk_sync)(&r, plain, &parts))
		rc = fail(error, -EPROTO, "not such a message");
	else if (parts.other_form && !parts.has_map)
		rc = fail(error, -EPROTO, "a map in a form that was not asked for");
	else
		rc = read_parts(&r, &parts, is_login, error);
	update_finish_checks(&r);
	if (rc == 0)
		*ret = g_steal_pointer(&r.update);
	end(&r);
	return rc;
}

static int read_message(struct wire_bytes plain, const struct update_limits *limits, bool is_login,
	struct update **ret, char *error)
{
	int r = try_message(plain, limits, limits->last, is_login, ret, error);

	return r == -EAGAIN ? try_message(plain, limits, NULL, is_login, ret, error) : r;
}

int update_from_sync(const uint8_t *plain, size_t len, const struct update_limits *limits,
	struct update **ret, char error[static UPDATE_ERROR_MAX])
{
	return read_message((struct wire_bytes){ plain, len }, limits, false, ret, error);
}

int update_from_login(const uint8_t *plain, size_t len, const struct update_limits *limits,
	struct update **ret, char error[static UPDATE_ERROR_MAX])
{
	return read_message((struct wire_bytes){ plain, len }, limits, true, ret, error);
}

/* -- memory --------------------------------------------------------------------------------- */

static void wipe_text(char *text)
{
	envelope_wipe((uint8_t *)text, text ? strlen(text) : 0);
}

static void free_servers(struct update_server *servers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		g_free(servers[i].uri);
		wipe_text(servers[i].user);
		wipe_text(servers[i].password);
	}
	g_free(servers);
}

void update_free(struct update *update)
{
	struct update_servers *s = update ? update->servers : NULL;

	if (!update)
		return;
	if (s) {
		g_free(s->signal.host);
		free_servers(s->stuns, s->n_stuns);
		free_servers(s->turns, s->n_turns);
		free_servers(s->relays, s->n_relays);
		wipe_text(s->relay_payload);
		wipe_text(s->relay_signature);
		g_free(s);
	}
	netmap_free(update->map);
	detail_free(update->detail);
	g_strfreev(update->files);
	g_free(update);
}
