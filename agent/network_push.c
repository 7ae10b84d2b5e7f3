/* agent/network_push.c - whether samples of this network are pushed to a server of metrics, and how that goes. */
#include "agent/base/jwrite.h"
#include "agent/config.h"
#include "agent/network_impl.h"
#include "agent/push.h"
#include "mgmt/update.h"

static bool is_wanted(const struct network *n)
{
	if (!n->membership.url || n->down)
		return false;
	switch (n->config->metrics.push) {
	case PUSH_ON:
		return true;
	case PUSH_SERVER:
		return n->servers && n->servers->metrics;
	case PUSH_OFF:
		break;
	}
	return false;
}

static struct push_settings settings_of(const struct network *n)
{
	const struct config *c = n->config;

	/* Our certificate is not among it: it would tell who we are. */
	return (struct push_settings){
		.server_url = c->metrics.server_url,
		.config_url = c->metrics.config_url,
		.interval_ms = (int64_t)c->metrics.interval_s * 1000,
		.forced = c->metrics.force,
		.ca_file = c->management.ca_file,
		.ca_dir = c->management.ca_dir,
		.mark = network_mark(n, &n->membership),
	};
}

static char *describe(const struct network *n, const struct push_settings *s)
{
	return g_strdup_printf("%s|%s|%s|%" G_GINT64_FORMAT "|%d|%s|%s|%u",
		samples_own_id(n->samples), s->server_url ? s->server_url : "",
		s->config_url ? s->config_url : "", s->interval_ms, s->forced,
		s->ca_file ? s->ca_file : "", s->ca_dir ? s->ca_dir : "", s->mark);
}

void network_renew_push(struct network *n)
{
	struct push_settings settings = settings_of(n);
	g_autofree char *how = is_wanted(n) ? describe(n, &settings) : NULL;

	if (!g_strcmp0(how, n->push_how))
		return;
	network_forget_push(n);
	if (!how)
		return;
	n->push = push_new(&settings, n->samples);
	n->push_how = g_steal_pointer(&how);
}

void network_forget_push(struct network *n)
{
	g_clear_pointer(&n->push, push_free);
	g_clear_pointer(&n->push_how, g_free);
}

bool network_refuses_push(const struct network *n)
{
	return n->config->metrics.push == PUSH_OFF && n->servers && n->servers->metrics;
}

void network_write_push(const struct network *n, GString *out)
{
	int64_t now = g_get_monotonic_time() / 1000;
	struct push_status s;

	if (!n->push) {
		jwrite_null(out, "metrics");
		return;
	}
	push_get_status(n->push, &s);
	jwrite_open(out, "metrics", '{');
	jwrite_string(out, "url", s.url);
	jwrite_string(out, "state", push_state_name(s.state));
	jwrite_string(out, "error", *s.error ? s.error : NULL);
	if (s.next_ms > now && s.state != PUSH_NAMELESS)
		jwrite_int(out, "next_try_seconds", (s.next_ms - now) / 1000);
	else
		jwrite_null(out, "next_try_seconds");
	jwrite_int(out, "configurations", (int64_t)s.asked);
	jwrite_int(out, "configurations_failed", (int64_t)s.not_answered);
	jwrite_int(out, "pushes", (int64_t)s.pushes);
	jwrite_int(out, "pushes_failed", (int64_t)s.failures);
	jwrite_int(out, "samples", (int64_t)s.samples);
	jwrite_close(out, '}');
}
