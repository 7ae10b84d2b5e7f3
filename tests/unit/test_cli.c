/* tests/unit/test_cli.c - the CLI as a whole: command line, output, exit status, against a server
 * in a child process. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/jwrite.h"
#include "agent/base/key.h"
#include "agent/cli/cmd_netbird.h"
#include "agent/cli/command.h"
#include "agent/cli/output.h"
#include "agent/cli/secret.h"
#include "agent/cli/table.h"
#include "agent/control.h"
#include "mgmt/profile.h"

#define OTHER_KEY "kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM="
#define PSK "4oJGc8XDzPvj0Lz1PnJZ3y1S2vYSqFBJQ0W3Y0m1yHY="

static const char status_json[] =
	"{\"schema\":\"lapwing.status/1\",\"generated_at\":\"2026-01-01T00:00:00Z\",\"state\":\"%s\","
	"\"reason\":null,\"version\":\"9.9\",\"uptime_seconds\":90061,\"privileges\":\"user x\","
	"\"mesh\":{\"name\":\"prod\",\"file\":\"/m.json\",\"loaded_at\":\"2026-01-01T00:00:00Z\","
	"\"hosts\":3,\"error\":null},\"control\":{\"management\":{\"url\":\"https://m:443\","
	"\"state\":\"waiting\",\"state_seconds\":61,\"error\":\"no \\u001b[31m route\","
	"\"next_try_seconds\":7,\"cleartext\":true},\"signal\":{\"url\":\"https://s:443\","
	"\"state\":\"connected\",\"state_seconds\":61,\"error\":null,\"next_try_seconds\":null,"
	"\"sent\":5,\"sent_again\":0,\"not_sent\":1,\"waiting\":2,\"received\":{\"offers\":3,"
	"\"answers\":4,\"candidates\":6,\"go_idle\":0},\"dropped\":{\"ignored\":0,"
	"\"garbage\":7,\"forged\":8}},\"map\":{\"serial\":8,\"age_seconds\":3600,"
	"\"from\":\"disk\",\"left_out\":1},\"routes\":[{\"network_id\":\"lan\","
	"\"network\":\"10.1.0.0/16\",\"metric\":5,\"unused\":\"\"}],\"dns\":{\"enabled\":true,"
	"\"zones\":[{\"domain\":\"z.test\",\"records\":2}],\"servers\":[{\"servers\":"
	"\"192.0.2.1:53\",\"domains\":\"\"}]},\"refused\":[{\"network\":\"0.0.0.0/0\","
	"\"reason\":\"policy.default_route\"},{\"file\":\"/etc/sha\\u001b[31mdow\","
	"\"reason\":\"policy.file_checks\"},{\"jobs\":2,\"reason\":\"policy.jobs\"}],\"offline_peers\":[{\"name\":\"off\","
	"\"addresses\":\"100.64.0.9/32\"}],\"notes\":[\"peer x: bad key\"]},\"host\":{\"name\":\"db1\",\"public_key\":\"K\","
	"\"addresses\":[\"100.64.0.1/32\",\"fd00::1/128\"]},"
	"\"interface\":{\"name\":\"wt0\",\"index\":7,\"listen_port\":51820,\"mtu\":1420,"
	"\"adopted\":false,\"state\":\"up\",\"repairs\":2,\"conflict\":null},"
	"\"counts\":{\"total\":3,\"up\":1,\"parked\":1,\"unreachable\":1},\"pending\":0,"
	"\"lazy\":{\"enabled\":true,\"parked\":1,\"waking\":0,\"active\":1,\"permanent\":1,"
	"\"sentinels\":{\"own\":1,\"shared\":2,\"port\":4711,\"dropped\":0,\"problem\":null},"
	"\"idle_detection\":\"counters\",\"remote_wake\":\"events\"},"
	"\"problems\":[{\"class\":\"routes\",\"message\":\"no\\u001b[31m room\",\"since\":\"T\"}],"
	"\"routes\":{\"installed\":4},\"memory\":{\"rss_bytes\":6291456},\"peers\":[%s]}";
#define NO_WAKES \
	"\"wakes\":{\"count\":0,\"cause\":null,\"endpoint_us\":null,\"answer_us\":null,\"dropped\":0}"
static const char peer_json[] =
	"{\"name\":\"web\",\"public_key\":\"PK\",\"addresses\":[\"100.64.0.2/32\"],\"routes\":[],"
	"\"state\":\"up\",\"reason\":null,\"endpoint\":\"192.0.2.1:51820\","
	"\"last_handshake_seconds\":125,\"rx_bytes\":1536,\"tx_bytes\":10,"
	"\"keepalive_seconds\":25,\"holds\":[\"10.1.0.0/24\"],"
	"\"lazy\":\"active\",\"lazy_reason\":null,\"pinned\":false,\"last_inner_seconds\":61,"
	"\"idle_after_seconds\":900,\"wakes\":{\"count\":3,\"cause\":\"traffic\","
	"\"endpoint_us\":840,\"answer_us\":92400,\"dropped\":2},\"negotiation\":{\"phase\":\"up\",\"path\":\"192.0.2.1:51820\","
	"\"local_type\":\"host\",\"remote_type\":\"srflx\",\"problem\":null}},"
	"{\"name\":\"off\",\"public_key\":\"PK2\",\"addresses\":[],\"state\":\"unreachable\","
	"\"endpoint\":null,\"last_handshake_seconds\":null,\"rx_bytes\":0,\"tx_bytes\":0,"
	"\"lazy\":\"permanent\",\"lazy_reason\":\"keepalives\",\"pinned\":false,"
	"\"last_inner_seconds\":null,\"idle_after_seconds\":null," NO_WAKES "},"
	"{\"name\":\"zoe\",\"public_key\":\"PK3\",\"addresses\":[],\"state\":\"parked\","
	"\"endpoint\":null,\"last_handshake_seconds\":null,\"rx_bytes\":0,\"tx_bytes\":0,"
	"\"lazy\":\"parked\",\"lazy_reason\":null,\"pinned\":false,"
	"\"last_inner_seconds\":null,\"idle_after_seconds\":60," NO_WAKES "},"
	"{\"name\":\"key\",\"public_key\":\"PK4\",\"addresses\":[],\"state\":\"up\","
	"\"endpoint\":null,\"last_handshake_seconds\":null,\"rx_bytes\":0,\"tx_bytes\":0,"
	"\"lazy\":\"permanent\",\"lazy_reason\":\"pinned\",\"pinned\":true,"
	"\"last_inner_seconds\":null,\"idle_after_seconds\":null," NO_WAKES "}";

struct fixture {
	char *dir, *run;
	pid_t server;
	char *out, *err; /* of the last run */
	char *in; /* a file as standard input; NULL: none */
};

/* -- the server ------------------------------------------------------------------------------- */

static struct control *server;
static const char *server_state;

static gboolean send_events(void *user)
{
	control_publish(server,
		"{\"event\":\"lazy\",\"time\":\"2026-01-01T00:00:00Z\",\"name\":\"b\","
		"\"state\":\"active\",\"cause\":\"traffic\",\"message\":\"b is active (traffic)\"}");
	control_publish(server,
		"{\"event\":\"peer\",\"time\":\"2026-01-01T00:00:00Z\","
		"\"peer\":\"web\",\"message\":\"is up\",\"n\":3}");
	return G_SOURCE_CONTINUE;
}

static gboolean stop_server(void *user)
{
	control_close(server);
	_exit(0);
}

/* What becomes of these peers, whatever is asked. */
static const struct {
	const char *name, *lazy, *reason, *message;
	bool pinned, changed;
} fates[] = {
	{ "b", "waking", NULL, NULL, false, true },
	{ "up", "active", NULL, NULL, false, false },
	{ "asleep", "parked", NULL, NULL, false, true },
	{ "pinned", "permanent", "pinned", NULL, true, true },
	{ "twice", "permanent", "pinned", NULL, true, false },
	{ "nat", "permanent", "keepalives", NULL, false, false },
	{ "told", "waking", NULL, "it is slow\x1b", false, true },
};

static bool serve_peer(const struct control_request *request)
{
	GString *out = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(fates); i++) {
		if (strcmp(fates[i].name, request->peer))
			continue;
		jwrite_open(out, NULL, '{');
		jwrite_bool(out, "changed", fates[i].changed);
		jwrite_string(out, "message", fates[i].message);
		jwrite_open(out, "peers", '[');
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "name", fates[i].name);
		jwrite_string(out, "lazy", request->wait ? "active" : fates[i].lazy);
		jwrite_string(out, "lazy_reason", fates[i].reason);
		jwrite_bool(out, "pinned", fates[i].pinned);
		jwrite_close(out, '}');
		jwrite_close(out, ']');
		jwrite_close(out, '}');
		control_reply(server, request->client, out);
		return true;
	}
	g_string_free(out, TRUE);
	return false;
}

static void refuse_peer(const struct control_request *request)
{
	if (!strcmp(request->peer, "nobody"))
		control_error(server, request->client, EXIT_USAGE, "look", "no peer nobody");
	else if (!strcmp(request->peer, "far"))
		control_error(server, request->client, EXIT_UNREACHABLE, NULL, "no answer");
	else if (!strcmp(request->peer, "needed"))
		control_error(server, request->client, EXIT_NOT_APPLICABLE, NULL, "needed stays");
}

/* Tells what it was asked in its message; some servers are no good. */
static void serve_enroll(const struct control_request *request)
{
	static const struct {
		const char *url;
		enum exit_code code;
	} bad[] = {
		{ "https://used.example", EXIT_SETUP_KEY },
		{ "https://other.example", EXIT_REFUSED },
		{ "https://tls.example", EXIT_TLS },
		{ "https://mad.example", EXIT_PROTOCOL },
		{ "https://far.example", EXIT_UNREACHABLE },
	};
	GString *out;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		if (!strcmp(request->url, bad[i].url))
			return control_error(server, request->client, bad[i].code, NULL, "no");
	if (!strcmp(request->url, "https://slow.example"))
		return;
	out = g_string_new("{");
	jwrite_string(out, "schema", "lapwing.enroll/1");
	jwrite_string(out, "state", strstr(request->url, "bad") ? "degraded" : "ready");
	jwrite_bool(out, "changed", !strstr(request->url, "again"));
	jwrite_int(out, "code",
		strstr(request->url, "bad") && request->until == CONTROL_UNTIL_READY ? EXIT_PARTIAL
										     : EXIT_OK);
	g_string_append(out, ",\"message\":\"");
	g_string_append_printf(out, "%.4s %s%s%s%s until %d", request->setup_key, request->url,
		*request->hostname ? " as " : "", request->hostname,
		request->force ? " by force" : "", request->wait ? (int)request->until : -1);
	control_reply(server, request->client, g_string_append(out, "\"}"));
}

static void serve_import(const struct control_request *request)
{
	GString *out;

	if (!strstr(server_state, "new") && !request->force)
		return control_error(server, request->client, EXIT_REFUSED, "--force", "enrolled");
	out = g_string_new("{");
	jwrite_bool(out, "changed", request->profile_len > 0);
	jwrite_open(out, "imported", '[');
	jwrite_string(out, NULL, "PrivateKey");
	jwrite_string(out, NULL, "ManagementURL");
	jwrite_close(out, ']');
	jwrite_open(out, "ignored", '[');
	jwrite_string(out, NULL, "WgPort: 1");
	jwrite_close(out, ']');
	control_reply(server, request->client, g_string_append_c(out, '}'));
}

static bool serve_network(const struct control_request *request)
{
	if (!strcmp(request->command, "enroll"))
		serve_enroll(request);
	else if (!strcmp(request->command, "import"))
		serve_import(request);
	else if (!strcmp(request->command, "deregister"))
		control_reply(server, request->client,
			g_string_new(request->purge ? "{\"state\":\"waiting\",\"changed\":true}"
						    : "{\"changed\":false}"));
	else if (!strcmp(request->command, "export") && strstr(server_state, "none"))
		control_error(server, request->client, EXIT_NOT_ENROLLED, NULL, "not enrolled");
	else if (!strcmp(request->command, "export") && strstr(server_state, "peer"))
		control_reply(server, request->client,
			g_string_new("{\"schema\":\"lapwing.export/1\",\"profile\":"
				     "{\"PrivateKey\":\"" PSK "\",\"WgPort\":7}}"));
	else if (!strcmp(request->command, "export"))
		control_reply(server, request->client,
			g_string_new("{\"schema\":\"lapwing.export/1\",\"profile\":"
				     "{\"PrivateKey\":\"k\",\"DNSLabels\":[\"a\",\"b\"],"
				     "\"ManagementURL\":{\"Host\":\"h\"},\"X\":[],\"Y\":{}}}"));
	else
		return false;
	return true;
}

/* The state of the key that the answer tells of is the name of the peer. */
static void serve_psk(const struct control_request *request, bool set)
{
	GString *out = g_string_new(NULL);
	char key[KEY_STRLEN];

	g_string_printf(out,
		"{\"changed\":%s,\"message\":null,\"peers\":[{\"name\":\"b\",\"psk\":\"%s\"}]}",
		!set || !strcmp(key_format(&request->psk, key), PSK) ? "true" : "false",
		request->peer);
	control_reply(server, request->client, out);
}

static void serve(const struct control_request *request, void *user)
{
	GString *out;

	if (g_str_has_suffix(request->command, "-psk"))
		return serve_psk(request, request->command[0] == 's');

	if (serve_network(request))
		return;
	if (strstr("wake idle pin unpin", request->command)) {
		if (!serve_peer(request))
			refuse_peer(request);
		return;
	}
	out = g_string_new(NULL);
	if (!strcmp(request->command, "status")) {
		g_string_printf(out, status_json, server_state, peer_json);
		if (!strcmp(server_state, "down"))
			g_string_replace(out, "\"enabled\":true", "\"enabled\":false", 2);
		if (!strcmp(server_state, "degraded"))
			g_string_replace(out, "\"dropped\":0,\"problem\":null",
				"\"dropped\":5,\"problem\":\"no memory\"", 1);
	} else if (!strcmp(request->command, "peers") && !strcmp(request->peer, "nobody")) {
		g_string_free(out, TRUE);
		control_error(server, request->client, EXIT_USAGE, "look", "no peer nobody");
		return;
	} else if (!strcmp(request->command, "peers")) {
		g_string_printf(out, "{\"peers\":[%s]}", peer_json);
	} else if (!strcmp(request->command, "up") && request->until == CONTROL_UNTIL_CONTROL) {
		g_string_append(out, "{\"state\":\"degraded\",\"changed\":false}");
	} else if (!strcmp(request->command, "up") && request->wait) {
		g_string_free(out, TRUE); /* never settles */
		return;
	} else if (!strcmp(request->command, "down")) {
		g_string_free(out, TRUE);
		control_error(server, request->client, EXIT_PERMISSION, NULL, "only root");
		return;
	} else {
		g_string_printf(out,
			"{\"state\":\"ready\",\"changed\":true,\"level\":\"%s\",\"version\":\"9.9\"}",
			request->level[0] ? request->level : "info");
	}
	control_reply(server, request->client, out);
}

static void start_server(struct fixture *f, const char *state)
{
	g_autofree char *path = g_build_filename(f->run, "control.sock", NULL);
	int pipe_fds[2];
	char byte;

	g_assert_cmpint(pipe(pipe_fds), ==, 0);
	f->server = fork();
	if (f->server == 0) {
		server_state = state;
		if (control_open(path, NULL, serve, NULL, &server) < 0)
			_exit(1);
		g_timeout_add(10, send_events, NULL);
		/* A monitor ends with it; the other tests need it for longer. */
		g_timeout_add(
			g_str_has_suffix(state, ", briefly") ? 200 : 60000, stop_server, NULL);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		g_main_loop_run(g_main_loop_new(NULL, FALSE));
	}
	close(pipe_fds[1]);
	g_assert_cmpint(read(pipe_fds[0], &byte, 1), ==, 0);
	close(pipe_fds[0]);
}

/* -- running the CLI -------------------------------------------------------------------------- */

static void set_up(struct fixture *f, const void *data)
{
	f->dir = g_dir_make_tmp("lapwing-cli-XXXXXX", NULL);
	/* Where the daemon's user exists, root reads that user's key as that user. */
	g_assert_cmpint(g_chmod(f->dir, 0755), ==, 0);
	f->run = g_build_filename(f->dir, "run", NULL);
	g_assert_cmpint(g_mkdir(f->run, 0700), ==, 0);
	if (data)
		start_server(f, data);
}

static void tear_down(struct fixture *f, const void *data)
{
	g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

	if (f->server) {
		kill(f->server, SIGKILL);
		waitpid(f->server, NULL, 0);
	}
	g_free(f->out);
	g_free(f->err);
	g_free(f->in);
	g_assert_cmpint(system(command), ==, 0);
	g_free(f->dir);
	g_free(f->run);
}

/* Runs `lapwing ARGS` (words; %d is the directory) with its output caught; the exit status. */
static int run(struct fixture *f, const char *args)
{
	g_auto(GStrv) words = g_strsplit(args, " ", -1);
	g_autofree char *out = g_build_filename(f->dir, "out", NULL);
	g_autofree char *err = g_build_filename(f->dir, "err", NULL);
	char *argv[16] = { (char *)"lapwing", (char *)"--run", f->run };
	int argc = 3, status;
	pid_t child;

	for (char **word = words; *word; word++) {
		GString *text = g_string_new(*word);

		g_string_replace(text, "%d", f->dir, 0);
		g_free(*word);
		*word = argv[argc++] = g_string_free(text, FALSE);
	}
	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (!freopen(out, "w", stdout) || !freopen(err, "w", stderr) ||
			!freopen(f->in ? f->in : "/dev/null", "r", stdin))
			_exit(99);
		status = command_main(argc, argv);
		fflush(NULL);
		_exit(status);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	g_free(f->out);
	g_free(f->err);
	g_assert_true(g_file_get_contents(out, &f->out, NULL, NULL));
	g_assert_true(g_file_get_contents(err, &f->err, NULL, NULL));
	g_test_message("%s: %d\n%s%s", args, WEXITSTATUS(status), f->out, f->err);
	return WEXITSTATUS(status);
}

static json_t *parse_out(const struct fixture *f)
{
	json_error_t error;
	json_t *root = json_loads(f->out, 0, &error);

	if (!root)
		g_error("%s: %s", error.text, f->out);
	return root;
}

#define KEY "A2C8E62B-38F5-4553-B31E-DD66C696CEBB"

/* -- the command line ------------------------------------------------------------------------- */

static void test_parse(void)
{
	static const struct {
		const char *args;
		enum exit_code code;
		const char *command, *argument; /* or a part of the error */
	} table[] = {
		{ "status", EXIT_OK, "status", NULL },
		{ "status -d --json", EXIT_OK, "status", NULL },
		{ "--json --run=/x status", EXIT_OK, "status", NULL },
		{ "--run /x status --check ready", EXIT_OK, "status", NULL },
		{ "peers db1 --timeout=0.5", EXIT_OK, "peers", "db1" },
		{ "peers -- --json", EXIT_OK, "peers", "--json" },
		{ "wake db1 --wait", EXIT_OK, "wake", "db1" },
		{ "wake --help", EXIT_OK, "wake", NULL },
		{ "wake --version", EXIT_OK, "wake", NULL },
		{ "wake", EXIT_USAGE, NULL, "wake: PEER is missing" },
		{ "unpin", EXIT_USAGE, NULL, "unpin: PEER is missing" },
		{ "idle db1 --wait", EXIT_USAGE, NULL, "idle does not know --wait" },
		{ "pin a b", EXIT_USAGE, NULL, "what is 'b'?" },
		{ "psk set db1 --file=/k", EXIT_OK, "psk", "set" },
		{ "psk set db1 --file -", EXIT_OK, "psk", "set" },
		{ "psk --help", EXIT_OK, "psk", NULL },
		{ "psk set", EXIT_USAGE, NULL, "psk: set|clear PEER is missing" },
		{ "psk set db1 a", EXIT_USAGE, NULL, "what is 'a'?" },
		{ "psk set db1 --file=", EXIT_USAGE, NULL, "a file is wanted" },
		{ "psk set db1 --file=" PSK, EXIT_USAGE, NULL, "a key is no argument" },
		{ "psk set db1 " PSK, EXIT_USAGE, NULL, "a key is no argument" },
		{ "pin db1 --file=/k", EXIT_USAGE, NULL, "pin does not know --file" },
		{ "--help", EXIT_OK, NULL, NULL },
		{ "--version", EXIT_OK, NULL, NULL },
		{ "up --help", EXIT_OK, "up", NULL },
		{ "", EXIT_USAGE, NULL, "a command is missing" },
		{ "fly", EXIT_USAGE, NULL, "unknown command 'fly'" },
		{ "status -x", EXIT_USAGE, NULL, "unknown option '-x'" },
		{ "status -dx", EXIT_USAGE, NULL, "unknown option" },
		{ "status --jso", EXIT_USAGE, NULL, "unknown option '--jso'" },
		{ "status --json=yes", EXIT_USAGE, NULL, "--json takes no value" },
		{ "status --check=maybe", EXIT_USAGE, NULL, "--check: live or ready" },
		{ "status --check", EXIT_USAGE, NULL, "--check: live|ready is missing" },
		{ "--check ready status", EXIT_OK, "status", NULL },
		{ "status --check maybe", EXIT_USAGE, NULL, "--check: live|ready is missing" },
		{ "apply -f /x --check", EXIT_OK, "apply", NULL },
		{ "--check apply --file=/x --diff", EXIT_OK, "apply", NULL },
		{ "apply -f /x --check=live", EXIT_USAGE, NULL, "apply: --check takes no value" },
		{ "apply --config=", EXIT_USAGE, NULL, "--config: a file is wanted" },
		{ "plan -f - --exit-diff --force", EXIT_OK, "plan", NULL },
		{ "plan -f - --check", EXIT_USAGE, NULL, "plan does not know --check" },
		{ "up --check", EXIT_USAGE, NULL, "up does not know --check" },
		{ "metrics --per-peer --textfile /x", EXIT_OK, "metrics", NULL },
		{ "metrics --textfile=", EXIT_USAGE, NULL, "--textfile: a file is wanted" },
		{ "status --force", EXIT_USAGE, NULL, "status does not know --force" },
		{ "status --wait", EXIT_USAGE, NULL, "status does not know --wait" },
		{ "status db1", EXIT_USAGE, NULL, "status takes no argument" },
		{ "peers a b", EXIT_USAGE, NULL, "what is 'b'?" },
		{ "peers -- a b", EXIT_USAGE, NULL, "what is 'b'?" },
		{ "up --wait", EXIT_OK, "up", NULL },
		{ "up --wait=control", EXIT_OK, "up", NULL },
		{ "up --wait=ready --json", EXIT_OK, "up", NULL },
		{ "up --wait ready", EXIT_USAGE, NULL, "up takes no argument" },
		{ "up --wait=", EXIT_USAGE, NULL, "--wait: control or ready is wanted" },
		{ "up --wait=done", EXIT_USAGE, NULL, "--wait: control or ready is wanted" },
		{ "wake db1 --wait=ready", EXIT_USAGE, NULL, "wake: --wait takes no value" },
		{ "status --wait=ready", EXIT_USAGE, NULL, "status does not know --wait" },
		{ "enroll --management-url=https://a --setup-key-file /k", EXIT_OK, "enroll",
			NULL },
		{ "enroll --management-url=https://a --setup-key-stdin --force --wait", EXIT_OK,
			"enroll", NULL },
		{ "enroll --management-url=", EXIT_USAGE, NULL, "an URL is wanted" },
		{ "enroll --setup-key-file=", EXIT_USAGE, NULL, "a file is wanted" },
		{ "enroll --hostname=a_b", EXIT_USAGE, NULL, "a host name is wanted, not 'a_b'" },
		{ "enroll --hostname=" KEY, EXIT_OK, "enroll", NULL },
		{ "enroll --hostname " KEY, EXIT_OK, "enroll", NULL },
		{ "enroll " KEY, EXIT_USAGE, NULL, "a setup key is no argument" },
		{ KEY " enroll", EXIT_USAGE, NULL, "a setup key is no argument" },
		{ "enroll --setup-key " KEY, EXIT_USAGE, NULL, "a setup key is no argument" },
		{ "enroll --setup-key=x", EXIT_USAGE, NULL, "a setup key is no argument" },
		{ "enroll --setup-key-file=" KEY, EXIT_USAGE, NULL, "a setup key is no argument" },
		{ "enroll --setup-key-file " KEY, EXIT_USAGE, NULL, "a setup key is no argument" },
		{ "enroll --purge", EXIT_USAGE, NULL, "enroll does not know --purge" },
		{ "deregister --purge", EXIT_OK, "deregister", NULL },
		{ "import-netbird - --force", EXIT_OK, "import-netbird", "-" },
		{ "export-netbird /x", EXIT_OK, "export-netbird", "/x" },
		{ "status --timeout=0", EXIT_USAGE, NULL, "--timeout: seconds" },
		{ "status --timeout=-1", EXIT_USAGE, NULL, "--timeout: seconds" },
		{ "status --timeout=nan", EXIT_USAGE, NULL, "--timeout: seconds" },
		{ "status --timeout=1s", EXIT_USAGE, NULL, "--timeout: seconds" },
		{ "status --run=", EXIT_USAGE, NULL, "--run: a directory" },
		{ "status --run", EXIT_USAGE, NULL, "--run: DIR is missing" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *line = g_strdup_printf("lapwing %s", table[i].args);
		g_auto(GStrv) argv = g_strsplit(g_strchomp(line), " ", -1);
		const struct command *command;
		char error[COMMAND_ERROR_MAX];
		struct options o;
		enum exit_code code = command_parse(
			(int)g_strv_length(argv), argv, &command, &o, error);

		g_test_message("%s: %s", table[i].args, error);
		g_assert_cmpint(code, ==, table[i].code);
		g_assert_true(!strstr(error, KEY) && !strstr(error, PSK));
		if (code) {
			g_assert_nonnull(strstr(error, table[i].argument));
			continue;
		}
		g_assert_cmpstr(command ? command->name : NULL, ==, table[i].command);
		g_assert_cmpstr(o.argument, ==, table[i].argument);
	}
}

static void test_parse_values(void)
{
	const char *argv[] = { "lapwing", "--timeout", "2.5", "up", "--wait", "--run=/r", "--json",
		NULL };
	const struct command *command;
	char error[COMMAND_ERROR_MAX];
	struct options o;

	g_assert_cmpint(command_parse(7, (char **)argv, &command, &o, error), ==, EXIT_OK);
	g_assert_cmpstr(o.run_dir, ==, "/r");
	g_assert_cmpint(o.timeout_ms, ==, 2500);
	g_assert_true(o.wait && o.json && !o.detail && !o.force && !o.help);
	g_assert_cmpstr(o.until, ==, "ready");
	g_assert_cmpint(command_parse(1, (char **)argv + 3, &command, &o, error), ==, EXIT_USAGE);
	argv[2] = "status";
	g_assert_cmpint(command_parse(2, (char **)argv + 1, &command, &o, error), ==, EXIT_OK);
	g_assert_cmpint(o.timeout_ms, ==, 5000);
	g_assert_cmpstr(o.run_dir, ==, "/run/lapwing");
}

/* Whatever this machine is like, the findings are a document, and the exit status tells of the worst. */
static void test_doctor(struct fixture *f, const void *data)
{
	bool bad = run(f, "doctor --json --config=/nowhere") == EXIT_FAILED;

	g_assert_true(g_str_has_prefix(f->out, "{\"schema\":\"lapwing.doctor/1\","));
	g_assert_nonnull(strstr(f->out, "{\"check\":\"daemon\",\"result\":\"note\","));
	g_assert_cmpint(bad, ==, strstr(f->out, "\"result\":\"problem\"") != NULL);
	g_assert_cmpint(run(f, "doctor x"), ==, EXIT_USAGE);
}

/* Every command explains itself within a terminal's size. */
static void test_help(struct fixture *f, const void *data)
{
	g_autofree char *help = NULL;
	g_auto(GStrv) lines = NULL;

	g_assert_cmpint(run(f, "--help"), ==, EXIT_OK);
	help = g_strdup(f->out);
	lines = g_strsplit(help, "\n", -1);
	g_assert_cmpuint(g_strv_length(lines), <=, 24);
	for (char **line = lines; *line; line++)
		g_assert_cmpuint(strlen(*line), <=, 80);
	for (const struct command *c = commands; c->name; c++) {
		g_autofree char *args = g_strdup_printf("%s --help", c->name);

		g_assert_nonnull(strstr(help, c->name));
		g_assert_cmpint(run(f, args), ==, EXIT_OK);
		g_assert_true(g_str_has_prefix(f->out, "Usage: lapwing "));
	}
	g_assert_cmpint(run(f, "--version"), ==, EXIT_OK);
	g_assert_true(g_str_has_prefix(f->out, "lapwing "));
	g_assert_cmpint(run(f, "fly --json"), ==, EXIT_USAGE);
	g_assert_true(g_str_has_prefix(f->err, "lapwing: unknown command 'fly'\n"));
	g_assert_nonnull(strstr(f->out, "\"class\":\"usage\""));
}

/* Whatever stands before the word; its own options and errors. */
static void test_tune(struct fixture *f, const void *data)
{
	json_t *root;

	g_assert_cmpint(run(f, "tune --help"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "Usage: lapwing tune SUBCOMMAND"));
	g_assert_cmpint(run(f, "tune apply --help"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "--rollback-on-error"));
	g_assert_cmpint(run(f, "tune"), ==, EXIT_USAGE);
	g_assert_cmpint(run(f, "tune --version"), ==, EXIT_OK);
	g_assert_cmpint(run(f, "-- tune aply"), ==, EXIT_USAGE);
	g_assert_cmpint(run(f, "--json tune aply"), ==, EXIT_USAGE);
	g_assert_nonnull(strstr(f->err, "the nearest is apply"));
	root = parse_out(f);
	g_assert_cmpstr(get_text(json_object_get(root, "error"), "class"), ==, "usage");
	json_decref(root);
	g_assert_cmpint(run(f, "tune show --root=%d/none"), ==, EXIT_USAGE);
	g_assert_nonnull(strstr(f->err, "/none: No such file or directory"));
}

/* -- texts ------------------------------------------------------------------------------------ */

static void test_texts(void)
{
	static const struct {
		int64_t value;
		const char *bytes, *duration;
	} table[] = {
		{ 0, "0 B", "0s" },
		{ 59, "59 B", "59s" },
		{ 60, "60 B", "1m 0s" },
		{ 1023, "1023 B", "17m 3s" },
		{ 1024, "1.0 KiB", "17m 4s" },
		{ 3600, "3.5 KiB", "1h 0m" },
		{ 90061, "88.0 KiB", "1d 1h" },
		{ 1048575, "1.0 MiB", "12d 3h" },
		{ INT64_MAX, "8.0 EiB", "106751991167300d 15h" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_autofree char *bytes = text_bytes(table[i].value);
		g_autofree char *duration = text_duration(table[i].value);

		g_assert_cmpstr(bytes, ==, table[i].bytes);
		g_assert_cmpstr(duration, ==, table[i].duration);
	}
}

static void test_table(void)
{
	static const char *const headers[] = { "NAME", ">N", "END", NULL };
	struct table *table = table_new(headers);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	table_add(table, "a\x1b[1m");
	table_take(table, g_strdup("12345"));
	table_add(table, "");
	table_add(table, "\xc3\xa4");
	table_take(table, g_strdup("7"));
	table_add(table, "x");
	table_print(table, out);
	fclose(out);
	g_assert_cmpstr(text, ==,
		"NAME          N  END\n"
		"a\\x1b[1m  12345  -\n"
		"\xc3\xa4             7  x\n");
	free(text);
	table_free(table);
}

/* -- keys ------------------------------------------------------------------------------------- */

static void test_keys(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "state", "private.key", NULL);
	g_autofree char *dir = g_path_get_dirname(path), *public_key = NULL;
	struct wg_key key;
	struct stat st;

	g_assert_cmpint(run(f, "genkey %d/state/private.key"), ==, EXIT_OK);
	public_key = g_strdup(f->out);
	g_assert_cmpint(key_parse(public_key, strlen(public_key) - 1, &key), ==, 0);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpuint(st.st_nlink, ==, 1);
	g_assert_cmpint(stat(dir, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0700);
	g_assert_cmpint(run(f, "pubkey %d/state/private.key"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, public_key);
	/* Not replaced without being told so. */
	g_assert_cmpint(run(f, "genkey --json %d/state/private.key"), ==, EXIT_REFUSED);
	g_assert_nonnull(strstr(f->out, "\"error\":{\"code\":12,\"class\":\"refused\""));
	g_assert_cmpint(run(f, "pubkey %d/state/private.key"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, public_key);
	g_assert_cmpint(run(f, "genkey --force --json %d/state/private.key"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"changed\":true"));
	g_assert_cmpint(run(f, "pubkey %d/state/private.key"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, !=, public_key);
	/* Nothing half-made is left over. */
	g_unlink(path);
	g_assert_cmpint(g_rmdir(dir), ==, 0);
	g_assert_cmpint(run(f, "pubkey %d/state/private.key"), ==, EXIT_CONFIG);
	g_assert_cmpint(run(f, "genkey %d/no/such/private.key"), ==, EXIT_FAILED);
}

static void test_bad_keys(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "key", NULL);

	g_assert_cmpint(file_write(path, "hello\n", 6, 0600), ==, 0);
	g_assert_cmpint(run(f, "pubkey %d/key"), ==, EXIT_CONFIG);
	g_assert_cmpint(run(f, "genkey %d/key"), ==, EXIT_REFUSED);
	g_assert_cmpint(run(f, "genkey --force %d/key"), ==, EXIT_OK);
	g_assert_cmpint(chmod(path, 0644), ==, 0);
	g_assert_cmpint(run(f, "pubkey %d/key"), ==, EXIT_CONFIG);
}

/* -- check-config ----------------------------------------------------------------------------- */

static void put(const struct fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(f->dir, name, NULL);
	GString *whole = g_string_new(text);

	g_string_replace(whole, "%d", f->dir, 0);
	g_assert_cmpint(file_write(path, whole->str, whole->len, 0644), ==, 0);
	g_string_free(whole, TRUE);
}

static void test_check_config(struct fixture *f, const void *data)
{
	static const char mesh[] =
		"{\"mesh\":\"prod\",\"hosts\":[{\"name\":\"db1\",\"public_key\":\"%s\","
		"\"addresses\":[\"100.64.0.1\"]}]}";
	g_autofree char *text = NULL;

	g_assert_cmpint(run(f, "check-config %d/none.json"), ==, EXIT_CONFIG);
	put(f, "c.json", "{}");
	g_assert_cmpint(run(f, "check-config %d/c.json"), ==, EXIT_OK);
	put(f, "c.json", "{\n\"mesh\": 1}");
	g_assert_cmpint(run(f, "check-config %d/c.json"), ==, EXIT_CONFIG);
	g_assert_nonnull(strstr(f->err, "c.json: line 2: "));
	put(f, "c.json", "{\"mesh_file\":\"%d/m.json\",\"private_key_file\":\"%d/key\"}");
	g_assert_cmpint(run(f, "check-config %d/c.json"), ==, EXIT_CONFIG);
	g_assert_nonnull(strstr(f->err, "m.json: "));
	g_assert_cmpint(run(f, "genkey %d/key"), ==, EXIT_OK);
	text = g_strdup_printf(mesh, g_strchomp(f->out));
	put(f, "m.json", text);
	g_assert_cmpint(run(f, "check-config %d/c.json --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"mesh\":\"prod\",\"hosts\":1,\"host\":\"db1\""));
	g_assert_cmpint(run(f, "check-config %d/c.json"), ==, EXIT_OK);
	/* Another key than the mesh has for us. */
	g_assert_cmpint(run(f, "genkey --force %d/key"), ==, EXIT_OK);
	g_assert_cmpint(run(f, "check-config %d/c.json --json"), ==, EXIT_CONFIG);
	g_assert_nonnull(strstr(f->out, "no host has this host's public key"));
}

/* -- with a daemon ---------------------------------------------------------------------------- */

static void test_not_running(struct fixture *f, const void *data)
{
	static const char *const table[] = { "status", "status --check=live", "peers", "up", "down",
		"monitor", "log-level", "status --check=ready", "wake b --wait", "pin b",
		"deregister", "export-netbird" };

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_cmpint(run(f, table[i]), ==, EXIT_NOT_RUNNING);
		g_assert_cmpstr(f->out, ==, "");
	}
	g_assert_cmpint(run(f, "status --json"), ==, EXIT_NOT_RUNNING);
	g_assert_nonnull(strstr(f->out, "\"error\":{\"code\":3,\"class\":\"not_running\""));
	g_assert_cmpint(run(f, "version"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "does not answer"));
}

static void test_status(struct fixture *f, const void *data)
{
	json_t *root;

	g_assert_cmpint(run(f, "status"), ==, EXIT_OK);
	g_assert_true(g_str_has_prefix(f->out, "state      ready\n"));
	g_assert_nonnull(strstr(f->out, "interface  wt0 up, port 51820, MTU 1420, 2 repairs\n"));
	g_assert_nonnull(strstr(f->out, "peers      3, 1 up, 1 parked, 1 unreachable\n"));
	g_assert_nonnull(strstr(
		f->out, "lazy       1 parked, 1 active, 1 permanent; counters, events\ndaemon "));
	g_assert_nonnull(strstr(f->out, "daemon     9.9, since 1d 1h, 6.0 MiB\n"));
	g_assert_nonnull(strstr(f->out, "problem    routes: no\\x1b[31m room"));
	g_assert_null(strstr(f->out, "HANDSHAKE"));
	g_assert_cmpint(run(f, "status -d"), ==, EXIT_OK);
	g_assert_nonnull(strstr(
		f->out, "sentinels  1 of their own, 2 share port 4711, 0 packets dropped\n"));
	g_assert_nonnull(strstr(f->out, "HANDSHAKE"));
	g_assert_cmpint(run(f, "status --json --detail"), ==, EXIT_OK);
	root = parse_out(f);
	g_assert_cmpstr(get_text(root, "schema"), ==, "lapwing.status/1");
	json_decref(root);
	g_assert_cmpint(run(f, "status --check=ready"), ==, EXIT_OK);
	g_assert_cmpint(run(f, "status --check=live"), ==, EXIT_OK);
}

/* Of a server: in short, and with -d what its map says beside peers. */
static void test_status_control(struct fixture *f, const void *data)
{
	static const char *const shorter[] = {
		"management https://m:443, waiting for 1m 1s: no \\x1b[31m route, next try in 7 s\n",
		"warning    without TLS anybody on the way can be that server\n",
		"signal     https://s:443, connected for 1m 1s\n",
		"map        serial 8 from the disk, 1h 0m old, not all of it could be taken: status -d\n",
	};
	static const char *const longer[] = {
		("messages   5 sent, 2 waiting, 1 not sent; 3 offers, 4 answers, 6 candidates received; "
		 "dropped: garbage 7, forged 8\n"),
		"route      lan 10.1.0.0/16, metric 5\n",
		"zone       z.test, 2 records\n",
		"resolver   192.0.2.1:53\n",
		"refused    route to 0.0.0.0/0: policy.default_route\n",
		"refused    to look for /etc/sha\\x1b[31mdow: policy.file_checks\n",
		"refused    jobs, 2 so far: policy.jobs\n",
		"offline    off, 100.64.0.9/32\n",
		"note       peer x: bad key\n",
	};

	g_assert_cmpint(run(f, "status"), ==, EXIT_OK);
	for (size_t i = 0; i < G_N_ELEMENTS(shorter); i++)
		g_assert_nonnull(strstr(f->out, shorter[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(longer); i++)
		g_assert_null(strstr(f->out, longer[i]));
	g_assert_cmpint(run(f, "status -d"), ==, EXIT_OK);
	for (size_t i = 0; i < G_N_ELEMENTS(longer); i++)
		g_assert_nonnull(strstr(f->out, longer[i]));
}

static void test_status_off(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "status -d"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "lazy       off\ndaemon "));
}

static void test_status_degraded(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "status"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, ", 5 packets dropped: no memory\n"));
	g_assert_cmpint(run(f, "status --check=live"), ==, EXIT_OK);
	g_assert_cmpint(run(f, "status --check=ready"), ==, EXIT_FAILED);
	g_assert_cmpint(run(f, "status --check=ready --json"), ==, EXIT_FAILED);
	g_assert_nonnull(strstr(f->out, "\"state\":\"degraded\""));
	g_assert_cmpstr(f->err, ==, "");
}

static void test_peers(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "peers"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==,
		"NAME  ADDRESS        STATE        LAZY       WAKES             ENDPOINT         HANDSHAKE  INNER       RX    TX  PATH\n"
		"web   100.64.0.2/32  up           yes        3, 92 ms, 2 lost  192.0.2.1:51820      2m 5s  1m 1s  1.5 KiB  10 B  host to srflx\n"
		"off   -              unreachable  permanent  0                 -                        -      -      0 B   0 B  -\n"
		"zoe   -              parked       yes        0                 -                        -      -      0 B   0 B  -\n"
		"key   -              up           pinned     0                 -                        -      -      0 B   0 B  -\n");
	g_assert_cmpint(run(f, "peers web"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "handshake  2m 5s ago\n"));
	g_assert_nonnull(strstr(f->out, "holds      10.1.0.0/24\n"));
	g_assert_nonnull(strstr(f->out,
		"lazy       active, idle after 15m 0s\ninner      1m 1s ago\n"
		"wakes      3, the last by traffic, endpoint set after 0.8 ms, answer after 92.4 ms; "
		"2 packets dropped\n"));
	g_assert_nonnull(strstr(f->out, "lazy       no: keepalives\ninner      -\n\n"));
	g_assert_cmpint(run(f, "peers --json"), ==, EXIT_OK);
	json_decref(parse_out(f));
	g_assert_cmpint(run(f, "peers nobody"), ==, EXIT_USAGE);
	g_assert_cmpstr(f->err, ==, "lapwing: no peer nobody\nlapwing: hint: look\n");
}

static void test_changes(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "up"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "up: ready\n");
	g_assert_cmpint(run(f, "up --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"changed\":true"));
	g_assert_cmpint(run(f, "up --wait --timeout=0.1"), ==, EXIT_TIMEOUT);
	g_assert_cmpint(run(f, "up --wait=control"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "already up: degraded\n");
	g_assert_cmpint(run(f, "down"), ==, EXIT_PERMISSION);
	g_assert_cmpint(run(f, "log-level"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "info\n");
	g_assert_cmpint(run(f, "log-level debug"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "debug\n");
	g_assert_cmpint(run(f, "version --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"daemon_version\":\"9.9\""));
}

static void test_peer_changes(struct fixture *f, const void *data)
{
	static const struct {
		const char *args;
		enum exit_code code;
		const char *out;
	} table[] = {
		{ "wake b", EXIT_OK, "b: waking\n" },
		{ "wake b --wait", EXIT_OK, "b: active\n" },
		{ "wake up", EXIT_OK, "up: already active\n" },
		{ "wake nat", EXIT_OK, "nat: already up at all times (keepalives)\n" },
		{ "wake told", EXIT_OK, "told: waking: it is slow\\x1b\n" },
		{ "wake twice", EXIT_OK, "twice: already pinned, stays up\n" },
		{ "wake far", EXIT_UNREACHABLE, "" },
		{ "wake nobody", EXIT_USAGE, "" },
		{ "idle asleep", EXIT_OK, "asleep: parked\n" },
		{ "idle needed", EXIT_NOT_APPLICABLE, "" },
		{ "pin pinned", EXIT_OK, "pinned: pinned, stays up\n" },
		{ "pin twice", EXIT_OK, "twice: already pinned, stays up\n" },
		{ "unpin b", EXIT_OK, "b: waking\n" },
		{ "unpin up", EXIT_OK, "up: was not pinned; active\n" },
		{ "unpin nat", EXIT_OK, "nat: was not pinned; up at all times (keepalives)\n" },
		{ "wake silent --wait --timeout=0.1", EXIT_TIMEOUT, "" },
		{ "wake silent --timeout=0.1", EXIT_NOT_RUNNING, "" },
	};
	json_t *root;

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_cmpint(run(f, table[i].args), ==, table[i].code);
		g_assert_cmpstr(f->out, ==, table[i].out);
	}
	g_assert_cmpint(run(f, "pin pinned --json"), ==, EXIT_OK);
	root = parse_out(f);
	g_assert_true(get_bool(root, "changed"));
	g_assert_true(get_bool(json_array_get(json_object_get(root, "peers"), 0), "pinned"));
	json_decref(root);
	g_assert_cmpint(run(f, "wake far --json"), ==, EXIT_UNREACHABLE);
	g_assert_nonnull(strstr(f->out, "\"class\":\"unreachable\""));
}

/* -- networks --------------------------------------------------------------------------------- */

static void put_secret(const struct fixture *f, const char *name, const char *text, mode_t mode)
{
	g_autofree char *path = g_build_filename(f->dir, name, NULL);

	g_assert_cmpint(file_write(path, text, strlen(text), mode), ==, 0);
}

static void test_psk(struct fixture *f, const void *data)
{
	static const struct {
		const char *args;
		enum exit_code code;
		const char *out;
	} table[] = {
		{ "psk set set --file=%d/psk", EXIT_OK, "b: pre-shared key set\n" },
		{ "psk set set --file=%d/open", EXIT_OK, "b: pre-shared key set\n" },
		{ "psk set set --file=%d/other", EXIT_OK, "b: pre-shared key was already set\n" },
		{ "psk set set --file=%d/zero", EXIT_CONFIG, "" },
		{ "psk set set --file=%d/bad", EXIT_CONFIG, "" },
		{ "psk set set --file=%d/none", EXIT_CONFIG, "" },
		{ "psk set set", EXIT_USAGE, "" },
		{ "psk show set", EXIT_USAGE, "" },
		{ "psk clear none", EXIT_OK, "b: cleared\n" },
		{ "psk clear mesh", EXIT_OK, "b: cleared; that of the mesh holds\n" },
		{ "psk clear outside", EXIT_OK, "b: cleared; that of somebody else stays\n" },
		{ "psk clear none --file=%d/psk", EXIT_USAGE, "" },
	};

	put_secret(f, "psk", PSK "\n", 0600);
	put_secret(f, "open", " " PSK, 0644);
	put_secret(f, "other", "6oJGc8XDzPvj0Lz1PnJZ3y1S2vYSqFBJQ0W3Y0m1yHY=", 0600);
	put_secret(f, "zero", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0600);
	put_secret(f, "bad", PSK "x", 0600);
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_test_message("%s", table[i].args);
		g_assert_cmpint(run(f, table[i].args), ==, table[i].code);
		g_assert_cmpstr(f->out, ==, table[i].out);
		g_assert_null(strstr(f->err, PSK));
		g_assert_true(!strstr(f->err, "everybody") == !strstr(table[i].args, "open"));
	}
}

static void test_enroll(struct fixture *f, const void *data)
{
	static const struct {
		const char *args;
		enum exit_code code;
		const char *out;
	} table[] = {
		{ "enroll --management-url=https://a --setup-key-file=%d/key", EXIT_OK,
			"a2c8 https://a until -1: ready\n" },
		{ "enroll --management-url=https://a --setup-key-file=%d/key --hostname=db --force "
		  "--wait=control",
			EXIT_OK, "a2c8 https://a as db by force until 1: ready\n" },
		{ "enroll --management-url=https://again --setup-key-file=%d/key", EXIT_OK,
			"a2c8 https://again until -1: ready\n" },
		{ "enroll --management-url=https://bad --setup-key-file=%d/key --wait=control",
			EXIT_OK, "a2c8 https://bad until 1: degraded\n" },
		{ "enroll --management-url=https://bad --setup-key-file=%d/key --wait",
			EXIT_PARTIAL, "a2c8 https://bad until 2: degraded\n" },
		{ "enroll --management-url=https://used.example --setup-key-file=%d/key",
			EXIT_SETUP_KEY, "" },
		{ "enroll --management-url=https://other.example --setup-key-file=%d/key",
			EXIT_REFUSED, "" },
		{ "enroll --management-url=https://tls.example --setup-key-file=%d/key", EXIT_TLS,
			"" },
		{ "enroll --management-url=https://mad.example --setup-key-file=%d/key",
			EXIT_PROTOCOL, "" },
		{ "enroll --management-url=https://far.example --setup-key-file=%d/key",
			EXIT_UNREACHABLE, "" },
		{ "enroll --management-url=https://slow.example --setup-key-file=%d/key "
		  "--timeout=0.1",
			EXIT_TIMEOUT, "" },
		{ "enroll --management-url=https://a --setup-key-file=%d/none", EXIT_CONFIG, "" },
		{ "enroll --management-url=https://a --setup-key-file=%d", EXIT_CONFIG, "" },
		{ "enroll --management-url=https://a --setup-key-file=%d/nokey", EXIT_SETUP_KEY,
			"" },
		{ "enroll --management-url=https://a --setup-key-file=%d/long", EXIT_CONFIG, "" },
		{ "enroll --management-url=https://a --setup-key-file=%d/key --setup-key-stdin",
			EXIT_USAGE, "" },
		{ "enroll --management-url=https://a", EXIT_USAGE, "" },
		{ "enroll --setup-key-file=%d/key", EXIT_USAGE, "" },
	};
	g_autofree char *filler = g_strnfill(5000, ' ');

	put_secret(f, "key", " " KEY "\r\n", 0600);
	put_secret(f, "nokey", KEY "0\n", 0600);
	put_secret(f, "long", filler, 0600);
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		g_assert_cmpint(run(f, table[i].args), ==, table[i].code);
		g_assert_cmpstr(f->out, ==, table[i].out);
		g_assert_true(!strstr(f->err, KEY) && !strstr(f->err, "warning"));
	}
	g_assert_cmpint(
		run(f, "enroll --management-url=https://used.example --setup-key-file=%d/key --json"),
		==, EXIT_SETUP_KEY);
	g_assert_nonnull(strstr(f->out, "\"error\":{\"code\":15,\"class\":\"setup_key\""));
	g_assert_cmpint(run(f, "enroll --management-url=https://a --setup-key-file=%d/key --json"),
		==, EXIT_OK);
	g_assert_true(g_str_has_prefix(f->out, "{\"schema\":\"lapwing.enroll/1\""));
}

/* Where else the key may come from, and who can see it there. */
static void test_setup_keys(struct fixture *f, const void *data)
{
	static const char enroll[] = "enroll --management-url=https://a";

	put_secret(f, "key", KEY, 0644);
	g_assert_cmpint(
		run(f, "enroll --management-url=https://a --setup-key-file=%d/key"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->err, "warning: everybody on this host can read "));
	g_assert_cmpint(
		run(f, "enroll --management-url=https://a --setup-key-stdin"), ==, EXIT_SETUP_KEY);
	f->in = g_build_filename(f->dir, "key", NULL);
	g_assert_cmpint(run(f, "enroll --management-url=https://a --setup-key-stdin"), ==, EXIT_OK);
	g_assert_cmpstr(f->err, ==, "");
	/* The credential counts when neither option is there. */
	g_setenv("CREDENTIALS_DIRECTORY", f->dir, TRUE);
	g_assert_cmpint(run(f, enroll), ==, EXIT_USAGE);
	g_assert_nonnull(strstr(f->err, "or the credential lapwing.setup-key"));
	put_secret(f, "lapwing.setup-key", KEY, 0400);
	g_assert_cmpint(run(f, enroll), ==, EXIT_OK);
	put_secret(f, "lapwing.setup-key", "no key", 0400);
	g_assert_cmpint(run(f, enroll), ==, EXIT_SETUP_KEY);
	g_assert_cmpint(
		run(f, "enroll --management-url=https://a --setup-key-file=%d/key"), ==, EXIT_OK);
	g_unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_deregister(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "deregister"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "not enrolled, nothing to leave\n");
	g_assert_cmpint(run(f, "deregister --purge"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "left, the key is deleted: waiting\n");
	g_assert_cmpint(run(f, "deregister --purge --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"changed\":true"));
}

#define PROFILE \
	"{\n  \"PrivateKey\": \"kJ5Q+wwZ3cLqOTHnTrq4ZZZlrAPqTIFEHRuIDdEMrlM=\",\n" \
	"  \"ManagementURL\": \"https://nb.example\"%s\n}\n"

static void test_import(struct fixture *f, const void *data)
{
	g_autofree char *good = g_strdup_printf(PROFILE, ""), *big = NULL, *fill = NULL;
	g_autofree char *bad = g_strdup_printf(PROFILE, ",\n  \"WgPort\": \"x\"");

	put_secret(f, "good.json", good, 0600);
	put_secret(f, "bad.json", bad, 0600);
	g_assert_cmpint(run(f, "import-netbird %d/good.json"), ==, EXIT_OK);
	g_assert_nonnull(
		strstr(f->out, "good.json: PrivateKey, ManagementURL\nignored: WgPort: 1\n"));
	g_assert_true(g_str_has_prefix(f->out, "imported from /"));
	g_assert_cmpint(run(f, "import-netbird %d/bad.json"), ==, EXIT_CONFIG);
	g_assert_nonnull(strstr(f->err, "bad.json: line 4: WgPort: a number is wanted"));
	g_assert_cmpint(run(f, "import-netbird %d/none.json --json"), ==, EXIT_CONFIG);
	g_assert_nonnull(strstr(f->out, "none.json: there is no profile"));
	put_secret(f, "open.json", good, 0644);
	g_assert_cmpint(run(f, "import-netbird %d/open.json"), ==, EXIT_CONFIG);
	g_assert_cmpint(run(f, "import-netbird -"), ==, EXIT_CONFIG);
	f->in = g_build_filename(f->dir, "good.json", NULL);
	g_assert_cmpint(run(f, "import-netbird - --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"imported\":[\"PrivateKey\""));
	/* The largest one gets through. */
	fill = g_strnfill(PROFILE_SIZE_MAX - strlen(good) - 1, ' ');
	big = g_strconcat(good, fill, "\n", NULL);
	put_secret(f, "big.json", big, 0600);
	g_assert_cmpint(run(f, "import-netbird %d/big.json"), ==, EXIT_OK);
	g_free(big);
	big = g_strconcat(good, fill, "\n\n", NULL);
	put_secret(f, "big.json", big, 0600);
	g_assert_cmpint(run(f, "import-netbird %d/big.json"), ==, EXIT_CONFIG);
}

static void test_import_refused(struct fixture *f, const void *data)
{
	g_autofree char *good = g_strdup_printf(PROFILE, "");

	put_secret(f, "good.json", good, 0600);
	g_assert_cmpint(run(f, "import-netbird %d/good.json"), ==, EXIT_REFUSED);
	g_assert_cmpint(run(f, "import-netbird %d/good.json --force"), ==, EXIT_OK);
}

/* The first that is there counts, also when it is no good. */
static void test_find_profile(struct fixture *f, const void *data)
{
	g_autofree char *one = g_build_filename(f->dir, "one", NULL);
	g_autofree char *two = g_build_filename(f->dir, "two", NULL);
	const char *const places[] = { one, two, NULL };
	const char *path;
	struct failure failure;
	char *text;
	size_t len;

	g_assert_cmpint(netbird_find(places, &path, &text, &len, &failure), ==, EXIT_CONFIG);
	g_assert_true(g_str_has_prefix(failure.message, one));
	put_secret(f, "two", "2", 0600);
	g_assert_cmpint(netbird_find(places, &path, &text, &len, &failure), ==, EXIT_OK);
	g_assert_cmpstr(path, ==, two);
	g_assert_cmpstr(text, ==, "2");
	secret_free(text, len);
	put_secret(f, "one", "1", 0644);
	g_assert_cmpint(netbird_find(places, &path, &text, &len, &failure), ==, EXIT_CONFIG);
	g_assert_true(g_str_has_prefix(failure.message, one));
}

static void test_export(struct fixture *f, const void *data)
{
	static const char profile[] = "{\n"
				      "    \"PrivateKey\": \"k\",\n"
				      "    \"DNSLabels\": [\n"
				      "        \"a\",\n"
				      "        \"b\"\n"
				      "    ],\n"
				      "    \"ManagementURL\": {\n"
				      "        \"Host\": \"h\"\n"
				      "    },\n"
				      "    \"X\": [],\n"
				      "    \"Y\": {}\n"
				      "}\n";
	g_autofree char *path = g_build_filename(f->dir, "nb.json", NULL), *text = NULL;
	struct stat st;

	g_assert_cmpint(run(f, "export-netbird"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, profile);
	g_assert_cmpint(run(f, "export-netbird --json"), ==, EXIT_OK);
	g_assert_nonnull(strstr(f->out, "\"profile\":{\"PrivateKey\":"));
	g_assert_cmpint(run(f, "export-netbird %d/nb.json --json"), ==, EXIT_OK);
	g_assert_null(strstr(f->out, "PrivateKey"));
	g_assert_nonnull(strstr(f->out, "\"changed\":true,\"file\":\""));
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, profile);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpuint(st.st_nlink, ==, 1);
	put_secret(f, "nb.json", "old", 0644);
	g_assert_cmpint(run(f, "export-netbird %d/nb.json"), ==, EXIT_REFUSED);
	g_assert_cmpint(run(f, "export-netbird %d/nb.json --force"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "");
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mode & 07777, ==, 0600);
	g_assert_cmpint(run(f, "export-netbird %d/no/such"), ==, EXIT_FAILED);
}

/* Back to that agent: what it had set for itself is still there. */
static void test_export_over(struct fixture *f, const void *data)
{
	g_autofree char *path = g_build_filename(f->dir, "nb.json", NULL), *text = NULL;

	put_secret(f, "nb.json",
		"{\"PrivateKey\":\"" OTHER_KEY
		"\",\"WgPort\":9,\"DisableDNS\":true,\"BlockInbound\":true,\"DNSLabels\":[\"web\"]}",
		0600);
	g_assert_cmpint(run(f, "export-netbird %d/nb.json --force"), ==, EXIT_OK);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "\"PrivateKey\": \"" PSK "\""));
	g_assert_null(strstr(text, OTHER_KEY));
	g_assert_nonnull(strstr(text, "\"WgPort\": 7"));
	g_assert_nonnull(strstr(text, "\"DisableDNS\": true"));
	g_assert_nonnull(strstr(text, "\"BlockInbound\": true"));
	g_assert_nonnull(strstr(text, "\"web\""));
}

static void test_export_none(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "export-netbird %d/nb.json"), ==, EXIT_NOT_ENROLLED);
}

/* Until the daemon ends. */
static void test_monitor(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "monitor"), ==, EXIT_NOT_RUNNING);
	g_assert_true(g_str_has_prefix(f->out,
		"2026-01-01T00:00:00Z lazy b is active (traffic)\n"
		"2026-01-01T00:00:00Z peer peer=web message=\"is up\" n=3\n"));
	g_assert_nonnull(strstr(f->err, "closed the connection"));
}

/* Names, types and labels are part of the interface. */
static void test_metrics(struct fixture *f, const void *data)
{
	static const char *const lines[] = {
		"# TYPE lapwing_up gauge\nlapwing_up 1\n",
		"lapwing_build_info{version=\"9.9\",kernel=\"",
		"lapwing_state{state=\"ready\"} 1\n",
		"lapwing_state{state=\"down\"} 0\n",
		"lapwing_problems 1\n",
		"lapwing_resident_memory_bytes 6291456\n",
		"lapwing_interface_up 1\n",
		"# TYPE lapwing_interface_repairs_total counter\nlapwing_interface_repairs_total 2\n",
		"lapwing_peers{state=\"up\"} 1\n",
		"lapwing_lazy_peers{state=\"permanent\"} 1\n",
		"lapwing_mesh_error 0\n",
		"lapwing_server_up{server=\"management\"} 0\nlapwing_server_up{server=\"signal\"} 1\n",
		"lapwing_signal_dropped_total{reason=\"forged\"} 8\n",
	};
	g_autofree char *path = g_build_filename(f->dir, "lapwing.prom", NULL), *text = NULL;

	g_assert_cmpint(run(f, "metrics"), ==, EXIT_OK);
	for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
		if (!strstr(f->out, lines[i]))
			g_error("%s is missing", lines[i]);
	/* What is not known is not told, its family neither. */
	g_assert_null(strstr(f->out, "lapwing_firewall"));
	g_assert_null(strstr(f->out, "null"));
	g_assert_cmpint(run(f, "metrics --per-peer --textfile=%d/lapwing.prom"), ==, EXIT_OK);
	g_assert_cmpstr(f->out, ==, "");
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(
		text, "lapwing_peer_receive_bytes_total{peer=\"web\",public_key=\"PK\"} 1536\n"));
	g_assert_nonnull(strstr(text, "lapwing_peer_up{peer=\"off\",public_key=\"PK2\"} 0\n"));
	g_assert_null(strstr(text, "age_seconds{peer=\"off\""));
	g_assert_cmpint(run(f, "metrics --textfile=%d/none/x"), ==, EXIT_FAILED);
}

static void test_metrics_away(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "metrics"), ==, EXIT_NOT_RUNNING);
	g_assert_nonnull(strstr(f->out, "\nlapwing_up 0\n"));
	g_assert_nonnull(strstr(f->err, "is not running"));
}

static void test_monitor_json(struct fixture *f, const void *data)
{
	g_assert_cmpint(run(f, "monitor --json"), ==, EXIT_NOT_RUNNING);
	g_assert_true(g_str_has_prefix(f->out, "{\"v\":1,\"event\":\"lazy\","));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/cli/parse", test_parse);
	g_test_add_func("/cli/parse_values", test_parse_values);
	g_test_add_func("/cli/texts", test_texts);
	g_test_add_func("/cli/table", test_table);
#define ADD(name, state) \
	g_test_add("/cli/" #name, struct fixture, state, set_up, test_##name, tear_down)
	ADD(help, NULL);
	ADD(doctor, NULL);
	ADD(tune, NULL);
	ADD(keys, NULL);
	ADD(bad_keys, NULL);
	ADD(check_config, NULL);
	ADD(not_running, NULL);
	ADD(status, "ready");
	ADD(status_control, "ready");
	ADD(status_off, "down");
	ADD(status_degraded, "degraded");
	ADD(peers, "ready");
	ADD(changes, "ready");
	ADD(peer_changes, "ready");
	ADD(psk, "ready");
	ADD(enroll, "ready");
	ADD(setup_keys, "ready");
	ADD(deregister, "ready");
	ADD(import, "new");
	ADD(import_refused, "ready");
	ADD(find_profile, NULL);
	ADD(export, "ready");
	ADD(export_over, "peer");
	ADD(export_none, "none");
	ADD(metrics, "ready");
	ADD(metrics_away, NULL);
	ADD(monitor, "ready, briefly");
	ADD(monitor_json, "ready, briefly");
	return g_test_run();
}
