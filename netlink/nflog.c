/* netlink/nflog.c - a socket of nfnetlink_log: takes a group, receives what is logged to it. */
#include "netlink/nflog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#include "netlink/nflog_parse.h"

enum {
	QUEUE_BYTES = 4 << 20, /* the kernel takes 4 KiB for a packet, however short */
	BUFFER_BYTES = 8192,
	COPIED_BYTES = 64, /* as the rules have it */
	RECEIVES_MAX = 256,
};

struct nflog {
	struct mnl_socket *socket;
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[BUFFER_BYTES];
};

/* -- taking a group ------------------------------------------------------------------------- */

/* Nobody else's rules are concerned: what is logged by default is left to whom it goes now. */
static int send_request(struct nflog *log, uint16_t group)
{
	const struct nfulnl_msg_config_cmd bind = { NFULNL_CFG_CMD_BIND };
	const struct nfulnl_msg_config_mode mode = { htonl(COPIED_BYTES), NFULNL_COPY_PACKET, 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(log->buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(group);
	mnl_attr_put(nlh, NFULA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(nlh, NFULA_CFG_QTHRESH, htonl(1));
	return mnl_socket_sendto(log->socket, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
}

/* Returns the number of bytes, 0 for what others than the kernel sent, or a negative errno. */
static int receive(struct nflog *log)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { log->buf, sizeof(log->buf) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n;

	do
		n = recvmsg(mnl_socket_get_fd(log->socket), &msg, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return from.nl_pid || msg.msg_flags & MSG_TRUNC ? 0 : (int)n;
}

/* The answer is there as soon as the request is sent. */
static int read_answer(struct nflog *log)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)log->buf;
	const struct nlmsgerr *answer = (const struct nlmsgerr *)(nlh + 1);
	int r;

	do
		r = receive(log);
	while (r >= 0 &&
		(r < (int)(sizeof(*nlh) + sizeof(*answer)) || nlh->nlmsg_type != NLMSG_ERROR));
	return r < 0 ? r : answer->error;
}

static int take_group(struct nflog *log, uint16_t group)
{
	int r = send_request(log, group);

	if (r == 0)
		r = read_answer(log);
	/* The kernel's words for a subsystem that it lacks, and for a group of another socket. */
	return r == -EINVAL ? -EOPNOTSUPP : r == -EPERM ? -EBUSY : r;
}

static void set_options(struct nflog *log)
{
	int fd = mnl_socket_get_fd(log->socket), size = QUEUE_BYTES, on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	mnl_socket_setsockopt(log->socket, NETLINK_NO_ENOBUFS, &on, sizeof(on));
}

int nflog_open(uint16_t group, struct nflog **ret)
{
	struct nflog *log = g_new0(struct nflog, 1);
	int r;

	log->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (!log->socket || mnl_socket_bind(log->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	} else {
		set_options(log);
		r = take_group(log, group);
	}
	if (r < 0) {
		nflog_close(log);
		return r;
	}
	*ret = log;
	return 0;
}

void nflog_close(struct nflog *log)
{
	if (!log)
		return;
	if (log->socket)
		mnl_socket_close(log->socket);
	g_free(log);
}

/* -- what is logged to it ------------------------------------------------------------------- */

int nflog_fd(const struct nflog *log)
{
	return mnl_socket_get_fd(log->socket);
}

static void take_messages(const struct nflog *log, size_t len, nflog_fn fn, void *user)
{
	struct nflog_packet packet;
	size_t at = 0;

	while (len - at >= NLMSG_HDRLEN) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(log->buf + at);

		if (nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len - at)
			return;
		if (nflog_parse(nlh, &packet) == 0)
			fn(&packet, user);
		at = MIN(at + NLMSG_ALIGN(nlh->nlmsg_len), len);
	}
}

int nflog_read(struct nflog *log, nflog_fn fn, void *user)
{
	for (int i = 0; i < RECEIVES_MAX; i++) {
		int r = receive(log);

		if (r < 0)
			return r == -EAGAIN || r == -ENOBUFS ? 0 : r;
		take_messages(log, (size_t)r, fn, user);
	}
	return 0;
}
