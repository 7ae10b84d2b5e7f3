/* agent/tune/tree.h - the files through which a host shows and takes its settings, under a root that is
 * "/" or a made-up host in a folder. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tree;

enum { TREE_PATH_MAX = 512, TREE_VALUE_MAX = 32 * 1024, TREE_FILE_MAX = 16 * 1024 * 1024 };

/* Paths are relative to the root and may be written as from "/". 0 or -errno. */
int tree_open(const char *root, struct tree **ret);
void tree_close(struct tree *t);
const char *tree_root(const struct tree *t);
/* Is it a real host? Only that one has netlink, ioctls, sockets and processes. */
bool tree_is_real(const struct tree *t);
/* The whole file without the white space at its end, as fresh text (g_free). */
int tree_read(const struct tree *t, const char *path, char **ret);
/* A whole number in decimal. -EINVAL: it is none. */
int tree_read_int(const struct tree *t, const char *path, int64_t *ret);
/* Writes into a file that is there, in one write, as the kernel's own files want it. -EINVAL: the path
 * has a "..". On a made-up host a file PATH.refuse makes it fail with the errno in it. */
int tree_write(struct tree *t, const char *path, const char *value);
bool tree_exists(const struct tree *t, const char *path);
/* Names in a folder, without "." and "..", rx-2 before rx-10; free with g_ptr_array_unref. */
int tree_list(const struct tree *t, const char *path, GPtrArray **ret);
/* Paths of files with this suffix in folders, the first of which hide the same name in later ones, by name, as
 * programs of systemd read them. `folders` ends with NULL; free with g_ptr_array_unref. */
GPtrArray *tree_drop_ins(const struct tree *t, const char *const *folders, const char *suffix);
/* The last part of what a symbolic link points to. */
int tree_link(const struct tree *t, const char *path, char *ret, size_t size);
/* Is what lies there mounted read-only? */
bool tree_is_read_only(const struct tree *t, const char *path);
/* How often something was written. */
unsigned tree_writes(const struct tree *t);
