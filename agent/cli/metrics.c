/* agent/cli/metrics.c - the status of the daemon as Prometheus text: one table, no label that grows with the mesh. */
#include "agent/cli/metrics.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "agent/cli/output.h"

enum value {
	VALUE_NUMBER,
	VALUE_TRUE, /* 1: it is true */
	VALUE_IS, /* 1: it is this text */
	VALUE_SET, /* 1: it is not null */
	VALUE_LENGTH, /* of a list */
	VALUE_HISTOGRAM, /* several series each */
	VALUE_ERRORS,
};

/* Rows of one family follow each other; what the document does not have is left out. */
struct row {
	const char *family, *type, *help; /* help NULL: of the family before */
	const char *labels; /* NULL: none */
	const char *path; /* "lazy.parked" */
	enum value value;
	const char *text; /* of VALUE_IS */
};

#define MORE(labels, path) \
	{ \
		NULL, NULL, NULL, labels, path, VALUE_NUMBER, NULL \
	}
#define STATE(name) \
	{ \
		NULL, NULL, NULL, "state=\"" name "\"", "state", VALUE_IS, name \
	}
#define ONE(family, type, help, path) \
	{ \
		family, type, help, NULL, path, VALUE_NUMBER, NULL \
	}

static const struct row rows[] = {
	{ "lapwing_state", "gauge", "1 for the state that the mesh is in.", "state=\"starting\"",
		"state", VALUE_IS, "starting" },
	STATE("waiting"),
	STATE("ready"),
	STATE("degraded"),
	STATE("conflict"),
	STATE("down"),
	{ "lapwing_problems", "gauge", "Things that could not be done and are tried again.", NULL,
		"problems", VALUE_LENGTH, NULL },
	ONE("lapwing_uptime_seconds", "gauge", "Since the daemon was started.", "uptime_seconds"),
	ONE("lapwing_resident_memory_bytes", "gauge", "Resident memory of the daemon.",
		"memory.rss_bytes"),

	{ "lapwing_interface_up", "gauge", "Whether the interface is up and ours.", NULL,
		"interface.state", VALUE_IS, "up" },
	ONE("lapwing_interface_mtu_bytes", "gauge", "MTU of the interface.", "interface.mtu"),
	ONE("lapwing_interface_repairs_total", "counter",
		"How often what others changed of the interface was put right.",
		"interface.repairs"),
	ONE("lapwing_routes", "gauge", "Routes in place.", "routes.installed"),
	ONE("lapwing_netlink_resyncs_total", "counter",
		"Events of the kernel were lost, and everything was read again.", "resyncs"),
	{ "lapwing_netlink_errors_total", "counter",
		"Requests that the kernel has refused, or not answered.", NULL, "netlink_errors",
		VALUE_ERRORS, NULL },
	ONE("lapwing_netlink_events_total", "counter", "Events of the kernel that came in.",
		"events.seen"),
	ONE("lapwing_netlink_events_used_total", "counter", "Those of them that concerned us.",
		"events.passed"),

	{ "lapwing_firewall_closed", "gauge",
		"Whether only what rules accept comes in over the interface.", NULL,
		"firewall.state", VALUE_IS, "closed" },
	ONE("lapwing_firewall_rules", "gauge", "Rules in force.", "firewall.rules"),
	ONE("lapwing_firewall_refused_packets_total", "counter",
		"Packets that no rule has accepted.", "firewall.refused"),

	{ "lapwing_peers", "gauge", "Peers by state.", "state=\"idle\"", "counts.idle",
		VALUE_NUMBER, NULL },
	MORE("state=\"parked\"", "counts.parked"),
	MORE("state=\"waking\"", "counts.waking"),
	MORE("state=\"connecting\"", "counts.connecting"),
	MORE("state=\"up\"", "counts.up"),
	MORE("state=\"unreachable\"", "counts.unreachable"),
	MORE("state=\"blocked\"", "counts.blocked"),
	ONE("lapwing_peers_foreign", "gauge", "Peers on the interface that somebody else made.",
		"counts.foreign"),
	ONE("lapwing_peers_pending", "gauge", "Peers that are still to be programmed.", "pending"),

	{ "lapwing_lazy_enabled", "gauge", "Whether idle peers are parked.", NULL, "lazy.enabled",
		VALUE_TRUE, NULL },
	{ "lapwing_lazy_peers", "gauge", "Peers by what they do.", "state=\"parked\"",
		"lazy.parked", VALUE_NUMBER, NULL },
	MORE("state=\"waking\"", "lazy.waking"),
	MORE("state=\"active\"", "lazy.active"),
	MORE("state=\"permanent\"", "lazy.permanent"),
	{ "lapwing_wakes_total", "counter", "Parked peers that were woken, by what.",
		"cause=\"traffic\"", "lazy.wakes.traffic", VALUE_NUMBER, NULL },
	MORE("cause=\"remote\"", "lazy.wakes.remote"),
	MORE("cause=\"user\"", "lazy.wakes.user"),
	MORE("cause=\"group\"", "lazy.wakes.group"),
	ONE("lapwing_sentinel_wakeups_total", "counter",
		"Parked peers that were woken by a packet to their sentinel.",
		"lazy.wakes.traffic"),
	{ "lapwing_peer_activations_total", "counter",
		"Wakings that ended; in_session: no answer had to be waited for.",
		"result=\"answered\"", "lazy.wakes.answered", VALUE_NUMBER, NULL },
	MORE("result=\"unanswered\"", "lazy.wakes.unanswered"),
	MORE("result=\"in_session\"", "lazy.wakes.in_session"),
	{ "lapwing_activation_seconds", "histogram", "From a peer's being wanted to its answer.",
		NULL, "lazy.wakes.answers", VALUE_HISTOGRAM, NULL },
	ONE("lapwing_sentinel_drops_total", "counter",
		"Packets at sentinels that were not WireGuard's or were too many.",
		"lazy.sentinels.dropped"),

	{ "lapwing_mesh_error", "gauge", "Whether the source of the mesh is broken.", NULL,
		"mesh.error", VALUE_SET, NULL },
	ONE("lapwing_mesh_hosts", "gauge", "Hosts of the mesh, this one too.", "mesh.hosts"),

	{ "lapwing_map_apply_seconds", "histogram",
		"From a new map to all of it being in the kernel.", NULL, "mesh.applies",
		VALUE_HISTOGRAM, NULL },

	{ "lapwing_server_up", "gauge", "Whether the server is connected.", "server=\"management\"",
		"control.management.state", VALUE_IS, "connected" },
	{ NULL, NULL, NULL, "server=\"signal\"", "control.signal.state", VALUE_IS, "connected" },
	{ "lapwing_server_attempts_total", "counter", "Attempts to connect to the server.",
		"server=\"management\"", "control.management.attempts", VALUE_NUMBER, NULL },
	MORE("server=\"signal\"", "control.signal.attempts"),
	{ "lapwing_server_connects_total", "counter", "How attempts ended.",
		"server=\"management\",result=\"connected\"", "control.management.connects",
		VALUE_NUMBER, NULL },
	MORE("server=\"management\",result=\"failed\"", "control.management.failures"),
	MORE("server=\"signal\",result=\"connected\"", "control.signal.connects"),
	MORE("server=\"signal\",result=\"failed\"", "control.signal.failures"),
	ONE("lapwing_key_expiry_timestamp_seconds", "gauge", "When the login of this peer expires.",
		"control.expires_timestamp_seconds"),
	ONE("lapwing_management_messages_total", "counter", "Messages of the management server.",
		"control.management.messages"),
	ONE("lapwing_management_messages_refused_total", "counter",
		"Messages of the management server that made no sense.",
		"control.management.messages_refused"),
	ONE("lapwing_map_serial", "gauge", "Serial number of the map in force.",
		"control.map.serial"),
	ONE("lapwing_map_age_seconds", "gauge", "Since the map in force was received.",
		"control.map.age_seconds"),
	ONE("lapwing_signal_sent_total", "counter", "Messages to peers that the server has taken.",
		"control.signal.sent"),
	ONE("lapwing_signal_not_sent_total", "counter", "Messages to peers that were given up.",
		"control.signal.not_sent"),
	{ "lapwing_signal_received_total", "counter", "Messages of peers.", "kind=\"offer\"",
		"control.signal.received.offers", VALUE_NUMBER, NULL },
	MORE("kind=\"answer\"", "control.signal.received.answers"),
	MORE("kind=\"candidate\"", "control.signal.received.candidates"),
	MORE("kind=\"go_idle\"", "control.signal.received.go_idle"),
	{ "lapwing_signal_dropped_total", "counter", "Messages of peers that had no effect.",
		"reason=\"garbage\"", "control.signal.dropped.garbage", VALUE_NUMBER, NULL },
	MORE("reason=\"misaddressed\"", "control.signal.dropped.misaddressed"),
	MORE("reason=\"unknown_sender\"", "control.signal.dropped.unknown_sender"),
	MORE("reason=\"forged\"", "control.signal.dropped.forged"),
	MORE("reason=\"replayed\"", "control.signal.dropped.replayed"),
	MORE("reason=\"limited\"", "control.signal.dropped.limited"),
	MORE("reason=\"malformed\"", "control.signal.dropped.malformed"),
	MORE("reason=\"ignored\"", "control.signal.dropped.ignored"),
	{ "lapwing_negotiations", "gauge", "Peers with which a path is or was negotiated.",
		"state=\"known\"", "control.negotiations.known", VALUE_NUMBER, NULL },
	MORE("state=\"busy\"", "control.negotiations.busy"),
	MORE("state=\"waiting\"", "control.negotiations.waiting"),
};

/* Of one peer. */
static const struct row peer_rows[] = {
	{ "lapwing_peer_up", "gauge", "Whether there is a session with the peer.", NULL, "state",
		VALUE_IS, "up" },
	ONE("lapwing_peer_receive_bytes_total", "counter", "Bytes received from the peer.",
		"rx_bytes"),
	ONE("lapwing_peer_transmit_bytes_total", "counter", "Bytes sent to the peer.", "tx_bytes"),
	ONE("lapwing_peer_handshake_age_seconds", "gauge",
		"Since the last handshake with the peer.", "last_handshake_seconds"),
	ONE("lapwing_peer_wakes_total", "counter", "How often the peer was woken.", "wakes.count"),
};

/* -- values ----------------------------------------------------------------------------------- */

static const json_t *find(const json_t *root, const char *path)
{
	const char *dot;

	for (; (dot = strchr(path, '.')); path = dot + 1) {
		char key[64];

		g_snprintf(key, sizeof(key), "%.*s", (int)(dot - path), path);
		root = json_object_get(root, key);
	}
	return json_object_get(root, path);
}

/* False: it is not there, or not known. */
static bool value_of(const json_t *root, const struct row *row, int64_t *ret)
{
	const json_t *value = find(root, row->path);
	const char *text = json_string_value(value);

	if (!value || (json_is_null(value) && row->value != VALUE_SET))
		return false;
	switch (row->value) {
	case VALUE_NUMBER:
		*ret = json_integer_value(value);
		return json_is_integer(value);
	case VALUE_TRUE:
		*ret = json_is_true(value);
		return true;
	case VALUE_IS:
		*ret = text && !strcmp(text, row->text);
		return true;
	case VALUE_SET:
		*ret = !json_is_null(value);
		return true;
	case VALUE_LENGTH:
	case VALUE_ERRORS: /* without any there is no series */
		*ret = (int64_t)json_array_size(value);
		return row->value == VALUE_LENGTH || *ret;
	case VALUE_HISTOGRAM:
		return true;
	}
	return false;
}

/* -- text ------------------------------------------------------------------------------------- */

static void write_head(GString *out, const struct row *family)
{
	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->family, family->help,
		family->family, family->type);
}

static void write_sample(GString *out, const char *family, const char *labels, int64_t value)
{
	g_string_append(out, family);
	if (labels)
		g_string_append_printf(out, "{%s}", labels);
	g_string_append_printf(out, " %" PRId64 "\n", value);
}

static void append_label(GString *out, const char *name, const char *value)
{
	g_string_append_printf(out, "%s%s=\"", out->len ? "," : "", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			g_string_append_c(out, '\\');
		if (*value == '\n')
			g_string_append(out, "\\n");
		else
			g_string_append_c(out, *value);
	}
	g_string_append_c(out, '"');
}

static void write_errors(GString *out, const char *family, const json_t *errors)
{
	const json_t *error;
	size_t i;

	json_array_foreach(errors, i, error)
	{
		g_autoptr(GString) labels = g_string_new(NULL);

		append_label(labels, "errno", get_text(error, "errno"));
		write_sample(out, family, labels->str, get_int(error, "count"));
	}
}

/* The daemon counts milliseconds, each in one bucket. */
static void write_histogram(GString *out, const char *family, const json_t *histogram)
{
	const json_t *bounds = json_object_get(histogram, "le_ms");
	const json_t *counts = json_object_get(histogram, "counts");
	char seconds[G_ASCII_DTOSTR_BUF_SIZE];
	int64_t sum = 0;

	for (size_t i = 0; i < json_array_size(counts); i++) {
		const json_t *bound = json_array_get(bounds, i);

		sum += json_integer_value(json_array_get(counts, i));
		g_ascii_formatd(
			seconds, sizeof(seconds), "%g", (double)json_integer_value(bound) / 1000);
		g_string_append_printf(out, "%s_bucket{le=\"%s\"} %" PRId64 "\n", family,
			bound ? seconds : "+Inf", sum);
	}
	g_ascii_formatd(
		seconds, sizeof(seconds), "%.3f", (double)get_int(histogram, "sum_ms") / 1000);
	g_string_append_printf(
		out, "%s_sum %s\n%s_count %" PRId64 "\n", family, seconds, family, sum);
}

/* The head of a family only where a sample follows. */
static void write_rows(GString *out, const json_t *root)
{
	const struct row *family = NULL, *told = NULL;

	for (const struct row *row = rows; row < rows + G_N_ELEMENTS(rows); row++) {
		int64_t value;

		family = row->help ? row : family;
		if (!value_of(root, row, &value))
			continue;
		if (told != family)
			write_head(out, family);
		told = family;
		if (row->value == VALUE_HISTOGRAM)
			write_histogram(out, family->family, find(root, row->path));
		else if (row->value == VALUE_ERRORS)
			write_errors(out, family->family, find(root, row->path));
		else
			write_sample(out, family->family, row->labels, value);
	}
}

static void write_peer_row(GString *out, const json_t *peers, const struct row *row)
{
	g_autoptr(GString) labels = g_string_new(NULL);
	bool first = true;
	const json_t *peer;
	int64_t value;
	size_t i;

	json_array_foreach(peers, i, peer)
	{
		if (!value_of(peer, row, &value))
			continue;
		if (first)
			write_head(out, row);
		first = false;
		g_string_truncate(labels, 0);
		append_label(labels, "peer", get_text(peer, "name"));
		append_label(labels, "public_key", get_text(peer, "public_key"));
		write_sample(out, row->family, labels->str, value);
	}
}

void metrics_write(GString *out, const json_t *status, const char *kernel)
{
	static const struct row up = ONE(
		"lapwing_up", "gauge", "Whether the daemon answers.", NULL);
	static const struct row build = ONE("lapwing_build_info", "gauge",
		"The daemon's version and the kernel's, always 1.", NULL);
	const json_t *peers = json_object_get(status, "peers");
	g_autoptr(GString) labels = g_string_new(NULL);

	write_head(out, &up);
	write_sample(out, up.family, NULL, status != NULL);
	if (!status)
		return;
	append_label(labels, "version", get_text(status, "version"));
	append_label(labels, "kernel", kernel);
	write_head(out, &build);
	write_sample(out, build.family, labels->str, 1);
	write_rows(out, status);
	for (size_t i = 0; i < G_N_ELEMENTS(peer_rows); i++)
		write_peer_row(out, peers, &peer_rows[i]);
}
