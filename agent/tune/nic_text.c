/* agent/tune/nic_text.c - attributes of network devices as text, both ways. */
#include "agent/tune/nic_text.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <string.h>

static int put(const char *text, char *ret, size_t size)
{
	return g_strlcpy(ret, text, size) < size ? 0 : -EMSGSIZE;
}

/* -- counts --------------------------------------------------------------------------------- */

struct count {
	const char *name;
	uint32_t *ret;
};

/* Exactly these names, each with its number, in this order. */
static int parse_counts(const char *text, const struct count *counts, size_t n)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	guint64 value;

	if (g_strv_length(words) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(words[2 * i], counts[i].name) != 0 ||
			!g_ascii_string_to_unsigned(
				words[2 * i + 1], 10, 0, UINT32_MAX, &value, NULL))
			return -EINVAL;
		*counts[i].ret = (uint32_t)value;
	}
	return 0;
}

int nic_format_channels(const struct eth_channels *channels, char *ret, size_t size)
{
	g_autofree char *text = g_strdup_printf(
		"rx %u tx %u combined %u", channels->rx, channels->tx, channels->combined);

	return put(text, ret, size);
}

int nic_parse_channels(const char *text, struct eth_channels *ret)
{
	struct eth_channels channels;
	const struct count counts[] = {
		{ "rx", &channels.rx },
		{ "tx", &channels.tx },
		{ "combined", &channels.combined },
	};
	int r = parse_counts(text, counts, G_N_ELEMENTS(counts));

	if (r == 0)
		*ret = channels;
	return r;
}

int nic_format_rings(const struct eth_rings *rings, char *ret, size_t size)
{
	g_autofree char *text = g_strdup_printf("rx %u tx %u", rings->rx, rings->tx);

	return put(text, ret, size);
}

int nic_parse_rings(const char *text, struct eth_rings *ret)
{
	struct eth_rings rings;
	const struct count counts[] = { { "rx", &rings.rx }, { "tx", &rings.tx } };
	int r = parse_counts(text, counts, G_N_ELEMENTS(counts));

	if (r == 0)
		*ret = rings;
	return r;
}

/* -- hash ----------------------------------------------------------------------------------- */

static const struct {
	char letter;
	uint64_t field;
} letters[] = {
	{ 'm', RXH_L2DA },
	{ 'v', RXH_VLAN },
	{ 't', RXH_L3_PROTO },
	{ 's', RXH_IP_SRC },
	{ 'd', RXH_IP_DST },
	{ 'f', RXH_L4_B_0_1 },
	{ 'n', RXH_L4_B_2_3 },
	{ 'r', (uint32_t)RXH_DISCARD },
};

int nic_format_hash(uint64_t fields, char *ret, size_t size)
{
	char text[G_N_ELEMENTS(letters) + 1];
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(letters); i++)
		if (fields & letters[i].field) {
			text[n++] = letters[i].letter;
			fields &= ~letters[i].field;
		}
	text[n] = '\0';
	return n && !fields ? put(text, ret, size) : -EOPNOTSUPP;
}

int nic_parse_hash(const char *text, uint64_t *ret)
{
	uint64_t fields = 0;
	size_t i;

	for (const char *at = text; *at; at++) {
		for (i = 0; i < G_N_ELEMENTS(letters) && letters[i].letter != *at; i++)
			;
		if (i == G_N_ELEMENTS(letters))
			return -EINVAL;
		fields |= letters[i].field;
	}
	if (!fields)
		return -EINVAL;
	*ret = fields;
	return 0;
}

/* -- the table ------------------------------------------------------------------------------ */

int nic_format_table(const uint32_t *entries, size_t n, char *ret, size_t size)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(text, i ? " %u" : "%u", entries[i]);
	return put(text->str, ret, size);
}

int nic_parse_table(const char *text, uint32_t **ret, size_t *ret_n)
{
	g_auto(GStrv) words = g_strsplit(text, " ", ETHTOOL_TABLE_MAX + 1);
	size_t n = g_strv_length(words);
	g_autofree uint32_t *entries = g_new0(uint32_t, n);
	guint64 value;

	if (!n || n > ETHTOOL_TABLE_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (!g_ascii_string_to_unsigned(words[i], 10, 0, UINT32_MAX, &value, NULL))
			return -EINVAL;
		entries[i] = (uint32_t)value;
	}
	*ret = g_steal_pointer(&entries);
	*ret_n = n;
	return 0;
}

/* -- queueing disciplines ------------------------------------------------------------------- */

static bool is_uniform(const struct qdisc_root *root)
{
	for (size_t i = 1; i < root->n_queues; i++)
		if (strcmp(root->queues[i].kind, root->queues[0].kind) != 0)
			return false;
	return root->n_queues > 0;
}

int nic_format_qdisc(const struct qdisc_root *root, char *ret, size_t size)
{
	bool is_foreign = root->handle && root->handle != QDISC_OURS;
	g_autoptr(GString) text = g_string_new(is_foreign ? "!" : "");

	g_string_append(text, root->qdisc.kind);
	for (size_t i = 0; i < (is_uniform(root) ? 1 : root->n_queues); i++)
		g_string_append_printf(text, " %s", root->queues[i].kind);
	return put(text->str, ret, size);
}

static bool is_kind(const char *word)
{
	size_t len = strlen(word);

	return len && len < QDISC_KIND_MAX &&
		strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}

int nic_parse_qdisc(const char *text, GStrv *ret)
{
	g_auto(GStrv) words = g_strsplit(text, " ", QDISC_QUEUES_MAX + 2);

	if (!words[0] || (words[1] && strcmp(words[0], "mq") != 0) ||
		g_strv_length(words) > QDISC_QUEUES_MAX + 1)
		return -EINVAL;
	for (char **word = words; *word; word++)
		if (!is_kind(*word))
			return -EINVAL;
	*ret = g_steal_pointer(&words);
	return 0;
}

/* -- addresses ------------------------------------------------------------------------------ */

int nic_format_address(const uint8_t *address, size_t len, char *ret, size_t size)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < len; i++)
		g_string_append_printf(text, i ? ":%02x" : "%02x", address[i]);
	return put(text->str, ret, size);
}
