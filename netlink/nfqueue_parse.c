/* netlink/nfqueue_parse.c - one queued packet out of its message. */
#include "netlink/nfqueue_parse.h"

#include <arpa/inet.h>
#include <glib.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include "netlink/attr.h"

int nfqueue_parse(const struct nlmsghdr *nlh, struct nfqueue_packet *ret)
{
	const struct nlattr *table[NFQA_CAP_LEN + 1], *payload;
	struct nfqnl_msg_packet_hdr head;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) ||
		nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)) ||
		attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
			G_N_ELEMENTS(table)) < 0 ||
		!attr_copy(table[NFQA_PACKET_HDR], &head, sizeof(head)))
		return -EPROTO;
	payload = table[NFQA_PAYLOAD];
	*ret = (struct nfqueue_packet){
		.id = ntohl(head.packet_id),
		.is_whole = payload && !table[NFQA_CAP_LEN],
		.data = payload ? attr_data(payload) : NULL,
		.len = payload ? attr_len(payload) : 0,
	};
	return 0;
}
