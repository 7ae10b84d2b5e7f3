/* agent/tune/locate.c - where the things of the journal are today. */
#include <stdio.h>
#include <string.h>

#include "agent/tune/setting.h"

struct locator {
	struct tuner *t;
	const struct host *host;
	GHashTable *names; /* a device as it was to its name today, "": none */
	GHashTable
		*hosts; /* of devices that the host's underlay does not have: name to struct host */
};

static void read_identity(
	struct tuner *t, const char *name, enum nic_attr attr, char *ret, size_t size)
{
	char text[HOST_TEXT_MAX];

	if (nics_read(t->nics, name, attr, text, sizeof(text)) < 0)
		text[0] = '\0';
	g_strlcpy(ret, text, size);
}

static struct identity identity_of(const struct locator *l, const char *name)
{
	const struct host_nic *nic = host_find_nic(l->host, name);
	struct identity id = { 0 };

	if (nic) {
		g_strlcpy(id.driver, nic->driver, sizeof(id.driver));
		g_strlcpy(id.bus, nic->bus, sizeof(id.bus));
		g_strlcpy(id.address, nic->address, sizeof(id.address));
		return id;
	}
	read_identity(l->t, name, NIC_DRIVER, id.driver, sizeof(id.driver));
	read_identity(l->t, name, NIC_BUS, id.bus, sizeof(id.bus));
	read_identity(l->t, name, NIC_ADDRESS, id.address, sizeof(id.address));
	return id;
}

/* A device that has neither address nor bus is known by its name alone. */
static bool is_it(const struct locator *l, const struct journal_entry *e, const char *name)
{
	struct identity now;

	if (!e->identity.address[0] && !e->identity.bus[0] && strcmp(name, e->device) != 0)
		return false;
	now = identity_of(l, name);
	if (e->identity.driver[0] && strcmp(now.driver, e->identity.driver) != 0)
		return false;
	if (e->identity.address[0])
		return !strcmp(now.address, e->identity.address);
	return !strcmp(now.bus, e->identity.bus);
}

/* Fresh text; "" where it is not there. */
static char *search_device(const struct locator *l, const struct journal_entry *e)
{
	g_autofree char *path = g_build_filename("/sys/class/net", e->device, NULL);
	g_autoptr(GPtrArray) names = NULL;

	if (tree_exists(l->t->tree, path) && is_it(l, e, e->device))
		return g_strdup(e->device);
	if (tree_list(l->t->tree, "/sys/class/net", &names) < 0)
		return g_strdup("");
	for (unsigned i = 0; i < names->len; i++)
		if (strcmp(names->pdata[i], e->device) != 0 && is_it(l, e, names->pdata[i]))
			return g_strdup(names->pdata[i]);
	return g_strdup("");
}

static const char *find_device(const struct locator *l, const struct journal_entry *e)
{
	char *key = g_strjoin(
		"|", e->device, e->identity.driver, e->identity.bus, e->identity.address, NULL);
	char *name = g_hash_table_lookup(l->names, key);

	if (name) {
		g_free(key);
		return name;
	}
	name = search_device(l, e);
	g_hash_table_insert(l->names, key, name);
	return name;
}

/* The name of a device is the first word of an object, and a folder in a path. */
static void rename_entry(struct journal_entry *e, const char *name)
{
	g_autofree char *old_folder = g_strdup_printf("/%s/", e->device);
	size_t len = strlen(e->device);
	const char *at = e->path ? strstr(e->path, old_folder) : NULL;
	char *text;

	if (at) {
		text = g_strdup_printf(
			"%.*s/%s/%s", (int)(at - e->path), e->path, name, at + strlen(old_folder));
		g_free(e->path);
		e->path = text;
	}
	if (!strncmp(e->object, e->device, len) && (!e->object[len] || e->object[len] == ' ')) {
		text = g_strconcat(name, e->object + len, NULL);
		g_free(e->object);
		e->object = text;
	}
	g_free(e->device);
	e->device = g_strdup(name);
}

/* With its interrupts; NULL: it cannot be looked at. */
static const struct host_nic *find_nic(const struct locator *l, const char *name)
{
	const struct host_nic *nic = host_find_nic(l->host, name);
	const struct host_wish wish = { .underlay = name };
	char error[HOST_TEXT_MAX];
	struct host *host;

	if (nic)
		return nic;
	host = g_hash_table_lookup(l->hosts, name);
	if (!host) {
		if (host_scan(l->t->tree, l->t->nics, &wish, &host, error) < 0)
			return NULL;
		g_hash_table_insert(l->hosts, g_strdup(name), host);
	}
	return host_find_nic(host, name);
}

static const struct host_irq *find_irq(const struct host_nic *nic, int queue, int nth)
{
	for (unsigned i = 0; nic && i < nic->irqs->len; i++) {
		const struct host_irq *irq = &g_array_index(nic->irqs, struct host_irq, i);

		if (irq->queue == queue && nth-- == 0)
			return irq;
	}
	return NULL;
}

static void locate_irq(const struct locator *l, struct journal_entry *e)
{
	const struct host_irq *irq = find_irq(find_nic(l, e->device), e->queue, e->nth);

	e->gone = !irq;
	if (!irq)
		return;
	g_free(e->path);
	g_free(e->object);
	e->path = g_strdup_printf("/proc/irq/%u/smp_affinity", irq->number);
	e->object = g_strdup_printf("irq %u (%s)", irq->number, irq->name);
}

static void locate_entry(const struct locator *l, struct journal_entry *e)
{
	const char *name = find_device(l, e);

	e->gone = !name[0];
	if (e->gone)
		return;
	if (strcmp(name, e->device) != 0)
		rename_entry(e, name);
	if (e->knob == KNOB_IRQ)
		locate_irq(l, e);
}

static void host_free_pointer(gpointer host)
{
	host_free(host);
}

void journal_locate(struct journal *journal, struct tuner *t, const struct host *host)
{
	struct locator l = { .t = t, .host = host };

	l.names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	l.hosts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, host_free_pointer);
	for (unsigned i = 0; i < journal->entries->len; i++) {
		struct journal_entry *e = journal->entries->pdata[i];

		if (e->device)
			locate_entry(&l, e);
	}
	g_hash_table_unref(l.names);
	g_hash_table_unref(l.hosts);
}

int journal_open(
	struct tuner *t, const struct host *host, struct journal **ret, char error[static 256])
{
	int r = journal_load(tree_root(t->tree), ret, error);

	if (r == 0)
		journal_locate(*ret, t, host);
	return r;
}
