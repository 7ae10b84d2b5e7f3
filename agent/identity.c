/* agent/identity.c - who this host is: the private key in the state directory, bound to the machine. */
#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"

enum { NOTE_VERSION = 1, NOTE_SIZE_MAX = 4096, MACHINE_ID_LEN = 32 };

static const char purpose[] = "lapwing machine";

/* The file `identity`. */
struct note {
	struct wg_key public_key;
	struct wg_key machine; /* hash of the machine id; zero: there was none */
};

/* -- the machine ------------------------------------------------------------------------------ */

/* 32 hexadecimal digits. In containers and images that were not started yet there is none, or it is
 * "uninitialized". */
static bool read_machine_id(const char *path, char ret[static MACHINE_ID_LEN])
{
	_auto_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, MACHINE_ID_LEN);
	bool zero = true;

	if (n != MACHINE_ID_LEN)
		return false;
	for (int i = 0; i < MACHINE_ID_LEN; i++) {
		if (!g_ascii_isxdigit(ret[i]))
			return false;
		zero = zero && ret[i] == '0';
	}
	return !zero;
}

/* False: this machine has no id. */
static bool hash_machine(const char *path, const struct wg_key *private_key, struct wg_key *ret)
{
	char id[MACHINE_ID_LEN];

	if (!read_machine_id(path, id))
		return false;
	key_mac(private_key, purpose, id, sizeof(id), ret);
	return true;
}

/* -- the note --------------------------------------------------------------------------------- */

static void read_version(struct jread *r, void *into)
{
	if (jread_int(r, 1, INT32_MAX) != NOTE_VERSION)
		jread_fail(r, "not version %d", NOTE_VERSION);
}

static void read_key(struct jread *r, struct wg_key *into)
{
	struct slice s = jread_string(r);

	if (!r->error && key_parse(s.s, s.len, into) < 0)
		jread_fail(r, "not a key");
}

static void read_public_key(struct jread *r, void *into)
{
	read_key(r, &((struct note *)into)->public_key);
}

static void read_machine(struct jread *r, void *into)
{
	if (jread_peek(r) == 'n')
		jread_skip(r);
	else
		read_key(r, &((struct note *)into)->machine);
}

static const struct jread_field fields[] = {
	{ "version", read_version, true },
	{ "public_key", read_public_key, true },
	{ "machine", read_machine, true },
};

static int load_note(const char *path, struct note *ret)
{
	g_autofree char *text = NULL;
	struct jread reader;
	size_t len;
	int r = file_read(path, NOTE_SIZE_MAX, &text, &len);

	if (r < 0)
		return r;
	*ret = (struct note){ 0 };
	jread_init(&reader, text, len);
	jread_object(&reader, fields, G_N_ELEMENTS(fields), ret);
	return jread_finish(&reader);
}

static int save_note(const char *path, const struct note *note)
{
	g_autoptr(GString) text = g_string_new(NULL);
	char key[KEY_STRLEN];

	jwrite_open(text, NULL, '{');
	jwrite_int(text, "version", NOTE_VERSION);
	jwrite_string(text, "public_key", key_format(&note->public_key, key));
	jwrite_string(text, "machine",
		key_is_zero(&note->machine) ? NULL : key_format(&note->machine, key));
	jwrite_close(text, '}');
	g_string_append_c(text, '\n');
	return file_write(path, text->str, text->len, 0600);
}

/* -- the key ---------------------------------------------------------------------------------- */

static char *key_path(const char *state_dir)
{
	return g_build_filename(state_dir, "private.key", NULL);
}

static char *note_path(const char *state_dir)
{
	return g_build_filename(state_dir, "identity", NULL);
}

/* A note about another key is one that `lapwing genkey` has left behind. */
static int check_note(const struct note *note, const char *machine_id_path,
	const struct wg_key *private_key, enum identity_binding *ret)
{
	struct wg_key public_key, machine;

	key_public_from_private(private_key, &public_key);
	*ret = IDENTITY_UNBOUND;
	if (!key_is_same(&public_key, &note->public_key) || key_is_zero(&note->machine))
		return 0;
	*ret = IDENTITY_UNKNOWN;
	if (!hash_machine(machine_id_path, private_key, &machine))
		return 0;
	*ret = IDENTITY_BOUND;
	return key_is_same(&machine, &note->machine) ? 0 : -EXDEV;
}

int identity_load(const char *state_dir, const char *machine_id_path, struct wg_key *ret_private,
	enum identity_binding *ret_binding)
{
	g_autofree char *path = key_path(state_dir), *beside = note_path(state_dir);
	enum identity_binding binding = IDENTITY_UNBOUND;
	_auto_wipe_ struct wg_key key = { 0 };
	struct note note;
	int r = key_read_file(path, &key);

	if (r < 0)
		return r;
	r = load_note(beside, &note);
	if (r == 0)
		r = check_note(&note, machine_id_path, &key, &binding);
	else if (r == -ENOENT)
		r = 0;
	if (r < 0)
		return r;
	*ret_private = key;
	if (ret_binding)
		*ret_binding = binding;
	return 0;
}

/* The note first: it says nothing about a key that is not there, nor about another one. */
int identity_adopt(const char *state_dir, const char *machine_id_path,
	const struct wg_key *private_key, enum identity_binding *ret_binding)
{
	g_autofree char *path = key_path(state_dir), *beside = note_path(state_dir);
	struct note note = { 0 };
	bool bound;
	int r;

	key_public_from_private(private_key, &note.public_key);
	bound = hash_machine(machine_id_path, private_key, &note.machine);
	r = save_note(beside, &note);
	if (r == 0)
		r = key_write_file(path, private_key);
	if (r < 0)
		return r;
	if (ret_binding)
		*ret_binding = bound ? IDENTITY_BOUND : IDENTITY_UNBOUND;
	return 0;
}

int identity_create(const char *state_dir, const char *machine_id_path, struct wg_key *ret_private,
	enum identity_binding *ret_binding)
{
	g_autofree char *path = key_path(state_dir);
	_auto_wipe_ struct wg_key key = { 0 };
	int r;

	if (access(path, F_OK) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	key_generate_private(&key);
	r = identity_adopt(state_dir, machine_id_path, &key, ret_binding);
	if (r == 0)
		*ret_private = key;
	return r;
}

static int remove_file(const char *path)
{
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

int identity_purge(const char *state_dir)
{
	g_autofree char *path = key_path(state_dir), *beside = note_path(state_dir);
	int r = remove_file(path);

	if (r == 0)
		r = remove_file(beside);
	if (r == 0)
		r = file_sync_parent(path);
	return r == -ENOENT ? 0 : r;
}

/* -- words ------------------------------------------------------------------------------------ */

const char *identity_strerror(int r, const char **ret_hint)
{
	*ret_hint = NULL;
	switch (r) {
	case -ENOENT:
		*ret_hint = "lapwing enroll, or lapwing genkey, makes one";
		return "there is no private key";
	case -EXDEV:
		*ret_hint = "lapwing deregister --purge here, or remove the state directory";
		return "this state directory was made on another machine";
	case -EINVAL:
		return "there is no key in private.key, or the file identity beside it is damaged";
	case -EEXIST:
		return "there is a private key";
	default:
		return file_strerror(r);
	}
}

const char *identity_binding_note(enum identity_binding binding)
{
	switch (binding) {
	case IDENTITY_BOUND:
		return NULL;
	case IDENTITY_UNBOUND:
		return "the private key is not bound to this machine: a copy of it would not be noticed";
	case IDENTITY_UNKNOWN:
		return "this machine has no id: whether the private key was made here is not known";
	}
	return NULL;
}
