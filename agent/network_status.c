/* agent/network_status.c - how the servers are and what they said, for the status document. */
#include "agent/base/jwrite.h"
#include "agent/config.h"
#include "agent/network_impl.h"
#include "agent/runtime.h"
#include "mgmt/detail.h"
#include "mgmt/update.h"

static void write_seconds(GString *out, const char *key, int64_t ms, bool known)
{
	if (known)
		jwrite_int(out, key, ms / 1000);
	else
		jwrite_null(out, key);
}

static void write_management(const struct network *n, GString *out, int64_t now)
{
	struct mgmt_status s;

	mgmt_client_get_status(n->client, &s);
	jwrite_open(out, "management", '{');
	jwrite_string(out, "url", n->membership.url);
	jwrite_string(out, "state", mgmt_state_name(s.state));
	write_seconds(out, "state_seconds", now - s.since_ms, s.since_ms != 0);
	jwrite_string(out, "failure", s.failure ? mgmt_failure_name(s.failure) : NULL);
	jwrite_string(out, "error", s.error[0] ? s.error : NULL);
	write_seconds(out, "next_try_seconds", MAX(s.next_ms - now, 0), s.state == MGMT_WAITING);
	jwrite_string(out, "address", s.address[0] ? s.address : NULL);
	jwrite_bool(out, "cleartext", s.cleartext);
	write_seconds(out, "last_message_seconds", now - s.message_ms, s.message_ms != 0);
	jwrite_int(out, "attempts", (int64_t)s.attempts);
	jwrite_int(out, "connects", (int64_t)s.connects);
	jwrite_int(out, "failures", (int64_t)s.failures);
	jwrite_int(out, "messages", (int64_t)s.messages);
	jwrite_int(out, "messages_refused", (int64_t)s.dropped);
	jwrite_int(out, "file_checks_refused", (int64_t)s.files_refused);
	jwrite_int(out, "jobs_refused", (int64_t)s.jobs_refused);
	jwrite_close(out, '}');
}

static void write_received(GString *out, const struct signal_status *s)
{
	jwrite_open(out, "received", '{');
	jwrite_int(out, "offers", (int64_t)s->taken[SIGNAL_OFFER]);
	jwrite_int(out, "answers", (int64_t)s->taken[SIGNAL_ANSWER]);
	jwrite_int(out, "candidates", (int64_t)s->taken[SIGNAL_CANDIDATE]);
	jwrite_int(out, "go_idle", (int64_t)s->taken[SIGNAL_GO_IDLE]);
	jwrite_close(out, '}');
	jwrite_open(out, "dropped", '{');
	for (enum signal_fate fate = 0; fate < SIGNAL_FATES; fate++)
		if (signal_fate_name(fate))
			jwrite_int(out, signal_fate_name(fate), (int64_t)s->fates[fate]);
	jwrite_close(out, '}');
}

static void write_sent(GString *out, const struct outbox_counts *counts)
{
	jwrite_int(out, "sent", (int64_t)counts->sent);
	jwrite_int(out, "sent_again", (int64_t)counts->tried_again);
	jwrite_int(out, "not_sent", (int64_t)(counts->refused + counts->expired + counts->failed));
	jwrite_int(out, "waiting", (int64_t)counts->waiting);
}

static void write_signal(const struct network *n, GString *out, int64_t now)
{
	struct signal_status s;

	if (!n->signal) {
		jwrite_null(out, "signal");
		return;
	}
	signal_client_get_status(n->signal, &s);
	jwrite_open(out, "signal", '{');
	jwrite_string(out, "url", n->membership.signal);
	jwrite_string(out, "state", signal_state_name(s.life.state));
	write_seconds(out, "state_seconds", now - s.life.since_ms, s.life.since_ms != 0);
	jwrite_string(out, "failure", s.life.failure ? signal_failure_name(s.life.failure) : NULL);
	jwrite_string(out, "error", s.life.error[0] ? s.life.error : NULL);
	write_seconds(out, "next_try_seconds", MAX(s.life.next_ms - now, 0),
		s.life.state == SIGNAL_WAITING);
	jwrite_string(out, "address", s.address[0] ? s.address : NULL);
	write_seconds(out, "last_message_seconds", now - s.life.message_ms, s.life.message_ms != 0);
	jwrite_int(out, "attempts", (int64_t)s.life.attempts);
	jwrite_int(out, "connects", (int64_t)s.life.connects);
	jwrite_int(out, "failures", (int64_t)s.life.failures);
	write_sent(out, &s.out);
	write_received(out, &s);
	jwrite_close(out, '}');
}

static void write_stuns(const struct network *n, GString *out)
{
	jwrite_open(out, "stun", '[');
	for (char **uri = n->membership.stuns; uri && *uri; uri++)
		jwrite_string(out, NULL, *uri);
	jwrite_close(out, ']');
}

static void write_map(const struct network *n, GString *out, int64_t now)
{
	int64_t age_s = n->map_from_disk ? network_disk_map_age_s(n) : (now - n->map_ms) / 1000;

	jwrite_open(out, "map", '{');
	jwrite_int(out, "serial", (int64_t)n->serial);
	jwrite_int(out, "age_seconds", age_s);
	jwrite_string(out, "from", n->map_from_disk ? "disk" : "server");
	jwrite_int(out, "left_out", n->detail ? (int64_t)n->detail->n_left_out : 0);
	jwrite_close(out, '}');
}

static void write_refused_jobs(const struct network *n, GString *out)
{
	struct mgmt_status s;

	mgmt_client_get_status(n->client, &s);
	if (!s.jobs_refused)
		return;
	jwrite_open(out, NULL, '{');
	jwrite_int(out, "jobs", (int64_t)s.jobs_refused);
	jwrite_string(out, "reason", "policy.jobs");
	jwrite_close(out, '}');
}

/* What of the server's wishes this host does not do. */
static void write_refused(const struct network *n, GString *out)
{
	const struct detail *d = n->detail;
	char text[PREFIX_STRLEN];

	jwrite_open(out, "refused", '[');
	for (size_t i = 0; i < d->n_routes; i++) {
		const struct detail_route *route = &d->routes[i];

		if (!route->network.family || route->ours || route->unused ||
			config_allows_route(n->config, &route->network))
			continue;
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "route", detail_text(d, route->id));
		jwrite_string(out, "network", prefix_format(&route->network, text));
		jwrite_string(out, "reason",
			route->network.bits < CONFIG_SHORT_PREFIX ? "policy.default_route"
								  : "policy.routes");
		jwrite_close(out, '}');
	}
	for (const char *const *file = mgmt_client_files(n->client); *file; file++) {
		if (meta_may_tell(*file, (const char *const *)n->config->policy.file_checks))
			continue;
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "file", *file);
		jwrite_string(out, "reason", "policy.file_checks");
		jwrite_close(out, '}');
	}
	if (d->dns.enabled) {
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "dns", "host resolver");
		jwrite_string(
			out, "reason", n->config->policy.dns ? "not served yet" : "policy.dns");
		jwrite_close(out, '}');
	}
	write_refused_jobs(n, out);
	if (network_refuses_push(n)) {
		jwrite_open(out, NULL, '{');
		jwrite_string(out, "metrics", "how long connections take");
		jwrite_string(out, "reason", "metrics.push");
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
}

void network_write_status(const struct network *n, GString *out, bool detail)
{
	int64_t now = g_get_monotonic_time() / 1000;

	if (!network_is_joined(n)) {
		jwrite_null(out, "control");
		return;
	}
	jwrite_open(out, "control", '{');
	write_management(n, out, now);
	write_signal(n, out, now);
	write_stuns(n, out);
	finder_write_status(n->finder, out);
	network_write_push(n, out);
	if (n->expires_s > 0)
		jwrite_int(out, "expires_timestamp_seconds", n->expires_s);
	else
		jwrite_null(out, "expires_timestamp_seconds");
	if (n->map_ms)
		write_map(n, out, now);
	else
		jwrite_null(out, "map");
	if (detail && n->detail) {
		detail_write(n->detail, out);
		write_refused(n, out);
	}
	jwrite_close(out, '}');
}

void network_write_pools(const struct network *n, GString *out)
{
	struct signal_status s = { 0 };

	if (n->signal)
		signal_client_get_status(n->signal, &s);
	finder_write_pools(n->finder, out);
	runtime_write_pool(out, "messages to peers", s.out.waiting, OUTBOX_MAX);
	runtime_write_pool(out, "samples", samples_count(n->samples), SAMPLES_MAX);
}

void network_write_samples(struct network *n, GString *out)
{
	g_autoptr(GString) lines = g_string_new(NULL);

	samples_write(n->samples, lines, SAMPLES_MAX, g_get_real_time() * 1000);
	jwrite_int(out, "count", (int64_t)samples_count(n->samples));
	jwrite_string(out, "lines", lines->str);
}
