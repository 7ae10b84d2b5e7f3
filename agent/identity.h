/* agent/identity.h - who this host is: the private key in the state directory, bound to the machine.
 *
 * Beside private.key lies `identity`: the public key, and a hash of the machine id that only the private key
 * can check. A state directory that was copied to another machine, with its image, is told by it: two hosts
 * with one key would take the tunnels from each other. Whoever is told so must not say a word to a server
 * in the name of that key, for it is somebody else's: no login, no logout. */
#pragma once

#include <stdbool.h>

#include "agent/base/key.h"

#define IDENTITY_MACHINE_ID "/etc/machine-id"

enum identity_binding {
	IDENTITY_BOUND, /* the key was made on this machine */
	IDENTITY_UNBOUND, /* it was made without a note: by `lapwing genkey`, or where there was no machine id */
	IDENTITY_UNKNOWN, /* it is bound, but this machine has no id now */
};

/* The key in `state_dir`. 0; -ENOENT: none yet; -EXDEV: it was made on another machine; -EINVAL: there is no
 * key in its file, or the note is damaged; or another negative errno of reading. *ret_binding is set on 0,
 * and may be NULL. */
int identity_load(const char *state_dir, const char *machine_id_path, struct wg_key *ret_private,
	enum identity_binding *ret_binding);
/* A new key, written down. -EEXIST: there is one. */
int identity_create(const char *state_dir, const char *machine_id_path, struct wg_key *ret_private,
	enum identity_binding *ret_binding);
/* This key instead of the one that may be there. IDENTITY_UNBOUND: this machine has no id. */
int identity_adopt(const char *state_dir, const char *machine_id_path,
	const struct wg_key *private_key, enum identity_binding *ret_binding);
/* No key any more; 0 also when there was none. */
int identity_purge(const char *state_dir);

/* Words for people: what went wrong, and for a log what an incomplete binding means (NULL: it is bound).
 * The hint may be NULL. */
const char *identity_strerror(int r, const char **ret_hint);
const char *identity_binding_note(enum identity_binding binding);
