/* agent/cli/tune_mtu.c - lapwing tune mtu: what fits through to every peer, and into WireGuard. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/jwrite.h"
#include "agent/cli/client.h"
#include "agent/cli/output.h"
#include "agent/cli/tune_cmd.h"
#include "agent/cli/tune_mtu.h"
#include "agent/cli/tune_session.h"
#include "agent/tune/set_mtu.h"

/* -- measuring ------------------------------------------------------------------------------- */

static enum exit_code choose(struct tune_paths *m)
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
static enum exit_code measure(struct tune_paths *m)
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

static enum exit_code set(struct tune_paths *m)
{
	g_autofree char *value = g_strdup_printf("%u", m->best);
	char error[256];
	int r;

	if (m->peers.owned)
		return tune_tell_mtu(&m->o->common, m->best, &m->changed, &m->failure);
	r = tune_set_mtu(m->o->root, m->peers.interface, value, &m->changed, error);
	return r < 0 ? tune_failure(&m->failure, r, true, error) : EXIT_OK;
}

/* -- the command ----------------------------------------------------------------------------- */

static enum exit_code run(struct tune_paths *m)
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
		tune_paths_write(m);
	else
		tune_paths_print(m);
	/* Never a guess: a peer that might need less would be cut off. */
	return m->best ? EXIT_OK : EXIT_NOT_APPLICABLE;
}

enum exit_code tune_mtu(const struct tune_options *o)
{
	struct tune_paths m = { .o = o, .asked = g_ptr_array_new() };
	enum exit_code code;

	if (strcmp(o->root, "/"))
		return fail(&o->common, EXIT_USAGE, NULL, "mtu needs a real host, not --root");
	code = run(&m);
	tune_peers_clear(&m.peers);
	g_ptr_array_unref(m.asked);
	g_free(m.targets);
	return code;
}
