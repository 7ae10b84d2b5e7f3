/* agent/network_profile.c - takes over the identity of another agent on this host, and gives it back. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine.h"
#include "agent/identity.h"
#include "agent/mapcache.h"
#include "agent/network_impl.h"
#include "ice/gather.h"
#include "mgmt/profile.h"

enum { DEFAULT_PORT = 51820, DEFAULT_MTU = 1280 };

static const char default_interface[] = "wt0";

static bool excludes_as_ever(const struct profile *p)
{
	struct profile usual;
	bool same;

	profile_init(&usual);
	same = g_strv_equal((const char *const *)usual.ignored_interfaces,
		(const char *const *)p->ignored_interfaces);
	profile_done(&usual);
	return same;
}

/* What is as everywhere is not written down. */
static void to_membership(const struct profile *p, char *url, struct membership *ret)
{
	*ret = (struct membership){ .url = url,
		.listen_port = p->listen_port == DEFAULT_PORT ? 0 : (uint16_t)p->listen_port,
		.mtu = p->mtu == DEFAULT_MTU ? 0 : (uint16_t)p->mtu,
		.has_psk = !key_is_zero(&p->preshared_key) };
	if (strcmp(p->interface, default_interface))
		g_strlcpy(ret->interface, p->interface, sizeof(ret->interface));
	if (*p->external_ips)
		ret->external_ips = g_strdupv(p->external_ips);
	if (!excludes_as_ever(p))
		ret->interfaces_exclude = g_strdupv(p->ignored_interfaces);
}

/* What it says of this host's addresses has to make sense here too. NULL: it does. */
static const char *check_ice(const struct profile *p)
{
	struct gather_map maps[CONFIG_ICE_MAX];
	size_t n = g_strv_length(p->external_ips);

	if (n > CONFIG_ICE_MAX || g_strv_length(p->ignored_interfaces) > CONFIG_ICE_MAX)
		return "NATExternalIPs, IFaceBlackList: too many";
	for (size_t i = 0; i < n; i++)
		if (gather_map_parse(p->external_ips[i], strlen(p->external_ips[i]), &maps[i]) < 0)
			return "NATExternalIPs: not EXTERNAL, EXTERNAL/LOCAL or EXTERNAL/INTERFACE";
	if (!gather_maps_are_good(maps, n))
		return "NATExternalIPs: of a family only one can be for all addresses";
	for (char **name = p->ignored_interfaces; *name; name++)
		if (!gather_name_is_good(*name, strlen(*name)))
			return "IFaceBlackList: not what an interface's name begins with";
	return NULL;
}

static int write_psk(const struct network *n, const struct profile *p)
{
	char text[KEY_STRLEN];
	int r;

	if (key_is_zero(&p->preshared_key))
		return unlink(n->psk_path) < 0 && errno != ENOENT ? -errno : 0;
	key_format(&p->preshared_key, text);
	r = file_write(n->psk_path, text, KEY_TEXT_LEN, 0600);
	explicit_bzero(text, sizeof(text));
	return r;
}

/* The last step makes it so: what comes before has no effect without network.json. */
static int write_down(const struct network *n, const struct profile *p, const struct membership *m)
{
	int r = write_psk(n, p);

	if (r == 0)
		r = identity_adopt(n->state_dir, IDENTITY_MACHINE_ID, &p->private_key, NULL);
	return r < 0 ? r : membership_save(n->state_dir, m);
}

static void write_lines(GString *out, const char *key, char **lines)
{
	jwrite_open(out, key, '[');
	for (; *lines; lines++)
		jwrite_string(out, NULL, *lines);
	jwrite_close(out, ']');
}

static void answer(struct network *n, uint32_t id, const struct profile *p, bool changed)
{
	g_auto(GStrv) imported = profile_imported(p), ignored = profile_ignored(p);
	g_autoptr(GString) members = g_string_new(NULL);

	write_lines(members, "imported", imported);
	write_lines(members, "ignored", ignored);
	network_answer(n, id,
		&(struct network_outcome){ .schema = "lapwing.import/1",
			.changed = changed,
			.message = changed ? "imported" : "this host is that peer already",
			.members = members->str });
}

/* In the place of what was here before. */
static void take_over(struct network *n, const struct profile *p, struct membership *m)
{
	mapcache_remove(n->state_dir);
	network_forget(n);
	n->membership = *m;
	*m = (struct membership){ 0 };
	network_begin(n, &p->private_key);
	n->down = false;
	n->client = network_new_client(n, &n->membership, &n->private_key, &network_callbacks, n);
	mgmt_client_start(n->client, NULL);
	log_info("took over a peer of %s", n->membership.url);
}

static bool is_that_peer(const struct network *n, const struct profile *p, const char *url)
{
	return n->membership.url && !strcmp(n->membership.url, url) &&
		key_is_same(&n->private_key, &p->private_key);
}

/* Another identity than that of the profile is here. */
static bool has_another_key(const struct network *n, const struct profile *p)
{
	_auto_wipe_ struct wg_key key = { 0 };

	return identity_load(n->state_dir, IDENTITY_MACHINE_ID, &key, NULL) == 0 &&
		!key_is_same(&key, &p->private_key);
}

static void import(struct network *n, uint32_t id, const struct profile *p, bool force)
{
	char error[NETWORK_ERROR_MAX];
	struct membership m;
	char *url;
	int r;

	if (mgmt_url_parse(p->management_url, &url, error) < 0)
		return network_refuse(n, id, EXIT_CONFIG, error, NULL);
	if (is_that_peer(n, p, url)) {
		g_free(url);
		return answer(n, id, p, false);
	}
	if (!force && (n->membership.url || has_another_key(n, p))) {
		g_free(url);
		return network_refuse(n, id, EXIT_REFUSED, "this host has an identity of its own",
			"--force gives it up for that of the profile");
	}
	to_membership(p, url, &m);
	r = write_down(n, p, &m);
	if (r == 0) {
		take_over(n, p, &m);
		answer(n, id, p, true);
	} else {
		g_snprintf(error, sizeof(error), "cannot write to %s: %s", n->state_dir,
			g_strerror(-r));
		network_refuse(n, id, EXIT_FAILED, error, NULL);
	}
	membership_done(&m);
}

void network_import(struct network *n, uint32_t id, const char *text, size_t len, bool force)
{
	char error[MAX((int)NETWORK_ERROR_MAX, (int)PROFILE_ERROR_MAX)];
	struct profile p;
	const char *hint, *problem;
	enum exit_code code = network_check_free(n, error, &hint);

	if (code)
		return network_refuse(n, id, code, error, hint);
	if (profile_parse(text, len, &p, error) < 0)
		return network_refuse(n, id, EXIT_CONFIG, error, NULL);
	problem = check_ice(&p);
	if (problem) {
		network_refuse(n, id, EXIT_CONFIG, problem, NULL);
	} else {
		network_replace_trial(n);
		import(n, id, &p, force);
	}
	profile_done(&p);
}

static void export_list(char *const *from, char ***to)
{
	if (!from)
		return;
	g_strfreev(*to);
	*to = g_strdupv((char **)from);
}

GString *network_export(const struct network *n, char error[static NETWORK_ERROR_MAX])
{
	const struct membership *m = &n->membership;
	struct profile p;
	GString *text;

	if (!m->url) {
		g_strlcpy(error, "not enrolled: there is nothing to export", NETWORK_ERROR_MAX);
		return NULL;
	}
	profile_init(&p);
	p.private_key = n->private_key;
	g_free(p.management_url);
	p.management_url = g_strdup(m->url);
	g_free(p.interface);
	p.interface = g_strdup(network_interface(n, m));
	p.listen_port = m->listen_port ? m->listen_port : DEFAULT_PORT;
	p.mtu = m->mtu ? m->mtu : DEFAULT_MTU;
	if (m->has_psk)
		key_read_file(n->psk_path, &p.preshared_key);
	export_list(network_external_ips(n), &p.external_ips);
	export_list(network_interfaces_exclude(n), &p.ignored_interfaces);
	text = profile_format(&p);
	profile_done(&p);
	return text;
}
