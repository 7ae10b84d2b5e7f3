/* tests/unit/test_update.c - messages of a server: who we are, who our peers are, and everything that a
 * server may get wrong about it. */
#include <errno.h>

#include "agent/base/wire.h"
#include "tests/unit/hex.h"
#include "tests/unit/message.h"

#define LOGIN_HEX \
	"0a151a130a0f3132372e302e302e313a3130303030100212280a0d3130302e36342e302e312f31362217737276312e6e6574626972642e73656c66686f73746564"
#define SYNC_HEX \
	"12280a0d3130302e36342e302e312f31362217737276312e6e6574626972642e73656c66686f7374656420012a32080112280a0d3130302e36342e302e312f31362217737276312e6e6574626972642e73656c66686f73746564200148015801"

static const struct wg_key own = { { 0xff } };
static const struct update_limits limits = { &own, 100, 1800000000, NULL };

static void check_prefix(const struct prefix *p, const char *expected)
{
	char text[PREFIX_STRLEN];

	g_assert_cmpstr(prefix_format(p, text), ==, expected);
}

static const char *name_of(const struct netmap *map, size_t host)
{
	g_assert_cmpuint(host, <, map->n_hosts);
	return netmap_text(map, map->hosts[host].name);
}

/* -- the document's own messages ------------------------------------------------------------ */

static void check_srv1(const struct update *u)
{
	const struct netmap *map = u->map;

	g_assert_cmpuint(map->n_hosts, ==, 1);
	g_assert_cmpint(map->self, ==, 0);
	g_assert_cmpstr(name_of(map, 0), ==, "srv1.netbird.selfhosted");
	g_assert_cmpstr(map->mesh, ==, "netbird.selfhosted");
	g_assert_cmpuint(map->n_prefixes, ==, 1);
	check_prefix(&map->prefixes[0], "100.64.0.1/32");
	check_prefix(&map->networks[0], "100.64.0.0/16");
	g_assert_cmpuint(map->networks[1].family, ==, 0);
	g_assert_cmpint(netmap_find_key(map, &own), ==, 0);
	g_assert_cmpstr(map->interface.name, ==, "wt0");
	g_assert_cmpuint(map->interface.listen_port, ==, 51820);
	g_assert_cmpuint(map->interface.mtu, ==, 1280);
	g_assert_false(map->lazy.enabled);
	g_assert_cmpuint(map->lazy.idle_minutes, ==, 15);
	g_assert_cmpuint(map->hosts[0].keepalive, ==, 25);
	g_assert_true(map->has_rules);
	g_assert_cmpuint(map->n_rules, ==, 0);
	g_assert_null(map->metrics);
	g_assert_cmpuint(u->detail->n_left_out, ==, 0);
	g_assert_true(u->has_checks);
	g_assert_null(u->files[0]);
	g_assert_cmpint(u->session_expires_s, ==, -1);
}

static void test_vectors(void)
{
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;
	size_t len;
	g_autofree uint8_t *login = hex_to_bytes(LOGIN_HEX, &len), *sync = NULL;

	g_assert_cmpint(update_from_login(login, len, &limits, &u, error), ==, 0);
	check_srv1(u);
	g_assert_cmpuint(u->serial, ==, 0);
	g_assert_cmpstr(u->servers->signal.host, ==, "127.0.0.1:10000");
	g_assert_false(u->servers->signal.tls || u->servers->has_relay);
	update_free(u);

	sync = hex_to_bytes(SYNC_HEX, &len);
	g_assert_cmpint(update_from_sync(sync, len, &limits, &u, error), ==, 0);
	check_srv1(u);
	g_assert_cmpuint(u->serial, ==, 1);
	g_assert_null(u->servers);
	update_free(u);
	update_free(NULL);
}

static void check_packed(const ProtobufCMessage *message, const char *hex)
{
	uint8_t packed[128];
	size_t len;
	g_autofree uint8_t *expected = hex_to_bytes(hex, &len);

	g_assert_cmpuint(protobuf_c_message_get_packed_size(message), <=, sizeof(packed));
	g_assert_cmpmem(packed, protobuf_c_message_pack(message, packed), expected, len);
}

/* The same two, made from our definition of the messages. */
static void test_vectors_made(void)
{
	Management__HostConfig signal = MANAGEMENT__HOST_CONFIG__INIT;
	Management__NetbirdConfig servers = MANAGEMENT__NETBIRD_CONFIG__INIT;
	Management__PeerConfig self = MANAGEMENT__PEER_CONFIG__INIT;
	Management__LoginResponse login = MANAGEMENT__LOGIN_RESPONSE__INIT;
	Management__NetworkMap map = MANAGEMENT__NETWORK_MAP__INIT;
	Management__SyncResponse sync = MANAGEMENT__SYNC_RESPONSE__INIT;

	signal.uri = (char *)"127.0.0.1:10000";
	signal.protocol = MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTP;
	servers.signal = &signal;
	self.address = (char *)"100.64.0.1/16";
	self.fqdn = (char *)"srv1.netbird.selfhosted";
	login.netbirdconfig = &servers;
	login.peerconfig = &self;
	check_packed(&login.base, LOGIN_HEX);

	map.serial = 1;
	map.peerconfig = &self;
	map.remotepeersisempty = map.firewallrulesisempty = map.routesfirewallrulesisempty = true;
	sync.peerconfig = &self;
	sync.remotepeersisempty = true;
	sync.networkmap = &map;
	check_packed(&sync.base, SYNC_HEX);
}

/* The document's second map: a peer, a rule that names its source as five bytes, a zone of two names. */
static void test_second_map(void)
{
	static const uint8_t source[] = { 0x64, 0x40, 0x00, 0x02, 0x20 };
	Management__DNSConfig dns = MANAGEMENT__DNSCONFIG__INIT;
	Management__CustomZone zone = MANAGEMENT__CUSTOM_ZONE__INIT, *zones[] = { &zone };
	Management__SimpleRecord records[2], *list[] = { &records[0], &records[1] };
	Management__RemotePeerConfig *peer;
	struct update *u;
	struct message m;

	message_begin(&m);
	m.self.address = (char *)"100.64.0.1/16";
	peer = message_peer(&m, 2);
	peer->allowedips[0] = (char *)"100.64.0.2/32";
	peer->fqdn = (char *)"srv2.netbird.selfhosted";
	message_prefix(&m, message_rule(&m, "", MANAGEMENT__RULE_PROTOCOL__ALL, ""), source,
		sizeof(source));
	for (size_t i = 0; i < 2; i++) {
		management__simple_record__init(list[i]);
		list[i]->name = message_text(&m, "srv%zu.netbird.selfhosted.", i + 1);
		list[i]->type = 1;
		list[i]->class_ = (char *)"IN";
		list[i]->ttl = 300;
		list[i]->rdata = message_text(&m, "100.64.0.%zu", i + 1);
	}
	zone.domain = (char *)"netbird.selfhosted.";
	zone.records = list;
	zone.n_records = 2;
	dns.serviceenable = true;
	dns.customzones = zones;
	dns.n_customzones = 1;
	m.map.dnsconfig = &dns;

	u = message_read(&m);
	g_assert_cmpuint(u->detail->n_left_out, ==, 0);
	g_assert_cmpuint(u->map->n_hosts, ==, 2);
	g_assert_cmpuint(u->map->n_rules, ==, 1);
	check_prefix(&u->map->rules[0].source, "100.64.0.2/32");
	g_assert_false(u->map->rules[0].drop || u->map->rules[0].protocol);
	g_assert_true(u->detail->dns.enabled);
	g_assert_cmpuint(u->detail->dns.n_zones, ==, 1);
	g_assert_cmpuint(u->detail->dns.n_records, ==, 2);
	update_free(u);
	message_end(&m);
}

/* Every shortened message is either one that says less or none at all. */
static void test_cut(void)
{
	char error[UPDATE_ERROR_MAX];
	size_t len;
	g_autofree uint8_t *sync = hex_to_bytes(SYNC_HEX, &len);

	for (size_t i = 0; i <= len; i++) {
		g_autofree uint8_t *exact = g_memdup2(sync, i);
		struct update *u = NULL;
		int r = update_from_sync(exact, i, &limits, &u, error);

		g_assert_true(i == 0 || i == 42 || i == 44 || i == len ? r == 0 : r == -EPROTO);
		g_assert_cmpint(u != NULL, ==, r == 0);
		g_assert_cmpint(u && u->map, ==, i == len);
		update_free(u);
	}
}

/* -- ourselves ------------------------------------------------------------------------------ */

static void check_self(const char *address, int expected, const char *words)
{
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;
	struct message m;

	message_begin(&m);
	m.self.address = (char *)address;
	g_assert_cmpint(message_try(&m, &u, error), ==, expected);
	if (expected < 0) {
		g_assert_null(u);
		g_assert_nonnull(strstr(error, words));
	}
	update_free(u);
	message_end(&m);
}

static void test_own_address(void)
{
	static const char *const wrong[] = { "", "100.92.0.1/33", "100.92.0.1/", "100.92.0.1/1x",
		"100.92.0.1/-1", "100.92.0.1/0016", "100.92.0/16", "fd00::1/64", "x", "/16",
		"100.92.0.256/16" };

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		check_self(wrong[i], -EINVAL, "no overlay address");
	check_self("8.8.8.8/16", -EINVAL, "not private");
	check_self("100.92.0.1/0", -EINVAL, "not private");
	check_self("10.0.0.1/7", -EINVAL, "not private");
	check_self("10.0.0.1/8", 0, NULL);
	check_self("100.92.0.1", 0, NULL);
}

static void test_own_address_missing(void)
{
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;
	struct message m;

	message_begin(&m);
	m.map.peerconfig = NULL; /* what a server says of a peer that was removed */
	g_assert_cmpint(message_try(&m, &u, error), ==, -EINVAL);
	m.sync.peerconfig = &m.self;
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_hosts, ==, 1);
	update_free(u);
	message_end(&m);
}

static void check_own_v6(const char *hex, const char *address, const char *network)
{
	struct message m;
	struct update *u;
	g_autofree uint8_t *bytes = NULL;

	message_begin(&m);
	bytes = hex_to_bytes(hex, &m.self.address_v6.len);
	m.self.address_v6.data = bytes;
	u = message_read(&m);
	if (address) {
		g_assert_cmpuint(u->map->hosts[0].n_addresses, ==, 2);
		check_prefix(&u->map->prefixes[1], address);
		check_prefix(&u->map->networks[1], network);
	} else {
		g_assert_cmpuint(u->map->hosts[0].n_addresses, ==, 1);
		g_assert_true(message_is_noted(u, "our own IPv6 address"));
	}
	update_free(u);
	message_end(&m);
}

static void test_own_v6(void)
{
	check_own_v6("fd000000000000000000000000000001"
		     "40",
		"fd00::1/128", "fd00::/64");
	check_own_v6("fd000000000000000000000000000001"
		     "80",
		"fd00::1/128", "");
	check_own_v6("fd000000000000000000000000000001"
		     "81",
		NULL, NULL);
	check_own_v6("20010db8000000000000000000000001"
		     "40",
		NULL, NULL);
	check_own_v6("fd000000000000000000000000000001", NULL, NULL);
	check_own_v6("6440000120", NULL, NULL);
}

static void test_switches(void)
{
	struct message m;
	struct update *u;

	message_begin(&m);
	m.self.lazyconnectionenabled = true;
	m.self.mtu = 1400;
	m.self.fqdn = (char *)"Us.Example.NET.";
	u = message_read(&m);
	g_assert_true(u->map->lazy.enabled && u->map->hosts[0].lazy);
	g_assert_cmpuint(u->map->interface.mtu, ==, 1400);
	g_assert_cmpstr(name_of(u->map, 0), ==, "us.example.net");
	g_assert_cmpstr(u->map->mesh, ==, "example.net");
	update_free(u);
	m.self.mtu = -1;
	m.self.fqdn = (char *)"alone";
	u = message_read(&m);
	g_assert_cmpuint(u->map->interface.mtu, ==, 1280);
	g_assert_true(message_is_noted(u, "MTU of -1"));
	g_assert_cmpstr(u->map->mesh, ==, "alone");
	update_free(u);
	message_end(&m);
}

/* -- peers ---------------------------------------------------------------------------------- */

static void test_peers(void)
{
	struct message m;
	struct update *u;
	struct wg_key key = message_key(3);

	message_begin(&m);
	for (unsigned i = 5; i > 0; i--)
		message_peer(&m, i);
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_hosts, ==, 6);
	g_assert_cmpuint(u->serial, ==, 7);
	for (unsigned i = 1; i < 6; i++) { /* as the server has them */
		struct wg_key k = message_key(6 - i);

		g_assert_cmpint(netmap_find_key(u->map, &k), ==, i);
		g_assert_cmpuint(u->map->hosts[i].keepalive, ==, 25);
		g_assert_cmpuint(u->map->hosts[i].n_endpoints, ==, 0);
	}
	g_assert_cmpint(netmap_find_key(u->map, &key), ==, 3);
	g_assert_cmpstr(name_of(u->map, 3), ==, "host-3.example.net");
	check_prefix(netmap_prefixes(u->map, &u->map->hosts[3]), "100.92.1.3/32");
	g_assert_cmpuint(u->detail->n_left_out, ==, 0);
	update_free(u);
	message_end(&m);
}

static void test_bad_peers(void)
{
	struct message m;
	struct update *u;
	char own_text[KEY_STRLEN];

	message_begin(&m);
	message_peer(&m, 1);
	message_peer(&m, 2)->wgpubkey = (char *)"AAAA";
	message_peer(&m, 3)->wgpubkey = (char *)"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	message_peer(&m, 4)->wgpubkey = (char *)key_format(&own, own_text);
	message_peer(&m, 5)->wgpubkey = message_key_text(&m, 1);
	message_peer(&m, 6)->n_allowedips = 0;
	message_peer(&m, 7)->allowedips[0] = (char *)"100.92.0.0/16";
	message_peer(&m, 8)->allowedips[0] = (char *)"100.92.0.1/32"; /* ours */
	message_peer(&m, 9)->allowedips[0] = (char *)"8.8.8.8/32";
	message_peer(&m, 10)->allowedips[0] = (char *)"100.92.1.1/32"; /* that of the first */
	message_peer(&m, 11)->allowedips[0] = (char *)"fd00::1/128"; /* no IPv6 here */
	message_peer(&m, 12)->wgpubkey = (char *)"";
	message_peer(&m, 13);
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_hosts, ==, 3);
	g_assert_cmpstr(name_of(u->map, 1), ==, "host-1.example.net");
	g_assert_cmpstr(name_of(u->map, 2), ==, "host-13.example.net");
	g_assert_true(message_is_noted(u, "host-2.example.net: bad key"));
	g_assert_true(message_is_noted(u, "host-3.example.net: bad key"));
	g_assert_true(message_is_noted(u, "host-4.example.net: that is this host"));
	g_assert_true(message_is_noted(u, "host-5.example.net: listed before"));
	g_assert_true(message_is_noted(u, "host-6.example.net: no address"));
	g_assert_true(message_is_noted(u, "host-7.example.net: 100.92.0.0/16 is no address"));
	g_assert_true(message_is_noted(u, "host-8.example.net: another host has"));
	g_assert_true(message_is_noted(u, "host-9.example.net: 8.8.8.8/32 is outside"));
	g_assert_true(message_is_noted(u, "host-10.example.net: another host has"));
	g_assert_true(message_is_noted(u, "host-11.example.net: no address"));
	g_assert_true(message_is_noted(u, "host-12.example.net: bad key"));
	update_free(u);
	message_end(&m);
}

static void test_names(void)
{
	static const char *const bad[] = { "", ".", ".a", "a b.example.net", "a\tb", "a\x1b[31m",
		"b\xff", "\xc3\xa4.example.net", "100.64.0.9", "a/b", "1" };
	g_autofree char *longest = g_strnfill(253, 'x'), *too_long = g_strnfill(254, 'y');
	struct message m;
	struct update *u;

	message_begin(&m);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		message_peer(&m, i)->fqdn = (char *)bad[i];
	message_peer(&m, 20)->fqdn = (char *)"HOST_20.Example.Net.";
	message_peer(&m, 21)->fqdn = (char *)"host_20.example.net";
	message_peer(&m, 22)->fqdn = longest;
	message_peer(&m, 23)->fqdn = too_long;
	u = message_read(&m);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_true(g_str_has_prefix(name_of(u->map, 1 + i), "peer-"));
	g_assert_cmpstr(name_of(u->map, 3), ==, "peer-0200000100000000");
	g_assert_cmpstr(name_of(u->map, 1 + G_N_ELEMENTS(bad)), ==, "host_20.example.net");
	g_assert_cmpstr(name_of(u->map, 2 + G_N_ELEMENTS(bad)), ==, "peer-1500000100000000");
	g_assert_true(message_is_noted(u, "another one is called so"));
	g_assert_cmpstr(name_of(u->map, 3 + G_N_ELEMENTS(bad)), ==, longest);
	g_assert_cmpstr(name_of(u->map, 4 + G_N_ELEMENTS(bad)), ==, "peer-1700000100000000");
	g_assert_cmpuint(u->detail->n_left_out, ==, G_N_ELEMENTS(bad) + 2);
	/* Notes are for people's terminals. */
	for (size_t i = 0; i < u->detail->n_notes; i++)
		for (const char *s = detail_text(u->detail, u->detail->notes[i]); *s; s++)
			g_assert_true((unsigned char)*s >= ' ' && *s != 0x7f);
	update_free(u);
	message_end(&m);
}

static void test_first_label(void)
{
	static const char *const names[] = { "db1.example.net", "db2.example.net",
		"db2.example.org", "web.example.net", "web", "us2.example.net" };
	struct message m;
	struct update *u;

	message_begin(&m);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		message_peer(&m, i)->fqdn = (char *)names[i];
	u = message_read(&m);
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		g_assert_true(netmap_name_matches(u->map, 1 + i, names[i]));
	g_assert_true(netmap_name_matches(u->map, 1, "db1"));
	g_assert_true(netmap_name_matches(u->map, 0, "us"));
	g_assert_false(netmap_name_matches(u->map, 1, "db"));
	g_assert_false(netmap_name_matches(u->map, 1, ""));
	g_assert_false(netmap_name_matches(u->map, 1, "db1."));
	g_assert_false(netmap_name_matches(u->map, 1, "db1.example"));
	g_assert_false(netmap_name_matches(u->map, 2, "db2")); /* there are two */
	g_assert_false(netmap_name_matches(u->map, 4, "web")); /* that is the name of another one */
	g_assert_true(netmap_name_matches(u->map, 5, "web"));
	update_free(u);
	message_end(&m);
}

static void test_lazy(void)
{
	static const struct {
		const char *version;
		bool lazy;
	} versions[] = { { "0.45.0", true }, { "0.44.9", false }, { "0.45.0-rc1", true },
		{ "v0.60.1", true }, { "a0.60.1", true }, { "va0.60.1", false }, { "1.0.0", true },
		{ "", false }, { "0.45", false }, { "development", true },
		{ "development-2", true }, { "ci-abc", true }, { "dev-abc", true }, { "x", false },
		{ "0.", false }, { "0.045.1", true }, { "99999999999999999999.1.0", true },
		{ "-1.45.0", false } };
	struct message m;
	struct update *u;

	message_begin(&m);
	for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++)
		message_peer(&m, i)->agentversion = (char *)versions[i].version;
	u = message_read(&m);
	for (size_t i = 0; i < G_N_ELEMENTS(versions); i++)
		g_assert_cmpint(u->map->hosts[1 + i].lazy, ==, versions[i].lazy);
	update_free(u);
	message_end(&m);
}

static void add_forward(struct message *m, const void *address, size_t len)
{
	Management__ForwardingRule *forward = message_own(m, g_new(Management__ForwardingRule, 1));

	management__forwarding_rule__init(forward);
	forward->translatedaddress = (ProtobufCBinaryData){ len, (uint8_t *)address };
	g_ptr_array_add(m->forwards, forward);
}

static void test_forwards(void)
{
	static const uint8_t third[] = { 100, 92, 1, 3 }, nobody[16] = { 0xfd };
	struct message m;
	struct update *u;

	message_begin(&m);
	for (unsigned i = 1; i < 5; i++)
		message_peer(&m, i);
	add_forward(&m, third, 4);
	add_forward(&m, nobody, 16);
	add_forward(&m, third, 3);
	u = message_read(&m);
	for (unsigned i = 1; i < 5; i++)
		g_assert_cmpint(u->map->hosts[i].lazy, ==, i != 3);
	g_assert_cmpuint(u->detail->n_forwards, ==, 3);
	g_assert_cmpuint(u->detail->n_left_out, ==, 1);
	update_free(u);
	message_end(&m);
}

static void test_v6_peers(void)
{
	static const uint8_t us[17] = { 0xfd, [15] = 1, [16] = 64 };
	struct message m;
	struct update *u;

	message_begin(&m);
	m.self.address_v6 = (ProtobufCBinaryData){ sizeof(us), (uint8_t *)us };
	message_peer(&m, 1)->n_allowedips = 2;
	((Management__RemotePeerConfig *)m.peers->pdata[0])->allowedips[1] = (char *)"fd00::2/128";
	message_peer(&m, 2)->allowedips[0] = (char *)"fd00:0:0:1::2/128"; /* another network */
	message_peer(&m, 3)->allowedips[0] = (char *)"fd00::1/128"; /* ours */
	message_peer(&m, 4)->allowedips[0] = (char *)"::ffff:100.92.9.9/128";
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_hosts, ==, 2);
	g_assert_cmpuint(u->map->hosts[1].n_addresses, ==, 2);
	check_prefix(netmap_prefixes(u->map, &u->map->hosts[1]) + 1, "fd00::2/128");
	update_free(u);
	message_end(&m);
}

static void test_many(void)
{
	char error[UPDATE_ERROR_MAX];
	g_autoptr(GByteArray) message = g_byte_array_new();
	g_autoptr(GByteArray) map = g_byte_array_new();
	struct update *u = NULL;
	uint8_t head[8], *end;

	for (unsigned i = 0; i < 1 << 20; i++)
		g_byte_array_append(map, (const uint8_t *)"\x1a", 2); /* an empty peer */
	end = wire_put_varint((head[0] = 5 << 3 | 2, head + 1), map->len);
	g_byte_array_append(message, head, (guint)(end - head));
	g_byte_array_append(message, map->data, map->len);
	g_assert_cmpint(
		update_from_sync(message->data, message->len, &limits, &u, error), ==, -E2BIG);
	g_assert_cmpstr(error, ==, "1048576 peers, more than 100 (policy.max_peers)");
	g_assert_null(u);
}

/* Where one peer is broken the others stay. */
static void test_garbled(void)
{
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;
	struct message m;
	size_t len;
	g_autofree uint8_t *bytes = NULL;
	uint8_t *second;

	message_begin(&m);
	for (unsigned i = 1; i < 4; i++)
		message_peer(&m, i);
	bytes = message_pack(&m, &len);
	second = memmem(bytes, len, "host-2", 6);
	second[-1] = 0xff; /* the length of the name */
	g_assert_cmpint(update_from_sync(bytes, len, &limits, &u, error), ==, 0);
	g_assert_cmpuint(u->map->n_hosts, ==, 3);
	g_assert_true(message_is_noted(u, "a peer that cannot be read"));
	update_free(u);
	message_end(&m);
}

static void test_many_notes(void)
{
	struct message m;
	struct update *u;

	message_begin(&m);
	for (unsigned i = 0; i < 1000; i++)
		message_peer(&m, i)->wgpubkey = (char *)"x";
	u = message_read(&m);
	g_assert_cmpuint(u->detail->n_notes, ==, DETAIL_NOTES_MAX);
	g_assert_cmpuint(u->detail->n_left_out, ==, 1000);
	update_free(u);
	message_end(&m);
}

static void test_other_form(void)
{
	static const uint8_t envelope[] = { 8 << 3 | 2, 0, 9 << 3, 1 };
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;

	g_assert_cmpint(
		update_from_sync(envelope, sizeof(envelope), &limits, &u, error), ==, -EPROTO);
	g_assert_nonnull(strstr(error, "not asked for"));
}

static void test_offline(void)
{
	struct message m;
	struct update *u;

	message_begin(&m);
	message_peer(&m, 1);
	message_peer_in(&m, m.offline, 2);
	message_peer_in(&m, m.offline, 1); /* not away at all */
	message_peer_in(&m, m.offline, 3)->fqdn = (char *)"\x1b";
	message_peer_in(&m, m.offline, 4)->wgpubkey = (char *)"\x1b";
	u = message_read(&m);
	g_assert_cmpuint(u->map->n_hosts, ==, 2);
	g_assert_cmpuint(u->detail->n_offline, ==, 2);
	g_assert_cmpstr(
		detail_text(u->detail, u->detail->offline[0].name), ==, "host-2.example.net");
	g_assert_cmpstr(
		detail_text(u->detail, u->detail->offline[0].addresses), ==, "100.92.1.2/32");
	g_assert_cmpstr(detail_text(u->detail, u->detail->offline[1].name), ==, "");
	update_free(u);
	message_end(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/update/vectors", test_vectors);
	g_test_add_func("/update/vectors_made", test_vectors_made);
	g_test_add_func("/update/second_map", test_second_map);
	g_test_add_func("/update/cut", test_cut);
	g_test_add_func("/update/own-address", test_own_address);
	g_test_add_func("/update/own-address-missing", test_own_address_missing);
	g_test_add_func("/update/own-v6", test_own_v6);
	g_test_add_func("/update/switches", test_switches);
	g_test_add_func("/update/peers", test_peers);
	g_test_add_func("/update/bad-peers", test_bad_peers);
	g_test_add_func("/update/names", test_names);
	g_test_add_func("/update/first-label", test_first_label);
	g_test_add_func("/update/lazy", test_lazy);
	g_test_add_func("/update/forwards", test_forwards);
	g_test_add_func("/update/v6-peers", test_v6_peers);
	g_test_add_func("/update/many", test_many);
	g_test_add_func("/update/garbled", test_garbled);
	g_test_add_func("/update/many-notes", test_many_notes);
	g_test_add_func("/update/other-form", test_other_form);
	g_test_add_func("/update/offline", test_offline);
	return g_test_run();
}
