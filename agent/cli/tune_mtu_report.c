/* agent/cli/tune_mtu_report.c - what fits through to peers, for people and for programs. */
#include "agent/base/jwrite.h"
#include "agent/cli/output.h"
#include "agent/cli/table.h"
#include "agent/cli/tune_mtu.h"

static char *number(uint32_t value)
{
	return value ? g_strdup_printf("%u", value) : g_strdup("unknown");
}

void tune_paths_print(const struct tune_paths *m)
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

void tune_paths_write(const struct tune_paths *m)
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
