/* agent/engine_link.c - the interface: whose it is, making, adopting, naming, setting, removing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"

static const char wireguard[] = "wireguard";

/* Whose key does a WireGuard interface carry? */
enum owner { OWNER_NOBODY, OWNER_US, OWNER_OTHER };

struct owner_check {
	const struct engine *e;
	enum owner owner;
	bool has_peers;
};

static int check_device(const struct wg_device_status *device, void *user)
{
	struct owner_check *check = user;

	if (key_is_same(&device->public_key, &check->e->public_key))
		check->owner = OWNER_US;
	else
		check->owner = key_is_zero(&device->public_key) ? OWNER_NOBODY : OWNER_OTHER;
	return 0;
}

static int check_peer(const struct wg_peer_status *peer, void *user)
{
	((struct owner_check *)user)->has_peers = true;
	return 1; /* one is enough */
}

static int find_owner(const struct engine *e, unsigned index, enum owner *ret)
{
	struct owner_check check = { .e = e };
	int r = KERNEL(e, wg_read, index, check_device, check_peer, &check);

	if (r < 0 && r != -EINTR)
		return r;
	*ret = check.owner == OWNER_NOBODY && check.has_peers ? OWNER_OTHER : check.owner;
	return 0;
}

/* May we take the interface that has our name? Ours: alias and key. Also what a crash of ours can
 * have left (made, not yet named or keyed), and what the operator gave us a new key for. */
static bool is_ours(const struct engine *e, const struct link_info *link, enum owner owner)
{
	bool alias = !strcmp(link->alias, e->alias);
	bool recorded = !strcmp(link->name, e->recorded);

	if (owner != OWNER_OTHER)
		return alias || recorded || e->config->interface.adopt;
	return (alias && recorded) || e->config->interface.adopt;
}

static void use_link(struct engine *e, const struct link_info *link, bool adopted, int64_t now_ms)
{
	e->index = link->index;
	e->adopted = adopted;
	e->was_up = link->up;
	e->conflict = false;
	e->was_read = !adopted;
	for (enum stage_id s = STAGE_READ; s < N_STAGES; s++)
		engine_due(e, s, now_ms);
	if (adopted)
		return;
	e->stages[STAGE_READ].due = false; /* there is nothing to read */
	memset(&e->device, 0, sizeof(e->device));
}

static int set_alias(struct engine *e, unsigned index)
{
	struct link_change change = { .alias = e->alias, .up = -1 };

	return KERNEL(e, link_set, index, &change);
}

int engine_record(struct engine *e, const char *name, uint32_t table)
{
	if (!strcmp(e->recorded, name) && e->recorded_table == table)
		return 0;
	g_strlcpy(e->recorded, name, sizeof(e->recorded));
	e->recorded_table = table;
	return e->ops->record_interface(name, table, e->user);
}

static int remove_table(struct engine *e, const char *ifname, const char *suffix)
{
	char table[NFT_TABLE_NAME_MAX];
	int r;

	snprintf(table, sizeof(table), "lapwing-%.*s%s", IFNAMSIZ - 1, ifname, suffix);
	r = KERNEL(e, nft_remove, table);
	return r == -EOPNOTSUPP ? 0 : r;
}

/* Tables go by the interface's name: those of the one before would not be found any more. */
static int record(struct engine *e, const char *name)
{
	int r = 0;

	if (e->recorded[0] && strcmp(e->recorded, name)) {
		r = remove_table(e, e->recorded, "");
		if (r == 0)
			r = remove_table(e, e->recorded, "-ice");
		if (r == 0)
			r = engine_acl_remove(e, name);
	}
	if (r < 0)
		return engine_fail(e, STAGE_LINK, EXIT_FAILED, r,
			"cannot remove the nftables tables of %s", e->recorded);
	engine_record(e, name, e->recorded_table);
	return 0;
}

static int make_link(struct engine *e, int64_t now_ms)
{
	const char *name = engine_interface_name(e);
	struct link_info link = { 0 };
	bool again = e->stages[STAGE_LINK].repairs > 0;
	int r;

	r = record(e, name);
	if (r < 0)
		return r;
	r = KERNEL(e, link_create, name, &link.index);
	if (r == -EOPNOTSUPP || r == -ENOENT)
		return engine_fail(e, STAGE_LINK, EXIT_NOT_APPLICABLE, r,
			"this kernel has no WireGuard: load module wireguard (package "
			"linux-modules-extra, or a kernel of 5.6 and later)");
	if (r < 0)
		return engine_fail(e, STAGE_LINK, EXIT_FAILED, r, "cannot make interface %s", name);
	r = set_alias(e, link.index);
	if (r < 0)
		return engine_fail(
			e, STAGE_LINK, EXIT_FAILED, r, "cannot set the alias of %s", name);
	g_strlcpy(link.name, name, sizeof(link.name));
	use_link(e, &link, false, now_ms);
	engine_all_peers_gone(e, now_ms);
	log_info("made interface %s", name);
	engine_tell(e, "interface", "name", name, again ? "made again" : "made");
	return 0;
}

static int conflict(struct engine *e, const struct link_info *link, const char *whose)
{
	e->conflict = true;
	return engine_fail(e, STAGE_LINK, EXIT_REFUSED, -ECANCELED,
		"interface %s exists and %s; remove it, choose another name, or set "
		"interface.adopt",
		link->name, whose);
}

static int take_link(struct engine *e, const struct link_info *link, int64_t now_ms)
{
	enum owner owner = OWNER_NOBODY;
	char whose[64];
	int r;

	if (strcmp(link->kind, wireguard)) {
		snprintf(whose, sizeof(whose), "is no WireGuard interface (%.16s)",
			link->kind[0] ? link->kind : "hardware");
		e->conflict = true;
		return engine_fail(e, STAGE_LINK, EXIT_REFUSED, -ECANCELED,
			"interface %s exists and %s; remove it or choose another name", link->name,
			whose);
	}
	r = find_owner(e, link->index, &owner);
	if (r < 0)
		return engine_fail(
			e, STAGE_LINK, EXIT_FAILED, r, "cannot read interface %s", link->name);
	if (!is_ours(e, link, owner))
		return conflict(
			e, link, owner == OWNER_OTHER ? "has another key" : "was not made by us");
	r = record(e, link->name);
	if (r < 0)
		return r;
	if (strcmp(link->alias, e->alias) && (r = set_alias(e, link->index)) < 0)
		return engine_fail(
			e, STAGE_LINK, EXIT_FAILED, r, "cannot set the alias of %s", link->name);
	use_link(e, link, true, now_ms);
	engine_tell(e, "interface", "name", link->name, "adopted");
	log_info("adopted interface %s", link->name);
	return 1; /* look again: its name and settings */
}

/* Before kernel 6.2 an interface that is up cannot be renamed, and down it loses its sessions. */
static int rename_link(struct engine *e, const struct link_info *link, const char *name)
{
	struct link_change change = { .name = name, .up = -1 }, down = { .up = 0 };
	int r = KERNEL(e, link_set, link->index, &change);

	if (r != -EBUSY)
		return r;
	/* By itself first: within one request the kernel takes the name before the flags. */
	r = KERNEL(e, link_set, link->index, &down);
	return r < 0 ? r : KERNEL(e, link_set, link->index, &change);
}

/* It is the one that we use: same name, alias? */
static int keep_link(struct engine *e, const struct link_info *link, int64_t now_ms)
{
	const char *name = engine_interface_name(e);
	char what[64];
	int r;

	if (strcmp(link->name, name)) {
		snprintf(what, sizeof(what), "interface %s is called %s", name, link->name);
		if (!engine_may_repair(e, STAGE_LINK, now_ms, what))
			return -ECANCELED;
		r = rename_link(e, link, name);
		if (r < 0)
			return engine_fail(e, STAGE_LINK, r == -EEXIST ? EXIT_REFUSED : EXIT_FAILED,
				r, "cannot rename interface %s to %s", link->name, name);
		engine_due(e, STAGE_UP, now_ms);
		engine_due(e, STAGE_NFT, now_ms);
		engine_due(e, STAGE_STEER, now_ms);
		r = record(e, name);
		return r < 0 ? r : 1;
	}
	r = record(e, name);
	if (r < 0)
		return r;
	if (strcmp(link->alias, e->alias)) {
		if (!engine_may_repair(e, STAGE_LINK, now_ms, "the interface's alias"))
			return -ECANCELED;
		r = set_alias(e, link->index);
		if (r < 0)
			return engine_fail(
				e, STAGE_LINK, EXIT_FAILED, r, "cannot set the alias of %s", name);
	}
	return 0;
}

/* The interface that we had is gone. */
static int lost_link(struct engine *e, int64_t now_ms)
{
	e->index = 0;
	e->was_up = false;
	engine_all_peers_gone(e, now_ms);
	engine_tell(e, "interface", "name", engine_interface_name(e), "gone");
	if (!engine_may_repair(e, STAGE_LINK, now_ms, "the interface is gone"))
		return -ECANCELED;
	return 1;
}

struct search {
	const struct engine *e;
	struct link_info *found;
};

/* Another instance may use the same alias: its key is not ours. */
static int match_ours(const struct link_info *link, void *user)
{
	struct search *search = user;
	enum owner owner = OWNER_NOBODY;
	bool alias = !strcmp(link->alias, search->e->alias);
	bool recorded = !strcmp(link->name, search->e->recorded);
	int r;

	if (!alias && !recorded)
		return 0;
	r = find_owner(search->e, link->index, &owner);
	if (r < 0)
		return r;
	if (owner != OWNER_US && !(alias && recorded))
		return 0;
	*search->found = *link;
	return 1;
}

/* By our name; or ours under another name, or alias: it was renamed while we did not look, or the operator
 * wants another name now. -ENODEV: there is none. */
static int find_link(const struct engine *e, struct link_info *ret)
{
	struct search search = { e, ret };
	int r = KERNEL(e, link_get_by_name, engine_interface_name(e), ret);

	if (r != -ENODEV)
		return r;
	r = KERNEL(e, link_foreach_wireguard, match_ours, &search);
	if (r < 0)
		return r;
	return r ? 0 : -ENODEV;
}

int engine_stage_link(struct engine *e, int64_t now_ms)
{
	const char *name = engine_interface_name(e);
	struct link_info link;
	int r;

	if (e->index) {
		r = KERNEL(e, link_get, e->index, &link);
		if (r == 0)
			return keep_link(e, &link, now_ms);
		if (r == -ENODEV)
			return lost_link(e, now_ms);
		return engine_fail(e, STAGE_LINK, EXIT_FAILED, r, "cannot read interface %s", name);
	}
	r = find_link(e, &link);
	if (r == 0)
		return take_link(e, &link, now_ms);
	if (r == -ENODEV)
		return make_link(e, now_ms);
	return engine_fail(e, STAGE_LINK, EXIT_FAILED, r, "cannot read interface %s", name);
}

/* -- WireGuard's own settings --------------------------------------------------------------- */

static int port_fail(struct engine *e, enum stage_id stage, int r)
{
	char owner[96];
	uint16_t port = engine_listen_port(e);

	KERNEL(e, port_owner, port, owner, sizeof(owner));
	return engine_fail(e, stage, EXIT_IN_USE, r, "UDP port %u cannot be had%s%s", port,
		owner[0] ? ", it is held by " : "", owner);
}

int engine_stage_device(struct engine *e, int64_t now_ms)
{
	struct wg_device_config config = { .listen_port = -1, .fwmark = -1 };
	int r;

	if (!key_is_same(&e->device.public_key, &e->public_key))
		config.private_key = &e->private_key;
	if (e->device.listen_port != engine_listen_port(e))
		config.listen_port = engine_listen_port(e);
	if (e->device.fwmark != engine_mark(e))
		config.fwmark = engine_mark(e);
	if (!config.private_key && config.listen_port < 0 && config.fwmark < 0)
		return 0;
	if (!engine_may_repair(e, STAGE_DEVICE, now_ms, "WireGuard's key, port or mark"))
		return -ECANCELED;
	r = KERNEL(e, wg_set_device, e->index, &config);
	if (r == -EADDRINUSE)
		return port_fail(e, STAGE_DEVICE, r);
	if (r < 0)
		return engine_fail(e, STAGE_DEVICE, EXIT_FAILED, r, "cannot set up WireGuard");
	e->device.public_key = e->public_key;
	e->device.listen_port = engine_listen_port(e);
	e->device.fwmark = engine_mark(e);
	return 0;
}

/* -- MTU, up -------------------------------------------------------------------------------- */

enum {
	MTU_MAX = 1420, /* what fits into 1500 over IPv6 */
	MTU_MIN = 1280, /* IPv6 needs it */
	MTU_MEASURED_MIN = 576,
	MTU_SAMPLES = 16,
	OVERHEAD_V4 = 60,
	OVERHEAD_V6 = 80,
};

/* The MTU on the way to this endpoint; 0: unknown. Most lead over one device, so it is asked once. */
static uint32_t path_mtu(
	const struct engine *e, const struct endpoint *to, struct link_info *device)
{
	uint32_t mtu;
	unsigned index;

	if (KERNEL(e, route_path, to, engine_mark(e), &mtu, &index) < 0 || index == e->index)
		return 0;
	if (mtu)
		return mtu;
	if (device->index != index && KERNEL(e, link_get, index, device) < 0)
		return 0;
	return device->mtu;
}

static uint32_t overhead(const struct engine *e)
{
	for (uint32_t i = 0; i < e->map->n_hosts; i++) {
		struct endpoint known[NETMAP_ENDPOINTS_MAX];
		size_t n = engine_holds_self(e, i)
			? 0
			: engine_candidates(e, i, known, G_N_ELEMENTS(known));

		for (size_t j = 0; j < n; j++)
			if (known[j].family == AF_INET6)
				return OVERHEAD_V6;
	}
	return OVERHEAD_V4;
}

/* The narrowest way to a peer, less WireGuard's overhead. Of very many peers some, from all over the
 * map, stand for all. */
static uint32_t auto_mtu(const struct engine *e)
{
	struct link_info device = { 0 };
	uint32_t stride = (uint32_t)(e->map->n_hosts / MTU_SAMPLES) + 1, mtu = 0;

	for (uint32_t i = 0; i < e->map->n_hosts; i += stride) {
		struct endpoint known[NETMAP_ENDPOINTS_MAX];
		size_t n = engine_holds_self(e, i)
			? 0
			: engine_candidates(e, i, known, G_N_ELEMENTS(known));

		for (size_t j = 0; j < n; j++) {
			uint32_t path = path_mtu(e, &known[j], &device);

			if (path && (!mtu || path < mtu))
				mtu = path;
		}
	}
	return mtu ? CLAMP(mtu - overhead(e), MTU_MIN, MTU_MAX) : MTU_MAX;
}

static uint32_t wanted_mtu(const struct engine *e)
{
	if (e->config->interface.mtu > 0)
		return (uint32_t)e->config->interface.mtu;
	if (e->config->interface.mtu < 0 && e->map->interface.mtu)
		return e->map->interface.mtu;
	return e->measured_mtu ? e->measured_mtu : auto_mtu(e);
}

static bool has_ipv6(const struct engine *e)
{
	const struct netmap_host *self = &e->map->hosts[e->map->self];

	for (size_t i = 0; i < self->n_addresses; i++)
		if (netmap_prefixes(e->map, self)[i].family == AF_INET6)
			return true;
	return false;
}

static const char *why_not(const struct engine *e, uint32_t mtu)
{
	if (e->config->interface.mtu > 0)
		return "the configuration file says what the MTU is";
	if (e->config->interface.mtu < 0 && e->map && e->map->interface.mtu)
		return "the mesh file says what the MTU is";
	return mtu < MTU_MIN && e->map && has_ipv6(e) ? "our IPv6 addresses need 1280" : "";
}

int engine_set_mtu(struct engine *e, uint32_t mtu, int64_t now_ms, const char **ret_why)
{
	*ret_why = mtu ? why_not(e, mtu) : "";
	if (mtu && (mtu < MTU_MEASURED_MIN || mtu > UINT16_MAX))
		return -ERANGE;
	if (**ret_why)
		return -EOPNOTSUPP;
	if (mtu == e->measured_mtu)
		return 0;
	e->measured_mtu = mtu;
	e->ops->record_mtu(mtu, e->user);
	e->mtu_stale = true;
	engine_due(e, STAGE_UP, now_ms);
	return 1;
}

int engine_stage_up(struct engine *e, int64_t now_ms)
{
	struct link_change change = { .up = -1 };
	struct link_info link;
	bool was_up = e->was_up;
	int r = KERNEL(e, link_get, e->index, &link);

	if (r < 0)
		return engine_fail(e, STAGE_UP, EXIT_FAILED, r, "cannot read the interface");
	if (e->mtu_stale)
		e->mtu = wanted_mtu(e);
	e->mtu_stale = false;
	if (link.mtu != e->mtu)
		change.mtu = e->mtu;
	if (!link.up)
		change.up = 1;
	if (!change.mtu && change.up < 0) {
		e->was_up = true;
		return 0;
	}
	if (!engine_may_repair(
		    e, STAGE_UP, now_ms, link.up ? "the interface's MTU" : "the interface is down"))
		return -ECANCELED;
	r = KERNEL(e, link_set, e->index, &change);
	if (r == -EADDRINUSE)
		return port_fail(e, STAGE_UP, r);
	if (r < 0)
		return engine_fail(e, STAGE_UP, EXIT_FAILED, r, "cannot set the interface up");
	e->was_up = true;
	if (!link.up && was_up) /* it was down in between: routes and sessions went */
		engine_all_sessions_lost(e, now_ms);
	if (!link.up) {
		engine_due(e, STAGE_ADDRESSES, now_ms);
		engine_due(e, STAGE_ROUTES, now_ms);
	}
	return 0;
}

/* -- removing ------------------------------------------------------------------------------- */

/* Under the name of now, of before, and as far as we know it, of the run before. */
static int remove_tables(struct engine *e)
{
	const char *const names[] = { engine_interface_name(e), e->recorded };
	int r = e->nft_table[0] ? KERNEL(e, nft_remove, e->nft_table) : 0;

	if (r == 0)
		r = engine_steer_remove(e);
	for (size_t i = 0; i < G_N_ELEMENTS(names) && r == 0; i++) {
		r = names[i][0] ? remove_table(e, names[i], "") : 0;
		if (names[i][0] && r == 0)
			r = remove_table(e, names[i], "-ice");
		engine_acl_may_exist(e, names[i]);
	}
	if (r == 0)
		r = engine_acl_remove(e, NULL);
	return r == -EOPNOTSUPP ? 0 : r;
}

bool engine_shut_link(struct engine *e, int64_t now_ms)
{
	const struct link_change down = { .up = 0 };
	struct link_info link;
	int r = e->index ? KERNEL(e, link_get, e->index, &link) : find_link(e, &link);

	if (r < 0 || !link.up || (!e->index && strcmp(link.alias, e->alias)))
		return false;
	r = KERNEL(e, link_set, link.index, &down);
	engine_due(e, STAGE_UP, now_ms);
	return r == 0;
}

/* What an earlier run made goes, too. */
static int find_remains(struct engine *e)
{
	struct link_info link;
	struct search search = { e, &link };
	int r = e->index ? 0 : KERNEL(e, link_foreach_wireguard, match_ours, &search);

	if (r > 0)
		e->index = link.index;
	return MIN(r, 0);
}

/* A device with N peers would cost N grace periods: it is emptied first. Routes go with it. */
int engine_remove_all(struct engine *e)
{
	struct wg_device_config empty = { .listen_port = -1, .fwmark = -1, .replace_peers = true };
	int r;

	if (!e->map)
		return 0;
	r = find_remains(e);
	if (r < 0)
		return engine_fail(
			e, STAGE_LINK, EXIT_FAILED, r, "cannot read the interface to be removed");
	r = engine_apply_rules(e, NULL, 0, e->read_ms);
	if (r < 0)
		return r;
	if (e->index) {
		KERNEL(e, wg_set_device, e->index, &empty);
		r = KERNEL(e, link_delete, e->index);
	}
	if (r < 0 && r != -ENODEV)
		return engine_fail(e, STAGE_LINK, EXIT_FAILED, r, "cannot remove the interface");
	r = remove_tables(e);
	if (r < 0)
		return engine_fail(
			e, STAGE_LINK, EXIT_FAILED, r, "cannot remove the nftables table");
	e->nft_table[0] = '\0';
	e->index = 0;
	e->was_up = false;
	engine_all_peers_gone(e, e->read_ms);
	return 0;
}
