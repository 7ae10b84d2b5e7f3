/* tests/unit/live_ice.c - negotiations by hand, for scenarios: live_ice IFNAME [WORD...].
 *
 * Lines to the other side go to stdout, its lines come by stdin: "N credentials UFRAG PASSWORD", then "N candidate
 * LINE"s, of the session N from 0 on. What happens is told on stderr. Words:
 *   controlling, aggressive
 *   local=ADDRESS...     of this host
 *   stun=ADDRESS:PORT...
 *   peer=KEY             WireGuard's peer that gets the endpoint, and a keepalive on the controlling side
 *   mark=NUMBER          also in the table of nft.h
 *   cut                  the other side appends something behind FINGERPRINT
 *   release              two seconds after the path is found, and with a peer from the handshake on, checks are
 *                        answered without libnice
 *   sessions=NUMBER      at once; the last one's path is WireGuard's
 *   seconds=NUMBER       then it ends, and the table goes */
#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ice/agent.h"
#include "ice/binding.h"
#include "ice/packet.h"
#include "netlink/nfqueue.h"
#include "netlink/nft.h"
#include "netlink/steer.h"
#include "netlink/wg.h"

enum { FIRST = 45000, CUT_FIRST = 45500, LAST = 45999, WG_PORT = 51820, N = 8, SESSIONS_MAX = 64 };

struct session {
	size_t number;
	char ufrag[ICE_UFRAG_LEN + 1], password[ICE_PASSWORD_LEN + 1];
	gint64 begun, selected;
	struct ice *ice;
};

static struct {
	const char *ifname;
	unsigned ifindex;
	struct ice_config config;
	struct steer_config steer;
	struct steer_ufrag ufrags[SESSIONS_MAX];
	struct session sessions[SESSIONS_MAX];
	size_t n_sessions;
	struct ice_local locals[N];
	struct endpoint servers[N];
	size_t n_servers;
	struct wg_key peer;
	bool has_peer, releases;
	guint seconds, checked, cut;
	struct binding *binding;
	struct nfqueue *queue;
	struct nft *nft;
	struct wg *wg;
	GString *input;
} me = { .seconds = 30, .n_sessions = 1, .config.port = FIRST + 1 };

static void die(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

static long since_ms(const struct session *session)
{
	return (long)((g_get_monotonic_time() - session->begun) / 1000);
}

/* -- what happens --------------------------------------------------------------------------- */

static void on_candidate(const char *line, void *user)
{
	const struct session *session = user;

	printf("%zu candidate %s\n", session->number, line);
	fflush(stdout);
	fprintf(stderr, "announced %s\n", line);
}

static void set_endpoint(const struct endpoint *e)
{
	const struct wg_peer_config peer = {
		.public_key = me.peer,
		.endpoint = e,
		.keepalive = me.config.controlling ? 1 : -1,
		.update_only = true,
	};
	int result = 0, r = wg_set_peers(me.wg, me.ifindex, &peer, 1, &result);

	if (r < 0 || result < 0)
		die("setting the endpoint", r < 0 ? r : result);
}

static void on_selected(const struct ice_path *path, void *user)
{
	struct session *session = user;
	char text[ENDPOINT_STRLEN];

	fprintf(stderr, "selected %s %s %s after %ld ms\n", candidate_type_name(path->local),
		candidate_type_name(path->remote), endpoint_format(&path->endpoint, text),
		since_ms(session));
	if (!session->selected)
		fprintf(stderr, "session %zu has a path\n", session->number);
	session->selected = g_get_monotonic_time();
	if (me.has_peer && session->number == me.n_sessions - 1)
		set_endpoint(&path->endpoint);
}

static void on_failed(int error, void *user)
{
	struct session *session = user;

	fprintf(stderr, "failed: %s after %ld ms\n", strerror(-error), since_ms(session));
	g_clear_pointer(&session->ice, ice_free);
}

static void on_mapped(const struct endpoint *server, const struct endpoint *mapped, void *user)
{
	char a[ENDPOINT_STRLEN], b[ENDPOINT_STRLEN];

	fprintf(stderr, "mapped %s by %s\n", endpoint_format(mapped, a),
		endpoint_format(server, b));
	for (size_t i = 0; i < me.n_sessions; i++)
		if (me.sessions[i].ice)
			ice_reflexive(me.sessions[i].ice, mapped);
}

static void on_checked(const char *ufrag, const struct endpoint *from, void *user)
{
	char text[ENDPOINT_STRLEN];

	fprintf(stderr, "answered %s, %u\n", endpoint_format(from, text), ++me.checked);
}

static int look_for_handshake(const struct wg_peer_status *peer, void *user)
{
	if (key_is_same(&peer->public_key, &me.peer) && peer->last_handshake_s)
		*(bool *)user = true;
	return 0;
}

static bool is_connected(const struct session *session)
{
	bool connected = false;

	if (me.has_peer)
		wg_read(me.wg, me.ifindex, NULL, look_for_handshake, &connected);
	return me.has_peer ? connected
			   : session->selected &&
			g_get_monotonic_time() > session->selected + 2 * G_USEC_PER_SEC;
}

/* Requests for the session go to the port that answers them. */
static gboolean release_when_connected(gpointer user)
{
	struct session *session = user;
	struct steer_ufrag *ufrag = &me.ufrags[session->number];
	int r;

	if (!session->ice || !is_connected(session))
		return G_SOURCE_CONTINUE;
	ufrag->port = FIRST;
	binding_answer(me.binding, session->ufrag, session->password);
	r = steer_set(me.nft, me.steer.table, ufrag);
	if (r < 0)
		die("leading its checks elsewhere", r);
	g_clear_pointer(&session->ice, ice_free);
	fprintf(stderr, "released after %ld ms\n", since_ms(session));
	return G_SOURCE_REMOVE;
}

static size_t cut(uint8_t *packet, size_t len, void *user)
{
	size_t left = packet_cut(packet, len);

	me.cut += left < len;
	return left;
}

static gboolean read_queue(gint fd, GIOCondition condition, gpointer user)
{
	return nfqueue_read(me.queue, cut, NULL) == 0;
}

/* -- lines of the other side ---------------------------------------------------------------- */

static void take_line(const char *line)
{
	char *rest;
	size_t number = strtoul(line, &rest, 10);
	struct session *session = &me.sessions[MIN(number, SESSIONS_MAX - 1)];
	struct ice_credentials remote;
	int r = 0;

	if (!session->ice)
		return;
	if (sscanf(rest, " credentials %256s %256s", remote.ufrag, remote.password) == 2) {
		session->begun = g_get_monotonic_time();
		r = ice_remote(session->ice, &remote);
	} else if (g_str_has_prefix(rest, " candidate ")) {
		r = ice_candidate(session->ice, rest + 11, strlen(rest + 11));
	}
	fprintf(stderr, "heard (%s) %s\n", strerror(-r), line);
}

static gboolean read_lines(gint fd, GIOCondition condition, gpointer user)
{
	char buf[4096], *end;
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n <= 0)
		return G_SOURCE_REMOVE;
	g_string_append_len(me.input, buf, n);
	while ((end = strchr(me.input->str, '\n'))) {
		*end = '\0';
		take_line(me.input->str);
		g_string_erase(me.input, 0, end + 1 - me.input->str);
	}
	return G_SOURCE_CONTINUE;
}

/* -- words ---------------------------------------------------------------------------------- */

static void take_word(const char *word)
{
	const char *value = strchr(word, '=') ? strchr(word, '=') + 1 : "";
	struct ice_local *local = &me.locals[me.config.n_locals];

	if (!strcmp(word, "controlling"))
		me.config.controlling = true;
	else if (!strcmp(word, "aggressive"))
		me.config.aggressive = true;
	else if (!strcmp(word, "cut"))
		me.steer.queue_from_port = CUT_FIRST, me.config.port = CUT_FIRST;
	else if (!strcmp(word, "release"))
		me.releases = true;
	else if (g_str_has_prefix(word, "seconds="))
		me.seconds = (guint)atoi(value);
	else if (g_str_has_prefix(word, "sessions="))
		me.n_sessions = CLAMP((size_t)atoi(value), 1, SESSIONS_MAX);
	else if (g_str_has_prefix(word, "mark="))
		me.steer.fwmark = (uint32_t)strtoul(value, NULL, 0);
	else if (g_str_has_prefix(word, "local=") && me.config.n_locals < N &&
		prefix_parse(value, strlen(value), &local->address) == 0)
		me.config.n_locals++, local->announced = local->address;
	else if (g_str_has_prefix(word, "stun=") && me.n_servers < N &&
		endpoint_parse(value, strlen(value), &me.servers[me.n_servers]) == 0)
		me.n_servers++;
	else if (g_str_has_prefix(word, "peer=") && key_parse(value, strlen(value), &me.peer) == 0)
		me.has_peer = true;
	else
		die(word, -EINVAL);
}

static void make_session(size_t i)
{
	struct session *session = &me.sessions[i];

	/* Both sides of a test are this program. */
	g_snprintf(me.config.ufrag, sizeof(me.config.ufrag), "%08x", g_random_int());
	g_snprintf(me.config.password, sizeof(me.config.password), "secret%08x%018zu",
		g_random_int(), i);
	session->number = i;
	g_strlcpy(session->ufrag, me.config.ufrag, sizeof(session->ufrag));
	g_strlcpy(session->password, me.config.password, sizeof(session->password));
	memcpy(me.ufrags[i].text, session->ufrag, STEER_UFRAG_LEN);
	me.ufrags[i].port = (uint16_t)(me.config.port + i);
}

static void apply_steering(void)
{
	int r = nft_open(&me.nft);

	snprintf(me.steer.table, sizeof(me.steer.table), "lapwing-%s-ice", me.ifname);
	g_strlcpy(me.steer.ifname, me.ifname, sizeof(me.steer.ifname));
	for (size_t i = 0; i < me.n_sessions; i++)
		make_session(i);
	me.steer.queue = WG_PORT;
	me.steer.listen_port = WG_PORT;
	me.steer.first_port = FIRST;
	me.steer.last_port = LAST;
	me.steer.uid = getuid();
	me.steer.ufrags = me.ufrags;
	me.steer.n_ufrags = me.n_sessions;
	if (r == 0)
		r = steer_apply(me.nft, &me.steer);
	if (r < 0)
		die(me.nft ? nft_error_text(me.nft) : "nftables", r);
}

/* Replies get the mark back. */
static void apply_marks(void)
{
	struct nft_config config = { .fwmark = me.steer.fwmark };
	int r;

	snprintf(config.table, sizeof(config.table), "lapwing-%s", me.ifname);
	g_strlcpy(config.ifname, me.ifname, sizeof(config.ifname));
	r = nft_apply(me.nft, &config);
	if (r < 0)
		die(nft_error_text(me.nft), r);
}

static int start_session(struct session *session)
{
	static const struct ice_ops ops = { on_candidate, on_selected, on_failed };
	struct ice_config config = me.config;
	int r;

	config.port = me.ufrags[session->number].port;
	memcpy(config.ufrag, session->ufrag, sizeof(config.ufrag));
	memcpy(config.password, session->password, sizeof(config.password));
	r = ice_new(&config, &ops, session, &session->ice);
	if (r < 0)
		return r;
	printf("%zu credentials %s %s\n", session->number, config.ufrag, config.password);
	fflush(stdout);
	ice_announce(session->ice);
	if (me.releases)
		g_timeout_add(100, release_when_connected, session);
	return 0;
}

static void start(void)
{
	static const struct binding_ops binding_ops = { on_mapped, on_checked };
	static const struct prefix overlay = { AF_INET, 10, { 100, 64 } };
	int r = wg_open(&me.wg);

	me.ifindex = if_nametoindex(me.ifname);
	me.config.locals = me.locals;
	me.config.announced_port = WG_PORT;
	me.config.overlay = &overlay;
	me.config.n_overlay = 1;
	if (r == 0 && me.steer.queue_from_port)
		r = nfqueue_open(WG_PORT, &me.queue);
	if (r == 0)
		r = binding_open(FIRST, &binding_ops, NULL, &me.binding);
	for (size_t i = 0; i < me.n_sessions && r == 0; i++)
		r = start_session(&me.sessions[i]);
	if (r < 0)
		die("starting", r);
	if (me.queue)
		g_unix_fd_add(nfqueue_fd(me.queue), G_IO_IN, read_queue, NULL);
	binding_ask(me.binding, me.servers, me.n_servers);
}

static gboolean end(gpointer loop)
{
	g_main_loop_quit(loop);
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	GMainLoop *loop = g_main_loop_new(NULL, FALSE);

	if (argc < 2)
		return 2;
	me.ifname = argv[1];
	me.input = g_string_new(NULL);
	for (int i = 2; i < argc; i++)
		take_word(argv[i]);
	apply_steering();
	if (me.steer.fwmark)
		apply_marks();
	start();
	g_unix_fd_add(STDIN_FILENO, G_IO_IN, read_lines, NULL);
	g_unix_signal_add(SIGTERM, end, loop);
	g_timeout_add_seconds(me.seconds, end, loop);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
	fprintf(stderr, "cut %u\n", me.cut);
	for (size_t i = 0; i < me.n_sessions; i++)
		ice_free(me.sessions[i].ice);
	nfqueue_close(me.queue);
	binding_close(me.binding);
	nft_remove(me.nft, me.steer.table);
	nft_close(me.nft);
	wg_close(me.wg);
	g_string_free(me.input, TRUE);
	return 0;
}
