/* agent/tune/pathmtu_run.c - sends probes to many addresses at the same time and waits for answers. */
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/tune/pathmtu.h"

enum {
	AT_ONCE_MAX = 64, /* addresses */
	SOCKETS = 4, /* by family and method */
	IP4_HEADER = 20,
	IP6_HEADER = 40,
	UDP_HEADER = 8,
	FIRST_WAIT_MS = 1000, /* as long as no round trip is known */
	WAIT_MIN_MS = 200,
};

/* One address under work. */
struct probe {
	struct pathmtu_target *target;
	struct pathmtu_search search;
	enum pathmtu_method method;
	uint32_t size, tries;
	uint64_t tag; /* of all probes of this size */
	int64_t sent_ms, due_ms, wait_ms;
};

struct run {
	int sockets[SOCKETS];
	struct pathmtu_target *targets;
	size_t n, begun;
	GArray *probes; /* struct probe */
	uint64_t key; /* what nobody outside can guess */
	uint32_t serial;
};

static int64_t now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

/* -- sockets --------------------------------------------------------------------------------- */

static size_t socket_of(const struct probe *p)
{
	return (p->target->to.family == AF_INET6 ? 2u : 0u) + (p->method == PATHMTU_STUN);
}

/* Probes never get broken up, whatever the kernel believes of the path. */
static int open_socket(size_t which, uint32_t mark)
{
	bool ipv6 = which >= 2, stun = which % 2;
	int family = ipv6 ? AF_INET6 : AF_INET;
	int protocol = stun ? IPPROTO_UDP : ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	int fd = socket(
		family, (stun ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	int discover = ipv6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;
	int r = fd;

	if (fd >= 0)
		r = ipv6 ? setsockopt(
				   fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof(discover))
			 : setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
	if (r >= 0 && mark)
		r = setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	if (r >= 0)
		return fd;
	r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static void close_sockets(struct run *run)
{
	for (size_t i = 0; i < SOCKETS; i++)
		if (run->sockets[i] >= 0)
			close(run->sockets[i]);
}

/* A host without IPv6 has no such sockets, and does not need them. */
static int open_sockets(struct run *run, uint32_t mark)
{
	int r = 0;

	for (size_t i = 0; i < SOCKETS; i++) {
		run->sockets[i] = open_socket(i, mark);
		if (run->sockets[i] < 0 && run->sockets[i] != -EAFNOSUPPORT)
			r = run->sockets[i];
	}
	if (r < 0)
		close_sockets(run);
	return r;
}

/* -- sending --------------------------------------------------------------------------------- */

/* 0: on its way; -EMSGSIZE: not even the first device takes it. */
static int send_probe(struct run *run, struct probe *p)
{
	bool ipv6 = p->target->to.family == AF_INET6;
	size_t headers = ipv6 ? IP6_HEADER : IP4_HEADER, len = p->size - headers;
	struct endpoint to = p->target->to;
	int fd = run->sockets[socket_of(p)];
	struct sockaddr_storage sa;
	uint8_t data[PATHMTU_MAX];
	socklen_t sa_len;

	if (p->method == PATHMTU_STUN) {
		len -= UDP_HEADER;
		pathmtu_stun(data, len, p->tag);
	} else {
		to.port = 0; /* raw sockets of IPv6 know none */
		pathmtu_echo(data, len, ipv6, p->tag);
	}
	sa_len = endpoint_to_sockaddr(&to, &sa);
	p->sent_ms = now_ms();
	p->due_ms = p->sent_ms + p->wait_ms;
	if (fd < 0 || sendto(fd, data, len, 0, (struct sockaddr *)&sa, sa_len) >= 0)
		return 0;
	return errno == EMSGSIZE ? -EMSGSIZE : 0; /* else as if it were lost */
}

/* STUN comes in steps of four bytes: between two of them the smaller one is the answer. */
static uint32_t next_size(const struct probe *p)
{
	uint32_t size = pathmtu_search_next(&p->search);

	if (p->method != PATHMTU_STUN)
		return size;
	size &= ~3u;
	return size > p->search.low ? size : 0;
}

static void begin(struct probe *p, enum pathmtu_method method)
{
	p->method = method;
	p->wait_ms = FIRST_WAIT_MS;
	pathmtu_search_begin(&p->search, p->target->to.family == AF_INET6);
}

/* False: this address is done. */
static bool go_on(struct run *run, struct probe *p)
{
	for (;;) {
		p->size = next_size(p);
		p->tries = 1;
		p->tag = run->key ^ ++run->serial;
		if (!p->size && !p->search.low && p->method + 1 < PATHMTU_METHODS) {
			begin(p, p->method + 1);
			continue;
		}
		if (!p->size)
			break;
		if (send_probe(run, p) != -EMSGSIZE)
			return true;
		pathmtu_search_tell(&p->search, p->size, false);
	}
	p->target->mtu = p->search.low;
	p->target->method = p->method;
	return false;
}

/* False: this address is done. */
static bool wait_over(struct run *run, struct probe *p)
{
	if (p->tries < PATHMTU_TRIES) {
		p->tries++;
		send_probe(run, p);
		return true;
	}
	pathmtu_search_tell(&p->search, p->size, false);
	return go_on(run, p);
}

/* -- receiving ------------------------------------------------------------------------------- */

static void answered(struct run *run, enum pathmtu_method method, uint64_t tag)
{
	for (guint i = 0; i < run->probes->len; i++) {
		struct probe *p = &g_array_index(run->probes, struct probe, i);

		if (p->tag != tag || p->method != method)
			continue;
		p->wait_ms = CLAMP(3 * (now_ms() - p->sent_ms), WAIT_MIN_MS, FIRST_WAIT_MS);
		pathmtu_search_tell(&p->search, p->size, true);
		if (!go_on(run, p))
			g_array_remove_index_fast(run->probes, i);
		return;
	}
}

static void receive(struct run *run, size_t which)
{
	uint8_t data[PATHMTU_MAX + IP6_HEADER];
	ssize_t len;
	uint64_t tag;

	while ((len = recv(run->sockets[which], data, sizeof(data), 0)) >= 0 || errno == EMSGSIZE ||
		errno == ECONNREFUSED)
		if (len >= 0 &&
			(which % 2 ? pathmtu_is_stun_answer(data, (size_t)len, &tag)
				   : pathmtu_is_echo_reply(data, (size_t)len, which >= 2, &tag)))
			answered(run, which % 2 ? PATHMTU_STUN : PATHMTU_ECHO, tag);
}

/* -- all of it ------------------------------------------------------------------------------- */

static void fill(struct run *run)
{
	while (run->begun < run->n && run->probes->len < AT_ONCE_MAX) {
		struct probe p = { .target = &run->targets[run->begun++] };

		p.target->mtu = 0;
		begin(&p, PATHMTU_ECHO);
		if (go_on(run, &p))
			g_array_append_val(run->probes, p);
	}
}

static void expire(struct run *run)
{
	int64_t now = now_ms();

	for (guint i = run->probes->len; i-- > 0;) {
		struct probe *p = &g_array_index(run->probes, struct probe, i);

		if (now >= p->due_ms && !wait_over(run, p))
			g_array_remove_index_fast(run->probes, i);
	}
}

static int wait_for_answers(struct run *run)
{
	struct pollfd fds[SOCKETS];
	int64_t due_ms = INT64_MAX;

	for (size_t i = 0; i < SOCKETS; i++)
		fds[i] = (struct pollfd){ .fd = run->sockets[i], .events = POLLIN };
	for (guint i = 0; i < run->probes->len; i++)
		due_ms = MIN(due_ms, g_array_index(run->probes, struct probe, i).due_ms);
	if (poll(fds, SOCKETS, (int)CLAMP(due_ms - now_ms(), 0, FIRST_WAIT_MS)) < 0 &&
		errno != EINTR)
		return -errno;
	for (size_t i = 0; i < SOCKETS; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			receive(run, i);
	return 0;
}

int pathmtu_run(struct pathmtu_target *targets, size_t n, uint32_t mark)
{
	struct run run = { .targets = targets, .n = n };
	int r = open_sockets(&run, mark);

	if (r < 0)
		return r;
	if (getrandom(&run.key, sizeof(run.key), 0) != sizeof(run.key))
		r = -EIO;
	run.probes = g_array_new(FALSE, FALSE, sizeof(struct probe));
	fill(&run);
	while (r == 0 && run.probes->len) {
		r = wait_for_answers(&run);
		expire(&run);
		fill(&run);
	}
	g_array_unref(run.probes);
	close_sockets(&run);
	return r;
}
