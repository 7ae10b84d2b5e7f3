/* netlink/monitor.h - "look again": kernel events about one interface and our nft table, and about the addresses of
 * this host. */
#pragma once

#include <net/if.h>
#include <stdint.h>

struct monitor;

enum monitor_event {
	MONITOR_LINK = 1, /* our index or our name: made, changed, gone */
	MONITOR_ADDR = 2, /* an address of our interface went away or came */
	MONITOR_ROUTE = 4, /* a route of ours (protocol, interface or table) went away */
	MONITOR_RULE = 8, /* a rule of ours went away */
	MONITOR_NFT = 16, /* somebody else committed an nftables transaction */
	MONITOR_LOST = 32, /* events were lost (ENOBUFS): everything may have changed */
	MONITOR_DEAD = 64, /* the socket failed: open a new one, then look at everything */
	/* Addresses of other interfaces came or went, or these went up or down, or the main table has another
	 * default route. */
	MONITOR_ELSEWHERE = 128,
};

/* What to watch for; compared per event before anything else is done. */
struct monitor_filter {
	unsigned ifindex; /* 0: none yet */
	char name[IFNAMSIZ];
	uint32_t table; /* our own routing table; 0: none */
};

/* Two non-blocking sockets (routing, nftables). The nftables one is optional: without it
 * monitor_nft_fd is -1. The subscription holds when monitor_open returns: read state after it. */
int monitor_open(struct monitor **ret);
void monitor_close(struct monitor *m);
void monitor_set_filter(struct monitor *m, const struct monitor_filter *filter);
int monitor_route_fd(const struct monitor *m);
int monitor_nft_fd(const struct monitor *m);

/* Takes what is there (bounded work per call; call again while the descriptor is readable) and
 * returns the events as a set of bits, 0 when none concerned us. */
unsigned monitor_read(struct monitor *m, int fd);

/* Counts of messages seen and of those that passed the filter, but for MONITOR_ELSEWHERE, for status. */
void monitor_counts(const struct monitor *m, uint64_t *ret_seen, uint64_t *ret_passed);

/* The process that caused the last event that was counted so, where the kernel tells: its id, else 0, also
 * for this process. A hint: routing events have the netlink port, mostly the same as the id. */
uint32_t monitor_last_pid(const struct monitor *m);
