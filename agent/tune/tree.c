/* agent/tune/tree.c - files under a root. */
#include "agent/tune/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/base/auto.h"

enum { LIST_MAX = 64 * 1024, DROP_INS_MAX = 1024 };

struct tree {
	char *root;
	int fd;
	bool real;
	unsigned writes;
};

int tree_open(const char *root, struct tree **ret)
{
	_auto_close_ int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat ours, real;
	struct tree *t;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &ours) < 0 || stat("/", &real) < 0)
		return -errno;
	t = g_new0(struct tree, 1);
	t->root = g_strdup(root);
	t->fd = fd;
	t->real = ours.st_dev == real.st_dev && ours.st_ino == real.st_ino;
	fd = -1;
	*ret = t;
	return 0;
}

void tree_close(struct tree *t)
{
	if (!t)
		return;
	close(t->fd);
	g_free(t->root);
	g_free(t);
}

const char *tree_root(const struct tree *t)
{
	return t->root;
}

bool tree_is_real(const struct tree *t)
{
	return t->real;
}

unsigned tree_writes(const struct tree *t)
{
	return t->writes;
}

/* -- paths ---------------------------------------------------------------------------------- */

/* The path from the root, or NULL when it is too long. */
static const char *below(const char *path)
{
	path += strspn(path, "/");
	if (strlen(path) >= TREE_PATH_MAX)
		return NULL;
	return *path ? path : ".";
}

static int open_at(const struct tree *t, const char *path, int flags)
{
	const char *name = below(path);
	int fd;

	if (!name)
		return -ENAMETOOLONG;
	/* Without waiting for the other side of a FIFO. */
	fd = openat(t->fd, name, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* What is written to is named in journals too: it stays below the root. */
static bool climbs(const char *path)
{
	g_auto(GStrv) parts = g_strsplit(path, "/", -1);

	return g_strv_contains((const char *const *)parts, "..");
}

bool tree_exists(const struct tree *t, const char *path)
{
	const char *name = below(path);

	return name && faccessat(t->fd, name, F_OK, 0) == 0;
}

bool tree_is_read_only(const struct tree *t, const char *path)
{
	_auto_close_ int fd = open_at(t, path, O_PATH);
	struct statvfs fs;

	return fd >= 0 && fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

int tree_link(const struct tree *t, const char *path, char *ret, size_t size)
{
	const char *name = below(path), *last;
	char target[TREE_PATH_MAX];
	ssize_t n;

	if (!name)
		return -ENAMETOOLONG;
	n = readlinkat(t->fd, name, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	last = strrchr(target, '/');
	if (g_strlcpy(ret, last ? last + 1 : target, size) >= size)
		return -ENAMETOOLONG;
	return 0;
}

/* -- reading -------------------------------------------------------------------------------- */

/* Files of /proc do not say how long they are. */
static int read_all(int fd, GString *text)
{
	size_t len = 0;
	ssize_t n;

	for (;;) {
		g_string_set_size(text, MAX(2 * len, 4096));
		n = read(fd, text->str + len, text->len - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len > TREE_FILE_MAX)
			return -EFBIG;
		if (n == 0)
			break;
	}
	g_string_truncate(text, len);
	return 0;
}

int tree_read(const struct tree *t, const char *path, char **ret)
{
	_auto_close_ int fd = open_at(t, path, O_RDONLY);
	GString *text;
	int r;

	if (fd < 0)
		return fd;
	text = g_string_new(NULL);
	r = read_all(fd, text);
	if (r == 0 && memchr(text->str, '\0', text->len))
		r = -EINVAL;
	if (r < 0) {
		g_string_free(text, TRUE);
		return r;
	}
	*ret = g_strchomp(g_string_free(text, FALSE));
	return 0;
}

int tree_read_int(const struct tree *t, const char *path, int64_t *ret)
{
	g_autofree char *text = NULL;
	int r;

	r = tree_read(t, path, &text);
	if (r < 0)
		return r;
	return g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, ret, NULL) ? 0 : -EINVAL;
}

static int by_number(gconstpointer a, gconstpointer b)
{
	return strverscmp(*(const char *const *)a, *(const char *const *)b);
}

int tree_list(const struct tree *t, const char *path, GPtrArray **ret)
{
	int fd = open_at(t, path, O_RDONLY | O_DIRECTORY);
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir)) && names->len <= LIST_MAX)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			g_ptr_array_add(names, g_strdup(entry->d_name));
	closedir(dir);
	if (names->len > LIST_MAX)
		return -E2BIG;
	g_ptr_array_sort(names, by_number);
	*ret = g_steal_pointer(&names);
	return 0;
}

static int by_basename(gconstpointer a, gconstpointer b)
{
	return strcmp(strrchr(*(const char *const *)a, '/'), strrchr(*(const char *const *)b, '/'));
}

GPtrArray *tree_drop_ins(const struct tree *t, const char *const *folders, const char *suffix)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (; *folders; folders++) {
		g_autoptr(GPtrArray) names = NULL;

		if (tree_list(t, *folders, &names) < 0)
			continue;
		for (unsigned i = 0; i < names->len && paths->len < DROP_INS_MAX; i++) {
			const char *name = names->pdata[i];

			if (g_str_has_suffix(name, suffix) &&
				g_hash_table_add(seen, g_strdup(name)))
				g_ptr_array_add(paths, g_build_filename(*folders, name, NULL));
		}
	}
	g_ptr_array_sort(paths, by_basename);
	return paths;
}

/* -- writing -------------------------------------------------------------------------------- */

/* A made-up host can refuse as a kernel does. */
static int refusal(const struct tree *t, const char *path)
{
	g_autofree char *name = g_strconcat(path, ".refuse", NULL);
	int64_t error;

	return !t->real && tree_read_int(t, name, &error) == 0 ? -(int)error : 0;
}

int tree_write(struct tree *t, const char *path, const char *value)
{
	_auto_close_ int fd = -1;
	size_t len = strlen(value);
	char line[TREE_VALUE_MAX + 1];
	ssize_t n;
	int r;

	if (len >= TREE_VALUE_MAX)
		return -EFBIG;
	if (climbs(path))
		return -EINVAL;
	r = refusal(t, path);
	if (r < 0)
		return r;
	fd = open_at(t, path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return fd;
	memcpy(line, value, len);
	line[len++] = '\n';
	t->writes++;
	n = write(fd, line, len);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}
