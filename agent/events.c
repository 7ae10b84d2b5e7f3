/* agent/events.c - brings the kernel's events to the engine, and never falls silent. */
#include "agent/events.h"

#include <glib-unix.h>

#include "agent/base/backoff.h"
#include "agent/base/log.h"
#include "agent/engine.h"
#include "netlink/monitor.h"

struct events {
	struct engine *engine;
	const struct events_ops *ops;
	void *user;
	struct monitor *monitor; /* NULL: being tried again */
	struct backoff backoff;
	guint route, nft, packets, again; /* sources */
};

void events_refilter(struct events *ev)
{
	struct monitor_filter filter;

	if (!ev->monitor)
		return;
	engine_filter(ev->engine, &filter);
	monitor_set_filter(ev->monitor, &filter);
}

void events_counts(const struct events *ev, uint64_t *ret_seen, uint64_t *ret_passed)
{
	*ret_seen = *ret_passed = 0;
	if (ev->monitor)
		monitor_counts(ev->monitor, ret_seen, ret_passed);
}

static void start_monitor(struct events *ev);

static gboolean monitor_again(gpointer user)
{
	struct events *ev = user;

	ev->again = 0;
	start_monitor(ev);
	return G_SOURCE_REMOVE;
}

static void stop_monitor(struct events *ev)
{
	g_clear_handle_id(&ev->route, g_source_remove);
	g_clear_handle_id(&ev->nft, g_source_remove);
	g_clear_pointer(&ev->monitor, monitor_close);
}

static gboolean on_kernel_event(int fd, GIOCondition condition, gpointer user)
{
	struct events *ev = user;
	unsigned events = monitor_read(ev->monitor, fd);

	if (events & ~(unsigned)MONITOR_ELSEWHERE) {
		engine_kernel_event(ev->engine, events, monitor_last_pid(ev->monitor),
			g_get_monotonic_time() / 1000);
		ev->ops->happened(ev->user);
	}
	if (events & (MONITOR_ELSEWHERE | MONITOR_LOST))
		ev->ops->moved(ev->user);
	if (!(events & MONITOR_DEAD))
		return G_SOURCE_CONTINUE;
	log_warn("lost the kernel's event socket, opening it again");
	stop_monitor(ev); /* removes this source as well */
	start_monitor(ev);
	return G_SOURCE_REMOVE;
}

/* Subscribes first; what happened before is found by looking at everything after. */
static void start_monitor(struct events *ev)
{
	int r = monitor_open(&ev->monitor);

	if (r < 0) {
		uint32_t wait = backoff_next_ms(&ev->backoff, g_random_int());

		log_warn_errno(r, "cannot hear kernel events, trying again in %u ms", wait);
		ev->again = g_timeout_add(wait, monitor_again, ev);
		return;
	}
	backoff_reset(&ev->backoff);
	events_refilter(ev);
	ev->route = g_unix_fd_add(monitor_route_fd(ev->monitor), G_IO_IN, on_kernel_event, ev);
	if (monitor_nft_fd(ev->monitor) >= 0)
		ev->nft = g_unix_fd_add(monitor_nft_fd(ev->monitor), G_IO_IN, on_kernel_event, ev);
	engine_kernel_event(ev->engine, MONITOR_LOST, 0, g_get_monotonic_time() / 1000);
	ev->ops->happened(ev->user);
	ev->ops->moved(ev->user);
}

static gboolean on_packets(int fd, GIOCondition condition, gpointer user)
{
	struct events *ev = user;

	engine_packets(ev->engine, g_get_monotonic_time() / 1000);
	ev->ops->happened(ev->user);
	return G_SOURCE_CONTINUE;
}

struct events *events_new(
	struct engine *engine, int packet_fd, const struct events_ops *ops, void *user)
{
	struct events *ev = g_new0(struct events, 1);

	ev->engine = engine;
	ev->ops = ops;
	ev->user = user;
	ev->backoff = (struct backoff){ .first_ms = 200, .max_ms = 60 * 1000 };
	ev->packets = g_unix_fd_add(packet_fd, G_IO_IN, on_packets, ev);
	start_monitor(ev);
	return ev;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	g_clear_handle_id(&ev->packets, g_source_remove);
	g_clear_handle_id(&ev->again, g_source_remove);
	stop_monitor(ev);
	g_free(ev);
}
