/* tests/sim/model_world.h - many hosts, each with a kernel, a daemon and its files, in one virtual time;
 * and what the judge must know of them. */
#pragma once

#include <glib.h>

#include "agent/config.h"
#include "agent/engine.h"
#include "tests/sim/model_kernel.h"
#include "tests/sim/model_net.h"

enum { ENDPOINTS_MAX = 4, NAMES_PORT = 51820 };

/* What the operator wants of a host. */
struct spec {
	bool present, lazy;
	bool by_name; /* the last of its endpoints is a name */
	unsigned idle_minutes; /* 0: as all */
	unsigned keepalive;
	unsigned n_endpoints;
	struct endpoint endpoints[ENDPOINTS_MAX];
	bool grouped; /* one of those who route 10.200.0.0/16 */
};

/* One version of the mesh file. */
struct mesh {
	unsigned refs;
	GBytes *text;
	struct netmap *map; /* nobody's own */
	int64_t *index; /* world number -> host of the map, or -1 */
};

struct exchange;
struct finding;
struct traffic;

enum seen_state { SEEN_PARKED, SEEN_WAKING, SEEN_ACTIVE, SEEN_PERMANENT, SEEN_UNREACHABLE };

/* What a host's judge knows of another. */
struct relation {
	int64_t inner_us; /* when an inner packet last passed */
	int64_t asked_us; /* when the kernel last asked at the sentinel */
	int64_t direct_us, direct_before_us; /* when it last asked elsewhere, and before that */
	int64_t heard_us; /* when anything genuine last came in */
	int64_t first_us; /* the first time since its state was told */
	int64_t came_us; /* when an inner packet did */
	int64_t remote_us; /* when an inner packet came in that nobody has noticed yet; 0: none */
	int64_t bad_until_us; /* packets to it may be late, or lost */
	int64_t refused_us; /* when its NAT last refused a packet */
	bool stuck; /* handshakes have crossed in the kernels, till the next session */
	int64_t astray_us; /* till then packets may go to where it was at a start */
	bool unknown; /* it has moved, and nothing here can know where */
	bool adopted; /* found active after a restart; what is known of it may be old */
	bool pinned;
	int64_t pinned_us; /* or unpinned */
	uint8_t seen; /* enum seen_state: as last told */
	int64_t seen_us;
};

struct node {
	struct world *w;
	unsigned number;
	char name[8];
	struct model *model;
	struct engine *engine; /* NULL: the daemon is down */
	struct finding *finding; /* NULL: it finds no paths */
	struct config config;
	struct wg_key private_key, public_key;
	struct mesh *mesh; /* its file */
	struct relation *others; /* by world number */
	int64_t mono_ms; /* its clock minus the virtual one */
	struct timer turn, check, take, start;
	struct mesh *coming; /* the next file */
	bool busy, again; /* its daemon is at work; and is wanted again */
	bool told_to_sleep; /* by a command, now */
	bool group_wakes; /* one of the group, in this turn */
	GHashTable *resent; /* GBytes: where to, and what, in this turn */
	unsigned events; /* for the engine */
	unsigned generation; /* of the daemon: for answers that come late */
	int64_t bad_until_us; /* packets from and to it may be late */

	/* its state directory */
	char recorded_interface[IFNAMSIZ];
	uint32_t recorded_table;
	GArray *recorded; /* struct wg_key */
	GArray *memory; /* struct engine_memory */
};

struct world {
	guint32 seed;
	GRand *random;
	struct clock clock;
	struct net net;
	unsigned n;
	struct node *hosts;
	struct spec *specs;
	GHashTable *by_key;
	bool lazy_enabled;
	unsigned idle_minutes, listen_port;
	struct mesh *mesh; /* the newest */
	uint32_t next_session;
	unsigned depth; /* of calls in calls */

	struct exchange *exchange; /* NULL: there is no signal server */
	struct traffic *traffic;
	uint64_t crossings; /* of initiations, both to sentinels; for people */

	unsigned failures;
	const char *doing;
	bool heard; /* events are printed */
};

void world_init(struct world *w, guint32 seed, unsigned n);
void world_done(struct world *w);
void world_fail(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
unsigned world_draw(struct world *w, unsigned n);
void world_run(struct world *w, int64_t us);

/* Writes a new mesh file from what is wanted; each host gets it within so long. */
void world_publish(struct world *w, int64_t within_us);
/* Its addresses change; nobody is told. */
void world_move(struct world *w, unsigned host);
/* Packets between them, or from and to it, may be late until then. */
void world_disturb(struct world *w, unsigned from, unsigned to, int64_t until_us);
bool world_is_bad(const struct world *w, unsigned from, unsigned to, int64_t at_us);
/* Its interface is gone, and with it its sessions. */
void world_lost_link(struct world *w, struct node *h);
/* Until when was it, at least? */
int64_t world_bad_until(const struct world *w, unsigned from, unsigned to);
/* May `a` park `b`? As the file of `a` says. */
bool world_may_park(const struct world *w, unsigned a, unsigned b);
unsigned world_idle_s(const struct world *w, unsigned a, unsigned b);
struct model_peer *world_peer(const struct world *w, unsigned a, unsigned b); /* b in a's kernel */
struct model_link *world_link(const struct node *h);
const struct netmap_host *world_listed(const struct world *w, unsigned a, unsigned b);
bool world_lists_present_address(const struct world *w, unsigned a, unsigned b);

int world_number(const struct world *w, const struct wg_key *key); /* -1: nobody */

int64_t host_now_ms(const struct node *h);
void host_start(struct node *h);
void host_stop(struct node *h, bool crash);
void host_kick(struct node *h);
/* Its daemon does something from here to there. False: it does something else, or is down. */
bool host_begin(struct node *h);
void host_end(struct node *h);
void host_event(struct node *h, unsigned events);
/* 1: done, and so on: see engine_command. */
int host_command(struct node *h, enum engine_command command, unsigned other);
