/* agent/cli/cmd_why.c - why PEER: walks the way to a peer and names the first stage that fails. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/status_line.h"

enum { HANDSHAKE_OLD_S = 180 }; /* WireGuard discards a session at this age */

enum verdict { STAGE_OK, STAGE_WAITS, STAGE_FAILS, STAGE_UNUSED };

struct walk {
	const json_t *status, *peer, *talk; /* talk: what is negotiated, or NULL */
	bool asleep, up, network;
	GString *json; /* the stages */
	bool quiet; /* nothing for people */
	const char *stage; /* the first that fails or waits */
	enum verdict worst;
	char *evidence;
};

static void stage(struct walk *w, const char *name, enum verdict verdict, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void stage(struct walk *w, const char *name, enum verdict verdict, const char *format, ...)
{
	static const char *const words[] = { "ok", "waits", "fails", "-" };
	g_autofree char *evidence = NULL;
	va_list args;

	va_start(args, format);
	evidence = g_strdup_vprintf(format, args);
	va_end(args);
	jwrite_open(w->json, NULL, '{');
	jwrite_string(w->json, "stage", name);
	jwrite_string(w->json, "state", verdict == STAGE_UNUSED ? "unused" : words[verdict]);
	jwrite_string(w->json, "evidence", evidence);
	jwrite_close(w->json, '}');
	if (!w->quiet)
		status_line(name, "%-5s %s", words[verdict], evidence);
	if (!w->stage && (verdict == STAGE_FAILS || verdict == STAGE_WAITS)) {
		w->stage = name;
		w->worst = verdict;
		w->evidence = g_steal_pointer(&evidence);
	}
}

/* -- the stages ------------------------------------------------------------------------------- */

static void walk_policy(struct walk *w)
{
	const json_t *firewall = json_object_get(w->status, "firewall");
	const char *reason = get_text(w->peer, "reason");
	const char *state = get_text(w->status, "state");

	if (!strcmp(get_text(w->peer, "state"), "blocked"))
		stage(w, "policy", STAGE_FAILS, "%s", reason);
	else if (!strcmp(state, "down"))
		stage(w, "policy", STAGE_FAILS, "this host is down: lapwing up");
	else if (!strcmp(get_text(firewall, "state"), "closed"))
		stage(w, "policy", STAGE_OK,
			"allowed; the firewall is closed but for %" PRId64 " rules, and has "
			"refused %" PRId64 " packets",
			get_int(firewall, "rules"), get_int(firewall, "refused"));
	else
		stage(w, "policy", STAGE_OK, "allowed, no firewall of ours");
}

static void walk_signal(struct walk *w)
{
	const json_t *signal = json_object_get(json_object_get(w->status, "control"), "signal");
	const char *state = get_text(signal, "state"), *error = get_text(signal, "error");

	if (!w->network)
		stage(w, "signal", STAGE_UNUSED, "a mesh from a file has none");
	else if (!json_is_object(signal))
		stage(w, "signal", w->up ? STAGE_OK : STAGE_FAILS, "the network's map names none");
	else if (!strcmp(state, "connected"))
		stage(w, "signal", STAGE_OK, "connected to %s", get_text(signal, "url"));
	else
		stage(w, "signal", w->up ? STAGE_OK : STAGE_FAILS, "%s is %s%s%s",
			get_text(signal, "url"), state, *error ? ": " : "", error);
}

/* Many are wanted at once, or ask. */
static void walk_turn(struct walk *w)
{
	const json_t *all = json_object_get(json_object_get(w->status, "control"), "negotiations");

	stage(w, "offer", STAGE_WAITS,
		"for its turn, for %" PRId64 " ms: %" PRId64 " are at work, %" PRId64 " wait",
		get_int(w->talk, "waits_ms"), get_int(all, "busy"), get_int(all, "waiting"));
}

static void walk_offer(struct walk *w)
{
	int64_t sent = get_int(w->talk, "offers_sent"), heard = get_int(w->talk, "offers_heard");
	int64_t answers = get_int(w->talk, "answers_heard");

	if (!w->talk)
		stage(w, "offer", STAGE_UNUSED, "nothing is being negotiated");
	else if (!get_is_null(w->talk, "waits_ms"))
		walk_turn(w);
	else if (answers || heard)
		stage(w, "offer", STAGE_OK,
			"%" PRId64 " sent, %" PRId64 " answered; %" PRId64 " came", sent, answers,
			heard);
	else
		stage(w, "offer", w->up ? STAGE_OK : STAGE_WAITS,
			"%" PRId64 " sent, none answered: the other side is off, or not connected "
			"to the signal server",
			sent);
}

static void walk_candidates(struct walk *w)
{
	int64_t n = get_int(w->talk, "candidates");
	const json_t *known = json_object_get(w->peer, "candidates");
	g_autofree char *list = text_list(known);

	if (w->talk && !n && !w->up)
		stage(w, "candidates", STAGE_WAITS, "none came from the other side");
	else if (json_array_size(known))
		stage(w, "candidates", STAGE_OK, "%s", list);
	else
		stage(w, "candidates", w->up || w->asleep ? STAGE_UNUSED : STAGE_FAILS,
			"no address of the other side is known");
}

static void walk_checks(struct walk *w)
{
	const char *path = get_text(w->talk, "path"), *problem = get_text(w->talk, "problem");

	if (!w->talk)
		stage(w, "checks", STAGE_UNUSED, "nothing is being negotiated");
	else if (*path)
		stage(w, "checks", STAGE_OK, "%s answers (%s to %s)", path,
			get_text(w->talk, "local_type"), get_text(w->talk, "remote_type"));
	else if (w->up)
		stage(w, "checks", STAGE_UNUSED, "WireGuard itself found the way");
	else if (*problem)
		stage(w, "checks", STAGE_FAILS, "%s", problem);
	else
		stage(w, "checks", STAGE_WAITS, "%s", get_text(w->talk, "phase"));
}

static void walk_endpoint(struct walk *w)
{
	const char *endpoint = get_text(w->peer, "endpoint");

	if (*endpoint)
		stage(w, "endpoint", STAGE_OK, "%s", endpoint);
	else
		stage(w, "endpoint", w->asleep ? STAGE_UNUSED : STAGE_FAILS, "none");
}

static void walk_handshake(struct walk *w)
{
	int64_t age = get_int(w->peer, "last_handshake_seconds");
	bool never = get_is_null(w->peer, "last_handshake_seconds");
	const char *reason = get_text(w->peer, "reason");

	if (never)
		stage(w, "handshake", w->asleep ? STAGE_UNUSED : STAGE_FAILS, "never%s%s",
			*reason ? ": " : "", reason);
	else
		stage(w, "handshake",
			age < HANDSHAKE_OLD_S ? STAGE_OK
				: w->up       ? STAGE_FAILS
					      : STAGE_UNUSED,
			"%" PRId64 " s ago%s%s", age, *reason ? "; " : "", reason);
}

static void walk_traffic(struct walk *w)
{
	g_autofree char *rx = text_bytes(get_int(w->peer, "rx_bytes"));
	g_autofree char *tx = text_bytes(get_int(w->peer, "tx_bytes"));

	if (get_is_null(w->peer, "last_inner_seconds"))
		stage(w, "traffic", STAGE_UNUSED, "no packet of an application seen; %s in, %s out",
			rx, tx);
	else
		stage(w, "traffic", STAGE_OK, "%" PRId64 " s ago; %s in, %s out",
			get_int(w->peer, "last_inner_seconds"), rx, tx);
}

static void walk_all(struct walk *w)
{
	const char *state = get_text(w->peer, "state");
	const json_t *talk = json_object_get(w->peer, "negotiation");

	w->talk = json_is_object(talk) ? talk : NULL;
	w->asleep = !strcmp(state, "parked") || !strcmp(state, "idle");
	w->up = !strcmp(state, "up");
	w->network = json_is_object(json_object_get(w->status, "control"));
	walk_policy(w);
	walk_signal(w);
	walk_offer(w);
	walk_candidates(w);
	walk_checks(w);
	walk_endpoint(w);
	walk_handshake(w);
	walk_traffic(w);
}

/* -- the command ------------------------------------------------------------------------------ */

static GString *request_of(const char *command, const char *peer)
{
	GString *request = client_request(command);

	if (peer)
		jwrite_string(request, "peer", peer);
	return request;
}

static enum exit_code conclude(const struct options *o, struct walk *w)
{
	const char *state = get_text(w->peer, "state");
	GString *document;

	if (!o->json) {
		if (w->stage)
			status_line("so", "%s %s: %s", w->stage,
				w->worst == STAGE_FAILS ? "fails" : "waits", w->evidence);
		else
			status_line("so", "%s, nothing is wrong%s", state,
				w->asleep ? ": its first packet wakes it" : "");
		return w->worst == STAGE_FAILS ? EXIT_FAILED : EXIT_OK;
	}
	document = document_new("lapwing.why/1", state);
	jwrite_string(document, "peer", get_text(w->peer, "name"));
	jwrite_string(document, "stage", w->stage);
	jwrite_string(document, "evidence", w->evidence);
	jwrite_open(document, "stages", '[');
	g_string_append_len(document, w->json->str, (gssize)w->json->len);
	jwrite_close(document, ']');
	document_print(document);
	return w->worst == STAGE_FAILS ? EXIT_FAILED : EXIT_OK;
}

enum exit_code cmd_why(const struct options *o)
{
	struct walk w = { .json = g_string_new(NULL), .quiet = o->json };
	struct failure f = { 0 };
	json_t *status = client_ask_parsed(o, request_of("status", NULL), &f), *peers = NULL;
	enum exit_code code = f.code;

	if (status)
		peers = client_ask_parsed(o, request_of("peers", o->argument), &f);
	if (peers) {
		w.status = status;
		w.peer = json_array_get(json_object_get(peers, "peers"), 0);
		walk_all(&w);
		code = conclude(o, &w);
	} else {
		code = failure_report(o, &f);
	}
	g_free(w.evidence);
	g_string_free(w.json, TRUE);
	json_decref(peers);
	json_decref(status);
	return code;
}
