/* agent/state.h - what must survive a restart, in one directory that one daemon at a time holds. */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/key.h"

struct engine_memory;
struct engine_psk_memory;
struct state;

/* Makes the directory (0700) when it is missing, locks it. -EBUSY: another daemon holds it,
 * *ret_holder is its process id (0: unknown). -EPERM: the directory is not ours, or others may write in
 * it. */
int state_open(const char *dir, struct state **ret, pid_t *ret_holder);
void state_close(struct state *state);
const char *state_dir(const struct state *state);
/* The last component of the directory: names this instance in the interface's alias. */
const char *state_instance(const struct state *state);

/* `lapwing down` was the last word. A value that cannot be written holds until the next start. */
bool state_is_down(const struct state *state);
int state_set_down(struct state *state, bool down);

/* The interface and the routing table (0: none) that we use or are about to. Written before. */
const char *state_interface(const struct state *state);
uint32_t state_table(const struct state *state);
int state_set_interface(struct state *state, const char *name, uint32_t table);

/* The interface's MTU, as somebody measured it; 0: nobody has. */
uint32_t state_mtu(const struct state *state);
int state_set_mtu(struct state *state, uint32_t mtu);

/* The keys of the peers that we install; written before they are. A file that is damaged is moved
 * aside (.corrupt) and reads as empty; one that cannot be read is an error. Free with g_free. */
int state_load_peers(struct state *state, struct wg_key **ret, size_t *ret_n);
int state_save_peers(struct state *state, const struct wg_key *keys, size_t n);

/* What is remembered of peers, in the same way; "memory" holds only those of which there is something. */
int state_load_memory(struct state *state, struct engine_memory **ret, size_t *ret_n);
int state_save_memory(struct state *state, const struct engine_memory *memory, size_t n);

/* Pre-shared keys that were given on this host, and which were set last; wipe what was loaded. */
int state_load_psks(struct state *state, struct engine_psk_memory **ret, size_t *ret_n);
int state_save_psks(struct state *state, const struct engine_psk_memory *psks, size_t n);
