/* tests/unit/fake_host.h - made-up hosts: folders that look like /proc and /sys, for all that takes a root.
 *
 *	struct fake_host want = { .cpus = 64, .nics = { { FAKE_MLX5, .queues = 64 } }, .wireguard = FAKE_WG_KERNEL };
 *	char *root = fake_host_make(&want);
 *	...
 *	fake_host_remove(root);
 *
 * Whatever is zero has a default. All values are those of a host that nobody has tuned. Whoever needs it
 * otherwise overwrites files with fake_host_put. Failing to write ends the program. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { FAKE_NICS_MAX = 4 };

enum fake_nic_kind {
	FAKE_NO_NIC,
	FAKE_MLX5, /* mlx5_async0, mlx5_compN */
	FAKE_VIRTIO, /* virtioN-config, virtioN-input.M, with split virtioN-output.M */
	FAKE_IXGBE, /* eth0-TxRx-M and eth0 */
	FAKE_IGB, /* eth0-rx-M, eth0-tx-M and eth0 */
	FAKE_ENA, /* ena-mgmnt, eth0-Tx-Rx-M */
	FAKE_GVE, /* gve-mgmnt, gve-ntfy-blkM: first all of tx, then all of rx */
	FAKE_HV_NETVSC, /* queues, but no interrupts */
	FAKE_SINGLE, /* r8169: one queue, one interrupt that is called as the device; no channels */
	FAKE_VETH, /* no device behind it */
};

struct fake_nic {
	enum fake_nic_kind kind;
	const char *name; /* eth0, eth1, ... */
	unsigned queues; /* as many as CPUs, at most 64 */
	unsigned vectors; /* interrupts of queues; as the kind has it. More than queues: all that mlx5 keeps */
	bool split; /* virtio: interrupts for output too */
	int node; /* NUMA, when the host has nodes; -1: none */
};

enum fake_wireguard { FAKE_WG_NONE, FAKE_WG_KERNEL, FAKE_WG_TUN };

struct fake_host {
	unsigned cpus; /* possible ones: 4 */
	unsigned nodes; /* 0: the host says nothing of nodes; else CPUs are split evenly */
	const char *online; /* list; all of them */
	const char *isolated, *nohz_full; /* lists; none */
	struct fake_nic nics[FAKE_NICS_MAX]; /* ends at FAKE_NO_NIC */
	bool failover; /* the second NIC is the virtual function of the first, as in Azure */
	bool bond; /* bond0 over all NICs */
	bool vlan; /* X.7 on the bond or the first NIC */
	bool bridge; /* br0 over that, and a veth */
	bool no_route; /* else the default route goes over the uppermost of those */
	enum fake_wireguard wireguard;
	const char *iface; /* wt0 */
	unsigned peers, peers_up;
	bool peers_ipv6;
	uint64_t ram_mib; /* 16384 */
	const char *kernel; /* 6.12.48+deb13-amd64 */
	bool no_bbr;
};

/* In a fresh temporary folder; returns its path. */
char *fake_host_make(const struct fake_host *want);
/* Into a folder that is there. */
void fake_host_write(const char *root, const struct fake_host *want);
/* Removes all of it, and frees the path. */
void fake_host_remove(char *root);

/* One file, with its folders; paths as "proc/sys/net/core/rmem_max". A new line is put behind the text. */
void fake_host_put(const char *root, const char *path, const char *text);
/* A symbolic link, with its folders. */
void fake_host_link(const char *root, const char *path, const char *target);
/* Fresh text without white space at the end; NULL: there is no such file. */
char *fake_host_get(const char *root, const char *path);
/* A file or a whole folder. */
void fake_host_drop(const char *root, const char *path);
/* Writing to this file (or attribute) fails with this errno. */
void fake_host_refuse(const char *root, const char *path, int error);
/* From now on it is counted how many files and folders are written to, made or removed in. */
void fake_host_settle(const char *root);
unsigned fake_host_written(const char *root);
