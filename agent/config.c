/* agent/config.c - reads lapwing.json. */
#include "agent/config.h"

#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/text.h"
#include "agent/config_impl.h"

enum {
	MTU_MIN = 576,
	MTU_MAX = 65535,
	PEERS_DEFAULT = 100 * 1000,
	PEERS_MAX = 1024 * 1024,
	MAP_AGE_DEFAULT_H = 24,
	/* Routing tables that the kernel has uses for; the mark is also the number of a table. */
	TABLE_DEFAULT = 253,
	TABLE_LOCAL = 255,
};

/* -- kinds of values -------------------------------------------------------------------------- */

void config_read_path(struct jread *r, char **ret)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (s.len < 2 || s.s[0] != '/' || s.len >= PATH_MAX)
		return jread_fail(r, "not an absolute path");
	g_free(*ret);
	*ret = g_strndup(s.s, s.len);
}

static bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.s, text, s.len);
}

unsigned config_read_word(struct jread *r, const char *const *words, unsigned n)
{
	g_autoptr(GString) all = g_string_new(NULL);
	struct slice s = jread_string(r);

	for (unsigned i = 0; i < n; i++) {
		if (slice_is(s, words[i]))
			return i;
		g_string_append_printf(all, "%s\"%s\"", i ? ", " : "", words[i]);
	}
	jread_fail(r, "one of %s", all->str);
	return 0;
}

/* -- interface -------------------------------------------------------------------------------- */

static void read_interface_name(struct jread *r, char ret[static IFNAMSIZ])
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!text_is_interface_name(s.s, s.len))
		return jread_fail(r,
			"an interface name has 1 to %d of the characters "
			"A-Z a-z 0-9 _ . - and is no number",
			IFNAMSIZ - 1);
	memcpy(ret, s.s, s.len);
}

static void read_name(struct jread *r, void *into)
{
	read_interface_name(r, ((struct config *)into)->interface.name);
}

static void read_listen_port(struct jread *r, void *into)
{
	((struct config *)into)->interface.listen_port = (int)jread_int(r, 1, 65535);
}

static void read_mtu(struct jread *r, void *into)
{
	struct config *c = into;

	if (jread_peek(r) == '0')
		c->interface.mtu = (int)jread_int(r, MTU_MIN, MTU_MAX);
	else if (slice_is(jread_string(r), "auto"))
		c->interface.mtu = 0;
	else
		jread_fail(r, "neither \"auto\" nor a number");
}

static void read_fwmark(struct jread *r, void *into)
{
	struct config *c = into;

	c->interface.fwmark = jread_int(r, 1, UINT32_MAX);
	if (c->interface.fwmark >= TABLE_DEFAULT && c->interface.fwmark <= TABLE_LOCAL)
		jread_fail(r, "%d to %d are the kernel's own routing tables", TABLE_DEFAULT,
			TABLE_LOCAL);
}

static void read_adopt(struct jread *r, void *into)
{
	((struct config *)into)->interface.adopt = jread_bool(r);
}

static const struct jread_field interface_fields[] = {
	{ "name", read_name, false },
	{ "listen_port", read_listen_port, false },
	{ "mtu", read_mtu, false },
	{ "fwmark", read_fwmark, false },
	{ "adopt", read_adopt, false },
};

static void read_interface(struct jread *r, void *into)
{
	jread_object(r, interface_fields, G_N_ELEMENTS(interface_fields), into);
}

/* -- policy ----------------------------------------------------------------------------------- */

static void read_default_route(struct jread *r, void *into)
{
	((struct config *)into)->policy.default_route = jread_bool(r);
}

static void read_dns(struct jread *r, void *into)
{
	((struct config *)into)->policy.dns = jread_bool(r);
}

static void read_route(struct jread *r, void *into)
{
	struct config *c = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (prefix_parse(s.s, s.len, &c->policy.routes[c->policy.n_routes]) < 0)
		return jread_fail(r, "not a network (bits behind the prefix length are zero)");
	c->policy.n_routes++;
}

static void read_routes(struct jread *r, void *into)
{
	struct config *c = into;

	c->policy.routes_given = true;
	c->policy.routes = g_new0(struct prefix, CONFIG_ROUTES_MAX);
	jread_array(r, CONFIG_ROUTES_MAX, read_route, c);
	c->policy.routes = g_renew(struct prefix, c->policy.routes, c->policy.n_routes);
}

static void read_max_peers(struct jread *r, void *into)
{
	((struct config *)into)->policy.max_peers = (uint32_t)jread_int(r, 1, PEERS_MAX);
}

static void read_firewall(struct jread *r, void *into)
{
	static const char *const names[] = {
		[FIREWALL_AUTO] = "auto",
		[FIREWALL_OFF] = "off",
		[FIREWALL_ON] = "on",
	};

	((struct config *)into)->policy.firewall = (enum firewall_policy)config_read_word(
		r, names, G_N_ELEMENTS(names));
}

static void read_jobs(struct jread *r, void *into)
{
	((struct config *)into)->policy.jobs = jread_bool(r);
}

static const struct jread_field policy_fields[] = {
	{ "default_route", read_default_route, false },
	{ "dns", read_dns, false },
	{ "routes", read_routes, false },
	{ "max_peers", read_max_peers, false },
	{ "firewall", read_firewall, false },
	{ "file_checks", config_read_file_checks, false },
	{ "jobs", read_jobs, false },
};

static void read_policy(struct jread *r, void *into)
{
	jread_object(r, policy_fields, G_N_ELEMENTS(policy_fields), into);
}

/* -- tune ------------------------------------------------------------------------------------- */

static void read_apply_on_start(struct jread *r, void *into)
{
	((struct config *)into)->tune.apply_on_start = jread_bool(r);
}

static void read_knob(struct jread *r, void *into)
{
	struct slice s = jread_string(r);
	g_autofree char *name = r->error ? NULL : g_strndup(s.s, s.len);
	const char *nearest;
	int knob = name ? knob_find(name, &nearest) : -1;

	if (knob >= 0)
		*(uint32_t *)into |= UINT32_C(1) << knob;
	else if (name)
		jread_fail(r, "there is no such knob; the nearest is \"%s\"", nearest);
}

static void read_only(struct jread *r, void *into)
{
	struct config *c = into;

	c->tune.only = 0;
	jread_array(r, KNOBS, read_knob, &c->tune.only);
}

static void read_skip(struct jread *r, void *into)
{
	jread_array(r, KNOBS, read_knob, &((struct config *)into)->tune.skip);
}

static void read_irqbalance(struct jread *r, void *into)
{
	struct config *c = into;
	struct slice s = jread_string(r);

	for (int i = 0; irqbalance_mode_names[i]; i++) {
		if (slice_is(s, irqbalance_mode_names[i])) {
			c->tune.irqbalance = (enum irqbalance_mode)i;
			return;
		}
	}
	jread_fail(r, "one of \"ban\", \"stop\", \"keep\"");
}

static void read_underlay(struct jread *r, void *into)
{
	read_interface_name(r, ((struct config *)into)->tune.underlay);
}

static const struct jread_field tune_fields[] = {
	{ "apply_on_start", read_apply_on_start, false },
	{ "only", read_only, false },
	{ "skip", read_skip, false },
	{ "irqbalance", read_irqbalance, false },
	{ "underlay", read_underlay, false },
};

static void read_tune(struct jread *r, void *into)
{
	jread_object(r, tune_fields, G_N_ELEMENTS(tune_fields), into);
}

/* -- log -------------------------------------------------------------------------------------- */

static void read_level(struct jread *r, void *into)
{
	struct config *c = into;
	struct slice s = jread_string(r);
	g_autofree char *text = r->error ? NULL : g_strndup(s.s, s.len);

	if (text && log_level_parse(text, &c->log.level) < 0)
		jread_fail(r, "one of \"error\", \"warn\", \"info\", \"debug\"");
}

static void read_target(struct jread *r, void *into)
{
	static const char *const names[] = {
		[LOG_TARGET_AUTO] = "auto",
		[LOG_TARGET_STDERR] = "stderr",
		[LOG_TARGET_JOURNAL] = "journal",
		[LOG_TARGET_FILE] = "file",
	};

	((struct config *)into)->log.target = (enum log_target)config_read_word(
		r, names, G_N_ELEMENTS(names));
}

static void read_log_file(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->log.file);
}

static const struct jread_field log_fields[] = {
	{ "level", read_level, false },
	{ "target", read_target, false },
	{ "file", read_log_file, false },
};

static void read_log(struct jread *r, void *into)
{
	struct config *c = into;

	jread_object(r, log_fields, G_N_ELEMENTS(log_fields), c);
	if ((c->log.target == LOG_TARGET_FILE) != (c->log.file != NULL))
		jread_fail(r, "\"target\": \"file\" and \"file\" go together");
}

/* -- the document ----------------------------------------------------------------------------- */

static void read_mesh_file(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->mesh_file);
}

static void read_private_key_file(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->private_key_file);
}

static void read_management(struct jread *r, void *into)
{
	((struct config *)into)->management.given = true;
	config_read_management(r, into);
}

/* A mesh file knows all about its hosts, and no server. */
static void check_document(struct jread *r, const struct config *config)
{
	if (config->mesh_file && config->management.given)
		jread_fail(r, "\"mesh_file\" and \"management\" exclude each other");
	if (config->mesh_file && config->hosts)
		jread_fail(r, "\"mesh_file\" and \"endpoints\" exclude each other");
	if (config->mesh_file && config->metrics.given)
		jread_fail(r, "\"mesh_file\" and \"metrics\" exclude each other");
	if (config->mesh_file && (config->ice.external_ips || config->ice.interfaces_exclude))
		jread_fail(r, "\"mesh_file\" and \"ice\" exclude each other");
}

static const struct jread_field document_fields[] = {
	{ "mesh_file", read_mesh_file, false },
	{ "private_key_file", read_private_key_file, false },
	{ "management", read_management, false },
	{ "endpoints", config_read_endpoints, false },
	{ "ice", config_read_ice, false },
	{ "metrics", config_read_metrics, false },
	{ "interface", read_interface, false },
	{ "policy", read_policy, false },
	{ "tune", read_tune, false },
	{ "log", read_log, false },
};

int config_parse(
	const char *text, size_t len, struct config *ret, char error[static CONFIG_ERROR_MAX])
{
	struct config config = {
		.interface = { .listen_port = -1, .mtu = -1, .fwmark = -1 },
		.management = { .map_max_age_h = MAP_AGE_DEFAULT_H },
		.policy = { .max_peers = PEERS_DEFAULT },
		.tune = { .only = KNOB_ALL, .irqbalance = IRQBALANCE_BAN },
		.log = { .level = LOG_LEVEL_INFO, .target = LOG_TARGET_AUTO },
	};
	struct jread r;

	jread_init(&r, text, len);
	jread_object(&r, document_fields, G_N_ELEMENTS(document_fields), &config);
	check_document(&r, &config);
	if (jread_finish(&r)) {
		g_strlcpy(error, r.message, CONFIG_ERROR_MAX);
		config_done(&config);
		return -EINVAL;
	}
	*ret = config;
	return 0;
}

int config_load(const char *path, struct config *ret, char error[static CONFIG_ERROR_MAX])
{
	g_autofree char *text = NULL;
	char message[CONFIG_ERROR_MAX];
	size_t len;
	int r;

	r = file_read(path, CONFIG_SIZE_MAX, &text, &len);
	if (r < 0) {
		file_explain(r, path, CONFIG_SIZE_MAX, error, CONFIG_ERROR_MAX);
		return r;
	}
	r = config_parse(text, len, ret, message);
	if (r < 0)
		g_snprintf(error, CONFIG_ERROR_MAX, "%s: %s", path, message);
	else
		config_digest(text, len, ret->digest);
	return r;
}

void config_digest(const char *text, size_t len, char ret[static CONFIG_DIGEST_LEN + 1])
{
	g_autofree char *hex = g_compute_checksum_for_data(
		G_CHECKSUM_SHA256, (const guchar *)text, len);

	g_strlcpy(ret, hex, CONFIG_DIGEST_LEN + 1);
}

void config_done(struct config *config)
{
	g_free(config->mesh_file);
	g_free(config->private_key_file);
	g_free(config->policy.routes);
	g_free(config->log.file);
	config_network_done(config);
	*config = (struct config){ 0 };
}

bool config_allows_route(const struct config *config, const struct prefix *route)
{
	if (route->bits < CONFIG_SHORT_PREFIX && !config->policy.default_route)
		return false;
	if (!config->policy.routes_given)
		return true;
	for (size_t i = 0; i < config->policy.n_routes; i++)
		if (prefix_contains(&config->policy.routes[i], route))
			return true;
	return false;
}
