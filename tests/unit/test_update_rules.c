/* tests/unit/test_update_rules.c - a server's firewall rules, and that none that is odd opens anything. */
#include "tests/unit/message.h"

#define TCP MANAGEMENT__RULE_PROTOCOL__TCP
#define UDP MANAGEMENT__RULE_PROTOCOL__UDP
#define ICMP MANAGEMENT__RULE_PROTOCOL__ICMP
#define ALL MANAGEMENT__RULE_PROTOCOL__ALL
#define DROP MANAGEMENT__RULE_ACTION__DROP

static const uint8_t our_v6[17] = { 0xfd, [15] = 1, [16] = 64 };

static void begin(struct message *m)
{
	message_begin(m);
	m->self.address_v6 = (ProtobufCBinaryData){ sizeof(our_v6), (uint8_t *)our_v6 };
	m->map.firewallrulesisempty = false;
}

static char *rules_text(const struct netmap *map)
{
	GString *out = g_string_new(NULL);
	char text[PREFIX_STRLEN];

	for (size_t i = 0; i < map->n_rules; i++) {
		const struct filter_rule *rule = &map->rules[i];

		g_string_append_printf(out, "%s%s%s %u", i ? "; " : "", rule->drop ? "-" : "+",
			prefix_format(&rule->source, text), rule->protocol);
		if (rule->first_port)
			g_string_append_printf(out, " %u-%u", rule->first_port, rule->last_port);
	}
	return g_string_free(out, FALSE);
}

static void check(struct message *m, const char *expected, size_t n_notes)
{
	struct update *u = message_read(m);
	g_autofree char *text = rules_text(u->map);

	g_assert_cmpstr(text, ==, expected);
	g_assert_cmpuint(u->detail->n_left_out, ==, n_notes);
	g_assert_true(u->map->has_rules);
	update_free(u);
	message_end(m);
}

static void test_plain(void)
{
	struct message m;

	begin(&m);
	message_rule(&m, "100.92.1.2", UDP, "53");
	message_rule(&m, "100.92.1.1", TCP, "443");
	message_rule(&m, "100.92.1.1", ALL, "");
	message_rule(&m, "100.92.1.1", ICMP, "");
	message_rule(&m, "fd00::9", ICMP, "");
	message_rule(&m, "0.0.0.0", TCP, "22")->action = DROP;
	message_rule(&m, "::", TCP, "22");
	message_rule(&m, "100.92.1.1", TCP, "443"); /* once more */
	check(&m,
		"-0.0.0.0/0 6 22-22; +100.92.1.1/32 0; +100.92.1.1/32 1; +100.92.1.1/32 6 443-443; "
		"+100.92.1.2/32 17 53-53; +::/0 6 22-22; +fd00::9/128 58",
		0);
}

/* The same rules in another order are the same map. */
static void test_canonical(void)
{
	struct update *maps[2];

	for (unsigned k = 0; k < 2; k++) {
		struct message m;

		begin(&m);
		for (unsigned i = 0; i < 500; i++) {
			unsigned j = k ? i * 37 % 500 : i;

			message_rule(&m, message_text(&m, "100.92.%u.%u", j / 100, j % 50 + 1),
				j % 3 ? TCP : UDP, message_text(&m, "%u", j % 7 + 1));
		}
		maps[k] = message_read(&m);
		message_end(&m);
	}
	g_assert_cmpuint(maps[0]->map->n_rules, >, 200);
	g_assert_true(netmap_is_same(maps[0]->map, maps[1]->map));
	maps[1]->map->rules[0].drop = true;
	g_assert_false(netmap_is_same(maps[0]->map, maps[1]->map));
	update_free(maps[0]);
	update_free(maps[1]);
}

static void test_direction(void)
{
	struct message m;

	begin(&m);
	message_rule(&m, "100.92.1.1", ALL, "")->direction = MANAGEMENT__RULE_DIRECTION__OUT;
	check(&m, "", 0); /* there are rules, none lets anybody in */
	begin(&m);
	message_rule(&m, "100.92.1.1", ALL, "")->direction = (Management__RuleDirection)7;
	check(&m, "", 1);
}

static void test_prefixes(void)
{
	static const uint8_t net[] = { 10, 1, 2, 3, 8 }, any[] = { 0, 0, 0, 0, 0 };
	static const uint8_t v6[17] = { 0xfd, 1, [16] = 16 }, any_v6[17] = { 0 };
	static const uint8_t low[] = { 0, 0, 0, 0, 8 };
	static const uint8_t mapped[17] = { [10] = 0xff, [11] = 0xff, 10, 9, 8, 7, 120 };
	struct message m;

	begin(&m);
	/* PeerIP is only what it was before there were prefixes. */
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "1"), net, sizeof(net));
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "2"), any, sizeof(any));
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "3"), v6, sizeof(v6));
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "4"), any_v6, sizeof(any_v6));
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "5"), mapped, sizeof(mapped));
	message_prefix(&m, message_rule(&m, "1.2.3.4", TCP, "6"), low, sizeof(low));
	check(&m,
		"+0.0.0.0/0 6 2-2; +0.0.0.0/8 6 6-6; +10.0.0.0/8 6 1-1; +10.9.8.0/24 6 5-5; +::/0 6 4-4; +fd01::/16 6 3-3",
		0);
	begin(&m);
	message_rule(&m, "1.2.3.4", TCP, "1");
	message_prefix(&m, m.rules->pdata[0], net, sizeof(net));
	message_prefix(&m, m.rules->pdata[0], v6, sizeof(v6));
	check(&m, "+10.0.0.0/8 6 1-1; +fd01::/16 6 1-1", 0);
}

static void test_no_v6(void)
{
	struct message m;

	begin(&m);
	m.self.address_v6.len = 0;
	message_rule(&m, "::", TCP, "22");
	message_rule(&m, "fd00::9", ALL, "")->action = DROP;
	message_rule(&m, "100.92.1.1", TCP, "22");
	check(&m, "+100.92.1.1/32 6 22-22", 0);
}

static void add_ports(struct message *m, Management__RuleProtocol protocol, const char *port,
	uint32_t first, uint32_t last)
{
	Management__PortInfo *info = message_own(m, g_new(Management__PortInfo, 1));
	Management__PortInfo__Range *range = message_own(m, g_new(Management__PortInfo__Range, 1));

	management__port_info__init(info);
	management__port_info__range__init(range);
	info->port_selection_case = last ? MANAGEMENT__PORT_INFO__PORT_SELECTION_RANGE
					 : MANAGEMENT__PORT_INFO__PORT_SELECTION_PORT;
	if (last) {
		range->start = first;
		range->end = last == UINT32_MAX ? 0 : last;
		info->range = range;
	} else {
		info->port = first;
	}
	message_rule(m, "100.92.1.1", protocol, port)->portinfo = info;
}

static void check_ports(const char *port, uint32_t first, uint32_t last, const char *expected)
{
	struct message m;
	g_autofree char *text = *expected ? g_strdup_printf("+100.92.1.1/32 6%s", expected + 1)
					  : g_strdup("");

	begin(&m);
	add_ports(&m, TCP, port, first, last);
	check(&m, text, *expected ? 0 : 1);
}

static void test_ports(void)
{
	check_ports("", 0, 0, "="); /* a port of 0 is none */
	check_ports("7", 0, 0, "= 7-7");
	check_ports("7", 8, 0, "= 8-8"); /* the number goes before the text */
	check_ports("", 8, 65535, "= 8-65535");
	check_ports("7", 8, 9, "= 8-9");
	check_ports("", 8, UINT32_MAX, "="); /* an end of 0: no limit */
	check_ports("", 0, 9, "=");
	check_ports("", 9, 8, "");
	check_ports("", 8, 65536, "");
	check_ports("", 65536, 0, "");
	check_ports("0", 0, 0, "");
	check_ports("65536", 0, 0, "");
	check_ports("99999999999999999999", 0, 0, "");
	check_ports("http", 0, 0, "");
	check_ports("-1", 0, 0, "");
	check_ports(" 1", 0, 0, "");
	check_ports("1x", 0, 0, "");
}

static void test_ports_of_all(void)
{
	struct message m;

	begin(&m);
	message_rule(&m, "100.92.1.1", ALL, "22");
	message_rule(&m, "100.92.1.2", ICMP, "22"); /* makes no sense */
	check(&m, "+100.92.1.1/32 6 22-22; +100.92.1.1/32 17 22-22", 1);
}

/* What cannot be said is left out where it would accept and is said broader where it drops. */
static void test_inexpressible(void)
{
	static const Management__RuleProtocol odd[] = { MANAGEMENT__RULE_PROTOCOL__UNKNOWN,
		MANAGEMENT__RULE_PROTOCOL__CUSTOM, MANAGEMENT__RULE_PROTOCOL__NETBIRD_SSH,
		(Management__RuleProtocol)7, (Management__RuleProtocol)-1 };
	struct message m;

	for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
		begin(&m);
		message_rule(&m, "100.92.1.1", odd[i], "1");
		message_rule(&m, "100.92.1.2", odd[i], "1")->action = DROP;
		check(&m, "-100.92.1.2/32 0", 2);
	}
	begin(&m);
	message_rule(&m, "100.92.1.1", TCP, "x")->action = DROP;
	message_rule(&m, "fd00::5", ICMP, "5")->action = DROP;
	message_rule(&m, "100.92.1.3", TCP, "1")->action = (Management__RuleAction)2;
	check(&m, "-100.92.1.1/32 0; -100.92.1.3/32 0; -fd00::5/128 0", 3);
}

static void test_bad_source(void)
{
	static const char *const bad[] = { "", "x", "1.2.3", "1.2.3.4/33", "fd00::1::2",
		"::ffff:1.2.3.4" };
	static const uint8_t bytes[][18] = { { 1, 2, 3, 4, 33 }, { 0xfd, [16] = 129 },
		{ [10] = 0xff, [11] = 0xff, 1, 2, 3, 4, 95 } };
	static const size_t lens[] = { 5, 17, 17 };
	struct message m;

	begin(&m);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		message_rule(&m, bad[i], ALL, "");
	for (size_t i = 0; i < G_N_ELEMENTS(lens); i++)
		message_prefix(&m, message_rule(&m, "100.92.1.1", ALL, ""), bytes[i], lens[i]);
	for (size_t len = 0; len < 19; len++)
		if (len != 5 && len != 17)
			message_prefix(&m, message_rule(&m, "100.92.1.1", ALL, ""), bytes[1], len);
	check(&m, "", 6 + 3 + 17);
	/* Whom it drops is not known: everybody. */
	begin(&m);
	message_rule(&m, "100.92.1.1", ALL, "");
	message_rule(&m, "x", TCP, "22")->action = DROP;
	check(&m, "-0.0.0.0/0 0; -::/0 0", 2);
}

static void test_garbled(void)
{
	char error[UPDATE_ERROR_MAX];
	struct update_limits limits = { .max_peers = 9 };
	struct update *u = NULL;
	struct message m;
	size_t len;
	g_autofree uint8_t *bytes = NULL;
	g_autofree char *text = NULL;

	begin(&m);
	limits.own = &m.own;
	message_rule(&m, "100.92.1.1", ALL, "");
	message_rule(&m, "100.92.1.2", ALL, "");
	bytes = message_pack(&m, &len);
	((uint8_t *)memmem(bytes, len, "100.92.1.2", 10))[-1] = 0xff;
	g_assert_cmpint(update_from_sync(bytes, len, &limits, &u, error), ==, 0);
	text = rules_text(u->map);
	g_assert_cmpstr(text, ==, "-0.0.0.0/0 0; -::/0 0"); /* it may have been one that drops */
	update_free(u);
	message_end(&m);
}

static void test_none(void)
{
	struct message m;

	begin(&m);
	m.map.firewallrulesisempty = true;
	check(&m, "", 0);
	begin(&m); /* a server that is too old to know of rules */
	check(&m, "+0.0.0.0/0 0; +::/0 0", 1);
}

static void test_too_many(void)
{
	struct message m;
	struct update *u;

	begin(&m);
	for (unsigned i = 0; i < UPDATE_RULES_MAX + 2; i++)
		message_rule(&m, message_text(&m, "100.92.%u.%u", i / 256 % 256, i % 256),
			i < 65536 ? TCP : UDP, "1");
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_rules, ==, UPDATE_RULES_MAX);
	g_assert_cmpuint(u->detail->n_left_out, ==, 2);
	update_free(u);
	message_rule(&m, "100.92.7.7", ALL, "")->action = DROP;
	check(&m, "-0.0.0.0/0 0; -::/0 0", 4);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/update-rules/plain", test_plain);
	g_test_add_func("/update-rules/canonical", test_canonical);
	g_test_add_func("/update-rules/direction", test_direction);
	g_test_add_func("/update-rules/prefixes", test_prefixes);
	g_test_add_func("/update-rules/no-v6", test_no_v6);
	g_test_add_func("/update-rules/ports", test_ports);
	g_test_add_func("/update-rules/ports-of-all", test_ports_of_all);
	g_test_add_func("/update-rules/inexpressible", test_inexpressible);
	g_test_add_func("/update-rules/bad-source", test_bad_source);
	g_test_add_func("/update-rules/garbled", test_garbled);
	g_test_add_func("/update-rules/none", test_none);
	g_test_add_func("/update-rules/too-many", test_too_many);
	return g_test_run();
}
