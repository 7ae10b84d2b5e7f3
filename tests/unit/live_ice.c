/* tests/unit/live_ice.c - one negotiation by hand, for scenarios: live_ice IFNAME [WORD...].
 *
 * Lines to the other side go to stdout, its lines come by stdin: "credentials UFRAG PASSWORD", then "candidate LINE"s.
 * What happens is told on stderr. Words:
 *   controlling, aggressive
 *   local=ADDRESS...     of this host
 *   stun=ADDRESS:PORT...
 *   peer=KEY             WireGuard's peer that gets the endpoint, and a keepalive on the controlling side
 *   mark=NUMBER          also in the table of nft.h
 *   cut                  the other side appends something behind FINGERPRINT
 *   release              two seconds after the path is found, and with a peer from the handshake on, checks are
 *                        answered without libnice
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

enum { FIRST = 45000, CUT_FIRST = 45500, LAST = 45999, WG_PORT = 51820, N = 8 };

static struct {
	const char *ifname;
	unsigned ifindex;
	struct ice_config config;
	struct steer_config steer;
	struct steer_ufrag ufrag;
	struct ice_local locals[N];
	struct endpoint servers[N];
	size_t n_servers;
	struct wg_key peer;
	bool has_peer, releases;
	guint seconds, checked, cut;
	gint64 begun, selected;
	struct ice *ice;
	struct binding *binding;
	struct nfqueue *queue;
	struct nft *nft;
	struct wg *wg;
	GString *input;
} me = { .seconds = 30, .config.port = FIRST + 1 };

static void die(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

static long since_ms(void)
{
	return (long)((g_get_monotonic_time() - me.begun) / 1000);
}

/* -- what happens --------------------------------------------------------------------------- */

static void on_candidate(const char *line, void *user)
{
	printf("candidate %s\n", line);
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
	char text[ENDPOINT_STRLEN];

	fprintf(stderr, "selected %s %s %s after %ld ms\n", candidate_type_name(path->local),
		candidate_type_name(path->remote), endpoint_format(&path->endpoint, text),
		since_ms());
	me.selected = g_get_monotonic_time();
	if (me.has_peer)
		set_endpoint(&path->endpoint);
}

static void on_failed(int error, void *user)
{
	fprintf(stderr, "failed: %s after %ld ms\n", strerror(-error), since_ms());
	g_clear_pointer(&me.ice, ice_free);
}

static void on_mapped(const struct endpoint *server, const struct endpoint *mapped, void *user)
{
	char a[ENDPOINT_STRLEN], b[ENDPOINT_STRLEN];

	fprintf(stderr, "mapped %s by %s\n", endpoint_format(mapped, a),
		endpoint_format(server, b));
	if (me.ice)
		ice_reflexive(me.ice, mapped);
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

static bool is_connected(void)
{
	bool connected = false;

	if (me.has_peer)
		wg_read(me.wg, me.ifindex, NULL, look_for_handshake, &connected);
	return me.has_peer
		? connected
		: me.selected && g_get_monotonic_time() > me.selected + 2 * G_USEC_PER_SEC;
}

/* Requests for this session go to the port that answers them. */
static gboolean release_when_connected(gpointer user)
{
	const struct steer_ufrag *ufrag = &me.ufrag;
	int r;

	if (!me.ice || !is_connected())
		return G_SOURCE_CONTINUE;
	me.ufrag.port = FIRST;
	binding_answer(me.binding, me.config.ufrag, me.config.password);
	r = steer_set(me.nft, me.steer.table, ufrag);
	if (r < 0)
		die("leading its checks elsewhere", r);
	g_clear_pointer(&me.ice, ice_free);
	fprintf(stderr, "released after %ld ms\n", since_ms());
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
	struct ice_credentials remote;
	int r = 0;

	if (!me.ice)
		return;
	if (sscanf(line, "credentials %256s %256s", remote.ufrag, remote.password) == 2) {
		me.begun = g_get_monotonic_time();
		r = ice_remote(me.ice, &remote);
	} else if (g_str_has_prefix(line, "candidate ")) {
		r = ice_candidate(me.ice, line + 10, strlen(line + 10));
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

static void apply_steering(void)
{
	int r = nft_open(&me.nft);

	snprintf(me.steer.table, sizeof(me.steer.table), "lapwing-%s-ice", me.ifname);
	g_strlcpy(me.steer.ifname, me.ifname, sizeof(me.steer.ifname));
	memcpy(me.ufrag.text, me.config.ufrag, STEER_UFRAG_LEN);
	me.ufrag.port = me.config.port;
	me.steer.queue = WG_PORT;
	me.steer.listen_port = WG_PORT;
	me.steer.first_port = FIRST;
	me.steer.last_port = LAST;
	me.steer.uid = getuid();
	me.steer.ufrags = &me.ufrag;
	me.steer.n_ufrags = 1;
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

static void start(void)
{
	static const struct ice_ops ops = { on_candidate, on_selected, on_failed };
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
	if (r == 0)
		r = ice_new(&me.config, &ops, NULL, &me.ice);
	if (r < 0)
		die("starting", r);
	if (me.queue)
		g_unix_fd_add(nfqueue_fd(me.queue), G_IO_IN, read_queue, NULL);
	binding_ask(me.binding, me.servers, me.n_servers);
	printf("credentials %s %s\n", me.config.ufrag, me.config.password);
	fflush(stdout);
	ice_announce(me.ice);
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
	me.begun = g_get_monotonic_time();
	for (int i = 2; i < argc; i++)
		take_word(argv[i]);
	ice_make_credentials(&me.config);
	apply_steering();
	if (me.steer.fwmark)
		apply_marks();
	start();
	g_unix_fd_add(STDIN_FILENO, G_IO_IN, read_lines, NULL);
	g_unix_signal_add(SIGTERM, end, loop);
	g_timeout_add_seconds(me.seconds, end, loop);
	if (me.releases)
		g_timeout_add(100, release_when_connected, NULL);
	g_main_loop_run(loop);
	g_main_loop_unref(loop);
	fprintf(stderr, "cut %u\n", me.cut);
	ice_free(me.ice);
	nfqueue_close(me.queue);
	binding_close(me.binding);
	nft_remove(me.nft, me.steer.table);
	nft_close(me.nft);
	wg_close(me.wg);
	g_string_free(me.input, TRUE);
	return 0;
}
