/* tests/unit/test_signal_client.c - peers that speak through a signal server of another make (grpcio). */
#include <glib.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/seal.h"
#include "signal/client.h"
#include "tests/unit/hubserver.h"

static struct hub hub;
static char *url;

/* -- a peer --------------------------------------------------------------------------------- */

struct peer {
	struct signal_client *client;
	struct wg_key private_key, public_key;
	char key[KEY_STRLEN];
	GString *got; /* "offer u" "candidate 9" ..., a "|" behind each */
	struct wg_key from; /* the last one's */
	int changes;
	bool free_in_received, free_in_changed;
};

static GHashTable *peers; /* whoever is known to all others: struct peer */

static bool is_peer(const struct wg_key *key, void *user)
{
	GHashTableIter iter;
	gpointer p;

	g_hash_table_iter_init(&iter, peers);
	while (g_hash_table_iter_next(&iter, &p, NULL))
		if (p != user && key_is_same(&((struct peer *)p)->public_key, key))
			return true;
	return false;
}

static void received(const struct wg_key *remote, const struct signal_body *body, void *user)
{
	struct peer *p = user;

	p->from = *remote;
	if (body->type == SIGNAL_CANDIDATE)
		g_string_append_printf(p->got, "candidate %u|", body->candidate.address.port);
	else if (body->type == SIGNAL_GO_IDLE)
		g_string_append(p->got, "idle|");
	else
		g_string_append_printf(p->got, "%s %s|",
			body->type == SIGNAL_OFFER ? "offer" : "answer", body->offer.ufrag);
	if (p->free_in_received)
		g_clear_pointer(&p->client, signal_client_free);
}

static void changed(void *user)
{
	struct peer *p = user;

	p->changes++;
	if (p->free_in_changed)
		g_clear_pointer(&p->client, signal_client_free);
}

static const struct signal_callbacks callbacks = {
	.is_peer = is_peer, .received = received, .changed = changed
};

static void peer_new(struct peer *p, const char *at, const char *ca_file)
{
	struct signal_options options = {
		.url = at, .private_key = &p->private_key, .ca_file = ca_file
	};

	key_generate_private(&p->private_key);
	key_public_from_private(&p->private_key, &p->public_key);
	key_format(&p->public_key, p->key);
	p->got = g_string_new(NULL);
	p->client = signal_client_new(&options, &callbacks, p);
	g_hash_table_add(peers, p);
}

static void peer_free(struct peer *p)
{
	signal_client_free(p->client);
	g_string_free(p->got, TRUE);
	g_hash_table_remove(peers, p);
}

static struct signal_status status(const struct peer *p)
{
	struct signal_status s;

	signal_client_get_status(p->client, &s);
	return s;
}

static bool is_in(const struct peer *p, enum signal_state state)
{
	return status(p).life.state == state;
}

static void join_at(struct peer *p, const char *at)
{
	peer_new(p, at, NULL);
	signal_client_start(p->client);
	AWAIT(5000, is_in(p, SIGNAL_CONNECTED));
}

static void join(struct peer *p)
{
	join_at(p, url);
}

static int say(struct peer *p, const struct peer *to, enum signal_type type, const char *ufrag)
{
	struct signal_body body = { .type = type };

	g_strlcpy(body.offer.ufrag, ufrag, sizeof(body.offer.ufrag));
	g_strlcpy(body.offer.pwd, "pwd", sizeof(body.offer.pwd));
	return signal_client_send(p->client, &to->public_key, &body);
}

static int say_candidate(struct peer *p, const struct peer *to, unsigned port)
{
	struct signal_body body = { .type = SIGNAL_CANDIDATE };
	g_autofree char *line = g_strdup_printf("1 1 udp 5 192.0.2.1 %u typ host", port);

	g_assert_cmpint(candidate_parse(line, strlen(line), &body.candidate), ==, 0);
	return signal_client_send(p->client, &to->public_key, &body);
}

#define GOT(p, text) (!strcmp((p)->got->str, text))

/* -- the straight way ----------------------------------------------------------------------- */

static void test_exchange(void)
{
	struct peer a = { 0 }, b = { 0 };
	int64_t begun;

	join(&a);
	join(&b);
	begun = g_get_monotonic_time();
	g_assert_cmpint(say(&a, &b, SIGNAL_OFFER, "u"), ==, 0);
	AWAIT(2000, GOT(&b, "offer u|"));
	g_test_message("offer there after %d us", (int)(g_get_monotonic_time() - begun));
	g_assert_true(key_is_same(&b.from, &a.public_key));
	say(&b, &a, SIGNAL_ANSWER, "v");
	for (unsigned i = 1; i <= 3; i++)
		say_candidate(&b, &a, i);
	AWAIT(2000, status(&b).out.sent == 4);
	say(&b, &a, SIGNAL_GO_IDLE, "");
	AWAIT(2000, g_str_has_suffix(a.got->str, "idle|"));
	g_assert_true(g_str_has_prefix(a.got->str, "answer v|candidate"));
	g_assert_cmpuint(status(&a).taken[SIGNAL_ANSWER], ==, 1);
	g_assert_cmpuint(status(&a).taken[SIGNAL_CANDIDATE], ==, 3);
	g_assert_cmpuint(status(&a).taken[SIGNAL_GO_IDLE], ==, 1);
	g_assert_cmpuint(status(&a).fates[SIGNAL_TAKEN], ==, 5);
	g_assert_cmpuint(status(&a).life.attempts, ==, 1);
	g_assert_cmpstr(status(&a).address, ==, "127.0.0.1");
	g_assert_cmpstr(status(&a).life.error, ==, "");
	g_assert_cmpint(a.changes, >, 0);
	signal_client_stop(a.client);
	g_assert_cmpint(say(&a, &b, SIGNAL_OFFER, "u"), ==, -ENOTCONN);
	g_assert_true(is_in(&a, SIGNAL_STOPPED));
	peer_free(&a);
	peer_free(&b);
}

/* The server sees an offer alone, and its candidates when that one was answered. */
static void test_order(void)
{
	struct peer a = { 0 }, b = { 0 };
	const char *hex;
	json_t *log;

	join(&a);
	join(&b);
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'fail', 'count': 2, 'peer': '%s'}",
		a.key);
	say(&a, &b, SIGNAL_OFFER, "u");
	for (unsigned i = 1; i <= 20; i++)
		say_candidate(&a, &b, i);
	AWAIT(3000, status(&b).taken[SIGNAL_CANDIDATE] == 20);
	g_assert_true(g_str_has_prefix(b.got->str, "offer u|"));
	g_assert_cmpuint(status(&a).out.tried_again, ==, 2);
	log = hub_tell(&hub, "{'do': 'signal-log', 'peer': '%s'}", b.key);
	g_assert_cmpuint(json_array_size(log), ==, 21);
	hex = json_string_value(json_object_get(json_array_get(log, 0), "hex"));
	/* What holds no candidate is shorter here. */
	for (size_t i = 1; i < 21; i++)
		g_assert_cmpuint(
			strlen(json_string_value(json_object_get(json_array_get(log, i), "hex"))),
			>, strlen(hex));
	json_decref(log);
	peer_free(&a);
	peer_free(&b);
}

/* -- what may happen to a message ----------------------------------------------------------- */

static void test_sending_fails(void)
{
	struct peer a = { 0 }, b = { 0 };

	join(&a);
	join(&b);
	/* Its answer is lost: it comes twice, and is taken once. */
	hub_do(&hub,
		"{'do': 'fault', 'method': 'Send', 'kind': 'fail', 'late': true, 'peer': '%s'}",
		a.key);
	say(&a, &b, SIGNAL_OFFER, "1");
	AWAIT(3000, status(&b).fates[SIGNAL_REPLAYED] == 1);
	g_assert_true(GOT(&b, "offer 1|"));
	/* Four times. The next one is not stopped by it. */
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'fail', 'count': 4, 'peer': '%s'}",
		a.key);
	say(&a, &b, SIGNAL_OFFER, "2");
	say(&a, &b, SIGNAL_OFFER, "3");
	AWAIT(3000, GOT(&b, "offer 1|offer 3|"));
	g_assert_cmpuint(status(&a).out.failed, ==, 1);
	/* No answer for as long as one try takes. */
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'stall', 'peer': '%s'}", a.key);
	say(&a, &b, SIGNAL_OFFER, "4");
	AWAIT(15000, g_str_has_suffix(b.got->str, "offer 4|"));
	hub_do(&hub, "{'do': 'unfault'}");
	g_assert_cmpuint(status(&a).life.attempts, ==, 1);
	peer_free(&a);
	peer_free(&b);
}

static void test_way_is_bad(void)
{
	struct peer a = { 0 }, b = { 0 };

	join(&a);
	join(&b);
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'end', 'peer': '%s'}", a.key);
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'twice', 'peer': '%s'}", a.key);
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'garbage', 'peer': '%s'}", a.key);
	hub_do(&hub, "{'do': 'fault', 'method': 'Send', 'kind': 'swap', 'peer': '%s'}", a.key);
	for (unsigned i = 1; i <= 5; i++)
		say(&a, &b, SIGNAL_OFFER, (char[]){ (char)('0' + i), '\0' });
	AWAIT(3000, GOT(&b, "offer 2|offer 5|offer 4|"));
	g_assert_cmpuint(status(&b).fates[SIGNAL_REPLAYED], ==, 1);
	g_assert_cmpuint(status(&b).fates[SIGNAL_FORGED], ==, 1);
	g_assert_cmpuint(status(&a).out.sent, ==, 5);
	peer_free(&a);
	peer_free(&b);
}

/* -- what others may send ------------------------------------------------------------------- */

static char *hex_of(const uint8_t *bytes, size_t len)
{
	GString *hex = g_string_new(NULL);

	for (size_t i = 0; i < len; i++)
		g_string_append_printf(hex, "%02x", bytes[i]);
	return g_string_free(hex, FALSE);
}

/* A message that `from` has sealed for `to`, as hexadecimal text. */
static char *sealed(const struct peer *from, const struct wg_key *to, const char *plain, size_t len)
{
	uint8_t nonce[BOX_NONCE];
	size_t message_len;
	g_autofree uint8_t *message = NULL;

	box_nonce(nonce);
	message = signal_seal(nonce, &from->private_key, &from->public_key, to,
		(const uint8_t *)plain, len, &message_len);
	return hex_of(message, message_len);
}

static void push(const struct peer *to, const char *hex, int times)
{
	hub_do(&hub, "{'do': 'signal-push', 'peer': '%s', 'hex': '%s', 'times': %d}", to->key, hex,
		times);
}

static void test_garbage(void)
{
	struct peer a = { 0 }, b = { 0 }, stranger = { 0 };
	g_autofree char *elsewhere = NULL, *unknown = NULL, *senseless = NULL, *large = NULL;
	g_autofree uint8_t *zeros = g_malloc0(2 * SIGNAL_MESSAGE_MAX);

	join(&a);
	join(&b);
	peer_new(&stranger, url, NULL);
	g_hash_table_remove(peers, &stranger);
	elsewhere = sealed(&a, &stranger.public_key, "\x08\x05", 2);
	unknown = sealed(&stranger, &b.public_key, "\x08\x05", 2);
	senseless = sealed(&a, &b.public_key, "\xff", 1);
	large = hex_of(zeros, 2 * SIGNAL_MESSAGE_MAX);
	push(&b, "", 1);
	push(&b, "ffff", 2);
	push(&b, large, 1);
	push(&b, elsewhere, 1);
	push(&b, unknown, 1);
	push(&b, senseless, 1);
	say(&a, &b, SIGNAL_GO_IDLE, "");
	AWAIT(5000, GOT(&b, "idle|"));
	hub_do(&hub, "{'do': 'signal-replay', 'peer': '%s', 'times': 3}", b.key);
	AWAIT(3000, status(&b).fates[SIGNAL_REPLAYED] == 3);
	g_assert_cmpuint(status(&b).fates[SIGNAL_GARBAGE], ==, 4);
	g_assert_cmpuint(status(&b).fates[SIGNAL_MISADDRESSED], ==, 1);
	g_assert_cmpuint(status(&b).fates[SIGNAL_STRANGER], ==, 1);
	g_assert_cmpuint(status(&b).fates[SIGNAL_MALFORMED], ==, 1);
	g_assert_true(GOT(&b, "idle|"));
	g_assert_cmpuint(status(&b).life.attempts, ==, 1);
	peer_free(&a);
	peer_free(&b);
	peer_free(&stranger);
}

/* One sends without an end; others are heard. What is tried in vain is refused, and soon. */
static void test_flood(void)
{
	struct peer a = { 0 }, b = { 0 }, c = { 0 };
	int refused = 0;

	join(&a);
	join(&b);
	join(&c);
	for (int i = 0; i < 1000; i++)
		refused += say_candidate(&a, &b, 1) == -ENOBUFS;
	g_assert_cmpint(refused, ==, 1000 - OUTBOX_PEER_MAX);
	g_assert_cmpuint(status(&a).out.refused, ==, (guint)refused);
	AWAIT(5000, status(&a).out.waiting == 0);
	for (int i = 0; i < OUTBOX_PEER_MAX; i++)
		say(&a, &b, SIGNAL_OFFER, "x");
	AWAIT(5000, status(&b).fates[SIGNAL_LIMITED] > 10);
	say(&c, &b, SIGNAL_OFFER, "c");
	AWAIT(3000, strstr(b.got->str, "offer c|"));
	peer_free(&a);
	peer_free(&b);
	peer_free(&c);
}

/* -- the server goes away ------------------------------------------------------------------- */

static const struct {
	const char *fault;
	enum signal_failure failure;
} beginnings[] = {
	{ "'kind': 'no-header'", SIGNAL_PROTOCOL },
	{ "'kind': 'fail', 'code': 'UNIMPLEMENTED'", SIGNAL_PROTOCOL },
	{ "'kind': 'fail', 'code': 'FAILED_PRECONDITION', 'text': 'already registered'",
		SIGNAL_REFUSED },
	{ "'kind': 'fail', 'code': 'UNAVAILABLE'", SIGNAL_UNREACHABLE },
};

static void test_beginnings(void)
{
	for (size_t i = 0; i < G_N_ELEMENTS(beginnings); i++) {
		struct peer p = { 0 };

		peer_new(&p, url, NULL);
		hub_do(&hub, "{'do': 'fault', 'method': 'ConnectStream', %s, 'peer': '%s'}",
			beginnings[i].fault, p.key);
		signal_client_start(p.client);
		AWAIT(5000, is_in(&p, SIGNAL_WAITING));
		g_assert_cmpint(status(&p).life.failure, ==, beginnings[i].failure);
		g_test_message("%s", status(&p).life.error);
		AWAIT(5000, is_in(&p, SIGNAL_CONNECTED));
		g_assert_cmpint(status(&p).life.failure, ==, SIGNAL_WELL);
		peer_free(&p);
	}
}

static void test_restarted(void)
{
	struct peer a = { 0 }, b = { 0 };
	int changes;

	join(&a);
	join(&b);
	changes = a.changes;
	hub_do(&hub, "{'do': 'signal-restart', 'down': 1}");
	AWAIT(3000, a.changes > changes);
	/* In the meantime it waits, and is not lost. */
	AWAIT(15000, is_in(&b, SIGNAL_CONNECTED));
	signal_client_stop(a.client);
	signal_client_start(a.client);
	g_assert_cmpint(say(&a, &b, SIGNAL_OFFER, "u"), ==, 0);
	AWAIT(15000, GOT(&b, "offer u|"));
	/* The stream alone ends. */
	hub_do(&hub, "{'do': 'signal-end', 'peer': '%s', 'code': 'ABORTED', 'text': 'enough'}",
		b.key);
	AWAIT(5000, is_in(&b, SIGNAL_WAITING));
	g_assert_cmpstr(status(&b).life.error, ==, "enough");
	AWAIT(5000, is_in(&b, SIGNAL_CONNECTED));
	g_assert_cmpuint(status(&b).life.attempts, >=, 3);
	peer_free(&a);
	peer_free(&b);
}

static void test_killed(void)
{
	struct peer p = { 0 };
	struct hub other = { 0 };
	g_autofree char *listen = NULL, *there = NULL;

	hub_start(&other, 0, (const char *[]){ NULL });
	listen = g_strdup_printf("127.0.0.1:%d", other.signal_port);
	there = g_strdup_printf("http://%s", listen);
	join_at(&p, there);
	hub_kill(&other);
	AWAIT(2000, is_in(&p, SIGNAL_WAITING));
	g_assert_cmpint(status(&p).life.failure, ==, SIGNAL_UNREACHABLE);
	hub_start(&other, 0, (const char *[]){ "--signal-listen", listen, NULL });
	AWAIT(20000, is_in(&p, SIGNAL_CONNECTED));
	peer_free(&p);
	hub_stop(&other);
}

/* A server that stands still, a way on which everything is lost, and a server that answers and delivers
 * nothing: noticed, and left, all at the same time. */
static void test_silence(void)
{
	struct peer stopped = { 0 }, lost = { 0 }, deaf = { 0 };
	struct hub other = { 0 }, proxy = { 0 };
	g_autofree char *at_other = NULL, *at_proxy = NULL, *target = NULL;
	int64_t begun;

	hub_start(&other, 0, (const char *[]){ NULL });
	target = g_strdup_printf("127.0.0.1:%d", hub.signal_port);
	hub_spawn(&proxy, "tests/hub/fault_proxy.py", (const char *[]){ "--to", target, NULL });
	at_other = g_strdup_printf("http://127.0.0.1:%d", other.signal_port);
	at_proxy = g_strdup_printf("http://127.0.0.1:%d", proxy.port);
	join_at(&stopped, at_other);
	join_at(&lost, at_proxy);
	join(&deaf);
	begun = g_get_monotonic_time();
	g_subprocess_send_signal(other.process, SIGSTOP);
	hub_do(&proxy, "{'do': 'blackhole'}");
	hub_do(&hub, "{'do': 'signal-deaf'}");
	AWAIT(26000, !is_in(&stopped, SIGNAL_CONNECTED) && !is_in(&lost, SIGNAL_CONNECTED));
	g_test_message("noticed after %d ms", (int)(g_get_monotonic_time() - begun) / 1000);
	g_assert_cmpint(status(&stopped).life.failure, ==, SIGNAL_UNREACHABLE);
	AWAIT(20000, status(&deaf).life.failure == SIGNAL_STALLED);
	g_test_message("deaf after %d ms", (int)(g_get_monotonic_time() - begun) / 1000);
	g_subprocess_send_signal(other.process, SIGCONT);
	hub_do(&proxy, "{'do': 'clear'}");
	hub_do(&hub, "{'do': 'signal-deaf', 'on': false}");
	AWAIT(20000,
		is_in(&stopped, SIGNAL_CONNECTED) && is_in(&lost, SIGNAL_CONNECTED) &&
			is_in(&deaf, SIGNAL_CONNECTED));
	/* A quiet network: our own heartbeat comes back. */
	AWAIT(32000, status(&deaf).fates[SIGNAL_OWN] > 0);
	g_assert_true(is_in(&deaf, SIGNAL_CONNECTED));
	peer_free(&stopped);
	peer_free(&lost);
	peer_free(&deaf);
	hub_stop(&other);
	hub_stop(&proxy);
}

static void test_tls(void)
{
	struct hub tls = { .directory = g_dir_make_tmp("hub.XXXXXX", NULL) };
	g_autofree char *cert = g_build_filename(tls.directory, "cert.pem", NULL);
	g_autofree char *key = g_build_filename(tls.directory, "key.pem", NULL);
	g_autofree char *there = NULL;
	g_autoptr(GSubprocess) openssl = g_subprocess_new(
		G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE, NULL,
		"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=hub",
		"-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert, NULL);
	struct peer good = { 0 }, bad = { 0 };

	g_assert_true(g_subprocess_wait_check(openssl, NULL, NULL));
	hub_start(&tls, 0,
		(const char *[]){ "--tls", "127.0.0.1:0", "--cert", cert, "--key", key, NULL });
	there = g_strdup_printf("https://127.0.0.1:%d", tls.tls_port);
	peer_new(&good, there, cert);
	signal_client_start(good.client);
	AWAIT(5000, is_in(&good, SIGNAL_CONNECTED));
	peer_new(&bad, there, NULL);
	signal_client_start(bad.client);
	AWAIT(5000, is_in(&bad, SIGNAL_WAITING));
	g_assert_cmpint(status(&bad).life.failure, ==, SIGNAL_TLS);
	g_test_message("%s", status(&bad).life.error);
	peer_free(&good);
	peer_free(&bad);
	hub_stop(&tls);
}

/* -- freed, and for a long time without a server -------------------------------------------- */

static void test_freed(void)
{
	struct peer a = { 0 }, b = { .free_in_received = true }, c = { .free_in_changed = true };

	for (int steps = 0; steps < 40; steps++) {
		struct peer p = { 0 };

		peer_new(&p, url, NULL);
		signal_client_start(p.client);
		say(&p, &p, SIGNAL_OFFER, "u");
		for (int i = 0; i < steps; i++)
			g_main_context_iteration(NULL, FALSE), g_usleep(200);
		peer_free(&p);
	}
	join(&a);
	join(&b);
	say(&a, &b, SIGNAL_OFFER, "u");
	say(&a, &b, SIGNAL_OFFER, "v");
	AWAIT(3000, !b.client);
	peer_new(&c, url, NULL);
	signal_client_start(c.client);
	AWAIT(3000, !c.client);
	g_assert_true(GOT(&b, "offer u|"));
	while (g_main_context_iteration(NULL, FALSE))
		;
	peer_free(&a);
	peer_free(&b);
	peer_free(&c);
	signal_client_free(NULL);
}

static size_t resident_kib(void)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
	return (size_t)g_ascii_strtoull(strchr(text, ' '), NULL, 10) *
		(size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void fail_often(struct peer *p, int tries)
{
	for (int i = 0; i < tries; i++) {
		signal_client_stop(p->client);
		signal_client_start(p->client);
		for (int j = 0; j < 10; j++)
			say(p, p, SIGNAL_OFFER, "u");
		AWAIT(5000, is_in(p, SIGNAL_WAITING));
	}
}

/* As many tries as there are in an hour, and each time there is something to be sent. */
static void test_absent_for_an_hour(void)
{
	struct peer p = { 0 };
	size_t rss;

	peer_new(&p, "http://127.0.0.1:9", NULL);
	fail_often(&p, 50);
	rss = resident_kib();
	fail_often(&p, 240);
	rss = resident_kib() - rss;
	g_test_message("%d KiB more", (int)rss);
#ifndef __SANITIZE_ADDRESS__
	g_assert_cmpint((int)rss, <, 512);
#endif
	g_assert_cmpuint(status(&p).out.waiting, ==, 10);
	peer_free(&p);
}

int main(int argc, char **argv)
{
	int r;

	g_test_init(&argc, &argv, NULL);
	signal(SIGPIPE, SIG_IGN);
	peers = g_hash_table_new(NULL, NULL);
	hub_start(&hub, 0, (const char *[]){ NULL });
	url = g_strdup_printf("http://127.0.0.1:%d", hub.signal_port);
	g_test_add_func("/signal client/exchange", test_exchange);
	g_test_add_func("/signal client/order", test_order);
	g_test_add_func("/signal client/sending fails", test_sending_fails);
	g_test_add_func("/signal client/way is bad", test_way_is_bad);
	g_test_add_func("/signal client/garbage", test_garbage);
	g_test_add_func("/signal client/flood", test_flood);
	g_test_add_func("/signal client/beginnings", test_beginnings);
	g_test_add_func("/signal client/restarted", test_restarted);
	g_test_add_func("/signal client/killed", test_killed);
	g_test_add_func("/signal client/silence", test_silence);
	g_test_add_func("/signal client/tls", test_tls);
	g_test_add_func("/signal client/freed", test_freed);
	g_test_add_func("/signal client/absent for an hour", test_absent_for_an_hour);
	r = g_test_run();
	hub_stop(&hub);
	g_hash_table_unref(peers);
	g_free(url);
	return r;
}
