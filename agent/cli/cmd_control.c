/* agent/cli/cmd_control.c - up, down, one peer, log-level, version: short questions to the daemon. */
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"

/* -- up and down ------------------------------------------------------------------------------ */

/* With --wait the mesh is there, or the exit status says why not. */
static enum exit_code tell_change(const struct options *o, const json_t *root, const char *verb)
{
	const char *state = get_text(root, "state"), *message = get_text(root, "message");
	g_autofree char *text = text_safe(*message ? message : get_text(root, "reason"));
	bool changed = get_bool(root, "changed");

	if (!o->json)
		printf("%s%s: %s%s%s\n", changed ? "" : "already ", verb, state, *text ? ": " : "",
			text);
	return o->wait ? get_code(root) : EXIT_OK;
}

enum exit_code cmd_up(const struct options *o)
{
	GString *request = client_request("up");
	enum exit_code code;
	json_t *root;

	jwrite_bool(request, "wait", o->wait);
	if (o->until)
		jwrite_string(request, "until", o->until);
	root = client_ask_document(o, request, &code);
	if (root)
		code = tell_change(o, root, "up");
	json_decref(root);
	return code;
}

/* Always waits: who asks for it to be gone wants to know that it is. */
enum exit_code cmd_down(const struct options *o)
{
	struct options waiting = *o;
	enum exit_code code;
	json_t *root;

	waiting.wait = true;
	root = client_ask_document(&waiting, client_request("down"), &code);
	if (root)
		code = tell_change(&waiting, root, "down");
	json_decref(root);
	return code;
}

/* -- one peer --------------------------------------------------------------------------------- */

/* "b: parked", "b: already pinned, stays up", ... */
static void print_peer_change(const json_t *root, const char *command)
{
	const json_t *peer = json_array_get(json_object_get(root, "peers"), 0);
	const char *lazy = get_text(peer, "lazy"), *before = "";
	g_autofree char *name = text_safe(get_text(peer, "name"));
	g_autofree char *reason = text_safe(get_text(peer, "lazy_reason"));
	g_autofree char *message = text_safe(get_text(root, "message"));

	if (!get_bool(root, "changed"))
		before = strcmp(command, "unpin") ? "already " : "was not pinned; ";
	printf("%s: %s", name, before);
	if (get_bool(peer, "pinned"))
		printf("pinned, stays up");
	else if (!strcmp(lazy, "permanent"))
		printf("up at all times (%s)", reason);
	else
		printf("%s", lazy);
	printf("%s%s\n", *message ? ": " : "", message);
}

static enum exit_code change_peer(const struct options *o, const char *command)
{
	GString *request = client_request(command);
	enum exit_code code;
	json_t *root;

	jwrite_string(request, "peer", o->argument);
	if (o->wait)
		jwrite_bool(request, "wait", true);
	root = client_ask_document(o, request, &code);
	if (root && !o->json)
		print_peer_change(root, command);
	json_decref(root);
	return code;
}

enum exit_code cmd_wake(const struct options *o)
{
	return change_peer(o, "wake");
}

enum exit_code cmd_idle(const struct options *o)
{
	return change_peer(o, "idle");
}

enum exit_code cmd_pin(const struct options *o)
{
	return change_peer(o, "pin");
}

enum exit_code cmd_unpin(const struct options *o)
{
	return change_peer(o, "unpin");
}

/* -- log-level and version -------------------------------------------------------------------- */

enum exit_code cmd_log_level(const struct options *o)
{
	GString *request = client_request("log-level");
	enum exit_code code;
	json_t *root;

	if (o->argument)
		jwrite_string(request, "level", o->argument);
	root = client_ask_document(o, request, &code);
	if (root && !o->json)
		puts(get_text(root, "level"));
	json_decref(root);
	return code;
}

/* NULL when the daemon does not answer, which is nothing bad here. */
static char *daemon_version(const struct options *o)
{
	struct failure f;
	json_t *root = client_ask_parsed(o, client_request("version"), &f);
	char *version = root ? text_safe(get_text(root, "version")) : NULL;

	json_decref(root);
	return version;
}

enum exit_code cmd_version(const struct options *o)
{
	g_autofree char *daemon = daemon_version(o);
	GString *out;

	if (!o->json) {
		puts("lapwing " LAPWING_VERSION);
		printf("lapwingd %s\n", daemon ? daemon : "does not answer");
		return EXIT_OK;
	}
	out = document_new("lapwing.version/1", daemon ? "running" : "not_running");
	jwrite_string(out, "version", LAPWING_VERSION);
	jwrite_string(out, "daemon_version", daemon);
	document_print(out);
	return EXIT_OK;
}
