/* ice/binding.c - two sockets, questions that are asked again, and answers. */
#include "ice/binding.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "agent/base/due.h"
#include "ice/stun.h"

enum {
	MESSAGE_MAX = 1500,
	FIRST_PAUSE_MS = 200,
	UFRAG_MAX = 11, /* ours have 8 letters */
	/* Where checks come that fast they are answered in bunches, not with a turn of the loop for each. */
	REST_MS = 20,
	BUNCH_MAX = 64,
};

/* One that has no libnice agent any more; there are many. */
struct session {
	char ufrag[UFRAG_MAX + 1]; /* first: it is its own key */
	struct integrity_key key;
};

struct query {
	struct endpoint server;
	uint8_t id[STUN_ID_LEN];
	bool answered;
};

struct binding {
	const struct binding_ops *ops;
	void *user;
	int fds[2]; /* IPv4 and IPv6; -1: this host has none */
	GSource *source;
	gpointer tags[2];
	int64_t read_us; /* when something was there */
	GHashTable *sessions; /* struct session, by ufrag */
	struct query queries[BINDING_SERVERS_MAX];
	size_t n_queries;
	guint again, pause_ms, waited_ms;
};

/* -- sockets -------------------------------------------------------------------------------- */

/* Room for the address that a packet came to, which the answer has to come from. */
union control {
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

static int open_socket(int family, uint16_t port)
{
	struct endpoint any = { .family = (uint8_t)family, .port = port };
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&any, &sa);
	int on = 1, r, fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (family == AF_INET)
		r = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	else if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
	else
		r = -1;
	if (r < 0 || bind(fd, (const struct sockaddr *)&sa, len) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int socket_for(const struct binding *b, const struct endpoint *e)
{
	return b->fds[e->family == AF_INET6];
}

/* -- asking --------------------------------------------------------------------------------- */

static void send_query(const struct binding *b, const struct query *q)
{
	uint8_t request[STUN_HEADER_LEN];
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&q->server, &sa);

	stun_write_request(q->id, request);
	/* It is tried again anyway. */
	(void)sendto(socket_for(b, &q->server), request, sizeof(request), 0,
		(const struct sockaddr *)&sa, len);
}

static gboolean ask_again(gpointer user)
{
	struct binding *b = user;
	bool waiting = false;

	b->again = 0;
	for (size_t i = 0; i < b->n_queries; i++) {
		if (b->queries[i].answered)
			continue;
		send_query(b, &b->queries[i]);
		waiting = true;
	}
	if (waiting && b->waited_ms < BINDING_LIMIT_MS) {
		b->again = g_timeout_add(b->pause_ms, ask_again, b);
		b->waited_ms += b->pause_ms;
		b->pause_ms *= 2;
	} else {
		b->n_queries = 0;
	}
	return G_SOURCE_REMOVE;
}

void binding_ask(struct binding *b, const struct endpoint *servers, size_t n)
{
	g_clear_handle_id(&b->again, g_source_remove);
	b->n_queries = MIN(n, BINDING_SERVERS_MAX);
	b->pause_ms = FIRST_PAUSE_MS;
	b->waited_ms = 0;
	for (size_t i = 0; i < b->n_queries; i++) {
		b->queries[i] = (struct query){ .server = servers[i] };
		if (getentropy(b->queries[i].id, STUN_ID_LEN) < 0)
			g_error("no random bytes");
	}
	ask_again(b);
}

static void take_answer(
	struct binding *b, const struct stun_message *m, const struct endpoint *from)
{
	for (size_t i = 0; i < b->n_queries; i++) {
		struct query *q = &b->queries[i];

		if (q->answered || !endpoint_is_same(&q->server, from) ||
			memcmp(q->id, m->id, STUN_ID_LEN) != 0)
			continue;
		q->answered = true;
		if (m->class == STUN_SUCCESS && m->mapped.family == from->family && m->mapped.port)
			b->ops->mapped(from, &m->mapped, b->user);
		return;
	}
}

/* -- answering ------------------------------------------------------------------------------ */

/* `control` leads the answer out by the address that was asked. */
static void take_request(struct binding *b, const struct stun_message *m,
	const struct endpoint *from, struct msghdr *msg)
{
	const char *colon = m->username ? memchr(m->username, ':', m->username_len) : NULL;
	uint8_t answer[STUN_ANSWER_MAX];
	char ufrag[UFRAG_MAX + 1] = "";
	const struct session *session;

	if (!colon || colon - m->username > UFRAG_MAX)
		return;
	memcpy(ufrag, m->username, (size_t)(colon - m->username));
	session = g_hash_table_lookup(b->sessions, ufrag);
	if (!session || !stun_is_authentic(m, &session->key))
		return;
	msg->msg_iov->iov_base = answer;
	msg->msg_iov->iov_len = stun_write_success(m, from, &session->key, answer);
	/* What is lost is asked again. */
	(void)sendmsg(socket_for(b, from), msg, 0);
	if (b->ops->checked)
		b->ops->checked(ufrag, from, b->user);
}

void binding_answer(struct binding *b, const char *ufrag, const char *password)
{
	struct session *session = g_new(struct session, 1);

	g_assert(strlen(ufrag) <= UFRAG_MAX);
	g_strlcpy(session->ufrag, ufrag, sizeof(session->ufrag));
	integrity_key_make(password, &session->key);
	g_hash_table_add(b->sessions, session);
}

bool binding_forget(struct binding *b, const char *ufrag)
{
	return g_hash_table_remove(b->sessions, ufrag);
}

/* -- receiving ------------------------------------------------------------------------------ */

/* Returns whether there may be more. With an answer the owner may have closed everything. */
static bool receive_one(struct binding *b, int fd)
{
	uint8_t data[MESSAGE_MAX];
	struct sockaddr_storage sa;
	union control control;
	struct iovec iov = { data, sizeof(data) };
	struct msghdr msg = {
		.msg_name = &sa,
		.msg_namelen = sizeof(sa),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t len = recvmsg(fd, &msg, 0);
	struct stun_message m;
	struct endpoint from;

	if (len < 0)
		return false;
	if (endpoint_from_sockaddr(msg.msg_name, msg.msg_namelen, &from) < 0 ||
		stun_parse(data, (size_t)len, &m) < 0 || m.method != STUN_BINDING)
		return true;
	msg.msg_flags = 0;
	if (m.class == STUN_REQUEST)
		take_request(b, &m, &from, &msg);
	else if (m.class != STUN_INDICATION)
		take_answer(b, &m, &from);
	return b->source != NULL;
}

static void look_again(struct binding *b, bool rests, int64_t now_us)
{
	for (size_t i = 0; i < G_N_ELEMENTS(b->fds); i++)
		if (b->tags[i])
			g_source_modify_unix_fd(b->source, b->tags[i], rests ? 0 : G_IO_IN);
	g_source_set_ready_time(b->source, rests ? now_us + REST_MS * 1000 : -1);
}

/* Who has a whole bunch waiting does not rest: others have their turn, and it goes on. */
static gboolean receive(gpointer user)
{
	struct binding *b = user;
	int64_t now_us = g_get_monotonic_time();
	guint n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(b->fds); i++)
		while (b->fds[i] >= 0 && n < BUNCH_MAX && receive_one(b, b->fds[i]))
			n++;
	if (!b->source)
		return G_SOURCE_REMOVE;
	look_again(b, n && n < BUNCH_MAX && now_us - b->read_us < 2 * REST_MS * 1000, now_us);
	if (n)
		b->read_us = now_us;
	return G_SOURCE_CONTINUE;
}

/* -- life ----------------------------------------------------------------------------------- */

static void session_free(void *data)
{
	struct session *session = data;

	explicit_bzero(&session->key, sizeof(session->key));
	g_free(session);
}

int binding_open(uint16_t port, const struct binding_ops *ops, void *user, struct binding **ret)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct binding *b = g_new0(struct binding, 1);
	int r = 0;

	b->ops = ops;
	b->user = user;
	b->sessions = g_hash_table_new_full(g_str_hash, g_str_equal, session_free, NULL);
	b->fds[0] = b->fds[1] = -1;
	b->source = due_new(receive, b, g_free);
	for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
		b->fds[i] = r = open_socket(families[i], port);
		if (r < 0 && !(i == 1 && r == -EAFNOSUPPORT)) {
			binding_close(b);
			return r;
		}
		if (r >= 0)
			b->tags[i] = g_source_add_unix_fd(b->source, r, G_IO_IN);
	}
	*ret = b;
	return 0;
}

void binding_close(struct binding *b)
{
	if (!b)
		return;
	g_clear_handle_id(&b->again, g_source_remove);
	g_hash_table_unref(b->sessions);
	for (size_t i = 0; i < G_N_ELEMENTS(b->fds); i++) {
		if (b->fds[i] >= 0)
			close(b->fds[i]);
		b->fds[i] = -1;
	}
	due_free(g_steal_pointer(&b->source)); /* and with it b, but for what runs inside of it */
}
