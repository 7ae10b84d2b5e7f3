/* agent/cli/doctor_others.c - other programs that manage interfaces, routes and firewalls. */
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/doctor.h"

/* -- systemd-networkd ------------------------------------------------------------------------- */

/* What its files say last. */
static char *networkd_setting(const struct doctor *d, const char *key)
{
	static const char *const folders[] = { "/etc/systemd/networkd.conf.d",
		"/run/systemd/networkd.conf.d", "/usr/local/lib/systemd/networkd.conf.d",
		"/usr/lib/systemd/networkd.conf.d", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(d->tree, folders, ".conf");
	char *value = NULL;

	g_ptr_array_insert(paths, 0, g_strdup("/etc/systemd/networkd.conf"));
	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *text = NULL, *next = NULL;

		if (tree_read(d->tree, paths->pdata[i], &text) == 0 &&
			(next = doctor_ini(text, "Network", key))) {
			g_free(value);
			value = g_steal_pointer(&next);
		}
	}
	return value;
}

static bool is_no(const char *value)
{
	static const char *const words[] = { "no", "false", "off", "0", "n", "f", NULL };
	g_autofree char *small = value ? g_ascii_strdown(value, -1) : NULL;

	return small && g_strv_contains(words, small);
}

/* "eth* !wt0": a list of patterns; all of them with "!" before the first mean the contrary. */
static bool words_match(const char *list, const char *name)
{
	g_auto(GStrv) words = g_strsplit_set(list, " \t", -1);
	bool contrary = words[0] && words[0][0] == '!', found = false;

	for (char **word = words; *word; word++)
		if (**word && fnmatch(*word + (**word == '!'), name, 0) == 0)
			found = true;
	return found != contrary;
}

static bool is_ours(const char *text, const char *iface)
{
	g_autofree char *name = doctor_ini(text, "Match", "Name");
	g_autofree char *kind = doctor_ini(text, "Match", "Kind");
	g_autofree char *type = doctor_ini(text, "Match", "Type");

	return (name || kind || type) && (!name || words_match(name, iface)) &&
		(!kind || words_match(kind, "wireguard")) &&
		(!type || words_match(type, "wireguard"));
}

/* The first file that matches an interface is the one that holds. */
static void check_network_files(struct doctor *d)
{
	static const char *const folders[] = { "/etc/systemd/network", "/run/systemd/network",
		"/usr/local/lib/systemd/network", "/usr/lib/systemd/network", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(d->tree, folders, ".network");
	const char *iface = d->facts->iface;

	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *text = NULL, *unmanaged = NULL;

		if (tree_read(d->tree, paths->pdata[i], &text) < 0 || !is_ours(text, iface))
			continue;
		unmanaged = doctor_ini(text, "Link", "Unmanaged");
		if (!unmanaged || is_no(unmanaged))
			doctor_say(d, DOCTOR_WARNING,
				g_strdup_printf(
					"%s makes %s its own", (char *)paths->pdata[i], iface),
				g_strdup_printf(
					"/etc/systemd/network/00-%s.network with [Match] Name=%s and "
					"[Link] Unmanaged=yes",
					iface, iface));
		return;
	}
}

void doctor_check_networkd(struct doctor *d)
{
	static const char *const keys[] = { "ManageForeignRoutes",
		"ManageForeignRoutingPolicyRules" };
	guint before = d->findings->len;

	if (!doctor_find_process(d, "systemd-network"))
		return doctor_ok(d, "does not run");
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		g_autofree char *value = networkd_setting(d, keys[i]);

		if (!is_no(value))
			doctor_say(d, DOCTOR_WARNING,
				g_strdup_printf(
					"it removes %s that it did not make, when it starts and when a "
					"device changes",
					i ? "rules" : "routes"),
				g_strdup_printf(
					"/etc/systemd/networkd.conf.d/60-lapwing.conf with [Network] "
					"%s=no, then systemctl restart systemd-networkd",
					keys[i]));
	}
	check_network_files(d);
	if (d->findings->len == before)
		doctor_ok(d, "leaves our interface, routes and rules alone");
}

/* -- NetworkManager --------------------------------------------------------------------------- */

/* "interface-name:wt*;mac:..." or with commas. */
static bool spec_has(const char *spec, const char *iface)
{
	static const char by_name[] = "interface-name:";
	g_auto(GStrv) words = g_strsplit_set(spec, ";, \t", -1);

	for (char **word = words; *word; word++) {
		const char *pattern = *word + strlen(by_name);

		if (!strcmp(*word, "*") || !strcmp(*word, "type:wireguard"))
			return true;
		if (g_str_has_prefix(*word, by_name) &&
			fnmatch(pattern + (*pattern == '='), iface, 0) == 0)
			return true;
	}
	return false;
}

/* Of any section [device...]: its name is for people. */
static bool device_sections_have(const char *text, const char *iface)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (char **line = lines; *line; line++) {
		g_autofree char *match = NULL, *managed = NULL;
		char *end = strchr(g_strstrip(*line), ']');

		if (!g_str_has_prefix(*line, "[device") || !end)
			continue;
		*end = '\0';
		match = doctor_ini(text, *line + 1, "match-device");
		managed = doctor_ini(text, *line + 1, "managed");
		if (match && spec_has(match, iface) && is_no(managed))
			return true;
	}
	return false;
}

static bool manager_leaves(const struct doctor *d)
{
	static const char *const folders[] = { "/etc/NetworkManager/conf.d",
		"/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(d->tree, folders, ".conf");

	g_ptr_array_add(paths, g_strdup("/etc/NetworkManager/NetworkManager.conf"));
	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *text = NULL, *list = NULL;

		if (tree_read(d->tree, paths->pdata[i], &text) < 0)
			continue;
		list = doctor_ini(text, "keyfile", "unmanaged-devices");
		if ((list && spec_has(list, d->facts->iface)) ||
			device_sections_have(text, d->facts->iface))
			return true;
	}
	return false;
}

void doctor_check_network_manager(struct doctor *d)
{
	const char *iface = d->facts->iface;

	if (!doctor_find_process(d, "NetworkManager"))
		return doctor_ok(d, "does not run");
	if (manager_leaves(d))
		return doctor_ok(d, "leaves %s alone", iface);
	doctor_say(d, DOCTOR_WARNING, g_strdup_printf("may take %s for its own", iface),
		g_strdup_printf("/etc/NetworkManager/conf.d/60-lapwing.conf with [keyfile] "
				"unmanaged-devices=interface-name:%s, then nmcli general reload",
			iface));
}

/* -- firewalls -------------------------------------------------------------------------------- */

/* What is accepted by us is dropped by it all the same. */
static void say_firewall(struct doctor *d, bool has_iface, bool has_port, char *let_in, char *port)
{
	const char *iface = d->facts->iface;

	if (has_iface)
		g_free(let_in);
	else
		doctor_say(d, DOCTOR_WARNING,
			g_strdup_printf("it drops what comes in by %s and it does not know", iface),
			let_in);
	if (has_port)
		g_free(port);
	else
		doctor_say(d, DOCTOR_WARNING,
			g_strdup_printf(
				"it drops WireGuard's packets to UDP port %d, unless this host began",
				d->facts->listen_port),
			port);
	if (has_iface && has_port)
		doctor_ok(d, "knows %s and UDP port %d", iface, d->facts->listen_port);
}

void doctor_check_firewalld(struct doctor *d)
{
	static const char *const folders[] = { "/etc/firewalld/zones", NULL };
	g_autoptr(GPtrArray) paths = tree_drop_ins(d->tree, folders, ".xml");
	const char *iface = d->facts->iface;
	g_autofree char *by_name = g_strdup_printf("<interface name=\"%s\"", iface);
	g_autofree char *by_port = g_strdup_printf("port=\"%d\"", d->facts->listen_port);
	bool has_iface = false, has_port = false;

	if (!doctor_find_process(d, "firewalld"))
		return doctor_ok(d, "does not run");
	for (guint i = 0; i < paths->len; i++) {
		g_autofree char *text = NULL;

		if (tree_read(d->tree, paths->pdata[i], &text) < 0)
			continue;
		has_iface = has_iface || strstr(text, by_name);
		has_port = has_port || strstr(text, by_port);
	}
	say_firewall(d, has_iface, has_port,
		g_strdup_printf("firewall-cmd --permanent --zone=trusted --add-interface=%s && "
				"firewall-cmd --reload",
			iface),
		g_strdup_printf(
			"firewall-cmd --permanent --add-port=%d/udp && firewall-cmd --reload",
			d->facts->listen_port));
}

void doctor_check_ufw(struct doctor *d)
{
	const char *iface = d->facts->iface;
	g_autofree char *config = NULL, *rules = NULL, *in = g_strdup_printf(" in_%s", iface);
	g_autofree char *port = g_strdup_printf("allow udp %d ", d->facts->listen_port);
	g_autofree char *any = g_strdup_printf("allow any %d ", d->facts->listen_port);

	if (tree_read(d->tree, "/etc/ufw/ufw.conf", &config) < 0 || !strstr(config, "ENABLED=yes"))
		return doctor_ok(d, "is not enabled");
	if (tree_read(d->tree, "/etc/ufw/user.rules", &rules) < 0)
		return doctor_say(d, DOCTOR_NOTE,
			g_strdup("it is enabled, and its rules can be read by root only"), NULL);
	say_firewall(d, strstr(rules, in), strstr(rules, port) || strstr(rules, any),
		g_strdup_printf("ufw allow in on %s", iface),
		g_strdup_printf("ufw allow %d/udp", d->facts->listen_port));
}

/* It was told not to touch the firewall, or not to drop what is forwarded. */
static bool docker_lets_through(const struct doctor *d)
{
	g_autofree char *text = NULL;
	json_t *config;
	bool lets;

	if (tree_read(d->tree, "/etc/docker/daemon.json", &text) < 0)
		return false;
	config = json_loads(text, 0, NULL);
	lets = json_is_true(json_object_get(config, "ip-forward-no-drop")) ||
		json_is_false(json_object_get(config, "iptables"));
	json_decref(config);
	return lets;
}

void doctor_check_docker(struct doctor *d)
{
	const char *iface = d->facts->iface;

	if (!doctor_find_process(d, "dockerd"))
		return doctor_ok(d, "does not run");
	if (docker_lets_through(d))
		return doctor_ok(d, "drops no forwarded packets");
	doctor_say(d, DOCTOR_NOTE,
		g_strdup(
			"it drops packets that are forwarded and not its own, also those between the mesh "
			"and networks or containers of this host"),
		g_strdup_printf(
			"iptables -I DOCKER-USER -i %s -j ACCEPT; iptables -I DOCKER-USER -o %s -j "
			"ACCEPT; or \"ip-forward-no-drop\": true in /etc/docker/daemon.json",
			iface, iface));
}

/* -- others that make such interfaces --------------------------------------------------------- */

void doctor_check_agents(struct doctor *d)
{
	const char *iface = d->facts->iface;
	g_autofree char *unit = g_strdup_printf(
		"/etc/systemd/system/multi-user.target.wants/wg-quick@%s.service", iface);
	g_autofree char *netdev = g_strdup_printf("/etc/systemd/network/%s.netdev", iface);
	guint before = d->findings->len;

	if (doctor_find_process(d, "netbird"))
		doctor_say(d, DOCTOR_WARNING,
			g_strdup(
				"NetBird's agent runs here: two cannot be the same peer, nor have one "
				"interface"),
			g_strdup("systemctl disable --now netbird"));
	if (tree_exists(d->tree, unit))
		doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("wg-quick makes %s at each start", iface),
			g_strdup_printf("systemctl disable --now wg-quick@%s", iface));
	if (tree_exists(d->tree, netdev))
		doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("%s makes %s at each start", netdev, iface),
			g_strdup("remove that file, or set interface.name to another one"));
	if (d->findings->len == before)
		doctor_ok(d, "nobody else makes %s", iface);
}
