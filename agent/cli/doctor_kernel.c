/* agent/cli/doctor_kernel.c - the daemon, and what the kernel lets it do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/doctor.h"

enum { CAP_NUMBER_NET_ADMIN = 12, CAP_NUMBER_NET_RAW = 13 };
enum { KERNEL_MAJOR = 5, KERNEL_MINOR = 15 };

void doctor_check_daemon(struct doctor *d)
{
	const struct doctor_facts *facts = d->facts;

	if (!facts->running)
		return doctor_say(d, DOCTOR_NOTE, g_strdup("lapwingd does not answer"),
			g_strdup(
				"systemctl enable --now lapwing; journalctl -u lapwing tells why it ended"));
	if (!strcmp(facts->state, "degraded") || !strcmp(facts->state, "conflict"))
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("lapwingd is in state %s: %s", facts->state, facts->reason),
			g_strdup("lapwing status names every problem"));
	doctor_ok(d, "lapwingd answers, its state is %s", facts->state);
}

static char *release_of(const struct doctor *d)
{
	char *release = NULL;

	tree_read(d->tree, "/proc/sys/kernel/osrelease", &release);
	return release;
}

void doctor_check_kernel(struct doctor *d)
{
	g_autofree char *release = release_of(d);
	int major, minor;

	if (!release || sscanf(release, "%d.%d", &major, &minor) != 2)
		return doctor_say(d, DOCTOR_NOTE, g_strdup("its version is not known"), NULL);
	if (major < KERNEL_MAJOR || (major == KERNEL_MAJOR && minor < KERNEL_MINOR))
		return doctor_say(d, DOCTOR_WARNING,
			g_strdup_printf(
				"Linux %s is older than %d.%d, with which lapwing is tested",
				release, KERNEL_MAJOR, KERNEL_MINOR),
			g_strdup("install a newer kernel and reboot"));
	doctor_ok(d, "Linux %s", release);
}

/* -- modules ---------------------------------------------------------------------------------- */

enum module { MODULE_LOADED, MODULE_BUILTIN, MODULE_FILE, MODULE_NONE, MODULE_UNKNOWN };

/* Modules are listed as kernel/net/.../NAME.ko, perhaps compressed. */
static bool list_has(const struct doctor *d, const char *path, const char *name)
{
	g_autofree char *text = NULL, *file = g_strdup_printf("/%s.ko", name);

	if (tree_read(d->tree, path, &text) < 0)
		return false;
	for (const char *at = text; (at = strstr(at, file)); at++)
		if (strchr(".:\n", at[strlen(file)])) /* also the end of it */
			return true;
	return false;
}

/* `asked`: what the kernel said of it. */
static enum module find_module(
	const struct doctor *d, const char *release, const char *name, int asked)
{
	g_autofree char *loaded = g_build_filename("/sys/module", name, NULL);
	g_autofree char *folder = g_build_filename("/lib/modules", release ? release : "", NULL);
	g_autofree char *builtin = g_build_filename(folder, "modules.builtin", NULL);
	g_autofree char *files = g_build_filename(folder, "modules.dep", NULL);

	if (tree_exists(d->tree, loaded))
		return MODULE_LOADED;
	if (!release || !tree_exists(d->tree, files))
		return asked ? MODULE_UNKNOWN : MODULE_BUILTIN;
	if (list_has(d, builtin, name))
		return MODULE_BUILTIN;
	return list_has(d, files, name) ? MODULE_FILE : MODULE_NONE;
}

static void say_no_module(struct doctor *d, enum module module, const char *name, int asked)
{
	if (module == MODULE_UNKNOWN && asked == -EPERM)
		return doctor_say(d, DOCTOR_NOTE,
			g_strdup_printf("whether the kernel has %s only root can see", name), NULL);
	if (doctor_in_container(d))
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("%s is not loaded, and a container cannot load it", name),
			g_strdup_printf("on the host of this container: modprobe %s", name));
	if (module == MODULE_UNKNOWN)
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf(
				"%s is not loaded, and the modules of the running kernel are "
				"not there",
				name),
			g_strdup("reboot into the kernel that is installed"));
	doctor_say(d, DOCTOR_PROBLEM, g_strdup_printf("this kernel has no %s", name),
		g_strdup(
			"install a kernel of the distribution with all its modules (linux-image-amd64, "
			"linux-modules-extra), and reboot"));
}

void doctor_check_module(struct doctor *d)
{
	g_autofree char *release = release_of(d);
	enum module module = find_module(d, release, "wireguard", d->facts->wireguard);

	switch (module) {
	case MODULE_LOADED:
	case MODULE_BUILTIN:
		return doctor_ok(d, "wireguard is %s",
			module == MODULE_LOADED ? "loaded" : "part of this kernel");
	case MODULE_FILE:
		return doctor_say(d, DOCTOR_WARNING, g_strdup("wireguard is there, but not loaded"),
			g_strdup(
				"modprobe wireguard; at each start /etc/modules-load.d/lapwing.conf "
				"with the line \"wireguard\" does it"));
	case MODULE_NONE:
	case MODULE_UNKNOWN:
		say_no_module(d, module, "wireguard", d->facts->wireguard);
	}
}

/* False: it is switched off in the kernel's configuration, where that can be read. */
static bool has_inet_family(const struct doctor *d, const char *release)
{
	g_autofree char *path = g_strdup_printf("/boot/config-%s", release), *text = NULL;

	return tree_read(d->tree, path, &text) < 0 || strstr(text, "CONFIG_NF_TABLES_INET=y");
}

void doctor_check_nft(struct doctor *d)
{
	/* Each with what is missing without it. */
	static const struct {
		const char *module, *loss;
	} parts[] = {
		{ "nfnetlink_log", "of a peer that begins to talk lapwing hears a minute later" },
		{ "nfnetlink_queue", "paths behind NATs are not looked for on WireGuard's port" },
		{ "nft_ct", "the firewall cannot tell answers from what is new" },
	};
	g_autofree char *release = release_of(d);
	enum module tables = find_module(d, release, "nf_tables", d->facts->nft);
	guint before = d->findings->len;

	if (tables == MODULE_NONE || tables == MODULE_UNKNOWN)
		return say_no_module(d, tables, "nf_tables", d->facts->nft);
	if (!has_inet_family(d, release))
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup("this kernel's nftables lacks the family inet"),
			g_strdup("install a kernel with CONFIG_NF_TABLES_INET, and reboot"));
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (find_module(d, release, parts[i].module, -ENODATA) == MODULE_NONE)
			doctor_say(d, DOCTOR_WARNING,
				g_strdup_printf("this kernel has no %s: %s", parts[i].module,
					parts[i].loss),
				g_strdup(
					"install a kernel of the distribution with all its modules, and "
					"reboot"));
	if (d->findings->len == before)
		doctor_ok(d, "nf_tables is %s, with the family inet",
			tables == MODULE_FILE ? "there, and loaded when it is used"
					      : "in the kernel");
}

/* -- capabilities ----------------------------------------------------------------------------- */

/* Those of "NET_ADMIN, NET_RAW" that a line of /proc/PID/status lacks; NULL: it could not be read. */
static char *missing_in(const struct doctor *d, const char *process, const char *field)
{
	g_autofree char *path = g_build_filename("/proc", process, "status", NULL), *text = NULL;
	const char *line;
	uint64_t set;

	if (tree_read(d->tree, path, &text) < 0 || !(line = strstr(text, field)))
		return NULL;
	set = g_ascii_strtoull(line + strlen(field), NULL, 16);
	return g_strdup_printf("%s%s%s", set >> CAP_NUMBER_NET_ADMIN & 1 ? "" : "CAP_NET_ADMIN",
		set >> CAP_NUMBER_NET_ADMIN & 1 || set >> CAP_NUMBER_NET_RAW & 1 ? "" : " and ",
		set >> CAP_NUMBER_NET_RAW & 1 ? "" : "CAP_NET_RAW");
}

void doctor_check_capabilities(struct doctor *d)
{
	unsigned pid = doctor_find_process(d, "lapwingd");
	g_autofree char *process = pid ? g_strdup_printf("%u", pid) : g_strdup("self");
	g_autofree char *daemon = pid ? missing_in(d, process, "\nCapEff:") : NULL;
	g_autofree char *bounding = missing_in(d, "self", "\nCapBnd:");

	if (bounding && *bounding)
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("no process here can have %s", bounding),
			g_strdup(
				"give the container both: --cap-add=NET_ADMIN --cap-add=NET_RAW, or take "
				"them out of lxc.cap.drop"));
	if (daemon && *daemon)
		return doctor_say(d, DOCTOR_PROBLEM, g_strdup_printf("lapwingd lacks %s", daemon),
			g_strdup("start it by its unit, or with AmbientCapabilities=CAP_NET_ADMIN "
				 "CAP_NET_RAW in yours"));
	if (!bounding)
		return doctor_say(
			d, DOCTOR_NOTE, g_strdup("what is allowed here could not be read"), NULL);
	doctor_ok(d,
		daemon ? "lapwingd has NET_ADMIN and NET_RAW"
		       : "NET_ADMIN and NET_RAW can be had here");
}
