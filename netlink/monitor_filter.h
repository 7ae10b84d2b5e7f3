/* netlink/monitor_filter.h - which kernel events concern us; pure, inside of monitor.c, its tests
 * and fuzzers. */
#pragma once

#include <linux/netlink.h>
#include <stdbool.h>

#include "netlink/monitor.h"

/* Both return an event (enum monitor_event) or 0, and never look behind nlmsg_len. *ret_pid is set
 * with an event only, but not with MONITOR_ELSEWHERE: who caused it, 0 when the kernel does not tell. */
unsigned monitor_filter_route(
	const struct monitor_filter *filter, const struct nlmsghdr *nlh, uint32_t *ret_pid);
/* `self` is this process: its own transactions are no event. */
unsigned monitor_filter_nft(uint32_t self, const struct nlmsghdr *nlh, uint32_t *ret_pid);
