/* mgmt/client.c - follows a management server: life, timers, status. */
#include "mgmt/client_impl.h"

#include <string.h>

#include "agent/base/due.h"

enum { CONNECT_MS = 10 * 1000 };

int64_t client_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

/* -- the channel ---------------------------------------------------------------------------- */

static void open_channel(struct mgmt_client *c)
{
	struct grpc_channel_options options = {
		.stream = c->server,
		.ping_s = c->ping_s,
		.user_agent = "lapwing/" LAPWING_VERSION,
	};

	if (!c->by_address)
		options.stream.address = NULL;
	c->channel = grpc_channel_new(&options);
}

static void drop_channel(struct mgmt_client *c)
{
	if (c->channel)
		c->ping_s = grpc_channel_ping_s(c->channel);
	g_clear_pointer(&c->channel, grpc_channel_free);
}

void client_note_address(struct mgmt_client *c)
{
	g_strlcpy(c->last_address, grpc_channel_address(c->channel), sizeof(c->last_address));
	g_free((char *)c->server.address);
	c->server.address = g_strdup(c->last_address);
}

void client_reopen_at_address(struct mgmt_client *c)
{
	drop_channel(c);
	c->by_address = true;
	open_channel(c);
}

static void close_channel(struct mgmt_client *c)
{
	for (size_t i = 0; i < SESSION_LINES; i++)
		step_drop(&c->steps[i]);
	drop_channel(c);
	c->by_address = false;
}

/* -- doing what the session wants ----------------------------------------------------------- */

static void conclude(struct mgmt_client *c, const struct session_action *action)
{
	struct outcome outcome = { .failure = action->failure };

	g_strlcpy(outcome.error, action->error, sizeof(outcome.error));
	if (action->act == SESSION_LOGGED_OUT) {
		outcome.done = c->done;
		outcome.user = c->done_user;
	} else {
		explicit_bzero(c->setup_key, sizeof(c->setup_key));
	}
	g_array_append_val(c->outcomes, outcome);
}

static void perform(struct mgmt_client *c, const struct session_action *action)
{
	struct step *step = &c->steps[action->line];

	switch (action->act) {
	case SESSION_FETCH_KEY:
		if (!c->channel)
			open_channel(c);
		return step_begin(step, action);
	case SESSION_CALL:
		if (step->id == action->id)
			step_call(step);
		return;
	case SESSION_CANCEL:
		if (step->id == action->id)
			step_drop(step);
		return;
	case SESSION_CLOSE:
		return close_channel(c);
	case SESSION_REPORT:
		c->tell = true;
		return;
	case SESSION_ENROLLED:
	case SESSION_LOGGED_OUT:
		return conclude(c, action);
	}
}

static bool is_gathering(const struct mgmt_client *c)
{
	for (size_t i = 0; i < SESSION_LINES; i++)
		if (c->steps[i].gather)
			return true;
	return false;
}

void client_settle(struct mgmt_client *c)
{
	struct session_action action;
	int64_t next_ms;

	if (c->settling)
		return;
	c->settling = true;
	do {
		while (session_next(c->session, &action))
			perform(c, &action);
		next_ms = session_tick(c->session, client_now_ms());
	} while (session_has_actions(c->session));
	c->settling = false;
	if (c->tell || c->outcomes->len || is_gathering(c))
		g_source_set_ready_time(c->source, 0);
	else
		g_source_set_ready_time(c->source, next_ms == SESSION_NEVER ? -1 : next_ms * 1000);
}

/* False: the client was freed by the callback. */
static bool call_back(struct mgmt_client *c, const struct outcome *outcome)
{
	bool freed = false;

	c->freed = &freed;
	if (!outcome)
		c->callbacks->changed(c->user);
	else if (outcome->done)
		outcome->done(outcome->failure, outcome->error, outcome->user);
	else
		c->callbacks->enrolled(outcome->failure, outcome->error, c->user);
	if (!freed)
		c->freed = NULL;
	return !freed;
}

static gboolean look(gpointer user)
{
	struct mgmt_client *c = user;

	for (size_t i = 0; i < SESSION_LINES; i++)
		if (c->steps[i].gather)
			step_gather(&c->steps[i]);
	client_settle(c);
	while (c->outcomes->len) {
		struct outcome outcome = g_array_index(c->outcomes, struct outcome, 0);

		g_array_remove_index(c->outcomes, 0);
		if (!call_back(c, &outcome))
			return G_SOURCE_REMOVE;
	}
	if (c->tell) {
		c->tell = false;
		if (!call_back(c, NULL))
			return G_SOURCE_REMOVE;
	}
	client_settle(c);
	return G_SOURCE_CONTINUE;
}

/* -- life ----------------------------------------------------------------------------------- */

static void copy_options(struct mgmt_client *c, const struct mgmt_options *options)
{
	stream_options_copy(&c->server,
		&(struct stream_options){ .url = options->url,
			.address = options->address,
			.ca_file = options->ca_file,
			.ca_dir = options->ca_dir,
			.client_cert = options->client_cert,
			.client_key = options->client_key,
			.mark = options->mark,
			.connect_ms = CONNECT_MS });
	c->hostname = g_strdup(options->hostname);
	c->interface = g_strdup(options->interface);
	c->labels = g_strdupv((char **)(uintptr_t)options->dns_labels);
	c->file_checks = g_strdupv((char **)(uintptr_t)options->file_checks);
	c->switches = options->switches;
	c->jobs = options->jobs;
	c->max_peers = options->max_peers;
	c->cleartext = mgmt_url_is_cleartext(options->url);
	c->private_key = *options->private_key;
	key_public_from_private(&c->private_key, &c->public_key);
}

struct mgmt_client *mgmt_client_new(
	const struct mgmt_options *options, const struct mgmt_callbacks *callbacks, void *user)
{
	struct mgmt_client *c = g_new0(struct mgmt_client, 1);

	copy_options(c, options);
	c->callbacks = callbacks;
	c->user = user;
	c->session = session_new((uint64_t)g_random_int() << 32 | g_random_int());
	c->outcomes = g_array_new(FALSE, FALSE, sizeof(struct outcome));
	for (enum session_line n = 0; n < SESSION_LINES; n++)
		c->steps[n] = (struct step){ .client = c, .line = n };
	c->source = due_new(look, c, NULL);
	return c;
}

void mgmt_client_free(struct mgmt_client *c)
{
	if (!c)
		return;
	if (c->freed)
		*c->freed = true;
	close_channel(c);
	due_free(c->source);
	session_free(c->session);
	g_array_unref(c->outcomes);
	explicit_bzero(c->setup_key, sizeof(c->setup_key));
	key_wipe(&c->private_key);
	stream_options_clear(&c->server);
	g_free(c->hostname);
	g_free(c->interface);
	g_strfreev(c->labels);
	g_strfreev(c->file_checks);
	g_free(c);
}

void mgmt_client_start(struct mgmt_client *c, const char *setup_key)
{
	session_stop(c->session, client_now_ms());
	client_settle(c);
	/* Servers want a UUID as lower case. */
	if (setup_key)
		g_strlcpy(c->setup_key, setup_key, sizeof(c->setup_key));
	for (char *at = c->setup_key; *at; at++)
		*at = g_ascii_tolower(*at);
	session_start(c->session, setup_key != NULL, client_now_ms());
	client_settle(c);
}

void mgmt_client_stop(struct mgmt_client *c)
{
	session_stop(c->session, client_now_ms());
	client_settle(c);
}

void mgmt_client_logout(struct mgmt_client *c,
	void (*done)(enum mgmt_failure failure, const char *error, void *user), void *user)
{
	mgmt_client_stop(c);
	c->done = done;
	c->done_user = user;
	session_logout(c->session, client_now_ms());
	client_settle(c);
}

void mgmt_client_retry(struct mgmt_client *c)
{
	session_retry(c->session, client_now_ms());
	client_settle(c);
}

/* -- status and trust ----------------------------------------------------------------------- */

void mgmt_client_get_status(const struct mgmt_client *c, struct mgmt_status *ret)
{
	struct session_view view;

	session_view(c->session, &view);
	*ret = (struct mgmt_status){
		.state = view.state,
		.failure = view.failure,
		.since_ms = view.since_ms,
		.next_ms = view.next_ms,
		.message_ms = view.message_ms,
		.serial = view.serial,
		.attempts = view.attempts,
		.connects = view.connects,
		.failures = view.failures,
		.logins = view.logins,
		.login_ms = view.login_ms,
		.login_worked = view.login_worked,
		.messages = c->messages,
		.dropped = c->dropped,
		.cleartext = c->cleartext,
		.job_unsupported = view.job_unsupported,
		.files_refused = c->files_refused,
		.jobs_refused = c->jobs_refused,
	};
	g_strlcpy(ret->error, view.error, sizeof(ret->error));
	g_strlcpy(ret->address, c->last_address, sizeof(ret->address));
}

const char *const *mgmt_client_files(const struct mgmt_client *c)
{
	return session_wanted_files(c->session);
}

void client_used_key(struct mgmt_client *c, const struct wg_key *key)
{
	c->used_key = *key;
	c->has_used_key = true;
	c->trust_next = false;
}

void mgmt_client_trust_key(struct mgmt_client *c, const struct wg_key *key)
{
	if (key)
		client_used_key(c, key);
	else
		c->trust_next = true;
	mgmt_client_retry(c);
}

bool mgmt_client_server_key(const struct mgmt_client *c, struct wg_key *ret)
{
	if (c->has_used_key)
		*ret = c->used_key;
	return c->has_used_key;
}
