/* agent/base/replace.h - several files that are replaced together, or none of them. */
#pragma once

#include <stddef.h>

struct replace;

struct replace *replace_new(void);
/* Removes what was prepared and not put in place. NULL is fine. */
void replace_free(struct replace *r);

/* Writes the new content beside the file, to the disk. It gets the mode and the owner of the one that is there;
 * where there is none 0644. 0 or -errno; -ELOOP and -EINVAL where that is no regular file. */
int replace_prepare(struct replace *r, const char *path, const void *data, size_t len);
/* Puts them in place in the order in which they were prepared. 0; or -errno, and all are as they were. */
int replace_commit(struct replace *r);
/* After that: what was there before is there again. 0 or the first -errno, having tried all. */
int replace_undo(struct replace *r);
