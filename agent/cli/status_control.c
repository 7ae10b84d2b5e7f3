/* agent/cli/status_control.c - the lines of `status` about the servers of a network. */
#include <inttypes.h>
#include <string.h>

#include "agent/cli/output.h"
#include "agent/cli/status_line.h"

static void print_server(const char *label, const json_t *m)
{
	const char *error = get_text(m, "error");
	g_autofree char *since = text_duration(get_int(m, "state_seconds"));
	g_autoptr(GString) text = g_string_new(get_text(m, "state"));

	if (!json_is_object(m))
		return;
	if (!get_is_null(m, "state_seconds"))
		g_string_append_printf(text, " for %s", since);
	if (*error)
		g_string_append_printf(text, ": %s", error);
	if (!get_is_null(m, "next_try_seconds"))
		g_string_append_printf(
			text, ", next try in %" PRId64 " s", get_int(m, "next_try_seconds"));
	status_line(label, "%s, %s", get_text(m, "url"), text->str);
	if (get_bool(m, "cleartext"))
		status_line("warning", "%s", "without TLS anybody on the way can be that server");
}

/* Of the messages of others, what was not fit to be taken. */
static char *describe_dropped(const json_t *signal)
{
	json_t *dropped = json_object_get(signal, "dropped"), *count;
	GString *text = g_string_new(NULL);
	const char *why;

	json_object_foreach(dropped, why, count)
	{
		if (json_integer_value(count))
			g_string_append_printf(text, "%s %s %" PRId64,
				text->len ? "," : "; dropped:", why,
				(int64_t)json_integer_value(count));
	}
	return g_string_free(text, FALSE);
}

/* What peers say through the signal server, we and others. */
static void print_messages(const json_t *signal)
{
	const json_t *received = json_object_get(signal, "received");
	g_autofree char *dropped = describe_dropped(signal);

	if (!json_is_object(signal))
		return;
	status_line("messages",
		"%" PRId64 " sent, %" PRId64 " waiting, %" PRId64 " not sent; %" PRId64
		" offers, %" PRId64 " answers, %" PRId64 " candidates received%s",
		get_int(signal, "sent"), get_int(signal, "waiting"), get_int(signal, "not_sent"),
		get_int(received, "offers"), get_int(received, "answers"),
		get_int(received, "candidates"), dropped);
}

static void print_negotiations(const json_t *n)
{
	if (json_is_object(n))
		status_line("paths",
			"%" PRId64 " being found, %" PRId64 " waiting for that, the longest for "
			"%" PRId64 " ms; %" PRId64 " candidates refused",
			get_int(n, "busy"), get_int(n, "waiting"), get_int(n, "longest_wait_ms"),
			get_int(n, "candidates_refused"));
}

/* Samples that are sent to somebody else: seen by everybody who looks. */
static void print_metrics(const json_t *m)
{
	const char *url = get_text(m, "url"), *error = get_text(m, "error");

	if (!json_is_object(m))
		return;
	status_line("metrics",
		"%s, %s: %" PRId64 " samples pushed, %" PRId64 " of %" PRId64 " pushes and %" PRId64
		" of %" PRId64 " questions failed%s%s",
		*url ? url : "-", get_text(m, "state"), get_int(m, "samples"),
		get_int(m, "pushes_failed"), get_int(m, "pushes") + get_int(m, "pushes_failed"),
		get_int(m, "configurations_failed"), get_int(m, "configurations"),
		*error ? "; " : "", error);
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
		get_int(map, "left_out") ? ", not all of it could be taken: status -d" : "");
}

static void print_routes(const json_t *control)
{
	const json_t *route;
	size_t i;

	json_array_foreach(json_object_get(control, "routes"), i, route)
	{
		const char *network = get_text(route, "network"),
			   *unused = get_text(route, "unused");

		status_line("route", "%s %s, metric %" PRId64 "%s%s", get_text(route, "network_id"),
			*network ? network : get_text(route, "domains"), get_int(route, "metric"),
			*unused ? ", not used: " : "", unused);
	}
}

static void print_dns(const json_t *control)
{
	const json_t *dns = json_object_get(control, "dns"), *zone, *group;
	size_t i;

	if (!get_bool(dns, "enabled"))
		return;
	json_array_foreach(json_object_get(dns, "zones"), i, zone) status_line("zone",
		"%s, %" PRId64 " records", get_text(zone, "domain"), get_int(zone, "records"));
	json_array_foreach(json_object_get(dns, "servers"), i, group)
	{
		const char *domains = get_text(group, "domains");

		status_line("resolver", "%s%s%s", get_text(group, "servers"),
			*domains ? " for " : "", domains);
	}
}

static void print_refused(const json_t *item)
{
	static const struct {
		const char *key, *words;
	} kinds[] = { { "network", "route to" }, { "file", "to look for" }, { "dns", "DNS by" },
		{ "metrics", "to tell" } };

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (*get_text(item, kinds[i].key))
			status_line("refused", "%s %s: %s", kinds[i].words,
				get_text(item, kinds[i].key), get_text(item, "reason"));
	if (get_int(item, "jobs"))
		status_line("refused", "jobs, %" PRId64 " so far: %s", get_int(item, "jobs"),
			get_text(item, "reason"));
}

static void print_left_out(const json_t *control)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(control, "refused"), i, item) print_refused(item);
	json_array_foreach(json_object_get(control, "offline_peers"), i, item) status_line(
		"offline", "%s, %s", get_text(item, "name"), get_text(item, "addresses"));
	json_array_foreach(json_object_get(control, "notes"), i, item)
		status_line("note", "%s", json_is_string(item) ? json_string_value(item) : "");
}

void status_print_control(const json_t *root, bool detail)
{
	const json_t *control = json_object_get(root, "control");

	if (!json_is_object(control))
		return;
	print_server("management", json_object_get(control, "management"));
	print_server("signal", json_object_get(control, "signal"));
	print_metrics(json_object_get(control, "metrics"));
	print_map(json_object_get(control, "map"));
	if (!detail)
		return;
	print_messages(json_object_get(control, "signal"));
	print_negotiations(json_object_get(control, "negotiations"));
	print_routes(control);
	print_dns(control);
	print_left_out(control);
}
