/* agent/base/key.h - WireGuard keys: text form, generation, wiping. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wg_key {
	uint8_t b[32];
};

enum { KEY_TEXT_LEN = 44, KEY_STRLEN = KEY_TEXT_LEN + 1 };

/* 0 or -EINVAL: not exactly 32 bytes of canonical base64. Constant time in the content. */
int key_parse(const char *text, size_t len, struct wg_key *ret);
const char *key_format(const struct wg_key *key, char buf[static KEY_STRLEN]);

void key_generate_private(struct wg_key *ret);
void key_public_from_private(const struct wg_key *private_key, struct wg_key *ret);
bool key_is_zero(const struct wg_key *key); /* constant time */
bool key_is_same(const struct wg_key *a, const struct wg_key *b); /* constant time */
void key_wipe(struct wg_key *key);
/* For hash tables that have public keys as keys: as GHashFunc and GEqualFunc want them. */
unsigned key_hash(const void *key);
int key_equal(const void *a, const void *b);
/* A hash of some bytes that nobody can make, or check, without the key. `purpose` (a literal) keeps what is
 * hashed for different ends apart. */
void key_mac(const struct wg_key *key, const char *purpose, const void *data, size_t len,
	struct wg_key *ret);

/* Reads one base64 key (white space around it allowed) from a file that only its owner, root or a
 * group may read and only root or its owner may write (file_read rules plus: not world readable).
 * 0, -EINVAL (no key in it), -EPERM (rules broken), or the error of opening. */
int key_read_file(const char *path, struct wg_key *ret);

/* Only for its owner; atomic like file_write. 0 or -errno. */
int key_write_file(const char *path, const struct wg_key *key);
