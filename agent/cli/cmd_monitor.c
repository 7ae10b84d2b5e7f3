/* agent/cli/cmd_monitor.c - a line for each event. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"

static void print_member(const char *key, const json_t *value)
{
	char *dumped = NULL;
	g_autofree char *text = NULL;

	if (json_is_string(value)) {
		text = text_safe(json_string_value(value));
		printf(strpbrk(text, " \"=") || !*text ? " %s=\"%s\"" : " %s=%s", key, text);
		return;
	}
	dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	printf(" %s=%s", key, dumped ? dumped : "?");
	free(dumped);
}

static void print_members(json_t *event)
{
	const char *key;
	json_t *value;

	json_object_foreach(event, key, value)
	{
		g_autofree char *name = text_safe(key);

		if (strcmp(key, "v") && strcmp(key, "time") && strcmp(key, "event"))
			print_member(name, value);
	}
}

/* The message says it all. */
static bool is_told_by_message(const char *kind)
{
	return !strcmp(kind, "lazy") || !strcmp(kind, "negotiation");
}

/* Time and kind, then what else there is, in the daemon's order. */
static void print_event(json_t *event)
{
	g_autofree char *time = text_safe(get_text(event, "time"));
	g_autofree char *kind = text_safe(get_text(event, "event"));
	g_autofree char *message = text_safe(get_text(event, "message"));

	printf("%-20s %s", *time ? time : "-", kind);
	if (is_told_by_message(kind) && *message)
		printf(" %s", message);
	else
		print_members(event);
	putchar('\n');
}

static bool on_line(const char *text, size_t len, void *user)
{
	const struct options *o = user;
	json_t *event;

	if (o->json) {
		printf("%.*s\n", (int)len, text);
	} else {
		event = json_loadb(text, len, 0, NULL);
		if (json_is_object(event))
			print_event(event);
		json_decref(event);
	}
	return fflush(stdout) == 0;
}

enum exit_code cmd_monitor(const struct options *o)
{
	g_autoptr(GString) request = client_request("monitor");
	struct failure f;

	jwrite_close(request, '}');
	g_string_append_c(request, '\n');
	if (client_listen(o, request->str, on_line, (void *)o, &f) != EXIT_OK)
		return failure_report(o, &f);
	return EXIT_OK;
}
