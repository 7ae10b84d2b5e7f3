/* tests/unit/live_fakehost.c - a made-up host in a folder, for scripts: live_fakehost DIR [KEY=VALUE...] with
 * cpus nodes online isolated nohz nic queues irqs split node nics bond vlan bridge failover wireguard iface
 * peers up ipv6 ram kernel; `nic` is mlx5 virtio ixgbe igb ena gve hv_netvsc single veth. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_host.h"

static const char *const kinds[] = {
	[FAKE_NO_NIC] = "none",
	[FAKE_MLX5] = "mlx5",
	[FAKE_VIRTIO] = "virtio",
	[FAKE_IXGBE] = "ixgbe",
	[FAKE_IGB] = "igb",
	[FAKE_ENA] = "ena",
	[FAKE_GVE] = "gve",
	[FAKE_HV_NETVSC] = "hv_netvsc",
	[FAKE_SINGLE] = "single",
	[FAKE_VETH] = "veth",
};
static const char *const wireguards[] = { "none", "kernel", "tun" };

static void complain(const char *word)
{
	fprintf(stderr, "live_fakehost: %s?\n", word);
	exit(2);
}

static unsigned choice(const char *text, const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(text, names[i]) == 0)
			return i;
	complain(text);
	return 0;
}

/* Settings with a number. */
static bool set_number(struct fake_host *h, struct fake_nic *nic, const char *key, unsigned value)
{
	const struct {
		const char *key;
		unsigned *at;
	} fields[] = {
		{ "cpus", &h->cpus },
		{ "nodes", &h->nodes },
		{ "queues", &nic->queues },
		{ "irqs", &nic->vectors },
		{ "peers", &h->peers },
		{ "up", &h->peers_up },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (strcmp(key, fields[i].key) == 0) {
			*fields[i].at = value;
			return true;
		}
	return false;
}

static bool set_flag(struct fake_host *h, struct fake_nic *nic, const char *key, bool value)
{
	const struct {
		const char *key;
		bool *at;
	} fields[] = {
		{ "bond", &h->bond },
		{ "vlan", &h->vlan },
		{ "bridge", &h->bridge },
		{ "failover", &h->failover },
		{ "ipv6", &h->peers_ipv6 },
		{ "split", &nic->split },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (strcmp(key, fields[i].key) == 0) {
			*fields[i].at = value;
			return true;
		}
	return false;
}

static bool set_text(struct fake_host *h, const char *key, const char *value)
{
	const struct {
		const char *key, **at;
	} fields[] = {
		{ "online", &h->online },
		{ "isolated", &h->isolated },
		{ "nohz", &h->nohz_full },
		{ "iface", &h->iface },
		{ "kernel", &h->kernel },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		if (strcmp(key, fields[i].key) == 0) {
			*fields[i].at = value;
			return true;
		}
	return false;
}

static void set(struct fake_host *h, struct fake_nic *nic, unsigned *nics, char *word)
{
	char *value = strchr(word, '=');
	unsigned number;

	if (!value)
		complain(word);
	*value++ = '\0';
	number = (unsigned)strtoul(value, NULL, 10);
	if (strcmp(word, "nic") == 0)
		nic->kind = choice(value, kinds, G_N_ELEMENTS(kinds));
	else if (strcmp(word, "wireguard") == 0)
		h->wireguard = choice(value, wireguards, G_N_ELEMENTS(wireguards));
	else if (strcmp(word, "node") == 0)
		nic->node = atoi(value);
	else if (strcmp(word, "nics") == 0)
		*nics = CLAMP(number, 1, FAKE_NICS_MAX);
	else if (strcmp(word, "ram") == 0)
		h->ram_mib = number;
	else if (!set_number(h, nic, word, number) && !set_flag(h, nic, word, number) &&
		!set_text(h, word, value))
		complain(word);
}

int main(int argc, char **argv)
{
	struct fake_host h = { 0 };
	struct fake_nic nic = { .kind = FAKE_VIRTIO };
	unsigned nics = 1;

	if (argc < 2)
		complain("a folder");
	for (int i = 2; i < argc; i++)
		set(&h, &nic, &nics, argv[i]);
	for (unsigned i = 0; i < nics; i++)
		h.nics[i] = nic;
	if (g_mkdir_with_parents(argv[1], 0755) < 0)
		complain(argv[1]);
	fake_host_write(argv[1], &h);
	return 0;
}
