/* agent/cli/status_control.c - the lines of `status` about the server of a network. */
#include <inttypes.h>
#include <string.h>

#include "agent/cli/output.h"
#include "agent/cli/status_line.h"

static void print_management(const json_t *m)
{
	const char *error = get_text(m, "error");
	g_autofree char *since = text_duration(get_int(m, "state_seconds"));
	g_autoptr(GString) text = g_string_new(get_text(m, "state"));

	if (!get_is_null(m, "state_seconds"))
		g_string_append_printf(text, " for %s", since);
	if (*error)
		g_string_append_printf(text, ": %s", error);
	if (!get_is_null(m, "next_try_seconds"))
		g_string_append_printf(
			text, ", next try in %" PRId64 " s", get_int(m, "next_try_seconds"));
	status_line("management", "%s, %s", get_text(m, "url"), text->str);
	if (get_bool(m, "cleartext"))
		status_line("warning", "%s", "without TLS anybody on the way can be that server");
}

static void print_map(const json_t *map)
{
	g_autofree char *age = text_duration(get_int(map, "age_seconds"));

	if (!json_is_object(map)) {
		status_line("map", "%s", "none yet");
		return;
	}
	status_line("map", "serial %" PRId64 " from the %s, %s old%s", get_int(map, "serial"),
		get_text(map, "from"), age,
		get_int(map, "left_out") ? ", not all of it could be taken: status -d --json" : "");
}

void status_print_control(const json_t *root)
{
	const json_t *control = json_object_get(root, "control");

	if (!json_is_object(control))
		return;
	print_management(json_object_get(control, "management"));
	print_map(json_object_get(control, "map"));
}
