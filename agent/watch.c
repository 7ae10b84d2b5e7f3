/* agent/watch.c - inotify on the directory of a file.
 *
 * The file itself cannot be watched: whoever writes carefully puts a new one in its place. */
#include "agent/watch.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/base/backoff.h"

enum {
	RETRY_FIRST_MS = 1000,
	RETRY_MAX_MS = 60 * 1000,
	FILE_EVENTS = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE,
	DIR_GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT,
};

struct watch {
	char *dir, *name;
	void (*changed)(void *user);
	void *user;
	int fd, wd; /* wd -1: the directory is not there */
	guint source, retry_source;
	struct backoff retry;
};

static gboolean on_retry(void *data);

static void retry_later(struct watch *w)
{
	if (!w->retry_source)
		w->retry_source = g_timeout_add(
			backoff_next_ms(&w->retry, g_random_int()), on_retry, w);
}

/* Watches the directory, or arranges for another try. Returns whether it is watched. */
static bool add(struct watch *w)
{
	w->wd = inotify_add_watch(w->fd, w->dir, FILE_EVENTS | DIR_GONE | IN_ONLYDIR);
	if (w->wd < 0) {
		retry_later(w);
		return false;
	}
	backoff_reset(&w->retry);
	return true;
}

static gboolean on_retry(void *data)
{
	struct watch *w = data;

	w->retry_source = 0;
	if (add(w))
		w->changed(w->user);
	return G_SOURCE_REMOVE;
}

/* A directory that was moved away is still watched under its new name: let go of it. */
static void forget_dir(struct watch *w)
{
	if (w->wd >= 0)
		inotify_rm_watch(w->fd, w->wd);
	w->wd = -1;
}

/* Whether this event may be one of our file; `*gone` when it says that the directory is. */
static bool concerns(const struct watch *w, const struct inotify_event *event, bool *gone)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (event->wd != w->wd)
		return false; /* of a directory that we let go of */
	if (event->mask & DIR_GONE)
		*gone = true;
	return event->mask & FILE_EVENTS && event->len && !strcmp(event->name, w->name);
}

static gboolean on_events(int fd, GIOCondition condition, void *data)
{
	_Alignas(struct inotify_event) char buf[4096];
	struct watch *w = data;
	bool ours = false, gone = false;
	ssize_t n = read(fd, buf, sizeof(buf));

	for (char *at = buf; n > 0 && at < buf + n;) {
		const struct inotify_event *event = (const struct inotify_event *)at;

		ours |= concerns(w, event, &gone);
		at += sizeof(*event) + event->len;
	}
	if (gone) {
		forget_dir(w);
		ours = true;
		add(w);
	}
	if (ours)
		w->changed(w->user);
	return G_SOURCE_CONTINUE;
}

int watch_open(const char *path, void (*changed)(void *user), void *user, struct watch **ret)
{
	struct watch *w;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0)
		return -errno;
	w = g_new0(struct watch, 1);
	w->dir = g_path_get_dirname(path);
	w->name = g_path_get_basename(path);
	w->changed = changed;
	w->user = user;
	w->fd = fd;
	w->retry = (struct backoff){ .first_ms = RETRY_FIRST_MS, .max_ms = RETRY_MAX_MS };
	w->source = g_unix_fd_add(fd, G_IO_IN, on_events, w);
	add(w);
	*ret = w;
	return 0;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	g_source_remove(w->source);
	if (w->retry_source)
		g_source_remove(w->retry_source);
	close(w->fd);
	g_free(w->dir);
	g_free(w->name);
	g_free(w);
}
