/* agent/recent.c - the last events. */
#include "agent/recent.h"

#include <string.h>

#include "agent/base/jwrite.h"

struct recent {
	GQueue events; /* char *, oldest first */
	size_t bytes;
	uint64_t dropped;
};

struct recent *recent_new(void)
{
	struct recent *r = g_new0(struct recent, 1);

	g_queue_init(&r->events);
	return r;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	g_queue_clear_full(&r->events, g_free);
	g_free(r);
}

void recent_add(struct recent *r, const char *json)
{
	size_t len = strlen(json);

	if (len > RECENT_BYTES_MAX) {
		r->dropped++;
		return;
	}
	while (r->events.length &&
		(r->events.length == RECENT_EVENTS_MAX || r->bytes + len > RECENT_BYTES_MAX)) {
		char *oldest = g_queue_pop_head(&r->events);

		r->bytes -= strlen(oldest);
		r->dropped++;
		g_free(oldest);
	}
	r->bytes += len;
	g_queue_push_tail(&r->events, g_strdup(json));
}

void recent_write(const struct recent *r, GString *out)
{
	jwrite_open(out, "events", '[');
	for (const GList *event = r->events.head; event; event = event->next)
		jwrite_raw(out, NULL, event->data);
	jwrite_close(out, ']');
	jwrite_int(out, "dropped", (int64_t)r->dropped);
}
