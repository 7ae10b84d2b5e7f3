/* tests/bench/shim.c - stands between lapwingd and the kernel: NOKEY takes the private key out of
 * WireGuard requests (so that programming costs no cryptography), COUNT lists the requests. HEAP leaves them alone and says on SIGUSR2 how
 * much of the heap somebody has. */
#define _GNU_SOURCE
#ifdef HEAP
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

/* What malloc itself says counts also what it keeps for the next one of that size. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t item);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);
static atomic_size_t in_use;

static size_t size_of(void *p)
{
	return p ? malloc_usable_size(p) + sizeof(size_t) : 0;
}

static void *counted(void *p)
{
	in_use += size_of(p);
	return p;
}

void *malloc(size_t n)
{
	return counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t item)
{
	return counted(__libc_calloc(n, item));
}

void *realloc(void *p, size_t n)
{
	in_use -= size_of(p);
	return counted(__libc_realloc(p, n));
}

int posix_memalign(void **p, size_t alignment, size_t n)
{
	*p = counted(__libc_memalign(alignment, n));
	return *p ? 0 : 12;
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return counted(__libc_memalign(alignment, n));
}

void free(void *p)
{
	in_use -= size_of(p);
	__libc_free(p);
}

static void tell(int number)
{
	FILE *f = fopen("/tmp/bench/heap", "w");

	fprintf(f, "%zu\n", (size_t)in_use);
	fclose(f);
}

__attribute__((constructor)) static void begin(void)
{
	signal(SIGUSR2, tell);
}
#else
#include <dlfcn.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef NOKEY
static void look(struct nlmsghdr *m, int protocol)
{
	char *at = (char *)m + NLMSG_HDRLEN + GENL_HDRLEN, *end = (char *)m + m->nlmsg_len;

	while (protocol == NETLINK_GENERIC && at + NLA_HDRLEN <= end) {
		struct nlattr *a = (struct nlattr *)at;

		if (a->nla_type == WGDEVICE_A_PRIVATE_KEY && a->nla_len == NLA_HDRLEN + 32)
			memset(at + NLA_HDRLEN, 0, 32);
		if (a->nla_len < NLA_HDRLEN)
			return;
		at += NLA_ALIGN(a->nla_len);
	}
}
#else
static void look(struct nlmsghdr *m, int protocol)
{
	const char *name = protocol == NETLINK_GENERIC ? "wireguard"
		: protocol == NETLINK_NETFILTER        ? "nftables"
						       : "routing";
	int type = m->nlmsg_type & 0xff;
	/* Reads: dumps, and what rtnetlink and nftables number as "get". */
	int reads = (m->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP ||
		(protocol == NETLINK_ROUTE && type % 4 == 2) ||
		(protocol == NETLINK_NETFILTER && (type % 3 == 1 || type == 16));
	FILE *f = fopen("/tmp/bench/requests", "a");

	fprintf(f, "%s %s type %d\n", reads ? "read" : "write", name, m->nlmsg_type);
	fclose(f);
}
#endif

static void look_all(int fd, void *data, size_t len)
{
	int domain = 0, protocol = 0;
	socklen_t size = sizeof(int);
	struct nlmsghdr *m = data;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
	if (domain != AF_NETLINK)
		return;
	for (; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len))
		look(m, protocol);
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
	socklen_t to_len)
{
	static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);

	if (!real)
		real = dlsym(RTLD_NEXT, "sendto");
	look_all(fd, (void *)data, len);
	return real(fd, data, len, flags, to, to_len);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	return sendto(fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	static ssize_t (*real)(int, const struct msghdr *, int);

	if (!real)
		real = dlsym(RTLD_NEXT, "sendmsg");
	for (size_t i = 0; i < m->msg_iovlen; i++)
		look_all(fd, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
	return real(fd, m, flags);
}
#endif
