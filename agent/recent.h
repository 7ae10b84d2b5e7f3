/* agent/recent.h - the last events, for whoever comes to look afterwards. Bounded in number and bytes. */
#pragma once

#include <glib.h>

enum { RECENT_EVENTS_MAX = 256, RECENT_BYTES_MAX = 64 * 1024 };

struct recent;

struct recent *recent_new(void);
void recent_free(struct recent *r); /* NULL is fine */
/* One JSON object as text; the oldest make room. */
void recent_add(struct recent *r, const char *json);
/* The member "events", oldest first, and how many there were before these. */
void recent_write(const struct recent *r, GString *out);
