/* agent/cli/doctor_net.c - the way of the packets: filters, sizes, ports, and the clock. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/cli/doctor.h"

enum {
	OVERHEAD_IPV4 = 60,
	OVERHEAD_IPV6 = 80,
	IPV6_MTU_MIN = 1280,
	RP_STRICT = 1,
	UPLINKS_MAX = 8,
	CLOCK_FLOOR_S = 1767225600, /* 2026: no host is older than its program */
};

/* -- default routes --------------------------------------------------------------------------- */

struct uplinks {
	char names[UPLINKS_MAX][IFNAMSIZ];
	size_t n;
};

static void add_uplink(const struct doctor *d, struct uplinks *u, const char *name)
{
	if (u->n == UPLINKS_MAX || !strcmp(name, d->facts->iface) || !strcmp(name, "lo"))
		return;
	for (size_t i = 0; i < u->n; i++)
		if (!strcmp(u->names[i], name))
			return;
	g_strlcpy(u->names[u->n++], name, IFNAMSIZ);
}

/* Devices with a default route, those of IPv4 first. */
static struct uplinks find_uplinks(const struct doctor *d)
{
	g_autofree char *ipv4 = NULL, *ipv6 = NULL;
	g_auto(GStrv) lines4 = NULL, lines6 = NULL;
	struct uplinks u = { .n = 0 };
	char name[IFNAMSIZ];
	unsigned to, flags, mask, length;

	tree_read(d->tree, "/proc/net/route", &ipv4);
	lines4 = g_strsplit(ipv4 ? ipv4 : "", "\n", -1);
	for (char **line = lines4; *line; line++)
		if (sscanf(*line, "%15s %x %*x %x %*d %*d %*d %x", name, &to, &flags, &mask) == 4 &&
			!to && !mask && flags & 1)
			add_uplink(d, &u, name);
	tree_read(d->tree, "/proc/net/ipv6_route", &ipv6);
	lines6 = g_strsplit(ipv6 ? ipv6 : "", "\n", -1);
	for (char **line = lines6; *line; line++)
		if (sscanf(*line, "%*32[0] %x %*s %*x %*s %*x %*x %*x %*x %15s", &length, name) ==
				2 &&
			!length)
			add_uplink(d, &u, name);
	return u;
}

/* -- reverse path filter ---------------------------------------------------------------------- */

static int64_t of_conf(const struct doctor *d, const char *device, const char *name)
{
	return doctor_int(d, 0, "/proc/sys/net/ipv4/conf/%s/%s", device, name);
}

/* The kernel takes the greater of both. */
static int64_t rp_filter_of(const struct doctor *d, const char *device)
{
	return MAX(of_conf(d, "all", "rp_filter"), of_conf(d, device, "rp_filter"));
}

static char *loosen(const char *device)
{
	return g_strdup_printf(
		"sysctl -w net.ipv4.conf.%s.rp_filter=2, and the same line in a file below "
		"/etc/sysctl.d",
		device);
}

void doctor_check_rp_filter(struct doctor *d)
{
	struct uplinks u = find_uplinks(d);
	const char *iface = d->facts->iface;
	g_autofree char *path = g_strdup_printf("/proc/sys/net/ipv4/conf/%s", iface);
	guint before = d->findings->len;
	bool strict = false;

	for (size_t i = 0; i < u.n; i++) {
		if (rp_filter_of(d, u.names[i]) != RP_STRICT)
			continue;
		strict = true;
		if (u.n > 1)
			doctor_say(d, DOCTOR_WARNING,
				g_strdup_printf(
					"%s is strict and there are %zu devices with a default route: "
					"what comes in by another one than answers leave by is "
					"dropped",
					u.names[i], u.n),
				loosen(u.names[i]));
	}
	if (strict && !of_conf(d, "all", "src_valid_mark"))
		doctor_say(d, DOCTOR_WARNING,
			g_strdup(
				"the filter is strict and does not look at marks: with a default route into "
				"the mesh, answers to WireGuard's own packets are dropped"),
			g_strdup("sysctl -w net.ipv4.conf.all.src_valid_mark=1; at each start "
				 "60-lapwing.conf in sysctl.d does it"));
	if (rp_filter_of(d, tree_exists(d->tree, path) ? iface : "default") == RP_STRICT)
		doctor_say(d, DOCTOR_NOTE,
			g_strdup_printf(
				"%s is strict: what comes out of the mesh from a network that this "
				"host reaches by another way is dropped",
				iface),
			loosen(iface));
	if (d->findings->len == before)
		doctor_ok(d, "no reverse path filter is in the way");
}

/* -- MTU -------------------------------------------------------------------------------------- */

static int64_t mtu_of(const struct doctor *d, const char *device)
{
	return doctor_int(d, 0, "/sys/class/net/%s/mtu", device);
}

void doctor_check_mtu(struct doctor *d)
{
	struct uplinks u = find_uplinks(d);
	int64_t inner = mtu_of(d, d->facts->iface), outer = u.n ? mtu_of(d, u.names[0]) : 0;

	if (!outer)
		return doctor_say(d, DOCTOR_NOTE,
			g_strdup(
				"there is no default route: what packets may measure is not known"),
			NULL);
	if (outer < IPV6_MTU_MIN + OVERHEAD_IPV4)
		return doctor_say(d, DOCTOR_WARNING,
			g_strdup_printf("%s carries only %" PRId64
					" bytes: too few for IPv6 in a tunnel",
				u.names[0], outer),
			g_strdup_printf("ip link set %s mtu 1500, where the network allows it",
				u.names[0]));
	if (!inner)
		return doctor_ok(d, "%s carries %" PRId64 " bytes; %s is not there", u.names[0],
			outer, d->facts->iface);
	if (inner + OVERHEAD_IPV4 > outer)
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup_printf("%s has %" PRId64 " bytes, and %s below it %" PRId64
					": large packets are lost or cut in pieces",
				d->facts->iface, inner, u.names[0], outer),
			g_strdup("lapwing tune mtu --apply finds and sets what fits"));
	if (inner < IPV6_MTU_MIN)
		return doctor_say(d, DOCTOR_WARNING,
			g_strdup_printf("%s has %" PRId64 " bytes, and IPv6 wants %d",
				d->facts->iface, inner, IPV6_MTU_MIN),
			g_strdup("lapwing tune mtu --apply finds and sets what fits"));
	if (inner + OVERHEAD_IPV6 > outer)
		return doctor_say(d, DOCTOR_NOTE,
			g_strdup_printf("%s has %" PRId64
					" bytes: over IPv6 that does not fit into %" PRId64
					" of %s",
				d->facts->iface, inner, outer, u.names[0]),
			g_strdup("where peers are reached over IPv6: lapwing tune mtu --apply"));
	doctor_ok(d, "%s has %" PRId64 " bytes, %s below it %" PRId64, d->facts->iface, inner,
		u.names[0], outer);
}

/* -- port ------------------------------------------------------------------------------------- */

/* The inode of the socket on this UDP port; 0: of the kernel itself. False: nobody has it. */
static bool find_socket(const struct doctor *d, const char *path, int port, uint64_t *ret)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	unsigned local;

	if (tree_read(d->tree, path, &text) < 0)
		return false;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (sscanf(*line, " %*u: %*[0-9A-F]:%x %*s %*x %*s %*s %*s %*u %*u %" SCNu64,
			    &local, ret) == 2 &&
			local == (unsigned)port)
			return true;
	return false;
}

static bool has_socket(const struct doctor *d, unsigned pid, uint64_t inode)
{
	g_autofree char *folder = g_strdup_printf("/proc/%u/fd", pid);
	g_autofree char *wanted = g_strdup_printf("socket:[%" PRIu64 "]", inode);
	g_autoptr(GPtrArray) names = NULL;

	if (tree_list(d->tree, folder, &names) < 0)
		return false;
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
		char target[64];

		if (tree_link(d->tree, path, target, sizeof(target)) == 0 &&
			!strcmp(target, wanted))
			return true;
	}
	return false;
}

static char *owner_of(const struct doctor *d, uint64_t inode)
{
	for (guint i = 0; i < d->processes->len; i++) {
		const struct doctor_process *p = &g_array_index(
			d->processes, struct doctor_process, i);

		if (has_socket(d, p->pid, inode))
			return g_strdup_printf("%s (process %u)", p->name, p->pid);
	}
	return g_strdup("a process that cannot be seen (try it as root)");
}

void doctor_check_port(struct doctor *d)
{
	g_autofree char *device = g_build_filename("/sys/class/net", d->facts->iface, NULL);
	int port = d->facts->listen_port;
	g_autofree char *owner = NULL;
	uint64_t inode;

	if (!find_socket(d, "/proc/net/udp", port, &inode) &&
		!find_socket(d, "/proc/net/udp6", port, &inode))
		return doctor_ok(d, "UDP port %d is free", port);
	if (!inode && tree_exists(d->tree, device))
		return doctor_ok(d, "UDP port %d is WireGuard's", port);
	owner = inode ? owner_of(d, inode) : g_strdup("the kernel, for another tunnel");
	doctor_say(d, DOCTOR_PROBLEM, g_strdup_printf("UDP port %d belongs to %s", port, owner),
		g_strdup("stop that, or set interface.listen_port to another one"));
}

/* -- clock ------------------------------------------------------------------------------------ */

void doctor_check_clock(struct doctor *d)
{
	static const char *const keepers[] = { "chronyd", "systemd-timesyn", "ntpd", "openntpd" };
	const char *keeper = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(keepers) && !keeper; i++)
		if (doctor_find_process(d, keepers[i]))
			keeper = keepers[i];
	if (d->facts->now_s < CLOCK_FLOOR_S)
		return doctor_say(d, DOCTOR_PROBLEM,
			g_strdup(
				"the clock is years behind: certificates are not valid yet, and peers refuse "
				"handshakes that are older than the last"),
			g_strdup("set it: timedatectl set-ntp true, or date -s"));
	switch (d->facts->clock) {
	case DOCTOR_CLOCK_SYNCED:
		return doctor_ok(d, "the clock is synchronized%s%s", keeper ? " by " : "",
			keeper ? keeper : "");
	case DOCTOR_CLOCK_FREE:
		return doctor_say(d, DOCTOR_WARNING,
			g_strdup(
				"the clock is not synchronized: when it is set back, peers refuse handshakes "
				"until it has caught up"),
			keeper ? g_strdup_printf(
					 "%s runs but has no time yet: see whether its servers answer",
					 keeper)
			       : g_strdup("apt install systemd-timesyncd, or chrony"));
	case DOCTOR_CLOCK_UNKNOWN:
		return doctor_say(d, DOCTOR_NOTE,
			g_strdup("whether the clock is synchronized is not known"), NULL);
	}
}
