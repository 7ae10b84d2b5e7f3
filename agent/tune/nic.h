/* agent/tune/nic.h - settings of a network device that are no files: everything that ethtool(8) and
 * tc(8) would be asked for. As text, so that they are planned, saved and shown like files. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum nic_attr {
	NIC_CHANNELS, /* "rx 0 tx 0 combined 4" */
	NIC_CHANNELS_MAX, /* the same; cannot be written */
	NIC_RINGS, /* "rx 512 tx 512" */
	NIC_RINGS_MAX,
	NIC_UDP4_HASH, /* letters as ethtool -N takes them, in the order "mvtsdfnr": "sd", "sdfn" */
	NIC_UDP6_HASH,
	NIC_RSS, /* the indirection table: "0 1 2 3 0 1 2 3" */
	NIC_GRO_FORWARDING, /* rx-udp-gro-forwarding: "on", "off"; fixed: -EOPNOTSUPP for writing */
	NIC_QDISC, /* kinds: "fq", or of a root mq with its children: "mq fq fq_codel", and "mq fq" where all
		      are alike, so that it stays true for another number of queues; a root that somebody
		      configured (it has a handle, and we did not make it) begins with "!": "!htb" */
	NIC_DRIVER, /* "virtio_net"; these and the following cannot be written */
	NIC_BUS, /* "0000:00:04.0"; "" for what has none */
	NIC_ADDRESS, /* the permanent one: "52:54:00:12:34:56"; "" for what has none */
	NIC_ATTRS
};

enum { NIC_VALUE_MAX = 32 * 1024, NIC_STATISTIC_MAX = 32 };

struct nic_statistic {
	char name[NIC_STATISTIC_MAX + 1];
	uint64_t value;
};

struct nics;

/* Of this host: netlink, and ioctls where netlink has no command. 0 or -errno. */
int nics_open_kernel(struct nics **ret);
/* Of a made-up host: text files named ROOT/ethtool/DEVICE/ATTRIBUTE (see nic_attr_name); a missing one is
 * not supported; a file ATTRIBUTE.refuse makes writing fail with the errno in it. */
int nics_open_files(const char *root, struct nics **ret);
void nics_close(struct nics *n);

/* Fills in text. -EOPNOTSUPP: the device does not have it; -ENODEV: no such device. */
int nics_read(struct nics *n, const char *device, enum nic_attr attr, char *ret, size_t size);
/* -EOPNOTSUPP, -EPERM, -EINVAL and what else the kernel says. Writing "fq" to a root mq gives it fq
 * children; writing what nics_read returned before puts a default queueing discipline back. */
int nics_write(struct nics *n, const char *device, enum nic_attr attr, const char *value);
/* The driver's own counters; *ret is fresh (g_free). -EOPNOTSUPP: it has none. */
int nics_statistics(struct nics *n, const char *device, struct nic_statistic **ret, size_t *ret_n);
/* How often something was written. */
unsigned nics_writes(const struct nics *n);
/* "channels", "channels-max", "rings", "rings-max", "udp4-hash", "udp6-hash", "rss", "gro-forwarding",
 * "qdisc", "driver", "bus", "address" */
const char *nic_attr_name(enum nic_attr attr);

/* For implementations. */
struct nics_ops {
	int (*read)(void *user, const char *device, enum nic_attr attr, char *ret, size_t size);
	int (*write)(void *user, const char *device, enum nic_attr attr, const char *value);
	int (*statistics)(
		void *user, const char *device, struct nic_statistic **ret, size_t *ret_n);
	void (*close)(void *user);
};

struct nics {
	const struct nics_ops *ops;
	void *user;
	unsigned writes;
};
