/* agent/tune/host.h - what a host is and how it is set up now: all that a plan is made from. */
#pragma once

#include <glib.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/tune/cpuset.h"
#include "agent/tune/nic.h"
#include "agent/tune/tree.h"

enum {
	HOST_NICS_MAX = 16, /* real devices under one underlay */
	HOST_QUEUES_MAX = 4096,
	HOST_IRQS_MAX = 8192,
	HOST_TEXT_MAX = 128,
};

/* A setting as it was found. */
struct host_value {
	char *text; /* NULL: none, and `error` says why */
	int error; /* -ENOENT, -EOPNOTSUPP: there is no such thing; else it could not be read */
};

struct host_queue {
	char name[16]; /* "rx-3" */
	struct host_value rps_cpus, rps_flow_cnt; /* of receive queues */
	struct host_value xps_cpus; /* of transmit queues */
};

struct host_irq {
	unsigned number;
	int queue; /* which queue's it is; -1: of the control plane, to be left alone. Two may serve one
		    * queue (input and output), and mlx5 keeps some for queues that are not there now */
	char name[HOST_TEXT_MAX]; /* "virtio2-input.0" */
	struct host_value affinity; /* smp_affinity, a mask */
};

/* A real network device that carries the underlay, or the WireGuard interface. */
struct host_nic {
	char name[IFNAMSIZ];
	char driver[32], bus[64], address[32]; /* what it is, whatever it is called */
	bool up;
	bool real; /* has a device behind it: a bus, interrupts */
	int node; /* NUMA; -1: none */
	struct cpuset local; /* processors of its node; all where there is none */
	GArray *rx, *tx; /* struct host_queue */
	GArray *irqs; /* struct host_irq */
	struct host_value attrs[NIC_ATTRS];
	struct host_value mtu, threaded;
};

enum host_sysctl {
	SYSCTL_BACKLOG, /* net.core.netdev_max_backlog */
	SYSCTL_BUDGET,
	SYSCTL_BUDGET_USECS,
	SYSCTL_FLOW_ENTRIES, /* net.core.rps_sock_flow_entries */
	SYSCTL_RMEM_MAX,
	SYSCTL_WMEM_MAX,
	SYSCTL_TCP_RMEM,
	SYSCTL_TCP_WMEM,
	SYSCTL_QDISC, /* net.core.default_qdisc */
	SYSCTL_CONGESTION, /* net.ipv4.tcp_congestion_control */
	SYSCTL_CONNTRACK_MAX,
	SYSCTL_FORWARD4, /* net.ipv4.ip_forward; only read */
	SYSCTL_FORWARD6, /* net.ipv6.conf.all.forwarding; only read */
	SYSCTLS
};

enum host_irqbalance {
	IRQBALANCE_NONE, /* does not run */
	IRQBALANCE_SOCKET, /* can be told which interrupts to leave alone */
	IRQBALANCE_DEAF, /* runs, and cannot be told */
};

struct host {
	char kernel[65]; /* release */
	char boot_id[40];
	unsigned n_possible; /* CPU numbers, for the width of masks */
	struct cpuset online;
	struct cpuset usable; /* online, not isolated, not nohz_full; all where that leaves none */
	uint64_t ram_bytes;
	char underlay[IFNAMSIZ]; /* as asked for or found: may be a bond, VLAN or bridge; "": none */
	GPtrArray *nics; /* struct host_nic: the real ones under it */
	struct host_nic *wireguard; /* NULL: there is none */
	bool userspace; /* the WireGuard interface is a TUN device of a program */
	unsigned n_peers, n_peers_up; /* of it; up: a handshake within three minutes */
	bool outer_ipv6; /* some peer's endpoint is an IPv6 address */
	uint64_t conntrack_count; /* entries */
	uint64_t conntrack_failed; /* since the start: refused, or another was dropped for it */
	struct host_value sysctls[SYSCTLS];
	bool has_bbr; /* available, or a module that can be loaded */
	enum host_irqbalance irqbalance;
	GArray *banned; /* unsigned: interrupts that irqbalance leaves alone */
};

struct host_wish {
	const char *underlay; /* NULL: find it */
	const char *iface; /* NULL: the only WireGuard interface, or the one called wt0 */
};

/* Looks at everything once. -ENODEV: what the wish names is not there, or is no WireGuard interface; else
 * -errno only when its processors cannot be read. `error` says it in words; all else that is missing is just
 * missing. *ret is freed with host_free. */
int host_scan(const struct tree *tree, struct nics *nics, const struct host_wish *wish,
	struct host **ret, char error[static HOST_TEXT_MAX]);
void host_free(struct host *host);
/* Is there anything to tune for: a device that carries tunnels, or a WireGuard interface? */
bool host_is_networked(const struct host *host);
#define HOST_NOT_NETWORKED "no device that carries tunnels was found, and no WireGuard interface"

/* "net.core.rmem_max", and its file. */
const char *host_sysctl_name(enum host_sysctl sysctl);
const char *host_sysctl_path(enum host_sysctl sysctl);
const struct host_nic *host_find_nic(const struct host *host, const char *name);
