/* netlink/ethtool.h - settings of network devices, as far as the kernel has netlink commands for them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ethtool;

enum { ETHTOOL_TABLE_MAX = 16 * 1024 };

/* What a driver does not have is 0. */
struct eth_channels {
	uint32_t rx, tx, combined;
};

struct eth_rings {
	uint32_t rx, tx;
};

struct eth_feature {
	bool on;
	bool fixed; /* cannot be changed on this device */
};

/* 0 or a negative errno, here and below. A kernel without this family (before 5.6) is no error of opening:
 * every request then is -EOPNOTSUPP, as it is for what a driver does not have. -ENODEV: no such device. */
int ethtool_open(struct ethtool **ret);
void ethtool_close(struct ethtool *e);

int ethtool_get_channels(struct ethtool *e, const char *device, struct eth_channels *ret,
	struct eth_channels *ret_max);
int ethtool_set_channels(
	struct ethtool *e, const char *device, const struct eth_channels *channels);
int ethtool_get_rings(
	struct ethtool *e, const char *device, struct eth_rings *ret, struct eth_rings *ret_max);
int ethtool_set_rings(struct ethtool *e, const char *device, const struct eth_rings *rings);
/* By the name that ethtool -k shows. */
int ethtool_get_feature(
	struct ethtool *e, const char *device, const char *name, struct eth_feature *ret);
int ethtool_set_feature(struct ethtool *e, const char *device, const char *name, bool on);
/* The table of which hash goes to which queue. *ret is fresh (g_free), of at most ETHTOOL_TABLE_MAX
 * entries. Kernels before 6.3 do not have it here. */
int ethtool_get_table(struct ethtool *e, const char *device, uint32_t **ret, size_t *ret_n);
