/* agent/tune/nic_kernel.c - attributes of network devices of this host. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/tune/nic.h"
#include "agent/tune/nic_text.h"
#include "netlink/ethtool_ioctl.h"
#include "netlink/link.h"
#include "netlink/nl.h"

#define GRO_FORWARDING "rx-udp-gro-forwarding"

enum { TRIES = 3 };

struct kernel {
	struct ethtool *ethtool;
	struct nl *route;
	int fd;
};

/* -- channels and rings --------------------------------------------------------------------- */

static int read_channels(struct kernel *k, const char *device, bool max, char *ret, size_t size)
{
	struct eth_channels now, most;
	int r = ethtool_get_channels(k->ethtool, device, &now, &most);

	return r < 0 ? r : nic_format_channels(max ? &most : &now, ret, size);
}

static int write_channels(struct kernel *k, const char *device, const char *value)
{
	struct eth_channels channels;
	int r = nic_parse_channels(value, &channels);

	return r < 0 ? r : ethtool_set_channels(k->ethtool, device, &channels);
}

static int read_rings(struct kernel *k, const char *device, bool max, char *ret, size_t size)
{
	struct eth_rings now, most;
	int r = ethtool_get_rings(k->ethtool, device, &now, &most);

	return r < 0 ? r : nic_format_rings(max ? &most : &now, ret, size);
}

static int write_rings(struct kernel *k, const char *device, const char *value)
{
	struct eth_rings rings;
	int r = nic_parse_rings(value, &rings);

	return r < 0 ? r : ethtool_set_rings(k->ethtool, device, &rings);
}

/* -- hash and table ------------------------------------------------------------------------- */

static int read_hash(struct kernel *k, const char *device, bool ipv6, char *ret, size_t size)
{
	uint64_t fields;
	int r = ethtool_get_udp_hash(k->fd, device, ipv6, &fields);

	return r < 0 ? r : nic_format_hash(fields, ret, size);
}

static int write_hash(struct kernel *k, const char *device, bool ipv6, const char *value)
{
	uint64_t fields;
	int r = nic_parse_hash(value, &fields);

	return r < 0 ? r : ethtool_set_udp_hash(k->fd, device, ipv6, fields);
}

static int get_table(struct kernel *k, const char *device, uint32_t **ret, size_t *ret_n)
{
	int r = ethtool_get_table(k->ethtool, device, ret, ret_n);

	return r == -EOPNOTSUPP ? ethtool_get_rss(k->fd, device, ret, ret_n) : r;
}

static int read_table(struct kernel *k, const char *device, char *ret, size_t size)
{
	g_autofree uint32_t *entries = NULL;
	size_t n;
	int r = get_table(k, device, &entries, &n);

	return r < 0 ? r : nic_format_table(entries, n, ret, size);
}

static bool table_is(struct kernel *k, const char *device, const uint32_t *entries, size_t n)
{
	g_autofree uint32_t *now = NULL;
	size_t n_now;

	return get_table(k, device, &now, &n_now) == 0 && n_now == n &&
		memcmp(now, entries, n * sizeof(*now)) == 0;
}

static int write_table(struct kernel *k, const char *device, const char *value)
{
	g_autofree uint32_t *entries = NULL;
	size_t n;
	int r = nic_parse_table(value, &entries, &n);

	if (r < 0)
		return r;
	if (table_is(k, device, entries, n))
		return 0;
	/* The driver's own table goes on following the number of channels, one that was set does not. */
	if (ethtool_set_rss(k->fd, device, NULL, 0) == 0 && table_is(k, device, entries, n))
		return 0;
	return ethtool_set_rss(k->fd, device, entries, n);
}

/* -- features ------------------------------------------------------------------------------- */

static int read_feature(struct kernel *k, const char *device, char *ret, size_t size)
{
	struct eth_feature feature;
	int r = ethtool_get_feature(k->ethtool, device, GRO_FORWARDING, &feature);

	if (r < 0)
		return r;
	return g_strlcpy(ret, feature.on ? "on" : "off", size) < size ? 0 : -EMSGSIZE;
}

static int write_feature(struct kernel *k, const char *device, const char *value)
{
	bool on = strcmp(value, "on") == 0;
	struct eth_feature feature;
	int r = ethtool_get_feature(k->ethtool, device, GRO_FORWARDING, &feature);

	if (r < 0)
		return r;
	if (!on && strcmp(value, "off") != 0)
		return -EINVAL;
	/* The kernel says nothing about what it does not change. */
	if (feature.fixed && feature.on != on)
		return -EOPNOTSUPP;
	return ethtool_set_feature(k->ethtool, device, GRO_FORWARDING, on);
}

/* -- queueing disciplines ------------------------------------------------------------------- */

static int find_index(struct kernel *k, const char *device, unsigned *ret)
{
	struct link_info link;
	int r = link_get_by_name(k->route, device, &link);

	if (r == 0)
		*ret = link.index;
	return r;
}

static int read_qdisc(struct kernel *k, const char *device, char *ret, size_t size)
{
	struct qdisc_root root;
	unsigned index;
	int r = find_index(k, device, &index);

	if (r == 0)
		r = qdisc_read(k->route, index, &root);
	if (r < 0)
		return r;
	r = nic_format_qdisc(&root, ret, size);
	qdisc_root_clear(&root);
	return r;
}

/* Of queue i: the last one serves for all that are left, as the number of queues may have changed. */
static const char *kind_of_queue(GStrv kinds, size_t i)
{
	return kinds[MIN(i, g_strv_length(kinds + 1) - 1) + 1];
}

static bool has_kinds(const struct qdisc_root *root, GStrv kinds)
{
	bool same = strcmp(root->qdisc.kind, kinds[0]) == 0;

	for (size_t i = 0; i < root->n_queues && kinds[1] && same; i++)
		same = strcmp(root->queues[i].kind, kind_of_queue(kinds, i)) == 0;
	return same;
}

/* Makes a root of the kind kinds[0] of our own, and its queues those behind it. */
static int set_kinds(struct kernel *k, unsigned index, GStrv kinds)
{
	struct qdisc_root root;
	int r = qdisc_set_root(k->route, index, kinds[0]);

	if (r < 0 || !kinds[1])
		return r;
	r = qdisc_read(k->route, index, &root);
	if (r < 0)
		return r;
	for (size_t i = 0; i < root.n_queues && r == 0; i++)
		if (strcmp(root.queues[i].kind, kind_of_queue(kinds, i)) != 0)
			r = qdisc_set_queue(k->route, index, i, kind_of_queue(kinds, i));
	qdisc_root_clear(&root);
	return r;
}

/* Takes our root away. Is the kernel's own, which follows the default, then what is wanted? */
static int delete_ours(struct kernel *k, unsigned index, GStrv kinds, bool *ret_done)
{
	struct qdisc_root root;
	int r = qdisc_delete_root(k->route, index);

	if (r == 0)
		r = qdisc_read(k->route, index, &root);
	if (r < 0)
		return r;
	*ret_done = has_kinds(&root, kinds);
	qdisc_root_clear(&root);
	return 0;
}

static int change_qdisc(
	struct kernel *k, unsigned index, const struct qdisc_root *old, const char *value)
{
	bool is_queued = strcmp(value, "fq") == 0 && strcmp(old->qdisc.kind, "mq") == 0;
	g_auto(GStrv) kinds = NULL;
	bool done = false;
	int r = nic_parse_qdisc(is_queued ? "mq fq" : value, &kinds);

	if (r < 0)
		return r;
	if (old->handle && old->handle != QDISC_OURS)
		return -EBUSY;
	if (has_kinds(old, kinds))
		return 0;
	if (old->handle)
		r = delete_ours(k, index, kinds, &done);
	return r < 0 || done ? r : set_kinds(k, index, kinds);
}

static int write_qdisc(struct kernel *k, const char *device, const char *value)
{
	struct qdisc_root old;
	unsigned index;
	int r = find_index(k, device, &index);

	if (r == 0)
		r = qdisc_read(k->route, index, &old);
	if (r < 0)
		return r;
	r = change_qdisc(k, index, &old, value);
	qdisc_root_clear(&old);
	return r;
}

/* -- what it is ----------------------------------------------------------------------------- */

static int read_driver(struct kernel *k, const char *device, bool bus, char *ret, size_t size)
{
	struct eth_driver driver;
	int r = ethtool_get_driver(k->fd, device, &driver);

	if (r < 0)
		return r;
	return g_strlcpy(ret, bus ? driver.bus : driver.name, size) < size ? 0 : -EMSGSIZE;
}

static int read_address(struct kernel *k, const char *device, char *ret, size_t size)
{
	uint8_t address[ETHTOOL_ADDRESS_MAX];
	size_t len;
	int r = ethtool_get_address(k->fd, device, address, &len);

	return r < 0 ? r : nic_format_address(address, len, ret, size);
}

/* -- the whole ------------------------------------------------------------------------------ */

static int read_once(
	struct kernel *k, const char *device, enum nic_attr attr, char *ret, size_t size)
{
	switch (attr) {
	case NIC_CHANNELS:
	case NIC_CHANNELS_MAX:
		return read_channels(k, device, attr == NIC_CHANNELS_MAX, ret, size);
	case NIC_RINGS:
	case NIC_RINGS_MAX:
		return read_rings(k, device, attr == NIC_RINGS_MAX, ret, size);
	case NIC_UDP4_HASH:
	case NIC_UDP6_HASH:
		return read_hash(k, device, attr == NIC_UDP6_HASH, ret, size);
	case NIC_RSS:
		return read_table(k, device, ret, size);
	case NIC_GRO_FORWARDING:
		return read_feature(k, device, ret, size);
	case NIC_QDISC:
		return read_qdisc(k, device, ret, size);
	case NIC_DRIVER:
	case NIC_BUS:
		return read_driver(k, device, attr == NIC_BUS, ret, size);
	case NIC_ADDRESS:
		return read_address(k, device, ret, size);
	case NIC_ATTRS:
		break;
	}
	return -EINVAL;
}

static int kernel_read(void *user, const char *device, enum nic_attr attr, char *ret, size_t size)
{
	int r = -EINTR;

	/* Something else changed while the kernel listed it. */
	for (int i = 0; i < TRIES && r == -EINTR; i++)
		r = read_once(user, device, attr, ret, size);
	return r;
}

static int kernel_write(void *user, const char *device, enum nic_attr attr, const char *value)
{
	struct kernel *k = user;

	switch (attr) {
	case NIC_CHANNELS:
		return write_channels(k, device, value);
	case NIC_RINGS:
		return write_rings(k, device, value);
	case NIC_UDP4_HASH:
	case NIC_UDP6_HASH:
		return write_hash(k, device, attr == NIC_UDP6_HASH, value);
	case NIC_RSS:
		return write_table(k, device, value);
	case NIC_GRO_FORWARDING:
		return write_feature(k, device, value);
	case NIC_QDISC:
		return write_qdisc(k, device, value);
	case NIC_CHANNELS_MAX:
	case NIC_RINGS_MAX:
	case NIC_DRIVER:
	case NIC_BUS:
	case NIC_ADDRESS:
	case NIC_ATTRS:
		break;
	}
	return -EOPNOTSUPP;
}

static int kernel_statistics(
	void *user, const char *device, struct nic_statistic **ret, size_t *ret_n)
{
	g_autofree uint64_t *values = NULL;
	g_autofree char *names = NULL;
	struct kernel *k = user;
	size_t n;
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++)
		r = ethtool_get_statistics(k->fd, device, &names, &values, &n);
	if (r < 0)
		return r;
	*ret = g_new0(struct nic_statistic, n);
	*ret_n = n;
	for (size_t i = 0; i < n; i++) {
		memcpy((*ret)[i].name, names + i * ETHTOOL_NAME_MAX, NIC_STATISTIC_MAX);
		(*ret)[i].value = values[i];
	}
	return 0;
}

static void kernel_close(void *user)
{
	struct kernel *k = user;

	ethtool_close(k->ethtool);
	nl_close(k->route);
	if (k->fd >= 0)
		close(k->fd);
	g_free(k);
}

int nics_open_kernel(struct nics **ret)
{
	static const struct nics_ops ops = { kernel_read, kernel_write, kernel_statistics,
		kernel_close };
	struct kernel *k = g_new0(struct kernel, 1);
	int r;

	k->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = k->fd < 0 ? -errno : 0;
	if (r == 0)
		r = ethtool_open(&k->ethtool);
	if (r == 0)
		r = nl_open(NETLINK_ROUTE, &k->route);
	if (r < 0) {
		kernel_close(k);
		return r;
	}
	*ret = g_new0(struct nics, 1);
	(*ret)->ops = &ops;
	(*ret)->user = k;
	return 0;
}
