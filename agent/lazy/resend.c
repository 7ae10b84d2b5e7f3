/* agent/lazy/resend.c - sends a captured WireGuard packet on, as if WireGuard had sent it there.
 *
 * WireGuard's port is the kernel's, so the headers are our own, on raw sockets of a protocol number
 * for which nothing ever comes in. */
#include "agent/lazy/resend.h"

#include <errno.h>
#include <glib.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	INITIATION = 1,
	INITIATION_TOS = 0x88, /* what WireGuard gives to handshakes, AF41 */
	DATA_MAX = UINT16_MAX - sizeof(struct iphdr) - sizeof(struct udphdr),
};

struct raw {
	int fd;
	uint32_t mark;
};

union ip_head {
	struct iphdr v4;
	struct ip6_hdr v6;
};

struct resend {
	struct raw v4, v6; /* v6: -1 until it is needed */
};

static int open_raw(int family, struct raw *ret)
{
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);

	if (fd < 0)
		return -errno;
	*ret = (struct raw){ .fd = fd };
	return 0;
}

int resend_open(struct resend **ret)
{
	struct resend r = { .v6.fd = -1 };
	int error = open_raw(AF_INET, &r.v4);

	if (error < 0)
		return error;
	*ret = g_memdup2(&r, sizeof(r));
	return 0;
}

void resend_close(struct resend *r)
{
	if (!r)
		return;
	close(r->v4.fd);
	if (r->v6.fd >= 0)
		close(r->v6.fd);
	g_free(r);
}

/* -- headers -------------------------------------------------------------------------------- */

/* In the host's order of bytes; at most 64 KiB, so that nothing overflows. */
static uint32_t add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint16_t word = 0;

	for (; len > 1; p += 2, len -= 2) {
		memcpy(&word, p, 2);
		sum += word;
	}
	if (len) {
		word = 0;
		memcpy(&word, p, 1);
		sum += word;
	}
	return sum;
}

static void fill_udp(struct udphdr *udp, const struct endpoint *from, const struct endpoint *to,
	const void *data, size_t len)
{
	size_t width = to->family == AF_INET ? 4 : 16;
	uint32_t sum;

	*udp = (struct udphdr){
		.source = htons(from->port),
		.dest = htons(to->port),
		.len = htons((uint16_t)(sizeof(*udp) + len)),
	};
	sum = add(htons(IPPROTO_UDP) + udp->len, from->addr, width);
	sum = add(sum, to->addr, width);
	sum = add(sum, udp, sizeof(*udp));
	sum = add(sum, data, len);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	udp->check = sum == 0xffff ? 0xffff : (uint16_t)~sum; /* 0 would mean none */
}

/* The kernel fills in the length, the identification and the checksum of IPv4. No DF, like
 * WireGuard. Returns the header's size. */
static size_t fill_ip(union ip_head *ip, const struct endpoint *from, const struct endpoint *to,
	uint8_t tos, int hops, size_t len)
{
	if (to->family == AF_INET) {
		ip->v4 = (struct iphdr){ .version = 4,
			.ihl = 5,
			.tos = tos,
			.ttl = (uint8_t)hops,
			.protocol = IPPROTO_UDP };
		memcpy(&ip->v4.saddr, from->addr, 4);
		memcpy(&ip->v4.daddr, to->addr, 4);
		return sizeof(ip->v4);
	}
	ip->v6.ip6_flow = htonl(6U << 28 | (uint32_t)tos << 20);
	ip->v6.ip6_plen = htons((uint16_t)(sizeof(struct udphdr) + len));
	ip->v6.ip6_nxt = IPPROTO_UDP;
	ip->v6.ip6_hlim = (uint8_t)hops;
	memcpy(&ip->v6.ip6_src, from->addr, 16);
	memcpy(&ip->v6.ip6_dst, to->addr, 16);
	return sizeof(ip->v6);
}

/* -- sending -------------------------------------------------------------------------------- */

static int set_mark(struct raw *raw, uint32_t mark)
{
	if (raw->mark == mark)
		return 0;
	if (setsockopt(raw->fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
		return -errno;
	raw->mark = mark;
	return 0;
}

/* The source address and the hop limit that the kernel would choose. Asked each time: addresses
 * and routes change. */
static int aim(int fd, const struct endpoint *to, struct endpoint *ret_from, int *ret_hops)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	bool v4 = to->family == AF_INET;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(to, &sa), hops_len = sizeof(*ret_hops);

	/* A source address once chosen would stay. */
	connect(fd, &nowhere, sizeof(nowhere));
	if (connect(fd, (const struct sockaddr *)&sa, len) < 0)
		return -errno;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0 ||
		getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS,
			ret_hops, &hops_len) < 0)
		return -errno;
	return endpoint_from_sockaddr((const struct sockaddr *)&sa, len, ret_from);
}

int resend_packet(struct resend *r, uint16_t port, uint32_t mark, const struct endpoint *to,
	const void *data, size_t len)
{
	struct raw *raw = to->family == AF_INET ? &r->v4 : &r->v6;
	uint8_t tos = len && *(const uint8_t *)data == INITIATION ? INITIATION_TOS : 0;
	struct endpoint from;
	union ip_head ip;
	struct udphdr udp;
	struct iovec iov[3] = { { &ip, 0 }, { &udp, sizeof(udp) },
		{ (void *)(uintptr_t)data, len } };
	int error, hops;

	if (len > DATA_MAX)
		return -EMSGSIZE;
	error = raw->fd < 0 ? open_raw(AF_INET6, raw) : 0;
	if (error == 0)
		error = set_mark(raw, mark);
	if (error == 0)
		error = aim(raw->fd, to, &from, &hops);
	if (error < 0)
		return error;
	from.port = port;
	iov[0].iov_len = fill_ip(&ip, &from, to, tos, hops, len);
	fill_udp(&udp, &from, to, data, len);
	return writev(raw->fd, iov, G_N_ELEMENTS(iov)) < 0 ? -errno : 0;
}
