/* agent/kernel.c - the running kernel behind the engine's calls. */
#include "agent/kernel.h"

#include <errno.h>
#include <glib.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/lazy/resend.h"
#include "netlink/nflog.h"
#include "netlink/nl.h"

struct running {
	struct kernel kernel;
	struct nl *route;
	/* NULL: not there yet; tried again at each call that needs it. */
	struct wg *wg;
	struct nft *nft;
	struct nflog *nflog;
	struct resend *resend;
	struct sentinel *sentinel;
	uint16_t nflog_group;
	int packet_fd; /* a poll set: sentinels and nflog */
	struct kernel_error errors[KERNEL_ERRORS_MAX];
	size_t n_errors;
	enum { SAID_NOTHING, SAID_ROUTE, SAID_WG, SAID_NFT } said; /* whose words count */
};

static int need_route(struct running *s)
{
	s->said = SAID_ROUTE;
	return 0;
}

/* The module may be loaded only by the first interface: then its family appears. */
static int need_wg(struct running *s)
{
	s->said = SAID_WG;
	return s->wg ? 0 : wg_open(&s->wg);
}

static int need_nft(struct running *s)
{
	s->said = SAID_NFT;
	return s->nft ? 0 : nft_open(&s->nft);
}

static int need_sentinel(struct running *s)
{
	s->said = SAID_NOTHING;
	return 0;
}

static int need_resend(struct running *s)
{
	s->said = SAID_NOTHING;
	return s->resend ? 0 : resend_open(&s->resend);
}

/* Returns r. */
static int counted(struct running *s, int r)
{
	size_t i = 0;

	if (r >= 0 || s->said == SAID_NOTHING || r == -ENOENT || r == -ENODEV || r == -ESRCH)
		return r;
	while (i < s->n_errors && s->errors[i].error != -r)
		i++;
	if (i == KERNEL_ERRORS_MAX)
		return r;
	s->n_errors = MAX(s->n_errors, i + 1);
	s->errors[i].error = -r;
	s->errors[i].count++;
	return r;
}

/* Each call goes to one part, whose words the caller may ask for if it fails. */
#define ON(part, fn, parameters, ...) \
	static int fn##_ parameters \
	{ \
		struct running *s = k; \
		int r = need_##part(s); \
\
		return counted(s, r < 0 ? r : fn(s->part, __VA_ARGS__)); \
	}

ON(route, link_get, (void *k, unsigned index, struct link_info *ret), index, ret)
ON(route, link_get_by_name, (void *k, const char *name, struct link_info *ret), name, ret)
ON(route, link_foreach, (void *k, link_fn fn, void *user), "wireguard", fn, user)
ON(route, link_create, (void *k, const char *name, unsigned *ret), name, "wireguard", ret)
ON(route, link_delete, (void *k, unsigned index), index)
ON(route, link_set, (void *k, unsigned index, const struct link_change *change), index, change)
ON(route, ifaddr_foreach, (void *k, unsigned index, ifaddr_fn fn, void *user), index, fn, user)
ON(route, ifaddr_add, (void *k, unsigned index, const struct prefix *a), index, a)
ON(route, ifaddr_remove, (void *k, unsigned index, const struct prefix *a), index, a)
ON(route, route_foreach, (void *k, unsigned index, route_fn fn, void *user), index, fn, user)
ON(route, route_add, (void *k, const struct route *route), route)
ON(route, route_remove, (void *k, const struct route *route), route)
ON(route, rule_foreach, (void *k, rule_fn fn, void *user), fn, user)
ON(route, rule_add, (void *k, const struct rule *rule), rule)
ON(route, rule_remove, (void *k, const struct rule *rule), rule)
ON(route, route_path,
	(void *k, const struct endpoint *to, uint32_t mark, uint32_t *ret_mtu, unsigned *ret_index),
	to, mark, ret_mtu, ret_index)
ON(wg, wg_set_device, (void *k, unsigned index, const struct wg_device_config *config), index,
	config)
ON(wg, wg_read, (void *k, unsigned index, wg_device_fn device_fn, wg_peer_fn peer_fn, void *user),
	index, device_fn, peer_fn, user)
ON(nft, nft_apply, (void *k, const struct nft_config *config), config)
ON(nft, acl_apply, (void *k, const struct acl_config *config), config)
ON(nft, acl_count_refused, (void *k, const char *table, uint64_t *ret), table, ret)
ON(nft, steer_apply, (void *k, const struct steer_config *config), config)
ON(nft, steer_set, (void *k, const char *table, const struct steer_ufrag *ufrag), table, ufrag)
ON(nft, steer_unset, (void *k, const char *table, const char *ufrag), table, ufrag)
ON(nft, nft_remove, (void *k, const char *table), table)
ON(nft, nft_fingerprint, (void *k, const char *table, uint64_t *ret), table, ret)
ON(nft, nft_change, (void *k, const char *table, const struct nft_change *change), table, change)
ON(nft, nft_counters, (void *k, const char *table, nft_counter_fn fn, void *user), table, fn, user)
ON(nft, nft_heard, (void *k, const char *table, const struct endpoint *from), table, from)
ON(sentinel, sentinel_set_sender, (void *k, uint16_t port, uint32_t mark), port, mark)
ON(sentinel, sentinel_take,
	(void *k, bool shared, const struct endpoint *wanted, uint32_t *ret_slot), shared, wanted,
	ret_slot)
ON(resend, resend_packet,
	(void *k, uint16_t port, uint32_t mark, const struct endpoint *to, const void *data,
		size_t len),
	port, mark, to, data, len)

/* Each peer has a result of its own. */
static int wg_set_peers_(
	void *k, unsigned index, const struct wg_peer_config *peers, size_t n, int *results)
{
	struct running *s = k;
	int r = need_wg(s);

	if (r == 0)
		r = wg_set_peers(s->wg, index, peers, n, results);
	for (size_t i = 0; r == 0 && i < n; i++)
		counted(s, results[i]);
	return counted(s, r);
}

static const char *error_text_(void *k)
{
	struct running *s = k;

	switch (s->said) {
	case SAID_NOTHING:
		return "";
	case SAID_ROUTE:
		return nl_error_text(s->route);
	case SAID_WG:
		return s->wg ? wg_error_text(s->wg) : "";
	case SAID_NFT:
		return s->nft ? nft_error_text(s->nft) : "";
	}
	return "";
}

/* -- packets -------------------------------------------------------------------------------- */

static void sentinel_release_(void *k, uint32_t slot)
{
	struct running *s = k;

	sentinel_release(s->sentinel, slot);
}

static void sentinel_endpoint_(void *k, uint32_t slot, struct endpoint *ret)
{
	struct running *s = k;

	sentinel_endpoint(s->sentinel, slot, ret);
}

static void sentinel_get_status_(void *k, struct sentinel_status *ret)
{
	struct running *s = k;

	sentinel_get_status(s->sentinel, ret);
}

static int watch(struct running *s, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(s->packet_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int nflog_listen_(void *k, uint16_t group)
{
	struct running *s = k;
	int r;

	s->said = SAID_NOTHING;
	if (s->nflog && s->nflog_group == group)
		return 0;
	g_clear_pointer(&s->nflog, nflog_close);
	r = nflog_open(group, &s->nflog);
	if (r < 0)
		return r;
	r = watch(s, nflog_fd(s->nflog));
	if (r < 0)
		g_clear_pointer(&s->nflog, nflog_close);
	s->nflog_group = group;
	return r;
}

struct reading {
	packet_fn fn;
	void *user;
	size_t n;
};

static void take_captured(const struct sentinel_packet *captured, void *user)
{
	const struct reading *reading = user;
	const struct packet packet = { PACKET_SENTINEL, .slot = captured->slot,
		.data = captured->data, .len = captured->len, .received_ns = captured->received_ns,
		.from_port = captured->from_port };

	reading->fn(&packet, reading->user);
}

static void take_logged(const struct nflog_packet *logged, void *user)
{
	struct reading *reading = user;
	const struct packet packet = {
		.kind = logged->kind == NFLOG_INNER ? PACKET_INNER : PACKET_ANSWER,
		.from = logged->from,
	};

	reading->n++;
	reading->fn(&packet, reading->user);
}

static size_t packets_read_(void *k, packet_fn fn, void *user)
{
	struct reading reading = { fn, user, 0 };
	struct running *s = k;
	size_t n = sentinel_read(s->sentinel, take_captured, &reading);
	int r = s->nflog ? nflog_read(s->nflog, take_logged, &reading) : 0;

	if (r < 0) {
		log_warn_errno(r, "lost the socket for logged packets, opening it again later");
		g_clear_pointer(&s->nflog, nflog_close);
	}
	return n + reading.n;
}

static bool tracks_connections_(void *k)
{
	return access("/proc/sys/net/netfilter/nf_conntrack_count", F_OK) == 0;
}

static int64_t wall_ns_(void *k)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* -- who holds the port --------------------------------------------------------------------- */

struct port_search {
	struct running *s;
	uint16_t port;
	char *buf;
	size_t len;
	const struct link_info *link;
};

static int check_port(const struct wg_device_status *device, void *user)
{
	struct port_search *search = user;

	if (device->listen_port == search->port)
		snprintf(search->buf, search->len, "WireGuard interface %s", search->link->name);
	return 0;
}

static int stop(const struct wg_peer_status *peer, void *user)
{
	return 1;
}

static int check_link(const struct link_info *link, void *user)
{
	struct port_search *search = user;

	search->link = link;
	if (link->up)
		wg_read_(search->s, link->index, check_port, stop, search);
	return search->buf[0] != '\0';
}

/* A socket of a program: its inode is in /proc/net/udp, whose it is only its owner's /proc says. */
static bool find_socket(const char *table, uint16_t port, unsigned *ret_uid)
{
	FILE *f = fopen(table, "re");
	char line[256];
	bool found = false;
	unsigned local;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line,
				" %*u: %*[0-9A-F]:%x %*[0-9A-F]:%*x %*x %*x:%*x %*x:%*x %*x %u",
				&local, ret_uid) == 2 &&
			local == port;
	if (f)
		fclose(f);
	return found;
}

static void port_owner_(void *k, uint16_t port, char *buf, size_t len)
{
	struct port_search search = { k, port, buf, len, NULL };
	unsigned uid;

	buf[0] = '\0';
	link_foreach(search.s->route, "wireguard", check_link, &search);
	if (buf[0])
		return;
	if (find_socket("/proc/net/udp", port, &uid) || find_socket("/proc/net/udp6", port, &uid))
		snprintf(buf, len, "a program of user id %u (see ss -ulpn)", uid);
}

/* -- reverse path filters ------------------------------------------------------------------- */

static int read_switch(const char *interface, const char *name)
{
	g_autofree char *path = g_strdup_printf("/proc/sys/net/ipv4/conf/%s/%s", interface, name);
	g_autofree char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? atoi(text) : 0;
}

/* The larger of "all" and the interface's own counts: 1 is strict, 2 loose. */
static bool filter_ignores_marks_(void *k)
{
	int all = read_switch("all", "rp_filter");
	const char *name;
	bool strict = false;
	GDir *dir;

	if (read_switch("all", "src_valid_mark"))
		return false;
	dir = g_dir_open("/proc/sys/net/ipv4/conf", 0, NULL);
	while (dir && !strict && (name = g_dir_read_name(dir)))
		strict = strcmp(name, "all") && strcmp(name, "default") && strcmp(name, "lo") &&
			MAX(all, read_switch(name, "rp_filter")) == 1 &&
			!read_switch(name, "src_valid_mark");
	if (dir)
		g_dir_close(dir);
	return strict;
}

static const struct kernel_ops running_ops = {
	.link_get = link_get_,
	.link_get_by_name = link_get_by_name_,
	.link_foreach_wireguard = link_foreach_,
	.link_create = link_create_,
	.link_delete = link_delete_,
	.link_set = link_set_,
	.addr_foreach = ifaddr_foreach_,
	.addr_add = ifaddr_add_,
	.addr_remove = ifaddr_remove_,
	.route_foreach = route_foreach_,
	.route_add = route_add_,
	.route_remove = route_remove_,
	.rule_foreach = rule_foreach_,
	.rule_add = rule_add_,
	.rule_remove = rule_remove_,
	.route_path = route_path_,
	.wg_set_device = wg_set_device_,
	.wg_set_peers = wg_set_peers_,
	.wg_read = wg_read_,
	.nft_apply = nft_apply_,
	.acl_apply = acl_apply_,
	.acl_count_refused = acl_count_refused_,
	.steer_apply = steer_apply_,
	.steer_set = steer_set_,
	.steer_unset = steer_unset_,
	.nft_remove = nft_remove_,
	.nft_fingerprint = nft_fingerprint_,
	.nft_change = nft_change_,
	.nft_counters = nft_counters_,
	.nft_heard = nft_heard_,
	.nflog_listen = nflog_listen_,
	.tracks_connections = tracks_connections_,
	.sentinel_set_sender = sentinel_set_sender_,
	.sentinel_take = sentinel_take_,
	.sentinel_release = sentinel_release_,
	.sentinel_endpoint = sentinel_endpoint_,
	.sentinel_get_status = sentinel_get_status_,
	.packets_read = packets_read_,
	.resend = resend_packet_,
	.wall_ns = wall_ns_,
	.filter_ignores_marks = filter_ignores_marks_,
	.port_owner = port_owner_,
	.error_text = error_text_,
};

static int open_all(struct running *s)
{
	int r = nl_open(NETLINK_ROUTE, &s->route);

	if (r < 0)
		return r;
	s->packet_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->packet_fd < 0)
		return -errno;
	r = sentinel_open(&s->sentinel);
	return r < 0 ? r : watch(s, sentinel_fd(s->sentinel));
}

int kernel_open(struct kernel **ret)
{
	struct running *s = g_new0(struct running, 1);
	int r;

	s->kernel = (struct kernel){ &running_ops, s };
	s->packet_fd = -1;
	r = open_all(s);
	if (r < 0) {
		kernel_close(&s->kernel);
		return r;
	}
	*ret = &s->kernel;
	return 0;
}

void kernel_close(struct kernel *kernel)
{
	struct running *s = kernel ? kernel->impl : NULL;

	if (!s)
		return;
	nl_close(s->route);
	wg_close(s->wg);
	nft_close(s->nft);
	nflog_close(s->nflog);
	resend_close(s->resend);
	sentinel_close(s->sentinel);
	if (s->packet_fd >= 0)
		close(s->packet_fd);
	g_free(s);
}

size_t kernel_errors(const struct kernel *kernel, const struct kernel_error **ret)
{
	const struct running *s = kernel->impl;

	*ret = s->errors;
	return s->n_errors;
}

int kernel_packet_fd(const struct kernel *kernel)
{
	const struct running *s = kernel->impl;

	return s->packet_fd;
}
