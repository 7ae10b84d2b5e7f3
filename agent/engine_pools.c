/* agent/engine_pools.c - how much there is of everything that the engine keeps. */
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "agent/runtime.h"
#include "mgmt/netmap.h"

void engine_write_pools(const struct engine *e, GString *out)
{
	struct sentinel_status sentinels = { 0 };

	KERNEL(e, sentinel_get_status, &sentinels);
	runtime_write_pool(out, "peers", engine_count_peers(e), e->config->policy.max_peers);
	runtime_write_pool(out, "peers awake", e->lazy ? lazy_n_awake(e->lazy) : 0, 0);
	runtime_write_pool(out, "foreign peers named", e->foreign->len, FOREIGN_NAMED_MAX);
	runtime_write_pool(out, "endpoints", e->map ? e->map->n_endpoints : 0, 0);
	runtime_write_pool(out, "prefixes", e->map ? e->map->n_prefixes : 0, 0);
	runtime_write_pool(out, "names", e->names->len, 0);
	runtime_write_pool(out, "sentinels of their own", sentinels.own, SENTINEL_OWN_MAX);
	runtime_write_pool(out, "shared sentinels", sentinels.shared, SENTINEL_SHARED_MAX);
	runtime_write_pool(out, "initiations held", g_hash_table_size(e->held), 0);
	runtime_write_pool(out, "peers with paths", g_hash_table_size(e->paths), 0);
	runtime_write_pool(out, "bytes of packets kept", e->kept_bytes, ENGINE_KEPT_BYTES_MAX);
	runtime_write_pool(out, "pre-shared keys", g_hash_table_size(e->psks), 0);
	runtime_write_pool(out, "peers remembered", e->memory->len, 0);
}
