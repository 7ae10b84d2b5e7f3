/* agent/watch.h - tells when a file is written, replaced, made or removed. */
#pragma once

struct watch;

/* Calls `changed` from the loop after each change of the file, and when its directory comes back
 * after it was gone. A directory that does not exist yet is tried again, each 1 to 60 s. One change
 * can be told more than once. `changed` may not close the watch. 0 or -errno (no inotify left). */
int watch_open(const char *path, void (*changed)(void *user), void *user, struct watch **ret);
void watch_close(struct watch *watch); /* NULL is fine */
