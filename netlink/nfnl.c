/* netlink/nfnl.c - a socket of nfnetlink for what the kernel hands out by itself. */
#include "netlink/nfnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

enum {
	QUEUE_BYTES = 4 << 20, /* the kernel takes 4 KiB for a packet, however short */
	RECEIVES_MAX = 256,
};

static void set_options(struct nfnl *s)
{
	int fd = mnl_socket_get_fd(s->socket), size = QUEUE_BYTES, on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	mnl_socket_setsockopt(s->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
}

int nfnl_open(struct nfnl *s)
{
	s->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!s->socket || mnl_socket_bind(s->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	set_options(s);
	return 0;
}

void nfnl_close(struct nfnl *s)
{
	if (s->socket)
		mnl_socket_close(s->socket);
	s->socket = NULL;
}

/* -- requests ------------------------------------------------------------------------------- */

struct nlmsghdr *nfnl_begin(uint8_t *buf, uint16_t type, uint16_t flags, uint16_t number)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(number);
	return nlh;
}

/* Returns the number of bytes, 0 for what others than the kernel sent, or a negative errno. */
static int receive(struct nfnl *s)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { s->buf, sizeof(s->buf) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = recvmsg(mnl_socket_get_fd(s->socket), &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return from.nl_pid || msg.msg_flags & MSG_TRUNC ? 0 : (int)n;
}

/* The answer is there as soon as the request is sent. */
static int read_answer(struct nfnl *s)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)s->buf;
	const struct nlmsgerr *answer = (const struct nlmsgerr *)(nlh + 1);
	int r;

	do
		r = receive(s);
	while (r >= 0 &&
		(r < (int)(sizeof(*nlh) + sizeof(*answer)) || nlh->nlmsg_type != NLMSG_ERROR));
	return r < 0 ? r : answer->error;
}

int nfnl_send(struct nfnl *s, const struct nlmsghdr *nlh)
{
	bool answered = nlh->nlmsg_flags & NLM_F_ACK;

	if (mnl_socket_sendto(s->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	return answered ? read_answer(s) : 0;
}

/* -- what comes ----------------------------------------------------------------------------- */

static void take_messages(const struct nfnl *s, size_t len, nfnl_fn fn, void *user)
{
	size_t at = 0;

	while (len - at >= NLMSG_HDRLEN) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(s->buf + at);

		if (nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len - at)
			return;
		fn(nlh, user);
		at = MIN(at + NLMSG_ALIGN(nlh->nlmsg_len), len);
	}
}

int nfnl_read(struct nfnl *s, nfnl_fn fn, void *user)
{
	for (int i = 0; i < RECEIVES_MAX; i++) {
		int r = receive(s);

		if (r < 0)
			return r == -EAGAIN || r == -ENOBUFS ? 0 : r;
		take_messages(s, (size_t)r, fn, user);
	}
	return 0;
}
