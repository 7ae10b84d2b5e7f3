/* tests/unit/test_update_same.c - random maps decode to what was put in, and a last map makes no difference to
 * what comes out. */
#include "tests/unit/message.h"

enum { ROUNDS = 300, STEPS = 40 };

/* -- what was put in ------------------------------------------------------------------------ */

static void check_peer(const struct netmap *map, const Management__RemotePeerConfig *in)
{
	struct wg_key key;
	const struct netmap_host *host;
	char text[PREFIX_STRLEN];
	int64_t i;

	g_assert_cmpint(key_parse(in->wgpubkey, KEY_TEXT_LEN, &key), ==, 0);
	i = netmap_find_key(map, &key);
	g_assert_cmpint(i, >, 0);
	host = &map->hosts[i];
	g_assert_cmpstr(netmap_text(map, host->name), ==, in->fqdn);
	g_assert_cmpuint(host->n_addresses, ==, in->n_allowedips);
	for (size_t j = 0; j < in->n_allowedips; j++)
		g_assert_cmpstr(
			prefix_format(netmap_prefixes(map, host) + j, text), ==, in->allowedips[j]);
	g_assert_cmpint(host->lazy, ==, in->agentversion[2] == '6');
}

static void check_rule(const struct netmap *map, const Management__FirewallRule *in)
{
	struct filter_rule rule = { 0 };
	size_t n = 0;

	g_assert_cmpint(prefix_parse(in->peerip, strlen(in->peerip), &rule.source), ==, 0);
	rule.protocol = in->protocol == MANAGEMENT__RULE_PROTOCOL__TCP ? IPPROTO_TCP : IPPROTO_UDP;
	rule.drop = in->action;
	rule.first_port = rule.last_port = (uint16_t)g_ascii_strtoull(in->port, NULL, 10);
	for (size_t i = 0; i < map->n_rules; i++)
		n += !memcmp(&map->rules[i], &rule, sizeof(rule));
	g_assert_cmpuint(n, ==, 1);
}

static void check_route(const struct netmap *map, const Management__Route *in)
{
	struct wg_key key;
	const struct netmap_host *host;
	struct prefix p;
	size_t n = 0;

	g_assert_cmpint(key_parse(in->peer, KEY_TEXT_LEN, &key), ==, 0);
	g_assert_cmpint(prefix_parse(in->network, strlen(in->network), &p), ==, 0);
	host = &map->hosts[netmap_find_key(map, &key)];
	for (size_t i = 0; i < host->n_routes; i++) {
		size_t at = host->prefix + host->n_addresses + i;

		n += prefix_is_same(&map->prefixes[at], &p) && map->metrics[at] <= in->metric;
	}
	g_assert_cmpuint(n, ==, 1);
}

static void check(const struct message *m, const struct update *u)
{
	const struct netmap *map = u->map;

	g_assert_cmpuint(u->detail->n_left_out, ==, 0);
	g_assert_cmpuint(map->n_hosts, ==, m->peers->len + 1);
	for (guint i = 0; i < m->peers->len; i++)
		check_peer(map, m->peers->pdata[i]);
	for (guint i = 0; i < m->rules->len; i++)
		check_rule(map, m->rules->pdata[i]);
	g_assert_cmpuint(map->n_rules, <=, m->rules->len);
	for (guint i = 0; i < m->routes->len; i++)
		check_route(map, m->routes->pdata[i]);
	g_assert_cmpuint(u->serial, ==, m->map.serial);
}

/* -- random maps ---------------------------------------------------------------------------- */

static unsigned roll(GRand *rand, unsigned n)
{
	return (unsigned)g_rand_int_range(rand, 0, (gint32)n);
}

static void add_peer(struct message *m, GRand *rand, unsigned i)
{
	Management__RemotePeerConfig *peer = message_peer(m, i);

	peer->agentversion = (char *)(roll(rand, 4) ? "0.60.0" : "0.30.0");
	if (roll(rand, 4) == 0)
		peer->allowedips[peer->n_allowedips++] = message_text(
			m, "100.92.200.%u/32", i % 256);
}

static void add_rule(struct message *m, GRand *rand)
{
	Management__FirewallRule *rule = message_rule(m,
		message_text(m, "100.92.%u.%u", roll(rand, 2), 1 + roll(rand, 200)),
		roll(rand, 2) ? MANAGEMENT__RULE_PROTOCOL__TCP : MANAGEMENT__RULE_PROTOCOL__UDP,
		message_text(m, "%u", 1 + roll(rand, 65535)));

	rule->action = roll(rand, 8) ? MANAGEMENT__RULE_ACTION__ACCEPT
				     : MANAGEMENT__RULE_ACTION__DROP;
}

static void add_route(struct message *m, GRand *rand, unsigned n_peers)
{
	message_route(m, roll(rand, n_peers),
		message_text(m, "10.%u.%u.0/24", roll(rand, 3), roll(rand, 30)),
		1 + roll(rand, 9999));
}

static void begin(struct message *m, GRand *rand)
{
	unsigned n = 1 + roll(rand, 60);

	message_begin(m);
	m->map.firewallrulesisempty = true;
	m->map.serial = g_rand_int(rand);
	m->self.lazyconnectionenabled = roll(rand, 2);
	for (unsigned i = 0; i < n; i++)
		add_peer(m, rand, i);
	for (unsigned i = roll(rand, 60); i > 0; i--)
		add_rule(m, rand);
	for (unsigned i = roll(rand, 20); i > 0; i--)
		add_route(m, rand, n);
}

static void test_random(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);

	for (int i = 0; i < ROUNDS; i++) {
		struct message m;
		struct update *u;

		begin(&m, rand);
		u = message_read(&m);
		check(&m, u);
		update_free(u);
		message_end(&m);
	}
}

/* -- changes -------------------------------------------------------------------------------- */

static void spoil(struct message *m, GRand *rand, Management__RemotePeerConfig *peer)
{
	switch (roll(rand, 8)) {
	case 0:
		peer->fqdn = message_text(m, "new-%u.example.net", roll(rand, 4));
		break;
	case 1:
		peer->fqdn = (char *)"a b";
		break;
	case 2:
		peer->allowedips[0] = message_text(
			m, "100.92.%u.%u/32", 1 + roll(rand, 2), roll(rand, 60));
		break;
	case 3:
		peer->agentversion = (char *)(roll(rand, 2) ? "0.61.0" : "0.1.0");
		break;
	case 4:
		peer->wgpubkey = message_key_text(m, roll(rand, 70));
		break;
	case 5:
		peer->wgpubkey = (char *)"x";
		break;
	case 6:
		peer->fqdn = (char *)m->self.fqdn;
		break;
	default:
		break;
	}
}

static void change(struct message *m, GRand *rand, unsigned *next)
{
	GPtrArray *peers = m->peers;

	switch (roll(rand, 9)) {
	case 0:
		add_peer(m, rand, (*next)++);
		break;
	case 1:
		if (peers->len)
			g_ptr_array_remove_index(peers, roll(rand, peers->len));
		break;
	case 2: /* many that go at once */
		if (peers->len > 30)
			g_ptr_array_remove_range(peers, roll(rand, 5), 20);
		break;
	case 3:
		if (peers->len > 1) {
			void *peer = g_ptr_array_steal_index(peers, roll(rand, peers->len));

			g_ptr_array_insert(peers, (gint)roll(rand, peers->len), peer);
		}
		break;
	case 4:
		add_rule(m, rand);
		break;
	case 5:
		if (m->rules->len)
			((Management__FirewallRule *)m->rules->pdata[roll(rand, m->rules->len)])
				->port = (char *)(roll(rand, 2) ? "x" : "1");
		break;
	case 6:
		if (m->routes->len)
			g_ptr_array_remove_index(m->routes, roll(rand, m->routes->len));
		break;
	case 7:
		m->self.address = (char *)(roll(rand, 2) ? "100.92.0.1/16" : "100.92.0.2/16");
		break;
	default:
		if (peers->len)
			spoil(m, rand, peers->pdata[roll(rand, peers->len)]);
		break;
	}
}

static void check_same(const struct update *a, const struct update *b)
{
	g_assert_true(netmap_is_same(a->map, b->map));
	g_assert_cmpuint(a->detail->n_left_out, ==, b->detail->n_left_out);
	g_assert_cmpmem(a->detail->text, a->detail->text_len, b->detail->text, b->detail->text_len);
	for (size_t i = 0; i < b->map->n_hosts; i++)
		g_assert_cmpint(netmap_find_key(b->map, &b->map->hosts[i].key), ==, i);
}

static void test_changes(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(2);

	for (int i = 0; i < ROUNDS; i++) {
		struct message m;
		struct update *last;
		unsigned next = 100;

		begin(&m, rand);
		last = message_read(&m);
		for (int step = 0; step < STEPS; step++) {
			struct update *anew, *quick;

			for (unsigned n = roll(rand, 4); n > 0; n--)
				change(&m, rand, &next);
			m.last = NULL;
			anew = message_read(&m);
			m.last = last->map;
			quick = message_read(&m);
			check_same(anew, quick);
			update_free(anew);
			update_free(last);
			last = quick;
		}
		update_free(last);
		message_end(&m);
	}
}

/* Who ports are forwarded to is not what the peer itself says. */
static void test_forwards_change(void)
{
	static const uint8_t second[] = { 100, 92, 1, 2 };
	Management__ForwardingRule forward = MANAGEMENT__FORWARDING_RULE__INIT;
	struct message m;
	struct update *before, *with, *without;

	message_begin(&m);
	message_peer(&m, 1);
	message_peer(&m, 2);
	before = message_read(&m);
	forward.translatedaddress = (ProtobufCBinaryData){ 4, (uint8_t *)second };
	g_ptr_array_add(m.forwards, &forward);
	m.last = before->map;
	with = message_read(&m);
	g_assert_true(with->map->hosts[1].lazy && !with->map->hosts[2].lazy);
	g_ptr_array_set_size(m.forwards, 0);
	m.last = with->map;
	without = message_read(&m);
	g_assert_true(netmap_is_same(before->map, without->map));
	update_free(before);
	update_free(with);
	update_free(without);
	message_end(&m);
}

/* What this host wrote into its last map is not the server's. */
static void test_local_settings(void)
{
	static const char *const at[] = { "192.0.2.1:51820", NULL };
	struct message m;
	struct update *last, *anew, *quick;

	message_begin(&m);
	message_peer(&m, 1);
	message_peer(&m, 2);
	last = message_read(&m);
	anew = message_read(&m);
	netmap_set_psk_file(last->map, "/var/lib/lapwing/network.psk");
	g_assert_cmpuint(netmap_set_endpoints(last->map, "host-2.example.net", at), ==, 1);
	m.last = last->map;
	quick = message_read(&m);
	check_same(anew, quick);
	update_free(last);
	update_free(anew);
	update_free(quick);
	message_end(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/update-same/random", test_random);
	g_test_add_func("/update-same/changes", test_changes);
	g_test_add_func("/update-same/forwards-change", test_forwards_change);
	g_test_add_func("/update-same/local-settings", test_local_settings);
	return g_test_run();
}
