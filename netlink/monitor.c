/* netlink/monitor.c - receives kernel events and keeps those that concern us. */
#include "netlink/monitor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stddef.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/monitor_filter.h"

enum {
	QUEUE_BYTES = 1 << 20,
	BUFFER_BYTES = 32768, /* a link with many virtual functions takes the most */
	RECEIVES_MAX = 256,
};

struct monitor {
	struct mnl_socket *route, *nft; /* nft may be NULL */
	struct monitor_filter filter;
	uint32_t self, last_pid;
	uint64_t seen, passed;
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[BUFFER_BYTES];
};

/* -- sockets -------------------------------------------------------------------------------- */

static int join(struct mnl_socket *socket, const int *groups, size_t n)
{
	int fd = mnl_socket_get_fd(socket), size = QUEUE_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i],
			    sizeof(groups[i])) < 0)
			return -errno;
	return 0;
}

/* Of nftables only the end of a transaction matters; thousands of elements may come before it. */
static void let_through_generations(int fd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			htons(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { G_N_ELEMENTS(code), code };

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int open_socket(int protocol, const int *groups, size_t n, struct mnl_socket **ret)
{
	struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int r;

	if (!socket)
		return -errno;
	r = join(socket, groups, n);
	if (r < 0) {
		mnl_socket_close(socket);
		return r;
	}
	*ret = socket;
	return 0;
}

int monitor_open(struct monitor **ret)
{
	static const int route_groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE };
	static const int nft_groups[] = { NFNLGRP_NFTABLES };
	struct mnl_socket *route;
	struct monitor *m;
	int r = open_socket(NETLINK_ROUTE, route_groups, G_N_ELEMENTS(route_groups), &route);

	if (r < 0)
		return r;
	m = g_new0(struct monitor, 1);
	m->route = route;
	m->self = (uint32_t)getpid();
	open_socket(NETLINK_NETFILTER, nft_groups, G_N_ELEMENTS(nft_groups), &m->nft);
	if (m->nft)
		let_through_generations(mnl_socket_get_fd(m->nft));
	*ret = m;
	return 0;
}

void monitor_close(struct monitor *m)
{
	if (!m)
		return;
	mnl_socket_close(m->route);
	if (m->nft)
		mnl_socket_close(m->nft);
	g_free(m);
}

int monitor_route_fd(const struct monitor *m)
{
	return mnl_socket_get_fd(m->route);
}

int monitor_nft_fd(const struct monitor *m)
{
	return m->nft ? mnl_socket_get_fd(m->nft) : -1;
}

void monitor_set_filter(struct monitor *m, const struct monitor_filter *filter)
{
	m->filter = *filter;
}

void monitor_counts(const struct monitor *m, uint64_t *ret_seen, uint64_t *ret_passed)
{
	*ret_seen = m->seen;
	*ret_passed = m->passed;
}

uint32_t monitor_last_pid(const struct monitor *m)
{
	return m->last_pid == m->self ? 0 : m->last_pid;
}

/* -- events --------------------------------------------------------------------------------- */

static unsigned take_messages(struct monitor *m, bool nft, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)m->buf;
	unsigned events = 0, event;

	for (; len >= NLMSG_HDRLEN && nlh->nlmsg_len >= NLMSG_HDRLEN && nlh->nlmsg_len <= len;
		nlh = NLMSG_NEXT(nlh, len)) {
		m->seen++;
		event = nft ? monitor_filter_nft(m->self, nlh, &m->last_pid)
			    : monitor_filter_route(&m->filter, nlh, &m->last_pid);
		m->passed += event && event != MONITOR_ELSEWHERE;
		events |= event;
	}
	return events;
}

/* Returns whether there may be more. */
static bool receive(struct monitor *m, int fd, unsigned *events)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { m->buf, sizeof(m->buf) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t n = recvmsg(fd, &msg, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0 && errno != EINTR && errno != ENOBUFS) {
		*events |= MONITOR_DEAD;
		return false;
	}
	if ((n < 0 && errno == ENOBUFS) || (n >= 0 && msg.msg_flags & MSG_TRUNC))
		*events |= MONITOR_LOST;
	else if (n > 0 && !from.nl_pid)
		*events |= take_messages(m, fd == monitor_nft_fd(m), (size_t)n);
	return true;
}

unsigned monitor_read(struct monitor *m, int fd)
{
	unsigned events = 0;

	for (int i = 0; i < RECEIVES_MAX && receive(m, fd, &events); i++)
		;
	return events;
}
