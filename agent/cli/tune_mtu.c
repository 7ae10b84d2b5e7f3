/* agent/cli/tune_mtu.c - lapwing tune mtu: what fits through to every peer, and into WireGuard. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_peers.h"
#include "agent/cli/tune_session.h"
#include "agent/tune/pathmtu.h"
#include "agent/tune/set_mtu.h"

struct measurement {
	const struct tune_options *o;
	struct tune_peers peers;
	GPtrArray *asked; /* const struct tune_peer */
	struct pathmtu_target *targets; /* of each of those */
	uint32_t best; /* what fits everywhere; 0: unknown */
	bool changed;
	struct failure failure;
};

/* -- measuring ------------------------------------------------------------------------------- */

static enum exit_code choose(struct measurement *m)
{
	const char *word = m->o->peer;
	const struct tune_peer *peer = word ? tune_peers_match(&m->peers, word) : NULL;

	if (word && !peer)
		return failure_set(&m->failure, EXIT_USAGE, NULL, "%s has no peer %s",
			m->peers.interface, word);
	if (peer)
		g_ptr_array_add(m->asked, (gpointer)peer);
	else
		for (guint i = 0; i < m->peers.list->len; i++)
			g_ptr_array_add(m->asked, g_ptr_array_index(m->peers.list, i));
	if (!m->asked->len)
		return failure_set(&m->failure, EXIT_NOT_APPLICABLE, NULL, "%s has no peers",
			m->peers.interface);
	return EXIT_OK;
}

/* Peers whose place nobody knows stay unknown. */
static enum exit_code measure(struct measurement *m)
{
	g_autofree struct pathmtu_target *known = g_new0(struct pathmtu_target, m->asked->len);
	size_t n = 0, at = 0;
	int r;

	m->targets = g_new0(struct pathmtu_target, m->asked->len);
	for (guint i = 0; i < m->asked->len; i++) {
		const struct tune_peer *peer = g_ptr_array_index(m->asked, i);

		m->targets[i].to = peer->endpoint;
		if (peer->endpoint.family)
			known[n++].to = peer->endpoint;
	}
	r = pathmtu_run(known, n, m->peers.mark);
	if (r == -EPERM)
		return failure_set(&m->failure, EXIT_PERMISSION, "try it as root",
			"sending probes is not permitted");
	if (r < 0)
		return failure_set(
			&m->failure, EXIT_FAILED, NULL, "cannot send probes: %s", strerror(-r));
	m->best = UINT32_MAX;
	for (guint i = 0; i < m->asked->len; i++) {
		if (m->targets[i].to.family)
			m->targets[i] = known[at++];
		m->best = MIN(m->best, pathmtu_inner(&m->targets[i]));
	}
	return EXIT_OK;
}

/* -- setting --------------------------------------------------------------------------------- */

enum exit_code tune_tell_mtu(
	const struct options *o, uint32_t mtu, bool *ret_changed, struct failure *f)
{
	GString *request = client_request("mtu");
	json_t *root;

	jwrite_int(request, "mtu", mtu);
	root = client_ask_parsed(o, request, f);
	*ret_changed = get_bool(root, "changed");
	json_decref(root);
	return f->code;
}

static enum exit_code set(struct measurement *m)
{
	g_autofree char *value = g_strdup_printf("%u", m->best);
	char error[256];
	int r;

	if (m->peers.owned)
		return tune_tell_mtu(&m->o->common, m->best, &m->changed, &m->failure);
	r = tune_set_mtu(m->o->root, m->peers.interface, value, &m->changed, error);
	return r < 0 ? tune_failure(&m->failure, r, true, error) : EXIT_OK;
}

/* -- telling --------------------------------------------------------------------------------- */

static char *number(uint32_t value)
{
	return value ? g_strdup_printf("%u", value) : g_strdup("unknown");
}

static void print_text(const struct measurement *m)
{
	static const char *const headers[] = { "PEER", "ENDPOINT", ">PATH", ">WIREGUARD", "BY",
		NULL };
	struct table *table = table_new(headers);
	char text[ENDPOINT_STRLEN];

	for (guint i = 0; i < m->asked->len; i++) {
		const struct tune_peer *peer = g_ptr_array_index(m->asked, i);
		const struct pathmtu_target *t = &m->targets[i];

		table_add(table, peer->name);
		table_add(table, t->to.family ? endpoint_format(&t->to, text) : "");
		table_take(table, number(t->mtu));
		table_take(table, number(pathmtu_inner(t)));
		table_add(table, t->mtu ? pathmtu_method_name(t->method) : "");
	}
	table_print(table, stdout);
	table_free(table);
	if (!m->best)
		printf("%s: MTU %u; what fits everywhere is unknown\n", m->peers.interface,
			m->peers.mtu);
	else if (m->changed)
		printf("%s: MTU %u -> %u\n", m->peers.interface, m->peers.mtu, m->best);
	else
		printf("%s: MTU %u; the largest that fits everywhere is %u\n", m->peers.interface,
			m->peers.mtu, m->best);
}

static void write_number(GString *out, const char *key, uint32_t value)
{
	if (value)
		jwrite_int(out, key, value);
	else
		jwrite_null(out, key);
}

static void print_json(const struct measurement *m)
{
	GString *out = document_new("lapwing.tune.mtu/1", m->best ? "measured" : "unknown");
	char text[ENDPOINT_STRLEN];

	jwrite_string(out, "interface", m->peers.interface);
	jwrite_int(out, "mtu", m->changed ? m->best : m->peers.mtu);
	jwrite_int(out, "mtu_before", m->peers.mtu);
	write_number(out, "recommended_mtu", m->best);
	jwrite_bool(out, "owned_by_daemon", m->peers.owned);
	jwrite_bool(out, "changed", m->changed);
	jwrite_open(out, "peers", '[');
	for (guint i = 0; i < m->asked->len; i++) {
		const struct tune_peer *peer = g_ptr_array_index(m->asked, i);
		const struct pathmtu_target *t = &m->targets[i];

		jwrite_open(out, NULL, '{');
		jwrite_string(out, "name", peer->name);
		jwrite_string(out, "endpoint", t->to.family ? endpoint_format(&t->to, text) : NULL);
		write_number(out, "path_mtu", t->mtu);
		write_number(out, "wireguard_mtu", pathmtu_inner(t));
		jwrite_string(out, "method", t->mtu ? pathmtu_method_name(t->method) : NULL);
		jwrite_close(out, '}');
	}
	jwrite_close(out, ']');
	document_print(out);
}

/* -- the command ----------------------------------------------------------------------------- */

static enum exit_code run(struct measurement *m)
{
	enum exit_code code = tune_peers_find(&m->o->common, m->o->iface, &m->peers, &m->failure);

	if (code == EXIT_OK)
		code = choose(m);
	if (code == EXIT_OK)
		code = measure(m);
	if (code == EXIT_OK && m->o->apply && m->best)
		code = set(m);
	if (code != EXIT_OK)
		return failure_report(&m->o->common, &m->failure);
	if (m->o->common.json)
		print_json(m);
	else
		print_text(m);
	/* Never a guess: a peer that might need less would be cut off. */
	return m->best ? EXIT_OK : EXIT_NOT_APPLICABLE;
}

enum exit_code tune_mtu(const struct tune_options *o)
{
	struct measurement m = { .o = o, .asked = g_ptr_array_new() };
	enum exit_code code;

	if (strcmp(o->root, "/"))
		return fail(&o->common, EXIT_USAGE, NULL, "mtu needs a real host, not --root");
	code = run(&m);
	tune_peers_clear(&m.peers);
	g_ptr_array_unref(m.asked);
	g_free(m.targets);
	return code;
}
