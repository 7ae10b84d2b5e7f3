/* netlink/nflog_parse.h - one logged packet; pure, inside of nflog.c. */
#pragma once

#include <linux/netlink.h>

#include "netlink/nflog.h"

/* 0, or -EPROTO: no packet of our rules. */
int nflog_parse(const struct nlmsghdr *nlh, struct nflog_packet *ret);
