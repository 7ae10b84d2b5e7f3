/* netlink/ethtool_ioctl.h - settings of network devices for which netlink has no command, or has not in every
 * kernel. `fd` is any socket. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ETHTOOL_NAME_MAX = 32, ETHTOOL_ADDRESS_MAX = 32, ETHTOOL_STATISTICS_MAX = 65536 };

/* What a received UDP packet is hashed by, as bits: RXH_... of linux/ethtool.h. */
int ethtool_get_udp_hash(int fd, const char *device, bool ipv6, uint64_t *ret);
int ethtool_set_udp_hash(int fd, const char *device, bool ipv6, uint64_t fields);

/* The table of which hash goes to which queue. *ret is fresh (g_free). -EOPNOTSUPP: it has none. */
int ethtool_get_rss(int fd, const char *device, uint32_t **ret, size_t *ret_n);
/* No entries: the driver's own table again, which also follows the number of channels. */
int ethtool_set_rss(int fd, const char *device, const uint32_t *entries, size_t n);

struct eth_driver {
	char name[ETHTOOL_NAME_MAX];
	char bus[ETHTOOL_NAME_MAX]; /* "": it is at none */
};

int ethtool_get_driver(int fd, const char *device, struct eth_driver *ret);
/* The address that it was made with; no bytes: it has none. */
int ethtool_get_address(
	int fd, const char *device, uint8_t ret[static ETHTOOL_ADDRESS_MAX], size_t *ret_len);

/* The driver's own counters: names, each in ETHTOOL_NAME_MAX bytes and not always terminated, and values;
 * both fresh (g_free). -EOPNOTSUPP: it has none; -EAGAIN: there were others meanwhile. */
int ethtool_get_statistics(
	int fd, const char *device, char **ret_names, uint64_t **ret_values, size_t *ret_n);
