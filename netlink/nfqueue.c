/* netlink/nfqueue.c - a socket of nfnetlink_queue: takes a queue, and lets its packets go on. */
#include "netlink/nfqueue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <string.h>

#include "netlink/nfnl.h"
#include "netlink/nfqueue_parse.h"

enum { PACKET_MAX = 2048, VERDICT_MAX = PACKET_MAX + 128 }; /* longer ones go on as they are */

struct nfqueue {
	struct nfnl socket;
	uint16_t number;
};

static int take_queue(struct nfqueue *q)
{
	const struct nfqnl_msg_config_cmd bind = { .command = NFQNL_CFG_CMD_BIND };
	const struct nfqnl_msg_config_params params = { htonl(PACKET_MAX), NFQNL_COPY_PACKET };
	struct nlmsghdr *nlh = nfnl_begin(
		q->socket.buf, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_ACK, q->number);
	int r;

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_FAIL_OPEN));
	r = nfnl_send(&q->socket, nlh);
	/* The kernel's words for a subsystem that it lacks, and for a queue of another socket. */
	return r == -EINVAL ? -EOPNOTSUPP : r == -EPERM ? -EBUSY : r;
}

int nfqueue_open(uint16_t queue, struct nfqueue **ret)
{
	struct nfqueue *q = g_new0(struct nfqueue, 1);
	int r;

	q->number = queue;
	r = nfnl_open(&q->socket);
	if (r == 0)
		r = take_queue(q);
	if (r < 0) {
		nfqueue_close(q);
		return r;
	}
	*ret = q;
	return 0;
}

void nfqueue_close(struct nfqueue *q)
{
	if (!q)
		return;
	nfnl_close(&q->socket);
	g_free(q);
}

int nfqueue_fd(const struct nfqueue *q)
{
	return mnl_socket_get_fd(q->socket.socket);
}

/* -- packets -------------------------------------------------------------------------------- */

/* `data`: what it is from now on; NULL: as it was. A packet whose verdict gets lost stays in the queue until that is
 * closed, which costs a packet. */
static void let_go(struct nfqueue *q, uint32_t id, const uint8_t *data, size_t len)
{
	const struct nfqnl_msg_verdict_hdr verdict = { htonl(NF_ACCEPT), htonl(id) };
	_Alignas(NLMSG_ALIGNTO) uint8_t buf[VERDICT_MAX];
	struct nlmsghdr *nlh = nfnl_begin(
		buf, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, 0, q->number);

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(verdict), &verdict);
	if (data)
		mnl_attr_put(nlh, NFQA_PAYLOAD, len, data);
	(void)nfnl_send(&q->socket, nlh);
}

struct reading {
	struct nfqueue *q;
	nfqueue_fn fn;
	void *user;
};

static void take_message(const struct nlmsghdr *nlh, void *user)
{
	const struct reading *reading = user;
	struct nfqueue_packet packet;
	uint8_t copy[PACKET_MAX];
	size_t len;

	if (nfqueue_parse(nlh, &packet) < 0)
		return;
	if (!packet.is_whole || packet.len > sizeof(copy)) {
		let_go(reading->q, packet.id, NULL, 0);
		return;
	}
	memcpy(copy, packet.data, packet.len);
	len = reading->fn(copy, packet.len, reading->user);
	let_go(reading->q, packet.id, len == packet.len ? NULL : copy, len);
}

int nfqueue_read(struct nfqueue *q, nfqueue_fn fn, void *user)
{
	struct reading reading = { q, fn, user };

	return nfnl_read(&q->socket, take_message, &reading);
}
