/* agent/engine_net.c - addresses, routes, rules and the nftables table of the interface. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

/* The first failure of a list of calls: the rest goes on, this is what gets reported. */
struct first_failure {
	int r;
	unsigned count;
	char what[PREFIX_STRLEN];
};

static void note_failure(struct first_failure *f, int r, const struct prefix *p)
{
	if (r >= 0)
		return;
	if (!f->count++) {
		f->r = r;
		prefix_format(p, f->what);
	}
}

static int report(
	struct engine *e, enum stage_id stage, const struct first_failure *f, const char *what)
{
	char more[32] = "";

	if (!f->count)
		return 0;
	if (f->count > 1)
		snprintf(more, sizeof(more), " and %u more", f->count - 1);
	return engine_fail(
		e, stage, EXIT_FAILED, f->r, "cannot change %s %s%s", what, f->what, more);
}

/* -- addresses ------------------------------------------------------------------------------ */

static int collect_prefix(const struct prefix *p, void *user)
{
	g_array_append_vals(user, p, 1);
	return 0;
}

static bool is_listed(const struct prefix *list, size_t n, const struct prefix *p)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_is_same(&list[i], p))
			return true;
	return false;
}

int engine_stage_addresses(struct engine *e, int64_t now_ms)
{
	const struct netmap_host *self = &e->map->hosts[e->map->self];
	const struct prefix *want = netmap_prefixes(e->map, self);
	g_autoptr(GArray) have = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	bool tidy = e->stages[STAGE_ADDRESSES].changed;
	struct first_failure failure = { 0 };
	const struct prefix *old;
	bool told = false;
	int r = KERNEL(e, addr_foreach, e->index, collect_prefix, have);

	if (r < 0)
		return engine_fail(e, STAGE_ADDRESSES, EXIT_FAILED, r, "cannot read addresses");
	old = (const struct prefix *)(void *)have->data;
	for (size_t i = 0; i < self->n_addresses; i++) {
		if (is_listed(old, have->len, &want[i]))
			continue;
		if (!told && !engine_may_repair(e, STAGE_ADDRESSES, now_ms, "an address is gone"))
			return -ECANCELED;
		told = true;
		r = KERNEL(e, addr_add, e->index, &want[i]);
		note_failure(&failure, r == -EEXIST ? 0 : r, &want[i]);
	}
	/* Somebody's extra address is left alone, until our own set changes. */
	for (size_t i = 0; tidy && i < have->len; i++)
		if (!is_listed(want, self->n_addresses, &old[i])) {
			r = KERNEL(e, addr_remove, e->index, &old[i]);
			note_failure(&failure, r == -EADDRNOTAVAIL ? 0 : r, &old[i]);
		}
	return report(e, STAGE_ADDRESSES, &failure, "address");
}

/* -- routes and rules ----------------------------------------------------------------------- */

static int collect_route(const struct route *route, void *user)
{
	g_array_append_vals(user, route, 1);
	return 0;
}

static int collect_rule(const struct rule *rule, void *user)
{
	g_array_append_vals(user, rule, 1);
	return 0;
}

static int route_order(gconstpointer a, gconstpointer b)
{
	return route_compare(a, b);
}

/* Every endpoint of every peer, as single addresses: what must not be routed into the tunnel. */
static GArray *outer_addresses(const struct engine *e)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct prefix));

	for (uint32_t i = 0; routing_has_networks(e->routing) && i < e->map->n_hosts; i++) {
		struct endpoint known[NETMAP_ENDPOINTS_MAX];
		size_t n = engine_candidates(e, i, known, G_N_ELEMENTS(known));

		for (size_t j = 0; j < n; j++) {
			struct prefix p = { .family = known[j].family,
				.bits = known[j].family == AF_INET ? 32 : 128 };

			memcpy(p.addr, known[j].addr, p.bits / 8);
			g_array_append_val(out, p);
		}
	}
	return out;
}

/* Walks both sorted lists at once; additions first, so that no packet finds a gap. */
static int apply_routes(struct engine *e, const struct route *want, size_t n_want,
	const struct route *have, size_t n_have, int64_t now_ms)
{
	struct first_failure failure = { 0 };
	bool told = false;

	for (int adding = 1; adding >= 0; adding--) {
		for (size_t i = 0, j = 0; i < n_want || j < n_have;) {
			int order = i == n_want ? 1
				: j == n_have   ? -1
						: route_compare(&want[i], &have[j]);
			int r = 0;

			if (order && !told &&
				!engine_may_repair(e, STAGE_ROUTES, now_ms, "a route is gone"))
				return -ECANCELED;
			told = told || order;
			if (order < 0 && adding)
				r = KERNEL(e, route_add, &want[i]);
			else if (order > 0 && !adding)
				r = KERNEL(e, route_remove, &have[j]);
			note_failure(&failure, r == -ESRCH ? 0 : r,
				order < 0 ? &want[i].dst : &have[j].dst);
			i += order <= 0;
			j += order >= 0;
		}
	}
	return report(e, STAGE_ROUTES, &failure, "route");
}

static bool rule_is_same(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->table == b->table &&
		a->not_mark == b->not_mark && a->mark == b->mark &&
		a->suppress_prefixlength == b->suppress_prefixlength;
}

static bool rule_is_listed(const struct rule *list, size_t n, const struct rule *rule)
{
	for (size_t i = 0; i < n; i++)
		if (rule_is_same(&list[i], rule))
			return true;
	return false;
}

static bool has_priority_of(const struct rule *rule, uint32_t table)
{
	return table && rule->priority - routing_rule_priority(table) < 2;
}

/* Of now or of before; another instance's rules have other priorities. */
static bool rule_is_mine(const struct engine *e, const struct rule *rule)
{
	return has_priority_of(rule, engine_table(e)) || has_priority_of(rule, e->recorded_table);
}

static int remove_rules(
	struct engine *e, const GArray *have, const struct rule *want, size_t n_want)
{
	for (guint i = 0; i < have->len; i++) {
		const struct rule *rule = &g_array_index(have, struct rule, i);
		int r;

		if (!rule_is_mine(e, rule) || rule_is_listed(want, n_want, rule))
			continue;
		r = KERNEL(e, rule_remove, rule);
		if (r < 0 && r != -ENOENT)
			return engine_fail(
				e, STAGE_ROUTES, EXIT_FAILED, r, "cannot remove routing rule");
	}
	return 0;
}

int engine_apply_rules(struct engine *e, const struct rule *want, size_t n_want, int64_t now_ms)
{
	g_autoptr(GArray) have = g_array_new(FALSE, FALSE, sizeof(struct rule));
	bool told = false;
	int r = KERNEL(e, rule_foreach, collect_rule, have);

	if (r < 0)
		return engine_fail(e, STAGE_ROUTES, EXIT_FAILED, r, "cannot read routing rules");
	r = remove_rules(e, have, want, n_want);
	if (r < 0)
		return r;
	if (n_want)
		engine_record(e, e->recorded, engine_table(e));
	for (size_t i = 0; i < n_want; i++) {
		if (rule_is_listed((const struct rule *)(void *)have->data, have->len, &want[i]))
			continue;
		if (!told && !engine_may_repair(e, STAGE_ROUTES, now_ms, "a routing rule is gone"))
			return -ECANCELED;
		told = true;
		r = KERNEL(e, rule_add, &want[i]);
		if (r < 0 && r != -EEXIST)
			return engine_fail(
				e, STAGE_ROUTES, EXIT_FAILED, r, "cannot set routing rule");
	}
	return 0;
}

int engine_stage_routes(struct engine *e, int64_t now_ms)
{
	g_autoptr(GArray) have = g_array_new(FALSE, FALSE, sizeof(struct route));
	g_autoptr(GArray) outer = outer_addresses(e);
	g_autofree struct route *want = NULL;
	struct rule rules[ROUTING_RULES_MAX];
	size_t n_rules;
	int r;

	e->n_routes = routing_routes(e->routing, e->index, engine_table(e),
		(struct prefix *)(void *)outer->data, outer->len, &want);
	n_rules = routing_rules(want, e->n_routes, engine_table(e), engine_mark(e), rules);
	if (e->uses_mark != (n_rules > 0)) {
		engine_due(e, STAGE_NFT, now_ms);
		engine_due(e, STAGE_STEER, now_ms);
	}
	e->uses_mark = n_rules > 0;
	r = KERNEL(e, route_foreach, e->index, collect_route, have);
	if (r < 0)
		return engine_fail(e, STAGE_ROUTES, EXIT_FAILED, r, "cannot read routes");
	g_array_sort(have, route_order);
	r = apply_routes(
		e, want, e->n_routes, (const struct route *)(void *)have->data, have->len, now_ms);
	if (r == 0)
		r = engine_apply_rules(e, rules, n_rules, now_ms);
	/* Only the operator can do that; looked at again now and then. */
	if (r == 0 && e->uses_mark && KERNEL(e, filter_ignores_marks))
		r = engine_fail(e, STAGE_ROUTES, EXIT_PARTIAL, -ECANCELED,
			"rp_filter=1 drops answers where a route of ours takes everything: set "
			"net.ipv4.conf.all.src_valid_mark=1");
	return r;
}

/* -- nftables ------------------------------------------------------------------------------- */

#define NO_LOGS "waking by the other side is noticed each minute"

static bool can_listen(struct engine *e, uint16_t group)
{
	int r = KERNEL(e, nflog_listen, group);

	if (r < 0 && !e->lacks.listening)
		log_warn_errno(r, "cannot hear logged packets: %s", NO_LOGS);
	e->lacks.listening = r < 0;
	return r >= 0;
}

/* What lazy peers need, as far as this kernel has it. */
static void want_lazy(struct engine *e, struct nft_lazy *ret)
{
	memset(ret, 0, sizeof(*ret)); /* hashed as bytes */
	if (!e->map->lazy.enabled || e->no_lazy || e->no_sentinel)
		return;
	engine_set_sentinel_sender(e);
	ret->listen_port = ret->log_group = engine_listen_port(e);
	ret->counts = !e->lacks.counters;
	ret->logs = ret->counts && !e->lacks.logs && can_listen(e, ret->log_group);
	ret->refuses = !e->lacks.ties;
	ret->untracked = !e->lacks.notrack && KERNEL(e, tracks_connections);
}

/* What may be done without, in this order. */
static const struct {
	size_t wanted, lacking; /* of struct nft_lazy and struct engine */
	const char *consequence;
} lazy_parts[] = {
	{ offsetof(struct nft_lazy, untracked), offsetof(struct engine, lacks.notrack),
		"connections to sentinels are tracked" },
	{ offsetof(struct nft_lazy, logs), offsetof(struct engine, lacks.logs), NO_LOGS },
	{ offsetof(struct nft_lazy, refuses), offsetof(struct engine, lacks.ties),
		"crossing wakes may take seconds" },
	{ offsetof(struct nft_lazy, counts), offsetof(struct engine, lacks.counters),
		"idleness is told by what is transferred" },
};

/* Leaves out the next part. False: there is nothing more to leave out. */
static bool do_without(struct nft_lazy *lazy)
{
	for (size_t i = 0; i < G_N_ELEMENTS(lazy_parts); i++) {
		bool *part = G_STRUCT_MEMBER_P(lazy, lazy_parts[i].wanted);

		if (*part) {
			*part = false;
			return true;
		}
	}
	return false;
}

static void note_lacks(struct engine *e, const struct nft_lazy *wanted, const struct nft_lazy *got)
{
	for (size_t i = 0; i < G_N_ELEMENTS(lazy_parts); i++) {
		size_t at = lazy_parts[i].wanted;

		if (G_STRUCT_MEMBER(bool, wanted, at) == G_STRUCT_MEMBER(bool, got, at))
			continue;
		G_STRUCT_MEMBER(bool, e, lazy_parts[i].lacking) = true;
		log_warn("nftables here lacks what lazy peers need: %s", lazy_parts[i].consequence);
	}
}

static bool is_lacking(int r)
{
	return r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL;
}

static int apply_nft(struct engine *e, struct nft_config *config, int64_t now_ms)
{
	const struct nft_lazy wanted = config->lazy;
	int r;

	do
		r = KERNEL(e, nft_apply, config);
	while (is_lacking(r) && do_without(&config->lazy));
	if (r < 0)
		return engine_fail(e, STAGE_NFT, EXIT_NOT_APPLICABLE, r,
			"cannot set nftables table %s; tunnels work without it", config->table);
	if (e->nft_table[0] && strcmp(e->nft_table, config->table))
		KERNEL(e, nft_remove, e->nft_table);
	g_strlcpy(e->nft_table, config->table, sizeof(e->nft_table));
	note_lacks(e, &wanted, &config->lazy);
	e->nft_lazy = config->lazy;
	r = KERNEL(e, nft_fingerprint, config->table, &e->nft_fingerprint);
	if (r < 0)
		return engine_fail(e, STAGE_NFT, EXIT_FAILED, r, "cannot read nftables table");
	return engine_count_all(e, now_ms);
}

static uint32_t hash_nft(const struct nft_config *config)
{
	uint32_t h = engine_hash(
		config->addresses, config->n_addresses * sizeof(struct prefix), config->fwmark);

	h = engine_hash(&config->ifindex, sizeof(config->ifindex), h);
	return engine_hash(&config->lazy, sizeof(config->lazy), h);
}

/* The table is made anew as a whole, in one transaction, when anything about it differs. */
int engine_stage_nft(struct engine *e, int64_t now_ms)
{
	const struct netmap_host *self = &e->map->hosts[e->map->self];
	struct nft_config config = { .ifindex = e->index,
		.addresses = netmap_prefixes(e->map, self),
		.n_addresses = self->n_addresses,
		/* Only where packets need it: it makes the kernel track connections. */
		.fwmark = e->uses_mark ? engine_mark(e) : 0 };
	uint64_t fingerprint = 0;
	int r;

	g_strlcpy(config.ifname, engine_interface_name(e), sizeof(config.ifname));
	snprintf(config.table, sizeof(config.table), "lapwing-%s", config.ifname);
	want_lazy(e, &config.lazy);
	if (!strcmp(config.table, e->nft_table) && hash_nft(&config) == e->nft_hash) {
		r = KERNEL(e, nft_fingerprint, config.table, &fingerprint);
		if (r < 0)
			return engine_fail(
				e, STAGE_NFT, EXIT_FAILED, r, "cannot read nftables table");
		if (fingerprint && fingerprint == e->nft_fingerprint)
			return 0;
		e->stages[STAGE_NFT].changed = false;
		if (!engine_may_repair(e, STAGE_NFT, now_ms, "the nftables table was changed"))
			return -ECANCELED;
	}
	r = apply_nft(e, &config, now_ms);
	e->nft_hash = r < 0 ? 0 : hash_nft(&config); /* without what it turned out to lack */
	return r;
}
