/* ice/binding.c - two sockets, questions that are asked again, and answers. */
#include "ice/binding.h"

#include <errno.h>
#include <glib-unix.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ice/stun.h"

enum { MESSAGE_MAX = 1500, FIRST_PAUSE_MS = 200, UFRAG_MAX = 32 };

struct query {
	struct endpoint server;
	uint8_t id[STUN_ID_LEN];
	bool answered;
};

struct binding {
	const struct binding_ops *ops;
	void *user;
	int fds[2]; /* IPv4 and IPv6; -1: this host has none */
	guint sources[2];
	GHashTable *passwords; /* by ufrag */
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
	const char *password;

	if (!colon || colon - m->username > UFRAG_MAX)
		return;
	memcpy(ufrag, m->username, (size_t)(colon - m->username));
	password = g_hash_table_lookup(b->passwords, ufrag);
	if (!password || !stun_is_authentic(m, password))
		return;
	msg->msg_iov->iov_base = answer;
	msg->msg_iov->iov_len = stun_write_success(m, from, password, answer);
	/* What is lost is asked again. */
	(void)sendmsg(socket_for(b, from), msg, 0);
	if (b->ops->checked)
		b->ops->checked(ufrag, from, b->user);
}

void binding_answer(struct binding *b, const char *ufrag, const char *password)
{
	g_hash_table_replace(b->passwords, g_strdup(ufrag), g_strdup(password));
}

void binding_forget(struct binding *b, const char *ufrag)
{
	g_hash_table_remove(b->passwords, ufrag);
}

/* -- receiving ------------------------------------------------------------------------------ */

/* One packet at a time: with each the owner may close everything. */
static gboolean receive(gint fd, GIOCondition condition, gpointer user)
{
	struct binding *b = user;
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

	if (len < 0 || endpoint_from_sockaddr(msg.msg_name, msg.msg_namelen, &from) < 0 ||
		stun_parse(data, (size_t)len, &m) < 0 || m.method != STUN_BINDING)
		return G_SOURCE_CONTINUE;
	msg.msg_flags = 0;
	if (m.class == STUN_REQUEST)
		take_request(b, &m, &from, &msg);
	else if (m.class != STUN_INDICATION)
		take_answer(b, &m, &from);
	return G_SOURCE_CONTINUE;
}

/* -- life ----------------------------------------------------------------------------------- */

static void free_password(void *password)
{
	explicit_bzero(password, strlen(password));
	g_free(password);
}

int binding_open(uint16_t port, const struct binding_ops *ops, void *user, struct binding **ret)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct binding *b = g_new0(struct binding, 1);
	int r = 0;

	b->ops = ops;
	b->user = user;
	b->passwords = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_password);
	b->fds[0] = b->fds[1] = -1;
	for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
		b->fds[i] = r = open_socket(families[i], port);
		if (r < 0 && !(i == 1 && r == -EAFNOSUPPORT)) {
			binding_close(b);
			return r;
		}
		if (r >= 0)
			b->sources[i] = g_unix_fd_add(r, G_IO_IN, receive, b);
	}
	*ret = b;
	return 0;
}

void binding_close(struct binding *b)
{
	if (!b)
		return;
	g_clear_handle_id(&b->again, g_source_remove);
	for (size_t i = 0; i < G_N_ELEMENTS(b->fds); i++) {
		g_clear_handle_id(&b->sources[i], g_source_remove);
		if (b->fds[i] >= 0)
			close(b->fds[i]);
	}
	g_hash_table_unref(b->passwords);
	g_free(b);
}
