/* tests/unit/test_nic_text.c - attributes of network devices as text. */
#include "agent/tune/nic_text.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <string.h>

static void test_counts(void)
{
	static const char *const bad[] = { "", "rx", "rx 1 tx 2", "rx 1 tx 2 combined",
		"rx 1 tx 2 combined x", "rx 1 tx 2 combined -1", "rx 1 tx 2 combined 4294967296",
		"tx 1 rx 2 combined 3", "rx 1 tx 2 combined 3 other 4", "rx  1 tx 2 combined 3",
		" rx 1 tx 2 combined 3", "rx 1 tx 2 combined 3 ", "rx 1 tx 2 combined +3" };
	struct eth_channels channels = { 7, 8, 9 };
	struct eth_rings rings;
	char text[64];

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(nic_parse_channels(bad[i], &channels), ==, -EINVAL);
	g_assert_cmpuint(channels.rx, ==, 7);
	g_assert_cmpint(nic_parse_channels("rx 0 tx 2 combined 4294967295", &channels), ==, 0);
	g_assert_cmpuint(channels.tx, ==, 2);
	g_assert_cmpint(nic_format_channels(&channels, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "rx 0 tx 2 combined 4294967295");
	g_assert_cmpint(nic_format_channels(&channels, text, 29), ==, -EMSGSIZE);
	g_assert_cmpint(nic_parse_rings("rx 512 tx 256", &rings), ==, 0);
	g_assert_cmpint(nic_format_rings(&rings, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "rx 512 tx 256");
	g_assert_cmpint(nic_parse_rings("rx 512", &rings), ==, -EINVAL);
}

static void test_hash(void)
{
	static const struct {
		const char *text, *again;
		uint64_t fields;
	} cases[] = {
		{ "sd", "sd", RXH_IP_SRC | RXH_IP_DST },
		{ "ds", "sd", RXH_IP_SRC | RXH_IP_DST },
		{ "sdfn", "sdfn", RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3 },
		{ "ss", "s", RXH_IP_SRC },
		{ "rnfdstvm", "mvtsdfnr", 0x800000fe },
	};
	static const char *const bad[] = { "", " ", "sdx", "sd fn", "SD" };
	uint64_t fields = 0;
	char text[16];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_cmpint(nic_parse_hash(cases[i].text, &fields), ==, 0);
		g_assert_cmpuint(fields, ==, cases[i].fields);
		g_assert_cmpint(nic_format_hash(fields, text, sizeof(text)), ==, 0);
		g_assert_cmpstr(text, ==, cases[i].again);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(nic_parse_hash(bad[i], &fields), ==, -EINVAL);
	/* Nothing, and what has no letter here, which writing would lose. */
	g_assert_cmpint(nic_format_hash(0, text, sizeof(text)), ==, -EOPNOTSUPP);
	g_assert_cmpint(nic_format_hash(RXH_IP_SRC | 1 << 8, text, sizeof(text)), ==, -EOPNOTSUPP);
	g_assert_cmpint(nic_format_hash(RXH_IP_SRC | RXH_IP_DST, text, 2), ==, -EMSGSIZE);
}

static void test_table(void)
{
	static const char *const bad[] = { "", " ", "1 ", "1  2", "1 x", "-1", "4294967296" };
	g_autofree uint32_t *entries = NULL;
	g_autofree char *huge = g_malloc(2 * ETHTOOL_TABLE_MAX + 2);
	char text[16];
	size_t n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(nic_parse_table(bad[i], &entries, &n), ==, -EINVAL);
	g_assert_null(entries);
	for (size_t i = 0; i <= ETHTOOL_TABLE_MAX; i++)
		memcpy(huge + 2 * i, i < ETHTOOL_TABLE_MAX ? "3 " : "3", 2);
	g_assert_cmpint(nic_parse_table(huge, &entries, &n), ==, -EINVAL);
	huge[2 * ETHTOOL_TABLE_MAX - 1] = '\0';
	g_assert_cmpint(nic_parse_table(huge, &entries, &n), ==, 0);
	g_assert_cmpuint(n, ==, ETHTOOL_TABLE_MAX);
	g_clear_pointer(&entries, g_free);
	g_assert_cmpint(nic_parse_table("0 1 2 130", &entries, &n), ==, 0);
	g_assert_cmpuint(n, ==, 4);
	g_assert_cmpint(nic_format_table(entries, n, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "0 1 2 130");
	g_assert_cmpint(nic_format_table(entries, n, text, 9), ==, -EMSGSIZE);
}

static void test_qdisc(void)
{
	static const char *const good[] = { "fq", "fq_codel", "mq", "mq fq", "mq fq fq_codel" };
	static const char *const bad[] = { "", " fq", "fq ", "!fq", "fq fq", "mq  fq", "FQ",
		"fq;reboot", "sixteen_letters_", "mq fq sixteen_letters_" };
	GStrv words = NULL;

	for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *again = NULL;

		g_assert_cmpint(nic_parse_qdisc(good[i], &words), ==, 0);
		again = g_strjoinv(" ", words);
		g_assert_cmpstr(again, ==, good[i]);
		g_clear_pointer(&words, g_strfreev);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_cmpint(nic_parse_qdisc(bad[i], &words), ==, -EINVAL);
	g_assert_null(words);
}

static void test_address(void)
{
	static const uint8_t address[] = { 0x52, 0x54, 0, 0x0a, 0, 0xff };
	char text[18];

	g_assert_cmpint(nic_format_address(address, 6, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "52:54:00:0a:00:ff");
	g_assert_cmpint(nic_format_address(address, 0, text, sizeof(text)), ==, 0);
	g_assert_cmpstr(text, ==, "");
	g_assert_cmpint(nic_format_address(address, 6, text, 17), ==, -EMSGSIZE);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nic-text/counts", test_counts);
	g_test_add_func("/nic-text/hash", test_hash);
	g_test_add_func("/nic-text/table", test_table);
	g_test_add_func("/nic-text/qdisc", test_qdisc);
	g_test_add_func("/nic-text/address", test_address);
	return g_test_run();
}
