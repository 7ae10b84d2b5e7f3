/* agent/push.c - asks a server of metrics for its configuration, and sends it samples. */
#include "agent/push.h"

#include <glib.h>
#include <string.h>

#include "agent/base/due.h"
#include "agent/base/log.h"
#include "agent/push_body.h"
#include "agent/rpc/http.h"
#include "agent/samples.h"

enum {
	TIMEOUT_MS = 10 * 1000,
	SAMPLES_PER_REQUEST = 2048, /* takes some 20 ms to write and compress */
};

static const char default_config_url[] = "https://ingest.netbird.io/config";

struct push {
	struct samples *samples;
	struct push_plan plan;
	char *server_url, *config_url, *ca_file, *ca_dir;
	uint32_t mark;
	unsigned timeout_ms;
	GSource *due;
	struct http *request; /* NULL: none under way */
	uint64_t sent_mark; /* what it brings ends there */
	size_t sent_count;
	uint64_t asked, not_answered, pushes, failures, brought;
	char ask_error[PUSH_ERROR_MAX], push_error[PUSH_ERROR_MAX];
};

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static void look_soon(struct push *p)
{
	g_source_set_ready_time(p->due, 0);
}

/* The log is told when it begins, status what it is now. */
static void note(char error[static PUSH_ERROR_MAX], const char *why, const char *url)
{
	if (*why && !*error)
		log_warn("metrics %s: %s, trying again", url, why);
	g_strlcpy(error, why, PUSH_ERROR_MAX);
}

/* Why it is no good; "": it is. */
static void judge(const struct http_result *result, char ret[static PUSH_ERROR_MAX])
{
	*ret = '\0';
	if (!result->status)
		g_strlcpy(ret, result->error, PUSH_ERROR_MAX);
	else if (result->status / 100 != 2)
		g_snprintf(ret, PUSH_ERROR_MAX, "HTTP status %d", result->status);
}

static void start(struct push *p, struct http_options *options,
	void (*done)(const struct http_result *result, void *user))
{
	options->ca_file = p->ca_file;
	options->ca_dir = p->ca_dir;
	options->mark = p->mark;
	options->timeout_ms = p->timeout_ms;
	p->request = http_start(options, done, p);
}

/* -- the configuration ------------------------------------------------------------------------ */

static void asked(const struct http_result *result, void *user)
{
	struct push *p = user;
	struct push_config config;
	char error[PUSH_ERROR_MAX];

	p->asked++;
	judge(result, error);
	if (!*error)
		push_config_parse(result->answer, result->len, &config, error);
	p->not_answered += *error != '\0';
	push_plan_asked(&p->plan, now_ms(), *error ? NULL : &config);
	note(p->ask_error, error, p->config_url);
	g_clear_pointer(&p->request, http_free);
	look_soon(p);
}

static void ask(struct push *p)
{
	start(p, &(struct http_options){ .url = p->config_url, .answer_max = PUSH_CONFIG_SIZE_MAX },
		asked);
}

/* -- samples ---------------------------------------------------------------------------------- */

static void sent(const struct http_result *result, void *user)
{
	struct push *p = user;
	char error[PUSH_ERROR_MAX];
	bool more;

	judge(result, error);
	if (*error) {
		p->failures++;
	} else {
		p->pushes++;
		p->brought += p->sent_count;
		samples_drop(p->samples, p->sent_mark);
	}
	more = !*error && p->sent_count == SAMPLES_PER_REQUEST;
	push_plan_sent(&p->plan, now_ms(), more);
	note(p->push_error, error, push_plan_url(&p->plan));
	g_clear_pointer(&p->request, http_free);
	look_soon(p);
}

static void send_samples(struct push *p)
{
	g_autofree char *id = g_strdup_printf("X-Peer-ID: %s", samples_own_id(p->samples));
	const char *const headers[] = { "Content-Type: text/plain; charset=utf-8",
		"Content-Encoding: gzip", id, NULL };
	g_autoptr(GString) lines = g_string_new(NULL);
	g_autoptr(GBytes) body = NULL;

	p->sent_mark = samples_write(
		p->samples, lines, SAMPLES_PER_REQUEST, g_get_real_time() * 1000);
	p->sent_count = MIN(samples_count(p->samples), (size_t)SAMPLES_PER_REQUEST);
	if (!p->sent_count) /* all were too old */
		return look_soon(p);
	body = push_compress(lines->str, lines->len);
	start(p,
		&(struct http_options){
			.url = push_plan_url(&p->plan), .headers = headers, .body = body },
		sent);
}

/* -- life ------------------------------------------------------------------------------------- */

static gboolean look(gpointer user)
{
	struct push *p = user;
	int64_t now = now_ms();

	g_source_set_ready_time(p->due, -1);
	if (p->request)
		return G_SOURCE_CONTINUE;
	switch (push_plan_next(&p->plan, now, samples_count(p->samples))) {
	case PUSH_ASKING:
		ask(p);
		break;
	case PUSH_SENDING:
		send_samples(p);
		break;
	case PUSH_NAMELESS:
		break;
	case PUSH_WAITING:
	case PUSH_UNCONFIGURED:
	case PUSH_EXCLUDED:
		g_source_set_ready_time(
			p->due, g_get_monotonic_time() + (p->plan.cycle_ms - now) * 1000);
		break;
	}
	return G_SOURCE_CONTINUE;
}

struct push *push_new(const struct push_settings *settings, struct samples *samples)
{
	struct push *p = g_new0(struct push, 1);

	p->samples = samples;
	p->server_url = g_strdup(settings->server_url);
	p->config_url = g_strdup(settings->config_url ? settings->config_url : default_config_url);
	p->ca_file = g_strdup(settings->ca_file);
	p->ca_dir = g_strdup(settings->ca_dir);
	p->mark = settings->mark;
	p->timeout_ms = settings->timeout_ms ? settings->timeout_ms : TIMEOUT_MS;
	push_plan_init(&p->plan, LAPWING_VERSION);
	p->plan.server_url = p->server_url;
	p->plan.interval_ms = settings->interval_ms;
	p->plan.forced = settings->forced;
	p->due = due_new(look, p, NULL);
	look_soon(p);
	return p;
}

void push_free(struct push *p)
{
	if (!p)
		return;
	due_free(p->due);
	http_free(p->request);
	g_free(p->server_url);
	g_free(p->config_url);
	g_free(p->ca_file);
	g_free(p->ca_dir);
	g_free(p);
}

void push_get_status(const struct push *p, struct push_status *ret)
{
	*ret = (struct push_status){
		.state = p->plan.state,
		.url = push_plan_url(&p->plan),
		.error = *p->push_error ? p->push_error : p->ask_error,
		.next_ms = p->plan.cycle_ms,
		.asked = p->asked,
		.not_answered = p->not_answered,
		.pushes = p->pushes,
		.failures = p->failures,
		.samples = p->brought,
	};
}
