/* netlink/sockdiag.c - UDP sockets through the kernel's socket diagnosis. */
#include "netlink/sockdiag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>

#include "netlink/attr.h"
#include "netlink/nl.h"

struct walk {
	sockdiag_fn fn;
	void *user;
};

/* A socket whose memory the kernel does not tell has dropped nothing that we know of. */
static int take_socket(const struct nlmsghdr *nlh, void *user)
{
	const struct walk *walk = user;
	const struct inet_diag_msg *diag = NLMSG_DATA(nlh);
	const struct nlattr *table[INET_DIAG_SKMEMINFO + 1], *memory;
	struct sockdiag_socket socket = { 0 };

	if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*diag)) ||
		attr_sort(attr_walk_message(nlh, sizeof(*diag)), table, MNL_ARRAY_SIZE(table)) < 0)
		return -EPROTO;
	socket.port = ntohs(diag->id.idiag_sport);
	socket.inode = diag->idiag_inode;
	memory = table[INET_DIAG_SKMEMINFO];
	if (memory && attr_len(memory) >= (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
		memcpy(&socket.drops,
			(const uint8_t *)attr_data(memory) + SK_MEMINFO_DROPS * sizeof(uint32_t),
			sizeof(socket.drops));
	return walk->fn(&socket, walk->user);
}

static int dump(struct nl *nl, uint8_t family, struct walk *walk)
{
	struct nl_request q;
	struct inet_diag_req_v2 *diag = nl_begin(&q, SOCK_DIAG_BY_FAMILY, 0, sizeof(*diag));

	diag->sdiag_family = family;
	diag->sdiag_protocol = IPPROTO_UDP;
	diag->idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1);
	diag->idiag_states = UINT32_MAX;
	return nl_dump(nl, &q.nlh, take_socket, walk);
}

int sockdiag_udp(sockdiag_fn fn, void *user)
{
	struct walk walk = { fn, user };
	struct nl *nl;
	int r = nl_open(NETLINK_SOCK_DIAG, &nl);

	if (r < 0)
		return r;
	r = dump(nl, AF_INET, &walk);
	if (r == 0)
		r = dump(nl, AF_INET6, &walk);
	nl_close(nl);
	return r;
}
