/* agent/tune/host_irq.c - interrupts of NICs, and which of their queues each serves. */
#include <stdlib.h>
#include <string.h>

#include "agent/tune/host_impl.h"

#define CLASS "/sys/class/net"

/* -- names ---------------------------------------------------------------------------------- */

/* What stands before the number in the names of queues' interrupts. Those of the control plane
 * (mlx5_async0, virtio0-config, ena-mgmnt, eth0-event-2, ...) are none of these. */
static const char *const endings[] = {
	"-TxRx-", /* Intel, bnxt, hns3 */
	"-Tx-Rx-", /* ena */
	"-rxtx-", /* vmxnet3, nicvf */
	"-rx-",
	"-tx-",
	"-Rx", /* cxgb4 */
	"-fp-", /* bnx2x, qede */
	"-q", /* Xen, be2net */
	"-input.", /* virtio */
	"-output.",
	"-ntfy-blk", /* gve */
	"-ntfy-block.",
	"mlx5_comp",
	"mlx4-",
	"mana_q",
};

/* Does this part of a name equal all of the other? */
static bool is_same(const char *part, size_t len, const char *whole)
{
	return strlen(whole) == len && strncmp(part, whole, len) == 0;
}

/* Xen says eth0-q0-tx. */
static size_t cut_direction(const char *name, size_t len)
{
	bool cut = len > 3 &&
		(g_ascii_strncasecmp(name + len - 3, "-tx", 3) == 0 ||
			g_ascii_strncasecmp(name + len - 3, "-rx", 3) == 0);

	return cut ? len - 3 : len;
}

int host_irq_queue(const char *name, const char *device, size_t *ret_owner)
{
	size_t len = cut_direction(name, strcspn(name, "@")), digits = len;
	unsigned long number;

	while (digits > 0 && g_ascii_isdigit(name[digits - 1]))
		digits--;
	if (digits == len || len - digits > 4)
		return -1;
	number = strtoul(name + digits, NULL, 10);
	if (number >= HOST_QUEUES_MAX)
		return -1;
	for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
		size_t ending = strlen(endings[i]);

		if (digits < ending ||
			g_ascii_strncasecmp(name + digits - ending, endings[i], ending) != 0)
			continue;
		*ret_owner = digits - ending;
		return (int)number;
	}
	/* sfc, tg3: nothing but the device and a number */
	*ret_owner = digits - 1;
	return digits > 1 && name[digits - 1] == '-' && is_same(name, digits - 1, device)
		? (int)number
		: -1;
}

/* -- whose they are ------------------------------------------------------------------------- */

/* A NIC that looks for its interrupts. */
struct claim {
	struct host_nic *nic;
	GHashTable *numbers; /* those of its device; NULL: it does not say, names must do */
	bool parent; /* they are the parent's: names must agree too */
	char alias[64]; /* "virtio2" */
};

static GHashTable *read_numbers(const struct tree *tree, const char *device, const char *where)
{
	g_autoptr(GPtrArray) names = NULL;
	char path[TREE_PATH_MAX];
	GHashTable *set;

	g_snprintf(path, sizeof(path), CLASS "/%s/%s/msi_irqs", device, where);
	if (tree_list(tree, path, &names) < 0)
		return NULL;
	set = g_hash_table_new(NULL, NULL);
	for (guint i = 0; i < names->len; i++)
		g_hash_table_add(set, GUINT_TO_POINTER(strtoul(names->pdata[i], NULL, 10)));
	return set;
}

static void claim_init(struct claim *c, const struct tree *tree, struct host_nic *nic)
{
	char path[TREE_PATH_MAX];

	*c = (struct claim){ .nic = nic };
	c->numbers = read_numbers(tree, nic->name, "device");
	if (!c->numbers) {
		c->numbers = read_numbers(tree, nic->name, "device/..");
		c->parent = true;
	}
	g_snprintf(path, sizeof(path), CLASS "/%s/device", nic->name);
	if (tree_link(tree, path, c->alias, sizeof(c->alias)) < 0)
		c->alias[0] = '\0';
}

/* "eth0", "eth0-...", but not "eth01". */
static bool begins(const char *name, const char *word)
{
	size_t len = strlen(word);

	return len && strncmp(name, word, len) == 0 && !g_ascii_isalnum(name[len]);
}

static bool is_claimed(const struct claim *c, unsigned number, const char *name)
{
	if (c->numbers && !g_hash_table_contains(c->numbers, GUINT_TO_POINTER(number)))
		return false;
	if (c->numbers && !c->parent)
		return true;
	return begins(name, c->nic->name) || begins(name, c->alias);
}

/* The ports of a NIC may share one device: eth1-Rx0 is not eth0's. */
static bool is_of_other(const struct tree *tree, const struct claim *c, const char *name, size_t n)
{
	char path[TREE_PATH_MAX];

	if (n == 0 || n >= IFNAMSIZ || is_same(name, n, c->nic->name) || memchr(name, '/', n))
		return false;
	g_snprintf(path, sizeof(path), CLASS "/%.*s/queues", (int)n, name);
	return tree_exists(tree, path);
}

static void add_irq(const struct tree *tree, struct claim *c, unsigned number, const char *name)
{
	struct host_irq irq = { .number = number };
	size_t owner = 0;

	irq.queue = host_irq_queue(name, c->nic->name, &owner);
	if (irq.queue >= 0 && is_of_other(tree, c, name, owner))
		return;
	g_strlcpy(irq.name, name, sizeof(irq.name));
	host_value_read(&irq.affinity, tree, "/proc/irq/%u/smp_affinity", number);
	g_array_append_val(c->nic->irqs, irq);
}

/* -- queues that names do not tell ---------------------------------------------------------- */

/* gve numbers its blocks through: the first half is of transmit queues. */
static void fold_gve(struct claim *c)
{
	unsigned half = c->numbers ? (g_hash_table_size(c->numbers) - 1) / 2 : 0;

	for (guint i = 0; half && i < c->nic->irqs->len; i++) {
		struct host_irq *irq = &g_array_index(c->nic->irqs, struct host_irq, i);

		if (irq->queue >= (int)half && strstr(irq->name, "-ntfy-bl"))
			irq->queue -= (int)half;
	}
}

/* Where no name tells a queue: interrupts that are all called as the device serve one queue each, the only
 * one that the device has serves all, and so does virtio's when it got too few. */
static void number_rest(struct claim *c)
{
	bool only = c->numbers && !c->parent && g_hash_table_size(c->numbers) == 1;
	GArray *irqs = c->nic->irqs;
	unsigned plain = 0;

	for (guint i = 0; i < irqs->len; i++) {
		struct host_irq *irq = &g_array_index(irqs, struct host_irq, i);

		if (irq->queue >= 0)
			return;
		if (g_str_has_suffix(irq->name, "-virtqueues")) {
			irq->queue = 0;
			return;
		}
		plain += strcmp(irq->name, c->nic->name) == 0 || strcmp(irq->name, c->alias) == 0;
	}
	if (plain < irqs->len && !only)
		return;
	for (guint i = 0; i < irqs->len; i++)
		g_array_index(irqs, struct host_irq, i).queue = (int)i;
}

/* -- /proc/interrupts ----------------------------------------------------------------------- */

/* " 35:   12   0  PCI-MSIX-0000:00:04.0  1-edge  virtio2-input.0": the number, and what stands behind the
 * last two spaces. Changes the line. */
static bool parse_line(char *line, unsigned *ret_number, const char **ret_name)
{
	char *end, *name;

	g_strchomp(line);
	*ret_number = (unsigned)strtoul(line, &end, 10);
	name = g_strrstr(line, "  ");
	if (end == line || *end != ':' || !name || name < end)
		return false;
	*ret_name = name + 2;
	return true;
}

static void read_interrupts(const struct tree *tree, char *text, GArray *claims)
{
	unsigned total = 0, number;
	const char *name;
	char *line;

	while ((line = strsep(&text, "\n")) && total < HOST_IRQS_MAX) {
		if (!parse_line(line, &number, &name))
			continue;
		for (guint i = 0; i < claims->len; i++) {
			struct claim *c = &g_array_index(claims, struct claim, i);

			if (is_claimed(c, number, name)) {
				add_irq(tree, c, number, name);
				total++;
			}
		}
	}
}

static void claim_clear(gpointer claim)
{
	struct claim *c = claim;

	if (c->numbers)
		g_hash_table_unref(c->numbers);
}

void host_scan_irqs(struct scan *s)
{
	g_autoptr(GArray) claims = g_array_new(FALSE, FALSE, sizeof(struct claim));
	g_autofree char *text = NULL;

	g_array_set_clear_func(claims, claim_clear);
	for (guint i = 0; i < s->host->nics->len; i++) {
		struct host_nic *nic = s->host->nics->pdata[i];
		struct claim c;

		if (!nic->real)
			continue;
		claim_init(&c, s->tree, nic);
		g_array_append_val(claims, c);
	}
	if (tree_read(s->tree, "/proc/interrupts", &text) < 0)
		return;
	read_interrupts(s->tree, text, claims);
	for (guint i = 0; i < claims->len; i++) {
		fold_gve(&g_array_index(claims, struct claim, i));
		number_rest(&g_array_index(claims, struct claim, i));
	}
}
