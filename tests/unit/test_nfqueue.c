/* tests/unit/test_nfqueue.c - queued packets out of messages, and in the kernel at hand made shorter on their way. */
#include <errno.h>
#include <glib.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netlink/nfqueue.h"
#include "netlink/nfqueue_parse.h"
#include "netlink/nft.h"
#include "netlink/steer.h"
#include "tests/unit/bytes.h"
#include "tests/unit/live.h"

enum { WG_PORT = 51820, PLAIN = 45000, QUEUED = 45500, FAR = 50000, LEN = 60, CUT = 8, QUEUE = 77 };

static int parse(
	uint16_t type, const uint8_t *payload, size_t len, bool is_part, struct nfqueue_packet *ret)
{
	static struct bytes out;
	const uint8_t head[] = { 0, 0, 0, 5, 8, 0, 1 };
	size_t message;

	out.len = 0;
	message = bytes_message(&out, type, 0, 0);
	bytes_u32(&out, 0);
	bytes_attr(&out, NFQA_PACKET_HDR, head, sizeof(head));
	if (payload)
		bytes_attr(&out, NFQA_PAYLOAD, payload, len);
	if (is_part)
		bytes_attr_u32(&out, NFQA_CAP_LEN, 3000);
	bytes_end(&out, message);
	return nfqueue_parse(bytes_header(&out), ret);
}

static void test_parse(void)
{
	const uint16_t type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET;
	const uint8_t payload[] = { 0x45, 1, 2 };
	struct nfqueue_packet p;

	g_assert_cmpint(parse(type, payload, sizeof(payload), false, &p), ==, 0);
	g_assert_cmpuint(p.id, ==, 5);
	g_assert_true(p.is_whole);
	g_assert_cmpmem(p.data, p.len, payload, sizeof(payload));
	g_assert_cmpint(parse(type, payload, sizeof(payload), true, &p), ==, 0);
	g_assert_false(p.is_whole);
	g_assert_cmpint(parse(type, NULL, 0, false, &p), ==, 0);
	g_assert_false(p.is_whole);
	g_assert_cmpint(parse(type + 1, payload, sizeof(payload), false, &p), ==, -EPROTO);
}

/* -- in the kernel -------------------------------------------------------------------------- */

static int bound(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	g_assert_cmpint(bind(fd, (const struct sockaddr *)&at, sizeof(at)), ==, 0);
	return fd;
}

static void send_request(int fd, const char *ufrag)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons(WG_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint8_t data[LEN] = { 0, 1 };

	data[21] = 6;
	memcpy(data + 24, ufrag, 8);
	g_assert_cmpint(
		sendto(fd, data, LEN, 0, (const struct sockaddr *)&to, sizeof(to)), ==, LEN);
}

/* As packet_cut does it, without looking. Its checksum is none, which IPv4 allows. */
static size_t cut(uint8_t *packet, size_t len, void *user)
{
	++*(guint *)user;
	g_assert_cmpuint(len, ==, 28 + LEN);
	packet[3] = (uint8_t)(len - CUT);
	packet[25] = (uint8_t)(len - CUT - 20);
	packet[26] = packet[27] = 0;
	return len - CUT;
}

static size_t leave(uint8_t *packet, size_t len, void *user)
{
	++*(guint *)user;
	return len;
}

static ssize_t receive(int fd)
{
	struct pollfd p = { fd, POLLIN, 0 };
	uint8_t data[LEN + 1];

	return poll(&p, 1, 1000) == 1 ? recv(fd, data, sizeof(data), 0) : -1;
}

static void check_packets(struct nfqueue *q)
{
	int plain = bound(PLAIN), queued = bound(QUEUED), far = bound(FAR);
	struct pollfd p = { nfqueue_fd(q), POLLIN, 0 };
	guint n = 0;

	send_request(far, "plainpla");
	g_assert_cmpint(receive(plain), ==, LEN);
	send_request(far, "queuedqu");
	g_assert_cmpint(poll(&p, 1, 5000), ==, 1);
	g_assert_cmpint(nfqueue_read(q, cut, &n), ==, 0);
	g_assert_cmpuint(n, ==, 1);
	g_assert_cmpint(receive(queued), ==, LEN - CUT);
	send_request(far, "queuedqu");
	g_assert_cmpint(poll(&p, 1, 5000), ==, 1);
	g_assert_cmpint(nfqueue_read(q, leave, &n), ==, 0);
	g_assert_cmpint(receive(queued), ==, LEN);
	g_assert_cmpuint(n, ==, 2);
	close(plain);
	close(queued);
	close(far);
}

static void test_live(void)
{
	const struct steer_ufrag ufrags[] = { { "plainpla", PLAIN }, { "queuedqu", QUEUED } };
	const struct link_change up = { .up = 1 };
	const struct steer_config config = { "lapwing-wt0-ice", "wt0", WG_PORT, PLAIN, 45999,
		getuid(), 0, QUEUED, QUEUE, ufrags, 2 };
	struct nfqueue *q, *second;
	struct nft *nft = NULL;
	struct nl *nl;

	if (!live_namespace() || nft_open(&nft) < 0 || steer_apply(nft, &config) < 0) {
		g_test_skip("this kernel's nftables lack what steering needs");
		nft_close(nft);
		return;
	}
	g_assert_cmpint(nl_open(NETLINK_ROUTE, &nl), ==, 0);
	g_assert_cmpint(link_set(nl, 1, &up), ==, 0);
	g_assert_cmpint(nfqueue_open(QUEUE, &q), ==, 0);
	g_assert_cmpint(nfqueue_open(QUEUE, &second), ==, -EBUSY);
	check_packets(q);
	nfqueue_close(q);
	nfqueue_close(NULL);
	nl_close(nl);
	nft_close(nft);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nfqueue/parse", test_parse);
	g_test_add_func("/nfqueue/live", test_live);
	return g_test_run();
}
