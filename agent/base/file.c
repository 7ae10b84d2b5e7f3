/* agent/base/file.c - careful reading and atomic writing of small files. */
#include "agent/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/auto.h"

/* The directory of a path, opened, and the name in it. Links on the way there are followed. */
static int open_parent(const char *path, int flags, int *ret_fd, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	g_autofree char *dir = NULL;
	int fd;

	if (slash)
		dir = g_strndup(path, slash == path ? 1 : (size_t)(slash - path));
	fd = open(dir ? dir : ".", flags | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	*ret_name = slash ? slash + 1 : path;
	return 0;
}

/* Whether somebody else could have put this file here, or changed it. */
static int check_trust(const struct stat *dir, const struct stat *file, mode_t forbidden)
{
	if (!S_ISREG(file->st_mode))
		return -EINVAL;
	if (file->st_uid != 0 && file->st_uid != geteuid())
		return -EPERM;
	if (file->st_mode & forbidden)
		return -EPERM;
	if (dir->st_mode & S_IWOTH && !(dir->st_mode & S_ISVTX))
		return -EPERM;
	return 0;
}

static int open_trusted(const char *path, mode_t forbidden, int *ret_fd, size_t *ret_size)
{
	_auto_close_ int dir = -1, fd = -1;
	struct stat dir_stat, file_stat;
	const char *name;
	int r;

	r = open_parent(path, O_PATH, &dir, &name);
	if (r < 0)
		return r;
	/* Non-blocking, so that a FIFO without a writer does not hold us up. */
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENXIO ? -EINVAL : -errno;
	if (fstat(dir, &dir_stat) < 0 || fstat(fd, &file_stat) < 0)
		return -errno;
	r = check_trust(&dir_stat, &file_stat, forbidden);
	if (r < 0)
		return r;
	*ret_size = (size_t)file_stat.st_size;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static void free_wiped(char *data, size_t len)
{
	sodium_memzero(data, len);
	g_free(data);
}

/* By copy and not by realloc: no half of a secret stays behind. */
static char *grow(char *data, size_t len, size_t cap)
{
	char *bigger = g_malloc(cap + 1);

	memcpy(bigger, data, len);
	free_wiped(data, len);
	return bigger;
}

/* `size` is a guess: the file may be growing. One byte more than it, to see the end. */
static int read_all(int fd, size_t size, size_t limit, char **ret, size_t *ret_len)
{
	size_t len = 0, cap = size + 1;
	char *data = g_malloc(cap + 1);
	ssize_t n;

	for (;;) {
		n = read(fd, data + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len > limit)
			break;
		if (len == cap) {
			cap = MIN(2 * cap + 4096, limit + 1);
			data = grow(data, len, cap);
		}
	}
	if (n != 0) {
		int r = n < 0 ? -errno : -EFBIG;

		free_wiped(data, len);
		return r;
	}
	data[len] = '\0';
	*ret = data;
	*ret_len = len;
	return 0;
}

static int read_trusted(
	const char *path, size_t limit, mode_t forbidden, char **ret, size_t *ret_len)
{
	_auto_close_ int fd = -1;
	size_t size;
	int r = open_trusted(path, forbidden, &fd, &size);

	if (r < 0)
		return r;
	if (size > limit)
		return -EFBIG;
	return read_all(fd, size, limit, ret, ret_len);
}

int file_read(const char *path, size_t limit, char **ret, size_t *ret_len)
{
	return read_trusted(path, limit, S_IWGRP | S_IWOTH, ret, ret_len);
}

int file_read_secret(const char *path, size_t limit, char **ret, size_t *ret_len)
{
	return read_trusted(path, limit, S_IWGRP | S_IRWXO, ret, ret_len);
}

const char *file_strerror(int r)
{
	switch (r) {
	case -ELOOP:
		return "it is a symbolic link";
	case -EINVAL:
		return "it is not a regular file";
	case -EFBIG:
		return "it is too large";
	case -EPERM:
		return "unsafe owner or mode: it must belong to root or this user and be writable "
		       "by nobody else, a secret not readable by everybody, and its directory not "
		       "writable by everybody";
	default:
		return g_strerror(-r);
	}
}

void file_explain(int r, const char *path, size_t limit, char *ret, size_t ret_len)
{
	size_t kib = limit / 1024;

	if (r == -EFBIG && kib < 1024)
		g_snprintf(ret, ret_len, "%s: it is larger than %zu KiB", path, kib);
	else if (r == -EFBIG)
		g_snprintf(ret, ret_len, "%s: it is larger than %zu MiB", path, kib / 1024);
	else
		g_snprintf(ret, ret_len, "%s: %s", path, file_strerror(r));
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_temporary(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	_auto_close_ int fd = -1;
	int r;

	/* One may be left over from a crash: in a container the process id is the same each time. */
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, data, len);
	if (r < 0)
		return r;
	/* Not through the umask, and only when the content is there. */
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode)
{
	_auto_close_ int dir = -1;
	g_autofree char *temporary = NULL;
	const char *name;
	int r;

	r = open_parent(path, O_RDONLY, &dir, &name);
	if (r < 0)
		return r;
	temporary = g_strdup_printf("%s.tmp.%d", name, (int)getpid());
	r = write_temporary(dir, temporary, data, len, mode);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir, temporary, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

int file_sync_parent(const char *path)
{
	_auto_close_ int dir = -1;
	const char *name;
	int r = open_parent(path, O_RDONLY, &dir, &name);

	if (r < 0)
		return r;
	return fsync(dir) < 0 ? -errno : 0;
}

int file_make_parent(const char *path, mode_t mode)
{
	g_autofree char *dir = g_path_get_dirname(path), *above = g_path_get_dirname(dir);

	if (g_mkdir_with_parents(above, 0755) < 0)
		return -errno;
	return mkdir(dir, mode) < 0 && errno != EEXIST ? -errno : 0;
}
