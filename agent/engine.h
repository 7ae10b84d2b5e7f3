/* agent/engine.h - compares what is wanted with what the kernel has, and repairs the difference.
 *
 * Pure but for the kernel it was given: time, random numbers, look-ups and files come from outside,
 * so that the same code runs in the daemon and in the simulation. A start, a new map, a deleted
 * interface and a flushed firewall are one operation: parts are marked as due, and engine_step does
 * one short piece of the work after the other. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/addr.h"
#include "agent/base/key.h"

struct config;
struct engine;
struct kernel;
struct monitor_filter;
struct netmap;
struct netmap_patch;

enum { ENGINE_CHECK_S = 60, ENGINE_NEVER = -1, ENGINE_PATHS_MAX = 9 };

/* What becomes of a peer for which somebody finds paths. */
enum engine_need {
	ENGINE_PACKET_WAITS, /* it is to be reached, and somebody waits for it */
	ENGINE_ROUTER_WANTED, /* it leads to others, or its group is in use */
	ENGINE_WANTED, /* it is always to be there */
	ENGINE_ANSWERS, /* the tunnel is up */
	ENGINE_SLEEPS, /* it was up and is parked, having been idle */
	ENGINE_GIVEN_UP, /* it is parked without having been reached */
};

/* What is remembered of a peer over restarts. */
struct engine_memory {
	struct wg_key key;
	struct endpoint
		endpoint; /* where it was last heard, if the map does not say it; family 0: unknown */
	bool pinned;
};

/* Of a peer's pre-shared key, over restarts. */
struct engine_psk_memory {
	struct wg_key peer;
	struct wg_key given; /* on this host; zero: none */
	struct wg_key set,
		tried; /* which one was set last, or may have been, without telling it; zero: none */
};

struct engine_ops {
	/* Look a name up; engine_looked_up is to be called with the same id, later. */
	void (*look_up)(uint32_t id, const char *name, void *user);
	/* Something happened that a monitor wants to know: a JSON object. */
	void (*event)(const char *json, void *user);
	/* To be kept over restarts, before the kernel is told. 0 or -errno. */
	int (*record_peers)(const struct wg_key *keys, size_t n, void *user);
	int (*record_interface)(const char *name, uint32_t table, void *user);
	int (*record_memory)(const struct engine_memory *memory, size_t n, void *user);
	int (*record_mtu)(uint32_t mtu, void *user);
	int (*record_psks)(const struct engine_psk_memory *psks, size_t n, void *user);
	/* A pre-shared key from its file. 0 or -errno. */
	int (*read_psk)(const char *path, struct wg_key *ret, void *user);
	/* A peer is wanted, or not any more; only after engine_set_finder. Calls nothing of the engine. NULL: nobody
	 * finds paths. */
	void (*path)(const struct wg_key *key, enum engine_need need, void *user);
	/* Members about how that goes, for the peer's document. NULL: nobody finds paths. */
	void (*write_path)(const struct wg_key *key, GString *out, void *user);
	uint32_t (*random)(void *user);
	int64_t (*wall_s)(void *user);
};

/* Who we are. Copied. */
struct engine_identity {
	const char *instance;
	const char *recorded_interface; /* "": none */
	uint32_t recorded_table; /* 0: none */
	uint32_t measured_mtu; /* 0: none */
	const struct wg_key *recorded_peers;
	size_t n_recorded;
	const struct engine_memory *memory;
	size_t n_memory;
	const struct engine_psk_memory *psks;
	size_t n_psks;
	const char *no_lazy; /* why no peer can be parked here; NULL: they can */
};

struct engine *engine_new(const struct kernel *kernel, const struct engine_ops *ops, void *user,
	const struct engine_identity *identity);
void engine_free(struct engine *e); /* leaves everything in the kernel as it is */

void engine_set_private_key(struct engine *e, const struct wg_key *private_key);
/* Borrowed until the next one. */
void engine_set_config(struct engine *e, const struct config *config);
/* The map in force; NULL: none yet. */
const struct netmap *engine_map(const struct engine *e);
/* Changes the map in force in the way of these patches. */
void engine_patch_map(
	struct engine *e, const struct netmap_patch *patches, size_t n, int64_t now_ms);
/* Takes the map. Only what differs from the present one becomes work. */
void engine_set_map(struct engine *e, struct netmap *map, int64_t now_ms);
/* Down: removes everything that we made. Up again: makes it anew. */
void engine_set_down(struct engine *e, bool down, int64_t now_ms);
/* This host has left its network: removes everything that we made, then forgets the map. */
void engine_forget_map(struct engine *e, int64_t now_ms);
/* The MTU that somebody measured, in place of what the devices on the way say; 0: forget it. 1: done; 0: was
 * so before; -ERANGE; -EOPNOTSUPP: a file says what it is to be, *ret_why which. */
int engine_set_mtu(struct engine *e, uint32_t mtu, int64_t now_ms, const char **ret_why);
/* A source of maps is broken (one line), or well again (NULL); for status. */
void engine_set_map_problem(struct engine *e, const char *problem);

/* Does one short piece of work. Returns when to be called again: 0 at once, a time on the same
 * clock, or ENGINE_NEVER. */
int64_t engine_step(struct engine *e, int64_t now_ms);
/* The coarse check, each ENGINE_CHECK_S seconds. */
void engine_check(struct engine *e, int64_t now_ms);
/* Bits of enum monitor_event; `pid` 0 when unknown. */
void engine_kernel_event(struct engine *e, unsigned events, uint32_t pid, int64_t now_ms);
/* n = 0: failed, for the reason in `error`. */
void engine_looked_up(struct engine *e, uint32_t id, const struct endpoint *addresses, size_t n,
	const char *error, int64_t now_ms);
/* Somebody finds paths to peers, or does not any more: who is without endpoints can be woken. */
void engine_set_finder(struct engine *e, bool present, int64_t now_ms);
/* Where this peer may be, best first, as was found now; before all other endpoints that are known. */
struct engine_paths {
	const struct endpoint *at;
	size_t n;
	bool proven; /* the first one answers */
	bool replaces; /* and where the peer was till now may not, though its tunnel is up */
	bool yields; /* it is one of us, and knows which of two handshakes that cross is to be dropped */
};
void engine_set_paths(struct engine *e, const struct wg_key *key, const struct engine_paths *found,
	int64_t now_ms);
/* Requests of ICE with this ufrag (of STEER_UFRAG_LEN characters) that come to WireGuard's port are led to this
 * port, which is one of engine_first_steered and the ENGINE_STEERED_ALL - 1 behind it. Those of the agents that
 * append something to messages are the last ones, from ENGINE_STEERED_ALIKE on: these packets pass an nfqueue with
 * the number of WireGuard's port. 0 or -errno. */
enum { ENGINE_STEERED_ALIKE = 125, ENGINE_STEERED_ALL = 250 };
uint16_t engine_first_steered(const struct engine *e);
int engine_steer(struct engine *e, const char *ufrag, uint16_t port);
void engine_steer_no_more(struct engine *e, const char *ufrag);
void engine_steer_nobody(struct engine *e);
/* WireGuard's. */
uint16_t engine_port(const struct engine *e);
bool engine_knows_peer(const struct engine *e, const struct wg_key *key);
/* The other side has begun anew and waits for a handshake. False: nothing changed. */
bool engine_remote_wants(struct engine *e, const struct wg_key *key, int64_t now_ms);
bool engine_remote_sleeps(struct engine *e, const struct wg_key *key, int64_t now_ms);
/* Somebody reads the status: refresh what it shows soon. False: not now, it is fresh or something is under way. */
bool engine_refresh(struct engine *e, int64_t now_ms);

/* kernel_packet_fd is readable: reads and handles all of it. */
void engine_packets(struct engine *e, int64_t now_ms);
/* Leaves the interface usable without us: parked peers get their real endpoints. For a clean stop. */
void engine_leave(struct engine *e, int64_t now_ms);

/* Commands about one peer (by name, key or address). 1: done, 0: it was so already, -ENOENT: no such
 * peer, -EOPNOTSUPP: it may not sleep, -EHOSTUNREACH: no endpoint is known. *ret_key is the peer's,
 * *ret_why one line, "" when there is nothing to say. */
enum engine_command { ENGINE_WAKE, ENGINE_IDLE, ENGINE_PIN, ENGINE_UNPIN };
int engine_command(struct engine *e, enum engine_command command, const char *peer, int64_t now_ms,
	struct wg_key *ret_key, const char **ret_why);
/* Gives a peer this pre-shared key, whatever the map says; NULL: what the map says. 1: done, 0: it was so already,
 * -ENOENT: no such peer; or it could not be written down, and nothing was done. */
int engine_set_psk(struct engine *e, const char *peer, const struct wg_key *psk, int64_t now_ms,
	struct wg_key *ret_key);
/* How a wake goes on: 1 it is up, 0 not yet, -EHOSTUNREACH unanswered for too long, -ENOENT gone. */
int engine_wake_result(const struct engine *e, const struct wg_key *key);

/* What events concern us now. */
void engine_filter(const struct engine *e, struct monitor_filter *ret);
/* Nothing is due: everything is as it should be, or waits for a later try. */
bool engine_is_settled(const struct engine *e);
/* What all the rest waits for cannot be done, and waiting does not help: engine_problem_code says why. */
bool engine_is_stuck(const struct engine *e);
/* Somebody says that what has failed may work now: it is not waited for its next try. */
void engine_retry(struct engine *e, int64_t now_ms);
/* The interface stands, with everything but (all of) its peers; or there is nothing to do. */
bool engine_is_placed(const struct engine *e);
/* The first problem as an exit code and one line; 0: none. For the start of the daemon. */
int engine_problem_code(const struct engine *e, const char **ret_text);
size_t engine_count_peers(const struct engine *e);

/* An event about a peer for monitors: its first members, to which the caller adds others; then it is published
 * with a few words for people, which takes it. */
GString *engine_begin_event(const struct engine *e, const char *event, const struct wg_key *peer);
void engine_publish(struct engine *e, GString *event, const struct wg_key *peer, const char *words);

/* How it is, as status says it, and why; *ret_reason may be NULL. */
const char *engine_state(const struct engine *e, const char **ret_reason);
/* Members of the status and peers documents (see lapwing(8)), without the outer braces. */
void engine_write_status(const struct engine *e, GString *out, bool detail, int64_t now_ms);
/* Items of the list "pools" of the runtime document. */
void engine_write_pools(const struct engine *e, GString *out);
/* The "peers" array; `only` names one host (by name, key or address), NULL: all. Returns false when
 * there is no such host. */
bool engine_write_peers(const struct engine *e, GString *out, const char *only, int64_t now_ms);
