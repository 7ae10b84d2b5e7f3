/* agent/engine_acl.c - what may come in over the tunnel: the table is there before the interface is up.
 *
 * It goes by the interface's name, so it can be made first. While it should be there and is not, nothing
 * else is done, and an interface that is up is set down if the kernel refuses the table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

enum {
	TRIES = 3, /* of a repair, before the interface is set down */
	FOUGHT_MS = 200, /* between repairs that somebody undoes again and again */
};

static void name_table(const char *ifname, char ret[static NFT_TABLE_NAME_MAX])
{
	snprintf(ret, NFT_TABLE_NAME_MAX, "lapwing-%.*s-acl", IFNAMSIZ - 1, ifname);
}

bool engine_acl_wanted(const struct engine *e)
{
	switch (e->config->policy.firewall) {
	case FIREWALL_OFF:
		return false;
	case FIREWALL_ON:
		return true;
	case FIREWALL_AUTO:
		break;
	}
	return e->map->has_rules;
}

bool engine_acl_is_settled(const struct engine *e)
{
	return !engine_acl_wanted(e) ||
		(e->acl.stands && !strcmp(e->acl.ifname, engine_interface_name(e)));
}

int64_t engine_acl_soonest(const struct engine *e, int64_t now_ms)
{
	const struct stage *s = &e->stages[STAGE_ACL];

	return s->repairs > REPAIRS_MAX ? MAX(now_ms, s->repaired_ms + FOUGHT_MS) : now_ms;
}

bool engine_acl_is_fought(struct engine *e, const char *what, const char *who)
{
	g_autofree char *text = NULL;

	e->repairs++;
	if (e->stages[STAGE_ACL].repairs > REPAIRS_MAX + 1) /* told already */
		return true;
	text = g_strdup_printf("conflict: %s %d times in a row%s; it is set again each time", what,
		REPAIRS_MAX + 1, who);
	log_warn("%s", text);
	engine_tell(e, "conflict", "part", engine_stage_name(STAGE_ACL), text);
	return true;
}

void engine_acl_free(struct engine *e)
{
	g_free(e->acl.rules);
	g_ptr_array_unref(e->acl.names);
}

/* -- tables that there are, or may be from a run before ------------------------------------- */

void engine_acl_may_exist(struct engine *e, const char *ifname)
{
	for (guint i = 0; i < e->acl.names->len; i++)
		if (!strcmp(e->acl.names->pdata[i], ifname))
			return;
	if (ifname[0])
		g_ptr_array_add(e->acl.names, g_strdup(ifname));
}

int engine_acl_remove(struct engine *e, const char *but)
{
	for (guint i = e->acl.names->len; i-- > 0;) {
		const char *ifname = e->acl.names->pdata[i];
		char table[NFT_TABLE_NAME_MAX];
		int r;

		if (but && !strcmp(ifname, but))
			continue;
		name_table(ifname, table);
		r = KERNEL(e, nft_remove, table);
		if (r < 0 && r != -EOPNOTSUPP) /* without nftables there is none */
			return r;
		if (!strcmp(ifname, e->acl.ifname)) {
			e->acl.stands = false;
			e->acl.fingerprint = 0;
		}
		g_ptr_array_remove_index(e->acl.names, i);
	}
	return 0;
}

/* -- the table ------------------------------------------------------------------------------ */

G_STATIC_ASSERT(sizeof(struct filter_rule) == 24); /* no gaps: compared as bytes */

static bool is_same(const struct engine *e, const struct acl_config *config)
{
	return e->acl.fingerprint && !strcmp(e->acl.ifname, config->ifname) &&
		e->acl.n_rules == config->n_rules &&
		(!config->n_rules ||
			!memcmp(e->acl.rules, config->rules,
				config->n_rules * sizeof(*config->rules)));
}

static void note(struct engine *e, const struct acl_config *config, uint64_t fingerprint)
{
	g_free(e->acl.rules);
	e->acl.rules = g_memdup2(config->rules, config->n_rules * sizeof(*config->rules));
	e->acl.n_rules = config->n_rules;
	g_strlcpy(e->acl.ifname, config->ifname, sizeof(e->acl.ifname));
	e->acl.fingerprint = fingerprint;
	e->acl.stands = true;
	e->acl.refused_before += e->acl.refused;
	e->acl.refused = 0;
	e->acl.cleared[0] = '\0';
}

static int apply(struct engine *e, const struct acl_config *config)
{
	uint64_t fingerprint = 0;
	int r = 0;

	engine_acl_count(e);
	engine_acl_may_exist(e, config->ifname);
	for (int i = 0; i < TRIES; i++) {
		r = KERNEL(e, acl_apply, config);
		if (r == 0)
			r = KERNEL(e, nft_fingerprint, config->table, &fingerprint);
		if (r == 0 && fingerprint)
			break;
		r = r ? r : -EAGAIN; /* somebody took it away at once */
	}
	if (r == 0)
		note(e, config, fingerprint);
	return r;
}

/* Old rules go on to hold where new ones are refused. Where nothing holds nothing comes in. */
static int refused(struct engine *e, const struct acl_config *config, int r, int64_t now_ms)
{
	uint64_t fingerprint = 0;
	bool shut = false;

	r = engine_fail(e, STAGE_ACL, r == -EOPNOTSUPP ? EXIT_NOT_APPLICABLE : EXIT_FAILED, r,
		"cannot set nftables table %s, the firewall of the tunnel", config->table);
	if (KERNEL(e, nft_fingerprint, config->table, &fingerprint) < 0 || !fingerprint)
		shut = true;
	e->acl.stands = !shut && fingerprint == e->acl.fingerprint &&
		!strcmp(e->acl.ifname, config->ifname);
	if (shut && engine_shut_link(e, now_ms))
		log_warn("interface %s is down until its packets can be filtered", config->ifname);
	return r;
}

static int stand(struct engine *e, const struct acl_config *config, int64_t now_ms)
{
	uint64_t fingerprint = 0;
	int r;

	if (is_same(e, config)) {
		r = KERNEL(e, nft_fingerprint, config->table, &fingerprint);
		e->acl.stands = r == 0 && fingerprint == e->acl.fingerprint;
		if (r < 0)
			return engine_fail(e, STAGE_ACL, EXIT_FAILED, r,
				"cannot read nftables table %s", config->table);
		if (e->acl.stands)
			return 0;
		e->stages[STAGE_ACL].changed = false;
		engine_may_repair(e, STAGE_ACL, now_ms, "the firewall of the tunnel was changed");
	}
	r = apply(e, config);
	return r < 0 ? refused(e, config, r, now_ms) : 0;
}

static int open_up(struct engine *e)
{
	const char *ifname = engine_interface_name(e);
	int r;

	if (e->config->policy.firewall == FIREWALL_OFF && !e->acl.warned) {
		log_warn("policy.firewall is \"off\": whatever comes in over %s is accepted",
			ifname);
		e->acl.warned = true;
	}
	/* A run before may have left one. */
	if (strcmp(e->acl.cleared, ifname))
		engine_acl_may_exist(e, ifname);
	r = engine_acl_remove(e, NULL);
	if (r < 0)
		return engine_fail(
			e, STAGE_ACL, EXIT_FAILED, r, "cannot remove the firewall of the tunnel");
	g_strlcpy(e->acl.cleared, ifname, sizeof(e->acl.cleared));
	return 0;
}

int engine_stage_acl(struct engine *e, int64_t now_ms)
{
	struct acl_config config = { .rules = e->map->rules, .n_rules = e->map->n_rules };
	int r;

	if (!engine_acl_wanted(e))
		return open_up(e);
	g_strlcpy(config.ifname, engine_interface_name(e), sizeof(config.ifname));
	name_table(config.ifname, config.table);
	r = stand(e, &config, now_ms);
	/* The interface may still have another name, and is guarded by that until it has the new one. */
	if (r < 0 || !e->index || e->stages[STAGE_LINK].due)
		return r;
	r = engine_acl_remove(e, config.ifname);
	return r < 0 ? engine_fail(e, STAGE_ACL, EXIT_FAILED, r, "cannot remove an old firewall")
		     : 0;
}

/* -- for people ----------------------------------------------------------------------------- */

void engine_acl_count(struct engine *e)
{
	char table[NFT_TABLE_NAME_MAX];
	uint64_t refused = 0;

	if (!e->acl.stands)
		return;
	name_table(e->acl.ifname, table);
	if (KERNEL(e, acl_count_refused, table, &refused) == 0)
		e->acl.refused = refused;
}

static const char *why(const struct engine *e, int64_t now_ms)
{
	const struct stage *s = &e->stages[STAGE_ACL];

	if (s->problem[0])
		return s->problem;
	if (engine_acl_wanted(e))
		return s->repairs > REPAIRS_MAX && now_ms - s->repaired_ms < REPAIR_WINDOW_MS
			? "somebody undoes it again and again"
			: NULL;
	return e->config->policy.firewall == FIREWALL_OFF ? "policy.firewall is \"off\""
							  : "the network has no rules";
}

void engine_acl_write(const struct engine *e, GString *out, int64_t now_ms)
{
	if (!e->map || e->down) {
		jwrite_null(out, "firewall");
		return;
	}
	jwrite_open(out, "firewall", '{');
	jwrite_string(out, "state",
		!engine_acl_wanted(e)              ? "open"
			: engine_acl_is_settled(e) ? "closed"
						   : "missing");
	jwrite_string(out, "reason", why(e, now_ms));
	jwrite_int(out, "rules", e->acl.stands ? (int64_t)e->acl.n_rules : 0);
	jwrite_int(out, "refused", (int64_t)(e->acl.refused_before + e->acl.refused));
	jwrite_close(out, '}');
}
