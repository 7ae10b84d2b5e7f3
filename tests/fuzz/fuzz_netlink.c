/* tests/fuzz/fuzz_netlink.c - any bytes as what the kernel sent: replies, WireGuard dumps, events. */
/* covers: netlink/nl_reply.c netlink/wg_parse.c netlink/monitor_filter.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/addr.h"
#include "netlink/monitor_filter.h"
#include "netlink/nl_reply.h"
#include "netlink/wg_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_device(const struct wg_device_status *device, void *user)
{
	return device->listen_port == 0xdead;
}

static int on_peer(const struct wg_peer_status *peer, void *user)
{
	char text[PREFIX_STRLEN], endpoint[ENDPOINT_STRLEN];

	assert(peer->n_allowed <= WG_ALLOWED_MAX);
	for (size_t i = 0; i < peer->n_allowed; i++)
		prefix_format(&peer->allowed[i], text);
	endpoint_format(&peer->endpoint, endpoint);
	return 0;
}

static int on_message(const struct nlmsghdr *nlh, void *user)
{
	return wg_parse_message(user, nlh);
}

/* The first byte says what kind of answer is expected, the rest is what came. */
static void replies(uint8_t kind, const void *bytes, size_t len)
{
	struct wg_parse parse = { .device_fn = on_device, .peer_fn = on_peer };
	int results[4] = { 0 };
	struct nl_reply reply = {
		.first_seq = 1,
		.n = kind & 3,
		.last = (kind & 3) ? (kind & 3u) - 1 : 0,
		.dump = kind & 4,
		.transaction = kind & 8,
		.fn = on_message,
		.user = &parse,
		.results = kind & 16 ? results : NULL,
	};

	reply.n += !reply.n;
	if (nl_reply_take(&reply, bytes, len) == 0)
		nl_reply_take(&reply, bytes, len);
	assert(memchr(reply.text, '\0', sizeof(reply.text)));
	wg_parse_end(&parse);
	wg_parse_clear(&parse);
}

static void events(const void *bytes, size_t len)
{
	const struct monitor_filter filter = { .ifindex = 7, .name = "wt0", .table = 51820 };
	const struct nlmsghdr *nlh = bytes;
	uint32_t pid;

	/* A receive is walked with the length of the datagram at hand, as here. */
	while (len >= sizeof(*nlh) && nlh->nlmsg_len >= sizeof(*nlh) && nlh->nlmsg_len <= len) {
		size_t step = NLMSG_ALIGN(nlh->nlmsg_len);

		monitor_filter_route(&filter, nlh, &pid);
		monitor_filter_nft(1, nlh, &pid);
		if (step >= len)
			break;
		len -= step;
		nlh = (const struct nlmsghdr *)((const char *)nlh + step);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy;

	if (size < 1)
		return 0;
	copy = malloc(size); /* aligned as a receive buffer is, and no byte longer */
	memcpy(copy, data + 1, size - 1);
	if (data[0] & 32)
		events(copy, size - 1);
	else
		replies(data[0], copy, size - 1);
	free(copy);
	return 0;
}
