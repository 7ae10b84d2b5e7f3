/* agent/state.c - the state directory: a lock, two facts, the keys of our peers. */
#include "agent/state.h"

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

enum {
	STATE_VERSION = 1,
	STATE_SIZE_MAX = 4096,
	PEERS_VERSION = 1,
	PEERS_MAX = 2 * 1024 * 1024,
	PEERS_MAGIC_LEN = 8,
	PEERS_HEAD = PEERS_MAGIC_LEN + 2 * sizeof(uint32_t), /* magic, version, count */
	PEERS_SUM = 32, /* SHA-256 of all before it */
};

static const char peers_magic[PEERS_MAGIC_LEN] = "lwpeers";

struct facts {
	bool down;
	char interface[IFNAMSIZ];
	uint32_t table;
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

/* Keeps what is damaged for whoever wants to know how it came about. */
static void move_aside(const char *path, const char *why)
{
	g_autofree char *to = g_strconcat(path, ".corrupt", NULL);

	if (rename(path, to) < 0)
		log_warn_errno(-errno, "%s: %s, ignoring it; cannot move it aside", path, why);
	else
		log_warn("%s: %s, moved to %s and ignored", path, why, to);
}

/* The file itself is bad, as opposed to a disk or a process that is. */
static bool is_damage(int r)
{
	return r == -EINVAL || r == -EFBIG || r == -ELOOP || r == -EPERM;
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

static const struct jread_field fields[] = {
	{ "version", read_version, true },
	{ "down", read_down, true },
	{ "interface", read_interface, true },
	{ "table", read_table, false },
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
	if (is_damage(rc))
		return move_aside(path, file_strerror(rc));
	if (rc < 0) {
		log_warn_errno(rc, "cannot read %s, ignoring it", path);
		return;
	}
	jread_init(&r, text, len);
	jread_object(&r, fields, G_N_ELEMENTS(fields), &facts);
	if (jread_finish(&r))
		return move_aside(path, r.message);
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

/* -- peers ------------------------------------------------------------------------------------ */

static void put_u32(char *at, uint32_t value)
{
	value = GUINT32_TO_LE(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get_u32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return GUINT32_FROM_LE(value);
}

static void sum(const char *data, size_t len, char ret[static PEERS_SUM])
{
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize n = PEERS_SUM;

	g_checksum_update(checksum, (const guchar *)data, (gssize)len);
	g_checksum_get_digest(checksum, (guint8 *)ret, &n);
}

/* What is wrong with the file, or NULL. */
static const char *check_peers(const char *data, size_t len)
{
	char expected[PEERS_SUM];
	size_t n;

	if (len < PEERS_HEAD + PEERS_SUM)
		return "too short";
	if (memcmp(data, peers_magic, PEERS_MAGIC_LEN))
		return "not a list of peers";
	if (get_u32(data + PEERS_MAGIC_LEN) != PEERS_VERSION)
		return "unknown version";
	n = get_u32(data + PEERS_MAGIC_LEN + sizeof(uint32_t));
	if (len != PEERS_HEAD + n * sizeof(struct wg_key) + PEERS_SUM)
		return "wrong length";
	sum(data, len - PEERS_SUM, expected);
	return memcmp(expected, data + len - PEERS_SUM, PEERS_SUM) ? "wrong checksum" : NULL;
}

int state_load_peers(struct state *state, struct wg_key **ret, size_t *ret_n)
{
	g_autofree char *path = path_of(state, "peers"), *data = NULL;
	const char *problem;
	size_t len = 0;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = file_read(
		path, PEERS_HEAD + PEERS_MAX * sizeof(struct wg_key) + PEERS_SUM, &data, &len);
	if (r < 0 && !is_damage(r))
		return r == -ENOENT ? 0 : r;
	problem = r < 0 ? file_strerror(r) : check_peers(data, len);
	if (problem) {
		move_aside(path, problem);
		return 0;
	}
	*ret_n = (len - PEERS_HEAD - PEERS_SUM) / sizeof(struct wg_key);
	*ret = g_memdup2(data + PEERS_HEAD, *ret_n * sizeof(struct wg_key));
	return 0;
}

int state_save_peers(struct state *state, const struct wg_key *keys, size_t n)
{
	g_autofree char *path = path_of(state, "peers"), *data = NULL;
	size_t len = PEERS_HEAD + n * sizeof(*keys);

	if (n > PEERS_MAX)
		return -EFBIG;
	data = g_malloc(len + PEERS_SUM);
	memcpy(data, peers_magic, PEERS_MAGIC_LEN);
	put_u32(data + PEERS_MAGIC_LEN, PEERS_VERSION);
	put_u32(data + PEERS_MAGIC_LEN + sizeof(uint32_t), (uint32_t)n);
	if (n)
		memcpy(data + PEERS_HEAD, keys, n * sizeof(*keys));
	sum(data, len, data + len);
	return file_write(path, data, len + PEERS_SUM, 0600);
}
