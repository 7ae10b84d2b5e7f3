/* agent/engine_impl.h - the engine's inside, shared by its files only. */
#pragma once

#include "agent/base/backoff.h"
#include "agent/base/histogram.h"
#include "agent/engine.h"
#include "agent/kernel.h"
#include "agent/lazy/lazy.h"
#include "agent/owners.h"
#include "agent/peer.h"
#include "agent/routing.h"

/* Parts of the work, in the order in which they depend on each other. */
enum stage_id {
	STAGE_ACL, /* what may come in, before anything can */
	STAGE_LINK, /* find, adopt, make, name the interface */
	STAGE_READ, /* compare the kernel's peers with ours */
	STAGE_DEVICE, /* key, port, mark */
	STAGE_UP, /* MTU, up */
	STAGE_ADDRESSES,
	STAGE_ROUTES, /* and rules */
	STAGE_NFT,
	STAGE_STEER, /* ICE's checks */
	STAGE_PEERS,
	N_STAGES,
};

enum {
	STAGE_TEXT_MAX = 256,
	REPAIRS_MAX = 3, /* in a row; then we yield to whoever undoes them */
	REPAIR_WINDOW_MS = 10 * 1000, /* a repair undone within this time counts as fought */
	STRAYS_MS = 1000, /* so long packets from before a repair may come in after it */
	YIELD_MS = 5 * 60 * 1000,
	SETTLE_MS = 100, /* events are gathered for so long */
	FOREIGN_NAMED_MAX = 16,
	BATCHES_PER_STEP = 4,
	ENGINE_KEPT_BYTES_MAX = 256 * 1024, /* packets of all peers; engine_kept.c */
	POKE_ALL_MAX = 256, /* in a mesh of this size every session is begun anew */
	PEER_WORK = PEER_DIRTY | PEER_NEW_ENDPOINT | PEER_POKE | PEER_PSK,
};

struct stage {
	bool due;
	bool changed; /* the work at hand is wanted by us: not a repair */
	int64_t not_before; /* ms */
	struct backoff backoff;
	char problem[STAGE_TEXT_MAX]; /* "": none */
	int code; /* enum exit_code of the problem */
	int64_t problem_s; /* wall clock */
	unsigned repairs; /* fought ones in a row */
	int64_t repaired_ms;
	bool yielded;
};

/* One DNS name of one host. */
struct name {
	uint32_t id; /* for answers; never used again for another */
	uint32_t host;
	uint32_t endpoint; /* in the map */
	bool asked, wanted;
	uint8_t n;
	struct backoff backoff;
	int64_t next_ms;
	struct endpoint addresses[4];
	char error[64];
};

/* A packet that came to a sentinel in the turn under way. */
struct capture {
	uint32_t host;
	uint32_t offset, len; /* in `captured` */
	int64_t received_ns;
	bool session; /* data, not an initiation */
};

#define SLOT_FREE UINT32_MAX
#define SLOT_GONE (UINT32_C(1) << 31) /* its host is not in the new map, so far */

struct engine {
	const struct kernel *kernel;
	const struct engine_ops *ops;
	void *user;
	char alias[LINK_ALIAS_MAX];
	char instance[64];
	struct wg_key private_key, public_key;

	const struct config *config;
	struct netmap *map;
	char map_problem[STAGE_TEXT_MAX * 2];
	int64_t map_s; /* wall clock of the last good one */
	int64_t map_new_ms; /* when it came, until all of it is in the kernel; 0: it is */
	struct histogram map_applies;
	bool down, removing, config_changed;
	bool forgetting; /* when everything is removed, the map goes too */

	struct stage stages[N_STAGES];
	uint32_t last_pid; /* who caused the last event */

	/* the interface */
	unsigned index; /* 0: none */
	char recorded[IFNAMSIZ];
	uint32_t recorded_table;
	char nft_table[NFT_TABLE_NAME_MAX]; /* in place; "": none */
	uint64_t nft_fingerprint;
	uint32_t nft_hash; /* of what it was made from */
	bool uses_mark; /* some routes have a table of their own */
	struct {
		bool stands; /* in place with these rules or those before, and nothing has happened since */
		bool warned; /* that it is off */
		char ifname[IFNAMSIZ]; /* whose it is */
		struct filter_rule *rules; /* in it */
		size_t n_rules;
		uint64_t fingerprint; /* 0: never made */
		uint64_t refused, refused_before; /* packets; by it, and by those before it */
		GPtrArray *names; /* char *, of interfaces that may have one */
		char cleared[IFNAMSIZ]; /* this one has none */
	} acl;
	uint32_t mtu, measured_mtu;
	bool mtu_stale; /* paths may have changed: look them up again */
	bool adopted, was_up, conflict;
	unsigned repairs;
	struct { /* as last read or set */
		struct wg_key public_key;
		uint16_t listen_port;
		uint32_t fwmark;
	} device;

	/* peers: one per host of the map, our own entry unused */
	struct peer *peers;
	uint32_t cursor; /* peers before it are clean */
	GArray *removals; /* struct wg_key */
	GArray *foreign; /* struct wg_key, the first few */
	size_t n_foreign;
	struct wg_key *recorded_peers; /* of the previous run, sorted; until the first reading */
	size_t n_recorded;
	bool record_due;
	GHashTable *psks; /* struct wg_key of the peer -> struct psk */
	bool psks_due; /* to be written down */
	bool psks_gone; /* some are of peers that have left */
	GArray *names; /* struct name */
	uint32_t next_name_id;
	int64_t names_ms; /* when one of them may have to be asked */
	struct routing *routing;
	GArray *scratch; /* struct prefix */
	size_t n_routes;

	/* paths that are found */
	bool finder;
	GHashTable *paths; /* struct wg_key -> struct paths */
	GHashTable *kept; /* struct wg_key -> struct kept */
	size_t kept_bytes; /* of all of them */
	struct {
		char table[NFT_TABLE_NAME_MAX]; /* in place; "": none */
		uint64_t fingerprint;
		uint32_t hash;
		GArray *ufrags; /* struct steer_ufrag */
	} steer;

	/* lazy peers */
	const char *no_lazy; /* why nobody can be parked; NULL: they can */
	struct lazy *lazy;
	struct owners *owners;
	GArray *slots; /* uint32_t: whose sentinel it is; SLOT_FREE */
	GHashTable *held; /* host -> GBytes: its newest initiation */
	GArray *captures; /* struct capture: of the turn under way */
	GByteArray *captured; /* their bytes */
	uint16_t sentinel_port; /* WireGuard's port and mark, as the sentinels know them */
	uint32_t sentinel_mark;
	uint16_t stray_port; /* from which WireGuard sent, in the turn under way; 0: ours */
	uint64_t drops; /* of all sentinels, at the last look */
	int64_t drops_ms; /* when that was */
	struct nft_lazy nft_lazy; /* in place */
	struct {
		bool logs, counters, ties, notrack; /* refused by this kernel */
		bool listening; /* for the time being */
	} lacks;
	bool no_sentinel, policy_due;
	bool leaving; /* nobody is parked any more, to the kernel */
	GArray *memory; /* struct engine_memory, sorted by key: as last read or written */
	bool memory_due;
	int64_t memory_ms; /* not before */

	/* looking */
	int64_t read_ms; /* when the kernel was last read; 0: never */
	int64_t next_read_ms; /* ENGINE_NEVER: at the coarse check */
	unsigned early_reads; /* done since something was programmed */
	unsigned read_retries;
	bool watch; /* somebody who was woken is to be heard of soon */
	bool was_read; /* since this interface is ours: who is there is known */
	uint64_t resyncs;
	bool was_ready; /* settled once with this interface */
};

#define KERNEL(e, call, ...) ((e)->kernel->ops->call((e)->kernel->impl, ##__VA_ARGS__))

/* Each stage: 0 done, 1 call again, negative: failed (the problem's text is set). */
int engine_stage_acl(struct engine *e, int64_t now_ms);
int engine_stage_link(struct engine *e, int64_t now_ms);
int engine_stage_read(struct engine *e, int64_t now_ms);
int engine_stage_device(struct engine *e, int64_t now_ms);
int engine_stage_up(struct engine *e, int64_t now_ms);
int engine_stage_addresses(struct engine *e, int64_t now_ms);
int engine_stage_routes(struct engine *e, int64_t now_ms);
int engine_stage_nft(struct engine *e, int64_t now_ms);
int engine_stage_steer(struct engine *e, int64_t now_ms);
int engine_stage_peers(struct engine *e, int64_t now_ms);

/* engine.c */
const char *engine_stage_name(enum stage_id stage);
/* The peers are looked at so soon. */
void engine_read_within(struct engine *e, int64_t ms, int64_t now_ms);
void engine_due(struct engine *e, enum stage_id stage, int64_t now_ms);
/* Sets the problem of a stage and returns r. */
int engine_fail(struct engine *e, enum stage_id stage, int code, int r, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* About to undo what somebody else did. False: we have done so too often, leave it. */
bool engine_may_repair(struct engine *e, enum stage_id stage, int64_t now_ms, const char *what);
/* Somebody has given WireGuard the stray port: it gets ours back before anything is sent on. */
void engine_port_strays(struct engine *e, int64_t now_ms);
/* The first members of an event for monitors. */
GString *engine_open_event(const struct engine *e, const char *event);
void engine_tell(struct engine *e, const char *event, const char *key, const char *value,
	const char *message);
/* A lazy peer changed its state. */
void engine_tell_lazy(struct engine *e, const char *name, const char *state, const char *cause);
uint32_t engine_hash(const void *data, size_t len, uint32_t seed);
const char *engine_interface_name(const struct engine *e);
uint16_t engine_listen_port(const struct engine *e);
uint32_t engine_mark(const struct engine *e);
uint32_t engine_table(const struct engine *e);

/* engine_link.c */
/* What must be known after a crash. */
int engine_record(struct engine *e, const char *name, uint32_t table);
int engine_remove_all(struct engine *e);
/* Sets the interface down if it is up. False: it was not, or is not ours. */
bool engine_shut_link(struct engine *e, int64_t now_ms);

/* engine_acl.c */
bool engine_acl_wanted(const struct engine *e);
/* Nothing can come in that may not: the table is in place, or not wanted. */
bool engine_acl_is_settled(const struct engine *e);
/* When to look at it after an event: now, or later if somebody undoes it again and again. */
int64_t engine_acl_soonest(const struct engine *e, int64_t now_ms);
/* It was undone so often that others would be left: it is set again. */
bool engine_acl_is_fought(struct engine *e, const char *what, const char *who);
/* An interface of this name had a table, or may have had one. */
void engine_acl_may_exist(struct engine *e, const char *ifname);
/* Removes the tables of all interfaces but this one; NULL: of all. 0 or -errno. */
int engine_acl_remove(struct engine *e, const char *but);
void engine_acl_count(struct engine *e); /* what it has refused */
void engine_acl_write(const struct engine *e, GString *out, int64_t now_ms); /* for status */
void engine_acl_free(struct engine *e);

/* engine_net.c */
/* Makes these the rules of ours. */
int engine_apply_rules(struct engine *e, const struct rule *want, size_t n_want, int64_t now_ms);

/* engine_peers.c */
void engine_peers_replace(
	struct engine *e, struct netmap *old, struct peer *old_peers, int64_t now_ms);
bool engine_is_stalled(const struct engine *e, uint32_t host);
void engine_follow_keepalive(struct engine *e, uint32_t host);
void engine_mark_peer(struct engine *e, uint32_t host, unsigned flags);
/* engine_lazy_run does what follows. */
void engine_new_endpoints(struct engine *e, uint32_t host, int64_t now_ms);
void engine_remove_peer(struct engine *e, const struct wg_key *key, int64_t now_ms);
void engine_block(struct engine *e, uint32_t host, enum peer_block why, int error);
void engine_unblock(struct engine *e, uint32_t host);
void engine_all_peers_gone(struct engine *e, int64_t now_ms); /* the device is new and empty */
void engine_all_sessions_lost(struct engine *e, int64_t now_ms); /* it was down */
/* Others than lapwings throw theirs away when they sleep or lose a path, and so may we. Not where a key that somebody else
 * has set would go with it. */
bool engine_may_end_session(const struct engine *e, uint32_t host);
void engine_end_session(struct engine *e, uint32_t host, int64_t now_ms);
void engine_elect(struct engine *e, int64_t now_ms);
bool engine_holds_self(const struct engine *e, uint32_t host);
int engine_wanted_keepalive(const struct engine *e, uint32_t host);
uint32_t engine_wanted_hash(struct engine *e, uint32_t host);
struct netmap_host;
size_t engine_n_prefixes(const struct netmap_host *host);
/* Room for n prefixes, valid until the next call. */
struct prefix *engine_scratch(struct engine *e, size_t n);

/* status.c: by name, key or address. */
bool engine_host_matches(const struct engine *e, uint32_t host, const char *only);
/* engine_read.c: where the peers are now, before they are moved. */
void engine_note_endpoints(struct engine *e);

/* engine_names.c */
void engine_names_replace(struct engine *e, const struct netmap *old, int64_t now_ms);
void engine_names_step(struct engine *e, int64_t now_ms);
void engine_names_wanted(struct engine *e, uint32_t host, int64_t now_ms);
/* The endpoints of a host as far as they are known. Returns their number, at most max. */
size_t engine_candidates(const struct engine *e, uint32_t host, struct endpoint *ret, size_t max);
/* A peer may roam, so any endpoint will do while its session lives; without one, or when nothing comes
 * back, it has to be one that the map says, if that says any. */
bool engine_endpoint_is_good(
	const struct engine *e, uint32_t host, const struct endpoint *endpoint, int64_t now_ms);
/* Why it has none; "" when it has. */
const char *engine_names_error(const struct engine *e, uint32_t host);

/* engine_steer.c */
int engine_steer_remove(struct engine *e); /* the table. 0 or -errno */

/* engine_paths.c */
void engine_paths_init(struct engine *e);
void engine_prune_paths(struct engine *e); /* there is a new map */
/* Those of a host. Returns their number, at most max. */
size_t engine_add_paths(const struct engine *e, uint32_t host, struct endpoint *ret, size_t max);
/* It was woken by data under a session from before, and nothing has come back yet. */
bool engine_is_unanswered(const struct engine *e, uint32_t host);
bool engine_anybody_unanswered(const struct engine *e);
bool engine_never_yields(const struct engine *e, uint32_t host); /* it is none of us */
/* It was woken by data under a session from before, and nothing has come back yet. */
bool engine_is_unanswered(const struct engine *e, uint32_t host);
/* Its state has changed; `was_up`: from being up. */
void engine_tell_path(struct engine *e, uint32_t host, bool was_up);

/* engine_kept.c */
void engine_kept_init(struct engine *e);
void engine_keep(struct engine *e, uint32_t host, const uint8_t *data, size_t len, int64_t now_ms);
/* There is where it is, by now: what is kept goes there. */
void engine_send_kept(struct engine *e, uint32_t host, const struct endpoint *to, int64_t now_ms);
void engine_forget_kept(struct engine *e, const struct wg_key *key);

/* engine_lazy.c: who may sleep; what a new map, a reading and a command mean for that. */
void engine_lazy_init(struct engine *e, const struct engine_identity *identity);
void engine_lazy_free(struct engine *e);
void engine_lazy_drop(struct engine *e);
/* engine_map.c: as if there had never been one. */
void engine_drop_map(struct engine *e);
/* A new map is in place; `before[i]` is the old number of host i or -1. */
void engine_lazy_replace(struct engine *e, const int64_t *before);
/* Asks anew of everybody whether it may sleep; engine_lazy_run does what follows. */
void engine_lazy_policy(struct engine *e, int64_t now_ms);
/* Why it is always up; NULL: it may sleep. */
const char *engine_why_permanent(const struct engine *e, uint32_t host);
bool engine_is_asleep(const struct engine *e, uint32_t host); /* parked or waking */
/* The kernel should have its sentinel as endpoint: that one, taken now if it has none. */
bool engine_sentinel_of(struct engine *e, uint32_t host, struct endpoint *ret);
int engine_set_sentinel_sender(struct engine *e); /* to what WireGuard should have */
void engine_release_sentinel(struct engine *e, uint32_t slot);
/* What many drops at the sentinels mean. */
void engine_watch_drops(struct engine *e, int64_t now_ms);
/* By name, key or address; NETMAP_NONE: no such peer. */
int64_t engine_find_host(const struct engine *e, const char *peer);
/* Where it can be tried: where it was last, then what the map says. */
size_t engine_lazy_candidates(
	const struct engine *e, uint32_t host, struct endpoint *ret, size_t max);
/* A dump showed this of one of ours, met for the first time or again. */
void engine_lazy_seen(
	struct engine *e, uint32_t host, const struct wg_peer_status *status, int64_t now_ms);
bool engine_anybody_up(const struct engine *e); /* not parked */
void engine_probe_groups(struct engine *e, int64_t now_ms);
bool engine_anybody_wakes(const struct engine *e);

/* engine_psk.c: pre-shared keys. */
void engine_psk_init(struct engine *e, const struct engine_identity *identity);
void engine_psk_free(struct engine *e);
void engine_psk_replace(struct engine *e, int64_t now_ms); /* there is a new map */
void engine_psk_drop(struct engine *e); /* there is none any more */
void engine_psk_prune(struct engine *e); /* a reading is complete */
void engine_psk_retry(struct engine *e, int64_t now_ms); /* files that could not be read */
/* The one that a peer is made with; NULL: none. */
const struct wg_key *engine_psk(const struct engine *e, uint32_t host);
/* The kernel has this one (zero: none): is it to stay? */
bool engine_psk_stays(struct engine *e, uint32_t host, const struct wg_key *has);
/* It was made with its key, or has got it now. */
void engine_psk_was_set(struct engine *e, uint32_t host);
const char *engine_psk_state(const struct engine *e, uint32_t host);
void engine_psk_record(struct engine *e); /* if there is something new */

/* engine_memory.c: what is remembered of peers over restarts. */
void engine_memory_init(struct engine *e, const struct engine_identity *identity);
void engine_recall(struct engine *e, uint32_t host); /* it is new in the map */
/* Writes it down if it has changed. Returns when to be called again, or ENGINE_NEVER. */
int64_t engine_memorize(struct engine *e, int64_t now_ms);

/* engine_wake.c: packets in, actions out. */
void engine_lazy_run(struct engine *e, int64_t now_ms);
/* Sends what was captured on, from WireGuard's port. */
void engine_resend(
	struct engine *e, uint32_t host, const struct endpoint *to, const void *data, size_t len);

/* engine_count.c: inner packets. */
/* The ranges of all whose packets are counted (struct nft_range). */
GArray *engine_counted(const struct engine *e);
/* Owners have changed: takes what was counted before. */
void engine_recount(struct engine *e, GArray *before, int64_t now_ms);
/* Hosts (uint32_t) that are to be counted or no more, endpoints to be watched and yielded to. */
struct engine_counting {
	GArray *count, *uncount, *watch, *refuse;
};
void engine_change_counting(struct engine *e, const struct engine_counting *c, int64_t now_ms);
/* The table was made anew: it is empty. 0 or -errno, when the stage has failed. */
int engine_count_all(struct engine *e, int64_t now_ms);
void engine_read_counters(struct engine *e, int64_t now_ms);
/* A dump is complete. */
void engine_look_for_idle(struct engine *e, int64_t now_ms);

/* engine_program.c */
/* Tells the kernel at once where these are. What fails is left to the stage. */
void engine_program_now(struct engine *e, const uint32_t *hosts, size_t n, int64_t now_ms);
