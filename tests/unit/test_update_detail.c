/* tests/unit/test_update_detail.c - the rest of a server's messages: DNS, other servers, files, deadlines; and
 * how it is shown. */
#include <errno.h>
#include <jansson.h>

#include "tests/unit/message.h"

static const char *text(const struct update *u, uint32_t at)
{
	return detail_text(u->detail, at);
}

/* -- DNS ------------------------------------------------------------------------------------ */

struct dns {
	Management__DNSConfig config;
	Management__CustomZone zones[3], *zone_list[3];
	Management__SimpleRecord records[8], *record_list[8];
	Management__NameServerGroup groups[4], *group_list[4];
	Management__NameServer servers[8], *server_list[8];
};

static void add_record(struct dns *dns, size_t i, const char *name, int64_t type, const char *data)
{
	management__simple_record__init(&dns->records[i]);
	dns->record_list[i] = &dns->records[i];
	dns->records[i].name = (char *)name;
	dns->records[i].type = type;
	dns->records[i].class_ = (char *)"IN";
	dns->records[i].ttl = 300;
	dns->records[i].rdata = (char *)data;
}

static void add_zone(struct dns *dns, const char *domain, size_t first, size_t n)
{
	size_t i = dns->config.n_customzones++;

	management__custom_zone__init(&dns->zones[i]);
	dns->zone_list[i] = &dns->zones[i];
	dns->zones[i].domain = (char *)domain;
	dns->zones[i].records = dns->record_list + first;
	dns->zones[i].n_records = n;
}

static void add_server(struct dns *dns, size_t i, const char *ip, int64_t type, int64_t port)
{
	management__name_server__init(&dns->servers[i]);
	dns->server_list[i] = &dns->servers[i];
	dns->servers[i].ip = (char *)ip;
	dns->servers[i].nstype = type;
	dns->servers[i].port = port;
}

static Management__NameServerGroup *add_group(struct dns *dns, size_t first, size_t n)
{
	size_t i = dns->config.n_nameservergroups++;

	management__name_server_group__init(&dns->groups[i]);
	dns->group_list[i] = &dns->groups[i];
	dns->groups[i].nameservers = dns->server_list + first;
	dns->groups[i].n_nameservers = n;
	return &dns->groups[i];
}

static void begin(struct message *m, struct dns *dns)
{
	message_begin(m);
	memset(dns, 0, sizeof(*dns));
	management__dnsconfig__init(&dns->config);
	dns->config.customzones = dns->zone_list;
	dns->config.nameservergroups = dns->group_list;
	m->map.dnsconfig = &dns->config;
}

static void test_zones(void)
{
	struct message m;
	struct dns dns;
	struct update *u;
	const struct detail_record *records;

	begin(&m, &dns);
	dns.config.serviceenable = true;
	dns.config.forwarderport = 22054;
	add_record(&dns, 0, "Host-1.Example.NET.", 1, "100.92.1.1");
	add_record(&dns, 1, "a b", 1, "100.92.1.1");
	add_record(&dns, 2, "*.host-1.example.net", 5, "host-1.example.net.");
	dns.records[2].ttl = INT64_MAX;
	add_record(&dns, 3, "c.example.net", 1, "1\n2");
	add_record(&dns, 4, "d.example.net", 70000, "x");
	add_record(&dns, 5, "e.example.net", -1, "x");
	add_record(&dns, 6, "f.example.net", 1, "x");
	dns.records[6].ttl = -1;
	add_record(&dns, 7, "g.example.net", 28, "fd00::1");
	dns.records[7].class_ = (char *)"CH";
	add_zone(&dns, "Example.NET.", 0, 8);
	dns.zones[0].searchdomaindisabled = true;
	add_zone(&dns, "\xff", 0, 1); /* with its record */
	add_zone(&dns, "", 0, 1);
	u = message_read(&m);
	g_assert_true(u->detail->dns.enabled);
	g_assert_cmpuint(u->detail->dns.forwarder_port, ==, 22054);
	g_assert_cmpuint(u->detail->dns.n_zones, ==, 1);
	g_assert_cmpstr(text(u, u->detail->dns.zones[0].domain), ==, "example.net");
	g_assert_true(u->detail->dns.zones[0].search_disabled);
	g_assert_false(u->detail->dns.zones[0].non_authoritative);
	g_assert_cmpuint(u->detail->dns.n_records, ==, 2);
	g_assert_cmpuint(u->detail->dns.zones[0].n_records, ==, 2);
	records = u->detail->dns.records;
	g_assert_cmpstr(text(u, records[0].name), ==, "host-1.example.net");
	g_assert_cmpstr(text(u, records[0].data), ==, "100.92.1.1");
	g_assert_cmpuint(records[0].type, ==, 1);
	g_assert_cmpuint(records[0].ttl_s, ==, 300);
	g_assert_cmpstr(text(u, records[1].name), ==, "*.host-1.example.net");
	g_assert_cmpuint(records[1].ttl_s, ==, INT32_MAX);
	g_assert_cmpuint(u->detail->n_left_out, ==, 6 + 2);
	update_free(u);
	dns.config.forwarderport = 65536;
	u = message_read(&m);
	g_assert_cmpuint(u->detail->dns.forwarder_port, ==, 5353);
	g_assert_cmpuint(u->detail->n_left_out, ==, 9);
	update_free(u);
	message_end(&m);
}

static void test_groups(void)
{
	struct message m;
	struct dns dns;
	struct update *u;
	Management__NameServerGroup *group;

	begin(&m, &dns);
	add_server(&dns, 0, "192.0.2.1", 1, 53);
	add_server(&dns, 1, "2001:db8::1", 1, 0);
	add_server(&dns, 2, "100.92.0.1", 1, 53); /* we */
	add_server(&dns, 3, "x", 1, 53);
	add_server(&dns, 4, "192.0.2.2", 0, 53);
	add_server(&dns, 5, "192.0.2.3", 1, -1);
	add_server(&dns, 6, "192.0.2.0/24", 1, 53);
	add_group(&dns, 0, 7)->primary = true;
	add_group(&dns, 0, 1); /* for which names? */
	add_group(&dns, 2, 5)->primary = true; /* nobody who can be asked */
	group = add_group(&dns, 0, 1);
	group->domains = message_list(&m, "Corp.Example.", "..");
	group->n_domains = 2;
	group->searchdomainsenabled = true;
	u = message_read(&m);
	g_assert_cmpuint(u->detail->dns.n_groups, ==, 2);
	g_assert_cmpstr(
		text(u, u->detail->dns.groups[0].servers), ==, "192.0.2.1:53, [2001:db8::1]:53");
	g_assert_true(u->detail->dns.groups[0].primary);
	g_assert_cmpstr(text(u, u->detail->dns.groups[1].domains), ==, "corp.example");
	g_assert_true(u->detail->dns.groups[1].search && !u->detail->dns.groups[1].primary);
	g_assert_cmpuint(u->detail->n_left_out, ==, 4 + 1 + 5 + 1);
	update_free(u);
	message_end(&m);
}

/* -- servers -------------------------------------------------------------------------------- */

struct servers {
	Management__NetbirdConfig config;
	Management__HostConfig stuns[40], *stun_list[40], turn_hosts[2], signal;
	Management__ProtectedHostConfig turns[2], *turn_list[2];
	Management__RelayConfig relay;
	Management__MetricsConfig metrics;
};

static void begin_servers(struct message *m, struct servers *s)
{
	message_begin(m);
	m->sync.networkmap = NULL; /* servers come without a map, too */
	m->sync.netbirdconfig = &s->config;
	management__netbird_config__init(&s->config);
	management__host_config__init(&s->signal);
	management__relay_config__init(&s->relay);
	management__metrics_config__init(&s->metrics);
	for (size_t i = 0; i < G_N_ELEMENTS(s->stuns); i++) {
		management__host_config__init(&s->stuns[i]);
		s->stun_list[i] = &s->stuns[i];
	}
	for (size_t i = 0; i < G_N_ELEMENTS(s->turns); i++) {
		management__host_config__init(&s->turn_hosts[i]);
		management__protected_host_config__init(&s->turns[i]);
		s->turns[i].hostconfig = &s->turn_hosts[i];
		s->turn_list[i] = &s->turns[i];
	}
	s->config.stuns = s->stun_list;
	s->config.turns = s->turn_list;
}

static void test_servers(void)
{
	static struct servers s;
	struct message m;
	struct update *u;

	begin_servers(&m, &s);
	s.config.n_stuns = 2;
	s.stuns[0].uri = (char *)"stun:a.example:3478";
	s.stuns[1].uri = (char *)"stun:\x1b[0m";
	s.config.n_turns = 2;
	s.turn_hosts[0].uri = (char *)"turn:a.example:3478?transport=udp";
	s.turns[0].user = (char *)"u";
	s.turns[0].password = (char *)"p";
	s.turns[1].hostconfig = NULL;
	s.config.signal = &s.signal;
	s.signal.uri = (char *)"s.example:443";
	s.signal.protocol = MANAGEMENT__HOST_CONFIG__PROTOCOL__HTTPS;
	s.config.relay = &s.relay;
	s.relay.urls = message_list(&m, "rels://r.example:443", "rel://r.example:80");
	s.relay.n_urls = 2;
	s.relay.tokenpayload = (char *)"1800000000";
	s.relay.tokensignature = (char *)"c2ln";
	u = message_read(&m);
	g_assert_null(u->map);
	g_assert_null(u->detail);
	g_assert_false(u->has_checks);
	g_assert_null(u->files[0]);
	g_assert_cmpuint(u->servers->n_stuns, ==, 1);
	g_assert_cmpstr(u->servers->stuns[0].uri, ==, "stun:a.example:3478");
	g_assert_null(u->servers->stuns[0].user);
	g_assert_cmpuint(u->servers->n_turns, ==, 1);
	g_assert_cmpstr(u->servers->turns[0].user, ==, "u");
	g_assert_cmpstr(u->servers->turns[0].password, ==, "p");
	g_assert_cmpstr(u->servers->signal.host, ==, "s.example:443");
	g_assert_true(u->servers->signal.tls && u->servers->has_relay);
	g_assert_cmpuint(u->servers->n_relays, ==, 2);
	g_assert_cmpstr(u->servers->relays[1].uri, ==, "rel://r.example:80");
	g_assert_cmpstr(u->servers->relay_payload, ==, "1800000000");
	g_assert_cmpstr(u->servers->relay_signature, ==, "c2ln");
	update_free(u);
	message_end(&m);
}

static void test_few_servers(void)
{
	static struct servers s;
	struct message m;
	struct update *u;

	begin_servers(&m, &s);
	u = message_read(&m);
	g_assert_false(u->servers->has_relay); /* switched off */
	g_assert_null(u->servers->signal.host);
	update_free(u);
	s.config.n_stuns = G_N_ELEMENTS(s.stuns);
	for (size_t i = 0; i < G_N_ELEMENTS(s.stuns); i++)
		s.stuns[i].uri = (char *)"stun:a.example:3478";
	u = message_read(&m);
	g_assert_cmpuint(u->servers->n_stuns, ==, UPDATE_SERVERS_MAX);
	update_free(u);
	message_end(&m);
}

/* Said, and not said any more: as it was said last. */
static void test_metrics(void)
{
	static const struct {
		bool said, enabled, after;
	} steps[] = { { false, false, false }, { true, true, true }, { false, false, true },
		{ true, false, false }, { true, true, true } };
	struct update_servers *known = NULL;
	static struct servers s;
	struct message m;

	begin_servers(&m, &s);
	for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
		struct update *u;

		s.config.metrics = steps[i].said ? &s.metrics : NULL;
		s.metrics.enabled = steps[i].enabled;
		u = message_read(&m);
		g_assert_cmpint(u->servers->has_metrics, ==, steps[i].said);
		known = update_servers_merge(known, g_steal_pointer(&u->servers), false);
		g_assert_cmpint(known->metrics, ==, steps[i].after);
		update_free(u);
	}
	update_servers_free(known);
	message_end(&m);
}

/* What cannot be read changes nothing. */
static void test_garbled_servers(void)
{
	static const uint8_t bytes[] = { 1 << 3 | 2, 2, 0x0a, 5 };
	struct wg_key own = { { 1 } };
	struct update_limits limits = { &own, 9, 0, NULL };
	char error[UPDATE_ERROR_MAX];
	struct update *u = NULL;

	g_assert_cmpint(update_from_sync(bytes, sizeof(bytes), &limits, &u, error), ==, 0);
	g_assert_null(u->servers);
	update_free(u);
}

/* -- files and deadlines -------------------------------------------------------------------- */

static void test_files(void)
{
	Management__Checks one = MANAGEMENT__CHECKS__INIT, two = one, *list[] = { &one, &two };
	char error[UPDATE_ERROR_MAX];
	struct message m;
	struct update *u;

	message_begin(&m);
	m.sync.checks = list;
	m.sync.n_checks = 2;
	one.files = message_list(&m, "/usr/bin/b", "relative");
	two.files = message_list(&m, "/usr/bin/a", "/usr/bin/b");
	one.n_files = two.n_files = 2;
	u = message_read(&m);
	g_assert_true(u->has_checks);
	g_assert_cmpuint(g_strv_length(u->files), ==, 2);
	g_assert_cmpstr(u->files[0], ==, "/usr/bin/a");
	g_assert_cmpstr(u->files[1], ==, "/usr/bin/b");
	g_assert_true(message_is_noted(u, "relative"));
	update_free(u);
	/* Where the rest of the message is refused they go, too. */
	m.self.address = (char *)"x";
	g_assert_cmpint(message_try(&m, &u, error), ==, -EINVAL);
	m.self.address = (char *)"100.92.0.1/16";
	one.files = message_own(&m, g_new(char *, UPDATE_FILES_MAX + 9));
	one.n_files = UPDATE_FILES_MAX + 9;
	for (unsigned i = 0; i < one.n_files; i++)
		one.files[i] = message_text(&m, "/%u", i);
	u = message_read(&m);
	g_assert_cmpuint(g_strv_length(u->files), ==, UPDATE_FILES_MAX);
	update_free(u);
	message_end(&m);
}

static void check_session(int64_t seconds, int64_t expected)
{
	Management__Timestamp time = MANAGEMENT__TIMESTAMP__INIT;
	struct message m;
	struct update *u;

	message_begin(&m);
	time.seconds = seconds;
	m.sync.sessionexpiresat = &time;
	u = message_read(&m);
	g_assert_cmpint(u->session_expires_s, ==, expected);
	g_assert_cmpuint(u->detail->n_left_out, ==, seconds != expected);
	update_free(u);
	message_end(&m);
}

static void test_session(void)
{
	const int64_t now = 1800000000, day = 86400;

	check_session(0, 0);
	check_session(now, now);
	check_session(now - 30 * day, now - 30 * day);
	check_session(now - 30 * day - 1, 0);
	check_session(now + 3650 * day, now + 3650 * day);
	check_session(now + 3650 * day + 1, 0);
	check_session(-1, 0);
	check_session(INT64_MIN, 0);
	check_session(INT64_MAX, 0);
}

/* -- how it is shown ------------------------------------------------------------------------ */

static void test_written(void)
{
	struct message m;
	struct dns dns;
	struct update *u;
	g_autoptr(GString) out = g_string_new("{");
	json_t *root;

	begin(&m, &dns);
	add_record(&dns, 0, "a.example.net", 1, "100.92.1.1");
	add_zone(&dns, "example.net", 0, 1);
	add_server(&dns, 0, "192.0.2.1", 1, 53);
	add_group(&dns, 0, 1)->primary = true;
	message_peer(&m, 1);
	message_peer(&m, 2)->wgpubkey = (char *)"\"";
	message_peer_in(&m, m.offline, 3);
	message_route(&m, 1, "10.1.0.0/16", 5)->masquerade = true;
	message_route(&m, 1, "127.0.0.0/8", 5);
	u = message_read(&m);
	detail_write(u->detail, out);
	g_string_append_c(out, '}');
	root = json_loads(out->str, JSON_REJECT_DUPLICATES, NULL);
	g_assert_nonnull(root);
	json_decref(root);
	g_assert_cmpstr(out->str, ==,
		"{\"routes\":[{\"id\":\"id-0\",\"network_id\":\"net\",\"network\":\"10.1.0.0/16\","
		"\"domains\":null,\"router\":\"AQAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		"\"metric\":5,\"ours\":false,\"masquerade\":true,\"unused\":null},"
		"{\"id\":\"id-1\",\"network_id\":\"net\",\"network\":\"127.0.0.0/8\",\"domains\":null,"
		"\"router\":\"AQAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"metric\":5,"
		"\"ours\":false,\"masquerade\":false,\"unused\":\"such a network is never routed\"}],"
		"\"offline_peers\":[{\"name\":\"host-3.example.net\","
		"\"public_key\":\"AwAAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		"\"addresses\":\"100.92.1.3/32\"}],"
		"\"dns\":{\"enabled\":false,\"forwarder_port\":5353,\"zones\":[{\"domain\":"
		"\"example.net\",\"search\":true,\"authoritative\":true,\"records\":1}],"
		"\"servers\":[{\"servers\":\"192.0.2.1:53\",\"domains\":null,\"primary\":true,"
		"\"search\":false}]},\"route_rules\":0,\"forwarding_rules\":0,"
		"\"notes\":[\"peer host-2.example.net: bad key\"],\"noted\":1}");
	update_free(u);
	message_end(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/update-detail/zones", test_zones);
	g_test_add_func("/update-detail/groups", test_groups);
	g_test_add_func("/update-detail/servers", test_servers);
	g_test_add_func("/update-detail/few-servers", test_few_servers);
	g_test_add_func("/update_detail/metrics", test_metrics);
	g_test_add_func("/update-detail/garbled-servers", test_garbled_servers);
	g_test_add_func("/update-detail/files", test_files);
	g_test_add_func("/update-detail/session", test_session);
	g_test_add_func("/update-detail/written", test_written);
	return g_test_run();
}
