/* tests/unit/test_config.c - lapwing.json: what is taken, what is refused and where. */
#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/config.h"

static int parse(const char *text, struct config *ret, char error[static CONFIG_ERROR_MAX])
{
	*error = '\0';
	return config_parse(text, strlen(text), ret, error);
}

static void test_defaults(void)
{
	char error[CONFIG_ERROR_MAX];
	struct config c;

	g_assert_cmpint(parse("{}", &c, error), ==, 0);
	g_assert_null(c.mesh_file);
	g_assert_null(c.private_key_file);
	g_assert_cmpstr(c.interface.name, ==, "");
	g_assert_cmpint(c.interface.listen_port, ==, -1);
	g_assert_cmpint(c.interface.mtu, ==, -1);
	g_assert_cmpint(c.interface.fwmark, ==, -1);
	g_assert_false(c.interface.adopt);
	g_assert_false(c.policy.default_route || c.policy.dns || c.policy.routes_given);
	g_assert_cmpuint(c.policy.max_peers, ==, 100000);
	g_assert_cmpint(c.policy.firewall, ==, FIREWALL_AUTO);
	g_assert_cmpint(c.log.level, ==, LOG_LEVEL_INFO);
	g_assert_cmpint(c.log.target, ==, LOG_TARGET_AUTO);
	g_assert_false(c.management.given || c.policy.jobs);
	g_assert_false(c.metrics.given || c.metrics.force);
	g_assert_cmpint(c.metrics.push, ==, PUSH_OFF);
	g_assert_true(!c.metrics.server_url && !c.metrics.config_url && !c.metrics.interval_s);
	g_assert_cmpint(c.management.map_max_age_h, ==, 24);
	g_assert_null(c.management.hostname);
	g_assert_null(c.management.dns_labels);
	g_assert_null(c.policy.file_checks);
	g_assert_cmpuint(c.n_hosts, ==, 0);
	g_assert_null(config_find_host(&c, "db1", NULL));
	config_done(&c);
}

static void test_network(void)
{
	static const char text[] =
		"{\"management\": {\"ca_file\": \"/ca\", \"ca_dir\": \"/cas\", \"client_cert\": \"/cc\",\n"
		"   \"client_key\": \"/ck\", \"hostname\": \"db1\", \"dns_labels\": [\"web\", \"a.b\"],\n"
		"   \"map_max_age_hours\": 8760},\n"
		" \"endpoints\": {\"db1\": [\"192.0.2.1:51820\", \"[2001:db8::1]:1\"],\n"
		"   \"Web.example\": [\"web.example:51820\"], \"none\": [],\n"
		"   \"kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\": [\"192.0.2.2:2\"]},\n"
		" \"ice\": {\"external_ips\": [\"192.0.2.9/eth0\", \"2001:db8::9\"],\n"
		"   \"interfaces_exclude\": [\"eth1\", \"br-\"]},\n"
		" \"policy\": {\"file_checks\": [\"/usr/bin\", \"/opt\"], \"jobs\": true}}";
	char error[CONFIG_ERROR_MAX];
	const struct config_host *host;
	struct wg_key key, other = { { 7 } };
	struct config c;

	g_assert_cmpint(parse(text, &c, error), ==, 0);
	g_assert_true(c.management.given && c.policy.jobs);
	g_assert_cmpstr(c.management.ca_file, ==, "/ca");
	g_assert_cmpstr(c.management.ca_dir, ==, "/cas");
	g_assert_cmpstr(c.management.client_cert, ==, "/cc");
	g_assert_cmpstr(c.management.client_key, ==, "/ck");
	g_assert_cmpstr(c.management.hostname, ==, "db1");
	g_assert_cmpstr(c.management.dns_labels[1], ==, "a.b");
	g_assert_null(c.management.dns_labels[2]);
	g_assert_cmpint(c.management.map_max_age_h, ==, 8760);
	g_assert_cmpstr(c.policy.file_checks[1], ==, "/opt");
	g_assert_null(c.policy.file_checks[2]);
	g_assert_cmpstr(c.ice.external_ips[0], ==, "192.0.2.9/eth0");
	g_assert_cmpuint(g_strv_length(c.ice.external_ips), ==, 2);
	g_assert_cmpstr(c.ice.interfaces_exclude[1], ==, "br-");
	g_assert_cmpuint(g_strv_length(c.ice.interfaces_exclude), ==, 2);
	g_assert_cmpuint(c.n_hosts, ==, 4);
	host = config_find_host(&c, "db1.example.net", &other);
	g_assert_cmpuint(host->n_endpoints, ==, 2);
	g_assert_cmpuint(host->endpoints[1].address.family, ==, AF_INET6);
	host = config_find_host(&c, "WEB.example", NULL);
	g_assert_cmpstr(host->endpoints[0].name, ==, "web.example");
	g_assert_cmpuint(host->endpoints[0].address.port, ==, 51820);
	g_assert_cmpuint(host->endpoints[0].address.family, ==, 0);
	g_assert_null(config_find_host(&c, "web", NULL));
	g_assert_cmpuint(config_find_host(&c, "none", NULL)->n_endpoints, ==, 0);
	/* The key says more than the name. */
	g_assert_cmpint(
		key_parse("kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=", KEY_TEXT_LEN, &key), ==,
		0);
	host = config_find_host(&c, "db1", &key);
	g_assert_cmpuint(host->endpoints[0].address.port, ==, 2);
	g_assert_null(config_find_host(&c, NULL, &other));
	config_done(&c);
}

static void test_metrics(void)
{
	static const char text[] =
		"{\"metrics\": {\"push\": \"on\", \"server_url\": \"https://m.example:8443/write?org=x\",\n"
		"  \"config_url\": \"http://[::1]/c\", \"interval_seconds\": 604800, \"force\": true}}";
	char error[CONFIG_ERROR_MAX];
	struct config c;

	g_assert_cmpint(parse(text, &c, error), ==, 0);
	g_assert_true(c.metrics.given && c.metrics.force);
	g_assert_cmpint(c.metrics.push, ==, PUSH_ON);
	g_assert_cmpstr(c.metrics.server_url, ==, "https://m.example:8443/write?org=x");
	g_assert_cmpstr(c.metrics.config_url, ==, "http://[::1]/c");
	g_assert_cmpint(c.metrics.interval_s, ==, 604800);
	config_done(&c);
	g_assert_cmpint(
		parse("{\"metrics\": {\"push\": \"server\", \"interval_seconds\": 1}}", &c, error),
		==, 0);
	g_assert_cmpint(c.metrics.push, ==, PUSH_SERVER);
	g_assert_cmpint(c.metrics.interval_s, ==, 1);
	config_done(&c);
}

static void test_everything(void)
{
	static const char text[] =
		"{\"mesh_file\": \"/etc/lapwing/mesh.json\", \"private_key_file\": \"/k\",\n"
		" \"interface\": {\"name\": \"wt-1.a_b\", \"listen_port\": 65535, \"mtu\": \"auto\",\n"
		"   \"fwmark\": 4294967295, \"adopt\": true},\n"
		" \"policy\": {\"default_route\": true, \"dns\": true, \"max_peers\": 1048576,\n"
		"  \"firewall\": \"on\",\n"
		"   \"routes\": [\"10.0.0.0/8\", \"fd00::/8\", \"192.0.2.1\"]},\n"
		" \"tune\": {\"apply_on_start\": true, \"only\": [\"irq\", \"rps\"],"
		" \"skip\": [\"bbr\"], \"irqbalance\": \"stop\", \"underlay\": \"bond0\"},\n"
		" \"log\": {\"level\": \"debug\", \"target\": \"file\", \"file\": \"/var/log/l\"}}\n";
	char error[CONFIG_ERROR_MAX];
	struct config c;

	g_assert_cmpint(parse(text, &c, error), ==, 0);
	g_assert_cmpstr(c.mesh_file, ==, "/etc/lapwing/mesh.json");
	g_assert_cmpstr(c.private_key_file, ==, "/k");
	g_assert_cmpstr(c.interface.name, ==, "wt-1.a_b");
	g_assert_cmpint(c.interface.listen_port, ==, 65535);
	g_assert_cmpint(c.interface.mtu, ==, 0);
	g_assert_cmpint(c.interface.fwmark, ==, 4294967295);
	g_assert_true(c.interface.adopt && c.policy.default_route && c.policy.dns);
	g_assert_cmpuint(c.policy.max_peers, ==, 1048576);
	g_assert_cmpint(c.policy.firewall, ==, FIREWALL_ON);
	g_assert_cmpuint(c.policy.n_routes, ==, 3);
	g_assert_cmpuint(c.policy.routes[1].family, ==, AF_INET6);
	g_assert_true(c.tune.apply_on_start);
	g_assert_cmpuint(c.tune.only, ==, 1u << KNOB_IRQ | 1u << KNOB_RPS);
	g_assert_cmpuint(c.tune.skip, ==, 1u << KNOB_CONGESTION);
	g_assert_cmpint(c.tune.irqbalance, ==, IRQBALANCE_STOP);
	g_assert_cmpstr(c.tune.underlay, ==, "bond0");
	g_assert_cmpint(c.log.level, ==, LOG_LEVEL_DEBUG);
	g_assert_cmpint(c.log.target, ==, LOG_TARGET_FILE);
	g_assert_cmpstr(c.log.file, ==, "/var/log/l");
	config_done(&c);
}

/* Each with a part of the message that an admin sees. */
static void test_refused(void)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{ "", "line 1" },
		{ "[]", "object" },
		{ "{}x", "" },
		{ "{\"mesh\": \"/a\"}", "mesh" },
		{ "{\"mesh_file\": \"mesh.json\"}", "mesh_file: not an absolute path" },
		{ "{\"mesh_file\": \"/\"}", "mesh_file" },
		{ "{\"mesh_file\": null}", "mesh_file" },
		{ "{\"mesh_file\": \"/a\", \"mesh_file\": \"/b\"}", "mesh_file" },
		{ "{\"private_key_file\": \"\"}", "private_key_file" },
		{ "{\n\"interface\": {\"name\": \"\"}}", "line 2: interface.name" },
		{ "{\"interface\": {\"name\": \".\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"..\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"0123456789abcdef\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"a/b\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"a b\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"eth0:1\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": \"12\"}}", "interface.name" },
		{ "{\"interface\": {\"name\": 1}}", "interface.name" },
		{ "{\"interface\": {\"listen_port\": 0}}", "interface.listen_port" },
		{ "{\"interface\": {\"listen_port\": 65536}}", "interface.listen_port" },
		{ "{\"interface\": {\"listen_port\": \"1\"}}", "interface.listen_port" },
		{ "{\"interface\": {\"mtu\": 575}}", "interface.mtu" },
		{ "{\"interface\": {\"mtu\": \"big\"}}", "interface.mtu" },
		{ "{\"interface\": {\"mtu\": true}}", "interface.mtu" },
		{ "{\"interface\": {\"fwmark\": 0}}", "interface.fwmark" },
		{ "{\"interface\": {\"fwmark\": 254}}", "interface.fwmark: 253 to 255" },
		{ "{\"interface\": {\"fwmark\": 4294967296}}", "interface.fwmark" },
		{ "{\"interface\": {\"adopt\": 1}}", "interface.adopt" },
		{ "{\"policy\": {\"max_peers\": 0}}", "policy.max_peers" },
		{ "{\"policy\": {\"max_peers\": 1048577}}", "policy.max_peers" },
		{ "{\"policy\": {\"firewall\": \"closed\"}}", "policy.firewall" },
		{ "{\"policy\": {\"firewall\": true}}", "policy.firewall" },
		{ "{\"policy\": {\"routes\": [\"10.0.0.0/8\", \"10.0.0.1/8\"]}}",
			"policy.routes[1]: not a network" },
		{ "{\"policy\": {\"routes\": \"10.0.0.0/8\"}}", "policy.routes" },
		{ "{\"tune\": {\"apply_on_start\": 1}}", "tune.apply_on_start" },
		{ "{\"tune\": {\"only\": [\"rpz\"]}}",
			"tune.only[0]: there is no such knob; the nearest is \"rps\"" },
		{ "{\"tune\": {\"skip\": \"rps\"}}", "tune.skip" },
		{ "{\"tune\": {\"irqbalance\": \"kill\"}}", "tune.irqbalance: one of" },
		{ "{\"tune\": {\"underlay\": \"a/b\"}}", "tune.underlay: an interface name" },
		{ "{\"mesh_file\": \"/m\", \"management\": {}}",
			"\"mesh_file\" and \"management\" exclude each other" },
		{ "{\"endpoints\": {}, \"mesh_file\": \"/m\"}",
			"\"mesh_file\" and \"endpoints\" exclude each other" },
		{ "{\"management\": {\"url\": \"https://a\"}}", "key \"url\" is unknown" },
		{ "{\"management\": {\"ca_file\": \"ca\"}}",
			"management.ca_file: not an absolute" },
		{ "{\"management\": {\"client_cert\": \"/c\"}}",
			"management: \"client_cert\" and" },
		{ "{\"management\": {\"client_key\": \"/c\"}}", "go together" },
		{ "{\"management\": {\"hostname\": \"a_b\"}}", "management.hostname: not a host" },
		{ "{\"management\": {\"hostname\": \"\"}}", "management.hostname" },
		{ "{\"management\": {\"dns_labels\": [\"a\", \"-a\"]}}",
			"management.dns_labels[1]: not a host name" },
		{ "{\"management\": {\"dns_labels\": \"a\"}}", "management.dns_labels" },
		{ "{\"management\": {\"map_max_age_hours\": -1}}", "map_max_age_hours" },
		{ "{\"management\": {\"map_max_age_hours\": 8761}}", "map_max_age_hours" },
		{ "{\"endpoints\": [\"192.0.2.1:1\"]}", "endpoints: an object" },
		{ "{\"endpoints\": {\"a b\": []}}", "endpoints.a b: not a host's name" },
		{ "{\"endpoints\": {\"\": []}}", "not a host's name or public key" },
		{ "{\"endpoints\": {\"a\": [],\n\"A\": []}}", "endpoints.A: it is there twice" },
		{ "{\"endpoints\": {\"a\": [\"192.0.2.1\"]}}", "endpoints.a[0]: not address:port" },
		{ "{\"endpoints\": {\"a\": [\"192.0.2:1\"]}}", "endpoints.a[0]" },
		{ "{\"endpoints\": {\"a\": [\"b:0\"]}}", "endpoints.a[0]" },
		{ "{\"endpoints\": {\"a\": [\"b:65536\"]}}", "endpoints.a[0]" },
		{ "{\"endpoints\": {\"a\": [\":1\"]}}", "endpoints.a[0]" },
		{ "{\"endpoints\": {\"a\": [\"[fe80::1%no-such]:1\"]}}", "no such interface" },
		{ "{\"endpoints\": {\"a\": [\"b:1\",\"b:1\",\"b:1\",\"b:1\",\"b:1\",\"b:1\",\"b:1\","
		  "\"b:1\",\"b:1\"]}}",
			"more than 8" },
		{ "{\"ice\": {\"external_ips\": [\"192.0.2.1\", \n\"eth0\"]}}",
			"line 2: ice.external_ips[1]: not EXTERNAL, EXTERNAL/LOCAL" },
		{ "{\"ice\": {\"external_ips\": [\"192.0.2.0/24\"]}}", "ice.external_ips[0]" },
		{ "{\"ice\": {\"external_ips\": [\"192.0.2.1\", \"192.0.2.2\"]}}",
			"ice.external_ips: of a family only one can be for all" },
		{ "{\"ice\": {\"external_ips\": \"192.0.2.1\"}}", "ice.external_ips: a list" },
		{ "{\"ice\": {\"interfaces_exclude\": [\"eth0\", \"\"]}}",
			"ice.interfaces_exclude[1]: not what an interface's name" },
		{ "{\"ice\": {\"interfaces_exclude\": [\"0123456789abcdef\"]}}",
			"ice.interfaces_exclude[0]" },
		{ "{\"ice\": {\"relay\": true}}", "key \"relay\" is unknown" },
		{ "{\"ice\": {\"external_ips\": []}, \"mesh_file\": \"/m\"}",
			"\"mesh_file\" and \"ice\" exclude each other" },
		{ "{\"policy\": {\"file_checks\": [\"bin\"]}}",
			"policy.file_checks[0]: not an absolute path" },
		{ "{\"policy\": {\"file_checks\": [\"/\"]}}", "policy.file_checks[0]" },
		{ "{\"policy\": {\"jobs\": 1}}", "policy.jobs" },
		{ "{\"metrics\": {\"push\": true}}", "metrics.push" },
		{ "{\"metrics\": {\"push\": \"yes\"}}",
			"metrics.push: one of \"off\", \"server\", \"on\"" },
		{ "{\"metrics\": {\"server_url\": \"m.example\"}}",
			"metrics.server_url: not an absolute http or https URL" },
		{ "{\"metrics\": {\"config_url\": \"https://a@m.example\"}}",
			"metrics.config_url" },
		{ "{\"metrics\": {\"interval_seconds\": 0}}", "metrics.interval_seconds" },
		{ "{\"metrics\": {\"interval_seconds\": 604801}}", "metrics.interval_seconds" },
		{ "{\"metrics\": {\"force\": 1}}", "metrics.force" },
		{ "{\"metrics\": {}, \"mesh_file\": \"/m\"}",
			"\"mesh_file\" and \"metrics\" exclude each other" },
		{ "{\"log\": {\"level\": \"loud\"}}", "log.level" },
		{ "{\"log\": {\"target\": \"syslog\"}}", "log.target" },
		{ "{\"log\": {\"target\": \"file\"}}", "go together" },
		{ "{\"log\": {\"file\": \"/var/log/x\"}}", "go together" },
	};
	struct config c, untouched;

	memset(&c, 0x5a, sizeof(c));
	memset(&untouched, 0x5a, sizeof(c));
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		char error[CONFIG_ERROR_MAX];
		int r = parse(table[i].text, &c, error);

		g_test_message("%s: %s", table[i].text, error);
		g_assert_cmpint(r, ==, -EINVAL);
		g_assert_nonnull(strstr(error, table[i].message));
		g_assert_null(strchr(error, '\n'));
		g_assert_cmpmem(&c, sizeof(c), &untouched, sizeof(c));
	}
}

static void test_many_routes(void)
{
	g_autoptr(GString) text = g_string_new("{\"policy\":{\"routes\":[\"10.0.0.0/8\"");
	char error[CONFIG_ERROR_MAX];
	struct config c;

	for (int i = 1; i < CONFIG_ROUTES_MAX; i++)
		g_string_append(text, ",\"fd00::/8\"");
	g_string_append(text, "]}}");
	g_assert_cmpint(parse(text->str, &c, error), ==, 0);
	g_assert_cmpuint(c.policy.n_routes, ==, CONFIG_ROUTES_MAX);
	config_done(&c);
	g_string_insert(text, (gssize)text->len - 3, ",\"fd00::/8\"");
	g_assert_cmpint(parse(text->str, &c, error), ==, -EINVAL);
}

static void test_allows_route(void)
{
	static const struct {
		const char *policy, *route;
		bool allowed;
	} table[] = {
		{ "{}", "10.0.0.0/8", true },
		{ "{}", "0.0.0.0/0", false },
		{ "{}", "128.0.0.0/1", false },
		{ "{}", "254.0.0.0/7", false },
		{ "{}", "::/0", false },
		{ "{}", "2000::/3", false },
		{ "{}", "fd00::/8", true },
		{ "{\"default_route\":true}", "0.0.0.0/0", true },
		{ "{\"default_route\":true}", "::/1", true },
		{ "{\"routes\":[]}", "10.0.0.0/8", false },
		{ "{\"routes\":[\"10.0.0.0/8\"]}", "10.0.0.0/8", true },
		{ "{\"routes\":[\"10.0.0.0/8\"]}", "10.1.2.3", true },
		{ "{\"routes\":[\"10.0.0.0/9\"]}", "10.0.0.0/8", false },
		{ "{\"routes\":[\"10.0.0.0/8\"]}", "fd00::/8", false },
		{ "{\"routes\":[\"0.0.0.0/0\"]}", "0.0.0.0/0", false },
		{ "{\"routes\":[\"0.0.0.0/0\"],\"default_route\":true}", "0.0.0.0/0", true },
		{ "{\"routes\":[\"10.0.0.0/8\"],\"default_route\":true}", "0.0.0.0/0", false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *text = g_strdup_printf("{\"policy\":%s}", table[i].policy);
		char error[CONFIG_ERROR_MAX];
		struct prefix route;
		struct config c;

		g_test_message("%s %s", text, table[i].route);
		g_assert_cmpint(parse(text, &c, error), ==, 0);
		g_assert_cmpint(
			prefix_parse(table[i].route, strlen(table[i].route), &route), ==, 0);
		g_assert_true(config_allows_route(&c, &route) == table[i].allowed);
		config_done(&c);
	}
}

static void test_load(void)
{
	g_autofree char *dir = g_dir_make_tmp("lapwing-config-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(dir, "lapwing.json", NULL);
	char error[CONFIG_ERROR_MAX];
	struct config c;

	g_assert_cmpint(config_load(path, &c, error), ==, -ENOENT);
	g_assert_true(g_str_has_prefix(error, path));
	g_assert_true(g_file_set_contents(path, "{\n}", -1, NULL));
	g_assert_cmpint(chmod(path, 0644), ==, 0);
	g_assert_cmpint(config_load(path, &c, error), ==, 0);
	config_done(&c);
	g_assert_cmpint(chmod(path, 0666), ==, 0);
	g_assert_cmpint(config_load(path, &c, error), ==, -EPERM);
	g_assert_cmpint(chmod(path, 0644), ==, 0);
	g_assert_true(g_file_set_contents(path, "{\n\n\"a\"}", -1, NULL));
	g_assert_cmpint(chmod(path, 0644), ==, 0);
	g_assert_cmpint(config_load(path, &c, error), ==, -EINVAL);
	g_assert_true(g_str_has_prefix(error, path));
	g_assert_nonnull(strstr(error, "line 3"));
	g_unlink(path);
	g_rmdir(dir);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/config/defaults", test_defaults);
	g_test_add_func("/config/everything", test_everything);
	g_test_add_func("/config/network", test_network);
	g_test_add_func("/config/metrics", test_metrics);
	g_test_add_func("/config/refused", test_refused);
	g_test_add_func("/config/many_routes", test_many_routes);
	g_test_add_func("/config/allows_route", test_allows_route);
	g_test_add_func("/config/load", test_load);
	return g_test_run();
}
