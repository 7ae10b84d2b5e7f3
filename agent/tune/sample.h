/* agent/tune/sample.h - all counters of a host at one moment. Two of them make a diagnosis. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "agent/tune/host.h"

enum { SAMPLE_PEERS_MAX = 4096, SAMPLE_SOCKETS_MAX = 1024 };

struct sample_cpu {
	unsigned cpu;
	uint64_t user, system, softirq, irq, idle,
		other; /* ticks; user with nice, idle with iowait */
	uint64_t net_rx, net_tx; /* softirqs raised */
	uint64_t processed, dropped, squeezed; /* /proc/net/softnet_stat */
};

struct sample_irq {
	unsigned number;
	int queue; /* -1: of no queue */
	char name[HOST_TEXT_MAX];
	char device[IFNAMSIZ];
	uint64_t *per_cpu; /* as many as there are CPUs in the sample, in the same order */
};

struct sample_link {
	char name[IFNAMSIZ];
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint64_t rx_dropped, tx_dropped, rx_errors, tx_errors, rx_missed; /* of the interface */
	GArray *nic; /* struct nic_statistic: the driver's own that are named like a drop, a miss, no buffer */
	uint64_t nic_drops; /* of those: per queue or in all, whichever the driver counts more of */
	char nic_worst[NIC_STATISTIC_MAX + 1]; /* the largest of those; "": none */
};

struct sample_udp {
	uint64_t in_errors, rcvbuf_errors, sndbuf_errors, no_ports; /* IPv4 and IPv6 */
};

/* A UDP socket that has dropped something. */
struct sample_socket {
	uint16_t port;
	uint64_t inode, drops;
	char program[32]; /* "": unknown; filled in by sample_name_sockets */
};

struct sample_peer {
	char key[48]; /* base64 */
	uint64_t rx, tx;
	int64_t handshake_s; /* wall clock; 0: never */
};

struct sample {
	int64_t mono_ms, wall_s;
	GArray *cpus; /* struct sample_cpu, online ones */
	GArray *irqs; /* struct sample_irq, of the underlay's devices */
	GArray *links; /* struct sample_link: the underlay's devices, then the WireGuard interface */
	GArray *sockets; /* struct sample_socket */
	GArray *peers; /* struct sample_peer, at most SAMPLE_PEERS_MAX */
	struct sample_udp udp;
	uint64_t conntrack_failed; /* insert_failed, drop, early_drop of all CPUs */
};

/* What cannot be read is left out or 0. 0 or -errno (nothing could be read at all). */
int sample_take(
	const struct tree *tree, struct nics *nics, const struct host *host, struct sample **ret);
void sample_free(struct sample *s);
/* What happened between: counters subtracted, never negative; what is only in one is left out. Sockets are
 * those that dropped something in between. mono_ms is the time between; wall_s and the handshakes are those
 * of `after`. */
struct sample *sample_subtract(const struct sample *before, const struct sample *after);
/* Finds out which programs the sockets belong to; looks into every process, so do it for few of them. */
void sample_name_sockets(const struct tree *tree, struct sample *s);
