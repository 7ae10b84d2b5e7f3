/* agent/tune/nic.c - attributes of network devices, whoever answers. */
#include "agent/tune/nic.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>

static const char *const names[NIC_ATTRS] = {
	[NIC_CHANNELS] = "channels",
	[NIC_CHANNELS_MAX] = "channels-max",
	[NIC_RINGS] = "rings",
	[NIC_RINGS_MAX] = "rings-max",
	[NIC_UDP4_HASH] = "udp4-hash",
	[NIC_UDP6_HASH] = "udp6-hash",
	[NIC_RSS] = "rss",
	[NIC_GRO_FORWARDING] = "gro-forwarding",
	[NIC_QDISC] = "qdisc",
	[NIC_DRIVER] = "driver",
	[NIC_BUS] = "bus",
	[NIC_ADDRESS] = "address",
};

const char *nic_attr_name(enum nic_attr attr)
{
	return names[attr];
}

static bool is_fixed(enum nic_attr attr)
{
	return attr == NIC_CHANNELS_MAX || attr == NIC_RINGS_MAX || attr >= NIC_DRIVER;
}

int nics_read(struct nics *n, const char *device, enum nic_attr attr, char *ret, size_t size)
{
	return n->ops->read(n->user, device, attr, ret, size);
}

int nics_write(struct nics *n, const char *device, enum nic_attr attr, const char *value)
{
	if (is_fixed(attr))
		return -EOPNOTSUPP;
	n->writes++;
	return n->ops->write(n->user, device, attr, value);
}

int nics_statistics(struct nics *n, const char *device, struct nic_statistic **ret, size_t *ret_n)
{
	return n->ops->statistics(n->user, device, ret, ret_n);
}

unsigned nics_writes(const struct nics *n)
{
	return n->writes;
}

void nics_close(struct nics *n)
{
	if (!n)
		return;
	n->ops->close(n->user);
	g_free(n);
}
