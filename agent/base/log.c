/* agent/base/log.c - one line per event, to stderr, the journal or a file. */
#include "agent/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/text.h"

enum { LINE_SIZE = 1024, PREFIX_SIZE = 96, WINDOW_US = 60 * G_USEC_PER_SEC };

/* How a line begins. */
enum style {
	STYLE_NAMED, /* a pipe: whoever reads it adds the time */
	STYLE_TIMED, /* a terminal or file */
	STYLE_PRIORITY, /* stderr is the journal */
	STYLE_FIELDS, /* a datagram to the journal */
};

static const char JOURNAL_SOCKET[] = "/run/systemd/journal/socket";
static const char *const LEVEL_NAMES[] = { "error", "warn", "info", "debug" };
static const int PRIORITIES[] = { 3, 4, 6, 7 };

static struct {
	enum log_level level;
	enum style style;
	int fd;
	bool opened; /* the descriptor is ours */
	unsigned lost;
} state = { .level = LOG_LEVEL_INFO, .fd = STDERR_FILENO };

/* -- targets -------------------------------------------------------------------------------- */

/* systemd tells device and inode of the stream it gave us, since stderr may be redirected later. */
static bool is_journal_stream(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, inode;

	return stream && sscanf(stream, "%llu:%llu", &dev, &inode) == 2 && dev == st->st_dev &&
		inode == st->st_ino;
}

static enum style stderr_style(const struct stat *st, bool is_auto)
{
	if (is_auto && is_journal_stream(st))
		return STYLE_PRIORITY;
	return S_ISREG(st->st_mode) || S_ISCHR(st->st_mode) ? STYLE_TIMED : STYLE_NAMED;
}

static int open_journal(void)
{
	if (access(JOURNAL_SOCKET, W_OK) < 0)
		return -1;
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

int log_open(enum log_target target, const char *path)
{
	bool is_stderr = target == LOG_TARGET_AUTO || target == LOG_TARGET_STDERR;
	struct stat st = { 0 };
	int fd = STDERR_FILENO;

	if (target == LOG_TARGET_JOURNAL)
		fd = open_journal();
	if (target == LOG_TARGET_FILE)
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0640);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 && !is_stderr) {
		int r = -errno;

		close(fd);
		return r;
	}
	log_close();
	state.fd = fd;
	state.opened = !is_stderr;
	if (is_stderr)
		state.style = stderr_style(&st, target == LOG_TARGET_AUTO);
	else
		state.style = target == LOG_TARGET_JOURNAL ? STYLE_FIELDS : STYLE_TIMED;
	return 0;
}

/* What is said after this goes to stderr. */
void log_close(void)
{
	if (state.opened)
		close(state.fd);
	state.opened = false;
	state.fd = STDERR_FILENO;
	state.style = STYLE_NAMED;
}

void log_set_level(enum log_level level)
{
	state.level = level;
}

enum log_level log_get_level(void)
{
	return state.level;
}

int log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < G_N_ELEMENTS(LEVEL_NAMES); i++) {
		if (strcmp(text, LEVEL_NAMES[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return LEVEL_NAMES[level];
}

/* -- lines ---------------------------------------------------------------------------------- */

static size_t format_prefix(enum log_level level, char buf[static PREFIX_SIZE])
{
	const char *name = LEVEL_NAMES[level];
	time_t now;
	struct tm tm;
	size_t n;

	switch (state.style) {
	case STYLE_PRIORITY:
		return (size_t)snprintf(buf, PREFIX_SIZE, "<%d>", PRIORITIES[level]);
	case STYLE_FIELDS:
		return (size_t)snprintf(buf, PREFIX_SIZE,
			"PRIORITY=%d\nSYSLOG_IDENTIFIER=lapwingd\nMESSAGE=", PRIORITIES[level]);
	case STYLE_TIMED:
		now = time(NULL);
		n = strftime(buf, PREFIX_SIZE, "%Y-%m-%d %H:%M:%S ", localtime_r(&now, &tm));
		return n + (size_t)snprintf(buf + n, PREFIX_SIZE - n, "%s: ", name);
	case STYLE_NAMED:
		break;
	}
	return (size_t)snprintf(buf, PREFIX_SIZE, "lapwingd: %s: ", name);
}

/* Writing to a pipe nobody reads any more raises a signal, which is to hit neither us nor a handler
 * of the program: it is held back and taken off the queue, unless it was there before. */
static ssize_t write_to_pipe(const char *line, size_t len)
{
	struct pollfd p = { .fd = state.fd, .events = POLLOUT };
	sigset_t sigpipe, old, pending;
	ssize_t n;

	if (poll(&p, 1, 0) <= 0 || !(p.revents & POLLOUT))
		return -1;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &old);
	n = write(state.fd, line, len);
	if (n < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&sigpipe, NULL, &(struct timespec){ 0 });
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return n;
}

/* Never waits for a reader. */
static bool send_line(const char *line, size_t len)
{
	struct sockaddr_un journal = { .sun_family = AF_UNIX };
	struct stat st;
	ssize_t n;

	if (state.style == STYLE_FIELDS) {
		memcpy(journal.sun_path, JOURNAL_SOCKET, sizeof(JOURNAL_SOCKET));
		n = sendto(state.fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL,
			(struct sockaddr *)&journal, sizeof(journal));
	} else if (fstat(state.fd, &st) < 0) {
		return false;
	} else if (S_ISSOCK(st.st_mode)) {
		n = send(state.fd, line, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else if (S_ISFIFO(st.st_mode)) {
		n = write_to_pipe(line, len);
	} else {
		n = write(state.fd, line, len);
	}
	return n >= 0;
}

static bool emit(enum log_level level, const char *text)
{
	char line[PREFIX_SIZE + LINE_SIZE + 1];
	size_t n = format_prefix(level, line);

	n += text_escape(line + n, LINE_SIZE, text, strlen(text));
	line[n++] = '\n';
	return send_line(line, n);
}

static void emit_counted(enum log_level level, const char *text)
{
	char notice[64];

	if (!emit(level, text)) {
		state.lost++;
		return;
	}
	if (!state.lost)
		return;
	snprintf(notice, sizeof(notice), "%u earlier messages are lost", state.lost);
	if (emit(LOG_LEVEL_WARN, notice))
		state.lost = 0;
}

static void write_args(enum log_level level, int r, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
static void write_args(enum log_level level, int r, const char *format, va_list args)
{
	int saved_errno = errno;
	char text[LINE_SIZE + 8]; /* more than what is shown, so that the cut is marked */
	size_t n;

	if (level > state.level)
		return;
	vsnprintf(text, sizeof(text), format, args);
	n = strlen(text);
	if (r < 0)
		snprintf(text + n, sizeof(text) - n, ": %s", g_strerror(-r));
	emit_counted(level, text);
	errno = saved_errno;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_args(level, 0, format, args);
	va_end(args);
}

int log_write_errno(enum log_level level, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_args(level, r, format, args);
	va_end(args);
	return r;
}

bool log_limit_allows(struct log_limit *limit)
{
	int64_t now_us = g_get_monotonic_time();

	if (now_us - limit->window_us >= WINDOW_US) {
		if (limit->suppressed)
			log_warn("%s: %u more such messages were suppressed", limit->cause,
				limit->suppressed);
		limit->window_us = now_us;
		limit->count = limit->suppressed = 0;
	}
	if (limit->count >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->count++;
	return true;
}

/* -- GLib ----------------------------------------------------------------------------------- */

static enum log_level level_of_glib(GLogLevelFlags flags)
{
	if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
		return LOG_LEVEL_ERROR;
	if (flags & G_LOG_LEVEL_WARNING)
		return LOG_LEVEL_WARN;
	return flags & G_LOG_LEVEL_MESSAGE ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

static GLogWriterOutput write_glib(
	GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer user)
{
	const GLogField *message = NULL, *domain = NULL;

	for (gsize i = 0; i < n_fields; i++) {
		if (strcmp(fields[i].key, "MESSAGE") == 0)
			message = &fields[i];
		else if (strcmp(fields[i].key, "GLIB_DOMAIN") == 0)
			domain = &fields[i];
	}
	if (message)
		log_write(level_of_glib(flags), "%s: %.*s",
			domain ? (const char *)domain->value : "GLib", (int)message->length,
			(const char *)message->value);
	return G_LOG_WRITER_HANDLED;
}

void log_take_glib(void)
{
	g_log_set_writer_func(write_glib, NULL, NULL);
}
