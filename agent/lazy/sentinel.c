/* agent/lazy/sentinel.c - the loopback sockets that stand in for parked peers. */
#include "agent/lazy/sentinel.h"

#include <errno.h>
#include <glib.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"

enum {
	BATCH = 8,
	SOCKETS_PER_READ = 16,
	PACKETS_PER_READ = BATCH * SOCKETS_PER_READ,
	OWN_QUEUE_BYTES = 256 * 1024,
	SHARED_QUEUE_BYTES = 4 * 1024 *
		1024, /* the kernel doubles it; an initiation takes about one KiB */
	FILES_LEFT = 64, /* for the rest of the daemon */
	CONTROL_BYTES = CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(struct in_pktinfo)),
	TEST_MS = 50, /* loopback answers at once; a host that is choked gets some time */
	OWN_ADDRESS = 0x7f000101, /* 127.0.1.1 */
	SHARED_BASE = 0x7f400000, /* 127.64.0.0 */
	TEST_SLOT = SENTINEL_SHARED_MAX - 1, /* nobody's */
	INITIATION = 1, /* WireGuard's types and sizes of messages */
	DATA = 4,
	INITIATION_BYTES = 148,
	DATA_BYTES_MIN = 32,
};

/* What a slot holds that has no socket of its own. */
enum { FREE = -1, SHARED = -2 };

struct sentinel {
	int poll_fd, shared_fd; /* shared: -1 until it is wanted */
	bool shared_broken; /* did not stand the test */
	bool fell_back_to_shared; /* of the two forms, which one status.problem tells of */
	uint16_t wireguard_port;
	uint32_t mark;
	uint32_t lowest; /* all slots below are taken */
	GArray *slots; /* of int: a descriptor, SHARED or FREE */
	size_t own_max;
	struct sentinel_status status; /* drops: without those of open sockets */

	struct mmsghdr messages[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_in senders[BATCH];
	_Alignas(struct cmsghdr) uint8_t control[BATCH][CONTROL_BYTES];
	uint8_t *data; /* uninitialised: what no packet has filled takes no memory */
};

int sentinel_open(struct sentinel **ret)
{
	int poll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct rlimit files = { 0 };
	struct sentinel *s;

	if (poll_fd < 0)
		return -errno;
	getrlimit(RLIMIT_NOFILE, &files);
	s = g_new0(struct sentinel, 1);
	s->poll_fd = poll_fd;
	s->shared_fd = -1;
	s->slots = g_array_new(FALSE, FALSE, sizeof(int));
	s->own_max = files.rlim_cur > FILES_LEFT ? files.rlim_cur - FILES_LEFT : 0;
	s->data = g_malloc(BATCH * SENTINEL_PACKET_MAX);
	for (size_t i = 0; i < BATCH; i++) {
		s->iovs[i] = (struct iovec){ s->data + i * SENTINEL_PACKET_MAX,
			SENTINEL_PACKET_MAX };
		s->messages[i].msg_hdr.msg_iov = &s->iovs[i];
		s->messages[i].msg_hdr.msg_iovlen = 1;
		s->messages[i].msg_hdr.msg_control = s->control[i];
		s->messages[i].msg_hdr.msg_name = &s->senders[i];
	}
	*ret = s;
	return 0;
}

void sentinel_close(struct sentinel *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->slots->len; i++)
		sentinel_release(s, i);
	if (s->shared_fd >= 0)
		close(s->shared_fd);
	close(s->poll_fd);
	g_array_free(s->slots, TRUE);
	g_free(s->data);
	g_free(s);
}

int sentinel_fd(const struct sentinel *s)
{
	return s->poll_fd;
}

/* -- slots ---------------------------------------------------------------------------------- */

static int at(const struct sentinel *s, uint32_t slot)
{
	return slot < s->slots->len ? g_array_index(s->slots, int, slot) : FREE;
}

static void put(struct sentinel *s, uint32_t slot, int what)
{
	const int none = FREE;

	while (s->slots->len <= slot)
		g_array_append_val(s->slots, none);
	g_array_index(s->slots, int, slot) = what;
	if (what == FREE)
		s->lowest = MIN(s->lowest, slot);
}

static uint32_t lowest_free(struct sentinel *s)
{
	while (at(s, s->lowest) != FREE)
		s->lowest++;
	return s->lowest;
}

/* -- addresses ------------------------------------------------------------------------------ */

static uint32_t address_of(const struct endpoint *endpoint)
{
	uint32_t address;

	memcpy(&address, endpoint->addr, sizeof(address));
	return ntohl(address);
}

bool sentinel_is_one(const struct endpoint *endpoint)
{
	return endpoint->family == AF_INET &&
		(address_of(endpoint) == OWN_ADDRESS ||
			address_of(endpoint) - SHARED_BASE < SENTINEL_SHARED_MAX);
}

static struct sockaddr_in loopback(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)
	};
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t len = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &len);
	return ntohs(address.sin_port);
}

void sentinel_endpoint(const struct sentinel *s, uint32_t slot, struct endpoint *ret)
{
	bool shared = at(s, slot) == SHARED;
	uint32_t address = htonl(shared ? SHARED_BASE + slot : OWN_ADDRESS);

	*ret = (struct endpoint){ .family = AF_INET,
		.port = shared ? s->status.shared_port : port_of(at(s, slot)) };
	memcpy(ret->addr, &address, sizeof(address));
}

/* -- sockets -------------------------------------------------------------------------------- */

static uint32_t drops_of(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len);
	return info[SK_MEMINFO_DROPS];
}

/* A jump in a filter, to absolute places. */
#define WHEN(at, test, value, yes, no) \
	BPF_JUMP(BPF_JMP | (test) | BPF_K, value, (yes) - (at)-1, (no) - (at)-1)

/* Lets through what WireGuard sends from this port or, unless that is 0, with this mark. What the filter
 * sees begins with the UDP header: ports, length, checksum; then comes the message's type, one byte and
 * three zeros. */
static int set_filter(int fd, uint16_t port, uint32_t mark)
{
	enum { TYPE = 6, ACCEPT = 13, REJECT = 14 };
	struct sock_filter code[] = {
		[0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)SKF_NET_OFF + 12), /* source */
		[1] = WHEN(1, BPF_JEQ, INADDR_LOOPBACK, 2, REJECT),
		[2] = BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
		[3] = WHEN(3, BPF_JEQ, port, TYPE, mark ? 4 : REJECT),
		[4] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		[5] = WHEN(5, BPF_JEQ, mark, TYPE, REJECT),
		[TYPE] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 8),
		[7] = WHEN(7, BPF_JEQ, INITIATION << 24, 8, 10),
		[8] = BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		[9] = WHEN(9, BPF_JEQ, 8 + INITIATION_BYTES, ACCEPT, REJECT),
		[10] = WHEN(10, BPF_JEQ, DATA << 24, 11, REJECT),
		[11] = BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
		[12] = WHEN(12, BPF_JGE, 8 + DATA_BYTES_MIN, ACCEPT, REJECT),
		[ACCEPT] = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		[REJECT] = BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { G_N_ELEMENTS(code), code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) < 0)
		return -errno;
	return 0;
}

static int set_options(int fd, int queue_bytes)
{
	int on = 1;

	/* Also where route_localnet lets others send to loopback addresses. */
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes, sizeof(queue_bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue_bytes, sizeof(queue_bytes));
	return 0;
}

/* Port 0: any. Returns a descriptor or -errno. The filter comes before the address, and no other
 * socket may have the same: both by accident and on purpose. */
static int open_socket(
	const struct sentinel *s, uint32_t address, uint16_t port, uint16_t from_port)
{
	const struct sockaddr_in to = loopback(address, port);
	_auto_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = set_options(fd, address == INADDR_ANY ? SHARED_QUEUE_BYTES : OWN_QUEUE_BYTES);
	if (r == 0)
		r = set_filter(fd, from_port, s->mark);
	if (r < 0)
		return r;
	if (bind(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	/* WireGuard may be down for now; it is to find its port free. Meanwhile this one holds it. */
	if (!port && port_of(fd) == s->wireguard_port)
		return open_socket(s, address, port, from_port);
	return g_steal_fd(&fd);
}

static int watch(const struct sentinel *s, int fd, uint32_t slot)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = slot };

	return epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int sentinel_set_sender(struct sentinel *s, uint16_t wireguard_port, uint32_t mark)
{
	int r = s->shared_fd >= 0 ? set_filter(s->shared_fd, wireguard_port, mark) : 0;

	for (uint32_t i = 0; i < s->slots->len; i++)
		if (at(s, i) >= 0 && r == 0)
			r = set_filter(at(s, i), wireguard_port, mark);
	s->wireguard_port = wireguard_port;
	s->mark = mark;
	return r;
}

/* -- reading -------------------------------------------------------------------------------- */

static int receive(struct sentinel *s, int fd)
{
	int n;

	for (size_t i = 0; i < BATCH; i++) {
		s->messages[i].msg_hdr.msg_namelen = sizeof(s->senders[i]);
		s->messages[i].msg_hdr.msg_controllen = sizeof(s->control[i]);
	}
	do
		n = recvmmsg(fd, s->messages, BATCH, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? 0 : n;
}

/* *ret_slot changes only where addresses tell slots. */
static void read_control(struct msghdr *msg, uint32_t *ret_slot, int64_t *ret_ns)
{
	struct in_pktinfo info;
	struct timespec time;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&time, CMSG_DATA(c), sizeof(time));
			*ret_ns = time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			*ret_slot = ntohl(info.ipi_addr.s_addr) - SHARED_BASE;
		}
}

/* Packets may be queued that were sent to a slot before it was released. */
static void deliver(struct sentinel *s, int i, int fd, uint32_t slot, sentinel_fn fn, void *user)
{
	struct msghdr *msg = &s->messages[i].msg_hdr;
	struct sentinel_packet packet = { .slot = slot,
		.from_port = ntohs(s->senders[i].sin_port),
		.data = s->iovs[i].iov_base,
		.len = s->messages[i].msg_len };

	read_control(msg, &packet.slot, &packet.received_ns);
	if (msg->msg_flags & MSG_TRUNC || at(s, packet.slot) != (fd == s->shared_fd ? SHARED : fd))
		s->status.drops++;
	else
		fn(&packet, user);
}

size_t sentinel_read(struct sentinel *s, sentinel_fn fn, void *user)
{
	struct epoll_event events[SOCKETS_PER_READ];
	int n_events = epoll_wait(s->poll_fd, events, G_N_ELEMENTS(events), 0);
	size_t total = 0;

	for (int i = 0; i < n_events; i++) {
		uint32_t slot = events[i].data.u32;
		int n, fd = slot == TEST_SLOT ? s->shared_fd : at(s, slot);

		do {
			n = receive(s, fd);
			for (int k = 0; k < n; k++)
				deliver(s, k, fd, slot, fn, user);
			total += (size_t)n;
		} while (n == BATCH && total < PACKETS_PER_READ);
	}
	return total;
}

void sentinel_get_status(struct sentinel *s, struct sentinel_status *ret)
{
	*ret = s->status;
	if (s->shared_fd >= 0)
		ret->drops += drops_of(s->shared_fd);
	for (uint32_t i = 0; i < s->slots->len; i++)
		if (at(s, i) >= 0)
			ret->drops += drops_of(at(s, i));
}

/* -- taking and releasing ------------------------------------------------------------------- */

/* A socket that is as free in its ways as WireGuard's. Returns a descriptor or -errno. */
static int open_tester(void)
{
	const struct sockaddr_in any = loopback(INADDR_ANY, 0);
	_auto_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0)
		return -errno;
	return g_steal_fd(&fd);
}

/* Does a packet to an address that only the shared form has arrive, and is the address told? */
static int test_shared(struct sentinel *s, int fd, int from)
{
	static const uint8_t packet[INITIATION_BYTES] = { INITIATION };
	const struct sockaddr_in to = loopback(SHARED_BASE + TEST_SLOT, port_of(fd));
	struct pollfd readable = { .fd = fd, .events = POLLIN };
	uint32_t slot = 0;
	int64_t received_ns;

	if (sendto(from, packet, sizeof(packet), 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
		return errno == ENETUNREACH ? -ENETUNREACH : -ETIMEDOUT;
	poll(&readable, 1, TEST_MS);
	if (receive(s, fd) == 1)
		read_control(&s->messages[0].msg_hdr, &slot, &received_ns);
	return slot == TEST_SLOT ? 0 : -ETIMEDOUT;
}

/* Port 0: any. Tested once; but a loopback interface that is down proves nothing. */
static int open_shared(struct sentinel *s, uint16_t port)
{
	_auto_close_ int from = -1, fd = -1;
	int r, on = 1;

	if (s->shared_fd >= 0)
		return port && port != s->status.shared_port ? -EADDRINUSE : 0;
	if (s->shared_broken)
		return -ETIMEDOUT;
	from = open_tester();
	if (from < 0)
		return from;
	/* The test's port passes while the test's socket holds it. */
	fd = open_socket(s, INADDR_ANY, port, port_of(from));
	if (fd < 0)
		return fd;
	if (setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)) < 0)
		return -errno;
	r = test_shared(s, fd, from);
	s->shared_broken = r == -ETIMEDOUT;
	if (r == 0)
		r = set_filter(fd, s->wireguard_port, s->mark);
	if (r == 0)
		r = watch(s, fd, TEST_SLOT);
	if (r < 0)
		return r;
	s->status.shared_port = port_of(fd);
	s->shared_fd = g_steal_fd(&fd);
	return 0;
}

static int take_shared(struct sentinel *s, uint16_t port, uint32_t slot)
{
	int r = open_shared(s, port);

	if (r < 0)
		return r;
	if (slot >= TEST_SLOT || at(s, slot) != FREE)
		return -EADDRINUSE;
	put(s, slot, SHARED);
	s->status.shared++;
	return 0;
}

static int take_own(struct sentinel *s, uint16_t port, uint32_t slot)
{
	_auto_close_ int fd = -1;
	int r;

	if (s->status.own >= s->own_max)
		return -EMFILE;
	fd = open_socket(s, OWN_ADDRESS, port, s->wireguard_port);
	if (fd < 0)
		return fd;
	r = watch(s, fd, slot);
	if (r < 0)
		return r;
	put(s, slot, g_steal_fd(&fd));
	s->status.own++;
	return 0;
}

static int take(struct sentinel *s, bool shared, uint16_t port, uint32_t slot)
{
	return shared ? take_shared(s, port, slot) : take_own(s, port, slot);
}

static int take_wanted(struct sentinel *s, const struct endpoint *wanted, uint32_t *ret_slot)
{
	bool shared = sentinel_is_one(wanted) && address_of(wanted) != OWN_ADDRESS;
	uint32_t slot = shared ? address_of(wanted) - SHARED_BASE : lowest_free(s);
	int r;

	if (!sentinel_is_one(wanted) || wanted->port == s->wireguard_port)
		return -EADDRNOTAVAIL;
	r = take(s, shared, wanted->port, slot);
	if (r == 0)
		*ret_slot = slot;
	return r;
}

static void explain(struct sentinel *s, bool shared, int r)
{
	const char *why = r == -ETIMEDOUT ? "packets to 127.64.0.0/10 do not arrive"
					  : g_strerror(-r);

	s->fell_back_to_shared = !shared;
	g_snprintf(s->status.problem, sizeof(s->status.problem), "%s: %s",
		shared ? "no shared sentinel socket" : "no more sentinel sockets", why);
}

int sentinel_take(
	struct sentinel *s, bool shared, const struct endpoint *wanted, uint32_t *ret_slot)
{
	uint32_t slot;
	int r;

	if (wanted && take_wanted(s, wanted, ret_slot) == 0)
		return 0;
	slot = lowest_free(s);
	r = take(s, shared, 0, slot);
	if (r < 0) {
		if (take(s, !shared, 0, slot) < 0)
			return r;
		explain(s, shared, r);
	}
	*ret_slot = slot;
	return 0;
}

void sentinel_release(struct sentinel *s, uint32_t slot)
{
	int fd = at(s, slot);

	if (fd == FREE)
		return;
	if (fd == SHARED) {
		s->status.shared--;
	} else {
		s->status.own--;
		s->status.drops += drops_of(fd);
		close(fd);
	}
	put(s, slot, FREE);
	if (!(s->fell_back_to_shared ? s->status.shared : s->status.own))
		s->status.problem[0] = '\0';
}
