/* agent/config_network.c - what lapwing.json says about a network that a server manages. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "agent/base/text.h"
#include "agent/config_impl.h"
#include "ice/gather.h"

enum { MAP_AGE_MAX_H = 365 * 24, INTERVAL_MAX_S = 7 * 24 * 3600 };

/* -- lists of texts --------------------------------------------------------------------------- */

struct texts {
	GPtrArray *items;
	void (*check)(struct jread *r, struct slice s);
};

static void read_text(struct jread *r, void *into)
{
	struct texts *texts = into;
	struct slice s = jread_string(r);

	if (r->error)
		return;
	texts->check(r, s);
	g_ptr_array_add(texts->items, g_strndup(s.s, s.len));
}

static void read_texts(
	struct jread *r, size_t max, void (*check)(struct jread *r, struct slice s), char ***ret)
{
	struct texts texts = { g_ptr_array_new(), check };

	jread_array(r, max, read_text, &texts);
	g_ptr_array_add(texts.items, NULL);
	g_strfreev(*ret);
	*ret = (char **)g_ptr_array_free(texts.items, FALSE);
}

static void check_hostname(struct jread *r, struct slice s)
{
	if (!text_is_hostname(s.s, s.len))
		jread_fail(r, "not a host name");
}

/* -- management ------------------------------------------------------------------------------- */

static void read_ca_file(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->management.ca_file);
}

static void read_ca_dir(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->management.ca_dir);
}

static void read_client_cert(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->management.client_cert);
}

static void read_client_key(struct jread *r, void *into)
{
	config_read_path(r, &((struct config *)into)->management.client_key);
}

static void read_hostname(struct jread *r, void *into)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	check_hostname(r, s);
	((struct config *)into)->management.hostname = g_strndup(s.s, s.len);
}

static void read_dns_labels(struct jread *r, void *into)
{
	struct config *c = into;

	read_texts(r, CONFIG_LABELS_MAX, check_hostname, &c->management.dns_labels);
}

static void read_map_max_age(struct jread *r, void *into)
{
	((struct config *)into)->management.map_max_age_h = (int)jread_int(r, 0, MAP_AGE_MAX_H);
}

static const struct jread_field management_fields[] = {
	{ "ca_file", read_ca_file, false },
	{ "ca_dir", read_ca_dir, false },
	{ "client_cert", read_client_cert, false },
	{ "client_key", read_client_key, false },
	{ "hostname", read_hostname, false },
	{ "dns_labels", read_dns_labels, false },
	{ "map_max_age_hours", read_map_max_age, false },
};

void config_read_management(struct jread *r, void *into)
{
	struct config *c = into;

	jread_object(r, management_fields, G_N_ELEMENTS(management_fields), c);
	if (!c->management.client_cert != !c->management.client_key)
		jread_fail(r, "\"client_cert\" and \"client_key\" go together");
}

/* -- endpoints -------------------------------------------------------------------------------- */

/* "db1.example:51820", but nothing that is meant to be an address. */
static bool parse_name(struct slice s, struct config_endpoint *ret)
{
	g_autofree char *text = g_strndup(s.s, s.len);
	char *colon = strrchr(text, ':');
	guint64 port;

	if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, UINT16_MAX, &port, NULL))
		return false;
	*colon = '\0';
	if (!text_is_hostname(text, strlen(text)) || !text[strspn(text, "0123456789.")])
		return false;
	ret->name = g_steal_pointer(&text);
	ret->address.port = (uint16_t)port;
	return true;
}

static void read_endpoint(struct jread *r, void *into)
{
	struct config_host *host = into;
	struct slice s = jread_string(r);
	struct config_endpoint e = { 0 };
	int rc;

	if (r->error)
		return;
	rc = endpoint_parse(s.s, s.len, &e.address);
	if (rc == -ENODEV)
		return jread_fail(r, "no such interface on this host");
	if (rc < 0 && !parse_name(s, &e))
		return jread_fail(r, "not address:port, [IPv6 address]:port or name:port");
	host->endpoints[host->n_endpoints++] = e;
}

static bool is_host(struct slice s)
{
	struct wg_key key;

	if (key_parse(s.s, s.len, &key) == 0)
		return true;
	if (!s.len || s.len > HOSTNAME_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!g_ascii_isalnum(s.s[i]) && !memchr("_.-", s.s[i], 3))
			return false;
	return true;
}

static const struct config_host *find(const struct config *config, const char *host, size_t len)
{
	for (size_t i = 0; i < config->n_hosts; i++)
		if (!g_ascii_strncasecmp(config->hosts[i].host, host, len) &&
			!config->hosts[i].host[len])
			return &config->hosts[i];
	return NULL;
}

static void read_host(struct jread *r, struct slice key, void *into)
{
	struct config *c = into;
	struct config_host *host;

	if (!is_host(key))
		return jread_fail(r, "not a host's name or public key");
	if (find(c, key.s, key.len))
		return jread_fail(r, "it is there twice");
	host = &c->hosts[c->n_hosts++];
	host->host = g_strndup(key.s, key.len);
	jread_array(r, CONFIG_ENDPOINTS_MAX, read_endpoint, host);
}

void config_read_endpoints(struct jread *r, void *into)
{
	struct config *c = into;

	c->hosts = g_new0(struct config_host, CONFIG_HOSTS_MAX);
	jread_members(r, CONFIG_HOSTS_MAX, read_host, c);
	c->hosts = g_renew(struct config_host, c->hosts, MAX(c->n_hosts, 1));
}

const struct config_host *config_find_host(
	const struct config *config, const char *name, const struct wg_key *key)
{
	const struct config_host *host = NULL;
	char text[KEY_STRLEN];

	if (key)
		host = find(config, key_format(key, text), KEY_TEXT_LEN);
	if (!host && name)
		host = find(config, name, strlen(name));
	if (!host && name)
		host = find(config, name, strcspn(name, "."));
	return host;
}

/* -- ice -------------------------------------------------------------------------------------- */

static void check_external_ip(struct jread *r, struct slice s)
{
	struct gather_map map;

	if (gather_map_parse(s.s, s.len, &map) < 0)
		jread_fail(r, "not EXTERNAL, EXTERNAL/LOCAL (addresses) or EXTERNAL/INTERFACE");
}

static void read_external_ips(struct jread *r, void *into)
{
	char ***texts = &((struct config *)into)->ice.external_ips;
	struct gather_map maps[CONFIG_ICE_MAX];
	size_t n = 0;

	read_texts(r, CONFIG_ICE_MAX, check_external_ip, texts);
	for (; !r->error && (*texts)[n]; n++)
		gather_map_parse((*texts)[n], strlen((*texts)[n]), &maps[n]);
	if (!gather_maps_are_good(maps, n))
		jread_fail(r, "of a family only one can be for all addresses");
}

static void check_name(struct jread *r, struct slice s)
{
	if (!gather_name_is_good(s.s, s.len))
		jread_fail(r, "not what an interface's name begins with");
}

static void read_interfaces_exclude(struct jread *r, void *into)
{
	struct config *c = into;

	read_texts(r, CONFIG_ICE_MAX, check_name, &c->ice.interfaces_exclude);
}

static const struct jread_field ice_fields[] = {
	{ "external_ips", read_external_ips, false },
	{ "interfaces_exclude", read_interfaces_exclude, false },
};

void config_read_ice(struct jread *r, void *into)
{
	jread_object(r, ice_fields, G_N_ELEMENTS(ice_fields), into);
}

/* -- metrics ---------------------------------------------------------------------------------- */

static void read_push(struct jread *r, void *into)
{
	static const char *const names[] = {
		[PUSH_OFF] = "off",
		[PUSH_SERVER] = "server",
		[PUSH_ON] = "on",
	};

	((struct config *)into)->metrics.push = (enum push_mode)config_read_word(
		r, names, G_N_ELEMENTS(names));
}

static void read_url(struct jread *r, char **ret)
{
	struct slice s = jread_string(r);

	if (r->error)
		return;
	if (!text_is_http_url(s.s, s.len))
		return jread_fail(r, "not an absolute http or https URL");
	*ret = g_strndup(s.s, s.len);
}

static void read_server_url(struct jread *r, void *into)
{
	read_url(r, &((struct config *)into)->metrics.server_url);
}

static void read_config_url(struct jread *r, void *into)
{
	read_url(r, &((struct config *)into)->metrics.config_url);
}

static void read_interval(struct jread *r, void *into)
{
	((struct config *)into)->metrics.interval_s = (int)jread_int(r, 1, INTERVAL_MAX_S);
}

static void read_force(struct jread *r, void *into)
{
	((struct config *)into)->metrics.force = jread_bool(r);
}

static const struct jread_field metrics_fields[] = {
	{ "push", read_push, false },
	{ "server_url", read_server_url, false },
	{ "config_url", read_config_url, false },
	{ "interval_seconds", read_interval, false },
	{ "force", read_force, false },
};

void config_read_metrics(struct jread *r, void *into)
{
	((struct config *)into)->metrics.given = true;
	jread_object(r, metrics_fields, G_N_ELEMENTS(metrics_fields), into);
}

/* -- policy ----------------------------------------------------------------------------------- */

static void check_path(struct jread *r, struct slice s)
{
	if (s.len < 2 || s.s[0] != '/')
		jread_fail(r, "not an absolute path");
}

void config_read_file_checks(struct jread *r, void *into)
{
	struct config *c = into;

	read_texts(r, CONFIG_CHECKS_MAX, check_path, &c->policy.file_checks);
}

/* --------------------------------------------------------------------------------------------- */

void config_network_done(struct config *config)
{
	g_free(config->management.ca_file);
	g_free(config->management.ca_dir);
	g_free(config->management.client_cert);
	g_free(config->management.client_key);
	g_free(config->management.hostname);
	g_strfreev(config->management.dns_labels);
	g_strfreev(config->policy.file_checks);
	g_free(config->metrics.server_url);
	g_free(config->metrics.config_url);
	g_strfreev(config->ice.external_ips);
	g_strfreev(config->ice.interfaces_exclude);
	for (size_t i = 0; i < config->n_hosts; i++) {
		g_free(config->hosts[i].host);
		for (size_t j = 0; j < config->hosts[i].n_endpoints; j++)
			g_free(config->hosts[i].endpoints[j].name);
	}
	g_free(config->hosts);
}
