/* agent/tune/host_nic.c - one network device: what it is, its queues, its settings. */
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>

#include "agent/tune/host_impl.h"
#include "agent/tune/knob.h"

#define CLASS "/sys/class/net"

/* -- settings ------------------------------------------------------------------------------- */

void host_value_read(struct host_value *v, const struct tree *tree, const char *format, ...)
{
	char path[TREE_PATH_MAX];
	va_list args;

	va_start(args, format);
	g_vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	v->error = tree_read(tree, path, &v->text);
}

void host_value_clear(struct host_value *v)
{
	g_clear_pointer(&v->text, g_free);
}

/* -- names ---------------------------------------------------------------------------------- */

GPtrArray *host_devices(const struct tree *tree)
{
	g_autoptr(GPtrArray) names = NULL;

	if (tree_list(tree, CLASS, &names) < 0)
		return NULL;
	for (guint i = names->len; i > 0; i--) {
		g_autofree char *path = g_strconcat(CLASS "/", names->pdata[i - 1], "/mtu", NULL);

		/* There are files too: bonding_masters. */
		if (!tree_exists(tree, path))
			g_ptr_array_remove_index(names, i - 1);
	}
	return g_steal_pointer(&names);
}

int host_device_check(struct scan *s, const char *name)
{
	g_autoptr(GPtrArray) names = host_devices(s->tree);
	const char *nearest;

	for (guint i = 0; names && i < names->len; i++)
		if (strcmp(names->pdata[i], name) == 0)
			return 0;
	if (!names || names->len == 0) {
		g_snprintf(s->error, HOST_TEXT_MAX, "there is no device '%.32s'", name);
		return -ENODEV;
	}
	g_ptr_array_add(names, NULL);
	nearest = nearest_name(name, (const char *const *)names->pdata);
	g_snprintf(s->error, HOST_TEXT_MAX, "there is no device '%.32s'; did you mean '%s'?", name,
		nearest);
	return -ENODEV;
}

/* -- one device ----------------------------------------------------------------------------- */

static bool is_up(const struct tree *tree, const char *name)
{
	struct host_value flags;
	bool up;

	host_value_read(&flags, tree, CLASS "/%s/flags", name);
	up = flags.text && g_ascii_strtoull(flags.text, NULL, 16) & IFF_UP;
	host_value_clear(&flags);
	return up;
}

static bool read_cpus(const struct tree *tree, const char *path, struct cpuset *ret)
{
	g_autofree char *text = NULL;

	return tree_read(tree, path, &text) == 0 && cpuset_parse_list(text, ret) == 0 &&
		!cpuset_is_empty(ret);
}

/* Of the device, or of the one that it is a part of: virtio's is within a PCI device. */
static void read_node(const struct tree *tree, const struct host *h, struct host_nic *nic)
{
	static const char *const places[] = { "device", "device/.." };
	char path[TREE_PATH_MAX];
	bool found = false;

	nic->node = -1;
	for (size_t i = 0; nic->real && !found && i < G_N_ELEMENTS(places); i++) {
		int64_t node = -1;

		g_snprintf(path, sizeof(path), CLASS "/%s/%s/numa_node", nic->name, places[i]);
		if (tree_read_int(tree, path, &node) < 0)
			continue;
		nic->node = node >= 0 && node < INT16_MAX ? (int)node : -1;
		g_snprintf(path, sizeof(path), CLASS "/%s/%s/local_cpulist", nic->name, places[i]);
		found = read_cpus(tree, path, &nic->local);
	}
	if (!found && nic->node >= 0) {
		g_snprintf(
			path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", nic->node);
		found = read_cpus(tree, path, &nic->local);
	}
	cpuset_keep_only(&nic->local, &h->online);
	if (!found || cpuset_is_empty(&nic->local))
		nic->local = h->online;
}

static void read_queue(const struct tree *tree, struct host_nic *nic, const char *queue)
{
	struct host_queue q = { .name = "" };
	bool rx = g_str_has_prefix(queue, "rx-");

	g_strlcpy(q.name, queue, sizeof(q.name));
	if (rx) {
		host_value_read(
			&q.rps_cpus, tree, CLASS "/%s/queues/%s/rps_cpus", nic->name, queue);
		host_value_read(&q.rps_flow_cnt, tree, CLASS "/%s/queues/%s/rps_flow_cnt",
			nic->name, queue);
	} else {
		host_value_read(
			&q.xps_cpus, tree, CLASS "/%s/queues/%s/xps_cpus", nic->name, queue);
	}
	g_array_append_val(rx ? nic->rx : nic->tx, q);
}

static void read_queues(const struct tree *tree, struct host_nic *nic)
{
	g_autoptr(GPtrArray) queues = NULL;
	char path[TREE_PATH_MAX];

	g_snprintf(path, sizeof(path), CLASS "/%s/queues", nic->name);
	if (tree_list(tree, path, &queues) < 0)
		return;
	for (guint i = 0; i < MIN(queues->len, 2 * HOST_QUEUES_MAX); i++)
		if (strlen(queues->pdata[i]) < sizeof(((struct host_queue *)0)->name))
			read_queue(tree, nic, queues->pdata[i]);
}

static void read_attrs(struct scan *s, struct host_nic *nic)
{
	char text[NIC_VALUE_MAX];

	for (int i = 0; i < NIC_ATTRS; i++) {
		struct host_value *v = &nic->attrs[i];

		v->error = nics_read(s->nics, nic->name, i, text, sizeof(text));
		if (v->error == 0)
			v->text = g_strdup(text);
	}
	g_strlcpy(nic->driver, nic->attrs[NIC_DRIVER].text ?: "", sizeof(nic->driver));
	g_strlcpy(nic->bus, nic->attrs[NIC_BUS].text ?: "", sizeof(nic->bus));
	g_strlcpy(nic->address, nic->attrs[NIC_ADDRESS].text ?: "", sizeof(nic->address));
}

static void queue_clear(gpointer queue)
{
	struct host_queue *q = queue;

	host_value_clear(&q->rps_cpus);
	host_value_clear(&q->rps_flow_cnt);
	host_value_clear(&q->xps_cpus);
}

static void irq_clear(gpointer irq)
{
	host_value_clear(&((struct host_irq *)irq)->affinity);
}

static GArray *array_new(size_t size, GDestroyNotify clear)
{
	GArray *a = g_array_new(FALSE, TRUE, (guint)size);

	g_array_set_clear_func(a, clear);
	return a;
}

struct host_nic *host_nic_read(struct scan *s, const char *name)
{
	struct host_nic *nic = g_new0(struct host_nic, 1);
	char path[TREE_PATH_MAX];

	g_strlcpy(nic->name, name, sizeof(nic->name));
	nic->rx = array_new(sizeof(struct host_queue), queue_clear);
	nic->tx = array_new(sizeof(struct host_queue), queue_clear);
	nic->irqs = array_new(sizeof(struct host_irq), irq_clear);
	nic->up = is_up(s->tree, name);
	g_snprintf(path, sizeof(path), CLASS "/%s/device", name);
	nic->real = tree_exists(s->tree, path);
	read_node(s->tree, s->host, nic);
	read_queues(s->tree, nic);
	read_attrs(s, nic);
	host_value_read(&nic->mtu, s->tree, CLASS "/%s/mtu", name);
	host_value_read(&nic->threaded, s->tree, CLASS "/%s/threaded", name);
	return nic;
}

void host_nic_free(struct host_nic *nic)
{
	if (!nic)
		return;
	g_array_unref(nic->rx);
	g_array_unref(nic->tx);
	g_array_unref(nic->irqs);
	for (int i = 0; i < NIC_ATTRS; i++)
		host_value_clear(&nic->attrs[i]);
	host_value_clear(&nic->mtu);
	host_value_clear(&nic->threaded);
	g_free(nic);
}
