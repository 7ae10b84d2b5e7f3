/* agent/base/replace.c - several files that are replaced together, or none of them.
 *
 * What was there stays beside it under another name until all is well, so that going back takes no room on the disk. */
#include "agent/base/replace.h"

#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"

struct entry {
	char *path, *fresh, *old;
	bool prepared, existed, placed;
	bool stuck; /* it could not be put back: what was there stays beside it */
};

struct replace {
	GPtrArray *entries;
};

static void entry_free(void *data)
{
	struct entry *e = data;

	if (e->prepared && !e->placed)
		unlink(e->fresh);
	if (!e->stuck)
		unlink(e->old);
	g_free(e->path);
	g_free(e->fresh);
	g_free(e->old);
	g_free(e);
}

struct replace *replace_new(void)
{
	struct replace *r = g_new0(struct replace, 1);

	r->entries = g_ptr_array_new_with_free_func(entry_free);
	return r;
}

void replace_free(struct replace *r)
{
	if (!r)
		return;
	g_ptr_array_unref(r->entries);
	g_free(r);
}

/* A second name for what is there: it stays, whatever is put in its place. */
static int keep_old(struct entry *e, const struct stat *st)
{
	if (S_ISLNK(st->st_mode))
		return -ELOOP;
	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	if (unlink(e->old) < 0 && errno != ENOENT)
		return -errno;
	return link(e->path, e->old) < 0 ? -errno : 0;
}

int replace_prepare(struct replace *r, const char *path, const void *data, size_t len)
{
	struct entry *e = g_new0(struct entry, 1);
	struct stat st = { .st_mode = 0644 };
	int rc;

	e->path = g_strdup(path);
	e->fresh = g_strdup_printf("%s.new.%d", path, (int)getpid());
	e->old = g_strdup_printf("%s.old.%d", path, (int)getpid());
	g_ptr_array_add(r->entries, e);
	e->existed = lstat(path, &st) == 0;
	if (!e->existed && errno != ENOENT)
		return -errno;
	rc = e->existed ? keep_old(e, &st) : 0;
	if (rc == 0)
		rc = file_write(e->fresh, data, len, st.st_mode & 0777);
	if (rc < 0)
		return rc;
	e->prepared = true;
	if (!e->existed || (st.st_uid == geteuid() && st.st_gid == getegid()))
		return 0;
	return lchown(e->fresh, st.st_uid, st.st_gid) < 0 ? -errno : 0;
}

static int put_back(struct entry *e)
{
	int rc = 0;

	if (!e->placed)
		return 0;
	if (e->existed ? rename(e->old, e->path) < 0 : unlink(e->path) < 0)
		rc = -errno;
	else
		rc = file_sync_parent(e->path);
	e->placed = e->stuck = rc < 0;
	e->prepared = false;
	return rc;
}

int replace_undo(struct replace *r)
{
	int first = 0;

	for (guint i = r->entries->len; i > 0; i--) {
		int rc = put_back(g_ptr_array_index(r->entries, i - 1));

		first = first ? first : rc;
	}
	return first;
}

int replace_commit(struct replace *r)
{
	for (guint i = 0; i < r->entries->len; i++) {
		struct entry *e = g_ptr_array_index(r->entries, i);
		int rc = rename(e->fresh, e->path) < 0 ? -errno : 0;

		if (rc == 0) {
			e->placed = true;
			rc = file_sync_parent(e->path);
		}
		if (rc < 0) {
			replace_undo(r);
			return rc;
		}
	}
	return 0;
}
