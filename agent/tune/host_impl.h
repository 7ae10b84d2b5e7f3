/* agent/tune/host_impl.h - parts of looking at a host. Each fills in its share of scan.host. */
#pragma once

#include "agent/base/addr.h"
#include "agent/tune/host.h"

enum { SCAN_ENDPOINTS_MAX = 16 };

struct scan {
	const struct tree *tree;
	struct nics *nics;
	struct host *host;
	struct endpoint endpoints[SCAN_ENDPOINTS_MAX]; /* of WireGuard peers, the first ones */
	unsigned n_endpoints;
	uint32_t fwmark; /* of WireGuard's own packets */
	char *error; /* HOST_TEXT_MAX */
};

/* A file as a setting. */
void host_value_read(struct host_value *v, const struct tree *tree, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void host_value_clear(struct host_value *v);

/* -errno: which processors there are cannot be read. */
int host_scan_cpus(struct scan *s);

/* Everything of one device but its interrupts. */
struct host_nic *host_nic_read(struct scan *s, const char *name);
void host_nic_free(struct host_nic *nic);
/* Is there such a device? -ENODEV, with the nearest name in the error. */
int host_device_check(struct scan *s, const char *name);
/* Names of all devices. NULL: there are none. */
GPtrArray *host_devices(const struct tree *tree);

/* The WireGuard interface, and its peers. */
int host_scan_wireguard(struct scan *s, const char *wish);
bool host_is_wireguard(const struct tree *tree, const char *name);

/* The underlay, and the real devices under it. */
int host_scan_underlay(struct scan *s, const char *wish);

/* Interrupts of all NICs. */
void host_scan_irqs(struct scan *s);
/* The number of the queue of this device that an interrupt of this name serves, by what drivers are known to
 * call them; -1: it serves none. *ret_owner is the length of what stands before that: "eth0" of
 * "eth0-TxRx-3". */
int host_irq_queue(const char *name, const char *device, size_t *ret_owner);
