/* tests/fuzz/fuzz_nfnetlink.c - any bytes as what nfnetlink sent: logged and queued packets, elements of sets. */
/* covers: netlink/nflog_parse.c netlink/nfqueue_parse.c netlink/nft_elements.c */
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "netlink/nflog_parse.h"
#include "netlink/nfqueue_parse.h"
#include "netlink/nft_elements.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_counter(const struct prefix *first, uint64_t packets, void *user)
{
	char text[PREFIX_STRLEN];

	assert(first->bits == prefix_width(first));
	prefix_format(first, text);
}

static void take(uint8_t kind, const struct nlmsghdr *nlh)
{
	struct nflog_packet packet;
	struct nfqueue_packet queued;
	char text[ENDPOINT_STRLEN];

	if (kind & 4) {
		if (nfqueue_parse(nlh, &queued) == 0 && queued.data)
			assert(queued.data + queued.len <= (const uint8_t *)nlh + nlh->nlmsg_len);
	} else if (kind & 1) {
		nft_elements_parse(nlh, kind & 2 ? AF_INET : AF_INET6, on_counter, NULL);
	} else if (nflog_parse(nlh, &packet) == 0) {
		assert(packet.kind == NFLOG_ANSWER || !packet.from.port);
		endpoint_format(&packet.from, text);
	}
}

/* The first byte says what is expected, the rest is a message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nlmsghdr *copy;

	if (size < 1 + sizeof(*copy))
		return 0;
	copy = malloc(size - 1); /* aligned as a receive buffer is, and no byte longer */
	memcpy(copy, data + 1, size - 1);
	if (copy->nlmsg_len >= sizeof(*copy) && copy->nlmsg_len <= size - 1)
		take(data[0], copy);
	free(copy);
	return 0;
}
