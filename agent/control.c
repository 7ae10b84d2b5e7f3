/* agent/control.c - the control socket: listening, who may come in, answers and events. */
#include "agent/control.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/log.h"
#include "agent/control_impl.h"

enum {
	ACCEPT_BATCH = 16,
	GROUPS_MAX = 65536, /* the kernel's NGROUPS_MAX */
	LISTEN_PAUSE_MS = 1000,
};

/* -- accepting -------------------------------------------------------------------------------- */

static enum control_access access_of(const struct control *control, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred), groups_len = 64 * sizeof(gid_t);
	g_autofree gid_t *groups = g_malloc(groups_len);
	struct control_caller caller;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return CONTROL_ACCESS_NONE;
	r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len);
	if (r < 0 && errno == ERANGE && groups_len <= GROUPS_MAX * sizeof(gid_t)) {
		groups = g_realloc(groups, groups_len);
		r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len);
	}
	caller = (struct control_caller){
		.uid = cred.uid,
		.gid = cred.gid,
		.groups = groups,
		.n_groups = r < 0 ? 0 : groups_len / sizeof(gid_t),
	};
	return control_access(&caller, control->own, control->group);
}

/* Takes the descriptor. The answer is short: a fresh socket has room for it. */
static void turn_away(int fd, enum exit_code code, const char *message)
{
	GString *line = control_error_line(code, NULL, message);
	ssize_t n = send(fd, line->str, line->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	(void)n;
	g_string_free(line, TRUE);
	close(fd);
}

/* Takes the descriptor. */
static void admit(struct control *control, int fd)
{
	enum control_access access = access_of(control, fd);

	if (access == CONTROL_ACCESS_NONE)
		return turn_away(fd, EXIT_PERMISSION, "only root and the daemon's group may ask");
	if (control->n_clients == CONTROL_CLIENTS_MAX)
		return turn_away(fd, EXIT_FAILED, "too many clients");
	client_new(control, fd, access);
}

static gboolean on_listen(int fd, GIOCondition condition, void *data);

static gboolean listen_again(void *data)
{
	struct control *control = data;

	control->pause_source = 0;
	control->listen_source = g_unix_fd_add(control->listen_fd, G_IO_IN, on_listen, control);
	return G_SOURCE_REMOVE;
}

/* No descriptor is left: the spare one lets us turn the caller away, else it would be ready for
 * ever. Returns false when that failed as well, and the loop has to be given a rest. */
static bool accept_with_spare(struct control *control)
{
	int fd;

	if (control->spare_fd >= 0)
		close(control->spare_fd);
	fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		turn_away(fd, EXIT_FAILED, "the daemon has no descriptor left");
	control->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && control->spare_fd >= 0;
}

static gboolean on_listen(int fd, GIOCondition condition, void *data)
{
	static struct log_limit limit = { .cause = "control socket", .burst = 3 };
	struct control *control = data;

	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client >= 0) {
			admit(control, client);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			break;
		if (log_limit_allows(&limit))
			log_warn_errno(-errno, "cannot take a caller of the control socket");
		if ((errno == EMFILE || errno == ENFILE) && accept_with_spare(control))
			continue;
		control->listen_source = 0;
		control->pause_source = g_timeout_add(LISTEN_PAUSE_MS, listen_again, control);
		return G_SOURCE_REMOVE;
	}
	return G_SOURCE_CONTINUE;
}

/* -- opening and closing ---------------------------------------------------------------------- */

static int fill_address(const char *path, struct sockaddr_un *ret)
{
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(ret->sun_path, path);
	return 0;
}

/* 0 and a connected socket, or -errno. */
static int connect_to(const char *path, int *ret)
{
	_auto_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	int r = fill_address(path, &sa);

	if (r < 0)
		return r;
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	*ret = fd;
	fd = -1;
	return 0;
}

/* Removes a socket file that nobody answers at. */
static int clear_path(const char *path)
{
	_auto_close_ int fd = -1;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	r = connect_to(path, &fd);
	if (r == 0 || r == -EAGAIN)
		return -EADDRINUSE;
	if (r != -ECONNREFUSED)
		return r;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static gid_t find_group(const char *name)
{
	const struct group *group = name ? getgrnam(name) : NULL;

	return group ? group->gr_gid : (gid_t)-1;
}

static int bind_socket(struct control *control)
{
	struct sockaddr_un sa;
	mode_t old;
	int r;

	r = fill_address(control->path, &sa);
	if (r < 0)
		return r;
	r = clear_path(control->path);
	if (r < 0)
		return r;
	control->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->listen_fd < 0)
		return -errno;
	old = umask(0117); /* never open to others, not even for a moment */
	r = bind(control->listen_fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0)
		return r;
	if (lstat(control->path, &control->made) < 0)
		return -errno;
	/* A service manager may have forbidden it where it is not needed. */
	if (control->group != (gid_t)-1 && control->made.st_gid != control->group &&
		lchown(control->path, (uid_t)-1, control->group) < 0)
		log_warn_errno(
			-errno, "cannot give %s to its group, only root can use it", control->path);
	return listen(control->listen_fd, SOMAXCONN) < 0 ? -errno : 0;
}

int control_open(
	const char *path, const char *group, control_fn fn, void *user, struct control **ret)
{
	struct control *control = g_new0(struct control, 1);
	int r;

	control->fn = fn;
	control->user = user;
	control->path = g_strdup(path);
	control->own = geteuid();
	control->group = find_group(group);
	control->listen_fd = -1;
	control->probe.fd = -1;
	control->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	control_set_limits(control, CONTROL_REQUEST_MS, CONTROL_STALL_MS);
	r = bind_socket(control);
	if (r < 0) {
		control_close(control);
		return r;
	}
	listen_again(control);
	*ret = control;
	return 0;
}

void control_set_limits(struct control *control, int request_ms, int stall_ms)
{
	control->request_us = (int64_t)request_ms * 1000;
	control->stall_us = (int64_t)stall_ms * 1000;
}

static void remove_source(guint *source)
{
	if (*source)
		g_source_remove(*source);
	*source = 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void probe_end(struct control *control)
{
	remove_source(&control->probe.source);
	close_fd(&control->probe.fd);
}

/* Somebody may have put another socket in the place of ours: leave that alone. */
static void remove_file(struct control *control)
{
	struct stat st;

	if (control->made.st_ino && lstat(control->path, &st) == 0 &&
		st.st_ino == control->made.st_ino && st.st_dev == control->made.st_dev)
		unlink(control->path);
}

void control_close(struct control *control)
{
	if (!control)
		return;
	while (control->n_clients)
		client_free(control->clients[0]);
	probe_end(control);
	remove_source(&control->timer);
	remove_source(&control->listen_source);
	remove_source(&control->pause_source);
	remove_file(control);
	close_fd(&control->listen_fd);
	close_fd(&control->spare_fd);
	g_free(control->path);
	g_free(control);
}

/* -- answers and events ----------------------------------------------------------------------- */

/* Takes the line. Who left meanwhile gets nothing. */
static void answer(struct control *control, uint32_t id, GString *line)
{
	struct client *c = client_find(control, id);

	if (c)
		return client_answer(c, line);
	explicit_bzero(
		line->str, line->allocated_len); /* it may be secret, and nobody knows any more */
	g_string_free(line, TRUE);
}

void control_reply(struct control *control, uint32_t client, GString *result)
{
	answer(control, client, control_result_line(result));
}

void control_error(struct control *control, uint32_t client, enum exit_code code, const char *hint,
	const char *format, ...)
{
	g_autofree char *message = NULL;
	va_list ap;

	va_start(ap, format);
	message = g_strdup_vprintf(format, ap);
	va_end(ap);
	answer(control, client, control_error_line(code, hint, message));
}

void control_publish(struct control *control, const char *event_json)
{
	g_autoptr(GString) line = NULL;

	if (!control_has_monitors(control))
		return;
	line = g_string_new(NULL);
	g_string_printf(line, "{\"v\":%d,%s\n", CONTROL_VERSION, event_json + 1);
	for (size_t i = 0; i < control->n_clients; i++)
		client_event(control->clients[i], line);
	client_arm_timer(control);
}

size_t control_count_clients(const struct control *control)
{
	return control->n_clients;
}

bool control_has_monitors(const struct control *control)
{
	return control->n_monitors > 0;
}

/* -- asking ourselves ------------------------------------------------------------------------- */

static gboolean on_probe(int fd, GIOCondition condition, void *data)
{
	struct control *control = data;
	char answer[256];
	ssize_t n = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	control->probe.source = 0;
	close_fd(&control->probe.fd);
	/* Even "too many clients" shows that callers are served. */
	if (n > 0)
		control->probe.served(control->probe.user);
	return G_SOURCE_REMOVE;
}

void control_probe(struct control *control, void (*served)(void *user), void *user)
{
	static const char question[] = "{\"v\":1,\"command\":\"ping\"}\n";
	int r;

	probe_end(control);
	r = connect_to(control->path, &control->probe.fd);
	if (r < 0) {
		log_warn_errno(r, "cannot reach the own control socket");
		return;
	}
	if (send(control->probe.fd, question, sizeof(question) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) <
		0)
		return close_fd(&control->probe.fd);
	control->probe.served = served;
	control->probe.user = user;
	control->probe.source = g_unix_fd_add(control->probe.fd, G_IO_IN, on_probe, control);
}
