/* mgmt/uniq.h - have these bytes been seen before? For validating long lists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct uniq;

struct uniq *uniq_new(void);
void uniq_free(struct uniq *u);

/* Remembers the bytes (by a keyed 62-bit hash) with a tag of 0 to 3. False: they are there already;
 * their tag stays. */
bool uniq_add(struct uniq *u, const void *data, size_t len, unsigned tag);
/* The tag they were added with; they must be there. */
unsigned uniq_tag(const struct uniq *u, const void *data, size_t len);
