/* netlink/ethtool_ioctl.c - settings of network devices through SIOCETHTOOL. */
#include "netlink/ethtool_ioctl.h"

#include <errno.h>
#include <glib.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>

#include "netlink/ethtool.h"

G_STATIC_ASSERT(ETHTOOL_NAME_MAX == ETH_GSTRING_LEN);
G_STATIC_ASSERT(ETHTOOL_NAME_MAX == ETHTOOL_BUSINFO_LEN);

static int request(int fd, const char *device, void *data)
{
	struct ifreq ifr = { .ifr_data = data };

	if (!device[0] || strlen(device) >= sizeof(ifr.ifr_name))
		return -ENODEV;
	strcpy(ifr.ifr_name, device);
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

/* -- hash ----------------------------------------------------------------------------------- */

int ethtool_get_udp_hash(int fd, const char *device, bool ipv6, uint64_t *ret)
{
	struct ethtool_rxnfc rxnfc = {
		.cmd = ETHTOOL_GRXFH,
		.flow_type = ipv6 ? UDP_V6_FLOW : UDP_V4_FLOW,
	};
	int r = request(fd, device, &rxnfc);

	if (r == 0)
		*ret = rxnfc.data;
	return r;
}

int ethtool_set_udp_hash(int fd, const char *device, bool ipv6, uint64_t fields)
{
	struct ethtool_rxnfc rxnfc = {
		.cmd = ETHTOOL_SRXFH,
		.flow_type = ipv6 ? UDP_V6_FLOW : UDP_V4_FLOW,
		.data = fields,
	};

	return request(fd, device, &rxnfc);
}

/* -- the table ------------------------------------------------------------------------------ */

int ethtool_get_rss(int fd, const char *device, uint32_t **ret, size_t *ret_n)
{
	struct ethtool_rxfh sizes = { .cmd = ETHTOOL_GRSSH };
	g_autofree struct ethtool_rxfh *rxfh = NULL;
	int r = request(fd, device, &sizes);

	if (r < 0)
		return r;
	if (!sizes.indir_size)
		return -EOPNOTSUPP;
	if (sizes.indir_size > ETHTOOL_TABLE_MAX)
		return -E2BIG;
	rxfh = g_malloc0(sizeof(*rxfh) + sizes.indir_size * sizeof(uint32_t));
	rxfh->cmd = ETHTOOL_GRSSH;
	rxfh->indir_size = sizes.indir_size;
	r = request(fd, device, rxfh);
	if (r < 0)
		return r;
	*ret = g_memdup2(rxfh->rss_config, sizes.indir_size * sizeof(uint32_t));
	*ret_n = sizes.indir_size;
	return 0;
}

int ethtool_set_rss(int fd, const char *device, const uint32_t *entries, size_t n)
{
	g_autofree struct ethtool_rxfh *rxfh = NULL;

	if (n > ETHTOOL_TABLE_MAX)
		return -E2BIG;
	rxfh = g_malloc0(sizeof(*rxfh) + n * sizeof(uint32_t));
	rxfh->cmd = ETHTOOL_SRSSH;
	rxfh->indir_size = (uint32_t)n;
	if (n)
		memcpy(rxfh->rss_config, entries, n * sizeof(uint32_t));
	return request(fd, device, rxfh);
}

/* -- what it is ----------------------------------------------------------------------------- */

int ethtool_get_driver(int fd, const char *device, struct eth_driver *ret)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int r = request(fd, device, &info);

	if (r < 0)
		return r;
	g_strlcpy(ret->name, info.driver, MIN(sizeof(ret->name), sizeof(info.driver)));
	g_strlcpy(ret->bus, info.bus_info, MIN(sizeof(ret->bus), sizeof(info.bus_info)));
	return 0;
}

int ethtool_get_address(
	int fd, const char *device, uint8_t ret[static ETHTOOL_ADDRESS_MAX], size_t *ret_len)
{
	static const uint8_t none[ETHTOOL_ADDRESS_MAX];
	g_autofree struct ethtool_perm_addr *address = g_malloc0(
		sizeof(*address) + ETHTOOL_ADDRESS_MAX);
	int r;

	address->cmd = ETHTOOL_GPERMADDR;
	address->size = ETHTOOL_ADDRESS_MAX;
	r = request(fd, device, address);
	if (r < 0)
		return r;
	if (address->size > ETHTOOL_ADDRESS_MAX)
		return -E2BIG;
	*ret_len = memcmp(address->data, none, address->size) ? address->size : 0;
	memcpy(ret, address->data, *ret_len);
	return 0;
}

/* -- counters ------------------------------------------------------------------------------- */

static int count_statistics(int fd, const char *device, size_t *ret)
{
	g_autofree struct ethtool_sset_info *info = g_malloc0(sizeof(*info) + sizeof(uint32_t));
	int r;

	info->cmd = ETHTOOL_GSSET_INFO;
	info->sset_mask = UINT64_C(1) << ETH_SS_STATS;
	r = request(fd, device, info);
	if (r < 0)
		return r;
	if (!info->sset_mask || !info->data[0])
		return -EOPNOTSUPP;
	if (info->data[0] > ETHTOOL_STATISTICS_MAX)
		return -E2BIG;
	*ret = info->data[0];
	return 0;
}

int ethtool_get_statistics(
	int fd, const char *device, char **ret_names, uint64_t **ret_values, size_t *ret_n)
{
	g_autofree struct ethtool_gstrings *strings = NULL;
	g_autofree struct ethtool_stats *stats = NULL;
	size_t n;
	int r = count_statistics(fd, device, &n);

	if (r < 0)
		return r;
	/* The kernel fills in as many as there are by then, whatever we have room for. */
	strings = g_malloc(sizeof(*strings) + ETHTOOL_STATISTICS_MAX * ETH_GSTRING_LEN);
	stats = g_malloc(sizeof(*stats) + ETHTOOL_STATISTICS_MAX * sizeof(uint64_t));
	*strings = (struct ethtool_gstrings){ ETHTOOL_GSTRINGS, ETH_SS_STATS, (uint32_t)n };
	*stats = (struct ethtool_stats){ ETHTOOL_GSTATS, (uint32_t)n };
	r = request(fd, device, strings);
	if (r == 0)
		r = request(fd, device, stats);
	if (r < 0)
		return r;
	if (strings->len != n || stats->n_stats != n)
		return -EAGAIN;
	*ret_names = g_memdup2(strings->data, n * ETH_GSTRING_LEN);
	*ret_values = g_memdup2(stats->data, n * sizeof(uint64_t));
	*ret_n = n;
	return 0;
}
