/* agent/requests_network.c - requests about joining and leaving a network. */
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/daemon.h"
#include "agent/network.h"
#include "agent/requests_impl.h"
#include "mgmt/profile.h"

enum { EXPORT_ROOM = 1024 };

static void handle_enroll(struct requests *r, const struct control_request *request)
{
	const struct network_enrolment enrolment = {
		.url = request->url,
		.setup_key = request->setup_key[0] ? request->setup_key : NULL,
		.hostname = request->hostname[0] ? request->hostname : NULL,
		.force = request->force,
		.until = request->wait ? (int)request->until : CONTROL_UNTIL_DONE,
	};

	if (!request->url[0]) {
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE, NULL,
			"the management server's URL is missing");
		return;
	}
	network_enroll(daemon_network(r->daemon), request->client, &enrolment);
}

static void handle_import(struct requests *r, const struct control_request *request)
{
	if (request->profile)
		network_import(daemon_network(r->daemon), request->client, request->profile,
			request->profile_len, request->force);
	else
		control_error(daemon_control(r->daemon), request->client, EXIT_USAGE, NULL,
			"the profile is missing");
}

/* Room for all of it from the start, so that no copies of the key are left behind. */
static void handle_export(struct requests *r, const struct control_request *request)
{
	struct control *control = daemon_control(r->daemon);
	char error[NETWORK_ERROR_MAX];
	GString *profile = network_export(daemon_network(r->daemon), error), *head, *out;

	if (!profile) {
		control_error(control, request->client, EXIT_NOT_ENROLLED, NULL, "%s", error);
		return;
	}
	head = jwrite_document("lapwing.export/1");
	out = g_string_sized_new(head->len + profile->len + EXPORT_ROOM);
	g_string_append_len(out, head->str, (gssize)head->len);
	g_string_free(head, TRUE);
	jwrite_null(out, "state");
	jwrite_bool(out, "changed", false);
	jwrite_null(out, "file");
	jwrite_raw(out, "profile", profile->str);
	jwrite_close(out, '}');
	profile_text_free(profile);
	control_reply(control, request->client, out);
}

bool requests_network(struct requests *r, const struct control_request *request)
{
	if (!strcmp(request->command, "enroll"))
		handle_enroll(r, request);
	else if (!strcmp(request->command, "deregister"))
		network_deregister(daemon_network(r->daemon), request->client, request->purge);
	else if (!strcmp(request->command, "import"))
		handle_import(r, request);
	else if (!strcmp(request->command, "export"))
		handle_export(r, request);
	else
		return false;
	return true;
}

void requests_network_done(
	struct requests *r, uint32_t client, const struct network_outcome *outcome)
{
	struct waiter waiter = {
		.client = client,
		.until = (enum control_until)outcome->until,
		.changed = outcome->changed,
	};

	if (outcome->code) {
		control_error(daemon_control(r->daemon), client, outcome->code, outcome->hint, "%s",
			outcome->message);
		return;
	}
	/* Whoever joins wants the tunnels. */
	if (network_is_joined(daemon_network(r->daemon)) && daemon_is_down(r->daemon))
		daemon_set_down(r->daemon, false);
	daemon_kick(r->daemon);
	if (waiter.until == CONTROL_UNTIL_DONE && !outcome->settle) {
		requests_answer_change(r, client, outcome);
		return;
	}
	waiter.schema = outcome->schema;
	waiter.message = g_strdup(outcome->message);
	waiter.up = waiter.until != CONTROL_UNTIL_DONE;
	requests_wait(r, &waiter);
}
