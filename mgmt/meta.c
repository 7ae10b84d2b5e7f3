/* mgmt/meta.c - what a management server is told about this host. */
#include "mgmt/meta.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FILE_MAX = 16 * 1024, SLICE_US = 5000 };

struct meta_gather {
	struct meta *meta;
	char *root;
	GHashTable *wanted; /* path to struct meta_file */
	DIR *processes; /* NULL: not, or not any more */
};

/* -- text from files ------------------------------------------------------------------------ */

static char *read_small(const char *root, const char *path)
{
	g_autofree char *whole = g_strconcat(root, path, NULL), *text = g_malloc(FILE_MAX + 1);
	int fd = open(whole, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = read(fd, text, FILE_MAX);
	close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	return g_steal_pointer(&text);
}

/* Printable ASCII without space at the ends; what is not becomes '?'. */
static void put_text(char ret[static META_TEXT_MAX], const char *text)
{
	g_strlcpy(ret, text, META_TEXT_MAX);
	g_strstrip(ret);
	for (char *c = ret; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

/* A value of /etc/os-release: quoted as a shell does, or bare. */
static void put_os_value(char ret[static META_TEXT_MAX], const char *text, const char *name)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", 1000);
	size_t len = strlen(name);

	for (char **line = lines; *line; line++) {
		g_autofree char *value = NULL;

		if (strncmp(*line, name, len) || (*line)[len] != '=')
			continue;
		value = g_shell_unquote(g_strstrip(*line + len + 1), NULL);
		if (value)
			put_text(ret, value);
	}
}

static void read_system(struct meta *m, const struct meta_options *options)
{
	g_autofree char *os = read_small(options->root, "/etc/os-release");
	struct utsname name;

	if (!os)
		os = read_small(options->root, "/usr/lib/os-release");
	if (uname(&name) < 0)
		return;
	put_text(m->hostname, options->hostname ? options->hostname : name.nodename);
	put_text(m->kernel, name.sysname);
	put_text(m->kernel_release, name.release);
	put_text(m->machine, name.machine);
	if (os) {
		put_os_value(m->os, os, "NAME");
		put_os_value(m->os_version, os, "VERSION_ID");
	}
	if (!*m->os)
		put_text(m->os, name.sysname);
}

/* The first of these that says something; what a manufacturer left as it was is the second choice. */
static void read_dmi(const char *root, char ret[static META_TEXT_MAX], const char *const names[])
{
	for (; *names; names++) {
		g_autofree char *path = g_strconcat("/sys/class/dmi/id/", *names, NULL);
		g_autofree char *text = read_small(root, path);
		char value[META_TEXT_MAX];

		if (!text)
			continue;
		put_text(value, text);
		if (!*ret || (!strcmp(ret, "Default string") && *value))
			memcpy(ret, value, sizeof(value));
	}
}

static void read_hardware(struct meta *m, const char *root)
{
	static const char *const serials[] = { "chassis_serial", "product_serial", "board_serial",
		NULL };
	static const char *const products[] = { "product_name", "board_name", NULL };
	static const char *const vendors[] = { "sys_vendor", NULL };
	g_autofree char *docker = g_strconcat(root, "/.dockerenv", NULL);

	read_dmi(root, m->serial, serials);
	read_dmi(root, m->product, products);
	read_dmi(root, m->vendor, vendors);
	m->container = g_getenv("KUBERNETES_SERVICE_HOST") ? "Kubernetes"
		: access(docker, F_OK) == 0                ? "Docker"
							   : "";
}

/* -- addresses ------------------------------------------------------------------------------ */

static bool find_mac(const struct ifaddrs *all, const char *name, char ret[static 18])
{
	static const uint8_t none[6];

	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		const struct sockaddr_ll *link =
			(const struct sockaddr_ll *)(const void *)i->ifa_addr;
		const uint8_t *mac;

		if (!link || link->sll_family != AF_PACKET || strcmp(i->ifa_name, name))
			continue;
		mac = link->sll_addr;
		if (link->sll_halen != 6 || !memcmp(mac, none, 6))
			return false;
		snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
			mac[4], mac[5]);
		return true;
	}
	return false;
}

static unsigned count_bits(const uint8_t *mask, size_t len)
{
	unsigned n = 0;

	for (size_t i = 0; i < len; i++)
		n += (unsigned)__builtin_popcount(mask[i]);
	return n;
}

/* False: no address to tell. */
static bool format_address(const struct ifaddrs *i, char ret[static 64])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)i->ifa_addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
	char text[INET6_ADDRSTRLEN];

	if (!v4 || !i->ifa_netmask)
		return false;
	if (v4->sin_family == AF_INET) {
		const struct sockaddr_in *mask =
			(const struct sockaddr_in *)(const void *)i->ifa_netmask;
		uint32_t address = ntohl(v4->sin_addr.s_addr);

		if (address >> 24 == 127 || address >> 16 == 0xa9fe || address >> 28 == 0xe)
			return false;
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
		snprintf(ret, 64, "%s/%u", text, count_bits((const uint8_t *)&mask->sin_addr, 4));
		return true;
	}
	if (v6->sin6_family == AF_INET6) {
		const struct sockaddr_in6 *mask =
			(const struct sockaddr_in6 *)(const void *)i->ifa_netmask;

		if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ||
			IN6_IS_ADDR_MULTICAST(&v6->sin6_addr))
			return false;
		inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
		snprintf(ret, 64, "%s/%u", text, count_bits((const uint8_t *)&mask->sin6_addr, 16));
		return true;
	}
	return false;
}

static void add_address(GArray *found, const struct ifaddrs *all, const struct ifaddrs *i)
{
	struct meta_address address;

	if (found->len >= META_ADDRESSES_MAX || !format_address(i, address.address) ||
		!find_mac(all, i->ifa_name, address.mac))
		return;
	for (guint j = 0; j < found->len; j++) {
		const struct meta_address *old = &g_array_index(found, struct meta_address, j);

		if (!strcmp(old->address, address.address) && !strcmp(old->mac, address.mac))
			return;
	}
	g_array_append_val(found, address);
}

static void read_addresses(struct meta *m, const struct meta_options *options)
{
	GArray *found = g_array_new(FALSE, FALSE, sizeof(struct meta_address));
	struct ifaddrs *all;

	if (getifaddrs(&all) == 0) {
		for (const struct ifaddrs *i = all; i; i = i->ifa_next)
			if (i->ifa_flags & IFF_UP && !(i->ifa_flags & IFF_LOOPBACK) &&
				g_strcmp0(i->ifa_name, options->interface))
				add_address(found, all, i);
		freeifaddrs(all);
	}
	m->n_addresses = found->len;
	m->addresses = (struct meta_address *)(void *)g_array_free(found, FALSE);
}

/* -- files ---------------------------------------------------------------------------------- */

bool meta_may_tell(const char *path, const char *const allowed[])
{
	g_auto(GStrv) parts = NULL;

	if (path[0] != '/' || strstr(path, "//"))
		return false;
	parts = g_strsplit(path, "/", -1);
	for (char **part = parts; *part; part++)
		if (!strcmp(*part, "..") || !strcmp(*part, "."))
			return false;
	for (; allowed && *allowed; allowed++) {
		size_t len = strlen(*allowed);

		while (len && (*allowed)[len - 1] == '/')
			len--;
		if (!strncmp(path, *allowed, len) && (path[len] == '/' || !path[len]))
			return true;
	}
	return false;
}

static void look_at_files(struct meta_gather *g, const struct meta_options *options)
{
	const char *const *files = options->files;
	struct meta *m = g->meta;

	m->n_files = files ? g_strv_length((char **)files) : 0;
	m->files = g_new0(struct meta_file, m->n_files);
	for (size_t i = 0; i < m->n_files; i++) {
		g_autofree char *whole = g_strconcat(g->root, files[i], NULL);
		struct statx s;

		m->files[i].path = g_strdup(files[i]);
		if (!meta_may_tell(files[i], options->allowed)) {
			m->n_refused++;
			continue;
		}
		m->files[i].exists = !statx(
			AT_FDCWD, whole, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_TYPE, &s);
		g_hash_table_insert(g->wanted, m->files[i].path, &m->files[i]);
	}
	if (g_hash_table_size(g->wanted)) {
		g_autofree char *proc = g_strconcat(g->root, "/proc", NULL);

		g->processes = opendir(proc);
	}
}

/* Only of processes that we may look at: without rights that a daemon should not have, its own user's. */
static void look_at_process(struct meta_gather *g, const char *pid)
{
	g_autofree char *path = g_strconcat(g->root, "/proc/", pid, "/exe", NULL);
	char target[4096];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	struct meta_file *file;

	if (n < 0)
		return;
	target[n] = '\0';
	file = g_hash_table_lookup(g->wanted, target);
	if (file)
		file->runs = true;
}

bool meta_gather_step(struct meta_gather *g)
{
	int64_t until_us = g_get_monotonic_time() + SLICE_US;
	const struct dirent *entry;

	while (g->processes) {
		entry = readdir(g->processes);
		if (!entry) {
			closedir(g->processes);
			g->processes = NULL;
			return false;
		}
		if (g_ascii_isdigit(entry->d_name[0]))
			look_at_process(g, entry->d_name);
		if (g_get_monotonic_time() >= until_us)
			return true;
	}
	return false;
}

/* -- life ----------------------------------------------------------------------------------- */

struct meta_gather *meta_gather_new(const struct meta_options *options)
{
	struct meta_gather *g = g_new0(struct meta_gather, 1);
	g_autofree char *ipv6 = g_strconcat(options->root, "/proc/net/if_inet6", NULL);

	g->root = g_strdup(options->root);
	g->wanted = g_hash_table_new(g_str_hash, g_str_equal);
	g->meta = g_new0(struct meta, 1);
	read_system(g->meta, options);
	read_hardware(g->meta, options->root);
	read_addresses(g->meta, options);
	g->meta->switches = options->switches;
	g->meta->ipv6 = access(ipv6, F_OK) == 0;
	look_at_files(g, options);
	return g;
}

struct meta *meta_gather_finish(struct meta_gather *g)
{
	struct meta *meta = g_steal_pointer(&g->meta);

	meta_gather_free(g);
	return meta;
}

void meta_gather_free(struct meta_gather *g)
{
	if (!g)
		return;
	if (g->processes)
		closedir(g->processes);
	g_hash_table_unref(g->wanted);
	meta_free(g->meta);
	g_free(g->root);
	g_free(g);
}

void meta_free(struct meta *meta)
{
	if (!meta)
		return;
	for (size_t i = 0; i < meta->n_files; i++)
		g_free(meta->files[i].path);
	g_free(meta->files);
	g_free(meta->addresses);
	g_free(meta);
}
