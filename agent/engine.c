/* agent/engine.c - what is due, in which order, how often; what others may ask of the engine. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/exitcode.h"
#include "agent/base/log.h"
#include "agent/config.h"
#include "agent/engine_impl.h"
#include "mgmt/netmap.h"
#include "netlink/monitor.h"

static const char *const stage_names[N_STAGES] = {
	[STAGE_ACL] = "firewall",
	[STAGE_LINK] = "interface",
	[STAGE_READ] = "reading",
	[STAGE_DEVICE] = "wireguard",
	[STAGE_UP] = "up",
	[STAGE_ADDRESSES] = "addresses",
	[STAGE_ROUTES] = "routes",
	[STAGE_NFT] = "nftables",
	[STAGE_STEER] = "steering",
	[STAGE_PEERS] = "peers",
};

static int (*const stage_run[N_STAGES])(struct engine *e, int64_t now_ms) = {
	[STAGE_ACL] = engine_stage_acl,
	[STAGE_LINK] = engine_stage_link,
	[STAGE_READ] = engine_stage_read,
	[STAGE_DEVICE] = engine_stage_device,
	[STAGE_UP] = engine_stage_up,
	[STAGE_ADDRESSES] = engine_stage_addresses,
	[STAGE_ROUTES] = engine_stage_routes,
	[STAGE_NFT] = engine_stage_nft,
	[STAGE_STEER] = engine_stage_steer,
	[STAGE_PEERS] = engine_stage_peers,
};

enum { STUCK_AFTER_TRIES = 3 };

/* After programming, sessions come up: look early, then ever less often. */
static const int early_read_s[] = { 2, 5, 10, 20 };

/* -- life ----------------------------------------------------------------------------------- */

static int key_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct wg_key));
}

static void copy_recorded(struct engine *e, const struct engine_identity *identity)
{
	size_t bytes = identity->n_recorded * sizeof(struct wg_key);

	e->n_recorded = identity->n_recorded;
	e->recorded_peers = g_memdup2(identity->recorded_peers, bytes);
	if (e->n_recorded)
		qsort(e->recorded_peers, e->n_recorded, sizeof(struct wg_key), key_order);
}

struct engine *engine_new(const struct kernel *kernel, const struct engine_ops *ops, void *user,
	const struct engine_identity *identity)
{
	struct engine *e = g_new0(struct engine, 1);

	e->kernel = kernel;
	e->ops = ops;
	e->user = user;
	g_strlcpy(e->instance, identity->instance, sizeof(e->instance));
	snprintf(e->alias, sizeof(e->alias), "lapwing:%s", identity->instance);
	g_strlcpy(e->recorded, identity->recorded_interface, sizeof(e->recorded));
	e->recorded_table = identity->recorded_table;
	e->measured_mtu = identity->measured_mtu;
	if (e->recorded[0]) /* what it had, whatever its name will be */
		snprintf(e->nft_table, sizeof(e->nft_table), "lapwing-%s", e->recorded);
	copy_recorded(e, identity);
	e->acl.names = g_ptr_array_new_with_free_func(g_free);
	engine_acl_may_exist(e, e->recorded);
	e->removals = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	e->foreign = g_array_new(FALSE, FALSE, sizeof(struct wg_key));
	engine_psk_init(e, identity);
	e->names = g_array_new(FALSE, FALSE, sizeof(struct name));
	e->scratch = g_array_new(FALSE, FALSE, sizeof(struct prefix));
	engine_lazy_init(e, identity);
	e->next_read_ms = e->names_ms = ENGINE_NEVER;
	for (size_t i = 0; i < N_STAGES; i++)
		e->stages[i].backoff = (struct backoff){ .first_ms = 200, .max_ms = 60 * 1000 };
	e->stages[STAGE_ACL].backoff = (struct backoff){ .first_ms = 50, .max_ms = 2000 };
	return e;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	key_wipe(&e->private_key);
	engine_psk_free(e);
	engine_lazy_free(e);
	engine_acl_free(e);
	routing_free(e->routing);
	netmap_free(e->map);
	g_free(e->peers);
	g_free(e->recorded_peers);
	g_array_unref(e->removals);
	g_array_unref(e->foreign);
	g_array_unref(e->names);
	g_array_unref(e->scratch);
	g_free(e);
}

/* -- small questions ------------------------------------------------------------------------ */

const char *engine_interface_name(const struct engine *e)
{
	return e->config->interface.name[0] ? e->config->interface.name : e->map->interface.name;
}

uint16_t engine_listen_port(const struct engine *e)
{
	int port = e->config->interface.listen_port;

	return port >= 0 ? (uint16_t)port : e->map->interface.listen_port;
}

uint32_t engine_mark(const struct engine *e)
{
	int64_t mark = e->config->interface.fwmark;

	return mark >= 0 ? (uint32_t)mark : engine_listen_port(e);
}

uint32_t engine_table(const struct engine *e)
{
	return engine_mark(e);
}

size_t engine_count_peers(const struct engine *e)
{
	return e->map && e->map->n_hosts ? e->map->n_hosts - 1 : 0;
}

bool engine_is_settled(const struct engine *e)
{
	if (e->removing)
		return false;
	if (!e->map || e->down) /* events still mark parts as due; nobody will do them */
		return true;
	for (size_t i = 0; i < N_STAGES; i++)
		if (e->stages[i].due && !e->stages[i].problem[0])
			return false;
	return true;
}

/* Not after one failure: between two calls anything may have happened. */
static bool has_failed_for_good(const struct stage *s)
{
	bool plain = s->code == EXIT_PERMISSION || s->code == EXIT_NOT_APPLICABLE ||
		s->code == EXIT_REFUSED || s->code == EXIT_IN_USE;

	return s->problem[0] && (s->yielded || s->backoff.tries >= (plain ? 1 : STUCK_AFTER_TRIES));
}

bool engine_is_stuck(const struct engine *e)
{
	static const enum stage_id first[] = { STAGE_LINK, STAGE_ACL, STAGE_READ };
	size_t n = e->removing ? 1 : e->map && !e->down ? G_N_ELEMENTS(first) : 0;

	for (size_t i = 0; i < n; i++)
		if (has_failed_for_good(&e->stages[first[i]]))
			return true;
	return false;
}

bool engine_is_placed(const struct engine *e)
{
	if (!e->map || (e->down && !e->removing))
		return true;
	for (size_t i = 0; i <= STAGE_UP; i++)
		if (e->stages[i].due)
			return false;
	return e->index != 0;
}

int engine_problem_code(const struct engine *e, const char **ret_text)
{
	for (size_t i = 0; i < N_STAGES; i++)
		if (e->stages[i].problem[0]) {
			*ret_text = e->stages[i].problem;
			return e->stages[i].code;
		}
	return 0;
}

void engine_filter(const struct engine *e, struct monitor_filter *ret)
{
	*ret = (struct monitor_filter){ .ifindex = e->index };
	if (!e->map || !e->config)
		return;
	g_strlcpy(ret->name, engine_interface_name(e), sizeof(ret->name));
	ret->table = engine_table(e);
}

const char *engine_stage_name(enum stage_id stage)
{
	return stage_names[stage];
}

/* -- telling -------------------------------------------------------------------------------- */

static void set_problem(struct engine *e, enum stage_id stage, int code, const char *text)
{
	struct stage *s = &e->stages[stage];

	if (!strcmp(s->problem, text))
		return;
	g_strlcpy(s->problem, text, sizeof(s->problem));
	s->code = code;
	s->problem_s = e->ops->wall_s(e->user);
	if (text[0])
		log_warn("%s", text);
	engine_tell(e, "problem", "part", stage_names[stage], text[0] ? text : "solved");
}

int engine_fail(struct engine *e, enum stage_id stage, int code, int r, const char *format, ...)
{
	char text[STAGE_TEXT_MAX];
	const char *words = e->kernel->ops->error_text(e->kernel->impl);
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = strlen(text);
	if (r && r != -ECANCELED)
		snprintf(text + len, sizeof(text) - len, ": %s%s%s%s", strerror(-r),
			words[0] ? " (" : "", words, words[0] ? ")" : "");
	set_problem(e, stage, r == -EPERM ? EXIT_PERMISSION : code, text);
	return r ? r : -ECANCELED;
}

bool engine_may_repair(struct engine *e, enum stage_id stage, int64_t now_ms, const char *what)
{
	struct stage *s = &e->stages[stage];
	bool fought = s->repaired_ms && now_ms - s->repaired_ms < REPAIR_WINDOW_MS;
	char who[64] = "";

	if (s->changed)
		return true;
	s->repairs = fought ? s->repairs + 1 : 1;
	s->repaired_ms = now_ms;
	if (e->last_pid)
		snprintf(who, sizeof(who), ", last by process %u", e->last_pid);
	if (s->repairs > REPAIRS_MAX && stage == STAGE_ACL)
		return engine_acl_is_fought(e, what, who);
	if (s->repairs > REPAIRS_MAX) {
		s->yielded = true;
		s->repairs = 0;
		s->repaired_ms = 0;
		engine_fail(e, stage, EXIT_FAILED, -ECANCELED,
			"conflict: %s was undone %d times in a row%s; leaving it for %d minutes",
			what, REPAIRS_MAX, who, YIELD_MS / 60000);
		return false;
	}
	e->repairs++;
	log_info("repairing: %s%s", what, who);
	engine_tell(e, "repair", "part", stage_names[stage], what);
	return true;
}

/* -- what makes work ------------------------------------------------------------------------ */

static void due_as(struct engine *e, enum stage_id stage, int64_t not_before, bool changed)
{
	struct stage *s = &e->stages[stage];

	if (changed) {
		s->changed = true;
		s->yielded = false;
		s->backoff.tries = 0;
		s->not_before = not_before;
	} else if (!s->due && !s->yielded) {
		s->not_before = not_before;
	}
	s->due = true;
}

void engine_due(struct engine *e, enum stage_id stage, int64_t now_ms)
{
	due_as(e, stage, now_ms, true);
}

static void all_due(struct engine *e, int64_t now_ms, bool changed)
{
	for (size_t i = 0; i < N_STAGES; i++)
		due_as(e, i, now_ms, changed);
}

void engine_retry(struct engine *e, int64_t now_ms)
{
	for (size_t i = 0; i < N_STAGES; i++)
		if (e->stages[i].problem[0])
			due_as(e, i, now_ms, true);
}

void engine_set_down(struct engine *e, bool down, int64_t now_ms)
{
	if (e->down == down)
		return;
	e->down = down;
	if (down) {
		e->removing = true;
		e->stages[STAGE_LINK].not_before = now_ms;
		e->stages[STAGE_LINK].backoff.tries = 0;
	} else {
		e->removing = false;
		all_due(e, now_ms, true);
	}
}

void engine_forget_map(struct engine *e, int64_t now_ms)
{
	if (!e->map)
		return;
	e->forgetting = e->removing = true;
	e->stages[STAGE_LINK].not_before = now_ms;
	e->stages[STAGE_LINK].backoff.tries = 0;
}

void engine_kernel_event(struct engine *e, unsigned events, uint32_t pid, int64_t now_ms)
{
	static const struct {
		unsigned event;
		enum stage_id stage;
	} table[] = {
		{ MONITOR_LINK, STAGE_LINK },
		{ MONITOR_LINK, STAGE_UP },
		{ MONITOR_LINK | MONITOR_ADDR, STAGE_ADDRESSES },
		{ MONITOR_LINK | MONITOR_ROUTE | MONITOR_RULE, STAGE_ROUTES },
		{ MONITOR_NFT, STAGE_NFT },
		{ MONITOR_NFT, STAGE_STEER },
		{ MONITOR_NFT, STAGE_ACL },
	};

	if (pid)
		e->last_pid = pid;
	for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
		if (events & table[i].event)
			due_as(e, table[i].stage, now_ms + SETTLE_MS, false);
	if (events & (MONITOR_LOST | MONITOR_DEAD)) {
		e->resyncs++;
		all_due(e, now_ms + SETTLE_MS, false);
	}
	/* Something may come in that may not: nothing else is done before that is known. */
	if (events & (MONITOR_NFT | MONITOR_LOST | MONITOR_DEAD)) {
		e->stages[STAGE_ACL].not_before = engine_acl_soonest(e, now_ms);
		e->acl.stands = false;
	}
	/* A link event may be the deletion itself: no time to lose. */
	if (events & MONITOR_LINK && !e->stages[STAGE_LINK].yielded)
		e->stages[STAGE_LINK].not_before = now_ms;
}

void engine_check(struct engine *e, int64_t now_ms)
{
	if (!e->map || e->down)
		return;
	e->mtu_stale = true;
	engine_psk_retry(e, now_ms);
	engine_probe_groups(e, now_ms);
	e->policy_due |= e->no_sentinel;
	e->no_sentinel = false;
	due_as(e, STAGE_ACL, now_ms, false);
	due_as(e, STAGE_LINK, now_ms, false);
	due_as(e, STAGE_READ, now_ms, false);
	due_as(e, STAGE_UP, now_ms, false);
	due_as(e, STAGE_ADDRESSES, now_ms, false);
	due_as(e, STAGE_ROUTES, now_ms, false);
	due_as(e, STAGE_NFT, now_ms, false);
	due_as(e, STAGE_STEER, now_ms, false);
}

bool engine_refresh(struct engine *e, int64_t now_ms)
{
	/* Not before what is under way is done: a reading for each asker would hold that up for ever. */
	if (e->stages[STAGE_PEERS].due && !e->stages[STAGE_PEERS].problem[0])
		return false;
	if (!e->map || e->down || !e->index || now_ms - e->read_ms <= 1000)
		return false;
	due_as(e, STAGE_READ, now_ms, false);
	return true;
}

/* -- doing it ------------------------------------------------------------------------------- */

static int64_t sooner(int64_t a, int64_t b)
{
	if (a == ENGINE_NEVER || b == ENGINE_NEVER)
		return a == ENGINE_NEVER ? b : a;
	return MIN(a, b);
}

/* Reading that somebody asked for changes nothing about what is planned. */
static void plan_next_read(struct engine *e, int64_t now_ms)
{
	int64_t in_s = -1;

	if (e->watch)
		in_s = PEER_LOOK_MS / 1000;
	else if (e->next_read_ms != ENGINE_NEVER)
		return;
	else if (e->early_reads < G_N_ELEMENTS(early_read_s))
		in_s = early_read_s[e->early_reads++];
	/* Prefixes are to move, and paths to be looked for anew, soon after a tunnel has died. */
	else if ((routing_n_groups(e->routing) || e->finder) && engine_anybody_up(e))
		in_s = 10;
	if (in_s >= 0)
		e->next_read_ms = sooner(e->next_read_ms, now_ms + in_s * 1000);
}

void engine_read_within(struct engine *e, int64_t ms, int64_t now_ms)
{
	e->next_read_ms = sooner(e->next_read_ms, now_ms + ms);
}

static void stage_done(struct engine *e, enum stage_id id, int64_t now_ms)
{
	struct stage *s = &e->stages[id];

	s->due = false;
	s->changed = false;
	s->yielded = false;
	s->backoff.tries = 0;
	if (s->problem[0])
		set_problem(e, id, 0, "");
	/* Firewalls of old names were needed till now. */
	if (id == STAGE_LINK && e->acl.names->len > 1)
		engine_due(e, STAGE_ACL, now_ms);
	if (id == STAGE_READ)
		plan_next_read(e, now_ms);
	if (id == STAGE_PEERS && e->next_read_ms == ENGINE_NEVER) {
		e->early_reads = 0;
		plan_next_read(e, now_ms);
	}
}

static void stage_failed(struct engine *e, enum stage_id id, int r, int64_t now_ms)
{
	struct stage *s = &e->stages[id];
	int64_t wait = backoff_next_ms(&s->backoff, e->ops->random(e->user));

	if (s->yielded)
		wait = YIELD_MS;
	s->not_before = now_ms + wait;
	/* The interface may have gone between two calls: that is found out first. */
	if (r == -ENODEV && id > STAGE_LINK)
		due_as(e, STAGE_LINK, now_ms, false);
}

static int64_t remove_step(struct engine *e, int64_t now_ms)
{
	struct stage *s = &e->stages[STAGE_LINK];
	int r;

	if (now_ms < s->not_before)
		return s->not_before;
	r = engine_remove_all(e);
	if (r < 0) {
		stage_failed(e, STAGE_LINK, r, now_ms);
		return s->not_before;
	}
	e->removing = false;
	for (size_t i = 0; i < N_STAGES; i++)
		stage_done(e, i, now_ms);
	e->was_ready = false;
	e->next_read_ms = ENGINE_NEVER;
	engine_tell(e, "interface", "name", NULL, "down");
	if (e->forgetting)
		engine_drop_map(e);
	return 0;
}

static bool stage_is_ready(const struct engine *e, enum stage_id id)
{
	if (id == STAGE_ACL)
		return true;
	if (id == STAGE_PEERS && !e->was_read)
		return false;
	/* Without interface nothing can be said or done about the others. */
	return engine_acl_is_settled(e) &&
		(id == STAGE_LINK || (e->index && !e->stages[STAGE_LINK].due));
}

static void run_stage(struct engine *e, enum stage_id id, int64_t now_ms)
{
	int r = stage_run[id](e, now_ms);

	if (r == 0)
		stage_done(e, id, now_ms);
	else if (r < 0)
		stage_failed(e, id, r, now_ms);
}

void engine_port_strays(struct engine *e, int64_t now_ms)
{
	struct stage *s = &e->stages[STAGE_DEVICE];
	uint16_t port = e->stray_port;

	e->stray_port = 0;
	if (s->repaired_ms && now_ms - s->repaired_ms < STRAYS_MS)
		return;
	e->device.listen_port = port;
	due_as(e, STAGE_DEVICE, now_ms, false);
	if (stage_is_ready(e, STAGE_DEVICE) && now_ms >= s->not_before)
		run_stage(e, STAGE_DEVICE, now_ms);
}

/* What time brings to lazy peers. */
static int64_t lazy_step(struct engine *e, int64_t now_ms)
{
	int64_t next = lazy_next_reading(e->lazy);

	if (e->policy_due)
		engine_lazy_policy(e, now_ms);
	engine_watch_drops(e, now_ms);
	if (e->index && next != LAZY_NEVER && now_ms >= next)
		engine_read_counters(e, now_ms);
	lazy_tick(e->lazy, now_ms);
	engine_lazy_run(e, now_ms);
	next = sooner(lazy_tick(e->lazy, now_ms), engine_memorize(e, now_ms));
	return e->index ? sooner(next, lazy_next_reading(e->lazy)) : next;
}

static void note_settled(struct engine *e, int64_t now_ms)
{
	if (!engine_is_settled(e))
		return;
	e->was_ready = true;
	if (e->map_new_ms)
		histogram_add(&e->map_applies, now_ms - e->map_new_ms);
	e->map_new_ms = 0;
}

int64_t engine_step(struct engine *e, int64_t now_ms)
{
	int64_t next;

	if (e->removing)
		return remove_step(e, now_ms);
	if (!e->map || e->down)
		return ENGINE_NEVER;
	if (e->next_read_ms != ENGINE_NEVER && now_ms >= e->next_read_ms) {
		e->next_read_ms = ENGINE_NEVER;
		due_as(e, STAGE_READ, now_ms, false);
	}
	engine_names_step(e, now_ms);
	if (!e->stages[STAGE_PEERS].due) /* once for all of them */
		engine_psk_record(e);
	next = sooner(e->names_ms, lazy_step(e, now_ms));
	for (size_t i = 0; i < N_STAGES; i++) {
		struct stage *s = &e->stages[i];

		if (!s->due || !stage_is_ready(e, i))
			continue;
		if (now_ms < s->not_before) {
			next = sooner(next, s->not_before);
			continue;
		}
		run_stage(e, i, now_ms);
		return 0;
	}
	note_settled(e, now_ms);
	return sooner(next, e->next_read_ms);
}
