/* agent/engine_steer.c - the table that leads ICE's checks over WireGuard's port, as long as somebody finds paths. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/engine_impl.h"

/* Behind the ports that the kernel gives out by itself; several instances have WireGuard ports that differ. */
enum { PORTS_FIRST = 61000, PORTS_SETS = 16, PORTS_SET = 250 };

uint16_t engine_first_steered(const struct engine *e)
{
	return (uint16_t)(PORTS_FIRST + engine_listen_port(e) % PORTS_SETS * PORTS_SET);
}

static guint find_ufrag(const struct engine *e, const char *ufrag)
{
	guint i = 0;

	while (i < e->steer.ufrags->len &&
		memcmp(g_array_index(e->steer.ufrags, struct steer_ufrag, i).text, ufrag,
			STEER_UFRAG_LEN))
		i++;
	return i;
}

int engine_steer(struct engine *e, const char *ufrag, uint16_t port)
{
	struct steer_ufrag u = { .port = port };
	guint at = find_ufrag(e, ufrag);

	memcpy(u.text, ufrag, STEER_UFRAG_LEN);
	if (at < e->steer.ufrags->len)
		g_array_index(e->steer.ufrags, struct steer_ufrag, at) = u;
	else
		g_array_append_val(e->steer.ufrags, u);
	return e->steer.table[0] ? KERNEL(e, steer_set, e->steer.table, &u) : 0;
}

void engine_steer_no_more(struct engine *e, const char *ufrag)
{
	guint at = find_ufrag(e, ufrag);

	if (at == e->steer.ufrags->len)
		return;
	g_array_remove_index_fast(e->steer.ufrags, at);
	if (e->steer.table[0])
		KERNEL(e, steer_unset, e->steer.table, ufrag);
}

void engine_steer_nobody(struct engine *e)
{
	while (e->steer.ufrags->len) {
		struct steer_ufrag last = g_array_index(
			e->steer.ufrags, struct steer_ufrag, e->steer.ufrags->len - 1);

		engine_steer_no_more(e, last.text);
	}
}

int engine_steer_remove(struct engine *e)
{
	int r = e->steer.table[0] ? KERNEL(e, nft_remove, e->steer.table) : 0;

	if (r < 0)
		return r;
	e->steer.table[0] = '\0';
	e->steer.fingerprint = 0;
	return 0;
}

/* Zeroed first: compared as bytes. */
static void want(const struct engine *e, struct steer_config *ret)
{
	memset(ret, 0, sizeof(*ret));
	g_strlcpy(ret->ifname, engine_interface_name(e), sizeof(ret->ifname));
	snprintf(ret->table, sizeof(ret->table), "lapwing-%s-ice", ret->ifname);
	ret->listen_port = engine_listen_port(e);
	ret->first_port = engine_first_steered(e);
	ret->last_port = (uint16_t)(ret->first_port + PORTS_SET - 1);
	ret->uid = getuid();
	ret->fwmark = e->uses_mark ? engine_mark(e) : 0;
	ret->queue = ret->listen_port;
	ret->queue_from_port = (uint16_t)(ret->first_port + ENGINE_STEERED_ALIKE);
}

int engine_stage_steer(struct engine *e, int64_t now_ms)
{
	struct steer_config config;
	uint64_t fingerprint = 0;
	uint32_t hash;
	int r;

	if (!e->finder)
		return engine_steer_remove(e);
	want(e, &config);
	hash = engine_hash(&config, sizeof(config), 0);
	if (!strcmp(config.table, e->steer.table) && hash == e->steer.hash) {
		r = KERNEL(e, nft_fingerprint, config.table, &fingerprint);
		if (r == 0 && fingerprint && fingerprint == e->steer.fingerprint)
			return 0;
		e->stages[STAGE_STEER].changed = false;
		if (!engine_may_repair(e, STAGE_STEER, now_ms, "the table of ICE was changed"))
			return -ECANCELED;
	} else {
		engine_steer_remove(e);
	}
	config.ufrags = (const struct steer_ufrag *)(void *)e->steer.ufrags->data;
	config.n_ufrags = e->steer.ufrags->len;
	r = KERNEL(e, steer_apply, &config);
	if (r == 0)
		r = KERNEL(e, nft_fingerprint, config.table, &e->steer.fingerprint);
	if (r < 0)
		return engine_fail(e, STAGE_STEER, EXIT_NOT_APPLICABLE, r,
			"cannot set nftables table %s; peers behind NATs are not found",
			config.table);
	g_strlcpy(e->steer.table, config.table, sizeof(e->steer.table));
	e->steer.hash = hash;
	return 0;
}
