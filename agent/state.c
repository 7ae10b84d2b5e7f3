/* agent/state.c - the state directory: a lock, a few facts, what is ours and what we remember. */
#include "agent/state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/file.h"
#include "agent/base/jread.h"
#include "agent/base/jwrite.h"
#include "agent/base/log.h"
#include "agent/engine.h"
#include "agent/state_records.h"

enum { STATE_VERSION = 1, STATE_SIZE_MAX = 4096 };

struct facts {
	bool down;
	char interface[IFNAMSIZ];
	uint32_t table, mtu;
};

struct state {
	char *dir, *instance;
	int lock_fd;
	struct facts facts;
};

static char *path_of(const struct state *state, const char *name)
{
	return g_build_filename(state->dir, name, NULL);
}

/* -- state.json ------------------------------------------------------------------------------- */

static void read_version(struct jread *r, void *into)
{
	if (jread_int(r, 1, INT32_MAX) != STATE_VERSION)
		jread_fail(r, "not version %d", STATE_VERSION);
}

static void read_down(struct jread *r, void *into)
{
	((struct facts *)into)->down = jread_bool(r);
}

static void read_interface(struct jread *r, void *into)
{
	struct facts *facts = into;
	struct slice s = jread_string(r);

	if (s.len >= sizeof(facts->interface))
		return jread_fail(r, "not an interface name");
	memcpy(facts->interface, s.s, s.len);
}

static void read_table(struct jread *r, void *into)
{
	((struct facts *)into)->table = (uint32_t)jread_int(r, 0, UINT32_MAX);
}

static void read_mtu(struct jread *r, void *into)
{
	((struct facts *)into)->mtu = (uint32_t)jread_int(r, 0, UINT16_MAX);
}

static const struct jread_field fields[] = {
	{ "version", read_version, true },
	{ "down", read_down, true },
	{ "interface", read_interface, true },
	{ "table", read_table, false },
	{ "mtu", read_mtu, false },
};

/* A file that cannot be read counts as none: better a tunnel that should be down than a host that
 * nobody reaches. */
static void load_facts(struct state *state)
{
	g_autofree char *path = path_of(state, "state.json"), *text = NULL;
	struct facts facts = { 0 };
	struct jread r;
	size_t len;
	int rc = file_read(path, STATE_SIZE_MAX, &text, &len);

	if (rc == -ENOENT)
		return;
	if (state_is_damage(rc))
		return state_move_aside(path, file_strerror(rc));
	if (rc < 0) {
		log_warn_errno(rc, "cannot read %s, ignoring it", path);
		return;
	}
	jread_init(&r, text, len);
	jread_object(&r, fields, G_N_ELEMENTS(fields), &facts);
	if (jread_finish(&r))
		return state_move_aside(path, r.message);
	state->facts = facts;
}

static int save_facts(const struct state *state)
{
	g_autofree char *path = path_of(state, "state.json");
	g_autoptr(GString) text = g_string_new(NULL);

	jwrite_open(text, NULL, '{');
	jwrite_int(text, "version", STATE_VERSION);
	jwrite_bool(text, "down", state->facts.down);
	jwrite_string(text, "interface", state->facts.interface);
	jwrite_int(text, "table", state->facts.table);
	jwrite_int(text, "mtu", state->facts.mtu);
	jwrite_close(text, '}');
	g_string_append_c(text, '\n');
	return file_write(path, text->str, text->len, 0600);
}

bool state_is_down(const struct state *state)
{
	return state->facts.down;
}

int state_set_down(struct state *state, bool down)
{
	state->facts.down = down;
	return save_facts(state);
}

const char *state_interface(const struct state *state)
{
	return state->facts.interface;
}

uint32_t state_table(const struct state *state)
{
	return state->facts.table;
}

int state_set_interface(struct state *state, const char *name, uint32_t table)
{
	g_strlcpy(state->facts.interface, name, sizeof(state->facts.interface));
	state->facts.table = table;
	return save_facts(state);
}

uint32_t state_mtu(const struct state *state)
{
	return state->facts.mtu;
}

int state_set_mtu(struct state *state, uint32_t mtu)
{
	state->facts.mtu = mtu;
	return save_facts(state);
}

/* -- the directory ---------------------------------------------------------------------------- */

static int check_dir(const char *dir)
{
	_auto_close_ int fd = -1;
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH) ? -EPERM : 0;
}

/* The pid is for people and for -EBUSY; that the lock is held is what counts. */
static pid_t read_pid(int fd)
{
	char text[16] = "";
	guint64 pid = 0;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0 || !g_ascii_string_to_unsigned(g_strchomp(text), 10, 1, INT32_MAX, &pid, NULL))
		return 0;
	return (pid_t)pid;
}

static void write_pid(int fd)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ssize_t n = ftruncate(fd, 0) < 0 ? -1 : pwrite(fd, text, (size_t)len, 0);

	(void)n;
}

/* Where nothing can be written any more, what is there is locked: at least the directory. */
static int open_lock(const struct state *state)
{
	g_autofree char *path = path_of(state, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EROFS && errno != ENOSPC && errno != EDQUOT))
		return fd;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : open(state->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The kernel drops the lock with its holder, however that ends. */
static int take_lock(struct state *state, pid_t *ret_holder)
{
	state->lock_fd = open_lock(state);
	if (state->lock_fd < 0)
		return -errno;
	if (flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return -errno;
		*ret_holder = read_pid(state->lock_fd);
		return -EBUSY;
	}
	write_pid(state->lock_fd);
	return 0;
}

int state_open(const char *dir, struct state **ret, pid_t *ret_holder)
{
	struct state *state;
	int r;

	r = check_dir(dir);
	if (r < 0)
		return r;
	state = g_new0(struct state, 1);
	state->dir = g_strdup(dir);
	state->instance = g_path_get_basename(dir);
	r = take_lock(state, ret_holder);
	if (r < 0) {
		state_close(state);
		return r;
	}
	load_facts(state);
	*ret = state;
	return 0;
}

void state_close(struct state *state)
{
	if (!state)
		return;
	if (state->lock_fd >= 0)
		close(state->lock_fd);
	g_free(state->dir);
	g_free(state->instance);
	g_free(state);
}

const char *state_dir(const struct state *state)
{
	return state->dir;
}

const char *state_instance(const struct state *state)
{
	return state->instance;
}

/* -- peers and memory ------------------------------------------------------------------------- */

/* One peer in the file "memory". */
struct record {
	struct wg_key key;
	struct state_endpoint at; /* its `more`: flags */
};
static_assert(sizeof(struct record) == 56, "the file's form has no gaps");

enum { RECORD_PINNED = 1 };

static const struct state_records peers_kind = { "lwpeers", 1, sizeof(struct wg_key) };
static const struct state_records memory_kind = { "lwmemo", 1, sizeof(struct record) };
static const struct state_records psks_kind = { "lwpsks", 1, sizeof(struct engine_psk_memory) };
static_assert(sizeof(struct engine_psk_memory) == 128, "the file's form is that of the struct");

int state_load_peers(struct state *state, struct wg_key **ret, size_t *ret_n)
{
	g_autofree char *path = path_of(state, "peers");

	return state_records_load(path, &peers_kind, (uint8_t **)ret, ret_n);
}

int state_save_peers(struct state *state, const struct wg_key *keys, size_t n)
{
	g_autofree char *path = path_of(state, "peers");

	return state_records_save(path, &peers_kind, keys, n);
}

static void encode(const struct engine_memory *from, struct record *ret)
{
	ret->key = from->key;
	state_endpoint_encode(&from->endpoint, &ret->at);
	ret->at.more = from->pinned ? RECORD_PINNED : 0;
}

/* False: no version of ours wrote this. `ret` is all zeros before. */
static bool decode(const struct record *from, struct engine_memory *ret)
{
	if (from->at.more & ~RECORD_PINNED || !state_endpoint_decode(&from->at, &ret->endpoint))
		return false;
	ret->key = from->key;
	ret->pinned = from->at.more & RECORD_PINNED;
	return true;
}

int state_load_memory(struct state *state, struct engine_memory **ret, size_t *ret_n)
{
	g_autofree char *path = path_of(state, "memory");
	g_autofree struct engine_memory *memory = NULL;
	g_autofree struct record *records = NULL;
	size_t n;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = state_records_load(path, &memory_kind, (uint8_t **)&records, &n);
	if (r < 0)
		return r;
	memory = g_new0(struct engine_memory, n);
	for (size_t i = 0; i < n; i++) {
		if (decode(&records[i], &memory[i]))
			continue;
		state_move_aside(path, "a record that makes no sense");
		return 0;
	}
	*ret = g_steal_pointer(&memory);
	*ret_n = n;
	return 0;
}

int state_save_memory(struct state *state, const struct engine_memory *memory, size_t n)
{
	g_autofree char *path = path_of(state, "memory");
	g_autofree struct record *records = NULL;

	if (n > STATE_RECORDS_MAX)
		return -EFBIG;
	records = g_new(struct record, n);
	for (size_t i = 0; i < n; i++)
		encode(&memory[i], &records[i]);
	return state_records_save(path, &memory_kind, records, n);
}

int state_load_psks(struct state *state, struct engine_psk_memory **ret, size_t *ret_n)
{
	g_autofree char *path = path_of(state, "psks");

	return state_records_load(path, &psks_kind, (uint8_t **)ret, ret_n);
}

int state_save_psks(struct state *state, const struct engine_psk_memory *psks, size_t n)
{
	g_autofree char *path = path_of(state, "psks");

	return state_records_save(path, &psks_kind, psks, n);
}
