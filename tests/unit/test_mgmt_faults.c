/* tests/unit/test_mgmt_faults.c - the management client when its connection or its server hangs or breaks.
 *
 * All at once, as each takes its time to be noticed; with FAULT_S=240 the faults last so long and the tries
 * in each minute are counted. */
#include <glib.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/unit/hubserver.h"

enum {
	NOTICED_MS = 30 * 1000,
	GROWN_MS = 45 * 1000, /* from then on there are few tries */
	BACK_MS = 2 * 15 * 1000 + 5000, /* the longest wait, and the calls */
	TRIES_MAX = 1000,
};

#define CALM "'goaway', 'code': 11, 'last': 0, 'debug': 'too_many_pings'"
/* In place of the proxy's commands: the hub itself stands still. */
#define STOPPED \
	{ \
		NULL \
	}

static const struct fault {
	const char *name;
	const char *commands[3]; /* to the proxy */
	bool tls, lasts; /* lasts: till `clear`; else it is over when it was noticed */
	const char *error; /* part of what the status says at first; NULL: any */
} faults[] = {
	{ "half-open", { "'blackhole'", "'mode', 'name': 'silent'" }, false, true,
		"does not answer" },
	{ "half-open, TLS", { "'blackhole'", "'mode', 'name': 'silent'" }, true, true,
		"does not answer" },
	{ "half-open, others get through", { "'blackhole'" }, false, false, NULL },
	{ "deaf", { "'blackhole', 'way': 'up'", "'mode', 'name': 'silent'" }, false, true,
		"does not answer" },
	{ "stalled", { "'stall'", "'mode', 'name': 'silent'" }, false, true, "does not answer" },
	{ "GOAWAY", { "'goaway', 'code': 0, 'last': 0", "'mode', 'name': 'refuse'" }, false, true,
		NULL },
	{ "GOAWAY for PINGs", { CALM, "'mode', 'name': 'refuse'" }, false, true, "too_many_pings" },
	{ "GOAWAY for PINGs, others get through", { CALM, "'close'" }, false, false, NULL },
	{ "GOAWAY, then silence",
		{ "'goaway', 'code': 0", "'blackhole'", "'mode', 'name': 'silent'" }, false, true,
		"does not answer" },
	{ "GOAWAY, then the end", { "'goaway', 'code': 0", "'close'" }, false, false, NULL },
	{ "RST", { "'cut'", "'mode', 'name': 'refuse'" }, false, true, NULL },
	{ "RST, TLS", { "'cut'", "'mode', 'name': 'refuse'" }, true, true, NULL },
	{ "RST of both streams", { "'rst', 'code': 2", "'rst', 'code': 2" }, false, false, NULL },
	{ "the server stands still", STOPPED, false, true, "does not answer" },
	{ "the server stands still, TLS", STOPPED, true, true, "does not answer" },
};

struct run {
	const struct fault *fault;
	struct hub hub; /* the proxy; for STOPPED the hub itself */
	const struct hub *server;
	struct follower f;
	uint64_t attempts; /* before */
	int maps, updates;
	char error[MGMT_ERROR_MAX]; /* when it was noticed */
	int64_t struck_us, noticed_us;
	int64_t tries_us[TRIES_MAX];
	size_t n_tries;
};

static struct hub hub;
static char *directory, *ca, *cert, *key;
static struct run runs[G_N_ELEMENTS(faults)];

#define EACH(r) (struct run *r = runs; r < runs + G_N_ELEMENTS(runs); r++)

static void start(struct run *r, const struct fault *fault)
{
	bool stops = !fault->commands[0];
	g_autofree char *to = g_strdup_printf("127.0.0.1:%d", hub.port), *url = NULL, *setup = NULL;
	struct mgmt_options options = { .ca_file = ca };

	r->fault = fault;
	if (stops)
		hub_start(&r->hub, 0,
			(const char *[]){
				"--tls", "127.0.0.1:0", "--cert", cert, "--key", key, NULL });
	else
		hub_spawn(&r->hub, "tests/hub/fault_proxy.py",
			(const char *[]){ "--to", to, fault->tls ? "--cert" : NULL, cert, "--key",
				key, NULL });
	r->server = stops ? &r->hub : &hub;
	url = g_strdup_printf("%s://localhost:%d", fault->tls ? "https" : "http",
		stops && fault->tls ? r->hub.tls_port : r->hub.port);
	setup = hub_text(r->server, "{'do': 'add-key'}");
	follower_new(&r->f, url, &options);
	mgmt_client_start(r->f.client, setup);
}

static bool is_well(const struct run *r)
{
	return IS(&r->f, MGMT_CONNECTED) && r->f.maps > r->maps && hub_has_job(r->server, r->f.key);
}

/* Each that joins makes maps for others: none has come for a second. */
static bool is_quiet(void)
{
	static int64_t since_us;
	static int before;
	int maps = 0;

	for
		EACH(r)
	maps += r->f.maps;
	if (maps != before || !since_us)
		since_us = g_get_monotonic_time();
	before = maps;
	return g_get_monotonic_time() - since_us >= G_USEC_PER_SEC;
}

static void strike(struct run *r)
{
	r->maps = r->f.maps;
	r->updates = r->f.updates;
	r->attempts = follower_status(&r->f).attempts;
	r->struck_us = g_get_monotonic_time();
	if (!r->fault->commands[0])
		g_subprocess_send_signal(r->hub.process, SIGSTOP);
	for (size_t i = 0; i < G_N_ELEMENTS(r->fault->commands) && r->fault->commands[i]; i++)
		hub_do(&r->hub, "{'do': %s}", r->fault->commands[i]);
}

/* Whatever has happened since the last look. */
static void look(struct run *r)
{
	struct mgmt_status status = follower_status(&r->f);
	int64_t now_us = g_get_monotonic_time();

	for (; r->attempts + r->n_tries < status.attempts; r->n_tries++) {
		g_assert_cmpuint(r->n_tries, <, TRIES_MAX);
		r->tries_us[r->n_tries] = now_us;
	}
	if (r->noticed_us || (status.state == MGMT_CONNECTED && !r->n_tries))
		return;
	r->noticed_us = now_us;
	g_strlcpy(r->error, status.error, sizeof(r->error));
}

static bool all_noticed(void)
{
	bool all = true;

	for
		EACH(r)
		{
			look(r);
			all = all && r->noticed_us;
		}
	return all;
}

/* What it says about a server that is away, and that it holds on to what it has. */
static void check_away(const struct run *r)
{
	struct mgmt_status status = follower_status(&r->f);

	g_test_message("%s: %s; %s", r->fault->name, r->error, status.error);
	g_assert_true(status.state == MGMT_WAITING || status.state == MGMT_CONNECTING);
	g_assert_cmpint(status.failure, ==, MGMT_UNREACHABLE);
	g_assert_cmpstr(status.error, !=, "");
	if (r->fault->error)
		g_assert_nonnull(strstr(r->error, r->fault->error));
	g_assert_cmpint(status.since_ms, >=, r->struck_us / 1000);
	g_assert_cmpint(status.since_ms, <=, r->noticed_us / 1000);
	g_assert_cmpint(r->f.maps, ==, r->maps);
	g_assert_cmpint(r->f.updates, ==, r->updates);
}

static bool is_over(int64_t until_us)
{
	all_noticed();
	return g_get_monotonic_time() >= until_us;
}

static void check_pace(const struct run *r)
{
	int64_t grown_us = r->struck_us + GROWN_MS * (int64_t)1000;

	for (size_t i = 0; i + 4 < r->n_tries; i++)
		if (r->tries_us[i] >= grown_us)
			g_assert_cmpint(
				r->tries_us[i + 4] - r->tries_us[i], >=, 59 * G_USEC_PER_SEC);
}

static void end_fault(struct run *r)
{
	if (!r->fault->commands[0])
		g_subprocess_send_signal(r->hub.process, SIGCONT);
	else
		hub_do(&r->hub, "{'do': 'clear'}");
}

/* A server that took PINGs for an attack: the next connection does not begin with as many. */
static void check_calm(const struct run *r)
{
	json_t *list = hub_tell(&r->hub, "{'do': 'list'}");
	json_t *last = json_array_get(list, json_array_size(list) - 1);
	json_t *sent = hub_tell(&r->hub, "{'do': 'sent', 'conn': %d}",
		(int)json_integer_value(json_object_get(last, "id")));

	g_assert_nonnull(json_string_value(sent));
	/* 8 bytes, PING, no ACK, no stream */
	g_assert_null(strstr(json_string_value(sent), "000008060000000000"));
	json_decref(list);
	json_decref(sent);
}

static void check_well(struct run *r)
{
	AWAIT(BACK_MS, is_well(r));
	g_assert_cmpint(follower_status(&r->f).failure, ==, MGMT_OK);
	r->maps = r->f.maps;
	hub_do(r->server, "{'do': 'push', 'peer': '%s'}", r->f.key);
	AWAIT(3000, is_well(r));
}

static void test_faults(void)
{
	const char *seconds = getenv("FAULT_S");
	int64_t lasts_us = (seconds ? atoi(seconds) : 0) * G_USEC_PER_SEC;

	for (size_t i = 0; i < G_N_ELEMENTS(faults); i++)
		start(&runs[i], &faults[i]);
	for
		EACH(r)
	AWAIT(15000, is_well(r));
	AWAIT(15000, is_quiet());
	for
		EACH(r)
	strike(r);
	AWAIT(NOTICED_MS, all_noticed());
	for
		EACH(r)
		{
			int64_t after_ms = (r->noticed_us - r->struck_us) / 1000;

			g_test_message("%s: noticed after %d ms", r->fault->name, (int)after_ms);
			g_assert_cmpint(after_ms, <=, NOTICED_MS);
			if (!r->fault->lasts)
				check_well(r);
		}
	for
		EACH(r)
	if (!r->fault->lasts && r->fault->commands[0] && strstr(r->fault->commands[0], "pings"))
		check_calm(r);
	AWAIT(NOTICED_MS + lasts_us / 1000, is_over(runs[0].struck_us + lasts_us));
	for
		EACH(r)
		{
			if (!r->fault->lasts)
				continue;
			check_away(r);
			g_test_message("%s: %zu tries", r->fault->name, r->n_tries);
			check_pace(r);
			end_fault(r);
		}
	for
		EACH(r)
		{
			check_well(r);
			follower_free(&r->f);
			hub_stop(&r->hub);
		}
}

int main(int argc, char **argv)
{
	int result;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	directory = g_dir_make_tmp("hub.XXXXXX", NULL);
	ca = g_build_filename(directory, "ca.pem", NULL);
	cert = g_build_filename(directory, "cert.pem", NULL);
	key = g_build_filename(directory, "key.pem", NULL);
	hub_make_certificates(directory);
	hub.directory = directory;
	hub_start(&hub, 0, (const char *[]){ "--group-ms", "50", NULL });
	g_test_add_func("/mgmt faults/noticed, told, and over", test_faults);
	result = g_test_run();
	hub_stop(&hub);
	g_free(ca);
	g_free(cert);
	g_free(key);
	return result;
}
