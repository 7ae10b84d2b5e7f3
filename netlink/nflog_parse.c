/* netlink/nflog_parse.c - who sent a packet that was logged: reads its first bytes. */
#include "netlink/nflog_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>

#include "netlink/attr.h"

enum { V4_HEADER = 20, V6_HEADER = 40 };

struct packet {
	const uint8_t *at;
	size_t len;
};

/* Sets family and address. Returns the length of the header and its protocol; 0: no such header. */
static size_t take_v4(struct packet p, struct endpoint *ret, uint8_t *ret_protocol)
{
	size_t len = 4 * (p.at[0] & 15u);

	if (p.len < V4_HEADER || len < V4_HEADER)
		return 0;
	ret->family = AF_INET;
	memcpy(ret->addr, p.at + 12, 4);
	*ret_protocol = p.at[9];
	return len;
}

static size_t take_v6(struct packet p, struct endpoint *ret, uint8_t *ret_protocol)
{
	if (p.len < V6_HEADER)
		return 0;
	ret->family = AF_INET6;
	memcpy(ret->addr, p.at + 8, 16);
	*ret_protocol = p.at[6];
	return V6_HEADER;
}

static int take_sender(struct packet p, bool with_port, struct endpoint *ret)
{
	uint8_t protocol = 0;
	size_t len = 0;

	if (p.len && p.at[0] >> 4 == 4)
		len = take_v4(p, ret, &protocol);
	else if (p.len && p.at[0] >> 4 == 6)
		len = take_v6(p, ret, &protocol);
	if (!len)
		return -EPROTO;
	if (!with_port)
		return 0;
	if (protocol != IPPROTO_UDP || p.len < len + sizeof(ret->port))
		return -EPROTO;
	ret->port = (uint16_t)(p.at[len] << 8 | p.at[len + 1]);
	return 0;
}

static bool is_link_local(const struct endpoint *e)
{
	return e->family == AF_INET6 && e->addr[0] == 0xfe && (e->addr[1] & 0xc0) == 0x80;
}

int nflog_parse(const struct nlmsghdr *nlh, struct nflog_packet *ret)
{
	const struct nlattr *table[NFULA_PREFIX + 1], *payload;
	struct nflog_packet packet = { .kind = NFLOG_INNER };
	char prefix[8];
	int r;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
		attr_sort(attr_walk_message(nlh, sizeof(struct nfgenmsg)), table,
			G_N_ELEMENTS(table)) < 0 ||
		!(payload = table[NFULA_PAYLOAD]))
		return -EPROTO;
	attr_text(table[NFULA_PREFIX], prefix, sizeof(prefix));
	if (!strcmp(prefix, "answer"))
		packet.kind = NFLOG_ANSWER;
	else if (strcmp(prefix, "inner") != 0)
		return -EPROTO;
	r = take_sender((struct packet){ attr_data(payload), attr_len(payload) },
		packet.kind == NFLOG_ANSWER, &packet.from);
	if (r < 0)
		return r;
	if (is_link_local(&packet.from)) {
		attr_copy(table[NFULA_IFINDEX_INDEV], &packet.from.scope, sizeof(uint32_t));
		packet.from.scope = ntohl(packet.from.scope);
	}
	*ret = packet;
	return 0;
}
