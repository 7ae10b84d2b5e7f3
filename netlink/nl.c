/* netlink/nl.c - one netlink socket: sends requests and waits for what belongs to them. */
#include "netlink/nl.h"

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "netlink/attr.h"
#include "netlink/nl_reply.h"

enum { TIMEOUT_S = 5, TRANSACTION_MAX = 1 << 24 };

struct nl {
	struct mnl_socket *socket;
	uint32_t next_seq;
	size_t used; /* how much of buf ever held something */
	char text[NL_TEXT_MAX];
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[NL_RECV_MAX];
};

static void set_options(struct mnl_socket *socket, int protocol)
{
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	int on = 1, size = TRANSACTION_MAX;

	setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	/* Without it dumps are not filtered, which callers check anyway. */
	if (protocol == NETLINK_ROUTE)
		mnl_socket_setsockopt(socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	/* A table is one send, with all of its rules. */
	if (protocol == NETLINK_NETFILTER)
		setsockopt(
			mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

int nl_open(int protocol, struct nl **ret)
{
	struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	int r;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = -errno;
		mnl_socket_close(socket);
		return r;
	}
	set_options(socket, protocol);
	*ret = g_new0(struct nl, 1);
	(*ret)->socket = socket;
	(*ret)->next_seq = 1;
	return 0;
}

void nl_close(struct nl *nl)
{
	if (!nl)
		return;
	nl_wipe(nl);
	mnl_socket_close(nl->socket);
	g_free(nl);
}

void nl_wipe(struct nl *nl)
{
	explicit_bzero(nl->buf, nl->used);
	nl->used = 0;
}

const char *nl_error_text(const struct nl *nl)
{
	return nl->text;
}

/* -- sending and receiving ------------------------------------------------------------------ */

/* Returns the number of bytes, 0 for what others than the kernel sent, or a negative errno. */
static int receive(struct nl *nl, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { nl->buf, sizeof(nl->buf) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = recvmsg(mnl_socket_get_fd(nl->socket), &msg, flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	nl->used = MAX(nl->used, (size_t)n);
	if (msg.msg_flags & MSG_TRUNC)
		return -EMSGSIZE;
	return from.nl_pid ? 0 : (int)n;
}

/* Takes off what is queued, so that a dump that runs ends and the next one is not refused. */
static void drain(struct nl *nl)
{
	int r;

	do
		r = receive(nl, MSG_DONTWAIT);
	while (r >= 0 || r == -ENOBUFS || r == -EMSGSIZE);
}

static int send_all(struct nl *nl, const void *requests, size_t len)
{
	ssize_t n;

	do
		n = mnl_socket_sendto(nl->socket, requests, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The return value tells of transport only. */
static int exchange(struct nl *nl, const void *requests, size_t len, struct nl_reply *reply)
{
	int r;

	nl->text[0] = '\0';
	r = send_all(nl, requests, len);
	if (r < 0)
		return r;
	do {
		r = receive(nl, 0);
		if (r > 0)
			r = nl_reply_take(reply, nl->buf, (size_t)r);
	} while (r == 0);
	if (r < 0) {
		drain(nl);
		return r;
	}
	memcpy(nl->text, reply->text, sizeof(nl->text));
	return 0;
}

static uint32_t take_seqs(struct nl *nl, size_t n)
{
	uint32_t first = nl->next_seq;

	nl->next_seq += (uint32_t)n;
	return first;
}

/* -- requests ------------------------------------------------------------------------------- */

void *nl_begin(struct nl_request *q, uint16_t type, uint16_t flags, size_t header_len)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(q);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	return mnl_nlmsg_put_extra_header(nlh, header_len);
}

int nl_call(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user)
{
	struct nl_reply reply = { .first_seq = take_seqs(nl, 1), .n = 1, .fn = fn, .user = user };
	int r;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	request->nlmsg_seq = reply.first_seq;
	r = exchange(nl, request, request->nlmsg_len, &reply);
	return r < 0 ? r : reply.result;
}

int nl_dump(struct nl *nl, struct nlmsghdr *request, nl_msg_fn fn, void *user)
{
	struct nl_reply reply = {
		.first_seq = take_seqs(nl, 1), .n = 1, .dump = true, .fn = fn, .user = user
	};
	int r;

	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = reply.first_seq;
	r = exchange(nl, request, request->nlmsg_len, &reply);
	if (r < 0 || reply.result)
		return r < 0 ? r : reply.result;
	return reply.interrupted ? -EINTR : 0;
}

/* Numbers the requests and asks for the acknowledgement of request `last`. */
static void stamp(uint8_t *at, size_t n, uint32_t seq, size_t last)
{
	for (size_t i = 0; i < n; i++) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)at;

		nlh->nlmsg_flags |= i == last ? NLM_F_REQUEST | NLM_F_ACK : NLM_F_REQUEST;
		nlh->nlmsg_seq = seq + (uint32_t)i;
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
}

int nl_batch(struct nl *nl, void *requests, size_t len, size_t n, int *results)
{
	struct nl_reply reply = {
		.first_seq = take_seqs(nl, n), .n = n, .last = n - 1, .results = results
	};

	assert(n > 0 && n <= NL_BATCH_MAX);
	memset(results, 0, n * sizeof(*results));
	stamp(requests, n, reply.first_seq, reply.last);
	return exchange(nl, requests, len, &reply);
}

int nl_transaction(struct nl *nl, void *requests, size_t len, size_t n, size_t *ret_failed)
{
	struct nl_reply reply = {
		.first_seq = take_seqs(nl, n), .n = n, .last = n - 2, .transaction = true
	};
	int r;

	assert(n >= 3);
	stamp(requests, n, reply.first_seq, reply.last);
	r = exchange(nl, requests, len, &reply);
	if (r == 0 && reply.result)
		*ret_failed = reply.failed;
	return r < 0 ? r : reply.result;
}

/* -- generic netlink ------------------------------------------------------------------------ */

static int take_family_id(const struct nlmsghdr *nlh, void *user)
{
	const struct nlattr *table[CTRL_ATTR_FAMILY_ID + 1];

	if (attr_sort(attr_walk_message(nlh, GENL_HDRLEN), table, G_N_ELEMENTS(table)) < 0)
		return -EPROTO;
	return attr_copy(table[CTRL_ATTR_FAMILY_ID], user, sizeof(uint16_t)) ? 0 : -EPROTO;
}

int nl_family(struct nl *nl, const char *name, uint16_t *ret)
{
	struct nl_request q;
	struct genlmsghdr *genl = nl_begin(&q, GENL_ID_CTRL, 0, sizeof(*genl));
	uint16_t id = 0;
	int r;

	genl->cmd = CTRL_CMD_GETFAMILY;
	genl->version = 1;
	mnl_attr_put_strz(&q.nlh, CTRL_ATTR_FAMILY_NAME, name);
	r = nl_call(nl, &q.nlh, take_family_id, &id);
	if (r < 0)
		return r;
	if (!id)
		return -EPROTO;
	*ret = id;
	return 0;
}
