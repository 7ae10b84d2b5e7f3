/* agent/tune/irqbalance.c - finds irqbalance, and tells it what to leave alone. */
#include "agent/tune/irqbalance.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"

#define SOCKETS "/run/irqbalance"
#define FAKE "irqbalance" /* of a made-up host */

/* It answers between two looks at the interrupts, of which some versions sleep through one, 10 s. */
enum { LIMIT_S = 12, ANSWER_MAX = 1024 * 1024 };

/* -- made-up hosts -------------------------------------------------------------------------- */

static enum host_irqbalance look_at_file(const struct tree *tree, GArray *banned)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) words = NULL;
	unsigned irq;

	if (tree_read(tree, FAKE, &text) < 0)
		return IRQBALANCE_NONE;
	words = g_strsplit_set(text, " \n", -1);
	if (words[0] && strcmp(words[0], "deaf") == 0)
		return IRQBALANCE_DEAF;
	if (!words[0] || strcmp(words[0], "socket") != 0)
		return IRQBALANCE_NONE;
	for (char **word = words + 1; *word; word++) {
		irq = (unsigned)g_ascii_strtoull(*word, NULL, 10);
		g_array_append_val(banned, irq);
	}
	return IRQBALANCE_SOCKET;
}

/* -- talking -------------------------------------------------------------------------------- */

static int connect_to(const struct sockaddr_un *addr, int *ret)
{
	struct timeval limit = { .tv_sec = LIMIT_S };
	_auto_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred peer = { .uid = UINT32_MAX };
	socklen_t len = sizeof(peer);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
		return -errno;
	/* Anybody may take an abstract name. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.uid != 0)
		return -EPERM;
	*ret = fd;
	fd = -1;
	return 0;
}

/* -ECONNREFUSED: nobody listens. */
static int find_socket(const struct tree *tree, int *ret)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	g_autoptr(GPtrArray) names = NULL;
	int r = tree_list(tree, SOCKETS, &names);

	for (unsigned i = 0; r == 0 && i < names->len; i++) {
		const char *name = names->pdata[i];
		int found;

		if (!g_str_has_prefix(name, "irqbalance") || !g_str_has_suffix(name, ".sock"))
			continue;
		g_snprintf(addr.sun_path, sizeof(addr.sun_path), SOCKETS "/%s", name);
		found = connect_to(&addr, ret);
		/* A socket file stays behind when its process is killed. */
		if (found != -ECONNREFUSED)
			return found;
	}
	/* Where it could not make a file it has an abstract name, of nothing but zeros. */
	memset(addr.sun_path, 0, sizeof(addr.sun_path));
	return connect_to(&addr, ret);
}

/* It looks who asks; one write, as it reads once. */
static int send_request(int fd, const char *request)
{
	struct ucred self = { getpid(), getuid(), getgid() };
	union {
		struct cmsghdr header;
		uint8_t room[CMSG_SPACE(sizeof(self))];
	} control = { 0 };
	struct iovec iov = { (char *)request, strlen(request) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.header = (struct cmsghdr){ CMSG_LEN(sizeof(self)), SOL_SOCKET, SCM_CREDENTIALS };
	memcpy(CMSG_DATA(&control.header), &self, sizeof(self));
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int read_answer(int fd, GString *answer)
{
	int64_t end = g_get_monotonic_time() + LIMIT_S * G_USEC_PER_SEC;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) != 0) {
		if (n > 0)
			g_string_append_len(answer, buf, n);
		else if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (answer->len > ANSWER_MAX)
			return -EMSGSIZE;
		if (g_get_monotonic_time() > end)
			return -ETIMEDOUT;
	}
	return 0;
}

/* It closes the connection when it has done what it was told. */
static int ask(const struct tree *tree, const char *request, GString *answer)
{
	_auto_close_ int fd = -1;
	int r = find_socket(tree, &fd);

	if (r == 0)
		r = send_request(fd, request);
	return r < 0 ? r : read_answer(fd, answer);
}

int irqbalance_parse(const char *answer, GArray *banned)
{
	g_auto(GStrv) words = g_strsplit(answer, " ", -1);
	unsigned n = g_strv_length(words);
	uint64_t irq;

	if (n < 2 || strcmp(words[0], "SLEEP") != 0)
		return -EBADMSG;
	for (unsigned i = 2; i + 1 < n; i++) {
		if (strcmp(words[i], "IRQ") != 0)
			continue;
		if (!g_ascii_string_to_unsigned(words[i + 1], 10, 0, UINT32_MAX, &irq, NULL) ||
			banned->len == HOST_IRQS_MAX)
			return -EBADMSG;
		g_array_append_vals(banned, &(unsigned){ (unsigned)irq }, 1);
	}
	return 0;
}

static int read_banned(const struct tree *tree, GArray *banned)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	int r = ask(tree, "setup", answer);

	g_array_set_size(banned, 0);
	return r < 0 ? r : irqbalance_parse(answer->str, banned);
}

/* -- looking -------------------------------------------------------------------------------- */

static bool is_running(const struct tree *tree)
{
	g_autoptr(GPtrArray) names = NULL;
	bool found = false;

	if (tree_list(tree, "/proc", &names) < 0)
		return false;
	for (unsigned i = 0; i < names->len && !found; i++) {
		const char *name = names->pdata[i];
		g_autofree char *path = g_strdup_printf("/proc/%s/comm", name);
		g_autofree char *comm = NULL;

		found = g_ascii_isdigit(name[0]) && tree_read(tree, path, &comm) == 0 &&
			strcmp(comm, "irqbalance") == 0;
	}
	return found;
}

enum host_irqbalance irqbalance_look(const struct tree *tree, GArray *banned)
{
	int r;

	g_array_set_size(banned, 0);
	if (!tree_is_real(tree))
		return look_at_file(tree, banned);
	r = read_banned(tree, banned);
	if (r == 0)
		return IRQBALANCE_SOCKET;
	g_array_set_size(banned, 0);
	if (geteuid() != 0 && (r == -EACCES || r == -EPERM || r == -EBADMSG))
		return IRQBALANCE_SOCKET;
	return is_running(tree) ? IRQBALANCE_DEAF : IRQBALANCE_NONE;
}

/* -- banning -------------------------------------------------------------------------------- */

static int tell(const struct tree *tree, const GArray *irqs)
{
	g_autoptr(GString) request = g_string_new("settings ban irqs"), answer = g_string_new(NULL);

	for (unsigned i = 0; i < irqs->len; i++)
		g_string_append_printf(request, " %u", g_array_index(irqs, unsigned, i));
	if (!irqs->len)
		g_string_append(request, " NONE");
	return ask(tree, request->str, answer);
}

static bool has_all(const GArray *banned, const GArray *irqs)
{
	bool all = true;

	for (unsigned i = 0; i < irqs->len && all; i++) {
		all = false;
		for (unsigned k = 0; k < banned->len && !all; k++)
			all = g_array_index(irqs, unsigned, i) ==
				g_array_index(banned, unsigned, k);
	}
	return all;
}

static int write_file(struct tree *tree, const GArray *irqs)
{
	g_autoptr(GString) text = g_string_new("socket");

	for (unsigned i = 0; i < irqs->len; i++)
		g_string_append_printf(text, " %u", g_array_index(irqs, unsigned, i));
	return tree_write(tree, FAKE, text->str);
}

int irqbalance_ban(struct tree *tree, const GArray *irqs)
{
	g_autoptr(GArray) before = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autoptr(GArray) after = g_array_new(FALSE, FALSE, sizeof(unsigned));
	int r;

	if (!tree_is_real(tree))
		return look_at_file(tree, before) == IRQBALANCE_SOCKET ? write_file(tree, irqs)
								       : -ENOENT;
	r = read_banned(tree, before);
	if (r < 0)
		return r == -ECONNREFUSED ? -ENOENT : r;
	/* What it did not read of a long list it may have cut in the middle of a number, and the connection
	 * is then reset. */
	r = tell(tree, irqs);
	if (r == 0 || r == -ECONNRESET)
		r = read_banned(tree, after);
	if (r == 0 && after->len == irqs->len && has_all(after, irqs))
		return 0;
	tell(tree, before);
	return r < 0 ? r : -E2BIG;
}
