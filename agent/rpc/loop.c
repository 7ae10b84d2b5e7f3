/* agent/rpc/loop.c - curl's sockets and its timer as one GSource. */
#include "agent/rpc/loop.h"

#include <glib-unix.h>
#include <stdbool.h>

/* Happy eyeballs: two attempts at a time, and one that is being replaced. */
enum { SOCKETS_MAX = 8 };

struct loop {
	GSource source; /* GLib owns the memory */
	CURLM *multi;
	CURL *easy;
	struct {
		curl_socket_t fd;
		gpointer tag; /* NULL: free */
	} sockets[SOCKETS_MAX];
	void (*finished)(CURLcode result, void *user);
	void *user;
};

static GIOCondition condition(int what)
{
	GIOCondition events = G_IO_HUP | G_IO_ERR;

	if (what & CURL_POLL_IN)
		events |= G_IO_IN;
	if (what & CURL_POLL_OUT)
		events |= G_IO_OUT;
	return events;
}

/* Where a descriptor is, or may be, in the table; -1: it is full. */
static int place_of(const struct loop *loop, curl_socket_t fd)
{
	int place = -1;

	for (int i = 0; i < SOCKETS_MAX; i++) {
		if (loop->sockets[i].tag && loop->sockets[i].fd == fd)
			return i;
		if (!loop->sockets[i].tag && place < 0)
			place = i;
	}
	return place;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *unused)
{
	struct loop *loop = user;
	int i = place_of(loop, fd);

	if (i < 0)
		return -1;
	if (loop->sockets[i].tag && what == CURL_POLL_REMOVE) {
		g_source_remove_unix_fd(&loop->source, loop->sockets[i].tag);
		loop->sockets[i].tag = NULL;
	} else if (loop->sockets[i].tag) {
		g_source_modify_unix_fd(&loop->source, loop->sockets[i].tag, condition(what));
	} else if (what != CURL_POLL_REMOVE) {
		loop->sockets[i].fd = fd;
		loop->sockets[i].tag = g_source_add_unix_fd(&loop->source, fd, condition(what));
	}
	return 0;
}

/* Must not call curl: the time 0 comes from inside of it. */
static int set_timer(CURLM *multi, long timeout_ms, void *user)
{
	struct loop *loop = user;

	g_source_set_ready_time(
		&loop->source, timeout_ms < 0 ? -1 : g_get_monotonic_time() + timeout_ms * 1000);
	return 0;
}

static void act_on_sockets(struct loop *loop)
{
	struct {
		curl_socket_t fd;
		int what;
	} ready[SOCKETS_MAX];
	int running, n = 0;

	/* The table changes below. */
	for (int i = 0; i < SOCKETS_MAX; i++) {
		GIOCondition events = loop->sockets[i].tag
			? g_source_query_unix_fd(&loop->source, loop->sockets[i].tag)
			: 0;
		int what = (events & G_IO_IN ? CURL_CSELECT_IN : 0) |
			(events & G_IO_OUT ? CURL_CSELECT_OUT : 0) |
			(events & (G_IO_HUP | G_IO_ERR) ? CURL_CSELECT_ERR : 0);

		if (what) {
			ready[n].fd = loop->sockets[i].fd;
			ready[n++].what = what;
		}
	}
	for (int i = 0; i < n; i++)
		curl_multi_socket_action(loop->multi, ready[i].fd, ready[i].what, &running);
}

static gboolean dispatch(GSource *source, GSourceFunc unused, gpointer unused_too)
{
	struct loop *loop = (struct loop *)source;
	int64_t due = g_source_get_ready_time(source);
	CURLMsg *message;
	int n;

	if (due >= 0 && g_source_get_time(source) >= due) {
		g_source_set_ready_time(source, -1);
		curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &n);
	}
	act_on_sockets(loop);
	message = curl_multi_info_read(loop->multi, &n);
	if (message && message->msg == CURLMSG_DONE)
		loop->finished(message->data.result, loop->user);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = { .dispatch = dispatch };

struct loop *loop_start(CURL *easy, void (*finished)(CURLcode result, void *user), void *user)
{
	struct loop *loop = (struct loop *)g_source_new(&source_funcs, sizeof(struct loop));

	loop->easy = easy;
	loop->finished = finished;
	loop->user = user;
	loop->multi = curl_multi_init();
	/* Else every dispatch wakes the loop twice over an eventfd. */
	g_source_set_can_recurse(&loop->source, TRUE);
	g_source_attach(&loop->source, NULL);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
	curl_multi_add_handle(loop->multi, easy);
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	/* Descriptors leave the loop before curl closes them. */
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, NULL);
	curl_multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, NULL);
	g_source_destroy(&loop->source);
	curl_multi_remove_handle(loop->multi, loop->easy);
	curl_multi_cleanup(loop->multi);
	g_source_unref(&loop->source);
}
