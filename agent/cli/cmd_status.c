/* agent/cli/cmd_status.c - status and peers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/cmd.h"
#include "agent/cli/output.h"
#include "agent/cli/status_line.h"
#include "agent/cli/table.h"

/* -- peers ------------------------------------------------------------------------------------ */

/* "-" when it is null. */
static char *duration(const json_t *peer, const char *key)
{
	return get_is_null(peer, key) ? g_strdup("-") : text_duration(get_int(peer, key));
}

/* May it be parked? */
static const char *may_sleep(const json_t *peer)
{
	if (get_bool(peer, "pinned"))
		return "pinned";
	return strcmp(get_text(peer, "lazy"), "permanent") ? "yes" : "permanent";
}

/* "3, 92 ms, 2 lost": how often, how soon the last one was answered, what could not be sent on. */
static char *short_wakes(const json_t *wakes)
{
	GString *text = g_string_new(NULL);

	g_string_printf(text, "%" PRId64, get_int(wakes, "count"));
	if (!get_is_null(wakes, "answer_us"))
		g_string_append_printf(
			text, ", %" PRId64 " ms", get_int(wakes, "answer_us") / 1000);
	if (get_int(wakes, "dropped"))
		g_string_append_printf(text, ", %" PRId64 " lost", get_int(wakes, "dropped"));
	return g_string_free(text, FALSE);
}

/* Of what kind the candidates at both ends are, or how far a negotiation has come. */
static char *short_path(const json_t *peer)
{
	const json_t *talk = json_object_get(peer, "negotiation");

	if (!*get_text(talk, "path"))
		return g_strdup(get_text(talk, "phase"));
	return g_strdup_printf(
		"%s to %s", get_text(talk, "local_type"), get_text(talk, "remote_type"));
}

static void print_peer_table(const json_t *peers)
{
	static const char *const headers[] = { "NAME", "ADDRESS", "STATE", "LAZY", "WAKES",
		"ENDPOINT", ">HANDSHAKE", ">INNER", ">RX", ">TX", "PATH", NULL };
	struct table *table = table_new(headers);
	const json_t *peer;
	size_t i;

	json_array_foreach(peers, i, peer)
	{
		const json_t *addresses = json_object_get(peer, "addresses");
		const char *first = json_string_value(json_array_get(addresses, 0));
		g_autofree char *path = short_path(peer);

		table_add(table, get_text(peer, "name"));
		table_add(table, first ? first : "");
		table_add(table, get_text(peer, "state"));
		table_add(table, may_sleep(peer));
		table_take(table, short_wakes(json_object_get(peer, "wakes")));
		table_add(table, get_text(peer, "endpoint"));
		table_take(table, duration(peer, "last_handshake_seconds"));
		table_take(table, duration(peer, "last_inner_seconds"));
		table_take(table, text_bytes(get_int(peer, "rx_bytes")));
		table_take(table, text_bytes(get_int(peer, "tx_bytes")));
		table_add(table, path);
	}
	if (json_array_size(peers))
		table_print(table, stdout);
	else
		puts("no peers");
	table_free(table);
}

static void print_list(const char *label, const json_t *array)
{
	g_autofree char *text = text_list(array);

	if (*text)
		status_line(label, "%s", text);
}

static void print_age(const char *label, const json_t *peer, const char *key)
{
	g_autofree char *age = duration(peer, key);

	status_line(label, "%s%s", age, get_is_null(peer, key) ? "" : " ago");
}

static void add_ms(GString *out, const json_t *wakes, const char *key, const char *what)
{
	if (!get_is_null(wakes, key))
		g_string_append_printf(
			out, ", %s after %.1f ms", what, (double)get_int(wakes, key) / 1000);
}

static void print_wakes(const json_t *wakes)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (!get_int(wakes, "count"))
		return;
	g_string_printf(text, "%" PRId64 ", the last by %s", get_int(wakes, "count"),
		get_text(wakes, "cause"));
	add_ms(text, wakes, "endpoint_us", "endpoint set");
	add_ms(text, wakes, "answer_us", "answer");
	if (get_int(wakes, "dropped"))
		g_string_append_printf(
			text, "; %" PRId64 " packets dropped", get_int(wakes, "dropped"));
	status_line("wakes", "%s", text->str);
}

static void print_lazy_peer(const json_t *peer)
{
	g_autofree char *idle = duration(peer, "idle_after_seconds");
	const char *lazy = get_text(peer, "lazy");

	if (!strcmp(lazy, "permanent"))
		status_line("lazy", "no: %s", get_text(peer, "lazy_reason"));
	else
		status_line("lazy", "%s, idle after %s", lazy, idle);
	print_age("inner", peer, "last_inner_seconds");
	print_wakes(json_object_get(peer, "wakes"));
}

static void print_negotiation(const json_t *talk)
{
	const char *path = get_text(talk, "path"), *problem = get_text(talk, "problem");
	const char *phase = get_text(talk, "phase"), *sep = *problem ? ": " : "";

	if (*path)
		status_line("path", "%s, %s (%s to %s)%s%s", phase, path,
			get_text(talk, "local_type"), get_text(talk, "remote_type"), sep, problem);
	else if (!get_is_null(talk, "waits_ms"))
		status_line("path", "waiting for its turn, for %" PRId64 " ms%s%s",
			get_int(talk, "waits_ms"), sep, problem);
	else if (*phase)
		status_line("path", "%s%s%s", phase, sep, problem);
}

static char *since(const json_t *talk, const char *key)
{
	g_autofree char *age = text_duration(get_int(talk, key) / 1000);

	return get_is_null(talk, key) ? g_strdup("") : g_strdup_printf(", the last %s ago", age);
}

/* What was said by way of the signal server. */
static void print_words(const json_t *talk)
{
	g_autofree char *offered = since(talk, "last_offer_ms");
	g_autofree char *answered = since(talk, "last_answer_ms");
	g_autofree char *limited = NULL;

	if (!json_is_object(talk))
		return;
	if (get_int(talk, "limited"))
		limited = g_strdup_printf("; %" PRId64 " too many", get_int(talk, "limited"));
	status_line("session",
		"%s; offers: %" PRId64 " sent%s, %" PRId64 " heard; answers: %" PRId64
		" sent, %" PRId64 " heard%s%s",
		get_text(talk, "session"), get_int(talk, "offers_sent"), offered,
		get_int(talk, "offers_heard"), get_int(talk, "answers_sent"),
		get_int(talk, "answers_heard"), answered, limited ? limited : "");
}

static void print_psk(const char *psk)
{
	static const struct {
		const char *state, *words;
	} table[] = {
		{ "mesh", "of the mesh" },
		{ "set", "set on this host" },
		{ "outside", "set by somebody else" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (!strcmp(psk, table[i].state))
			status_line("psk", "%s", table[i].words);
}

static void print_peer(const json_t *peer)
{
	g_autofree char *rx = text_bytes(get_int(peer, "rx_bytes"));
	g_autofree char *tx = text_bytes(get_int(peer, "tx_bytes"));
	const char *reason = get_text(peer, "reason"), *endpoint = get_text(peer, "endpoint");

	status_line("peer", "%s", get_text(peer, "name"));
	status_line("key", "%s", get_text(peer, "public_key"));
	status_line("state", "%s%s%s", get_text(peer, "state"), *reason ? ": " : "", reason);
	print_list("addresses", json_object_get(peer, "addresses"));
	print_list("routes", json_object_get(peer, "routes"));
	print_list("holds", json_object_get(peer, "holds"));
	status_line("endpoint", "%s", *endpoint ? endpoint : "-");
	print_negotiation(json_object_get(peer, "negotiation"));
	print_words(json_object_get(peer, "negotiation"));
	print_age("handshake", peer, "last_handshake_seconds");
	status_line("traffic", "%s in, %s out", rx, tx);
	if (get_int(peer, "keepalive_seconds"))
		status_line("keepalive", "%" PRId64 " s", get_int(peer, "keepalive_seconds"));
	print_psk(get_text(peer, "psk"));
	print_lazy_peer(peer);
}

static void print_peers(const json_t *root, bool one)
{
	const json_t *peers = json_object_get(root, "peers"), *peer;
	size_t i;

	if (!one)
		return print_peer_table(peers);
	json_array_foreach(peers, i, peer)
	{
		if (i)
			putchar('\n');
		print_peer(peer);
	}
}

/* -- status ----------------------------------------------------------------------------------- */

static void print_mesh(const json_t *root)
{
	const json_t *mesh = json_object_get(root, "mesh"), *host = json_object_get(root, "host");
	g_autofree char *addresses = text_list(json_object_get(host, "addresses"));

	if (json_is_object(mesh))
		status_line("mesh", "%s, %" PRId64 " hosts, %s%sof %s", get_text(mesh, "name"),
			get_int(mesh, "hosts"), get_text(mesh, "file"),
			get_is_null(mesh, "file") ? "" : " ", get_text(mesh, "loaded_at"));
	if (*get_text(mesh, "error"))
		status_line("", "not taken: %s", get_text(mesh, "error"));
	if (json_is_object(host)) {
		status_line("host", "%s  %s", get_text(host, "name"), addresses);
		status_line("key", "%s", get_text(host, "public_key"));
	}
}

static void print_interface(const json_t *root)
{
	const json_t *link = json_object_get(root, "interface");
	g_autoptr(GString) text = g_string_new(NULL);

	if (!json_is_object(link))
		return;
	g_string_printf(text, "%s %s, port %" PRId64, get_text(link, "name"),
		get_text(link, "state"), get_int(link, "listen_port"));
	if (get_int(link, "mtu"))
		g_string_append_printf(text, ", MTU %" PRId64 "%s", get_int(link, "mtu"),
			get_int(link, "measured_mtu") ? " (measured)" : "");
	if (get_bool(link, "adopted"))
		g_string_append(text, ", adopted");
	if (get_int(link, "repairs"))
		g_string_append_printf(text, ", %" PRId64 " repairs", get_int(link, "repairs"));
	status_line("interface", "%s", text->str);
	if (*get_text(link, "conflict"))
		status_line("conflict", "%s", get_text(link, "conflict"));
}

static void print_firewall(const json_t *root)
{
	const json_t *firewall = json_object_get(root, "firewall");
	const char *state = get_text(firewall, "state"), *reason = get_text(firewall, "reason");
	g_autoptr(GString) text = g_string_new(state);

	if (!json_is_object(firewall))
		return;
	if (!strcmp(state, "closed"))
		g_string_append_printf(text, ", %" PRId64 " rules, %" PRId64 " packets refused",
			get_int(firewall, "rules"), get_int(firewall, "refused"));
	g_string_append_printf(text, "%s%s", *reason ? ": " : "", reason);
	status_line("firewall", "%s", text->str);
}

/* ", 3 up, 1 idle": those that there are. */
static void add_counts(GString *out, const json_t *counts, const char *const *kinds, size_t n_kinds)
{
	for (size_t i = 0; i < n_kinds; i++)
		if (get_int(counts, kinds[i]))
			g_string_append_printf(
				out, ", %" PRId64 " %s", get_int(counts, kinds[i]), kinds[i]);
}

static void print_counts(const json_t *root)
{
	static const char *const kinds[] = { "up", "waking", "connecting", "idle", "parked",
		"unreachable", "blocked", "foreign" };
	const json_t *counts = json_object_get(root, "counts");
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_printf(text, "%" PRId64, get_int(counts, "total"));
	add_counts(text, counts, kinds, G_N_ELEMENTS(kinds));
	if (get_int(root, "pending"))
		g_string_append_printf(
			text, ", %" PRId64 " to be programmed", get_int(root, "pending"));
	status_line("peers", "%s", text->str);
	status_line("routes", "%" PRId64, get_int(json_object_get(root, "routes"), "installed"));
}

static void print_sentinels(const json_t *sentinels, bool detail)
{
	g_autoptr(GString) text = g_string_new(NULL);

	if (!detail && !get_int(sentinels, "dropped") && !*get_text(sentinels, "problem"))
		return;
	g_string_printf(text, "%" PRId64 " of their own", get_int(sentinels, "own"));
	if (get_int(sentinels, "port"))
		g_string_append_printf(text, ", %" PRId64 " share port %" PRId64,
			get_int(sentinels, "shared"), get_int(sentinels, "port"));
	g_string_append_printf(
		text, ", %" PRId64 " packets dropped", get_int(sentinels, "dropped"));
	if (*get_text(sentinels, "problem"))
		g_string_append_printf(text, ": %s", get_text(sentinels, "problem"));
	status_line("sentinels", "%s", text->str);
}

static void print_lazy(const json_t *root, bool detail)
{
	static const char *const kinds[] = { "parked", "waking", "active", "permanent" };
	const json_t *lazy = json_object_get(root, "lazy");
	g_autoptr(GString) text = g_string_new(NULL);

	if (!json_is_object(lazy))
		return;
	if (!get_bool(lazy, "enabled")) {
		status_line("lazy", "off");
		return;
	}
	add_counts(text, lazy, kinds, G_N_ELEMENTS(kinds));
	status_line("lazy", "%s; %s, %s", text->len ? text->str + 2 : "nobody",
		get_text(lazy, "idle_detection"), get_text(lazy, "remote_wake"));
	print_sentinels(json_object_get(lazy, "sentinels"), detail);
}

static void print_daemon(const json_t *root)
{
	const json_t *memory = json_object_get(root, "memory");
	g_autofree char *uptime = text_duration(get_int(root, "uptime_seconds"));
	g_autofree char *rss = text_bytes(get_int(memory, "rss_bytes"));

	status_line("daemon", "%s, since %s, %s", get_text(root, "version"), uptime, rss);
	status_line("runs as", "%s", get_text(root, "privileges"));
}

static void print_problems(const json_t *root)
{
	const json_t *problems = json_object_get(root, "problems"), *problem;
	size_t i;

	json_array_foreach(problems, i, problem)
		status_line("problem", "%s: %s (since %s)", get_text(problem, "class"),
			get_text(problem, "message"), get_text(problem, "since"));
}

static void print_status(const json_t *root, bool detail)
{
	const char *reason = get_text(root, "reason");

	status_line("state", "%s%s%s", get_text(root, "state"), *reason ? ": " : "", reason);
	print_mesh(root);
	status_print_control(root, detail);
	print_interface(root);
	print_firewall(root);
	print_counts(root);
	print_lazy(root, detail);
	print_daemon(root);
	print_problems(root);
	if (!detail)
		return;
	putchar('\n');
	print_peer_table(json_object_get(root, "peers"));
}

/* -- asking ----------------------------------------------------------------------------------- */

/* Neither a mesh nor a network, or one whose server does not know this host any more. */
static bool lacks_login(const json_t *root)
{
	const json_t *control = json_object_get(root, "control");

	if (json_is_object(control))
		return !strcmp(
			get_text(json_object_get(control, "management"), "state"), "login_needed");
	return !strcmp(get_text(root, "state"), "waiting") && get_is_null(root, "mesh");
}

static enum exit_code check_ready(const json_t *root)
{
	if (lacks_login(root))
		return EXIT_NOT_ENROLLED;
	return strcmp(get_text(root, "state"), "ready") ? EXIT_FAILED : EXIT_OK;
}

/* What the answer means for the exit status; prints unless only that is asked for. */
static enum exit_code use_status(
	const struct options *o, const struct client_reply *reply, struct failure *f)
{
	json_t *root = client_reply_parse(reply, f);
	enum exit_code code = EXIT_OK;

	if (!root)
		return f->code;
	if (o->check && !strcmp(o->check, "ready"))
		code = check_ready(root);
	if (o->check && !o->json)
		status_line("state", "%s", get_text(root, "state"));
	else if (!o->json)
		print_status(root, o->detail);
	json_decref(root);
	f->message[0] = '\0';
	return code;
}

/* Lists can be long: with --json they go through without being parsed. */
static void pass_on(const struct client_reply *reply)
{
	fwrite(reply->result, 1, reply->result_len, stdout);
	putchar('\n');
}

enum exit_code cmd_status(const struct options *o)
{
	g_autoptr(GString) request = client_request("status");
	struct client_reply reply = { 0 };
	struct failure f = { 0 };
	enum exit_code code;

	jwrite_bool(request, "detail", o->detail);
	if (o->check)
		jwrite_string(request, "check", o->check);
	jwrite_close(request, '}');
	g_string_append_c(request, '\n');
	code = client_ask(o, request->str, &reply, &f);
	if (!code && o->json)
		pass_on(&reply);
	if (!code && (o->check || !o->json))
		code = use_status(o, &reply, &f);
	client_reply_done(&reply);
	return code && f.message[0] ? failure_report(o, &f) : code;
}

enum exit_code cmd_peers(const struct options *o)
{
	g_autoptr(GString) request = client_request("peers");
	struct client_reply reply = { 0 };
	struct failure f = { 0 };
	json_t *root = NULL;
	enum exit_code code;

	if (o->argument)
		jwrite_string(request, "peer", o->argument);
	jwrite_close(request, '}');
	g_string_append_c(request, '\n');
	code = client_ask(o, request->str, &reply, &f);
	if (!code && o->json) {
		pass_on(&reply);
	} else if (!code) {
		root = client_reply_parse(&reply, &f);
		code = root ? EXIT_OK : f.code;
	}
	if (root)
		print_peers(root, o->argument != NULL);
	json_decref(root);
	client_reply_done(&reply);
	return code ? failure_report(o, &f) : code;
}
