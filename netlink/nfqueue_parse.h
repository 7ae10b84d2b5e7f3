/* netlink/nfqueue_parse.h - one queued packet; pure, inside of nfqueue.c. */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nfqueue_packet {
	uint32_t id;
	bool is_whole;
	const uint8_t *data; /* inside of the message */
	size_t len;
};

/* 0, or -EPROTO: no queued packet. */
int nfqueue_parse(const struct nlmsghdr *nlh, struct nfqueue_packet *ret);
